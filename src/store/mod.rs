//! Storage of entries: the [`Store`] trait and a store in memory.
//!
//! A store keeps entries and finds them; the rules (reasons, generated ids, observers) are in
//! [`log`](crate::log). The suite `logux::testing::store_suite` (feature `testing`) tests whether a
//! store is correct.
//!
//! Read [`Store`] and [`Entry`], then [`Query`] and [`Criteria`], then [`MemoryStore`] and
//! [`JournalStore`]. For stores in databases, [`key`] encodes positions in the order as bytes that
//! sort alike.

mod journal;
pub mod key;
mod memory;
mod query;

pub use journal::{JournalStore, StoreChange};
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
    /// The action.
    pub action: Action,
    /// The meta of the action.
    pub meta: Meta,
}

impl Entry {
    /// Creates an entry.
    pub const fn new(action: Action, meta: Meta) -> Self {
        Self { action, meta }
    }
}

/// The result of adding an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Insertion {
    /// The entry was added; its `meta.added` is set.
    Added,
    /// The store already has an entry with this id; nothing has changed.
    Duplicate,
}

/// A change of an entry's meta. Id, times, subprotocol and indexes cannot be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaChange {
    /// The new reasons, which replace the old ones. `None`: the reasons stay.
    pub reasons: Option<NameList>,
    /// The extra keys to set, or to remove if the value is `None`.
    pub extra: Vec<(Arc<str>, Option<Json>)>,
}

impl MetaChange {
    /// Applies the change to a meta.
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

/// The progress of the exchange with the other node, as `added` numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// The last own entry that the other node has confirmed.
    pub sent: u64,
    /// The last entry of the other node that was received.
    pub received: u64,
}

/// Keeps entries in two orders: by creation ([`Stamp`]) and by arrival (`added`).
///
/// The interface is synchronous. With *n* entries, each call for one entry is O(log n) in the
/// stores of this project; the cost of a walk is proportional to the number of visited entries.
///
/// # Durability
/// Writes are durable when the next [`commit`](Self::commit) has returned, not before, so a caller
/// decides how many writes share one expensive step. A store that is opened again contains
/// everything up to its last commit, and nothing in part.
///
/// # Errors that pass
/// A full disk or a locked file is not the end of a store. A store that reports such errors in
/// [`is_transient`](Self::is_transient) also implements [`rollback`](Self::rollback), and, if it
/// can be locked, [`begin`](Self::begin). Then a server waits until the store can write again. By
/// default, every error ends the server.
pub trait Store {
    /// The error of the back end, such as a file or a connection. [`core::convert::Infallible`] in
    /// memory.
    type Error: core::error::Error + Send + Sync + 'static;

    /// Adds an entry and sets its `meta.added` to the next number, unless the store already has an
    /// entry with this id.
    ///
    /// # Errors
    /// If the back end fails; then nothing was added.
    fn add(&mut self, entry: &mut Entry) -> Result<Insertion, Self::Error>;

    /// Returns the entry with this id, if there is one.
    ///
    /// # Errors
    /// If the back end fails.
    fn by_id(&self, id: &ActionId) -> Result<Option<Entry>, Self::Error>;

    /// Changes the meta of an entry. Returns `false` if there is no entry with this id. An entry
    /// without reasons is not removed: this is a rule of the log.
    ///
    /// # Errors
    /// If the back end fails.
    fn change_meta(&mut self, id: &ActionId, change: &MetaChange) -> Result<bool, Self::Error>;

    /// Removes an entry and returns it.
    ///
    /// # Errors
    /// If the back end fails.
    fn remove(&mut self, id: &ActionId) -> Result<Option<Entry>, Self::Error>;

    /// Removes a reason from the entries that match the criteria, then removes those of them that
    /// have no reasons left. Calls `removed` with each removed entry, oldest first by creation.
    ///
    /// # Errors
    /// If the back end fails.
    fn remove_reason(
        &mut self,
        reason: &str,
        criteria: &Criteria,
        removed: &mut dyn FnMut(Entry),
    ) -> Result<(), Self::Error>;

    /// Returns the stamp of the latest entry, by creation, that has the reason.
    ///
    /// # Errors
    /// If the back end fails.
    fn newest_with_reason(&self, reason: &str) -> Result<Option<Stamp>, Self::Error>;

    /// Visits entries in the order of the query until `visit` breaks.
    ///
    /// # Errors
    /// If the back end fails.
    fn walk(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;

    /// Returns the highest `added` number that was ever assigned, even if that entry was removed.
    /// Initially 0.
    ///
    /// # Errors
    /// If the back end fails.
    fn last_added(&self) -> Result<u64, Self::Error>;

    /// Returns the progress of the exchange with the other node, as it was last set.
    ///
    /// # Errors
    /// If the back end fails.
    fn synced(&self) -> Result<Synced, Self::Error>;

    /// Stores the progress of the exchange with the other node.
    ///
    /// # Errors
    /// If the back end fails.
    fn set_synced(&mut self, synced: Synced) -> Result<(), Self::Error>;

    /// Returns the value with this name, as it was last set.
    ///
    /// # Errors
    /// If the back end fails.
    fn value(&self, name: &str) -> Result<Option<String>, Self::Error>;

    /// Sets the value with this name, or removes it. Values are small facts beside the entries,
    /// such as a position in another log; they become durable in the same commit.
    ///
    /// # Errors
    /// If the back end fails.
    fn set_value(&mut self, name: &str, value: Option<&str>) -> Result<(), Self::Error>;

    /// Visits the values whose names begin with a prefix, ordered by the UTF-8 bytes of the names,
    /// until `visit` breaks.
    ///
    /// # Errors
    /// If the back end fails.
    fn walk_values(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(&str, &str) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;

    /// Removes all entries and values, and resets the numbers and the progress of the exchange.
    ///
    /// # Errors
    /// If the back end fails.
    fn clean(&mut self) -> Result<(), Self::Error>;

    /// Returns `true` if an error may pass without a change of the program or the data, because the
    /// database was locked, full or unreachable, and `false` if the data is damaged or the error is
    /// unknown. Default: `false`.
    fn is_transient(error: &Self::Error) -> bool {
        let _ = error;
        false
    }

    /// Prepares the writes of the next commit, so that a locked store fails here, before anything
    /// depends on it. Has no effect if there are writes already. Default: nothing.
    ///
    /// # Errors
    /// If the back end fails; then nothing has changed.
    fn begin(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Drops all writes since the last [`commit`](Self::commit). It is called after transient
    /// errors only. Default: nothing.
    ///
    /// # Errors
    /// If the back end fails. It is called again later then.
    fn rollback(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Makes all previous writes durable. Has no effect in memory.
    ///
    /// # Errors
    /// If the back end fails; then the writes since the last commit may be lost.
    fn commit(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Returns up to `limit` entries of a query, and the query for the entries after them.
    ///
    /// # Errors
    /// If the back end fails.
    fn page(&self, query: &Query, limit: usize) -> Result<Page, Self::Error> {
        let mut entries = Vec::new();
        let mut has_more = false;
        self.walk(query, &mut |entry| {
            if entries.len() == limit {
                has_more = true;
                return ControlFlow::Break(());
            }
            entries.push(entry.clone());
            ControlFlow::Continue(())
        })?;
        let next =
            if has_more { entries.last().map(|entry| query.after_entry(entry)) } else { None };
        Ok(Page { entries, next })
    }
}
