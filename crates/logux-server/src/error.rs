//! What can go wrong, sorted by who can do something about it.

use std::borrow::Cow;

use logux::Json;

/// The server cannot be built or started as it was described.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Nobody decides who gets in.
    #[error("the server needs to know who may connect: call `auth` on the builder")]
    NoAuth,
    /// A type has handlers already.
    #[error("action type `{0}` has handlers already: register it once")]
    DuplicateType(String),
    /// Logux's own types have their meaning already.
    #[error("action type `{0}` belongs to Logux itself: choose another name")]
    ReservedType(String),
    /// A channel pattern has handlers already.
    #[error("channel `{0}` has handlers already: register it once")]
    DuplicateChannel(String),
    /// The rest of the types or channels has handlers already.
    #[error("there are handlers for {0} already: register them once")]
    DuplicateFallback(&'static str),
    /// A channel pattern cannot be read.
    #[error("cannot read channel pattern `{pattern}`: {why}; expected a form such as `users/:id`")]
    ChannelPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The range of supported versions cannot be read.
    #[error("cannot read `{range}` as an npm SemVer range such as `^1.0.0`")]
    Supports {
        /// The range.
        range: String,
    },
    /// A certificate or a key cannot be used.
    #[error("cannot use `{what}` for TLS: {why}")]
    Tls {
        /// The file, or that it is a text.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// An HTTP route cannot be added.
    #[error("cannot answer HTTP at `{path}`: {why}")]
    Route {
        /// Its path.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The back end cannot be used.
    #[error("cannot use `{url}` as the back end: {why}")]
    Backend {
        /// Its URL.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// A part of a list of addresses and networks cannot be read.
    #[error("cannot read `{network}` as an address or a network such as 10.0.0.0/8")]
    Mask {
        /// The part.
        network: String,
    },
    /// The store failed.
    #[error("the server's log cannot be read: {0}")]
    Store(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the operating system says.
        source: std::io::Error,
    },
}

/// Why a handler did not do what it was asked. Made from any error by `?`; the client gets `logux/undo`, never the error's text.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandlerError {
    /// Something broke: undone with the reason `error`.
    Failed(Box<dyn std::error::Error + Send + Sync>),
    /// The author may not do it: undone with `denied`.
    Denied,
    /// There is no such thing: undone with `notFound`.
    NotFound,
    /// There is no such type, as found out by handlers for several: undone with `unknownType`.
    UnknownType,
    /// There is no such channel, as found out by handlers for several: undone with `wrongChannel`.
    WrongChannel,
    /// Undone with a reason and keys of the application's own.
    Undo {
        /// Why.
        reason: String,
        /// Further keys of `logux/undo`.
        extra: Vec<(String, Json)>,
    },
}

impl HandlerError {
    /// Undone with a reason of the application's own.
    pub fn undo(reason: impl Into<String>) -> Self {
        Self::Undo { reason: reason.into(), extra: Vec::new() }
    }

    /// For log lines.
    pub(crate) fn in_words(&self) -> Cow<'_, str> {
        match self {
            Self::Failed(error) => error.to_string().into(),
            Self::Denied => "denied".into(),
            Self::NotFound => "notFound".into(),
            Self::UnknownType => "unknownType".into(),
            Self::WrongChannel => "wrongChannel".into(),
            Self::Undo { reason, .. } => reason.as_str().into(),
        }
    }

    /// Something broke, in words.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into().into())
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::Failed(Box::new(error))
    }
}
