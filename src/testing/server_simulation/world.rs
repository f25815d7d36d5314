//! The world: who is there, what time it is, what happens next.

use core::fmt::{self, Debug};
use std::collections::{BTreeMap, BTreeSet};

use super::{
    Config, Counts,
    application::{Application, Database},
    course::Course,
    device::Device,
    server::{Effect, Server},
    wire::{Side, Wire},
};
use crate::{
    action::{Action, ActionId, NodeId, logux},
    client,
    replay::Reducer,
    server::SessionId,
    store::Entry,
    sync::State,
    testing::{CrashStore, simulation::clock::Clock},
};

/// A server with its application, its clients, and a network, in virtual time.
pub struct World<A: Application> {
    pub(super) application: A,
    pub(super) course: Course,
    pub(super) database: Database<A::Data>,
    /// `None` while it is down.
    pub(super) server: Option<Server>,
    /// What is durable of a server that is down, and when it starts again.
    down: Option<(u64, CrashStore)>,
    pub(super) devices: Vec<Device<A::Reducer>>,
    wires: BTreeMap<SessionId, (usize, Wire)>,
    last_session: u64,
    /// What users did, by device.
    pub(super) acted: Vec<(usize, ActionId)>,
}

impl<A: Application> World<A> {
    /// A world at its beginning: the server runs, the devices are about to connect.
    pub fn new(config: Config, application: A) -> Self {
        let mut course = Course::new(config);
        let mut devices = Vec::new();
        for number in 0..course.config.devices {
            let user = number % course.config.users.max(1);
            let name = NodeId::new(format!("{user}:device{number}")).expect("a node id");
            let clock = Clock {
                offset_ms: course.around(course.config.clock_error_ms),
                drift_ppm: course.around(course.config.drift_ppm),
            };
            devices.push(Device::new(name, clock));
        }
        let server = Server::start(&mut course, &application, CrashStore::new());
        let mut world = Self {
            database: Database::new(course.config.inbox),
            application,
            course,
            server: Some(server),
            down: None,
            devices,
            wires: BTreeMap::new(),
            last_session: 0,
            acted: Vec::new(),
        };
        (0..world.devices.len()).for_each(|device| world.switch_on(device, CrashStore::new()));
        world
    }

    /// What the application's database holds.
    pub const fn data(&self) -> &A::Data {
        &self.database.data
    }

    /// The state that a device shows.
    ///
    /// # Panics
    /// When there is no such device.
    pub fn state(&self, device: usize) -> &<A::Reducer as Reducer>::State {
        self.devices[device].client().log().state()
    }

    /// How much has happened.
    pub const fn counts(&self) -> Counts {
        self.course.counts
    }

    /// What happened when, if [`Config::trace`] is set.
    pub fn trace(&self) -> &[String] {
        &self.course.trace
    }

    /// A user does something on a device; nothing if there is nothing to do.
    ///
    /// # Panics
    /// When there is no such device.
    pub fn act(&mut self, device: usize) {
        let number = self.course.chance.between(0, u64::MAX - 1);
        let here = &self.devices[device];
        // The id it will have: the client makes the same when it is told to do the action.
        let id = here.client().next_id(here.clock.now(self.course.ms()).wall);
        if let Some(action) = self.application.act(here.client().log().state(), &id, number) {
            self.course.counts.actions += 1;
            let id = self.sync(device, &action);
            self.acted.push((device, id));
        }
    }

    fn sync(&mut self, device: usize, action: &Action) -> ActionId {
        let here = &mut self.devices[device];
        let now = here.clock.now(self.course.counts.ms);
        let id = here.client_mut().sync(now, action.clone()).expect("memory does not fail");
        self.course.tell(|| format!("device {device} does {} as {id}", action.as_json()));
        self.drain(device);
        id
    }

