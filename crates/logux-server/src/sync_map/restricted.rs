//! A storage whose records are read and edited according to rules.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use logux::{
    Action, Json, WallTime,
    json::JsonObject,
    server::{Filter, RequestKind},
    store::Store,
};

use crate::{
    error::HandlerError,
    handlers::context::Context,
    server::builder::Builder,
    sync_map::{
        EditKind, SyncMap, SyncMapFilter, Write,
        data::{EditOutcome, LoadOutcome, RecordList, SyncMapData},
        rules::{AccessRule, AccessRules},
    },
};

/// The number of locks. Edits of records with different locks run concurrently.
const LOCKS: usize = 64;

impl<S: Send + Sync + 'static, St: Store + Send + 'static> Builder<S, St> {
    /// Serves the records of a collection, as [`sync_map`](Self::sync_map) and
    /// [`sync_map_filter`](Self::sync_map_filter) do, to clients that the rules allow. Other
    /// subscriptions and edits are undone with the reason `denied`; lists contain only records that
    /// the client may read.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use logux_server::{AccessRules, Server};
    /// use logux_sqlite::Database;
    ///
    /// let database = Database::open("tasks.db")?;
    /// let tasks = database.records().collection("tasks");
    /// let server = Server::builder()
    ///     .store(database.store())
    ///     .auth(|login| async move { Ok(login.token.as_deref() == Some("secret")) })
    ///     .collection("tasks", tasks, AccessRules::owner("userId"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn collection<M>(self, plural: &str, storage: M, rules: AccessRules) -> Self
    where
        M: SyncMap<S> + SyncMapFilter<S>,
    {
        let restricted = Arc::new(Restricted::new(storage, rules));
        let (reading, listing) = (restricted.clone(), restricted.clone());
        self.sync_map(plural, restricted.clone(), move |context, id| {
            let reading = reading.clone();
            async move {
                // Edits are checked together with their execution.
                let is_edit = context.request_kind() != RequestKind::Subscription;
                Ok(is_edit || reading.may_read(&context, &id).await?)
            }
        })
        .sync_map_filter(plural, restricted, move |_, _| {
            let may_list = listing.rules.read != AccessRule::Nobody;
            async move { Ok(may_list) }
        })
    }
}

struct Restricted<M> {
    storage: M,
    rules: AccessRules,
    /// Held between the check of a record and its edit, so that no other edit is made in between.
    locks: [tokio::sync::Mutex<()>; LOCKS],
    hasher: RandomState,
}

impl<M> Restricted<M> {
    fn new(storage: M, rules: AccessRules) -> Self {
        Self {
            storage,
            rules,
            locks: std::array::from_fn(|_| <_>::default()),
            hasher: RandomState::default(),
        }
    }

    async fn lock(&self, id: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let hash = usize::try_from(self.hasher.hash_one(id) % LOCKS as u64).unwrap_or_default();
        self.locks[hash].lock().await
    }

    async fn may_read<S>(&self, context: &Context<S>, id: &str) -> Result<bool, HandlerError>
    where
        M: SyncMap<S>,
        S: Send + Sync + 'static,
    {
        match &self.rules.read {
            AccessRule::Everyone => Ok(true),
            AccessRule::Nobody => Ok(false),
            AccessRule::Owner { field } => Ok(match self.storage.load(context, id, None).await? {
                LoadOutcome::Record(record) => owns(context, field, &record),
                // The client learns that there is no record, and may be about to create it.
                LoadOutcome::Deleted(_) | LoadOutcome::Missing => true,
            }),
        }
    }

    /// Checks the change of a record with these fields.
    async fn check_change<S>(
        &self,
        context: &Context<S>,
        record: &SyncMapData,
        fields: &JsonObject,
    ) -> Result<(), HandlerError> {
        permit(match &self.rules.change {
            AccessRule::Everyone => true,
            AccessRule::Nobody => false,
            AccessRule::Owner { field } => {
                owns(context, field, record)
                    && fields.get(field).is_none_or(|owner| is_user(context, owner))
            }
        })
    }
}

fn permit(is_allowed: bool) -> Result<(), HandlerError> {
    if is_allowed { Ok(()) } else { Err(HandlerError::Denied) }
}

