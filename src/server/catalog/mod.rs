//! The catalog of a server's documents, their archive, and their named versions: the values and
//! rules that all storages share.
//!
//! The log of a hub has the snapshot of a document and the later actions. A storage
//! (`DocumentStorage` of `logux-server`) has the rest. Read [`CatalogEntry`] (which documents
//! exist), [`CatalogQuery`] with [`CatalogPage`], then [`ArchivedEntry`] (settled actions and
//! snapshots, to compute former states) and [`DocumentVersion`].

mod archive;
mod query;

pub use archive::{
    ARCHIVE_PAGE_BYTES, AddVersionOutcome, ArchivePage, ArchiveQuery, ArchivedEntry,
    DocumentVersion, MAX_VERSIONS,
};
pub use query::{CatalogPage, CatalogPosition, CatalogPositionError, CatalogQuery};

use std::sync::Arc;

use crate::{action::Stamp, time::WallTime};

/// A document in the catalog: its creation, its deletion, and how large it is.
///
/// The rules decide by stamps, so the result does not depend on the order in which creations and
/// deletions arrive:
///
/// - A creation of a missing document creates it. A creation that is later than the deletion takes
///   the deletion back, with the content. Other creations change nothing.
/// - A deletion deletes what is known: if it is older than the latest creation, it is moved after
///   it. A later deletion takes the place of an earlier one.
/// - A creation or deletion that is repeated after a crash has the result of the first attempt.
///
/// ```
/// use logux::{Stamp, WallTime};
/// use logux::server::{CatalogEntry, CreateOutcome, DeleteOutcome, DocumentCreation, DocumentDeletion};
///
/// let stamp = |time: i64| Stamp::new(WallTime::from_millis(time), format!("{time} ada:phone:tab 0").parse().unwrap());
/// let create = |time| DocumentCreation { stamp: stamp(time), creator: Some("ada".into()), at: WallTime::from_millis(time) };
/// let delete = |time| DocumentDeletion { stamp: stamp(time), by: Some("ada".into()), at: WallTime::from_millis(time) };
///
/// let mut note = CatalogEntry::new("7", &create(1));
/// assert_eq!(note.delete(delete(5)), DeleteOutcome::Deleted);
/// assert_eq!(note.create(&create(4)), CreateOutcome::Deleted);
/// assert!(note.deletion().is_some());
/// assert_eq!(note.create(&create(6)), CreateOutcome::Revived);
/// assert_eq!(note.delete(delete(5)), DeleteOutcome::TakenBack);
/// assert!(note.deletion().is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogEntry {
    /// The id within the kind.
    pub id: Arc<str>,
    /// The stamp of the first creation.
    pub created: Stamp,
    /// The stamp of the latest creation that took back a deletion.
    pub revived: Option<Stamp>,
    /// The user who created the document. `None` if the author had no user id.
    pub creator: Option<Arc<str>>,
    /// When the first creation was processed, by the server's clock.
    pub created_at: WallTime,
    /// When the document was last changed, created or deleted, by the server's clock.
    pub changed_at: WallTime,
    /// The size that the server counts for the document, in bytes.
    pub bytes: u64,
    /// The number of actions that have changed the document.
    pub actions: u64,
    /// The latest deletion. It may have been [taken back](Self::deletion).
    pub last_deletion: Option<DocumentDeletion>,
}

/// A creation of a document: the action `KIND/create`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentCreation {
    /// The stamp of the action.
    pub stamp: Stamp,
    /// The user who created the document. `None` if the author has no user id.
    pub creator: Option<Arc<str>>,
    /// The time by the server's clock.
    pub at: WallTime,
}

/// A deletion of a document: the action `KIND/delete`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentDeletion {
    /// The stamp of the action. In a catalog entry it is later than the creations before it.
    pub stamp: Stamp,
    /// The user who deleted the document. `None` if the author has no user id.
    pub by: Option<Arc<str>>,
    /// The time by the server's clock.
    pub at: WallTime,
}

