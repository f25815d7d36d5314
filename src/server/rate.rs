//! Rates, and token buckets that limit something to a rate.

use core::{fmt, hash::Hash, num::NonZeroU32, str::FromStr, time::Duration};
use std::{borrow::Borrow, collections::HashMap};

use crate::time::MonoTime;

/// A number of tokens per period, such as `100/s`, `30/m` or `1000/h`. It allows bursts of the full
/// number; tokens are refilled continuously.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    count: NonZeroU32,
    per_ms: NonZeroU32,
}

/// The error of parsing a [`Rate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateError;

impl Rate {
    /// Creates a rate of `count` in `per`. `None` if `count` is 0, or `per` is less than 1 ms or
    /// more than [`u32::MAX`] ms.
    pub fn new(count: u32, per: Duration) -> Option<Self> {
        let per_ms = u32::try_from(per.as_millis()).ok()?;
        match (NonZeroU32::new(count), NonZeroU32::new(per_ms)) {
            (Some(count), Some(per_ms)) => Some(Self { count, per_ms }),
            _ => None,
        }
    }

    /// Converts tokens to units of 1 ms divided by the count, in which nothing is rounded.
    fn token_units(self, tokens: u64) -> u128 {
        u128::from(tokens) * u128::from(self.per_ms.get())
    }

    /// Converts a time to units.
    fn time_units(self, time: MonoTime) -> u128 {
        u128::from(time.as_millis()) * u128::from(self.count.get())
    }

    /// Converts units to milliseconds, rounded up.
    fn units_to_ms(self, units: u128) -> u64 {
        units.div_ceil(u128::from(self.count.get())).try_into().unwrap_or(u64::MAX)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (count, unit) = text.split_once('/').ok_or(RateError)?;
        let per = match unit.trim() {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            "h" => Duration::from_hours(1),
            _ => return Err(RateError),
        };
        count.trim().parse().ok().and_then(|count| Self::new(count, per)).ok_or(RateError)
    }
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a rate such as 100/s, 30/m or 1000/h")
    }
}

impl core::error::Error for RateError {}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, per_ms) = (self.count, self.per_ms);
        match per_ms.get() {
            1_000 => write!(f, "{count}/s"),
            60_000 => write!(f, "{count}/m"),
            3_600_000 => write!(f, "{count}/h"),
            _ => write!(f, "{count} in {per_ms} ms"),
        }
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A token bucket. Its capacity is the number of tokens of a [`Rate`], which also refills it. It
/// starts full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenBucket {
    /// The time when the bucket will be full, in the rate's units.
    full_at: u128,
}

impl TokenBucket {
    /// Takes tokens, even if the bucket does not have enough of them. Returns the time when all of
    /// them are available: `now`, or later if tokens are missing. For operations that can be
    /// delayed. O(1).
    pub fn acquire(&mut self, rate: Rate, now: MonoTime, tokens: u64) -> MonoTime {
        self.full_at =
            self.full_at.max(rate.time_units(now)).saturating_add(rate.token_units(tokens));
        now.after(Duration::from_millis(self.wait_ms(rate, now)))
    }

    /// Takes one token if one is available. For operations that can be refused. O(1).
    ///
    /// # Errors
    /// If no token is available, the time until there is one.
    pub fn try_acquire(&mut self, rate: Rate, now: MonoTime) -> Result<(), Duration> {
        let mut acquired = *self;
        acquired.acquire(rate, now, 1);
        match acquired.wait_ms(rate, now) {
            0 => {
                *self = acquired;
                Ok(())
            }
            wait => Err(Duration::from_millis(wait)),
        }
    }

    /// Whether the bucket is full, like a new one.
    pub fn is_full(&self, rate: Rate, now: MonoTime) -> bool {
        self.full_at <= rate.time_units(now)
    }

    fn wait_ms(self, rate: Rate, now: MonoTime) -> u64 {
        let capacity = rate.token_units(rate.count.get().into());
        let limit = rate.time_units(now).saturating_add(capacity);
        rate.units_to_ms(self.full_at.saturating_sub(limit))
    }
}

/// Token buckets of one rate, by key. Full buckets are removed from time to time, so there are at
/// most twice as many buckets as keys that were used within the period of the rate (or 1,024).
#[derive(Clone, Debug)]
pub struct TokenBuckets<K> {
    rate: Rate,
    in_use: HashMap<K, TokenBucket>,
    /// The number of buckets from which the full ones are removed.
    cleanup_at: usize,
}

