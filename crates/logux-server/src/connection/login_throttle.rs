//! Slows down wrong logins, so that credentials cannot be guessed, without refusing correct ones.
//!
//! Wrong logins are counted for a user at an address, and for an address. Above a limit, the check
//! of a login waits: 1 s, and twice as long with each further wrong login, up to 10 s. Addresses
//! are shared, by the devices of an office or behind a proxy, so a correct login from such an
//! address is delayed at most. A connection that would exceed the number of waiting logins is
//! closed without an error, after which clients try again; an error would be final for them.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher as _, Hash},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use logux::MonoTime;

use crate::networks::network;

/// The time in which a number of wrong logins equal to the limit is forgotten, one after the other.
const WINDOW: Duration = Duration::from_mins(1);
/// The first delay, after a number of wrong logins equal to the limit.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest delay.
const MAX_DELAY: Duration = Duration::from_secs(10);
/// The number of further wrong logins with which the delay reaches [`MAX_DELAY`].
const MAX_DOUBLINGS: u32 = 4;
/// The largest number of logins from one address that wait.
const MAX_WAITING: usize = 20;
/// The largest number of them for one user, so that one device does not take all places.
const MAX_WAITING_OF_USER: usize = 5;
/// The largest number of remembered users at addresses, and of addresses. When it is exceeded, the
/// one that would be forgotten first is removed.
const MAX_COUNTERS: usize = 10_000;

/// The limits of a [`LoginThrottle`]. `None` is any number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LoginLimits {
    /// The wrong logins of one user from one address before checks wait.
    pub(crate) of_user: Option<u32>,
    /// The wrong logins from one address before checks wait.
    pub(crate) of_address: Option<u32>,
}

/// The latest wrong logins, and the waiting ones.
#[derive(Debug)]
pub(crate) struct LoginThrottle {
    limits: LoginLimits,
    /// Users are remembered by hashes with random keys, because clients choose their ids.
    hasher: RandomState,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    of_users: Counters<UserKey>,
    of_addresses: Counters<IpAddr>,
    waiting: HashMap<Address, usize>,
    waiting_of_users: HashMap<UserKey, usize>,
}

/// An address, or `None` for all clients without one: on a Unix socket. Those count as one address
/// for the number of waiting logins, but not for wrong ones, since the socket may be that of a
/// proxy with all clients behind it.
type Address = Option<IpAddr>;

/// A user at an address.
type UserKey = (Address, u64);

/// Counters that decrease with time: each is the time when it will be 0.
type Counters<K> = HashMap<K, MonoTime>;

/// A login that is being decided.
#[derive(Debug)]
pub(crate) struct LoginAttempt<'a> {
    throttle: &'a LoginThrottle,
    user: UserKey,
    waited: Duration,
}

/// The permission to wait; dropping it frees its place.
#[derive(Debug)]
pub(crate) struct WaitPermit<'a> {
    throttle: &'a LoginThrottle,
    user: UserKey,
    /// The time to wait.
    pub(crate) delay: Duration,
}

/// Too many logins from the address wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooManyWaiting;

impl LoginThrottle {
    pub(crate) fn new(limits: LoginLimits) -> Self {
        Self { limits, hasher: RandomState::default(), counts: Mutex::default() }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A poisoned lock is consistent: no change can panic halfway.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the decision about a login.
    pub(crate) fn attempt(&self, address: Address, user: Option<&str>) -> LoginAttempt<'_> {
        let user = (address.map(network), self.hasher.hash_one(user));
        LoginAttempt { throttle: self, user, waited: Duration::ZERO }
    }
}

