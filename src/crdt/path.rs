//! Where something is in a document.

use core::fmt;
use std::{borrow::Cow, sync::Arc};

use im::OrdMap;
use serde::{Deserialize, Serialize};

/// How many bytes a path may have.
pub const MAX_PATH: usize = 4_096;

/// How many keys a path may have: as deep as JSON readers go.
pub const MAX_KEYS: usize = 100;

/// A place in a JSON value, in the words of JSON Pointer (RFC 6901): `/tasks/7/title`, with `~1` for a slash in a key and `~0` for a tilde. The empty
/// path is the whole value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>", into = "Arc<str>")]
pub struct Path(Arc<str>);

impl Path {
    /// Checks a path: empty, or each key behind a slash; at most [`MAX_PATH`] bytes and [`MAX_KEYS`] keys.
    ///
    /// # Errors
    /// [`PathError`] says what is wrong.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, PathError> {
        let text = text.into();
        if text.len() > MAX_PATH {
            return Err(PathError::TooLong(text.len()));
        }
        let bytes = text.as_bytes();
        let escapes = |at: usize| matches!(bytes.get(at + 1), Some(b'0' | b'1'));
        if !(text.is_empty() || text.starts_with('/'))
            || bytes.iter().enumerate().any(|(at, byte)| *byte == b'~' && !escapes(at))
        {
            return Err(PathError::NotAPointer(text));
        }
        let keys = bytes.iter().filter(|byte| **byte == b'/').count();
        if keys > MAX_KEYS {
            return Err(PathError::TooDeep(keys));
        }
        Ok(Self(text))
    }

    /// The place of the whole value.
    pub fn root() -> Self {
        Self("".into())
    }

    /// The path of these keys.
    ///
    /// # Errors
    /// [`PathError::TooLong`], [`PathError::TooDeep`].
    pub fn of(keys: &[&str]) -> Result<Self, PathError> {
        let mut text = String::new();
        for key in keys {
            push_key(&mut text, key);
        }
        Self::new(text)
    }

    /// The place of a key below this one.
    ///
    /// # Errors
    /// [`PathError::TooLong`], [`PathError::TooDeep`].
    pub fn join(&self, key: &str) -> Result<Self, PathError> {
        let mut text = String::with_capacity(self.0.len() + key.len() + 1);
        text.push_str(&self.0);
        push_key(&mut text, key);
        Self::new(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) const fn text(&self) -> &Arc<str> {
        &self.0
    }

    /// The keys from the top down.
    pub fn keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.0.split('/').skip(1).map(unescape)
    }

    /// Whether `other` is below this place.
    pub fn contains(&self, other: &Self) -> bool {
        is_below(&self.0, &other.0)
    }
}

/// What a map has at a place and below it. O(log n + what there is).
pub(super) fn within<'a, V: Clone>(
    map: &'a OrdMap<Path, V>,
    path: &'a Path,
) -> impl Iterator<Item = (&'a Path, &'a V)> {
    // A slash is less than what can follow it in a longer key, so everything below is in one stretch, which begins with a slash behind the path.
    let from: Arc<str> = format!("{path}/").into();
    let below = map.range(Path(from)..).take_while(move |(own, _)| path.contains(own));
    map.get_key_value(path).into_iter().chain(below)
}

/// Whether a place is below another, both given as text.
pub(super) fn is_below(above: &str, text: &str) -> bool {
    text.len() > above.len() && text.starts_with(above) && text.as_bytes()[above.len()] == b'/'
}

/// The places above a place, the nearest first. The empty one, for the root, is the last.
pub(super) fn above(text: &str) -> impl Iterator<Item = &str> {
    text.bytes().enumerate().rev().filter(|(_, byte)| *byte == b'/').map(|(at, _)| &text[..at])
}

/// The first key of a text that begins with a slash, and the rest behind it.
pub(super) fn split_key(text: &str) -> (&str, &str) {
    let inner = &text[1..];
    inner.find('/').map_or((inner, ""), |end| inner.split_at(end))
}

pub(super) fn unescape(key: &str) -> Cow<'_, str> {
    if key.contains('~') { key.replace("~1", "/").replace("~0", "~").into() } else { key.into() }
}

fn push_key(text: &mut String, key: &str) {
    text.push('/');
    if key.contains(['~', '/']) {
        text.push_str(&key.replace('~', "~0").replace('/', "~1"));
    } else {
        text.push_str(key);
    }
}

impl TryFrom<Arc<str>> for Path {
    type Error = PathError;

    fn try_from(text: Arc<str>) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl From<Path> for Arc<str> {
    fn from(path: Path) -> Self {
        path.0
    }
}

impl core::str::FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl core::borrow::Borrow<str> for Path {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// It does not have the form of a JSON Pointer.
    NotAPointer(Arc<str>),
    /// It has more than [`MAX_PATH`] bytes.
    TooLong(usize),
    /// It has more than [`MAX_KEYS`] keys.
    TooDeep(usize),
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAPointer(text) => {
                write!(f, "expected a path such as /tasks/7/title, or an empty one, got {text:?}")
            }
            Self::TooDeep(keys) => {
                write!(f, "expected a path of at most {MAX_KEYS} keys, got {keys} keys")
            }
            Self::TooLong(bytes) => {
                write!(f, "expected a path of at most {MAX_PATH} bytes, got {bytes} bytes")
            }
        }
    }
}

impl core::error::Error for PathError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_in_and_out() {
        let path = Path::of(&["a/b", "~", "", "c"]).unwrap();
        assert_eq!(path.as_str(), "/a~1b/~0//c");
        assert_eq!(path.keys().collect::<Vec<_>>(), ["a/b", "~", "", "c"]);
        assert_eq!(above("/a/b").collect::<Vec<_>>(), ["/a", ""]);
        assert_eq!((split_key("/a/b/c"), split_key("/a")), (("a", "/b/c"), ("a", "")));
        assert!(
            is_below("", "/a")
                && is_below("/a", "/a/b")
                && !is_below("/a", "/ab")
                && !is_below("/a", "/a")
        );
        assert!(Path::new("a").is_err() && Path::new("/~2").is_err() && Path::new("/~").is_err());
    }
}
