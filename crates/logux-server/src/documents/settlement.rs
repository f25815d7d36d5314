//! The snapshots that settle documents, and the archive of what they settle.

use std::{sync::Arc, time::Duration};

use logux::{
    Entry, WallTime,
    action::{DocumentKey, DocumentVerb},
    crdt::Crdt,
    replay::Coverage,
    server::{DocumentSnapshot, SettlementRule, SnapshotBuilder},
};
use tokio::sync::Semaphore;

use crate::{
    documents::{
        change_feed::ChangeFeed,
        history::{History, archived},
        open::log_of,
        storage::shared::SharedDocumentStorage,
    },
    error::HandlerError,
    handlers::registry::MakeSnapshot,
    hub::handle::Handle,
    telemetry::event::Event,
};

/// The number of entries that are archived at a time, so that others can write in between.
const ARCHIVED_AT_A_TIME: usize = 200;

/// How the documents of a kind are settled.
pub(super) struct Settlements {
    pub(super) rule: SettlementRule,
    pub(super) history_kept_for: Duration,
    pub(super) storage: SharedDocumentStorage,
    /// The hook that has to see what is settled before.
    pub(super) feed: Option<Arc<ChangeFeed>>,
}

impl Settlements {
    /// Returns the function that makes the snapshots of a kind, on a thread for blocking work. One
    /// at a time for each kind.
    pub(super) fn make_snapshots<C>(self) -> MakeSnapshot
    where
        C: Crdt<Op: Send> + Send + 'static,
    {
        let (settlements, limit) = (Arc::new(self), Arc::new(Semaphore::new(1)));
        Arc::new(move |key, handle| {
            let (settlements, limit) = (settlements.clone(), limit.clone());
            Box::pin(async move {
                let _permit = limit.acquire().await?;
                settlements.measure::<C>(key, &handle).await
            })
        })
    }

    /// Makes a snapshot, and records how long that took.
    async fn measure<C>(
        &self,
        key: DocumentKey,
        handle: &Handle,
    ) -> Result<Option<DocumentSnapshot>, HandlerError>
    where
        C: Crdt<Op: Send> + Send + 'static,
    {
        let (start, kind, mut archived) = (handle.mono_now(), key.kind().clone(), 0);
        let snapshot = self.make_snapshot::<C>(key, handle, &mut archived).await;
        handle.telemetry().record(&Event::Settled {
            kind: &kind,
            is_snapshot: matches!(snapshot, Ok(Some(_))),
            archived,
            took: handle.mono_now().since(start),
        });
        snapshot
    }

    async fn make_snapshot<C>(
        &self,
        key: DocumentKey,
        handle: &Handle,
        archived: &mut u64,
    ) -> Result<Option<DocumentSnapshot>, HandlerError>
    where
        C: Crdt<Op: Send> + Send + 'static,
    {
        let entries = Arc::new(log_of(&key, handle).await?);
        let last = entries.last().and_then(|entry| entry.meta.added);
        if let (Some(feed), Some(last)) = (&self.feed, last)
            && !feed.has_seen(last)
        {
            // It is requested again after more edits.
            return Ok(None);
        }
        let (now, rule) = (handle.now(), self.rule);
        let (building, building_key) = (entries.clone(), key.clone());
        let snapshot = tokio::task::spawn_blocking(move || {
            let mut builder = SnapshotBuilder::<C>::new(building_key, rule);
            building.iter().for_each(|entry| builder.add(entry));
            builder.build(now)
        });
        let snapshot = snapshot.await??;
        if let Some(DocumentSnapshot { coverage, .. }) = &snapshot
            && !self.history_kept_for.is_zero()
        {
            // The hub removes these entries after it has received the snapshot, which is after
            // this: in a storage in the database of the log, in the same commit or a later one.
            self.archive(&key, &entries, coverage, archived).await?;
            self.forget(&key, now).await?;
        }
        Ok(snapshot)
    }

    /// Archives the entries that a snapshot settles, those that have arrived between them, and the
    /// snapshot before it. Adds the bytes of their JSON to `bytes`.
    async fn archive(
        &self,
        key: &DocumentKey,
        entries: &[Entry],
        coverage: &Coverage,
        bytes: &mut u64,
    ) -> Result<(), HandlerError> {
        let is_final = |entry: &Entry| coverage.is_final(&entry.meta.id);
        let settled = entries.iter().rposition(is_final).map_or(0, |last| last + 1);
        let mut at = WallTime::default();
        let mut archive = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let is_snapshot = key.verb(&entry.action) == Some(DocumentVerb::Snapshot);
            let Some(entry) = archived(entry, at) else { continue };
            at = entry.at;
            if index < settled || is_snapshot {
                let json = entry.entry.action.as_json().len();
                *bytes += u64::try_from(json).unwrap_or_default();
                archive.push(entry);
            }
            if archive.len() == ARCHIVED_AT_A_TIME {
                self.storage.clone().archive(key.clone(), std::mem::take(&mut archive)).await?;
            }
        }
        self.storage.clone().archive(key.clone(), archive).await.map(drop)
    }

    /// Forgets the history that is older than it is kept, up to a snapshot from which the rest can
    /// be computed.
    async fn forget(&self, key: &DocumentKey, now: WallTime) -> Result<(), HandlerError> {
        let oldest = now.before(self.history_kept_for);
        let position = self.storage.clone().position_at(key.clone(), oldest).await?;
        let Some(mut position) = position else { return Ok(()) };
        let versions = self.storage.clone().versions(key.clone()).await?;
        if let Some(version) = versions.first() {
            position = position.min(version.position);
        }
        let history = History::archived(key.clone(), self.storage.clone());
        let Some(first) = history.first_needed(position).await? else { return Ok(()) };
        while self.storage.clone().forget_archived(key.clone(), first).await? {}
        Ok(())
    }
}