    /// Cuts a device's connection in both directions, each at a byte that chance decides.
    ///
    /// # Panics
    /// When there is no such device.
    pub fn cut(&mut self, device: usize) {
        let Some(session) = self.devices[device].session else { return };
        let unaware = self.course.config.unaware_ms;
        // Now and then one end hears nothing of it, and finds out by itself.
        let [server_learns, client_learns] = [unaware, unaware].map(|unaware| {
            let learns = self.course.after(unaware);
            if self.course.chance.once_in(8) { learns + 100_000 } else { learns }
        });
        let Some((_, wire)) = self.wires.get_mut(&session) else { return };
        let lost = wire.cut(&mut self.course.chance, server_learns, client_learns);
        self.course.counts.cuts += 1;
        self.course.counts.lost += lost;
        self.course.tell(|| {
            format!("connection {} of device {device} is cut, {lost} frames are lost", session.0)
        });
    }

    /// A device's power fails; it starts again with what was durable.
    ///
    /// # Panics
    /// When there is no such device.
    pub fn crash(&mut self, device: usize) {
        self.cut(device);
        self.course.tell(|| format!("device {device} crashes"));
        self.course.counts.crashes += 1;
        self.hang_up(device);
        let store = self.devices[device].crash();
        self.switch_on(device, store);
    }

    /// The server's power fails, maybe in the middle of a round; it starts again after a while.
    pub fn crash_server(&mut self) {
        let Some(server) = self.server.take() else { return };
        self.course.tell(|| "the server crashes".to_owned());
        self.course.counts.server_crashes += 1;
        let starts_at = self.course.after(self.course.config.restart_ms);
        self.down = Some((starts_at, server.crash(&mut self.course)));
        for (_, wire) in self.wires.values_mut() {
            let learns = self.course.counts.ms + self.course.chance.between(0, 100);
            self.course.counts.lost += wire.cut(&mut self.course.chance, learns, learns);
            wire.is_left[Side::Server as usize] = true;
        }
    }

    /// A user does not look at a channel any more, or does again.
    ///
    /// # Panics
    /// When there is no such device.
    pub fn turn(&mut self, device: usize, channel: &str) {
        if self.devices[device].left.remove(channel) {
            self.subscribe_soon(device, channel.to_owned());
        } else {
            self.devices[device].left.insert(channel.to_owned());
            let unsubscribe = logux::Unsubscribe { channel: channel.to_owned() };
            let id = self.sync(device, &unsubscribe.to_action().expect("an action"));
            self.devices[device].left_by.insert(channel.to_owned(), id);
        }
    }

    /// Lets time pass, in milliseconds.
    pub fn run_for(&mut self, ms: u64) {
        let until = self.course.ms().saturating_add(ms);
        while self.next_moment().is_some_and(|next| next <= until) {
            self.step();
        }
        self.course.counts.ms = until;
    }

    fn switch_on(&mut self, device: usize, store: CrashStore) {
        let some = usize::try_from(self.course.chance.between(1, 4)).unwrap_or(1);
        let reducer = self.application.reducer();
        let connects_at = self.course.after(self.course.config.reconnect_ms);
        let here = &mut self.devices[device];
        here.start(reducer, some, store);
        here.connects_at = Some(connects_at);
        here.subscribes_at.clear();
        here.left.clear();
        here.refused.clear();
        here.left_by.clear();
        // A page that is opened anew subscribes anew.
        for channel in self.application.channels() {
            self.subscribe_soon(device, channel);
        }
    }

    pub(super) fn subscribe_soon(&mut self, device: usize, channel: String) {
        let at = self.course.after((0, 100));
        self.devices[device].subscribes_at.push((at, channel));
    }

    /// When the next thing happens.
    pub(super) fn next_moment(&self) -> Option<u64> {
        let wires = self.wires.iter().flat_map(|(session, (device, wire))| {
            let [server, client] = [Side::Server, Side::Client].map(|side| wire.next_moment(side));
            [
                server.filter(|_| self.server_reads(*session)),
                client.filter(|_| self.reads(*device, *session)),
            ]
        });
        let devices = self.devices.iter().map(Device::next_moment);
        let server = self.server.as_ref().and_then(Server::next_moment);
        let down = self.down.as_ref().map(|(at, _)| *at);
        wires.chain(devices).chain([server, down]).flatten().min()
    }

