//! Lists, trees and documents.

use logux::{
    Action, ActionId,
    crdt::{Crdt as _, Document, DocumentOp, List, MAX_ITEMS, MAX_TREE_DEPTH, Path, Tree},
};
use serde_json::{Value, json};

use crate::{Edit, agreed, apply, assert_cheap, edit, node, stamp, with_small_stack};

#[test]
fn operations_on_items_wait_for_them() {
    with_small_stack(|| {
        assert_cheap::<List>("insertions that wait for one item", 300, |size| {
            let wait = |n| {
                let op = json!({"op": "insert", "first": n, "values": [n], "after": "@20:b:x 9"});
                edit::<List>(n, "10:a:x", op)
            };
            let mut edits: Vec<_> = (0..size).map(wait).collect();
            let values: Vec<usize> = (0..10).collect();
            let op = json!({"op": "insert", "first": 0, "values": values});
            edits.push(edit::<List>(size, "20:b:x", op));
            edits
        });
    });
}

#[test]
fn an_unknown_item_is_moved_written_and_removed_often() {
    with_small_stack(|| {
        assert_cheap::<List>("an unknown item", 300, |size| {
            let change = |n: usize| {
                let item = "@20:b:x 0";
                edit::<List>(
                    n,
                    "10:a:x",
                    match n % 3 {
                        0 => json!({"op": "move", "item": item, "first": n}),
                        1 => json!({"op": "set", "item": item, "value": n}),
                        _ => json!({"op": "remove", "item": format!("@30:c:x {n}")}),
                    },
                )
            };
            let mut edits: Vec<_> = (0..size).map(change).collect();
            let op = json!({"op": "insert", "first": 0, "values": ["late"]});
            edits.push(edit::<List>(size, "20:b:x", op));
            edits
        });
    });
}

#[test]
fn the_largest_insertion_of_items_is_applied_and_a_longer_one_refused() {
    with_small_stack(|| {
        let insert = |len: usize| -> logux::crdt::ListOp {
            let op = json!({"op": "insert", "first": 0, "values": vec![1; len]});
            serde_json::from_value(op).unwrap()
        };
        assert!(List::check(&insert(MAX_ITEMS + 1)).is_err());
        List::check(&insert(MAX_ITEMS)).unwrap();
        let list = apply::<List>(&[(insert(MAX_ITEMS), stamp(0, "10:a:x"))]);
        assert_eq!(list.len(), MAX_ITEMS);
        assert!(List::load(&list.save()).unwrap() == list);
    });
}

#[test]
fn nodes_of_a_tree_wait_for_a_parent_and_a_neighbour() {
    with_small_stack(|| {
        for field in ["parent", "after"] {
            assert_cheap::<Tree>(&format!("nodes that wait for their {field}"), 300, |size| {
                let wait = |n| {
                    let op = json!({"op": "create", "first": n, field: "@20:b:x 0", "value": n});
                    edit::<Tree>(n + 1, "10:a:x", op)
                };
                let mut edits: Vec<_> = (0..size).map(wait).collect();
                let op = json!({"op": "create", "first": 0, "value": "late"});
                edits.push(edit::<Tree>(0, "20:b:x", op));
                edits
            });
        }
    });
}

/// Each node is moved below the next one, and the last one below the first.
#[test]
fn a_ring_of_moves_leaves_a_tree() {
    with_small_stack(|| {
        let ring = |size: usize| {
            let create = |n: usize| {
                let after = n.checked_sub(1);
                let op = json!({"op": "create", "first": n, "after": after, "value": n});
                edit::<Tree>(n, "10:a:x", op)
            };
            let move_below = |n: usize| {
                let (item, parent) =
                    (format!("@10:a:x {n}"), format!("@10:a:x {}", (n + 1) % size));
                let op = json!({"op": "move", "item": item, "first": 0, "parent": parent});
                edit::<Tree>(size + n, &format!("20:b:{n}"), op)
            };
            (0..size).map(create).chain((0..size).map(move_below)).collect::<Vec<_>>()
        };
        let tree = agreed::<Tree>(&ring(300));
        tree.assert_invariants();
        // The last move would close the ring, and has no effect.
        let nodes: Vec<_> = tree.walk().collect();
        assert_eq!(nodes.len(), 300, "nothing is lost");
        assert_eq!(nodes.last().unwrap().depth(), 299);
        // In a deep chain, a move costs as much as the depth.
        let tree = apply::<Tree>(&ring(MAX_TREE_DEPTH + 100));
        assert_eq!(tree.len(), MAX_TREE_DEPTH + 100);
        tree.assert_invariants();
    });
}

