//! Undo of many actions: by author, with a preview.

use std::collections::HashSet;

use super::{Reducer, Timeline, timeline::apply_step};
use crate::{
    action::{ActionId, Stamp, logux::Undo},
    log::{Draft, Log, LogError},
    store::{Entry, Store},
    time::WallTime,
};

impl<R: Reducer> Timeline<R> {
    /// Returns the actions in effect of an author since a time, oldest first. `author` is a user
    /// id, or the client id of a client without a user. Actions that a snapshot has settled are
    /// not included, because they cannot be undone. O(number of open actions).
    pub fn actions_by(&self, author: &str, since: WallTime) -> Vec<ActionId> {
        let actions = self.steps.iter().filter(|step| {
            step.action.is_some()
                && !step.undone
                && step.stamp.time() >= since
                && step.stamp.id().node().user_or_client() == author
        });
        actions.map(|step| step.stamp.id().clone()).collect()
    }

    /// Returns `true` if an action, or an undo, is in effect and can be undone: it is known, and
    /// neither undone nor settled by a snapshot. O(log n).
    pub fn can_undo(&self, id: &ActionId) -> bool {
        let is_known = self.steps.index_of(id).is_some() || self.undos.target(id).is_some();
        is_known && !self.undos.is_undone(id) && !self.is_settled(id)
    }

    /// Returns the state as it would be without these actions: the preview of their undo. Compare
    /// it with [`Diff::diff`](super::Diff::diff). O(number of actions since the earliest of
    /// them).
    pub fn state_without(&self, ids: &[ActionId]) -> R::State {
        self.preview(ids, |state, action, stamp| self.reducer.apply_undone(state, action, stamp))
    }

    /// Returns the state as it would be with these undone actions: the preview of their redo.
    /// Complexity as for [`state_without`](Self::state_without).
    pub fn state_with(&self, ids: &[ActionId]) -> R::State {
        self.preview(ids, |state, action, stamp| self.reducer.apply(state, action, stamp))
    }

    /// Returns the state with another effect of these actions.
    fn preview(
        &self,
        ids: &[ActionId],
        apply: impl Fn(&mut R::State, &R::Action, &Stamp),
    ) -> R::State {
        let chosen: HashSet<&ActionId> = ids.iter().collect();
        let first = ids.iter().filter_map(|id| self.steps.index_of(id)).min();
        let Some(first) = first else { return self.state.clone() };
        let mut state = self.state_after(first);
        for step in self.steps.range(first, self.steps.len()) {
            match step.action.as_ref().filter(|_| chosen.contains(step.stamp.id())) {
                Some(action) => apply(&mut state, action, &step.stamp),
                None => apply_step(&self.reducer, &mut state, step),
            }
        }
        state
    }
}

impl<R: Reducer> Timeline<R> {
    /// Postpones updates of the state, or updates it.
    pub(super) fn set_paused(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
        if !is_paused {
            self.update_state();
        }
    }
}

impl<S: Store, R: Reducer> Log<S, Timeline<R>> {
    /// Undoes an action by adding `logux/undo`: the state is as if the action did not exist.
    /// Undoing the undo makes the action effective again. Returns `None` if the log has no action
    /// with this id, or a snapshot has settled it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn undo(
        &mut self,
        now: WallTime,
        id: &ActionId,
        reason: &str,
    ) -> Result<Option<Entry>, LogError<S::Error>> {
        if self.timeline().is_settled(id) {
            return Ok(None);
        }
        let Some(entry) = self.by_id(id)? else { return Ok(None) };
        let Ok(action) = Undo::of(id, reason, Some(entry.action)).to_action() else {
            return Ok(None);
        };
        self.add(now, action, Draft::default())
    }

    /// Undoes actions in this order as [`undo`](Self::undo) does, and computes the state once.
    /// Returns the ids of the undos.
    ///
    /// # Errors
    /// If the store fails. The undos before the failure are in effect.
    pub fn undo_all<'a>(
        &mut self,
        now: WallTime,
        ids: impl IntoIterator<Item = &'a ActionId>,
        reason: &str,
    ) -> Result<Vec<ActionId>, LogError<S::Error>> {
        self.observer_mut().set_paused(true);
        let mut undos = Vec::new();
        let undone = ids.into_iter().try_for_each(|id| {
            undos.extend(self.undo(now, id, reason)?.map(|entry| entry.meta.id));
            Ok(())
        });
        self.observer_mut().set_paused(false);
        undone.map(|()| undos)
    }
}
