//! A store that loses uncommitted writes in a crash.

use core::{convert::Infallible, ops::ControlFlow};
use std::sync::Arc;

use crate::{
    action::{ActionId, Stamp},
    store::{Criteria, Entry, Insertion, MemoryStore, MetaChange, Query, Store, Synced},
};

/// A store in memory with a separate durable state: [`crash`](Self::crash) discards all writes
/// since the last commit, like a power failure.
#[derive(Debug, Default)]
pub struct CrashStore {
    current: MemoryStore,
    durable: MemoryStore,
    uncommitted: Vec<Write>,
}

/// An uncommitted write.
#[derive(Debug)]
enum Write {
    Add(Entry),
    ChangeMeta(ActionId, MetaChange),
    Remove(ActionId),
    RemoveReason(Arc<str>, Criteria),
    SetSynced(Synced),
    SetValue(String, Option<String>),
    Clean,
}

impl Write {
    fn apply(self, store: &mut MemoryStore) -> Result<(), Infallible> {
        match self {
            Self::Add(mut entry) => store.add(&mut entry).map(drop),
            Self::ChangeMeta(id, change) => store.change_meta(&id, &change).map(drop),
            Self::Remove(id) => store.remove(&id).map(drop),
            Self::RemoveReason(reason, criteria) => {
                store.remove_reason(&reason, &criteria, &mut |_| {})
            }
            Self::SetSynced(synced) => store.set_synced(synced),
            Self::SetValue(name, value) => store.set_value(&name, value.as_deref()),
            Self::Clean => store.clean(),
        }
    }
}

impl CrashStore {
    /// Returns an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the store as it is after a power failure. O(n).
    #[must_use]
    pub fn crash(self) -> Self {
        Self { current: self.durable.clone(), durable: self.durable, uncommitted: Vec::new() }
    }
}

impl Store for CrashStore {
    type Error = Infallible;

    fn add(&mut self, entry: &mut Entry) -> Result<Insertion, Infallible> {
        let insertion = self.current.add(entry)?;
        if insertion == Insertion::Added {
            self.uncommitted.push(Write::Add(entry.clone()));
        }
        Ok(insertion)
    }

    fn by_id(&self, id: &ActionId) -> Result<Option<Entry>, Infallible> {
        self.current.by_id(id)
    }

    fn change_meta(&mut self, id: &ActionId, change: &MetaChange) -> Result<bool, Infallible> {
        self.uncommitted.push(Write::ChangeMeta(id.clone(), change.clone()));
        self.current.change_meta(id, change)
    }

    fn remove(&mut self, id: &ActionId) -> Result<Option<Entry>, Infallible> {
        self.uncommitted.push(Write::Remove(id.clone()));
        self.current.remove(id)
    }

    fn remove_reason(
        &mut self,
        reason: &str,
        criteria: &Criteria,
        removed: &mut dyn FnMut(Entry),
    ) -> Result<(), Infallible> {
        self.uncommitted.push(Write::RemoveReason(reason.into(), criteria.clone()));
        self.current.remove_reason(reason, criteria, removed)
    }

    fn newest_with_reason(&self, reason: &str) -> Result<Option<Stamp>, Infallible> {
        self.current.newest_with_reason(reason)
    }

    fn walk(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        self.current.walk(query, visit)
    }

    fn last_added(&self) -> Result<u64, Infallible> {
        self.current.last_added()
    }

    fn synced(&self) -> Result<Synced, Infallible> {
        self.current.synced()
    }

    fn set_synced(&mut self, synced: Synced) -> Result<(), Infallible> {
        self.uncommitted.push(Write::SetSynced(synced));
        self.current.set_synced(synced)
    }

    fn value(&self, name: &str) -> Result<Option<String>, Infallible> {
        self.current.value(name)
    }

    fn set_value(&mut self, name: &str, value: Option<&str>) -> Result<(), Infallible> {
        self.uncommitted.push(Write::SetValue(name.to_owned(), value.map(ToOwned::to_owned)));
        self.current.set_value(name, value)
    }

    fn walk_values(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(&str, &str) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        self.current.walk_values(prefix, visit)
    }

    fn clean(&mut self) -> Result<(), Infallible> {
        self.uncommitted.push(Write::Clean);
        self.current.clean()
    }

    fn commit(&mut self) -> Result<(), Infallible> {
        self.uncommitted.drain(..).try_for_each(|write| write.apply(&mut self.durable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Meta};

    #[test]
    fn a_crash_discards_uncommitted_writes() {
        let mut store = CrashStore::new();
        let add = |store: &mut CrashStore, id: &str| {
            let meta = Meta::new(id.parse().unwrap()).with_reason("a");
            let _ = store.add(&mut Entry::new(Action::new(r#"{"type":"a"}"#).unwrap(), meta));
        };
        add(&mut store, "1 a 0");
        let _ = store.commit();
        add(&mut store, "2 a 0");
        let store = store.crash();
        assert!(store.by_id(&"1 a 0".parse().unwrap()).unwrap().is_some());
        assert!(store.by_id(&"2 a 0".parse().unwrap()).unwrap().is_none());
    }
}
