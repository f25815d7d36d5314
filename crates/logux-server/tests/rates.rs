//! Rate limits: reads from a client that sends too fast are throttled, actions of a type above its
//! rate are undone, and a slow reader is disconnected.

#[path = "support/capture.rs"]
mod capture;
mod wire;

use std::time::{Duration, Instant};

use capture::capture;
use logux::Action;
use logux_server::{Config, RunningServer, Server};
use wire::{Socket, login, next, next_with, send};

async fn server(change: impl FnOnce(&mut Config)) -> RunningServer {
    Server::builder()
        .config(change)
        .auth(|_| async { Ok(true) })
        .action_type("a", |action| action.access(|_| async { Ok(true) }))
        .channel("room", |channel| channel.access(|_| async { Ok(true) }))
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port")
}

/// Sends actions, each in its own message, and waits until all are processed. Returns the duration.
async fn send_actions(socket: &mut Socket, ids: std::ops::RangeInclusive<u32>) -> Duration {
    let started = Instant::now();
    let count = ids.clone().count();
    for id in ids {
        send(socket, &format!(r#"["sync",{id},{{"type":"a"}},{{"id":{id},"time":{id}}}]"#)).await;
    }
    wait_for_processed(socket, count).await;
    started.elapsed()
}

async fn wait_for_processed(socket: &mut Socket, mut remaining: usize) {
    while remaining > 0 {
        remaining -=
            next(socket).await.expect("an open connection").matches("logux/processed").count();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_above_the_rate_is_throttled_and_loses_nothing() {
    let events = capture();
    // 20 immediately, then 20 per second; the authentication counts as one.
    let server = server(|config| config.max_rate = "20/s".parse().ok()).await;
    let mut fast = login(server.address(), "fast:client:tab").await;
    let mut slow = login(server.address(), "slow:client:tab").await;
    let fast_actions = tokio::spawn(async move { send_actions(&mut fast, 1..=39).await });
    send_actions(&mut slow, 1..=5).await;
    assert!(!fast_actions.is_finished(), "other clients are not throttled");
    let duration = fast_actions.await.expect("no panic");
    // The last message is read when the tokens of the previous one are acquired; those of the
    // authentication may be back long before.
    assert!(duration >= Duration::from_millis(900), "19 actions above the rate took {duration:?}");
    events.wait("limited", &[("nodeId", "fast:client:tab"), ("limit", "rate")]);
    assert!(
        !events
            .all()
            .iter()
            .any(|line| line.get("nodeId").is_some_and(|node| node == "slow:client:tab")
                && line.get("event").is_some_and(|event| event == "limited"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_action_of_a_message_counts() {
    let server = server(|config| config.max_rate = "20/s".parse().ok()).await;
    let mut fast = login(server.address(), "10:client:tab").await;
    let entries: Vec<String> =
        (1..=29).map(|id| format!(r#"{{"type":"a"}},{{"id":{id},"time":{id}}}"#)).collect();
    let started = Instant::now();
    send(&mut fast, &format!(r#"["sync",29,{}]"#, entries.join(","))).await;
    send(&mut fast, r#"["sync",30,{"type":"a"},{"id":30,"time":30}]"#).await;
    wait_for_processed(&mut fast, 30).await;
    assert!(started.elapsed() >= Duration::from_millis(450), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_connections_of_a_user_share_the_rate() {
    let events = capture();
    let server = server(|config| config.max_rate_per_user = "20/s".parse().ok()).await;
    let mut phone = login(server.address(), "10:phone:tab").await;
    let mut laptop = login(server.address(), "10:laptop:tab").await;
    let mut other = login(server.address(), "20:phone:tab").await;
    let started = Instant::now();
    send_actions(&mut phone, 1..=15).await;
    send_actions(&mut laptop, 1..=15).await;
    send_actions(&mut laptop, 16..=16).await;
    assert!(started.elapsed() >= Duration::from_millis(450), "{:?}", started.elapsed());
    send_actions(&mut other, 1..=15).await;
    let is_limited = |node: &str| {
        let is_of = |line: &capture::Line| line.get("nodeId").is_some_and(|found| found == node);
        events.all().iter().any(|line| line["event"] == "limited" && is_of(line))
    };
    assert!(
        is_limited("10:laptop:tab") && !is_limited("20:phone:tab"),
        "other users are not throttled"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_above_the_rate_of_its_type_is_undone_with_the_time_of_a_retry() {
    let rates = [("a".to_owned(), "2/h".parse().expect("a rate"))];
    let server = server(|config| config.max_rates_of_types = rates.into()).await;
    let mut client = login(server.address(), "10:client:tab").await;
    send_actions(&mut client, 1..=2).await;
    send(&mut client, r#"["sync",3,{"type":"a"},{"id":3,"time":3}]"#).await;
    let undo = next_with(&mut client, "logux/undo").await;
    assert!(
        undo.contains(r#""reason":"rateLimit""#) && undo.contains(r#""retryAfterMs":1"#),
        "{undo}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_subscriptions_is_limited() {
    let server = server(|config| config.max_subscriptions = 0).await;
    let mut client = login(server.address(), "10:client:tab").await;
    send(
        &mut client,
        r#"["sync",1,{"type":"logux/subscribe","channel":"room"},{"id":1,"time":1}]"#,
    )
    .await;
    let undo = next_with(&mut client, "logux/undo").await;
    assert!(undo.contains(r#""reason":"subscriptionLimit""#), "{undo}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_the_reason_why_a_slow_reader_was_disconnected() {
    let events = capture();
    let server = server(|config| config.max_outbox_bytes = 256 * 1024).await;
    let mut reader = login(server.address(), "reader:client:tab").await;
    send(
        &mut reader,
        r#"["sync",1,{"type":"logux/subscribe","channel":"room"},{"id":1,"time":1}]"#,
    )
    .await;
    next_with(&mut reader, "logux/processed").await;
    let big = Action::new(format!(r#"{{"type":"big","a":"{}"}}"#, "x".repeat(100_000)))
        .expect("an action");
    for _ in 0..200 {
        server.handle().send(big.clone(), "room").await;
    }
    let line = events.wait("slowReader", &[("nodeId", "reader:client:tab"), ("level", "WARN")]);
    assert!(line["bytes"].parse::<usize>().expect("a number") > 256 * 1024, "{line:?}");
    assert!(line["messages"].parse::<usize>().expect("a number") >= 2, "{line:?}");
    events.wait("disconnect", &[("nodeId", "reader:client:tab"), ("reason", "slow-reader")]);
}
