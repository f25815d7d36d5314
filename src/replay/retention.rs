//! A timeline as the observer of a log: it sees what comes and goes, and tells the log what to keep.

use std::collections::{HashMap, VecDeque};

use super::{Malformed, Obsolete, Reducer, Timeline};
use crate::{
    action::{
        Action, ActionId, Meta, NameList, Stamp,
        logux::{self, Undo},
        push_once,
    },
    log::{Draft, Log, LogError, Observer, ObserverRequest},
    store::{Criteria, Entry, Store},
    time::WallTime,
};

/// What a timeline has to do for its log.
#[derive(Debug)]
pub(super) struct Retainer<A> {
    /// An action that was read for its reasons, and is about to be added.
    read: Option<(ActionId, Result<Option<A>, Malformed>)>,
    requests: VecDeque<ObserverRequest>,
    /// The actions that can be taken back still, by arrival.
    unsettled: VecDeque<(u64, Stamp)>,
    /// Own actions that the server has not answered; those that could be settled but for that have their stamp here.
    unanswered: HashMap<ActionId, Option<Stamp>>,
    since_cleaning: u64,
    /// The last `added` number up to which everything was let go of.
    let_go_until: u64,
}

impl<A> Default for Retainer<A> {
    fn default() -> Self {
        Self {
            read: None,
            requests: VecDeque::new(),
            unsettled: VecDeque::new(),
            unanswered: HashMap::new(),
            since_cleaning: 0,
            let_go_until: 0,
        }
    }
}

impl<A> Retainer<A> {
    /// Remembers that an action can be taken back for a while.
    fn follow(&mut self, added: u64, entry: &Entry) {
        if entry.meta.reasons.iter().any(|reason| **reason == *SYNCING) {
            self.unanswered.insert(entry.meta.id.clone(), None);
        }
        self.unsettled.push_back((added, entry.meta.stamp()));
    }

    #[inline]
    pub(super) fn take_read(&mut self, id: &ActionId) -> Option<Result<Option<A>, Malformed>> {
        self.read.take_if(|(own, _)| own == id).map(|(_, read)| read)
    }
}

/// What others hold an action for, so that an undo need not be held for it.
const SYNCING: &str = "syncing";
/// A key of a meta: this action is to be kept for its own reasons only, as in `@logux/redux`.
const NO_AUTO_REASON: &str = "noAutoReason";

impl<R: Reducer> Observer for Timeline<R> {
    /// Actions of the reducer are kept for time travel and for the reducer's reasons, undos for those of what they undo.
    fn preadd(&mut self, action: &Action, meta: &mut Meta) {
        if action.kind() == logux::UNDO {
            if self.config.history.is_some() {
                push_once(&mut meta.reasons, self.config.reason().into());
            }
            return;
        }
        if logux::is_logux(action.kind()) {
            return;
        }
        let read = self.read_action(action);
        if let Ok(Some(own)) = &read {
            let auto = meta.extra.get(NO_AUTO_REASON).is_none_or(|json| json.as_str() != "true");
            if auto && self.config.history.is_some() {
                push_once(&mut meta.reasons, self.config.reason().into());
            }
            self.reducer.preadd(own, meta);
        }
        self.retainer.read = Some((meta.id.clone(), read));
    }

    fn added(&mut self, entry: &Entry) {
        self.add(entry);
        if matches!(entry.action.kind(), logux::PROCESSED | logux::UNDO) {
            self.answered(&entry.action);
        }
        let Some(added) = entry.meta.added else { return };
        if entry.action.kind() == logux::UNDO {
            self.undo_added(entry);
        } else if !logux::is_logux(entry.action.kind()) {
            self.retainer.follow(added, entry);
        }
        self.retainer.since_cleaning += 1;
        if self.retainer.since_cleaning >= self.config.clean_every {
            self.retainer.since_cleaning = 0;
            self.let_go(added);
        }
    }

