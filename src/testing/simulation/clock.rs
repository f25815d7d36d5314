//! Clocks that are wrong, and the numbers that decide.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::time::{MonoTime, Now, WallTime};

/// The clock of a device: an offset, a drift, and jumps on top of the world's time.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::testing) struct Clock {
    /// How far it is off in the beginning, and by jumps, in milliseconds.
    pub(in crate::testing) offset_ms: i64,
    /// How much faster than the world's it goes, in millionths.
    pub(in crate::testing) drift_ppm: i64,
}

impl Clock {
    /// What it shows, `ms` after the beginning of the world.
    pub(in crate::testing) fn now(self, ms: u64) -> Now {
        let elapsed = i64::try_from(ms).unwrap_or(i64::MAX);
        let drift = elapsed.saturating_mul(self.drift_ppm) / 1_000_000;
        let wall = WallTime::from_millis(BEGINNING_MS)
            .shifted(elapsed)
            .shifted(drift)
            .shifted(self.offset_ms);
        Now { wall, mono: MonoTime::from_millis(ms) }
    }
}

/// When the world begins: some day in 2019, in milliseconds since the epoch.
const BEGINNING_MS: i64 = 1_564_508_138_460;

/// The random choices of a simulation. The generator is ChaCha with 8 rounds, whose values for a seed
/// are the same on every platform and in every version, so that a seed stays a test.
#[derive(Clone, Debug)]
pub(in crate::testing) struct Chance(ChaCha8Rng);

impl Chance {
    pub(in crate::testing) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Returns a number from `low` to `high`, both included. `low` if `high` is less.
    pub(in crate::testing) fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.random_range(low..=high.max(low))
    }

    /// Returns `true` with a probability of 1 in `times`. Never for 0.
    pub(in crate::testing) fn once_in(&mut self, times: u64) -> bool {
        times > 0 && self.between(1, times) == 1
    }
}
