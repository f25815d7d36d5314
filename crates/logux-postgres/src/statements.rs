//! The statements of the transactions that write records.

use logux::{
    WallTime,
    json::JsonObject,
    record::{Field, matching},
};
use sqlx::PgConnection;

use crate::{
    PostgresError,
    rows::{FieldRow, RecordRow, RecordRowColumns, field},
};

/// The number of deletions that a deletion forgets. More than one, so that all are forgotten in
/// time.
pub(crate) const FORGOTTEN_AT_ONCE: i64 = 4;

/// Forgets deletions. Rows that another transaction has locked are left for the next call.
pub(crate) async fn forget(
    db: &mut PgConnection,
    collection: &str,
    before: WallTime,
    limit: i64,
) -> Result<u64, PostgresError> {
    let old = "SELECT record FROM logux_records WHERE collection = $1 AND deletion_arrived < $2
        ORDER BY deletion_arrived LIMIT $3 FOR UPDATE SKIP LOCKED";
    let old: Vec<i64> = sqlx::query_scalar(old)
        .bind(collection)
        .bind(before.as_millis())
        .bind(limit)
        .fetch_all(&mut *db)
        .await?;
    for statement in [
        "DELETE FROM logux_records WHERE record = ANY ($1) AND (touched IS NULL OR touched < deleted)",
        "UPDATE logux_records SET deleted = NULL, deletion_arrived = NULL WHERE record = ANY ($1)",
    ] {
        sqlx::query(statement).bind(&old).execute(&mut *db).await?;
    }
    Ok(old.len() as u64)
}

/// Locks the row of a record until the end of the transaction, if there is one.
pub(crate) async fn lock(
    db: &mut PgConnection,
    collection: &str,
    id: &str,
) -> Result<Option<RecordRow>, PostgresError> {
    let select = "SELECT record, touched, deleted, deletion_arrived, field_count, bytes
        FROM logux_records WHERE collection = $1 AND id = $2 FOR UPDATE";
    let row: Option<RecordRowColumns> =
        sqlx::query_as(select).bind(collection).bind(id).fetch_optional(db).await?;
    row.map(RecordRow::try_from).transpose()
}

/// Locks the row of a record until the end of the transaction, and inserts the row if it is
/// missing.
pub(crate) async fn insert_and_lock(
    db: &mut PgConnection,
    collection: &str,
    id: &str,
) -> Result<RecordRow, PostgresError> {
    let upsert = "INSERT INTO logux_records (collection, id) VALUES ($1, $2)
        ON CONFLICT (collection, id) DO UPDATE SET id = excluded.id
        RETURNING record, touched, deleted, deletion_arrived, field_count, bytes";
    let row: RecordRowColumns =
        sqlx::query_as(upsert).bind(collection).bind(id).fetch_one(db).await?;
    row.try_into()
}

/// Returns the fields of a record that have the keys of `fields`.
pub(crate) async fn fields_of(
    db: &mut PgConnection,
    record: i64,
    fields: &JsonObject,
) -> Result<Vec<Field>, PostgresError> {
    let keys: Vec<&str> = fields.iter().map(|(key, _)| key).collect();
    let select =
        "SELECT key, value, stamp, arrived FROM logux_fields WHERE record = $1 AND key = ANY ($2)";
    let rows: Vec<FieldRow> = sqlx::query_as(select).bind(record).bind(&keys).fetch_all(db).await?;
    rows.into_iter().map(field).collect()
}

pub(crate) async fn set_fields(
    db: &mut PgConnection,
    record: i64,
    collection: &str,
    fields: &JsonObject,
    (time, arrived): (&[u8], WallTime),
) -> Result<(), PostgresError> {
    if fields.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = fields.iter().map(|(key, _)| key).collect();
    let values: Vec<&str> = fields.iter().map(|(_, value)| value.as_str()).collect();
    let hashes: Vec<i64> =
        fields.iter().map(|(key, value)| matching::hash(collection, key, value)).collect();
    let upsert = "INSERT INTO logux_fields (record, key, value, stamp, hash, arrived)
        SELECT $1, new.key, new.value, $5, new.hash, $6
        FROM unnest($2::text[], $3::text[], $4::bigint[]) AS new (key, value, hash)
        ON CONFLICT (record, key) DO UPDATE
        SET value = excluded.value, stamp = excluded.stamp, hash = excluded.hash, arrived = excluded.arrived";
    sqlx::query(upsert)
        .bind(record)
        .bind(&keys)
        .bind(&values)
        .bind(&hashes)
        .bind(time)
        .bind(arrived.as_millis())
        .execute(db)
        .await?;
    Ok(())
}
