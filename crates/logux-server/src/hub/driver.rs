//! What drives the hub: takes what comes, commits it in rounds, hands out what follows.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use logux::{
    log::LogError,
    server::{Census, Hub, Input, Output, SessionId, SessionMap},
    store::Store,
};
use logux_net::{CloseReason, drive::Clock};
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
};
use tracing::Instrument as _;

use crate::{
    connection_info::Origin,
    error::BuildError,
    hub::{
        application::{Application, Reduction},
        executor::Asking,
        handle::{Command, Handle},
        outbox::{Delivery, Outbox, Parcel},
    },
    telemetry::{
        event::Event,
        inspector::clients::{ClientView, Clients, MAX_LISTED},
        metrics::levels::Levels,
    },
};

/// How many commands share one commit at most.
const ROUND: usize = 1_024;

/// The hub, and all that it takes to run it.
pub(crate) struct HubTask<A, St> {
    pub(crate) hub: Hub<St>,
    pub(crate) application: Arc<A>,
    pub(crate) handle: Handle,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) clock: Clock,
    pub(crate) asking: Asking,
    pub(crate) runtime: runtime::Handle,
    pub(crate) reductions: Vec<Box<dyn Reduction>>,
}

/// Tells when the hub has ended, and why.
pub(crate) type HubEnd = oneshot::Receiver<Result<(), String>>;

/// Who waits for what.
#[derive(Default)]
struct Waiting {
    members: SessionMap<Member>,
    /// For whom something is packed.
    packed: Vec<SessionId>,
    /// The most that was packed for one client in the last round.
    usual: usize,
    /// Which round this is.
    round: u64,
    tickets: HashMap<u64, oneshot::Sender<Result<(), String>>>,
    last_ticket: u64,
    /// Nobody needs to wait any more.
    are_stopped: bool,
}

/// A client that was let in.
struct Member {
    outbox: Arc<Outbox>,
    origin: Arc<Origin>,
    /// What goes to the outbox at the end of the round: all of it at a time, so that the connection is woken once and one write carries it.
    packed: VecDeque<Parcel>,
    /// The last round whose next one brings answers for it, of handlers that had nothing to wait for.
    answered_after: u64,
    /// Whether what is packed has waited for such answers.
    has_waited: bool,
}

