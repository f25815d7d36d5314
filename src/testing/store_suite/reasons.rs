//! Checks of `remove_reason` with all criteria, and of `newest_with_reason`.

use std::sync::Arc;

use super::expect::{add, add_three, expect_both, expect_index, expect_orders, meta, stamp};
use crate::store::{Criteria, Entry, Store};

/// Removes the reason `a`, and returns the entries that the store removed.
fn remove_a<S: Store>(store: &mut S, criteria: &Criteria) -> Vec<Entry> {
    remove(store, "a", criteria)
}

fn remove<S: Store>(store: &mut S, reason: &str, criteria: &Criteria) -> Vec<Entry> {
    let mut removed = Vec::new();
    store.remove_reason(reason, criteria, &mut |entry| removed.push(entry)).expect("remove_reason");
    removed
}

/// Returns the entry without the reason `a`.
fn bare(entry: &Entry) -> Entry {
    without(entry, "a")
}

fn without(entry: &Entry, reason: &str) -> Entry {
    let mut entry = entry.clone();
    entry.meta.reasons.retain(|own| **own != *reason);
    entry
}

pub(super) fn removes_a_reason_and_entries_without_reasons<S: Store>(mut store: S) {
    let first = add(&mut store, "1", meta("1 n 0", 1).with_reason("a"));
    let second = add(&mut store, "2", meta("2 n 0", 2).with_reason("a"));
    let third = add(&mut store, "3", meta("3 n 0", 3).with_reason("a").with_reason("b"));
    let fourth = add(&mut store, "4", meta("4 n 0", 4).with_reason("b"));
    let unkept = add(&mut store, "5", meta("5 n 0", 5));
    assert_eq!(remove_a(&mut store, &Criteria::default()), [bare(&first), bare(&second)]);
    expect_both(&store, &[&bare(&third), &fourth, &unkept]);
    assert_eq!(store.newest_with_reason("a").expect("newest"), None);
    assert_eq!(remove_a(&mut store, &Criteria::default()), []);
}

pub(super) fn removes_a_reason_from_indexes<S: Store>(mut store: S) {
    add(&mut store, "1", meta("1 n 0", 1).with_index("a").with_index("b").with_reason("a"));
    let second = add(&mut store, "2", meta("2 n 0", 2).with_index("b").with_reason("b"));
    let third =
        add(&mut store, "3", meta("3 n 0", 3).with_index("b").with_reason("b").with_reason("a"));
    remove_a(&mut store, &Criteria::default());
    expect_index(&store, "a", &[], &[]);
    let third = bare(&third);
    expect_index(&store, "b", &[&second, &third], &[&second, &third]);
}

pub(super) fn removes_a_reason_between_two_stamps<S: Store>(mut store: S) {
    let [first, second, third] = add_three(&mut store);
    let between = Criteria {
        younger_than: Some(first.meta.stamp()),
        older_than: Some(third.meta.stamp()),
        ..Criteria::default()
    };
    assert_eq!(remove_a(&mut store, &between), [bare(&second)]);
    expect_both(&store, &[&first, &third]);
}

pub(super) fn removes_a_reason_from_older_entries<S: Store>(mut store: S) {
    let [first, second, third] = add_three(&mut store);
    assert_eq!(remove_a(&mut store, &Criteria::older_than(second.meta.stamp())), [bare(&first)]);
    expect_both(&store, &[&second, &third]);
}

pub(super) fn removes_a_reason_from_younger_entries<S: Store>(mut store: S) {
    let [first, second, third] = add_three(&mut store);
    let younger = Criteria { younger_than: Some(second.meta.stamp()), ..Criteria::default() };
    assert_eq!(remove_a(&mut store, &younger), [bare(&third)]);
    expect_both(&store, &[&first, &second]);
}

pub(super) fn removes_a_reason_from_a_lowest_number<S: Store>(mut store: S) {
    let [first, second, third] = add_three(&mut store);
    let lowest = Criteria { min_added: Some(2), ..Criteria::default() };
    assert_eq!(remove_a(&mut store, &lowest), [bare(&second), bare(&third)]);
    expect_both(&store, &[&first]);
}

pub(super) fn removes_a_reason_up_to_a_highest_number<S: Store>(mut store: S) {
    let [first, second, third] = add_three(&mut store);
    let highest = Criteria { max_added: Some(2), ..Criteria::default() };
    assert_eq!(remove_a(&mut store, &highest), [bare(&first), bare(&second)]);
    expect_both(&store, &[&third]);
    let all = Criteria { max_added: Some(u64::MAX), ..Criteria::default() };
    assert_eq!(remove_a(&mut store, &all), [bare(&third)]);
}

pub(super) fn removes_a_reason_for_one_number<S: Store>(mut store: S) {
    let [first, second, third] = add_three(&mut store);
    let one = Criteria { min_added: Some(2), max_added: Some(2), ..Criteria::default() };
    assert_eq!(remove_a(&mut store, &one), [bare(&second)]);
    let crossed = Criteria { min_added: Some(3), max_added: Some(1), ..Criteria::default() };
    assert_eq!(remove_a(&mut store, &crossed), []);
    expect_both(&store, &[&first, &third]);
}

pub(super) fn removes_nothing_outside_of_the_numbers<S: Store>(mut store: S) {
    let [first, second, third] = add_three(&mut store);
    let none = Criteria { max_added: Some(0), ..Criteria::default() };
    assert_eq!(remove_a(&mut store, &none), []);
    let none = Criteria { min_added: Some(u64::MAX), ..Criteria::default() };
    assert_eq!(remove_a(&mut store, &none), []);
    expect_both(&store, &[&first, &second, &third]);
}

