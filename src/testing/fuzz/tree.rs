//! Any history of operations on a tree gives one tree in all orders.

use crate::{
    action::{ActionId, NodeId, Stamp},
    crdt::{Crdt, ElementId, ElementRef, Path, Tree, TreeOp, TreePlace},
    json::Json,
    time::WallTime,
};

/// The largest number of operations, so that one run is short.
const MAX_OPERATIONS: usize = 64;

/// Makes operations from bytes, and applies them in two orders.
///
/// # Panics
/// If two orders give different trees, if a node has two places or none, if saving and loading
/// changes a tree, or if an invariant is violated.
pub fn tree(data: &[u8]) {
    let ops: Vec<(TreeOp, Stamp, bool)> = data
        .chunks_exact(8)
        .take(MAX_OPERATIONS)
        .enumerate()
        .filter_map(|(index, bytes)| operation(index, bytes))
        .collect();
    let mut forwards = Tree::default();
    ops.iter().for_each(|op| apply(&mut forwards, op));
    forwards.assert_invariants();
    let mut backwards = Tree::default();
    for op in ops.iter().rev().chain(&ops) {
        apply(&mut backwards, op);
    }
    backwards.assert_invariants();
    assert_eq!(forwards, backwards, "two orders give different trees of {ops:#?}");
    let mut ids: Vec<ElementId> = forwards.walk().filter_map(|node| node.id()).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "a node has one place");
    for id in &ids {
        let index = forwards.index_of(id).expect("a visible node has an index");
        let parent = forwards.parent(id);
        assert_eq!(forwards.child(parent.as_ref(), index).as_ref(), Some(id), "the index is right");
    }
    let loaded = Tree::load(&forwards.save()).expect("a saved state can be loaded");
    assert_eq!(loaded, forwards, "saving and loading changes the tree");
    assert_eq!(loaded.to_json(), forwards.to_json(), "saving and loading changes the JSON");
}

fn apply(tree: &mut Tree, (op, stamp, is_undone): &(TreeOp, Stamp, bool)) {
    if *is_undone {
        tree.apply_undone(op, stamp);
    } else {
        tree.apply(op, stamp);
    }
}

fn node(number: u8) -> NodeId {
    let names = ["a", "b", "c"];
    NodeId::new(names[usize::from(number) % names.len()]).expect("a node id")
}

/// Returns one of 3 · 21 elements, or `None`.
fn element(byte: u8) -> Option<ElementRef> {
    let (author, counter) = (byte % 4, byte / 4 % 21);
    (author < 3).then(|| ElementRef::Of(ElementId::new(node(author), u32::from(counter))))
}

/// Makes an operation. Its id is that of no other one.
fn operation(index: usize, bytes: &[u8]) -> Option<(TreeOp, Stamp, bool)> {
    let &[kind, author, time, first, item, parent, after, before] = bytes else { return None };
    let place = TreePlace {
        first: u32::from(first) % 21,
        parent: element(parent),
        after: element(after),
        before: element(before),
    };
    let item = element(item).unwrap_or(ElementRef::Own(0));
    let path = if parent % 2 == 0 { Path::root() } else { Path::of(&["x"]).ok()? };
    let value = Json::from(serde_json::Value::from(after));
    let op = match kind % 8 {
        0..=2 => TreeOp::Create { place, value },
        3..=4 => TreeOp::Move { item, place },
        5 => TreeOp::Set { item, path, value },
        6 => TreeOp::Delete { item, path },
        _ => TreeOp::Remove { item },
    };
    Tree::check(&op).ok()?;
    let id_time = WallTime::from_millis(i64::try_from(index).ok()?);
    let id = ActionId::new(id_time, node(author), 0);
    Some((op, Stamp::new(WallTime::from_millis(time.into()), id), kind >= 224))
}
