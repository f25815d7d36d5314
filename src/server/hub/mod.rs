//! The middle of a server: every connected client, every channel, every action in progress.
//!
//! Here are the hub itself, and clients coming and going. An action's life is in `received` and `answers`, who gets it in `delivery`, how
//! the application takes one back in `undo`, what stays in the log in `keeping`.

mod delivery;
mod join;
mod receive;
mod respond;
mod retention;
mod stats;
mod undo;

pub use stats::{ConnectedClient, HubStats};

use core::time::Duration;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{
    Author, HandlerRequest, HubEvent, HubLog, Input, Output, Queues, Recipients, RequestId,
    SessionId,
    added_offsets::AddedOffsets,
    channels::Channels,
    clock::Clock,
    inbox::Inbox,
    rate::{Rate, TokenBuckets},
    requests::{PendingRequest, Requests, Subject, Subscription},
    retention::{Bounds, RetentionPolicy},
    sessions::Sessions,
};
use crate::{
    action::{
        Action, ActionError, NodeId,
        logux::{self, Undo},
    },
    json::Json,
    log::{Log, LogError},
    store::{Entry, Store},
    time::{MonoTime, Now},
};

/// Settings of a [`Hub`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's node id, such as `server:px3-J3oc`.
    pub node: NodeId,
    /// The application's protocol version, for actions of its own.
    pub subprotocol: u32,
    /// Tell clients in `debug` messages why actions were refused.
    pub debug: bool,
    /// How many actions and answers to remember, so that an action that comes again is not done again, and an answer that was lost is sent
    /// again: that many entries of the log, the latest, and those of up to 64 actions more. What was not answered yet is kept in any case.
    pub remembered_entries: u64,
    /// For how many milliseconds to remember them at most, up to a sixteenth more. A restart begins anew.
    pub remembered_for: Duration,
    /// How many actions of one client may wait for the application before no more is read from it.
    pub max_queue: usize,
    /// How many channels one client may be subscribed to. What is beyond is undone with the reason `subscriptionLimit`.
    pub max_subscriptions: usize,
    /// How many milliseconds the time of a client's action may lie ahead of the server's clock, after the difference between the clocks
    /// was corrected. What lies further ahead is undone with the reason `wrongTime`: it would win over everybody else's changes until
    /// that time comes. It is refused and not moved to now, because its author would keep it where it was, and so have another order
    /// than the rest.
    pub max_ahead: Duration,
    /// How often one user, or one client that has none, may do actions of a type. What is beyond is undone with the reason `rateLimit` and
    /// with `retryAfterMs`: after how many milliseconds there is room again. It is answered once: the same action comes again in vain.
    pub rates: HashMap<String, Rate>,
    /// In which queue an action waits for the application. One for all unless given.
    pub queues: Queues,
    /// What stays in the log once it is done. Nothing unless given.
    pub retention: RetentionPolicy,
}

impl Config {
    /// The settings of a server in production: 10,000 entries remembered for a week, 1,000 actions waiting, 10,000 channels, 5 minutes ahead.
    pub fn new(node: NodeId) -> Self {
        Self {
            node,
            subprotocol: 0,
            debug: false,
            remembered_entries: 10_000,
            remembered_for: Duration::from_hours(7 * 24),
            max_queue: 1_000,
            max_subscriptions: 10_000,
            max_ahead: Duration::from_mins(5),
            rates: HashMap::new(),
            queues: Queues::default(),
            retention: RetentionPolicy::default(),
        }
    }
}

