//! Checks of adding, finding, changing and removing single entries.

use std::sync::Arc;

use super::expect::{add, expect_both, expect_index, expect_orders, meta};
use crate::{
    action::{Action, NameList, Subprotocol},
    json::{Json, JsonObject},
    store::{Entry, Insertion, MetaChange, Store},
};

pub(super) fn keeps_entries_in_both_orders<S: Store>(mut store: S) {
    let first = add(&mut store, "1", meta("1 a 0", 1));
    let second = add(&mut store, "2", meta("1 c 0", 2));
    let third = add(&mut store, "3", meta("1 b 1", 2));
    let fourth = add(&mut store, "4", meta("3 b 0", 2));
    let numbers = [&first, &second, &third, &fourth].map(|entry| entry.meta.added);
    assert_eq!(numbers, [1, 2, 3, 4].map(Some), "added numbers are in the order of arrival");
    expect_orders(&store, &[&first, &fourth, &third, &second], &[&first, &second, &third, &fourth]);
}

pub(super) fn orders_entries_of_one_time_by_id<S: Store>(mut store: S) {
    let b = add(&mut store, "B", meta("2 a 0", 1));
    let c = add(&mut store, "C", meta("3 a 0", 1));
    let a = add(&mut store, "A", meta("1 a 0", 1));
    let longer = add(&mut store, "D", meta("1 aa 0", 1));
    let tenth = add(&mut store, "E", meta("1 a 10", 1));
    let ninth = add(&mut store, "F", meta("1 a 9", 1));
    let large = add(&mut store, "G", meta("1 a 70000", 1));
    let last = add(&mut store, "H", meta("1 a 4294967295", 1));
    let created = [&a, &b, &c, &ninth, &tenth, &large, &last, &longer];
    expect_orders(&store, &created, &[&b, &c, &a, &longer, &tenth, &ninth, &large, &last]);
}

pub(super) fn orders_node_ids_as_javascript_does<S: Store>(mut store: S) {
    // In UTF-16, U+1F600 starts with D83D, which is less than E000. In UTF-8, U+E000 is less.
    let private = add(&mut store, "1", meta("1 \u{e000} 0", 1));
    let emoji = add(&mut store, "2", meta("1 \u{1f600} 0", 1));
    let last = add(&mut store, "3", meta("1 \u{ffff} 0", 1));
    let control = add(&mut store, "4", meta("1 a\u{0}b 0", 1));
    let plain = add(&mut store, "5", meta("1 a 1", 1));
    let korean = add(&mut store, "6", meta("1 \u{d7ff} 0", 1));
    let tab = add(&mut store, "7", meta("1 a\u{1f} 0", 1));
    let mark = add(&mut store, "8", meta("1 a! 0", 1));
    let created = [&plain, &control, &tab, &mark, &korean, &emoji, &private, &last];
    expect_orders(
        &store,
        &created,
        &[&private, &emoji, &last, &control, &plain, &korean, &tab, &mark],
    );
}

pub(super) fn orders_times_before_the_epoch<S: Store>(mut store: S) {
    let now = add(&mut store, "1", meta("1564508138460 a 0", 1_564_508_138_460));
    let before = add(&mut store, "2", meta("-5 a 0", -5));
    let first = add(&mut store, "3", meta("5 a 0", -8_640_000_000_000_000));
    let last = add(&mut store, "4", meta("6 a 0", 8_640_000_000_000_000));
    let skewed = add(&mut store, "5", meta("-8640000000000000 a 0", 1_564_508_138_460));
    let ahead = add(&mut store, "6", meta("8640000000000000 a 0", 1_564_508_138_460));
    let near = add(&mut store, "7", meta("1564508138459 a 0", 1_564_508_138_460));
    let created = [&first, &before, &skewed, &near, &now, &ahead, &last];
    expect_orders(&store, &created, &[&now, &before, &first, &last, &skewed, &ahead, &near]);
}

