//! The log of a device and its connection to the server.

use core::ops::ControlFlow;
use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    Fate, IgnoredAction, Input, Output,
    actions::{OwnAction, Unconfirmed, is_subscription, is_unanswered, walk_unconfirmed},
    bursts::Bursts,
    documents::Documents,
    encryption::Encryption,
    followers::Followers,
    presence::Presence,
    reconnection::{DeviceEvent, Reconnection},
    refused_edits::RefusedEdits,
    since,
    status::StatusTracker,
    subscriptions::Subscriptions,
    undo::Unsent,
    undo_steps::UndoSteps,
};
use crate::{
    action::{
        ActionId, NodeId, Subprotocol,
        logux::{self, Undo},
    },
    excerpt::excerpt,
    log::{Draft, Log, LogChange, LogError, Observer},
    store::{Criteria, Entry, JournalStore, Query, Store, StoreChange, Synced},
    sync::{self, BatchToken, Node},
    time::{Now, WallTime},
};

/// Times of other nodes that are further ahead are errors of their clocks: own actions are not
/// ordered after them.
const MAX_AHEAD: Duration = Duration::from_secs(60);

/// The configuration of a [`Client`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The configuration of the connection, with the node id.
    pub node: Arc<sync::Config>,
    /// The credentials for the server. Secret.
    pub token: Option<Secret>,
}

/// A string that is not shown in logs.
#[derive(Clone)]
pub struct Secret(pub String);

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("…")
    }
}

/// The reason of own actions until the server has answered them.
pub(super) const SYNCING: &str = "syncing";

/// The index of own `logux/subscribe` and `logux/unsubscribe` actions.
pub(super) const SUBSCRIPTIONS: &str = "subscriptions";

/// A device with its own log: an own action is in the log immediately, and is sent to the server
/// when there is a connection.
///
/// The machine is driven by [`handle`](Self::handle), [`poll_output`](Self::poll_output) and
/// [`next_deadline`](Self::next_deadline), like all machines of this crate, and like the hub it has
/// a step [`commit`](Self::commit): all outputs wait for it, so what they promise is durable. The
/// driver passes any number of inputs and actions, and commits once.
///
/// Own actions are sent again until the server has confirmed them, and tracked until it has
/// answered: [`Output::Fate`]. [`undo`](Self::undo) undoes and redoes actions.
///
/// Beside its entries, the store keeps small values: which actions were never sent, and the
/// correction of the clock, without which the positions of earlier actions in the order could
/// change.
#[derive(Debug)]
pub struct Client<S, O = ()> {
    pub(super) log: Log<S, O>,
    pub(super) node: Node,
    pub(super) node_config: Arc<sync::Config>,
    pub(super) token: Option<Secret>,
    pub(super) subprotocol: Subprotocol,
    pub(super) subscriptions: Subscriptions,
    pub(super) unsent: Unsent,
    pub(super) undo_steps: UndoSteps,
    pub(super) bursts: Bursts,
    pub(super) documents: Documents,
    pub(super) refused: RefusedEdits,
    pub(super) presence: Presence,
    pub(super) encryption: Encryption,
    pub(super) reconnection: Reconnection,
    pub(super) status: StatusTracker,
    pub(super) followers: Followers,
    /// Whether the connection is one to the tab that leads.
    pub(super) is_follower: bool,
    /// The node id of the server.
    pub(super) server: Option<NodeId>,
    /// The correction of the clock, measured at the first connection and not changed later, so
    /// that the order of actions stays the same.
    pub(super) time_fix: Option<i64>,
    /// The numbers of own actions that the server has not confirmed.
    pub(super) unconfirmed: Unconfirmed,
    /// Whether the store has changed since the last commit in a way that an output promises.
    pub(super) is_changed: bool,
    /// The received actions to confirm after the commit.
    pub(super) batches: Vec<BatchToken>,
    /// The outputs since the last commit.
    pub(super) pending: VecDeque<Output>,
    /// The committed outputs.
    pub(super) ready: VecDeque<Output>,
}

/// The longest part of a message for the developer, in bytes.
const MAX_DEBUG_TEXT: usize = 4_096;

/// The name of the store's value with the correction of the clock, in milliseconds.
pub(super) const TIME_FIX: &str = "timeFix";

