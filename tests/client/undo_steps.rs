//! Undo and redo of the edits of a device, in steps that survive a restart.

use logux::{
    Action, ActionId, MemoryStore,
    client::UndoState,
    crdt::{Crdt, SyncMaps},
    replay::Timeline,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::device::{self, Desk, Notes, processed, refusal, set};

const NOTE: &str = "notes/1";

fn desk(node: &str, store: MemoryStore) -> Desk {
    let mut desk = device::desk(node, store);
    desk.client.open(SyncMaps::new("tasks")).unwrap();
    desk
}

trait Undo {
    fn timeline(&self) -> &Timeline<Notes>;
    fn edit(&mut self, timeline: &str, action: Action) -> ActionId;
    fn undo_step(&mut self, timeline: &str) -> bool;
    fn redo_step(&mut self, timeline: &str) -> bool;
    fn state(&mut self, timeline: &str) -> (bool, bool);
    fn note(&self) -> Value;
    fn restart(self) -> Self;
}

impl Undo for Desk {
    fn timeline(&self) -> &Timeline<Notes> {
        self.client.log().observer().timeline(NOTE).unwrap()
    }

    fn edit(&mut self, timeline: &str, action: Action) -> ActionId {
        let now = self.now();
        let id = self.client.edit(now, &timeline.into(), action).unwrap();
        self.commit(now);
        id
    }

    fn undo_step(&mut self, timeline: &str) -> bool {
        let now = self.now();
        let undone = self.client.undo_step(now, &timeline.into()).unwrap().is_some();
        self.commit(now);
        self.timeline().assert_invariants();
        undone
    }

    fn redo_step(&mut self, timeline: &str) -> bool {
        let now = self.now();
        let redone = self.client.redo_step(now, &timeline.into()).unwrap().is_some();
        self.commit(now);
        self.timeline().assert_invariants();
        redone
    }

    fn state(&mut self, timeline: &str) -> (bool, bool) {
        let UndoState { can_undo, can_redo } = self.client.undo_state(&timeline.into()).unwrap();
        (can_undo, can_redo)
    }

    fn note(&self) -> Value {
        self.timeline().state().to_json()
    }

    fn restart(self) -> Self {
        let counters = self.counters();
        let mut new = desk("10:phone:2", self.client.into_store());
        new.set_counters(counters);
        new
    }
}

#[test]
fn steps_survive_a_restart() {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    desk.connect();
    for value in ["a", "b", "c"] {
        desk.edit(NOTE, set("title", value));
    }
    assert_eq!(desk.state(NOTE), (true, false));
    assert!(desk.undo_step(NOTE));
    assert_eq!(desk.note(), json!({"title": "b"}));

    let mut desk = desk.restart();
    assert_eq!(desk.note(), json!({"title": "b"}));
    assert_eq!(desk.state(NOTE), (true, true));
    assert!(desk.undo_step(NOTE));
    assert_eq!(desk.note(), json!({"title": "a"}));
    let mut desk = desk.restart();
    assert!(desk.redo_step(NOTE) && desk.redo_step(NOTE) && !desk.redo_step(NOTE));
    assert_eq!(desk.note(), json!({"title": "c"}));
    let mut desk = desk.restart();
    assert!(desk.undo_step(NOTE) && desk.undo_step(NOTE) && desk.undo_step(NOTE));
    assert_eq!(desk.note(), json!({}));
    assert!(!desk.undo_step(NOTE));
    assert_eq!(desk.state(NOTE), (false, true));

    // A new edit ends what can be redone, also for the next start.
    desk.edit(NOTE, set("title", "d"));
    let mut desk = desk.restart();
    assert_eq!(desk.state(NOTE), (true, false));
    assert!(!desk.redo_step(NOTE));
}

/// Nothing is sent for what was undone without a connection, and a redo brings back the same ids,
/// on which later operations may depend.
#[test]
fn unsent_steps_leave_and_come_back_with_their_ids() {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    let ids = [desk.edit(NOTE, set("a", "1")), desk.edit(NOTE, set("b", "2"))];
    assert!(desk.undo_step(NOTE) && desk.undo_step(NOTE));
    assert_eq!((desk.ids(), desk.client.unconfirmed()), (Vec::new(), 0));
    let mut desk = desk.restart();
    assert!(desk.redo_step(NOTE) && desk.redo_step(NOTE));
    assert_eq!((desk.ids(), desk.client.unconfirmed()), (ids.to_vec(), 2));
    assert_eq!(desk.note(), json!({"a": "1", "b": "2"}));
    assert!(desk.undo_step(NOTE));
    assert_eq!(desk.connect().len(), 1);
    // The redo of an action that was dropped before the connection.
    assert!(desk.redo_step(NOTE));
    assert_eq!(desk.sent().len(), 1);
    assert_eq!(desk.note(), json!({"a": "1", "b": "2"}));

    // The undo of a sent action is dropped by the redo as long as it is not sent.
    desk.disconnect();
    assert!(desk.undo_step(NOTE));
    assert_eq!(desk.note(), json!({"a": "1"}));
    assert!(desk.redo_step(NOTE));
    assert_eq!(desk.ids(), ids);
    assert!(desk.undo_step(NOTE) && desk.undo_step(NOTE));
    assert_eq!(desk.note(), json!({}));
}

#[test]
fn edits_within_a_moment_are_one_step() {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    desk.connect();
    let now = desk.now();
    for (ms, value) in [(0, "L"), (100, "Lo"), (200, "Log")] {
        let at = logux::Now::from_millis(
            now.wall.as_millis() + ms,
            now.mono.as_millis() + ms.unsigned_abs(),
        );
        desk.client.edit(at, &NOTE.into(), set("title", value)).unwrap();
    }
    let at = logux::Now::from_millis(now.wall.as_millis() + 300, now.mono.as_millis() + 300);
    desk.client.close_step(at, &NOTE.into()).unwrap();
    desk.client.edit(at, &NOTE.into(), set("title", "Logux")).unwrap();
    desk.commit(at);
    let mut desk = desk.restart();
    assert!(desk.undo_step(NOTE));
    assert_eq!(desk.note(), json!({"title": "Log"}));
    assert!(desk.undo_step(NOTE));
    assert_eq!(desk.note(), json!({}));
    assert!(!desk.undo_step(NOTE));
}

#[test]
fn refused_edits_and_undos_are_skipped() {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    desk.connect();
    let first = desk.edit(NOTE, set("a", "1"));
    let second = desk.edit(NOTE, set("b", "2"));
    desk.receive(10, "server:x", &processed(&first));
    desk.receive(11, "server:x", &refusal(&second, "denied"));
    assert_eq!(desk.note(), json!({"a": "1"}));
    assert!(desk.undo_step(NOTE), "the first, because the second has no effect");
    let undo = desk.ids().into_iter().rfind(|id| id.node() == second.node()).unwrap();
    assert_eq!(desk.note(), json!({}));
    desk.receive(12, "server:x", &refusal(&undo, "settled"));
    assert_eq!(desk.note(), json!({"a": "1"}));
    assert_eq!(desk.state(NOTE), (false, false));
    assert!(!desk.redo_step(NOTE));
}

/// The number of steps is limited; the oldest leave the store.
#[test]
fn the_oldest_steps_are_forgotten() {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    desk.client = desk.client.with_undo_grouping(std::time::Duration::ZERO, 3);
    for value in ["a", "b", "c", "d", "e"] {
        desk.edit(NOTE, set("title", value));
    }
    let mut values = 0;
    let count = |_: &str, _: &str| {
        values += 1;
        core::ops::ControlFlow::Continue(())
    };
    desk.client.log().walk_values("undo ", count).unwrap();
    assert_eq!(values, 3);
    let mut desk = desk.restart();
    assert!(desk.undo_step(NOTE) && desk.undo_step(NOTE) && desk.undo_step(NOTE));
    assert_eq!(desk.note(), json!({"title": "b"}));
    assert!(!desk.undo_step(NOTE));
}

#[test]
fn records_are_undone_by_their_former_values() {
    let task = |verb, fields: Value| {
        let action = json!({"type": format!("tasks/{verb}"), "id": "7", "fields": fields});
        Action::new(action.to_string()).unwrap()
    };
    let title = |desk: &Desk| {
        let records = desk.client.log().observer().timeline::<SyncMaps>("tasks").unwrap().state();
        records.get("7").and_then(|record| record.get("title").cloned())
    };
    let mut desk = desk("10:phone:1", MemoryStore::new());
    desk.connect();
    desk.edit("tasks", task("create", json!({"title": "Tea"})));
    desk.edit("tasks", task("change", json!({"title": "Milk"})));
    desk.sent();
    assert!(desk.undo_step("tasks"));
    assert_eq!(
        desk.sent()[0],
        json!({"type": "tasks/change", "id": "7", "fields": {"title": "Tea"}})
    );
    assert!(desk.redo_step("tasks"));
    assert_eq!(title(&desk), Some(json!("Milk")));
    // Somebody has written the field since.
    desk.receive(
        90_000,
        "server:x",
        &json!({"type": "tasks/changed", "id": "7", "fields": {"title": "Rum"}}),
    );
    desk.undo_step("tasks");
    assert_eq!(title(&desk), Some(json!("Rum")));
}

/// What a user does, and what happens to the connection.
#[derive(Clone, Copy, Debug)]
enum Step {
    Edit(usize, u64),
    Undo,
    Redo,
    Connect,
    Disconnect,
    Restart,
    Answer,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, 0..1_500_u64).prop_map(|(field, ms)| Step::Edit(field, ms)),
        4 => Just(Step::Undo),
        3 => Just(Step::Redo),
        1 => Just(Step::Connect),
        1 => Just(Step::Disconnect),
        1 => Just(Step::Restart),
        1 => Just(Step::Answer),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Undo and redo lead through the same states, whatever is sent, answered and restarted in
    /// between.
    #[test]
    fn undo_and_redo_lead_through_the_same_states(steps in prop::collection::vec(step(), 1..60)) {
        let mut desk = desk("10:phone:1", MemoryStore::new());
        // Past states, and future ones.
        let (mut past, mut future) = (Vec::new(), Vec::new());
        let mut last_edit: Option<u64> = None;
        let mut unanswered = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Edit(field, ms) => {
                    let before = desk.note();
                    let now = desk.now_after(ms);
                    let is_open = last_edit.is_some_and(|last| now.mono.as_millis() - last <= 500);
                    if !is_open {
                        past.push(before);
                    }
                    future.clear();
                    let action = set(["a", "b", "c"][field], &number.to_string());
                    unanswered.push(desk.client.edit(now, &NOTE.into(), action).unwrap());
                    desk.commit(now);
                    last_edit = Some(now.mono.as_millis());
                }
                Step::Undo => {
                    last_edit = None;
                    let before = desk.note();
                    prop_assert_eq!(desk.undo_step(NOTE), !past.is_empty());
                    if let Some(state) = past.pop() {
                        prop_assert_eq!(desk.note(), state);
                        future.push(before);
                    }
                }
                Step::Redo => {
                    last_edit = None;
                    let before = desk.note();
                    prop_assert_eq!(desk.redo_step(NOTE), !future.is_empty());
                    if let Some(state) = future.pop() {
                        prop_assert_eq!(desk.note(), state);
                        past.push(before);
                    }
                }
                Step::Connect => drop(desk.connect()),
                Step::Disconnect => desk.disconnect(),
                Step::Restart => {
                    last_edit = None;
                    desk = desk.restart();
                }
                Step::Answer => {
                    for (ms, id) in (number as i64 * 100..).zip(unanswered.drain(..)) {
                        desk.receive(1_000_000 + ms, "server:x", &processed(&id));
                    }
                }
            }
            prop_assert_eq!(desk.state(NOTE), (!past.is_empty(), !future.is_empty()));
        }
    }
}
