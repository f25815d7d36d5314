//! Clients that keep their data in a file, over real sockets.

use std::{net::TcpListener, path::Path, time::Duration};

use logux::{
    Action,
    crdt::{Crdt, List, ListError, ListOp, Shared},
    server::{LogQuery, Retention},
    testing::{CrashStore, FailingStore, StoreFailure},
};
use logux_client::{Client, DocumentHandle, OpenError, SyncError};
use logux_net::WebSocketConnector;
use logux_server::{RunningServer, Server};
use logux_sqlite::SqliteError;
use serde_json::json;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(20);

type Tasks = DocumentHandle<Shared<List>>;

fn shared() -> Shared<List> {
    Shared::new("lists", "1")
}

/// Returns a port that nothing listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

async fn server(port: u16) -> RunningServer {
    Server::builder()
        .auth(|_| async { Ok(true) })
        .documents::<List>("lists", |kind| kind.access(|_, _, _| async { Ok(true) }).undoable())
        .listen(([127, 0, 0, 1], port).into())
        .await
        .expect("a server")
}

/// Starts a client with a file.
async fn open(user: &str, file: &Path, port: u16) -> Tasks {
    let connector = WebSocketConnector::new(&format!("ws://127.0.0.1:{port}")).expect("a URL");
    let builder = Client::builder(user).expect("a user").file(file).expect("a file");
    builder.start(connector).document::<List>("lists", "1").await.expect("open")
}

fn push(name: &'static str) -> impl FnOnce(&List, &logux::ActionId) -> Option<Action> + Send {
    move |list, id| {
        let op: Result<ListOp, ListError> = list.push_op(json!(name), id);
        shared().action(&[op.ok()?]).ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_continues_where_the_old_one_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, port) = (folder.path().join("app.db"), free_port());
    // There is no server yet.
    let ada = open("ada", &file, port).await;
    let milk = ada.add(push("milk")).await.expect("kept").expect("an action").id().clone();
    let bread = ada.add(push("bread")).await.expect("kept").expect("an action").id().clone();
    let client = ada.client().node_id().client_id().to_owned();
    ada.client().clone().close().await;
    assert!(matches!(ada.edit(push("eggs")).await, Err(SyncError::Stopped(_))));

    let mut ada = open("ada", &file, port).await;
    assert_eq!(ada.state().to_json(), json!(["milk", "bread"]), "before there is a network");
    assert_eq!(ada.client().node_id().client_id(), client);
    assert_ne!(ada.client().node_id(), milk.node(), "each start is a node of its own");
    let server = server(port).await;
    ada.client().subscribe("lists/1").await.expect("subscribed");
    timeout(TIMEOUT, ada.edit(push("tea"))).await.expect("in time").expect("processed");
    let query = LogQuery::kept_for(&Retention::forever("lists/1"));
    let kept = server.handle().log_page(query).await.expect("a page").entries;
    let ids: Vec<_> = kept.iter().map(|entry| entry.meta.id.clone()).collect();
    assert_eq!(ids[..2], [milk, bread], "with the ids of their first start");
    assert_eq!(ids.len(), 3, "each of them once");
    let state = ada.until(|list| list.len() == 3).await.expect("a state");
    assert_eq!(state.to_json(), json!(["milk", "bread", "tea"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_of_one_user_and_of_one_client_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("app.db");
    let ada = open("ada", &file, free_port()).await;
    let in_use = Client::builder("ada").expect("a user").file(&file);
    assert!(matches!(in_use, Err(OpenError::Store(SqliteError::InUse { .. }))), "{in_use:?}");
    ada.client().clone().close().await;
    let other = Client::builder("bob").expect("a user").file(&file).expect_err("of Ada");
    assert_eq!(
        other.to_string(),
        "the store has the data of the user ada, expected bob: \
         choose another store, or remove the data of ada"
    );
    Client::builder("ada").expect("a user").file(&file).expect("still there");
    let damaged = folder.path().join("damaged.db");
    std::fs::write(&damaged, vec![7; 10_000]).expect("written");
    let error = Client::builder("ada").expect("a user").file(&damaged).expect_err("damaged");
    assert!(matches!(error, OpenError::Store(SqliteError::NotADatabase { .. })), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_store_fails_says_so() {
    let (store, switch) = FailingStore::over(CrashStore::new());
    let connector =
        WebSocketConnector::new(&format!("ws://127.0.0.1:{}", free_port())).expect("a URL");
    let builder = Client::builder("ada").expect("a user").store(store).expect("a store");
    let client = builder.start(connector);
    let note = || Action::new(r#"{"type":"note"}"#).expect("an action");
    client.add(note()).await.expect("kept");
    switch.set(Some(StoreFailure::Full));
    let refused = client.sync(note()).await;
    assert!(
        matches!(&refused, Err(SyncError::Stopped(why)) if why.contains("full")),
        "{refused:?}"
    );
}
