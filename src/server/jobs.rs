//! What the application is working on, and what waits for it: queues per client.

use core::hash::BuildHasherDefault;
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use smallvec::SmallVec;

use super::{About, Job, NumberHasher, QueueName, Recipients, SessionId};
use crate::{
    action::{ActionId, NodeId},
    store::Entry,
};

/// A question that the application was asked, or will be.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) about: About,
    pub(super) entry: Arc<Entry>,
    /// Who gets the action when it is approved, and its undo.
    pub(super) recipients: Recipients,
    /// Whether the recipients got it.
    pub(super) approved: bool,
    /// Which of its client's queues it waits in.
    pub(super) queue: QueueName,
    /// For a subscription: whether the client does not want it any more.
    pub(super) cancelled: bool,
    /// For a subscription: the node that sent it, which may do so for another tab of its client.
    pub(super) sender: NodeId,
    /// For a subscription: the connection it is for.
    pub(super) session: Option<SessionId>,
    /// For an addition of the application: whom to tell.
    pub(super) ticket: Option<u64>,
    /// Whether it is in the inbox.
    pub(super) kept: bool,
    /// How many times it came again before it was answered; each is answered too.
    pub(super) repeats: u32,
}

/// How many subscriptions wait for clients that went away.
const MAX_PARKED: usize = 1_000;

/// What comes again more often than this is answered no more often.
const MAX_REPEATS: u32 = 16;

/// All questions, in queues: those of one queue of a client are asked one after the other.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    running: Running,
    clients: HashMap<Arc<str>, Client>,
    /// All actions that run or wait.
    known: HashMap<ActionId, Known>,
    /// Subscriptions whose client went away before they were done; they go on when the same node comes back. The latest
    /// [`MAX_PARKED`], since some never come back.
    parked: VecDeque<Task>,
    /// Those that run and that channels have got.
    in_channels: BTreeSet<Job>,
}

/// What was begun and is not finished.
#[derive(Debug, Default)]
struct Running {
    tasks: HashMap<Job, Task, BuildHasherDefault<NumberHasher>>,
    last: u64,
}

impl Running {
    fn begin(&mut self, task: Task, known: &mut Known) -> (Job, &Task) {
        self.last += 1;
        let job = Job(self.last);
        known.job = Some(job);
        (job, self.tasks.entry(job).or_insert(task))
    }
}

#[derive(Debug, Default)]
struct Known {
    /// How many times it came again meanwhile.
    repeats: u32,
    /// Set while it runs.
    job: Option<Job>,
}

/// The queues of one client that are not empty. There are few: the application names them.
#[derive(Debug, Default)]
struct Client(SmallVec<[Queue; 1]>);

#[derive(Debug)]
struct Queue {
    name: QueueName,
    running: Option<Job>,
    waiting: VecDeque<Task>,
}

impl Client {
    fn queue(&mut self, name: &QueueName) -> Option<&mut Queue> {
        self.0.iter_mut().find(|queue| queue.name == *name)
    }
}

