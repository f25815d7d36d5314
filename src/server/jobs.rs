//! What the application is working on, and what waits for it: one queue per client.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use super::{About, Job, Recipients, SessionId};
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
    /// For a subscription: the connection it is for.
    pub(super) session: Option<SessionId>,
    /// For an addition of the application: whom to tell.
    pub(super) ticket: Option<u64>,
    /// Whether it is in the inbox.
    pub(super) kept: bool,
}

/// All questions, in queues: those of one client are asked one after the other.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    running: HashMap<Job, Task>,
    queues: HashMap<Arc<str>, Queue>,
    /// Ids of all actions that run or wait.
    known: HashSet<ActionId>,
    /// Subscriptions whose client went away before they were done; they go on when the same node comes back.
    parked: HashMap<Arc<str>, Vec<Task>>,
    last: u64,
}

#[derive(Debug, Default)]
struct Queue {
    running: Option<Job>,
    waiting: VecDeque<Task>,
}

impl Jobs {
    /// Whether an action runs or waits.
    pub(super) fn knows(&self, id: &ActionId) -> bool {
        self.known.contains(id)
    }

    /// How many actions of a client wait.
    pub(super) fn waiting(&self, client: &str) -> usize {
        self.queues.get(client).map_or(0, |queue| queue.waiting.len())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    pub(super) fn running(&mut self, job: Job) -> Option<&mut Task> {
        self.running.get_mut(&job)
    }

    /// Puts a task at the end of its client's queue; returns it if it can be asked now.
    pub(super) fn push(&mut self, task: Task) -> Option<(Job, &Task)> {
        self.known.insert(task.entry.meta.id.clone());
        let client: Arc<str> = task.entry.meta.id.node().client_id().into();
        self.queues.entry(client.clone()).or_default().waiting.push_back(task);
        self.start(&client)
    }

    /// Starts a task that has no queue: the application's own may not wait for each other, or one that adds another and waits
    /// for it would wait for ever.
    pub(super) fn start_alone(&mut self, task: Task) -> (Job, &Task) {
        self.last += 1;
        let job = Job(self.last);
        (job, self.running.entry(job).or_insert(task))
    }

    fn start(&mut self, client: &Arc<str>) -> Option<(Job, &Task)> {
        let queue = self.queues.get_mut(client)?;
        if queue.running.is_some() {
            return None;
        }
        let Some(task) = queue.waiting.pop_front() else {
            self.queues.remove(client);
            return None;
        };
        self.last += 1;
        let job = Job(self.last);
        queue.running = Some(job);
        Some((job, self.running.entry(job).or_insert(task)))
    }

    /// Takes a finished task out; the next of its client starts with [`next`](Self::next).
    pub(super) fn finish(&mut self, job: Job) -> Option<Task> {
        let task = self.running.remove(&job)?;
        self.known.remove(&task.entry.meta.id);
        if let Some(queue) = self.queues.get_mut(task.entry.meta.id.node().client_id())
            && queue.running == Some(job)
        {
            queue.running = None;
        }
        Some(task)
    }

    /// Starts the next task of a client, if none runs.
    pub(super) fn next(&mut self, node: &NodeId) -> Option<(Job, &Task)> {
        let (client, _) = self.queues.get_key_value(node.client_id())?;
        self.start(&client.clone())
    }

    /// Takes out everything of a client that waits.
    pub(super) fn drain_waiting(&mut self, node: &NodeId) -> Vec<Task> {
        let waiting: Vec<Task> =
            self.queues.get_mut(node.client_id()).map(|queue| queue.waiting.drain(..).collect()).unwrap_or_default();
        for task in &waiting {
            self.known.remove(&task.entry.meta.id);
        }
        waiting
    }

    /// Puts a subscription aside until its node comes back.
    pub(super) fn park(&mut self, task: Task) {
        self.known.insert(task.entry.meta.id.clone());
        self.parked.entry(task.entry.meta.id.node().client_id().into()).or_default().push(task);
    }

    /// Takes out the subscriptions of a client that were put aside.
    pub(super) fn unpark(&mut self, client: &str) -> Vec<Task> {
        let parked = self.parked.remove(client).unwrap_or_default();
        for task in &parked {
            self.known.remove(&task.entry.meta.id);
        }
        parked
    }
}
