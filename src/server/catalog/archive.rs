//! The archive of a document: settled actions and snapshots. And its named versions, which are
//! positions in its history.

use std::sync::Arc;

use crate::{
    action::{ActionId, DocumentKey, DocumentVerb},
    store::{Direction, Entry},
    time::WallTime,
};

/// The size of the actions at which a page of the archive ends, in bytes. One entry may exceed it.
pub const ARCHIVE_PAGE_BYTES: usize = 1024 * 1024;

/// The largest number of named versions of a document.
pub const MAX_VERSIONS: usize = 1_000;

/// An entry of a document that a snapshot has settled, or a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedEntry {
    /// The number of the entry in the hub's log: the order of the history.
    pub added: u64,
    /// When the hub processed the action, by its clock. Not less than for entries with lower
    /// numbers.
    pub at: WallTime,
    /// The entry, with `added` in its meta.
    pub entry: Entry,
}

impl ArchivedEntry {
    /// Creates the archived form of an entry. Its meta has the number from then on.
    pub fn new(added: u64, at: WallTime, mut entry: Entry) -> Self {
        entry.meta.added = Some(added);
        Self { added, at, entry }
    }

    /// Returns `true` if the action is a snapshot of the document.
    pub fn is_snapshot(&self, key: &DocumentKey) -> bool {
        key.verb(&self.entry.action) == Some(DocumentVerb::Snapshot)
    }
}

/// Which archived entries of a document are read: those with numbers between two bounds, both
/// exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveQuery {
    /// The number after which the entries are. `None`: from the first one.
    pub after: Option<u64>,
    /// The number before which the entries are. `None`: to the last one.
    pub before: Option<u64>,
    /// The order by number.
    pub direction: Direction,
    /// The largest number of entries in a page.
    pub limit: usize,
}

impl ArchiveQuery {
    /// Creates a query of all entries, oldest first.
    pub const fn new(limit: usize) -> Self {
        Self { after: None, before: None, direction: Direction::OldestFirst, limit }
    }

    /// Returns the query of the entries after `last`, in its direction.
    #[must_use]
    pub const fn continued(self, last: u64) -> Self {
        match self.direction {
            Direction::OldestFirst => Self { after: Some(last), ..self },
            Direction::NewestFirst => Self { before: Some(last), ..self },
        }
    }
}

/// A part of the archive of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchivePage {
    /// The entries, at least one if there are any.
    pub entries: Vec<ArchivedEntry>,
    /// The query of the next page. `None` if there are no more entries.
    pub next: Option<ArchiveQuery>,
}

impl ArchivePage {
    /// Creates a page from the next entries, which are read until the page is complete.
    ///
    /// # Errors
    /// The first error of the entries that are read.
    pub fn read<E>(
        query: ArchiveQuery,
        entries: impl IntoIterator<Item = Result<ArchivedEntry, E>>,
    ) -> Result<Self, E> {
        let (mut page, mut bytes) = (Self::default(), 0);
        for archived in entries {
            let archived = archived?;
            let is_full = page.entries.len() >= query.limit.max(1) || bytes >= ARCHIVE_PAGE_BYTES;
            if let Some(last) = page.entries.last().filter(|_| is_full) {
                page.next = Some(query.continued(last.added));
                break;
            }
            bytes += archived.entry.action.as_json().len();
            page.entries.push(archived);
        }
        Ok(page)
    }
}

/// A position in the history of a document that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentVersion {
    /// The name, unique in the document.
    pub name: Arc<str>,
    /// The number of the last entry of the hub's log that is part of the version.
    pub position: u64,
    /// When the version was named, by the server's clock.
    pub at: WallTime,
    /// The user who named it. `None` if the author had no user id.
    pub by: Option<Arc<str>>,
    /// The id of the action that named it.
    pub id: ActionId,
}

/// What the addition of a version has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddVersionOutcome {
    /// The version was added by this action.
    Added,
    /// Another version has this name; nothing has changed.
    NameTaken,
    /// The document has [`MAX_VERSIONS`] versions; nothing has changed.
    TooMany,
    /// The document is not in the catalog.
    Missing,
}

impl AddVersionOutcome {
    /// Decides the addition of a version to those of the document. `same_name` is the version with
    /// the same name.
    pub fn decide(
        version: &DocumentVersion,
        same_name: Option<&DocumentVersion>,
        count: usize,
    ) -> Self {
        match same_name {
            Some(known) if known.id == version.id => Self::Added,
            Some(_) => Self::NameTaken,
            None if count >= MAX_VERSIONS => Self::TooMany,
            None => Self::Added,
        }
    }
}
