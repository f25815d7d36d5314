//! A circuit breaker: it stops requests to a back end that is down.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use logux::MonoTime;
use tokio::{sync::Notify, time::timeout};

use crate::telemetry::{Telemetry, event::Event};

/// Counts consecutive failures. After `max_failures` of them, no request is allowed for
/// `reset_timeout`, then one at a time.
#[derive(Debug)]
pub(super) struct Breaker {
    max_failures: u32,
    reset_timeout: Duration,
    state: Mutex<State>,
    /// Notified when the back end is back.
    back: Notify,
    telemetry: Telemetry,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// The time of the next attempt.
    retry_at: MonoTime,
    /// Whether the single attempt is in progress.
    is_trying: bool,
}

impl Breaker {
    pub(super) fn new(max_failures: u32, reset_timeout: Duration, telemetry: Telemetry) -> Self {
        Self {
            max_failures: max_failures.max(1),
            reset_timeout,
            state: Mutex::default(),
            back: Notify::new(),
            telemetry,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // All states are valid, so a panic of another holder leaves a usable one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a request would be allowed now.
    pub(super) fn allows(&self, now: MonoTime) -> bool {
        self.pause(&self.state(), now).is_none()
    }

    /// Returns the time after which a request may be allowed. `None`: one is allowed now.
    fn pause(&self, state: &State, now: MonoTime) -> Option<Duration> {
        if state.failures < self.max_failures {
            None
        } else if state.is_trying {
            Some(self.reset_timeout)
        } else {
            Some(state.retry_at.since(now)).filter(|pause| !pause.is_zero())
        }
    }

    /// Allows a request, or returns the time after which to ask again. Each allowed request must be
    /// followed by [`succeeded`](Self::succeeded) or [`failed`](Self::failed).
    pub(super) fn try_acquire(&self, now: MonoTime) -> Result<(), Duration> {
        let mut state = self.state();
        if let Some(pause) = self.pause(&state, now) {
            return Err(pause);
        }
        state.is_trying = state.failures >= self.max_failures;
        Ok(())
    }

    /// Waits until a request may be allowed: for `pause`, or until the back end is back.
    pub(super) async fn wait(&self, pause: Duration) {
        let back = self.back.notified();
        if self.state().failures >= self.max_failures {
            let _ = timeout(pause, back).await;
        }
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        if state.failures >= self.max_failures {
            self.telemetry.record(&Event::BackendBack);
        }
        *state = State::default();
        drop(state);
        self.back.notify_waiters();
    }

    pub(super) fn failed(&self, now: MonoTime) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        state.is_trying = false;
        state.retry_at = now.after(self.reset_timeout);
        if state.failures == self.max_failures {
            self.telemetry.record(&Event::BackendDown { pause: self.reset_timeout });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_allows_one_attempt_and_closes() {
        let at = MonoTime::from_millis;
        let breaker = Breaker::new(2, Duration::from_millis(100), Telemetry::default());
        let pause = Duration::from_millis;
        assert_eq!(breaker.try_acquire(at(0)), Ok(()));
        breaker.failed(at(0));
        assert_eq!(breaker.try_acquire(at(1)), Ok(()), "one failure does not open it");
        breaker.failed(at(1));
        assert_eq!(breaker.try_acquire(at(100)), Err(pause(1)));
        assert_eq!(breaker.try_acquire(at(101)), Ok(()));
        assert_eq!(breaker.try_acquire(at(101)), Err(pause(100)), "only one attempt is allowed");
        breaker.failed(at(110));
        assert_eq!(breaker.try_acquire(at(209)), Err(pause(1)));
        assert_eq!(breaker.try_acquire(at(210)), Ok(()));
        breaker.succeeded();
        assert_eq!([breaker.try_acquire(at(211)), breaker.try_acquire(at(211))], [Ok(()); 2]);
    }
}
