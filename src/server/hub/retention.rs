//! What stays in the log because the application wants it, and who is given it.

use core::ops::ControlFlow;
use std::sync::Arc;

use super::{Hub, filter_key};
use crate::{
    action::{
        Action, ActionId, NameList, NodeId,
        logux::{Since, is_logux},
    },
    json::Json,
    log::{Draft, LogError},
    server::{
        Output, Recipients, RequestId,
        inbox::is_waiting,
        retention::{
            KEPT, Retention, approved_at, approved_index, channel_index, is_keep, is_kept,
            user_index,
        },
    },
    store::{Criteria, Entry, MetaChange, Query, Store},
    time::WallTime,
};

impl<S: Store> Hub<S> {
    /// Keeps an action that was approved, if the application wants that. It is added anew, behind what was approved before it: in this order
    /// the channels have got it.
    pub(super) fn keep(
        &mut self,
        now: WallTime,
        entry: Arc<Entry>,
        to: &Recipients,
    ) -> Result<Arc<Entry>, LogError<S::Error>> {
        if is_logux(entry.action.kind()) {
            return Ok(entry);
        }
        let Some(keep) = self.config.retention.of(&entry.action, &entry.meta) else {
            return Ok(entry);
        };
        let id = &entry.meta.id;
        self.log.change_meta(
            id,
            &MetaChange { reasons: Some(NameList::new()), ..MetaChange::default() },
        )?;
        self.log.observer_mut().clean_log.moves(id);
        let meta = entry.meta.clone();
        let draft = Draft {
            id: Some(meta.id),
            time: Some(meta.time),
            subprotocol: meta.subprotocol,
            reasons: meta.reasons,
            indexes: meta.indexes,
            keep_last: meta.keep_last,
            extra: meta.extra,
        };
        let mut draft = indexed(draft, &keep, to, now);
        // Earlier ones stay for now: this one may fail yet.
        if !keep.is_latest() || self.is_latest(&keep, &entry)? {
            draft = draft.and_reason(keep.reason().clone());
        }
        let kept = self.log.add(now, entry.action.clone(), draft)?.map_or(entry, Arc::new);
        self.bound(now, &keep)?;
        Ok(kept)
    }

    /// The draft of an action of the application's own, with the reason to keep it if there is one.
    pub(super) fn keep_own(
        &self,
        now: WallTime,
        action: &Action,
        draft: Draft,
        to: &Recipients,
    ) -> (Draft, Option<Retention>) {
        let own = ActionId::new(WallTime::default(), self.config.node.clone(), 0);
        let meta = crate::action::Meta::new(draft.id.clone().unwrap_or(own));
        let keep =
            if is_logux(action.kind()) { None } else { self.config.retention.of(action, &meta) };
        (keep.as_ref().map_or(draft.clone(), |keep| with(draft, keep, to, now)), keep)
    }

    /// Whether no later one is kept. One that comes late while a later one is in progress counts as outdone, also if that one fails after all.
    fn is_latest(&self, keep: &Retention, entry: &Entry) -> Result<bool, LogError<S::Error>> {
        let newest = self.log.store().newest_with_reason(keep.reason())?;
        Ok(newest.is_none_or(|newest| newest < entry.meta.stamp()))
    }

    /// An action is done: those before it are not kept any more, if the latest is enough.
    pub(super) fn outdate(
        &mut self,
        keep: &Retention,
        by: &Entry,
    ) -> Result<(), LogError<S::Error>> {
        if keep.is_latest() {
            let earlier = Criteria::older_than(by.meta.stamp());
            self.log.remove_reason(keep.reason(), &earlier)?;
            self.log.remove_reason(&keep.undo_reason(), &earlier)?;
        }
        Ok(())
    }

    /// Forgets what is beyond the bound of a reason.
    pub(super) fn bound(
        &mut self,
        now: WallTime,
        keep: &Retention,
    ) -> Result<(), LogError<S::Error>> {
        let Some(count) = self.bounds.note(keep, now) else { return Ok(()) };
        let (mut left, mut beyond) = (count, None);
        self.log.walk(&Query::added().index(keep.reason().clone()), |entry| match left {
            0 => {
                beyond = entry.meta.added;
                ControlFlow::Break(())
            }
            _ => {
                left -= 1;
                ControlFlow::Continue(())
            }
        })?;
        if beyond.is_some() {
            self.log.remove_reason(
                keep.reason(),
                &Criteria { max_added: beyond, ..Criteria::default() },
            )?;
        }
        Ok(())
    }

