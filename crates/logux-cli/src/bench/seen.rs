//! What one receiver has got of one sender's numbered actions.

use std::collections::BTreeSet;

/// Numbers from 0 on, each expected once, mostly in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// All below have come.
    next: u64,
    /// What came before its turn.
    ahead: BTreeSet<u64>,
}

impl Seen {
    /// Notes a number; `false` if it came before.
    pub(super) fn note(&mut self, number: u64) -> bool {
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
    fn each_number_is_new_once_in_any_order() {
        let mut seen = Seen::default();
        let new: Vec<bool> =
            [0, 2, 2, 1, 3, 0, 1, 5, 4].into_iter().map(|number| seen.note(number)).collect();
        assert_eq!(new, [true, true, false, true, true, false, false, true, true]);
        assert!(seen.next == 6 && seen.ahead.is_empty());
    }
}
