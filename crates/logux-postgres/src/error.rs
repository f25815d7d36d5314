//! What can go wrong, sorted by who can help.

/// What went wrong with a database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// A later version of this crate has made the tables. They were not touched.
    #[error(
        "the tables have version {found}, this program knows versions up to {supported}; use a newer program"
    )]
    NewerSchema {
        /// The version of the tables.
        found: i32,
        /// The latest version that this crate knows.
        supported: i32,
    },
    /// Something in the tables is not what this crate writes. Says what.
    #[error("the tables are damaged: {0}")]
    Corrupt(String),
    /// The caller's mistake: a record's fields may not have the key `id`.
    #[error("expected fields without the key \"id\": the id stands beside them")]
    IdAmongFields,
    /// The caller's mistake: PostgreSQL keeps no text with the character U+0000, so an id, a key or the name of a collection may not
    /// have it. Values may, since JSON escapes it.
    #[error("expected no character U+0000 in {0:?}: PostgreSQL cannot keep it")]
    NulCharacter(String),
    /// The database reported a failure, or cannot be reached. A transaction in the middle was undone.
    #[error("PostgreSQL failed: {0}")]
    Postgres(#[from] Failure),
}

/// What the driver reported.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Failure(#[from] sqlx::Error);

impl Failure {
    /// The driver's own error.
    pub const fn as_sqlx(&self) -> &sqlx::Error {
        &self.0
    }
}

impl From<sqlx::Error> for PostgresError {
    fn from(error: sqlx::Error) -> Self {
        Self::Postgres(Failure(error))
    }
}
