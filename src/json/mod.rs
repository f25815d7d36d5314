//! JSON text that is checked and read, but kept unchanged: key order, long integers and lone
//! surrogates stay as they were received.
//!
//! A general JSON library decodes what it reads. Actions must be forwarded unchanged, even those
//! that Rust strings cannot represent (`"\ud83d"` is a string in JavaScript), and hostile input
//! must not cause recursion. Therefore a cursor reads the text once, with an explicit stack of
//! bounded depth, and returns slices. `serde_json` decodes into the application's types.
//!
//! Read [`Json`], [`JsonError`], [`JsonObject`], then `Cursor` in `cursor.rs`, and `convert.rs`,
//! which converts text to the values of `serde_json`.

mod convert;
mod cursor;
mod object;

pub(crate) use convert::{member, parse_checked, parse_nested};
pub(crate) use cursor::Cursor;
pub use object::JsonObject;

use core::fmt;
use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, de::DeserializeOwned, ser};
use serde_json::value::RawValue;

/// The text of one JSON value, checked for validity. Cheap to clone. Two of them are equal if their
/// texts are.
///
/// Values in states are kept as the text that was written, so numbers of any length, the notation
/// of numbers and lone surrogates are the same on all nodes and after saving and loading.
/// [`to_value`](Self::to_value) converts the text to a value of `serde_json`:
///
/// ```
/// use logux::Json;
/// use serde_json::json;
///
/// let price = Json::new(r#"{"price": 1.50}"#)?;
/// assert_eq!(price.as_str(), r#"{"price": 1.50}"#);
/// assert_eq!(price.to_value(), json!({"price": 1.5}));
/// assert_eq!(Json::from(json!([1, "a"])).as_str(), r#"[1,"a"]"#);
/// # Ok::<(), logux::json::JsonError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Arc<str>);

impl Json {
    /// Checks that `text` is one JSON value, nested at most [`MAX_DEPTH`] levels deep. O(length).
    ///
    /// # Errors
    /// [`JsonError`] with the position of the first invalid byte.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, JsonError> {
        let text = text.into();
        let mut cursor = Cursor::new(&text);
        cursor.value()?;
        cursor.end()?;
        Ok(Self(text))
    }

    /// Serializes a value as JSON.
    ///
    /// # Errors
    /// The error of `serde_json`, for example for a map whose keys are not strings.
    pub fn from_value(value: &(impl Serialize + ?Sized)) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(|text| Self(text.into()))
    }

    /// Copies text that a [`Cursor`] has checked.
    pub(crate) fn checked(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Deserializes the value into a type of the caller. O(length).
    ///
    /// # Errors
    /// The error of `serde_json` if the value does not have the shape of `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        parse_checked(&self.0)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes the text unchanged if the serializer is that of `serde_json`.
///
/// ```
/// use logux::Json;
/// let price = Json::new("1.50")?;
/// assert_eq!(serde_json::to_string(&[price])?, "[1.50]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_text(&self.0, serializer)
    }
}

/// Keeps the text unchanged if it is read from text by `serde_json`. Checks it as [`Json::new`].
/// Fails inside of enums with a `tag`, `untagged` enums and `flatten`, for which serde decodes the
/// values before.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Self::new(Box::<str>::from(text)).map_err(de::Error::custom)
    }
}

/// Serializes checked JSON text, unchanged in the JSON of `serde_json`. O(length).
pub(crate) fn serialize_text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let raw: &RawValue = serde_json::from_str(text).map_err(ser::Error::custom)?;
    raw.serialize(serializer)
}

/// The limit on the nesting depth of arrays and objects, and the default limit for received
/// messages. It applies where a [`Json`] or an [`Action`](crate::Action) is made, so whatever is in
/// a log can be sent, applied to a state, saved and loaded.
pub const MAX_DEPTH: usize = 512;

/// The first problem of a JSON text, with its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// The offset of the invalid byte.
    pub at: usize,
    /// The problem at this position.
    pub problem: JsonProblem,
}

/// The kinds of [`JsonError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonProblem {
    /// The text ends inside of a value.
    Ended,
    /// An invalid character. The field says what was expected.
    Expected(&'static str),
    /// Arrays and objects are nested deeper than this limit.
    TooDeep(usize),
    /// A string with a lone surrogate, which a Rust string cannot represent.
    LoneSurrogate,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            JsonProblem::Ended => write!(f, "unexpected end of JSON at byte {}", self.at),
            JsonProblem::Expected(what) => {
                write!(f, "expected {what} at byte {} of the JSON", self.at)
            }
            JsonProblem::TooDeep(limit) => {
                write!(f, "JSON is nested deeper than the limit of {limit}, at byte {}", self.at)
            }
            JsonProblem::LoneSurrogate => {
                write!(f, "lone surrogate in the string at byte {} of the JSON", self.at)
            }
        }
    }
}

impl core::error::Error for JsonError {}

/// Returns `true` if `raw`, a key with its quotes and possibly with escapes, is equal to `name`.
pub(crate) fn key_is(raw: &str, name: &str) -> bool {
    let (key, name_bytes) = (raw.as_bytes(), name.as_bytes());
    match key.len().cmp(&(name_bytes.len() + 2)) {
        core::cmp::Ordering::Equal => key[1..key.len() - 1] == *name_bytes,
        // A key with escapes is longer than its decoded form.
        core::cmp::Ordering::Greater => {
            has_escapes(raw) && decode(raw).is_some_and(|decoded| decoded == name)
        }
        core::cmp::Ordering::Less => false,
    }
}

