//! Operations of clients that know only the JSON of a state.

use core::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    crdt::{MissingField, deserialize_present, required},
    element::ElementId,
    path::Path,
    restore::RestoreError,
    shared::MAX_OPERATIONS,
    text::well_formed,
    tree::TreeError,
};
use crate::json::Json;

/// The largest size of the values at the paths of the operations of one action, in bytes. Each is
/// read as a whole, except for the lists and texts that are changed at an index.
pub const MAX_READ: usize = 32 * 1024 * 1024;

/// An operation on the JSON that a state shows. [`Crdt::json_ops`](super::Crdt::json_ops) makes
/// operations of the state from it. A path is a JSON Pointer, in which the key of an item of a list
/// is its index or its name.
///
/// In JSON: `{"op":"set","path":"/title","value":"New"}`; see `spec/documents.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", try_from = "OpFields")]
pub enum JsonOp {
    /// Lets the state show a value at a path, by the smallest differences: a text is changed where
    /// it differs, the fields of an object and the items of a list one by one.
    Set {
        /// The path.
        path: Path,
        /// The value.
        value: Json,
    },
    /// Removes the value at a path: a field, or an item of a list.
    Delete {
        /// The path.
        path: Path,
    },
    /// Adds to the whole number at a path. Nothing counts as 0.
    Increment {
        /// The path of the number.
        path: Path,
        /// The increment; within ±2^53.
        by: i64,
    },
    /// Inserts items into a list, which is a new one where nothing is.
    Insert {
        /// The path of the list.
        path: Path,
        /// The index. `None`: the end.
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<usize>,
        /// The values of the items.
        values: Vec<Json>,
    },
    /// Removes items from a list.
    Remove {
        /// The path of the list.
        path: Path,
        /// The index of the first one.
        at: usize,
        /// Their number. Default: 1.
        count: usize,
    },
    /// Moves an item within its list.
    Move {
        /// The path of the list.
        path: Path,
        /// The index of the item.
        from: usize,
        /// Its index afterwards.
        to: usize,
    },
    /// Adds an element to a set, which is a new one where nothing is.
    Add {
        /// The path of the set.
        path: Path,
        /// The element.
        element: Arc<str>,
    },
    /// Removes an element from a set.
    Discard {
        /// The path of the set.
        path: Path,
        /// The element.
        element: Arc<str>,
    },
    /// Inserts characters into a text, which is a new one where nothing is.
    InsertText {
        /// The path of the text.
        path: Path,
        /// The index in UTF-16 code units. `None`: the end.
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<usize>,
        /// The characters.
        text: Arc<str>,
    },
    /// Removes characters from a text.
    RemoveText {
        /// The path of the text.
        path: Path,
        /// The index of the first one in UTF-16 code units.
        at: usize,
        /// Their number in UTF-16 code units.
        count: usize,
    },
    /// Creates a node of a tree, which is a new one where nothing is. The children of a removed
    /// node are removed with it: [`Delete`](Self::Delete) at the path of a node removes it.
    CreateNode {
        /// The path of the tree.
        path: Path,
        /// The parent. `None`: the node is at the top level.
        #[serde(skip_serializing_if = "Option::is_none")]
        parent: Option<ElementId>,
        /// The index among the children of the parent. `None`: the end.
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<usize>,
        /// The value.
        value: Json,
    },
    /// Moves a node of a tree with everything below it.
    MoveNode {
        /// The path of the tree.
        path: Path,
        /// The node.
        node: ElementId,
        /// The new parent. `None`: the node is at the top level.
        #[serde(skip_serializing_if = "Option::is_none")]
        parent: Option<ElementId>,
        /// The index among the children of the parent afterwards. `None`: the end.
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<usize>,
    },
}

impl JsonOp {
    /// Returns the path.
    pub const fn path(&self) -> &Path {
        match self {
            Self::Set { path, .. }
            | Self::Delete { path }
            | Self::Increment { path, .. }
            | Self::Insert { path, .. }
            | Self::Remove { path, .. }
            | Self::Move { path, .. }
            | Self::Add { path, .. }
            | Self::Discard { path, .. }
            | Self::InsertText { path, .. }
            | Self::RemoveText { path, .. }
            | Self::CreateNode { path, .. }
            | Self::MoveNode { path, .. } => path,
        }
    }
}

