//! Records of collections, last write wins per field.

use std::sync::Arc;

use logux::{
    Json, Stamp, WallTime,
    json::JsonObject,
    record::{Changed, Field, Record, Write, matching, place},
    store::key,
};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::{
    PostgresError,
    rows::{FieldRow, Head, HeadRow, JoinedRow, deletions, field, records},
};

/// Durable records in a database, each with fields of which the latest write wins. Cheap to clone.
///
/// What is latest is told by the [`Stamp`] of the action that wrote: time, then node id by UTF-16 code unit, then sequence number. So the
/// outcome is the same in any order of arrival, from however many servers. The rules:
///
/// - A field has the value of the latest creation or change that set it. No two writes of a field have one time: the one that comes
///   second is moved behind the first, by the rule of [`place`].
/// - A deletion takes the fields that are older than itself, whenever it arrives. A creation or change that is older than the
///   deletion comes to nothing, one that is later brings the record back, with only what is later.
/// - A record is there while its latest creation or change is later than its latest deletion. A change alone makes a record too, since
///   its creation may arrive later.
///
/// A deletion is remembered until [`forget_deletions`](Self::forget_deletions). Each write is a transaction of its own, which holds the record's
/// row locked: writes of one record take turns, those of different records do not wait for each other. When a write has returned, it
/// is as durable as the database is.
#[derive(Clone, Debug)]
pub struct SyncMaps {
    pool: PgPool,
}

/// The records of one collection.
#[derive(Clone, Debug)]
pub struct Collection {
    maps: SyncMaps,
    name: Arc<str>,
}

impl Collection {
    /// The records of all collections.
    pub const fn maps(&self) -> &SyncMaps {
        &self.maps
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl SyncMaps {
    /// The records in a database whose tables [`migrate`](crate::migrate) has made.
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// One of the collections, for `Builder::sync_map` of `logux-server`. A new name is a new and empty collection.
    pub fn collection(&self, name: impl Into<Arc<str>>) -> Collection {
        Collection { maps: self.clone(), name: name.into() }
    }

    /// Sets fields of a record, which is created by that if it is not there. Also returns the place at which the write was made. A write that comes
    /// again, after a crash in the middle, has won the same fields again. O(fields · log n).
    ///
    /// # Errors
    /// [`PostgresError::IdAmongFields`], [`PostgresError::NulCharacter`], or when the database fails.
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
        check_texts([collection, id].into_iter().chain(fields.iter().map(|(key, _)| key)))?;
        let mut transaction = self.begin().await?;
        let head = lock(&mut transaction, collection, id).await?;
        let known = fields_of(&mut transaction, head.record, fields).await?;
        let stamp = place(&known, fields, stamp);
        let time = key::of_stamp(&stamp);
        // The same write again is told as if it were the first time.
        let existed = head.exists() && head.touched.as_ref() != Some(&time);
        if head.deleted.as_ref() >= Some(&time) {
            return Ok((
                Changed { won: JsonObject::default(), existed, exists: head.exists() },
                stamp,
            ));
        }
        let mut won = JsonObject::default();
        for (key, value) in fields.iter() {
            if known.iter().all(|field| *field.key != *key || field.stamp <= stamp) {
                won.set(key, value.clone());
            }
        }
        set_fields(&mut transaction, head.record, collection, &won, (&time, arrived)).await?;
        let touch = "UPDATE logux_records SET touched = $2 WHERE record = $1 AND (touched IS NULL OR touched < $2)";
        sqlx::query(touch).bind(head.record).bind(&time).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok((Changed { won, existed, exists: true }, stamp))
    }

    /// Deletes a record: the fields older than `stamp` go. `true` if the record is gone then by this deletion, and others are to be
    /// told; `false` if a later creation or change keeps it, or a later deletion is known. O(fields · log n).
    ///
    /// # Errors
    /// [`PostgresError::NulCharacter`], or when the database fails.
    pub async fn delete<'a>(
        &self,
        collection: &str,
        id: &str,
        write: impl Into<Write<'a>>,
    ) -> Result<bool, PostgresError> {
        let Write { stamp, arrived } = write.into();
        check_texts([collection, id])?;
        let time = key::of_stamp(stamp);
        let mut transaction = self.begin().await?;
        let head = lock(&mut transaction, collection, id).await?;
        if head.deleted.as_ref() >= Some(&time) {
            return Ok(head.deleted.as_ref() == Some(&time) && !head.exists());
        }
        sqlx::query(
            "UPDATE logux_records SET deleted = $2, deletion_arrived = $3 WHERE record = $1",
        )
        .bind(head.record)
        .bind(&time)
        .bind(arrived.as_millis())
        .execute(&mut *transaction)
        .await?;
        sqlx::query("DELETE FROM logux_fields WHERE record = $1 AND stamp < $2")
            .bind(head.record)
            .bind(&time)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(head.touched < Some(time))
    }

