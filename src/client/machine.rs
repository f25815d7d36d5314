//! The log of a device and its connection to the server.

use core::ops::ControlFlow;
use std::{collections::VecDeque, sync::Arc};

use super::{Input, Output, hybrid_clock::HybridClock, subscriptions::Subscriptions};
use crate::{
    action::{
        Action, ActionId, Subprotocol,
        logux::{self, Undo},
    },
    log::{Draft, Log, LogError, Observer},
    store::{Criteria, Entry, Query, Store, Synced},
    sync::{self, Node, State, TimeoutKind},
    time::{Deadline, Now, WallTime},
};

/// Settings of a [`Client`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The connection's settings, the node id among them.
    pub node: Arc<sync::Config>,
    /// What proves to the server who we are. A secret.
    pub token: Option<Secret>,
    /// The correction of the clock that was found before ([`Output::TimeFix`]), for a log that was kept from then. Without it, actions of before
    /// could change their places.
    pub time_fix: Option<i64>,
}

/// A text that does not show in logs.
#[derive(Clone)]
pub struct Secret(pub String);

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("…")
    }
}

/// Holds own actions until the server has answered them.
const SYNCING: &str = "syncing";

/// By what own subscriptions are found, and their ends.
const SUBSCRIPTIONS: &str = "subscriptions";

/// A device with a log of its own: what it does is in the log at once, and with the server when there is a connection.
///
/// Driven like every machine of this crate: [`handle`](Self::handle), [`poll_output`](Self::poll_output),
/// [`next_deadline`](Self::next_deadline). Own actions are sent again until the server has confirmed them, and tracked until it has
/// answered: [`Output::Processed`] or [`Output::Undone`].
#[derive(Debug)]
pub struct Client<S, O = ()> {
    log: Log<S, O>,
    node: Node,
    token: Option<Secret>,
    subprotocol: Subprotocol,
    subscriptions: Subscriptions,
    hybrid_clock: HybridClock,
    /// The correction of the clock, found at the first connection and kept, so that the order of actions never changes.
    time_fix: Option<i64>,
    out: VecDeque<Output>,
}

impl<S: Store> Client<S> {
    /// A client that is not connected, over a store that may have actions from before.
    ///
    /// # Errors
    /// When the store fails.
    pub fn new(config: Config, store: S) -> Result<Self, LogError<S::Error>> {
        Self::with_observer(config, store, ())
    }
}

