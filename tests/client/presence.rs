//! What a client shows of itself in channels, and what it learns of others.

use std::sync::Arc;

use logux::{
    Action, Json, MemoryStore, NodeId, Now,
    client::{Client, Config, EncryptionConfig, Input, Output, PresenceEvent},
    sync,
};

const BASE: i64 = 1_564_508_138_460;

/// A client, and the outputs that tests look at.
struct Device {
    client: Client<MemoryStore>,
    ms: u64,
    answers: u64,
    frames: Vec<String>,
    events: Vec<(Arc<str>, PresenceEvent)>,
}

impl Device {
    fn new() -> Self {
        let node = sync::Config::client(NodeId::new("10:phone:1").unwrap());
        let config = Config { node: node.into(), token: None };
        let client = Client::new(config, MemoryStore::new()).unwrap();
        Self { client, ms: 0, answers: 0, frames: Vec::new(), events: Vec::new() }
    }

    /// A client that is subscribed to the channel `room`.
    fn subscribed() -> Self {
        let mut device = Self::new();
        device.connect();
        let id = device.sync(r#"{"type":"logux/subscribe","channel":"room"}"#);
        device.processed(&id);
        device.frames.clear();
        device
    }

    fn now(&self) -> Now {
        Now::from_millis(BASE + self.ms as i64, self.ms)
    }

    fn settle(&mut self) {
        while self.client.needs_commit() {
            self.client.commit(self.now()).unwrap();
        }
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Send(frame) => self.frames.push(frame),
                Output::Presence(channel, event) => self.events.push((channel, event)),
                _ => {}
            }
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.client.handle(self.now(), input).unwrap();
        self.settle();
    }