impl<'a> LoginAttempt<'a> {
    /// Returns a permit to wait before the login may go on; `None` if it may go on now. To be
    /// called again after each wait, and after the check, because logins run concurrently: only the
    /// first ones of a burst may learn at once whether their credentials are correct. O(1).
    ///
    /// # Errors
    /// [`TooManyWaiting`] if too many logins from the address wait already.
    pub(crate) fn wait(&mut self, now: MonoTime) -> Result<Option<WaitPermit<'a>>, TooManyWaiting> {
        let throttle = self.throttle;
        let mut counts = throttle.counts();
        let of_user = delay(counts.of_users.get(&self.user), throttle.limits.of_user, now);
        let of_address = self.user.0.map_or(Duration::ZERO, |address| {
            delay(counts.of_addresses.get(&address), throttle.limits.of_address, now)
        });
        let needed = of_user.max(of_address);
        let Some(delay) = needed.checked_sub(self.waited).filter(|delay| !delay.is_zero()) else {
            return Ok(None);
        };
        let waiting = counts.waiting.get(&self.user.0).copied().unwrap_or_default();
        let of_user = counts.waiting_of_users.get(&self.user).copied().unwrap_or_default();
        if waiting >= MAX_WAITING || of_user >= MAX_WAITING_OF_USER {
            return Err(TooManyWaiting);
        }
        counts.waiting.insert(self.user.0, waiting + 1);
        counts.waiting_of_users.insert(self.user, of_user + 1);
        self.waited = needed;
        Ok(Some(WaitPermit { throttle, user: self.user, delay }))
    }

    /// Records that the credentials are correct: earlier wrong logins of the user from this address
    /// are forgotten. O(1).
    pub(crate) fn succeeded(self) {
        self.throttle.counts().of_users.remove(&self.user);
    }

    /// Records that the credentials are wrong. O(1) on average; O(counters) if there are too many.
    pub(crate) fn failed(self, now: MonoTime) {
        let mut counts = self.throttle.counts();
        if let Some(limit) = self.throttle.limits.of_user {
            count(&mut counts.of_users, self.user, limit, now);
        }
        if let (Some(limit), Some(address)) = (self.throttle.limits.of_address, self.user.0) {
            count(&mut counts.of_addresses, address, limit, now);
        }
    }
}

impl Drop for WaitPermit<'_> {
    fn drop(&mut self) {
        let mut counts = self.throttle.counts();
        release(&mut counts.waiting, &self.user.0);
        release(&mut counts.waiting_of_users, &self.user);
    }
}

fn release<K: Eq + Hash>(waiting: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = waiting.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            waiting.remove(key);
        }
    }
}

/// Returns the time in which one wrong login is forgotten, in whole milliseconds.
fn decrement_interval(limit: u32) -> Duration {
    let ms = WINDOW.as_millis() / u128::from(limit.max(1));
    Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX).max(1))
}

/// Returns the delay for a counter.
fn delay(zero_at: Option<&MonoTime>, limit: Option<u32>, now: MonoTime) -> Duration {
    let (Some(zero_at), Some(limit)) = (zero_at, limit) else { return Duration::ZERO };
    let interval = decrement_interval(limit).as_millis();
    let failures = zero_at.since(now).as_millis().div_ceil(interval);
    match u32::try_from(failures).unwrap_or(u32::MAX).checked_sub(limit) {
        None => Duration::ZERO,
        Some(further) => MAX_DELAY.min(FIRST_DELAY * 2_u32.pow(further.min(MAX_DOUBLINGS))),
    }
}

