//! Calls of a database in a file, from tasks that must not block.

use logux_sqlite::Database;

use crate::error::HandlerError;

/// Runs a call on a thread for blocking work.
pub(crate) async fn on_blocking_thread<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, HandlerError> + Send + 'static,
) -> Result<T, HandlerError> {
    tokio::task::spawn_blocking(call).await?
}

/// Runs a short call: at once if the database is ready, as it is when the hub calls a handler, so
/// that the answer belongs to the same round and commit of the hub. Otherwise on a thread for
/// blocking work, because it could wait for a commit or for another process.
pub(crate) async fn when_ready<T: Send + 'static>(
    database: &Database,
    call: impl FnOnce() -> Result<T, HandlerError> + Send + 'static,
) -> Result<T, HandlerError> {
    if database.is_ready_to_write() {
        return call();
    }
    on_blocking_thread(call).await
}
