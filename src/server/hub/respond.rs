//! What the application answers, and how actions end.

use std::sync::Arc;

use super::{Hub, filter_key, undo_of};
use crate::{
    action::{
        Action, ActionError,
        logux::{Processed, UNDO},
    },
    json::Json,
    log::{Draft, LogError},
    server::{
        Filter, HandlerResponse, HubEvent, Output, Recipients, RequestId, RequestKind, SessionId,
        requests::PendingRequest,
    },
    store::Store,
    time::WallTime,
};

impl<S: Store> Hub<S> {
    pub(super) fn answer(
        &mut self,
        now: WallTime,
        request_id: RequestId,
        answer: HandlerResponse,
    ) -> Result<(), LogError<S::Error>> {
        let Some(request) = self.requests.running(request_id) else { return Ok(()) };
        match answer {
            HandlerResponse::Resend(recipients) => {
                request.recipients.extend(recipients);
                Ok(())
            }
            HandlerResponse::Approved(filter) => self.approved(now, request_id, filter),
            // What was loaded for nobody.
            HandlerResponse::Action(..) if request.is_cancelled() => Ok(()),
            HandlerResponse::Action(action, mut draft) => {
                let client = request.entry.meta.id.node().client_id().to_owned();
                if request.kind() == RequestKind::Action {
                    // A subscription is done again as a whole; this is not.
                    *draft = self.inbox.remember(&client, *draft);
                }
                draft.subprotocol = draft.subprotocol.or(self.own_draft().subprotocol);
                let Some(entry) = self.log.add(now, action, *draft)?.map(Arc::new) else {
                    return Ok(());
                };
                self.report(HubEvent::Added(entry.clone()));
                self.deliver_also(Some(&client), &entry, &Recipients::default(), None)
            }
            HandlerResponse::Replay => self.replay(request_id),
            HandlerResponse::Debug(text) => {
                self.debug_author(request_id, |_| text);
                Ok(())
            }
            HandlerResponse::Processed => self.processed(now, request_id),
            HandlerResponse::Denied => {
                self.debug_author(request_id, |request| {
                    format!("Action \"{}\" was denied", request.entry.meta.id)
                });
                self.undone(now, request_id, "denied", Vec::new())
            }
            HandlerResponse::UnknownType => {
                self.debug_author(request_id, |request| {
                    format!("Action with unknown type {}", request.entry.action.kind())
                });
                self.undone(now, request_id, "unknownType", Vec::new())
            }
            HandlerResponse::WrongChannel => {
                self.debug_author(request_id, |request| {
                    format!(
                        "Wrong channel name {}",
                        request.entry.action.field("channel").unwrap_or("undefined")
                    )
                });
                self.undone(now, request_id, "wrongChannel", Vec::new())
            }
            HandlerResponse::Undo { reason, extra } => self.undone(now, request_id, &reason, extra),
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
            let entry = self.keep(now, entry, &recipients)?;
            if !recipients.channels.is_empty() {
                self.requests.note_in_channels(request_id);
            }
            let author = (kind == RequestKind::Action).then(|| entry.meta.id.node());
            self.deliver(&entry, &recipients, author)?;
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
        if session.channels.len() >= self.config.max_subscriptions
            && !session.channels.contains(&channel)
        {
            return self.undone(now, request_id, "subscriptionLimit", Vec::new());
        }
        session.channels.insert(channel.clone());
        let is_new = core::mem::replace(&mut session.is_new, false);
        let in_progress = self.in_progress(&channel, id);
        let key = filter_key(&entry.action);
        self.channels.subscribe(&channel, id, key.clone(), filter);
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
        if is_new { Ok(()) } else { self.tell_undos(id, &channel, &key, &entry) }
    }

    fn processed(
        &mut self,
        now: WallTime,
        request_id: RequestId,
    ) -> Result<(), LogError<S::Error>> {
        if let Some(request) = self.requests.running(request_id)
            && !request.is_approved
        {
            // Processed without a word about access: that is for the application to say, and it has not.
            return self.undone(now, request_id, "error", Vec::new());
        }
        let Some(request) = self.requests.finish(request_id) else { return Ok(()) };
        let (id, queue, ticket) =
            (request.entry.meta.id.clone(), request.queue.clone(), request.ticket());
        let is_wanted =
            request.subscription().is_some_and(|subscription| !subscription.is_cancelled);
        if is_wanted && request.session().is_none_or(|session| self.sessions.get(session).is_none())
        {
            self.park(now, request)?;
        } else {
            self.report(HubEvent::Processed(request.entry.clone()));
            let answer = Processed { id: id.to_text() }.to_action();
            match request.session().filter(|_| is_wanted) {
                Some(session) => self.subscribed(now, session, request, answer)?,
                None => {
                    let kept = self.reasons_to_keep(&request.entry)?;
                    self.conclude(now, &request, answer, now, &Recipients::default())?;
                    if let Some(reasons) = kept {
                        self.record(&request.entry, reasons)?;
                    }
                }
            }
            self.pending.extend(ticket.map(|ticket| Output::Done(ticket, Ok(()))));
        }
        self.start_next(now, id.node(), &queue)
    }

    /// Tells a client that it is subscribed. Until it has confirmed that, the subscription is one that may have to be done again.
    fn subscribed(
        &mut self,
        now: WallTime,
        session: SessionId,
        request: PendingRequest,
        answer: Result<Action, ActionError>,
    ) -> Result<(), LogError<S::Error>> {
        // A text can always be written as JSON.
        let Ok(answer) = answer else { return Ok(()) };
        let draft = self.inbox.alone(at(now));
        let entry =
            self.inbox.answer_for_now(&mut self.log, now, &request.entry.meta.id, answer, draft)?;
        let Some(entry) = entry.map(Arc::new) else { return Ok(()) };
        for _ in 0..request.repeats {
            self.deliver_to(session, entry.clone(), false)?;
        }
        if let (Some(session), Some(added)) = (self.sessions.get_mut(session), entry.meta.added) {
            session.unacknowledged.push_back((added, request));
        }
        self.deliver_to(session, entry, true)
    }

    /// Takes an action back, and what the client has sent behind it.
    pub(super) fn undone(
        &mut self,
        now: WallTime,
        request_id: RequestId,
        reason: &str,
        extra: Vec<(String, Json)>,
    ) -> Result<(), LogError<S::Error>> {
        let Some(request) = self.requests.finish(request_id) else { return Ok(()) };
        let node = request.entry.meta.id.node().clone();
        let is_own = request.kind() == RequestKind::OwnAction;
        let behind = if is_own { Vec::new() } else { self.requests.drain_behind(&request) };
        self.undo_request(now, &request, reason, extra)?;
        for behind in behind {
            self.undo_request(now, &behind, "error", Vec::new())?;
        }
        self.start_next(now, &node, &request.queue)
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
            // A cancelled subscription has subscribed to nothing; another may have meanwhile.
            && !request.is_cancelled()
        {
            self.unsubscribe_session(id, &channel, &filter_key(&request.entry.action));
        }
        let recipients =
            if request.is_approved { request.recipients.clone() } else { Recipients::default() };
        let undo = undo_of(&request.entry, reason, extra);
        // Clients of the reference take an action back only by an undo that is later, and clocks are never quite corrected.
        let time = now.max(request.entry.meta.time.shifted(1));
        self.conclude(now, request, undo, time, &recipients)?;
        if let Some(ticket) = request.ticket() {
            self.pending.push_back(Output::Done(ticket, Err(reason.to_owned())));
        }
        Ok(())
    }

    /// Tells the author, and the recipients if they have to know, how an action ended.
    pub(super) fn conclude(
        &mut self,
        now: WallTime,
        request: &PendingRequest,
        answer: Result<Action, ActionError>,
        time: WallTime,
        recipients: &Recipients,
    ) -> Result<(), LogError<S::Error>> {
        // A text and a checked action can always be written as JSON.
        let Ok(answer) = answer else { return Ok(()) };
        let id = &request.entry.meta.id;
        let mut draft = at(time);
        if answer.kind() == UNDO {
            draft = self.keep_undo(&request.entry, draft)?;
            draft = self.inbox.remember_undo(draft, recipients);
        }
        let entry = if request.is_in_inbox() {
            self.inbox.answer(&mut self.log, now, id, answer, draft)?
        } else {
            draft.subprotocol = self.own_draft().subprotocol;
            self.log.add(now, answer, draft)?
        };
        let Some(entry) = entry else { return Ok(()) };
        let entry = Arc::new(entry);
        let author = (request.kind() != RequestKind::OwnAction).then(|| id.node().client_id());
        // What came twice is answered twice.
        for _ in 0..request.repeats {
            self.deliver_also(author, &entry, &Recipients::default(), None)?;
        }
        self.deliver_also(author, &entry, recipients, None)
    }
}

fn at(time: WallTime) -> Draft {
    Draft { time: Some(time), ..Draft::default() }
}
