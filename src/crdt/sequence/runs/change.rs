//! Changes of the tree.

use std::sync::Arc;

use super::{
    Gap, MAX_CHILDREN, MAX_RUNS, MAX_TEXT, Place, Runs,
    node::{Child, Inner, Leaf, Node},
};
use crate::crdt::sequence::{
    names::Element,
    run::{Counts, Run, Standing, Sum, range},
};

impl Runs {
    fn leaf_mut(&mut self, node: u32) -> &mut Leaf {
        match Arc::make_mut(self.nodes.get_mut(node)) {
            Node::Leaf(leaf) => leaf,
            Node::Inner(_) => unreachable!("the node is a leaf"),
        }
    }

    fn inner_mut(&mut self, node: u32) -> &mut Inner {
        match Arc::make_mut(self.nodes.get_mut(node)) {
            Node::Inner(inner) => inner,
            Node::Leaf(_) => unreachable!("the node is not a leaf"),
        }
    }

    /// Changes the sums above a leaf.
    fn change_sums(&mut self, leaf: u32, change: impl Fn(&mut Sum)) {
        let mut node = leaf;
        let mut parent = self.leaf(leaf).parent;
        while let Some(above) = parent {
            let inner = self.inner_mut(above);
            let index = inner.index_of(node);
            change(&mut inner.children[index].sum);
            node = above;
            parent = inner.parent;
        }
    }

    /// Returns the gap before an element, whose run is split if necessary.
    pub(in crate::crdt::sequence) fn gap_before(&mut self, place: Place) -> Gap {
        let run = if place.offset == 0 {
            place.run
        } else {
            self.leaf_mut(place.leaf).split_run(place.run, place.offset)
        };
        Gap { leaf: place.leaf, run }
    }

    /// Returns the gap after an element, whose run is split if necessary.
    pub(in crate::crdt::sequence) fn gap_after(&mut self, place: Place) -> Gap {
        if place.offset + 1 == self.run(place).len {
            return Gap { leaf: place.leaf, run: place.run + 1 };
        }
        self.gap_before(Place { offset: place.offset + 1, ..place })
    }

    /// Returns the gap at the end of the leaf before that of a gap, if the gap begins its leaf.
    pub(in crate::crdt::sequence) fn gap_at_end_before(&self, gap: Gap) -> Gap {
        match self.leaf(gap.leaf).previous {
            Some(leaf) if gap.run == 0 => Gap { leaf, run: self.leaf(leaf).runs.len() },
            _ => gap,
        }
    }

    /// Returns the gap after all runs.
    pub(in crate::crdt::sequence) fn last_gap(&self) -> Gap {
        let mut node = self.root;
        while let Node::Inner(inner) = &**self.nodes.get(node) {
            node = inner.children.last().expect("an inner node has children").node;
        }
        Gap { leaf: node, run: self.leaf(node).runs.len() }
    }

    /// Sets the open level of the element that begins a run.
    pub(in crate::crdt::sequence) fn set_open(&mut self, gap: Gap, open: u32) {
        self.leaf_mut(gap.leaf).runs[gap.run].open = open;
    }

    /// Returns the run after a gap, in the same leaf.
    pub(in crate::crdt::sequence) fn run_at(&self, gap: Gap) -> &Run {
        &self.leaf(gap.leaf).runs[gap.run]
    }

    /// Inserts a run with its text at a gap. `is_last`: no element of the node has a higher
    /// counter. O(log n).
    pub(in crate::crdt::sequence) fn insert(
        &mut self,
        gap: Gap,
        run: Run,
        text: &str,
        is_last: bool,
    ) {
        let (first, len) = (run.first, run.len);
        let counts = Counts::of(&run, text);
        let (depth, open) = (run.depth, run.open);
        let leaf = self.leaf_mut(gap.leaf);
        let at = leaf.bytes_before(gap.run) as usize;
        leaf.text.insert_str(at, text);
        let previous = gap.run.checked_sub(1);
        match previous.filter(|previous| leaf.runs[*previous].accepts(&run)) {
            Some(previous) => {
                leaf.runs[previous].len += run.len;
                leaf.runs[previous].bytes += run.bytes;
            }
            None => {
                leaf.runs.insert(gap.run, run);
                leaf.merge_with_next(gap.run);
            }
        }
        self.leaves.set(first, len, gap.leaf, is_last);
        self.total += counts;
        self.change_sums(gap.leaf, |sum| {
            sum.counts += counts;
            sum.depth = sum.depth.min(depth);
            sum.open = sum.open.min(open);
        });
        self.recent = gap.leaf;
        self.split_full(gap.leaf, gap.run);
    }

