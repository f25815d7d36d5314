//! Undos by the application, and their delivery to clients that subscribe later.

use core::ops::ControlFlow;
use std::sync::Arc;

use super::{Hub, retention::since};
use crate::{
    action::{Action, ActionId, logux::Undo},
    log::LogError,
    server::{
        SessionId, UndoRequest,
        retention::{approved_at, is_retained, undone_id},
    },
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
        let undone_action = action.clone();
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
            let action = undone_action.as_ref().unwrap_or(&entry.action);
            self.push_recorded(&entry, action)?;
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
        let since = since(subscription).map(|received| received.time);
        let client = subscription.meta.id.node().client_id();
        let mut undos = Vec::new();
        self.inbox.undos_in_channel(&self.log, channel, |entry| {
            if since.is_some_and(|since| undone_at(entry) < since)
                || after.is_some() && entry.meta.added <= after
            {
                return ControlFlow::Break(());
            }
            undos.push(entry.clone());
            ControlFlow::Continue(())
        })?;
        for entry in undos.into_iter().rev() {
            let judged = self.filtered_entry(&entry)?;
            // Its own undos, and those of its own actions, which are answers.
            if !has_received_undo(&entry, client)
                && self.channels.passes(channel, session, filter, judged.as_ref().unwrap_or(&entry))
                && let Some(undo) = without_action(entry)
            {
                self.deliver_to(session, Arc::new(undo), false)?;
            }
        }
        Ok(())
    }
}

/// Returns the time of an undo, by the server's clock.
fn undone_at(Entry { meta, .. }: &Entry) -> WallTime {
    // The undo of the application has the indexes of its action.
    if meta.id.node().is_server() { meta.id.time() } else { approved_at(meta) }
}

/// Whether a client has received an undo without being subscribed to a channel.
fn has_received_undo(undo: &Entry, client: &str) -> bool {
    let is_of_client = |id: &ActionId| id.node().client_id() == client;
    let named = undo.action.str_field("id").and_then(|id| id.parse().ok());
    is_of_client(&undo.meta.id)
        || undone_id(&undo.meta).as_ref().is_some_and(is_of_client)
        || named.as_ref().is_some_and(is_of_client)
}

/// Returns an undo of the application without the undone action: the clients that need the undo
/// have it; others must not receive it.
fn without_action(entry: Entry) -> Option<Entry> {
    if !entry.meta.id.node().is_server() {
        return Some(entry);
    }
    let undo = Undo { action: None, ..Undo::from_action(&entry.action)? };
    Some(Entry::new(undo.to_action().ok()?, entry.meta))
}
