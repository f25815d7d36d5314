//! The hook that an application runs after changes of documents: for each accepted action, in the
//! order of acceptance, at least once.
//!
//! The actions are read from the log behind a position, which the log keeps too. So a crash repeats
//! some of them, and misses none; a snapshot waits until the hook has seen what it settles.

use std::{fmt, future::Future, panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use logux::{
    Action, ActionId, Entry,
    action::{DocumentKey, DocumentVerb, logux::UNDO},
    server::{LogQuery, Retention},
};
use tokio::sync::{Notify, watch};

use crate::{
    error::HandlerError,
    hub::{
        application::EntryObserver,
        handle::{Handle, WeakHandle},
    },
    telemetry::event::{Event, Failure},
};

/// The number of entries of the log that are read at a time.
const PAGE: usize = 100;
/// The first pause after a failure of the hook; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// An accepted action of a document, for
/// [`DocumentKind::on_change`](crate::DocumentKind::on_change).
#[derive(Clone, Debug)]
pub struct ChangedDocument {
    key: DocumentKey,
    entry: Entry,
    server: Handle,
}

impl ChangedDocument {
    /// Returns the document.
    pub const fn key(&self) -> &DocumentKey {
        &self.key
    }

    /// Returns the id of the action. A repeated call has the same one.
    pub const fn action_id(&self) -> &ActionId {
        &self.entry.meta.id
    }

    /// Returns the action: `KIND/create`, `KIND/edit`, or the `logux/undo` of one.
    pub const fn action(&self) -> &Action {
        &self.entry.action
    }

    /// Returns the user who made the change. `None` for the server, and for clients without a user.
    pub fn user_id(&self) -> Option<&str> {
        self.entry.meta.id.node().client_user_id()
    }

    /// Returns the server, to read the current state: `documents` of it.
    pub const fn server(&self) -> &Handle {
        &self.server
    }
}

/// The hook of a kind of documents.
pub(super) type ChangeHook = Arc<
    dyn Fn(ChangedDocument) -> Pin<Box<dyn Future<Output = Result<(), HandlerError>> + Send>>
        + Send
        + Sync,
>;

/// The hook of a kind of documents, and how far it has come.
pub(super) struct ChangeFeed {
    kind: Arc<str>,
    hook: ChangeHook,
    /// The number of the last entry of the log that the hook has seen. `None` before it is known.
    position: watch::Sender<Option<u64>>,
    recorded: Notify,
}

impl fmt::Debug for ChangeFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeFeed").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Returns the hook in the form that a feed calls.
pub(super) fn hook<F>(call: impl Fn(ChangedDocument) -> F + Send + Sync + 'static) -> ChangeHook
where
    F: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    Arc::new(move |change| Box::pin(call(change)))
}

impl ChangeFeed {
    pub(super) fn new(kind: &str, hook: ChangeHook) -> Arc<Self> {
        Arc::new(Self {
            kind: kind.into(),
            hook,
            position: watch::Sender::new(None),
            recorded: Notify::new(),
        })
    }

    /// Returns `true` if the hook has seen all entries up to this number.
    pub(super) fn has_seen(&self, added: u64) -> bool {
        self.position.borrow().is_some_and(|position| position >= added)
    }

    /// Calls the hook for all changes, until the server ends.
    pub(super) async fn run(self: Arc<Self>, server: WeakHandle) {
        let mut pause = FIRST_PAUSE;
        // The log may have changes from before the start.
        let mut is_due = true;
        loop {
            let due = async {
                if !is_due {
                    self.recorded.notified().await;
                }
            };
            let Some((handle, ())) = server.wait_for(due).await else { return };
            let result = self.catch_up(&handle).await;
            is_due = result.is_err();
            let Err(error) = result else {
                pause = FIRST_PAUSE;
                continue;
            };
            let what = Failure::Change { kind: &self.kind };
            handle.telemetry().record(&Event::Failed { what, error: &error.message() });
            drop(handle);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// Calls the hook for the changes after its position.
    async fn catch_up(&self, handle: &Handle) -> Result<(), HandlerError> {
        let known = *self.position.borrow();
        let mut position = match known {
            Some(position) => position,
            None => {
                handle.value(&self.name()).await?.and_then(|text| text.parse().ok()).unwrap_or(0)
            }
        };
        let mut next = Some(LogQuery::kept().after(position).limit(PAGE));
        while let Some(query) = next {
            let page = handle.log_page(query).await?;
            let mut called = false;
            for entry in page.entries {
                let added = entry.meta.added.unwrap_or(position);
                if let Some(key) = self.document_of(&entry) {
                    let change = ChangedDocument { key, entry, server: handle.clone() };
                    let call = AssertUnwindSafe((self.hook)(change)).catch_unwind();
                    let panicked = |_| Err(HandlerError::failed("a hook panicked"));
                    if let Err(error) = call.await.unwrap_or_else(panicked) {
                        self.save(position, handle).await?;
                        return Err(error);
                    }
                    called = true;
                }
                position = added;
                self.position.send_replace(Some(position));
            }
            if called {
                self.save(position, handle).await?;
            }
            next = page.next;
        }
        self.position.send_replace(Some(position));
        Ok(())
    }

    /// Keeps the position in the log.
    async fn save(&self, position: u64, handle: &Handle) -> Result<(), HandlerError> {
        if handle.set_value(self.name(), position.to_string()).await {
            Ok(())
        } else {
            Err(HandlerError::unavailable("the server stops, or its log cannot be written"))
        }
    }

    fn name(&self) -> String {
        format!("changes/{}", self.kind)
    }

    /// Returns the document of an entry, unless it is of another kind, or a snapshot.
    fn document_of(&self, entry: &Entry) -> Option<DocumentKey> {
        if entry.action.kind() == UNDO {
            let id = Retention::names(&entry.meta)
                .find_map(|channel| channel.strip_prefix(&*self.kind)?.strip_prefix('/'))?;
            return Some(DocumentKey::new(self.kind.clone(), id));
        }
        let (key, verb) = DocumentKey::of(&entry.action)?;
        (*key.kind() == self.kind && verb != DocumentVerb::Snapshot).then_some(key)
    }
}

/// Wakes the feed when the log has recorded something.
pub(super) struct FeedObserver(pub(super) Arc<ChangeFeed>);

impl EntryObserver for FeedObserver {
    fn record(&mut self, _: &Entry, document: Option<&DocumentKey>) {
        if document.is_some_and(|key| *key.kind() == self.0.kind) {
            self.0.recorded.notify_one();
        }
    }
}
