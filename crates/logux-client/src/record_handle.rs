//! One record, which a running client keeps up to date.

use core::{fmt, marker::PhantomData};
use std::sync::Arc;

use logux::{client::SubscriptionState, crdt::SyncMaps};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    DocumentHandle, PendingAction, SyncError,
    record_list::{edit, read},
};

/// One record of a kind: [`Client::record`](crate::Client::record).
pub struct RecordHandle<T> {
    handle: DocumentHandle<SyncMaps>,
    id: Arc<str>,
    types: PhantomData<fn() -> T>,
}

impl<T> RecordHandle<T> {
    pub(crate) fn new(handle: DocumentHandle<SyncMaps>, id: &str) -> Self {
        Self { handle, id: id.into(), types: PhantomData }
    }

    /// Returns the handle of all records of the kind: for undo and redo, history, and the client.
    pub const fn handle(&self) -> &DocumentHandle<SyncMaps> {
        &self.handle
    }

    /// Returns what has become of the subscription: [`DocumentHandle::subscription`].
    pub fn subscription(&self) -> Option<SubscriptionState> {
        self.handle.subscription()
    }

    /// Waits until the server has sent what it has.
    ///
    /// # Errors
    /// As [`DocumentHandle::loaded`].
    pub async fn loaded(&self) -> Result<(), SyncError> {
        self.handle.loaded().await
    }

    /// Waits until a record of the kind, or the state of the subscription, has changed since the
    /// last call. Returns `false` when the client has stopped.
    pub async fn changed(&mut self) -> bool {
        self.handle.changed().await
    }

    /// Creates the record with the fields of a value: [`RecordList::create`].
    ///
    /// [`RecordList::create`]: crate::RecordList::create
    pub fn create(&self, fields: &impl Serialize) -> PendingAction {
        edit(&self.handle, "create", &self.id, Some(fields))
    }

    /// Changes the fields that a value has.
    pub fn change(&self, fields: &impl Serialize) -> PendingAction {
        edit(&self.handle, "change", &self.id, Some(fields))
    }

    /// Deletes the record.
    pub fn delete(&self) -> PendingAction {
        edit(&self.handle, "delete", &self.id, None::<&()>)
    }
}

impl<T: DeserializeOwned> RecordHandle<T> {
    /// Returns the record. `None` if it does not exist on this device.
    ///
    /// # Errors
    /// If it cannot be read into `T`.
    pub fn get(&self) -> Result<Option<T>, serde_json::Error> {
        read(&self.handle.state(), &self.id).transpose()
    }
}

impl<T> Clone for RecordHandle<T> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), id: self.id.clone(), types: PhantomData }
    }
}

impl<T> fmt::Debug for RecordHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordHandle")
            .field("plural", &self.handle.name())
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
