//! What comes from clients: is it theirs, did it come before, may it be asked about now.

use core::time::Duration;
use std::{collections::VecDeque, sync::Arc};

use super::{Hub, handler_request, subscribed_to, undo_of};
use crate::{
    action::{
        NodeId,
        logux::{self, Processed},
    },
    json::Json,
    log::LogError,
    server::{
        HubEvent, Output, QueueName, Recipients, SessionId, inbox::Known, requests::PendingRequest,
    },
    store::{Entry, Store},
    sync::BatchToken,
    time::{WallTime, as_millis},
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
        if !session.held.is_empty() || self.requests.waiting(session.node.client_id()) >= max_queue
        {
            session.held.push_back((batch, entries));
            return Ok(());
        }
        for entry in entries {
            self.receive(now, id, entry)?;
        }
        self.pending.push_back(Output::Persisted(id, batch));
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
        if self.requests.came_again(action_id) {
            self.report(HubEvent::Duplicate(action_id.clone()));
            return Ok(());
        }
        match self.inbox.known(&self.log, action_id)? {
            Known::Answered(answer) => {
                self.report(HubEvent::Duplicate(action_id.clone()));
                return self.deliver_to(id, answer, false);
            }
            Known::Done => {
                self.report(HubEvent::Duplicate(action_id.clone()));
                return self.send_to_session(
                    now,
                    id,
                    Processed { id: action_id.to_text() }.to_action(),
                );
            }
            Known::Waiting => {
                self.report(HubEvent::Duplicate(action_id.clone()));
                return Ok(());
            }
            Known::New => {}
        }
        let is_from_future = entry
            .meta
            .time
            .since(now)
            .try_into()
            .is_ok_and(|ahead| Duration::from_millis(ahead) > self.config.max_ahead);
        let kept = self.inbox.keep(&mut self.log, now, entry)?;
        let request = self.client_request(kept, Some(id));
        self.report(HubEvent::Added(request.entry.clone()));
        if is_from_future {
            self.debug(Some(id), || {
                format!("Action \"{}\" has a time in the future", request.entry.meta.id)
            });
            return self.undo_request(now, &request, "wrongTime", Vec::new());
        }
        if let Err(wait) = self.take_token(&request.entry) {
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
            return self.unsubscribed(now, id, &request);
        }
        self.enqueue(request);
        Ok(())
    }

    /// Whether its author may do an action of this type now, or when.
    fn take_token(&mut self, entry: &Entry) -> Result<(), Duration> {
        let Some(buckets) = self.rates.get_mut(entry.action.kind()) else { return Ok(()) };
        let node = entry.meta.id.node();
        buckets.try_acquire(node.user_id().unwrap_or_else(|| node.client_id()), self.now)
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

    pub(super) fn enqueue(&mut self, request: PendingRequest) {
        if let Some((request_id, request)) = self.requests.push(request) {
            let handler_request = handler_request(&self.sessions, request_id, request);
            self.pending.push_back(Output::Request(handler_request));
        }
    }

    pub(super) fn start_next(
        &mut self,
        now: WallTime,
        node: &NodeId,
        queue: &QueueName,
    ) -> Result<(), LogError<S::Error>> {
        if let Some((request_id, request)) = self.requests.next(node, queue) {
            let handler_request = handler_request(&self.sessions, request_id, request);
            self.pending.push_back(Output::Request(handler_request));
        }
        // There is room again: take what was held back.
        while self.requests.waiting(node.client_id()) < self.config.max_queue {
            let Some(id) = self.sessions.of_client(node.client_id()) else { break };
            let Some((batch, entries)) =
                self.sessions.get_mut(id).and_then(|session| session.held.pop_front())
            else {
                break;
            };
            for entry in entries {
                self.receive(now, id, entry)?;
            }
            self.pending.push_back(Output::Persisted(id, batch));
        }
        Ok(())
    }

    /// Ends a subscription, also one that is not answered yet, or whose answer the client may not have got.
    fn unsubscribe(&mut self, id: SessionId, entry: &Entry) -> Result<(), LogError<S::Error>> {
        let Some(place) = subscribed_to(&entry.action) else { return Ok(()) };
        let node = entry.meta.id.node();
        let is_meant = |request: &PendingRequest| {
            subscribed_to(&request.entry.action).as_ref() == Some(&place)
        };
        self.requests.cancel_subscriptions(node, is_meant);
        if let Some(session) = self.sessions.get_mut(id) {
            let is_meant = |request: &PendingRequest| {
                request.entry.meta.id.node() == node && is_meant(request)
            };
            let all = core::mem::take(&mut session.unacknowledged);
            let (ended, others): (VecDeque<_>, _) =
                all.into_iter().partition(|(_, request)| is_meant(request));
            session.unacknowledged = others;
            for (_, request) in ended {
                self.inbox.settle(&mut self.log, &request.entry.meta.id)?;
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
        request: &PendingRequest,
    ) -> Result<(), LogError<S::Error>> {
        if request.entry.action.str_field("channel").is_none() {
            self.debug(Some(id), || "Wrong channel name undefined".to_owned());
            return self.undo_request(now, request, "wrongChannel", Vec::new());
        }
        self.report(HubEvent::Processed(request.entry.clone()));
        let processed = Processed { id: request.entry.meta.id.to_text() }.to_action();
        self.conclude(now, request, processed, now, &Recipients::default())
    }
}
