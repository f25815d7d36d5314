//! Random operations on a store, compared with a naive model: a list with linear search.
//!
//! ```
//! use logux::{MemoryStore, testing::store_model};
//!
//! store_model::assert_like_model(MemoryStore::new, MemoryStore::assert_invariants, 20);
//! ```

use core::{cmp::Ordering, ops::ControlFlow};
use std::sync::Arc;

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::strategies;
use crate::{
    action::{ActionId, Stamp},
    store::{Criteria, Direction, Entry, Insertion, MetaChange, Order, Query, Store, Synced},
};

/// One call to a store.
#[derive(Clone, Debug)]
pub enum Operation {
    /// [`Store::add`].
    Add(Entry),
    /// [`Store::change_meta`].
    ChangeMeta(ActionId, MetaChange),
    /// [`Store::remove`].
    Remove(ActionId),
    /// [`Store::remove_reason`].
    RemoveReason(Arc<str>, Criteria),
    /// [`Store::set_synced`].
    SetSynced(Synced),
    /// [`Store::set_value`].
    SetValue(String, Option<String>),
    /// [`Store::walk`] that breaks after this number of entries, and [`Store::page`] of this size.
    Walk(Query, usize),
    /// [`Store::commit`].
    Commit,
    /// [`Store::clean`].
    Clean,
}

/// Returns a strategy of operations, weighted as in practice: mostly additions.
pub fn operation() -> impl Strategy<Value = Operation> {
    let synced = (strategies::added(), strategies::added());
    prop_oneof![
        12 => strategies::entry().prop_map(Operation::Add),
        3 => (strategies::action_id(), strategies::meta_change()).prop_map(|(id, change)| Operation::ChangeMeta(id, change)),
        2 => strategies::action_id().prop_map(Operation::Remove),
        3 => (strategies::reason(), strategies::criteria()).prop_map(|(reason, criteria)| Operation::RemoveReason(reason, criteria)),
        1 => synced.prop_map(|(sent, received)| Operation::SetSynced(Synced { sent: sent >> 1, received: received >> 1 })),
        1 => ("[ab]/?[cd]?", proptest::option::of("[0-9]{0,3}")).prop_map(|(name, value)| Operation::SetValue(name, value)),
        4 => (strategies::query(), 0..5_usize).prop_map(|(query, limit)| Operation::Walk(query, limit)),
        1 => Just(Operation::Commit),
        1 => Just(Operation::Clean),
    ]
}

