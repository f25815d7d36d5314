//! Many timelines over one log, which open and close while it runs.

use core::any::Any;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use indexmap::{IndexMap, IndexSet};

use super::{Reducer, Timeline, TimelineConfig, TimelineWarning};
use crate::{
    action::{Action, ActionId, DocumentKey, Meta, logux, push_once},
    log::{Log, LogError, Observer, ObserverRequest},
    store::{Entry, Query, Store},
};

/// The timelines of a log, by name: a document by its channel, such as `notes/7`, and all records
/// of a kind by their plural, such as `tasks`.
///
/// An action concerns the document that its type and its `id` name, and the records whose plural
/// begins its type; an undo concerns the timeline of its action. So an action costs the same with
/// ten open documents and with thousands.
///
/// ```
/// use logux::{Log, MemoryStore, NodeId, WallTime, crdt::{Map, MapOp, Shared}, log::Draft, replay::TimelineSet};
/// use serde_json::json;
///
/// let node = NodeId::new("10:laptop:tab")?;
/// let mut log = Log::with_observer(node, MemoryStore::new(), TimelineSet::default())?;
/// let note = Shared::<Map>::new("notes", "7");
/// log.open(note.clone())?;
///
/// let title = note.action(&[MapOp::Set { path: "/title".parse()?, value: json!("Tea").into() }])?;
/// log.add(WallTime::from_millis(1), title, Draft::default())?;
/// let state = log.observer().timeline::<Shared<Map>>("notes/7").expect("open").state();
/// assert_eq!(state.get("/title"), Some(&json!("Tea").into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct TimelineSet {
    timelines: IndexMap<Arc<str>, Box<dyn OpenTimeline>>,
    /// The timelines of the actions and undos that they know.
    owners: HashMap<ActionId, Arc<str>>,
    /// Undos whose action has not arrived, oldest first.
    early: VecDeque<Entry>,
    /// The timelines that may have requests for the log.
    active: IndexSet<Arc<str>>,
    /// The timelines whose state has changed.
    changed: IndexSet<Arc<str>>,
    /// The timelines that may have warnings.
    may_warn: IndexSet<Arc<str>>,
    /// The kinds of documents that were opened. The actions of a closed one are kept too.
    kinds: HashSet<Arc<str>>,
}

/// The number of undos that wait for their actions. The oldest are forgotten.
const MAX_EARLY: usize = 1_000;

/// A timeline of any reducer.
trait OpenTimeline: Observer + Send {
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    /// Whether the state has changed since the last call.
    fn take_is_changed(&mut self) -> bool;
    fn take_warning(&mut self) -> Option<TimelineWarning>;
    fn reversal(&self, id: &ActionId) -> Reversal;
    fn extended(&self, entry: &Entry, addition: &Action) -> Option<Action>;
    fn extend_action(&mut self, entry: &Entry);
    fn set_paused(&mut self, is_paused: bool);
    fn clear(&mut self);
}

impl<R> OpenTimeline for Timeline<R>
where
    R: NamedReducer<Action: Send, State: Send> + Send + 'static,
{
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn take_is_changed(&mut self) -> bool {
        self.take_changed_since().is_some()
    }

    fn take_warning(&mut self) -> Option<TimelineWarning> {
        Self::take_warning(self)
    }

    fn reversal(&self, id: &ActionId) -> Reversal {
        R::reversal(self, id)
    }

    fn extended(&self, entry: &Entry, addition: &Action) -> Option<Action> {
        R::extended(self, entry, addition)
    }

    fn extend_action(&mut self, entry: &Entry) {
        Self::extend_action(self, entry);
    }

    fn set_paused(&mut self, is_paused: bool) {
        Self::set_paused(self, is_paused);
    }

    fn clear(&mut self) {
        Self::clear(self);
    }
}

