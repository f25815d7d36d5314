//! Snapshots settle actions: every undo has one outcome, on whoever kept running, restarted, or
//! opened a snapshot.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod orders;
mod worlds;

use core::{convert::Infallible, time::Duration};

use logux::{
    Action, ActionId, Log, MemoryStore, NodeId, Now, Store, WallTime,
    crdt::{Counter, CounterOp, Crdt, Document, DocumentOp, List, Map, MapOp, Path, Shared},
    log::Draft,
    replay::{Timeline, TimelineConfig, TimelineWarning, UndoManager},
    store::{Entry, Query},
};
use serde_json::{Value, json};

const DAY: u64 = 86_400_000;
const HORIZON: Duration = Duration::from_hours(90 * 24);

/// One device with a log of a document.
struct Replica<C: Crdt> {
    log: Log<MemoryStore, Timeline<Shared<C>>>,
    undo: UndoManager,
    /// The highest `added` number that was sent to others.
    sent: u64,
}

fn shared<C: Crdt>() -> Shared<C> {
    Shared::new("it", "1").settled_by(node("hub"))
}

fn node(name: &str) -> NodeId {
    NodeId::new(format!("{name}:device:tab")).unwrap()
}

fn at(ms: u64) -> Now {
    Now::from_millis(1_700_000_000_000 + i64::try_from(ms).unwrap(), ms)
}

impl<C: Crdt> Replica<C> {
    fn new(name: &str) -> Self {
        let log =
            Log::with_observer(node(name), MemoryStore::new(), Timeline::new(shared())).unwrap();
        Self { log, undo: UndoManager::default(), sent: 0 }
    }

    fn edit(&mut self, ms: u64, make: impl FnOnce(&C, &ActionId) -> C::Op) -> ActionId {
        let make = |state: &C, id: &ActionId| Ok::<_, Infallible>(make(state, id));
        let entry = self.log.edit(at(ms).wall, make).unwrap();
        self.undo.done(at(ms).mono, entry.meta.id.clone());
        entry.meta.id
    }

    fn undo(&mut self, ms: u64) -> bool {
        self.undo.undo(at(ms).wall, &mut self.log).unwrap().is_some()
    }

    fn receive(&mut self, entry: &Entry) {
        let draft = Draft::of(entry.meta.id.clone(), entry.meta.time);
        self.log.add(WallTime::default(), entry.action.clone(), draft).unwrap();
    }

    /// Returns the entries that were added since the last call.
    fn news(&mut self) -> Vec<Entry> {
        let query = Query::added().oldest_first().after_added(self.sent);
        let entries = self.log.store().page(&query, usize::MAX).unwrap().entries;
        self.sent = self.log.last_added().unwrap();
        entries
    }

    /// Stops and starts: the state is read from the store.
    fn restart(&mut self) {
        let store = self.log.store().clone();
        let timeline = Timeline::read(shared(), TimelineConfig::default(), &store).unwrap();
        self.log = Log::with_observer(self.log.node_id().clone(), store, timeline).unwrap();
    }

    fn fold(&mut self, ms: u64) {
        self.log.fold(at(ms).wall, HORIZON).unwrap();
    }

    fn json(&self) -> Value {
        self.log.state().to_json()
    }

    fn size(&self) -> usize {
        self.log.store().page(&Query::added(), usize::MAX).unwrap().entries.len()
    }
}

/// Sends what is new to all others.
fn meet<C: Crdt>(replicas: &mut [&mut Replica<C>]) {
    let news: Vec<Vec<Entry>> = replicas.iter_mut().map(|replica| replica.news()).collect();
    for (from, entries) in news.iter().enumerate() {
        for (to, replica) in replicas.iter_mut().enumerate() {
            if from != to {
                entries.iter().for_each(|entry| replica.receive(entry));
            }
        }
    }
    replicas.iter_mut().for_each(|replica| drop(replica.news()));
}

