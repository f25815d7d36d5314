//! A timeline as the observer of a log: applies the actions of the log, and requests which of them
//! it keeps.

use std::collections::{HashMap, VecDeque};

use super::{Malformed, Obsolete, Reducer, Timeline};
use crate::{
    action::{Action, ActionId, Meta, Stamp, logux, push_once},
    log::{Log, Observer, ObserverRequest},
    store::{Criteria, Entry, Store},
};

/// The requests of a timeline to its log, and the actions that they depend on.
#[derive(Debug)]
pub(super) struct Retainer<A> {
    /// The action that was read in `preadd` and is about to be added.
    read: Option<(ActionId, Result<Option<A>, Malformed>)>,
    requests: VecDeque<ObserverRequest>,
    /// The actions that can still be undone, by arrival.
    unsettled: VecDeque<(u64, Stamp)>,
    /// Own actions that the server has not answered. `Some`: the action is settled when it is
    /// answered.
    unanswered: HashMap<ActionId, Option<Stamp>>,
    since_cleaning: u64,
    /// The highest `added` number of the actions that were released from time travel.
    released_until: u64,
}

impl<A> Default for Retainer<A> {
    fn default() -> Self {
        Self {
            read: None,
            requests: VecDeque::new(),
            unsettled: VecDeque::new(),
            unanswered: HashMap::new(),
            since_cleaning: 0,
            released_until: 0,
        }
    }
}

impl<A> Retainer<A> {
    /// Records that an action can be undone for a while.
    fn track(&mut self, added: u64, entry: &Entry) {
        if entry.meta.reasons.iter().any(|reason| **reason == *SYNCING) {
            self.unanswered.insert(entry.meta.id.clone(), None);
        }
        self.unsettled.push_back((added, entry.meta.stamp()));
    }

    #[inline]
    pub(super) fn take_read(&mut self, id: &ActionId) -> Option<Result<Option<A>, Malformed>> {
        self.read.take_if(|(read_id, _)| read_id == id).map(|(_, read)| read)
    }
}

/// The reason of own actions until the server has answered them; it is not copied to undos.
const SYNCING: &str = "syncing";
/// A key of a meta: the action is kept for its own reasons only, as in `@logux/redux`.
const NO_AUTO_REASON: &str = "noAutoReason";

impl<R: Reducer> Observer for Timeline<R> {
    /// Actions of the reducer are kept for time travel and for the reasons of the reducer, undos
    /// for time travel and for the reasons of the actions that they undo.
    fn preadd(&mut self, action: &Action, meta: &mut Meta) {
        if action.kind() == logux::UNDO {
            return self.keep_undo(action, meta);
        }
        if logux::is_logux(action.kind()) {
            return;
        }
        if let Some(reason) = self.reducer.document_reason() {
            if self.reducer.is_snapshot(action, &meta.id) {
                push_once(&mut meta.reasons, reason.clone());
                return push_once(&mut meta.indexes, reason.clone());
            }
            if self.coverage.is_final(&meta.id) {
                return meta.reasons.retain(|own| own != reason);
            }
        }
        let read = self.read_action(action);
        if let Ok(Some(parsed)) = &read {
            let adds_reason =
                meta.extra.get(NO_AUTO_REASON).is_none_or(|json| json.as_str() != "true");
            let reason = self.reducer.document_reason().cloned();
            let history = || self.config.history.map(|_| self.config.reason().into());
            if let Some(reason) = reason.or_else(history).filter(|_| adds_reason) {
                push_once(&mut meta.reasons, reason);
            }
            self.reducer.preadd(parsed, meta);
        }
        self.retainer.read = Some((meta.id.clone(), read));
    }

    fn added(&mut self, entry: &Entry) {
        self.add(entry);
        if matches!(entry.action.kind(), logux::PROCESSED | logux::UNDO) {
            self.handle_answer(entry);
        }
        let Some(added) = entry.meta.added else { return };
        if entry.action.kind() == logux::UNDO {
            self.undo_added(entry);
        } else if !logux::is_logux(entry.action.kind()) {
            if self.reducer.document_reason().is_none() {
                self.retainer.track(added, entry);
            }
            for undo in self.undos.by_target(&entry.meta.id).to_vec() {
                self.copy_reasons(&entry.meta.id, undo);
            }
        }
        self.retainer.since_cleaning += 1;
        if self.retainer.since_cleaning >= self.config.clean_every {
            self.retainer.since_cleaning = 0;
            self.settle_old(added);
        }
    }

    fn cleaned(&mut self, entry: &Entry) {
        let undos = self.undos.by_target(&entry.meta.id).to_vec();
        self.retainer.unanswered.remove(&entry.meta.id);
        self.mark_cleaned(&entry.meta.id);
        // The undos of a removed action are not needed any more. Own ones are answered
        // nevertheless.
        let removals =
            undos.into_iter().map(|undo| ObserverRequest::RetainReason(undo, SYNCING.into()));
        self.retainer.requests.extend(removals);
    }

    fn next_request(&mut self) -> Option<ObserverRequest> {
        self.retainer.requests.pop_front()
    }
}