/// The fields of all [`JsonOp`]s. An enum with a tag could not keep the text of the value.
#[derive(Deserialize)]
struct OpFields {
    op: OpName,
    path: Path,
    #[serde(default, deserialize_with = "deserialize_present")]
    value: Option<Json>,
    by: Option<i64>,
    at: Option<usize>,
    values: Option<Vec<Json>>,
    count: Option<usize>,
    from: Option<usize>,
    to: Option<usize>,
    element: Option<Arc<str>>,
    text: Option<Json>,
    node: Option<ElementId>,
    parent: Option<ElementId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum OpName {
    Set,
    Delete,
    Increment,
    Insert,
    Remove,
    Move,
    Add,
    Discard,
    InsertText,
    RemoveText,
    CreateNode,
    MoveNode,
}

impl TryFrom<OpFields> for JsonOp {
    type Error = MissingField;

    fn try_from(fields: OpFields) -> Result<Self, MissingField> {
        let OpFields { path, at, count, .. } = fields;
        Ok(match fields.op {
            OpName::Set => Self::Set { path, value: required("value", fields.value)? },
            OpName::Delete => Self::Delete { path },
            OpName::Increment => Self::Increment { path, by: required("by", fields.by)? },
            OpName::Insert => Self::Insert { path, at, values: required("values", fields.values)? },
            OpName::Remove => {
                Self::Remove { path, at: required("at", at)?, count: count.unwrap_or(1) }
            }
            OpName::Move => Self::Move {
                path,
                from: required("from", fields.from)?,
                to: required("to", fields.to)?,
            },
            OpName::Add => Self::Add { path, element: required("element", fields.element)? },
            OpName::Discard => {
                Self::Discard { path, element: required("element", fields.element)? }
            }
            OpName::InsertText => {
                let text = fields.text.as_ref().and_then(well_formed);
                Self::InsertText { path, at, text: required("text", text)? }
            }
            OpName::RemoveText => {
                Self::RemoveText { path, at: required("at", at)?, count: required("count", count)? }
            }
            OpName::CreateNode => Self::CreateNode {
                path,
                parent: fields.parent,
                at,
                value: required("value", fields.value)?,
            },
            OpName::MoveNode => {
                let node = required("node", fields.node)?;
                Self::MoveNode { path, node, parent: fields.parent, at }
            }
        })
    }
}

/// The operations that [`Crdt::json_ops`](super::Crdt::json_ops) has made.
#[derive(Clone, Debug, PartialEq)]
pub struct MadeOps<O> {
    /// The operations, for one action. None, if the state shows what it should already.
    pub ops: Vec<O>,
    /// The paths of the values that the author has changed, with the names of items.
    pub paths: Vec<Path>,
}

/// The reason why no operations can be made of a [`JsonOp`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonOpError {
    /// States of this type are changed by their own operations only.
    Unsupported,
    /// One of the operations cannot be made.
    Op {
        /// The index of the operation.
        index: usize,
        /// The reason.
        fault: JsonOpFault,
    },
    /// The operations become more than [`MAX_OPERATIONS`] of the state.
    TooMany,
}

/// What is wrong with a [`JsonOp`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonOpFault {
    /// Nothing is at the path of this item or node.
    Missing(Path),
    /// Something else is at a path than what was expected.
    Mismatch {
        /// The path.
        path: Path,
        /// What was expected.
        expected: &'static str,
    },
    /// An index is larger than expected.
    OutOfBounds {
        /// The field of the operation.
        field: &'static str,
        /// Its largest value.
        max: usize,
    },
    /// An operation of the state exceeds a limit.
    Limit(RestoreError),
    /// A node of a tree cannot be created or moved.
    Tree(TreeError),
    /// The values at the paths of the operations have more than [`MAX_READ`] bytes in total.
    TooMuch,
}

impl fmt::Display for JsonOpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => {
                f.write_str("documents of this kind are changed by edits, and not by changes")
            }
            Self::Op { index, fault } => write!(f, "changes/{index}: {fault}"),
            Self::TooMany => {
                write!(f, "expected changes that become at most {MAX_OPERATIONS} operations")
            }
        }
    }
}

impl fmt::Display for JsonOpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "\"path\": nothing is at \"{path}\""),
            Self::Mismatch { path, expected } => {
                write!(f, "\"path\": expected {expected} at \"{path}\"")
            }
            Self::OutOfBounds { field, max } => {
                write!(f, "\"{field}\": expected a number of at most {max}")
            }
            Self::Limit(error) => error.fmt(f),
            Self::Tree(error) => error.fmt(f),
            Self::TooMuch => {
                write!(f, "expected values of at most {MAX_READ} bytes at all paths in total")
            }
        }
    }
}

impl core::error::Error for JsonOpError {}
