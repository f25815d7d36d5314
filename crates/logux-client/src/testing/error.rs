//! The errors of a test's client.

use logux::action::{ActionError, logux::Undo};

use crate::SyncError;

/// The reason why a client could not connect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server refused it with this error of the protocol, such as `wrong-credentials`.
    #[error("the server refused the client: {0}")]
    Refused(String),
    /// The client's id is invalid.
    #[error("invalid client id: {0}")]
    Id(String),
}

/// The reason why an action was not processed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// The server has undone it.
    #[error("the server has undone the action: {}", .0.reason)]
    Undone(Box<Undo>),
    /// It was undone by the client before it was sent.
    #[error("the action was undone before it was sent to the server")]
    Dropped,
    /// The value is not an action.
    #[error("expected an action, a JSON object with a `type`: {0}")]
    Action(#[from] ActionError),
    /// The client has not sent it, or has stopped.
    #[error(transparent)]
    Client(SyncError),
}

impl From<SyncError> for TestError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Undone(undo) => Self::Undone(undo),
            SyncError::Dropped => Self::Dropped,
            other => Self::Client(other),
        }
    }
}
