//! The database: one file, one connection, one open transaction.

use core::fmt;
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use rusqlite::Connection;

use crate::{
    SqliteError, SqliteRecords, SqliteStore,
    lock::{FileLock, create_private},
    schema,
};

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
        let path = path.as_ref();
        schema::check_header(path)?;
        let lock = FileLock::take(path)?;
        create_private(path).map_err(|source| SqliteError::File { path: path.into(), source })?;
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        // Before the write-ahead log is enabled, so that the header of the file has the application
        // id from the beginning.
        schema::upgrade(&mut connection, path)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        Self::with_connection(connection, durability, Some(lock))
    }

    /// Creates a database in memory, which is dropped with its last clone. For tests.
    ///
    /// # Errors
    /// An error of SQLite.
    pub fn open_in_memory() -> Result<Self, SqliteError> {
        let mut connection = Connection::open_in_memory()?;
        schema::upgrade(&mut connection, Path::new(":memory:"))?;
        Self::with_connection(connection, Durability::Normal, None)
    }

    fn with_connection(
        connection: Connection,
        durability: Durability,
        lock: Option<FileLock>,
    ) -> Result<Self, SqliteError> {
        let synchronous = match durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        // Fewer checkpoints than the default of one per 4 MB, and the upper pages of the indexes in
        // memory: with random creation times this adds a third more entries per second, for 16 MB
        // of disk and of memory.
        connection.pragma_update_and_check(None, "wal_autocheckpoint", 4_000, |_| Ok(()))?;
        connection.pragma_update(None, "cache_size", -16_000)?;
        connection.set_prepared_statement_cache_capacity(64);
        let mut inner = Inner { connection, state: State::Idle, last_added: 0, _lock: lock };
        inner.read_last_added()?;
        Ok(Self { shared: Arc::new(Mutex::new(inner)) })
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
        query(&self.inner().connection)
    }

    /// Returns the highest `added` number ever assigned.
    pub(crate) fn last_added(&self) -> u64 {
        self.inner().last_added
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
    connection: Connection,
    state: State,
    /// The highest `added` number ever assigned. The table `numbers` has it only if the entry with
    /// this number was removed.
    last_added: u64,
    _lock: Option<FileLock>,
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
    fn write<T>(
        &mut self,
        change: impl FnOnce(&Connection, &mut u64) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        match &self.state {
            State::Idle => {
                self.run("BEGIN IMMEDIATE")?;
                self.state = State::Writing;
            }
            State::Writing => {}
            State::RolledBack(cause) => return Err(SqliteError::RolledBack(cause.clone())),
        }
        self.run("SAVEPOINT write")?;
        let mut last_added = self.last_added;
        let outcome = change(&self.connection, &mut last_added).and_then(|value| {
            self.run("RELEASE write")?;
            Ok(value)
        });
        match &outcome {
            Ok(_) => self.last_added = last_added,
            Err(error) => {
                let undone = self.run("ROLLBACK TO write").and_then(|()| self.run("RELEASE write"));
                if undone.is_err() || self.connection.is_autocommit() {
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
        if !self.connection.is_autocommit() {
            // If this fails, the connection is unusable, and each further call reports it.
            let _ = self.run("ROLLBACK");
        }
    }

    fn read_last_added(&mut self) -> Result<(), SqliteError> {
        let highest = "SELECT max(ifnull((SELECT max(added) FROM entries), 0),
                                  ifnull((SELECT value FROM numbers WHERE name = 'last_added'), 0))";
        let highest: i64 = self.connection.query_one(highest, [], |row| row.get(0))?;
        self.last_added = highest.cast_unsigned();
        Ok(())
    }

    fn run(&self, statement: &str) -> Result<(), SqliteError> {
        self.connection.prepare_cached(statement)?.execute([])?;
        Ok(())
    }
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