/// Routes actions between clients, and asks the application about each.
///
/// # Calling
/// Give inputs to [`handle`](Self::handle), any number of them; then call [`commit`](Self::commit), which makes everything durable in
/// one step of the store; only then drain [`poll_output`](Self::poll_output), which gives out nothing that is not committed. So a
/// confirmation never leaves before what it confirms is safe, and a busy server pays for one commit per round, not per action.
///
/// # Life of an action of a client
/// Received → checked to be the client's own → kept in the inbox → confirmed → waits for the client's earlier ones of the same queue → the application is
/// asked ([`Output::Request`]) → approved: sent to the recipients → processed: the author is told `logux/processed`. Whatever goes wrong,
/// the author, and the recipients if they got it, are told `logux/undo`; and as in the reference, what waits behind it in the same queue
/// of the client is undone too, with the reason `error`, since it may build on it.
#[derive(Debug)]
pub struct Hub<S> {
    config: Config,
    log: HubLog<S>,
    sessions: Sessions,
    channels: Channels,
    requests: Requests,
    inbox: Inbox,
    rates: HashMap<String, TokenBuckets<Arc<str>>>,
    /// The moment of the input that is handled.
    now: MonoTime,
    bounds: Bounds,
    added_offsets: AddedOffsets,
    clock: Clock,
    draining: bool,
    /// Outputs that wait for the commit, and those behind it.
    pending: VecDeque<Output>,
    ready: VecDeque<Output>,
}

impl<S: Store> Hub<S> {
    /// A hub over a store. Actions that were not answered before the last stop are asked about again.
    ///
    /// # Errors
    /// When the store fails.
    pub fn new(config: Config, store: S) -> Result<Self, LogError<S::Error>> {
        let log = Log::with_observer(config.node.clone(), store, Default::default())?;
        let clock = Clock::of(&log, config.max_ahead)?;
        let mut hub = Self {
            clock,
            inbox: Inbox::new(config.remembered_entries, config.remembered_for),
            rates: config
                .rates
                .iter()
                .map(|(kind, rate)| (kind.clone(), TokenBuckets::new(*rate)))
                .collect(),
            now: MonoTime::default(),
            config,
            log,
            sessions: Sessions::default(),
            channels: Channels::default(),
            requests: Requests::default(),
            added_offsets: AddedOffsets::default(),
            bounds: Bounds::default(),
            draining: false,
            pending: VecDeque::new(),
            ready: VecDeque::new(),
        };
        hub.find_bounds()?;
        let (unanswered, usage) = hub.inbox.recall(&hub.log)?;
        hub.log.observer_mut().inbox_usage = usage;
        hub.take_up(unanswered)?;
        Ok(hub)
    }

    /// Gives the store back.
    pub fn into_store(self) -> S {
        self.log.into_store()
    }

    /// Whether actions that leave the log are to be reported ([`HubEvent::Cleaned`]). They are not until this says so.
    pub fn report_cleaned(&mut self, is_wanted: bool) {
        self.log.observer_mut().clean_log.want(is_wanted);
    }

    /// How many clients are connected.
    pub fn connected(&self) -> usize {
        self.sessions.len()
    }

    /// Makes everything so far durable and its outputs available.
    ///
    /// # Errors
    /// When the store fails: then nothing of it may be told to anybody, and the server has to stop.
    pub fn commit(&mut self) -> Result<(), LogError<S::Error>> {
        self.log.commit()?;
        self.ready.append(&mut self.pending);
        Ok(())
    }

