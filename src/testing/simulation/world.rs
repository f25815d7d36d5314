//! The simulated world: its nodes, its time, and the order of its events.

use core::{
    fmt::{self, Debug},
    ops::ControlFlow,
    time::Duration,
};
use std::sync::Arc;

use super::{
    Config, Counts, Unsettled,
    clock::{Clock, Random},
    link::Link,
    relay::{Effect, Relay},
};
use crate::{
    action::{Action, ActionId, NodeId, logux},
    client::{self, Client, UndoOutcome},
    replay::{Reducer, Timeline},
    store::{Entry, Query, Store},
    sync::{self, State},
    testing::CrashStore,
    time::{MonoTime, as_millis},
};

/// A simulated world: a server and its clients, in virtual time.
pub struct Simulation<R: Reducer + Clone> {
    config: Config,
    reducer: R,
    view: fn(&R::State) -> String,
    random: Random,
    /// The virtual time since the start, in milliseconds.
    now_ms: u64,
    /// `None` only during a crash.
    server: Option<Relay<R>>,
    devices: Vec<Device<R>>,
    /// The ids of all actions that clients added.
    added: Vec<ActionId>,
    counts: Counts,
    trace: Vec<String>,
}

struct Device<R: Reducer> {
    /// User id and client id.
    name: NodeId,
    /// The number of starts. It is the tab id of the current start.
    starts: usize,
    clock: Clock,
    /// `None` only during a crash.
    client: Option<Client<CrashStore, Timeline<R>>>,
    link: Link,
}

/// The largest number of steps of [`Simulation::settle`].
const MAX_STEPS: usize = 2_000_000;

impl<R: Reducer<State: Debug> + Clone> Simulation<R> {
    /// Returns a world with a running server, and clients that are about to connect.
    pub fn new(config: Config, reducer: R) -> Self {
        let mut random = Random::new(config.seed);
        let mut devices = Vec::new();
        for number in 0..config.clients {
            let name =
                NodeId::new(format!("{}:client{number}", (number + 1) * 10)).expect("a node id");
            let clock = Clock {
                offset_ms: random.around_zero(as_millis(config.clock_error)),
                drift_ppm: random.around_zero(config.drift_ppm),
            };
            devices.push(Device {
                name,
                starts: 0,
                clock,
                client: None,
                link: Link::Down(Some(0)),
            });
        }
        let names: Vec<NodeId> = devices.iter().map(|device| device.name.clone()).collect();
        let server =
            Relay::new(reducer.clone(), config.timeline.clone(), CrashStore::new(), &names)
                .compacting(config.compact);
        let mut world = Self {
            config,
            reducer,
            view: |state| format!("{state:?}"),
            random,
            now_ms: 0,
            server: Some(server),
            devices,
            added: Vec::new(),
            counts: Counts::default(),
            trace: Vec::new(),
        };
        (0..world.devices.len()).for_each(|client| world.start(client, CrashStore::new()));
        world
    }

    /// Compares states by this function instead of their `Debug` form. Useful for states with
    /// times, which differ between nodes because each node has its own clock.
    #[must_use]
    pub fn viewed(mut self, view: fn(&R::State) -> String) -> Self {
        self.view = view;
        self
    }

