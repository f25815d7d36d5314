//! The file of a database, and how its connection is opened.

use std::{path::PathBuf, time::Duration};

use rusqlite::Connection;

use crate::{
    SqliteError,
    lock::{FileLock, create_private, make_private},
    schema,
};

/// The time that a call waits for another process that writes to the file.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The guarantee of a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Committed data is on the disk and survives a loss of power. `PRAGMA synchronous = FULL`.
    #[default]
    Full,
    /// Committed data is in the operating system and survives the end of the process. A loss of
    /// power may undo the last commits, each as a whole and the latest first.
    /// `PRAGMA synchronous = NORMAL`.
    Normal,
}

/// The file, and how to open it.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) durability: Durability,
}

impl Source {
    /// Opens the file, and locks it unless it is locked already.
    pub(crate) fn open(
        &self,
        lock: &mut Option<FileLock>,
        restricted_files: &mut Vec<PathBuf>,
    ) -> Result<Connection, SqliteError> {
        schema::check_header(&self.path)?;
        if lock.is_none() {
            *lock = Some(FileLock::take(&self.path)?);
        }
        let failed = |source| SqliteError::File { path: self.path.clone(), source };
        create_private(&self.path).map_err(failed)?;
        // The files that an earlier program has left, too.
        for suffix in ["", "-wal", "-shm", "-lock"] {
            let mut file = self.path.clone().into_os_string();
            file.push(suffix);
            let file = PathBuf::from(file);
            if make_private(&file) {
                restricted_files.push(file);
            }
        }
        let mut connection = Connection::open(&self.path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // Before the write-ahead log is enabled, so that the header of the file has the application
        // id from the beginning.
        schema::upgrade(&mut connection, &self.path)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        configure(&connection, self.durability)?;
        Ok(connection)
    }
}

pub(crate) fn configure(
    connection: &Connection,
    durability: Durability,
) -> Result<(), SqliteError> {
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // Fewer checkpoints than the default of one per 4 MB, and the upper pages of the indexes in
    // memory: with random creation times this adds a third more entries per second, for 16 MB of
    // disk and of memory.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 4_000, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    // Pages that are written have no remains of removed rows, which costs no writes. A purge also
    // overwrites the pages that become free.
    connection.pragma_update_and_check(None, "secure_delete", "FAST", |_| Ok(()))?;
    // A temporary file would need a file descriptor when there may be none left.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}
