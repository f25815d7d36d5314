//! Which entries, in which order; and which entries lose a reason.

use std::sync::Arc;

use super::Entry;
use crate::action::{ActionId, Meta, Stamp};

/// One of the two orders of a store, with the place where to begin: strictly behind it, in the direction of the walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// By creation, the order that all nodes agree on.
    Created {
        /// Begin behind this place.
        after: Option<Stamp>,
    },
    /// By arrival at this store.
    Added {
        /// Begin behind this number.
        after: Option<u64>,
    },
}

/// In which direction to walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the latest back.
    NewestFirst,
    /// From the first on.
    OldestFirst,
}

/// Which entries to visit, in which order.
///
/// ```
/// use logux::store::Query;
/// let missed = Query::added().oldest_first().after_added(120);
/// let of_user = Query::created().index("users/10");
/// # let _ = (missed, of_user);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The order and where to begin.
    pub order: Order,
    /// The direction. Newest first unless told otherwise, as in the reference.
    pub direction: Direction,
    /// Only entries with this index.
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

    /// The other direction.
    #[must_use]
    pub fn oldest_first(mut self) -> Self {
        self.direction = Direction::OldestFirst;
        self
    }

    /// Only entries with this index.
    #[must_use]
    pub fn index(mut self, index: impl Into<Arc<str>>) -> Self {
        self.index = Some(index.into());
        self
    }

    /// By creation, behind this place in the direction of the walk.
    #[must_use]
    pub fn after_stamp(mut self, stamp: Stamp) -> Self {
        self.order = Order::Created { after: Some(stamp) };
        self
    }

    /// By arrival, behind this number in the direction of the walk.
    #[must_use]
    pub fn after_added(mut self, added: u64) -> Self {
        self.order = Order::Added { after: Some(added) };
        self
    }

    /// Whether a walk meets an entry of its index: it lies behind the place where the walk begins.
    pub(super) fn reaches(&self, Entry { meta, .. }: &Entry) -> bool {
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

    /// The same query, beginning behind an entry.
    #[must_use]
    pub fn behind(&self, entry: &Entry) -> Self {
        match self.order {
            Order::Created { .. } => self.clone().after_stamp(entry.meta.stamp()),
            Order::Added { .. } => self.clone().after_added(entry.meta.added.unwrap_or_default()),
        }
    }
}

/// Some entries of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The entries, in the order of the query.
    pub entries: Vec<Entry>,
    /// The query for those behind, if there are any.
    pub next: Option<Query>,
}

/// Which entries lose a reason: those that meet every condition that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Criteria {
    /// Only this action.
    pub id: Option<ActionId>,
    /// Only actions before this place in the order.
    pub older_than: Option<Stamp>,
    /// Only actions behind this place in the order.
    pub younger_than: Option<Stamp>,
    /// Only entries with this `added` number or a higher one.
    pub min_added: Option<u64>,
    /// Only entries with this `added` number or a lower one.
    pub max_added: Option<u64>,
    /// Only entries with this index.
    pub index: Option<Arc<str>>,
}

impl Criteria {
    /// Only this action.
    pub fn id(id: ActionId) -> Self {
        Self { id: Some(id), ..Self::default() }
    }

    /// Only actions before this place in the order.
    pub fn older_than(stamp: Stamp) -> Self {
        Self { older_than: Some(stamp), ..Self::default() }
    }

    /// Whether an entry with this meta meets them.
    pub fn matches(&self, meta: &Meta) -> bool {
        self.id.as_ref().is_none_or(|id| *id == meta.id)
            && self.older_than.as_ref().is_none_or(|stamp| meta.stamp() < *stamp)
            && self.younger_than.as_ref().is_none_or(|stamp| meta.stamp() > *stamp)
            && self.min_added.is_none_or(|min| meta.added >= Some(min))
            && self.max_added.is_none_or(|max| meta.added <= Some(max))
            && self.index.as_ref().is_none_or(|index| meta.indexes.contains(index))
    }
}