    /// Changes the standing of `len` elements of one run. `text` is theirs if they become visible.
    /// O(log n).
    pub(in crate::crdt::sequence) fn set_standing(
        &mut self,
        place: Place,
        len: u32,
        standing: Standing,
        text: &str,
    ) {
        let leaf = self.leaf_mut(place.leaf);
        let run = leaf.split_run(place.run, place.offset);
        leaf.split_run(run, len);
        let bytes = range(leaf.bytes_before(run), &leaf.runs[run]);
        let removed = Counts::of(&leaf.runs[run], &leaf.text[bytes.clone()]);
        let text = if standing == Standing::Visible { text } else { "" };
        leaf.text.replace_range(bytes, text);
        let own = &mut leaf.runs[run];
        own.standing = standing;
        own.bytes = text.len() as u32;
        let added = Counts::of(own, text);
        leaf.merge_with_next(run);
        if let Some(previous) = run.checked_sub(1) {
            leaf.merge_with_next(previous);
        }
        self.total += added;
        self.total -= removed;
        self.change_sums(place.leaf, |sum| {
            sum.counts += added;
            sum.counts -= removed;
        });
        self.recent = place.leaf;
        self.split_full(place.leaf, run);
    }

    /// Splits a leaf as long as it is too large. `changed` is the index of a changed run: after a
    /// change at the end, only the last run moves, so that leaves of a text that grows are full.
    fn split_full(&mut self, node: u32, changed: usize) {
        let leaf = self.leaf(node);
        let count = leaf.runs.len();
        if count < 2 || (count <= MAX_RUNS && leaf.text.len() <= MAX_TEXT) {
            return;
        }
        let at = if changed + 1 >= count {
            count - 1
        } else if count > MAX_RUNS {
            count / 2
        } else {
            let half = leaf.text.len() as u32 / 2;
            let mut before = 0;
            let is_first_half = |run: &&Run| {
                before += run.bytes;
                before <= half
            };
            leaf.runs.iter().take_while(is_first_half).count().clamp(1, count - 1)
        };
        let leaf = self.leaf_mut(node);
        let bytes = leaf.bytes_before(at) as usize;
        let right = Leaf {
            parent: leaf.parent,
            previous: Some(node),
            next: leaf.next,
            runs: leaf.runs.split_off(at),
            text: leaf.text.split_off(bytes),
        };
        let (left_sum, right_sum) = (leaf.sum(), right.sum());
        let next = right.next;
        let moved: Vec<(Element, u32)> =
            right.runs.iter().map(|run| (run.first, run.len)).collect();
        let right = self.nodes.push(Arc::new(Node::Leaf(right)));
        self.leaf_mut(node).next = Some(right);
        if let Some(next) = next {
            self.leaf_mut(next).previous = Some(right);
        }
        for (first, len) in moved {
            self.leaves.set(first, len, right, false);
        }
        self.add_sibling(node, left_sum, right, right_sum);
        // A run inside of a leaf may have been so large that a part is still too large.
        self.split_full(node, 0);
        self.split_full(right, 0);
    }

    /// Adds a node after the one that it was split off from.
    fn add_sibling(&mut self, left: u32, left_sum: Sum, right: u32, right_sum: Sum) {
        let Some(parent) = self.parent(left) else {
            let children = [(left, left_sum), (right, right_sum)]
                .map(|(node, sum)| Child { node, sum })
                .to_vec();
            let inner = Inner { parent: None, children };
            self.root = self.nodes.push(Arc::new(Node::Inner(inner)));
            self.set_parent(left, self.root);
            self.set_parent(right, self.root);
            return;
        };
        let inner = self.inner_mut(parent);
        let index = inner.index_of(left);
        inner.children[index].sum = left_sum;
        inner.children.insert(index + 1, Child { node: right, sum: right_sum });
        let count = inner.children.len();
        if count <= MAX_CHILDREN {
            return;
        }
        let at = if index + 2 == count { count - 2 } else { count / 2 };
        let children = inner.children.split_off(at);
        let left_sum = inner.sum();
        let above = inner.parent;
        let split = Inner { parent: above, children };
        let right_sum = split.sum();
        let moved: Vec<u32> = split.children.iter().map(|child| child.node).collect();
        let right = self.nodes.push(Arc::new(Node::Inner(split)));
        for node in moved {
            self.set_parent(node, right);
        }
        self.add_sibling(parent, left_sum, right, right_sum);
    }

    pub(super) fn parent(&self, node: u32) -> Option<u32> {
        match &**self.nodes.get(node) {
            Node::Leaf(leaf) => leaf.parent,
            Node::Inner(inner) => inner.parent,
        }
    }

    pub(super) fn set_parent(&mut self, node: u32, parent: u32) {
        match Arc::make_mut(self.nodes.get_mut(node)) {
            Node::Leaf(leaf) => leaf.parent = Some(parent),
            Node::Inner(inner) => inner.parent = Some(parent),
        }
    }
}
