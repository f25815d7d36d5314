//! The actions that stay in the log because of a [`Retention`], and the clients that receive them.

use core::ops::ControlFlow;
use std::sync::Arc;

use super::Hub;
use crate::{
    action::{
        Action, ActionId, NameList,
        logux::{Since, is_logux},
    },
    json::Json,
    log::{Draft, LogError},
    server::{
        Recipients,
        inbox::is_waiting,
        retention::{
            RETAINED_INDEX, Retention, approved_index, is_retained, is_retention_reason,
            recipient_indexes, was_approved,
        },
    },
    store::{Criteria, Entry, MetaChange, Query, Store},
    time::WallTime,
};

impl<S: Store> Hub<S> {
    /// Adds the retention of an approved action, if it has one. The action is added to the log
    /// again, after actions that were approved before it: channels receive them in this order.
    pub(super) fn retain(
        &mut self,
        now: WallTime,
        entry: Arc<Entry>,
        to: &Recipients,
    ) -> Result<Arc<Entry>, LogError<S::Error>> {
        if is_logux(entry.action.kind()) {
            return Ok(entry);
        }
        let Some(retention) = self.retention_of(&entry.action, &entry.meta) else {
            return Ok(entry);
        };
        let draft = self.take_to_add_again(&entry)?;
        let mut draft = indexed(draft, &retention, to, now);
        // Earlier actions stay until this one is processed, because it may still fail.
        if !retention.is_latest() || self.is_latest(&retention, &entry)? {
            draft = draft.and_reason(retention.reason().clone());
        }
        let retained =
            self.log.add(now, entry.action.clone(), draft)?.map_or_else(|| entry.clone(), Arc::new);
        if was_approved(&entry.meta) {
            // It is processed again after a restart. Its undos stay after it.
            self.move_undos_of(now, &entry.meta.id)?;
        }
        self.apply_count_bound(now, &retention)?;
        Ok(retained)
    }

    /// Removes an entry from the log, to add it again at the end of the log. Returns its draft.
    pub(super) fn take_to_add_again(&mut self, entry: &Entry) -> Result<Draft, LogError<S::Error>> {
        let meta = entry.meta.clone();
        self.log.change_meta(
            &meta.id,
            &MetaChange { reasons: Some(NameList::new()), ..MetaChange::default() },
        )?;
        self.log.observer_mut().clean_log.forget_moved(&meta.id);
        Ok(Draft {
            id: Some(meta.id),
            time: Some(meta.time),
            subprotocol: meta.subprotocol,
            reasons: meta.reasons,
            indexes: meta.indexes,
            keep_last: meta.keep_last,
            extra: meta.extra,
        })
    }

    /// Adds the retention of an action of the application to its draft, if it has one.
    pub(super) fn retain_own(
        &self,
        now: WallTime,
        action: &Action,
        draft: Draft,
        to: &Recipients,
    ) -> (Draft, Option<Retention>) {
        let own = ActionId::new(WallTime::default(), self.config.node.clone(), 0);
        let meta = crate::action::Meta::new(draft.id.clone().unwrap_or(own));
        let retention =
            if is_logux(action.kind()) { None } else { self.retention_of(action, &meta) };
        let draft = match &retention {
            Some(retention) => retained(draft, retention, to, now),
            None => draft,
        };
        (draft, retention)
    }

    /// Whether no later action is kept for the reason. Later actions in progress count, even if
    /// they fail afterwards.
    fn is_latest(&self, retention: &Retention, entry: &Entry) -> Result<bool, LogError<S::Error>> {
        let newest = self.log.store().newest_with_reason(retention.reason())?;
        Ok(newest.is_none_or(|newest| newest < entry.meta.stamp()))
    }

    /// Removes the reason from actions before a processed one, if only the latest is kept.
    pub(super) fn remove_superseded(
        &mut self,
        retention: &Retention,
        processed: &Entry,
    ) -> Result<(), LogError<S::Error>> {
        if retention.is_latest() {
            let earlier = Criteria::older_than(processed.meta.stamp());
            self.log.remove_reason(retention.reason(), &earlier)?;
            self.log.remove_reason(&retention.undo_reason(), &earlier)?;
        }
        Ok(())
    }

    /// Records that an action was kept, and removes the reason from actions beyond its count, if a
    /// check is due.
    pub(super) fn apply_count_bound(
        &mut self,
        now: WallTime,
        retention: &Retention,
    ) -> Result<(), LogError<S::Error>> {
        let Some(count) = self.bounds.record(retention, now) else { return Ok(()) };
        let (mut remaining, mut max_added) = (count, None);
        self.log.walk(&Query::added().index(retention.reason().clone()), |entry| {
            if remaining == 0 {
                max_added = entry.meta.added;
                return ControlFlow::Break(());
            }
            remaining -= 1;
            ControlFlow::Continue(())
        })?;
        if max_added.is_some() {
            let criteria = Criteria { max_added, ..Criteria::default() };
            self.log.remove_reason(retention.reason(), &criteria)?;
        }
        Ok(())
    }

    /// Removes the reasons of expired actions.
    pub(super) fn remove_expired(&mut self, now: WallTime) -> Result<(), LogError<S::Error>> {
        for (reason, criteria) in self.bounds.expired(&self.config.node, now) {
            self.log.remove_reason(&reason, &criteria)?;
        }
        Ok(())
    }

    /// Returns the reasons of an action except `waiting`, if it has a retention. They are read from
    /// the log, because a later action may have removed one since the approval.
    pub(super) fn retained_reasons(
        &self,
        entry: &Entry,
    ) -> Result<Option<NameList>, LogError<S::Error>> {
        if !is_retained(&entry.meta) {
            return Ok(None);
        }
        let known = self.log.by_id(&entry.meta.id)?;
        Ok(known.map(|known| {
            known.meta.reasons.into_iter().filter(|reason| !is_waiting(reason)).collect()
        }))
    }

