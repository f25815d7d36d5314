//! Values at paths; the last write wins, for each path.

use im::OrdMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    crdt::{Crdt, MissingField, deserialize_present, required},
    path::{
        Path, ancestors, ancestors_in_item, is_within_item, items, split_key, subtree, unescape,
    },
    restore::{OpCollector, RestoreError},
    saving::{LoadError, StateReader, StateWriter, base64::impl_serde},
    view::{PartView, ValueEditor, View, restore_value},
};
use crate::{
    action::{NodeId, Stamp},
    json::Json,
    replay::{Coverage, Malformed},
};

/// A JSON object whose fields are last-write-wins registers: the LWW-element dictionary, with paths
/// into nested objects.
///
/// A write at a path replaces all earlier writes below it. A later write below the path stays, and
/// turns the value at the path into an object if it is none. A deletion is a write without a value.
/// Arrays are written as a whole. The state is therefore the result of all writes in the order of
/// their stamps.
///
/// A key with the form of an [`ElementId`](super::ElementId), such as `@10:a:b 0`, names an item of
/// a list or a node of a tree in a [`Document`](super::Document): what is written there is not part
/// of the value, and no write above it hides it.
///
/// ```
/// use logux::{Stamp, WallTime, crdt::{Crdt, Map}};
/// use serde_json::json;
///
/// let at = |ms| Stamp::new(WallTime::from_millis(ms), format!("{ms} 10:a:b 0").parse().unwrap());
/// let mut map = Map::default();
/// map.set(&"/author/name".parse()?, json!("Ada"), &at(3));
/// map.set(&"/author".parse()?, json!({"name": "?", "born": 1815}), &at(2)); // late
/// assert_eq!(map.to_json(), json!({"author": {"born": 1815, "name": "Ada"}}));
/// # Ok::<(), logux::crdt::PathError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    fields: OrdMap<Path, Field>,
    /// The number of paths that do not have exactly one key. If it is 0, no write hides another.
    deep: usize,
}

/// The last write at a path. If it is hidden by a write above, its value is dropped.
#[derive(Clone, Debug, PartialEq)]
struct Field {
    stamp: Stamp,
    value: Option<Json>,
}

impl Map {
    /// Returns the value that was written at a path, unless a path above was written later.
    /// O(depth · log n).
    pub fn get(&self, path: &str) -> Option<&Json> {
        let field = self.fields.get(path)?;
        field
            .value
            .as_ref()
            .filter(|_| self.latest_above(path).is_none_or(|above| *above < field.stamp))
    }

    /// Returns the visible write at a path: its value, or `None` for a deletion.
    pub(super) fn written_at(&self, path: &str) -> Option<Option<&Json>> {
        let field = self.fields.get(path)?;
        let is_hidden = self.latest_above(path).is_some_and(|above| *above >= field.stamp);
        (!is_hidden).then_some(field.value.as_ref())
    }

    /// Makes the operation that writes a value at a path.
    pub fn set_op(&self, path: &Path, value: impl Into<Json>) -> MapOp {
        MapOp::Set { path: path.clone(), value: value.into() }
    }

    /// Makes the operation that deletes the value at a path and everything below it.
    pub fn delete_op(&self, path: &Path) -> MapOp {
        MapOp::Delete { path: path.clone() }
    }

    /// Writes a value at a path. Returns `false` if a later write at the path or above it wins.
    /// O(depth · log n + number of writes below the path).
    pub fn set(&mut self, path: &Path, value: impl Into<Json>, stamp: &Stamp) -> bool {
        self.write(path, Some(value.into()), stamp)
    }

    /// Deletes the value at a path and everything below it. Returns `false` if a later write at the
    /// path or above it wins. Complexity as for [`set`](Self::set).
    pub fn delete(&mut self, path: &Path, stamp: &Stamp) -> bool {
        self.write(path, None, stamp)
    }

    /// Returns `true` if the JSON value is an empty object. O(n).
    pub fn is_empty(&self) -> bool {
        self.to_json().as_object().is_some_and(serde_json::Map::is_empty)
    }

    /// Returns the stamp of the last write at a path or above it, within the same item or node,
    /// which hides all earlier writes at the path and below.
    pub(super) fn latest_write(&self, path: &str) -> Option<&Stamp> {
        self.fields.get(path).map(|field| &field.stamp).max(self.latest_above(path))
    }

    /// Returns the stamp of the last write above a path, within the same item or node.
    fn latest_above(&self, path: &str) -> Option<&Stamp> {
        if self.deep == 0 && path.rfind('/') == Some(0) {
            return None;
        }
        let above = ancestors_in_item(path).filter_map(|above| self.fields.get(above));
        above.map(|field| &field.stamp).max()
    }

