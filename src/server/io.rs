//! What goes into a hub and what comes out.

use core::fmt;
use std::sync::Arc;

use super::SessionId;
use crate::{
    action::{Action, ActionId, Meta, NodeId, Subprotocol},
    json::Json,
    log::Draft,
    store::Entry,
    sync::BatchToken,
};

/// What happens to a hub.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// A client was let in.
    Join {
        /// Its connection.
        session: SessionId,
        /// Its node.
        node: NodeId,
        /// The application's protocol version it speaks.
        subprotocol: Subprotocol,
        /// What it says about itself.
        headers: Option<Json>,
        /// The last `added` number of ours that it has got.
        since: u64,
    },
    /// A connection is gone.
    Leave(SessionId),
    /// What a client says about itself has changed.
    Headers(SessionId, Json),
    /// Actions of a client came.
    Received {
        /// Its connection.
        session: SessionId,
        /// For the confirmation.
        batch: BatchToken,
        /// The actions.
        entries: Vec<Entry>,
    },
    /// A client has confirmed what it was sent up to a number. To be told for what [`Output::Deliver`] wants it; may be told for all.
    Acknowledged {
        /// Its connection.
        session: SessionId,
        /// The number, as it was sent.
        added: u64,
    },
    /// The application answers a question. Several answers to one question may come, the last is one that ends it.
    Respond(RequestId, HandlerResponse),
    /// The application adds an action of its own.
    Add(Box<AddAction>),
    /// The application takes an action back.
    Undo(Box<UndoRequest>),
    /// The application does not want an action to be kept any more.
    Forget(ActionId),
    /// The application subscribes a client by itself; the client is told by `logux/subscribed`.
    Subscribe {
        /// Who.
        node: NodeId,
        /// To what.
        channel: Arc<str>,
    },
    /// Take nothing new, finish what is in progress, then say [`Output::Drained`].
    Drain,
}

/// An action of the application.
#[derive(Debug)]
pub struct AddAction {
    /// The action.
    pub action: Action,
    /// What its meta is to say; id, creation time and subprotocol are the server's unless given.
    pub draft: Draft,
    /// Who gets it.
    pub to: Recipients,
    /// Ask the application to resend and process it as an action of a client, without asking for access.
    pub process: bool,
    /// Comes back in [`Output::Done`].
    pub ticket: Option<u64>,
}

/// What the application takes back, in progress or done.
///
/// The author is told `logux/undo`, and whoever got the action while it was in progress. In progress, it ends as if its handler had failed. For one
/// that is done say in `to` who got it.
#[derive(Clone, Debug)]
pub struct UndoRequest {
    /// The action.
    pub id: ActionId,
    /// Why.
    pub reason: String,
    /// Further keys of `logux/undo`.
    pub extra: Vec<(String, Json)>,
    /// Who is told too.
    pub to: Recipients,
}

impl UndoRequest {
    /// For a reason, which is `error` in the reference unless given.
    pub fn new(id: ActionId, reason: impl Into<String>) -> Self {
        Self { id, reason: reason.into(), extra: Vec::new(), to: Recipients::default() }
    }

    /// With a further key of `logux/undo`.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: Json) -> Self {
        self.extra.push((key.into(), value));
        self
    }

    /// Who is told too.
    #[must_use]
    pub fn to(mut self, recipients: Recipients) -> Self {
        self.to.extend(recipients);
        self
    }
}

/// One of a client's queues. Actions in one are done one after the other, those of different queues side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueName(Option<Arc<str>>);

impl<T: Into<Arc<str>>> From<T> for QueueName {
    fn from(name: T) -> Self {
        Self(Some(name.into()))
    }
}

/// Tells in which queue an action waits for the application. One queue for all by default, as it keeps everything in order.
#[derive(Clone, Default)]
pub struct Queues(Option<Arc<NameOf>>);

type NameOf = dyn Fn(&Action) -> QueueName + Send + Sync;

