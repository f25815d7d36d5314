//! What can go wrong between two nodes, sorted by blame.

use std::{io, time::Duration};

use crate::CloseReason;

/// Who has to change something for the error to go away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The other end broke the rules of the transport.
    Peer,
    /// This program called in the wrong way or was configured wrongly.
    Caller,
    /// The way in between. Trying again later may help.
    Network,
}

/// An error of a transport or of connecting.
///
/// After an error from reading, the stream of frames is at its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The peer sent a frame of more than `limit` bytes. It was not buffered beyond the limit.
    #[error("the peer sent a frame of more than {limit} bytes")]
    FrameTooLarge {
        /// [`Limits::max_frame`](crate::Limits::max_frame), in bytes.
        limit: usize,
    },
    /// The peer sent a frame that is not UTF-8.
    #[error("the peer sent a frame that is not UTF-8")]
    NotUtf8,
    /// The peer does not keep to the rules of the transport, for instance of RFC 6455.
    #[error("the peer breaks the transport's rules: {0}")]
    Violation(&'static str),
    /// The connection ended in the middle of a frame.
    #[error("the connection ended in the middle of a frame")]
    Truncated,
    /// A frame was given to a connection that is closed, by either end.
    #[error("the connection is closed")]
    Closed,
    /// The other end did not agree to the upgrade to WebSocket.
    #[error("no WebSocket there: the answer is HTTP {0}")]
    Refused(u16),
    /// What should become a WebSocket is not the HTTP upgrade that RFC 6455 asks for.
    #[error("no WebSocket there: {0}")]
    Handshake(String),
    /// The address cannot be used: not a URL, a scheme other than `ws` and `wss`, no host, a bad header.
    #[error("cannot connect to {url}: {problem}")]
    Address {
        /// The address as it was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Connecting took longer than it may.
    #[error("no connection after {} s", .0.as_secs_f32())]
    ConnectTimeout(Duration),
    /// The operating system, or TLS, reports a failure.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl NetError {
    /// Who has to change something.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::FrameTooLarge { .. }
            | Self::NotUtf8
            | Self::Violation(_)
            | Self::Handshake(_) => Blame::Peer,
            Self::Address { .. } => Blame::Caller,
            Self::Refused(_)
            | Self::Truncated
            | Self::Closed
            | Self::ConnectTimeout(_)
            | Self::Io(_) => Blame::Network,
        }
    }

    /// What the peer is told when the connection is closed because of this error.
    pub const fn close_reason(&self) -> CloseReason {
        match self {
            Self::FrameTooLarge { .. } => CloseReason::TooLarge,
            Self::NotUtf8 | Self::Violation(_) | Self::Handshake(_) => CloseReason::WrongFormat,
            Self::Address { .. } => CloseReason::Internal,
            Self::ConnectTimeout(_) => CloseReason::Timeout,
            Self::Refused(_) | Self::Truncated | Self::Closed | Self::Io(_) => CloseReason::Done,
        }
    }
}
