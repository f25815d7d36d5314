//! When a field of a record equals a value of a filter.
//!
//! As for JavaScript's `===`: texts by their characters, however they were escaped; numbers as doubles, so `1` equals `1.0` and
//! `9007199254740993` equals `9007199254740992`. Arrays and objects, which JavaScript never finds equal, by their text without
//! blanks.

use crate::json::Json;

/// Whether two values are equal. O(length).
pub fn equal(a: &Json, b: &Json) -> bool {
    a == b || canonical(a) == canonical(b)
}

/// A number that is the same for equal values of one field of one collection, and hardly for others. It is stored, so it may never
/// change: FNV-1a of 64 bits over the three, with a byte between them that no text has.
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

/// One text for all ways to write a value.
fn canonical(value: &Json) -> String {
    let text = value.as_str().trim_ascii();
    match text.as_bytes().first() {
        Some(b'"') => value
            .parse::<String>()
            .ok()
            .and_then(|text| Some(Json::from_value(&text).ok()?.to_string())),
        // `+ 0.0` makes −0 to 0, which JavaScript finds equal.
        Some(b'-' | b'0'..=b'9') => {
            value.parse::<f64>().ok().map(|number| (number + 0.0).to_string())
        }
        Some(b'{' | b'[') => Some(without_blanks(text)),
        _ => None,
    }
    .unwrap_or_else(|| text.to_owned())
}

fn without_blanks(text: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let kept = text.chars().filter(|&char| {
        let keep = quoted || !char.is_ascii_whitespace();
        (quoted, escaped) = match char {
            _ if escaped => (quoted, false),
            '\\' => (quoted, quoted),
            '"' => (!quoted, false),
            _ => (quoted, false),
        };
        keep
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_found_by_their_hash() {
        let same = [
            ["1", "1.0"],
            ["1e2", " 100 "],
            ["-0", "0"],
            ["9007199254740993", "9007199254740992"],
            [r#""\u0061\"""#, r#""a\"""#],
            [r#"{"a": [1, " \" "]}"#, r#"{"a":[1," \" "]}"#],
            ["null", " null"],
            [r#""\ud83d""#, r#""\ud83d" "#],
        ];
        for [a, b] in same.map(|pair| pair.map(|text| Json::new(text).unwrap())) {
            assert!(equal(&a, &b) && hash("c", "k", &a) == hash("c", "k", &b), "{a} and {b}");
        }
        let different = [
            ["1", r#""1""#],
            ["0", "null"],
            ["false", "null"],
            [r#""a""#, r#""A""#],
            ["[1]", "[2]"],
            ["[]", "{}"],
        ];
        for [a, b] in different.map(|pair| pair.map(|text| Json::new(text).unwrap())) {
            assert!(!equal(&a, &b) && hash("c", "k", &a) != hash("c", "k", &b), "{a} and {b}");
        }
    }

    #[test]
    fn the_hash_is_pinned() {
        let value = Json::new(r#""10""#).unwrap();
        assert_eq!(hash("tasks", "projectId", &value), -4_313_530_266_887_885_876);
        assert_ne!(hash("task", "sprojectId", &value), hash("tasks", "projectId", &value));
    }
}
