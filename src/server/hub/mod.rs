//! The hub: all connected clients, all channels, all actions in progress.
//!
//! This file has [`Config`] and [`Hub`] with its interface. The other files, in reading order:
//! `join` has the connections of clients and what happens to their subscriptions; `receive` has the
//! actions of clients up to the request to the application; `respond` has the application's
//! responses and the answers to actions; `pages` reads the log in pages, for what a client has
//! missed; `load` has the state that is sent to new subscribers; `retention` has the actions that
//! stay in the log; `delivery` has the actions of the application, and the recipients of all
//! actions; `settle` has the documents that are settled by snapshots; `undo` has the application's
//! requests to undo an action, `client_undo` those of clients, `revoke` the application's requests
//! to end subscriptions and connections; `presence` has the states of clients in channels; `read`
//! returns entries of the log; `stats` has [`HubStats`] and [`ConnectedClient`].

mod client_undo;
mod delivery;
mod join;
mod load;
mod pages;
mod presence;
mod read;
mod receive;
mod respond;
mod retention;
mod revoke;
mod settle;
mod stats;
mod undo;

pub(super) use pages::CatchUp;
pub use stats::{ConnectedClient, HubStats};

use core::time::Duration;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use indexmap::{IndexMap, IndexSet};

use join::LeftChannels;
use settle::Removal;

use super::{
    Author, DocumentKinds, FateKey, FateKeys, HandlerRequest, HubEvent, HubLog, Input, Output,
    QueueName, Queues, Recipients, RequestId, RequestKind, SessionId,
    added_offsets::AddedOffsets,
    channels::Channels,
    clock::ServerClock,
    documents::Documents,
    inbox::Inbox,
    log_starts::LogStarts,
    pending_request::{PendingRequest, Subject, Subscription, SubscriptionKey},
    presence::{Presence, PresenceRule},
    rate::{Rate, TokenBuckets},
    requests::Requests,
    retention::{Bounds, RetentionPolicy},
    sessions::Sessions,
};
use crate::{
    action::{
        Action, ActionError, ActionId, NodeId,
        logux::{self, Undo},
    },
    json::Json,
    log::{Log, LogError},
    store::{Entry, Store},
    time::{MonoTime, Now},
};

/// The configuration of a [`Hub`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's node id, such as `server:px3-J3oc`.
    pub node: NodeId,
    /// The application's protocol version, for its own actions.
    pub subprotocol: u32,
    /// Whether `debug` messages tell clients why actions were refused.
    pub debug: bool,
    /// The number of remembered entries: actions and answers, so that an action that is received
    /// again is not processed again, and a lost answer is sent again. These are the latest entries
    /// of the log, and those of up to 64 further actions. Actions without an answer are kept in
    /// any case.
    pub remembered_entries: u64,
    /// The longest time for which entries are remembered, and up to a sixteenth more. The time
    /// starts again at a restart.
    pub remembered_for: Duration,
    /// The size of the remembered actions and answers, in bytes, at which the oldest ones are
    /// forgotten. The actions of one user are forgotten at a quarter of it.
    pub remembered_bytes: usize,
    /// The number of actions of one client that may wait for the application. When it is reached,
    /// no more messages of the client are confirmed. A message that has begun to be received is
    /// received completely.
    pub max_queue: usize,
    /// The memory of the actions of one user, of all its clients, that are not answered yet, in
    /// bytes: each counts its JSON and 512 bytes. When it is reached, no more batches of the user
    /// are confirmed; one batch may exceed it.
    pub max_queue_bytes: usize,
    /// The same for the actions of all users.
    pub max_pending_bytes: usize,
    /// The number of subscriptions that one client may request, each with its filter. Further
    /// subscriptions are undone with the reason `subscriptionLimit`. Those that the application
    /// makes for the client do not count.
    pub max_subscriptions: usize,
    /// The largest `filter` of a subscription, as JSON, in bytes. Subscriptions with larger ones
    /// are undone with the reason `filterTooLarge`.
    pub max_filter_bytes: usize,
    /// The largest size of all filters of one client, in bytes. Further subscriptions are undone
    /// with the reason `subscriptionLimit`.
    pub max_client_filter_bytes: usize,
    /// The number of entries of the log that are read at a time for a client, so that no client
    /// holds up the others. Default: 256.
    pub page_entries: usize,
    /// How far the time of a client's action may be ahead of the server's clock, after the
    /// correction of the difference between the clocks. Actions further ahead are undone with the
    /// reason `wrongTime`: they would win over all other changes until that time. Such an action
    /// is not moved to the present, because its author would keep it at its time, and would so
    /// have another order than other nodes.
    pub max_ahead: Duration,
    /// The rates at which one user, or one client without a user, may send actions of a type.
    /// Further actions are undone with the reason `rateLimit` and the key `retryAfterMs`: the
    /// milliseconds until the next action is allowed. Retrying the same action id returns the same
    /// answer.
    pub rates: HashMap<String, Rate>,
    /// The rule that assigns actions to queues. Default: one queue for all actions of a client.
    pub queues: Queues,
    /// The rule that assigns fate keys to actions. Default: a failure undoes all later actions of
    /// its queue.
    pub fate_keys: FateKeys,
    /// The rule that defines which processed actions stay in the log. Default: none.
    pub retention: RetentionPolicy,
    /// The kinds of documents that are settled by snapshots. Default: none.
    pub documents: DocumentKinds,
    /// The rule that decides which channels have presence. Default: none.
    pub presence: PresenceRule,
}

