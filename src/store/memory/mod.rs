//! The store in memory: exact, fast, gone with the process.

mod orders;

use core::{cmp::Ordering, convert::Infallible, mem, ops::ControlFlow};
use std::{
    collections::{BTreeSet, HashMap, hash_map},
    sync::Arc,
};

use self::orders::Orders;
use super::{Criteria, Entry, Insertion, MetaChange, Query, Store, Synced};
use crate::{
    action::{ActionId, Stamp},
    time::WallTime,
};

/// Keeps entries in memory.
///
/// Every change is O(log n) wherever the entry lands, and a reason is taken away in the time of the entries that have it:
/// entries lie in slots, and ordered maps lead to the slots. The order by creation, of all entries or those of an index, is made when it is first walked, in
/// O(n log n), and kept from then on.
#[derive(Clone, Default)]
pub struct MemoryStore {
    slots: Slots,
    ids: HashMap<ActionId, Slot>,
    all: Orders,
    indexes: HashMap<Arc<str>, Indexed>,
    reasons: HashMap<Arc<str>, Holders>,
    last_added: u64,
    synced: Synced,
}

/// A place in [`Slots`]. Four billion entries do not fit into memory.
type Slot = u32;

/// The entries that have a reason, by time. It is not the whole order: those of one millisecond are in any order, which is enough to
/// find a range, and takes a third of the room.
type Holders = BTreeSet<(WallTime, Slot)>;

/// Entries in places that stay the same while they live; free places are used again.
#[derive(Clone, Debug, Default)]
struct Slots {
    entries: Vec<Option<Entry>>,
    free: Vec<Slot>,
}

impl Slots {
    fn insert(&mut self, entry: Entry) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.entries[slot as usize] = Some(entry);
            slot
        } else {
            self.entries.push(Some(entry));
            self.entries.len() as Slot - 1
        }
    }

    fn get(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot as usize)?.as_ref()
    }

    fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(slot as usize)?.as_mut()
    }

    fn remove(&mut self, slot: Slot) -> Option<Entry> {
        let entry = self.entries.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(entry)
    }
}

/// The entries of one index. Many indexes have one entry for all their life, and more than its place would take more room than the entry.
#[derive(Clone, Debug)]
enum Indexed {
    One(Slot),
    Many(Box<Orders>),
}

impl Indexed {
    fn insert(&mut self, slots: &Slots, entry: &Entry, slot: Slot) {
        if let Self::One(first) = *self {
            let mut orders = Box::<Orders>::default();
            if let Some(first_entry) = slots.get(first) {
                orders.insert(first_entry, first);
            }
            *self = Self::Many(orders);
        }
        if let Self::Many(orders) = self {
            orders.insert(entry, slot);
        }
    }

    /// Takes an entry out; `true` when it was the last.
    fn remove(&mut self, entry: &Entry) -> bool {
        let Self::Many(orders) = self else { return true };
        orders.remove(entry);
        orders.len() == 0
    }

    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(orders) => orders.len(),
        }
    }

    fn walk(&self, slots: &Slots, query: &Query, visit: &mut dyn FnMut(Slot) -> ControlFlow<()>) {
        match self {
            Self::One(slot) if slots.get(*slot).is_some_and(|entry| query.reaches(entry)) => {
                let _ = visit(*slot);
            }
            Self::One(_) => {}
            Self::Many(orders) => orders.walk(slots, query, visit),
        }
    }
}

impl core::fmt::Debug for MemoryStore {
    /// How much there is. What it is, a walk tells.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MemoryStore")
            .field("entries", &self.len())
            .field("last_added", &self.last_added)
            .field("synced", &self.synced)
            .finish()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    fn take_out(&mut self, slot: Slot) -> Option<Entry> {
        let entry = self.slots.remove(slot)?;
        self.ids.remove(&entry.meta.id);
        self.all.remove(&entry);
        for index in &entry.meta.indexes {
            if let hash_map::Entry::Occupied(mut indexed) = self.indexes.entry(index.clone())
                && indexed.get_mut().remove(&entry)
            {
                indexed.remove();
            }
        }
        for reason in &entry.meta.reasons {
            forget_reason(&mut self.reasons, reason, (entry.meta.time, slot));
        }
        Some(entry)
    }

