//! Named checks that every implementation of [`Store`] must pass.
//!
//! ```
//! use logux::{MemoryStore, testing::store_suite};
//!
//! store_suite::run(MemoryStore::new);
//! ```
//!
//! To run single checks, iterate over [`checks`]. A persistent store must also pass
//! [`run_reopened`].
//!
//! Reading order: `expect` with helpers, then the checks in `adding`, `walking`, `reasons`,
//! `numbers`, `values` and `reopening`.

mod adding;
mod expect;
mod numbers;
mod reasons;
mod reopening;
mod values;
mod walking;

use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::store::Store;

/// One check of a new and empty [`Store`].
pub struct Check<S> {
    name: &'static str,
    body: fn(S),
}

impl<S: Store> Check<S> {
    /// Returns the name of the check, such as `removes_an_entry`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the check over an empty store.
    ///
    /// # Panics
    /// If the check fails, with the expected and the actual result.
    pub fn run(&self, empty: S) {
        (self.body)(empty);
    }
}

impl<S> fmt::Debug for Check<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

/// One check of a store that is closed and opened again.
pub struct ReopenCheck<S> {
    name: &'static str,
    body: fn(&mut dyn FnMut() -> S),
}

impl<S: Store> ReopenCheck<S> {
    /// Returns the name of the check, such as `removes_an_entry`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the check. `open` opens the same storage with each call; it must be empty at first. The
    /// previous store is dropped before each call.
    ///
    /// # Panics
    /// If the check fails, with the expected and the actual result.
    pub fn run(&self, mut open: impl FnMut() -> S) {
        (self.body)(&mut open);
    }
}

impl<S> fmt::Debug for ReopenCheck<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReopenCheck").field(&self.name).finish()
    }
}

/// Makes a list of checks that have the names of their functions.
macro_rules! named {
    ($kind:ident: $($folder:ident :: $name:ident),* $(,)?) => {
        vec![$($kind { name: stringify!($name), body: $folder::$name }),*]
    };
}

/// Returns all checks of one empty store.
pub fn checks<S: Store>() -> Vec<Check<S>> {
    named![Check:
        numbers::is_empty_at_first,
        numbers::keeps_the_synced_numbers,
        numbers::last_added_grows_only_with_new_entries,
        numbers::last_added_survives_the_removal_of_the_last_entry,
        numbers::cleans_everything,
        adding::keeps_entries_in_both_orders,
        adding::orders_entries_of_one_time_by_id,
        adding::orders_node_ids_as_javascript_does,
        adding::orders_times_before_the_epoch,
        adding::ignores_a_known_id,
        adding::ignores_a_known_id_with_another_time,
        adding::keeps_the_whole_meta,
        adding::keeps_json_byte_for_byte,
        adding::finds_by_id,
        adding::changes_meta,
        adding::changes_reasons,
        adding::changes_nothing_for_an_unknown_id,
        adding::removes_an_entry,
        adding::removes_an_entry_of_time_zero,
        adding::removes_an_entry_from_its_indexes,
        adding::removes_nothing_for_an_unknown_id,
        adding::adds_a_removed_entry_again,
        walking::keeps_indexes_in_both_orders,
        walking::puts_the_newest_of_an_index_last,
        walking::orders_an_index_within_one_time,
        walking::visits_nothing_for_an_unknown_index,
        walking::starts_after_any_position,
        walking::stops_at_a_break,
        walking::pages_without_gap_or_repetition,
        reasons::removes_a_reason_and_entries_without_reasons,
        reasons::removes_a_reason_from_indexes,
        reasons::removes_a_reason_between_two_stamps,
        reasons::removes_a_reason_from_older_entries,
        reasons::removes_a_reason_from_younger_entries,
        reasons::removes_a_reason_from_a_lowest_number,
        reasons::removes_a_reason_up_to_a_highest_number,
        reasons::removes_a_reason_for_one_number,
        reasons::removes_nothing_outside_of_the_numbers,
        reasons::removes_a_reason_by_id,
        reasons::removes_a_reason_within_an_index,
        reasons::removes_only_if_all_criteria_match,
        reasons::removes_nothing_between_crossed_stamps,
        reasons::reports_removed_entries_oldest_first,
        reasons::finds_the_newest_with_a_reason,
        values::keeps_values_by_name,
        values::walks_values_by_prefix,
        values::cleans_values,
        numbers::commits_repeatedly,
    ]
}

/// Returns all checks that close a store and open it again.
pub fn reopen_checks<S: Store>() -> Vec<ReopenCheck<S>> {
    named![ReopenCheck:
        reopening::keeps_committed_entries,
        reopening::keeps_changes_and_removals,
        reopening::keeps_last_added_and_synced,
        reopening::keeps_last_added_without_entries,
        reopening::keeps_values,
        reopening::stays_clean,
    ]
}

/// Runs all [`checks`], each with a store that `make` returns.
///
/// # Panics
/// If checks fail, after all have run, with their names. Their own messages are on standard error.
pub fn run<S: Store>(mut make: impl FnMut() -> S) {
    assert_all_passed(checks().iter().map(|check: &Check<S>| {
        let empty = make();
        (check.name, catch_unwind(AssertUnwindSafe(|| check.run(empty))).is_ok())
    }));
}

/// Runs all [`reopen_checks`]. `new_storage` is called for each check. It returns a function that
/// opens a store in a new, empty storage.
///
/// # Panics
/// If checks fail, after all have run, with their names. Their own messages are on standard error.
pub fn run_reopened<S: Store, O: FnMut() -> S>(mut new_storage: impl FnMut() -> O) {
    assert_all_passed(reopen_checks().iter().map(|check: &ReopenCheck<S>| {
        let open = new_storage();
        (check.name, catch_unwind(AssertUnwindSafe(|| check.run(open))).is_ok())
    }));
}

fn assert_all_passed(results: impl Iterator<Item = (&'static str, bool)>) {
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
            assert_all_passed(checks.into_iter());
        });
        let message = *failure.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(message, "the store fails 2 checks: b, c");
    }

    #[test]
    fn check_names_are_unique() {
        let mut names: Vec<_> = checks::<MemoryStore>().iter().map(Check::name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
