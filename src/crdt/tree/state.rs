//! Settlement, and the comparison of states: from the places that operations gave to nodes,
//! everything else follows.

use std::collections::BTreeSet;

use super::{
    Tree,
    content::Content,
    links::Links,
    table::{Effect, Node, Order, PlaceIndex},
};
use crate::{
    action::Stamp,
    crdt::{crdt::Crdt, element::ElementId},
    replay::Coverage,
    time::WallTime,
};

impl Tree {
    /// Gives all nodes and places their positions again. O(n log n + moves · depth).
    pub(super) fn rebuild(&mut self) {
        self.links = Links::default();
        self.waiting.clear();
        self.children.clear();
        for index in self.table.places() {
            self.table.place_mut(index).is_positioned = false;
        }
        for index in self.table.nodes() {
            self.table.status_mut(index).shown = None;
            if let Some(base) = self.table.node(index).base {
                self.links.set_base(index, base, &self.table);
            }
        }
        let places: Vec<PlaceIndex> = self.table.places().collect();
        self.integrate(&places);
    }

    /// See [`Crdt::settle`](super::Crdt::settle). O(n).
    pub(super) fn settle_all(&mut self, coverage: &Coverage) {
        let horizon = coverage.horizon();
        let is_open = |time: WallTime| horizon.is_none_or(|horizon| time >= horizon);
        // A place that waits will be a move before the later ones.
        let waiting = self.table.places().filter(|index| {
            let place = self.table.place(*index);
            place.effect == Effect::Logged && !place.is_positioned
        });
        let waiting = waiting.min_by(|a, b| self.compare(*a, *b));
        let is_before = |place| waiting.is_some_and(|own| self.compare(own, place).is_lt());
        let mut forgotten = Vec::new();
        let mut links = self.links.clone();
        links.forget(
            |place| is_open(self.table.place(place).order.time) || is_before(place),
            |place, has_effect| forgotten.push((place, has_effect)),
        );
        self.links = links;
        for (index, has_effect) in forgotten {
            let place = self.table.place_mut(index);
            place.effect = Effect::Settled;
            place.order = Order::default();
            let node = place.node;
            if has_effect {
                self.table.node_mut(node).base = Some(index);
            }
        }
        for index in self.table.places() {
            let is_undone = self.table.place(index).effect == Effect::Undone;
            let place = self.table.place_mut(index);
            place.is_settled = true;
            if is_undone {
                place.effect = Effect::None;
                place.order = Order::default();
            }
        }
        for index in self.table.nodes() {
            if self.table.status(index).is_removed {
                let node = self.table.node_mut(index);
                node.initial = None;
                node.content = Content::empty();
            }
        }
        self.children.sequence_mut().settle();
    }

    /// Converts the times of all operations whose order counts.
    pub(super) fn shift_all_times(&mut self, ms: i64) {
        for index in self.table.places() {
            let place = self.table.place_mut(index);
            if matches!(place.effect, Effect::Logged | Effect::Undone) {
                place.order.time = place.order.time.shifted(ms);
            }
        }
        for index in self.table.nodes() {
            if !self.table.node(index).content.is_empty() {
                self.table.node_mut(index).content.shift_times(ms);
            }
        }
        self.children.sequence_mut().shift_times(ms);
        self.written = self.written.as_ref().map(|written| written.shifted(ms));
        self.floor = self.floor.as_ref().map(|floor| floor.shifted(ms));
    }

    /// Hides the tree, unless a later creation shows it.
    pub(in crate::crdt) fn hide(&mut self, until: &Stamp) {
        if self.floor.as_ref() < Some(until) {
            self.floor = Some(until.clone());
        }
    }

    /// Returns `true` if a node was created, and no later write in the document has replaced the
    /// tree.
    pub(in crate::crdt) fn is_shown(&self) -> bool {
        self.written.is_some() && self.written > self.floor
    }

    /// Returns `true` if anything is known, also what is not visible.
    pub(in crate::crdt) fn has_entries(&self) -> bool {
        self.written.is_some() || self.table.nodes().nth(1).is_some()
    }

    /// Returns `true` if an operation has named a node.
    pub(in crate::crdt) fn is_known(&self, node: &ElementId) -> bool {
        let name = self.children.sequence().element(node);
        name.is_some_and(|name| self.table.find_node(name).is_some())
    }

    /// Returns `true` if a node is never visible again, after a snapshot has settled the tree: it
    /// is removed, or its creation is undone.
    pub(in crate::crdt) fn is_gone(&self, node: &ElementId) -> bool {
        let Some(name) = self.children.sequence().element(node) else { return false };
        let is_removed =
            self.table.find_node(name).is_some_and(|node| self.table.status(node).is_removed);
        let creation = self.table.find_place(name).map(|place| self.table.place(place));
        let is_undone = creation
            .is_some_and(|place| place.effect == Effect::None && self.table.is_creation(place));
        is_removed || is_undone
    }

    /// Calls `part` with the nodes that are different in another state. O(changes · log n) if one
    /// is a changed clone of the other; at most O(n log n).
    pub(super) fn changed_nodes(&self, after: &Self, part: &mut dyn FnMut(ElementId)) {
        let nodes = self.table.unshared(&after.table).chain(self.links.unshared(&after.links));
        let names: BTreeSet<ElementId> = nodes
            .flat_map(|index| {
                [self, after].map(|tree| {
                    tree.table.name_at(index).map(|name| tree.children.sequence().id(name))
                })
            })
            .flatten()
            .collect();
        for name in names {
            let view = |tree: &Self| {
                let node = tree.table.find_node(tree.children.sequence().element(&name)?)?;
                let place = tree.table.place(tree.wanted(node)?);
                let Node { initial, content, .. } = tree.table.node(node);
                Some((tree.children.sequence().id(place.name), initial.clone(), content.clone()))
            };
            if view(self) != view(after) {
                part(name.clone());
            }
        }
    }

    /// Checks the structure. For tests and fuzzers. O(n log n).
    ///
    /// # Panics
    /// If an invariant is violated.
    pub fn assert_invariants(&self) {
        self.children.sequence().assert_invariants();
        let mut again = self.clone();
        again.rebuild();
        for index in self.table.nodes() {
            assert_eq!(
                self.table.status(index).shown,
                self.wanted(index),
                "a node is shown at its place"
            );
            assert_eq!(
                self.child_nodes(index),
                again.child_nodes(index),
                "the children follow from the places"
            );
        }
        assert!(self.links.log().eq(again.links.log()), "the log is sorted");
    }
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        if (&self.written, &self.floor) != (&other.written, &other.floor) {
            return false;
        }
        // All else follows from the table. A changed clone is seldom saved to find the change.
        if self.table.is_shared(&other.table) {
            return true;
        }
        let mut is_changed = false;
        self.changed_nodes(other, &mut |_| is_changed = true);
        !is_changed && self.save() == other.save()
    }
}
