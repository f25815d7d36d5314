//! The operations that let one state show what another one shows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/crdt_intents.rs"]
mod intents;

use std::collections::BTreeMap;

use intents::{
    add_wins_set_op, document_intent, document_op, list_intent, list_op, lww_set_op, map_intent,
    map_op, set_intent, text_intent, text_op, tree_intent, tree_op, value,
};
use logux::{
    ActionId, Stamp, WallTime,
    crdt::{
        AddWinsSet, Counter, Crdt, Document, DocumentChange, List, LwwSet, Map, Register, Shared,
        Text, Tree,
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The number of pairs of states for each type.
fn cases() -> u32 {
    std::env::var("LOGUX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(500)
}

fn stamp(ms: i64, node: &str) -> Stamp {
    let time = WallTime::from_millis(ms);
    Stamp::new(time, ActionId::new(time, node.parse().unwrap(), 0))
}

fn apply_all<C: Crdt>(state: &mut C, ops: &[C::Op], stamp: &Stamp) {
    for (index, op) in (0..).zip(ops) {
        state.apply(op, &stamp.of_operation(index));
    }
}

/// Replaces the names of the nodes of trees by their indexes: new nodes have new names.
fn without_names(value: &mut Value, names: &mut BTreeMap<String, usize>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| without_names(item, names)),
        Value::Object(object) => {
            let is_node = object.len() == 4 && object.contains_key("depth");
            for key in ["id", "parent"].into_iter().filter(|_| is_node) {
                if let Some(Value::String(name)) = object.get(key) {
                    let next = names.len();
                    let number = *names.entry(name.clone()).or_insert(next);
                    object[key] = json!(number);
                }
            }
            object.values_mut().for_each(|field| without_names(field, names));
        }
        _ => {}
    }
}

fn shown<C: Crdt>(state: &C) -> Value {
    let mut json = state.to_json();
    without_names(&mut json, &mut BTreeMap::new());
    json
}

/// Makes the operations of an action after `state`, as an author whose operations a server admits.
fn restored<C: Crdt>(state: &C, target: &C, at: &Stamp) -> (C, Vec<C::Op>) {
    let ops = state.restore_ops(target, at.id().node()).unwrap();
    ops.iter().for_each(|op| C::check(op).unwrap());
    let shared = Shared::<C>::new("it", "1");
    let action = shared.action(&ops).unwrap();
    shared.admit(state, &action, at).unwrap();
    let mut after = state.clone();
    apply_all(&mut after, &ops, at);
    (after, ops)
}

/// Checks pairs of states that have begun with the same operations, and one that is empty.
fn assert_restores<C, I>(
    intents: impl Fn() -> I,
    make: impl Fn(&C, &I::Value, &ActionId) -> Option<C::Op> + Copy,
) where
    C: Crdt,
    I: Strategy<Value: Clone>,
{
    let history =
        |len| prop::collection::vec((intents(), prop::sample::select(vec!["a", "b"])), 0..len);
    let mut config = ProptestConfig::with_cases(cases());
    config.failure_persistence = None;
    proptest!(config, |(histories in (history(12), history(12), history(12)))| {
        let extended = |mut state: C, history: &[(I::Value, &str)], from: i64, branch: &str| {
            for (ms, (intent, node)) in (from..).zip(history) {
                let stamp = stamp(ms, &format!("{node}{branch}"));
                if let Some(op) = make(&state, intent, stamp.id()) {
                    state.apply(&op, &stamp);
                }
            }
            state
        };
        let common = extended(C::default(), &histories.0, 0, "");
        let one = extended(common.clone(), &histories.1, 100, "1");
        let other = extended(common.clone(), &histories.2, 200, "2");
        // Without a common history, but with the same names of elements.
        let foreign = extended(C::default(), &histories.2, 300, "");
        let states = [&common, &one, &other, &foreign, &C::default()];
        // An author of elements of both states, of one, and of none.
        for author in ["a", "a1", "z"] {
            for (from, target) in states.into_iter().flat_map(|from| states.map(|to| (from, to))) {
                let (after, ops) = restored(from, target, &stamp(1_000, author));
                prop_assert_eq!(shown(&after), shown(target), "{:?} by {:?}", from, ops);
                prop_assert!(ops.is_empty() || from != target, "{:?}", ops);
                let (_, ops) = restored(&after, target, &stamp(2_000, author));
                prop_assert!(ops.is_empty(), "{:?}", ops);
            }
        }
    });
}

#[test]
fn registers_and_maps() {
    assert_restores::<Register, _>(value, |register, value, _| {
        Some(register.set_op(value.clone()))
    });
    assert_restores::<Map, _>(map_intent, map_op);
}

#[test]
fn sets_and_counters() {
    assert_restores::<LwwSet, _>(set_intent, lww_set_op);
    assert_restores::<AddWinsSet, _>(set_intent, add_wins_set_op);
    assert_restores::<Counter, _>(|| -3..4_i64, |counter, by, _| Some(counter.add_op(*by)));
}

#[test]
fn lists() {
    assert_restores::<List, _>(list_intent, list_op);
}

#[test]
fn texts() {
    assert_restores::<Text, _>(text_intent, text_op);
}

#[test]
fn trees() {
    assert_restores::<Tree, _>(tree_intent, tree_op);
}

#[test]
fn documents() {
    assert_restores::<Document, _>(document_intent, document_op);
}

fn note() -> Document {
    let mut note = Document::default();
    let at = |ms| stamp(ms, "a");
    let (text, list) = ("/text".parse().unwrap(), "/list".parse().unwrap());
    note.edit_text(&text, &at(1), |text| text.set_ops("Buy milk", at(1).id())).unwrap();
    let values = vec![json!("one").into(), json!("two").into(), json!({"n": 3}).into()];
    note.edit_list(&list, &at(2), |list| list.insert_all_op(0, values, at(2).id())).unwrap();
    note
}

/// A replica that has operations of others gets those of a restored version in any order.
#[test]
fn a_restored_version_merges_with_concurrent_edits() {
    let version = note();
    let mut changed = version.clone();
    changed.set(&"/list".parse().unwrap(), json!("gone"), &stamp(3, "a"));
    let at = stamp(10, "a");
    let (restored, ops) = restored(&changed, &version, &at);
    assert_eq!(restored.to_json(), version.to_json());
    let other = stamp(10, "b");
    let typed = changed
        .text_ops(&"/text".parse().unwrap(), other.id(), |text| {
            Ok(vec![text.insert_op(8, "!", logux::crdt::Unit::Scalars, other.id())?])
        })
        .unwrap();
    let (mut one, mut third) = (restored, changed);
    apply_all(&mut one, &typed, &other);
    apply_all(&mut third, &typed, &other);
    // The last operation of the restored version arrives first.
    for (index, op) in (0..).zip(&ops).collect::<Vec<_>>().into_iter().rev() {
        third.apply(op, &at.of_operation(index));
    }
    assert_eq!(one, third);
    assert_eq!(one.to_json()["text"], "Buy milk!");
    assert_eq!(one.to_json()["list"], json!(["one", "two", {"n": 3}]));
}

#[test]
fn changes_are_readable() {
    let before = note();
    let mut after = before.clone();
    let at = |ms| stamp(ms, "b");
    let (text, list) = ("/text".parse().unwrap(), "/list".parse().unwrap());
    after.edit_text(&text, &at(3), |text| text.set_ops("Buy 🦀 milk", at(3).id())).unwrap();
    after.edit_list(&list, &at(4), |list| list.move_op(0, 1, at(4).id())).unwrap();
    after.edit_list(&list, &at(5), |list| list.remove_op(0, at(5).id())).unwrap();
    after.edit_list(&list, &at(6), |list| list.push_op(Value::Null, at(6).id())).unwrap();
    let third = before.list("/list").unwrap().id_at(2).unwrap();
    after.set(&format!("/list/{third}/n").parse().unwrap(), json!(4), &at(7));
    let null = after.list("/list").unwrap().id_at(2).unwrap();
    let removed = before.list("/list").unwrap().id_at(1).unwrap();
    let changes = before.changes_to(&after);
    let json = serde_json::to_value(&changes).unwrap();
    assert_eq!(
        json,
        json!([
            {"path": format!("/list/{removed}"), "before": "two"},
            {"path": format!("/list/{third}/n"), "before": 3, "after": 4},
            {"path": format!("/list/{null}"), "after": null},
            {"path": "/text", "delta": [{"retain": 4}, {"insert": "🦀 "}]},
        ])
    );
    assert_eq!(serde_json::from_value::<Vec<DocumentChange>>(json).unwrap(), changes);
    assert_eq!(after.changes_to(&after), []);
}
