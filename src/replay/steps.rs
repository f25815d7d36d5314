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
    /// `None`: it has become part of all states, or of none, and its place is free.
    pub(super) action: Option<A>,
    pub(super) undone: bool,
    /// The log has forgotten it.
    pub(super) cleaned: bool,
    /// It can not be taken back any more.
    pub(super) settled: bool,
}

/// Steps by [`Stamp`]. Adding at the end is O(1); at a distance *d* from the end, O(log n + d) with a tiny factor.
#[derive(Clone, Debug)]
pub(super) struct Steps<A> {
    steps: VecDeque<Step<A>>,
    /// The corrected time of the actions for which it is not the one in the id, to find them by id.
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

    /// How many are more than a free place.
    pub(super) fn used(&self) -> usize {
        self.steps.len() - self.free
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Step<A>> + ExactSizeIterator {
        self.steps.iter()
    }

    /// The steps from one index to another.
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

    /// Where a stamp is, or where it belongs.
    #[inline]
    pub(super) fn find(&self, stamp: &Stamp) -> Result<usize, usize> {
        match self.steps.back() {
            Some(last) if last.stamp < *stamp => Err(self.steps.len()),
            None => Err(0),
            Some(_) => self.steps.binary_search_by(|step| step.stamp.cmp(stamp)),
        }
    }

    /// Whether an action is here under another time than this.
    #[inline]
    pub(super) fn has_elsewhere(&self, stamp: &Stamp) -> bool {
        let corrected = stamp.time() != stamp.id().time();
        (corrected || !self.corrected.is_empty()) && self.of(stamp.id()).is_some()
    }

    /// How many steps are not later than a stamp.
    pub(super) fn until(&self, stamp: &Stamp) -> usize {
        self.steps.partition_point(|step| step.stamp <= *stamp)
    }

    /// The step of an action.
    pub(super) fn of(&self, id: &ActionId) -> Option<usize> {
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

    /// Frees a place.
    pub(super) fn free(&mut self, index: usize) -> Option<A> {
        let step = self.steps.get_mut(index)?;
        let action = step.action.take();
        self.free += usize::from(action.is_some());
        action
    }

    /// Whether there are so many free places that it is time to close up.
    pub(super) fn is_sparse(&self) -> bool {
        self.free > 32 + self.steps.len() / 2
    }

    /// Closes up. Returns how many free places were before each index.
    pub(super) fn close_up(&mut self) -> Vec<usize> {
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
