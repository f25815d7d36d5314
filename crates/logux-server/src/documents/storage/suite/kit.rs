//! What the checks share: a storage, and values to store.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use logux::{
    Action, ActionId, Entry, Meta, NodeId, Stamp, WallTime,
    action::DocumentKey,
    server::{
        ArchivedEntry, CatalogEntry, CatalogQuery, CreateOutcome, DocumentCreation,
        DocumentDeletion, DocumentVersion,
    },
};

use crate::documents::storage::DocumentStorage;

/// The origin of the checks' times, so that a storage may assume realistic ones.
const EPOCH: i64 = 1_700_000_000_000;

static COUNT: AtomicU64 = AtomicU64::new(0);

/// One storage under test, with a kind of documents and a user that no other check has.
pub(super) struct Kit<D> {
    pub(super) storage: D,
    pub(super) kind: String,
    pub(super) user: Arc<str>,
}

pub(super) const fn wall(time: i64) -> WallTime {
    WallTime::from_millis(EPOCH + time)
}

pub(super) fn stamp(time: i64, node: &str) -> Stamp {
    let node = NodeId::new(node).expect("a node id");
    Stamp::new(wall(time), ActionId::new(wall(time), node, 0))
}

impl<D: DocumentStorage> Kit<D> {
    pub(super) fn new(storage: D) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { storage, kind: format!("notes{number}"), user: format!("ada{number}").into() }
    }

    pub(super) fn key(&self, id: &str) -> DocumentKey {
        DocumentKey::new(&*self.kind, id)
    }

    /// A creation by the user.
    pub(super) fn creation(&self, time: i64) -> DocumentCreation {
        let stamp = stamp(time, "10:phone:tab");
        DocumentCreation { stamp, creator: Some(self.user.clone()), at: wall(time) }
    }

    pub(super) fn deletion(&self, time: i64) -> DocumentDeletion {
        let stamp = stamp(time, "11:laptop:tab");
        DocumentDeletion { stamp, by: Some(self.user.clone()), at: wall(time) }
    }

    /// Creates a document that was missing.
    pub(super) async fn create(&self, id: &str, time: i64) -> CatalogEntry {
        let created = self.storage.create(&self.key(id), &self.creation(time)).await;
        let (outcome, entry) = created.expect("created");
        assert_eq!(outcome, CreateOutcome::Created, "document {id}");
        entry
    }

    pub(super) async fn find(&self, id: &str) -> Option<CatalogEntry> {
        self.storage.find(&self.key(id)).await.expect("found")
    }

    /// The ids of all pages of a list.
    pub(super) async fn list(&self, mut query: CatalogQuery) -> Vec<String> {
        let mut ids = Vec::new();
        loop {
            let page = self.storage.list(&self.kind, &query).await.expect("a list");
            assert!(page.entries.len() <= query.limit, "a page has at most the limit");
            for entry in &page.entries {
                assert_eq!(self.find(&entry.id).await.as_ref(), Some(entry), "as it is found");
                ids.push(entry.id.to_string());
            }
            let Some(next) = page.next else { return ids };
            let last = page.entries.last().expect("a page with a next one is not empty");
            assert_eq!(next, last.position(), "the next page is after the last document");
            query.after = Some(next);
        }
    }

    /// An archived entry; each tenth is a snapshot.
    pub(super) fn archived(&self, id: &str, added: u64) -> ArchivedEntry {
        let verb = if added.is_multiple_of(10) { "snapshot" } else { "edit" };
        let text = format!(r#"{{"type":"{}/{verb}","id":"{id}","n":{added}}}"#, self.kind);
        let time = i64::try_from(added).expect("a small number");
        let id = stamp(time, "10:phone:tab").id().clone();
        let meta = Meta::new(id).with_reason("kept").with_index("found");
        let entry = Entry::new(Action::new(text).expect("an action"), meta);
        ArchivedEntry::new(added, wall(time * 2), entry)
    }

    pub(super) async fn archive(&self, id: &str, numbers: impl IntoIterator<Item = u64>) {
        let entries: Vec<_> = numbers.into_iter().map(|added| self.archived(id, added)).collect();
        assert!(self.storage.archive(&self.key(id), &entries).await.expect("archived"));
    }

    pub(super) fn version(&self, name: &str, position: u64, time: i64) -> DocumentVersion {
        DocumentVersion {
            name: name.into(),
            position,
            at: wall(time),
            by: Some(self.user.clone()),
            id: stamp(time, "10:phone:tab").id().clone(),
        }
    }
}
