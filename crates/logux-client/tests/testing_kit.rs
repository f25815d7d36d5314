//! Tests of the kit with which users test their application's code.

#![allow(clippy::async_yields_async, reason = "a result is awaited after what a closure does")]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use logux::{
    Action, Json,
    client::UndoOutcome,
    crdt::{Map, MapOp},
    sync::State,
    wire::ErrorMessage,
};
use logux_client::{
    Status, SyncError,
    testing::{ConnectError, FakeServer, START, TestClient, TestError, settle},
};
use serde_json::{Value, json};

fn action(value: &Value) -> Action {
    Action::new(value.to_string()).expect("an action")
}

fn values(actions: &[Action]) -> Vec<Value> {
    actions.iter().map(|action| serde_json::from_str(action.as_json()).expect("JSON")).collect()
}

fn rename(name: &str) -> Value {
    json!({"type": "rename", "name": name})
}

async fn connect(server: &FakeServer, user: &str) -> TestClient {
    server.connect(user).await.expect("connected")
}

fn title(title: &str) -> Vec<MapOp> {
    let path = "/title".parse().expect("a path");
    vec![MapOp::Set { path, value: Json::from_value(title).expect("JSON") }]
}

fn shown(note: &Map) -> Option<&str> {
    note.get("/title").map(Json::as_str)
}

#[tokio::test(start_paused = true)]
async fn actions_are_processed_and_can_be_read() {
    let server = FakeServer::start();
    let client = connect(&server, "10").await;
    assert_eq!(client.node_id().as_str(), "10:1:1");
    let sent = client.sent(client.process(rename("Ada"))).await;
    assert_eq!(values(&sent), [rename("Ada")]);
    let sent = client
        .sent(async { drop(client.client().sync(action(&rename("Bob"))).kept().await) })
        .await;
    assert_eq!(values(&sent), [rename("Bob")], "also what was not waited for");
    assert!(client.sent(async {}).await.is_empty());

    let received = server.received();
    assert_eq!(received.len(), 2);
    assert_eq!(*received[1].meta.id.node(), client.node_id());
    let age = received[0].meta.time.since(START);
    assert!((0..1_000).contains(&age), "times are those of the virtual clock: {age}");
    assert_eq!(connect(&server, "10").await.node_id().as_str(), "10:2:1");
}

#[tokio::test(start_paused = true)]
async fn the_next_actions_are_undone() {
    let server = FakeServer::start();
    let client = connect(&server, "10").await;
    server.undo_next_with("limit", json!({"limit": 5, "type": "no"}));
    server.undo_next("denied");
    let Err(TestError::Undone(undo)) = client.process(rename("Ada")).await else { panic!() };
    assert_eq!((&*undo.reason, undo.action), ("limit", Some(action(&rename("Ada")))));
    assert_eq!(undo.extra, [("limit".to_owned(), Json::from_value(&5).expect("JSON"))]);
    client.expect_denied(rename("Ada")).await;
    client.process(rename("Ada")).await.expect("processed");

    server.undo_next("wrongChannel");
    let refused = client.client().subscribe("users/10").await;
    assert!(matches!(refused, Err(SyncError::Undone(undo)) if undo.reason == "wrongChannel"));
    assert_eq!(server.subscribers("users/10"), []);
}

