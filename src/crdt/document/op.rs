//! The operations on a document.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    action::NodeId,
    crdt::{
        counter::CounterOp,
        crdt::{MissingField, deserialize_present, required},
        element::{ElementId, ElementRef},
        list::{ListError, ListOp},
        map::MapOp,
        op_id::OpId,
        path::Path,
        set::AddWinsOp,
        text::{ElementRange, TextOp, well_formed},
        touched::Touched,
        tree::{TreeError, TreeOp, TreePlace},
    },
    json::Json,
};

/// An operation on a [`Document`](super::Document): one of a map, counter, set, list, text or tree,
/// with a `path`. What is in an item of a list, or in a node of a tree, has the path of the list or
/// tree and the name of the item or node: `/outline/@10:a:b 3/title`.
///
/// - `{"op":"set","path":"/title","value":…}`, `{"op":"delete","path":"/title"}`
/// - `{"op":"increment","path":"/likes","by":1}`
/// - `{"op":"add","path":"/tags","element":"a"}`,
///   `{"op":"discard","path":"/tags","element":"a","adds":["1 10:a:b 0"]}`
/// - `insert`, `move` and `remove` with the fields of [`ListOp`]
/// - `insertText` and `removeText` with the fields of [`TextOp`]
/// - `createNode`, `moveNode` and `removeNode` with the fields of [`TreeOp`]
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
    /// Creates a node of a tree.
    CreateNode {
        /// The path of the tree.
        path: Path,
        /// The place of the node.
        #[serde(flatten)]
        place: TreePlace,
        /// The first value.
        value: Json,
    },
    /// Moves a node of a tree with everything below it.
    MoveNode {
        /// The path of the tree.
        path: Path,
        /// The name of the node.
        item: ElementRef,
        /// Its new place.
        #[serde(flatten)]
        place: TreePlace,
    },
    /// Removes a node from a tree with everything below it.
    RemoveNode {
        /// The path of the tree.
        path: Path,
        /// The name of the node.
        item: ElementRef,
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
    parent: Option<ElementRef>,
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
    CreateNode,
    MoveNode,
    RemoveNode,
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
            OpName::CreateNode => Self::CreateNode {
                path,
                value: required("value", fields.value)?,
                place: tree_place(fields.first, [fields.parent, fields.after, fields.before])?,
            },
            OpName::MoveNode => Self::MoveNode {
                path,
                item: required("item", fields.item)?,
                place: tree_place(fields.first, [fields.parent, fields.after, fields.before])?,
            },
            OpName::RemoveNode => Self::RemoveNode { path, item: required("item", fields.item)? },
        })
    }
}

fn tree_place(
    first: Option<u32>,
    [parent, after, before]: [Option<ElementRef>; 3],
) -> Result<TreePlace, MissingField> {
    Ok(TreePlace { first: required("first", first)?, parent, after, before })
}

/// The operation of the part that a [`DocumentOp`] changes.
pub(super) enum PartOp {
    Value(MapOp),
    Counter(CounterOp),
    Set(AddWinsOp),
    List(ListOp),
    Text(TextOp),
    Tree(TreeOp),
}

impl DocumentOp {
    /// Returns the path of the value, counter, set, list, text or tree.
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
            | Self::RemoveText { path, .. }
            | Self::CreateNode { path, .. }
            | Self::MoveNode { path, .. }
            | Self::RemoveNode { path, .. } => path,
        }
    }

    pub(super) fn part(&self) -> PartOp {
        match self.clone() {
            Self::Set { path, value } => PartOp::Value(MapOp::Set { path, value }),
            Self::Delete { path } => PartOp::Value(MapOp::Delete { path }),
            Self::Increment { by, .. } => PartOp::Counter(CounterOp::Add { by }),
            Self::Add { element, .. } => PartOp::Set(AddWinsOp::Add { element }),
            Self::Discard { element, adds, .. } => PartOp::Set(AddWinsOp::Remove { element, adds }),
            Self::Insert { first, values, after, before, .. } => {
                PartOp::List(ListOp::Insert { first, values, after, before })
            }
            Self::Move { item, first, after, before, .. } => {
                PartOp::List(ListOp::Move { item, first, after, before })
            }
            Self::Remove { item, .. } => PartOp::List(ListOp::Remove { item }),
            Self::InsertText { first, text, after, before, .. } => {
                PartOp::Text(TextOp::Insert { first, text, after, before })
            }
            Self::RemoveText { elements, .. } => PartOp::Text(TextOp::Remove { elements }),
            Self::CreateNode { place, value, .. } => PartOp::Tree(TreeOp::Create { place, value }),
            Self::MoveNode { item, place, .. } => PartOp::Tree(TreeOp::Move { item, place }),
            Self::RemoveNode { item, .. } => PartOp::Tree(TreeOp::Remove { item }),
        }
    }

    /// Returns what the operation may change.
    pub(super) fn touched(&self, author: &NodeId) -> Touched {
        let path = self.path().clone();
        match self {
            Self::Insert { .. } | Self::CreateNode { .. } => {
                let (first, len) = self.new_elements().unwrap_or_default();
                let names = (first..first.saturating_add(len))
                    .map(|counter| ElementId::new(author.clone(), counter));
                Touched::Elements { path, added: names.collect() }
            }
            Self::Move { .. } | Self::Remove { .. } | Self::RemoveNode { .. } => {
                Touched::Elements { path, added: Vec::new() }
            }
            // A node that moves changes the depth of all below it.
            _ => Touched::Value(path),
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
            Self::CreateNode { place, .. } | Self::MoveNode { place, .. } => Some((place.first, 1)),
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

    /// Adds the path of the tree to its operation. A write in a node becomes a write at the path of
    /// the node.
    pub(super) fn from_tree_op(
        path: &Path,
        op: TreeOp,
        author: &NodeId,
        counters: Renumbering,
    ) -> Result<Self, TreeError> {
        let numbered = |place: TreePlace| TreePlace { first: counters.of(place.first), ..place };
        let within = |item: &ElementRef, field: &Path| {
            let node = path.join(&item.id(author).to_string());
            node.and_then(|node| node.append(field)).map_err(TreeError::Path)
        };
        Ok(match op {
            TreeOp::Create { place, value } => {
                Self::CreateNode { path: path.clone(), place: numbered(place), value }
            }
            TreeOp::Move { item, place } => {
                Self::MoveNode { path: path.clone(), item, place: numbered(place) }
            }
            TreeOp::Remove { item } => Self::RemoveNode { path: path.clone(), item },
            TreeOp::Set { item, path: field, value } => {
                Self::Set { path: within(&item, &field)?, value }
            }
            TreeOp::Delete { path: field, .. } if field == Path::root() => {
                return Err(TreeError::EmptyPath);
            }
            TreeOp::Delete { item, path: field } => Self::Delete { path: within(&item, &field)? },
        })
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
