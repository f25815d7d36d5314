//! The simulated server: a log, a node for each client, and no rules. What one client does, all others get.

use core::{convert::Infallible, ops::ControlFlow};
use std::sync::Arc;

use crate::{
    action::{ActionId, NodeId, logux::Processed},
    log::{Draft, Log},
    replay::{Reducer, Timeline, TimelineConfig},
    store::{Entry, Query, Store},
    sync::{Config, Input, Node, Output, State},
    testing::CrashStore,
    time::Now,
};

/// The reasons for which the relay keeps actions and answers.
const KEPT: &str = "kept";
const ANSWER: &str = "answer";

/// The simplest server that keeps its promises: what one client does, all others get, and the author is told `logux/processed`. A log, and a
/// [`Node`] for each client; nothing is confirmed before it is durable.
///
/// [`Simulation`](super::Simulation) has one; to be driven by hand, as a model checker does.
pub struct Relay<R: Reducer> {
    config: Arc<Config>,
    log: Log<CrashStore, Timeline<R>>,
    nodes: Vec<Node>,
    names: Vec<NodeId>,
    /// Whether the log may forget what the reducer does not need.
    compacts: bool,
}

/// What has to be done for a client of a [`Relay`].
#[derive(Debug)]
pub enum Effect {
    /// Send it this frame.
    Send(usize, String),
    /// Close its connection.
    Disconnect(usize),
}

impl<R: Reducer> Relay<R> {
    /// A server for these clients, over a store that may have actions from before.
    ///
    /// # Panics
    /// Never: memory does not fail.
    pub fn new(reducer: R, timeline: TimelineConfig, store: CrashStore, names: &[NodeId]) -> Self {
        let config = Arc::new(Config::server(NodeId::new("server:sim").expect("a node id")));
        let Ok(timeline) = Timeline::read(reducer, timeline, &store);
        let log =
            Log::with_observer(config.node.clone(), store, timeline).expect("memory does not fail");
        let nodes = names.iter().map(|_| Node::new(config.clone(), ())).collect();
        Self { config, log, nodes, names: names.to_vec(), compacts: false }
    }

    /// Lets the log forget what the reducer says does not matter, or not.
    #[must_use]
    pub const fn compacting(mut self, compacts: bool) -> Self {
        self.compacts = compacts;
        self
    }

    /// The log.
    pub const fn log(&self) -> &Log<CrashStore, Timeline<R>> {
        &self.log
    }

    /// How far the connection to a client is.
    ///
    /// # Panics
    /// When there is no such client.
    pub fn state_of(&self, client: usize) -> State {
        self.nodes[client].state()
    }

    /// When to call [`wake`](Self::wake) at the latest, in monotonic milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        self.nodes
            .iter()
            .filter_map(Node::next_deadline)
            .map(|deadline| deadline.at.as_millis())
            .min()
    }

    /// Takes what happened on the connection of a client.
    ///
    /// # Panics
    /// When there is no such client.
    pub fn handle(&mut self, now: Now, client: usize, input: Input<'_>, effects: &mut Vec<Effect>) {
        self.nodes[client].handle(now, input);
        self.follow(now, effects);
    }

    /// Time has passed.
    pub fn wake(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.nodes.iter_mut().for_each(|node| node.handle(now, Input::Wake));
        self.follow(now, effects);
    }

    /// Does what the nodes want, until none wants anything.
    fn follow(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some((client, output)) = self.poll() {
            match output {
                Output::Send(frame) => effects.push(Effect::Send(client, frame)),
                Output::Disconnect(_) => effects.push(Effect::Disconnect(client)),
                Output::Authenticate(who) => {
                    self.nodes[client].handle(now, Input::Allow(who.token))
                }
                Output::Connected { since, .. } => {
                    let mut missed = Vec::new();
                    let query = Query::added().oldest_first().after_added(since.unwrap_or(0));
                    let Ok(()) = self.log.store().walk(&query, &mut |entry| {
                        if is_for(entry, &self.names[client]) {
                            missed.push(entry.clone());
                        }
                        ControlFlow::Continue(())
                    });
                    let Ok(last) = self.log.store().last_added();
                    self.nodes[client].send(now.mono, last, &missed);
                }
                Output::Received { batch, entries, .. } => {
                    let mut news = Vec::new();
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
                            news.push(entry);
                            news.extend(answer);
                        }
                    }
                    // Only what is safe is confirmed, and told to others.
                    let Ok(()) = commit(&mut self.log);
                    self.nodes[client].handle(now, Input::Persisted(batch));
                    self.tell(now, &news);
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

    fn tell(&mut self, now: Now, news: &[Entry]) {
        let Ok(last) = self.log.store().last_added();
        for (client, name) in self.names.iter().enumerate() {
            if matches!(self.nodes[client].state(), State::Sending | State::Synchronized) {
                let own: Vec<&Entry> = news.iter().filter(|entry| is_for(entry, name)).collect();
                self.nodes[client].send(now.mono, last, own);
            }
        }
    }

    /// What is left when the power fails.
    #[must_use]
    pub fn crash(self) -> CrashStore {
        self.log.into_store().crash()
    }

    /// The server's node id.
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

/// Clients get what others did, and answers to what they did, also before they started again.
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
