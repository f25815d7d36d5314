//! The inbox: the actions of clients and their answers, so that an action that is received again is
//! answered but not processed again.
//!
//! The inbox is a part of the server's log. An action of a client is added to the log before it is
//! confirmed. Its answer is added in one commit with the changes that the application makes in the
//! same database. After a restart, the actions without an answer are processed.

use core::{ops::ControlFlow, time::Duration};
use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use crate::{
    action::{Action, ActionId, NameList, NodeId, logux::UNSUBSCRIBE},
    excerpt::name_excerpt,
    log::{Draft, LogError, Observer as _},
    server::{
        HubLog, Recipients, confirmed::ConfirmedNumbers, inbox_usage::InboxUsage,
        pending_bytes::PendingBytes,
    },
    store::{Criteria, Entry, MetaChange, Query, Store},
    time::{WallTime, as_millis},
};

/// The reason of remembered actions and answers, and an index of some of them.
const REMEMBERED: &str = "inbox";
/// The prefix of the index of the answers to a client.
const CLIENT_PREFIX: &str = "client/";
/// The prefix of the index of the answers to an action.
const ANSWER_PREFIX: &str = "answer/";
/// The prefix of the indexes of undos, for clients that have received the undone action.
const UNDONE_PREFIX: &str = "undone/";
/// The reason of an action without an answer.
const WAITING: &str = "waiting";

/// Remembers the actions of clients and their answers.
///
/// Old entries are forgotten by their position in the order of arrival, so that an action that was
/// created offline long ago is remembered as long as others.
#[derive(Debug)]
pub(super) struct Inbox {
    /// The number of entries to remember.
    capacity: u64,
    /// The size of the remembered actions and answers, in bytes, at which old ones are forgotten.
    max_bytes: usize,
    /// The number of entries to add until old ones are forgotten.
    until_pruned: u64,
    expiry: Expiry,
    /// [`REMEMBERED`] and [`WAITING`], shared by all entries.
    remembered: Arc<str>,
    waiting: Arc<str>,
    /// The subscription whose answer was confirmed last.
    acknowledged: Option<ActionId>,
    /// What the nodes of each client have confirmed.
    confirmed: ConfirmedNumbers,
}

/// The last `added` number at several times, to find the entries that were added before a time.
#[derive(Debug)]
struct Expiry {
    /// How long entries are remembered, in milliseconds.
    remembered_for_ms: u64,
    /// Times with the last number at that time, oldest first. At most [`MARKS`] + 1.
    marks: VecDeque<(WallTime, u64)>,
    /// The time when an entry was added last.
    last_addition: Option<WallTime>,
}

/// The number of parts that the duration of remembering is divided into.
const MARKS: u64 = 16;

impl Expiry {
    /// Whether the next mark is due.
    fn is_due(&self, now: WallTime) -> bool {
        let step = self.remembered_for_ms / MARKS;
        self.marks.back().is_none_or(|(last, _)| elapsed(*last, now) > step)
    }

    /// Adds a mark. Returns the number up to which all entries have expired.
    fn mark(&mut self, now: WallTime, last_added: u64) -> Option<u64> {
        self.marks.push_back((self.last_addition.unwrap_or(now), last_added));
        let mut expired = None;
        while let Some((_, added)) =
            self.marks.front().filter(|(at, _)| elapsed(*at, now) >= self.remembered_for_ms)
        {
            expired = Some(*added);
            self.marks.pop_front();
        }
        expired
    }
}

/// Returns the milliseconds from one time to a later one, or 0 when the clock was set back.
fn elapsed(from: WallTime, to: WallTime) -> u64 {
    to.since(from).try_into().unwrap_or_default()
}

/// Old entries are forgotten each time that this number of actions was added. It is low, so that no
/// single run takes long.
const PRUNE_EVERY: u64 = 64;

/// The largest number of pages of [`PRUNE_EVERY`] actions that are forgotten at a time because of
/// their size.
const MAX_PRUNED_PAGES: usize = 16;

