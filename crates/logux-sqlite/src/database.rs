//! The database: one file, one connection, one open transaction.

use core::fmt;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use rusqlite::Connection;

use crate::{
    SqliteError, SqliteRecords, SqliteStore,
    lock::{FileLock, create_private, make_private},
    schema,
};

/// The time that a call waits for another process that writes to the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// An open SQLite file with a log and records. Cheap to clone: clones share the connection and the
/// open transaction.
///
/// The first write begins a transaction and [`commit`](Self::commit) ends it, for all clones. So an
/// action and its changes of the records become durable together. Reads include uncommitted writes.
/// Uncommitted writes are rolled back when the last clone is dropped.
///
/// A call blocks while another thread is in a call. While a database is open, its file cannot be
/// opened again, because the file `FILE-lock` beside it is locked.
///
/// Only the owner of the file can read it and the files beside it: new files are created so, and
/// the permissions of others are removed from existing ones
/// ([`restricted_files`](Self::restricted_files)), unless they belong to another user.
///
/// # When a write fails
/// If SQLite refuses a write, for example a value of a gigabyte, only this write is undone. If the
/// transaction fails (no space, a broken disk) or a thread panics during a call, all writes since
/// the last commit are rolled back. After that each write fails with [`SqliteError::RolledBack`]
/// until a commit has failed with it too.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Mutex<Inner>>,
}

/// The guarantee of a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Committed data is on the disk and survives a loss of power. `PRAGMA synchronous = FULL`.
    #[default]
    Full,
    /// Committed data is in the operating system and survives the end of the process. A loss of
    /// power may undo the last commits, each as a whole and the latest first.
    /// `PRAGMA synchronous = NORMAL`.
    Normal,
}

