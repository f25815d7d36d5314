//! A client that behaves like that of the reference, in plain text: it sends again what was not `synced`, never what was; it subscribes again to what it
//! knows to be subscribed to; it remembers the highest number it was told.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use logux_net::{
    Connector as _, Frame, WebSocketConnector, WebSocketTransport, websocket::ClientIo,
};
use serde_json::{Value, json};
use tokio::time::timeout;

type Socket = WebSocketTransport<ClientIo>;

/// Ids begin here, in milliseconds.
const EPOCH: i64 = 1_700_000_000_000;

/// One device.
#[derive(Debug)]
pub(crate) struct Device {
    node: String,
    proxy: SocketAddr,
    socket: Option<Socket>,
    /// `end` of `connected`: what times are relative to; 0 until it has come.
    base: i64,
    received: u64,
    last: i64,
    /// Own actions by their sequence: what was not confirmed yet.
    unsynced: BTreeMap<i64, Value>,
    /// Own actions without an answer.
    waiting: BTreeMap<i64, Value>,
    /// `processed`, or the reason of the undo.
    pub(crate) answers: BTreeMap<i64, String>,
    subscribed: BTreeSet<String>,
    /// Channels to subscribe to again.
    lost: BTreeSet<String>,
    /// Types of all other actions that came, in order; those of answers by the sequence they answer.
    pub(crate) log: Vec<String>,
}

impl Device {
    pub(crate) fn new(node: &str, proxy: SocketAddr) -> Self {
        Self {
            node: node.to_owned(),
            proxy,
            socket: None,
            base: 0,
            received: 0,
            last: 0,
            unsynced: BTreeMap::new(),
            waiting: BTreeMap::new(),
            answers: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            lost: BTreeSet::new(),
            log: Vec::new(),
        }
    }

    /// The id of an own action.
    pub(crate) fn id(&self, sequence: i64) -> String {
        format!("{} {} 0", EPOCH + sequence, self.node)
    }

    /// Does an action, and returns its sequence.
    pub(crate) async fn sync(&mut self, action: Value) -> i64 {
        self.last += 1;
        self.waiting.insert(self.last, action.clone());
        self.unsynced.insert(self.last, action);
        self.send_unsynced(self.last).await;
        self.last
    }

    /// Works until every action is answered.
    pub(crate) async fn settle(&mut self) {
        while !self.waiting.is_empty() {
            self.step().await;
        }
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.log.iter().filter(|other| *other == kind).count()
    }

    /// One frame, or one attempt to connect.
    pub(crate) async fn step(&mut self) {
        let Some(socket) = &mut self.socket else { return self.connect().await };
        match socket.next().await {
            Some(Ok(frame)) => self.frame(frame.as_str().to_owned()).await,
            _ => self.socket = None,
        }
    }

    /// The same, but it does not wait for a frame for longer than this.
    pub(crate) async fn step_within(&mut self, patience: Duration) {
        let Some(socket) = &mut self.socket else { return self.connect().await };
        match timeout(patience, socket.next()).await {
            Ok(Some(Ok(frame))) => self.frame(frame.as_str().to_owned()).await,
            Ok(_) => self.socket = None,
            Err(_) => {}
        }
    }

    pub(crate) const fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    async fn connect(&mut self) {
        let connector =
            WebSocketConnector::new(&format!("ws://{}", self.proxy)).expect("an address");
        let Ok(socket) = connector.connect().await else { return tokio::task::yield_now().await };
        self.socket = Some(socket);
        // Until the server has answered nothing can be said about times, so nothing but this is sent.
        self.base = 0;
        self.send(json!(["connect", 5, self.node, self.received, {"subprotocol": 0}])).await;
    }

    async fn frame(&mut self, text: String) {
        let message: Vec<Value> = serde_json::from_str(&text).expect("a message");
        match message[0].as_str().expect("a type") {
            "connected" => {
                self.base = message[3][1].as_i64().expect("a time");
                self.send_unsynced(0).await;
                let subscribed = std::mem::take(&mut self.subscribed);
                self.lost.extend(subscribed);
                self.subscribe_again().await;
            }
            "synced" => {
                let sequence = message[1].as_i64().expect("a number");
                self.unsynced.retain(|other, _| *other > sequence);
            }
            "sync" => {
                let added = message[1].as_u64().expect("a number");
                for action in message[2..].iter().step_by(2) {
                    self.receive(action);
                }
                self.received = self.received.max(added);
                self.send(json!(["synced", added])).await;
                self.subscribe_again().await;
            }
            "ping" => self.send(json!(["pong", 0])).await,
            other => panic!("{other} came: {text}"),
        }
    }

    async fn subscribe_again(&mut self) {
        for channel in std::mem::take(&mut self.lost) {
            self.sync(json!({"type": "logux/subscribe", "channel": channel})).await;
        }
    }

    fn receive(&mut self, action: &Value) {
        let kind = action["type"].as_str().expect("a type");
        let (answer, id) = match kind {
            "logux/processed" => ("processed", &action["id"]),
            "logux/undo" => (action["reason"].as_str().expect("a reason"), &action["id"]),
            _ => return self.log.push(kind.to_owned()),
        };
        let time =
            id.as_str().and_then(|id| id.split(' ').next()?.parse::<i64>().ok()).expect("an id");
        let sequence = time - EPOCH;
        self.log.push(format!("answer {sequence}"));
        let earlier = self.answers.insert(sequence, answer.to_owned());
        assert!(earlier.is_none_or(|earlier| earlier == answer), "answers to one action agree");
        // What is answered is not in the log any more, so it is not sent again.
        self.unsynced.remove(&sequence);
        let Some(action) = self.waiting.remove(&sequence) else { return };
        let channel = action["channel"].as_str().unwrap_or_default().to_owned();
        match action["type"].as_str() {
            Some("logux/subscribe") if answer == "processed" => {
                self.subscribed.insert(channel);
            }
            // It waited behind an action that failed, and was taken along.
            Some("logux/subscribe") => drop(self.lost.insert(channel)),
            Some("logux/unsubscribe") => drop(self.subscribed.remove(&channel)),
            _ => {}
        }
    }

    async fn send_unsynced(&mut self, from: i64) {
        if self.base == 0 {
            return;
        }
        for (sequence, action) in
            self.unsynced.range(from..).map(|(n, action)| (*n, action.clone())).collect::<Vec<_>>()
        {
            let time = EPOCH + sequence - self.base;
            self.send(json!(["sync", sequence, action, {"id": time, "time": time}])).await;
        }
    }

    async fn send(&mut self, message: Value) {
        if let Some(socket) = &mut self.socket
            && socket.send(Frame::from(message.to_string())).await.is_err()
        {
            self.socket = None;
        }
    }
}
