//! Tests of the kit with which users test their handlers.

use std::time::Duration;

use logux::Action;
use logux_client::Client;
use logux_server::{
    Server,
    testing::{ConnectError, START, TestClient, TestServer},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn authentication_is_tested_with_tokens_headers_and_cookies() {
    let server = TestServer::start(Server::builder().auth(|login| async move {
        let by_token = login.token.as_deref() == Some("good");
        let by_cookie = login.cookie("session").as_deref() == Some("a b");
        let by_header = login.http_headers.get("x-key").is_some_and(|key| key == "k");
        Ok(by_token || by_cookie || by_header)
    }))
    .expect("a server");
    server.client("1").token("good").connect().await.expect("connected");
    server.client("1").cookie("session", "a b").connect().await.expect("connected");
    server.client("1").http_header("x-key", "k").connect().await.expect("connected");
    server.expect_wrong_credentials(server.client("1").token("bad")).await;
    let refused = server.connect("server").await.expect_err("no client has the server's id");
    assert_eq!(refused, ConnectError::Refused("wrong-credentials".into()));
}

#[tokio::test(start_paused = true)]
async fn all_use_one_virtual_clock() {
    let real_start = std::time::Instant::now();
    let server = TestServer::start(Server::builder().action_type("later", |on| {
        on.access(|_| async { Ok(true) }).process(|context| async move {
            sleep(Duration::from_secs(3_600)).await;
            context.send_back(Action::new(r#"{"type":"done"}"#)?).await;
            Ok(())
        })
    }))
    .expect("a server");
    let client = server.connect("10").await.expect("connected");
    let start = Instant::now();
    let mut actions = client.client().actions();
    let received = client.process(json!({"type": "later"})).await.expect("processed");
    assert_eq!(received.iter().map(Action::kind).collect::<Vec<_>>(), ["done"]);
    assert!(start.elapsed() >= Duration::from_secs(3_600), "an hour of virtual time");
    assert!(real_start.elapsed() < Duration::from_secs(60), "less than a minute of real time");
    let time = actions.next().await.expect("an action").meta.time;
    assert!(
        time.since(START) >= 3_600_000 && time.since(START) < 3_700_000,
        "times are those of the virtual clock: {time}"
    );
}

#[tokio::test(start_paused = true)]
async fn actions_wait_while_the_connection_is_cut() {
    let server = TestServer::start(
        Server::builder()
            .channel("room", |channel| channel.access(|_| async { Ok(true) }))
            .action_type("say", |on| {
                on.access(|_| async { Ok(true) }).resend(|_| async { Ok("room") })
            }),
    )
    .expect("a server");
    let [ada, bob] = [
        server.connect("ada").await.expect("connected"),
        server.connect("bob").await.expect("connected"),
    ];
    bob.subscribe("room").await.expect("subscribed");
    ada.disconnect().await;
    let processed = ada.process(json!({"type": "say"}));
    let received = bob.received(async {
        let reconnected = async {
            server.settle().await;
            ada.reconnect().await.expect("reconnected");
        };
        tokio::join!(processed, reconnected).0.expect("processed");
    });
    assert_eq!(received.await.len(), 1);
}

#[tokio::test(start_paused = true)]
#[should_panic(
    expected = "expected an undo with the reason `denied`, but the action was processed"
)]
async fn a_failed_expectation_panics_with_the_reason() {
    let server = TestServer::start(
        Server::builder().action_type("a", |on| on.access(|_| async { Ok(true) })),
    )
    .expect("a server");
    server.connect("10").await.expect("connected").expect_denied(json!({"type": "a"})).await;
}

/// The client's data is in its store, so a new client over it is the same device.
#[tokio::test(start_paused = true)]
async fn a_client_has_its_own_store_and_connector() {
    let server = TestServer::start(
        Server::builder()
            .auth(|login| async move { Ok(login.cookie("session").as_deref() == Some("a")) })
            .action_type("say", |on| on.access(|_| async { Ok(true) })),
    )
    .expect("a server");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("app.db");
    let builder = |id| {
        let builder = Client::builder(id).expect("a node id").clock(server.clock());
        builder.file(&file).expect("a file")
    };
    let connector = || server.client("10").cookie("session", "a").connector();
    let offline = connector();
    offline.cut();
    let client = TestClient::start(builder("10:phone:1"), offline);
    let say = Action::new(r#"{"type":"say"}"#).expect("an action");
    let id = client.client().sync(say).kept().await.expect("added").id().clone();
    client.client().clone().close().await;

    let connector = connector();
    connector.cut();
    let client = TestClient::start(builder("10:phone:2"), connector);
    let sent = client.sent(async { client.reconnect().await.expect("connected") }).await;
    assert_eq!(sent.iter().map(Action::kind).collect::<Vec<_>>(), ["say"]);
    let entry = server.handle().log_entry(&id).await.expect("a log").expect("the action");
    assert_eq!(entry.meta.id, id);
}
