//! The tables and the migrations between their versions.

use sqlx::PgPool;

use crate::PostgresError;

/// The migration to each version of the tables from the previous one; an empty database runs all of
/// them. Released migrations must not change.
///
/// If a program may not create tables, run these with another migration tool, in order, and set the
/// number of the last one with `INSERT INTO logux_schema (version) VALUES (…)`.
pub const MIGRATIONS: [&str; 5] = [
    // 1: records.
    "CREATE TABLE logux_schema (
        one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
        version INTEGER NOT NULL
     );
     CREATE TABLE logux_records (
        record BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        collection TEXT COLLATE \"C\" NOT NULL,
        id TEXT COLLATE \"C\" NOT NULL,
        touched BYTEA,
        deleted BYTEA,
        deletion_arrived BIGINT,
        UNIQUE (collection, id)
     );
     CREATE INDEX logux_records_deleted ON logux_records (collection, deletion_arrived) WHERE deletion_arrived IS NOT NULL;
     CREATE TABLE logux_fields (
        record BIGINT NOT NULL REFERENCES logux_records ON DELETE CASCADE,
        key TEXT COLLATE \"C\" NOT NULL,
        value TEXT NOT NULL,
        stamp BYTEA NOT NULL,
        hash BIGINT NOT NULL,
        arrived BIGINT NOT NULL,
        PRIMARY KEY (record, key)
     );
     CREATE INDEX logux_fields_hash ON logux_fields (hash);
     CREATE INDEX logux_fields_arrived ON logux_fields (arrived);",
    // 2: the inbox.
    "CREATE TABLE logux_inbox (
        id BYTEA PRIMARY KEY,
        arrived TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
     );
     CREATE INDEX logux_inbox_arrived ON logux_inbox (arrived, id);",
    // 3: sizes of records.
    "ALTER TABLE logux_records
        ADD COLUMN field_count BIGINT NOT NULL DEFAULT 0,
        ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;
     UPDATE logux_records r SET field_count = s.fields, bytes = s.bytes FROM (
        SELECT record, count(*) AS fields, sum(octet_length(key) + octet_length(value)) AS bytes
        FROM logux_fields GROUP BY record
     ) s WHERE s.record = r.record;",
    // 4: lists by a field are read in pages, in the order of the records.
    "DROP INDEX logux_fields_hash;
     CREATE INDEX logux_fields_hash ON logux_fields (hash, record);",
    // 5: documents. The archive of a purged one is removed later, so it has no foreign key.
    "CREATE TABLE logux_documents (
        document BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kind TEXT COLLATE \"C\" NOT NULL,
        id TEXT COLLATE \"C\" NOT NULL,
        created BYTEA NOT NULL,
        revived BYTEA,
        creator TEXT COLLATE \"C\",
        created_at BIGINT NOT NULL,
        changed_at BIGINT NOT NULL,
        bytes BIGINT NOT NULL,
        actions BIGINT NOT NULL,
        deletion BYTEA,
        deleted_by TEXT COLLATE \"C\",
        deleted_at BIGINT,
        is_deleted BOOLEAN NOT NULL,
        UNIQUE (kind, id)
     );
     CREATE INDEX logux_documents_changed ON logux_documents (kind, is_deleted, changed_at, id);
     CREATE INDEX logux_documents_creator ON logux_documents (creator, kind, is_deleted, changed_at, id) INCLUDE (bytes) WHERE creator IS NOT NULL;
     CREATE INDEX logux_documents_deleted ON logux_documents (kind, deleted_at, id) WHERE is_deleted;
     CREATE TABLE logux_document_archive (
        document BIGINT NOT NULL,
        added BIGINT NOT NULL,
        at BIGINT NOT NULL,
        is_snapshot BOOLEAN NOT NULL,
        created BYTEA NOT NULL,
        action TEXT NOT NULL,
        reasons TEXT,
        indexes TEXT,
        subprotocol TEXT,
        keep_last TEXT,
        extra TEXT,
        PRIMARY KEY (document, added)
     );
     CREATE INDEX logux_document_archive_at ON logux_document_archive (document, at, added);
     CREATE INDEX logux_document_archive_snapshots ON logux_document_archive (document, added) WHERE is_snapshot;
     CREATE TABLE logux_document_versions (
        document BIGINT NOT NULL REFERENCES logux_documents ON DELETE CASCADE,
        name TEXT COLLATE \"C\" NOT NULL,
        position BIGINT NOT NULL,
        named_at BIGINT NOT NULL,
        named_by TEXT,
        id BYTEA NOT NULL,
        PRIMARY KEY (document, name)
     );
     CREATE TABLE logux_purged_documents (document BIGINT PRIMARY KEY);",
];

/// The version of the tables that this crate writes.
const VERSION: i32 = MIGRATIONS.len() as i32;

/// `LOGX` twice: the number of the advisory lock for migrations.
const LOCK: i64 = 0x4C4F_4758_4C4F_4758;

/// Creates the tables in the current schema of the connections (`search_path`), or migrates tables
/// of an older version, in one transaction. No effect if they are up to date. Concurrent calls are
/// safe.
///
/// # Errors
/// [`PostgresError::NewerSchema`], or an error of the database.
pub async fn migrate(pool: &PgPool) -> Result<(), PostgresError> {
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    let has_tables: bool = sqlx::query_scalar(
        "SELECT to_regclass(quote_ident(current_schema()) || '.logux_schema') IS NOT NULL",
    )
    .fetch_one(&mut *transaction)
    .await?;
    let found = if has_tables {
        sqlx::query_scalar("SELECT max(version) FROM logux_schema")
            .fetch_one(&mut *transaction)
            .await?
    } else {
        None
    };
    let found: i32 = found.unwrap_or(0);
    if found > VERSION {
        return Err(PostgresError::NewerSchema { found, supported: VERSION });
    }
    let done = usize::try_from(found)
        .map_err(|_| PostgresError::Corrupt(format!("invalid version {found} of the tables")))?;
    if found < VERSION {
        for step in &MIGRATIONS[done..] {
            sqlx::raw_sql(*step).execute(&mut *transaction).await?;
        }
        let set = "INSERT INTO logux_schema (version) VALUES ($1) ON CONFLICT (one) DO UPDATE SET version = excluded.version";
        sqlx::query(set).bind(VERSION).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}
