//! Records that clients share and edit field by field: `addSyncMap` and `addSyncMapFilter` of the
//! reference, with a storage of the application.
//!
//! Clients send `PLURAL/create`, `PLURAL/change` and `PLURAL/delete`; subscribers of `PLURAL/ID`,
//! and of `PLURAL` with a filter, receive `PLURAL/created`, `PLURAL/changed` and `PLURAL/deleted`.
//!
//! Read [`SyncMap`] (single records) and [`SyncMapFilter`] (those that match a filter), then `data`
//! (their results), then `serving` (the channels and action types that [`Builder`](crate::Builder)
//! creates from them). `filter` decides which live actions pass a filter; [`rules`],
//! `restricted` and `readers` decide who may read and edit records; `records`, `sqlite` and
//! `postgres` are the included storages, and `suite` tests them and those of applications.

mod data;
mod filter;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod readers;
mod records;
mod restricted;
pub(crate) mod rules;
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

/// A collection of records in a storage of the application, for
/// [`Builder::sync_map`](crate::Builder::sync_map).
///
/// Access is decided before a method is called. The context has the action, its author and the
/// application's state; `id` is the record's id and never empty; `fields` never has the key `id`.
/// An error undoes the action: [`HandlerError::NotFound`], or any error passed on with `?`.
///
/// # What the storage decides
/// Clients keep the time of each field, and of two writes the later one wins. A storage that does
/// the same with [`Write::stamp`] agrees with them even if writes arrive late, and returns the
/// fields that have won as [`EditOutcome::Fields`]. [`record`](logux::record) has the rules of the
/// included storages. One that stores no times writes every edit,
/// returns [`EditOutcome::All`], and loads its fields [without a time](SyncMapData::without_time),
/// so they count as written at the time of the load.
///
/// After a crash, an action that was already processed may be processed again, as with any handler.
/// Repeating a write that is compared by its stamp has no effect; otherwise store its id in the
/// same transaction ([`exactly_once`](crate::exactly_once)).
///
/// `logux_server::testing::sync_map_suite` (feature `testing`) tests a storage.
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
///         self.0.lock().await.entry(id.to_owned()).or_default();
///         self.change(context, id, fields, write).await
///     }
///
///     async fn change(&self, _: &Context, id: &str, fields: &JsonObject, write: Write<'_>) -> Result<EditOutcome, HandlerError> {
///         let text = fields.get("text").ok_or_else(|| HandlerError::undo("textMissing"))?.parse()?;
///         let mut notes = self.0.lock().await;
///         let note = notes.get_mut(id).ok_or(HandlerError::NotFound)?;
///         if note.1 > write.time() {
///             return Ok(EditOutcome::Nothing);
///         }
///         *note = (text, write.time());
///         Ok(EditOutcome::All)
///     }
///
///     async fn delete(&self, _: &Context, id: &str, write: Write<'_>) -> Result<Option<WallTime>, HandlerError> {
///         let note = self.0.lock().await.remove(id);
///         // The deletion is later than all writes.
///         Ok(note.map(|(_, time)| write.time().max(time.shifted(1))))
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
    /// Loads the record for a subscriber.
    ///
    /// `since` is the time, by this server's clock, up to which the subscriber has received all
    /// changes; `None` if it has received nothing. Changes that arrived before that time can be
    /// left out. Note that an edit made offline arrives later than it was made.
    fn load(
        &self,
        context: &Context<S>,
        id: &str,
        since: Option<WallTime>,
    ) -> impl Future<Output = Result<LoadOutcome, HandlerError>> + Send;

    /// Creates the record. It may already exist, if a client repeats the action. A creation that
    /// was made before the record was deleted is refused with [`HandlerError::NotFound`].
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

    /// Changes some fields of the record. If it does not exist, the change is refused with
    /// [`HandlerError::NotFound`]: only [`create`](Self::create) creates records.
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

    /// Deletes the record, with all its fields. Returns the time of the deletion, which its
    /// subscribers and the author receive; `None` if there was no record.
    ///
    /// The official clients compare this time with those of writes, so it must be later than the
    /// latest write of the record: later than the time of the action if necessary
    /// ([`RecordState::delete`](logux::record::RecordState::delete)).
    fn delete(
        &self,
        context: &Context<S>,
        id: &str,
        write: Write<'_>,
    ) -> impl Future<Output = Result<Option<WallTime>, HandlerError>> + Send {
        let _ = (context, id, write);
        async { Err(HandlerError::UnknownType) }
    }

    /// Returns a function that decides which later actions of the record the subscriber receives.
    /// Default: all. It runs for every action and subscriber, so it must be fast.
    fn record_actions(
        &self,
        context: &Context<S>,
        id: &str,
    ) -> impl Future<Output = Result<Option<Filter>, HandlerError>> + Send {
        let _ = (context, id);
        async { Ok(None) }
    }

    /// Returns the edits that clients may request. Default: all. The action types of the others are
    /// free for handlers of the application.
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

