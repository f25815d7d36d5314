//! The shape of the value at a path, without the value.

use super::{Document, read::Reading};
use crate::crdt::{
    element::ElementId,
    path::{Path, items},
    touched::ValueShape,
    tree::TreeNode,
};
use serde_json::Value;

/// Reads only what is at the path.
pub(super) struct ShapeOnly;

impl Reading for ShapeOnly {
    type Found = ValueShape;

    fn built(&self, document: &Document, at: &Path, plain: Option<&str>) -> Option<ValueShape> {
        let shape = document.shape(at, plain);
        (plain.is_some() || shape != ValueShape::Null).then_some(shape)
    }

    fn node(&self, _: &Document, _: &Path, _: TreeNode<'_>) -> Option<ValueShape> {
        Some(ValueShape::Object)
    }

    fn value(&self, value: Value) -> ValueShape {
        ValueShape::of(&value)
    }
}

/// Reads whether the fields of the value at the path can be written one by one: it is an object,
/// and none of them is made of an element of an array that was written, which a later write to
/// another field removes.
struct HasOwnFields;

impl Reading for HasOwnFields {
    type Found = bool;

    fn built(&self, document: &Document, at: &Path, plain: Option<&str>) -> Option<bool> {
        let is_array = plain.is_some_and(|text| text.starts_with('['));
        Some(!is_array && document.shape(at, plain) == ValueShape::Object)
    }

    fn node(&self, _: &Document, _: &Path, _: TreeNode<'_>) -> Option<bool> {
        Some(true)
    }

    fn value(&self, value: Value) -> bool {
        value.is_object()
    }
}

/// Reads one item of the list, or node of the tree, at the path.
pub(super) struct ElementOnly<'a>(pub(super) &'a ElementId);

impl Reading for ElementOnly<'_> {
    type Found = Value;

    fn built(&self, document: &Document, at: &Path, _: Option<&str>) -> Option<Value> {
        if let Some(tree) = document.trees.shown(at.as_str()) {
            let node = tree.walk().find(|node| node.id().as_ref() == Some(self.0))?;
            return Some(document.build_node(at, node));
        }
        if document.texts.shown(at.as_str()).is_some() {
            return None;
        }
        let list = document.lists.shown(at.as_str())?;
        list.index_of(self.0)?;
        let item = list.item(self.0)?;
        Some(document.build_item(at, self.0, item))
    }

    fn node(&self, _: &Document, _: &Path, _: TreeNode<'_>) -> Option<Value> {
        None
    }

    fn value(&self, value: Value) -> Value {
        value
    }
}

impl Document {
    /// Returns the largest path at a path or above it that has only objects above it: what is in
    /// an item or node belongs to its list or tree. O(keys² · log n).
    pub(super) fn place_in_json(&self, path: &Path) -> Path {
        let text = path.as_str();
        let end = items(text).next().map_or(text.len(), |(above, _)| above.len());
        for (at, _) in text[..end].match_indices('/') {
            // A part of a path is a path.
            let Ok(above) = Path::new(&text[..at]) else { break };
            if self.read(&HasOwnFields, &above) != Some(true) {
                return above;
            }
        }
        Path::new(&text[..end]).unwrap_or_else(|_| Path::root())
    }

    /// Returns the shape of what [`build`](Self::build) makes. O(log n), plus the number of hidden
    /// entries below the path.
    fn shape(&self, at: &Path, plain: Option<&str>) -> ValueShape {
        if self.trees.shown(at.as_str()).is_some() {
            return ValueShape::Tree;
        }
        if self.texts.shown(at.as_str()).is_some() {
            return ValueShape::String;
        }
        if let Some(list) = self.lists.shown(at.as_str()) {
            return ValueShape::List(list.len());
        }
        // What is below turns the value into an object, in the order of `build`.
        if self.lists.is_shown_below(at)
            || self.trees.is_shown_below(at)
            || self.texts.is_shown_below(at)
            || self.sets.is_shown_below(at)
        {
            ValueShape::Object
        } else if self.sets.shown(at.as_str()).is_some() {
            ValueShape::Array
        } else if self.counters.is_shown_below(at) {
            ValueShape::Object
        } else if self.counters.shown(at.as_str()).is_some() {
            ValueShape::Number
        } else if self.values.has_below(at) {
            ValueShape::Object
        } else {
            plain.map_or(ValueShape::Null, ValueShape::of_text)
        }
    }
}
