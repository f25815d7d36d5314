//! Text that several people edit at once.

mod anchor;
mod delta;
mod join;
mod op;
mod restore;
mod smallest_edits;

use core::{fmt, ops::Range};

use serde_json::Value;

pub use anchor::{Anchor, Selection};
pub use delta::{Delta, DeltaItem};
pub(super) use op::well_formed;
pub use op::{ElementRange, TextOp};

use super::{
    crdt::Crdt,
    element::{ElementRef, MAX_COUNTER},
    restore::RestoreError,
    saving::{LoadError, StateReader, StateWriter, base64::impl_serde, damaged},
    sequence::{Element, Insertion, Sequence, Standing, Unit},
};
use crate::{
    action::{NodeId, Stamp},
    replay::{Coverage, Malformed},
    time::WallTime,
};

/// A text, in which people insert and remove characters at once. What each of them types stays
/// together; see [`ElementId`](super::ElementId) for the names of the characters, and Weidner and
/// Kleppmann, "The Art of the Fugue" (2023), for their order.
///
/// An element is a Unicode scalar value. Indexes and lengths are in a [`Unit`] of the caller's
/// choice. An index inside of a character, such as between the halves of a surrogate pair, means
/// the place before the character. A lone surrogate in an operation is read as U+FFFD.
///
/// A removed character stays removed, until the removal is undone. Its place is kept for ever, so
/// that an [`Anchor`] finds it; a run of removed characters takes a few bytes.
///
/// Clones share their common structure. Edits are O(log n) for n runs: characters that one node has
/// inserted one after the other are one run.
///
/// ```
/// use logux::{Stamp, WallTime, crdt::{Text, Unit}};
///
/// let stamp = |id: &str| Stamp::new(WallTime::from_millis(1), id.parse().unwrap());
/// let mut text = Text::default();
/// text.insert(0, "Hello world", Unit::Utf16, &stamp("1 10:ada:x 0"))?;
/// text.replace(5..6, ", ", Unit::Utf16, &stamp("2 10:ada:x 0"))?;
/// assert_eq!(text.to_string(), "Hello, world");
/// # Ok::<(), logux::crdt::TextError>(())
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Text {
    sequence: Sequence,
    /// The stamp of the latest insertion.
    written: Option<Stamp>,
    /// The text is hidden if its latest insertion is not later: a write in the document has
    /// replaced it.
    floor: Option<Stamp>,
}

/// The maximum length of the text of an insertion, in bytes.
pub const MAX_INSERTION: usize = 16 << 20;

/// A change of a [`Text`], in Unicode scalar values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextChange {
    /// Characters were inserted.
    Inserted {
        /// The index of the first one.
        index: usize,
        /// Their number.
        len: usize,
    },
    /// Characters were removed.
    Removed {
        /// The index of the first one, after the changes before this one.
        index: usize,
        /// Their number.
        len: usize,
    },
}

/// Who has inserted a part of a [`Text`], and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorship<'a> {
    /// The part.
    pub range: Range<usize>,
    /// The author.
    pub author: &'a NodeId,
    /// The time of the insertion, rounded down to a minute.
    pub time: Option<WallTime>,
}

/// Reading.
impl Text {
    /// Returns the length. O(1).
    pub fn len(&self, unit: Unit) -> usize {
        self.sequence.text_len(unit) as usize
    }

    /// Returns `true` if there is no visible character.
    pub fn is_empty(&self) -> bool {
        self.sequence.len() == 0
    }

    /// Converts an index from one unit to another. An index inside of a character becomes that of
    /// the character, one after the end that of the end. O(log n).
    pub fn convert(&self, index: usize, from: Unit, to: Unit) -> usize {
        self.sequence.convert(saturated(index), from, to) as usize
    }

    /// Returns a part of the text. Indexes after the end count as the end. O(log n + length).
    pub fn slice(&self, range: Range<usize>, unit: Unit) -> String {
        let [start, end] = [range.start, range.end]
            .map(|index| self.sequence.convert(saturated(index), unit, Unit::Bytes));
        let mut text = String::with_capacity(end.saturating_sub(start) as usize);
        self.sequence.for_text(start..end.max(start), |part| text.push_str(part));
        text
    }

    /// Calls `part` with the parts of the text, in order, without a copy.
    pub fn for_each_part(&self, part: impl FnMut(&str)) {
        self.sequence.for_text(0..self.sequence.text_len(Unit::Bytes), part);
    }

    /// Returns the number of lines: that of the line breaks (`\n`), and 1. O(1).
    pub fn line_count(&self) -> usize {
        self.sequence.newlines() as usize + 1
    }

