//! Ordered values with concurrent insertions and moves.

use core::fmt;
use std::sync::{Arc, LazyLock};

use im::OrdMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    crdt::{Crdt, MissingField, deserialize_present, required},
    map::diff_keys,
    op_id::OpId,
    order_key::Sequence,
    path::PathError,
    position::{MAX_STEPS, Position},
    register::Register,
    saving::{LoadError, StateReader, StateWriter, base64::impl_serde},
};
use crate::{
    action::Stamp,
    json::Json,
    replay::{Coverage, Malformed},
    time::WallTime,
};

/// A list of values. Each item has a [`Position`] and a value, both last-write-wins registers, so a
/// move is one operation, and an item that is moved concurrently has one position: Kleppmann,
/// "Moving Elements in List CRDTs" (2020).
///
/// An item is identified by the id of the operation that inserted it. A removed item stays removed,
/// even if it is moved or written concurrently; an undo of the removal restores it until a snapshot
/// settles the removal. An operation on an item that was not inserted yet takes effect when the
/// item is inserted.
#[derive(Clone, Default)]
pub struct List {
    items: OrdMap<OpId, Arc<Item>>,
    order: Sequence<(Position, OpId)>,
    /// Items inserted up to this stamp are hidden: a write in the document has replaced them.
    floor: Option<Stamp>,
}

/// One item of a [`List`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    position: Register<Position>,
    value: Register,
    /// The meta time of the insertion; `None` until it is applied.
    inserted: Option<WallTime>,
    /// The stamp of the earliest removal.
    removed: Option<Stamp>,
}

/// The value of an item that has none.
static NULL: LazyLock<Json> = LazyLock::new(|| Value::Null.into());

impl Item {
    /// Returns the value.
    pub fn value(&self) -> &Json {
        self.value.get().unwrap_or(&NULL)
    }

    /// Returns the stamp of the last write of the value.
    pub(super) const fn written(&self) -> Option<&Stamp> {
        self.value.stamp()
    }

    /// Returns the item's key in the order if the item is visible.
    fn key(&self, id: &OpId, floor: Option<&Stamp>) -> Option<(Position, OpId)> {
        let inserted = self.inserted.filter(|_| self.removed.is_none())?;
        if floor.is_some_and(|floor| id.stamp(inserted) <= *floor) {
            return None;
        }
        self.position.get().map(|position| (position.clone(), id.clone()))
    }
}

/// An operation on a [`List`]. Made by the list's methods that end in `_op`.
///
/// - `{"op":"insert","at":[[0,"1 10:a:b 0",0]],"value":…}`; the id of the operation becomes the id
///   of the item
/// - `{"op":"move","item":"1 10:a:b 0","at":[[0,"2 10:a:b 0",0]]}`
/// - `{"op":"set","item":"1 10:a:b 0","value":…}`
/// - `{"op":"remove","item":"1 10:a:b 0"}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", try_from = "OpFields")]
pub enum ListOp {
    /// Inserts an item.
    Insert {
        /// The position.
        at: Position,
        /// The value.
        value: Json,
    },
    /// Moves an item.
    Move {
        /// The id of the item.
        item: OpId,
        /// The new position.
        at: Position,
    },
    /// Writes the value of an item.
    Set {
        /// The id of the item.
        item: OpId,
        /// The new value.
        value: Json,
    },
    /// Removes an item.
    Remove {
        /// The id of the item.
        item: OpId,
    },
}

/// The fields of all [`ListOp`]s. An enum with a tag could not keep the text of the value.
#[derive(Deserialize)]
struct OpFields {
    op: OpName,
    item: Option<OpId>,
    at: Option<Position>,
    #[serde(default, deserialize_with = "deserialize_present")]
    value: Option<Json>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum OpName {
    Insert,
    Move,
    Set,
    Remove,
}

impl TryFrom<OpFields> for ListOp {
    type Error = MissingField;

