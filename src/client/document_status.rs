//! What an application shows about an open document.

use core::fmt;

use super::SubscriptionState;
use crate::action::{AccessList, DocumentOperation};

/// What an application shows about an open document. What the log of the device has of the document
/// stays in its state, whatever the status is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DocumentStatus {
    /// The server has not answered yet: there was no connection, or the answer is on its way.
    Loading,
    /// The server has sent the document, and the user may edit it, as far as the server has said
    /// anything about that.
    Ready,
    /// The server has sent the document, and the user may not edit it.
    ReadOnly,
    /// The server does not know the document. The user may create it.
    Missing,
    /// The user may not read the document, or not any more.
    Forbidden,
    /// The document was deleted, by this user or another one. The user may create it again, which
    /// takes the deletion back.
    Deleted,
    /// The server has refused or ended the subscription for this other reason.
    Closed(String),
}

impl DocumentStatus {
    /// Returns the name of the status, such as `readOnly`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::ReadOnly => "readOnly",
            Self::Missing => "missing",
            Self::Forbidden => "forbidden",
            Self::Deleted => "deleted",
            Self::Closed(_) => "closed",
        }
    }

    /// Returns the status after an answer to the subscription.
    pub(super) fn of(subscription: &SubscriptionState, access: Option<AccessList>) -> Self {
        use DocumentOperation::{Edit, Read};
        match subscription {
            SubscriptionState::Loading => Self::Loading,
            SubscriptionState::Subscribed => match access {
                Some(access) if !access.allows(Read) => Self::Forbidden,
                Some(access) if !access.allows(Edit) => Self::ReadOnly,
                _ => Self::Ready,
            },
            SubscriptionState::Refused(reason) | SubscriptionState::Ended(reason) => {
                match &**reason {
                    NOT_FOUND => Self::Missing,
                    DELETED => Self::Deleted,
                    DENIED | "revoked" => Self::Forbidden,
                    _ => Self::Closed(reason.clone()),
                }
            }
        }
    }

    /// Returns the reason for which a server that has said this undoes an edit.
    pub(super) const fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::ReadOnly | Self::Forbidden => Some(DENIED),
            Self::Missing => Some(NOT_FOUND),
            Self::Deleted => Some(DELETED),
            Self::Loading | Self::Ready | Self::Closed(_) => None,
        }
    }

    /// Returns `true` if the user may do something with the document, as far as the server has
    /// said. `access` is [`Client::document_access`](super::Client::document_access).
    pub fn allows(&self, operation: DocumentOperation, access: Option<AccessList>) -> bool {
        use DocumentOperation::{Create, Read};
        match self {
            Self::Loading | Self::Closed(_) => true,
            Self::Ready | Self::ReadOnly => match access {
                Some(access) => access.allows(operation),
                None => operation != Create,
            },
            Self::Missing | Self::Deleted => operation == Create,
            Self::Forbidden => {
                operation != Read && access.is_some_and(|access| access.allows(operation))
            }
        }
    }
}

/// The status of what has no rights of its own: of records.
impl From<&SubscriptionState> for DocumentStatus {
    fn from(subscription: &SubscriptionState) -> Self {
        Self::of(subscription, None)
    }
}

impl fmt::Display for DocumentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        match self {
            Self::Closed(reason) => write!(f, ": {reason}"),
            _ => Ok(()),
        }
    }
}

/// The reasons of servers: the document does not exist, was deleted, or is not for this user.
pub(super) const NOT_FOUND: &str = "notFound";
pub(super) const DELETED: &str = "deleted";
const DENIED: &str = "denied";

/// What has changed about an open document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DocumentEvent {
    /// The status, or what the user may do: [`Client::document_status`],
    /// [`Client::document_access`].
    ///
    /// [`Client::document_status`]: super::Client::document_status
    /// [`Client::document_access`]: super::Client::document_access
    Status,
    /// The server has refused an edit: [`Client::refused_edits`].
    ///
    /// [`Client::refused_edits`]: super::Client::refused_edits
    Refused,
}
