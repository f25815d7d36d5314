//! The world: who is there, what time it is, what happens next.

use core::{
    fmt::{self, Debug},
    ops::ControlFlow,
};
use std::sync::Arc;

use super::{
    clock::{Chance, Clock},
    link::Link,
    relay::{Effect, Relay},
};
use crate::{
    action::{Action, ActionId, NodeId, logux},
    client::{self, Client},
    replay::{Reducer, Timeline, TimelineConfig},
    store::{Query, Store},
    sync::{self, State},
    testing::CrashStore,
};

/// What world to simulate.
#[derive(Clone, Debug)]
pub struct Config {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// How many clients there are besides the server.
    pub clients: usize,
    /// How long a frame takes, from and to, in milliseconds.
    pub latency_ms: (u64, u64),
    /// After how long a client connects again, from and to, in milliseconds.
    pub reconnect_ms: (u64, u64),
    /// By how much the clocks of the clients are wrong at most, in milliseconds.
    pub clock_error_ms: i64,
    /// How much faster or slower they go at most, in millionths.
    pub drift_ppm: i64,
    /// The options of the timelines.
    pub timeline: TimelineConfig,
    /// Let the logs forget what the reducer says does not matter. Without it the server keeps everything, and [`Simulation::settle`] checks that every
    /// action is everywhere.
    pub compact: bool,
    /// Write down who did what when. Costs time.
    pub trace: bool,
}

impl Default for Config {
    /// 2 clients, 5 to 200 ms of latency, clocks up to an hour wrong that drift by up to 100 ppm.
    fn default() -> Self {
        Self {
            seed: 0,
            clients: 2,
            latency_ms: (5, 200),
            reconnect_ms: (50, 2_000),
            clock_error_ms: 3_600_000,
            drift_ppm: 100,
            timeline: TimelineConfig { history: Some(1_000_000), ..TimelineConfig::default() },
            compact: false,
            trace: false,
        }
    }
}

/// What has happened in a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Actions that were done.
    pub actions: usize,
    /// Frames that were sent.
    pub frames: usize,
    /// Frames that were lost.
    pub lost: usize,
    /// Connections that were cut.
    pub cuts: usize,
    /// Nodes that crashed.
    pub crashes: usize,
    /// Virtual milliseconds that have passed.
    pub ms: u64,
}

/// A simulated world.
pub struct Simulation<R: Reducer + Clone> {
    config: Config,
    reducer: R,
    view: fn(&R::State) -> String,
    chance: Chance,
    /// `None` only while it crashes.
    server: Option<Relay<R>>,
    devices: Vec<Device<R>>,
    done: Vec<ActionId>,
    counts: Counts,
    trace: Vec<String>,
}

struct Device<R: Reducer> {
    name: NodeId,
    /// How many times it was switched on.
    starts: usize,
    clock: Clock,
    /// `None` only while it crashes.
    client: Option<Client<CrashStore, Timeline<R>>>,
    time_fix: Option<i64>,
    link: Link,
}

/// Why a world does not come to rest, or comes to the wrong one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsettled {
    /// Something still happens after so many steps.
    Livelock(usize),
    /// A client is not synchronized, though nothing happens any more.
    NotSynchronized(usize, State),
    /// A node lacks an action.
    Lost {
        /// Who.
        node: String,
        /// Which.
        id: ActionId,
    },
    /// A node has an action that nobody did, or has it twice.
    JsonObject {
        /// Who.
        node: String,
        /// How many actions it has.
        has: usize,
        /// How many were done.
        done: usize,
    },
    /// A client still waits for the answer to its action.
    Unanswered {
        /// Who.
        node: String,
        /// Which.
        id: ActionId,
    },
    /// A node's state is not the server's: its name and both states.
    Differs(String, String, String),
}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Livelock(steps) => write!(f, "something still happens after {steps} steps"),
            Self::NotSynchronized(client, state) => {
                write!(f, "client {client} is {state:?}, though nothing happens any more")
            }
            Self::Lost { node, id } => write!(f, "{node} lacks the action {id}"),
            Self::Unanswered { node, id } => write!(f, "{node} still waits for the answer to {id}"),
            Self::JsonObject { node, has, done } => {
                write!(f, "{node} has {has} actions, but {done} were done")
            }
            Self::Differs(node, own, server) => {
                write!(f, "{node} has {own}\nbut the server has {server}")
            }
        }
    }
}

