//! The archive of documents, their named versions, and how they are purged.

use logux::{
    WallTime,
    action::DocumentKey,
    server::{
        ARCHIVE_PAGE_BYTES, AddVersionOutcome, ArchivePage, ArchiveQuery, ArchivedEntry,
        DocumentVersion,
    },
    store::{Direction, key},
};
use sqlx::{PgConnection, Row as _};

use crate::{
    PostgresDocuments, PostgresError,
    document_rows::{MetaColumns, VersionColumns, archive_columns, archived, version},
    documents::{number, size},
    records::check_no_nul,
};

/// The number of entries that are archived or removed by a statement.
const STEP: usize = 1_000;

impl PostgresDocuments {
    /// Adds entries to the archive of a document; a number that the archive has is left out.
    /// Returns `false` if the document has no catalog entry. O(entries · log archive).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn archive(
        &self,
        key: &DocumentKey,
        entries: &[ArchivedEntry],
    ) -> Result<bool, PostgresError> {
        let mut transaction = self.begin().await?;
        // The document is not purged in the meantime.
        let Some(document) = lock(&mut transaction, key, Lock::Share).await? else {
            return Ok(false);
        };
        for step in entries.chunks(STEP) {
            insert(&mut transaction, document, key, step).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Returns archived entries of a document in pages. O(log archive + page).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn archived(
        &self,
        key: &DocumentKey,
        query: ArchiveQuery,
    ) -> Result<ArchivePage, PostgresError> {
        check_no_nul([&**key.kind(), key.id()])?;
        // The inner query reads one entry more than the limit; the outer one ends the page by size.
        macro_rules! select {
            ($order:literal) => {
                concat!(
                    "SELECT ",
                    archive_columns!(),
                    ", following FROM (
                        SELECT *, lead(added) OVER page AS following,
                            sum(octet_length(action)) OVER page - octet_length(action) AS bytes_before
                        FROM (
                            SELECT ",
                    archive_columns!(),
                    " FROM logux_document_archive
                            WHERE document = (SELECT document FROM logux_documents WHERE kind = $1 AND id = $2)
                            AND added > $3 AND added < $4 ORDER BY added ",
                    $order,
                    " LIMIT $5
                        ) AS entries WINDOW page AS (ORDER BY added ",
                    $order,
                    ")
                    ) AS sized WHERE bytes_before < $6 ORDER BY added ",
                    $order
                )
            };
        }
        let select = match query.direction {
            Direction::OldestFirst => select!("ASC"),
            Direction::NewestFirst => select!("DESC"),
        };
        let limit = query.limit.max(1);
        let rows = sqlx::query(select)
            .bind(&**key.kind())
            .bind(&**key.id())
            .bind(query.after.map_or(-1, number))
            .bind(query.before.map_or(i64::MAX, number))
            .bind(size(limit.saturating_add(1)))
            .bind(size(ARCHIVE_PAGE_BYTES))
            .fetch_all(self.pool())
            .await?;
        let mut page = ArchivePage::default();
        for row in rows.iter().take(limit) {
            let entry = archived(row)?;
            let following: Option<i64> = row.try_get("following")?;
            page.next = following.map(|_| query.continued(entry.added));
            page.entries.push(entry);
        }
        Ok(page)
    }

    /// Returns the latest archived snapshot with this number or a lower one. O(log archive).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn snapshot_at(
        &self,
        key: &DocumentKey,
        added: u64,
    ) -> Result<Option<ArchivedEntry>, PostgresError> {
        check_no_nul([&**key.kind(), key.id()])?;
        let select = concat!(
            "SELECT ",
            archive_columns!(),
            " FROM logux_document_archive
            WHERE document = (SELECT document FROM logux_documents WHERE kind = $1 AND id = $2)
            AND is_snapshot AND added <= $3 ORDER BY added DESC LIMIT 1"
        );
        let row = sqlx::query(select)
            .bind(&**key.kind())
            .bind(&**key.id())
            .bind(number(added))
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(archived).transpose()
    }

    /// Returns the highest number of the archived entries that were processed at this time or
    /// earlier. O(log archive).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn position_at(
        &self,
        key: &DocumentKey,
        at: WallTime,
    ) -> Result<Option<u64>, PostgresError> {
        check_no_nul([&**key.kind(), key.id()])?;
        let select = "SELECT added FROM logux_document_archive
            WHERE document = (SELECT document FROM logux_documents WHERE kind = $1 AND id = $2)
            AND at <= $3 ORDER BY at DESC, added DESC LIMIT 1";
        let added: Option<i64> = sqlx::query_scalar(select)
            .bind(&**key.kind())
            .bind(&**key.id())
            .bind(at.as_millis())
            .fetch_optional(self.pool())
            .await?;
        Ok(added.map(i64::cast_unsigned))
    }

    /// Removes archived entries with lower numbers, at most a thousand. Returns `true` if there may
    /// be more. O(removed · log archive).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_archived(
        &self,
        key: &DocumentKey,
        before: u64,
    ) -> Result<bool, PostgresError> {
        check_no_nul([&**key.kind(), key.id()])?;
        let remove =
            "WITH own AS (SELECT document FROM logux_documents WHERE kind = $1 AND id = $2)
            DELETE FROM logux_document_archive
            WHERE document = (SELECT document FROM own) AND added IN (
                SELECT added FROM logux_document_archive
                WHERE document = (SELECT document FROM own) AND added < $3 ORDER BY added LIMIT $4
            )";
        let removed = sqlx::query(remove)
            .bind(&**key.kind())
            .bind(&**key.id())
            .bind(number(before))
            .bind(size(STEP))
            .execute(self.pool())
            .await?;
        Ok(removed.rows_affected() == STEP as u64)
    }

    /// Gives a position in the history a name. O(log n + versions).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn add_version(
        &self,
        key: &DocumentKey,
        version: &DocumentVersion,
    ) -> Result<AddVersionOutcome, PostgresError> {
        check_no_nul([&*version.name].into_iter().chain(version.by.as_deref()))?;
        let mut transaction = self.begin().await?;
        // One version after the other, so that they are counted.
        let Some(document) = lock(&mut transaction, key, Lock::Update).await? else {
            return Ok(AddVersionOutcome::Missing);
        };
        let versions = versions(&mut transaction, document).await?;
        let same_name = versions.iter().find(|known| known.name == version.name);
        let outcome = AddVersionOutcome::decide(version, same_name, versions.len());
        if outcome == AddVersionOutcome::Added && same_name.is_none() {
            let insert = "INSERT INTO logux_document_versions (document, name, position, named_at, named_by, id)
                VALUES ($1, $2, $3, $4, $5, $6)";
            sqlx::query(insert)
                .bind(document)
                .bind(&*version.name)
                .bind(number(version.position))
                .bind(version.at.as_millis())
                .bind(version.by.as_deref())
                .bind(version.id.to_string().into_bytes())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(outcome)
    }

    /// Returns the versions of a document, ordered by position and name. O(log n + versions).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn versions(&self, key: &DocumentKey) -> Result<Vec<DocumentVersion>, PostgresError> {
        check_no_nul([&**key.kind(), key.id()])?;
        let select = "SELECT name, position, named_at, named_by, v.id
            FROM logux_document_versions v JOIN logux_documents d USING (document)
            WHERE d.kind = $1 AND d.id = $2 ORDER BY position, name";
        let rows: Vec<VersionColumns> = sqlx::query_as(select)
            .bind(&**key.kind())
            .bind(&**key.id())
            .fetch_all(self.pool())
            .await?;
        rows.into_iter().map(version).collect()
    }

    /// Removes a version. Returns `false` if no version has this name. O(log n).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove_version(
        &self,
        key: &DocumentKey,
        name: &str,
    ) -> Result<bool, PostgresError> {
        check_no_nul([&**key.kind(), key.id(), name])?;
        let remove = "DELETE FROM logux_document_versions WHERE name = $3
            AND document = (SELECT document FROM logux_documents WHERE kind = $1 AND id = $2)";
        let removed = sqlx::query(remove)
            .bind(&**key.kind())
            .bind(&**key.id())
            .bind(name)
            .execute(self.pool())
            .await?;
        Ok(removed.rows_affected() > 0)
    }

    /// Removes a document with its versions, and a first part of its archive. Returns `true` if
    /// purged documents have left something; then call [`remove_purged`](Self::remove_purged).
    ///
    /// PostgreSQL keeps removed rows in its files until they are vacuumed. O(log n + a step).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn purge(&self, key: &DocumentKey) -> Result<bool, PostgresError> {
        let mut transaction = self.begin().await?;
        if let Some(document) = lock(&mut transaction, key, Lock::Update).await? {
            for statement in [
                "DELETE FROM logux_documents WHERE document = $1",
                "INSERT INTO logux_purged_documents (document) VALUES ($1)",
            ] {
                sqlx::query(statement).bind(document).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        }
        self.remove_purged().await
    }

    /// Removes a part of what purged documents have left. Returns `true` if there is more. O(a
    /// step).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove_purged(&self) -> Result<bool, PostgresError> {
        let mut transaction = self.begin().await?;
        let select =
            "SELECT document FROM logux_purged_documents ORDER BY document LIMIT 1 FOR UPDATE";
        let first: Option<i64> =
            sqlx::query_scalar(select).fetch_optional(&mut *transaction).await?;
        if let Some(document) = first {
            let remove = "DELETE FROM logux_document_archive WHERE document = $1 AND added IN (
                SELECT added FROM logux_document_archive WHERE document = $1 LIMIT $2
            )";
            let removed = sqlx::query(remove)
                .bind(document)
                .bind(size(STEP))
                .execute(&mut *transaction)
                .await?;
            if removed.rows_affected() < STEP as u64 {
                sqlx::query("DELETE FROM logux_purged_documents WHERE document = $1")
                    .bind(document)
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        let has_more: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM logux_purged_documents)")
                .fetch_one(&mut *transaction)
                .await?;
        transaction.commit().await?;
        Ok(has_more)
    }
}

