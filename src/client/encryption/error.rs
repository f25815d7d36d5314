//! The errors of encryption.

use core::fmt;

use crate::action::{ActionError, DocumentKey};

/// The error of a driver that was asked to encrypt or decrypt an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CipherError {
    /// The data were not encrypted with this key, or were changed since.
    Authentication,
    /// The decrypted data are not valid raw deflate.
    Compression,
    /// The data are larger than this number of bytes.
    TooLarge(usize),
    /// The cryptography of the platform failed, for example because it has no random bytes.
    Unavailable,
}

impl fmt::Display for CipherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authentication => {
                f.write_str("it was encrypted with another secret, or changed since")
            }
            Self::Compression => f.write_str("its content is not valid raw deflate"),
            Self::TooLarge(limit) => write!(f, "it is larger than {limit} bytes"),
            Self::Unavailable => f.write_str("the cryptography of the platform failed"),
        }
    }
}

impl core::error::Error for CipherError {}

/// The reason why an action was not encrypted or not decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncryptionError {
    /// The driver could not encrypt an own action. It stays in the log, and is encrypted and sent
    /// at the next connection; later actions wait for it.
    Encrypt(CipherError),
    /// The driver could not decrypt a received action. After [`CipherError::Authentication`] and
    /// [`CipherError::Unavailable`], the log keeps it encrypted, and it is tried again when the
    /// client starts the next time.
    Decrypt(CipherError),
    /// A received action of the type `0` does not have this field in the expected form. It is
    /// dropped.
    Malformed(&'static str),
    /// The decrypted text is not an action. It is dropped.
    NotAnAction(String),
    /// The own action is about a document or record of the server: the client is subscribed to its
    /// channel, or to all of its kind. The server cannot read encrypted actions, so this one was
    /// not added. Add its type to [`plain_types`](super::EncryptionConfig::plain_types), or do not
    /// subscribe.
    ServerDocument(DocumentKey),
    /// An earlier start of the client has added this action in order to encrypt it, and this start
    /// has no encryption. It is not sent, nor are later actions.
    NotConfigured,
}

impl From<ActionError> for EncryptionError {
    fn from(error: ActionError) -> Self {
        Self::NotAnAction(error.to_string())
    }
}

impl fmt::Display for EncryptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encrypt(error) => write!(f, "cannot encrypt an action: {error}"),
            Self::Decrypt(error) => write!(f, "cannot decrypt an action: {error}"),
            Self::Malformed(field) => {
                write!(f, "cannot decrypt an action: the field `{field}` is missing or malformed")
            }
            Self::NotAnAction(error) => write!(f, "cannot decrypt an action: {error}"),
            Self::ServerDocument(key) => write!(
                f,
                "the server keeps {:?}, and cannot read encrypted actions: leave the types `{}/*` \
                 plain, or do not subscribe to it",
                key.channel(),
                key.kind()
            ),
            Self::NotConfigured => f.write_str(
                "the action has to be encrypted: start the client with the secret, as before",
            ),
        }
    }
}

impl core::error::Error for EncryptionError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Encrypt(error) | Self::Decrypt(error) => Some(error),
            _ => None,
        }
    }
}
