//! Reading a tree.

use core::fmt;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{
    Tree,
    table::{NodeIndex, TOP},
};
use crate::{
    crdt::{element::ElementId, sequence::Element, view::View},
    json::Json,
};

/// The value of a node that has none.
static NULL: LazyLock<Json> = LazyLock::new(|| Value::Null.into());

/// A visible node of a [`Tree`].
#[derive(Clone, Copy)]
pub struct TreeNode<'a> {
    tree: &'a Tree,
    index: NodeIndex,
    parent: NodeIndex,
    depth: usize,
}

/// The visible nodes of a [`Tree`] in depth-first order. Made by [`Tree::walk`].
#[derive(Clone, Debug)]
pub struct TreeWalk<'a> {
    tree: &'a Tree,
    /// The nodes whose walk has not begun, with their parents and depths; the next one is the last.
    next: Vec<(NodeIndex, NodeIndex, usize)>,
}

impl Tree {
    /// Returns the number of visible nodes. O(n log n).
    pub fn len(&self) -> usize {
        self.walk().count()
    }

    /// Returns `true` if there are no visible nodes. O(1).
    pub fn is_empty(&self) -> bool {
        self.children.len(TOP) == 0
    }

    /// Returns `true` if a node is visible: it is created, and neither it nor a node above it is
    /// removed. O(depth + log n).
    pub fn contains(&self, node: &ElementId) -> bool {
        self.visible(node).is_some()
    }

    /// Returns the value of a node, with its fields. `None` if it is not visible. O(depth + log n).
    pub fn value(&self, node: &ElementId) -> Option<Value> {
        self.visible(node).map(|node| self.value_of(node))
    }

    /// Returns the parent of a node. `None` if it is at the top level or not visible. O(depth +
    /// log n).
    pub fn parent(&self, node: &ElementId) -> Option<ElementId> {
        let parent = self.links.parent(self.visible(node)?)?;
        self.name(parent)
    }

    /// Returns the index of a node among the children of its parent. `None` if it is not visible.
    /// O(depth + log n).
    pub fn index_of(&self, node: &ElementId) -> Option<usize> {
        let node = self.visible(node)?;
        self.index_in_parent(node).map(|index| index as usize)
    }

    /// Returns the number of children of a node, or of the top level. 0 for a node that is not
    /// visible. O(depth + log n).
    pub fn child_count(&self, parent: Option<&ElementId>) -> usize {
        self.visible_parent(parent).map_or(0, |parent| self.children.len(parent) as usize)
    }

    /// Returns the child of a node, or of the top level, at an index. O(depth + log n).
    pub fn child(&self, parent: Option<&ElementId>, index: usize) -> Option<ElementId> {
        let parent = self.visible_parent(parent)?;
        let place = self.children.at(parent, u32::try_from(index).ok()?)?;
        self.name(self.node_at(place)?)
    }

    /// Returns the children of a node, or of the top level, in their order. O(depth + children +
    /// log n).
    pub fn children(&self, parent: Option<&ElementId>) -> impl Iterator<Item = ElementId> {
        let parent = self.visible_parent(parent);
        let nodes = parent.map(|parent| self.child_nodes(parent)).unwrap_or_default();
        nodes.into_iter().filter_map(|node| self.name(node))
    }