    fn try_from(OpFields { op, item, at, value }: OpFields) -> Result<Self, MissingField> {
        Ok(match op {
            OpName::Insert => {
                Self::Insert { at: required("at", at)?, value: required("value", value)? }
            }
            OpName::Move => Self::Move { item: required("item", item)?, at: required("at", at)? },
            OpName::Set => {
                Self::Set { item: required("item", item)?, value: required("value", value)? }
            }
            OpName::Remove => Self::Remove { item: required("item", item)? },
        })
    }
}

/// A change of a list. Indexes are those after the change; the index of a removed item, and `from`,
/// are those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListEvent {
    /// An item was inserted at an index.
    Inserted(usize, OpId),
    /// An item was moved.
    Moved {
        /// The previous index.
        from: usize,
        /// The new index.
        to: usize,
    },
    /// The item at an index has a new value.
    Set(usize),
    /// The item at an index was removed.
    Removed(usize, OpId),
}

impl List {
    /// Returns the list of these items. The order follows from the items.
    fn of(items: OrdMap<OpId, Arc<Item>>, floor: Option<Stamp>) -> Self {
        let mut order = Sequence::default();
        items
            .iter()
            .filter_map(|(id, item)| item.key(id, floor.as_ref()))
            .for_each(|key| order.insert(key));
        Self { items, order, floor }
    }

    /// Returns the number of items.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Returns `true` if the list has no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the value at an index. O(log n).
    pub fn get(&self, index: usize) -> Option<&Json> {
        self.order.get(index).and_then(|(_, id)| self.items.get(id)).map(|item| item.value())
    }

    /// Returns the id of the item at an index. O(log n).
    pub fn id_at(&self, index: usize) -> Option<&OpId> {
        self.order.get(index).map(|(_, id)| id)
    }

    /// Returns the index of an item. O(log n).
    pub fn index_of(&self, item: &OpId) -> Option<usize> {
        let key = self.items.get(item)?.key(item, self.floor.as_ref())?;
        Some(self.order.index_of(&key))
    }

