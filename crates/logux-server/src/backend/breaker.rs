//! A back end that is down is not asked again and again: a circuit breaker.

use std::sync::{Mutex, MutexGuard, PoisonError};

use logux::MonoTime;

use crate::telemetry::{Watch, event::Event};

/// Counts failures in a row. After too many of them nothing is tried for a while, then one request alone.
#[derive(Debug)]
pub(super) struct Breaker {
    max_failures: u32,
    pause_ms: u64,
    state: Mutex<State>,
    watch: Watch,
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
    pub(super) fn new(max_failures: u32, pause_ms: u64, watch: Watch) -> Self {
        Self { max_failures: max_failures.max(1), pause_ms, state: Mutex::default(), watch }
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
            self.watch.note(&Event::BackendBack);
        }
        *state = State::default();
    }

    pub(super) fn failed(&self, now: MonoTime) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        state.is_trying = false;
        state.retry_at = now.after(self.pause_ms);
        if state.failures == self.max_failures {
            self.watch.note(&Event::BackendDown { pause_ms: self.pause_ms });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_tries_one_and_closes() {
        let at = MonoTime::from_millis;
        let breaker = Breaker::new(2, 100, Watch::default());
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
