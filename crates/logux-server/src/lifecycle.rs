//! The stages of a server's life.

use std::time::Duration;

/// The stage of a server's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifecycle {
    /// It serves clients.
    Serving,
    /// Actions in progress are finished, new ones are not accepted.
    Draining,
    /// All connections are closed.
    Disconnecting,
}

/// How long a server that stops waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShutdownTimeouts {
    /// For actions in progress.
    pub(crate) drain: Duration,
    /// For clients to read what is queued for them.
    pub(crate) disconnect: Duration,
}
