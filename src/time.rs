//! Wall time, monotonic time, and deadlines with their kind.
//!
//! The engine never reads a clock: the caller passes [`Now`] to each call. Ids and the order of
//! actions use wall time; time-outs use monotonic time. Neither is converted into the other.
//!
//! Read [`WallTime`], [`MonoTime`], [`Now`], then [`Deadline`].

use core::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Wall clock time in milliseconds since 1970-01-01T00:00:00Z, like JavaScript's `Date.now()`.
///
/// It is always within the range of a JavaScript `Date` (±8.64e15 ms), so that every peer can
/// compute with it exactly. Used for ids and for order, never for time-outs. In JSON: a number of
/// milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(i64);

impl WallTime {
    /// The latest time: 8.64e15 ms, the end of the range of a JavaScript `Date`.
    pub const MAX: Self = Self(8_640_000_000_000_000);
    /// The earliest time: −8.64e15 ms.
    pub const MIN: Self = Self(-8_640_000_000_000_000);

    /// Creates a time from milliseconds since the epoch. Values outside of
    /// [`MIN`](Self::MIN)..=[`MAX`](Self::MAX) are clamped.
    pub const fn from_millis(ms: i64) -> Self {
        if ms > Self::MAX.0 {
            Self::MAX
        } else if ms < Self::MIN.0 {
            Self::MIN
        } else {
            Self(ms)
        }
    }

    /// Creates a time from milliseconds since the epoch. `None` if `ms` is outside of the range
    /// of a JavaScript `Date`.
    pub const fn checked_from_millis(ms: i64) -> Option<Self> {
        if ms > Self::MAX.0 || ms < Self::MIN.0 { None } else { Some(Self(ms)) }
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns this time plus `ms` milliseconds, clamped to the range.
    #[must_use]
    pub const fn shifted(self, ms: i64) -> Self {
        Self::from_millis(self.0.saturating_add(ms))
    }

    /// Returns this time minus a duration, clamped to the range.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.shifted(ms.saturating_neg())
    }

    /// Returns the milliseconds from `earlier` to this time. Negative if `earlier` is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ms = i64::deserialize(deserializer)?;
        Self::checked_from_millis(ms).ok_or_else(|| {
            D::Error::custom(format_args!("expected a time within ±8.64e15 ms, got {ms}"))
        })
    }
}

impl fmt::Debug for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Monotonic time in milliseconds since an origin that the driver chose, such as the start of the
/// process.
///
/// It never goes backwards. Used for time-outs and round trips, never in ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MonoTime(u64);

impl MonoTime {
    /// Creates a time from milliseconds since the driver's origin.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Returns the milliseconds since the driver's origin.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the time `duration` later, in whole milliseconds. Saturates at [`u64::MAX`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(as_millis(duration)))
    }

    /// Returns the time elapsed since `earlier`. Zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Returns the whole milliseconds of a duration, at most [`u64::MAX`].
pub(crate) fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Both clocks, read by the driver at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// Wall time, for ids and order.
    pub wall: WallTime,
    /// Monotonic time, for time-outs.
    pub mono: MonoTime,
}

impl Now {
    /// Creates both times from milliseconds: `wall` since the epoch, `mono` since the driver's
    /// origin.
    pub const fn from_millis(wall: i64, mono: u64) -> Self {
        Self { wall: WallTime::from_millis(wall), mono: MonoTime::from_millis(mono) }
    }
}

/// The latest time at which a machine has to be called again, and the kind of the time-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline<K> {
    /// The time of the deadline.
    pub at: MonoTime,
    /// What the machine handles at this time if no other input comes first.
    pub kind: K,
}

impl<K> Deadline<K> {
    /// Returns the earlier of two deadlines. `self` if they are equal or `other` is `None`.
    #[must_use]
    pub fn earlier(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.at < self.at => other,
            _ => self,
        }
    }
}
