//! The store in memory.

mod orders;

use core::{
    cmp::Ordering,
    convert::Infallible,
    mem,
    ops::{Bound, ControlFlow},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map},
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
/// Entries are in slots, and maps refer to the slots. A change of one entry is O(log n). Removing a
/// reason is O(m log n), where *m* is the number of entries that have the reason, or whose `added`
/// number is in the range of the criteria. The order by creation, of all entries or of the entries
/// of an index, is built in O(n log n) when it is first walked, and maintained from then on.
#[derive(Clone, Default)]
pub struct MemoryStore {
    slots: Slots,
    ids: HashMap<ActionId, Slot>,
    all: Orders,
    indexes: HashMap<Arc<str>, IndexEntries>,
    reasons: HashMap<Arc<str>, SlotsByTime>,
    last_added: u64,
    synced: Synced,
    values: BTreeMap<String, String>,
}

/// An index into [`Slots`]. Memory is too small for 2³² entries.
type Slot = u32;

/// The entries that have a reason, ordered by time. Entries of the same millisecond are in no
/// particular order; this is sufficient to find a range, and needs a third of the memory.
type SlotsByTime = BTreeSet<(WallTime, Slot)>;

/// Entries in slots that do not change while the entries exist; free slots are reused.
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

/// The entries of one index. Many indexes only ever have one entry, and a map for it would need
/// more memory than the entry.
#[derive(Clone, Debug)]
enum IndexEntries {
    One(Slot),
    Many(Box<Orders>),
}

impl IndexEntries {
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

    /// Removes an entry. Returns `true` if it was the last one.
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
            Self::One(slot) if slots.get(*slot).is_some_and(|entry| query.starts_before(entry)) => {
                let _ = visit(*slot);
            }
            Self::One(_) => {}
            Self::Many(orders) => orders.walk(slots, query, visit),
        }
    }
}

impl core::fmt::Debug for MemoryStore {
    /// Writes the number of entries, not the entries.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MemoryStore")
            .field("entries", &self.len())
            .field("last_added", &self.last_added)
            .field("synced", &self.synced)
            .finish()
    }
}

