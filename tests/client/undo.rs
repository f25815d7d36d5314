//! Undo and redo of a device: before its actions are sent, after that, and refused by the server.

use core::time::Duration;

use logux::{
    Action, ActionId, MemoryStore,
    client::UndoOutcome,
    replay::{TimelineConfig, untyped_reducer},
};
use serde_json::{Value, json};

use crate::device::{Answer, Device, Replica, id_at, json_of, processed, refusal, set};

const HORIZON: Duration = Duration::from_hours(90 * 24);

fn dropped(outcome: &UndoOutcome) -> &ActionId {
    match outcome {
        UndoOutcome::Dropped(entry) => &entry.meta.id,
        UndoOutcome::Added(undo) => panic!("the undo {undo} was added"),
    }
}

#[test]
fn an_unsent_action_is_dropped_with_its_undo() {
    let mut device = Device::new();
    let kept = device.sync(set("title", "Shopping"));
    let mistake = device.sync(set("title", "Shoping"));
    assert_eq!(device.json(), json!({"title": "Shoping"}));
    assert_eq!(dropped(&device.undo(&mistake)), &mistake);
    assert_eq!(device.json(), json!({"title": "Shopping"}));
    assert_eq!(device.ids(), [kept], "neither the action nor an undo is left");
    assert_eq!(device.client.log().timeline().stats().steps, 1);
    device.client.log().timeline().assert_invariants();

    let mut device = device.restart();
    assert_eq!(device.json(), json!({"title": "Shopping"}), "after a restart");
    let sent = device.connect();
    assert_eq!(sent, [json_of(&set("title", "Shopping"))]);
}

#[test]
fn an_unsent_action_of_an_earlier_start_is_dropped() {
    let mut device = Device::new();
    device.connect();
    let sent = device.sync(set("a", "1"));
    device.disconnect();
    let unsent = device.sync(set("b", "2"));
    let mut device = device.restart();
    assert_eq!(dropped(&device.undo(&unsent)), &unsent);
    device.undo_sent(&sent);
    assert_eq!(device.json(), json!({}));
    let actions = device.connect();
    let ids: Vec<_> = actions.iter().map(|action| action["type"].clone()).collect();
    assert_eq!(ids, ["notes/edit", "logux/undo"], "the undo is sent after its action");
    assert_eq!(actions[1]["id"], json!(sent.to_string()));
}

/// The connection is cut before the server has confirmed the action, which may have arrived.
#[test]
fn an_action_that_may_have_arrived_is_undone_by_an_action() {
    let mut device = Device::new();
    let early = device.sync(set("a", "1"));
    device.connect();
    let late = device.sync(set("b", "2"));
    device.disconnect();
    for id in [&early, &late] {
        device.undo_sent(id);
    }
    assert_eq!(device.json(), json!({}));
    assert_eq!(device.ids().len(), 4);
    let types: Vec<_> = device.connect().iter().map(|action| action["type"].clone()).collect();
    assert_eq!(types, ["notes/edit", "notes/edit", "logux/undo", "logux/undo"]);
}

#[test]
fn an_unsent_undo_is_dropped_by_a_redo() {
    let mut device = Device::new();
    device.connect();
    let id = device.sync(set("a", "1"));
    device.receive(10, "server:x", &processed(&id));
    device.disconnect();
    let undo = device.undo_sent(&id);
    assert_eq!(device.json(), json!({}));
    assert_eq!(dropped(&device.undo(&undo)), &undo);
    assert_eq!(device.json(), json!({"a": "1"}));
    assert_eq!(device.ids(), std::slice::from_ref(&id));
    assert!(!device.client.log().timeline().is_undone(&undo), "it is forgotten");
    assert_eq!(device.connect(), [Value::Null; 0]);

    // An undo that was sent is undone by another one, and so on.
    let undo = device.undo_sent(&id);
    let redo = device.undo_sent(&undo);
    assert_eq!(device.json(), json!({"a": "1"}));
    device.undo_sent(&redo);
    assert_eq!(device.json(), json!({}));
    assert_eq!(device.sent().len(), 3);
    let device = device.restart();
    assert_eq!(device.json(), json!({}));
}

