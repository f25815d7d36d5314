//! All that a client did offline arrives in one message, however much it is.

mod wire;

use std::{collections::BTreeSet, time::Duration};

use logux_net::CloseReason;
use logux_server::{Config, RunningServer, Server};
use wire::{close_reason, connect, login, next, next_with, send};

async fn server(change: impl FnOnce(&mut Config)) -> RunningServer {
    Server::builder()
        .config(change)
        .auth(|_| async { Ok(true) })
        .action_type("a", |action| action.access(|_| async { Ok(true) }))
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port")
}

/// A message with these actions. The id of the n-th is `[1, n]`.
fn sync(actions: impl IntoIterator<Item = String>) -> String {
    let actions: String = (0_usize..)
        .zip(actions)
        .map(|(n, action)| format!(r#",{action},{{"id":[1,{n}],"time":1}}"#))
        .collect();
    format!(r#"["sync",7{actions}]"#)
}

/// Confirms all that is received until `count` answers are there. Returns them, with their reason
/// if they are undone, and the number of `synced` messages.
async fn answers(socket: &mut wire::Socket, count: usize) -> (BTreeSet<(u64, String)>, usize) {
    let (mut found, mut confirmed) = (BTreeSet::new(), 0);
    while found.len() < count {
        let frame = next(socket).await.expect("an open connection");
        confirmed += usize::from(frame == r#"["synced",7]"#);
        if !frame.starts_with(r#"["sync","#) {
            continue;
        }
        let message: Vec<serde_json::Value> = serde_json::from_str(&frame).expect("JSON");
        for action in message[2..].iter().step_by(2) {
            let id = action["id"].as_str().expect("an id");
            let number = id.rsplit(' ').next().and_then(|number| number.parse().ok());
            let outcome = action["reason"].as_str().unwrap_or("processed");
            found.insert((number.expect("a number"), outcome.to_owned()));
        }
        send(socket, &format!(r#"["synced",{}]"#, message[1])).await;
    }
    (found, confirmed)
}

fn processed(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<(u64, String)> {
    numbers.into_iter().map(|number| (number, "processed".to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_backlog_is_processed_and_confirmed_once() {
    let server = server(|config| config.max_queue = 100).await;
    let mut client = login(server.address(), "10:client:tab").await;
    let small = std::iter::repeat_n(r#"{"type":"a"}"#.to_owned(), 10_001);
    send(&mut client, &sync(small)).await;
    assert_eq!(answers(&mut client, 10_001).await, (processed(0..10_001), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_send_everything_before_it_confirms_anything() {
    const ACTIONS: usize = 20_000;
    let server = server(|_| {}).await;
    let mut client = login(server.address(), "10:client:tab").await;
    // More than its answers that the server sends without a confirmation.
    for first in (0..ACTIONS).step_by(100) {
        let actions: String = (first..first + 100)
            .map(|n| format!(r#",{{"type":"a"}},{{"id":[1,{n}],"time":1}}"#))
            .collect();
        send(&mut client, &format!(r#"["sync",{first}{actions}]"#)).await;
    }
    let (found, _) = answers(&mut client, ACTIONS).await;
    assert_eq!(found, processed(0..ACTIONS as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_backlog_is_processed() {
    let server = server(|_| {}).await;
    let mut client = login(server.address(), "10:client:tab").await;
    let action = format!(r#"{{"type":"a","text":"{}"}}"#, "x".repeat(100_000));
    send(&mut client, &sync(std::iter::repeat_n(action, 200))).await;
    assert_eq!(answers(&mut client, 200).await, (processed(0..200), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_above_a_limit_is_undone_and_the_others_are_processed() {
    let server = server(|config| config.max_action_bytes = 1_000_000).await;
    let mut client = login(server.address(), "10:client:tab").await;
    let small = || r#"{"type":"a"}"#.to_owned();
    let large = format!(r#"{{"type":"a","text":"{}"}}"#, "x".repeat(1_000_000));
    let deep = format!(r#"{{"type":"a","b":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    send(&mut client, &sync([small(), large, small(), deep, small()])).await;
    let mut expected = processed([0, 2, 4]);
    expected.insert((1, "tooLarge".to_owned()));
    expected.insert((3, "tooDeep".to_owned()));
    assert_eq!(answers(&mut client, 5).await, (expected, 1));
    let long = format!(
        r#"["sync",8,{{"type":"a"}},{{"id":[1,"10:client:{}",0],"time":1}}]"#,
        "x".repeat(300)
    );
    send(&mut client, &long).await;
    let undo = next_with(&mut client, "logux/undo").await;
    assert!(undo.contains(r#""reason":"wrongId""#), "{undo}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_above_the_limit_closes_the_connection_with_its_reason() {
    let server = server(|config| config.max_message_bytes = 100_000).await;
    let mut client = login(server.address(), "10:client:tab").await;
    send(&mut client, &sync([format!(r#"{{"type":"{}"}}"#, "x".repeat(200_000))])).await;
    assert_eq!(
        next(&mut client).await.as_deref(),
        Some(r#"["error","wrong-format","the message is larger than 100000 bytes"]"#)
    );
    assert_eq!(close_reason(&mut client).await, Some(CloseReason::TooLarge));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_before_the_login_are_small_and_soon() {
    let server = server(|config| config.login_timeout = Duration::from_millis(300)).await;
    let mut stranger = connect(server.address()).await;
    send(&mut stranger, &format!(r#"["headers",{{"a":"{}"}}]"#, "x".repeat(17_000))).await;
    assert_eq!(
        next(&mut stranger).await.as_deref(),
        Some(r#"["error","wrong-format","the message is larger than 16384 bytes"]"#)
    );
    assert_eq!(close_reason(&mut stranger).await, Some(CloseReason::TooLarge));
    let mut silent = connect(server.address()).await;
    assert_eq!(close_reason(&mut silent).await, Some(CloseReason::Timeout));
}
