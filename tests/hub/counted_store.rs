//! A store that counts the work of its caller.

use std::{cell::Cell, convert::Infallible, ops::ControlFlow, rc::Rc};

use logux::{
    ActionId, Entry, MemoryStore, Stamp,
    store::{Criteria, Insertion, MetaChange, Query, Store, Synced},
};

/// A store in memory that counts calls, and the entries and values that they visit or remove.
#[derive(Debug, Default)]
pub(crate) struct CountedStore {
    store: MemoryStore,
    /// The count.
    pub(crate) work: Rc<Cell<usize>>,
}

impl CountedStore {
    fn count(&self) {
        self.work.update(|work| work + 1);
    }
}

impl Store for CountedStore {
    type Error = Infallible;

    fn add(&mut self, entry: &mut Entry) -> Result<Insertion, Infallible> {
        self.count();
        self.store.add(entry)
    }

    fn by_id(&self, id: &ActionId) -> Result<Option<Entry>, Infallible> {
        self.count();
        self.store.by_id(id)
    }

    fn change_meta(&mut self, id: &ActionId, change: &MetaChange) -> Result<bool, Infallible> {
        self.count();
        self.store.change_meta(id, change)
    }

    fn remove(&mut self, id: &ActionId) -> Result<Option<Entry>, Infallible> {
        self.count();
        self.store.remove(id)
    }

    fn remove_reason(
        &mut self,
        reason: &str,
        criteria: &Criteria,
        removed: &mut dyn FnMut(Entry),
    ) -> Result<(), Infallible> {
        self.count();
        let work = self.work.clone();
        self.store.remove_reason(reason, criteria, &mut |entry| {
            work.update(|work| work + 1);
            removed(entry);
        })
    }

    fn newest_with_reason(&self, reason: &str) -> Result<Option<Stamp>, Infallible> {
        self.count();
        self.store.newest_with_reason(reason)
    }

    fn walk(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        self.count();
        self.store.walk(query, &mut |entry| {
            self.count();
            visit(entry)
        })
    }

    fn last_added(&self) -> Result<u64, Infallible> {
        self.store.last_added()
    }

    fn synced(&self) -> Result<Synced, Infallible> {
        self.store.synced()
    }

    fn set_synced(&mut self, synced: Synced) -> Result<(), Infallible> {
        self.store.set_synced(synced)
    }

    fn value(&self, name: &str) -> Result<Option<String>, Infallible> {
        self.count();
        self.store.value(name)
    }

    fn set_value(&mut self, name: &str, value: Option<&str>) -> Result<(), Infallible> {
        self.count();
        self.store.set_value(name, value)
    }

    fn walk_values(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(&str, &str) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        self.count();
        self.store.walk_values(prefix, visit)
    }

    fn clean(&mut self) -> Result<(), Infallible> {
        self.store.clean()
    }
}
