//! A storage of any type, so that the rest of the server is not generic over it.

use std::sync::Arc;

use logux::{
    WallTime,
    action::DocumentKey,
    server::{
        AddVersionOutcome, ArchivePage, ArchiveQuery, ArchivedEntry, CatalogEntry, CatalogPage,
        CatalogQuery, CreateOutcome, DeleteOutcome, DocumentCreation, DocumentDeletion,
        DocumentStats, DocumentUsage, DocumentVersion,
    },
};

use super::DocumentStorage;
use crate::handlers::handler::BoxFuture;

/// A [`DocumentStorage`] behind a pointer.
pub(crate) type SharedDocumentStorage = Arc<dyn AnyDocumentStorage>;

/// Declares the methods of [`DocumentStorage`] with owned arguments and boxed futures.
macro_rules! any_document_storage {
    ($(fn $method:ident($($argument:ident: $owned:ty => $borrowed:expr),*) -> $result:ty;)*) => {
        /// The methods of [`DocumentStorage`], with owned arguments, for an [`Arc`] of any storage.
        pub(crate) trait AnyDocumentStorage: Send + Sync + 'static {
            $(fn $method(self: Arc<Self>, $($argument: $owned),*) -> BoxFuture<$result>;)*
        }

        impl<D: DocumentStorage> AnyDocumentStorage for D {
            $(fn $method(self: Arc<Self>, $($argument: $owned),*) -> BoxFuture<$result> {
                Box::pin(async move { D::$method(&self, $($borrowed),*).await })
            })*
        }
    };
}

any_document_storage! {
    fn find(key: DocumentKey => &key) -> Option<CatalogEntry>;
    fn create(key: DocumentKey => &key, creation: DocumentCreation => &creation) -> (CreateOutcome, CatalogEntry);
    fn delete(key: DocumentKey => &key, deletion: DocumentDeletion => &deletion) -> Option<(DeleteOutcome, CatalogEntry)>;
    fn touch(kind: Arc<str> => &kind, documents: Vec<DocumentStats> => &documents) -> ();
    fn list(kind: Arc<str> => &kind, query: CatalogQuery => &query) -> CatalogPage;
    fn usage(creator: Arc<str> => &creator, kind: Option<Arc<str>> => kind.as_deref()) -> DocumentUsage;
    fn deleted_before(kind: Arc<str> => &kind, before: WallTime => before, limit: usize => limit) -> Vec<CatalogEntry>;
    fn archive(key: DocumentKey => &key, entries: Vec<ArchivedEntry> => &entries) -> bool;
    fn archived(key: DocumentKey => &key, query: ArchiveQuery => query) -> ArchivePage;
    fn snapshot_at(key: DocumentKey => &key, added: u64 => added) -> Option<ArchivedEntry>;
    fn position_at(key: DocumentKey => &key, at: WallTime => at) -> Option<u64>;
    fn forget_archived(key: DocumentKey => &key, before: u64 => before) -> bool;
    fn add_version(key: DocumentKey => &key, version: DocumentVersion => &version) -> AddVersionOutcome;
    fn versions(key: DocumentKey => &key) -> Vec<DocumentVersion>;
    fn remove_version(key: DocumentKey => &key, name: Arc<str> => &name) -> bool;
    fn purge(key: DocumentKey => &key) -> bool;
    fn remove_purged() -> bool;
}

#[cfg(test)]
mod tests {
    use logux::Stamp;

    use super::*;
    use crate::documents::storage::MemoryDocuments;

    #[tokio::test]
    async fn a_shared_storage_is_used_without_its_type() {
        let storage: SharedDocumentStorage = Arc::new(MemoryDocuments::new());
        let (key, at) = (DocumentKey::new("notes", "7"), WallTime::from_millis(1));
        let stamp = Stamp::new(at, "1 ada:phone:tab 0".parse().unwrap());
        let creation = DocumentCreation { stamp, creator: None, at };
        let (outcome, entry) = storage.clone().create(key.clone(), creation).await.unwrap();
        assert_eq!(outcome, CreateOutcome::Created);
        assert_eq!(storage.find(key).await.unwrap(), Some(entry));
    }
}
