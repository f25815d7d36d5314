//! The stages of a server's life.

use std::time::Duration;

/// How far a server is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is not.
    Serving,
    /// What is in progress is finished, nothing new begins.
    Draining,
    /// Everybody is told to go.
    Leaving,
}

/// How long a server that stops waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) finish: Duration,
    pub(crate) leave: Duration,
}