    /// Records that an action with a retention was processed: it keeps `reasons`, and states are
    /// notified of it.
    pub(super) fn record(
        &mut self,
        entry: &Arc<Entry>,
        reasons: NameList,
    ) -> Result<(), LogError<S::Error>> {
        self.log.change_meta(
            &entry.meta.id,
            &MetaChange { reasons: Some(reasons), ..MetaChange::default() },
        )?;
        if let Some(retention) = self.retention_of(&entry.action, &entry.meta) {
            self.remove_superseded(&retention, entry)?;
        }
        self.push_recorded(entry, &entry.action)
    }

    /// Moves the retention of an undone action to its undo, if it has one.
    pub(super) fn retain_undo(
        &mut self,
        undone: &Entry,
        mut draft: Draft,
    ) -> Result<Draft, LogError<S::Error>> {
        if !is_retained(&undone.meta) {
            return Ok(draft);
        }
        let (retention_reasons, others): (NameList, NameList) =
            undone.meta.reasons.iter().cloned().partition(|reason| is_retention_reason(reason));
        let id = &undone.meta.id;
        self.log.change_meta(id, &MetaChange { reasons: Some(others), ..MetaChange::default() })?;
        self.record_undone(&undone.action, id)?;
        self.forget_undos_of(id)?;
        draft = self
            .undo_reasons(undone, &retention_reasons)
            .into_iter()
            .fold(draft, Draft::and_reason);
        for index in &undone.meta.indexes {
            draft = draft.index(index.clone());
        }
        Ok(draft)
    }

    /// Returns the reasons to keep the undo of an action for its retention reasons.
    pub(super) fn undo_reasons(&self, undone: &Entry, reasons: &[Arc<str>]) -> NameList {
        let latest = self.retention_of(&undone.action, &undone.meta).filter(Retention::is_latest);
        let of_undo = |reason: &Arc<str>| match &latest {
            Some(latest) if latest.reason() == reason => latest.undo_reason(),
            _ => reason.clone(),
        };
        reasons.iter().map(of_undo).collect()
    }

    /// Removes the retention of an action and of its undos, at the request of the application.
    pub(super) fn forget(&mut self, id: &ActionId) -> Result<(), LogError<S::Error>> {
        self.forget_undos_of(id)?;
        self.remove_retention(id)
    }

    pub(super) fn remove_retention(&mut self, id: &ActionId) -> Result<(), LogError<S::Error>> {
        let Some(entry) = self.log.by_id(id)?.filter(|entry| is_retained(&entry.meta)) else {
            return Ok(());
        };
        let reasons =
            entry.meta.reasons.into_iter().filter(|reason| !is_retention_reason(reason)).collect();
        self.log
            .change_meta(id, &MetaChange { reasons: Some(reasons), ..MetaChange::default() })
            .map(drop)
    }

    /// Visits the kept actions that were processed, in the order in which they were approved, to
    /// compute a state from them after a start.
    ///
    /// # Errors
    /// If the store fails.
    pub fn recorded(&self, mut visit: impl FnMut(&Entry)) -> Result<(), LogError<S::Error>> {
        self.log.walk(&Query::added().oldest_first().index(RETAINED_INDEX), |entry| {
            if is_retained(&entry.meta)
                && !entry.meta.reasons.iter().any(|reason| is_waiting(reason))
            {
                visit(entry);
            }
            ControlFlow::Continue(())
        })
    }

    /// Restores the bounds of the actions that were kept before the start.
    pub(super) fn restore_bounds(&mut self) -> Result<(), LogError<S::Error>> {
        let (policy, bounds) = (&self.config.retention, &mut self.bounds);
        self.log.walk(&Query::added().oldest_first().index(RETAINED_INDEX), |entry| {
            if let Some(retention) = policy.of(&entry.action, &entry.meta) {
                // Checked at the next action of the reason, or at the first input.
                let _ = bounds.record(&retention, WallTime::default());
            }
            ControlFlow::Continue(())
        })
    }
}

/// Adds the indexes of a kept action.
fn indexed(mut draft: Draft, retention: &Retention, to: &Recipients, now: WallTime) -> Draft {
    draft = draft.index(RETAINED_INDEX).index(approved_index(now));
    draft = draft.index(retention.reason().clone());
    recipient_indexes(to).fold(draft, Draft::index)
}

/// Adds the indexes and the reason of a kept action that is not processed by a handler.
fn retained(draft: Draft, retention: &Retention, to: &Recipients, now: WallTime) -> Draft {
    let draft = indexed(draft, retention, to, now);
    if retention.is_latest() {
        draft.keep_last(retention.reason().clone())
    } else {
        draft.and_reason(retention.reason().clone())
    }
}

/// What a subscriber has received of a channel.
pub(super) struct Received {
    /// The last action that it has received.
    pub(super) id: ActionId,
    /// The time of this action by the server's clock.
    pub(super) time: WallTime,
    /// The `added` number up to which it has received everything, if it knows.
    pub(super) added: Option<u64>,
}

/// Returns what a subscriber has received of the channel, if it has named anything.
pub(super) fn since(subscription: &Entry) -> Option<Received> {
    let since: Since = Json::new(subscription.action.field("since")?).ok()?.parse().ok()?;
    let id: ActionId = since.id.parse().ok()?;
    let clock_difference = subscription.meta.id.time().since(subscription.meta.time);
    let time = if id.node().is_server() {
        id.time()
    } else {
        WallTime::from_millis(since.time).shifted(-clock_difference)
    };
    Some(Received { id, time, added: since.added })
}
