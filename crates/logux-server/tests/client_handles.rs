//! What the handles of a client do at awkward moments, in virtual time.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use logux::{
    Action, Json,
    crdt::{Map, MapOp},
    sync::State,
};
use logux_client::{Client, Status, SyncError};
use logux_server::{MemoryDocuments, Server, testing::TestServer};
use logux_sqlite::Database;
use serde_json::{Value, json};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A server with notes and tasks, for users with the token `token`.
fn server() -> TestServer {
    let database = Database::open_in_memory().expect("a database");
    let tasks = database.records().collection("tasks");
    let server = Server::builder()
        .store(database.store())
        .auth(|login| async move { Ok(login.token.as_deref() == Some("token")) })
        .documents::<Map>("notes", MemoryDocuments::new(), |kind| {
            kind.access(|_| async { Ok(true) }).created_by_edits()
        })
        .action_type("counter/inc", |on| on.access(|_| async { Ok(true) }))
        .sync_map("tasks", tasks.clone(), |_, _| async { Ok(true) })
        .sync_map_filter("tasks", tasks, |_, _| async { Ok(true) });
    TestServer::start(server).expect("a server")
}

fn builder(server: &TestServer) -> logux_client::Builder {
    Client::builder("10").expect("a user").token("token").clock(server.clock())
}

fn start(server: &TestServer) -> Client {
    builder(server).start(server.client("10").connector())
}

