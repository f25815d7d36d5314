//! Runs of elements, and sums over them.

use core::ops::{AddAssign, Range, SubAssign};

use super::names::Element;

/// On which side of its parent an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::crdt) enum Side {
    Left,
    Right,
}

/// Whether elements are visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::crdt) enum Standing {
    Visible,
    Removed,
    /// The insertion is undone. No new operation refers to the element.
    Undone,
}

/// Elements of one node with consecutive counters, each the right child of the one before.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) first: Element,
    pub(super) len: u32,
    /// The length of the visible text, in bytes.
    pub(super) bytes: u32,
    /// The depth of the first element in the tree. Those in the first level have 1.
    pub(super) depth: u32,
    /// The depth of the uppermost element in whose subtree the first element is the first one;
    /// `depth` + 1 if it has left children, so that it is not even the first in its own.
    pub(super) open: u32,
    /// The right origin of the elements, which orders right siblings. `None` for the end.
    pub(super) right: Option<Element>,
    pub(super) side: Side,
    pub(super) standing: Standing,
}

/// The maximum length of the text of a run in memory, in bytes, so that edits inside of it are
/// fast.
pub(super) const MAX_RUN_BYTES: u32 = 1_024;

impl Run {
    pub(super) const fn is_visible(&self) -> bool {
        matches!(self.standing, Standing::Visible)
    }

    /// Returns the offset of an element in the run.
    #[inline]
    pub(super) fn offset_of(&self, element: Element) -> Option<u32> {
        let offset = element.counter.wrapping_sub(self.first.counter);
        (element.node == self.first.node && offset < self.len).then_some(offset)
    }

    pub(super) const fn visible_len(&self) -> u32 {
        if self.is_visible() { self.len } else { 0 }
    }

    /// Returns `true` if `next`, which follows in the order, continues this run.
    pub(super) fn continues(&self, next: &Self) -> bool {
        next.first == Element { node: self.first.node, counter: self.first.counter + self.len }
            && next.side == Side::Right
            && next.depth == self.depth + self.len
            && next.open == next.depth
            && next.right == self.right
    }

    /// Returns `true` if the next run can become part of this one.
    pub(super) fn accepts(&self, next: &Self) -> bool {
        self.standing == next.standing
            && self.bytes + next.bytes <= MAX_RUN_BYTES
            && self.continues(next)
    }

    /// Splits off the elements from an offset on. `bytes` is the length of the text before it.
    pub(super) fn split_off(&mut self, offset: u32, bytes: u32) -> Self {
        let depth = self.depth + offset;
        let rest = Self {
            first: self.first.plus(offset),
            len: self.len - offset,
            bytes: self.bytes - bytes,
            depth,
            open: depth,
            right: self.right,
            side: Side::Right,
            standing: self.standing,
        };
        self.len = offset;
        self.bytes = bytes;
        rest
    }

    /// Returns the length in bytes of the first elements of the run, whose text is given.
    pub(super) fn bytes_until(&self, offset: u32, text: &str) -> u32 {
        if self.bytes == 0 || self.bytes == self.len {
            return offset.min(self.bytes);
        }
        let end = text.char_indices().nth(offset as usize).map_or(text.len(), |(at, _)| at);
        u32::try_from(end).unwrap_or(u32::MAX)
    }
}

/// The unit of the indexes and lengths of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unit {
    /// UTF-16 code units, as in JavaScript, Java, C# and Swift's `NSString`.
    #[default]
    Utf16,
    /// Unicode scalar values: Rust's `char`, and the characters of Python.
    Scalars,
    /// Bytes of UTF-8, as in Rust's `str` and in Go.
    Bytes,
}

/// What is counted over runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) elements: u32,
    /// The visible elements; of a text, its Unicode scalar values.
    pub(super) visible: u32,
    pub(super) utf16: u32,
    pub(super) bytes: u32,
    pub(super) newlines: u32,
}

impl Counts {
    /// Returns the length of the text.
    pub(super) const fn text(&self, unit: Unit) -> u32 {
        match unit {
            Unit::Utf16 => self.utf16,
            Unit::Scalars => self.visible,
            Unit::Bytes => self.bytes,
        }
    }

    /// Counts a run with its visible text.
    pub(super) fn of(run: &Run, text: &str) -> Self {
        Self { elements: run.len, visible: run.visible_len(), ..Self::of_text(text, run.len) }
    }

    /// Counts a text of a known number of scalar values, without elements.
    pub(super) fn of_text(text: &str, scalars: u32) -> Self {
        let bytes = text.len() as u32;
        let utf16 =
            if bytes == scalars { bytes } else { text.chars().map(|c| c.len_utf16() as u32).sum() };
        let newlines = text.bytes().filter(|byte| *byte == b'\n').count() as u32;
        Self { elements: 0, visible: 0, utf16, bytes, newlines }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.elements += other.elements;
        self.visible += other.visible;
        self.utf16 += other.utf16;
        self.bytes += other.bytes;
        self.newlines += other.newlines;
    }
}

impl SubAssign for Counts {
    fn sub_assign(&mut self, other: Self) {
        self.elements -= other.elements;
        self.visible -= other.visible;
        self.utf16 -= other.utf16;
        self.bytes -= other.bytes;
        self.newlines -= other.newlines;
    }
}

/// The counts of runs, and the least depths in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) counts: Counts,
    pub(super) depth: u32,
    pub(super) open: u32,
}

impl Default for Sum {
    fn default() -> Self {
        Self { counts: Counts::default(), depth: u32::MAX, open: u32::MAX }
    }
}

impl Sum {
    pub(super) fn add_run(&mut self, run: &Run, counts: Counts) {
        self.counts += counts;
        self.depth = self.depth.min(run.depth);
        self.open = self.open.min(run.open);
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.counts += other.counts;
        self.depth = self.depth.min(other.depth);
        self.open = self.open.min(other.open);
    }
}

/// Returns the part of a text that a run with these bytes before it has.
pub(super) const fn range(before: u32, run: &Run) -> Range<usize> {
    before as usize..(before + run.bytes) as usize
}
