//! Saved states: those of earlier versions can be loaded, and damaged ones are refused.
//!
//! `LOGUX_BLESS=1` writes the missing files in `tests/saved/`, but never changes one: they are what
//! this version and earlier ones have saved. Each type has `NAME-VERSION.saved`, the same
//! compressed as `NAME-VERSION.deflated`, and the value as `NAME-VERSION.json`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, path::PathBuf};

use logux::{
    ActionId, Stamp, WallTime,
    crdt::{
        AddWinsSet, Counter, Crdt, Document, List, LoadError, LwwSet, Map, Register, Text, Tree,
    },
    testing::fuzz,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "saved", name].iter().collect()
}

/// Applies operations in turns of two nodes, each a second after the one before.
fn state<C: Crdt>(ops: &[Value]) -> C {
    let mut state = C::default();
    for (index, op) in (0..).zip(ops) {
        let node = ["10:laptop:tab", "20:é:phone"][index % 2];
        let time = 1_564_508_138_460 + index as i64 * 1_000;
        let id: ActionId = format!("{time} {node} {}", index % 3).parse().unwrap();
        let stamp = Stamp::new(WallTime::from_millis(time + index as i64 % 2 * 5), id);
        let op: C::Op = serde_json::from_value(op.clone()).unwrap();
        C::check(&op).unwrap();
        state.apply(&op, &stamp);
    }
    state
}

/// The id of the operation at an index in [`state`].
fn id(index: i64) -> String {
    let node = ["10:laptop:tab", "20:é:phone"][index as usize % 2];
    format!("{} {node} {}", 1_564_508_138_460 + index * 1_000, index % 3)
}

fn register() -> Register {
    state(&[json!({"op": "set", "value": {"title": "Tea ".repeat(20), "price": 1.5}})])
}

fn map() -> Map {
    state(&[
        json!({"op": "set", "path": "/title", "value": "Shopping"}),
        json!({"op": "set", "path": "/author/name", "value": "Ada"}),
        json!({"op": "set", "path": "/author", "value": {"born": 1815, "name": "Ada ".repeat(20)}}),
        json!({"op": "delete", "path": "/title"}),
        json!({"op": "set", "path": "/author/name", "value": null}),
    ])
}

fn lww_set() -> LwwSet {
    state(&[
        json!({"op": "add", "element": "home"}),
        json!({"op": "add", "element": "wörk".repeat(20)}),
        json!({"op": "remove", "element": "home"}),
    ])
}

fn add_wins_set() -> AddWinsSet {
    state(&[
        json!({"op": "add", "element": "home"}),
        json!({"op": "add", "element": "home"}),
        json!({"op": "add", "element": "work".repeat(20)}),
        json!({"op": "remove", "element": "home", "adds": [id(0)]}),
        json!({"op": "remove", "element": "work".repeat(20), "adds": [id(2), "9 10:x:y 3 1"]}),
    ])
}

fn counter() -> Counter {
    let mut counter: Counter = state(&vec![json!({"op": "add", "by": 7}); 5]);
    counter.settle(&<_>::default());
    for seconds in 100..120_i64 {
        let id: ActionId =
            format!("{} 10:x:y 0", 1_564_508_138_460 + seconds * 1_000).parse().unwrap();
        let op = serde_json::from_value(json!({"op": "add", "by": 1})).unwrap();
        counter.apply(&op, &Stamp::new(id.time(), id));
    }
    let later = Stamp::new(WallTime::MAX, "8640000000000000 10:x:y 4294967295".parse().unwrap());
    counter.apply(&serde_json::from_value(json!({"op": "add", "by": -3})).unwrap(), &later);
    counter
}

fn list() -> List {
    state(&[
        json!({"op": "insert", "first": 0, "values": ["a ".repeat(20), "b"]}),
        json!({"op": "insert", "first": 0, "values": [{"b": 1}], "after": "@10:laptop:tab 0"}),
        json!({"op": "insert", "first": 2, "values": ["c"], "before": 0}),
        json!({"op": "move", "item": "@10:laptop:tab 0", "first": 1, "after": 0}),
        json!({"op": "remove", "item": 2}),
        json!({"op": "set", "item": "@10:x:y 3", "value": "early"}),
        json!({"op": "insert", "first": 9, "values": ["waits"], "after": "@10:x:y 3"}),
    ])
}

