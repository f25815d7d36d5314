//! Helpers of the checks: values, and assertions about the whole store.

use core::ops::ControlFlow;

use crate::{
    action::{Action, Meta, Stamp},
    store::{Entry, Insertion, Query, Store},
    time::WallTime,
};

/// Returns the meta of an action from its id as a string and its time in milliseconds.
pub(super) fn meta(id: &str, time: i64) -> Meta {
    Meta::new(id.parse().expect("an id")).with_time(WallTime::from_millis(time))
}

/// Returns the stamp of an action from its id as a string and its time in milliseconds.
pub(super) fn stamp(id: &str, time: i64) -> Stamp {
    meta(id, time).stamp()
}

/// Adds an action of the type `kind`, and returns the entry as the store keeps it.
pub(super) fn add<S: Store>(store: &mut S, kind: &str, meta: Meta) -> Entry {
    let action = Action::new(format!("{{\"type\":\"{kind}\"}}")).expect("an action");
    let mut entry = Entry::new(action, meta);
    assert_eq!(store.add(&mut entry).expect("add"), Insertion::Added, "adding {entry:?}");
    assert!(entry.meta.added.is_some(), "`add` must set the added number of {entry:?}");
    entry
}

/// Adds three actions with the times 1, 2 and 3 and the reason `a`.
pub(super) fn add_three<S: Store>(store: &mut S) -> [Entry; 3] {
    [("1 n 0", 1), ("2 n 0", 2), ("3 n 0", 3)]
        .map(|(id, time)| add(store, id, meta(id, time).with_reason("a")))
}

/// Returns all entries that a query visits.
pub(super) fn walk<S: Store>(store: &S, query: &Query) -> Vec<Entry> {
    let mut found = Vec::new();
    store
        .walk(query, &mut |entry| {
            found.push(entry.clone());
            ControlFlow::Continue(())
        })
        .expect("walk");
    found
}

/// Asserts that the store has exactly these entries, given oldest first by creation and by arrival.
/// Walks in both directions, from the end and from each entry.
#[track_caller]
pub(super) fn expect_orders<S: Store>(store: &S, created: &[&Entry], added: &[&Entry]) {
    expect_walks(store, &Query::created(), created);
    expect_walks(store, &Query::added(), added);
    for entry in created {
        let found = store.by_id(&entry.meta.id).expect("by_id");
        assert_eq!(found.as_ref(), Some(*entry), "by id");
    }
}

/// Asserts that the store has exactly these entries, which have the same order by creation and by
/// arrival.
#[track_caller]
pub(super) fn expect_both<S: Store>(store: &S, entries: &[&Entry]) {
    expect_orders(store, entries, entries);
}

/// Asserts that an index has exactly these entries, given oldest first by creation and by arrival.
#[track_caller]
pub(super) fn expect_index<S: Store>(store: &S, index: &str, created: &[&Entry], added: &[&Entry]) {
    expect_walks(store, &Query::created().index(index), created);
    expect_walks(store, &Query::added().index(index), added);
}

#[track_caller]
fn expect_walks<S: Store>(store: &S, newest_first: &Query, entries: &[&Entry]) {
    let forward: Vec<Entry> = entries.iter().map(|&entry| entry.clone()).collect();
    let backward: Vec<Entry> = forward.iter().rev().cloned().collect();
    let oldest_first = newest_first.clone().oldest_first();
    for (query, expected) in [(&oldest_first, forward), (newest_first, backward)] {
        assert_eq!(walk(store, query), expected, "{query:?}");
        for (at, entry) in expected.iter().enumerate() {
            let query = query.after_entry(entry);
            assert_eq!(walk(store, &query), expected[at + 1..], "{query:?}");
        }
    }
}