    fn write(&mut self, path: &Path, value: Option<Json>, stamp: &Stamp) -> bool {
        let hidden = self.latest_above(path.as_str()).is_some_and(|above| above >= stamp);
        let value = value.filter(|_| !hidden);
        match self.fields.get_mut(path) {
            Some(field) if field.stamp >= *stamp => return false,
            Some(field) => {
                field.stamp.clone_from(stamp);
                field.value = value;
            }
            None => {
                self.deep += usize::from(path.keys().count() != 1);
                self.fields.insert(path.clone(), Field { stamp: stamp.clone(), value });
            }
        }
        if self.deep > 0 && !hidden {
            let replaced: Vec<Path> = self
                .descendants(path)
                .filter(|(below, field)| {
                    field.stamp < *stamp && field.value.is_some() && !is_within_item(below, path)
                })
                .map(|(path, _)| path.clone())
                .collect();
            for path in replaced {
                if let Some(field) = self.fields.get_mut(&path) {
                    field.value = None;
                }
            }
        }
        !hidden
    }

    /// Forgets the deletions before the horizon that have no effect on an open operation and on a
    /// value that was written above them, also in an item of a list.
    pub(super) fn forget_deletions(&mut self, coverage: &Coverage) {
        let Some(horizon) = coverage.horizon() else { return };
        let is_needed = |path: &Path, field: &Field| {
            let mut above = ancestors(path.as_str()).filter_map(|above| self.fields.get(above));
            let is_within = |above: &Field| above.value.is_some() && above.stamp < field.stamp;
            field.value.is_some()
                || field.stamp.time() >= horizon
                || above.any(is_within)
                || items(path.as_str()).next().is_some()
        };
        let forgotten: Vec<Path> = self
            .fields
            .iter()
            .filter(|(path, field)| !is_needed(path, field))
            .map(|(path, _)| path.clone())
            .collect();
        for path in forgotten {
            self.remove_entry(&path);
        }
    }

    /// Drops what is known about a path.
    pub(super) fn remove_entry(&mut self, path: &Path) {
        if self.fields.remove(path).is_some() {
            self.deep -= usize::from(path.keys().count() != 1);
        }
    }

    /// Returns the paths of all writes, including hidden ones.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.fields.keys()
    }

    /// Returns the writes below a path, including hidden ones.
    fn descendants<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (&'a Path, &'a Field)> {
        subtree(&self.fields, path).filter(move |(key, _)| *key != path)
    }

    /// Returns `true` if a value was written below `base` that is visible, except in items of
    /// lists.
    pub(super) fn has_below(&self, base: &Path) -> bool {
        self.descendants(base).any(|(path, field)| {
            field.value.is_some()
                && self.latest_write(path.as_str()) == Some(&field.stamp)
                && !is_within_item(path, base)
        })
    }

    /// Applies the visible writes below `base` to a value, except those within items of lists.
    pub(super) fn overlay(&self, base: &Path, value: &mut Value) {
        self.for_writes_below(base, |path, written| {
            write_at(value, path, written.map(Json::to_value));
        });
    }

    /// Applies the visible writes below `base` to a value, as [`overlay`](Self::overlay) does.
    pub(super) fn overlay_view(&self, base: &Path, view: &mut View) {
        self.for_writes_below(base, |path, written| {
            view.write(path, written.map(|written| View::read(written.as_str())));
        });
    }

    fn for_writes_below(&self, base: &Path, mut each: impl FnMut(&str, Option<&Json>)) {
        for (path, field) in self.descendants(base) {
            if self.latest_write(path.as_str()) == Some(&field.stamp) && !is_within_item(path, base)
            {
                each(&path.as_str()[base.as_str().len()..], field.value.as_ref());
            }
        }
    }

    fn view(&self) -> View {
        let mut view = View::read(self.get("").map_or("{}", Json::as_str));
        self.overlay_view(&Path::root(), &mut view);
        view
    }
}

impl ValueEditor for OpCollector<Map> {
    fn set(&mut self, path: &Path, value: Json) {
        self.push(MapOp::Set { path: path.clone(), value });
    }

    fn delete(&mut self, path: &Path) {
        self.push(MapOp::Delete { path: path.clone() });
    }

    fn change(&mut self, _: &Path, _: &PartView, _: &PartView) -> Result<(), RestoreError> {
        Ok(())
    }

    fn create(&mut self, _: &Path, _: &PartView) -> Result<(), RestoreError> {
        Ok(())
    }
}

/// Writes `new` at a path inside of a value, or deletes what is there. Values above the path that
/// are not objects are replaced by objects, except by a deletion.
pub(super) fn write_at(value: &mut Value, path: &str, new: Option<Value>) {
    if path.is_empty() {
        *value = new.unwrap_or(Value::Null);
        return;
    }
    if !value.is_object() {
        if new.is_none() {
            return;
        }
        *value = Value::Object(serde_json::Map::new());
    }
    let (key, rest) = split_key(path);
    let key = unescape(key);
    if let Value::Object(object) = value {
        match (rest.is_empty(), new) {
            (true, None) => drop(object.remove(&*key)),
            (true, Some(new)) => drop(object.insert(key.into_owned(), new)),
            (false, None) => {
                if let Some(inner) = object.get_mut(&*key) {
                    write_at(inner, rest, None);
                }
            }
            (false, new) => write_at(object.entry(key).or_insert(Value::Null), rest, new),
        }
    }
}

