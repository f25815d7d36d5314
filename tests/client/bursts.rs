//! Bursts of typing: edits that follow each other within moments are one action.

use std::time::Duration;

use logux::{
    Action, ActionId, MemoryStore,
    client::{
        BurstLimits, DeadlineKind, DeviceEvent, EncryptedAction, EncryptionConfig, Fate, Input,
        Output, Subscription, UndoOutcome,
    },
    crdt::{Crdt, Document, Path, Shared, SyncMaps, Text, Unit},
    replay::{Timeline, TimelineSet},
};
use serde_json::{Value, json};

use crate::device::{Desk, Device, processed, refusal, set, text_desk as desk, text_note};

const NOTE: &str = "texts/1";

fn connected() -> Desk {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    desk.connect();
    desk
}

trait Typing {
    fn timeline(&self) -> &Timeline<Shared<Text>>;
    fn text(&self) -> String;
    /// Replaces a part of the text after some milliseconds.
    fn replace(&mut self, ms: u64, range: core::ops::Range<usize>, text: &str) -> ActionId;
    /// Types a letter at the end after some milliseconds.
    fn key(&mut self, ms: u64, letter: &str) -> ActionId;
    fn backspace(&mut self, ms: u64) -> ActionId;
    /// Lets time pass, and wakes the client when it asks for it.
    fn wait(&mut self, ms: u64);
    /// Receives an action of another client in no time, with this number of the server.
    fn receive_now(&mut self, added: u64, time: i64, action: &Value);
    fn restart(self) -> Self;
}

impl Typing for Desk {
    fn timeline(&self) -> &Timeline<Shared<Text>> {
        self.client.log().observer().timeline(NOTE).unwrap()
    }

    fn text(&self) -> String {
        self.timeline().state().to_string()
    }

    fn replace(&mut self, ms: u64, range: core::ops::Range<usize>, text: &str) -> ActionId {
        self.wait(ms);
        let now = self.now_after(0);
        let id = self.client.next_id(now.wall);
        let ops = self.timeline().state().replace_ops(range, text, Unit::Scalars, &id).unwrap();
        let action = text_note().action(&ops).unwrap();
        let id = self.client.edit_in_burst(now, &NOTE.into(), action).unwrap();
        self.commit(now);
        self.timeline().assert_invariants();
        id
    }

    fn key(&mut self, ms: u64, letter: &str) -> ActionId {
        let len = self.timeline().state().len(Unit::Scalars);
        self.replace(ms, len..len, letter)
    }

    fn backspace(&mut self, ms: u64) -> ActionId {
        let len = self.timeline().state().len(Unit::Scalars);
        self.replace(ms, len - 1..len, "")
    }

    fn wait(&mut self, ms: u64) {
        let end = self.now_after(0).mono.as_millis() + ms;
        while let Some(deadline) = self.client.next_deadline()
            && deadline.at.as_millis() <= end
        {
            let now = self.now_after(0).mono.as_millis();
            let now = self.now_after(deadline.at.as_millis().saturating_sub(now));
            self.client.handle(now, Input::Wake).unwrap();
            self.commit(now);
        }
        let now = self.now_after(0).mono.as_millis();
        self.advance(end - now);
    }

    fn receive_now(&mut self, added: u64, time: i64, action: &Value) {
        let meta = json!({"id": [time, "20:c:d", 0], "time": time});
        let frame = json!(["sync", added, action, meta]).to_string();
        let now = self.now_after(0);
        self.client.handle(now, Input::Frame(&frame)).unwrap();
        self.commit(now);
    }

    fn restart(self) -> Self {
        let counters = self.counters();
        let mut new = desk("10:phone:2", self.client.into_store());
        new.set_counters(counters);
        new
    }
}

/// Returns the text that each action inserts.
fn inserted(actions: &[Value]) -> Vec<&str> {
    actions
        .iter()
        .flat_map(|action| action["ops"].as_array().unwrap())
        .map(|op| op["text"].as_str().unwrap_or("-"))
        .collect()
}

#[test]
fn typing_is_one_action_that_is_sent_after_a_pause() {
    let mut desk = connected();
    let id = desk.key(0, "T");
    assert_eq!((desk.key(150, "e"), desk.key(150, "a")), (id.clone(), id.clone()));
    assert_eq!(desk.text(), "Tea");
    assert_eq!((desk.client.unconfirmed(), desk.ids()), (1, vec![id.clone()]));
    assert_eq!(desk.client.fate(&id).unwrap(), Some(Fate::Kept));
    desk.wait(499);
    assert!(desk.sent().is_empty(), "the burst is open");
    assert_eq!(desk.client.next_deadline().unwrap().kind, DeadlineKind::Burst);
    desk.wait(1);
    let sent = desk.sent();
    let op = json!({"op": "insert", "first": 0, "text": "Tea"});
    assert_eq!(sent, [json!({"type": "texts/edit", "id": "1", "ops": [op]})]);
    assert_eq!(desk.client.fate(&id).unwrap(), Some(Fate::Sent));
    let next = desk.key(100, "s");
    assert_ne!(next, id, "what was sent does not change any more");
    desk.wait(500);
    assert_eq!(inserted(&desk.sent()), ["s"]);
    desk.receive(5_000, "server:x", &processed(&id));
    assert_eq!(desk.text(), "Teas");
}

