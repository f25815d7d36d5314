//! Places that stay with their character.

use serde::{Deserialize, Serialize};

use super::{Text, TextError};
use crate::crdt::{element::ElementId, sequence::Unit};

/// A place in a [`Text`] that stays beside its character, whatever is inserted, removed, undone or
/// settled: a cursor, the end of a comment's range. The side decides to which character the place
/// belongs when something is inserted just there.
///
/// JSON: `{"after":"@10:a:b 7"}`, `{"before":"@10:a:b 8"}`; `{"after":null}` is the start of the
/// text, and `{"before":null}` the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Anchor {
    /// After a character, or at the start: what is inserted here comes after the place.
    After(Option<ElementId>),
    /// Before a character, or at the end: what is inserted here comes before the place.
    Before(Option<ElementId>),
}

/// What a user has selected: the place where the selection began, and the one where the cursor is.
/// JSON: `{"anchor":{…},"head":{…}}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Selection {
    /// Where the selection began.
    pub anchor: Anchor,
    /// Where the cursor is.
    pub head: Anchor,
}

impl Text {
    /// Returns the place after the character before an index: what is inserted at the index comes
    /// after it. O(log n).
    ///
    /// # Errors
    /// [`TextError::OutOfBounds`].
    pub fn anchor_after(&self, index: usize, unit: Unit) -> Result<Anchor, TextError> {
        let index = self.scalar_index(index, unit)?;
        let element = index.checked_sub(1).and_then(|index| self.sequence.at(index));
        Ok(Anchor::After(element.map(|element| self.sequence.id(element))))
    }

    /// Returns the place before the character at an index: what is inserted at the index comes
    /// before it. O(log n).
    ///
    /// # Errors
    /// [`TextError::OutOfBounds`].
    pub fn anchor_before(&self, index: usize, unit: Unit) -> Result<Anchor, TextError> {
        let element = self.sequence.at(self.scalar_index(index, unit)?);
        Ok(Anchor::Before(element.map(|element| self.sequence.id(element))))
    }

    /// Returns the index of a place. The place beside a character that was removed, or whose
    /// insertion is undone, is where it was. `None` if the character has not arrived; a refused one
    /// arrives at no device but its author's. O(log n).
    pub fn anchor_index(&self, anchor: &Anchor, unit: Unit) -> Option<usize> {
        let index = match anchor {
            Anchor::After(None) => 0,
            Anchor::Before(None) => return Some(self.len(unit)),
            Anchor::After(Some(id)) => {
                let (index, is_visible) = self.sequence.index_of(self.sequence.element(id)?)?;
                index + u32::from(is_visible)
            }
            Anchor::Before(Some(id)) => self.sequence.index_of(self.sequence.element(id)?)?.0,
        };
        Some(self.sequence.convert(index, Unit::Scalars, unit) as usize)
    }
}
