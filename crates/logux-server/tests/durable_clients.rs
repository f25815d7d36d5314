//! Clients that keep their data in a file, over real sockets.

use std::{
    collections::HashSet,
    env,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use logux::{
    Action,
    crdt::{Crdt, List, ListError, ListOp, Shared},
    server::{LogQuery, Retention},
    testing::{CrashStore, FailingStore, StoreFailure},
};
use logux_client::{Client, DocumentHandle, OpenError, SyncError};
use logux_net::WebSocketConnector;
use logux_server::{MemoryDocuments, RunningServer, Server};
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
        .documents::<List>("lists", MemoryDocuments::new(), |kind| {
            kind.access(|_| async { Ok(true) }).created_by_edits().undoable()
        })
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
    let milk = ada.edit(push("milk")).kept().await.expect("kept").id().clone();
    let bread = ada.edit(push("bread")).kept().await.expect("kept").id().clone();
    let client = ada.client().node_id().client_id().to_owned();
    ada.client().clone().close().await;
    assert!(matches!(ada.edit(push("eggs")).await, Err(SyncError::Stopped(_))));

    let mut ada = open("ada", &file, port).await;
    assert_eq!(ada.state().to_json(), json!(["milk", "bread"]), "before there is a network");
    assert_eq!(ada.client().node_id().client_id(), client);
    assert_ne!(ada.client().node_id(), *milk.node(), "each start is a node of its own");
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
async fn undo_and_redo_survive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, port) = (folder.path().join("app.db"), free_port());
    let ada = open("ada", &file, port).await;
    ada.edit(push("milk")).kept().await.expect("kept");
    ada.close_step().await.expect("running");
    let bread = ada.edit(push("bread")).kept().await.expect("kept").id().clone();
    assert!(ada.undo().await.expect("running").is_some());
    assert_eq!(ada.state().to_json(), json!(["milk"]));
    ada.client().clone().close().await;

    let ada = open("ada", &file, port).await;
    assert!(ada.can_undo() && ada.can_redo());
    assert!(ada.redo().await.expect("running").is_some());
    assert_eq!(ada.state().to_json(), json!(["milk", "bread"]));
    let server = server(port).await;
    ada.client().subscribe("lists/1").await.expect("subscribed");
    let query = LogQuery::kept_for(&Retention::forever("lists/1"));
    let kept = server.handle().log_page(query).await.expect("a page").entries;
    assert_eq!(kept.last().map(|entry| &entry.meta.id), Some(&bread), "with its first id");
    ada.client().clone().close().await;

    let ada = open("ada", &file, port).await;
    assert!(ada.undo().await.expect("running").is_some());
    let eve = folder.path().join("eve.db");
    let mut eve = open("eve", &eve, port).await;
    let milk = eve.until(|list| list.to_json() == json!(["milk"]));
    timeout(TIMEOUT, milk).await.expect("in time").expect("a state");
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
    client.sync(note()).kept().await.expect("kept");
    switch.set(Some(StoreFailure::Full));
    let refused = client.sync(note()).await;
    assert!(
        matches!(&refused, Err(SyncError::Stopped(why)) if why.contains("full")),
        "{refused:?}"
    );
}

/// The variables of the process that [`what_was_kept_survives_kills`] starts: the file of its
/// client, and the port of the server.
const CHILD_FILE: &str = "LOGUX_TEST_CLIENT_FILE";
const CHILD_PORT: &str = "LOGUX_TEST_CLIENT_PORT";

fn client(file: &Path, port: u16) -> Client {
    let connector = WebSocketConnector::new(&format!("ws://127.0.0.1:{port}")).expect("a URL");
    Client::builder("ada").expect("a user").file(file).expect("a file").start(connector)
}

/// Adds actions, and prints the id of each when it is kept, until it is killed. Only in a process
/// of the test below.
#[tokio::test(flavor = "multi_thread")]
async fn child_writes_until_it_is_killed() {
    let (Ok(file), Ok(port)) = (env::var(CHILD_FILE), env::var(CHILD_PORT)) else { return };
    let client = client(file.as_ref(), port.parse().expect("a port"));
    loop {
        let note = Action::new(r#"{"type":"note"}"#).expect("an action");
        let added = client.sync(note).kept().await.expect("kept");
        println!("kept {}", added.id());
    }
}

/// A process that writes is killed again and again, half of the times while it is connected. All
/// that it was told to be kept reaches the server, and is processed once. `LOGUX_KILLS` is the
/// number of kills.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_survives_kills() {
    let kills = env::var("LOGUX_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(30);
    let processed = Arc::new(Mutex::new(Vec::new()));
    let by_handler = processed.clone();
    let server = Server::builder()
        .auth(|_| async { Ok(true) })
        .action_type("note", |action| {
            action.access(|_| async { Ok(true) }).process(move |context| {
                by_handler.lock().expect("no panic").push(context.meta().id.to_string());
                async { Ok(()) }
            })
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let port = server.address().port();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("app.db");
    let mut kept = HashSet::new();
    for kill in 0..kills {
        let is_connected = kill % 2 == 1;
        let mut child = Command::new(env::current_exe().expect("the tests"))
            .args(["--exact", "child_writes_until_it_is_killed", "--nocapture"])
            .env(CHILD_FILE, &file)
            .env(CHILD_PORT, if is_connected { port } else { free_port() }.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let lines = BufReader::new(child.stdout.take().expect("an output")).lines();
        let ids = lines.map_while(Result::ok);
        let mut ids = ids.filter_map(|line| Some(line.split_once("kept ")?.1.to_owned()));
        // At another point of its work each time.
        let actions = if is_connected { 20 + kill * 31 % 180 } else { 1 + kill * 7 % 23 };
        kept.extend(ids.by_ref().take(actions));
        child.kill().expect("killed");
        kept.extend(ids);
        child.wait().expect("ended");
    }
    let before = processed.lock().expect("no panic").len();
    assert!(before > kills, "{before} actions were processed while their authors were killed");
    let client = client(&file, port);
    // It is processed after all that was kept.
    let last = Action::new(r#"{"type":"note","last":true}"#).expect("an action");
    timeout(TIMEOUT, client.sync(last)).await.expect("in time").expect("processed");
    let processed = processed.lock().expect("no panic");
    let distinct: HashSet<String> = processed.iter().cloned().collect();
    assert_eq!(distinct.len(), processed.len(), "each of them once");
    let lost: Vec<_> = kept.difference(&distinct).collect();
    assert!(lost.is_empty(), "of {} kept actions, these are lost: {lost:?}", kept.len());
}
