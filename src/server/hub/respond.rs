//! The application's responses to requests, and the answers to authors of actions.

use std::sync::Arc;

use super::{Hub, filter_key, undo_of};
use crate::{
    action::{
        Action, ActionError,
        logux::{Processed, UNDO},
    },
    excerpt::name_excerpt,
    json::Json,
    log::{Draft, LogError},
    server::{
        Filter, HandlerResponse, HubEvent, Output, Recipients, RequestId, RequestKind, SessionId,
        inbox::reduced, pending_request::PendingRequest,
    },
    store::{Entry, Store},
    time::WallTime,
};

/// The number of requests that are undone at a time because an earlier one has failed.
const UNDOS_AT_A_TIME: usize = 64;

impl<S: Store> Hub<S> {
    pub(super) fn respond(
        &mut self,
        now: WallTime,
        request_id: RequestId,
        response: HandlerResponse,
    ) -> Result<(), LogError<S::Error>> {
        if matches!(response, HandlerResponse::Replay) {
            // Reported for requests that have ended too.
            return self.replay(request_id);
        }
        let Some(request) = self.requests.running(request_id) else { return Ok(()) };
        match response {
            HandlerResponse::Resend(recipients) => {
                request.recipients.extend(recipients);
                Ok(())
            }
            HandlerResponse::Replace(action) => {
                if request.subscription().is_none() && !request.is_approved {
                    self.requests.replace(request_id, action);
                }
                Ok(())
            }
            HandlerResponse::Approved(filter) => self.approved(now, request_id, filter),
            // The state of the channel is not needed any more.
            HandlerResponse::Action(..) | HandlerResponse::Subscribe(_)
                if request.is_cancelled() =>
            {
                Ok(())
            }
            HandlerResponse::Action(action, draft)
                if request.kind() == RequestKind::Subscription =>
            {
                self.load(now, request_id, action, *draft)
            }
            HandlerResponse::Subscribe(channel) => self.subscribe_loaded(now, request_id, &channel),
            HandlerResponse::Action(action, mut draft) => {
                let client = request.entry.meta.id.node().client_id().to_owned();
                if request.kind() == RequestKind::Action {
                    // An action is not processed again, which would send this again.
                    *draft = self.inbox.remember_for_client(&client, *draft);
                }
                draft.subprotocol = draft.subprotocol.or(self.own_draft().subprotocol);
                let Some(entry) = self.log.add(now, action, *draft)?.map(Arc::new) else {
                    return Ok(());
                };
                self.report(HubEvent::Added(entry.clone()));
                self.deliver_with_client(Some(&client), &entry, &Recipients::default(), None)
            }
            HandlerResponse::Replay => Ok(()),
            HandlerResponse::Debug(text) => {
                self.debug_author(request_id, |_| text);
                Ok(())
            }
            HandlerResponse::Paused => self.pause(now, request_id),
            HandlerResponse::Processed => self.processed(now, request_id),
            HandlerResponse::AcceptUndo => self.accept_undo(now, request_id),
            HandlerResponse::Postponed => self.postponed(now, request_id),
            HandlerResponse::Denied => {
                self.debug_author(request_id, |request| {
                    format!("Action \"{}\" was denied", request.entry.meta.id)
                });
                self.undo_running(now, request_id, "denied", Vec::new())
            }
            HandlerResponse::UnknownType => {
                self.debug_author(request_id, |request| {
                    format!(
                        "Action with unknown type {}",
                        name_excerpt(request.entry.action.kind())
                    )
                });
                self.undo_running(now, request_id, "unknownType", Vec::new())
            }
            HandlerResponse::WrongChannel => {
                self.debug_author(request_id, |request| {
                    format!(
                        "Wrong channel name {}",
                        name_excerpt(request.entry.action.field("channel").unwrap_or("undefined"))
                    )
                });
                self.undo_running(now, request_id, "wrongChannel", Vec::new())
            }
            HandlerResponse::Undo { reason, extra } => {
                self.undo_running(now, request_id, &reason, extra)
            }
        }
    }

