//! Live lists of records and single records, in virtual time.

use std::time::Duration;

use logux::client::SubscriptionState::{Refused, Subscribed};
use logux_client::{Client, RecordList, SyncError, testing::TestClient};
use logux_server::{Server, testing::TestServer};
use logux_sqlite::Database;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Task {
    id: String,
    title: String,
    done: bool,
}

fn task(id: &str, title: &str, done: bool) -> Task {
    Task { id: id.into(), title: title.into(), done }
}

fn server() -> TestServer {
    let database = Database::open_in_memory().expect("a database");
    let tasks = database.records().collection("tasks");
    let server = Server::builder()
        .store(database.store())
        .sync_map("tasks", tasks.clone(), |_, id| {
            let is_open = &*id != "secret";
            async move { Ok(is_open) }
        })
        .sync_map_filter("tasks", tasks, |_, _| async { Ok(true) });
    TestServer::start(server).expect("a server")
}

async fn connect(server: &TestServer, user: &str) -> TestClient {
    server.client(user).connect().await.expect("connected")
}

async fn open(client: &Client, filter: Value) -> RecordList<Task> {
    client.records("tasks", filter).await.expect("open")
}

/// Waits until the list has these titles.
async fn titles(list: &mut RecordList<Task>, titles: &[&str]) {
    let has = |list: &[Task]| list.iter().map(|task| &*task.title).eq(titles.iter().copied());
    let reached = timeout(TIMEOUT, list.until(has)).await;
    let reached = reached.unwrap_or_else(|_| panic!("{titles:?}, but {:?}", list.list()));
    reached.expect("running");
}

