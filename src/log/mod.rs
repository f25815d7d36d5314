//! The rules over a store: ids, reasons, and observers, which see an action before and after it is
//! added.
//!
//! Read [`Log`], then [`Observer`], `recorder` (the same for an application that shows the log),
//! and `hybrid_clock`, which decides the times of own actions.

mod error;
mod hybrid_clock;
mod observer;
mod recorder;

pub use error::LogError;
pub use observer::{Observer, ObserverRequest};
pub use recorder::LogChange;

use core::ops::ControlFlow;
use std::{sync::Arc, time::Duration};

use hybrid_clock::HybridClock;
use recorder::Recorder;

use crate::{
    action::{Action, ActionId, IdGenerator, Meta, NameList, NodeId, Subprotocol, push_once},
    json::Json,
    store::{
        Criteria, Entry, Insertion, JournalStore, MetaChange, Query, Store, StoreChange, Synced,
    },
    time::WallTime,
};

/// The log of one node.
///
/// An own action is ordered after every action that the log has seen, even if these are from nodes
/// whose clocks are ahead: its time is that of a hybrid clock (Kulkarni et al., Logical Physical
/// Clocks, 2014). So what a user writes has an effect on what the user sees.
///
/// ```
/// use logux::{Action, Log, NodeId, WallTime, log::Draft, store::MemoryStore};
///
/// let mut log = Log::new(NodeId::new("10:client:tab")?, MemoryStore::new())?;
/// let now = WallTime::from_millis(1_564_508_138_460);
/// let action = Action::new(r#"{"type":"users/rename","name":"Ada"}"#)?;
/// let entry = log.add(now, action, Draft::reason("profile"))?.expect("a new id");
/// assert_eq!(entry.meta.id.to_string(), "1564508138460 10:client:tab 0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Log<S, O = ()> {
    store: S,
    ids: IdGenerator,
    /// `None`: the times of own actions are those of their ids.
    clock: Option<HybridClock>,
    observer: O,
    recorder: Recorder,
}

/// The optional meta of an action to be added.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The id, if the action was created elsewhere. Defaults to a generated id.
    pub id: Option<ActionId>,
    /// The corrected creation time. Defaults to the time of the log's hybrid clock for an own
    /// action, and to the time in the id for others.
    pub time: Option<WallTime>,
    /// The creator's version of the application's protocol.
    pub subprotocol: Option<Subprotocol>,
    /// The reasons for which the action is kept. An action without a reason is shown to the
    /// observers, but not kept.
    pub reasons: NameList,
    /// The indexes by which the action can be found.
    pub indexes: NameList,
    /// A reason that only the latest action with it keeps.
    pub keep_last: Option<Arc<str>>,
    /// Additional keys of the application.
    pub extra: crate::json::JsonObject,
}

impl Draft {
    /// A draft with one reason.
    pub fn reason(reason: impl Into<Arc<str>>) -> Self {
        Self::default().and_reason(reason)
    }

    /// A draft for an action that was created elsewhere, with its id and corrected time.
    pub fn of(id: ActionId, time: WallTime) -> Self {
        Self { id: Some(id), time: Some(time), ..Self::default() }
    }

    /// Adds a reason.
    #[must_use]
    pub fn and_reason(mut self, reason: impl Into<Arc<str>>) -> Self {
        push_once(&mut self.reasons, reason.into());
        self
    }

    /// Adds an index.
    #[must_use]
    pub fn index(mut self, index: impl Into<Arc<str>>) -> Self {
        push_once(&mut self.indexes, index.into());
        self
    }

    /// Sets a reason that only the latest action with it keeps.
    #[must_use]
    pub fn keep_last(mut self, reason: impl Into<Arc<str>>) -> Self {
        self.keep_last = Some(reason.into());
        self
    }

    /// Sets an additional key of the application.
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

/// The keys of a meta that cannot be changed.
const READ_ONLY: [&str; 5] = ["id", "added", "time", "subprotocol", "indexes"];

impl<S: Store> Log<S> {
    /// Creates the log of `node` over a store, without an observer. For the ids, see
    /// [`with_observer`](Self::with_observer).
    ///
    /// # Errors
    /// If the store fails.
    pub fn new(node: NodeId, store: S) -> Result<Self, LogError<S::Error>> {
        Self::with_observer(node, store, ())
    }
}

impl<S: Store, O: Observer> Log<S, O> {
    /// Creates the log of `node` over a store; `observer` sees the actions that are added and
    /// removed.
    ///
    /// New ids are later than the last id of this node among the 1,000 entries that arrived last,
    /// even if the clock went backwards since. If that entry may have been removed, each start
    /// needs a different node id, as each start of a client has its own tab id; otherwise a clock
    /// that went backwards could generate an id again.
    ///
    /// # Errors
    /// If the store fails.
    pub fn with_observer(node: NodeId, store: S, observer: O) -> Result<Self, LogError<S::Error>> {
        let mut log = Self::unread(node, store, observer);
        log.read_ids()?;
        Ok(log)
    }

