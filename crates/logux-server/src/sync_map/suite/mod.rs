//! Tests that every storage of records must pass, as lists of named checks (feature `testing`).
//!
//! ```
//! # use std::{collections::BTreeMap, sync::Mutex};
//! # use logux::{Json, WallTime, json::JsonObject};
//! use logux_server::{Context, EditOutcome, LoadOutcome, HandlerError, SyncMap, SyncMapData, Write, testing::sync_map_suite};
//!
//! /// The last write to arrive wins.
//! #[derive(Default)]
//! struct Notes(Mutex<BTreeMap<String, JsonObject>>);
//!
//! impl SyncMap for Notes {
//!     // …
//! #     async fn load(&self, _: &Context, id: &str, _: Option<WallTime>) -> Result<LoadOutcome, HandlerError> {
//! #         let notes = self.0.lock().unwrap();
//! #         let Some(note) = notes.get(id) else { return Ok(LoadOutcome::Missing) };
//! #         let fields = note.iter().map(|(key, value)| (key.into(), value.clone(), None)).collect();
//! #         Ok(SyncMapData { id: id.into(), fields, recreated_after: None }.into())
//! #     }
//! #     async fn create(&self, context: &Context, id: &str, fields: &JsonObject, write: Write<'_>) -> Result<EditOutcome, HandlerError> {
//! #         self.0.lock().unwrap().entry(id.to_owned()).or_default();
//! #         self.change(context, id, fields, write).await
//! #     }
//! #     async fn change(&self, _: &Context, id: &str, fields: &JsonObject, _: Write<'_>) -> Result<EditOutcome, HandlerError> {
//! #         let mut notes = self.0.lock().unwrap();
//! #         let note = notes.get_mut(id).ok_or(HandlerError::NotFound)?;
//! #         for (key, value) in fields.iter() {
//! #             note.set(key, value.clone());
//! #         }
//! #         Ok(EditOutcome::All)
//! #     }
//! #     async fn delete(&self, _: &Context, id: &str, write: Write<'_>) -> Result<Option<WallTime>, HandlerError> {
//! #         Ok(self.0.lock().unwrap().remove(id).map(|_| write.time()))
//! #     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let fields = [r#"{"text":"Tea","color":1}"#, r#"{"text":"Coffee","color":2}"#];
//! sync_map_suite::run((), fields, async || Notes::default()).await;
//! # }
//! ```
//!
//! [`run`] is for every storage, [`run_filter`] for those that list records too, and
//! [`run_merging`] for those that store the time of each field, as the storages on SQLite and
//! PostgreSQL do. The arguments are the application's state, the fields of two records, and
//! `empty`, which creates an empty storage for each check. The fields are two JSON objects that the
//! storage accepts, with the same two or more keys and no equal values.

mod basics;
mod kit;
mod listing;
mod merging;
mod since;

use kit::Kit;

use crate::sync_map::{SyncMap, SyncMapFilter};

/// Runs a list of checks, each with an empty storage, and prints the name of each before it starts.
macro_rules! run_all {
    ($state:ident, $fields:ident, $empty:ident, [$($module:ident :: $check:ident),* $(,)?]) => {
        let state = std::sync::Arc::new($state);
        $(
            let name = stringify!($check).replace('_', " ");
            println!("check: {name}");
            $module::$check(&Kit::new(state.clone(), $fields, $empty().await)).await;
        )*
    };
}

/// Checks what every storage must do: it contains what was written, and nothing else.
///
/// # Panics
/// If a check fails, with the expected and the actual value.
pub async fn run<S: Send + Sync + 'static, M: SyncMap<S>>(
    state: S,
    fields: [&str; 2],
    empty: impl AsyncFn() -> M,
) {
    run_all!(
        state,
        fields,
        empty,
        [
            basics::a_created_record_is_loaded,
            basics::an_unknown_record_is_missing,
            basics::a_change_sets_its_fields_and_no_others,
            basics::the_same_write_again_changes_nothing,
            basics::a_deleted_record_is_missing,
            basics::a_change_never_creates_a_record,
            basics::records_are_independent,
        ]
    );
}

/// Checks what every storage must do that lists records by a filter.
///
/// # Panics
/// If a check fails, with the expected and the actual value.
pub async fn run_filter<S, M>(state: S, fields: [&str; 2], empty: impl AsyncFn() -> M)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    run_all!(
        state,
        fields,
        empty,
        [
            listing::an_empty_filter_lists_all,
            listing::a_filter_lists_records_with_equal_fields,
            listing::a_record_is_listed_by_its_new_values,
            listing::deleted_records_are_not_listed,
            listing::a_long_list_is_complete_in_pages,
        ]
    );
}

/// Checks what a storage must do that stores the time and the action of the latest write of each
/// field: it agrees with its clients, even if writes arrive late, repeatedly or with equal times,
/// and it loads what returning clients have missed.
///
/// # Panics
/// If a check fails, with the expected and the actual value.
pub async fn run_merging<S, M>(state: S, fields: [&str; 2], empty: impl AsyncFn() -> M)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    run_all!(
        state,
        fields,
        empty,
        [
            merging::a_later_write_wins_field_by_field,
            merging::an_older_write_sets_only_unknown_fields,
            merging::writes_from_before_a_deletion_are_refused,
            merging::a_deletion_is_moved_after_the_latest_write,
            merging::a_repeated_deletion_has_the_same_time,
            merging::writes_with_equal_times_get_different_times,
            merging::a_repeated_write_with_a_changed_time_keeps_its_order,
            merging::subscribers_agree_in_every_order_of_arrival,
            merging::concurrent_writes_are_consistent,
            since::changes_since_a_time_are_loaded,
            since::changes_since_a_time_are_listed,
            since::records_that_match_since_a_time_are_listed_whole,
            since::records_that_do_not_match_any_more_are_listed,
            since::deletions_since_a_time_are_listed,
            since::a_record_that_was_created_again_is_deleted_first,
        ]
    );
}
