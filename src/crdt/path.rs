//! Paths in JSON values.

use core::fmt;
use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use im::OrdMap;
use serde::{Deserialize, Serialize};

use super::{
    element::ElementId,
    saving::{LoadError, StateReader, StateWriter, damaged},
};

/// The maximum length of a path, in bytes.
pub const MAX_PATH: usize = 4_096;

/// The maximum number of keys of a path, because JSON parsers limit the depth of nesting.
pub const MAX_KEYS: usize = 100;

/// A path in a JSON value, as a JSON Pointer (RFC 6901): `/tasks/7/title`, with `~1` for a slash
/// and `~0` for a tilde in a key. The empty path is the whole value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>", into = "Arc<str>")]
pub struct Path(Arc<str>);

impl Path {
    /// Checks a path: it is empty, or each key is preceded by a slash; it has at most [`MAX_PATH`]
    /// bytes and [`MAX_KEYS`] keys.
    ///
    /// # Errors
    /// [`PathError`] if the string is not such a path.
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

    /// Returns the path of the whole value.
    pub fn root() -> Self {
        Self("".into())
    }

    /// Returns the path of these keys, which are not escaped.
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

    /// Returns the path of a key below this path. The key is not escaped.
    ///
    /// # Errors
    /// [`PathError::TooLong`], [`PathError::TooDeep`].
    pub fn join(&self, key: &str) -> Result<Self, PathError> {
        let mut text = String::with_capacity(self.0.len() + key.len() + 1);
        text.push_str(&self.0);
        push_key(&mut text, key);
        Self::new(text)
    }

    /// Returns the path of `rest` in the value at this path.
    ///
    /// # Errors
    /// [`PathError::TooLong`], [`PathError::TooDeep`].
    pub(super) fn append(&self, rest: &Self) -> Result<Self, PathError> {
        Self::new([&*self.0, &*rest.0].concat())
    }

    /// Returns the path as a string, with escaped keys.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the keys without escapes, from the top down.
    pub fn keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.0.split('/').skip(1).map(unescape)
    }

    /// Writes the path: the number of keys that are ids of items, each with the text before it, and
    /// the text after them. So the node ids in it are written once.
    pub(super) fn encode(&self, writer: &mut StateWriter) {
        let mut written = 0;
        let mut found = Vec::new();
        for (list, item) in items(&self.0) {
            let mut key = String::new();
            push_key(&mut key, &item.to_string());
            let (above, rest) = self.0.split_at(list.len());
            // The node of a name may have characters that need not be escaped, but are.
            if rest.strip_prefix(&*key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            {
                found.push((&above[written..], item));
                written = above.len() + key.len();
            }
        }
        writer.unsigned(found.len() as u64);
        for (text, item) in found {
            writer.string(text);
            writer.element_id(&item);
        }
        writer.string(&self.0[written..]);
    }

    /// Reads a path.
    pub(super) fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        let items = reader.unsigned()?;
        let mut text = String::new();
        for _ in 0..items {
            text.push_str(reader.string()?);
            push_key(&mut text, &reader.element_id()?.to_string());
            // Ids can be much longer than their bytes.
            if text.len() > MAX_PATH {
                return Err(damaged("a path"));
            }
        }
        let rest = reader.string()?;
        let path = if items == 0 { Self::new(rest) } else { Self::new(text + rest) };
        path.map_err(|_| damaged("a path"))
    }

    /// Returns `true` if `other` is below this path, and not equal to it.
    pub fn contains(&self, other: &Self) -> bool {
        is_descendant(&self.0, &other.0)
    }
}

/// Returns the entries of a map at a path and below it. O(log n + number of these entries).
pub(super) fn subtree<'a, V: Clone>(
    map: &'a OrdMap<Path, V>,
    path: &'a Path,
) -> impl Iterator<Item = (&'a Path, &'a V)> {
    // The paths below have the common prefix of the path and a slash, so they are contiguous.
    let from: Arc<str> = format!("{path}/").into();
    let below = map.range(Path(from)..).take_while(move |(key, _)| path.contains(key));
    map.get_key_value(path).into_iter().chain(below)
}

/// Returns the paths of a set that are below a path.
pub(super) fn subtree_set(paths: &BTreeSet<Path>, path: &Path) -> Vec<Path> {
    let from: Arc<str> = format!("{path}/").into();
    paths.range(Path(from)..).take_while(|below| path.contains(below)).cloned().collect()
}

/// Returns `true` if `path` is below `above`.
fn is_descendant(above: &str, path: &str) -> bool {
    path.len() > above.len() && path.starts_with(above) && path.as_bytes()[above.len()] == b'/'
}

