//! What the application is working on, and what waits for it: queues per client.

use core::hash::BuildHasherDefault;
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use smallvec::SmallVec;

use super::{NumberHasher, QueueName, Recipients, RequestId, RequestKind, SessionId};
use crate::{
    action::{ActionId, NodeId},
    store::Entry,
};

/// A request to the application that is waiting or running.
#[derive(Debug)]
pub(super) struct PendingRequest {
    pub(super) subject: Subject,
    pub(super) entry: Arc<Entry>,
    /// Who receives the action when it is approved, and its undo.
    pub(super) recipients: Recipients,
    /// Whether the action was approved: its recipients have received it.
    pub(super) is_approved: bool,
    /// The queue of its client that it belongs to.
    pub(super) queue: QueueName,
    /// How many times the action was received again before it was answered. Each is answered too.
    pub(super) repeats: u32,
}

/// What a request is about, with the data of that kind.
#[derive(Debug)]
pub(super) enum Subject {
    /// An action of a client. It is in the inbox.
    Action,
    /// An action of the application, with the ticket of its [`AddAction`](super::AddAction).
    OwnAction { ticket: Option<u64> },
    /// A subscription. It is in the inbox.
    Subscription(Subscription),
}

/// The data of a request that is a subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    /// The node that sent it. It may act for another tab of its client.
    pub(super) sender: NodeId,
    /// The connection that it is for.
    pub(super) session: Option<SessionId>,
    /// Whether the client has ended it already.
    pub(super) is_cancelled: bool,
}

impl PendingRequest {
    pub(super) const fn kind(&self) -> RequestKind {
        match self.subject {
            Subject::Action => RequestKind::Action,
            Subject::OwnAction { .. } => RequestKind::OwnAction,
            Subject::Subscription(_) => RequestKind::Subscription,
        }
    }

    pub(super) const fn subscription(&self) -> Option<&Subscription> {
        match &self.subject {
            Subject::Subscription(subscription) => Some(subscription),
            Subject::Action | Subject::OwnAction { .. } => None,
        }
    }

    pub(super) const fn subscription_mut(&mut self) -> Option<&mut Subscription> {
        match &mut self.subject {
            Subject::Subscription(subscription) => Some(subscription),
            Subject::Action | Subject::OwnAction { .. } => None,
        }
    }

    /// Whether it is a subscription that the client has ended already.
    pub(super) fn is_cancelled(&self) -> bool {
        self.subscription().is_some_and(|subscription| subscription.is_cancelled)
    }

    /// The connection of a subscription.
    pub(super) fn session(&self) -> Option<SessionId> {
        self.subscription()?.session
    }

    /// Whether it is a subscription that `node` sent.
    pub(super) fn is_from(&self, node: &NodeId) -> bool {
        self.subscription().is_some_and(|subscription| subscription.sender == *node)
    }

    /// Cancels a subscription.
    pub(super) const fn cancel(&mut self) {
        if let Some(subscription) = self.subscription_mut() {
            subscription.is_cancelled = true;
        }
    }

    /// The same subscription for another connection, from the beginning.
    pub(super) fn for_session(mut self, session: Option<SessionId>) -> Self {
        if let Some(subscription) = self.subscription_mut() {
            subscription.session = session;
        }
        Self { is_approved: false, recipients: Recipients::default(), ..self }
    }

    /// The ticket of an action of the application.
    pub(super) const fn ticket(&self) -> Option<u64> {
        match self.subject {
            Subject::OwnAction { ticket } => ticket,
            Subject::Action | Subject::Subscription(_) => None,
        }
    }

    /// Whether the action is in the inbox, which all actions of clients are.
    pub(super) const fn is_in_inbox(&self) -> bool {
        !matches!(self.subject, Subject::OwnAction { .. })
    }
}

/// How many subscriptions wait for clients that went away.
const MAX_PARKED: usize = 1_000;

/// What comes again more often than this is answered no more often.
const MAX_REPEATS: u32 = 16;

/// All questions, in queues: those of one queue of a client are asked one after the other.
#[derive(Debug, Default)]
pub(super) struct Requests {
    running: Running,
    clients: HashMap<Arc<str>, Client>,
    /// All actions that run or wait.
    known: HashMap<ActionId, Known>,
    /// Subscriptions whose client went away before they were done; they go on when the same node comes back. The latest
    /// [`MAX_PARKED`], since some never come back.
    parked: VecDeque<PendingRequest>,
    /// Those that run and that channels have got.
    in_channels: BTreeSet<RequestId>,
}

/// What was begun and is not finished.
#[derive(Debug, Default)]
struct Running {
    requests: HashMap<RequestId, PendingRequest, BuildHasherDefault<NumberHasher>>,
    last: u64,
}

