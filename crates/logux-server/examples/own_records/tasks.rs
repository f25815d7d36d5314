//! A storage of records in memory. Each field has the stamp of its last write, and deletions are
//! remembered.
//!
//! In a database, the fields would be columns, and each method a transaction.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use logux::{
    Stamp, WallTime,
    json::JsonObject,
    record::{Changed, Deletion, Field, RecordState, matching},
};
use logux_server::{
    Context, EditOutcome, HandlerError, LoadOutcome, RecordList, SyncMap, SyncMapData,
    SyncMapFilter, Write,
};

/// All tasks by id.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<BTreeMap<Arc<str>, Task>>);

/// A task, which may be deleted.
#[derive(Debug, Default)]
struct Task {
    fields: BTreeMap<Arc<str>, Field>,
    /// The stamps of the latest creation or change, and of the latest deletion.
    state: RecordState,
    /// The time at which the latest deletion arrived.
    deletion_arrived: Option<WallTime>,
}

impl Task {
    /// Returns the deletion if it arrived at `since` or later.
    fn deleted_since(&self, since: Option<WallTime>) -> Option<WallTime> {
        self.deletion_arrived.filter(|arrived| since.is_some_and(|since| *arrived >= since))?;
        self.state.deleted.as_ref().map(Stamp::time)
    }

    /// Returns the fields that arrived at `since` or later.
    fn data(&self, id: &Arc<str>, since: Option<WallTime>) -> SyncMapData {
        let fields = self.fields.values().filter(|field| Some(field.arrived) >= since);
        let fields =
            fields.map(|field| (field.key.clone(), field.value.clone(), Some(field.stamp.time())));
        SyncMapData {
            id: id.clone(),
            fields: fields.collect(),
            recreated_after: self.deleted_since(since),
        }
    }

    fn matches(&self, filter: &JsonObject) -> bool {
        filter.iter().all(|(key, value)| {
            self.fields.get(key).is_some_and(|field| matching::equal(&field.value, value))
        })
    }

    /// Returns `true` if the task was created again, or a field of the filter was written, at
    /// `since` or later, so that the task may have matched before.
    fn may_have_matched(&self, filter: &JsonObject, since: WallTime) -> bool {
        let mut written = filter.iter().filter_map(|(key, _)| self.fields.get(key));
        self.deleted_since(Some(since)).is_some() || written.any(|field| field.arrived >= since)
    }

    fn write(&mut self, fields: &JsonObject, write: Write<'_>) -> EditOutcome {
        let known: Vec<Field> =
            fields.iter().filter_map(|(key, _)| self.fields.get(key)).cloned().collect();
        let Changed { won, existed, stamp } =
            Changed::decide(&self.state, &known, fields, write.stamp);
        for (key, value) in won.iter() {
            let key: Arc<str> = key.into();
            let field = Field {
                key: key.clone(),
                value: value.clone(),
                stamp: stamp.clone(),
                arrived: write.arrived,
            };
            self.fields.insert(key, field);
        }
        let time = stamp.time();
        self.state.touched = self.state.touched.take().max(Some(stamp));
        if won.is_empty() && existed {
            EditOutcome::Nothing
        } else {
            EditOutcome::Fields { won, time }
        }
    }
}

impl Tasks {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Task>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Send + Sync + 'static> SyncMap<S> for Tasks {
    async fn load(
        &self,
        _: &Context<S>,
        id: &str,
        since: Option<WallTime>,
    ) -> Result<LoadOutcome, HandlerError> {
        Ok(match self.all().get_key_value(id) {
            Some((id, task)) if task.state.exists() => task.data(id, since).into(),
            Some((_, Task { state: RecordState { deleted: Some(deletion), .. }, .. })) => {
                LoadOutcome::Deleted(deletion.time())
            }
            _ => LoadOutcome::Missing,
        })
    }

    async fn create(
        &self,
        _: &Context<S>,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        let mut tasks = self.all();
        let task = tasks.entry(id.into()).or_default();
        task.state.check_create(write.stamp).map_err(|_| HandlerError::NotFound)?;
        Ok(task.write(fields, write))
    }

    async fn change(
        &self,
        _: &Context<S>,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        let mut tasks = self.all();
        let task = tasks.get_mut(id).ok_or(HandlerError::NotFound)?;
        task.state.check_change(write.stamp).map_err(|_| HandlerError::NotFound)?;
        Ok(task.write(fields, write))
    }

    async fn delete(
        &self,
        _: &Context<S>,
        id: &str,
        write: Write<'_>,
    ) -> Result<Option<WallTime>, HandlerError> {
        let mut tasks = self.all();
        let task = tasks.entry(id.into()).or_default();
        let Deletion { stamp, exists } = task.state.delete(write.stamp);
        let time = stamp.time();
        if task.state.deleted.as_ref() != Some(&stamp) {
            task.fields.clear();
            task.state.deleted = Some(stamp);
            task.deletion_arrived = Some(write.arrived);
        }
        Ok(exists.then_some(time))
    }
}

impl<S: Send + Sync + 'static> SyncMapFilter<S> for Tasks {
    async fn list(
        &self,
        _: &Context<S>,
        filter: &JsonObject,
        since: Option<WallTime>,
    ) -> Result<RecordList, HandlerError> {
        let mut listed = RecordList::default();
        for (id, task) in self.all().iter() {
            let may_have_matched =
                || since.is_some_and(|since| task.may_have_matched(filter, since));
            if task.state.exists() {
                if task.matches(filter) && may_have_matched() {
                    // The client may have nothing of it.
                    let recreated_after = task.deleted_since(since);
                    listed.records.push(SyncMapData { recreated_after, ..task.data(id, None) });
                } else if task.matches(filter) || may_have_matched() {
                    listed.records.push(task.data(id, since));
                }
            } else if let Some(time) = task.deleted_since(since) {
                listed.deleted.push((id.clone(), time));
            }
        }
        Ok(listed)
    }
}
