//! The archive of documents, their named versions, and how they are purged.

use logux::{
    WallTime,
    action::DocumentKey,
    server::{AddVersionOutcome, ArchivePage, ArchiveQuery, ArchivedEntry, DocumentVersion},
    store::Direction,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    SqliteDocuments, SqliteError,
    documents::{document_number, number, size},
    entries::{self, columns},
};

/// The number of entries that are archived or removed while the database is locked: a few
/// milliseconds of work.
const STEP: usize = 256;

impl SqliteDocuments {
    /// Adds entries to the archive of a document; a number that the archive has is left out.
    /// Returns `false` if the document has no catalog entry. The database is unlocked between
    /// steps, so that many entries do not block other calls: after a failure, a part may be added.
    /// O(entries · log archive).
    ///
    /// # Errors
    /// If the database fails.
    pub fn archive(
        &self,
        key: &DocumentKey,
        entries: &[ArchivedEntry],
    ) -> Result<bool, SqliteError> {
        if entries.is_empty() {
            return self.database().read(|db| Ok(document_number(db, key)?.is_some()));
        }
        for step in entries.chunks(STEP) {
            let is_known = self.database().write(|db, _| {
                let Some(document) = document_number(db, key)? else { return Ok(false) };
                for archived in step {
                    entries::insert_archived(db, document, archived, archived.is_snapshot(key))?;
                }
                Ok(true)
            })?;
            if !is_known {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns archived entries of a document in pages. O(log archive + page).
    ///
    /// # Errors
    /// If the database fails.
    pub fn archived(
        &self,
        key: &DocumentKey,
        query: ArchiveQuery,
    ) -> Result<ArchivePage, SqliteError> {
        macro_rules! select {
            ($order:literal) => {
                concat!(
                    "SELECT ",
                    columns!(),
                    ", e.at FROM document_archive e WHERE e.document = ?1 AND e.added > ?2 AND e.added < ?3 ORDER BY e.added ",
                    $order,
                    " LIMIT ?4"
                )
            };
        }
        let statement = match query.direction {
            Direction::OldestFirst => select!("ASC"),
            Direction::NewestFirst => select!("DESC"),
        };
        let after = query.after.map_or(-1, number);
        let before = query.before.map_or(i64::MAX, number);
        let limit = size(query.limit.max(1).saturating_add(1));
        self.read_aside(|db| {
            let Some(document) = document_number(db, key)? else {
                return Ok(ArchivePage::default());
            };
            let mut statement = db.prepare_cached(statement)?;
            let mut rows = statement.query(params![document, after, before, limit])?;
            let next = || match rows.next() {
                Ok(row) => row.map(archived),
                Err(error) => Some(Err(error.into())),
            };
            ArchivePage::read(query, std::iter::from_fn(next))
        })
    }

    /// Returns the latest archived snapshot with this number or a lower one. O(log archive).
    ///
    /// # Errors
    /// If the database fails.
    pub fn snapshot_at(
        &self,
        key: &DocumentKey,
        added: u64,
    ) -> Result<Option<ArchivedEntry>, SqliteError> {
        let statement = concat!(
            "SELECT ",
            columns!(),
            ", e.at FROM document_archive e
            WHERE e.document = ?1 AND e.is_snapshot = 1 AND e.added <= ?2 ORDER BY e.added DESC LIMIT 1"
        );
        self.read_aside(|db| {
            let Some(document) = document_number(db, key)? else { return Ok(None) };
            let mut statement = db.prepare_cached(statement)?;
            let mut rows = statement.query(params![document, number(added)])?;
            rows.next()?.map(archived).transpose()
        })
    }

    /// Returns the highest number of the archived entries that were processed at this time or
    /// earlier. O(log archive).
    ///
    /// # Errors
    /// If the database fails.
    pub fn position_at(&self, key: &DocumentKey, at: WallTime) -> Result<Option<u64>, SqliteError> {
        let statement = "SELECT added FROM document_archive WHERE document = ?1 AND at <= ?2
            ORDER BY at DESC, added DESC LIMIT 1";
        self.database().read(|db| {
            let Some(document) = document_number(db, key)? else { return Ok(None) };
            let values = params![document, at.as_millis()];
            let row = db.prepare_cached(statement)?.query_row(values, |row| row.get::<_, i64>(0));
            Ok(row.optional()?.map(i64::cast_unsigned))
        })
    }

    /// Removes archived entries with lower numbers, a few hundred in a call. Returns `true` if
    /// there may be more. O(removed · log archive).
    ///
    /// # Errors
    /// If the database fails.
    pub fn forget_archived(&self, key: &DocumentKey, before: u64) -> Result<bool, SqliteError> {
        let remove = "DELETE FROM document_archive WHERE rowid IN (
            SELECT rowid FROM document_archive WHERE document = ?1 AND added < ?2 ORDER BY added LIMIT ?3
        )";
        self.write_zeroed(|db| {
            let Some(document) = document_number(db, key)? else { return Ok(false) };
            let values = params![document, number(before), size(STEP)];
            Ok(db.prepare_cached(remove)?.execute(values)? == STEP)
        })
    }

    /// Gives a position in the history a name. O(log n + versions).
    ///
    /// # Errors
    /// If the database fails.
    pub fn add_version(
        &self,
        key: &DocumentKey,
        version: &DocumentVersion,
    ) -> Result<AddVersionOutcome, SqliteError> {
        self.database().write(|db, _| {
            let Some(document) = document_number(db, key)? else {
                return Ok(AddVersionOutcome::Missing);
            };
            let versions = versions(db, document)?;
            let same_name = versions.iter().find(|known| known.name == version.name);
            let outcome = AddVersionOutcome::decide(version, same_name, versions.len());
            if outcome == AddVersionOutcome::Added {
                let insert = "INSERT OR IGNORE INTO document_versions (document, name, position, named_at, named_by, id)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                db.prepare_cached(insert)?.execute(params![
                    document,
                    version.name,
                    number(version.position),
                    version.at.as_millis(),
                    version.by,
                    version.id.to_string(),
                ])?;
            }
            Ok(outcome)
        })
    }

