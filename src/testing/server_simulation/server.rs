//! A running server: the real hub with a simulated driver, without sockets, threads and handlers.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    application::{Application, Database},
    context::Context,
    endpoint::{Endpoint, EndpointOutput, OutboxItem},
    handlers::Handlers,
    settling::Settling,
};
use crate::{
    action::NodeId,
    log::LogError,
    server::{Config, Hub, Input, Output, SessionId},
    sync,
    testing::{CrashStore, FailingStore, FailureSwitch, StoreFailure},
};

/// A server between two crashes.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) hub: Hub<FailingStore>,
    switch: FailureSwitch,
    /// The time when the current failure of the store ends, in milliseconds.
    fails_until: Option<u64>,
    /// The time of the next attempt to restart the hub, in milliseconds. The server accepts no
    /// connections until it succeeds.
    restarts_at: Option<u64>,
    config: Arc<sync::Config>,
    /// Inputs that wait for the next round of the hub.
    inputs: Vec<Input>,
    /// The time of the next round, in milliseconds.
    round_at: Option<u64>,
    /// The time when the commit of the last round endpoints, in milliseconds. Connections and
    /// handlers run meanwhile, with the outputs that the hub returns before the commit.
    commits_at: Option<u64>,
    endpoints: BTreeMap<SessionId, Endpoint>,
    /// The connection of each client that joined last.
    current: BTreeMap<String, SessionId>,
    pub(super) handlers: Handlers,
    settling: Settling,
    effects: Vec<Effect>,
}

/// What the world has to do for a connection.
#[derive(Debug)]
pub(super) enum Effect {
    Send(SessionId, String),
    /// Close it after all earlier frames.
    Close(SessionId),
}

impl Server {
    /// Starts a server with a store that may have entries already.
    pub(super) fn start<A: Application>(
        context: &mut Context,
        application: &A,
        store: CrashStore,
    ) -> Self {
        context.server_starts += 1;
        // One node id for all starts is the harder case. But if the clock can go backwards, it
        // would generate ids again.
        let start =
            if context.config.server_clock_error.is_zero() { 0 } else { context.server_starts };
        let node = NodeId::new(format!("server:sim{start}")).expect("a node id");
        let mut config = Config::new(node.clone());
        // Some servers read so little at a time that even short histories have many pages.
        config.page_entries = usize::try_from(context.random.between(1, 40)).unwrap_or(1);
        application.configure(&mut config);
        let actions_per_sync = usize::try_from(context.random.between(1, 4)).unwrap_or(1);
        // Most backlogs are larger than a batch, so they are received in parts.
        let actions_per_batch = usize::try_from(context.random.between(1, 3)).unwrap_or(1);
        let mut node_config =
            sync::Config { actions_per_sync, actions_per_batch, ..sync::Config::server(node) };
        context.config.limit_messages(&mut node_config);
        let (store, switch) = FailingStore::over(store);
        let mut server = Self {
            hub: Hub::new(config, store).expect("the store works"),
            switch,
            fails_until: None,
            restarts_at: None,
            config: Arc::new(node_config),
            inputs: Vec::new(),
            round_at: None,
            commits_at: None,
            endpoints: BTreeMap::new(),
            current: BTreeMap::new(),
            handlers: Handlers::default(),
            settling: Settling::default(),
            effects: Vec::new(),
        };
        // The last commit before a crash may be durable without its outputs.
        let settling = &mut server.settling;
        server
            .hub
            .recorded(|entry| settling.recorded(Arc::new(entry.clone())))
            .expect("the store works");
        // The hub repeats the requests that were not answered before the crash.
        server.commit(context);
        server
    }

    /// Lets the store fail for some time.
    pub(super) fn fail_store(&mut self, context: &mut Context, failure: StoreFailure, ms: u64) {
        context.record(|| format!("for {ms} ms {failure}"));
        self.switch.set(Some(failure));
        self.fails_until = Some(context.now_ms + ms);
    }

    /// Returns `true` if the server accepts connections.
    pub(super) const fn is_open(&self) -> bool {
        self.restarts_at.is_none()
    }

    pub(super) fn is_idle(&self) -> bool {
        let stats = self.hub.stats().expect("the store can be read");
        self.inputs.is_empty()
            && self.restarts_at.is_none()
            && self.commits_at.is_none()
            && self.handlers.is_idle()
            && self.settling.is_idle()
            && !self.hub.is_busy()
            && self.endpoints.values().all(Endpoint::is_idle)
            && stats.running + stats.waiting == 0
    }

    /// Returns the time of the next event, in milliseconds.
    pub(super) fn next_event(&self) -> Option<u64> {
        let endpoints = self.endpoints.values().filter_map(Endpoint::next_event);
        let round_at = self.round_at.filter(|_| self.commits_at.is_none());
        endpoints
            .chain(round_at)
            .chain(self.commits_at)
            .chain(self.fails_until)
            .chain(self.restarts_at)
            .chain(self.handlers.next_event())
            .chain(self.settling.next_event())
            .min()
    }

