//! Why a connection is closed.

use core::fmt;
use std::sync::Arc;

/// Why one end closes the connection.
///
/// On WebSocket it travels as a status code with a text; the in-process pair carries it as it is; JSON lines do not carry
/// it. The peers in JavaScript look at neither code nor text, so nothing may depend on the reason: what the other node
/// has to know was said in an `error` message before.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum CloseReason {
    /// This end has nothing more to do. 1000 `done`; also what a close without a code is read as.
    #[default]
    Done,
    /// The program ends or restarts. 1001 `shutdown`.
    Shutdown,
    /// The peer sent what is not a message of the protocol. 1007 `wrong-format`.
    WrongFormat,
    /// The peer is not let in: wrong credentials, protocol or subprotocol. 1008 `refused`.
    Refused,
    /// The peer was silent for too long. 1008 `timeout`.
    Timeout,
    /// The same client has connected again, and the newer connection takes the place of this one. 1008 `replaced`.
    Replaced,
    /// The peer does not read what it is sent, and the buffer for it is full. 1008 `slow-reader`.
    SlowReader,
    /// The peer sent a frame over the limit. 1009 `too-large`.
    TooLarge,
    /// Something is broken at this end. 1011 `internal`.
    Internal,
    /// There is no room for this connection now; later there may be. 1013 `overloaded`.
    Overloaded,
    /// A reason that this list does not know, as the peer gave it.
    Other {
        /// The status code of WebSocket.
        code: u16,
        /// What the peer says about it; up to 123 bytes travel.
        text: Arc<str>,
    },
}

impl CloseReason {
    const KNOWN: [Self; 10] = [
        Self::Done,
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

    /// The status code of WebSocket.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Done => 1000,
            Self::Shutdown => 1001,
            Self::WrongFormat => 1007,
            Self::Refused | Self::Timeout | Self::Replaced | Self::SlowReader => 1008,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            Self::Overloaded => 1013,
            Self::Other { code, .. } => *code,
        }
    }

    /// The text that travels with the code.
    pub fn text(&self) -> &str {
        match self {
            Self::Done => "done",
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

    /// The reason for which a peer sent this code and text.
    ///
    /// A text of ours stands for its reason. Without text, 1000 and 1005 (no code was sent) are [`Done`](Self::Done), and
    /// the codes that stand for one reason only are that one. Anything else is [`Other`](Self::Other).
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
    fn every_reason_survives_the_wire() {
        for reason in CloseReason::KNOWN {
            assert_eq!(CloseReason::from_wire(reason.code(), reason.text()), reason);
        }
        let other = CloseReason::Other { code: 4000, text: "mine".into() };
        assert_eq!(CloseReason::from_wire(4000, "mine"), other);
    }

    #[test]
    fn a_bare_code_is_read_as_far_as_it_is_clear() {
        assert_eq!(CloseReason::from_wire(1005, ""), CloseReason::Done);
        assert_eq!(CloseReason::from_wire(1000, ""), CloseReason::Done);
        assert_eq!(CloseReason::from_wire(1001, ""), CloseReason::Shutdown);
        assert_eq!(CloseReason::from_wire(1008, "").to_string(), "1008");
        assert_eq!(CloseReason::from_wire(1000, "bye").to_string(), "1000 bye");
    }
}
