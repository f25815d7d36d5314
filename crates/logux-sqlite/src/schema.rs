//! The identity of the file, the version of its tables, and the migrations between versions.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode};

use crate::SqliteError;

/// `LOGX`, the `application_id` in the header of the file.
pub(crate) const APPLICATION_ID: u32 = 0x4C4F_4758;

/// The migration to each version from the previous one; a new file runs all of them. Released
/// migrations must not change.
const STEPS: [&str; 6] = [
    // 1: the log.
    "CREATE TABLE entries (
        added INTEGER PRIMARY KEY,
        created BLOB NOT NULL UNIQUE,
        action TEXT NOT NULL,
        reasons TEXT,
        indexes TEXT,
        subprotocol ANY,
        keep_last TEXT,
        extra TEXT
     ) STRICT;
     CREATE TABLE moved_ids (id BLOB PRIMARY KEY, added INTEGER NOT NULL) STRICT, WITHOUT ROWID;
     CREATE TABLE reasons (
        name TEXT NOT NULL, created BLOB NOT NULL, added INTEGER NOT NULL, PRIMARY KEY (name, created)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE reasons_added (name TEXT NOT NULL, added INTEGER NOT NULL, PRIMARY KEY (name, added)) STRICT, WITHOUT ROWID;
     CREATE TABLE indexes (
        name TEXT NOT NULL, created BLOB NOT NULL, added INTEGER NOT NULL, PRIMARY KEY (name, created)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE indexes_added (name TEXT NOT NULL, added INTEGER NOT NULL, PRIMARY KEY (name, added)) STRICT, WITHOUT ROWID;
     CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
    // 2: records.
    "CREATE TABLE records (
        record INTEGER PRIMARY KEY,
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        touched BLOB,
        deleted BLOB,
        UNIQUE (collection, id)
     ) STRICT;
     CREATE INDEX records_deleted ON records (collection, deleted) WHERE deleted IS NOT NULL;
     CREATE TABLE fields (
        record INTEGER NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        stamp BLOB NOT NULL,
        hash INTEGER NOT NULL,
        PRIMARY KEY (record, key)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX fields_hash ON fields (hash);",
    // 3: arrival times. Existing writes get the latest possible time, so that clients receive them
    // again.
    "ALTER TABLE fields ADD COLUMN arrived INTEGER NOT NULL DEFAULT 8640000000000000;
     ALTER TABLE records ADD COLUMN deletion_arrived INTEGER;
     UPDATE records SET deletion_arrived = 8640000000000000 WHERE deleted IS NOT NULL;
     DROP INDEX records_deleted;
     CREATE INDEX records_deleted ON records (collection, deletion_arrived) WHERE deletion_arrived IS NOT NULL;",
    // 4: named values of the log.
    "CREATE TABLE named_values (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;",
    // 5: sizes of records.
    "ALTER TABLE records ADD COLUMN field_count INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE records ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
     UPDATE records SET (field_count, bytes) = (
        SELECT count(*), coalesce(sum(length(CAST(key AS BLOB)) + length(CAST(value AS BLOB))), 0)
        FROM fields WHERE fields.record = records.record
     );",
    // 6: documents. The number of a purged one is not used again, because its archive is removed
    // later.
    "CREATE TABLE documents (
        document INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        created BLOB NOT NULL,
        revived BLOB,
        creator TEXT,
        created_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        actions INTEGER NOT NULL,
        deletion BLOB,
        deleted_by TEXT,
        deleted_at INTEGER,
        is_deleted INTEGER NOT NULL,
        UNIQUE (kind, id)
     ) STRICT;
     CREATE INDEX documents_changed ON documents (kind, is_deleted, changed_at, id);
     CREATE INDEX documents_creator ON documents (creator, kind, is_deleted, changed_at, id, bytes) WHERE creator IS NOT NULL;
     CREATE INDEX documents_deleted ON documents (kind, deleted_at, id) WHERE is_deleted = 1;
     CREATE TABLE document_archive (
        document INTEGER NOT NULL,
        added INTEGER NOT NULL,
        at INTEGER NOT NULL,
        is_snapshot INTEGER NOT NULL,
        created BLOB NOT NULL,
        action TEXT NOT NULL,
        reasons TEXT,
        indexes TEXT,
        subprotocol ANY,
        keep_last TEXT,
        extra TEXT,
        UNIQUE (document, added)
     ) STRICT;
     CREATE INDEX document_archive_at ON document_archive (document, at, added);
     CREATE INDEX document_archive_snapshots ON document_archive (document, added) WHERE is_snapshot = 1;
     CREATE TABLE document_versions (
        document INTEGER NOT NULL,
        name TEXT NOT NULL,
        position INTEGER NOT NULL,
        named_at INTEGER NOT NULL,
        named_by TEXT,
        id TEXT NOT NULL,
        PRIMARY KEY (document, name)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE purged_documents (document INTEGER PRIMARY KEY) STRICT;",
];

/// The version of the tables that this crate writes.
pub(crate) const VERSION: u32 = STEPS.len() as u32;

/// Refuses a file of another application or of a newer version by its first 100 bytes, because
/// SQLite would write to it while opening it. Accepts a file that is missing, empty, or has a
/// journal.
pub(crate) fn check_header(path: &Path) -> Result<(), SqliteError> {
    let failed = |source| SqliteError::File { path: path.into(), source };
    let mut header = [0; 100];
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    match file.read_exact(&mut header) {
        Err(error)
            if error.kind() == ErrorKind::UnexpectedEof
                && file.metadata().map_err(failed)?.len() == 0 =>
        {
            return Ok(());
        }
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(failed(error)),
        _ => {}
    }
    // After a crash during the first transaction the content is undefined; SQLite repairs it with
    // the journal.
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    if PathBuf::from(journal).exists() {
        return Ok(());
    }
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(SqliteError::NotADatabase { path: path.into() });
    }
    let number = |at: usize| {
        header[at..].iter().take(4).fold(0, |number, &byte| number << 8 | u32::from(byte))
    };
    check(path, number(68), number(60))
}

fn check(path: &Path, application_id: u32, version: u32) -> Result<(), SqliteError> {
    if application_id != APPLICATION_ID {
        Err(SqliteError::OtherApplication { path: path.into(), application_id })
    } else if version > VERSION {
        Err(SqliteError::NewerSchema { path: path.into(), found: version, supported: VERSION })
    } else {
        Ok(())
    }
}

/// Refuses a database of another application or of a newer version.
pub(crate) fn check_opened(connection: &Connection, path: &Path) -> Result<(), SqliteError> {
    let (application_id, version) = (
        read_pragma(connection, path, "application_id")?,
        read_pragma(connection, path, "user_version")?,
    );
    check(path, application_id, version)
}

fn read_pragma(connection: &Connection, path: &Path, name: &str) -> Result<u32, SqliteError> {
    let value = connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    value.map(i32::cast_unsigned).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => SqliteError::NotADatabase { path: path.into() },
        _ => error.into(),
    })
}

/// Migrates the tables to the current version, in one transaction.
pub(crate) fn upgrade(connection: &mut Connection, path: &Path) -> Result<(), SqliteError> {
    let mut version = read_pragma(connection, path, "user_version")?;
    let tables: bool =
        connection
            .query_one("SELECT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
    let application_id = read_pragma(connection, path, "application_id")?;
    if tables || application_id != 0 {
        check(path, application_id, version)?;
    } else {
        version = 0;
    }
    if version < VERSION {
        let transaction = connection.transaction()?;
        for step in &STEPS[version as usize..] {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    }
    Ok(())
}
