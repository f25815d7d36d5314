//! The inputs and outputs of a node.

use core::fmt;

use crate::{
    action::{ActionId, NodeId, Subprotocol},
    json::Json,
    store::Entry,
    time::WallTime,
    wire::{DecodeError, ErrorMessage, ExceededLimit, Protocol},
};

/// An event for a node.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The connection is open.
    Opened,
    /// A received frame.
    Frame(&'a str),
    /// More of a frame was received that is not complete yet, or the frame waits to be read: the
    /// peer is not silent. Call it every few seconds while a large frame is received.
    PartialFrame,
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
    /// Received actions: those of one `sync` message, or a part of them if it is large. When they
    /// are durable, the driver responds with [`Input::Persisted`].
    Received {
        /// The token for the response.
        batch: BatchToken,
        /// The peer's `added` number of the last action of the message.
        added: u64,
        /// The actions, with absolute ids and corrected times.
        entries: Vec<Entry>,
        /// The actions of the message that exceed a limit. They are confirmed with the others, so
        /// the driver answers them with `logux/undo`.
        refused: Vec<RefusedAction>,
    },
    /// All of the peer's entries up to this `added` number of the peer have been received.
    ReceivedUpTo(u64),
    /// The peer has confirmed the entries up to this `added` number.
    SentUpTo(u64),
    /// The peer's headers, a JSON object.
    Headers(Json),
    /// A text from the peer for the developer.
    Debug(String),
    /// An error that the peer reports before it closes the connection. Its kind is cut to 256
    /// bytes.
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

/// A received action that exceeds a limit of one action, such as
/// [`MessageLimits::action_bytes`](crate::wire::MessageLimits::action_bytes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedAction {
    /// The id of the action. `None` if it is too long to be named in an answer.
    pub id: Option<ActionId>,
    /// The type of the action, cut to 256 bytes.
    pub kind: String,
    /// The corrected creation time.
    pub time: WallTime,
    /// The limit.
    pub limit: ExceededLimit,
}

/// The permission to confirm one received batch. Ignored if its connection is closed.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the peer sends the actions again until they are confirmed"]
pub struct BatchToken {
    pub(super) opening: u32,
    pub(super) number: u32,
    pub(super) continues: bool,
}

impl BatchToken {
    /// Returns `true` if the batch is a later part of a large message, whose first part was
    /// delivered before.
    pub const fn continues(&self) -> bool {
        self.continues
    }
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
    /// The peer confirmed this `added` number, up to which nothing was sent.
    UnsentConfirmed(u64),
    /// The server's `added` number is this one, which is trillions above all earlier ones. No later
    /// number would be above it.
    NumberOutOfRange(u64),
    /// The application has paused the connection, or the device goes to sleep.
    Paused,
}

impl Disconnect {
    /// Returns `true` if the peer has violated the protocol. This text tells its developer how.
    pub const fn is_violation(&self) -> bool {
        match self {
            Self::Decode(_)
            | Self::OutOfOrder(_)
            | Self::WrongProtocol(_)
            | Self::TooMuchWaiting
            | Self::TimeOutOfRange
            | Self::UnsentConfirmed(_)
            | Self::NumberOutOfRange(_) => true,
            Self::Refused(_) | Self::Timeout(_) | Self::PeerError(_) | Self::Paused => false,
        }
    }
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
            Self::Paused => f.write_str("the connection is paused"),
            Self::TimeOutOfRange => f.write_str("a time is out of the range of a JavaScript Date"),
            Self::UnsentConfirmed(added) => {
                write!(f, "`synced` confirms {added}, which was not sent")
            }
            Self::NumberOutOfRange(added) => {
                write!(f, "the `added` number {added} is trillions above all earlier ones")
            }
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
    /// Received actions are not durable yet: the node sends `pong`, so that the peer does not time
    /// out.
    Receiving,
}

impl fmt::Display for TimeoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "the handshake",
            Self::Ping => "a message",
            Self::Pong => "`pong`",
            Self::Synced => "`synced`",
            Self::Receiving => "the store",
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
