//! Records in SQLite: [`SqliteRecords::collection`](logux_sqlite::SqliteRecords::collection)
//! implements the storage.

use std::time::Duration;

use logux::{WallTime, json::JsonObject};
use logux_sqlite::{SqliteCollection, SqliteError};

use crate::{
    blocking::{on_blocking_thread, when_ready},
    error::HandlerError,
    handlers::context::Context,
    sync_map::{
        SyncMap, SyncMapFilter, Write,
        data::{EditOutcome, LoadOutcome, RecordList},
        records::{edit_outcome, load_outcome, record_list, refused},
    },
};

/// The time that a page waits for the commit of what was written before it. A round of the hub
/// takes some milliseconds, and its commit is waited for in any case.
const COMMIT_WAIT: Duration = Duration::from_millis(100);

impl<S: Send + Sync + 'static> SyncMap<S> for SqliteCollection {
    async fn load(
        &self,
        _: &Context<S>,
        id: &str,
        since: Option<WallTime>,
    ) -> Result<LoadOutcome, HandlerError> {
        let id = id.to_owned();
        blocking(self, move |collection| {
            let (records, name) = (collection.records(), collection.name());
            let record = records.load(name, &id, since)?;
            let deletion = if record.is_none() { records.deletion(name, &id)? } else { None };
            Ok(load_outcome(record, deletion))
        })
        .await
    }

    async fn create(
        &self,
        _: &Context<S>,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        let (id, fields, stamp, arrived) =
            (id.to_owned(), fields.clone(), write.stamp.clone(), write.arrived);
        let created = write_records(self, move |collection| {
            let write = Write { stamp: &stamp, arrived };
            collection.records().create(collection.name(), &id, &fields, write)
        });
        Ok(edit_outcome(created.await?))
    }

    async fn change(
        &self,
        _: &Context<S>,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        let (id, fields, stamp, arrived) =
            (id.to_owned(), fields.clone(), write.stamp.clone(), write.arrived);
        let changed = write_records(self, move |collection| {
            let write = Write { stamp: &stamp, arrived };
            collection.records().change(collection.name(), &id, &fields, write)
        });
        Ok(edit_outcome(changed.await?))
    }

    async fn delete(
        &self,
        _: &Context<S>,
        id: &str,
        write: Write<'_>,
    ) -> Result<Option<WallTime>, HandlerError> {
        let (id, stamp, arrived) = (id.to_owned(), write.stamp.clone(), write.arrived);
        let deleted = write_records(self, move |collection| {
            let write = Write { stamp: &stamp, arrived };
            collection.records().delete(collection.name(), &id, write)
        });
        Ok(deleted.await?.map(|deletion| deletion.time()))
    }
}

impl<S: Send + Sync + 'static> SyncMapFilter<S> for SqliteCollection {
    async fn list(
        &self,
        _: &Context<S>,
        filter: &JsonObject,
        since: Option<WallTime>,
    ) -> Result<RecordList, HandlerError> {
        let filter = filter.clone();
        blocking(self, move |collection| {
            let (records, name) = (collection.records(), collection.name());
            let matching = records.list(name, &filter, since)?;
            let (mut touched, mut deleted) = (Vec::new(), Vec::new());
            if let Some(since) = since {
                deleted = records.deleted_since(name, since)?;
                if !filter.is_empty() {
                    touched = records.list(name, &JsonObject::default(), Some(since))?;
                }
            }
            Ok(record_list(&filter, matching, touched, deleted))
        })
        .await
    }

    async fn list_page(
        &self,
        _: &Context<S>,
        filter: &JsonObject,
        since: Option<WallTime>,
        after: Option<&str>,
    ) -> Result<RecordList, HandlerError> {
        let (filter, after) = (filter.clone(), after.map(str::parse).transpose()?);
        // Not by the connection of the hub, which would wait for the pages of all readers. What was
        // written before is in the page: the hub commits it in the round that started this handler.
        let page = blocking(self, move |collection| {
            let (records, name) = (collection.records(), collection.name());
            records.list_committed_page(name, &filter, since, after, COMMIT_WAIT)
        });
        Ok(page.await?.into())
    }
}

/// Runs a query on a thread for blocking work.
async fn blocking<T: Send + 'static>(
    collection: &SqliteCollection,
    query: impl FnOnce(&SqliteCollection) -> Result<T, SqliteError> + Send + 'static,
) -> Result<T, HandlerError> {
    let collection = collection.clone();
    on_blocking_thread(move || result_of(query(&collection))).await
}

fn result_of<T>(result: Result<T, SqliteError>) -> Result<T, HandlerError> {
    match result {
        Err(SqliteError::Refused(write)) => Err(refused(write)),
        result => Ok(result?),
    }
}

/// Runs a write, in the same round and commit of the hub if it calls this.
async fn write_records<T: Send + 'static>(
    collection: &SqliteCollection,
    write: impl FnOnce(&SqliteCollection) -> Result<T, SqliteError> + Send + 'static,
) -> Result<T, HandlerError> {
    let owned = collection.clone();
    when_ready(collection.records().database(), move || result_of(write(&owned))).await
}
