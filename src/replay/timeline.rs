//! The state of a log under a reducer.

use super::{
    Diff, Malformed, Obsolete, Reducer, TimelineConfig, TimelineWarning,
    checkpoints::Checkpoints,
    steps::{Step, Steps},
    undos::Undos,
    warning::TimelineWarnings,
};
use crate::{
    action::{Action, ActionId, Stamp, logux},
    store::{Entry, Query, Store},
};

/// The state of a log under a [`Reducer`], with its past.
///
/// An action that is newer than all others is applied. A late one is slotted into its place in history, and what follows is applied again,
/// from the nearest saved state: at a distance *d* from the end that costs O(d), whatever the length of history. `logux/undo`
/// takes an action out as if it never was, also when it comes before its action; the undo of an undo brings it back.
///
/// It does not matter in which order actions come: the state is that of the set. Adding what is there already does nothing.
///
/// # Calling
/// As the observer of a [`Log`](crate::Log) it needs no calls but [`Log::state`](crate::Log::state). On its own: [`add`](Self::add) or, for
/// many at once, [`extend`](Self::extend). [`take_changes`](Self::take_changes) says what to draw again, [`take_warning`](Self::take_warning) what could not
/// be done.
pub struct Timeline<R: Reducer> {
    pub(super) reducer: R,
    pub(super) config: TimelineConfig,
    /// The state before the first step, and the last action that is part of it for good.
    pub(super) base: R::State,
    pub(super) horizon: Option<Stamp>,
    pub(super) steps: Steps<R::Action>,
    pub(super) undos: Undos,
    checkpoints: Checkpoints<R::State>,
    state: R::State,
    /// From which step on the state has to be made anew.
    stale: Option<usize>,
    /// The earliest place that changed since somebody asked, and the state at that time.
    changed: Option<Stamp>,
    seen: R::State,
    warnings: TimelineWarnings,
    /// Steps that the log has forgotten, and that are not part of the base.
    cleaned: usize,
    pub(super) retainer: super::retention::Retainer<R::Action>,
}

/// What changed between two looks at a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes<P> {
    /// The earliest place in history that changed; everything before is as it was.
    pub since: Stamp,
    /// What differs in the state.
    pub parts: Vec<P>,
}

/// What a timeline holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineStats {
    /// Actions that can be replayed.
    pub steps: usize,
    /// Of these, actions that the log has forgotten.
    pub cleaned: usize,
    /// Saved states. They share what the clones of a state share.
    pub checkpoints: usize,
    /// The most actions that have to be applied again to see a state of the past.
    pub longest_gap: usize,
}

impl<R: Reducer> Timeline<R> {
    /// An empty timeline with the default [`TimelineConfig`].
    pub fn new(reducer: R) -> Self {
        Self::with_config(reducer, TimelineConfig::default())
    }

    /// An empty timeline.
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
            state: base.clone(),
            seen: base.clone(),
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

    /// The timeline of everything in a store. O(n).
    ///
    /// # Errors
    /// When the store fails.
    pub fn read<S: Store>(reducer: R, config: TimelineConfig, store: &S) -> Result<Self, S::Error> {
        let mut timeline = Self::with_config(reducer, config);
        timeline.read_on(store, &Query::created().oldest_first())?;
        timeline.changed = None;
        timeline.seen = timeline.state.clone();
        Ok(timeline)
    }

    pub(super) fn read_on<S: Store>(&mut self, store: &S, query: &Query) -> Result<(), S::Error> {
        let last_added = store.last_added()?;
        store.walk(query, &mut |entry| {
            self.accept(entry);
            self.resume(entry, last_added);
            core::ops::ControlFlow::Continue(())
        })?;
        self.sort_resumed();
        self.settle();
        Ok(())
    }

    /// The state now.
    pub const fn state(&self) -> &R::State {
        &self.state
    }

    /// The reducer.
    pub const fn reducer(&self) -> &R {
        &self.reducer
    }

    /// The settings.
    pub const fn config(&self) -> &TimelineConfig {
        &self.config
    }

    /// The latest action.
    pub fn newest(&self) -> Option<&Stamp> {
        self.steps.iter().next_back().map(|step| &step.stamp).or(self.horizon.as_ref())
    }

    /// The last action that nothing can come before any more without being [`TimelineWarning::MissedHistory`].
    pub const fn horizon(&self) -> Option<&Stamp> {
        self.horizon.as_ref()
    }

