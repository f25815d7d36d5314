//! The two orders over a set of entries.

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

/// Entries by arrival, and by creation from the moment when somebody first asks for that: a server's log is walked by arrival only, and keeping the other
/// order of it would cost more than all the rest.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    added: Arrivals,
    created: OnceLock<BTreeMap<Stamp, Slot>>,
}

impl Orders {
    /// Puts in an entry, which came behind all others.
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
        self.added.living
    }

    pub(super) fn added(&self) -> &Arrivals {
        &self.added
    }

    /// By creation. O(n log n) the first time.
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
                let behind = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
                let created = self.created(slots);
                match query.direction {
                    Direction::OldestFirst => created
                        .range((behind, Bound::Unbounded))
                        .try_for_each(|(_, &slot)| visit(slot)),
                    Direction::NewestFirst => created
                        .range((Bound::Unbounded, behind))
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

/// Entries by their number of arrival. Numbers only grow, so a new one goes to the end; what leaves first is mostly what came first. Gaps between are closed
/// when they are as many as what is left.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    /// The first and the last are no gaps.
    places: VecDeque<(u64, Option<Slot>)>,
    living: usize,
}

impl Arrivals {
    fn push(&mut self, added: u64, slot: Slot) {
        self.places.push_back((added, Some(slot)));
        self.living += 1;
    }

    /// Amortised O(1) where nothing between was taken out before, O(log n) elsewhere.
    fn remove(&mut self, added: u64) {
        let Some(place) = self.place(added) else { return };
        let Some(living @ (_, Some(_))) = self.places.get_mut(place) else { return };
        living.1 = None;
        self.living -= 1;
        while self.places.pop_front_if(|(_, slot)| slot.is_none()).is_some() {}
        while self.places.pop_back_if(|(_, slot)| slot.is_none()).is_some() {}
        if self.places.len() > 2 * self.living {
            self.places.retain(|(_, slot)| slot.is_some());
        }
    }

    fn place(&self, added: u64) -> Option<usize> {
        // Where no gaps were closed, numbers are as far apart as their places.
        let (first, _) = self.places.front()?;
        let near = usize::try_from(added.checked_sub(*first)?).ok()?;
        if self.places.get(near).is_some_and(|(number, _)| *number == added) {
            return Some(near);
        }
        self.places.binary_search_by_key(&added, |(number, _)| *number).ok()
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = (u64, Slot)> {
        living(self.places.range(..))
    }

    /// From a number on, upwards.
    pub(super) fn from(&self, added: u64) -> impl Iterator<Item = (u64, Slot)> {
        living(self.places.range(self.places.partition_point(|(number, _)| *number < added)..))
    }

    /// Below a number, downwards.
    fn before(&self, added: u64) -> impl Iterator<Item = (u64, Slot)> {
        living(self.places.range(..self.places.partition_point(|(number, _)| *number < added)))
            .rev()
    }

    pub(super) fn get(&self, added: u64) -> Option<Slot> {
        self.places.get(self.place(added)?)?.1
    }
}

fn living<'a>(
    places: impl DoubleEndedIterator<Item = &'a (u64, Option<Slot>)>,
) -> impl DoubleEndedIterator<Item = (u64, Slot)> {
    places.filter_map(|(added, slot)| Some((*added, (*slot)?)))
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
    fn gaps_are_passed_over_in_both_directions() {
        let arrivals = arrivals([1, 2, 50, 51, 99, 100, 51]);
        assert_eq!(arrivals.living, 94);
        assert_eq!(arrivals.places.len(), 96, "what has gone at the ends takes no place");
        assert_eq!(arrivals.from(0).next(), Some((3, 3)));
        assert_eq!(arrivals.from(50).next(), Some((52, 52)));
        assert_eq!(arrivals.before(52).next(), Some((49, 49)));
        assert_eq!(arrivals.before(u64::MAX).next(), Some((98, 98)));
        assert_eq!((arrivals.get(49), arrivals.get(50), arrivals.get(101)), (Some(49), None, None));
    }

    #[test]
    fn many_gaps_are_closed() {
        let even = arrivals((1..=100).filter(|added| added % 2 == 1).chain([50]));
        assert_eq!((even.living, even.places.len()), (49, 49));
        assert_eq!(even.from(49).next(), Some((52, 52)));
        assert!(arrivals(1..=100).places.is_empty());
    }
}
