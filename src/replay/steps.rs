//! The actions of a timeline, in their order.

use std::collections::{HashMap, VecDeque};

use crate::{
    action::{ActionId, Stamp},
    time::WallTime,
};

/// One action in history.
#[derive(Clone, Debug)]
pub(super) struct Step<A> {
    pub(super) stamp: Stamp,
    /// `None`: the action was made part of all states, or of none, and the step is free.
    pub(super) action: Option<A>,
    pub(super) undone: bool,
    /// The action was removed from the log.
    pub(super) cleaned: bool,
    /// The action cannot be undone any more.
    pub(super) settled: bool,
}

/// Steps by [`Stamp`]. Adding at the end is O(1); at a distance *d* from the end, O(log n + d) with
/// a small constant factor.
#[derive(Clone, Debug)]
pub(super) struct Steps<A> {
    steps: VecDeque<Step<A>>,
    /// The corrected times that differ from the time in the id, to find steps by id.
    corrected: HashMap<ActionId, WallTime>,
    free: usize,
}

impl<A> Steps<A> {
    pub(super) fn new() -> Self {
        Self { steps: VecDeque::new(), corrected: HashMap::new(), free: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Returns the number of steps that are not free.
    pub(super) fn used(&self) -> usize {
        self.steps.len() - self.free
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Step<A>> + ExactSizeIterator {
        self.steps.iter()
    }

    /// Returns the steps from one index to another.
    pub(super) fn range(
        &self,
        from: usize,
        to: usize,
    ) -> impl DoubleEndedIterator<Item = &Step<A>> {
        self.steps.range(from..to)
    }

    pub(super) fn get(&self, index: usize) -> Option<&Step<A>> {
        self.steps.get(index)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Step<A>> {
        self.steps.get_mut(index)
    }

    /// Returns the index of a stamp, or as an error the index at which it is to be inserted.
    #[inline]
    pub(super) fn find(&self, stamp: &Stamp) -> Result<usize, usize> {
        match self.steps.back() {
            Some(last) if last.stamp < *stamp => Err(self.steps.len()),
            None => Err(0),
            Some(_) => self.steps.binary_search_by(|step| step.stamp.cmp(stamp)),
        }
    }

    /// Returns `true` if the same action has a step with another corrected time.
    #[inline]
    pub(super) fn has_other_time(&self, stamp: &Stamp) -> bool {
        let corrected = stamp.time() != stamp.id().time();
        (corrected || !self.corrected.is_empty()) && self.index_of(stamp.id()).is_some()
    }

    /// Returns the number of steps that are not later than a stamp.
    pub(super) fn count_until(&self, stamp: &Stamp) -> usize {
        self.steps.partition_point(|step| step.stamp <= *stamp)
    }

    /// Returns the index of the step of an action.
    pub(super) fn index_of(&self, id: &ActionId) -> Option<usize> {
        let time = self.corrected.get(id).copied().unwrap_or(id.time());
        self.find(&Stamp::new(time, id.clone())).ok()
    }

    #[inline]
    pub(super) fn insert(&mut self, index: usize, step: Step<A>) {
        if step.stamp.time() != step.stamp.id().time() {
            self.corrected.insert(step.stamp.id().clone(), step.stamp.time());
        }
        if index == self.steps.len() {
            self.steps.push_back(step);
        } else {
            self.steps.insert(index, step);
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<Step<A>> {
        let step = self.steps.pop_front()?;
        self.corrected.remove(step.stamp.id());
        self.free -= usize::from(step.action.is_none());
        Some(step)
    }

    /// Takes the action out of a step, which becomes free.
    pub(super) fn take_action(&mut self, index: usize) -> Option<A> {
        let step = self.steps.get_mut(index)?;
        let action = step.action.take();
        self.free += usize::from(action.is_some());
        action
    }

    /// Puts an action into a step that was removed from the log.
    pub(super) fn put_action(&mut self, index: usize, action: A, undone: bool) {
        let Some(step) = self.steps.get_mut(index) else { return };
        self.free -= usize::from(step.action.is_none());
        step.action = Some(action);
        step.cleaned = false;
        step.undone = undone;
    }

    /// Removes the steps for whose actions `is_removed` is `true`, and returns their ids.
    pub(super) fn remove(&mut self, is_removed: impl Fn(&ActionId) -> bool) -> Vec<ActionId> {
        let mut removed = Vec::new();
        self.steps.retain(|step| {
            let id = step.stamp.id();
            if !is_removed(id) {
                return true;
            }
            self.corrected.remove(id);
            self.free -= usize::from(step.action.is_none());
            removed.push(id.clone());
            false
        });
        removed
    }

    /// Returns `true` if there are so many free steps that they should be removed.
    pub(super) fn is_sparse(&self) -> bool {
        self.free > 32 + self.steps.len() / 2
    }

    /// Removes the free steps. Returns, for each former index, the number of free steps before it.
    pub(super) fn compact(&mut self) -> Vec<usize> {
        let mut before = Vec::with_capacity(self.steps.len() + 1);
        let mut free = 0;
        before.push(0);
        for step in &self.steps {
            if step.action.is_none() {
                free += 1;
                self.corrected.remove(step.stamp.id());
            }
            before.push(free);
        }
        self.steps.retain(|step| step.action.is_some());
        self.free = 0;
        before
    }
}