    fn approved(
        &mut self,
        now: WallTime,
        request_id: RequestId,
        filter: Option<Filter>,
    ) -> Result<(), LogError<S::Error>> {
        let Some(request) = self.requests.running(request_id) else { return Ok(()) };
        if core::mem::replace(&mut request.is_approved, true) || request.is_cancelled() {
            return Ok(());
        }
        let (entry, kind) = (request.entry.clone(), request.kind());
        if kind != RequestKind::Subscription {
            let recipients = core::mem::take(&mut request.recipients);
            let (sender, is_replaced) = (request.sender.clone(), request.is_replaced());
            let entry = self.retain(now, entry, &recipients)?;
            if !recipients.channels.is_empty() {
                self.requests.mark_in_channels(request_id, &recipients.channels);
            }
            // Nobody has what has replaced the action of a client.
            let is_held = kind == RequestKind::Action && !is_replaced;
            let holders = is_held.then(|| [entry.meta.id.node(), &sender]);
            self.deliver(&entry, &recipients, holders)?;
            if let Some(request) = self.requests.running(request_id) {
                (request.entry, request.recipients) = (entry, recipients);
            }
            return Ok(());
        }
        let (Some(id), Some(channel)) = (request.session(), entry.action.str_field("channel"))
        else {
            return Ok(());
        };
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        let channel: Arc<str> = channel.into();
        let key = filter_key(&entry.action);
        let filters = session.filters.with(&key);
        if (filters.count > self.config.max_subscriptions
            || filters.bytes > self.config.max_client_filter_bytes)
            && !self.channels.has_requested(&channel, id, &key)
        {
            return self.undo_running(now, request_id, "subscriptionLimit", Vec::new());
        }
        session.channels.insert(channel.clone());
        let after = session.new_since;
        let in_progress = self.in_progress(&channel, id);
        let is_added = self.channels.subscribe(&channel, id, key.clone(), filter);
        self.presence.subscribed(self.now, &channel);
        if let Some(session) = self.sessions.get_mut(id) {
            if is_added {
                session.filters = filters;
            }
            let subscription_key = (channel.clone(), key.clone());
            session.subscription_ids.insert(subscription_key, entry.meta.id.clone());
        }
        let subscription = entry.meta.id.clone();
        self.report(HubEvent::Subscribed {
            node: subscription.node().clone(),
            id: Some(subscription),
            channel: channel.clone(),
        });
        for entry in in_progress {
            if self.channels.passes(&channel, id, &key, &entry) {
                self.deliver_to(id, entry, false)?;
            }
        }
        if is_added {
            self.send_missed_undos(id, &channel, &key, &entry, after)
        } else {
            // It has received them as they were accepted.
            Ok(())
        }
    }

    pub(super) fn processed(
        &mut self,
        now: WallTime,
        request_id: RequestId,
    ) -> Result<(), LogError<S::Error>> {
        if let Some(request) = self.requests.running(request_id)
            && !request.is_approved
        {
            // The application has not responded about access.
            return self.undo_running(now, request_id, "error", Vec::new());
        }
        let Some(request) = self.requests.finish(request_id) else { return Ok(()) };
        let (id, queue, ticket) =
            (request.entry.meta.id.clone(), request.queue.clone(), request.ticket());
        self.report_loaded(&request);
        let is_active_subscription =
            request.subscription().is_some_and(|subscription| !subscription.is_cancelled);
        let is_disconnected =
            request.session().is_none_or(|session| self.sessions.get(session).is_none());
        if is_active_subscription && is_disconnected {
            self.park(request)?;
        } else {
            self.report(HubEvent::Processed(request.entry.clone()));
            let answer = Processed { id: id.to_text() }.to_action();
            match request.session().filter(|_| is_active_subscription) {
                Some(session) => self.confirm_subscription(now, session, request, answer)?,
                None => {
                    let reasons = self.retained_reasons(&request.entry)?;
                    self.answer_request(now, &request, answer, None, now, &Recipients::default())?;
                    if let Some(reasons) = reasons {
                        self.record(&request.entry, reasons)?;
                    }
                }
            }
            self.pending.extend(ticket.map(|ticket| Output::Done(ticket, Ok(()))));
        }
        self.start_next(now, id.node(), &queue)
    }

    /// Sends the answer to a subscription. Until the client has confirmed it, the subscription may
    /// have to be processed again.
    fn confirm_subscription(
        &mut self,
        now: WallTime,
        session: SessionId,
        request: PendingRequest,
        answer: Result<Action, ActionError>,
    ) -> Result<(), LogError<S::Error>> {
        // A string can always be written as JSON.
        let Ok(answer) = answer else { return Ok(()) };
        let draft = self.inbox.restorable(Draft { time: Some(now), ..self.own_draft() });
        let entry = self.inbox.add_unconfirmed_answer(
            &mut self.log,
            now,
            &request.entry.meta.id,
            answer,
            draft,
        )?;
        let Some(entry) = entry.map(Arc::new) else { return Ok(()) };
        if let (Some(session), Some(added)) = (self.sessions.get_mut(session), entry.meta.added) {
            session.unconfirmed.push(added, request);
        }
        self.deliver_to(session, entry, true)
    }