impl TimelineSet {
    /// Returns an open timeline with this name, if it has this reducer.
    pub fn timeline<R: Reducer + 'static>(&self, name: &str) -> Option<&Timeline<R>> {
        self.timelines.get(name)?.as_any().downcast_ref()
    }

    /// Returns an open timeline with this name, to change it.
    pub fn timeline_mut<R: Reducer + 'static>(&mut self, name: &str) -> Option<&mut Timeline<R>> {
        self.timelines.get_mut(name)?.as_any_mut().downcast_mut()
    }

    /// Returns the names of the open timelines, in the order in which they were opened.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.timelines.keys()
    }

    /// Returns the names of the timelines whose state has changed since the last call.
    pub fn take_changed(&mut self) -> impl Iterator<Item = Arc<str>> {
        core::mem::take(&mut self.changed).into_iter()
    }

    /// Returns the next warning of a timeline that has changed, with its name.
    pub fn take_warning(&mut self) -> Option<(Arc<str>, TimelineWarning)> {
        while let Some(name) = self.may_warn.last() {
            let warning = self.timelines.get_mut(name).and_then(|timeline| timeline.take_warning());
            if let Some(warning) = warning {
                return Some((name.clone(), warning));
            }
            self.may_warn.pop();
        }
        None
    }

    /// Returns how an action of the open timeline with this name is undone.
    pub fn reversal(&self, name: &str, id: &ActionId) -> Reversal {
        self.timelines.get(name).map_or(Reversal::Nothing, |timeline| timeline.reversal(id))
    }

    /// Returns an action of the open timeline with this name together with another one after it, as
    /// one action: [`NamedReducer::extended`].
    pub(crate) fn extended(&self, name: &str, entry: &Entry, addition: &Action) -> Option<Action> {
        self.timelines.get(name)?.extended(entry, addition)
    }

    /// Replaces an action of a timeline by a longer one with the same id.
    pub(crate) fn extend_action(&mut self, name: &Arc<str>, entry: &Entry) {
        self.pass(name, |timeline| timeline.extend_action(entry));
    }

    /// Postpones the update of a timeline's state, or updates it: the cost of many undos is that of
    /// one.
    pub(crate) fn set_paused(&mut self, name: &Arc<str>, is_paused: bool) {
        self.pass(name, |timeline| timeline.set_paused(is_paused));
    }

    /// Closes a timeline. Its actions stay in the log. Returns `false` if it is not open. O(number
    /// of known actions).
    pub fn close(&mut self, name: &str) -> bool {
        self.owners.retain(|_, owner| **owner != *name);
        self.changed.shift_remove(name);
        self.may_warn.shift_remove(name);
        self.active.shift_remove(name);
        self.timelines.shift_remove(name).is_some()
    }

    /// Empties the open timelines, for a log whose store was cleaned.
    pub(crate) fn clear(&mut self) {
        self.owners.clear();
        self.early.clear();
        self.active.clear();
        for (name, timeline) in &mut self.timelines {
            timeline.clear();
            self.changed.insert(name.clone());
        }
    }

    /// Returns the name of the timeline that an action concerns, whether it is open or not.
    fn owner_of(&self, action: &Action) -> Option<Arc<str>> {
        let kind = action.kind();
        if kind == logux::UNDO || kind == logux::PROCESSED {
            let id = action.str_field("id")?.parse::<ActionId>().ok()?;
            let undone = || self.owner_of(&Action::new(action.field("action")?).ok()?);
            return self.owners.get(&id).cloned().or_else(undone);
        }
        if logux::is_logux(kind) {
            return None;
        }
        let document = DocumentKey::of(action);
        if let Some((key, _)) = document.filter(|(key, _)| self.kinds.contains(key.kind())) {
            return Some(key.channel().clone());
        }
        let (plural, _) = kind.rsplit_once('/')?;
        self.timelines.get_key_value(plural).map(|(name, _)| name.clone())
    }

    fn pass(&mut self, name: &Arc<str>, change: impl FnOnce(&mut dyn OpenTimeline)) {
        let Some(timeline) = self.timelines.get_mut(name) else { return };
        change(&mut **timeline);
        self.active.insert(name.clone());
        self.may_warn.insert(name.clone());
        if timeline.take_is_changed() {
            self.changed.insert(name.clone());
        }
    }

    fn added_to(&mut self, name: &Arc<str>, entry: &Entry) {
        if entry.action.kind() != logux::PROCESSED && entry.meta.added.is_some() {
            self.owners.insert(entry.meta.id.clone(), name.clone());
        }
        self.pass(name, |timeline| timeline.added(entry));
        let is_of_entry = |undo: &Entry| {
            undo.action.str_field("id").as_deref() == Some(&*entry.meta.id.to_string())
        };
        if !self.early.is_empty()
            && let Some(index) = self.early.iter().position(is_of_entry)
            && let Some(undo) = self.early.remove(index)
        {
            self.added_to(name, &undo);
        }
    }
}

impl core::fmt::Debug for TimelineSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TimelineSet").field("names", &self.timelines.keys()).finish_non_exhaustive()
    }
}

impl Observer for TimelineSet {
    fn preadd(&mut self, action: &Action, meta: &mut Meta) {
        let Some(name) = self.owner_of(action) else { return };
        match self.timelines.get_mut(&name) {
            Some(timeline) => timeline.preadd(action, meta),
            // A closed document, until it is opened again.
            None if action.kind() != logux::PROCESSED => {
                push_once(&mut meta.reasons, name.clone());
                push_once(&mut meta.indexes, name.clone());
            }
            None => {}
        }
        if action.kind() == logux::UNDO {
            // So that it is read with its action.
            push_once(&mut meta.indexes, name);
        }
    }

