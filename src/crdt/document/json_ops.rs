//! The operations of clients that know only the JSON of a document.

use serde_json::Value;

use super::{
    Document, DocumentOp, plain_ops,
    read::{index, name},
};
use crate::{
    action::NodeId,
    crdt::{
        crdt::Crdt,
        element::ElementId,
        json_op::{JsonOp, JsonOpError, JsonOpFault, MAX_READ, MadeOps},
        list::{List, ListError, ListOp},
        path::Path,
        restore::{OpCollector, RestoreError},
        sequence::Unit,
        shared::MAX_OPERATIONS,
        text::{Text, TextError, TextOp},
        touched::ValueShape,
        tree::{Tree, TreeError, TreeOp},
    },
    json::Json,
};

impl Document {
    pub(super) fn make_json_ops(
        &self,
        ops: &[JsonOp],
        author: &NodeId,
    ) -> Result<MadeOps<DocumentOp>, JsonOpError> {
        let collector = OpCollector::new(self, author);
        let mut translator = Translator { collector, paths: Vec::new(), read: 0 };
        for (index, op) in ops.iter().enumerate() {
            translator.add(op).map_err(|fault| JsonOpError::Op { index, fault })?;
            if translator.collector.ops.len() > MAX_OPERATIONS {
                return Err(JsonOpError::TooMany);
            }
        }
        let Translator { collector, mut paths, .. } = translator;
        paths.dedup();
        Ok(MadeOps { ops: collector.ops, paths })
    }
}

/// Where a JSON Pointer leads.
enum Target {
    /// To a value of the document. Its path has the names of items.
    Value(Path),
    /// Into an array that is written as a whole.
    InArray { array: Path, keys: Vec<String> },
}

/// Collects the operations that are made of those of a client.
pub(super) struct Translator {
    pub(super) collector: OpCollector<Document>,
    /// The paths that the client has changed.
    paths: Vec<Path>,
    /// The size of the values that were read, in bytes.
    read: usize,
}

pub(super) type Translated = Result<(), JsonOpFault>;

impl Translator {
    pub(super) const fn state(&self) -> &Document {
        &self.collector.state
    }

    pub(super) fn push(&mut self, op: DocumentOp) {
        self.collector.push(op);
    }

    /// Reads the value at a path.
    pub(super) fn value(&mut self, path: &Path) -> Result<Option<Value>, JsonOpFault> {
        let value = self.state().get(path);
        self.read += value.as_ref().map_or(0, size);
        if self.read > MAX_READ { Err(JsonOpFault::TooMuch) } else { Ok(value) }
    }

    fn add(&mut self, op: &JsonOp) -> Translated {
        match self.target(op.path())? {
            Target::InArray { array, keys } => {
                let mut value = self.value(&array)?.unwrap_or_default();
                plain_ops::edit_at(&mut value, &keys, op)?;
                self.write(&array, value)?;
                self.paths.push(array);
            }
            Target::Value(path) => {
                self.edit(&path, op)?;
                self.paths.push(path);
            }
        }
        Ok(())
    }

    /// Writes a value as a whole.
    fn write(&mut self, path: &Path, value: Value) -> Translated {
        if self.value(path)?.as_ref() != Some(&value) {
            self.push(DocumentOp::Set { path: path.clone(), value: value.into() });
        }
        Ok(())
    }

