//! The two orders of a set of entries.

use core::ops::{Bound, ControlFlow};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::OnceLock,
};

use super::{Slot, Slots};
use crate::{
    action::Stamp,
    store::{Direction, Entry, Order, Query},
};

/// Entries by arrival, and by creation once that order was requested: a server's log is walked by
/// arrival only, and the other order would cost more than all other parts of the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    added: Arrivals,
    created: OnceLock<BTreeMap<Stamp, Slot>>,
}

impl Orders {
    /// Inserts an entry that has the highest `added` number.
    pub(super) fn insert(&mut self, entry: &Entry, slot: Slot) {
        if let Some(created) = self.created.get_mut() {
            created.insert(entry.meta.stamp(), slot);
        }
        self.added.push(entry.meta.added.unwrap_or_default(), slot);
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        if let Some(created) = self.created.get_mut() {
            created.remove(&entry.meta.stamp());
        }
        self.added.remove(entry.meta.added.unwrap_or_default());
    }

    pub(super) fn len(&self) -> usize {
        self.added.len
    }

    pub(super) fn added(&self) -> &Arrivals {
        &self.added
    }

    /// Returns the order by creation. O(n log n) the first time.
    pub(super) fn created(&self, slots: &Slots) -> &BTreeMap<Stamp, Slot> {
        let stamped = |(_, slot)| Some((slots.get(slot)?.meta.stamp(), slot));
        self.created.get_or_init(|| self.added.all().filter_map(stamped).collect())
    }

    pub(super) fn walk(
        &self,
        slots: &Slots,
        query: &Query,
        visit: &mut dyn FnMut(Slot) -> ControlFlow<()>,
    ) {
        let _ = match &query.order {
            Order::Created { after } => {
                let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
                let created = self.created(slots);
                match query.direction {
                    Direction::OldestFirst => created
                        .range((start, Bound::Unbounded))
                        .try_for_each(|(_, &slot)| visit(slot)),
                    Direction::NewestFirst => created
                        .range((Bound::Unbounded, start))
                        .rev()
                        .try_for_each(|(_, &slot)| visit(slot)),
                }
            }
            Order::Added { after } => match query.direction {
                Direction::OldestFirst => self
                    .added
                    .from(after.map_or(0, |after| after.saturating_add(1)))
                    .try_for_each(|(_, slot)| visit(slot)),
                Direction::NewestFirst => self
                    .added
                    .before(after.unwrap_or(u64::MAX))
                    .try_for_each(|(_, slot)| visit(slot)),
            },
        };
    }
}

/// Entries by their `added` number. Numbers only grow, so new entries are appended; entries are
/// mostly removed in the order of arrival. Gaps are removed when there are more gaps than entries.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    /// The first and the last element are not gaps.
    entries: VecDeque<(u64, Option<Slot>)>,
    len: usize,
}

impl Arrivals {
    fn push(&mut self, added: u64, slot: Slot) {
        self.entries.push_back((added, Some(slot)));
        self.len += 1;
    }

    /// Amortised O(1) if no gaps before the entry were removed, O(log n) otherwise.
    fn remove(&mut self, added: u64) {
        let Some(index) = self.index_of(added) else { return };
        let Some(entry @ (_, Some(_))) = self.entries.get_mut(index) else { return };
        entry.1 = None;
        self.len -= 1;
        while self.entries.pop_front_if(|(_, slot)| slot.is_none()).is_some() {}
        while self.entries.pop_back_if(|(_, slot)| slot.is_none()).is_some() {}
        if self.entries.len() > 2 * self.len {
            self.entries.retain(|(_, slot)| slot.is_some());
        }
    }

    fn index_of(&self, added: u64) -> Option<usize> {
        // As long as no gaps were removed, the distances of numbers are those of their positions.
        let (first, _) = self.entries.front()?;
        let guess = usize::try_from(added.checked_sub(*first)?).ok()?;
        if self.entries.get(guess).is_some_and(|(number, _)| *number == added) {
            return Some(guess);
        }
        self.entries.binary_search_by_key(&added, |(number, _)| *number).ok()
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = (u64, Slot)> {
        present(self.entries.range(..))
    }

    /// The entries whose number is at least `added`, ascending.
    pub(super) fn from(&self, added: u64) -> impl Iterator<Item = (u64, Slot)> {
        present(self.entries.range(self.entries.partition_point(|(number, _)| *number < added)..))
    }

    /// The entries whose number is less than `added`, descending.
    fn before(&self, added: u64) -> impl Iterator<Item = (u64, Slot)> {
        present(self.entries.range(..self.entries.partition_point(|(number, _)| *number < added)))
            .rev()
    }

    pub(super) fn get(&self, added: u64) -> Option<Slot> {
        self.entries.get(self.index_of(added)?)?.1
    }
}

fn present<'a>(
    entries: impl DoubleEndedIterator<Item = &'a (u64, Option<Slot>)>,
) -> impl DoubleEndedIterator<Item = (u64, Slot)> {
    entries.filter_map(|(added, slot)| Some((*added, (*slot)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(removed: impl IntoIterator<Item = u64>) -> Arrivals {
        let mut arrivals = Arrivals::default();
        (1..=100).for_each(|added| arrivals.push(added, added as Slot));
        removed.into_iter().for_each(|added| arrivals.remove(added));
        arrivals
    }

    #[test]
    fn gaps_are_skipped_in_both_directions() {
        let arrivals = arrivals([1, 2, 50, 51, 99, 100, 51]);
        assert_eq!(arrivals.len, 94);
        assert_eq!(arrivals.entries.len(), 96, "gaps at the ends are removed");
        assert_eq!(arrivals.from(0).next(), Some((3, 3)));
        assert_eq!(arrivals.from(50).next(), Some((52, 52)));
        assert_eq!(arrivals.before(52).next(), Some((49, 49)));
        assert_eq!(arrivals.before(u64::MAX).next(), Some((98, 98)));
        assert_eq!((arrivals.get(49), arrivals.get(50), arrivals.get(101)), (Some(49), None, None));
    }

    #[test]
    fn many_gaps_are_removed() {
        let even = arrivals((1..=100).filter(|added| added % 2 == 1).chain([50]));
        assert_eq!((even.len, even.entries.len()), (49, 49));
        assert_eq!(even.from(49).next(), Some((52, 52)));
        assert!(arrivals(1..=100).entries.is_empty());
    }
}
