//! Errors, sorted by who can resolve them.

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
    /// An id, a key or the name of a collection has the character U+0000, which PostgreSQL cannot
    /// store in text, an error of the caller. Values may have it, because JSON escapes it.
    #[error("expected no character U+0000 in {0:?}: PostgreSQL cannot store it")]
    NulCharacter(String),
    /// The database failed or is unreachable. The transaction, if one was open, was rolled back.
    #[error("PostgreSQL failed: {0}")]
    Postgres(#[from] sqlx::Error),
}
