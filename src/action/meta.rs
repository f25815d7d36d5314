//! What a node knows about an action besides what happened.

use core::{cmp::Ordering, fmt};
use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{ActionId, Stamp, stamp};
use crate::{
    json::{Cursor, Json, JsonError, decode, write_count, write_string},
    time::WallTime,
};

/// A short list of names: reasons or indexes. Two names need no allocation for the list.
pub type Names = SmallVec<[Arc<str>; 2]>;

/// What a node knows about an action: its id and place in the order, why it is kept, and anything else under keys of your own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The id of the action.
    pub id: ActionId,
    /// When the action was created, as this node estimates it: clock differences are corrected when actions are exchanged.
    pub time: WallTime,
    /// The place in the order in which this node's store got its entries; `None` while it is not in a store.
    pub added: Option<u64>,
    /// The version of the application's own protocol that the creator spoke.
    pub subprotocol: Option<Subprotocol>,
    /// Why the log keeps the action. Without a reason it is not kept.
    pub reasons: Names,
    /// By what the action can be found besides its place in the order.
    pub indexes: Names,
    /// A reason that only the latest action may have: adding this one takes it from older ones.
    pub keep_last: Option<Arc<str>>,
    /// Anything else, under its JSON key.
    pub extra: Extra,
}

impl Meta {
    /// The meta of the action `id`, created when the id says, without reasons.
    pub fn new(id: ActionId) -> Self {
        Self {
            time: id.time(),
            id,
            added: None,
            subprotocol: None,
            reasons: Names::new(),
            indexes: Names::new(),
            keep_last: None,
            extra: Extra::default(),
        }
    }

    /// The action's place in the order.
    pub fn stamp(&self) -> Stamp {
        Stamp::new(self.time, self.id.clone())
    }

    /// Compares the [`stamp`](Self::stamp)s of two actions.
    pub fn cmp_stamp(&self, other: &Self) -> Ordering {
        stamp::cmp((self.time, &self.id), (other.time, &other.id))
    }

    /// Adds a reason to keep the action, once.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<Arc<str>>) -> Self {
        push_once(&mut self.reasons, reason.into());
        self
    }

    /// Adds an index, once.
    #[must_use]
    pub fn with_index(mut self, index: impl Into<Arc<str>>) -> Self {
        push_once(&mut self.indexes, index.into());
        self
    }

    /// Sets the corrected creation time.
    #[must_use]
    pub fn with_time(mut self, time: WallTime) -> Self {
        self.time = time;
        self
    }
}

pub(crate) fn push_once(names: &mut Names, name: Arc<str>) {
    if !names.contains(&name) {
        names.push(name);
    }
}

/// Meta keys that this library does not know, in the order in which they came.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Extra(Option<Box<IndexMap<Arc<str>, Json>>>);

impl Extra {
    /// Reads an object; where a key stands twice, the last counts.
    ///
    /// # Errors
    /// [`JsonError`] if the text is no JSON object, or a key holds half of a surrogate pair.
    pub fn from_json(text: &str) -> Result<Self, JsonError> {
        let mut extra = Self::default();
        let mut cursor = Cursor::new(text);
        cursor.object(|cursor, key| {
            let Some(key) = decode(key) else {
                return cursor.expected("a key of whole characters");
            };
            extra.set(&*key, Json::checked(cursor.value()?));
            Ok::<_, JsonError>(())
        })?;
        cursor.end()?;
        Ok(extra)
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.0.as_ref()?.get(key)
    }

    /// Puts a value under a key, in place of the one that was there.
    pub fn set(&mut self, key: impl Into<Arc<str>>, value: Json) {
        self.0.get_or_insert_default().insert(key.into(), value);
    }

    /// Takes a value away. The order of the others stays. O(number of keys).
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        let map = self.0.as_mut()?;
        let removed = map.shift_remove(key);
        if map.is_empty() {
            self.0 = None;
        }
        removed
    }

    /// Whether there are no keys.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().flat_map(|map| map.iter().map(|(key, value)| (&**key, value)))
    }

    /// All of it as one JSON object.
    pub fn to_json(&self) -> String {
        let mut out = String::from("{");
        for (key, value) in self.iter() {
            if out.len() > 1 {
                out.push(',');
            }
            write_string(&mut out, key);
            out.push(':');
            out.push_str(value.as_str());
        }
        out.push('}');
        out
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

/// The version of the application's own protocol: a number since protocol 5, a SemVer text in protocols 3 and 4.
///
/// In JSON: `3` or `"1.2.0"`. A missing one is `0`, or `"0.0.0"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Subprotocol {
    /// Of protocol 5.
    Number(u32),
    /// Of protocols 3 and 4.
    SemVer(Arc<str>),
}

impl fmt::Display for Subprotocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => fmt::Display::fmt(number, f),
            Self::SemVer(text) => f.write_str(text),
        }
    }
}

impl Subprotocol {
    /// Writes it as JSON.
    pub(crate) fn write_json(&self, out: &mut String) {
        match self {
            Self::Number(number) => write_count(out, (*number).into()),
            Self::SemVer(text) => write_string(out, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_unknown_keys_in_order() {
        let text = r#"{"z":1,"a":{"b":"\ud83d"},"c\"d":[]}"#;
        let mut extra = Extra::from_json(text).unwrap();
        assert_eq!(extra.to_json(), text);
        assert_eq!(extra.get("a").unwrap().as_str(), r#"{"b":"\ud83d"}"#);
        assert!(extra.remove("z").is_some() && extra.remove("z").is_none());
        assert_eq!(extra.to_json(), r#"{"a":{"b":"\ud83d"},"c\"d":[]}"#);
        assert!(Extra::from_json("{}").unwrap().is_empty() && Extra::from_json("[]").is_err());
    }
}