    /// Returns the time when the current commit endpoints, in milliseconds.
    pub(super) const fn commits_at(&self) -> Option<u64> {
        self.commits_at
    }

    /// Handles a new connection.
    pub(super) fn open(&mut self, context: &Context, session: SessionId) {
        self.endpoints.insert(session, Endpoint::new(self.config.clone(), context.now(), session));
    }

    /// Returns `true` if the endpoint of a connection exists and reads frames.
    pub(super) fn reads(&self, session: SessionId) -> bool {
        self.endpoints.get(&session).is_some_and(|endpoint| endpoint.node.wants_frames())
    }

    pub(super) fn has(&self, session: SessionId) -> bool {
        self.endpoints.contains_key(&session)
    }

    /// Handles a received frame.
    pub(super) fn receive(&mut self, context: &mut Context, session: SessionId, frame: &str) {
        let endpoint = self.endpoints.get_mut(&session);
        let outputs = endpoint.map(|endpoint| endpoint.receive(context, frame));
        self.execute(context, session, outputs.unwrap_or_default());
    }

    /// Handles the end of a connection.
    pub(super) fn closed(&mut self, context: &mut Context, session: SessionId) {
        if self.endpoints.remove(&session).is_some_and(|endpoint| endpoint.has_joined) {
            self.queue(context, Input::Leave(session));
        }
    }

    fn execute(&mut self, context: &mut Context, session: SessionId, outputs: Vec<EndpointOutput>) {
        for output in outputs {
            match output {
                EndpointOutput::Hub(input) => self.queue(context, input),
                EndpointOutput::Send(frame) => self.effects.push(Effect::Send(session, frame)),
                EndpointOutput::Close => {
                    self.closed(context, session);
                    self.effects.push(Effect::Close(session));
                }
            }
        }
    }

    /// Queues an input for the next round of the hub.
    fn queue(&mut self, context: &mut Context, input: Input) {
        if !self.is_open() {
            // The hub has forgotten everything that was not committed.
            return;
        }
        self.inputs.push(input);
        let at = context.after(|config| &config.round_delay);
        self.round_at.get_or_insert(at);
    }

    /// Executes what is due, and returns what to do for connections, in order.
    pub(super) fn wake<A: Application>(
        &mut self,
        context: &mut Context,
        application: &A,
        database: &mut Database<A::Data>,
    ) -> Vec<Effect> {
        let endpoints = &self.endpoints;
        let is_connected = |session: SessionId| endpoints.contains_key(&session);
        let inputs = self.handlers.wake(context, application, database, is_connected);
        for input in inputs {
            self.queue(context, input);
        }
        self.settling.process_kept(application, database);
        for input in self.settling.due(context.now_ms) {
            self.queue(context, input);
        }
        if !self.is_open() {
            // The responses were dropped.
            self.handlers.forget_replays();
        }
        let now = context.now_ms;
        if self.fails_until.take_if(|at| *at <= now).is_some() {
            self.switch.set(None);
        }
        if self.restarts_at.take_if(|at| *at <= now).is_some() {
            self.restart(context);
        }
        if self.commits_at.take_if(|at| *at <= now).is_some() {
            self.commit(context);
        }
        if self.commits_at.is_none() && self.round_at.take_if(|at| *at <= now).is_some() {
            self.start_round(context, application, database);
        }
        self.settling.process_kept(application, database);
        if self.commits_at.is_none() && self.is_open() {
            self.settling.make_snapshots(context, application, &self.hub);
        }
        let sessions: Vec<SessionId> = self.endpoints.keys().copied().collect();
        for session in sessions {
            let outputs = self.endpoints.get_mut(&session).map(|endpoint| endpoint.wake(context));
            self.execute(context, session, outputs.unwrap_or_default());
        }
        core::mem::take(&mut self.effects)
    }

    /// Starts a round of the hub with a random number of the queued inputs. Some requests reach the
    /// application before the commit, and the responses of handlers that take no time belong to the
    /// same round.
    fn start_round<A: Application>(
        &mut self,
        context: &mut Context,
        application: &A,
        database: &mut Database<A::Data>,
    ) {
        if self.hub.begin().is_err() {
            // Nothing has changed. After a while, the server closes its connections.
            self.round_at = Some(context.after(|config| &config.round_delay) + 1);
            if context.random.one_in(10) {
                self.close_all(context);
            }
            return;
        }
        let count = context.random.between(1, self.inputs.len() as u64);
        let count = usize::try_from(count).unwrap_or(1);
        if self.run_round(context, application, database, count).is_err() {
            return self.close_all(context);
        }
        if self.hub.is_busy() {
            self.queue(context, Input::Continue);
        }
        self.dispatch(context);
        self.commits_at = Some(context.after(|config| &config.commit_delay));
        if !self.inputs.is_empty() {
            self.round_at = Some(context.after(|config| &config.round_delay));
        }
    }

