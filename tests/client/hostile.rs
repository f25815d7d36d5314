//! A server that lies: the client says what is wrong, keeps its own actions, and gives them to an
//! honest server later.

use core::ops::ControlFlow;
use std::collections::VecDeque;

use logux::{
    Action, ActionId, MemoryStore, NodeId, Now,
    client::{Client, Config, IgnoreReason, Input, Output},
    replay::{TimelineConfig, untyped_reducer},
    store::{Query, Store},
    sync::{self, State},
    testing::{
        CrashStore,
        simulation::{Effect, Relay},
    },
};

/// The time when the connection is opened, in milliseconds.
const BASE: i64 = 1_700_000_000_000;

const NODE: &str = "10:phone:1";

/// A client of one server, which lies, and then of another one.
struct Phone {
    client: Client<MemoryStore>,
    ms: u64,
    /// What the client reports about the server.
    reports: Vec<String>,
    sent: Vec<String>,
}

impl Phone {
    fn start(store: MemoryStore) -> Self {
        let node = sync::Config::client(NodeId::new(NODE).unwrap());
        let client = Client::new(Config { node: node.into(), token: None }, store).unwrap();
        Self { client, ms: 0, reports: Vec::new(), sent: Vec::new() }
    }

    fn now(&self) -> Now {
        Now::from_millis(BASE + i64::try_from(self.ms).unwrap(), self.ms)
    }

    fn sync(&mut self, text: &str) -> ActionId {
        self.ms += 1;
        let action = Action::new(format!(r#"{{"type":"note","text":"{text}"}}"#)).unwrap();
        let id = self.client.sync(self.now(), action).unwrap();
        self.commit();
        id
    }

    fn handle(&mut self, input: Input<'_>) {
        self.ms += 1;
        self.client.handle(self.now(), input).unwrap();
        self.commit();
    }

    fn commit(&mut self) {
        while self.client.needs_commit() {
            self.client.commit(self.now()).unwrap();
        }
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Send(frame) => self.sent.push(frame),
                Output::Disconnect(reason) => {
                    self.reports.push(reason.to_string());
                    self.client.handle(self.now(), Input::Closed).unwrap();
                }
                Output::Ignored(ignored) => self.reports.push(ignored.to_string()),
                Output::Debug(text) => self.reports.push(text),
                Output::Refused(error) => self.reports.push(error.kind),
                _ => {}
            }
        }
    }

    /// Connects to an honest server, and returns the texts of the notes that it has, in order.
    fn connect_to_honest_server(&mut self) -> Vec<String> {
        let names = [NodeId::new(NODE).unwrap()];
        let reducer = untyped_reducer((), |_, _| ());
        let store = CrashStore::new();
        let mut relay = Relay::new(reducer, TimelineConfig::default(), store, &names);
        self.handle(Input::Closed);
        self.sent.clear();
        let mut effects = Vec::new();
        relay.handle(self.now(), 0, sync::Input::Opened, &mut effects);
        self.handle(Input::Opened);
        let mut down = VecDeque::new();
        loop {
            for frame in core::mem::take(&mut self.sent) {
                relay.handle(self.now(), 0, sync::Input::Frame(&frame), &mut effects);
            }
            for effect in effects.drain(..) {
                match effect {
                    Effect::Send(_, frame) => down.push_back(frame),
                    Effect::Disconnect(_) => panic!("the server disconnects, after {down:?}"),
                }
            }
            let Some(frame) = down.pop_front() else { break };
            self.handle(Input::Frame(&frame));
        }
        assert_eq!(self.client.state(), State::Synchronized);
        let mut notes = Vec::new();
        let latest = self.now().wall;
        let walked = relay.log().store().walk(&Query::created().oldest_first(), &mut |entry| {
            if let Some(text) = entry.action.str_field("text") {
                let off = latest.since(entry.meta.time).abs();
                assert!(off < 1_000, "{text} has a time that is {off} ms off");
                notes.push(text.into_owned());
            }
            ControlFlow::Continue(())
        });
        walked.unwrap();
        notes
    }

    /// Asserts that a report has this text, or that there is none.
    fn assert_reported(&self, expected: Option<&str>) {
        match expected {
            Some(text) => {
                let has_text = self.reports.iter().any(|report| report.contains(text));
                assert!(has_text, "{:?}", self.reports);
            }
            None => assert_eq!(self.reports, [""; 0]),
        }
    }

    /// Asserts that no own action waits for anything.
    fn assert_is_done(&self, ids: &[&ActionId]) {
        assert_eq!(self.client.unconfirmed(), 0);
        for id in ids {
            assert_eq!(self.client.fate(id).unwrap(), None, "{id}");
        }
        assert!(self.client.log().store().is_empty());
    }
}

