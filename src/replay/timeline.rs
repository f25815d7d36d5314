//! The state of a log under a reducer.

use super::{
    Coverage, Diff, Malformed, Obsolete, Reducer, TimelineConfig, TimelineWarning,
    checkpoints::Checkpoints,
    steps::{Step, Steps},
    undos::Undos,
    warning::TimelineWarnings,
};
use crate::{
    action::{Action, ActionId, Stamp, logux},
    store::{Entry, Query, Store},
};

/// The state of a log under a [`Reducer`], with its history.
///
/// An action that is later than all others is applied. A late action is inserted at its position in
/// history, and the following ones are applied again from the nearest saved state; at a distance
/// *d* from the end, this costs O(d), independently of the length of history. `logux/undo` removes
/// the effect of an action, even if the undo arrives first; undoing the undo makes the action
/// effective again.
///
/// The state does not depend on the order in which actions arrive. Adding an action again has no
/// effect.
///
/// # Calling
/// As the observer of a [`Log`](crate::Log), a timeline needs no calls except
/// [`Log::state`](crate::Log::state). Without a log, call [`add`](Self::add), or
/// [`extend`](Self::extend) for many actions. [`take_changes`](Self::take_changes) returns what to
/// draw again, [`take_warning`](Self::take_warning) the problems.
pub struct Timeline<R: Reducer> {
    pub(super) reducer: R,
    pub(super) config: TimelineConfig,
    /// The state before the first step, and the stamp of the last action that is part of it.
    pub(super) base: R::State,
    pub(super) horizon: Option<Stamp>,
    pub(super) steps: Steps<R::Action>,
    pub(super) undos: Undos,
    /// The actions that the latest snapshot action includes, and the stamp of this snapshot.
    pub(super) coverage: Coverage,
    pub(super) settled: Option<Stamp>,
    pub(super) checkpoints: Checkpoints<R::State>,
    pub(super) state: R::State,
    /// The index of the first step that the state does not reflect.
    pub(super) stale: Option<usize>,
    is_incomplete: bool,
    /// Whether the state waits for the end of a batch.
    pub(super) is_paused: bool,
    /// The earliest position that changed since the changes were last taken, and the state at that
    /// time.
    changed: Option<Stamp>,
    diffed: R::State,
    warnings: TimelineWarnings,
    /// The number of steps that were removed from the log but are not part of the base.
    pub(super) cleaned: usize,
    pub(super) retainer: super::retention::Retainer<R::Action>,
}

/// The changes of a timeline between two calls of [`Timeline::take_changes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes<P> {
    /// The earliest position in history that changed.
    pub since: Stamp,
    /// The parts of the state that differ.
    pub parts: Vec<P>,
}

/// The size of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineStats {
    /// The number of actions that can be replayed.
    pub steps: usize,
    /// The number of these actions that were removed from the log.
    pub cleaned: usize,
    /// The number of saved states. They share memory if clones of a state do.
    pub checkpoints: usize,
    /// The largest number of actions that have to be applied again to compute a past state.
    pub longest_gap: usize,
}

impl<R: Reducer> Timeline<R> {
    /// Creates an empty timeline with the default [`TimelineConfig`].
    pub fn new(reducer: R) -> Self {
        Self::with_config(reducer, TimelineConfig::default())
    }

    /// Creates an empty timeline.
    pub fn with_config(reducer: R, config: TimelineConfig) -> Self {
        let base = reducer.initial();
        Self::from_base(reducer, config, base, None)
    }

    pub(super) fn from_base(
        reducer: R,
        config: TimelineConfig,
        base: R::State,
        horizon: Option<Stamp>,
    ) -> Self {
        Self {
            checkpoints: Checkpoints::new(&config),
            retainer: super::retention::Retainer::default(),
            steps: Steps::new(),
            undos: Undos::default(),
            coverage: Coverage::default(),
            settled: None,
            is_incomplete: false,
            is_paused: false,
            state: base.clone(),
            diffed: base.clone(),
            stale: None,
            changed: None,
            warnings: TimelineWarnings::default(),
            cleaned: 0,
            reducer,
            config,
            base,
            horizon,
        }
    }

