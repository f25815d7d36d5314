//! The rules over a store: ids, reasons, who gets to see an action before and after it is kept.
//!
//! Read [`Log`], then [`Observer`].

mod observer;

pub use observer::{Observer, ObserverRequest};

use core::{fmt, ops::ControlFlow};
use std::sync::Arc;

use crate::{
    action::{Action, ActionId, IdGenerator, Meta, NameList, NodeId, Subprotocol, push_once},
    json::Json,
    store::{Criteria, Entry, Insertion, MetaChange, Query, Store, Synced},
    time::WallTime,
};

/// The log of one node.
///
/// ```
/// use logux::{Action, Log, NodeId, WallTime, log::Draft, store::MemoryStore};
///
/// let mut log = Log::new(NodeId::new("10:client:tab")?, MemoryStore::new())?;
/// let now = WallTime::from_millis(1_564_508_138_460);
/// let action = Action::new(r#"{"type":"users/rename","name":"Ada"}"#)?;
/// let kept = log.add(now, action, Draft::reason("profile"))?.expect("a new id");
/// assert_eq!(kept.meta.id.to_string(), "1564508138460 10:client:tab 0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Log<S, O = ()> {
    store: S,
    ids: IdGenerator,
    observer: O,
}

/// What the caller says about an action to be added. Everything is optional.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The id, if the action was made elsewhere; otherwise one is generated.
    pub id: Option<ActionId>,
    /// The corrected creation time, if it differs from the one in the id.
    pub time: Option<WallTime>,
    /// The application's protocol version of the creator.
    pub subprotocol: Option<Subprotocol>,
    /// Why to keep the action. Without a reason it passes through the observers and is gone.
    pub reasons: NameList,
    /// By what to find it.
    pub indexes: NameList,
    /// A reason that only the latest action keeps.
    pub keep_last: Option<Arc<str>>,
    /// Keys of your own.
    pub extra: crate::json::JsonObject,
}

impl Draft {
    /// An action to keep for a reason.
    pub fn reason(reason: impl Into<Arc<str>>) -> Self {
        Self::default().and_reason(reason)
    }

    /// An action that was made elsewhere, with its id and corrected time.
    pub fn of(id: ActionId, time: WallTime) -> Self {
        Self { id: Some(id), time: Some(time), ..Self::default() }
    }

    /// One more reason.
    #[must_use]
    pub fn and_reason(mut self, reason: impl Into<Arc<str>>) -> Self {
        push_once(&mut self.reasons, reason.into());
        self
    }

    /// One more index.
    #[must_use]
    pub fn index(mut self, index: impl Into<Arc<str>>) -> Self {
        push_once(&mut self.indexes, index.into());
        self
    }

    /// Only the latest action with this reason is kept for it.
    #[must_use]
    pub fn keep_last(mut self, reason: impl Into<Arc<str>>) -> Self {
        self.keep_last = Some(reason.into());
        self
    }

    /// A key of your own.
    #[must_use]
    pub fn extra(mut self, key: impl Into<Arc<str>>, value: Json) -> Self {
        self.extra.set(key, value);
        self
    }

    fn into_meta(self, id: ActionId) -> Meta {
        Meta {
            time: self.time.unwrap_or(id.time()),
            id,
            added: None,
            subprotocol: self.subprotocol,
            reasons: self.reasons,
            indexes: self.indexes,
            keep_last: self.keep_last,
            extra: self.extra,
        }
    }
}

/// The keys of a meta that stay as they are for ever.
const READ_ONLY: [&str; 5] = ["id", "added", "time", "subprotocol", "indexes"];

impl<S: Store> Log<S> {
    /// The log of `node` over a store, with nobody observing. Ids continue behind the latest of this node in the store.
    ///
    /// # Errors
    /// When the store fails.
    pub fn new(node: NodeId, store: S) -> Result<Self, LogError<S::Error>> {
        Self::with_observer(node, store, ())
    }
}

