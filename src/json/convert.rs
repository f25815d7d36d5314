//! Conversions between JSON text and the values of `serde_json`.

use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use super::{Cursor, Json, JsonError, MAX_DEPTH, key_is};

impl Json {
    /// Converts the text to a value of `serde_json`, as `JSON.parse` does in JavaScript. This is
    /// the only conversion of a [`Json`] that can lose something: white space, the notation of
    /// numbers, all but the last of duplicate keys. Numbers are the integers or the nearest doubles
    /// (`null` beyond the range of doubles, as `JSON.stringify` writes these); a lone surrogate
    /// becomes U+FFFD. O(length).
    pub fn to_value(&self) -> Value {
        // The text was checked.
        read_value(&mut Cursor::new(&self.0)).unwrap_or_default()
    }
}

/// Reads a value. Recursion is bounded, because a [`Json`] is nested at most `MAX_DEPTH` deep.
fn read_value(cursor: &mut Cursor<'_>) -> Result<Value, JsonError> {
    Ok(match cursor.peek() {
        Some(b'"') => Value::String(decode_lossy(cursor.raw_string()?)),
        Some(b'{') => {
            let mut object = Map::new();
            cursor.object(|cursor, key| {
                let value = read_value(cursor)?;
                object.insert(decode_lossy(key), value);
                Ok::<_, JsonError>(())
            })?;
            Value::Object(object)
        }
        Some(b'[') => {
            let mut items = Vec::new();
            cursor.array(|cursor| {
                items.push(read_value(cursor)?);
                Ok::<_, JsonError>(())
            })?;
            Value::Array(items)
        }
        Some(b'-' | b'0'..=b'9') => number(cursor.number()?),
        _ => match cursor.value()? {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::Null,
        },
    })
}

fn number(text: &str) -> Value {
    let is_integer = !text.contains(['.', 'e', 'E']) && text != "-0";
    if is_integer {
        if let Ok(number) = text.parse::<i64>() {
            return number.into();
        }
        if let Ok(number) = text.parse::<u64>() {
            return number.into();
        }
    }
    // The standard library rounds to the nearest double.
    text.parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

/// Decodes a checked string with its quotes. A lone surrogate becomes U+FFFD.
fn decode_lossy(raw: &str) -> String {
    if let Some(text) = super::decode(raw) {
        return text.into_owned();
    }
    let mut out = String::new();
    let mut rest = &raw[1..raw.len() - 1];
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        // A surrogate pair is decoded together.
        let unit = |at: usize| {
            let is_unit = rest.get(at..at + 2) == Some("\\u");
            let digits = rest.get(at + 2..at + 6).filter(|_| is_unit)?;
            u16::from_str_radix(digits, 16).ok()
        };
        let units: Vec<u16> = unit(at).into_iter().chain(unit(at + 6)).collect();
        let (decoded, length) = match units[..] {
            [high @ 0xD800..0xDC00, low @ 0xDC00..0xE000] => {
                (String::from_utf16_lossy(&[high, low]), 12)
            }
            [first, ..] if unit(at).is_some() => (String::from_utf16_lossy(&[first]), 6),
            _ => {
                let escape = format!("\"{}\"", &rest[at..at + 2]);
                (serde_json::from_str(&escape).unwrap_or_default(), 2)
            }
        };
        out.push_str(&decoded);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}

/// Returns the text of the value of a key of a checked object. The last of duplicate keys counts.
/// `None` if the value is not an object or does not have the key. O(length).
pub(crate) fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    let result: Result<_, JsonError> = Cursor::new(object).object(|cursor, key| {
        let value = cursor.value()?;
        if key_is(key, name) {
            found = Some(value);
        }
        Ok(())
    });
    result.ok().and(found)
}

/// Deserializes checked text. It is nested at most [`MAX_DEPTH`] deep.
pub(crate) fn parse_checked<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    parse_nested(text, MAX_DEPTH)
}

/// Deserializes text that may be nested at most `max_depth` deep. `serde_json` refuses text that is
/// nested deeper than 128 by default.
pub(crate) fn parse_nested<T: DeserializeOwned>(
    text: &str,
    max_depth: usize,
) -> Result<T, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| {
        let is_deep = Cursor::with_depth(text, 100).value().is_err();
        // The recursion is bounded only if the text is checked before.
        if is_deep && Cursor::with_depth(text, max_depth).value().is_ok() {
            let mut deserializer = serde_json::Deserializer::from_str(text);
            deserializer.disable_recursion_limit();
            T::deserialize(&mut deserializer)
        } else {
            Err(error)
        }
    })
}

/// A value of `serde_json` can always be written as JSON.
impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self::from(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(text: &str) -> Value {
        Json::new(text).unwrap().to_value()
    }

    #[test]
    fn numbers_are_the_nearest_doubles() {
        for text in [
            "0.1",
            "-0",
            "-0.0",
            "1.0",
            "1e21",
            "1.1e24",
            "5e-324",
            "8.41245e21",
            "2.2250738585072011e-308",
            "6.9294956446009195e15",
            "18446744073709551616",
            "9007199254740993.0",
            "-9223372036854775809",
        ] {
            let expected: f64 = text.parse().unwrap();
            assert_eq!(value(text).as_f64().map(f64::to_bits), Some(expected.to_bits()), "{text}");
        }
        assert_eq!(value("9007199254740993"), json!(9_007_199_254_740_993_i64));
        assert_eq!(value("18446744073709551615"), json!(u64::MAX));
        assert_eq!((value("1e400"), value("-1e400")), (Value::Null, Value::Null));
    }

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        for (text, expected) in [
            (r#""half \ud83d""#, "half \u{fffd}"),
            (r#""\ude00\ud83d\ude00\n\"\\x""#, "\u{fffd}\u{1f600}\n\"\\x"),
            (r#""\ud83d\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\u0041é""#, "\u{fffd}Aé"),
        ] {
            assert_eq!(value(text), json!(expected), "{text}");
        }
        assert_eq!(value(r#"{"\ud83d":[1]}"#), json!({"\u{fffd}": [1]}));
    }

    #[test]
    fn agrees_with_serde_json_elsewhere() {
        for text in [
            r#" { "a" : [ 1 , {"b":null} ], "a" : [true, false, "é\u00e9\/"] } "#,
            "[]",
            "{}",
            "\"\"",
            "null",
            "[[1.5e3],[-7]]",
        ] {
            assert_eq!(value(text), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn the_deepest_text_is_read_everywhere() {
        let depth = MAX_DEPTH;
        let json = Json::new("[".repeat(depth) + &"]".repeat(depth)).unwrap();
        assert_eq!(Json::from(json.to_value()), json);
        assert_eq!(json.parse::<Value>().unwrap(), json.to_value());
        let saved = serde_json::to_string(&json).unwrap();
        assert_eq!(serde_json::from_str::<Json>(&saved).unwrap(), json);
        assert!(serde_json::from_str::<Json>(&format!("[{saved}]")).is_err());
    }

    #[test]
    fn members_are_found_by_decoded_keys() {
        let object = r#"{"a":1,"b\u0063":{"d":2},"a":[3]}"#;
        assert_eq!((member(object, "a"), member(object, "bc")), (Some("[3]"), Some(r#"{"d":2}"#)));
        assert_eq!((member(object, "d"), member("[1]", "0")), (None, None));
    }
}
