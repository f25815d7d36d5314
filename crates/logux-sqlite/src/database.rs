//! One file, one connection, one open transaction.

use core::fmt;
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use rusqlite::Connection;

use crate::{SqliteError, SqliteStore, SyncMaps, lock::FileLock, schema};

/// A SQLite file of ours, open. Cheap to clone: clones share the connection and the open transaction.
///
/// The first write begins a transaction and [`commit`](Self::commit) ends it, whoever wrote. So an action and what it changed in
/// the records become durable in one step. Reads see what is written and not yet committed. What is not committed when the last
/// clone goes is undone.
///
/// A call waits while another thread is in the middle of one. While a database is open nobody else can open its file:
/// `FILE-lock` beside it is held locked.
///
/// # When a write fails
/// A write that SQLite refuses (a value of a gigabyte) is undone alone. One that breaks the transaction (no space, a broken disk)
/// or a thread that panics in the middle undoes everything since the last commit, and then each write fails until a commit has
/// failed with [`SqliteError::RolledBack`] too.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Mutex<Connected>>,
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The disk has it: a loss of power does not take a commit back. `PRAGMA synchronous = FULL`.
    #[default]
    Full,
    /// The operating system has it: the end of the process does not take a commit back, a loss of power may take the last ones,
    /// whole and in order. `PRAGMA synchronous = NORMAL`.
    Normal,
}

impl Database {
    /// Opens a file, or creates it, with [`Durability::Full`].
    ///
    /// # Errors
    /// [`SqliteError::InUse`], [`SqliteError::NotADatabase`], [`SqliteError::OtherApplication`], [`SqliteError::NewerSchema`],
    /// [`SqliteError::File`], or what SQLite reports.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SqliteError> {
        Self::open_with(path, Durability::Full)
    }

    /// Opens a file, or creates it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, durability: Durability) -> Result<Self, SqliteError> {
        let path = path.as_ref();
        schema::check_header(path)?;
        let lock = FileLock::take(path)?;
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        // Before the write-ahead log is switched on, so that the header of the file says whose it is from the first moment.
        schema::upgrade(&mut connection, path)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        Self::over(connection, durability, Some(lock))
    }

    /// A database that is gone with its last clone. For tests.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn open_in_memory() -> Result<Self, SqliteError> {
        let mut connection = Connection::open_in_memory()?;
        schema::upgrade(&mut connection, Path::new(":memory:"))?;
        Self::over(connection, Durability::Normal, None)
    }

    fn over(
        connection: Connection,
        durability: Durability,
        lock: Option<FileLock>,
    ) -> Result<Self, SqliteError> {
        let synchronous = match durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        // Fewer checkpoints than every 4 MB, and the upper pages of the indexes in memory: with creation times in random order that is
        // a third more adds a second, for 16 MB of disk and of memory.
        connection.pragma_update_and_check(None, "wal_autocheckpoint", 4_000, |_| Ok(()))?;
        connection.pragma_update(None, "cache_size", -16_000)?;
        connection.set_prepared_statement_cache_capacity(64);
        let mut connected =
            Connected { connection, state: State::Idle, last_added: 0, _lock: lock };
        connected.read_last_added()?;
        Ok(Self { shared: Arc::new(Mutex::new(connected)) })
    }

    /// The log's store in this database. Several stores of one database are the same store.
    pub fn store(&self) -> SqliteStore {
        SqliteStore::new(self.clone())
    }

    /// The records in this database.
    pub fn sync_maps(&self) -> SyncMaps {
        SyncMaps::new(self.clone())
    }

    /// Makes all writes so far durable, those of the store and those of the records. Nothing to do when there were none.
    ///
    /// # Errors
    /// When it fails, everything since the last commit is undone. [`SqliteError::RolledBack`] if that had happened before.
    pub fn commit(&self) -> Result<(), SqliteError> {
        self.connected().commit()
    }

    /// Undoes everything since the last commit.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn rollback(&self) -> Result<(), SqliteError> {
        let mut connected = self.connected();
        connected.undo();
        connected.state = State::Idle;
        connected.read_last_added()
    }

    /// Asks the database something. Nothing of the caller's may run inside: it could ask in turn, and wait for itself.
    pub(crate) fn read<T>(
        &self,
        ask: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        ask(&self.connected().connection)
    }

    /// The highest `added` number ever given.
    pub(crate) fn last_added(&self) -> u64 {
        self.connected().last_added
    }

    /// Changes something, or nothing when `change` fails.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&Connection, &mut u64) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        self.connected().write(change)
    }

    fn connected(&self) -> MutexGuard<'_, Connected> {
        self.shared.lock().unwrap_or_else(|poisoned| {
            let mut connected = poisoned.into_inner();
            connected.break_off("a thread panicked in the middle of a call");
            self.shared.clear_poison();
            connected
        })
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

