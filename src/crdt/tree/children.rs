//! The order of the children of all nodes, in one sequence.
//!
//! The children of a node are elements in the subtree of an element of its own, its *start*: what
//! is inserted at the first index has it as the left origin. So they are neighbours in the
//! sequence, and in the order that they would have in a sequence of their own. The starts have
//! names that no operation can use, and their order is of no importance: each is a left child of
//! the one before, where a new element is placed in O(log n).

use std::sync::LazyLock;

use super::table::{NodeIndex, Place};
use crate::{
    action::NodeId,
    crdt::sequence::{Element, Pages, Sequence, Standing},
};

/// The node of the starts. No client can have its id.
static START: LazyLock<NodeId> = LazyLock::new(|| NodeId::new(START_NODE).expect("a node id"));

/// The node id of the starts. Operations of this node are ignored.
pub(super) const START_NODE: &str = "\0";

#[derive(Clone, Debug, Default)]
pub(super) struct Children {
    sequence: Sequence,
    /// What is known of the children of each node.
    families: Pages<Family>,
    last_start: Option<Element>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Family {
    start: Option<Element>,
    /// The number of visible children.
    len: u32,
}

impl Children {
    pub(super) const fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    pub(super) const fn sequence_mut(&mut self) -> &mut Sequence {
        &mut self.sequence
    }

    /// Removes all children.
    pub(super) fn clear(&mut self) {
        self.sequence.clear();
        self.families = Pages::default();
        self.last_start = None;
    }

    fn family(&self, parent: NodeIndex) -> Family {
        let index = parent.get();
        if index < self.families.len() as u32 {
            *self.families.get(index)
        } else {
            Family::default()
        }
    }

    fn family_mut(&mut self, parent: NodeIndex) -> &mut Family {
        while self.families.len() as u32 <= parent.get() {
            self.families.push(Family::default());
        }
        self.families.get_mut(parent.get())
    }

    /// Returns the number of visible children of a node.
    pub(super) fn len(&self, parent: NodeIndex) -> u32 {
        self.family(parent).len
    }

    /// Returns the number of visible elements before the children of a node.
    fn base(&self, parent: NodeIndex) -> u32 {
        let start = self.family(parent).start;
        start.and_then(|start| self.sequence.index_of(start)).map_or(0, |(base, _)| base)
    }

    /// Returns the place of the child of a node at an index. O(log n).
    pub(super) fn at(&self, parent: NodeIndex, index: u32) -> Option<Element> {
        if index < self.len(parent) { self.sequence.at(self.base(parent) + index) } else { None }
    }

    /// Returns the index of a place among the visible children of a node. O(log n).
    pub(super) fn index_of(&self, parent: NodeIndex, place: Element) -> Option<u32> {
        let (index, _) = self.sequence.index_of(place)?;
        Some(index - self.base(parent))
    }

    /// Returns the places of the visible children of a node: the first ones and the numbers of
    /// consecutive counters, in order.
    pub(super) fn ranges(&self, parent: NodeIndex) -> Vec<(Element, u32)> {
        let len = self.len(parent);
        if len == 0 {
            return Vec::new();
        }
        let base = self.base(parent);
        self.sequence.visible_ranges(base..base + len)
    }

    /// Returns the elements beside a new child of a node, which gets an index among the children
    /// without the one at the index `without`. O(log n).
    pub(super) fn origins(
        &self,
        parent: NodeIndex,
        index: u32,
        without: Option<u32>,
    ) -> (Option<Element>, Option<Element>) {
        let Some(start) = self.family(parent).start else { return (None, None) };
        let after = index.checked_sub(1).and_then(|index| {
            let is_skipped = without.is_some_and(|without| index >= without);
            self.at(parent, index + u32::from(is_skipped))
        });
        let before = self.sequence.origin_after(after.unwrap_or(start));
        (after, before.filter(|before| before.node != start.node))
    }

    /// Inserts a place, whose neighbours are known. O(log n).
    pub(super) fn insert(&mut self, place: &Place, standing: Standing) {
        let Place { name, parent, after, before, .. } = place;
        let start = self.start(*parent);
        self.sequence.insert_element(*name, (Some(after.unwrap_or(start)), *before), standing);
        if standing == Standing::Visible {
            self.family_mut(*parent).len += 1;
        }
    }

    /// Shows or hides a place that is hidden or shown. O(log n).
    pub(super) fn set_visible(&mut self, place: &Place, is_visible: bool) {
        self.sequence.set_visible(place.name, is_visible);
        let family = self.family_mut(place.parent);
        if is_visible {
            family.len += 1;
        } else {
            family.len -= 1;
        }
    }

    /// Returns the start of the children of a node, which gets one if it has none.
    fn start(&mut self, parent: NodeIndex) -> Element {
        if let Some(start) = self.family(parent).start {
            return start;
        }
        let node = self.sequence.number(&START);
        let start = Element { node, counter: parent.get() };
        self.sequence.insert_element(start, (None, self.last_start), Standing::Removed);
        self.last_start = Some(start);
        self.family_mut(parent).start = Some(start);
        start
    }
}
