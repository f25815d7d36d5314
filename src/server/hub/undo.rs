//! The application takes an action back, whenever it likes; and who is told so later.

use core::ops::ControlFlow;
use std::sync::Arc;

use super::{Hub, retention::since};
use crate::{
    action::{ActionId, logux::Undo},
    log::{Draft, LogError},
    server::{Output, Recipients, SessionId, UndoRequest, retention::is_kept},
    store::{Entry, Store},
    time::WallTime,
};

impl<S: Store> Hub<S> {
    pub(super) fn undo(
        &mut self,
        now: WallTime,
        undoing: UndoRequest,
    ) -> Result<(), LogError<S::Error>> {
        let UndoRequest { id, reason, extra, to } = undoing;
        if let Some(request_id) = self.requests.running_id(&id) {
            if let Some(request) = self.requests.running(request_id) {
                request.recipients.extend(to);
            }
            return self.undone(now, request_id, &reason, extra);
        }
        if let Some(request) = self.requests.take_waiting(&id) {
            self.undo_request(now, &request, &reason, extra)?;
            return self.start_next(now, id.node(), &request.queue);
        }
        self.undo_done(now, UndoRequest { id, reason, extra, to })
    }

    /// Takes back what was processed already. Its author is told again if it asks again.
    fn undo_done(&mut self, now: WallTime, undoing: UndoRequest) -> Result<(), LogError<S::Error>> {
        let UndoRequest { id, reason, extra, mut to } = undoing;
        let known = self.log.by_id(&id)?.map(Arc::new);
        let time = known.as_ref().map_or(id.time(), |entry| entry.meta.time);
        if let Some(entry) = &known {
            self.report_undone(entry, &reason);
        }
        let mut draft = Draft::default();
        if let Some(entry) = known.as_ref().filter(|entry| is_kept(&entry.meta)) {
            draft = self.keep_undo(entry, draft)?;
        }
        draft = self.inbox.remember_undo(draft, &to);
        let action = known.map(|entry| entry.action.clone());
        let undo = Undo { id: id.to_text(), reason, action, extra };
        // A text and a checked action can always be written as JSON.
        let Ok(action) = undo.to_action() else { return Ok(()) };
        draft.time = Some(now.max(time.shifted(1)));
        let entry = if id.node().is_server() {
            draft.subprotocol = self.own_draft().subprotocol;
            self.log.add(now, action, draft)?
        } else {
            to.extend(Recipients::client(id.node().client_id()));
            self.inbox.answer(&mut self.log, now, &id, action, draft)?
        };
        let Some(entry) = entry.map(Arc::new) else { return Ok(()) };
        if is_kept(&entry.meta) {
            self.pending.push_back(Output::Recorded(entry.clone()));
        }
        self.deliver(&entry, &to, None)
    }

    /// Tells a client that comes back to a channel what was undone there meanwhile: it may have got the action before, from whoever did it.
    pub(super) fn tell_undos(
        &mut self,
        session: SessionId,
        channel: &str,
        filter: &str,
        subscription: &Entry,
    ) -> Result<(), LogError<S::Error>> {
        let since = since(subscription).map(|(_, time)| time);
        let client = subscription.meta.id.node().client_id();
        let channels = &self.channels;
        let mut undos = Vec::new();
        self.inbox.undone_in_channel(&self.log, channel, |entry| {
            if since.is_some_and(|since| entry.meta.id.time() < since) {
                return ControlFlow::Break(());
            }
            let undo = Undo::from_action(&entry.action);
            let is_own = |undo: &Undo| {
                undo.id.parse().is_ok_and(|id: ActionId| id.node().client_id() == client)
            };
            // Its own it is told in any case.
            if let Some(undo) = undo.filter(|undo| !is_own(undo))
                && channels.passes(channel, session, filter, entry)
                // Who has got the action has it, and nobody else needs to know it.
                && let Ok(action) = (Undo { action: None, ..undo }).to_action()
            {
                undos.push(Arc::new(Entry::new(action, entry.meta.clone())));
            }
            ControlFlow::Continue(())
        })?;
        undos.into_iter().rev().try_for_each(|undo| self.deliver_to(session, undo, false))
    }
}
