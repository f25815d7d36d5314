//! Reading the value of a document, or a part of it.

use std::{borrow::Cow, sync::LazyLock};

use serde_json::Value;

use super::Document;
use crate::{
    crdt::{
        counter::Counter,
        crdt::Crdt,
        element::ElementId,
        list::{Item, List},
        map::{Map, write_at},
        path::{Path, ancestors},
        set::AddWinsSet,
        text::Text,
        tree::{Tree, TreeNode},
    },
    json::{Json, member},
};

/// The value of what has none.
static NULL: LazyLock<Json> = LazyLock::new(|| Value::Null.into());

/// What is read of the value at a path.
pub(super) trait Reading {
    type Found;

    /// Reads the value that the document has at a path, where `plain` is written under the later
    /// writes. `None` if there is none.
    fn built(&self, document: &Document, at: &Path, plain: Option<&str>) -> Option<Self::Found>;

    /// Reads an element of the JSON of the tree at a path.
    fn node(&self, document: &Document, tree: &Path, node: TreeNode<'_>) -> Option<Self::Found>;

    /// Reads a value that is a part of a written one.
    fn value(&self, value: Value) -> Self::Found;
}

/// Reads the whole value.
struct WholeValue;

impl Reading for WholeValue {
    type Found = Value;

    fn built(&self, document: &Document, at: &Path, plain: Option<&str>) -> Option<Value> {
        let value = document.build(at, plain.map(checked_value));
        (plain.is_some() || !value.is_null()).then_some(value)
    }

    fn node(&self, document: &Document, tree: &Path, node: TreeNode<'_>) -> Option<Value> {
        Some(document.build_node(tree, node))
    }

    fn value(&self, value: Value) -> Value {
        value
    }
}

/// Reading.
impl Document {
    /// Returns the last-write-wins values.
    pub const fn values(&self) -> &Map {
        &self.values
    }

    /// Returns the counter at a path.
    pub fn counter(&self, path: &str) -> Option<&Counter> {
        self.counters.get(path)
    }

    /// Returns the set at a path.
    pub fn add_wins_set(&self, path: &str) -> Option<&AddWinsSet> {
        self.sets.get(path)
    }

    /// Returns the list at a path. Its values are those that were inserted; [`get`](Self::get)
    /// returns an item with everything in it.
    pub fn list(&self, path: &str) -> Option<&List> {
        self.lists.get(path)
    }

    /// Returns the text at a path, unless a later write has replaced it.
    pub fn text(&self, path: &str) -> Option<&Text> {
        self.texts.shown(path)
    }

    /// Returns the tree at a path, unless a later write has replaced it. Its values are those of
    /// the creations; [`get`](Self::get) returns a node with everything in it.
    pub fn tree(&self, path: &str) -> Option<&Tree> {
        self.trees.shown(path)
    }

    /// Returns the value at a path of [`to_json`](Crdt::to_json), where the key of an item of a
    /// list, and that of a node of a tree, is its index. It can also be the name of the item or
    /// node: `/tasks/@10:a:b 0/title`, `/outline/@10:a:b 3/title` are fields of their values. The
    /// value of the node with the index 3 is at `/outline/3/value`.
    ///
    /// It does not look at the rest of the document: O(depth · log n + size of the value), plus the
    /// length of the written value that contains it. In trees, also O(index), or O(depth of the
    /// node) with a name.
    pub fn get(&self, path: &Path) -> Option<Value> {
        self.read(&WholeValue, path)
    }

    /// Reads something of the value at a path.
    pub(super) fn read<R: Reading>(&self, reading: &R, path: &Path) -> Option<R::Found> {
        let keys: Vec<Cow<'_, str>> = path.keys().collect();
        self.read_in(reading, Path::root(), &self.root(), &keys)
    }

    /// Returns the last write of the whole document.
    pub(super) fn root(&self) -> Cow<'_, Json> {
        let root = self.values.get("").map(Cow::Borrowed);
        root.unwrap_or_else(|| Cow::Owned(Value::Object(<_>::default()).into()))
    }

