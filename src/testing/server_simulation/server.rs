//! A running server: the real hub with a simulated driver, without sockets, threads and handlers.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    application::{Application, Database},
    context::Context,
    endpoint::{Endpoint, EndpointOutput, OutboxItem},
    handlers::Handlers,
};
use crate::{
    action::NodeId,
    server::{Config, Hub, Input, Output, SessionId},
    sync,
    testing::CrashStore,
};

/// A server between two crashes.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) hub: Hub<CrashStore>,
    config: Arc<sync::Config>,
    /// Inputs that wait for the next round of the hub.
    inputs: Vec<Input>,
    /// The time of the next round, in milliseconds.
    round_at: Option<u64>,
    /// The time when the commit of the last round endpoints, in milliseconds. Connections and
    /// handlers run meanwhile, with the outputs that the hub returns before the commit.
    commits_at: Option<u64>,
    endpoints: BTreeMap<SessionId, Endpoint>,
    pub(super) handlers: Handlers,
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
        application.configure(&mut config);
        let actions_per_sync = usize::try_from(context.random.between(1, 4)).unwrap_or(1);
        let mut server = Self {
            hub: Hub::new(config, store).expect("memory does not fail"),
            config: Arc::new(sync::Config { actions_per_sync, ..sync::Config::server(node) }),
            inputs: Vec::new(),
            round_at: None,
            commits_at: None,
            endpoints: BTreeMap::new(),
            handlers: Handlers::default(),
            effects: Vec::new(),
        };
        // The hub repeats the requests that were not answered before the crash.
        server.commit();
        server.dispatch(context);
        server
    }

    pub(super) fn is_idle(&self) -> bool {
        let stats = self.hub.stats().expect("memory does not fail");
        self.inputs.is_empty()
            && self.commits_at.is_none()
            && self.handlers.is_idle()
            && self.endpoints.values().all(Endpoint::is_idle)
            && stats.running + stats.waiting == 0
    }

    /// Returns the time of the next event, in milliseconds.
    pub(super) fn next_event(&self) -> Option<u64> {
        let endpoints = self.endpoints.values().filter_map(Endpoint::next_event);
        let round_at = self.round_at.filter(|_| self.commits_at.is_none());
        endpoints.chain(round_at).chain(self.commits_at).chain(self.handlers.next_event()).min()
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
        for (id, response) in self.handlers.wake(context, application, database) {
            self.queue(context, Input::Respond(id, response));
        }
        let now = context.now_ms;
        if self.commits_at.take_if(|at| *at <= now).is_some() {
            self.commit();
            self.dispatch(context);
        }
        if self.commits_at.is_none() && self.round_at.take_if(|at| *at <= now).is_some() {
            self.start_round(context);
        }
        let sessions: Vec<SessionId> = self.endpoints.keys().copied().collect();
        for session in sessions {
            let outputs = self.endpoints.get_mut(&session).map(|endpoint| endpoint.wake(context));
            self.execute(context, session, outputs.unwrap_or_default());
        }
        core::mem::take(&mut self.effects)
    }

    /// Starts a round of the hub with a random number of the queued inputs.
    fn start_round(&mut self, context: &mut Context) {
        let count = context.random.between(1, self.inputs.len() as u64);
        self.handle_inputs(context, usize::try_from(count).unwrap_or(1));
        self.dispatch(context);
        self.commits_at = Some(context.after(|config| &config.commit_delay));
        if !self.inputs.is_empty() {
            self.round_at = Some(context.after(|config| &config.round_delay));
        }
    }

    fn handle_inputs(&mut self, context: &Context, count: usize) {
        let count = count.min(self.inputs.len());
        for input in self.inputs.drain(..count) {
            self.hub.handle(context.now(), input).expect("memory does not fail");
        }
    }

    fn commit(&mut self) {
        self.hub.commit().expect("memory does not fail");
    }

    /// Passes the outputs of the hub to endpoints and handlers.
    fn dispatch(&mut self, context: &mut Context) {
        while let Some(output) = self.hub.poll_output() {
            let (session, item) = match output {
                Output::Joined { session, added, missed } => {
                    (session, OutboxItem::Joined(added, missed))
                }
                Output::Persisted(session, batch) => (session, OutboxItem::Persisted(batch)),
                Output::Deliver { session, added, entry, confirm } => {
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
            self.commit();
        }
        self.hub.into_store().crash()
    }
}
