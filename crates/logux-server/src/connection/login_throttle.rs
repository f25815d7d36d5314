//! Limits the wrong credentials from one address, so that tokens cannot be guessed.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use logux::MonoTime;

/// The time for which a failed login counts, as in the reference.
const WINDOW: Duration = Duration::from_secs(3);
/// The largest number of remembered addresses. When it is exceeded, the address with the oldest
/// last failure is forgotten.
const MAX_ADDRESSES: usize = 10_000;

/// The latest failed logins by address.
#[derive(Debug)]
pub(crate) struct LoginThrottle {
    /// The allowed failures per address. `None` for any number.
    allowed: Option<usize>,
    failures: Mutex<HashMap<IpAddr, VecDeque<MonoTime>>>,
}

impl LoginThrottle {
    /// Creates a throttle that blocks an address with `allowed` failures in the last 3 s.
    pub(crate) fn new(allowed: Option<usize>) -> Self {
        Self { allowed, failures: Mutex::default() }
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<IpAddr, VecDeque<MonoTime>>> {
        // A poisoned lock is consistent: no change of the map can panic halfway.
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns `true` if an address has reached the limit.
    pub(crate) fn is_blocked(&self, now: MonoTime, address: IpAddr) -> bool {
        let Some(allowed) = self.allowed else { return false };
        let recent =
            |times: &VecDeque<MonoTime>| times.iter().filter(|time| is_recent(now, **time)).count();
        self.failures().get(&network(address)).is_some_and(|times| recent(times) >= allowed)
    }

    /// Records a login with wrong credentials, or one that was refused because the address is
    /// blocked. O(1) on average; O(addresses) if the map is full.
    pub(crate) fn record_failure(&self, now: MonoTime, address: IpAddr) {
        let Some(allowed) = self.allowed else { return };
        let mut failures = self.failures();
        let address = network(address);
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
        while times.len() > allowed.max(1) {
            times.pop_front();
        }
    }
}

fn is_recent(now: MonoTime, time: MonoTime) -> bool {
    now.since(time) < WINDOW
}

/// Returns the part of an address that identifies a customer of a provider: the whole IPv4 address,
/// or the first 64 bits of an IPv6 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_millis(ms)
    }

    #[test]
    fn three_failures_in_three_seconds_block_an_address() {
        let login_throttle = LoginThrottle::new(Some(3));
        let [guesser, other] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
        for ms in [0, 1_000, 2_000] {
            assert!(!login_throttle.is_blocked(at(ms), guesser));
            login_throttle.record_failure(at(ms), guesser);
        }
        assert!(
            login_throttle.is_blocked(at(2_999), guesser)
                && !login_throttle.is_blocked(at(2_999), other)
        );
        assert!(!login_throttle.is_blocked(at(3_000), guesser), "the first failure has expired");
        login_throttle.record_failure(at(3_000), guesser);
        assert!(
            login_throttle.is_blocked(at(3_999), guesser),
            "failures while an address is blocked count too"
        );
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address_and_addresses_are_bounded() {
        let login_throttle = LoginThrottle::new(Some(1));
        login_throttle.record_failure(at(0), "2001:db8::1".parse().unwrap());
        assert!(login_throttle.is_blocked(at(1), "2001:db8::2".parse().unwrap()));
        assert!(!login_throttle.is_blocked(at(1), "2001:db8:0:1::1".parse().unwrap()));
        for n in 0..u32::try_from(MAX_ADDRESSES).unwrap() + 5 {
            login_throttle.record_failure(at(1), IpAddr::V4(n.into()));
        }
        assert_eq!(login_throttle.failures().len(), MAX_ADDRESSES);
        let unlimited = LoginThrottle::new(None);
        unlimited.record_failure(at(0), "10.0.0.1".parse().unwrap());
        assert!(!unlimited.is_blocked(at(0), "10.0.0.1".parse().unwrap()));
    }
}