/// Returns a replica that has nothing but what another one keeps.
fn newcomer<C: Crdt>(of: &Replica<C>) -> Replica<C> {
    let mut replica = Replica::new("newcomer");
    for entry in of.log.store().page(&Query::added().oldest_first(), usize::MAX).unwrap().entries {
        replica.receive(&entry);
    }
    replica
}

fn set(path: &str, value: impl Into<Value>) -> MapOp {
    MapOp::Set { path: path.parse().unwrap(), value: value.into().into() }
}

#[test]
fn seven_hundred_letters_are_undone_to_the_end() {
    let mut ada = Replica::<List>::new("ada");
    ada.undo = UndoManager::grouping(Duration::from_millis(100), 1_000);
    for n in 0..700_u64 {
        ada.edit(n * 1_000, |list, id| list.push_op(json!(n), id).unwrap());
        if n % 10 == 9 {
            let at = list_len(&ada) - 5;
            ada.edit(n * 1_000 + 600, |list, id| list.set_op(at, json!("corrected"), id).unwrap());
        }
    }
    let mut ms = 1_000_000;
    while ada.undo(ms) {
        ms += 1;
    }
    assert_eq!(ada.json(), json!([]));
    ada.restart();
    assert_eq!(ada.json(), json!([]));
}

fn list_len(replica: &Replica<List>) -> usize {
    replica.log.state().len()
}

#[test]
fn an_old_write_can_be_undone_until_a_snapshot_settles_it() {
    for settles in [false, true] {
        let (mut ada, mut hub) = (Replica::<Map>::new("ada"), Replica::<Map>::new("hub"));
        ada.edit(0, |_, _| set("/title", "old"));
        ada.edit(1_000, |_, _| set("/title", "new"));
        meet(&mut [&mut ada, &mut hub]);
        for n in 0..2_000 {
            hub.edit(2_000 + n, |_, _| set(&format!("/other{}", n % 20), n));
        }
        if settles {
            hub.fold(5_000);
        }
        // The snapshot arrives after the undo.
        ada.undo(6_000);
        assert_eq!(ada.json()["title"], "old");
        meet(&mut [&mut ada, &mut hub]);
        let expected = if settles { "new" } else { "old" };
        let newcomer = newcomer(&hub);
        for replica in [&ada, &hub, &newcomer] {
            assert_eq!(replica.json()["title"], expected);
            replica.log.timeline().assert_invariants();
        }
        ada.restart();
        assert_eq!(ada.json()["title"], expected, "after a restart");
        assert_eq!(ada.log.state(), hub.log.state());
    }
}

#[test]
fn undos_of_settled_actions_are_reported_and_have_no_effect() {
    let (mut ada, mut hub) = (Replica::<Map>::new("ada"), Replica::<Map>::new("hub"));
    ada.edit(0, |_, _| set("/a", 1));
    meet(&mut [&mut ada, &mut hub]);
    hub.fold(1_000);
    ada.undo(2_000);
    meet(&mut [&mut ada, &mut hub]);
    let warning = hub.log.observer_mut().take_warning();
    assert!(matches!(warning, Some(TimelineWarning::SettledUndo(_))), "{warning:?}");
    assert!(!hub.log.timeline().is_incomplete());
    assert!(!ada.undo(3_000), "there is nothing to undo");
    hub.fold(4_000);
    meet(&mut [&mut ada, &mut hub]);
    assert_eq!((hub.size(), ada.size()), (1, 1), "only the snapshot is kept");
    assert_eq!((hub.json(), ada.json()), (json!({"a": 1}), json!({"a": 1})));
}