impl Queues {
    /// A rule. Pure and quick: it is called for every action.
    pub fn by(rule: impl Fn(&Action) -> QueueName + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(rule)))
    }

    pub(super) fn name(&self, action: &Action) -> QueueName {
        self.0.as_ref().map_or_else(QueueName::default, |rule| rule(action))
    }
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "by a rule" } else { "one" })
    }
}

/// Number of one question to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

impl RequestId {
    /// The number, for log lines.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// A question to the application.
#[derive(Clone, Debug)]
pub struct HandlerRequest {
    /// For the answers.
    pub id: RequestId,
    /// What is asked.
    pub kind: RequestKind,
    /// The action it is about.
    pub entry: Arc<Entry>,
    /// Who sent it.
    pub author: Author,
}

impl HandlerRequest {
    /// Something for the application to know that needs no answer: an answer to it is ignored.
    pub fn notice(entry: Entry, author: Author) -> Self {
        Self { id: RequestId(0), kind: RequestKind::OwnAction, entry: Arc::new(entry), author }
    }
}

/// What the application is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// May the author do this? Who else gets it? Then do it.
    Action,
    /// The same without the first question: the action is the application's own.
    OwnAction,
    /// May the author subscribe? Then load what is in the channel.
    Subscription,
}

/// Who sent an action.
#[derive(Clone, Debug)]
pub struct Author {
    /// The node.
    pub node: NodeId,
    /// The application's protocol version it speaks.
    pub subprotocol: Option<Subprotocol>,
    /// What it says about itself.
    pub headers: Option<Json>,
    /// Its client's connection, if it has one now.
    pub session: Option<SessionId>,
}

/// What the application answers. The words are those of the Logux back-end protocol.
#[derive(Clone)]
#[non_exhaustive]
pub enum HandlerResponse {
    /// Others get the action too, when it is approved.
    Resend(Recipients),
    /// The author may do it. For a subscription: what may pass, or everything.
    Approved(Option<Filter>),
    /// Send an action to the author alone. The draft may say its creation time, and why to keep it.
    Action(Action, Box<Draft>),
    /// Send a new subscriber what the log has kept of the channel: all of it, or what came behind the `since` of its `logux/subscribe`. What the
    /// subscription's filter does not let pass is left out, and with `since` also what the subscriber has done itself. O(what is kept of the channel).
    Replay,
    /// Show the developer at the author's end a text, in development only.
    Debug(String),
    /// Done. Ends the question.
    Processed,
    /// The author may not do it: undone with the reason `denied`. Ends the question.
    Denied,
    /// There is no such type: undone with `unknownType`. Ends the question.
    UnknownType,
    /// There is no such channel: undone with `wrongChannel`. Ends the question.
    WrongChannel,
    /// It does not work: undone with `error`, `notFound` or a reason of the application's own. Ends the question.
    Undo {
        /// Why.
        reason: String,
        /// Further keys of `logux/undo`.
        extra: Vec<(String, Json)>,
    },
}

impl HandlerResponse {
    /// Undone with the reason `error`.
    pub fn error() -> Self {
        Self::Undo { reason: "error".into(), extra: Vec::new() }
    }

    /// Undone with the reason `notFound`.
    pub fn not_found() -> Self {
        Self::Undo { reason: "notFound".into(), extra: Vec::new() }
    }
}

impl fmt::Debug for HandlerResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resend(_) => "Resend",
            Self::Approved(_) => "Approved",
            Self::Action(..) => "Action",
            Self::Replay => "Replay",
            Self::Debug(_) => "Debug",
            Self::Processed => "Processed",
            Self::Denied => "Denied",
            Self::UnknownType => "UnknownType",
            Self::WrongChannel => "WrongChannel",
            Self::Undo { .. } => "Undo",
        })
    }
}

/// Decides which actions of a channel a subscriber gets. Pure and quick: it runs for every action and subscriber.
pub type Filter = Arc<dyn Fn(&Action, &Meta) -> bool + Send + Sync>;

