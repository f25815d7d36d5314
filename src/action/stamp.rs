//! The total order of actions.

use core::{cmp::Ordering, fmt};

use super::ActionId;
use crate::time::WallTime;

/// The position of an action in the total order that all nodes agree on. "Latest" always means the
/// greatest stamp.
///
/// Stamps are compared by four keys: the corrected time, the node id by UTF-16 code units, the
/// sequence number, the time of the id. This is the order of `isFirstOlder` in `@logux/core`;
/// `spec/order.md` has the rule and test vectors.
///
/// The stamp of one of several operations in an action also has the index of the operation, which
/// is compared last.
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
    /// The index of an operation in the action.
    operation: u32,
}

impl Stamp {
    /// Creates the stamp of the action `id` with the corrected creation time `time`.
    pub const fn new(time: WallTime, id: ActionId) -> Self {
        Self { time, id, operation: 0 }
    }

    /// Returns the stamp of the operation at an index in the action.
    #[must_use]
    pub fn of_operation(&self, index: u32) -> Self {
        Self { operation: index, ..self.clone() }
    }

    /// Returns the stamp of the same operation by a clock that is `ms` milliseconds ahead.
    #[must_use]
    pub fn shifted(&self, ms: i64) -> Self {
        Self { time: self.time.shifted(ms), ..self.clone() }
    }

    /// Returns the index of the operation in the action. 0 for a whole action.
    pub const fn operation(&self) -> u32 {
        self.operation
    }

    /// Returns the corrected creation time.
    pub const fn time(&self) -> WallTime {
        self.time
    }

    /// Returns the id of the action.
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
            .then(self.operation.cmp(&other.operation))
    }
}

/// Compares two stamps, given as corrected time and id.
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
        write!(f, "{:?}@{}", self.id, self.time)?;
        if self.operation > 0 { write!(f, "[{}]", self.operation) } else { Ok(()) }
    }
}
