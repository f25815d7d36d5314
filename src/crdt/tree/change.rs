//! Making operations, and changing a tree.

use super::{
    Tree, TreeError, TreeOp, TreePlace,
    links::Linkable,
    table::{NodeIndex, TOP},
};
use crate::{
    action::{NodeId, Stamp},
    crdt::{
        crdt::Crdt,
        element::{ElementId, ElementRef, MAX_COUNTER},
        path::Path,
        sequence::Element,
    },
    json::Json,
};

/// Making operations.
impl Tree {
    /// Returns the counter of the next node or place of an author.
    pub fn next_counter(&self, author: &NodeId) -> u32 {
        let zero = ElementId::new(author.clone(), 0);
        let own = self.children.sequence().element(&zero);
        own.map_or(0, |own| self.table.next_counter(own.node))
    }

    /// Makes the operation by which `author` creates a node at an index of the children of
    /// `parent`, or of the top level. O(depth + log n).
    ///
    /// # Errors
    /// [`TreeError::NotFound`], [`TreeError::OutOfBounds`], [`TreeError::TooDeep`],
    /// [`TreeError::Full`].
    pub fn create_op(
        &self,
        parent: Option<&ElementId>,
        index: usize,
        value: impl Into<Json>,
        author: impl AsRef<NodeId>,
    ) -> Result<TreeOp, TreeError> {
        let place = self.place(None, parent, index, author.as_ref())?;
        Ok(TreeOp::Create { place, value: value.into() })
    }

    /// Makes the operation by which `author` moves a node and everything below it to `parent`, or
    /// to the top level. `index` is the node's index there afterwards. O(depth + log n).
    ///
    /// # Errors
    /// [`TreeError::Cycle`] if the parent is the node or below it; [`TreeError::NotFound`],
    /// [`TreeError::OutOfBounds`], [`TreeError::TooDeep`], [`TreeError::Full`].
    pub fn move_op(
        &self,
        node: &ElementId,
        parent: Option<&ElementId>,
        index: usize,
        author: impl AsRef<NodeId>,
    ) -> Result<TreeOp, TreeError> {
        let author = author.as_ref();
        let own = self.visible(node).ok_or_else(|| TreeError::NotFound(node.clone()))?;
        let place = self.place(Some(own), parent, index, author)?;
        Ok(TreeOp::Move { item: ElementRef::new(node.clone(), author), place })
    }

    /// Makes the operation by which `author` writes the value of a node, or the field at a path of
    /// it. O(depth + log n).
    ///
    /// # Errors
    /// [`TreeError::NotFound`].
    pub fn set_op(
        &self,
        node: &ElementId,
        path: Path,
        value: impl Into<Json>,
        author: impl AsRef<NodeId>,
    ) -> Result<TreeOp, TreeError> {
        Ok(TreeOp::Set { item: self.item(node, author.as_ref())?, path, value: value.into() })
    }

    /// Makes the operation by which `author` deletes the field at a path of the value of a node.
    /// O(depth + log n).
    ///
    /// # Errors
    /// [`TreeError::NotFound`]; [`TreeError::EmptyPath`].
    pub fn delete_op(
        &self,
        node: &ElementId,
        path: Path,
        author: impl AsRef<NodeId>,
    ) -> Result<TreeOp, TreeError> {
        if path.as_str().is_empty() {
            return Err(TreeError::EmptyPath);
        }
        Ok(TreeOp::Delete { item: self.item(node, author.as_ref())?, path })
    }

    /// Makes the operation by which `author` removes a node with everything below it.
    /// O(depth + log n).
    ///
    /// # Errors
    /// [`TreeError::NotFound`].
    pub fn remove_op(
        &self,
        node: &ElementId,
        author: impl AsRef<NodeId>,
    ) -> Result<TreeOp, TreeError> {
        Ok(TreeOp::Remove { item: self.item(node, author.as_ref())? })
    }

    fn item(&self, node: &ElementId, author: &NodeId) -> Result<ElementRef, TreeError> {
        if self.contains(node) {
            Ok(ElementRef::new(node.clone(), author))
        } else {
            Err(TreeError::NotFound(node.clone()))
        }
    }

