//! Property tests of how an app resolves conflicts: a reducer with a mistake, the story that the
//! test prints, and the reducer without the mistake.
//!
//!     cargo run --example test_your_reducer

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use logux::{
    Action, Stamp,
    replay::{Malformed, Reducer},
    testing::{action_of, assert_commutes, assert_converges, assert_undo_is_inverse},
};

/// The shopping basket of a family: a number of each thing. Each person can add and remove things,
/// also offline.
struct Basket {
    /// The mistake: removing a thing leaves no tombstone, so an older addition that arrives late
    /// restores it.
    forgets: bool,
}

/// A line of the basket: the additions of a thing, and its last removal.
#[derive(Clone, Debug, Default, PartialEq)]
struct Line {
    added: Vec<Stamp>,
    removed: Option<Stamp>,
}

impl Reducer for Basket {
    type Action = (bool, String);
    type State = BTreeMap<String, Line>;

    fn read(&self, action: &Action) -> Result<Option<(bool, String)>, Malformed> {
        let add = match action.kind() {
            "basket/add" => true,
            "basket/remove" => false,
            _ => return Ok(None),
        };
        let thing = action
            .str_field("thing")
            .ok_or_else(|| Malformed::new("expected a string in \"thing\""))?;
        Ok(Some((add, thing.into_owned())))
    }

    fn initial(&self) -> Self::State {
        BTreeMap::new()
    }

    fn apply(&self, basket: &mut Self::State, (add, thing): &(bool, String), stamp: &Stamp) {
        if !add && self.forgets {
            basket.remove(thing);
            return;
        }
        let line = basket.entry(thing.clone()).or_default();
        if *add {
            line.added.push(stamp.clone());
            line.added.sort();
            line.added.dedup();
        } else {
            line.removed = line.removed.take().max(Some(stamp.clone()));
        }
        // Additions before the last removal do not count, even if they arrive later.
        line.added.retain(|added| line.removed.as_ref().is_none_or(|removed| removed < added));
    }

    fn commutes(&self) -> bool {
        true
    }
}

fn main() {
    let actions = || {
        action_of(&[
            r#"{"type":"basket/add","thing":"milk"}"#,
            r#"{"type":"basket/remove","thing":"milk"}"#,
        ])
    };

    // The test panics with a story. Catch it, to print the story.
    std::panic::set_hook(Box::new(|_| {}));
    let result =
        catch_unwind(AssertUnwindSafe(|| assert_commutes(Basket { forgets: true }, actions())));
    let _ = std::panic::take_hook();
    println!("A basket without tombstones:\n");
    match result {
        Ok(()) => println!("no mistake found"),
        Err(story) => {
            println!("{}", story.downcast_ref::<String>().map_or("no story", |story| story))
        }
    }

    let right = Basket { forgets: false };
    assert_commutes(&right, actions());
    assert_converges(&right, actions());
    assert_undo_is_inverse(&right, actions());
    println!(
        "A basket with tombstones: it commutes, it converges, and undo is the inverse of every action."
    );
}
