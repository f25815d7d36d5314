//! A storage of records as channels and action types.
//!
//! Where the reference can leave clients apart, we do not follow it:
//! - Two writes of one field within one millisecond are ordered by the storage (SQLite and PostgreSQL do): the one that comes second is moved
//!   behind the first, and its author is told so too. The clients of the reference would each break the tie in their own way.
//! - `since` of a subscription is by the clock of the client in the reference; here it is read from the id that the server gave, or corrected
//!   by what is known about the client's clock.
//! - What is told since then is what arrived since then, not what was made: an edit made offline arrives late.
//! - A client that comes back to a filter is also told of records that were deleted, or stopped to match, meanwhile.
//! - What is loaded goes to the one who subscribed, not to all subscribers.

use std::{future::Future, sync::Arc};

use logux::{
    Action, ActionId, Json, Meta, WallTime, action::logux::Since, json::JsonObject,
    server::Recipients, store::Store,
};

use crate::{
    error::HandlerError,
    handlers::{channel::InitialActions, context::Context},
    server::builder::Builder,
    sync_map::{
        EditKind, SyncMap, SyncMapFilter, Write,
        data::{EditOutcome, LoadOutcome, RecordList},
        filter::passes,
    },
};

impl<S: Send + Sync + 'static, St: Store + Send + 'static> Builder<S, St> {
    /// Serves the records of a collection one by one: the channel `PLURAL/ID`, and the types `PLURAL/create`, `PLURAL/change` and
    /// `PLURAL/delete` with what follows from them. `addSyncMap` of the reference.
    ///
    /// `access` decides about every subscription and every edit of a record, by its id: the context has the action, whose type tells which.
    /// An application may do `PLURAL/created`, `PLURAL/changed` and `PLURAL/deleted` itself by [`Handle::process`](crate::Handle::process): the
    /// subscribers get them, the storage is not asked.
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
        self,
        plural: &str,
        map: M,
        access: impl Fn(Context<S>, Arc<str>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        M: SyncMap<S>,
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        let served = Served::new(plural, map);
        let edits = served.storage.edits().to_vec();
        let may = access.clone();
        let one = served.clone();
        let builder = self.channel(format!("{plural}/:id"), |channel| {
            let access = move |context: Context<S>| {
                let id = context.param("id").into();
                may(context, id)
            };
            channel.access(access).load(move |context| {
                let served = one.clone();
                async move { served.load_one(&context).await }
            })
        });
        let builder = edits.into_iter().fold(builder, |builder, edit| {
            let (served, may) = (served.clone(), access.clone());
            builder.action_type(format!("{plural}/{}", edit.asked()), |action| {
                let access = move |context: Context<S>| {
                    let deciding = id_of(&context).map(|id| may(context, id.into()));
                    async move { deciding?.await }
                };
                action.access(access).process(move |context| {
                    let served = served.clone();
                    async move { served.edit(&context, edit).await }
                })
            })
        });
        [EditKind::Create, EditKind::Change, EditKind::Delete].into_iter().fold(
            builder,
            |builder, edit| {
                let plural: Arc<str> = plural.into();
                builder.action_type(format!("{plural}/{}", edit.done()), |action| {
                    action.own().resend(move |context| {
                        let to = id_of(&context).map(|id| edit.recipients(&plural, &id));
                        async move { to }
                    })
                })
            },
        )
    }

    /// Serves those records of a collection that match a filter: the channel `PLURAL`. `addSyncMapFilter` of the reference. `access` decides about every
    /// subscription by its filter, an object that may be empty.
    ///
    /// The edits come with [`sync_map`](Self::sync_map); without it the application itself sends what happens to the channel `PLURAL`.
    #[must_use]
    pub fn sync_map_filter<M, F>(
        self,
        plural: &str,
        filter: M,
        access: impl Fn(Context<S>, JsonObject) -> F + Send + Sync + 'static,
    ) -> Self
    where
        M: SyncMapFilter<S>,
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        let served = Served::new(plural, filter);
        let filtering = served.clone();
        self.channel(plural, |channel| {
            let access = move |context: Context<S>| {
                let deciding = filter_of(&context).map(|filter| access(context, filter));
                async move { deciding?.await }
            };
            channel
                .access(access)
                .filter(move |context| {
                    let served = filtering.clone();
                    async move { served.filter(&context).await }
                })
                .load(move |context| {
                    let served = served.clone();
                    async move { served.load_all(&context).await }
                })
        })
    }
}

impl EditKind {
    /// What clients ask for.
    const fn asked(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Delete => "delete",
        }
    }

    /// What subscribers are told.
    const fn done(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Change => "changed",
            Self::Delete => "deleted",
        }
    }

    /// Who is told. Whoever has a record in a filter is subscribed to it, and hears of its end there.
    fn recipients(self, plural: &Arc<str>, id: &str) -> Recipients {
        let mut to = Recipients::channel(format!("{plural}/{id}"));
        if self != Self::Delete {
            to.channels.push(plural.clone());
        }
        to
    }
}

/// A storage under a name.
struct Served<M> {
    plural: Arc<str>,
    storage: Arc<M>,
}

impl<M> Clone for Served<M> {
    fn clone(&self) -> Self {
        Self { plural: self.plural.clone(), storage: self.storage.clone() }
    }
}

impl<M> Served<M> {
    fn new(plural: &str, storage: M) -> Self {
        Self { plural: plural.into(), storage: Arc::new(storage) }
    }

