//! Undo and redo affect only a user's own edits, and survive a restart.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use core::{convert::Infallible, time::Duration};

use logux::{
    Log, MemoryStore, NodeId, Now, Store, WallTime,
    crdt::{Crdt, List, ListError, ListOp, Map, MapOp, Shared},
    log::Draft,
    replay::{Timeline, TimelineConfig, UndoManager},
    store::Query,
};
use serde_json::{Value, json};

type Replica<C> = Log<MemoryStore, Timeline<Shared<C>>>;

fn replica<C: Crdt>(node: &str) -> Replica<C> {
    Log::with_observer(
        NodeId::new(node).unwrap(),
        MemoryStore::new(),
        Timeline::new(Shared::new("it", "1")),
    )
    .unwrap()
}

/// Sends each replica the actions that it lacks.
fn exchange<C: Crdt>(one: &mut Replica<C>, other: &mut Replica<C>) {
    for _ in 0..2 {
        for entry in one.store().page(&Query::added().oldest_first(), usize::MAX).unwrap().entries {
            other
                .add(WallTime::default(), entry.action, Draft::of(entry.meta.id, entry.meta.time))
                .unwrap();
        }
        core::mem::swap(one, other);
    }
}

fn at(ms: u64) -> Now {
    Now::from_millis(i64::try_from(ms).unwrap(), ms)
}

fn write(log: &mut Replica<Map>, undo: &mut UndoManager, ms: u64, path: &str, value: Value) {
    let op = MapOp::Set { path: path.parse().unwrap(), value: value.into() };
    let entry = log.edit(at(ms).wall, |_, _| Ok::<_, Infallible>(op)).unwrap();
    undo.done(at(ms).mono, entry.meta.id);
}

fn change(
    log: &mut Replica<List>,
    undo: &mut UndoManager,
    ms: u64,
    make: impl FnOnce(&List, &logux::ActionId) -> Result<ListOp, ListError>,
) {
    let entry = log.edit(at(ms).wall, make).unwrap();
    undo.done(at(ms).mono, entry.meta.id);
}

#[test]
fn only_own_edits_are_undone() {
    let (mut ada, mut grace) = (replica::<Map>("10:ada:x"), replica::<Map>("20:grace:x"));
    let (mut undo, mut other) = (UndoManager::default(), UndoManager::default());
    write(&mut ada, &mut undo, 1, "/title", json!("Ada's"));
    exchange(&mut ada, &mut grace);
    write(&mut grace, &mut other, 2, "/title", json!("Grace's"));
    write(&mut grace, &mut other, 3, "/text", json!("hello"));
    exchange(&mut ada, &mut grace);
    assert!(undo.undo(at(4).wall, &mut ada).unwrap().is_some());
    assert_eq!(ada.state().to_json(), json!({"title": "Grace's", "text": "hello"}));
    exchange(&mut ada, &mut grace);
    assert!(other.undo(at(5).wall, &mut grace).unwrap().is_some());
    assert_eq!(
        grace.state().to_json(),
        json!({}),
        "both of her edits are one step, and the edit of Ada is undone"
    );
    assert!(undo.redo(at(6).wall, &mut ada).unwrap().is_some());
    exchange(&mut ada, &mut grace);
    assert_eq!(grace.state().to_json(), json!({"title": "Ada's"}));
    assert_eq!(ada.state(), grace.state());
}

#[test]
fn quick_edits_are_one_step_and_a_new_edit_ends_redo() {
    let mut log = replica::<Map>("10:ada:x");
    let mut undo = UndoManager::default();
    for (ms, text) in [(0, "a"), (400, "ab"), (800, "abc"), (2_000, "abcd")] {
        write(&mut log, &mut undo, ms, "/text", json!(text));
    }
    undo.undo(at(3_000).wall, &mut log).unwrap();
    assert_eq!(log.state().get("/text"), Some(&json!("abc").into()));
    undo.undo(at(3_000).wall, &mut log).unwrap();
    assert_eq!(log.state().get("/text"), None);
    assert!(undo.undo(at(3_000).wall, &mut log).unwrap().is_none() && !undo.can_undo());
    undo.redo(at(3_100).wall, &mut log).unwrap();
    undo.redo(at(3_100).wall, &mut log).unwrap();
    assert_eq!(log.state().get("/text"), Some(&json!("abcd").into()));
    undo.undo(at(3_200).wall, &mut log).unwrap();
    write(&mut log, &mut undo, 3_300, "/text", json!("other"));
    assert!(!undo.can_redo() && undo.redo(at(3_400).wall, &mut log).unwrap().is_none());
    undo.undo(at(3_500).wall, &mut log).unwrap();
    assert_eq!(log.state().get("/text"), Some(&json!("abc").into()), "undone steps stay undone");
}

