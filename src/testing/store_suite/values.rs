//! Checks of named values.

use core::ops::ControlFlow;

use super::expect::{add, expect_both, meta};
use crate::store::Store;

/// Returns the values whose names begin with a prefix.
pub(super) fn values<S: Store>(store: &S, prefix: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let visit = &mut |name: &str, value: &str| {
        found.push((name.to_owned(), value.to_owned()));
        ControlFlow::Continue(())
    };
    store.walk_values(prefix, visit).expect("walk_values");
    found
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn keeps_values_by_name<S: Store>(mut store: S) {
    assert_eq!(store.value("a").expect("value"), None);
    for value in ["1", "", "2 \u{1F600} \0 '\""] {
        store.set_value("a", Some(value)).expect("set_value");
        assert_eq!(store.value("a").expect("value").as_deref(), Some(value));
    }
    assert_eq!(store.value("A").expect("value"), None, "names differ by case");
    store.set_value("a", None).expect("set_value");
    store.set_value("b", None).expect("removing an unknown value has no effect");
    assert_eq!(store.value("a").expect("value"), None);
    let entry = add(&mut store, "A", meta("1 n 0", 1));
    assert_eq!(entry.meta.added, Some(1), "values have no `added` numbers");
    expect_both(&store, &[&entry]);
}

pub(super) fn walks_values_by_prefix<S: Store>(mut store: S) {
    for name in ["b/2", "a", "b/", "b/10", "b0", "b/\u{10FFFF}x", "b"] {
        store.set_value(name, Some(name)).expect("set_value");
    }
    let of_b = ["b/", "b/10", "b/2", "b/\u{10FFFF}x"].map(|name| (name, name));
    assert_eq!(values(&store, "b/"), pairs(&of_b));
    assert_eq!(values(&store, "c"), []);
    assert_eq!(values(&store, "").len(), 7);
    let mut visited = 0;
    let visit = &mut |_: &str, _: &str| {
        visited += 1;
        if visited == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    store.walk_values("b", visit).expect("walk_values");
    assert_eq!(visited, 2, "a walk ends at a break");
    for n in 0..1_000 {
        store.set_value(&format!("n/{n:04}"), Some("x")).expect("set_value");
    }
    let names: Vec<String> = values(&store, "n/").into_iter().map(|(name, _)| name).collect();
    let expected: Vec<String> = (0..1_000).map(|n| format!("n/{n:04}")).collect();
    assert_eq!(names, expected);
}

pub(super) fn cleans_values<S: Store>(mut store: S) {
    store.set_value("a", Some("1")).expect("set_value");
    store.clean().expect("clean");
    assert_eq!(store.value("a").expect("value"), None);
    assert_eq!(values(&store, ""), []);
}
