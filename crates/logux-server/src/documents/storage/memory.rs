//! Documents in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use logux::{
    WallTime,
    action::DocumentKey,
    server::{
        AddVersionOutcome, ArchivePage, ArchiveQuery, ArchivedEntry, CatalogEntry, CatalogPage,
        CatalogQuery, CreateOutcome, DeleteOutcome, DocumentCreation, DocumentDeletion,
        DocumentStats, DocumentUsage, DocumentVersion,
    },
    store::Direction,
};

use super::DocumentStorage;
use crate::error::HandlerError;

/// A [`DocumentStorage`] in memory, for tests and for servers whose log is in memory too. Cheap to
/// clone: clones share the documents.
///
/// Lists are O(documents of the kind), or of the user if the query has one.
#[derive(Clone, Default)]
pub struct MemoryDocuments {
    kinds: Arc<Mutex<BTreeMap<Arc<str>, MemoryKind>>>,
}

/// The documents of a kind.
#[derive(Default)]
struct MemoryKind {
    documents: BTreeMap<Arc<str>, MemoryDocument>,
    /// The ids of the documents that each user has created.
    by_creator: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

struct MemoryDocument {
    entry: CatalogEntry,
    archive: BTreeMap<u64, ArchivedEntry>,
    versions: Vec<DocumentVersion>,
}

impl fmt::Debug for MemoryDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let documents = self.kinds().values().map(|kind| kind.documents.len()).sum::<usize>();
        f.debug_struct("MemoryDocuments").field("documents", &documents).finish()
    }
}

impl MemoryDocuments {
    /// Creates an empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    fn kinds(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, MemoryKind>> {
        // No call leaves the documents inconsistent, also if a thread panics.
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `query` with a document, if it has an entry.
    fn document<T>(
        &self,
        key: &DocumentKey,
        query: impl FnOnce(&mut MemoryDocument) -> T,
    ) -> Option<T> {
        self.kinds().get_mut(key.kind())?.documents.get_mut(key.id()).map(query)
    }
}

impl MemoryKind {
    /// Returns the entries of all documents, or of those that a user has created.
    fn entries<'a>(
        &'a self,
        creator: Option<&'a str>,
    ) -> Box<dyn Iterator<Item = &'a CatalogEntry> + 'a> {
        match creator {
            None => Box::new(self.documents.values().map(|document| &document.entry)),
            Some(creator) => {
                let ids = self.by_creator.get(creator).into_iter().flatten();
                Box::new(ids.filter_map(|id| Some(&self.documents.get(id)?.entry)))
            }
        }
    }
}

impl DocumentStorage for MemoryDocuments {
    async fn find(&self, key: &DocumentKey) -> Result<Option<CatalogEntry>, HandlerError> {
        Ok(self.document(key, |document| document.entry.clone()))
    }

    async fn create(
        &self,
        key: &DocumentKey,
        creation: &DocumentCreation,
    ) -> Result<(CreateOutcome, CatalogEntry), HandlerError> {
        let mut kinds = self.kinds();
        let kind = kinds.entry(key.kind().clone()).or_default();
        if let Some(creator) = &creation.creator
            && !kind.documents.contains_key(key.id())
        {
            kind.by_creator.entry(creator.clone()).or_default().insert(key.id().clone());
        }
        let document = kind.documents.entry(key.id().clone()).or_insert_with(|| MemoryDocument {
            entry: CatalogEntry::new(key.id().clone(), creation),
            archive: BTreeMap::new(),
            versions: Vec::new(),
        });
        Ok((document.entry.create(creation), document.entry.clone()))
    }

    async fn delete(
        &self,
        key: &DocumentKey,
        deletion: &DocumentDeletion,
    ) -> Result<Option<(DeleteOutcome, CatalogEntry)>, HandlerError> {
        Ok(self.document(key, |document| {
            (document.entry.delete(deletion.clone()), document.entry.clone())
        }))
    }

    async fn touch(&self, kind: &str, documents: &[DocumentStats]) -> Result<(), HandlerError> {
        if let Some(kind) = self.kinds().get_mut(kind) {
            for stats in documents {
                if let Some(document) = kind.documents.get_mut(&stats.id) {
                    document.entry.set_stats(stats);
                }
            }
        }
        Ok(())
    }

    async fn list(&self, kind: &str, query: &CatalogQuery) -> Result<CatalogPage, HandlerError> {
        let kinds = self.kinds();
        let page = kinds.get(kind).map(|kind| query.select(kind.entries(query.creator.as_deref())));
        Ok(page.unwrap_or_default())
    }

    async fn usage(
        &self,
        creator: &str,
        kind: Option<&str>,
    ) -> Result<DocumentUsage, HandlerError> {
        let kinds = self.kinds();
        let counted = kinds.iter().filter(|(name, _)| kind.is_none_or(|kind| *kind == ***name));
        let mut usage = DocumentUsage::default();
        for entry in counted.flat_map(|(_, kind)| kind.entries(Some(creator))) {
            if entry.deletion().is_some() {
                usage.deleted_documents += 1;
                usage.deleted_bytes += entry.bytes;
            } else {
                usage.documents += 1;
                usage.bytes += entry.bytes;
            }
        }
        Ok(usage)
    }

