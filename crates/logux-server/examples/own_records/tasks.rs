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
    record::{Field, matching, unique_stamp},
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
    /// The stamp of the latest creation or change.
    written: Option<Stamp>,
    /// The stamp of the latest deletion, and the time of its arrival.
    deleted: Option<(Stamp, WallTime)>,
}

impl Task {
    fn exists(&self) -> bool {
        self.written.as_ref() > self.deletion()
    }

    fn deletion(&self) -> Option<&Stamp> {
        self.deleted.as_ref().map(|(stamp, _)| stamp)
    }

    /// Returns the fields that arrived at `since` or later.
    fn data(&self, id: &Arc<str>, since: Option<WallTime>) -> SyncMapData {
        let fields = self.fields.values().filter(|field| Some(field.arrived) >= since);
        let fields =
            fields.map(|field| (field.key.clone(), field.value.clone(), Some(field.stamp.time())));
        SyncMapData { id: id.clone(), fields: fields.collect() }
    }

    fn matches(&self, filter: &JsonObject) -> bool {
        filter.iter().all(|(key, value)| {
            self.fields.get(key).is_some_and(|field| matching::equal(&field.value, value))
        })
    }

    /// Returns `true` if a field of the filter was written at `since` or later, so that the task
    /// may have matched before.
    fn may_have_matched(&self, filter: &JsonObject, since: WallTime) -> bool {
        filter
            .iter()
            .any(|(key, _)| self.fields.get(key).is_some_and(|field| field.arrived >= since))
    }

    fn write(&mut self, fields: &JsonObject, write: Write<'_>) -> EditOutcome {
        let existed = self.exists();
        let current: Vec<Field> = self.fields.values().cloned().collect();
        let stamp = unique_stamp(&current, fields, write.stamp);
        if self.deletion() >= Some(&stamp) {
            return EditOutcome::Nothing;
        }
        let mut won = JsonObject::default();
        for (key, value) in fields.iter() {
            // After a crash, the same write may be repeated, and has the same outcome.
            if self.fields.get(key).is_none_or(|field| field.stamp <= stamp) {
                let key: Arc<str> = key.into();
                let field = Field {
                    key: key.clone(),
                    value: value.clone(),
                    stamp: stamp.clone(),
                    arrived: write.arrived,
                };
                self.fields.insert(key.clone(), field);
                won.set(key, value.clone());
            }
        }
        let time = stamp.time();
        self.written = self.written.take().max(Some(stamp));
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
            Some((id, task)) if task.exists() => task.data(id, since).into(),
            Some((_, task)) => task
                .deletion()
                .map_or(LoadOutcome::Missing, |deletion| LoadOutcome::Deleted(deletion.time())),
            None => LoadOutcome::Missing,
        })
    }

    async fn create(
        &self,
        context: &Context<S>,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        self.change(context, id, fields, write).await
    }

    async fn change(
        &self,
        _: &Context<S>,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        Ok(self.all().entry(id.into()).or_default().write(fields, write))
    }

    async fn delete(
        &self,
        _: &Context<S>,
        id: &str,
        write: Write<'_>,
    ) -> Result<bool, HandlerError> {
        let mut tasks = self.all();
        let task = tasks.entry(id.into()).or_default();
        if task.deletion() > Some(write.stamp) {
            return Ok(false);
        }
        task.fields.retain(|_, field| field.stamp > *write.stamp);
        task.deleted = Some((write.stamp.clone(), write.arrived));
        Ok(!task.exists())
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
            if task.exists() {
                if task.matches(filter) || may_have_matched() {
                    listed.records.push(task.data(id, since));
                }
            } else if let Some((stamp, _)) = task
                .deleted
                .as_ref()
                .filter(|(_, arrived)| since.is_some_and(|since| *arrived >= since))
            {
                listed.deleted.push((id.clone(), stamp.time()));
            }
        }
        Ok(listed)
    }
}
