//! Equality of a field of a record and a value of a filter.
//!
//! It follows JavaScript's `===`: strings are compared decoded, without regard to escapes; numbers
//! are compared as doubles, so `1` equals `1.0` and `9007199254740993` equals `9007199254740992`.
//! Arrays and objects, which are never equal in JavaScript, are compared as text without white
//! space.

use std::collections::HashMap;

use crate::json::{Json, JsonObject, without_whitespace};

/// Returns `true` if two values are equal. O(length).
pub fn equal(a: &Json, b: &Json) -> bool {
    a == b || canonical(a) == canonical(b)
}

/// A value in the form that all equal values share, to compare one value with many. O(length) to
/// create.
///
/// ```
/// use logux::{Json, record::matching::Comparable};
/// assert_eq!(Comparable::new(&Json::new("1.0")?), Comparable::new(&Json::new("1")?));
/// # Ok::<(), logux::json::JsonError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparable(Box<str>);

impl Comparable {
    /// Converts a value.
    pub fn new(value: &Json) -> Self {
        Self(canonical(value).into())
    }

    /// Converts the values of an object.
    pub fn fields(object: &JsonObject) -> HashMap<Box<str>, Self> {
        object.iter().map(|(key, value)| (key.into(), Self::new(value))).collect()
    }
}

/// Returns a hash of a value of one field of one collection, the same for equal values. O(length).
///
/// Databases store it, so the function must not change: 64-bit FNV-1a over the collection, the key
/// and the value, separated by the byte 0xFF, which does not occur in UTF-8.
pub fn hash(collection: &str, key: &str, value: &Json) -> i64 {
    let value = canonical(value);
    let bytes =
        collection.bytes().chain([0xFF]).chain(key.bytes()).chain([0xFF]).chain(value.bytes());
    bytes
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        })
        .cast_signed()
}

/// Returns the same text for all JSON forms of a value.
fn canonical(value: &Json) -> String {
    let text = value.as_str().trim_ascii();
    match text.as_bytes().first() {
        Some(b'"') => value
            .parse::<String>()
            .ok()
            .and_then(|text| Some(Json::from_value(&text).ok()?.to_string())),
        // `+ 0.0` converts −0 to 0: they are equal in JavaScript.
        Some(b'-' | b'0'..=b'9') => {
            value.parse::<f64>().ok().map(|number| (number + 0.0).to_string())
        }
        Some(b'{' | b'[') => Some(without_whitespace(text)),
        _ => None,
    }
    .unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_equal_hashes() {
        let equal_pairs = [
            ["1", "1.0"],
            ["1e2", " 100 "],
            ["-0", "0"],
            ["9007199254740993", "9007199254740992"],
            [r#""\u0061\"""#, r#""a\"""#],
            [r#"{"a": [1, " \" "]}"#, r#"{"a":[1," \" "]}"#],
            ["null", " null"],
            [r#""\ud83d""#, r#""\ud83d" "#],
        ];
        for [a, b] in equal_pairs.map(|pair| pair.map(|text| Json::new(text).unwrap())) {
            assert!(equal(&a, &b) && hash("c", "k", &a) == hash("c", "k", &b), "{a} and {b}");
        }
        let different_pairs = [
            ["1", r#""1""#],
            ["0", "null"],
            ["false", "null"],
            [r#""a""#, r#""A""#],
            ["[1]", "[2]"],
            ["[]", "{}"],
        ];
        for [a, b] in different_pairs.map(|pair| pair.map(|text| Json::new(text).unwrap())) {
            assert!(!equal(&a, &b) && hash("c", "k", &a) != hash("c", "k", &b), "{a} and {b}");
        }
    }

    #[test]
    fn the_hash_never_changes() {
        let value = Json::new(r#""10""#).unwrap();
        assert_eq!(hash("tasks", "projectId", &value), -4_313_530_266_887_885_876);
        assert_ne!(hash("task", "sprojectId", &value), hash("tasks", "projectId", &value));
    }
}