    /// A record, if it is there; else its deletion, if that is remembered. With `since`, only the fields that arrived at that time
    /// or later. O(fields + log n).
    ///
    /// # Errors
    /// [`PostgresError::NulCharacter`], or when the database fails.
    pub async fn find(
        &self,
        collection: &str,
        id: &str,
        since: Option<WallTime>,
    ) -> Result<(Option<Record>, Option<Stamp>), PostgresError> {
        check_texts([collection, id])?;
        // Both from one moment.
        let mut transaction =
            self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let head: Option<HeadRow> = sqlx::query_as(
            "SELECT record, touched, deleted FROM logux_records WHERE collection = $1 AND id = $2",
        )
        .bind(collection)
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(head) = head.map(Head::from) else { return Ok((None, None)) };
        if !head.exists() {
            return Ok((None, head.deletion()?));
        }
        let select = "SELECT key, value, stamp, arrived FROM logux_fields WHERE record = $1 AND arrived >= $2 ORDER BY key";
        let rows: Vec<FieldRow> = sqlx::query_as(select)
            .bind(head.record)
            .bind(since.unwrap_or(WallTime::MIN).as_millis())
            .fetch_all(&mut *transaction)
            .await?;
        let fields = rows.into_iter().map(field).collect::<Result<_, _>>()?;
        Ok((Some(Record { id: id.into(), fields }), None))
    }

    /// The records of a collection that have a field equal to each of the filter's, in the order of their ids by code point; an empty filter takes
    /// all. With `since`, each has only the fields that arrived at that time or later, and may have none. Equal is what
    /// [`matching`] says. O(records that have the filter's fields), without a filter O(collection).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(
        &self,
        collection: &str,
        filter: &JsonObject,
        since: Option<WallTime>,
    ) -> Result<Vec<Record>, PostgresError> {
        if check_texts([collection].into_iter().chain(filter.iter().map(|(key, _)| key))).is_err() {
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

    /// The records in which a field of the filter was written since a time, so that they may have stopped to match, with all the fields that arrived since
    /// then. O(fields that arrived since then).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn touched_since(
        &self,
        collection: &str,
        filter: &JsonObject,
        since: WallTime,
    ) -> Result<Vec<Record>, PostgresError> {
        if check_texts([collection].into_iter().chain(filter.iter().map(|(key, _)| key))).is_err() {
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

    /// The ids of the records whose deletion arrived at a time or later and that are gone, in the order of arrival: what a client that was
    /// away has to be told. O(deletions since then).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deleted_since(
        &self,
        collection: &str,
        since: WallTime,
    ) -> Result<Vec<(Arc<str>, Stamp)>, PostgresError> {
        check_texts([collection])?;
        let select = "SELECT id, deleted FROM logux_records WHERE collection = $1 AND deletion_arrived >= $2
            AND deleted IS NOT NULL AND (touched IS NULL OR touched < deleted) ORDER BY deletion_arrived, id";
        let rows = sqlx::query_as(select)
            .bind(collection)
            .bind(since.as_millis())
            .fetch_all(&self.pool)
            .await?;
        deletions(rows)
    }

    /// Forgets the deletions before a time, and returns how many they were. After that a change older than such a deletion brings the
    /// record back, so the time should be longer ago than any device stays away.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_deletions(
        &self,
        collection: &str,
        before: WallTime,
    ) -> Result<u64, PostgresError> {
        check_texts([collection])?;
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

    /// Whatever the database's default is, a write has to see what others have committed while it waited for its turn.
    async fn begin(&self) -> Result<Transaction<'static, Postgres>, PostgresError> {
        Ok(self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?)
    }
}

/// Locks the row of a record until the end of the transaction; makes one if there is none.
async fn lock(db: &mut PgConnection, collection: &str, id: &str) -> Result<Head, PostgresError> {
    let upsert = "INSERT INTO logux_records (collection, id) VALUES ($1, $2)
        ON CONFLICT (collection, id) DO UPDATE SET id = excluded.id RETURNING record, touched, deleted";
    let row: HeadRow = sqlx::query_as(upsert).bind(collection).bind(id).fetch_one(db).await?;
    Ok(row.into())
}

/// The fields of a record that have the keys of `fields`.
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

fn check_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<(), PostgresError> {
    match texts.into_iter().find(|text| text.contains('\0')) {
        Some(text) => Err(PostgresError::NulCharacter(text.to_owned())),
        None => Ok(()),
    }
}
