//! JSON text that is checked and walked, but not changed: key order, long integers and lone surrogates stay as they came.
//!
//! A general JSON library decodes what it reads. Actions must go through untouched, also those that Rust cannot hold (`"\ud83d"`
//! is a string in JavaScript), and a hostile frame must not recurse. So a cursor walks over the text once, with a stack
//! of its own and a bound on it, and hands out slices. Decoding into the application's types is left to `serde_json`.

mod cursor;
mod object;

pub(crate) use cursor::Cursor;
pub use object::JsonObject;

use core::fmt;
use std::{borrow::Cow, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

/// One JSON value as text that was checked. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Arc<str>);

impl Json {
    /// Checks that `text` is one JSON value, nested at most [`MAX_DEPTH`] deep. O(length).
    ///
    /// # Errors
    /// [`JsonError`] with the place of the first character that does not belong.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, JsonError> {
        let text = text.into();
        let mut cursor = Cursor::new(&text);
        cursor.value()?;
        cursor.end()?;
        Ok(Self(text))
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    /// What `serde_json` says, as for a map whose keys are not strings.
    pub fn from_value(value: &(impl Serialize + ?Sized)) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(|text| Self(text.into()))
    }

    /// Takes a slice that a [`Cursor`] has walked over.
    pub(crate) fn checked(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the value into a type of yours.
    ///
    /// # Errors
    /// What `serde_json` says when the shapes do not fit.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
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

/// How deep arrays and objects may nest where no other limit is given.
pub const MAX_DEPTH: usize = 512;

/// What is wrong with a JSON text, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Offset of the offending byte in the text.
    pub at: usize,
    /// What is wrong there.
    pub problem: JsonProblem,
}

/// The kinds of [`JsonError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonProblem {
    /// The text ended in the middle of a value.
    Ended,
    /// A character that cannot stand there; what was expected instead.
    Expected(&'static str),
    /// Arrays and objects are nested deeper than this limit.
    TooDeep(usize),
    /// A string that Rust cannot hold, with half of a surrogate pair, where text is needed.
    LoneSurrogate,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            JsonProblem::Ended => write!(f, "JSON ended too early, at byte {}", self.at),
            JsonProblem::Expected(what) => {
                write!(f, "expected {what} at byte {} of the JSON", self.at)
            }
            JsonProblem::TooDeep(limit) => {
                write!(f, "JSON is nested deeper than the limit of {limit}, at byte {}", self.at)
            }
            JsonProblem::LoneSurrogate => {
                write!(
                    f,
                    "expected text, got a string with half of a surrogate pair, at byte {} of the JSON",
                    self.at
                )
            }
        }
    }
}

impl core::error::Error for JsonError {}
/// Whether a key, given with its quotes, is `name`, also when it is written with escapes.
pub(crate) fn key_is(raw: &str, name: &str) -> bool {
    let (key, name_bytes) = (raw.as_bytes(), name.as_bytes());
    match key.len().cmp(&(name_bytes.len() + 2)) {
        core::cmp::Ordering::Equal => key[1..key.len() - 1] == *name_bytes,
        // Escapes make a key longer than it reads.
        core::cmp::Ordering::Greater => {
            has_escapes(raw) && decode(raw).is_some_and(|decoded| decoded == name)
        }
        core::cmp::Ordering::Less => false,
    }
}

/// Whether a checked string has escapes. Most are short, so looking at each byte is fastest.
#[inline]
pub(crate) fn has_escapes(text: &str) -> bool {
    text.bytes().any(|byte| byte == b'\\')
}

/// Reads a checked string with its quotes; `None` if it has half of a surrogate pair.
pub(crate) fn decode(raw: &str) -> Option<Cow<'_, str>> {
    let inner = &raw[1..raw.len() - 1];
    if has_escapes(inner) {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Writes a string as JSON, with quotes.
pub(crate) fn write_string(out: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        // A string has no way to fail.
        out.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

/// Writes a whole number. Each action that is sent has four, and the formatter of the standard library took longer for them than the rest of it.
pub(crate) fn write_integer(out: &mut String, number: i64) {
    if number < 0 {
        out.push('-');
    }
    write_count(out, number.unsigned_abs());
}

/// Writes a number from 0 on.
pub(crate) fn write_count(out: &mut String, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.push_str(core::str::from_utf8(&digits[start..]).unwrap_or_default());
}

/// Drops the blanks between the tokens of a JSON text, as `JSON.stringify(JSON.parse(text))` does.
pub(crate) fn without_blanks(text: &str) -> String {
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
    fn writes_whole_numbers() {
        let mut out = String::new();
        for number in [0, 7, 10, -1, 1_564_508_138_460, i64::MIN, i64::MAX] {
            out.clear();
            write_integer(&mut out, number);
            assert_eq!(out, number.to_string());
        }
        out.clear();
        write_count(&mut out, u64::MAX);
        assert_eq!(out, u64::MAX.to_string());
    }

    fn accepts(text: &str) -> bool {
        Json::new(text).is_ok()
    }

    #[test]
    fn agrees_with_serde_json() {
        let good = [
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
        let bad = [
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
        for text in good {
            assert!(
                accepts(text) && serde_json::from_str::<serde_json::Value>(text).is_ok(),
                "{text}"
            );
        }
        for text in bad {
            assert!(
                !accepts(text) && serde_json::from_str::<serde_json::Value>(text).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn keeps_what_rust_strings_cannot_hold() {
        let text = r#"{"emoji":"\ud83d"}"#;
        assert_eq!(Json::new(text).unwrap().as_str(), text);
        let problem = Cursor::new(r#""\ud83d""#).string().unwrap_err().problem;
        assert_eq!(problem, JsonProblem::LoneSurrogate);
    }

    #[test]
    fn bounds_the_depth() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(accepts(&nested(MAX_DEPTH)));
        let error = Json::new(nested(MAX_DEPTH + 1)).unwrap_err();
        assert_eq!(error, JsonError { at: MAX_DEPTH, problem: JsonProblem::TooDeep(MAX_DEPTH) });
        assert!(accepts(&format!("[{}]", vec![nested(300); 3].join(","))));
    }

    #[test]
    fn knows_the_bracket_to_close_at_any_depth() {
        // Objects and arrays in turns that do not repeat every 64 levels.
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
    fn drops_blanks_outside_of_strings() {
        assert_eq!(without_blanks("[ \"a \\\" b\" ,\n 1 ]"), "[\"a \\\" b\",1]");
    }
}