impl<S: Store> Client<S> {
    /// Creates a client that is not connected. The store may contain actions of earlier starts.
    ///
    /// # Errors
    /// If the store fails.
    pub fn new(config: Config, store: S) -> Result<Self, LogError<S::Error>> {
        Self::with_observer(config, store, ())
    }
}

impl<S: Store, O: Observer> Client<S, O> {
    /// Creates a client with an observer of its log, such as the
    /// [`Timeline`](crate::replay::Timeline) of a [`Document`](crate::crdt::Document).
    ///
    /// # Errors
    /// If the store fails.
    pub fn with_observer(
        config: Config,
        store: S,
        observer: O,
    ) -> Result<Self, LogError<S::Error>> {
        let newest = crate::wire::Protocol::NEWEST;
        let mut log = Log::with_observer(config.node.node.clone(), store, observer)?
            .with_max_ahead(MAX_AHEAD);
        if since::pause_all(&mut log)? | forget_subscriptions(&mut log)? {
            log.commit()?;
        }
        // Otherwise the next actions would count as confirmed.
        let (synced, last_added) = (log.synced()?, log.last_added()?);
        if synced.sent > last_added {
            log.set_synced(Synced { sent: last_added, ..synced })?;
        }
        let unconfirmed = Unconfirmed::of(&log)?;
        Ok(Self {
            unsent: Unsent::read(&log)?,
            followers: Followers::new(&config.node.node),
            is_follower: false,
            unconfirmed,
            time_fix: log.value(TIME_FIX)?.and_then(|ms| ms.parse().ok()),
            log,
            subprotocol: config.node.subprotocol.in_protocol(newest),
            node: Node::new(config.node.clone(), ()),
            node_config: config.node,
            server: None,
            token: config.token,
            subscriptions: Subscriptions::default(),
            undo_steps: UndoSteps::default(),
            bursts: Bursts::default(),
            documents: Documents::default(),
            refused: RefusedEdits::default(),
            presence: Presence::default(),
            encryption: Encryption::default(),
            reconnection: Reconnection::default(),
            status: StatusTracker::new(unconfirmed.actions > 0),
            is_changed: false,
            batches: Vec::new(),
            pending: VecDeque::new(),
            ready: VecDeque::new(),
        })
    }

    /// Records the changes of the log from now on: [`Log::record_log_changes`].
    pub fn record_log_changes(&mut self) {
        self.log.record_log_changes();
    }

    /// Returns the recorded changes of the log: [`Log::take_log_changes`].
    pub fn take_log_changes(&mut self) -> Vec<LogChange> {
        self.log.take_log_changes()
    }

    /// Returns the node id of the server, after the first connection.
    pub const fn server(&self) -> Option<&NodeId> {
        self.server.as_ref()
    }

    /// Generates an id, for an action that is added with it.
    pub fn generate_id(&mut self, now: WallTime) -> ActionId {
        self.log.generate_id(now)
    }

    /// Returns the log.
    pub const fn log(&self) -> &Log<S, O> {
        &self.log
    }

    /// Returns the observer of the log, to change it.
    pub const fn observer_mut(&mut self) -> &mut O {
        self.log.observer_mut()
    }

    /// Returns the store.
    pub fn into_store(self) -> S {
        self.log.into_store()
    }

    /// Returns the id that an action would get now.
    pub fn next_id(&self, now: WallTime) -> ActionId {
        self.log.next_id(now)
    }

    /// Returns `true` if frames may be read from the connection now.
    pub fn wants_frames(&self) -> bool {
        self.node.wants_frames()
    }

    /// Returns `true` if [`commit`](Self::commit) has something to do. Progress of the exchange
    /// that no output depends on waits for the next commit.
    pub fn needs_commit(&self) -> bool {
        self.is_changed
            || !self.batches.is_empty()
            || !self.pending.is_empty()
            || self.followers.need_commit()
    }

