//! Texts, and lists on the same sequence.

use logux::{
    NodeId,
    crdt::{Crdt as _, Delta, DeltaItem, MAX_INSERTION, Text, TextError, TextOp, Unit},
};
use serde_json::{Value, json};

use crate::{
    Edit, agreed, apply, edit, linear::assert_not_quadratic, node, stamp, with_small_stack,
};

fn insert(ms: usize, author: &str, first: usize, text: &str, origins: &Value) -> Edit<Text> {
    let mut op = json!({"op": "insert", "first": first, "text": text});
    op.as_object_mut().unwrap().extend(origins.as_object().unwrap().clone());
    edit::<Text>(ms, author, op)
}

/// Asserts that operations are cheap, also in the reverse order.
fn assert_cheap(name: &str, size: usize, edits: impl Fn(usize) -> Vec<Edit<Text>>) {
    agreed::<Text>(&edits(size)).assert_invariants();
    let reversed = |size| edits(size).into_iter().rev().collect::<Vec<_>>();
    assert_not_quadratic(&format!("{name}, reversed"), size, reversed, |edits| {
        let mut text = apply::<Text>(&edits);
        text.settle(&<_>::default());
        assert_eq!(text.to_string().len(), text.len(Unit::Bytes));
    });
    crate::assert_cheap::<Text>(name, size, edits);
}

#[test]
fn insertions_wait_for_an_unknown_element() {
    with_small_stack(|| {
        assert_cheap("insertions that wait for one element", 500, |size| {
            let wait = |n| insert(n, "10:a:x", n, "w", &json!({"after": "@20:b:x 9"}));
            let mut edits: Vec<_> = (0..size).map(wait).collect();
            edits.push(insert(size, "20:b:x", 0, "0123456789", &json!({})));
            edits
        });
    });
}

#[test]
fn insertions_wait_for_each_other() {
    with_small_stack(|| {
        assert_cheap("insertions that wait for each other", 500, |size| {
            let wait = |n: usize| insert(n, "10:a:x", n, "w", &json!({"after": n.checked_sub(1)}));
            (0..size).rev().map(wait).collect()
        });
    });
}

/// Inserts every second element alone, and all of them by a long insertion. Each takes a name that
/// the other has claimed.
fn names_used_twice(size: usize, single: usize, long: usize) -> Vec<Edit<Text>> {
    let insert_one = |n| insert(single + n, "10:a:x", 2 * n, "s", &json!({}));
    let mut edits: Vec<_> = (0..size).map(insert_one).collect();
    edits.push(insert(long, "10:a:x", 0, &"lo".repeat(size), &json!({})));
    edits
}

/// A server refuses names that are used twice. Without one, an operation that takes names from
/// others costs as much as the text, but not more, however many names it takes.
#[test]
fn names_are_used_twice() {
    with_small_stack(|| {
        for (name, single, long) in [("earlier", 0, 1_000_000), ("later", 1, 0)] {
            let edits = |size| names_used_twice(size, single, long);
            let text = agreed::<Text>(&edits(150));
            text.assert_invariants();
            let expected = if single == 0 { "so" } else { "lo" };
            assert_eq!(text.len(Unit::Scalars), 300);
            assert!(expected.chars().all(|letter| text.to_string().matches(letter).count() == 150));
            assert_not_quadratic(&format!("{name} names"), 1_000, edits, |edits| {
                let text = apply::<Text>(&edits);
                assert!(Text::load(&text.save()).unwrap() == text);
            });
        }
    });
}

#[test]
fn many_authors_insert_at_one_place() {
    with_small_stack(|| {
        assert_cheap("authors at one place", 300, |size| {
            let begin = insert(0, "a:a:a", 0, "()", &json!({}));
            let between = json!({"after": "@a:a:a 0", "before": "@a:a:a 1"});
            let author = |n| insert(n, &format!("{n}:a:x"), 0, "own", &between);
            core::iter::once(begin).chain((1..size).map(author)).collect()
        });
    });
}