impl Jobs {
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
        self.running.tasks.len()
    }

    pub(super) fn all_waiting(&self) -> usize {
        self.clients.values().flat_map(|client| &client.0).map(|queue| queue.waiting.len()).sum()
    }

    pub(super) fn all_parked(&self) -> usize {
        self.parked.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.tasks.is_empty()
    }

    pub(super) fn running(&mut self, job: Job) -> Option<&mut Task> {
        self.running.tasks.get_mut(&job)
    }

    /// The job of an action that runs.
    pub(super) fn job_of(&self, id: &ActionId) -> Option<Job> {
        self.known.get(id)?.job
    }

    /// Notes that channels have got an action that runs.
    pub(super) fn note_in_channels(&mut self, job: Job) {
        self.in_channels.insert(job);
    }

    /// The actions that a channel has got and that are not done yet, in the order in which they were begun. O(such actions of all channels).
    pub(super) fn in_channel(&self, channel: &str) -> impl Iterator<Item = &Task> {
        let tasks = self.in_channels.iter().filter_map(|job| self.running.tasks.get(job));
        tasks.filter(move |task| task.recipients.channels.iter().any(|other| **other == *channel))
    }

    /// Whether channels have got an action that is not done yet.
    pub(super) fn is_in_channels(&self, id: &ActionId) -> bool {
        self.job_of(id).is_some_and(|job| self.in_channels.contains(&job))
    }

    /// Puts a task at the end of its queue; returns it if it can be asked now.
    pub(super) fn push(&mut self, task: Task) -> Option<(Job, &Task)> {
        let id = &task.entry.meta.id;
        let known = self.known.entry(id.clone()).or_default();
        known.repeats = task.repeats;
        let client = self.clients.entry(id.node().client_id().into()).or_default();
        if let Some(queue) = client.queue(&task.queue) {
            let (node, name) = (id.node().clone(), task.queue.clone());
            queue.waiting.push_back(task);
            return self.next(&node, &name);
        }
        // Nothing of this queue runs or waits, as mostly.
        let name = task.queue.clone();
        let (job, task) = self.running.begin(task, known);
        client.0.push(Queue { name, running: Some(job), waiting: VecDeque::new() });
        Some((job, task))
    }

    /// Starts a task that has no queue: the application's own may not wait for each other, or one that adds another and waits
    /// for it would wait for ever.
    pub(super) fn start_alone(&mut self, task: Task) -> (Job, &Task) {
        let known = self.known.entry(task.entry.meta.id.clone()).or_default();
        self.running.begin(task, known)
    }

    /// Starts the next task of a queue, if none of it runs.
    pub(super) fn next(&mut self, node: &NodeId, queue: &QueueName) -> Option<(Job, &Task)> {
        let client = self.clients.get_mut(node.client_id())?;
        let queue = client.queue(queue).filter(|queue| queue.running.is_none())?;
        let Some(task) = queue.waiting.pop_front() else {
            self.drop_idle_queues(node);
            return None;
        };
        let known = self.known.entry(task.entry.meta.id.clone()).or_default();
        let (job, task) = self.running.begin(task, known);
        queue.running = Some(job);
        Some((job, task))
    }

    /// Takes a finished task out; the next of its queue starts with [`next`](Self::next).
    pub(super) fn finish(&mut self, job: Job) -> Option<Task> {
        let task = self.running.tasks.remove(&job)?;
        self.in_channels.remove(&job);
        if let Some(queue) = self.queue_of(&task)
            && queue.running == Some(job)
        {
            queue.running = None;
            self.drop_idle_queues(task.entry.meta.id.node());
        }
        Some(self.forget(task))
    }

    /// Takes out everything that waits in the queue of a task and came behind it. A subscription that is done again at a new connection
    /// came before.
    pub(super) fn drain_behind(&mut self, task: &Task) -> Vec<Task> {
        let Some(queue) = self.queue_of(task) else { return Vec::new() };
        let came_before = |other: &Task| {
            other.about == About::Subscription && other.entry.meta.added < task.entry.meta.added
        };
        let (before, behind): (_, VecDeque<_>) = queue.waiting.drain(..).partition(came_before);
        queue.waiting = before;
        behind.into_iter().map(|task| self.forget(task)).collect()
    }

    /// Takes out one task that waits.
    pub(super) fn take_waiting(&mut self, id: &ActionId) -> Option<Task> {
        self.known.get(id)?;
        let queues = &mut self.clients.get_mut(id.node().client_id())?.0;
        let task = queues.iter_mut().find_map(|queue| {
            let place = queue.waiting.iter().position(|task| task.entry.meta.id == *id)?;
            queue.waiting.remove(place)
        })?;
        Some(self.forget(task))
    }

    /// Subscriptions of a node that run or wait, and for which this is true, shall have no effect any more.
    pub(super) fn cancel_subscriptions(&mut self, node: &NodeId, is_meant: impl Fn(&Task) -> bool) {
        let Some(client) = self.clients.get_mut(node.client_id()) else { return };
        let is_meant = |task: &Task| {
            task.about == About::Subscription && task.entry.meta.id.node() == node && is_meant(task)
        };
        for queue in &mut client.0 {
            let running = queue.running.and_then(|job| self.running.tasks.get_mut(&job));
            for task in running.into_iter().chain(&mut queue.waiting) {
                task.cancelled |= is_meant(task);
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

    fn queue_of(&mut self, task: &Task) -> Option<&mut Queue> {
        self.clients.get_mut(task.entry.meta.id.node().client_id())?.queue(&task.queue)
    }

    fn forget(&mut self, task: Task) -> Task {
        let repeats = self.known.remove(&task.entry.meta.id).map_or(0, |known| known.repeats);
        Task { repeats, ..task }
    }

    /// Puts a subscription aside until its node comes back. Returns the one that has waited longest when there are too many.
    #[must_use]
    pub(super) fn park(&mut self, task: Task) -> Option<Task> {
        self.known.entry(task.entry.meta.id.clone()).or_default().repeats = task.repeats;
        self.parked.push_back(task);
        let given_up = if self.parked.len() > MAX_PARKED { self.parked.pop_front() } else { None };
        if let Some(task) = &given_up {
            self.known.remove(&task.entry.meta.id);
        }
        given_up
    }

    /// Takes out the subscriptions of a client that were put aside.
    pub(super) fn unpark(&mut self, client: &str) -> Vec<Task> {
        self.unpark_if(|task| task.entry.meta.id.node().client_id() == client)
    }

    /// Takes out the subscriptions that were put aside and came before this number of the log was given.
    pub(super) fn unpark_old(&mut self, added: u64) -> Vec<Task> {
        self.unpark_if(|task| task.entry.meta.added <= Some(added))
    }

    fn unpark_if(&mut self, is_meant: impl Fn(&Task) -> bool) -> Vec<Task> {
        let all = core::mem::take(&mut self.parked);
        let (meant, others): (Vec<Task>, Vec<Task>) = all.into_iter().partition(is_meant);
        self.parked = others.into();
        meant.into_iter().map(|task| self.forget(task)).collect()
    }
}
