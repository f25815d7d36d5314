//! What clients asked for and what they were answered, so that an action that comes again is answered, not done again.
//!
//! It lies in the server's log: an action of a client is kept there from the moment it came, before it is confirmed, and its answer beside it,
//! in one commit with what the application did to the same database. After a restart the unanswered ones are done.

use core::{ops::ControlFlow, time::Duration};
use std::{collections::VecDeque, sync::Arc};

use crate::{
    action::{Action, ActionId, NameList, NodeId, logux::UNSUBSCRIBE},
    log::{Draft, LogError, Observer as _},
    server::{HubLog, Recipients, inbox_usage::InboxUsage},
    store::{Criteria, Entry, MetaChange, Query, Store},
    time::{WallTime, as_millis},
};

/// Holds an action or an answer as long as the memory of the server reaches.
const REMEMBERED: &str = "inbox";
/// What the index of a client's answers begins with.
const OF_CLIENT: &str = "client/";
/// What the indexes of undos begin with, by which those find them who have got the action.
const UNDONE: &str = "undone/";
/// Holds an action until it is answered.
const WAITING: &str = "waiting";

/// Remembers actions of clients and their answers.
///
/// Old entries are forgotten by their place in the order of arrival, so that an action that was made offline long ago is remembered as long as
/// others.
#[derive(Debug)]
pub(super) struct Inbox {
    /// How many entries to remember.
    capacity: u64,
    /// Entries to add until the old ones are forgotten.
    until_pruned: u64,
    ages: Ages,
    /// [`REMEMBERED`] and [`WAITING`], to be shared by all entries.
    remembered: Arc<str>,
    waiting: Arc<str>,
    /// The subscription whose answer arrived last.
    acknowledged: Option<ActionId>,
}

/// How far the log was when, so that what came before a time is found by its number.
#[derive(Debug)]
struct Ages {
    /// How long to remember, in milliseconds.
    keep_ms: u64,
    /// Times with the last number then, oldest first; at most [`MARKS`] and one.
    marks: VecDeque<(WallTime, u64)>,
    /// When something was added last.
    touched: Option<WallTime>,
}

/// Into how many parts the time of remembering is divided.
const MARKS: u64 = 16;

impl Ages {
    /// Whether it is time to note how far the log is.
    fn is_due(&self, now: WallTime) -> bool {
        let step = self.keep_ms / MARKS;
        self.marks.back().is_none_or(|(last, _)| elapsed(*last, now) > step)
    }

    /// Notes how far the log is, and gives the number up to which all is too old.
    fn note(&mut self, now: WallTime, last_added: u64) -> Option<u64> {
        self.marks.push_back((self.touched.unwrap_or(now), last_added));
        let mut old = None;
        while let Some((_, added)) =
            self.marks.front().filter(|(at, _)| elapsed(*at, now) >= self.keep_ms)
        {
            old = Some(*added);
            self.marks.pop_front();
        }
        old
    }
}

/// Milliseconds from one time to a later one; 0 when the clock was set back.
fn elapsed(from: WallTime, to: WallTime) -> u64 {
    to.since(from).try_into().unwrap_or_default()
}

/// How often old entries are forgotten: after this many new actions. Often, so that nobody waits for it.
const PRUNE_EVERY: u64 = 64;

/// What is known about an action that came.
#[derive(Debug)]
pub(super) enum Known {
    /// Nothing.
    New,
    /// It came before and was not answered yet.
    Waiting,
    /// It came before and got this answer.
    Answered(Arc<Entry>),
    /// It came before and was done; the answer is forgotten, the action is kept for another reason.
    Done,
}

impl Inbox {
    /// An empty one that remembers so many entries for so many milliseconds.
    pub(super) fn new(capacity: u64, remembered_for: Duration) -> Self {
        Self {
            capacity,
            until_pruned: PRUNE_EVERY,
            ages: Ages {
                keep_ms: as_millis(remembered_for),
                marks: VecDeque::new(),
                touched: None,
            },
            remembered: REMEMBERED.into(),
            waiting: WAITING.into(),
            acknowledged: None,
        }
    }

    /// Forgets what is too old, from time to time. Returns the number up to which all was.
    pub(super) fn grow_older<S: Store>(
        &mut self,
        log: &mut HubLog<S>,
        now: WallTime,
    ) -> Result<Option<u64>, LogError<S::Error>> {
        if !self.ages.is_due(now) {
            return Ok(None);
        }
        let old = self.ages.note(now, log.last_added()?);
        if old.is_some() {
            log.remove_reason(REMEMBERED, &Criteria { max_added: old, ..Criteria::default() })?;
        }
        Ok(old)
    }

