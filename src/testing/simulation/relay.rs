//! The simulated server: a log and a sync node for each client. It accepts all actions.

use core::{convert::Infallible, ops::ControlFlow};
use std::sync::Arc;

use crate::{
    action::{ActionId, NodeId, logux::Processed},
    log::{Draft, Log},
    replay::{Reducer, Timeline, TimelineConfig},
    store::{Entry, Query, Store},
    sync::{Config, Input, Node, Output, State},
    testing::CrashStore,
    time::{MonoTime, Now},
};

/// The reasons of actions and answers in the relay's log.
const KEPT: &str = "kept";
const ANSWER: &str = "answer";

/// The simplest correct server: it sends each action to all other clients, and `logux/processed` to
/// its author. It has a log, and a [`Node`] for each client. It confirms actions only after they
/// are durable.
///
/// [`Simulation`](super::Simulation) has one. It can also be driven directly, for example by a
/// model checker.
pub struct Relay<R: Reducer> {
    config: Arc<Config>,
    log: Log<CrashStore, Timeline<R>>,
    nodes: Vec<Node>,
    names: Vec<NodeId>,
    /// Whether actions are kept only for the reasons of the reducer.
    compacts: bool,
}

/// What the driver of a [`Relay`] has to do for a client.
#[derive(Debug)]
pub enum Effect {
    /// Send this frame to the client.
    Send(usize, String),
    /// Close the connection of the client.
    Disconnect(usize),
}

impl<R: Reducer> Relay<R> {
    /// Returns a server for these clients, with a store that may have entries already.
    ///
    /// # Panics
    /// Never: a store in memory does not fail.
    pub fn new(reducer: R, timeline: TimelineConfig, store: CrashStore, names: &[NodeId]) -> Self {
        let config = Arc::new(Config::server(NodeId::new("server:sim").expect("a node id")));
        let Ok(timeline) = Timeline::read(reducer, timeline, &store);
        let log =
            Log::with_observer(config.node.clone(), store, timeline).expect("memory does not fail");
        let nodes = names.iter().map(|_| Node::new(config.clone(), ())).collect();
        Self { config, log, nodes, names: names.to_vec(), compacts: false }
    }

    /// Sets whether the log removes actions that are obsolete by the reducer. Default: `false`.
    #[must_use]
    pub const fn compacting(mut self, compacts: bool) -> Self {
        self.compacts = compacts;
        self
    }

    /// Returns the log.
    pub const fn log(&self) -> &Log<CrashStore, Timeline<R>> {
        &self.log
    }

    /// Returns the state of the connection to a client.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn state_of(&self, client: usize) -> State {
        self.nodes[client].state()
    }

    /// Returns the latest time to call [`wake`](Self::wake).
    pub fn next_deadline(&self) -> Option<MonoTime> {
        self.nodes.iter().filter_map(Node::next_deadline).map(|deadline| deadline.at).min()
    }

    /// Handles an event of a client's connection. Appends the required effects to `effects`.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn handle(&mut self, now: Now, client: usize, input: Input<'_>, effects: &mut Vec<Effect>) {
        self.nodes[client].handle(now, input);
        self.drain(now, effects);
    }

    /// Handles the deadline. Appends the required effects to `effects`.
    pub fn wake(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.nodes.iter_mut().for_each(|node| node.handle(now, Input::Wake));
        self.drain(now, effects);
    }

    /// Executes the outputs of all nodes until there are none.
    fn drain(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some((client, output)) = self.poll() {
            match output {
                Output::Send(frame) => effects.push(Effect::Send(client, frame)),
                Output::Disconnect(_) => effects.push(Effect::Disconnect(client)),
                Output::Authenticate(request) => {
                    self.nodes[client].handle(now, Input::Allow(request.token))
                }
                Output::Connected { since, .. } => {
                    let mut missed = Vec::new();
                    let Ok(last) = self.log.store().last_added();
                    // A number that this log has not assigned is of another one.
                    let since = since.filter(|since| *since <= last).unwrap_or(0);
                    let query = Query::added().oldest_first().after_added(since);
                    let Ok(()) = self.log.store().walk(&query, &mut |entry| {
                        if is_for(entry, &self.names[client]) {
                            missed.push(entry.clone());
                        }
                        ControlFlow::Continue(())
                    });
                    self.nodes[client].send(now.mono, last, &missed);
                }
                Output::Received { batch, entries, .. } => {
                    let mut new = Vec::new();
                    for entry in entries {
                        let draft = Draft::of(entry.meta.id.clone(), entry.meta.time);
                        let draft = if self.compacts { draft } else { draft.and_reason(KEPT) };
                        if let Some(entry) = self
                            .log
                            .add(now.wall, entry.action, draft)
                            .expect("memory does not fail")
                        {
                            let answer = Processed { id: entry.meta.id.to_string() }
                                .to_action()
                                .expect("an action");
                            let answer = self
                                .log
                                .add(now.wall, answer, Draft::reason(ANSWER))
                                .expect("memory does not fail");
                            new.push(entry);
                            new.extend(answer);
                        }
                    }
                    // Only durable actions are confirmed and sent to other clients.
                    let Ok(()) = commit(&mut self.log);
                    self.nodes[client].handle(now, Input::Persisted(batch));
                    self.broadcast(now, &new);
                }
                _ => {}
            }
        }
    }

    fn poll(&mut self) -> Option<(usize, Output)> {
        self.nodes
            .iter_mut()
            .enumerate()
            .find_map(|(client, node)| Some((client, node.poll_output()?)))
    }

    fn broadcast(&mut self, now: Now, entries: &[Entry]) {
        let Ok(last) = self.log.store().last_added();
        for (client, name) in self.names.iter().enumerate() {
            if matches!(self.nodes[client].state(), State::Sending | State::Synchronized) {
                let own: Vec<&Entry> = entries.iter().filter(|entry| is_for(entry, name)).collect();
                self.nodes[client].send(now.mono, last, own);
            }
        }
    }

    /// Returns the store as it is after a power failure.
    #[must_use]
    pub fn crash(self) -> CrashStore {
        self.log.into_store().crash()
    }

    /// Returns the node id of the server.
    pub fn node_id(&self) -> &NodeId {
        &self.config.node
    }
}

fn commit<R: Reducer>(log: &mut Log<CrashStore, Timeline<R>>) -> Result<(), Infallible> {
    log.commit().or_else(|error| match error {
        crate::log::LogError::Store(never) => match never {},
        crate::log::LogError::ReadOnly(_) => Ok(()),
    })
}

/// A client receives the actions of other clients, and the answers to its own actions, also to
/// those that it added before a restart.
fn is_for(entry: &Entry, client: &NodeId) -> bool {
    if entry.meta.reasons.iter().any(|reason| **reason == *ANSWER) {
        let id = entry.action.str_field("id").and_then(|id| id.parse::<ActionId>().ok());
        return id.is_some_and(|id| id.node().client_id() == client.client_id());
    }
    entry.meta.id.node().client_id() != client.client_id()
}

impl<R: Reducer> core::fmt::Debug for Relay<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Relay")
            .field("store", self.log.store())
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}
