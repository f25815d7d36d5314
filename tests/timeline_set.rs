//! Timelines that open and close over a running log.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use logux::{
    Action, ActionId, Log, MemoryStore, NodeId, WallTime,
    crdt::{Crdt, List, Map, MapOp, Shared, SyncMaps},
    log::Draft,
    replay::TimelineSet,
    store::{Query, Store},
};
use serde_json::{Value, json};

type Documents = Log<MemoryStore, TimelineSet>;

fn log_over(store: MemoryStore) -> Documents {
    Log::with_observer(NodeId::new("10:a:b").unwrap(), store, TimelineSet::default()).unwrap()
}

fn note(id: &str) -> Shared<Map> {
    Shared::new("notes", id)
}

fn set(id: &str, key: &str, value: i64) -> Action {
    let path = format!("/{key}").parse().unwrap();
    note(id).action(&[MapOp::Set { path, value: json!(value).into() }]).unwrap()
}

fn add(log: &mut Documents, ms: i64, action: Action) -> ActionId {
    log.add(WallTime::from_millis(ms), action, Draft::reason("test")).unwrap().unwrap().meta.id
}

fn undo(id: &ActionId) -> Action {
    Action::new(format!(r#"{{"type":"logux/undo","id":"{id}","reason":"undo"}}"#)).unwrap()
}

fn state(log: &Documents, id: &str) -> Value {
    log.observer().timeline::<Shared<Map>>(&format!("notes/{id}")).unwrap().state().to_json()
}

fn changed(log: &mut Documents) -> Vec<Arc<str>> {
    log.observer_mut().take_changed().collect()
}

#[test]
fn an_action_changes_its_document_alone() {
    let mut log = log_over(MemoryStore::new());
    log.open(note("1")).unwrap();
    log.open(note("2")).unwrap();
    log.open(SyncMaps::new("tasks")).unwrap();
    add(&mut log, 1, set("1", "a", 1));
    assert_eq!(changed(&mut log), ["notes/1".into()]);
    add(&mut log, 2, set("2", "a", 2));
    add(&mut log, 3, set("3", "a", 3));
    let task = r#"{"type":"tasks/created","id":"7","fields":{"title":"Tea"}}"#;
    add(&mut log, 4, Action::new(task).unwrap());
    assert_eq!(changed(&mut log), ["notes/2".into(), "tasks".into()]);
    assert_eq!((state(&log, "1"), state(&log, "2")), (json!({"a": 1}), json!({"a": 2})));
    let tasks = log.observer().timeline::<SyncMaps>("tasks").unwrap();
    assert_eq!(tasks.state().field("7", "title"), Some(&json!("Tea").into()));
    assert!(log.observer().timeline::<Shared<List>>("notes/1").is_none(), "another type");
}

#[test]
fn undos_reach_the_timeline_of_their_action() {
    let mut log = log_over(MemoryStore::new());
    log.open(note("1")).unwrap();
    log.open(SyncMaps::new("tasks")).unwrap();
    let edit = add(&mut log, 1, set("1", "a", 1));
    let task = r#"{"type":"tasks/create","id":"7","fields":{"title":"Tea"}}"#;
    let task = add(&mut log, 2, Action::new(task).unwrap());
    changed(&mut log);
    let undone = add(&mut log, 3, undo(&edit));
    add(&mut log, 4, undo(&task));
    assert_eq!(changed(&mut log), ["notes/1".into(), "tasks".into()]);
    assert_eq!(state(&log, "1"), json!({}));
    add(&mut log, 5, undo(&undone));
    assert_eq!(state(&log, "1"), json!({"a": 1}));
    // The undos are read with their actions.
    let mut log = log_over(log.into_store());
    log.open(note("1")).unwrap();
    log.open(SyncMaps::new("tasks")).unwrap();
    assert_eq!(state(&log, "1"), json!({"a": 1}));
    assert_eq!(log.observer().timeline::<SyncMaps>("tasks").unwrap().state().get("7"), None);
    add(&mut log, 6, undo(&undone));
    assert_eq!(state(&log, "1"), json!({"a": 1}), "the redo is undone by nobody");
}

#[test]
fn an_undo_may_arrive_before_its_action() {
    let mut log = log_over(MemoryStore::new());
    log.open(note("1")).unwrap();
    let id: ActionId = "1 20:x:y 0".parse().unwrap();
    add(&mut log, 2, undo(&id));
    let edit = set("1", "a", 1);
    log.add(WallTime::from_millis(3), edit, Draft::of(id, WallTime::from_millis(1))).unwrap();
    assert_eq!(state(&log, "1"), json!({}));
}

#[test]
fn a_document_is_the_same_when_it_is_opened_again() {
    let mut log = log_over(MemoryStore::new());
    log.open(note("1")).unwrap();
    add(&mut log, 1, set("1", "a", 1));
    assert!(log.observer_mut().close("notes/1") && !log.observer_mut().close("notes/1"));
    add(&mut log, 2, set("1", "b", 2));
    assert_eq!(changed(&mut log), []);
    log.open(note("1")).unwrap();
    assert_eq!(state(&log, "1"), json!({"a": 1, "b": 2}), "also what was added meanwhile");
    add(&mut log, 3, set("1", "c", 3));
    let mut log = log_over(log.into_store());
    log.open(note("1")).unwrap();
    assert_eq!(state(&log, "1"), json!({"a": 1, "b": 2, "c": 3}));
    log.open(note("1")).unwrap();
    assert_eq!(log.observer().names().count(), 1);
}

#[test]
fn a_snapshot_settles_the_document_that_it_names() {
    let mut log = log_over(MemoryStore::new());
    log.open(note("1")).unwrap();
    log.open(note("2")).unwrap();
    let first = add(&mut log, 1, set("1", "a", 1));
    add(&mut log, 2, set("2", "a", 2));
    let timeline = log.observer().timeline::<Shared<Map>>("notes/1").unwrap();
    let snapshot = note("1").snapshot_action(&Shared::settlement(timeline, None)).unwrap();
    let server: ActionId = "9 server:x 0".parse().unwrap();
    let draft = Draft::of(server, WallTime::from_millis(9));
    log.add(WallTime::from_millis(9), snapshot, draft).unwrap();
    assert_eq!((state(&log, "1"), state(&log, "2")), (json!({"a": 1}), json!({"a": 2})));
    let of_document = Query::added().index("notes/1");
    let kept = log.store().page(&of_document, 10).unwrap().entries;
    let first = kept.iter().find(|entry| entry.meta.id == first).unwrap();
    assert!(first.meta.reasons.iter().all(|reason| &**reason == "test"), "{:?}", first.meta);
}
