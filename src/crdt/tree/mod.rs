//! A tree whose nodes people create, move and remove at once.
//!
//! Reading order: `op` and `error`; `content`; `table`; `links`; `children`; this file;
//! `integrate`; `read`; `change`; `restore`; `admit`; `state`; `saved`.

mod admit;
mod change;
mod children;
mod content;
mod error;
mod integrate;
mod links;
mod op;
mod read;
mod restore;
mod saved;
mod state;
mod table;

use im::OrdMap;
use serde_json::Value;

pub use error::TreeError;
pub use op::{TreeOp, TreePlace};
pub use read::{TreeNode, TreeWalk};
pub(super) use restore::{restore_nodes, staying_nodes};

use super::{
    crdt::Crdt,
    element::ElementId,
    restore::RestoreError,
    saving::{LoadError, StateReader, StateWriter, base64::impl_serde},
    sequence::Element,
};
use crate::{
    action::{NodeId, Stamp},
    replay::{Coverage, Malformed},
};
use children::{Children, START_NODE};
use integrate::NewPlace;
use links::Links;
use table::{PlaceIndex, Table};

/// A tree of values with ordered children, such as an outline, the layers of a drawing, or folders.
/// Each node has one parent, and no node is above itself, whatever people move at once: the moves
/// have their effects in the order of their stamps, and a move that would make a cycle there has
/// none: Kleppmann, Mulligan, Gomes and Beresford, "A highly-available move operation for
/// replicated trees" (2021). The order of children is that of Weidner and Kleppmann, "The Art of
/// the Fugue" (2023).
///
/// A node is named by an [`ElementId`]: its author, and the author's count of elements. Also each
/// place that a node has had has a name: the count of the move, or of the creation.
///
/// - Of concurrent moves of a node, the latest wins.
/// - A removal wins over concurrent moves of the same node. What is below the node disappears with
///   it, except nodes that are moved elsewhere, before or after. An undo of the removal returns the
///   node and everything below it.
/// - A node whose parent is removed, undone, or has not arrived is not visible until the parent is.
/// - A creation or move below a node with [`MAX_TREE_DEPTH`] nodes above it has no effect.
///
/// A new node, and a move to the end of the order of moves, are O(log n + depth). An operation with
/// m later moves in the log is O(m · depth + log n), and changes the children of only those nodes
/// that have another place afterwards. The log has the moves since the horizon of the last
/// snapshot. Clones share their common structure.
///
/// ```
/// use logux::{Stamp, WallTime, crdt::{Crdt, Tree}};
/// use serde_json::json;
///
/// let at = |ms| Stamp::new(WallTime::from_millis(ms), format!("{ms} 10:a:b 0").parse().unwrap());
/// let mut tree = Tree::default();
/// let work = tree.create(None, 0, json!("Work"), &at(1))?;
/// let mail = tree.create(None, 1, json!("Answer mail"), &at(2))?;
/// tree.move_to(&mail, Some(&work), 0, &at(3))?;
/// assert_eq!(tree.parent(&mail), Some(work.clone()));
/// assert!(tree.move_op(&work, Some(&mail), 0, at(4).id().node()).is_err(), "a cycle");
/// assert_eq!(
///     tree.to_json(),
///     json!([
///         {"id": "@10:a:b 0", "parent": null, "depth": 0, "value": "Work"},
///         {"id": "@10:a:b 1", "parent": "@10:a:b 0", "depth": 1, "value": "Answer mail"},
///     ])
/// );
/// # Ok::<(), logux::crdt::TreeError>(())
/// ```
#[derive(Clone, Default)]
pub struct Tree {
    table: Table,
    links: Links,
    children: Children,
    /// Places whose neighbours are unknown, by the name of an unknown neighbour.
    waiting: OrdMap<Element, Vec<PlaceIndex>>,
    /// The stamp of the latest creation.
    written: Option<Stamp>,
    /// In a document, the tree is hidden if its latest creation is not later: a write has replaced
    /// it.
    floor: Option<Stamp>,
}

