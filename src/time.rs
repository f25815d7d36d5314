//! The two clocks of the engine, and deadlines that say why they exist.
//!
//! The engine never asks for the time: the caller passes [`Now`] to each call. Wall time goes into ids
//! and the order of actions; monotonic time goes into time-outs. Neither is ever converted into the other.

use core::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Wall clock time: milliseconds since 1970-01-01T00:00:00Z, as `Date.now()` of JavaScript.
///
/// It is kept within the range of a JavaScript `Date` (±8.64e15 ms), so that every peer can compute with it
/// exactly. Used for ids and for order, never for time-outs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(i64);

impl WallTime {
    /// The latest time that can be expressed: 8.64e15 ms, the end of JavaScript's `Date`.
    pub const MAX: Self = Self(8_640_000_000_000_000);
    /// The earliest time that can be expressed: −8.64e15 ms.
    pub const MIN: Self = Self(-8_640_000_000_000_000);

    /// Takes milliseconds since the epoch; a value outside of [`MIN`](Self::MIN)..=[`MAX`](Self::MAX) is clamped.
    pub const fn from_millis(ms: i64) -> Self {
        if ms > Self::MAX.0 {
            Self::MAX
        } else if ms < Self::MIN.0 {
            Self::MIN
        } else {
            Self(ms)
        }
    }

    /// Takes milliseconds since the epoch, or `None` outside of the range of a JavaScript `Date`.
    pub const fn checked_from_millis(ms: i64) -> Option<Self> {
        if ms > Self::MAX.0 || ms < Self::MIN.0 { None } else { Some(Self(ms)) }
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This time moved by `ms` milliseconds, clamped to the range.
    #[must_use]
    pub const fn shifted(self, ms: i64) -> Self {
        Self::from_millis(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time; negative when `earlier` is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl Serialize for WallTime {
    /// Milliseconds.
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

/// Monotonic time: milliseconds since a moment that the driver chose, such as the start of the process.
///
/// It never steps back. Used for time-outs and round trips, never in ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MonoTime(u64);

impl MonoTime {
    /// Takes milliseconds since the driver's chosen moment.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the driver's chosen moment.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the moment `duration` later, in whole milliseconds.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(as_millis(duration)))
    }

    /// Returns the time from `earlier` to this moment. Zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Whole milliseconds of a duration, at most [`u64::MAX`].
pub(crate) fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Both clocks, read by the driver at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// For ids and order.
    pub wall: WallTime,
    /// For time-outs.
    pub mono: MonoTime,
}

impl Now {
    /// Both clocks from milliseconds: `wall` since the epoch, `mono` since the driver's chosen moment.
    pub const fn from_millis(wall: i64, mono: u64) -> Self {
        Self { wall: WallTime::from_millis(wall), mono: MonoTime::from_millis(mono) }
    }
}

/// When a machine wants to be called again at the latest, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline<R> {
    /// The moment.
    pub at: MonoTime,
    /// What happens then if nothing else does before.
    pub why: R,
}

impl<R> Deadline<R> {
    /// The earlier of two, the first when they are equal.
    #[must_use]
    pub fn earlier(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.at < self.at => other,
            _ => self,
        }
    }
}