    /// Makes a place for a node, which is new if it is `None`.
    fn place(
        &self,
        node: Option<NodeIndex>,
        parent: Option<&ElementId>,
        index: usize,
        author: &NodeId,
    ) -> Result<TreePlace, TreeError> {
        let new_parent = self.visible_parent(parent);
        let new_parent = match (new_parent, parent) {
            (None, Some(parent)) => return Err(TreeError::NotFound(parent.clone())),
            (own, _) => own.unwrap_or(TOP),
        };
        if let Some(parent) = parent {
            match self.links.is_linkable(node, new_parent) {
                Linkable::Yes => {}
                Linkable::TooDeep => return Err(TreeError::TooDeep { parent: parent.clone() }),
                Linkable::Cycle => {
                    let node = node.and_then(|node| self.name(node));
                    let node = node.unwrap_or_else(|| parent.clone());
                    return Err(TreeError::Cycle { node, parent: parent.clone() });
                }
            }
        }
        let without = node
            .filter(|node| self.links.parent(*node) == Some(new_parent))
            .and_then(|node| self.index_in_parent(node));
        let max = self.children.len(new_parent) - u32::from(without.is_some());
        let index = u32::try_from(index)
            .ok()
            .filter(|index| *index <= max)
            .ok_or(TreeError::OutOfBounds { index, max: max as usize })?;
        let first = self.next_counter(author);
        if first >= MAX_COUNTER {
            return Err(TreeError::Full);
        }
        let (after, before) = self.children.origins(new_parent, index, without);
        let refer = |element: Option<Element>| {
            element.map(|own| ElementRef::new(self.children.sequence().id(own), author))
        };
        let parent = parent.map(|parent| ElementRef::new(parent.clone(), author));
        Ok(TreePlace { first, parent, after: refer(after), before: refer(before) })
    }
}

/// Changing.
impl Tree {
    /// Creates a node at an index of the children of `parent`, or of the top level, and returns its
    /// name. O(depth + log n).
    ///
    /// # Errors
    /// As [`create_op`](Self::create_op).
    pub fn create(
        &mut self,
        parent: Option<&ElementId>,
        index: usize,
        value: impl Into<Json>,
        stamp: &Stamp,
    ) -> Result<ElementId, TreeError> {
        let author = stamp.id().node();
        let op = self.create_op(parent, index, value, author)?;
        let name = ElementId::new(author.clone(), self.next_counter(author));
        self.apply(&op, stamp);
        Ok(name)
    }

    /// Moves a node and everything below it to `parent`, or to the top level. `index` is the node's
    /// index there afterwards. See [`Tree`] for the complexity.
    ///
    /// # Errors
    /// As [`move_op`](Self::move_op).
    pub fn move_to(
        &mut self,
        node: &ElementId,
        parent: Option<&ElementId>,
        index: usize,
        stamp: &Stamp,
    ) -> Result<(), TreeError> {
        let op = self.move_op(node, parent, index, stamp.id().node())?;
        self.apply(&op, stamp);
        Ok(())
    }

    /// Writes the value of a node, or the field at a path of it. O(depth + log n).
    ///
    /// # Errors
    /// As [`set_op`](Self::set_op).
    pub fn set(
        &mut self,
        node: &ElementId,
        path: Path,
        value: impl Into<Json>,
        stamp: &Stamp,
    ) -> Result<(), TreeError> {
        let op = self.set_op(node, path, value, stamp.id().node())?;
        self.apply(&op, stamp);
        Ok(())
    }

    /// Deletes the field at a path of the value of a node. O(depth + log n).
    ///
    /// # Errors
    /// As [`delete_op`](Self::delete_op).
    pub fn delete(&mut self, node: &ElementId, path: Path, stamp: &Stamp) -> Result<(), TreeError> {
        let op = self.delete_op(node, path, stamp.id().node())?;
        self.apply(&op, stamp);
        Ok(())
    }

    /// Removes a node with everything below it. O(depth + log n).
    ///
    /// # Errors
    /// As [`remove_op`](Self::remove_op).
    pub fn remove(&mut self, node: &ElementId, stamp: &Stamp) -> Result<(), TreeError> {
        let op = self.remove_op(node, stamp.id().node())?;
        self.apply(&op, stamp);
        Ok(())
    }

    /// Removes all nodes, and returns the operations by which `author` does so. For a copy.
    pub(in crate::crdt) fn clear(&mut self, author: &NodeId) -> Vec<TreeOp> {
        let mut ops = Vec::new();
        for node in self.child_nodes(TOP) {
            if let Some(name) = self.name(node) {
                ops.push(TreeOp::Remove { item: ElementRef::new(name, author) });
            }
            self.table.status_mut(node).is_removed = true;
            self.show(node);
        }
        ops
    }

    /// Applies a write of a value. Returns the node if it has changed visibly.
    pub(super) fn write(
        &mut self,
        item: &ElementRef,
        path: &Path,
        value: Option<Json>,
        stamp: &Stamp,
    ) -> Option<NodeIndex> {
        let name = self.element(item, stamp.id().node());
        let index = self.table.node_named(name);
        let node = self.table.node_mut(index);
        let is_written = node.content.write(path, value, stamp);
        (is_written && self.table.status(index).is_visible()).then_some(index)
    }
}