#[test]
fn a_burst_ends_at_its_age_and_at_its_length() {
    let mut desk = connected();
    (0..30).for_each(|_| drop(desk.key(150, "a")));
    desk.wait(500);
    let sent = desk.sent();
    assert_eq!(inserted(&sent).iter().map(|text| text.len()).collect::<Vec<_>>(), [14, 14, 2]);

    let limits = BurstLimits { bytes: 100, ..BurstLimits::default() };
    let mut desk = connected();
    desk.client = desk.client.with_bursts(limits);
    (0..100).for_each(|_| drop(desk.key(1, "a")));
    desk.wait(500);
    let sent = desk.sent();
    assert_eq!(inserted(&sent).concat().len(), 100);
    assert!(sent.len() > 1 && sent.iter().all(|action| action.to_string().len() <= 100));
    // A paste is an action of its own.
    desk.key(10, &"b".repeat(100));
    assert_eq!(inserted(&desk.sent()), ["b".repeat(100)]);
}

#[test]
fn without_bursts_each_key_is_an_action() {
    let mut desk = connected();
    desk.client = desk.client.with_bursts(BurstLimits::NONE);
    (0..3).for_each(|_| drop(desk.key(10, "a")));
    assert_eq!(inserted(&desk.sent()), ["a", "a", "a"]);
}

#[test]
fn others_in_the_document_see_each_key_at_once() {
    let mut desk = connected();
    let now = desk.now_after(0);
    desk.client.subscribe_kept(now, &Subscription::to(NOTE)).unwrap().unwrap();
    desk.commit(now);
    desk.sent();
    let changed = |state: Value| {
        let states = json!({"20:c:d": state});
        json!({"type": "presence/changed", "channel": NOTE, "states": states})
    };
    desk.receive(1, "server:x", &changed(json!({})));
    for letter in ["a", "b"] {
        desk.key(10, letter);
        assert_eq!(inserted(&desk.sent()), [letter]);
    }
    desk.receive(2, "server:x", &changed(Value::Null));
    desk.key(10, "d");
    desk.key(10, "e");
    assert!(desk.sent().is_empty(), "nobody is there");
    desk.wait(500);
    assert_eq!(inserted(&desk.sent()), ["de"]);
}

#[test]
fn a_word_with_corrections_is_one_action() {
    let mut desk = connected();
    for letter in ["T", "a", "e"] {
        desk.key(100, letter);
    }
    desk.backspace(100);
    desk.backspace(100);
    desk.key(100, "e");
    let id = desk.key(100, "a");
    assert_eq!((desk.text(), desk.ids()), ("Tea".to_owned(), vec![id]));
    desk.wait(500);
    let sent = desk.sent();
    let ops = json!([
        {"op": "insert", "first": 0, "text": "Tae"},
        {"op": "remove", "elements": [[1, 2]]},
        {"op": "insert", "first": 3, "text": "ea", "after": 0, "before": 1},
    ]);
    assert_eq!(sent, [json!({"type": "texts/edit", "id": "1", "ops": ops})]);
}

#[test]
fn another_own_action_ends_the_burst_and_is_sent_after_it() {
    let mut desk = connected();
    desk.key(100, "a");
    desk.sync(set("title", "Tea"));
    let sent = desk.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!((&sent[0]["type"], &sent[1]["type"]), (&json!("texts/edit"), &json!("notes/edit")));
    let id = desk.key(100, "b");
    let now = desk.now_after(0);
    desk.client.close_step(now, &NOTE.into()).unwrap();
    desk.commit(now);
    assert_eq!(inserted(&desk.sent()), ["b"]);
    assert_ne!(desk.key(10, "c"), id);
}

#[test]
fn a_device_that_falls_asleep_sends_what_was_typed() {
    let mut desk = connected();
    desk.key(100, "a");
    let now = desk.now_after(0);
    desk.client.handle(now, Input::Device(DeviceEvent::Asleep)).unwrap();
    desk.commit(now);
    assert_eq!(inserted(&desk.sent()), ["a"]);
}

