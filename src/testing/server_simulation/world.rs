//! The simulated world: its server, its devices, its time, and the order of its events.

use core::{
    fmt::{self, Debug},
    time::Duration,
};
use std::collections::{BTreeMap, BTreeSet};

use super::{
    Config, Counts,
    application::{Application, Database},
    connection::{Connection, Side},
    context::Context,
    device::{Device, Uncommitted},
    server::{Effect, Server},
};
use crate::{
    action::{Action, ActionId, NodeId, logux},
    client::{self, Fate},
    replay::Reducer,
    server::{self, SessionId},
    store::Entry,
    sync::{self, State},
    testing::{CrashStore, simulation::clock::Clock},
    time::as_millis,
};

/// The kind of the error for a token that is not valid.
const WRONG_CREDENTIALS: &str = "wrong-credentials";

/// A server with its application, its clients and a network, in virtual time.
pub struct World<A: Application> {
    pub(super) application: A,
    /// The configuration of the server, for its rules.
    config: server::Config,
    pub(super) context: Context,
    pub(super) database: Database<A::Data>,
    /// `None` while the server is down.
    pub(super) server: Option<Server>,
    /// The time of the next start in milliseconds, and the store of a server that is down.
    down: Option<(u64, CrashStore)>,
    pub(super) devices: Vec<Device<A::Reducer>>,
    /// The connections, with the indexes of their devices.
    connections: BTreeMap<SessionId, (usize, Connection)>,
    last_session: u64,
    /// The device and the id of each action that users added.
    pub(super) acted: Vec<(usize, ActionId)>,
}

impl<A: Application> World<A> {
    /// Returns a world with a running server, and devices that are about to connect.
    pub fn new(config: Config, application: A) -> Self {
        let mut context = Context::new(config);
        let mut devices = Vec::new();
        for number in 0..context.config.devices {
            let user = number % context.config.users.max(1);
            let name = NodeId::new(format!("{user}:device{number}")).expect("a node id");
            let clock = Clock {
                offset_ms: context.random.around_zero(as_millis(context.config.clock_error)),
                drift_ppm: context.random.around_zero(context.config.drift_ppm),
            };
            devices.push(Device::new(name, clock));
        }
        let server = Server::start(&mut context, &application, CrashStore::new());
        let mut config = server::Config::new(NodeId::new("server:sim").expect("a node id"));
        application.configure(&mut config);
        let mut world = Self {
            database: Database::new(context.config.inbox),
            application,
            config,
            context,
            server: Some(server),
            down: None,
            devices,
            connections: BTreeMap::new(),
            last_session: 0,
            acted: Vec::new(),
        };
        (0..world.devices.len()).for_each(|device| world.start_device(device, CrashStore::new()));
        world
    }

    /// Returns the content of the application's database.
    pub const fn data(&self) -> &A::Data {
        &self.database.data
    }

    /// Returns the state of a device.
    ///
    /// # Panics
    /// If there is no such device.
    pub fn state(&self, device: usize) -> &<A::Reducer as Reducer>::State {
        self.devices[device].client().log().state()
    }

    /// Returns the numbers of events so far.
    pub const fn counts(&self) -> Counts {
        Counts { elapsed: Duration::from_millis(self.context.now_ms), ..self.context.counts }
    }

    /// Returns the recorded events with their times. Empty without [`Config::trace`].
    pub fn trace(&self) -> &[String] {
        &self.context.trace
    }

    /// Adds an action of [`Application::act`] on a device, if it returns one, or undoes an action
    /// if it returns `logux/undo`.
    ///
    /// # Panics
    /// If there is no such device.
    pub fn act(&mut self, device: usize) {
        let number = self.context.random.between(0, u64::MAX - 1);
        let this = &self.devices[device];
        // `Client::sync` generates the same id.
        let id = this.client().next_id(this.clock.now(self.context.now_ms).wall);
        if let Some(action) = self.application.act(this.client().log().state(), &id, number) {
            self.context.counts.actions += 1;
            let target = action.str_field("id").filter(|_| action.kind() == logux::UNDO);
            if let Some(target) = target.and_then(|id| id.parse().ok()) {
                return self.undo(device, target);
            }
            if let Some(extended) = self.application.bursts()
                && self.context.random.one_in(2)
            {
                return self.type_in_burst(device, &id, &action, extended);
            }
            let Some(id) = self.sync(device, &action) else {
                self.context.dropped.insert(id);
                return;
            };
            self.record_fate(&id, &action);
            self.devices[device].uncommitted.push(Uncommitted::Acted(id));
            self.drain(device);
        }
    }

