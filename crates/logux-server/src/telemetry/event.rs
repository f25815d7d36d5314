//! What can happen on a server. `docs/events.md` tells users about the same.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use logux::{
    ActionId, Entry, NodeId,
    action::Subprotocol,
    server::{HubEvent, SessionId},
};
use logux_net::CloseReason;

/// Something that happened.
pub(crate) enum Event<'a> {
    /// The server is ready.
    Listening {
        url: &'a str,
        metrics: Option<SocketAddr>,
        node: &'a NodeId,
        subprotocol: u32,
        min_subprotocol: u32,
    },
    /// It has been asked to stop.
    Stopping,
    /// A connection was refused before anything was said.
    Refused { remote: Option<SocketAddr>, why: RefusalReason },
    /// Somebody has opened a WebSocket.
    Connected { session: SessionId, remote: Option<SocketAddr> },
    /// A client was let in, after so long.
    Authenticated {
        session: SessionId,
        node: &'a NodeId,
        subprotocol: &'a Subprotocol,
        took: Duration,
    },
    /// A client was not let in, for this reason, after so long.
    Unauthenticated { session: SessionId, node: &'a NodeId, reason: &'a str, took: Duration },
    /// What is wrong with a client, or what it says is wrong with the server.
    ClientError { session: SessionId, node: Option<&'a NodeId>, error: &'a dyn fmt::Display },
    /// A connection has ended.
    Disconnected { session: SessionId, node: Option<&'a NodeId>, reason: &'a CloseReason },
    /// A client that was let in had been here before.
    Reconnected,
    /// Bytes of messages from and to a client, since it was told last.
    Traffic { received: u64, sent: u64 },
    /// Actions of a client came; nothing has been done about them yet.
    Received(&'a [Entry]),
    /// The application is asked about an action.
    Requested(&'a Entry),
    /// A handler has blocked the hub's thread.
    HandlerBlocked { entry: &'a Entry, took: Duration },
    /// The hub has done so many commands and committed.
    Round { commands: usize, took: Duration },
    /// Something about actions and subscriptions.
    Hub(&'a HubEvent),
    /// Something does not work here.
    Failed { what: Failure<'a>, error: &'a dyn fmt::Display },
    /// An action does not fit the type that its handlers read it into.
    WrongFormat { id: &'a ActionId, error: &'a dyn fmt::Display },
    /// The server cannot go on.
    Fatal { error: &'a dyn fmt::Display },
    /// A client has not read what it was sent, until this much waited for it: it is cut off.
    SlowReader { session: SessionId, node: Option<&'a NodeId>, messages: usize, bytes: usize },
    /// A limit was reached by a client.
    Limited { node: Option<&'a NodeId>, address: Option<IpAddr>, limit: Limit },
    /// A control request came from an address that is not in the mask.
    WrongControlIp { address: Option<IpAddr> },
    /// A control request came with a wrong secret.
    WrongControlSecret { address: Option<IpAddr> },
    /// A back end has answered a command to its end, or failed to.
    BackendAsked { command: &'static str, outcome: &'static str, took: Duration },
    /// A back end is asked again what it did not answer.
    BackendRepeated { error: &'a dyn fmt::Display },
    /// A back end is taken for down; when it will be tried again.
    BackendDown { pause: Duration },
    /// It is not down any more.
    BackendBack,
    /// New connections get a new certificate.
    CertificateRenewed { cert: &'a dyn fmt::Display },
}

/// What did not work.
pub(crate) enum Failure<'a> {
    /// A handler of an action or a subscription.
    Action(&'a ActionId),
    /// The handler of a client's leaving a channel.
    Unsubscription { node: &'a NodeId, channel: &'a str },
    /// Finding what to send to a client that has come.
    OnConnect { node: &'a NodeId },
    /// Finding out whether a client may come in.
    Login { session: SessionId, node: &'a NodeId },
    /// Accepting a connection.
    Accept,
    /// Finishing in time when the server stopped.
    Stop,
    /// Telling clients in time that it stopped.
    Disconnect,
    /// The handler of an HTTP route.
    Route { path: &'a str },
    /// The new certificate: the old one stays in use.
    Certificate,
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RefusalReason {
    /// There are too many, in all or from its address.
    TooMany,
    /// The page that opened it is of an origin that is not allowed.
    Origin,
}

/// A bound that a client has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    /// Wrong logins from one address.
    WrongLogins,
    /// Messages and actions of a connection or a user: it is read more slowly.
    Rate,
}

impl RefusalReason {
    /// As in log lines and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::TooMany => "tooMany",
            Self::Origin => "origin",
        }
    }
}

impl Limit {
    /// As in log lines and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::WrongLogins => "wrongLogins",
            Self::Rate => "rate",
        }
    }
}
