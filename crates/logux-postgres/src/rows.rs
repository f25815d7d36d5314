//! Decoding of rows.

use std::sync::Arc;

use logux::{
    Json, Stamp, WallTime,
    record::{Field, Record, RecordSize, RecordState},
    store::key,
};

use crate::PostgresError;

/// The columns `record`, `touched`, `deleted`, `deletion_arrived`, `field_count` and `bytes` of a
/// record.
pub(crate) type RecordRowColumns = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Option<i64>, i64, i64);

/// The columns `key`, `value`, `stamp` and `arrived` of a field.
pub(crate) type FieldRow = (String, String, Vec<u8>, i64);

/// The id of a record, its deletion if that has to be sent, and the columns of one of its fields. A
/// record without fields has one row.
pub(crate) type JoinedRow =
    (String, Option<Vec<u8>>, Option<String>, Option<String>, Option<Vec<u8>>, Option<i64>);

/// The id of a deleted record, the stamp of its deletion, and the arrival time of that.
pub(crate) type DeletionRow = (String, Vec<u8>, i64);

/// A row of the table of records.
pub(crate) struct RecordRow {
    pub(crate) record: i64,
    pub(crate) state: RecordState,
    deletion_arrived: Option<WallTime>,
    pub(crate) size: RecordSize,
}

impl RecordRow {
    /// Returns the deletion if it arrived at `since` or later.
    pub(crate) fn deleted_since(&self, since: Option<WallTime>) -> Option<Stamp> {
        let since = since?;
        self.deletion_arrived.filter(|arrived| *arrived >= since)?;
        self.state.deleted.clone()
    }
}

impl TryFrom<RecordRowColumns> for RecordRow {
    type Error = PostgresError;

    fn try_from(columns: RecordRowColumns) -> Result<Self, PostgresError> {
        let (record, touched, deleted, deletion_arrived, fields, bytes) = columns;
        let stamp = |bytes: Option<Vec<u8>>| bytes.as_deref().map(stamp_of).transpose();
        Ok(Self {
            record,
            state: RecordState { touched: stamp(touched)?, deleted: stamp(deleted)? },
            deletion_arrived: deletion_arrived.map(WallTime::from_millis),
            size: RecordSize { fields: fields.cast_unsigned(), bytes: bytes.cast_unsigned() },
        })
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
    for (id, deletion, key, value, stamp, arrived) in rows {
        if records.last().is_none_or(|record| *record.id != *id) {
            let recreated_after = deletion.as_deref().map(stamp_of).transpose()?;
            records.push(Record { id: id.into(), fields: Vec::new(), recreated_after });
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

/// Decodes the id and the deletion stamp of a record.
pub(crate) fn deletion((id, deleted, _): DeletionRow) -> Result<(Arc<str>, Stamp), PostgresError> {
    Ok((id.into(), stamp_of(&deleted)?))
}

/// Decodes a stamp that [`key::of_stamp`] encoded.
pub(crate) fn stamp_of(bytes: &[u8]) -> Result<Stamp, PostgresError> {
    key::to_stamp(bytes)
        .ok_or_else(|| PostgresError::Corrupt(format!("expected a stamp, got {bytes:02x?}")))
}
