//! The laws of reducers for all types of the project: any order, any repetition, undo and
//! compaction.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/crdt_intents.rs"]
mod intents;

use intents::{
    DocumentChange, DocumentIntent, add_wins_set_op, document_intent, document_op, element,
    list_intent, list_op, lww_set_op, map_intent, map_op, path, set_intent, text_intent, text_op,
    tree_intent, tree_op, typing, value,
};

use logux::{
    Action, ActionId, NodeId, Stamp,
    crdt::{
        AddWinsSet, Change, Counter, Crdt, Document, DocumentOp, List, LwwSet, Map, Path, Records,
        Register, Shared, SyncMaps, Text, Touched, Tree, Unit, ValueShape,
    },
    testing::Laws,
};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

/// The number of histories per law.
fn cases() -> u32 {
    std::env::var("LOGUX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(10_000)
}

fn assert_laws<C, I>(
    intents: impl Fn() -> I,
    make: impl Fn(&C, &I::Value, &ActionId) -> Option<C::Op> + Copy,
) where
    C: Crdt,
    I: Strategy<Value: Clone>,
{
    let shared = Shared::<C>::new("it", "1");
    let action = |state: &C, intent: &I::Value, id: &ActionId| {
        make(state, intent, id).map(|op| Shared::<C>::new("it", "1").action(&[op]).unwrap())
    };
    let laws = || Laws::with(shared.clone(), intents(), action).users(3).cases(cases());
    laws().commutes();
    laws().converges();
    laws().users(2).undo_is_inverse();
    // This law tests all prefixes of a history.
    let settlement = laws().cases(cases() / 20);
    settlement.settlement_is_invisible(
        |state, coverage| state.settle(coverage),
        C::shift_times,
        C::to_json,
    );
    let saved = C::default().save();
    assert_eq!(C::load(&saved).unwrap(), C::default());
}

#[test]
fn register() {
    assert_laws::<Register, _>(value, |register, value, _| Some(register.set_op(value.clone())));
}

#[test]
fn map() {
    assert_laws::<Map, _>(map_intent, map_op);
}

#[test]
fn lww_set() {
    assert_laws::<LwwSet, _>(set_intent, lww_set_op);
}

#[test]
fn add_wins_set() {
    assert_laws::<AddWinsSet, _>(set_intent, add_wins_set_op);
}

#[test]
fn counter() {
    assert_laws::<Counter, _>(|| -3..4_i64, |counter, by, _| Some(counter.add_op(*by)));
}

#[test]
fn list() {
    assert_laws::<List, _>(list_intent, list_op);
}

#[test]
fn text() {
    assert_laws::<Text, _>(text_intent, text_op);
}

#[test]
fn tree() {
    assert_laws::<Tree, _>(tree_intent, tree_op);
}

#[test]
fn document() {
    assert_laws::<Document, _>(document_intent, document_op);
}

/// Paths that no document, or only some, have.
const ABSENT: [&str; 7] = ["", "/a", "/a/b", "/a/b/c", "/a/0", "/a/00", "/a/9/x"];

/// Returns the JSON Pointers of all values in a value.
fn pointers(value: &Value) -> Box<dyn Iterator<Item = String> + '_> {
    let below = |key: String, value| pointers(value).map(move |rest| format!("/{key}{rest}"));
    let inner: Box<dyn Iterator<Item = String>> =
        match value {
            Value::Array(items) => Box::new(
                items.iter().enumerate().flat_map(move |(n, item)| below(n.to_string(), item)),
            ),
            Value::Object(object) => Box::new(object.iter().flat_map(move |(key, value)| {
                below(key.replace('~', "~0").replace('/', "~1"), value)
            })),
            _ => Box::new(core::iter::empty()),
        };
    Box::new(core::iter::once(String::new()).chain(inner))
}

/// Replaces the indexes of a path by the names of items, and those of nodes, too, which are then
/// followed by `/value` in the other form of the path.
fn named(document: &Document, pointer: &str) -> (Path, String) {
    let (mut by_name, mut by_index) = (Path::root(), String::new());
    for key in pointer.parse::<Path>().unwrap().keys() {
        let index = key.parse::<usize>().ok().filter(|_| key == "0" || !key.starts_with('0'));
        let at = by_name.as_str();
        let node =
            document.tree(at).and_then(|tree| tree.walk().nth(index?).and_then(|node| node.id()));
        let is_covered = document.tree(at).is_some() || document.text(at).is_some();
        let item = document.list(at).filter(|_| !is_covered).and_then(|list| list.id_at(index?));
        let name = node.clone().or(item).map_or_else(|| key.to_string(), |id| id.to_string());
        by_index = format!("{by_index}/{}", key.replace('~', "~0").replace('/', "~1"));
        if node.is_some() {
            by_index.push_str("/value");
        }
        by_name = by_name.join(&name).unwrap();
    }
    (by_name, by_index)
}

