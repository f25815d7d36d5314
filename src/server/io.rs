//! The inputs and outputs of a hub.

use core::fmt;
use std::sync::Arc;

use super::{DocumentSnapshot, SessionId, SettlementRequest, UndoRefusal, UndoTarget};
use crate::{
    action::{Action, ActionId, DocumentKey, Meta, NodeId, Subprotocol},
    json::Json,
    log::Draft,
    store::Entry,
    sync::{BatchToken, RefusedAction},
};

/// An event or request that a hub handles.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// A client was accepted.
    Join {
        /// The connection of the client.
        session: SessionId,
        /// The node of the client.
        node: NodeId,
        /// The application's protocol version of the client.
        subprotocol: Subprotocol,
        /// The headers of the client: a JSON object of its own data.
        headers: Option<Json>,
        /// The last `added` number of the server that the client has received. 0 if none.
        since: u64,
    },
    /// A client has read a page of [`Output::Missed`] after which there are more.
    CatchUp(SessionId),
    /// A connection was closed.
    Leave(SessionId),
    /// A client has changed its headers.
    Headers(SessionId, Json),
    /// Actions of a client were received.
    Received {
        /// The connection of the client.
        session: SessionId,
        /// The token that confirms the actions, in [`Output::Persisted`].
        batch: BatchToken,
        /// The actions.
        entries: Vec<Entry>,
    },
    /// Actions of a client were received that exceed a limit of one action. The client receives
    /// `logux/undo` for each, with the reason `tooLarge`, `tooDeep` or `wrongId`. It precedes the
    /// [`Received`](Self::Received) of the same message, which confirms them.
    Refused {
        /// The connection of the client.
        session: SessionId,
        /// The actions.
        actions: Vec<RefusedAction>,
    },
    /// A client has confirmed all it was sent up to a number. Required for numbers of
    /// [`Output::Deliver`] with `confirm`, and of [`Output::Missed`] with missed actions; optional
    /// for others.
    Acknowledged {
        /// The connection of the client.
        session: SessionId,
        /// The number, as it was sent.
        added: u64,
    },
    /// The application responds to a request. A request may have several responses; the last one
    /// ends it.
    Respond(RequestId, HandlerResponse),
    /// The application adds its own action.
    Add(Box<AddAction>),
    /// The application sends an action to one connection, which has requested it, for example by
    /// connecting.
    Send(SessionId, Box<(Action, Draft)>),
    /// The application undoes an action.
    Undo(Box<UndoRequest>),
    /// The application removes the [`Retention`](super::Retention) of an action.
    Forget(ActionId),
    /// The application has made the snapshot of a document that [`Output::SettlementDue`]
    /// requested. `None` if there is nothing to settle, or it has failed: it is requested again
    /// later.
    Settle(SettlementRequest, Option<Box<DocumentSnapshot>>),
    /// The application removes a document for good: all of its actions, answers that contain them
    /// and snapshots, and what is known of it. Actions that wait for the application stay until it
    /// has responded. Clients are not notified. The entries are removed in slices;
    /// [`Output::Purged`] follows the last one. After a crash before it, pass this again.
    Purge(DocumentKey),
    /// The application keeps a small value under a name, in the same commit as the other inputs.
    /// [`Hub::value`](super::Hub::value) returns it.
    SetValue(String, String),
    /// The application subscribes a client, without a request of the client. The client receives
    /// `logux/subscribed`.
    Subscribe {
        /// The node of the client.
        node: NodeId,
        /// The channel.
        channel: Arc<str>,
    },
    /// The application ends the subscriptions of clients to a channel, also those that are not
    /// answered yet, and those that the application itself has made to channels below it, such as
    /// `tasks/1` below `tasks`. The clients receive `logux/undo` of them, with the reason
    /// `revoked`; when they connect again, they may ask again.
    Unsubscribe {
        /// The clients. `channels` are all subscribers of these channels.
        clients: Recipients,
        /// The channel.
        channel: Arc<str>,
    },
    /// The application closes the connections of clients.
    Disconnect {
        /// The clients. `channels` are all subscribers of these channels.
        clients: Recipients,
        /// Whether they are told that their credentials are wrong, so that they do not connect
        /// again by themselves.
        is_final: bool,
    },
    /// The version of the application's protocol has changed, for later actions of the server.
    Subprotocol(u32),
    /// Continue with work that was cut into slices: see [`Hub::is_busy`](super::Hub::is_busy).
    Continue,
    /// Accept no new actions, finish those in progress, then emit [`Output::Drained`].
    Drain,
}