/// Increases a counter, to at most the value with the longest delay.
fn count<K: Copy + Eq + Hash>(counters: &mut Counters<K>, key: K, limit: u32, now: MonoTime) {
    if counters.len() >= MAX_COUNTERS && !counters.contains_key(&key) {
        counters.retain(|_, zero_at| *zero_at > now);
        let first = counters.iter().min_by_key(|(_, zero_at)| **zero_at).map(|(key, _)| *key);
        if let (true, Some(first)) = (counters.len() >= MAX_COUNTERS, first) {
            counters.remove(&first);
        }
    }
    let interval = decrement_interval(limit);
    let longest = interval.saturating_mul(limit.saturating_add(MAX_DOUBLINGS));
    let zero_at = counters.entry(key).or_insert(now);
    *zero_at = (*zero_at).max(now).after(interval).min(now.after(longest));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_millis(ms)
    }

    fn throttle() -> LoginThrottle {
        LoginThrottle::new(LoginLimits { of_user: Some(3), of_address: Some(100) })
    }

    fn address(text: &str) -> Address {
        Some(text.parse().unwrap())
    }

    /// Returns the delay of a first check, in seconds.
    fn seconds(throttle: &LoginThrottle, now: u64, address: Address, user: &str) -> u64 {
        let permit = throttle.attempt(address, Some(user)).wait(at(now)).unwrap();
        permit.map_or(0, |permit| permit.delay.as_secs())
    }

    #[test]
    fn delays_double_up_to_ten_seconds_and_are_forgotten() {
        let throttle = throttle();
        let office = address("10.0.0.1");
        let delays: Vec<u64> = (0..9)
            .map(|_| {
                let delay = seconds(&throttle, 0, office, "10");
                throttle.attempt(office, Some("10")).failed(at(0));
                delay
            })
            .collect();
        assert_eq!(delays, [0, 0, 0, 1, 2, 4, 8, 10, 10]);
        assert_eq!(seconds(&throttle, 0, office, "20"), 0, "another user");
        assert_eq!(seconds(&throttle, 0, address("10.0.0.2"), "10"), 0, "another address");
        assert_eq!(seconds(&throttle, 80_000, office, "10"), 1);
        assert_eq!(seconds(&throttle, 100_001, office, "10"), 0);
        throttle.attempt(office, Some("10")).succeeded();
        assert_eq!(seconds(&throttle, 0, office, "10"), 0, "a correct login clears the counter");
    }

    #[test]
    fn wrong_logins_of_many_users_delay_their_address() {
        let throttle = throttle();
        let office = address("2001:db8::1");
        for n in 0..100 {
            assert_eq!(seconds(&throttle, 0, office, "10"), 0);
            throttle.attempt(office, Some(&n.to_string())).failed(at(0));
        }
        assert_eq!(seconds(&throttle, 0, address("2001:db8::2"), "good"), 1, "the same network");
        assert_eq!(seconds(&throttle, 0, address("2001:db8:1::1"), "good"), 0);
        for _ in 0..200 {
            throttle.attempt(None, None).failed(at(0));
        }
        assert_eq!(seconds(&throttle, 0, None, "good"), 0, "no address is not one address");
    }

    #[test]
    fn few_logins_wait() {
        let throttle = throttle();
        let office = address("10.0.0.1");
        let users: Vec<String> = (0..MAX_WAITING).map(|n| n.to_string()).collect();
        for user in &users {
            (0..3).for_each(|_| throttle.attempt(office, Some(user)).failed(at(0)));
        }
        let wait = |user: &str| throttle.attempt(office, Some(user)).wait(at(0));
        let first: Vec<_> = (0..MAX_WAITING_OF_USER).map(|_| wait("0").unwrap()).collect();
        assert!(wait("0").is_err(), "one user takes some places");
        let others: Vec<_> = (0..MAX_WAITING - first.len()).map(|n| wait(&users[n + 1])).collect();
        assert!(others.iter().all(Result::is_ok) && wait("1").is_err());
        assert!(wait("good").is_ok_and(|permit| permit.is_none()), "who need not wait goes on");
        drop((first, others));
        assert!(
            throttle.counts().waiting.is_empty() && throttle.counts().waiting_of_users.is_empty()
        );
    }

    #[test]
    fn a_burst_is_delayed_after_its_first_wrong_logins() {
        let throttle = throttle();
        let mut burst: Vec<_> = (0..5).map(|_| throttle.attempt(None, Some("10"))).collect();
        assert!(
            burst.iter_mut().all(|attempt| attempt.wait(at(0)).is_ok_and(|wait| wait.is_none()))
        );
        let mut last = burst.pop().unwrap();
        burst.into_iter().take(3).for_each(|attempt| attempt.failed(at(0)));
        let permit = last.wait(at(0)).unwrap().expect("a delay after the check");
        assert_eq!(permit.delay, FIRST_DELAY);
        drop(permit);
        throttle.attempt(None, Some("10")).failed(at(500));
        let permit = last.wait(at(1_000)).unwrap().expect("the delay has grown");
        assert_eq!(permit.delay, FIRST_DELAY, "the difference to the new delay");
        drop(permit);
        assert!(last.wait(at(2_000)).is_ok_and(|wait| wait.is_none()));
    }

    #[test]
    fn counters_are_bounded() {
        let throttle = throttle();
        for n in 0..u32::try_from(MAX_COUNTERS).unwrap() + 5 {
            throttle.attempt(Some(IpAddr::V4(n.into())), None).failed(at(0));
        }
        let counts = throttle.counts();
        assert_eq!(counts.of_addresses.len(), MAX_COUNTERS);
        assert_eq!(counts.of_users.len(), MAX_COUNTERS);
    }
}
