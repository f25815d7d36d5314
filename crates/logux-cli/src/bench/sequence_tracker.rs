//! The numbered actions that one client has received from another.

use std::collections::BTreeSet;

/// Detects duplicates in a sequence of numbers from 0, each expected once and mostly in order.
#[derive(Clone, Debug, Default)]
pub(super) struct SequenceTracker {
    /// All smaller numbers were received.
    next: u64,
    /// The numbers that were received ahead of `next`.
    ahead: BTreeSet<u64>,
}

impl SequenceTracker {
    /// Records a number. Returns `false` if it is a duplicate.
    pub(super) fn record(&mut self, number: u64) -> bool {
        if number != self.next {
            return number > self.next && self.ahead.insert(number);
        }
        self.next += 1;
        while self.ahead.first() == Some(&self.next) {
            self.ahead.pop_first();
            self.next += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_detected_in_any_order() {
        let mut tracker = SequenceTracker::default();
        let new: Vec<bool> =
            [0, 2, 2, 1, 3, 0, 1, 5, 4].into_iter().map(|number| tracker.record(number)).collect();
        assert_eq!(new, [true, true, false, true, true, false, false, true, true]);
        assert!(tracker.next == 6 && tracker.ahead.is_empty());
    }
}
