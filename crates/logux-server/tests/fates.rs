//! Which later actions of a client a failure undoes, with the handlers of an application, in
//! virtual time.

#![cfg(feature = "testing")]

use std::{sync::Arc, time::Duration};

use logux::server::FateKey;
use logux_server::{
    Builder, HandlerError, Server,
    testing::{TestClient, TestError, TestServer},
};
use serde_json::{Value, json};
use tasks::Tasks;
use tokio::time::sleep;

#[path = "../examples/own_records/tasks.rs"]
mod tasks;

/// A sync map whose record `secret` no client may edit, and types `a` and `b` that fail on demand.
/// All decisions take so long that later actions wait.
fn builder() -> Builder {
    let wait = || sleep(Duration::from_millis(500));
    Server::builder()
        .sync_map("tasks", Arc::new(Tasks::default()), move |_, id| async move {
            wait().await;
            Ok(&*id != "secret")
        })
        .channel("room", move |channel| {
            channel.access(move |_| async move {
                wait().await;
                Ok(true)
            })
        })
        .action_type("a", move |on| {
            on.access(move |context| async move {
                wait().await;
                Ok(context.action().field("fail").is_none())
            })
            .resend(|_| async { Ok("room") })
        })
        .action_type("b", move |on| {
            on.access(|_| async { Ok(true) })
                .process(move |context| async move {
                    wait().await;
                    match context.action().field("fail") {
                        Some(_) => Err(HandlerError::failed("as requested")),
                        None => Ok(()),
                    }
                })
                .fate_key(|action| match action.str_field("record") {
                    Some(record) => format!("tasks/{record}").into(),
                    None => FateKey::none(),
                })
        })
}

/// Makes all actions while the client is offline, reconnects it, and returns the answers:
/// `processed`, or the reason of the undo.
async fn offline<const N: usize>(
    server: &TestServer,
    client: &TestClient,
    actions: [Value; N],
) -> [String; N] {
    client.disconnect().await;
    let answers = actions.map(|action| async move {
        match client.process(action).await {
            Ok(_) => "processed".to_owned(),
            Err(TestError::Undone(undo)) => undo.reason,
            Err(error) => error.to_string(),
        }
    });
    let (answers, ()) = tokio::join!(futures_util::future::join_all(answers), async {
        server.settle().await;
        client.reconnect().await.expect("a connection");
    });
    answers.try_into().expect("an answer for each action")
}

fn create(id: &str) -> Value {
    json!({"type": "tasks/create", "id": id, "fields": {"title": id}})
}

fn change(id: &str) -> Value {
    json!({"type": "tasks/change", "id": id, "fields": {"title": "changed"}})
}

#[tokio::test(start_paused = true)]
async fn a_denied_edit_undoes_only_later_edits_of_its_record() {
    let server = TestServer::start(builder()).expect("a server");
    let client = server.connect("10").await.expect("a client");
    let made = [create("1"), create("secret"), change("1"), change("secret"), create("2")];
    let answers = offline(&server, &client, made).await;
    assert_eq!(answers, ["processed", "denied", "processed", "error", "processed"]);
}

#[tokio::test(start_paused = true)]
async fn types_of_an_application_name_their_fate() {
    let server = TestServer::start(builder()).expect("a server");
    let client = server.connect("10").await.expect("a client");
    let made = [
        create("1"),
        json!({"type": "b", "record": "1", "fail": true}),
        json!({"type": "b", "fail": true}),
        json!({"type": "b"}),
        json!({"type": "a"}),
        change("1"),
        create("2"),
    ];
    let answers = offline(&server, &client, made).await;
    let expected = ["processed", "error", "error", "processed", "processed", "error", "processed"];
    assert_eq!(answers, expected, "`b` has the keys of the sync map");
}

#[tokio::test(start_paused = true)]
async fn types_without_a_key_share_the_fate_of_their_queue() {
    let server = TestServer::start(builder()).expect("a server");
    let client = server.connect("10").await.expect("a client");
    let made = [json!({"type": "a", "fail": true}), create("1"), json!({"type": "a"})];
    assert_eq!(offline(&server, &client, made).await, ["denied", "processed", "error"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_stays_subscribed_when_an_offline_action_is_denied() {
    let server = TestServer::start(builder()).expect("a server");
    let client = server.connect("10").await.expect("a client");
    let other = server.connect("20").await.expect("a client");
    client.subscribe("room").await.expect("subscribed");
    let made = [json!({"type": "a", "fail": true}), json!({"type": "a"})];
    assert_eq!(offline(&server, &client, made).await, ["denied", "error"]);
    sleep(Duration::from_secs(5)).await;
    let received = client.received(other.process(json!({"type": "a"}))).await;
    assert_eq!(received.len(), 1, "the client subscribed again and receives the channel");
}