impl Running {
    fn begin(
        &mut self,
        request: PendingRequest,
        known: &mut Known,
    ) -> (RequestId, &PendingRequest) {
        self.last += 1;
        let request_id = RequestId(self.last);
        known.request_id = Some(request_id);
        (request_id, self.requests.entry(request_id).or_insert(request))
    }
}

#[derive(Debug, Default)]
struct Known {
    /// How many times it came again meanwhile.
    repeats: u32,
    /// Set while it runs.
    request_id: Option<RequestId>,
}

/// The queues of one client that are not empty. There are few: the application names them.
#[derive(Debug, Default)]
struct Client(SmallVec<[Queue; 1]>);

#[derive(Debug)]
struct Queue {
    name: QueueName,
    running: Option<RequestId>,
    waiting: VecDeque<PendingRequest>,
}

impl Client {
    fn queue(&mut self, name: &QueueName) -> Option<&mut Queue> {
        self.0.iter_mut().find(|queue| queue.name == *name)
    }
}

impl Requests {
    /// Notes that an action came again while it runs or waits; `false` if it does neither.
    pub(super) fn came_again(&mut self, id: &ActionId) -> bool {
        let known = self.known.get_mut(id);
        known.map(|known| known.repeats = (known.repeats + 1).min(MAX_REPEATS)).is_some()
    }

    /// How many actions of a client wait, in all its queues.
    pub(super) fn waiting(&self, client: &str) -> usize {
        self.clients
            .get(client)
            .map_or(0, |client| client.0.iter().map(|queue| queue.waiting.len()).sum())
    }

    pub(super) fn all_running(&self) -> usize {
        self.running.requests.len()
    }

    pub(super) fn all_waiting(&self) -> usize {
        self.clients.values().flat_map(|client| &client.0).map(|queue| queue.waiting.len()).sum()
    }

    pub(super) fn all_parked(&self) -> usize {
        self.parked.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.requests.is_empty()
    }

    pub(super) fn running(&mut self, request_id: RequestId) -> Option<&mut PendingRequest> {
        self.running.requests.get_mut(&request_id)
    }

    /// The job of an action that runs.
    pub(super) fn running_id(&self, id: &ActionId) -> Option<RequestId> {
        self.known.get(id)?.request_id
    }

    /// Notes that channels have got an action that runs.
    pub(super) fn note_in_channels(&mut self, request_id: RequestId) {
        self.in_channels.insert(request_id);
    }

    /// The actions that a channel has got and that are not done yet, in the order in which they were begun. O(such actions of all channels).
    pub(super) fn in_channel(&self, channel: &str) -> impl Iterator<Item = &PendingRequest> {
        let requests =
            self.in_channels.iter().filter_map(|request_id| self.running.requests.get(request_id));
        requests.filter(move |request| {
            request.recipients.channels.iter().any(|other| **other == *channel)
        })
    }

    /// Whether channels have got an action that is not done yet.
    pub(super) fn is_in_channels(&self, id: &ActionId) -> bool {
        self.running_id(id).is_some_and(|request_id| self.in_channels.contains(&request_id))
    }

    /// Puts a task at the end of its queue; returns it if it can be asked now.
    pub(super) fn push(&mut self, request: PendingRequest) -> Option<(RequestId, &PendingRequest)> {
        let id = &request.entry.meta.id;
        let known = self.known.entry(id.clone()).or_default();
        known.repeats = request.repeats;
        let client = self.clients.entry(id.node().client_id().into()).or_default();
        if let Some(queue) = client.queue(&request.queue) {
            let (node, name) = (id.node().clone(), request.queue.clone());
            queue.waiting.push_back(request);
            return self.next(&node, &name);
        }
        // Nothing of this queue runs or waits, as mostly.
        let name = request.queue.clone();
        let (request_id, request) = self.running.begin(request, known);
        client.0.push(Queue { name, running: Some(request_id), waiting: VecDeque::new() });
        Some((request_id, request))
    }

    /// Starts a task that has no queue: the application's own may not wait for each other, or one that adds another and waits
    /// for it would wait for ever.
    pub(super) fn start_alone(&mut self, request: PendingRequest) -> (RequestId, &PendingRequest) {
        let known = self.known.entry(request.entry.meta.id.clone()).or_default();
        self.running.begin(request, known)
    }

    /// Starts the next task of a queue, if none of it runs.
    pub(super) fn next(
        &mut self,
        node: &NodeId,
        queue: &QueueName,
    ) -> Option<(RequestId, &PendingRequest)> {
        let client = self.clients.get_mut(node.client_id())?;
        let queue = client.queue(queue).filter(|queue| queue.running.is_none())?;
        let Some(request) = queue.waiting.pop_front() else {
            self.drop_idle_queues(node);
            return None;
        };
        let known = self.known.entry(request.entry.meta.id.clone()).or_default();
        let (request_id, request) = self.running.begin(request, known);
        queue.running = Some(request_id);
        Some((request_id, request))
    }