    /// Checks that the maps and the slots tell the same story. For tests and fuzzers. O(n log n).
    ///
    /// # Panics
    /// When they do not.
    pub fn assert_invariants(&self) {
        let live = self.slots.entries.iter().flatten().count();
        assert_eq!(live, self.ids.len(), "each entry is found by its id");
        let created = self.all.created(&self.slots);
        assert_eq!(live, created.len(), "each entry has a place by creation");
        assert_eq!(live, self.all.len(), "each entry has a place by arrival");
        assert_eq!(
            live + self.slots.free.len(),
            self.slots.entries.len(),
            "a slot is used or free"
        );
        let mut indexed = 0;
        let mut reasons = 0;
        for (stamp, &slot) in created {
            let entry = self.slots.get(slot).expect("a place leads to an entry");
            let added = entry.meta.added.expect("a kept entry has its number");
            assert_eq!(*stamp, entry.meta.stamp(), "the place is the entry's own");
            assert_eq!(
                self.all.added().get(added),
                Some(slot),
                "both orders lead to the same entry"
            );
            assert_eq!(self.ids.get(&entry.meta.id), Some(&slot), "the id leads to the same entry");
            assert!(added <= self.last_added, "no number is above the last one");
            for index in &entry.meta.indexes {
                match &self.indexes[index] {
                    Indexed::One(only) => assert_eq!(*only, slot, "each index knows its entry"),
                    Indexed::Many(orders) => {
                        assert_eq!(
                            orders.created(&self.slots).get(stamp),
                            Some(&slot),
                            "each index knows its entries"
                        );
                    }
                }
                indexed += 1;
            }
            for reason in &entry.meta.reasons {
                assert!(
                    self.reasons[reason].contains(&(stamp.time(), slot)),
                    "each reason knows its entries"
                );
                reasons += 1;
            }
        }
        let in_indexes: usize = self.indexes.values().map(Indexed::len).sum();
        let in_reasons: usize = self.reasons.values().map(BTreeSet::len).sum();
        assert_eq!(
            (indexed, reasons),
            (in_indexes, in_reasons),
            "indexes and reasons have no others"
        );
    }
}

fn forget_reason(reasons: &mut HashMap<Arc<str>, Holders>, reason: &str, holder: (WallTime, Slot)) {
    if let Some(holders) = reasons.get_mut(reason) {
        holders.remove(&holder);
        if holders.is_empty() {
            reasons.remove(reason);
        }
    }
}

impl Store for MemoryStore {
    type Error = Infallible;

    fn add(&mut self, entry: &mut Entry) -> Result<Insertion, Infallible> {
        let hash_map::Entry::Vacant(vacant) = self.ids.entry(entry.meta.id.clone()) else {
            return Ok(Insertion::Duplicate);
        };
        self.last_added += 1;
        entry.meta.added = Some(self.last_added);
        let slot = self.slots.insert(entry.clone());
        vacant.insert(slot);
        self.all.insert(entry, slot);
        for index in &entry.meta.indexes {
            match self.indexes.entry(index.clone()) {
                hash_map::Entry::Vacant(vacant) => drop(vacant.insert(Indexed::One(slot))),
                hash_map::Entry::Occupied(mut indexed) => {
                    indexed.get_mut().insert(&self.slots, entry, slot)
                }
            }
        }
        for reason in &entry.meta.reasons {
            self.reasons.entry(reason.clone()).or_default().insert((entry.meta.time, slot));
        }
        Ok(Insertion::Added)
    }

    fn by_id(&self, id: &ActionId) -> Result<Option<Entry>, Infallible> {
        Ok(self.ids.get(id).and_then(|&slot| self.slots.get(slot)).cloned())
    }

    fn change_meta(&mut self, id: &ActionId, change: &MetaChange) -> Result<bool, Infallible> {
        let Some(&slot) = self.ids.get(id) else { return Ok(false) };
        let Some(entry) = self.slots.get_mut(slot) else { return Ok(false) };
        let holder = (entry.meta.time, slot);
        let before = change.reasons.is_some().then(|| mem::take(&mut entry.meta.reasons));
        change.apply(&mut entry.meta);
        if let Some(before) = before {
            let after = &entry.meta.reasons;
            for reason in before.iter().filter(|reason| !after.contains(reason)) {
                forget_reason(&mut self.reasons, reason, holder);
            }
            for reason in after.iter().filter(|reason| !before.contains(reason)) {
                self.reasons.entry(reason.clone()).or_default().insert(holder);
            }
        }
        Ok(true)
    }

