//! A model check of the synchronization of two clients and a server, for every order in which
//! frames can arrive and connections can be cut: no action is lost or duplicated, all logs have the
//! same order, and no client waits forever. With fewer actions, clients also undo and redo them at
//! any moment: the server never receives what they drop. And clients crash at any moment, and start
//! again with what their stores had committed: the server receives each committed action once, and
//! each client has received all others before it confirmed them.
//!
//! The machines are real: `client::Client` (a log and a `sync::Node`), and the `Relay` of the
//! simulation (a log and a sync node for each client). A state of the model is the schedule that
//! has led to it. The machines are run from the start for each schedule, and schedules that lead to
//! the same world are explored once.
//!
//! ```sh
//! cargo test --test model_check -- --nocapture                               # 3 actions, 1 cut
//! LOGUX_MODEL=large cargo test --release --test model_check -- --nocapture   # 3 actions, 2 cuts
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::{BTreeSet, VecDeque, hash_map::DefaultHasher},
    fmt::Write as _,
    hash::{Hash, Hasher},
    ops::ControlFlow,
};

use logux::{
    Action, ActionId, NodeId, Now, Store,
    action::logux::UNDO,
    client::{self, Client, UndoOutcome},
    replay::{TimelineConfig, untyped_reducer},
    store::Query,
    sync::{self, State},
    testing::{
        CrashStore,
        simulation::{Effect, Relay},
    },
};
use stateright::{Checker, Model, Property};

const CLIENTS: usize = 2;

/// An event of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// The client adds an action.
    Act(usize),
    /// The client undoes its last action, or its last undo.
    Undo(usize),
    /// The next frame arrives at the server.
    Up(usize),
    /// The next frame arrives at the client.
    Down(usize),
    /// The connection is cut; frames in transit are lost.
    Cut(usize),
    /// The client connects.
    Open(usize),
    /// The client crashes, and starts again as a new node; frames in transit are lost.
    Crash(usize),
}

/// The real machines, and the frames between them.
struct World {
    clients: Vec<Client<CrashStore>>,
    relay: Relay<Counting>,
    up: Vec<VecDeque<String>>,
    down: Vec<VecDeque<String>>,
    open: Vec<bool>,
    acts: usize,
    undos: usize,
    cuts: usize,
    /// The number of crashes of each client.
    crashes: Vec<usize>,
    /// The last action or undo of each client.
    last: Vec<Option<ActionId>>,
    /// The actions that were dropped because they were never sent.
    dropped: Vec<String>,
    /// The ids of the actions of the other client that each client received since its last start.
    received: Vec<Vec<String>>,
    /// Those that its earlier starts received.
    received_before: Vec<BTreeSet<String>>,
}

/// Returns the node id of a client after some crashes.
fn name(client: usize, crashes: usize) -> NodeId {
    NodeId::new(format!("{}:client:{crashes}", client + 1)).unwrap()
}

fn start(name: &NodeId, store: CrashStore) -> Client<CrashStore> {
    let node =
        sync::Config { ping_interval: None, timeout: None, ..sync::Config::client(name.clone()) };
    Client::new(client::Config { node: node.into(), token: None }, store).unwrap()
}

/// Counts how often actions are applied.
type Counting = logux::replay::UntypedReducer<usize, fn(&mut usize, &Action)>;

const NOW: Now = Now::from_millis(1_564_508_138_460, 0);

impl World {
    fn new() -> Self {
        let names: Vec<NodeId> = (0..CLIENTS).map(|client| name(client, 0)).collect();
        let counting: Counting = untyped_reducer(0, |count, _| *count += 1);
        Self {
            clients: names.iter().map(|name| start(name, CrashStore::new())).collect(),
            relay: Relay::new(counting, TimelineConfig::default(), CrashStore::new(), &names),
            up: vec![VecDeque::new(); CLIENTS],
            down: vec![VecDeque::new(); CLIENTS],
            open: vec![false; CLIENTS],
            acts: 0,
            undos: 0,
            cuts: 0,
            crashes: vec![0; CLIENTS],
            last: vec![None; CLIENTS],
            dropped: Vec::new(),
            received: vec![Vec::new(); CLIENTS],
            received_before: vec![BTreeSet::new(); CLIENTS],
        }
    }

