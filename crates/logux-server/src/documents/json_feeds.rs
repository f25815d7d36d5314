//! The JSON of documents, for subscribers that do not know their operations:
//! `{"type":"logux/subscribe","channel":"notes/7","filter":{"format":"json"}}`.
//!
//! There is a feed for each document with such subscribers, and nothing is computed for others. It
//! knows the state that they have. Its lock is the order of what they receive: the state, for a new
//! one, the values that a subscriber has changed, for this one, and what has changed, for all.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use logux::{
    Action, Entry, NodeId,
    action::DocumentKey,
    crdt::{Crdt, JsonFeed, Path},
    log::Draft,
    server::{AddAction, HandlerResponse, Recipients, SessionId},
};
use serde_json::json;
use tokio::sync::Notify;

use crate::{
    documents::open::{LockedDocument, OpenDocuments},
    error::HandlerError,
    handlers::context::Context,
    hub::{
        application::EntryObserver,
        handle::{Handle, WeakHandle},
    },
    telemetry::event::{Event, Failure},
};

/// The shortest time between two actions for all subscribers of a document.
const PAUSE: Duration = Duration::from_millis(100);
/// The size of such actions for each millisecond of the pause, in bytes: 1 MiB in a second.
const BYTES_PER_MS: usize = 1_024;
/// The pause after a failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The feeds of a kind of documents.
pub(super) struct JsonFeeds<C: Crdt> {
    documents: Arc<OpenDocuments<C>>,
    feeds: Mutex<HashMap<Arc<str>, Weak<Feed<C>>>>,
}

/// The feed of a document, as long as it has subscribers.
struct Feed<C: Crdt> {
    key: DocumentKey,
    feeds: Arc<JsonFeeds<C>>,
    /// The connections of the subscribers. A node may have several for a moment.
    subscribers: Mutex<HashMap<NodeId, Vec<SessionId>>>,
    sent: tokio::sync::Mutex<Sent<C>>,
    /// Whether the subscribers have dropped the state, because the document was deleted.
    is_dropped: AtomicBool,
    /// Whether something may have changed.
    changed: Arc<Notify>,
}

/// What the subscribers of a document have.
struct Sent<C> {
    /// `None` if nobody has received a state.
    feed: Option<JsonFeed<C>>,
    /// Whether it is not known what they have.
    is_lost: bool,
}

