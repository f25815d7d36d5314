//! The order of elements: FugueMax.

use core::cmp::Reverse;

use super::{
    Sequence,
    names::Element,
    run::{Run, Side, Standing},
    runs::{Gap, Level, Place},
};

/// Where the first element of an insertion is in the tree.
pub(super) struct Origin {
    pub(super) parent: Option<Place>,
    pub(super) side: Side,
}

/// The place for a new run.
struct NewPlace {
    gap: Gap,
    open: u32,
}

impl Sequence {
    /// Returns the origins of an insertion at a visible index: the element to its left and the one
    /// to its right. Elements whose insertion is undone are never named, so that an insertion that
    /// only this replica knows leaves no trace.
    pub(in crate::crdt) fn origins(&self, index: u32) -> (Option<Element>, Option<Element>) {
        let left = index.checked_sub(1).and_then(|index| self.runs.at_visible(index));
        let right = match left {
            Some(left) => self.runs.next(left),
            None => self.runs.first(),
        };
        let right = self.skip_undone(right);
        (left.map(|left| self.runs.element(left)), right.map(|right| self.runs.element(right)))
    }

    /// Returns the right origin of an insertion right after an element.
    pub(in crate::crdt) fn origin_after(&self, element: Element) -> Option<Element> {
        let next = self.runs.next(self.runs.find(element)?);
        self.skip_undone(next).map(|next| self.runs.element(next))
    }

    fn skip_undone(&self, mut place: Option<Place>) -> Option<Place> {
        while let Some(undone) = place.filter(|place| self.is_undone(*place)) {
            place = self.runs.next_run(undone);
        }
        place
    }

    fn is_undone(&self, place: Place) -> bool {
        self.runs.run(place).standing == Standing::Undone
    }