/// What a creation has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CreateOutcome {
    /// The document was created by this action.
    Created,
    /// The action has taken back the deletion of the document.
    Revived,
    /// The document exists already; nothing has changed.
    Existed,
    /// The document was deleted after the action was made; nothing has changed.
    Deleted,
}

/// What a deletion has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeleteOutcome {
    /// The document was deleted by this action.
    Deleted,
    /// The document was already deleted by another action.
    AlreadyDeleted,
    /// The action has deleted the document before, and a later creation has taken it back.
    TakenBack,
}

/// The last change and the size of a document, to be stored in its catalog entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentStats {
    /// The id within the kind.
    pub id: Arc<str>,
    /// When the document was last changed, by the server's clock.
    pub changed_at: WallTime,
    /// The size that the server counts for the document, in bytes.
    pub bytes: u64,
    /// The number of actions that have changed the document.
    pub actions: u64,
}

/// What a user has created and not deleted, for quotas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DocumentUsage {
    /// The number of existing documents.
    pub documents: u64,
    /// The sum of their sizes, in bytes.
    pub bytes: u64,
    /// The number of deleted documents that are not purged.
    pub deleted_documents: u64,
    /// The sum of their sizes, in bytes.
    pub deleted_bytes: u64,
}

impl CatalogEntry {
    /// Creates the entry of a document that was missing.
    pub fn new(id: impl Into<Arc<str>>, creation: &DocumentCreation) -> Self {
        Self {
            id: id.into(),
            created: creation.stamp.clone(),
            revived: None,
            creator: creation.creator.clone(),
            created_at: creation.at,
            changed_at: creation.at,
            bytes: 0,
            actions: 0,
            last_deletion: None,
        }
    }

    /// Returns the deletion if the document is deleted.
    pub fn deletion(&self) -> Option<&DocumentDeletion> {
        self.last_deletion.as_ref().filter(|deletion| deletion.stamp > *self.latest_creation())
    }

    /// Returns the position of the entry in lists.
    pub fn position(&self) -> CatalogPosition {
        CatalogPosition { changed_at: self.changed_at, id: self.id.clone() }
    }

    /// Decides a creation, and changes the entry accordingly.
    pub fn create(&mut self, creation: &DocumentCreation) -> CreateOutcome {
        let is_repeated = |stamp: &Stamp| stamp.id() == creation.stamp.id();
        if is_repeated(&self.created) {
            return CreateOutcome::Created;
        }
        if self.revived.as_ref().is_some_and(is_repeated) {
            return CreateOutcome::Revived;
        }
        match self.deletion() {
            None => CreateOutcome::Existed,
            Some(deletion) if deletion.stamp > creation.stamp => CreateOutcome::Deleted,
            Some(_) => {
                self.revived = Some(creation.stamp.clone());
                self.changed_at = self.changed_at.max(creation.at);
                CreateOutcome::Revived
            }
        }
    }

    /// Decides a deletion, and changes the entry accordingly.
    pub fn delete(&mut self, deletion: DocumentDeletion) -> DeleteOutcome {
        let is_deleted = self.deletion().is_some();
        let latest = self.latest_creation();
        let stamp = match &self.last_deletion {
            Some(last) if last.stamp.id() == deletion.stamp.id() => {
                return if is_deleted { DeleteOutcome::Deleted } else { DeleteOutcome::TakenBack };
            }
            Some(last) if is_deleted && last.stamp > deletion.stamp => {
                return DeleteOutcome::AlreadyDeleted;
            }
            _ if deletion.stamp > *latest => deletion.stamp,
            _ => Stamp::new(latest.time().shifted(1), deletion.stamp.id().clone()),
        };
        self.changed_at = self.changed_at.max(deletion.at);
        self.last_deletion = Some(DocumentDeletion { stamp, ..deletion });
        if is_deleted { DeleteOutcome::AlreadyDeleted } else { DeleteOutcome::Deleted }
    }

