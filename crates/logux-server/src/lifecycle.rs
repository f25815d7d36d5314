//! The stages of a server and the timeouts of its shutdown.

use std::time::Duration;

/// The stage of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifecycle {
    /// The server serves clients.
    Serving,
    /// Actions in progress are completed; new actions are not accepted.
    Draining,
    /// All connections are being closed.
    Disconnecting,
}

/// How long a shutdown waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShutdownTimeouts {
    /// The time for actions in progress to complete.
    pub(crate) drain: Duration,
    /// The time for clients to read their queued messages.
    pub(crate) disconnect: Duration,
}
