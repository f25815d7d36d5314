//! The catalog of documents.

use std::time::Duration;

use logux::{
    WallTime,
    action::DocumentKey,
    server::{
        CatalogEntry, CatalogPage, CatalogQuery, CreateOutcome, DeleteOutcome, DocumentCreation,
        DocumentDeletion, DocumentStats, DocumentUsage,
    },
    store::key,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{Database, SqliteError, database::Reads, entries::stamp_of};

/// What a server keeps of documents beside its log, in a [`Database`]: the catalog, the archive of
/// settled actions and snapshots, and named versions.
///
/// It is the storage for `Builder::documents` of `logux-server`, whose `DocumentStorage` has the
/// promises of all methods. Each call is atomic unless its description says otherwise, idempotent,
/// and durable after [`commit`](Self::commit), together with the log and the records.
///
/// ```
/// use logux::{Stamp, WallTime, action::DocumentKey};
/// use logux::server::{CatalogQuery, CreateOutcome, DocumentCreation};
/// use logux_sqlite::Database;
///
/// let documents = Database::open_in_memory()?.documents();
/// let (key, at) = (DocumentKey::new("notes", "7"), WallTime::from_millis(1));
/// let stamp = Stamp::new(at, "1 ada:phone:tab 0".parse()?);
/// let creation = DocumentCreation { stamp, creator: Some("ada".into()), at };
/// assert_eq!(documents.create(&key, &creation)?.0, CreateOutcome::Created);
/// let page = documents.list("notes", &CatalogQuery::new(20))?;
/// assert_eq!(&*page.entries[0].id, "7");
/// assert_eq!(documents.usage("ada", None)?.documents, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteDocuments {
    database: Database,
    /// How long a read on a connection of its own waits for a commit. `None`: reads use the shared
    /// connection.
    max_wait: Option<Duration>,
}

/// The columns for [`entry`].
macro_rules! catalog_columns {
    () => {
        "document, id, created, revived, creator, created_at, changed_at, bytes, actions, deletion, deleted_by, deleted_at"
    };
}

impl SqliteDocuments {
    pub(crate) fn new(database: Database) -> Self {
        Self { database, max_wait: None }
    }

    /// Reads lists, the archive and snapshots on a connection of its own, so that neither they nor
    /// the writes of other threads make each other wait. A read first waits until what was written
    /// before is committed. After `max_wait`, or in memory, it uses the shared connection. For
    /// a server whose thread commits soon.
    #[must_use]
    pub fn reading_committed(self, max_wait: Duration) -> Self {
        Self { max_wait: Some(max_wait), ..self }
    }

    /// Returns the database of the documents.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Commits all writes to the database, see [`Database::commit`].
    ///
    /// # Errors
    /// As [`Database::commit`].
    pub fn commit(&self) -> Result<(), SqliteError> {
        self.database.commit()
    }

    /// Returns the catalog entry of a document, also of a deleted one. O(log n).
    ///
    /// # Errors
    /// If the database fails.
    pub fn find(&self, key: &DocumentKey) -> Result<Option<CatalogEntry>, SqliteError> {
        self.database.read(|db| Ok(find(db, key)?.map(|(_, entry)| entry)))
    }

    /// Creates a document, or takes back its deletion, by the rules of [`CatalogEntry::create`].
    /// O(log n).
    ///
    /// # Errors
    /// If the database fails.
    pub fn create(
        &self,
        key: &DocumentKey,
        creation: &DocumentCreation,
    ) -> Result<(CreateOutcome, CatalogEntry), SqliteError> {
        self.database.write(|db, _| {
            let Some((document, mut entry)) = find(db, key)? else {
                let entry = CatalogEntry::new(key.id().clone(), creation);
                insert(db, key, &entry)?;
                return Ok((CreateOutcome::Created, entry));
            };
            let before = entry.clone();
            let outcome = entry.create(creation);
            update(db, document, &before, &entry)?;
            Ok((outcome, entry))
        })
    }