/// An operation on a [`Map`]: `{"op":"set","path":"/title","value":…}`,
/// `{"op":"delete","path":"/title"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", try_from = "OpFields")]
pub enum MapOp {
    /// Writes a value at a path.
    Set {
        /// The path.
        path: Path,
        /// The value.
        value: Json,
    },
    /// Deletes the value at a path and everything below it.
    Delete {
        /// The path.
        path: Path,
    },
}

/// The fields of all [`MapOp`]s. An enum with a tag could not keep the text of the value.
#[derive(Deserialize)]
struct OpFields {
    op: OpName,
    path: Path,
    #[serde(default, deserialize_with = "deserialize_present")]
    value: Option<Json>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum OpName {
    Set,
    Delete,
}

impl TryFrom<OpFields> for MapOp {
    type Error = MissingField;

    fn try_from(OpFields { op, path, value }: OpFields) -> Result<Self, MissingField> {
        Ok(match op {
            OpName::Set => Self::Set { path, value: required("value", value)? },
            OpName::Delete => Self::Delete { path },
        })
    }
}

impl MapOp {
    const fn path(&self) -> &Path {
        match self {
            Self::Set { path, .. } | Self::Delete { path } => path,
        }
    }
}

impl Crdt for Map {
    type Op = MapOp;
    type Event = Path;
    type Part = Path;

    const NAME: &'static str = "map";
    const VERSION: u32 = 2;

    fn path(op: &MapOp) -> Option<&Path> {
        Some(op.path())
    }

    fn check(_: &MapOp) -> Result<(), Malformed> {
        Ok(())
    }

    fn apply(&mut self, op: &MapOp, stamp: &Stamp) -> Option<Path> {
        let changed = match op {
            MapOp::Set { path, value } => self.write(path, Some(value.clone()), stamp),
            MapOp::Delete { path } => self.write(path, None, stamp),
        };
        changed.then(|| op.path().clone())
    }

    fn to_json(&self) -> Value {
        let root = self.fields.get("");
        let mut value = root
            .and_then(|field| field.value.as_ref().map(Json::to_value))
            .unwrap_or_else(|| Value::Object(<_>::default()));
        self.overlay(&Path::root(), &mut value);
        value
    }

    fn diff(&self, after: &Self, part: &mut dyn FnMut(Path)) {
        diff_keys(&self.fields, &after.fields, |path| part(path.clone()));
    }

    fn restore_ops(&self, target: &Self, author: &NodeId) -> Result<Vec<MapOp>, RestoreError> {
        let mut collector = OpCollector::new(self, author);
        restore_value(&mut collector, &Path::root(), Some(&self.view()), &target.view())?;
        Ok(collector.ops)
    }

    fn settle(&mut self, coverage: &Coverage) {
        self.forget_deletions(coverage);
    }

    fn shift_times(&mut self, ms: i64) {
        let shifted = |(path, field): (&Path, &Field)| {
            (path.clone(), Field { stamp: field.stamp.shifted(ms), value: field.value.clone() })
        };
        self.fields = self.fields.iter().map(shifted).collect();
    }

    fn encode(&self, writer: &mut StateWriter) {
        writer.map(&self.fields, |writer, path, field| {
            path.encode(writer);
            writer.stamp(&field.stamp);
            writer.optional_json(field.value.as_ref());
        });
    }

    fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        let fields = reader.map(|reader| {
            let path = Path::decode(reader)?;
            let field = Field { stamp: reader.stamp()?, value: reader.optional_json()? };
            Ok((path, field))
        })?;
        let deep = fields.keys().filter(|path: &&Path| path.keys().count() != 1).count();
        Ok(Self { fields, deep })
    }
}

impl_serde!(Map);

/// Calls `key` with each key at which two maps differ. O(differences) if the maps share the rest.
pub(super) fn diff_keys<K: Ord + Clone, V: PartialEq + Clone>(
    before: &OrdMap<K, V>,
    after: &OrdMap<K, V>,
    mut key: impl FnMut(&K),
) {
    for item in before.diff(after) {
        match item {
            im::ordmap::DiffItem::Add(own, _) | im::ordmap::DiffItem::Remove(own, _) => key(own),
            im::ordmap::DiffItem::Update { old: (own, _), .. } => key(own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_those_below_the_path() {
        let stamp: Stamp = serde_json::from_str(r#""1 a 0""#).unwrap();
        let mut map = Map::default();
        for text in ["/a", "/a!", "/a/b", "/a0", "/a/b/c", "/b"] {
            map.set(&text.parse().unwrap(), Value::Null, &stamp);
        }
        let path = "/a".parse().unwrap();
        let below: Vec<_> = map.descendants(&path).map(|(path, _)| path.as_str()).collect();
        assert_eq!(below, ["/a/b", "/a/b/c"]);
        assert_eq!(map.descendants(&Path::root()).count(), 6);
    }
}