    fn connect(&mut self) {
        self.handle(Input::Opened);
        let now = self.now().wall.as_millis();
        self.handle(Input::Frame(&format!(r#"["connected",5,"server:x",[{now},{now}]]"#)));
    }

    fn sync(&mut self, json: &str) -> String {
        let id = self.client.sync(self.now(), Action::new(json).unwrap()).unwrap();
        self.settle();
        id.to_string()
    }

    fn receive(&mut self, action: &str) {
        self.answers += 1;
        let number = self.answers;
        let frame = format!(r#"["sync",1,{action},{{"id":[{number},"server:x",0],"time":1}}]"#);
        self.handle(Input::Frame(&frame));
    }

    fn processed(&mut self, id: &str) {
        self.receive(&format!(r#"{{"type":"logux/processed","id":"{id}"}}"#));
    }

    fn set(&mut self, state: Option<&str>) {
        let state = state.map(|json| Json::new(json).unwrap());
        self.client.set_presence(self.now(), "room", state).unwrap();
        self.settle();
    }

    /// Lets time pass, with all that is due.
    fn pass(&mut self, ms: u64) {
        let end = self.ms + ms;
        while let Some(due) = self.client.next_deadline().filter(|due| due.at.as_millis() <= end) {
            self.ms = self.ms.max(due.at.as_millis());
            self.handle(Input::Wake);
            let frames = std::mem::take(&mut self.frames);
            for frame in frames {
                // The server is alive, and confirms what it receives.
                let answer = match serde_json::from_str::<Vec<serde_json::Value>>(&frame) {
                    Ok(message) if message[0] == "ping" => r#"["pong",1]"#.to_owned(),
                    Ok(message) if message[0] == "sync" => format!(r#"["synced",{}]"#, message[1]),
                    _ => String::new(),
                };
                self.frames.push(frame);
                if !answer.is_empty() {
                    self.handle(Input::Frame(&answer));
                }
            }
        }
        self.ms = end;
    }

    /// Takes the states that were sent since the last call.
    fn sent(&mut self) -> Vec<String> {
        let state = |frame: String| {
            let message: Vec<serde_json::Value> = serde_json::from_str(&frame).unwrap();
            let mut items = message.into_iter().skip(2).step_by(2);
            let set = items.find(|action| action["type"] == "presence/set")?;
            assert_eq!(set["channel"], "room");
            Some(set["state"].to_string())
        };
        std::mem::take(&mut self.frames).into_iter().filter_map(state).collect()
    }

    fn others(&self) -> Vec<(String, String)> {
        let states = self.client.presence("room");
        states.map(|(node, json)| (node.to_string(), json.as_str().to_owned())).collect()
    }
}

#[test]
fn the_state_is_sent_when_the_client_is_in_the_channel() {
    let mut device = Device::new();
    device.set(Some("1"));
    device.connect();
    let id = device.sync(r#"{"type":"logux/subscribe","channel":"room"}"#);
    assert_eq!(device.sent(), [""; 0], "the server would deny it");
    device.processed(&id);
    assert_eq!(device.sent(), ["1"]);

    device.handle(Input::Closed);
    device.set(Some("2"));
    device.set(Some("3"));
    device.connect();
    assert_eq!(device.sent(), [""; 0], "the subscription is not confirmed again");
    let store = device.client.log();
    let mut last = None;
    store
        .walk(&logux::store::Query::added(), |entry| {
            last.get_or_insert(entry.meta.id.to_string());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    device.processed(&last.unwrap());
    assert_eq!(device.sent(), ["3"], "of the states without a connection, the latest");
}

#[test]
fn states_are_sent_10_times_in_a_second_and_repeated() {
    let mut device = Device::subscribed();
    for number in 0..100 {
        device.set(Some(&number.to_string()));
        device.pass(10);
    }
    device.pass(100);
    let sent = device.sent();
    assert!((10..=12).contains(&sent.len()), "{sent:?}");
    assert_eq!(sent.last().unwrap(), "99");
    device.set(Some("99"));
    assert_eq!(device.sent(), [""; 0], "it has not changed");
    device.pass(60_000);
    assert_eq!(device.sent(), ["99"; 4], "it is repeated each 15 s");
    device.set(None);
    assert_eq!(device.sent(), ["null"]);
    device.pass(60_000);
    assert_eq!(device.sent(), [""; 0]);
}

#[test]
fn the_states_of_others_are_known_until_the_connection_ends() {
    let mut device = Device::subscribed();
    let entries = device.client.log().last_added().unwrap();
    let changed = |states: &str| {
        format!(r#"{{"type":"presence/changed","channel":"room","states":{states}}}"#)
    };
    device.receive(&changed(r#"{"20:b:1":{"name":"Bob"},"10:phone:1":7,"30:c:1":1}"#));
    device.receive(&changed(r#"{"30:c:1":null}"#));
    assert_eq!(device.others(), [("20:b:1".to_owned(), r#"{"name":"Bob"}"#.to_owned())]);
    let event = |event| ("room".into(), event);
    assert_eq!(
        std::mem::take(&mut device.events),
        [event(PresenceEvent::Changed), event(PresenceEvent::Changed)]
    );
    device.receive(&changed(r#"{"20:b:1":{"name":"Bob"}}"#).replace("\"room\"", "\"other\""));
    device.receive(&changed(r#"{"20:b:1":{"name":"Bob"}}"#));
    assert_eq!(device.events, [], "nothing has changed");
    assert_eq!(device.client.log().last_added().unwrap(), entries, "the log has none of it");
    device.handle(Input::Closed);
    assert_eq!(device.others(), []);
    assert_eq!(device.events, [event(PresenceEvent::Changed)]);
}

#[test]
fn who_is_there_may_be_told_before_the_subscription_is_answered() {
    let mut device = Device::new();
    device.connect();
    let id = device.sync(r#"{"type":"logux/subscribe","channel":"room"}"#);
    let changed = r#"{"type":"presence/changed","channel":"room","states":{"20:b:1":7}}"#;
    device.receive(changed);
    device.processed(&id);
    assert_eq!(device.others(), [("20:b:1".to_owned(), "7".to_owned())]);
    device.handle(Input::Closed);
    device.connect();
    device.receive(changed);
    assert_eq!(device.others(), [("20:b:1".to_owned(), "7".to_owned())]);
    device.sync(r#"{"type":"logux/unsubscribe","channel":"room"}"#);
    device.receive(changed);
    assert_eq!(device.others(), [], "the client has left");
}

#[test]
fn a_refused_state_is_told_and_not_repeated() {
    let mut device = Device::subscribed();
    device.set(Some("1"));
    let frame = device.frames.last().unwrap().clone();
    let message: Vec<serde_json::Value> = serde_json::from_str(&frame).unwrap();
    assert_eq!(message[1], 1, "it says nothing about later actions of the log: {frame}");
    let id = message[3]["id"].clone();
    // The short form of an id of the own node: the time since the base, and perhaps a number.
    let time = BASE + id.as_i64().or(id[0].as_i64()).unwrap();
    let sequence = id.get(1).map_or(0, |number| number.as_i64().unwrap_or_default());
    let node = "10:phone:1";
    let undo = r#""reason":"denied","action":{"type":"presence/set"}"#;
    for number in 0..=sequence {
        device.receive(&format!(r#"{{"type":"logux/undo","id":"{time} {node} {number}",{undo}}}"#));
    }
    assert_eq!(device.events, [("room".into(), PresenceEvent::Refused("denied".into()))]);
    device.sent();
    device.pass(60_000);
    assert_eq!(device.sent(), [""; 0]);
}

#[test]
fn who_leaves_a_channel_shows_nothing_there() {
    let mut device = Device::subscribed();
    device.set(Some("1"));
    device.sync(r#"{"type":"logux/unsubscribe","channel":"room"}"#);
    device.sent();
    device.pass(60_000);
    assert_eq!(device.sent(), [""; 0]);
    assert_eq!(device.client.own_presence("room"), None);
}

#[test]
fn a_client_with_encryption_shows_nothing() {
    let mut device = Device::subscribed();
    device.client = device.client.with_encryption(EncryptionConfig::default()).unwrap();
    device.set(Some("1"));
    device.pass(20_000);
    assert_eq!(device.sent(), [""; 0]);
}
