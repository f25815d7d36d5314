//! What every store must do, as a list of named checks.
//!
//! ```
//! use logux::{MemoryStore, testing::store_suite};
//!
//! store_suite::run(MemoryStore::new);
//! ```
//!
//! To run one check, or each as a test of its own, iterate over [`checks`]. A store that outlives the process passes
//! [`run_reopened`] besides.

mod adding;
mod expect;
mod numbers;
mod reasons;
mod reopening;
mod walking;

use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::store::Store;

/// One promise of [`Store`], over a new and empty store.
pub struct Check<S> {
    name: &'static str,
    body: fn(S),
}

impl<S: Store> Check<S> {
    /// What the store must do, in a few words.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the check over an empty store.
    ///
    /// # Panics
    /// When the store does not keep the promise, with what was expected and what came.
    pub fn run(&self, empty: S) {
        (self.body)(empty);
    }
}

impl<S> fmt::Debug for Check<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

/// One promise about a store that is closed and opened again.
pub struct ReopenCheck<S> {
    name: &'static str,
    body: fn(&mut dyn FnMut() -> S),
}

impl<S: Store> ReopenCheck<S> {
    /// What the store must do, in a few words.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the check. `open` opens the same place each time, which is empty at first; the store it gave before is dropped by
    /// then.
    ///
    /// # Panics
    /// When the store does not keep the promise, with what was expected and what came.
    pub fn run(&self, mut open: impl FnMut() -> S) {
        (self.body)(&mut open);
    }
}

impl<S> fmt::Debug for ReopenCheck<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReopenCheck").field(&self.name).finish()
    }
}

/// Makes the list of checks from functions, whose names say what is checked.
macro_rules! named {
    ($kind:ident: $($folder:ident :: $name:ident),* $(,)?) => {
        vec![$($kind { name: stringify!($name), body: $folder::$name }),*]
    };
}

/// All checks that need one empty store.
pub fn checks<S: Store>() -> Vec<Check<S>> {
    named![Check:
        numbers::is_empty_in_the_beginning,
        numbers::keeps_how_far_the_exchange_came,
        numbers::last_added_grows_with_each_entry_only,
        numbers::last_added_survives_the_removal_of_the_last_entry,
        numbers::cleans_everything,
        adding::keeps_entries_in_both_orders,
        adding::orders_entries_of_one_time_by_id,
        adding::orders_node_ids_as_javascript_does,
        adding::orders_times_before_the_epoch,
        adding::ignores_an_id_it_has,
        adding::ignores_an_id_it_has_under_another_time,
        adding::keeps_all_of_the_meta,
        adding::keeps_json_to_the_letter,
        adding::finds_by_id,
        adding::changes_meta,
        adding::changes_reasons,
        adding::changes_nothing_of_an_unknown_id,
        adding::removes_an_entry,
        adding::removes_an_entry_of_time_zero,
        adding::removes_an_entry_from_its_indexes,
        adding::removes_nothing_for_an_unknown_id,
        adding::adds_again_what_was_removed,
        walking::keeps_indexes_in_both_orders,
        walking::puts_the_newest_of_an_index_last,
        walking::orders_an_index_within_one_time,
        walking::walks_nothing_for_an_unknown_index,
        walking::begins_behind_a_place_that_nobody_has,
        walking::stops_when_told,
        walking::pages_without_gap_or_repetition,
        reasons::removes_a_reason_and_what_has_none_left,
        reasons::removes_a_reason_from_indexes,
        reasons::removes_a_reason_between_two_places,
        reasons::removes_a_reason_from_older_ones,
        reasons::removes_a_reason_from_younger_ones,
        reasons::removes_a_reason_from_a_number_on,
        reasons::removes_a_reason_up_to_a_number,
        reasons::removes_a_reason_for_one_number,
        reasons::removes_nothing_up_to_number_zero,
        reasons::removes_a_reason_by_id,
        reasons::removes_a_reason_within_an_index,
        reasons::removes_only_where_all_criteria_meet,
        reasons::removes_nothing_between_places_that_cross,
        reasons::tells_the_removed_from_the_oldest_on,
        reasons::knows_the_newest_with_a_reason,
        numbers::commits_as_often_as_asked,
    ]
}

/// All checks that close a store and open it again.
pub fn reopen_checks<S: Store>() -> Vec<ReopenCheck<S>> {
    named![ReopenCheck:
        reopening::keeps_what_was_committed,
        reopening::keeps_changes_and_removals,
        reopening::keeps_the_numbers,
        reopening::keeps_last_added_without_entries,
        reopening::stays_clean,
    ]
}

/// Runs all [`checks`], each over a store that `make` gives.
///
/// # Panics
/// When checks fail, after all have run, with their names. What each expected is on standard error.
pub fn run<S: Store>(mut make: impl FnMut() -> S) {
    warning(checks().iter().map(|check: &Check<S>| {
        let empty = make();
        (check.name, catch_unwind(AssertUnwindSafe(|| check.run(empty))).is_ok())
    }));
}

/// Runs all [`reopen_checks`]. `place` is called for each: it gives a function that opens a place of its own, which is empty.
///
/// # Panics
/// When checks fail, after all have run, with their names. What each expected is on standard error.
pub fn run_reopened<S: Store, O: FnMut() -> S>(mut place: impl FnMut() -> O) {
    warning(reopen_checks().iter().map(|check: &ReopenCheck<S>| {
        let open = place();
        (check.name, catch_unwind(AssertUnwindSafe(|| check.run(open))).is_ok())
    }));
}

fn warning(results: impl Iterator<Item = (&'static str, bool)>) {
    let failed: Vec<_> = results.filter(|(_, passed)| !passed).map(|(name, _)| name).collect();
    assert!(failed.is_empty(), "the store fails {} checks: {}", failed.len(), failed.join(", "));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    #[test]
    fn a_failure_names_its_check() {
        let failure = catch_unwind(|| {
            let checks: [(&str, bool); 3] = [("a", true), ("b", false), ("c", false)];
            warning(checks.into_iter());
        });
        let message = *failure.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(message, "the store fails 2 checks: b, c");
    }

    #[test]
    fn names_differ() {
        let mut names: Vec<_> = checks::<MemoryStore>().iter().map(Check::name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
