//! Undo returns to what was selected before an edit, and redo to what was selected before the undo.

use logux::{
    Json, MemoryStore,
    crdt::{Selection, Shared, Text, Unit},
    replay::{MAX_SELECTION, RevertedStep},
};
use serde_json::json;

use crate::device::{Desk, text_desk as desk, text_note};

const NOTE: &str = "texts/1";

trait Editor {
    fn state(&self) -> &Text;
    /// Selects the first place of a part of the text.
    fn select(&mut self, part: &str);
    /// Replaces the first place of a part of the text.
    fn replace(&mut self, part: &str, new: &str);
    fn undo_step(&mut self) -> Option<RevertedStep>;
    fn redo_step(&mut self) -> Option<RevertedStep>;
    /// Returns the text that a selection shows now.
    fn shown(&self, selection: &Json) -> String;
}

impl Editor for Desk {
    fn state(&self) -> &Text {
        self.client.log().observer().timeline::<Shared<Text>>(NOTE).unwrap().state()
    }

    fn select(&mut self, part: &str) {
        let text = self.state();
        let start = text.to_string().find(part).unwrap();
        let selection = Selection {
            anchor: text.anchor_before(start, Unit::Bytes).unwrap(),
            head: text.anchor_after(start + part.len(), Unit::Bytes).unwrap(),
        };
        let selection = Json::from_value(&selection).unwrap();
        self.client.select(&NOTE.into(), Some(selection)).unwrap();
    }

    fn replace(&mut self, part: &str, new: &str) {
        let now = self.now();
        let id = self.client.next_id(now.wall);
        let start = self.state().to_string().find(part).unwrap();
        let range = start..start + part.len();
        let ops = self.state().replace_ops(range, new, Unit::Bytes, &id).unwrap();
        self.client.edit(now, &NOTE.into(), text_note().action(&ops).unwrap()).unwrap();
        self.commit(now);
    }

    fn undo_step(&mut self) -> Option<RevertedStep> {
        let now = self.now();
        let undone = self.client.undo_step(now, &NOTE.into()).unwrap();
        self.commit(now);
        undone
    }

    fn redo_step(&mut self) -> Option<RevertedStep> {
        let now = self.now();
        let redone = self.client.redo_step(now, &NOTE.into()).unwrap();
        self.commit(now);
        redone
    }

    fn shown(&self, selection: &Json) -> String {
        let selection: Selection = selection.parse().unwrap();
        let [start, end] = [&selection.anchor, &selection.head]
            .map(|anchor| self.state().anchor_index(anchor, Unit::Bytes).unwrap());
        self.state().slice(start..end, Unit::Bytes)
    }
}

/// Types, selects a word and deletes it; somebody else types in between and around it.
fn deleted() -> Desk {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    desk.connect();
    desk.replace("", "a totally ordered log");
    desk.select("totally ");
    desk.replace("totally ", "");
    // The cursor is at the end when the user undoes.
    desk.select("log");
    let op = json!({"op": "insert", "first": 0, "text": "This is ", "before": "@10:phone:1 0"});
    let other = json!({"op": "insert", "first": 8, "text": "well-", "after": "@10:phone:1 9", "before": "@10:phone:1 10"});
    let action = json!({"type": "texts/edit", "id": "1", "ops": [op, other]});
    desk.receive(5_000, "20:c:d", &action);
    assert_eq!(desk.state().to_string(), "This is a well-ordered log");
    desk
}

#[test]
fn undo_returns_to_the_selection_before_the_edit() {
    let mut desk = deleted();
    let undone = desk.undo_step().unwrap();
    let text = "This is a totally well-ordered log";
    assert_eq!(desk.state().to_string(), text, "what somebody else typed stays");
    assert_eq!(desk.shown(&undone.selection.unwrap()), "totally ");
    let redone = desk.redo_step().unwrap();
    assert_eq!(desk.state().to_string(), "This is a well-ordered log");
    assert_eq!(desk.shown(&redone.selection.unwrap()), "log");
    let undone = desk.undo_step().unwrap();
    assert_eq!(desk.shown(&undone.selection.unwrap()), "totally ");
    // Nothing was selected before the first step.
    assert_eq!(desk.undo_step(), Some(RevertedStep::default()));
    assert_eq!((desk.undo_step(), desk.state().to_string()), (None, "This is well-".to_owned()));
}

#[test]
fn selections_survive_a_restart() {
    let before = deleted();
    let counters = before.counters();
    let mut after = desk("10:phone:2", before.client.into_store());
    after.set_counters(counters);
    after.select("This");
    let undone = after.undo_step().unwrap();
    assert_eq!(after.shown(&undone.selection.unwrap()), "totally ");
    let counters = after.counters();
    let mut again = desk("10:phone:3", after.client.into_store());
    again.set_counters(counters);
    let redone = again.redo_step().unwrap();
    assert_eq!(again.state().to_string(), "This is a well-ordered log");
    assert_eq!(again.shown(&redone.selection.unwrap()), "This");
}

#[test]
fn a_step_keeps_the_selection_before_its_first_edit() {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    let note = NOTE.into();
    for (ms, selected) in [(1_000, "1"), (100, "2"), (100, "3"), (1_000, "4")] {
        desk.client.select(&note, Some(Json::new(selected).unwrap())).unwrap();
        let now = desk.now_after(ms);
        let id = desk.client.next_id(now.wall);
        let op = desk.state().insert_op(0, "a", Unit::Utf16, &id).unwrap();
        let action = Shared::<Text>::new("texts", "1").action(&[op]).unwrap();
        desk.client.edit_in_burst(now, &note, action).unwrap();
        desk.commit(now);
    }
    // More than what is kept.
    let large = format!("\"{}\"", "a".repeat(MAX_SELECTION));
    desk.client.select(&note, Some(Json::new(large).unwrap())).unwrap();
    let selection = |step: Option<RevertedStep>| step.unwrap().selection.map(|it| it.to_string());
    assert_eq!(selection(desk.undo_step()).as_deref(), Some("4"));
    assert_eq!(desk.state().to_string(), "aaa");
    assert_eq!(selection(desk.undo_step()).as_deref(), Some("1"));
    assert_eq!(desk.state().to_string(), "");
    assert_eq!(selection(desk.redo_step()).as_deref(), Some("4"));
    assert_eq!(selection(desk.redo_step()), None);
}