/// A collection of which clients receive the records that match a filter, for
/// [`Builder::sync_map_filter`](crate::Builder::sync_map_filter).
pub trait SyncMapFilter<S = ()>: Send + Sync + 'static {
    /// Lists the records that match, for a subscriber with this filter; an empty filter matches
    /// all. A record matches if for each field of the filter it has an equal field. The subscriber
    /// is then subscribed to each of them too.
    ///
    /// `since` is as for [`SyncMap::load`]. With it, the result should also have the records that
    /// were deleted since then ([`RecordList::deleted`]), and the fields because of which a record
    /// does not match any more. A record of which a field of the filter was written since then may
    /// be new to the subscriber: the result should have all its fields.
    fn list(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
        since: Option<WallTime>,
    ) -> impl Future<Output = Result<RecordList, HandlerError>> + Send;

    /// Lists a part of the records and deletions of [`list`](Self::list), for a storage that can
    /// read a large collection in pages. `after` is the [`RecordList::next`] of the previous page,
    /// `None` for the first. The server requests the next page when the subscriber has read most of
    /// the previous one; 64 KiB is a good size. Each record is in one page with all its fields.
    ///
    /// Records may be written between two pages. A record that exists all the time must be in a
    /// page; the subscriber receives the other changes live.
    ///
    /// Default: everything in one page.
    fn list_page(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
        since: Option<WallTime>,
        after: Option<&str>,
    ) -> impl Future<Output = Result<RecordList, HandlerError>> + Send {
        let _ = after;
        self.list(context, filter, since)
    }

    /// Returns a function that decides which later `created`, `changed` and `deleted` actions the
    /// subscriber receives, in addition to the filter. Default: all. It runs for every action and
    /// subscriber, so it must be fast.
    fn actions(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
    ) -> impl Future<Output = Result<Option<Filter>, HandlerError>> + Send {
        let _ = (context, filter);
        async { Ok(None) }
    }
}

/// A shared storage is a storage.
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
    ) -> Result<Option<WallTime>, HandlerError> {
        (**self).delete(context, id, write).await
    }

    async fn record_actions(
        &self,
        context: &Context<S>,
        id: &str,
    ) -> Result<Option<Filter>, HandlerError> {
        (**self).record_actions(context, id).await
    }

    fn edits(&self) -> &[EditKind] {
        (**self).edits()
    }
}

/// A shared storage is a storage.
impl<S: Send + Sync + 'static, M: SyncMapFilter<S>> SyncMapFilter<S> for Arc<M> {
    async fn list(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
        since: Option<WallTime>,
    ) -> Result<RecordList, HandlerError> {
        (**self).list(context, filter, since).await
    }

    async fn list_page(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
        since: Option<WallTime>,
        after: Option<&str>,
    ) -> Result<RecordList, HandlerError> {
        (**self).list_page(context, filter, since, after).await
    }

    async fn actions(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
    ) -> Result<Option<Filter>, HandlerError> {
        (**self).actions(context, filter).await
    }
}
