//! Undos by the application, and their delivery to clients that subscribe later.

use core::ops::ControlFlow;
use std::sync::Arc;

use super::{Hub, retention::since};
use crate::{
    action::{Action, ActionId, logux::Undo},
    log::LogError,
    server::{Output, SessionId, UndoRequest, retention::is_retained},
    store::{Entry, Store},
    time::WallTime,
};

impl<S: Store> Hub<S> {
    pub(super) fn undo(
        &mut self,
        now: WallTime,
        undo: UndoRequest,
    ) -> Result<(), LogError<S::Error>> {
        let UndoRequest { id, reason, extra, to } = undo;
        if let Some(request_id) = self.requests.running_id(&id) {
            if let Some(request) = self.requests.running(request_id) {
                request.recipients.extend(to);
            }
            return self.undo_running(now, request_id, &reason, extra);
        }
        if let Some(request) = self.requests.take_waiting(&id) {
            self.undo_request(now, &request, &reason, extra)?;
            return self.start_next(now, id.node(), &request.queue);
        }
        let subscription = self.end_active(&id)?;
        self.undo_processed(now, UndoRequest { id, reason, extra, to }, subscription)
    }

    /// Undoes an action that was processed already. If the action is received again, it is answered
    /// with this undo. `known` is the action, if the log may have forgotten it.
    fn undo_processed(
        &mut self,
        now: WallTime,
        undo: UndoRequest,
        known: Option<Action>,
    ) -> Result<(), LogError<S::Error>> {
        let UndoRequest { id, reason, extra, to } = undo;
        let undone = self.log.by_id(&id)?.map(Arc::new);
        let time = undone.as_ref().map_or(id.time(), |entry| entry.meta.time);
        if let Some(entry) = &undone {
            self.report_undone(entry, &reason);
        }
        let mut draft = self.own_draft();
        if let Some(entry) = undone.as_ref().filter(|entry| is_retained(&entry.meta)) {
            draft = self.retain_undo(entry, draft)?;
        }
        draft = self.inbox.remember_undo(draft, &to);
        let action = undone.map(|entry| entry.action.clone()).or(known);
        let undo = Undo { id: id.to_text(), reason, action, extra };
        // A string and a checked action can always be written as JSON.
        let Ok(action) = undo.to_action() else { return Ok(()) };
        draft.time = Some(now.max(time.shifted(1)));
        let entry = if id.node().is_server() {
            self.log.add(now, action, draft)?
        } else {
            self.inbox.add_answer(&mut self.log, now, &id, action, draft)?
        };
        let Some(entry) = entry.map(Arc::new) else { return Ok(()) };
        if is_retained(&entry.meta) {
            self.pending.push_back(Output::Recorded(entry.clone()));
        }
        let author = (!id.node().is_server()).then(|| id.node().client_id());
        self.deliver_with_client(author, &entry, &to, None)
    }

    /// Sends a client that subscribes to a channel again the undos of the channel's actions since
    /// then. It may have received the actions before, unless they were undone up to the number
    /// `after`, when it connected for the first time.
    pub(super) fn send_missed_undos(
        &mut self,
        session: SessionId,
        channel: &str,
        filter: &str,
        subscription: &Entry,
        after: Option<u64>,
    ) -> Result<(), LogError<S::Error>> {
        let since = since(subscription).map(|(_, time)| time);
        let client = subscription.meta.id.node().client_id();
        let channels = &self.channels;
        let mut undos = Vec::new();
        self.inbox.undos_in_channel(&self.log, channel, |entry| {
            if since.is_some_and(|since| entry.meta.id.time() < since)
                || after.is_some() && entry.meta.added <= after
            {
                return ControlFlow::Break(());
            }
            let undo = Undo::from_action(&entry.action);
            let is_own = |undo: &Undo| {
                undo.id.parse().is_ok_and(|id: ActionId| id.node().client_id() == client)
            };
            // The undos of its own actions are answers, which it receives anyway.
            if let Some(undo) = undo.filter(|undo| !is_own(undo))
                && channels.passes(channel, session, filter, entry)
                // Clients that need the undo have the action; others must not receive it.
                && let Ok(action) = (Undo { action: None, ..undo }).to_action()
            {
                undos.push(Arc::new(Entry::new(action, entry.meta.clone())));
            }
            ControlFlow::Continue(())
        })?;
        undos.into_iter().rev().try_for_each(|undo| self.deliver_to(session, undo, false))
    }
}
