//! The catalog of documents.

use logux::{
    WallTime,
    action::DocumentKey,
    server::{
        CatalogEntry, CatalogPage, CatalogQuery, CreateOutcome, DeleteOutcome, DocumentCreation,
        DocumentDeletion, DocumentStats, DocumentUsage,
    },
    store::key,
};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::{
    PostgresError,
    document_rows::{CatalogColumns, DocumentRow, catalog_columns},
    records::check_no_nul,
};

/// What a server keeps of documents beside its log, in a database: the catalog, the archive of
/// settled actions and snapshots, and named versions. Cheap to clone.
///
/// It is the storage for `Builder::documents` of `logux-server`, whose `DocumentStorage` has the
/// promises of all methods. Each call is a transaction, or several if its description says so. When
/// it returns, it is as durable as the database is. A write locks the row of its document.
///
/// Kinds, ids, names and users with the character U+0000 are refused with
/// [`PostgresError::NulCharacter`].
///
/// ```no_run
/// use logux::{Stamp, WallTime, action::DocumentKey, server::DocumentCreation};
/// use logux_postgres::{PostgresDocuments, migrate, sqlx::PgPool};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = PgPool::connect("postgres://app@localhost/app").await?;
/// migrate(&pool).await?;
/// let documents = PostgresDocuments::new(pool);
/// let (key, at) = (DocumentKey::new("notes", "7"), WallTime::from_millis(1));
/// let stamp = Stamp::new(at, "1 ada:phone:tab 0".parse()?);
/// documents.create(&key, &DocumentCreation { stamp, creator: Some("ada".into()), at }).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct PostgresDocuments {
    pool: PgPool,
}

