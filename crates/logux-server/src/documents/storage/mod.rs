//! What a server keeps of documents beside its log: the catalog, the archive, and named versions.
//!
//! Read [`DocumentStorage`], then [`MemoryDocuments`]. `sqlite` and `postgres` are the durable
//! storages; `suite` tests them and those of applications. `shared` is the form in which the server
//! holds any storage.

mod memory;
#[cfg(feature = "postgres")]
mod postgres;
pub(crate) mod shared;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "testing")]
pub mod suite;

pub use memory::MemoryDocuments;

use std::{future::Future, sync::Arc};

use logux::{
    WallTime,
    action::DocumentKey,
    server::{
        AddVersionOutcome, ArchivePage, ArchiveQuery, ArchivedEntry, CatalogEntry, CatalogPage,
        CatalogQuery, CreateOutcome, DeleteOutcome, DocumentCreation, DocumentDeletion,
        DocumentStats, DocumentUsage, DocumentVersion,
    },
};

use crate::error::HandlerError;

/// Keeps what the log of a server does not have of its documents.
///
/// The log has the latest snapshot of a document and the actions after it. A storage has
///
/// - the *catalog*: which documents exist, who created them, their size and last change;
/// - the *archive*: actions that a snapshot has settled, and the snapshots, from which former
///   states are computed;
/// - *named versions*: positions in the history of a document.
///
/// Included are [`MemoryDocuments`], `SqliteDocuments` of `logux-sqlite`
/// (`Database::documents()`) and `PostgresDocuments` of `logux-postgres`.
/// `logux_server::testing::document_storage_suite` (feature `testing`) tests a storage.
///
/// # What each storage does
/// - *Atomic*: a call has its effect as a whole or not at all. The exceptions are
///   [`archive`](Self::archive), [`forget_archived`](Self::forget_archived),
///   [`purge`](Self::purge) and [`remove_purged`](Self::remove_purged), which work in steps. Calls
///   for one document may run at the same time; they have the effect of one order.
/// - *Idempotent*: after a crash, a call may be repeated. It then has the result of the first
///   attempt. The rules are those of [`CatalogEntry`].
/// - *Durable*: when the call returns, or, if the storage is in the database of the server's log,
///   with the next commit of the hub. So what a handler writes becomes durable together with its
///   answer, before the author receives it.
/// - An error that may pass is [`HandlerError::Unavailable`]; then the handlers are called again.
///
/// Complexities are for *n* documents; a storage should reach them.
pub trait DocumentStorage: Send + Sync + 'static {
    /// Returns the catalog entry of a document, also of a deleted one. `None` if it was never
    /// created, or was purged. O(log n).
    fn find(
        &self,
        key: &DocumentKey,
    ) -> impl Future<Output = Result<Option<CatalogEntry>, HandlerError>> + Send;

    /// Creates a document, or takes back its deletion, by the rules of [`CatalogEntry::create`].
    /// Returns what has happened, and the entry as it is then. O(log n).
    fn create(
        &self,
        key: &DocumentKey,
        creation: &DocumentCreation,
    ) -> impl Future<Output = Result<(CreateOutcome, CatalogEntry), HandlerError>> + Send;

    /// Deletes a document, by the rules of [`CatalogEntry::delete`]: its content stays until it is
    /// [purged](Self::purge). Returns what has happened, and the entry as it is then; `None` if
    /// there is no entry. O(log n).
    fn delete(
        &self,
        key: &DocumentKey,
        deletion: &DocumentDeletion,
    ) -> impl Future<Output = Result<Option<(DeleteOutcome, CatalogEntry)>, HandlerError>> + Send;

    /// Stores the last changes and sizes of documents of a kind, each at most once. Documents
    /// without an entry, such as purged ones, are left out. O(log n) for each.
    fn touch(
        &self,
        kind: &str,
        documents: &[DocumentStats],
    ) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// Lists documents of a kind in pages, newest change first. O(log n + page).
    fn list(
        &self,
        kind: &str,
        query: &CatalogQuery,
    ) -> impl Future<Output = Result<CatalogPage, HandlerError>> + Send;

    /// Returns the number and size of the documents that a user has created, of one kind or of all.
    /// O(log n + documents of the user).
    fn usage(
        &self,
        creator: &str,
        kind: Option<&str>,
    ) -> impl Future<Output = Result<DocumentUsage, HandlerError>> + Send;

    /// Returns the documents of a kind that were deleted before a time by the server's clock
    /// ([`DocumentDeletion::at`]) and still are, the oldest deletions first, at most `limit`. For
    /// those, the time to take the deletion back is over. O(log n + limit).
    fn deleted_before(
        &self,
        kind: &str,
        before: WallTime,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<CatalogEntry>, HandlerError>> + Send;

    /// Adds entries to the archive of a document. A number that the archive has is left out.
    /// Returns `false`, without an effect, if the document has no catalog entry: it was purged.
    ///
    /// After a failure, a part may be added; the call can be repeated. An entry must stay in the
    /// log until it is durable in the archive. The numbers are those of one log: another log must
    /// not use them again. O(entries · log archive).
    fn archive(
        &self,
        key: &DocumentKey,
        entries: &[ArchivedEntry],
    ) -> impl Future<Output = Result<bool, HandlerError>> + Send;

    /// Returns archived entries of a document, in pages that are limited by number and by
    /// [size](logux::server::ARCHIVE_PAGE_BYTES). O(log archive + page).
    fn archived(
        &self,
        key: &DocumentKey,
        query: ArchiveQuery,
    ) -> impl Future<Output = Result<ArchivePage, HandlerError>> + Send;

    /// Returns the latest archived snapshot with this number or a lower one. O(log archive).
    fn snapshot_at(
        &self,
        key: &DocumentKey,
        added: u64,
    ) -> impl Future<Output = Result<Option<ArchivedEntry>, HandlerError>> + Send;

    /// Returns the highest number of the archived entries that were processed at this time or
    /// earlier ([`ArchivedEntry::at`]): the position of the history at a moment. O(log archive).
    fn position_at(
        &self,
        key: &DocumentKey,
        at: WallTime,
    ) -> impl Future<Output = Result<Option<u64>, HandlerError>> + Send;

    /// Removes the archived entries with lower numbers, at least some of them. Returns `true` if
    /// there may be more, so that the caller calls again. To be able to compute later states, the
    /// number has to be that of a snapshot. O(removed · log archive).
    fn forget_archived(
        &self,
        key: &DocumentKey,
        before: u64,
    ) -> impl Future<Output = Result<bool, HandlerError>> + Send;

    /// Gives a position in the history a name. O(log n + versions).
    fn add_version(
        &self,
        key: &DocumentKey,
        version: &DocumentVersion,
    ) -> impl Future<Output = Result<AddVersionOutcome, HandlerError>> + Send;

    /// Returns the versions of a document, ordered by position, then by name in the order of bytes.
    /// O(log n + versions).
    fn versions(
        &self,
        key: &DocumentKey,
    ) -> impl Future<Output = Result<Vec<DocumentVersion>, HandlerError>> + Send;

    /// Removes a version; the history stays. Returns `false` if no version has this name. O(log n).
    fn remove_version(
        &self,
        key: &DocumentKey,
        name: &str,
    ) -> impl Future<Output = Result<bool, HandlerError>> + Send;

    /// Removes a document, whether deleted or not: its catalog entry, its versions, and its
    /// archive. From then on, no other method returns any of it. A later creation begins a new
    /// document.
    ///
    /// A large archive is removed in steps. Returns `true` if a part of it is still in the
    /// database; then the caller calls [`remove_purged`](Self::remove_purged). O(log n + a step).
    fn purge(&self, key: &DocumentKey) -> impl Future<Output = Result<bool, HandlerError>> + Send;

    /// Removes a part of what purged documents have left in the database. Returns `true` if there
    /// may be more. To be called repeatedly after [`purge`](Self::purge), and after a start, as a
    /// crash may have interrupted a purge. O(a step).
    fn remove_purged(&self) -> impl Future<Output = Result<bool, HandlerError>> + Send;
}