    /// Records the queue and the fate key of an action.
    pub(super) fn record_fate(&mut self, id: &ActionId, action: &Action) {
        let fate = (self.config.queues.name(action), self.config.fate_keys.key(action));
        self.context.fates.insert(id.clone(), fate);
    }

    /// Adds an action on a device. Returns `None` if its store fails.
    fn sync(&mut self, device: usize, action: &Action) -> Option<ActionId> {
        let id = self.call(device, |client, now| client.sync(now, action.clone()))?;
        self.context.record(|| format!("device {device} adds {} as {id}", action.as_json()));
        Some(id)
    }

    /// Cuts the connection of a device in both directions, each at a random byte. Has no effect if
    /// the device is not connected.
    ///
    /// # Panics
    /// If there is no such device.
    pub fn cut(&mut self, device: usize) {
        let Some(session) = self.devices[device].session else { return };
        // One in eight ends is not notified. It detects the end of the connection by its time-outs.
        let [server_detects, client_detects] = [(); 2].map(|()| {
            let detects = self.context.after(|config| &config.detection_delay);
            if self.context.random.one_in(8) { detects + 100_000 } else { detects }
        });
        let Some((_, connection)) = self.connections.get_mut(&session) else { return };
        let lost = connection.cut(&mut self.context.random, server_detects, client_detects);
        self.context.counts.cuts += 1;
        self.context.counts.lost += lost;
        self.context.record(|| {
            format!("connection {} of device {device} is cut, {lost} frames are lost", session.0)
        });
    }

    /// Crashes a device, which starts again with the durable entries of its store.
    ///
    /// # Panics
    /// If there is no such device.
    pub fn crash(&mut self, device: usize) {
        self.cut(device);
        self.context.record(|| format!("device {device} crashes"));
        self.context.counts.crashes += 1;
        self.hang_up(device);
        let store = self.devices[device].crash();
        self.lose_uncommitted(device, &store);
        self.start_device(device, store);
    }

    /// Reloads a device as a browser does a page whose log is in memory: it starts again with an
    /// empty log, as a new node of the same client.
    ///
    /// # Panics
    /// If there is no such device.
    pub fn reload(&mut self, device: usize) {
        self.cut(device);
        self.context.record(|| format!("device {device} is reloaded without its log"));
        self.context.counts.reloads += 1;
        self.hang_up(device);
        let abandoned = self.unconfirmed(device);
        let lost = self.devices[device].crash();
        let restored = self.lose_uncommitted(device, &lost);
        self.context.abandoned.extend(abandoned.into_iter().chain(restored));
        self.start_device(device, CrashStore::new());
    }

    /// Crashes the server, also during a commit. It starts again after [`Config::restart_delay`].
    /// Has no effect if it is down.
    pub fn crash_server(&mut self) {
        let Some(server) = self.server.take() else { return };
        self.context.record(|| "the server crashes".to_owned());
        self.context.counts.server_crashes += 1;
        let starts_at = self.context.after(|config| &config.restart_delay);
        self.down = Some((starts_at, server.crash(&mut self.context)));
        for (_, connection) in self.connections.values_mut() {
            let detects = self.context.now_ms + self.context.random.between(0, 100);
            self.context.counts.lost += connection.cut(&mut self.context.random, detects, detects);
            connection.is_left[Side::Server as usize] = true;
        }
    }

