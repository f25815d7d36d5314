//! Subscriptions whose client is disconnected.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::pending_request::PendingRequest;

/// The number of subscriptions that may wait for disconnected clients.
const MAX_PARKED: usize = 10_000;

/// The number of subscriptions that may wait for one disconnected client.
const MAX_PARKED_OF_CLIENT: usize = 1_000;

/// Subscriptions whose client disconnected before they were processed and confirmed. They continue
/// when the same node reconnects. Their number is limited, because some nodes never reconnect; the
/// limit for one client is lower, so that no client displaces the subscriptions of all others.
#[derive(Debug, Default)]
pub(super) struct Parked {
    /// In the order in which they were parked.
    requests: BTreeMap<u64, PendingRequest>,
    /// The positions of the subscriptions of each client.
    clients: HashMap<Arc<str>, BTreeSet<u64>>,
    last_position: u64,
}

impl Parked {
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Adds a subscription. Returns the one that has been parked longest, of its client or of all,
    /// if there are too many. O(log n).
    #[must_use]
    pub(super) fn push(&mut self, request: PendingRequest) -> Option<PendingRequest> {
        self.last_position += 1;
        let client = request.entry.meta.id.node().client_id();
        let of_client = self.clients.entry(client.into()).or_default();
        of_client.insert(self.last_position);
        let oldest_of_client =
            of_client.first().copied().filter(|_| of_client.len() > MAX_PARKED_OF_CLIENT);
        self.requests.insert(self.last_position, request);
        let is_full = self.requests.len() > MAX_PARKED;
        let oldest = self.requests.first_key_value().map(|(position, _)| *position);
        self.remove(oldest_of_client.or(oldest.filter(|_| is_full))?)
    }

    fn remove(&mut self, position: u64) -> Option<PendingRequest> {
        let request = self.requests.remove(&position)?;
        let client = request.entry.meta.id.node().client_id();
        if let Some(of_client) = self.clients.get_mut(client) {
            of_client.remove(&position);
            if of_client.is_empty() {
                self.clients.remove(client);
            }
        }
        Some(request)
    }

    /// Removes the subscriptions of a client, in their order. O(k log n) for k of them.
    pub(super) fn take_client(&mut self, client: &str) -> Vec<PendingRequest> {
        let positions = self.clients.remove(client).unwrap_or_default();
        positions.iter().filter_map(|position| self.requests.remove(position)).collect()
    }

    /// Removes the subscriptions whose number in the log is at most `added`, in their order. O(n).
    pub(super) fn take_until(&mut self, added: u64) -> Vec<PendingRequest> {
        let is_expired = |request: &PendingRequest| request.entry.meta.added <= Some(added);
        let expired = self.requests.iter().filter(|(_, request)| is_expired(request));
        let positions: Vec<u64> = expired.map(|(position, _)| *position).collect();
        positions.into_iter().filter_map(|position| self.remove(position)).collect()
    }
}
