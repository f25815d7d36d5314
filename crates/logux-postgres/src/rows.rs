//! Decoding of rows.

use std::sync::Arc;

use logux::{
    Json, Stamp, WallTime,
    record::{Field, Record},
    store::key,
};

use crate::PostgresError;

/// The columns `record`, `touched` and `deleted` of a record.
pub(crate) type RecordStateRow = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// The columns `key`, `value`, `stamp` and `arrived` of a field.
pub(crate) type FieldRow = (String, String, Vec<u8>, i64);

/// The id of a record and the columns of one of its fields. A record without fields has one row.
pub(crate) type JoinedRow = (String, Option<String>, Option<String>, Option<Vec<u8>>, Option<i64>);

/// The stamps of the latest creation or change of a record and of its latest deletion.
pub(crate) struct RecordState {
    pub(crate) record: i64,
    pub(crate) touched: Option<Vec<u8>>,
    pub(crate) deleted: Option<Vec<u8>>,
}

impl RecordState {
    /// Stamp keys are ordered as the stamps are; `None` is the lowest.
    pub(crate) fn exists(&self) -> bool {
        self.touched > self.deleted
    }

    /// Returns the stamp of a remembered deletion if the record is deleted.
    pub(crate) fn deletion(&self) -> Result<Option<Stamp>, PostgresError> {
        if self.exists() { Ok(None) } else { self.deleted.as_deref().map(stamp_of).transpose() }
    }
}

impl From<RecordStateRow> for RecordState {
    fn from((record, touched, deleted): RecordStateRow) -> Self {
        Self { record, touched, deleted }
    }
}

/// Decodes a field.
pub(crate) fn field((key, value, stamp, arrived): FieldRow) -> Result<Field, PostgresError> {
    let value = Json::new(value).map_err(|error| {
        PostgresError::Corrupt(format!("field {key:?} of a record has an invalid value: {error}"))
    })?;
    Ok(Field {
        key: key.into(),
        value,
        stamp: stamp_of(&stamp)?,
        arrived: WallTime::from_millis(arrived),
    })
}

/// Groups rows into records. The rows of a record are consecutive.
pub(crate) fn records(rows: Vec<JoinedRow>) -> Result<Vec<Record>, PostgresError> {
    let mut records: Vec<Record> = Vec::new();
    for (id, key, value, stamp, arrived) in rows {
        if records.last().is_none_or(|record| *record.id != *id) {
            records.push(Record { id: id.into(), fields: Vec::new() });
        }
        if let (Some(key), Some(value), Some(stamp), Some(arrived)) = (key, value, stamp, arrived)
            && let Some(record) = records.last_mut()
        {
            record.fields.push(field((key, value, stamp, arrived))?);
        }
    }
    Ok(records)
}

/// Decodes the ids and deletion stamps of records.
pub(crate) fn deletions(
    rows: Vec<(String, Vec<u8>)>,
) -> Result<Vec<(Arc<str>, Stamp)>, PostgresError> {
    rows.into_iter().map(|(id, deleted)| Ok((id.into(), stamp_of(&deleted)?))).collect()
}

/// Decodes a stamp that [`key::of_stamp`] encoded.
pub(crate) fn stamp_of(bytes: &[u8]) -> Result<Stamp, PostgresError> {
    key::to_stamp(bytes)
        .ok_or_else(|| PostgresError::Corrupt(format!("expected a stamp, got {bytes:02x?}")))
}
