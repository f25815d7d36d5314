//! Records that clients share and edit field by field: `addSyncMap` and `addSyncMapFilter` of the reference, over a storage of your own.
//!
//! Clients send `PLURAL/create`, `PLURAL/change` and `PLURAL/delete`; subscribers of `PLURAL/ID` and of `PLURAL` with a filter get
//! `PLURAL/created`, `PLURAL/changed` and `PLURAL/deleted`.
//!
//! Read [`SyncMap`] (single records) and [`SyncMapFilter`] (those that match), then `data` (what they give back), then `serving` (what
//! [`Builder`](crate::Builder) makes of them). `filter` is which live actions a filter takes; `records`, `sqlite` and `postgres` are the
//! storages that are ready for use, `suite` judges those and yours.

mod data;
mod filter;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod records;
mod serving;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "testing")]
pub mod suite;

pub use data::{EditOutcome, LoadOutcome, RecordList, SyncMapData};
pub use logux::record::Write;

use std::{future::Future, sync::Arc};

use logux::{WallTime, json::JsonObject, server::Filter};

use crate::{error::HandlerError, handlers::context::Context};

/// A collection of records in a storage of yours, for [`Builder::sync_map`](crate::Builder::sync_map).
///
/// Who may do what was decided before a method is called. The context has the action, its author and your state; `id` is the
/// record's, never empty; `fields` never has the key `id`. An error undoes the action: [`HandlerError::NotFound`], or any error by `?`.
///
/// # What the storage decides
/// Clients keep the time of each field, and of two writes they take the later. A storage that does the same with [`Write::stamp`] agrees with
/// them whatever comes late, and tells by [`EditOutcome::Fields`] what has won. One that keeps no times writes what comes, answers
/// [`EditOutcome::All`], and loads its fields [without a time](SyncMapData::without_time): they count as written at the moment of loading.
///
/// After a crash an action may come again that was done already, for the same reason as with any handler. A write that is compared by its
/// stamp does no harm twice; else remember its id in the same transaction
/// ([`exactly_once`](crate::exactly_once)).
///
/// `logux_server::testing::sync_map_suite` (feature `testing`) judges a storage.
///
/// ```
/// use std::collections::BTreeMap;
/// use logux::{Json, WallTime, json::JsonObject};
/// use logux_server::{Context, EditOutcome, LoadOutcome, HandlerError, Server, SyncMap, SyncMapData, Write};
/// use tokio::sync::Mutex;
///
/// /// Notes with a text, and the time of its last change.
/// #[derive(Default)]
/// struct Notes(Mutex<BTreeMap<String, (String, WallTime)>>);
///
/// impl SyncMap for Notes {
///     async fn load(&self, _: &Context, id: &str, _: Option<WallTime>) -> Result<LoadOutcome, HandlerError> {
///         let notes = self.0.lock().await;
///         let Some((text, time)) = notes.get(id) else { return Ok(LoadOutcome::Missing) };
///         Ok(SyncMapData::new(id).changed_at("text", text, *time)?.into())
///     }
///
///     async fn create(&self, context: &Context, id: &str, fields: &JsonObject, write: Write<'_>) -> Result<EditOutcome, HandlerError> {
///         self.change(context, id, fields, write).await
///     }
///
///     async fn change(&self, _: &Context, id: &str, fields: &JsonObject, write: Write<'_>) -> Result<EditOutcome, HandlerError> {
///         let text = fields.get("text").ok_or_else(|| HandlerError::undo("textMissing"))?.to()?;
///         let mut notes = self.0.lock().await;
///         if notes.get(id).is_some_and(|(_, time)| *time > write.time()) {
///             return Ok(EditOutcome::Nothing);
///         }
///         notes.insert(id.to_owned(), (text, write.time()));
///         Ok(EditOutcome::All)
///     }
///
///     async fn delete(&self, _: &Context, id: &str, _: Write<'_>) -> Result<bool, HandlerError> {
///         Ok(self.0.lock().await.remove(id).is_some())
///     }
/// }
///
/// let server = Server::builder()
///     .auth(|login| async move { Ok(login.token.as_deref() == Some("secret")) })
///     .sync_map("notes", Notes::default(), |context, id| async move {
///         Ok(context.user_id().is_some_and(|user| id.starts_with(user)))
///     });
/// ```
pub trait SyncMap<S = ()>: Send + Sync + 'static {
    /// The record, for one who subscribes to it.
    ///
    /// `since`: when the subscriber last heard of it, by this server's clock; `None` if it never did. What arrived before then it knows, and need not be
    /// told again. Note that an edit made offline arrives later than it was made.
    fn load(
        &self,
        context: &Context<S>,
        id: &str,
        since: Option<WallTime>,
    ) -> impl Future<Output = Result<LoadOutcome, HandlerError>> + Send;

    /// Creates the record. It may be there already, when a client tries again.
    fn create(
        &self,
        context: &Context<S>,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> impl Future<Output = Result<EditOutcome, HandlerError>> + Send {
        let _ = (context, id, fields, write);
        async { Err(HandlerError::UnknownType) }
    }

    /// Changes some fields of the record.
    fn change(
        &self,
        context: &Context<S>,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> impl Future<Output = Result<EditOutcome, HandlerError>> + Send {
        let _ = (context, id, fields, write);
        async { Err(HandlerError::UnknownType) }
    }

    /// Deletes the record. `true` if it is gone and its subscribers are to be told.
    fn delete(
        &self,
        context: &Context<S>,
        id: &str,
        write: Write<'_>,
    ) -> impl Future<Output = Result<bool, HandlerError>> + Send {
        let _ = (context, id, write);
        async { Err(HandlerError::UnknownType) }
    }

    /// Which edits clients may ask for: all, unless this says otherwise. The action types of the others stay free for handlers of your own.
    fn edits(&self) -> &[EditKind] {
        &[EditKind::Create, EditKind::Change, EditKind::Delete]
    }
}

/// An edit of a record by a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EditKind {
    /// `PLURAL/create`.
    Create,
    /// `PLURAL/change`.
    Change,
    /// `PLURAL/delete`.
    Delete,
}