/// The least number of buckets from which the full ones are removed.
const MIN_CLEANUP: usize = 1_024;

impl<K: Hash + Eq> TokenBuckets<K> {
    /// Creates a set of buckets, all of them full.
    pub fn new(rate: Rate) -> Self {
        Self { rate, in_use: HashMap::new(), cleanup_at: MIN_CLEANUP }
    }

    /// Calls [`TokenBucket::acquire`] for the bucket of a key. O(1) on average.
    pub fn acquire<Q>(&mut self, key: &Q, now: MonoTime, tokens: u64) -> MonoTime
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        Q: Hash + Eq + ?Sized,
    {
        let rate = self.rate;
        self.bucket(key, now).acquire(rate, now, tokens)
    }

    /// Calls [`TokenBucket::try_acquire`] for the bucket of a key. O(1) on average.
    ///
    /// # Errors
    /// If no token is available, the time until there is one.
    pub fn try_acquire<Q>(&mut self, key: &Q, now: MonoTime) -> Result<(), Duration>
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        Q: Hash + Eq + ?Sized,
    {
        let rate = self.rate;
        self.bucket(key, now).try_acquire(rate, now)
    }

    fn bucket<Q>(&mut self, key: &Q, now: MonoTime) -> &mut TokenBucket
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.in_use.len() >= self.cleanup_at {
            let rate = self.rate;
            self.in_use.retain(|_, bucket| !bucket.is_full(rate, now));
            self.cleanup_at = MIN_CLEANUP.max(self.in_use.len() * 2);
        }
        self.in_use.entry(key.into()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_millis(ms)
    }

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn rates_are_parsed_and_displayed() {
        for text in ["100/s", "30/m", "1/h"] {
            assert_eq!(rate(text).to_string(), text);
        }
        assert_eq!(rate(" 5 / s "), Rate::new(5, Duration::from_secs(1)).unwrap());
        for text in ["", "5", "0/s", "-1/s", "1/d", "x/s", "1.5/s"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError), "{text}");
        }
    }

    #[test]
    fn a_full_bucket_allows_a_burst_and_then_single_tokens() {
        let (rate, mut bucket) = (rate("3/s"), TokenBucket::default());
        for _ in 0..3 {
            assert_eq!(bucket.try_acquire(rate, at(5)), Ok(()));
        }
        assert_eq!(bucket.try_acquire(rate, at(5)), Err(Duration::from_millis(334)));
        assert_eq!(
            bucket.try_acquire(rate, at(338)),
            Err(Duration::from_millis(1)),
            "a refused call takes no token"
        );
        assert_eq!(bucket.try_acquire(rate, at(339)), Ok(()));
        assert_eq!(bucket.try_acquire(rate, at(339)), Err(Duration::from_millis(333)));
        assert!(!bucket.is_full(rate, at(1_338)) && bucket.is_full(rate, at(1_339)));
    }

    #[test]
    fn missing_tokens_delay_by_the_exact_time() {
        let (rate, mut bucket) = (rate("3/s"), TokenBucket::default());
        assert_eq!(bucket.acquire(rate, at(0), 3), at(0));
        assert_eq!(bucket.acquire(rate, at(0), 3), at(1_000));
        assert_eq!(bucket.acquire(rate, at(500), 1), at(1_334));
        // One hour at the limit, without rounding errors.
        let (mut now, mut sent) = (at(0), 0_u64);
        let mut bucket = TokenBucket::default();
        while now < at(3_600_000) {
            now = bucket.acquire(rate, now, 1);
            sent += 1;
        }
        assert_eq!(sent, 3 + 3 * 3_600);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut bucket = TokenBucket::default();
        let slow = Rate::new(1, Duration::from_millis(u32::MAX.into())).unwrap();
        assert_eq!(bucket.acquire(slow, at(u64::MAX), u64::MAX), at(u64::MAX));
        assert!(bucket.try_acquire(slow, at(0)).is_err());
    }

    #[test]
    fn full_buckets_are_removed() {
        let mut buckets = TokenBuckets::<String>::new(rate("1/s"));
        for n in 0..MIN_CLEANUP {
            buckets.try_acquire(&*n.to_string(), at(0)).unwrap();
        }
        buckets.try_acquire("another", at(2_000)).unwrap();
        assert_eq!(buckets.in_use.len(), 1);
        buckets.try_acquire("a third", at(2_000)).unwrap();
        assert_eq!(buckets.try_acquire("another", at(2_999)), Err(Duration::from_millis(1)));
    }
}
