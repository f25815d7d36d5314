//! Nobody takes more than its share: who sends too fast is read more slowly, who does one thing too often is told so, who does not read is
//! cut off.

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

/// Sends actions, each in a message of its own, and waits until all are processed. Returns how long it took.
async fn act(socket: &mut Socket, ids: std::ops::RangeInclusive<u32>) -> Duration {
    let began = Instant::now();
    let count = ids.clone().count();
    for id in ids {
        send(socket, &format!(r#"["sync",{id},{{"type":"a"}},{{"id":{id},"time":{id}}}]"#)).await;
    }
    processed(socket, count).await;
    began.elapsed()
}

async fn processed(socket: &mut Socket, mut missing: usize) {
    while missing > 0 {
        missing -= next(socket).await.expect("not cut off").matches("logux/processed").count();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_fast_is_read_more_slowly_and_loses_nothing() {
    let events = capture();
    // 20 at once, then 20 a second; logging in costs one.
    let server = server(|config| config.max_rate = "20/s".parse().ok()).await;
    let mut fast = login(server.address(), "fast:client:tab").await;
    let mut calm = login(server.address(), "calm:client:tab").await;
    let hurrying = tokio::spawn(async move { act(&mut fast, 1..=39).await });
    act(&mut calm, 1..=5).await;
    assert!(!hurrying.is_finished(), "others do not wait for it");
    let took = hurrying.await.expect("no panic");
    // The last is read when the one before it is paid; the login may be paid long ago.
    assert!(took >= Duration::from_millis(900), "19 beyond the rate took {took:?}");
    events.wait("limited", &[("nodeId", "fast:client:tab"), ("limit", "rate")]);
    assert!(
        !events
            .all()
            .iter()
            .any(|line| line.get("nodeId").is_some_and(|node| node == "calm:client:tab")
                && line.get("event").is_some_and(|event| event == "limited"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_in_one_message_count_each() {
    let server = server(|config| config.max_rate = "20/s".parse().ok()).await;
    let mut fast = login(server.address(), "10:client:tab").await;
    let entries: Vec<String> =
        (1..=29).map(|id| format!(r#"{{"type":"a"}},{{"id":{id},"time":{id}}}"#)).collect();
    let began = Instant::now();
    send(&mut fast, &format!(r#"["sync",29,{}]"#, entries.join(","))).await;
    send(&mut fast, r#"["sync",30,{"type":"a"},{"id":30,"time":30}]"#).await;
    processed(&mut fast, 30).await;
    assert!(began.elapsed() >= Duration::from_millis(450), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_connections_of_a_user_share_its_rate() {
    let events = capture();
    let server = server(|config| config.max_rate_per_user = "20/s".parse().ok()).await;
    let mut phone = login(server.address(), "10:phone:tab").await;
    let mut laptop = login(server.address(), "10:laptop:tab").await;
    let mut other = login(server.address(), "20:phone:tab").await;
    let began = Instant::now();
    act(&mut phone, 1..=15).await;
    act(&mut laptop, 1..=15).await;
    act(&mut laptop, 16..=16).await;
    assert!(began.elapsed() >= Duration::from_millis(450), "{:?}", began.elapsed());
    act(&mut other, 1..=15).await;
    let slowed = |node: &str| {
        let is_of = |line: &capture::Line| line.get("nodeId").is_some_and(|found| found == node);
        events.all().iter().any(|line| line["event"] == "limited" && is_of(line))
    };
    assert!(slowed("10:laptop:tab") && !slowed("20:phone:tab"), "others do not notice");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_one_thing_too_often_is_told_when_to_try_again() {
    let rates = [("a".to_owned(), "2/h".parse().expect("a rate"))];
    let server = server(|config| config.max_rates_of_types = rates.into()).await;
    let mut client = login(server.address(), "10:client:tab").await;
    act(&mut client, 1..=2).await;
    send(&mut client, r#"["sync",3,{"type":"a"},{"id":3,"time":3}]"#).await;
    let undo = next_with(&mut client, "logux/undo").await;
    assert!(
        undo.contains(r#""reason":"rateLimit""#) && undo.contains(r#""retryAfterMs":1"#),
        "{undo}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_have_a_bound() {
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
async fn the_log_says_why_a_slow_reader_was_cut_off() {
    let events = capture();
    let server = server(|config| config.max_outbox_bytes = 256 * 1024).await;
    let mut deaf = login(server.address(), "deaf:client:tab").await;
    send(&mut deaf, r#"["sync",1,{"type":"logux/subscribe","channel":"room"},{"id":1,"time":1}]"#)
        .await;
    next_with(&mut deaf, "logux/processed").await;
    let big = Action::new(format!(r#"{{"type":"big","a":"{}"}}"#, "x".repeat(100_000)))
        .expect("an action");
    for _ in 0..200 {
        server.handle().send(big.clone(), "room").await;
    }
    let line = events.wait("slowReader", &[("nodeId", "deaf:client:tab"), ("level", "WARN")]);
    assert!(line["bytes"].parse::<usize>().expect("a number") > 256 * 1024, "{line:?}");
    assert!(line["messages"].parse::<usize>().expect("a number") >= 2, "{line:?}");
    events.wait("disconnect", &[("nodeId", "deaf:client:tab"), ("reason", "slow-reader")]);
}