    /// Stores the last change and the size. An earlier change does not move the time back.
    pub fn set_stats(&mut self, stats: &DocumentStats) {
        self.changed_at = self.changed_at.max(stats.changed_at);
        self.bytes = stats.bytes;
        self.actions = stats.actions;
    }

    fn latest_creation(&self) -> &Stamp {
        self.revived.as_ref().map_or(&self.created, |revived| revived.max(&self.created))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(time: i64, node: &str) -> Stamp {
        Stamp::new(WallTime::from_millis(time), format!("{time} {node} 0").parse().unwrap())
    }

    fn creation(time: i64, node: &str) -> DocumentCreation {
        let at = WallTime::from_millis(time + 100);
        DocumentCreation { stamp: stamp(time, node), creator: None, at }
    }

    fn deletion(time: i64, node: &str) -> DocumentDeletion {
        let at = WallTime::from_millis(time + 100);
        DocumentDeletion { stamp: stamp(time, node), by: None, at }
    }

    #[test]
    fn a_deletion_is_moved_after_the_latest_creation() {
        let mut entry = CatalogEntry::new("7", &creation(5, "m"));
        assert_eq!(entry.delete(deletion(3, "a")), DeleteOutcome::Deleted);
        let deleted = entry.deletion().expect("a deletion").stamp.clone();
        assert_eq!((deleted.time(), deleted.id()), (stamp(6, "a").time(), stamp(3, "a").id()));
        assert_eq!(entry.create(&creation(8, "m")), CreateOutcome::Revived);
        assert_eq!(entry.delete(deletion(7, "b")), DeleteOutcome::Deleted);
        assert_eq!(entry.deletion().expect("a deletion").stamp.time(), stamp(9, "b").time());
    }

    #[test]
    fn creations_and_deletions_have_one_result_in_each_order() {
        let run = |order: [i64; 3]| {
            let mut entry = CatalogEntry::new("7", &creation(1, "a"));
            for time in order {
                if time == 7 {
                    entry.create(&creation(7, "a"));
                } else {
                    entry.delete(deletion(time, "a"));
                }
            }
            entry.deletion().map(|deletion| deletion.stamp.clone())
        };
        for order in [[5, 7, 9], [5, 9, 7], [9, 5, 7]] {
            assert_eq!(run(order), Some(stamp(9, "a")), "{order:?}");
        }
    }

    #[test]
    fn repeated_writes_have_the_result_of_the_first_attempt() {
        let mut entry = CatalogEntry::new("7", &creation(1, "a"));
        assert_eq!(entry.create(&creation(1, "a")), CreateOutcome::Created);
        for _ in 0..2 {
            assert_eq!(entry.delete(deletion(5, "a")), DeleteOutcome::Deleted);
            assert_eq!(entry.delete(deletion(4, "b")), DeleteOutcome::AlreadyDeleted);
        }
        for _ in 0..2 {
            assert_eq!(entry.create(&creation(6, "a")), CreateOutcome::Revived);
            assert_eq!(entry.create(&creation(7, "b")), CreateOutcome::Existed);
        }
        assert_eq!(entry.delete(deletion(5, "a")), DeleteOutcome::TakenBack);
        assert_eq!(entry.deletion(), None);
        assert_eq!(entry.changed_at, WallTime::from_millis(106));
    }

    #[test]
    fn an_earlier_change_does_not_move_the_time_back() {
        let mut entry = CatalogEntry::new("7", &creation(5, "a"));
        let changed_at = WallTime::from_millis(1);
        entry.set_stats(&DocumentStats { id: "7".into(), changed_at, bytes: 10, actions: 2 });
        assert_eq!((entry.changed_at, entry.bytes), (WallTime::from_millis(105), 10));
    }
}
