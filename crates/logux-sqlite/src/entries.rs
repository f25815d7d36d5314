//! Entries as rows: inserting, reading, updating and removing them with the rows of their reasons
//! and indexes.
//!
//! The id of an entry is part of `created`, so it is not stored twice. Only for entries whose
//! corrected time differs from the time in their id, `moved_ids` maps the id to the entry.

use std::sync::Arc;

use logux::{
    Action, ActionId, Entry, Json, Meta, Stamp,
    action::{NameList, Subprotocol},
    json::JsonObject,
    server::ArchivedEntry,
    store::{Insertion, key},
};
use rusqlite::{
    Connection, OptionalExtension, Row, ToSql, params,
    types::{ToSqlOutput, Value, ValueRef},
};

use crate::SqliteError;

/// The columns for [`read`], of `entries` as `e`.
macro_rules! columns {
    () => {
        "e.added, e.created, e.action, e.reasons, e.indexes, e.subprotocol, e.keep_last, e.extra"
    };
}
pub(crate) use columns;

const INSERT: &str =
    "INSERT INTO entries (added, created, action, reasons, indexes, subprotocol, keep_last, extra)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (created) DO NOTHING";

/// Inserts an entry with the next `added` number.
pub(crate) fn insert(
    db: &Connection,
    last_added: &mut u64,
    entry: &mut Entry,
) -> Result<Insertion, SqliteError> {
    let meta = &entry.meta;
    let created = key::of_stamp(&meta.stamp());
    let moved = meta.time != meta.id.time();
    let id = key::of_id(&meta.id);
    if exists(db, "SELECT 1 FROM moved_ids WHERE id = ?1", &id)?
        || moved
            && exists(
                db,
                "SELECT 1 FROM entries WHERE created = ?1",
                &key::of_uncorrected(&meta.id),
            )?
    {
        return Ok(Insertion::Duplicate);
    }
    let next = *last_added + 1;
    let added = next.cast_signed();
    let inserted = db.prepare_cached(INSERT)?.execute(params![
        added,
        created,
        entry.action.as_json(),
        names_text(&meta.reasons),
        names_text(&meta.indexes),
        meta.subprotocol.as_ref().map(Version),
        meta.keep_last,
        extra_text(&meta.extra),
    ])?;
    if inserted == 0 {
        return Ok(Insertion::Duplicate);
    }
    if moved {
        db.prepare_cached("INSERT INTO moved_ids (id, added) VALUES (?1, ?2)")?
            .execute(params![id, added])?;
    }
    insert_reason_rows(db, &meta.reasons, &created, added)?;
    for index in &meta.indexes {
        db.prepare_cached(
            "INSERT OR IGNORE INTO indexes (name, created, added) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![index, created, added])?;
        db.prepare_cached("INSERT OR IGNORE INTO indexes_added (name, added) VALUES (?1, ?2)")?
            .execute(params![index, added])?;
    }
    *last_added = next;
    entry.meta.added = Some(next);
    Ok(Insertion::Added)
}

fn exists(db: &Connection, sql: &'static str, key: &[u8]) -> Result<bool, SqliteError> {
    Ok(db.prepare_cached(sql)?.exists([key])?)
}

/// Finds an entry by its id.
pub(crate) fn by_id(db: &Connection, id: &ActionId) -> Result<Option<Entry>, SqliteError> {
    let unmoved = query_entry(
        db,
        concat!("SELECT ", columns!(), " FROM entries e WHERE e.created = ?1"),
        key::of_uncorrected(id),
    )?;
    if unmoved.is_some() {
        return Ok(unmoved);
    }
    let moved = concat!(
        "SELECT ",
        columns!(),
        " FROM entries e WHERE e.added = (SELECT added FROM moved_ids WHERE id = ?1)"
    );
    query_entry(db, moved, key::of_id(id))
}

/// Finds an entry by its `added` number.
pub(crate) fn by_added(db: &Connection, added: i64) -> Result<Option<Entry>, SqliteError> {
    query_entry(db, concat!("SELECT ", columns!(), " FROM entries e WHERE e.added = ?1"), added)
}

fn query_entry(
    db: &Connection,
    sql: &'static str,
    key: impl ToSql,
) -> Result<Option<Entry>, SqliteError> {
    db.prepare_cached(sql)?.query_row([key], |row| Ok(read(row))).optional()?.transpose()
}

/// Writes the reasons and extra keys of an entry again; `before` are its previous reasons.
pub(crate) fn update(db: &Connection, entry: &Entry, before: &NameList) -> Result<(), SqliteError> {
    let meta = &entry.meta;
    let added = added_number(entry)?;
    db.prepare_cached("UPDATE entries SET reasons = ?2, extra = ?3 WHERE added = ?1")?
        .execute(params![added, names_text(&meta.reasons), extra_text(&meta.extra)])?;
    if meta.reasons != *before {
        let created = key::of_stamp(&meta.stamp());
        for reason in before {
            remove_reason_rows(db, reason, &created, added)?;
        }
        insert_reason_rows(db, &meta.reasons, &created, added)?;
    }
    Ok(())
}

/// Removes an entry with its reasons and indexes. `entry` must equal the stored entry.
pub(crate) fn remove(db: &Connection, last_added: u64, entry: &Entry) -> Result<(), SqliteError> {
    let meta = &entry.meta;
    let added = added_number(entry)?;
    let created = key::of_stamp(&meta.stamp());
    db.prepare_cached("DELETE FROM entries WHERE added = ?1")?.execute([added])?;
    if meta.time != meta.id.time() {
        db.prepare_cached("DELETE FROM moved_ids WHERE id = ?1")?
            .execute([key::of_id(&meta.id)])?;
    }
    for reason in &meta.reasons {
        remove_reason_rows(db, reason, &created, added)?;
    }
    for index in &meta.indexes {
        db.prepare_cached("DELETE FROM indexes WHERE name = ?1 AND created = ?2")?
            .execute(params![index, created])?;
        db.prepare_cached("DELETE FROM indexes_added WHERE name = ?1 AND added = ?2")?
            .execute(params![index, added])?;
    }
    if meta.added == Some(last_added) {
        put_number(db, "last_added", last_added)?;
    }
    Ok(())
}

/// Stores a number under a name.
pub(crate) fn put_number(db: &Connection, name: &str, number: u64) -> Result<(), SqliteError> {
    let statement = "INSERT INTO numbers (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
    db.prepare_cached(statement)?.execute(params![name, number.cast_signed()])?;
    Ok(())
}

fn insert_reason_rows(
    db: &Connection,
    reasons: &NameList,
    created: &[u8],
    added: i64,
) -> Result<(), SqliteError> {
    for reason in reasons {
        db.prepare_cached(
            "INSERT OR IGNORE INTO reasons (name, created, added) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![reason, created, added])?;
        db.prepare_cached("INSERT OR IGNORE INTO reasons_added (name, added) VALUES (?1, ?2)")?
            .execute(params![reason, added])?;
    }
    Ok(())
}

fn remove_reason_rows(
    db: &Connection,
    reason: &str,
    created: &[u8],
    added: i64,
) -> Result<(), SqliteError> {
    db.prepare_cached("DELETE FROM reasons WHERE name = ?1 AND created = ?2")?
        .execute(params![reason, created])?;
    db.prepare_cached("DELETE FROM reasons_added WHERE name = ?1 AND added = ?2")?
        .execute(params![reason, added])?;
    Ok(())
}

fn added_number(entry: &Entry) -> Result<i64, SqliteError> {
    let added = entry
        .meta
        .added
        .ok_or_else(|| SqliteError::Corrupt(format!("entry {} has no number", entry.meta.id)))?;
    Ok(added.cast_signed())
}

/// Adds an entry to the archive of a document, unless it has the number.
pub(crate) fn insert_archived(
    db: &Connection,
    document: i64,
    archived: &ArchivedEntry,
    is_snapshot: bool,
) -> Result<(), SqliteError> {
    let Entry { action, meta } = &archived.entry;
    let insert = "INSERT OR IGNORE INTO document_archive
        (document, added, at, is_snapshot, created, action, reasons, indexes, subprotocol, keep_last, extra)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    db.prepare_cached(insert)?.execute(params![
        document,
        archived.added.cast_signed(),
        archived.at.as_millis(),
        is_snapshot,
        key::of_stamp(&meta.stamp()),
        action.as_json(),
        names_text(&meta.reasons),
        names_text(&meta.indexes),
        meta.subprotocol.as_ref().map(Version),
        meta.keep_last,
        extra_text(&meta.extra),
    ])?;
    Ok(())
}

/// Reads the [`columns`] of a row.
pub(crate) fn read(row: &Row<'_>) -> Result<Entry, SqliteError> {
    let added: i64 = row.get(0)?;
    let damaged = |what: &str| SqliteError::Corrupt(format!("entry number {added} {what}"));
    let stamp = stamp_of(row.get_ref(1)?)?;
    let action = Action::new(text(row, 2)?.unwrap_or_default())
        .map_err(|error| damaged(&format!("has no action: {error}")))?;
    let subprotocol = match row.get_ref(5)? {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(Subprotocol::Number(
            number.try_into().map_err(|_| damaged("has a subprotocol out of range"))?,
        )),
        ValueRef::Real(number) => Some(
            Subprotocol::from_number(number)
                .ok_or_else(|| damaged("has a subprotocol that is not finite"))?,
        ),
        _ => text(row, 5)?.map(|text| Subprotocol::SemVer(text.into())),
    };
    let meta = Meta {
        id: stamp.id().clone(),
        time: stamp.time(),
        added: Some(added.cast_unsigned()),
        subprotocol,
        reasons: names(text(row, 3)?).ok_or_else(|| damaged("has invalid reasons"))?,
        indexes: names(text(row, 4)?).ok_or_else(|| damaged("has invalid indexes"))?,
        keep_last: text(row, 6)?.map(Arc::from),
        extra: match text(row, 7)? {
            None => JsonObject::default(),
            Some(text) => JsonObject::from_json(text)
                .map_err(|error| damaged(&format!("has invalid extra keys: {error}")))?,
        },
    };
    Ok(Entry { action, meta })
}

/// Reads a stamp that [`key::of_stamp`] wrote.
pub(crate) fn stamp_of(value: ValueRef<'_>) -> Result<Stamp, SqliteError> {
    let read = value.as_blob().ok().and_then(key::to_stamp);
    read.ok_or_else(|| {
        SqliteError::Corrupt(format!("expected a stamp, got {:?}", Value::try_from(value)))
    })
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<Option<&'a str>, SqliteError> {
    let value = row.get_ref(column)?;
    value
        .as_str_or_null()
        .map_err(|error| SqliteError::Corrupt(format!("expected text in column {column}: {error}")))
}

/// Encodes names as a JSON array; `None` for no names.
fn names_text(names: &NameList) -> Option<Arc<str>> {
    if names.is_empty() {
        return None;
    }
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    // Serializing strings cannot fail.
    Json::from_value(&names).ok().map(|json| json.as_str().into())
}

fn names(text: Option<&str>) -> Option<NameList> {
    match text {
        None => Some(NameList::new()),
        Some(text) => Some(Json::new(text).ok()?.parse::<Vec<Arc<str>>>().ok()?.into()),
    }
}

fn extra_text(extra: &JsonObject) -> Option<String> {
    (!extra.is_empty()).then(|| extra.to_json())
}

/// Stores a subprotocol number as an integer or a floating-point number, and a SemVer subprotocol
/// as text.
struct Version<'a>(&'a Subprotocol);

impl ToSql for Version<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Subprotocol::Number(number) => ToSqlOutput::from(*number),
            Subprotocol::Fraction(number) => ToSqlOutput::from(number.value()),
            Subprotocol::SemVer(text) => ToSqlOutput::from(&**text),
        })
    }
}
