//! Records that clients share and edit field by field: `addSyncMap` and `addSyncMapFilter` of the reference, kept in SQLite.
//!
//! Clients send `PLURAL/create`, `PLURAL/change` and `PLURAL/delete`; subscribers of `PLURAL/ID` and of `PLURAL` with a filter get
//! `PLURAL/created`, `PLURAL/changed` and `PLURAL/deleted`. Of each field the latest write wins.
//!
//! Where the reference can leave clients apart, we do not follow it:
//! - Two writes of one field within one millisecond are ordered by the server: the one that comes second is moved behind the first,
//!   and its author is told so too. The clients of the reference would each break the tie in their own way.
//! - `since` of a subscription is by the clock of the client in the reference; here it is read from the id that the server gave, or corrected
//!   by what is known about the client's clock.
//! - What is told since then is what arrived since then, not what was made: an edit made offline arrives late.
//! - A client that comes back to a filter is also told of records that were deleted, or stopped to match, meanwhile.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use logux::{
    Action, ActionId, Json, Stamp, WallTime,
    action::{Extra, logux::Since},
    server::Recipients,
    store::Store,
};
use logux_net::drive::Clock;
use logux_sqlite::{Changed, Record, SqliteError, SyncMaps, Write};

use crate::{Builder, Context, HandlerError, Loaded};

/// One collection.
#[derive(Clone, Debug)]
struct Collection {
    plural: Arc<str>,
    maps: SyncMaps,
    /// Held while a tie is looked for and the write that may be one is made.
    writing: Arc<Mutex<()>>,
    clock: Clock,
}

impl<S: Send + Sync + 'static, St: Store + Send + 'static> Builder<S, St> {
    /// Serves a collection of records. `access` decides about every subscription and every edit: its context has the action,
    /// whose `type` or `channel` tells which; `id` is the record's for edits.
    #[must_use]
    pub fn sync_map<F>(
        self,
        plural: &str,
        maps: &SyncMaps,
        access: impl Fn(Context<S>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        let collection =
            Collection { plural: plural.into(), maps: maps.clone(), writing: Arc::default(), clock: Clock::start() };
        let on = |what: &str| format!("{plural}/{what}");
        let (one, all, create, change, delete) =
            (collection.clone(), collection.clone(), collection.clone(), collection.clone(), collection);
        let may = || access.clone();
        self.channel(on(":id"), |channel| {
            channel.access(may()).load(move |context| {
                let collection = one.clone();
                async move { collection.load_one(&context).await }
            })
        })
        .channel(plural, |channel| {
            channel
                .access(may())
                .filter(|context| async move {
                    let filter = filter_of(&context)?;
                    Ok(move |action: &Action, _: &logux::Meta| passes(&filter, action))
                })
                .load(move |context| {
                    let collection = all.clone();
                    async move { collection.load_all(&context).await }
                })
        })
        .action_type(on("create"), |action| {
            action.access(may()).process(move |context| {
                let collection = create.clone();
                async move { collection.write(&context, "created").await }
            })
        })
        .action_type(on("change"), |action| {
            action.access(may()).process(move |context| {
                let collection = change.clone();
                async move { collection.write(&context, "changed").await }
            })
        })
        .action_type(on("delete"), |action| {
            action.access(may()).process(move |context| {
                let collection = delete.clone();
                async move { collection.delete(&context).await }
            })
        })
        .action_type(on("created"), |action| action.own())
        .action_type(on("changed"), |action| action.own())
        .action_type(on("deleted"), |action| action.own())
    }
}

impl Collection {
    async fn load_one<S>(&self, context: &Context<S>) -> Result<Loaded, HandlerError> {
        let since = since_of(context);
        // A client that has just created a record has nothing to load; one that comes back to it does.
        if since.is_none() && context.action().field("creating") == Some("true") {
            return Ok(Loaded::default());
        }
        let id = context.param("id").to_owned();
        let (collection, name) = (self.clone(), id.clone());
        let (record, deletion) = blocking(move || {
            let record = collection.maps.load(&collection.plural, &name, since)?;
            let deletion = if record.is_none() { collection.maps.deletion(&collection.plural, &name)? } else { None };
            Ok((record, deletion))
        })
        .await?;
        match (record, deletion, since) {
            (Some(record), ..) => Ok(self.changes(&record)?.into()),
            (None, Some(deletion), Some(_)) => Ok(vec![(self.deleted(&id)?, Some(deletion.time()))].into()),
            (None, ..) => Err(HandlerError::NotFound),
        }
    }

