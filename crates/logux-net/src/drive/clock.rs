//! The two clocks of the machine, for the engine, which has none.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use logux::{MonoTime, Now, WallTime};
use tokio::time::Instant;

/// Reads both clocks. Monotonic time counts from the moment when this was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    /// The wall time then, if it is not the system's.
    wall: Option<WallTime>,
}

impl Clock {
    /// Begins to count.
    pub fn start() -> Self {
        Self { start: Instant::now(), wall: None }
    }

    /// Begins to count, with a wall clock that says `wall` now and goes with tokio's: for tests in virtual time.
    pub fn starting_at(wall: WallTime) -> Self {
        Self { start: Instant::now(), wall: Some(wall) }
    }

    /// Both clocks.
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

    /// A moment of the monotonic clock, as the runtime's timers have it.
    pub(super) fn instant(&self, at: MonoTime) -> Instant {
        self.start + Duration::from_millis(at.as_millis())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