/// Runs `cases` random lists of operations on stores that `make` returns and on the naive model.
/// After each operation, the results of all reading methods must be equal. `check` can assert the
/// store's internal invariants.
///
/// # Panics
/// If they differ, with the shortest failing list of operations that was found.
pub fn assert_like_model<S: Store>(mut make: impl FnMut() -> S, check: impl Fn(&S), cases: u32) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let make = core::cell::RefCell::new(&mut make);
    let outcome = TestRunner::new(config).run(&vec(operation(), 1..40), |operations| {
        let mut store = (make.borrow_mut())();
        let mut model = Model::default();
        for (at, operation) in operations.iter().enumerate() {
            let (own, expected) = (run(&mut store, operation), model.run(operation));
            prop_assert_eq!(own, expected, "the result of operation {}", at);
            check(&store);
            compare(&store, &model)?;
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("the store differs from the model: {failure}");
    }
}

/// The result of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
enum OpResult {
    Nothing,
    Added(Option<u64>),
    Changed(bool),
    Entries(Vec<Entry>),
    Paged(Vec<Entry>, Vec<Entry>, Option<Query>),
}

fn run<S: Store>(store: &mut S, operation: &Operation) -> OpResult {
    match operation {
        Operation::Add(entry) => {
            let mut entry = entry.clone();
            let insertion = store.add(&mut entry).expect("add");
            OpResult::Added(if insertion == Insertion::Added { entry.meta.added } else { None })
        }
        Operation::ChangeMeta(id, change) => {
            OpResult::Changed(store.change_meta(id, change).expect("change_meta"))
        }
        Operation::Remove(id) => {
            OpResult::Entries(store.remove(id).expect("remove").into_iter().collect())
        }
        Operation::RemoveReason(reason, criteria) => {
            let mut removed = Vec::new();
            store
                .remove_reason(reason, criteria, &mut |entry| removed.push(entry))
                .expect("remove_reason");
            OpResult::Entries(removed)
        }
        Operation::Walk(query, limit) => {
            let page = store.page(query, *limit).expect("page");
            OpResult::Paged(walk(store, query, *limit), page.entries, page.next)
        }
        Operation::SetSynced(synced) => {
            store.set_synced(*synced).expect("set_synced");
            OpResult::Nothing
        }
        Operation::SetValue(name, value) => {
            store.set_value(name, value.as_deref()).expect("set_value");
            OpResult::Nothing
        }
        Operation::Commit => {
            store.commit().expect("commit");
            OpResult::Nothing
        }
        Operation::Clean => {
            store.clean().expect("clean");
            OpResult::Nothing
        }
    }
}

/// Visits at least one entry, because the visitor decides only after an entry whether to break.
fn walk<S: Store>(store: &S, query: &Query, limit: usize) -> Vec<Entry> {
    let mut found = Vec::new();
    let visit = &mut |entry: &Entry| {
        found.push(entry.clone());
        if found.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    store.walk(query, visit).expect("walk");
    found
}

fn compare<S: Store>(store: &S, model: &Model) -> Result<(), TestCaseError> {
    let mut queries = vec![Query::created(), Query::added()];
    for index in ["i", "j"] {
        queries.extend([Query::created().index(index), Query::added().index(index)]);
    }
    for query in queries.into_iter().flat_map(|query| [query.clone(), query.oldest_first()]) {
        prop_assert_eq!(walk(store, &query, usize::MAX), model.select(&query), "{:?}", query);
    }
    for entry in &model.entries {
        let found = store.by_id(&entry.meta.id).expect("by_id");
        prop_assert_eq!(found.as_ref(), Some(entry), "by id");
    }
    for reason in ["a", "b", "users/10/name", "c"] {
        let newest = store.newest_with_reason(reason).expect("newest_with_reason");
        prop_assert_eq!(
            newest,
            model.newest_with_reason(reason),
            "the newest with the reason {}",
            reason
        );
    }
    prop_assert_eq!(store.last_added().expect("last_added"), model.last_added, "last added");
    prop_assert_eq!(store.synced().expect("synced"), model.synced, "synced");
    for (name, value) in &model.values {
        prop_assert_eq!(&store.value(name).expect("value"), &Some(value.clone()), "value {}", name);
    }
    for prefix in ["", "a", "b/"] {
        let mut found = Vec::new();
        let visit = &mut |name: &str, value: &str| {
            found.push((name.to_owned(), value.to_owned()));
            ControlFlow::Continue(())
        };
        store.walk_values(prefix, visit).expect("walk_values");
        prop_assert_eq!(found, model.values_with(prefix), "values of {:?}", prefix);
    }
    Ok(())
}

/// The naive model: a list in the order of arrival, searched from the front.
#[derive(Clone, Debug, Default)]
struct Model {
    entries: Vec<Entry>,
    last_added: u64,
    synced: Synced,
    /// The names and values, in no particular order.
    values: Vec<(String, String)>,
}

impl Model {
    fn run(&mut self, operation: &Operation) -> OpResult {
        match operation {
            Operation::Add(entry) => OpResult::Added(self.add(entry.clone())),
            Operation::ChangeMeta(id, change) => {
                let found = self.entries.iter_mut().find(|entry| entry.meta.id == *id);
                OpResult::Changed(found.map(|entry| change.apply(&mut entry.meta)).is_some())
            }
            Operation::Remove(id) => {
                let (removed, rest) =
                    self.entries.drain(..).partition(|entry| entry.meta.id == *id);
                self.entries = rest;
                OpResult::Entries(removed)
            }
            Operation::RemoveReason(reason, criteria) => {
                OpResult::Entries(self.remove_reason(reason, criteria))
            }
            Operation::Walk(query, limit) => {
                let found = self.select(query);
                let up_to = |limit: usize| found[..limit.min(found.len())].to_vec();
                let page = up_to(*limit);
                let next = page
                    .last()
                    .filter(|_| found.len() > *limit)
                    .map(|last| query.after_entry(last));
                OpResult::Paged(up_to((*limit).max(1)), page, next)
            }
            Operation::SetSynced(synced) => {
                self.synced = *synced;
                OpResult::Nothing
            }
            Operation::SetValue(name, value) => {
                self.values.retain(|(own, _)| own != name);
                self.values.extend(value.clone().map(|value| (name.clone(), value)));
                OpResult::Nothing
            }
            Operation::Commit => OpResult::Nothing,
            Operation::Clean => {
                *self = Self::default();
                OpResult::Nothing
            }
        }
    }

    fn add(&mut self, mut entry: Entry) -> Option<u64> {
        if self.entries.iter().any(|own| own.meta.id == entry.meta.id) {
            return None;
        }
        self.last_added += 1;
        entry.meta.added = Some(self.last_added);
        self.entries.push(entry);
        Some(self.last_added)
    }

    fn remove_reason(&mut self, reason: &str, criteria: &Criteria) -> Vec<Entry> {
        let mut removed = Vec::new();
        for entry in &mut self.entries {
            let before = entry.meta.reasons.len();
            if criteria.matches(&entry.meta) {
                entry.meta.reasons.retain(|own| **own != *reason);
            }
            if before > 0 && entry.meta.reasons.is_empty() {
                removed.push(entry.clone());
            }
        }
        self.entries.retain(|entry| !removed.contains(entry));
        removed.sort_by(|a, b| naive_order(&a.meta.stamp(), &b.meta.stamp()));
        removed
    }

    fn newest_with_reason(&self, reason: &str) -> Option<Stamp> {
        let holders = self
            .entries
            .iter()
            .filter(|entry| entry.meta.reasons.iter().any(|own| **own == *reason));
        holders.map(|entry| entry.meta.stamp()).max_by(naive_order)
    }

    fn values_with(&self, prefix: &str) -> Vec<(String, String)> {
        let values = self.values.iter().filter(|(name, _)| name.starts_with(prefix));
        let mut found: Vec<_> = values.cloned().collect();
        found.sort();
        found
    }

    fn select(&self, query: &Query) -> Vec<Entry> {
        let mut found = self.entries.clone();
        if let Some(index) = &query.index {
            found.retain(|entry| entry.meta.indexes.contains(index));
        }
        if matches!(query.order, Order::Created { .. }) {
            found.sort_by(|a, b| naive_order(&a.meta.stamp(), &b.meta.stamp()));
        }
        if query.direction == Direction::NewestFirst {
            found.reverse();
        }
        found.retain(|entry| {
            let relation = match &query.order {
                Order::Created { after } => {
                    after.as_ref().map(|after| naive_order(&entry.meta.stamp(), after))
                }
                Order::Added { after } => after.map(|after| entry.meta.added.cmp(&Some(after))),
            };
            match query.direction {
                Direction::OldestFirst => relation.is_none_or(Ordering::is_gt),
                Direction::NewestFirst => relation.is_none_or(Ordering::is_lt),
            }
        });
        found
    }
}

/// An independent implementation of the order of [`Stamp`], which compares UTF-16 strings.
fn naive_order(a: &Stamp, b: &Stamp) -> Ordering {
    let key = |stamp: &Stamp| {
        let id = stamp.id();
        let node: Vec<u16> = id.node().as_str().encode_utf16().collect();
        (stamp.time().as_millis(), node, id.sequence(), id.time().as_millis())
    };
    key(a).cmp(&key(b))
}
