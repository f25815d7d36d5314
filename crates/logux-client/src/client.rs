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
    driver::{Command, Done},
};

/// A running client. Cheap to clone; when the last clone is dropped, the connection ends.
#[derive(Clone, Debug)]
pub struct Client {
    node: NodeId,
    commands: mpsc::Sender<Command>,
    actions: broadcast::Sender<Entry>,
    state: watch::Receiver<State>,
    end: watch::Receiver<Option<String>>,
}

/// An action did not go through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The server has taken it back.
    #[error("the server has undone the action: {}", .0.reason)]
    Undone(Box<Undo>),
    /// The client has stopped, for this reason.
    #[error("the client has stopped: {0}")]
    Stopped(String),
}

impl Client {
    /// Begins the description of a client: of a user by the user's id, or with a whole node id `user:client:tab`.
    ///
    /// # Errors
    /// [`IdError`] if it is empty or has a space.
    pub fn builder(id: &str) -> Result<Builder, IdError> {
        Builder::new(id)
    }

    pub(crate) const fn new(
        node: NodeId,
        commands: mpsc::Sender<Command>,
        actions: broadcast::Sender<Entry>,
        state: watch::Receiver<State>,
        end: watch::Receiver<Option<String>>,
    ) -> Self {
        Self { node, commands, actions, state, end }
    }

    /// Its node id.
    pub const fn node_id(&self) -> &NodeId {
        &self.node
    }

    /// Does an action, now or when there is a connection, and waits until the server has processed it.
    ///
    /// Dropping the future does not take the action back.
    ///
    /// # Errors
    /// [`SyncError::Undone`] with the server's reason, [`SyncError::Stopped`] if the client ended before.
    pub async fn sync(&self, action: Action) -> Result<(), SyncError> {
        self.tell(|done| Command::Sync(action, done)).await
    }

    /// Tells the task to do something, and waits until the server has answered.
    pub(crate) async fn tell(
        &self,
        command: impl FnOnce(Done) -> Command,
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

    /// Subscribes to a channel, and again after each reconnect. Returns when the server has sent what is there already.
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

    /// The actions that come from the server from now on, in the order in which they come.
    pub fn actions(&self) -> Actions {
        Actions(self.actions.subscribe())
    }

    /// How far the connection is.
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Waits until the connection is as far as this. Returns `false` if the client stops before.
    pub async fn reached(&self, state: State) -> bool {
        self.state.clone().wait_for(|now| *now == state).await.is_ok()
    }

    /// Waits until the client stops because the server refused it or the attempts are used up, and says why.
    pub async fn ended(&self) -> String {
        let mut end = self.end.clone();
        let ended = end.wait_for(Option::is_some).await;
        ended.ok().and_then(|why| why.clone()).unwrap_or_else(|| "its task has ended".to_owned())
    }

    async fn stopped(&self) -> SyncError {
        SyncError::Stopped(self.ended().await)
    }
}

/// Actions that come from the server.
#[derive(Debug)]
pub struct Actions(broadcast::Receiver<Entry>);

impl Actions {
    /// The next one if it is there already.
    pub fn try_next(&mut self) -> Option<Entry> {
        loop {
            match self.0.try_recv() {
                Ok(entry) => return Some(entry),
                Err(broadcast::error::TryRecvError::Lagged(missed)) => warn_of(missed),
                Err(_) => return None,
            }
        }
    }

    /// The next one; `None` when the client has stopped. Those that a slow reader missed are skipped, with a warning in the log.
    pub async fn next(&mut self) -> Option<Entry> {
        loop {
            match self.0.recv().await {
                Ok(entry) => return Some(entry),
                Err(broadcast::error::RecvError::Lagged(missed)) => warn_of(missed),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

fn warn_of(missed: u64) {
    tracing::warn!(missed, "actions were lost because they were read too slowly");
}