    /// Returns the items with their ids, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&OpId, &Item)> {
        self.order
            .iter()
            .filter_map(|(_, id)| self.items.get_key_value(id))
            .map(|(id, item)| (id, &**item))
    }

    /// Makes the operation that inserts a value at an index; `id` is the id of the operation. O(log
    /// n).
    ///
    /// # Errors
    /// [`ListError::OutOfBounds`]; [`ListError::TooNarrow`] if thousands of alternating insertions
    /// have exhausted the gap: insert elsewhere, or move the neighbours first.
    pub fn insert_op(
        &self,
        index: usize,
        value: impl Into<Json>,
        id: impl Into<OpId>,
    ) -> Result<ListOp, ListError> {
        let at = self.position(index, None, &id.into())?;
        Ok(ListOp::Insert { at, value: value.into() })
    }

    /// Makes the operation that inserts a value at the end. O(log n).
    ///
    /// # Errors
    /// As [`insert_op`](Self::insert_op).
    pub fn push_op(
        &self,
        value: impl Into<Json>,
        id: impl Into<OpId>,
    ) -> Result<ListOp, ListError> {
        self.insert_op(self.len(), value, id)
    }

    /// Makes the operation that moves the item at `from`, so that its index is `to` afterwards;
    /// `id` is the id of the operation. O(log n).
    ///
    /// # Errors
    /// As [`insert_op`](Self::insert_op).
    pub fn move_op(
        &self,
        from: usize,
        to: usize,
        id: impl Into<OpId>,
    ) -> Result<ListOp, ListError> {
        let item = self.item_at(from)?;
        if to >= self.len() {
            return Err(ListError::OutOfBounds { index: to, len: self.len() });
        }
        Ok(ListOp::Move { at: self.position(to, Some(from), &id.into())?, item })
    }

    /// Makes the operation that writes the value of the item at an index. O(log n).
    ///
    /// # Errors
    /// [`ListError::OutOfBounds`].
    pub fn set_op(&self, index: usize, value: impl Into<Json>) -> Result<ListOp, ListError> {
        Ok(ListOp::Set { item: self.item_at(index)?, value: value.into() })
    }

    /// Makes the operation that removes the item at an index. O(log n).
    ///
    /// # Errors
    /// [`ListError::OutOfBounds`].
    pub fn remove_op(&self, index: usize) -> Result<ListOp, ListError> {
        Ok(ListOp::Remove { item: self.item_at(index)? })
    }

    fn item_at(&self, index: usize) -> Result<OpId, ListError> {
        self.id_at(index).cloned().ok_or(ListError::OutOfBounds { index, len: self.len() })
    }

    /// Makes a position for an item at an index of the list without the item at index `without`.
    fn position(
        &self,
        index: usize,
        without: Option<usize>,
        id: &OpId,
    ) -> Result<Position, ListError> {
        if index > self.len() {
            return Err(ListError::OutOfBounds { index, len: self.len() });
        }
        let at = |index: usize| {
            let skipped = without.is_some_and(|without| index >= without);
            self.order.get(index + usize::from(skipped)).map(|(position, _)| position)
        };
        let before = index.checked_sub(1).and_then(at);
        Position::between(before, at(index), id).ok_or(ListError::TooNarrow { index })
    }

    /// Changes an item and updates its key in the order. `change` returns whether it changed the
    /// item.
    fn change(&mut self, id: &OpId, change: impl FnOnce(&mut Item) -> bool) -> Option<ListEvent> {
        let floor = self.floor.as_ref();
        let (before, after) = if let Some(item) = self.items.get_mut(id) {
            let item = Arc::make_mut(item);
            let before = item.key(id, floor);
            if !change(item) {
                return None;
            }
            (before, item.key(id, floor))
        } else {
            let mut item = Item::default();
            if !change(&mut item) {
                return None;
            }
            let after = item.key(id, floor);
            self.items.insert(id.clone(), Arc::new(item));
            (None, after)
        };
        if before == after {
            return after.map(|key| ListEvent::Set(self.order.index_of(&key)));
        }
        let from = before.map(|key| {
            let index = self.order.index_of(&key);
            self.order.remove(&key);
            index
        });
        let to = after.map(|key| {
            self.order.insert(key.clone());
            self.order.index_of(&key)
        });
        match (from, to) {
            (Some(from), Some(to)) => Some(ListEvent::Moved { from, to }),
            (Some(from), None) => Some(ListEvent::Removed(from, id.clone())),
            (None, Some(to)) => Some(ListEvent::Inserted(to, id.clone())),
            (None, None) => None,
        }
    }

    /// Returns `true` if anything is known, also what is not visible.
    pub(super) fn has_entries(&self) -> bool {
        !self.items.is_empty()
    }

    /// Hides all items that were inserted up to a stamp. O(n log n) if the stamp is later than
    /// those of earlier calls.
    pub(super) fn hide(&mut self, until: &Stamp) {
        if self.floor.as_ref().is_none_or(|floor| floor < until) {
            *self = Self::of(core::mem::take(&mut self.items), Some(until.clone()));
        }
    }

    /// Returns the item with an id, if there is one.
    pub(super) fn item(&self, id: &OpId) -> Option<&Item> {
        self.items.get(id).map(|item| &**item)
    }

    /// Checks that the order contains the visible items. For tests and fuzzers. O(n log n).
    ///
    /// # Panics
    /// Panics if it does not.
    pub fn assert_invariants(&self) {
        let mut keys: Vec<_> =
            self.items.iter().filter_map(|(id, item)| item.key(id, self.floor.as_ref())).collect();
        keys.sort();
        assert!(
            self.order.iter().eq(keys.iter()),
            "the order contains the visible items, sorted by position"
        );
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.items == other.items && self.floor == other.floor
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(_, item)| item.value())).finish()
    }
}

impl Crdt for List {
    type Op = ListOp;
    type Event = ListEvent;
    type Part = OpId;