#[test]
fn a_redo_works_for_newcomers() {
    let (mut ada, mut hub) = (Replica::<Map>::new("ada"), Replica::<Map>::new("hub"));
    ada.edit(0, |_, _| set("/a", 1));
    ada.undo(1_000);
    meet(&mut [&mut ada, &mut hub]);
    let mut late = newcomer(&hub);
    assert_eq!(late.json(), json!({}));
    let of_document = Query::created().index("it/1");
    let found = hub.log.store().page(&of_document, 10).unwrap().entries.len();
    assert_eq!(found, 2, "the undo is found with its action");
    ada.undo.redo(at(2_000).wall, &mut ada.log).unwrap();
    meet(&mut [&mut ada, &mut hub, &mut late]);
    assert_eq!(late.json(), json!({"a": 1}));
    assert_eq!(newcomer(&hub).json(), json!({"a": 1}));
}

#[test]
fn a_snapshot_is_not_of_an_undo_whose_action_has_not_arrived() {
    let (mut ada, mut grace) = (Replica::<Map>::new("ada"), Replica::<Map>::new("grace"));
    let mut hub = Replica::<Map>::new("hub");
    let first = ada.edit(0, |_, _| set("/a", 1));
    let edit = ada.news();
    edit.iter().for_each(|entry| grace.receive(entry));
    grace.news();
    grace.edit(500, |_, _| set("/b", 2));
    grace.log.undo(at(1_000).wall, &first, "moderated").unwrap().unwrap();
    grace.edit(2_000, |_, _| set("/c", 3));
    // The undo is faster than its action.
    meet(&mut [&mut grace, &mut hub]);
    hub.fold(3_000);
    assert_eq!(hub.json(), json!({"b": 2, "c": 3}));
    edit.iter().for_each(|entry| hub.receive(entry));
    meet(&mut [&mut hub, &mut grace, &mut ada]);
    for replica in [&hub, &grace, &newcomer(&hub)] {
        assert_eq!(replica.json(), json!({"b": 2, "c": 3}));
    }
}

#[test]
fn an_action_that_is_older_than_the_horizon_has_no_effect() {
    let (mut ada, mut hub) = (Replica::<Map>::new("ada"), Replica::<Map>::new("hub"));
    ada.edit(0, |_, _| set("/a", 1));
    hub.edit(100 * DAY, |_, _| set("/b", 2));
    hub.log.fold(at(100 * DAY).wall, HORIZON).unwrap();
    ada.edit(100 * DAY, |_, _| set("/c", 3));
    meet(&mut [&mut ada, &mut hub]);
    for replica in [&ada, &hub, &newcomer(&hub)] {
        assert_eq!(replica.json(), json!({"b": 2, "c": 3}));
    }
    assert_eq!(hub.size(), 2, "the action is not kept");
}

#[test]
fn deletions_are_forgotten_after_the_horizon_unless_they_are_within_a_value() {
    let mut hub = Replica::<Document>::new("hub");
    let path = |text: &str| text.parse::<Path>().unwrap();
    let value = json!({"a": 1, "b": 2});
    let write = |text: &str, value: &Value| DocumentOp::Set {
        path: path(text),
        value: value.clone().into(),
    };
    hub.edit(0, |_, _| write("/x", &value));
    let list = path("/list");
    hub.edit(1, |document, id| {
        document.list_op(&list, id, |list| list.push_op(value.clone(), id)).unwrap()
    });
    let item = hub.log.state().list("/list").unwrap().id_at(0).unwrap();
    hub.edit(2, |_, _| write("/gone", &json!(1)));
    for deleted in ["/x/a".to_owned(), format!("/list/{item}/a"), "/gone".to_owned()] {
        hub.edit(3, |_, _| DocumentOp::Delete { path: path(&deleted) });
    }
    let expected = json!({"x": {"b": 2}, "list": [{"b": 2}]});
    for day in [1, 100] {
        hub.fold(day * DAY);
        assert_eq!(hub.json(), expected);
        let remembered = hub.log.state().save().windows(5).any(|bytes| bytes == b"/gone");
        assert_eq!(remembered, day == 1, "on day {day}");
    }
}

