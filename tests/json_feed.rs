//! Followers of the JSON of a state, and what they ask for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/crdt_intents.rs"]
mod intents;

use std::collections::BTreeMap;

use intents::{
    document_intent, document_op, list_intent, list_op, map_intent, map_op, path, value,
};
use logux::{
    ActionId, NodeId, Stamp, WallTime,
    crdt::{Crdt, Document, JsonChange, JsonFeed, JsonOp, List, Map, Path, Shared},
};
use proptest::{
    prelude::*,
    sample::{Index, select},
};
use serde_json::{Value, json};

fn cases() -> u32 {
    std::env::var("LOGUX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(500)
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) }
}

fn stamp(ms: i64, node: &str) -> Stamp {
    let time = WallTime::from_millis(ms);
    Stamp::new(time, ActionId::new(time, node.parse().unwrap(), 0))
}

#[derive(Clone, Debug)]
enum Step<I> {
    /// An action of one of two nodes, which arrives some milliseconds late.
    Edit(I, &'static str, i64),
    /// An action is undone, or is not undone any more.
    Undo(Index),
    /// A new follower receives the state.
    Join,
    /// One follower receives some values.
    Values(Index, &'static str),
    /// All followers receive what has changed.
    Changes,
}

fn step<I: Strategy>(intent: I) -> impl Strategy<Value = Step<I::Value>>
where
    I::Value: Clone,
{
    prop_oneof![
        6 => (intent, select(vec!["a", "b"]), 0..12_i64)
            .prop_map(|(intent, node, late)| Step::Edit(intent, node, late)),
        1 => any::<Index>().prop_map(Step::Undo),
        1 => Just(Step::Join),
        2 => (any::<Index>(), path()).prop_map(|(who, path)| Step::Values(who, path)),
        2 => Just(Step::Changes),
    ]
}

fn apply(json: &mut Value, changes: &[JsonChange]) {
    // As they arrive in actions.
    let text = serde_json::to_string(changes).unwrap();
    let changes: Vec<JsonChange> = serde_json::from_str(&text).unwrap();
    changes.iter().for_each(|change| change.apply_to(json));
}

/// Applies actions in their order. `false`: the action is undone.
fn replay<C: Crdt>(log: &BTreeMap<Stamp, (C::Op, bool)>) -> C {
    let mut state = C::default();
    for (stamp, (op, is_effective)) in log {
        if *is_effective {
            state.apply(op, stamp);
        } else {
            state.apply_undone(op, stamp);
        }
    }
    state
}

/// Checks that all followers always end with the JSON of the state.
fn assert_follows<C, I>(
    intents: impl Fn() -> I,
    make: impl Fn(&C, &I::Value, &ActionId) -> Option<C::Op>,
) where
    C: Crdt,
    I: Strategy<Value: Clone>,
{
    proptest!(config(), |(steps in prop::collection::vec(step(intents()), 1..40))| {
        let mut log = BTreeMap::new();
        let mut state = C::default();
        let mut feed = JsonFeed::new(C::default());
        let mut followers: Vec<Value> = Vec::new();
        for (ms, step) in (1..).zip(&steps) {
            match step {
                Step::Edit(intent, node, late) => {
                    let time = WallTime::from_millis(100 + ms - late);
                    let sequence = ms.try_into().unwrap();
                    let at = Stamp::new(time, ActionId::new(time, node.parse().unwrap(), sequence));
                    log.extend(make(&state, intent, at.id()).map(|op| (at, (op, true))));
                    state = replay(&log);
                }
                Step::Undo(index) if !log.is_empty() => {
                    let index = index.index(log.len());
                    if let Some((_, is_effective)) = log.values_mut().nth(index) {
                        *is_effective = !*is_effective;
                    }
                    state = replay(&log);
                }
                Step::Undo(_) => {}
                Step::Join => followers.push(feed.join(&state)),
                Step::Values(who, path) if !followers.is_empty() => {
                    let path: Path = path.parse().unwrap();
                    let changes = feed.values_at(&state, [&path]);
                    let who = who.index(followers.len());
                    apply(&mut followers[who], &changes);
                    let shown = state.to_json();
                    let [change] = &changes[..] else { panic!("expected one, got {changes:?}") };
                    prop_assert!(change.path == path || change.path.contains(&path));
                    prop_assert_eq!(change.value.as_ref(), shown.pointer(change.path.as_str()));
                }
                Step::Values(..) => {}
                Step::Changes => {
                    let changes = feed.changes(state.clone());
                    for follower in &mut followers {
                        apply(follower, &changes);
                        prop_assert_eq!(&*follower, &state.to_json(), "by {:?}", changes);
                        // They are idempotent.
                        apply(follower, &changes);
                        prop_assert_eq!(&*follower, &state.to_json());
                    }
                    prop_assert_eq!(feed.changes(state.clone()), []);
                }
            }
        }
    });
}

#[test]
fn followers_of_documents_have_what_the_document_shows() {
    assert_follows::<Document, _>(document_intent, document_op);
}

#[test]
fn followers_of_other_types_have_what_the_state_shows() {
    assert_follows::<List, _>(list_intent, list_op);
    assert_follows::<Map, _>(map_intent, map_op);
}

fn note() -> Document {
    let mut note = Document::default();
    let at = |ms| stamp(ms, "a");
    let path = |path: &str| path.parse::<Path>().unwrap();
    note.edit_text(&path("/text"), &at(1), |text| text.set_ops("Buy milk", at(1).id())).unwrap();
    let values = vec![json!({"title": "one"}).into(), json!("two").into()];
    note.edit_list(&path("/list"), &at(2), |l| l.insert_all_op(0, values, at(2).id())).unwrap();
    note.add(&path("/tags"), "a", &at(3));
    note.increment(&path("/likes"), 2, &at(4));
    note.set(&path("/plain"), json!({"a": [1, {"b": 2}], "s": "x"}), &at(5));
    note.edit_tree(&path("/tree"), &at(6), |t| t.create_op(None, 0, json!({"n": 1}), at(6).id()))
        .unwrap();
    note
}

/// A counter counts from the element of an array, until a write beside it removes the array.
#[test]
fn a_write_beside_a_counter_in_an_array_changes_both() {
    let path = |path: &str| path.parse::<Path>().unwrap();
    let mut note = Document::default();
    note.set(&path("/a"), json!([1, "x"]), &stamp(1, "a"));
    note.increment(&path("/a/0"), 1, &stamp(3, "a"));
    let mut feed = JsonFeed::new(note.clone());
    let mut follower = feed.join(&note);
    assert_eq!(follower, json!({"a": {"0": 2}}));

    note.set(&path("/a/b"), json!(1), &stamp(2, "a"));
    apply(&mut follower, &feed.changes(note.clone()));
    assert_eq!((&follower, note.to_json()), (&json!({"a": {"0": 1, "b": 1}}), follower.clone()));
}

#[test]
fn changes_are_those_of_the_smallest_values() {
    let mut note = note();
    let mut feed = JsonFeed::new(note.clone());
    let item = note.list("/list").unwrap().id_at(0).unwrap();
    note.set(&format!("/list/{item}/title").parse().unwrap(), json!("1"), &stamp(10, "b"));
    let plain = "/plain".parse().unwrap();
    note.set(&plain, json!({"a": [1], "t": {"u": 1}}), &stamp(11, "b"));
    note.delete(&"/likes".parse().unwrap(), &stamp(12, "b"));
    assert_eq!(
        serde_json::to_value(feed.changes(note)).unwrap(),
        json!([
            {"path": "/likes"},
            {"path": "/list", "value": [{"title": "1"}, "two"]},
            {"path": "/plain/a", "value": [1]},
            {"path": "/plain/s"},
            {"path": "/plain/t", "value": {"u": 1}},
        ])
    );
}

/// A follower that was sent a value apart from the others does not have what these have there.
#[test]
fn one_follower_receives_the_whole_of_what_it_has_apart() {
    let mut note = Document::default();
    let path = |path: &str| path.parse::<Path>().unwrap();
    note.set(&path("/a"), json!({"b": 1}), &stamp(1, "a"));
    let mut feed = JsonFeed::new(note.clone());
    let mut follower = feed.join(&note);
    note.set(&path("/a"), json!(7), &stamp(2, "a"));
    apply(&mut follower, &feed.values_at(&note, [&path("/a")]));
    note.set(&path("/a"), json!({"b": 1, "c": 3}), &stamp(3, "a"));
    apply(&mut follower, &feed.values_at(&note, [&path("/a/b")]));
    assert_eq!(follower, note.to_json());
}

#[test]
fn very_many_changes_become_the_whole_value() {
    let mut map = Document::default();
    let mut feed = JsonFeed::new(map.clone());
    for ms in 0..2_000 {
        map.set(&format!("/field{ms}").parse().unwrap(), json!(ms), &stamp(ms, "a"));
    }
    let changes = feed.changes(map.clone());
    assert_eq!(changes, [JsonChange { path: Path::root(), value: Some(map.to_json()) }]);
}

/// Makes the operations of an action, as one that a server admits, and applies them.
fn changed(state: &Document, ops: &[JsonOp], node: &str) -> Result<Document, String> {
    let author: NodeId = node.parse().unwrap();
    let made = state.json_ops(ops, &author).map_err(|error| error.to_string())?;
    made.ops.iter().for_each(|op| Document::check(op).unwrap());
    let shared = Shared::<Document>::new("notes", "1");
    let action = shared.action(&made.ops).unwrap();
    Ok(shared.admit(state, &action, &stamp(1_000_000, node)).unwrap())
}

fn ops(ops: Value) -> Vec<JsonOp> {
    serde_json::from_value(ops).unwrap()
}

/// The error of a change of [`note`].
fn fault(op: &Value) -> String {
    changed(&note(), &ops(json!([op])), "10:c:d").unwrap_err()
}

#[test]
fn each_operation_has_its_effect() {
    let note = note();
    for (op, pointer, expected) in [
        (json!({"op": "set", "path": "/title", "value": "T"}), "/title", json!("T")),
        (json!({"op": "set", "path": "/list/0/title", "value": "1"}), "/list/0/title", json!("1")),
        (json!({"op": "set", "path": "/list/1", "value": {"a": 1}}), "/list/1", json!({"a": 1})),
        (json!({"op": "set", "path": "/plain/a/1/b", "value": 3}), "/plain/a/1/b", json!(3)),
        (json!({"op": "set", "path": "/plain/a/1/c", "value": 3}), "/plain/a/1/c", json!(3)),
        (json!({"op": "set", "path": "/tree/0/value/n", "value": 3}), "/tree/0/value/n", json!(3)),
        (json!({"op": "set", "path": "/tags", "value": ["b"]}), "/tags", json!(["b"])),
        (json!({"op": "delete", "path": "/list/0"}), "/list", json!(["two"])),
        (json!({"op": "delete", "path": "/plain/a/0"}), "/plain/a", json!([{"b": 2}])),
        (json!({"op": "delete", "path": "/plain/s"}), "/plain", json!({"a": [1, {"b": 2}]})),
        (json!({"op": "increment", "path": "/likes", "by": 3}), "/likes", json!(5)),
        (json!({"op": "increment", "path": "/plain/a/0", "by": 3}), "/plain/a/0", json!(4)),
        (json!({"op": "increment", "path": "/new", "by": -3}), "/new", json!(-3)),
        (json!({"op": "insert", "path": "/list", "at": 1, "values": [1]}), "/list/1", json!(1)),
        (json!({"op": "insert", "path": "/new", "values": [1, 2]}), "/new", json!([1, 2])),
        (
            json!({"op": "insert", "path": "/plain/a", "at": 1, "values": [0]}),
            "/plain/a",
            json!([1, 0, {"b": 2}]),
        ),
        (json!({"op": "remove", "path": "/list", "at": 1}), "/list", json!([{"title": "one"}])),
        (json!({"op": "remove", "path": "/plain/a", "at": 0, "count": 2}), "/plain/a", json!([])),
        (json!({"op": "move", "path": "/list", "from": 1, "to": 0}), "/list/0", json!("two")),
        (json!({"op": "move", "path": "/plain/a", "from": 0, "to": 1}), "/plain/a/1", json!(1)),
        (json!({"op": "add", "path": "/tags", "element": "b"}), "/tags", json!(["a", "b"])),
        (json!({"op": "discard", "path": "/tags", "element": "a"}), "/tags", Value::Null),
        (
            json!({"op": "insertText", "path": "/text", "at": 4, "text": "oat "}),
            "/text",
            json!("Buy oat milk"),
        ),
        (json!({"op": "removeText", "path": "/text", "at": 0, "count": 4}), "/text", json!("milk")),
        (
            json!({"op": "insertText", "path": "/plain/s", "at": 1, "text": "🦀"}),
            "/plain/s",
            json!("x🦀"),
        ),
        (json!({"op": "insertText", "path": "/new", "text": "y"}), "/new", json!("y")),
    ] {
        let after = changed(&note, &ops(json!([op])), "10:c:d").unwrap().to_json();
        assert_eq!(after.pointer(pointer).cloned().unwrap_or_default(), expected, "{op}");
    }
}

#[test]
fn a_fault_names_the_operation_and_the_field() {
    for (op, expected) in [
        (
            json!({"op": "insert", "path": "/list", "at": 3, "values": [1]}),
            r#"changes/0: "at": expected a number of at most 2"#,
        ),
        (
            json!({"op": "remove", "path": "/list", "at": 1, "count": 2}),
            r#"changes/0: "count": expected a number of at most 1"#,
        ),
        (
            json!({"op": "increment", "path": "/text", "by": 1}),
            r#"changes/0: "path": expected a whole number at "/text""#,
        ),
        (
            json!({"op": "set", "path": "/list/7/title", "value": 1}),
            r#"changes/0: "path": nothing is at "/list/7/title""#,
        ),
        (
            json!({"op": "set", "path": "/tree", "value": []}),
            r#"changes/0: "path": expected no tree at "/tree""#,
        ),
        (
            json!({"op": "add", "path": "/plain/a", "element": "x"}),
            r#"changes/0: "path": expected a set of strings at "/plain/a""#,
        ),
        (
            json!({"op": "removeText", "path": "/list", "at": 0, "count": 1}),
            r#"changes/0: "path": expected a text at "/list""#,
        ),
    ] {
        assert_eq!(fault(&op), expected, "{op}");
    }
}

#[test]
fn nodes_of_trees_are_created_moved_and_removed() {
    let change = |state: &Document, op: Value| changed(state, &ops(json!([op])), "10:c:d");
    let shown = |state: &Document| -> Vec<Value> {
        let nodes = state.get(&"/tree".parse().unwrap()).unwrap_or_default();
        let node = |node: &Value| json!([node["depth"], node["value"]]);
        nodes.as_array().unwrap().iter().map(node).collect()
    };
    let id = |state: &Document, index: usize| {
        state.to_json().pointer(&format!("/tree/{index}/id")).cloned().unwrap()
    };
    let create = |op: Value| {
        let mut fields = json!({"op": "createNode", "path": "/tree"});
        fields.as_object_mut().unwrap().extend(op.as_object().unwrap().clone());
        fields
    };
    let state = change(&Document::default(), create(json!({"value": "a"}))).unwrap();
    let a = id(&state, 0);
    let state = change(&state, create(json!({"value": "c", "parent": a}))).unwrap();
    let state = change(&state, create(json!({"value": "b", "parent": a, "at": 0}))).unwrap();
    let b = id(&state, 1);
    assert_eq!(shown(&state), [json!([0, "a"]), json!([1, "b"]), json!([1, "c"])]);

    let to_end = json!({"op": "moveNode", "path": "/tree", "node": b, "parent": a});
    let moved = change(&state, to_end.clone()).unwrap();
    assert_eq!(shown(&moved), [json!([0, "a"]), json!([1, "c"]), json!([1, "b"])]);
    let author: NodeId = "10:c:d".parse().unwrap();
    assert!(moved.json_ops(&ops(json!([to_end])), &author).unwrap().ops.is_empty());
    let top = json!({"op": "moveNode", "path": "/tree", "node": b, "at": 0});
    let moved = change(&state, top).unwrap();
    assert_eq!(shown(&moved), [json!([0, "b"]), json!([0, "a"]), json!([1, "c"])]);

    let path = format!("/tree/{}", a.as_str().unwrap());
    let set = json!({"op": "set", "path": format!("{path}/title"), "value": 1});
    assert_eq!(shown(&change(&moved, set).unwrap())[1], json!([0, {"title": 1}]));
    let without = change(&moved, json!({"op": "delete", "path": path})).unwrap();
    assert_eq!(shown(&without), [json!([0, "b"])]);

    for (op, expected) in [
        (
            json!({"op": "moveNode", "path": "/tree", "node": a, "parent": b}),
            "which is the node or",
        ),
        (json!({"op": "moveNode", "path": "/tree", "node": "@x 1"}), "the tree has no node @x 1"),
        (create(json!({"value": 1, "parent": "@x 1"})), "the tree has no node @x 1"),
        (create(json!({"value": 1, "at": 2})), "expected an index of at most 1, got 2"),
        (json!({"op": "moveNode", "path": "/x", "node": a}), r#"expected a tree at "/x""#),
    ] {
        let error = change(&state, op.clone()).unwrap_err();
        assert!(error.contains(expected), "{op}: {error}");
    }
    let error = fault(&json!({"op": "createNode", "path": "/list", "value": 1}));
    assert_eq!(error, r#"changes/0: "path": expected a tree at "/list""#);
}

#[test]
fn a_whole_value_changes_only_what_differs() {
    let note = note();
    let mut target = note.to_json();
    target["text"] = json!("Buy oat milk");
    target["list"] = json!([{"title": "first"}, "two"]);
    target["likes"] = json!(2);
    target.as_object_mut().unwrap().remove("tags");
    let set = ops(json!([{"op": "set", "path": "", "value": target}]));
    let made = note.json_ops(&set, &"10:c:d".parse().unwrap()).unwrap();
    let paths: Vec<String> = made.ops.iter().map(|op| op.path().to_string()).collect();
    let item = note.list("/list").unwrap().id_at(0).unwrap();
    assert_eq!(paths, ["/tags", &format!("/list/{item}/title"), "/text"]);
    let after = changed(&note, &set, "10:c:d").unwrap();
    assert_eq!(after.to_json(), target);
    // What others type at the same time stays, and so do the items.
    assert!(after.text("/text").is_some() && after.list("/list").is_some());
    let again = after.json_ops(&set, &"10:c:d".parse().unwrap()).unwrap();
    assert_eq!(again.ops, []);
}

#[test]
fn a_text_that_is_set_merges_with_concurrent_typing() {
    let note = note();
    let set = ops(json!([{"op": "set", "path": "/text", "value": "Buy oat milk"}]));
    let author: NodeId = "10:c:d".parse().unwrap();
    let mut after = note.clone();
    let at = stamp(20, "b");
    after
        .edit_text(&"/text".parse().unwrap(), &at, |text| text.set_ops("Buy milk!", at.id()))
        .unwrap();
    let made = note.json_ops(&set, &author).unwrap();
    for (index, op) in (0..).zip(&made.ops) {
        after.apply(op, &stamp(19, "10:c:d").of_operation(index));
    }
    assert_eq!(after.to_json()["text"], "Buy oat milk!");
}

/// Few bytes must not make a server read a large value very often, or write it.
#[test]
fn the_work_of_an_action_is_bounded() {
    let mut note = Document::default();
    let items: Vec<Value> = (0..100_000).map(|n| json!(n)).collect();
    note.set(&"/array".parse().unwrap(), json!(items), &stamp(1, "a"));
    let author: NodeId = "10:c:d".parse().unwrap();
    let remove = json!({"op": "remove", "path": "/array", "at": 0});
    let made = note.json_ops(&ops(vec![remove; 9_000].into()), &author);
    let error = made.unwrap_err().to_string();
    assert!(error.contains("at most 33554432 bytes"), "{error}");
    let values = ops(json!([{"op": "insert", "path": "/list", "values": items}]));
    let list = changed(&note, &values, "10:c:d").unwrap();
    let emptied = ops(json!([{"op": "set", "path": "/list", "value": [1]}]));
    assert_eq!(list.json_ops(&emptied, &author).unwrap().ops.len(), 1);
    let many = ops(json!([{"op": "remove", "path": "/list", "at": 0, "count": 10_001}]));
    assert!(list.json_ops(&many, &author).is_err());
}

/// A random operation on the paths of random documents.
fn json_op() -> impl Strategy<Value = Value> + Clone {
    let at = || 0..3_usize;
    let nodes = vec!["@a 0", "@10:c:d 0", "@10:c:d 1"];
    let parents = vec![None, Some("@a 0"), Some("@10:c:d 0")];
    (
        select(vec!["", "/a", "/a/b", "/a/0", "/a/b/0", "/a/0/a", "/b", "/b/0/value"]),
        prop_oneof![
            3 => value().prop_map(|value| json!({"op": "set", "value": value})),
            1 => Just(json!({"op": "delete"})),
            1 => (-3..4_i64).prop_map(|by| json!({"op": "increment", "by": by})),
            2 => (at(), value()).prop_map(|(at, v)| json!({"op": "insert", "at": at, "values": [v]})),
            1 => (at(), at()).prop_map(|(at, count)| json!({"op": "remove", "at": at, "count": count})),
            1 => (at(), at()).prop_map(|(from, to)| json!({"op": "move", "from": from, "to": to})),
            1 => Just(json!({"op": "add", "element": "a"})),
            1 => Just(json!({"op": "discard", "element": "a"})),
            2 => at().prop_map(|at| json!({"op": "insertText", "at": at, "text": "x🦀"})),
            1 => (at(), at())
                .prop_map(|(at, count)| json!({"op": "removeText", "at": at, "count": count})),
            1 => (at(), select(parents.clone())).prop_map(|(at, parent)| {
                json!({"op": "createNode", "parent": parent, "at": at, "value": "n"})
            }),
            1 => (at(), select(nodes), select(parents)).prop_map(|(at, node, parent)| {
                json!({"op": "moveNode", "node": node, "parent": parent, "at": at})
            }),
        ],
    )
        .prop_map(|(path, mut op)| {
            op["path"] = path.into();
            op
        })
}

/// What an operation does to the JSON. `None` if it is not the same for each type of the parts.
fn model(mut json: Value, op: &Value) -> Option<Value> {
    let path = op["path"].as_str()?;
    let name = op["op"].as_str()?;
    if name == "set" {
        match json.pointer_mut(path) {
            Some(value) => *value = op["value"].clone(),
            None => {
                let (above, key) = path.rsplit_once('/')?;
                json.pointer_mut(above)?.as_object_mut()?.insert(key.into(), op["value"].clone());
            }
        }
        return Some(json);
    }
    let value = json.pointer_mut(path)?;
    let index = |name: &str| op[name].as_u64().map(|index| index as usize);
    match name {
        "insert" => value.as_array_mut()?.insert(index("at")?, op["values"][0].clone()),
        "remove" => {
            let at = index("at")?;
            value.as_array_mut()?.drain(at..at + index("count")?);
            // Nothing is shown for a list without items.
            if value.as_array()?.is_empty() {
                return None;
            }
        }
        "move" => {
            let items = value.as_array_mut()?;
            let item = items.remove(index("from")?);
            items.insert(index("to")?, item);
        }
        "increment" if value.is_i64() => *value = (value.as_i64()? + op["by"].as_i64()?).into(),
        "insertText" | "removeText" => {
            let mut units: Vec<u16> = value.as_str()?.encode_utf16().collect();
            let at = index("at")?;
            if name == "insertText" {
                units.splice(at..at, op["text"].as_str()?.encode_utf16());
            } else {
                units.drain(at..at + index("count")?);
            }
            // Not within a surrogate pair.
            *value = String::from_utf16(&units).ok()?.into();
        }
        _ => return None,
    }
    Some(json)
}

proptest! {
    #![proptest_config(config())]

    /// Whatever the parts of a document are, operations do to it what they do to its JSON, and a
    /// server admits them.
    #[test]
    fn operations_do_what_they_do_to_the_json(
        history in prop::collection::vec(document_intent(), 0..12),
        changes in prop::collection::vec(json_op(), 1..6),
    ) {
        let mut state = Document::default();
        for (ms, intent) in (1..).zip(&history) {
            let at = stamp(ms, "a");
            if let Some(op) = document_op(&state, intent, at.id()) {
                state.apply(&op, &at);
            }
        }
        let all = ops(changes.clone().into());
        let mut shown = state.clone();
        for (ms, (op, change)) in (100..).zip(all.iter().zip(&changes)) {
            let author: NodeId = "10:c:d".parse().unwrap();
            let Ok(made) = shown.json_ops(std::slice::from_ref(op), &author) else { continue };
            let at = stamp(ms, "10:c:d");
            let shared = Shared::<Document>::new("notes", "1");
            let after = shared.admit(&shown, &shared.action(&made.ops).unwrap(), &at).unwrap();
            if let Some(expected) = model(shown.to_json(), change) {
                prop_assert_eq!(after.to_json(), expected, "{} {:?}", change, made);
            }
            // Nothing else has changed than what the author is told.
            let mut feed = JsonFeed::new(shown.clone());
            let mut json = shown.to_json();
            apply(&mut json, &feed.values_at(&after, &made.paths));
            prop_assert_eq!(json, after.to_json(), "{} {:?}", change, made);
            shown = after;
        }
        // The operations of one action see what those before them have made.
        let author: NodeId = "10:e:f".parse().unwrap();
        if let Ok(made) = state.json_ops(&all, &author) {
            let shared = Shared::<Document>::new("notes", "1");
            let action = shared.action(&made.ops).unwrap();
            shared.admit(&state, &action, &stamp(100, "10:e:f")).unwrap();
        }
    }

    /// Operations from outside are read or refused.
    #[test]
    fn operations_are_read_as_they_are_written(op in json_op()) {
        let read: JsonOp = serde_json::from_value(op).unwrap();
        let written = serde_json::to_value(&read).unwrap();
        prop_assert_eq!(serde_json::from_value::<JsonOp>(written).unwrap(), read);
    }
}
