//! A pause for clients that replace each other's connections: two programs with one node id would
//! otherwise disconnect each other as fast as they can.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use logux::MonoTime;

/// The number of replacements in a burst that cost nothing: a client on a bad network reconnects
/// before the server notices that its previous connection is dead.
const FREE: u32 = 3;
/// The pause after that; it doubles with each further replacement.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The largest pause.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// The time without a replacement after which a burst has ended.
const BURST_ENDS_AFTER: Duration = Duration::from_secs(60);
/// The largest number of clients that are remembered.
const MAX_CLIENTS: usize = 10_000;

/// Counts for each client the connections that a newer one has replaced.
#[derive(Debug, Default)]
pub(crate) struct Replacements(Mutex<HashMap<Arc<str>, Burst>>);

#[derive(Clone, Copy, Debug)]
struct Burst {
    count: u32,
    last: MonoTime,
}

impl Replacements {
    fn bursts(&self) -> MutexGuard<'_, HashMap<Arc<str>, Burst>> {
        // A poisoned lock is consistent: every change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a connection of a client was replaced.
    pub(crate) fn record(&self, now: MonoTime, client: &str) {
        let mut bursts = self.bursts();
        if bursts.len() >= MAX_CLIENTS && !bursts.contains_key(client) {
            bursts.retain(|_, burst| burst.is_active(now));
            if bursts.len() >= MAX_CLIENTS {
                return;
            }
        }
        let burst = bursts.entry(client.into()).or_insert(Burst { count: 0, last: now });
        let count = if burst.is_active(now) { burst.count.saturating_add(1) } else { 1 };
        *burst = Burst { count, last: now };
    }

    /// Returns how long a new connection of a client has to wait, if it has to.
    pub(crate) fn pause(&self, now: MonoTime, client: &str) -> Option<Duration> {
        let burst = self.bursts().get(client).copied().filter(|burst| burst.is_active(now))?;
        let doublings = burst.count.checked_sub(FREE)?;
        Some(FIRST_PAUSE.saturating_mul(1 << doublings.min(16)).min(MAX_PAUSE))
    }
}

impl Burst {
    fn is_active(&self, now: MonoTime) -> bool {
        now.since(self.last) < BURST_ENDS_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_within_a_burst() {
        let replacements = Replacements::default();
        let at = MonoTime::from_millis;
        let secs = Duration::from_secs;
        let mut pauses = Vec::new();
        for number in 0..12 {
            pauses.push(replacements.pause(at(number), "10:a").map_or(0, |pause| pause.as_secs()));
            replacements.record(at(number), "10:a");
        }
        assert_eq!(pauses, [0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30, 30]);
        assert_eq!(replacements.pause(at(20), "10:b"), None, "other clients do not wait");
        assert_eq!(replacements.pause(at(60_000), "10:a"), Some(secs(30)));
        assert_eq!(replacements.pause(at(60_011), "10:a"), None, "the burst has ended");
        replacements.record(at(60_011), "10:a");
        assert_eq!(replacements.pause(at(60_012), "10:a"), None);
    }

    #[test]
    fn the_number_of_clients_is_bounded() {
        let replacements = Replacements::default();
        for number in 0..MAX_CLIENTS + 5 {
            replacements.record(MonoTime::from_millis(0), &number.to_string());
        }
        assert_eq!(replacements.bursts().len(), MAX_CLIENTS);
        replacements.record(MonoTime::from_millis(70_000), "new");
        assert_eq!(replacements.bursts().len(), 1);
    }
}