    /// Returns the number of the line with an index. The first line is 0. O(log n).
    pub fn line_at(&self, index: usize, unit: Unit) -> usize {
        self.sequence.newlines_before(saturated(index), unit) as usize
    }

    /// Returns the index at which a line begins. `None` if there are not so many lines. O(log n).
    pub fn line_start(&self, line: usize, unit: Unit) -> Option<usize> {
        self.sequence.after_newlines(u32::try_from(line).ok()?, unit).map(|index| index as usize)
    }

    /// Returns who has inserted which part, in order. O(n).
    pub fn authorship(&self, unit: Unit) -> Vec<Authorship<'_>> {
        let mut parts: Vec<Authorship<'_>> = Vec::new();
        self.sequence.for_authors(unit, |len, author, time| {
            let start = parts.last().map_or(0, |last| last.range.end);
            match parts.last_mut() {
                Some(last) if last.author == author && last.time == time => {
                    last.range.end += len as usize;
                }
                _ => parts.push(Authorship { range: start..start + len as usize, author, time }),
            }
        });
        parts
    }

    /// Returns the counter of the next character that a node inserts.
    pub fn next_counter(&self, author: &NodeId) -> u32 {
        self.sequence.next_counter(author)
    }
}

/// Making operations.
impl Text {
    /// Makes the operation by which `author` inserts a string at an index. O(log n).
    ///
    /// # Errors
    /// [`TextError`].
    pub fn insert_op(
        &self,
        index: usize,
        text: &str,
        unit: Unit,
        author: impl AsRef<NodeId>,
    ) -> Result<TextOp, TextError> {
        let author = author.as_ref();
        let index = self.scalar_index(index, unit)?;
        let first = self.sequence.next_counter(author);
        if text.len() > MAX_INSERTION || text.is_empty() {
            return Err(TextError::Length(text.len()));
        }
        if text.len() > (MAX_COUNTER - first) as usize {
            return Err(TextError::Full);
        }
        let (after, before) = self.sequence.origins(index);
        let refer = |element: Option<Element>| {
            element.map(|element| ElementRef::new(self.sequence.id(element), author))
        };
        Ok(TextOp::Insert { first, text: text.into(), after: refer(after), before: refer(before) })
    }

    /// Makes the operation by which `author` removes a part. `None` if the part is empty. O(runs of
    /// the part + log n).
    ///
    /// # Errors
    /// [`TextError`].
    pub fn remove_op(
        &self,
        range: Range<usize>,
        unit: Unit,
        author: impl AsRef<NodeId>,
    ) -> Result<Option<TextOp>, TextError> {
        let author = author.as_ref();
        let start = self.scalar_index(range.start, unit)?;
        let end = self.scalar_index(range.end, unit)?;
        if start >= end {
            return Ok(None);
        }
        let elements = self.sequence.visible_ranges(start..end.max(start));
        if elements.is_empty() {
            return Ok(None);
        }
        let elements = elements
            .into_iter()
            .map(|(first, len)| ElementRange {
                first: ElementRef::new(self.sequence.id(first), author),
                len,
            })
            .collect();
        Ok(Some(TextOp::Remove { elements }))
    }

    /// Makes the operations by which `author` replaces a part: at most a removal and an insertion.
    /// O(runs of the part + log n).
    ///
    /// # Errors
    /// [`TextError`].
    pub fn replace_ops(
        &self,
        range: Range<usize>,
        text: &str,
        unit: Unit,
        author: impl AsRef<NodeId>,
    ) -> Result<Vec<TextOp>, TextError> {
        let author = author.as_ref();
        let mut ops = Vec::new();
        ops.extend(self.remove_op(range.clone(), unit, author)?);
        if !text.is_empty() {
            ops.push(self.insert_op(range.start, text, unit, author)?);
        }
        Ok(ops)
    }

    /// Makes the operations by which `author` turns the text into another one: the smallest edits
    /// between them, so that what others write at the same time stays. Differences of more than
    /// some thousand characters are replaced as whole lines.
    ///
    /// # Errors
    /// [`TextError::Length`], [`TextError::Full`].
    pub fn set_ops(
        &self,
        text: &str,
        author: impl AsRef<NodeId>,
    ) -> Result<Vec<TextOp>, TextError> {
        self.delta_ops(&smallest_edits::between(&self.to_string(), text), Unit::Scalars, author)
    }

