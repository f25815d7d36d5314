//! Runs the suite for storages of documents, those of the project.

use logux_server::{MemoryDocuments, testing::document_storage_suite};
use logux_sqlite::Database;

#[cfg(feature = "postgres")]
#[path = "../../logux-postgres/tests/common/mod.rs"]
mod server;

#[tokio::test]
async fn in_memory() {
    let documents = MemoryDocuments::new();
    document_storage_suite::run(async || documents.clone()).await;
    document_storage_suite::run_random(async || documents.clone(), 1..=2).await;
}

#[tokio::test]
async fn on_sqlite() {
    let documents = Database::open_in_memory().expect("a database").documents();
    document_storage_suite::run(async || documents.clone()).await;
    document_storage_suite::run_random(async || documents.clone(), 1..=5).await;
}

/// Lists and the archive are read by a connection of their own.
#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_in_a_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = Database::open(directory.path().join("a.db")).expect("a database");
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    // Commits all the time, as the thread of a hub does.
    let committing = tokio::task::spawn_blocking({
        let database = database.clone();
        move || {
            while stopped.try_recv().is_err() {
                database.commit().expect("a commit");
                std::thread::yield_now();
            }
        }
    });
    let documents = database.documents();
    document_storage_suite::run_random(async || documents.clone(), 1..=2).await;
    stop.send(()).expect("a running task");
    committing.await.expect("no panic");
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql() {
    use logux_postgres::{PostgresDocuments, migrate};

    let server = server::Server::start().await;
    let pool = server.pool(8).await;
    migrate(&pool).await.expect("tables");
    let documents = PostgresDocuments::new(pool);
    document_storage_suite::run(async || documents.clone()).await;
    document_storage_suite::run_random(async || documents.clone(), 1..=1).await;
}
