//! Actions that become longer before any other node receives them.

use super::{Reducer, Timeline, timeline::apply_step};
use crate::{
    action::{ActionId, Stamp},
    store::Entry,
};

impl<R: Reducer> Timeline<R> {
    /// Returns an action in effect, with its stamp.
    pub(crate) fn action_in_effect(&self, id: &ActionId) -> Option<(&Stamp, &R::Action)> {
        let step = self.steps.get(self.steps.index_of(id)?)?;
        step.action.as_ref().filter(|_| !step.undone).map(|action| (&step.stamp, action))
    }

    /// Replaces an action by one with the same stamp, that has its operations and others after
    /// them. If the reducer commutes, the new one is applied to the states that have the former
    /// one: O(log n) for typing at the end of history.
    pub(crate) fn extend_action(&mut self, entry: &Entry) {
        let stamp = entry.meta.stamp();
        let Ok(Some(action)) = self.reducer.read(&entry.action) else { return };
        let Ok(index) = self.steps.find(&stamp) else { return };
        let Some(step) = self.steps.get_mut(index).filter(|step| step.action.is_some()) else {
            return;
        };
        step.action = Some(action);
        let is_simple = self.reducer.commutes() && !step.undone && self.stale.is_none();
        self.mark_changed(&stamp);
        if !is_simple {
            self.stale = Some(self.stale.map_or(index, |stale| stale.min(index)));
            return self.update_state();
        }
        let Some(step) = self.steps.get(index) else { return };
        apply_step(&self.reducer, &mut self.state, step);
        self.checkpoints.change_after(index, |state| apply_step(&self.reducer, state, step));
    }
}