/// A reducer whose actions do not commute, and that keeps no history.
#[test]
fn unsent_actions_of_own_reducers_are_dropped() {
    let letters = || {
        untyped_reducer(String::new(), |text: &mut String, action: &Action| {
            text.extend(action.str_field("letter"));
        })
    };
    let config =
        || TimelineConfig { history: Some(1), clean_every: 1, ..TimelineConfig::default() };
    let letter = |letter| Action::new(format!(r#"{{"type":"add","letter":"{letter}"}}"#)).unwrap();
    let mut device = Device::start("10:phone:1", MemoryStore::new(), config(), letters());
    let ids = ["a", "b", "c", "d"].map(|text| device.sync(letter(text)));
    device.undo(&ids[1]);
    device.undo(&ids[3]);
    assert_eq!(device.client.log().state(), "ac");
    device.sync(letter("e"));
    assert_eq!(device.client.log().state(), "ace");
    assert!(!device.client.log().timeline().is_incomplete());
    let device = Device::start("10:phone:2", device.client.into_store(), config(), letters());
    assert_eq!(device.client.log().state(), "ace");
    assert_eq!(device.ids().len(), 3);
}

#[test]
fn subscriptions_and_unknown_actions_can_be_undone() {
    let mut device = Device::new();
    let subscribe = Action::new(r#"{"type":"logux/subscribe","channel":"notes/1"}"#).unwrap();
    let id = device.sync(subscribe);
    assert_eq!(dropped(&device.undo(&id)), &id);
    assert_eq!(device.connect(), [Value::Null; 0]);
    // The server decides about actions that the log does not keep.
    let unknown: ActionId = "1 20:tablet:1 0".parse().unwrap();
    let undo = device.undo_sent(&unknown);
    let expected = json!({"type": "logux/undo", "id": unknown.to_string(), "reason": "mistake"});
    assert_eq!(device.sent(), [expected]);
    let answers = device.receive(9_000, "server:x", &refusal(&undo, "notFound"));
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].undone(), (&undo, "notFound"));
    assert_eq!(device.ids(), []);
}

/// The server refuses the undo of an open action: the action has its effect again, and the undo
/// leaves no trace.
#[test]
fn a_refused_undo_leaves_no_trace() {
    for reason in ["denied", "notFound"] {
        let (mut device, mut other) = (Device::new(), Replica::new("20:tablet:1"));
        device.connect();
        let (id, later) = (device.sync(set("a", "1")), device.sync(set("b", "2")));
        for (own, field) in [(&id, set("a", "1")), (&later, set("b", "2"))] {
            other.receive(own, &json_of(&field));
        }
        device.receive(100, "server:x", &processed(&id));
        device.receive(101, "server:x", &processed(&later));
        let steps = device.client.log().timeline().stats().steps;
        for time in [200, 201] {
            let undo = device.undo_sent(&id);
            assert_eq!(device.json(), json!({"b": "2"}));
            let answers = device.receive(time, "server:x", &refusal(&undo, reason));
            assert_eq!(answers.len(), 1, "the application is told once");
            let Answer::Undone(refused, answer) = &answers[0] else { panic!("{answers:?}") };
            assert_eq!((refused, &*answer.reason), (&undo, reason));
            assert_eq!(answer.action.as_ref().unwrap().kind(), "logux/undo");
            assert_eq!(device.json(), other.json());
            assert_eq!(device.ids(), [id.clone(), later.clone()]);
            assert!(!device.client.log().timeline().is_undone(&undo), "it is forgotten");
        }
        assert_eq!(device.client.log().timeline().stats().steps, steps);
        device.client.log().timeline().assert_invariants();
        assert_eq!(device.connect(), [Value::Null; 0], "nothing is sent again");
        let mut device = device.restart();
        assert_eq!(device.json(), other.json());
        assert_eq!(device.connect(), [Value::Null; 0]);
    }
}

/// A device undoes an action without a connection that the server has settled meanwhile. The
/// snapshot and the refusal of the undo arrive in any order, also after the undo was sent twice.
#[test]
fn an_undo_of_a_settled_action_leaves_no_trace() {
    for (refused_first, is_cut, is_undone_later) in [
        (false, false, false),
        (true, false, false),
        (false, true, false),
        (true, true, false),
        (false, false, true),
    ] {
        let (mut device, mut server) = (Device::new(), Replica::new("server:x"));
        device.connect();
        let id = device.sync(set("a", "1"));
        server.receive(&id, &json_of(&set("a", "1")));
        device.receive(100, "server:x", &processed(&id));
        device.disconnect();
        let snapshot = server.fold(1_000_000, HORIZON);
        let undo = (!is_undone_later).then(|| device.undo_sent(&id));
        device.connect();
        let mut answers = Vec::new();
        if !refused_first {
            answers.extend(device.receive(1_000_000, "server:x", &snapshot));
            assert_eq!(device.json(), server.json());
        }
        let undo = undo.unwrap_or_else(|| device.undo_sent(&id));
        if is_cut {
            // The server has not confirmed the undo, so it is sent again for its answer.
            assert_eq!(device.connect().len(), 1);
        }
        answers.extend(device.receive(1_000_001, "server:x", &refusal(&undo, "settled")));
        if refused_first {
            assert_eq!(device.json(), server.json());
            answers.extend(device.receive(1_000_000, "server:x", &snapshot));
        }
        assert_eq!(answers.len(), 1, "the application is told once");
        assert_eq!(answers[0].undone(), (&undo, "settled"));
        assert_eq!(device.json(), server.json());
        assert_eq!(device.ids(), [id_at(1_000_000, "server:x")], "only the snapshot is left");
        device.client.log().timeline().assert_invariants();
        assert!(!device.client.log().timeline().is_incomplete());
        assert_eq!(device.connect(), [Value::Null; 0], "nothing is sent again");
        assert_eq!(device.restart().json(), server.json());
    }
}
