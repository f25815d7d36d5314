//! What comes from clients: is it theirs, did it come before, may it be asked about now.

use std::{collections::VecDeque, sync::Arc};

use super::{Hub, ask, subscribed_to, undo_of};
use crate::{
    action::{
        NodeId,
        logux::{self, Processed},
    },
    json::Json,
    log::LogError,
    server::{Output, QueueName, Recipients, Report, SessionId, inbox::Known, jobs::Task},
    store::{Entry, Store},
    sync::BatchToken,
    time::WallTime,
};

impl<S: Store> Hub<S> {
    pub(super) fn received(
        &mut self,
        now: WallTime,
        id: SessionId,
        batch: BatchToken,
        entries: Vec<Entry>,
    ) -> Result<(), LogError<S::Error>> {
        if self.draining {
            return Ok(());
        }
        let max_queue = self.config.max_queue;
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        if !session.held.is_empty() || self.jobs.waiting(session.node.client_id()) >= max_queue {
            session.held.push_back((batch, entries));
            return Ok(());
        }
        for entry in entries {
            self.receive(now, id, entry)?;
        }
        self.pending.push_back(Output::Kept(id, batch));
        Ok(())
    }

    fn receive(
        &mut self,
        now: WallTime,
        id: SessionId,
        entry: Entry,
    ) -> Result<(), LogError<S::Error>> {
        let Some(session) = self.sessions.get(id) else { return Ok(()) };
        let action_id = &entry.meta.id;
        if action_id.node().client_id() != session.node.client_id() || !entry.meta.extra.is_empty()
        {
            return self.refuse_forged(now, id, entry);
        }
        if self.jobs.came_again(action_id) {
            self.report(Report::Duplicate(action_id.clone()));
            return Ok(());
        }
        match self.inbox.known(&self.log, action_id)? {
            Known::Answered(answer) => {
                self.report(Report::Duplicate(action_id.clone()));
                return self.deliver_to(id, answer, false);
            }
            Known::Done => {
                self.report(Report::Duplicate(action_id.clone()));
                return self.send_to_session(
                    now,
                    id,
                    Processed { id: action_id.to_text() }.to_action(),
                );
            }
            Known::Waiting => {
                self.report(Report::Duplicate(action_id.clone()));
                return Ok(());
            }
            Known::New => {}
        }
        let is_from_future = entry
            .meta
            .time
            .since(now)
            .try_into()
            .is_ok_and(|ahead: u64| ahead > self.config.max_ahead_ms);
        let kept = self.inbox.keep(&mut self.log, now, entry)?;
        let task = self.task_of_client(kept, Some(id));
        self.report(Report::Added(task.entry.clone()));
        if is_from_future {
            self.debug(Some(id), || {
                format!("Action \"{}\" has a time in the future", task.entry.meta.id)
            });
            return self.undo_task(now, &task, "wrongTime", Vec::new());
        }
        if let Err(wait_ms) = self.take_token(&task.entry) {
            self.debug(Some(id), || format!("Action \"{}\" came too soon", task.entry.meta.id));
            let retry_after =
                Json::from_value(&wait_ms).ok().map(|ms| ("retryAfterMs".to_owned(), ms));
            return self.undo_task(now, &task, "rateLimit", retry_after.into_iter().collect());
        }
        if task.entry.action.kind() == logux::UNSUBSCRIBE {
            self.unsubscribe(id, &task.entry)?;
            return self.unsubscribed(now, id, &task);
        }
        self.enqueue(task);
        Ok(())
    }

    /// Whether its author may do an action of this type now, or when.
    fn take_token(&mut self, entry: &Entry) -> Result<(), u64> {
        let Some(buckets) = self.rates.get_mut(entry.action.kind()) else { return Ok(()) };
        let node = entry.meta.id.node();
        buckets.take(node.user_id().unwrap_or_else(|| node.client_id()), self.moment)
    }

    /// An action that is not the client's own, or says more than a client may: only the one who sent it is told.
    fn refuse_forged(
        &mut self,
        now: WallTime,
        id: SessionId,
        entry: Entry,
    ) -> Result<(), LogError<S::Error>> {
        self.debug(Some(id), || format!("Action \"{}\" was denied", entry.meta.id));
        let undo = undo_of(&entry, "denied", Vec::new());
        self.report_undone(&Arc::new(entry), "denied");
        self.send_to_session(now, id, undo)
    }

    pub(super) fn enqueue(&mut self, task: Task) {
        if let Some((job, task)) = self.jobs.push(task) {
            let ask = ask(&self.sessions, job, task);
            self.pending.push_back(Output::Ask(ask));
        }
    }

    pub(super) fn start_next(
        &mut self,
        now: WallTime,
        node: &NodeId,
        queue: &QueueName,
    ) -> Result<(), LogError<S::Error>> {
        if let Some((job, task)) = self.jobs.next(node, queue) {
            let ask = ask(&self.sessions, job, task);
            self.pending.push_back(Output::Ask(ask));
        }
        // There is room again: take what was held back.
        while self.jobs.waiting(node.client_id()) < self.config.max_queue {
            let Some(id) = self.sessions.of_client(node.client_id()) else { break };
            let Some((batch, entries)) =
                self.sessions.get_mut(id).and_then(|session| session.held.pop_front())
            else {
                break;
            };
            for entry in entries {
                self.receive(now, id, entry)?;
            }
            self.pending.push_back(Output::Kept(id, batch));
        }
        Ok(())
    }

    /// Ends a subscription, also one that is not answered yet, or whose answer the client may not have got.
    fn unsubscribe(&mut self, id: SessionId, entry: &Entry) -> Result<(), LogError<S::Error>> {
        let Some(place) = subscribed_to(&entry.action) else { return Ok(()) };
        let node = entry.meta.id.node();
        let is_meant = |task: &Task| subscribed_to(&task.entry.action).as_ref() == Some(&place);
        self.jobs.cancel_subscriptions(node, is_meant);
        if let Some(session) = self.sessions.get_mut(id) {
            let is_meant = |task: &Task| task.entry.meta.id.node() == node && is_meant(task);
            let all = core::mem::take(&mut session.unacknowledged);
            let (ended, others): (VecDeque<_>, _) =
                all.into_iter().partition(|(_, task)| is_meant(task));
            session.unacknowledged = others;
            for (_, task) in ended {
                self.inbox.settle(&mut self.log, &task.entry.meta.id)?;
            }
        }
        let (channel, filter) = place;
        self.unsubscribe_session(id, &channel, &filter);
        Ok(())
    }

    /// Answers the end of a subscription. The application is not asked about it.
    fn unsubscribed(
        &mut self,
        now: WallTime,
        id: SessionId,
        task: &Task,
    ) -> Result<(), LogError<S::Error>> {
        if task.entry.action.text_field("channel").is_none() {
            self.debug(Some(id), || "Wrong channel name undefined".to_owned());
            return self.undo_task(now, task, "wrongChannel", Vec::new());
        }
        self.report(Report::Processed(task.entry.clone()));
        let processed = Processed { id: task.entry.meta.id.to_text() }.to_action();
        self.conclude(now, task, processed, now, &Recipients::default())
    }
}
