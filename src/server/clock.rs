//! The server's time, which does not go back.

use core::{ops::ControlFlow, time::Duration};

use super::{HubLog, retention::approval};
use crate::{
    log::LogError,
    store::{Query, Store},
    time::WallTime,
};

/// How many entries are looked at for the latest time before a start.
const LOOKED_AT: usize = 1_000;

/// The latest time that was.
///
/// Who was away tells by a time of the server's what it has got last, so a clock that is set back, also between two starts, must not make later what came earlier. Until
/// the clock has caught up, time stands still. That has a bound: a clock that was far ahead by mistake may be corrected.
#[derive(Debug)]
pub(super) struct Clock {
    latest: WallTime,
    max_ahead: Duration,
}

impl Clock {
    /// A clock that goes on behind the times in a log, if it is not more than `max_ahead` behind them.
    pub(super) fn of<S: Store>(
        log: &HubLog<S>,
        max_ahead: Duration,
    ) -> Result<Self, LogError<S::Error>> {
        let (mut latest, mut left) = (WallTime::MIN, LOOKED_AT);
        log.walk(&Query::added(), |entry| {
            let id = &entry.meta.id;
            let made = Some(id.time()).filter(|_| id.node().is_server());
            latest = made.into_iter().chain(approval(&entry.meta)).fold(latest, WallTime::max);
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(Self { latest, max_ahead })
    }

    /// The time when the machine's clock says `now`.
    pub(super) fn read(&mut self, now: WallTime) -> WallTime {
        let behind = u64::try_from(self.latest.since(now)).unwrap_or_default();
        if behind == 0 || Duration::from_millis(behind) > self.max_ahead {
            self.latest = now;
        }
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_until_the_clock_has_caught_up() {
        let mut clock =
            Clock { latest: WallTime::from_millis(1_000), max_ahead: Duration::from_millis(300) };
        let read = [900, 999, 1_001, 701, 700, 710]
            .map(|ms| clock.read(WallTime::from_millis(ms)).as_millis());
        assert_eq!(read, [1_000, 1_000, 1_001, 1_001, 700, 710]);
    }
}