    async fn load_all<S>(&self, context: &Context<S>) -> Result<Loaded, HandlerError> {
        let (filter, since) = (filter_of(context)?, since_of(context));
        let collection = self.clone();
        let (records, gone) = blocking(move || {
            let Self { plural, maps, .. } = &collection;
            let mut records = maps.list(plural, &filter, since)?;
            let mut gone = Vec::new();
            if let Some(since) = since {
                gone = maps.deleted_since(plural, since)?;
                if !filter.is_empty() {
                    // Those that may have stopped to match: a field of the filter was written meanwhile.
                    let touched = |record: &Record| record.fields.iter().any(|field| filter.get(&field.key).is_some());
                    let known: Vec<_> = records.iter().map(|record| record.id.clone()).collect();
                    let others = maps.list(plural, &Extra::default(), Some(since))?;
                    records.extend(others.into_iter().filter(|other| touched(other) && !known.contains(&other.id)));
                }
            }
            Ok((records, gone))
        })
        .await?;
        let mut actions = Vec::new();
        for record in records {
            context.server().subscribe(context.node_id(), format!("{}/{}", self.plural, record.id)).await;
            actions.extend(self.changes(&record)?);
        }
        for (id, deletion) in gone {
            actions.push((self.deleted(&id)?, Some(deletion.time())));
        }
        Ok(actions.into())
    }

    /// The record as `PLURAL/changed`, one for each time at which fields were written.
    fn changes(&self, record: &Record) -> Result<Vec<(Action, Option<WallTime>)>, HandlerError> {
        let mut by_time = BTreeMap::<WallTime, Extra>::new();
        for field in &record.fields {
            by_time.entry(field.stamp.time()).or_default().set(field.key.clone(), field.value.clone());
        }
        let action = |(time, fields): (WallTime, Extra)| {
            let id = Json::from_value(&*record.id)?;
            let json = format!("{{\"type\":\"{}/changed\",\"id\":{id},\"fields\":{}}}", self.plural, fields.to_json());
            Ok((Action::new(json)?, Some(time)))
        };
        by_time.into_iter().map(action).collect()
    }

    fn deleted(&self, id: &str) -> Result<Action, HandlerError> {
        Ok(Action::new(format!("{{\"type\":\"{}/deleted\",\"id\":{}}}", self.plural, Json::from_value(id)?))?)
    }

    /// Creates or changes, and tells the subscribers what has won.
    async fn write<S>(&self, context: &Context<S>, done: &str) -> Result<(), HandlerError> {
        let id = id_of(context)?;
        let fields = context.action().field("fields").unwrap_or_default();
        let fields = Extra::from_json(fields).map_err(|_| HandlerError::failed("expected an object in `fields`"))?;
        let (collection, stamp, name) = (self.clone(), context.meta().stamp(), id.clone());
        let (changed, stamp, tie) = blocking(move || collection.change(&name, &fields, &stamp)).await?;
        if changed.won.is_empty() && (changed.existed || !changed.exists) {
            return Ok(());
        }
        let action = with(context.action(), &format!("{}/{done}", self.plural), Some(&changed.won))?;
        let mut to = Recipients::channel(self.plural.clone());
        to.channels.push(format!("{}/{id}", self.plural).into());
        if !tie {
            to.exclude_clients.push(context.client_id().into());
        }
        context.server().send_at(action, Some(stamp.time()), to).await;
        Ok(())
    }

