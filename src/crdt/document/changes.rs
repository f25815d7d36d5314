//! The differences of two documents, for people.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Document;
use crate::{
    crdt::{
        crdt::deserialize_present,
        element::ElementId,
        list::{List, staying_items},
        path::Path,
        sequence::Unit,
        text::Delta,
        tree::{Tree, staying_nodes},
        view::{PartView, View, is_field},
    },
    json::Json,
};

/// A difference of two states of a [`Document`], made by [`Document::changes_to`].
///
/// In JSON, fields without a value are absent:
/// - `{"path":"/title","before":"Old","after":"New"}`; only `after` for what is new, and only
///   `before` for what is removed
/// - `{"path":"/text","delta":[{"retain":4},{"insert":"oat "}]}` for a text in both states
/// - `{"path":"/tasks/@10:a:b 2","moved":true}` for an item or node that has another place
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentChange {
    /// The path, with the names of items and nodes, as for [`Document::get`].
    pub path: Path,
    /// The value before.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "deserialize_present"
    )]
    pub before: Option<Json>,
    /// The value after.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "deserialize_present"
    )]
    pub after: Option<Json>,
    /// The changes of a text, in UTF-16 code units, as JavaScript counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<Delta>,
    /// Whether the item or node has another place in its list or tree.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub moved: bool,
}

impl Document {
    /// Returns the differences from this state to a later or earlier one of the same document, for
    /// people: of fields, numbers, sets, texts, items and nodes. Empty if both show the same.
    /// O(n · depth · log n) for n values, items and nodes that are nested that deeply.
    ///
    /// ```
    /// use logux::{Stamp, WallTime, crdt::Document};
    /// use serde_json::json;
    ///
    /// let at = |ms| Stamp::new(WallTime::from_millis(ms), format!("{ms} 10:a:b 0").parse().unwrap());
    /// let text = "/text".parse()?;
    /// let mut note = Document::default();
    /// note.edit_text(&text, &at(1), |text| text.set_ops("Buy milk", at(1).id()))?;
    /// let before = note.clone();
    /// note.edit_text(&text, &at(2), |text| text.set_ops("Buy oat milk", at(2).id()))?;
    /// note.set(&"/done".parse()?, json!(true), &at(3));
    /// assert_eq!(
    ///     serde_json::to_value(before.changes_to(&note))?,
    ///     json!([
    ///         {"path": "/done", "after": true},
    ///         {"path": "/text", "delta": [{"retain": 4}, {"insert": "oat "}]},
    ///     ])
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn changes_to(&self, after: &Self) -> Vec<DocumentChange> {
        let mut changes = Changes { before: self, after, found: Vec::new() };
        let root = Path::root();
        let [own, other] = [self, after].map(|document| document.view(&root, &document.root()));
        changes.compare(&root, Some(&own), Some(&other));
        changes.found
    }
}

struct Changes<'a> {
    before: &'a Document,
    after: &'a Document,
    found: Vec<DocumentChange>,
}

impl Changes<'_> {
    /// Adds the changes of what is shown at a path.
    fn compare(&mut self, path: &Path, before: Option<&View>, after: Option<&View>) {
        match (before, after) {
            (Some(View::Object(own)), Some(View::Object(other))) => {
                let keys: BTreeSet<&str> =
                    own.iter().chain(other.iter()).map(|(key, _)| key).collect();
                let below = |key| path.join(key).ok().filter(|_| is_field(key));
                // Without a path for each field, it is the change of the whole object.
                let Some(paths) = keys.iter().map(|key| below(key)).collect::<Option<Vec<_>>>()
                else {
                    return self.compare_content(path, before, after);
                };
                for (key, path) in keys.into_iter().zip(paths) {
                    self.compare(&path, own.get(key), other.get(key));
                }
            }
            (Some(View::Part(PartView::Text(own))), Some(View::Part(PartView::Text(other)))) => {
                let texts = (self.before.text(own.as_str()), self.after.text(other.as_str()));
                let (Some(own), Some(other)) = texts else { return };
                let delta = own.delta_to(other, Unit::Utf16);
                if !delta.is_empty() {
                    let delta = Some(delta);
                    self.found.push(DocumentChange { delta, ..DocumentChange::at(path) });
                }
            }
            (Some(View::Part(PartView::List(own))), Some(View::Part(PartView::List(other)))) => {
                let lists = (self.before.list(own.as_str()), self.after.list(other.as_str()));
                if let (Some(own), Some(other)) = lists {
                    self.compare_lists(path, own, other);
                }
            }
            (Some(View::Part(PartView::Tree(own))), Some(View::Part(PartView::Tree(other)))) => {
                let trees = (self.before.tree(own.as_str()), self.after.tree(other.as_str()));
                if let (Some(own), Some(other)) = trees {
                    self.compare_trees(path, own, other);
                }
            }
            _ => self.compare_content(path, before, after),
        }
    }

    fn compare_content(&mut self, path: &Path, before: Option<&View>, after: Option<&View>) {
        let is_equal = match (before, after) {
            (Some(own), Some(other)) => self.before.content(own) == self.after.content(other),
            (own, other) => own.is_none() && other.is_none(),
        };
        if !is_equal {
            let before = before.map(|view| self.before.view_json(view).into());
            let after = after.map(|view| self.after.view_json(view).into());
            self.found.push(DocumentChange { before, after, ..DocumentChange::at(path) });
        }
    }

    fn compare_lists(&mut self, path: &Path, own: &List, other: &List) {
        let staying = staying_items(own, other);
        for (id, item) in own.iter().filter(|(id, _)| other.index_of(id).is_none()) {
            let view = self.before.item_view(path, &id, item);
            self.compare_within(path, &id, Some(&view), None);
        }
        for (id, item) in other.iter() {
            let view = self.after.item_view(path, &id, item);
            let before = own.item(&id).filter(|_| own.index_of(&id).is_some());
            let before = before.map(|item| self.before.item_view(path, &id, item));
            self.compare_within(path, &id, before.as_ref(), Some(&view));
            if before.is_some() && !staying.contains(&id) {
                self.add_move(path, &id);
            }
        }
    }

    fn compare_trees(&mut self, path: &Path, own: &Tree, other: &Tree) {
        let staying = staying_nodes(own, other);
        for node in own.walk() {
            let Some(id) = node.id().filter(|id| !other.contains(id)) else { continue };
            let view = self.before.node_view(path, node);
            self.compare_within(path, &id, Some(&view), None);
        }
        for node in other.walk() {
            let Some(id) = node.id() else { continue };
            let before = own.node(&id).map(|node| self.before.node_view(path, node));
            let view = self.after.node_view(path, node);
            self.compare_within(path, &id, before.as_ref(), Some(&view));
            if before.is_some() && !staying.contains(&id) {
                self.add_move(path, &id);
            }
        }
    }

    /// Adds the changes in an item or node, which is `None` where it does not exist.
    fn compare_within(
        &mut self,
        path: &Path,
        name: &ElementId,
        before: Option<&View>,
        after: Option<&View>,
    ) {
        match path.join(&name.to_string()) {
            Ok(path) => self.compare(&path, before, after),
            // It is named by its list or tree.
            Err(_) => self.compare_content(path, before, after),
        }
    }

    fn add_move(&mut self, path: &Path, name: &ElementId) {
        let path = path.join(&name.to_string()).unwrap_or_else(|_| path.clone());
        self.found.push(DocumentChange { moved: true, ..DocumentChange::at(&path) });
    }
}

impl DocumentChange {
    fn at(path: &Path) -> Self {
        Self { path: path.clone(), before: None, after: None, delta: None, moved: false }
    }
}