    /// Deletes a document, by the rules of [`CatalogEntry::delete`]. `None` if it has no entry.
    /// O(log n).
    ///
    /// # Errors
    /// If the database fails.
    pub fn delete(
        &self,
        key: &DocumentKey,
        deletion: &DocumentDeletion,
    ) -> Result<Option<(DeleteOutcome, CatalogEntry)>, SqliteError> {
        self.database.write(|db, _| {
            let Some((document, mut entry)) = find(db, key)? else { return Ok(None) };
            let before = entry.clone();
            let outcome = entry.delete(deletion.clone());
            update(db, document, &before, &entry)?;
            Ok(Some((outcome, entry)))
        })
    }

    /// Stores the last changes and sizes of documents, those without an entry left out. O(log n)
    /// for each.
    ///
    /// # Errors
    /// If the database fails.
    pub fn touch(&self, kind: &str, documents: &[DocumentStats]) -> Result<(), SqliteError> {
        self.database.write(|db, _| {
            let update =
                "UPDATE documents SET changed_at = max(changed_at, ?3), bytes = ?4, actions = ?5
                WHERE kind = ?1 AND id = ?2";
            let mut update = db.prepare_cached(update)?;
            for stats in documents {
                update.execute(params![
                    kind,
                    stats.id,
                    stats.changed_at.as_millis(),
                    number(stats.bytes),
                    number(stats.actions),
                ])?;
            }
            Ok(())
        })
    }

    /// Lists documents of a kind in pages, newest change first. O(log n + page).
    ///
    /// # Errors
    /// If the database fails.
    pub fn list(&self, kind: &str, query: &CatalogQuery) -> Result<CatalogPage, SqliteError> {
        let all = concat!(
            "SELECT ",
            catalog_columns!(),
            " FROM documents WHERE kind = ?1 AND is_deleted = ?2 AND (changed_at, id) < (?3, ?4)
            AND ?6 IS NULL ORDER BY changed_at DESC, id DESC LIMIT ?5"
        );
        let of_creator = concat!(
            "SELECT ",
            catalog_columns!(),
            " FROM documents WHERE kind = ?1 AND is_deleted = ?2 AND (changed_at, id) < (?3, ?4)
            AND creator = ?6 ORDER BY changed_at DESC, id DESC LIMIT ?5"
        );
        let statement = if query.creator.is_some() { of_creator } else { all };
        // All times are earlier.
        let start = (i64::MAX, "");
        let after = query.after.as_ref();
        let (time, id) = after.map_or(start, |after| (after.changed_at.as_millis(), &*after.id));
        let limit = query.limit.saturating_add(1);
        self.read_aside(|db| {
            let values = params![kind, query.deleted, time, id, size(limit), query.creator];
            Ok(CatalogPage::new(entries(db, statement, values)?, query.limit))
        })
    }

    /// Returns the number and size of the documents that a user has created, of one kind or of all.
    /// O(log n + documents of the user).
    ///
    /// # Errors
    /// If the database fails.
    pub fn usage(&self, creator: &str, kind: Option<&str>) -> Result<DocumentUsage, SqliteError> {
        let statement = "SELECT is_deleted, count(*), sum(bytes) FROM documents
            WHERE creator = ?1 AND (?2 IS NULL OR kind = ?2) GROUP BY is_deleted";
        self.database.read(|db| {
            let mut statement = db.prepare_cached(statement)?;
            let mut rows = statement.query(params![creator, kind])?;
            let mut usage = DocumentUsage::default();
            while let Some(row) = rows.next()? {
                let (documents, bytes): (i64, i64) = (row.get(1)?, row.get(2)?);
                let (documents, bytes) = (documents.cast_unsigned(), bytes.cast_unsigned());
                if row.get(0)? {
                    (usage.deleted_documents, usage.deleted_bytes) = (documents, bytes);
                } else {
                    (usage.documents, usage.bytes) = (documents, bytes);
                }
            }
            Ok(usage)
        })
    }

    /// Returns the documents of a kind that were deleted before a time and still are, the oldest
    /// deletions first, at most `limit`. O(log n + limit).
    ///
    /// # Errors
    /// If the database fails.
    pub fn deleted_before(
        &self,
        kind: &str,
        before: WallTime,
        limit: usize,
    ) -> Result<Vec<CatalogEntry>, SqliteError> {
        let statement = concat!(
            "SELECT ",
            catalog_columns!(),
            " FROM documents WHERE kind = ?1 AND is_deleted = 1 AND deleted_at < ?2
            ORDER BY deleted_at, id LIMIT ?3"
        );
        self.read_aside(|db| entries(db, statement, params![kind, before.as_millis(), size(limit)]))
    }