    /// Forgets what has become too old.
    pub(super) fn forget_old(&mut self, now: WallTime) -> Result<(), LogError<S::Error>> {
        for (reason, criteria) in self.bounds.too_old(&self.config.node, now) {
            self.log.remove_reason(&reason, &criteria)?;
        }
        Ok(())
    }

    /// The reasons that an action has besides waiting, if it was kept. Others may have been approved after it, so it is looked up.
    pub(super) fn reasons_to_keep(
        &self,
        entry: &Entry,
    ) -> Result<Option<NameList>, LogError<S::Error>> {
        if !is_kept(&entry.meta) {
            return Ok(None);
        }
        let known = self.log.by_id(&entry.meta.id)?;
        Ok(known.map(|known| {
            known.meta.reasons.into_iter().filter(|reason| !is_waiting(reason)).collect()
        }))
    }

    /// An action is done: what was kept of it stays, and whoever reduces the log gets to know it.
    pub(super) fn record(
        &mut self,
        entry: &Arc<Entry>,
        reasons: NameList,
    ) -> Result<(), LogError<S::Error>> {
        self.log.change_meta(
            &entry.meta.id,
            &MetaChange { reasons: Some(reasons), ..MetaChange::default() },
        )?;
        if let Some(keep) = self.config.retention.of(&entry.action, &entry.meta) {
            self.outdate(&keep, entry)?;
        }
        self.pending.push_back(Output::Recorded(entry.clone()));
        Ok(())
    }

    /// An action that was kept is undone: it is kept no more, its undo is in its place.
    pub(super) fn keep_undo(
        &mut self,
        undone: &Entry,
        mut draft: Draft,
    ) -> Result<Draft, LogError<S::Error>> {
        if !is_kept(&undone.meta) {
            return Ok(draft);
        }
        let (kept, others): (NameList, NameList) =
            undone.meta.reasons.iter().cloned().partition(|reason| is_keep(reason));
        let id = &undone.meta.id;
        self.log.change_meta(id, &MetaChange { reasons: Some(others), ..MetaChange::default() })?;
        let latest =
            self.config.retention.of(&undone.action, &undone.meta).filter(Retention::is_latest);
        for reason in kept {
            draft = draft.and_reason(match &latest {
                Some(keep) if *keep.reason() == reason => keep.undo_reason(),
                _ => reason,
            });
        }
        for index in &undone.meta.indexes {
            draft = draft.index(index.clone());
        }
        Ok(draft)
    }

    /// The application does not want it to be kept any more.
    pub(super) fn forget(&mut self, id: &ActionId) -> Result<(), LogError<S::Error>> {
        let Some(entry) = self.log.by_id(id)?.filter(|entry| is_kept(&entry.meta)) else {
            return Ok(());
        };
        let reasons = entry.meta.reasons.into_iter().filter(|reason| !is_keep(reason)).collect();
        self.log
            .change_meta(id, &MetaChange { reasons: Some(reasons), ..MetaChange::default() })
            .map(drop)
    }

    /// What was sent to a user and kept, behind an `added` number, oldest first; without what the client has done itself.
    pub(super) fn kept_for_user(
        &self,
        node: &NodeId,
        since: u64,
    ) -> Result<Vec<Arc<Entry>>, LogError<S::Error>> {
        let mut found = Vec::new();
        let Some(user) = node.user_id() else { return Ok(found) };
        self.log.walk(
            &Query::added().oldest_first().index(user_index(user)).after_added(since),
            |entry| {
                if is_kept(&entry.meta) && entry.meta.id.node().client_id() != node.client_id() {
                    found.push(Arc::new(entry.clone()));
                }
                ControlFlow::Continue(())
            },
        )?;
        Ok(found)
    }