impl Config {
    /// Returns the configuration of a server in production: 10,000 entries of 64 MiB are
    /// remembered, for a week; 1,000 actions of a client wait, 16 MiB of a user, 256 MiB of all;
    /// 10,000 subscriptions; 5 minutes ahead.
    pub fn new(node: NodeId) -> Self {
        Self {
            node,
            subprotocol: 0,
            debug: false,
            remembered_entries: 10_000,
            remembered_for: Duration::from_hours(7 * 24),
            remembered_bytes: 64 * 1024 * 1024,
            max_queue: 1_000,
            max_queue_bytes: 16 * 1024 * 1024,
            max_pending_bytes: 256 * 1024 * 1024,
            max_subscriptions: 10_000,
            max_filter_bytes: 16 * 1024,
            max_client_filter_bytes: 1024 * 1024,
            page_entries: 256,
            max_ahead: Duration::from_mins(5),
            rates: HashMap::new(),
            queues: Queues::default(),
            fate_keys: FateKeys::default(),
            retention: RetentionPolicy::default(),
            documents: DocumentKinds::default(),
            presence: PresenceRule::default(),
        }
    }
}

/// Routes actions between clients, and asks the application about each.
///
/// # Usage
/// Pass any number of inputs to [`handle`](Self::handle), then call [`commit`](Self::commit), which
/// makes everything durable in one step of the store, then call [`poll_output`](Self::poll_output)
/// until it returns `None`. It returns no outputs that are not committed. So a confirmation is
/// never sent before the confirmed actions are safe, and a busy server has one commit per round,
/// not one per action. A message with many actions is handled in slices: while
/// [`is_busy`](Self::is_busy) returns `true`, pass [`Input::Continue`] between the other inputs.
///
/// The actions of a client wait for each other's answers, so a driver may ask the application
/// before the commit: it takes the requests with [`poll_request`](Self::poll_request), passes the
/// responses that are ready to [`handle`](Self::handle), and repeats this until there are no more.
/// All of these actions then share one commit. The application may so see an action that a crash
/// makes the server forget. It was not confirmed, so the client sends it again with the same id,
/// and the application is asked again, as after a crash between its own commit and the answer.
///
/// # Life of an action of a client
/// 1. The action is received. It must have been created by the client.
/// 2. It is added to the inbox and confirmed.
/// 3. It waits for earlier actions of the client in the same queue.
/// 4. The application is asked ([`poll_request`](Self::poll_request) or [`Output::Request`]).
/// 5. The application approves it. It is sent to the recipients.
/// 6. The application has processed it. The author receives `logux/processed`.
///
/// If one of these steps fails, the author receives `logux/undo`, and the recipients do so if they
/// have received the action. The actions that wait after it in the same queue of the client and
/// have the same [`FateKey`] are undone too, with the reason `error`, because they may depend on
/// it. By default, these are all of the queue, as in the reference, but no subscriptions.
#[derive(Debug)]
pub struct Hub<S> {
    config: Config,
    log: HubLog<S>,
    sessions: Sessions,
    channels: Channels,
    requests: Requests,
    /// The connections with batches that are held, in the order in which they are tried again.
    held: VecDeque<SessionId>,
    inbox: Inbox,
    rates: HashMap<String, TokenBuckets<Arc<str>>>,
    /// The time of the current input.
    now: MonoTime,
    bounds: Bounds,
    added_offsets: AddedOffsets,
    log_starts: LogStarts,
    clock: ServerClock,
    draining: bool,
    documents: Documents,
    presence: Presence,
    /// The settled documents whose actions are removed from the log in slices.
    removals: VecDeque<Removal>,
    /// The clients with more received actions than one slice, in the order of their turns.
    unfinished: IndexSet<SessionId>,
    /// The channels of closed connections, which are handled in slices too.
    left_channels: VecDeque<LeftChannels>,
    /// The requests that have failed with an earlier one, and are undone in slices.
    failed_later: VecDeque<PendingRequest>,
    /// The subscriptions whose clients were disconnected for too long, which are undone in slices.
    given_up: IndexMap<ActionId, PendingRequest>,
    /// The queues whose next request is started later, because many were skipped.
    idle_queues: VecDeque<(NodeId, QueueName)>,
    /// The requests since the last commit that were not polled.
    pending_requests: VecDeque<HandlerRequest>,
    /// The clients of which an action failed since the last commit. Their further requests wait
    /// for the commit: after a crash, an action that is received again may succeed or fail
    /// otherwise, and takes its later actions with it only if they have had no effect yet.
    failed_clients: HashSet<Arc<str>>,
    /// The events since the last commit that were not polled.
    pending_events: VecDeque<HubEvent>,
    /// The other outputs since the last commit.
    pending: VecDeque<Output>,
    /// The committed outputs.
    ready: VecDeque<Output>,
}

