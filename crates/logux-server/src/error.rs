//! Errors: of a server that cannot start, and of a handler.

use std::borrow::Cow;

use logux::Json;

use crate::{access_rule::AccessRuleError, claims::UnknownClaims};

/// The server cannot start: its description is invalid, or a resource is not available.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is neither [`auth`](crate::Builder::auth) nor [`backend`](crate::Builder::backend), so
    /// no client could connect.
    #[error("no authentication: call `auth` or `backend` on the builder")]
    NoAuth,
    /// An action type was registered twice.
    #[error("duplicate handlers for action type `{0}`")]
    DuplicateType(String),
    /// An action type is reserved by the protocol.
    #[error("action type `{0}` is reserved by Logux: choose another name")]
    ReservedType(String),
    /// Clients may undo actions of a type, but the log does not keep them.
    #[error("actions of type `{0}` cannot be undone: call `keep` next to `undoable`")]
    UndoableNotKept(String),
    /// A name is a kind of documents and something else: a collection of records, or another kind.
    #[error("`{0}` has documents and records, or documents twice: choose another name for one")]
    DuplicateKind(String),
    /// A rule of access to a collection or to documents cannot be used.
    #[error("cannot use the rule `{row}` of `{name}`: {error}")]
    AccessRule {
        /// The name of the collection or the kind of documents.
        name: String,
        /// What the rule is for, such as `read`.
        row: &'static str,
        /// What is wrong.
        error: AccessRuleError,
    },
    /// A channel pattern was registered twice.
    #[error("duplicate handlers for channel `{0}`")]
    DuplicateChannel(String),
    /// The handlers of all other types, channels or HTTP requests were registered twice.
    #[error("duplicate handlers for {0}")]
    DuplicateFallback(&'static str),
    /// A channel pattern is invalid.
    #[error("invalid channel pattern `{pattern}`: {why}; expected a pattern such as `users/:id`")]
    ChannelPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The range of supported versions is invalid.
    #[error("invalid npm SemVer range `{range}`; expected a range such as `^1.0.0`")]
    Supports {
        /// The range.
        range: String,
    },
    /// The version of the application's own protocol is invalid.
    #[error(
        "invalid version `{version}` of the application's protocol; expected SemVer such as `1.2.0`"
    )]
    Subprotocol {
        /// The version.
        version: String,
    },
    /// A certificate or a key cannot be used.
    #[error("cannot use `{what}` for TLS: {why}")]
    Tls {
        /// The path of the file, or a note that it was given as a string.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// An HTTP route is invalid.
    #[error("cannot add the HTTP route `{path}`: {why}")]
    Route {
        /// The path.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The back end cannot be used.
    #[error("cannot use `{url}` as the back end: {why}")]
    Backend {
        /// The URL.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// An item in a list of addresses and networks is invalid.
    #[error("invalid address or network `{network}`; expected a form such as 10.0.0.0/8")]
    Mask {
        /// The item.
        network: String,
    },
    /// The origin of a web page is invalid.
    #[error("invalid origin `{origin}`: {why}; expected a form such as https://example.com")]
    Origin {
        /// The origin.
        origin: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The store failed, or the hub could not be started.
    #[error("cannot open the server's log: {0}")]
    Store(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

/// The failure of a handler. `?` converts any error into it.
///
/// Except for [`Unavailable`](Self::Unavailable), the action is undone: its author receives
/// `logux/undo` with a reason. The text of an error is
/// sent to the author only in [development](crate::Config::development).
#[derive(Debug)]
#[non_exhaustive]
pub enum HandlerError {
    /// An error. The reason is `error`.
    Failed(Box<dyn std::error::Error + Send + Sync>),
    /// A database or a service cannot be used now. The action is not undone: its handlers are
    /// called again after a pause, from the first one, until they have another result.
    ///
    /// Errors of `logux-sqlite` and `logux-postgres` that may pass, such as a locked file, a full
    /// disk or a lost connection, are treated like this too.
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// The author has no access. The reason is `denied`.
    Denied,
    /// The requested object does not exist. The reason is `notFound`.
    NotFound,
    /// Handlers for several types do not know this type. The reason is `unknownType`.
    UnknownType,
    /// Handlers for several channels do not know this channel. The reason is `wrongChannel`.
    WrongChannel,
    /// The client has left or has unsubscribed while its subscription was loaded, or the server
    /// stops. [`Context::send_page`](crate::Context::send_page) returns it, so that a handler ends:
    /// nobody needs its result. The subscription is processed again when the client reconnects.
    Gone,
    /// A reason of the application's own, with further keys.
    Undo {
        /// The reason.
        reason: String,
        /// Further keys of `logux/undo`.
        extra: Vec<(String, Json)>,
    },
}

impl HandlerError {
    /// Creates an error that undoes the action with a reason of the application's own.
    pub fn undo(reason: impl Into<String>) -> Self {
        Self::Undo { reason: reason.into(), extra: Vec::new() }
    }

    /// Creates an [`Unavailable`](Self::Unavailable) from an error.
    pub fn unavailable(
        error: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
    ) -> Self {
        Self::Unavailable(error.into())
    }

    /// Returns `true` if the handlers are called again.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Failed(error) => is_transient(&**error),
            _ => false,
        }
    }

    /// Returns `true` if the handlers need the claims of an author who is not connected.
    pub(crate) fn needs_claims(&self) -> bool {
        matches!(self, Self::Unavailable(error) if error.is::<UnknownClaims>())
    }

    /// Returns the text for log lines.
    pub(crate) fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Failed(error) | Self::Unavailable(error) => error.to_string().into(),
            Self::Denied => "denied".into(),
            Self::NotFound => "notFound".into(),
            Self::UnknownType => "unknownType".into(),
            Self::WrongChannel => "wrongChannel".into(),
            Self::Gone => "the client has left".into(),
            Self::Undo { reason, .. } => reason.as_str().into(),
        }
    }

    /// Creates a [`Failed`](Self::Failed) from a message.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into().into())
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// Returns `true` for errors of the databases that may pass, also if another error wraps them.
fn is_transient(error: &(dyn std::error::Error + 'static)) -> bool {
    #[cfg(feature = "sqlite")]
    if let Some(error) = error.downcast_ref::<logux_sqlite::SqliteError>() {
        return error.is_transient();
    }
    #[cfg(feature = "postgres")]
    if let Some(error) = error.downcast_ref::<logux_postgres::PostgresError>() {
        return error.is_transient();
    }
    error.source().is_some_and(is_transient)
}
