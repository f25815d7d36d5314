//! Former states of documents, computed from the archive and the log.

use std::collections::BTreeMap;

use logux::{
    Entry, WallTime,
    action::{DocumentKey, HistoryEntry, HistoryPage, Moment, NamedVersion, logux::UNDO},
    crdt::{Crdt, Shared},
    replay::Timeline,
    server::{ArchiveQuery, ArchivedEntry, DocumentVersion, LogQuery, Retention, approved_at},
    store::Direction,
};

use crate::{
    documents::{
        open::{OpenDocuments, log_of},
        query::MAX_LISTED,
        storage::shared::SharedDocumentStorage,
    },
    error::HandlerError,
    hub::handle::Handle,
};

/// The number of archived entries that are read at a time.
const PAGE: usize = 500;
/// The number of snapshots to go back from a position, to the entries that its state consists of. A
/// snapshot includes neither the latest actions before it, nor those that arrived while it was
/// made; the one before includes most of what is before itself.
const SNAPSHOTS_BACK: usize = 3;

/// Returns what the history says about an entry.
pub(super) fn described(ArchivedEntry { added, at, entry }: &ArchivedEntry) -> HistoryEntry {
    let node = entry.meta.id.node();
    let undoes = entry.action.str_field("id").filter(|_| entry.action.kind() == UNDO);
    HistoryEntry {
        position: *added,
        at: *at,
        id: entry.meta.id.clone(),
        user: node.client_user_id().map(Into::into),
        kind: entry.action.kind().into(),
        undoes: undoes.and_then(|id| id.parse().ok()),
    }
}

pub(super) fn named(version: DocumentVersion) -> NamedVersion {
    let DocumentVersion { name, position, at, by, .. } = version;
    NamedVersion { name, position, at, user: by }
}

/// Returns the form of an entry of the log in the archive, after one that was processed at `last`.
pub(super) fn archived(entry: &Entry, last: WallTime) -> Option<ArchivedEntry> {
    let at = approved_at(&entry.meta).max(last);
    Some(ArchivedEntry::new(entry.meta.added?, at, entry.clone()))
}

/// Returns the position of the latest action of a document. `None` if there is none. O(log n).
pub(super) async fn latest_position(
    key: &DocumentKey,
    storage: &SharedDocumentStorage,
    handle: &Handle,
) -> Result<Option<u64>, HandlerError> {
    let log = LogQuery::kept_for(&Retention::forever(key.channel()));
    let mut next = Some(log.newest_first().limit(1));
    while let Some(query) = next {
        let page = handle.log_page(query).await?;
        if let Some(entry) = page.entries.first() {
            return Ok(entry.meta.added);
        }
        next = page.next;
    }
    let query = ArchiveQuery { direction: Direction::NewestFirst, ..ArchiveQuery::new(1) };
    let page = storage.clone().archived(key.clone(), query).await?;
    Ok(page.entries.first().map(|entry| entry.added))
}

/// What the archive and the log have of a document.
pub(super) struct History {
    key: DocumentKey,
    storage: SharedDocumentStorage,
    /// What the log has, by position.
    log: BTreeMap<u64, ArchivedEntry>,
}

impl History {
    /// Returns the history that the archive has, without the log.
    pub(super) const fn archived(key: DocumentKey, storage: SharedDocumentStorage) -> Self {
        Self { key, storage, log: BTreeMap::new() }
    }

    /// Reads what the log has.
    pub(super) async fn read(
        key: DocumentKey,
        storage: SharedDocumentStorage,
        handle: &Handle,
    ) -> Result<Self, HandlerError> {
        let mut log = BTreeMap::new();
        let mut last = WallTime::default();
        for entry in log_of(&key, handle).await? {
            if let Some(entry) = archived(&entry, last) {
                last = entry.at;
                log.insert(entry.added, entry);
            }
        }
        Ok(Self { key, storage, log })
    }

    /// Returns the position of a moment. `None` if it is before the beginning.
    pub(super) async fn position(&self, moment: &Moment) -> Result<Option<u64>, HandlerError> {
        match moment {
            Moment::Position(position) => Ok(Some(*position)),
            Moment::Version(name) => {
                let versions = self.storage.clone().versions(self.key.clone()).await?;
                let version = versions.iter().find(|version| version.name == *name);
                version.map(|version| Some(version.position)).ok_or(HandlerError::NotFound)
            }
            Moment::Time(time) => {
                let in_log = self.log.values().rev().find(|entry| entry.at <= *time);
                let archived = self.storage.clone().position_at(self.key.clone(), *time).await?;
                Ok(in_log.map(|entry| entry.added).max(archived))
            }
        }
    }

