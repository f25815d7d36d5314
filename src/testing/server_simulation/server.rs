//! A server while it runs: the real hub, and what drives it in place of sockets, threads and handlers.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    application::{Application, Database},
    course::Course,
    end::{End, OutboxItem, Wish},
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
    /// What the hub has not been told yet.
    commands: Vec<Input>,
    /// When it is.
    round_at: Option<u64>,
    /// When what it was told last is durable. Connections and handlers go on meanwhile, with whatever the hub lets out.
    commits_at: Option<u64>,
    ends: BTreeMap<SessionId, End>,
    pub(super) handlers: Handlers,
    effects: Vec<Effect>,
}

/// What has to be done for a connection.
#[derive(Debug)]
pub(super) enum Effect {
    Send(SessionId, String),
    /// Frames that were sent before go out first.
    Close(SessionId),
}

impl Server {
    /// Starts over what is durable.
    pub(super) fn start<A: Application>(
        course: &mut Course,
        application: &A,
        store: CrashStore,
    ) -> Self {
        course.life += 1;
        // One id for all starts is harder than one for each; but a clock that steps back would make ids again.
        let start = if course.config.server_clock_error_ms > 0 { course.life } else { 0 };
        let node = NodeId::new(format!("server:sim{start}")).expect("a node id");
        let mut config = Config::new(node.clone());
        application.configure(&mut config);
        let actions_per_sync = usize::try_from(course.chance.between(1, 4)).unwrap_or(1);
        let mut server = Self {
            hub: Hub::new(config, store).expect("memory does not fail"),
            config: Arc::new(sync::Config { actions_per_sync, ..sync::Config::server(node) }),
            commands: Vec::new(),
            round_at: None,
            commits_at: None,
            ends: BTreeMap::new(),
            handlers: Handlers::default(),
            effects: Vec::new(),
        };
        // What was not answered before the crash is asked again.
        server.commit();
        server.hand_out(course);
        server
    }

    pub(super) fn is_idle(&self) -> bool {
        let census = self.hub.stats().expect("memory does not fail");
        self.commands.is_empty()
            && self.commits_at.is_none()
            && self.handlers.is_idle()
            && self.ends.values().all(End::is_idle)
            && census.running + census.waiting == 0
    }

    pub(super) fn next_moment(&self) -> Option<u64> {
        let ends = self.ends.values().filter_map(End::next_moment);
        let round_at = self.round_at.filter(|_| self.commits_at.is_none());
        ends.chain(round_at).chain(self.commits_at).chain(self.handlers.next_moment()).min()
    }

    /// When what it was told last is durable, if it is not.
    pub(super) const fn commits_at(&self) -> Option<u64> {
        self.commits_at
    }

    /// A client has opened a connection.
    pub(super) fn open(&mut self, course: &Course, session: SessionId) {
        self.ends.insert(session, End::new(self.config.clone(), course.now(), session));
    }

    /// Whether this end of a connection is still there, and reads.
    pub(super) fn reads(&self, session: SessionId) -> bool {
        self.ends.get(&session).is_some_and(|end| end.node.wants_frames())
    }

    pub(super) fn has(&self, session: SessionId) -> bool {
        self.ends.contains_key(&session)
    }

    /// A frame has come.
    pub(super) fn frame(&mut self, course: &mut Course, session: SessionId, frame: &str) {
        let wishes = self.ends.get_mut(&session).map(|end| end.frame(course, frame));
        self.carry_out(course, session, wishes.unwrap_or_default());
    }

    /// The other end is gone.
    pub(super) fn closed(&mut self, course: &mut Course, session: SessionId) {
        if self.ends.remove(&session).is_some_and(|end| end.has_joined) {
            self.command(course, Input::Leave(session));
        }
    }

    fn carry_out(&mut self, course: &mut Course, session: SessionId, wishes: Vec<Wish>) {
        for wish in wishes {
            match wish {
                Wish::Tell(input) => self.command(course, input),
                Wish::Send(frame) => self.effects.push(Effect::Send(session, frame)),
                Wish::Close => {
                    self.closed(course, session);
                    self.effects.push(Effect::Close(session));
                }
            }
        }
    }

    fn command(&mut self, course: &mut Course, input: Input) {
        self.commands.push(input);
        let at = course.after(course.config.round_ms);
        self.round_at.get_or_insert(at);
    }

    /// Does what is due; returns what has to be done for connections, in order.
    pub(super) fn wake<A: Application>(
        &mut self,
        course: &mut Course,
        application: &A,
        database: &mut Database<A::Data>,
    ) -> Vec<Effect> {
        for (job, answer) in self.handlers.wake(course, application, database) {
            self.command(course, Input::Respond(job, answer));
        }
        let now = course.ms();
        if self.commits_at.take_if(|at| *at <= now).is_some() {
            self.commit();
            self.hand_out(course);
        }
        if self.commits_at.is_none() && self.round_at.take_if(|at| *at <= now).is_some() {
            self.begin_round(course);
        }
        let sessions: Vec<SessionId> = self.ends.keys().copied().collect();
        for session in sessions {
            let wishes = self.ends.get_mut(&session).map(|end| end.wake(course));
            self.carry_out(course, session, wishes.unwrap_or_default());
        }
        core::mem::take(&mut self.effects)
    }

    /// Begins a round of the hub, with all that waits or only the first part of it.
    fn begin_round(&mut self, course: &mut Course) {
        let some = course.chance.between(1, self.commands.len() as u64);
        self.take_in(course, usize::try_from(some).unwrap_or(1));
        self.hand_out(course);
        self.commits_at = Some(course.after(course.config.commit_ms));
        if !self.commands.is_empty() {
            self.round_at = Some(course.after(course.config.round_ms));
        }
    }

    fn take_in(&mut self, course: &Course, count: usize) {
        let count = count.min(self.commands.len());
        for input in self.commands.drain(..count) {
            self.hub.handle(course.now(), input).expect("memory does not fail");
        }
    }

    fn commit(&mut self) {
        self.hub.commit().expect("memory does not fail");
    }

    fn hand_out(&mut self, course: &mut Course) {
        while let Some(output) = self.hub.poll_output() {
            let (session, parcel) = match output {
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
                    if let Some(end) = self.ends.get_mut(&session) {
                        end.replace(course);
                    }
                    continue;
                }
                Output::Unsubscribed { node, .. } => {
                    self.ends.values_mut().for_each(|end| end.forget_sent(&node));
                    continue;
                }
                Output::Request(ask) => {
                    self.handlers.start(course, ask);
                    continue;
                }
                _ => continue,
            };
            if let Some(end) = self.ends.get_mut(&session) {
                end.put(course, parcel);
            }
        }
    }

    /// The power fails, maybe in the middle of a commit that is durable all the same.
    pub(super) fn crash(mut self, course: &mut Course) -> CrashStore {
        if course.chance.once_in(2) {
            self.commit();
        }
        self.hub.into_store().crash()
    }
}
