//! What travels: one JSON text.

use core::{borrow::Borrow, fmt, ops::Deref, str::Utf8Error};

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// One message of the protocol as UTF-8 text. A clone shares the bytes.
///
/// A frame that was received may share its bytes with others that arrived in the same read: copy out of it what has to
/// be kept for long.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Frame(Utf8Bytes);

impl Frame {
    /// A frame from text that lives as long as the program; nothing is copied.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Utf8Bytes::from_static(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no text at all. Such a frame can be sent and received like any other.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of the text; nothing is copied.
    pub fn into_bytes(self) -> Bytes {
        self.0.into()
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Frame {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// Checks that the bytes are UTF-8; nothing is copied.
impl TryFrom<Bytes> for Frame {
    type Error = Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, Utf8Error> {
        bytes.try_into().map(Self)
    }
}

impl Deref for Frame {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Frame {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.as_str().as_bytes()
    }
}

impl Borrow<str> for Frame {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Frame {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Frame {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
