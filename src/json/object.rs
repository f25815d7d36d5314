//! JSON objects that keep the order of their keys.

use core::fmt;
use std::sync::Arc;

use indexmap::IndexMap;

use super::{Cursor, Json, JsonError, decode, write_string};

/// A JSON object with its keys in insertion order, used for additional meta keys and for the fields
/// of a record. An empty object allocates nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct JsonObject(Option<Box<IndexMap<Arc<str>, Json>>>);

impl JsonObject {
    /// Parses an object. The last of duplicate keys wins. O(length).
    ///
    /// # Errors
    /// [`JsonError`] if `text` is not a JSON object, or if a key has a lone surrogate.
    pub fn from_json(text: &str) -> Result<Self, JsonError> {
        let mut object = Self::default();
        let mut cursor = Cursor::new(text);
        cursor.object(|cursor, key| {
            let Some(key) = decode(key) else {
                return cursor.expected("a key without lone surrogates");
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

    /// Removes a key and returns its value. Preserves the order of the other keys. O(number of
    /// keys).
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
    fn keeps_keys_in_insertion_order() {
        let text = r#"{"z":1,"a":{"b":"\ud83d"},"c\"d":[]}"#;
        let mut object = JsonObject::from_json(text).unwrap();
        assert_eq!(object.to_json(), text);
        assert_eq!(object.get("a").unwrap().as_str(), r#"{"b":"\ud83d"}"#);
        assert!(object.remove("z").is_some() && object.remove("z").is_none());
        assert_eq!(object.to_json(), r#"{"a":{"b":"\ud83d"},"c\"d":[]}"#);
        assert!(
            JsonObject::from_json("{}").unwrap().is_empty() && JsonObject::from_json("[]").is_err()
        );
    }
}