#[test]
fn one_node_is_moved_and_removed_often() {
    with_small_stack(|| {
        assert_cheap::<Tree>("moves of one node", 300, |size| {
            let create = |n: usize| {
                edit::<Tree>(n, "10:a:x", json!({"op": "create", "first": n, "value": n}))
            };
            let change = |n: usize| {
                let (item, first) = (0, 3 + n);
                let op = match n % 4 {
                    0 => json!({"op": "remove", "item": "@30:c:x 7"}),
                    1 => json!({"op": "set", "item": item, "path": "/a", "value": n}),
                    _ => json!({"op": "move", "item": item, "first": first, "parent": n % 2 + 1}),
                };
                edit::<Tree>(3 + n, "10:a:x", op)
            };
            (0..3).map(create).chain((0..size).map(change)).collect()
        });
    });
}

/// A list in items of lists, or a tree in nodes of trees, as deep as paths can be.
fn nested_documents(is_tree: bool) {
    let author = node("10:a:x");
    let mut document = Document::default();
    let mut edits: Vec<Edit<Document>> = Vec::new();
    let mut path = Path::of(&["l"]).unwrap();
    loop {
        let stamp = stamp(edits.len(), "10:a:x");
        let made = if is_tree {
            document
                .tree_ops(&path, &author, |tree| tree.create_op(None, 0, json!({}), &author))
                .ok()
        } else {
            document
                .list_op(&path, &author, |list| list.push_op(json!({}), &author))
                .ok()
                .map(|op| vec![op])
        };
        let Some(ops) = made else { break };
        for op in ops {
            document.apply(&op, &stamp);
            edits.push((op, stamp.clone()));
        }
        let item = if is_tree {
            document.tree(path.as_str()).and_then(|tree| tree.child(None, 0))
        } else {
            document.list(path.as_str()).and_then(|list| list.id_at(0))
        };
        let below = path.join(&item.unwrap().to_string()).and_then(|item| item.join("l"));
        let Ok(below) = below else { break };
        path = below;
    }
    assert!(edits.len() > 40, "{} parts are in each other", edits.len());
    let text = json!({"op": "insertText", "path": path.as_str(), "first": 900, "text": "deep"});
    edits.push(edit::<Document>(900, "10:a:x", text));
    let document = agreed::<Document>(&edits);
    document.assert_invariants();
    let mut value = &document.to_json();
    let mut depth = 0;
    while let Some(below) = value.get("l").or_else(|| value.get(0)).or_else(|| value.get("value")) {
        (value, depth) = (below, depth + 1);
    }
    // Of a text and a tree at one path, the tree is shown.
    let parts = edits.len() - 1;
    let shown = if is_tree { (json!({}), 3 * parts) } else { (json!("deep"), 2 * parts - 1) };
    assert_eq!((value.clone(), depth), shown);
}

#[test]
fn documents_are_as_deep_as_paths() {
    with_small_stack(|| {
        nested_documents(false);
        nested_documents(true);
    });
}

#[test]
fn json_is_nested_too_deeply() {
    with_small_stack(|| {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            let edit = format!(r#"{{"type":"it/edit","id":"1","ops":{deep}}}"#);
            assert!(Action::new(edit).is_err());
            assert!(serde_json::from_str::<logux::Json>(&deep).is_err());
        }
    });
}

#[test]
fn documents_have_many_parts() {
    with_small_stack(|| {
        assert_cheap::<Document>("parts of a document", 200, |size| {
            let part = |n: usize| {
                let path = format!("/{}/{n}", n % 7);
                let op = match n % 4 {
                    0 => json!({"op": "insertText", "path": path, "first": n, "text": "t"}),
                    1 => json!({"op": "insert", "path": path, "first": n, "values": [n]}),
                    2 => json!({"op": "increment", "path": path, "by": 1}),
                    _ => json!({"op": "add", "path": path, "element": "e"}),
                };
                edit::<Document>(n, "10:a:x", op)
            };
            (0..size).map(part).collect()
        });
    });
}

/// One element is added by many actions, each of which is remembered until it is settled.
#[test]
fn one_element_of_a_set_is_added_often() {
    with_small_stack(|| {
        assert_cheap::<Document>("additions of one element", 300, |size| {
            let add = |n: usize| {
                let op = json!({"op": "add", "path": "/tags", "element": "tea"});
                edit::<Document>(n, "10:a:x", op)
            };
            (0..size).map(add).collect()
        });
    });
}

#[test]
fn a_removal_from_a_set_names_additions_that_do_not_exist() {
    let ids: Vec<Value> =
        (0..3).map(|n| json!(ActionId::new(stamp(n, "x").time(), node("x"), 0))).collect();
    let op = json!({"op": "discard", "path": "/tags", "element": "tea", "adds": ids});
    let op: DocumentOp = serde_json::from_value(op).unwrap();
    let add = json!({"op": "add", "path": "/tags", "element": "tea"});
    let document = agreed::<Document>(&[
        (op, stamp(9, "10:a:x")),
        edit::<Document>(1, "x", add.clone()),
        edit::<Document>(7, "x", add),
    ]);
    assert_eq!(document.to_json(), json!({"tags": ["tea"]}), "one addition is not named");
}