impl<S: Store> Hub<S> {
    /// Creates a hub over a store. The application is asked again about actions that were not
    /// answered before the last stop.
    ///
    /// # Errors
    /// If the store fails.
    pub fn new(config: Config, store: S) -> Result<Self, LogError<S::Error>> {
        let mut hub = Self::unread(config, store);
        hub.read_store()?;
        Ok(hub)
    }

    /// Creates a hub that has not read its store, because the store may not be available yet. Call
    /// [`restart`](Self::restart) until it succeeds, before anything else.
    pub fn unread(config: Config, store: S) -> Self {
        // The server's clock is the reference for all clients.
        let log = Log::unread(config.node.clone(), store, Default::default()).with_physical_clock();
        Self {
            clock: ServerClock::new(config.max_ahead),
            inbox: new_inbox(&config),
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
            held: VecDeque::new(),
            added_offsets: AddedOffsets::default(),
            log_starts: LogStarts::default(),
            bounds: Bounds::default(),
            draining: false,
            documents: Documents::default(),
            presence: Presence::default(),
            removals: VecDeque::new(),
            unfinished: IndexSet::new(),
            left_channels: VecDeque::new(),
            failed_later: VecDeque::new(),
            given_up: IndexMap::new(),
            idle_queues: VecDeque::new(),
            pending_requests: VecDeque::new(),
            failed_clients: HashSet::new(),
            pending_events: VecDeque::new(),
            pending: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }

    /// Starts again from what the store has committed, as after a crash: drops all connections,
    /// requests and outputs, and asks the application again about unanswered actions. Responses to
    /// earlier requests are ignored. Then commits an empty write, so that it succeeds only if the
    /// store can write.
    ///
    /// For a store with [transient](Self::is_transient) errors: after one of
    /// [`handle`](Self::handle) or [`commit`](Self::commit), the state of the hub may be ahead of
    /// the store. O(n), where `n` is the number of remembered and kept entries.
    ///
    /// # Errors
    /// If the store fails. Call it again later if the error is transient.
    pub fn restart(&mut self) -> Result<(), LogError<S::Error>> {
        self.sessions = Sessions::default();
        self.channels = Channels::default();
        self.requests.clear();
        self.held.clear();
        self.unfinished.clear();
        self.left_channels.clear();
        self.failed_later.clear();
        self.given_up.clear();
        self.idle_queues.clear();
        self.inbox = new_inbox(&self.config);
        self.added_offsets = AddedOffsets::default();
        self.bounds = Bounds::default();
        self.documents.clear();
        self.presence = Presence::default();
        self.removals.clear();
        self.pending_requests.clear();
        self.failed_clients.clear();
        self.pending_events.clear();
        self.pending.clear();
        self.ready.clear();
        self.log.roll_back()?;
        self.read_store()?;
        self.log.observer_mut().clean_log.take();
        self.log.probe()
    }

    fn read_store(&mut self) -> Result<(), LogError<S::Error>> {
        self.log.read_ids()?;
        self.clock.read_log(&self.log)?;
        self.log_starts = LogStarts::read(&self.log)?;
        self.restore_bounds()?;
        let (unanswered, usage) = self.inbox.restore(&self.log)?;
        self.log.observer_mut().inbox_usage = usage;
        self.restore_unanswered(unanswered)
    }

    /// Returns `true` if an error of the hub is one of its store that may pass:
    /// [`Store::is_transient`].
    pub fn is_transient(error: &LogError<S::Error>) -> bool {
        matches!(error, LogError::Store(error) if S::is_transient(error))
    }

    /// Returns the store.
    pub fn into_store(self) -> S {
        self.log.into_store()
    }

    /// Enables or disables [`HubEvent::Cleaned`], which reports actions that are removed from the
    /// log. Default: disabled.
    pub fn report_cleaned(&mut self, is_enabled: bool) {
        self.log.observer_mut().clean_log.set_enabled(is_enabled);
    }

    /// Returns the number of connected clients.
    pub fn connected(&self) -> usize {
        self.sessions.len()
    }

    /// Prepares the store for the inputs of a round, so that a locked store fails before the state
    /// of the hub changes. Optional.
    ///
    /// # Errors
    /// If the store fails; nothing has changed then. Call it again later if the error is
    /// [transient](Self::is_transient).
    pub fn begin(&mut self) -> Result<(), LogError<S::Error>> {
        self.log.begin()
    }

    /// Makes the effects of all inputs so far durable, and their outputs available.
    ///
    /// # Errors
    /// If the store fails. Then the outputs must not be carried out, and the server has to stop or
    /// to [restart](Self::restart) the hub.
    pub fn commit(&mut self) -> Result<(), LogError<S::Error>> {
        self.log.commit()?;
        self.ready.extend(self.pending_events.drain(..).map(Output::Event));
        self.ready.append(&mut self.pending);
        self.ready.extend(self.pending_requests.drain(..).map(Output::Request));
        self.failed_clients.clear();
        Ok(())
    }

    /// Returns the next request to the application before it is committed: see
    /// [usage](Self#usage). The next [`commit`](Self::commit) makes the others outputs, also those
    /// of a client of which an action has failed since the last commit.
    pub fn poll_request(&mut self) -> Option<HandlerRequest> {
        self.pending_requests.pop_front()
    }

    /// Returns the next event before it is committed, so that telemetry learns of an action before
    /// the application. The next [`commit`](Self::commit) makes the others outputs.
    pub fn poll_event(&mut self) -> Option<HubEvent> {
        self.pending_events.pop_front()
    }

    /// Returns the next committed output. Call it until it returns `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.ready.pop_front()
    }

