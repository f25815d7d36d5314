//! Operations on a text that follow each other, as one.

use super::{ElementRange, MAX_INSERTION, TextOp, op::MAX_RANGES, scalars};
use crate::crdt::element::{ElementId, ElementRef};

impl TextOp {
    /// Joins the next operation of the same author: an insertion that continues this one, or
    /// another removal. Returns `false` if it is something else.
    pub(in crate::crdt) fn join(&mut self, next: &Self) -> bool {
        match (self, next) {
            (
                Self::Insert { first, text, before, .. },
                Self::Insert { first: next_first, text: added, after, before: next_before },
            ) => {
                let end = first.saturating_add(scalars(text));
                let last = ElementRef::Own(end - 1);
                if *next_first != end
                    || after.as_ref() != Some(&last)
                    || before != next_before
                    || text.len() + added.len() > MAX_INSERTION
                {
                    return false;
                }
                let mut joined = String::with_capacity(text.len() + added.len());
                joined.push_str(text);
                joined.push_str(added);
                *text = joined.into();
                true
            }
            (Self::Remove { elements }, Self::Remove { elements: added }) => {
                if elements.len() + added.len() > MAX_RANGES {
                    return false;
                }
                for range in added {
                    if !elements.last_mut().is_some_and(|last| join_ranges(last, range)) {
                        elements.push(range.clone());
                    }
                }
                true
            }
            _ => false,
        }
    }
}

/// Joins two ranges if one follows the other, as those of the delete key and of backspace do.
fn join_ranges(range: &mut ElementRange, next: &ElementRange) -> bool {
    let Some(len) = range.len.checked_add(next.len) else { return false };
    if is_at(&next.first, &range.first, range.len) {
        range.len = len;
    } else if is_at(&range.first, &next.first, next.len) {
        *range = ElementRange { first: next.first.clone(), len };
    } else {
        return false;
    }
    true
}

/// Returns `true` if an element is the one this far after another one of the same node.
fn is_at(element: &ElementRef, first: &ElementRef, distance: u32) -> bool {
    let is_later = |counter: u32, first: u32| first.checked_add(distance) == Some(counter);
    match (element, first) {
        (ElementRef::Own(counter), ElementRef::Own(first)) => is_later(*counter, *first),
        (ElementRef::Of(id), ElementRef::Of(first)) => {
            id.node() == first.node() && is_later(id.counter(), ElementId::counter(first))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(json: &str) -> TextOp {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn typing_is_one_insertion() {
        let typed = r#"{"op":"insert","first":7,"text":"aé","after":6,"before":"@20:c:d 4"}"#;
        let mut joined = op(typed);
        let next = r#"{"op":"insert","first":9,"text":"b","after":8,"before":"@20:c:d 4"}"#;
        assert!(joined.join(&op(next)));
        let expected = r#"{"op":"insert","first":7,"text":"aéb","after":6,"before":"@20:c:d 4"}"#;
        assert_eq!(joined, op(expected));
        for other in [
            r#"{"op":"insert","first":10,"text":"b","after":8,"before":"@20:c:d 4"}"#,
            r#"{"op":"insert","first":9,"text":"b","after":7,"before":"@20:c:d 4"}"#,
            r#"{"op":"insert","first":9,"text":"b","after":8}"#,
            r#"{"op":"insert","first":9,"text":"b","before":"@20:c:d 4"}"#,
            r#"{"op":"remove","elements":[[8,1]]}"#,
        ] {
            let mut single = op(typed);
            assert!(!single.join(&op(other)), "{other}");
            assert_eq!(single, op(typed));
        }
    }

    #[test]
    fn removals_are_one_with_the_fewest_ranges() {
        for (first, next, expected) in [
            ("[[7,1]]", "[[8,2]]", "[[7,3]]"),
            ("[[7,1]]", "[[6,1]]", "[[6,2]]"),
            ("[[7,1]]", "[[9,1]]", "[[7,1],[9,1]]"),
            (r#"[["@20:c:d 4",1]]"#, r#"[["@20:c:d 3",1]]"#, r#"[["@20:c:d 3",2]]"#),
            (
                r#"[["@20:c:d 4",1]]"#,
                r#"[["@30:c:d 5",1]]"#,
                r#"[["@20:c:d 4",1],["@30:c:d 5",1]]"#,
            ),
            (r#"[["@20:c:d 4",1]]"#, "[[5,1]]", r#"[["@20:c:d 4",1],[5,1]]"#),
        ] {
            let remove = |elements| op(&format!(r#"{{"op":"remove","elements":{elements}}}"#));
            let mut joined = remove(first);
            assert!(joined.join(&remove(next)));
            assert_eq!(joined, remove(expected));
        }
    }
}
