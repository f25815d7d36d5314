//! A device of a user: the real client over a store that crashes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    action::{Action, ActionId, NodeId, logux::SUBSCRIBE},
    client::{Client, Config},
    replay::{Reducer, Timeline, TimelineConfig},
    server::SessionId,
    sync,
    testing::{CrashStore, simulation::clock::Clock},
};

/// A device.
pub(super) struct Device<R: Reducer> {
    /// User and client.
    name: NodeId,
    /// How many times it was switched on.
    starts: usize,
    pub(super) clock: Clock,
    /// `None` only while it crashes.
    client: Option<Client<CrashStore, Timeline<R>>>,
    pub(super) time_fix: Option<i64>,
    pub(super) session: Option<SessionId>,
    /// When it connects again.
    pub(super) connects_at: Option<u64>,
    /// Channels to subscribe to, and when.
    pub(super) subscribes_at: Vec<(u64, String)>,
    /// The channels that its user does not look at now.
    pub(super) left: BTreeSet<String>,
    /// By what it has left channels last.
    pub(super) left_by: BTreeMap<String, ActionId>,
    /// Subscriptions that were refused, and that it has asked for again.
    pub(super) refused: BTreeSet<ActionId>,
}

impl<R: Reducer + Clone> Device<R> {
    pub(super) fn new(name: NodeId, clock: Clock) -> Self {
        Self {
            name,
            starts: 0,
            clock,
            client: None,
            time_fix: None,
            session: None,
            connects_at: Some(0),
            subscribes_at: Vec::new(),
            left: BTreeSet::new(),
            left_by: BTreeMap::new(),
            refused: BTreeSet::new(),
        }
    }

    /// It is switched on.
    pub(super) fn start(&mut self, reducer: R, actions_per_sync: usize, store: CrashStore) {
        self.starts += 1;
        // Each start has a tab id of its own, as official clients have.
        let node =
            NodeId::new(format!("{}:{}", self.name.client_id(), self.starts)).expect("a node id");
        let options = TimelineConfig { history: Some(1_000_000), ..TimelineConfig::default() };
        let Ok(timeline) = Timeline::read(reducer, options, &store);
        let node = Arc::new(sync::Config { actions_per_sync, ..sync::Config::client(node) });
        let config = Config { node, token: None, time_fix: self.time_fix };
        self.client =
            Some(Client::with_observer(config, store, timeline).expect("memory does not fail"));
    }

    /// What is durable.
    pub(super) fn crash(&mut self) -> CrashStore {
        self.client.take().map_or_else(CrashStore::new, |client| client.into_store().crash())
    }

    pub(super) const fn client(&self) -> &Client<CrashStore, Timeline<R>> {
        self.client.as_ref().expect("a client that runs")
    }

    pub(super) const fn client_mut(&mut self) -> &mut Client<CrashStore, Timeline<R>> {
        self.client.as_mut().expect("a client that runs")
    }

    /// An action of its own is undone. Returns the channel if that was a subscription, and the page that has asked for it is there and still wants it.
    pub(super) fn refused(&mut self, id: &ActionId, action: &Action) -> Option<String> {
        let channel =
            action.str_field("channel").filter(|_| action.kind() == SUBSCRIBE)?.into_owned();
        let is_of_now = id.node() == self.client().log().node_id();
        let age = |id: &ActionId| (id.time(), id.sequence());
        let is_over = self.left_by.get(&channel).is_some_and(|left| age(id) < age(left));
        (is_of_now && !is_over && self.refused.insert(id.clone())).then_some(channel)
    }

    pub(super) fn next_moment(&self) -> Option<u64> {
        let deadline = self.client().next_deadline().map(|deadline| deadline.at.as_millis());
        let subscribes = self.subscribes_at.iter().map(|(at, _)| *at).min();
        [deadline, subscribes, self.connects_at].into_iter().flatten().min()
    }
}