fn text() -> Text {
    let mut text: Text = state(&[
        json!({"op": "insert", "first": 0, "text": "Hello wörld 🦀\n".repeat(10)}),
        json!({"op": "insert", "first": 0, "text": ", dear", "after": "@10:laptop:tab 4"}),
        json!({"op": "remove", "elements": [[5, 1], ["@20:é:phone 3", 2]]}),
        json!({"op": "insert", "first": 6, "text": "x", "before": "@10:laptop:tab 0"}),
        json!({"op": "insert", "first": 900, "text": "waits", "after": "@10:x:y 3"}),
        json!({"op": "remove", "elements": [["@10:x:y 9", 3]]}),
    ]);
    let undone: ActionId = "1564508200000 10:x:y 0".parse().unwrap();
    let op = json!({"op": "insert", "first": 7, "text": "undone", "after": "@10:laptop:tab 5"});
    text.apply_undone(&serde_json::from_value(op).unwrap(), &Stamp::new(undone.time(), undone));
    text
}

fn tree() -> Tree {
    let mut tree: Tree = state(&[
        json!({"op": "create", "first": 0, "value": {"title": "a ".repeat(20)}}),
        json!({"op": "create", "first": 0, "parent": "@10:laptop:tab 0", "value": "b"}),
        json!({"op": "create", "first": 1, "after": 0, "value": null}),
        json!({"op": "move", "item": 0, "first": 1, "after": "@10:laptop:tab 0", "before": "@10:laptop:tab 1"}),
        json!({"op": "set", "item": 0, "path": "/done", "value": true}),
        json!({"op": "remove", "item": "@10:laptop:tab 1"}),
        json!({"op": "set", "item": "@30:x:y 7", "value": "early"}),
        json!({"op": "move", "item": "@10:laptop:tab 0", "first": 2, "parent": 0, "after": "@30:x:y 9"}),
    ]);
    let horizon = json!({"horizon": 1_564_508_138_460_i64 + 3_000, "nodes": {}});
    tree.settle(&serde_json::from_value(horizon).unwrap());
    let id: ActionId = "1564508238460 30:x:y 0".parse().unwrap();
    for (index, undone) in [(8, false), (10, true)] {
        let op = json!({"op": "create", "first": index, "parent": "@20:é:phone 0", "value": [1]});
        let op = serde_json::from_value(op).unwrap();
        let stamp = Stamp::new(id.time(), id.clone()).of_operation(index);
        if undone { tree.apply_undone(&op, &stamp) } else { drop(tree.apply(&op, &stamp)) }
    }
    tree
}

fn document() -> Document {
    let list = |fields: Value| {
        let mut op = json!({"path": "/tasks"});
        op.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        op
    };
    let item = "@20:é:phone 0";
    state(&[
        json!({"op": "set", "path": "/title", "value": "Shopping"}),
        json!({"op": "increment", "path": "/likes", "by": 2}),
        json!({"op": "add", "path": "/tags", "element": "home"}),
        list(json!({"op": "insert", "first": 0, "values": [{"done": false}]})),
        json!({"op": "set", "path": format!("/tasks/{item}/title"), "value": "Milk"}),
        json!({"op": "increment", "path": format!("/tasks/{item}/count"), "by": 1}),
        json!({"op": "set", "path": "/old", "value": 1}),
        json!({"op": "delete", "path": "/old"}),
        json!({"op": "insertText", "path": "/body", "first": 0, "text": "Two litres. ".repeat(20)}),
        json!({"op": "insertText", "path": format!("/tasks/{item}/note"), "first": 1, "text": "!"}),
        json!({"op": "createNode", "path": "/outline", "first": 500, "value": {"title": "Oats"}}),
        json!({"op": "createNode", "path": "/outline", "first": 2, "parent": "@10:laptop:tab 500", "value": 1}),
        json!({"op": "increment", "path": "/outline/@10:laptop:tab 500/likes", "by": 1}),
        json!({"op": "set", "path": format!("/outline/{item}/early"), "value": "x"}),
        json!({"op": "createNode", "path": "/hidden", "first": 501, "value": "old"}),
        json!({"op": "set", "path": "/hidden", "value": null}),
    ])
}

