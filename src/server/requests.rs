//! The requests to the application that are running or waiting, in queues per client.

use core::hash::BuildHasherDefault;
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use smallvec::SmallVec;

use super::{
    NumberHasher, QueueName, RequestId, pending_bytes::PendingBytes,
    pending_request::PendingRequest, request_queue::RequestQueue,
};
use crate::action::{ActionId, NodeId};

/// The number of subscriptions that may wait for disconnected clients.
const MAX_PARKED: usize = 1_000;

/// All requests. Those of one queue of a client run one after the other.
#[derive(Debug, Default)]
pub(super) struct Requests {
    running: Running,
    clients: HashMap<Arc<str>, ClientQueues>,
    /// The actions of all running, waiting and parked requests, with the ids of the running ones.
    tracked: HashMap<ActionId, Option<RequestId>>,
    /// Subscriptions whose client disconnected before they were processed and confirmed. They
    /// continue when the same node reconnects. Limited to the latest [`MAX_PARKED`], because some
    /// nodes never reconnect.
    parked: VecDeque<PendingRequest>,
    /// The running requests whose action was sent to channels.
    in_channels: BTreeSet<RequestId>,
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
        tracked: &mut Option<RequestId>,
    ) -> (RequestId, &PendingRequest) {
        self.last_id += 1;
        let request_id = RequestId(self.last_id);
        *tracked = Some(request_id);
        (request_id, self.requests.entry(request_id).or_insert(request))
    }
}

/// The queues of one client that are not empty. There are few, because the application names them.
#[derive(Debug, Default)]
struct ClientQueues(SmallVec<[RequestQueue; 1]>);

impl ClientQueues {
    fn queue(&mut self, name: &QueueName) -> Option<&mut RequestQueue> {
        self.0.iter_mut().find(|queue| queue.name == *name)
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
        self.clients.get(client).map_or(0, |client| client.0.iter().map(RequestQueue::len).sum())
    }

    /// Returns the sizes of the actions of clients that are running or waiting.
    pub(super) const fn pending_bytes(&self) -> &PendingBytes {
        &self.pending_bytes
    }

    pub(super) fn running_count(&self) -> usize {
        self.running.requests.len()
    }