    fn server_reads(&self, session: SessionId) -> bool {
        self.server.as_ref().is_some_and(|server| server.reads(session) || !server.has(session))
    }

    fn reads(&self, device: usize, session: SessionId) -> bool {
        self.devices[device].session != Some(session)
            || self.devices[device].client().wants_frames()
    }

    /// Lets the next thing happen.
    pub(super) fn step(&mut self) {
        let Some(next) = self.next_moment() else { return };
        self.course.counts.ms = self.course.counts.ms.max(next);
        let now = self.course.ms();
        if let Some((_, store)) = self.down.take_if(|(at, _)| *at <= now) {
            let error = self.course.config.server_clock_error_ms;
            if error > 0 {
                self.course.server_clock.offset_ms = self.course.around(error);
            }
            let offset = self.course.server_clock.offset_ms;
            self.course.tell(|| format!("the server starts, its clock is {offset} ms off"));
            self.server = Some(Server::start(&mut self.course, &self.application, store));
        }
        let sessions: Vec<(SessionId, usize)> =
            self.wires.iter().map(|(id, (device, _))| (*id, *device)).collect();
        for (session, device) in sessions {
            self.at_server(session);
            self.at_device(device, session);
        }
        self.wires.retain(|_, (_, wire)| wire.is_left != [true, true]);
        for device in 0..self.devices.len() {
            self.wake_device(device);
        }
        if let Some(server) = &mut self.server {
            let effects = server.wake(&mut self.course, &self.application, &mut self.database);
            self.carry_out(effects);
        }
    }

    /// What has come to the server's end of a connection.
    fn at_server(&mut self, session: SessionId) {
        let now = self.course.ms();
        let Some(server) = &mut self.server else { return };
        let Some((_, wire)) = self.wires.get_mut(&session) else { return };
        if wire.is_left[Side::Server as usize] {
            return;
        }
        if wire.is_over(Side::Server, now) || !server.has(session) {
            wire.is_left[Side::Server as usize] = true;
            server.closed(&mut self.course, session);
        } else if server.reads(session)
            && let Some(frame) = wire.way(Side::Server).receive(now)
        {
            server.frame(&mut self.course, session, &frame);
        }
    }

    /// What has come to a device's end of a connection.
    fn at_device(&mut self, device: usize, session: SessionId) {
        let now = self.course.ms();
        let reads = self.reads(device, session);
        let Some((_, wire)) = self.wires.get_mut(&session) else { return };
        if wire.is_left[Side::Client as usize] {
            return;
        }
        if wire.is_over(Side::Client, now) {
            self.disconnect(device);
        } else if reads && let Some(frame) = wire.way(Side::Client).receive(now) {
            self.tell_client(device, client::Input::Frame(&frame));
        }
    }

