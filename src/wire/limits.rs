//! How much an outsider may send in one message.

use core::fmt;

/// Bounds of one message. Each is checked before anything is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageLimits {
    /// Bytes of a message. 1 MiB unless set.
    pub message_bytes: usize,
    /// How deep arrays and objects may nest in it. 512 unless set.
    pub depth: usize,
    /// Actions in one `sync`. 10,000 unless set.
    pub actions: usize,
    /// Bytes of a node id. 256 unless set.
    pub id_bytes: usize,
}

impl Default for MessageLimits {
    fn default() -> Self {
        Self {
            message_bytes: 1024 * 1024,
            depth: crate::json::MAX_DEPTH,
            actions: 10_000,
            id_bytes: 256,
        }
    }
}

/// A bound that a message goes beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Beyond {
    /// The message has more bytes than this.
    MessageBytes(usize),
    /// It nests deeper than this.
    Depth(usize),
    /// It has more actions than this.
    Actions(usize),
    /// A node id in it has more bytes than this.
    IdBytes(usize),
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MessageBytes(limit) => write!(f, "the message is larger than {limit} bytes"),
            Self::Depth(limit) => write!(f, "the message is nested deeper than {limit}"),
            Self::Actions(limit) => write!(f, "the message has more than {limit} actions"),
            Self::IdBytes(limit) => {
                write!(f, "the message has a node id of more than {limit} bytes")
            }
        }
    }
}