impl MemoryStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns `true` if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    fn remove_slot(&mut self, slot: Slot) -> Option<Entry> {
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
            remove_from_reason(&mut self.reasons, reason, (entry.meta.time, slot));
        }
        Some(entry)
    }

    /// Adds an entry of a database with the `added` number that it has, after those with lower
    /// ones. The store does not have its id.
    pub(super) fn restore_entry(&mut self, entry: &Entry) {
        self.restore_last_added(entry.meta.added.unwrap_or_default());
        let slot = self.slots.insert(entry.clone());
        self.insert_slot(entry, slot);
    }

    /// Continues after an `added` number, unless a higher one is known.
    pub(super) fn restore_last_added(&mut self, last_added: u64) {
        self.last_added = self.last_added.max(last_added);
    }

    /// Calls `each` with the entries whose reason [`remove_reason`](Store::remove_reason) would
    /// remove.
    pub(super) fn each_with_reason(
        &self,
        reason: &str,
        criteria: &Criteria,
        each: impl FnMut(&ActionId),
    ) {
        let slots = self.slots_with_reason(reason, criteria).into_iter();
        slots.filter_map(|slot| Some(&self.slots.get(slot)?.meta.id)).for_each(each);
    }

    /// Returns the entries that have a reason and match the criteria, in any order.
    fn slots_with_reason(&self, reason: &str, criteria: &Criteria) -> Vec<Slot> {
        let Some(slots_of_reason) = self.reasons.get(reason) else { return Vec::new() };
        let matching_slot = |slot: Slot| {
            let meta = &self.slots.get(slot)?.meta;
            let has_reason = meta.reasons.iter().any(|name| **name == *reason);
            (has_reason && criteria.matches(meta)).then_some(slot)
        };
        if let Some(id) = &criteria.id {
            return self.ids.get(id).and_then(|&slot| matching_slot(slot)).into_iter().collect();
        }
        if let Some(max) = criteria.max_added.filter(|_| criteria.older_than.is_none()) {
            // A server removes entries in the order of arrival, so few others are visited.
            let from = criteria.min_added.unwrap_or(0);
            let arrivals = self.all.added().from(from).take_while(|(added, _)| *added <= max);
            return arrivals.filter_map(|(_, slot)| matching_slot(slot)).collect();
        }
        let from = criteria.younger_than.as_ref().map_or(WallTime::MIN, Stamp::time);
        let to = criteria.older_than.as_ref().map_or(WallTime::MAX, Stamp::time);
        if from > to {
            return Vec::new();
        }
        let in_range = slots_of_reason.range((from, 0)..=(to, Slot::MAX));
        in_range.filter_map(|&(_, slot)| matching_slot(slot)).collect()
    }

    /// Adds an entry in a slot to the maps.
    fn insert_slot(&mut self, entry: &Entry, slot: Slot) {
        self.ids.insert(entry.meta.id.clone(), slot);
        self.all.insert(entry, slot);
        for index in &entry.meta.indexes {
            match self.indexes.entry(index.clone()) {
                hash_map::Entry::Vacant(vacant) => drop(vacant.insert(IndexEntries::One(slot))),
                hash_map::Entry::Occupied(mut indexed) => {
                    indexed.get_mut().insert(&self.slots, entry, slot)
                }
            }
        }
        for reason in &entry.meta.reasons {
            self.reasons.entry(reason.clone()).or_default().insert((entry.meta.time, slot));
        }
    }

    /// Checks that the maps and the slots are consistent. For tests and fuzzers. O(n log n).
    ///
    /// # Panics
    /// If they are not.
    pub fn assert_invariants(&self) {
        let live = self.slots.entries.iter().flatten().count();
        assert_eq!(live, self.ids.len(), "every entry is in the map of ids");
        let created = self.all.created(&self.slots);
        assert_eq!(live, created.len(), "every entry is in the order by creation");
        assert_eq!(live, self.all.len(), "every entry is in the order by arrival");
        assert_eq!(
            live + self.slots.free.len(),
            self.slots.entries.len(),
            "a slot is used or free"
        );
        let mut indexed = 0;
        let mut reasons = 0;
        for (stamp, &slot) in created {
            let entry = self.slots.get(slot).expect("a slot in the order has an entry");
            let added = entry.meta.added.expect("a stored entry has an added number");
            assert_eq!(*stamp, entry.meta.stamp(), "the key is the stamp of the entry");
            assert_eq!(self.all.added().get(added), Some(slot), "both orders have the same slot");
            assert_eq!(self.ids.get(&entry.meta.id), Some(&slot), "the id has the same slot");
            assert!(added <= self.last_added, "no added number is greater than the last one");
            for index in &entry.meta.indexes {
                match &self.indexes[index] {
                    IndexEntries::One(only) => {
                        assert_eq!(*only, slot, "the index contains the entry")
                    }
                    IndexEntries::Many(orders) => {
                        assert_eq!(
                            orders.created(&self.slots).get(stamp),
                            Some(&slot),
                            "the index contains the entry"
                        );
                    }
                }
                indexed += 1;
            }
            for reason in &entry.meta.reasons {
                assert!(
                    self.reasons[reason].contains(&(stamp.time(), slot)),
                    "the reason contains the entry"
                );
                reasons += 1;
            }
        }
        let in_indexes: usize = self.indexes.values().map(IndexEntries::len).sum();
        let in_reasons: usize = self.reasons.values().map(BTreeSet::len).sum();
        assert_eq!(
            (indexed, reasons),
            (in_indexes, in_reasons),
            "indexes and reasons contain no other entries"
        );
    }
}

fn remove_from_reason(
    reasons: &mut HashMap<Arc<str>, SlotsByTime>,
    reason: &str,
    key: (WallTime, Slot),
) {
    if let Some(slots_of_reason) = reasons.get_mut(reason) {
        slots_of_reason.remove(&key);
        if slots_of_reason.is_empty() {
            reasons.remove(reason);
        }
    }
}

