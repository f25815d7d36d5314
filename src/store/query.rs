//! Queries for entries, and the criteria for removing a reason.

use std::sync::Arc;

use super::Entry;
use crate::action::{ActionId, Meta, Stamp};

/// One of the two orders of a store, and the position after which a walk starts. The entry at this
/// position is excluded; "after" means further in the direction of the walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// By creation, the order that all nodes agree on.
    Created {
        /// The walk starts after this position. `None`: with the first entry of the walk.
        after: Option<Stamp>,
    },
    /// By arrival at this store.
    Added {
        /// The walk starts after this number. `None`: with the first entry of the walk.
        after: Option<u64>,
    },
}

/// The direction of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the latest entry to the first.
    NewestFirst,
    /// From the first entry to the latest.
    OldestFirst,
}

/// Selects the entries to visit, and their order.
///
/// ```
/// use logux::store::Query;
/// let missed = Query::added().oldest_first().after_added(120);
/// let of_user = Query::created().index("users/10");
/// # let _ = (missed, of_user);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The order and the start of the walk.
    pub order: Order,
    /// The direction. Default: newest first, as in the reference.
    pub direction: Direction,
    /// If set, only entries with this index are visited.
    pub index: Option<Arc<str>>,
}

impl Query {
    /// All entries by creation, newest first.
    pub const fn created() -> Self {
        Self {
            order: Order::Created { after: None },
            direction: Direction::NewestFirst,
            index: None,
        }
    }

    /// All entries by arrival, newest first.
    pub const fn added() -> Self {
        Self { order: Order::Added { after: None }, direction: Direction::NewestFirst, index: None }
    }

    /// Sets the direction to oldest first.
    #[must_use]
    pub fn oldest_first(mut self) -> Self {
        self.direction = Direction::OldestFirst;
        self
    }

    /// Restricts the query to entries with this index.
    #[must_use]
    pub fn index(mut self, index: impl Into<Arc<str>>) -> Self {
        self.index = Some(index.into());
        self
    }

    /// Orders by creation, and starts after this position in the direction of the walk.
    #[must_use]
    pub fn after_stamp(mut self, stamp: Stamp) -> Self {
        self.order = Order::Created { after: Some(stamp) };
        self
    }

    /// Orders by arrival, and starts after this number in the direction of the walk.
    #[must_use]
    pub fn after_added(mut self, added: u64) -> Self {
        self.order = Order::Added { after: Some(added) };
        self
    }

    /// Returns `true` if the walk starts before this entry. Ignores the index.
    pub(super) fn starts_before(&self, Entry { meta, .. }: &Entry) -> bool {
        match (&self.order, self.direction) {
            (Order::Created { after: None } | Order::Added { after: None }, _) => true,
            (Order::Created { after: Some(after) }, Direction::OldestFirst) => {
                meta.stamp() > *after
            }
            (Order::Created { after: Some(after) }, Direction::NewestFirst) => {
                meta.stamp() < *after
            }
            (Order::Added { after: Some(after) }, Direction::OldestFirst) => {
                meta.added > Some(*after)
            }
            (Order::Added { after: Some(after) }, Direction::NewestFirst) => {
                meta.added < Some(*after)
            }
        }
    }

    /// Returns the same query, starting after an entry.
    #[must_use]
    pub fn after_entry(&self, entry: &Entry) -> Self {
        match self.order {
            Order::Created { .. } => self.clone().after_stamp(entry.meta.stamp()),
            Order::Added { .. } => self.clone().after_added(entry.meta.added.unwrap_or_default()),
        }
    }
}

/// A page of the entries of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The entries, in the order of the query.
    pub entries: Vec<Entry>,
    /// The query for the entries after this page, if there are any.
    pub next: Option<Query>,
}

/// Selects the entries that lose a reason: those that match every condition that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Criteria {
    /// Only this action.
    pub id: Option<ActionId>,
    /// Only actions before this position in the order.
    pub older_than: Option<Stamp>,
    /// Only actions after this position in the order.
    pub younger_than: Option<Stamp>,
    /// Only entries whose `added` number is at least this.
    pub min_added: Option<u64>,
    /// Only entries whose `added` number is at most this.
    pub max_added: Option<u64>,
    /// Only entries with this index.
    pub index: Option<Arc<str>>,
}

impl Criteria {
    /// Criteria that match only this action.
    pub fn id(id: ActionId) -> Self {
        Self { id: Some(id), ..Self::default() }
    }

    /// Criteria that match only actions before this position in the order.
    pub fn older_than(stamp: Stamp) -> Self {
        Self { older_than: Some(stamp), ..Self::default() }
    }

    /// Returns `true` if an entry with this meta matches the criteria.
    pub fn matches(&self, meta: &Meta) -> bool {
        self.id.as_ref().is_none_or(|id| *id == meta.id)
            && self.older_than.as_ref().is_none_or(|stamp| meta.stamp() < *stamp)
            && self.younger_than.as_ref().is_none_or(|stamp| meta.stamp() > *stamp)
            && self.min_added.is_none_or(|min| meta.added >= Some(min))
            && self.max_added.is_none_or(|max| meta.added <= Some(max))
            && self.index.as_ref().is_none_or(|index| meta.indexes.contains(index))
    }
}