/// The state of an action in the inbox.
#[derive(Debug)]
pub(super) enum InboxState {
    /// The action is unknown.
    New,
    /// The action was received and has no answer yet.
    Waiting,
    /// The action was received and has this answer.
    Answered(Arc<Entry>),
    /// The action was processed. The answer was forgotten, the action is kept for another reason.
    Processed,
}

impl Inbox {
    /// Creates an inbox that remembers the last `capacity` entries of at most `max_bytes` bytes,
    /// for `remembered_for` at most.
    pub(super) fn new(capacity: u64, max_bytes: usize, remembered_for: Duration) -> Self {
        Self {
            capacity,
            max_bytes,
            until_pruned: PRUNE_EVERY,
            expiry: Expiry {
                remembered_for_ms: as_millis(remembered_for),
                marks: VecDeque::new(),
                last_addition: None,
            },
            remembered: REMEMBERED.into(),
            waiting: WAITING.into(),
            acknowledged: None,
            confirmed: ConfirmedNumbers::default(),
        }
    }

    /// Forgets expired entries, if a check is due. Returns the number up to which they have
    /// expired.
    pub(super) fn expire<S: Store>(
        &mut self,
        log: &mut HubLog<S>,
        now: WallTime,
    ) -> Result<Option<u64>, LogError<S::Error>> {
        if !self.expiry.is_due(now) {
            return Ok(None);
        }
        let max_added = self.expiry.mark(now, log.last_added()?);
        if let Some(max_added) = max_added {
            self.forget_until(log, max_added)?;
        }
        Ok(max_added)
    }

    pub(super) fn state_of<S: Store>(
        &self,
        log: &HubLog<S>,
        id: &ActionId,
    ) -> Result<InboxState, LogError<S::Error>> {
        let Some(entry) = log.by_id(id)? else { return Ok(InboxState::New) };
        if let Some(answer) = self.answer_to(log, id)? {
            return Ok(InboxState::Answered(Arc::new(answer)));
        }
        let waits = entry.meta.reasons.iter().any(|reason| is_waiting(reason));
        Ok(if waits { InboxState::Waiting } else { InboxState::Processed })
    }

    /// Returns the last answer to an action.
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

    /// Adds a received action, which is kept until it is answered and remembered after that.
    pub(super) fn add_action<S: Store>(
        &mut self,
        log: &mut HubLog<S>,
        now: WallTime,
        entry: Entry,
    ) -> Result<Entry, LogError<S::Error>> {
        self.prune(log)?;
        self.expiry.last_addition = Some(now);
        let Entry { action, meta } = entry;
        let mut draft = Draft::of(meta.id.clone(), meta.time).index(self.remembered.clone());
        draft.reasons.extend([self.waiting.clone(), self.remembered.clone()]);
        draft.subprotocol = meta.subprotocol.clone();
        let added = log.add(now, action.clone(), draft)?;
        Ok(added.unwrap_or(Entry { action, meta }))
    }

    /// Replaces an action that was refused before others received it by its remembered form: the
    /// id, and the type. Its answer is added after this.
    pub(super) fn reduce_action<S: Store>(
        &self,
        log: &mut HubLog<S>,
        now: WallTime,
        entry: &Entry,
        reduced: Action,
    ) -> Result<(), LogError<S::Error>> {
        remove(log, &entry.meta.id)?;
        log.observer_mut().clean_log.forget_moved(&entry.meta.id);
        let mut draft = Draft::of(entry.meta.id.clone(), entry.meta.time);
        draft = draft.index(self.remembered.clone()).and_reason(self.remembered.clone());
        draft.subprotocol = entry.meta.subprotocol.clone();
        log.add(now, reduced, draft).map(drop)
    }

    /// Forgets the oldest answered actions of a user, if those of the user exceed their share of
    /// the memory, a quarter, and then the oldest of all users if all of them exceed it. `pending`
    /// has the actions that are not answered: they are kept in any case, and have their own bound.
    pub(super) fn forget_excess<S: Store>(
        &self,
        log: &mut HubLog<S>,
        user: &str,
        pending: &PendingBytes,
    ) -> Result<(), LogError<S::Error>> {
        self.forget_excess_of_user(log, user, pending.of_user(user))?;
        self.forget_excess_of_all(log, pending.total())
    }

