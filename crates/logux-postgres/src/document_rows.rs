//! Decoding of the rows of documents, and encoding of archived entries.

use std::sync::Arc;

use logux::{
    Action, Entry, Json, Meta, WallTime,
    action::{NameList, Subprotocol},
    json::JsonObject,
    server::{ArchivedEntry, CatalogEntry, DocumentDeletion, DocumentVersion},
};

use sqlx::{Row as _, postgres::PgRow};

use crate::{PostgresError, rows::stamp_of};

/// A row of the catalog.
#[derive(Debug)]
pub(crate) struct DocumentRow {
    pub(crate) document: i64,
    pub(crate) entry: CatalogEntry,
}

/// The columns for a [`DocumentRow`].
macro_rules! catalog_columns {
    () => {
        "document, id, created, revived, creator, created_at, changed_at, bytes, actions, deletion, deleted_by, deleted_at"
    };
}
pub(crate) use catalog_columns;

/// The [`catalog_columns`].
pub(crate) type CatalogColumns = (
    i64,
    String,
    Vec<u8>,
    Option<Vec<u8>>,
    Option<String>,
    i64,
    i64,
    i64,
    i64,
    Option<Vec<u8>>,
    Option<String>,
    Option<i64>,
);

impl TryFrom<CatalogColumns> for DocumentRow {
    type Error = PostgresError;

    fn try_from(columns: CatalogColumns) -> Result<Self, PostgresError> {
        let (document, id, created, revived, creator, created_at, changed_at, ..) = columns;
        let (.., bytes, actions, deletion, deleted_by, deleted_at) = columns;
        let last_deletion = match (deletion, deleted_at) {
            (Some(stamp), Some(at)) => Some(DocumentDeletion {
                stamp: stamp_of(&stamp)?,
                by: deleted_by.map(Arc::from),
                at: WallTime::from_millis(at),
            }),
            _ => None,
        };
        let entry = CatalogEntry {
            id: id.into(),
            created: stamp_of(&created)?,
            revived: revived.as_deref().map(stamp_of).transpose()?,
            creator: creator.map(Arc::from),
            created_at: WallTime::from_millis(created_at),
            changed_at: WallTime::from_millis(changed_at),
            bytes: bytes.cast_unsigned(),
            actions: actions.cast_unsigned(),
            last_deletion,
        };
        Ok(Self { document, entry })
    }
}

/// The columns of an [`archived`] entry. Reasons, indexes, the subprotocol, `keep_last` and the
/// extra keys are JSON.
macro_rules! archive_columns {
    () => {
        "added, at, created, action, reasons, indexes, subprotocol, keep_last, extra"
    };
}
pub(crate) use archive_columns;

/// Decodes an archived entry from a row with the [`archive_columns`].
pub(crate) fn archived(row: &PgRow) -> Result<ArchivedEntry, PostgresError> {
    let (added, at): (i64, i64) = (row.try_get("added")?, row.try_get("at")?);
    let (created, action): (Vec<u8>, String) = (row.try_get("created")?, row.try_get("action")?);
    let text = |column| row.try_get::<Option<String>, _>(column);
    let damaged = |error: &dyn std::fmt::Display| {
        PostgresError::Corrupt(format!("archived entry number {added} is invalid: {error}"))
    };
    let json = |column| -> Result<Option<Json>, PostgresError> {
        text(column)?.map(Json::new).transpose().map_err(|error| damaged(&error))
    };
    let names = |column| -> Result<NameList, PostgresError> {
        let Some(names) = json(column)? else { return Ok(NameList::new()) };
        names.parse::<Vec<Arc<str>>>().map(Into::into).map_err(|error| damaged(&error))
    };
    let stamp = stamp_of(&created)?;
    let action = Action::new(action).map_err(|error| damaged(&error))?;
    let mut meta = Meta::new(stamp.id().clone()).with_time(stamp.time());
    (meta.reasons, meta.indexes) = (names("reasons")?, names("indexes")?);
    let subprotocol = json("subprotocol")?.map(|json| json.parse::<Subprotocol>()).transpose();
    meta.subprotocol = subprotocol.map_err(|error| damaged(&error))?;
    let keep_last = json("keep_last")?.map(|json| json.parse::<Arc<str>>()).transpose();
    meta.keep_last = keep_last.map_err(|error| damaged(&error))?;
    if let Some(extra) = text("extra")? {
        meta.extra = JsonObject::from_json(&extra).map_err(|error| damaged(&error))?;
    }
    let at = WallTime::from_millis(at);
    Ok(ArchivedEntry::new(added.cast_unsigned(), at, Entry::new(action, meta)))
}

/// The JSON of the parts of an entry's meta, each `None` if it is empty.
#[derive(Debug)]
pub(crate) struct MetaColumns {
    pub(crate) reasons: Option<String>,
    pub(crate) indexes: Option<String>,
    pub(crate) subprotocol: Option<String>,
    pub(crate) keep_last: Option<String>,
    pub(crate) extra: Option<String>,
}

impl From<&Meta> for MetaColumns {
    fn from(meta: &Meta) -> Self {
        // Strings and finite numbers can always be written as JSON.
        let text = |json: Json| json.as_str().to_owned();
        let names = |names: &NameList| {
            let names: Vec<&str> = names.iter().map(|name| &**name).collect();
            if names.is_empty() { None } else { Json::from_value(&names).ok().map(text) }
        };
        let subprotocol = meta.subprotocol.as_ref().and_then(|own| Json::from_value(own).ok());
        let keep_last = meta.keep_last.as_ref().and_then(|own| Json::from_value(&**own).ok());
        Self {
            reasons: names(&meta.reasons),
            indexes: names(&meta.indexes),
            subprotocol: subprotocol.map(text),
            keep_last: keep_last.map(text),
            extra: (!meta.extra.is_empty()).then(|| meta.extra.to_json()),
        }
    }
}

/// The columns `name`, `position`, `named_at`, `named_by` and `id` of a version.
pub(crate) type VersionColumns = (String, i64, i64, Option<String>, Vec<u8>);

/// Decodes a version.
pub(crate) fn version(
    (name, position, at, by, id): VersionColumns,
) -> Result<DocumentVersion, PostgresError> {
    let id = String::from_utf8(id).ok().and_then(|id| id.parse().ok());
    Ok(DocumentVersion {
        id: id.ok_or_else(|| {
            PostgresError::Corrupt(format!("version {name:?} has an invalid action id"))
        })?,
        name: name.into(),
        position: position.cast_unsigned(),
        at: WallTime::from_millis(at),
        by: by.map(Arc::from),
    })
}
