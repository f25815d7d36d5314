//! The kit that users test their handlers with.

use std::time::Duration;

use logux::Action;
use logux_server::{
    Server,
    testing::{ConnectError, START, TestServer},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn who_may_come_in_is_tested_with_tokens_headers_and_cookies() {
    let server = TestServer::start(Server::builder().auth(|login| async move {
        let by_token = login.token.as_deref() == Some("good");
        let by_cookie = login.cookie("session").as_deref() == Some("a b");
        let by_header = login.http_headers.get("x-key").is_some_and(|key| key == "k");
        Ok(by_token || by_cookie || by_header)
    }))
    .expect("a server");
    server.client("1").token("good").connect().await.expect("in");
    server.client("1").cookie("session", "a b").connect().await.expect("in");
    server.client("1").http_header("x-key", "k").connect().await.expect("in");
    server.expect_wrong_credentials(server.client("1").token("bad")).await;
    let refused = server.connect("server").await.expect_err("nobody is the server");
    assert_eq!(refused, ConnectError::Refused("wrong-credentials".into()));
}

#[tokio::test(start_paused = true)]
async fn all_read_one_clock_that_takes_no_time() {
    let really = std::time::Instant::now();
    let server = TestServer::start(Server::builder().action_type("later", |on| {
        on.access(|_| async { Ok(true) }).process(|context| async move {
            sleep(Duration::from_secs(3_600)).await;
            context.send_back(Action::new(r#"{"type":"done"}"#)?).await;
            Ok(())
        })
    }))
    .expect("a server");
    let client = server.connect("10").await.expect("in");
    let begin = Instant::now();
    let mut actions = client.client().actions();
    let came = client.process(json!({"type": "later"})).await.expect("processed");
    assert_eq!(came.iter().map(Action::kind).collect::<Vec<_>>(), ["done"]);
    assert!(begin.elapsed() >= Duration::from_secs(3_600), "an hour by the clock");
    assert!(really.elapsed() < Duration::from_secs(60), "which nobody has waited for");
    let time = actions.next().await.expect("an action").meta.time;
    assert!(
        time.since(START) >= 3_600_000 && time.since(START) < 3_700_000,
        "times are those of the test: {time}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_done_while_the_cable_is_cut_waits() {
    let server = TestServer::start(
        Server::builder()
            .channel("room", |channel| channel.access(|_| async { Ok(true) }))
            .action_type("say", |on| {
                on.access(|_| async { Ok(true) }).resend(|_| async { Ok("room") })
            }),
    )
    .expect("a server");
    let [ada, bob] =
        [server.connect("ada").await.expect("in"), server.connect("bob").await.expect("in")];
    bob.subscribe("room").await.expect("subscribed");
    ada.disconnect().await;
    let said = ada.process(json!({"type": "say"}));
    let heard = bob.received(async {
        let back = async {
            server.settle().await;
            ada.reconnect().await.expect("in again");
        };
        tokio::join!(said, back).0.expect("processed");
    });
    assert_eq!(heard.await.len(), 1);
}

#[tokio::test(start_paused = true)]
#[should_panic(
    expected = "expected an undo with the reason `denied`, but the action was processed"
)]
async fn a_wrong_expectation_says_so() {
    let server = TestServer::start(
        Server::builder().action_type("a", |on| on.access(|_| async { Ok(true) })),
    )
    .expect("a server");
    server.connect("10").await.expect("in").expect_denied(json!({"type": "a"})).await;
}