impl<A: Application, St: Store + Send + 'static> HubTask<A, St> {
    /// Runs on a thread of its own: a store may take its time.
    pub(crate) fn spawn_thread(self) -> Result<HubEnd, BuildError> {
        let (ended, hub_end) = oneshot::channel();
        let run = move || {
            let watch = self.handle.watch().clone();
            let ran = self.run().inspect_err(|error| watch.note(&Event::Fatal { error }));
            let _ = ended.send(ran.map_err(|error| error.to_string()));
        };
        let thread = std::thread::Builder::new().name("logux-hub".into());
        thread.spawn(run).map_err(|error| BuildError::Store(error.to_string()))?;
        Ok(hub_end)
    }

    /// For a runtime in which all have one clock and take turns.
    #[cfg(feature = "testing")]
    pub(crate) fn into_future(mut self) -> (impl Future<Output = ()> + Send, HubEnd) {
        let (ended, hub_end) = oneshot::channel();
        let running = async move {
            let mut waiting = Waiting::default();
            let mut round = Vec::with_capacity(ROUND);
            let end = loop {
                match self.carry_out(&mut waiting, &mut round) {
                    Ok(false) => {}
                    Ok(true) => break Ok(()),
                    Err(error) => break Err(error.to_string()),
                }
                if self.commands.recv_many(&mut round, ROUND).await == 0 {
                    break Ok(());
                }
            };
            self.turn_away(waiting, &mut round);
            let _ = ended.send(end);
        };
        (running, hub_end)
    }

    /// Runs until everybody who could send commands is gone or the hub has drained.
    fn run(mut self) -> Result<(), LogError<St::Error>> {
        let mut waiting = Waiting::default();
        let mut round = Vec::with_capacity(ROUND);
        let ran = self.run_rounds(&mut waiting, &mut round);
        self.turn_away(waiting, &mut round);
        ran
    }

    fn run_rounds(
        &mut self,
        waiting: &mut Waiting,
        round: &mut Vec<Command>,
    ) -> Result<(), LogError<St::Error>> {
        let mut drained = self.carry_out(waiting, round)?;
        while !drained && self.commands.blocking_recv_many(round, ROUND) > 0 {
            drained = self.carry_out(waiting, round)?;
        }
        Ok(())
    }

    /// Nothing is done any more. Connections end, also those that came too late; who else waits for something learns it from the end.
    fn turn_away(&mut self, mut waiting: Waiting, round: &mut Vec<Command>) {
        self.commands.close();
        let unheard = std::iter::from_fn(|| self.commands.try_recv().ok());
        for command in round.drain(..).chain(unheard) {
            let _ = waiting.register(command);
        }
        waiting.close_all();
    }

    /// One round: gives the hub what came, commits, hands out. The first one has no commands, only actions that were not answered
    /// before the last stop.
    fn carry_out(
        &mut self,
        waiting: &mut Waiting,
        round: &mut Vec<Command>,
    ) -> Result<bool, LogError<St::Error>> {
        let (began, commands) = (Instant::now(), round.len());
        self.hub.report_cleaned(self.handle.watch().hears_of_cleaned());
        // One reading for all: what comes together came at the same time.
        let now = self.clock.now();
        // Taken one by one, so that after a failure the rest is still there.
        round.reverse();
        while let Some(command) = round.pop() {
            match command {
                Command::Levels(reply) => drop(reply.send(waiting.levels(self.hub.census()?))),
                Command::Clients(reply) => drop(reply.send(waiting.clients(&self.hub))),
                Command::Inputs(inputs) => {
                    for input in inputs {
                        self.hub.handle(now, input)?;
                    }
                }
                Command::Answers(job, answers) => {
                    for answer in answers {
                        self.hub.handle(now, Input::Answer(job, answer))?;
                    }
                }
                command => {
                    if let Some(input) = waiting.register(command) {
                        self.hub.handle(now, input)?;
                    }
                }
            }
        }
        self.hub.commit()?;
        let drained = self.hand_out(waiting);
        self.handle.watch().note(&Event::Round { commands, took: began.elapsed() });
        Ok(drained || waiting.are_stopped)
    }

    /// Carries out what the hub wants; `true` when it has drained.
    fn hand_out(&mut self, waiting: &mut Waiting) -> bool {
        let mut drained = false;
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Joined { session, added, missed } => {
                    waiting.put(session, Parcel::Joined { added, missed })
                }
                Output::Kept(session, batch) => waiting.put(session, Parcel::Kept(batch)),
                Output::Deliver { session, added, entry, confirm } => {
                    waiting.put(session, Parcel::Deliver(Delivery { added, entry, confirm }));
                }
                Output::Replay { session, added, entries } => {
                    waiting.put(session, Parcel::Replay { added, entries })
                }
                Output::Recorded(entry) => {
                    self.reductions.iter_mut().for_each(|reduction| reduction.record(&entry))
                }
                Output::Debug(session, text) => waiting.put(session, Parcel::Debug(text)),
                Output::Replaced(session) => {
                    if let Some(mut member) = waiting.members.remove(&session) {
                        member.outbox.push(&mut member.packed);
                        member.outbox.close(CloseReason::Replaced);
                    }
                }
                Output::Ask(ask) => {
                    self.handle.watch().note(&Event::Asked(&ask.entry));
                    let author = ask.author.session;
                    let member = author.and_then(|session| waiting.members.get(&session));
                    let origin =
                        member.map_or_else(Origin::nowhere, |member| member.origin.clone());
                    let span = self.handle.watch().traces().of_application(&ask.entry.meta.id);
                    let running = self.application.clone().run(ask, origin, self.handle.clone());
                    if self.asking.start(running.instrument(span)) {
                        waiting.expect_answers(author);
                    }
                }
                Output::Unsubscribed { node, channel } => {
                    if let Some(running) =
                        self.application.unsubscribed(node, channel, &self.handle)
                    {
                        self.runtime.spawn(running);
                    }
                }
                Output::Done(ticket, result) => {
                    if let Some(reply) = waiting.tickets.remove(&ticket) {
                        let _ = reply.send(result);
                    }
                }
                Output::Report(report) => self.handle.watch().note(&Event::Hub(&report)),
                Output::Drained => drained = true,
                _ => {}
            }
        }
        waiting.post();
        drained
    }
}