    fn wake_device(&mut self, device: usize) {
        let now = self.course.ms();
        let here = &mut self.devices[device];
        if here.client().next_deadline().is_some_and(|deadline| deadline.at.as_millis() <= now) {
            self.tell_client(device, client::Input::Wake);
        }
        let here = &mut self.devices[device];
        let due: Vec<(u64, String)> =
            here.subscribes_at.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, channel) in due {
            if !self.devices[device].left.contains(&channel) {
                let subscribe = logux::Subscribe { channel, since: None };
                self.sync(device, &subscribe.to_action().expect("an action"));
            }
        }
        if self.devices[device].connects_at.is_some_and(|at| at <= now) {
            self.connect(device);
        }
    }

    fn connect(&mut self, device: usize) {
        let Some(server) = &mut self.server else {
            // Nobody listens.
            self.devices[device].connects_at =
                Some(self.course.after(self.course.config.reconnect_ms));
            return;
        };
        self.last_session += 1;
        let session = SessionId(self.last_session);
        self.course.tell(|| format!("device {device} opens connection {}", session.0));
        server.open(&self.course, session);
        self.wires.insert(session, (device, Wire::default()));
        let here = &mut self.devices[device];
        (here.session, here.connects_at) = (Some(session), None);
        self.tell_client(device, client::Input::Opened);
    }

    /// A device leaves its connection, and opens another after a while.
    fn disconnect(&mut self, device: usize) {
        self.hang_up(device);
        self.tell_client(device, client::Input::Closed);
        self.devices[device].connects_at = Some(self.course.after(self.course.config.reconnect_ms));
    }

    fn hang_up(&mut self, device: usize) {
        let Some(session) = self.devices[device].session.take() else { return };
        let learns = self.course.after(self.course.config.latency_ms);
        if let Some((_, wire)) = self.wires.get_mut(&session) {
            wire.hang_up(Side::Client, learns);
        }
    }

    fn tell_client(&mut self, device: usize, input: client::Input<'_>) {
        let here = &mut self.devices[device];
        let now = here.clock.now(self.course.counts.ms);
        here.client_mut().handle(now, input).expect("memory does not fail");
        self.drain(device);
    }

    /// Does what a client wants.
    fn drain(&mut self, device: usize) {
        while let Some(output) = self.devices[device].client_mut().poll_output() {
            match output {
                client::Output::Send(frame) => {
                    if let Some(session) = self.devices[device].session {
                        self.send(session, Side::Server, frame);
                    }
                }
                client::Output::Disconnect(_) if self.devices[device].session.is_some() => {
                    self.disconnect(device)
                }
                client::Output::TimeFix(time_fix) => self.devices[device].time_fix = Some(time_fix),
                client::Output::Added(entry) => self.note_added(device, &entry),
                client::Output::Processed(id) => self.note_answer(device, &id, true),
                client::Output::Undone(id, undo) => {
                    self.note_answer(device, &id, false);
                    let channel =
                        undo.action.and_then(|action| self.devices[device].refused(&id, &action));
                    // It waited behind an action that was refused, or its handler failed.
                    channel.into_iter().for_each(|channel| self.subscribe_soon(device, channel));
                }
                _ => {}
            }
        }
    }

    fn note_added(&mut self, device: usize, entry: &Entry) {
        let (action, meta) = (entry.action.as_json(), &entry.meta);
        self.course.tell(|| format!("device {device} gets {action} as {}", meta.id));
        if meta.id.node().is_server() {
            let client = self.devices[device].client().log().node_id().client_id();
            self.course.got.insert((client.to_owned(), action.to_owned()));
        }
    }

    fn note_answer(&mut self, device: usize, id: &ActionId, is_done: bool) {
        if self.acted.contains(&(device, id.clone())) {
            self.course.note_answer(id, is_done, self.database.times(id));
        }
    }

    fn send(&mut self, session: SessionId, to: Side, frame: String) {
        let arrives = self.course.after(self.course.config.latency_ms);
        self.course.counts.frames += 1;
        match self.wires.get_mut(&session) {
            Some((_, wire)) if wire.is_whole() => wire.way(to).send(arrives, frame),
            _ => self.course.counts.lost += 1,
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(session, frame) => self.send(session, Side::Client, frame),
                Effect::Close(session) => {
                    let learns = self.course.after(self.course.config.latency_ms);
                    if let Some((_, wire)) = self.wires.get_mut(&session) {
                        wire.hang_up(Side::Server, learns);
                    }
                }
            }
        }
    }

    /// What is not at rest, if anything is not.
    pub(super) fn unrest(&self) -> Option<String> {
        let Some(server) = &self.server else { return Some("the server is down".into()) };
        if !server.is_idle() {
            return Some(format!("the server has something to do: {:?}", server.hub.stats()));
        }
        let connected: BTreeSet<SessionId> =
            self.devices.iter().filter_map(|device| device.session).collect();
        for (number, device) in self.devices.iter().enumerate() {
            if device.client().state() != State::Synchronized || !device.subscribes_at.is_empty() {
                return Some(format!("device {number} is {:?}", device.client().state()));
            }
        }
        let busy = self
            .wires
            .iter()
            .find(|(session, (_, wire))| !wire.is_idle() || !connected.contains(session));
        busy.map(|(session, _)| format!("something is on its way over connection {}", session.0))
    }
}

impl<A: Application> Debug for World<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("setup", &self.course.config)
            .field("counts", &self.course.counts)
            .finish_non_exhaustive()
    }
}