    /// Returns the actions before a position, newest first, and the named versions.
    pub(super) async fn page(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<HistoryPage, HandlerError> {
        let (entries, before) = self.actions(before, limit).await?;
        let versions = self.storage.clone().versions(self.key.clone()).await?;
        Ok(HistoryPage {
            entries: entries.iter().map(described).collect(),
            versions: versions.into_iter().map(named).collect(),
            before,
        })
    }

    /// Returns the actions before a position, newest first, and the position before which there
    /// may be more.
    pub(super) async fn actions(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<ArchivedEntry>, Option<u64>), HandlerError> {
        let limit = limit.clamp(1, MAX_LISTED);
        let before = before.unwrap_or(u64::MAX);
        // Snapshots are no actions of anybody. There is at most one in the log, and few in the
        // archive beside thousands of actions.
        let mut found = BTreeMap::new();
        let query = ArchiveQuery {
            before: Some(before),
            direction: Direction::NewestFirst,
            ..ArchiveQuery::new(limit + 16)
        };
        found.extend(
            self.log.range(..before).rev().take(limit + 16).map(|(at, e)| (*at, e.clone())),
        );
        let archive = self.storage.clone().archived(self.key.clone(), query).await?;
        let is_last = archive.next.is_none();
        found.extend(archive.entries.into_iter().map(|entry| (entry.added, entry)));
        let actions = found.into_values().rev().filter(|entry| !entry.is_snapshot(&self.key));
        let entries: Vec<_> = actions.take(limit).collect();
        let is_complete = entries.len() < limit && is_last;
        let next = entries.last().map(|entry| entry.added).filter(|_| !is_complete);
        Ok((entries, next))
    }

    /// Returns the latest snapshot with this position or a lower one.
    async fn snapshot_at(&self, position: u64) -> Result<Option<ArchivedEntry>, HandlerError> {
        let in_log = self.log.range(..=position).rev();
        let in_log = in_log.map(|(_, entry)| entry).find(|entry| entry.is_snapshot(&self.key));
        let archived = self.storage.clone().snapshot_at(self.key.clone(), position).await?;
        let is_later = |in_log: &&ArchivedEntry| {
            archived.as_ref().is_none_or(|archived| archived.added < in_log.added)
        };
        Ok(in_log.filter(is_later).cloned().or(archived))
    }

    /// Returns the number of the first entry that the state at a position may consist of: that of a
    /// snapshot. `None`: all entries.
    pub(super) async fn first_needed(
        &self,
        mut position: u64,
    ) -> Result<Option<u64>, HandlerError> {
        let mut first = None;
        for _ in 0..SNAPSHOTS_BACK {
            first = self.snapshot_at(position).await?.map(|snapshot| snapshot.added);
            match first.and_then(|added| added.checked_sub(1)) {
                Some(before) => position = before,
                None => break,
            }
        }
        Ok(first)
    }

    /// Returns the entries that the state at a position consists of, oldest first.
    async fn entries_until(&self, position: u64) -> Result<Vec<Entry>, HandlerError> {
        let first = self.first_needed(position).await?.unwrap_or_default();
        let mut entries = BTreeMap::new();
        let mut next = Some(ArchiveQuery {
            after: first.checked_sub(1),
            before: Some(position.saturating_add(1)),
            ..ArchiveQuery::new(PAGE)
        });
        while let Some(query) = next {
            let page = self.storage.clone().archived(self.key.clone(), query).await?;
            entries.extend(page.entries.into_iter().map(|entry| (entry.added, entry.entry)));
            next = page.next;
        }
        for (added, entry) in self.log.range(first..=position) {
            entries.insert(*added, entry.entry.clone());
        }
        Ok(entries.into_values().collect())
    }
}

impl<C> OpenDocuments<C>
where
    C: Crdt<Op: Send> + Send + Sync + 'static,
{
    /// Returns the state of a document at a moment, with its position. O(actions since the snapshot
    /// before it).
    ///
    /// # Errors
    /// [`HandlerError::NotFound`] without such a document or version, the reason `forgotten` if the
    /// history does not reach so far, or if the log or the storage fails.
    pub(super) async fn state_at(
        &self,
        key: &DocumentKey,
        moment: &Moment,
        handle: &Handle,
    ) -> Result<(u64, C), HandlerError> {
        let history = History::read(key.clone(), self.storage(), handle).await?;
        let position = history.position(moment).await?.ok_or(HandlerError::NotFound)?;
        let entries = history.entries_until(position).await?;
        if entries.is_empty() {
            let has_later = latest_position(key, &self.storage(), handle).await?.is_some();
            let forgotten = || HandlerError::undo("forgotten");
            return Err(if has_later { forgotten() } else { HandlerError::NotFound });
        }
        let key = key.clone();
        let state = tokio::task::spawn_blocking(move || {
            let shared = Shared::<C>::new(key.kind().clone(), key.id().clone());
            let mut timeline = Timeline::new(shared);
            timeline.extend(&entries);
            timeline.state().clone()
        });
        Ok((position, state.await?))
    }
}
