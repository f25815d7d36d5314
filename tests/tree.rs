//! Trees that are deep, wide or made of wrong operations.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use logux::{
    ActionId, NodeId, Stamp, WallTime,
    crdt::{Crdt, ElementId, MAX_TREE_DEPTH, Tree, TreeError, TreeOp},
};
use serde_json::{Value, json};

fn stamp(ms: i64, node: &str) -> Stamp {
    let time = WallTime::from_millis(ms);
    Stamp::new(time, ActionId::new(time, NodeId::new(node).unwrap(), 0))
}

fn op(json: Value) -> TreeOp {
    let op = serde_json::from_value(json).unwrap();
    Tree::check(&op).unwrap();
    op
}

fn id(text: &str) -> ElementId {
    text.parse().unwrap()
}

/// Applies operations in all orders, and returns the tree that each of them gives.
fn in_all_orders(ops: &[(TreeOp, Stamp)]) -> Tree {
    let mut result: Option<Tree> = None;
    for mut number in 0..(1..=ops.len()).product() {
        let mut rest: Vec<_> = ops.iter().collect();
        let mut tree = Tree::default();
        for count in (1..=ops.len()).rev() {
            let (op, stamp) = rest.remove(number % count);
            number /= count;
            tree.apply(op, stamp);
            tree.assert_invariants();
        }
        assert_eq!(tree, *result.get_or_insert_with(|| tree.clone()));
    }
    result.unwrap()
}

/// Returns the ids with their depths.
fn shape(tree: &Tree) -> Vec<(usize, String)> {
    tree.walk().map(|node| (node.depth(), node.id().unwrap().to_string())).collect()
}

#[test]
fn moves_that_would_make_a_cycle_leave_a_tree() {
    let tree = in_all_orders(&[
        (op(json!({"op": "create", "first": 0, "value": "A"})), stamp(1, "a")),
        (op(json!({"op": "create", "first": 1, "after": 0, "value": "B"})), stamp(2, "a")),
        (op(json!({"op": "create", "first": 2, "after": 1, "value": "C"})), stamp(3, "a")),
        (op(json!({"op": "move", "item": "@a 0", "first": 0, "parent": "@a 1"})), stamp(4, "b")),
        (op(json!({"op": "move", "item": "@a 1", "first": 0, "parent": "@a 2"})), stamp(5, "c")),
        (op(json!({"op": "move", "item": "@a 2", "first": 0, "parent": "@a 0"})), stamp(6, "d")),
    ]);
    let expected = [(0, "@a 2"), (1, "@a 1"), (2, "@a 0")].map(|(n, id)| (n, id.to_owned()));
    assert_eq!(shape(&tree), expected);
    let author = NodeId::new("a").unwrap();
    for below in ["@a 2", "@a 1", "@a 0"] {
        let error = tree.move_op(&id("@a 2"), Some(&id(below)), 0, &author).unwrap_err();
        assert_eq!(error, TreeError::Cycle { node: id("@a 2"), parent: id(below) });
    }
}

#[test]
fn a_late_move_can_change_which_moves_have_an_effect() {
    let tree = in_all_orders(&[
        (op(json!({"op": "create", "first": 0, "value": "A"})), stamp(1, "a")),
        (op(json!({"op": "create", "first": 1, "parent": 0, "value": "B"})), stamp(2, "a")),
        // Without the move before it, this one would make a cycle.
        (op(json!({"op": "move", "item": "@a 1", "first": 0, "before": "@a 0"})), stamp(3, "b")),
        (op(json!({"op": "move", "item": "@a 0", "first": 0, "parent": "@a 1"})), stamp(4, "c")),
        (op(json!({"op": "create", "first": 1, "parent": "@a 0", "value": "C"})), stamp(5, "b")),
    ]);
    let expected = [(0, "@a 1"), (1, "@a 0"), (2, "@b 1")].map(|(n, id)| (n, id.to_owned()));
    assert_eq!(shape(&tree), expected);
}

