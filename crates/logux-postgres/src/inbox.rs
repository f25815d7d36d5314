//! The ids of actions that were processed in an application's own database.

use std::time::Duration;

use logux::ActionId;
use sqlx::{PgExecutor, Postgres, Transaction};

use crate::PostgresError;

/// A table with the ids of processed actions in an application's own PostgreSQL database, so that
/// each action is processed exactly once.
///
/// A server retries an action if the server or the connection to your database failed before the
/// answer was stored. The database may have committed before that, and processing the action again
/// would repeat its effect. With this table the transaction of the action also inserts the action's
/// id, so both are stored or neither. The table is created by [`migrate`](crate::migrate).
///
/// ```no_run
/// use logux::ActionId;
/// use logux_postgres::{PostgresInbox, sqlx::{self, PgPool}};
///
/// /// What `process` of an action type does with `context.meta().id`.
/// async fn pay(bank: &PgPool, id: &ActionId, amount: i64) -> Result<(), Box<dyn std::error::Error>> {
///     let mut transaction = bank.begin().await?;
///     if PostgresInbox.insert(&mut transaction, id).await? {
///         sqlx::query("UPDATE account SET balance = balance + $1").bind(amount).execute(&mut *transaction).await?;
///     }
///     Ok(transaction.commit().await?)
/// }
/// ```
///
/// Call [`insert`](Self::insert) first in a transaction: then a concurrent transaction with the
/// same action waits for it. A rollback removes the id too. With an isolation level stricter than
/// `READ COMMITTED` the waiting transaction fails and has to be retried.
///
/// # How long to keep ids
/// The server retries an action until it has stored the answer: within a moment, or after its next
/// start. After that the log of the server recognizes the action, for as many actions as
/// `logux-server` is configured to remember. So one day is ample for a server with a durable log;
/// with an in-memory log, keep ids for as long as clients may be offline. Call
/// [`forget_older_than`](Self::forget_older_than) or [`forget_all_but`](Self::forget_all_but)
/// regularly.
#[derive(Clone, Copy, Debug, Default)]
pub struct PostgresInbox;

impl PostgresInbox {
    /// Inserts the id of an action. Returns `true` if it was new: the action has to be processed in
    /// this transaction. Waits for a concurrent transaction that has inserted the same id. O(log
    /// n).
    ///
    /// # Errors
    /// If the database fails. Roll back then.
    pub async fn insert(
        self,
        transaction: &mut Transaction<'_, Postgres>,
        id: &ActionId,
    ) -> Result<bool, PostgresError> {
        let added = sqlx::query("INSERT INTO logux_inbox (id) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(id.to_string().into_bytes())
            .execute(&mut **transaction)
            .await?;
        Ok(added.rows_affected() == 1)
    }

    /// Removes ids older than `age` by the database's clock and returns their number. O(removed ·
    /// log n).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_older_than(
        self,
        db: impl PgExecutor<'_>,
        age: Duration,
    ) -> Result<u64, PostgresError> {
        // PostgreSQL's times have a limited range; 100 years are more than enough.
        let age = age.min(Duration::from_secs(3_155_760_000)).as_secs_f64();
        let statement =
            "DELETE FROM logux_inbox WHERE arrived < clock_timestamp() - make_interval(secs => $1)";
        Ok(sqlx::query(statement).bind(age).execute(db).await?.rows_affected())
    }

    /// Removes all ids except the latest `count` and returns their number. O(count + removed · log
    /// n).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_all_but(
        self,
        db: impl PgExecutor<'_>,
        count: u64,
    ) -> Result<u64, PostgresError> {
        let statement = "DELETE FROM logux_inbox WHERE (arrived, id) <= (
                SELECT arrived, id FROM logux_inbox ORDER BY arrived DESC, id DESC LIMIT 1 OFFSET $1
            )";
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        Ok(sqlx::query(statement).bind(count).execute(db).await?.rows_affected())
    }
}
