//! Records of collections; for each field the last write wins.

use std::sync::Arc;

use logux::{
    Json, Stamp, WallTime,
    json::JsonObject,
    record::{Changed, Field, Record, Write, matching, unique_stamp},
    store::key,
};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::{
    PostgresError,
    rows::{FieldRow, JoinedRow, RecordState, RecordStateRow, deletions, field, records},
};

/// Durable records in a database; for each field the last write wins. Cheap to clone.
///
/// Writes are ordered by the [`Stamp`] of their action: time, then node id by UTF-16 code units,
/// then sequence number. So the result does not depend on the order of arrival, and several servers
/// may write. The rules:
///
/// - A field has the value of the latest creation or change that set it. No two writes of a field
///   have the same time: the second one is moved after the first, by the rule of [`unique_stamp`].
/// - A deletion removes the older fields, in any order of arrival. A creation or change that is
///   older than the deletion has no effect; a later one restores the record, with only the later
///   fields.
/// - A record exists while its latest creation or change is later than its latest deletion. A
///   change also creates a missing record, because the creation may arrive later.
///
/// A deletion is remembered until [`forget_deletions`](Self::forget_deletions). Each write is a
/// transaction that locks the row of its record: writes of one record are serialized, writes of
/// different records are concurrent. When a write returns, it is as durable as the database is.
#[derive(Clone, Debug)]
pub struct PostgresRecords {
    pool: PgPool,
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
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Returns a collection, for `Builder::sync_map` of `logux-server`. Collections exist
    /// implicitly; a new name is an empty collection.
    pub fn collection(&self, name: impl Into<Arc<str>>) -> PostgresCollection {
        PostgresCollection { records: self.clone(), name: name.into() }
    }

