//! The database: one file, one connection with one open transaction, and one that only reads.

use core::fmt;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rusqlite::Connection;

use crate::{
    SqliteDocuments, SqliteError, SqliteRecords, SqliteStore,
    committed_reader::CommittedReader,
    lock::FileLock,
    schema,
    source::{BUSY_TIMEOUT, Durability, Source, configure},
};

/// An open SQLite file with a log, records and documents. Cheap to clone: clones share the
/// connection and the open transaction.
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
    shared: Arc<Shared>,
}

/// The reader is declared first, so that it is closed before the file is unlocked, and locked first
/// by calls that lock both.
struct Shared {
    reader: Mutex<CommittedReader>,
    inner: Mutex<Inner>,
    /// Wakes the calls that wait for the end of a transaction.
    ended: Condvar,
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
        Self::new(Inner::new(None, source))
    }

    /// Creates a database in memory, which is dropped with its last clone. For tests.
    ///
    /// # Errors
    /// An error of SQLite.
    pub fn open_in_memory() -> Result<Self, SqliteError> {
        let mut connection = Connection::open_in_memory()?;
        schema::upgrade(&mut connection, Path::new(":memory:"))?;
        configure(&connection, Durability::Normal)?;
        let mut inner = Inner::new(Some(connection), None);
        inner.read_last_added()?;
        Ok(Self::new(inner))
    }

    fn new(inner: Inner) -> Self {
        let shared =
            Shared { reader: Mutex::default(), inner: Mutex::new(inner), ended: Condvar::new() };
        Self { shared: Arc::new(shared) }
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

    /// Returns what a server keeps of documents beside the log.
    pub fn documents(&self) -> SqliteDocuments {
        SqliteDocuments::new(self.clone())
    }

    /// Makes all previous writes durable, those of the store, of the records and of the documents.
    /// No effect without writes.
    ///
    /// # Errors
    /// If the commit fails, all writes since the last commit are rolled back.
    /// [`SqliteError::RolledBack`] if they already were.
    pub fn commit(&self) -> Result<(), SqliteError> {
        let committed = self.inner().commit();
        self.shared.ended.notify_all();
        committed
    }

    /// Rolls back all writes since the last commit.
    ///
    /// # Errors
    /// An error of SQLite.
    pub fn rollback(&self) -> Result<(), SqliteError> {
        let mut inner = self.inner();
        inner.roll_back();
        inner.end(State::Idle);
        self.shared.ended.notify_all();
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
        // Opening the file again would release the locks of a connection that is still open.
        let mut reader = self.reader();
        reader.close();
        let mut inner = self.inner();
        inner.roll_back();
        inner.end(State::Idle);
        inner.connection = None;
        self.shared.ended.notify_all();
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
        self.shared.inner.try_lock().is_ok_and(|inner| matches!(inner.state, State::Writing))
    }

    /// Runs a read. The closure must not run code of the caller, which could call the database and
    /// deadlock.
    pub(crate) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        query(self.inner().connection()?)
    }

    /// Runs a read on a connection of its own, which neither waits for writers nor makes them wait.
    /// It sees all that was written before the call: it waits until that is committed or rolled
    /// back. If it takes longer than `max_wait`, or the database is in memory, the read runs on the
    /// shared connection, by itself or in parts.
    pub(crate) fn read_committed<T>(
        &self,
        max_wait: Duration,
        query: impl FnOnce(&Reads<'_>) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        if !self.wait_for_commit(max_wait) {
            return query(&Reads::Shared(self));
        }
        let mut reader = self.reader();
        if !reader.is_open() {
            // The file is locked and has its tables once the shared connection is open.
            let mut inner = self.inner();
            inner.connection()?;
            let source = inner.source.as_ref();
            reader.open(source.map_or(Path::new(""), |source| &source.path))?;
        }
        reader.read(|db| query(&Reads::Committed(db)))
    }

    /// Waits until the open transaction, if any, has ended. Returns `false` if it does not in this
    /// time, or if the database is in memory.
    fn wait_for_commit(&self, max_wait: Duration) -> bool {
        let mut inner = self.inner();
        let (start, current) = (Instant::now(), inner.ended);
        while inner.source.is_some() && inner.ended == current {
            if !matches!(inner.state, State::Writing) {
                return true;
            }
            let Some(rest) = max_wait.checked_sub(start.elapsed()) else { return false };
            let waited = self.shared.ended.wait_timeout(inner, rest);
            inner = waited
                .map_or_else(|poisoned| self.recover(poisoned.into_inner().0), |(inner, _)| inner);
        }
        inner.source.is_some()
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
        self.shared.inner.lock().unwrap_or_else(|poisoned| self.recover(poisoned.into_inner()))
    }

    fn recover<'a>(&self, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        inner.abort("a thread panicked during a call");
        self.shared.inner.clear_poison();
        inner
    }

    fn reader(&self) -> MutexGuard<'_, CommittedReader> {
        // A poisoned lock is consistent: the reader has no state but its connection.
        self.shared.reader.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// The number of transactions that have ended.
    ended: u64,
    lock: Option<FileLock>,
    restricted_files: Vec<PathBuf>,
}

/// The connection for a read.
pub(crate) enum Reads<'a> {
    /// The shared one, with uncommitted writes. It is unlocked between reads.
    Shared(&'a Database),
    /// One in a transaction that only reads.
    Committed(&'a Connection),
}

impl Reads<'_> {
    /// Runs a read.
    pub(crate) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        match self {
            Self::Shared(database) => database.read(query),
            Self::Committed(connection) => query(connection),
        }
    }
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
    const fn new(connection: Option<Connection>, source: Option<Source>) -> Self {
        Self {
            connection,
            source,
            state: State::Idle,
            last_added: 0,
            ended: 0,
            lock: None,
            restricted_files: Vec::new(),
        }
    }

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
        match self.end(State::Idle) {
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
            self.end(State::RolledBack(cause.to_owned()));
            let _ = self.read_last_added();
        }
    }

    /// Ends the transaction, if one is open. Returns the previous state.
    fn end(&mut self, state: State) -> State {
        let previous = core::mem::replace(&mut self.state, state);
        self.ended += u64::from(matches!(previous, State::Writing));
        previous
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

#[cfg(test)]
mod tests;
