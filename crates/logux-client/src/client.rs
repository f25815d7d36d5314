//! The handle of a running client.

use logux::{
    Action, Entry, NodeId,
    action::{
        ActionError, IdError,
        logux::{Subscribe, Undo},
    },
    sync::State,
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    Builder,
    driver::{Command, ResultSender},
};

/// A handle of a running client. Cheap to clone; the client stops when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    node: NodeId,
    commands: mpsc::Sender<Command>,
    actions: broadcast::Sender<Entry>,
    server_messages: broadcast::Sender<ServerMessage>,
    state: watch::Receiver<State>,
    end: watch::Receiver<Option<String>>,
}

/// A message of the server to the people behind the client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerMessage {
    /// The text of a `debug` message. Servers send it in development, such as the reason why an
    /// action failed, before the action is undone.
    Debug(String),
    /// The kind of an `error` message, such as `wrong-credentials`. The connection ends with it.
    Error(String),
}

/// The error of an action that was not processed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The server has undone the action.
    #[error("the server has undone the action: {}", .0.reason)]
    Undone(Box<Undo>),
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
        state: watch::Receiver<State>,
        end: watch::Receiver<Option<String>>,
    ) -> Self {
        Self { node, commands, actions, server_messages, state, end }
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
    /// [`SyncError::Undone`] with the server's reason, [`SyncError::Stopped`] if the client stopped
    /// before.
    pub async fn sync(&self, action: Action) -> Result<(), SyncError> {
        self.request(|done| Command::Sync(action, done)).await
    }

    /// Sends a command to the task and waits for the server's answer.
    pub(crate) async fn request(
        &self,
        command: impl FnOnce(ResultSender) -> Command,
    ) -> Result<(), SyncError> {
        let (done, answer) = oneshot::channel();
        if self.commands.send(command(done)).await.is_err() {
            return Err(self.stopped().await);
        }
        match answer.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(undo)) => Err(SyncError::Undone(undo)),
            Err(_) => Err(self.stopped().await),
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

    /// Returns the actions that are received from now on, in the order of arrival.
    pub fn actions(&self) -> Actions {
        Actions(self.actions.subscribe())
    }

    /// Returns the messages for people that are received from now on. Keeps the latest 64 that are
    /// not read yet.
    pub fn server_messages(&self) -> ServerMessages {
        ServerMessages(self.server_messages.subscribe())
    }

    /// Returns the state of the connection.
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Waits until the connection has this state. Returns `false` if the client stops before.
    pub async fn reached(&self, state: State) -> bool {
        self.state.clone().wait_for(|now| *now == state).await.is_ok()
    }

    /// Waits until the client stops, because the server refused it or no more attempts are allowed,
    /// and returns the reason.
    pub async fn ended(&self) -> String {
        let mut end = self.end.clone();
        let ended = end.wait_for(Option::is_some).await;
        ended
            .ok()
            .and_then(|why| why.clone())
            .unwrap_or_else(|| "the client's task has ended".to_owned())
    }

    async fn stopped(&self) -> SyncError {
        SyncError::Stopped(self.ended().await)
    }
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
