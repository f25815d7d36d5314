//! The actions of clients: checks, duplicates, rates, queues.

use core::time::Duration;
use std::sync::Arc;

use super::{Hub, filter_key, handler_request, subscription_key, undo_of};
use crate::{
    action::{
        Meta, NodeId,
        logux::{self, Processed},
        presence::PRESENCE_SET,
    },
    json::Json,
    log::LogError,
    replay::Standing,
    server::{
        HubEvent, Output, QueueName, Recipients, SessionId,
        inbox::{InboxState, without_fields},
        pending_request::{PendingRequest, SubscriptionKey},
        sessions::HeldBatch,
    },
    store::{Entry, Store},
    sync::{BatchToken, RefusedAction},
    time::{WallTime, as_millis},
    wire::ExceededLimit,
};

/// The number of connections whose held batches are tried again when an action is answered.
const MAX_HELD_ATTEMPTS: usize = 16;

/// The number of actions of one client that are handled at a time.
const SLICE: usize = 64;

/// The number of subscriptions of a client that has left that are skipped at a time.
const SKIPPED_AT_A_TIME: usize = 64;

impl<S: Store> Hub<S> {
    pub(super) fn receive_batch(
        &mut self,
        now: WallTime,
        id: SessionId,
        batch: BatchToken,
        entries: Vec<Entry>,
    ) -> Result<(), LogError<S::Error>> {
        if self.draining {
            return Ok(());
        }
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        let entries = entries.into_iter();
        session.held_batches.push_back(HeldBatch {
            token: batch,
            entries,
            has_begun: false,
            is_only_presence: true,
        });
        if session.held_batches.len() > 1 {
            // It is handled after the earlier ones.
            return Ok(());
        }
        self.receive_held(now, id)
    }

    /// Handles the next subscriptions of a client's earlier connections and the next actions that
    /// it has sent, at most [`SLICE`]. If there are more, the hub continues with
    /// [`Input::Continue`](crate::server::Input::Continue), or when fewer actions wait.
    pub(super) fn receive_held(
        &mut self,
        now: WallTime,
        id: SessionId,
    ) -> Result<(), LogError<S::Error>> {
        let mut handled = 0;
        while handled < SLICE && !self.draining {
            let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
            if let Some((_, request)) = session.unparked.pop() {
                handled += 1;
                let (node, since) = (session.node.clone(), session.since);
                self.return_subscription(id, &node, since, request)?;
                continue;
            }
            if let Some(refused) = session.refused.pop_front() {
                handled += 1;
                self.receive_refused(now, id, refused)?;
                continue;
            }
            let Some(session) = self.sessions.get(id) else { return Ok(()) };
            let Some(batch) = session.held_batches.front() else { return Ok(()) };
            let must_wait = !batch.has_begun && !self.may_receive(&session.node, &batch.token);
            let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
            if must_wait {
                if !core::mem::replace(&mut session.is_listed_as_held, true) {
                    self.held.push_back(id);
                }
                return Ok(());
            }
            let Some(batch) = session.held_batches.front_mut() else { return Ok(()) };
            batch.has_begun = true;
            if let Some(entry) = batch.entries.next() {
                handled += 1;
                batch.is_only_presence &= entry.action.kind() == PRESENCE_SET;
                self.receive(now, id, entry, None)?;
            }
            let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
            if let Some(batch) = session.held_batches.pop_front_if(|batch| batch.entries.len() == 0)
            {
                if !batch.is_only_presence {
                    // The batch needs a commit in any case.
                    self.inbox.save_confirmed(&mut self.log)?;
                }
                self.pending.push_back(Output::Persisted(id, batch.token));
            }
        }
        if !self.draining {
            self.unfinished.insert(id);
        }
        Ok(())
    }

    /// Returns `true` if there is work that was cut into slices, so that no client holds up the
    /// others. Then call [`Input::Continue`](crate::server::Input::Continue) after the commands
    /// that are waiting.
    pub fn is_busy(&self) -> bool {
        !(self.unfinished.is_empty()
            && self.left_channels.is_empty()
            && self.failed_later.is_empty()
            && self.given_up.is_empty()
            && self.idle_queues.is_empty()
            && self.removals.is_empty())
    }

    /// Continues with the work that has waited longest.
    pub(super) fn continue_work(&mut self, now: WallTime) -> Result<(), LogError<S::Error>> {
        if let Some(left) = self.left_channels.pop_front() {
            self.leave_channels(left);
        }
        self.undo_failed(now)?;
        self.continue_removal()?;
        if let Some((node, queue)) = self.idle_queues.pop_front() {
            self.start_next(now, &node, &queue)?;
        }
        match self.unfinished.shift_remove_index(0) {
            Some(id) => {
                self.forget_confirmed(id)?;
                self.receive_held(now, id)
            }
            None => Ok(()),
        }
    }

