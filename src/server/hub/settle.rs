//! The documents that the hub keeps and settles: see
//! [`DocumentKinds`](crate::server::DocumentKinds).
//!
//! The application makes the snapshot in the background, from what the log had when it read it. An
//! undo that is accepted in the meantime counts: if its action would be settled, the snapshot is
//! made again. So does an action that is not answered when the snapshot is made, and that it would
//! declare too old: then it is made again later.

use core::ops::ControlFlow;
use std::sync::Arc;

use super::Hub;
use crate::{
    action::{
        Action, ActionId, DocumentKey, DocumentVerb, Meta, NameList,
        logux::{SUBSCRIBE, UNDO},
    },
    log::{Draft, LogError},
    replay::{Coverage, Standing},
    server::{
        AddAction, DocumentSnapshot, HubLog, Output, QueueName, Recipients, Retention,
        SettlementRequest, UndoRefusal, UndoTarget,
        documents::{DocumentStatus, Phase, due_at},
        inbox::is_waiting,
        retention::is_retained,
    },
    store::{Entry, MetaChange, Query, Store},
    time::WallTime,
};

/// The number of entries of a settled document that are removed from the log at a time.
const REMOVED_AT_A_TIME: usize = 64;

/// The removal of what a snapshot includes, or of everything.
#[derive(Debug)]
pub(super) struct Removal {
    key: DocumentKey,
    is_purge: bool,
    /// The number of the last entry that was read.
    after: u64,
    /// The number before which entries are removed: the one of the snapshot.
    until: u64,
}

impl<S: Store> Hub<S> {
    /// Decides whether and how long an action is kept.
    pub(super) fn retention_of(&self, action: &Action, meta: &Meta) -> Option<Retention> {
        match self.config.documents.document_of(action) {
            // The document and its actions stay as they are, until the application removes them.
            // A change stays as the edit that replaces it.
            Some((_, DocumentVerb::Delete | DocumentVerb::Change)) => None,
            Some((key, _)) => Some(Retention::forever(key.channel())),
            None => self.config.retention.of(action, meta),
        }
    }

    /// Returns the queue of an action: for each document its own, in which a client's actions keep
    /// their order, also with its subscriptions: it may create a document and subscribe to it. A
    /// snapshot includes the actions of a node up to one of them.
    pub(super) fn queue_of(&self, action: &Action) -> QueueName {
        let documents = &self.config.documents;
        let key = if action.kind() == SUBSCRIBE {
            action.str_field("channel").and_then(|name| documents.document_of_channel(&name))
        } else {
            documents.document_of(action).map(|(key, _)| key)
        };
        match key {
            Some(key) => key.channel().clone().into(),
            None => self.config.queues.name(action),
        }
    }

    /// Returns what is known of a document. `None` for other channels.
    fn document(
        &mut self,
        key: &DocumentKey,
    ) -> Result<Option<&mut DocumentStatus>, LogError<S::Error>> {
        let Some(rule) = self.config.documents.rule(key.kind()) else { return Ok(None) };
        self.documents.status(&self.log, key, *rule).map(Some)
    }

    /// Returns the document of an action, or of the action that a `logux/undo` names in the key
    /// `action`.
    fn named_document(&self, action: &Action) -> Option<DocumentKey> {
        let undone = || Action::new(action.field("action")?).ok();
        let undone = if action.kind() == UNDO { Some(undone()?) } else { None };
        Some(self.config.documents.document_of(undone.as_ref().unwrap_or(action))?.0)
    }

    /// Returns whether a received action of a document may still take effect.
    pub(super) fn standing(&mut self, entry: &Entry) -> Result<Standing, LogError<S::Error>> {
        let Some(key) = self.named_document(&entry.action) else { return Ok(Standing::Open) };
        let status = self.document(&key)?;
        Ok(status.map_or(Standing::Open, |status| standing(&status.coverage, &entry.meta)))
    }

    /// Returns `true` if an action is a snapshot, which only the server makes.
    pub(super) fn is_snapshot(&self, action: &Action) -> bool {
        let document = self.config.documents.document_of(action);
        document.is_some_and(|(_, verb)| verb == DocumentVerb::Snapshot)
    }

    /// Returns why an undo of an action that the log keeps can have no effect, if so.
    pub(super) fn settled_refusal(
        &mut self,
        undo: &ActionId,
        target: &UndoTarget,
    ) -> Result<Option<UndoRefusal>, LogError<S::Error>> {
        let Some((key, _)) = self.config.documents.document_of(&target.action.action) else {
            return Ok(None);
        };
        let Some(status) = self.document(&key)? else { return Ok(None) };
        Ok(if status.coverage.is_final(&target.undone().meta.id) {
            Some(UndoRefusal::Settled)
        } else if status.coverage.is_final(undo) {
            Some(UndoRefusal::TooOld)
        } else {
            None
        })
    }

