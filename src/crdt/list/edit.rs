//! Making operations on a list, and applying them at once.

use core::fmt;

use super::{List, ListOp, MAX_ITEMS};
use crate::{
    action::{NodeId, Stamp},
    crdt::{
        crdt::Crdt,
        element::{ElementId, ElementRef, MAX_COUNTER},
        path::PathError,
        sequence::Element,
    },
    json::Json,
};

/// Making operations.
impl List {
    /// Makes the operation by which `author` inserts a value at an index. O(log n).
    ///
    /// # Errors
    /// [`ListError::OutOfBounds`], [`ListError::Full`].
    pub fn insert_op(
        &self,
        index: usize,
        value: impl Into<Json>,
        author: impl AsRef<NodeId>,
    ) -> Result<ListOp, ListError> {
        self.insert_all_op(index, vec![value.into()], author)
    }

    /// Makes the operation by which `author` inserts values at an index: 1 to [`MAX_ITEMS`]. O(log
    /// n + number of values).
    ///
    /// # Errors
    /// [`ListError::OutOfBounds`], [`ListError::Full`]; [`ListError::Count`] for a wrong number of
    /// values.
    pub fn insert_all_op(
        &self,
        index: usize,
        values: Vec<Json>,
        author: impl AsRef<NodeId>,
    ) -> Result<ListOp, ListError> {
        let author = author.as_ref();
        if values.is_empty() || values.len() > MAX_ITEMS {
            return Err(ListError::Count(values.len()));
        }
        let first = self.new_counter(values.len(), author)?;
        let (after, before) = self.origins(index, self.len(), author)?;
        Ok(ListOp::Insert { first, values, after, before })
    }

    /// Makes the operation by which `author` inserts a value at the end. O(log n).
    ///
    /// # Errors
    /// [`ListError::Full`].
    pub fn push_op(
        &self,
        value: impl Into<Json>,
        author: impl AsRef<NodeId>,
    ) -> Result<ListOp, ListError> {
        self.insert_op(self.len(), value, author)
    }

    /// Makes the operation by which `author` moves the item at `from`, so that its index is `to`
    /// afterwards. O(log n).
    ///
    /// # Errors
    /// [`ListError::OutOfBounds`], [`ListError::Full`].
    pub fn move_op(
        &self,
        from: usize,
        to: usize,
        author: impl AsRef<NodeId>,
    ) -> Result<ListOp, ListError> {
        let author = author.as_ref();
        let item = self.item_at(from)?;
        if to >= self.len() {
            return Err(ListError::OutOfBounds { index: to, len: self.len() });
        }
        let first = self.new_counter(1, author)?;
        let index = if to > from { to + 1 } else { to };
        let (after, before) = self.origins(index, self.len(), author)?;
        Ok(ListOp::Move { item: ElementRef::new(item, author), first, after, before })
    }

    /// Makes the operation by which `author` writes the value of the item at an index. O(log n).
    ///
    /// # Errors
    /// [`ListError::OutOfBounds`].
    pub fn set_op(
        &self,
        index: usize,
        value: impl Into<Json>,
        author: impl AsRef<NodeId>,
    ) -> Result<ListOp, ListError> {
        let item = ElementRef::new(self.item_at(index)?, author.as_ref());
        Ok(ListOp::Set { item, value: value.into() })
    }

    /// Makes the operation by which `author` removes the item at an index. O(log n).
    ///
    /// # Errors
    /// [`ListError::OutOfBounds`].
    pub fn remove_op(&self, index: usize, author: impl AsRef<NodeId>) -> Result<ListOp, ListError> {
        Ok(ListOp::Remove { item: ElementRef::new(self.item_at(index)?, author.as_ref()) })
    }

    fn item_at(&self, index: usize) -> Result<ElementId, ListError> {
        self.id_at(index).ok_or(ListError::OutOfBounds { index, len: self.len() })
    }

    fn new_counter(&self, count: usize, author: &NodeId) -> Result<u32, ListError> {
        let first = self.sequence.next_counter(author);
        if count > (MAX_COUNTER - first) as usize { Err(ListError::Full) } else { Ok(first) }
    }