/// Asserts that the shape at a path is that of the value at the path.
fn assert_shape(document: &Document, path: &Path) {
    let (shape, value) = (document.shape_at(path), document.get(path));
    let json = document.to_json();
    match (shape, &value) {
        (Some(ValueShape::List(len)), Some(Value::Array(items))) => assert_eq!(len, items.len()),
        (Some(ValueShape::Tree), Some(Value::Array(nodes))) => {
            for node in nodes {
                let id = node["id"].as_str().unwrap().parse().unwrap();
                assert_eq!(document.element_at(path, &id).as_ref(), Some(node), "{path} of {json}");
            }
        }
        (shape, value) => {
            assert_eq!(shape, value.as_ref().map(ValueShape::of), "{path} of {json}");
        }
    }
}

/// Asserts that an operation changes nothing outside of what it says.
fn assert_touched(before: &Document, op: &DocumentOp, id: &ActionId) {
    let touched = Document::touched(op, id.node());
    let mut after = before.clone();
    after.apply(op, &Stamp::new(id.time(), id.clone()));
    let is_within = |path: &Path| path == touched.path() || touched.path().contains(path);
    let shapes = [before, &after].map(|state| state.shape_at(touched.path()));
    let is_same_list = matches!(shapes, [Some(before), Some(after)] if before.is_like(after));
    // A write below what is no object replaces it.
    let mut above = Path::root();
    for key in touched.path().keys() {
        if before.shape_at(&above) != after.shape_at(&above) {
            return;
        }
        above = above.join(&key).unwrap();
    }
    for pointer in pointers(&before.to_json()) {
        let (path, _) = named(before, &pointer);
        if path.contains(touched.path()) || (is_within(&path) && !is_same_list) {
            continue;
        }
        match &touched {
            Touched::Value(_) if is_within(&path) => {}
            Touched::Elements { path: list, .. } if path == *list => {}
            Touched::Elements { .. } if after.get(&path).is_none() => {}
            _ => assert_eq!(
                after.get(&path),
                before.get(&path),
                "{op:?} at {path}: {shapes:?} {}",
                before.to_json()
            ),
        }
    }
}

#[test]
fn saving_and_loading_gives_the_same_document() {
    use logux::replay::{Reducer, Timeline};
    let mut config = ProptestConfig::with_cases(500);
    config.failure_persistence = None;
    proptest!(config, |(intents in prop::collection::vec(document_intent(), 0..30))| {
        let shared = Shared::<Document>::new("it", "1");
        let mut document = Timeline::new(&shared);
        for (ms, intent) in (0..).zip(intents) {
            let id: ActionId = format!("{ms} 10:a:b 0").parse().unwrap();
            if let Some(op) = document_op(document.state(), &intent, &id) {
                assert_touched(document.state(), &op, &id);
                let action = shared.action(std::slice::from_ref(&op)).unwrap();
                prop_assert_eq!(serde_json::to_string(&shared.read(&action).unwrap().unwrap()[0]).unwrap(), serde_json::to_string(&op).unwrap());
                document.add(&logux::Entry::new(action, logux::Meta::new(id)));
            }
        }
        let json = document.state().to_json();
        for pointer in pointers(&json).chain(ABSENT.map(str::to_owned)) {
            let found = document.state().get(&pointer.parse().unwrap());
            prop_assert_eq!(found.as_ref(), json.pointer(&pointer), "{} of {}", pointer, json);
            // The values of items and nodes have names, too.
            let (by_name, by_index) = named(document.state(), &pointer);
            let found = document.state().get(&by_name);
            prop_assert_eq!(found.as_ref(), json.pointer(&by_index), "{} of {}", by_name, json);
            for path in [pointer.parse().unwrap(), by_name] {
                assert_shape(document.state(), &path);
            }
        }
        let loaded = Document::load(&document.state().save()).unwrap();
        loaded.assert_invariants();
        prop_assert_eq!(loaded.to_json(), document.state().to_json());
        prop_assert_eq!(&loaded, document.state());
    });
}

#[test]
fn all_orders_of_arrival_give_one_state() {
    use logux::{Action, replay::Timeline, testing::strategies};
    let shared = || Shared::<Map>::new("it", "1");
    let write = (path(), 0..9).prop_map(move |(path, value)| -> Action {
        shared().action(&[Map::default().set_op(&path.parse().unwrap(), json!(value))]).unwrap()
    });
    let arrivals = strategies::history(3, 20, write).prop_flat_map(|history| {
        (
            Just(history.clone()),
            strategies::arrivals(history.clone()),
            strategies::arrivals(history),
        )
    });
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) }, |((history, one, other) in arrivals)| {
        let states = [history, one, other].map(|entries| {
            let mut timeline = Timeline::new(shared());
            timeline.extend(&entries);
            timeline.state().clone()
        });
        prop_assert!(states.windows(2).all(|pair| pair[0] == pair[1]));
    });
}