    /// Unsubscribes a device from a channel, or subscribes it again.
    ///
    /// # Panics
    /// If there is no such device.
    pub fn toggle_subscription(&mut self, device: usize, channel: &str) {
        if self.devices[device].left_channels.remove(channel) {
            self.subscribe_soon(device, channel.to_owned());
        } else {
            self.devices[device].left_channels.insert(channel.to_owned());
            // Otherwise it could subscribe twice, and would then have to unsubscribe twice.
            self.devices[device].subscribes_at.retain(|(_, other)| other != channel);
            let unsubscribe = logux::Unsubscribe { channel: channel.to_owned() };
            if let Some(id) = self.sync(device, &unsubscribe.to_action().expect("an action")) {
                self.devices[device].last_unsubscribe.insert(channel.to_owned(), id);
                self.drain(device);
            }
        }
    }

    /// Advances the time, and executes all events up to it.
    pub fn run_for(&mut self, duration: Duration) {
        let until = self.context.now_ms.saturating_add(as_millis(duration));
        while self.next_event().is_some_and(|next| next <= until) {
            self.step();
        }
        self.context.now_ms = until;
    }

    fn start_device(&mut self, device: usize, store: CrashStore) {
        let actions_per_sync = usize::try_from(self.context.random.between(1, 4)).unwrap_or(1);
        let reducer = self.application.reducer();
        let connects_at = self.context.after(|config| &config.reconnect_delay);
        let this = &mut self.devices[device];
        let config = &self.context.config;
        let limits = |node: &mut sync::Config| {
            node.actions_per_sync = actions_per_sync;
            config.limit_messages(node);
        };
        this.start(reducer, limits, store);
        this.connects_at = Some(connects_at);
        this.subscribes_at.clear();
        this.left_channels.clear();
        this.retried_subscriptions.clear();
        this.last_unsubscribe.clear();
        // A new start subscribes to all channels, like a page that is opened.
        for channel in self.application.channels() {
            self.subscribe_soon(device, channel);
        }
    }

    pub(super) fn subscribe_soon(&mut self, device: usize, channel: String) {
        let at = self.context.now_ms + self.context.random.between(0, 100);
        self.devices[device].subscribes_at.push((at, channel));
    }

    /// Returns the time of the next event, in milliseconds since the start.
    pub(super) fn next_event(&self) -> Option<u64> {
        let connections = self.connections.iter().flat_map(|(session, (device, connection))| {
            let [server, client] =
                [Side::Server, Side::Client].map(|side| connection.next_event(side));
            [
                server.filter(|_| self.server_reads(*session)),
                client.filter(|_| self.device_reads(*device, *session)),
            ]
        });
        let devices = self.devices.iter().map(Device::next_event);
        let server = self.server.as_ref().and_then(Server::next_event);
        let down = self.down.as_ref().map(|(at, _)| *at);
        connections.chain(devices).chain([server, down]).flatten().min()
    }

    fn server_reads(&self, session: SessionId) -> bool {
        self.server.as_ref().is_some_and(|server| server.reads(session) || !server.has(session))
    }

    fn device_reads(&self, device: usize, session: SessionId) -> bool {
        self.devices[device].session != Some(session)
            || self.devices[device].client().wants_frames()
    }

    /// Advances the time to the next event, and executes all events of that time.
    pub(super) fn step(&mut self) {
        let Some(next) = self.next_event() else { return };
        self.context.now_ms = self.context.now_ms.max(next);
        let now = self.context.now_ms;
        if let Some((_, store)) = self.down.take_if(|(at, _)| *at <= now) {
            let error = as_millis(self.context.config.server_clock_error);
            if error > 0 {
                self.context.server_clock.offset_ms = self.context.random.around_zero(error);
            }
            let offset = self.context.server_clock.offset_ms;
            self.context.record(|| format!("the server starts, its clock is {offset} ms off"));
            self.server = Some(Server::start(&mut self.context, &self.application, store));
        }
        let sessions: Vec<(SessionId, usize)> =
            self.connections.iter().map(|(id, (device, _))| (*id, *device)).collect();
        for (session, device) in sessions {
            self.receive_at_server(session);
            self.receive_at_device(device, session);
        }
        self.connections.retain(|_, (_, connection)| connection.is_left != [true, true]);
        for device in 0..self.devices.len() {
            self.wake_device(device);
        }
        if let Some(server) = &mut self.server {
            let effects = server.wake(&mut self.context, &self.application, &mut self.database);
            self.execute(effects);
        }
    }

