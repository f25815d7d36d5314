//! A second connection to the file, for long reads beside the writes of the first one.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::{SqliteError, source::BUSY_TIMEOUT};

/// A connection that reads what is committed. The write-ahead log lets it read while the shared
/// connection writes and commits. Opened by the first read.
#[derive(Debug, Default)]
pub(crate) struct CommittedReader(Option<Connection>);

impl CommittedReader {
    pub(crate) const fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Opens a file that is open in the shared connection.
    pub(crate) fn open(&mut self, path: &Path) -> Result<(), SqliteError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // As for the shared connection: no temporary files, and the upper pages of the indexes.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "cache_size", -4_000)?;
        self.0 = Some(connection);
        Ok(())
    }

    pub(crate) fn close(&mut self) {
        self.0 = None;
    }

    /// Runs a read in a transaction, so that all of it sees one state. Closes the connection after
    /// a failure, because an error of the disk may have left it in any state.
    pub(crate) fn read<T>(
        &mut self,
        query: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        // It is open: see `Database::read_committed`.
        let closed = SqliteError::Sqlite(rusqlite::Error::InvalidQuery);
        let connection = self.0.take().ok_or(closed)?;
        let transaction = connection.unchecked_transaction()?;
        let result = query(&transaction)?;
        transaction.finish()?;
        self.0 = Some(connection);
        Ok(result)
    }
}