/// The maximum number of nodes above a node to which others are added. It limits the time for late
/// moves in deep trees. A node with many levels below it can be moved below such depths, so a tree
/// can be deeper.
///
/// Whether a move exceeds the limit depends only on the moves before it in the order, as for
/// cycles, so all replicas agree.
pub const MAX_TREE_DEPTH: usize = 1_000;

impl_serde!(Tree);

impl Crdt for Tree {
    type Op = TreeOp;
    /// The nodes whose place, visibility or value has changed.
    type Event = Vec<ElementId>;
    type Part = ElementId;

    const NAME: &'static str = "tree";
    const VERSION: u32 = 2;

    fn check(op: &TreeOp) -> Result<(), Malformed> {
        op.check()
    }

    fn admit(&self, op: &TreeOp, stamp: &Stamp) -> Result<(), Malformed> {
        self.admit_from(op, stamp, self.next_counter(stamp.id().node()))
    }

    fn apply(&mut self, op: &TreeOp, stamp: &Stamp) -> Option<Vec<ElementId>> {
        let author = stamp.id().node();
        let is_undone = false;
        let changed = match op {
            TreeOp::Create { place, value } => {
                if author.as_str() != START_NODE && self.written.as_ref() < Some(stamp) {
                    self.written = Some(stamp.clone());
                }
                self.add(&NewPlace { item: None, place, value: Some(value), is_undone }, stamp)
            }
            TreeOp::Move { item, place } => {
                self.add(&NewPlace { item: Some(item), place, value: None, is_undone }, stamp)
            }
            TreeOp::Set { item, path, value } => {
                self.write(item, path, Some(value.clone()), stamp).into_iter().collect()
            }
            TreeOp::Delete { item, path } => {
                self.write(item, path, None, stamp).into_iter().collect()
            }
            TreeOp::Remove { item } => {
                let name = self.element(item, author);
                let node = self.table.node_named(name);
                self.table.status_mut(node).is_removed = true;
                if self.show(node) { vec![node] } else { Vec::new() }
            }
        };
        let names: Vec<ElementId> = changed.iter().filter_map(|node| self.name(*node)).collect();
        (!names.is_empty()).then_some(names)
    }

    fn apply_undone(&mut self, op: &TreeOp, stamp: &Stamp) {
        let new = match op {
            TreeOp::Create { place, .. } => {
                NewPlace { item: None, place, value: None, is_undone: true }
            }
            TreeOp::Move { item, place } => {
                NewPlace { item: Some(item), place, value: None, is_undone: true }
            }
            TreeOp::Set { .. } | TreeOp::Delete { .. } | TreeOp::Remove { .. } => return,
        };
        self.add(&new, stamp);
    }

    /// Returns the visible nodes in depth-first order:
    /// `[{"id":"@10:a:b 7","parent":"@10:a:b 2","depth":1,"value":…},…]`, with the parent `null` at
    /// the top level. The array is flat, because JSON parsers limit the depth of nesting.
    fn to_json(&self) -> Value {
        self.walk().map(|node| node.to_json_with(node.value())).collect()
    }

    fn diff(&self, after: &Self, part: &mut dyn FnMut(ElementId)) {
        self.changed_nodes(after, part);
    }

    fn restore_ops(&self, target: &Self, author: &NodeId) -> Result<Vec<TreeOp>, RestoreError> {
        self.ops_to(target, author)
    }

    fn shift_times(&mut self, ms: i64) {
        self.shift_all_times(ms);
    }

    fn settle(&mut self, coverage: &Coverage) {
        self.settle_all(coverage);
    }

    fn encode(&self, writer: &mut StateWriter) {
        writer.optional_stamp(self.written.as_ref());
        writer.optional_stamp(self.floor.as_ref());
        self.write_to(writer);
    }

    fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        let (written, floor) = (reader.optional_stamp()?, reader.optional_stamp()?);
        Ok(Self { written, floor, ..Self::read_from(reader)? })
    }
}

#[cfg(test)]
mod tests;
