//! The operations on a list.

use serde::{Deserialize, Serialize};

use crate::{
    crdt::{
        crdt::{MissingField, deserialize_present, required},
        element::ElementRef,
    },
    json::Json,
};

/// An operation on a [`List`](super::List). Made by the list's methods that end in `_op`.
///
/// - `{"op":"insert","first":7,"values":[…],"after":6,"before":"@20:c:d 4"}`: the items get the
///   counters from 7 on of the author; `after` and `before` are the places beside them, and absent
///   at the start and the end
/// - `{"op":"move","item":7,"first":9,"after":…,"before":…}`: the new place gets the counter 9
/// - `{"op":"set","item":"@20:c:d 4","value":…}`
/// - `{"op":"remove","item":7}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", try_from = "OpFields")]
pub enum ListOp {
    /// Inserts items.
    Insert {
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
    /// Moves an item.
    Move {
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
    /// Writes the value of an item.
    Set {
        /// The name of the item.
        item: ElementRef,
        /// The new value.
        value: Json,
    },
    /// Removes an item.
    Remove {
        /// The name of the item.
        item: ElementRef,
    },
}

/// The fields of all [`ListOp`]s. An enum with a tag could not keep the text of the value.
#[derive(Deserialize)]
struct OpFields {
    op: OpName,
    first: Option<u32>,
    values: Option<Vec<Json>>,
    item: Option<ElementRef>,
    after: Option<ElementRef>,
    before: Option<ElementRef>,
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

    fn try_from(fields: OpFields) -> Result<Self, MissingField> {
        let OpFields { op, first, values, item, after, before, value } = fields;
        Ok(match op {
            OpName::Insert => Self::Insert {
                first: required("first", first)?,
                values: required("values", values)?,
                after,
                before,
            },
            OpName::Move => Self::Move {
                item: required("item", item)?,
                first: required("first", first)?,
                after,
                before,
            },
            OpName::Set => {
                Self::Set { item: required("item", item)?, value: required("value", value)? }
            }
            OpName::Remove => Self::Remove { item: required("item", item)? },
        })
    }
}
