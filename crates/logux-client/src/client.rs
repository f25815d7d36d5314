//! The handle of a running client.

use std::sync::Arc;

use logux::{
    Action, ActionId, Entry, NodeId,
    action::{
        ActionError, IdError,
        logux::{Subscribe, Undo},
    },
    client::{EncryptionError, Subscription, UndoOutcome},
    crdt::{Crdt, Shared, SyncMaps},
    replay::{NamedReducer, TimelineSet},
    sync::State,
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    Builder, DocumentHandle, EncryptionFailure, EncryptionFailures, PendingAction,
    driver::{Command, ResultSender},
    opening::OpeningOf,
};

/// A handle of a running client. Cheap to clone; the client stops when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    node: NodeId,
    commands: mpsc::Sender<Command>,
    actions: broadcast::Sender<Entry>,
    server_messages: broadcast::Sender<ServerMessage>,
    encryption_failures: broadcast::Sender<EncryptionFailure>,
    state: watch::Receiver<State>,
    end: watch::Receiver<Option<String>>,
}

/// A message of the server to the people behind the client, or a fault of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerMessage {
    /// The text of a `debug` message. Servers send it in development, such as the reason why an
    /// action failed, before the action is undone.
    Debug(String),
    /// The kind of an `error` message, such as `wrong-credentials`. The connection ends with it.
    Error(String),
    /// What the server has sent is wrong, for this reason. If it violates the protocol, the client
    /// connects again; if it is one action that cannot be, such as the answer to an action that
    /// this client has not made yet, the action is ignored. Own actions and what the store has are
    /// not affected.
    Fault(String),
}

/// The error of an action that was not processed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The server has undone the action. [`Undo::action`] is the action, so that the user can try
    /// again: after the reason `tooOld`, which is said of actions that were made without a
    /// connection too long ago, as a draft.
    #[error("the server has undone the action: {}", .0.reason)]
    Undone(Box<Undo>),
    /// The action was undone on this client before it was sent: see [`Client::undo`].
    #[error("the action was undone before it was sent to the server")]
    Dropped,
    /// The action would have to be encrypted, and cannot be: it was not added. Other failures of
    /// encryption are among [`Client::encryption_failures`], because the action is sent later.
    #[error(transparent)]
    NotEncrypted(EncryptionError),
    /// The document or the records with this name are open with another type.
    #[error("{0} is open with another type")]
    OtherType(String),
    /// The server has refused the subscription, or has ended it. What the log of this device has
    /// stays there.
    #[error("the server has refused the subscription to {channel}, or has ended it: {reason}")]
    NotSubscribed {
        /// The channel.
        channel: String,
        /// The reason, such as `denied` or `revoked`.
        reason: String,
    },
    /// The client has stopped, with the reason.
    #[error("the client has stopped: {0}")]
    Stopped(String),
}

impl Client {
    /// Returns a builder for a user id, or for a whole node id `user:client:tab`.
    ///
    /// # Errors
    /// [`IdError`] if the id is empty or contains a space.
    pub fn builder(id: &str) -> Result<Builder, IdError> {
        Builder::new(id)
    }

    pub(crate) const fn new(
        node: NodeId,
        commands: mpsc::Sender<Command>,
        actions: broadcast::Sender<Entry>,
        server_messages: broadcast::Sender<ServerMessage>,
        encryption_failures: broadcast::Sender<EncryptionFailure>,
        state: watch::Receiver<State>,
        end: watch::Receiver<Option<String>>,
    ) -> Self {
        Self { node, commands, actions, server_messages, encryption_failures, state, end }
    }

    /// Returns the node id.
    pub const fn node_id(&self) -> &NodeId {
        &self.node
    }

    /// Adds an action, sends it as soon as there is a connection, and waits until the server has
    /// processed it.
    ///
    /// Dropping the future does not undo the action.
    ///
    /// # Errors
    /// [`SyncError::Undone`] with the server's reason and the action, [`SyncError::Dropped`] if the
    /// action was undone before it was sent, [`SyncError::Stopped`] if the client stopped before.
    pub async fn sync(&self, action: Action) -> Result<(), SyncError> {
        self.request(|done| Command::Sync(action, done)).await
    }

