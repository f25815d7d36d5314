//! Checks of a store that is closed and opened again.

use super::{
    expect::{add, expect_both, expect_index, expect_orders, meta},
    values::values,
};
use crate::{
    action::{NameList, Subprotocol},
    json::Json,
    store::{Criteria, MetaChange, Store, Synced},
};

pub(super) fn keeps_committed_entries<S: Store>(open: &mut dyn FnMut() -> S) {
    let mut store = open();
    let mut full = meta("1 n 0", 5).with_reason("a").with_reason("b").with_index("i");
    full.subprotocol = Some(Subprotocol::Number(3));
    full.keep_last = Some("a".into());
    full.extra.set("why", Json::new(r#""\ud83d""#).expect("JSON"));
    let full = add(&mut store, "A", full);
    let early = add(&mut store, "B", meta("2 n 0", 2).with_reason("b"));
    store.commit().expect("commit");
    drop(store);

    let mut store = open();
    expect_orders(&store, &[&early, &full], &[&full, &early]);
    expect_index(&store, "i", &[&full], &[&full]);
    assert_eq!(store.newest_with_reason("b").expect("newest"), Some(full.meta.stamp()));
    let late = add(&mut store, "C", meta("6 n 0", 6));
    assert_eq!(late.meta.added, Some(3));
    store.commit().expect("commit");
    drop(store);
    expect_orders(&open(), &[&early, &full, &late], &[&full, &early, &late]);
}

pub(super) fn keeps_changes_and_removals<S: Store>(open: &mut dyn FnMut() -> S) {
    let mut store = open();
    let mut changed = add(&mut store, "A", meta("1 n 0", 1).with_reason("a"));
    let removed = add(&mut store, "B", meta("2 n 0", 2).with_reason("a").with_index("i"));
    let mut reduced = add(&mut store, "C", meta("3 n 0", 3).with_reason("c").with_reason("a"));
    store.commit().expect("commit");
    drop(store);

    let mut store = open();
    changed.meta.reasons = NameList::from_iter(["z".into()]);
    changed.meta.extra.set("k", Json::new("[]").expect("JSON"));
    let change = MetaChange {
        reasons: Some(changed.meta.reasons.clone()),
        extra: vec![("k".into(), Some(Json::new("[]").expect("JSON")))],
    };
    assert!(store.change_meta(&changed.meta.id, &change).expect("change_meta"));
    assert!(store.remove(&removed.meta.id).expect("remove").is_some());
    store.remove_reason("c", &Criteria::default(), &mut |_| ()).expect("remove_reason");
    reduced.meta.reasons = NameList::from_iter(["a".into()]);
    store.commit().expect("commit");
    drop(store);

    let store = open();
    expect_both(&store, &[&changed, &reduced]);
    expect_index(&store, "i", &[], &[]);
    assert_eq!(store.newest_with_reason("c").expect("newest"), None);
}

pub(super) fn keeps_last_added_and_synced<S: Store>(open: &mut dyn FnMut() -> S) {
    let synced = Synced { sent: 7, received: 9 };
    let mut store = open();
    add(&mut store, "A", meta("1 n 0", 1));
    store.set_synced(synced).expect("set_synced");
    store.commit().expect("commit");
    drop(store);
    let store = open();
    assert_eq!(
        (store.last_added().expect("last_added"), store.synced().expect("synced")),
        (1, synced)
    );
}

pub(super) fn keeps_values<S: Store>(open: &mut dyn FnMut() -> S) {
    let mut store = open();
    for (name, value) in [("a", "1"), ("b", "2")] {
        store.set_value(name, Some(value)).expect("set_value");
    }
    store.commit().expect("commit");
    drop(store);
    let mut store = open();
    assert_eq!(store.value("b").expect("value").as_deref(), Some("2"));
    store.set_value("a", Some("3")).expect("set_value");
    store.set_value("b", None).expect("set_value");
    store.commit().expect("commit");
    drop(store);
    assert_eq!(values(&open(), ""), [("a".to_owned(), "3".to_owned())]);
}

pub(super) fn keeps_last_added_without_entries<S: Store>(open: &mut dyn FnMut() -> S) {
    let mut store = open();
    let first = add(&mut store, "A", meta("1 n 0", 1));
    let second = add(&mut store, "B", meta("2 n 0", 2).with_reason("a"));
    store.commit().expect("commit");
    store.remove_reason("a", &Criteria::default(), &mut |_| ()).expect("remove_reason");
    store.commit().expect("commit");
    drop(store);

    let mut store = open();
    assert_eq!(store.last_added().expect("last_added"), 2);
    expect_both(&store, &[&first]);
    assert!(store.remove(&first.meta.id).expect("remove").is_some());
    store.commit().expect("commit");
    drop(store);

    let mut store = open();
    assert_eq!(store.last_added().expect("last_added"), 2);
    assert_eq!(add(&mut store, "C", second.meta).meta.added, Some(3));
}

pub(super) fn stays_clean<S: Store>(open: &mut dyn FnMut() -> S) {
    let mut store = open();
    add(&mut store, "A", meta("1 n 0", 1).with_reason("a").with_index("i"));
    store.set_synced(Synced { sent: 1, received: 1 }).expect("set_synced");
    store.commit().expect("commit");
    store.clean().expect("clean");
    store.commit().expect("commit");
    drop(store);
    let store = open();
    expect_both(&store, &[]);
    assert_eq!(
        (store.last_added().expect("last_added"), store.synced().expect("synced")),
        (0, Synced::default())
    );
}
