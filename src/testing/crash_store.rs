//! A store that can crash: what was not committed is gone.

use core::{convert::Infallible, ops::ControlFlow};
use std::sync::Arc;

use crate::{
    action::{ActionId, Stamp},
    store::{Criteria, Entry, Insertion, MemoryStore, MetaChange, Query, Store, Synced},
};

/// A store in memory that keeps apart what is durable: [`crash`](Self::crash) forgets everything since the last commit, as a file does when the power fails.
#[derive(Debug, Default)]
pub struct CrashStore {
    now: MemoryStore,
    durable: MemoryStore,
    since: Vec<Write>,
}

/// A write that is not durable yet.
#[derive(Debug)]
enum Write {
    Add(Entry),
    ChangeMeta(ActionId, MetaChange),
    Remove(ActionId),
    RemoveReason(Arc<str>, Criteria),
    SetSynced(Synced),
    Clean,
}

impl Write {
    fn carry_out(self, store: &mut MemoryStore) -> Result<(), Infallible> {
        match self {
            Self::Add(mut entry) => store.add(&mut entry).map(drop),
            Self::ChangeMeta(id, change) => store.change_meta(&id, &change).map(drop),
            Self::Remove(id) => store.remove(&id).map(drop),
            Self::RemoveReason(reason, criteria) => {
                store.remove_reason(&reason, &criteria, &mut |_| {})
            }
            Self::SetSynced(synced) => store.set_synced(synced),
            Self::Clean => store.clean(),
        }
    }
}

impl CrashStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The store as it is after the power has failed. O(n).
    #[must_use]
    pub fn crash(self) -> Self {
        Self { now: self.durable.clone(), durable: self.durable, since: Vec::new() }
    }
}

impl Store for CrashStore {
    type Error = Infallible;

    fn add(&mut self, entry: &mut Entry) -> Result<Insertion, Infallible> {
        let insertion = self.now.add(entry)?;
        if insertion == Insertion::Added {
            self.since.push(Write::Add(entry.clone()));
        }
        Ok(insertion)
    }

    fn by_id(&self, id: &ActionId) -> Result<Option<Entry>, Infallible> {
        self.now.by_id(id)
    }

    fn change_meta(&mut self, id: &ActionId, change: &MetaChange) -> Result<bool, Infallible> {
        self.since.push(Write::ChangeMeta(id.clone(), change.clone()));
        self.now.change_meta(id, change)
    }

    fn remove(&mut self, id: &ActionId) -> Result<Option<Entry>, Infallible> {
        self.since.push(Write::Remove(id.clone()));
        self.now.remove(id)
    }

    fn remove_reason(
        &mut self,
        reason: &str,
        criteria: &Criteria,
        removed: &mut dyn FnMut(Entry),
    ) -> Result<(), Infallible> {
        self.since.push(Write::RemoveReason(reason.into(), criteria.clone()));
        self.now.remove_reason(reason, criteria, removed)
    }

    fn newest_with_reason(&self, reason: &str) -> Result<Option<Stamp>, Infallible> {
        self.now.newest_with_reason(reason)
    }

    fn walk(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        self.now.walk(query, visit)
    }

    fn last_added(&self) -> Result<u64, Infallible> {
        self.now.last_added()
    }

    fn synced(&self) -> Result<Synced, Infallible> {
        self.now.synced()
    }

    fn set_synced(&mut self, synced: Synced) -> Result<(), Infallible> {
        self.since.push(Write::SetSynced(synced));
        self.now.set_synced(synced)
    }

    fn clean(&mut self) -> Result<(), Infallible> {
        self.since.push(Write::Clean);
        self.now.clean()
    }

    fn commit(&mut self) -> Result<(), Infallible> {
        self.since.drain(..).try_for_each(|write| write.carry_out(&mut self.durable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Meta};

    #[test]
    fn what_was_not_committed_is_gone() {
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
