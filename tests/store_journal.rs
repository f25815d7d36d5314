//! [`JournalStore`] passes the checks of all stores, and its changes make an equal store.

use core::ops::ControlFlow;

use logux::{
    Action, Entry, Meta, Store,
    store::{JournalStore, Query, StoreChange},
    testing::{store_model, store_suite},
};

#[test]
fn passes_the_suite() {
    store_suite::run(JournalStore::default);
}

/// Returns everything that a store has.
fn content(store: &JournalStore) -> (Vec<Entry>, Vec<(String, String)>, String) {
    let (mut entries, mut values) = (Vec::new(), Vec::new());
    let Ok(()) = store.walk(&Query::added(), &mut |entry| {
        entries.push(entry.clone());
        ControlFlow::Continue(())
    });
    let Ok(()) = store.walk_values("", &mut |name, value| {
        values.push((name.to_owned(), value.to_owned()));
        ControlFlow::Continue(())
    });
    let numbers = format!("{:?} {:?}", store.last_added(), store.synced());
    (entries, values, numbers)
}

#[test]
fn the_changes_restore_the_store() {
    let check = |store: &JournalStore| {
        store.memory().assert_invariants();
        let mut committed = store.clone();
        let Ok(()) = committed.commit();
        let restored = JournalStore::restore(committed.take_changes());
        restored.memory().assert_invariants();
        assert_eq!(content(&restored), content(store));
    };
    store_model::assert_like_model(JournalStore::default, check, 300);
}

#[test]
fn entries_of_a_damaged_database_with_the_same_number_stay_in_their_order() {
    let entry = |index: u64| {
        let id = format!("{} 10:a:b 0", 1000 - index).parse().expect("an id");
        let mut meta = Meta::new(id);
        meta.added = Some(index % 2 + 1);
        meta.reasons = ["kept".into()].into_iter().collect();
        Entry::new(Action::new(r#"{"type":"a"}"#).expect("an action"), meta)
    };
    let entries: Vec<Entry> = (0..64).map(entry).collect();
    let restored = JournalStore::restore(entries.iter().cloned().map(StoreChange::Put));
    // The latest first.
    let is_later = |entry: &Entry| entry.meta.added == Some(2);
    let (later, earlier) = entries.into_iter().rev().partition::<Vec<_>, _>(is_later);
    assert_eq!(content(&restored).0, [later, earlier].concat());
}
