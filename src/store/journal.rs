//! A store in memory that lists its changes, for a database that the caller writes itself.

use core::{convert::Infallible, mem, ops::ControlFlow};
use std::collections::BTreeSet;

use indexmap::{IndexMap, IndexSet};

use super::{Criteria, Entry, Insertion, MemoryStore, MetaChange, Query, Store, Synced};
use crate::action::{ActionId, Stamp};

/// A change of a [`JournalStore`], to be made in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChange {
    /// Remove everything.
    Clean,
    /// Write an entry, in place of the one with its id.
    Put(Entry),
    /// Remove the entry with this id.
    Remove(ActionId),
    /// Set the value with this name, or remove it.
    Value(String, Option<String>),
    /// Write the highest `added` number that was assigned, and the progress of the exchange.
    Numbers {
        /// The highest `added` number.
        last_added: u64,
        /// The progress of the exchange.
        synced: Synced,
    },
}

/// A [`MemoryStore`] with a list of what was changed, for a database that can only be written
/// asynchronously, such as IndexedDB in a browser.
///
/// After a commit of the log, take the [changes](Self::take_changes), and write all of them in one
/// transaction. What the commit permits, such as messages to a server, has to wait until the
/// transaction is complete. [`restore`](Self::restore) reads the database at the next start.
///
/// ```
/// use logux::{Action, Log, log::Draft, store::{JournalStore, Store}, WallTime};
///
/// let mut log = Log::new("10:phone:tab".parse()?, JournalStore::default())?;
/// let draft = Draft::default().and_reason("notes");
/// log.add(WallTime::from_millis(1), Action::new(r#"{"type":"a"}"#)?, draft)?;
/// log.commit()?;
/// let mut store = log.into_store();
/// let changes = store.take_changes();
/// assert_eq!(JournalStore::restore(changes).last_added(), Ok(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct JournalStore {
    memory: MemoryStore,
    /// What has changed since the last commit.
    is_clean: bool,
    entries: IndexSet<ActionId>,
    values: BTreeSet<String>,
    has_numbers: bool,
    /// The changes of the commits that were not taken yet.
    committed: Vec<StoreChange>,
}

impl JournalStore {
    /// Creates the store that a database has, in any order of its changes but
    /// [`Clean`](StoreChange::Clean). They are not changes of the new store.
    pub fn restore(changes: impl IntoIterator<Item = StoreChange>) -> Self {
        let (mut memory, mut entries) = (MemoryStore::new(), IndexMap::new());
        for change in changes {
            match change {
                StoreChange::Clean => {
                    memory = MemoryStore::new();
                    entries.clear();
                }
                StoreChange::Put(entry) => drop(entries.insert(entry.meta.id.clone(), entry)),
                StoreChange::Remove(id) => drop(entries.swap_remove(&id)),
                StoreChange::Value(name, value) => {
                    let Ok(()) = memory.set_value(&name, value.as_deref());
                }
                StoreChange::Numbers { last_added, synced } => {
                    memory.restore_last_added(last_added);
                    let Ok(()) = memory.set_synced(synced);
                }
            }
        }
        let mut entries: Vec<Entry> = entries.into_values().collect();
        // Stable, so that also a damaged database is the same store on all platforms.
        entries.sort_by_key(|entry| entry.meta.added);
        entries.iter().for_each(|entry| memory.restore_entry(entry));
        Self { memory, ..Self::default() }
    }

    /// Returns the changes of all commits since the last call, in the order in which they have to
    /// be written.
    pub fn take_changes(&mut self) -> Vec<StoreChange> {
        mem::take(&mut self.committed)
    }

    /// Returns the store in memory.
    pub const fn memory(&self) -> &MemoryStore {
        &self.memory
    }

    fn list_changes(&mut self) {
        if mem::take(&mut self.is_clean) {
            self.committed.push(StoreChange::Clean);
        }
        for id in self.entries.drain(..) {
            let Ok(entry) = self.memory.by_id(&id);
            self.committed.push(match entry {
                Some(entry) => StoreChange::Put(entry),
                None => StoreChange::Remove(id),
            });
        }
        for name in mem::take(&mut self.values) {
            let Ok(value) = self.memory.value(&name);
            self.committed.push(StoreChange::Value(name, value));
        }
        if mem::take(&mut self.has_numbers) {
            let (Ok(last_added), Ok(synced)) = (self.memory.last_added(), self.memory.synced());
            self.committed.push(StoreChange::Numbers { last_added, synced });
        }
    }
}

impl Store for JournalStore {
    type Error = Infallible;

    fn add(&mut self, entry: &mut Entry) -> Result<Insertion, Infallible> {
        let inserted = self.memory.add(entry)?;
        if inserted == Insertion::Added {
            self.entries.insert(entry.meta.id.clone());
            self.has_numbers = true;
        }
        Ok(inserted)
    }

    fn by_id(&self, id: &ActionId) -> Result<Option<Entry>, Infallible> {
        self.memory.by_id(id)
    }

    fn change_meta(&mut self, id: &ActionId, change: &MetaChange) -> Result<bool, Infallible> {
        let is_known = self.memory.change_meta(id, change)?;
        if is_known {
            self.entries.insert(id.clone());
        }
        Ok(is_known)
    }

    fn remove(&mut self, id: &ActionId) -> Result<Option<Entry>, Infallible> {
        let removed = self.memory.remove(id)?;
        if removed.is_some() {
            self.entries.insert(id.clone());
        }
        Ok(removed)
    }

    fn remove_reason(
        &mut self,
        reason: &str,
        criteria: &Criteria,
        removed: &mut dyn FnMut(Entry),
    ) -> Result<(), Infallible> {
        self.memory.each_with_reason(reason, criteria, |id| {
            self.entries.insert(id.clone());
        });
        self.memory.remove_reason(reason, criteria, removed)
    }

    fn newest_with_reason(&self, reason: &str) -> Result<Option<Stamp>, Infallible> {
        self.memory.newest_with_reason(reason)
    }

    fn walk(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        self.memory.walk(query, visit)
    }

    fn last_added(&self) -> Result<u64, Infallible> {
        self.memory.last_added()
    }

    fn synced(&self) -> Result<Synced, Infallible> {
        self.memory.synced()
    }

    fn set_synced(&mut self, synced: Synced) -> Result<(), Infallible> {
        self.has_numbers = true;
        self.memory.set_synced(synced)
    }

    fn value(&self, name: &str) -> Result<Option<String>, Infallible> {
        self.memory.value(name)
    }

    fn set_value(&mut self, name: &str, value: Option<&str>) -> Result<(), Infallible> {
        self.values.insert(name.to_owned());
        self.memory.set_value(name, value)
    }

    fn walk_values(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(&str, &str) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        self.memory.walk_values(prefix, visit)
    }

    fn clean(&mut self) -> Result<(), Infallible> {
        self.entries.clear();
        self.values.clear();
        (self.is_clean, self.has_numbers) = (true, true);
        self.memory.clean()
    }

    fn commit(&mut self) -> Result<(), Infallible> {
        self.list_changes();
        Ok(())
    }
}
