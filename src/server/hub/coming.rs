//! Clients coming and going, and what a connection takes with it.
//!
//! A subscription lives with a connection. One that the client has not heard of is done again at its next connection: it was `synced`, so
//! the client will not repeat it. One that it has heard of it repeats by itself. What the client has heard of is told by its confirmations, and
//! by the number in its `connect`.

use std::collections::HashMap;

use super::{Hub, subscribed_to};
use crate::{
    action::{NodeId, Subprotocol, logux::UNSUBSCRIBE},
    json::Json,
    log::LogError,
    server::{
        About, Output, Recipients, Report, SessionId, jobs::Task, keep::was_approved,
        sessions::Session,
    },
    store::{Entry, Store},
    time::WallTime,
};

impl<S: Store> Hub<S> {
    pub(super) fn join(
        &mut self,
        now: WallTime,
        id: SessionId,
        node: &NodeId,
        subprotocol: Subprotocol,
        headers: Option<Json>,
        since: u64,
    ) -> Result<(), LogError<S::Error>> {
        if let Some(zombie) = self.sessions.of_client(node.client_id()) {
            self.leave(now, zombie)?;
            self.pending.push_back(Output::Replaced(zombie));
        }
        let is_new = since == 0;
        let (since, ahead) = self.numbers.read(node.client_id(), since, self.log.last_added()?);
        self.sessions.insert(id, Session::new(node.clone(), subprotocol, headers, ahead, is_new));
        let again = self.lost_subscriptions(node, since)?;
        let mut missed = self.inbox.missed(&self.log, node, since)?;
        let kept = self.kept_for_user(node, since)?;
        if !kept.is_empty() {
            missed.extend(kept);
            missed.sort_by_key(|entry| entry.meta.added);
        }
        let added = self.log.last_added()? + ahead;
        self.pending.push_back(Output::Joined { session: id, added, missed });
        for task in again {
            self.enqueue(Task { session: Some(id), ..task });
        }
        Ok(())
    }

    /// Takes up what was not answered before the last stop, given with the ends of subscriptions. Subscriptions wait for their clients, but those that were
    /// ended by then have no effect.
    pub(super) fn take_up(&mut self, unanswered: Vec<Entry>) -> Result<(), LogError<S::Error>> {
        let mut tasks: Vec<Task> = Vec::new();
        let mut subscriptions: HashMap<_, Vec<usize>> = HashMap::new();
        for entry in unanswered {
            let place =
                subscribed_to(&entry.action).map(|place| (entry.meta.id.node().clone(), place));
            if entry.action.kind() == UNSUBSCRIBE {
                for earlier in
                    place.and_then(|place| subscriptions.remove(&place)).into_iter().flatten()
                {
                    tasks[earlier].cancelled = true;
                }
                continue;
            }
            let task = self.task_of_client(entry, None);
            if let (About::Subscription, Some(place)) = (task.about, place) {
                subscriptions.entry(place).or_default().push(tasks.len());
            }
            tasks.push(task);
        }
        // If something fails, it may not take along what may have been done already. So what had begun comes first, which is known of what is kept: it was added
        // anew then. What was ended comes last.
        let (ended, mut tasks): (Vec<Task>, Vec<Task>) =
            tasks.into_iter().partition(|task| task.cancelled);
        tasks.sort_by_key(|task| !was_approved(&task.entry.meta));
        for task in tasks {
            if task.about == About::Subscription {
                self.park(WallTime::default(), task)?;
            } else {
                self.enqueue(task);
            }
        }
        ended.into_iter().for_each(|task| self.enqueue(task));
        Ok(())
    }

    /// The subscriptions of a node whose answers it has not got, to be done again.
    fn lost_subscriptions(
        &mut self,
        node: &NodeId,
        since: u64,
    ) -> Result<Vec<Task>, LogError<S::Error>> {
        let mut again = Vec::new();
        for task in self.jobs.unpark(node.client_id()) {
            let id = &task.entry.meta.id;
            let answer = self.inbox.answer_to(&self.log, id)?;
            let has_answer =
                answer.is_some_and(|answer| answer.meta.added.is_some_and(|added| added <= since));
            // Tabs share a connection that one of them holds. Any other is gone for good.
            let is_wanted = id.node() == node || task.sender == *node;
            if has_answer || !is_wanted {
                self.inbox.forget(&mut self.log, id)?;
            } else {
                self.inbox.withdraw_answer(&mut self.log, id)?;
                again.push(task);
            }
        }
        Ok(again)
    }

    pub(super) fn leave(&mut self, now: WallTime, id: SessionId) -> Result<(), LogError<S::Error>> {
        let Some(session) = self.sessions.remove(id) else { return Ok(()) };
        for channel in session.channels {
            self.channels.leave(&channel, id);
            self.report(Report::Unsubscribed {
                node: session.node.clone(),
                channel: channel.clone(),
            });
            self.pending.push_back(Output::Unsubscribed { node: session.node.clone(), channel });
        }
        for (_, task) in session.unacknowledged {
            self.park(now, task)?;
        }
        Ok(())
    }

    /// Puts a subscription aside until its node comes back. Where that has happened already, while the application was still at work, it is done again.
    pub(super) fn park(&mut self, now: WallTime, task: Task) -> Result<(), LogError<S::Error>> {
        let node = task.entry.meta.id.node();
        let current = self.sessions.of_client(node.client_id());
        let is_back = |id: &SessionId| {
            self.sessions
                .get(*id)
                .is_some_and(|session| session.node == *node || session.node == task.sender)
        };
        let session = current.filter(is_back);
        let task = Task { approved: false, session, recipients: Recipients::default(), ..task };
        if session.is_some() {
            self.enqueue(task);
            return Ok(());
        }
        if current.is_some() {
            // Another start of the client is there, so this one is gone for good.
            return self.inbox.forget(&mut self.log, &task.entry.meta.id);
        }
        match self.jobs.park(task) {
            Some(given_up) => self.give_up(now, &given_up),
            None => Ok(()),
        }
    }

    /// A subscription whose client stays away for too long has failed; if the client comes all the same, it is told.
    fn give_up(&mut self, now: WallTime, task: &Task) -> Result<(), LogError<S::Error>> {
        self.inbox.withdraw_answer(&mut self.log, &task.entry.meta.id)?;
        self.undo_task(now, task, "error", Vec::new())
    }

    /// The client has got everything up to a number of ours.
    pub(super) fn acknowledged(
        &mut self,
        id: SessionId,
        added: u64,
    ) -> Result<(), LogError<S::Error>> {
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        let added = added.saturating_sub(session.ahead);
        let known =
            session.unacknowledged.iter().take_while(|(number, _)| *number <= added).count();
        let known: Vec<_> = session.unacknowledged.drain(..known).collect();
        for (_, task) in known {
            self.inbox.acknowledged(&mut self.log, &task.entry.meta.id)?;
        }
        Ok(())
    }

    /// Forgets what is too old.
    pub(super) fn grow_older(&mut self, now: WallTime) -> Result<(), LogError<S::Error>> {
        let Some(old) = self.inbox.grow_older(&mut self.log, now)? else { return Ok(()) };
        for task in self.jobs.unpark_old(old) {
            self.give_up(now, &task)?;
        }
        Ok(())
    }
}