impl<R: Reducer> Timeline<R> {
    /// Records an action that was in the log before: it can still be undone, or it is settled.
    pub(super) fn resume(&mut self, entry: &Entry, last_added: u64) {
        let Some(added) = entry.meta.added.filter(|_| !logux::is_logux(entry.action.kind())) else {
            return;
        };
        if self.reducer.document_reason().is_some() {
            return;
        }
        let is_unanswered = entry.meta.reasons.iter().any(|reason| **reason == *SYNCING);
        if is_unanswered || added > last_added.saturating_sub(self.config.history.unwrap_or(0)) {
            self.retainer.track(added, entry);
        } else {
            self.mark_settled(&entry.meta.stamp());
        }
    }

    /// Sorts the resumed actions, which are in the order of creation, by arrival.
    pub(super) fn sort_resumed(&mut self) {
        self.retainer.unsettled.make_contiguous().sort_unstable_by_key(|(added, _)| *added);
    }

    /// Keeps an undo: of a document as long as its action; others for time travel.
    fn keep_undo(&self, action: &Action, meta: &mut Meta) {
        let target = action.str_field("id").and_then(|id| id.parse::<ActionId>().ok());
        let is_known =
            |id: &ActionId| self.steps.index_of(id).is_some() || self.undos.target(id).is_some();
        match (self.reducer.document_reason(), target) {
            (Some(_), Some(target)) if self.coverage.is_final_undo(&meta.id, &target) => {}
            // An undo of a settled action has no effect. It is kept until the next snapshot, so
            // that an undo of it has none either.
            (Some(reason), Some(target)) if is_known(&target) || self.is_settled(&target) => {
                push_once(&mut meta.reasons, reason.clone());
                push_once(&mut meta.indexes, reason.clone());
            }
            _ if self.config.history.is_some() => {
                push_once(&mut meta.reasons, self.config.reason().into());
            }
            _ => {}
        }
    }

    /// Gives an undo the reasons of its target, so that both are kept equally long.
    fn undo_added(&mut self, entry: &Entry) {
        if let Some(target) = self.undos.target(&entry.meta.id).cloned() {
            self.copy_reasons(&target, entry.meta.id.clone());
        }
    }

    fn copy_reasons(&mut self, target: &ActionId, undo: ActionId) {
        self.retainer.requests.push_back(ObserverRequest::CopyReasons {
            from: target.clone(),
            to: undo,
            except: SYNCING.into(),
        });
    }

    /// Requests that the log forgets an action of the document that has no effect on its own any
    /// more.
    pub(super) fn release(&mut self, id: &ActionId) {
        if let Some(reason) = self.reducer.document_reason() {
            self.retainer
                .requests
                .push_back(ObserverRequest::RemoveReason(reason.clone(), Criteria::id(id.clone())));
        }
    }

    /// Handles the server's answer to an own action. An undo by a client is not an answer.
    fn handle_answer(&mut self, answer: &Entry) {
        if self.retainer.unanswered.is_empty() || !answer.meta.id.node().is_server() {
            return;
        }
        let id = answer.action.str_field("id").and_then(|id| id.parse().ok());
        if let Some(Some(stamp)) = id.and_then(|id: ActionId| self.retainer.unanswered.remove(&id))
        {
            self.settle_action(&stamp);
        }
    }

    /// Marks an action as settled, and requests the removal of actions that are obsolete because of
    /// it.
    fn settle_action(&mut self, stamp: &Stamp) {
        let mut requests = core::mem::take(&mut self.retainer.requests);
        self.obsolete_by(stamp, &mut |obsolete| {
            requests.push_back(match obsolete {
                Obsolete::Before(reason, stamp) => {
                    ObserverRequest::RemoveReason(reason, Criteria::older_than(stamp))
                }
                Obsolete::One(reason, id) => {
                    ObserverRequest::RemoveReason(reason, Criteria::id(id))
                }
            });
        });
        self.retainer.requests = requests;
    }

    /// Settles the actions that arrived more than `history` actions ago, and releases them from
    /// time travel.
    fn settle_old(&mut self, last_added: u64) {
        let Some(max) = last_added.checked_sub(self.config.history.unwrap_or(0)) else { return };
        while let Some((_, stamp)) =
            self.retainer.unsettled.pop_front_if(|(added, _)| *added <= max)
        {
            match self.retainer.unanswered.get_mut(stamp.id()) {
                Some(deferred) => *deferred = Some(stamp),
                None => self.settle_action(&stamp),
            }
        }
        // Actions up to this number were released before; those that are still in the log have
        // other reasons.
        let min_added = Some(self.retainer.released_until + 1);
        self.retainer.released_until = max;
        let criteria = Criteria { min_added, max_added: Some(max), ..Criteria::default() };
        self.retainer
            .requests
            .push_back(ObserverRequest::RemoveReason(self.config.reason().into(), criteria));
    }
}

impl<S: Store, R: Reducer> Log<S, Timeline<R>> {
    /// Returns the state of the log.
    pub const fn state(&self) -> &R::State {
        self.observer().state()
    }

    /// Returns the timeline of the log.
    pub const fn timeline(&self) -> &Timeline<R> {
        self.observer()
    }
}