    pub(super) fn waiting_count(&self) -> usize {
        self.clients.values().flat_map(|client| &client.0).map(RequestQueue::len).sum()
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

    /// Returns the id of the running request of an action.
    pub(super) fn running_id(&self, id: &ActionId) -> Option<RequestId> {
        *self.tracked.get(id)?
    }

    /// Records that the action of a running request was sent to channels.
    pub(super) fn mark_in_channels(&mut self, request_id: RequestId) {
        self.in_channels.insert(request_id);
    }

    /// Returns the running requests whose action was sent to a channel, in the order in which they
    /// started. O(`n`), where `n` is the number of such requests of all channels.
    pub(super) fn in_channel(&self, channel: &str) -> impl Iterator<Item = &PendingRequest> {
        let requests =
            self.in_channels.iter().filter_map(|request_id| self.running.requests.get(request_id));
        requests.filter(move |request| {
            request.recipients.channels.iter().any(|recipient| **recipient == *channel)
        })
    }

    /// Whether an action was sent to channels, and has a running request for which `matches` is
    /// true.
    pub(super) fn is_in_channels(
        &self,
        id: &ActionId,
        matches: impl Fn(&PendingRequest) -> bool,
    ) -> bool {
        self.running_id(id)
            .filter(|request_id| self.in_channels.contains(request_id))
            .and_then(|request_id| self.running.requests.get(&request_id))
            .is_some_and(matches)
    }

    /// Adds a request to the end of its queue. Returns it if it starts now.
    pub(super) fn push(&mut self, request: PendingRequest) -> Option<(RequestId, &PendingRequest)> {
        let id = &request.entry.meta.id;
        self.pending_bytes.add(&request.entry);
        let tracked = self.tracked.entry(id.clone()).or_default();
        let client = self.clients.entry(id.node().client_id().into()).or_default();
        if let Some(queue) = client.queue(&request.queue) {
            let (node, name) = (id.node().clone(), request.queue.clone());
            queue.push(request);
            return self.next(&node, &name);
        }
        // The common case: the queue is empty.
        let name = request.queue.clone();
        let (request_id, request) = self.running.start(request, tracked);
        client.0.push(RequestQueue::new(name, request_id));
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
        let client = self.clients.get_mut(node.client_id())?;
        let queue = client.queue(queue).filter(|queue| queue.running.is_none())?;
        let Some(request) = queue.pop() else {
            self.drop_idle_queues(node);
            return None;
        };
        let tracked = self.tracked.entry(request.entry.meta.id.clone()).or_default();
        let (request_id, request) = self.running.start(request, tracked);
        queue.running = Some(request_id);
        Some((request_id, request))
    }

    /// Removes a running request that has ended. [`next`](Self::next) starts the next one of its
    /// queue.
    pub(super) fn finish(&mut self, request_id: RequestId) -> Option<PendingRequest> {
        let request = self.running.requests.remove(&request_id)?;
        self.in_channels.remove(&request_id);
        if request.is_in_inbox() {
            self.pending_bytes.remove(&request.entry);
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
        let Some(queue) = self.queue_of(request) else { return Vec::new() };
        let drained = queue.drain_fate(&request.fate_key);
        drained.iter().for_each(|request| self.pending_bytes.remove(&request.entry));
        drained.into_iter().map(|request| self.untrack(request)).collect()
    }

    /// Removes a waiting request.
    pub(super) fn take_waiting(&mut self, id: &ActionId) -> Option<PendingRequest> {
        self.tracked.get(id)?;
        let queues = &mut self.clients.get_mut(id.node().client_id())?.0;
        let request = queues.iter_mut().find_map(|queue| {
            let position = queue.position(|request| request.entry.meta.id == *id)?;
            queue.remove(position)
        })?;
        self.pending_bytes.remove(&request.entry);
        Some(self.untrack(request))
    }

    /// Cancels the running and waiting subscriptions of a node for which `matches` is true.
    pub(super) fn cancel_subscriptions(
        &mut self,
        node: &NodeId,
        matches: impl Fn(&PendingRequest) -> bool,
    ) {
        let Some(client) = self.clients.get_mut(node.client_id()) else { return };
        let matches =
            |request: &PendingRequest| request.entry.meta.id.node() == node && matches(request);
        for queue in &mut client.0 {
            let running =
                queue.running.and_then(|request_id| self.running.requests.get_mut(&request_id));
            for request in running.into_iter().chain(queue.waiting_mut()) {
                if matches(request) {
                    request.cancel();
                }
            }
        }
    }

    /// Returns the running and waiting subscriptions of a client, without the cancelled ones.
    /// O(`n`), where `n` is the number of its requests.
    pub(super) fn subscriptions_of(&self, client: &str) -> impl Iterator<Item = &PendingRequest> {
        let queues = self.clients.get(client).into_iter().flat_map(|client| &client.0);
        let requests = queues.flat_map(|queue| {
            let running = queue.running.and_then(|id| self.running.requests.get(&id));
            running.into_iter().chain(queue.waiting())
        });
        requests.filter(|request| request.subscription().is_some() && !request.is_cancelled())
    }

    /// Drops the queues of a client without running and waiting requests.
    fn drop_idle_queues(&mut self, node: &NodeId) {
        let Some(client) = self.clients.get_mut(node.client_id()) else { return };
        client.0.retain(|queue| !queue.is_idle());
        if client.0.is_empty() {
            self.clients.remove(node.client_id());
        }
    }

    fn queue_of(&mut self, request: &PendingRequest) -> Option<&mut RequestQueue> {
        self.clients.get_mut(request.entry.meta.id.node().client_id())?.queue(&request.queue)
    }

    /// Stops tracking the action of a request.
    fn untrack(&mut self, request: PendingRequest) -> PendingRequest {
        self.tracked.remove(&request.entry.meta.id);
        request
    }

    /// Parks a subscription until its node reconnects. Returns the one that has been parked
    /// longest, if there are more than [`MAX_PARKED`].
    #[must_use]
    pub(super) fn park(&mut self, request: PendingRequest) -> Option<PendingRequest> {
        self.tracked.entry(request.entry.meta.id.clone()).or_default();
        self.parked.push_back(request);
        let evicted = if self.parked.len() > MAX_PARKED { self.parked.pop_front() } else { None };
        if let Some(request) = &evicted {
            self.tracked.remove(&request.entry.meta.id);
        }
        evicted
    }

    /// Removes the parked subscriptions of a client.
    pub(super) fn unpark(&mut self, client: &str) -> Vec<PendingRequest> {
        self.unpark_if(|request| request.entry.meta.id.node().client_id() == client)
    }

    /// Removes the parked subscriptions whose number in the log is at most `added`.
    pub(super) fn unpark_until(&mut self, added: u64) -> Vec<PendingRequest> {
        self.unpark_if(|request| request.entry.meta.added <= Some(added))
    }

    fn unpark_if(&mut self, matches: impl Fn(&PendingRequest) -> bool) -> Vec<PendingRequest> {
        let all = core::mem::take(&mut self.parked);
        let (unparked, parked): (Vec<PendingRequest>, Vec<PendingRequest>) =
            all.into_iter().partition(matches);
        self.parked = parked.into();
        unparked.into_iter().map(|request| self.untrack(request)).collect()
    }
}