    /// Finds the value at a JSON Pointer, which may be missing in an object.
    fn target(&self, pointer: &Path) -> Result<Target, JsonOpFault> {
        let missing = || JsonOpFault::Missing(pointer.clone());
        let keys: Vec<_> = pointer.keys().collect();
        let mut at = Path::root();
        let mut rest = &keys[..];
        while let [key, below @ ..] = rest {
            rest = below;
            let state = self.state();
            let element = match state.shape_at(&at) {
                Some(ValueShape::Tree) => {
                    let tree = state.trees.shown(at.as_str()).ok_or_else(missing)?;
                    match name(key) {
                        Some(id) => Some(id).filter(|id| tree.contains(id)),
                        None => {
                            let [field, below @ ..] = rest else { return Err(missing()) };
                            rest = below;
                            let node = index(key).and_then(|index| tree.walk().nth(index));
                            node.filter(|_| field == "value").and_then(|node| node.id())
                        }
                    }
                    .ok_or_else(missing)?
                }
                Some(ValueShape::List(_)) => {
                    let list = state.lists.shown(at.as_str()).ok_or_else(missing)?;
                    let found = match name(key) {
                        Some(id) => list.index_of(&id).map(|_| id),
                        None => index(key).and_then(|index| list.id_at(index)),
                    };
                    found.ok_or_else(missing)?
                }
                Some(ValueShape::Array) if state.sets.shown(at.as_str()).is_none() => {
                    let keys = std::iter::once(key).chain(rest);
                    let keys = keys.map(|key| key.clone().into_owned()).collect();
                    return Ok(Target::InArray { array: at, keys });
                }
                Some(ValueShape::Array) => {
                    return Err(JsonOpFault::Mismatch { path: at, expected: "no set" });
                }
                Some(ValueShape::String) if state.texts.shown(at.as_str()).is_some() => {
                    return Err(JsonOpFault::Mismatch { path: at, expected: "no text" });
                }
                _ if name(key).is_some() => return Err(missing()),
                _ => {
                    at = at.join(key).map_err(limit)?;
                    continue;
                }
            };
            at = at.join(&element.to_string()).map_err(limit)?;
        }
        Ok(Target::Value(at))
    }

    fn edit(&mut self, path: &Path, op: &JsonOp) -> Translated {
        match op {
            JsonOp::Set { value, .. } => self.set(path, value),
            JsonOp::Delete { .. } => self.delete(path),
            JsonOp::Increment { by, .. } => {
                match self.value(path)? {
                    None | Some(Value::Null) => {}
                    Some(number) if number.as_i64().is_some() => {}
                    Some(_) => return Err(mismatch(path, "a whole number")),
                }
                self.push(DocumentOp::Increment { path: path.clone(), by: *by });
                Ok(())
            }
            JsonOp::Insert { at, values, .. } => self.insert(path, *at, values),
            JsonOp::Remove { at, count, .. } if self.is_list(path) => {
                let len = self.list(path).len();
                check_range(*at, *count, len)?;
                if *count > MAX_OPERATIONS {
                    return Err(JsonOpFault::OutOfBounds { field: "count", max: MAX_OPERATIONS });
                }
                (0..*count).try_for_each(|_| {
                    self.edit_list(path, |list, author| list.remove_op(*at, author))
                })
            }
            JsonOp::Move { from, to, .. } if self.is_list(path) => {
                let max = self.list(path).len().saturating_sub(1);
                for (field, index) in [("from", *from), ("to", *to)] {
                    if index > max {
                        return Err(JsonOpFault::OutOfBounds { field, max });
                    }
                }
                if from == to {
                    return Ok(());
                }
                self.edit_list(path, |list, author| list.move_op(*from, *to, author))
            }
            JsonOp::Add { element, .. } => self.add_element(path, element),
            JsonOp::Discard { element, .. } if self.is_set(path) => {
                self.discard(path, element);
                Ok(())
            }
            JsonOp::InsertText { at, text, .. } => self.insert_text(path, *at, text),
            JsonOp::RemoveText { at, count, .. } if self.is_text(path) => {
                let len = self.state().text(path.as_str()).map_or(0, |text| text.len(Unit::Utf16));
                check_range(*at, *count, len)?;
                let range = *at..at.saturating_add(*count);
                self.edit_text(path, |text, author| {
                    Ok(text.remove_op(range, Unit::Utf16, author)?.into_iter().collect())
                })
            }
            JsonOp::CreateNode { parent, at, value, .. } => {
                match self.state().shape_at(path) {
                    None | Some(ValueShape::Null | ValueShape::Tree) => {}
                    Some(_) => return Err(mismatch(path, "a tree")),
                }
                self.edit_tree(path, |tree, author| {
                    let parent = parent.as_ref();
                    let at = at.unwrap_or_else(|| tree.child_count(parent));
                    tree.create_op(parent, at, value.clone(), author)
                })
            }
            JsonOp::MoveNode { node, parent, at, .. } => {
                if self.state().shape_at(path) != Some(ValueShape::Tree) {
                    return Err(mismatch(path, "a tree"));
                }
                self.move_node(path, node, parent.as_ref(), *at)
            }
            JsonOp::Remove { .. }
            | JsonOp::Move { .. }
            | JsonOp::Discard { .. }
            | JsonOp::RemoveText { .. } => {
                let shape = self.state().shape_at(path);
                if self.is_set(path)
                    || matches!(shape, Some(ValueShape::Tree | ValueShape::List(_)))
                    || self.is_text(path)
                {
                    return Err(mismatch(path, plain_ops::expected(op)));
                }
                let mut value = self.value(path)?;
                plain_ops::edit(value.as_mut(), op).map_err(|fault| fault.at(path))?;
                value.map_or(Ok(()), |value| self.write(path, value))
            }
        }
    }

