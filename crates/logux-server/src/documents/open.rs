//! The documents that are in use. Each has a queue: one action after the other is checked against
//! the state that the accepted ones have made.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use logux::{
    Entry, MonoTime,
    action::DocumentKey,
    crdt::{Crdt, Shared},
    replay::{Reducer as _, Timeline},
    server::{CatalogEntry, DocumentStats, LogQuery, Retention},
};
use tokio::sync::OwnedMutexGuard;

use crate::{
    documents::storage::shared::SharedDocumentStorage,
    error::HandlerError,
    hub::{
        application::EntryObserver,
        handle::{Handle, WeakHandle},
    },
    telemetry::event::{Event, Failure},
};

/// The number of documents of a kind that are open at a time, unless more are in use at once.
const MAX_OPEN: usize = 1_024;
/// The time after which a document that nobody edits is closed.
const IDLE: Duration = Duration::from_secs(60);
/// The time after which the size of a changed document, and the time of its last change, are
/// written to the catalog. After a crash, they are those of the last time.
const SAVE_INTERVAL: Duration = Duration::from_secs(2);
/// The number of entries of the log that are read at a time, which delays nobody for long.
const PAGE_ENTRIES: usize = 200;

/// The open documents of a kind.
pub(super) struct OpenDocuments<C: Crdt> {
    kind: Arc<str>,
    storage: SharedDocumentStorage,
    slots: Mutex<Slots<C>>,
}

struct Slots<C: Crdt> {
    by_id: HashMap<Arc<str>, Arc<Slot<C>>>,
    /// Whether a task writes changes to the catalog and closes documents.
    has_keeper: bool,
}

/// The place of an open document. There is one for each id, as long as anyone refers to it.
struct Slot<C: Crdt> {
    key: DocumentKey,
    /// Its lock is the queue of the document: it is given in the order of requests.
    document: Arc<tokio::sync::Mutex<OpenDocument<C>>>,
    /// What the log has recorded, to be added to the state by who has the lock next.
    recorded: Mutex<Vec<Entry>>,
    used_at: Mutex<MonoTime>,
}

/// A document as far as it was read.
struct OpenDocument<C: Crdt> {
    /// The number of restarts of the log when it was read. What was not committed is lost with a
    /// restart, so the document is read again.
    restarts: u64,
    /// What the catalog has of it. The outer `None`: not read yet.
    entry: Option<Option<CatalogEntry>>,
    loaded: Option<Loaded<C>>,
    /// Whether the catalog has to be updated.
    is_changed: bool,
    /// What the creator uses, in bytes, and when it was read.
    used_by_creator: Option<(u64, MonoTime)>,
}

/// What was read of a document.
pub(super) struct Loaded<C: Crdt> {
    pub(super) timeline: Timeline<Shared<C>>,
    pub(super) size: DocumentSize,
}

/// The size of what the log has of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DocumentSize {
    /// The JSON of the snapshot and of the actions since then, in bytes.
    pub(super) bytes: u64,
    /// The number of these actions.
    pub(super) actions: u64,
}

impl<C: Crdt> OpenDocument<C> {
    const fn closed(restarts: u64) -> Self {
        Self { restarts, entry: None, loaded: None, is_changed: false, used_by_creator: None }
    }
}

impl<C: Crdt> Loaded<C> {
    fn new(key: &DocumentKey) -> Self {
        let shared = Shared::new(key.kind().clone(), key.id().clone());
        Self { timeline: Timeline::new(shared), size: DocumentSize::default() }
    }

    fn add(&mut self, entry: &Entry) {
        let bytes = u64::try_from(entry.action.as_json().len()).unwrap_or(u64::MAX);
        if self.timeline.reducer().is_snapshot(&entry.action, &entry.meta.id) {
            self.size = DocumentSize { bytes, actions: 0 };
        } else if !self.timeline.contains(&entry.meta.stamp()) {
            self.size.bytes = self.size.bytes.saturating_add(bytes);
            self.size.actions += 1;
        }
        self.timeline.add(entry);
    }
}

/// An open document whose queue is held. Others wait until it is dropped.
pub(super) struct LockedDocument<C: Crdt> {
    documents: Arc<OpenDocuments<C>>,
    slot: Arc<Slot<C>>,
    document: OwnedMutexGuard<OpenDocument<C>>,
    handle: Handle,
}