    fn run(steps: &[Step]) -> Self {
        let mut world = Self::new();
        steps.iter().for_each(|step| world.step(*step));
        world
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Act(client) => {
                self.acts += 1;
                let action = Action::new(format!(r#"{{"type":"act","n":{}}}"#, self.acts)).unwrap();
                self.last[client] = Some(self.clients[client].sync(NOW, action).unwrap());
            }
            Step::Undo(client) => {
                self.undos += 1;
                let id = self.last[client].take().unwrap();
                let outcome = self.clients[client].undo(NOW, &id, "undo").unwrap();
                match outcome {
                    UndoOutcome::Dropped(entry) => self.dropped.push(entry.meta.id.to_string()),
                    UndoOutcome::Added(undo) => self.last[client] = Some(undo),
                }
            }
            Step::Up(client) => {
                let frame = self.up[client].pop_front().unwrap();
                self.at_server(client, sync::Input::Frame(&frame));
            }
            Step::Down(client) => {
                let frame = self.down[client].pop_front().unwrap();
                self.clients[client].handle(NOW, client::Input::Frame(&frame)).unwrap();
            }
            Step::Cut(client) => {
                self.cuts += 1;
                self.clients[client].handle(NOW, client::Input::Closed).unwrap();
                self.cut(client);
            }
            Step::Crash(client) => {
                self.crashes[client] += 1;
                self.cut(client);
                let name = name(client, self.crashes[client]);
                let client_before = self.clients.remove(client);
                let store = client_before.into_store().crash();
                self.clients.insert(client, start(&name, store));
                let received = self.received[client].drain(..);
                self.received_before[client].extend(received);
            }
            Step::Open(client) => {
                self.open[client] = true;
                self.at_server(client, sync::Input::Opened);
                self.clients[client].handle(NOW, client::Input::Opened).unwrap();
            }
        }
        for client in 0..CLIENTS {
            while self.clients[client].needs_commit() {
                self.clients[client].commit(NOW).unwrap();
            }
            while let Some(output) = self.clients[client].poll_output() {
                match output {
                    client::Output::Send(frame) if self.open[client] => {
                        self.up[client].push_back(frame)
                    }
                    client::Output::Added(entry) if entry.action.kind() == "act" => {
                        self.received[client].push(entry.meta.id.to_string());
                    }
                    client::Output::Disconnect(reason) => {
                        panic!("client {client} disconnects: {reason}")
                    }
                    _ => {}
                }
            }
        }
    }

    fn cut(&mut self, client: usize) {
        self.open[client] = false;
        self.at_server(client, sync::Input::Closed);
        self.up[client].clear();
        self.down[client].clear();
    }

    fn at_server(&mut self, client: usize, input: sync::Input<'_>) {
        let mut effects = Vec::new();
        self.relay.handle(NOW, client, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Send(to, frame) if self.open[to] => self.down[to].push_back(frame),
                Effect::Send(..) => {}
                Effect::Disconnect(client) => panic!("the server disconnects client {client}"),
            }
        }
    }

    /// Returns the ids of the actions of a log in order, and a digest of all entries.
    fn log(store: &impl Store) -> (Vec<String>, String) {
        let (mut order, mut all) = (Vec::new(), String::new());
        let walked = store.walk(&Query::created().oldest_first(), &mut |entry| {
            if entry.action.kind() == "act" {
                order.push(entry.meta.id.to_string());
            }
            write!(
                all,
                "{} {:?} {:?} {:?};",
                entry.meta.id, entry.meta.time, entry.meta.added, entry.meta.reasons
            )
            .unwrap();
            ControlFlow::Continue(())
        });
        walked.unwrap();
        (order, all)
    }

