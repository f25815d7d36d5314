//! Undos by clients: a `logux/undo` of a kept action, or of an earlier undo.
//!
//! An accepted undo is kept next to its action, which stays too, so that the undo of the undo has
//! its effect also for clients that receive the actions later. Both have the same retention. Which
//! actions are undone is decided by each reducer from the undos in its log.

use core::ops::ControlFlow;
use std::sync::Arc;

use super::Hub;
use crate::{
    action::{
        Action, ActionId, NameList,
        logux::{Processed, UNDO},
    },
    log::{Draft, LogError},
    server::{
        HubEvent, Recipients, RequestId, RequestKind, UndoRefusal, UndoTarget,
        inbox::{is_inbox_index, is_waiting},
        retention::{
            approved_index, is_retained, is_retention_reason, is_shared_with_undo, recipients,
            undoes_index, undone_id,
        },
    },
    store::{Entry, MetaChange, Query, Store},
    time::WallTime,
};

/// The length of a chain of undos that are not accepted yet, up to which their queue is the one of
/// the action at its end.
const MAX_CHAIN: usize = 16;

/// Whether an entry is an undo by a client.
pub(super) fn is_by_client(entry: &Entry) -> bool {
    entry.action.kind() == UNDO && !entry.meta.id.node().is_server()
}

/// Returns the id that a `logux/undo` names.
fn named_id(undo: &Action) -> Option<ActionId> {
    undo.str_field("id")?.parse().ok()
}

impl<S: Store> Hub<S> {
    /// Decides whether a `logux/undo` of a client can have an effect. The application decides
    /// whether it may. O(log n), also for a long chain of undos.
    pub(super) fn undo_target(
        &mut self,
        undo: &Entry,
    ) -> Result<Result<UndoTarget, UndoRefusal>, LogError<S::Error>> {
        let Some(id) = named_id(&undo.action) else { return Ok(Err(UndoRefusal::WrongFormat)) };
        // An action is kept when it is approved, so an action that is not approved is not found by
        // others; the undos of its own client wait for it in their queue.
        let target = match self.kept(&id)? {
            Some(undone) if undone.action.kind() != UNDO => {
                Some(UndoTarget { action: undone, undo: None })
            }
            // An undo by the application is final.
            Some(undone) if is_by_client(&undone) => {
                let action = undone_id(&undone.meta).map(|id| self.kept(&id)).transpose()?;
                action.flatten().map(|action| UndoTarget { action, undo: Some(undone) })
            }
            _ => None,
        };
        let Some(target) = target else {
            return self.missing_refusal(&undo.action, &id).map(Err);
        };
        let refusal = self.settled_refusal(&undo.meta.id, &target)?;
        Ok(refusal.map_or(Ok(target), Err))
    }

    fn kept(&self, id: &ActionId) -> Result<Option<Arc<Entry>>, LogError<S::Error>> {
        Ok(self.log.by_id(id)?.filter(|entry| is_retained(&entry.meta)).map(Arc::new))
    }

    /// Returns the action in whose queue an undo of a client waits: the one that it undoes, which
    /// may have to be processed before.
    pub(super) fn undone_in_queue(
        &self,
        entry: &Entry,
    ) -> Result<Option<Action>, LogError<S::Error>> {
        let (mut action, mut id) = (None, None);
        if is_by_client(entry) {
            id = named_id(&entry.action);
        }
        for _ in 0..MAX_CHAIN {
            let Some(undone) = id.map(|id| self.log.by_id(&id)).transpose()?.flatten() else {
                break;
            };
            if undone.action.kind() != UNDO {
                action = Some(undone.action);
                break;
            }
            id = undone_id(&undone.meta).or_else(|| named_id(&undone.action));
        }
        Ok(action)
    }

    /// Accepts the undo of a running request, if its target is still kept, and ends the request.
    pub(super) fn accept_undo(
        &mut self,
        now: WallTime,
        request_id: RequestId,
    ) -> Result<(), LogError<S::Error>> {
        let Some(request) = self.requests.running(request_id) else { return Ok(()) };
        if request.kind() != RequestKind::Action || request.entry.action.kind() != UNDO {
            return self.undo_running(now, request_id, "error", Vec::new());
        }
        let entry = request.entry.clone();
        let target = match self.undo_target(&entry)? {
            Ok(target) => target,
            Err(refusal) => {
                return self.undo_running(now, request_id, refusal.reason(), Vec::new());
            }
        };
        let Some(request) = self.requests.finish(request_id) else { return Ok(()) };
        let to = undo_recipients(&entry, &target);
        let kept = self.keep_undo(now, &entry, &target, &to)?;
        let reasons = kept.meta.reasons.clone();
        self.report(HubEvent::Processed(kept.clone()));
        let holders = Some([entry.meta.id.node(), &request.sender]);
        self.deliver_filtered(None, &kept, &target.action, &to, holders)?;
        let answer = Processed { id: entry.meta.id.to_text() }.to_action();
        self.answer_request(now, &request, answer, None, now, &Recipients::default())?;
        // The answer has replaced them by the reason of answered actions.
        self.log.change_meta(
            &kept.meta.id,
            &MetaChange { reasons: Some(reasons), ..MetaChange::default() },
        )?;
        self.record_undone(&target.action.action, &target.undone().meta.id)?;
        self.push_recorded(&kept, &target.action.action)?;
        self.start_next(now, entry.meta.id.node(), &request.queue)
    }