fn inc() -> Action {
    Action::new(r#"{"type":"counter/inc"}"#).expect("an action")
}

fn title(value: &str) -> [MapOp; 1] {
    let value = Json::from_value(value).expect("a string");
    [MapOp::Set { path: "/title".parse().expect("a path"), value }]
}

async fn connected(client: &Client) {
    assert!(timeout(TIMEOUT, client.reached(State::Synchronized)).await.expect("in time"));
}

#[tokio::test(start_paused = true)]
async fn a_closure_may_have_the_last_handle_of_another_document() {
    let server = server();
    let client = start(&server);
    let one = client.document::<Map>("notes", "1").await.expect("open");
    let two = client.document::<Map>("notes", "2").await.expect("open");
    two.loaded().await.expect("loaded");
    let nothing = one.edit(move |_, _| {
        drop(two);
        None
    });
    assert_eq!(nothing.await, Ok(()));
    assert_eq!(client.subscriptions().expect("running").len(), 1);
    let three = client.document::<Map>("notes", "3").await.expect("open");
    one.timeline(move |_| drop(three)).await.expect("running");
    assert_eq!(client.subscriptions().expect("running").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_task_panics_ends() {
    let server = server();
    let builder = builder(&server).token_by(|| async { panic!("the application's token") });
    let client = builder.start(server.client("10").connector());
    let pending = client.sync(inc());
    let result = timeout(TIMEOUT, pending).await.expect("in time");
    assert!(matches!(result, Err(SyncError::Stopped(_))));
    assert!(timeout(TIMEOUT, client.ended()).await.is_ok());
    assert!(matches!(client.sync(inc()).await, Err(SyncError::Stopped(_))));
    timeout(TIMEOUT, client.close()).await.expect("in time");
}

#[test]
fn what_was_added_is_kept_when_the_runtime_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("app.db");
    let open = || Client::builder("10").expect("a user").file(&file).expect("a file").paused();
    let connector = || logux_net::WebSocketConnector::new("ws://127.0.0.1:9").expect("a URL");
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (client, pending) = runtime().expect("a runtime").block_on(async {
        let client = open().start(connector());
        let pending = client.sync(inc());
        (client, pending)
    });
    assert!(matches!(client.fate(pending.id()), Err(SyncError::Stopped(_))));
    runtime().expect("a runtime").block_on(async {
        let result = timeout(TIMEOUT, pending).await.expect("in time");
        assert!(matches!(result, Err(SyncError::Stopped(_))));
        let client = open().start(connector());
        assert_eq!(client.unconfirmed_actions().expect("open").len(), 1);
        client.close().await;
    });
}

#[tokio::test(start_paused = true)]
async fn a_client_closes_while_it_waits_for_a_token() {
    let server = server();
    let builder = builder(&server).token_by(std::future::pending);
    let client = builder.start(server.client("10").connector());
    let pending = client.sync(inc()).kept().await.expect("kept");
    client.pause().expect("running");
    client.resume().expect("running");
    timeout(TIMEOUT, client.close()).await.expect("in time");
    assert!(matches!(pending.await, Err(SyncError::Stopped(_))));
}

#[tokio::test(start_paused = true)]
async fn a_new_token_may_be_set_as_soon_as_the_old_one_is_refused() {
    let server = server();
    let builder = builder(&server).token("expired");
    let client = builder.start(server.client("10").connector());
    let mut messages = client.server_messages();
    timeout(TIMEOUT, messages.next()).await.expect("in time").expect("refused");
    client.set_token("token").expect("running");
    connected(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_set_replaces_one_that_is_awaited() {
    let server = server();
    let (give, given) = tokio::sync::oneshot::channel();
    let given = Mutex::new(Some(given));
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let builder = builder(&server).token_by(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        let given = given.lock().expect("not poisoned").take();
        async move { given.expect("asked once").await.expect("a token") }
    });
    let client = builder.start(server.client("10").connector());
    while asked.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    client.set_token("token").expect("running");
    give.send("expired".to_owned()).expect("awaited");
    connected(&client).await;
}

#[tokio::test(start_paused = true)]
async fn loading_ends_when_the_server_refuses_the_client() {
    let server = server();
    let builder = builder(&server).token("expired");
    let client = builder.start(server.client("10").connector());
    let note = client.document::<Map>("notes", "1").await.expect("open");
    for _ in 0..2 {
        let loaded = timeout(TIMEOUT, note.loaded()).await.expect("in time");
        assert_eq!(loaded, Err(SyncError::Stopped("wrong-credentials".into())));
    }
    client.set_token("token").expect("running");
    timeout(TIMEOUT, note.loaded()).await.expect("in time").expect("loaded");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_was_not_watched_tells_that_it_is_loaded() {
    let server = server();
    let client = start(&server);
    let mut list = client.records::<Value>("tasks", json!({})).await.expect("open");
    assert!(list.is_loading());
    // The application does something else.
    tokio::time::sleep(TIMEOUT).await;
    assert!(timeout(TIMEOUT, list.changed()).await.expect("in time"));
    assert!(!list.is_loading());
    assert!(timeout(TIMEOUT, list.changed()).await.is_err(), "nothing else has changed");
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_opened_offline_is_nothing_to_save() {
    let server = server();
    let client = builder(&server).paused().start(server.client("10").connector());
    let note = client.document::<Map>("notes", "1").await.expect("open");
    assert_eq!((client.unconfirmed(), client.status()), (0, Status::Disconnected));
    let edit = note.operate(&title("Tea"));
    assert_eq!(client.unconfirmed(), 1);
    client.resume().expect("running");
    edit.await.expect("processed");
    drop(note);
    assert_eq!(client.flush(TIMEOUT).await, 0);
}

#[tokio::test(start_paused = true)]
async fn another_user_sees_nothing_of_the_former_status() {
    let server = server();
    let client = start(&server);
    connected(&client).await;
    client.pause().expect("running");
    assert!(client.reached(State::Disconnected).await);
    drop(client.sync(inc()));
    assert_eq!(client.flush(Duration::from_secs(1)).await, 1);
    assert_eq!(client.status(), Status::Wait);
    client.change_user("20", Some("token".into())).await.expect("changed");
    assert_eq!((client.status(), client.unconfirmed()), (Status::Disconnected, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_added_after_the_end_has_begun() {
    let server = server();
    let client = start(&server);
    connected(&client).await;
    let other = client.clone();
    let mut closing = std::pin::pin!(client.log_out());
    assert!(futures_util::poll!(&mut closing).is_pending());
    let pending = other.sync(inc());
    assert!(matches!(pending.await, Err(SyncError::Stopped(_))));
    assert_eq!(timeout(TIMEOUT, closing).await.expect("in time"), Ok(vec![]));
}
