//! Documents in PostgreSQL: [`PostgresDocuments`] implements the storage.

use logux::{
    WallTime,
    action::DocumentKey,
    server::{
        AddVersionOutcome, ArchivePage, ArchiveQuery, ArchivedEntry, CatalogEntry, CatalogPage,
        CatalogQuery, CreateOutcome, DeleteOutcome, DocumentCreation, DocumentDeletion,
        DocumentStats, DocumentUsage, DocumentVersion,
    },
};
use logux_postgres::PostgresDocuments;

use super::DocumentStorage;
use crate::error::HandlerError;

impl DocumentStorage for PostgresDocuments {
    async fn find(&self, key: &DocumentKey) -> Result<Option<CatalogEntry>, HandlerError> {
        Ok(self.find(key).await?)
    }

    async fn create(
        &self,
        key: &DocumentKey,
        creation: &DocumentCreation,
    ) -> Result<(CreateOutcome, CatalogEntry), HandlerError> {
        Ok(self.create(key, creation).await?)
    }

    async fn delete(
        &self,
        key: &DocumentKey,
        deletion: &DocumentDeletion,
    ) -> Result<Option<(DeleteOutcome, CatalogEntry)>, HandlerError> {
        Ok(self.delete(key, deletion).await?)
    }

    async fn touch(&self, kind: &str, documents: &[DocumentStats]) -> Result<(), HandlerError> {
        Ok(self.touch(kind, documents).await?)
    }

    async fn list(&self, kind: &str, query: &CatalogQuery) -> Result<CatalogPage, HandlerError> {
        Ok(self.list(kind, query).await?)
    }

    async fn usage(
        &self,
        creator: &str,
        kind: Option<&str>,
    ) -> Result<DocumentUsage, HandlerError> {
        Ok(self.usage(creator, kind).await?)
    }

    async fn deleted_before(
        &self,
        kind: &str,
        before: WallTime,
        limit: usize,
    ) -> Result<Vec<CatalogEntry>, HandlerError> {
        Ok(self.deleted_before(kind, before, limit).await?)
    }

    async fn archive(
        &self,
        key: &DocumentKey,
        entries: &[ArchivedEntry],
    ) -> Result<bool, HandlerError> {
        Ok(self.archive(key, entries).await?)
    }

    async fn archived(
        &self,
        key: &DocumentKey,
        query: ArchiveQuery,
    ) -> Result<ArchivePage, HandlerError> {
        Ok(self.archived(key, query).await?)
    }

    async fn snapshot_at(
        &self,
        key: &DocumentKey,
        added: u64,
    ) -> Result<Option<ArchivedEntry>, HandlerError> {
        Ok(self.snapshot_at(key, added).await?)
    }

    async fn position_at(
        &self,
        key: &DocumentKey,
        at: WallTime,
    ) -> Result<Option<u64>, HandlerError> {
        Ok(self.position_at(key, at).await?)
    }

    async fn forget_archived(&self, key: &DocumentKey, before: u64) -> Result<bool, HandlerError> {
        Ok(self.forget_archived(key, before).await?)
    }

    async fn add_version(
        &self,
        key: &DocumentKey,
        version: &DocumentVersion,
    ) -> Result<AddVersionOutcome, HandlerError> {
        Ok(self.add_version(key, version).await?)
    }

    async fn versions(&self, key: &DocumentKey) -> Result<Vec<DocumentVersion>, HandlerError> {
        Ok(self.versions(key).await?)
    }

    async fn remove_version(&self, key: &DocumentKey, name: &str) -> Result<bool, HandlerError> {
        Ok(self.remove_version(key, name).await?)
    }

    async fn purge(&self, key: &DocumentKey) -> Result<bool, HandlerError> {
        Ok(self.purge(key).await?)
    }

    async fn remove_purged(&self) -> Result<bool, HandlerError> {
        Ok(self.remove_purged().await?)
    }
}
