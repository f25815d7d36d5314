//! Three reducers that are wrong in the usual ways, and the short stories that the laws tell about them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use logux::{
    Action,
    replay::{Malformed, Obsolete, Reducer, untyped_reducer},
    testing::{
        action_of, assert_commutes, assert_compaction_is_invisible, assert_converges,
        assert_undo_is_inverse,
    },
};

/// What an assertion says when it fails.
fn story(assertion: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).expect_err("the law is broken");
    panic.downcast_ref::<String>().expect("a story").clone()
}

#[test]
fn a_set_that_is_not_atomic() {
    // "Make the tags these": done by taking out and putting in, where one action should decide for the whole.
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
        story.starts_with("The order in which the actions come makes a difference."),
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
    // But it names no reasons, so beyond the time of undo its log keeps nothing.
    let told = story(|| assert_compaction_is_invisible(&counter, actions()));
    assert!(told.contains("The log of Ada has kept []"), "{told}");
}

/// Says that it commutes, and forgets what still matters.
struct Forgetful {
    commutes: bool,
}

impl Reducer for Forgetful {
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
        tell: &mut dyn FnMut(Obsolete),
    ) {
        tell(Obsolete::Before(action.as_str().into(), stamp.clone()));
    }
}

#[test]
fn false_claims_are_found() {
    let actions = || action_of(&[r#"{"type":"a"}"#, r#"{"type":"b"}"#]);
    let told = story(|| assert_converges(Forgetful { commutes: true }, actions()));
    assert!(told.starts_with("The users end in different states."), "{told}");
    let told = story(|| assert_compaction_is_invisible(Forgetful { commutes: false }, actions()));
    assert!(told.starts_with("What was forgotten makes a difference."), "{told}");
    assert!(
        told.contains("All actions give [\"a\", \"a\"]")
            || told.contains("All actions give [\"b\", \"b\"]"),
        "{told}"
    );
}
