//! Wrong logins are slowed down: who guesses tokens gets few tries in a time.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use logux::MonoTime;

/// How long a wrong login counts, as in the reference.
const COUNTS_FOR: Duration = Duration::from_secs(3);
/// How many addresses are remembered at most. Beyond it those in use longest ago give way.
const MAX_ADDRESSES: usize = 10_000;

/// The latest wrong logins by address.
#[derive(Debug)]
pub(crate) struct LoginThrottle {
    allowed: Option<usize>,
    wrong: Mutex<HashMap<IpAddr, VecDeque<MonoTime>>>,
}

impl LoginThrottle {
    /// After `allowed` wrong logins from one address within 3 s no login from there is right, until some have ceased to count.
    pub(crate) fn new(allowed: Option<usize>) -> Self {
        Self { allowed, wrong: Mutex::default() }
    }

    fn wrong(&self) -> MutexGuard<'_, HashMap<IpAddr, VecDeque<MonoTime>>> {
        // A panic of another holder leaves the map whole: every change is one call.
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an address has used up its tries.
    pub(crate) fn is_blocked(&self, now: MonoTime, address: IpAddr) -> bool {
        let Some(allowed) = self.allowed else { return false };
        let counting =
            |times: &VecDeque<MonoTime>| times.iter().filter(|time| counts(now, **time)).count();
        self.wrong().get(&network(address)).is_some_and(|times| counting(times) >= allowed)
    }

    /// Notes a wrong login, or one that was refused because there were too many.
    pub(crate) fn record_failure(&self, now: MonoTime, address: IpAddr) {
        let Some(allowed) = self.allowed else { return };
        let mut wrong = self.wrong();
        let address = network(address);
        if wrong.len() >= MAX_ADDRESSES && !wrong.contains_key(&address) {
            wrong.retain(|_, times| times.back().is_some_and(|time| counts(now, *time)));
            let oldest = wrong
                .iter()
                .min_by_key(|(_, times)| times.back().copied())
                .map(|(address, _)| *address);
            if let (true, Some(oldest)) = (wrong.len() >= MAX_ADDRESSES, oldest) {
                wrong.remove(&oldest);
            }
        }
        let times = wrong.entry(address).or_default();
        times.push_back(now);
        while times.len() > allowed.max(1) {
            times.pop_front();
        }
    }
}

fn counts(now: MonoTime, time: MonoTime) -> bool {
    now.since(time) < COUNTS_FOR
}

/// What one customer of a provider has: one address of IPv4, 64 bits of IPv6.
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
    fn three_wrong_logins_in_three_seconds_are_enough() {
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
        assert!(
            !login_throttle.is_blocked(at(3_000), guesser),
            "the first does not count any more"
        );
        login_throttle.record_failure(at(3_000), guesser);
        assert!(
            login_throttle.is_blocked(at(3_999), guesser),
            "going on guessing keeps the door shut"
        );
    }

    #[test]
    fn networks_of_ipv6_count_as_one_and_there_is_a_bound() {
        let login_throttle = LoginThrottle::new(Some(1));
        login_throttle.record_failure(at(0), "2001:db8::1".parse().unwrap());
        assert!(login_throttle.is_blocked(at(1), "2001:db8::2".parse().unwrap()));
        assert!(!login_throttle.is_blocked(at(1), "2001:db8:0:1::1".parse().unwrap()));
        for n in 0..u32::try_from(MAX_ADDRESSES).unwrap() + 5 {
            login_throttle.record_failure(at(1), IpAddr::V4(n.into()));
        }
        assert_eq!(login_throttle.wrong().len(), MAX_ADDRESSES);
        let without = LoginThrottle::new(None);
        without.record_failure(at(0), "10.0.0.1".parse().unwrap());
        assert!(!without.is_blocked(at(0), "10.0.0.1".parse().unwrap()));
    }
}
