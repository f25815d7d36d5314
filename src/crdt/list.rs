//! Values in an order that many can change at once.

use core::fmt;
use std::sync::Arc;

use im::OrdMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    crdt::Crdt,
    map::diff_keys,
    path::PathError,
    position::{MAX_STEPS, Position},
    register::Register,
    sequence::Sequence,
};
use crate::{
    action::{ActionId, Stamp},
    replay::{Malformed, Obsolete},
    time::WallTime,
};

/// A list of values. Each item has a [`Position`] and a value, both last-write-wins registers, so a move is one operation, and an item that two people move
/// at the same time is in one place: Kleppmann, "Moving Elements in List CRDTs" (2020).
///
/// Items are named by the action that has put them in. A removed item stays removed, also when somebody moves or writes it at the same time; undo brings
/// it back. What comes before its item waits for it. A log forgets what was done to a removed item, but keeps the removal: the item may still come from
/// somebody who was away.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(from = "Saved", into = "Saved")]
pub struct List {
    items: OrdMap<ActionId, Arc<Item>>,
    order: Sequence<(Position, ActionId)>,
    /// What was put in up to here does not count: in a document, somebody has written over it.
    floor: Option<Stamp>,
}

/// One item of a [`List`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Item {
    #[serde(rename = "p", default, skip_serializing_if = "Register::is_empty")]
    place: Register<Position>,
    #[serde(rename = "v", default, skip_serializing_if = "Register::is_empty")]
    value: Register,
    /// When it was put in; `None` as long as the action that did it is not here.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    inserted: Option<WallTime>,
    /// The earliest removal.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    removed: Option<Stamp>,
}

/// What a list is saved as: the order follows from the items.
#[derive(Serialize, Deserialize)]
struct Saved(OrdMap<ActionId, Arc<Item>>, Option<Stamp>);

impl Item {
    /// The value.
    pub fn value(&self) -> &Value {
        self.value.get().map_or(&Value::Null, |value| value)
    }

    /// When the value was written.
    pub(super) const fn written(&self) -> Option<&Stamp> {
        self.value.stamp()
    }

    /// Its key in the order, if it can be seen.
    fn key(&self, id: &ActionId, floor: Option<&Stamp>) -> Option<(Position, ActionId)> {
        let inserted = self.inserted.filter(|_| self.removed.is_none())?;
        if floor.is_some_and(|floor| Stamp::new(inserted, id.clone()) <= *floor) {
            return None;
        }
        self.place.get().map(|place| (place.clone(), id.clone()))
    }
}

/// What can be done to a [`List`]. The methods of the list make them.
///
/// - `{"op":"insert","at":[[0,"1 10:a:b 0",0]],"value":…}`; the item is named by the action's id
/// - `{"op":"move","item":"1 10:a:b 0","at":[[0,"2 10:a:b 0",0]]}`
/// - `{"op":"set","item":"1 10:a:b 0","value":…}`
/// - `{"op":"remove","item":"1 10:a:b 0"}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase")]
pub enum ListOp {
    /// Put a new item in.
    Insert {
        /// Where.
        at: Position,
        /// Its value.
        value: Arc<Value>,
    },
    /// Put an item somewhere else.
    Move {
        /// Which.
        item: ActionId,
        /// Where.
        at: Position,
    },
    /// Give an item another value.
    Set {
        /// Which.
        item: ActionId,
        /// Its value.
        value: Arc<Value>,
    },
    /// Take an item out.
    Remove {
        /// Which.
        item: ActionId,
    },
}

/// What changed in a list. Indexes are those right after the change, of what was removed right before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListEvent {
    /// An item is there now.
    Inserted(usize, ActionId),
    /// An item is somewhere else.
    Moved {
        /// Where it was.
        from: usize,
        /// Where it is.
        to: usize,
    },
    /// An item has another value.
    Set(usize),
    /// An item is gone.
    Removed(usize, ActionId),
}

impl List {
    /// How many items there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at an index. O(log n).
    pub fn get(&self, index: usize) -> Option<&Value> {
        self.order.get(index).and_then(|(_, id)| self.items.get(id)).map(|item| item.value())
    }

    /// The name of the item at an index. O(log n).
    pub fn id_at(&self, index: usize) -> Option<&ActionId> {
        self.order.get(index).map(|(_, id)| id)
    }

