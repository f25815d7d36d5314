//! An action that the server has not answered yet.

use logux::ActionId;
use tokio::sync::{oneshot, watch};

use crate::{SyncError, client::stopped};

/// An action in the log of a running client, with its id, for [`Client::undo`], and with the
/// server's answer.
///
/// Dropping it does not undo the action.
///
/// [`Client::undo`]: crate::Client::undo
#[derive(Debug)]
pub struct PendingAction {
    id: ActionId,
    answer: oneshot::Receiver<Result<(), SyncError>>,
    end: watch::Receiver<Option<String>>,
}

impl PendingAction {
    pub(crate) const fn new(
        id: ActionId,
        answer: oneshot::Receiver<Result<(), SyncError>>,
        end: watch::Receiver<Option<String>>,
    ) -> Self {
        Self { id, answer, end }
    }

    /// Returns the id of the action.
    pub const fn id(&self) -> &ActionId {
        &self.id
    }

    /// Waits until the server has processed the action.
    ///
    /// # Errors
    /// [`SyncError::Undone`] with the server's reason and the action, [`SyncError::Dropped`] if the
    /// action was undone before it was sent, [`SyncError::Stopped`] if the client stopped before.
    pub async fn processed(self) -> Result<(), SyncError> {
        match self.answer.await {
            Ok(answer) => answer,
            Err(_) => Err(stopped(self.end).await),
        }
    }
}
