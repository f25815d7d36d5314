//! Reasons for which actions stay in the server's log, and their bounds.

use core::{fmt, time::Duration};
use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;

use super::Recipients;
use crate::{
    action::{Action, ActionId, Meta, NodeId, Stamp},
    store::Criteria,
    time::{WallTime, as_millis},
};

/// A reason to keep an action in the server's log after it was processed, and its bound.
///
/// Kept actions of a channel can be sent to new subscribers
/// ([`HandlerResponse::Replay`](super::HandlerResponse::Replay)). Kept actions that were sent to a
/// user are sent to the user's clients when they connect, if they have not received them yet.
/// Reducers compute states from kept actions.
///
/// ```
/// use std::time::Duration;
/// use logux::server::Retention;
/// let everything = Retention::forever("orders");
/// let chat = Retention::last("chat/lobby", 500);
/// let cursor = Retention::latest("cursor/10");
/// let news = Retention::for_duration("news", Duration::from_hours(24));
/// # let _ = (everything, chat, cursor, news);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    reason: Arc<str>,
    bound: Bound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    None,
    Count(u64),
    Latest,
    Age(u64),
}

/// The prefix that distinguishes these reasons from the hub's own.
const PREFIX: &str = "keep/";
/// The prefix of reasons to keep the undo of an action with [`Bound::Latest`]. It differs, because
/// an undo does not supersede earlier actions.
const UNDO_PREFIX: &str = "keep-undo/";
/// The index of all entries that are or were kept for a retention reason.
pub(super) const RETAINED_INDEX: &str = "kept";

impl Retention {
    fn new(reason: &str, bound: Bound) -> Self {
        Self { reason: format!("{PREFIX}{reason}").into(), bound }
    }

    /// Keeps actions forever. The log grows without bound.
    pub fn forever(reason: &str) -> Self {
        Self::new(reason, Bound::None)
    }

    /// Keeps the last `count` actions with this reason, in the order in which they were approved,
    /// and at times up to a quarter more.
    pub fn last(reason: &str, count: u64) -> Self {
        Self::new(reason, Bound::Count(count))
    }

    /// Keeps the latest action with this reason, by its stamp. The reason contains the key:
    /// `cursor/10`.
    ///
    /// The previous action stays until the later one is processed, so that it is still the latest
    /// if the later one fails. When an action is undone after it was processed, none is left,
    /// because the previous one is removed by then. If the application undoes such actions, use
    /// [`last`](Self::last), which keeps more of them.
    pub fn latest(reason: &str) -> Self {
        Self::new(reason, Bound::Latest)
    }

    /// Keeps actions for a duration after they were created, and up to a sixteenth longer.
    pub fn for_duration(reason: &str, duration: Duration) -> Self {
        Self::new(reason, Bound::Age(as_millis(duration)))
    }

    pub(super) fn is_latest(&self) -> bool {
        self.bound == Bound::Latest
    }

    /// Returns the reason to keep the undo of an action that was the latest.
    pub(super) fn undo_reason(&self) -> Arc<str> {
        format!("{UNDO_PREFIX}{}", self.reason.trim_start_matches(PREFIX)).into()
    }

    /// Returns the reasons for which an entry is or was kept, as they were given to the
    /// constructors: for an action of a document, its channel.
    pub fn names(meta: &Meta) -> impl Iterator<Item = &str> {
        meta.indexes.iter().filter_map(|index| index.strip_prefix(PREFIX))
    }

    pub(super) const fn reason(&self) -> &Arc<str> {
        &self.reason
    }
}

/// The rule that assigns a [`Retention`] to actions. Default: no action is kept.
#[derive(Clone, Default)]
pub struct RetentionPolicy(Option<Arc<RetentionFn>>);

type RetentionFn = dyn Fn(&Action, &Meta) -> Option<Retention> + Send + Sync;

impl RetentionPolicy {
    /// Creates a rule. It must be pure and fast: it is called for every action that was approved,
    /// except `logux/*`.
    pub fn by(rule: impl Fn(&Action, &Meta) -> Option<Retention> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(rule)))
    }

    pub(super) fn of(&self, action: &Action, meta: &Meta) -> Option<Retention> {
        self.0.as_ref().and_then(|rule| rule(action, meta))
    }
}

impl fmt::Debug for RetentionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "by a rule" } else { "nothing" })
    }
}

/// Returns the index of actions that were sent to a channel.
pub(super) fn channel_index(channel: &str) -> Arc<str> {
    format!("{CHANNEL_PREFIX}{channel}").into()
}

/// The prefixes of the indexes that name recipients.
const CHANNEL_PREFIX: &str = "channel/";
const USER_PREFIX: &str = "user/";
const CLIENT_PREFIX: &str = "to-client/";
const NODE_PREFIX: &str = "to-node/";
const EXCLUDED_PREFIX: &str = "not-to-client/";

/// Returns the indexes of an action that was sent to these recipients. Those of channels and users
/// find the action, the others are for the recipients of its undo.
pub(super) fn recipient_indexes(to: &Recipients) -> impl Iterator<Item = Arc<str>> {
    let lists = [
        (CHANNEL_PREFIX, &to.channels),
        (USER_PREFIX, &to.users),
        (CLIENT_PREFIX, &to.clients),
        (NODE_PREFIX, &to.nodes),
        (EXCLUDED_PREFIX, &to.exclude_clients),
    ];
    let indexes = |(prefix, names): (&'static str, &Vec<Arc<str>>)| {
        names.iter().map(move |name| format!("{prefix}{name}").into()).collect::<Vec<_>>()
    };
    lists.into_iter().flat_map(indexes)
}

