//! The total order of actions, in one place.

use core::{cmp::Ordering, fmt};

use super::ActionId;
use crate::time::WallTime;

/// An action's place in the order that all nodes agree on. Everything that says "latest" compares stamps.
///
/// Four keys, the first that differs decides: the corrected time, the node id by UTF-16 code unit, the sequence number, the time
/// inside the id. It is the order of `isFirstOlder` in `@logux/core`; `spec/order.md` has the rule and vectors.
///
/// ```
/// use logux::{Stamp, WallTime};
/// let stamp = |id: &str, time| Stamp::new(WallTime::from_millis(time), id.parse().unwrap());
/// assert!(stamp("9 a 0", 1) < stamp("1 a 0", 2)); // time first
/// assert!(stamp("9 a 5", 1) < stamp("1 b 0", 1)); // then the node
/// assert!(stamp("9 a 0", 1) < stamp("1 a 1", 1)); // then the sequence number
/// assert!(stamp("1 a 0", 1) < stamp("9 a 0", 1)); // then the time inside the id
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Stamp {
    time: WallTime,
    id: ActionId,
}

impl Stamp {
    /// The place of the action `id` whose corrected creation time is `time`.
    pub const fn new(time: WallTime, id: ActionId) -> Self {
        Self { time, id }
    }

    /// The corrected creation time.
    pub const fn time(&self) -> WallTime {
        self.time
    }

    /// The action.
    pub const fn id(&self) -> &ActionId {
        &self.id
    }
}

impl PartialOrd for Stamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Stamp {
    fn cmp(&self, other: &Self) -> Ordering {
        cmp((self.time, &self.id), (other.time, &other.id))
    }
}

/// The order, for a stamp in parts: corrected time and id.
pub(super) fn cmp(
    (time, id): (WallTime, &ActionId),
    (other_time, other): (WallTime, &ActionId),
) -> Ordering {
    time.cmp(&other_time)
        .then_with(|| id.node().cmp(other.node()))
        .then_with(|| id.sequence().cmp(&other.sequence()))
        .then_with(|| id.time().cmp(&other.time()))
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{}", self.id, self.time)
    }
}
