//! Records of collections; for each field the last write wins.

use std::sync::Arc;

use logux::{
    Json, Stamp, WallTime,
    json::JsonObject,
    record::{Changed, Field, Record, Write, matching, unique_stamp},
    store::key,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{Database, SqliteError, entries::stamp_of};

/// Durable records in a [`Database`]; for each field the last write wins.
///
/// Writes are ordered by the [`Stamp`] of their action, so the result does not depend on the order
/// of arrival, and repeating a write has no effect. The rules:
///
/// - A field has the value of the latest creation or change that set it.
/// - A deletion removes the older fields, in any order of arrival. A creation or change that is
///   older than the deletion has no effect; a later one restores the record, with only the later
///   fields.
/// - A record exists while its latest creation or change is later than its latest deletion. A
///   change also creates a missing record, because the creation may arrive later.
///
/// A deletion is remembered until [`forget_deletions`](Self::forget_deletions). Each call is
/// atomic, and durable after [`commit`](Self::commit).
///
/// ```
/// use logux::{Stamp, WallTime, json::JsonObject};
/// use logux_sqlite::Database;
///
/// let records = Database::open_in_memory()?.records();
/// let at = |time, id: &str| Ok::<_, logux::action::IdError>(Stamp::new(WallTime::from_millis(time), id.parse()?));
/// records.create("tasks", "1", &JsonObject::from_json(r#"{"title":"Tea","done":false}"#)?, &at(1, "1 a 0")?)?;
/// let late = records.change("tasks", "1", &JsonObject::from_json(r#"{"title":"Coffee"}"#)?, &at(5, "5 a 0")?)?;
/// assert_eq!(late.won.to_json(), r#"{"title":"Coffee"}"#);
/// let early = records.change("tasks", "1", &JsonObject::from_json(r#"{"title":"Water","done":true}"#)?, &at(3, "3 b 0")?)?;
/// assert_eq!(early.won.to_json(), r#"{"done":true}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteRecords {
    database: Database,
}

/// The records of one collection.
#[derive(Clone, Debug)]
pub struct SqliteCollection {
    records: SqliteRecords,
    name: Arc<str>,
}

impl SqliteCollection {
    /// Returns the records of all collections.
    pub const fn records(&self) -> &SqliteRecords {
        &self.records
    }

    /// Returns the name of the collection.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl SqliteRecords {
    pub(crate) const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Returns the database of the records.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Returns a collection, for `Builder::sync_map` of `logux-server`. Collections exist
    /// implicitly; a new name is an empty collection.
    pub fn collection(&self, name: impl Into<Arc<str>>) -> SqliteCollection {
        SqliteCollection { records: self.clone(), name: name.into() }
    }

