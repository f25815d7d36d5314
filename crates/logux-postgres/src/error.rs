//! Errors, sorted by who can resolve them.

use logux::record::RefusedWrite;

/// An error of a database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The tables were made by a later version of this crate. They were not changed.
    #[error(
        "the tables have version {found}, this program supports versions up to {supported}; use a \
         newer program"
    )]
    NewerSchema {
        /// The version of the tables.
        found: i32,
        /// The latest version that this crate supports.
        supported: i32,
    },
    /// The tables have content that this crate does not write, with a description of it.
    #[error("the tables are damaged: {0}")]
    Corrupt(String),
    /// The fields of a record have the key `id`, an error of the caller.
    #[error("expected fields without the key \"id\": the id is a separate argument")]
    IdAmongFields,
    /// An id, a key or a name has the character U+0000, which PostgreSQL cannot store in text, an
    /// error of the caller. Values may have it, because JSON escapes it.
    #[error("expected no character U+0000 in {0:?}: PostgreSQL cannot store it")]
    NulCharacter(String),
    /// The write of a record is refused, an error of the author of the action.
    #[error("the write is refused: {0}")]
    Refused(#[from] RefusedWrite),
    /// The database failed or is unreachable. The transaction, if one was open, was rolled back.
    #[error("PostgreSQL failed: {0}")]
    Postgres(#[from] sqlx::Error),
}

impl PostgresError {
    /// Returns `true` if the error may pass without a change of the program or the data: the
    /// connection was lost or not available in time, the database stops or starts, has no space or
    /// connections left, or the transaction conflicted with another one. The transaction was rolled
    /// back, or it is not known whether it was committed.
    pub fn is_transient(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            // The classes of SQLSTATE: connection exception, transaction rollback, insufficient
            // resources, operator intervention, system error.
            sqlx::Error::Database(error) => error.code().is_some_and(|code| {
                ["08", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class))
            }),
            _ => false,
        }
    }
}