    /// Returns why an action that the log does not keep cannot be undone.
    pub(super) fn missing_refusal(
        &mut self,
        undo: &Action,
        id: &ActionId,
    ) -> Result<UndoRefusal, LogError<S::Error>> {
        let Some(key) = self.named_document(undo) else { return Ok(UndoRefusal::NotFound) };
        let status = self.document(&key)?;
        let is_settled =
            status.is_some_and(|status| status.coverage.standing(id) == Standing::Settled);
        Ok(if is_settled { UndoRefusal::Settled } else { UndoRefusal::NotFound })
    }

    /// Records that an undo of an action of a document was accepted.
    pub(super) fn record_undone(
        &mut self,
        action: &Action,
        undone: &ActionId,
    ) -> Result<(), LogError<S::Error>> {
        let Some((key, _)) = self.config.documents.document_of(action) else { return Ok(()) };
        if let Some(DocumentStatus { phase: Phase::Building { undone: ids, .. }, .. }) =
            self.document(&key)?
        {
            ids.push(undone.clone());
        }
        Ok(())
    }

    /// Notifies states of a kept action that was processed, or of an undo of one. `action` is what
    /// it is about: itself, or the undone action.
    pub(super) fn push_recorded(
        &mut self,
        entry: &Arc<Entry>,
        action: &Action,
    ) -> Result<(), LogError<S::Error>> {
        let document = self.config.documents.document_of(action);
        let key = document.map(|(key, _)| key);
        self.pending.push_back(Output::Recorded { entry: entry.clone(), document: key.clone() });
        let Some(key) = key else { return Ok(()) };
        let Some(rule) = self.config.documents.rule(key.kind()) else { return Ok(()) };
        let status = self.documents.status(&self.log, &key, *rule)?;
        if status.count(&entry.meta) {
            status.save(&mut self.log, &key)?;
        }
        if status.open >= status.due_at && matches!(status.phase, Phase::Idle) {
            self.pending.push_back(Output::SettlementDue(self.documents.request(key)));
        }
        Ok(())
    }

    /// Adds a snapshot that the application has made, and begins to remove what it includes.
    pub(super) fn settle(
        &mut self,
        now: WallTime,
        SettlementRequest { key, number }: SettlementRequest,
        snapshot: Option<DocumentSnapshot>,
    ) -> Result<(), LogError<S::Error>> {
        let Some(rule) = self.config.documents.rule(key.kind()).copied() else { return Ok(()) };
        let status = self.documents.status(&self.log, &key, rule)?;
        let (undone, earliest) = match &mut status.phase {
            Phase::Building { number: current, undone, earliest } if *current == number => {
                (core::mem::take(undone), *earliest)
            }
            // A snapshot for an earlier request may not know of all undos.
            _ => return Ok(()),
        };
        status.phase = Phase::Idle;
        let Some(DocumentSnapshot { action, coverage }) = snapshot else {
            status.due_at = status.open + rule.open_actions.max(1);
            return Ok(());
        };
        // Actions that are not answered yet may still take effect, and the snapshot may not know of
        // those that were answered since.
        let queue = QueueName::from(key.channel().clone());
        let is_unanswered = self
            .requests
            .in_queues(&queue)
            .filter(|request| request.subscription().is_none())
            .any(|request| standing(&coverage, &request.entry.meta) != Standing::Open);
        if is_unanswered || coverage.horizon().is_some_and(|horizon| earliest < horizon) {
            status.due_at = status.open + (rule.open_actions / 8).max(1);
            return Ok(());
        }
        if undone.iter().any(|id| coverage.is_final(id)) {
            self.pending.push_back(Output::SettlementDue(self.documents.request(key)));
            return Ok(());
        }
        status.coverage = coverage;
        status.phase = Phase::Removing;
        status.save(&mut self.log, &key)?;
        let to = Recipients::channel(key.channel().clone());
        let draft = Draft::default();
        self.add(now, AddAction { action, draft, to, process: false, ticket: None })?;
        let until = self.log.last_added()?;
        self.removals.push_back(Removal { key, after: 0, until, is_purge: false });
        Ok(())
    }

