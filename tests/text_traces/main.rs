//! Recorded concurrent editing ends in the recorded text on every replica, whatever the order of
//! arrival.
//!
//! The traces are those of `../shared/traces`, beside the repository. They are not part of it: a
//! missing one is replaced by a generated history, and a line says so. In the recorded ones, no
//! author inserts where another one does at the same time; the generated one is always tested, too.
//!
//! Through a log, `./check` tests the beginnings. The whole traces take minutes:
//! `cargo nextest run --release --test text_traces --run-ignored all --no-capture`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod history;
mod trace;

use core::fmt::Debug;

use logux::{
    Action, ActionId, Entry, Log, MemoryStore, Meta, NodeId, WallTime,
    crdt::{Crdt, Document, Shared, Text, Unit},
    log::Draft,
    replay::{Timeline, TimelineConfig},
};
use serde_json::json;

use history::{Arrival, Edited, History};
use trace::{Trace, generated, recorded};

/// Asserts that a state is the expected one.
fn assert_same<C: Edited>(state: &C, expected: &C, history: &History<C>, how: &dyn Debug) {
    assert!(state.text() == expected.text(), "{how:?}: {}", difference(state, expected));
    assert!(state == expected, "{how:?}: the states differ in what is not visible");
    assert!(state.save() == expected.save(), "{how:?}: equal states have equal bytes");
    state.check_invariants();
    let resolve = |state: &C, anchor| state.as_text()?.anchor_index(anchor, Unit::Utf16);
    for anchor in &history.anchors {
        let index = resolve(state, anchor);
        assert!(index.is_some(), "{how:?}: {anchor:?} has a place");
        assert_eq!(index, resolve(expected, anchor), "{how:?}: {anchor:?}");
    }
}

/// Describes the first difference of two texts.
fn difference<C: Edited>(one: &C, other: &C) -> String {
    let (one, other) = (one.text(), other.text());
    let at = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| {
        text.get(at.saturating_sub(20)..).unwrap_or(text).chars().take(60).collect::<String>()
    };
    format!("at byte {at}: {:?}, expected {:?}", part(&one), part(&other))
}

/// Asserts that all authors end with the same text, the recorded one if there is one.
fn performed<C: Edited>(trace: &Trace) -> History<C> {
    let history = History::<C>::of(trace);
    let expected = &history.replicas[0];
    if let Some(text) = &trace.text {
        assert!(
            expected.text() == *text,
            "the first author has another text than the recorded one"
        );
    }
    for (author, replica) in history.replicas.iter().enumerate() {
        assert_same(replica, expected, &history, &format!("author {author}"));
    }
    assert!(expected.text().len() > trace.steps.len() / 4, "there is a text");
    history
}

/// Lets all operations arrive in several orders, with a state that is saved and loaded three times.
fn in_any_order(trace: &Trace) {
    let history = performed::<Text>(trace);
    let expected = &history.replicas[0];
    for arrival in Arrival::ALL {
        let order = arrival.order(&history.edits);
        let mut text = Text::default();
        for part in order.chunks(order.len().div_ceil(4)) {
            part.iter().for_each(|edit| history.edits[*edit].apply(&mut text));
            let loaded = Text::load(&text.save()).unwrap();
            assert!(loaded == text, "{arrival:?}: saving and loading changes the text");
            text = loaded;
        }
        assert_same(&text, expected, &history, &arrival);
        // What arrives again changes nothing.
        order.iter().step_by(7).for_each(|edit| history.edits[*edit].apply(&mut text));
        assert_same(&text, expected, &history, &(arrival, "some of it twice"));
    }
}

#[test]
fn friendsforever_arrives_in_any_order() {
    in_any_order(&recorded("friendsforever"));
}

#[test]
fn clownschool_arrives_in_any_order() {
    in_any_order(&recorded("clownschool"));
}

#[test]
fn a_generated_history_arrives_in_any_order() {
    in_any_order(&generated(1, 4, 4_000));
}

fn shared<C: Crdt>() -> Shared<C> {
    Shared::new("it", "1")
}

/// Returns the entries that undo the actions of others.
fn undos(of: &[Entry], first_time: i64) -> Vec<Entry> {
    let undo = |(time, entry): (i64, &Entry)| {
        let undo = json!({"type": "logux/undo", "id": entry.meta.id, "reason": "undo"});
        let time = WallTime::from_millis(time);
        let id = ActionId::new(time, entry.meta.id.node().clone(), 0);
        Entry::new(Action::new(undo.to_string()).unwrap(), Meta::new(id))
    };
    (first_time..).zip(of).map(undo).collect()
}

/// Lets all actions arrive at a log in several orders, with a restart in the middle. At the end,
/// everything is undone and redone.
fn through_a_log<C: Edited>(trace: &Trace) {
    let history = performed::<C>(trace);
    let expected = &history.replicas[0];
    let entries: Vec<Entry> = history.edits.iter().map(|edit| edit.entry()).collect();
    let undos_of_all = undos(&entries, 1_800_000_000_000);
    let redos = undos(&undos_of_all, 1_900_000_000_000);
    for arrival in Arrival::ALL {
        let order = arrival.order(&history.edits);
        let node = NodeId::new("99:reader:x").unwrap();
        let open = |store: MemoryStore| {
            let timeline = Timeline::read(shared::<C>(), TimelineConfig::default(), &store);
            Log::with_observer(node.clone(), store, timeline.unwrap()).unwrap()
        };
        let mut log = open(MemoryStore::new());
        for (count, edit) in order.iter().enumerate() {
            let Entry { action, meta } = entries[*edit].clone();
            let draft = Draft::of(meta.id, meta.time);
            log.add(WallTime::from_millis(2_000_000_000_000), action, draft).unwrap();
            if count == order.len() / 2 {
                log = open(log.store().clone());
            }
        }
        assert_same(log.state(), expected, &history, &(arrival, "through a log"));
        log.timeline().assert_invariants();
        let mut timeline =
            Timeline::read(shared::<C>(), TimelineConfig::default(), log.store()).unwrap();
        assert_same(timeline.state(), expected, &history, &(arrival, "after a restart"));
        timeline.extend(order.iter().map(|edit| &undos_of_all[*edit]));
        assert_eq!(timeline.state().text(), "", "{arrival:?}: everything is undone");
        timeline.extend(order.iter().map(|edit| &redos[*edit]));
        assert_same(timeline.state(), expected, &history, &(arrival, "everything is redone"));
        timeline.assert_invariants();
    }
}

/// The number of steps of the traces that `./check` sends through logs.
const BEGINNING: usize = 1_500;

#[test]
fn the_beginning_of_friendsforever_arrives_at_logs_of_texts() {
    through_a_log::<Text>(&recorded("friendsforever").prefix(BEGINNING));
}

#[test]
fn the_beginning_of_clownschool_arrives_at_logs_of_documents() {
    through_a_log::<Document>(&recorded("clownschool").prefix(BEGINNING));
}

#[test]
fn a_generated_history_arrives_at_logs_of_texts_and_documents() {
    let trace = generated(2, 3, BEGINNING / 2);
    through_a_log::<Text>(&trace);
    through_a_log::<Document>(&trace);
}

#[test]
#[ignore = "takes minutes; to be run after changes of the sequence or of the timeline"]
fn whole_traces_arrive_at_logs() {
    for name in ["friendsforever", "clownschool"] {
        through_a_log::<Text>(&recorded(name));
        through_a_log::<Document>(&recorded(name));
    }
    through_a_log::<Text>(&generated(3, 5, 20_000));
}