impl<C> OpenDocuments<C>
where
    C: Crdt<Op: Send> + Send + Sync + 'static,
{
    pub(super) fn new(kind: &str, storage: SharedDocumentStorage) -> Arc<Self> {
        let slots = Slots { by_id: HashMap::new(), has_keeper: false };
        Arc::new(Self { kind: kind.into(), storage, slots: Mutex::new(slots) })
    }

    pub(super) fn storage(&self) -> SharedDocumentStorage {
        self.storage.clone()
    }

    pub(super) const fn kind(&self) -> &Arc<str> {
        &self.kind
    }

    fn slots(&self) -> MutexGuard<'_, Slots<C>> {
        // A poisoned lock is consistent: every change is one call.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn in the queue of a document, and reads what the catalog has of it.
    ///
    /// # Errors
    /// If the storage fails.
    pub(super) async fn lock(
        self: &Arc<Self>,
        key: &DocumentKey,
        handle: &Handle,
    ) -> Result<LockedDocument<C>, HandlerError> {
        let slot = self.slot(key, handle);
        let mut document = slot.document.clone().lock_owned().await;
        let restarts = handle.log_status().restarts();
        if document.restarts != restarts {
            *document = OpenDocument::closed(restarts);
        }
        if document.entry.is_none() {
            document.entry = Some(self.storage().find(key.clone()).await?);
        }
        let documents = self.clone();
        Ok(LockedDocument { documents, slot, document, handle: handle.clone() })
    }

    /// Returns the slot of a document, which stays the only one as long as it is held.
    fn slot(self: &Arc<Self>, key: &DocumentKey, handle: &Handle) -> Arc<Slot<C>> {
        let now = handle.mono_now();
        let mut slots = self.slots();
        if let Some(slot) = slots.by_id.get(key.id()) {
            *used_at(slot) = now;
            return slot.clone();
        }
        if slots.by_id.len() >= MAX_OPEN && close_least_used(&mut slots) {
            let closed = Event::DocumentsClosed { kind: &self.kind, count: 1 };
            handle.telemetry().record(&closed);
        }
        let document = OpenDocument::closed(handle.log_status().restarts());
        let slot = Arc::new(Slot {
            key: key.clone(),
            document: Arc::new(tokio::sync::Mutex::new(document)),
            recorded: Mutex::default(),
            used_at: Mutex::new(now),
        });
        slots.by_id.insert(key.id().clone(), slot.clone());
        let opened = Event::DocumentsOpened { kind: &self.kind, count: 1 };
        handle.telemetry().record(&opened);
        if !std::mem::replace(&mut slots.has_keeper, true) {
            tokio::spawn(self.clone().keep(handle.downgrade()));
        }
        slot
    }

    /// Writes changes to the catalog, and closes documents that nobody uses, until there are none.
    async fn keep(self: Arc<Self>, server: WeakHandle) {
        loop {
            tokio::time::sleep(SAVE_INTERVAL).await;
            let Some(handle) = server.upgrade() else { return };
            if let Err(error) = self.save_changes(&handle).await {
                let what = Failure::Catalog { kind: &self.kind };
                handle.telemetry().record(&Event::Failed { what, error: &error.message() });
            }
            let mut slots = self.slots();
            let (now, open) = (handle.mono_now(), slots.by_id.len());
            slots.by_id.retain(|_, slot| {
                let is_idle = now.since(*used_at(slot)) >= IDLE;
                !(is_idle && is_unused(slot))
            });
            let closed = open - slots.by_id.len();
            if closed > 0 {
                let closed = Event::DocumentsClosed { kind: &self.kind, count: closed };
                handle.telemetry().record(&closed);
            }
            if slots.by_id.is_empty() {
                slots.has_keeper = false;
                return;
            }
        }
    }

    /// Writes the sizes of changed documents to the catalog.
    async fn save_changes(&self, handle: &Handle) -> Result<(), HandlerError> {
        let slots: Vec<_> = self.slots().by_id.values().cloned().collect();
        let now = handle.now();
        let (mut changes, mut changed) = (Vec::new(), Vec::new());
        for slot in &slots {
            // Who holds the queue leaves its changes to the next time.
            let Ok(mut document) = slot.document.try_lock() else { continue };
            if std::mem::take(&mut document.is_changed)
                && let Some(loaded) = &document.loaded
            {
                let DocumentSize { bytes, actions } = loaded.size;
                changes.push(DocumentStats {
                    id: slot.key.id().clone(),
                    changed_at: now,
                    bytes,
                    actions,
                });
                changed.push(slot);
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let result = self.storage().touch(self.kind.clone(), changes).await;
        if result.is_err() {
            for slot in changed {
                slot.document.lock().await.is_changed = true;
            }
        }
        result
    }
}

fn used_at<C: Crdt>(slot: &Slot<C>) -> MutexGuard<'_, MonoTime> {
    slot.used_at.lock().unwrap_or_else(PoisonError::into_inner)
}

fn recorded<C: Crdt>(slot: &Slot<C>) -> MutexGuard<'_, Vec<Entry>> {
    slot.recorded.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns `true` if nobody holds or awaits the queue, and nothing has to be saved.
fn is_unused<C: Crdt>(slot: &Arc<Slot<C>>) -> bool {
    Arc::strong_count(slot) == 1
        && slot.document.try_lock().is_ok_and(|document| !document.is_changed)
}

/// Closes the document that was not used for longest. Returns `false` if all are in use.
fn close_least_used<C: Crdt>(slots: &mut Slots<C>) -> bool {
    let unused = slots.by_id.values().filter(|slot| is_unused(slot));
    let least_used = unused.min_by_key(|slot| *used_at(slot)).map(|slot| slot.key.id().clone());
    least_used.is_some_and(|id| slots.by_id.remove(&id).is_some())
}

impl<C> LockedDocument<C>
where
    C: Crdt<Op: Send> + Send + Sync + 'static,
{
    pub(super) fn key(&self) -> &DocumentKey {
        &self.slot.key
    }

    /// Returns what the catalog has of the document. `None` if it does not exist.
    pub(super) fn entry(&self) -> Option<&CatalogEntry> {
        self.document.entry.as_ref()?.as_ref()
    }

    /// Replaces what is known of the catalog.
    pub(super) fn set_entry(&mut self, entry: Option<CatalogEntry>) {
        self.document.entry = Some(entry);
    }

    /// Returns what the catalog has of the document, if it exists and is not deleted.
    ///
    /// # Errors
    /// [`HandlerError::NotFound`], or the reason `deleted`.
    pub(super) fn existing(&self) -> Result<&CatalogEntry, HandlerError> {
        match self.entry() {
            None => Err(HandlerError::NotFound),
            Some(entry) if entry.deletion().is_some() => Err(HandlerError::undo("deleted")),
            Some(entry) => Ok(entry),
        }
    }

    /// Returns the state that the accepted actions have made. O(what the log has of the document)
    /// the first time.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub(super) async fn state(&mut self) -> Result<C, HandlerError> {
        Ok(self.timeline().await?.state().clone())
    }

    /// Returns the actions of the document that are not settled, with their state.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub(super) async fn timeline(&mut self) -> Result<&Timeline<Shared<C>>, HandlerError> {
        Ok(&self.loaded().await?.timeline)
    }

    /// Returns the state that the accepted actions have made, and the size of what the log has.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub(super) async fn loaded(&mut self) -> Result<&mut Loaded<C>, HandlerError> {
        let mut loaded = match self.document.loaded.take() {
            Some(loaded) => loaded,
            None => self.read().await?,
        };
        std::mem::take(&mut *recorded(&self.slot)).iter().for_each(|entry| loaded.add(entry));
        Ok(self.document.loaded.insert(loaded))
    }

    /// Reads what the log has of the document.
    async fn read(&self) -> Result<Loaded<C>, HandlerError> {
        let key = self.key().clone();
        let entries = log_of(&key, &self.handle).await?;
        // A large state takes long to read.
        let loaded = tokio::task::spawn_blocking(move || {
            let mut loaded = Loaded::new(&key);
            entries.iter().for_each(|entry| loaded.add(entry));
            loaded
        });
        Ok(loaded.await?)
    }

    /// Adds an action that is accepted. Later ones are checked against the new state.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub(super) async fn accept(&mut self, entry: &Entry) -> Result<(), HandlerError> {
        self.loaded().await?.add(entry);
        self.document.is_changed = true;
        Ok(())
    }

    /// Returns the size of the documents that the creator of this one has created, in bytes. It may
    /// be some seconds old. `None` for a document without a creator.
    ///
    /// # Errors
    /// If the storage fails.
    pub(super) async fn used_by_creator(&mut self) -> Result<Option<u64>, HandlerError> {
        let Some(creator) = self.entry().and_then(|entry| entry.creator.clone()) else {
            return Ok(None);
        };
        let now = self.handle.mono_now();
        if let Some((bytes, at)) = self.document.used_by_creator
            && now.since(at) < SAVE_INTERVAL
        {
            return Ok(Some(bytes));
        }
        let kind = self.documents.kind.clone();
        let bytes = self.storage().usage(creator, Some(kind)).await?.bytes;
        self.document.used_by_creator = Some((bytes, now));
        Ok(Some(bytes))
    }

    /// Forgets what was read of the document.
    pub(super) fn close(&mut self) {
        *self.document = OpenDocument::closed(self.document.restarts);
    }

    pub(super) fn storage(&self) -> SharedDocumentStorage {
        self.documents.storage()
    }
}