    /// Returns where an element between two others belongs in the tree: it is a left child of the
    /// right one if that is a descendant of the left one, and otherwise a right child of the left
    /// one.
    pub(super) fn origin(&self, left: Option<Place>, right: Option<Place>) -> Origin {
        let is_below = match (left, right) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(left), Some(right)) => self.is_descendant(right, left),
        };
        if is_below {
            Origin { parent: right, side: Side::Left }
        } else {
            Origin { parent: left, side: Side::Right }
        }
    }

    fn is_descendant(&self, place: Place, above: Place) -> bool {
        let depth = self.runs.depth(above);
        // Most insertions are between neighbours.
        if self.runs.next(above) == Some(place) {
            return place.offset > 0 || self.runs.run(place).open > depth;
        }
        let (rank, own) = (self.runs.rank(place), self.runs.rank(above));
        rank != own && self.first_rank(above) <= rank && rank < self.end_rank(Some(above))
    }

    /// Returns the number of elements before the subtree of an element.
    fn first_rank(&self, place: Place) -> u32 {
        self.first_of(place).map_or(0, |first| self.runs.rank(first))
    }

    /// Returns the first element of the subtree of an element.
    fn first_of(&self, place: Place) -> Option<Place> {
        if self.runs.has_left_children(place) {
            self.runs.previous_open(place, self.runs.depth(place))
        } else {
            Some(place)
        }
    }

    /// Returns the number of elements up to the end of the subtree of an element, or of all.
    fn end_rank(&self, place: Option<Place>) -> u32 {
        let next = place
            .and_then(|place| self.runs.next_start(place, Level::Open, self.runs.depth(place)));
        next.map_or(self.runs.total().elements, |next| self.runs.rank(next))
    }

    /// Inserts a run whose parent is known.
    pub(super) fn place(&mut self, origin: &Origin, mut run: Run, text: &str, is_last: bool) {
        let new = match origin.side {
            Side::Right => self.right_place(origin, &mut run),
            Side::Left => self.left_place(origin, &mut run),
        };
        run.open = new.open;
        self.runs.insert(new.gap, run, text, is_last);
    }

    fn right_place(&mut self, origin: &Origin, run: &mut Run) -> NewPlace {
        run.depth = origin.parent.map_or(0, |parent| self.runs.depth(parent)) + 1;
        let open = run.depth;
        let next = match origin.parent {
            Some(parent) => self.runs.next(parent),
            None => self.runs.first(),
        };
        let has_siblings = next.is_some_and(|next| {
            next.offset > 0 || self.runs.run(next).open >= run.depth || origin.parent.is_none()
        });
        if !has_siblings {
            let gap = match origin.parent {
                Some(parent) => self.runs.gap_after(parent),
                None => self.runs.last_gap(),
            };
            return NewPlace { gap, open };
        }
        let from = origin.parent.map_or(0, |parent| self.runs.rank(parent) + 1);
        let end = self.end_rank(origin.parent);
        if let Some(parent) = origin.parent {
            // A child in the same run becomes the first of its own.
            self.runs.gap_after(parent);
        }
        let key = self.right_key(run);
        let later = self.first_child(run.depth, from, end, |sibling| self.right_key(sibling) > key);
        NewPlace { gap: self.gap_before_child(later, end), open }
    }

    /// Returns the key by which right siblings are ordered: later right origins come first.
    fn right_key(&self, run: &Run) -> (Reverse<u32>, &crate::action::NodeId, u32) {
        let right = run.right.and_then(|right| self.runs.find(right));
        let rank = right.map_or(u32::MAX, |right| self.runs.rank(right));
        (Reverse(rank), self.names.node(run.first.node), run.first.counter)
    }

    fn left_place(&mut self, origin: &Origin, run: &mut Run) -> NewPlace {
        let Some(parent) = origin.parent else {
            return NewPlace { gap: self.runs.last_gap(), open: run.depth };
        };
        let depth = self.runs.depth(parent);
        run.depth = depth + 1;
        if !self.runs.has_left_children(parent) {
            return self.place_before(parent, run.depth);
        }
        let (from, end) = (self.first_rank(parent), self.runs.rank(parent));
        let key = (self.names.node(run.first.node), run.first.counter);
        let is_later = |run: &Run| (self.names.node(run.first.node), run.first.counter) > key;
        let later = self.first_child(run.depth, from, end, is_later);
        let first = later.and_then(|later| self.first_of(later));
        match first.filter(|first| self.runs.rank(*first) == from) {
            Some(first) => self.place_before(first, run.depth),
            None => NewPlace { gap: self.gap_before_child(later, end), open: run.depth },
        }
    }

    /// Returns the place before the first element of a subtree for a new first one, which opens
    /// what the other has opened. That only opens levels from `depth` on.
    fn place_before(&mut self, first: Place, depth: u32) -> NewPlace {
        let gap = self.runs.gap_before(first);
        let open = self.runs.run_at(gap).open;
        self.runs.set_open(gap, depth);
        NewPlace { gap, open }
    }

    /// Returns the gap before the subtree of a child, or before the element at a rank.
    fn gap_before_child(&mut self, child: Option<Place>, end: u32) -> Gap {
        let next = match child {
            Some(child) => self.first_of(child),
            None => self.runs.at_rank(end),
        };
        match next {
            Some(next) => {
                let gap = self.runs.gap_before(next);
                self.runs.gap_at_end_before(gap)
            }
            None => self.runs.last_gap(),
        }
    }

    /// Returns the first child at a depth, between two ranks, for which `is_later` is `true`, as it
    /// is for all after it. O(log² n).
    fn first_child(
        &self,
        depth: u32,
        from: u32,
        end: u32,
        is_later: impl Fn(&Run) -> bool,
    ) -> Option<Place> {
        let (mut low, mut high) = (from, end);
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.child_from(middle, depth).filter(|(_, rank)| *rank < high) {
                Some((child, rank)) if !is_later(self.runs.run(child)) => low = rank + 1,
                later => {
                    found = later.map(|(child, _)| child).or(found);
                    high = middle;
                }
            }
        }
        found
    }

    /// Returns the first element at or after a rank whose depth is at most `depth`, with its rank.
    fn child_from(&self, rank: u32, depth: u32) -> Option<(Place, u32)> {
        let place = self.runs.at_rank(rank)?;
        let child = if place.offset == 0 && self.runs.run(place).depth <= depth {
            place
        } else {
            self.runs.next_start(place, Level::Depth, depth)?
        };
        Some((child, self.runs.rank(child)))
    }
}
