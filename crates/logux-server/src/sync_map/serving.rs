//! Channels and action types for a storage of records.
//!
//! These rules differ from the reference, where its rules can leave clients in different states:
//! - Two writes of one field within one millisecond are ordered by the storage (SQLite and
//!   PostgreSQL do this): the second one to arrive gets a later time, which its author receives
//!   too. Clients of the reference would each break the tie differently.
//! - A deletion is moved after the latest write, and its author receives it too, so that no client
//!   keeps a field that arrives late. A change of a missing record is undone with `notFound`.
//! - The id of a record may have any characters, also `/`.
//! - In the reference, `since` of a subscription is by the clock of the client; here it is read
//!   from the id that the server gave. With an id of the client, everything is loaded.
//! - `since` selects what has arrived since then, not what was made since then: an edit made
//!   offline arrives late.
//! - A client that subscribes again with a filter also receives the records that were deleted, or
//!   do not match any more, in the meantime.
//! - Loaded records are sent to the new subscriber, not to all subscribers.

use std::{collections::HashSet, future::Future, sync::Arc};

use logux::{
    Action, ActionId, Json, Meta, WallTime,
    action::logux::Since,
    json::JsonObject,
    log::Draft,
    server::{FateKey, HandlerResponse, Recipients},
    store::Store,
};

use crate::{
    error::HandlerError,
    handlers::{
        channel::{PAGE_ACTIONS, PAGE_BYTES},
        context::Context,
        deletions::{DeletionWatch, Deletions},
        handler::handler,
    },
    hub::handle::HandlerResponses,
    server::builder::Builder,
    sync_map::{
        EditKind, SyncMap, SyncMapFilter, Write,
        data::{EditOutcome, LoadOutcome, RecordList},
        filter::{FieldFilter, LastFields},
    },
};

impl<S: Send + Sync + 'static, St: Store + Send + 'static> Builder<S, St> {
    /// Serves the single records of a collection: the channel `PLURAL/ID`, and the action types
    /// `PLURAL/create`, `PLURAL/change` and `PLURAL/delete` with the resulting actions.
    /// `addSyncMap` of the reference.
    ///
    /// `access` decides about every subscription to a record and every edit of it, by its id; the
    /// type of the context's action tells which. The application may send `PLURAL/created`,
    /// `PLURAL/changed` and `PLURAL/deleted` itself with
    /// [`Handle::process`](crate::Handle::process): subscribers receive them, and the storage is
    /// not called.
    ///
    /// An edit that fails undoes the later edits of the same record that wait in the queue of the
    /// client, and no others ([`ActionType::fate_key`](crate::ActionType::fate_key)).
    ///
    /// Records in SQLite:
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use logux_server::Server;
    /// use logux_sqlite::Database;
    ///
    /// let database = Database::open("tasks.db")?;
    /// let tasks = database.records().collection("tasks");
    /// let server = Server::builder()
    ///     .store(database.store())
    ///     .auth(|login| async move { Ok(login.token.as_deref() == Some("secret")) })
    ///     .sync_map("tasks", tasks.clone(), |context, _id| async move { Ok(context.user_id() != Some("guest")) })
    ///     .sync_map_filter("tasks", tasks, |_context, _filter| async { Ok(true) });
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sync_map<M, F>(
        mut self,
        plural: &str,
        map: M,
        access: impl Fn(Context<S>, Arc<str>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        M: SyncMap<S>,
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        let collection = Collection::new(plural, map, self.deletions(plural));
        let edits = collection.storage.edits().to_vec();
        let subscription_access = access.clone();
        let (loaded, filtered) = (collection.clone(), collection.clone());
        let builder = self.record_channel(plural, |channel| {
            let access = move |context: Context<S>| {
                let id = context.param("id").into();
                subscription_access(context, id)
            };
            let channel = channel.access(access).presence();
            let mut channel = channel.load(move |context| {
                let collection = loaded.clone();
                async move { collection.load_one(&context).await }
            });
            channel.filter = Some(handler(move |context: Context<S>| {
                let collection = filtered.clone();
                async move {
                    collection.storage.record_actions(&context, context.param("id")).await
                }
            }));
            channel
        });
        let builder = edits.into_iter().fold(builder, |builder, edit| {
            let (collection, edit_access) = (collection.clone(), access.clone());
            let plural: Arc<str> = plural.into();
            builder.action_type(format!("{plural}/{}", edit.request_name()), |action| {
                let access = move |context: Context<S>| {
                    let decision = id_of(&context).map(|id| edit_access(context, id.into()));
                    async move { decision?.await }
                };
                action
                    .access(access)
                    .process(move |context| {
                        let collection = collection.clone();
                        async move { collection.edit(&context, edit).await }
                    })
                    .fate_key(move |action| fate_key(&plural, action))
            })
        });
        [EditKind::Create, EditKind::Change, EditKind::Delete].into_iter().fold(
            builder,
            |builder, edit| {
                let plural: Arc<str> = plural.into();
                builder.action_type(format!("{plural}/{}", edit.result_name()), |action| {
                    action.own().resend(move |context| {
                        let to = id_of(&context).map(|id| edit.recipients(&plural, &id));
                        async move { to }
                    })
                })
            },
        )
    }

    /// Serves the records of a collection that match a filter: the channel `PLURAL`.
    /// `addSyncMapFilter` of the reference. `access` decides about every subscription by its
    /// filter, an object that may be empty.
    ///
    /// Edits need [`sync_map`](Self::sync_map); without it, the application sends all changes to
    /// the channel `PLURAL` itself.
    #[must_use]
    pub fn sync_map_filter<M, F>(
        mut self,
        plural: &str,
        filter: M,
        access: impl Fn(Context<S>, JsonObject) -> F + Send + Sync + 'static,
    ) -> Self
    where
        M: SyncMapFilter<S>,
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        let collection = Collection::new(plural, filter, self.deletions(plural));
        let filtering = collection.clone();
        self.channel(plural, |channel| {
            let access = move |context: Context<S>| {
                let decision = filter_of(&context).map(|filter| access(context, filter));
                async move { decision?.await }
            };
            channel
                .access(access)
                .filter(move |context| {
                    let collection = filtering.clone();
                    async move { collection.filter(&context).await }
                })
                .load(move |context| {
                    let collection = collection.clone();
                    async move { collection.load_all(&context).await }
                })
        })
    }
}

