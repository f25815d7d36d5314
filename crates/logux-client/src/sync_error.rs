//! The error of an action.

use logux::{action::logux::Undo, client::EncryptionError};

/// The error of an action that was not processed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The server has undone the action. [`Undo::action`] is the action, so that the user can try
    /// again: after the reason `tooOld`, which is said of actions that were made without a
    /// connection too long ago, as a draft.
    #[error("the server has undone the action: {}", .0.reason)]
    Undone(Box<Undo>),
    /// The action was undone on this client before it was sent: see
    /// [`Client::undo`](crate::Client::undo).
    #[error("the action was undone before it was sent to the server")]
    Dropped,
    /// The action would have to be encrypted, and cannot be: it was not added. Other failures of
    /// encryption are among [`Client::encryption_failures`](crate::Client::encryption_failures),
    /// because the action is sent later.
    #[error(transparent)]
    NotEncrypted(EncryptionError),
    /// The document or the records with this name are open with another type.
    #[error("{0} is open with another type")]
    OtherType(String),
    /// The filter of records is not a JSON object.
    #[error("expected a filter that is a JSON object, such as {{\"done\":false}}: {0}")]
    Filter(String),
    /// The server has refused the subscription, or has ended it. What the log of this device has
    /// stays there.
    #[error("the server has refused the subscription to {channel}, or has ended it: {reason}")]
    NotSubscribed {
        /// The channel.
        channel: String,
        /// The reason, such as `denied` or `revoked`.
        reason: String,
    },
    /// The action is one of a former user of the device, and left the log:
    /// [`Client::change_user`](crate::Client::change_user).
    #[error("the user of the client has changed")]
    UserChanged,
    /// The client has stopped, with the reason. If the server has refused the client, the action
    /// is kept nevertheless, and sent after [`Client::resume`](crate::Client::resume).
    #[error("the client has stopped: {0}")]
    Stopped(String),
}