    /// Handles an event at the server's end of a connection.
    fn receive_at_server(&mut self, session: SessionId) {
        let now = self.context.now_ms;
        let Some(server) = &mut self.server else { return };
        let Some((_, connection)) = self.connections.get_mut(&session) else { return };
        if connection.is_left[Side::Server as usize] {
            return;
        }
        if connection.is_closed(Side::Server, now) || !server.has(session) {
            connection.is_left[Side::Server as usize] = true;
            server.closed(&mut self.context, session);
        } else if server.reads(session)
            && let Some(frame) = connection.queue(Side::Server).receive(now)
        {
            server.receive(&mut self.context, session, &frame);
        }
    }

    /// Handles an event at a device's end of a connection.
    fn receive_at_device(&mut self, device: usize, session: SessionId) {
        let now = self.context.now_ms;
        let reads = self.device_reads(device, session);
        let Some((_, connection)) = self.connections.get_mut(&session) else { return };
        if connection.is_left[Side::Client as usize] {
            return;
        }
        if connection.is_closed(Side::Client, now) {
            self.disconnect(device);
        } else if reads && let Some(frame) = connection.queue(Side::Client).receive(now) {
            self.handle_at_client(device, client::Input::Frame(&frame));
        }
    }

    fn wake_device(&mut self, device: usize) {
        let now = self.context.now_ms;
        let this = &mut self.devices[device];
        this.end_failure(now);
        if this.client().next_deadline().is_some_and(|deadline| deadline.at.as_millis() <= now) {
            self.handle_at_client(device, client::Input::Wake);
        }
        let this = &mut self.devices[device];
        let due: Vec<(u64, String)> =
            this.subscribes_at.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, channel) in due {
            if !self.devices[device].left_channels.contains(&channel) {
                let subscribe = logux::Subscribe { channel, since: None };
                self.sync(device, &subscribe.to_action().expect("an action"));
                self.drain(device);
            }
        }
        if self.devices[device].connects_at.is_some_and(|at| at <= now) {
            self.connect(device);
        }
        if self.devices[device].commits_at.is_some_and(|at| at <= now) {
            self.commit_device(device);
        }
    }

    fn connect(&mut self, device: usize) {
        // The application returns a token that it has kept, or a new one.
        if !self.context.fails(2) {
            self.renew_token(device);
        }
        let Some(server) = self.server.as_mut().filter(|server| server.is_open()) else {
            // The server is down, or its store.
            self.devices[device].connects_at =
                Some(self.context.after(|config| &config.reconnect_delay));
            return;
        };
        self.last_session += 1;
        let session = SessionId(self.last_session);
        self.context.record(|| format!("device {device} opens connection {}", session.0));
        server.open(&self.context, session);
        self.connections.insert(session, (device, Connection::default()));
        let this = &mut self.devices[device];
        (this.session, this.connects_at) = (Some(session), None);
        self.handle_at_client(device, client::Input::Opened);
    }

    fn renew_token(&mut self, device: usize) {
        let valid_until = self.context.after(|config| &config.token_duration);
        self.devices[device].set_token(valid_until);
    }

    /// Closes the connection of a device, which connects again after [`Config::reconnect_delay`].
    pub(super) fn disconnect(&mut self, device: usize) {
        self.hang_up(device);
        self.handle_at_client(device, client::Input::Closed);
        self.devices[device].connects_at =
            Some(self.context.after(|config| &config.reconnect_delay));
    }

    fn hang_up(&mut self, device: usize) {
        let Some(session) = self.devices[device].session.take() else { return };
        let detects = self.context.after(|config| &config.latency);
        if let Some((_, connection)) = self.connections.get_mut(&session) {
            connection.close(Side::Client, detects);
        }
    }

    fn handle_at_client(&mut self, device: usize, input: client::Input<'_>) {
        if self.call(device, |client, now| client.handle(now, input)).is_some() {
            self.drain(device);
        }
    }

    pub(super) fn execute_client(&mut self, device: usize) {
        while let Some(output) = self.devices[device].client_mut().poll_output() {
            match output {
                client::Output::Send(frame) => {
                    if let Some(session) = self.devices[device].session {
                        self.send(session, Side::Server, frame);
                    }
                }
                client::Output::Disconnect(reason) if self.devices[device].session.is_some() => {
                    self.context.record(|| format!("device {device} disconnects: {reason}"));
                    self.disconnect(device)
                }
                client::Output::Refused(error) if error.kind == WRONG_CREDENTIALS => {
                    self.context.counts.refused_tokens += 1;
                    self.renew_token(device);
                }
                client::Output::Added(entry) => self.record_received(device, &entry),
                client::Output::Fate(id, Fate::Processed) => self.check_answer(device, &id, true),
                client::Output::Fate(id, Fate::Undone(undo)) => {
                    self.check_answer(device, &id, false);
                    if undo.reason == "error" {
                        self.context.check_fate(&id);
                    }
                    // The handler of a subscription failed, or it waited for an action that was
                    // refused.
                    let channel = undo.action.and_then(|action| {
                        self.devices[device].subscription_to_retry(&id, &action)
                    });
                    channel.into_iter().for_each(|channel| self.subscribe_soon(device, channel));
                }
                _ => {}
            }
        }
    }

    fn record_received(&mut self, device: usize, entry: &Entry) {
        let (action, meta) = (entry.action.as_json(), &entry.meta);
        self.context.record(|| format!("device {device} receives {action} as {}", meta.id));
        if meta.id.node().is_server() {
            let client = self.devices[device].client().log().node_id().client_id();
            self.context.received.insert((client.to_owned(), action.to_owned()));
        }
    }

    fn check_answer(&mut self, device: usize, id: &ActionId, is_processed: bool) {
        if self.acted.contains(&(device, id.clone())) {
            let times = self.database.times_processed(id);
            self.context.check_answer(id, is_processed, times);
        }
    }

    fn send(&mut self, session: SessionId, to: Side, frame: String) {
        let arrives = self.context.after(|config| &config.latency);
        self.context.counts.frames += 1;
        match self.connections.get_mut(&session) {
            Some((_, connection)) if connection.is_open() => {
                connection.queue(to).send(arrives, frame)
            }
            _ => self.context.counts.lost += 1,
        }
    }

    fn execute(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(session, frame) => self.send(session, Side::Client, frame),
                Effect::Close(session) => {
                    let detects = self.context.after(|config| &config.latency);
                    if let Some((_, connection)) = self.connections.get_mut(&session) {
                        connection.close(Side::Server, detects);
                    }
                }
            }
        }
    }

    /// Returns a description of pending work, if there is any.
    pub(super) fn pending_work(&self) -> Option<String> {
        let Some(server) = &self.server else { return Some("the server is down".into()) };
        if !server.is_idle() {
            return Some(format!("the server is not idle: {:?}", server.hub.stats()));
        }
        let connected: BTreeSet<SessionId> =
            self.devices.iter().filter_map(|device| device.session).collect();
        for (number, device) in self.devices.iter().enumerate() {
            if device.client().state() != State::Synchronized || !device.subscribes_at.is_empty() {
                return Some(format!("device {number} is {:?}", device.client().state()));
            }
            if device.client().has_burst() {
                return Some(format!("the user of device {number} types"));
            }
        }
        let busy = self.connections.iter().find(|(session, (_, connection))| {
            !connection.is_idle() || !connected.contains(session)
        });
        busy.map(|(session, _)| format!("connection {} has frames in transit", session.0))
    }
}

impl<A: Application> Debug for World<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("config", &self.context.config)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