    /// Runs a read that may take long.
    pub(crate) fn read_aside<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        match self.max_wait {
            None => self.database.read(query),
            Some(max_wait) => self.database.read_committed(max_wait, |reads| match reads {
                Reads::Shared(database) => database.read(query),
                Reads::Committed(connection) => query(connection),
            }),
        }
    }
}

/// Returns the number of a document and its entry.
pub(crate) fn find(
    db: &Connection,
    key: &DocumentKey,
) -> Result<Option<(i64, CatalogEntry)>, SqliteError> {
    let statement =
        concat!("SELECT ", catalog_columns!(), " FROM documents WHERE kind = ?1 AND id = ?2");
    let mut statement = db.prepare_cached(statement)?;
    let mut rows = statement.query([key.kind(), key.id()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((row.get(0)?, entry(row)?)))
}

/// Returns the number of a document.
pub(crate) fn document_number(
    db: &Connection,
    key: &DocumentKey,
) -> Result<Option<i64>, SqliteError> {
    let statement = "SELECT document FROM documents WHERE kind = ?1 AND id = ?2";
    let row = db.prepare_cached(statement)?.query_row([key.kind(), key.id()], |row| row.get(0));
    Ok(row.optional()?)
}

fn insert(db: &Connection, key: &DocumentKey, entry: &CatalogEntry) -> Result<(), SqliteError> {
    let insert = "INSERT INTO documents (kind, id, created, creator, created_at, changed_at, bytes, actions, is_deleted)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)";
    db.prepare_cached(insert)?.execute(params![
        key.kind(),
        key.id(),
        key::of_stamp(&entry.created),
        entry.creator,
        entry.created_at.as_millis(),
        entry.changed_at.as_millis(),
        number(entry.bytes),
        number(entry.actions),
    ])?;
    Ok(())
}

/// Stores what a creation or a deletion has changed.
fn update(
    db: &Connection,
    document: i64,
    before: &CatalogEntry,
    after: &CatalogEntry,
) -> Result<(), SqliteError> {
    if before == after {
        return Ok(());
    }
    let update = "UPDATE documents SET revived = ?2, changed_at = ?3, deletion = ?4, deleted_by = ?5, deleted_at = ?6, is_deleted = ?7
        WHERE document = ?1";
    let deletion = after.last_deletion.as_ref();
    db.prepare_cached(update)?.execute(params![
        document,
        after.revived.as_ref().map(key::of_stamp),
        after.changed_at.as_millis(),
        deletion.map(|deletion| key::of_stamp(&deletion.stamp)),
        deletion.and_then(|deletion| deletion.by.as_ref()),
        deletion.map(|deletion| deletion.at.as_millis()),
        after.deletion().is_some(),
    ])?;
    Ok(())
}

fn entries(
    db: &Connection,
    statement: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<CatalogEntry>, SqliteError> {
    let mut statement = db.prepare_cached(statement)?;
    let mut rows = statement.query(values)?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(entry(row)?);
    }
    Ok(entries)
}

/// Decodes the columns of a row.
fn entry(row: &Row<'_>) -> Result<CatalogEntry, SqliteError> {
    let stamp = |column| {
        let stamp: Option<Vec<u8>> = row.get(column)?;
        stamp.map(|stamp| stamp_of(stamp.as_slice().into())).transpose()
    };
    let time = |column| Ok::<_, SqliteError>(WallTime::from_millis(row.get(column)?));
    let last_deletion = match stamp(9)? {
        None => None,
        Some(stamp) => Some(DocumentDeletion { stamp, by: row.get(10)?, at: time(11)? }),
    };
    Ok(CatalogEntry {
        id: row.get(1)?,
        created: stamp_of(row.get_ref(2)?)?,
        revived: stamp(3)?,
        creator: row.get(4)?,
        created_at: time(5)?,
        changed_at: time(6)?,
        bytes: row.get::<_, i64>(7)?.cast_unsigned(),
        actions: row.get::<_, i64>(8)?.cast_unsigned(),
        last_deletion,
    })
}

/// Returns a number as SQLite stores it, at most 2⁶³ − 1.
pub(crate) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn size(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
