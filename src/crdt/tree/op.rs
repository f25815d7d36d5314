//! The operations on a tree.

use serde::{Deserialize, Serialize};

use crate::{
    crdt::{
        crdt::{MissingField, deserialize_present, required},
        element::{ElementRef, MAX_COUNTER},
        path::Path,
    },
    json::Json,
    replay::Malformed,
};

/// An operation on a [`Tree`](super::Tree). Made by the tree's methods that end in `_op`.
///
/// - `{"op":"create","first":7,"parent":2,"after":5,"before":"@20:c:d 4","value":…}`: the node and
///   its place get the counter 7 of the author; `parent` is absent at the top level; `after` and
///   `before` are the places beside it among the children of the parent, also of nodes that are
///   not there any more, and absent at the start and the end
/// - `{"op":"move","item":"@20:c:d 3","first":8,"parent":2,"after":5}`: the node gets a new place,
///   which has the counter 8
/// - `{"op":"set","item":7,"value":…}`, `{"op":"set","item":7,"path":"/title","value":…}`
/// - `{"op":"delete","item":7,"path":"/title"}`
/// - `{"op":"remove","item":7}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", try_from = "OpFields")]
pub enum TreeOp {
    /// Creates a node.
    Create {
        /// The place of the node.
        #[serde(flatten)]
        place: TreePlace,
        /// The first value.
        value: Json,
    },
    /// Moves a node with everything below it.
    Move {
        /// The node.
        item: ElementRef,
        /// Its new place.
        #[serde(flatten)]
        place: TreePlace,
    },
    /// Writes the value of a node, or a field of it.
    Set {
        /// The node.
        item: ElementRef,
        /// The path of the field. Empty for the whole value.
        #[serde(skip_serializing_if = "is_root")]
        path: Path,
        /// The new value.
        value: Json,
    },
    /// Deletes a field of the value of a node.
    Delete {
        /// The node.
        item: ElementRef,
        /// The path of the field.
        path: Path,
    },
    /// Removes a node with everything below it.
    Remove {
        /// The node.
        item: ElementRef,
    },
}

/// A new place among the children of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TreePlace {
    /// The counter of the place: the number of elements that the author had inserted into the
    /// document before.
    pub first: u32,
    /// The parent. `None` for the top level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<ElementRef>,
    /// The place before it, of the same parent. `None` at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<ElementRef>,
    /// The place after it, of the same parent. `None` at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<ElementRef>,
}

fn is_root(path: &Path) -> bool {
    path.as_str().is_empty()
}

impl TreeOp {
    /// Checks what depends on the operation alone.
    pub(super) fn check(&self) -> Result<(), Malformed> {
        match self {
            Self::Create { place, .. } => place.check(None),
            Self::Move { item, place } => place.check(Some(item)),
            Self::Delete { path, .. } if is_root(path) => {
                Err(Malformed::new("expected the path of a field to delete, got an empty path"))
            }
            Self::Set { .. } | Self::Delete { .. } | Self::Remove { .. } => Ok(()),
        }
    }
}

impl TreePlace {
    fn check(&self, item: Option<&ElementRef>) -> Result<(), Malformed> {
        let Self { first, parent, after, before } = self;
        if *first >= MAX_COUNTER {
            return Err(Malformed::new(format!(
                "expected a counter of an element below {MAX_COUNTER}, got {first}"
            )));
        }
        for earlier in [item, parent.as_ref(), after.as_ref(), before.as_ref()] {
            if let Some(ElementRef::Own(counter)) = earlier
                && counter >= first
            {
                return Err(Malformed::new(format!(
                    "expected an earlier element in the operation of element {first}, \
                     got element {counter}"
                )));
            }
        }
        Ok(())
    }
}

/// The fields of all [`TreeOp`]s. An enum with a tag could not keep the text of the value.
#[derive(Deserialize)]
struct OpFields {
    op: OpName,
    item: Option<ElementRef>,
    first: Option<u32>,
    parent: Option<ElementRef>,
    after: Option<ElementRef>,
    before: Option<ElementRef>,
    path: Option<Path>,
    #[serde(default, deserialize_with = "deserialize_present")]
    value: Option<Json>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum OpName {
    Create,
    Move,
    Set,
    Delete,
    Remove,
}

impl TryFrom<OpFields> for TreeOp {
    type Error = MissingField;

    fn try_from(fields: OpFields) -> Result<Self, MissingField> {
        let OpFields { op, item, first, parent, after, before, path, value } = fields;
        let place = || Ok(TreePlace { first: required("first", first)?, parent, after, before });
        Ok(match op {
            OpName::Create => Self::Create { place: place()?, value: required("value", value)? },
            OpName::Move => Self::Move { item: required("item", item)?, place: place()? },
            OpName::Set => Self::Set {
                item: required("item", item)?,
                path: path.unwrap_or_else(Path::root),
                value: required("value", value)?,
            },
            OpName::Delete => {
                Self::Delete { item: required("item", item)?, path: required("path", path)? }
            }
            OpName::Remove => Self::Remove { item: required("item", item)? },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_round_trip() {
        for json in [
            r#"{"op":"create","first":7,"parent":2,"after":5,"before":"@20:c:d 4","value":{"a":1.0}}"#,
            r#"{"op":"create","first":0,"value":null}"#,
            r#"{"op":"move","item":"@20:c:d 3","first":8}"#,
            r#"{"op":"set","item":7,"value":null}"#,
            r#"{"op":"set","item":7,"path":"/title","value":"A"}"#,
            r#"{"op":"delete","item":7,"path":"/title"}"#,
            r#"{"op":"remove","item":7}"#,
        ] {
            let op: TreeOp = serde_json::from_str(json).unwrap();
            op.check().unwrap();
            assert_eq!(serde_json::to_string(&op).unwrap(), json);
        }
    }

    #[test]
    fn operations_on_later_elements_are_malformed() {
        for json in [
            r#"{"op":"create","first":7,"parent":7,"value":1}"#,
            r#"{"op":"create","first":7,"after":8,"value":1}"#,
            r#"{"op":"create","first":7,"before":7,"value":1}"#,
            r#"{"op":"create","first":4294967294,"value":1}"#,
            r#"{"op":"move","first":7,"item":7}"#,
            r#"{"op":"delete","item":7,"path":""}"#,
        ] {
            let op: TreeOp = serde_json::from_str(json).unwrap();
            assert!(op.check().is_err(), "{json}");
        }
        for json in [
            r#"{"op":"create","first":7}"#,
            r#"{"op":"move","item":7}"#,
            r#"{"op":"create","first":-1,"value":1}"#,
            r#"{"op":"set","item":"7","value":1}"#,
            r#"{"op":"delete","item":7}"#,
        ] {
            assert!(serde_json::from_str::<TreeOp>(json).is_err(), "{json}");
        }
    }
}