    fn forget_excess_of_user<S: Store>(
        &self,
        log: &mut HubLog<S>,
        user: &str,
        pending_bytes: usize,
    ) -> Result<(), LogError<S::Error>> {
        let usage = &log.observer().inbox_usage;
        let share = self.max_bytes / 4;
        let answered_bytes = usage.user_bytes(user).saturating_sub(pending_bytes);
        if answered_bytes <= share {
            return Ok(());
        }
        // A bit more, so that it is not due again at once.
        let excess = answered_bytes - share + share / 16;
        for added in usage.oldest_of_user(user, excess, PRUNE_EVERY as usize) {
            let mut found = None;
            log.walk(&Query::added().oldest_first().after_added(added - 1), |entry| {
                found = Some(entry.clone());
                ControlFlow::Break(())
            })?;
            let is_answered = |entry: &Entry| {
                entry.meta.added == Some(added)
                    && !entry.meta.reasons.iter().any(|reason| is_waiting(reason))
            };
            if let Some(entry) = found.filter(is_answered) {
                self.forget(log, &entry.meta.id)?;
            }
        }
        Ok(())
    }

    /// Adds the answer to an action, which then does not wait any more.
    pub(super) fn add_answer<S: Store>(
        &mut self,
        log: &mut HubLog<S>,
        now: WallTime,
        to: &ActionId,
        answer: Action,
        draft: Draft,
    ) -> Result<Option<Entry>, LogError<S::Error>> {
        self.stop_waiting(log, to)?;
        self.add_unconfirmed_answer(log, now, to, answer, draft)
    }

    /// Records that an action will not be processed again, even if its answer is lost.
    pub(super) fn stop_waiting<S: Store>(
        &self,
        log: &mut HubLog<S>,
        id: &ActionId,
    ) -> Result<(), LogError<S::Error>> {
        let reasons: NameList = NameList::from_elem(self.remembered.clone(), 1);
        log.change_meta(id, &MetaChange { reasons: Some(reasons), ..MetaChange::default() })
            .map(drop)
    }

    /// Adds an answer to an action that still waits, because it may have to be processed again.
    pub(super) fn add_unconfirmed_answer<S: Store>(
        &mut self,
        log: &mut HubLog<S>,
        now: WallTime,
        to: &ActionId,
        answer: Action,
        draft: Draft,
    ) -> Result<Option<Entry>, LogError<S::Error>> {
        self.expiry.last_addition = Some(now);
        let client = client_index(to.node().client_id());
        log.add(
            now,
            answer,
            draft.and_reason(self.remembered.clone()).index(answer_index(to)).index(client),
        )
    }

    /// Adds the index with which [`restore`](Self::restore) finds an answer that may be in the log
    /// without its action.
    pub(super) fn restorable(&self, draft: Draft) -> Draft {
        draft.index(self.remembered.clone())
    }

    /// Adds the reason and the index with which an action for one client is sent again if it is
    /// lost.
    pub(super) fn remember_for_client(&self, client: &str, draft: Draft) -> Draft {
        draft.and_reason(self.remembered.clone()).index(client_index(client))
    }

    /// Adds the reason and the indexes of an undo, for clients that have received the action and
    /// are not connected when it is undone. The hub does not know which subscribers of a channel
    /// these are, so the undo is for all clients that subscribe to the channel again.
    pub(super) fn remember_undo(&self, draft: Draft, to: &Recipients) -> Draft {
        let nodes = to.nodes.iter().filter_map(|node| NodeId::new(node.clone()).ok());
        let clients = to
            .clients
            .iter()
            .filter(|client| !to.exclude_clients.contains(client))
            .map(|client| client_index(client));
        let indexes = (clients.chain(nodes.map(|node| client_index(node.client_id()))))
            .chain(to.users.iter().map(|user| user_undo_index(user)))
            .chain(to.channels.iter().map(|channel| channel_undo_index(channel)));
        let count_before = draft.indexes.len();
        let draft = indexes.fold(draft, Draft::index);
        if draft.indexes.len() > count_before {
            draft.and_reason(self.remembered.clone())
        } else {
            draft
        }
    }

