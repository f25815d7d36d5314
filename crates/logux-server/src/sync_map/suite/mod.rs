//! What every storage of records must do, as lists of named checks (feature `testing`).
//!
//! ```
//! # use std::{collections::BTreeMap, sync::Mutex};
//! # use logux::{Json, WallTime, json::JsonObject};
//! use logux_server::{Context, EditOutcome, LoadOutcome, HandlerError, SyncMap, SyncMapData, Write, testing::sync_map_suite};
//!
//! /// Whatever comes last is right.
//! #[derive(Default)]
//! struct Notes(Mutex<BTreeMap<String, JsonObject>>);
//!
//! impl SyncMap for Notes {
//!     // …
//! #     async fn load(&self, _: &Context, id: &str, _: Option<WallTime>) -> Result<LoadOutcome, HandlerError> {
//! #         let notes = self.0.lock().unwrap();
//! #         let Some(note) = notes.get(id) else { return Ok(LoadOutcome::Missing) };
//! #         let fields = note.iter().map(|(key, value)| (key.into(), value.clone(), None)).collect();
//! #         Ok(SyncMapData { id: id.into(), fields }.into())
//! #     }
//! #     async fn create(&self, context: &Context, id: &str, fields: &JsonObject, write: Write<'_>) -> Result<EditOutcome, HandlerError> {
//! #         self.change(context, id, fields, write).await
//! #     }
//! #     async fn change(&self, _: &Context, id: &str, fields: &JsonObject, _: Write<'_>) -> Result<EditOutcome, HandlerError> {
//! #         let mut notes = self.0.lock().unwrap();
//! #         let note = notes.entry(id.to_owned()).or_default();
//! #         for (key, value) in fields.iter() {
//! #             note.set(key, value.clone());
//! #         }
//! #         Ok(EditOutcome::All)
//! #     }
//! #     async fn delete(&self, _: &Context, id: &str, _: Write<'_>) -> Result<bool, HandlerError> {
//! #         Ok(self.0.lock().unwrap().remove(id).is_some())
//! #     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let fields = [r#"{"text":"Tea","color":1}"#, r#"{"text":"Coffee","color":2}"#];
//! sync_map_suite::run((), fields, async || Notes::default()).await;
//! # }
//! ```
//!
//! [`run`] is for all, [`run_filter`] for those that list too, and [`run_merging`] for those that keep the time of each field, as the storages on
//! SQLite and PostgreSQL do. The fields are two JSON objects that your records can have, with the same two or more keys and no equal values. `empty`
//! makes a storage without records each time.

mod basics;
mod kit;
mod listing;
mod merging;
mod since;

use kit::Kit;

use crate::sync_map::{SyncMap, SyncMapFilter};

/// Runs a list of checks, each over an empty storage; says which one before it begins.
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

/// What every storage must do: what was written is there, and nothing else.
///
/// # Panics
/// When the storage does not, with what was expected and what came.
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
            basics::what_was_created_is_loaded,
            basics::what_was_not_created_is_missing,
            basics::a_change_sets_its_fields_and_no_others,
            basics::the_same_write_again_changes_nothing,
            basics::what_was_deleted_is_gone,
            basics::records_do_not_mix,
        ]
    );
}

/// What every storage must do that lists records by a filter.
///
/// # Panics
/// When the storage does not, with what was expected and what came.
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
            listing::a_filter_lists_what_has_equal_fields,
            listing::a_record_is_listed_by_its_new_values,
            listing::what_was_deleted_is_not_listed,
        ]
    );
}

/// What a storage must do that keeps when and by which action each field was written: it agrees with its clients, whatever comes late, twice or at
/// the same time, and tells those who come back what they have missed.
///
/// # Panics
/// When the storage does not, with what was expected and what came.
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
            merging::an_older_write_wins_only_what_is_not_known,
            merging::a_deletion_takes_what_is_older,
            merging::a_late_deletion_leaves_what_is_newer,
            merging::of_two_writes_at_one_time_one_is_moved,
            merging::a_moved_write_that_comes_again_keeps_its_place,
            merging::any_order_of_arrival_gives_one_outcome,
            merging::writes_side_by_side_take_turns,
            since::what_arrived_since_then_is_loaded,
            since::what_arrived_since_then_is_listed,
            since::what_has_stopped_to_match_is_listed,
            since::what_was_deleted_since_then_is_told,
        ]
    );
}