impl PostgresDocuments {
    /// Creates a handle of the documents in a database with the tables of
    /// [`migrate`](crate::migrate).
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    pub(crate) const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Returns the catalog entry of a document, also of a deleted one. O(log n).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find(&self, key: &DocumentKey) -> Result<Option<CatalogEntry>, PostgresError> {
        check_no_nul([&**key.kind(), key.id()])?;
        let select = concat!(
            "SELECT ",
            catalog_columns!(),
            " FROM logux_documents WHERE kind = $1 AND id = $2"
        );
        let row: Option<CatalogColumns> = sqlx::query_as(select)
            .bind(&**key.kind())
            .bind(&**key.id())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(DocumentRow::try_from).transpose()?.map(|row| row.entry))
    }

    /// Creates a document, or takes back its deletion, by the rules of [`CatalogEntry::create`].
    /// O(log n).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn create(
        &self,
        key: &DocumentKey,
        creation: &DocumentCreation,
    ) -> Result<(CreateOutcome, CatalogEntry), PostgresError> {
        check_no_nul([&**key.kind(), key.id()].into_iter().chain(creation.creator.as_deref()))?;
        let mut transaction = self.begin().await?;
        // Also locks the row of a document that exists.
        let upsert = concat!(
            "INSERT INTO logux_documents (kind, id, created, creator, created_at, changed_at, bytes, actions, is_deleted)
            VALUES ($1, $2, $3, $4, $5, $5, 0, 0, false)
            ON CONFLICT (kind, id) DO UPDATE SET id = excluded.id RETURNING ",
            catalog_columns!()
        );
        let row: CatalogColumns = sqlx::query_as(upsert)
            .bind(&**key.kind())
            .bind(&**key.id())
            .bind(key::of_stamp(&creation.stamp))
            .bind(creation.creator.as_deref())
            .bind(creation.at.as_millis())
            .fetch_one(&mut *transaction)
            .await?;
        let mut row = DocumentRow::try_from(row)?;
        let before = row.entry.clone();
        let outcome = row.entry.create(creation);
        update(&mut transaction, &before, &row).await?;
        transaction.commit().await?;
        Ok((outcome, row.entry))
    }

    /// Deletes a document, by the rules of [`CatalogEntry::delete`]. `None` if it has no entry.
    /// O(log n).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete(
        &self,
        key: &DocumentKey,
        deletion: &DocumentDeletion,
    ) -> Result<Option<(DeleteOutcome, CatalogEntry)>, PostgresError> {
        check_no_nul([&**key.kind(), key.id()].into_iter().chain(deletion.by.as_deref()))?;
        let mut transaction = self.begin().await?;
        let select = concat!(
            "SELECT ",
            catalog_columns!(),
            " FROM logux_documents WHERE kind = $1 AND id = $2 FOR UPDATE"
        );
        let row: Option<CatalogColumns> = sqlx::query_as(select)
            .bind(&**key.kind())
            .bind(&**key.id())
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(mut row) = row.map(DocumentRow::try_from).transpose()? else { return Ok(None) };
        let before = row.entry.clone();
        let outcome = row.entry.delete(deletion.clone());
        update(&mut transaction, &before, &row).await?;
        transaction.commit().await?;
        Ok(Some((outcome, row.entry)))
    }

    /// Stores the last changes and sizes of documents, each at most once, those without an entry
    /// left out. O(log n) for each.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn touch(
        &self,
        kind: &str,
        documents: &[DocumentStats],
    ) -> Result<(), PostgresError> {
        check_no_nul([kind].into_iter().chain(documents.iter().map(|stats| &*stats.id)))?;
        let ids: Vec<&str> = documents.iter().map(|stats| &*stats.id).collect();
        let times: Vec<i64> = documents.iter().map(|stats| stats.changed_at.as_millis()).collect();
        let bytes: Vec<i64> = documents.iter().map(|stats| number(stats.bytes)).collect();
        let actions: Vec<i64> = documents.iter().map(|stats| number(stats.actions)).collect();
        let update = "UPDATE logux_documents d
            SET changed_at = greatest(d.changed_at, new.changed_at), bytes = new.bytes, actions = new.actions
            FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) AS new (id, changed_at, bytes, actions)
            WHERE d.kind = $1 AND d.id = new.id";
        sqlx::query(update)
            .bind(kind)
            .bind(&ids)
            .bind(&times)
            .bind(&bytes)
            .bind(&actions)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Lists documents of a kind in pages, newest change first. O(log n + page).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list(
        &self,
        kind: &str,
        query: &CatalogQuery,
    ) -> Result<CatalogPage, PostgresError> {
        let strings = [kind].into_iter().chain(query.creator.as_deref());
        if check_no_nul(strings.chain(query.after.as_ref().map(|after| &*after.id))).is_err() {
            return Ok(CatalogPage::default());
        }
        macro_rules! select {
            ($creator:literal) => {
                concat!(
                    "SELECT ",
                    catalog_columns!(),
                    " FROM logux_documents WHERE kind = $1 AND is_deleted = $2 AND (changed_at, id) < ($3, $4) AND ",
                    $creator,
                    " ORDER BY changed_at DESC, id DESC LIMIT $5"
                )
            };
        }
        let select = match &query.creator {
            None => select!("$6::text IS NULL"),
            Some(_) => select!("creator = $6"),
        };
        // All times are earlier.
        let start = (i64::MAX, "");
        let after = query.after.as_ref();
        let (time, id) = after.map_or(start, |after| (after.changed_at.as_millis(), &*after.id));
        let rows: Vec<CatalogColumns> = sqlx::query_as(select)
            .bind(kind)
            .bind(query.deleted)
            .bind(time)
            .bind(id)
            .bind(size(query.limit.saturating_add(1)))
            .bind(query.creator.as_deref())
            .fetch_all(&self.pool)
            .await?;
        Ok(CatalogPage::new(entries(rows)?, query.limit))
    }

    /// Returns the number and size of the documents that a user has created, of one kind or of all.
    /// O(log n + documents of the user).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn usage(
        &self,
        creator: &str,
        kind: Option<&str>,
    ) -> Result<DocumentUsage, PostgresError> {
        check_no_nul([creator].into_iter().chain(kind))?;
        let select = "SELECT is_deleted, count(*), sum(bytes)::bigint FROM logux_documents
            WHERE creator = $1 AND ($2::text IS NULL OR kind = $2) GROUP BY is_deleted";
        let rows: Vec<(bool, i64, i64)> =
            sqlx::query_as(select).bind(creator).bind(kind).fetch_all(&self.pool).await?;
        let mut usage = DocumentUsage::default();
        for (is_deleted, documents, bytes) in rows {
            let (documents, bytes) = (documents.cast_unsigned(), bytes.cast_unsigned());
            if is_deleted {
                (usage.deleted_documents, usage.deleted_bytes) = (documents, bytes);
            } else {
                (usage.documents, usage.bytes) = (documents, bytes);
            }
        }
        Ok(usage)
    }

    /// Returns the documents of a kind that were deleted before a time and still are, the oldest
    /// deletions first, at most `limit`. O(log n + limit).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn deleted_before(
        &self,
        kind: &str,
        before: WallTime,
        limit: usize,
    ) -> Result<Vec<CatalogEntry>, PostgresError> {
        check_no_nul([kind])?;
        let select = concat!(
            "SELECT ",
            catalog_columns!(),
            " FROM logux_documents WHERE kind = $1 AND is_deleted AND deleted_at < $2
            ORDER BY deleted_at, id LIMIT $3"
        );
        let rows: Vec<CatalogColumns> = sqlx::query_as(select)
            .bind(kind)
            .bind(before.as_millis())
            .bind(size(limit))
            .fetch_all(&self.pool)
            .await?;
        entries(rows)
    }

    /// Begins a write. At any default isolation level, a write has to see the commits for which it
    /// waited.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, PostgresError> {
        Ok(self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?)
    }
}

/// Stores what a creation or a deletion has changed.
async fn update(
    db: &mut PgConnection,
    before: &CatalogEntry,
    DocumentRow { document, entry }: &DocumentRow,
) -> Result<(), PostgresError> {
    if before == entry {
        return Ok(());
    }
    let update = "UPDATE logux_documents
        SET revived = $2, changed_at = $3, deletion = $4, deleted_by = $5, deleted_at = $6, is_deleted = $7
        WHERE document = $1";
    let deletion = entry.last_deletion.as_ref();
    sqlx::query(update)
        .bind(document)
        .bind(entry.revived.as_ref().map(key::of_stamp))
        .bind(entry.changed_at.as_millis())
        .bind(deletion.map(|deletion| key::of_stamp(&deletion.stamp)))
        .bind(deletion.and_then(|deletion| deletion.by.as_deref()))
        .bind(deletion.map(|deletion| deletion.at.as_millis()))
        .bind(entry.deletion().is_some())
        .execute(db)
        .await?;
    Ok(())
}

fn entries(rows: Vec<CatalogColumns>) -> Result<Vec<CatalogEntry>, PostgresError> {
    rows.into_iter().map(|row| Ok(DocumentRow::try_from(row)?.entry)).collect()
}

/// Returns a number as PostgreSQL stores it, at most 2⁶³ − 1.
pub(crate) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn size(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
