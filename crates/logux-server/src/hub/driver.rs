//! Drives the hub: handles commands in rounds, commits each round, and performs the outputs.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
    time::{Duration, Instant},
};

use logux::{
    MonoTime,
    action::DocumentKey,
    log::LogError,
    server::{HandlerRequest, Hub, HubStats, Input, Output, RequestId, RequestKind},
    store::Store,
};
use logux_net::{CloseReason, drive::Clock};
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
};
use tracing::Instrument as _;

use crate::{
    error::BuildError,
    hub::{
        application::{ApplicationHandlers, EntryObserver},
        executor::HandlerExecutor,
        handle::{Handle, HubCommand, PageResult},
        outage::Outage,
        outbox::{Delivery, OutboxItem},
        outboxes::Outboxes,
    },
    telemetry::{
        event::Event,
        inspector::clients::{ChannelPresence, ClientList, ClientView, MAX_LISTED},
        metrics::stats::StatsSnapshot,
    },
};

/// The largest number of commands that are received at once.
pub(super) const MAX_RECEIVED: usize = 1_024;
/// The largest number of commands that share one commit, without those that were received last.
const MAX_ROUND: usize = 4_096;
/// The time after which a round takes no further commands. A commit takes some milliseconds on a
/// disk, so a round takes about as long as its commit, and no client waits much longer for it.
const MAX_ROUND_TIME: Duration = Duration::from_millis(5);
/// The time for work that was cut into slices, before the next commands are handled.
const SLICES_TIME: Duration = Duration::from_millis(3);

/// The hub with everything that it needs to run.
pub(crate) struct HubDriver<A, St> {
    pub(crate) hub: Hub<St>,
    pub(crate) application: Arc<A>,
    pub(crate) handle: Handle,
    pub(crate) commands: mpsc::Receiver<HubCommand>,
    pub(crate) clock: Clock,
    pub(crate) executor: HandlerExecutor,
    pub(crate) runtime: runtime::Handle,
    pub(crate) observers: Vec<Box<dyn EntryObserver>>,
    /// Whether the observers have received the entries from before the start.
    pub(crate) is_recorded: bool,
    /// The time for which connections stay open while the log cannot be written.
    pub(crate) store_timeout: Duration,
    pub(crate) outage: Option<Outage>,
    /// The last outage, with the time of its end.
    pub(crate) last_outage: Option<(Outage, MonoTime)>,
}

/// What a driver does next.
pub(super) enum Next {
    /// Wait for commands.
    Receive,
    /// Wait for this time.
    Pause(Duration),
    End,
}

/// Receives the result of the hub when it ends.
pub(crate) type HubEnd = oneshot::Receiver<Result<(), String>>;

/// Wakes the thread of the hub.
struct WakeThread(Thread);

impl Wake for WakeThread {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The recipients of the hub's outputs.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) outboxes: Outboxes,
    /// Replies to [`HubCommand::Add`], by ticket.
    pub(super) tickets: HashMap<u64, oneshot::Sender<Result<(), String>>>,
    last_ticket: u64,
    /// Replies to [`HubCommand::Page`].
    pub(super) pages: Vec<(RequestId, oneshot::Sender<PageResult>)>,
    /// Replies to [`HubCommand::Purge`].
    purges: Vec<(DocumentKey, oneshot::Sender<()>)>,
    /// The commands of the round that read the log. They are performed after its commit, so that
    /// nothing is read that could still be lost.
    pub(super) reads: Vec<HubCommand>,
    /// Whether [`HubCommand::Stop`] was received.
    pub(super) is_stopped: bool,
}

