//! What goes into a node and what comes out.

use core::fmt;

use crate::{
    action::{NodeId, Subprotocol},
    json::Json,
    store::Entry,
    time::WallTime,
    wire::{DecodeError, ErrorMessage, Protocol},
};

/// What happens to a node.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The connection is open: frames can go both ways.
    Opened,
    /// A frame came.
    Frame(&'a str),
    /// The connection is gone.
    Closed,
    /// Time has passed: a deadline may be reached.
    Wake,
    /// The answer to [`Output::Authenticate`]: let it in.
    Allow(AuthToken),
    /// The answer to [`Output::Authenticate`]: tell it why not, and close.
    Refuse(AuthToken, ErrorMessage),
    /// The answer to [`Output::Received`]: the actions are safe.
    Persisted(BatchToken),
    /// Tell the other end about us; replaces what was told before.
    SetHeaders(Json),
    /// Show the developer at the other end a text.
    Debug(&'a str),
}

/// What has to happen because of an input.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send this frame.
    Send(String),
    /// Say whether to let the other end in: [`Input::Allow`] or [`Input::Refuse`].
    Authenticate(Authentication),
    /// Both ends let each other in. Now [`send`](super::Node::send) what the other end has missed, also if that is nothing.
    Connected {
        /// The other end.
        peer: NodeId,
        /// The last `added` number of ours that it has got; `None` at a client, where our own store knows.
        since: Option<u64>,
    },
    /// Clock differences are corrected by this many milliseconds from now on: local minus remote time. Keep it and give it to
    /// [`Node::new`](super::Node::new) at the next connection.
    TimeFix(i64),
    /// Actions came. When they are safe, say [`Input::Persisted`].
    Received {
        /// For the answer.
        batch: BatchToken,
        /// The other end's `added` number of the last of them.
        added: u64,
        /// The actions, with absolute ids and corrected times.
        entries: Vec<Entry>,
    },
    /// The other end has no entries beyond this `added` number of its own that we lack.
    ReceivedUpTo(u64),
    /// The other end has kept what was sent up to this `added` number.
    SentUpTo(u64),
    /// What the other end says about itself.
    Headers(Json),
    /// The other end shows a text to the developer.
    Debug(String),
    /// The other end says why it cannot go on; it is about to close.
    PeerError(ErrorMessage),
    /// [`Node::state`](super::Node::state) is another now.
    State(State),
    /// Close the connection. Frames that came out before go out first.
    Disconnect(Disconnect),
}

/// Who wants in.
pub struct Authentication {
    /// For the answer.
    pub token: AuthToken,
    /// Who the other end says it is.
    pub node: NodeId,
    /// What it shows for a proof. A secret.
    pub secret: Option<String>,
    /// The protocol version it speaks.
    pub protocol: Protocol,
    /// The application's protocol version it speaks.
    pub subprotocol: Subprotocol,
    /// What it says about itself.
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

/// Right to answer one question about authentication. An answer that comes when the connection is another one is ignored.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the other end waits until the question is answered"]
pub struct AuthToken(pub(super) u32);

/// Right to confirm one batch of received actions. A confirmation that comes when the connection is another one is ignored.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the other end sends the actions again until they are confirmed"]
pub struct BatchToken {
    pub(super) opening: u32,
    pub(super) number: u32,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no connection.
    Disconnected,
    /// The two ends get to know each other.
    Connecting,
    /// Actions are on their way.
    Sending,
    /// The other end has everything.
    Synchronized,
}

/// Why a node closes the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disconnect {
    /// The other end's message was wrong; it was told so.
    Decode(DecodeError),
    /// A message that cannot stand there, such as a second `connect`.
    OutOfOrder(&'static str),
    /// It speaks only protocol versions that are too old.
    WrongProtocol(u32),
    /// It was not let in.
    Refused(String),
    /// It sent too much before it was let in.
    TooMuchWaiting,
    /// It did not answer in time.
    Timeout(TimeoutKind),
    /// It said that it cannot go on.
    PeerError(ErrorMessage),
    /// A time leaves the range of a JavaScript `Date`.
    TimeOutOfRange,
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => fmt::Display::fmt(error, f),
            Self::OutOfOrder(name) => write!(f, "`{name}` came where it cannot stand"),
            Self::WrongProtocol(used) => write!(f, "protocol version {used} is too old"),
            Self::Refused(kind) => write!(f, "not let in: {kind}"),
            Self::TooMuchWaiting => f.write_str("too many messages before authentication"),
            Self::Timeout(why) => write!(f, "no answer in time to {why}"),
            Self::PeerError(error) => write!(f, "the other end reports {}", error.kind),
            Self::TimeOutOfRange => f.write_str("a time is out of the range of a JavaScript Date"),
        }
    }
}

/// What a deadline of a node is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutKind {
    /// The other end has not said who it is.
    Connect,
    /// It is time to ask whether the other end is still there.
    Ping,
    /// The other end has not answered that.
    Pong,
    /// The other end has not confirmed actions.
    Synced,
}

impl fmt::Display for TimeoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "the opened connection",
            Self::Ping | Self::Pong => "ping",
            Self::Synced => "sync",
        })
    }
}

/// A clock reading next to another, to find their difference.
///
/// The way the reference does it: half of the round trip is taken for each direction, the time that the server spent is not counted.
pub(super) fn time_fix(connect_sent: WallTime, now: WallTime, received: i64, sent: i64) -> i64 {
    let round_trip = now.since(connect_sent) - sent.saturating_sub(received);
    (2 * connect_sent.since(WallTime::from_millis(received)) + round_trip).div_euclid(2)
}
