//! Reducers with common mistakes, and the stories that the laws print about them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use logux::{
    Action,
    replay::{Malformed, Obsolete, Reducer, untyped_reducer},
    testing::{
        Laws, action_of, assert_commutes, assert_compaction_is_invisible, assert_converges,
        assert_undo_is_inverse, laws,
    },
};
use proptest::sample::select;

/// Returns the panic message of a failing assertion.
fn story(assertion: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).expect_err("the law is broken");
    panic.downcast_ref::<String>().expect("a story").clone()
}

#[test]
fn a_set_that_is_not_atomic() {
    // Replaces the tags by removals and insertions. One action should decide about the whole set.
    let tags = untyped_reducer(BTreeSet::new(), |tags: &mut BTreeSet<String>, action: &Action| {
        let wanted: Vec<String> = action
            .field("tags")
            .and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default();
        tags.retain(|tag| wanted.contains(tag));
        tags.extend(wanted);
    });
    let story = story(|| {
        assert_commutes(
            tags,
            action_of(&[r#"{"type":"tags","tags":["a"]}"#, r#"{"type":"tags","tags":["b"]}"#]),
        );
    });
    assert!(
        story.starts_with("The final state depends on the order in which the actions arrive."),
        "{story}"
    );
    assert!(story.lines().count() <= 10, "{story}");
}

#[test]
fn a_counter_by_assignment() {
    let counter = untyped_reducer(0, |count: &mut i64, action: &Action| {
        *count = action.field("to").and_then(|to| to.parse().ok()).unwrap_or(*count);
    });
    let story = story(|| {
        assert_commutes(
            counter,
            action_of(&[r#"{"type":"count","to":1}"#, r#"{"type":"count","to":2}"#]),
        );
    });
    assert!(story.contains("Ada has ") && story.contains("Grace has "), "{story}");
}

#[test]
fn a_deletion_without_a_tombstone() {
    let set = untyped_reducer(BTreeSet::new(), |set: &mut BTreeSet<String>, action: &Action| {
        let id = action.str_field("id").unwrap_or_default().into_owned();
        match action.kind() {
            "add" => drop(set.insert(id)),
            _ => drop(set.remove(&id)),
        }
    });
    let story = story(|| {
        assert_commutes(
            set,
            action_of(&[r#"{"type":"add","id":"a"}"#, r#"{"type":"remove","id":"a"}"#]),
        );
    });
    assert!(story.contains("Ada has {}") || story.contains("Grace has {}"), "{story}");
}

#[test]
fn the_same_reducers_are_right_with_time_travel() {
    let counter = untyped_reducer(0, |count: &mut i64, action: &Action| {
        *count = action.field("to").and_then(|to| to.parse().ok()).unwrap_or(*count);
    });
    let actions = || action_of(&[r#"{"type":"count","to":1}"#, r#"{"type":"count","to":2}"#]);
    assert_converges(&counter, actions());
    assert_undo_is_inverse(&counter, actions());
    // But it adds no reasons, so its log keeps nothing after the time to undo.
    let message = story(|| assert_compaction_is_invisible(&counter, actions()));
    assert!(message.contains("The log of Ada contains []"), "{message}");
}

/// Claims that it commutes, and marks actions as obsolete that are not.
struct FalseClaims {
    commutes: bool,
}

impl Reducer for FalseClaims {
    type Action = String;
    type State = Vec<String>;

    fn read(&self, action: &Action) -> Result<Option<String>, Malformed> {
        Ok(Some(action.kind().to_owned()))
    }

    fn initial(&self) -> Vec<String> {
        Vec::new()
    }

    fn apply(&self, state: &mut Vec<String>, action: &String, _: &logux::Stamp) {
        state.push(action.clone());
    }

    fn commutes(&self) -> bool {
        self.commutes
    }

    fn preadd(&self, action: &String, meta: &mut logux::Meta) {
        meta.reasons.push(action.as_str().into());
    }

    fn obsolete(
        &self,
        _: &Vec<String>,
        action: &String,
        stamp: &logux::Stamp,
        _: &dyn Fn(&logux::Stamp) -> bool,
        report: &mut dyn FnMut(Obsolete),
    ) {
        report(Obsolete::Before(action.as_str().into(), stamp.clone()));
    }
}

#[test]
fn false_claims_are_found() {
    let actions = || action_of(&[r#"{"type":"a"}"#, r#"{"type":"b"}"#]);
    let message = story(|| assert_converges(FalseClaims { commutes: true }, actions()));
    assert!(message.starts_with("The users have different final states."), "{message}");
    let message =
        story(|| assert_compaction_is_invisible(FalseClaims { commutes: false }, actions()));
    assert!(message.starts_with("Removing obsolete actions changes the state."), "{message}");
    assert!(
        message.contains("All actions give [\"a\", \"a\"]")
            || message.contains("All actions give [\"b\", \"b\"]"),
        "{message}"
    );
}

#[test]
fn a_state_that_is_wrong_only_for_a_while() {
    // Whoever receives an answer before its question has an answer to nothing.
    let threads = || {
        untyped_reducer(Vec::new(), |kinds: &mut Vec<String>, action: &Action| {
            kinds.push(action.kind().to_owned());
        })
    };
    let answered = |kinds: &Vec<String>| kinds.iter().position(|kind| kind == "answer");
    let make = |kinds: &Vec<String>, kind: &&str, _: &_| {
        let is_possible = *kind == "ask" || !kinds.is_empty();
        is_possible.then(|| Action::new(format!(r#"{{"type":"{kind}"}}"#)).expect("an action"))
    };
    let laws = Laws::with(threads(), select(vec!["ask", "answer"]), make).seed(1);
    let law = "An answer is first.";
    let story = laws.try_always(law, |kinds| answered(kinds) != Some(0)).unwrap_err().to_string();
    let lines: Vec<&str> = story.lines().collect();
    assert_eq!((lines[0], lines[1]), (law, ""));
    assert!(lines.len() <= 7 && lines.last().unwrap().contains(" has [\"answer\""), "{story}");
    // In the end, all have the same.
    laws.converges();
}

#[test]
fn a_seed_gives_the_same_story() {
    let reducer = || {
        untyped_reducer(Vec::new(), |kinds: &mut Vec<_>, action: &Action| {
            kinds.push(action.kind().to_owned());
        })
    };
    let story = |seed| {
        let actions = action_of(&[r#"{"type":"a"}"#, r#"{"type":"b"}"#]);
        laws(reducer(), actions).seed(seed).try_commutes().unwrap_err()
    };
    assert_eq!(story(7), story(7));
    let stories: BTreeSet<String> = (0..8).map(|seed| story(seed).to_string()).collect();
    assert!(stories.len() > 1, "{stories:?}");
}

#[test]
fn a_history_that_breaks_a_law_only_once_is_told() {
    let reducer = untyped_reducer((), |(): &mut (), _: &Action| {});
    let was_asked = std::cell::Cell::new(false);
    let laws = laws(reducer, action_of(&[r#"{"type":"a"}"#])).seed(1);
    let found = laws.try_ends_well("It is false once.", |_, ()| was_asked.replace(true));
    let story = found.unwrap_err().to_string();
    assert!(story.starts_with("It is false once.\n\n  "), "{story}");
    assert!(story.ends_with("did not break the law a second time."), "{story}");
}
