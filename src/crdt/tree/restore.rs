//! The operations from one tree to another.

use std::collections::{BTreeMap, BTreeSet};

use super::{Tree, TreeError, TreeNode, TreeOp};
use crate::{
    action::NodeId,
    crdt::{
        element::{ElementId, ElementRef},
        path::Path,
        restore::{OpCollector, PartEditor, RestoreError, longest_increasing},
        view::{PartView, ValueEditor, restore_value},
    },
    json::Json,
};

impl Tree {
    pub(super) fn ops_to(
        &self,
        target: &Self,
        author: &NodeId,
    ) -> Result<Vec<TreeOp>, RestoreError> {
        let content = |tree: &Self| -> Vec<_> {
            tree.walk().map(|node| (node.depth(), node.value())).collect()
        };
        if content(self) == content(target) {
            return Ok(Vec::new());
        }
        let mut collector = OpCollector::new(self, author);
        let nodes = restore_nodes(&mut collector, target, |_, node| node.view().plain_json())?;
        for (own, node) in nodes {
            let Some(before) = collector.state.node(&own).map(TreeNode::view) else { continue };
            let item = ElementRef::new(own, author);
            let mut fields = FieldEditor { collector: &mut collector, item };
            restore_value(&mut fields, &Path::root(), Some(&before), &node.view())?;
        }
        Ok(collector.ops)
    }
}

/// Writes in a node.
struct FieldEditor<'a> {
    collector: &'a mut OpCollector<Tree>,
    item: ElementRef,
}

impl ValueEditor for FieldEditor<'_> {
    fn set(&mut self, path: &Path, value: Json) {
        self.collector.push(TreeOp::Set { item: self.item.clone(), path: path.clone(), value });
    }

    fn delete(&mut self, path: &Path) {
        self.collector.push(TreeOp::Delete { item: self.item.clone(), path: path.clone() });
    }

    fn change(&mut self, _: &Path, _: &PartView, _: &PartView) -> Result<(), RestoreError> {
        Ok(())
    }

    fn create(&mut self, _: &Path, _: &PartView) -> Result<(), RestoreError> {
        Ok(())
    }
}

/// Makes the operations after which a tree has the nodes of `target` in its order. Nodes that both
/// have stay, as many as possible without a move. `value` returns the values of new nodes. Returns
/// the name of each node, and the node of `target`.
pub(in crate::crdt) fn restore_nodes<'a>(
    editor: &mut impl PartEditor<Tree, TreeError>,
    target: &'a Tree,
    value: impl Fn(&ElementId, TreeNode<'a>) -> Json,
) -> Result<Vec<(ElementId, TreeNode<'a>)>, RestoreError> {
    let before = editor.part().into_owned();
    let staying = staying_nodes(&before, target);
    let mut own_names: BTreeMap<ElementId, ElementId> = BTreeMap::new();
    // The last child so far of each node of the target.
    let mut last: BTreeMap<Option<ElementId>, ElementId> = BTreeMap::new();
    let mut nodes = Vec::new();
    // The nodes above a node have their places before it, so a move never makes a cycle.
    for node in target.walk() {
        let Some(id) = node.id() else { continue };
        let parent = node.parent();
        let own_parent = parent.as_ref().and_then(|parent| own_names.get(parent));
        let previous = last.get(&parent);
        let own = if !before.contains(&id) {
            let value = value(&id, node);
            editor.edit(|tree, author| {
                tree.create_op(own_parent, index_after(tree, previous), value, author)
            })?;
            let tree = editor.part();
            tree.child(own_parent, index_after(&tree, previous))
                .ok_or_else(|| TreeError::NotFound(id.clone()))?
        } else {
            if !staying.contains(&id) {
                editor.edit(|tree, author| {
                    let index = index_after(tree, previous);
                    // The index is that without the node.
                    let is_there = tree.parent(&id).as_ref() == own_parent;
                    let is_before = is_there && tree.index_of(&id).is_some_and(|own| own < index);
                    tree.move_op(&id, own_parent, index - usize::from(is_before), author)
                })?;
            }
            id.clone()
        };
        own_names.insert(id, own.clone());
        last.insert(parent, own.clone());
        nodes.push((own, node));
    }
    // With a node disappear those below it, of which none is in the target any more.
    for node in before.walk().filter_map(|node| node.id()) {
        if !target.contains(&node) && editor.part().contains(&node) {
            editor.edit(|tree, author| tree.remove_op(&node, author))?;
        }
    }
    Ok(nodes)
}

/// Returns the index after a child, or the first one.
fn index_after(tree: &Tree, child: Option<&ElementId>) -> usize {
    child.and_then(|child| tree.index_of(child)).map_or(0, |index| index + 1)
}

/// Returns the nodes that have the same parent in both trees and need not be moved among its
/// children.
pub(in crate::crdt) fn staying_nodes(before: &Tree, target: &Tree) -> BTreeSet<ElementId> {
    let mut staying = BTreeSet::new();
    let parents = target.walk().filter_map(|node| node.id()).map(Some);
    for parent in [None].into_iter().chain(parents) {
        let parent = parent.as_ref();
        let is_common =
            |id: &ElementId| before.contains(id) && before.parent(id).as_ref() == parent;
        let children: Vec<ElementId> = target.children(parent).filter(is_common).collect();
        let indexes: Vec<usize> =
            children.iter().map(|id| before.index_of(id).unwrap_or(0)).collect();
        let stay = longest_increasing(&indexes);
        staying
            .extend(children.into_iter().zip(stay).filter(|(_, stays)| *stays).map(|(id, _)| id));
    }
    staying
}