/// Only edits of documents become longer, so nothing else waits.
#[test]
fn edits_of_records_are_sent_at_once() {
    let mut desk = connected();
    desk.client.open(SyncMaps::new("tasks")).unwrap();
    for title in ["T", "Te"] {
        let change = json!({"type": "tasks/change", "id": "7", "fields": {"title": title}});
        let now = desk.now_after(50);
        let change = Action::new(change.to_string()).unwrap();
        desk.client.edit_in_burst(now, &"tasks".into(), change).unwrap();
        desk.commit(now);
    }
    assert_eq!(desk.sent().len(), 2);
}

/// What other users type does not end a burst, and a write that replaces the text does.
#[test]
fn others_edit_within_a_burst() {
    let mut desk = connected();
    let id = desk.key(100, "a");
    desk.key(100, "b");
    let other = json!({"op": "insert", "first": 0, "text": "X"});
    let other = json!({"type": "texts/edit", "id": "1", "ops": [other]});
    desk.receive_now(1, 5_000, &other);
    assert_eq!(desk.text().len(), 3);
    let at = desk.text().find('b').unwrap() + 1;
    assert_eq!(desk.replace(100, at..at, "c"), id);
    assert!(desk.text().contains("abc") && desk.text().contains('X'), "{}", desk.text());
    desk.wait(500);
    let sent = desk.sent();
    assert_eq!((sent.len(), inserted(&sent).concat()), (1, "abc".to_owned()));
}

/// Others have replaced a text by a write: the letters after it would not be visible with the time
/// of the burst.
#[test]
fn a_write_of_others_ends_a_burst() {
    let note = Shared::<Document>::new("notes", "1");
    let mut desk = Device::observed("10:phone:1", MemoryStore::new(), TimelineSet::default());
    desk.client.open(note.clone()).unwrap();
    desk.connect();
    let path = Path::of(&["body"]).unwrap();
    let key = |desk: &mut Desk, letter: &str| {
        let now = desk.now_after(50);
        let id = desk.client.next_id(now.wall);
        let set = desk.client.log().observer();
        let state = set.timeline::<Shared<Document>>("notes/1").unwrap().state();
        let ops =
            state.text_ops(&path, &id, |text| text.replace_ops(0..0, letter, Unit::Scalars, &id));
        let action = note.action(&ops.unwrap()).unwrap();
        let id = desk.client.edit_in_burst(now, &"notes/1".into(), action).unwrap();
        desk.commit(now);
        let timeline = desk.client.log().observer().timeline::<Shared<Document>>("notes/1");
        let timeline = timeline.unwrap();
        timeline.assert_invariants();
        (id, timeline.state().to_json())
    };
    let (id, _) = key(&mut desk, "a");
    assert_eq!(key(&mut desk, "b"), (id.clone(), json!({"body": "ba"})));
    let write = json!({"op": "set", "path": "/title", "value": "Tea"});
    let write = json!({"type": "notes/edit", "id": "1", "ops": [write]});
    desk.receive_now(1, 4_000, &write);
    assert_eq!(key(&mut desk, "c").0, id, "the write is elsewhere");
    let write = json!({"op": "set", "path": "/body", "value": "Tea"});
    let write = json!({"type": "notes/edit", "id": "1", "ops": [write]});
    desk.receive_now(2, 4_001, &write);
    let (next, state) = key(&mut desk, "d");
    assert_eq!((next != id, state), (true, json!({"title": "Tea", "body": "d"})));
}

#[test]
fn an_undo_ends_the_burst_and_undoes_it_as_one() {
    let mut desk = connected();
    let id = desk.key(100, "a");
    desk.key(100, "b");
    let now = desk.now_after(100);
    assert!(desk.client.undo_step(now, &NOTE.into()).unwrap().is_some());
    desk.commit(now);
    assert_eq!(desk.text(), "");
    let sent = desk.sent();
    assert_eq!(sent[0]["ops"][0]["text"], "ab");
    assert_eq!((sent.len(), &sent[1]["id"]), (2, &json!(id.to_string())));
    let now = desk.now_after(100);
    assert!(desk.client.redo_step(now, &NOTE.into()).unwrap().is_some());
    desk.commit(now);
    assert_eq!(desk.text(), "ab");
    assert_ne!(desk.key(10, "c"), id);

    // Without a connection, nothing is sent.
    desk.disconnect();
    let id = desk.key(1_000, "d");
    desk.key(100, "e");
    let now = desk.now_after(100);
    let outcome = desk.client.undo(now, &id, "mistake").unwrap();
    assert!(matches!(outcome, UndoOutcome::Dropped(_)));
    assert_eq!(desk.text(), "abc");
}

