//! Subscriptions whose answers a client has not confirmed.

use std::collections::{BTreeMap, HashMap};

use smallvec::SmallVec;

use super::pending_request::{PendingRequest, SubscriptionKey};
use crate::action::{ActionId, NodeId};

/// The subscriptions of one connection whose answers were sent and not confirmed. Their number is
/// bounded, because a connection that confirms nothing is closed.
#[derive(Debug, Default)]
pub(super) struct Unconfirmed {
    /// By the `added` numbers of the answers.
    requests: BTreeMap<u64, PendingRequest>,
    /// The numbers of the subscriptions with a key.
    keys: HashMap<(NodeId, SubscriptionKey), SmallVec<[u64; 1]>>,
}

impl Unconfirmed {
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Adds a subscription with the number of its answer. O(log n).
    pub(super) fn push(&mut self, added: u64, request: PendingRequest) {
        if let Some(key) = request.subscription_key() {
            self.keys.entry(key).or_default().push(added);
        }
        self.requests.insert(added, request);
    }

    /// Removes the subscription with the lowest number of its answer, if it is at most `added`.
    pub(super) fn confirm_first(&mut self, added: u64) -> Option<PendingRequest> {
        let first = self.requests.first_entry().filter(|first| *first.key() <= added)?;
        let (number, request) = first.remove_entry();
        self.remove_key(number, &request);
        Some(request)
    }

    /// Removes a subscription. Returns `true` if it was there. O(n).
    pub(super) fn remove(&mut self, id: &ActionId) -> bool {
        let found = self.requests.iter().find(|(_, request)| request.entry.meta.id == *id);
        let Some(number) = found.map(|(number, _)| *number) else { return false };
        if let Some(request) = self.requests.remove(&number) {
            self.remove_key(number, &request);
        }
        true
    }

    fn remove_key(&mut self, number: u64, request: &PendingRequest) {
        if let Some(key) = request.subscription_key()
            && let Some(numbers) = self.keys.get_mut(&key)
        {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.keys.remove(&key);
            }
        }
    }

    /// Removes the subscriptions of a node with a key. O(log n) for each.
    pub(super) fn cancel(&mut self, node: &NodeId, key: &SubscriptionKey) -> Vec<PendingRequest> {
        let numbers = self.keys.remove(&(node.clone(), key.clone())).unwrap_or_default();
        numbers.iter().filter_map(|number| self.requests.remove(number)).collect()
    }

    /// Returns all subscriptions, lowest number first.
    pub(super) fn into_requests(self) -> impl Iterator<Item = PendingRequest> {
        self.requests.into_values()
    }
}