/// A shared storage is a storage.
impl<D: DocumentStorage> DocumentStorage for Arc<D> {
    async fn find(&self, key: &DocumentKey) -> Result<Option<CatalogEntry>, HandlerError> {
        (**self).find(key).await
    }

    async fn create(
        &self,
        key: &DocumentKey,
        creation: &DocumentCreation,
    ) -> Result<(CreateOutcome, CatalogEntry), HandlerError> {
        (**self).create(key, creation).await
    }

    async fn delete(
        &self,
        key: &DocumentKey,
        deletion: &DocumentDeletion,
    ) -> Result<Option<(DeleteOutcome, CatalogEntry)>, HandlerError> {
        (**self).delete(key, deletion).await
    }

    async fn touch(&self, kind: &str, documents: &[DocumentStats]) -> Result<(), HandlerError> {
        (**self).touch(kind, documents).await
    }

    async fn list(&self, kind: &str, query: &CatalogQuery) -> Result<CatalogPage, HandlerError> {
        (**self).list(kind, query).await
    }

    async fn usage(
        &self,
        creator: &str,
        kind: Option<&str>,
    ) -> Result<DocumentUsage, HandlerError> {
        (**self).usage(creator, kind).await
    }

    async fn deleted_before(
        &self,
        kind: &str,
        before: WallTime,
        limit: usize,
    ) -> Result<Vec<CatalogEntry>, HandlerError> {
        (**self).deleted_before(kind, before, limit).await
    }

    async fn archive(
        &self,
        key: &DocumentKey,
        entries: &[ArchivedEntry],
    ) -> Result<bool, HandlerError> {
        (**self).archive(key, entries).await
    }

    async fn archived(
        &self,
        key: &DocumentKey,
        query: ArchiveQuery,
    ) -> Result<ArchivePage, HandlerError> {
        (**self).archived(key, query).await
    }

    async fn snapshot_at(
        &self,
        key: &DocumentKey,
        added: u64,
    ) -> Result<Option<ArchivedEntry>, HandlerError> {
        (**self).snapshot_at(key, added).await
    }

    async fn position_at(
        &self,
        key: &DocumentKey,
        at: WallTime,
    ) -> Result<Option<u64>, HandlerError> {
        (**self).position_at(key, at).await
    }

    async fn forget_archived(&self, key: &DocumentKey, before: u64) -> Result<bool, HandlerError> {
        (**self).forget_archived(key, before).await
    }

    async fn add_version(
        &self,
        key: &DocumentKey,
        version: &DocumentVersion,
    ) -> Result<AddVersionOutcome, HandlerError> {
        (**self).add_version(key, version).await
    }

    async fn versions(&self, key: &DocumentKey) -> Result<Vec<DocumentVersion>, HandlerError> {
        (**self).versions(key).await
    }

    async fn remove_version(&self, key: &DocumentKey, name: &str) -> Result<bool, HandlerError> {
        (**self).remove_version(key, name).await
    }

    async fn purge(&self, key: &DocumentKey) -> Result<bool, HandlerError> {
        (**self).purge(key).await
    }

    async fn remove_purged(&self) -> Result<bool, HandlerError> {
        (**self).remove_purged().await
    }
}
