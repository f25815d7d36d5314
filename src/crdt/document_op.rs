//! The operations on a document.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    counter::CounterOp,
    crdt::{MissingField, deserialize_present, required},
    list::{ListError, ListOp},
    map::MapOp,
    op_id::OpId,
    path::Path,
    position::Position,
    set::AddWinsOp,
};
use crate::json::Json;

/// An operation on a [`Document`](super::Document): one of a map, counter, set or list, with a
/// `path`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", try_from = "OpFields")]
pub enum DocumentOp {
    /// Writes a value at a path.
    Set {
        /// The path.
        path: Path,
        /// The value.
        value: Json,
    },
    /// Deletes the value at a path and everything below it.
    Delete {
        /// The path.
        path: Path,
    },
    /// Adds to a number.
    Increment {
        /// The path of the number.
        path: Path,
        /// The increment; within ±2^53.
        by: i64,
    },
    /// Adds an element to a set.
    Add {
        /// The path of the set.
        path: Path,
        /// The element.
        element: Arc<str>,
    },
    /// Removes the additions of an element that the author has seen. Made by
    /// [`Document::discard_op`](super::Document::discard_op).
    Discard {
        /// The path of the set.
        path: Path,
        /// The element.
        element: Arc<str>,
        /// The ids of the operations that added it.
        adds: Vec<OpId>,
    },
    /// Inserts an item into a list.
    Insert {
        /// The path of the list.
        path: Path,
        /// The position in the list.
        at: Position,
        /// The item's value.
        value: Json,
    },
    /// Moves an item within its list.
    Move {
        /// The path of the list.
        path: Path,
        /// The id of the item.
        item: OpId,
        /// The new position in the list.
        at: Position,
    },
    /// Removes an item from a list.
    Remove {
        /// The path of the list.
        path: Path,
        /// The id of the item.
        item: OpId,
    },
}

/// The fields of all [`DocumentOp`]s. An enum with a tag could not keep the text of the value.
#[derive(Deserialize)]
struct OpFields {
    op: OpName,
    path: Path,
    #[serde(default, deserialize_with = "deserialize_present")]
    value: Option<Json>,
    by: Option<i64>,
    element: Option<Arc<str>>,
    adds: Option<Vec<OpId>>,
    at: Option<Position>,
    item: Option<OpId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum OpName {
    Set,
    Delete,
    Increment,
    Add,
    Discard,
    Insert,
    Move,
    Remove,
}

impl TryFrom<OpFields> for DocumentOp {
    type Error = MissingField;

    fn try_from(fields: OpFields) -> Result<Self, MissingField> {
        let path = fields.path;
        let element = |element| required("element", element);
        Ok(match fields.op {
            OpName::Set => Self::Set { path, value: required("value", fields.value)? },
            OpName::Delete => Self::Delete { path },
            OpName::Increment => Self::Increment { path, by: required("by", fields.by)? },
            OpName::Add => Self::Add { path, element: element(fields.element)? },
            OpName::Discard => Self::Discard {
                path,
                element: element(fields.element)?,
                adds: required("adds", fields.adds)?,
            },
            OpName::Insert => Self::Insert {
                path,
                at: required("at", fields.at)?,
                value: required("value", fields.value)?,
            },
            OpName::Move => Self::Move {
                path,
                item: required("item", fields.item)?,
                at: required("at", fields.at)?,
            },
            OpName::Remove => Self::Remove { path, item: required("item", fields.item)? },
        })
    }
}

/// The operation of the part that a [`DocumentOp`] changes.
pub(super) enum Part {
    Value(MapOp),
    Counter(CounterOp),
    Set(AddWinsOp),
    List(ListOp),
}

impl DocumentOp {
    /// Returns the path of the value, counter, set or list.
    pub const fn path(&self) -> &Path {
        match self {
            Self::Set { path, .. }
            | Self::Delete { path }
            | Self::Increment { path, .. }
            | Self::Add { path, .. }
            | Self::Discard { path, .. }
            | Self::Insert { path, .. }
            | Self::Move { path, .. }
            | Self::Remove { path, .. } => path,
        }
    }

    pub(super) fn part(&self) -> Part {
        match self.clone() {
            Self::Set { path, value } => Part::Value(MapOp::Set { path, value }),
            Self::Delete { path } => Part::Value(MapOp::Delete { path }),
            Self::Increment { by, .. } => Part::Counter(CounterOp::Add { by }),
            Self::Add { element, .. } => Part::Set(AddWinsOp::Add { element }),
            Self::Discard { element, adds, .. } => Part::Set(AddWinsOp::Remove { element, adds }),
            Self::Insert { at, value, .. } => Part::List(ListOp::Insert { at, value }),
            Self::Move { item, at, .. } => Part::List(ListOp::Move { item, at }),
            Self::Remove { item, .. } => Part::List(ListOp::Remove { item }),
        }
    }

    /// Adds the path of the list to its operation. A new value of an item becomes a write at the
    /// item's own path.
    pub(super) fn from_list_op(path: &Path, op: ListOp) -> Result<Self, ListError> {
        let path = path.clone();
        Ok(match op {
            ListOp::Insert { at, value } => Self::Insert { path, at, value },
            ListOp::Move { item, at } => Self::Move { path, item, at },
            ListOp::Remove { item } => Self::Remove { path, item },
            ListOp::Set { item, value } => {
                Self::Set { path: path.join(&item.to_string()).map_err(ListError::Path)?, value }
            }
        })
    }
}