#[test]
fn an_action_that_arrives_again_counts_once() {
    let (mut ada, mut hub) = (Replica::<Counter>::new("ada"), Replica::<Counter>::new("hub"));
    for n in 0..20_000 {
        ada.edit(n, |_, _| CounterOp::Add { by: 1 });
    }
    let all = ada.news();
    for (n, entry) in all.iter().enumerate() {
        hub.receive(entry);
        if n % 500 == 499 {
            hub.fold(30_000 + n as u64);
        }
    }
    assert_eq!((hub.size(), hub.log.state().unsettled_len()), (1, 0), "all is in one snapshot");
    all.iter().for_each(|entry| hub.receive(entry));
    assert_eq!((hub.log.state().value(), hub.size()), (20_000, 1));
}

#[test]
fn what_is_in_a_removed_item_disappears_and_returns_with_it() {
    let (mut ada, mut hub) = (Replica::<Document>::new("ada"), Replica::<Document>::new("hub"));
    let cards: Path = "/cards".parse().unwrap();
    let titled = |replica: &mut Replica<Document>, ms: u64| {
        let push = |document: &Document, id: &ActionId| {
            document.list_op(&cards, id, |list| list.push_op(json!({}), id)).unwrap()
        };
        replica.edit(ms, push);
        let item = replica.log.state().list("/cards").unwrap().id_at(0).unwrap();
        let item = cards.join(&item.to_string()).unwrap();
        let set = |key: &str, value: Value| DocumentOp::Set {
            path: item.join(key).unwrap(),
            value: value.into(),
        };
        replica.edit(ms + 1, |_, _| set("title", json!("x".repeat(1_000))));
        replica.edit(ms + 2, |_, _| DocumentOp::Increment {
            path: item.join("votes").unwrap(),
            by: 1,
        });
        let tag = DocumentOp::Add { path: item.join("tags").unwrap(), element: "tea".into() };
        replica.edit(ms + 3, |_, _| tag);
        let list = item.join("steps").unwrap();
        replica.edit(ms + 4, |document, id| {
            document.list_op(&list, id, |list| list.push_op(json!("boil"), id)).unwrap()
        });
        item
    };
    let item = titled(&mut ada, 0);
    let full = json!({"cards": [{"title": "x".repeat(1_000), "votes": 1, "tags": ["tea"], "steps": ["boil"]}]});
    assert_eq!(ada.json(), full);
    let remove = |document: &Document, id: &ActionId| {
        document.list_op(&cards, id, |list| list.remove_op(0, id)).unwrap()
    };
    ada.edit(10_000, remove);
    // Written by somebody who has not seen the removal.
    meet(&mut [&mut ada, &mut hub]);
    hub.edit(11_000, |_, _| DocumentOp::Set {
        path: item.join("late").unwrap(),
        value: json!(1).into(),
    });
    meet(&mut [&mut ada, &mut hub]);
    assert_eq!(ada.json(), json!({}));
    assert_eq!(ada.log.state().get(&item), None);
    assert_eq!(ada.log.state().get(&item.join("title").unwrap()), None);
    ada.undo(12_000);
    let mut with_late = full;
    with_late["cards"][0]["late"] = json!(1);
    assert_eq!(ada.json(), with_late);
    ada.undo.redo(at(13_000).wall, &mut ada.log).unwrap();
    for n in 1..100 {
        titled(&mut ada, n * 20_000);
        ada.edit(n * 20_000 + 10, remove);
    }
    meet(&mut [&mut ada, &mut hub]);
    hub.fold(3_000_000);
    meet(&mut [&mut ada, &mut hub]);
    for replica in [&ada, &hub] {
        assert_eq!(replica.json(), json!({}));
        let size = replica.log.state().save().len();
        assert!(size < 500, "removed items leave {size} bytes");
    }
}