impl<A: ApplicationHandlers, St: Store + Send + 'static> HubDriver<A, St> {
    /// Runs the hub on its own thread, since a store may block.
    pub(crate) fn spawn_thread(self) -> Result<HubEnd, BuildError> {
        let (sender, hub_end) = oneshot::channel();
        let run = move || {
            let telemetry = self.handle.telemetry().clone();
            let result = self.run().inspect_err(|error| telemetry.record(&Event::Fatal { error }));
            let _ = sender.send(result.map_err(|error| error.to_string()));
        };
        let thread = std::thread::Builder::new().name("logux-hub".into());
        thread.spawn(run).map_err(|error| BuildError::Store(error.to_string()))?;
        Ok(hub_end)
    }

    /// Runs the hub as a future, for tests in virtual time: they run in one runtime with one clock.
    #[cfg(feature = "testing")]
    pub(crate) fn into_future(mut self) -> (impl Future<Output = ()> + Send, HubEnd) {
        let (sender, hub_end) = oneshot::channel();
        let future = async move {
            let mut pending = Pending::default();
            let mut round = Vec::with_capacity(MAX_RECEIVED);
            let result = loop {
                match self.advance(&mut pending, &mut round) {
                    Ok(Next::Receive) => {
                        self.take_waiting(&mut round);
                        if self.hub.is_busy() {
                            tokio::task::yield_now().await;
                        } else if !self.receive(&mut round).await {
                            break Ok(());
                        }
                    }
                    Ok(Next::Pause(pause)) => tokio::time::sleep(pause).await,
                    Ok(Next::End) => break Ok(()),
                    Err(error) => break Err(error.to_string()),
                }
            };
            self.close(pending, &mut round);
            let _ = sender.send(result);
        };
        (future, hub_end)
    }

    /// Runs until all senders of commands are dropped or the hub is drained.
    fn run(mut self) -> Result<(), LogError<St::Error>> {
        let mut pending = Pending::default();
        let mut round = Vec::with_capacity(MAX_RECEIVED);
        let result = self.run_rounds(&mut pending, &mut round);
        self.close(pending, &mut round);
        result
    }

    fn run_rounds(
        &mut self,
        pending: &mut Pending,
        round: &mut Vec<HubCommand>,
    ) -> Result<(), LogError<St::Error>> {
        loop {
            match self.advance(pending, round)? {
                Next::Receive => {
                    self.take_waiting(round);
                    let has_work = self.hub.is_busy() || !round.is_empty();
                    if !has_work && !self.blocking_receive(round) {
                        return Ok(());
                    }
                }
                #[expect(clippy::disallowed_methods, reason = "this is the hub's own thread")]
                Next::Pause(pause) => std::thread::sleep(pause),
                Next::End => return Ok(()),
            }
        }
    }

    /// Waits for commands, or for the time at which the hub has something to do. Returns `false`
    /// if there will be no more.
    #[cfg(feature = "testing")]
    async fn receive(&mut self, round: &mut Vec<HubCommand>) -> bool {
        let commands = self.commands.recv_many(round, MAX_RECEIVED);
        match self.hub.next_deadline() {
            None => commands.await > 0,
            Some(due) => {
                let wait = due.since(self.clock.now().mono);
                tokio::time::timeout(wait, commands).await != Ok(0)
            }
        }
    }

    /// Waits as [`receive`](Self::receive) does, on the thread of the hub. It uses no timer of the
    /// runtime, which may have ended.
    fn blocking_receive(&mut self, round: &mut Vec<HubCommand>) -> bool {
        let Some(due) = self.hub.next_deadline() else {
            return self.commands.blocking_recv_many(round, MAX_RECEIVED) > 0;
        };
        let waker = Waker::from(Arc::new(WakeThread(std::thread::current())));
        let mut commands = std::pin::pin!(self.commands.recv_many(round, MAX_RECEIVED));
        loop {
            match commands.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(count) => return count > 0,
                Poll::Pending => {
                    let wait = due.since(self.clock.now().mono);
                    if wait.is_zero() {
                        return true;
                    }
                    std::thread::park_timeout(wait);
                }
            }
        }
    }

    /// Takes the commands that are waiting, if the hub has other work too: it does not wait then.
    fn take_waiting(&mut self, round: &mut Vec<HubCommand>) {
        if self.hub.is_busy() {
            let waiting = std::iter::from_fn(|| self.commands.try_recv().ok());
            round.extend(waiting.take(MAX_RECEIVED));
        }
    }

    /// Closes all connections, also those whose commands were not handled. Drops the replies, so
    /// their receivers return.
    fn close(&mut self, mut pending: Pending, round: &mut Vec<HubCommand>) {
        self.commands.close();
        let unhandled = std::iter::from_fn(|| self.commands.try_recv().ok());
        for command in round.drain(..).chain(unhandled) {
            let _ = pending.register(command);
        }
        pending.outboxes.close_all(&CloseReason::Shutdown);
    }

    /// Runs one round: handles the commands, starts the handlers that they lead to, takes the
    /// responses that are ready into the same round, commits, performs the outputs. Returns `true`
    /// if the hub is drained or stopped. The first round has no commands, only the actions that
    /// were not answered before the last stop.
    ///
    /// The actions of one client wait for each other's answers: with a commit for each answer, a
    /// client that was offline would wait for thousands of commits.
    pub(super) fn run_round(
        &mut self,
        pending: &mut Pending,
        round: &mut Vec<HubCommand>,
    ) -> Result<bool, LogError<St::Error>> {
        let (start, mut commands) = (Instant::now(), 0);
        self.hub.report_cleaned(self.handle.telemetry().records_cleaned());
        loop {
            commands += round.len();
            self.handle_commands(pending, round)?;
            self.continue_work()?;
            let has_started = self.start_handlers(&pending.outboxes);
            if !has_started || commands >= MAX_ROUND || start.elapsed() >= MAX_ROUND_TIME {
                break;
            }
            let received = std::iter::from_fn(|| self.commands.try_recv().ok());
            round.extend(received.take(MAX_RECEIVED));
            if round.is_empty() {
                break;
            }
        }
        self.hub.commit()?;
        pending.reads.drain(..).for_each(|read| read_log(&self.hub, read));
        let is_drained = self.perform_outputs(pending);
        self.handle.telemetry().record(&Event::Round { commands, took: start.elapsed() });
        Ok(is_drained || pending.is_stopped)
    }

    fn handle_commands(
        &mut self,
        pending: &mut Pending,
        round: &mut Vec<HubCommand>,
    ) -> Result<(), LogError<St::Error>> {
        // The commands were received at the same time, so one reading of the clock suffices.
        let now = self.clock.now();
        // Popped one by one, so that the others are still there after a failure.
        round.reverse();
        while let Some(command) = round.pop() {
            match command {
                HubCommand::Stats(reply) => {
                    let _ = reply.send(stats(self.hub.stats()?, &pending.outboxes));
                }
                HubCommand::Clients(reply) => {
                    drop(reply.send(connected_clients(&self.hub, &pending.outboxes)));
                }
                HubCommand::Presence(channels, limit, reply) => {
                    drop(reply.send(presence(&self.hub, &channels, limit)));
                }
                HubCommand::Subscribers(channel, reply) => {
                    let subscribers = self.hub.subscribers(&channel).map(|author| {
                        let connection = pending.outboxes.author(author.session);
                        (author, connection)
                    });
                    drop(reply.send(subscribers.collect()));
                }
                HubCommand::Inputs(inputs) => {
                    for input in inputs {
                        self.hub.handle(now, input)?;
                    }
                }
                HubCommand::Respond(id, responses) => {
                    for response in responses {
                        self.hub.handle(now, Input::Respond(id, response))?;
                    }
                }
                HubCommand::Page(id, responses, reply) => {
                    for response in responses {
                        self.hub.handle(now, Input::Respond(id, response))?;
                    }
                    pending.pages.push((id, reply));
                }
                command => {
                    if let Some(input) = pending.register(command) {
                        self.hub.handle(now, input)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Continues with work that was cut into slices, for as long as others hardly notice it.
    fn continue_work(&mut self) -> Result<(), LogError<St::Error>> {
        let (start, now) = (Instant::now(), self.clock.now());
        if self.hub.next_deadline().is_some_and(|due| due <= now.mono) {
            self.hub.handle(now, Input::Continue)?;
        }
        while self.hub.is_busy() {
            self.hub.handle(now, Input::Continue)?;
            if start.elapsed() > SLICES_TIME {
                break;
            }
        }
        Ok(())
    }

    /// Starts the handlers of the requests that need not wait for the commit. Returns `true` if
    /// there were any.
    fn start_handlers(&mut self, outboxes: &Outboxes) -> bool {
        let mut has_started = false;
        while let Some(request) = self.hub.poll_request() {
            if !std::mem::replace(&mut has_started, true) {
                let telemetry = self.handle.telemetry();
                std::iter::from_fn(|| self.hub.poll_event())
                    .for_each(|event| telemetry.record(&Event::Hub(&event)));
            }
            self.start_handler(outboxes, request);
        }
        has_started
    }

    fn start_handler(&mut self, outboxes: &Outboxes, request: HandlerRequest) {
        let telemetry = self.handle.telemetry();
        let entry = request.entry.clone();
        telemetry.record(&Event::Requested(&entry));
        let connection = outboxes.author(request.author.session);
        let span = telemetry.traces().application_span(&entry.meta.id);
        // Handlers of subscriptions only read.
        let has_effect = request.kind != RequestKind::Subscription;
        let action = has_effect.then_some(&entry.meta.id);
        let handler = self.application.clone().run(request, connection, self.handle.clone());
        if let Some(took) = self.executor.start(action, handler.instrument(span)) {
            telemetry.record(&Event::HandlerBlocked { entry: &entry, took });
        }
    }

    /// Performs the hub's outputs. Returns `true` if the hub is drained.
    fn perform_outputs(&mut self, pending: &mut Pending) -> bool {
        let (mut is_drained, mut with_more) = (false, Vec::new());
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Missed { session, added, entries, has_more } => {
                    let item = OutboxItem::Missed { added, entries, has_more };
                    pending.outboxes.queue(session, item);
                }
                Output::Persisted(session, batch) => {
                    pending.outboxes.queue(session, OutboxItem::Persisted(batch));
                }
                Output::Deliver { session, added, entry, confirm, is_requested } => {
                    let delivery = Delivery { added, entry, confirm, is_requested };
                    pending.outboxes.queue(session, OutboxItem::Deliver(delivery));
                }
                Output::Replay { session, added, entries } => {
                    pending.outboxes.queue(session, OutboxItem::Replay { added, entries });
                }
                Output::Replayed { request, has_more } => {
                    with_more.extend(has_more.then_some(request));
                }
                Output::Debug(session, text) => {
                    pending.outboxes.queue(session, OutboxItem::Debug(text))
                }
                Output::Replaced(session) => pending.outboxes.replace(session),
                Output::Disconnect { session, is_final: true } => {
                    pending.outboxes.queue(session, OutboxItem::Reject);
                }
                Output::Disconnect { session, is_final: false } => {
                    pending.outboxes.disconnect(session);
                }
                Output::Recorded { entry, document } => {
                    let document = document.as_ref();
                    for observer in &mut self.observers {
                        observer.record(&entry, document);
                    }
                }
                Output::Purged(key) => {
                    let purged = |(purged, _): &mut (DocumentKey, _)| *purged == key;
                    pending.purges.extract_if(.., purged).for_each(|(_, reply)| {
                        let _ = reply.send(());
                    });
                }
                Output::Request(request) => self.start_handler(&pending.outboxes, request),
                Output::Unsubscribed { node, channel } => {
                    let handler = self.application.unsubscribed(node, channel, &self.handle);
                    if let Some(handler) = handler {
                        self.runtime.spawn(handler);
                    }
                }
                Output::SettlementDue(request) => {
                    if let Some(settlement) = self.application.settle(request, &self.handle) {
                        self.runtime.spawn(settlement);
                    }
                }
                Output::Done(ticket, result) => {
                    if let Some(reply) = pending.tickets.remove(&ticket) {
                        let _ = reply.send(result);
                    }
                }
                Output::Event(event) => self.handle.telemetry().record(&Event::Hub(&event)),
                Output::Drained => is_drained = true,
                _ => {}
            }
        }
        pending.outboxes.flush();
        for (request, reply) in pending.pages.drain(..) {
            let _ = reply.send(match self.hub.is_awaited(request) {
                true if with_more.contains(&request) => PageResult::SentWithMore,
                true => PageResult::Sent,
                false => PageResult::NotNeeded,
            });
        }
        is_drained
    }
}

impl Pending {
    /// Registers the recipient of the outputs that a command leads to. Returns the hub's input.
    fn register(&mut self, command: HubCommand) -> Option<Input> {
        match command {
            HubCommand::Input(input) => {
                match &input {
                    Input::Leave(session) => self.outboxes.remove(*session),
                    Input::Drain => self.outboxes.stop_all(),
                    _ => {}
                }
                return Some(input);
            }
            HubCommand::Join(input, outbox, info) => {
                if let Input::Join { session, .. } = &input {
                    self.outboxes.insert(*session, outbox, info);
                }
                return Some(input);
            }
            HubCommand::Add(mut action, reply) => {
                self.last_ticket += 1;
                self.tickets.insert(self.last_ticket, reply);
                action.ticket = Some(self.last_ticket);
                return Some(Input::Add(action));
            }
            HubCommand::Purge(key, reply) => {
                self.purges.push((key.clone(), reply));
                return Some(Input::Purge(key));
            }
            HubCommand::Ping(reply) => drop(reply.send(())),
            HubCommand::Entry(..) | HubCommand::LogPage(..) | HubCommand::Value(..) => {
                self.reads.push(command);
            }
            HubCommand::Stop => self.is_stopped = true,
            // `run_round` handles these.
            HubCommand::Inputs(_)
            | HubCommand::Respond(..)
            | HubCommand::Page(..)
            | HubCommand::Stats(_)
            | HubCommand::Subscribers(..)
            | HubCommand::Presence(..)
            | HubCommand::Clients(_) => {}
        }
        None
    }
}

/// Performs a command that reads the log.
fn read_log<St: Store>(hub: &Hub<St>, command: HubCommand) {
    match command {
        HubCommand::Entry(id, reply) => {
            drop(reply.send(hub.entry(&id).map_err(|error| error.to_string())));
        }
        HubCommand::Value(name, reply) => {
            drop(reply.send(hub.value(&name).map_err(|error| error.to_string())));
        }
        HubCommand::LogPage(query, reply) => {
            drop(reply.send(hub.page(&query).map_err(|error| error.to_string())));
        }
        _ => {}
    }
}

pub(super) fn stats(hub: HubStats, outboxes: &Outboxes) -> StatsSnapshot {
    let (outbox_messages, outbox_bytes) = outboxes.total_level();
    StatsSnapshot { hub, commands: 0, outbox_messages, outbox_bytes }
}

/// Returns the connected clients for the inspector, at most [`MAX_LISTED`].
pub(super) fn connected_clients<St: Store>(hub: &Hub<St>, outboxes: &Outboxes) -> ClientList {
    let listed = hub.clients().take(MAX_LISTED).map(|client| ClientView {
        session: client.session,
        node: client.node.clone(),
        subprotocol: client.subprotocol.clone(),
        channels: client.channels().cloned().collect(),
        waiting: client.waiting,
        unread: outboxes.level(client.session),
    });
    let present = hub.presence_channels().take(MAX_LISTED);
    ClientList {
        connected: hub.connected(),
        clients: listed.collect(),
        present: present.map(|(channel, present)| (channel.clone(), present)).collect(),
    }
}

/// Returns who shows itself in channels for the inspector, with at most `limit` states of each.
pub(super) fn presence<St: Store>(
    hub: &Hub<St>,
    channels: &[Arc<str>],
    limit: usize,
) -> Vec<ChannelPresence> {
    let presence = channels.iter().map(|channel| {
        let states = hub.presence(channel).take(limit);
        ChannelPresence {
            present: hub.present(channel),
            states: states.map(|(node, state)| (node.clone(), state.clone())).collect(),
            subscribers: hub.subscribers(channel).count(),
        }
    });
    presence.collect()
}
