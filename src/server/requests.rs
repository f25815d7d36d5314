//! The requests to the application that are running or waiting, in queues per client.

use core::hash::BuildHasherDefault;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use indexmap::IndexMap;
use smallvec::SmallVec;

use super::{
    NumberHasher, QueueName, RequestId,
    parked::Parked,
    pending_bytes::PendingBytes,
    pending_request::{PendingRequest, SubscriptionKey},
    request_queue::RequestQueue,
};
use crate::{
    action::{Action, ActionId, NodeId},
    store::Entry,
};

/// All requests. Those of one queue of a client run one after the other.
#[derive(Debug, Default)]
pub(super) struct Requests {
    running: Running,
    clients: HashMap<Arc<str>, ClientQueues>,
    /// The actions of all running, waiting and parked requests.
    tracked: HashMap<ActionId, TrackedAction>,
    parked: Parked,
    /// The running and waiting subscriptions that are not cancelled, by client.
    subscriptions: HashMap<Arc<str>, ClientSubscriptions>,
    /// The running requests whose action was sent to a channel.
    in_channels: HashMap<Arc<str>, BTreeSet<RequestId>>,
    /// The sizes of the actions of clients that are running or waiting.
    pending_bytes: PendingBytes,
}

/// The requests that were sent to the application and have not ended.
#[derive(Debug, Default)]
struct Running {
    requests: HashMap<RequestId, PendingRequest, BuildHasherDefault<NumberHasher>>,
    last_id: u64,
}

impl Running {
    fn start(
        &mut self,
        request: PendingRequest,
        tracked: &mut TrackedAction,
    ) -> (RequestId, &PendingRequest) {
        self.last_id += 1;
        let request_id = RequestId(self.last_id);
        (tracked.request_id, tracked.position) = (Some(request_id), None);
        (request_id, self.requests.entry(request_id).or_insert(request))
    }
}

/// Where the request of an action is.
#[derive(Debug, Default)]
struct TrackedAction {
    /// The id of the request while it is running.
    request_id: Option<RequestId>,
    /// The queue and the position of the request while it is waiting.
    position: Option<(QueueName, u64)>,
}

/// The subscriptions of one client by node and key.
type ClientSubscriptions = IndexMap<(NodeId, SubscriptionKey), SmallVec<[ActionId; 1]>>;

/// The queues of one client that are not empty: those that the application names, and one for each
/// document that the client is editing.
#[derive(Debug, Default)]
struct ClientQueues {
    queues: SmallVec<[RequestQueue; 1]>,
    /// The number of waiting requests in all of them.
    waiting: usize,
}

impl ClientQueues {
    fn queue(&mut self, name: &QueueName) -> Option<&mut RequestQueue> {
        self.queues.iter_mut().find(|queue| queue.name == *name)
    }
}

impl Requests {
    /// Drops all requests. Ids of requests are not used again, because the application may respond
    /// to a dropped one.
    pub(super) fn clear(&mut self) {
        let last_id = self.running.last_id;
        *self = Self { running: Running { last_id, ..Running::default() }, ..Self::default() };
    }

    /// Whether an action has a request that has not ended.
    pub(super) fn contains(&self, id: &ActionId) -> bool {
        self.tracked.contains_key(id)
    }

    /// Returns the number of waiting actions of a client, in all its queues.
    pub(super) fn waiting_of_client(&self, client: &str) -> usize {
        self.clients.get(client).map_or(0, |client| client.waiting)
    }

    /// Returns the sizes of the actions of clients that are running or waiting.
    pub(super) const fn pending_bytes(&self) -> &PendingBytes {
        &self.pending_bytes
    }

    pub(super) fn running_count(&self) -> usize {
        self.running.requests.len()
    }

    pub(super) fn waiting_count(&self) -> usize {
        self.clients.values().map(|client| client.waiting).sum()
    }

    pub(super) fn parked_count(&self) -> usize {
        self.parked.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.requests.is_empty()
    }

    pub(super) fn running(&mut self, request_id: RequestId) -> Option<&mut PendingRequest> {
        self.running.requests.get_mut(&request_id)
    }

    /// Returns the running and waiting requests of all clients in queues with a name. O(n).
    pub(super) fn in_queues(&self, name: &QueueName) -> impl Iterator<Item = &PendingRequest> {
        let running = self.running.requests.values().filter(|request| request.queue == *name);
        let queues = self.clients.values().flat_map(|client| &client.queues);
        let waiting = queues.filter(|queue| queue.name == *name).flat_map(RequestQueue::waiting);
        running.chain(waiting)
    }

    /// Replaces the action of a running request. It keeps its meta.
    pub(super) fn replace(&mut self, request_id: RequestId, action: Action) {
        let Some(request) = self.running.requests.get_mut(&request_id) else { return };
        let entry = Arc::new(Entry::new(action, request.entry.meta.clone()));
        if request.is_in_inbox() {
            self.pending_bytes.remove(&request.entry);
            self.pending_bytes.add(&entry);
        }
        request.replace(entry);
    }

