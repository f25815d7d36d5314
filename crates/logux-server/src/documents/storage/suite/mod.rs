//! Tests that every [`DocumentStorage`] must pass, as a list of named checks (feature `testing`).
//!
//! ```
//! use logux_server::{MemoryDocuments, testing::document_storage_suite};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! document_storage_suite::run(async || MemoryDocuments::new()).await;
//! document_storage_suite::run_random(async || MemoryDocuments::new(), 1..=3).await;
//! # }
//! ```
//!
//! Each check uses kinds and users of its own, so `open` may return the same storage for all of
//! them. [`run`] has examples; [`run_random`] compares random calls with [`MemoryDocuments`].

mod archive;
mod catalog;
mod kit;
mod purge;
mod random;
mod versions;

use std::ops::RangeInclusive;

use kit::Kit;

use super::{DocumentStorage, MemoryDocuments};

/// Runs a list of checks, and prints the name of each before it starts.
macro_rules! run_all {
    ($open:ident, [$($module:ident :: $check:ident),* $(,)?]) => {
        $(
            let name = stringify!($check).replace('_', " ");
            println!("check: {name}");
            $module::$check(&Kit::new($open().await)).await;
        )*
    };
}

/// Checks what every storage must do.
///
/// # Panics
/// If a check fails, with the expected and the actual value.
pub async fn run<D: DocumentStorage>(open: impl AsyncFn() -> D) {
    run_all!(
        open,
        [
            catalog::a_created_document_is_found,
            catalog::a_document_is_created_once,
            catalog::concurrent_creations_create_one_document,
            catalog::a_deletion_is_taken_back_by_a_later_creation,
            catalog::a_deletion_is_moved_after_the_creation,
            catalog::a_missing_document_is_not_deleted,
            catalog::sizes_are_stored,
            catalog::documents_are_listed_by_their_last_change,
            catalog::a_document_that_changes_is_listed_once,
            catalog::documents_are_listed_by_their_creator,
            catalog::deleted_documents_are_listed_separately,
            catalog::old_deletions_are_found,
            catalog::the_usage_is_that_of_one_user,
            archive::archived_entries_are_read_unchanged,
            archive::an_archive_is_read_in_pages,
            archive::a_page_ends_at_its_size,
            archive::a_number_is_archived_once,
            archive::a_missing_document_has_no_archive,
            archive::the_latest_snapshot_is_found,
            archive::the_position_at_a_time_is_found,
            archive::earlier_entries_are_forgotten,
            versions::a_position_is_named_once,
            versions::versions_are_listed_by_position,
            versions::the_number_of_versions_is_limited,
            purge::a_purged_document_leaves_nothing,
            purge::a_large_archive_is_purged,
            purge::other_documents_stay,
        ]
    );
}

/// Compares random calls of a storage with those of [`MemoryDocuments`], for each of the seeds.
///
/// # Panics
/// If the results differ, with the seed and the last calls.
pub async fn run_random<D: DocumentStorage>(open: impl AsyncFn() -> D, seeds: RangeInclusive<u64>) {
    for seed in seeds {
        random::run(&Kit::new(open().await), &Kit::new(MemoryDocuments::new()), seed).await;
    }
}
