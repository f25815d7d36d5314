//! Records of collections; for each field the last write wins.

use std::sync::Arc;

use logux::{
    Stamp, WallTime,
    json::JsonObject,
    record::{Changed, Record, RecordConfig, RefusedWrite, Write, matching},
    store::key,
};
use sqlx::{PgPool, Postgres, Transaction};

use crate::{
    PostgresError,
    rows::{FieldRow, JoinedRow, RecordRow, RecordRowColumns, deletions, field, records},
    statements::{FORGOTTEN_AT_ONCE, fields_of, forget, insert_and_lock, lock, set_fields},
};

/// Durable records in a database; for each field the last write wins. Cheap to clone.
///
/// Writes are ordered by the [`Stamp`] of their action: time, then node id by UTF-16 code units,
/// then sequence number. Several servers may write. The rules:
///
/// - Only a creation creates a record. A field has the value of the latest creation or change that
///   set it. No two writes of a field have the same time: the second one is moved after the first,
///   by the rule of [`unique_stamp`](logux::record::unique_stamp).
/// - A deletion deletes the record as it is known: it is moved after the latest write, by the rules
///   of [`RecordState`](logux::record::RecordState). Writes that are older than the deletion are
///   refused; a later creation restores the record, with its own fields only.
/// - A record has bounds, see [`RecordConfig`]. Deletions are remembered for a time, and forgotten
///   by later deletions of the collection.
///
/// Each write is a transaction that locks the row of its record: writes of one record are
/// serialized, writes of different records are concurrent. It reads and writes only the fields of
/// the write, not the whole record. When a write returns, it is as durable as the database is.
#[derive(Clone, Debug)]
pub struct PostgresRecords {
    pool: PgPool,
    config: RecordConfig,
}

/// The records of one collection.
#[derive(Clone, Debug)]
pub struct PostgresCollection {
    records: PostgresRecords,
    name: Arc<str>,
}

impl PostgresCollection {
    /// Returns the records of all collections.
    pub const fn records(&self) -> &PostgresRecords {
        &self.records
    }

    /// Returns the name of the collection.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl PostgresRecords {
    /// Creates a handle of the records in a database with the tables of
    /// [`migrate`](crate::migrate).
    pub fn new(pool: PgPool) -> Self {
        Self { pool, config: RecordConfig::default() }
    }

    /// Sets the bounds of records, and for how long deletions are remembered.
    #[must_use]
    pub fn with_config(self, config: RecordConfig) -> Self {
        Self { config, ..self }
    }

    pub(crate) const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Returns a collection, for `Builder::sync_map` of `logux-server`. Collections exist
    /// implicitly; a new name is an empty collection.
    pub fn collection(&self, name: impl Into<Arc<str>>) -> PostgresCollection {
        PostgresCollection { records: self.clone(), name: name.into() }
    }

