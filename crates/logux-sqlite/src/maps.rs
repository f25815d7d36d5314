//! Records of collections, last write wins per field.

use std::sync::Arc;

use logux::{
    Json, Stamp, WallTime,
    json::JsonObject,
    record::{Changed, Field, Record, Write, matching, place},
    store::key,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{Database, SqliteError, entries::stamp_of};

/// Durable records in a [`Database`], each with fields of which the latest write wins.
///
/// What is latest is told by the [`Stamp`] of the action that wrote, so the outcome is the same in any order of arrival, and
/// writing the same again changes nothing. The rules:
///
/// - A field has the value of the latest creation or change that set it.
/// - A deletion takes the fields that are older than itself, whenever it arrives. A creation or change that is older than the
///   deletion comes to nothing, one that is later brings the record back, with only what is later.
/// - A record is there while its latest creation or change is later than its latest deletion. A change alone makes a record too, since
///   its creation may arrive later.
///
/// A deletion is remembered until [`forget_deletions`](Self::forget_deletions). Each call takes effect as a whole or not at all, and is
/// durable after [`commit`](Self::commit).
///
/// ```
/// use logux::{Stamp, WallTime, json::JsonObject};
/// use logux_sqlite::Database;
///
/// let maps = Database::open_in_memory()?.sync_maps();
/// let at = |time, id: &str| Ok::<_, logux::action::IdError>(Stamp::new(WallTime::from_millis(time), id.parse()?));
/// maps.create("tasks", "1", &JsonObject::from_json(r#"{"title":"Tea","done":false}"#)?, &at(1, "1 a 0")?)?;
/// let late = maps.change("tasks", "1", &JsonObject::from_json(r#"{"title":"Coffee"}"#)?, &at(5, "5 a 0")?)?;
/// assert_eq!(late.won.to_json(), r#"{"title":"Coffee"}"#);
/// let early = maps.change("tasks", "1", &JsonObject::from_json(r#"{"title":"Water","done":true}"#)?, &at(3, "3 b 0")?)?;
/// assert_eq!(early.won.to_json(), r#"{"done":true}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SyncMaps {
    database: Database,
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
    pub(crate) const fn new(database: Database) -> Self {
        Self { database }
    }

    /// One of the collections, for `Builder::sync_map` of `logux-server`. A new name is a new and empty collection.
    pub fn collection(&self, name: impl Into<Arc<str>>) -> Collection {
        Collection { maps: self.clone(), name: name.into() }
    }

    /// Creates a record. If it is there, or was deleted later, that is settled as for a change. O(fields · log n).
    ///
    /// # Errors
    /// [`SqliteError::IdAmongFields`], or when the database fails.
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
    /// [`SqliteError::IdAmongFields`], or when the database fails.
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

    /// As [`change`](Self::change), but no two writes of a field have one time: the one that comes second is moved behind the first, by the
    /// rule of [`place`]. Also returns the place at which it was made. O(fields of the record · log n).
    ///
    /// # Errors
    /// [`SqliteError::IdAmongFields`], or when the database fails.
    pub fn change_in_turn<'a>(
        &self,
        collection: &str,
        id: &str,
        fields: &JsonObject,
        write: impl Into<Write<'a>>,
    ) -> Result<(Changed, Stamp), SqliteError> {
        let Write { stamp, arrived } = write.into();
        check_keys(fields)?;
        self.database.write(|db, _| {
            let known = match Row::find(db, collection, id)? {
                Some(row) if row.exists() => row.fields(db, None)?,
                _ => Vec::new(),
            };
            let stamp = place(&known, fields, stamp);
            let changed = change(db, (collection, id), fields, Write { stamp: &stamp, arrived })?;
            Ok((changed, stamp))
        })
    }

    /// Deletes a record: the fields older than `stamp` go. `true` if the record is gone then, and others are to be told; `false` if a
    /// later creation or change keeps it, or a later deletion is known. O(fields · log n).
    ///
    /// # Errors
    /// When the database fails.
    pub fn delete<'a>(
        &self,
        collection: &str,
        id: &str,
        write: impl Into<Write<'a>>,
    ) -> Result<bool, SqliteError> {
        let Write { stamp, arrived } = write.into();
        let time = key::of_stamp(stamp);
        self.database.write(|db, _| {
            let before = Row::find(db, collection, id)?;
            if before.as_ref().is_some_and(|row| row.deleted.as_ref() >= Some(&time)) {
                return Ok(false);
            }
            let statement = "INSERT INTO records (collection, id, deleted, deletion_arrived) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT (collection, id) DO UPDATE
                SET deleted = excluded.deleted, deletion_arrived = excluded.deletion_arrived";
            db.prepare_cached(statement)?.execute(params![collection, id, time, arrived.as_millis()])?;
            let Some(row) = before else { return Ok(true) };
            db.prepare_cached("DELETE FROM fields WHERE record = ?1 AND stamp < ?2")?
                .execute(params![row.record, time])?;
            Ok(row.touched < Some(time))
        })
    }

    /// A record, if it is there. With `since`, only the fields that arrived at that time or later. O(fields + log n).
    ///
    /// # Errors
    /// When the database fails.
    pub fn load(
        &self,
        collection: &str,
        id: &str,
        since: Option<WallTime>,
    ) -> Result<Option<Record>, SqliteError> {
        self.database.read(|db| match Row::find(db, collection, id)? {
            Some(row) if row.exists() => {
                Ok(Some(Record { id: id.into(), fields: row.fields(db, since)? }))
            }
            _ => Ok(None),
        })
    }

    /// When a record was deleted, if it is gone and that is remembered. O(log n).
    ///
    /// # Errors
    /// When the database fails.
    pub fn deletion(&self, collection: &str, id: &str) -> Result<Option<Stamp>, SqliteError> {
        self.database.read(|db| match Row::find(db, collection, id)? {
            Some(row) if !row.exists() => {
                row.deleted.map(|deleted| stamp_of(deleted.as_slice().into())).transpose()
            }
            _ => Ok(None),
        })
    }

    /// The records of a collection that have a field equal to each of the filter's, in the order of their ids; an empty filter takes
    /// all. With `since`, each has only the fields that arrived at that time or later, and may have none.
    ///
    /// Equal is what JavaScript finds equal: texts by their characters, numbers as doubles. Arrays and objects are compared by
    /// their text without blanks. O(records that have the filter's first field · fields), without a filter O(collection). The
    /// database is let go of between records, so that a long list does not hold up others.
    ///
    /// # Errors
    /// When the database fails.
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

    /// The ids of the records whose deletion arrived at a time or later and that are gone, in the order of arrival: what a client that was
    /// away has to be told. O(deletions since then).
    ///
    /// # Errors
    /// When the database fails.
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

    /// Forgets the deletions before a time, and returns how many they were. After that a change older than such a deletion brings the
    /// record back, so the time should be longer ago than any device stays away.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_deletions(
        &self,
        collection: &str,
        before: WallTime,
    ) -> Result<usize, SqliteError> {
        self.database.write(|db, _| {
            let time = key::of_time(before);
            let gone =
                "DELETE FROM records WHERE collection = ?1 AND deleted < ?2 AND (touched IS NULL OR touched < deleted)";
            let forgotten = db.prepare_cached(gone)?.execute(params![collection, time])?;
            let back = "UPDATE records SET deleted = NULL WHERE collection = ?1 AND deleted < ?2";
            Ok(forgotten + db.prepare_cached(back)?.execute(params![collection, time])?)
        })
    }

    /// Makes everything written to the database durable: see [`Database::commit`].
    ///
    /// # Errors
    /// As [`Database::commit`].
    pub fn commit(&self) -> Result<(), SqliteError> {
        self.database.commit()
    }
}

