//! Settlement by snapshot actions.

use super::{Coverage, Reducer, Timeline, coverage::Standing, timeline::apply_step};
use crate::{
    action::{ActionId, Stamp},
    time::WallTime,
};

/// The content of a snapshot action: a state, and the actions that are part of it.
///
/// A snapshot settles these actions on every replica: they and their undos have no effect any more
/// beyond that on the state, so a replica that was away for a long time and one that kept running
/// compute the same state.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement<S> {
    /// The actions that are part of the state.
    pub coverage: Coverage,
    /// The state.
    pub state: S,
}

impl<R: Reducer> Timeline<R> {
    /// Replaces the base by that of a snapshot, and removes what the snapshot includes. An older
    /// snapshot than the current one has no effect. O(number of remaining actions).
    pub(crate) fn settle(&mut self, stamp: &Stamp, settlement: Settlement<R::State>) {
        if self.settled.as_ref().is_some_and(|settled| settled >= stamp) {
            if self.settled.as_ref() != Some(stamp) {
                self.release(stamp.id());
            }
            return;
        }
        if let Some(previous) = self.settled.replace(stamp.clone()) {
            self.release(previous.id());
        }
        let Settlement { coverage, state } = settlement;
        self.coverage = coverage;
        self.base = state;
        self.horizon = None;
        let first = self.steps.iter().next().map(|step| step.stamp.clone());
        let coverage = &self.coverage;
        let mut released = self.steps.remove(|id| coverage.is_final(id));
        let undos = self.undos.iter();
        let settled: Vec<ActionId> = undos
            .filter(|(undo, target)| coverage.is_final_undo(undo, target))
            .map(|(undo, _)| undo.clone())
            .collect();
        for undo in &settled {
            self.change_undos(|undos, toggled| undos.remove(undo, toggled));
        }
        released.extend(settled);
        released.iter().for_each(|id| self.release(id));
        self.checkpoints.clear();
        self.stale = Some(0);
        self.mark_changed(&first.unwrap_or_else(|| stamp.clone()));
        self.update_state();
    }

    /// Returns what a snapshot of the current state contains. `settle` drops from the state what
    /// only undos and actions that cannot arrive any more would need; it receives the coverage.
    /// Actions before `horizon` that are not part of the snapshot will be rejected.
    ///
    /// The snapshot includes all known actions, except an undo whose action has not arrived, and
    /// the later actions of the author of this undo. O(n log n) for n open actions.
    pub fn settlement(
        &self,
        horizon: Option<WallTime>,
        settle: impl FnOnce(&mut R::State, &Coverage),
    ) -> Settlement<R::State> {
        self.settlement_of(self.known_ids(), horizon, settle)
    }

    /// Returns what a snapshot contains that includes some of the known actions, as
    /// [`settlement`](Self::settlement). Of each node, it also includes the earlier ones.
    pub fn settlement_of<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a ActionId>,
        horizon: Option<WallTime>,
        settle: impl FnOnce(&mut R::State, &Coverage),
    ) -> Settlement<R::State> {
        let mut coverage = self.coverage.clone();
        ids.into_iter().for_each(|id| coverage.include(id));
        let mut horizon = horizon;
        loop {
            self.exclude_pending(&mut coverage, horizon);
            // What is open stays valid, and sees the deletions that are later. So the horizon is
            // earlier, and undos that the former one included may have to wait for their actions.
            match (horizon, self.open_since(&coverage)) {
                (Some(former), Some(open)) if open < former => horizon = Some(open),
                _ => break,
            }
        }
        let mut state = if self.steps.iter().all(|step| coverage.is_final(step.stamp.id())) {
            self.state.clone()
        } else {
            let mut state = self.base.clone();
            for step in self.steps.iter().filter(|step| coverage.is_final(step.stamp.id())) {
                apply_step(&self.reducer, &mut state, step);
            }
            state
        };
        if let Some(horizon) = horizon {
            coverage.forget_before(horizon);
        }
        settle(&mut state, &coverage);
        Settlement { coverage, state }
    }

    /// Returns the time of the earliest action that is not included, by its id or by the clock of
    /// this node, whichever is earlier: the clock of an author may be ahead.
    fn open_since(&self, coverage: &Coverage) -> Option<WallTime> {
        let is_open = |id: &ActionId| !coverage.is_final(id);
        let ids = self.known_ids().filter(|id| is_open(id)).map(ActionId::time);
        let steps = self.steps.iter().filter(|step| is_open(step.stamp.id()));
        ids.chain(steps.map(|step| step.stamp.time())).min()
    }

    /// Excludes the undos whose action is not included, the actions whose undo is not included, and
    /// whatever their nodes did later.
    fn exclude_pending(&self, coverage: &mut Coverage, horizon: Option<WallTime>) {
        let mut known: Vec<&ActionId> = Vec::new();
        while let Some(first) = self.first_pending(coverage, horizon) {
            if known.is_empty() {
                known.extend(self.known_ids());
                known.sort_unstable_by_key(|id| (id.node(), id.time(), id.sequence()));
            }
            let key = (first.node(), first.time(), first.sequence());
            let index = known.partition_point(|id| (id.node(), id.time(), id.sequence()) < key);
            let earlier = index.checked_sub(1).map(|index| known[index].clone());
            let earlier = earlier
                .filter(|id| id.node() == first.node())
                .or_else(|| self.coverage.last_id(first.node()));
            coverage.end_at(first.node(), earlier.as_ref());
        }
    }

    fn first_pending(&self, coverage: &Coverage, horizon: Option<WallTime>) -> Option<&ActionId> {
        let cannot_arrive = |id: &ActionId| horizon.is_some_and(|horizon| id.time() < horizon);
        let is_included = |id: &ActionId| {
            let is_known = self.steps.index_of(id).is_some() || self.undos.target(id).is_some();
            self.is_settled(id) || (is_known && coverage.standing(id) == Standing::Settled)
        };
        // An undo by a server ends with its action.
        let by_clients = self.undos.iter().filter(|(undo, _)| !undo.node().is_server());
        let pending = by_clients.filter_map(|(undo, target)| {
            match (is_included(undo), is_included(target)) {
                (true, false) if !cannot_arrive(target) => Some(undo),
                (false, true) => Some(target),
                _ => None,
            }
        });
        pending.min()
    }

    /// Returns the ids of all open actions and undos, and of the latest snapshot.
    fn known_ids(&self) -> impl Iterator<Item = &ActionId> {
        let actions = self.steps.iter().map(|step| step.stamp.id());
        let undos = self.undos.iter().map(|(undo, _)| undo);
        actions.chain(undos).chain(self.settled.as_ref().map(Stamp::id))
    }

    /// Returns `true` if an undo of an action has no effect: a snapshot includes the action, or it
    /// is the snapshot.
    pub(super) fn is_settled(&self, target: &ActionId) -> bool {
        self.coverage.is_final(target)
            || self.settled.as_ref().is_some_and(|snapshot| snapshot.id() == target)
    }
}
