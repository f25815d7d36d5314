//! The two clocks of the machine, for the engine, which has none.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use logux::{MonoTime, Now};
use tokio::time::{Instant, sleep_until};

/// Reads both clocks. Monotonic time counts from the moment when this was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Begins to count.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mono = self.0.elapsed().as_millis();
        Now::from_millis(i64::try_from(wall).unwrap_or(i64::MAX), u64::try_from(mono).unwrap_or(u64::MAX))
    }

    /// Waits until the moment of a deadline, or for ever if there is none.
    pub async fn until(&self, at: Option<MonoTime>) {
        match at {
            Some(at) => sleep_until(self.0 + Duration::from_millis(at.as_millis())).await,
            None => core::future::pending().await,
        }
    }
}