    /// Undoes the action of a running request, and those that share its fate.
    pub(super) fn undo_running(
        &mut self,
        now: WallTime,
        request_id: RequestId,
        reason: &str,
        extra: Vec<(String, Json)>,
    ) -> Result<(), LogError<S::Error>> {
        let Some(request) = self.requests.finish(request_id) else { return Ok(()) };
        let node = request.entry.meta.id.node().clone();
        self.report_loaded(&request);
        let later = self.requests.drain_fate(&request);
        if request.kind() != RequestKind::OwnAction {
            self.failed_clients.insert(node.client_id().into());
        }
        self.undo_request(now, &request, reason, extra)?;
        self.failed_later.extend(later);
        self.undo_failed(now)?;
        self.start_next(now, &node, &request.queue)
    }

    /// Undoes requests that have failed with an earlier one, and subscriptions that are given up,
    /// at most [`UNDOS_AT_A_TIME`]. If the server is killed before the others are undone, they are
    /// processed after its next start.
    pub(super) fn undo_failed(&mut self, now: WallTime) -> Result<(), LogError<S::Error>> {
        for _ in 0..UNDOS_AT_A_TIME {
            if let Some(request) = self.failed_later.pop_front() {
                self.undo_request(now, &request, "error", Vec::new())?;
            } else if let Some((_, request)) = self.given_up.pop() {
                self.give_up(now, &request)?;
            } else {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn undo_request(
        &mut self,
        now: WallTime,
        request: &PendingRequest,
        reason: &str,
        extra: Vec<(String, Json)>,
    ) -> Result<(), LogError<S::Error>> {
        self.report_undone(&request.entry, reason);
        if let (Some(id), Some(channel)) = (request.session(), request.entry.action.str_field("channel"))
            && request.is_approved
            // A cancelled request has no subscription, but a later request may have one.
            && !request.is_cancelled()
        {
            self.unsubscribe_session(id, &channel, &filter_key(&request.entry.action));
        }
        let recipients =
            if request.is_approved { request.recipients.clone() } else { Recipients::default() };
        // Others, who have received an action, may need all of its undo.
        let is_of_document = self.config.documents.document_of(&request.entry.action).is_some();
        let reduced =
            reduced(&request.entry.action, is_of_document).filter(|_| !request.is_approved);
        let remembered = reduced.map(|action| {
            let entry = Entry::new(action, request.entry.meta.clone());
            (undo_of(&entry, reason, extra.clone()), entry.action)
        });
        let remembered = match remembered {
            Some((undo, action)) => {
                if request.is_in_inbox() {
                    self.inbox.reduce_action(&mut self.log, now, &request.entry, action)?;
                }
                Some(undo)
            }
            None => None,
        };
        let undo = undo_of(&request.entry, reason, extra);
        // Clients of the reference undo an action only if the undo is later, and the correction of
        // clocks is not exact.
        let time = now.max(request.entry.meta.time.shifted(1));
        self.answer_request(now, request, undo, remembered, time, &recipients)?;
        if let Some(ticket) = request.ticket() {
            self.pending.push_back(Output::Done(ticket, Err(reason.to_owned())));
        }
        Ok(())
    }

    /// Sends the answer to the author of an action, and to `recipients`. Keeps `remembered` in
    /// place of the answer, if it is given.
    pub(super) fn answer_request(
        &mut self,
        now: WallTime,
        request: &PendingRequest,
        answer: Result<Action, ActionError>,
        remembered: Option<Result<Action, ActionError>>,
        time: WallTime,
        recipients: &Recipients,
    ) -> Result<(), LogError<S::Error>> {
        // A string and a checked action can always be written as JSON.
        let (Ok(answer), Ok(remembered)) = (answer, remembered.transpose()) else { return Ok(()) };
        let (answer, sent) = match remembered {
            Some(remembered) => (remembered, Some(answer)),
            None => (answer, None),
        };
        let id = &request.entry.meta.id;
        let mut draft = Draft { time: Some(time), ..self.own_draft() };
        if answer.kind() == UNDO {
            draft = self.retain_undo(&request.entry, draft)?;
            draft = self.inbox.remember_undo(draft, recipients);
        }
        let entry = if request.is_in_inbox() {
            self.inbox.add_answer(&mut self.log, now, id, answer, draft)?
        } else {
            self.log.add(now, answer, draft)?
        };
        let Some(mut entry) = entry else { return Ok(()) };
        if let Some(sent) = sent {
            entry.action = sent;
        }
        let entry = Arc::new(entry);
        let author = (request.kind() != RequestKind::OwnAction).then(|| id.node().client_id());
        self.deliver_with_client(author, &entry, recipients, None)
    }
}