/// A request to add an action of the application.
#[derive(Debug)]
pub struct AddAction {
    /// The action.
    pub action: Action,
    /// The meta. Id, creation time and subprotocol default to the server's.
    pub draft: Draft,
    /// The recipients.
    pub to: Recipients,
    /// Whether the application is asked to resend and process the action, as an action of a client
    /// but without the check of access.
    pub process: bool,
    /// A number that [`Output::Done`] returns.
    pub ticket: Option<u64>,
}

/// A request to undo an action, in progress or processed.
///
/// The author receives `logux/undo`. If the action is in progress, it ends as if its handler had
/// failed, and the clients that received it also receive the undo. If it was processed, `to` has to
/// name them.
#[derive(Clone, Debug)]
pub struct UndoRequest {
    /// The id of the action.
    pub id: ActionId,
    /// The reason.
    pub reason: String,
    /// Additional keys of the `logux/undo`.
    pub extra: Vec<(String, Json)>,
    /// Further recipients of the `logux/undo`.
    pub to: Recipients,
}

impl UndoRequest {
    /// Creates a request. The reference's default for `reason` is `error`.
    pub fn new(id: ActionId, reason: impl Into<String>) -> Self {
        Self { id, reason: reason.into(), extra: Vec::new(), to: Recipients::default() }
    }

    /// Adds a key to the `logux/undo`.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: Json) -> Self {
        self.extra.push((key.into(), value));
        self
    }

    /// Adds recipients of the `logux/undo`.
    #[must_use]
    pub fn to(mut self, recipients: Recipients) -> Self {
        self.to.extend(recipients);
        self
    }
}

/// The number of a request to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

impl RequestId {
    /// Returns the number, for log lines.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// A request to the application.
#[derive(Clone, Debug)]
pub struct HandlerRequest {
    /// The id for responses.
    pub id: RequestId,
    /// The kind of the request.
    pub kind: RequestKind,
    /// The action.
    pub entry: Arc<Entry>,
    /// The author of the action.
    pub author: Author,
    /// What a `logux/undo` of a client undoes, or why it can have no effect. `None` for other
    /// actions. See [`HandlerResponse::AcceptUndo`].
    pub target: Option<Result<UndoTarget, UndoRefusal>>,
}

impl HandlerRequest {
    /// Creates a notification of the application. Responses to it are ignored.
    pub fn notice(entry: Entry, author: Author) -> Self {
        let (id, kind) = (RequestId(0), RequestKind::OwnAction);
        Self { id, kind, entry: Arc::new(entry), author, target: None }
    }
}

/// What the application is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// Check the author's access to an action, decide who else receives it, and process it.
    Action,
    /// Decide who receives an action of the application, and process it, without a check of access.
    OwnAction,
    /// Check the author's access to a channel, and load its state.
    Subscription,
}

/// The author of an action.
#[derive(Clone, Debug)]
pub struct Author {
    /// The node.
    pub node: NodeId,
    /// The application's protocol version of the author.
    pub subprotocol: Option<Subprotocol>,
    /// The headers of the author's client.
    pub headers: Option<Json>,
    /// The connection of the author's client, if it is connected now.
    pub session: Option<SessionId>,
}

/// A response of the application to a request. The terms are those of the Logux back-end protocol.
#[derive(Clone)]
#[non_exhaustive]
pub enum HandlerResponse {
    /// Send the action to these recipients too, when it is approved.
    Resend(Recipients),
    /// The action becomes another one with the same id, before it is approved: recipients and the
    /// log receive the other one, also the client that sent it. For a client that describes what it
    /// wants, where others need to know what was done.
    Replace(Action),
    /// The author has access. For a subscription, with its filter: `None` accepts all actions that
    /// are not [only for filters](Recipients::only_filtered).
    Approved(Option<Filter>),
    /// Send an action to the author alone. The draft may define its creation time and its reasons.
    Action(Action, Box<Draft>),
    /// Subscribe the author of a subscription to another channel too, whose state is a part of what
    /// is loaded. The client receives `logux/subscribed`. Such subscriptions do not count against
    /// the limits of the client.
    Subscribe(Arc<str>),
    /// Send a new subscriber the next page of the actions of the channel that the log has kept, up
    /// to the first of these responses: all of them, or those after the `since` of its
    /// `logux/subscribe`. Actions that the filter of the subscription rejects are left out, and
    /// with `since` also the subscriber's own. [`Output::Replayed`] says whether there are more:
    /// then respond again when the client has read the page. O(size of the page).
    Replay,
    /// The rest of a subscription's state waits until its client has read what it was sent. The
    /// later actions of its queue are processed in the meantime.
    Paused,
    /// Show a message to the developer of the author's client. Only in development.
    Debug(String),
    /// The action was processed. Ends the request.
    Processed,
    /// The author may undo the [target](HandlerRequest::target) of its `logux/undo`. The undo is
    /// kept as long as the action that it undoes, and sent to the recipients of that action, also
    /// to those that connect or subscribe later; the author receives `logux/processed`. If the
    /// target is not kept any more, the undo is undone with the reason of its [`UndoRefusal`]. Ends
    /// the request.
    AcceptUndo,
    /// A subscription was not completed, because its client has left or the server stops. It is
    /// processed again when the client reconnects. Ends the request.
    Postponed,
    /// The author has no access: undo the action with the reason `denied`. Ends the request.
    Denied,
    /// The type is unknown: undo the action with `unknownType`. Ends the request.
    UnknownType,
    /// The channel is unknown: undo the subscription with `wrongChannel`. Ends the request.
    WrongChannel,
    /// Undo the action, with the reason `error`, `notFound` or one that the application defines.
    /// Ends the request.
    Undo {
        /// The reason.
        reason: String,
        /// Additional keys of the `logux/undo`.
        extra: Vec<(String, Json)>,
    },
}

