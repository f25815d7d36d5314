//! JSON objects that keep the order of their keys.

use core::fmt;
use std::sync::Arc;

use indexmap::IndexMap;

use super::{Cursor, Json, JsonError, decode, write_string};

/// A JSON object with its keys in the order of their insertion: further keys of a meta, the fields of
/// a record. An empty object takes no allocation.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct JsonObject(Option<Box<IndexMap<Arc<str>, Json>>>);

impl JsonObject {
    /// Parses an object. Of duplicate keys the last one wins.
    ///
    /// # Errors
    /// [`JsonError`] if `text` is not a JSON object, or a key holds half of a surrogate pair.
    pub fn from_json(text: &str) -> Result<Self, JsonError> {
        let mut object = Self::default();
        let mut cursor = Cursor::new(text);
        cursor.object(|cursor, key| {
            let Some(key) = decode(key) else {
                return cursor.expected("a key of whole characters");
            };
            object.set(&*key, Json::checked(cursor.value()?));
            Ok::<_, JsonError>(())
        })?;
        cursor.end()?;
        Ok(object)
    }

    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.0.as_ref()?.get(key)
    }

    /// Sets the value of a key.
    pub fn set(&mut self, key: impl Into<Arc<str>>, value: Json) {
        self.0.get_or_insert_default().insert(key.into(), value);
    }

    /// Removes a key and returns its value. The order of the others stays. O(number of keys).
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        let map = self.0.as_mut()?;
        let removed = map.shift_remove(key);
        if map.is_empty() {
            self.0 = None;
        }
        removed
    }

    /// Returns `true` if the object has no keys.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns an iterator over the keys and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().flat_map(|map| map.iter().map(|(key, value)| (&**key, value)))
    }

    /// Returns the object as JSON text. O(length).
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

impl fmt::Debug for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_unknown_keys_in_order() {
        let text = r#"{"z":1,"a":{"b":"\ud83d"},"c\"d":[]}"#;
        let mut extra = JsonObject::from_json(text).unwrap();
        assert_eq!(extra.to_json(), text);
        assert_eq!(extra.get("a").unwrap().as_str(), r#"{"b":"\ud83d"}"#);
        assert!(extra.remove("z").is_some() && extra.remove("z").is_none());
        assert_eq!(extra.to_json(), r#"{"a":{"b":"\ud83d"},"c\"d":[]}"#);
        assert!(
            JsonObject::from_json("{}").unwrap().is_empty() && JsonObject::from_json("[]").is_err()
        );
    }
}