/// A message of the server with one action.
fn sync_message(action: &str, id: &str, time: &str) -> String {
    format!(r#"["sync",1,{action},{{"id":{id},"time":{time}}}]"#)
}

fn connected() -> String {
    format!(r#"["connected",5,"server:x",[{BASE},{BASE}]]"#)
}

/// What a server sends after the connection was opened, and what the client reports, if the server
/// is wrong.
type Lie = (&'static str, Vec<String>, Option<&'static str>);

/// The lies after a handshake. The own action `1700000000001 10:phone:1 0` was sent.
fn lies() -> Vec<Lie> {
    let answer = |kind: &str, id: &str| {
        let action = format!(r#"{{"type":"logux/{kind}","id":"{id}","reason":"lie"}}"#);
        sync_message(&action, r#"[5,"server:x",0]"#, "5")
    };
    let note = |id: &str, time: &str| sync_message(r#"{"type":"note"}"#, id, time);
    let nested = |depth: usize| {
        let value = "[".repeat(depth) + &"]".repeat(depth);
        sync_message(&format!(r#"{{"type":"note","value":{value}}}"#), "1", "1")
    };
    let long = "x".repeat(100_000);
    let long_type = format!(r#"{{"type":"{long}"}}"#);
    let depth = logux::json::MAX_DEPTH;
    let many = |frame: &str, number: usize| vec![frame.to_owned(); number];
    vec![
        ("not JSON", vec!["garbage".into()], Some("invalid message")),
        ("an unknown message", vec![r#"["hello"]"#.into()], Some("unknown message")),
        ("a message of another shape", vec![r#"["sync","1"]"#.into()], Some("invalid message")),
        ("the handshake again", vec![connected()], Some("unexpected `connected`")),
        ("the other handshake", vec![r#"["connect",5,"server:x",0]"#.into()], Some("unexpected")),
        ("an error", vec![r#"["error","wrong-credentials"]"#.into()], Some("wrong-credentials")),
        ("a debug message", vec![r#"["debug","error","hi"]"#.into()], Some("hi")),
        (
            "more is confirmed than was sent",
            vec![r#"["synced",9000]"#.into()],
            Some("confirms 9000"),
        ),
        ("nothing is confirmed, often", many(r#"["synced",0]"#, 50), None),
        ("numbers that go back", vec![r#"["ping",50]"#.into(), r#"["ping",3]"#.into()], None),
        ("a high number", vec![r#"["ping",9000000000]"#.into()], None),
        (
            "a number that no log has",
            vec![format!(r#"["ping",{}]"#, i64::MAX)],
            Some("is trillions above"),
        ),
        ("answers to no question", many(r#"["pong",1]"#, 50), None),
        ("a batch twice", many(&note(r#"[4,"20:b:1",0]"#, "4"), 2), None),
        ("an answer to another client", vec![answer("processed", "1 20:b:1 0")], None),
        ("an undo of another client", vec![answer("undo", "1 20:b:1 0")], None),
        ("an answer without an id", vec![answer("processed", "")], None),
        (
            "an answer to an action that does not exist yet",
            vec![answer("processed", "1700000000099 10:phone:1 0")],
            Some("an id of this device"),
        ),
        (
            "an undo of an action that does not exist yet",
            vec![answer("undo", "1700000000099 10:phone:1 0")],
            Some("an id of this device"),
        ),
        (
            "an action with the next id of the client",
            vec![note(r#"[99,"10:phone:1",0]"#, "99")],
            Some("is one of this device"),
        ),
        (
            "an action of the client in the far future",
            vec![note(r#"[8600000000000,"10:phone:1",4294967295]"#, "8600000000000")],
            Some("is one of this device"),
        ),
        (
            "an earlier action of the client with a time in the far future",
            vec![note(r#"[-5,"10:phone:1",0]"#, "5000000000000000")],
            None,
        ),
        ("an action in the far future", vec![note(r#"[9,"20:b:1",0]"#, "5000000000000000")], None),
        (
            "a time that no date has",
            vec![note(r#"[9,"20:b:1",0]"#, "9000000000000000")],
            Some("out of the range"),
        ),
        ("an action at the limit of depth", vec![nested(depth - 4)], None),
        ("an action beyond the limit of depth", vec![nested(depth + 1)], Some("nested deeper")),
        ("a long debug message", vec![format!(r#"["debug","error","{long}"]"#)], Some("xxx")),
        ("a long error", vec![format!(r#"["error","{long}"]"#)], Some("xxx")),
        ("a long name of a message", vec![format!(r#"["{long}"]"#)], Some("unknown message")),
        (
            "an action with a long type and the next id of the client",
            vec![sync_message(&long_type, r#"[99,"10:phone:1",0]"#, "99")],
            Some("is one of this device"),
        ),
        ("many headers", many(r#"["headers",{"a":[]}]"#, 50), None),
    ]
}

#[test]
fn own_actions_survive_a_server_that_lies() {
    for (what, frames, expected) in lies() {
        println!("{what}");
        let mut phone = Phone::start(MemoryStore::new());
        let first = phone.sync("first");
        assert_eq!(first.to_string(), "1700000000001 10:phone:1 0");
        phone.handle(Input::Opened);
        phone.handle(Input::Frame(&connected()));
        for frame in &frames {
            phone.handle(Input::Frame(frame));
        }
        phone.assert_reported(expected);
        let is_short = |report: &String| report.len() < 8_000;
        assert!(phone.reports.iter().all(is_short), "what is reported is bounded");
        phone.ms = 98;
        let second = phone.sync("second");
        assert_eq!(second.to_string(), "1700000000099 10:phone:1 0");
        assert_eq!(phone.client.unconfirmed(), 2);
        // The client continues, or starts again with its store.
        for restarts in [false, true] {
            let store = phone.client.log().store().clone();
            let mut phone = Phone { ms: 200, ..Phone::start(store) };
            if restarts {
                assert_eq!(phone.client.unconfirmed(), 2);
                let third = phone.sync("third");
                assert_eq!(phone.connect_to_honest_server(), ["first", "second", "third"]);
                phone.assert_is_done(&[&first, &second, &third]);
            }
        }
        assert_eq!(phone.connect_to_honest_server(), ["first", "second"]);
        phone.assert_is_done(&[&first, &second]);
    }
}

#[test]
fn own_actions_survive_a_wrong_handshake() {
    let year = 365 * 24 * 60 * 60 * 1_000;
    let times =
        |received: i64, sent: i64| format!(r#"["connected",5,"server:x",[{received},{sent}]]"#);
    let lies: [Lie; 12] = [
        ("an old protocol", vec![r#"["connected",2,"server:x",[1,1]]"#.into()], Some("too old")),
        ("no times", vec![r#"["connected",5,"server:x"]"#.into()], Some("invalid message")),
        ("the client's name", vec![format!(r#"["connected",5,"{NODE}",[{BASE},{BASE}]]"#)], None),
        ("the epoch", vec![times(0, 0)], None),
        ("the next year", vec![times(BASE + year, BASE + year)], None),
        ("the last year", vec![times(BASE - year, BASE - year)], None),
        ("the end of time", vec![times(8_640_000_000_000_000, 8_640_000_000_000_000)], None),
        ("after the end", vec![times(BASE, 8_640_000_000_000_001)], Some("out of the range")),
        ("before the start", vec![times(-8_640_000_000_000_001, BASE)], Some("out of the range")),
        ("a duration of years", vec![times(BASE - year, BASE + year)], None),
        (
            "a confirmation before it",
            vec![r#"["synced",1]"#.into(), connected()],
            Some("was not sent"),
        ),
        ("a flood before it", vec![r#"["ping",1]"#.into(); 101], Some("too many messages")),
    ];
    for (what, frames, expected) in lies {
        println!("{what}");
        let mut phone = Phone::start(MemoryStore::new());
        let first = phone.sync("first");
        phone.handle(Input::Opened);
        for frame in &frames {
            phone.handle(Input::Frame(frame));
        }
        phone.assert_reported(expected);
        let second = phone.sync("second");
        assert_eq!(phone.connect_to_honest_server(), ["first", "second"]);
        phone.assert_is_done(&[&first, &second]);
    }
}

/// A store of a client whose server confirmed what was never sent.
#[test]
fn a_store_with_a_wrong_confirmation_is_mended() {
    let mut store = MemoryStore::new();
    store.set_synced(logux::store::Synced { received: 0, sent: 9_000 }).unwrap();
    let mut phone = Phone::start(store);
    let id = phone.sync("note");
    assert_eq!(phone.client.unconfirmed(), 1);
    assert_eq!(phone.connect_to_honest_server(), ["note"]);
    phone.assert_is_done(&[&id]);
}

#[test]
fn what_is_ignored_is_told_and_confirmed() {
    let mut phone = Phone::start(MemoryStore::new());
    phone.handle(Input::Opened);
    phone.handle(Input::Frame(&connected()));
    phone
        .client
        .handle(
            phone.now(),
            Input::Frame(&sync_message(r#"{"type":"a"}"#, r#"[9,"10:phone:1",0]"#, "9")),
        )
        .unwrap();
    phone.client.commit(phone.now()).unwrap();
    let outputs: Vec<_> = std::iter::from_fn(|| phone.client.poll_output()).collect();
    assert!(
        matches!(&outputs[..], [Output::Ignored(ignored), Output::Send(synced)]
            if ignored.reason == IgnoreReason::OwnFutureId && synced == r#"["synced",1]"#),
        "{outputs:?}"
    );
}

/// An application that passes the id of an action itself.
#[test]
fn a_subscription_with_a_known_id_is_counted_once() {
    let mut phone = Phone::start(MemoryStore::new());
    let action =
        |kind: &str| Action::new(format!(r#"{{"type":"logux/{kind}","channel":"a"}}"#)).unwrap();
    let id = phone.client.sync(phone.now(), action("subscribe")).unwrap();
    let draft = logux::log::Draft { id: Some(id), ..Default::default() };
    phone.client.sync_with(phone.now(), action("subscribe"), draft).unwrap();
    phone.client.sync(phone.now(), action("unsubscribe")).unwrap();
    assert_eq!((phone.client.unconfirmed(), phone.client.subscriptions().count()), (0, 0));
}