    /// Whether a running request still needs responses.
    pub(super) fn is_awaited(&self, request_id: RequestId) -> bool {
        self.running.requests.get(&request_id).is_some_and(|request| !request.is_cancelled())
    }

    /// Lets the next requests of its queue start while a request is running. Returns its node and
    /// queue.
    pub(super) fn release_queue(&mut self, request_id: RequestId) -> Option<(NodeId, QueueName)> {
        let request = self.running.requests.get(&request_id)?;
        let (node, name) = (request.entry.meta.id.node().clone(), request.queue.clone());
        let queue = self.clients.get_mut(node.client_id())?.queue(&name)?;
        queue.running.take_if(|running| *running == request_id)?;
        Some((node, name))
    }

    /// Returns the id of the running request of an action.
    pub(super) fn running_id(&self, id: &ActionId) -> Option<RequestId> {
        self.tracked.get(id)?.request_id
    }

    /// Records that the action of a running request was sent to channels.
    pub(super) fn mark_in_channels(&mut self, request_id: RequestId, channels: &[Arc<str>]) {
        for channel in channels {
            self.in_channels.entry(channel.clone()).or_default().insert(request_id);
        }
    }

    /// Returns the running requests whose action was sent to a channel, in the order in which they
    /// started.
    pub(super) fn in_channel(&self, channel: &str) -> impl Iterator<Item = &PendingRequest> {
        let request_ids = self.in_channels.get(channel).into_iter().flatten();
        request_ids.filter_map(|request_id| self.running.requests.get(request_id))
    }

    /// Adds a request to the end of its queue. Returns it if it starts now.
    pub(super) fn push(&mut self, request: PendingRequest) -> Option<(RequestId, &PendingRequest)> {
        let id = &request.entry.meta.id;
        self.pending_bytes.add(&request.entry);
        let tracked = self.tracked.entry(id.clone()).or_default();
        if let Some(key) = request.subscription_key().filter(|_| !request.is_cancelled()) {
            let of_client = self.subscriptions.entry(id.node().client_id().into()).or_default();
            of_client.entry(key).or_default().push(id.clone());
        }
        let client = self.clients.entry(id.node().client_id().into()).or_default();
        if let Some(queue) = client.queue(&request.queue) {
            let (node, name) = (id.node().clone(), request.queue.clone());
            tracked.position = Some((name.clone(), queue.push(request)));
            client.waiting += 1;
            return self.next(&node, &name);
        }
        // The common case: the queue is empty.
        let name = request.queue.clone();
        let (request_id, request) = self.running.start(request, tracked);
        client.queues.push(RequestQueue::new(name, request_id));
        Some((request_id, request))
    }

    /// Starts a request without a queue. Actions of the application do not wait for each other:
    /// otherwise, one whose handler adds another and waits for it would wait forever.
    pub(super) fn start_unqueued(
        &mut self,
        request: PendingRequest,
    ) -> (RequestId, &PendingRequest) {
        let tracked = self.tracked.entry(request.entry.meta.id.clone()).or_default();
        self.running.start(request, tracked)
    }

    /// Starts the next request of a queue, if none of it is running.
    pub(super) fn next(
        &mut self,
        node: &NodeId,
        queue: &QueueName,
    ) -> Option<(RequestId, &PendingRequest)> {
        let ClientQueues { queues, waiting } = self.clients.get_mut(node.client_id())?;
        let queue =
            queues.iter_mut().find(|other| other.name == *queue && other.running.is_none())?;
        let Some(request) = queue.pop() else {
            self.drop_idle_queues(node);
            return None;
        };
        *waiting -= 1;
        let tracked = self.tracked.entry(request.entry.meta.id.clone()).or_default();
        let (request_id, request) = self.running.start(request, tracked);
        queue.running = Some(request_id);
        Some((request_id, request))
    }

    /// Removes a running request that has ended. [`next`](Self::next) starts the next one of its
    /// queue.
    pub(super) fn finish(&mut self, request_id: RequestId) -> Option<PendingRequest> {
        let request = self.running.requests.remove(&request_id)?;
        if request.is_in_inbox() {
            self.pending_bytes.remove(&request.entry);
        }
        for channel in &request.recipients.channels {
            if let Some(requests) = self.in_channels.get_mut(channel) {
                requests.remove(&request_id);
                if requests.is_empty() {
                    self.in_channels.remove(channel);
                }
            }
        }
        if let Some(queue) = self.queue_of(&request)
            && queue.running == Some(request_id)
        {
            queue.running = None;
            self.drop_idle_queues(request.entry.meta.id.node());
        }
        Some(self.untrack(request))
    }