    /// Reads the value at `keys` below the document, item or node at the path `at`, whose value
    /// is `written` under the later writes.
    fn read_in<R: Reading>(
        &self,
        reading: &R,
        mut at: Path,
        written: &Json,
        keys: &[Cow<'_, str>],
    ) -> Option<R::Found> {
        let found = |value: Option<Value>| value.map(|value| reading.value(value));
        // The written text at the path. `None` if there is none.
        let mut plain = Some(written.as_str());
        for (depth, key) in keys.iter().enumerate() {
            let below = &keys[depth..];
            if let Some(tree) = self.trees.shown(at.as_str()) {
                return self.read_in_tree(reading, &at, tree, key, &below[1..]);
            }
            if self.texts.shown(at.as_str()).is_some() {
                return None;
            }
            if let Some(list) = self.lists.shown(at.as_str()) {
                return self.read_in_list(reading, &at, list, key, &below[1..]);
            }
            // An array, set or number is replaced by an object if there is anything below it.
            if plain.is_some_and(|text| text.starts_with('[')) || self.is_number_or_set(&at) {
                return match self.list_or_tree_below(&at, below) {
                    Some((at, keys)) => self.read_in(reading, at, &NULL, keys),
                    None => found(pointer(self.build(&at, plain.map(checked_value)), below)),
                };
            }
            // What was written in an item or node is shown in the item or node only.
            if name(key).is_some() {
                return found(pointer(checked_value(member(plain?, key)?), &below[1..]));
            }
            let Ok(child) = at.join(key) else {
                return found(pointer(checked_value(plain?), below));
            };
            plain = match self.values.written_at(child.as_str()) {
                Some(written) => written.map(Json::as_str),
                None => plain.and_then(|text| member(text, key)),
            };
            at = child;
        }
        reading.built(self, &at, plain)
    }

    /// Returns the path of the first list or tree on the way along `keys` below a path, or at their
    /// end, and the keys in it. Numbers, sets and arrays do not hide it.
    fn list_or_tree_below<'a, 'k>(
        &self,
        at: &Path,
        keys: &'a [Cow<'k, str>],
    ) -> Option<(Path, &'a [Cow<'k, str>])> {
        let mut at = at.clone();
        for (depth, key) in keys.iter().enumerate() {
            at = at.join(key).ok().filter(|_| name(key).is_none())?;
            if self.trees.shown(at.as_str()).is_some() {
                return Some((at, &keys[depth + 1..]));
            }
            if self.texts.shown(at.as_str()).is_some() {
                return None;
            }
            if self.lists.shown(at.as_str()).is_some() {
                return Some((at, &keys[depth + 1..]));
            }
        }
        None
    }

    fn read_in_list<R: Reading>(
        &self,
        reading: &R,
        at: &Path,
        list: &List,
        key: &str,
        keys: &[Cow<'_, str>],
    ) -> Option<R::Found> {
        let id = match name(key) {
            Some(id) => list.index_of(&id).map(|_| id)?,
            None => list.id_at(index(key)?)?,
        };
        let item = list.item(&id)?;
        match at.join(&id.to_string()) {
            Ok(path) => {
                let written = self.item_value(&path, item);
                self.read_in(reading, path, &written, keys)
            }
            // A path that exceeds the limits has no writes.
            Err(_) => Some(reading.value(pointer(item.value().to_value(), keys)?)),
        }
    }

    fn read_in_tree<R: Reading>(
        &self,
        reading: &R,
        at: &Path,
        tree: &Tree,
        key: &str,
        keys: &[Cow<'_, str>],
    ) -> Option<R::Found> {
        if let Some(id) = name(key) {
            return self.read_in_node(reading, at, &id, tree.created_value(&id)?, keys);
        }
        let node = tree.walk().nth(index(key)?)?;
        match keys.split_first() {
            None => reading.node(self, at, node),
            Some((field, keys)) if field == "value" => {
                self.read_in_node(reading, at, &node.id()?, node.created_value(), keys)
            }
            Some(_) => Some(reading.value(pointer(node.to_json_with(Value::Null), keys)?)),
        }
    }

    /// Reads the value at `keys` below the value of a node, which was created with `created`.
    fn read_in_node<R: Reading>(
        &self,
        reading: &R,
        at: &Path,
        node: &ElementId,
        created: &Json,
        keys: &[Cow<'_, str>],
    ) -> Option<R::Found> {
        match at.join(&node.to_string()) {
            Ok(path) => {
                let written = self.node_value(&path, created);
                self.read_in(reading, path, &written, keys)
            }
            // A path that exceeds the limits has no writes.
            Err(_) => Some(reading.value(pointer(created.to_value(), keys)?)),
        }
    }

    /// Returns `true` if there is a visible counter or set at a path.
    fn is_number_or_set(&self, path: &Path) -> bool {
        self.counters.shown(path.as_str()).is_some() || self.sets.shown(path.as_str()).is_some()
    }

    /// Converts the document to a JSON value.
    pub(super) fn build_root(&self) -> Value {
        self.build(&Path::root(), Some(self.root().to_value()))
    }

    /// Applies everything below a path, and the parts at the path, to the value at the path.
    /// `null` if there is nothing.
    fn build(&self, base: &Path, value: Option<Value>) -> Value {
        let mut value = value.unwrap_or_default();
        self.values.overlay(base, &mut value);
        let suffix = |path: &Path| path.as_str()[base.as_str().len()..].to_owned();
        for (path, counter) in self.counters.shown_in(base) {
            let suffix = suffix(path);
            let number = value.pointer(&suffix).and_then(Value::as_i64).unwrap_or(0);
            write_at(&mut value, &suffix, Some(number.wrapping_add(counter.value()).into()));
        }
        for (path, set) in self.sets.shown_in(base) {
            write_at(&mut value, &suffix(path), Some(set.to_json()));
        }
        // Nothing is shown below a list, text or tree.
        let is_open = |path: &Path| !self.is_covered(path, base);
        for (path, list) in self.lists.shown_in(base).filter(|(path, _)| is_open(path)) {
            write_at(&mut value, &suffix(path), Some(self.build_list(path, list)));
        }
        for (path, text) in self.texts.shown_in(base).filter(|(path, _)| is_open(path)) {
            write_at(&mut value, &suffix(path), Some(text.to_json()));
        }
        for (path, tree) in self.trees.shown_in(base).filter(|(path, _)| is_open(path)) {
            write_at(&mut value, &suffix(path), Some(self.build_tree(path, tree)));
        }
        value
    }

    /// Returns `true` if a list, text or tree is shown above a path, at or below another one.
    pub(super) fn is_covered(&self, path: &Path, base: &Path) -> bool {
        let mut above =
            ancestors(path.as_str()).take_while(|above| above.len() >= base.as_str().len());
        above.any(|above| {
            self.lists.shown(above).is_some()
                || self.texts.shown(above).is_some()
                || self.trees.shown(above).is_some()
        })
    }

    pub(super) fn build_list(&self, path: &Path, list: &List) -> Value {
        list.iter().map(|(id, item)| self.build_item(path, &id, item)).collect()
    }

    /// Returns the value of an item of the list at a path.
    pub(super) fn build_item(&self, path: &Path, id: &ElementId, item: &Item) -> Value {
        match path.join(&id.to_string()) {
            Ok(path) => {
                let written = self.item_value(&path, item).to_value();
                self.build(&path, Some(written))
            }
            // A path that exceeds the limits has no writes.
            Err(_) => item.value().to_value(),
        }
    }

    pub(super) fn build_tree(&self, path: &Path, tree: &Tree) -> Value {
        tree.walk().map(|node| self.build_node(path, node)).collect()
    }

    /// Returns an element of the JSON of the tree at a path.
    pub(super) fn build_node(&self, path: &Path, node: TreeNode<'_>) -> Value {
        let created = node.created_value();
        let path = node.id().and_then(|id| path.join(&id.to_string()).ok());
        let value = match path {
            Some(path) => {
                let written = self.node_value(&path, created).to_value();
                self.build(&path, Some(written))
            }
            // A path that exceeds the limits has no writes.
            None => created.to_value(),
        };
        node.to_json_with(value)
    }

    /// Returns the last write of the whole item at a path.
    pub(super) fn item_value<'a>(&'a self, path: &Path, item: &'a Item) -> Cow<'a, Json> {
        if self.values.latest_write(path.as_str()) <= item.written() {
            return Cow::Borrowed(item.value());
        }
        match self.values.get(path.as_str()) {
            Some(value) => Cow::Borrowed(value),
            None => Cow::Borrowed(&NULL),
        }
    }

    /// Returns the last write of the whole node at a path, which was created with `created`. The
    /// creation is before all writes.
    pub(super) fn node_value<'a>(&'a self, path: &Path, created: &'a Json) -> Cow<'a, Json> {
        match self.values.written_at(path.as_str()) {
            Some(Some(value)) => Cow::Borrowed(value),
            Some(None) => Cow::Borrowed(&NULL),
            None => Cow::Borrowed(created),
        }
    }
}

/// Returns the value at `keys` in a value, as a JSON Pointer.
fn pointer(mut value: Value, keys: &[Cow<'_, str>]) -> Option<Value> {
    for key in keys {
        value = match value {
            Value::Object(mut object) => object.remove(&**key)?,
            Value::Array(mut items) => {
                let index = index(key).filter(|index| *index < items.len())?;
                items.swap_remove(index)
            }
            _ => return None,
        };
    }
    Some(value)
}

/// Reads an index of a JSON Pointer.
pub(super) fn index(key: &str) -> Option<usize> {
    let is_canonical = key == "0" || key.starts_with(|first: char| matches!(first, '1'..='9'));
    key.parse().ok().filter(|_| is_canonical)
}

/// Reads the name of an item or node. The key is not escaped.
pub(super) fn name(key: &str) -> Option<ElementId> {
    if key.starts_with('@') { key.parse().ok() } else { None }
}

/// Converts text that is part of a [`Json`].
fn checked_value(text: &str) -> Value {
    Json::checked(text).to_value()
}