    fn cleaned(&mut self, entry: &Entry) {
        let undos = self.undos.by_target(&entry.meta.id).to_vec();
        self.retainer.unanswered.remove(&entry.meta.id);
        self.forget(&entry.meta.id);
        // Nobody needs an undo of what is gone.
        let gone = undos.into_iter().map(|undo| ObserverRequest::SetReasons(undo, NameList::new()));
        self.retainer.requests.extend(gone);
    }

    fn next_request(&mut self) -> Option<ObserverRequest> {
        self.retainer.requests.pop_front()
    }
}

impl<R: Reducer> Timeline<R> {
    /// An action was in the log before: it can be taken back still, or not.
    pub(super) fn resume(&mut self, entry: &Entry, last_added: u64) {
        let Some(added) = entry.meta.added.filter(|_| !logux::is_logux(entry.action.kind())) else {
            return;
        };
        let waits = entry.meta.reasons.iter().any(|reason| **reason == *SYNCING);
        if waits || added > last_added.saturating_sub(self.config.history.unwrap_or(0)) {
            self.retainer.follow(added, entry);
        } else {
            self.mark_settled(&entry.meta.stamp());
        }
    }

    /// Puts what was resumed, in the order of creation, into that of arrival.
    pub(super) fn sort_resumed(&mut self) {
        self.retainer.unsettled.make_contiguous().sort_unstable_by_key(|(added, _)| *added);
    }

    /// An undo has come: it lives as long as what it undoes.
    fn undo_added(&mut self, entry: &Entry) {
        if let Some(target) = self.undos.target(&entry.meta.id) {
            self.retainer.requests.push_back(ObserverRequest::CopyReasons {
                from: target.clone(),
                to: entry.meta.id.clone(),
                except: SYNCING.into(),
            });
        }
    }

    /// The server has done what an own action asked for, or taken it back.
    fn answered(&mut self, answer: &Action) {
        let id = answer.str_field("id").and_then(|id| id.parse().ok());
        if let Some(Some(stamp)) = id.and_then(|id: ActionId| self.retainer.unanswered.remove(&id))
        {
            self.let_go_of(&stamp);
        }
    }

    /// Nobody can take this action back any more.
    fn let_go_of(&mut self, stamp: &Stamp) {
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

    /// Lets go of actions that came too long ago to be taken back: for them, what is obsolete may be forgotten.
    fn let_go(&mut self, last_added: u64) {
        let Some(max) = last_added.checked_sub(self.config.history.unwrap_or(0)) else { return };
        while let Some((_, stamp)) =
            self.retainer.unsettled.pop_front_if(|(added, _)| *added <= max)
        {
            match self.retainer.unanswered.get_mut(stamp.id()) {
                Some(waiting) => *waiting = Some(stamp),
                None => self.let_go_of(&stamp),
            }
        }
        // What came before was let go of before, and may be kept for other reasons: no need to look at it again.
        let min_added = Some(self.retainer.let_go_until + 1);
        self.retainer.let_go_until = max;
        let criteria = Criteria { min_added, max_added: Some(max), ..Criteria::default() };
        self.retainer
            .requests
            .push_back(ObserverRequest::RemoveReason(self.config.reason().into(), criteria));
    }
}

impl<S: Store, R: Reducer> Log<S, Timeline<R>> {
    /// The state of the log.
    pub const fn state(&self) -> &R::State {
        self.observer().state()
    }

    /// The state's past.
    pub const fn timeline(&self) -> &Timeline<R> {
        self.observer()
    }

    /// Takes an action back, as if it never was: adds `logux/undo`. The undo of an undo brings the action back. `None` if no such
    /// action is in the log.
    ///
    /// # Errors
    /// When the store fails.
    pub fn undo(
        &mut self,
        now: WallTime,
        id: &ActionId,
        reason: &str,
    ) -> Result<Option<Entry>, LogError<S::Error>> {
        let Some(entry) = self.by_id(id)? else { return Ok(None) };
        let undo = Undo {
            id: id.to_string(),
            reason: reason.into(),
            action: Some(entry.action),
            extra: Vec::new(),
        };
        let Ok(action) = undo.to_action() else { return Ok(None) };
        self.add(now, action, Draft::default())
    }
}
