//! The task that owns the client's log and its connection.

use core::pin::pin;
use std::{collections::HashMap, sync::Arc};

use logux::{
    Action, ActionId, Entry,
    action::logux::Undo,
    client::{
        CipherError, Client as ClientMachine, DecryptRequest, EncryptRequest, EncryptionError,
        Fate, Input, Output, Secret, SubscriptionState, UndoOutcome,
    },
    log::LogError,
    replay::TimelineSet,
    store::Store,
    sync::State,
};
use logux_net::{
    CloseReason, Connector, Frame, Reconnector,
    drive::{Clock, DeadlineTimer, Event, FrameConnection},
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    Encryption, EncryptionFailure,
    client::{ServerMessage, SyncError},
    opening::{Opening, Request, View},
    token_source::TokenSource,
};

/// The largest action that is sent, in bytes: it fits into the largest message of a server with the
/// default limits. Servers undo smaller ones if they are too large.
const MAX_ACTION: usize = 60 * 1024 * 1024;

/// The kind of the error by which servers refuse a token.
const WRONG_CREDENTIALS: &str = "wrong-credentials";

/// Why a client has ended that the application closed.
const CLOSED: &str = "the client was closed";

/// A command from a handle to the task.
pub(crate) enum Command {
    /// Adds an action and reports the result.
    Sync(Action, ResultSender),
    /// Adds an action made from the state of the document and reports the result.
    Edit(Edit, ResultSender),
    /// Undoes an action and reports what was done, and the answer to an undo that is sent.
    Undo { id: ActionId, reason: String, done: oneshot::Sender<UndoOutcome>, answer: AnswerSender },
    /// Changes the steps of undo and redo of a timeline, and reports the number of actions that
    /// were undone, or 1.
    Step(Arc<str>, StepChange, oneshot::Sender<usize>),
    /// Opens a document or records, and subscribes to them.
    Open(Box<dyn Opening>),
    /// Computes something from the open documents and records.
    Read(Box<Read>),
    /// A handle of a document or of records was dropped.
    Release(Arc<str>),
    /// Ends the client.
    Close,
}

/// Receives the answer to an action.
type AnswerSender = oneshot::Sender<Result<(), SyncError>>;

/// Receives the results of an action.
#[derive(Debug)]
pub(crate) struct ResultSender {
    /// Receives the id, as soon as the action is in the log.
    pub(crate) added: Option<oneshot::Sender<ActionId>>,
    pub(crate) answer: AnswerSender,
}

impl ResultSender {
    /// Reports the id, and returns the receiver of the answer.
    fn added(self, id: &ActionId) -> AnswerSender {
        if let Some(added) = self.added {
            let _ = added.send(id.clone());
        }
        self.answer
    }
}

/// A change of the steps of undo and redo.
pub(crate) enum StepChange {
    Undo,
    Redo,
    /// Undoes these actions as one step.
    Actions(Vec<ActionId>),
    /// Ends the current step.
    Close,
}

/// Makes an action from the state of a timeline and the id of the new action.
pub(crate) struct Edit {
    pub(crate) timeline: Arc<str>,
    pub(crate) make: Box<Make>,
}

type Make = dyn FnOnce(&TimelineSet, &ActionId) -> Option<Action> + Send;

/// Computes something from the timelines, and replies with it.
pub(crate) type Read = dyn FnOnce(&TimelineSet) + Send;

/// The log, the connection's state, and the pending actions.
pub(crate) struct Driver<St> {
    machine: ClientMachine<St, TimelineSet>,
    /// The error of the store, after which the client cannot continue.
    failure: Option<String>,
    /// Where the token for the next connection comes from, if it changes.
    token_source: Option<TokenSource>,
    /// Whether the server has accepted the client since the last refused token.
    is_accepted: bool,
    /// The open documents and records, by name.
    opened: HashMap<Arc<str>, Box<dyn View>>,
    commands: mpsc::Receiver<Command>,
    actions: broadcast::Sender<Entry>,
    server_messages: broadcast::Sender<ServerMessage>,
    state: watch::Sender<State>,
    waiting: HashMap<ActionId, AnswerSender>,
    clock: Clock,
    encryption: Option<Encryption>,
    encryption_failures: Option<broadcast::Sender<EncryptionFailure>>,
}