    /// Removes a field, an item of a list, or a node of a tree.
    fn delete(&mut self, path: &Path) -> Translated {
        let author = self.collector.author.clone();
        let state = self.state();
        if let Some((above, key)) = path.as_str().rsplit_once('/')
            && let Some(id) = crate::crdt::path::item_id(key)
            && let Ok(above) = Path::new(above)
        {
            if let Some(tree) = state.trees.shown(above.as_str())
                && tree.contains(&id)
            {
                let ops = state.tree_ops(&above, &author, |tree| tree.remove_op(&id, &author));
                ops.map_err(limit)?.into_iter().for_each(|op| self.push(op));
                return Ok(());
            }
            let index = state.lists.shown(above.as_str()).and_then(|list| list.index_of(&id));
            let index = index.ok_or_else(|| JsonOpFault::Missing(path.clone()))?;
            return self.edit_list(&above, |list, author| list.remove_op(index, author));
        }
        if state.shape_at(path).is_some() {
            self.push(DocumentOp::Delete { path: path.clone() });
        }
        Ok(())
    }

    fn insert(&mut self, path: &Path, at: Option<usize>, values: &[Json]) -> Translated {
        // An array that is written as a whole becomes a list.
        let mut items = match self.state().shape_at(path) {
            Some(ValueShape::List(_)) => None,
            None | Some(ValueShape::Null) => Some(Vec::new()),
            Some(ValueShape::Array) if !self.is_set(path) => match self.value(path)? {
                Some(Value::Array(items)) => Some(items.into_iter().map(Json::from).collect()),
                _ => return Err(mismatch(path, "a list")),
            },
            _ => return Err(mismatch(path, "a list")),
        };
        let len = items.as_ref().map_or_else(|| self.list(path).len(), Vec::len);
        let at = at.unwrap_or(len);
        if at > len {
            return Err(JsonOpFault::OutOfBounds { field: "at", max: len });
        }
        if values.is_empty() {
            return Ok(());
        }
        match &mut items {
            Some(items) => {
                items.splice(at..at, values.iter().cloned());
                let items = std::mem::take(items);
                self.edit_list(path, |list, author| list.insert_all_op(0, items, author))
            }
            None => {
                self.edit_list(path, |list, author| list.insert_all_op(at, values.to_vec(), author))
            }
        }
    }

    fn add_element(&mut self, path: &Path, element: &std::sync::Arc<str>) -> Translated {
        let mut elements = Vec::new();
        match self.state().shape_at(path) {
            None | Some(ValueShape::Null) => {}
            Some(ValueShape::Array) if self.is_set(path) => {}
            // An array that is written as a whole becomes a set.
            Some(ValueShape::Array) => match self.value(path)? {
                Some(Value::Array(items)) => {
                    for item in items {
                        let Value::String(item) = item else {
                            return Err(mismatch(path, "a set of strings"));
                        };
                        elements.push(item.into());
                    }
                }
                _ => return Err(mismatch(path, "a set")),
            },
            _ => return Err(mismatch(path, "a set")),
        }
        elements.push(element.clone());
        for element in elements {
            let set = self.state().sets.shown(path.as_str());
            if !set.is_some_and(|set| set.contains(&element)) {
                self.push(DocumentOp::Add { path: path.clone(), element });
            }
        }
        Ok(())
    }

    pub(super) fn discard(&mut self, path: &Path, element: &str) {
        // An operation removes a part of the additions.
        while self.state().sets.get(path.as_str()).is_some_and(|set| set.contains(element)) {
            let op = self.state().discard_op(path, element);
            self.push(op);
        }
    }