    /// Creates a log that has not read its store.
    pub(crate) fn unread(node: NodeId, store: S, observer: O) -> Self {
        Self {
            store,
            ids: IdGenerator::new(node),
            clock: Some(HybridClock::default()),
            observer,
            recorder: Recorder::default(),
        }
    }

    /// Reads the last ids of the store.
    pub(crate) fn read_ids(&mut self) -> Result<(), LogError<S::Error>> {
        let (ids, mut remaining) = (&mut self.ids, 1_000);
        self.store.walk(&Query::added(), &mut |entry| {
            ids.observe(&entry.meta.id);
            remaining -= 1;
            if remaining == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(())
    }

    /// Drops all writes since the last commit. Generated ids still increase.
    pub(crate) fn roll_back(&mut self) -> Result<(), LogError<S::Error>> {
        Ok(self.store.rollback()?)
    }

    /// Prepares the store for the writes of the next commit.
    pub(crate) fn begin(&mut self) -> Result<(), LogError<S::Error>> {
        Ok(self.store.begin()?)
    }

    /// Commits a write without content, to find out whether the store can write.
    pub(crate) fn probe(&mut self) -> Result<(), LogError<S::Error>> {
        self.store.begin()?;
        let synced = self.store.synced()?;
        self.store.set_synced(synced)?;
        Ok(self.store.commit()?)
    }

    /// Ignores times of other nodes that are further ahead than `max_ahead` when it decides the
    /// times of own actions: they are errors of another clock. For a client whose server refuses
    /// actions from the future. Default: no limit.
    #[must_use]
    pub fn with_max_ahead(self, max_ahead: Duration) -> Self {
        Self { clock: Some(HybridClock::with_max_ahead(max_ahead)), ..self }
    }

    /// Takes the times of own actions from their ids. For a server, whose clock is the reference
    /// for others.
    #[must_use]
    pub fn with_physical_clock(self) -> Self {
        Self { clock: None, ..self }
    }

    /// Returns the id of the node whose log this is.
    pub const fn node_id(&self) -> &NodeId {
        self.ids.node()
    }

    /// Returns the store.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// Returns the observer, to change it.
    pub const fn observer_mut(&mut self) -> &mut O {
        &mut self.observer
    }

    /// Returns the observer.
    pub const fn observer(&self) -> &O {
        &self.observer
    }

    /// Returns the id that [`generate_id`](Self::generate_id) would return now.
    pub fn next_id(&self, now: WallTime) -> ActionId {
        self.ids.clone().next(now)
    }

    /// Generates the next id of this node.
    pub fn generate_id(&mut self, now: WallTime) -> ActionId {
        self.ids.next(now)
    }

    /// Makes all next ids later than an id, if it is of this node.
    pub(crate) fn observe_id(&mut self, id: &ActionId) {
        self.ids.observe(id);
    }

    /// Returns `true` if this node may still generate this id: it is later than its last one, and
    /// not earlier than now.
    pub(crate) fn may_generate(&self, now: WallTime, id: &ActionId) -> bool {
        id.node() == self.ids.node() && {
            let next = self.next_id(now);
            (id.time(), id.sequence()) >= (next.time(), next.sequence())
        }
    }

    /// No longer orders own actions after those that the log has seen so far, because their times
    /// are from a clock that was corrected.
    pub(crate) fn forget_times(&mut self) {
        if let Some(clock) = &mut self.clock {
            clock.forget();
        }
    }

    /// Adds an action. Observers may first change its meta (`preadd`). The store keeps the action
    /// if it has a reason. Then observers see it (`added`), and if it is not kept, also its removal
    /// (`cleaned`).
    ///
    /// Returns `None` if the log already has an entry with this id; then observers are not notified
    /// and nothing changes. With `keep_last`, the reason is removed from earlier actions; if a
    /// later action has the reason, this action does not get it. O(log n), plus the cost of
    /// removing reasons.
    ///
    /// # Errors
    /// If the store fails.
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
        let is_own = draft.time.is_none() && id.node() == self.ids.node();
        if is_own {
            draft.time = self.hybrid_time(&id)?;
        }
        let mut entry = Entry { action, meta: draft.into_meta(id.clone()) };
        self.observer.preadd(&entry.action, &mut entry.meta);
        entry.meta.id = id;
        if let Some(reason) = entry.meta.keep_last.clone() {
            self.keep_last(&reason, &mut entry.meta)?;
        }
        if entry.meta.reasons.is_empty() {
            self.recorder.added(&entry);
            self.recorder.cleaned(&entry);
            self.observer.added(&entry);
            self.observer.cleaned(&entry);
        } else if self.store.add(&mut entry)? == Insertion::Added {
            self.recorder.added(&entry);
            self.observer.added(&entry);
        } else {
            return Ok(None);
        }
        if let Some(clock) = &mut self.clock {
            clock.record(now, is_own, &entry);
        }
        self.execute_requests()?;
        Ok(Some(entry))
    }

    /// Returns the time of a new own action by the hybrid clock. `None` without such a clock.
    fn hybrid_time(&mut self, id: &ActionId) -> Result<Option<WallTime>, LogError<S::Error>> {
        let Some(clock) = &mut self.clock else { return Ok(None) };
        if !clock.has_read_store {
            let own = self.ids.node();
            self.store.walk(&Query::created(), &mut |entry| {
                if clock.record_found(own, entry) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
            clock.has_read_store = true;
        }
        Ok(Some(clock.time_of(id)))
    }

    /// Executes the requests of the observer.
    fn execute_requests(&mut self) -> Result<(), LogError<S::Error>> {
        while let Some(request) = self.observer.next_request() {
            match request {
                ObserverRequest::RemoveReason(reason, criteria) => {
                    self.remove_reason_from_store(&reason, &criteria)?
                }
                ObserverRequest::RetainReason(id, reason) => {
                    let Some(entry) = self.store.by_id(&id)? else { continue };
                    let mut reasons = entry.meta.reasons;
                    reasons.retain(|own| *own == reason);
                    self.set_reasons(&id, reasons)?;
                }
                ObserverRequest::CopyReasons { from, to, except } => {
                    let (Some(from), Some(to)) = (self.store.by_id(&from)?, self.store.by_id(&to)?)
                    else {
                        continue;
                    };
                    let mut reasons = to.meta.reasons.clone();
                    for reason in from.meta.reasons.into_iter().filter(|reason| *reason != except) {
                        push_once(&mut reasons, reason);
                    }
                    if reasons != to.meta.reasons {
                        self.set_reasons(&to.meta.id, reasons)?;
                    }
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
        let is_latest = self.store.newest_with_reason(reason)?.is_none_or(|newest| newest < stamp);
        if is_latest {
            push_once(&mut meta.reasons, reason.clone());
            self.remove_reason_from_store(reason, &Criteria::older_than(stamp))?;
        }
        Ok(())
    }

    /// Returns the entry with this id, if there is one.
    ///
    /// # Errors
    /// If the store fails.
    pub fn by_id(&self, id: &ActionId) -> Result<Option<Entry>, LogError<S::Error>> {
        Ok(self.store.by_id(id)?)
    }

    /// Changes the meta of an entry. Returns `false` if there is no entry with this id. If no
    /// reasons are left, the entry is removed.
    ///
    /// # Errors
    /// [`LogError::ReadOnly`] for a key that cannot be changed, or if the store fails.
    pub fn change_meta(
        &mut self,
        id: &ActionId,
        change: &MetaChange,
    ) -> Result<bool, LogError<S::Error>> {
        if let Some((key, _)) = change.extra.iter().find(|(key, _)| READ_ONLY.contains(&&**key)) {
            return Err(LogError::ReadOnly(key.clone()));
        }
        let changed = self.set_meta(id, change)?;
        self.execute_requests()?;
        Ok(changed)
    }

    fn set_meta(&mut self, id: &ActionId, change: &MetaChange) -> Result<bool, LogError<S::Error>> {
        if change.reasons.as_ref().is_some_and(|reasons| reasons.is_empty()) {
            let Some(mut entry) = self.store.remove(id)? else { return Ok(false) };
            self.recorder.removed(&entry);
            change.apply(&mut entry.meta);
            self.recorder.cleaned(&entry);
            self.observer.cleaned(&entry);
            Ok(true)
        } else {
            Ok(self.store.change_meta(id, change)?)
        }
    }

    /// Replaces the action of an entry that no other node has received. The observer learns nothing
    /// of it. Returns the entry, which has a new `added` number; `None` if there is none.
    pub(crate) fn replace_action(
        &mut self,
        id: &ActionId,
        action: Action,
    ) -> Result<Option<Entry>, LogError<S::Error>> {
        let Some(mut entry) = self.store.remove(id)? else { return Ok(None) };
        entry.action = action;
        entry.meta.added = None;
        let is_added = self.store.add(&mut entry)? == Insertion::Added;
        Ok(is_added.then_some(entry))
    }

    /// Removes a reason from the actions that match the criteria, and removes those of them that
    /// have no reasons left.
    ///
    /// # Errors
    /// If the store fails.
    pub fn remove_reason(
        &mut self,
        reason: &str,
        criteria: &Criteria,
    ) -> Result<(), LogError<S::Error>> {
        self.remove_reason_from_store(reason, criteria)?;
        self.execute_requests()
    }

    fn remove_reason_from_store(
        &mut self,
        reason: &str,
        criteria: &Criteria,
    ) -> Result<(), LogError<S::Error>> {
        let (observer, recorder) = (&mut self.observer, &mut self.recorder);
        Ok(self.store.remove_reason(reason, criteria, &mut |entry| {
            recorder.removed(&entry);
            recorder.cleaned(&entry);
            observer.cleaned(&entry);
        })?)
    }

    /// Visits entries in the order of the query until `visit` breaks.
    ///
    /// # Errors
    /// If the store fails.
    pub fn walk(
        &self,
        query: &Query,
        mut visit: impl FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), LogError<S::Error>> {
        Ok(self.store.walk(query, &mut visit)?)
    }

    /// Returns the highest `added` number that was ever assigned.
    ///
    /// # Errors
    /// If the store fails.
    pub fn last_added(&self) -> Result<u64, LogError<S::Error>> {
        Ok(self.store.last_added()?)
    }

    /// Returns the progress of the exchange with the other node.
    ///
    /// # Errors
    /// If the store fails.
    pub fn synced(&self) -> Result<Synced, LogError<S::Error>> {
        Ok(self.store.synced()?)
    }

    /// Stores the progress of the exchange with the other node.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_synced(&mut self, synced: Synced) -> Result<(), LogError<S::Error>> {
        Ok(self.store.set_synced(synced)?)
    }

    /// Returns the value with this name, as it was last set.
    ///
    /// # Errors
    /// If the store fails.
    pub fn value(&self, name: &str) -> Result<Option<String>, LogError<S::Error>> {
        Ok(self.store.value(name)?)
    }

    /// Calls `visit` with the name and the text of each value whose name begins with `prefix`,
    /// until it breaks.
    ///
    /// # Errors
    /// If the store fails.
    pub fn walk_values(
        &self,
        prefix: &str,
        mut visit: impl FnMut(&str, &str) -> ControlFlow<()>,
    ) -> Result<(), LogError<S::Error>> {
        Ok(self.store.walk_values(prefix, &mut visit)?)
    }

    /// Sets the value with this name, or removes it. It becomes durable in the same commit as the
    /// other changes.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_value(&mut self, name: &str, value: Option<&str>) -> Result<(), LogError<S::Error>> {
        Ok(self.store.set_value(name, value)?)
    }

    /// Makes all previous changes durable.
    ///
    /// # Errors
    /// If the store fails.
    pub fn commit(&mut self) -> Result<(), LogError<S::Error>> {
        Ok(self.store.commit()?)
    }

    /// Removes everything from the store, and makes `node` the node whose log this is. The
    /// observer learns nothing of it.
    pub(crate) fn clean(&mut self, node: NodeId) -> Result<(), LogError<S::Error>> {
        self.store.clean()?;
        if node != *self.node_id() {
            self.ids = IdGenerator::new(node);
        }
        Ok(())
    }

    /// Returns the store.
    pub fn into_store(self) -> S {
        self.store
    }
}

impl<O: Observer> Log<JournalStore, O> {
    /// Returns the changes of all commits since the last call, to be written into a database:
    /// [`JournalStore::take_changes`].
    pub fn take_changes(&mut self) -> Vec<StoreChange> {
        self.store.take_changes()
    }
}
