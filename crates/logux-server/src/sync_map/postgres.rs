//! Records in PostgreSQL:
//! [`PostgresRecords::collection`](logux_postgres::PostgresRecords::collection) implements the
//! storage.

use logux::{WallTime, json::JsonObject};
use logux_postgres::{Changed, PostgresCollection, PostgresError};

use crate::{
    error::HandlerError,
    handlers::context::Context,
    sync_map::{
        SyncMap, SyncMapFilter, Write,
        data::{EditOutcome, LoadOutcome, RecordList},
        records::{edit_outcome, load_outcome, record_list, refused},
    },
};

/// How much earlier than the requested time changes are loaded, in milliseconds: a write becomes
/// visible when its transaction is committed, some time after it has arrived, and several servers
/// write by their own clocks.
const MARGIN_MS: i64 = 10_000;

impl<S: Send + Sync + 'static> SyncMap<S> for PostgresCollection {
    async fn load(
        &self,
        _: &Context<S>,
        id: &str,
        since: Option<WallTime>,
    ) -> Result<LoadOutcome, HandlerError> {
        let (record, deletion) = self.records().find(self.name(), id, since.map(earlier)).await?;
        Ok(load_outcome(record, deletion))
    }

    async fn create(
        &self,
        _: &Context<S>,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        written(self.records().create(self.name(), id, fields, write).await)
    }

    async fn change(
        &self,
        _: &Context<S>,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        written(self.records().change(self.name(), id, fields, write).await)
    }

    async fn delete(
        &self,
        _: &Context<S>,
        id: &str,
        write: Write<'_>,
    ) -> Result<Option<WallTime>, HandlerError> {
        let deletion = self.records().delete(self.name(), id, write).await?;
        Ok(deletion.map(|deletion| deletion.time()))
    }
}

fn written(changed: Result<Changed, PostgresError>) -> Result<EditOutcome, HandlerError> {
    match changed {
        Ok(changed) => Ok(edit_outcome(changed)),
        Err(PostgresError::Refused(write)) => Err(refused(write)),
        Err(error) => Err(error.into()),
    }
}

impl<S: Send + Sync + 'static> SyncMapFilter<S> for PostgresCollection {
    async fn list(
        &self,
        _: &Context<S>,
        filter: &JsonObject,
        since: Option<WallTime>,
    ) -> Result<RecordList, HandlerError> {
        let (records, name, since) = (self.records(), self.name(), since.map(earlier));
        let matching = records.list(name, filter, since).await?;
        let (mut touched, mut deleted) = (Vec::new(), Vec::new());
        if let Some(since) = since {
            deleted = records.deleted_since(name, since).await?;
            if !filter.is_empty() {
                touched = records.touched_since(name, filter, since).await?;
            }
        }
        Ok(record_list(filter, matching, touched, deleted))
    }

    async fn list_page(
        &self,
        _: &Context<S>,
        filter: &JsonObject,
        since: Option<WallTime>,
        after: Option<&str>,
    ) -> Result<RecordList, HandlerError> {
        let (since, after) = (since.map(earlier), after.map(str::parse).transpose()?);
        Ok(self.records().list_page(self.name(), filter, since, after).await?.into())
    }
}

const fn earlier(since: WallTime) -> WallTime {
    since.shifted(-MARGIN_MS)
}