/// A collection of which clients see those records that match a filter, for [`Builder::sync_map_filter`](crate::Builder::sync_map_filter).
pub trait SyncMapFilter<S = ()>: Send + Sync + 'static {
    /// The records that match, for one who subscribes with the filter; an empty filter takes all. A record matches when it has a field equal to each
    /// of the filter's. The subscriber is then subscribed to each of them too.
    ///
    /// `since` is as for [`SyncMap::load`]. One who comes back should also be told of records that were deleted ([`RecordList::gone`]), and
    /// get the fields by which a record has stopped to match, meanwhile.
    fn list(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
        since: Option<WallTime>,
    ) -> impl Future<Output = Result<RecordList, HandlerError>> + Send;

    /// Which of the later `created`, `changed` and `deleted` the subscriber gets, besides that the filter has to take them: those for which
    /// the function returns `true`. All, unless this says otherwise. It runs for every action and subscriber, so it has to be quick.
    fn actions(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
    ) -> impl Future<Output = Result<Option<Filter>, HandlerError>> + Send {
        let _ = (context, filter);
        async { Ok(None) }
    }
}

/// A storage that is shared is one too.
impl<S: Send + Sync + 'static, M: SyncMap<S>> SyncMap<S> for Arc<M> {
    async fn load(
        &self,
        context: &Context<S>,
        id: &str,
        since: Option<WallTime>,
    ) -> Result<LoadOutcome, HandlerError> {
        (**self).load(context, id, since).await
    }

    async fn create(
        &self,
        context: &Context<S>,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        (**self).create(context, id, fields, write).await
    }

    async fn change(
        &self,
        context: &Context<S>,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        (**self).change(context, id, fields, write).await
    }

    async fn delete(
        &self,
        context: &Context<S>,
        id: &str,
        write: Write<'_>,
    ) -> Result<bool, HandlerError> {
        (**self).delete(context, id, write).await
    }

    fn edits(&self) -> &[EditKind] {
        (**self).edits()
    }
}

/// A storage that is shared is one too.
impl<S: Send + Sync + 'static, M: SyncMapFilter<S>> SyncMapFilter<S> for Arc<M> {
    async fn list(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
        since: Option<WallTime>,
    ) -> Result<RecordList, HandlerError> {
        (**self).list(context, filter, since).await
    }

    async fn actions(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
    ) -> Result<Option<Filter>, HandlerError> {
        (**self).actions(context, filter).await
    }
}