    /// Returns the versions of a document, ordered by position and name. O(log n + versions).
    ///
    /// # Errors
    /// If the database fails.
    pub fn versions(&self, key: &DocumentKey) -> Result<Vec<DocumentVersion>, SqliteError> {
        self.database().read(|db| match document_number(db, key)? {
            Some(document) => versions(db, document),
            None => Ok(Vec::new()),
        })
    }

    /// Removes a version. Returns `false` if no version has this name. O(log n).
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove_version(&self, key: &DocumentKey, name: &str) -> Result<bool, SqliteError> {
        let remove = "DELETE FROM document_versions WHERE document = ?1 AND name = ?2";
        self.database().write(|db, _| {
            let Some(document) = document_number(db, key)? else { return Ok(false) };
            Ok(db.prepare_cached(remove)?.execute(params![document, name])? > 0)
        })
    }

    /// Removes a document with its versions, and a first part of its archive. Returns `true` if
    /// purged documents have left something; then call [`remove_purged`](Self::remove_purged).
    ///
    /// The removed rows are overwritten with zeros. After the next
    /// [`checkpoint`](crate::Database::checkpoint), the file does not contain them. O(log n + a
    /// step).
    ///
    /// # Errors
    /// If the database fails.
    pub fn purge(&self, key: &DocumentKey) -> Result<bool, SqliteError> {
        self.write_zeroed(|db| {
            if let Some(document) = document_number(db, key)? {
                for statement in [
                    "DELETE FROM documents WHERE document = ?1",
                    "DELETE FROM document_versions WHERE document = ?1",
                    "INSERT INTO purged_documents (document) VALUES (?1)",
                ] {
                    db.prepare_cached(statement)?.execute([document])?;
                }
            }
            remove_step(db)
        })
    }

    /// Removes a part of what purged documents have left. Returns `true` if there is more. O(a
    /// step).
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove_purged(&self) -> Result<bool, SqliteError> {
        if self.database().read(first_purged)?.is_none() {
            return Ok(false);
        }
        self.write_zeroed(remove_step)
    }

    /// Runs a write that overwrites what it removes with zeros.
    fn write_zeroed<T>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        self.database().write(|db, _| {
            let secure_delete =
                |value: &str| db.pragma_update_and_check(None, "secure_delete", value, |_| Ok(()));
            secure_delete("ON")?;
            let changed = change(db);
            secure_delete("FAST")?;
            changed
        })
    }
}

fn first_purged(db: &Connection) -> Result<Option<i64>, SqliteError> {
    let statement = "SELECT document FROM purged_documents ORDER BY document LIMIT 1";
    Ok(db.prepare_cached(statement)?.query_row([], |row| row.get(0)).optional()?)
}

/// Removes a part of the archive of a purged document. Returns `true` if there is more.
fn remove_step(db: &Connection) -> Result<bool, SqliteError> {
    let Some(document) = first_purged(db)? else { return Ok(false) };
    let remove = "DELETE FROM document_archive WHERE rowid IN (
        SELECT rowid FROM document_archive WHERE document = ?1 LIMIT ?2
    )";
    if db.prepare_cached(remove)?.execute(params![document, size(STEP)])? < STEP {
        db.prepare_cached("DELETE FROM purged_documents WHERE document = ?1")?
            .execute([document])?;
    }
    Ok(first_purged(db)?.is_some())
}

/// Decodes the columns of an entry, and `at`.
fn archived(row: &Row<'_>) -> Result<ArchivedEntry, SqliteError> {
    let added: i64 = row.get(0)?;
    let at = WallTime::from_millis(row.get(8)?);
    Ok(ArchivedEntry::new(added.cast_unsigned(), at, entries::read(row)?))
}

fn versions(db: &Connection, document: i64) -> Result<Vec<DocumentVersion>, SqliteError> {
    let statement = "SELECT name, position, named_at, named_by, id FROM document_versions
        WHERE document = ?1 ORDER BY position, name";
    let mut statement = db.prepare_cached(statement)?;
    let mut rows = statement.query([document])?;
    let mut versions = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(4)?;
        versions.push(DocumentVersion {
            name: row.get(0)?,
            position: row.get::<_, i64>(1)?.cast_unsigned(),
            at: WallTime::from_millis(row.get(2)?),
            by: row.get(3)?,
            id: id.parse().map_err(|error| {
                SqliteError::Corrupt(format!("a version has an invalid action id: {error}"))
            })?,
        });
    }
    Ok(versions)
}