    /// Adds an action as [`sync`](Self::sync) does, and returns as soon as it is in the log: with
    /// the id, to undo the action, and the server's answer, to wait for.
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has stopped.
    pub async fn add(&self, action: Action) -> Result<PendingAction, SyncError> {
        match self.add_by(|done| Command::Sync(action, done)).await? {
            Some(pending) => Ok(pending),
            None => Err(self.stopped().await),
        }
    }

    /// Undoes an action of this or another client, with a reason such as `mistake`. To redo it,
    /// undo the undo.
    ///
    /// An own action that was never sent, because there was no connection since, is dropped:
    /// nothing is sent, and its [`sync`](Self::sync) returns [`SyncError::Dropped`]. To redo it,
    /// add it again. Otherwise a `logux/undo` is added, which changes the state at once, and the
    /// server decides whether it has an effect on others. If the server refuses the undo, for
    /// example because the action is `settled`, the action has its effect again.
    ///
    /// ```no_run
    /// use logux::{Action, client::UndoOutcome};
    /// # use logux_client::{Client, SyncError};
    ///
    /// # async fn run(client: Client, action: Action) -> Result<(), SyncError> {
    /// let added = client.add(action.clone()).await?;
    /// let id = added.id().clone();
    /// match client.undo(&id, "mistake").await? {
    ///     // Redo: the server has never seen the action.
    ///     UndoOutcome::Dropped(entry) => client.sync(entry.action).await?,
    ///     UndoOutcome::Added(undo) => {
    ///         let undo_id = undo.id().clone();
    ///         undo.processed().await?;
    ///         // Redo: the undo of the undo.
    ///         client.undo(&undo_id, "redo").await?;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has stopped.
    pub async fn undo(
        &self,
        id: &ActionId,
        reason: &str,
    ) -> Result<UndoOutcome<PendingAction>, SyncError> {
        let (sender, answer) = oneshot::channel();
        let (id, reason) = (id.clone(), reason.to_owned());
        let undo = |done| Command::Undo { id, reason, done, answer: sender };
        let outcome = self.ask(undo).await?;
        Ok(outcome.map(|id| PendingAction::new(id, answer, self.end.clone())))
    }

