//! The beginning of a text that a peer chose.

use std::borrow::Cow;

/// Returns the beginning of a text, at most `max_bytes` bytes of it, with `…` after it if the text
/// is longer. For names that peers choose, such as types, channels and ids, in log lines, debug
/// messages, metrics and answers: a long name must not cause a long line.
///
/// ```
/// assert_eq!(logux::excerpt("users/rename", 256), "users/rename");
/// assert_eq!(logux::excerpt("users/rename", 5), "users…");
/// ```
pub fn excerpt(text: &str, max_bytes: usize) -> Cow<'_, str> {
    if text.len() <= max_bytes {
        return Cow::Borrowed(text);
    }
    Cow::Owned([&text[..text.floor_char_boundary(max_bytes)], "…"].concat())
}

/// The longest part of a type, channel or id in a line or an answer, in bytes.
pub const MAX_NAME_EXCERPT: usize = 256;

/// Returns the beginning of a name, at most [`MAX_NAME_EXCERPT`] bytes.
pub fn name_excerpt(name: &str) -> Cow<'_, str> {
    excerpt(name, MAX_NAME_EXCERPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_split() {
        assert_eq!(excerpt("ää", 3), "ä…");
        assert_eq!(excerpt("ää", 4), "ää");
        assert_eq!(name_excerpt(&"x".repeat(1_000)).len(), MAX_NAME_EXCERPT + "…".len());
    }
}
