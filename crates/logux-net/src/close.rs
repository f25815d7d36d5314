//! Reasons for closing a connection.

use core::fmt;
use std::sync::Arc;

/// The reason for which one end closes the connection.
///
/// WebSocket carries it as a status code with a text, the in-process pair as this value; JSON lines
/// do not carry it. The JavaScript peers ignore code and text, so no logic may depend on the
/// reason: information for the other node is sent in an `error` message before the close.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum CloseReason {
    /// The end has finished. 1000 `done`; also the reason of a close without a code.
    #[default]
    Done,
    /// The login of the peer has ended; it may connect again with new credentials. 1000
    /// `login-ended`.
    LoginEnded,
    /// The program stops or restarts. 1001 `shutdown`.
    Shutdown,
    /// The peer sent an invalid message. 1007 `wrong-format`.
    WrongFormat,
    /// The peer is refused: wrong credentials, protocol or subprotocol. 1008 `refused`.
    Refused,
    /// The peer was silent for too long. 1008 `timeout`.
    Timeout,
    /// The same client has connected again, and the newer connection replaces this one. 1008
    /// `replaced`.
    Replaced,
    /// The peer does not read, and its outgoing buffer is full. 1008 `slow-reader`.
    SlowReader,
    /// The peer sent a frame over the limit. 1009 `too-large`.
    TooLarge,
    /// An internal error of this end. 1011 `internal`.
    Internal,
    /// The limit of connections is reached; connecting later may succeed. 1013 `overloaded`.
    Overloaded,
    /// Any other reason, as the peer sent it.
    Other {
        /// The WebSocket status code.
        code: u16,
        /// The text of the peer, at most 123 bytes.
        text: Arc<str>,
    },
}

impl CloseReason {
    const KNOWN: [Self; 11] = [
        Self::Done,
        Self::LoginEnded,
        Self::Shutdown,
        Self::WrongFormat,
        Self::Refused,
        Self::Timeout,
        Self::Replaced,
        Self::SlowReader,
        Self::TooLarge,
        Self::Internal,
        Self::Overloaded,
    ];

    /// Returns the WebSocket status code.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Done | Self::LoginEnded => 1000,
            Self::Shutdown => 1001,
            Self::WrongFormat => 1007,
            Self::Refused | Self::Timeout | Self::Replaced | Self::SlowReader => 1008,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            Self::Overloaded => 1013,
            Self::Other { code, .. } => *code,
        }
    }

    /// Returns the text that is sent with the code.
    pub fn text(&self) -> &str {
        match self {
            Self::Done => "done",
            Self::LoginEnded => "login-ended",
            Self::Shutdown => "shutdown",
            Self::WrongFormat => "wrong-format",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Replaced => "replaced",
            Self::SlowReader => "slow-reader",
            Self::TooLarge => "too-large",
            Self::Internal => "internal",
            Self::Overloaded => "overloaded",
            Self::Other { text, .. } => text,
        }
    }

    /// Returns the reason for a received code and text.
    ///
    /// A code with its own text is the matching reason. Without a text, 1000 and 1005 (no code in
    /// the close frame) are [`Done`](Self::Done), and a code that belongs to one reason only is
    /// that reason. Anything else is [`Other`](Self::Other).
    pub fn from_wire(code: u16, text: &str) -> Self {
        let known = Self::KNOWN.into_iter().find(|reason| {
            reason.code() == code && (reason.text() == text || text.is_empty() && code != 1008)
        });
        match known {
            Some(reason) => reason,
            None if code == 1005 => Self::Done,
            None => Self::Other { code, text: text.into() },
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other { code, text } if text.is_empty() => write!(f, "{code}"),
            Self::Other { code, text } => write!(f, "{code} {text}"),
            known => f.write_str(known.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_round_trips() {
        for reason in CloseReason::KNOWN {
            assert_eq!(CloseReason::from_wire(reason.code(), reason.text()), reason);
        }
        let other = CloseReason::Other { code: 4000, text: "mine".into() };
        assert_eq!(CloseReason::from_wire(4000, "mine"), other);
    }

    #[test]
    fn a_code_without_text_is_a_reason_only_if_unambiguous() {
        assert_eq!(CloseReason::from_wire(1005, ""), CloseReason::Done);
        assert_eq!(CloseReason::from_wire(1000, ""), CloseReason::Done);
        assert_eq!(CloseReason::from_wire(1001, ""), CloseReason::Shutdown);
        assert_eq!(CloseReason::from_wire(1008, "").to_string(), "1008");
        assert_eq!(CloseReason::from_wire(1000, "bye").to_string(), "1000 bye");
    }
}
