//! The task that owns the client's log and its connection.

use core::{any::Any, pin::pin};
use std::{collections::HashMap, convert::Infallible};

use logux::{
    Action, ActionId, Entry, MemoryStore,
    action::logux::Undo,
    client::{Client as Machine, Input, Output},
    log::{LogError, Observer},
    sync::State,
};
use logux_net::{
    CloseReason, Connector, Frame, Reconnecting,
    drive::{Alarm, Clock, Event, Line},
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// What the handle tells the task.
#[derive(Debug)]
pub(crate) enum Command {
    /// Do an action, and say how it ended.
    Sync(Action, Done),
    /// Do an action made of the document as it is.
    Edit(Edit, Done),
}

/// Gets to know how an action ended.
pub(crate) type Done = oneshot::Sender<Result<(), Box<Undo>>>;

/// Makes an action of who observes the log, and the id that the action will have.
pub(crate) struct Edit(pub(crate) Box<Make>);

type Make = dyn FnOnce(&mut dyn Any, &ActionId) -> Option<Action> + Send;

impl core::fmt::Debug for Edit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Edit")
    }
}

/// The log, the connection's state, and who waits for what.
pub(crate) struct Driver<O> {
    machine: Machine<MemoryStore, O>,
    /// Called when the log may have changed.
    look: Box<dyn FnMut(&mut O) + Send>,
    commands: mpsc::Receiver<Command>,
    actions: broadcast::Sender<Entry>,
    state: watch::Sender<State>,
    waiting: HashMap<ActionId, Done>,
    clock: Clock,
}

/// Why a connection is over.
enum Over {
    /// It may come back.
    Lost,
    /// The server said this.
    Refused(String),
    /// Nobody needs it any more.
    Unneeded,
}

impl<O: Observer + Send + 'static> Driver<O> {
    pub(crate) fn new(
        machine: Machine<MemoryStore, O>,
        look: Box<dyn FnMut(&mut O) + Send>,
        commands: mpsc::Receiver<Command>,
        actions: broadcast::Sender<Entry>,
        state: watch::Sender<State>,
        clock: Clock,
    ) -> Self {
        Self { machine, look, commands, actions, state, waiting: HashMap::new(), clock }
    }

    /// Runs until the client is not needed any more or cannot go on; says why.
    pub(crate) async fn run<C: Connector>(mut self, mut connecting: Reconnecting<C>) -> String {
        loop {
            let transport = {
                // One attempt, whatever is told meanwhile: dropping it would cut a connection that is almost there.
                let mut connect = pin!(connecting.connect());
                loop {
                    tokio::select! {
                        transport = &mut connect => break transport,
                        command = self.commands.recv() => match command {
                            Some(command) => self.command(command, None::<&mut Line<C::Transport>>),
                            None => return "it is not needed any more".to_owned(),
                        },
                    }
                }
            };
            let transport = match transport {
                Ok(transport) => transport,
                Err(stopped) => {
                    return connecting
                        .last_error()
                        .map_or_else(|| stopped.to_string(), ToString::to_string);
                }
            };
            match self.connection(Line::new(transport)).await {
                Over::Lost => {}
                Over::Refused(kind) => {
                    tracing::warn!(kind, "the server refuses this client");
                    connecting.peer_error(&kind);
                    if logux_net::FATAL_ERRORS.contains(&&*kind) {
                        return kind;
                    }
                }
                Over::Unneeded => return "it is not needed any more".to_owned(),
            }
        }
    }

    async fn connection<T: logux_net::Transport>(&mut self, mut line: Line<T>) -> Over {
        self.handle(Input::Opened);
        let mut alarm = Alarm::new(self.clock);
        let mut refused = None;
        let over = loop {
            if self.follow(&mut line, &mut refused) {
                break refused.map_or(Over::Lost, Over::Refused);
            }
            let deadline = self.machine.next_deadline().map(|deadline| deadline.at);
            tokio::select! {
                event = line.event(self.machine.wants_frames()) => match event {
                    Event::Frame(frame) => self.handle(Input::Frame(frame.as_str())),
                    Event::Flushed => {}
                    Event::Ended(_) => break Over::Lost,
                },
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command, Some(&mut line)),
                    None => break Over::Unneeded,
                },
                () = alarm.until(deadline) => self.handle(Input::Wake),
            }
        };
        self.handle(Input::Closed);
        let _ = self.follow(&mut line, &mut None);
        line.close(CloseReason::Done).await;
        over
    }

    fn handle(&mut self, input: Input<'_>) {
        let handled = self.machine.handle(self.clock.now(), input);
        never_fails(handled);
        (self.look)(self.machine.observer_mut());
    }

    fn command<T: logux_net::Transport>(&mut self, command: Command, line: Option<&mut Line<T>>) {
        let now = self.clock.now();
        let (action, done) = match command {
            Command::Sync(action, done) => (Some(action), done),
            Command::Edit(Edit(make), done) => {
                let id = self.machine.next_id(now.wall);
                (make(self.machine.observer_mut(), &id), done)
            }
        };
        let Some(action) = action else {
            let _ = done.send(Ok(()));
            return;
        };
        let synced = self.machine.sync(now, action);
        if let Some(id) = never_fails(synced) {
            self.waiting.insert(id, done);
        }
        (self.look)(self.machine.observer_mut());
        if let Some(line) = line {
            let _ = self.follow(line, &mut None);
        }
    }

    /// Does what the machine wants; `true` when the connection is to be closed.
    fn follow<T: logux_net::Transport>(
        &mut self,
        line: &mut Line<T>,
        refused: &mut Option<String>,
    ) -> bool {
        let mut close = false;
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send(frame) => line.push(Frame::from(frame)),
                Output::Disconnect(reason) => {
                    tracing::debug!(%reason, "disconnecting");
                    close = true;
                }
                Output::Added(entry) => drop(self.actions.send(entry)),
                Output::Processed(id) => self.answer(&id, Ok(())),
                Output::Undone(id, undo) => self.answer(&id, Err(undo)),
                Output::State(state) => drop(self.state.send_replace(state)),
                Output::Refused(error) => *refused = Some(error.kind),
                Output::Debug(text) => tracing::warn!(text, "the server says"),
                _ => {}
            }
        }
        close
    }

    fn answer(&mut self, id: &ActionId, answer: Result<(), Box<Undo>>) {
        if let Some(done) = self.waiting.remove(id) {
            let _ = done.send(answer);
        }
    }
}

/// A log in memory has no way to fail.
fn never_fails<T>(result: Result<T, LogError<Infallible>>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(LogError::Store(never)) => match never {},
        Err(_) => None,
    }
}
