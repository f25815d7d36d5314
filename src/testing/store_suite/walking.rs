//! Checks of `walk` and `page`, with and without an index.

use core::{ops::ControlFlow, slice};

use super::expect::{add, expect_both, expect_index, expect_orders, meta, stamp, walk};
use crate::store::{Query, Store};

pub(super) fn keeps_indexes_in_both_orders<S: Store>(mut store: S) {
    let late = add(&mut store, "1", meta("1 node1 0", 2).with_index("a"));
    let early = add(&mut store, "2", meta("1 node1 1", 1).with_index("a").with_index("b"));
    let other = add(&mut store, "3", meta("1 node1 2", 3));
    expect_orders(&store, &[&early, &late, &other], &[&late, &early, &other]);
    expect_index(&store, "a", &[&early, &late], &[&late, &early]);
    expect_index(&store, "b", &[&early], &[&early]);
}

/// `z` is the newest entry of its index, but not of the store. The store of `@logux/core` 0.10 puts
/// such an entry before the others.
pub(super) fn puts_the_newest_of_an_index_last<S: Store>(mut store: S) {
    let x = add(&mut store, "x", meta("1 n 0", 1).with_index("a"));
    let y = add(&mut store, "y", meta("3 n 0", 3));
    let z = add(&mut store, "z", meta("2 n 0", 2).with_index("a"));
    expect_orders(&store, &[&x, &z, &y], &[&x, &y, &z]);
    expect_index(&store, "a", &[&x, &z], &[&x, &z]);
}

pub(super) fn orders_an_index_within_one_time<S: Store>(mut store: S) {
    let b = add(&mut store, "B", meta("2 a 0", 1).with_index("a"));
    let c = add(&mut store, "C", meta("3 a 0", 1).with_index("a"));
    let a = add(&mut store, "A", meta("1 a 0", 1).with_index("a"));
    expect_index(&store, "a", &[&a, &b, &c], &[&b, &c, &a]);
}

pub(super) fn visits_nothing_for_an_unknown_index<S: Store>(mut store: S) {
    add(&mut store, "A", meta("1 a 0", 1).with_index("a"));
    for index in ["", "A", "aa", "a\u{0}"] {
        expect_index(&store, index, &[], &[]);
    }
}

pub(super) fn starts_after_any_position<S: Store>(mut store: S) {
    let first = add(&mut store, "A", meta("1 a 0", 1).with_index("i"));
    let removed = add(&mut store, "B", meta("2 a 0", 2).with_index("i"));
    let last = add(&mut store, "C", meta("3 a 0", 3).with_index("i"));
    assert!(store.remove(&removed.meta.id).expect("remove").is_some());
    for query in [Query::created(), Query::created().index("i")] {
        let after = query.clone().after_stamp(removed.meta.stamp());
        assert_eq!(walk(&store, &after), slice::from_ref(&first));
        assert_eq!(walk(&store, &after.oldest_first()), slice::from_ref(&last));
        assert_eq!(walk(&store, &query.clone().after_stamp(stamp("0 a 0", 0))), []);
        assert_eq!(walk(&store, &query.oldest_first().after_stamp(stamp("9 a 0", 9))), []);
    }
    for query in [Query::added(), Query::added().index("i")] {
        let after = query.clone().after_added(2);
        assert_eq!(walk(&store, &after), slice::from_ref(&first));
        assert_eq!(walk(&store, &after.oldest_first()), slice::from_ref(&last));
        assert_eq!(walk(&store, &query.clone().after_added(0)), []);
        assert_eq!(
            walk(&store, &query.clone().oldest_first().after_added(0)),
            [first.clone(), last.clone()]
        );
        assert_eq!(walk(&store, &query.clone().oldest_first().after_added(9)), []);
        assert_eq!(walk(&store, &query.clone().oldest_first().after_added(u64::MAX)), []);
        assert_eq!(walk(&store, &query.after_added(u64::MAX)), [last.clone(), first.clone()]);
    }
}

pub(super) fn stops_at_a_break<S: Store>(mut store: S) {
    for time in 1..=20 {
        add(&mut store, "A", meta(&format!("{time} a 0"), time).with_index("i"));
    }
    for query in
        [Query::created(), Query::added(), Query::created().index("i"), Query::added().index("i")]
    {
        let mut visited = Vec::new();
        let visit = &mut |entry: &crate::Entry| {
            visited.push(entry.meta.time.as_millis());
            if visited.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        store.walk(&query, visit).expect("walk");
        assert_eq!(visited, [20, 19, 18], "{query:?}");
    }
}

pub(super) fn pages_without_gap_or_repetition<S: Store>(mut store: S) {
    // More entries than a store reads at once. Their order of arrival differs from that of
    // creation.
    let entries: Vec<_> = (0..1_000_i64)
        .map(|at| {
            let time = at * 387 % 1_000;
            let indexed = meta(&format!("{time} a 0"), time);
            add(&mut store, "A", if time % 3 == 0 { indexed.with_index("i") } else { indexed })
        })
        .collect();
    let mut created: Vec<_> = entries.iter().collect();
    created.sort_by_key(|entry| entry.meta.time);
    let indexed = |entry: &&&crate::Entry| !entry.meta.indexes.is_empty();
    let in_index: Vec<_> = created.iter().filter(indexed).copied().collect();
    for (query, expected) in [
        (Query::added().oldest_first(), entries.iter().collect()),
        (Query::created().oldest_first(), created.clone()),
        (Query::created(), created.iter().rev().copied().collect::<Vec<_>>()),
        (Query::created().index("i").oldest_first(), in_index),
    ] {
        for limit in [1, 7, 100, expected.len(), 10_000] {
            if limit == 1 && query != Query::created() {
                continue;
            }
            let mut next = Some(query.clone());
            let mut found = Vec::new();
            while let Some(query) = next {
                let page = store.page(&query, limit).expect("page");
                assert!(
                    page.entries.len() <= limit
                        && (page.next.is_none() || page.entries.len() == limit)
                );
                found.extend(page.entries);
                next = page.next;
            }
            assert!(found.iter().eq(expected.iter().copied()), "{query:?} by {limit}");
        }
        assert!(walk(&store, &query).iter().eq(expected), "{query:?} without pages");
    }
    store.clean().expect("clean");
    expect_both(&store, &[]);
    let page = store.page(&Query::created(), 10).expect("page");
    assert!(page.entries.is_empty() && page.next.is_none());
}
