//! The inputs and outputs of a node.

use core::fmt;

use crate::{
    action::{NodeId, Subprotocol},
    json::Json,
    store::Entry,
    time::WallTime,
    wire::{DecodeError, ErrorMessage, Protocol},
};

/// An event for a node.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The connection is open.
    Opened,
    /// A received frame.
    Frame(&'a str),
    /// The connection is closed.
    Closed,
    /// Time has passed: a deadline may be reached.
    Wake,
    /// The response to [`Output::Authenticate`] that accepts the peer.
    Allow(AuthToken),
    /// The response to [`Output::Authenticate`] that rejects the peer: the node sends the error and
    /// closes the connection.
    Refuse(AuthToken, ErrorMessage),
    /// Rejects a peer that was accepted before: the node sends the error and closes the connection.
    Reject(ErrorMessage),
    /// The response to [`Output::Received`]: the actions are durable.
    Persisted(BatchToken),
    /// New headers of this node, a JSON object. They are sent, and replace the previous ones.
    SetHeaders(Json),
    /// A text for the developer of the peer.
    Debug(&'a str),
}

/// A request of a node to its driver.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// A frame to send.
    Send(String),
    /// The peer's authentication request. The response is [`Input::Allow`] or [`Input::Refuse`].
    Authenticate(Authentication),
    /// The handshake is complete. The driver has to [`send`](super::Node::send) the actions that
    /// the peer has missed, even if there are none.
    Connected {
        /// The peer.
        peer: NodeId,
        /// The last `added` number of this node that the peer has received. `None` for a client,
        /// whose own store knows it.
        since: Option<u64>,
    },
    /// The measured difference between the clocks: local minus remote time, in milliseconds. The
    /// node corrects times by it. The driver stores it and passes it to
    /// [`Node::connect_with`](super::Node::connect_with) before the next connection.
    TimeFix(i64),
    /// Received actions. When they are durable, the driver responds with [`Input::Persisted`].
    Received {
        /// The token for the response.
        batch: BatchToken,
        /// The peer's `added` number of the last action.
        added: u64,
        /// The actions, with absolute ids and corrected times.
        entries: Vec<Entry>,
    },
    /// All of the peer's entries up to this `added` number of the peer have been received.
    ReceivedUpTo(u64),
    /// The peer has confirmed the entries up to this `added` number.
    SentUpTo(u64),
    /// The peer's headers, a JSON object.
    Headers(Json),
    /// A text from the peer for the developer.
    Debug(String),
    /// An error that the peer reports before it closes the connection.
    PeerError(ErrorMessage),
    /// The new [`Node::state`](super::Node::state).
    State(State),
    /// A request to close the connection, after all previous frames are sent.
    Disconnect(Disconnect),
}

/// The peer's authentication request.
pub struct Authentication {
    /// The token for the response.
    pub token: AuthToken,
    /// The node id that the peer claims.
    pub node: NodeId,
    /// The peer's credentials. A secret.
    pub secret: Option<String>,
    /// The protocol version of the connection.
    pub protocol: Protocol,
    /// The peer's subprotocol.
    pub subprotocol: Subprotocol,
    /// The peer's headers, a JSON object.
    pub headers: Option<Json>,
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication")
            .field("node", &self.node)
            .field("protocol", &self.protocol)
            .field("subprotocol", &self.subprotocol)
            .finish_non_exhaustive()
    }
}

/// The permission to respond to one authentication request. Ignored if its connection is closed.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the peer waits until the authentication request has a response"]
pub struct AuthToken(pub(super) u32);

/// The permission to confirm one received `sync` message. Ignored if its connection is closed.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the peer sends the actions again until they are confirmed"]
pub struct BatchToken {
    pub(super) opening: u32,
    pub(super) number: u32,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no connection.
    Disconnected,
    /// The connection is open, the handshake is not complete.
    Connecting,
    /// The peer has not confirmed all actions.
    Sending,
    /// The peer has confirmed all actions.
    Synchronized,
}

/// The reason for which a node closes the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disconnect {
    /// The peer sent an invalid message. An `error` message was sent to it.
    Decode(DecodeError),
    /// The peer sent a message that is not allowed in this state, such as a second `connect`.
    OutOfOrder(&'static str),
    /// The peer supports only protocol versions that are too old.
    WrongProtocol(u32),
    /// The authentication was rejected, with this kind of error.
    Refused(String),
    /// The peer sent too many messages before the authentication.
    TooMuchWaiting,
    /// The peer did not respond in time.
    Timeout(TimeoutKind),
    /// The peer reported an error.
    PeerError(ErrorMessage),
    /// A received time is outside of the range of a JavaScript `Date`.
    TimeOutOfRange,
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => fmt::Display::fmt(error, f),
            Self::OutOfOrder(name) => write!(f, "unexpected `{name}` message"),
            Self::WrongProtocol(used) => write!(f, "protocol version {used} is too old"),
            Self::Refused(kind) => write!(f, "authentication rejected: {kind}"),
            Self::TooMuchWaiting => f.write_str("too many messages before authentication"),
            Self::Timeout(kind) => write!(f, "timed out while waiting for {kind}"),
            Self::PeerError(error) => write!(f, "the peer reports the error {}", error.kind),
            Self::TimeOutOfRange => f.write_str("a time is out of the range of a JavaScript Date"),
        }
    }
}

/// The kind of a deadline of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutKind {
    /// The peer has not sent `connect` or `connected`.
    Connect,
    /// No message was sent or received for the ping interval: the node sends `ping`.
    Ping,
    /// The peer has not responded to `ping`.
    Pong,
    /// The peer has not confirmed a `sync` message.
    Synced,
}

impl fmt::Display for TimeoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "the handshake",
            Self::Ping => "a message",
            Self::Pong => "`pong`",
            Self::Synced => "`synced`",
        })
    }
}

/// Returns the difference between the local and the remote clock, in milliseconds.
///
/// Like the reference, it assumes that both directions take half of the round trip, without the
/// time between `received` and `sent` at the server.
pub(super) fn time_fix(connect_sent: WallTime, now: WallTime, received: i64, sent: i64) -> i64 {
    let round_trip = now.since(connect_sent) - sent.saturating_sub(received);
    (2 * connect_sent.since(WallTime::from_millis(received)) + round_trip).div_euclid(2)
}
