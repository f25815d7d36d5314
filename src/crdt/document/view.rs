//! What a document shows, with its parts apart.

use serde_json::{Value, json};

use super::Document;
use crate::{
    crdt::{
        crdt::Crdt,
        element::ElementId,
        list::{Item, List},
        path::Path,
        tree::{Tree, TreeNode},
        view::{PartView, View},
    },
    json::Json,
};

impl Document {
    /// Returns what is shown at a path and below it, as [`build`](Self::build) does for the JSON.
    pub(super) fn view(&self, base: &Path, written: &Json) -> View {
        let mut view = View::read(written.as_str());
        self.values.overlay_view(base, &mut view);
        for (path, counter) in self.counters.shown_in(base) {
            let suffix = &path.as_str()[base.as_str().len()..];
            let number = view.number_at(suffix).wrapping_add(counter.value());
            view.write(suffix, Some(View::Part(PartView::Counter(number))));
        }
        let mut write = |path: &Path, part: PartView| {
            view.write(&path.as_str()[base.as_str().len()..], Some(View::Part(part)));
        };
        for (path, _) in self.sets.shown_in(base) {
            write(path, PartView::Set(path.clone()));
        }
        let is_open = |path: &Path| !self.is_covered(path, base);
        for (path, _) in self.lists.shown_in(base).filter(|(path, _)| is_open(path)) {
            write(path, PartView::List(path.clone()));
        }
        for (path, _) in self.texts.shown_in(base).filter(|(path, _)| is_open(path)) {
            write(path, PartView::Text(path.clone()));
        }
        for (path, _) in self.trees.shown_in(base).filter(|(path, _)| is_open(path)) {
            write(path, PartView::Tree(path.clone()));
        }
        view
    }

    /// Returns what is shown in an item of the list at a path.
    pub(super) fn item_view(&self, list: &Path, id: &ElementId, item: &Item) -> View {
        match list.join(&id.to_string()) {
            Ok(path) => self.view(&path, &self.item_value(&path, item)),
            // A path that exceeds the limits has no writes.
            Err(_) => View::read(item.value().as_str()),
        }
    }

    /// Returns what is shown in a node of the tree at a path.
    pub(super) fn node_view(&self, tree: &Path, node: TreeNode<'_>) -> View {
        let created = node.created_value();
        match node.id().and_then(|id| tree.join(&id.to_string()).ok()) {
            Some(path) => self.view(&path, &self.node_value(&path, created)),
            // A path that exceeds the limits has no writes.
            None => View::read(created.as_str()),
        }
    }

    /// Returns the values in what is shown, without the names of elements. Values of different
    /// types are different.
    pub(super) fn content(&self, view: &View) -> Value {
        match view {
            View::Plain(value) => json!(["value", value.to_value()]),
            View::Object(object) => {
                object.iter().map(|(key, field)| (key.to_owned(), self.content(field))).collect()
            }
            View::Part(PartView::Counter(number)) => json!(["counter", number]),
            View::Part(PartView::Set(path)) => {
                json!(["set", self.sets.shown(path.as_str()).map(Crdt::to_json)])
            }
            View::Part(PartView::Text(path)) => {
                json!(["text", self.texts.shown(path.as_str()).map(Crdt::to_json)])
            }
            View::Part(PartView::List(path)) => {
                let items = self.lists.shown(path.as_str()).into_iter().flat_map(List::iter);
                let content =
                    items.map(|(id, item)| self.content(&self.item_view(path, &id, item)));
                json!(["list", content.collect::<Value>()])
            }
            View::Part(PartView::Tree(path)) => {
                let nodes = self.trees.shown(path.as_str()).into_iter().flat_map(Tree::walk);
                let content = nodes
                    .map(|node| json!([node.depth(), self.content(&self.node_view(path, node))]));
                json!(["tree", content.collect::<Value>()])
            }
        }
    }

    /// Returns what is shown as JSON.
    pub(super) fn view_json(&self, view: &View) -> Value {
        let json = match view {
            View::Plain(value) => return value.to_value(),
            View::Object(object) => {
                let fields = object.iter();
                return fields
                    .map(|(key, field)| (key.to_owned(), self.view_json(field)))
                    .collect();
            }
            View::Part(PartView::Counter(number)) => return (*number).into(),
            View::Part(PartView::Set(path)) => self.sets.shown(path.as_str()).map(Crdt::to_json),
            View::Part(PartView::Text(path)) => self.texts.shown(path.as_str()).map(Crdt::to_json),
            View::Part(PartView::List(path)) => {
                self.lists.shown(path.as_str()).map(|list| self.build_list(path, list))
            }
            View::Part(PartView::Tree(path)) => {
                self.trees.shown(path.as_str()).map(|tree| self.build_tree(path, tree))
            }
        };
        json.unwrap_or_default()
    }
}
