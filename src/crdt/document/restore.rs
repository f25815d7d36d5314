//! The operations from one document to another.

use std::borrow::Cow;

use super::{Document, DocumentOp, parts::Parts};
use crate::{
    action::NodeId,
    crdt::{
        counter::Counter,
        element::ElementId,
        list::{List, ListError, ListOp, restore_items},
        path::Path,
        restore::{OpCollector, PartEditor, RestoreError},
        set::AddWinsSet,
        text::{Text, TextError, TextOp},
        tree::{Tree, TreeError, TreeNode, TreeOp, restore_nodes},
        view::{PartView, ValueEditor, View, restore_value},
    },
    json::Json,
};

impl Document {
    pub(super) fn ops_to(
        &self,
        target: &Self,
        author: &NodeId,
    ) -> Result<Vec<DocumentOp>, RestoreError> {
        let root = Path::root();
        let [own, shown] = [self, target].map(|document| document.view(&root, &document.root()));
        if self.content(&own) == target.content(&shown) {
            return Ok(Vec::new());
        }
        let mut editor = Editor { collector: OpCollector::new(self, author), target };
        restore_value(&mut editor, &root, Some(&own), &shown)?;
        Ok(editor.collector.ops)
    }
}

/// Returns the part at a path, or an empty one.
pub(super) fn part_or_new<'a, T: super::parts::Part>(
    parts: &'a Parts<T>,
    path: &Path,
) -> Cow<'a, T> {
    parts.shown(path.as_str()).map_or_else(|| Cow::Owned(T::default()), Cow::Borrowed)
}

/// Collects the operations that turn a document into the target.
struct Editor<'a> {
    collector: OpCollector<Document>,
    target: &'a Document,
}

impl ValueEditor for Editor<'_> {
    fn set(&mut self, path: &Path, value: Json) {
        self.collector.push(DocumentOp::Set { path: path.clone(), value });
    }

    fn delete(&mut self, path: &Path) {
        self.collector.push(DocumentOp::Delete { path: path.clone() });
    }

    fn change(
        &mut self,
        path: &Path,
        own: &PartView,
        target: &PartView,
    ) -> Result<(), RestoreError> {
        match (own, target) {
            (PartView::Counter(own), PartView::Counter(target)) => {
                self.increment(path, target.wrapping_sub(*own));
                Ok(())
            }
            (_, PartView::Text(target)) => self.restore_text(path, target, Text::ops_to),
            // These have no content that must be made first.
            _ => self.create(path, target),
        }
    }

    fn create(&mut self, path: &Path, target: &PartView) -> Result<(), RestoreError> {
        match target {
            // Only an increment makes a counter.
            PartView::Counter(0) => {
                self.collector.push(DocumentOp::Increment { path: path.clone(), by: 0 });
                Ok(())
            }
            PartView::Counter(number) => {
                self.increment(path, *number);
                Ok(())
            }
            PartView::Set(target) => {
                self.restore_set(path, target);
                Ok(())
            }
            PartView::List(target) => self.restore_list(path, target),
            PartView::Text(target) => self.restore_text(path, target, Text::new_ops),
            PartView::Tree(target) => self.restore_tree(path, target),
        }
    }
}

