//! A back end that is down is not asked again and again: a circuit breaker.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use logux::MonoTime;

use crate::telemetry::{Telemetry, event::Event};

/// Counts failures in a row. After too many of them nothing is tried for a while, then one request alone.
#[derive(Debug)]
pub(super) struct Breaker {
    max_failures: u32,
    reset_timeout: Duration,
    state: Mutex<State>,
    telemetry: Telemetry,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// When to try again.
    retry_at: MonoTime,
    /// Whether the one request is under way.
    is_trying: bool,
}

impl Breaker {
    pub(super) fn new(max_failures: u32, reset_timeout: Duration, telemetry: Telemetry) -> Self {
        Self {
            max_failures: max_failures.max(1),
            reset_timeout,
            state: Mutex::default(),
            telemetry,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Its fields are numbers: a panic of another holder leaves them usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request may be made now. Each one has to be followed by [`succeeded`](Self::succeeded) or [`failed`](Self::failed).
    pub(super) fn may_try(&self, now: MonoTime) -> bool {
        let mut state = self.state();
        if state.failures < self.max_failures {
            return true;
        }
        let may = !state.is_trying && now >= state.retry_at;
        state.is_trying |= may;
        may
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        if state.failures >= self.max_failures {
            self.telemetry.record(&Event::BackendBack);
        }
        *state = State::default();
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
    fn it_opens_tries_one_and_closes() {
        let at = MonoTime::from_millis;
        let breaker = Breaker::new(2, Duration::from_millis(100), Telemetry::default());
        assert!(breaker.may_try(at(0)));
        breaker.failed(at(0));
        assert!(breaker.may_try(at(1)), "one failure is not enough");
        breaker.failed(at(1));
        assert!(!breaker.may_try(at(100)));
        assert!(breaker.may_try(at(101)) && !breaker.may_try(at(101)), "one request tries");
        breaker.failed(at(110));
        assert!(!breaker.may_try(at(209)) && breaker.may_try(at(210)));
        breaker.succeeded();
        assert!(breaker.may_try(at(211)) && breaker.may_try(at(211)));
    }
}