    /// What has to be done; call until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.ready.pop_front()
    }

    /// Takes what happened.
    ///
    /// # Errors
    /// When the store fails: the server has to stop then, clients will send again what was not confirmed.
    pub fn handle(&mut self, now: Now, input: Input) -> Result<(), LogError<S::Error>> {
        self.now = now.mono;
        let now = self.clock.read(now.wall);
        self.grow_older(now)?;
        self.forget_old(now)?;
        match input {
            Input::Join { session, node, subprotocol, headers, since } => {
                self.join(now, session, &node, subprotocol, headers, since)?;
            }
            Input::Leave(session) => self.leave(now, session)?,
            Input::Acknowledged { session, added } => self.acknowledged(session, added)?,
            Input::Headers(session, headers) => {
                if let Some(session) = self.sessions.get_mut(session) {
                    session.headers = Some(headers);
                }
            }
            Input::Received { session, batch, entries } => {
                self.received(now, session, batch, entries)?
            }
            Input::Respond(request_id, answer) => self.answer(now, request_id, answer)?,
            Input::Add(addition) => self.add(now, *addition)?,
            Input::Forget(id) => self.forget(&id)?,
            Input::Undo(undoing) => self.undo(now, *undoing)?,
            Input::Subscribe { node, channel } => self.subscribe_node(now, &node, &channel)?,
            Input::Drain => self.draining = true,
        }
        let cleaned = self.log.observer_mut().clean_log.take();
        self.pending
            .extend(cleaned.into_iter().map(|entry| Output::Event(HubEvent::Cleaned(entry))));
        if self.draining && self.requests.is_idle() {
            self.pending.push_back(Output::Drained);
        }
        Ok(())
    }

    fn report(&mut self, report: HubEvent) {
        self.pending.push_back(Output::Event(report));
    }

    fn report_undone(&mut self, entry: &Arc<Entry>, reason: &str) {
        self.report(HubEvent::Undone { entry: entry.clone(), reason: reason.into() });
    }

    fn debug(&mut self, session: Option<SessionId>, text: impl FnOnce() -> String) {
        if let (true, Some(session)) = (self.config.debug, session) {
            self.pending.push_back(Output::Debug(session, text()));
        }
    }

    fn client_request(&self, entry: Entry, session: Option<SessionId>) -> PendingRequest {
        let subject = if entry.action.kind() == logux::SUBSCRIBE {
            let sender = session.and_then(|id| self.sessions.get(id)).map(|session| &session.node);
            Subject::Subscription(Subscription {
                sender: sender.unwrap_or_else(|| entry.meta.id.node()).clone(),
                session,
                is_cancelled: false,
            })
        } else {
            Subject::Action
        };
        PendingRequest {
            subject,
            queue: self.config.queues.name(&entry.action),
            recipients: Recipients::default(),
            is_approved: false,
            entry: Arc::new(entry),
            repeats: 0,
        }
    }

    fn debug_author(
        &mut self,
        request_id: RequestId,
        text: impl FnOnce(&PendingRequest) -> String,
    ) {
        let Some(request) = self.requests.running(request_id) else { return };
        let (client, text) = (request.entry.meta.id.node().clone(), text(request));
        let session = self.sessions.of_client(client.client_id());
        self.debug(session, || text);
    }
}

/// How subscriptions without a filter are told from those with one.
const NO_FILTER: &str = "{}";

fn filter_key(action: &Action) -> Arc<str> {
    action.field("filter").unwrap_or(NO_FILTER).into()
}

/// What a subscription, or its end, is about: a channel, and the filter by which it is told from others of the same channel.
fn subscribed_to(action: &Action) -> Option<(Arc<str>, Arc<str>)> {
    Some((action.str_field("channel")?.into(), filter_key(action)))
}

fn undo_of(entry: &Entry, reason: &str, extra: Vec<(String, Json)>) -> Result<Action, ActionError> {
    let id = entry.meta.id.to_text();
    Undo { id, reason: reason.to_owned(), action: Some(entry.action.clone()), extra }.to_action()
}

fn handler_request(sessions: &Sessions, id: RequestId, request: &PendingRequest) -> HandlerRequest {
    let node = request.entry.meta.id.node();
    let connection = sessions.of_client(node.client_id());
    let session = connection.and_then(|connection| sessions.get(connection));
    let author = Author {
        node: node.clone(),
        subprotocol: request
            .entry
            .meta
            .subprotocol
            .clone()
            .or_else(|| session.map(|session| session.subprotocol.clone())),
        headers: session.and_then(|session| session.headers.clone()),
        session: connection,
    };
    HandlerRequest { id, kind: request.kind(), entry: request.entry.clone(), author }
}
