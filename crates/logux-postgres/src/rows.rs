//! Rows as values.

use std::sync::Arc;

use logux::{
    Json, Stamp, WallTime,
    record::{Field, Record},
    store::key,
};

use crate::PostgresError;

/// The columns `record`, `touched` and `deleted` of a record.
pub(crate) type HeadRow = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// The columns `key`, `value`, `stamp` and `arrived` of a field.
pub(crate) type FieldRow = (String, String, Vec<u8>, i64);

/// The id of a record, and the columns of one of its fields; a record without fields has one such row too.
pub(crate) type JoinedRow = (String, Option<String>, Option<String>, Option<Vec<u8>>, Option<i64>);

/// The latest creation or change of a record, and its latest deletion.
pub(crate) struct Head {
    pub(crate) record: i64,
    pub(crate) touched: Option<Vec<u8>>,
    pub(crate) deleted: Option<Vec<u8>>,
}

impl Head {
    /// Stamps are bytes that compare as stamps; none is before all.
    pub(crate) fn exists(&self) -> bool {
        self.touched > self.deleted
    }

    /// Where it is gone and that is remembered, when it was deleted.
    pub(crate) fn deletion(&self) -> Result<Option<Stamp>, PostgresError> {
        if self.exists() { Ok(None) } else { self.deleted.as_deref().map(stamp_of).transpose() }
    }
}

impl From<HeadRow> for Head {
    fn from((record, touched, deleted): HeadRow) -> Self {
        Self { record, touched, deleted }
    }
}

/// Reads a field.
pub(crate) fn field((key, value, stamp, arrived): FieldRow) -> Result<Field, PostgresError> {
    let value = Json::new(value).map_err(|error| {
        PostgresError::Corrupt(format!("field {key:?} of a record has no value: {error}"))
    })?;
    Ok(Field {
        key: key.into(),
        value,
        stamp: stamp_of(&stamp)?,
        arrived: WallTime::from_millis(arrived),
    })
}

/// Reads the records whose fields follow one another in the rows.
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

/// Reads the ids and deletions of records.
pub(crate) fn deletions(
    rows: Vec<(String, Vec<u8>)>,
) -> Result<Vec<(Arc<str>, Stamp)>, PostgresError> {
    rows.into_iter().map(|(id, deleted)| Ok((id.into(), stamp_of(&deleted)?))).collect()
}

/// Reads a stamp that [`key::of_stamp`] wrote.
pub(crate) fn stamp_of(bytes: &[u8]) -> Result<Stamp, PostgresError> {
    key::to_stamp(bytes)
        .ok_or_else(|| PostgresError::Corrupt(format!("expected a stamp, got {bytes:02x?}")))
}
