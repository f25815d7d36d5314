//! A cursor that checks JSON text and returns slices of it.

use std::borrow::Cow;

use super::{JsonError, JsonProblem, MAX_DEPTH, decode};

/// Reads JSON text from start to end.
///
/// A method that skips an item checks its grammar and returns its text without decoding it.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    max_depth: usize,
}

/// The arrays and objects that are open at a position, one bit each, the innermost in the lowest
/// bit. The bit of an object is 1.
#[derive(Default)]
struct Nesting {
    innermost: u64,
    depth: usize,
    /// The bits of the outer levels, 64 each. Allocates nothing up to a depth of 64.
    outer: Vec<u64>,
}

impl Nesting {
    fn push(&mut self, object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.innermost);
        }
        self.innermost = self.innermost << 1 | u64::from(object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.innermost >>= 1;
        if self.depth > 0
            && self.depth.is_multiple_of(64)
            && let Some(outer) = self.outer.pop()
        {
            self.innermost = outer;
        }
    }

    const fn in_object(&self) -> bool {
        self.innermost & 1 == 1
    }
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self::with_depth(text, MAX_DEPTH)
    }

    pub(crate) const fn with_depth(text: &'a str, max_depth: usize) -> Self {
        Self { text, at: 0, max_depth }
    }

    /// Reads with `read`, without the limit on depth. The memory for the depth is one bit for each
    /// level.
    pub(crate) fn at_any_depth<T, E>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let max_depth = core::mem::replace(&mut self.max_depth, usize::MAX);
        let result = read(self);
        self.max_depth = max_depth;
        result
    }

    /// Returns the number of bytes that are not read yet.
    pub(crate) const fn remaining(&self) -> usize {
        self.text.len() - self.at
    }

    const fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// Skips white space and returns the next byte, without reading it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        match self.bytes().get(self.at) {
            Some(&byte) if byte > b' ' => Some(byte),
            _ => self.peek_after_whitespace(),
        }
    }

    fn peek_after_whitespace(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes().get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    #[cold]
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

    /// Reads the punctuation character `byte`.
    #[inline]
    pub(crate) fn punctuation(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            self.expected(what)
        }
    }

    /// Reads `byte` if it is next. Returns whether it was.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    /// Checks that only white space remains.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        if self.peek().is_none() { Ok(()) } else { self.expected("the end of the text") }
    }

    /// Skips one value and returns its text.
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
                    open.pop();
                }
                _ => self.scalar()?,
            }
            // After a value.
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
                self.punctuation(
                    if object { b'}' } else { b']' },
                    "a comma or the closing bracket",
                )?;
                open.pop();
            }
        }
    }

    /// Skips a key and its colon. Returns the key with its quotes.
    pub(crate) fn key(&mut self) -> Result<&'a str, JsonError> {
        if self.peek() != Some(b'"') {
            return self.expected("a key in double quotes");
        }
        let key = self.raw_string()?;
        self.punctuation(b':', "a colon after the key")?;
        Ok(key)
    }

    /// Skips a string. Returns its text with the quotes.
    pub(crate) fn raw_string(&mut self) -> Result<&'a str, JsonError> {
        self.punctuation(b'"', "a string")?;
        let bytes = self.bytes();
        let start = self.at - 1;
        loop {
            self.at = end_of_plain(bytes, self.at);
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.text[start..self.at]);
                }
                Some(b'\\') => {
                    self.at += 1;
                    match bytes.get(self.at) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                            self.at += 1
                        }
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
                Some(_) => return self.expected("no control character inside a string"),
                None => return self.expected("the end of the string"),
            }
        }
    }

    /// Reads and decodes a string.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let raw = self.raw_string()?;
        let at = self.at - raw.len();
        decode(raw).ok_or(JsonError { at, problem: JsonProblem::LoneSurrogate })
    }

    /// Skips a number and returns its text.
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

    /// Reads an integer in any notation, such as `1`, `1.0` or `1e3`. The forms with a fraction or
    /// an exponent are limited to ±2⁵³.
    pub(crate) fn integer(&mut self) -> Result<i64, JsonError> {
        const INTEGER: &str = "an integer";
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return self.expected(INTEGER);
        }
        if let Some(integer) = self.short_integer() {
            return Ok(integer);
        }
        let start = self.at;
        let text = self.number()?;
        if let Ok(integer) = text.parse() {
            return Ok(integer);
        }
        match text.parse::<f64>() {
            // JavaScript represents integers up to 2⁵³ exactly, so the cast is lossless.
            Ok(float) if float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0 => {
                Ok(float as i64)
            }
            _ => Err(JsonError { at: start, problem: JsonProblem::Expected(INTEGER) }),
        }
    }

    /// Reads a plain integer of at most 18 digits, the form of nearly all numbers in messages.
    /// Reads nothing if the number has another form.
    #[inline]
    fn short_integer(&mut self) -> Option<i64> {
        let rest = &self.bytes()[self.at..];
        let negative = rest.first() == Some(&b'-');
        let digits = &rest[usize::from(negative)..];
        let mut count = 0;
        let mut value = 0_i64;
        // 18 digits always fit in 64 bits.
        while let Some(digit @ b'0'..=b'9') = digits.get(count)
            && count < 18
        {
            value = value * 10 + i64::from(digit - b'0');
            count += 1;
        }
        let invalid = count == 0 || count > 1 && digits[0] == b'0';
        if invalid || matches!(digits.get(count), Some(b'0'..=b'9' | b'.' | b'e' | b'E')) {
            return None;
        }
        self.at += usize::from(negative) + count;
        Some(if negative { -value } else { value })
    }

    fn literal(&mut self, word: &'static str) -> Result<(), JsonError> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            self.expected(word)
        }
    }

    /// Reads an array. Calls `each` for every item, which it must read.
    pub(crate) fn array<E: From<JsonError>>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.punctuation(b'[', "an array")?;
        if !self.take(b']') {
            loop {
                each(self)?;
                if !self.take(b',') {
                    self.punctuation(b']', "a comma or the closing bracket")?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Calls `read` for values in an array or object that was opened, so that they may be nested
    /// one level less.
    pub(crate) fn inside<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        self.max_depth = self.max_depth.saturating_sub(1);
        let result = read(self);
        self.max_depth += 1;
        result
    }

    /// Reads an object and returns its text. Calls `each` for every key (with its quotes) when the
    /// cursor is before the value; `each` must read the value.
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

/// Returns the position of the first quote, backslash or control character from `at` on, or the
/// length of `bytes` if there is none.
///
/// It tests eight bytes at a time: `(word - 0x01…01) & !word` has the top bit set of the lowest
/// byte that is zero, and of no byte below it. Bits above the lowest hit may be false positives, so
/// only the lowest is used.
#[inline]
fn end_of_plain(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let word = u64::from_le_bytes(*chunk);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let hits = (quote | backslash | below(word, 0x20)) & (ONES << 7);
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| *byte >= 0x20 && !matches!(byte, b'"' | b'\\')) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_plain_agrees_with_a_search_byte_by_byte() {
        for byte in 0..=u8::MAX {
            for length in 0..20 {
                for at in 0..=length {
                    let mut bytes = vec![b'a'; length];
                    bytes.splice(at..at, [byte, byte.wrapping_add(1), b'"']);
                    let expected =
                        bytes.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'));
                    assert_eq!(Some(end_of_plain(&bytes, 0)), expected, "{bytes:?}");
                }
                assert_eq!(end_of_plain(&vec![b'a'; length], 0), length);
            }
        }
    }

    #[test]
    fn integers_are_read_in_any_notation() {
        for (text, expected) in [
            ("12", 12),
            ("-3", -3),
            ("0", 0),
            ("-0", 0),
            ("999999999999999999", 999_999_999_999_999_999),
            ("1000000000000000000", 1_000_000_000_000_000_000),
            ("-9223372036854775808", i64::MIN),
            ("1e3", 1000),
            ("2.0", 2),
            ("1564508138460", 1_564_508_138_460),
        ] {
            assert_eq!(Cursor::new(text).integer(), Ok(expected));
        }
        for text in ["1.5", "1e99", "\"1\"", "null", "99999999999999999999", "-", "1.", "1e"] {
            assert!(Cursor::new(text).integer().is_err(), "{text}");
        }
        let mut zero = Cursor::new("01");
        assert!(zero.integer() == Ok(0) && zero.end().is_err());
    }
}