    /// Removes the waiting requests that share the fate of `request`, which has failed: those of
    /// its queue with its fate key.
    pub(super) fn drain_fate(&mut self, request: &PendingRequest) -> Vec<PendingRequest> {
        let client = self.clients.get_mut(request.entry.meta.id.node().client_id());
        let Some(client) = client else { return Vec::new() };
        let queue = client.queue(&request.queue);
        let drained = queue.map(|queue| queue.drain_fate(&request.fate_key)).unwrap_or_default();
        client.waiting -= drained.len();
        drained.iter().for_each(|request| self.pending_bytes.remove(&request.entry));
        drained.into_iter().map(|request| self.untrack(request)).collect()
    }

    /// Removes a waiting request. O(log n).
    pub(super) fn take_waiting(&mut self, id: &ActionId) -> Option<PendingRequest> {
        let (name, position) = self.tracked.get(id)?.position.clone()?;
        let client = self.clients.get_mut(id.node().client_id())?;
        let request = client.queue(&name)?.remove(position)?;
        client.waiting -= 1;
        self.pending_bytes.remove(&request.entry);
        Some(self.untrack(request))
    }

    /// Cancels the running and waiting subscriptions of a node with a key. O(log n) for each.
    pub(super) fn cancel_subscriptions(&mut self, node: &NodeId, key: &SubscriptionKey) {
        let client = node.client_id();
        let Some(of_client) = self.subscriptions.get_mut(client) else { return };
        let ids = of_client.swap_remove(&(node.clone(), key.clone())).unwrap_or_default();
        if of_client.is_empty() {
            self.subscriptions.remove(client);
        }
        for id in ids {
            let Some(tracked) = self.tracked.get(&id) else { continue };
            let request = match (tracked.request_id, &tracked.position) {
                (Some(request_id), _) => self.running.requests.get_mut(&request_id),
                (None, Some((name, position))) => self
                    .clients
                    .get_mut(id.node().client_id())
                    .and_then(|client| client.queue(name)?.get_mut(*position)),
                (None, None) => None,
            };
            if let Some(request) = request {
                request.cancel();
            }
        }
    }

    /// Returns the running and waiting subscriptions of a client, without the cancelled ones.
    pub(super) fn subscriptions_of(&self, client: &str) -> impl Iterator<Item = &PendingRequest> {
        let keys = self.subscriptions.get(client).into_iter().flat_map(IndexMap::values);
        keys.flatten().filter_map(|id| self.request_of(id))
    }

    /// Returns the running or waiting request of an action. O(log n).
    fn request_of(&self, id: &ActionId) -> Option<&PendingRequest> {
        let tracked = self.tracked.get(id)?;
        match (tracked.request_id, &tracked.position) {
            (Some(request_id), _) => self.running.requests.get(&request_id),
            (None, Some((name, position))) => {
                let client = self.clients.get(id.node().client_id())?;
                client.queues.iter().find(|queue| queue.name == *name)?.get(*position)
            }
            (None, None) => None,
        }
    }

    /// Drops the queues of a client without running and waiting requests.
    fn drop_idle_queues(&mut self, node: &NodeId) {
        let Some(client) = self.clients.get_mut(node.client_id()) else { return };
        client.queues.retain(|queue| !queue.is_idle());
        if client.queues.is_empty() {
            self.clients.remove(node.client_id());
        }
    }

    fn queue_of(&mut self, request: &PendingRequest) -> Option<&mut RequestQueue> {
        self.clients.get_mut(request.entry.meta.id.node().client_id())?.queue(&request.queue)
    }

    /// Stops tracking the action of a request.
    fn untrack(&mut self, request: PendingRequest) -> PendingRequest {
        let id = &request.entry.meta.id;
        self.tracked.remove(id);
        if let Some(key) = request.subscription_key()
            && let Some(of_client) = self.subscriptions.get_mut(id.node().client_id())
            && let Some(ids) = of_client.get_mut(&key)
        {
            ids.retain(|other| *other != *id);
            if ids.is_empty() {
                of_client.swap_remove(&key);
            }
            if of_client.is_empty() {
                self.subscriptions.remove(id.node().client_id());
            }
        }
        request
    }

    /// Parks a subscription until its node reconnects. Returns the one that has been parked
    /// longest, if there are too many.
    #[must_use]
    pub(super) fn park(&mut self, request: PendingRequest) -> Option<PendingRequest> {
        self.tracked.entry(request.entry.meta.id.clone()).or_default();
        let evicted = self.parked.push(request);
        if let Some(request) = &evicted {
            self.tracked.remove(&request.entry.meta.id);
        }
        evicted
    }

    /// Removes the parked subscriptions of a client.
    pub(super) fn unpark(&mut self, client: &str) -> Vec<PendingRequest> {
        let unparked = self.parked.take_client(client);
        unparked.into_iter().map(|request| self.untrack(request)).collect()
    }

    /// Removes the parked subscriptions whose number in the log is at most `added`.
    pub(super) fn unpark_until(&mut self, added: u64) -> Vec<PendingRequest> {
        let unparked = self.parked.take_until(added);
        unparked.into_iter().map(|request| self.untrack(request)).collect()
    }
}
