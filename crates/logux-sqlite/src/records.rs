//! Records of collections; for each field the last write wins.

use std::sync::Arc;

use logux::{
    Json, Stamp, WallTime,
    json::JsonObject,
    record::{Changed, Record, RecordConfig, RecordState, RefusedWrite, Write, matching},
};
use rusqlite::{Connection, params};

use crate::{
    Database, SqliteError,
    entries::stamp_of,
    record_rows::{RecordRow, ids},
};

/// Durable records in a [`Database`]; for each field the last write wins.
///
/// Writes are ordered by the [`Stamp`] of their action, so that late writes and repeated writes
/// change nothing that is newer. The rules:
///
/// - Only a creation creates a record. A field has the value of the latest creation or change that
///   set it. No two writes of a field have the same time: the second one is moved after the first,
///   by the rule of [`unique_stamp`](logux::record::unique_stamp).
/// - A deletion deletes the record as it is known: it is moved after the latest write, by the rules
///   of [`RecordState`]. Writes that are older than the deletion are refused; a later creation
///   restores the record, with its own fields only.
/// - A record has bounds, see [`RecordConfig`]. Deletions are remembered for a time, and forgotten
///   by later deletions of the collection.
///
/// Each call is atomic, and durable after [`commit`](Self::commit). It reads and writes only the
/// fields of the write, not the whole record.
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
/// let deleted = records.delete("tasks", "1", &at(4, "4 b 0")?)?;
/// assert_eq!(deleted.map(|stamp| stamp.time()), Some(WallTime::from_millis(6)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteRecords {
    database: Database,
    config: RecordConfig,
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
    pub(crate) fn new(database: Database) -> Self {
        Self { database, config: RecordConfig::default() }
    }

    /// Sets the bounds of records, and for how long deletions are remembered.
    #[must_use]
    pub fn with_config(self, config: RecordConfig) -> Self {
        Self { config, ..self }
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

    /// Creates a record. If it exists, this is a change of it. O(fields · log n).
    ///
    /// # Errors
    /// [`SqliteError::Refused`] if a later deletion is remembered, or beyond the bounds;
    /// [`SqliteError::IdAmongFields`]; or if the database fails.
    pub fn create<'a>(
        &self,
        collection: &str,
        id: &str,
        fields: &JsonObject,
        write: impl Into<Write<'a>>,
    ) -> Result<Changed, SqliteError> {
        self.write_fields((collection, id), fields, write.into(), RecordState::check_create)
    }

    /// Sets fields of a record. A change that is repeated after a crash returns the result of the
    /// first attempt. O(fields · log n).
    ///
    /// # Errors
    /// [`SqliteError::Refused`] if the record does not exist, or beyond the bounds;
    /// [`SqliteError::IdAmongFields`]; or if the database fails.
    pub fn change<'a>(
        &self,
        collection: &str,
        id: &str,
        fields: &JsonObject,
        write: impl Into<Write<'a>>,
    ) -> Result<Changed, SqliteError> {
        self.write_fields((collection, id), fields, write.into(), RecordState::check_change)
    }

    fn write_fields(
        &self,
        (collection, id): (&str, &str),
        fields: &JsonObject,
        Write { stamp, arrived }: Write<'_>,
        check: impl FnOnce(&RecordState, &Stamp) -> Result<(), RefusedWrite>,
    ) -> Result<Changed, SqliteError> {
        if fields.get("id").is_some() {
            return Err(SqliteError::IdAmongFields);
        }
        self.database.write(|db, _| {
            let mut row = RecordRow::find(db, collection, id)?.unwrap_or_default();
            check(&row.state, stamp)?;
            let known = row.fields_with_keys(db, fields)?;
            let changed = Changed::decide(&row.state, &known, fields, stamp);
            row.size = row.size.after(&known, &changed.won, &self.config)?;
            row.touch(db, collection, id, &changed.stamp)?;
            row.set_fields(db, collection, &changed.won, &changed.stamp, arrived)?;
            Ok(changed)
        })
    }

    /// Deletes a record with all its fields, and forgets deletions that are older than
    /// [`RecordConfig::deletions_kept_for`]. Returns the stamp of the deletion, whose time is later
    /// than that of all writes, so that clients have to be notified; `None` if there is no record.
    /// A deletion that is repeated after a crash returns the result of the first attempt.
    /// O(fields of the record · log n).
    ///
    /// # Errors
    /// If the database fails.
    pub fn delete<'a>(
        &self,
        collection: &str,
        id: &str,
        write: impl Into<Write<'a>>,
    ) -> Result<Option<Stamp>, SqliteError> {
        let Write { stamp, arrived } = write.into();
        let horizon = self.config.horizon(arrived);
        self.database.write(|db, _| {
            let mut row = RecordRow::find(db, collection, id)?.unwrap_or_default();
            let deletion = row.state.delete(stamp);
            if row.state.deleted.as_ref() != Some(&deletion.stamp) {
                row.delete(db, (collection, id), &deletion.stamp, arrived)?;
                forget(db, collection, horizon, FORGOTTEN_AT_ONCE)?;
            }
            Ok(deletion.exists.then_some(deletion.stamp))
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
            Some(row) if row.state.exists() => Ok(Some(Record {
                id: id.into(),
                fields: row.fields(db, since)?,
                recreated_after: row.deleted_since(since),
            })),
            _ => Ok(None),
        })
    }

    /// Returns the stamp of a remembered deletion if the record is deleted. O(log n).
    ///
    /// # Errors
    /// If the database fails.
    pub fn deletion(&self, collection: &str, id: &str) -> Result<Option<Stamp>, SqliteError> {
        self.database.read(|db| match RecordRow::find(db, collection, id)? {
            Some(row) if !row.state.exists() => Ok(row.state.deleted),
            _ => Ok(None),
        })
    }

    /// Returns the records of a collection that have all fields of the filter, ordered by id; an
    /// empty filter matches all records. With `since`, only what a subscriber has missed since that
    /// time: [`Record::retain_missed`], possibly no fields.
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
                    record.retain_missed(filter, since);
                    record.recreated_after = self
                        .database
                        .read(|db| RecordRow::find(db, collection, &id))?
                        .and_then(|row| row.deleted_since(Some(since)));
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

    /// Forgets the deletions that arrived before a time, and returns their number. After that, a
    /// creation older than such a deletion restores the record, so keep deletions for longer than
    /// any device is offline. Deleting forgets deletions too, see [`delete`](Self::delete).
    ///
    /// # Errors
    /// If the database fails.
    pub fn forget_deletions(
        &self,
        collection: &str,
        before: WallTime,
    ) -> Result<usize, SqliteError> {
        self.database.write(|db, _| forget(db, collection, before, i64::MAX))
    }

    /// Commits all writes to the database, see [`Database::commit`].
    ///
    /// # Errors
    /// As [`Database::commit`].
    pub fn commit(&self) -> Result<(), SqliteError> {
        self.database.commit()
    }
}

/// The number of deletions that a deletion forgets. More than one, so that all are forgotten in
/// time.
const FORGOTTEN_AT_ONCE: i64 = 4;

fn forget(
    db: &Connection,
    collection: &str,
    before: WallTime,
    limit: i64,
) -> Result<usize, SqliteError> {
    let old = "SELECT record FROM records WHERE collection = ?1 AND deletion_arrived < ?2
        ORDER BY deletion_arrived LIMIT ?3";
    let mut old = db.prepare_cached(old)?;
    let records =
        old.query_map(params![collection, before.as_millis(), limit], |row| row.get(0))?;
    let records = records.collect::<Result<Vec<i64>, _>>()?;
    let mut remove = db.prepare_cached(
        "DELETE FROM records WHERE record = ?1 AND (touched IS NULL OR touched < deleted)",
    )?;
    let mut restore = db.prepare_cached(
        "UPDATE records SET deleted = NULL, deletion_arrived = NULL WHERE record = ?1",
    )?;
    for record in &records {
        if remove.execute([record])? == 0 {
            restore.execute([record])?;
        }
    }
    Ok(records.len())
}