impl EditKind {
    /// Returns the last part of the type that clients send.
    const fn request_name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Delete => "delete",
        }
    }

    /// Returns the last part of the type that subscribers receive.
    const fn result_name(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Change => "changed",
            Self::Delete => "deleted",
        }
    }

    /// Returns the recipients of the resulting action. A client with the record in a filter is
    /// subscribed to the record too, and receives its deletion there.
    fn recipients(self, plural: &Arc<str>, id: &str) -> Recipients {
        let mut to = Recipients::channel(format!("{plural}/{id}"));
        if self != Self::Delete {
            to.channels.push(plural.clone());
        }
        to
    }
}

/// Returns the fate key of an edit: its record.
fn fate_key(plural: &str, action: &Action) -> FateKey {
    // An edit without an id fails.
    action.str_field("id").map_or_else(FateKey::none, |id| format!("{plural}/{id}").into())
}

/// A storage with the name of its collection.
struct Collection<M> {
    plural: Arc<str>,
    storage: Arc<M>,
    last_fields: Arc<LastFields>,
    deletions: Arc<Deletions>,
}

impl<M> Clone for Collection<M> {
    fn clone(&self) -> Self {
        Self {
            plural: self.plural.clone(),
            storage: self.storage.clone(),
            last_fields: self.last_fields.clone(),
            deletions: self.deletions.clone(),
        }
    }
}

impl<M> Collection<M> {
    fn new(plural: &str, storage: M, deletions: Arc<Deletions>) -> Self {
        Self {
            plural: plural.into(),
            storage: Arc::new(storage),
            last_fields: Arc::default(),
            deletions,
        }
    }

    fn deleted_action(&self, id: &str) -> Result<Action, HandlerError> {
        Ok(Action::new(format!(
            "{{\"type\":\"{}/deleted\",\"id\":{}}}",
            self.plural,
            Json::from_value(id)?
        ))?)
    }

    async fn load_one<S>(&self, context: &Context<S>) -> Result<(), HandlerError>
    where
        M: SyncMap<S>,
    {
        let since = since_of(context);
        // A client that has just created a record loads nothing, unless it reconnects.
        if since.is_none() && context.action().field("creating") == Some("true") {
            return Ok(());
        }
        let (id, watch) = (context.param("id"), self.deletions.watch());
        match (self.storage.load(context, id, since).await?, since) {
            (LoadOutcome::Record(record), _) => {
                context.send_page(record.actions(&self.plural)?).await?;
                for (_, time) in watch.deleted(|deleted| deleted == id) {
                    context.send_page(vec![(self.deleted_action(id)?, time)]).await?;
                }
                Ok(())
            }
            (LoadOutcome::Deleted(time), Some(_)) => {
                context.send_page(vec![(self.deleted_action(id)?, time)]).await
            }
            (LoadOutcome::Deleted(_) | LoadOutcome::Missing, _) => Err(HandlerError::NotFound),
        }
    }

