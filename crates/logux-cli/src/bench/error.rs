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
    #[error(
        "the server has no channel `{0}`: start the example `bench` of logux-server, or set \
         --channel to one of the server's channels"
    )]
    NoChannel(String),
    #[error(
        "the server has no action type `{0}`: start the example `bench` of logux-server, or set \
         --type to one of the server's types"
    )]
    NoType(String),
    #[error(
        "the server denied `{0}` to the clients: set --user and --token of a user who has access"
    )]
    Denied(String),
    /// Another reason of an undo, and the type or channel of the action.
    #[error("the server undid `{subject}` with the reason `{reason}`")]
    Undone { subject: String, reason: String },
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