/// A subscription to the JSON of a document, which ends when it is dropped.
pub(super) struct JsonSubscription<C: Crdt> {
    feed: Arc<Feed<C>>,
    node: NodeId,
    session: SessionId,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock is consistent: every change is one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<C> JsonFeeds<C>
where
    C: Crdt<Op: Send + Sync> + Send + Sync + 'static,
{
    pub(super) fn new(documents: Arc<OpenDocuments<C>>) -> Arc<Self> {
        Arc::new(Self { documents, feeds: Mutex::default() })
    }

    fn get(&self, id: &str) -> Option<Arc<Feed<C>>> {
        lock(&self.feeds).get(id)?.upgrade()
    }

    /// Notes a subscriber. It is sent what changes from then on.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        key: &DocumentKey,
        node: &NodeId,
        session: SessionId,
        handle: &Handle,
    ) -> JsonSubscription<C> {
        let feed = {
            let mut feeds = lock(&self.feeds);
            let known = feeds.get(key.id()).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let feed = self.start(key, handle);
                feeds.insert(key.id().clone(), Arc::downgrade(&feed));
                feed
            })
        };
        lock(&feed.subscribers).entry(node.clone()).or_default().push(session);
        JsonSubscription { feed, node: node.clone(), session }
    }

    fn start(self: &Arc<Self>, key: &DocumentKey, handle: &Handle) -> Arc<Feed<C>> {
        let changed = Arc::new(Notify::new());
        let feed = Arc::new(Feed {
            key: key.clone(),
            feeds: self.clone(),
            subscribers: Mutex::default(),
            sent: tokio::sync::Mutex::new(Sent { feed: None, is_lost: false }),
            is_dropped: AtomicBool::new(false),
            changed: changed.clone(),
        });
        tokio::spawn(run(Arc::downgrade(&feed), changed, handle.downgrade()));
        feed
    }

    /// Returns the connection of a node that is subscribed to the JSON of a document.
    pub(super) fn session_of(&self, id: &str, node: &NodeId) -> Option<SessionId> {
        self.get(id)?.subscriber(node).map(|(session, _)| session)
    }

    /// Records that a document may have changed.
    pub(super) fn changed(&self, id: &str) {
        if let Some(feed) = self.get(id) {
            feed.changed.notify_one();
        }
    }

    /// Records that a document is being deleted, or that this is being taken back: its subscribers
    /// need the state again. Called in the queue of the document.
    pub(super) fn dropped(&self, id: &str) {
        if let Some(feed) = self.get(id) {
            feed.is_dropped.store(true, Ordering::Relaxed);
        }
    }

    /// Sends the state of a document to a new subscriber.
    ///
    /// # Errors
    /// The reason `deleted`; [`HandlerError::Gone`] if the subscriber has left.
    pub(super) async fn send_state<S>(
        &self,
        context: &Context<S>,
        key: &DocumentKey,
    ) -> Result<(), HandlerError> {
        let feed = self.get(key.id()).ok_or(HandlerError::Gone)?;
        // A slow client holds up nobody else.
        context.wait_for_reader().await?;
        let mut sent = feed.sent.lock().await;
        let deleted = || HandlerError::undo("deleted");
        let state = feed.state(context.server()).await?.ok_or_else(deleted)?;
        let value = compute(&mut sent, state, |feed, state| feed.join(&state)).await?;
        let action = feed.action("state", &json!({"id": key.id(), "value": value}))?;
        let response = HandlerResponse::Action(action, Box::default());
        context.respond_with_page(vec![response]).await.map(drop)
    }

    /// Sends the current values at paths to a subscriber that has changed them.
    pub(super) async fn send_values(
        &self,
        key: &DocumentKey,
        node: &NodeId,
        paths: Arc<[Path]>,
        handle: &Handle,
    ) -> Result<(), HandlerError> {
        let Some(feed) = self.get(key.id()) else { return Ok(()) };
        let mut sent = feed.sent.lock().await;
        // Who has no state yet is sent the current one.
        if sent.feed.is_none() {
            return Ok(());
        }
        let Some(state) = feed.state(handle).await? else { return Ok(()) };
        // After the wait for the state: the subscriber may have left, and others stayed.
        let Some((session, is_alone)) = feed.subscriber(node) else { return Ok(()) };
        let changes = compute(&mut sent, state, move |feed, state| {
            let values = feed.values_at(&state, &*paths);
            // A single subscriber receives nothing twice.
            if is_alone { feed.changes(state) } else { values }
        });
        let action = feed.action("changed", &json!({"id": key.id(), "changes": changes.await?}))?;
        handle.send_to_session(session, vec![(action, Draft::default())]).await;
        feed.changed.notify_one();
        Ok(())
    }
}

impl<C> Feed<C>
where
    C: Crdt<Op: Send + Sync> + Send + Sync + 'static,
{
    /// Returns the connection of a subscriber, and whether there is no other.
    fn subscriber(&self, node: &NodeId) -> Option<(SessionId, bool)> {
        let subscribers = lock(&self.subscribers);
        let session = subscribers.get(node)?.last().copied()?;
        Some((session, subscribers.values().map(Vec::len).sum::<usize>() == 1))
    }

    /// Returns the document with its queue held. `None` if it is deleted.
    async fn lock(&self, handle: &Handle) -> Result<Option<LockedDocument<C>>, HandlerError> {
        let document = self.feeds.documents.lock(&self.key, handle).await?;
        let is_deleted = document.entry().is_some_and(|entry| entry.deletion().is_some());
        Ok((!is_deleted).then_some(document))
    }

    /// Returns the state of the document. `None` if it is deleted.
    async fn state(&self, handle: &Handle) -> Result<Option<C>, HandlerError> {
        match self.lock(handle).await? {
            Some(mut document) => document.state().await.map(Some),
            None => Ok(None),
        }
    }

    fn action(&self, name: &str, fields: &serde_json::Value) -> Result<Action, HandlerError> {
        Ok(Action::typed(&format!("{}/{name}", self.key.kind()), fields)?)
    }

    /// Sends all subscribers what has changed, or the state. Returns the size of the action in
    /// bytes, 0 if nothing has changed.
    async fn send_changes(&self, handle: &Handle) -> Result<usize, HandlerError> {
        let mut sent = self.sent.lock().await;
        if sent.feed.is_none() && !sent.is_lost {
            return Ok(0);
        }
        let Some(mut document) = self.lock(handle).await? else { return Ok(0) };
        let state = document.state().await?;
        // In the queue: a deletion that is decided from now on is not taken back yet.
        sent.is_lost |= self.is_dropped.swap(false, Ordering::Relaxed);
        drop(document);
        let id = self.key.id();
        let action = if sent.is_lost {
            let compute = compute(&mut sent, state, |feed, state| {
                let value = state.to_json();
                *feed = JsonFeed::new(state);
                value
            });
            self.action("state", &json!({"id": id, "value": compute.await?}))?
        } else {
            let changes = compute(&mut sent, state, JsonFeed::changes).await?;
            if changes.is_empty() {
                return Ok(0);
            }
            self.action("changed", &json!({"id": id, "changes": changes}))?
        };
        let bytes = action.as_json().len();
        // Until it is sent, nobody knows what the subscribers have.
        sent.is_lost = true;
        let to =
            Recipients { only_filtered: true, ..Recipients::channel(self.key.channel().clone()) };
        let draft = Draft::default();
        handle.add(AddAction { action, draft, to, process: false, ticket: None }).await?;
        sent.is_lost = false;
        Ok(bytes)
    }
}