    fn run_round<A: Application>(
        &mut self,
        context: &mut Context,
        application: &A,
        database: &mut Database<A::Data>,
        count: usize,
    ) -> Result<(), LogError<StoreFailure>> {
        self.handle_inputs(context, count)?;
        loop {
            while !context.random.one_in(4)
                && let Some(request) = self.hub.poll_request()
            {
                self.handlers.start(context, request);
            }
            let endpoints = &self.endpoints;
            let is_connected = |session: SessionId| endpoints.contains_key(&session);
            let inputs = self.handlers.wake(context, application, database, is_connected);
            if inputs.is_empty() {
                return Ok(());
            }
            // In order: earlier responses of the same handlers may still wait.
            self.inputs.extend(inputs);
            self.handle_inputs(context, self.inputs.len())?;
        }
    }

    fn handle_inputs(
        &mut self,
        context: &mut Context,
        count: usize,
    ) -> Result<(), LogError<StoreFailure>> {
        let count = count.min(self.inputs.len());
        let inputs: Vec<Input> = self.inputs.drain(..count).collect();
        for input in inputs {
            self.record_confirmed(context, &input);
            self.hub.handle(context.now(), input)?;
        }
        Ok(())
    }

    /// Records what the nodes of a client have confirmed, and what it was when a new node joins.
    fn record_confirmed(&mut self, context: &mut Context, input: &Input) {
        match input {
            Input::Join { session, node, since, .. } => {
                let confirmed = context.confirmed.get(node.client_id()).copied();
                if let Some(endpoint) = self.endpoints.get_mut(session) {
                    endpoint.confirmed_before = confirmed.filter(|_| *since == 0);
                }
                self.current.insert(node.client_id().to_owned(), *session);
            }
            Input::Acknowledged { session, added } => {
                let client = self.endpoints.get(session).and_then(Endpoint::client_id);
                // The hub ignores connections that were replaced.
                let is_current = |client: &&str| self.current.get(*client) == Some(session);
                if let Some(client) = client.filter(is_current) {
                    let confirmed = context.confirmed.entry(client.to_owned()).or_default();
                    *confirmed = (*confirmed).max(*added);
                }
            }
            _ => {}
        }
    }

    /// Commits the last round, and dispatches its outputs.
    fn commit(&mut self, context: &mut Context) {
        match self.hub.commit() {
            Ok(()) => self.dispatch(context),
            Err(_) => self.close_all(context),
        }
    }

    /// Closes all connections, and drops everything that is not committed. The handlers continue,
    /// and the hub ignores their responses.
    fn close_all(&mut self, context: &mut Context) {
        context.record(|| "the server closes all connections".to_owned());
        context.server_starts += 1;
        self.effects.extend(self.endpoints.keys().map(|session| Effect::Close(*session)));
        self.endpoints.clear();
        self.inputs.clear();
        context.confirmed.clear();
        self.handlers.forget_replays();
        (self.round_at, self.commits_at) = (None, None);
        self.restarts_at = Some(context.after(|config| &config.round_delay) + 1);
    }

    fn restart(&mut self, context: &mut Context) {
        if self.hub.restart().is_err() {
            self.restarts_at = Some(context.after(|config| &config.round_delay) + 1);
            return;
        }
        context.record(|| "the store works again".to_owned());
        self.commit(context);
    }

    /// Passes the outputs of the hub to endpoints and handlers.
    fn dispatch(&mut self, context: &mut Context) {
        while let Some(output) = self.hub.poll_output() {
            let (session, item) = match output {
                Output::Missed { session, added, entries, has_more } => {
                    (session, OutboxItem::Missed(added, entries, has_more))
                }
                Output::Persisted(session, batch) => (session, OutboxItem::Persisted(batch)),
                Output::Deliver { session, added, entry, confirm, .. } => {
                    (session, OutboxItem::Deliver(added, entry, confirm))
                }
                Output::Replay { session, added, entries } => {
                    (session, OutboxItem::Replay(added, entries))
                }
                Output::Replaced(session) => {
                    if let Some(endpoint) = self.endpoints.get_mut(&session) {
                        endpoint.replace(context);
                    }
                    continue;
                }
                Output::Unsubscribed { node, .. } => {
                    self.endpoints.values_mut().for_each(|endpoint| endpoint.forget_sent(&node));
                    continue;
                }
                Output::Replayed { request, has_more } => {
                    self.handlers.replayed(context, request, has_more);
                    continue;
                }
                Output::SettlementDue(request) => {
                    self.settling.request(request);
                    continue;
                }
                Output::Recorded { entry, .. } => {
                    self.settling.recorded(entry);
                    continue;
                }
                Output::Request(request) => {
                    self.handlers.start(context, request);
                    continue;
                }
                _ => continue,
            };
            if let Some(endpoint) = self.endpoints.get_mut(&session) {
                endpoint.push(context, item);
            }
        }
    }

    /// Crashes the server, and returns the store as it is after a power failure. The current commit
    /// is durable with a probability of one half.
    pub(super) fn crash(mut self, context: &mut Context) -> CrashStore {
        if context.random.one_in(2) {
            let _ = self.hub.commit();
        }
        context.confirmed.clear();
        self.hub.into_store().crash()
    }
}