impl<S: Store, O: Observer> Client<S, O> {
    /// A client whose log is observed, as by a [`Timeline`](crate::replay::Timeline) or a [`Document`](crate::crdt::Document)'s.
    ///
    /// # Errors
    /// When the store fails.
    pub fn with_observer(
        config: Config,
        store: S,
        observer: O,
    ) -> Result<Self, LogError<S::Error>> {
        let newest = crate::wire::Protocol::NEWEST;
        let mut log = Log::with_observer(config.node.node.clone(), store, observer)?;
        forget_subscriptions(&mut log)?;
        let mut hybrid_clock = HybridClock::default();
        log.walk(&Query::created(), |entry| {
            // There is no time yet to hold it against.
            hybrid_clock.note(WallTime::MAX, &config.node.node, entry);
            if hybrid_clock.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(Self {
            log,
            hybrid_clock,
            subprotocol: config.node.subprotocol.in_protocol(newest),
            node: Node::new(config.node, ()),
            token: config.token,
            time_fix: config.time_fix,
            subscriptions: Subscriptions::default(),
            out: VecDeque::new(),
        })
    }

    /// The log.
    pub const fn log(&self) -> &Log<S, O> {
        &self.log
    }

    /// The one who observes the log.
    pub const fn observer_mut(&mut self) -> &mut O {
        self.log.observer_mut()
    }

    /// Gives the store back.
    pub fn into_store(self) -> S {
        self.log.into_store()
    }

    /// The id that an action would get now.
    pub fn next_id(&self, now: WallTime) -> ActionId {
        self.log.next_id(now)
    }

    /// How far the connection is.
    pub fn state(&self) -> State {
        self.node.state()
    }

    /// Whether frames may be read from the connection now.
    pub fn wants_frames(&self) -> bool {
        self.node.wants_frames()
    }

    /// When to say [`Input::Wake`] at the latest, and why.
    pub fn next_deadline(&self) -> Option<Deadline<TimeoutKind>> {
        self.node.next_deadline()
    }

    /// What has to be done; call until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Does an action: it is in the log at once, and goes to the server now or at the next connection.
    ///
    /// # Errors
    /// When the store fails; the action was not done then.
    pub fn sync(&mut self, now: Now, action: Action) -> Result<ActionId, LogError<S::Error>> {
        let mut draft = Draft::reason(SYNCING);
        draft.subprotocol = Some(self.subprotocol.clone());
        let id = self.log.generate_id(now.wall);
        draft.time = Some(self.hybrid_clock.time_of(&id));
        draft.id = Some(id.clone());
        if matches!(action.kind(), logux::SUBSCRIBE | logux::UNSUBSCRIBE) {
            draft = draft.index(SUBSCRIPTIONS);
        }
        if let Some(entry) = self.log.add(now.wall, action, draft)? {
            self.hybrid_clock.note(now.wall, self.log.node_id(), &entry);
            self.log.commit()?;
            self.send(now, &[entry])?;
        }
        self.follow(now)?;
        Ok(id)
    }

    /// Takes what happened.
    ///
    /// # Errors
    /// When the store fails: the connection should be closed then; what was not kept was not confirmed.
    pub fn handle(&mut self, now: Now, input: Input<'_>) -> Result<(), LogError<S::Error>> {
        let input = match input {
            Input::Opened => {
                let token = self.token.as_ref().map(|secret| secret.0.clone());
                self.node.connect_with(self.log.synced()?.received, token, self.time_fix);
                sync::Input::Opened
            }
            Input::Frame(text) => sync::Input::Frame(text),
            Input::Closed => sync::Input::Closed,
            Input::Wake => sync::Input::Wake,
        };
        self.node.handle(now, input);
        self.follow(now)
    }

    /// Does what the node wants.
    fn follow(&mut self, now: Now) -> Result<(), LogError<S::Error>> {
        while let Some(output) = self.node.poll_output() {
            match output {
                sync::Output::Send(frame) => self.out.push_back(Output::Send(frame)),
                // A client is content with the server it has chosen; the transport has checked the certificate.
                sync::Output::Authenticate(who) => {
                    self.node.handle(now, sync::Input::Allow(who.token))
                }
                sync::Output::Connected { .. } => self.connected(now)?,
                sync::Output::TimeFix(time_fix) => {
                    self.time_fix = Some(time_fix);
                    self.out.push_back(Output::TimeFix(time_fix));
                }
                sync::Output::Received { batch, entries, .. } => {
                    for entry in entries {
                        self.receive(now, entry)?;
                    }
                    self.log.commit()?;
                    self.node.handle(now, sync::Input::Persisted(batch));
                }
                sync::Output::ReceivedUpTo(received) => {
                    let synced = self.log.synced()?;
                    if synced.received < received {
                        self.log.set_synced(Synced { received, ..synced })?;
                        self.log.commit()?;
                    }
                }
                sync::Output::SentUpTo(sent) => {
                    let synced = self.log.synced()?;
                    if synced.sent < sent {
                        self.log.set_synced(Synced { sent, ..synced })?;
                        self.log.commit()?;
                    }
                }
                sync::Output::Headers(_) => {}
                sync::Output::Debug(text) => self.out.push_back(Output::Debug(text)),
                sync::Output::PeerError(error) => self.out.push_back(Output::Refused(error)),
                sync::Output::State(state) => self.out.push_back(Output::State(state)),
                sync::Output::Disconnect(reason) => self.out.push_back(Output::Disconnect(reason)),
            }
        }
        Ok(())
    }

    /// Sends what the server has not confirmed, and asks again for what we were subscribed to.
    fn connected(&mut self, now: Now) -> Result<(), LogError<S::Error>> {
        let sent = self.log.synced()?.sent;
        let mut waiting = Vec::new();
        self.log.walk(&Query::added().oldest_first().after_added(sent), |entry| {
            if entry.meta.reasons.iter().any(|reason| **reason == *SYNCING) {
                waiting.push(entry.clone());
            }
            ControlFlow::Continue(())
        })?;
        self.send(now, &waiting)?;
        for action in self.subscriptions.again().into_iter().flatten() {
            self.sync(now, action)?;
        }
        Ok(())
    }

    fn send(&mut self, now: Now, entries: &[Entry]) -> Result<(), LogError<S::Error>> {
        for entry in entries {
            self.subscriptions.sent(&entry.meta.id, &entry.action);
        }
        let added = self.log.last_added()?;
        // The clock of the ids is the device's own; what goes out is corrected by the node.
        self.node.send(now.mono, added, entries);
        Ok(())
    }

    fn receive(&mut self, now: Now, entry: Entry) -> Result<(), LogError<S::Error>> {
        let Entry { action, meta } = entry;
        let mut draft = Draft::of(meta.id, meta.time);
        draft.subprotocol = meta.subprotocol;
        let Some(entry) = self.log.add(now.wall, action, draft)? else { return Ok(()) };
        self.hybrid_clock.note(now.wall, self.log.node_id(), &entry);
        self.out.push_back(Output::Added(entry.clone()));
        let answered = matches!(entry.action.kind(), logux::PROCESSED | logux::UNDO);
        let Some(id) = entry
            .action
            .str_field("id")
            .filter(|_| answered)
            .and_then(|id| id.parse::<ActionId>().ok())
        else {
            return Ok(());
        };
        // Also of an earlier start of this device, which had another node id.
        if id.node().client_id() != self.log.node_id().client_id() {
            return Ok(());
        }
        self.log.remove_reason(SYNCING, &Criteria::id(id.clone()))?;
        if let Some(undo) = Undo::from_action(&entry.action) {
            self.subscriptions.undone(&id);
            self.out.push_back(Output::Undone(id, Box::new(undo)));
        } else {
            self.subscriptions.processed(&id, &entry);
            self.out.push_back(Output::Processed(id));
        }
        Ok(())
    }
}

/// A subscription ends with the start of the device that asked for it, and so does the wait for its answer: the server has nobody to give it to. Whoever is
/// there now asks for what it wants.
fn forget_subscriptions<S: Store, O: Observer>(
    log: &mut Log<S, O>,
) -> Result<(), LogError<S::Error>> {
    let mut found = Vec::new();
    log.walk(&Query::added().index(SUBSCRIPTIONS), |entry| {
        found.push(entry.meta.id.clone());
        ControlFlow::Continue(())
    })?;
    if found.is_empty() {
        return Ok(());
    }
    for id in found {
        log.remove_reason(SYNCING, &Criteria::id(id))?;
    }
    log.commit()
}