#[test]
fn a_text_is_typed_backwards() {
    with_small_stack(|| {
        assert_cheap("typed backwards", 500, |size| {
            let type_key =
                |n: usize| insert(n, "10:a:x", n, "b", &json!({"before": n.checked_sub(1)}));
            (0..size).map(type_key).collect()
        });
    });
}

/// Each element is between the last two, so the tree of elements is as deep as possible.
#[test]
fn elements_are_nested() {
    with_small_stack(|| {
        assert_cheap("nested", 500, |size| {
            let nest = |n: usize| {
                let (last, before_last) = (n.checked_sub(1), n.checked_sub(2));
                let origins =
                    if n.is_multiple_of(2) { (before_last, last) } else { (last, before_last) };
                insert(n, "10:a:x", n, "n", &json!({"after": origins.0, "before": origins.1}))
            };
            (0..size).map(nest).collect()
        });
    });
}

#[test]
fn two_authors_type_by_turns() {
    with_small_stack(|| {
        assert_cheap("by turns", 500, fragmented);
    });
}

/// A text that consists of runs of one letter.
fn fragmented(size: usize) -> Vec<Edit<Text>> {
    let author = |n: usize| ["10:a:x", "20:b:x"][n % 2];
    let turn = |n: usize| {
        let after = n.checked_sub(1).map(|last| format!("@{} {}", author(last), last / 2));
        insert(n, author(n), n / 2, "t", &json!({"after": after}))
    };
    (0..size).map(turn).collect()
}

#[test]
fn one_operation_removes_the_same_elements_often() {
    with_small_stack(|| {
        let mut edits = fragmented(100);
        let removed = json!({"op": "remove", "elements": [[0, 4_294_967_294_u32], [7, 1]]});
        let op: TextOp = serde_json::from_value(removed).unwrap();
        let error = Text::check(&op).unwrap_err().to_string();
        assert!(error.contains("overlap"), "{error}");
        let all = ["10:a:x", "20:b:x"].map(|author| json!([format!("@{author} 0"), 1 << 30]));
        edits.push(edit::<Text>(500, "30:c:x", json!({"op": "remove", "elements": all})));
        assert!(agreed::<Text>(&edits).is_empty());
    });
}

#[test]
fn elements_are_removed_before_they_arrive() {
    with_small_stack(|| {
        assert_cheap("removed early", 500, |size| {
            let remove = |n| {
                let elements = [[json!(format!("@10:a:x {}", 2 * n)), json!(1)]];
                edit::<Text>(n, "20:b:x", json!({"op": "remove", "elements": elements}))
            };
            let mut edits: Vec<_> = (0..size).map(remove).collect();
            edits.push(insert(size, "10:a:x", 0, &"xy".repeat(size), &json!({})));
            edits
        });
    });
}

#[test]
fn counters_end() {
    with_small_stack(|| {
        let last = 4_294_967_293_u32;
        let mut edits = vec![
            insert(0, "10:a:x", 0, "first", &json!({})),
            insert(1, "10:a:x", last as usize, "z", &json!({"after": 4})),
            insert(2, "20:b:x", 7, "b", &json!({"after": format!("@10:a:x {last}")})),
            edit::<Text>(3, "20:b:x", json!({"op": "remove", "elements": [["@10:a:x 0", last]]})),
        ];
        let text = agreed::<Text>(&edits);
        assert_eq!(text.to_string(), "zb");
        let author = node("10:a:x");
        assert_eq!(text.insert_op(0, "a", Unit::Utf16, &author), Err(TextError::Full));
        assert!(text.insert_op(0, "a", Unit::Utf16, node("20:b:x")).is_ok());
        // A counter that falls gets the names that are free.
        edits.push(insert(4, "10:a:x", 2, "ABCDEF", &json!({"after": "@20:b:x 7"})));
        assert_eq!(agreed::<Text>(&edits).to_string(), "zb");
        let own = json!({"op": "insert", "first": 7, "text": "a", "after": "@10:a:x 7"});
        let (own, by_author) = edit::<Text>(5, "10:a:x", own);
        assert!(text.admit(&own, &by_author).is_err(), "an element is not beside itself");
        edits.push((own, by_author));
        agreed::<Text>(&edits);
    });
}