    fn remove(&mut self, id: &ActionId) -> Result<Option<Entry>, Infallible> {
        Ok(self.ids.get(id).copied().and_then(|slot| self.take_out(slot)))
    }

    fn remove_reason(
        &mut self,
        reason: &str,
        criteria: &Criteria,
        removed: &mut dyn FnMut(Entry),
    ) -> Result<(), Infallible> {
        let Some(holders) = self.reasons.get(reason) else { return Ok(()) };
        let meets = |slot: Slot| {
            let meta = &self.slots.get(slot)?.meta;
            let has = meta.reasons.iter().any(|own| **own == *reason);
            (has && criteria.matches(meta)).then_some(slot)
        };
        let mut matching: Vec<Slot> = if let Some(id) = &criteria.id {
            self.ids.get(id).and_then(|&slot| meets(slot)).into_iter().collect()
        } else if let Some(max) = criteria.max_added.filter(|_| criteria.older_than.is_none()) {
            // What came first goes first, as a server forgets: no need to look at the rest.
            let from = criteria.min_added.unwrap_or(0);
            let came = self.all.added().from(from).take_while(|(added, _)| *added <= max);
            came.filter_map(|(_, slot)| meets(slot)).collect()
        } else {
            let from = criteria.younger_than.as_ref().map_or(WallTime::MIN, Stamp::time);
            let to = criteria.older_than.as_ref().map_or(WallTime::MAX, Stamp::time);
            if from > to {
                return Ok(());
            }
            holders
                .range((from, 0)..=(to, Slot::MAX))
                .filter_map(|&(_, slot)| meets(slot))
                .collect()
        };
        matching.sort_unstable_by(|one, other| {
            match (self.slots.get(*one), self.slots.get(*other)) {
                (Some(one), Some(other)) => one.meta.cmp_stamp(&other.meta),
                _ => Ordering::Equal,
            }
        });
        if let Some(holders) = self.reasons.get_mut(reason) {
            for slot in &matching {
                let Some(entry) = self.slots.get_mut(*slot) else { continue };
                entry.meta.reasons.retain(|own| **own != *reason);
                holders.remove(&(entry.meta.time, *slot));
            }
            if holders.is_empty() {
                self.reasons.remove(reason);
            }
        }
        for slot in matching {
            if self.slots.get(slot).is_some_and(|entry| entry.meta.reasons.is_empty())
                && let Some(entry) = self.take_out(slot)
            {
                removed(entry);
            }
        }
        Ok(())
    }

    fn newest_with_reason(&self, reason: &str) -> Result<Option<Stamp>, Infallible> {
        let Some(holders) = self.reasons.get(reason) else { return Ok(None) };
        let Some((latest, _)) = holders.last() else { return Ok(None) };
        let of_that_time = holders.range((*latest, 0)..);
        Ok(of_that_time
            .filter_map(|(_, slot)| self.slots.get(*slot))
            .map(|entry| entry.meta.stamp())
            .max())
    }

    fn walk(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        let mut visit = |slot| self.slots.get(slot).map_or(ControlFlow::Continue(()), &mut *visit);
        match &query.index {
            None => self.all.walk(&self.slots, query, &mut visit),
            Some(index) => {
                if let Some(indexed) = self.indexes.get(index) {
                    indexed.walk(&self.slots, query, &mut visit);
                }
            }
        }
        Ok(())
    }

    fn last_added(&self) -> Result<u64, Infallible> {
        Ok(self.last_added)
    }

    fn synced(&self) -> Result<Synced, Infallible> {
        Ok(self.synced)
    }

    fn set_synced(&mut self, synced: Synced) -> Result<(), Infallible> {
        self.synced = synced;
        Ok(())
    }

    fn clean(&mut self) -> Result<(), Infallible> {
        *self = Self::new();
        Ok(())
    }
}
