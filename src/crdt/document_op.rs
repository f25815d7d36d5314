//! The operations on a document.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    counter::CounterOp,
    crdt::{MissingField, deserialize_present, required},
    element::ElementRef,
    list::{ListError, ListOp},
    map::MapOp,
    op_id::OpId,
    path::Path,
    set::AddWinsOp,
    text::{ElementRange, TextOp, well_formed},
};
use crate::{action::NodeId, json::Json};

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
    /// Inserts items into a list.
    Insert {
        /// The path of the list.
        path: Path,
        /// The author's number of elements that it had inserted into the document before.
        first: u32,
        /// The values of the items.
        values: Vec<Json>,
        /// The place before them. `None` at the start.
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<ElementRef>,
        /// The place after them. `None` at the end.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<ElementRef>,
    },
    /// Moves an item within its list.
    Move {
        /// The path of the list.
        path: Path,
        /// The name of the item.
        item: ElementRef,
        /// The author's number of elements that it had inserted into the document before.
        first: u32,
        /// The place before the new one. `None` at the start.
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<ElementRef>,
        /// The place after the new one. `None` at the end.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<ElementRef>,
    },
    /// Removes an item from a list.
    Remove {
        /// The path of the list.
        path: Path,
        /// The name of the item.
        item: ElementRef,
    },
    /// Inserts characters into a text.
    InsertText {
        /// The path of the text.
        path: Path,
        /// The author's number of elements that it had inserted into the document before.
        first: u32,
        /// The characters.
        text: Arc<str>,
        /// The place before them. `None` at the start.
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<ElementRef>,
        /// The place after them. `None` at the end.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<ElementRef>,
    },
    /// Removes characters from a text.
    RemoveText {
        /// The path of the text.
        path: Path,
        /// The characters.
        elements: Vec<ElementRange>,
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
    first: Option<u32>,
    values: Option<Vec<Json>>,
    text: Option<Json>,
    after: Option<ElementRef>,
    before: Option<ElementRef>,
    item: Option<ElementRef>,
    elements: Option<Vec<ElementRange>>,
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
    InsertText,
    RemoveText,
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
                first: required("first", fields.first)?,
                values: required("values", fields.values)?,
                after: fields.after,
                before: fields.before,
            },
            OpName::Move => Self::Move {
                path,
                item: required("item", fields.item)?,
                first: required("first", fields.first)?,
                after: fields.after,
                before: fields.before,
            },
            OpName::Remove => Self::Remove { path, item: required("item", fields.item)? },
            OpName::InsertText => Self::InsertText {
                path,
                first: required("first", fields.first)?,
                text: required("text", fields.text.as_ref().and_then(well_formed))?,
                after: fields.after,
                before: fields.before,
            },
            OpName::RemoveText => {
                Self::RemoveText { path, elements: required("elements", fields.elements)? }
            }
        })
    }
}

/// The operation of the part that a [`DocumentOp`] changes.
pub(super) enum Part {
    Value(MapOp),
    Counter(CounterOp),
    Set(AddWinsOp),
    List(ListOp),
    Text(TextOp),
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
            | Self::Remove { path, .. }
            | Self::InsertText { path, .. }
            | Self::RemoveText { path, .. } => path,
        }
    }

    pub(super) fn part(&self) -> Part {
        match self.clone() {
            Self::Set { path, value } => Part::Value(MapOp::Set { path, value }),
            Self::Delete { path } => Part::Value(MapOp::Delete { path }),
            Self::Increment { by, .. } => Part::Counter(CounterOp::Add { by }),
            Self::Add { element, .. } => Part::Set(AddWinsOp::Add { element }),
            Self::Discard { element, adds, .. } => Part::Set(AddWinsOp::Remove { element, adds }),
            Self::Insert { first, values, after, before, .. } => {
                Part::List(ListOp::Insert { first, values, after, before })
            }
            Self::Move { item, first, after, before, .. } => {
                Part::List(ListOp::Move { item, first, after, before })
            }
            Self::Remove { item, .. } => Part::List(ListOp::Remove { item }),
            Self::InsertText { first, text, after, before, .. } => {
                Part::Text(TextOp::Insert { first, text, after, before })
            }
            Self::RemoveText { elements, .. } => Part::Text(TextOp::Remove { elements }),
        }
    }

    /// Returns the counter of the first element that the operation inserts, and their number.
    pub(super) fn new_elements(&self) -> Option<(u32, u32)> {
        match self {
            Self::Insert { first, values, .. } => {
                Some((*first, u32::try_from(values.len()).unwrap_or(u32::MAX)))
            }
            Self::Move { first, .. } => Some((*first, 1)),
            Self::InsertText { first, text, .. } => {
                Some((*first, u32::try_from(text.chars().count()).unwrap_or(u32::MAX)))
            }
            _ => None,
        }
    }

    /// Adds the path of the list to its operation. A new value of an item becomes a write at the
    /// item's own path.
    pub(super) fn from_list_op(
        path: &Path,
        op: ListOp,
        author: &NodeId,
        counters: Renumbering,
    ) -> Result<Self, ListError> {
        let path = path.clone();
        Ok(match op {
            ListOp::Insert { first, values, after, before } => {
                Self::Insert { path, first: counters.of(first), values, after, before }
            }
            ListOp::Move { item, first, after, before } => {
                Self::Move { path, item, first: counters.of(first), after, before }
            }
            ListOp::Remove { item } => Self::Remove { path, item },
            ListOp::Set { item, value } => {
                let key = item.id(author).to_string();
                Self::Set { path: path.join(&key).map_err(ListError::Path)?, value }
            }
        })
    }

    /// Adds the path of the text to its operation.
    pub(super) fn from_text_op(path: &Path, op: TextOp, counters: Renumbering) -> Self {
        let path = path.clone();
        let refer = |element: Option<ElementRef>| element.map(|element| counters.refer(element));
        match op {
            TextOp::Insert { first, text, after, before } => Self::InsertText {
                path,
                first: counters.of(first),
                text,
                after: refer(after),
                before: refer(before),
            },
            TextOp::Remove { elements } => {
                let elements = elements.into_iter().map(|ElementRange { first, len }| {
                    ElementRange { first: counters.refer(first), len }
                });
                Self::RemoveText { path, elements: elements.collect() }
            }
        }
    }
}

/// The counters of new elements in a document, of which a part knows only its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Renumbering {
    /// The first new counter in the part.
    pub(super) part: u32,
    /// The first new counter in the document.
    pub(super) document: u32,
}

impl Renumbering {
    fn of(self, counter: u32) -> u32 {
        counter.checked_sub(self.part).map_or(counter, |new| self.document.saturating_add(new))
    }

    fn refer(self, element: ElementRef) -> ElementRef {
        match element {
            ElementRef::Own(counter) => ElementRef::Own(self.of(counter)),
            ElementRef::Of(id) => ElementRef::Of(id),
        }
    }
}
