//! The reasons why an operation on a tree cannot be made.

use core::fmt;

use super::MAX_TREE_DEPTH;
use crate::crdt::{
    element::{ElementId, MAX_COUNTER},
    path::PathError,
};

/// The reason why an operation on a [`Tree`](super::Tree) cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TreeError {
    /// The tree has no such node, or it is removed or below a removed node.
    NotFound(ElementId),
    /// The index is out of bounds of the children of a node.
    OutOfBounds {
        /// The index.
        index: usize,
        /// The largest index that is possible.
        max: usize,
    },
    /// The new parent is the node itself or below it.
    Cycle {
        /// The node.
        node: ElementId,
        /// The new parent.
        parent: ElementId,
    },
    /// The parent has [`MAX_TREE_DEPTH`] nodes above it.
    TooDeep {
        /// The parent.
        parent: ElementId,
    },
    /// The author has inserted as many elements as possible.
    Full,
    /// The path of the field to delete is empty.
    EmptyPath,
    /// The node cannot have a path in its document.
    Path(PathError),
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(node) => write!(f, "the tree has no node {node}"),
            Self::OutOfBounds { index, max } => {
                write!(f, "expected an index of at most {max}, got {index}")
            }
            Self::Cycle { node, parent } => {
                write!(f, "node {node} cannot be moved to {parent}, which is the node or below it")
            }
            Self::TooDeep { parent } => {
                write!(f, "node {parent} has {MAX_TREE_DEPTH} nodes above it, the maximum")
            }
            Self::Full => write!(f, "a node can insert {MAX_COUNTER} elements into a document"),
            Self::EmptyPath => {
                f.write_str("expected the path of a field to delete, got an empty path")
            }
            Self::Path(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for TreeError {}