/// Types what the intents say, of which each is an edit of one author. Returns the states after
/// the joined operations, those that have had the former ones before, and what the edits gave.
fn joined<C: Crdt, I>(
    before: &C,
    intents: &[I],
    make: impl Fn(&C, &I, &ActionId) -> Option<C::Op>,
) -> (C, C, C) {
    let id: ActionId = "1700000000000 10:a:b 0".parse().unwrap();
    let stamp = |index: usize| Stamp::new(id.time(), id.clone()).of_operation(index as u32);
    let apply_all = |state: &mut C, ops: &[C::Op]| {
        ops.iter().enumerate().for_each(|(index, op)| drop(state.apply(op, &stamp(index))));
    };
    let (mut single, mut extended) = (before.clone(), before.clone());
    let mut ops: Vec<C::Op> = Vec::new();
    for (index, intent) in intents.iter().enumerate() {
        // What names operations, and not elements, names other ones in this state.
        make(&single, intent, &id).map(|op| single.apply(&op, &stamp(index)));
        let Some(op) = make(&extended, intent, &id) else { continue };
        if !ops.last_mut().is_some_and(|last| C::join(last, &op)) {
            ops.push(op);
        }
        apply_all(&mut extended, &ops);
    }
    let mut at_once = before.clone();
    apply_all(&mut at_once, &ops);
    (at_once, extended, single)
}

/// Operations that are joined have the effect of the single ones, also where some of them were
/// applied before.
#[test]
fn joined_operations_are_the_single_ones() {
    let config =
        || ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) };
    let other: ActionId = "1600000000000 20:c:d 0".parse().unwrap();
    let text_history =
        (prop::collection::vec(text_intent(), 0..6), prop::collection::vec(typing(), 0..20));
    proptest!(config(), |((others, typed) in text_history)| {
        let mut before = Text::default();
        for (index, intent) in others.iter().enumerate() {
            let stamp = Stamp::new(other.time(), other.clone()).of_operation(index as u32);
            text_op(&before, intent, &other).map(|op| before.apply(&op, &stamp));
        }
        let (at_once, extended, single) = joined(&before, &typed, text_op);
        prop_assert_eq!(at_once.to_string(), single.to_string());
        prop_assert_eq!(&at_once, &extended);
        prop_assert_eq!(at_once.save(), extended.save());
        extended.assert_invariants();
        let author: NodeId = "10:a:b".parse().unwrap();
        prop_assert_eq!(at_once.next_counter(&author), single.next_counter(&author));
        for index in 0..=single.len(Unit::Scalars) {
            let anchor = single.anchor_after(index, Unit::Scalars).unwrap();
            prop_assert_eq!(at_once.anchor_after(index, Unit::Scalars).unwrap(), anchor);
        }
    });
    let edit = prop_oneof![
        2 => document_intent(),
        3 => (select(vec!["/a", "/b"]), typing()).prop_map(|(path, intent)| DocumentIntent {
            within: Vec::new(),
            path,
            change: DocumentChange::Text(intent),
        }),
    ];
    let document_history =
        (prop::collection::vec(document_intent(), 0..6), prop::collection::vec(edit, 0..12));
    proptest!(config(), |((others, typed) in document_history)| {
        let mut before = Document::default();
        for (index, intent) in others.iter().enumerate() {
            let stamp = Stamp::new(other.time(), other.clone()).of_operation(index as u32);
            document_op(&before, intent, &other).map(|op| before.apply(&op, &stamp));
        }
        let (at_once, extended, single) = joined(&before, &typed, document_op);
        prop_assert_eq!(at_once.to_json(), single.to_json());
        prop_assert_eq!(&at_once, &extended);
        prop_assert_eq!(at_once.save(), extended.save());
    });
}

#[test]
fn sync_maps() {
    fn is_equal(a: &Records, b: &Records) -> bool {
        let all = |records: &Records| records.ids().map(|id| records.get(id)).collect::<Vec<_>>();
        all(a) == all(b)
    }
    let intents = || {
        (
            select(vec!["1", "2"]),
            select(vec!["create", "change", "changed", "delete"]),
            element(),
            0..9,
        )
    };
    let make = |_: &Records, (id, verb, field, value): &(&str, &str, &str, i32), _: &ActionId| {
        Some(
            Action::new(format!(
                r#"{{"type":"tasks/{verb}","id":"{id}","fields":{{"{field}":{value}}}}}"#
            ))
            .unwrap(),
        )
    };
    let laws = || Laws::with(SyncMaps::new("tasks"), intents(), make).users(3).cases(cases());
    laws().commutes();
    laws().converges();
    laws().users(2).undo_is_inverse();
    laws().compaction_is_invisible(is_equal);
    let change = Change::Delete("1".into());
    assert!(format!("{change:?}").contains("Delete"));
}

/// Millions of histories: `LOGUX_CASES=3000000 cargo test --release --test crdt_laws -- --ignored`.
#[test]
#[ignore = "runs for hours; to be run after changes of a type"]
fn millions_of_histories() {
    let laws = Laws::with(
        Shared::<Document>::new("it", "1"),
        document_intent(),
        |document: &Document, intent, id: &ActionId| {
            document_op(document, intent, id)
                .map(|op| Shared::<Document>::new("it", "1").action(&[op]).unwrap())
        },
    );
    let laws = laws.users(4).turns(60).cases(cases().max(1_000_000));
    laws.commutes();
    laws.converges();
    laws.settlement_is_invisible(
        |state, coverage| state.settle(coverage),
        Document::shift_times,
        Document::to_json,
    );
}