#[test]
fn the_largest_insertion_is_applied_and_a_longer_one_refused() {
    with_small_stack(|| {
        let long = |len: usize| {
            let text = "ä".repeat(len / 2);
            TextOp::Insert { first: 0, text: text.into(), after: None, before: None }
        };
        let error = Text::check(&long(MAX_INSERTION + 2)).unwrap_err().to_string();
        assert_eq!(error, "expected a text of 1 to 16777216 bytes, got 16777218 bytes");
        let largest = long(MAX_INSERTION);
        Text::check(&largest).unwrap();
        let len = MAX_INSERTION / 2;
        let middle = json!({"after": format!("@10:a:x {}", len / 2 - 1), "before": format!("@10:a:x {}", len / 2)});
        let remove = json!({"op": "remove", "elements": [["@10:a:x 1", len - 2]]});
        let text = agreed::<Text>(&[
            (largest, stamp(0, "10:a:x")),
            insert(1, "20:b:x", 0, "-middle-", &middle),
            edit::<Text>(2, "20:b:x", remove),
        ]);
        assert_eq!(text.to_string(), "ä-middle-ä");
        text.assert_invariants();
        let too_long = "x".repeat(MAX_INSERTION + 1);
        let error = text.insert_op(0, &too_long, Unit::Utf16, node("30:c:x")).unwrap_err();
        assert_eq!(error, TextError::Length(MAX_INSERTION + 1));
    });
}

#[test]
fn long_insertions_cost_no_quadratic_work() {
    with_small_stack(|| {
        assert_cheap("a long insertion", 20_000, |size| {
            let before = json!({"before": format!("@10:a:x {}", size / 2)});
            vec![
                insert(1, "20:b:x", 0, &"🦀\n".repeat(size / 2), &before),
                insert(0, "10:a:x", 0, &"ä".repeat(size), &json!({})),
            ]
        });
    });
}

#[test]
fn changes_from_editors_have_any_lengths() {
    let text = apply::<Text>(&[insert(0, "10:a:x", 0, "text", &json!({}))]);
    let author = node("20:b:x");
    for json in [
        r#"[{"retain":18446744073709551615},{"retain":1},{"insert":"x"}]"#,
        r#"[{"retain":18446744073709551615},{"insert":"x"},{"retain":5},{"delete":1}]"#,
        r#"[{"delete":18446744073709551615},{"insert":"x"}]"#,
        r#"[{"retain":3},{"delete":18446744073709551615},{"delete":7}]"#,
    ] {
        let delta: Delta = serde_json::from_str(json).unwrap();
        assert!(text.delta_ops(&delta, Unit::Utf16, &author).is_err(), "{json}");
        let mut joined = Delta::default();
        delta.0.into_iter().for_each(|item| joined.push(item));
        joined.push(DeltaItem::Delete(usize::MAX));
        assert!(text.delta_ops(&joined, Unit::Utf16, &author).is_err(), "{json}");
    }
}

/// Lines that differ at their ends only are compared once each.
#[test]
fn texts_of_long_similar_lines_are_compared() {
    let lines = |size: usize, name: &str| -> String {
        let line = |n| format!("{}{name}{n}\n", "x".repeat(size));
        (0..size).map(line).collect()
    };
    let author: NodeId = node("20:b:x");
    let prepare = |size: usize| {
        // Both the number and the length of lines grow, so that the size of the text grows by 8.
        let size = (size as f64).sqrt() as usize;
        (apply::<Text>(&[insert(0, "10:a:x", 0, &lines(size, "a"), &json!({}))]), lines(size, "b"))
    };
    assert_not_quadratic("long similar lines", 20_000, prepare, |(text, new)| {
        let mut after = text.clone();
        for op in text.set_ops(&new, &author).unwrap() {
            after.apply(&op, &stamp(1, "20:b:x"));
        }
        assert!(after.to_string() == new);
    });
}