    /// Creates the timeline of all entries of a store. O(n).
    ///
    /// # Errors
    /// If the store fails.
    pub fn read<S: Store>(reducer: R, config: TimelineConfig, store: &S) -> Result<Self, S::Error> {
        let mut timeline = Self::with_config(reducer, config);
        timeline.read_query(store, &Query::created().oldest_first())?;
        timeline.changed = None;
        timeline.diffed = timeline.state.clone();
        Ok(timeline)
    }

    pub(super) fn read_query<S: Store>(
        &mut self,
        store: &S,
        query: &Query,
    ) -> Result<(), S::Error> {
        let last_added = store.last_added()?;
        store.walk(query, &mut |entry| {
            self.insert_entry(entry);
            self.resume(entry, last_added);
            core::ops::ControlFlow::Continue(())
        })?;
        self.sort_resumed();
        self.update_state();
        Ok(())
    }

    /// Adds entries that the log had before.
    pub(super) fn read_entries(&mut self, entries: &[Entry], last_added: u64) {
        for entry in entries {
            self.insert_entry(entry);
            self.resume(entry, last_added);
        }
        self.sort_resumed();
        self.update_state();
    }

    /// Forgets everything but the reducer and the configuration.
    pub(crate) fn clear(&mut self) {
        let base = self.reducer.initial();
        self.checkpoints = Checkpoints::new(&self.config);
        self.retainer = super::retention::Retainer::default();
        self.steps = Steps::new();
        self.undos = Undos::default();
        self.coverage = Coverage::default();
        self.settled = None;
        self.is_incomplete = false;
        self.state = base.clone();
        self.diffed = base.clone();
        self.stale = None;
        self.changed = None;
        self.warnings = TimelineWarnings::default();
        self.cleaned = 0;
        self.base = base;
        self.horizon = None;
    }

    /// Returns the current state.
    pub const fn state(&self) -> &R::State {
        &self.state
    }

    /// Returns the reducer.
    pub const fn reducer(&self) -> &R {
        &self.reducer
    }

    /// Returns the configuration.
    pub const fn config(&self) -> &TimelineConfig {
        &self.config
    }

    /// Returns the stamp of the latest action.
    pub fn newest(&self) -> Option<&Stamp> {
        self.steps.iter().next_back().map(|step| &step.stamp).or(self.horizon.as_ref())
    }

    /// Returns the stamp of the last action that is part of the base. An earlier action is reported
    /// as [`TimelineWarning::MissedHistory`], unless the reducer commutes.
    pub const fn horizon(&self) -> Option<&Stamp> {
        self.horizon.as_ref()
    }

    /// Returns `true` if the state may differ from that of other replicas, because an action or an
    /// undo arrived after the history that it belongs to was forgotten, or because a snapshot
    /// cannot be read. Read the whole log, or request a snapshot.
    pub const fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// Returns the actions that are part of the latest snapshot, which cannot be undone.
    pub const fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Returns `true` if the timeline can replay an action at this position. O(log n).
    pub fn contains(&self, stamp: &Stamp) -> bool {
        self.steps.find(stamp).is_ok()
    }

    /// Returns `true` if an action is undone.
    pub fn is_undone(&self, id: &ActionId) -> bool {
        self.undos.is_undone(id)
    }

