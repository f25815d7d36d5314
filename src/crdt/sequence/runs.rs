//! The B+ tree of runs.

use core::ops::Range;
use std::sync::Arc;

use super::{
    names::Element,
    pages::Pages,
    ranges::Ranges,
    run::{Counts, Run, Standing, Sum, Unit, range},
};

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

/// A node of the tree. Its parent, neighbours and children are numbers of nodes.
#[derive(Clone, Debug)]
enum Node {
    Leaf(Leaf),
    Inner(Inner),
}

#[derive(Clone, Debug, Default)]
struct Leaf {
    parent: Option<u32>,
    previous: Option<u32>,
    next: Option<u32>,
    runs: Vec<Run>,
    /// The text of the visible runs.
    text: String,
}

#[derive(Clone, Debug)]
struct Inner {
    parent: Option<u32>,
    children: Vec<Child>,
}

#[derive(Clone, Copy, Debug)]
struct Child {
    node: u32,
    sum: Sum,
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

impl Leaf {
    /// Returns the length of the text before a run.
    fn bytes_before(&self, run: usize) -> u32 {
        self.runs[..run].iter().map(|run| run.bytes).sum()
    }

    fn text_of(&self, run: usize) -> &str {
        &self.text[range(self.bytes_before(run), &self.runs[run])]
    }

    fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        let mut before = 0;
        for run in &self.runs {
            sum.add_run(run, Counts::of(run, &self.text[range(before, run)]));
            before += run.bytes;
        }
        sum
    }

    /// Splits a run before the element at an offset. Returns the index of the second part.
    fn split_run(&mut self, run: usize, offset: u32) -> usize {
        if offset == 0 {
            return run;
        }
        if offset < self.runs[run].len {
            let bytes = self.runs[run].bytes_until(offset, self.text_of(run));
            let rest = self.runs[run].split_off(offset, bytes);
            self.runs.insert(run + 1, rest);
        }
        run + 1
    }

    /// Makes the run after an index a part of the run at this index, if possible.
    fn merge_with_next(&mut self, run: usize) {
        if let [own, next, ..] = &mut self.runs[run..]
            && own.accepts(next)
        {
            own.len += next.len;
            own.bytes += next.bytes;
            self.runs.remove(run + 1);
        }
    }
}

impl Inner {
    fn index_of(&self, node: u32) -> usize {
        self.children.iter().position(|child| child.node == node).unwrap_or(0)
    }

    fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        self.children.iter().for_each(|child| sum.add(&child.sum));
        sum
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
        let first = self.first().map(|place| place.leaf);
        let leaves = core::iter::successors(first, |leaf| self.leaf(*leaf).next);
        leaves.flat_map(|leaf| {
            let leaf = self.leaf(leaf);
            let mut before = 0;
            leaf.runs.iter().map(move |run| {
                let text = &leaf.text[range(before, run)];
                before += run.bytes;
                (run, text)
            })
        })
    }
}

/// Changing.
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
    pub(super) fn gap_before(&mut self, place: Place) -> Gap {
        let run = if place.offset == 0 {
            place.run
        } else {
            self.leaf_mut(place.leaf).split_run(place.run, place.offset)
        };
        Gap { leaf: place.leaf, run }
    }

    /// Returns the gap after an element, whose run is split if necessary.
    pub(super) fn gap_after(&mut self, place: Place) -> Gap {
        if place.offset + 1 == self.run(place).len {
            return Gap { leaf: place.leaf, run: place.run + 1 };
        }
        self.gap_before(Place { offset: place.offset + 1, ..place })
    }

    /// Returns the gap at the end of the leaf before that of a gap, if the gap begins its leaf.
    pub(super) fn gap_at_end_before(&self, gap: Gap) -> Gap {
        match self.leaf(gap.leaf).previous {
            Some(leaf) if gap.run == 0 => Gap { leaf, run: self.leaf(leaf).runs.len() },
            _ => gap,
        }
    }

    /// Returns the gap after all runs.
    pub(super) fn last_gap(&self) -> Gap {
        let mut node = self.root;
        while let Node::Inner(inner) = &**self.nodes.get(node) {
            node = inner.children.last().expect("an inner node has children").node;
        }
        Gap { leaf: node, run: self.leaf(node).runs.len() }
    }

    /// Sets the open level of the element that begins a run.
    pub(super) fn set_open(&mut self, gap: Gap, open: u32) {
        self.leaf_mut(gap.leaf).runs[gap.run].open = open;
    }

    /// Returns the run after a gap, in the same leaf.
    pub(super) fn run_at(&self, gap: Gap) -> &Run {
        &self.leaf(gap.leaf).runs[gap.run]
    }

    /// Inserts a run with its text at a gap. `is_last`: no element of the node has a higher
    /// counter. O(log n).
    pub(super) fn insert(&mut self, gap: Gap, run: Run, text: &str, is_last: bool) {
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
    pub(super) fn set_standing(&mut self, place: Place, len: u32, standing: Standing, text: &str) {
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

    fn parent(&self, node: u32) -> Option<u32> {
        match &**self.nodes.get(node) {
            Node::Leaf(leaf) => leaf.parent,
            Node::Inner(inner) => inner.parent,
        }
    }

    fn set_parent(&mut self, node: u32, parent: u32) {
        match Arc::make_mut(self.nodes.get_mut(node)) {
            Node::Leaf(leaf) => leaf.parent = Some(parent),
            Node::Inner(inner) => inner.parent = Some(parent),
        }
    }

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