    /// Whether the next batch of a node may be received, by the number and size of the actions that
    /// wait. A message that has begun is not stopped by the number.
    fn may_receive(&self, node: &NodeId, batch: &BatchToken) -> bool {
        let (config, pending) = (&self.config, self.requests.pending_bytes());
        (batch.continues() || self.requests.waiting_of_client(node.client_id()) < config.max_queue)
            && pending.of_user(node.user_or_client()) < config.max_queue_bytes
            && pending.total() < config.max_pending_bytes
    }

    /// Receives an action that exceeds a limit, in its remembered form.
    pub(super) fn receive_refused(
        &mut self,
        now: WallTime,
        session: SessionId,
        refused: RefusedAction,
    ) -> Result<(), LogError<S::Error>> {
        let RefusedAction { id, kind, time, limit } = refused;
        let Some(id) = id else {
            // No answer can name it. It is confirmed with the others, so it is not sent again.
            self.debug(Some(session), || {
                format!("An action of the type {kind} was dropped: its id is too long")
            });
            return Ok(());
        };
        // A type of any length can be written as JSON.
        let Some(action) = without_fields(&kind) else { return Ok(()) };
        let entry = Entry::new(action, Meta::new(id).with_time(time));
        self.receive(now, session, entry, Some(limit))
    }

    fn receive(
        &mut self,
        now: WallTime,
        id: SessionId,
        entry: Entry,
        exceeded: Option<ExceededLimit>,
    ) -> Result<(), LogError<S::Error>> {
        let Some(session) = self.sessions.get(id) else { return Ok(()) };
        let action_id = &entry.meta.id;
        if action_id.node().client_id() != session.node.client_id() || !entry.meta.extra.is_empty()
        {
            return self.refuse_forged(now, id, entry);
        }
        if exceeded.is_none() && self.is_presence(&entry) {
            return self.receive_presence(now, id, &entry);
        }
        // One answer is enough: it is sent again until the client has confirmed it.
        if self.requests.contains(action_id) {
            self.report(HubEvent::Duplicate(action_id.clone()));
            return Ok(());
        }
        match self.inbox.state_of(&self.log, action_id)? {
            InboxState::Answered(answer) => {
                self.report(HubEvent::Duplicate(action_id.clone()));
                return self.deliver_to(id, answer, false);
            }
            InboxState::Processed => {
                self.report(HubEvent::Duplicate(action_id.clone()));
                return self.send_to_session(
                    now,
                    id,
                    Processed { id: action_id.to_text() }.to_action(),
                );
            }
            InboxState::Waiting => {
                self.report(HubEvent::Duplicate(action_id.clone()));
                return Ok(());
            }
            InboxState::New => {}
        }
        let standing = self.standing(&entry)?;
        if standing == Standing::Settled {
            // The inbox has forgotten it, the document has not.
            self.report(HubEvent::Duplicate(entry.meta.id.clone()));
            return self.send_to_session(
                now,
                id,
                Processed { id: entry.meta.id.to_text() }.to_action(),
            );
        }
        let is_too_far_ahead = entry
            .meta
            .time
            .since(now)
            .try_into()
            .is_ok_and(|ahead| Duration::from_millis(ahead) > self.config.max_ahead);
        let user = entry.meta.id.node().user_or_client();
        self.inbox.forget_excess(&mut self.log, user, self.requests.pending_bytes())?;
        let entry = self.inbox.add_action(&mut self.log, now, entry)?;
        let request = self.client_request(entry, Some(id))?;
        self.report(HubEvent::Added(request.entry.clone()));
        if let Some(limit) = exceeded {
            self.debug(Some(id), || {
                format!("Action \"{}\" was refused: {limit}", request.entry.meta.id)
            });
            return self.undo_request(now, &request, limit.undo_reason(), Vec::new());
        }
        if is_too_far_ahead {
            self.debug(Some(id), || {
                format!("Action \"{}\" has a time in the future", request.entry.meta.id)
            });
            return self.undo_request(now, &request, "wrongTime", Vec::new());
        }
        if standing == Standing::TooOld {
            self.debug(Some(id), || format!("Action \"{}\" is too old", request.entry.meta.id));
            return self.undo_request(now, &request, "tooOld", Vec::new());
        }
        if self.is_snapshot(&request.entry.action) {
            self.debug(Some(id), || {
                format!("Action \"{}\" was denied: servers make snapshots", request.entry.meta.id)
            });
            return self.undo_request(now, &request, "denied", Vec::new());
        }
        if request.subscription().is_some()
            && filter_key(&request.entry.action).len() > self.config.max_filter_bytes
        {
            self.debug(Some(id), || {
                format!("The filter of \"{}\" is too large", request.entry.meta.id)
            });
            return self.undo_request(now, &request, "filterTooLarge", Vec::new());
        }
        if let Err(wait) = self.acquire_token(&request.entry) {
            self.debug(Some(id), || format!("Action \"{}\" came too soon", request.entry.meta.id));
            let retry_after =
                Json::from_value(&as_millis(wait)).ok().map(|ms| ("retryAfterMs".to_owned(), ms));
            return self.undo_request(
                now,
                &request,
                "rateLimit",
                retry_after.into_iter().collect(),
            );
        }
        if request.entry.action.kind() == logux::UNSUBSCRIBE {
            self.unsubscribe(id, &request.entry)?;
            return self.answer_unsubscribe(now, id, &request);
        }
        self.enqueue(request)
    }

