//! Errors between two nodes, sorted by blame.

use std::{io, time::Duration};

use crate::CloseReason;

/// The party that can resolve an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The peer violated the rules of the transport.
    Peer,
    /// This program made an invalid call or has an invalid configuration.
    Caller,
    /// The network. Trying again later may help.
    Network,
}

/// An error of a transport or of connecting.
///
/// After a read error, the stream of frames ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The peer sent a frame of more than `limit` bytes. At most `limit` bytes and one read were
    /// buffered.
    #[error("the peer sent a frame of more than {limit} bytes")]
    FrameTooLarge {
        /// [`FrameLimits::max_frame`](crate::FrameLimits::max_frame), in bytes.
        limit: usize,
    },
    /// The peer sent a frame that is not UTF-8.
    #[error("the peer sent a frame that is not UTF-8")]
    NotUtf8,
    /// The peer violated the rules of the transport, for example RFC 6455.
    #[error("the peer violates the rules of the transport: {0}")]
    Violation(&'static str),
    /// The connection ended in the middle of a frame.
    #[error("the connection ended in the middle of a frame")]
    Truncated,
    /// A frame was sent on a connection that was closed, by either end.
    #[error("the connection is closed")]
    Closed,
    /// The server refused the upgrade to WebSocket, with this HTTP status.
    #[error("the server refused the WebSocket upgrade: HTTP status {0}")]
    Refused(u16),
    /// The request or response is not the HTTP upgrade that RFC 6455 defines.
    #[error("invalid WebSocket handshake: {0}")]
    Handshake(String),
    /// The address is invalid: not a URL, a scheme other than `ws` and `wss`, no host, an invalid
    /// header.
    #[error("cannot connect to {url}: {problem}")]
    Address {
        /// The address.
        url: String,
        /// A description of the problem.
        problem: String,
    },
    /// A `ws://` URL of another host, which is in this error.
    #[error("{0} is not encrypted: use wss://, or allow ws:// to other hosts")]
    Insecure(String),
    /// Connecting exceeded the time limit.
    #[error("no connection after {} s", .0.as_secs_f32())]
    ConnectTimeout(Duration),
    /// An error of the operating system or of TLS.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl NetError {
    /// Returns the party that can resolve the error.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::FrameTooLarge { .. }
            | Self::NotUtf8
            | Self::Violation(_)
            | Self::Handshake(_) => Blame::Peer,
            Self::Address { .. } | Self::Insecure(_) => Blame::Caller,
            Self::Refused(_)
            | Self::Truncated
            | Self::Closed
            | Self::ConnectTimeout(_)
            | Self::Io(_) => Blame::Network,
        }
    }

    /// Returns the reason to send to the peer when the connection is closed because of this error.
    pub const fn close_reason(&self) -> CloseReason {
        match self {
            Self::FrameTooLarge { .. } => CloseReason::TooLarge,
            Self::NotUtf8 | Self::Violation(_) | Self::Handshake(_) => CloseReason::WrongFormat,
            Self::Address { .. } | Self::Insecure(_) => CloseReason::Internal,
            Self::ConnectTimeout(_) => CloseReason::Timeout,
            Self::Refused(_) | Self::Truncated | Self::Closed | Self::Io(_) => CloseReason::Done,
        }
    }
}
