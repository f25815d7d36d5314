//! Changes of the rights to a document take effect for who has it open: they are told what they may
//! do now, or lose their subscriptions.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use indexmap::IndexSet;
use logux::{
    Entry,
    action::{DocumentKey, DocumentOperation, logux::UNDO},
    crdt::{Crdt, Path, Shared},
    replay::Reducer as _,
    server::Recipients,
};
use tokio::sync::Notify;

use crate::{documents::checks::operations, hub::application::EntryObserver};

/// The documents whose rights have changed, each once.
#[derive(Debug, Default)]
pub(super) struct AccessChanges {
    ids: Mutex<IndexSet<Arc<str>>>,
    changed: Notify,
}

impl AccessChanges {
    fn ids(&self) -> MutexGuard<'_, IndexSet<Arc<str>>> {
        // A poisoned lock is consistent: every change is one call.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a document.
    pub(super) fn add(&self, id: Arc<str>) {
        self.ids().insert(id);
        self.changed.notify_one();
    }

    /// Waits for documents, and takes them.
    pub(super) async fn next(&self) -> IndexSet<Arc<str>> {
        loop {
            let ids = mem::take(&mut *self.ids());
            if !ids.is_empty() {
                return ids;
            }
            self.changed.notified().await;
        }
    }
}

/// Returns `true` if an action of a document changes what is at a managed path.
type Manages = Box<dyn Fn(&Entry, &DocumentKey) -> bool + Send>;

/// Finds the actions that change the rights to their documents: those at managed paths.
pub(super) struct AccessObserver {
    pub(super) kind: Arc<str>,
    pub(super) changes: Arc<AccessChanges>,
    pub(super) manages: Manages,
}

impl EntryObserver for AccessObserver {
    fn record(&mut self, entry: &Entry, document: Option<&DocumentKey>) {
        let Some(key) = document.filter(|key| *key.kind() == self.kind) else { return };
        // The action that is undone is not known here.
        if entry.action.kind() == UNDO || (self.manages)(entry, key) {
            self.changes.add(key.id().clone());
        }
    }
}

/// Returns the function that finds the actions at managed paths.
pub(super) fn manages<C: Crdt>(managed: Vec<Path>) -> Manages {
    Box::new(move |entry, key| {
        let shared = Shared::<C>::new(key.kind().clone(), key.id().clone());
        let Ok(Some(ops)) = shared.read(&entry.action) else { return false };
        operations::<C>(&ops, &[], &managed).contains(&DocumentOperation::Manage)
    })
}

/// Returns the recipient of what one client is told.
pub(super) fn to_node(node: &logux::NodeId) -> Recipients {
    Recipients { nodes: vec![node.as_str().into()], ..Recipients::default() }
}