    /// Creates a record. If it exists or was deleted later, the rules of a change apply. O(fields ·
    /// log n).
    ///
    /// # Errors
    /// [`SqliteError::IdAmongFields`], or if the database fails.
    pub fn create<'a>(
        &self,
        collection: &str,
        id: &str,
        fields: &JsonObject,
        write: impl Into<Write<'a>>,
    ) -> Result<Changed, SqliteError> {
        self.change(collection, id, fields, write)
    }

    /// Sets fields of a record. O(fields · log n).
    ///
    /// # Errors
    /// [`SqliteError::IdAmongFields`], or if the database fails.
    pub fn change<'a>(
        &self,
        collection: &str,
        id: &str,
        fields: &JsonObject,
        write: impl Into<Write<'a>>,
    ) -> Result<Changed, SqliteError> {
        let Write { stamp, arrived } = write.into();
        check_keys(fields)?;
        self.database.write(|db, _| change(db, (collection, id), fields, Write { stamp, arrived }))
    }

    /// As [`change`](Self::change), but no two writes of a field have the same time: the second one
    /// is moved after the first, by the rule of [`unique_stamp`]. Also returns the resulting stamp.
    /// O(fields of the record · log n).
    ///
    /// # Errors
    /// [`SqliteError::IdAmongFields`], or if the database fails.
    pub fn change_with_unique_time<'a>(
        &self,
        collection: &str,
        id: &str,
        fields: &JsonObject,
        write: impl Into<Write<'a>>,
    ) -> Result<(Changed, Stamp), SqliteError> {
        let Write { stamp, arrived } = write.into();
        check_keys(fields)?;
        self.database.write(|db, _| {
            let known = match RecordRow::find(db, collection, id)? {
                Some(row) if row.exists() => row.fields(db, None)?,
                _ => Vec::new(),
            };
            let stamp = unique_stamp(&known, fields, stamp);
            let changed = change(db, (collection, id), fields, Write { stamp: &stamp, arrived })?;
            Ok((changed, stamp))
        })
    }

    /// Deletes a record, with the fields older than `stamp`. Returns `true` if the record is
    /// deleted then, so that clients have to be notified; `false` if a later creation or change
    /// keeps it, or this or a later deletion is known. O(fields · log n).
    ///
    /// # Errors
    /// If the database fails.
    pub fn delete<'a>(
        &self,
        collection: &str,
        id: &str,
        write: impl Into<Write<'a>>,
    ) -> Result<bool, SqliteError> {
        let Write { stamp, arrived } = write.into();
        let time = key::of_stamp(stamp);
        self.database.write(|db, _| {
            let existing = RecordRow::find(db, collection, id)?;
            if existing.as_ref().is_some_and(|row| row.deleted.as_ref() >= Some(&time)) {
                return Ok(false);
            }
            let statement = "INSERT INTO records (collection, id, deleted, deletion_arrived) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT (collection, id) DO UPDATE
                SET deleted = excluded.deleted, deletion_arrived = excluded.deletion_arrived";
            db.prepare_cached(statement)?.execute(params![collection, id, time, arrived.as_millis()])?;
            let Some(row) = existing else { return Ok(true) };
            db.prepare_cached("DELETE FROM fields WHERE record = ?1 AND stamp < ?2")?
                .execute(params![row.record, time])?;
            Ok(row.touched < Some(time))
        })
    }

    /// Returns a record if it exists. With `since`, only the fields that arrived at that time or
    /// later. O(fields + log n).
    ///
    /// # Errors
    /// If the database fails.
    pub fn load(
        &self,
        collection: &str,
        id: &str,
        since: Option<WallTime>,
    ) -> Result<Option<Record>, SqliteError> {
        self.database.read(|db| match RecordRow::find(db, collection, id)? {
            Some(row) if row.exists() => {
                Ok(Some(Record { id: id.into(), fields: row.fields(db, since)? }))
            }
            _ => Ok(None),
        })
    }

    /// Returns the stamp of a remembered deletion if the record is deleted. O(log n).
    ///
    /// # Errors
    /// If the database fails.
    pub fn deletion(&self, collection: &str, id: &str) -> Result<Option<Stamp>, SqliteError> {
        self.database.read(|db| match RecordRow::find(db, collection, id)? {
            Some(row) if !row.exists() => {
                row.deleted.map(|deleted| stamp_of(deleted.as_slice().into())).transpose()
            }
            _ => Ok(None),
        })
    }

    /// Returns the records of a collection that have all fields of the filter, ordered by id; an
    /// empty filter matches all records. With `since`, only their fields that arrived at that time
    /// or later, possibly none.
    ///
    /// Values are equal if they are equal in JavaScript: strings by their characters, numbers as
    /// doubles. Arrays and objects are compared by their JSON without white space. O(records with
    /// the first field of the filter · fields), without a filter O(collection). The database is
    /// unlocked between records, so that a long list does not block other calls.
    ///
    /// # Errors
    /// If the database fails.
    pub fn list(
        &self,
        collection: &str,
        filter: &JsonObject,
        since: Option<WallTime>,
    ) -> Result<Vec<Record>, SqliteError> {
        let ids: Vec<Arc<str>> = self.database.read(|db| match filter.iter().next() {
            None => ids(db, "SELECT id FROM records WHERE collection = ?1 ORDER BY id", params![collection]),
            Some((key, value)) => {
                let hash = matching::hash(collection, key, value);
                let statement = "SELECT id FROM records WHERE collection = ?1
                    AND record IN (SELECT record FROM fields WHERE hash = ?2 AND key = ?3) ORDER BY id";
                ids(db, statement, params![collection, hash, key])
            }
        })?;
        let mut found = Vec::new();
        for id in ids {
            let Some(mut record) = self.load(collection, &id, None)? else { continue };
            let has = |(key, value): (&str, &Json)| {
                record
                    .fields
                    .iter()
                    .any(|field| &*field.key == key && matching::equal(&field.value, value))
            };
            if filter.iter().all(has) {
                if let Some(since) = since {
                    record.fields.retain(|field| field.arrived >= since);
                }
                found.push(record);
            }
        }
        Ok(found)
    }

    /// Returns the ids and deletion stamps of the deleted records whose deletion arrived at `since`
    /// or later, in the order of arrival: the deletions that a client missed while it was offline.
    /// O(deletions since then).
    ///
    /// # Errors
    /// If the database fails.
    pub fn deleted_since(
        &self,
        collection: &str,
        since: WallTime,
    ) -> Result<Vec<(Arc<str>, Stamp)>, SqliteError> {
        self.database.read(|db| {
            let statement =
                "SELECT id, deleted FROM records WHERE collection = ?1 AND deletion_arrived >= ?2
                AND (touched IS NULL OR touched < deleted) ORDER BY deletion_arrived";
            let mut statement = db.prepare_cached(statement)?;
            let mut rows = statement.query(params![collection, since.as_millis()])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push((row.get(0)?, stamp_of(row.get_ref(1)?)?));
            }
            Ok(found)
        })
    }

    /// Forgets the deletions before a time and returns their number. After that a change older than
    /// such a deletion restores the record, so keep deletions for longer than any device is
    /// offline.
    ///
    /// # Errors
    /// If the database fails.
    pub fn forget_deletions(
        &self,
        collection: &str,
        before: WallTime,
    ) -> Result<usize, SqliteError> {
        self.database.write(|db, _| {
            let time = key::of_time(before);
            let delete =
                "DELETE FROM records WHERE collection = ?1 AND deleted < ?2 AND (touched IS NULL OR touched < deleted)";
            let forgotten = db.prepare_cached(delete)?.execute(params![collection, time])?;
            let clear_deletions = "UPDATE records SET deleted = NULL WHERE collection = ?1 AND deleted < ?2";
            Ok(forgotten + db.prepare_cached(clear_deletions)?.execute(params![collection, time])?)
        })
    }

    /// Commits all writes to the database, see [`Database::commit`].
    ///
    /// # Errors
    /// As [`Database::commit`].
    pub fn commit(&self) -> Result<(), SqliteError> {
        self.database.commit()
    }
}