    /// Creates a record. If it exists, this is a change of it. O(fields · log n).
    ///
    /// # Errors
    /// [`PostgresError::Refused`] if a later deletion is remembered, or beyond the bounds;
    /// [`PostgresError::IdAmongFields`]; [`PostgresError::NulCharacter`]; or if the database fails.
    pub async fn create<'a>(
        &self,
        collection: &str,
        id: &str,
        fields: &JsonObject,
        write: impl Into<Write<'a>>,
    ) -> Result<Changed, PostgresError> {
        check_keys(collection, id, fields)?;
        let mut transaction = self.begin().await?;
        let row = insert_and_lock(&mut transaction, collection, id).await?;
        let write = write.into();
        row.state.check_create(write.stamp)?;
        self.write_fields(transaction, row, collection, fields, write).await
    }

    /// Sets fields of a record. A write that is retried after a failure returns the same fields as
    /// won. O(fields · log n).
    ///
    /// # Errors
    /// [`PostgresError::Refused`] if the record does not exist, or beyond the bounds;
    /// [`PostgresError::IdAmongFields`]; [`PostgresError::NulCharacter`]; or if the database fails.
    pub async fn change<'a>(
        &self,
        collection: &str,
        id: &str,
        fields: &JsonObject,
        write: impl Into<Write<'a>>,
    ) -> Result<Changed, PostgresError> {
        check_keys(collection, id, fields)?;
        let mut transaction = self.begin().await?;
        let row = lock(&mut transaction, collection, id).await?.ok_or(RefusedWrite::NotFound)?;
        let write = write.into();
        row.state.check_change(write.stamp)?;
        self.write_fields(transaction, row, collection, fields, write).await
    }

    async fn write_fields(
        &self,
        mut transaction: Transaction<'static, Postgres>,
        row: RecordRow,
        collection: &str,
        fields: &JsonObject,
        Write { stamp, arrived }: Write<'_>,
    ) -> Result<Changed, PostgresError> {
        let known = fields_of(&mut transaction, row.record, fields).await?;
        let changed = Changed::decide(&row.state, &known, fields, stamp);
        let size = row.size.after(&known, &changed.won, &self.config)?;
        let time = key::of_stamp(&changed.stamp);
        set_fields(&mut transaction, row.record, collection, &changed.won, (&time, arrived))
            .await?;
        let touch = "UPDATE logux_records SET touched = greatest(touched, $2), field_count = $3, bytes = $4 WHERE record = $1";
        sqlx::query(touch)
            .bind(row.record)
            .bind(&time)
            .bind(size.fields.cast_signed())
            .bind(size.bytes.cast_signed())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(changed)
    }

    /// Deletes a record with all its fields, and forgets deletions that are older than
    /// [`RecordConfig::deletions_kept_for`]. Returns the stamp of the deletion, whose time is later
    /// than that of all writes, so that clients have to be notified; `None` if there is no record.
    /// A deletion that is retried after a failure returns the result of the first attempt.
    /// O(fields of the record · log n).
    ///
    /// # Errors
    /// [`PostgresError::NulCharacter`], or if the database fails.
    pub async fn delete<'a>(
        &self,
        collection: &str,
        id: &str,
        write: impl Into<Write<'a>>,
    ) -> Result<Option<Stamp>, PostgresError> {
        let Write { stamp, arrived } = write.into();
        check_no_nul([collection, id])?;
        let mut transaction = self.begin().await?;
        let row = insert_and_lock(&mut transaction, collection, id).await?;
        let deletion = row.state.delete(stamp);
        if row.state.deleted.as_ref() == Some(&deletion.stamp) {
            return Ok(deletion.exists.then_some(deletion.stamp));
        }
        let delete = "UPDATE logux_records SET deleted = $2, deletion_arrived = $3, field_count = 0, bytes = 0 WHERE record = $1";
        sqlx::query(delete)
            .bind(row.record)
            .bind(key::of_stamp(&deletion.stamp))
            .bind(arrived.as_millis())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM logux_fields WHERE record = $1")
            .bind(row.record)
            .execute(&mut *transaction)
            .await?;
        let horizon = self.config.horizon(arrived);
        forget(&mut transaction, collection, horizon, FORGOTTEN_AT_ONCE).await?;
        transaction.commit().await?;
        Ok(deletion.exists.then_some(deletion.stamp))
    }

    /// Returns a record if it exists, otherwise its deletion if it is remembered. With `since`,
    /// only the fields that arrived at that time or later. O(fields + log n).
    ///
    /// # Errors
    /// [`PostgresError::NulCharacter`], or if the database fails.
    pub async fn find(
        &self,
        collection: &str,
        id: &str,
        since: Option<WallTime>,
    ) -> Result<(Option<Record>, Option<Stamp>), PostgresError> {
        check_no_nul([collection, id])?;
        // Both queries see the same snapshot.
        let mut transaction =
            self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let select = "SELECT record, touched, deleted, deletion_arrived, field_count, bytes
            FROM logux_records WHERE collection = $1 AND id = $2";
        let row: Option<RecordRowColumns> = sqlx::query_as(select)
            .bind(collection)
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(row) = row.map(RecordRow::try_from).transpose()? else { return Ok((None, None)) };
        if !row.state.exists() {
            return Ok((None, row.state.deleted));
        }
        let select = "SELECT key, value, stamp, arrived FROM logux_fields WHERE record = $1 AND arrived >= $2 ORDER BY key";
        let rows: Vec<FieldRow> = sqlx::query_as(select)
            .bind(row.record)
            .bind(since.unwrap_or(WallTime::MIN).as_millis())
            .fetch_all(&mut *transaction)
            .await?;
        let fields = rows.into_iter().map(field).collect::<Result<_, _>>()?;
        let recreated_after = row.deleted_since(since);
        Ok((Some(Record { id: id.into(), fields, recreated_after }), None))
    }

    /// Returns the records of a collection that have all fields of the filter, ordered by id in
    /// code point order; an empty filter matches all records. With `since`, only what a subscriber
    /// has missed since that time: [`Record::retain_missed`], possibly no fields. [`matching`]
    /// defines the equality of values.
    /// O(records with the fields of the filter), without a filter O(collection).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list(
        &self,
        collection: &str,
        filter: &JsonObject,
        since: Option<WallTime>,
    ) -> Result<Vec<Record>, PostgresError> {
        if check_no_nul([collection].into_iter().chain(filter.iter().map(|(key, _)| key))).is_err()
        {
            return Ok(Vec::new());
        }
        let hashes: Vec<i64> =
            filter.iter().map(|(key, value)| matching::hash(collection, key, value)).collect();
        let select = "SELECT r.id, CASE WHEN r.deletion_arrived >= $3 THEN r.deleted END, f.key, f.value, f.stamp, f.arrived
            FROM logux_records r LEFT JOIN logux_fields f ON f.record = r.record
            WHERE r.collection = $1 AND r.touched IS NOT NULL AND (r.deleted IS NULL OR r.touched > r.deleted)
            AND (cardinality($2::bigint[]) = 0 OR r.record IN (
                SELECT record FROM logux_fields WHERE hash = ANY ($2) GROUP BY record HAVING count(*) >= cardinality($2)
            ))
            ORDER BY r.id, f.key";
        let rows: Vec<JoinedRow> = sqlx::query_as(select)
            .bind(collection)
            .bind(&hashes)
            .bind(since.map(WallTime::as_millis))
            .fetch_all(&self.pool)
            .await?;
        let mut found = records(rows)?;
        found.retain(|record| record.matches(filter));
        if let Some(since) = since {
            for record in &mut found {
                record.retain_missed(filter, since);
            }
        }
        Ok(found)
    }

    /// Returns the records that were created again, or in which a field of the filter was written,
    /// at `since` or later, so that they may no longer match, with all their fields that arrived
    /// since then. O(fields that arrived since then).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn touched_since(
        &self,
        collection: &str,
        filter: &JsonObject,
        since: WallTime,
    ) -> Result<Vec<Record>, PostgresError> {
        if check_no_nul([collection].into_iter().chain(filter.iter().map(|(key, _)| key))).is_err()
        {
            return Ok(Vec::new());
        }
        let keys: Vec<&str> = filter.iter().map(|(key, _)| key).collect();
        let select = "SELECT r.id, CASE WHEN r.deletion_arrived >= $3 THEN r.deleted END, f.key, f.value, f.stamp, f.arrived
            FROM logux_records r LEFT JOIN logux_fields f ON f.record = r.record AND f.arrived >= $3
            WHERE r.collection = $1 AND r.touched IS NOT NULL AND (r.deleted IS NULL OR r.touched > r.deleted)
            AND r.record IN (
                SELECT record FROM logux_fields WHERE arrived >= $3 AND key = ANY ($2)
                UNION SELECT record FROM logux_records WHERE collection = $1 AND deletion_arrived >= $3
            )
            ORDER BY r.id, f.key";
        let rows: Vec<JoinedRow> = sqlx::query_as(select)
            .bind(collection)
            .bind(&keys)
            .bind(since.as_millis())
            .fetch_all(&self.pool)
            .await?;
        records(rows)
    }

    /// Returns the ids and deletion stamps of the deleted records whose deletion arrived at `since`
    /// or later, in the order of arrival: the deletions that a client missed while it was offline.
    /// O(deletions since then).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn deleted_since(
        &self,
        collection: &str,
        since: WallTime,
    ) -> Result<Vec<(Arc<str>, Stamp)>, PostgresError> {
        check_no_nul([collection])?;
        let select = "SELECT id, deleted FROM logux_records WHERE collection = $1 AND deletion_arrived >= $2
            AND deleted IS NOT NULL AND (touched IS NULL OR touched < deleted) ORDER BY deletion_arrived, id";
        let rows = sqlx::query_as(select)
            .bind(collection)
            .bind(since.as_millis())
            .fetch_all(&self.pool)
            .await?;
        deletions(rows)
    }

    /// Forgets the deletions that arrived before a time, and returns their number. After that, a
    /// creation older than such a deletion restores the record, so keep deletions for longer than
    /// any device is offline. Deleting forgets deletions too, see [`delete`](Self::delete).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_deletions(
        &self,
        collection: &str,
        before: WallTime,
    ) -> Result<u64, PostgresError> {
        check_no_nul([collection])?;
        let mut transaction = self.begin().await?;
        let forgotten = forget(&mut transaction, collection, before, i64::MAX).await?;
        transaction.commit().await?;
        Ok(forgotten)
    }

    /// Begins a write. At any default isolation level, a write has to see the commits for which it
    /// waited.
    async fn begin(&self) -> Result<Transaction<'static, Postgres>, PostgresError> {
        Ok(self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?)
    }
}

/// Checks the arguments of a creation or change. The id is a separate argument.
fn check_keys(collection: &str, id: &str, fields: &JsonObject) -> Result<(), PostgresError> {
    if fields.get("id").is_some() {
        return Err(PostgresError::IdAmongFields);
    }
    check_no_nul([collection, id].into_iter().chain(fields.iter().map(|(key, _)| key)))
}

pub(crate) fn check_no_nul<'a>(
    strings: impl IntoIterator<Item = &'a str>,
) -> Result<(), PostgresError> {
    match strings.into_iter().find(|string| string.contains('\0')) {
        Some(string) => Err(PostgresError::NulCharacter(string.to_owned())),
        None => Ok(()),
    }
}