    /// Makes the operations of the changes that an editor reports, in the editor's unit.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn delta_ops(
        &self,
        delta: &Delta,
        unit: Unit,
        author: impl AsRef<NodeId>,
    ) -> Result<Vec<TextOp>, TextError> {
        let author = author.as_ref();
        let mut after = self.clone();
        let mut ops = Vec::new();
        let mut index = 0;
        // The operations are applied to a copy, whose effects need no real stamp.
        let stamp = delta::copy_stamp(author);
        for edit in delta.edits() {
            // Lengths come from outside; a sum that is too large is out of bounds.
            index = usize::saturating_add(index, edit.retained);
            let range = index..index.saturating_add(edit.deleted);
            for op in after.replace_ops(range, edit.inserted, unit, author)? {
                after.apply(&op, &stamp);
                ops.push(op);
            }
            index += delta::len(edit.inserted, unit);
        }
        Ok(ops)
    }

    fn scalar_index(&self, index: usize, unit: Unit) -> Result<u32, TextError> {
        let len = self.len(unit);
        if index > len {
            return Err(TextError::OutOfBounds { index, len, unit });
        }
        Ok(match unit {
            Unit::Scalars => saturated(index),
            unit => self.sequence.convert(saturated(index), unit, Unit::Scalars),
        })
    }
}

/// Changing.
impl Text {
    /// Inserts a string at an index. O(log n).
    ///
    /// # Errors
    /// [`TextError`].
    pub fn insert(
        &mut self,
        index: usize,
        text: &str,
        unit: Unit,
        stamp: &Stamp,
    ) -> Result<(), TextError> {
        let op = self.insert_op(index, text, unit, stamp.id().node())?;
        self.apply(&op, stamp);
        Ok(())
    }

    /// Removes a part. O(runs of the part · log n).
    ///
    /// # Errors
    /// [`TextError`].
    pub fn remove(
        &mut self,
        range: Range<usize>,
        unit: Unit,
        stamp: &Stamp,
    ) -> Result<(), TextError> {
        if let Some(op) = self.remove_op(range, unit, stamp.id().node())? {
            self.apply(&op, stamp);
        }
        Ok(())
    }

    /// Replaces a part. The operations have the next indexes of the stamp.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn replace(
        &mut self,
        range: Range<usize>,
        text: &str,
        unit: Unit,
        stamp: &Stamp,
    ) -> Result<(), TextError> {
        self.apply_all(&self.replace_ops(range, text, unit, stamp.id().node())?, stamp);
        Ok(())
    }

    /// Turns the text into another one by the smallest edits.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn set(&mut self, text: &str, stamp: &Stamp) -> Result<(), TextError> {
        self.apply_all(&self.set_ops(text, stamp.id().node())?, stamp);
        Ok(())
    }

    fn apply_all(&mut self, ops: &[TextOp], stamp: &Stamp) {
        for (index, op) in (stamp.operation()..).zip(ops) {
            self.apply(op, &stamp.of_operation(index));
        }
    }

    /// Hides the text, unless a later insertion shows it.
    pub(super) fn hide(&mut self, until: &Stamp) {
        if self.floor.as_ref().is_none_or(|floor| floor < until) {
            self.floor = Some(until.clone());
        }
    }

    /// Checks that an operation follows from the state, where `next` is the counter of the author's
    /// next element.
    pub(super) fn admit_from(
        &self,
        op: &TextOp,
        stamp: &Stamp,
        next: u32,
    ) -> Result<(), Malformed> {
        let author = stamp.id().node();
        match op {
            TextOp::Insert { first, after, before, .. } => {
                self.sequence.admit(*first, next, [after, before], author)
            }
            TextOp::Remove { elements } => elements
                .iter()
                .try_for_each(|range| self.sequence.admit_element(&range.first, author)),
        }
    }

    /// Removes all characters, and returns the operation by which `author` does so. For a copy.
    pub(super) fn clear(&mut self, author: &NodeId) -> Option<TextOp> {
        let op = self.remove_op(0..self.len(Unit::Scalars), Unit::Scalars, author).ok()??;
        self.apply(&op, &delta::copy_stamp(author));
        Some(op)
    }

    /// Returns `true` if anything is known, also what is not visible.
    pub(super) fn has_entries(&self) -> bool {
        self.written.is_some() || !self.sequence.is_untouched()
    }

    /// Returns `true` if something was inserted, and no later write in the document has replaced
    /// the text.
    pub(super) fn is_shown(&self) -> bool {
        self.written.is_some() && self.written > self.floor
    }

    fn insert_all(&mut self, op: &TextOp, stamp: &Stamp, standing: Standing) -> Option<TextEvent> {
        let TextOp::Insert { first, text, after, before } = op else { return None };
        let author = stamp.id().node();
        let insertion = Insertion {
            first: *first,
            len: scalars(text),
            text,
            after: after.as_ref().map(|after| after.parts(author)),
            before: before.as_ref().map(|before| before.parts(author)),
            standing,
        };
        let placed = self.sequence.insert(&insertion, stamp);
        let mut changes = Vec::new();
        for (first, len) in placed {
            self.sequence.for_visible(first, len, |index, len| {
                changes.push(TextChange::Inserted { index: index as usize, len: len as usize });
            });
        }
        Some(changes)
    }

    /// Checks the structure. For tests and fuzzers. O(n log n).
    ///
    /// # Panics
    /// If an invariant is violated.
    pub fn assert_invariants(&self) {
        self.sequence.assert_invariants();
    }
}