    /// Where an item is. O(log n).
    pub fn index_of(&self, item: &ActionId) -> Option<usize> {
        let key = self.items.get(item)?.key(item, self.floor.as_ref())?;
        Some(self.order.index_of(&key))
    }

    /// The items in order.
    pub fn iter(&self) -> impl Iterator<Item = (&ActionId, &Item)> {
        self.order
            .iter()
            .filter_map(|(_, id)| self.items.get_key_value(id))
            .map(|(id, item)| (id, &**item))
    }

    /// The operation that puts a value in at an index; `id` is the id that its action will have. O(log n).
    ///
    /// # Errors
    /// [`ListError::OutOfBounds`]; [`ListError::TooNarrow`] where thousands of inserts by turns have used up the place: insert elsewhere and move, or
    /// move the neighbours.
    pub fn insert(&self, index: usize, value: Value, id: &ActionId) -> Result<ListOp, ListError> {
        Ok(ListOp::Insert { at: self.position(index, None, id)?, value: Arc::new(value) })
    }

    /// The operation that puts a value in at the end.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn push(&self, value: Value, id: &ActionId) -> Result<ListOp, ListError> {
        self.insert(self.len(), value, id)
    }

    /// The operation that moves the item at `from` so that it is at `to` afterwards; `id` is the id that its action will have. O(log n).
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn shift(&self, from: usize, to: usize, id: &ActionId) -> Result<ListOp, ListError> {
        let item = self.item_at(from)?;
        if to >= self.len() {
            return Err(ListError::OutOfBounds { index: to, len: self.len() });
        }
        Ok(ListOp::Move { at: self.position(to, Some(from), id)?, item })
    }

    /// The operation that gives the item at an index another value.
    ///
    /// # Errors
    /// [`ListError::OutOfBounds`].
    pub fn set(&self, index: usize, value: Value) -> Result<ListOp, ListError> {
        Ok(ListOp::Set { item: self.item_at(index)?, value: Arc::new(value) })
    }

    /// The operation that takes out the item at an index.
    ///
    /// # Errors
    /// [`ListError::OutOfBounds`].
    pub fn remove(&self, index: usize) -> Result<ListOp, ListError> {
        Ok(ListOp::Remove { item: self.item_at(index)? })
    }

    fn item_at(&self, index: usize) -> Result<ActionId, ListError> {
        self.id_at(index).cloned().ok_or(ListError::OutOfBounds { index, len: self.len() })
    }

    /// A place for what shall be at an index, when one item is looked away from.
    fn position(
        &self,
        index: usize,
        without: Option<usize>,
        id: &ActionId,
    ) -> Result<Position, ListError> {
        if index > self.len() {
            return Err(ListError::OutOfBounds { index, len: self.len() });
        }
        let at = |index: usize| {
            let skipped = without.is_some_and(|without| index >= without);
            self.order.get(index + usize::from(skipped)).map(|(place, _)| place)
        };
        let before = index.checked_sub(1).and_then(at);
        Position::between(before, at(index), id).ok_or(ListError::TooNarrow { index })
    }

    /// Changes an item, and its place in the order with it.
    fn change(
        &mut self,
        id: &ActionId,
        change: impl FnOnce(&mut Item) -> bool,
    ) -> Option<ListEvent> {
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

    /// Lets nothing count that was put in up to a place in the order.
    pub(super) fn hide(&mut self, until: &Stamp) {
        if self.floor.as_ref().is_none_or(|floor| floor < until) {
            *self = Saved(core::mem::take(&mut self.items), Some(until.clone())).into();
        }
    }

    /// All items there ever were.
    pub(super) fn known(&self) -> impl Iterator<Item = &ActionId> {
        self.items.keys()
    }

    /// Checks that the order is that of the items. For tests and fuzzers. O(n log n).
    ///
    /// # Panics
    /// When it is not.
    pub fn assert_invariants(&self) {
        let mut keys: Vec<_> =
            self.items.iter().filter_map(|(id, item)| item.key(id, self.floor.as_ref())).collect();
        keys.sort();
        assert!(
            self.order.iter().eq(keys.iter()),
            "the order has the visible items, sorted by place"
        );
    }
}

impl From<Saved> for List {
    fn from(Saved(items, floor): Saved) -> Self {
        let mut order = Sequence::default();
        items
            .iter()
            .filter_map(|(id, item)| item.key(id, floor.as_ref()))
            .for_each(|key| order.insert(key));
        Self { items, order, floor }
    }
}

