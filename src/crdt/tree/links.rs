//! The parents of nodes, by the log of all moves.
//!
//! The algorithm is that of Kleppmann, Mulligan, Gomes and Beresford, "A highly-available move
//! operation for replicated trees" (2021): the moves are applied in the order of their stamps, and
//! one that would make a cycle there has no effect. A late move takes the later ones back, and
//! applies them again. Only the links to parents change meanwhile; the order of children is
//! changed by the caller, for the nodes that have another place at the end.

use core::cmp::Ordering;

use super::{
    MAX_TREE_DEPTH,
    table::{NodeIndex, PlaceIndex, TOP, Table},
};
use crate::crdt::sequence::Pages;

/// The parent and the place of each node, and the moves that gave them.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    /// `None` for the top, and for nodes that have no place.
    parents: Pages<Option<NodeIndex>>,
    places: Pages<Option<PlaceIndex>>,
    /// The moves and creations in the order of their stamps.
    log: Pages<Move>,
}

#[derive(Clone, Copy, Debug)]
struct Move {
    place: PlaceIndex,
    has_effect: bool,
    /// The place of the node before.
    previous: Option<PlaceIndex>,
}

/// Whether a node can become a child of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linkable {
    Yes,
    /// The parent is the node, or below it.
    Cycle,
    /// The parent has too many nodes above it.
    TooDeep,
}

impl Links {
    #[inline]
    pub(super) fn parent(&self, node: NodeIndex) -> Option<NodeIndex> {
        if node.get() < self.parents.len() as u32 { *self.parents.get(node.get()) } else { None }
    }

    #[inline]
    pub(super) fn place(&self, node: NodeIndex) -> Option<PlaceIndex> {
        if node.get() < self.places.len() as u32 { *self.places.get(node.get()) } else { None }
    }

    /// Returns the moves in their order.
    pub(super) fn log(&self) -> impl Iterator<Item = PlaceIndex> {
        self.log.iter().map(|entry| entry.place)
    }

    /// Returns whether a node, which is new if it is `None`, can become a child of another one.
    /// O(depth of the parent), at most [`MAX_TREE_DEPTH`].
    pub(super) fn is_linkable(&self, node: Option<NodeIndex>, parent: NodeIndex) -> Linkable {
        let mut above = Some(parent);
        for _ in 0..=MAX_TREE_DEPTH {
            match above {
                Some(_) if above == node => return Linkable::Cycle,
                None | Some(TOP) => return Linkable::Yes,
                Some(index) => above = self.parent(index),
            }
        }
        Linkable::TooDeep
    }

    /// Returns the indexes of the nodes whose place may differ.
    pub(super) fn unshared(&self, other: &Self) -> impl Iterator<Item = u32> {
        self.places.unshared(&other.places)
    }

    /// Sets the place of a node before the first move of the log.
    pub(super) fn set_base(&mut self, node: NodeIndex, place: PlaceIndex, table: &Table) {
        self.set(node, Some(place), table);
    }

    /// Adds moves, which are sorted by `compare`. Returns the nodes that have another place now.
    /// O(m · depth) for m moves in the log that are later than the first one.
    pub(super) fn add(
        &mut self,
        moves: &[PlaceIndex],
        table: &Table,
        compare: impl Fn(PlaceIndex, PlaceIndex) -> Ordering,
    ) -> Vec<NodeIndex> {
        let Some(first) = moves.first() else { return Vec::new() };
        let start = self.position(*first, &compare);
        // The places of nodes as they were, the first one of a node counts.
        let mut before: Vec<(NodeIndex, Option<PlaceIndex>)> = Vec::new();
        for place in moves {
            let node = table.place(*place).node;
            before.push((node, self.place(node)));
        }
        let mut later = Vec::new();
        for index in (start..self.log.len() as u32).rev() {
            let Move { place, has_effect, previous } = *self.log.get(index);
            let node = table.place(place).node;
            // A move without an effect may get one.
            before.push((node, self.place(node)));
            if has_effect {
                self.set(node, previous, table);
            }
            later.push(place);
        }
        let mut new = moves.iter().copied().peekable();
        let mut at = start;
        while let Some(place) = match (new.peek(), later.last()) {
            (Some(own), Some(other)) if compare(*own, *other).is_gt() => later.pop(),
            (Some(_), _) => new.next(),
            (None, _) => later.pop(),
        } {
            let entry = self.apply(place, table);
            if at < self.log.len() as u32 {
                *self.log.get_mut(at) = entry;
            } else {
                self.log.push(entry);
            }
            at += 1;
        }
        if before.len() > 1 {
            before.sort_by_key(|(node, _)| *node);
            before.dedup_by_key(|(node, _)| *node);
        }
        before.retain(|(node, place)| self.place(*node) != *place);
        before.into_iter().map(|(node, _)| node).collect()
    }

    /// Returns the number of moves before a new one.
    fn position(
        &self,
        place: PlaceIndex,
        compare: impl Fn(PlaceIndex, PlaceIndex) -> Ordering,
    ) -> u32 {
        let is_before = |index: u32| compare(self.log.get(index).place, place).is_lt();
        let mut high = self.log.len() as u32;
        // Most moves are later than all others.
        if high == 0 || is_before(high - 1) {
            return high;
        }
        let mut low = 0;
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn apply(&mut self, place: PlaceIndex, table: &Table) -> Move {
        let own = table.place(place);
        let has_effect = self.is_linkable(Some(own.node), own.parent) == Linkable::Yes;
        let previous = self.place(own.node);
        if has_effect {
            self.set(own.node, Some(place), table);
        }
        Move { place, has_effect, previous }
    }

    fn set(&mut self, node: NodeIndex, place: Option<PlaceIndex>, table: &Table) {
        while self.parents.len() as u32 <= node.get() {
            self.parents.push(None);
            self.places.push(None);
        }
        *self.parents.get_mut(node.get()) = place.map(|place| table.place(place).parent);
        *self.places.get_mut(node.get()) = place;
    }

    /// Removes the moves before the first one for which `is_kept` is `true`. Calls `removed` with
    /// each, in order, and whether it had an effect.
    pub(super) fn forget(
        &mut self,
        is_kept: impl Fn(PlaceIndex) -> bool,
        mut removed: impl FnMut(PlaceIndex, bool),
    ) {
        let mut log = Pages::default();
        for entry in self.log.iter() {
            if log.len() > 0 || is_kept(entry.place) {
                log.push(*entry);
            } else {
                removed(entry.place, entry.has_effect);
            }
        }
        self.log = log;
    }
}
