//! Whether the server's log can be written now.

use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

/// The status of the server's log, which the hub sets and all other parts read. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogStatus(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: AtomicU8,
    restarts: AtomicU64,
}

/// The state of the server's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogState {
    /// It can be written.
    Available,
    /// It cannot be written now. Connections stay open, and what they send waits.
    Waiting,
    /// It cannot be written. All connections are closed, and new ones are refused.
    Closed,
}

impl LogStatus {
    pub(crate) fn state(&self) -> LogState {
        match self.0.state.load(Ordering::Acquire) {
            0 => LogState::Available,
            1 => LogState::Waiting,
            _ => LogState::Closed,
        }
    }

    pub(crate) fn set(&self, state: LogState) {
        let number = match state {
            LogState::Available => 0,
            LogState::Waiting => 1,
            LogState::Closed => 2,
        };
        if state == LogState::Closed {
            self.0.restarts.fetch_add(1, Ordering::AcqRel);
        }
        self.0.state.store(number, Ordering::Release);
    }

    /// Returns how many times the hub has dropped what was not committed. Handlers that were called
    /// before the last time are called again.
    pub(crate) fn restarts(&self) -> u64 {
        self.0.restarts.load(Ordering::Acquire)
    }
}
