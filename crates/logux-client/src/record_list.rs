//! The records of a kind that match a filter, as a live list.

use core::{fmt, marker::PhantomData};
use std::sync::Arc;

use logux::{
    Action, Json,
    client::SubscriptionState,
    crdt::{MatchingRecords, Records, SyncMaps},
    json::JsonObject,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{DocumentHandle, PendingAction, SyncError};

/// The records of a kind that match a filter: [`Client::records`](crate::Client::records). The
/// user's own changes take effect at once: a record that no longer matches leaves the list. With
/// the last list or [`RecordHandle`](crate::RecordHandle) of a kind that is dropped, its records
/// close; their actions stay in the log.
///
/// The changes of the list are found by what has changed since, not by reading all records.
pub struct RecordList<T> {
    handle: DocumentHandle<SyncMaps>,
    listed: MatchingRecords,
    /// The state of the subscription at the end of the last [`changed`](Self::changed).
    subscription: Option<SubscriptionState>,
    types: PhantomData<fn() -> T>,
}

/// Reads a filter.
pub(crate) fn filter_of(filter: &impl Serialize) -> Result<JsonObject, SyncError> {
    let text = Json::from_value(filter).map_err(|error| SyncError::Filter(error.to_string()))?;
    JsonObject::from_json(text.as_str()).map_err(|error| SyncError::Filter(error.to_string()))
}

impl<T> RecordList<T> {
    pub(crate) fn new(handle: DocumentHandle<SyncMaps>, filter: JsonObject) -> Self {
        let (listed, subscription) = (MatchingRecords::new(filter), handle.subscription());
        let mut list = Self { handle, listed, subscription, types: PhantomData };
        list.update();
        list
    }

    /// Returns the handle of all records of the kind: for undo and redo, history, and the client.
    pub const fn handle(&self) -> &DocumentHandle<SyncMaps> {
        &self.handle
    }

    /// Takes over what has changed. Returns whether the list or a record in it has changed.
    fn update(&mut self) -> bool {
        let mut is_changed = false;
        self.listed.update(&self.handle.state(), |_, _| is_changed = true);
        is_changed
    }

    /// Returns the ids of the records, sorted.
    pub fn ids(&mut self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.update();
        self.listed.ids().iter()
    }

    /// Returns the number of records.
    pub fn len(&mut self) -> usize {
        self.ids().len()
    }

    /// Returns `true` if there are no records.
    pub fn is_empty(&mut self) -> bool {
        self.len() == 0
    }

    /// Returns `true` until the server has sent what it has, or has refused the subscription.
    pub fn is_loading(&self) -> bool {
        self.handle.subscription() == Some(SubscriptionState::Loading)
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

    /// Waits until the list, a record in it, or the state of the subscription has changed since the
    /// last call. Returns `false` when the client has stopped.
    pub async fn changed(&mut self) -> bool {
        loop {
            let subscription = self.subscription();
            if self.update() | (self.subscription != subscription) {
                self.subscription = subscription;
                return true;
            }
            if !self.handle.changed().await {
                return false;
            }
        }
    }

    /// Creates a record with the fields of a value; a field `id` of the value is left out. As a
    /// future, the result waits until the server has processed it. A value that is not an object
    /// changes nothing and is [`SyncError::Undone`] with the reason `wrongFormat`.
    pub fn create(&self, id: &str, fields: &impl Serialize) -> PendingAction {
        edit(&self.handle, "create", id, Some(fields))
    }

    /// Changes the fields of a record that a value has.
    pub fn change(&self, id: &str, fields: &impl Serialize) -> PendingAction {
        edit(&self.handle, "change", id, Some(fields))
    }

    /// Deletes a record.
    pub fn delete(&self, id: &str) -> PendingAction {
        edit(&self.handle, "delete", id, None::<&()>)
    }
}

impl<T: DeserializeOwned> RecordList<T> {
    /// Returns the records, sorted by id. A record that cannot be read into `T` is left out, with a
    /// warning in the log; [`read`](Self::read) returns the error.
    pub fn list(&mut self) -> Vec<T> {
        self.update();
        let read = |id: &Arc<str>| match read(self.listed.records(), id)? {
            Ok(record) => Some(record),
            Err(error) => {
                tracing::warn!(%id, %error, "a record has not the fields of its type");
                None
            }
        };
        self.listed.ids().iter().filter_map(read).collect()
    }

    /// Returns the records, sorted by id, each as far as it can be read into `T`.
    pub fn read(&mut self) -> Vec<(Arc<str>, Result<T, serde_json::Error>)> {
        self.update();
        let read = |id: &Arc<str>| Some((id.clone(), read(self.listed.records(), id)?));
        self.listed.ids().iter().filter_map(read).collect()
    }

    /// Waits until the list fulfils a condition, and returns it; `None` when the client has
    /// stopped.
    pub async fn until(&mut self, mut wanted: impl FnMut(&[T]) -> bool) -> Option<Vec<T>> {
        loop {
            let list = self.list();
            if wanted(&list) {
                return Some(list);
            }
            if !self.changed().await {
                return None;
            }
        }
    }
}

/// Reads a record with its id. `None` if it has no fields.
pub(crate) fn read<T: DeserializeOwned>(
    records: &Records,
    id: &str,
) -> Option<Result<T, serde_json::Error>> {
    records.get(id).map(serde_json::from_value)
}

/// Adds an action on a record.
pub(crate) fn edit(
    handle: &DocumentHandle<SyncMaps>,
    verb: &str,
    id: &str,
    fields: Option<&impl Serialize>,
) -> PendingAction {
    #[derive(Serialize)]
    struct Fields<'a> {
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        fields: Option<serde_json::Map<String, serde_json::Value>>,
    }
    let fields = fields.map(|fields| match serde_json::to_value(fields) {
        Ok(serde_json::Value::Object(mut fields)) => {
            fields.remove("id");
            Some(fields)
        }
        _ => None,
    });
    let action = match fields {
        Some(None) => None,
        fields => Action::typed(
            &format!("{}/{verb}", handle.name()),
            &Fields { id, fields: fields.flatten() },
        )
        .ok(),
    };
    match action {
        Some(action) => handle.edit(|_, _| Some(action)),
        None => handle.refused("wrongFormat"),
    }
}

impl<T> Clone for RecordList<T> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            listed: self.listed.clone(),
            subscription: self.subscription.clone(),
            types: PhantomData,
        }
    }
}

impl<T> fmt::Debug for RecordList<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordList")
            .field("plural", &self.handle.name())
            .field("filter", self.listed.filter())
            .finish_non_exhaustive()
    }
}