    pub(super) fn known<S: Store>(
        &self,
        log: &HubLog<S>,
        id: &ActionId,
    ) -> Result<Known, LogError<S::Error>> {
        let Some(entry) = log.by_id(id)? else { return Ok(Known::New) };
        if let Some(answer) = self.answer_to(log, id)? {
            return Ok(Known::Answered(Arc::new(answer)));
        }
        let waits = entry.meta.reasons.iter().any(|reason| is_waiting(reason));
        Ok(if waits { Known::Waiting } else { Known::Done })
    }

    /// The last answer to an action.
    pub(super) fn answer_to<S: Store>(
        &self,
        log: &HubLog<S>,
        id: &ActionId,
    ) -> Result<Option<Entry>, LogError<S::Error>> {
        let mut answer = None;
        log.walk(&Query::added().index(answer_index(id)), |entry| {
            answer = Some(entry.clone());
            ControlFlow::Break(())
        })?;
        Ok(answer)
    }

    /// Keeps an action that came until it is answered, and beyond.
    pub(super) fn keep<S: Store>(
        &mut self,
        log: &mut HubLog<S>,
        now: WallTime,
        entry: Entry,
    ) -> Result<Entry, LogError<S::Error>> {
        self.prune(log)?;
        self.ages.touched = Some(now);
        let Entry { action, meta } = entry;
        let mut draft = Draft::of(meta.id.clone(), meta.time).index(self.remembered.clone());
        draft.reasons.extend([self.waiting.clone(), self.remembered.clone()]);
        draft.subprotocol = meta.subprotocol.clone();
        let kept = log.add(now, action.clone(), draft)?;
        Ok(kept.unwrap_or(Entry { action, meta }))
    }

    /// Keeps the answer to an action.
    pub(super) fn answer<S: Store>(
        &mut self,
        log: &mut HubLog<S>,
        now: WallTime,
        to: &ActionId,
        answer: Action,
        draft: Draft,
    ) -> Result<Option<Entry>, LogError<S::Error>> {
        self.settle(log, to)?;
        self.answer_for_now(log, now, to, answer, draft)
    }

    /// An action is done with, whatever happens to its answer.
    pub(super) fn settle<S: Store>(
        &self,
        log: &mut HubLog<S>,
        id: &ActionId,
    ) -> Result<(), LogError<S::Error>> {
        let reasons: NameList = NameList::from_elem(self.remembered.clone(), 1);
        log.change_meta(id, &MetaChange { reasons: Some(reasons), ..MetaChange::default() })
            .map(drop)
    }

    /// Keeps an answer to an action that still waits: it may have to be done again.
    pub(super) fn answer_for_now<S: Store>(
        &mut self,
        log: &mut HubLog<S>,
        now: WallTime,
        to: &ActionId,
        answer: Action,
        draft: Draft,
    ) -> Result<Option<Entry>, LogError<S::Error>> {
        self.ages.touched = Some(now);
        let client = client_index(to.node().client_id());
        log.add(
            now,
            answer,
            draft.and_reason(self.remembered.clone()).index(answer_index(to)).index(client),
        )
    }

    /// What an answer needs that may be there without its action: [`recall`](Self::recall) finds it.
    pub(super) fn alone(&self, draft: Draft) -> Draft {
        draft.index(self.remembered.clone())
    }

    /// What an action for one client needs to be sent again if it gets lost.
    pub(super) fn remember(&self, client: &str, draft: Draft) -> Draft {
        draft.and_reason(self.remembered.clone()).index(client_index(client))
    }

    /// What an undo needs to be found by those who have got the action, and are away when it is taken back. Which of those in a channel that are, nobody
    /// knows: it is for all who come back to it.
    pub(super) fn remember_undo(&self, draft: Draft, to: &Recipients) -> Draft {
        let nodes = to.nodes.iter().filter_map(|node| NodeId::new(node.clone()).ok());
        let clients = to.clients.iter().map(|client| client_index(client));
        let indexes = (clients.chain(nodes.map(|node| client_index(node.client_id()))))
            .chain(to.users.iter().map(|user| undone_for_user(user)))
            .chain(to.channels.iter().map(|channel| undone_in_channel(channel)));
        let is_indexed = draft.indexes.len();
        let draft = indexes.fold(draft, Draft::index);
        if draft.indexes.len() > is_indexed {
            draft.and_reason(self.remembered.clone())
        } else {
            draft
        }
    }

    /// The undos of what a channel had got, the latest first, until `visit` breaks.
    pub(super) fn undone_in_channel<S: Store>(
        &self,
        log: &HubLog<S>,
        channel: &str,
        visit: impl FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), LogError<S::Error>> {
        log.walk(&Query::added().index(undone_in_channel(channel)), visit)
    }

