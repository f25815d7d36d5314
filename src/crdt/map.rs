//! Values under paths, and the last write wins for each.

use std::sync::Arc;

use im::OrdMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    crdt::Crdt,
    path::{Path, above, split_key, unescape, within},
};
use crate::{
    action::Stamp,
    replay::{Malformed, Obsolete},
};

/// A JSON object whose fields are last-write-wins registers: the LWW-element dictionary, with paths into nested objects.
///
/// Writing at a path replaces everything below it that was written before; a later write below stays, and makes an object of whatever is
/// there. Deleting is writing nothing. Arrays are values as a whole. So the state is what writing in the order of stamps would give.
///
/// ```
/// use logux::{Stamp, WallTime, crdt::{Crdt, Map}};
/// use serde_json::json;
///
/// let at = |ms| Stamp::new(WallTime::from_millis(ms), format!("{ms} 10:a:b 0").parse().unwrap());
/// let mut map = Map::default();
/// map.set(&"/author/name".parse()?, json!("Ada"), &at(3));
/// map.set(&"/author".parse()?, json!({"name": "?", "born": 1815}), &at(2)); // came late
/// assert_eq!(map.to_json(), json!({"author": {"born": 1815, "name": "Ada"}}));
/// # Ok::<(), logux::crdt::PathError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Map {
    fields: OrdMap<Path, Field>,
    /// How many paths are not one key long: where there are none, nothing can hide anything.
    deep: usize,
}

/// The last write at a path. The value of a hidden one is dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Field {
    #[serde(rename = "t")]
    stamp: Stamp,
    #[serde(
        rename = "v",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "written"
    )]
    value: Option<Arc<Value>>,
}

/// Reads a value that is there, also `null`.
fn written<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Arc<Value>>, D::Error> {
    Arc::deserialize(deserializer).map(Some)
}

impl Map {
    /// The value written at a path, as long as nothing above it was written later. O(depth · log n).
    pub fn get(&self, path: &str) -> Option<&Value> {
        let field = self.fields.get(path)?;
        field.value.as_deref().filter(|_| self.floor(path).is_none_or(|floor| *floor < field.stamp))
    }

    /// Writes at a path. Returns whether the value can be seen. O(depth · log n + what it hides).
    pub fn set(&mut self, path: &Path, value: impl Into<Arc<Value>>, stamp: &Stamp) -> bool {
        self.write(path, Some(value.into()), stamp)
    }

    /// Takes away what is at a path and below it. Returns whether that changed something.
    pub fn delete(&mut self, path: &Path, stamp: &Stamp) -> bool {
        self.write(path, None, stamp)
    }

    /// Whether nothing can be seen.
    pub fn is_empty(&self) -> bool {
        self.to_json().as_object().is_some_and(serde_json::Map::is_empty)
    }

    /// The last write at a place or above it. What is older than that, at the place and below, is hidden.
    pub(super) fn last_at(&self, path: &str) -> Option<&Stamp> {
        self.fields.get(path).map(|field| &field.stamp).max(self.floor(path))
    }

    fn floor(&self, path: &str) -> Option<&Stamp> {
        if self.deep == 0 && path.rfind('/') == Some(0) {
            return None;
        }
        above(path).filter_map(|above| self.fields.get(above)).map(|field| &field.stamp).max()
    }

    fn write(&mut self, path: &Path, value: Option<Arc<Value>>, stamp: &Stamp) -> bool {
        let hidden = self.floor(path.as_str()).is_some_and(|floor| floor >= stamp);
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
            let below: Vec<Path> = self
                .below(path)
                .filter(|(_, field)| field.stamp < *stamp && field.value.is_some())
                .map(|(path, _)| path.clone())
                .collect();
            for path in below {
                if let Some(field) = self.fields.get_mut(&path) {
                    field.value = None;
                }
            }
        }
        !hidden
    }

    fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (&'a Path, &'a Field)> {
        within(&self.fields, path).filter(move |(own, _)| *own != path)
    }

    /// All paths at a place and below it, written or hidden.
    fn paths_from<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Path> {
        within(&self.fields, path).map(|(path, _)| path)
    }

    /// Lays what was written below `base`, and is not hidden, over a value.
    pub(super) fn lay_over(&self, base: &Path, value: &mut Value) {
        for (path, field) in self.below(base) {
            if self.last_at(path.as_str()) == Some(&field.stamp) {
                put(value, &path.as_str()[base.as_str().len()..], field.value.as_deref());
            }
        }
    }
}

/// Writes into a value, making objects on the way.
pub(super) fn put(value: &mut Value, path: &str, new: Option<&Value>) {
    if path.is_empty() {
        *value = new.cloned().unwrap_or(Value::Null);
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
            (true, Some(new)) => drop(object.insert(key.into_owned(), new.clone())),
            (false, None) => {
                if let Some(inner) = object.get_mut(&*key) {
                    put(inner, rest, None);
                }
            }
            (false, Some(_)) => put(object.entry(key).or_insert(Value::Null), rest, new),
        }
    }
}

/// What can be done to a [`Map`]: `{"op":"set","path":"/title","value":…}`, `{"op":"delete","path":"/title"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase")]
pub enum MapOp {
    /// Write at a path.
    Set {
        /// Where.
        path: Path,
        /// What.
        value: Arc<Value>,
    },
    /// Take away what is at a path and below it.
    Delete {
        /// Where.
        path: Path,
    },
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
    const VERSION: u32 = 1;

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
            .and_then(|field| field.value.as_deref().cloned())
            .unwrap_or_else(|| Value::Object(<_>::default()));
        self.lay_over(&Path::root(), &mut value);
        value
    }

    fn diff(&self, after: &Self, part: &mut dyn FnMut(Path)) {
        diff_keys(&self.fields, &after.fields, |path| part(path.clone()));
    }

    fn slots(op: &MapOp, _: &Stamp, slot: &mut dyn FnMut(Arc<str>)) {
        slot(op.path().text().clone());
    }

    fn obsolete(
        &self,
        op: &MapOp,
        stamp: &Stamp,
        settled: &dyn Fn(&Stamp) -> bool,
        tell: &mut dyn FnMut(Obsolete),
    ) {
        let last = self.last_at(op.path().as_str()).filter(|last| settled(last)).unwrap_or(stamp);
        for path in self.paths_from(op.path()) {
            tell(Obsolete::Before(path.text().clone(), last.clone()));
        }
    }
}

/// The keys at which two maps differ. Costs what differs, where they share the rest.
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
    fn what_is_below_is_one_stretch() {
        let stamp: Stamp = serde_json::from_str(r#""1 a 0""#).unwrap();
        let mut map = Map::default();
        for text in ["/a", "/a!", "/a/b", "/a0", "/a/b/c", "/b"] {
            map.set(&text.parse().unwrap(), Value::Null, &stamp);
        }
        let above = "/a".parse().unwrap();
        let below: Vec<_> = map.below(&above).map(|(path, _)| path.as_str()).collect();
        assert_eq!(below, ["/a/b", "/a/b/c"]);
        assert_eq!(map.below(&Path::root()).count(), 6);
    }
}
