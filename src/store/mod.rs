//! Where entries are kept: the [`Store`] trait and the store in memory.
//!
//! A store keeps what it is given and finds it again; it knows no rules. The rules (reasons, generated ids, observers) are in
//! [`log`](crate::log). A store of your own is right when it passes `logux::testing::store_suite` (feature `testing`).
//!
//! For stores in databases, [`key`] encodes places in the order as bytes that sort alike.

pub mod key;
mod memory;
mod query;

pub use memory::MemoryStore;
pub use query::{Criteria, Direction, Order, Page, Query};

use core::ops::ControlFlow;
use std::sync::Arc;

use crate::{
    action::{Action, ActionId, Meta, NameList, Stamp},
    json::Json,
};

/// An action with its meta, as a log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub action: Action,
    /// What is known about it.
    pub meta: Meta,
}

impl Entry {
    /// Puts an entry together.
    pub const fn new(action: Action, meta: Meta) -> Self {
        Self { action, meta }
    }
}

/// What came of adding an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Insertion {
    /// It is in the store now; its `meta.added` is set.
    Added,
    /// An entry with this id was there already, and nothing has changed.
    Duplicate,
}

/// A change of an entry's meta. Id, times, subprotocol and indexes cannot be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaChange {
    /// New reasons in place of the old ones.
    pub reasons: Option<NameList>,
    /// Extra keys to set, or with `None` to take away.
    pub extra: Vec<(Arc<str>, Option<Json>)>,
}

impl MetaChange {
    /// Carries the change out.
    pub fn apply(&self, meta: &mut Meta) {
        if let Some(reasons) = &self.reasons {
            meta.reasons = reasons.clone();
        }
        for (key, value) in &self.extra {
            match value {
                Some(value) => meta.extra.set(key.clone(), value.clone()),
                None => drop(meta.extra.remove(key)),
            }
        }
    }
}

/// How far the exchange with the other node has come, as `added` numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// The last own entry that the other node has confirmed.
    pub sent: u64,
    /// The last entry of the other node that was received.
    pub received: u64,
}

/// Keeps entries in two orders: by creation ([`Stamp`]) and by arrival (`added`).
///
/// Synchronous: a store over an asynchronous back end follows the one in memory. With *n* entries each call on one entry is
/// O(log n) in the stores of this project, and a walk costs what it visits.
///
/// # Durability
/// What was written is safe after [`commit`](Self::commit) returned, not before: so a caller decides how many writes share one
/// costly step. A store that was opened again holds everything up to its last commit, and nothing in part.
pub trait Store {
    /// What can go wrong: the file, the connection. [`core::convert::Infallible`] in memory.
    type Error: core::error::Error + Send + Sync + 'static;

    /// Keeps an entry and sets its `meta.added` to the next number, unless one with its id is there already.
    ///
    /// # Errors
    /// When the back end fails; nothing was added then.
    fn add(&mut self, entry: &mut Entry) -> Result<Insertion, Self::Error>;

    /// Finds an entry.
    ///
    /// # Errors
    /// When the back end fails.
    fn by_id(&self, id: &ActionId) -> Result<Option<Entry>, Self::Error>;

    /// Changes the meta of an entry; `false` if there is none with this id. Empty reasons do not remove it: that is the
    /// log's rule.
    ///
    /// # Errors
    /// When the back end fails.
    fn change_meta(&mut self, id: &ActionId, change: &MetaChange) -> Result<bool, Self::Error>;

    /// Takes an entry out and returns it.
    ///
    /// # Errors
    /// When the back end fails.
    fn remove(&mut self, id: &ActionId) -> Result<Option<Entry>, Self::Error>;

    /// Takes a reason from the entries that meet the criteria, and the entries out that have none left. `removed` gets these,
    /// oldest first.
    ///
    /// # Errors
    /// When the back end fails.
    fn remove_reason(
        &mut self,
        reason: &str,
        criteria: &Criteria,
        removed: &mut dyn FnMut(Entry),
    ) -> Result<(), Self::Error>;

    /// The place of the latest entry that has the reason.
    ///
    /// # Errors
    /// When the back end fails.
    fn newest_with_reason(&self, reason: &str) -> Result<Option<Stamp>, Self::Error>;

    /// Visits entries in the order of the query until `visit` breaks.
    ///
    /// # Errors
    /// When the back end fails.
    fn walk(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;

    /// The highest `added` number ever given, also if that entry is gone. 0 in the beginning.
    ///
    /// # Errors
    /// When the back end fails.
    fn last_added(&self) -> Result<u64, Self::Error>;

    /// How far the exchange has come, as was set last.
    ///
    /// # Errors
    /// When the back end fails.
    fn synced(&self) -> Result<Synced, Self::Error>;

    /// Remembers how far the exchange has come.
    ///
    /// # Errors
    /// When the back end fails.
    fn set_synced(&mut self, synced: Synced) -> Result<(), Self::Error>;

    /// Forgets everything, the numbers too.
    ///
    /// # Errors
    /// When the back end fails.
    fn clean(&mut self) -> Result<(), Self::Error>;

    /// Makes all writes so far durable. Nothing to do in memory.
    ///
    /// # Errors
    /// When the back end fails; the writes since the last commit may be lost then.
    fn commit(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Up to `limit` entries of a query, and the query for those behind them.
    ///
    /// # Errors
    /// When the back end fails.
    fn page(&self, query: &Query, limit: usize) -> Result<Page, Self::Error> {
        let mut entries = Vec::new();
        let mut more = false;
        self.walk(query, &mut |entry| {
            if entries.len() == limit {
                more = true;
                return ControlFlow::Break(());
            }
            entries.push(entry.clone());
            ControlFlow::Continue(())
        })?;
        let next = if more { entries.last().map(|entry| query.behind(entry)) } else { None };
        Ok(Page { entries, next })
    }
}