/// Returns whether a value is the id of the author of the context's action.
fn is_user<S>(context: &Context<S>, value: &Json) -> bool {
    context.user_id().is_some_and(|user| is_id(user, value))
}

fn is_id(user: &str, value: &Json) -> bool {
    value.parse::<String>().is_ok_and(|value| value == user)
}

fn owns<S>(context: &Context<S>, field: &str, record: &SyncMapData) -> bool {
    let owner = record.fields.iter().find(|(key, ..)| &**key == field);
    owner.is_some_and(|(_, value, _)| is_user(context, value))
}

impl<S: Send + Sync + 'static, M: SyncMap<S>> SyncMap<S> for Restricted<M> {
    async fn load(
        &self,
        context: &Context<S>,
        id: &str,
        since: Option<WallTime>,
    ) -> Result<LoadOutcome, HandlerError> {
        self.storage.load(context, id, since).await
    }

    async fn create(
        &self,
        context: &Context<S>,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        let _lock = self.lock(id).await;
        if !context.is_server() && self.rules != AccessRules::default() {
            permit(match &self.rules.create {
                AccessRule::Everyone => true,
                AccessRule::Nobody => false,
                AccessRule::Owner { field } => {
                    fields.get(field).is_some_and(|owner| is_user(context, owner))
                }
            })?;
            if let LoadOutcome::Record(record) = self.storage.load(context, id, None).await? {
                self.check_change(context, &record, fields).await?;
            }
        }
        self.storage.create(context, id, fields, write).await
    }

    async fn change(
        &self,
        context: &Context<S>,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        let _lock = self.lock(id).await;
        if !context.is_server() && self.rules.change != AccessRule::Everyone {
            match self.storage.load(context, id, None).await? {
                LoadOutcome::Record(record) => self.check_change(context, &record, fields).await?,
                LoadOutcome::Deleted(_) | LoadOutcome::Missing => {
                    return Err(HandlerError::NotFound);
                }
            }
        }
        self.storage.change(context, id, fields, write).await
    }

    async fn delete(
        &self,
        context: &Context<S>,
        id: &str,
        write: Write<'_>,
    ) -> Result<Option<WallTime>, HandlerError> {
        let _lock = self.lock(id).await;
        if !context.is_server() {
            match &self.rules.delete {
                AccessRule::Everyone => {}
                AccessRule::Nobody => return Err(HandlerError::Denied),
                AccessRule::Owner { field } => {
                    match self.storage.load(context, id, None).await? {
                        LoadOutcome::Record(record) => permit(owns(context, field, &record))?,
                        // Another device of the owner has deleted it.
                        LoadOutcome::Deleted(_) => {}
                        LoadOutcome::Missing => return Err(HandlerError::NotFound),
                    }
                }
            }
        }
        self.storage.delete(context, id, write).await
    }

    fn edits(&self) -> &[EditKind] {
        self.storage.edits()
    }

    async fn record_actions(
        &self,
        context: &Context<S>,
        id: &str,
    ) -> Result<Option<Filter>, HandlerError> {
        let inner = self.storage.record_actions(context, id).await?;
        let AccessRule::Owner { field } = &self.rules.read else { return Ok(inner) };
        let (Some(user), field) = (context.user_id().map(Arc::<str>::from), field.clone()) else {
            return Ok(Some(Arc::new(|_, _| false)));
        };
        let is_own = match self.storage.load(context, id, None).await? {
            LoadOutcome::Record(record) => owns(context, &field, &record),
            LoadOutcome::Deleted(_) => true,
            LoadOutcome::Missing => false,
        };
        let is_own = AtomicBool::new(is_own);
        Ok(Some(Arc::new(move |action, meta| {
            let was_own = is_own.load(Ordering::Relaxed);
            // A new owner is written in the action; otherwise it stays the same.
            let is_own_now = owner_in(action, &field).map_or(was_own, |owner| is_id(&user, &owner));
            is_own.store(is_own_now, Ordering::Relaxed);
            (was_own || is_own_now) && inner.as_ref().is_none_or(|inner| inner(action, meta))
        })))
    }
}

/// Returns the owner that an action writes.
fn owner_in(action: &Action, field: &str) -> Option<Json> {
    JsonObject::from_json(action.field("fields")?).ok()?.get(field).cloned()
}