    /// Acquires a token of the author's rate for an action of this type. The error is the time
    /// until there is one.
    pub(super) fn acquire_token(&mut self, entry: &Entry) -> Result<(), Duration> {
        let Some(buckets) = self.rates.get_mut(entry.action.kind()) else { return Ok(()) };
        let node = entry.meta.id.node();
        buckets.try_acquire(node.user_or_client(), self.now)
    }

    /// Denies an action that has another author than the client, or meta that clients may not send.
    /// Only the sender receives the undo.
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

    pub(super) fn enqueue(&mut self, request: PendingRequest) -> Result<(), LogError<S::Error>> {
        let Some((request_id, request)) = self.requests.push(request) else { return Ok(()) };
        let handler_request = handler_request(&self.sessions, request_id, request);
        self.request(handler_request)
    }

    pub(super) fn start_next(
        &mut self,
        now: WallTime,
        node: &NodeId,
        queue: &QueueName,
    ) -> Result<(), LogError<S::Error>> {
        let mut skipped = 0;
        while let Some((request_id, request)) = self.requests.next(node, queue) {
            let is_connected = request.session().is_some_and(|id| self.sessions.get(id).is_some());
            if request.subscription().is_none() || is_connected || request.is_cancelled() {
                let handler_request = handler_request(&self.sessions, request_id, request);
                self.request(handler_request)?;
                break;
            }
            // Its client has left while it waited: nothing is loaded for it.
            if let Some(request) = self.requests.finish(request_id) {
                self.postpone(request)?;
            }
            skipped += 1;
            if skipped == SKIPPED_AT_A_TIME {
                self.idle_queues.push_back((node.clone(), queue.clone()));
                break;
            }
        }
        // Fewer actions wait now: receive batches that were held, first those of this client.
        if let Some(id) = self.sessions.of_client(node.client_id())
            && !self.unfinished.contains(&id)
        {
            self.receive_held(now, id)?;
        }
        // Those that still have to wait are tried again when an action is answered. Each of them
        // waits for actions that run, so it is enough to try a few.
        for _ in 0..MAX_HELD_ATTEMPTS.min(self.held.len()) {
            let Some(id) = self.held.pop_front() else { break };
            if let Some(session) = self.sessions.get_mut(id) {
                session.is_listed_as_held = false;
                self.unfinished.insert(id);
            }
        }
        Ok(())
    }

    /// Ends a subscription, even if it is not answered yet, or its answer is not confirmed.
    fn unsubscribe(&mut self, id: SessionId, entry: &Entry) -> Result<(), LogError<S::Error>> {
        let Some(key) = subscription_key(&entry.action) else { return Ok(()) };
        let node = entry.meta.id.node();
        self.requests.cancel_subscriptions(node, &key);
        if let Some(session) = self.sessions.get_mut(id) {
            for request in session.unconfirmed.cancel(node, &key) {
                self.inbox.stop_waiting(&mut self.log, &request.entry.meta.id)?;
            }
        }
        let SubscriptionKey { channel, filter } = key;
        self.unsubscribe_session(id, &channel, &filter);
        Ok(())
    }

    /// Answers a `logux/unsubscribe`. The application is not asked about it.
    fn answer_unsubscribe(
        &mut self,
        now: WallTime,
        id: SessionId,
        request: &PendingRequest,
    ) -> Result<(), LogError<S::Error>> {
        if request.entry.action.str_field("channel").is_none() {
            self.debug(Some(id), || "Wrong channel name undefined".to_owned());
            return self.undo_request(now, request, "wrongChannel", Vec::new());
        }
        self.report(HubEvent::Processed(request.entry.clone()));
        let processed = Processed { id: request.entry.meta.id.to_text() }.to_action();
        self.answer_request(now, request, processed, None, now, &Recipients::default())
    }
}