#[test]
fn undo_and_redo_survive_a_restart() {
    let mut log = replica::<Map>("10:ada:x");
    let mut undo = UndoManager::default();
    write(&mut log, &mut undo, 0, "/a", json!(1));
    write(&mut log, &mut undo, 5_000, "/b", json!(2));
    undo.undo(at(6_000).wall, &mut log).unwrap();
    let saved = serde_json::to_string(&undo).unwrap();
    let store = log.into_store();
    let timeline =
        Timeline::read(Shared::<Map>::new("it", "1"), TimelineConfig::default(), &store).unwrap();
    let mut log = Log::with_observer(NodeId::new("10:ada:x").unwrap(), store, timeline).unwrap();
    let mut undo: UndoManager = serde_json::from_str(&saved).unwrap();
    assert_eq!(log.state().to_json(), json!({"a": 1}));
    undo.redo(at(7_000).wall, &mut log).unwrap();
    assert_eq!(log.state().to_json(), json!({"a": 1, "b": 2}));
    undo.undo(at(8_000).wall, &mut log).unwrap();
    undo.undo(at(8_000).wall, &mut log).unwrap();
    assert_eq!(log.state().to_json(), json!({}));
}

#[test]
fn undoing_an_edit_of_a_deleted_item_does_not_restore_it() {
    let (mut ada, mut grace) = (replica::<List>("10:ada:x"), replica::<List>("20:grace:x"));
    let (mut undo, mut other) = (UndoManager::default(), UndoManager::default());
    change(&mut ada, &mut undo, 1, |list, id| list.push_op(json!("milk"), id));
    undo.close_step();
    exchange(&mut ada, &mut grace);
    change(&mut ada, &mut undo, 2, |list, id| list.set_op(0, json!("oat milk"), id));
    change(&mut grace, &mut other, 3, |list, id| list.remove_op(0, id));
    exchange(&mut ada, &mut grace);
    undo.undo(at(4).wall, &mut ada).unwrap();
    assert!(ada.state().is_empty(), "the item stays deleted");
    exchange(&mut ada, &mut grace);
    other.undo(at(5).wall, &mut grace).unwrap();
    assert_eq!(
        grace.state().to_json(),
        json!(["milk"]),
        "the item is restored without the undone edit"
    );
    exchange(&mut ada, &mut grace);
    undo.redo(at(6).wall, &mut ada).unwrap();
    exchange(&mut ada, &mut grace);
    assert_eq!(grace.state().to_json(), json!(["oat milk"]));
}

#[test]
fn settled_steps_are_skipped() {
    let node = NodeId::new("10:ada:x").unwrap();
    let shared = Shared::<Map>::new("it", "1").settled_by(node.clone());
    let mut log = Log::with_observer(node, MemoryStore::new(), Timeline::new(shared)).unwrap();
    let mut undo = UndoManager::default();
    for n in 0..10_u64 {
        write(&mut log, &mut undo, n * 1_000, "/n", json!(n));
        if n == 6 {
            log.fold(at(n * 1_000).wall, Duration::from_hours(1)).unwrap();
        }
    }
    let mut undone = 0;
    while undo.undo(at(20_000).wall, &mut log).unwrap().is_some() {
        undone += 1;
    }
    assert_eq!(undone, 3);
    assert_eq!(log.state().get("/n"), Some(&json!(6).into()));
}

#[test]
fn all_that_an_author_did_is_undone_after_a_preview() {
    let (mut ada, mut grace) = (replica::<Map>("10:ada:x"), replica::<Map>("20:grace:x"));
    let (mut undo, mut other) = (UndoManager::default(), UndoManager::default());
    write(&mut grace, &mut other, 1, "/kept", json!(1));
    write(&mut ada, &mut undo, 2, "/title", json!("Ada's"));
    exchange(&mut ada, &mut grace);
    for (ms, path) in [(3, "/title"), (4, "/a"), (5, "/b")] {
        write(&mut grace, &mut other, ms, path, json!("spam"));
    }
    exchange(&mut ada, &mut grace);
    let ids = ada.timeline().actions_by("20", at(3).wall);
    assert_eq!(ids.len(), 3);
    let preview = ada.timeline().state_without(&ids);
    assert_eq!(preview.to_json(), json!({"kept": 1, "title": "Ada's"}));
    assert_eq!(ada.state().get("/a"), Some(&json!("spam").into()), "nothing has changed");
    assert_eq!(undo.undo_actions(at(6).wall, &mut ada, &ids).unwrap(), 3);
    assert_eq!(*ada.state(), preview);
    exchange(&mut ada, &mut grace);
    assert_eq!(*grace.state(), preview);
    assert!(ada.timeline().actions_by("20", at(3).wall).is_empty());
    assert!(undo.redo(at(7).wall, &mut ada).unwrap().is_some());
    exchange(&mut ada, &mut grace);
    assert_eq!(grace.state().get("/title"), Some(&json!("spam").into()));
}
