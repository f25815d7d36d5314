//! Trees in documents: what is in their nodes, and what a write at their path hides.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use logux::{
    ActionId, Stamp, WallTime,
    crdt::{
        Crdt, Document, DocumentOp, ElementId, List, MAX_KEYS, Path, TextError, Tree, TreeError,
        Unit,
    },
    replay::Coverage,
};
use serde_json::{Value, json};

fn stamp(ms: i64, node: &str) -> Stamp {
    let time = WallTime::from_millis(ms);
    Stamp::new(time, ActionId::new(time, node.parse().unwrap(), 0))
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn name(text: &str) -> ElementId {
    text.parse().unwrap()
}

fn get(document: &Document, at: &str) -> Option<Value> {
    document.get(&path(at))
}

/// Creates a node at the end of the children of a node, or of the top level.
fn create(document: &mut Document, at: &str, parent: Option<&str>, value: Value, stamp: &Stamp) {
    let parent = parent.map(name);
    let make = |tree: &Tree| {
        let parent = parent.as_ref();
        tree.create_op(parent, tree.child_count(parent), value, stamp.id())
    };
    document.edit_tree(&path(at), stamp, make).unwrap();
}

fn write_text(document: &mut Document, at: &str, text: &str, stamp: &Stamp) {
    document.edit_text(&path(at), stamp, |old| old.set_ops(text, stamp.id())).unwrap();
}

/// Returns the values of the nodes of the tree at `/outline`, with their depths.
fn outline(document: &Document) -> Vec<(u64, Value)> {
    let json = document.to_json();
    let nodes = json["outline"].as_array().into_iter().flatten();
    nodes.map(|node| (node["depth"].as_u64().unwrap(), node["value"].clone())).collect()
}

/// Applies operations in all orders, and returns the document that each order gives.
fn in_all_orders(ops: &[(Vec<DocumentOp>, Stamp)]) -> Document {
    let mut result: Option<Document> = None;
    for mut number in 0..(1..=ops.len()).product() {
        let mut rest: Vec<_> = ops.iter().collect();
        let mut document = Document::default();
        for count in (1..=ops.len()).rev() {
            let (ops, stamp) = rest.remove(number % count);
            number /= count;
            for (index, op) in (0..).zip(ops) {
                Document::check(op).unwrap();
                document.apply(op, &stamp.of_operation(index));
            }
        }
        document.assert_invariants();
        let loaded = Document::load(&document.save()).unwrap();
        assert_eq!(loaded, document);
        assert_eq!(loaded.to_json(), document.to_json());
        assert_eq!(document, *result.get_or_insert_with(|| document.clone()));
    }
    result.unwrap()
}

fn op(json: Value) -> DocumentOp {
    serde_json::from_value(json).unwrap()
}

#[test]
fn nodes_are_documents() {
    let mut document = Document::default();
    create(&mut document, "/outline", None, json!({"title": "Engine"}), &stamp(1, "a"));
    create(&mut document, "/outline", Some("@a 0"), json!("Mill"), &stamp(2, "a"));
    document.set(&path("/outline/@a 0/done"), json!(true), &stamp(3, "b"));
    document.increment(&path("/outline/@a 0/likes"), 2, &stamp(4, "b"));
    document.add(&path("/outline/@a 0/tags"), "brass", &stamp(5, "b"));
    write_text(&mut document, "/outline/@a 0/note", "A note", &stamp(6, "b"));
    let steps = path("/outline/@a 0/steps");
    let at = stamp(7, "b");
    document.edit_list(&steps, &at, |list| list.push_op(json!("cut"), at.id())).unwrap();
    create(&mut document, "/outline/@a 0/parts", None, json!("gear"), &stamp(8, "b"));
    document.set(&path("/outline/@a 1"), json!("Mill and store"), &stamp(9, "b"));

    let engine = json!({
        "title": "Engine", "done": true, "likes": 2, "tags": ["brass"], "note": "A note",
        "steps": ["cut"],
        "parts": [{"id": "@b 7", "parent": null, "depth": 0, "value": "gear"}],
    });
    assert_eq!(
        document.to_json(),
        json!({"outline": [
            {"id": "@a 0", "parent": null, "depth": 0, "value": engine},
            {"id": "@a 1", "parent": "@a 0", "depth": 1, "value": "Mill and store"},
        ]})
    );
    for (at, value) in [
        ("/outline/@a 0", engine.clone()),
        ("/outline/0/value", engine),
        ("/outline/@a 0/note", json!("A note")),
        ("/outline/0/value/note", json!("A note")),
        ("/outline/@a 0/parts/@b 7", json!("gear")),
        ("/outline/@a 0/parts/0/value", json!("gear")),
        ("/outline/0/value/steps/0", json!("cut")),
        ("/outline/@a 0/steps/@b 6", json!("cut")),
        ("/outline/1/parent", json!("@a 0")),
        ("/outline/@a 1", json!("Mill and store")),
        (
            "/outline/1",
            json!({"id": "@a 1", "parent": "@a 0", "depth": 1, "value": "Mill and store"}),
        ),
    ] {
        assert_eq!(get(&document, at), Some(value), "{at}");
    }
    for at in ["/outline/2", "/outline/@a 2", "/outline/@b 7", "/outline/x", "/outline/0/note"] {
        assert_eq!(get(&document, at), None, "{at}");
    }
    // What is in a node moves with it.
    let at = stamp(10, "c");
    document
        .edit_tree(&path("/outline"), &at, |tree| tree.move_op(&name("@a 1"), None, 0, at.id()))
        .unwrap();
    assert_eq!(outline(&document)[0], (0, json!("Mill and store")));
    assert_eq!(outline(&document)[1].1["note"], "A note");
}

#[test]
fn a_tree_is_in_an_item_of_a_list_and_a_list_in_a_node() {
    let mut document = Document::default();
    let at = stamp(1, "a");
    let boards = path("/boards");
    document.edit_list(&boards, &at, |list| list.push_op(json!({}), at.id())).unwrap();
    let cards = "/boards/@a 0/cards";
    create(&mut document, cards, None, json!({}), &stamp(2, "a"));
    let list = path(&format!("{cards}/@a 1/list"));
    let at = stamp(3, "b");
    document.edit_list(&list, &at, |list| list.push_op(json!("x"), at.id())).unwrap();
    let node = json!({"id": "@a 1", "parent": null, "depth": 0, "value": {"list": ["x"]}});
    assert_eq!(document.to_json(), json!({"boards": [{"cards": [node]}]}));
    assert_eq!(get(&document, "/boards/@a 0/cards/@a 1/list/@b 0"), Some(json!("x")));
    assert_eq!(get(&document, "/boards/0/cards/0/value/list/0"), Some(json!("x")));

    // All of it disappears with the item.
    let before = document.clone();
    let at = stamp(4, "c");
    document.edit_list(&boards, &at, |list| list.remove_op(0, at.id())).unwrap();
    assert_eq!(document.to_json(), json!({}));
    document.settle(&Coverage::default());
    assert!(document.tree(cards).is_none() && document.list(list.as_str()).is_none());
    assert!(document.save().len() < before.save().len());
}

#[test]
fn a_creation_after_a_write_shows_the_whole_tree() {
    let mut base = Document::default();
    create(&mut base, "/outline", None, json!({"title": "old"}), &stamp(1, "a"));
    base.set(&path("/outline/@a 0/title"), json!("new"), &stamp(2, "a"));
    write_text(&mut base, "/outline/@a 0/note", "note", &stamp(3, "a"));
    base.increment(&path("/outline/@a 0/likes"), 1, &stamp(4, "a"));
    let node = json!({"title": "new", "note": "note", "likes": 1});
    assert_eq!(outline(&base), [(0, node.clone())]);

    let mut deleted = base.clone();
    deleted.delete(&path("/outline"), &stamp(10, "b"));
    assert_eq!(deleted.to_json(), json!({}));
    assert!(deleted.tree("/outline").is_none());
    assert_eq!(get(&deleted, "/outline/@a 0"), None);

    // Moves and writes do not show it again.
    let author = stamp(0, "c");
    let others: Vec<DocumentOp> = ["/outline", "/outline/@a 0"]
        .into_iter()
        .map(|at| match at {
            "/outline" => base
                .tree_ops(&path(at), author.id(), |tree| {
                    tree.move_op(&name("@a 0"), None, 0, author.id())
                })
                .unwrap()
                .remove(0),
            at => base.set_op(&path(&format!("{at}/done")), json!(true)),
        })
        .collect();
    for (ms, op) in (20..).zip(&others) {
        deleted.apply(op, &stamp(ms, "c"));
        assert_eq!(deleted.to_json(), json!({}), "{op:?}");
    }

    // A creation by a user who has not seen the write does, with everything in the nodes.
    let mut grace = base.clone();
    create(&mut grace, "/outline", Some("@a 0"), json!("child"), &stamp(30, "d"));
    let ops = base.tree_ops(&path("/outline"), stamp(30, "d").id(), |tree| {
        tree.create_op(Some(&name("@a 0")), 0, json!("child"), stamp(30, "d").id())
    });
    for op in ops.unwrap() {
        deleted.apply(&op, &stamp(30, "d"));
    }
    let mut whole = node;
    whole["done"] = json!(true);
    assert_eq!(outline(&deleted), [(0, whole), (1, json!("child"))]);
    assert_eq!(get(&deleted, "/outline/@a 0/title"), Some(json!("new")));
    // An earlier one does not.
    grace.delete(&path(""), &stamp(31, "b"));
    assert_eq!(grace.to_json(), json!({}));
}

#[test]
fn a_new_tree_at_the_path_of_a_replaced_one_has_none_of_its_nodes() {
    let mut document = Document::default();
    create(&mut document, "/outline", None, json!("old"), &stamp(1, "a"));
    create(&mut document, "/outline", Some("@a 0"), json!("below"), &stamp(2, "a"));
    create(&mut document, "/outline", None, json!("older"), &stamp(3, "b"));
    document.set(&path("/outline"), json!(null), &stamp(4, "b"));
    assert_eq!(document.to_json(), json!({"outline": null}));
    let author = stamp(5, "a");
    let ops = document
        .tree_ops(&path("/outline"), author.id(), |tree| {
            assert!(tree.is_empty() && !tree.contains(&name("@a 0")));
            tree.create_op(None, 0, json!("new"), author.id())
        })
        .unwrap();
    assert_eq!(
        serde_json::to_value(&ops).unwrap(),
        json!([
            {"op": "removeNode", "path": "/outline", "item": 0},
            {"op": "removeNode", "path": "/outline", "item": "@b 0"},
            {"op": "createNode", "path": "/outline", "first": 2, "value": "new", "before": 0},
        ])
    );
    for (index, op) in (0..).zip(&ops) {
        document.admit(op, &author.of_operation(index)).unwrap();
        document.apply(op, &author.of_operation(index));
    }
    assert_eq!(outline(&document), [(0, json!("new"))]);
}

#[test]
fn every_order_gives_one_document() {
    let document = in_all_orders(&[
        (
            vec![op(json!({"op": "createNode", "path": "/outline", "first": 0, "value": {}}))],
            stamp(1, "a"),
        ),
        (
            vec![
                op(
                    json!({"op": "createNode", "path": "/outline", "first": 1, "parent": 0, "value": 1}),
                ),
                op(
                    json!({"op": "insertText", "path": "/outline/@a 1/note", "first": 2, "text": "x"}),
                ),
            ],
            stamp(2, "a"),
        ),
        (
            vec![op(json!({"op": "set", "path": "/outline/@a 0/title", "value": "T"}))],
            stamp(3, "b"),
        ),
        (vec![op(json!({"op": "delete", "path": "/outline"}))], stamp(4, "b")),
        (
            vec![op(json!({"op": "moveNode", "path": "/outline", "item": "@a 1", "first": 0}))],
            stamp(5, "c"),
        ),
        (
            vec![op(
                json!({"op": "createNode", "path": "/outline", "first": 1, "after": "@a 0", "value": 2}),
            )],
            stamp(6, "c"),
        ),
    ]);
    assert_eq!(document.next_counter(stamp(0, "a").id().node()), 3);
    assert_eq!(document.next_counter(stamp(0, "c").id().node()), 2);
    assert_eq!(outline(&document).len(), 3);
    assert_eq!(get(&document, "/outline/@a 1/note"), Some(json!("x")));
    assert_eq!(get(&document, "/outline/@a 0/title"), Some(json!("T")));
}

#[test]
fn a_tree_is_shown_in_place_of_all_others() {
    let mut document = Document::default();
    create(&mut document, "/a", None, json!("node"), &stamp(1, "a"));
    document.set(&path("/a/b"), json!(1), &stamp(2, "a"));
    document.increment(&path("/a"), 1, &stamp(3, "a"));
    document.add(&path("/a"), "x", &stamp(4, "a"));
    let at = stamp(5, "a");
    document.edit_list(&path("/a"), &at, |list| list.push_op(json!(1), at.id())).unwrap();
    write_text(&mut document, "/a", "text", &stamp(6, "a"));
    create(&mut document, "/a/b", None, json!("hidden"), &stamp(7, "a"));
    let node = json!({"id": "@a 0", "parent": null, "depth": 0, "value": "node"});
    assert_eq!(document.to_json(), json!({"a": [node]}));
    assert_eq!(get(&document, "/a"), Some(json!([node])));
    assert_eq!(get(&document, "/a/b"), None);
}

#[test]
fn a_removed_node_returns_with_what_is_in_it_until_the_removal_is_settled() {
    let mut document = Document::default();
    for (ms, title) in (1..).zip(["Engine", "Mill", "Store"]) {
        create(&mut document, "/outline", None, json!(title), &stamp(ms, "a"));
    }
    let at = stamp(5, "a");
    let below = |tree: &Tree| tree.move_op(&name("@a 1"), Some(&name("@a 0")), 0, at.id());
    document.edit_tree(&path("/outline"), &at, below).unwrap();
    for (ms, node) in (10..).zip(["@a 0", "@a 1", "@a 2"]) {
        let note = format!("/outline/{node}/note");
        write_text(&mut document, &note, &format!("note of {node}"), &stamp(ms, "a"));
        document.set(&path(&format!("/outline/{node}/x")), json!(1), &stamp(ms, "b"));
        document.increment(&path(&format!("/outline/{node}/n")), 1, &stamp(ms, "c"));
        create(&mut document, &format!("/outline/{node}/t"), None, json!(1), &stamp(ms, "d"));
    }
    let whole = document.clone();
    let at = stamp(20, "b");
    let remove = |tree: &Tree| tree.remove_op(&name("@a 0"), at.id());
    let removal = whole.tree_ops(&path("/outline"), at.id(), remove).unwrap().remove(0);
    document.apply(&removal, &at);
    assert_eq!(outline(&document).len(), 1);

    // Undone before it is settled: replayed from the state without it.
    let mut undone = whole.clone();
    undone.apply_undone(&removal, &at);
    assert_eq!(undone.to_json(), whole.to_json());

    document.settle(&Coverage::default());
    assert_eq!(outline(&document).len(), 1);
    let saved = document.save();
    assert!(saved.len() < whole.save().len(), "what was in the node is forgotten");
    // A node below a removed one can be moved out, with everything in it.
    let item = json!({"op": "moveNode", "path": "/outline", "item": "@a 1", "first": 0});
    document.apply(&op(item), &stamp(30, "e"));
    assert_eq!(outline(&document).len(), 2);
    for at in ["note", "x", "n", "t/0/value"] {
        let at = format!("/outline/@a 1/{at}");
        assert_eq!(get(&document, &at), get(&whole, &at), "{at}");
        assert!(get(&document, &at).is_some(), "{at}");
    }
    let lost = json!({"op": "moveNode", "path": "/outline", "item": "@a 0", "first": 1});
    document.apply(&op(lost), &stamp(31, "e"));
    assert_eq!(outline(&document).len(), 2);
}

#[test]
fn what_is_in_a_node_whose_creation_is_undone_for_good_is_forgotten() {
    let mut document = Document::default();
    let creation = op(json!({"op": "createNode", "path": "/outline", "first": 0, "value": {}}));
    document.apply_undone(&creation, &stamp(1, "a"));
    document.set(&path("/outline/@a 0/title"), json!("x".repeat(100)), &stamp(2, "b"));
    document.settle(&Coverage::default());
    assert!(document.save().len() < 120, "{} bytes", document.save().len());
    document.apply(&creation, &stamp(1, "a"));
    assert_eq!(document.to_json().get("outline"), Some(&json!([])));
}

#[test]
fn elements_of_trees_lists_and_texts_have_one_count() {
    let mut document = Document::default();
    write_text(&mut document, "/body", "abc", &stamp(1, "a"));
    create(&mut document, "/outline", None, json!(1), &stamp(2, "a"));
    let author = stamp(3, "a");
    let move_op = |tree: &Tree| tree.move_op(&name("@a 3"), None, 0, author.id());
    document.edit_tree(&path("/outline"), &author, move_op).unwrap();
    write_text(&mut document, "/body", "abcd", &stamp(4, "a"));
    assert_eq!(document.next_counter(author.id().node()), 6);
    let used = op(json!({"op": "createNode", "path": "/outline", "first": 5, "value": 1}));
    let error = document.admit(&used, &author).unwrap_err().to_string();
    assert!(error.contains("from 6 on, got 5"), "{error}");
    let unknown = op(json!({"op": "removeNode", "path": "/other", "item": 3}));
    assert!(document.admit(&unknown, &author).is_err());
    let new = op(json!({"op": "createNode", "path": "/new", "first": 6, "value": 1}));
    document.admit(&new, &author).unwrap();
    assert!(
        Document::check(&op(
            json!({"op": "createNode", "path": "/t", "first": 1, "parent": 1, "value": 1})
        ))
        .is_err()
    );
}

#[test]
fn operations_keep_their_json() {
    for json in [
        r#"{"op":"createNode","path":"/o","first":7,"parent":2,"after":5,"before":"@20:c:d 4","value":{"a":1.0}}"#,
        r#"{"op":"createNode","path":"","first":0,"value":null}"#,
        r#"{"op":"moveNode","path":"/o","item":"@20:c:d 3","first":8}"#,
        r#"{"op":"removeNode","path":"/o/@20:c:d 3/t","item":7}"#,
    ] {
        let op: DocumentOp = serde_json::from_str(json).unwrap();
        Document::check(&op).unwrap();
        assert_eq!(serde_json::to_string(&op).unwrap(), json);
    }
    for json in [
        r#"{"op":"createNode","path":"/o","first":7}"#,
        r#"{"op":"createNode","path":"/o","value":7}"#,
        r#"{"op":"createNode","first":7,"value":1}"#,
        r#"{"op":"moveNode","path":"/o","first":7}"#,
        r#"{"op":"moveNode","path":"/o","item":7}"#,
        r#"{"op":"removeNode","path":"/o"}"#,
    ] {
        assert!(serde_json::from_str::<DocumentOp>(json).is_err(), "{json}");
    }
}

#[test]
fn writes_of_nodes_are_writes_at_their_paths() {
    let mut document = Document::default();
    create(&mut document, "/outline", None, json!({"a": 1, "b": 1}), &stamp(1, "a"));
    let (at, node) = (stamp(2, "b"), name("@a 0"));
    let edit = |document: &mut Document, ms, make: &dyn Fn(&Tree) -> Result<_, TreeError>| {
        document.edit_tree(&path("/outline"), &stamp(ms, "b"), make)
    };
    edit(&mut document, 2, &|tree| tree.set_op(&node, path("/c"), json!(2), at.id())).unwrap();
    edit(&mut document, 3, &|tree| tree.delete_op(&node, path("/a"), at.id())).unwrap();
    assert_eq!(get(&document, "/outline/@a 0"), Some(json!({"b": 1, "c": 2})));
    edit(&mut document, 4, &|tree| tree.set_op(&node, Path::root(), json!(7), at.id())).unwrap();
    assert_eq!(get(&document, "/outline/@a 0"), Some(json!(7)));
    document.delete(&path("/outline/@a 0"), &stamp(5, "b"));
    assert_eq!(outline(&document), [(0, Value::Null)]);
    let deep = path(&"/x".repeat(MAX_KEYS));
    let error = edit(&mut document, 6, &|tree| tree.set_op(&node, deep.clone(), json!(7), at.id()));
    assert!(matches!(error, Err(TreeError::Path(_))), "{error:?}");
}

#[test]
fn a_document_reports_the_trees_that_differ() {
    let mut before = Document::default();
    create(&mut before, "/a", None, json!(1), &stamp(1, "a"));
    create(&mut before, "/b", None, json!(1), &stamp(2, "a"));
    let mut after = before.clone();
    let paths = |after: &Document| {
        let mut paths = Vec::new();
        before.diff(after, &mut |path| paths.push(path.to_string()));
        paths
    };
    assert!(paths(&after).is_empty());
    create(&mut after, "/b", Some("@a 1"), json!(2), &stamp(3, "b"));
    assert_eq!(paths(&after), ["/b"]);
    after.set(&path("/a/@a 0/title"), json!("x"), &stamp(4, "b"));
    assert_eq!(paths(&after), ["/a/@a 0/title", "/b"]);
}

#[test]
fn all_kinds_are_changed_at_once() {
    let mut document = Document::default();
    let at = |ms| stamp(ms, "a");
    assert!(document.set(&path("/title"), json!("Plan"), &at(1)));
    assert!(!document.set(&path("/title"), json!("late"), &at(0)));
    assert!(
        document.set(&path("/old"), json!(1), &at(2)) && document.delete(&path("/old"), &at(3))
    );
    document.increment(&path("/likes"), 3, &at(4));
    document.add(&path("/tags"), "a", &at(5));
    document.add(&path("/tags"), "b", &at(6));
    document.discard(&path("/tags"), "a", &at(7));
    document.edit_list(&path("/list"), &at(8), |list| list.push_op(json!(1), at(8).id())).unwrap();
    let text = path("/text");
    let typed = |text: &logux::crdt::Text| -> Result<_, TextError> {
        Ok(vec![text.insert_op(0, "abc", Unit::Scalars, at(9).id())?])
    };
    document.edit_text(&text, &at(9), typed).unwrap();
    let replace =
        |text: &logux::crdt::Text| text.replace_ops(0..1, "xy", Unit::Scalars, at(10).id());
    document.edit_text(&text, &at(10), replace).unwrap();
    create(&mut document, "/tree", None, json!("node"), &at(11));
    assert_eq!(
        document.to_json(),
        json!({
            "title": "Plan", "likes": 3, "tags": ["b"], "list": [1], "text": "xybc",
            "tree": [{"id": "@a 6", "parent": null, "depth": 0, "value": "node"}],
        })
    );
    let out_of_bounds =
        document.edit_list(&path("/list"), &at(12), |list| list.remove_op(1, at(12).id()));
    assert!(out_of_bounds.is_err());
    assert_eq!(document.list("/list").map(List::len), Some(1));
}

#[test]
fn a_tree_of_20000_levels_is_read_without_recursion() {
    const LEVELS: usize = 20_000;
    const CHAIN: usize = 1_000;
    let mut document = Document::default();
    let outline = path("/outline");
    let create = |first: usize, parent: Option<usize>| {
        let mut json = json!({"op": "createNode", "path": "/outline", "first": first, "value": 0});
        if let Some(parent) = parent {
            json["parent"] = json!(parent);
        }
        op(json)
    };
    let mut ms = 0;
    let mut apply = |document: &mut Document, op: &DocumentOp| {
        ms += 1;
        document.apply(op, &stamp(ms, "a"));
    };
    for index in 0..LEVELS {
        // Places at the top level must not be between others: each is the first one.
        let parent = (index % CHAIN > 0).then(|| index - 1);
        apply(&mut document, &create(index, parent));
    }
    for (index, start) in (0..LEVELS - CHAIN).step_by(CHAIN).enumerate() {
        let parent = start + 2 * CHAIN - 1;
        let json = json!({"op": "moveNode", "path": "/outline", "item": start, "first": LEVELS + index, "parent": parent});
        apply(&mut document, &op(json));
    }
    let deepest = format!("/outline/@a {}", CHAIN - 1);
    apply(&mut document, &op(json!({"op": "set", "path": format!("{deepest}/x"), "value": 1})));
    assert_eq!(get(&document, &format!("{deepest}/x")), Some(json!(1)));
    assert_eq!(get(&document, &format!("/outline/{}/depth", LEVELS - 1)), Some(json!(LEVELS - 1)));
    let json = document.to_json();
    let nodes = json["outline"].as_array().unwrap();
    assert_eq!(nodes.len(), LEVELS);
    assert_eq!(nodes[LEVELS - 1]["value"], json!({"x": 1}));
    document.delete(&outline, &stamp(1_000_000, "b"));
    document.settle(&Coverage::default());
    assert_eq!(document.to_json(), json!({}));
}