/// Who gets an action besides its author.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients {
    /// All who are subscribed to one of these channels.
    pub channels: Vec<Arc<str>>,
    /// All clients of these users.
    pub users: Vec<Arc<str>>,
    /// These clients.
    pub clients: Vec<Arc<str>>,
    /// These nodes.
    pub nodes: Vec<Arc<str>>,
    /// But not these clients.
    pub exclude_clients: Vec<Arc<str>>,
}

impl Recipients {
    /// All who are subscribed to a channel.
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

    /// These and those.
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
    }
}

/// What has to happen because of an input.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// The client is in; send it what it missed, maybe nothing.
    Joined {
        /// Its connection.
        session: SessionId,
        /// The number up to which that is all.
        added: u64,
        /// What it missed, oldest first.
        missed: Vec<Arc<Entry>>,
    },
    /// Actions of a client are safe; confirm them.
    Persisted(SessionId, BatchToken),
    /// Send an action. Many receivers share one entry, so that it is written once.
    Deliver {
        /// To this connection.
        session: SessionId,
        /// The number up to which everything for it is out then.
        added: u64,
        /// The action.
        entry: Arc<Entry>,
        /// The hub wants to know when the client has confirmed it: [`Input::Acknowledged`].
        confirm: bool,
    },
    /// Send what was kept of a channel.
    Replay {
        /// To this connection.
        session: SessionId,
        /// The number up to which everything for it is out then.
        added: u64,
        /// The actions, in the order in which they were approved.
        entries: Vec<Arc<Entry>>,
    },
    /// An action that is kept is done, or one that was is undone: for whoever makes states of the log. In the order in which that
    /// happened; see [`Hub::recorded`](super::Hub::recorded) for what was before the start.
    Recorded(Arc<Entry>),
    /// Show the developer at the other end a text.
    Debug(SessionId, String),
    /// Close a connection: the same client has come again.
    Replaced(SessionId),
    /// Ask the application.
    Request(HandlerRequest),
    /// Tell the application that a client left a channel.
    Unsubscribed {
        /// Who.
        node: NodeId,
        /// Which channel.
        channel: Arc<str>,
    },
    /// An addition with a ticket is finished: processed, or undone for this reason.
    Done(u64, Result<(), String>),
    /// For whoever keeps an eye on the server.
    Event(HubEvent),
    /// Nothing is in progress any more.
    Drained,
}

/// What happened in a hub: for log lines, metrics and whoever keeps an eye on the server.
///
/// Each report comes in the order in which things happened, and after the commit that made them safe.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HubEvent {
    /// An action came in, of a client or of the application. Without `meta.added` it was not kept. The hub's answers to actions are
    /// not reported: [`Processed`](Self::Processed) and [`Undone`](Self::Undone) say the same.
    Added(Arc<Entry>),
    /// An action of the application is kept nowhere and sent to nobody: a mistake, most likely.
    Useless(Arc<Entry>),
    /// An action, or an answer, was sent to so many clients.
    Sent(Arc<Entry>, usize),
    /// An action was done.
    Processed(Arc<Entry>),
    /// An action was taken back.
    Undone {
        /// The action.
        entry: Arc<Entry>,
        /// Why.
        reason: Arc<str>,
    },
    /// An action came again; it was not done again.
    Duplicate(ActionId),
    /// An action that was kept is forgotten, for there is no reason left to keep it. Only for who has asked for that:
    /// [`Hub::report_cleaned`](super::Hub::report_cleaned).
    Cleaned(Arc<Entry>),
    /// A client is subscribed.
    Subscribed {
        /// By which action; `None` when the application did it.
        id: Option<ActionId>,
        /// Who.
        node: NodeId,
        /// To what.
        channel: Arc<str>,
    },
    /// A client is not subscribed any more.
    Unsubscribed {
        /// Who.
        node: NodeId,
        /// From what.
        channel: Arc<str>,
    },
}
