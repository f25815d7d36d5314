//! Making operations on a document, and applying them at once.

use std::{borrow::Cow, sync::Arc};

use super::{
    Document, DocumentOp,
    op::Renumbering,
    parts::{Part, Parts},
};
use crate::{
    action::{NodeId, Stamp},
    crdt::{
        crdt::Crdt,
        list::{List, ListError, ListOp},
        path::Path,
        set::AddWinsOp,
        text::{Text, TextError, TextOp},
        tree::{Tree, TreeError, TreeOp},
    },
    json::Json,
};

/// Making operations.
impl Document {
    /// Makes the operation that writes a value at a path.
    pub fn set_op(&self, path: &Path, value: impl Into<Json>) -> DocumentOp {
        DocumentOp::Set { path: path.clone(), value: value.into() }
    }

    /// Makes the operation that deletes the value at a path and everything below it.
    pub fn delete_op(&self, path: &Path) -> DocumentOp {
        DocumentOp::Delete { path: path.clone() }
    }

    /// Makes the operation that adds to the number at a path; within ±2^53.
    pub fn increment_op(&self, path: &Path, by: i64) -> DocumentOp {
        DocumentOp::Increment { path: path.clone(), by }
    }

    /// Makes the operation that adds an element to the set at a path.
    pub fn add_op(&self, path: &Path, element: impl Into<Arc<str>>) -> DocumentOp {
        DocumentOp::Add { path: path.clone(), element: element.into() }
    }

    /// Makes the operation that removes an element from the set at a path: at most 10,000 of its
    /// additions in this state.
    pub fn discard_op(&self, path: &Path, element: impl Into<Arc<str>>) -> DocumentOp {
        let element = element.into();
        let adds = match self.sets.get(path.as_str()).map(|set| set.remove_op(element.clone())) {
            Some(AddWinsOp::Remove { adds, .. }) => adds,
            _ => Vec::new(),
        };
        DocumentOp::Discard { path: path.clone(), element, adds }
    }

    /// Makes an operation of `author` on the list at a path: `make` receives this [`List`], or an
    /// empty one, and returns the operation of the list.
    ///
    /// # Errors
    /// The error of `make`; [`ListError::Path`] for an item in lists that are nested too deeply for
    /// it to have a path.
    pub fn list_op(
        &self,
        path: &Path,
        author: impl AsRef<NodeId>,
        make: impl FnOnce(&List) -> Result<ListOp, ListError>,
    ) -> Result<DocumentOp, ListError> {
        let author = author.as_ref();
        let none = List::default();
        let list = self.lists.get(path.as_str()).unwrap_or(&none);
        let counters = self.renumbering(list.next_counter(author), author);
        DocumentOp::from_list_op(path, make(list)?, author, counters)
    }

    /// Makes operations of `author` on the text at a path: `make` receives this [`Text`], or an
    /// empty one, and returns the operations of the text. A text that a write has replaced is empty
    /// too; the operations then remove the old characters.
    ///
    /// # Errors
    /// The error of `make`.
    pub fn text_ops(
        &self,
        path: &Path,
        author: impl AsRef<NodeId>,
        make: impl FnOnce(&Text) -> Result<Vec<TextOp>, TextError>,
    ) -> Result<Vec<DocumentOp>, TextError> {
        let author = author.as_ref();
        let mut old = Vec::new();
        let text = shown_or_new(&self.texts, path, |text| old.extend(text.clear(author)));
        let counters = self.renumbering(text.next_counter(author), author);
        let ops = old.into_iter().chain(make(&text)?);
        Ok(ops.map(|op| DocumentOp::from_text_op(path, op, counters)).collect())
    }

    /// Makes operations of `author` on the tree at a path: `make` receives this [`Tree`], or an
    /// empty one, and returns the operation of the tree. A tree that a write has replaced is empty
    /// too; the operations then remove the old nodes of the top level, before the last one, which
    /// is that of `make`. A write of a value, or of a field, becomes a
    /// [`Set`](DocumentOp::Set) or [`Delete`](DocumentOp::Delete) at the path of the node.
    ///
    /// An action has at most [`MAX_OPERATIONS`](crate::crdt::MAX_OPERATIONS), so a new tree cannot
    /// begin in one action at the path of a replaced one that had as many nodes at the top level.
    ///
    /// # Errors
    /// The error of `make`; [`TreeError::Path`] for a field in a node that has no path, because it
    /// would be too long.
    pub fn tree_ops(
        &self,
        path: &Path,
        author: impl AsRef<NodeId>,
        make: impl FnOnce(&Tree) -> Result<TreeOp, TreeError>,
    ) -> Result<Vec<DocumentOp>, TreeError> {
        let author = author.as_ref();
        let mut old = Vec::new();
        let tree = shown_or_new(&self.trees, path, |tree| old = tree.clear(author));
        let counters = self.renumbering(tree.next_counter(author), author);
        let ops = old.into_iter().chain([make(&tree)?]);
        ops.map(|op| DocumentOp::from_tree_op(path, op, author, counters)).collect()
    }

