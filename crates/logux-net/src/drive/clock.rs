//! The monotonic clock and the wall clock of the machine, for the engine, which has no clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use logux::{MonoTime, Now, WallTime};
use tokio::time::Instant;

/// Reads both clocks. Monotonic time starts at 0 when the clock is created.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    /// The wall time at the start, or `None` for the system's clock.
    wall: Option<WallTime>,
}

impl Clock {
    /// Creates a clock that starts now.
    pub fn start() -> Self {
        Self { start: Instant::now(), wall: None }
    }

    /// Creates a clock that starts now with the wall time `wall` and advances with tokio's clock.
    /// For tests in virtual time.
    pub fn starting_at(wall: WallTime) -> Self {
        Self { start: Instant::now(), wall: Some(wall) }
    }

    /// Returns the time of both clocks.
    pub fn now(&self) -> Now {
        let elapsed = millis(self.start.elapsed());
        let wall = match self.wall {
            Some(wall) => wall.shifted(i64::try_from(elapsed).unwrap_or(i64::MAX)),
            None => {
                let system =
                    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
                WallTime::from_millis(i64::try_from(system).unwrap_or(i64::MAX))
            }
        };
        Now { wall, mono: MonoTime::from_millis(elapsed) }
    }

    /// Converts a monotonic time to the instant of the runtime's timers.
    pub(super) fn instant(&self, at: MonoTime) -> Instant {
        self.start + Duration::from_millis(at.as_millis())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
