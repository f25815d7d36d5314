//! Limits the wrong secrets of control requests from one address, so that the secret cannot be
//! guessed. Logins of clients do not count here: see `connection/login_throttle`.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use logux::MonoTime;

use crate::networks::network;

/// The time for which a wrong secret counts, as in the reference.
const WINDOW: Duration = Duration::from_secs(3);
/// The largest number of remembered addresses. When it is exceeded, the address with the oldest
/// last failure is forgotten.
const MAX_ADDRESSES: usize = 10_000;

/// The number of wrong secrets within [`WINDOW`] after which an address is blocked, as in the
/// reference.
const MAX_FAILURES: usize = 3;

/// The sender of a request. `None` if its address is not known: all such senders count as one.
type Sender = Option<IpAddr>;

/// The latest wrong secrets by sender.
#[derive(Debug, Default)]
pub(crate) struct SecretThrottle(Mutex<HashMap<Sender, VecDeque<MonoTime>>>);

impl SecretThrottle {
    fn failures(&self) -> MutexGuard<'_, HashMap<Sender, VecDeque<MonoTime>>> {
        // A poisoned lock is consistent: no change of the map can panic halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns `true` if a sender has reached the limit.
    pub(crate) fn is_blocked(&self, now: MonoTime, sender: Sender) -> bool {
        let recent =
            |times: &VecDeque<MonoTime>| times.iter().filter(|time| is_recent(now, **time)).count();
        self.failures().get(&sender.map(network)).is_some_and(|times| recent(times) >= MAX_FAILURES)
    }

    /// Records a wrong secret. O(1) on average; O(addresses) if the map is full.
    pub(crate) fn record_failure(&self, now: MonoTime, sender: Sender) {
        let mut failures = self.failures();
        let address = sender.map(network);
        if failures.len() >= MAX_ADDRESSES && !failures.contains_key(&address) {
            failures.retain(|_, times| times.back().is_some_and(|time| is_recent(now, *time)));
            let oldest = failures
                .iter()
                .min_by_key(|(_, times)| times.back().copied())
                .map(|(address, _)| *address);
            if let (true, Some(oldest)) = (failures.len() >= MAX_ADDRESSES, oldest) {
                failures.remove(&oldest);
            }
        }
        let times = failures.entry(address).or_default();
        times.push_back(now);
        while times.len() > MAX_FAILURES {
            times.pop_front();
        }
    }
}

fn is_recent(now: MonoTime, time: MonoTime) -> bool {
    now.since(time) < WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_millis(ms)
    }

    #[test]
    fn three_wrong_secrets_in_three_seconds_block_an_address() {
        let throttle = SecretThrottle::default();
        let [guesser, other] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().ok());
        for ms in [0, 1_000, 2_000] {
            assert!(!throttle.is_blocked(at(ms), guesser));
            throttle.record_failure(at(ms), guesser);
        }
        assert!(throttle.is_blocked(at(2_999), guesser) && !throttle.is_blocked(at(2_999), other));
        assert!(!throttle.is_blocked(at(3_000), guesser), "the first failure has expired");
    }

    #[test]
    fn senders_without_an_address_count_as_one_and_addresses_are_bounded() {
        let throttle = SecretThrottle::default();
        for _ in 0..MAX_FAILURES {
            throttle.record_failure(at(0), None);
        }
        assert!(throttle.is_blocked(at(1), None));
        for n in 0..u32::try_from(MAX_ADDRESSES).unwrap() + 5 {
            throttle.record_failure(at(1), Some(IpAddr::V4(n.into())));
        }
        assert_eq!(throttle.failures().len(), MAX_ADDRESSES);
    }
}
