//! What an operation may change, and what is at a path.

use super::{element::ElementId, path::Path};

/// The part of a state that an operation may change. What is outside keeps its value; the values
/// that contain the part change with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Touched {
    /// The value at a path, and everything in it.
    Value(Path),
    /// Some items of the list, or nodes of the tree, at a path: they are added or removed, and the
    /// others keep their values.
    Elements {
        /// The path of the list or tree.
        path: Path,
        /// The names of the items or nodes that may be new.
        added: Vec<ElementId>,
    },
}

impl Touched {
    /// Returns the path of the value that contains all that may change.
    pub const fn path(&self) -> &Path {
        match self {
            Self::Value(path) | Self::Elements { path, .. } => path,
        }
    }
}

/// What is at a path of a state, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueShape {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number, also one that is counted.
    Number,
    /// A string, also a text that is edited by characters.
    String,
    /// An array that is written as a whole, or a set.
    Array,
    /// An object.
    Object,
    /// An array whose items have names, and their number.
    List(usize),
    /// The array of the nodes of a tree.
    Tree,
}

impl ValueShape {
    /// Returns the shape of a JSON value.
    pub fn of(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }

    /// Returns the shape of the text of a JSON value.
    pub(super) fn of_text(text: &str) -> Self {
        match text.bytes().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::String,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'-' | b'0'..=b'9') => Self::Number,
            _ => Self::Null,
        }
    }

    /// Returns `true` if both have the same type, and lists are lists, and trees are trees.
    pub fn is_like(self, other: Self) -> bool {
        core::mem::discriminant(&self) == core::mem::discriminant(&other)
    }
}
