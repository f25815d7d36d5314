//! The JSON of a state for followers that do not know its type: the value at first, then the values
//! that have changed.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{
    crdt::Crdt,
    map::write_at,
    path::{Path, ancestors, subtree_set},
    view::is_field,
};

/// The number of changes at a time. More become a change of the whole value.
const MAX_CHANGES: usize = 1_000;

/// A change of a JSON value: `{"path":"/title","value":"New"}`, or `{"path":"/title"}` for what is
/// removed. It is idempotent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JsonChange {
    /// The path of the value, as a JSON Pointer. The values above it are objects.
    pub path: Path,
    /// The value. `None`: it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub value: Option<Value>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl JsonChange {
    /// Changes a value. What is above the path and no object becomes one, except for a removal.
    pub fn apply_to(&self, json: &mut Value) {
        write_at(json, self.path.as_str(), self.value.clone());
    }
}

/// What the followers of the JSON of a state have. They all receive the same changes, and may
/// receive values apart from the others in between: one that joins the whole value, and the author
/// of a change the values that it has changed.
///
/// ```
/// use logux::{Stamp, WallTime, crdt::{Crdt, Document, JsonFeed}};
/// use serde_json::json;
///
/// let at = |ms| Stamp::new(WallTime::from_millis(ms), format!("{ms} 10:a:b 0").parse().unwrap());
/// let mut note = Document::default();
/// note.set(&"/title".parse()?, json!("Old"), &at(1));
/// let mut feed = JsonFeed::new(note.clone());
/// let mut follower = feed.join(&note);
///
/// note.set(&"/title".parse()?, json!("New"), &at(2));
/// note.edit_list(&"/tasks".parse()?, &at(3), |list| list.push_op(json!("Call"), at(3).id()))?;
/// let changes = feed.changes(note);
/// assert_eq!(
///     serde_json::to_value(&changes)?,
///     json!([{"path": "/tasks", "value": ["Call"]}, {"path": "/title", "value": "New"}])
/// );
/// changes.iter().for_each(|change| change.apply_to(&mut follower));
/// assert_eq!(follower, json!({"title": "New", "tasks": ["Call"]}));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct JsonFeed<C> {
    /// The state that all followers have, except at `apart`.
    sent: C,
    /// The places at which a follower may have something else.
    apart: Places,
}

impl<C: Crdt> JsonFeed<C> {
    /// Creates a feed without followers, for a state.
    pub fn new(state: C) -> Self {
        Self { sent: state, apart: Places::default() }
    }

    /// Returns the JSON of a state for one more follower. O(n).
    pub fn join(&mut self, state: &C) -> Value {
        let mut changed = Vec::new();
        self.sent.diff_paths(state, &mut |path| changed.push(path));
        for path in changed {
            let place = self.place(state, path);
            self.apart.insert(place);
        }
        state.to_json()
    }

    /// Returns the values of a state at these paths for one follower, also unchanged ones. They are
    /// the values at smaller paths where only these can be written.
    pub fn values_at<'a>(
        &mut self,
        state: &C,
        paths: impl IntoIterator<Item = &'a Path>,
    ) -> Vec<JsonChange> {
        let mut places = Places::default();
        for path in paths {
            places.insert(self.place(state, path.clone()));
        }
        places.0.iter().for_each(|place| self.apart.insert(place.clone()));
        values(state, places)
    }

    /// Returns what changes for all followers, which have a state afterwards. Fields of objects are
    /// changed one by one; other values as a whole. O(what has changed, with the values around it).
    pub fn changes(&mut self, state: C) -> Vec<JsonChange> {
        let mut places = Places::default();
        for place in core::mem::take(&mut self.apart).0 {
            places.insert(self.place(&state, place));
        }
        let mut changed = Vec::new();
        self.sent.diff_paths(&state, &mut |path| changed.push(path));
        let mut different = Places::default();
        for path in changed {
            different.insert(self.place(&state, path));
        }
        for place in different.0 {
            if !places.has(&place) {
                let [own, other] = [&self.sent, &state].map(|document| document.value_at(&place));
                compare(&place, own.as_ref(), other.as_ref(), &mut |path| places.insert_few(path));
            }
        }
        self.sent = state;
        if places.0.len() > MAX_CHANGES {
            places = Places::of(Path::root());
        }
        values(&self.sent, places)
    }

    /// Returns the place to write the value at a path: it and everything above it are objects in
    /// what all followers have, and in `state`.
    fn place(&self, state: &C, path: Path) -> Path {
        let mut place = path;
        loop {
            let apart = self.apart.above(&place).unwrap_or(place);
            let next = [&self.sent, state].map(|state| state.json_place(&apart));
            let [sent, new] = next;
            let next = if sent.as_str().len() <= new.as_str().len() { sent } else { new };
            if next == apart {
                return next;
            }
            place = next;
        }
    }
}

fn values<C: Crdt>(state: &C, places: Places) -> Vec<JsonChange> {
    let change = |path: Path| JsonChange { value: state.value_at(&path), path };
    let changes = places.0.into_iter().map(change);
    // The whole value cannot be removed.
    changes
        .map(|change| match &change.value {
            None if change.path.as_str().is_empty() => {
                JsonChange { value: Some(Value::Null), ..change }
            }
            _ => change,
        })
        .collect()
}

/// Calls `found` with the paths of the fields that differ, or that of a value that is no object.
fn compare(
    path: &Path,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut impl FnMut(Path),
) {
    if before == after {
        return;
    }
    if let (Some(Value::Object(own)), Some(Value::Object(other))) = (before, after) {
        let keys: BTreeSet<&String> = own.keys().chain(other.keys()).collect();
        let below = |key: &&String| path.join(key).ok().filter(|_| is_field(key));
        if let Some(paths) = keys.iter().map(below).collect::<Option<Vec<_>>>() {
            for (key, path) in keys.into_iter().zip(paths) {
                compare(&path, own.get(key), other.get(key), found);
            }
            return;
        }
    }
    found(path.clone());
}

/// Paths, of which none is below another.
#[derive(Clone, Debug, Default)]
struct Places(BTreeSet<Path>);

impl Places {
    fn of(path: Path) -> Self {
        Self(BTreeSet::from([path]))
    }

    /// Returns the place at or above a path.
    fn above(&self, path: &Path) -> Option<Path> {
        let mut above = core::iter::once(path.as_str()).chain(ancestors(path.as_str()));
        above.find_map(|above| self.0.get(above)).cloned()
    }

    fn has(&self, path: &Path) -> bool {
        self.above(path).is_some()
    }

    /// Adds a path. Very many become the root.
    fn insert(&mut self, path: Path) {
        self.insert_few(path);
        if self.0.len() > MAX_CHANGES {
            *self = Self::of(Path::root());
        }
    }

    fn insert_few(&mut self, path: Path) {
        if self.has(&path) {
            return;
        }
        for below in subtree_set(&self.0, &path) {
            self.0.remove(&below);
        }
        self.0.insert(path);
    }
}
