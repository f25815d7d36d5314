//! The rows of records and their fields.

use std::sync::Arc;

use logux::{
    Json, Stamp, WallTime,
    json::JsonObject,
    record::{Field, RecordSize, RecordState, matching},
    store::key,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{SqliteError, entries::stamp_of};

/// A row of `records`.
#[derive(Debug, Default)]
pub(crate) struct RecordRow {
    /// The number of the record. `None` if it has no row yet.
    record: Option<i64>,
    pub(crate) state: RecordState,
    deletion_arrived: Option<WallTime>,
    pub(crate) size: RecordSize,
}

impl RecordRow {
    pub(crate) fn find(
        db: &Connection,
        collection: &str,
        id: &str,
    ) -> Result<Option<Self>, SqliteError> {
        let statement = "SELECT record, touched, deleted, deletion_arrived, field_count, bytes
            FROM records WHERE collection = ?1 AND id = ?2";
        let mut statement = db.prepare_cached(statement)?;
        let mut rows = statement.query([collection, id])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let stamp = |column| {
            let stamp: Option<Vec<u8>> = row.get(column)?;
            stamp.map(|stamp| stamp_of(stamp.as_slice().into())).transpose()
        };
        let number = |column| Ok::<u64, SqliteError>(row.get::<_, i64>(column)?.cast_unsigned());
        Ok(Some(Self {
            record: Some(row.get(0)?),
            state: RecordState { touched: stamp(1)?, deleted: stamp(2)? },
            deletion_arrived: row.get::<_, Option<i64>>(3)?.map(WallTime::from_millis),
            size: RecordSize { fields: number(4)?, bytes: number(5)? },
        }))
    }

    /// Returns the deletion if it arrived at `since` or later.
    pub(crate) fn deleted_since(&self, since: Option<WallTime>) -> Option<Stamp> {
        let since = since?;
        self.deletion_arrived.filter(|arrived| *arrived >= since)?;
        self.state.deleted.clone()
    }

    /// Stores the stamp of a creation or change, and the size.
    pub(crate) fn touch(
        &mut self,
        db: &Connection,
        collection: &str,
        id: &str,
        stamp: &Stamp,
    ) -> Result<(), SqliteError> {
        let touched = self.state.touched.take().max(Some(stamp.clone()));
        let (fields, bytes) = (self.size.fields.cast_signed(), self.size.bytes.cast_signed());
        let time = touched.as_ref().map(key::of_stamp);
        match self.record {
            Some(record) => {
                let update = "UPDATE records SET touched = ?2, field_count = ?3, bytes = ?4 WHERE record = ?1";
                db.prepare_cached(update)?.execute(params![record, time, fields, bytes])?;
            }
            None => {
                let insert = "INSERT INTO records (collection, id, touched, field_count, bytes) VALUES (?1, ?2, ?3, ?4, ?5)";
                let values = params![collection, id, time, fields, bytes];
                self.record = Some(db.prepare_cached(insert)?.insert(values)?);
            }
        }
        self.state.touched = touched;
        Ok(())
    }

    /// Deletes the fields, and stores the deletion.
    pub(crate) fn delete(
        &mut self,
        db: &Connection,
        (collection, id): (&str, &str),
        deletion: &Stamp,
        arrived: WallTime,
    ) -> Result<(), SqliteError> {
        if self.record.is_none() {
            let insert = "INSERT INTO records (collection, id) VALUES (?1, ?2)";
            self.record = Some(db.prepare_cached(insert)?.insert([collection, id])?);
        }
        let update = "UPDATE records SET deleted = ?2, deletion_arrived = ?3, field_count = 0, bytes = 0 WHERE record = ?1";
        let values = params![self.record, key::of_stamp(deletion), arrived.as_millis()];
        db.prepare_cached(update)?.execute(values)?;
        db.prepare_cached("DELETE FROM fields WHERE record = ?1")?.execute([self.record])?;
        Ok(())
    }

    /// Returns the fields that arrived at `since` or later, sorted by key.
    pub(crate) fn fields(
        &self,
        db: &Connection,
        since: Option<WallTime>,
    ) -> Result<Vec<Field>, SqliteError> {
        let since = since.unwrap_or(WallTime::MIN).as_millis();
        let statement = "SELECT key, value, stamp, arrived FROM fields WHERE record = ?1 AND arrived >= ?2 ORDER BY key";
        let mut statement = db.prepare_cached(statement)?;
        let mut rows = statement.query(params![self.record, since])?;
        let mut fields = Vec::new();
        while let Some(row) = rows.next()? {
            fields.push(field(row)?);
        }
        Ok(fields)
    }

    /// Returns the fields that have the keys of `keys`.
    pub(crate) fn fields_with_keys(
        &self,
        db: &Connection,
        keys: &JsonObject,
    ) -> Result<Vec<Field>, SqliteError> {
        let mut fields = Vec::new();
        if self.size.fields == 0 {
            return Ok(fields);
        }
        let statement =
            "SELECT key, value, stamp, arrived FROM fields WHERE record = ?1 AND key = ?2";
        let mut statement = db.prepare_cached(statement)?;
        for (key, _) in keys.iter() {
            let row = statement.query_row(params![self.record, key], |row| Ok(field(row)));
            fields.extend(row.optional()?.transpose()?);
        }
        Ok(fields)
    }

    /// Sets fields.
    pub(crate) fn set_fields(
        &self,
        db: &Connection,
        collection: &str,
        fields: &JsonObject,
        stamp: &Stamp,
        arrived: WallTime,
    ) -> Result<(), SqliteError> {
        let statement = "INSERT INTO fields (record, key, value, stamp, hash, arrived) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT DO UPDATE
            SET value = excluded.value, stamp = excluded.stamp, hash = excluded.hash, arrived = excluded.arrived";
        let mut statement = db.prepare_cached(statement)?;
        let time = key::of_stamp(stamp);
        for (key, value) in fields.iter() {
            let hash = matching::hash(collection, key, value);
            statement.execute(params![
                self.record,
                key,
                value.as_str(),
                time,
                hash,
                arrived.as_millis()
            ])?;
        }
        Ok(())
    }
}

/// Decodes the columns `key`, `value`, `stamp` and `arrived` of a field.
fn field(row: &Row<'_>) -> Result<Field, SqliteError> {
    let key: Arc<str> = row.get(0)?;
    let value = Json::new(row.get::<_, Arc<str>>(1)?).map_err(|error| {
        SqliteError::Corrupt(format!("field {key:?} of a record has an invalid value: {error}"))
    })?;
    let arrived = WallTime::from_millis(row.get(3)?);
    Ok(Field { key, value, stamp: stamp_of(row.get_ref(2)?)?, arrived })
}

pub(crate) fn ids(
    db: &Connection,
    statement: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<Arc<str>>, SqliteError> {
    Ok(db
        .prepare_cached(statement)?
        .query_map(values, |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}