    /// Sets fields of a record, and creates the record if it is missing. Also returns the resulting
    /// stamp of the write. A write that is retried after a failure returns the same fields as won.
    /// O(fields · log n).
    ///
    /// # Errors
    /// [`PostgresError::IdAmongFields`], [`PostgresError::NulCharacter`], or if the database fails.
    pub async fn change<'a>(
        &self,
        collection: &str,
        id: &str,
        fields: &JsonObject,
        write: impl Into<Write<'a>>,
    ) -> Result<(Changed, Stamp), PostgresError> {
        let Write { stamp, arrived } = write.into();
        if fields.get("id").is_some() {
            return Err(PostgresError::IdAmongFields);
        }
        check_no_nul([collection, id].into_iter().chain(fields.iter().map(|(key, _)| key)))?;
        let mut transaction = self.begin().await?;
        let state = lock(&mut transaction, collection, id).await?;
        let known = fields_of(&mut transaction, state.record, fields).await?;
        let stamp = unique_stamp(&known, fields, stamp);
        let time = key::of_stamp(&stamp);
        // A retried write returns the same result as the first time.
        let existed = state.exists() && state.touched.as_ref() != Some(&time);
        if state.deleted.as_ref() >= Some(&time) {
            return Ok((
                Changed { won: JsonObject::default(), existed, exists: state.exists() },
                stamp,
            ));
        }
        let mut won = JsonObject::default();
        for (key, value) in fields.iter() {
            if known.iter().all(|field| *field.key != *key || field.stamp <= stamp) {
                won.set(key, value.clone());
            }
        }
        set_fields(&mut transaction, state.record, collection, &won, (&time, arrived)).await?;
        let touch = "UPDATE logux_records SET touched = $2 WHERE record = $1 AND (touched IS NULL OR touched < $2)";
        sqlx::query(touch).bind(state.record).bind(&time).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok((Changed { won, existed, exists: true }, stamp))
    }

    /// Deletes a record, with the fields older than `stamp`. Returns `true` if the record is
    /// deleted by this deletion, so that clients have to be notified; `false` if a later creation
    /// or change keeps it, or a later deletion is known. O(fields · log n).
    ///
    /// # Errors
    /// [`PostgresError::NulCharacter`], or if the database fails.
    pub async fn delete<'a>(
        &self,
        collection: &str,
        id: &str,
        write: impl Into<Write<'a>>,
    ) -> Result<bool, PostgresError> {
        let Write { stamp, arrived } = write.into();
        check_no_nul([collection, id])?;
        let time = key::of_stamp(stamp);
        let mut transaction = self.begin().await?;
        let state = lock(&mut transaction, collection, id).await?;
        if state.deleted.as_ref() >= Some(&time) {
            return Ok(state.deleted.as_ref() == Some(&time) && !state.exists());
        }
        sqlx::query(
            "UPDATE logux_records SET deleted = $2, deletion_arrived = $3 WHERE record = $1",
        )
        .bind(state.record)
        .bind(&time)
        .bind(arrived.as_millis())
        .execute(&mut *transaction)
        .await?;
        sqlx::query("DELETE FROM logux_fields WHERE record = $1 AND stamp < $2")
            .bind(state.record)
            .bind(&time)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(state.touched < Some(time))
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
        let state: Option<RecordStateRow> = sqlx::query_as(
            "SELECT record, touched, deleted FROM logux_records WHERE collection = $1 AND id = $2",
        )
        .bind(collection)
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(state) = state.map(RecordState::from) else { return Ok((None, None)) };
        if !state.exists() {
            return Ok((None, state.deletion()?));
        }
        let select = "SELECT key, value, stamp, arrived FROM logux_fields WHERE record = $1 AND arrived >= $2 ORDER BY key";
        let rows: Vec<FieldRow> = sqlx::query_as(select)
            .bind(state.record)
            .bind(since.unwrap_or(WallTime::MIN).as_millis())
            .fetch_all(&mut *transaction)
            .await?;
        let fields = rows.into_iter().map(field).collect::<Result<_, _>>()?;
        Ok((Some(Record { id: id.into(), fields }), None))
    }

    /// Returns the records of a collection that have all fields of the filter, ordered by id in
    /// code point order; an empty filter matches all records. With `since`, only their fields that
    /// arrived at that time or later, possibly none. [`matching`] defines the equality of values.
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
        let select = "SELECT r.id, f.key, f.value, f.stamp, f.arrived
            FROM logux_records r LEFT JOIN logux_fields f ON f.record = r.record
            WHERE r.collection = $1 AND r.touched IS NOT NULL AND (r.deleted IS NULL OR r.touched > r.deleted)
            AND (cardinality($2::bigint[]) = 0 OR r.record IN (
                SELECT record FROM logux_fields WHERE hash = ANY ($2) GROUP BY record HAVING count(*) >= cardinality($2)
            ))
            ORDER BY r.id, f.key";
        let rows: Vec<JoinedRow> =
            sqlx::query_as(select).bind(collection).bind(&hashes).fetch_all(&self.pool).await?;
        let mut found = records(rows)?;
        found.retain(|record| matches(record, filter));
        if let Some(since) = since {
            for record in &mut found {
                record.fields.retain(|field| field.arrived >= since);
            }
        }
        Ok(found)
    }

    /// Returns the records in which a field of the filter was written at `since` or later, so that
    /// they may no longer match, with all their fields that arrived since then. O(fields that
    /// arrived since then).
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
        let select = "SELECT r.id, f.key, f.value, f.stamp, f.arrived
            FROM logux_records r JOIN logux_fields f ON f.record = r.record AND f.arrived >= $3
            WHERE r.collection = $1 AND (r.deleted IS NULL OR r.touched > r.deleted)
            AND r.record IN (SELECT record FROM logux_fields WHERE arrived >= $3 AND key = ANY ($2))
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

    /// Forgets the deletions before a time and returns their number. After that a change older than
    /// such a deletion restores the record, so keep deletions for longer than any device is
    /// offline.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_deletions(
        &self,
        collection: &str,
        before: WallTime,
    ) -> Result<u64, PostgresError> {
        check_no_nul([collection])?;
        let time = key::of_time(before);
        let mut transaction = self.begin().await?;
        let mut forgotten = 0;
        for statement in [
            "DELETE FROM logux_records WHERE collection = $1 AND deleted < $2 AND (touched IS NULL OR touched < deleted)",
            "UPDATE logux_records SET deleted = NULL, deletion_arrived = NULL WHERE collection = $1 AND deleted < $2",
        ] {
            let done = sqlx::query(statement)
                .bind(collection)
                .bind(&time)
                .execute(&mut *transaction)
                .await?;
            forgotten += done.rows_affected();
        }
        transaction.commit().await?;
        Ok(forgotten)
    }

    /// Begins a write. At any default isolation level, a write has to see the commits for which it
    /// waited.
    async fn begin(&self) -> Result<Transaction<'static, Postgres>, PostgresError> {
        Ok(self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?)
    }
}

/// Locks the row of a record until the end of the transaction, and inserts the row if it is
/// missing.
async fn lock(
    db: &mut PgConnection,
    collection: &str,
    id: &str,
) -> Result<RecordState, PostgresError> {
    let upsert = "INSERT INTO logux_records (collection, id) VALUES ($1, $2)
        ON CONFLICT (collection, id) DO UPDATE SET id = excluded.id RETURNING record, touched, deleted";
    let row: RecordStateRow =
        sqlx::query_as(upsert).bind(collection).bind(id).fetch_one(db).await?;
    Ok(row.into())
}

/// Returns the fields of a record that have the keys of `fields`.
async fn fields_of(
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

async fn set_fields(
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

fn matches(record: &Record, filter: &JsonObject) -> bool {
    let has = |(key, value): (&str, &Json)| {
        record.fields.iter().any(|field| *field.key == *key && matching::equal(&field.value, value))
    };
    filter.iter().all(has)
}

fn check_no_nul<'a>(strings: impl IntoIterator<Item = &'a str>) -> Result<(), PostgresError> {
    match strings.into_iter().find(|string| string.contains('\0')) {
        Some(string) => Err(PostgresError::NulCharacter(string.to_owned())),
        None => Ok(()),
    }
}