    /// Adds an undo to the log again, after its target, with the retention and the recipients of
    /// the undone action.
    fn keep_undo(
        &mut self,
        now: WallTime,
        undo: &Entry,
        target: &UndoTarget,
        to: &Recipients,
    ) -> Result<Arc<Entry>, LogError<S::Error>> {
        let action = &target.action;
        let mut draft = self.take_to_add_again(undo)?;
        draft.reasons.retain(|reason| !is_waiting(reason));
        let reasons = action.meta.reasons.iter().filter(|reason| is_retention_reason(reason));
        let reasons: NameList = reasons.cloned().collect();
        draft = self.undo_reasons(action, &reasons).into_iter().fold(draft, Draft::and_reason);
        let indexes = action.meta.indexes.iter();
        draft = indexes
            .filter(|index| !is_inbox_index(index) && is_shared_with_undo(index))
            .fold(draft, |draft, index| draft.index(index.clone()));
        draft = draft.index(approved_index(now)).index(undoes_index(&action.meta.id));
        draft = self.inbox.remember_undo(draft, to);
        // Later than its target, so that a bound by age does not remove it first.
        draft.time = draft.time.max(Some(target.undone().meta.time.shifted(1)));
        let meta = undo.meta.clone();
        let kept = self.log.add(now, undo.action.clone(), draft)?;
        if let Some(retention) = self.retention_of(&action.action, &action.meta) {
            self.apply_count_bound(now, &retention)?;
        }
        Ok(Arc::new(kept.unwrap_or_else(|| Entry::new(undo.action.clone(), meta))))
    }

    /// Returns the entry by which the filters of subscribers decide about an undo of a client: the
    /// undone action. `None` for other entries, and if the log does not have the action any more.
    pub(super) fn filtered_entry(
        &self,
        entry: &Entry,
    ) -> Result<Option<Entry>, LogError<S::Error>> {
        let undone = if is_by_client(entry) { undone_id(&entry.meta) } else { None };
        Ok(undone.map(|id| self.log.by_id(&id)).transpose()?.flatten())
    }

    /// Removes the retention of all undos of an action by clients.
    pub(super) fn forget_undos_of(&mut self, id: &ActionId) -> Result<(), LogError<S::Error>> {
        self.undos_of(id)?.iter().try_for_each(|undo| self.remove_retention(&undo.meta.id))
    }

    /// Adds all undos of an action by clients to the log again, after the action.
    pub(super) fn move_undos_of(
        &mut self,
        now: WallTime,
        id: &ActionId,
    ) -> Result<(), LogError<S::Error>> {
        for undo in self.undos_of(id)? {
            let draft = self.take_to_add_again(&undo)?;
            self.log.add(now, undo.action, draft)?;
        }
        Ok(())
    }

    /// Returns the undos of an action by clients, oldest first.
    fn undos_of(&self, id: &ActionId) -> Result<Vec<Entry>, LogError<S::Error>> {
        let mut undos = Vec::new();
        self.log.walk(&Query::added().oldest_first().index(undoes_index(id)), |entry| {
            undos.push(entry.clone());
            ControlFlow::Continue(())
        })?;
        Ok(undos)
    }
}

/// Returns the recipients of an undo besides its author: those of the undone action, its author,
/// and the author of the undone undo.
fn undo_recipients(undo: &Entry, target: &UndoTarget) -> Recipients {
    let mut to = recipients(&target.action.meta);
    for author in [&target.action, target.undone()].map(|entry| entry.meta.id.node()) {
        let client = author.client_id();
        if author.is_server() || client == undo.meta.id.node().client_id() {
            continue;
        }
        to.exclude_clients.retain(|excluded| **excluded != *client);
        if !to.clients.iter().any(|other| **other == *client) {
            to.clients.push(client.into());
        }
    }
    to
}