impl Editor<'_> {
    fn increment(&mut self, path: &Path, by: i64) {
        for by in Counter::increments_of(by) {
            self.collector.push(DocumentOp::Increment { path: path.clone(), by });
        }
    }

    fn restore_set(&mut self, path: &Path, target: &Path) {
        let own = part_or_new(&self.collector.state.sets, path).into_owned();
        let target: Cow<'_, AddWinsSet> = part_or_new(&self.target.sets, target);
        for element in own.iter().filter(|element| !target.contains(element)) {
            let is_in = |document: &Document| {
                document.add_wins_set(path.as_str()).is_some_and(|set| set.contains(element))
            };
            // An operation removes a part of the additions.
            while is_in(&self.collector.state) {
                self.collector.push(self.collector.state.discard_op(path, element.clone()));
            }
        }
        for element in target.iter().filter(|element| !own.contains(element)) {
            self.collector.push(self.collector.state.add_op(path, element.clone()));
        }
    }

    fn restore_text(
        &mut self,
        path: &Path,
        target: &Path,
        make: impl FnOnce(&Text, &str, &NodeId) -> Result<Vec<TextOp>, TextError>,
    ) -> Result<(), RestoreError> {
        let target = part_or_new(&self.target.texts, target).to_string();
        let author = self.collector.author.clone();
        let ops =
            self.collector.state.text_ops(path, &author, |text| make(text, &target, &author))?;
        ops.into_iter().for_each(|op| self.collector.push(op));
        Ok(())
    }

    fn restore_list(&mut self, path: &Path, target_path: &Path) -> Result<(), RestoreError> {
        let target = self.target;
        let list = part_or_new(&target.lists, target_path);
        let view =
            |id: &ElementId| list.item(id).map(|item| target.item_view(target_path, id, item));
        let items = restore_items(
            &mut PartOf { collector: &mut self.collector, path },
            &list,
            |id, value| view(id).map_or_else(|| value.clone(), |view| view.plain_json()),
        )?;
        for (own, id) in items {
            let state = &self.collector.state;
            let own_list = state.lists.get(path.as_str());
            let before =
                own_list.and_then(|list| Some(state.item_view(path, &own, list.item(&own)?)));
            if let (Some(before), Some(after)) = (before, view(&id)) {
                self.restore_within(path, &own, &before, &after)?;
            }
        }
        Ok(())
    }

    fn restore_tree(&mut self, path: &Path, target_path: &Path) -> Result<(), RestoreError> {
        let target = self.target;
        let tree = part_or_new(&target.trees, target_path);
        let view = |node: TreeNode<'_>| target.node_view(target_path, node);
        let mut part = PartOf { collector: &mut self.collector, path };
        if tree.is_empty() && part.collector.state.trees.shown(path.as_str()).is_none() {
            // Only a creation shows a tree.
            part.edit(|tree: &Tree, author| {
                tree.create_op(None, 0, serde_json::Value::Null, author)
            })?;
        }
        let nodes = restore_nodes(&mut part, &tree, |_, node| view(node).plain_json())?;
        for (own, node) in nodes {
            let state = &self.collector.state;
            let node_of = |tree| Tree::node(tree, &own);
            let before = state.trees.get(path.as_str()).and_then(node_of);
            let before = before.map(|node| state.node_view(path, node));
            if let Some(before) = before {
                self.restore_within(path, &own, &before, &view(node))?;
            }
        }
        Ok(())
    }

    /// Restores what is in an item of a list, or in a node of a tree.
    fn restore_within(
        &mut self,
        path: &Path,
        name: &ElementId,
        own: &View,
        target: &View,
    ) -> Result<(), RestoreError> {
        match path.join(&name.to_string()) {
            Ok(path) => restore_value(self, &path, Some(own), target),
            Err(_) if own.is_equal(target) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The list or tree at a path.
struct PartOf<'a> {
    collector: &'a mut OpCollector<Document>,
    path: &'a Path,
}

impl PartEditor<List, ListError> for PartOf<'_> {
    fn part(&self) -> Cow<'_, List> {
        part_or_new(&self.collector.state.lists, self.path)
    }

    fn edit(
        &mut self,
        make: impl FnOnce(&List, &NodeId) -> Result<ListOp, ListError>,
    ) -> Result<(), RestoreError> {
        let author = self.collector.author.clone();
        let op = self.collector.state.list_op(self.path, &author, |list| make(list, &author))?;
        self.collector.push(op);
        Ok(())
    }
}

impl PartEditor<Tree, TreeError> for PartOf<'_> {
    fn part(&self) -> Cow<'_, Tree> {
        part_or_new(&self.collector.state.trees, self.path)
    }

    fn edit(
        &mut self,
        make: impl FnOnce(&Tree, &NodeId) -> Result<TreeOp, TreeError>,
    ) -> Result<(), RestoreError> {
        let author = self.collector.author.clone();
        let ops = self.collector.state.tree_ops(self.path, &author, |tree| make(tree, &author))?;
        ops.into_iter().for_each(|op| self.collector.push(op));
        Ok(())
    }
}