/// Returns what the log has of a document, in the order of arrival.
pub(super) async fn log_of(key: &DocumentKey, handle: &Handle) -> Result<Vec<Entry>, HandlerError> {
    let query = LogQuery::kept_for(&Retention::forever(key.channel())).limit(PAGE_ENTRIES);
    let (mut entries, mut next) = (Vec::new(), Some(query));
    while let Some(query) = next {
        let page = handle.log_page(query).await?;
        entries.extend(page.entries);
        next = page.next;
    }
    Ok(entries)
}

/// Passes what the log has recorded to the open documents.
pub(super) struct Recorder<C: Crdt>(pub(super) Arc<OpenDocuments<C>>);

impl<C> EntryObserver for Recorder<C>
where
    C: Crdt<Op: Send> + Send + Sync + 'static,
{
    fn record(&mut self, entry: &Entry, document: Option<&DocumentKey>) {
        let Some(key) = document.filter(|key| *key.kind() == self.0.kind) else { return };
        let slots = self.0.slots();
        let Some(slot) = slots.by_id.get(key.id()) else { return };
        // What is not read yet is read from the log, which has this.
        if slot.document.try_lock().is_ok_and(|document| document.loaded.is_none()) {
            return;
        }
        recorded(slot).push(entry.clone());
    }
}