#[tokio::test(start_paused = true)]
async fn an_action_is_undone_by_its_value() {
    let server = FakeServer::start();
    let client = connect(&server, "10").await;
    server.undo_action(json!({"name": "Bad", "type": "rename"}), "error");
    server.undo_action_with(json!({"type": "b"}), "error", json!({"code": 7}));
    client.process(rename("Good")).await.expect("processed");
    for _ in 0..2 {
        let bad = Action::new(r#"{"type":"rename","name":"Bad"}"#).expect("an action");
        let refused = client.client().sync(bad).await;
        assert!(matches!(refused, Err(SyncError::Undone(undo)) if undo.reason == "error"));
    }
    let Err(TestError::Undone(undo)) = client.process(json!({"type": "b"})).await else { panic!() };
    assert_eq!(undo.extra, [("code".to_owned(), Json::from_value(&7).expect("JSON"))]);
}

#[tokio::test(start_paused = true)]
async fn frozen_actions_are_answered_afterwards() {
    let server = FakeServer::start();
    let client = connect(&server, "10").await;
    let (first, second) = server
        .freeze_processing(async {
            let first = client.client().sync(action(&rename("a"))).kept().await.expect("added");
            let second = client.client().sync(action(&rename("b"))).kept().await.expect("added");
            settle().await;
            assert_eq!(server.received().len(), 2);
            assert_eq!(client.client().state(), State::Synchronized, "it has confirmed them");
            server.undo_next("late");
            (first, second)
        })
        .await;
    assert!(matches!(first.await, Err(SyncError::Undone(undo)) if undo.reason == "late"));
    second.await.expect("processed");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_sent_again() {
    let server = FakeServer::start();
    let client = connect(&server, "10").await;
    let pending = server.freeze_processing(async {
        let pending = client.client().sync(action(&rename("a"))).kept().await.expect("added");
        settle().await;
        client.disconnect().await;
        pending
    });
    let pending = pending.await;
    let sent = client.sent(async {
        client.reconnect().await.expect("reconnected");
        pending.await.expect("processed");
    });
    assert_eq!(sent.await, [], "it was confirmed");
    assert_eq!(server.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn actions_wait_for_a_connection() {
    let server = FakeServer::start();
    let connector = server.connector();
    connector.cut();
    let builder = server.client("10").expect("a user");
    let client = TestClient::start(builder, connector);
    let pending = client.client().sync(action(&rename("a"))).kept().await.expect("added");
    settle().await;
    assert_eq!(server.received(), []);
    client.reconnect().await.expect("connected");
    pending.await.expect("processed");

    client.disconnect().await;
    let sent = client.sent(client.client().sync(action(&rename("b"))).kept()).await;
    assert_eq!(sent, [], "there is no connection");
    let sent = client.sent(client.reconnect()).await;
    assert_eq!(values(&sent), [rename("b")]);
    assert_eq!(server.received().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_channel_has_actions_for_its_subscribers() {
    let server = FakeServer::start();
    server.on_channel("users/10", [rename("Old")]);
    server.on_channel("users/10", [rename("Ada"), json!({"type": "age", "age": 36})]);
    let client = connect(&server, "10").await;
    let received = client.subscribe("users/10").await.expect("subscribed");
    assert_eq!(values(&received), [rename("Ada"), json!({"type": "age", "age": 36})]);
    assert_eq!(server.subscribers("users/10"), [client.node_id()]);
    client.disconnect().await;
    assert_eq!(server.subscribers("users/10"), [], "a subscription ends with its connection");
    client.reconnect().await.expect("reconnected");
    settle().await;
    assert_eq!(server.subscribers("users/10"), [client.node_id()]);
    client.unsubscribe("users/10").await.expect("unsubscribed");
    assert_eq!(server.subscribers("users/10"), []);
}

#[tokio::test(start_paused = true)]
async fn subscribers_receive_actions_of_others() {
    let server = FakeServer::start();
    server.resend("rename", |action| action.str_field("name").map(|name| format!("users/{name}")));
    let [ada, bob, eve] = [
        connect(&server, "ada").await,
        connect(&server, "bob").await,
        connect(&server, "eve").await,
    ];
    for client in [&ada, &bob] {
        client.subscribe("users/Ada").await.expect("subscribed");
    }
    let to_author = ada.received(async {
        let to_other = eve.received(bob.received(async {
            ada.process(rename("Ada")).await.expect("processed");
            ada.process(rename("Eve")).await.expect("processed");
            ada.process(json!({"type": "secret"})).await.expect("processed");
        }));
        assert_eq!(to_other.await, [], "it is not subscribed");
    });
    assert_eq!(to_author.await, []);
    let received = bob.received(ada.process(rename("Ada"))).await;
    assert_eq!(values(&received), [rename("Ada")]);

    // A later subscriber receives what is kept.
    assert_eq!(eve.subscribe("users/Ada").await.expect("subscribed"), []);
    server.keep_actions();
    let action_id =
        ada.client().sync(action(&rename("Ada"))).kept().await.expect("added").id().clone();
    settle().await;
    let later = connect(&server, "later").await;
    let received = later.subscribe("users/Ada").await.expect("subscribed");
    assert_eq!(values(&received), [rename("Ada")]);
    let since = json!({"id": action_id.to_string(), "time": action_id.time().as_millis()});
    let subscribe = json!({"type": "logux/subscribe", "channel": "users/Ada", "since": since});
    let another = connect(&server, "another").await;
    assert_eq!(another.process(subscribe).await.expect("subscribed"), [], "nothing is later");
}

/// The subscription ends with the connection, so the repeated one begins it again.
#[tokio::test(start_paused = true)]
async fn a_subscription_whose_answer_is_lost_begins_again() {
    let server = FakeServer::start();
    let client = connect(&server, "10").await;
    let subscribing = tokio::spawn({
        let client = client.client().clone();
        async move { client.subscribe("users/10").await }
    });
    // Tasks run in the order in which they become ready: before the answer is forwarded.
    let cut = tokio::spawn({
        let (server, connector) = (server.clone(), client.connector().clone());
        async move {
            server.received_when(|received| received.len() == 1).await;
            connector.cut();
        }
    });
    cut.await.expect("no panic");
    settle().await;
    assert!(!subscribing.is_finished());
    let sent = client.sent(client.reconnect()).await;
    assert_eq!(sent.len(), 1, "it was not confirmed");
    subscribing.await.expect("no panic").expect("subscribed");
    assert_eq!(server.subscribers("users/10"), [client.node_id()]);
    assert_eq!(server.received().len(), 1, "it is the same action");
}

/// `since` of a repeated subscription is the answer to the former one.
#[tokio::test(start_paused = true)]
async fn a_channel_has_what_a_subscriber_has_missed() {
    let server = FakeServer::start();
    server.resend("rename", |_| ["users"]);
    server.keep_actions();
    let [ada, bob] = [connect(&server, "ada").await, connect(&server, "bob").await];
    ada.process(rename("a")).await.expect("processed");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(values(&bob.subscribe("users").await.expect("subscribed")), [rename("a")]);
    bob.disconnect().await;
    tokio::time::advance(Duration::from_secs(1)).await;
    ada.process(rename("b")).await.expect("processed");
    let received = bob.received(async { bob.reconnect().await.expect("reconnected") }).await;
    assert_eq!(values(&received), [rename("b")]);
}

#[tokio::test(start_paused = true)]
async fn the_functions_of_a_test_may_use_the_server() {
    let server = FakeServer::start();
    let asked = server.clone();
    server.resend("rename", move |_| [format!("users/{}", asked.received().len())]);
    let asked = server.clone();
    server.auth(move |_| match asked.received().len() {
        0 => Ok(()),
        _ => Err(ErrorMessage::wrong_credentials()),
    });
    let [ada, bob] = [connect(&server, "ada").await, connect(&server, "bob").await];
    bob.subscribe("users/1").await.expect("subscribed");
    let received = bob.received(ada.process(rename("Ada"))).await;
    assert_eq!(values(&received), [rename("Ada")]);
    server.connect("eve").await.expect_err("the server has received something");
}

#[tokio::test(start_paused = true)]
async fn the_server_and_other_users_send_actions() {
    let server = FakeServer::start();
    let [ada, bob] = [connect(&server, "ada").await, connect(&server, "bob").await];
    let mut actions = ada.client().actions();
    let id = server.send_all(rename("a"));
    let other = server.send_as("carl", rename("b"));
    settle().await;
    let received = [actions.next().await.expect("an action"), actions.next().await.expect("one")];
    assert_eq!(received.map(|entry| entry.meta.id), [id.clone(), other.clone()]);
    assert_eq!((id.node().as_str(), other.node().user_id()), ("server:fake", Some("carl")));

    // With channels, only their subscribers receive it.
    server.resend("rename", |_| ["users"]);
    bob.subscribe("users").await.expect("subscribed");
    let for_ada = ada.received(async {
        let for_bob = bob.received(async { server.send_as("carl", rename("c")) }).await;
        assert_eq!(values(&for_bob), [rename("c")]);
    });
    assert_eq!(for_ada.await, []);
}

#[tokio::test(start_paused = true)]
async fn documents_are_shared_with_their_undos() {
    let server = FakeServer::start();
    server.documents("notes");
    let [ada, bob] = [connect(&server, "ada").await, connect(&server, "bob").await];
    let here = ada.client().document::<Map>("notes", "7").await.expect("open");
    let mut there = bob.client().document::<Map>("notes", "7").await.expect("open");
    there.loaded().await.expect("loaded");
    let edit = here.operate(&title("Tea"));
    let id = edit.id().clone();
    edit.await.expect("processed");
    there.until(|note| shown(note) == Some("\"Tea\"")).await.expect("the edit");
    let undone = ada.client().undo(&id, "mistake").await.expect("undone");
    let UndoOutcome::Added(undo) = undone else { panic!("it was sent") };
    let undo_id = undo.id().clone();
    undo.await.expect("processed");
    there.until(|note| shown(note).is_none()).await.expect("the undo");
    let carl = connect(&server, "carl").await;
    let mut late = carl.client().document::<Map>("notes", "7").await.expect("open");
    settle().await;
    assert_eq!(shown(&late.state()), None);
    ada.client().undo(&undo_id, "redo").await.expect("redone");
    late.until(|note| shown(note) == Some("\"Tea\"")).await.expect("the redo");

    let unknown = json!({"type": "logux/undo", "id": "1 ada:1:1 0", "reason": "mistake"});
    ada.expect_undo("notFound", unknown).await;
}

#[tokio::test(start_paused = true)]
async fn records_are_shared() {
    let server = FakeServer::start();
    server.records("tasks");
    let [ada, bob] = [connect(&server, "ada").await, connect(&server, "bob").await];
    ada.process(json!({"type": "tasks/create", "id": "1", "fields": {"text": "Tea"}}))
        .await
        .expect("processed");
    // The log of the author does not have it either: the records were not open.
    for client in [ada, bob] {
        let tasks = client.client().records::<Value>("tasks", json!({}));
        let mut tasks = tasks.await.expect("open");
        let found = tasks.until(|tasks| tasks.len() == 1).await.expect("the record");
        assert_eq!(found, [json!({"id": "1", "text": "Tea"})]);
    }
}

#[tokio::test(start_paused = true)]
async fn logins_are_refused() {
    let server = FakeServer::start();
    server.auth(|login| match login.secret.as_deref() {
        Some("1") => Ok(()),
        Some(_) => Err(ErrorMessage::wrong_credentials()),
        None => Err(ErrorMessage::new("wrong-subprotocol", None)),
    });
    let refused = server.connect("10").await.expect_err("no token");
    assert_eq!(refused, ConnectError::Refused("wrong-subprotocol".into()));
    let builder = server.client("10").expect("a user").token("0");
    let refused = TestClient::connect(builder, server.connector()).await.expect_err("wrong");
    assert_eq!(refused, ConnectError::Refused("wrong-credentials".into()));

    let asked = AtomicUsize::new(0);
    let builder = server.client("10").expect("a user").token_by(move || {
        let token = asked.fetch_add(1, Ordering::SeqCst).to_string();
        async move { token }
    });
    TestClient::connect(builder, server.connector()).await.expect("the second token");
    assert!(matches!(server.connect("1 0").await, Err(ConnectError::Id(_))));
}

/// The data of a device is in its store, not in the kit.
#[cfg(feature = "sqlite")]
#[tokio::test(start_paused = true)]
async fn a_device_restarts_with_its_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("app.db");
    let server = FakeServer::start();
    server.documents("notes");
    let builder = |id| server.client(id).expect("a user").file(&file).expect("a file");
    let client = TestClient::connect(builder("10:phone:1"), server.connector()).await;
    let client = client.expect("connected");
    client.disconnect().await;
    let note = client.client().document::<Map>("notes", "7").await.expect("open");
    drop(tokio::spawn(async move { note.operate(&title("Tea")).await }));
    settle().await;
    client.client().clone().close().await;

    let client = TestClient::start(builder("10:phone:2"), server.connector());
    let note = client.client().document::<Map>("notes", "7").await.expect("open");
    assert_eq!(shown(&note.state()), Some("\"Tea\""));
    let is_edit = |entry: &logux::Entry| entry.action.kind() == "notes/edit";
    let received = server.received_when(|received| received.iter().any(is_edit)).await;
    let edit = received.iter().find(|entry| is_edit(entry)).expect("the edit");
    assert_eq!(edit.meta.id.node().as_str(), "10:phone:1");
}

/// Without a paused clock, a test waits for events.
#[tokio::test(flavor = "multi_thread")]
async fn time_may_be_real() {
    let server = FakeServer::start();
    let client = connect(&server, "10").await;
    let pending = server.freeze_processing(async {
        let pending = client.client().sync(action(&rename("a"))).kept().await.expect("added");
        let received = server.received_when(|received| !received.is_empty()).await;
        assert_eq!(received[0].meta.id, *pending.id());
        pending
    });
    let answered = tokio::time::timeout(Duration::from_secs(10), pending.await).await;
    answered.expect("in time").expect("processed");
}

/// All connections end with the last handle.
#[tokio::test(start_paused = true)]
async fn a_client_that_is_dropped_disconnects() {
    let server = FakeServer::start();
    let client = connect(&server, "10").await;
    client.subscribe("a").await.expect("subscribed");
    drop(client);
    settle().await;
    assert_eq!(server.subscribers("a"), []);
}

/// What an application shows is tested without a server.
#[tokio::test(start_paused = true)]
async fn the_status_follows_what_the_test_does() {
    let server = FakeServer::start();
    let client = connect(&server, "10").await;
    let application = client.client();
    let mut changes = application.status_changes();
    assert_eq!(changes.next().await, Some(Status::Synchronized));
    client.disconnect().await;
    let pending = application.sync(action(&rename("a")));
    settle().await;
    assert_eq!((application.status(), application.unconfirmed()), (Status::Wait, 1));
    client.reconnect().await.expect("reconnected");
    pending.await.expect("processed");
    settle().await;
    assert_eq!(application.status(), Status::SynchronizedAfterWait);
    server.undo_next("denied");
    let refused = application.sync(action(&rename("b"))).await;
    assert!(matches!(refused, Err(SyncError::Undone(_))));
    assert_eq!(application.status(), Status::Denied);

    // The token expires, and the user logs in again.
    server.auth(|login| match login.secret.as_deref() {
        Some("new") => Ok(()),
        _ => Err(ErrorMessage::wrong_credentials()),
    });
    client.disconnect().await;
    assert_eq!(client.reconnect().await, Err(ConnectError::Refused("wrong-credentials".into())));
    assert_eq!(application.status(), Status::WrongCredentials);
    let stopped = application.sync(action(&rename("c"))).await;
    assert!(matches!(stopped, Err(SyncError::Stopped(reason)) if reason == "wrong-credentials"));
    application.set_token("new").expect("running");
    let received = server.received_when(|received| received.len() == 3).await;
    assert_eq!(received[2].action, action(&rename("c")), "it was kept");
}
