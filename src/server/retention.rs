//! What stays in the server's log, why, and how long.

use core::{fmt, time::Duration};
use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;

use crate::{
    action::{Action, ActionId, Meta, NodeId, Stamp},
    store::Criteria,
    time::{WallTime, as_millis},
};

/// A reason to keep an action in the server's log after it was processed, and how long it holds.
///
/// Who subscribes to a channel can be given what was kept of it ([`HandlerResponse::Replay`](super::HandlerResponse::Replay)); what was sent to users is given to their clients when
/// they connect and have not got it yet; and reducers make states of it.
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

/// What tells these reasons from those that the hub itself has.
const PREFIX: &str = "keep/";
/// The same for undos of actions of which the latest is kept: an undo is no later action.
const UNDO_PREFIX: &str = "keep-undo/";
/// The index of all entries that are kept for such a reason.
pub(super) const KEPT: &str = "kept";

impl Retention {
    fn new(reason: &str, bound: Bound) -> Self {
        Self { reason: format!("{PREFIX}{reason}").into(), bound }
    }

    /// For ever. The log grows.
    pub fn forever(reason: &str) -> Self {
        Self::new(reason, Bound::None)
    }

    /// The last `count` actions with this reason, in the order in which they were approved, and for a while up to a quarter more.
    pub fn last(reason: &str, count: u64) -> Self {
        Self::new(reason, Bound::Count(count))
    }

    /// The latest action with this reason, by its time. Put the key into the reason: `cursor/10`.
    ///
    /// The one before it stays until it is processed: if it fails, that one is the latest still. An action that is undone after it was processed leaves none,
    /// for the one before it is forgotten by then; if the application undoes such actions, [`last`](Self::last) keeps some more.
    pub fn latest(reason: &str) -> Self {
        Self::new(reason, Bound::Latest)
    }

    /// Until it was made so many milliseconds ago, and up to a sixteenth longer.
    pub fn for_duration(reason: &str, duration: Duration) -> Self {
        Self::new(reason, Bound::Age(as_millis(duration)))
    }

    pub(super) fn is_latest(&self) -> bool {
        self.bound == Bound::Latest
    }

    /// The reason to keep the undo of an action that was the latest.
    pub(super) fn undo_reason(&self) -> Arc<str> {
        format!("{UNDO_PREFIX}{}", self.reason.trim_start_matches(PREFIX)).into()
    }

    pub(super) const fn reason(&self) -> &Arc<str> {
        &self.reason
    }
}

/// Tells for each action why it is kept. Nothing is kept unless told.
#[derive(Clone, Default)]
pub struct RetentionPolicy(Option<Arc<KeepOf>>);

type KeepOf = dyn Fn(&Action, &Meta) -> Option<Retention> + Send + Sync;

impl RetentionPolicy {
    /// A rule. Pure and quick: it is called for every action that was approved. Types of Logux's own are not asked about.
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

/// The index of what was sent to a channel.
pub(super) fn channel_index(channel: &str) -> Arc<str> {
    format!("channel/{channel}").into()
}

/// What tells when an action was approved.
const APPROVED: &str = "approved/";

/// An index that says when an action was approved: the only words of a meta that stay here and may be longer than a reason.
pub(super) fn approved_index(now: WallTime) -> Arc<str> {
    format!("{APPROVED}{}", now.as_millis()).into()
}

/// Whether an action was approved that was to be kept then, and so added anew.
pub(super) fn was_approved(meta: &Meta) -> bool {
    meta.indexes.iter().any(|index| index.starts_with(APPROVED))
}

/// When an action that is kept was approved.
pub(super) fn approved_at(meta: &Meta) -> WallTime {
    approval(meta).unwrap_or(meta.time)
}

/// When an action was approved, if it is one that is kept.
pub(super) fn approval(meta: &Meta) -> Option<WallTime> {
    let ms = meta.indexes.iter().find_map(|index| index.strip_prefix(APPROVED)?.parse().ok());
    ms.map(WallTime::from_millis)
}

/// The index of what was sent to a user.
pub(super) fn user_index(user: &str) -> Arc<str> {
    format!("user/{user}").into()
}

/// Whether an entry with this meta is kept for a reason of the application.
pub(super) fn is_kept(meta: &Meta) -> bool {
    meta.reasons.iter().any(|reason| is_keep(reason))
}

/// Whether a reason is one of the application's.
pub(super) fn is_keep(reason: &str) -> bool {
    reason.starts_with(PREFIX) || reason.starts_with(UNDO_PREFIX)
}

/// When what has a bound is to be looked through. One note for each reason with a bound that was in use since the start.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    counts: HashMap<Arc<str>, u64>,
    ages: IndexMap<Arc<str>, u64>,
    next_look: Option<WallTime>,
}

impl Bounds {
    /// Notes that an entry was kept. Returns the count that is to be kept when it is time to look through them.
    pub(super) fn note(&mut self, keep: &Retention, now: WallTime) -> Option<u64> {
        match keep.bound {
            Bound::None | Bound::Latest => None,
            Bound::Age(ms) => {
                self.ages.insert(keep.reason.clone(), ms);
                let look = after(now, ms / 16);
                self.next_look = Some(self.next_look.map_or(look, |next| next.min(look)));
                None
            }
            Bound::Count(count) => {
                let added = self.counts.entry(keep.reason.clone()).or_insert(count);
                *added += 1;
                let is_due = *added > count + count / 4;
                if is_due {
                    *added = count;
                }
                is_due.then_some(count)
            }
        }
    }

    /// What has become too old, if it is time to look.
    pub(super) fn too_old(&mut self, node: &NodeId, now: WallTime) -> Vec<(Arc<str>, Criteria)> {
        if self.next_look.is_none_or(|look| now < look) {
            return Vec::new();
        }
        self.next_look = self.ages.values().min().map(|ms| after(now, ms / 16));
        let bound = |ms: u64| {
            let time = now.shifted(-i64::try_from(ms).unwrap_or(i64::MAX));
            Criteria::older_than(Stamp::new(time, ActionId::new(time, node.clone(), 0)))
        };
        self.ages.iter().map(|(reason, ms)| (reason.clone(), bound(*ms))).collect()
    }
}

fn after(now: WallTime, ms: u64) -> WallTime {
    now.shifted(i64::try_from(ms.max(1)).unwrap_or(i64::MAX))
}