    /// Returns the stamps of all actions that can be replayed, oldest first, and whether they are
    /// in effect.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = (&Stamp, bool)> {
        self.steps
            .iter()
            .filter(|step| step.action.is_some())
            .map(|step| (&step.stamp, !step.undone))
    }

    /// Computes the state right after the position `stamp`, from the actions known now. Applies at
    /// most [`TimelineConfig::save_gap`] actions, or twice that after late actions.
    pub fn state_at(&self, stamp: &Stamp) -> R::State {
        self.state_after(self.steps.count_until(stamp))
    }

    pub(super) fn state_after(&self, count: usize) -> R::State {
        if count == self.steps.len() && self.stale.is_none() {
            return self.state.clone();
        }
        let (from, state) = self.checkpoints.before(count).unwrap_or((0, &self.base));
        let mut state = state.clone();
        for step in self.steps.range(from, count) {
            apply_step(&self.reducer, &mut state, step);
        }
        state
    }

    /// Adds an action. For the cost, see [`Timeline`].
    #[inline]
    pub fn add(&mut self, entry: &Entry) {
        self.insert_entry(entry);
        if !self.is_paused {
            self.update_state();
        }
    }

    /// Adds many actions, and replays once.
    pub fn extend<'a>(&mut self, entries: impl IntoIterator<Item = &'a Entry>) {
        entries.into_iter().for_each(|entry| self.insert_entry(entry));
        self.update_state();
    }

    /// Adds an action that was already read by the same reducer.
    #[inline]
    pub fn add_read(&mut self, stamp: Stamp, action: R::Action) {
        self.insert_action(stamp, action);
        self.update_state();
    }

    /// Adds an action without updating the state.
    pub(super) fn insert_entry(&mut self, entry: &Entry) {
        if let (Some(tab), Some(own_tab)) = (entry.meta.extra.get("tab"), &self.config.tab)
            && tab.parse::<String>().ok().as_ref() != Some(own_tab)
        {
            return;
        }
        if entry.action.kind() == logux::UNDO {
            return self.insert_undo(entry);
        }
        if logux::is_logux(entry.action.kind()) {
            return;
        }
        if self.reducer.is_snapshot(&entry.action, &entry.meta.id) {
            return self.insert_snapshot(entry);
        }
        match self
            .retainer
            .take_read(&entry.meta.id)
            .unwrap_or_else(|| self.reducer.read(&entry.action))
        {
            Ok(Some(action)) => self.insert_action(entry.meta.stamp(), action),
            Ok(None) => {}
            Err(error) => {
                self.warnings.push(TimelineWarning::Malformed(entry.meta.id.clone(), error))
            }
        }
    }

    fn insert_snapshot(&mut self, entry: &Entry) {
        match self.reducer.read_snapshot(entry) {
            Ok(settlement) => self.settle(&entry.meta.stamp(), settlement),
            Err(error) => {
                self.is_incomplete = true;
                self.warnings.push(TimelineWarning::Malformed(entry.meta.id.clone(), error));
            }
        }
    }

    #[inline]
    fn insert_action(&mut self, stamp: Stamp, action: R::Action) {
        let index = match self.steps.find(&stamp) {
            Err(index) => index,
            Ok(index) => return self.revive(index, action),
        };
        if self.steps.has_other_time(&stamp) {
            return;
        }
        if self.coverage.is_final(stamp.id()) {
            return self.release(stamp.id());
        }
        let undone = self.undos.is_undone(stamp.id());
        let commutes = self.reducer.commutes();
        if index == 0 && !commutes && self.horizon.as_ref().is_some_and(|horizon| stamp < *horizon)
        {
            self.is_incomplete = true;
            self.warnings.push(TimelineWarning::MissedHistory(stamp.id().clone()));
        }
        self.mark_changed(&stamp);
        let step = Step { stamp, action: Some(action), undone, cleaned: false, settled: false };
        let last = index == self.steps.len();
        let late = !last && !undone && !commutes;
        if self.stale.is_none() && !late {
            apply_step(&self.reducer, &mut self.state, &step);
        }
        if !last && !late {
            self.checkpoints.insert_step(index, |state| apply_step(&self.reducer, state, &step));
        }
        self.steps.insert(index, step);
        if late {
            self.stale = Some(self.stale.map_or(index, |stale| stale.min(index)));
        } else if let Some(stale) = &mut self.stale {
            *stale = (*stale).min(index);
        } else if last {
            self.checkpoints.save_if_due(index + 1, index + 1, &self.state);
        }
        if !last
            && !late
            && let Some(middle) = self.checkpoints.split_point(index, self.steps.len())
        {
            let state = self.state_after(middle);
            self.checkpoints.insert_state(middle, state);
        }
    }

    fn insert_undo(&mut self, entry: &Entry) {
        let target = entry.action.str_field("id").and_then(|id| id.parse().ok());
        let Some(target) = target else {
            let error = Malformed::new("expected \"id\" with the id of an action in logux/undo");
            return self.warnings.push(TimelineWarning::Malformed(entry.meta.id.clone(), error));
        };
        if self.coverage.is_final_undo(&entry.meta.id, &target) {
            return self.release(&entry.meta.id);
        }
        if self.is_settled(&target) {
            self.warnings.push(TimelineWarning::SettledUndo(entry.meta.id.clone()));
        } else if self.may_be_in_base(&target) {
            self.is_incomplete = true;
            self.warnings.push(TimelineWarning::MissedUndo(entry.meta.id.clone()));
        }
        self.change_undos(|undos, toggled| undos.add(&entry.meta.id, target, toggled));
    }

    /// Returns `true` if an action may be part of the base.
    fn may_be_in_base(&self, id: &ActionId) -> bool {
        let old = self
            .horizon
            .as_ref()
            .is_some_and(|horizon| Stamp::new(id.time(), id.clone()) <= *horizon);
        old && self.steps.index_of(id).is_none() && self.undos.target(id).is_none()
    }

    pub(super) fn change_undos(
        &mut self,
        change: impl FnOnce(&mut Undos, &mut dyn FnMut(&ActionId)),
    ) {
        let mut undos = core::mem::take(&mut self.undos);
        change(&mut undos, &mut |id| self.toggle_undone(id));
        self.undos = undos;
    }

    /// Records that an action is undone now and was not, or the other way around.
    fn toggle_undone(&mut self, id: &ActionId) {
        let Some(index) = self.steps.index_of(id) else { return };
        let Some(step) = self.steps.get_mut(index).filter(|step| step.action.is_some()) else {
            return;
        };
        step.undone = !step.undone;
        let stamp = step.stamp.clone();
        self.mark_changed(&stamp);
        self.stale = Some(self.stale.map_or(index, |stale| stale.min(index)));
    }

    #[inline]
    pub(super) fn mark_changed(&mut self, stamp: &Stamp) {
        if self.changed.as_ref().is_none_or(|changed| *stamp < *changed) {
            self.changed = Some(stamp.clone());
        }
    }

    /// Updates the state, from the nearest saved state before the first changed step.
    #[inline]
    pub(super) fn update_state(&mut self) {
        if let Some(stale) = self.stale.take() {
            self.replay_from(stale);
        }
    }

    fn replay_from(&mut self, stale: usize) {
        self.checkpoints.remove_after(stale);
        let (from, state) = self.checkpoints.before(stale).unwrap_or((0, &self.base));
        self.state.clone_from(state);
        let end = self.steps.len();
        for (index, step) in (from..).zip(self.steps.range(from, end)) {
            apply_step(&self.reducer, &mut self.state, step);
            self.checkpoints.save_if_due(index + 1, end, &self.state);
        }
    }

    /// Returns the earliest position in history that changed since the last call of
    /// [`take_changes`](Self::take_changes) or [`take_changed_since`](Self::take_changed_since).
    pub const fn changed_since(&self) -> Option<&Stamp> {
        self.changed.as_ref()
    }

    /// Returns the same as [`changed_since`](Self::changed_since), and resets it. For callers that
    /// compare whole states.
    pub const fn take_changed_since(&mut self) -> Option<Stamp> {
        self.changed.take()
    }

    /// Returns the next warning. At most the latest 100 are queued.
    pub fn take_warning(&mut self) -> Option<TimelineWarning> {
        self.warnings.pop()
    }

    /// Returns the number of warnings that were dropped because the queue was full.
    pub const fn dropped_warnings(&self) -> u64 {
        self.warnings.dropped()
    }

    /// Returns the size of the timeline. O(number of saved states).
    pub fn stats(&self) -> TimelineStats {
        TimelineStats {
            steps: self.steps.used(),
            cleaned: self.cleaned,
            checkpoints: self.checkpoints.len(),
            longest_gap: self.checkpoints.longest_gap(self.steps.len()),
        }
    }

    /// Marks the action at `stamp` as settled, and reports the actions that are obsolete because of
    /// it.
    pub(super) fn obsolete_by(&mut self, stamp: &Stamp, report: &mut dyn FnMut(Obsolete)) {
        let Ok(index) = self.steps.find(stamp) else { return };
        self.mark_settled(stamp);
        let settled = |stamp: &Stamp| {
            self.steps
                .find(stamp)
                .map_or(true, |at| self.steps.get(at).is_none_or(|step| step.settled))
        };
        if let Some(Step { action: Some(action), undone: false, .. }) = self.steps.get(index) {
            self.reducer.obsolete(&self.state, action, stamp, &settled, report);
        }
    }

    /// Records that an action cannot be undone any more.
    pub(super) fn mark_settled(&mut self, stamp: &Stamp) {
        if let Ok(index) = self.steps.find(stamp)
            && let Some(step) = self.steps.get_mut(index)
        {
            step.settled = true;
        }
    }

    /// Reads an action that is about to be added.
    pub(super) fn read_action(&self, action: &Action) -> Result<Option<R::Action>, Malformed> {
        self.reducer.read(action)
    }

    /// Checks that the state and all saved states are those of the steps. For tests and fuzzers.
    /// O(n).
    ///
    /// # Panics
    /// If they are not.
    pub fn assert_invariants(&self)
    where
        R::State: PartialEq + core::fmt::Debug,
    {
        assert!(self.stale.is_none(), "the state is up to date");
        let stamps: Vec<_> = self.steps.iter().map(|step| &step.stamp).collect();
        assert!(stamps.is_sorted_by(|a, b| a < b), "stamps are strictly ascending");
        assert_eq!(
            self.cleaned,
            self.steps.iter().filter(|step| step.cleaned).count(),
            "the number of cleaned steps is right"
        );
        let mut state = self.base.clone();
        let check = |count: usize, state: &R::State| {
            if let Some((saved_count, saved)) = self.checkpoints.before(count)
                && saved_count == count
            {
                assert_eq!(saved, state, "the saved state after {count} steps is right");
            }
        };
        for (index, step) in self.steps.iter().enumerate() {
            assert!(
                step.action.is_none() || step.undone == self.undos.is_undone(step.stamp.id()),
                "steps and undos agree"
            );
            apply_step(&self.reducer, &mut state, step);
            check(index + 1, &state);
        }
        assert_eq!(state, self.state, "the state is the result of the steps");
        assert!(
            self.checkpoints.longest_gap(self.steps.len()) <= TimelineConfig::MAX_GAP + 1,
            "gaps between saved states are bounded"
        );
    }
}

impl<R: Diff> Timeline<R> {
    /// Returns the changes since the last call, or `None` if nothing changed. The cost is that of
    /// [`Diff::diff`].
    pub fn take_changes(&mut self) -> Option<Changes<R::Part>> {
        let since = self.changed.take()?;
        let mut parts = Vec::new();
        self.reducer.diff(&self.diffed, &self.state, &mut |part| parts.push(part));
        self.diffed = self.state.clone();
        Some(Changes { since, parts })
    }
}

#[inline]
pub(super) fn apply_step<R: Reducer>(reducer: &R, state: &mut R::State, step: &Step<R::Action>) {
    match &step.action {
        Some(action) if step.undone => reducer.apply_undone(state, action, &step.stamp),
        Some(action) => reducer.apply(state, action, &step.stamp),
        None => {}
    }
}

impl<R: Reducer> core::fmt::Debug for Timeline<R>
where
    R::State: core::fmt::Debug,
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Timeline")
            .field("state", &self.state)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
