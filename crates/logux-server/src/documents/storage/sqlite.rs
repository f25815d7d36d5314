//! Documents in a SQLite file:
//! [`Database::documents`](logux_sqlite::Database::documents) implements the storage.

use std::time::Duration;

use logux::{
    WallTime,
    action::DocumentKey,
    server::{
        AddVersionOutcome, ArchivePage, ArchiveQuery, ArchivedEntry, CatalogEntry, CatalogPage,
        CatalogQuery, CreateOutcome, DeleteOutcome, DocumentCreation, DocumentDeletion,
        DocumentStats, DocumentUsage, DocumentVersion,
    },
};
use logux_sqlite::{SqliteDocuments, SqliteError};

use super::DocumentStorage;
use crate::{
    blocking::{on_blocking_thread, when_ready},
    error::HandlerError,
};

/// The time that a long read waits for the commit of what was written before it.
const COMMIT_WAIT: Duration = Duration::from_millis(100);

/// Runs a short call, in the same round and commit of the hub if it calls this.
async fn short<T: Send + 'static>(
    documents: &SqliteDocuments,
    call: impl FnOnce(&SqliteDocuments) -> Result<T, SqliteError> + Send + 'static,
) -> Result<T, HandlerError> {
    let owned = documents.clone();
    when_ready(documents.database(), move || Ok(call(&owned)?)).await
}

/// Runs a call that may take long, on a thread for blocking work.
async fn long<T: Send + 'static>(
    documents: &SqliteDocuments,
    call: impl FnOnce(&SqliteDocuments) -> Result<T, SqliteError> + Send + 'static,
) -> Result<T, HandlerError> {
    let owned = documents.clone().reading_committed(COMMIT_WAIT);
    on_blocking_thread(move || Ok(call(&owned)?)).await
}

impl DocumentStorage for SqliteDocuments {
    async fn find(&self, key: &DocumentKey) -> Result<Option<CatalogEntry>, HandlerError> {
        let key = key.clone();
        short(self, move |documents| documents.find(&key)).await
    }

    async fn create(
        &self,
        key: &DocumentKey,
        creation: &DocumentCreation,
    ) -> Result<(CreateOutcome, CatalogEntry), HandlerError> {
        let (key, creation) = (key.clone(), creation.clone());
        short(self, move |documents| documents.create(&key, &creation)).await
    }

    async fn delete(
        &self,
        key: &DocumentKey,
        deletion: &DocumentDeletion,
    ) -> Result<Option<(DeleteOutcome, CatalogEntry)>, HandlerError> {
        let (key, deletion) = (key.clone(), deletion.clone());
        short(self, move |documents| documents.delete(&key, &deletion)).await
    }

    async fn touch(&self, kind: &str, documents: &[DocumentStats]) -> Result<(), HandlerError> {
        let (kind, stats) = (kind.to_owned(), documents.to_vec());
        short(self, move |documents| documents.touch(&kind, &stats)).await
    }

    async fn list(&self, kind: &str, query: &CatalogQuery) -> Result<CatalogPage, HandlerError> {
        let (kind, query) = (kind.to_owned(), query.clone());
        long(self, move |documents| documents.list(&kind, &query)).await
    }

    async fn usage(
        &self,
        creator: &str,
        kind: Option<&str>,
    ) -> Result<DocumentUsage, HandlerError> {
        let (creator, kind) = (creator.to_owned(), kind.map(str::to_owned));
        short(self, move |documents| documents.usage(&creator, kind.as_deref())).await
    }

    async fn deleted_before(
        &self,
        kind: &str,
        before: WallTime,
        limit: usize,
    ) -> Result<Vec<CatalogEntry>, HandlerError> {
        let kind = kind.to_owned();
        long(self, move |documents| documents.deleted_before(&kind, before, limit)).await
    }

    async fn archive(
        &self,
        key: &DocumentKey,
        entries: &[ArchivedEntry],
    ) -> Result<bool, HandlerError> {
        let (key, entries) = (key.clone(), entries.to_vec());
        long(self, move |documents| documents.archive(&key, &entries)).await
    }

    async fn archived(
        &self,
        key: &DocumentKey,
        query: ArchiveQuery,
    ) -> Result<ArchivePage, HandlerError> {
        let key = key.clone();
        long(self, move |documents| documents.archived(&key, query)).await
    }

    async fn snapshot_at(
        &self,
        key: &DocumentKey,
        added: u64,
    ) -> Result<Option<ArchivedEntry>, HandlerError> {
        let key = key.clone();
        long(self, move |documents| documents.snapshot_at(&key, added)).await
    }

    async fn position_at(
        &self,
        key: &DocumentKey,
        at: WallTime,
    ) -> Result<Option<u64>, HandlerError> {
        let key = key.clone();
        short(self, move |documents| documents.position_at(&key, at)).await
    }

    async fn forget_archived(&self, key: &DocumentKey, before: u64) -> Result<bool, HandlerError> {
        let key = key.clone();
        long(self, move |documents| documents.forget_archived(&key, before)).await
    }

    async fn add_version(
        &self,
        key: &DocumentKey,
        version: &DocumentVersion,
    ) -> Result<AddVersionOutcome, HandlerError> {
        let (key, version) = (key.clone(), version.clone());
        short(self, move |documents| documents.add_version(&key, &version)).await
    }

    async fn versions(&self, key: &DocumentKey) -> Result<Vec<DocumentVersion>, HandlerError> {
        let key = key.clone();
        short(self, move |documents| documents.versions(&key)).await
    }

    async fn remove_version(&self, key: &DocumentKey, name: &str) -> Result<bool, HandlerError> {
        let (key, name) = (key.clone(), name.to_owned());
        short(self, move |documents| documents.remove_version(&key, &name)).await
    }

    async fn purge(&self, key: &DocumentKey) -> Result<bool, HandlerError> {
        let key = key.clone();
        short(self, move |documents| documents.purge(&key)).await
    }

    async fn remove_purged(&self) -> Result<bool, HandlerError> {
        long(self, Self::remove_purged).await
    }
}