/// The connection comes before the lock, so that it is closed before others may open the file.
struct Connected {
    connection: Connection,
    state: State,
    /// The highest `added` number ever given. The table `numbers` has it only where the entry with that number is gone.
    last_added: u64,
    _lock: Option<FileLock>,
}

enum State {
    /// Nothing is written since the last commit.
    Idle,
    /// A transaction is open.
    Writing,
    /// The open transaction was undone for this reason, and no commit has said so yet.
    Lost(String),
}

impl Connected {
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
            State::Lost(why) => return Err(SqliteError::RolledBack(why.clone())),
        }
        self.run("SAVEPOINT one")?;
        let mut last_added = self.last_added;
        let outcome = change(&self.connection, &mut last_added).and_then(|value| {
            self.run("RELEASE one")?;
            Ok(value)
        });
        match &outcome {
            Ok(_) => self.last_added = last_added,
            Err(error) => {
                let undone = self.run("ROLLBACK TO one").and_then(|()| self.run("RELEASE one"));
                if undone.is_err() || self.connection.is_autocommit() {
                    self.break_off(&error.to_string());
                }
            }
        }
        outcome
    }

    fn commit(&mut self) -> Result<(), SqliteError> {
        match core::mem::replace(&mut self.state, State::Idle) {
            State::Idle => Ok(()),
            State::Lost(why) => Err(SqliteError::RolledBack(why)),
            State::Writing => self.run("COMMIT").inspect_err(|_| {
                self.undo();
                // A failure to read is met again, and reported, by the next call.
                let _ = self.read_last_added();
            }),
        }
    }

    /// Undoes the transaction, if one is open, and refuses further writes until a commit has reported it.
    fn break_off(&mut self, why: &str) {
        if matches!(self.state, State::Writing) {
            self.undo();
            self.state = State::Lost(why.to_owned());
            let _ = self.read_last_added();
        }
    }

    fn undo(&self) {
        if !self.connection.is_autocommit() {
            // If even this fails, the connection is of no use, and each further call says so.
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
    fn a_panic_undoes_the_transaction_and_a_commit_says_so() {
        let (database, mut store) = with_one_committed();
        assert_eq!(store.add(&mut entry("2 a 0", 1)).unwrap(), Insertion::Added);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _ = database.write::<()>(|db, _| {
                db.execute("DELETE FROM entries", []).unwrap();
                panic!("in the middle");
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
    fn a_write_that_fails_is_undone_alone() {
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
    fn a_full_disk_adds_nothing_and_keeps_what_was_committed() {
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
        let (number, error) = failure.expect("the disk fills up");
        assert!(matches!(error, SqliteError::Sqlite(_)), "{error}");
        assert_eq!(store.by_id(&format!("{number} a 0").parse().unwrap()).unwrap(), None);
        let kept = if store.commit().is_ok() { added } else { 1 };
        assert_eq!(store.last_added().unwrap(), kept);
        assert!(store.by_id(&format!("{kept} a 0").parse().unwrap()).unwrap().is_some());
    }

    #[test]
    fn a_rollback_takes_back_the_numbers() {
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