#[test]
fn several_operations_are_one_action() {
    let mut ada = Replica::<Document>::new("ada");
    let items: Path = "/items".parse().unwrap();
    let entry = ada.log.edit_together(at(0).wall, |edit| {
        for n in 0..3 {
            let id = edit.author().clone();
            let op = edit.state().list_op(&items, &id, |list| list.push_op(json!(n), &id))?;
            edit.push(op);
        }
        edit.push(DocumentOp::Increment { path: "/n".parse().unwrap(), by: 1 });
        edit.push(DocumentOp::Increment { path: "/n".parse().unwrap(), by: 1 });
        for value in ["a", "b"] {
            let path = "/title".parse().unwrap();
            edit.push(DocumentOp::Set { path, value: json!(value).into() });
        }
        Ok::<_, logux::crdt::ListError>(())
    });
    let entry = entry.unwrap();
    assert_eq!(ada.json(), json!({"items": [0, 1, 2], "n": 2, "title": "b"}));
    let second = ada.log.state().list("/items").unwrap().id_at(1).unwrap().to_string();
    assert_eq!(second, format!("@{} 1", entry.meta.id.node()));
    ada.restart();
    assert_eq!(ada.json(), json!({"items": [0, 1, 2], "n": 2, "title": "b"}));
    ada.log.undo(at(1).wall, &entry.meta.id, "undo").unwrap();
    assert_eq!(ada.json(), json!({}));

    // One operation that is malformed refuses all.
    let text =
        r#"{"type":"it/edit","id":"1","ops":[{"op":"set","path":"/a","value":1},{"op":"set"}]}"#;
    ada.log.add(at(2).wall, Action::new(text).unwrap(), Draft::default()).unwrap();
    assert_eq!(ada.json(), json!({}));
    let other = r#"{"type":"it/edit","id":"2","ops":[{"op":"set","path":"/a","value":1}]}"#;
    ada.log.add(at(3).wall, Action::new(other).unwrap(), Draft::default()).unwrap();
    assert_eq!(ada.json(), json!({}), "an action of another document");
}

#[test]
fn two_items_never_have_one_position() {
    let (mut ada, mut grace) = (Replica::<List>::new("ada"), Replica::<List>::new("grace"));
    ada.edit(1_000, |list, id| list.push_op(json!("first"), id).unwrap());
    ada.edit(2_000, |list, id| list.push_op(json!("second"), id).unwrap());
    ada.edit(2_500, |list, id| list.push_op(json!("last"), id).unwrap());
    meet(&mut [&mut ada, &mut grace]);
    grace.edit(3_000, |list, id| list.remove_op(1, id).unwrap());
    grace.edit(4_000, |list, id| list.move_op(1, 0, id).unwrap());
    meet(&mut [&mut ada, &mut grace]);
    ada.edit(5_000, |list, id| list.push_op(json!("third"), id).unwrap());
    grace.undo(6_000);
    grace.undo(6_000);
    meet(&mut [&mut ada, &mut grace]);
    assert_eq!(ada.json(), json!(["first", "third", "second", "last"]));
    for replica in [&ada, &grace] {
        for index in 0..=4 {
            let id = replica.log.next_id(at(7_000).wall);
            assert!(
                replica.log.state().insert_op(index, json!("between"), &id).is_ok(),
                "at {index}"
            );
        }
    }
}

/// 10⁶ edits of 1,000 fields: `cargo nextest run --release --run-ignored all the_log_stays`.
fn assert_log_stays_small(edits: u64, fields: u64) {
    let mut hub = Replica::<Map>::new("hub");
    let mut largest = 0;
    for n in 0..edits {
        let op = set(&format!("/field{}", n % fields), format!("the value number {n}"));
        hub.log.edit(at(n).wall, |_, _| Ok::<_, Infallible>(op)).unwrap();
        if n % fields == fields - 1 {
            hub.fold(n);
            largest = largest.max(hub.size());
        }
    }
    let state = hub.log.state().save().len();
    let entries = hub.log.store().page(&Query::added(), usize::MAX).unwrap().entries;
    let log: usize = entries.iter().map(|entry| entry.action.as_json().len()).sum();
    assert!(log <= 2 * state, "the log has {log} bytes, the state {state}");
    assert_eq!(largest, 1);
}

#[test]
fn the_log_stays_small() {
    assert_log_stays_small(20_000, 200);
}