    /// Sends a subscriber what was kept of its channel.
    pub(super) fn replay(&mut self, request_id: RequestId) -> Result<(), LogError<S::Error>> {
        let Some(request) = self.requests.running(request_id) else { return Ok(()) };
        let (entry, session, is_cancelled) =
            (request.entry.clone(), request.session(), request.is_cancelled());
        let (Some(session), false, Some(channel)) =
            (session, is_cancelled, entry.action.str_field("channel"))
        else {
            return Ok(());
        };
        let since = since(&entry);
        let after = match &since {
            Some((id, _)) => {
                self.log.by_id(id)?.and_then(|entry| entry.meta.added).unwrap_or_default()
            }
            None => 0,
        };
        let author = entry.meta.id.node().client_id();
        let (channels, requests, key) = (&self.channels, &self.requests, filter_key(&entry.action));
        let mut found = Vec::new();
        self.log.walk(
            &Query::added().oldest_first().index(channel_index(&channel)).after_added(after),
            |kept| {
                // Without the entry that it has got last, the time has to do: that of the approval, since an action may have been made long before it came. Of those of
                // the same millisecond it gets some again rather than none.
                let is_new = after > 0
                    || since.as_ref().is_none_or(|(_, time)| approved_at(&kept.meta) >= *time);
                // What it has done itself it has, unless it begins anew.
                let is_own = kept.meta.id.node().client_id() == author;
                // What is not done yet it has got when it subscribed.
                let has_got =
                    if is_own { since.is_some() } else { requests.is_in_channels(&kept.meta.id) };
                if is_new
                    && !has_got
                    && is_kept(&kept.meta)
                    && channels.passes(&channel, session, &key, kept)
                {
                    found.push(Arc::new(kept.clone()));
                }
                ControlFlow::Continue(())
            },
        )?;
        let added =
            self.log.last_added()? + self.sessions.get(session).map_or(0, |session| session.ahead);
        if !found.is_empty() {
            self.pending.push_back(Output::Replay { session, added, entries: found });
        }
        Ok(())
    }

    /// Visits what is kept and done, in the order in which it was approved: what a state has to be made of after a start.
    ///
    /// # Errors
    /// When the store fails.
    pub fn recorded(&self, mut visit: impl FnMut(&Entry)) -> Result<(), LogError<S::Error>> {
        self.log.walk(&Query::added().oldest_first().index(KEPT), |entry| {
            if is_kept(&entry.meta) && !entry.meta.reasons.iter().any(|reason| is_waiting(reason)) {
                visit(entry);
            }
            ControlFlow::Continue(())
        })
    }

    /// What bounds have to hold for what was kept before the start.
    pub(super) fn find_bounds(&mut self) -> Result<(), LogError<S::Error>> {
        let (keeps, bounds) = (&self.config.retention, &mut self.bounds);
        self.log.walk(&Query::added().oldest_first().index(KEPT), |entry| {
            if let Some(keep) = keeps.of(&entry.action, &entry.meta) {
                // Looked through at the next action, or when the clock is first read.
                let _ = bounds.note(&keep, WallTime::default());
            }
            ControlFlow::Continue(())
        })
    }
}

/// Where an action that is kept is found.
fn indexed(mut draft: Draft, keep: &Retention, to: &Recipients, now: WallTime) -> Draft {
    draft = draft.index(KEPT).index(approved_index(now)).index(keep.reason().clone());
    for channel in &to.channels {
        draft = draft.index(channel_index(channel));
    }
    for user in &to.users {
        draft = draft.index(user_index(user));
    }
    draft
}

/// The same for one that is done at once.
fn with(draft: Draft, keep: &Retention, to: &Recipients, now: WallTime) -> Draft {
    let draft = indexed(draft, keep, to, now);
    if keep.is_latest() {
        draft.keep_last(keep.reason().clone())
    } else {
        draft.and_reason(keep.reason().clone())
    }
}

/// The last action that a subscriber has got, and when that was by our clock.
pub(super) fn since(subscription: &Entry) -> Option<(ActionId, WallTime)> {
    let since: Since = Json::new(subscription.action.field("since")?).ok()?.parse().ok()?;
    let id: ActionId = since.id.parse().ok()?;
    let ahead = subscription.meta.id.time().since(subscription.meta.time);
    let time = if id.node().is_server() {
        id.time()
    } else {
        WallTime::from_millis(since.time).shifted(-ahead)
    };
    Some((id, time))
}