    /// Handles an input. The work for one input is bounded: while [`is_busy`](Self::is_busy)
    /// returns `true`, there is more.
    ///
    /// # Errors
    /// If the store fails. Then the server has to stop or to [restart](Self::restart) the hub;
    /// clients send unconfirmed actions again.
    pub fn handle(&mut self, now: Now, input: Input) -> Result<(), LogError<S::Error>> {
        self.now = now.mono;
        let now = self.clock.read(now.wall);
        self.expire_inbox(now)?;
        self.remove_expired(now)?;
        match input {
            Input::Join { session, node, subprotocol, headers, since } => {
                self.join(now, session, &node, subprotocol, headers, since)?;
            }
            Input::CatchUp(session) => self.catch_up(session)?,
            Input::Leave(session) => self.leave(session)?,
            Input::Acknowledged { session, added } => self.acknowledged(session, added)?,
            Input::Headers(session, headers) => {
                if let Some(session) = self.sessions.get_mut(session) {
                    session.headers = Some(headers);
                }
            }
            Input::Received { session, batch, entries } => {
                self.receive_batch(now, session, batch, entries)?
            }
            Input::Refused { session: id, actions } => {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.refused.extend(actions);
                    self.receive_held(now, id)?;
                }
            }
            Input::Respond(request_id, response) => self.respond(now, request_id, response)?,
            Input::Add(addition) => self.add(now, *addition)?,
            Input::Send(session, item) => self.send(now, session, item.0, item.1)?,
            Input::Forget(id) => self.forget(&id)?,
            Input::Undo(request) => self.undo(now, *request)?,
            Input::Settle(request, snapshot) => {
                self.settle(now, request, snapshot.map(|snapshot| *snapshot))?;
            }
            Input::Purge(key) => self.purge(key)?,
            Input::SetValue(name, value) => {
                self.log.set_value(&read::application_value(&name), Some(&value))?;
            }
            Input::Subscribe { node, channel } => self.subscribe_node(now, &node, &channel)?,
            Input::Unsubscribe { clients, channel } => self.revoke(now, &clients, &channel)?,
            Input::Disconnect { clients, is_final } => self.disconnect(&clients, is_final),
            Input::Subprotocol(version) => self.config.subprotocol = version,
            Input::Continue => self.continue_work(now)?,
            Input::Drain => self.draining = true,
        }
        self.send_presence(now)?;
        if self.draining {
            self.inbox.save_confirmed(&mut self.log)?;
        }
        let cleaned = self.log.observer_mut().clean_log.take();
        self.pending_events.extend(cleaned.into_iter().map(HubEvent::Cleaned));
        if self.draining && self.requests.is_idle() && self.failed_later.is_empty() {
            self.pending.push_back(Output::Drained);
        }
        Ok(())
    }

    /// Asks the application, before the commit if the driver polls the request.
    fn request(&mut self, mut request: HandlerRequest) -> Result<(), LogError<S::Error>> {
        if request.kind == RequestKind::Action && request.entry.action.kind() == logux::UNDO {
            request.target = Some(self.undo_target(&request.entry)?);
        }
        if self.failed_clients.contains(request.author.node.client_id()) {
            self.pending.push_back(Output::Request(request));
        } else {
            self.pending_requests.push_back(request);
        }
        Ok(())
    }

    fn report(&mut self, event: HubEvent) {
        self.pending_events.push_back(event);
    }

    fn report_undone(&mut self, entry: &Arc<Entry>, reason: &str) {
        self.report(HubEvent::Undone { entry: entry.clone(), reason: reason.into() });
    }

    fn debug(&mut self, session: Option<SessionId>, text: impl FnOnce() -> String) {
        if let (true, Some(session)) = (self.config.debug, session) {
            self.pending.push_back(Output::Debug(session, text()));
        }
    }

    fn client_request(
        &self,
        entry: Entry,
        session: Option<SessionId>,
    ) -> Result<PendingRequest, LogError<S::Error>> {
        let sender = session.and_then(|id| self.sessions.get(id)).map(|session| &session.node);
        let sender = sender.unwrap_or_else(|| entry.meta.id.node()).clone();
        let subject = if entry.action.kind() == logux::SUBSCRIBE {
            Subject::Subscription(Subscription {
                session,
                is_cancelled: false,
                key: subscription_key(&entry.action),
                loaded: 0,
                replay: None,
                is_replayed: false,
            })
        } else {
            Subject::Action
        };
        // A subscription changes nothing that other actions could depend on.
        let fate_key = match subject {
            Subject::Subscription(_) => FateKey::none(),
            Subject::Action | Subject::ReplacedAction | Subject::OwnAction { .. } => {
                self.config.fate_keys.key(&entry.action)
            }
        };
        let undone = self.undone_in_queue(&entry)?;
        Ok(PendingRequest {
            subject,
            queue: self.queue_of(undone.as_ref().unwrap_or(&entry.action)),
            fate_key,
            recipients: Recipients::default(),
            is_approved: false,
            sender,
            entry: Arc::new(entry),
        })
    }

    fn debug_author(
        &mut self,
        request_id: RequestId,
        text: impl FnOnce(&PendingRequest) -> String,
    ) {
        let Some(request) = self.requests.running(request_id) else { return };
        let (author, text) = (request.entry.meta.id.node().clone(), text(request));
        let session = self.sessions.of_client(author.client_id());
        self.debug(session, || text);
    }
}

fn new_inbox(config: &Config) -> Inbox {
    Inbox::new(config.remembered_entries, config.remembered_bytes, config.remembered_for)
}

/// The filter key of subscriptions without a filter.
const NO_FILTER: &str = "{}";

fn filter_key(action: &Action) -> Arc<str> {
    action.field("filter").unwrap_or(NO_FILTER).into()
}

/// Returns the channel and the filter key of a `logux/subscribe` or `logux/unsubscribe`, which
/// identify a subscription of a client.
fn subscription_key(action: &Action) -> Option<SubscriptionKey> {
    let channel = action.str_field("channel")?.into();
    Some(SubscriptionKey { channel, filter: filter_key(action) })
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
    HandlerRequest { id, kind: request.kind(), entry: request.entry.clone(), author, target: None }
}