/// How the row of a document is locked until the end of a transaction.
#[derive(Clone, Copy, Debug)]
enum Lock {
    /// Against other writes.
    Update,
    /// Against a purge.
    Share,
}

/// Locks the row of a document. Returns its number.
async fn lock(
    db: &mut PgConnection,
    key: &DocumentKey,
    lock: Lock,
) -> Result<Option<i64>, PostgresError> {
    check_no_nul([&**key.kind(), key.id()])?;
    let select = match lock {
        Lock::Update => {
            "SELECT document FROM logux_documents WHERE kind = $1 AND id = $2 FOR UPDATE"
        }
        Lock::Share => {
            "SELECT document FROM logux_documents WHERE kind = $1 AND id = $2 FOR KEY SHARE"
        }
    };
    let row = sqlx::query_scalar(select).bind(&**key.kind()).bind(&**key.id());
    Ok(row.fetch_optional(db).await?)
}

async fn insert(
    db: &mut PgConnection,
    document: i64,
    key: &DocumentKey,
    entries: &[ArchivedEntry],
) -> Result<(), PostgresError> {
    fn column<'a, T>(
        entries: &'a [ArchivedEntry],
        read: impl Fn(&'a ArchivedEntry) -> T,
    ) -> Vec<T> {
        entries.iter().map(read).collect()
    }
    let (mut reasons, mut indexes) = (Vec::new(), Vec::new());
    let (mut subprotocols, mut keep_last, mut extra) = (Vec::new(), Vec::new(), Vec::new());
    for archived in entries {
        let meta = MetaColumns::from(&archived.entry.meta);
        reasons.push(meta.reasons);
        indexes.push(meta.indexes);
        subprotocols.push(meta.subprotocol);
        keep_last.push(meta.keep_last);
        extra.push(meta.extra);
    }
    let insert = concat!(
        "INSERT INTO logux_document_archive (document, is_snapshot, ",
        archive_columns!(),
        ") SELECT $1, * FROM unnest(
            $2::boolean[], $3::bigint[], $4::bigint[], $5::bytea[], $6::text[],
            $7::text[], $8::text[], $9::text[], $10::text[], $11::text[]
        ) ON CONFLICT DO NOTHING"
    );
    sqlx::query(insert)
        .bind(document)
        .bind(column(entries, |archived| archived.is_snapshot(key)))
        .bind(column(entries, |archived| number(archived.added)))
        .bind(column(entries, |archived| archived.at.as_millis()))
        .bind(column(entries, |archived| key::of_stamp(&archived.entry.meta.stamp())))
        .bind(column(entries, |archived| archived.entry.action.as_json()))
        .bind(reasons)
        .bind(indexes)
        .bind(subprotocols)
        .bind(keep_last)
        .bind(extra)
        .execute(db)
        .await?;
    Ok(())
}

async fn versions(
    db: &mut PgConnection,
    document: i64,
) -> Result<Vec<DocumentVersion>, PostgresError> {
    let select = "SELECT name, position, named_at, named_by, id FROM logux_document_versions
        WHERE document = $1 ORDER BY position, name";
    let rows: Vec<VersionColumns> = sqlx::query_as(select).bind(document).fetch_all(db).await?;
    rows.into_iter().map(version).collect()
}
