//! The B+ tree of runs.

mod change;
mod load;
mod node;

use core::ops::Range;
use std::sync::Arc;

use super::{
    names::Element,
    pages::Pages,
    ranges::Ranges,
    run::{Counts, Run, Standing, Sum, Unit},
};
use node::{Child, Inner, Leaf, Node};

/// All runs in their order, in a B+ tree whose clones share nodes. An element is found by its name
/// or by a count of what is before it in O(log n).
#[derive(Clone, Debug)]
pub(super) struct Runs {
    nodes: Pages<Arc<Node>>,
    root: u32,
    /// The leaf of each element.
    leaves: Ranges<u32>,
    total: Counts,
    /// The leaf that was changed last, where the next change is likely.
    recent: u32,
}

/// The place of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    leaf: u32,
    run: usize,
    /// The number of elements before it in its run.
    pub(super) offset: u32,
}

/// The place between two runs where a run is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    leaf: u32,
    run: usize,
}

/// The limits of a node.
const MAX_RUNS: usize = 32;
const MAX_CHILDREN: usize = 32;
const MAX_TEXT: usize = 2_048;

/// A depth by which elements are found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Level {
    Depth,
    Open,
}

impl Level {
    const fn of_run(self, run: &Run) -> u32 {
        match self {
            Self::Depth => run.depth,
            Self::Open => run.open,
        }
    }

    const fn of_sum(self, sum: &Sum) -> u32 {
        match self {
            Self::Depth => sum.depth,
            Self::Open => sum.open,
        }
    }
}

impl Default for Runs {
    fn default() -> Self {
        let mut nodes = Pages::default();
        let root = nodes.push(Arc::new(Node::Leaf(Leaf::default())));
        Self { nodes, root, leaves: Ranges::default(), total: Counts::default(), recent: root }
    }
}

/// Reading.
impl Runs {
    pub(super) const fn total(&self) -> Counts {
        self.total
    }

    #[inline]
    fn leaf(&self, node: u32) -> &Leaf {
        match &**self.nodes.get(node) {
            Node::Leaf(leaf) => leaf,
            Node::Inner(_) => unreachable!("the node is a leaf"),
        }
    }

    fn inner(&self, node: u32) -> &Inner {
        match &**self.nodes.get(node) {
            Node::Inner(inner) => inner,
            Node::Leaf(_) => unreachable!("the node is not a leaf"),
        }
    }

    /// Returns the run of an element.
    pub(super) fn run(&self, place: Place) -> &Run {
        &self.leaf(place.leaf).runs[place.run]
    }

    /// Returns the name of an element.
    pub(super) fn element(&self, place: Place) -> Element {
        self.run(place).first.plus(place.offset)
    }

    /// Returns the depth of an element.
    pub(super) fn depth(&self, place: Place) -> u32 {
        self.run(place).depth + place.offset
    }

    /// Returns `true` if an element has left children.
    pub(super) fn has_left_children(&self, place: Place) -> bool {
        let run = self.run(place);
        place.offset == 0 && run.open > run.depth
    }

    /// Returns the place of an element. O(log n).
    #[inline]
    pub(super) fn find(&self, element: Element) -> Option<Place> {
        self.find_in(self.recent, element)
            .or_else(|| self.find_in(self.leaves.get(element)?, element))
    }

    #[inline]
    fn find_in(&self, leaf: u32, element: Element) -> Option<Place> {
        let runs = &self.leaf(leaf).runs;
        let find = |(run, own): (usize, &Run)| Some((run, own.offset_of(element)?));
        let (run, offset) = runs.iter().enumerate().find_map(find)?;
        Some(Place { leaf, run, offset })
    }

    /// Returns the first element of the same node at or after a name. O(log n) and the number of
    /// leaves in between.
    pub(super) fn first_from(&self, element: Element) -> Option<Element> {
        if self.find(element).is_some() {
            return Some(element);
        }
        let own = self.leaves.get(element).map(|leaf| (element, leaf));
        let mut ranges = own.into_iter().chain(self.leaves.starts_after(element)).peekable();
        while let Some((start, leaf)) = ranges.next() {
            let end = ranges.peek().map(|(end, _)| *end);
            let firsts = self.leaf(leaf).runs.iter().map(|run| run.first);
            let is_in_range = |first: &Element| {
                first.node == element.node && *first >= start && end.is_none_or(|end| *first < end)
            };
            if let Some(first) = firsts.filter(is_in_range).min() {
                return Some(first);
            }
        }
        None
    }