impl_serde!(Text);

/// The changes that an operation made, in order.
type TextEvent = Vec<TextChange>;

impl Crdt for Text {
    type Op = TextOp;
    type Event = TextEvent;
    type Part = ();

    const NAME: &'static str = "text";
    const VERSION: u32 = 1;

    fn check(op: &TextOp) -> Result<(), Malformed> {
        op.check()
    }

    fn admit(&self, op: &TextOp, stamp: &Stamp) -> Result<(), Malformed> {
        self.admit_from(op, stamp, self.next_counter(stamp.id().node()))
    }

    fn apply(&mut self, op: &TextOp, stamp: &Stamp) -> Option<TextEvent> {
        let changes = match op {
            TextOp::Insert { .. } => {
                if self.written.as_ref().is_none_or(|written| written < stamp) {
                    self.written = Some(stamp.clone());
                }
                self.insert_all(op, stamp, Standing::Visible)?
            }
            TextOp::Remove { elements } => {
                let mut changes = Vec::new();
                for ElementRange { first, len } in elements {
                    let first = first.parts(stamp.id().node());
                    self.sequence.remove(first, *len, &mut |index, len| {
                        changes
                            .push(TextChange::Removed { index: index as usize, len: len as usize });
                    });
                }
                changes
            }
        };
        (!changes.is_empty()).then_some(changes)
    }

    fn apply_undone(&mut self, op: &TextOp, stamp: &Stamp) {
        self.insert_all(op, stamp, Standing::Undone);
    }

    fn join(op: &mut TextOp, next: &TextOp) -> bool {
        op.join(next)
    }

    fn is_effective_at(&self, _: &TextOp, stamp: &Stamp) -> bool {
        self.floor.as_ref().is_none_or(|floor| floor < stamp)
    }

    fn to_json(&self) -> Value {
        Value::String(self.to_string())
    }

    fn diff(&self, after: &Self, part: &mut dyn FnMut(())) {
        if !self.delta_to(after, Unit::Scalars).is_empty() {
            part(());
        }
    }

    fn restore_ops(&self, target: &Self, author: &NodeId) -> Result<Vec<TextOp>, RestoreError> {
        Ok(self.ops_to(&target.to_string(), author)?)
    }

    fn settle(&mut self, _: &Coverage) {
        self.sequence.settle();
    }

    fn encode(&self, writer: &mut StateWriter) {
        writer.optional_stamp(self.written.as_ref());
        writer.optional_stamp(self.floor.as_ref());
        self.sequence.encode(writer);
    }

    fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        let (written, floor) = (reader.optional_stamp()?, reader.optional_stamp()?);
        let sequence = Sequence::decode(reader)?;
        if !sequence.has_text() {
            return Err(damaged("the text of the visible elements"));
        }
        Ok(Self { written, floor, sequence })
    }

    fn shift_times(&mut self, ms: i64) {
        self.sequence.shift_times(ms);
        self.written = self.written.as_ref().map(|written| written.shifted(ms));
        self.floor = self.floor.as_ref().map(|floor| floor.shifted(ms));
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut result = Ok(());
        self.for_each_part(|part| result = result.and_then(|()| f.write_str(part)));
        result
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

/// The reason why an operation on a [`Text`] cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextError {
    /// The index is out of bounds.
    OutOfBounds {
        /// The index.
        index: usize,
        /// The length of the text.
        len: usize,
        /// The unit of both.
        unit: Unit,
    },
    /// The inserted text is empty, or has more than [`MAX_INSERTION`] bytes: this number.
    Length(usize),
    /// The author has inserted [`MAX_COUNTER`] elements into the document.
    Full,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds { index, len, unit } => {
                write!(f, "index {index} is out of bounds of a text of length {len} ({unit:?})")
            }
            Self::Length(len) => {
                write!(f, "expected a text of 1 to {MAX_INSERTION} bytes, got {len} bytes")
            }
            Self::Full => write!(
                f,
                "this node has inserted {MAX_COUNTER} elements into the document; \
                 use a new node id"
            ),
        }
    }
}

impl core::error::Error for TextError {}

fn saturated(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Returns the number of scalar values.
fn scalars(text: &str) -> u32 {
    if text.len() == 1 { 1 } else { saturated(text.chars().count()) }
}