/// The id is a separate argument.
fn check_keys(fields: &JsonObject) -> Result<(), SqliteError> {
    if fields.get("id").is_some() { Err(SqliteError::IdAmongFields) } else { Ok(()) }
}

fn change(
    db: &Connection,
    (collection, id): (&str, &str),
    fields: &JsonObject,
    Write { stamp, arrived }: Write<'_>,
) -> Result<Changed, SqliteError> {
    let time = key::of_stamp(stamp);
    let existing = RecordRow::find(db, collection, id)?;
    let existed = existing.as_ref().is_some_and(RecordRow::exists);
    if existing.as_ref().is_some_and(|row| row.deleted.as_ref() >= Some(&time)) {
        return Ok(Changed { won: JsonObject::default(), existed, exists: existed });
    }
    let record = RecordRow::touch(db, existing.as_ref(), collection, id, &time)?;
    let mut won = JsonObject::default();
    for (key, value) in fields.iter() {
        if set_field(db, record, collection, (key, value), &time, arrived)? {
            won.set(key, value.clone());
        }
    }
    Ok(Changed { won, existed, exists: true })
}

/// A row of `records`: the stamps of the latest creation or change and of the latest deletion.
struct RecordRow {
    record: i64,
    touched: Option<Vec<u8>>,
    deleted: Option<Vec<u8>>,
}

impl RecordRow {
    fn find(db: &Connection, collection: &str, id: &str) -> Result<Option<Self>, SqliteError> {
        let statement =
            "SELECT record, touched, deleted FROM records WHERE collection = ?1 AND id = ?2";
        let mut statement = db.prepare_cached(statement)?;
        let row = statement.query_row([collection, id], |row| {
            Ok(Self { record: row.get(0)?, touched: row.get(1)?, deleted: row.get(2)? })
        });
        Ok(row.optional()?)
    }

    /// Stamp keys are ordered as the stamps are; `None` is the lowest.
    fn exists(&self) -> bool {
        self.touched > self.deleted
    }

    fn touch(
        db: &Connection,
        row: Option<&Self>,
        collection: &str,
        id: &str,
        time: &[u8],
    ) -> Result<i64, SqliteError> {
        let Some(row) = row else {
            let statement = "INSERT INTO records (collection, id, touched) VALUES (?1, ?2, ?3)";
            return Ok(db.prepare_cached(statement)?.insert(params![collection, id, time])?);
        };
        if row.touched.as_deref() < Some(time) {
            db.prepare_cached("UPDATE records SET touched = ?2 WHERE record = ?1")?
                .execute(params![row.record, time])?;
        }
        Ok(row.record)
    }

    fn fields(&self, db: &Connection, since: Option<WallTime>) -> Result<Vec<Field>, SqliteError> {
        let since = since.unwrap_or(WallTime::MIN).as_millis();
        let statement = "SELECT key, value, stamp, arrived FROM fields WHERE record = ?1 AND arrived >= ?2 ORDER BY key";
        let mut statement = db.prepare_cached(statement)?;
        let mut rows = statement.query(params![self.record, since])?;
        let mut fields = Vec::new();
        while let Some(row) = rows.next()? {
            let key: Arc<str> = row.get(0)?;
            let value = Json::new(row.get::<_, Arc<str>>(1)?).map_err(|error| {
                SqliteError::Corrupt(format!(
                    "field {key:?} of a record has an invalid value: {error}"
                ))
            })?;
            let arrived = WallTime::from_millis(row.get(3)?);
            fields.push(Field { key, value, stamp: stamp_of(row.get_ref(2)?)?, arrived });
        }
        Ok(fields)
    }
}

/// Sets a field unless a later write has set it.
fn set_field(
    db: &Connection,
    record: i64,
    collection: &str,
    (key, value): (&str, &Json),
    time: &[u8],
    arrived: WallTime,
) -> Result<bool, SqliteError> {
    let statement = "INSERT INTO fields (record, key, value, stamp, hash, arrived) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT DO UPDATE
        SET value = excluded.value, stamp = excluded.stamp, hash = excluded.hash, arrived = excluded.arrived
        WHERE excluded.stamp > stamp";
    let hash = matching::hash(collection, key, value);
    Ok(db.prepare_cached(statement)?.execute(params![
        record,
        key,
        value.as_str(),
        time,
        hash,
        arrived.as_millis()
    ])? > 0)
}

fn ids(
    db: &Connection,
    statement: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<Arc<str>>, SqliteError> {
    Ok(db
        .prepare_cached(statement)?
        .query_map(values, |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}
