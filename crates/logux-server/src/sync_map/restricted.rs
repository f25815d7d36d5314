//! A storage whose records are read and edited according to rules.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use logux::{
    Action, Json, WallTime,
    crdt::Path,
    json::JsonObject,
    server::{Filter, Recipients, RequestKind},
    store::Store,
};

use crate::{
    access_rule::AccessRule,
    error::{BuildError, HandlerError},
    handlers::context::Context,
    rights::decision::{allows, value_in},
    server::builder::Builder,
    sync_map::{
        EditKind, SyncMap, SyncMapFilter, Write,
        data::{EditOutcome, LoadOutcome, RecordList, SyncMapData},
        readers::{ReadableBy, ReadableIds},
        rules::AccessRules,
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
        let checked = rules.check().map_err(|(row, error)| BuildError::AccessRule {
            name: plural.to_owned(),
            row,
            error,
        });
        let restricted = Arc::new(Restricted::new(plural, storage, rules));
        let (reading, listing) = (restricted.clone(), restricted.clone());
        self.record(checked)
            .sync_map(plural, restricted.clone(), move |context, id| {
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
    plural: Arc<str>,
    storage: M,
    rules: AccessRules,
    /// The names of the fields that decide about access.
    managed: Vec<Arc<str>>,
    owners: Vec<(AccessRule, Path)>,
    /// Held between the check of a record and its edit, so that no other edit is made in between.
    locks: [tokio::sync::Mutex<()>; LOCKS],
    hasher: RandomState,
}

impl<M> Restricted<M> {
    fn new(plural: &str, storage: M, rules: AccessRules) -> Self {
        Self {
            plural: plural.into(),
            storage,
            managed: rules.managed_fields(),
            owners: rules.owners(),
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
        match ReadableBy::new(&self.rules.read, context)? {
            ReadableBy::Everything => Ok(true),
            ReadableBy::Nothing => Ok(false),
            ReadableBy::Fields(rules) => Ok(match self.storage.load(context, id, None).await? {
                LoadOutcome::Record(record) => rules.allow(&record),
                // The client learns that there is no record, and may be about to create it.
                LoadOutcome::Deleted(_) | LoadOutcome::Missing => true,
            }),
        }
    }

    /// Checks the creation of a record with these fields.
    fn check_creation<S>(
        &self,
        context: &Context<S>,
        fields: &JsonObject,
    ) -> Result<(), HandlerError> {
        let value = |path: &Path| value_in(|key| fields.get(key), path);
        let is_own = |(_, path): &(AccessRule, Path)| match value(path) {
            None => true,
            Some(owner) => context.user_id().is_some_and(|user| owner == user),
        };
        permit(self.owners.iter().all(is_own) && allows(&self.rules.create, context, None, value)?)
    }

    /// Checks the change of a record with these fields.
    fn check_change<S>(
        &self,
        context: &Context<S>,
        record: &SyncMapData,
        fields: &JsonObject,
    ) -> Result<(), HandlerError> {
        permit(allows(&self.rules.change, context, None, |path| record.value(path))?)?;
        let is_changed = |key: &str| {
            let new = fields.get(key);
            new.is_some_and(|new| record.field(key).is_none_or(|old| old != new))
        };
        if !self.managed.iter().any(|key| is_changed(key)) {
            return Ok(());
        }
        let value = |path: &Path| record.value(path);
        if let Some(manage) = &self.rules.manage {
            return permit(allows(manage, context, None, value)?);
        }
        let new_value = |path: &Path| value_in(|key| fields.get(key), path);
        for (rule, path) in &self.owners {
            let is_named = path.keys().next().is_some_and(|key| is_changed(&key));
            if is_named && new_value(path) != value(path) {
                return Err(HandlerError::Denied);
            }
            if allows(rule, context, None, value)? {
                return Ok(());
            }
        }
        Err(HandlerError::Denied)
    }

    /// Tells the subscribers of a record, and those of its collection, that other users may read it
    /// now. New readers receive all its fields. For those who may not read it any more, it is
    /// deleted. It is called before they receive the edit itself.
    async fn tell_readers<S>(
        &self,
        context: &Context<S>,
        id: &str,
        fields: &JsonObject,
        outcome: &EditOutcome,
    ) -> Result<(), HandlerError>
    where
        M: SyncMap<S>,
        S: Send + Sync + 'static,
    {
        let written = match outcome {
            EditOutcome::Nothing => return Ok(()),
            EditOutcome::All => fields,
            EditOutcome::Fields { won, .. } => won,
        };
        let is_managed = |key: &Arc<str>| self.managed.contains(key);
        let reads = self.rules.read.needs_fields();
        if !reads || !written.iter().any(|(key, _)| is_managed(&key.into())) {
            return Ok(());
        }
        let LoadOutcome::Record(mut record) = self.storage.load(context, id, None).await? else {
            return Ok(());
        };
        record.recreated_after = None;
        // The fields that decide come first: the filters of the subscribers learn from them.
        let (managed, others): (Vec<_>, Vec<_>) =
            record.fields.drain(..).partition(|(key, ..)| is_managed(key));
        let to = || Recipients {
            channels: vec![format!("{}/{id}", self.plural).into(), self.plural.clone()],
            ..Recipients::default()
        };
        let last = managed.iter().chain(&others).filter_map(|(.., time)| *time).max();
        for fields in [managed, others] {
            let part = SyncMapData { fields, ..record.clone() };
            for (action, time) in part.actions(&self.plural)? {
                context.server().send_at(action, time, to()).await;
            }
        }
        let id = Json::from_value(id)?;
        let json =
            format!(r#"{{"type":"{}/deleted","id":{id},"reason":"{REVOKED}"}}"#, self.plural);
        // Later than all fields, which it hides.
        let time = last.map(|last| last.shifted(1));
        context.server().send_at(Action::new(json)?, time, to()).await;
        Ok(())
    }
}

/// The reason of a deletion that only those receive who may not read the record any more.
pub(super) const REVOKED: &str = "revoked";

fn permit(is_allowed: bool) -> Result<(), HandlerError> {
    if is_allowed { Ok(()) } else { Err(HandlerError::Denied) }
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
        let mut existed = false;
        if !context.is_server() && self.rules != AccessRules::default() {
            self.check_creation(context, fields)?;
            if let LoadOutcome::Record(record) = self.storage.load(context, id, None).await? {
                self.check_change(context, &record, fields)?;
                existed = true;
            }
        }
        let outcome = self.storage.create(context, id, fields, write).await?;
        if existed {
            self.tell_readers(context, id, fields, &outcome).await?;
        }
        Ok(outcome)
    }

    async fn change(
        &self,
        context: &Context<S>,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        let _lock = self.lock(id).await;
        let is_free = self.rules.change == AccessRule::Everyone && self.managed.is_empty();
        if !context.is_server() && !is_free {
            match self.storage.load(context, id, None).await? {
                LoadOutcome::Record(record) => self.check_change(context, &record, fields)?,
                LoadOutcome::Deleted(_) | LoadOutcome::Missing => {
                    return Err(HandlerError::NotFound);
                }
            }
        }
        let outcome = self.storage.change(context, id, fields, write).await?;
        self.tell_readers(context, id, fields, &outcome).await?;
        Ok(outcome)
    }

    async fn delete(
        &self,
        context: &Context<S>,
        id: &str,
        write: Write<'_>,
    ) -> Result<Option<WallTime>, HandlerError> {
        let _lock = self.lock(id).await;
        let rule = &self.rules.delete;
        if !context.is_server() && rule.needs_fields() {
            match self.storage.load(context, id, None).await? {
                LoadOutcome::Record(record) => {
                    permit(allows(rule, context, None, |path| record.value(path))?)?;
                }
                // Another device of the owner has deleted it.
                LoadOutcome::Deleted(_) => {}
                LoadOutcome::Missing => return Err(HandlerError::NotFound),
            }
        } else if !context.is_server() {
            permit(allows(rule, context, None, |_| None)?)?;
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
        let rules = match ReadableBy::new(&self.rules.read, context)? {
            ReadableBy::Everything => return Ok(inner),
            ReadableBy::Nothing => return Ok(Some(Arc::new(|_, _| false))),
            ReadableBy::Fields(rules) => rules,
        };
        let readable = ReadableIds::new(rules);
        if let LoadOutcome::Record(record) = self.storage.load(context, id, None).await? {
            readable.add(&record);
        }
        Ok(Some(Arc::new(move |action, meta| {
            readable.accepts(action) && inner.as_ref().is_none_or(|inner| inner(action, meta))
        })))
    }
}

impl<M> Restricted<M> {
    /// Returns the filter for a list of the records that the subscriber may read. `None` if there
    /// are none. The storage need not read the records of other owners.
    fn readable(
        filter: &JsonObject,
        readable: &ReadableBy,
    ) -> Result<Option<JsonObject>, HandlerError> {
        match readable {
            ReadableBy::Everything => Ok(Some(filter.clone())),
            ReadableBy::Nothing => Ok(None),
            ReadableBy::Fields(rules) => {
                let Some((field, user)) = rules.single_owner() else {
                    return Ok(Some(filter.clone()));
                };
                let user = Json::from_value(user)?;
                if filter.get(field).is_some_and(|owner| *owner != user) {
                    return Ok(None);
                }
                let mut own = filter.clone();
                own.set(field.clone(), user);
                Ok(Some(own))
            }
        }
    }

    /// Removes the records that the subscriber may not read from a list or a page of it, and
    /// remembers the ids of the others. `filter` is that of the list.
    async fn retain_readable<S>(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
        since: Option<WallTime>,
        is_first: bool,
        list: &mut RecordList,
    ) -> Result<(), HandlerError>
    where
        M: SyncMapFilter<S>,
        S: Send + Sync + 'static,
    {
        let ReadableBy::Fields(rules) = ReadableBy::new(&self.rules.read, context)? else {
            return Ok(());
        };
        let ids = ReadableIds::of(context, rules);
        if since.is_none() {
            // It has all fields.
            list.records.retain(|record| ids.add(record));
            return Ok(());
        }
        // A list since a time has only what has changed, and also records that do not match: those
        // of other users, which the client may not read.
        if is_first {
            let mut after: Option<Arc<str>> = None;
            loop {
                let page = self.storage.list_page(context, filter, None, after.as_deref()).await?;
                for record in &page.records {
                    ids.add(record);
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        list.records.retain(|record| ids.contains(&record.id));
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
        let readable = ReadableBy::new(&self.rules.read, context)?;
        let Some(own) = Self::readable(filter, &readable)? else {
            return Ok(RecordList::default());
        };
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
        let readable = ReadableBy::new(&self.rules.read, context)?;
        let Some(own) = Self::readable(filter, &readable)? else {
            return Ok(RecordList::default());
        };
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
        let rules = match ReadableBy::new(&self.rules.read, context)? {
            ReadableBy::Everything => return Ok(inner),
            ReadableBy::Nothing => return Ok(Some(Arc::new(|_, _| false))),
            ReadableBy::Fields(rules) => rules,
        };
        let ids = ReadableIds::of(context, rules);
        Ok(Some(Arc::new(move |action, meta| {
            ids.accepts(action) && inner.as_ref().is_none_or(|inner| inner(action, meta))
        })))
    }
}
