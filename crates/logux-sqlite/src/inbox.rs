//! The ids of actions that were processed in an application's own database.

use std::time::Duration;

use logux::ActionId;
use rusqlite::{Connection, Transaction, params};

use crate::SqliteError;

/// A table with the ids of processed actions in an application's own SQLite database, so that each
/// action is processed exactly once.
///
/// A server retries an action if the server or the connection to your database failed before the
/// answer was stored. The database may have committed before that, and processing the action again
/// would repeat its effect. With this table the transaction of the action also inserts the action's
/// id, so both are stored or neither.
///
/// ```
/// use logux::ActionId;
/// use logux_sqlite::{SqliteInbox, rusqlite::Connection};
///
/// /// What `process` of an action type does with `context.meta().id`.
/// fn pay(bank: &mut Connection, inbox: SqliteInbox, id: &ActionId, amount: i64) -> Result<(), Box<dyn std::error::Error>> {
///     let transaction = bank.transaction()?;
///     if inbox.insert(&transaction, id)? {
///         transaction.execute("UPDATE account SET balance = balance + ?1", [amount])?;
///     }
///     Ok(transaction.commit()?)
/// }
///
/// let mut bank = Connection::open_in_memory()?; // or Connection::open("bank.db")
/// bank.execute_batch("CREATE TABLE account (balance INTEGER); INSERT INTO account VALUES (0);")?;
/// let inbox = SqliteInbox::create(&bank)?;
/// let id: ActionId = "1564508138460 380:phone:tab 0".parse()?;
/// for _ in 0..3 {
///     pay(&mut bank, inbox, &id, 5)?;
/// }
/// assert_eq!(bank.query_one("SELECT balance FROM account", [], |row| row.get::<_, i64>(0))?, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Call [`insert`](Self::insert) first in a transaction: then a concurrent transaction with the
/// same action waits for it. A rollback removes the id too.
///
/// # How long to keep ids
/// The server retries an action until it has stored the answer: within a moment, or after its next
/// start. After that the log of the server recognizes the action, for as many actions as
/// `logux-server` is configured to remember. So one day is ample for a server with a durable log;
/// with an in-memory log, keep ids for as long as clients may be offline. Call
/// [`forget_older_than`](Self::forget_older_than) or [`forget_all_but`](Self::forget_all_but)
/// regularly.
#[derive(Clone, Copy, Debug)]
pub struct SqliteInbox(());

impl SqliteInbox {
    /// Opens the inbox in a database. Creates the table `logux_inbox` if it is missing: `id`, the
    /// text of an action id as a blob, and `arrived`, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// If the database fails.
    pub fn create(db: &Connection) -> Result<Self, SqliteError> {
        db.execute_batch(
            "CREATE TABLE IF NOT EXISTS logux_inbox (id BLOB PRIMARY KEY, arrived INTEGER NOT NULL) STRICT, WITHOUT ROWID;
             CREATE INDEX IF NOT EXISTS logux_inbox_arrived ON logux_inbox (arrived);",
        )?;
        Ok(Self(()))
    }

    /// Inserts the id of an action. Returns `true` if it was new: the action has to be processed in
    /// this transaction. O(log n).
    ///
    /// # Errors
    /// If the database fails or is locked for longer than `busy_timeout`. Roll back then.
    pub fn insert(self, transaction: &Transaction<'_>, id: &ActionId) -> Result<bool, SqliteError> {
        let statement = "INSERT INTO logux_inbox (id, arrived)
            VALUES (?1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) ON CONFLICT DO NOTHING";
        let added = transaction.prepare_cached(statement)?.execute([id.to_string().as_bytes()])?;
        Ok(added == 1)
    }

    /// Removes ids older than `age` by the machine's clock and returns their number. O(removed ·
    /// log n).
    ///
    /// # Errors
    /// If the database fails.
    pub fn forget_older_than(self, db: &Connection, age: Duration) -> Result<usize, SqliteError> {
        let statement = "DELETE FROM logux_inbox WHERE arrived < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1";
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX / 2);
        Ok(db.prepare_cached(statement)?.execute([age])?)
    }

    /// Removes all ids except the latest `count` and returns their number. O(count + removed · log
    /// n).
    ///
    /// # Errors
    /// If the database fails.
    pub fn forget_all_but(self, db: &Connection, count: u64) -> Result<usize, SqliteError> {
        let statement = "DELETE FROM logux_inbox WHERE (arrived, id) <= (
                SELECT arrived, id FROM logux_inbox ORDER BY arrived DESC, id DESC LIMIT 1 OFFSET ?1
            )";
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        Ok(db.prepare_cached(statement)?.execute(params![count])?)
    }
}