impl Waiting {
    /// Remembers whom to tell, and gives what the hub has to know, if that is something.
    fn register(&mut self, command: Command) -> Option<Input> {
        match command {
            Command::Input(input) => {
                if let Input::Leave(session) = &input {
                    self.members.remove(session);
                }
                return Some(input);
            }
            Command::Join(input, outbox, origin) => {
                if let Input::Join { session, .. } = &input {
                    self.members.insert(
                        *session,
                        Member {
                            outbox,
                            origin,
                            packed: VecDeque::new(),
                            answered_after: 0,
                            has_waited: false,
                        },
                    );
                }
                return Some(input);
            }
            Command::Add(mut addition, reply) => {
                self.last_ticket += 1;
                self.tickets.insert(self.last_ticket, reply);
                addition.ticket = Some(self.last_ticket);
                return Some(Input::Add(addition));
            }
            Command::Respond(reply) => drop(reply.send(())),
            Command::Stop => self.are_stopped = true,
            // Answered by whoever has the hub.
            Command::Inputs(_)
            | Command::Answers(..)
            | Command::Levels(_)
            | Command::Clients(_) => {}
        }
        None
    }

    fn clients<St: Store>(&self, hub: &Hub<St>) -> Clients {
        let listed = hub.clients().take(MAX_LISTED).map(|client| ClientView {
            session: client.session,
            node: client.node.clone(),
            subprotocol: client.subprotocol.clone(),
            channels: client.channels().cloned().collect(),
            waiting: client.waiting,
            unread: self
                .members
                .get(&client.session)
                .map(|member| member.outbox.level())
                .unwrap_or_default(),
        });
        Clients { connected: hub.connected(), clients: listed.collect() }
    }

    fn levels(&self, census: Census) -> Levels {
        let outboxes = self.members.values().map(|member| member.outbox.level());
        let (messages, bytes) =
            outboxes.fold((0, 0), |(messages, bytes), (m, b)| (messages + m, bytes + b));
        Levels { census, outbox_messages: messages, outbox_bytes: bytes, ..Levels::default() }
    }

    fn close_all(&self) {
        for member in self.members.values() {
            member.outbox.close(CloseReason::Shutdown);
        }
    }

    /// Packs something for a client.
    fn put(&mut self, session: SessionId, parcel: Parcel) {
        if let Some(member) = self.members.get_mut(&session) {
            if member.packed.is_empty() {
                self.packed.push(session);
                member.packed.reserve(self.usual);
            }
            member.packed.push_back(parcel);
        }
    }

    /// What was packed for a client may wait for the next round, once: the answers that come then leave in the same write.
    fn expect_answers(&mut self, session: Option<SessionId>) {
        if let Some(member) = session.and_then(|session| self.members.get_mut(&session)) {
            member.answered_after = self.round;
        }
    }

    /// Ends a round: gives the connections what was packed.
    fn post(&mut self) {
        self.usual = 0;
        for session in std::mem::take(&mut self.packed) {
            let Some(member) = self.members.get_mut(&session) else { continue };
            member.has_waited = member.answered_after == self.round && !member.has_waited;
            if member.has_waited {
                self.packed.push(session);
            } else {
                self.usual = self.usual.max(member.packed.len());
                member.outbox.push(&mut member.packed);
            }
        }
        self.round += 1;
    }
}

#[cfg(test)]
mod tests {
    use logux::{NodeId, action::Subprotocol};

    use super::*;
    use crate::hub::outbox::OutboxLimits;

    const SESSION: SessionId = SessionId(1);

    fn waiting() -> (Waiting, Arc<Outbox>) {
        let outbox = Arc::new(Outbox::new(OutboxLimits { parcels: 10, bytes: 1_000 }));
        let mut waiting = Waiting::default();
        // The first round has no commands.
        waiting.post();
        let (node, subprotocol) = (NodeId::new("10:a:b").unwrap(), Subprotocol::Number(0));
        let join = Input::Join { session: SESSION, node, subprotocol, headers: None, since: 0 };
        waiting.register(Command::Join(join, outbox.clone(), Origin::nowhere()));
        (waiting, outbox)
    }

    #[test]
    fn what_is_packed_waits_for_answers_that_come_in_the_next_round() {
        let (mut waiting, outbox) = waiting();
        let parcel = || Parcel::Debug("x".into());
        waiting.put(SESSION, parcel());
        waiting.expect_answers(Some(SESSION));
        waiting.post();
        assert!(outbox.take(9).is_empty());
        // More of them follow, but nothing waits twice.
        waiting.put(SESSION, parcel());
        waiting.expect_answers(Some(SESSION));
        waiting.post();
        assert_eq!(outbox.take(9).len(), 2);
    }

    #[test]
    fn what_was_answered_in_an_earlier_round_is_not_waited_for() {
        let (mut waiting, outbox) = waiting();
        waiting.expect_answers(Some(SESSION));
        waiting.post();
        waiting.put(SESSION, Parcel::Debug("x".into()));
        waiting.post();
        assert_eq!(outbox.take(9).len(), 1);
    }
}
