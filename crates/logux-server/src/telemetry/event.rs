//! The events of a server. `docs/events.md` describes them for users.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use logux::{
    ActionId, Entry, NodeId,
    action::Subprotocol,
    server::{HubEvent, SessionId},
};
use logux_net::CloseReason;

/// An event of a server.
pub(crate) enum Event<'a> {
    /// The server accepts connections.
    Listening {
        url: &'a str,
        metrics: Option<SocketAddr>,
        node: &'a NodeId,
        subprotocol: u32,
        min_subprotocol: u32,
    },
    /// The server has started to shut down.
    Stopping,
    /// A connection was refused before its first message.
    Refused { remote: Option<SocketAddr>, why: RefusalReason<'a> },
    /// A client has opened a WebSocket.
    Connected { session: SessionId, remote: Option<SocketAddr> },
    /// A client was authenticated; `took` is the duration of the decision.
    Authenticated {
        session: SessionId,
        remote: Option<SocketAddr>,
        node: &'a NodeId,
        subprotocol: &'a Subprotocol,
        took: Duration,
    },
    /// A client was refused for this reason, and because of this error of its credentials; `took`
    /// is the duration of the decision.
    Unauthenticated {
        session: SessionId,
        remote: Option<SocketAddr>,
        node: &'a NodeId,
        reason: &'a str,
        error: Option<&'a str>,
        took: Duration,
    },
    /// An error of a client, or an error that a client has reported.
    ClientError {
        session: SessionId,
        remote: Option<SocketAddr>,
        node: Option<&'a NodeId>,
        error: &'a dyn fmt::Display,
    },
    /// A connection has ended.
    Disconnected {
        session: SessionId,
        remote: Option<SocketAddr>,
        node: Option<&'a NodeId>,
        reason: &'a CloseReason,
    },
    /// The client that was authenticated had been connected before.
    Reconnected,
    /// Bytes of messages from and to a client since the previous event of this kind.
    Traffic { received: u64, sent: u64 },
    /// Actions of a client were received, and not processed yet.
    Received(&'a [Entry]),
    /// A handler request for an action was sent to the application.
    Requested(&'a Entry),
    /// A handler has blocked the hub's thread for `took`.
    HandlerBlocked { entry: &'a Entry, took: Duration },
    /// The hub has executed `commands` commands and committed, in `took`.
    Round { commands: usize, took: Duration },
    /// An event of the hub, about actions and subscriptions.
    Hub(&'a HubEvent),
    /// Something has failed in this server.
    Failed { what: Failure<'a>, error: &'a dyn fmt::Display },
    /// An action cannot be deserialized into the type of its handlers.
    WrongFormat { id: &'a ActionId, error: &'a dyn fmt::Display },
    /// The server's log cannot be written now, because of this error.
    StoreUnavailable { error: &'a dyn fmt::Display },
    /// The server's log can be written again, after `took`.
    StoreAvailable { took: Duration },
    /// The handlers of an action are called again after a pause, because of this error.
    HandlerRetried { id: &'a ActionId, error: &'a dyn fmt::Display },
    /// The server cannot continue.
    Fatal { error: &'a dyn fmt::Display },
    /// The outbox of a client is full, with `messages` messages of `bytes` bytes; its connection is
    /// closed.
    SlowReader { session: SessionId, node: Option<&'a NodeId>, messages: usize, bytes: usize },
    /// A client has reached a limit.
    Limited { node: Option<&'a NodeId>, address: Option<IpAddr>, limit: Limit },
    /// A control request was received from an address outside of the mask.
    WrongControlIp { address: Option<IpAddr> },
    /// A control request had a wrong secret.
    WrongControlSecret { address: Option<IpAddr> },
    /// Documents of a kind were opened: their states are in memory from now on.
    DocumentsOpened { kind: &'a Arc<str>, count: usize },
    /// Documents of a kind were closed.
    DocumentsClosed { kind: &'a Arc<str>, count: usize },
    /// The settlement of a document has ended after `took`. It has made a snapshot, unless that was
    /// not needed any more or failed, and added `archived` bytes of JSON to the history.
    Settled { kind: &'a Arc<str>, is_snapshot: bool, archived: u64, took: Duration },
    /// The back end has sent its last response to a command, or has failed; `took` is the time
    /// since the command.
    BackendAsked { command: &'static str, outcome: &'static str, took: Duration },
    /// A command is sent to the back end again, because of this error.
    BackendRepeated { error: &'a dyn fmt::Display },
    /// The back end is considered down, and will be tried again after `pause`.
    BackendDown { pause: Duration },
    /// The back end is not down any more.
    BackendBack,
    /// New connections use a new certificate.
    CertificateRenewed { cert: &'a dyn fmt::Display },
}

/// What has failed.
pub(crate) enum Failure<'a> {
    /// A handler of an action or a subscription.
    Action(&'a ActionId),
    /// The handler for the end of a subscription.
    Unsubscription { node: &'a NodeId, channel: &'a str },
    /// Making a snapshot of a document. It is tried again after more edits.
    Settlement { channel: &'a str },
    /// Telling the subscribers of a document what they may do now.
    Access { channel: &'a str },
    /// Sending the JSON of a document to its subscribers. It is tried again.
    Json { channel: &'a str },
    /// The hook after a change of a document. It is called again.
    Change { kind: &'a str },
    /// Writing the sizes of documents to their catalog. It is tried again.
    Catalog { kind: &'a str },
    /// Removing deleted documents for good. It is tried again.
    Purge { kind: &'a str },
    /// Loading the actions for a newly connected client.
    OnConnect { node: &'a NodeId },
    /// Authenticating a client.
    Login { session: SessionId, node: &'a NodeId },
    /// Accepting a connection.
    Accept,
    /// Finishing the actions in progress in time during a shutdown.
    Stop,
    /// Closing all connections in time during a shutdown.
    Disconnect,
    /// The handler of an HTTP route.
    Route { path: &'a str },
    /// Loading a new certificate; the old one stays in use.
    Certificate,
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RefusalReason<'a> {
    /// There are too many connections, in total or from its address.
    TooMany,
    /// The origin of the web page is not among the allowed ones.
    Origin { page: &'a str, allowed: &'a str },
}

/// A limit that a client has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    /// Wrong credentials of a user or from an address; checks wait.
    WrongLogins,
    /// Wrong secrets of control requests from one address.
    WrongSecrets,
    /// Messages and actions of a connection or a user; its reads are throttled.
    Rate,
    /// Connections of one client that replace each other; the new one waits.
    Replacements,
}

impl RefusalReason<'_> {
    /// All names.
    pub(crate) const NAMES: [&'static str; 2] = ["tooMany", "origin"];

    /// Returns its name in log lines and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::TooMany => "tooMany",
            Self::Origin { .. } => "origin",
        }
    }

    /// Returns the origin of the web page, and those that are allowed.
    pub(crate) const fn origins(&self) -> Option<(&str, &str)> {
        match self {
            Self::Origin { page, allowed } => Some((page, allowed)),
            Self::TooMany => None,
        }
    }
}

impl Limit {
    /// All limits.
    pub(crate) const ALL: [Self; 4] =
        [Self::WrongLogins, Self::WrongSecrets, Self::Rate, Self::Replacements];

    /// Returns its name in log lines and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::WrongLogins => "wrongLogins",
            Self::WrongSecrets => "wrongSecrets",
            Self::Rate => "rate",
            Self::Replacements => "replacements",
        }
    }
}
