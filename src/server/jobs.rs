//! What the application is working on, and what waits for it: one queue per client.

use std::{
    collections::{HashMap, VecDeque},
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
    /// How many times it came again before it was answered; each is answered too.
    pub(super) repeats: u32,
}

/// How many subscriptions wait for clients that went away.
const MAX_PARKED: usize = 1_000;

/// What comes again more often than this is answered no more often.
const MAX_REPEATS: u32 = 16;

/// All questions, in queues: those of one client are asked one after the other.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    running: HashMap<Job, Task>,
    queues: HashMap<Arc<str>, Queue>,
    /// Ids of all actions that run or wait, with how many times each came again meanwhile.
    known: HashMap<ActionId, u32>,
    /// Subscriptions whose client went away before they were done; they go on when the same node comes back. The latest
    /// [`MAX_PARKED`], since some never come back.
    parked: VecDeque<Task>,
    last: u64,
}

#[derive(Debug, Default)]
struct Queue {
    running: Option<Job>,
    waiting: VecDeque<Task>,
}

impl Jobs {
    /// Notes that an action came again while it runs or waits; `false` if it does neither.
    pub(super) fn came_again(&mut self, id: &ActionId) -> bool {
        let times = self.known.get_mut(id);
        times.map(|times| *times = (*times + 1).min(MAX_REPEATS)).is_some()
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
        self.known.entry(task.entry.meta.id.clone()).or_insert(task.repeats);
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
        let mut task = self.running.remove(&job)?;
        task.repeats = self.known.remove(&task.entry.meta.id).unwrap_or_default();
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
        let mut waiting: Vec<Task> =
            self.queues.get_mut(node.client_id()).map(|queue| queue.waiting.drain(..).collect()).unwrap_or_default();
        for task in &mut waiting {
            task.repeats = self.known.remove(&task.entry.meta.id).unwrap_or_default();
        }
        waiting
    }

    /// Puts a subscription aside until its node comes back. Returns the one that has waited longest when there are too many.
    #[must_use]
    pub(super) fn park(&mut self, task: Task) -> Option<Task> {
        self.known.entry(task.entry.meta.id.clone()).or_insert(task.repeats);
        self.parked.push_back(task);
        let given_up = if self.parked.len() > MAX_PARKED { self.parked.pop_front() } else { None };
        if let Some(task) = &given_up {
            self.known.remove(&task.entry.meta.id);
        }
        given_up
    }

    /// Takes out the subscriptions of a client that were put aside.
    pub(super) fn unpark(&mut self, client: &str) -> Vec<Task> {
        let is_own = |task: &Task| task.entry.meta.id.node().client_id() == client;
        let all = core::mem::take(&mut self.parked);
        let (mut own, others): (Vec<Task>, Vec<Task>) = all.into_iter().partition(is_own);
        self.parked = others.into();
        for task in &mut own {
            task.repeats = self.known.remove(&task.entry.meta.id).unwrap_or_default();
        }
        own
    }
}
