//! [`JournalStore`] passes the checks of all stores, and its changes make an equal store.

use core::ops::ControlFlow;

use logux::{
    Entry, Store,
    store::{JournalStore, Query},
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
