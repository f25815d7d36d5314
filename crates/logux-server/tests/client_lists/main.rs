//! Lists of records on devices with files, in virtual time.

mod absences;
mod convergence;

use std::{path::Path, time::Duration};

use logux::crdt::Map;
use logux_client::{Client, RecordList};
use logux_server::{MemoryDocuments, Server, testing::TestServer};
use logux_sqlite::Database;
use serde_json::Value;
use tokio::time::sleep;

const TIMEOUT: Duration = Duration::from_secs(120);

fn server() -> TestServer {
    let database = Database::open_in_memory().expect("a database");
    let tasks = database.records().collection("tasks");
    let server = Server::builder()
        .store(database.store())
        .documents::<Map>("notes", MemoryDocuments::new(), |kind| {
            kind.access(|_| async { Ok(true) }).created_by_edits()
        })
        .sync_map("tasks", tasks.clone(), |_, _| async { Ok(true) })
        .sync_map_filter("tasks", tasks, |_, _| async { Ok(true) });
    TestServer::start(server).expect("a server")
}

/// Starts a client with a file.
fn start(server: &TestServer, user: &str, file: &Path) -> Client {
    let builder = Client::builder(user).expect("a user").clock(server.clock());
    builder.file(file).expect("a file").start(server.client(user).connector())
}

async fn tasks(client: &Client, filter: &Value) -> RecordList<Value> {
    client.records("tasks", filter.clone()).await.expect("open")
}

/// Waits until everything is processed and received.
async fn settle(client: &Client) {
    assert_eq!(client.flush(TIMEOUT).await, 0);
    sleep(TIMEOUT).await;
}