    /// Whether an action is taken back.
    pub fn is_undone(&self, id: &ActionId) -> bool {
        self.undos.is_undone(id)
    }

    /// The places of all actions that can be replayed, oldest first, and whether they are in effect.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = (&Stamp, bool)> {
        self.steps
            .iter()
            .filter(|step| step.action.is_some())
            .map(|step| (&step.stamp, !step.undone))
    }

    /// The state as it was, by what is known now, right after the action at `stamp` or where that would be. Costs at most
    /// [`TimelineConfig::save_gap`] applied actions, twice that where late actions have come.
    pub fn state_at(&self, stamp: &Stamp) -> R::State {
        self.state_after(self.steps.until(stamp))
    }

    pub(super) fn state_after(&self, count: usize) -> R::State {
        if count == self.steps.len() && self.stale.is_none() {
            return self.state.clone();
        }
        let (from, state) = self.checkpoints.before(count).unwrap_or((0, &self.base));
        let mut state = state.clone();
        for step in self.steps.range(from, count) {
            run(&self.reducer, &mut state, step);
        }
        state
    }

    /// Adds an action. What it costs is said at [`Timeline`].
    #[inline]
    pub fn add(&mut self, entry: &Entry) {
        self.accept(entry);
        self.settle();
    }

    /// Adds many actions, and replays once.
    pub fn extend<'a>(&mut self, entries: impl IntoIterator<Item = &'a Entry>) {
        entries.into_iter().for_each(|entry| self.accept(entry));
        self.settle();
    }

    /// Adds an action that was read before, by the same reducer.
    #[inline]
    pub fn add_read(&mut self, stamp: Stamp, action: R::Action) {
        self.place(stamp, action);
        self.settle();
    }

    /// Adds an action without making the state of it.
    pub(super) fn accept(&mut self, entry: &Entry) {
        if let (Some(tab), Some(own)) = (entry.meta.extra.get("tab"), &self.config.tab)
            && tab.parse::<String>().ok().as_ref() != Some(own)
        {
            return;
        }
        if entry.action.kind() == logux::UNDO {
            return self.accept_undo(entry);
        }
        if logux::is_logux(entry.action.kind()) {
            return;
        }
        match self
            .retainer
            .take_read(&entry.meta.id)
            .unwrap_or_else(|| self.reducer.read(&entry.action))
        {
            Ok(Some(action)) => self.place(entry.meta.stamp(), action),
            Ok(None) => {}
            Err(why) => self.warnings.push(TimelineWarning::Malformed(entry.meta.id.clone(), why)),
        }
    }

    #[inline]
    fn place(&mut self, stamp: Stamp, action: R::Action) {
        let Err(index) = self.steps.find(&stamp) else { return };
        if self.steps.has_elsewhere(&stamp) {
            return;
        }
        let undone = self.undos.is_undone(stamp.id());
        let commutes = self.reducer.commutes();
        if index == 0 && !commutes && self.horizon.as_ref().is_some_and(|horizon| stamp < *horizon)
        {
            self.warnings.push(TimelineWarning::MissedHistory(stamp.id().clone()));
        }
        self.touched(&stamp);
        let step = Step { stamp, action: Some(action), undone, cleaned: false, settled: false };
        let last = index == self.steps.len();
        let late = !last && !undone && !commutes;
        if self.stale.is_none() && !late {
            run(&self.reducer, &mut self.state, &step);
        }
        if !last && !late {
            self.checkpoints.insert(index, |state| run(&self.reducer, state, &step));
        }
        self.steps.insert(index, step);
        if late {
            self.stale = Some(self.stale.map_or(index, |stale| stale.min(index)));
        } else if let Some(stale) = &mut self.stale {
            *stale = (*stale).min(index);
        } else if last {
            self.checkpoints.offer(index + 1, index + 1, &self.state);
        }
        if !last
            && !late
            && let Some(middle) = self.checkpoints.overgrown(index, self.steps.len())
        {
            let state = self.state_after(middle);
            self.checkpoints.put(middle, state);
        }
    }

    fn accept_undo(&mut self, entry: &Entry) {
        let target = entry.action.str_field("id").and_then(|id| id.parse().ok());
        let Some(target) = target else {
            let why = Malformed::new("expected \"id\" with the id of an action in logux/undo");
            return self.warnings.push(TimelineWarning::Malformed(entry.meta.id.clone(), why));
        };
        if self.settled_before(&target) {
            self.warnings.push(TimelineWarning::MissedUndo(entry.meta.id.clone()));
        }
        self.change_undos(|undos, flipped| undos.add(&entry.meta.id, target, flipped));
    }

    /// Whether an action is so old that it can be a part of the base.
    fn settled_before(&self, id: &ActionId) -> bool {
        let old = self
            .horizon
            .as_ref()
            .is_some_and(|horizon| Stamp::new(id.time(), id.clone()) <= *horizon);
        old && self.steps.of(id).is_none() && self.undos.target(id).is_none()
    }

    pub(super) fn change_undos(
        &mut self,
        change: impl FnOnce(&mut Undos, &mut dyn FnMut(&ActionId)),
    ) {
        let mut undos = core::mem::take(&mut self.undos);
        change(&mut undos, &mut |id| self.flip(id));
        self.undos = undos;
    }

    /// An action is undone now and was not, or the other way around.
    fn flip(&mut self, id: &ActionId) {
        let Some(index) = self.steps.of(id) else { return };
        let Some(step) = self.steps.get_mut(index).filter(|step| step.action.is_some()) else {
            return;
        };
        step.undone = !step.undone;
        let stamp = step.stamp.clone();
        self.touched(&stamp);
        self.stale = Some(self.stale.map_or(index, |stale| stale.min(index)));
    }

    #[inline]
    fn touched(&mut self, stamp: &Stamp) {
        if self.changed.as_ref().is_none_or(|changed| *stamp < *changed) {
            self.changed = Some(stamp.clone());
        }
    }

    /// Makes the state of the steps, from the nearest saved state on.
    #[inline]
    pub(super) fn settle(&mut self) {
        if let Some(stale) = self.stale.take() {
            self.replay_from(stale);
        }
    }

    fn replay_from(&mut self, stale: usize) {
        self.checkpoints.forget_behind(stale);
        let (from, state) = self.checkpoints.before(stale).unwrap_or((0, &self.base));
        self.state.clone_from(state);
        let end = self.steps.len();
        for (index, step) in (from..).zip(self.steps.range(from, end)) {
            run(&self.reducer, &mut self.state, step);
            self.checkpoints.offer(index + 1, end, &self.state);
        }
    }

    /// The log has forgotten an action. The state stays as it is: what was done stays done, what was undone stays undone.
    pub(super) fn forget(&mut self, id: &ActionId) {
        let Some(index) = self.steps.of(id) else {
            // An undo is remembered as long as what it undoes, or as long as the log keeps it when that has not come.
            if self.undos.aim(id).is_some_and(|target| self.steps.of(target).is_none()) {
                self.change_undos(|undos, flipped| undos.remove(id, flipped));
                self.settle();
            }
            return;
        };
        let Some(step) =
            self.steps.get_mut(index).filter(|step| step.action.is_some() && !step.cleaned)
        else {
            return;
        };
        if self.reducer.commutes() {
            if !step.undone {
                let step = &*step;
                run(&self.reducer, &mut self.base, step);
                self.checkpoints.absorb(index, |state| run(&self.reducer, state, step));
            }
            self.steps.free(index);
            self.forget_undos_of(id);
            if self.steps.is_sparse() {
                let free = self.steps.close_up();
                self.checkpoints.renumber(|count| Some(count - free[count]));
            }
        } else {
            step.cleaned = true;
            self.cleaned += 1;
            self.fix_oldest();
        }
    }

    /// Makes the oldest steps part of the base, as long as the log has forgotten them, or there are too many forgotten ones.
    fn fix_oldest(&mut self) {
        let mut fixed = 0;
        while let Some(first) = self.steps.get(0)
            && (first.cleaned || self.cleaned > self.config.max_cleaned)
        {
            run(&self.reducer, &mut self.base, first);
            let Some(step) = self.steps.pop_front() else { break };
            self.cleaned -= usize::from(step.cleaned);
            fixed += 1;
            self.forget_undos_of(step.stamp.id());
            self.horizon = Some(step.stamp);
        }
        if fixed > 0 {
            self.checkpoints.renumber(|count| count.checked_sub(fixed).filter(|count| *count > 0));
        }
    }

    /// Forgets the undos of an action that is gone, and the undos of those.
    fn forget_undos_of(&mut self, id: &ActionId) {
        let mut gone = vec![id.clone()];
        while let Some(id) = gone.pop() {
            for undo in self.undos.by_target(&id).to_vec() {
                self.undos.remove(&undo, &mut |_| {});
                gone.push(undo);
            }
        }
    }

    /// The earliest place in history that changed since [`take_changes`](Self::take_changes) was called.
    pub const fn changed_since(&self) -> Option<&Stamp> {
        self.changed.as_ref()
    }

    /// As [`changed_since`](Self::changed_since), and begins anew: for those who look at the state as a whole.
    pub const fn take_changed_since(&mut self) -> Option<Stamp> {
        self.changed.take()
    }

    /// The next thing that could not be done as asked. At most the latest 100 wait here.
    pub fn take_warning(&mut self) -> Option<TimelineWarning> {
        self.warnings.pop()
    }

    /// How many reports nobody took in time.
    pub const fn dropped_reports(&self) -> u64 {
        self.warnings.dropped()
    }

    /// What the timeline holds. O(number of saved states).
    pub fn stats(&self) -> TimelineStats {
        TimelineStats {
            steps: self.steps.used(),
            cleaned: self.cleaned,
            checkpoints: self.checkpoints.len(),
            longest_gap: self.checkpoints.longest_gap(self.steps.len()),
        }
    }

    /// Which reasons of which actions are not needed any more because of the action at `stamp`, which is settled.
    pub(super) fn obsolete_by(&mut self, stamp: &Stamp, tell: &mut dyn FnMut(Obsolete)) {
        let Ok(index) = self.steps.find(stamp) else { return };
        self.mark_settled(stamp);
        let settled = |stamp: &Stamp| {
            self.steps
                .find(stamp)
                .map_or(true, |at| self.steps.get(at).is_none_or(|step| step.settled))
        };
        if let Some(Step { action: Some(action), undone: false, .. }) = self.steps.get(index) {
            self.reducer.obsolete(&self.state, action, stamp, &settled, tell);
        }
    }

    /// Nobody can take this action back any more.
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

    /// Checks that the state is that of the steps, and that no saved state is another one. For tests and fuzzers. O(n).
    ///
    /// # Panics
    /// When it is not.
    pub fn assert_invariants(&self)
    where
        R::State: PartialEq + core::fmt::Debug,
    {
        assert!(self.stale.is_none(), "the state is made");
        let stamps: Vec<_> = self.steps.iter().map(|step| &step.stamp).collect();
        assert!(stamps.is_sorted_by(|a, b| a < b), "steps are in order and different");
        assert_eq!(
            self.cleaned,
            self.steps.iter().filter(|step| step.cleaned).count(),
            "cleaned steps are counted"
        );
        let mut state = self.base.clone();
        let check = |count: usize, state: &R::State| {
            if let Some((own, saved)) = self.checkpoints.before(count)
                && own == count
            {
                assert_eq!(saved, state, "the state saved after {count} steps is the one then");
            }
        };
        for (index, step) in self.steps.iter().enumerate() {
            assert!(
                step.action.is_none() || step.undone == self.undos.is_undone(step.stamp.id()),
                "steps know what is undone"
            );
            run(&self.reducer, &mut state, step);
            check(index + 1, &state);
        }
        assert_eq!(state, self.state, "the state is that of the steps");
        assert!(
            self.checkpoints.longest_gap(self.steps.len()) <= TimelineConfig::MAX_GAP + 1,
            "no past state is far away"
        );
    }
}

impl<R: Diff> Timeline<R> {
    /// What changed since the last call; `None` if nothing came. Costs what differs.
    pub fn take_changes(&mut self) -> Option<Changes<R::Part>> {
        let since = self.changed.take()?;
        let mut parts = Vec::new();
        self.reducer.diff(&self.seen, &self.state, &mut |part| parts.push(part));
        self.seen = self.state.clone();
        Some(Changes { since, parts })
    }
}

#[inline]
fn run<R: Reducer>(reducer: &R, state: &mut R::State, step: &Step<R::Action>) {
    if let Some(action) = step.action.as_ref().filter(|_| !step.undone) {
        reducer.apply(state, action, &step.stamp);
    }
}

impl<R: Reducer> core::fmt::Debug for Timeline<R>
where
    R::State: core::fmt::Debug,
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Timeline")
            .field("state", &self.state)
            .field("usage", &self.stats())
            .finish_non_exhaustive()
    }
}
