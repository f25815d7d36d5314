//! Limits on the size of one received message.

use core::fmt;

/// The bounds of one received message. Each is checked before the item is stored.
///
/// The bounds of one action ([`action_bytes`](Self::action_bytes), [`depth`](Self::depth) and
/// [`id_bytes`](Self::id_bytes)) do not make a `sync` message invalid: the action that exceeds one
/// is a [`RefusedEntry`](super::RefusedEntry).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageLimits {
    /// The largest message, in bytes. Default: 64 MiB, because a client may send all that it did
    /// offline in one `sync` message.
    ///
    /// It also bounds the number of actions: each counts as at least 256 bytes in a message with
    /// more than 1,000 actions, because that is the least memory that an action occupies.
    pub message_bytes: usize,
    /// The largest action in a `sync` message, in bytes. Default: 8 MiB.
    pub action_bytes: usize,
    /// The greatest nesting depth of arrays and objects in one value. Default: 512.
    pub depth: usize,
    /// The longest node id, in bytes. Default: 256.
    pub id_bytes: usize,
}

impl Default for MessageLimits {
    fn default() -> Self {
        Self {
            message_bytes: 64 * 1024 * 1024,
            action_bytes: 8 * 1024 * 1024,
            depth: crate::json::MAX_DEPTH,
            id_bytes: 256,
        }
    }
}

/// The bytes that an action counts at least, if a message has many.
const MIN_ACTION_BYTES: usize = 256;

/// The number of actions that a message may have, however small it is.
const MIN_ACTIONS: usize = 1_000;

impl MessageLimits {
    /// Returns the largest number of actions in one message.
    pub const fn actions(&self) -> usize {
        let actions = self.message_bytes / MIN_ACTION_BYTES;
        if actions > MIN_ACTIONS { actions } else { MIN_ACTIONS }
    }
}

/// The limit that a message or one of its actions exceeds, with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExceededLimit {
    /// The message has more bytes than [`MessageLimits::message_bytes`].
    MessageBytes(usize),
    /// The action has more bytes than [`MessageLimits::action_bytes`].
    ActionBytes(usize),
    /// Arrays and objects are nested deeper than [`MessageLimits::depth`].
    Depth(usize),
    /// The message has more actions than [`MessageLimits::actions`].
    Actions(usize),
    /// A node id has more bytes than [`MessageLimits::id_bytes`].
    IdBytes(usize),
}

impl ExceededLimit {
    /// Returns the reason of the `logux/undo` for an action that exceeds the limit: `tooLarge`,
    /// `tooDeep` or `wrongId`.
    pub const fn undo_reason(self) -> &'static str {
        match self {
            Self::MessageBytes(_) | Self::ActionBytes(_) | Self::Actions(_) => "tooLarge",
            Self::Depth(_) => "tooDeep",
            Self::IdBytes(_) => "wrongId",
        }
    }
}

// The texts are in `spec/protocol.md`: the sender receives them.
impl fmt::Display for ExceededLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MessageBytes(limit) => write!(f, "the message is larger than {limit} bytes"),
            Self::ActionBytes(limit) => write!(f, "the action is larger than {limit} bytes"),
            Self::Depth(limit) => write!(f, "the message is nested deeper than {limit}"),
            Self::Actions(limit) => write!(f, "the message has more than {limit} actions"),
            Self::IdBytes(limit) => {
                write!(f, "the message has a node id of more than {limit} bytes")
            }
        }
    }
}