    fn insert_text(&mut self, path: &Path, at: Option<usize>, inserted: &str) -> Translated {
        if self.is_text(path) {
            let len = self.state().text(path.as_str()).map_or(0, |text| text.len(Unit::Utf16));
            let at = at.unwrap_or(len);
            if at > len {
                return Err(JsonOpFault::OutOfBounds { field: "at", max: len });
            }
            if inserted.is_empty() {
                return Ok(());
            }
            return self.edit_text(path, |text, author| {
                Ok(vec![text.insert_op(at, inserted, Unit::Utf16, author)?])
            });
        }
        // A string that is written as a whole becomes a text.
        let mut text = match self.value(path)? {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(_) => return Err(mismatch(path, "a text")),
        };
        plain_ops::insert_text(&mut text, at, inserted)?;
        self.edit_text(path, |own, author| own.new_ops(&text, author))
    }

    fn move_node(
        &mut self,
        path: &Path,
        node: &ElementId,
        parent: Option<&ElementId>,
        at: Option<usize>,
    ) -> Translated {
        let Some(tree) = self.state().tree(path.as_str()) else { return Ok(()) };
        let is_below = tree.contains(node) && tree.parent(node).as_ref() == parent;
        let at = at.unwrap_or_else(|| tree.child_count(parent) - usize::from(is_below));
        if is_below && tree.index_of(node) == Some(at) {
            return Ok(());
        }
        self.edit_tree(path, |tree, author| tree.move_op(node, parent, at, author))
    }

    fn list(&self, path: &Path) -> std::borrow::Cow<'_, List> {
        super::restore::part_or_new(&self.state().lists, path)
    }

    fn is_list(&self, path: &Path) -> bool {
        matches!(self.state().shape_at(path), Some(ValueShape::List(_)))
    }

    fn is_set(&self, path: &Path) -> bool {
        self.state().shape_at(path) == Some(ValueShape::Array)
            && self.state().sets.shown(path.as_str()).is_some()
    }

    fn is_text(&self, path: &Path) -> bool {
        self.state().shape_at(path) == Some(ValueShape::String)
            && self.state().texts.shown(path.as_str()).is_some()
    }

    pub(super) fn edit_list(
        &mut self,
        path: &Path,
        make: impl FnOnce(&List, &NodeId) -> Result<ListOp, ListError>,
    ) -> Translated {
        let author = self.collector.author.clone();
        let op = self.state().list_op(path, &author, |list| make(list, &author)).map_err(limit)?;
        self.push(op);
        Ok(())
    }

    pub(super) fn edit_text(
        &mut self,
        path: &Path,
        make: impl FnOnce(&Text, &NodeId) -> Result<Vec<TextOp>, TextError>,
    ) -> Translated {
        let author = self.collector.author.clone();
        let ops = self.state().text_ops(path, &author, |text| make(text, &author));
        ops.map_err(limit)?.into_iter().for_each(|op| self.push(op));
        Ok(())
    }

    fn edit_tree(
        &mut self,
        path: &Path,
        make: impl FnOnce(&Tree, &NodeId) -> Result<TreeOp, TreeError>,
    ) -> Translated {
        let author = self.collector.author.clone();
        let ops = self.state().tree_ops(path, &author, |tree| make(tree, &author));
        ops.map_err(JsonOpFault::Tree)?.into_iter().for_each(|op| self.push(op));
        Ok(())
    }
}

/// Returns the approximate size of a value, in bytes.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 8,
        Value::Array(items) => items.iter().map(size).sum::<usize>() + 8,
        Value::Object(fields) => {
            fields.iter().map(|(key, field)| key.len() + size(field)).sum::<usize>() + 8
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

pub(super) fn limit(error: impl Into<RestoreError>) -> JsonOpFault {
    JsonOpFault::Limit(error.into())
}

pub(super) fn mismatch(path: &Path, expected: &'static str) -> JsonOpFault {
    JsonOpFault::Mismatch { path: path.clone(), expected }
}

/// Checks that `count` items from an index on are within a length.
pub(super) fn check_range(at: usize, count: usize, len: usize) -> Translated {
    if at > len {
        return Err(JsonOpFault::OutOfBounds { field: "at", max: len });
    }
    if count > len - at {
        return Err(JsonOpFault::OutOfBounds { field: "count", max: len - at });
    }
    Ok(())
}
