//! Errors, sorted by who can resolve them: the operator with another file, the caller with another
//! value, or the disk.

use std::{
    io::{self, ErrorKind},
    path::PathBuf,
};

use rusqlite::ErrorCode;

use logux::record::RefusedWrite;

/// An error of a database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// The file cannot be opened or created.
    #[error("cannot open {}: {source}", .path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is open in another process, or in another [`Database`](crate::Database) of this
    /// one.
    #[error(
        "{} is in use by {}; stop it or choose another file",
        .path.display(),
        .pid.map_or_else(|| "another process".to_owned(), |pid| format!("the process {pid}"))
    )]
    InUse {
        /// The path of the file.
        path: PathBuf,
        /// The id of the process that uses it. `None` if it is not known.
        pid: Option<u32>,
    },
    /// The file is not a SQLite database. It was not changed.
    #[error("{} is not a SQLite database; it was not changed, choose another file", .path.display())]
    NotADatabase {
        /// The path of the file.
        path: PathBuf,
    },
    /// The file is a SQLite database of another application. It was not changed.
    #[error(
        "{} is a database of another application (id {application_id:#010x}); it was not changed, \
         choose another file",
        .path.display()
    )]
    OtherApplication {
        /// The path of the file.
        path: PathBuf,
        /// The `application_id` of the file; 0 if it has none.
        application_id: u32,
    },
    /// The file was written by a later version of this crate. It was not changed.
    #[error(
        "{} has schema version {found}, this program supports versions up to {supported}; use a \
         newer program",
        .path.display()
    )]
    NewerSchema {
        /// The path of the file.
        path: PathBuf,
        /// The schema version of the file.
        found: u32,
        /// The latest schema version that this crate supports.
        supported: u32,
    },
    /// The file has content that this crate does not write, with a description of it.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// All writes since the last commit were rolled back, because a write failed or a thread
    /// panicked, with the cause.
    ///
    /// Writes fail with this error until a commit has failed with it too, so that no caller takes
    /// lost writes for durable ones.
    #[error("all writes since the last commit were rolled back: {0}")]
    RolledBack(String),
    /// The fields of a record have the key `id`, an error of the caller.
    #[error("expected fields without the key \"id\": the id is a separate argument")]
    IdAmongFields,
    /// The write of a record is refused, an error of the author of the action.
    #[error("the write is refused: {0}")]
    Refused(#[from] RefusedWrite),
    /// SQLite failed: no space, no access, a value that is too large.
    #[error("SQLite failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

impl SqliteError {
    /// Returns `true` if the error may pass without a change of the program or the data: the file
    /// is locked by another process, the disk is full or fails, or there are no file descriptors or
    /// memory left. Writes since the last commit may be rolled back then.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(
                    ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::DiskFull
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::CannotOpen
                        | ErrorCode::FileLockingProtocolFailed
                        | ErrorCode::OutOfMemory
                )
            ),
            Self::File { source, .. } => {
                // `EMFILE` and `ENFILE` have no kind of their own.
                matches!(source.raw_os_error(), Some(23 | 24))
                    || matches!(
                        source.kind(),
                        ErrorKind::StorageFull
                            | ErrorKind::QuotaExceeded
                            | ErrorKind::ResourceBusy
                            | ErrorKind::Interrupted
                            | ErrorKind::OutOfMemory
                    )
            }
            // What was rolled back can be written again.
            Self::RolledBack(_) => true,
            Self::InUse { .. }
            | Self::NotADatabase { .. }
            | Self::OtherApplication { .. }
            | Self::NewerSchema { .. }
            | Self::Corrupt(_)
            | Self::IdAmongFields
            | Self::Refused(_) => false,
        }
    }
}