    async fn load_all<S>(&self, context: &Context<S>) -> Result<(), HandlerError>
    where
        M: SyncMapFilter<S>,
    {
        let (filter, since) = (filter_of(context)?, since_of(context));
        let mut after: Option<Arc<str>> = None;
        loop {
            context.wait_for_reader().await?;
            let watch = self.deletions.watch();
            let list = self.storage.list_page(context, &filter, since, after.as_deref()).await?;
            after = list.next.clone();
            self.send_list(context, list, &watch).await?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Sends records and deletions in pages, and the deletions of these records since the start of
    /// the watch. A record is never split.
    async fn send_list<S>(
        &self,
        context: &Context<S>,
        list: RecordList,
        watch: &DeletionWatch,
    ) -> Result<(), HandlerError> {
        let (mut page, mut bytes) = (HandlerResponses::new(), 0);
        let mut ids = HashSet::new();
        let response = |(action, time)| {
            HandlerResponse::Action(action, Box::new(Draft { time, ..Draft::default() }))
        };
        for record in list.records {
            if bytes >= PAGE_BYTES || page.len() >= PAGE_ACTIONS {
                context.respond_with_page(std::mem::take(&mut page)).await?;
                self.repeat_deletions(context, watch, &mut ids).await?;
                context.wait_for_reader().await?;
                bytes = 0;
            }
            bytes += record.json_bytes();
            ids.insert(record.id.clone());
            let channel = format!("{}/{}", self.plural, record.id);
            page.push(HandlerResponse::Subscribe(channel.into()));
            page.extend(record.actions(&self.plural)?.into_iter().map(response));
        }
        for (id, time) in list.deleted {
            if page.len() >= PAGE_ACTIONS {
                context.respond_with_page(std::mem::take(&mut page)).await?;
                context.wait_for_reader().await?;
            }
            page.push(response((self.deleted_action(&id)?, Some(time))));
        }
        context.respond_with_page(page).await?;
        self.repeat_deletions(context, watch, &mut ids).await
    }

    /// Sends the deletions of the records `ids`, which were just sent, since they were read. Later
    /// deletions are received as others are, because the client is subscribed to these records now.
    async fn repeat_deletions<S>(
        &self,
        context: &Context<S>,
        watch: &DeletionWatch,
        ids: &mut HashSet<Arc<str>>,
    ) -> Result<(), HandlerError> {
        let sent = std::mem::take(ids);
        for (id, time) in watch.deleted(|id| sent.contains(id)) {
            context.send_page(vec![(self.deleted_action(&id)?, time)]).await?;
        }
        Ok(())
    }

    async fn filter<S>(
        &self,
        context: &Context<S>,
    ) -> Result<impl Fn(&Action, &Meta) -> bool + Send + Sync + use<S, M>, HandlerError>
    where
        M: SyncMapFilter<S>,
    {
        let filter = filter_of(context)?;
        let live_filter = self.storage.actions(context, &filter).await?;
        let (filter, last_fields) = (FieldFilter::new(&filter), self.last_fields.clone());
        Ok(move |action: &Action, meta: &Meta| {
            filter.passes(&last_fields, action, meta)
                && live_filter.as_ref().is_none_or(|passes| passes(action, meta))
        })
    }

    /// Edits a record, and sends the result to its subscribers.
    async fn edit<S>(&self, context: &Context<S>, edit: EditKind) -> Result<(), HandlerError>
    where
        M: SyncMap<S>,
    {
        let id = id_of(context)?;
        let stamp = context.meta().stamp();
        let write = Write { stamp: &stamp, arrived: context.server().now() };
        let watch = self.deletions.watch();
        let outcome = match edit {
            EditKind::Create => {
                self.storage.create(context, &id, &fields_of(context)?, write).await?
            }
            EditKind::Change => {
                match self.storage.change(context, &id, &fields_of(context)?, write).await {
                    Err(HandlerError::NotFound) => return self.refuse_change(context, &id).await,
                    changed => changed?,
                }
            }
            EditKind::Delete => match self.storage.delete(context, &id, write).await? {
                Some(time) => {
                    self.deletions.record(&id, time);
                    EditOutcome::Fields { won: JsonObject::default(), time }
                }
                None => EditOutcome::Nothing,
            },
        };
        let (fields, time) = match outcome {
            EditOutcome::Nothing => return Ok(()),
            EditOutcome::All => (None, stamp.time()),
            EditOutcome::Fields { won, time } => ((edit != EditKind::Delete).then_some(won), time),
        };
        let action = with_type(
            context.action(),
            &format!("{}/{}", self.plural, edit.result_name()),
            fields.as_ref(),
        )?;
        let mut to = edit.recipients(&self.plural, &id);
        if edit == EditKind::Delete {
            // The author of a deletion receives it too, also if it is not subscribed to the record
            // any more: a change that arrived at the server before the deletion may reach the
            // author after it, and would show the record again.
            to.clients.push(context.client_id().into());
        } else if time == stamp.time() {
            to.exclude_clients.push(context.client_id().into());
        }
        context.server().send_at(action, Some(time), to).await;
        if edit != EditKind::Delete {
            // The deletion may have been sent before the change that it deletes.
            for (_, time) in watch.deleted(|deleted| deleted == id) {
                let to = EditKind::Delete.recipients(&self.plural, &id);
                context.server().send_at(self.deleted_action(&id)?, Some(time), to).await;
            }
        }
        Ok(())
    }

    /// Undoes the change of a record that does not exist. Its author receives a deletion again: the
    /// filters of the official client list a deleted record again when it is changed, and keep
    /// it when the change is undone.
    async fn refuse_change<S>(&self, context: &Context<S>, id: &str) -> Result<(), HandlerError>
    where
        M: SyncMap<S>,
    {
        if let LoadOutcome::Deleted(time) = self.storage.load(context, id, None).await? {
            let to = Recipients::client(context.client_id());
            context.server().send_at(self.deleted_action(id)?, Some(time), to).await;
        }
        Err(HandlerError::NotFound)
    }
}

/// The largest id of a record. Clients that compute their state with the engine's `SyncMaps` refuse
/// longer ones.
const MAX_ID_BYTES: usize = logux::crdt::MAX_TEXT;

fn fields_of<S>(context: &Context<S>) -> Result<JsonObject, HandlerError> {
    let fields = context.action().field("fields").unwrap_or_default();
    let fields = JsonObject::from_json(fields)
        .map_err(|_| HandlerError::failed("expected an object in `fields`"))?;
    if fields.get("id").is_some() {
        return Err(HandlerError::failed(
            "unexpected `id` in `fields`: the id is a field of the action",
        ));
    }
    Ok(fields)
}

fn id_of<S>(context: &Context<S>) -> Result<String, HandlerError> {
    let id = context.action().str_field("id").map(|id| id.into_owned()).unwrap_or_default();
    match id.len() {
        0 => Err(HandlerError::failed("expected a string in `id`")),
        1..=MAX_ID_BYTES => Ok(id),
        bytes => Err(HandlerError::failed(format!(
            "expected an id of at most {MAX_ID_BYTES} bytes, got {bytes} bytes"
        ))),
    }
}

/// Returns the filter of a subscription to the whole collection; empty if there is none.
fn filter_of<S>(context: &Context<S>) -> Result<JsonObject, HandlerError> {
    let filter = context.action().field("filter").unwrap_or("{}");
    JsonObject::from_json(filter)
        .map_err(|_| HandlerError::failed("expected an object in `filter`"))
}

/// Returns the time up to which the subscriber has received all changes, by the server's clock.
///
/// An id of the client itself, as the official client sends for offline templates, has the time at
/// which the client made a change, perhaps while others made changes that it has not received: it
/// receives everything, and the deletions that are remembered.
fn since_of<S>(context: &Context<S>) -> Option<WallTime> {
    let since: Since = Json::new(context.action().field("since")?).ok()?.parse().ok()?;
    let id = since.id.parse::<ActionId>().ok().filter(|id| id.node().is_server());
    Some(id.map_or(WallTime::MIN, |id| id.time()))
}

/// Returns the action with another type, and with the fields that have won.
fn with_type(
    action: &Action,
    kind: &str,
    fields: Option<&JsonObject>,
) -> Result<Action, HandlerError> {
    let mut keys = JsonObject::from_json(action.as_json())?;
    keys.set("type", Json::from_value(kind)?);
    if let Some(fields) = fields {
        keys.set("fields", Json::new(fields.to_json())?);
    }
    Ok(Action::new(keys.to_json())?)
}
