//! The id of a node, with its user and client.

use core::{cmp::Ordering, fmt, str::FromStr};
use std::sync::Arc;

/// The id of a node: `user:client:tab` for a browser tab, `server:xxxxxxxx` for a server.
///
/// A string without spaces. Cheap to clone. Ids are compared by UTF-16 code units, like strings in
/// JavaScript, so that all peers agree on the order; for characters above U+FFFF it differs from
/// the order of Rust's `str`.
///
/// ```
/// use logux::action::NodeId;
/// let node: NodeId = "380:R7BNGAP5:px3-J3oc".parse()?;
/// assert_eq!(node.user_id(), Some("380"));
/// assert_eq!(node.client_id(), "380:R7BNGAP5");
/// # Ok::<(), logux::action::IdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// Creates a node id from its text.
    ///
    /// # Errors
    /// [`IdError::EmptyNode`] if the text is empty, [`IdError::SpaceInNode`] if it has a space.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, IdError> {
        let text = text.into();
        if text.is_empty() {
            Err(IdError::EmptyNode)
        } else if text.contains(' ') {
            Err(IdError::SpaceInNode(text))
        } else {
            Ok(Self(text))
        }
    }

    /// Returns the text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the user: the part before the first colon. `None` if there is no colon.
    pub fn user_id(&self) -> Option<&str> {
        self.0.split_once(':').map(|(user, _)| user)
    }

    /// Returns the user of a client. `None` for a server, and for a client without a user.
    pub fn client_user_id(&self) -> Option<&str> {
        self.user_id().filter(|_| !self.is_server())
    }

    /// Returns the client, which is one browser or device, perhaps with several tabs: the first two
    /// parts, `user:client`. If the id has one part, returns the whole id.
    pub fn client_id(&self) -> &str {
        let Some(first) = self.0.find(':') else { return &self.0 };
        match self.0[first + 1..].find(':') {
            Some(second) => &self.0[..first + 1 + second],
            None => &self.0,
        }
    }

    /// Returns the user, or the client if there is no user: whom limits are for.
    pub fn user_or_client(&self) -> &str {
        self.user_id().unwrap_or_else(|| self.client_id())
    }

    /// Returns `true` if the first part is `server`, which clients may not use.
    pub fn is_server(&self) -> bool {
        self.user_id().unwrap_or(&self.0) == "server"
    }
}

impl AsRef<Self> for NodeId {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl PartialOrd for NodeId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NodeId {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        cmp_utf16(&self.0, &other.0)
    }
}

/// Compares two strings by UTF-16 code units, without converting them. O(length).
///
/// UTF-8 and UTF-16 have the same order, except that U+E000–U+FFFF (lead bytes EE and EF) are
/// before the supplementary planes (lead bytes F0–F4) in UTF-8 and after them in UTF-16. The first
/// byte that differs decides.
pub(crate) fn cmp_utf16(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    for (&x, &y) in a.iter().zip(b) {
        if x != y {
            let after_surrogates = |byte: u8| byte == 0xEE || byte == 0xEF;
            return if x >= 0xEE && y >= 0xEE && after_surrogates(x) != after_surrogates(y) {
                after_surrogates(x).cmp(&after_surrogates(y))
            } else {
                x.cmp(&y)
            };
        }
    }
    a.len().cmp(&b.len())
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for NodeId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(text)
    }
}

/// An error in the text of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdError {
    /// A node id must have at least one character.
    EmptyNode,
    /// A node id must not contain a space, because spaces separate the parts of an action id.
    SpaceInNode(Arc<str>),
    /// An action id must have three parts: time in milliseconds, node id, sequence number.
    NotThreeParts(Arc<str>),
    /// The first part is not an integer within ±8.64e15, in milliseconds.
    BadTime(Arc<str>),
    /// The last part is not an integer from 0 to 4294967295.
    BadSequence(Arc<str>),
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyNode => {
                f.write_str("expected a node id such as `10:client:tab`, got an empty string")
            }
            Self::SpaceInNode(text) => write!(f, "expected a node id without spaces, got {text:?}"),
            Self::NotThreeParts(text) => {
                write!(
                    f,
                    "expected an action id such as `1564508138460 10:client:tab 0`, got {text:?}"
                )
            }
            Self::BadTime(text) => {
                write!(
                    f,
                    "expected milliseconds within ±8640000000000000 at the start of an action id, got {text:?}"
                )
            }
            Self::BadSequence(text) => {
                write!(
                    f,
                    "expected a sequence number from 0 to 4294967295 at the end of an action id, got {text:?}"
                )
            }
        }
    }
}

impl core::error::Error for IdError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_client_are_parts_of_the_id() {
        let id = |text: &str| NodeId::new(text).unwrap();
        assert_eq!((id("10").user_id(), id("10").client_id()), (None, "10"));
        assert_eq!((id("10:a").user_id(), id("10:a").client_id()), (Some("10"), "10:a"));
        assert_eq!((id("10:a:b").user_id(), id("10:a:b").client_id()), (Some("10"), "10:a"));
        assert_eq!(id("10:a:b:c").client_id(), "10:a");
        assert!(
            id("server").is_server() && id("server:x").is_server() && !id("servers:x").is_server()
        );
        assert!(NodeId::new("").is_err() && NodeId::new("a b").is_err());
    }

    #[test]
    fn order_is_by_utf16_code_units() {
        let samples = [
            "",
            "a",
            "ab",
            "é",
            "中",
            "\u{d7ff}",
            "\u{e000}",
            "\u{ffff}",
            "\u{10000}",
            "😀",
            "\u{10ffff}",
        ];
        for a in samples {
            for b in samples {
                let expected = a.encode_utf16().cmp(b.encode_utf16());
                assert_eq!(cmp_utf16(a, b), expected, "{a:?} against {b:?}");
            }
        }
    }
}
