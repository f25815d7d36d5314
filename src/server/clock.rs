//! The server's time, which does not go backwards.

use core::{ops::ControlFlow, time::Duration};

use super::{HubLog, retention::approval_time};
use crate::{
    log::LogError,
    store::{Query, Store},
    time::WallTime,
};

/// The number of entries that are read at the start, to find the latest time.
const MAX_ENTRIES_READ: usize = 1_000;

/// A clock that does not go backwards.
///
/// A client that reconnects states by a time of the server which action it received last. A system
/// clock that is set back, even between two starts, must not give a later time to an earlier
/// action. While the system clock is behind the latest time, time stands still. The difference has
/// a bound, so that a system clock that was far ahead by mistake can be corrected.
#[derive(Debug)]
pub(super) struct ServerClock {
    latest: WallTime,
    max_ahead: Duration,
}

impl ServerClock {
    /// Creates a clock that ignores times of the log that are more than `max_ahead` after the
    /// system clock.
    pub(super) const fn new(max_ahead: Duration) -> Self {
        Self { latest: WallTime::MIN, max_ahead }
    }

    /// Continues after the latest time in a log.
    pub(super) fn read_log<S: Store>(&mut self, log: &HubLog<S>) -> Result<(), LogError<S::Error>> {
        let (mut latest, mut remaining) = (self.latest, MAX_ENTRIES_READ);
        log.walk(&Query::added(), |entry| {
            let id = &entry.meta.id;
            let created = Some(id.time()).filter(|_| id.node().is_server());
            latest =
                created.into_iter().chain(approval_time(&entry.meta)).fold(latest, WallTime::max);
            remaining -= 1;
            if remaining == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        self.latest = latest;
        Ok(())
    }

    /// Returns the server's time when the system clock reads `now`.
    pub(super) fn read(&mut self, now: WallTime) -> WallTime {
        let behind_ms = u64::try_from(self.latest.since(now)).unwrap_or_default();
        if behind_ms == 0 || Duration::from_millis(behind_ms) > self.max_ahead {
            self.latest = now;
        }
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_while_the_system_clock_is_behind() {
        let mut clock = ServerClock {
            latest: WallTime::from_millis(1_000),
            max_ahead: Duration::from_millis(300),
        };
        let read = [900, 999, 1_001, 701, 700, 710]
            .map(|ms| clock.read(WallTime::from_millis(ms)).as_millis());
        assert_eq!(read, [1_000, 1_000, 1_001, 1_001, 700, 710]);
    }
}