    const NAME: &'static str = "list";
    const VERSION: u32 = 2;

    fn check(_: &ListOp) -> Result<(), Malformed> {
        Ok(())
    }

    fn apply(&mut self, op: &ListOp, stamp: &Stamp) -> Option<ListEvent> {
        match op {
            ListOp::Insert { at, value } => self.change(&stamp.into(), |item| {
                let new = item.inserted.replace(stamp.time()).is_none();
                let placed = item.position.set(at.clone(), stamp).is_some();
                let written = item.value.set(value.clone(), stamp).is_some();
                new || placed || written
            }),
            ListOp::Move { item, at } => {
                self.change(item, |item| item.position.set(at.clone(), stamp).is_some())
            }
            ListOp::Set { item, value } => {
                self.change(item, |item| item.value.set(value.clone(), stamp).is_some())
            }
            ListOp::Remove { item } => self.change(item, |item| {
                let first = item.removed.as_ref().is_none_or(|removed| stamp < removed);
                if first {
                    item.removed = Some(stamp.clone());
                }
                first
            }),
        }
    }

    fn to_json(&self) -> Value {
        self.iter().map(|(_, item)| item.value().to_value()).collect()
    }

    fn diff(&self, after: &Self, part: &mut dyn FnMut(OpId)) {
        diff_keys(&self.items, &after.items, |id| part(id.clone()));
    }

    fn shift_times(&mut self, ms: i64) {
        let shifted = |(id, item): (&OpId, &Arc<Item>)| {
            let mut item = Item::clone(item);
            item.position.shift_time(ms);
            item.value.shift_time(ms);
            item.inserted = item.inserted.map(|time| time.shifted(ms));
            item.removed = item.removed.map(|stamp| stamp.shifted(ms));
            (id.clone(), Arc::new(item))
        };
        self.items = self.items.iter().map(shifted).collect();
        self.floor = self.floor.as_ref().map(|floor| floor.shifted(ms));
    }

    fn settle(&mut self, coverage: &Coverage) {
        // An item whose insertion cannot arrive any more, and is not visible now, never will be.
        let is_gone = |id: &OpId, item: &Item| {
            coverage.is_final(id.action()) && item.key(id, self.floor.as_ref()).is_none()
        };
        let gone: Vec<OpId> = self
            .items
            .iter()
            .filter(|(id, item)| is_gone(id, item))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.items.remove(&id);
        }
    }

    fn encode(&self, writer: &mut StateWriter) {
        writer.optional_stamp(self.floor.as_ref());
        writer.map(&self.items, |writer, id, item| {
            writer.op_id(id);
            item.position.encode_with(writer, |writer, position| position.encode(writer));
            item.value.encode_with(writer, StateWriter::json);
            writer.optional_stamp(item.inserted.map(|time| id.stamp(time)).as_ref());
            writer.optional_stamp(item.removed.as_ref());
        });
    }

    fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        let floor = reader.optional_stamp()?;
        let items = reader.map(|reader| {
            let id = reader.op_id()?;
            let item = Item {
                position: Register::decode_with(reader, Position::decode)?,
                value: Register::decode_with(reader, StateReader::json)?,
                inserted: reader.optional_stamp()?.map(|stamp| stamp.time()),
                removed: reader.optional_stamp()?,
            };
            Ok((id, Arc::new(item)))
        })?;
        Ok(Self::of(items, floor))
    }
}

impl_serde!(List);

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
    /// A position here would have more than [`MAX_STEPS`] steps.
    TooNarrow {
        /// The index.
        index: usize,
    },
    /// The item cannot have a path in its document.
    Path(PathError),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds { index, len } => {
                write!(f, "index {index} is out of bounds of a list of {len} items")
            }
            Self::Path(error) => error.fmt(f),
            Self::TooNarrow { index } => {
                write!(
                    f,
                    "a position at index {index} would have more than {MAX_STEPS} steps; \
                     move a neighbour first"
                )
            }
        }
    }
}

impl core::error::Error for ListError {}
