//! Limits on the size of one received message.

use core::fmt;

/// The bounds of one received message. Each is checked before the item is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageLimits {
    /// The largest message, in bytes. Default: 1 MiB.
    pub message_bytes: usize,
    /// The greatest nesting depth of arrays and objects in one value. Default: 512.
    pub depth: usize,
    /// The largest number of actions in one `sync` message. Default: 10,000.
    pub actions: usize,
    /// The longest node id, in bytes. Default: 256.
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

/// The limit that a message exceeds, with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExceededLimit {
    /// The message has more bytes than [`MessageLimits::message_bytes`].
    MessageBytes(usize),
    /// Arrays and objects are nested deeper than [`MessageLimits::depth`].
    Depth(usize),
    /// The message has more actions than [`MessageLimits::actions`].
    Actions(usize),
    /// A node id has more bytes than [`MessageLimits::id_bytes`].
    IdBytes(usize),
}

// The texts are in `spec/protocol.md`: the sender receives them.
impl fmt::Display for ExceededLimit {
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