    /// Makes the effects of all inputs and actions so far durable, and their outputs available.
    /// Then confirms received actions, which may lead to the next ones: call it until
    /// [`needs_commit`](Self::needs_commit) returns `false`.
    ///
    /// A driver whose store writes in the background calls this when the write has ended, and
    /// passes nothing to the machine in the meantime.
    ///
    /// # Errors
    /// If the store fails. The outputs still wait: close the connection, and commit again later if
    /// the error may pass.
    pub fn commit(&mut self, now: Now) -> Result<(), LogError<S::Error>> {
        self.tell_followers(now)?;
        if self.is_changed {
            self.log.commit()?;
            self.is_changed = false;
        }
        self.ready.append(&mut self.pending);
        self.confirm_followers(now)?;
        for batch in core::mem::take(&mut self.batches) {
            self.node.handle(now, sync::Input::Persisted(batch));
        }
        self.execute_outputs(now)?;
        if !self.is_changed && self.batches.is_empty() {
            self.ready.append(&mut self.pending);
        }
        Ok(())
    }

    /// Returns the next committed output. Call it until it returns `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.ready.pop_front()
    }

    /// Handles an input. Its outputs are available after the next [`commit`](Self::commit).
    ///
    /// # Errors
    /// If the store fails: then close the connection; actions that were not stored were not
    /// confirmed.
    pub fn handle(&mut self, now: Now, input: Input<'_>) -> Result<(), LogError<S::Error>> {
        self.close_old_burst(now)?;
        let input = match input {
            Input::Opened => {
                if let Some(step) = self.reconnection.opened() {
                    self.take_step(Some(step));
                    return Ok(());
                }
                if self.is_follower {
                    self.connect_to_leader()?;
                } else {
                    let token = self.token.as_ref().map(|secret| secret.0.clone());
                    self.node.connect_with(self.log.synced()?.received, token, self.time_fix);
                }
                sync::Input::Opened
            }
            Input::Frame(text) => sync::Input::Frame(text),
            Input::Closed | Input::ConnectFailed => {
                self.encryption.disconnected();
                sync::Input::Closed
            }
            Input::Device(event) => {
                if event == DeviceEvent::Asleep {
                    // Nobody knows when it is awake again.
                    self.close_burst(now)?;
                }
                let step = self.reconnection.device_event(event);
                self.take_step(step);
                return self.execute_outputs(now);
            }
            Input::Wake => {
                let step = self.reconnection.wake(now.mono);
                self.take_step(step);
                sync::Input::Wake
            }
            Input::Encrypted(token, result) => {
                self.encrypted(now, token, result)?;
                return self.execute_outputs(now);
            }
            Input::Decrypted(token, result) => {
                self.decrypted(now, token, result)?;
                return self.execute_outputs(now);
            }
        };
        let is_closed = matches!(input, sync::Input::Closed);
        self.node.handle(now, input);
        self.execute_outputs(now)?;
        if is_closed {
            // After what the server has said at last.
            let step = self.reconnection.closed(now.mono, self.log.node_id());
            self.take_step(step);
            self.update_status(now);
            self.end_presence();
            self.documents.disconnected();
        }
        self.send_presence(now)
    }

    /// Executes the outputs of the sync node.
    pub(super) fn execute_outputs(&mut self, now: Now) -> Result<(), LogError<S::Error>> {
        while let Some(output) = self.node.poll_output() {
            match output {
                sync::Output::Send(frame) => self.pending.push_back(Output::Send(frame)),
                // The client has chosen its server, and the transport has verified the certificate.
                sync::Output::Authenticate(authentication) => {
                    self.node.handle(now, sync::Input::Allow(authentication.token))
                }
                sync::Output::Connected { peer, .. } => {
                    self.server = Some(peer);
                    self.connected(now)?;
                }
                sync::Output::TimeFix(time_fix) => {
                    if self.time_fix.replace(time_fix).is_some() {
                        self.log.forget_times();
                    }
                    self.log.set_value(TIME_FIX, Some(&time_fix.to_string()))?;
                    self.is_changed = true;
                }
                sync::Output::Received { batch, entries, refused, .. } => {
                    let ignored = refused.into_iter().map(IgnoredAction::from);
                    self.pending.extend(ignored.map(Output::Ignored));
                    if !self.encryption.receives_as_is(&entries) {
                        self.receive_encrypted(now, batch, entries)?;
                        continue;
                    }
                    for entry in entries {
                        self.receive(now, entry)?;
                    }
                    self.batches.push(batch);
                }
                sync::Output::ReceivedUpTo(received) => {
                    let synced = self.log.synced()?;
                    if synced.received < received {
                        // The next start reads the entries after `sent`.
                        let sent = match self.unconfirmed.is_empty() {
                            true => self.log.last_added()?,
                            false => synced.sent,
                        };
                        self.log.set_synced(Synced { received, sent })?;
                    }
                }
                sync::Output::SentUpTo(sent) => {
                    let synced = self.log.synced()?;
                    if synced.sent < sent {
                        self.log.set_synced(Synced { sent, ..synced })?;
                        self.confirmed(synced.sent, sent)?;
                    }
                }
                sync::Output::Headers(headers) => self.pending.push_back(Output::Headers(headers)),
                sync::Output::Debug(text) => {
                    let text = excerpt(&text, MAX_DEBUG_TEXT).into_owned();
                    self.pending.push_back(Output::Debug(text));
                }
                sync::Output::PeerError(error) => {
                    self.reconnection.peer_error(&error.kind);
                    self.status.peer_error(&error.kind);
                    self.pending.push_back(Output::Refused(error));
                }
                sync::Output::State(state) => self.pending.push_back(Output::State(state)),
                sync::Output::Disconnect(reason) => {
                    if reason.is_violation() {
                        self.status.invalid();
                    }
                    self.pending.push_back(Output::Disconnect(reason))
                }
            }
        }
        self.update_status(now);
        if self.clean_forgotten(now)? {
            self.execute_outputs(now)?;
        }
        self.ask_documents_again(now)?;
        self.tell_documents();
        Ok(())
    }

    /// Sends the actions that the server has not confirmed, and subscribes again.
    fn connected(&mut self, now: Now) -> Result<(), LogError<S::Error>> {
        self.reconnection.accepted();
        self.forward_burst()?;
        self.bursts.forget();
        // Before anything is sent, so that nothing counts as unsent after a crash.
        self.unsent.end(&mut self.log)?;
        self.is_changed = true;
        let mut waiting = self.unanswered_requests()?;
        walk_unconfirmed(&self.log, |entry| waiting.push(entry.clone()))?;
        for entry in &waiting {
            if !is_subscription(&entry.meta) {
                self.status.added(entry.meta.id.clone());
            }
            self.pending.push_back(Output::Fate(entry.meta.id.clone(), Fate::Sent));
        }
        self.send(now, &waiting)?;
        // Nothing of this connection is received yet.
        since::pause_all(&mut self.log)?;
        let received = self.log.synced()?.received;
        for action in self.subscriptions.resubscriptions(received).into_iter().flatten() {
            self.add_own(now, action, Draft::default(), OwnAction::Repeated)?;
        }
        Ok(())
    }

    /// Returns the requests for subscriptions that the server has confirmed, and has not answered.
    /// A subscription belongs to a connection, so a server may have forgotten them with the last
    /// one; one that has not knows them by their ids.
    fn unanswered_requests(&self) -> Result<Vec<Entry>, LogError<S::Error>> {
        let (mut found, sent) = (Vec::new(), self.log.synced()?.sent);
        self.log.walk(&Query::added().index(SUBSCRIPTIONS).oldest_first(), |entry| {
            if entry.meta.added > Some(sent) {
                return ControlFlow::Break(());
            }
            if entry.action.kind() == logux::SUBSCRIBE && is_unanswered(&entry.meta) {
                found.push(entry.clone());
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    pub(super) fn send(&mut self, now: Now, entries: &[Entry]) -> Result<(), LogError<S::Error>> {
        if !self.encryption.sends_as_is(entries) {
            return self.send_encrypted(now, entries);
        }
        let added = self.last_sent()?;
        // Ids are generated from the device's own clock; the node corrects the times that it sends.
        self.node.send(now.mono, added, entries);
        Ok(())
    }

    /// Returns the last `added` number of what is sent with all that is passed to the connection.
    /// The action of an open burst and what was added since are not.
    pub(super) fn last_sent(&self) -> Result<u64, LogError<S::Error>> {
        self.unsent.before_first().map_or_else(|| self.log.last_added(), Ok)
    }

    pub(super) fn receive(&mut self, now: Now, entry: Entry) -> Result<(), LogError<S::Error>> {
        if self.ignore(now, &entry)? || self.receive_presence(&entry) {
            return Ok(());
        }
        let Entry { action, meta } = entry;
        let mut draft = Draft::of(meta.id, meta.time);
        draft.subprotocol = meta.subprotocol;
        let Some(entry) = self.log.add(now.wall, action, draft)? else { return Ok(()) };
        self.is_changed = true;
        self.documents.received(&entry);
        self.followers.forward(&entry);
        self.pending.push_back(Output::Added(entry.clone()));
        match answered_id(&entry) {
            // The action may be of an earlier start of this device, which had another node id.
            Some(id) if id.node().client_id() == self.log.node_id().client_id() => {
                self.answered(now, id, &entry)
            }
            _ => {
                if let Some(undo) = Undo::from_action(&entry.action)
                    && let Ok(id) = undo.id.parse()
                {
                    self.status.undone(&id, &undo.reason);
                }
                Ok(())
            }
        }
    }

    /// Handles the server's answer to an own action.
    fn answered(
        &mut self,
        now: Now,
        id: ActionId,
        answer: &Entry,
    ) -> Result<(), LogError<S::Error>> {
        self.answer_confirms(&id)?;
        let Some(mut undo) = Undo::from_action(&answer.action) else {
            self.log.remove_reason(SYNCING, &Criteria::id(id.clone()))?;
            let change = self.subscriptions.processed(&id, &answer.meta.stamp());
            if let Some((subscription, _)) = &change
                && self.subscriptions.has_all(subscription)
            {
                since::begin(&mut self.log, subscription, &answer.meta.stamp())?;
            }
            self.tell_subscription(change);
            self.documents.processed(&id);
            self.status.processed(now.mono, &id);
            self.tell_documents();
            self.pending.push_back(Output::Fate(id, Fate::Processed));
            return Ok(());
        };
        let change = self.subscriptions.undone(&id, &undo.reason);
        if let Some((ended, _)) = &change {
            since::end(&mut self.log, &ended.key())?;
        }
        self.tell_subscription(change);
        self.documents.undone(&id);
        self.status.undone(&id, &undo.reason);
        let own = self.log.by_id(&id)?;
        if let Some(own) = &own {
            self.keep_refused(&own.action, &id, &undo)?;
        }
        // The server's undo is final, so an undo that it refuses will never have an effect. Neither
        // will an action of a timeline that is closed: nothing keeps the undo for it.
        let has_no_effect = own.as_ref().is_some_and(|own| {
            let is_of_timeline = || own.meta.indexes.iter().any(|index| **index != *SUBSCRIPTIONS);
            own.action.kind() == logux::UNDO || (answer.meta.added.is_none() && is_of_timeline())
        });
        if has_no_effect {
            self.remove(&id)?;
        } else {
            self.log.remove_reason(SYNCING, &Criteria::id(id.clone()))?;
        }
        // Servers remember refused actions without their content.
        undo.action = own.map(|own| own.action).or(undo.action);
        self.tell_documents();
        self.pending.push_back(Output::Fate(id, Fate::Undone(Box::new(undo))));
        Ok(())
    }
}

impl<O: Observer> Client<JournalStore, O> {
    /// Returns the changes of all commits since the last call, to be written into a database before
    /// the outputs of the last commit are executed: [`JournalStore::take_changes`].
    pub fn take_changes(&mut self) -> Vec<StoreChange> {
        self.log.take_changes()
    }
}

/// Returns the id of the action that the server answers by this entry. An undo by a client is not
/// an answer: the server answers the undone action too.
fn answered_id(entry: &Entry) -> Option<ActionId> {
    let is_answer = entry.meta.id.node().is_server()
        && matches!(entry.action.kind(), logux::PROCESSED | logux::UNDO);
    entry.action.str_field("id").filter(|_| is_answer)?.parse().ok()
}

/// Ends the wait for answers to subscriptions of earlier starts. A subscription ends with the start
/// that made it, so the server will not answer it; the application subscribes again. Returns
/// whether there were any.
fn forget_subscriptions<S: Store, O: Observer>(
    log: &mut Log<S, O>,
) -> Result<bool, LogError<S::Error>> {
    let mut found = Vec::new();
    log.walk(&Query::added().index(SUBSCRIPTIONS), |entry| {
        found.push(entry.meta.id.clone());
        ControlFlow::Continue(())
    })?;
    let has_found = !found.is_empty();
    for id in found {
        log.remove_reason(SYNCING, &Criteria::id(id))?;
    }
    Ok(has_found)
}