    fn origins(
        &self,
        index: usize,
        len: usize,
        author: &NodeId,
    ) -> Result<(Option<ElementRef>, Option<ElementRef>), ListError> {
        if index > len {
            return Err(ListError::OutOfBounds { index, len });
        }
        // The index is at most the number of elements, which has 32 bits.
        let (after, before) = self.sequence.origins(u32::try_from(index).unwrap_or(u32::MAX));
        let refer = |place: Option<Element>| {
            place.map(|place| ElementRef::new(self.sequence.id(place), author))
        };
        Ok((refer(after), refer(before)))
    }
}

/// Changing.
impl List {
    /// Inserts a value at an index. O(log n).
    ///
    /// # Errors
    /// As [`insert_op`](Self::insert_op).
    pub fn insert(
        &mut self,
        index: usize,
        value: impl Into<Json>,
        stamp: &Stamp,
    ) -> Result<(), ListError> {
        self.change(stamp, |list, author| list.insert_op(index, value, author))
    }

    /// Inserts values at an index: 1 to [`MAX_ITEMS`]. O(log n + number of values).
    ///
    /// # Errors
    /// As [`insert_all_op`](Self::insert_all_op).
    pub fn insert_all(
        &mut self,
        index: usize,
        values: Vec<Json>,
        stamp: &Stamp,
    ) -> Result<(), ListError> {
        self.change(stamp, |list, author| list.insert_all_op(index, values, author))
    }

    /// Inserts a value at the end. O(log n).
    ///
    /// # Errors
    /// As [`push_op`](Self::push_op).
    pub fn push(&mut self, value: impl Into<Json>, stamp: &Stamp) -> Result<(), ListError> {
        self.change(stamp, |list, author| list.push_op(value, author))
    }

    /// Moves the item at `from`, so that its index is `to` afterwards. O(log n).
    ///
    /// # Errors
    /// As [`move_op`](Self::move_op).
    pub fn move_item(&mut self, from: usize, to: usize, stamp: &Stamp) -> Result<(), ListError> {
        self.change(stamp, |list, author| list.move_op(from, to, author))
    }

    /// Writes the value of the item at an index. O(log n).
    ///
    /// # Errors
    /// As [`set_op`](Self::set_op).
    pub fn set(
        &mut self,
        index: usize,
        value: impl Into<Json>,
        stamp: &Stamp,
    ) -> Result<(), ListError> {
        self.change(stamp, |list, author| list.set_op(index, value, author))
    }

    /// Removes the item at an index. O(log n).
    ///
    /// # Errors
    /// As [`remove_op`](Self::remove_op).
    pub fn remove(&mut self, index: usize, stamp: &Stamp) -> Result<(), ListError> {
        self.change(stamp, |list, author| list.remove_op(index, author))
    }

    fn change(
        &mut self,
        stamp: &Stamp,
        make: impl FnOnce(&Self, &NodeId) -> Result<ListOp, ListError>,
    ) -> Result<(), ListError> {
        let op = make(self, stamp.id().node())?;
        self.apply(&op, stamp);
        Ok(())
    }
}

/// The reason why an operation on a [`List`] cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListError {
    /// The index is out of bounds.
    OutOfBounds {
        /// The index.
        index: usize,
        /// The number of items.
        len: usize,
    },
    /// An operation inserts 1 to [`MAX_ITEMS`] items, not this number.
    Count(usize),
    /// The author has inserted [`MAX_COUNTER`] elements into the document.
    Full,
    /// The item cannot have a path in its document.
    Path(PathError),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds { index, len } => {
                write!(f, "index {index} is out of bounds of a list of {len} items")
            }
            Self::Count(count) => write!(f, "expected 1 to {MAX_ITEMS} values, got {count}"),
            Self::Full => write!(
                f,
                "this node has inserted {MAX_COUNTER} elements into the document; \
                 use a new node id"
            ),
            Self::Path(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ListError {}