    /// Returns `true` if a place has one of these elements, and its insertion is not undone.
    /// O(log n) for each run of them.
    pub(super) fn is_any_in_effect(&self, first: Element, len: u32) -> bool {
        let end = first.plus(len);
        let mut next = self.first_from(first);
        while let Some(place) = next.filter(|next| *next < end).and_then(|next| self.find(next)) {
            let run = self.run(place);
            if run.standing != Standing::Undone {
                return true;
            }
            next = self.first_from(run.first.plus(run.len));
        }
        false
    }

    /// Returns the place of the first element.
    pub(super) fn first(&self) -> Option<Place> {
        let mut node = self.root;
        while let Node::Inner(inner) = &**self.nodes.get(node) {
            node = inner.children[0].node;
        }
        self.start_in(node, 0)
    }

    fn start_in(&self, leaf: u32, run: usize) -> Option<Place> {
        (run < self.leaf(leaf).runs.len()).then_some(Place { leaf, run, offset: 0 })
    }

    /// Returns the first element of the next run.
    pub(super) fn next_run(&self, place: Place) -> Option<Place> {
        self.start_in(place.leaf, place.run + 1)
            .or_else(|| self.start_in(self.leaf(place.leaf).next?, 0))
    }

    /// Returns the element that follows.
    pub(super) fn next(&self, place: Place) -> Option<Place> {
        if place.offset + 1 < self.run(place).len {
            Some(Place { offset: place.offset + 1, ..place })
        } else {
            self.next_run(place)
        }
    }

    /// Returns the next first element of a run whose level is at most `limit`, after the run of an
    /// element. O(log n).
    pub(super) fn next_start(&self, from: Place, level: Level, limit: u32) -> Option<Place> {
        let is_low = |run: &Run| level.of_run(run) <= limit;
        let Place { leaf, run, .. } = from;
        let rest = &self.leaf(leaf).runs[run + 1..];
        if let Some(index) = rest.iter().position(is_low) {
            return Some(Place { leaf, run: run + 1 + index, offset: 0 });
        }
        let mut node = leaf;
        let mut parent = self.leaf(leaf).parent;
        while let Some(above) = parent {
            let inner = self.inner(above);
            let rest = &inner.children[inner.index_of(node) + 1..];
            if let Some(child) = rest.iter().find(|child| level.of_sum(&child.sum) <= limit) {
                return self.first_start(child.node, level, limit);
            }
            node = above;
            parent = inner.parent;
        }
        None
    }

    /// Returns the first element in or below a node that begins a run and whose level is at most
    /// `limit`.
    fn first_start(&self, node: u32, level: Level, limit: u32) -> Option<Place> {
        let mut node = node;
        loop {
            match &**self.nodes.get(node) {
                Node::Leaf(leaf) => {
                    let run = leaf.runs.iter().position(|run| level.of_run(run) <= limit)?;
                    return Some(Place { leaf: node, run, offset: 0 });
                }
                Node::Inner(inner) => {
                    let is_low = |child: &&Child| level.of_sum(&child.sum) <= limit;
                    node = inner.children.iter().find(is_low)?.node;
                }
            }
        }
    }

    /// Returns the last element at or before an element that begins a run and whose open level is
    /// at most `limit`. O(log n).
    pub(super) fn previous_open(&self, from: Place, limit: u32) -> Option<Place> {
        let is_low = |run: &Run| run.open <= limit;
        let Place { leaf, run, .. } = from;
        if let Some(run) = self.leaf(leaf).runs[..=run].iter().rposition(is_low) {
            return Some(Place { leaf, run, offset: 0 });
        }
        let mut node = leaf;
        let mut parent = self.leaf(leaf).parent;
        while let Some(above) = parent {
            let inner = self.inner(above);
            let before = &inner.children[..inner.index_of(node)];
            if let Some(child) = before.iter().rfind(|child| child.sum.open <= limit) {
                node = child.node;
                loop {
                    match &**self.nodes.get(node) {
                        Node::Leaf(leaf) => {
                            let run = leaf.runs.iter().rposition(is_low)?;
                            return Some(Place { leaf: node, run, offset: 0 });
                        }
                        Node::Inner(inner) => {
                            let last = inner.children.iter().rfind(|child| child.sum.open <= limit);
                            node = last?.node;
                        }
                    }
                }
            }
            node = above;
            parent = inner.parent;
        }
        None
    }