#[test]
fn edits_that_are_steps_of_their_own_are_actions_of_their_own() {
    let mut desk = connected();
    desk.client = desk.client.with_undo_grouping(Duration::from_millis(50), 100);
    let first = desk.key(10, "a");
    assert_eq!(desk.key(40, "b"), first);
    assert_ne!(desk.key(60, "c"), first);
    let now = desk.now_after(10);
    assert!(desk.client.undo_step(now, &NOTE.into()).unwrap().is_some());
    assert_eq!(desk.text(), "ab");
}

/// What was typed without a connection is sent at the next one, also after a restart in the middle
/// of a burst.
#[test]
fn a_burst_survives_a_lost_connection_and_a_restart() {
    let mut desk = connected();
    let id = desk.key(100, "a");
    let now = desk.now_after(0);
    desk.client.handle(now, Input::Closed).unwrap();
    assert_eq!(desk.key(1, "b"), id, "the burst goes on");
    assert_eq!(inserted(&desk.connect()), ["ab"]);
    assert_ne!(desk.key(1, "c"), id, "a connection ends the burst");
    desk.disconnect();
    assert_eq!(inserted(&desk.connect()), ["ab", "c"], "they were not confirmed");

    let mut desk = connected();
    let id = desk.key(100, "a");
    desk.key(100, "b");
    let mut desk = desk.restart();
    assert_eq!((desk.text(), desk.client.unconfirmed()), ("ab".to_owned(), 1));
    assert_eq!(desk.client.fate(&id).unwrap(), Some(Fate::Kept));
    assert_ne!(desk.key(100, "c"), id);
    assert_eq!(inserted(&desk.connect()), ["ab", "c"]);
}

#[test]
fn a_refused_burst_disappears_as_a_whole() {
    let mut desk = connected();
    let id = desk.key(100, "a");
    desk.key(100, "b");
    desk.wait(500);
    desk.sent();
    desk.key(10, "c");
    desk.receive(5_000, "server:x", &refusal(&id, "denied"));
    assert_eq!(desk.text(), "c");
    assert!(desk.client.undo_state(&NOTE.into()).unwrap().can_undo);
}

/// Every edit within a burst is kept by the next commit, and reported once.
#[test]
fn a_burst_is_one_unconfirmed_action() {
    let mut desk = connected();
    while desk.client.poll_output().is_some() {}
    desk.key(100, "a");
    desk.key(100, "b");
    let mut fates = Vec::new();
    desk.wait(500);
    while let Some(output) = desk.client.poll_output() {
        if let Output::Fate(_, fate) = output {
            fates.push(fate);
        }
    }
    assert_eq!(fates, [Fate::Kept, Fate::Sent]);
    assert_eq!(desk.client.unconfirmed(), 1);
    assert_eq!(desk.client.unconfirmed_actions().unwrap().len(), 1);
}

/// The confirmation of an action does not confirm a burst that is not sent, although the burst was
/// added before the action was encrypted and sent.
#[test]
fn an_encrypted_action_that_is_sent_during_a_burst_does_not_cover_it() {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    desk.client = desk.client.with_encryption(EncryptionConfig::default()).unwrap();
    desk.connect();
    desk.sync(set("title", "Tea"));
    let id = desk.key(10, "a");
    let respond = |desk: &mut Desk| {
        let outputs: Vec<_> = std::iter::from_fn(|| desk.client.poll_output()).collect();
        let tokens = outputs.iter().filter_map(|output| match output {
            Output::Encrypt(request) => Some(request.token),
            _ => None,
        });
        let tokens: Vec<_> = tokens.collect();
        assert_eq!(tokens.len(), 1);
        let action = EncryptedAction { iv: [0; 12], data: vec![0; 16], is_compressed: false };
        let now = desk.now_after(0);
        desk.client.handle(now, Input::Encrypted(tokens[0], Ok(&action))).unwrap();
        desk.commit(now);
        let frames = std::iter::from_fn(|| desk.client.poll_output());
        let sent = frames.filter_map(|output| match output {
            Output::Send(frame) => serde_json::from_str::<Value>(&frame).ok(),
            _ => None,
        });
        let sync = sent.last().expect("a frame");
        let synced = json!(["synced", sync[1]]).to_string();
        desk.client.handle(now, Input::Frame(&synced)).unwrap();
        desk.commit(now);
    };
    respond(&mut desk);
    assert_eq!(desk.client.fate(&id).unwrap(), Some(Fate::Kept));
    assert_eq!((desk.client.unconfirmed(), desk.key(10, "b")), (1, id.clone()));
    desk.wait(500);
    respond(&mut desk);
    assert_eq!(desk.client.fate(&id).unwrap(), Some(Fate::Confirmed));
    assert_eq!(desk.client.unconfirmed(), 0);
}
