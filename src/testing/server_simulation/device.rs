//! A device of a user: the real client with a store that fails now and then, and loses uncommitted
//! writes in a crash.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    action::{Action, ActionId, NodeId, logux::SUBSCRIBE},
    client::{BurstLimits, Client, Config, Secret},
    replay::{Reducer, Timeline, TimelineConfig},
    server::SessionId,
    sync,
    testing::{CrashStore, FailingStore, FailureSwitch, StoreFailure, simulation::clock::Clock},
};

/// The store of a device.
pub(super) type DeviceStore = FailingStore;

/// What a user has done on a device, and a crash before the next commit loses.
#[derive(Debug)]
pub(super) enum Uncommitted {
    /// An action was added.
    Acted(ActionId),
    /// An action was dropped as unsent.
    Dropped(ActionId),
}

/// A device.
pub(super) struct Device<R: Reducer> {
    /// User id and client id.
    name: NodeId,
    /// The number of starts. It is the tab id of the current start.
    starts: usize,
    pub(super) clock: Clock,
    /// `None` only during a crash.
    client: Option<Client<DeviceStore, Timeline<R>>>,
    switch: FailureSwitch,
    /// The time when the current failure of the store ends, in milliseconds.
    fails_until: Option<u64>,
    pub(super) session: Option<SessionId>,
    /// The time of the next commit, in milliseconds.
    pub(super) commits_at: Option<u64>,
    /// What the user has done since the last commit.
    pub(super) uncommitted: Vec<Uncommitted>,
    /// The time of the next attempt to connect, in milliseconds.
    pub(super) connects_at: Option<u64>,
    /// Channels to subscribe to, with the time in milliseconds.
    pub(super) subscribes_at: Vec<(u64, String)>,
    /// The channels that the device has unsubscribed from.
    pub(super) left_channels: BTreeSet<String>,
    /// The last `logux/unsubscribe` of each channel.
    pub(super) last_unsubscribe: BTreeMap<String, ActionId>,
    /// The last undo by this device.
    pub(super) last_undo: Option<ActionId>,
    /// The refused subscriptions that were retried.
    pub(super) retried_subscriptions: BTreeSet<ActionId>,
}

impl<R: Reducer + Clone> Device<R> {
    pub(super) fn new(name: NodeId, clock: Clock) -> Self {
        Self {
            name,
            starts: 0,
            clock,
            client: None,
            switch: FailureSwitch::default(),
            fails_until: None,
            session: None,
            commits_at: None,
            uncommitted: Vec::new(),
            connects_at: Some(0),
            subscribes_at: Vec::new(),
            left_channels: BTreeSet::new(),
            last_unsubscribe: BTreeMap::new(),
            last_undo: None,
            retried_subscriptions: BTreeSet::new(),
        }
    }

    /// Starts the client with a store that works, without a token.
    pub(super) fn start(
        &mut self,
        reducer: R,
        limits: impl FnOnce(&mut sync::Config),
        store: CrashStore,
    ) {
        self.starts += 1;
        // Each start has its own tab id, as in official clients.
        let node =
            NodeId::new(format!("{}:{}", self.name.client_id(), self.starts)).expect("a node id");
        let config = TimelineConfig { history: Some(1_000_000), ..TimelineConfig::default() };
        let Ok(timeline) = Timeline::read(reducer, config, &store);
        let mut node = sync::Config::client(node);
        limits(&mut node);
        let config = Config { node: Arc::new(node), token: None };
        let (store, switch) = FailingStore::over(store);
        (self.switch, self.fails_until) = (switch, None);
        let client = Client::with_observer(config, store, timeline).expect("the store works");
        // Simulated users are slow.
        let (pause, age) = (Duration::from_secs(3), Duration::from_secs(20));
        let limits = BurstLimits { pause, age, ..BurstLimits::default() };
        self.client = Some(client.with_bursts(limits));
    }

    /// Stops the client, and returns the store as it is after a power failure.
    pub(super) fn crash(&mut self) -> CrashStore {
        self.client.take().map_or_else(CrashStore::new, |client| client.into_store().crash())
    }

    /// Sets a token that is valid until a time in milliseconds.
    pub(super) fn set_token(&mut self, valid_until: u64) {
        self.client_mut().set_token(Some(Secret(valid_until.to_string())));
    }

    /// Lets the store fail until a time in milliseconds.
    pub(super) fn fail_store(&mut self, failure: StoreFailure, until: u64) {
        self.switch.set(Some(failure));
        self.fails_until = Some(until);
    }

    /// Ends the failure of the store, if it is time.
    pub(super) fn end_failure(&mut self, now_ms: u64) {
        if self.fails_until.take_if(|until| *until <= now_ms).is_some() {
            self.switch.set(None);
        }
    }

    pub(super) const fn client(&self) -> &Client<DeviceStore, Timeline<R>> {
        self.client.as_ref().expect("a running client")
    }

    pub(super) const fn client_mut(&mut self) -> &mut Client<DeviceStore, Timeline<R>> {
        self.client.as_mut().expect("a running client")
    }

    /// Handles an undone action of this device. Returns the channel to subscribe to again: if the
    /// action was a subscription of the current start that was not followed by an unsubscription.
    pub(super) fn subscription_to_retry(
        &mut self,
        id: &ActionId,
        action: &Action,
    ) -> Option<String> {
        let channel =
            action.str_field("channel").filter(|_| action.kind() == SUBSCRIBE)?.into_owned();
        let is_of_this_start = id.node() == self.client().log().node_id();
        let position = |id: &ActionId| (id.time(), id.sequence());
        let has_left = self
            .last_unsubscribe
            .get(&channel)
            .is_some_and(|unsubscribe| position(id) < position(unsubscribe));
        (is_of_this_start && !has_left && self.retried_subscriptions.insert(id.clone()))
            .then_some(channel)
    }

    /// Returns the time of the next event, in milliseconds.
    pub(super) fn next_event(&self) -> Option<u64> {
        let deadline = self.client().next_deadline().map(|deadline| deadline.at.as_millis());
        let subscribes = self.subscribes_at.iter().map(|(at, _)| *at).min();
        let times = [deadline, subscribes, self.connects_at, self.commits_at, self.fails_until];
        times.into_iter().flatten().min()
    }
}