    /// Sends a command to the task and waits for its reply.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, SyncError> {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(command(reply)).await.is_err() {
            return Err(self.stopped().await);
        }
        match answer.await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.stopped().await),
        }
    }

    /// Sends a command to the task and waits for the server's answer.
    pub(crate) async fn request(
        &self,
        command: impl FnOnce(ResultSender) -> Command,
    ) -> Result<(), SyncError> {
        let (sender, answer) = oneshot::channel();
        let done = ResultSender { added: None, answer: sender };
        if self.commands.send(command(done)).await.is_err() {
            return Err(self.stopped().await);
        }
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(self.stopped().await),
        }
    }

    /// Sends a command to the task and waits until its action is in the log. `None` if there is no
    /// action.
    pub(crate) async fn add_by(
        &self,
        command: impl FnOnce(ResultSender) -> Command,
    ) -> Result<Option<PendingAction>, SyncError> {
        let (added, id) = oneshot::channel();
        let (sender, answer) = oneshot::channel();
        let done = ResultSender { added: Some(added), answer: sender };
        if self.commands.send(command(done)).await.is_err() {
            return Err(self.stopped().await);
        }
        match id.await {
            Ok(id) => Ok(Some(PendingAction::new(id, answer, self.end.clone()))),
            // Without an action, the answer is that all is processed.
            Err(_) => match answer.await {
                Ok(answer) => answer.map(|()| None),
                Err(_) => Err(self.stopped().await),
            },
        }
    }

    /// Subscribes to a channel, and again after each reconnect. Returns when the server has sent
    /// the existing data of the channel.
    ///
    /// # Errors
    /// As [`sync`](Self::sync).
    pub async fn subscribe(&self, channel: &str) -> Result<(), SyncError> {
        let action: Result<Action, ActionError> =
            Subscribe { channel: channel.to_owned(), since: None }.to_action();
        match action {
            Ok(action) => self.sync(action).await,
            Err(error) => Err(SyncError::Stopped(error.to_string())),
        }
    }

    /// Opens the document `id` of a kind, such as `notes`, and subscribes to it. Returns when its
    /// state in the log of this device is there; what the server has arrives later:
    /// [`DocumentHandle::changed`].
    ///
    /// ```no_run
    /// use logux::crdt::{Map, MapOp};
    /// use logux_client::Client;
    /// use logux_net::WebSocketConnector;
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let connector = WebSocketConnector::new("ws://127.0.0.1:31337")?;
    /// let client = Client::builder("10")?.token("secret").start(connector);
    /// let mut note = client.document::<Map>("notes", "7").await?;
    ///
    /// let title = MapOp::Set { path: "/title".parse()?, value: logux::Json::from_value("Shopping")? };
    /// note.operate(vec![title]).await?;
    /// while note.changed().await {
    ///     println!("{:?}", note.state().get("/title"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has stopped, [`SyncError::OtherType`] if the document
    /// is open with another type.
    pub async fn document<C>(
        &self,
        kind: &str,
        id: &str,
    ) -> Result<DocumentHandle<Shared<C>>, SyncError>
    where
        C: Crdt<Op: Send> + Send + Sync + 'static,
    {
        let document = Shared::<C>::new(kind, id);
        let subscription = Subscription::to(&**document.key().channel());
        self.open_and_subscribe(document, Some(subscription)).await
    }

    /// Opens all records of a kind, such as `tasks`, and subscribes to them with an empty filter.
    /// Returns when those in the log of this device are there; what the server has arrives later.
    ///
    /// # Errors
    /// As [`document`](Self::document).
    pub async fn records(&self, plural: &str) -> Result<DocumentHandle<SyncMaps>, SyncError> {
        let filter = logux::Json::new("{}").ok();
        let subscription = Subscription { channel: plural.to_owned(), filter };
        self.open_and_subscribe(SyncMaps::new(plural), Some(subscription)).await
    }

    /// Opens what a reducer computes from the log, without a subscription.
    ///
    /// # Errors
    /// As [`document`](Self::document).
    pub async fn open<R>(&self, reducer: R) -> Result<DocumentHandle<R>, SyncError>
    where
        R: NamedReducer<Action: Send, State: Send + Sync> + Send + 'static,
    {
        self.open_and_subscribe(reducer, None).await
    }

    /// Opens a document or records, and subscribes to them.
    async fn open_and_subscribe<R>(
        &self,
        reducer: R,
        subscription: Option<Subscription>,
    ) -> Result<DocumentHandle<R>, SyncError>
    where
        R: NamedReducer<Action: Send, State: Send + Sync> + Send + 'static,
    {
        let (name, kind) = (reducer.name().clone(), reducer.kind().cloned());
        let open = |reply| Command::Open(Box::new(OpeningOf { reducer, subscription, reply }));
        match self.ask(open).await? {
            Some(shown) => Ok(DocumentHandle::new(self.clone(), name, kind, shown)),
            None => Err(SyncError::OtherType(name.to_string())),
        }
    }

    /// Computes something from the open documents and records, in the task. `None` if it cannot be
    /// computed.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&TimelineSet) -> Option<T> + Send + 'static,
    ) -> Result<Option<T>, SyncError> {
        self.ask(|reply: oneshot::Sender<_>| {
            let read = move |timelines: &TimelineSet| drop(reply.send(read(timelines)));
            Command::Read(Box::new(read))
        })
        .await
    }

    /// Tells the task that a handle of a document was dropped.
    pub(crate) fn release(&self, name: Arc<str>) {
        let sent = self.commands.try_send(Command::Release(name));
        let Err(mpsc::error::TrySendError::Full(full)) = sent else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let commands = self.commands.clone();
            runtime.spawn(async move { drop(commands.send(full).await) });
        }
    }

    /// Returns the actions that are received from now on, in the order of arrival.
    pub fn actions(&self) -> Actions {
        Actions(self.actions.subscribe())
    }

    /// Returns the messages for people that are received from now on. Keeps the latest 64 that are
    /// not read yet.
    pub fn server_messages(&self) -> ServerMessages {
        ServerMessages(self.server_messages.subscribe())
    }

    /// Returns the actions that are not encrypted or not decrypted from now on, such as those that
    /// another secret was used for. Keeps the latest 64 that are not read yet. A failure is also a
    /// warning in the log.
    pub fn encryption_failures(&self) -> EncryptionFailures {
        EncryptionFailures(self.encryption_failures.subscribe())
    }

    /// Returns the state of the connection.
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Waits until the connection has this state. Returns `false` if the client stops before.
    pub async fn reached(&self, state: State) -> bool {
        self.state.clone().wait_for(|now| *now == state).await.is_ok()
    }

    /// Waits until the client stops, because the server refused it, no more attempts are allowed,
    /// its store has failed or the application has closed it, and returns the reason.
    pub async fn ended(&self) -> String {
        ended(self.end.clone()).await
    }

    /// Closes the connection and the store, and returns when both are closed: another client may
    /// open the file then. What was not sent yet stays in the store. Other handles of the client
    /// return [`SyncError::Stopped`] from now on.
    pub async fn close(self) {
        let _ = self.commands.send(Command::Close).await;
        self.ended().await;
    }

    pub(crate) async fn stopped(&self) -> SyncError {
        stopped(self.end.clone()).await
    }
}