    /// Forgets an action and its answer.
    pub(super) fn forget<S: Store>(
        &self,
        log: &mut HubLog<S>,
        id: &ActionId,
    ) -> Result<(), LogError<S::Error>> {
        self.withdraw_answer(log, id)?;
        remove(log, id)
    }

    /// Forgets an action whose answer has arrived, and the answer when another has: the log has to know how late it was, since by its answer the client tells what
    /// it has got.
    pub(super) fn acknowledged<S: Store>(
        &mut self,
        log: &mut HubLog<S>,
        id: &ActionId,
    ) -> Result<(), LogError<S::Error>> {
        if let Some(earlier) = self.acknowledged.replace(id.clone()) {
            self.withdraw_answer(log, &earlier)?;
        }
        remove(log, id)
    }

    /// Forgets the answer to an action that has to be done again.
    pub(super) fn withdraw_answer<S: Store>(
        &self,
        log: &mut HubLog<S>,
        id: &ActionId,
    ) -> Result<(), LogError<S::Error>> {
        while let Some(answer) = self.answer_to(log, id)? {
            remove(log, &answer.meta.id)?;
        }
        Ok(())
    }

    /// The answers for a client behind an `added` number, and the undos of what its user has got, oldest first.
    pub(super) fn missed<S: Store>(
        &self,
        log: &HubLog<S>,
        node: &NodeId,
        since: u64,
    ) -> Result<Vec<Arc<Entry>>, LogError<S::Error>> {
        let client = client_index(node.client_id());
        // Who comes for the first time has got nothing that could be undone.
        let user = node.user_id().filter(|_| since > 0).map(undone_for_user);
        let mut missed = Vec::new();
        for index in core::iter::once(client).chain(user) {
            log.walk(&Query::added().oldest_first().index(index).after_added(since), |entry| {
                missed.push(Arc::new(entry.clone()));
                ControlFlow::Continue(())
            })?;
        }
        missed.sort_by_key(|entry: &Arc<Entry>| entry.meta.added);
        missed.dedup_by_key(|entry| entry.meta.added);
        Ok(missed)
    }

    /// What was remembered before the last stop: the actions that were not answered and the ends of subscriptions, in the order in which they came, and
    /// how much it is in all.
    pub(super) fn recall<S: Store>(
        &self,
        log: &HubLog<S>,
    ) -> Result<(Vec<Entry>, InboxUsage), LogError<S::Error>> {
        let (mut unanswered, mut held, mut first) = (Vec::new(), InboxUsage::default(), None);
        log.walk(&Query::added().oldest_first().index(REMEMBERED), |entry| {
            first = entry.meta.added;
            ControlFlow::Break(())
        })?;
        let Some(first) = first else { return Ok((unanswered, held)) };
        log.walk(&Query::added().oldest_first().after_added(first.saturating_sub(1)), |entry| {
            held.added(entry);
            if entry.action.kind() == UNSUBSCRIBE
                || entry.meta.reasons.iter().any(|reason| is_waiting(reason))
            {
                unanswered.push(entry.clone());
            }
            ControlFlow::Continue(())
        })?;
        Ok((unanswered, held))
    }

    fn prune<S: Store>(&mut self, log: &mut HubLog<S>) -> Result<(), LogError<S::Error>> {
        self.until_pruned -= 1;
        if self.until_pruned > 0 {
            return Ok(());
        }
        self.until_pruned = PRUNE_EVERY;
        let max_added = Some(log.last_added()?.saturating_sub(self.capacity));
        log.remove_reason(REMEMBERED, &Criteria { max_added, ..Criteria::default() })
    }
}

fn remove<S: Store>(log: &mut HubLog<S>, id: &ActionId) -> Result<(), LogError<S::Error>> {
    log.change_meta(id, &MetaChange { reasons: Some(NameList::new()), ..MetaChange::default() })
        .map(drop)
}

/// Whether a reason holds an action until it is answered.
pub(super) fn is_waiting(reason: &str) -> bool {
    reason == WAITING
}

/// Whether it is by this index that the inbox finds something.
pub(super) fn is_remembered(index: &str) -> bool {
    index == REMEMBERED || index.starts_with(OF_CLIENT) || index.starts_with(UNDONE)
}

fn answer_index(id: &ActionId) -> String {
    let mut index = String::with_capacity(64);
    index.push_str("answer/");
    id.write_to(&mut index);
    index
}

fn client_index(client: &str) -> String {
    [OF_CLIENT, client].concat()
}

fn undone_in_channel(channel: &str) -> String {
    format!("{UNDONE}channel/{channel}")
}

fn undone_for_user(user: &str) -> String {
    format!("{UNDONE}user/{user}")
}