fn check<C: Crdt>(current: &C) {
    let bless = std::env::var_os("LOGUX_BLESS").is_some();
    let newest = format!("{}-{}", C::NAME.replace(' ', "-"), C::VERSION);
    for (ending, content) in [
        ("saved", current.save()),
        ("deflated", current.save_deflated()),
        ("json", current.to_json().to_string().into_bytes()),
    ] {
        let file = file(&format!("{newest}.{ending}"));
        if bless && !file.exists() {
            fs::write(file, content).unwrap();
        }
    }
    let read = |ending: &str| fs::read(file(&format!("{newest}.{ending}"))).unwrap();
    let value: Value = serde_json::from_slice(&read("json")).unwrap();
    for ending in ["saved", "deflated"] {
        let loaded = C::load(&read(ending)).unwrap();
        assert_eq!(&loaded, current, "{newest}.{ending}");
        assert_eq!(loaded.to_json(), value, "{newest}.{ending}");
    }
    assert_eq!(read("saved"), current.save(), "{newest}: equal states have equal bytes");
    assert!(read("deflated").len() < read("saved").len(), "{newest}: compressed, but not shorter");
    let json = serde_json::to_string(current).unwrap();
    assert_eq!(serde_json::from_str::<C>(&json).unwrap(), *current, "{newest}: as JSON");
}

fn for_each_type(check: impl Fn(Vec<u8>)) {
    let states = [
        (register().save(), register().save_deflated()),
        (map().save(), map().save_deflated()),
        (lww_set().save(), lww_set().save_deflated()),
        (add_wins_set().save(), add_wins_set().save_deflated()),
        (counter().save(), counter().save_deflated()),
        (list().save(), list().save_deflated()),
        (text().save(), text().save_deflated()),
        (tree().save(), tree().save_deflated()),
        (document().save(), document().save_deflated()),
    ];
    for (plain, deflated) in states {
        check(plain);
        check(deflated);
    }
}

#[test]
fn states_that_were_saved_are_loaded() {
    check(&register());
    check(&map());
    check(&lww_set());
    check(&add_wins_set());
    check(&counter());
    check(&list());
    check(&text());
    check(&tree());
    check(&document());
}

#[test]
fn states_that_are_cut_or_changed_are_refused() {
    for_each_type(|saved| {
        for at in 0..saved.len() {
            assert!(Document::load(&saved[..at]).is_err(), "cut at {at}");
            let mut changed = saved.clone();
            changed[at] ^= 1 << (at % 8);
            let error = Document::load(&changed).unwrap_err();
            let is_found = matches!(error, LoadError::NotSaved | LoadError::Checksum { .. });
            assert!(is_found, "a byte was changed at {at}: {error}");
        }
    });
}

#[test]
fn damage_with_a_right_checksum_gives_a_state_or_an_error() {
    for_each_type(|saved| {
        fuzz::saved_state(&saved);
        for at in 8..saved.len() {
            fuzz::saved_state(&saved[..at]);
            let bits = (0..8).map(|bit| saved[at] ^ (1 << bit));
            for byte in bits.chain([0, 0x7f, 0xff]) {
                let mut changed = saved.clone();
                changed[at] = byte;
                fuzz::saved_state(&changed);
            }
            let inserted = [&saved[..at], &[0x80], &saved[at..]].concat();
            fuzz::saved_state(&inserted);
            let removed = [&saved[..at], &saved[at + 1..]].concat();
            fuzz::saved_state(&removed);
        }
    });
}

#[test]
fn several_changes_with_a_right_checksum_give_a_state_or_an_error() {
    let cases = std::env::var("LOGUX_CASES").ok().and_then(|cases| cases.parse().ok());
    let states = std::cell::RefCell::new(Vec::new());
    for_each_type(|saved| states.borrow_mut().push(saved));
    let states = states.into_inner();
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4), 1..8);
    let mut config = ProptestConfig::with_cases(cases.unwrap_or(2_000));
    config.failure_persistence = None;
    proptest!(config, |(saved in prop::sample::select(states), changes in changes)| {
        let mut saved = saved;
        for (at, byte, kind) in changes {
            let at = 8 + at.index(saved.len() - 8);
            match kind {
                0 => saved.insert(at, byte),
                1 if saved.len() > 9 => drop(saved.remove(at)),
                // Small numbers are the most frequent lengths and counts.
                2 => saved[at] = byte % 8,
                _ => saved[at] = byte,
            }
        }
        fuzz::saved_state(&saved);
    });
}

#[test]
fn states_of_other_types_and_versions_are_refused() {
    let map = map().save();
    assert_eq!(
        Document::load(&map).unwrap_err().to_string(),
        "expected a saved document, got a saved map"
    );
    // The version is after the name.
    let mut newer = map;
    let at = newer.windows(3).position(|bytes| bytes == b"map").unwrap() + 3;
    newer[at] = 99;
    let checksum = crc32fast::hash(&newer[8..]).to_le_bytes();
    newer[4..8].copy_from_slice(&checksum);
    let error = Map::load(&newer).unwrap_err().to_string();
    assert_eq!(
        error,
        "expected version 2 of the state, got version 99; rebuild the state from the log"
    );
}