    /// Returns a hash that differs between different worlds.
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for client in &self.clients {
            // With what a crash would leave.
            format!("{client:?} {:?}", client.log().store()).hash(&mut hasher);
            Self::log(client.log().store()).1.hash(&mut hasher);
        }
        format!("{:?}", self.relay).hash(&mut hasher);
        Self::log(self.relay.log().store()).1.hash(&mut hasher);
        let counts = (self.acts, self.undos, self.cuts, &self.crashes);
        (&self.up, &self.down, &self.open, counts, &self.last, &self.dropped).hash(&mut hasher);
        if self.crashes.iter().any(|crashes| *crashes > 0) {
            (&self.received, &self.received_before).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Returns a violated property, if there is one.
    fn fault(&self) -> Option<String> {
        for (client, received) in self.received.iter().enumerate() {
            let mut unique = received.clone();
            unique.sort();
            unique.dedup();
            if unique.len() != received.len() {
                return Some(format!("client {client} received an action twice: {received:?}"));
            }
        }
        let (order, _) = Self::log(self.relay.log().store());
        let undos = self.undos_at_server();
        let has = |id: &String| order.contains(id) || undos.iter().any(|(undo, _)| undo == id);
        if let Some(id) = self.dropped.iter().find(|id| has(id)) {
            return Some(format!("{id} was dropped, but the server has it"));
        }
        if *self.relay.log().state() != order.iter().filter(|id| !is_undone(&undos, id)).count() {
            return Some("the server has not applied each action once that is not undone".into());
        }
        if !self.is_quiet() {
            return None;
        }
        for (number, client) in self.clients.iter().enumerate() {
            let states = (client.state(), self.relay.state_of(number));
            if states != (State::Synchronized, State::Synchronized) {
                return Some(format!(
                    "no frame is in transit, but client {number} and the server are {states:?}"
                ));
            }
        }
        // Each undo is sent, or dropped with what it undoes.
        let (sent, received) =
            (self.acts + self.undos - 2 * self.dropped.len(), order.len() + undos.len());
        if sent != received {
            return Some(format!("the clients sent {sent} actions, but the server has {received}"));
        }
        for (number, client) in self.clients.iter().enumerate() {
            // The log of a client keeps only its own unanswered actions.
            let own = format!(" {}:client:", number + 1);
            let of_others: Vec<&String> = order.iter().filter(|id| !id.contains(&own)).collect();
            let before = self.received_before[number].iter();
            let again = self.received_before[number].clone();
            let since = self.received[number].iter().filter(|id| !again.contains(*id));
            let mut received: Vec<&String> = before.chain(since).collect();
            received.sort_by_key(|id| order.iter().position(|other| other == *id));
            if received != of_others {
                return Some(format!("client {number} received {received:?} of {of_others:?}"));
            }
            if !Self::log(client.log().store()).1.is_empty() {
                return Some(format!("client {number} still waits for answers"));
            }
        }
        None
    }

    /// Returns the ids of the undos that the server has, with their targets.
    fn undos_at_server(&self) -> Vec<(String, String)> {
        let mut undos = Vec::new();
        let walked = self.relay.log().store().walk(&Query::created(), &mut |entry| {
            if entry.action.kind() == UNDO {
                let target = entry.action.str_field("id").unwrap().into_owned();
                undos.push((entry.meta.id.to_string(), target));
            }
            ControlFlow::Continue(())
        });
        walked.unwrap();
        undos
    }

    /// Returns `true` if all clients are connected and no frame is in transit.
    fn is_quiet(&self) -> bool {
        self.open.iter().all(|open| *open)
            && self.up.iter().chain(&self.down).all(VecDeque::is_empty)
    }
}

fn is_undone(undos: &[(String, String)], id: &str) -> bool {
    undos.iter().any(|(undo, target)| target == id && !is_undone(undos, undo))
}

/// A schedule of steps, and the world after it.
#[derive(Clone, Debug)]
struct Schedule {
    steps: Vec<Step>,
    digest: u64,
    /// The possible next steps.
    next: Vec<Step>,
    fault: Option<String>,
    done: bool,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Schedule {}

impl Hash for Schedule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

#[derive(Clone)]
struct Exchange {
    actions: usize,
    undos: usize,
    cuts: usize,
    crashes: usize,
}

impl Exchange {
    fn after(&self, steps: Vec<Step>) -> Schedule {
        let world = World::run(&steps);
        let mut next = Vec::new();
        for client in 0..CLIENTS {
            if !world.open[client] {
                next.push(Step::Open(client));
            }
            if world.acts < self.actions {
                next.push(Step::Act(client));
            }
            if world.undos < self.undos && world.last[client].is_some() {
                next.push(Step::Undo(client));
            }
            if !world.up[client].is_empty() {
                next.push(Step::Up(client));
            }
            if !world.down[client].is_empty() {
                next.push(Step::Down(client));
            }
            if world.open[client] && world.cuts < self.cuts {
                next.push(Step::Cut(client));
            }
            if world.crashes.iter().sum::<usize>() < self.crashes {
                next.push(Step::Crash(client));
            }
        }
        let done = world.is_quiet() && world.acts == self.actions;
        Schedule { steps, digest: world.digest(), next, fault: world.fault(), done }
    }
}

impl Model for Exchange {
    type State = Schedule;
    type Action = Step;

