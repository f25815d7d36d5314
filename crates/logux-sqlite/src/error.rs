//! What can go wrong, sorted by who can help: the operator with another file, the caller with another value, or the disk.

use core::fmt;
use std::{io, path::PathBuf};

/// What went wrong with a database.
#[derive(Debug)]
#[non_exhaustive]
pub enum SqliteError {
    /// The file cannot be opened or created.
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process, or another [`Database`](crate::Database) of this one, has the file open.
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else than a SQLite database. It was not touched.
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is the SQLite database of another application. It was not touched.
    OtherApplication {
        /// The file.
        path: PathBuf,
        /// The `application_id` in it; 0 where none was set.
        application_id: u32,
    },
    /// A later version of this crate has written the file. It was not touched.
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The schema version of the file.
        found: u32,
        /// The latest schema version that this crate knows.
        supported: u32,
    },
    /// Something in the file is not what this crate writes. Says what.
    Corrupt(String),
    /// Everything since the last commit is undone, because a write or a thread failed in the middle. Says why.
    ///
    /// Writes are refused with it until a commit has reported it too, so that nobody takes what is lost for durable.
    RolledBack(String),
    /// The caller's mistake: a record's fields may not have the key `id`.
    IdAmongFields,
    /// SQLite reported a failure: no space, no access, too large a value.
    Sqlite(Failure),
}

/// What SQLite reported.
#[derive(Debug)]
pub struct Failure(pub(crate) rusqlite::Error);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl core::error::Error for Failure {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.0.source()
    }
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Failure(error))
    }
}

impl fmt::Display for SqliteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, source } => write!(f, "cannot open {}: {source}", path.display()),
            Self::InUse { path } => {
                write!(
                    f,
                    "{} is in use by another process; stop it or choose another file",
                    path.display()
                )
            }
            Self::NotADatabase { path } => {
                write!(
                    f,
                    "{} is no SQLite database; it was left as it is, choose another file",
                    path.display()
                )
            }
            Self::OtherApplication { path, application_id } => write!(
                f,
                "{} is the database of another application (id {application_id:#010x}); it was left as it is, choose another file",
                path.display()
            ),
            Self::NewerSchema { path, found, supported } => write!(
                f,
                "{} has schema version {found}, this program knows versions up to {supported}; use a newer program",
                path.display()
            ),
            Self::Corrupt(what) => write!(f, "the database is damaged: {what}"),
            Self::RolledBack(why) => {
                write!(f, "everything since the last commit was undone: {why}")
            }
            Self::IdAmongFields => {
                f.write_str("expected fields without the key \"id\": the id stands beside them")
            }
            Self::Sqlite(failure) => write!(f, "SQLite failed: {failure}"),
        }
    }
}

impl core::error::Error for SqliteError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Sqlite(failure) => Some(failure),
            _ => None,
        }
    }
}