#[test]
#[ignore = "takes a minute; to be run after changes of settlement"]
fn the_log_stays_small_after_a_million_edits() {
    assert_log_stays_small(1_000_000, 1_000);
}

#[test]
fn the_answer_to_a_refused_action_has_its_effect_after_a_later_snapshot() {
    let mut author = Replica::<Map>::new("author");
    let write = |key: &str, value: i64| MapOp::Set {
        path: key.parse().unwrap(),
        value: json!(value).into(),
    };
    let refused = author.edit(1, |_, _| write("/refused", 1));
    // The server refuses it, edits the document itself, and settles its own edit.
    let server = NodeId::new("server:x").unwrap();
    let mut hub = Replica::<Map>::new("server");
    let own = |ms: u64| ActionId::new(at(ms).wall, server.clone(), 0);
    let undo = format!(r#"{{"type":"logux/undo","id":"{refused}","reason":"denied"}}"#);
    let add = |replica: &mut Replica<Map>, id: ActionId, action: Action| {
        replica.log.add(at(0).wall, action, Draft::of(id.clone(), id.time())).unwrap();
    };
    add(&mut hub, own(3), shared::<Map>().action(&[write("/own", 2)]).unwrap());
    let settlement = Shared::settlement(hub.log.timeline(), None);
    assert!(settlement.coverage.is_final(&own(2)), "the answer has an earlier id");
    let snapshot = shared::<Map>().snapshot_action(&settlement).unwrap();
    add(&mut author, own(4), snapshot);
    assert_eq!(author.log.state().to_json(), json!({"refused": 1, "own": 2}));
    add(&mut author, own(2), Action::new(undo).unwrap());
    assert_eq!(author.log.state().to_json(), json!({"own": 2}));
    author.restart();
    assert_eq!(author.log.state().to_json(), json!({"own": 2}));
    // The next snapshot includes the refused action.
    let mut coverage = settlement.coverage;
    coverage.include(&refused);
    let next = logux::replay::Settlement { coverage, state: settlement.state };
    add(&mut author, own(5), shared::<Map>().snapshot_action(&next).unwrap());
    assert_eq!(author.log.state().to_json(), json!({"own": 2}));
    let kinds: Vec<String> =
        author.news().iter().map(|entry| entry.action.kind().to_owned()).collect();
    assert_eq!(kinds, ["it/snapshot"], "nothing else is left");
}

#[test]
fn an_undo_is_not_included_before_its_action_although_a_horizon_was_asked_for() {
    let mut timeline = Timeline::new(shared::<Map>());
    let entry =
        |text: &str, action: Action| Entry::new(action, logux::Meta::new(text.parse().unwrap()));
    let write = |path: &str| {
        let op = MapOp::Set { path: path.parse().unwrap(), value: json!(1).into() };
        shared::<Map>().action(&[op]).unwrap()
    };
    let undo = |id: &str| {
        Action::new(format!(r#"{{"type":"logux/undo","id":"{id}","reason":"undo"}}"#)).unwrap()
    };
    let ids = ["10 a:b:c 0", "20 a:b:c 0", "30 b:b:c 0", "40 b:b:c 0"];
    timeline.add(&entry(ids[0], write("/a")));
    timeline.add(&entry(ids[1], write("/b")));
    timeline.add(&entry(ids[2], undo(ids[1])));
    timeline.add(&entry(ids[3], undo(ids[0])));
    let parsed: Vec<ActionId> = ids.iter().map(|id| id.parse().unwrap()).collect();
    // The undo of the first action is not included, so neither are the two actions.
    let horizon = Some(WallTime::from_millis(35));
    let settlement = timeline.settlement_of(&parsed[..3], horizon, |state, at| state.settle(at));
    assert_eq!(settlement.coverage.horizon(), Some(WallTime::from_millis(10)));
    for id in &parsed {
        assert!(!settlement.coverage.is_final(id), "{id}");
    }
}