impl HandlerResponse {
    /// Undoes the action with a reason.
    pub fn undo(reason: impl Into<String>) -> Self {
        Self::Undo { reason: reason.into(), extra: Vec::new() }
    }

    /// Undoes the action with the reason `error`.
    pub fn error() -> Self {
        Self::undo("error")
    }

    /// Undoes the action with the reason `notFound`.
    pub fn not_found() -> Self {
        Self::undo("notFound")
    }
}

impl fmt::Debug for HandlerResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resend(_) => "Resend",
            Self::Replace(_) => "Replace",
            Self::Approved(_) => "Approved",
            Self::Action(..) => "Action",
            Self::Subscribe(_) => "Subscribe",
            Self::Replay => "Replay",
            Self::Paused => "Paused",
            Self::Debug(_) => "Debug",
            Self::Processed => "Processed",
            Self::AcceptUndo => "AcceptUndo",
            Self::Postponed => "Postponed",
            Self::Denied => "Denied",
            Self::UnknownType => "UnknownType",
            Self::WrongChannel => "WrongChannel",
            Self::Undo { .. } => "Undo",
        })
    }
}

/// Decides which actions of a channel a subscriber receives. It must be pure and fast: it is called
/// for every action and subscriber.
pub type Filter = Arc<dyn Fn(&Action, &Meta) -> bool + Send + Sync>;

/// The recipients of an action besides its author.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients {
    /// All subscribers of these channels.
    pub channels: Vec<Arc<str>>,
    /// All clients of these users.
    pub users: Vec<Arc<str>>,
    /// These clients.
    pub clients: Vec<Arc<str>>,
    /// These nodes.
    pub nodes: Vec<Arc<str>>,
    /// These clients are excluded from all of the above.
    pub exclude_clients: Vec<Arc<str>>,
    /// Whether of the subscribers of channels only those receive it that have subscribed with a
    /// filter of the application: a form of the channel's actions that others do not know.
    pub only_filtered: bool,
}

impl Recipients {
    /// All subscribers of a channel.
    pub fn channel(channel: impl Into<Arc<str>>) -> Self {
        Self { channels: vec![channel.into()], ..Self::default() }
    }

    /// One client.
    pub fn client(client: impl Into<Arc<str>>) -> Self {
        Self { clients: vec![client.into()], ..Self::default() }
    }

    /// All clients of a user.
    pub fn user(user: impl Into<Arc<str>>) -> Self {
        Self { users: vec![user.into()], ..Self::default() }
    }

    /// Adds the recipients of `other`.
    pub fn extend(&mut self, other: Self) {
        if *self == Self::default() {
            *self = other;
            return;
        }
        self.channels.extend(other.channels);
        self.users.extend(other.users);
        self.clients.extend(other.clients);
        self.nodes.extend(other.nodes);
        self.exclude_clients.extend(other.exclude_clients);
        self.only_filtered |= other.only_filtered;
    }
}

