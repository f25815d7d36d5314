//! The time while the store of the server's log cannot write.

use std::time::Duration;

use logux::MonoTime;

/// The delay before the first further attempt; it doubles before each other.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// The largest delay between attempts.
const MAX_DELAY: Duration = Duration::from_secs(2);
/// The time that a store has to work until its next failure is a new outage. A full disk may accept
/// small writes in between.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// The largest time between looks at the received commands.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A time in which the store cannot write.
#[derive(Clone, Debug)]
pub(crate) struct Outage {
    pub(crate) since: MonoTime,
    /// Whether what was not committed is dropped and all connections are closed, so that the hub
    /// has to restart.
    pub(crate) is_closed: bool,
    next_attempt: MonoTime,
    delay: Duration,
}

impl Outage {
    /// Creates an outage. It continues the previous one if that ended a moment ago.
    pub(crate) fn new(now: MonoTime, previous: Option<(&Self, MonoTime)>) -> Self {
        let previous = previous
            .filter(|(_, ended)| now.since(*ended) < STABLE_AFTER)
            .map(|(outage, _)| outage);
        let delay = previous.map_or(FIRST_DELAY, |outage| outage.delay);
        let mut outage = Self { since: now, is_closed: false, next_attempt: now, delay };
        outage.failed(now);
        outage
    }

    /// Creates the outage of a server that starts without its store: no connection is open.
    pub(crate) fn at_start(now: MonoTime) -> Self {
        Self { is_closed: true, ..Self::new(now, None) }
    }

    /// Records a failed attempt.
    pub(crate) fn failed(&mut self, now: MonoTime) {
        self.next_attempt = now.after(self.delay);
        self.delay = (self.delay * 2).min(MAX_DELAY);
    }

    /// Returns `true` if the next attempt is due.
    pub(crate) fn is_due(&self, now: MonoTime) -> bool {
        now >= self.next_attempt
    }

    /// Returns the time to wait before the next look at attempts and commands.
    pub(crate) fn pause(&self, now: MonoTime) -> Duration {
        self.next_attempt.since(now).clamp(Duration::from_millis(1), POLL_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_become_rarer_also_after_a_moment_of_success() {
        let at = MonoTime::from_millis;
        let mut outage = Outage::new(at(1_000), None);
        assert!(!outage.is_due(at(1_049)) && outage.is_due(at(1_050)));
        outage.failed(at(1_050));
        assert!(!outage.is_due(at(1_149)) && outage.is_due(at(1_150)));
        let next = Outage::new(at(1_300), Some((&outage, at(1_200))));
        assert!(!next.is_due(at(1_499)) && next.is_due(at(1_500)));
        let later = Outage::new(at(99_000), Some((&next, at(1_600))));
        assert!(later.is_due(at(99_050)));
    }
}