    /// Writes; a write at the very time of another author's is moved behind it. Also tells whether it was.
    fn change(&self, id: &str, fields: &Extra, stamp: &Stamp) -> Result<(Changed, Stamp, bool), SqliteError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.maps.load(&self.plural, id, None)?.map(|record| record.fields).unwrap_or_default();
        let written = || known.iter().filter(|field| fields.get(&field.key).is_some());
        let mut moved = stamp.clone();
        // The same action again, after a crash in the middle: it has its place already.
        if !written().any(|field| field.stamp.id() == stamp.id()) {
            while written().any(|field| field.stamp.time() == moved.time()) {
                moved = Stamp::new(moved.time().shifted(1), stamp.id().clone());
            }
        }
        let tie = moved != *stamp;
        let write = Write { stamp: &moved, arrived: self.clock.now().wall };
        Ok((self.maps.change(&self.plural, id, fields, write)?, moved, tie))
    }

    async fn delete<S>(&self, context: &Context<S>) -> Result<(), HandlerError> {
        let id = id_of(context)?;
        let (collection, stamp, name) = (self.clone(), context.meta().stamp(), id.clone());
        let gone = blocking(move || {
            let _writing = collection.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let write = Write { stamp: &stamp, arrived: collection.clock.now().wall };
            collection.maps.delete(&collection.plural, &name, write)
        })
        .await?;
        if gone {
            let action = with(context.action(), &format!("{}/deleted", self.plural), None)?;
            let mut to = Recipients::channel(format!("{}/{id}", self.plural));
            to.exclude_clients.push(context.client_id().into());
            context.server().send_at(action, Some(context.meta().time), to).await;
        }
        Ok(())
    }
}

/// Asks the database on a thread where waiting does not hold up others.
async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, SqliteError> + Send + 'static,
) -> Result<T, HandlerError> {
    Ok(tokio::task::spawn_blocking(ask).await??)
}

fn id_of<S>(context: &Context<S>) -> Result<String, HandlerError> {
    let id = context.action().text_field("id").map(|id| id.into_owned()).unwrap_or_default();
    if id.is_empty() { Err(HandlerError::failed("expected a text in `id`")) } else { Ok(id) }
}

/// The filter of a subscription to the whole collection: an object, or nothing.
fn filter_of<S>(context: &Context<S>) -> Result<Extra, HandlerError> {
    let filter = context.action().field("filter").unwrap_or("{}");
    Extra::from_json(filter).map_err(|_| HandlerError::failed("expected an object in `filter`"))
}

/// Since when the subscriber needs to be told, by our clock.
fn since_of<S>(context: &Context<S>) -> Option<WallTime> {
    let since: Since = Json::new(context.action().field("since")?).ok()?.to().ok()?;
    let meta = context.meta();
    match since.id.parse::<ActionId>() {
        Ok(id) if id.node().is_server() => Some(id.time()),
        // The client's clock is ahead of ours by as much as its id is ahead of the corrected time.
        _ => Some(WallTime::from_millis(since.time).shifted(-meta.id.time().since(meta.time))),
    }
}

/// Whether a subscriber with the filter gets an action of the collection, as in the reference: a creation has to match, a change only
/// where it has the filter's fields.
fn passes(filter: &Extra, action: &Action) -> bool {
    let fields = || action.field("fields").and_then(|fields| Extra::from_json(fields).ok()).unwrap_or_default();
    if filter.is_empty() {
        return true;
    }
    if action.kind().ends_with("/created") {
        let fields = fields();
        filter.iter().all(|(key, value)| fields.get(key).is_some_and(|other| same(other, value)))
    } else if action.kind().ends_with("/changed") {
        let fields = fields();
        filter.iter().all(|(key, value)| fields.get(key).is_none_or(|other| same(other, value)))
    } else {
        true
    }
}

/// Equal as JSON values, whatever their writing.
fn same(a: &Json, b: &Json) -> bool {
    a == b || matches!((a.to::<serde_json::Value>(), b.to::<serde_json::Value>()), (Ok(a), Ok(b)) if a == b)
}

/// The action under another type, and with the fields that have won.
fn with(action: &Action, kind: &str, fields: Option<&Extra>) -> Result<Action, HandlerError> {
    let mut keys = Extra::from_json(action.as_json())?;
    keys.set("type", Json::from_value(kind)?);
    if let Some(fields) = fields {
        keys.set("fields", Json::new(fields.to_json())?);
    }
    Ok(Action::new(keys.to_json())?)
}