    /// Visits the undos of actions that were sent to a channel, latest first, until `visit` breaks.
    pub(super) fn undos_in_channel<S: Store>(
        &self,
        log: &HubLog<S>,
        channel: &str,
        visit: impl FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), LogError<S::Error>> {
        log.walk(&Query::added().index(channel_undo_index(channel)), visit)
    }

    /// Forgets an action and its answer.
    pub(super) fn forget<S: Store>(
        &self,
        log: &mut HubLog<S>,
        id: &ActionId,
    ) -> Result<(), LogError<S::Error>> {
        self.remove_answer(log, id)?;
        remove(log, id)
    }

    /// Forgets a subscription whose answer was confirmed, and the answer of the one before it. The
    /// last answer stays: the client refers to it in `since`, and the log has to know its time.
    pub(super) fn acknowledged<S: Store>(
        &mut self,
        log: &mut HubLog<S>,
        id: &ActionId,
    ) -> Result<(), LogError<S::Error>> {
        if let Some(previous) = self.acknowledged.replace(id.clone()) {
            self.remove_answer(log, &previous)?;
        }
        remove(log, id)
    }

    /// Forgets the answer to an action that has to be processed again.
    pub(super) fn remove_answer<S: Store>(
        &self,
        log: &mut HubLog<S>,
        id: &ActionId,
    ) -> Result<(), LogError<S::Error>> {
        while let Some(answer) = self.answer_to(log, id)? {
            remove(log, &answer.meta.id)?;
        }
        Ok(())
    }

    /// Returns the number up to which a node of a client has confirmed its answers.
    pub(super) fn confirmed_by(&self, client: &str) -> u64 {
        self.confirmed.of_client(client)
    }

    /// Reads the inbox after a start. Returns the unanswered actions and the `logux/unsubscribe`
    /// actions, in the order in which they were received, and the size of the inbox.
    pub(super) fn restore<S: Store>(
        &mut self,
        log: &HubLog<S>,
    ) -> Result<(Vec<Entry>, InboxUsage), LogError<S::Error>> {
        self.confirmed = ConfirmedNumbers::restore(log)?;
        let (mut unanswered, mut usage, mut first) = (Vec::new(), InboxUsage::default(), None);
        log.walk(&Query::added().oldest_first().index(REMEMBERED), |entry| {
            first = entry.meta.added;
            ControlFlow::Break(())
        })?;
        let Some(first) = first else { return Ok((unanswered, usage)) };
        log.walk(&Query::added().oldest_first().after_added(first.saturating_sub(1)), |entry| {
            usage.added(entry);
            if entry.action.kind() == UNSUBSCRIBE
                || entry.meta.reasons.iter().any(|reason| is_waiting(reason))
            {
                unanswered.push(entry.clone());
            }
            ControlFlow::Continue(())
        })?;
        Ok((unanswered, usage))
    }

    fn prune<S: Store>(&mut self, log: &mut HubLog<S>) -> Result<(), LogError<S::Error>> {
        self.until_pruned -= 1;
        if self.until_pruned > 0 {
            return Ok(());
        }
        self.until_pruned = PRUNE_EVERY;
        let max_added = log.last_added()?.saturating_sub(self.capacity);
        self.forget_until(log, max_added)
    }

    /// Forgets the entries up to a number, and what clients have confirmed of them.
    fn forget_until<S: Store>(
        &mut self,
        log: &mut HubLog<S>,
        max_added: u64,
    ) -> Result<(), LogError<S::Error>> {
        self.confirmed.forget_until(log, max_added)?;
        let max_added = Some(max_added);
        log.remove_reason(REMEMBERED, &Criteria { max_added, ..Criteria::default() })
    }

