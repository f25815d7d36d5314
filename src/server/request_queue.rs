//! One queue of a client: at most one running request, and the waiting ones in their order.

use std::collections::{BTreeMap, BTreeSet};

use super::{FateKey, QueueName, RequestId, pending_request::PendingRequest};

/// A queue of a client. With `n` waiting requests, all methods are O(log `n`) for each request that
/// they add or remove.
#[derive(Debug)]
pub(super) struct RequestQueue {
    pub(super) name: QueueName,
    pub(super) running: Option<RequestId>,
    /// The waiting requests by their position.
    waiting: BTreeMap<u64, PendingRequest>,
    last_position: u64,
    /// The positions of the waiting requests that share their fate with others, by their key.
    fates: BTreeSet<(FateKey, u64)>,
}

impl RequestQueue {
    /// Creates a queue with a running request.
    pub(super) const fn new(name: QueueName, running: RequestId) -> Self {
        Self {
            name,
            running: Some(running),
            waiting: BTreeMap::new(),
            last_position: 0,
            fates: BTreeSet::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// Returns the waiting requests, in their order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &PendingRequest> {
        self.waiting.values()
    }

    /// Adds a request to the end. Returns its position.
    pub(super) fn push(&mut self, request: PendingRequest) -> u64 {
        self.last_position += 1;
        if !request.fate_key.is_none() {
            self.fates.insert((request.fate_key.clone(), self.last_position));
        }
        self.waiting.insert(self.last_position, request);
        self.last_position
    }

    /// Removes the next request to start.
    pub(super) fn pop(&mut self) -> Option<PendingRequest> {
        let position = *self.waiting.first_key_value()?.0;
        self.remove(position)
    }

    /// Removes the waiting requests that share the fate of a failed one, in their order.
    pub(super) fn drain_fate(&mut self, key: &FateKey) -> Vec<PendingRequest> {
        // No request with `FateKey::none` is in the set.
        let same_key = (key.clone(), 0)..=(key.clone(), u64::MAX);
        let positions: Vec<u64> =
            self.fates.range(same_key).map(|(_, position)| *position).collect();
        positions.into_iter().filter_map(|position| self.remove(position)).collect()
    }

    /// Removes the waiting request at a position.
    pub(super) fn remove(&mut self, position: u64) -> Option<PendingRequest> {
        let request = self.waiting.remove(&position)?;
        self.fates.remove(&(request.fate_key.clone(), position));
        Some(request)
    }

    pub(super) fn get(&self, position: u64) -> Option<&PendingRequest> {
        self.waiting.get(&position)
    }

    pub(super) fn get_mut(&mut self, position: u64) -> Option<&mut PendingRequest> {
        self.waiting.get_mut(&position)
    }
}
