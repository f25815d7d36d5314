//! The error of a subcommand.

use std::io;

use logux::action::{ActionError, IdError};
use logux_client::SyncError;
use logux_net::NetError;
use logux_server::{BuildError, ServerError};
use logux_sqlite::SqliteError;

use crate::{
    bench::error::BenchError, client_args::ConnectError, client_tls::CaError,
    config::error::ConfigError, documents::client::DocumentsError, explain::ExplainError,
    otlp::OtlpError,
};

/// A subcommand failed. The message is one line for the user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Otlp(#[from] OtlpError),
    #[error(transparent)]
    Bench(#[from] BenchError),
    #[error(transparent)]
    UserId(#[from] IdError),
    #[error(transparent)]
    Url(#[from] NetError),
    #[error("{0} is not encrypted: use wss://, or allow it with --insecure")]
    Insecure(String),
    #[error(transparent)]
    Action(#[from] ActionError),
    #[error(transparent)]
    Sync(#[from] SyncError),
    #[error("there is no secret to sign with: set LOGUX_SECRET or --secret-file")]
    NoSecret,
    #[error("cannot sign the token: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A channel and the reason why the subscription was undone.
    #[error("the server refused the subscription to `{channel}`: {reason}")]
    Subscription { channel: String, reason: String },
    #[error(transparent)]
    Database(#[from] SqliteError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("Unix sockets are not supported on this platform")]
    #[cfg(not(unix))]
    NoUnixSockets,
    #[error(transparent)]
    Explain(#[from] ExplainError),
    #[error(transparent)]
    Documents(#[from] DocumentsError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}