    /// Returns the visible nodes in depth-first order.
    pub fn walk(&self) -> TreeWalk<'_> {
        let mut walk = TreeWalk { tree: self, next: Vec::new() };
        walk.push_children(TOP, 0);
        walk
    }

    /// Returns the value with which a node was created. `None` if it is not visible.
    pub(in crate::crdt) fn created_value(&self, node: &ElementId) -> Option<&Json> {
        self.visible(node).map(|node| self.table.node(node).initial.as_ref().unwrap_or(&NULL))
    }

    /// Returns a visible node, without its parent and depth.
    pub(in crate::crdt) fn node(&self, name: &ElementId) -> Option<TreeNode<'_>> {
        let index = self.visible(name)?;
        Some(TreeNode { tree: self, index, parent: TOP, depth: 0 })
    }

    /// Returns the node with a name, if it is visible.
    pub(super) fn visible(&self, name: &ElementId) -> Option<NodeIndex> {
        let node = self.table.find_node(self.children.sequence().element(name)?)?;
        let mut above = node;
        while above != TOP {
            if !self.table.status(above).is_visible() {
                return None;
            }
            above = self.links.parent(above)?;
        }
        Some(node)
    }

    /// Returns the top level, or the node with a name, if it is visible.
    pub(super) fn visible_parent(&self, name: Option<&ElementId>) -> Option<NodeIndex> {
        name.map_or(Some(TOP), |name| self.visible(name))
    }

    /// Returns the index of a node that is shown among the children of its parent.
    pub(super) fn index_in_parent(&self, node: NodeIndex) -> Option<u32> {
        let place = self.table.place(self.table.status(node).shown?);
        self.children.index_of(place.parent, place.name)
    }

    fn node_at(&self, place: Element) -> Option<NodeIndex> {
        self.table.find_place(place).map(|place| self.table.place(place).node)
    }

    pub(super) fn child_nodes(&self, parent: NodeIndex) -> Vec<NodeIndex> {
        let ranges = self.children.ranges(parent).into_iter();
        let places = ranges.flat_map(|(first, len)| {
            (0..len).map(move |offset| Element { counter: first.counter + offset, ..first })
        });
        places.filter_map(|place| self.node_at(place)).collect()
    }

    fn value_of(&self, node: NodeIndex) -> Value {
        let node = self.table.node(node);
        node.content.value(node.initial.as_ref())
    }
}

impl<'a> TreeNode<'a> {
    /// Returns the value with which the node was created.
    pub(in crate::crdt) fn created_value(self) -> &'a Json {
        self.tree.table.node(self.index).initial.as_ref().unwrap_or(&NULL)
    }

    /// Returns the name of the node.
    pub fn id(&self) -> Option<ElementId> {
        self.tree.name(self.index)
    }

    /// Returns the parent. `None` for the top level.
    pub fn parent(&self) -> Option<ElementId> {
        self.tree.name(self.parent)
    }

    /// Returns the number of nodes above the node.
    pub const fn depth(&self) -> usize {
        self.depth
    }

    /// Returns the value, with the fields.
    pub fn value(&self) -> Value {
        self.tree.value_of(self.index)
    }

    /// Returns the value with the fields, as it was written.
    pub(super) fn view(self) -> View {
        let node = self.tree.table.node(self.index);
        node.content.view(node.initial.as_ref().unwrap_or(&NULL))
    }

    /// Returns the node in the JSON of a tree, with this value.
    pub(in crate::crdt) fn to_json_with(self, value: Value) -> Value {
        let [id, parent] = [self.id(), self.parent()].map(|name| name.map(|name| name.to_string()));
        let mut json = json!({"id": id, "parent": parent, "depth": self.depth});
        json["value"] = value;
        json
    }
}

impl TreeWalk<'_> {
    fn push_children(&mut self, parent: NodeIndex, depth: usize) {
        let children = self.tree.child_nodes(parent).into_iter().rev();
        self.next.extend(children.map(|child| (child, parent, depth)));
    }
}

impl<'a> Iterator for TreeWalk<'a> {
    type Item = TreeNode<'a>;

    fn next(&mut self) -> Option<TreeNode<'a>> {
        let (index, parent, depth) = self.next.pop()?;
        self.push_children(index, depth + 1);
        Some(TreeNode { tree: self.tree, index, parent, depth })
    }
}

impl fmt::Debug for TreeNode<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { depth, .. } = self;
        f.debug_struct("TreeNode")
            .field("id", &self.id())
            .field("parent", &self.parent())
            .field("depth", depth)
            .field("value", &self.value())
            .finish()
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.walk()).finish()
    }
}
