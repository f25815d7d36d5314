//! What the application can read from the log of a hub.

use std::sync::Arc;

use super::retention::{RETAINED_INDEX, Retention, channel_index, user_index};
use crate::store::{Direction, Entry, Query};

/// The largest number of entries that are visited for one page.
pub(super) const MAX_VISITED: usize = 1_000;
/// The size of the actions of a page, in bytes of JSON, at which the page ends.
pub(super) const MAX_PAGE_BYTES: usize = 1024 * 1024;

/// Selects the entries of a hub's log to read, in the order of their arrival.
///
/// A page has at most [`limit`](Self::limit) entries, and ends earlier after 1,000 visited entries
/// or 1 MiB of JSON, so that reading the log delays nobody for long. [`LogPage::next`] is the query
/// for the rest.
///
/// ```
/// use logux::server::LogQuery;
/// let latest_messages = LogQuery::channel("rooms/1").newest_first().limit(20);
/// # let _ = latest_messages;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    pub(super) query: Query,
    /// Whether only processed actions with a [`Retention`], and undos of them, are selected.
    pub(super) is_kept: bool,
    pub(super) limit: usize,
}

/// A page of the entries that a [`LogQuery`] selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// The entries, in the order of the query.
    pub entries: Vec<Entry>,
    /// The query for the entries after this page. `None` if there are no more. The next page may
    /// be empty.
    pub next: Option<LogQuery>,
}

impl LogQuery {
    fn new(index: Option<Arc<str>>, is_kept: bool) -> Self {
        Self { query: Query { index, ..Query::added().oldest_first() }, is_kept, limit: 100 }
    }

    /// All entries: actions of clients, of the server, and the server's answers, as long as they
    /// are remembered or kept.
    pub fn all() -> Self {
        Self::new(None, false)
    }

    /// The processed actions that are kept with a [`Retention`] and were sent to a channel. The
    /// undo of such an action by the application takes its place; undos by clients follow it.
    pub fn channel(name: &str) -> Self {
        Self::new(Some(channel_index(name)), true)
    }

    /// As [`channel`](Self::channel), for actions that were sent to a user.
    pub fn user(id: &str) -> Self {
        Self::new(Some(user_index(id)), true)
    }

    /// As [`channel`](Self::channel), for all kept actions.
    pub fn kept() -> Self {
        Self::new(Some(RETAINED_INDEX.into()), true)
    }

    /// As [`channel`](Self::channel), for actions that are kept for the reason of a [`Retention`],
    /// such as `Retention::forever("orders/7")`. The bound of the retention does not matter.
    pub fn kept_for(retention: &Retention) -> Self {
        Self::new(Some(retention.reason().clone()), true)
    }

    /// The entries with an index that the application added to their
    /// [`Draft`](crate::log::Draft::indexes).
    pub fn index(name: impl Into<Arc<str>>) -> Self {
        Self::new(Some(name.into()), false)
    }

    /// Selects the latest entries first. Default: oldest first.
    #[must_use]
    pub fn newest_first(mut self) -> Self {
        self.query.direction = Direction::NewestFirst;
        self
    }

    /// Starts after the entry with this [`added`](crate::Meta::added) number, in the direction of
    /// the query.
    #[must_use]
    pub fn after(mut self, added: u64) -> Self {
        self.query = self.query.after_added(added);
        self
    }

    /// Sets the largest number of entries of a page, up to 1,000. Default: 100.
    #[must_use]
    pub fn limit(mut self, entries: usize) -> Self {
        self.limit = entries.clamp(1, MAX_VISITED);
        self
    }
}