    /// Returns the state of a client.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn state(&self, client: usize) -> &R::State {
        self.client(client).log().state()
    }

    /// Returns `true` if the log of a client has an action.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn has(&self, client: usize, id: &ActionId) -> bool {
        self.client(client).log().store().by_id(id).is_ok_and(|entry| entry.is_some())
    }

    /// Returns the state of the server.
    pub fn server_state(&self) -> &R::State {
        self.server().log().state()
    }

    /// Returns the actions of the application that are in effect on the server, in order. O(n).
    pub fn actions_in_effect(&self) -> Vec<Entry> {
        let log = self.server().log();
        let mut entries = Vec::new();
        let Ok(()) = log.store().walk(&Query::created().oldest_first(), &mut |entry| {
            let is_own = logux::is_logux(entry.action.kind());
            if !is_own && !log.observer().is_undone(&entry.meta.id) {
                entries.push(entry.clone());
            }
            ControlFlow::Continue(())
        });
        entries
    }

    /// Returns the numbers of events so far.
    pub const fn counts(&self) -> Counts {
        Counts { elapsed: Duration::from_millis(self.now_ms), ..self.counts }
    }

    /// Returns the recorded events with their times. Empty without [`Config::trace`].
    pub fn trace(&self) -> &[String] {
        &self.trace
    }

    /// Adds an action on a client, and returns its id. `make` makes the action from the state of
    /// the client and the id that the action will have. If it returns `None`, nothing is added.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn act(
        &mut self,
        client: usize,
        make: impl FnOnce(&R::State, &ActionId) -> Option<Action>,
    ) -> Option<ActionId> {
        let now = self.devices[client].clock.now(self.now_ms);
        let device = self.devices[client].client.as_mut().expect("a running client");
        // `Client::sync` generates the same id.
        let id = device.next_id(now.wall);
        let action = make(device.log().state(), &id)?;
        if self.config.trace {
            self.record(&format!("client {client} adds {} as {id}", action.as_json()));
        }
        let device = self.devices[client].client.as_mut().expect("a running client");
        let id = device.sync(now, action).expect("memory does not fail");
        self.counts.actions += 1;
        self.added.push(id.clone());
        self.drain(client);
        Some(id)
    }

    /// Undoes an action on a client by [`Client::undo`], and returns the id of the undo, or `None`
    /// if the client has dropped the action because it was never sent.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn undo(&mut self, client: usize, id: &ActionId) -> Option<ActionId> {
        let now = self.devices[client].clock.now(self.now_ms);
        let device = self.devices[client].client.as_mut().expect("a running client");
        let outcome = device.undo(now, id, "undo").expect("memory does not fail");
        self.record(&format!("client {client} undoes {id}: {outcome:?}"));
        let undo = match outcome {
            UndoOutcome::Dropped(_) => {
                self.counts.dropped += 1;
                self.added.retain(|added| added != id);
                None
            }
            UndoOutcome::Added(undo) => {
                self.counts.actions += 1;
                self.added.push(undo.clone());
                Some(undo)
            }
        };
        self.drain(client);
        undo
    }

    /// Cuts the connection of a client at a random byte. The client connects again after
    /// [`Config::reconnect_delay`].
    ///
    /// # Panics
    /// If there is no such client.
    pub fn cut(&mut self, client: usize) {
        let delay = self.random.within(&self.config.reconnect_delay);
        self.disconnect(client, Some(self.now_ms + delay));
    }

    /// Cuts the connection of a client until [`heal`](Self::heal).
    ///
    /// # Panics
    /// If there is no such client.
    pub fn partition(&mut self, client: usize) {
        self.disconnect(client, None);
    }

    /// Lets a client connect again, at once.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn heal(&mut self, client: usize) {
        if let Link::Down(connects_at) = &mut self.devices[client].link {
            *connects_at = Some(self.now_ms);
        }
    }

    /// Moves the clock of a client by `ms` milliseconds, forwards or backwards. Its offset stays
    /// within a year.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn jump(&mut self, client: usize, ms: i64) {
        let offset = &mut self.devices[client].clock.offset_ms;
        *offset = offset.saturating_add(ms).clamp(-31_536_000_000, 31_536_000_000);
        self.record(&format!("the clock of client {client} jumps by {ms} ms"));
    }

    /// Crashes a client, which starts again with the durable entries of its store.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn crash(&mut self, client: usize) {
        self.cut(client);
        if let Some(crashed) = self.devices[client].client.take() {
            self.counts.crashes += 1;
            self.record(&format!("client {client} crashes"));
            self.start(client, crashed.into_store().crash());
        }
    }

    /// Crashes the server and cuts all connections. The server starts again with the durable
    /// entries of its store.
    pub fn crash_server(&mut self) {
        (0..self.devices.len()).for_each(|client| self.cut(client));
        if let Some(crashed) = self.server.take() {
            self.counts.crashes += 1;
            self.record("the server crashes");
            let names: Vec<NodeId> =
                self.devices.iter().map(|device| device.name.clone()).collect();
            let relay = Relay::new(
                self.reducer.clone(),
                self.config.timeline.clone(),
                crashed.crash(),
                &names,
            );
            self.server = Some(relay.compacting(self.config.compact));
        }
    }

    /// Advances the time, and executes all events up to it.
    pub fn run_for(&mut self, duration: Duration) {
        let until = self.now_ms.saturating_add(as_millis(duration));
        while self.next_event().is_some_and(|next| next <= until) {
            self.step();
        }
        self.now_ms = until;
    }

    /// Heals the network, executes events until all nodes are synchronized, and checks the result:
    /// each node has every action once, each action has an answer, and all states are equal.
    ///
    /// # Errors
    /// [`Unsettled`] with the first problem.
    pub fn settle(&mut self) -> Result<(), Unsettled> {
        (0..self.devices.len()).for_each(|client| self.heal(client));
        let mut steps = 0;
        while !self.is_settled() {
            if steps == MAX_STEPS || self.next_event().is_none() {
                break;
            }
            self.step();
            steps += 1;
        }
        if steps == MAX_STEPS {
            return Err(Unsettled::Livelock(steps));
        }
        self.check()
    }

    fn is_settled(&self) -> bool {
        let device = |(client, device): (usize, &Device<R>)| {
            device.link.is_idle()
                && self.client(client).state() == State::Synchronized
                && self.server().state_of(client) == State::Synchronized
        };
        self.devices.iter().enumerate().all(device)
    }

    fn check(&self) -> Result<(), Unsettled> {
        for client in 0..self.devices.len() {
            let state = self.client(client).state();
            if state != State::Synchronized {
                return Err(Unsettled::NotSynchronized(client, state));
            }
        }
        let clients = self
            .devices
            .iter()
            .enumerate()
            .map(|(client, device)| (&device.name, self.client(client).log()));
        for (node, log) in
            core::iter::once((self.server().node_id(), self.server().log())).chain(clients)
        {
            let [own, server] = [log.state(), self.server_state()].map(self.view);
            if own != server {
                return Err(Unsettled::Differs(node.to_string(), own, server));
            }
            let unanswered = log.store().newest_with_reason("syncing").ok().flatten();
            if let Some(stamp) = unanswered {
                return Err(Unsettled::Unanswered {
                    node: node.to_string(),
                    id: stamp.id().clone(),
                });
            }
            if self.config.compact {
                continue;
            }
            let has = |id: &ActionId| log.store().by_id(id).is_ok_and(|entry| entry.is_some());
            if let Some(id) = self.added.iter().find(|id| !has(id)) {
                return Err(Unsettled::Lost { node: node.to_string(), id: id.clone() });
            }
            let mut count = 0;
            let Ok(()) = log.store().walk(&Query::added(), &mut |entry| {
                count += usize::from(entry.action.kind() != logux::PROCESSED);
                ControlFlow::Continue(())
            });
            if count != self.added.len() {
                return Err(Unsettled::WrongCount {
                    node: node.to_string(),
                    has: count,
                    added: self.added.len(),
                });
            }
        }
        Ok(())
    }

    /// Returns the time of the next event, in milliseconds since the start.
    fn next_event(&self) -> Option<u64> {
        let of_device = |(client, device): (usize, &Device<R>)| {
            let deadline =
                self.client(client).next_deadline().map(|deadline| deadline.at.as_millis());
            let link = match &device.link {
                Link::Up { to_server, to_client } => {
                    to_server.next_arrival().into_iter().chain(to_client.next_arrival()).min()
                }
                Link::Down(connects_at) => *connects_at,
            };
            deadline.into_iter().chain(link).min()
        };
        self.devices
            .iter()
            .enumerate()
            .filter_map(of_device)
            .chain(self.server().next_deadline().map(MonoTime::as_millis))
            .min()
    }

    /// Advances the time to the next event, and executes all events of that time.
    fn step(&mut self) {
        let Some(next) = self.next_event() else { return };
        self.now_ms = self.now_ms.max(next);
        let now = self.now_ms;
        for client in 0..self.devices.len() {
            match &mut self.devices[client].link {
                Link::Down(Some(connects_at)) if *connects_at <= now => self.connect(client),
                Link::Down(_) => {}
                Link::Up { to_server, to_client } => {
                    let (up, down) = (to_server.receive(now), to_client.receive(now));
                    if let Some(frame) = up {
                        self.at_server(client, sync::Input::Frame(&frame));
                    }
                    if let Some(frame) = down {
                        self.at_client(client, client::Input::Frame(&frame));
                    }
                }
            }
            if self
                .client(client)
                .next_deadline()
                .is_some_and(|deadline| deadline.at.as_millis() <= now)
            {
                self.at_client(client, client::Input::Wake);
            }
        }
        if self.server().next_deadline().is_some_and(|at| at.as_millis() <= now) {
            let mut effects = Vec::new();
            let now = Clock::default().now(now);
            self.server.as_mut().expect("a running server").wake(now, &mut effects);
            self.execute(effects);
        }
    }

    fn connect(&mut self, client: usize) {
        self.record(&format!("client {client} connects"));
        self.devices[client].link = Link::up();
        self.at_server(client, sync::Input::Opened);
        self.at_client(client, client::Input::Opened);
    }

    fn disconnect(&mut self, client: usize, connects_at: Option<u64>) {
        if let Link::Up { to_server, to_client } = &mut self.devices[client].link {
            let lost = to_server.cut(&mut self.random) + to_client.cut(&mut self.random);
            let [up, down] = [to_server, to_client].map(|queue| {
                let complete = core::iter::from_fn(|| queue.receive(u64::MAX));
                complete.collect::<Vec<String>>()
            });
            self.counts.cuts += 1;
            self.counts.lost += lost;
            self.record(&format!(
                "the connection of client {client} is cut, {lost} frames are lost"
            ));
            up.iter().for_each(|frame| self.at_server(client, sync::Input::Frame(frame)));
            down.iter().for_each(|frame| self.at_client(client, client::Input::Frame(frame)));
            self.at_server(client, sync::Input::Closed);
            self.at_client(client, client::Input::Closed);
        }
        self.devices[client].link = Link::Down(connects_at);
    }

    fn start(&mut self, client: usize, store: CrashStore) {
        let device = &mut self.devices[client];
        device.starts += 1;
        // Each start has its own tab id, as in official clients. So ids are unique even if the
        // clock goes backwards.
        let node = NodeId::new(format!("{}:{}", device.name.client_id(), device.starts))
            .expect("a node id");
        let Ok(timeline) =
            Timeline::read(self.reducer.clone(), self.config.timeline.clone(), &store);
        let config = client::Config { node: Arc::new(sync::Config::client(node)), token: None };
        device.client =
            Some(Client::with_observer(config, store, timeline).expect("memory does not fail"));
    }

    fn at_server(&mut self, client: usize, input: sync::Input<'_>) {
        let now = Clock::default().now(self.now_ms);
        let mut effects = Vec::new();
        self.server.as_mut().expect("a running server").handle(now, client, input, &mut effects);
        self.execute(effects);
    }

    fn execute(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(client, frame) => {
                    let arrives = self.arrival();
                    if let Link::Up { to_client, .. } = &mut self.devices[client].link {
                        self.counts.frames += 1;
                        to_client.send(arrives, frame);
                    }
                }
                Effect::Disconnect(client) => self.cut(client),
            }
        }
    }

    fn at_client(&mut self, client: usize, input: client::Input<'_>) {
        let now = self.devices[client].clock.now(self.now_ms);
        let device = self.devices[client].client.as_mut().expect("a running client");
        device.handle(now, input).expect("memory does not fail");
        self.drain(client);
    }

    fn drain(&mut self, client: usize) {
        let now = self.devices[client].clock.now(self.now_ms);
        while let Some(machine) = &mut self.devices[client].client
            && machine.needs_commit()
        {
            machine.commit(now).expect("memory does not fail");
        }
        while let Some(output) = self.devices[client].client.as_mut().and_then(Client::poll_output)
        {
            match output {
                client::Output::Send(frame) => {
                    let arrives = self.arrival();
                    if let Link::Up { to_server, .. } = &mut self.devices[client].link {
                        self.counts.frames += 1;
                        to_server.send(arrives, frame);
                    }
                }
                client::Output::Disconnect(_) => self.cut(client),
                client::Output::Added(entry) if self.config.trace => {
                    self.record(&format!(
                        "client {client} receives {} as {}",
                        entry.action.as_json(),
                        entry.meta.id
                    ));
                }
                _ => {}
            }
        }
    }

    fn arrival(&mut self) -> u64 {
        self.now_ms + self.random.within(&self.config.latency)
    }

    fn record(&mut self, event: &str) {
        if self.config.trace {
            self.trace.push(format!("{:>7} ms  {event}", self.now_ms));
        }
    }

    fn client(&self, client: usize) -> &Client<CrashStore, Timeline<R>> {
        self.devices[client].client.as_ref().expect("a running client")
    }

    fn server(&self) -> &Relay<R> {
        self.server.as_ref().expect("a running server")
    }
}

impl<R: Reducer + Clone> Debug for Simulation<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("config", &self.config)
            .field("counts", &self.counts)
            .field("now_ms", &self.now_ms)
            .finish_non_exhaustive()
    }
}
