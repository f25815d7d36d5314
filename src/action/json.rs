//! JSON text that is checked and walked, but not changed: key order, long integers and lone surrogates stay as they came.
//!
//! A general JSON library decodes what it reads. Actions must go through untouched, also those that Rust cannot hold (`"\ud83d"`
//! is a string in JavaScript), and a hostile frame must not recurse. So [`Cursor`] walks over the text once, with a stack
//! of its own and a bound on it, and hands out slices. Decoding into the application's types is left to `serde_json`.

use core::fmt;
use std::{borrow::Cow, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use smallvec::SmallVec;

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
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
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
            JsonProblem::Expected(what) => write!(f, "expected {what} at byte {} of the JSON", self.at),
            JsonProblem::TooDeep(limit) => {
                write!(f, "JSON is nested deeper than the limit of {limit}, at byte {}", self.at)
            }
            JsonProblem::LoneSurrogate => {
                write!(f, "expected text, got a string with half of a surrogate pair, at byte {} of the JSON", self.at)
            }
        }
    }
}

impl core::error::Error for JsonError {}

/// Walks over a JSON text from front to back.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    max_depth: usize,
}

/// The open arrays and objects around a place, one bit each: objects are set.
#[derive(Default)]
struct Nesting {
    bits: SmallVec<[u64; 4]>,
    depth: usize,
}

impl Nesting {
    fn push(&mut self, object: bool) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.bits.len() {
            self.bits.push(0);
        }
        self.bits[word] = self.bits[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
    }

    fn in_object(&self) -> bool {
        let last = self.depth - 1;
        self.bits[last / 64] >> (last % 64) & 1 == 1
    }
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self::with_depth(text, MAX_DEPTH)
    }

    pub(crate) const fn with_depth(text: &'a str, max_depth: usize) -> Self {
        Self { text, at: 0, max_depth }
    }

    /// How many bytes are left.
    pub(crate) const fn left(&self) -> usize {
        self.text.len() - self.at
    }

    const fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The kind of the next value by its first character, without the blanks before it.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes().get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn problem<T>(&self, problem: JsonProblem) -> Result<T, JsonError> {
        let problem = if self.at >= self.text.len() && matches!(problem, JsonProblem::Expected(_)) {
            JsonProblem::Ended
        } else {
            problem
        };
        Err(JsonError { at: self.at.min(self.text.len()), problem })
    }

    pub(crate) fn expected<T>(&self, what: &'static str) -> Result<T, JsonError> {
        self.problem(JsonProblem::Expected(what))
    }

    /// Takes one character of punctuation.
    pub(crate) fn punctuation(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            self.expected(what)
        }
    }

    /// Takes `byte` if it is next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    /// Makes sure that nothing but blanks is left.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        if self.peek().is_none() { Ok(()) } else { self.expected("the end of the text") }
    }

    /// Walks over one value and returns its text.
    pub(crate) fn value(&mut self) -> Result<&'a str, JsonError> {
        let first = self.peek();
        let start = self.at;
        match first {
            Some(b'{' | b'[') => self.nested()?,
            _ => self.scalar()?,
        }
        Ok(&self.text[start..self.at])
    }

    fn scalar(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.raw_string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => self.expected("a value"),
        }
    }

    fn nested(&mut self) -> Result<(), JsonError> {
        let mut open = Nesting::default();
        loop {
            // At the start of a value.
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    if open.depth == self.max_depth {
                        return self.problem(JsonProblem::TooDeep(self.max_depth));
                    }
                    self.at += 1;
                    open.push(bracket == b'{');
                    if !self.take(bracket + 2) {
                        if bracket == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                    open.depth -= 1;
                }
                _ => self.scalar()?,
            }
            // Behind a value.
            loop {
                if open.depth == 0 {
                    return Ok(());
                }
                let object = open.in_object();
                if self.take(b',') {
                    if object {
                        self.key()?;
                    }
                    break;
                }
                self.punctuation(if object { b'}' } else { b']' }, "a comma or the closing bracket")?;
                open.depth -= 1;
            }
        }
    }

    /// Walks over a key and its colon; the key with its quotes.
    pub(crate) fn key(&mut self) -> Result<&'a str, JsonError> {
        if self.peek() != Some(b'"') {
            return self.expected("a key in double quotes");
        }
        let key = self.raw_string()?;
        self.punctuation(b':', "a colon after the key")?;
        Ok(key)
    }

    /// Walks over a string; its text with the quotes.
    pub(crate) fn raw_string(&mut self) -> Result<&'a str, JsonError> {
        self.punctuation(b'"', "a string")?;
        let bytes = self.bytes();
        let start = self.at - 1;
        loop {
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.text[start..self.at]);
                }
                Some(b'\\') => {
                    self.at += 1;
                    match bytes.get(self.at) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
                        Some(b'u') => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !bytes.get(self.at).is_some_and(u8::is_ascii_hexdigit) {
                                    return self.expected("four hexadecimal digits");
                                }
                                self.at += 1;
                            }
                        }
                        _ => return self.expected("an escaped character"),
                    }
                }
                Some(0..=0x1F) => return self.expected("no control character inside a string"),
                Some(_) => self.at += plain(&bytes[self.at..]).max(1),
                None => return self.expected("the end of the string"),
            }
        }
    }

    /// Reads a string.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let raw = self.raw_string()?;
        let at = self.at - raw.len();
        decode(raw).ok_or(JsonError { at, problem: JsonProblem::LoneSurrogate })
    }

    /// Walks over a number; its text.
    pub(crate) fn number(&mut self) -> Result<&'a str, JsonError> {
        self.peek();
        let start = self.at;
        let bytes = self.bytes();
        self.at += usize::from(bytes.get(self.at) == Some(&b'-'));
        if bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let bytes = self.bytes();
        if !bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            return self.expected("a digit");
        }
        while bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        Ok(())
    }

    /// Reads a number that is whole, in any notation: `1`, `1.0` and `1e3` are.
    pub(crate) fn integer(&mut self) -> Result<i64, JsonError> {
        const WHOLE: &str = "a whole number";
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return self.expected(WHOLE);
        }
        let start = self.at;
        let text = self.number()?;
        if let Ok(whole) = text.parse() {
            return Ok(whole);
        }
        match text.parse::<f64>() {
            // 2⁵³ bounds what JavaScript computes exactly, so the cast loses nothing.
            Ok(float) if float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0 => Ok(float as i64),
            _ => Err(JsonError { at: start, problem: JsonProblem::Expected(WHOLE) }),
        }
    }

    fn literal(&mut self, word: &'static str) -> Result<(), JsonError> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            self.expected(word)
        }
    }

    /// Walks over an object and calls `each` for every key, with the cursor before the value, which it must walk over.
    pub(crate) fn object<E: From<JsonError>>(
        &mut self,
        mut each: impl FnMut(&mut Self, &'a str) -> Result<(), E>,
    ) -> Result<&'a str, E> {
        self.punctuation(b'{', "an object")?;
        let start = self.at - 1;
        if !self.take(b'}') {
            loop {
                let key = self.key()?;
                each(self, key)?;
                if !self.take(b',') {
                    self.punctuation(b'}', "a comma or the closing bracket")?;
                    break;
                }
            }
        }
        Ok(&self.text[start..self.at])
    }
}