impl Store for MemoryStore {
    type Error = Infallible;

    fn add(&mut self, entry: &mut Entry) -> Result<Insertion, Infallible> {
        if self.ids.contains_key(&entry.meta.id) {
            return Ok(Insertion::Duplicate);
        }
        self.last_added += 1;
        entry.meta.added = Some(self.last_added);
        let slot = self.slots.insert(entry.clone());
        self.insert_slot(entry, slot);
        Ok(Insertion::Added)
    }

    fn by_id(&self, id: &ActionId) -> Result<Option<Entry>, Infallible> {
        Ok(self.ids.get(id).and_then(|&slot| self.slots.get(slot)).cloned())
    }

    fn change_meta(&mut self, id: &ActionId, change: &MetaChange) -> Result<bool, Infallible> {
        let Some(&slot) = self.ids.get(id) else { return Ok(false) };
        let Some(entry) = self.slots.get_mut(slot) else { return Ok(false) };
        let key = (entry.meta.time, slot);
        let before = change.reasons.is_some().then(|| mem::take(&mut entry.meta.reasons));
        change.apply(&mut entry.meta);
        if let Some(before) = before {
            let after = &entry.meta.reasons;
            for reason in before.iter().filter(|reason| !after.contains(reason)) {
                remove_from_reason(&mut self.reasons, reason, key);
            }
            for reason in after.iter().filter(|reason| !before.contains(reason)) {
                self.reasons.entry(reason.clone()).or_default().insert(key);
            }
        }
        Ok(true)
    }

    fn remove(&mut self, id: &ActionId) -> Result<Option<Entry>, Infallible> {
        Ok(self.ids.get(id).copied().and_then(|slot| self.remove_slot(slot)))
    }

    fn remove_reason(
        &mut self,
        reason: &str,
        criteria: &Criteria,
        removed: &mut dyn FnMut(Entry),
    ) -> Result<(), Infallible> {
        let mut matching = self.slots_with_reason(reason, criteria);
        matching.sort_unstable_by(|a, b| match (self.slots.get(*a), self.slots.get(*b)) {
            (Some(a), Some(b)) => a.meta.cmp_stamp(&b.meta),
            _ => Ordering::Equal,
        });
        if let Some(slots_of_reason) = self.reasons.get_mut(reason) {
            for slot in &matching {
                let Some(entry) = self.slots.get_mut(*slot) else { continue };
                entry.meta.reasons.retain(|name| **name != *reason);
                slots_of_reason.remove(&(entry.meta.time, *slot));
            }
            if slots_of_reason.is_empty() {
                self.reasons.remove(reason);
            }
        }
        for slot in matching {
            if self.slots.get(slot).is_some_and(|entry| entry.meta.reasons.is_empty())
                && let Some(entry) = self.remove_slot(slot)
            {
                removed(entry);
            }
        }
        Ok(())
    }

    fn newest_with_reason(&self, reason: &str) -> Result<Option<Stamp>, Infallible> {
        let Some(slots_of_reason) = self.reasons.get(reason) else { return Ok(None) };
        let Some((latest, _)) = slots_of_reason.last() else { return Ok(None) };
        let at_latest = slots_of_reason.range((*latest, 0)..);
        Ok(at_latest
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

    fn value(&self, name: &str) -> Result<Option<String>, Infallible> {
        Ok(self.values.get(name).cloned())
    }

    fn set_value(&mut self, name: &str, value: Option<&str>) -> Result<(), Infallible> {
        match value {
            Some(value) => drop(self.values.insert(name.to_owned(), value.to_owned())),
            None => drop(self.values.remove(name)),
        }
        Ok(())
    }

    fn walk_values(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(&str, &str) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        for (name, value) in self.values.range::<str, _>(from) {
            if !name.starts_with(prefix) || visit(name, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn clean(&mut self) -> Result<(), Infallible> {
        *self = Self::new();
        Ok(())
    }
}