/// Computes something from what was sent and the state, on a thread for blocking work.
async fn compute<C, T>(
    sent: &mut Sent<C>,
    state: C,
    compute: impl FnOnce(&mut JsonFeed<C>, C) -> T + Send + 'static,
) -> Result<T, HandlerError>
where
    C: Crdt + Send + 'static,
    T: Send + 'static,
{
    let known = sent.feed.take();
    let was_lost = sent.is_lost;
    sent.is_lost |= known.is_some();
    let computed = tokio::task::spawn_blocking(move || {
        let mut feed = known.unwrap_or_else(|| JsonFeed::new(state.clone()));
        let computed = compute(&mut feed, state);
        (feed, computed)
    });
    let (feed, computed) = computed.await?;
    *sent = Sent { feed: Some(feed), is_lost: was_lost };
    Ok(computed)
}

/// Sends the subscribers of a document what has changed, with pauses, until there are none.
async fn run<C>(feed: Weak<Feed<C>>, changed: Arc<Notify>, server: WeakHandle)
where
    C: Crdt<Op: Send + Sync> + Send + Sync + 'static,
{
    loop {
        let Some((handle, ())) = server.wait_for(changed.notified()).await else { return };
        let Some(feed) = feed.upgrade() else { return };
        let pause = match feed.send_changes(&handle).await {
            Ok(bytes) => PAUSE.max(Duration::from_millis((bytes / BYTES_PER_MS) as u64)),
            Err(error) => {
                let what = Failure::Json { channel: feed.key.channel() };
                handle.telemetry().record(&Event::Failed { what, error: &error.message() });
                changed.notify_one();
                PAUSE_AFTER_FAILURE
            }
        };
        drop((feed, handle));
        tokio::time::sleep(pause).await;
    }
}

impl<C: Crdt> Drop for JsonSubscription<C> {
    fn drop(&mut self) {
        let mut subscribers = lock(&self.feed.subscribers);
        let Some(sessions) = subscribers.get_mut(&self.node) else { return };
        if let Some(index) = sessions.iter().position(|session| *session == self.session) {
            sessions.remove(index);
        }
        if sessions.is_empty() {
            subscribers.remove(&self.node);
        }
    }
}

impl<C: Crdt> Drop for Feed<C> {
    fn drop(&mut self) {
        let mut feeds = lock(&self.feeds.feeds);
        // There may be a new one already.
        if feeds.get(self.key.id()).is_some_and(|feed| feed.strong_count() == 0) {
            feeds.remove(self.key.id());
        }
        // Its task ends.
        self.changed.notify_one();
    }
}

/// Tells the feeds which documents have changed.
pub(super) struct JsonObserver<C: Crdt>(pub(super) Arc<JsonFeeds<C>>);

impl<C> EntryObserver for JsonObserver<C>
where
    C: Crdt<Op: Send + Sync> + Send + Sync + 'static,
{
    fn record(&mut self, _: &Entry, document: Option<&DocumentKey>) {
        if let Some(key) = document.filter(|key| key.kind() == self.0.documents.kind()) {
            self.0.changed(key.id());
        }
    }
}
