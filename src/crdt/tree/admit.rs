//! Whether an operation follows from a tree.

use super::{Tree, TreeOp, TreePlace, table::TOP};
use crate::{
    action::{NodeId, Stamp},
    crdt::{element::ElementRef, sequence::Element},
    replay::Malformed,
};

impl Tree {
    /// See [`Crdt::admit`](super::Crdt::admit). `next` is the counter of the author's next element.
    pub(in crate::crdt) fn admit_from(
        &self,
        op: &TreeOp,
        stamp: &Stamp,
        next: u32,
    ) -> Result<(), Malformed> {
        let author = stamp.id().node();
        match op {
            TreeOp::Create { place, .. } => self.admit_place(place, author, next),
            TreeOp::Move { item, place } => {
                self.admit_node(item, author)?;
                self.admit_place(place, author, next)
            }
            TreeOp::Set { item, .. } | TreeOp::Delete { item, .. } | TreeOp::Remove { item } => {
                self.admit_node(item, author)
            }
        }
    }

    fn admit_place(&self, place: &TreePlace, author: &NodeId, next: u32) -> Result<(), Malformed> {
        let TreePlace { first, parent, after, before } = place;
        if *first < next {
            return Err(Malformed::new(format!(
                "expected a counter of a new element from {next} on, got {first}"
            )));
        }
        if let Some(parent) = parent {
            self.admit_node(parent, author)?;
        }
        let parent = parent
            .as_ref()
            .map_or(Some(TOP), |parent| self.table.find_node(self.known(parent, author)?));
        for neighbour in [after, before].into_iter().flatten() {
            let known = self.known(neighbour, author).and_then(|name| self.table.find_place(name));
            let known = known.map(|known| self.table.place(known));
            if !known.is_some_and(|known| known.is_positioned && Some(known.parent) == parent) {
                let id = neighbour.id(author);
                return Err(Malformed::new(format!("expected a place of the parent, got {id}")));
            }
        }
        Ok(())
    }

    /// Checks that a node was created.
    fn admit_node(&self, node: &ElementRef, author: &NodeId) -> Result<(), Malformed> {
        let known = self.known(node, author).and_then(|name| self.table.find_node(name));
        if known.is_some_and(|known| self.table.status(known).is_created) {
            return Ok(());
        }
        let id = node.id(author);
        Err(Malformed::new(format!("expected a node of the tree, got {id}")))
    }

    /// Returns the name of an element, if its node is known.
    fn known(&self, element: &ElementRef, author: &NodeId) -> Option<Element> {
        self.children.sequence().element(&element.id(author))
    }
}