    /// Begins to remove everything that the log has of a document, except actions that are not
    /// answered yet.
    pub(super) fn purge(&mut self, key: DocumentKey) -> Result<(), LogError<S::Error>> {
        self.removals.retain(|removal| removal.key != key);
        self.documents.remove(&mut self.log, &key)?;
        let until = self.log.last_added()? + 1;
        self.removals.push_back(Removal { key, after: 0, until, is_purge: true });
        Ok(())
    }

    /// Removes some of what the log has to remove of documents.
    pub(super) fn continue_removal(&mut self) -> Result<(), LogError<S::Error>> {
        match self.removals.pop_front() {
            Some(removal) if removal.is_purge => self.remove_purged(removal),
            Some(removal) => self.remove_settled(removal),
            None => Ok(()),
        }
    }

    /// Removes some of the actions of a purged document, also those that are only remembered to
    /// answer them again.
    fn remove_purged(&mut self, mut removal: Removal) -> Result<(), LogError<S::Error>> {
        let is_answered =
            |entry: &Entry| !entry.meta.reasons.iter().any(|reason| is_waiting(reason));
        let (purged, has_more) = removal.next(&self.log, is_answered)?;
        if has_more {
            self.removals.push_back(removal);
        } else {
            self.pending.push_back(Output::Purged(removal.key));
        }
        let nothing = MetaChange { reasons: Some(NameList::new()), ..MetaChange::default() };
        purged.iter().try_for_each(|id| self.log.change_meta(id, &nothing).map(drop))
    }

    /// Removes some of what a snapshot includes from the log.
    fn remove_settled(&mut self, mut removal: Removal) -> Result<(), LogError<S::Error>> {
        let key = removal.key.clone();
        let Some(rule) = self.config.documents.rule(key.kind()).copied() else { return Ok(()) };
        let status = self.documents.status(&self.log, &key, rule)?;
        let coverage = &status.coverage;
        let is_settled = |entry: &Entry| {
            let undone = entry.action.str_field("id").filter(|_| entry.action.kind() == UNDO);
            let is_settled = match undone.and_then(|id| id.parse::<ActionId>().ok()) {
                Some(target) => coverage.is_final_undo(&entry.meta.id, &target),
                // An older snapshot.
                None if entry.meta.id.node().is_server() && is_snapshot_of(&key, entry) => true,
                None => coverage.is_final(&entry.meta.id),
            };
            is_settled && is_retained(&entry.meta)
        };
        let (settled, has_more) = removal.next(&self.log, is_settled)?;
        status.open = status.open.saturating_sub(settled.len() as u64);
        if has_more {
            self.removals.push_back(removal);
        } else {
            status.due_at = due_at(rule);
            status.phase = Phase::Idle;
            status.save(&mut self.log, &key)?;
            // Many actions may have arrived since the snapshot was begun.
            if status.open >= status.due_at {
                let request = self.documents.request(key);
                self.pending.push_back(Output::SettlementDue(request));
            }
        }
        settled.iter().try_for_each(|id| self.remove_retention(id))
    }
}

impl Removal {
    /// Reads the next entries of the document. Returns the ids of those to remove, and whether
    /// there may be more.
    fn next<S: Store>(
        &mut self,
        log: &HubLog<S>,
        is_removed: impl Fn(&Entry) -> bool,
    ) -> Result<(Vec<ActionId>, bool), LogError<S::Error>> {
        let reason = Retention::forever(self.key.channel()).reason().clone();
        let query = Query::added().oldest_first().index(reason).after_added(self.after);
        let (mut read, mut removed) = (0, Vec::new());
        log.walk(&query, |entry| {
            let added = entry.meta.added.unwrap_or(u64::MAX);
            if read == REMOVED_AT_A_TIME || added >= self.until {
                return ControlFlow::Break(());
            }
            (read, self.after) = (read + 1, added);
            if is_removed(entry) {
                removed.push(entry.meta.id.clone());
            }
            ControlFlow::Continue(())
        })?;
        Ok((removed, read == REMOVED_AT_A_TIME))
    }
}

/// Returns whether a received action may still take effect. The clock of its author may be ahead:
/// then its time by the server's clock counts, because deletions of that time are forgotten.
fn standing(coverage: &Coverage, meta: &Meta) -> Standing {
    let is_old = coverage.horizon().is_some_and(|horizon| meta.time < horizon);
    match coverage.standing(&meta.id) {
        Standing::Open if is_old => Standing::TooOld,
        standing => standing,
    }
}

fn is_snapshot_of(key: &DocumentKey, entry: &Entry) -> bool {
    key.verb(&entry.action) == Some(DocumentVerb::Snapshot)
}