pub(super) fn ignores_a_known_id<S: Store>(mut store: S) {
    let kept = add(&mut store, "A", meta("1 a 1", 1).with_reason("a"));
    let mut duplicate =
        Entry::new(Action::new(r#"{"type":"B"}"#).expect("an action"), meta("1 a 1", 1));
    duplicate.meta = duplicate.meta.with_reason("b").with_index("b");
    assert_eq!(store.add(&mut duplicate).expect("add"), Insertion::Duplicate);
    expect_both(&store, &[&kept]);
    expect_index(&store, "b", &[], &[]);
    assert_eq!(store.newest_with_reason("b").expect("newest"), None);
}

pub(super) fn ignores_a_known_id_with_another_time<S: Store>(mut store: S) {
    let same = add(&mut store, "A", meta("1 a 1", 1));
    let moved = add(&mut store, "B", meta("5 a 0", 2));
    for (id, time) in [("1 a 1", 2), ("5 a 0", 5), ("5 a 0", 3), ("5 a 0", 2)] {
        let mut duplicate =
            Entry::new(Action::new(r#"{"type":"C"}"#).expect("an action"), meta(id, time));
        assert_eq!(
            store.add(&mut duplicate).expect("add"),
            Insertion::Duplicate,
            "{id} of time {time}"
        );
    }
    expect_both(&store, &[&same, &moved]);
}

pub(super) fn keeps_the_whole_meta<S: Store>(mut store: S) {
    let mut full = meta("1 10:client:tab 7", 3)
        .with_reason("a")
        .with_reason("b")
        .with_index("x")
        .with_index("y");
    full.subprotocol = Some(Subprotocol::Number(4_294_967_295));
    full.keep_last = Some("a".into());
    full.extra.set("test", Json::new("1").expect("JSON"));
    full.extra.set("again \"", Json::new(r#"{"deep":[null,1.50]}"#).expect("JSON"));
    let full = add(&mut store, "A", full);
    let mut old = meta("4 a 0", 4);
    old.subprotocol = Some(Subprotocol::SemVer("1.2.0-rc.1".into()));
    old.reasons = ["b \"quoted\"", "", "\u{0}a"].map(Arc::from).into_iter().collect();
    let old = add(&mut store, "B", old);
    let mut number = meta("5 a 0", 5);
    number.subprotocol = Some(Subprotocol::SemVer("7".into()));
    let number = add(&mut store, "C", number);
    let mut zero = meta("6 a 0", 6);
    zero.subprotocol = Some(Subprotocol::Number(0));
    let zero = add(&mut store, "D", zero);
    let mut fraction = meta("7 a 0", 7);
    fraction.subprotocol = Subprotocol::from_number(1.5);
    let fraction = add(&mut store, "E", fraction);
    expect_both(&store, &[&full, &old, &number, &zero, &fraction]);
}

pub(super) fn keeps_json_byte_for_byte<S: Store>(mut store: S) {
    let action = r#"{"z":9007199254740993,"type":"a","f":0.30000000000000004,"s":"\ud83d","a":1,"a":[ 1 , "é\u0000" ]}"#;
    let mut entry = Entry::new(Action::new(action).expect("an action"), meta("1 a 0", 1));
    entry.meta.extra =
        JsonObject::from_json(r#"{"b":"\uD83D","a":1e400,"c":"\u0061"}"#).expect("an object");
    assert_eq!(store.add(&mut entry).expect("add"), Insertion::Added);
    expect_both(&store, &[&entry]);
    let found = store.by_id(&entry.meta.id).expect("by_id").expect("the entry");
    assert_eq!(found.action.as_json(), action);
    assert_eq!(found.meta.extra.to_json(), r#"{"b":"\uD83D","a":1e400,"c":"\u0061"}"#);
}

pub(super) fn finds_by_id<S: Store>(mut store: S) {
    let ids = [("1 node 0", 1), ("1 node 1", 2), ("1 node 2", 2), ("1 node 3", 2), ("2 node 0", 2)];
    let entries = ids.map(|(id, time)| add(&mut store, id, meta(id, time)));
    for entry in &entries {
        assert_eq!(store.by_id(&entry.meta.id).expect("by_id").as_ref(), Some(entry));
    }
    for unknown in ["2 node 1", "2 node 2", "1 nod 0", "3 node 0"] {
        assert_eq!(
            store.by_id(&unknown.parse().expect("an id")).expect("by_id"),
            None,
            "{unknown}"
        );
    }
}

pub(super) fn changes_meta<S: Store>(mut store: S) {
    let mut first = meta("1 n 0", 1).with_index("a").with_reason("r");
    first.extra.set("a", Json::new("1").expect("JSON"));
    first.extra.set("c", Json::new("1").expect("JSON"));
    let mut entry = add(&mut store, "A", first);
    let two = || Some(Json::new("2").expect("JSON"));
    let extra =
        vec![("a".into(), two()), ("b".into(), two()), ("c".into(), None), ("d".into(), None)];
    let change = MetaChange { reasons: None, extra };
    assert!(store.change_meta(&entry.meta.id, &change).expect("change_meta"));
    entry.meta.extra = JsonObject::from_json(r#"{"a":2,"b":2}"#).expect("an object");
    expect_both(&store, &[&entry]);
    expect_index(&store, "a", &[&entry], &[&entry]);
    assert_eq!(store.newest_with_reason("r").expect("newest"), Some(entry.meta.stamp()));
}

pub(super) fn changes_reasons<S: Store>(mut store: S) {
    let mut entry = add(&mut store, "A", meta("1 n 0", 5).with_reason("a").with_reason("b"));
    let reasons: NameList = ["c", "b"].map(Arc::from).into_iter().collect();
    let change = MetaChange { reasons: Some(reasons.clone()), extra: vec![] };
    assert!(store.change_meta(&entry.meta.id, &change).expect("change_meta"));
    entry.meta.reasons = reasons;
    expect_both(&store, &[&entry]);
    let newest = |reason| store.newest_with_reason(reason).expect("newest").is_some();
    assert_eq!(["a", "b", "c"].map(newest), [false, true, true]);
    let change = MetaChange { reasons: Some(NameList::new()), extra: vec![] };
    assert!(store.change_meta(&entry.meta.id, &change).expect("change_meta"));
    entry.meta.reasons = NameList::new();
    expect_both(&store, &[&entry]);
}

pub(super) fn changes_nothing_for_an_unknown_id<S: Store>(mut store: S) {
    let entry = add(&mut store, "A", meta("1 n 0", 1));
    let change = MetaChange { reasons: Some(NameList::new()), extra: vec![] };
    assert!(!store.change_meta(&"1 n 1".parse().expect("an id"), &change).expect("change_meta"));
    expect_both(&store, &[&entry]);
}

pub(super) fn removes_an_entry<S: Store>(mut store: S) {
    let ids = [
        ("1 node1 0", 1),
        ("1 node1 1", 2),
        ("1 node1 2", 2),
        ("1 node1 3", 2),
        ("1 node2 0", 2),
        ("4 node1 0", 4),
    ];
    let [first, second, third, fourth, fifth, sixth] =
        ids.map(|(id, time)| add(&mut store, id, meta(id, time).with_reason("a")));
    assert_eq!(store.remove(&second.meta.id).expect("remove").as_ref(), Some(&second));
    expect_both(&store, &[&first, &third, &fourth, &fifth, &sixth]);
    assert_eq!(store.by_id(&second.meta.id).expect("by_id"), None);
    assert_eq!(store.remove(&sixth.meta.id).expect("remove").as_ref(), Some(&sixth));
    assert_eq!(store.newest_with_reason("a").expect("newest"), Some(fifth.meta.stamp()));
}

pub(super) fn removes_an_entry_of_time_zero<S: Store>(mut store: S) {
    let first = add(&mut store, "1", meta("1 node1 0", 1));
    let second = add(&mut store, "2", meta("2 node1 0", 2));
    let zero = add(&mut store, "3", meta("3 node1 0", 0));
    assert_eq!(store.remove(&zero.meta.id).expect("remove"), Some(zero));
    expect_both(&store, &[&first, &second]);
}

pub(super) fn removes_an_entry_from_its_indexes<S: Store>(mut store: S) {
    let first = add(&mut store, "1", meta("1 node1 0", 1));
    let second = add(&mut store, "2", meta("1 node1 1", 2).with_index("a").with_index("b"));
    let third = add(&mut store, "3", meta("1 node1 2", 3).with_index("b"));
    assert_eq!(store.remove(&second.meta.id).expect("remove"), Some(second));
    expect_both(&store, &[&first, &third]);
    expect_index(&store, "a", &[], &[]);
    expect_index(&store, "b", &[&third], &[&third]);
}

pub(super) fn removes_nothing_for_an_unknown_id<S: Store>(mut store: S) {
    let entry = add(&mut store, "A", meta("1 n 0", 1));
    assert_eq!(store.remove(&"2 n 0".parse().expect("an id")).expect("remove"), None);
    expect_both(&store, &[&entry]);
}

pub(super) fn adds_a_removed_entry_again<S: Store>(mut store: S) {
    let moved = || meta("1 n 0", 7).with_reason("a").with_index("i");
    let first = add(&mut store, "A", moved());
    let other = add(&mut store, "B", meta("2 n 0", 2));
    assert_eq!(store.remove(&first.meta.id).expect("remove"), Some(first));
    let again = add(&mut store, "C", moved());
    assert_eq!(again.meta.added, Some(3), "it gets a new added number");
    expect_both(&store, &[&other, &again]);
    expect_index(&store, "i", &[&again], &[&again]);
}
