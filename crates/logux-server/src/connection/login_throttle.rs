//! Wrong logins are slowed down: who guesses tokens gets few tries in a time.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use logux::MonoTime;

/// How long a wrong login counts, as in the reference.
const COUNTS_FOR_MS: u64 = 3_000;
/// How many addresses are remembered at most. Beyond it those in use longest ago give way.
const MAX_ADDRESSES: usize = 10_000;

/// The latest wrong logins by address.
#[derive(Debug)]
pub(crate) struct Attempts {
    allowed: Option<usize>,
    wrong: Mutex<HashMap<IpAddr, VecDeque<MonoTime>>>,
}

impl Attempts {
    /// After `allowed` wrong logins from one address within 3 s no login from there is right, until some have ceased to count.
    pub(crate) fn new(allowed: Option<usize>) -> Self {
        Self { allowed, wrong: Mutex::default() }
    }

    fn wrong(&self) -> MutexGuard<'_, HashMap<IpAddr, VecDeque<MonoTime>>> {
        // A panic of another holder leaves the map whole: every change is one call.
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an address has used up its tries.
    pub(crate) fn are_used_up(&self, now: MonoTime, address: IpAddr) -> bool {
        let Some(allowed) = self.allowed else { return false };
        let counting =
            |times: &VecDeque<MonoTime>| times.iter().filter(|time| counts(now, **time)).count();
        self.wrong().get(&network(address)).is_some_and(|times| counting(times) >= allowed)
    }

    /// Notes a wrong login, or one that was refused because there were too many.
    pub(crate) fn note(&self, now: MonoTime, address: IpAddr) {
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
    now.since(time) < COUNTS_FOR_MS
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
        let attempts = Attempts::new(Some(3));
        let [guesser, other] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
        for ms in [0, 1_000, 2_000] {
            assert!(!attempts.are_used_up(at(ms), guesser));
            attempts.note(at(ms), guesser);
        }
        assert!(
            attempts.are_used_up(at(2_999), guesser) && !attempts.are_used_up(at(2_999), other)
        );
        assert!(!attempts.are_used_up(at(3_000), guesser), "the first does not count any more");
        attempts.note(at(3_000), guesser);
        assert!(attempts.are_used_up(at(3_999), guesser), "going on guessing keeps the door shut");
    }

    #[test]
    fn networks_of_ipv6_count_as_one_and_there_is_a_bound() {
        let attempts = Attempts::new(Some(1));
        attempts.note(at(0), "2001:db8::1".parse().unwrap());
        assert!(attempts.are_used_up(at(1), "2001:db8::2".parse().unwrap()));
        assert!(!attempts.are_used_up(at(1), "2001:db8:0:1::1".parse().unwrap()));
        for n in 0..u32::try_from(MAX_ADDRESSES).unwrap() + 5 {
            attempts.note(at(1), IpAddr::V4(n.into()));
        }
        assert_eq!(attempts.wrong().len(), MAX_ADDRESSES);
        let without = Attempts::new(None);
        without.note(at(0), "10.0.0.1".parse().unwrap());
        assert!(!without.are_used_up(at(0), "10.0.0.1".parse().unwrap()));
    }
}
