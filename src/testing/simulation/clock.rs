//! Clocks that are wrong, and the numbers that decide.

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

/// Numbers from a seed: SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(in crate::testing) struct Chance(u64);

impl Chance {
    pub(in crate::testing) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(in crate::testing) fn between(&mut self, low: u64, high: u64) -> u64 {
        let range = high.saturating_sub(low).saturating_add(1);
        low + self.next() % range.max(1)
    }

    /// Whether something happens that does so once in `times`; never for 0.
    pub(in crate::testing) fn once_in(&mut self, times: u64) -> bool {
        times > 0 && self.between(1, times) == 1
    }
}
