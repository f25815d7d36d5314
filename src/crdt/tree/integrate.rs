//! How an operation gives a node its place.

use core::cmp::Ordering;

use super::{
    Tree, TreePlace,
    children::START_NODE,
    table::{Effect, NodeIndex, Order, Place, PlaceIndex, TOP},
};
use crate::{
    action::{NodeId, Stamp},
    crdt::{
        element::{ElementId, ElementRef},
        sequence::{Element, Standing},
    },
    json::Json,
};

/// The elements that a place refers to, and its standing.
pub(super) struct NewPlace<'a> {
    pub(super) item: Option<&'a ElementRef>,
    pub(super) place: &'a TreePlace,
    /// The value of a creation.
    pub(super) value: Option<&'a Json>,
    pub(super) is_undone: bool,
}

/// Whether a place has a position.
enum Readiness {
    Ready,
    /// This neighbour is unknown.
    Waits(Element),
    /// A neighbour has another parent.
    Never,
}

impl Tree {
    /// Applies a creation or move. Returns the nodes that have changed.
    pub(super) fn add(&mut self, new: &NewPlace<'_>, stamp: &Stamp) -> Vec<NodeIndex> {
        let author = stamp.id().node();
        let TreePlace { first, parent, after, before } = new.place;
        let name = self.element(&ElementRef::Own(*first), author);
        let item = new.item.map_or(name, |item| self.element(item, author));
        if author.as_str() == START_NODE || (new.item.is_some() && item == name) {
            return Vec::new();
        }
        let order = Order {
            time: stamp.time(),
            id_time: stamp.id().time(),
            sequence: stamp.id().sequence(),
            operation: stamp.operation(),
        };
        let known = self.table.find_place(name);
        // An operation in effect wins over an undone one, which perhaps only this replica knows.
        let own = (new.is_undone, order.operation_id());
        if let Some(known) = known.map(|known| self.table.place(known))
            && (known.is_settled
                || (known.effect == Effect::Undone, known.order.operation_id()) <= own)
        {
            return Vec::new();
        }
        let mut neighbour =
            |own: &Option<ElementRef>| own.as_ref().map(|own| self.element(own, author));
        let (after, before) = (neighbour(after), neighbour(before));
        let parent = parent.as_ref().map(|parent| self.element(parent, author));
        let place = Place {
            name,
            node: self.table.node_named(item),
            parent: parent.map_or(TOP, |parent| self.table.node_named(parent)),
            after,
            before,
            order,
            effect: if new.is_undone { Effect::Undone } else { Effect::Logged },
            is_settled: false,
            is_positioned: false,
        };
        if let Some(known) = known {
            return self.replace(known, place, new.value);
        }
        if new.item.is_none() {
            self.start_creation(&place, new.value);
        }
        let node = place.node;
        let index = self.table.push_place(place);
        let mut changed = self.integrate(&[index]);
        // A creation shows the place of an earlier move, too.
        if self.show(node) && !changed.contains(&node) {
            changed.push(node);
        }
        changed
    }

    /// Marks the node of a creation as created.
    fn start_creation(&mut self, place: &Place, value: Option<&Json>) {
        if self.table.is_creation(place) {
            let is_created = place.effect != Effect::Undone;
            self.table.status_mut(place.node).is_created = is_created;
            self.table.node_mut(place.node).initial = value.filter(|_| is_created).cloned();
        }
    }

    /// Gives the name of a place to another operation, which wins over the one before. O(n log n).
    fn replace(&mut self, old: PlaceIndex, new: Place, value: Option<&Json>) -> Vec<NodeIndex> {
        let was_creation = self.table.is_creation(self.table.place(old));
        let old_node = self.table.place(old).node;
        if was_creation {
            self.table.status_mut(old_node).is_created = false;
            self.table.node_mut(old_node).initial = None;
        }
        self.start_creation(&new, value);
        *self.table.place_mut(old) = new;
        self.rebuild();
        self.table.nodes().skip(1).collect()
    }

    pub(super) fn element(&mut self, element: &ElementRef, author: &NodeId) -> Element {
        let (node, counter) = element.parts(author);
        Element { node: self.children.sequence_mut().number(node), counter }
    }

