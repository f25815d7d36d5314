//! One queue of a client: at most one running request, and the waiting ones in their order.

use std::collections::{BTreeMap, BTreeSet};

use super::{FateKey, QueueName, RequestId, pending_request::PendingRequest};

/// A queue of a client. With `n` waiting requests, all methods but
/// [`waiting_mut`](Self::waiting_mut) and [`position`](Self::position) are O(log `n`) for each
/// request that they add or remove.
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

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, request: PendingRequest) {
        self.last_position += 1;
        if !request.fate_key.is_none() {
            self.fates.insert((request.fate_key.clone(), self.last_position));
        }
        self.waiting.insert(self.last_position, request);
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

    /// Returns the position of the first waiting request for which `matches` is true. O(`n`).
    pub(super) fn position(&self, matches: impl Fn(&PendingRequest) -> bool) -> Option<u64> {
        self.waiting.iter().find(|(_, request)| matches(request)).map(|(position, _)| *position)
    }

    pub(super) fn remove(&mut self, position: u64) -> Option<PendingRequest> {
        let request = self.waiting.remove(&position)?;
        self.fates.remove(&(request.fate_key.clone(), position));
        Some(request)
    }

    /// Returns the waiting requests in their order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &PendingRequest> {
        self.waiting.values()
    }

    pub(super) fn waiting_mut(&mut self) -> impl Iterator<Item = &mut PendingRequest> {
        self.waiting.values_mut()
    }
}
