//! The actions that were not encrypted or not decrypted.

use logux::{ActionId, client::EncryptionError};
use tokio::sync::broadcast;

/// An action that was not encrypted or not decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptionFailure {
    /// The id of the action.
    pub id: ActionId,
    /// The reason, and what becomes of the action.
    pub error: EncryptionError,
}

/// The actions that were not encrypted or not decrypted.
#[derive(Debug)]
pub struct EncryptionFailures(pub(crate) broadcast::Receiver<EncryptionFailure>);

impl EncryptionFailures {
    /// Returns the next failure if there was one.
    pub fn try_next(&mut self) -> Option<EncryptionFailure> {
        loop {
            match self.0.try_recv() {
                Ok(failure) => return Some(failure),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return None,
            }
        }
    }

    /// Waits for the next failure; `None` when the client has stopped.
    pub async fn next(&mut self) -> Option<EncryptionFailure> {
        loop {
            match self.0.recv().await {
                Ok(failure) => return Some(failure),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
