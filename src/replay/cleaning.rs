//! What a timeline remembers of actions that its log has removed.

use super::{Reducer, Timeline, timeline::apply_step};
use crate::action::ActionId;

impl<R: Reducer> Timeline<R> {
    /// Handles the removal of an action from the log. The state stays the same: an action that is
    /// in effect stays in effect, an undone one stays undone.
    pub(super) fn mark_cleaned(&mut self, id: &ActionId) {
        let Some(index) = self.steps.index_of(id) else {
            // An undo is remembered as long as its target, or, if the target has not arrived or
            // the undo is undone itself, as long as the log keeps the undo.
            let is_undone = self.undos.is_undone(id);
            if self
                .undos
                .final_target(id)
                .is_some_and(|target| is_undone || self.steps.index_of(target).is_none())
            {
                self.change_undos(|undos, toggled| undos.remove(id, toggled));
                if is_undone {
                    self.forget_undos_of(id);
                }
                self.update_state();
            }
            return;
        };
        let Some(step) =
            self.steps.get_mut(index).filter(|step| step.action.is_some() && !step.cleaned)
        else {
            return;
        };
        if self.reducer.commutes() {
            let is_undone = step.undone;
            if !is_undone {
                let step = &*step;
                apply_step(&self.reducer, &mut self.base, step);
                self.checkpoints.absorb(index, |state| apply_step(&self.reducer, state, step));
            }
            self.steps.take_action(index);
            self.forget_undos_of(id);
            if is_undone && self.reducer.document_reason().is_some() {
                // The states have what the undone action has left: see `Reducer::apply_undone`.
                self.stale = Some(self.stale.map_or(index, |stale| stale.min(index)));
                self.update_state();
            }
            if self.steps.is_sparse() {
                let free = self.steps.compact();
                self.checkpoints.renumber(|count| Some(count - free[count]));
            }
        } else {
            step.cleaned = true;
            self.cleaned += 1;
            self.fix_oldest();
        }
    }

    /// Adds an action again that the log has removed while it was undone, such as the redo of an
    /// action that a client had not sent. An action that was in effect is part of the base.
    pub(super) fn revive(&mut self, index: usize, action: R::Action) {
        let Some(step) = self.steps.get(index) else { return };
        let is_cleaned = step.action.is_none() || step.cleaned;
        if !is_cleaned || !step.undone {
            return;
        }
        let stamp = step.stamp.clone();
        self.cleaned -= usize::from(step.cleaned);
        self.forget_undos_of(stamp.id());
        let undone = self.undos.is_undone(stamp.id());
        self.steps.put_action(index, action, undone);
        self.mark_changed(&stamp);
        self.stale = Some(self.stale.map_or(index, |stale| stale.min(index)));
    }

    /// Makes the oldest steps part of the base, as long as the first one was removed from the log,
    /// or more than `max_cleaned` were.
    fn fix_oldest(&mut self) {
        let mut fixed = 0;
        while let Some(first) = self.steps.get(0)
            && (first.cleaned || self.cleaned > self.config.max_cleaned)
        {
            apply_step(&self.reducer, &mut self.base, first);
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

    /// Removes the undos of an action that can no longer change, and the undos of those undos.
    pub(super) fn forget_undos_of(&mut self, id: &ActionId) {
        let mut removed = vec![id.clone()];
        while let Some(id) = removed.pop() {
            for undo in self.undos.by_target(&id).to_vec() {
                self.undos.remove(&undo, &mut |_| {});
                removed.push(undo);
            }
        }
    }
}