impl Database {
    /// Opens or creates a file with [`Durability::Full`].
    ///
    /// # Errors
    /// [`SqliteError::InUse`], [`SqliteError::NotADatabase`], [`SqliteError::OtherApplication`],
    /// [`SqliteError::NewerSchema`], [`SqliteError::File`], or an error of SQLite.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SqliteError> {
        Self::open_with(path, Durability::Full)
    }

    /// Opens or creates a file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, durability: Durability) -> Result<Self, SqliteError> {
        let database = Self::unopened(path.as_ref(), durability);
        database.inner().connection()?;
        Ok(database)
    }

    /// Opens or creates a file. If that fails with a [transient](SqliteError::is_transient) error,
    /// because the file is locked or the disk is full, returns a database that tries again at each
    /// call, which fails with such an error until then. For a server that starts nevertheless.
    ///
    /// # Errors
    /// As [`open`](Self::open), without transient ones.
    pub fn open_when_available(
        path: impl AsRef<Path>,
        durability: Durability,
    ) -> Result<Self, SqliteError> {
        let database = Self::unopened(path.as_ref(), durability);
        let opened = database.inner().connection().map(drop);
        opened.or_else(|error| if error.is_transient() { Ok(()) } else { Err(error) })?;
        Ok(database)
    }

    fn unopened(path: &Path, durability: Durability) -> Self {
        let source = Some(Source { path: path.into(), durability });
        Self::new(Inner {
            connection: None,
            source,
            state: State::Idle,
            last_added: 0,
            lock: None,
            restricted_files: Vec::new(),
        })
    }

    /// Creates a database in memory, which is dropped with its last clone. For tests.
    ///
    /// # Errors
    /// An error of SQLite.
    pub fn open_in_memory() -> Result<Self, SqliteError> {
        let mut connection = Connection::open_in_memory()?;
        schema::upgrade(&mut connection, Path::new(":memory:"))?;
        configure(&connection, Durability::Normal)?;
        let connection = Some(connection);
        let mut inner = Inner {
            connection,
            source: None,
            state: State::Idle,
            last_added: 0,
            lock: None,
            restricted_files: Vec::new(),
        };
        inner.read_last_added()?;
        Ok(Self::new(inner))
    }

    fn new(inner: Inner) -> Self {
        Self { shared: Arc::new(Mutex::new(inner)) }
    }

    /// Returns the files from which opening the database has removed the permissions of other
    /// users, who could read them until then.
    pub fn restricted_files(&self) -> Vec<PathBuf> {
        self.inner().restricted_files.clone()
    }

    /// Returns the store of the log. All stores of a database are the same store.
    pub fn store(&self) -> SqliteStore {
        SqliteStore::new(self.clone())
    }

    /// Returns the records.
    pub fn records(&self) -> SqliteRecords {
        SqliteRecords::new(self.clone())
    }

    /// Makes all previous writes durable, those of the store and those of the records. No effect
    /// without writes.
    ///
    /// # Errors
    /// If the commit fails, all writes since the last commit are rolled back.
    /// [`SqliteError::RolledBack`] if they already were.
    pub fn commit(&self) -> Result<(), SqliteError> {
        self.inner().commit()
    }

    /// Rolls back all writes since the last commit.
    ///
    /// # Errors
    /// An error of SQLite.
    pub fn rollback(&self) -> Result<(), SqliteError> {
        let mut inner = self.inner();
        inner.roll_back();
        inner.state = State::Idle;
        inner.read_last_added()
    }

    /// Begins the transaction of the next writes, if none is open. Does not wait if another process
    /// is writing to the file.
    ///
    /// # Errors
    /// If the transaction cannot begin; [`SqliteError::RolledBack`] if no commit has reported that
    /// the previous one was rolled back.
    pub fn begin(&self) -> Result<(), SqliteError> {
        let mut inner = self.inner();
        let is_file = inner.source.is_some();
        if is_file && matches!(inner.state, State::Idle) {
            inner.connection()?.busy_timeout(Duration::ZERO)?;
            let begun = inner.begin();
            inner.connection()?.busy_timeout(BUSY_TIMEOUT)?;
            return begun;
        }
        inner.begin()
    }

    /// Rolls back all writes since the last commit, and opens the file again before the next call:
    /// an error of the disk may have left the connection in any state.
    ///
    /// # Errors
    /// An error of SQLite, for a database in memory.
    pub fn reopen(&self) -> Result<(), SqliteError> {
        if self.inner().source.is_none() {
            return self.rollback();
        }
        let mut inner = self.inner();
        inner.roll_back();
        (inner.connection, inner.state) = (None, State::Idle);
        Ok(())
    }

    /// Moves everything from the write-ahead log (`FILE-wal`) into the file, so that the file alone
    /// is complete. Call it when a program stops.
    ///
    /// # Errors
    /// An error of SQLite, for example if another process reads the file.
    pub fn checkpoint(&self) -> Result<(), SqliteError> {
        let mut inner = self.inner();
        let connection = inner.connection()?;
        let busy: i64 =
            connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy == 0 {
            return Ok(());
        }
        Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            Some("another process reads the write-ahead log".into()),
        )
        .into())
    }

    /// Returns `true` if a transaction is open and no other thread is in a call, so that a write
    /// takes microseconds: it waits neither for the thread nor for the file. A hint: it may change
    /// at any time.
    pub fn is_ready_to_write(&self) -> bool {
        self.shared.try_lock().is_ok_and(|inner| matches!(inner.state, State::Writing))
    }

    /// Runs a read. The closure must not run code of the caller, which could call the database and
    /// deadlock.
    pub(crate) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        query(self.inner().connection()?)
    }

    /// Returns the highest `added` number ever assigned.
    pub(crate) fn last_added(&self) -> Result<u64, SqliteError> {
        let mut inner = self.inner();
        inner.connection()?;
        Ok(inner.last_added)
    }

    /// Runs a write, which has no effect if `change` fails.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&Connection, &mut u64) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        self.inner().write(change)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock().unwrap_or_else(|poisoned| {
            let mut inner = poisoned.into_inner();
            inner.abort("a thread panicked during a call");
            self.shared.clear_poison();
            inner
        })
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

/// The connection is declared before the lock, so that it is closed before the file is unlocked.
struct Inner {
    /// `None` if the file is not open yet, or has to be opened again.
    connection: Option<Connection>,
    /// `None` for a database in memory.
    source: Option<Source>,
    state: State,
    /// The highest `added` number ever assigned. The table `numbers` has it only if the entry with
    /// this number was removed.
    last_added: u64,
    lock: Option<FileLock>,
    restricted_files: Vec<PathBuf>,
}

/// The file, and how to open it.
struct Source {
    path: PathBuf,
    durability: Durability,
}

enum State {
    /// No writes since the last commit.
    Idle,
    /// A transaction is open.
    Writing,
    /// The transaction was rolled back for this reason, and no commit has reported it yet.
    RolledBack(String),
}

impl Inner {
    /// Returns the connection. Opens the file if it is not open.
    fn connection(&mut self) -> Result<&Connection, SqliteError> {
        if let (None, Some(source)) = (&self.connection, &self.source) {
            let connection = source.open(&mut self.lock, &mut self.restricted_files)?;
            self.connection = Some(connection);
            if let Err(error) = self.read_last_added() {
                self.connection = None;
                return Err(error);
            }
        }
        // A database in memory always has its connection.
        self.connection.as_ref().ok_or(SqliteError::Sqlite(rusqlite::Error::InvalidQuery))
    }

