//! One client with many documents and records, which open and close while it runs.

use std::time::Duration;

use logux::{
    Action, Json,
    client::SubscriptionState::{Ended, Refused, Subscribed},
    crdt::{Crdt as _, List, Map, MapOp, SyncMaps},
    server::Recipients,
};
use logux_client::{Client, SyncError};
use logux_server::{MemoryDocuments, Server, testing::TestServer};
use logux_sqlite::Database;
use serde_json::json;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(20);

fn server() -> TestServer {
    let database = Database::open_in_memory().expect("a database");
    let tasks = database.records().collection("tasks");
    let server = Server::builder()
        .store(database.store())
        .sync_map("tasks", tasks.clone(), |_, _| async { Ok(true) })
        .sync_map_filter("tasks", tasks, |_, _| async { Ok(true) })
        .documents::<Map>("notes", MemoryDocuments::new(), |kind| {
            kind.access(|request| async move { Ok(&**request.id() != "secret") })
                .created_by_edits()
                .undoable()
        });
    TestServer::start(server).expect("a server")
}

async fn client(server: &TestServer, user: &str) -> Client {
    server.client(user).connect().await.expect("connected").client().clone()
}

fn title(value: &str) -> Vec<MapOp> {
    let value = Json::from_value(value).expect("a string");
    vec![MapOp::Set { path: "/title".parse().expect("a path"), value }]
}

#[tokio::test(start_paused = true)]
async fn each_document_has_its_own_state() {
    let server = server();
    let (ada, bob) = (client(&server, "ada").await, client(&server, "bob").await);
    let one = ada.document::<Map>("notes", "1").await.expect("open");
    let two = ada.document::<Map>("notes", "2").await.expect("open");
    one.operate(&title("One")).await.expect("processed");
    two.operate(&title("Two")).await.expect("processed");
    let of = |map: &Map| map.get("/title").map(Json::to_value);
    assert_eq!((of(&one.state()), of(&two.state())), (Some(json!("One")), Some(json!("Two"))));

    let mut theirs = bob.document::<Map>("notes", "2").await.expect("open");
    let received = timeout(TIMEOUT, theirs.until(|map| map.get("/title").is_some()));
    assert_eq!(of(&received.await.expect("in time").expect("a state")), Some(json!("Two")));
    let again = bob.document::<Map>("notes", "2").await.expect("open");
    assert_eq!(of(&again.state()), Some(json!("Two")), "handles share the state");
    let other_type = bob.document::<List>("notes", "2").await.expect_err("another type");
    assert_eq!(other_type, SyncError::OtherType("notes/2".into()));
}

#[tokio::test(start_paused = true)]
async fn a_document_closes_with_its_last_handle_and_opens_again() {
    let server = server();
    let (ada, bob) = (client(&server, "ada").await, client(&server, "bob").await);
    let note = ada.document::<Map>("notes", "1").await.expect("open");
    let clone = note.clone();
    note.operate(&title("Tea")).await.expect("processed");
    drop(note);
    clone.operate(&title("Coffee")).await.expect("still open");
    drop(clone);
    // The client has unsubscribed, so it does not receive this.
    let theirs = bob.document::<Map>("notes", "1").await.expect("open");
    // The clocks must not be equal, so that this is the later write.
    tokio::time::advance(Duration::from_secs(1)).await;
    theirs.operate(&title("Milk")).await.expect("processed");
    let mut note = ada.document::<Map>("notes", "1").await.expect("open");
    let is_milk = |map: &Map| map.get("/title") == Some(&json!("Milk").into());
    timeout(TIMEOUT, note.until(is_milk)).await.expect("in time").expect("a state");
}

