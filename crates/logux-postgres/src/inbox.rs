//! Actions that an application has done in a database of its own.

use std::time::Duration;

use logux::ActionId;
use sqlx::{PgExecutor, Postgres, Transaction};

use crate::PostgresError;

/// Remembers in your own PostgreSQL database which actions it has taken in, so that none is done twice, whatever is cut when.
///
/// A server asks again to process an action when it, or the way to your database, broke down before the answer was safe. If the database had committed by
/// then, doing it again would be once too often. So the id of the action goes into the same transaction as what the action does: both are there,
/// or neither. The table is made by [`migrate`](crate::migrate).
///
/// ```no_run
/// use logux::ActionId;
/// use logux_postgres::{Inbox, sqlx::{self, PgPool}};
///
/// /// What `process` of an action type does with `context.meta().id`.
/// async fn pay(bank: &PgPool, id: &ActionId, amount: i64) -> Result<(), Box<dyn std::error::Error>> {
///     let mut transaction = bank.begin().await?;
///     if Inbox.first_time(&mut transaction, id).await? {
///         sqlx::query("UPDATE account SET balance = balance + $1").bind(amount).execute(&mut *transaction).await?;
///     }
///     Ok(transaction.commit().await?)
/// }
/// ```
///
/// Ask first of all in a transaction: then another one with the same action waits for its end from the beginning. A transaction that is
/// rolled back forgets the id with all the rest. In an isolation stricter than `READ COMMITTED` the one that has waited fails, and has to be tried again.
///
/// # How long to remember
/// An action comes again until the server has kept its answer, which is soon, or after the server's next start. Then the server's log knows it, for
/// [`Settings::remembered`](https://docs.rs/logux-server) actions. So a day is long for a server with a durable log; with a log in memory, as long as
/// clients stay offline. Call [`forget_older_than`](Self::forget_older_than) or [`forget_all_but`](Self::forget_all_but) now and then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inbox;

impl Inbox {
    /// Remembers an action; `true` if it was not known, so that it has to be done, within this transaction. Waits for another transaction
    /// that has asked for the same action. O(log n).
    ///
    /// # Errors
    /// When the database fails. Roll back then.
    pub async fn first_time(
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

    /// Forgets the actions that arrived longer ago than this by the database's clock, and returns how many they were. O(forgotten · log n).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_older_than(
        self,
        db: impl PgExecutor<'_>,
        age: Duration,
    ) -> Result<u64, PostgresError> {
        // A century is for ever; PostgreSQL's times end somewhere.
        let age = age.min(Duration::from_secs(3_155_760_000)).as_secs_f64();
        let statement =
            "DELETE FROM logux_inbox WHERE arrived < clock_timestamp() - make_interval(secs => $1)";
        Ok(sqlx::query(statement).bind(age).execute(db).await?.rows_affected())
    }

    /// Forgets all actions but the latest `count`, and returns how many they were. O(count + forgotten · log n).
    ///
    /// # Errors
    /// When the database fails.
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