    fn begin(&mut self) -> Result<(), SqliteError> {
        match &self.state {
            State::Idle => {
                self.connection()?;
                self.run("BEGIN IMMEDIATE")?;
                self.state = State::Writing;
                Ok(())
            }
            State::Writing => Ok(()),
            State::RolledBack(cause) => Err(SqliteError::RolledBack(cause.clone())),
        }
    }

    fn write<T>(
        &mut self,
        change: impl FnOnce(&Connection, &mut u64) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        self.begin()?;
        self.run("SAVEPOINT write")?;
        let mut last_added = self.last_added;
        let outcome = change(self.connection()?, &mut last_added).and_then(|value| {
            self.run("RELEASE write")?;
            Ok(value)
        });
        match &outcome {
            Ok(_) => self.last_added = last_added,
            Err(error) => {
                let undone = self.run("ROLLBACK TO write").and_then(|()| self.run("RELEASE write"));
                if undone.is_err() || self.is_autocommit() {
                    self.abort(&error.to_string());
                }
            }
        }
        outcome
    }

    fn commit(&mut self) -> Result<(), SqliteError> {
        match core::mem::replace(&mut self.state, State::Idle) {
            State::Idle => Ok(()),
            State::RolledBack(cause) => Err(SqliteError::RolledBack(cause)),
            State::Writing => self.run("COMMIT").inspect_err(|_| {
                self.roll_back();
                // If reading fails, the next call fails too and reports it.
                let _ = self.read_last_added();
            }),
        }
    }

    /// Rolls back the open transaction, if any, and refuses writes until a commit has reported it.
    fn abort(&mut self, cause: &str) {
        if matches!(self.state, State::Writing) {
            self.roll_back();
            self.state = State::RolledBack(cause.to_owned());
            let _ = self.read_last_added();
        }
    }

    fn roll_back(&self) {
        if !self.is_autocommit() {
            // If this fails, the connection is unusable, and each further call reports it.
            let _ = self.run("ROLLBACK");
        }
    }

    fn read_last_added(&mut self) -> Result<(), SqliteError> {
        let highest = "SELECT max(ifnull((SELECT max(added) FROM entries), 0),
                                  ifnull((SELECT value FROM numbers WHERE name = 'last_added'), 0))";
        if let Some(connection) = &self.connection {
            let highest: i64 = connection.query_one(highest, [], |row| row.get(0))?;
            self.last_added = highest.cast_unsigned();
        }
        Ok(())
    }

    /// Returns `true` if no transaction is open.
    fn is_autocommit(&self) -> bool {
        self.connection.as_ref().is_none_or(Connection::is_autocommit)
    }

    fn run(&self, statement: &str) -> Result<(), SqliteError> {
        if let Some(connection) = &self.connection {
            connection.prepare_cached(statement)?.execute([])?;
        }
        Ok(())
    }
}