    /// Returns the counts of all runs before a leaf. O(log n).
    fn before_leaf(&self, leaf: u32) -> Counts {
        let mut counts = Counts::default();
        let mut node = leaf;
        let mut parent = self.leaf(leaf).parent;
        while let Some(above) = parent {
            let inner = self.inner(above);
            for child in inner.children.iter().take_while(|child| child.node != node) {
                counts += child.sum.counts;
            }
            node = above;
            parent = inner.parent;
        }
        counts
    }

    /// Returns the number of elements before an element. O(log n).
    pub(super) fn rank(&self, place: Place) -> u32 {
        let runs = &self.leaf(place.leaf).runs[..place.run];
        let before: u32 = runs.iter().map(|run| run.len).sum();
        self.before_leaf(place.leaf).elements + before + place.offset
    }

    /// Returns the number of visible elements before an element. O(log n).
    pub(super) fn visible_before(&self, place: Place) -> u32 {
        let runs = &self.leaf(place.leaf).runs[..place.run];
        let before: u32 = runs.iter().map(Run::visible_len).sum();
        let own = if self.run(place).is_visible() { place.offset } else { 0 };
        self.before_leaf(place.leaf).visible + before + own
    }

    /// Returns the leaf with the unit at an index, and the counts before it. The last leaf if there
    /// is no such unit. `count` selects the unit.
    fn seek(&self, index: u32, count: impl Fn(&Counts) -> u32) -> (u32, Counts) {
        let mut node = self.root;
        let mut before = Counts::default();
        while let Node::Inner(inner) = &**self.nodes.get(node) {
            let (last, others) = inner.children.split_last().expect("an inner node has children");
            node = last.node;
            for child in others {
                if count(&before) + count(&child.sum.counts) > index {
                    node = child.node;
                    break;
                }
                before += child.sum.counts;
            }
        }
        (node, before)
    }

    /// Returns the place of the element with this number of elements before it. O(log n).
    pub(super) fn at_rank(&self, rank: u32) -> Option<Place> {
        let (leaf, before) = self.seek(rank, |counts| counts.elements);
        let mut offset = rank - before.elements;
        for (run, own) in self.leaf(leaf).runs.iter().enumerate() {
            if offset < own.len {
                return Some(Place { leaf, run, offset });
            }
            offset -= own.len;
        }
        None
    }

    /// Returns the place of the visible element at an index. O(log n).
    pub(super) fn at_visible(&self, index: u32) -> Option<Place> {
        let (leaf, before) = self.seek(index, |counts| counts.visible);
        let mut offset = index - before.visible;
        for (run, own) in self.leaf(leaf).runs.iter().enumerate() {
            if offset < own.visible_len() {
                return Some(Place { leaf, run, offset });
            }
            offset -= own.visible_len();
        }
        None
    }

    /// Returns the counts of the text before an index. An index inside of a character counts as
    /// that of the character; one after the end as the end. O(log n).
    pub(super) fn text_before(&self, index: u32, unit: Unit) -> Counts {
        let (leaf, before) = self.seek(index, |counts| counts.text(unit));
        let rest = index.saturating_sub(before.text(unit));
        self.count_text(leaf, before, |counts| counts.text(unit) <= rest)
    }

    /// Returns the counts of the text before a line break, by the number of line breaks before it.
    /// `None` if there are not so many. O(log n).
    pub(super) fn before_newline(&self, index: u32) -> Option<Counts> {
        if index >= self.total.newlines {
            return None;
        }
        let (leaf, before) = self.seek(index, |counts| counts.newlines);
        let rest = index - before.newlines;
        Some(self.count_text(leaf, before, |counts| counts.newlines <= rest))
    }

    /// Adds to counts those of the longest beginning of a leaf's text that fits.
    fn count_text(&self, leaf: u32, before: Counts, fits: impl Fn(&Counts) -> bool) -> Counts {
        let mut counts = Counts::default();
        for scalar in self.leaf(leaf).text.chars() {
            let mut more = counts;
            more.visible += 1;
            more.utf16 += scalar.len_utf16() as u32;
            more.bytes += scalar.len_utf8() as u32;
            more.newlines += u32::from(scalar == '\n');
            if !fits(&more) {
                break;
            }
            counts = more;
        }
        counts += before;
        counts
    }

