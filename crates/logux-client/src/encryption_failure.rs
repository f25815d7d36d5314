//! An action that was not encrypted or not decrypted.

use logux::{ActionId, client::EncryptionError};

/// An action that was not encrypted or not decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptionFailure {
    /// The id of the action.
    pub id: ActionId,
    /// The reason, and what becomes of the action.
    pub error: EncryptionError,
}