/// The ids of the records in a list that belong to its subscriber. Changes of records do not name
/// their owners.
#[derive(Clone, Default)]
struct OwnIds(Arc<Mutex<HashSet<Arc<str>>>>);

impl OwnIds {
    /// Returns the ids of the subscription that the context is for.
    fn of<S: Send + Sync + 'static>(context: &Context<S>) -> Self {
        context.get::<Self>().unwrap_or_else(|| {
            let own_ids = Self::default();
            context.set(own_ids.clone());
            own_ids
        })
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<Arc<str>>> {
        // A poisoned lock is consistent: every change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the owner of a record receives an action about it.
    fn accepts(&self, action: &Action, field: &str, user: &str) -> bool {
        let Some(id) = action.str_field("id") else { return false };
        let mut ids = self.ids();
        match owner_in(action, field) {
            Some(owner) if is_id(user, &owner) => {
                ids.insert(id.as_ref().into());
                true
            }
            Some(_) => ids.remove(&*id),
            None => ids.contains(&*id),
        }
    }
}

impl<M> Restricted<M> {
    /// Returns the filter for the records that the subscriber may read, `None` if there are none.
    fn readable<S>(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
    ) -> Result<Option<JsonObject>, HandlerError> {
        let AccessRule::Owner { field } = &self.rules.read else {
            return Ok(Some(filter.clone()));
        };
        let Some(user) = context.user_id() else { return Ok(None) };
        if filter.get(field).is_some_and(|owner| !is_id(user, owner)) {
            return Ok(None);
        }
        let mut own = filter.clone();
        own.set(field.clone(), Json::from_value(user)?);
        Ok(Some(own))
    }

    /// Removes the records that the subscriber may not read from a list or a page of it, and
    /// remembers the ids of the others. `own` is the filter for its records.
    async fn retain_readable<S>(
        &self,
        context: &Context<S>,
        own: &JsonObject,
        since: Option<WallTime>,
        is_first: bool,
        list: &mut RecordList,
    ) -> Result<(), HandlerError>
    where
        M: SyncMapFilter<S>,
        S: Send + Sync + 'static,
    {
        let AccessRule::Owner { .. } = self.rules.read else { return Ok(()) };
        let own_ids = OwnIds::of(context);
        let extend = |list: &RecordList| {
            own_ids.ids().extend(list.records.iter().map(|record| record.id.clone()));
        };
        if since.is_none() {
            extend(list);
            return Ok(());
        }
        // A list since a time has only what has changed, and also records that do not match: those
        // of other users, which the client may not read.
        if is_first {
            extend(&self.storage.list(context, own, None).await?);
        }
        let own_ids = own_ids.ids();
        list.records.retain(|record| own_ids.contains(&record.id));
        Ok(())
    }
}

impl<S: Send + Sync + 'static, M: SyncMapFilter<S>> SyncMapFilter<S> for Restricted<M> {
    async fn list(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
        since: Option<WallTime>,
    ) -> Result<RecordList, HandlerError> {
        let Some(own) = self.readable(context, filter)? else { return Ok(RecordList::default()) };
        let mut list = self.storage.list(context, &own, since).await?;
        self.retain_readable(context, &own, since, true, &mut list).await?;
        Ok(list)
    }

    async fn list_page(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
        since: Option<WallTime>,
        after: Option<&str>,
    ) -> Result<RecordList, HandlerError> {
        let Some(own) = self.readable(context, filter)? else { return Ok(RecordList::default()) };
        let mut page = self.storage.list_page(context, &own, since, after).await?;
        self.retain_readable(context, &own, since, after.is_none(), &mut page).await?;
        Ok(page)
    }

    async fn actions(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
    ) -> Result<Option<Filter>, HandlerError> {
        let inner = self.storage.actions(context, filter).await?;
        let AccessRule::Owner { field } = &self.rules.read else { return Ok(inner) };
        let (Some(user), field) = (context.user_id().map(Arc::<str>::from), field.clone()) else {
            return Ok(Some(Arc::new(|_, _| false)));
        };
        let own_ids = OwnIds::of(context);
        Ok(Some(Arc::new(move |action, meta| {
            own_ids.accepts(action, &field, &user)
                && inner.as_ref().is_none_or(|inner| inner(action, meta))
        })))
    }
}