/// Returns `true` if a checked string has escapes. Most strings are short, so a loop over the bytes
/// is fastest.
#[inline]
pub(crate) fn has_escapes(text: &str) -> bool {
    text.bytes().any(|byte| byte == b'\\')
}

/// Decodes a checked string with its quotes. `None` if it has a lone surrogate.
pub(crate) fn decode(raw: &str) -> Option<Cow<'_, str>> {
    let inner = &raw[1..raw.len() - 1];
    if has_escapes(inner) {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Appends a string as JSON, with quotes.
pub(crate) fn write_string(out: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        // Serializing a string cannot fail.
        out.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

/// Appends an integer in decimal. Each sent action has four of them, and `core::fmt` takes longer
/// for these than the encoder takes for the rest of the action.
pub(crate) fn write_integer(out: &mut String, number: impl itoa::Integer) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// Removes the white space between the tokens of checked JSON, as
/// `JSON.stringify(JSON.parse(text))` does. O(length).
pub(crate) fn without_whitespace(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for char in text.chars() {
        if quoted || !matches!(char, ' ' | '\n' | '\r' | '\t') {
            out.push(char);
        }
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_serialized_and_deserialized_unchanged() {
        let text = r#"[ 1.50,{"b":"\ud83d","a":9007199254740993}]"#;
        let json: Json = serde_json::from_str(text).unwrap();
        assert_eq!(json.as_str(), text);
        assert_eq!(serde_json::to_string(&json).unwrap(), text);
        let deep = format!("{}1{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        let json = Json::new(deep.as_str()).unwrap();
        assert_eq!(serde_json::to_string(&json).unwrap(), deep);
        assert!(serde_json::from_str::<Json>(&format!("[{deep}]")).is_err());
    }

    #[test]
    fn writes_integers_like_the_standard_library() {
        let mut out = String::new();
        for number in [0, 7, 10, -1, 1_564_508_138_460, i64::MIN, i64::MAX] {
            out.clear();
            write_integer(&mut out, number);
            assert_eq!(out, number.to_string());
        }
        out.clear();
        write_integer(&mut out, u64::MAX);
        assert_eq!(out, u64::MAX.to_string());
        write_integer(&mut out, 7_u32);
        assert_eq!(out, format!("{}7", u64::MAX));
    }

    fn accepts(text: &str) -> bool {
        Json::new(text).is_ok()
    }

    #[test]
    fn agrees_with_serde_json() {
        let valid = [
            "null",
            "true",
            "false",
            "0",
            "-0",
            "1.5e-9",
            "1E+2",
            "\"\"",
            "\"\\u00e9\\n\"",
            "[]",
            "{}",
            "[[],{}]",
            " { \"a\" : [ 1 , {\"b\":null} ] } ",
            "9007199254740993",
            "[1,2,[3,[4]]]",
            "\"é😀\"",
        ];
        let invalid = [
            "",
            " ",
            "nul",
            "tru",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "--1",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\n\"",
            "[",
            "]",
            "[1,]",
            "[,]",
            "{",
            "{a:1}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "1 2",
            "[1}",
            "{\"a\":1]",
            "NaN",
            "'a'",
            "[1 2]",
        ];
        for text in valid {
            assert!(
                accepts(text) && serde_json::from_str::<serde_json::Value>(text).is_ok(),
                "{text}"
            );
        }
        for text in invalid {
            assert!(
                !accepts(text) && serde_json::from_str::<serde_json::Value>(text).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn keeps_lone_surrogates() {
        let text = r#"{"emoji":"\ud83d"}"#;
        assert_eq!(Json::new(text).unwrap().as_str(), text);
        let problem = Cursor::new(r#""\ud83d""#).string().unwrap_err().problem;
        assert_eq!(problem, JsonProblem::LoneSurrogate);
    }

    #[test]
    fn limits_the_depth() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(accepts(&nested(MAX_DEPTH)));
        let error = Json::new(nested(MAX_DEPTH + 1)).unwrap_err();
        assert_eq!(error, JsonError { at: MAX_DEPTH, problem: JsonProblem::TooDeep(MAX_DEPTH) });
        assert!(accepts(&format!("[{}]", vec![nested(300); 3].join(","))));
    }

    #[test]
    fn brackets_match_at_any_depth() {
        // A pattern of objects and arrays that does not repeat every 64 levels.
        let object = |level: usize| level.is_multiple_of(3) || level.is_multiple_of(7);
        for depth in [1, 2, 63, 64, 65, 66, 127, 128, 129, 200] {
            let open: String =
                (0..depth).map(|level| if object(level) { "{\"a\":" } else { "[" }).collect();
            let close: Vec<&str> =
                (0..depth).rev().map(|level| if object(level) { "}" } else { "]" }).collect();
            assert!(accepts(&format!("{open}1{}", close.concat())), "depth {depth}");
            for wrong in 0..depth {
                let mut close = close.clone();
                close[wrong] = if close[wrong] == "}" { "]" } else { "}" };
                assert!(
                    !accepts(&format!("{open}1{}", close.concat())),
                    "depth {depth}, bracket {wrong}"
                );
            }
        }
    }

    #[test]
    fn removes_whitespace_outside_of_strings() {
        assert_eq!(without_whitespace("[ \"a \\\" b\" ,\n 1 ]"), "[\"a \\\" b\",1]");
    }
}
