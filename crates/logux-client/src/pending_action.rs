//! An action that the server has not answered yet.

use core::{
    pin::Pin,
    task::{Context, Poll},
};

use logux::ActionId;
use tokio::sync::oneshot;

use crate::SyncError;

/// Receives the result of an action, or of a commit.
pub(crate) type ResultSender = oneshot::Sender<Result<(), SyncError>>;
pub(crate) type ResultReceiver = oneshot::Receiver<Result<(), SyncError>>;

/// An action in the log of a running client, with its id, for [`Client::undo`]. As a future, it
/// waits until the server has processed the action.
///
/// Dropping it does not undo the action.
///
/// ```no_run
/// use logux::Action;
/// # use logux_client::{Client, SyncError};
///
/// # async fn run(client: Client, action: Action) -> Result<(), SyncError> {
/// let pending = client.sync(action);
/// println!("{} is in the log", pending.id());
/// let pending = pending.kept().await?;
/// println!("… and would survive a crash");
/// pending.await?;
/// println!("… and the server has processed it");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`SyncError::Undone`] with the server's reason and the action, [`SyncError::Dropped`] if the
/// action was undone before it was sent, [`SyncError::Stopped`] if the client has stopped.
///
/// [`Client::undo`]: crate::Client::undo
#[derive(Debug)]
pub struct PendingAction {
    id: ActionId,
    kept: ResultReceiver,
    answer: ResultReceiver,
}

impl PendingAction {
    pub(crate) const fn new(id: ActionId, kept: ResultReceiver, answer: ResultReceiver) -> Self {
        Self { id, kept, answer }
    }

    /// Creates the result of an action that is not in the log.
    pub(crate) fn decided(id: ActionId, result: Result<(), SyncError>) -> Self {
        let ((keep, kept), (decide, answer)) = (oneshot::channel(), oneshot::channel());
        // Nothing is to be kept of what the server would not process.
        let _ = keep.send(match &result {
            Err(SyncError::Stopped(reason)) => Err(SyncError::Stopped(reason.clone())),
            _ => Ok(()),
        });
        let _ = decide.send(result);
        Self { id, kept, answer }
    }

    /// Returns the id of the action.
    pub const fn id(&self) -> &ActionId {
        &self.id
    }

    /// Waits until the action is durable: it is still there after a crash.
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client stops before, such as for a full disk.
    pub async fn kept(mut self) -> Result<Self, SyncError> {
        match (&mut self.kept).await {
            Ok(kept) => kept.map(|()| self),
            Err(_) => Err(ended()),
        }
    }
}

impl Future for PendingAction {
    type Output = Result<(), SyncError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.answer).poll(context);
        answer.map(|answer| answer.unwrap_or_else(|_| Err(ended())))
    }
}

/// The error if the runtime drops the client's task.
pub(crate) fn ended() -> SyncError {
    SyncError::Stopped("the client's task has ended".to_owned())
}