/// The id stands beside the fields.
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
    let before = Row::find(db, collection, id)?;
    let existed = before.as_ref().is_some_and(Row::exists);
    if before.as_ref().is_some_and(|row| row.deleted.as_ref() >= Some(&time)) {
        return Ok(Changed { won: JsonObject::default(), existed, exists: existed });
    }
    let record = Row::touch(db, before.as_ref(), collection, id, &time)?;
    let mut won = JsonObject::default();
    for (key, value) in fields.iter() {
        if set_field(db, record, collection, (key, value), &time, arrived)? {
            won.set(key, value.clone());
        }
    }
    Ok(Changed { won, existed, exists: true })
}

/// A row of `records`: the latest creation or change, and the latest deletion.
struct Row {
    record: i64,
    touched: Option<Vec<u8>>,
    deleted: Option<Vec<u8>>,
}

impl Row {
    fn find(db: &Connection, collection: &str, id: &str) -> Result<Option<Self>, SqliteError> {
        let statement =
            "SELECT record, touched, deleted FROM records WHERE collection = ?1 AND id = ?2";
        let mut statement = db.prepare_cached(statement)?;
        let row = statement.query_row([collection, id], |row| {
            Ok(Self { record: row.get(0)?, touched: row.get(1)?, deleted: row.get(2)? })
        });
        Ok(row.optional()?)
    }

    /// Stamps are bytes that compare as stamps; none is before all.
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
                SqliteError::Corrupt(format!("field {key:?} of a record has no value: {error}"))
            })?;
            let arrived = WallTime::from_millis(row.get(3)?);
            fields.push(Field { key, value, stamp: stamp_of(row.get_ref(2)?)?, arrived });
        }
        Ok(fields)
    }
}

/// Sets a field, unless a later write had set it.
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
