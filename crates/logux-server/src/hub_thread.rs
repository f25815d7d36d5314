//! The thread on which the hub lives: takes what comes, commits it in rounds, hands out what follows.

use std::{collections::HashMap, sync::Arc};

use logux::{
    log::LogError,
    server::{Hub, Input, Output, Report, SessionId},
    store::Store,
};
use logux_net::{CloseReason, drive::Clock};
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
};

use crate::{
    application::Application,
    handle::{Command, Handle},
    origin::Origin,
    outbox::{Outbox, Parcel},
};

/// How many commands share one commit at most.
const ROUND: usize = 1_024;

/// Everything the thread owns.
pub(crate) struct HubThread<S, St> {
    pub(crate) hub: Hub<St>,
    pub(crate) application: Arc<Application<S>>,
    pub(crate) handle: Handle,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) clock: Clock,
    pub(crate) runtime: runtime::Handle,
}

/// Who waits for what.
#[derive(Default)]
struct Waiting {
    members: HashMap<SessionId, Member>,
    tickets: HashMap<u64, oneshot::Sender<Result<(), String>>>,
    last_ticket: u64,
}

/// A client that was let in.
struct Member {
    outbox: Arc<Outbox>,
    origin: Arc<Origin>,
}

impl<S: Send + Sync + 'static, St: Store> HubThread<S, St> {
    /// Runs until everybody who could send commands is gone or the hub has drained.
    pub(crate) fn run(mut self) -> Result<(), LogError<St::Error>> {
        let mut waiting = Waiting::default();
        let mut round = Vec::with_capacity(ROUND);
        // Actions that were not answered before the last stop.
        self.hub.commit()?;
        let mut drained = self.hand_out(&mut waiting);
        while !drained && self.commands.blocking_recv_many(&mut round, ROUND) > 0 {
            for command in round.drain(..) {
                let input = waiting.register(command);
                self.hub.handle(self.clock.now(), input)?;
            }
            self.hub.commit()?;
            drained = self.hand_out(&mut waiting);
        }
        for member in waiting.members.values() {
            member.outbox.close(CloseReason::Shutdown);
        }
        Ok(())
    }

    /// Carries out what the hub wants; `true` when it has drained.
    fn hand_out(&mut self, waiting: &mut Waiting) -> bool {
        let mut drained = false;
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Joined { session, added, missed } => waiting.put(session, Parcel::Joined { added, missed }),
                Output::Kept(session, batch) => waiting.put(session, Parcel::Kept(batch)),
                Output::Deliver { session, added, entry } => waiting.put(session, Parcel::Deliver { added, entry }),
                Output::Debug(session, text) => waiting.put(session, Parcel::Debug(text)),
                Output::Replaced(session) => {
                    if let Some(member) = waiting.members.remove(&session) {
                        member.outbox.close(CloseReason::Replaced);
                    }
                }
                Output::Ask(ask) => {
                    let member = ask.author.session.and_then(|session| waiting.members.get(&session));
                    let origin = member.map_or_else(Origin::nowhere, |member| member.origin.clone());
                    let running = self.application.clone().run(ask, origin, self.handle.clone());
                    self.runtime.spawn(running);
                }
                Output::Unsubscribed { node, channel } => {
                    if let Some(running) = self.application.unsubscribed(node, channel, &self.handle) {
                        self.runtime.spawn(running);
                    }
                }
                Output::Done(ticket, result) => {
                    if let Some(reply) = waiting.tickets.remove(&ticket) {
                        let _ = reply.send(result);
                    }
                }
                Output::Report(report) => log(&report),
                Output::Drained => drained = true,
                _ => {}
            }
        }
        drained
    }
}

impl Waiting {
    /// Remembers whom to tell, and gives what the hub has to know.
    fn register(&mut self, command: Command) -> Input {
        match command {
            Command::Input(input) => {
                if let Input::Leave(session) = &input {
                    self.members.remove(session);
                }
                input
            }
            Command::Join(input, outbox, origin) => {
                if let Input::Join { session, .. } = &input {
                    self.members.insert(*session, Member { outbox, origin });
                }
                input
            }
            Command::Add(mut addition, reply) => {
                self.last_ticket += 1;
                self.tickets.insert(self.last_ticket, reply);
                addition.ticket = Some(self.last_ticket);
                Input::Add(addition)
            }
        }
    }

    fn put(&self, session: SessionId, parcel: Parcel) {
        if let Some(member) = self.members.get(&session) {
            member.outbox.push(parcel);
        }
    }
}

fn log(report: &Report) {
    match report {
        Report::Added { id, kind } => tracing::info!(%id, kind, "action was added"),
        Report::Processed(id) => tracing::info!(%id, "action was processed"),
        Report::Undone { id, reason } => tracing::warn!(%id, reason, "action was undone"),
        Report::Duplicate(id) => tracing::info!(%id, "action came again and was not done again"),
        Report::Subscribed { node, channel } => tracing::info!(%node, %channel, "client was subscribed"),
        Report::Unsubscribed { node, channel } => tracing::info!(%node, %channel, "client was unsubscribed"),
        _ => {}
    }
}