#[tokio::test(start_paused = true)]
async fn a_list_follows_its_filter() {
    let server = server();
    let (ada, bob) = (connect(&server, "ada").await, connect(&server, "bob").await);
    let mut open_tasks = open(ada.client(), json!({"done": false})).await;
    assert!(open_tasks.is_loading() && open_tasks.is_empty());
    open_tasks.loaded().await.expect("loaded");
    assert!(!open_tasks.is_loading());
    assert_eq!(open_tasks.create("1", &task("", "Tea", false)).await, Ok(()));
    drop(open_tasks.create("2", &task("", "Milk", false)));
    assert_eq!(open_tasks.list(), [task("1", "Tea", false), task("2", "Milk", false)], "at once");

    let mut theirs = open(bob.client(), json!({"done": false})).await;
    titles(&mut theirs, &["Tea", "Milk"]).await;
    drop(theirs.change("1", &json!({"done": true})));
    assert_eq!(theirs.list(), [task("2", "Milk", false)], "it does not match any more");
    titles(&mut open_tasks, &["Milk"]).await;
    // Another filter is another subscription over the same records.
    let mut done = open(bob.client(), json!({"done": true})).await;
    assert_eq!(done.list(), [task("1", "Tea", true)]);
    assert_eq!(bob.client().subscriptions().expect("running").len(), 2);
    assert!(theirs.handle().undo().await.expect("running").is_some());
    titles(&mut theirs, &["Tea", "Milk"]).await;
    titles(&mut open_tasks, &["Tea", "Milk"]).await;
    drop(open_tasks.delete("2"));
    titles(&mut theirs, &["Tea"]).await;
    assert!(done.list().is_empty());

    drop(done);
    tokio::time::sleep(TIMEOUT).await;
    assert_eq!(bob.client().subscriptions().expect("running").len(), 1);
    drop(theirs);
    assert_eq!(bob.client().subscriptions().expect("running").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_list_works_without_a_connection() {
    let server = server();
    let (ada, bob) = (connect(&server, "ada").await, connect(&server, "bob").await);
    let mut list = open(ada.client(), json!({})).await;
    list.loaded().await.expect("loaded");
    ada.disconnect().await;
    drop(list.create("1", &task("", "Tea", false)));
    assert_eq!(list.list(), [task("1", "Tea", false)]);
    let mut other = open(ada.client(), json!({"title": "Tea"})).await;
    assert!(other.is_loading());
    assert_eq!(other.len(), 1, "what the device knows is there");
    ada.reconnect().await.expect("connected");
    other.loaded().await.expect("loaded");
    let mut theirs = open(bob.client(), json!({"title": "Tea"})).await;
    titles(&mut theirs, &["Tea"]).await;

    // The server has forgotten to which records it had subscribed Bob.
    bob.disconnect().await;
    bob.reconnect().await.expect("connected");
    theirs.loaded().await.expect("loaded");
    tokio::time::sleep(TIMEOUT).await;
    drop(list.change("1", &json!({"title": "Milk"})));
    titles(&mut theirs, &[]).await;
    titles(&mut other, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_another_record_is_none_of_the_list() {
    let server = server();
    let ada = connect(&server, "ada").await;
    let mut list = open(ada.client(), json!({"done": true})).await;
    list.loaded().await.expect("loaded");
    while timeout(Duration::from_millis(1), list.changed()).await.is_ok() {}
    let other = task("", "Tea", false);
    list.create("1", &other).await.expect("processed");
    assert!(timeout(TIMEOUT, list.changed()).await.is_err());
    list.change("1", &json!({"done": true})).await.expect("processed");
    assert!(timeout(TIMEOUT, list.changed()).await.expect("in time"));
    assert_eq!(list.ids().map(|id| &**id).collect::<Vec<_>>(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn records_that_do_not_fit_the_type_are_told() {
    let server = server();
    let ada = connect(&server, "ada").await;
    let mut list = open(ada.client(), json!({})).await;
    list.create("1", &json!({"title": 7})).await.expect("processed");
    list.create("2", &task("", "Tea", false)).await.expect("processed");
    assert_eq!(list.list(), [task("2", "Tea", false)]);
    let read = list.read();
    assert!(matches!(&read[..], [(_, Err(_)), (_, Ok(_))]));
    let not_fields = list.create("3", &7).await;
    assert!(matches!(not_fields, Err(SyncError::Undone(undo)) if undo.reason == "wrongFormat"));
    let refused = ada.client().records::<Task>("tasks", 7).await;
    assert!(matches!(refused, Err(SyncError::Filter(_))));
    let mut values: RecordList<Value> =
        ada.client().records("tasks", json!({})).await.expect("open");
    assert_eq!(values.list()[0], json!({"id": "1", "title": 7}));
}

#[tokio::test(start_paused = true)]
async fn one_record_is_open_by_its_id() {
    let server = server();
    let (ada, bob) = (connect(&server, "ada").await, connect(&server, "bob").await);
    let record = ada.client().record::<Task>("tasks", "7").await.expect("open");
    assert_eq!(record.get().expect("readable"), None);
    record.create(&task("", "Tea", false)).await.expect("processed");
    let mut theirs = bob.client().record::<Task>("tasks", "7").await.expect("open");
    theirs.loaded().await.expect("loaded");
    assert_eq!(theirs.subscription(), Some(Subscribed));
    assert_eq!(theirs.get().expect("readable"), Some(task("7", "Tea", false)));
    record.change(&json!({"done": true})).await.expect("processed");
    while theirs.get().expect("readable").is_some_and(|task| !task.done) {
        assert!(timeout(TIMEOUT, theirs.changed()).await.expect("in time"));
    }
    // The server did not have the record when it was opened, and has subscribed its creator since.
    theirs.change(&json!({"title": "Milk"})).await.expect("processed");
    let mut record = record;
    while record.get().expect("readable").is_some_and(|task| task.title != "Milk") {
        assert!(timeout(TIMEOUT, record.changed()).await.expect("in time"));
    }
    assert_eq!(record.subscription(), Some(Subscribed));
    theirs.delete().await.expect("processed");
    assert_eq!(theirs.get().expect("readable"), None);

    let secret = bob.client().record::<Task>("tasks", "secret").await.expect("open");
    let refused = secret.loaded().await;
    assert!(
        matches!(refused, Err(SyncError::NotSubscribed { channel, .. }) if channel == "tasks/secret")
    );
    assert!(matches!(secret.subscription(), Some(Refused(_))));
    assert_eq!(theirs.subscription(), Some(Subscribed), "it is another one");
}