impl core::error::Error for Unsettled {}

/// After how many steps without rest something must be wrong.
const MAX_STEPS: usize = 2_000_000;

impl<R: Reducer<State: Debug> + Clone> Simulation<R> {
    /// A world at its beginning: the clients are about to connect.
    pub fn new(config: Config, reducer: R) -> Self {
        let mut chance = Chance::new(config.seed);
        let mut around = |most: i64| {
            let most = most.unsigned_abs();
            i64::try_from(chance.between(0, 2 * most)).unwrap_or(0)
                - i64::try_from(most).unwrap_or(0)
        };
        let mut devices = Vec::new();
        for number in 0..config.clients {
            let name =
                NodeId::new(format!("{}:client{number}", (number + 1) * 10)).expect("a node id");
            let clock = Clock {
                offset_ms: around(config.clock_error_ms),
                drift_ppm: around(config.drift_ppm),
            };
            devices.push(Device {
                name,
                starts: 0,
                clock,
                client: None,
                time_fix: None,
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
            chance,
            server: Some(server),
            devices,
            done: Vec::new(),
            counts: Counts::default(),
            trace: Vec::new(),
        };
        (0..world.devices.len()).for_each(|client| world.start(client, CrashStore::new()));
        world
    }

    /// Compares states by what this shows of them, in place of their `Debug` form: for states that remember times, which each node has by its own clock.
    #[must_use]
    pub fn viewed(mut self, view: fn(&R::State) -> String) -> Self {
        self.view = view;
        self
    }

    /// The state that a client sees.
    ///
    /// # Panics
    /// When there is no such client.
    pub fn state(&self, client: usize) -> &R::State {
        self.client(client).log().state()
    }

    /// Whether a client's log has an action.
    ///
    /// # Panics
    /// When there is no such client.
    pub fn has(&self, client: usize, id: &ActionId) -> bool {
        self.client(client).log().store().by_id(id).is_ok_and(|entry| entry.is_some())
    }

    /// The state of the server.
    pub fn server_state(&self) -> &R::State {
        self.server().log().state()
    }

    /// How much has happened.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Who did what when, if [`Config::trace`] is set.
    pub fn trace(&self) -> &[String] {
        &self.trace
    }

    /// A client does an action, made of the state that it sees; nothing if there is none to do.
    ///
    /// # Panics
    /// When there is no such client.
    pub fn act(
        &mut self,
        client: usize,
        make: impl FnOnce(&R::State, &ActionId) -> Option<Action>,
    ) -> Option<ActionId> {
        let now = self.devices[client].clock.now(self.counts.ms);
        let device = self.devices[client].client.as_mut().expect("a client that runs");
        // The id it will have: the client makes the same when it is told to do the action.
        let id = device.next_id(now.wall);
        let action = make(device.log().state(), &id)?;
        if self.config.trace {
            self.tell(&format!("client {client} does {} as {id}", action.as_json()));
        }
        let device = self.devices[client].client.as_mut().expect("a client that runs");
        let id = device.sync(now, action).expect("memory does not fail");
        self.counts.actions += 1;
        self.done.push(id.clone());
        self.drain(client);
        Some(id)
    }

    /// Cuts a client's connection, at a byte that chance decides. It connects again after a while.
    pub fn cut(&mut self, client: usize) {
        let again = self.chance.between(self.config.reconnect_ms.0, self.config.reconnect_ms.1);
        self.disconnect(client, Some(self.counts.ms + again));
    }

    /// Cuts a client's connection until [`heal`](Self::heal).
    pub fn part(&mut self, client: usize) {
        self.disconnect(client, None);
    }

    /// Lets a client connect again.
    pub fn heal(&mut self, client: usize) {
        if let Link::Down(again) = &mut self.devices[client].link {
            *again = Some(self.counts.ms);
        }
    }

    /// Sets a client's clock forwards or back.
    pub fn jump(&mut self, client: usize, ms: i64) {
        let offset = &mut self.devices[client].clock.offset_ms;
        // The user of a device does not set its clock beyond a year.
        *offset = offset.saturating_add(ms).clamp(-31_536_000_000, 31_536_000_000);
        self.tell(&format!("the clock of client {client} jumps by {ms} ms"));
    }

    /// A client's power fails; it starts again with what was durable.
    pub fn crash(&mut self, client: usize) {
        self.cut(client);
        if let Some(gone) = self.devices[client].client.take() {
            self.counts.crashes += 1;
            self.tell(&format!("client {client} crashes"));
            self.start(client, gone.into_store().crash());
        }
    }

    /// The server's power fails; all connections are cut, and it starts again with what was durable.
    pub fn crash_server(&mut self) {
        (0..self.devices.len()).for_each(|client| self.cut(client));
        if let Some(gone) = self.server.take() {
            self.counts.crashes += 1;
            self.tell("the server crashes");
            let names: Vec<NodeId> =
                self.devices.iter().map(|device| device.name.clone()).collect();
            let again = Relay::new(
                self.reducer.clone(),
                self.config.timeline.clone(),
                gone.crash(),
                &names,
            );
            self.server = Some(again.compacting(self.config.compact));
        }
    }

    /// Lets time pass, in milliseconds.
    pub fn run_for(&mut self, ms: u64) {
        let until = self.counts.ms.saturating_add(ms);
        while self.next_moment().is_some_and(|next| next <= until) {
            self.step();
        }
        self.counts.ms = until;
    }

    /// Heals the network, lets everything come to rest, and checks that nobody lacks anything: all are synchronized, every action is everywhere once,
    /// and all states are equal.
    ///
    /// # Errors
    /// [`Unsettled`] says what is wrong.
    pub fn settle(&mut self) -> Result<(), Unsettled> {
        (0..self.devices.len()).for_each(|client| self.heal(client));
        let mut steps = 0;
        while !self.is_at_rest() {
            if steps == MAX_STEPS || self.next_moment().is_none() {
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

    fn is_at_rest(&self) -> bool {
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
            let waits = log.store().newest_with_reason("syncing").ok().flatten();
            if let Some(stamp) = waits {
                return Err(Unsettled::Unanswered {
                    node: node.to_string(),
                    id: stamp.id().clone(),
                });
            }
            if self.config.compact {
                continue;
            }
            let has = |id: &ActionId| log.store().by_id(id).is_ok_and(|entry| entry.is_some());
            if let Some(id) = self.done.iter().find(|id| !has(id)) {
                return Err(Unsettled::Lost { node: node.to_string(), id: id.clone() });
            }
            let mut has = 0;
            let Ok(()) = log.store().walk(&Query::added(), &mut |entry| {
                has += usize::from(entry.action.kind() != logux::PROCESSED);
                ControlFlow::Continue(())
            });
            if has != self.done.len() {
                return Err(Unsettled::JsonObject {
                    node: node.to_string(),
                    has,
                    done: self.done.len(),
                });
            }
        }
        Ok(())
    }

    /// When the next thing happens.
    fn next_moment(&self) -> Option<u64> {
        let of_device = |(client, device): (usize, &Device<R>)| {
            let deadline =
                self.client(client).next_deadline().map(|deadline| deadline.at.as_millis());
            let link = match &device.link {
                Link::Up { to_server, to_client } => {
                    to_server.next().into_iter().chain(to_client.next()).min()
                }
                Link::Down(again) => *again,
            };
            deadline.into_iter().chain(link).min()
        };
        self.devices
            .iter()
            .enumerate()
            .filter_map(of_device)
            .chain(self.server().next_deadline())
            .min()
    }

    /// Lets the next thing happen.
    fn step(&mut self) {
        let Some(next) = self.next_moment() else { return };
        self.counts.ms = self.counts.ms.max(next);
        let now = self.counts.ms;
        for client in 0..self.devices.len() {
            match &mut self.devices[client].link {
                Link::Down(Some(again)) if *again <= now => self.connect(client),
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
        if self.server().next_deadline().is_some_and(|at| at <= now) {
            let mut effects = Vec::new();
            let now = Clock::default().now(now);
            self.server.as_mut().expect("a server that runs").wake(now, &mut effects);
            self.carry_out(effects);
        }
    }

    fn connect(&mut self, client: usize) {
        self.tell(&format!("client {client} connects"));
        self.devices[client].link = Link::up();
        self.at_server(client, sync::Input::Opened);
        self.at_client(client, client::Input::Opened);
    }

    fn disconnect(&mut self, client: usize, again: Option<u64>) {
        if let Link::Up { to_server, to_client } = &mut self.devices[client].link {
            let lost = to_server.cut(&mut self.chance) + to_client.cut(&mut self.chance);
            let [up, down] = [to_server, to_client].map(|way| {
                let whole = core::iter::from_fn(|| way.receive(u64::MAX));
                whole.collect::<Vec<String>>()
            });
            self.counts.cuts += 1;
            self.counts.lost += lost;
            self.tell(&format!("the connection of client {client} is cut, {lost} frames are lost"));
            up.iter().for_each(|frame| self.at_server(client, sync::Input::Frame(frame)));
            down.iter().for_each(|frame| self.at_client(client, client::Input::Frame(frame)));
            self.at_server(client, sync::Input::Closed);
            self.at_client(client, client::Input::Closed);
        }
        self.devices[client].link = Link::Down(again);
    }

    fn start(&mut self, client: usize, store: CrashStore) {
        let device = &mut self.devices[client];
        device.starts += 1;
        // Each start has a tab id of its own, as official clients have: ids then differ, whatever the clock does.
        let node = NodeId::new(format!("{}:{}", device.name.client_id(), device.starts))
            .expect("a node id");
        let Ok(timeline) =
            Timeline::read(self.reducer.clone(), self.config.timeline.clone(), &store);
        let config = client::Config {
            node: Arc::new(sync::Config::client(node)),
            token: None,
            time_fix: device.time_fix,
        };
        device.client =
            Some(Client::with_observer(config, store, timeline).expect("memory does not fail"));
    }

    fn at_server(&mut self, client: usize, input: sync::Input<'_>) {
        let now = Clock::default().now(self.counts.ms);
        let mut effects = Vec::new();
        self.server.as_mut().expect("a server that runs").handle(now, client, input, &mut effects);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
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
        let now = self.devices[client].clock.now(self.counts.ms);
        let device = self.devices[client].client.as_mut().expect("a client that runs");
        device.handle(now, input).expect("memory does not fail");
        self.drain(client);
    }

    fn drain(&mut self, client: usize) {
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
                client::Output::TimeFix(time_fix) => self.devices[client].time_fix = Some(time_fix),
                client::Output::Added(entry) if self.config.trace => {
                    self.tell(&format!(
                        "client {client} gets {} as {}",
                        entry.action.as_json(),
                        entry.meta.id
                    ));
                }
                _ => {}
            }
        }
    }

    fn arrival(&mut self) -> u64 {
        self.counts.ms + self.chance.between(self.config.latency_ms.0, self.config.latency_ms.1)
    }

    fn tell(&mut self, what: &str) {
        if self.config.trace {
            self.trace.push(format!("{:>7} ms  {what}", self.counts.ms));
        }
    }

    fn client(&self, client: usize) -> &Client<CrashStore, Timeline<R>> {
        self.devices[client].client.as_ref().expect("a client that runs")
    }

    fn server(&self) -> &Relay<R> {
        self.server.as_ref().expect("a server that runs")
    }
}

impl<R: Reducer + Clone> Debug for Simulation<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("config", &self.config)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
