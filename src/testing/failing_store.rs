//! A store that fails for a while.

use core::{
    fmt,
    ops::ControlFlow,
    sync::atomic::{AtomicU8, Ordering},
};
use std::sync::Arc;

use super::CrashStore;
use crate::{
    action::{ActionId, Stamp},
    store::{Criteria, Entry, Insertion, MetaChange, Query, Store, Synced},
};

/// A [`CrashStore`] that fails while its [`FailureSwitch`] says so. All failures but
/// [`StoreFailure::Damaged`] are transient.
///
/// ```
/// use logux::{Store, testing::{FailingStore, StoreFailure}};
///
/// let (mut store, switch) = FailingStore::new();
/// switch.set(Some(StoreFailure::Locked));
/// assert_eq!(store.begin(), Err(StoreFailure::Locked));
/// switch.set(None);
/// assert_eq!(store.begin(), Ok(()));
/// ```
#[derive(Debug)]
pub struct FailingStore {
    store: CrashStore,
    /// Whether there are writes since the last commit.
    is_writing: bool,
    switch: FailureSwitch,
}

/// Starts and ends the failures of a [`FailingStore`]. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct FailureSwitch(Arc<AtomicU8>);

/// The failure of a [`FailingStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFailure {
    /// Another program has locked the database: writes cannot begin.
    Locked,
    /// There is no space left: writes cannot be committed.
    Full,
    /// The device fails: each write fails.
    WriteFailed,
    /// The data is damaged, and each write fails. Not transient.
    Damaged,
}

impl fmt::Display for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Locked => "the store is locked",
            Self::Full => "the store is full",
            Self::WriteFailed => "the store cannot write",
            Self::Damaged => "the store is damaged",
        })
    }
}

impl core::error::Error for StoreFailure {}

impl FailureSwitch {
    const FAILURES: [StoreFailure; 4] = [
        StoreFailure::Locked,
        StoreFailure::Full,
        StoreFailure::WriteFailed,
        StoreFailure::Damaged,
    ];

    /// Starts a failure, or ends it with `None`.
    pub fn set(&self, failure: Option<StoreFailure>) {
        let position = Self::FAILURES.iter().position(|other| Some(*other) == failure);
        let number = position.and_then(|position| u8::try_from(position + 1).ok());
        self.0.store(number.unwrap_or_default(), Ordering::SeqCst);
    }

    fn get(&self) -> Option<StoreFailure> {
        Self::FAILURES.get(usize::from(self.0.load(Ordering::SeqCst)).wrapping_sub(1)).copied()
    }
}

impl FailingStore {
    /// Returns an empty store that works, and its switch.
    pub fn new() -> (Self, FailureSwitch) {
        Self::over(CrashStore::new())
    }

    /// Returns a store that works over another, and its switch.
    pub fn over(store: CrashStore) -> (Self, FailureSwitch) {
        let switch = FailureSwitch::default();
        (Self { store, is_writing: false, switch: switch.clone() }, switch)
    }

    /// Returns the store as it is after a power failure. O(n).
    #[must_use]
    pub fn crash(self) -> CrashStore {
        self.store.crash()
    }

    /// Returns the store for a write.
    fn writer(&mut self) -> Result<&mut CrashStore, StoreFailure> {
        self.begin()?;
        match self.switch.get() {
            Some(failure @ (StoreFailure::WriteFailed | StoreFailure::Damaged)) => Err(failure),
            _ => {
                self.is_writing = true;
                Ok(&mut self.store)
            }
        }
    }
}

/// Converts the result of a store that does not fail.
fn infallible<T>(result: Result<T, core::convert::Infallible>) -> Result<T, StoreFailure> {
    result.map_err(|never| match never {})
}

impl Store for FailingStore {
    type Error = StoreFailure;

    fn add(&mut self, entry: &mut Entry) -> Result<Insertion, StoreFailure> {
        infallible(self.writer()?.add(entry))
    }

    fn by_id(&self, id: &ActionId) -> Result<Option<Entry>, StoreFailure> {
        infallible(self.store.by_id(id))
    }

    fn change_meta(&mut self, id: &ActionId, change: &MetaChange) -> Result<bool, StoreFailure> {
        infallible(self.writer()?.change_meta(id, change))
    }

    fn remove(&mut self, id: &ActionId) -> Result<Option<Entry>, StoreFailure> {
        infallible(self.writer()?.remove(id))
    }

    fn remove_reason(
        &mut self,
        reason: &str,
        criteria: &Criteria,
        removed: &mut dyn FnMut(Entry),
    ) -> Result<(), StoreFailure> {
        infallible(self.writer()?.remove_reason(reason, criteria, removed))
    }

    fn newest_with_reason(&self, reason: &str) -> Result<Option<Stamp>, StoreFailure> {
        infallible(self.store.newest_with_reason(reason))
    }

    fn walk(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), StoreFailure> {
        infallible(self.store.walk(query, visit))
    }

    fn last_added(&self) -> Result<u64, StoreFailure> {
        infallible(self.store.last_added())
    }

    fn synced(&self) -> Result<Synced, StoreFailure> {
        infallible(self.store.synced())
    }

    fn set_synced(&mut self, synced: Synced) -> Result<(), StoreFailure> {
        infallible(self.writer()?.set_synced(synced))
    }

    fn value(&self, name: &str) -> Result<Option<String>, StoreFailure> {
        infallible(self.store.value(name))
    }

    fn set_value(&mut self, name: &str, value: Option<&str>) -> Result<(), StoreFailure> {
        infallible(self.writer()?.set_value(name, value))
    }

    fn walk_values(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(&str, &str) -> ControlFlow<()>,
    ) -> Result<(), StoreFailure> {
        infallible(self.store.walk_values(prefix, visit))
    }

    fn clean(&mut self) -> Result<(), StoreFailure> {
        infallible(self.writer()?.clean())
    }

    fn is_transient(error: &StoreFailure) -> bool {
        *error != StoreFailure::Damaged
    }

    fn begin(&mut self) -> Result<(), StoreFailure> {
        match self.switch.get() {
            Some(StoreFailure::Locked) if !self.is_writing => Err(StoreFailure::Locked),
            _ => Ok(()),
        }
    }

    fn rollback(&mut self) -> Result<(), StoreFailure> {
        self.store = core::mem::take(&mut self.store).crash();
        self.is_writing = false;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreFailure> {
        if self.is_writing && self.switch.get() == Some(StoreFailure::Full) {
            return Err(StoreFailure::Full);
        }
        self.is_writing = false;
        infallible(self.store.commit())
    }
}