/// How many of the bytes can be passed over inside a string, eight at a time: none of them is a quote, a backslash or a control
/// character. It may be fewer than there are.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // A byte of the result is not 0 where the byte of the word is 0, as in Hacker's Delight, 6-1.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut passed = 0;
    for chunk in bytes.chunks_exact(8) {
        let word = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let stop = control | zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if stop != 0 {
            return passed + stop.trailing_zeros() as usize / 8;
        }
        passed += 8;
    }
    passed
}

/// Whether a key, given with its quotes, is `name`, also when it is written with escapes.
pub(crate) fn key_is(raw: &str, name: &str) -> bool {
    let (raw_bytes, name_bytes) = (raw.as_bytes(), name.as_bytes());
    match raw_bytes.len().cmp(&(name_bytes.len() + 2)) {
        core::cmp::Ordering::Equal => raw_bytes[1..raw_bytes.len() - 1] == *name_bytes,
        // Escapes make a key longer than it reads.
        core::cmp::Ordering::Greater => {
            raw_bytes.contains(&b'\\') && decode(raw).is_some_and(|decoded| decoded == name)
        }
        core::cmp::Ordering::Less => false,
    }
}

/// Reads a checked string with its quotes; `None` if it has half of a surrogate pair.
pub(crate) fn decode(raw: &str) -> Option<Cow<'_, str>> {
    let inner = &raw[1..raw.len() - 1];
    if inner.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
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
            assert!(accepts(text) && serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
        }
        for text in bad {
            assert!(!accepts(text) && serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
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
    fn integers_in_any_notation() {
        for (text, expected) in
            [("12", 12), ("-3", -3), ("1e3", 1000), ("2.0", 2), ("1564508138460", 1_564_508_138_460)]
        {
            assert_eq!(Cursor::new(text).integer(), Ok(expected));
        }
        for text in ["1.5", "1e99", "\"1\"", "null", "99999999999999999999"] {
            assert!(Cursor::new(text).integer().is_err(), "{text}");
        }
    }

    #[test]
    fn drops_blanks_outside_of_strings() {
        assert_eq!(without_blanks("[ \"a \\\" b\" ,\n 1 ]"), "[\"a \\\" b\",1]");
    }
}
