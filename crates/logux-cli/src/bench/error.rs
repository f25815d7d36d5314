//! The error of `logux bench`.

use std::{io, time::Duration};

use logux_net::NetError;

/// A measurement could not be completed. The message is one line for the user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error(
        "{0}: expected a ws:// URL; TLS is not supported, because it would slow down the clients"
    )]
    UnsupportedUrl(String),
    #[error("{url}: {error}")]
    Resolve { url: String, error: io::Error },
    #[error("{0}: the host has no address")]
    NoAddress(String),
    #[error("the server did not accept the WebSocket connection: {0:?}")]
    Upgrade(String),
    #[error("the server sent an invalid WebSocket frame: {0}")]
    Frame(#[from] NetError),
    /// The `error` message of the server.
    #[error("the server sent an error: {0}")]
    Rejected(String),
    /// The actions of the server, with `logux/undo`.
    #[error("the server undid an action: {0}")]
    Undone(String),
    #[error("a client was disconnected: {0}")]
    Disconnected(String),
    #[error("the server sent nothing for {} s", .0.as_secs())]
    Unresponsive(Duration),
    #[error("--pid is required: the process of the server, whose memory is measured")]
    MissingPid,
    #[error("{path}: {error}")]
    ReadProc { path: String, error: io::Error },
    #[error("{0}: unexpected format")]
    ParseProc(String),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}
