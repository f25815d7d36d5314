//! What clients asked for and what they were answered, so that an action that comes again is answered, not done again.
//!
//! It lies in the server's log: an action of a client is kept there from the moment it came, before it is confirmed, and its answer beside it,
//! in one commit with what the application did to the same database. After a restart the unanswered ones are done.

use core::ops::ControlFlow;
use std::sync::Arc;

use crate::{
    action::{Action, ActionId, Names},
    log::{Draft, Log, LogError},
    now::WallTime,
    store::{Criteria, Entry, MetaChange, Query, Store},
};

/// Holds an action or an answer as long as the memory of the server reaches.
const REMEMBERED: &str = "inbox";
/// Holds an action until it is answered.
const WAITING: &str = "waiting";

/// Remembers actions of clients and their answers.
#[derive(Debug)]
pub(super) struct Inbox {
    /// How many entries to remember.
    capacity: u64,
    /// Entries to add until the old ones are forgotten.
    until_pruned: u64,
}

/// How often old entries are forgotten: after this many new ones.
const PRUNE_EVERY: u64 = 1_024;

/// What is known about an action that came.
#[derive(Debug)]
pub(super) enum Known {
    /// Nothing.
    New,
    /// It came before and was not answered yet.
    Waiting,
    /// It came before and got this answer.
    Answered(Entry),
}

impl Inbox {
    pub(super) const fn new(capacity: u64) -> Self {
        Self { capacity, until_pruned: PRUNE_EVERY }
    }

    pub(super) fn known<S: Store>(&self, log: &Log<S>, id: &ActionId) -> Result<Known, LogError<S::Error>> {
        if log.by_id(id)?.is_none() {
            return Ok(Known::New);
        }
        let mut answer = None;
        log.walk(&Query::added().index(answer_index(id)), |entry| {
            answer = Some(entry.clone());
            ControlFlow::Break(())
        })?;
        Ok(answer.map_or(Known::Waiting, Known::Answered))
    }

    /// Keeps an action that came until it is answered, and beyond.
    pub(super) fn keep<S: Store>(
        &mut self,
        log: &mut Log<S>,
        now: WallTime,
        entry: Entry,
    ) -> Result<Entry, LogError<S::Error>> {
        self.prune(log)?;
        let Entry { action, meta } = entry;
        let mut draft = Draft::of(meta.id.clone(), meta.time).and_reason(WAITING).and_reason(REMEMBERED);
        draft.subprotocol = meta.subprotocol.clone();
        draft.indexes.push(REMEMBERED.into());
        let kept = log.add(now, action.clone(), draft)?;
        Ok(kept.unwrap_or(Entry { action, meta }))
    }

    /// Keeps the answer to an action.
    pub(super) fn answer<S: Store>(
        &self,
        log: &mut Log<S>,
        now: WallTime,
        to: &ActionId,
        answer: Action,
        time: WallTime,
    ) -> Result<Option<Entry>, LogError<S::Error>> {
        let reasons: Names = Names::from_elem(REMEMBERED.into(), 1);
        log.change_meta(to, &MetaChange { reasons: Some(reasons), ..MetaChange::default() })?;
        let mut draft = Draft::reason(REMEMBERED).index(answer_index(to)).index(client_index(to.node().client_id()));
        draft.time = Some(time);
        log.add(now, answer, draft)
    }

    /// Forgets an action whose answer need not be remembered.
    pub(super) fn forget<S: Store>(&self, log: &mut Log<S>, id: &ActionId) -> Result<(), LogError<S::Error>> {
        log.change_meta(id, &MetaChange { reasons: Some(Names::new()), ..MetaChange::default() }).map(drop)
    }

    /// The answers for a client behind an `added` number, oldest first.
    pub(super) fn missed<S: Store>(
        &self,
        log: &Log<S>,
        client: &str,
        since: u64,
    ) -> Result<Vec<Arc<Entry>>, LogError<S::Error>> {
        let mut missed = Vec::new();
        log.walk(&Query::added().oldest_first().index(client_index(client)).after_added(since), |entry| {
            missed.push(Arc::new(entry.clone()));
            ControlFlow::Continue(())
        })?;
        Ok(missed)
    }

    /// The actions that were not answered before the last stop, in the order in which they came.
    pub(super) fn unanswered<S: Store>(&self, log: &Log<S>) -> Result<Vec<Entry>, LogError<S::Error>> {
        let mut found = Vec::new();
        log.walk(&Query::added().oldest_first().index(REMEMBERED), |entry| {
            if entry.meta.reasons.iter().any(|reason| **reason == *WAITING) {
                found.push(entry.clone());
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    fn prune<S: Store>(&mut self, log: &mut Log<S>) -> Result<(), LogError<S::Error>> {
        self.until_pruned -= 1;
        if self.until_pruned > 0 {
            return Ok(());
        }
        self.until_pruned = PRUNE_EVERY;
        let max_added = Some(log.last_added()?.saturating_sub(self.capacity));
        log.remove_reason(REMEMBERED, &Criteria { max_added, ..Criteria::default() })
    }
}

fn answer_index(id: &ActionId) -> String {
    format!("answer/{id}")
}

fn client_index(client: &str) -> String {
    format!("client/{client}")
}