    fn forget_excess_of_all<S: Store>(
        &self,
        log: &mut HubLog<S>,
        pending_bytes: usize,
    ) -> Result<(), LogError<S::Error>> {
        let max_bytes = self.max_bytes.saturating_add(pending_bytes);
        let mut after = 0;
        // Subscriptions that wait for their clients stay too, so the work is bounded.
        for _ in 0..MAX_PRUNED_PAGES {
            if log.observer().inbox_usage.bytes <= max_bytes {
                break;
            }
            let (mut remaining, mut max_added) = (PRUNE_EVERY, None);
            log.walk(
                &Query::added().oldest_first().index(REMEMBERED).after_added(after),
                |entry| {
                    max_added = entry.meta.added;
                    remaining -= 1;
                    if remaining == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                },
            )?;
            let Some(added) = max_added else { break };
            log.remove_reason(REMEMBERED, &Criteria { max_added, ..Criteria::default() })?;
            after = added;
        }
        Ok(())
    }

    /// Records that a node of a client has received everything up to a number of the log.
    pub(super) fn confirm(&mut self, client: &str, added: u64) {
        self.confirmed.confirm(client, added);
    }

    /// Writes what clients have confirmed to the store.
    pub(super) fn save_confirmed<S: Store>(
        &mut self,
        log: &mut HubLog<S>,
    ) -> Result<(), LogError<S::Error>> {
        self.confirmed.save(log)
    }
}

fn remove<S: Store>(log: &mut HubLog<S>, id: &ActionId) -> Result<(), LogError<S::Error>> {
    log.change_meta(id, &MetaChange { reasons: Some(NameList::new()), ..MetaChange::default() })
        .map(drop)
}

/// Whether a reason is the one of actions without an answer.
pub(super) fn is_waiting(reason: &str) -> bool {
    reason == WAITING
}

/// The largest action that is remembered as it is when it is refused, in bytes.
const MAX_REFUSED_BYTES: usize = 1_024;

/// Returns the remembered form of a refused action, if it differs from the action: its type.
/// Clients of the reference expect that an undo has an action with a type. Of an edit of a document
/// nothing else is remembered, so that a purge of the document leaves nothing of its text.
pub(super) fn reduced(action: &Action, is_of_document: bool) -> Option<Action> {
    if action.as_json().len() <= MAX_REFUSED_BYTES && !is_of_document {
        return None;
    }
    without_fields(&name_excerpt(action.kind()))
}

/// Returns an action without fields.
pub(super) fn without_fields(kind: &str) -> Option<Action> {
    Action::typed(kind, &serde_json::Map::new()).ok()
}

/// Whether an index is the one of received actions.
pub(super) fn is_received_index(index: &str) -> bool {
    index == REMEMBERED
}

pub(super) fn is_remembered(entry: &Entry) -> bool {
    entry.meta.reasons.iter().any(|reason| **reason == *REMEMBERED)
}

/// Returns the clients that are sent an entry again until a node of the client has confirmed it.
pub(super) fn remembered_for(entry: &Entry) -> HashSet<&str> {
    entry.meta.indexes.iter().filter_map(|index| index.strip_prefix(CLIENT_PREFIX)).collect()
}

/// Whether an index is one of the inbox.
pub(super) fn is_inbox_index(index: &str) -> bool {
    index == REMEMBERED || index.starts_with(CLIENT_PREFIX) || index.starts_with(UNDONE_PREFIX)
}

fn answer_index(id: &ActionId) -> String {
    let mut index = String::with_capacity(64);
    index.push_str(ANSWER_PREFIX);
    id.write_to(&mut index);
    index
}

/// Returns the id of the action that an entry is the answer to.
pub(super) fn answered_id(entry: &Entry) -> Option<ActionId> {
    entry.meta.indexes.iter().find_map(|index| index.strip_prefix(ANSWER_PREFIX)?.parse().ok())
}

/// Returns the index of the answers to a client.
pub(super) fn client_index(client: &str) -> String {
    [CLIENT_PREFIX, client].concat()
}

fn channel_undo_index(channel: &str) -> String {
    format!("{UNDONE_PREFIX}channel/{channel}")
}

/// Returns the index of the undos of actions that were sent to a user.
pub(super) fn user_undo_index(user: &str) -> String {
    format!("{UNDONE_PREFIX}user/{user}")
}
