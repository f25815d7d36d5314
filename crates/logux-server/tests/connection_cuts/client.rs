//! A client that behaves like the one of the reference, written by hand: it resends what was not
//! `synced`, never what was; it subscribes again to the channels that it is subscribed to; it
//! remembers the highest added number that it has received.

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

/// The origin of ids, in milliseconds.
const EPOCH: i64 = 1_700_000_000_000;

/// One device.
#[derive(Debug)]
pub(crate) struct Device {
    node: String,
    proxy: SocketAddr,
    socket: Option<Socket>,
    /// `end` of `connected`, to which times are relative; 0 until it is received.
    base: i64,
    received: u64,
    last_sequence: i64,
    /// Own actions that were not confirmed, by sequence.
    unsynced: BTreeMap<i64, Value>,
    /// Own actions without an answer, by sequence.
    waiting: BTreeMap<i64, Value>,
    /// Answers by sequence: `processed`, or the reason of the undo.
    pub(crate) answers: BTreeMap<i64, String>,
    subscribed: BTreeSet<String>,
    /// Channels to subscribe to again.
    to_resubscribe: BTreeSet<String>,
    /// The types of all other received actions, in order; answers as the sequence of their action.
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
            last_sequence: 0,
            unsynced: BTreeMap::new(),
            waiting: BTreeMap::new(),
            answers: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            to_resubscribe: BTreeSet::new(),
            log: Vec::new(),
        }
    }

    /// Returns the id of an own action.
    pub(crate) fn id(&self, sequence: i64) -> String {
        format!("{} {} 0", EPOCH + sequence, self.node)
    }

    /// Sends an action and returns its sequence.
    pub(crate) async fn sync(&mut self, action: Value) -> i64 {
        self.last_sequence += 1;
        self.waiting.insert(self.last_sequence, action.clone());
        self.unsynced.insert(self.last_sequence, action);
        self.send_unsynced(self.last_sequence).await;
        self.last_sequence
    }

    /// Runs until every action is answered.
    pub(crate) async fn settle(&mut self) {
        while !self.waiting.is_empty() {
            self.step().await;
        }
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.log.iter().filter(|other| *other == kind).count()
    }

    /// Receives one frame, or tries to connect once.
    pub(crate) async fn step(&mut self) {
        let Some(socket) = &mut self.socket else { return self.connect().await };
        match socket.next().await {
            Some(Ok(frame)) => self.handle_frame(frame.as_str().to_owned()).await,
            _ => self.socket = None,
        }
    }

    /// Does the same, but waits for a frame for at most `limit`.
    pub(crate) async fn step_within(&mut self, limit: Duration) {
        let Some(socket) = &mut self.socket else { return self.connect().await };
        match timeout(limit, socket.next()).await {
            Ok(Some(Ok(frame))) => self.handle_frame(frame.as_str().to_owned()).await,
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
        // Times are relative to the server's answer, so nothing else is sent before it.
        self.base = 0;
        self.send(json!(["connect", 5, self.node, self.received, {"subprotocol": 0}])).await;
    }

    async fn handle_frame(&mut self, text: String) {
        let message: Vec<Value> = serde_json::from_str(&text).expect("a message");
        match message[0].as_str().expect("a type") {
            "connected" => {
                self.base = message[3][1].as_i64().expect("a time");
                self.send_unsynced(0).await;
                let subscribed = std::mem::take(&mut self.subscribed);
                self.to_resubscribe.extend(subscribed);
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
            other => panic!("unexpected {other}: {text}"),
        }
    }

    async fn subscribe_again(&mut self) {
        for channel in std::mem::take(&mut self.to_resubscribe) {
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
        let previous = self.answers.insert(sequence, answer.to_owned());
        assert!(
            previous.is_none_or(|previous| previous == answer),
            "all answers to one action must be equal"
        );
        // An answered action is not in the log any more, so it is not resent.
        self.unsynced.remove(&sequence);
        let Some(action) = self.waiting.remove(&sequence) else { return };
        let channel = action["channel"].as_str().unwrap_or_default().to_owned();
        match action["type"].as_str() {
            Some("logux/subscribe") if answer == "processed" => {
                self.subscribed.insert(channel);
            }
            // It waited for an action that failed, and was undone with it.
            Some("logux/subscribe") => drop(self.to_resubscribe.insert(channel)),
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