/// Returns the recipients that a kept action was sent to.
pub(super) fn recipients(meta: &Meta) -> Recipients {
    let names = |prefix: &str| {
        let indexes = meta.indexes.iter();
        indexes.filter_map(|index| index.strip_prefix(prefix)).map(Into::into).collect()
    };
    Recipients {
        channels: names(CHANNEL_PREFIX),
        users: names(USER_PREFIX),
        clients: names(CLIENT_PREFIX),
        nodes: names(NODE_PREFIX),
        exclude_clients: names(EXCLUDED_PREFIX),
        // What is only for filters is not kept.
        only_filtered: false,
    }
}

/// The prefix of the index of the undos of an action.
const UNDOES_PREFIX: &str = "undoes/";

/// Returns the index of the undos of an action by clients, including the undos of these undos.
pub(super) fn undoes_index(id: &ActionId) -> Arc<str> {
    format!("{UNDOES_PREFIX}{id}").into()
}

/// Returns the action that an accepted undo of a client is about, at the end of a chain of undos.
pub(super) fn undone_id(meta: &Meta) -> Option<ActionId> {
    meta.indexes.iter().find_map(|index| index.strip_prefix(UNDOES_PREFIX)?.parse().ok())
}

/// Whether the undo of an action has an index of the action too.
pub(super) fn is_shared_with_undo(index: &str) -> bool {
    !index.starts_with(APPROVED_PREFIX) && !index.starts_with(UNDOES_PREFIX)
}

/// The prefix of the index with the time of the approval.
const APPROVED_PREFIX: &str = "approved/";

/// Returns the index with the time when an action was approved, in milliseconds. It is an index,
/// because indexes are persisted, not sent to other nodes, and stay when reasons are removed.
pub(super) fn approved_index(now: WallTime) -> Arc<str> {
    format!("{APPROVED_PREFIX}{}", now.as_millis()).into()
}

/// Whether an action was approved, had a retention reason then, and was therefore added again.
pub(super) fn was_approved(meta: &Meta) -> bool {
    meta.indexes.iter().any(|index| index.starts_with(APPROVED_PREFIX))
}

/// Returns the time when a hub has approved an action that it keeps, by the hub's clock: when it
/// was first sent to others. For other actions, their time.
pub fn approved_at(meta: &Meta) -> WallTime {
    approval_time(meta).unwrap_or(meta.time)
}

/// Returns the time when an action was approved, if it had a retention reason.
pub(super) fn approval_time(meta: &Meta) -> Option<WallTime> {
    let mut indexes = meta.indexes.iter();
    let ms = indexes.find_map(|index| index.strip_prefix(APPROVED_PREFIX)?.parse().ok());
    ms.map(WallTime::from_millis)
}

/// Returns the index of actions that were sent to a user.
pub(super) fn user_index(user: &str) -> Arc<str> {
    format!("{USER_PREFIX}{user}").into()
}

/// Whether an entry with this meta has a retention reason.
pub(super) fn is_retained(meta: &Meta) -> bool {
    meta.reasons.iter().any(|reason| is_retention_reason(reason))
}

/// Whether a reason is the reason of a [`Retention`].
pub(super) fn is_retention_reason(reason: &str) -> bool {
    reason.starts_with(PREFIX) || reason.starts_with(UNDO_PREFIX)
}

/// The schedule of checks of the bounds: a count or an age for each bounded reason that was used
/// since the start.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    counts: HashMap<Arc<str>, u64>,
    ages: IndexMap<Arc<str>, u64>,
    next_check: Option<WallTime>,
}

impl Bounds {
    /// Records that an entry was kept. Returns the number of entries to keep, if the entries have
    /// to be checked now.
    pub(super) fn record(&mut self, retention: &Retention, now: WallTime) -> Option<u64> {
        match retention.bound {
            Bound::None | Bound::Latest => None,
            Bound::Age(ms) => {
                self.ages.insert(retention.reason.clone(), ms);
                let check = after(now, ms / 16);
                self.next_check = Some(self.next_check.map_or(check, |next| next.min(check)));
                None
            }
            Bound::Count(count) => {
                let added = self.counts.entry(retention.reason.clone()).or_insert(count);
                *added += 1;
                let is_due = *added > count + count / 4;
                if is_due {
                    *added = count;
                }
                is_due.then_some(count)
            }
        }
    }

    /// Returns the reasons with the criteria of their expired entries, if a check is due.
    pub(super) fn expired(&mut self, node: &NodeId, now: WallTime) -> Vec<(Arc<str>, Criteria)> {
        if self.next_check.is_none_or(|next| now < next) {
            return Vec::new();
        }
        self.next_check = self.ages.values().min().map(|ms| after(now, ms / 16));
        let older_than = |ms: u64| {
            let time = now.shifted(-i64::try_from(ms).unwrap_or(i64::MAX));
            Criteria::older_than(Stamp::new(time, ActionId::new(time, node.clone(), 0)))
        };
        self.ages.iter().map(|(reason, ms)| (reason.clone(), older_than(*ms))).collect()
    }
}

fn after(now: WallTime, ms: u64) -> WallTime {
    now.shifted(i64::try_from(ms.max(1)).unwrap_or(i64::MAX))
}