/// Something that the driver of a hub has to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send a client the next page of the actions that it missed, the first when it has joined,
    /// even if there are none.
    ///
    /// While there are more, the driver has to cap the `added` numbers of all other messages to the
    /// client at the one of the last page: otherwise the client would confirm actions that it has
    /// not received. When the client has read the page, call [`Input::CatchUp`].
    Missed {
        /// The connection of the client.
        session: SessionId,
        /// The `added` number up to which the client then has everything.
        added: u64,
        /// The missed actions, oldest first.
        entries: Vec<Arc<Entry>>,
        /// Whether there are more.
        has_more: bool,
    },
    /// The actions of a batch are durable. Confirm them to the client.
    Persisted(SessionId, BatchToken),
    /// Send an action. Many recipients share one entry, so that it is encoded once.
    Deliver {
        /// The connection.
        session: SessionId,
        /// The `added` number up to which the client then has everything.
        added: u64,
        /// The action.
        entry: Arc<Entry>,
        /// Whether the hub requires [`Input::Acknowledged`] when the client has confirmed it.
        confirm: bool,
        /// Whether the client itself has requested it: it is an answer to its action, or a part of
        /// a state that it loads. Other deliveries are caused by other clients or the application,
        /// and a client that does not read them must not fill the memory.
        is_requested: bool,
    },
    /// Send kept actions of a channel.
    Replay {
        /// The connection.
        session: SessionId,
        /// The `added` number up to which the client then has everything.
        added: u64,
        /// The actions, in the order in which they were approved.
        entries: Vec<Arc<Entry>>,
    },
    /// A [`HandlerResponse::Replay`] to this request was handled.
    Replayed {
        /// The request.
        request: RequestId,
        /// Whether there are more actions.
        has_more: bool,
    },
    /// An action with a [`Retention`](super::Retention) was processed, or a processed one was
    /// undone, in the order of these events. For states that are computed from the log;
    /// [`Hub::recorded`](super::Hub::recorded) visits the actions from before the start.
    Recorded {
        /// The action, or the undo.
        entry: Arc<Entry>,
        /// The document that it is about, if it is of one of the configured kinds.
        document: Option<DocumentKey>,
    },
    /// Make a snapshot of a document with [`SnapshotBuilder`](super::SnapshotBuilder), in the
    /// background, and respond with [`Input::Settle`].
    SettlementDue(SettlementRequest),
    /// Everything that an [`Input::Purge`] asked for was removed.
    Purged(DocumentKey),
    /// Show a message to the developer of a client.
    Debug(SessionId, String),
    /// Close a connection, because its client has connected again.
    Replaced(SessionId),
    /// Close a connection for the application. With `is_final`, send the error `wrong-credentials`
    /// first.
    Disconnect {
        /// The connection of the client.
        session: SessionId,
        /// Whether the client must not connect again by itself.
        is_final: bool,
    },
    /// Ask the application. Only for requests that [`Hub::poll_request`](super::Hub::poll_request)
    /// has not returned before the commit.
    Request(HandlerRequest),
    /// Notify the application that a client is not subscribed to a channel any more.
    Unsubscribed {
        /// The node of the client.
        node: NodeId,
        /// The channel.
        channel: Arc<str>,
    },
    /// An [`AddAction`] with this ticket has ended: processed, or undone for this reason.
    Done(u64, Result<(), String>),
    /// An event for telemetry that [`Hub::poll_event`](super::Hub::poll_event) has not returned
    /// before the commit.
    Event(HubEvent),
    /// After [`Input::Drain`], no request to the application is running any more.
    Drained,
}

/// An event in a hub, for log lines, metrics and other telemetry.
///
/// Events have the order in which they happened. Those that [`Hub::poll_event`] returns before the
/// commit are not durable yet; the others follow the commit.
///
/// [`Hub::poll_event`]: super::Hub::poll_event
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HubEvent {
    /// An action of a client or of the application was added. Without `meta.added` it was not kept.
    /// The hub's answers to actions have no event of this kind, because
    /// [`Processed`](Self::Processed) and [`Undone`](Self::Undone) report them.
    Added(Arc<Entry>),
    /// An action of the application is neither kept nor sent to a client, probably by mistake.
    Useless(Arc<Entry>),
    /// An action or an answer was sent to this number of clients.
    Sent(Arc<Entry>, usize),
    /// A state was sent to a new subscriber.
    Loaded {
        /// The `logux/subscribe`.
        entry: Arc<Entry>,
        /// The number of actions that were sent.
        actions: usize,
    },
    /// An action was processed.
    Processed(Arc<Entry>),
    /// An action was undone.
    Undone {
        /// The action.
        entry: Arc<Entry>,
        /// The reason.
        reason: Arc<str>,
    },
    /// An action was received again, and not processed again.
    Duplicate(ActionId),
    /// A kept action was removed from the log, because it has no reasons left. Only after
    /// [`Hub::report_cleaned`](super::Hub::report_cleaned).
    Cleaned(Arc<Entry>),
    /// A client was subscribed.
    Subscribed {
        /// The id of the `logux/subscribe`, or `None` if the application subscribed the client.
        id: Option<ActionId>,
        /// The node of the client.
        node: NodeId,
        /// The channel.
        channel: Arc<str>,
    },
    /// A client is not subscribed any more.
    Unsubscribed {
        /// The node of the client.
        node: NodeId,
        /// The channel.
        channel: Arc<str>,
    },
}