    async fn deleted_before(
        &self,
        kind: &str,
        before: WallTime,
        limit: usize,
    ) -> Result<Vec<CatalogEntry>, HandlerError> {
        let kinds = self.kinds();
        let entries = kinds.get(kind).into_iter().flat_map(|kind| kind.entries(None));
        let mut found: Vec<_> = entries
            .filter_map(|entry| {
                let at = entry.deletion()?.at;
                (at < before).then(|| (at, entry.clone()))
            })
            .collect();
        found.sort_by(|(at, a), (other, b)| at.cmp(other).then_with(|| a.id.cmp(&b.id)));
        Ok(found.into_iter().take(limit).map(|(_, entry)| entry).collect())
    }

    async fn archive(
        &self,
        key: &DocumentKey,
        entries: &[ArchivedEntry],
    ) -> Result<bool, HandlerError> {
        let archived = self.document(key, |document| {
            for archived in entries {
                document.archive.entry(archived.added).or_insert_with(|| archived.clone());
            }
        });
        Ok(archived.is_some())
    }

    async fn archived(
        &self,
        key: &DocumentKey,
        query: ArchiveQuery,
    ) -> Result<ArchivePage, HandlerError> {
        let start = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let end = query.before.unwrap_or(u64::MAX);
        if query.after.is_some_and(|after| after >= end) {
            return Ok(ArchivePage::default());
        }
        let page = self.document(key, |document| {
            let end = query.before.map_or(Bound::Unbounded, Bound::Excluded);
            let found = document.archive.range((start, end)).map(|(_, entry)| Ok(entry.clone()));
            match query.direction {
                Direction::OldestFirst => ArchivePage::read(query, found),
                Direction::NewestFirst => ArchivePage::read(query, found.rev()),
            }
        });
        page.unwrap_or_else(|| Ok(ArchivePage::default()))
    }

    async fn snapshot_at(
        &self,
        key: &DocumentKey,
        added: u64,
    ) -> Result<Option<ArchivedEntry>, HandlerError> {
        let found = self.document(key, |document| {
            let entries = document.archive.range(..=added).rev().map(|(_, entry)| entry);
            entries.clone().find(|entry| entry.is_snapshot(key)).cloned()
        });
        Ok(found.flatten())
    }

    async fn position_at(
        &self,
        key: &DocumentKey,
        at: WallTime,
    ) -> Result<Option<u64>, HandlerError> {
        let found = self.document(key, |document| {
            let mut entries = document.archive.values().rev();
            entries.find(|entry| entry.at <= at).map(|entry| entry.added)
        });
        Ok(found.flatten())
    }

    async fn forget_archived(&self, key: &DocumentKey, before: u64) -> Result<bool, HandlerError> {
        self.document(key, |document| document.archive = document.archive.split_off(&before));
        Ok(false)
    }

    async fn add_version(
        &self,
        key: &DocumentKey,
        version: &DocumentVersion,
    ) -> Result<AddVersionOutcome, HandlerError> {
        let outcome = self.document(key, |document| {
            let versions = &mut document.versions;
            let same_name = versions.iter().find(|known| known.name == version.name);
            let outcome = AddVersionOutcome::decide(version, same_name, versions.len());
            if outcome == AddVersionOutcome::Added && same_name.is_none() {
                versions.push(version.clone());
                versions.sort_by(|a, b| (a.position, &a.name).cmp(&(b.position, &b.name)));
            }
            outcome
        });
        Ok(outcome.unwrap_or(AddVersionOutcome::Missing))
    }

    async fn versions(&self, key: &DocumentKey) -> Result<Vec<DocumentVersion>, HandlerError> {
        Ok(self.document(key, |document| document.versions.clone()).unwrap_or_default())
    }

    async fn remove_version(&self, key: &DocumentKey, name: &str) -> Result<bool, HandlerError> {
        let removed = self.document(key, |document| {
            let count = document.versions.len();
            document.versions.retain(|version| *version.name != *name);
            document.versions.len() < count
        });
        Ok(removed.unwrap_or_default())
    }

    async fn purge(&self, key: &DocumentKey) -> Result<bool, HandlerError> {
        if let Some(kind) = self.kinds().get_mut(key.kind())
            && let Some(document) = kind.documents.remove(key.id())
            && let Some(creator) = &document.entry.creator
            && let Some(ids) = kind.by_creator.get_mut(creator)
        {
            ids.remove(key.id());
            if ids.is_empty() {
                kind.by_creator.remove(creator);
            }
        }
        Ok(false)
    }

    async fn remove_purged(&self) -> Result<bool, HandlerError> {
        Ok(false)
    }
}