    fn deleted(&self, id: &str) -> Result<Action, HandlerError> {
        Ok(Action::new(format!(
            "{{\"type\":\"{}/deleted\",\"id\":{}}}",
            self.plural,
            Json::from_value(id)?
        ))?)
    }

    async fn load_one<S>(&self, context: &Context<S>) -> Result<InitialActions, HandlerError>
    where
        M: SyncMap<S>,
    {
        let since = since_of(context);
        // A client that has just created a record has nothing to load; one that comes back to it does.
        if since.is_none() && context.action().field("creating") == Some("true") {
            return Ok(InitialActions::default());
        }
        let id = context.param("id");
        match (self.storage.load(context, id, since).await?, since) {
            (LoadOutcome::Record(record), _) => Ok(record.actions(&self.plural)?.into()),
            (LoadOutcome::Deleted(time), Some(_)) => Ok(vec![(self.deleted(id)?, time)].into()),
            (LoadOutcome::Deleted(_) | LoadOutcome::Missing, _) => Err(HandlerError::NotFound),
        }
    }

    async fn load_all<S>(&self, context: &Context<S>) -> Result<InitialActions, HandlerError>
    where
        M: SyncMapFilter<S>,
    {
        let filter = filter_of(context)?;
        let RecordList { records, gone } =
            self.storage.list(context, &filter, since_of(context)).await?;
        let mut actions = Vec::new();
        for record in records {
            context
                .server()
                .subscribe(context.node_id(), format!("{}/{}", self.plural, record.id))
                .await;
            actions.extend(record.actions(&self.plural)?);
        }
        for (id, time) in gone {
            actions.push((self.deleted(&id)?, Some(time)));
        }
        Ok(actions.into())
    }

    async fn filter<S>(
        &self,
        context: &Context<S>,
    ) -> Result<impl Fn(&Action, &Meta) -> bool + Send + Sync + use<S, M>, HandlerError>
    where
        M: SyncMapFilter<S>,
    {
        let filter = filter_of(context)?;
        let own = self.storage.actions(context, &filter).await?;
        Ok(move |action: &Action, meta: &Meta| {
            passes(&filter, action) && own.as_ref().is_none_or(|own| own(action, meta))
        })
    }

    /// Edits, and tells the subscribers what has come of it.
    async fn edit<S>(&self, context: &Context<S>, edit: EditKind) -> Result<(), HandlerError>
    where
        M: SyncMap<S>,
    {
        let id = id_of(context)?;
        let stamp = context.meta().stamp();
        let write = Write { stamp: &stamp, arrived: context.server().now() };
        let edited = match edit {
            EditKind::Create => {
                self.storage.create(context, &id, &fields_of(context)?, write).await?
            }
            EditKind::Change => {
                self.storage.change(context, &id, &fields_of(context)?, write).await?
            }
            EditKind::Delete => self.storage.delete(context, &id, write).await?.into(),
        };
        let (fields, time) = match edited {
            EditOutcome::Nothing => return Ok(()),
            EditOutcome::All => (None, stamp.time()),
            EditOutcome::Fields { won, time } => (Some(won), time),
        };
        let action =
            with(context.action(), &format!("{}/{}", self.plural, edit.done()), fields.as_ref())?;
        let mut to = edit.recipients(&self.plural, &id);
        if time == stamp.time() {
            to.exclude_clients.push(context.client_id().into());
        }
        context.server().send_at(action, Some(time), to).await;
        Ok(())
    }
}

fn fields_of<S>(context: &Context<S>) -> Result<JsonObject, HandlerError> {
    let fields = context.action().field("fields").unwrap_or_default();
    let fields = JsonObject::from_json(fields)
        .map_err(|_| HandlerError::failed("expected an object in `fields`"))?;
    if fields.get("id").is_some() {
        return Err(HandlerError::failed(
            "expected no `id` among the fields: it stands beside them",
        ));
    }
    Ok(fields)
}

fn id_of<S>(context: &Context<S>) -> Result<String, HandlerError> {
    let id = context.action().str_field("id").map(|id| id.into_owned()).unwrap_or_default();
    if id.is_empty() { Err(HandlerError::failed("expected a text in `id`")) } else { Ok(id) }
}

/// The filter of a subscription to the whole collection: an object, or nothing.
fn filter_of<S>(context: &Context<S>) -> Result<JsonObject, HandlerError> {
    let filter = context.action().field("filter").unwrap_or("{}");
    JsonObject::from_json(filter)
        .map_err(|_| HandlerError::failed("expected an object in `filter`"))
}

/// Since when the subscriber needs to be told, by our clock.
fn since_of<S>(context: &Context<S>) -> Option<WallTime> {
    let since: Since = Json::new(context.action().field("since")?).ok()?.parse().ok()?;
    let meta = context.meta();
    match since.id.parse::<ActionId>() {
        Ok(id) if id.node().is_server() => Some(id.time()),
        // The client's clock is ahead of ours by as much as its id is ahead of the corrected time.
        _ => Some(WallTime::from_millis(since.time).shifted(-meta.id.time().since(meta.time))),
    }
}

/// The action under another type, and with the fields that have won.
fn with(action: &Action, kind: &str, fields: Option<&JsonObject>) -> Result<Action, HandlerError> {
    let mut keys = JsonObject::from_json(action.as_json())?;
    keys.set("type", Json::from_value(kind)?);
    if let Some(fields) = fields {
        keys.set("fields", Json::new(fields.to_json())?);
    }
    Ok(Action::new(keys.to_json())?)
}