    /// Calls `part` with the parts of the text from one byte to another.
    pub(super) fn for_text(&self, bytes: Range<u32>, mut part: impl FnMut(&str)) {
        if bytes.is_empty() {
            return;
        }
        let (leaf, before) = self.seek(bytes.start, |counts| counts.bytes);
        let mut start = before.bytes;
        let mut next = Some(leaf);
        while let Some(leaf) = next.map(|leaf| self.leaf(leaf)).filter(|_| start < bytes.end) {
            let from = bytes.start.saturating_sub(start) as usize;
            let to = ((bytes.end - start) as usize).min(leaf.text.len());
            part(&leaf.text[from..to]);
            start += leaf.text.len() as u32;
            next = leaf.next;
        }
    }

    /// Returns all runs with their visible text, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Run, &str)> {
        self.leaf_numbers().flat_map(|leaf| self.leaf(leaf).iter())
    }
}

/// Runs with their visible text.
pub(super) type TextRuns<'a> = Vec<(&'a Run, &'a str)>;

impl Runs {
    /// Returns `true` if both trees share all leaves.
    pub(super) fn is_clone_of(&self, other: &Self) -> bool {
        let leaves = |runs: &Self| runs.leaf_numbers().collect::<Vec<u32>>();
        let (own, new) = (leaves(self), leaves(other));
        let mut pairs = own.iter().zip(&new);
        own.len() == new.len()
            && pairs.all(|(own, new)| Arc::ptr_eq(self.nodes.get(*own), other.nodes.get(*new)))
    }

    /// Returns the runs of this tree and of another one without the leaves that they share at the
    /// start and at the end, and the lengths of the text of these.
    pub(super) fn different_runs<'a>(
        &'a self,
        other: &'a Self,
        unit: Unit,
    ) -> (TextRuns<'a>, TextRuns<'a>, u32, u32) {
        let (own, new): (Vec<u32>, Vec<u32>) =
            (self.leaf_numbers().collect(), other.leaf_numbers().collect());
        let is_same =
            |(own, new): &(&u32, &u32)| Arc::ptr_eq(self.nodes.get(**own), other.nodes.get(**new));
        let start = own.iter().zip(&new).take_while(is_same).count();
        let rest = own[start..].iter().rev().zip(new[start..].iter().rev());
        let end = rest.take_while(is_same).count();
        let text = |leaves: &[u32]| {
            let sums = leaves.iter().map(|leaf| self.leaf(*leaf).sum().counts.text(unit));
            sums.sum()
        };
        (
            self.runs_of(&own[start..own.len() - end]),
            other.runs_of(&new[start..new.len() - end]),
            text(&own[..start]),
            text(&own[own.len() - end..]),
        )
    }

    fn leaf_numbers(&self) -> impl Iterator<Item = u32> {
        let first = self.first().map(|place| place.leaf);
        core::iter::successors(first, |leaf| self.leaf(*leaf).next)
    }

    fn runs_of(&self, leaves: &[u32]) -> TextRuns<'_> {
        leaves.iter().flat_map(|leaf| self.leaf(*leaf).iter()).collect()
    }
}

impl Runs {
    /// Checks the tree. O(n).
    ///
    /// # Panics
    /// If an invariant is violated.
    pub(super) fn assert_invariants(&self) {
        let sum = self.assert_node(self.root, None);
        assert_eq!(sum.counts, self.total, "the total is the sum of all runs");
        for (run, text) in self.iter() {
            assert!(run.len > 0, "a run is not empty");
            assert_eq!(run.bytes as usize, text.len(), "the length of the text is stored");
            assert!(run.open <= run.depth + 1, "an element opens its own subtree or those above");
            for offset in [0, run.len - 1] {
                let element = run.first.plus(offset);
                let found = self.find(element).map(|place| self.element(place));
                assert_eq!(found, Some(element), "every element is found by its name");
                let leaf = self.leaves.get(element);
                assert!(
                    leaf.is_some_and(|leaf| self.find_in(leaf, element).is_some()),
                    "the leaf of every element is stored"
                );
            }
        }
    }

    fn assert_node(&self, node: u32, parent: Option<u32>) -> Sum {
        assert_eq!(self.parent(node), parent, "the parent of a node is stored");
        match &**self.nodes.get(node) {
            Node::Leaf(leaf) => {
                assert!(
                    leaf.runs.len() <= MAX_RUNS && (!leaf.runs.is_empty() || parent.is_none()),
                    "a leaf has 1 to {MAX_RUNS} runs"
                );
                leaf.sum()
            }
            Node::Inner(inner) => {
                assert!(inner.children.len() <= MAX_CHILDREN, "a node has few children");
                for child in &inner.children {
                    let sum = self.assert_node(child.node, Some(node));
                    assert_eq!(sum, child.sum, "the sum of a child is stored");
                }
                inner.sum()
            }
        }
    }
}
