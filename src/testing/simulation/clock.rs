//! Clocks that are wrong, and the random choices of a simulation.

use core::{ops::RangeInclusive, time::Duration};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::time::{MonoTime, Now, WallTime, as_millis};

/// The clock of a node: the time of the world with an offset and a drift.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::testing) struct Clock {
    /// The initial error and all jumps, in milliseconds.
    pub(in crate::testing) offset_ms: i64,
    /// How much faster than the world's time it runs, in parts per million.
    pub(in crate::testing) drift_ppm: i64,
}

impl Clock {
    /// Returns the time that it shows, `ms` milliseconds after the start of the world.
    pub(in crate::testing) fn now(self, ms: u64) -> Now {
        let elapsed = i64::try_from(ms).unwrap_or(i64::MAX);
        let drift = elapsed.saturating_mul(self.drift_ppm) / 1_000_000;
        let wall =
            WallTime::from_millis(START_MS).shifted(elapsed).shifted(drift).shifted(self.offset_ms);
        Now { wall, mono: MonoTime::from_millis(ms) }
    }
}

/// The start of every world, a day in 2019, in milliseconds since the epoch.
const START_MS: i64 = 1_564_508_138_460;

/// The random choices of a simulation. The generator is ChaCha with 8 rounds, whose values for a
/// seed are the same on every platform and in every version, so that a seed can be used as a test.
#[derive(Clone, Debug)]
pub(in crate::testing) struct Random(ChaCha8Rng);

impl Random {
    pub(in crate::testing) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Returns a number from `low` to `high`, both inclusive. `low` if `high` is less.
    pub(in crate::testing) fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.random_range(low..=high.max(low))
    }

    /// Returns a duration from a range, in milliseconds.
    pub(in crate::testing) fn within(&mut self, range: &RangeInclusive<Duration>) -> u64 {
        self.between(as_millis(*range.start()), as_millis(*range.end()))
    }

    /// Returns a number from `-bound` to `bound`, both inclusive.
    pub(in crate::testing) fn around_zero(&mut self, bound: u64) -> i64 {
        let number = self.between(0, 2 * bound);
        i64::try_from(number).unwrap_or(0) - i64::try_from(bound).unwrap_or(0)
    }

    /// Returns `true` with a probability of 1 in `n`. Never for 0.
    pub(in crate::testing) fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.between(1, n) == 1
    }
}