impl<S: Store, O: Observer> Log<S, O> {
    /// The log of `node` over a store; `observer` sees what comes and goes.
    ///
    /// The last of this node's ids is looked for among the 1,000 entries that came last, so that ids grow also if the clock has
    /// stepped back since. Where that entry may be forgotten, a start needs a node id of its own, as each start of a client has a tab id of
    /// its own: otherwise a clock that has stepped back could make an id again.
    ///
    /// # Errors
    /// When the store fails.
    pub fn with_observer(node: NodeId, store: S, observer: O) -> Result<Self, LogError<S::Error>> {
        let mut ids = IdGenerator::new(node);
        let mut left = 1_000;
        store.walk(&Query::added(), &mut |entry| {
            ids.observe(&entry.meta.id);
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(Self { store, ids, observer })
    }

    /// The node whose log it is.
    pub const fn node_id(&self) -> &NodeId {
        self.ids.node()
    }

    /// The store.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// The one who observes.
    pub const fn observer_mut(&mut self) -> &mut O {
        &mut self.observer
    }

    /// The one who observes, to look at.
    pub const fn observer(&self) -> &O {
        &self.observer
    }

    /// The id that [`generate_id`](Self::generate_id) would give now.
    pub fn next_id(&self, now: WallTime) -> ActionId {
        self.ids.clone().next(now)
    }

    /// The next id of this node.
    pub fn generate_id(&mut self, now: WallTime) -> ActionId {
        self.ids.next(now)
    }

    /// Adds an action: observers may change its meta (`preadd`), the store keeps it if it has a reason, observers see it
    /// (`added`) and, if nothing keeps it, see it go (`cleaned`).
    ///
    /// `None` means that an entry with this id is there already; then nobody is told and nothing changes. With `keep_last` older
    /// actions lose the reason, and if a later one has it, this one does not get it. O(log n).
    ///
    /// # Errors
    /// When the store fails.
    pub fn add(
        &mut self,
        now: WallTime,
        action: Action,
        mut draft: Draft,
    ) -> Result<Option<Entry>, LogError<S::Error>> {
        let id = match draft.id.take() {
            Some(id) if self.store.by_id(&id)?.is_some() => return Ok(None),
            Some(id) => id,
            None => self.ids.next(now),
        };
        let mut entry = Entry { action, meta: draft.into_meta(id.clone()) };
        self.observer.preadd(&entry.action, &mut entry.meta);
        entry.meta.id = id;
        if let Some(reason) = entry.meta.keep_last.clone() {
            self.keep_last(&reason, &mut entry.meta)?;
        }
        if entry.meta.reasons.is_empty() {
            self.observer.added(&entry);
            self.observer.cleaned(&entry);
        } else if self.store.add(&mut entry)? == Insertion::Added {
            self.observer.added(&entry);
        } else {
            return Ok(None);
        }
        self.fulfil()?;
        Ok(Some(entry))
    }

    /// Does what the observer wants.
    fn fulfil(&mut self) -> Result<(), LogError<S::Error>> {
        while let Some(request) = self.observer.next_request() {
            match request {
                ObserverRequest::RemoveReason(reason, criteria) => {
                    self.take_reason(&reason, &criteria)?
                }
                ObserverRequest::SetReasons(id, reasons) => drop(self.set_reasons(&id, reasons)?),
                ObserverRequest::CopyReasons { from, to, except } => {
                    let (Some(from), Some(to)) = (self.store.by_id(&from)?, self.store.by_id(&to)?)
                    else {
                        continue;
                    };
                    let mut reasons = to.meta.reasons;
                    for reason in from.meta.reasons.into_iter().filter(|reason| *reason != except) {
                        push_once(&mut reasons, reason);
                    }
                    self.set_reasons(&to.meta.id, reasons)?;
                }
            }
        }
        Ok(())
    }

    fn set_reasons(
        &mut self,
        id: &ActionId,
        reasons: NameList,
    ) -> Result<bool, LogError<S::Error>> {
        self.set_meta(id, &MetaChange { reasons: Some(reasons), extra: Vec::new() })
    }

    fn keep_last(&mut self, reason: &Arc<str>, meta: &mut Meta) -> Result<(), LogError<S::Error>> {
        let stamp = meta.stamp();
        let latest = self.store.newest_with_reason(reason)?.is_none_or(|newest| newest < stamp);
        if latest {
            push_once(&mut meta.reasons, reason.clone());
            self.take_reason(reason, &Criteria::older_than(stamp))?;
        }
        Ok(())
    }

    /// Finds an entry.
    ///
    /// # Errors
    /// When the store fails.
    pub fn by_id(&self, id: &ActionId) -> Result<Option<Entry>, LogError<S::Error>> {
        Ok(self.store.by_id(id)?)
    }

    /// Changes the meta of an entry; `false` if there is none. With no reasons left the entry is removed.
    ///
    /// # Errors
    /// [`LogError::ReadOnly`] for a key that cannot be changed, or when the store fails.
    pub fn change_meta(
        &mut self,
        id: &ActionId,
        change: &MetaChange,
    ) -> Result<bool, LogError<S::Error>> {
        if let Some((key, _)) = change.extra.iter().find(|(key, _)| READ_ONLY.contains(&&**key)) {
            return Err(LogError::ReadOnly(key.clone()));
        }
        let changed = self.set_meta(id, change)?;
        self.fulfil()?;
        Ok(changed)
    }

    fn set_meta(&mut self, id: &ActionId, change: &MetaChange) -> Result<bool, LogError<S::Error>> {
        if change.reasons.as_ref().is_some_and(|reasons| reasons.is_empty()) {
            let Some(mut entry) = self.store.remove(id)? else { return Ok(false) };
            change.apply(&mut entry.meta);
            self.observer.cleaned(&entry);
            Ok(true)
        } else {
            Ok(self.store.change_meta(id, change)?)
        }
    }

    /// Takes a reason from the actions that meet the criteria, and removes those that have none left.
    ///
    /// # Errors
    /// When the store fails.
    pub fn remove_reason(
        &mut self,
        reason: &str,
        criteria: &Criteria,
    ) -> Result<(), LogError<S::Error>> {
        self.take_reason(reason, criteria)?;
        self.fulfil()
    }

    fn take_reason(&mut self, reason: &str, criteria: &Criteria) -> Result<(), LogError<S::Error>> {
        let observer = &mut self.observer;
        Ok(self.store.remove_reason(reason, criteria, &mut |entry| observer.cleaned(&entry))?)
    }

    /// Visits entries in the order of the query until `visit` breaks.
    ///
    /// # Errors
    /// When the store fails.
    pub fn walk(
        &self,
        query: &Query,
        mut visit: impl FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), LogError<S::Error>> {
        Ok(self.store.walk(query, &mut visit)?)
    }

    /// The highest `added` number ever given.
    ///
    /// # Errors
    /// When the store fails.
    pub fn last_added(&self) -> Result<u64, LogError<S::Error>> {
        Ok(self.store.last_added()?)
    }

    /// How far the exchange with the other node has come.
    ///
    /// # Errors
    /// When the store fails.
    pub fn synced(&self) -> Result<Synced, LogError<S::Error>> {
        Ok(self.store.synced()?)
    }

    /// Remembers how far the exchange with the other node has come.
    ///
    /// # Errors
    /// When the store fails.
    pub fn set_synced(&mut self, synced: Synced) -> Result<(), LogError<S::Error>> {
        Ok(self.store.set_synced(synced)?)
    }

    /// Makes everything so far durable.
    ///
    /// # Errors
    /// When the store fails.
    pub fn commit(&mut self) -> Result<(), LogError<S::Error>> {
        Ok(self.store.commit()?)
    }

    /// Gives the store back.
    pub fn into_store(self) -> S {
        self.store
    }
}

/// What can go wrong in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogError<E> {
    /// The caller's mistake: this key of a meta cannot be changed.
    ReadOnly(Arc<str>),
    /// The store failed.
    Store(E),
}

impl<E> From<E> for LogError<E> {
    fn from(error: E) -> Self {
        Self::Store(error)
    }
}

impl<E: fmt::Display> fmt::Display for LogError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadOnly(key) => {
                write!(f, "meta key {key:?} is read-only: it is set when the action is added")
            }
            Self::Store(error) => write!(f, "the log's store failed: {error}"),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for LogError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::ReadOnly(_) => None,
            Self::Store(error) => Some(error),
        }
    }
}
