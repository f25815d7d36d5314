//! A lock that allows one owner per file.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
};

use crate::SqliteError;

/// Holds a lock on the file `PATH-lock`, which has the id of the process. The operating system
/// releases it when the process ends, for any reason.
///
/// The lock uses a separate file because SQLite locks the database file itself, and on some systems
/// the locks would conflict. The file is not removed when the lock is released: otherwise a process
/// could lock a file that another one has just removed.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    pub(crate) fn take(database: &Path) -> Result<Self, SqliteError> {
        // The lock of a linked file is beside the file, not beside the link.
        let mut path =
            fs::canonicalize(database).unwrap_or_else(|_| database.into()).into_os_string();
        path.push("-lock");
        let path = PathBuf::from(path);
        let failed = |source| SqliteError::File { path: path.clone(), source };
        let file = create_private(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                // For the message of a process that finds the lock. Without it, the lock works too.
                let _ = file.set_len(0).and_then(|()| write!(&file, "{}", process::id()));
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let owner = fs::read_to_string(&path).ok();
                let pid = owner.and_then(|pid| pid.trim().parse().ok());
                Err(SqliteError::InUse { path: database.into(), pid })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// Opens a file, and creates it for its owner alone if it does not exist. SQLite gives the files
/// beside a database, such as the write-ahead log, the permissions of the database.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Removes the permissions of other users from an existing file, if it has some and this process
/// may change them. Returns whether it has removed any.
#[cfg(unix)]
pub(crate) fn make_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = fs::metadata(path) else { return false };
    let mode = metadata.permissions().mode();
    mode & 0o077 != 0 && fs::set_permissions(path, fs::Permissions::from_mode(0o600)).is_ok()
}

/// Files have no such permissions here.
#[cfg(not(unix))]
pub(crate) fn make_private(_: &Path) -> bool {
    false
}
