//! One owner per file.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use crate::SqliteError;

/// Holds the file `PATH-lock` locked while it lives. The system lets go of it when the process ends, however it ends.
///
/// A file of its own, since SQLite has locks of its own on the database, and on some systems they would be in each other's way.
/// It stays when it is let go of: a process could otherwise lock a file that another has just removed.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    pub(crate) fn take(database: &Path) -> Result<Self, SqliteError> {
        // A file that is reached through a link has the lock beside itself, not beside the link.
        let mut path =
            fs::canonicalize(database).unwrap_or_else(|_| database.into()).into_os_string();
        path.push("-lock");
        let path = PathBuf::from(path);
        let failed = |source| SqliteError::File { path: path.clone(), source };
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(SqliteError::InUse { path: database.into() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}