/// The reason why a connection has ended.
enum Disconnected {
    /// The connection was lost; the client reconnects.
    Lost,
    /// The server refused the client with this kind of error.
    Refused(String),
    /// The store has failed.
    StoreFailed,
    /// The application has closed the client.
    Closed,
    /// All handles were dropped.
    ClientDropped,
}

impl<St: Store + Send + 'static> Driver<St> {
    pub(crate) fn new(
        machine: ClientMachine<St, TimelineSet>,
        commands: mpsc::Receiver<Command>,
        actions: broadcast::Sender<Entry>,
        server_messages: broadcast::Sender<ServerMessage>,
        state: watch::Sender<State>,
        clock: Clock,
    ) -> Self {
        let waiting = HashMap::new();
        Self {
            machine,
            failure: None,
            token_source: None,
            is_accepted: true,
            opened: HashMap::new(),
            commands,
            actions,
            server_messages,
            state,
            waiting,
            clock,
            encryption: None,
            encryption_failures: None,
        }
    }

    /// Sets the encryption of the machine, and the receiver of its failures.
    pub(crate) fn with_encryption(
        self,
        encryption: Option<Encryption>,
        failures: broadcast::Sender<EncryptionFailure>,
    ) -> Self {
        Self { encryption, encryption_failures: Some(failures), ..self }
    }

    pub(crate) fn with_token_source(self, token_source: Option<TokenSource>) -> Self {
        Self { token_source, ..self }
    }

    /// Runs until all handles are dropped or the client cannot continue; returns the reason.
    pub(crate) async fn run<C: Connector>(mut self, mut reconnector: Reconnector<C>) -> String {
        // What was opened before the start is open before anything is received.
        while let Ok(command) = self.commands.try_recv() {
            if matches!(command, Command::Close) {
                return CLOSED.to_owned();
            }
            self.command(command, None::<&mut FrameConnection<C::Transport>>);
        }
        self.changed(None::<&mut FrameConnection<C::Transport>>);
        loop {
            let transport = {
                // Commands do not interrupt an attempt: cancelling it would drop an almost open
                // connection.
                let token = self.token_source.as_ref().map(|source| source.0());
                let mut connect = pin!(async {
                    let token = match token {
                        Some(token) => Some(token.await),
                        None => None,
                    };
                    (token, reconnector.connect().await)
                });
                loop {
                    tokio::select! {
                        transport = &mut connect => break transport,
                        command = self.commands.recv() => match command {
                            Some(Command::Close) => return CLOSED.to_owned(),
                            Some(command) => {
                                self.command(command, None::<&mut FrameConnection<C::Transport>>);
                                if let Some(error) = self.failure.take() {
                                    return error;
                                }
                            }
                            None => return "all handles of the client were dropped".to_owned(),
                        },
                    }
                }
            };
            let (token, transport) = transport;
            if let Some(token) = token {
                self.machine.set_token(Some(Secret(token)));
            }
            let transport = match transport {
                Ok(transport) => transport,
                Err(error) => {
                    return reconnector
                        .last_error()
                        .map_or_else(|| error.to_string(), ToString::to_string);
                }
            };
            match self.run_connection(FrameConnection::new(transport)).await {
                Disconnected::Lost => {}
                Disconnected::Closed => return CLOSED.to_owned(),
                Disconnected::StoreFailed => return self.failure.take().unwrap_or_default(),
                Disconnected::Refused(kind) => {
                    tracing::warn!(kind, "the server refuses this client");
                    let may_have_expired = kind == WRONG_CREDENTIALS && self.token_source.is_some();
                    if may_have_expired && core::mem::take(&mut self.is_accepted) {
                        continue;
                    }
                    reconnector.peer_error(&kind);
                    if logux_net::FATAL_ERRORS.contains(&&*kind) {
                        return kind;
                    }
                }
                Disconnected::ClientDropped => {
                    return "all handles of the client were dropped".to_owned();
                }
            }
        }
    }

    async fn run_connection<T: logux_net::Transport>(
        &mut self,
        mut connection: FrameConnection<T>,
    ) -> Disconnected {
        self.handle(Input::Opened);
        let mut timer = DeadlineTimer::new(self.clock);
        let mut refused = None;
        let disconnected = loop {
            if self.failure.is_some() {
                break Disconnected::StoreFailed;
            }
            if self.execute_outputs(Some(&mut connection), &mut refused) {
                break refused.map_or(Disconnected::Lost, Disconnected::Refused);
            }
            let deadline = self.machine.next_deadline().map(|deadline| deadline.at);
            tokio::select! {
                event = connection.event(self.machine.wants_frames()) => match event {
                    Event::Frame(frame) => self.handle(Input::Frame(frame.as_str())),
                    Event::Announced(_) => connection.admit(),
                    Event::Flushed => {}
                    Event::Ended(reason) => {
                        if matches!(reason, CloseReason::WrongFormat | CloseReason::TooLarge) {
                            self.fault(&format!("a frame cannot be received: {}", reason.text()));
                        }
                        break Disconnected::Lost;
                    }
                },
                command = self.commands.recv() => match command {
                    Some(Command::Close) => break Disconnected::Closed,
                    Some(command) => self.command(command, Some(&mut connection)),
                    None => break Disconnected::ClientDropped,
                },
                () = timer.until(deadline) => self.handle(Input::Wake),
            }
        };
        self.handle(Input::Closed);
        let _ = self.execute_outputs(Some(&mut connection), &mut None);
        connection.close(CloseReason::Done).await;
        disconnected
    }

    fn handle(&mut self, input: Input<'_>) {
        let handled = self.machine.handle(self.clock.now(), input);
        self.check(handled);
        self.publish();
    }

    fn command<T: logux_net::Transport>(
        &mut self,
        command: Command,
        connection: Option<&mut FrameConnection<T>>,
    ) {
        let now = self.clock.now();
        let (timeline, action, done) = match command {
            Command::Close => return,
            Command::Step(name, change, reply) => {
                if let Some(count) = self.step(&name, change)
                    && self.commit()
                {
                    let _ = reply.send(count);
                }
                return self.changed(connection);
            }
            Command::Read(read) => return read(self.machine.log().observer()),
            Command::Open(opening) => {
                self.open(opening);
                return self.changed(connection);
            }
            Command::Release(name) => {
                self.release(&name);
                return self.changed(connection);
            }
            Command::Undo { id, reason, done, answer } => {
                self.undo(&id, &reason, done, answer);
                return self.changed(connection);
            }
            Command::Sync(action, done) => (None, Some(action), done),
            Command::Edit(Edit { timeline, make }, done) => {
                let id = self.machine.next_id(now.wall);
                (Some(timeline), make(self.machine.log().observer(), &id), done)
            }
        };
        let Some(action) = action else {
            let _ = done.answer.send(Ok(()));
            return;
        };
        if action.as_json().len() > self.max_action() {
            // The message would end the connection, each time again.
            let id = self.machine.next_id(now.wall);
            let undo = Undo {
                id: id.to_string(),
                reason: "tooLarge".to_owned(),
                action: Some(action),
                extra: Vec::new(),
            };
            let _ = done.added(&id).send(Err(SyncError::Undone(Box::new(undo))));
            return;
        }
        let synced = match &timeline {
            Some(timeline) => self.machine.edit(now, timeline, action),
            None => self.machine.sync(now, action),
        };
        if let Some(id) = self.check(synced)
            && self.commit()
        {
            // The action is kept, whatever happens to this process.
            let answer = done.added(&id);
            self.waiting.insert(id, answer);
        }
        self.changed(connection);
    }

    /// Returns the largest action that can be sent, in bytes: encryption may add a third.
    const fn max_action(&self) -> usize {
        if self.encryption.is_some() { MAX_ACTION / 4 * 3 } else { MAX_ACTION }
    }

    fn undo(
        &mut self,
        id: &ActionId,
        reason: &str,
        done: oneshot::Sender<UndoOutcome>,
        answer: AnswerSender,
    ) {
        let undone = self.machine.undo(self.clock.now(), id, reason);
        let Some(outcome) = self.check(undone) else { return };
        if !self.commit() {
            return;
        }
        if let UndoOutcome::Added(undo) = &outcome {
            self.waiting.insert(undo.clone(), answer);
        }
        let _ = done.send(outcome);
    }

    /// Changes the steps of undo and redo of a timeline. `None` if the store fails.
    fn step(&mut self, timeline: &Arc<str>, change: StepChange) -> Option<usize> {
        let now = self.clock.now();
        let changed = match change {
            StepChange::Undo => self.machine.undo_step(now, timeline).map(usize::from),
            StepChange::Redo => self.machine.redo_step(now, timeline).map(usize::from),
            StepChange::Actions(ids) => self.machine.undo_actions(now, timeline, &ids),
            StepChange::Close => {
                self.machine.close_step(timeline);
                Ok(0)
            }
        };
        let changed = self.check(changed);
        self.publish_steps(timeline);
        changed
    }

    fn open(&mut self, opening: Box<dyn Opening>) {
        let name = opening.name().clone();
        if let Some(view) = self.opened.get_mut(&name) {
            opening.join(&mut **view);
        } else {
            let entries = self.machine.log().entries_of(&name);
            let Some((entries, last_added)) = self.check(entries) else { return };
            let view = opening.open(self.machine.observer_mut(), &entries, last_added);
            self.opened.insert(name.clone(), view);
            self.publish_steps(&name);
        }
        self.make_requests(&name);
        if let Some(view) = self.opened.get_mut(&name) {
            view.reply();
        }
    }

    fn release(&mut self, name: &Arc<str>) {
        let Some(view) = self.opened.get_mut(name) else { return };
        let is_last = view.release();
        self.make_requests(name);
        if is_last {
            self.opened.remove(name);
            self.machine.close(name);
        }
    }

    /// Makes the requests of an open document, or of open records, to the server.
    fn make_requests(&mut self, name: &Arc<str>) {
        let Some(mut view) = self.opened.remove(name) else { return };
        while let Some(request) = view.next_request() {
            let action = match &request {
                Request::Subscribe(subscription) => subscription.subscribe(),
                Request::Unsubscribe(subscription) => subscription.unsubscribe(),
            };
            // The channels and filters of handles can be written as JSON.
            let Ok(action) = action else { continue };
            let synced = self.machine.sync(self.clock.now(), action);
            self.check(synced);
            // The application may have subscribed to the same before.
            if let Request::Subscribe(subscription) = request
                && let Some(state) = self.machine.subscription_state(&subscription)
            {
                view.subscription_changed(&subscription, &state);
            }
        }
        self.opened.insert(name.clone(), view);
    }

    /// Publishes the states that have changed.
    fn publish(&mut self) {
        let timelines = self.machine.observer_mut();
        let changed: Vec<_> = timelines.take_changed().collect();
        while let Some((name, warning)) = timelines.take_warning() {
            tracing::warn!(%name, ?warning, "the log has an action that does not fit");
        }
        for name in changed {
            // Before the state, so that who waits for the state sees both.
            self.publish_steps(&name);
            if let Some(view) = self.opened.get_mut(&name) {
                view.publish(self.machine.log().observer());
            }
        }
    }

    /// Publishes whether there are steps of a timeline to undo and to redo.
    fn publish_steps(&mut self, timeline: &Arc<str>) {
        let state = self.machine.undo_state(timeline);
        if let Some(state) = self.check(state)
            && let Some(view) = self.opened.get_mut(timeline)
        {
            view.set_undo(state);
        }
    }

    /// Handles a change of the log by this client.
    fn changed<T: logux_net::Transport>(&mut self, connection: Option<&mut FrameConnection<T>>) {
        self.publish();
        let _ = self.execute_outputs(connection, &mut None);
    }

    /// Commits, and executes the outputs of the state machine; returns `true` if the connection has
    /// to be closed.
    fn execute_outputs<T: logux_net::Transport>(
        &mut self,
        mut connection: Option<&mut FrameConnection<T>>,
        refused: &mut Option<String>,
    ) -> bool {
        let mut close = false;
        while let Some(output) = self.next_output() {
            match output {
                Output::Send(frame) => {
                    if let Some(connection) = &mut connection {
                        connection.push(Frame::from(frame));
                    }
                }
                Output::Disconnect(reason) => {
                    if reason.is_violation() {
                        self.fault(&reason.to_string());
                    }
                    tracing::debug!(%reason, "disconnecting");
                    close = true;
                }
                Output::Ignored(ignored) => self.fault(&ignored.to_string()),
                Output::Added(entry) => drop(self.actions.send(entry)),
                Output::Fate(id, Fate::Processed) => self.resolve(&id, Ok(())),
                Output::Fate(id, Fate::Dropped) => self.resolve(&id, Err(SyncError::Dropped)),
                Output::Fate(id, Fate::Undone(undo)) => {
                    self.resolve(&id, Err(SyncError::Undone(undo)));
                }
                Output::Subscription(subscription, state) => {
                    let channel = &*subscription.channel;
                    if let SubscriptionState::Refused(reason) | SubscriptionState::Ended(reason) =
                        &state
                    {
                        tracing::warn!(channel, reason, "the server has ended a subscription");
                    }
                    // The name of a document, and the plural of records, is their channel.
                    if let Some(view) = self.opened.get_mut(channel) {
                        view.subscription_changed(&subscription, &state);
                    }
                }
                Output::Encrypt(request) => self.encrypt(&request),
                Output::Decrypt(request) => self.decrypt(&request),
                Output::EncryptionFailed(id, error) => self.encryption_failed(id, error),
                Output::State(state) => {
                    self.is_accepted |= matches!(state, State::Sending | State::Synchronized);
                    let _ = self.state.send_replace(state);
                }
                Output::Refused(error) => {
                    drop(self.server_messages.send(ServerMessage::Error(error.kind.clone())));
                    *refused = Some(error.kind);
                }
                Output::Debug(text) => {
                    tracing::warn!(text, "debug message from the server");
                    drop(self.server_messages.send(ServerMessage::Debug(text)));
                }
                _ => {}
            }
        }
        close
    }

    /// Returns a result of the machine. After an error of the store, the client ends.
    fn check<T>(&mut self, result: Result<T, LogError<St::Error>>) -> Option<T> {
        result.map_err(|error| self.failure = Some(error.to_string())).ok()
    }

    /// Returns the next output. Commits when all outputs so far are executed, so that the responses
    /// to many requests for encryption share a commit.
    fn next_output(&mut self) -> Option<Output> {
        self.machine.poll_output().or_else(|| {
            self.commit();
            self.machine.poll_output()
        })
    }

    fn encrypt(&mut self, request: &EncryptRequest) {
        let encrypted = match &self.encryption {
            Some(encryption) => encryption.encrypt(request),
            None => Err(CipherError::Unavailable),
        };
        self.handle(Input::Encrypted(request.token, encrypted.as_ref().map_err(|error| *error)));
    }

    fn decrypt(&mut self, request: &DecryptRequest) {
        let decrypted = match &self.encryption {
            Some(encryption) => encryption.decrypt(request),
            None => Err(CipherError::Unavailable),
        };
        self.handle(Input::Decrypted(request.token, decrypted.as_deref().map_err(|error| *error)));
    }

    fn encryption_failed(&mut self, id: ActionId, error: EncryptionError) {
        tracing::warn!(%id, %error, "encryption");
        if let EncryptionError::ServerDocument(_) = error {
            self.resolve(&id, Err(SyncError::NotEncrypted(error.clone())));
        }
        if let Some(failures) = &self.encryption_failures {
            let _ = failures.send(EncryptionFailure { id, error });
        }
    }

    /// Reports what is wrong with what the server has sent.
    fn fault(&self, text: &str) {
        tracing::warn!(text, "the server is wrong");
        let _ = self.server_messages.send(ServerMessage::Fault(text.to_owned()));
    }

    /// Makes everything durable so far. Returns `false` if the store fails.
    fn commit(&mut self) -> bool {
        while self.machine.needs_commit() && self.failure.is_none() {
            let committed = self.machine.commit(self.clock.now());
            self.check(committed);
        }
        // Confirming received actions may have led to the next ones.
        self.publish();
        self.failure.is_none()
    }

    fn resolve(&mut self, id: &ActionId, answer: Result<(), SyncError>) {
        if let Some(waiting) = self.waiting.remove(id) {
            let _ = waiting.send(answer);
        }
    }
}