pub(super) fn removes_a_reason_by_id<S: Store>(mut store: S) {
    let first = add(&mut store, "1", meta("1 n 0", 1).with_reason("a"));
    let second = add(&mut store, "2", meta("2 n 0", 2).with_reason("a").with_reason("b"));
    let third = add(&mut store, "3", meta("3 n 0", 3).with_reason("a"));
    let moved = add(&mut store, "4", meta("4 n 0", 5).with_reason("a"));
    let id = |text: &str| Criteria::id(text.parse().expect("an id"));
    assert_eq!(remove_a(&mut store, &id("1 n 0")), [bare(&first)]);
    assert_eq!(remove(&mut store, "b", &id("2 n 0")), []);
    assert_eq!(remove(&mut store, "c", &id("3 n 0")), []);
    assert_eq!(remove_a(&mut store, &id("5 n 0")), []);
    assert_eq!(remove_a(&mut store, &id("4 n 0")), [bare(&moved)]);
    expect_both(&store, &[&without(&second, "b"), &third]);
}

pub(super) fn removes_a_reason_within_an_index<S: Store>(mut store: S) {
    let first = add(&mut store, "1", meta("1 n 0", 1).with_reason("a").with_index("i"));
    let second = add(&mut store, "2", meta("2 n 0", 2).with_reason("a").with_index("j"));
    let third = add(
        &mut store,
        "3",
        meta("3 n 0", 3).with_reason("a").with_reason("b").with_index("j").with_index("i"),
    );
    let fourth = add(&mut store, "4", meta("4 n 0", 4).with_reason("b").with_index("i"));
    let within = Criteria { index: Some("i".into()), ..Criteria::default() };
    assert_eq!(remove_a(&mut store, &within), [bare(&first)]);
    let third = bare(&third);
    expect_both(&store, &[&second, &third, &fourth]);
    expect_index(&store, "i", &[&third, &fourth], &[&third, &fourth]);
    let unknown = Criteria { index: Some("k".into()), ..Criteria::default() };
    assert_eq!(remove_a(&mut store, &unknown), []);
}

pub(super) fn removes_only_if_all_criteria_match<S: Store>(mut store: S) {
    let [first, second, third] = add_three(&mut store);
    let older = Criteria::older_than(second.meta.stamp());
    let no_match = [
        Criteria { min_added: Some(2), ..older.clone() },
        Criteria { id: Some(third.meta.id.clone()), ..older.clone() },
        Criteria { id: Some(first.meta.id.clone()), min_added: Some(2), ..Criteria::default() },
        Criteria {
            id: Some(first.meta.id.clone()),
            younger_than: Some(first.meta.stamp()),
            ..Criteria::default()
        },
        Criteria {
            id: Some(first.meta.id.clone()),
            index: Some(Arc::from("i")),
            ..Criteria::default()
        },
        Criteria { index: Some(Arc::from("i")), ..older.clone() },
    ];
    for criteria in no_match {
        assert_eq!(remove_a(&mut store, &criteria), [], "{criteria:?}");
    }
    expect_both(&store, &[&first, &second, &third]);
    let first_only = Criteria { id: Some(first.meta.id.clone()), max_added: Some(1), ..older };
    assert_eq!(remove_a(&mut store, &first_only), [bare(&first)]);
    expect_both(&store, &[&second, &third]);
}

pub(super) fn removes_nothing_between_crossed_stamps<S: Store>(mut store: S) {
    let [first, second, third] = add_three(&mut store);
    for (younger, older) in [(&third, &first), (&second, &second), (&first, &second)] {
        let crossed = Criteria {
            younger_than: Some(younger.meta.stamp()),
            older_than: Some(older.meta.stamp()),
            ..Criteria::default()
        };
        assert_eq!(remove_a(&mut store, &crossed), [], "{crossed:?}");
    }
    expect_both(&store, &[&first, &second, &third]);
}

pub(super) fn reports_removed_entries_oldest_first<S: Store>(mut store: S) {
    let third = add(&mut store, "3", meta("3 n 0", 3).with_reason("a"));
    let first = add(&mut store, "1", meta("1 n 0", 1).with_reason("a"));
    let kept = add(&mut store, "0", meta("0 n 0", 0).with_reason("a").with_reason("b"));
    let second = add(&mut store, "2", meta("2 n 0", 2).with_reason("a"));
    expect_orders(&store, &[&kept, &first, &second, &third], &[&third, &first, &kept, &second]);
    let by_number = Criteria { max_added: Some(3), ..Criteria::default() };
    assert_eq!(remove_a(&mut store, &by_number), [bare(&first), bare(&third)]);
    let third = add(&mut store, "3", third.meta);
    assert_eq!(remove_a(&mut store, &Criteria::default()), [bare(&second), bare(&third)]);
    expect_both(&store, &[&bare(&kept)]);
}

pub(super) fn finds_the_newest_with_a_reason<S: Store>(mut store: S) {
    let newest = |store: &S| store.newest_with_reason("a").expect("newest");
    assert_eq!(newest(&store), None);
    add(&mut store, "1", meta("5 n 0", 5).with_reason("a"));
    add(&mut store, "2", meta("3 n 0", 3).with_reason("a"));
    add(&mut store, "3", meta("9 n 0", 9).with_reason("b"));
    assert_eq!(newest(&store), Some(stamp("5 n 0", 5)));
    remove_a(&mut store, &Criteria::id("5 n 0".parse().expect("an id")));
    assert_eq!(newest(&store), Some(stamp("3 n 0", 3)));
    remove_a(&mut store, &Criteria::default());
    assert_eq!(newest(&store), None);
}