/// Returns the keys of a path that name items of lists or nodes of trees: for each, the path of the
/// list or tree and the name of the item or node, from the top down.
pub(super) fn items(path: &str) -> impl Iterator<Item = (&str, ElementId)> {
    let slashes = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
    slashes.filter_map(|(at, _)| {
        let key = &path[at + 1..];
        let key = key.find('/').map_or(key, |end| &key[..end]);
        let item = item_id(key);
        Some((&path[..at], item?))
    })
}

/// Reads a key of a path that names an item of a list or a node of a tree.
pub(super) fn item_id(key: &str) -> Option<ElementId> {
    // Most keys do not begin with an at sign.
    if key.starts_with('@') { unescape(key).parse().ok() } else { None }
}

/// Returns the paths above a path, from its parent to the root, which is empty.
pub(super) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.bytes().enumerate().rev().filter(|(_, byte)| *byte == b'/').map(|(at, _)| &path[..at])
}

/// Returns the paths above a path whose values contain the value at the path: what is in an item of
/// a list or a node of a tree is there whatever is written at the path of the list or tree.
pub(super) fn ancestors_in_item(path: &str) -> impl Iterator<Item = &str> {
    let mut end = path.len();
    ancestors(path).take_while(move |above| {
        let key = &path[above.len() + 1..end];
        end = above.len();
        item_id(key).is_none()
    })
}

/// Returns `true` if a path that begins with `base` is in an item of a list or a node of a tree
/// below `base`.
pub(super) fn is_within_item(path: &Path, base: &Path) -> bool {
    items(&path.as_str()[base.as_str().len()..]).next().is_some()
}

/// Splits a path that is not empty into its first key, still escaped, and the rest.
pub(super) fn split_key(path: &str) -> (&str, &str) {
    let keys = &path[1..];
    keys.find('/').map_or((keys, ""), |end| keys.split_at(end))
}

/// Replaces the escapes of a key.
pub(super) fn unescape(key: &str) -> Cow<'_, str> {
    if key.contains('~') { key.replace("~1", "/").replace("~0", "~").into() } else { key.into() }
}

/// Appends a slash and the escaped key.
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

/// The reason why a string is not a path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// The string is not a JSON Pointer.
    NotAPointer(Arc<str>),
    /// The string has this number of bytes, more than [`MAX_PATH`].
    TooLong(usize),
    /// The path has this number of keys, more than [`MAX_KEYS`].
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
    fn paths_are_saved_with_the_ids_of_items_apart() {
        for text in [
            "",
            "/",
            "/a~1b",
            "/l/1 10:a:b 0",
            "/l/1 10:a:b 0/x/2 10:~1:~0 3 1/y",
            "/1 a 0/2 a 0",
            "/+1 a 0/01 a 0",
        ] {
            let path = Path::new(text).unwrap();
            let mut writer = StateWriter::default();
            path.encode(&mut writer);
            let content = writer.finish().content;
            let mut reader = StateReader::new("", &content).unwrap();
            assert_eq!(Path::decode(&mut reader), Ok(path), "{text}");
            assert_eq!(reader.end(), Ok(()), "{text}");
        }
    }

    #[test]
    fn paths_have_escaped_keys_and_ancestors() {
        let path = Path::of(&["a/b", "~", "", "c"]).unwrap();
        assert_eq!(path.as_str(), "/a~1b/~0//c");
        assert_eq!(path.keys().collect::<Vec<_>>(), ["a/b", "~", "", "c"]);
        assert_eq!(ancestors("/a/b").collect::<Vec<_>>(), ["/a", ""]);
        for (path, above) in [
            ("/a/b/c", vec!["/a/b", "/a", ""]),
            ("/a/@10:a:b 0", vec![]),
            ("/a/@10:a:b 0/b/c", vec!["/a/@10:a:b 0/b", "/a/@10:a:b 0"]),
            ("/@10:a:b 0/b/@10:a:b 1/c", vec!["/@10:a:b 0/b/@10:a:b 1"]),
        ] {
            assert_eq!(ancestors_in_item(path).collect::<Vec<_>>(), above, "{path}");
        }
        assert_eq!((split_key("/a/b/c"), split_key("/a")), (("a", "/b/c"), ("a", "")));
        assert!(
            is_descendant("", "/a")
                && is_descendant("/a", "/a/b")
                && !is_descendant("/a", "/ab")
                && !is_descendant("/a", "/a")
        );
        assert!(Path::new("a").is_err() && Path::new("/~2").is_err() && Path::new("/~").is_err());
    }
}
