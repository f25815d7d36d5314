//! Copies of a database that another process may be using.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};

use crate::{SqliteError, lock::create_private, schema};

/// The content of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// The size of the file, in bytes.
    pub bytes: u64,
    /// The number of actions and answers in the log.
    pub entries: u64,
    /// The number of records that are not deleted.
    pub records: u64,
}

/// Writes a complete copy of a database file to a new file: everything that was committed when the
/// copy began, also what is still in the write-ahead log beside the file. The database may be in
/// use by a running server, which continues to write. O(n).
///
/// The copy is an ordinary database file, which [`Database::open`](crate::Database::open) opens.
/// It is complete and on the disk when this returns; until then it has the name `TARGET-partial`.
/// On Unix, only its owner can read it.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("logux-backup-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let (file, copy) = (folder.join("logux.db"), folder.join("copy.db"));
/// # let _ = std::fs::remove_file(&copy);
/// let database = logux_sqlite::Database::open(&file)?;
/// let backup = logux_sqlite::back_up(&file, &copy)?;
/// assert_eq!((backup.entries, backup.records), (0, 0));
/// # drop(database);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`SqliteError::File`] if the source is missing or the target exists already; the errors of
/// [`Database::open`](crate::Database::open) for a source that is not such a database, which is not
/// changed; an error of SQLite, for example if the disk of the target is full.
pub fn back_up(source: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<Backup, SqliteError> {
    let (source, target) = (source.as_ref(), target.as_ref());
    let failed = |path: &Path| {
        let path = PathBuf::from(path);
        move |source: io::Error| SqliteError::File { path, source }
    };
    let length = fs::metadata(source).map_err(failed(source))?.len();
    if length == 0 {
        return Err(SqliteError::NotADatabase { path: source.into() });
    }
    let exists = || failed(target)(io::Error::from(ErrorKind::AlreadyExists));
    if fs::symlink_metadata(target).is_ok() {
        return Err(exists());
    }
    let mut partial = target.as_os_str().to_owned();
    partial.push("-partial");
    let partial = PathBuf::from(partial);
    // From an earlier backup that was interrupted.
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(&partial)(error)),
        _ => {}
    }
    create_private(&partial).map_err(failed(&partial))?;
    let copied = copy(source, &partial).and_then(|counts| {
        let file = File::options().write(true).open(&partial).map_err(failed(&partial))?;
        file.sync_all().map_err(failed(&partial))?;
        let bytes = file.metadata().map_err(failed(&partial))?.len();
        // Unlike a rename, a link does not replace a file that was created in the meantime.
        fs::hard_link(&partial, target).map_err(failed(target))?;
        Ok((counts, bytes))
    });
    let _ = fs::remove_file(&partial);
    let ((entries, records), bytes) = copied?;
    Ok(Backup { bytes, entries, records })
}

/// Copies the database, and returns the numbers of entries and records in the copy.
fn copy(source: &Path, target: &Path) -> Result<(u64, u64), SqliteError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(source, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    // Not by opening the file: closing it again would release the locks that another connection of
    // this process has on it.
    schema::check_opened(&connection, source)?;
    // In one read transaction, so the copy is consistent however long it takes.
    connection.execute("VACUUM INTO ?1", [target.to_string_lossy()])?;
    let copy = Connection::open_with_flags(target, flags)?;
    let count = |sql: &str| copy.query_one(sql, [], |row| row.get::<_, i64>(0));
    let check: String = copy.query_one("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(SqliteError::Corrupt(check));
    }
    let entries = count("SELECT count(*) FROM entries")?.cast_unsigned();
    let has_records = count("SELECT count(*) FROM sqlite_schema WHERE name = 'records'")? > 0;
    let records = if has_records {
        let existing = "touched IS NOT NULL AND (deleted IS NULL OR touched > deleted)";
        count(&format!("SELECT count(*) FROM records WHERE {existing}"))?.cast_unsigned()
    } else {
        0
    };
    Ok((entries, records))
}