#[test]
fn operations_on_unknown_or_wrong_elements_change_nothing_visible() {
    let mut tree = Tree::default();
    tree.apply(&op(json!({"op": "create", "first": 0, "value": "A"})), &stamp(1, "a"));
    tree.apply(&op(json!({"op": "create", "first": 1, "parent": 0, "value": "B"})), &stamp(2, "a"));
    let before = shape(&tree);
    for (ms, wrong) in (3..).zip([
        json!({"op": "move", "item": "@z 9", "first": 9, "parent": "@z 8"}),
        json!({"op": "move", "item": "@a 0", "first": 11, "after": "@z 9"}),
        // The neighbour has another parent.
        json!({"op": "move", "item": "@a 0", "first": 12, "after": "@a 1"}),
        json!({"op": "create", "first": 13, "parent": "@a 1", "before": "@a 0", "value": 1}),
        json!({"op": "create", "first": 14, "parent": "@z 1", "value": 1}),
        json!({"op": "move", "item": "@b 15", "first": 15}),
        json!({"op": "set", "item": "@z 1", "value": 1}),
        json!({"op": "remove", "item": "@z 1"}),
        json!({"op": "create", "first": 4_294_967_293_u32, "parent": "@z 1", "value": 1}),
    ]) {
        assert!(tree.admit(&op(wrong.clone()), &stamp(ms, "b")).is_err(), "{wrong}");
        tree.apply(&op(wrong.clone()), &stamp(ms, "b"));
        assert_eq!(shape(&tree), before, "{wrong}");
        tree.assert_invariants();
    }
    let full = tree.create_op(None, 0, json!(1), NodeId::new("b").unwrap());
    assert_eq!(full.unwrap_err(), TreeError::Full);
    let author = NodeId::new("a").unwrap();
    let unknown = tree.create_op(Some(&id("@z 1")), 0, json!(1), &author).unwrap_err();
    assert_eq!(unknown, TreeError::NotFound(id("@z 1")));
    let outside = tree.move_op(&id("@a 1"), Some(&id("@a 0")), 1, &author).unwrap_err();
    assert_eq!(outside, TreeError::OutOfBounds { index: 1, max: 0 });
    assert!(tree.move_op(&id("@a 1"), Some(&id("@a 0")), 0, &author).is_ok());
}

#[test]
fn a_move_below_itself_has_no_effect() {
    let mut tree = Tree::default();
    let a = tree.create(None, 0, json!("A"), &stamp(1, "a")).unwrap();
    let own = op(json!({"op": "move", "item": "@a 0", "first": 0, "parent": "@a 0"}));
    tree.apply(&own, &stamp(2, "b"));
    assert_eq!(tree.children(None).collect::<Vec<_>>(), [a]);
    tree.assert_invariants();
}

#[test]
fn operations_that_follow_from_the_tree_are_admitted() {
    let mut tree = Tree::default();
    let a = tree.create(None, 0, json!("A"), &stamp(1, "a")).unwrap();
    let author = NodeId::new("a").unwrap();
    for made in [
        tree.create_op(Some(&a), 0, json!(1), &author),
        tree.create_op(None, 1, json!(1), &author),
        tree.set_op(&a, "/x".parse().unwrap(), json!(1), &author),
        tree.delete_op(&a, "/x".parse().unwrap(), &author),
        tree.move_op(&a, None, 0, &author),
        tree.remove_op(&a, &author),
    ] {
        let made = made.unwrap();
        tree.admit(&made, &stamp(2, "a")).unwrap();
    }
    let used = op(json!({"op": "create", "first": 0, "value": 1}));
    let error = tree.admit(&used, &stamp(2, "a")).unwrap_err().to_string();
    assert!(error.contains("expected a counter of a new element from 1 on, got 0"), "{error}");
}

#[test]
fn what_is_removed_takes_everything_below_it_and_what_is_moved_out_stays() {
    let mut tree = Tree::default();
    let a = tree.create(None, 0, json!("A"), &stamp(1, "a")).unwrap();
    let b = tree.create(Some(&a), 0, json!("B"), &stamp(2, "a")).unwrap();
    let c = tree.create(Some(&b), 0, json!("C"), &stamp(3, "a")).unwrap();
    let d = tree.create(Some(&b), 1, json!("D"), &stamp(4, "a")).unwrap();
    let save_c = tree.move_op(&c, None, 0, NodeId::new("b").unwrap()).unwrap();
    let move_b = tree.move_op(&b, None, 0, NodeId::new("c").unwrap()).unwrap();
    tree.remove(&b, &stamp(5, "a")).unwrap();
    assert_eq!((tree.contains(&c), tree.value(&d), tree.len()), (false, None, 1));
    assert_eq!(tree.children(Some(&b)).count(), 0);
    assert!(tree.create(Some(&d), 0, json!(1), &stamp(6, "a")).is_err());
    tree.apply(&save_c, &stamp(6, "b"));
    tree.apply(&move_b, &stamp(7, "c"));
    assert_eq!(tree.children(None).collect::<Vec<_>>(), [c.clone(), a]);
    assert_eq!((tree.index_of(&c), tree.parent(&c), tree.child(None, 0)), (Some(0), None, Some(c)));
}

