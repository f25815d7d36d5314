//! Actions that an application has done in a database of its own.

use std::time::Duration;

use logux::ActionId;
use rusqlite::{Connection, Transaction, params};

use crate::SqliteError;

/// Remembers in your own SQLite database which actions it has taken in, so that none is done twice, whatever is cut when.
///
/// A server asks again to process an action when it, or the way to your database, broke down before the answer was safe. If the database had committed by
/// then, doing it again would be once too often. So the id of the action goes into the same transaction as what the action does: both are there,
/// or neither.
///
/// ```
/// use logux::ActionId;
/// use logux_sqlite::{Inbox, rusqlite::Connection};
///
/// /// What `process` of an action type does with `context.meta().id`.
/// fn pay(bank: &mut Connection, inbox: Inbox, id: &ActionId, amount: i64) -> Result<(), Box<dyn std::error::Error>> {
///     let transaction = bank.transaction()?;
///     if inbox.first_time(&transaction, id)? {
///         transaction.execute("UPDATE account SET balance = balance + ?1", [amount])?;
///     }
///     Ok(transaction.commit()?)
/// }
///
/// let mut bank = Connection::open_in_memory()?; // or Connection::open("bank.db")
/// bank.execute_batch("CREATE TABLE account (balance INTEGER); INSERT INTO account VALUES (0);")?;
/// let inbox = Inbox::create(&bank)?;
/// let id: ActionId = "1564508138460 380:phone:tab 0".parse()?;
/// for _ in 0..3 {
///     pay(&mut bank, inbox, &id, 5)?;
/// }
/// assert_eq!(bank.query_one("SELECT balance FROM account", [], |row| row.get::<_, i64>(0))?, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Ask first of all in a transaction: then another one with the same action waits for its end from the beginning. A transaction that is
/// rolled back forgets the id with all the rest.
///
/// # How long to remember
/// An action comes again until the server has kept its answer, which is soon, or after the server's next start. Then the server's log knows it, for
/// [`Settings::remembered`](https://docs.rs/logux-server) actions. So a day is long for a server with a durable log; with a log in memory, as long as
/// clients stay offline. Call [`forget_older_than`](Self::forget_older_than) or [`forget_all_but`](Self::forget_all_but) now and then.
#[derive(Clone, Copy, Debug)]
pub struct Inbox(());

impl Inbox {
    /// The inbox in a database. Makes its table `logux_inbox` if it is not there: `id`, the text of an action id as a blob, and `arrived`, in
    /// milliseconds since the epoch.
    ///
    /// # Errors
    /// When the database fails.
    pub fn create(db: &Connection) -> Result<Self, SqliteError> {
        db.execute_batch(
            "CREATE TABLE IF NOT EXISTS logux_inbox (id BLOB PRIMARY KEY, arrived INTEGER NOT NULL) STRICT, WITHOUT ROWID;
             CREATE INDEX IF NOT EXISTS logux_inbox_arrived ON logux_inbox (arrived);",
        )?;
        Ok(Self(()))
    }

    /// Remembers an action; `true` if it was not known, so that it has to be done, within this transaction. O(log n).
    ///
    /// # Errors
    /// When the database fails, also when it stays locked by others for longer than `busy_timeout`. Roll back then.
    pub fn first_time(
        self,
        transaction: &Transaction<'_>,
        id: &ActionId,
    ) -> Result<bool, SqliteError> {
        let statement = "INSERT INTO logux_inbox (id, arrived)
            VALUES (?1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) ON CONFLICT DO NOTHING";
        let added = transaction.prepare_cached(statement)?.execute([id.to_string().as_bytes()])?;
        Ok(added == 1)
    }

    /// Forgets the actions that arrived longer ago than this by the machine's clock, and returns how many they were. O(forgotten · log n).
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_older_than(self, db: &Connection, age: Duration) -> Result<usize, SqliteError> {
        let statement = "DELETE FROM logux_inbox WHERE arrived < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1";
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX / 2);
        Ok(db.prepare_cached(statement)?.execute([age])?)
    }

    /// Forgets all actions but the latest `count`, and returns how many they were. O(count + forgotten · log n).
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_all_but(self, db: &Connection, count: u64) -> Result<usize, SqliteError> {
        let statement = "DELETE FROM logux_inbox WHERE (arrived, id) <= (
                SELECT arrived, id FROM logux_inbox ORDER BY arrived DESC, id DESC LIMIT 1 OFFSET ?1
            )";
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        Ok(db.prepare_cached(statement)?.execute(params![count])?)
    }
}
