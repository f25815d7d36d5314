//! Records in SQLite: [`SqliteRecords::collection`](logux_sqlite::SqliteRecords::collection) is a storage as it is.

use logux::{WallTime, json::JsonObject};
use logux_sqlite::{SqliteCollection, SqliteError};

use crate::{
    error::HandlerError,
    handlers::context::Context,
    sync_map::{
        SyncMap, SyncMapFilter, Write,
        data::{EditOutcome, LoadOutcome, RecordList},
        records::{edited, found, listed},
    },
};

impl<S: Send + Sync + 'static> SyncMap<S> for SqliteCollection {
    async fn load(
        &self,
        _: &Context<S>,
        id: &str,
        since: Option<WallTime>,
    ) -> Result<LoadOutcome, HandlerError> {
        let id = id.to_owned();
        blocking(self, move |collection| {
            let (maps, name) = (collection.records(), collection.name());
            let record = maps.load(name, &id, since)?;
            let deletion = if record.is_none() { maps.deletion(name, &id)? } else { None };
            Ok(found(record, deletion))
        })
        .await
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
        let (id, fields, stamp, arrived) =
            (id.to_owned(), fields.clone(), write.stamp.clone(), write.arrived);
        blocking(self, move |collection| {
            let write = Write { stamp: &stamp, arrived };
            let (changed, stamp) = collection.records().change_with_unique_time(
                collection.name(),
                &id,
                &fields,
                write,
            )?;
            Ok(edited(changed, &stamp))
        })
        .await
    }

    async fn delete(
        &self,
        _: &Context<S>,
        id: &str,
        write: Write<'_>,
    ) -> Result<bool, HandlerError> {
        let (id, stamp, arrived) = (id.to_owned(), write.stamp.clone(), write.arrived);
        blocking(self, move |collection| {
            collection.records().delete(collection.name(), &id, Write { stamp: &stamp, arrived })
        })
        .await
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
            let (maps, name) = (collection.records(), collection.name());
            let matching = maps.list(name, &filter, since)?;
            let (mut touched, mut gone) = (Vec::new(), Vec::new());
            if let Some(since) = since {
                gone = maps.deleted_since(name, since)?;
                if !filter.is_empty() {
                    touched = maps.list(name, &JsonObject::default(), Some(since))?;
                }
            }
            Ok(listed(&filter, matching, touched, gone))
        })
        .await
    }
}

/// Asks the database on a thread where waiting does not hold up others.
async fn blocking<T: Send + 'static>(
    collection: &SqliteCollection,
    ask: impl FnOnce(&SqliteCollection) -> Result<T, SqliteError> + Send + 'static,
) -> Result<T, HandlerError> {
    let collection = collection.clone();
    Ok(tokio::task::spawn_blocking(move || ask(&collection)).await??)
}