    /// Takes a finished task out; the next of its queue starts with [`next`](Self::next).
    pub(super) fn finish(&mut self, request_id: RequestId) -> Option<PendingRequest> {
        let request = self.running.requests.remove(&request_id)?;
        self.in_channels.remove(&request_id);
        if let Some(queue) = self.queue_of(&request)
            && queue.running == Some(request_id)
        {
            queue.running = None;
            self.drop_idle_queues(request.entry.meta.id.node());
        }
        Some(self.forget(request))
    }

    /// Takes out everything that waits in the queue of a task and came behind it. A subscription that is done again at a new connection
    /// came before.
    pub(super) fn drain_behind(&mut self, request: &PendingRequest) -> Vec<PendingRequest> {
        let Some(queue) = self.queue_of(request) else { return Vec::new() };
        let came_before = |other: &PendingRequest| {
            other.subscription().is_some() && other.entry.meta.added < request.entry.meta.added
        };
        let (before, behind): (_, VecDeque<_>) = queue.waiting.drain(..).partition(came_before);
        queue.waiting = before;
        behind.into_iter().map(|request| self.forget(request)).collect()
    }

    /// Takes out one task that waits.
    pub(super) fn take_waiting(&mut self, id: &ActionId) -> Option<PendingRequest> {
        self.known.get(id)?;
        let queues = &mut self.clients.get_mut(id.node().client_id())?.0;
        let request = queues.iter_mut().find_map(|queue| {
            let place = queue.waiting.iter().position(|request| request.entry.meta.id == *id)?;
            queue.waiting.remove(place)
        })?;
        Some(self.forget(request))
    }

    /// Subscriptions of a node that run or wait, and for which this is true, shall have no effect any more.
    pub(super) fn cancel_subscriptions(
        &mut self,
        node: &NodeId,
        is_meant: impl Fn(&PendingRequest) -> bool,
    ) {
        let Some(client) = self.clients.get_mut(node.client_id()) else { return };
        let is_meant =
            |request: &PendingRequest| request.entry.meta.id.node() == node && is_meant(request);
        for queue in &mut client.0 {
            let running =
                queue.running.and_then(|request_id| self.running.requests.get_mut(&request_id));
            for request in running.into_iter().chain(&mut queue.waiting) {
                if is_meant(request) {
                    request.cancel();
                }
            }
        }
    }

    /// Drops the queues of a client in which nothing runs or waits.
    fn drop_idle_queues(&mut self, node: &NodeId) {
        let Some(client) = self.clients.get_mut(node.client_id()) else { return };
        client.0.retain(|queue| queue.running.is_some() || !queue.waiting.is_empty());
        if client.0.is_empty() {
            self.clients.remove(node.client_id());
        }
    }

    fn queue_of(&mut self, request: &PendingRequest) -> Option<&mut Queue> {
        self.clients.get_mut(request.entry.meta.id.node().client_id())?.queue(&request.queue)
    }

    fn forget(&mut self, request: PendingRequest) -> PendingRequest {
        let repeats = self.known.remove(&request.entry.meta.id).map_or(0, |known| known.repeats);
        PendingRequest { repeats, ..request }
    }

    /// Puts a subscription aside until its node comes back. Returns the one that has waited longest when there are too many.
    #[must_use]
    pub(super) fn park(&mut self, request: PendingRequest) -> Option<PendingRequest> {
        self.known.entry(request.entry.meta.id.clone()).or_default().repeats = request.repeats;
        self.parked.push_back(request);
        let given_up = if self.parked.len() > MAX_PARKED { self.parked.pop_front() } else { None };
        if let Some(request) = &given_up {
            self.known.remove(&request.entry.meta.id);
        }
        given_up
    }

    /// Takes out the subscriptions of a client that were put aside.
    pub(super) fn unpark(&mut self, client: &str) -> Vec<PendingRequest> {
        self.unpark_if(|request| request.entry.meta.id.node().client_id() == client)
    }

    /// Takes out the subscriptions that were put aside and came before this number of the log was given.
    pub(super) fn unpark_old(&mut self, added: u64) -> Vec<PendingRequest> {
        self.unpark_if(|request| request.entry.meta.added <= Some(added))
    }

    fn unpark_if(&mut self, is_meant: impl Fn(&PendingRequest) -> bool) -> Vec<PendingRequest> {
        let all = core::mem::take(&mut self.parked);
        let (meant, others): (Vec<PendingRequest>, Vec<PendingRequest>) =
            all.into_iter().partition(is_meant);
        self.parked = others.into();
        meant.into_iter().map(|request| self.forget(request)).collect()
    }
}