    fn init_states(&self) -> Vec<Schedule> {
        vec![self.after(Vec::new())]
    }

    fn actions(&self, state: &Schedule, actions: &mut Vec<Step>) {
        actions.extend(&state.next);
    }

    fn next_state(&self, state: &Schedule, step: Step) -> Option<Schedule> {
        let mut steps = state.steps.clone();
        steps.push(step);
        Some(self.after(steps))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "no action is lost or duplicated, and all logs agree",
                |_, state: &Schedule| state.fault.is_none(),
            ),
            Property::always("no client waits forever", |_, state: &Schedule| {
                state.done || !state.next.is_empty()
            }),
            Property::sometimes("all nodes have all actions", |_, state: &Schedule| state.done),
        ]
    }
}

fn is_large() -> bool {
    std::env::var("LOGUX_MODEL").is_ok_and(|bound| bound == "large")
}

#[test]
fn synchronization_keeps_its_guarantees() {
    let cuts = if is_large() { 2 } else { 1 };
    check(Exchange { actions: 3, undos: 0, cuts, crashes: 0 });
}

#[test]
fn a_server_never_receives_what_a_client_has_dropped() {
    let actions = if is_large() { 2 } else { 1 };
    check(Exchange { actions, undos: 2, cuts: 1, crashes: 0 });
}

#[test]
fn a_crash_of_a_client_loses_and_repeats_nothing() {
    let actions = if is_large() { 3 } else { 2 };
    check(Exchange { actions, undos: 0, cuts: 0, crashes: 1 });
    let crashes = if is_large() { 2 } else { 1 };
    check(Exchange { actions: 1, undos: 1, cuts: 0, crashes });
}

fn check(model: Exchange) {
    let Exchange { actions, undos, cuts, crashes } = model;
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!(
        "{actions} actions, {undos} undos, {cuts} cuts, {crashes} crashes: {} different worlds, {} visited, up to {} steps deep",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth()
    );
    if let Some(path) = checker.discovery("no action is lost or duplicated, and all logs agree") {
        let last = path.last_state().clone();
        panic!("{}\nafter {:?}", last.fault.unwrap_or_default(), last.steps);
    }
    checker.assert_properties();
    assert!(checker.unique_state_count() > 1_000, "the model explores too few states");
}