    fn renumbering(&self, part: u32, author: &NodeId) -> Renumbering {
        Renumbering { part, document: self.next_counter(author).max(part) }
    }
}

/// Changing. Operations after the first one have the next indexes of the stamp.
impl Document {
    /// Writes a value at a path. Returns `false` if a later write at the path or above it wins.
    pub fn set(&mut self, path: &Path, value: impl Into<Json>, stamp: &Stamp) -> bool {
        self.apply(&self.set_op(path, value), stamp).is_some()
    }

    /// Deletes the value at a path and everything below it. Returns `false` if a later write at the
    /// path or above it wins.
    pub fn delete(&mut self, path: &Path, stamp: &Stamp) -> bool {
        self.apply(&self.delete_op(path), stamp).is_some()
    }

    /// Adds to the number at a path; within ±2^53.
    pub fn increment(&mut self, path: &Path, by: i64, stamp: &Stamp) {
        self.apply(&self.increment_op(path, by), stamp);
    }

    /// Adds an element to the set at a path.
    pub fn add(&mut self, path: &Path, element: impl Into<Arc<str>>, stamp: &Stamp) {
        self.apply(&self.add_op(path, element), stamp);
    }

    /// Removes an element from the set at a path: at most 10,000 of its additions.
    pub fn discard(&mut self, path: &Path, element: impl Into<Arc<str>>, stamp: &Stamp) {
        self.apply(&self.discard_op(path, element), stamp);
    }

    /// Changes the list at a path by the operation that `make` returns.
    ///
    /// # Errors
    /// As [`list_op`](Self::list_op).
    pub fn edit_list(
        &mut self,
        path: &Path,
        stamp: &Stamp,
        make: impl FnOnce(&List) -> Result<ListOp, ListError>,
    ) -> Result<(), ListError> {
        let op = self.list_op(path, stamp.id(), make)?;
        self.apply(&op, stamp);
        Ok(())
    }

    /// Changes the text at a path by the operations that `make` returns.
    ///
    /// # Errors
    /// As [`text_ops`](Self::text_ops).
    pub fn edit_text(
        &mut self,
        path: &Path,
        stamp: &Stamp,
        make: impl FnOnce(&Text) -> Result<Vec<TextOp>, TextError>,
    ) -> Result<(), TextError> {
        let ops = self.text_ops(path, stamp.id(), make)?;
        self.apply_all(&ops, stamp);
        Ok(())
    }

    /// Changes the tree at a path by the operation that `make` returns.
    ///
    /// # Errors
    /// As [`tree_ops`](Self::tree_ops).
    pub fn edit_tree(
        &mut self,
        path: &Path,
        stamp: &Stamp,
        make: impl FnOnce(&Tree) -> Result<TreeOp, TreeError>,
    ) -> Result<(), TreeError> {
        let ops = self.tree_ops(path, stamp.id(), make)?;
        self.apply_all(&ops, stamp);
        Ok(())
    }

    fn apply_all(&mut self, ops: &[DocumentOp], stamp: &Stamp) {
        for (index, op) in (stamp.operation()..).zip(ops) {
            self.apply(op, &stamp.of_operation(index));
        }
    }
}

/// Returns the part at a path, or a new one. A part that a write has replaced is returned without
/// what it had: `clear` removes that from a copy.
fn shown_or_new<'a, T: Part>(
    parts: &'a Parts<T>,
    path: &Path,
    clear: impl FnOnce(&mut T),
) -> Cow<'a, T> {
    match parts.get(path.as_str()) {
        Some(part) if part.is_shown() => Cow::Borrowed(part),
        part => {
            let mut part = part.cloned().unwrap_or_default();
            clear(&mut part);
            Cow::Owned(part)
        }
    }
}
