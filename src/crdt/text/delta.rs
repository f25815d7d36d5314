//! Changes of a text, as editors report and receive them.

use serde::{Deserialize, Serialize};

use super::{Text, TextError};
use crate::{
    action::{ActionId, NodeId, Stamp},
    crdt::sequence::{Change, Unit},
    time::WallTime,
};

/// The changes from one text to another, from the start to the end, as in the Delta format of the
/// editor Quill: `[{"retain":5},{"insert":", "},{"delete":1}]`. What follows the last item is
/// unchanged. Lengths are in the unit that it was made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Delta(pub Vec<DeltaItem>);

/// A step of a [`Delta`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeltaItem {
    /// Skips this length of the text.
    Retain(usize),
    /// Inserts a text.
    Insert(String),
    /// Deletes this length of the text.
    Delete(usize),
}

/// A replacement in a [`Delta`].
pub(super) struct Edit<'a> {
    pub(super) retained: usize,
    pub(super) deleted: usize,
    pub(super) inserted: &'a str,
}

impl Delta {
    /// Returns `true` if nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|item| matches!(item, DeltaItem::Retain(_)))
    }

    /// Adds an item, which is joined with the last one where possible. In a replacement, what is
    /// deleted comes after what is inserted.
    pub fn push(&mut self, item: DeltaItem) {
        match (self.0.last_mut(), item) {
            (_, DeltaItem::Retain(0) | DeltaItem::Delete(0)) => {}
            (Some(DeltaItem::Retain(len)), DeltaItem::Retain(more))
            | (Some(DeltaItem::Delete(len)), DeltaItem::Delete(more)) => {
                *len = len.saturating_add(more);
            }
            (Some(DeltaItem::Insert(text)), DeltaItem::Insert(more)) => text.push_str(&more),
            (Some(DeltaItem::Delete(_)), item @ DeltaItem::Insert(_)) => {
                let deleted = self.0.pop();
                self.push(item);
                self.0.extend(deleted);
            }
            (_, item) => self.0.push(item),
        }
    }

    /// Returns the replacements.
    pub(super) fn edits(&self) -> impl Iterator<Item = Edit<'_>> {
        let mut items = self.0.iter().peekable();
        core::iter::from_fn(move || {
            items.peek()?;
            let mut edit = Edit { retained: 0, deleted: 0, inserted: "" };
            while let Some(DeltaItem::Retain(len)) = items.peek() {
                edit.retained = edit.retained.saturating_add(*len);
                items.next();
            }
            while let Some(item) = items.peek() {
                match item {
                    DeltaItem::Insert(text) if edit.inserted.is_empty() => edit.inserted = text,
                    DeltaItem::Delete(len) => edit.deleted = edit.deleted.saturating_add(*len),
                    DeltaItem::Insert(_) | DeltaItem::Retain(_) => break,
                }
                items.next();
            }
            Some(edit)
        })
    }
}

impl Text {
    /// Makes the changes that an editor reports, in the editor's unit.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn apply_delta(
        &mut self,
        delta: &Delta,
        unit: Unit,
        stamp: &Stamp,
    ) -> Result<(), TextError> {
        self.apply_all(&self.delta_ops(delta, unit, stamp.id())?, stamp);
        Ok(())
    }

    /// Returns the changes from this state to a later or earlier one of the same text, for an
    /// editor. O(log n + changed parts) if one is a changed clone of the other; at most
    /// O(n log n).
    pub fn delta_to(&self, after: &Self, unit: Unit) -> Delta {
        let mut delta = Delta::default();
        self.sequence.compare(&after.sequence, unit, |change| {
            delta.push(match change {
                Change::Kept(len) => DeltaItem::Retain(len as usize),
                Change::Removed(len) => DeltaItem::Delete(len as usize),
                Change::Added(text) => DeltaItem::Insert(text.to_owned()),
            });
        });
        if let Some(DeltaItem::Retain(_)) = delta.0.last() {
            delta.0.pop();
        }
        delta
    }
}

/// Returns the length of a string.
pub(super) fn len(text: &str, unit: Unit) -> usize {
    match unit {
        Unit::Utf16 => text.encode_utf16().count(),
        Unit::Scalars => text.chars().count(),
        Unit::Bytes => text.len(),
    }
}

/// Returns a stamp for operations on a copy of a text.
pub(super) fn copy_stamp(author: &NodeId) -> Stamp {
    let time = WallTime::default();
    Stamp::new(time, ActionId::new(time, author.clone(), 0))
}