/// Waits until the client stops, and returns the error of its actions.
pub(crate) async fn stopped(end: watch::Receiver<Option<String>>) -> SyncError {
    SyncError::Stopped(ended(end).await)
}

async fn ended(mut end: watch::Receiver<Option<String>>) -> String {
    let ended = end.wait_for(Option::is_some).await;
    ended
        .ok()
        .and_then(|why| why.clone())
        .unwrap_or_else(|| "the client's task has ended".to_owned())
}

/// Actions received from the server.
#[derive(Debug)]
pub struct Actions(broadcast::Receiver<Entry>);

impl Actions {
    /// Returns the next action if one was received.
    pub fn try_next(&mut self) -> Option<Entry> {
        loop {
            match self.0.try_recv() {
                Ok(entry) => return Some(entry),
                Err(broadcast::error::TryRecvError::Lagged(missed)) => warn_missed(missed),
                Err(_) => return None,
            }
        }
    }

    /// Waits for the next action; `None` when the client has stopped. Actions that a slow reader
    /// missed are skipped, with a warning in the log.
    pub async fn next(&mut self) -> Option<Entry> {
        loop {
            match self.0.recv().await {
                Ok(entry) => return Some(entry),
                Err(broadcast::error::RecvError::Lagged(missed)) => warn_missed(missed),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// Messages of the server to the people behind the client.
#[derive(Debug)]
pub struct ServerMessages(broadcast::Receiver<ServerMessage>);

impl ServerMessages {
    /// Returns the next message if one was received.
    pub fn try_next(&mut self) -> Option<ServerMessage> {
        loop {
            match self.0.try_recv() {
                Ok(message) => return Some(message),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return None,
            }
        }
    }

    /// Waits for the next message; `None` when the client has stopped.
    pub async fn next(&mut self) -> Option<ServerMessage> {
        loop {
            match self.0.recv().await {
                Ok(message) => return Some(message),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

fn warn_missed(missed: u64) {
    tracing::warn!(missed, "actions were lost because they were read too slowly");
}