    fn added(&mut self, entry: &Entry) {
        match self.owner_of(&entry.action) {
            Some(name) => self.added_to(&name, entry),
            None if entry.action.kind() == logux::UNDO && !self.timelines.is_empty() => {
                self.early.push_back(entry.clone());
                if self.early.len() > MAX_EARLY {
                    self.early.pop_front();
                }
            }
            None => {}
        }
    }

    fn cleaned(&mut self, entry: &Entry) {
        let owner = self.owners.remove(&entry.meta.id);
        if let Some(name) = owner.or_else(|| self.owner_of(&entry.action)) {
            self.pass(&name, |timeline| timeline.cleaned(entry));
        }
    }

    fn next_request(&mut self) -> Option<ObserverRequest> {
        while let Some(name) = self.active.last() {
            let request = self.timelines.get_mut(name).and_then(|timeline| timeline.next_request());
            if request.is_some() {
                return request;
            }
            self.active.pop();
        }
        None
    }
}

impl TimelineSet {
    /// Opens the timeline of a document, or of the records of a kind. `entries` are all entries of
    /// the log with the index [`name`](NamedReducer::name), in the order of creation, and
    /// `last_added` is the last `added` number of the log. Has no effect if it is open. O(number of
    /// entries).
    pub fn insert<R>(&mut self, reducer: R, entries: &[Entry], last_added: u64)
    where
        R: NamedReducer<Action: Send, State: Send> + Send + 'static,
    {
        let name = reducer.name().clone();
        if self.timelines.contains_key(&name) {
            return;
        }
        self.kinds.extend(reducer.kind().cloned());
        let mut timeline = Timeline::with_config(reducer, TimelineConfig::default());
        timeline.read_entries(entries, last_added);
        timeline.take_changed_since();
        self.owners.extend(entries.iter().map(|entry| (entry.meta.id.clone(), name.clone())));
        self.may_warn.insert(name.clone());
        self.timelines.insert(name, Box::new(timeline));
    }
}

impl<S: Store> Log<S, TimelineSet> {
    /// Opens the timeline of a document, or of the records of a kind, with the actions that the log
    /// has of it. Has no effect if it is open. O(number of its actions).
    ///
    /// # Errors
    /// If the store fails. The timeline is not open then.
    pub fn open<R>(&mut self, reducer: R) -> Result<(), LogError<S::Error>>
    where
        R: NamedReducer<Action: Send, State: Send> + Send + 'static,
    {
        let (entries, last_added) = self.entries_of(reducer.name())?;
        self.observer_mut().insert(reducer, &entries, last_added);
        Ok(())
    }

    /// Returns what [`TimelineSet::insert`] needs to open a timeline with this name.
    ///
    /// # Errors
    /// If the store fails.
    pub fn entries_of(&self, name: &Arc<str>) -> Result<(Vec<Entry>, u64), LogError<S::Error>> {
        let mut entries = Vec::new();
        if !self.observer().timelines.contains_key(name) {
            self.walk(&Query::created().oldest_first().index(name.clone()), |entry| {
                entries.push(entry.clone());
                core::ops::ControlFlow::Continue(())
            })?;
        }
        Ok((entries, self.last_added()?))
    }
}

/// How the effect of an action is undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reversal {
    /// The action has no effect, or one that cannot be undone.
    Nothing,
    /// By a `logux/undo`.
    Undo,
    /// By this action.
    Action(Action),
}

/// A [`Reducer`] whose actions have a common index in the log: a timeline of a [`TimelineSet`].
pub trait NamedReducer: Reducer {
    /// Returns the name: the index that the reducer gives to its actions.
    fn name(&self) -> &Arc<str>;

    /// Returns the kind of the document, if it is one. The actions of closed documents of the kind
    /// stay in the log. By default, returns `None`.
    fn kind(&self) -> Option<&Arc<str>> {
        None
    }

    /// Returns how an action, or an undo, of a timeline is undone. By default, by a `logux/undo`
    /// as long as it has an effect and is not settled.
    fn reversal(timeline: &Timeline<Self>, id: &ActionId) -> Reversal
    where
        Self: Sized,
    {
        if timeline.can_undo(id) { Reversal::Undo } else { Reversal::Nothing }
    }

    /// Returns one action that does what `entry`, an own action in effect that no other node has
    /// received, and `addition`, made of the current state, do one after the other. `None` if they
    /// have to stay two actions, as by default.
    ///
    /// The action has the id of `entry`. A state with `entry` must become the same by the returned
    /// action as a state without it, as those of types that merge do.
    fn extended(timeline: &Timeline<Self>, entry: &Entry, addition: &Action) -> Option<Action>
    where
        Self: Sized,
    {
        let _ = (timeline, entry, addition);
        None
    }
}
