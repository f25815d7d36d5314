//! Checks of `last_added`, `synced`, `clean` and `commit`.

use super::expect::{add, expect_both, expect_index, meta};
use crate::{
    action::Action,
    store::{Entry, Insertion, Store, Synced},
};

pub(super) fn is_empty_at_first<S: Store>(store: S) {
    assert_eq!(store.last_added().expect("last_added"), 0);
    assert_eq!(store.synced().expect("synced"), Synced::default());
    expect_both(&store, &[]);
    drop(store);
}

pub(super) fn keeps_the_synced_numbers<S: Store>(mut store: S) {
    for synced in [
        Synced { sent: 1, received: 0 },
        Synced { sent: 1, received: 1 },
        Synced { sent: 2, received: 1 },
    ] {
        store.set_synced(synced).expect("set_synced");
        assert_eq!(store.synced().expect("synced"), synced);
    }
    let lower = Synced { sent: 0, received: 9_007_199_254_740_993 };
    store.set_synced(lower).expect("set_synced");
    assert_eq!(store.synced().expect("synced"), lower, "the last value counts, not the highest");
    assert_eq!(store.last_added().expect("last_added"), 0);
}

pub(super) fn last_added_grows_only_with_new_entries<S: Store>(mut store: S) {
    add(&mut store, "A", meta("1 n 0", 1));
    assert_eq!(store.last_added().expect("last_added"), 1);
    let mut duplicate =
        Entry::new(Action::new(r#"{"type":"A"}"#).expect("an action"), meta("1 n 0", 1));
    assert_eq!(store.add(&mut duplicate).expect("add"), Insertion::Duplicate);
    assert_eq!(store.last_added().expect("last_added"), 1);
    add(&mut store, "B", meta("0 n 0", 0));
    assert_eq!(store.last_added().expect("last_added"), 2);
}

pub(super) fn last_added_survives_the_removal_of_the_last_entry<S: Store>(mut store: S) {
    let first = add(&mut store, "A", meta("1 n 0", 1));
    let second = add(&mut store, "B", meta("2 n 0", 2));
    assert!(store.remove(&second.meta.id).expect("remove").is_some());
    assert!(store.remove(&first.meta.id).expect("remove").is_some());
    assert_eq!(store.last_added().expect("last_added"), 2);
    assert_eq!(add(&mut store, "C", meta("3 n 0", 3)).meta.added, Some(3));
}

pub(super) fn cleans_everything<S: Store>(mut store: S) {
    for (time, index) in [(1, ""), (2, "a"), (3, ""), (4, "a"), (5, "b")] {
        let id = format!("{time} n 0");
        add(&mut store, "A", meta(&id, time).with_index(index).with_reason("r"));
    }
    add(&mut store, "A", meta("6 n 0", 7));
    store.set_synced(Synced { sent: 3, received: 2 }).expect("set_synced");
    store.clean().expect("clean");
    expect_both(&store, &[]);
    expect_index(&store, "a", &[], &[]);
    expect_index(&store, "b", &[], &[]);
    assert_eq!(store.newest_with_reason("r").expect("newest"), None);
    assert_eq!(store.by_id(&"6 n 0".parse().expect("an id")).expect("by_id"), None);
    assert_eq!(
        (store.last_added().expect("last_added"), store.synced().expect("synced")),
        (0, Synced::default())
    );
    let first = add(&mut store, "A", meta("6 n 0", 6));
    assert_eq!(first.meta.added, Some(1), "added numbers start again");
    expect_both(&store, &[&first]);
}

pub(super) fn commits_repeatedly<S: Store>(mut store: S) {
    store.commit().expect("an empty commit");
    let first = add(&mut store, "A", meta("1 n 0", 1));
    store.commit().expect("commit");
    store.commit().expect("a second commit");
    expect_both(&store, &[&first]);
    let second = add(&mut store, "B", meta("2 n 0", 2));
    expect_both(&store, &[&first, &second]);
    store.commit().expect("commit");
    expect_both(&store, &[&first, &second]);
}