impl From<List> for Saved {
    fn from(list: List) -> Self {
        Self(list.items, list.floor)
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
    type Part = ActionId;

    const NAME: &'static str = "list";
    const VERSION: u32 = 1;

    fn check(_: &ListOp) -> Result<(), Malformed> {
        Ok(())
    }

    fn apply(&mut self, op: &ListOp, stamp: &Stamp) -> Option<ListEvent> {
        match op {
            ListOp::Insert { at, value } => self.change(stamp.id(), |item| {
                let new = item.inserted.replace(stamp.time()).is_none();
                let placed = item.place.set(at.clone(), stamp).is_some();
                let written = item.value.set(value.clone(), stamp).is_some();
                new || placed || written
            }),
            ListOp::Move { item, at } => {
                self.change(item, |item| item.place.set(at.clone(), stamp).is_some())
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
        self.iter().map(|(_, item)| item.value().clone()).collect()
    }

    fn diff(&self, after: &Self, part: &mut dyn FnMut(ActionId)) {
        diff_keys(&self.items, &after.items, |id| part(id.clone()));
    }

    fn slots(op: &ListOp, stamp: &Stamp, slot: &mut dyn FnMut(Arc<str>)) {
        let (item, places, values) = match op {
            ListOp::Insert { .. } => (stamp.id(), true, true),
            ListOp::Move { item, .. } => (item, true, false),
            ListOp::Set { item, .. } => (item, false, true),
            ListOp::Remove { item } => (item, false, false),
        };
        for (is_about, what) in
            [(places, "place"), (values, "value"), (!places && !values, "removed")]
        {
            if is_about {
                slot(format!("{item}/{what}").into());
            }
        }
        if let ListOp::Insert { .. } = op {
            // Who moves or writes an item does not make it be there.
            slot(format!("{item}/inserted").into());
        }
    }

    fn obsolete(
        &self,
        op: &ListOp,
        stamp: &Stamp,
        settled: &dyn Fn(&Stamp) -> bool,
        tell: &mut dyn FnMut(Obsolete),
    ) {
        let id = match op {
            ListOp::Insert { .. } => stamp.id(),
            ListOp::Move { item, .. } | ListOp::Set { item, .. } | ListOp::Remove { item } => item,
        };
        let Some(item) = self.items.get(id) else { return };
        if let Some(removed) = item.removed.as_ref().filter(|removed| settled(removed)) {
            // Nothing is left to say about it, but that it is removed: the earliest removal says so.
            let latest =
                [item.place.stamp(), item.value.stamp(), Some(stamp)].into_iter().flatten().max();
            for what in ["place", "value", "inserted"] {
                let end = Stamp::new(WallTime::MAX, latest.unwrap_or(stamp).id().clone());
                tell(Obsolete::Before(format!("{id}/{what}").into(), end));
            }
            if stamp > removed && matches!(op, ListOp::Remove { .. }) {
                tell(Obsolete::One(format!("{id}/removed").into(), stamp.id().clone()));
            }
            return;
        }
        let mut before = |what: &str, last: Option<&Stamp>| {
            let last = last.filter(|last| settled(last)).unwrap_or(stamp);
            tell(Obsolete::Before(format!("{id}/{what}").into(), last.clone()));
        };
        if matches!(op, ListOp::Insert { .. } | ListOp::Move { .. }) {
            before("place", item.place.stamp());
        }
        if matches!(op, ListOp::Insert { .. } | ListOp::Set { .. }) {
            before("value", item.value.stamp());
        }
    }
}

/// Why an operation on a [`List`] cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListError {
    /// There is no such index.
    OutOfBounds {
        /// The index.
        index: usize,
        /// How many items there are.
        len: usize,
    },
    /// A position here would have more than [`MAX_STEPS`] steps.
    TooNarrow {
        /// The index.
        index: usize,
    },
    /// In a document: the item cannot have a path.
    Path(PathError),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds { index, len } => {
                write!(f, "index {index} is out of a list of {len} items")
            }
            Self::Path(error) => error.fmt(f),
            Self::TooNarrow { index } => {
                write!(
                    f,
                    "a position at index {index} would have more than {MAX_STEPS} steps; move a neighbour first"
                )
            }
        }
    }
}

impl core::error::Error for ListError {}