impl Source {
    /// Opens the file, and locks it unless it is locked already.
    fn open(
        &self,
        lock: &mut Option<FileLock>,
        restricted_files: &mut Vec<PathBuf>,
    ) -> Result<Connection, SqliteError> {
        schema::check_header(&self.path)?;
        if lock.is_none() {
            *lock = Some(FileLock::take(&self.path)?);
        }
        let failed = |source| SqliteError::File { path: self.path.clone(), source };
        create_private(&self.path).map_err(failed)?;
        // The files that an earlier program has left, too.
        for suffix in ["", "-wal", "-shm", "-lock"] {
            let mut file = self.path.clone().into_os_string();
            file.push(suffix);
            let file = PathBuf::from(file);
            if make_private(&file) {
                restricted_files.push(file);
            }
        }
        let mut connection = Connection::open(&self.path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // Before the write-ahead log is enabled, so that the header of the file has the application
        // id from the beginning.
        schema::upgrade(&mut connection, &self.path)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        configure(&connection, self.durability)?;
        Ok(connection)
    }
}

fn configure(connection: &Connection, durability: Durability) -> Result<(), SqliteError> {
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // Fewer checkpoints than the default of one per 4 MB, and the upper pages of the indexes in
    // memory: with random creation times this adds a third more entries per second, for 16 MB of
    // disk and of memory.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 4_000, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    // A temporary file would need a file descriptor when there may be none left.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use logux::{Action, Entry, Meta, Store, store::Insertion};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn entry(id: &str, length: usize) -> Entry {
        let action =
            Action::new(format!(r#"{{"type":"a","text":"{}"}}"#, "x".repeat(length))).unwrap();
        Entry::new(action, Meta::new(id.parse().unwrap()).with_reason("r"))
    }

    fn with_one_committed() -> (Database, SqliteStore) {
        let database = Database::open_in_memory().unwrap();
        let mut store = database.store();
        assert_eq!(store.add(&mut entry("1 a 0", 1)).unwrap(), Insertion::Added);
        store.commit().unwrap();
        (database, store)
    }

    #[test]
    fn a_database_is_ready_to_write_in_a_transaction_and_outside_of_calls() {
        let (database, mut store) = with_one_committed();
        assert!(!database.is_ready_to_write(), "a write begins a transaction");
        assert_eq!(store.add(&mut entry("2 a 0", 1)).unwrap(), Insertion::Added);
        assert!(database.is_ready_to_write());
        let during_a_call = database.write(|_, _| {
            let other = database.clone();
            Ok(std::thread::spawn(move || other.is_ready_to_write()).join().unwrap())
        });
        assert!(!during_a_call.unwrap());
    }

    #[test]
    fn a_panic_rolls_back_and_the_next_commit_reports_it() {
        let (database, mut store) = with_one_committed();
        assert_eq!(store.add(&mut entry("2 a 0", 1)).unwrap(), Insertion::Added);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _ = database.write::<()>(|db, _| {
                db.execute("DELETE FROM entries", []).unwrap();
                panic!("during a write");
            });
        }));
        assert!(panicked.is_err());
        assert_eq!(
            (store.last_added().unwrap(), store.by_id(&"2 a 0".parse().unwrap()).unwrap()),
            (1, None)
        );
        assert!(matches!(store.add(&mut entry("3 a 0", 1)), Err(SqliteError::RolledBack(_))));
        assert!(matches!(store.commit(), Err(SqliteError::RolledBack(_))));
        assert_eq!(store.add(&mut entry("3 a 0", 1)).unwrap(), Insertion::Added);
        store.commit().unwrap();
        assert_eq!(store.last_added().unwrap(), 2);
    }

    #[test]
    fn a_failed_write_undoes_only_itself() {
        let (database, mut store) = with_one_committed();
        assert_eq!(store.add(&mut entry("2 a 0", 1)).unwrap(), Insertion::Added);
        let failed = database.write::<()>(|db, last_added| {
            db.execute("DELETE FROM entries", [])?;
            *last_added = 9;
            Err(SqliteError::IdAmongFields)
        });
        assert!(matches!(failed, Err(SqliteError::IdAmongFields)));
        assert_eq!(store.last_added().unwrap(), 2);
        store.commit().unwrap();
        assert!(store.by_id(&"2 a 0".parse().unwrap()).unwrap().is_some());
    }

    #[test]
    fn a_full_disk_keeps_committed_entries() {
        let (database, mut store) = with_one_committed();
        database.read(|db| Ok(db.pragma_update(None, "max_page_count", 60)?)).unwrap();
        let mut added = 1;
        let failure =
            (2..).find_map(|number| match store.add(&mut entry(&format!("{number} a 0"), 5_000)) {
                Ok(insertion) => {
                    assert_eq!(insertion, Insertion::Added);
                    added = number;
                    None
                }
                Err(error) => Some((number, error)),
            });
        let (number, error) = failure.expect("the disk is full");
        assert!(matches!(error, SqliteError::Sqlite(_)), "{error}");
        assert_eq!(store.by_id(&format!("{number} a 0").parse().unwrap()).unwrap(), None);
        let last = if store.commit().is_ok() { added } else { 1 };
        assert_eq!(store.last_added().unwrap(), last);
        assert!(store.by_id(&format!("{last} a 0").parse().unwrap()).unwrap().is_some());
    }

    #[test]
    fn a_rollback_restores_the_added_numbers() {
        let (database, mut store) = with_one_committed();
        assert_eq!(store.add(&mut entry("2 a 0", 1)).unwrap(), Insertion::Added);
        store.clean().unwrap();
        database.rollback().unwrap();
        assert_eq!(store.last_added().unwrap(), 1);
        assert_eq!(store.by_id(&"2 a 0".parse().unwrap()).unwrap(), None);
        database.rollback().unwrap();
        store.commit().unwrap();
    }
}