#[tokio::test(start_paused = true)]
async fn records_are_kept_up_to_date() {
    let server = server();
    let (ada, bob) = (client(&server, "ada").await, client(&server, "bob").await);
    let mut tasks = ada.records::<Json>("tasks", json!({})).await.expect("open");
    let create = json!({"type": "tasks/create", "id": "7", "fields": {"title": "Tea"}});
    ada.sync(Action::try_from(create).expect("an action")).await.expect("processed");
    assert_eq!(tasks.list(), [json!({"id": "7", "title": "Tea"}).into()]);
    let mut theirs = bob.records::<Json>("tasks", json!({})).await.expect("open");
    let loaded = timeout(TIMEOUT, theirs.until(|tasks| !tasks.is_empty()));
    loaded.await.expect("in time").expect("the record");
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_document_stays_empty() {
    let server = server();
    let ada = client(&server, "ada").await;
    let secret = ada.document::<Map>("notes", "secret").await.expect("open");
    let refused = secret.operate(&title("x")).await;
    assert!(matches!(refused, Err(SyncError::Undone(undo)) if undo.reason == "denied"));
    assert_eq!(secret.state().get("/title"), None);
}

#[tokio::test(start_paused = true)]
async fn the_history_of_a_document_has_its_earlier_states_and_authors() {
    let server = server();
    let (ada, bob) = (client(&server, "ada").await, client(&server, "bob").await);
    let mut note = ada.document::<Map>("notes", "1").await.expect("open");
    let theirs = bob.document::<Map>("notes", "1").await.expect("open");
    note.operate(&title("Tea")).await.expect("processed");
    theirs.operate(&title("Coffee")).await.expect("processed");
    let is_coffee = |map: &Map| map.get("/title") == Some(&json!("Coffee").into());
    timeout(TIMEOUT, note.until(is_coffee)).await.expect("in time").expect("a state");

    let history = note.history().await.expect("a history");
    let authors: Vec<_> = history.iter().map(|stamp| stamp.id().node().user_id()).collect();
    assert_eq!(authors, [Some("ada"), Some("bob")]);
    let first = note.state_at(&history[0]).await.expect("a state");
    assert_eq!(first.get("/title"), Some(&json!("Tea").into()));
    let without = history[1].id().clone();
    let preview = note.timeline(move |timeline| timeline.state_without(&[without]));
    assert_eq!(preview.await.expect("a state"), first);

    // What is undone is not in the history.
    theirs.client().undo(history[1].id(), "mistake").await.expect("undone");
    timeout(TIMEOUT, note.until(|map| !is_coffee(map))).await.expect("in time").expect("a state");
    assert_eq!(note.history().await.expect("a history"), history[..1]);
    ada.close().await;
    assert!(matches!(note.history().await, Err(SyncError::Stopped(_))));
}

#[tokio::test(start_paused = true)]
async fn a_document_tells_what_becomes_of_its_subscription() {
    let server = server();
    let ada = client(&server, "ada").await;
    let mut note = ada.document::<Map>("notes", "1").await.expect("open");
    note.loaded().await.expect("loaded");
    assert_eq!(note.subscription(), Some(Subscribed));
    let other = ada.document::<Map>("notes", "1").await.expect("open");
    assert_eq!(other.subscription(), Some(Subscribed), "it is the same subscription");
    let without = ada.open(SyncMaps::new("tasks")).await.expect("open");
    assert_eq!(without.subscription(), None);
    without.loaded().await.expect("at once");

    server.handle().unsubscribe(Recipients::user("ada"), "notes/1").await;
    let ended = timeout(TIMEOUT, async {
        while note.subscription() == Some(Subscribed) {
            note.changed().await;
        }
    });
    ended.await.expect("in time");
    assert_eq!(note.subscription(), Some(Ended("revoked".into())));
    // To open it again asks again.
    let again = ada.document::<Map>("notes", "1").await.expect("open");
    again.loaded().await.expect("loaded");
    assert_eq!(note.subscription(), Some(Subscribed));

    let secret = ada.document::<Map>("notes", "secret").await.expect("open");
    let refused = secret.loaded().await.expect_err("forbidden");
    let expected =
        SyncError::NotSubscribed { channel: "notes/secret".into(), reason: "denied".into() };
    assert_eq!((refused, secret.subscription()), (expected, Some(Refused("denied".into()))));
}

#[tokio::test(start_paused = true)]
async fn a_user_undoes_and_redoes_only_own_edits() {
    let server = server();
    let (ada, bob) = (client(&server, "ada").await, client(&server, "bob").await);
    let mut note = ada.document::<Map>("notes", "1").await.expect("open");
    let mut theirs = bob.document::<Map>("notes", "1").await.expect("open");
    let has = |key: &'static str, value: Option<&'static str>| {
        move |map: &Map| map.get(key).map(Json::to_value) == value.map(|text| json!(text))
    };
    let set = |key: &str, value: &str| {
        let value = Json::from_value(value).expect("a string");
        vec![MapOp::Set { path: key.parse().expect("a path"), value }]
    };
    assert!(!note.can_undo() && !note.can_redo());
    note.operate(&set("/a", "Ada's")).await.expect("processed");
    theirs.operate(&set("/b", "Bob's")).await.expect("processed");
    timeout(TIMEOUT, note.until(has("/b", Some("Bob's")))).await.expect("in time");

    assert!(note.can_undo());
    assert!(note.undo().await.expect("running").is_some());
    assert!(!note.can_undo() && note.can_redo());
    timeout(TIMEOUT, theirs.until(has("/a", None))).await.expect("in time");
    assert_eq!(theirs.state().to_json(), json!({"b": "Bob's"}));
    assert!(note.redo().await.expect("running").is_some());
    timeout(TIMEOUT, theirs.until(has("/a", Some("Ada's")))).await.expect("in time");
    assert!(note.redo().await.expect("running").is_none());

    // The edits of another user as one step: the server refuses it, and they are back.
    let bobs = note.timeline(|timeline| timeline.actions_by("bob", Default::default()));
    let bobs = bobs.await.expect("running");
    assert_eq!(note.undo_actions(bobs).await.expect("running"), 1);
    timeout(TIMEOUT, note.until(has("/b", Some("Bob's")))).await.expect("in time");
}