/// Creates a chain of nodes of an author, each below the one before.
fn chain(tree: &mut Tree, author: &str, len: usize, start_ms: i64) {
    for (ms, first) in (start_ms..).zip(0..len) {
        let parent = first.checked_sub(1);
        let create = json!({"op": "create", "first": first, "parent": parent, "value": 1});
        tree.apply(&op(create), &stamp(ms, author));
    }
}

#[test]
fn a_chain_ends_at_the_maximum_depth() {
    let mut tree = Tree::default();
    chain(&mut tree, "a", 20_000, 0);
    assert_eq!(tree.len(), MAX_TREE_DEPTH + 1);
    let last = id(&format!("@a {MAX_TREE_DEPTH}"));
    let author = NodeId::new("a").unwrap();
    let error = tree.create_op(Some(&last), 0, json!(1), &author).unwrap_err();
    assert_eq!(error, TreeError::TooDeep { parent: last });
    // Moves that are each earlier than the others, below a deep node.
    let parent = format!("@a {}", MAX_TREE_DEPTH - 1);
    for index in (0..100).rev() {
        let create = json!({"op": "create", "first": index, "value": 1});
        tree.apply(&op(create), &stamp(200_000 + index, "b"));
        let item = format!("@b {index}");
        let below = json!({"op": "move", "item": item, "first": index, "parent": parent});
        tree.apply(&op(below), &stamp(300_000 + index, "c"));
    }
    assert_eq!(tree.child_count(Some(&id(&parent))), 101);
}

#[test]
fn a_tree_of_100000_levels_is_read_without_recursion() {
    const CHAINS: usize = 1_000;
    let len = 100;
    let mut tree = Tree::default();
    for index in 0..CHAINS {
        chain(&mut tree, &format!("{index}"), len, i64::try_from(index * len).unwrap());
    }
    // The first node of each chain goes below the last one of the next chain.
    for index in 0..CHAINS - 1 {
        let parent = format!("@{} {}", index + 1, len - 1);
        let item = format!("@{index} 0");
        let below = json!({"op": "move", "item": item, "first": index, "parent": parent});
        tree.apply(&op(below), &stamp(200_000 + i64::try_from(index).unwrap(), "z"));
    }
    let deepest = id(&format!("@0 {}", len - 1));
    let last = tree.walk().last().unwrap();
    assert_eq!((last.depth(), last.id()), (CHAINS * len - 1, Some(deepest.clone())));
    assert_eq!(tree.to_json().as_array().unwrap().len(), CHAINS * len);
    assert!(tree.contains(&deepest));
    let top = id(&format!("@{} 0", CHAINS - 1));
    tree.remove(&top, &stamp(300_000, "z")).unwrap();
    assert!(tree.is_empty() && !tree.contains(&deepest));
    assert_eq!(Tree::load(&tree.save()).unwrap(), tree);
}

#[test]
fn a_node_can_have_100000_children() {
    const LEN: usize = 100_000;
    let mut tree = Tree::default();
    let parent = tree.create(None, 0, json!(1), &stamp(0, "a")).unwrap();
    for first in 1..=LEN {
        let after = Some(first - 1).filter(|after| *after > 0);
        let create =
            json!({"op": "create", "first": first, "parent": 0, "after": after, "value": 1});
        tree.apply(&op(create), &stamp(i64::try_from(first).unwrap(), "a"));
    }
    let children: Vec<_> = tree.children(Some(&parent)).collect();
    assert_eq!(children.len(), LEN);
    for index in [0, 1, LEN / 2, LEN - 1] {
        assert_eq!(tree.child(Some(&parent), index).as_ref(), Some(&children[index]));
        assert_eq!(tree.index_of(&children[index]), Some(index));
    }
    tree.move_to(&children[7], None, 1, &stamp(200_000, "a")).unwrap();
    assert_eq!(tree.child_count(Some(&parent)), LEN - 1);
    assert_eq!(tree.index_of(&children[9]), Some(8));
}

/// The author of a refused creation keeps its place, and may add the same action again.
#[test]
fn a_refused_creation_can_be_added_again() {
    let create = op(json!({"op": "create", "first": 0, "value": "A"}));
    let (refused, again) = (stamp(1, "a"), stamp(2, "a"));
    let mut one = Tree::default();
    one.apply_undone(&create, &refused);
    assert_eq!(one.to_json(), json!([]));
    one.apply(&create, &again);
    let mut other = Tree::default();
    other.apply(&create, &again);
    other.apply_undone(&create, &refused);
    for tree in [&one, &other] {
        tree.assert_invariants();
        assert_eq!(shape(tree), [(0, "@a 0".to_owned())]);
    }
    assert_eq!(one, other);
}