    /// Gives new places, and those that have waited for them, their positions and effects. Returns
    /// the nodes that have changed.
    pub(super) fn integrate(&mut self, new: &[PlaceIndex]) -> Vec<NodeIndex> {
        let mut positioned: Vec<PlaceIndex> = Vec::new();
        for index in new {
            let mut next = vec![*index];
            while let Some(index) = next.pop() {
                match self.readiness(index) {
                    Readiness::Ready => {
                        let place = self.table.place_mut(index);
                        place.is_positioned = true;
                        positioned.push(index);
                        if !self.waiting.is_empty() {
                            next.extend(self.waiting.remove(&place.name).into_iter().flatten());
                        }
                    }
                    Readiness::Waits(neighbour) => {
                        self.waiting.entry(neighbour).or_default().push(index);
                    }
                    Readiness::Never => {}
                }
            }
        }
        let is_logged = |index: &PlaceIndex| self.table.place(*index).effect == Effect::Logged;
        let mut moves: Vec<PlaceIndex> = positioned.iter().copied().filter(is_logged).collect();
        let compare = |a, b| self.compare(a, b);
        moves.sort_by(|a, b| compare(*a, *b));
        let mut links = core::mem::take(&mut self.links);
        let mut changed = links.add(&moves, &self.table, |a, b| self.compare(a, b));
        self.links = links;
        for index in positioned {
            self.position(index);
        }
        changed.retain(|node| self.show(*node) || self.table.status(*node).is_visible());
        changed
    }

    fn readiness(&self, index: PlaceIndex) -> Readiness {
        let place = self.table.place(index);
        for neighbour in [place.after, place.before].into_iter().flatten() {
            let known = self.table.find_place(neighbour).map(|known| self.table.place(known));
            match known.filter(|known| known.is_positioned) {
                None => return Readiness::Waits(neighbour),
                Some(known) if known.parent != place.parent => return Readiness::Never,
                Some(_) => {}
            }
        }
        Readiness::Ready
    }

    /// Compares the stamps of two places.
    pub(super) fn compare(&self, a: PlaceIndex, b: PlaceIndex) -> Ordering {
        let (a, b) = (self.table.place(a), self.table.place(b));
        let by_node = || {
            let node = |place: &Place| self.children.sequence().node(place.name.node);
            node(a).cmp(node(b))
        };
        let rest = |order: &Order| (order.sequence, order.id_time, order.operation);
        a.order
            .time
            .cmp(&b.order.time)
            .then_with(by_node)
            .then_with(|| rest(&a.order).cmp(&rest(&b.order)))
            // An operation has one place. Others that pretend to be it must not be equal to it.
            .then_with(|| a.name.counter.cmp(&b.name.counter))
    }

    /// Inserts a place among the children of its parent.
    fn position(&mut self, index: PlaceIndex) {
        let place = self.table.place(index);
        let node = place.node;
        let standing = match place.effect {
            Effect::Undone => Standing::Undone,
            _ if self.wanted(node) == Some(index) => Standing::Visible,
            _ => Standing::Removed,
        };
        if standing == Standing::Visible {
            self.hide_node(node);
            self.table.status_mut(node).shown = Some(index);
        }
        self.children.insert(self.table.place(index), standing);
    }

    /// Returns the place of a node that is to be visible among the children of its parent.
    pub(super) fn wanted(&self, node: NodeIndex) -> Option<PlaceIndex> {
        self.links.place(node).filter(|_| self.table.status(node).is_visible())
    }

    /// Shows a node at its place. Returns `false` if it was shown there.
    pub(super) fn show(&mut self, node: NodeIndex) -> bool {
        let wanted = self.wanted(node);
        if self.table.status(node).shown == wanted {
            return false;
        }
        self.hide_node(node);
        if let Some(wanted) = wanted {
            self.children.set_visible(self.table.place(wanted), true);
            self.table.status_mut(node).shown = Some(wanted);
        }
        true
    }

    fn hide_node(&mut self, node: NodeIndex) {
        if let Some(shown) = self.table.status(node).shown {
            self.children.set_visible(self.table.place(shown), false);
            self.table.status_mut(node).shown = None;
        }
    }

    pub(super) fn name(&self, node: NodeIndex) -> Option<ElementId> {
        self.table.node(node).name.map(|name| self.children.sequence().id(name))
    }
}
