//! What the application may say about channels.

use std::sync::Arc;

use logux::{Action, WallTime, log::Draft};
use logux_server::{HandlerError, Server, testing::TestServer};
use regex::Regex;
use serde_json::json;
use tokio::sync::Notify;

fn action(json: &str) -> Result<Action, HandlerError> {
    Ok(Action::new(json)?)
}

#[tokio::test(start_paused = true)]
async fn groups_of_an_expression_are_parameters() {
    let server = TestServer::start(
        Server::builder()
            .channel(Regex::new(r"^(?<kind>\w+)/(\d+)$").expect("an expression"), |channel| {
                channel
                    .access(|context| async move { Ok(context.param("kind") != "secrets") })
                    .load(|context| async move {
                        action(&format!(
                            r#"{{"type":"{}","id":{}}}"#,
                            context.param("kind"),
                            context.param("2")
                        ))
                    })
            })
            .other_channel(|channel| {
                channel.access(|context| async move {
                    let name = context.action().str_field("channel").unwrap_or_default();
                    if name == "open" { Ok(true) } else { Err(HandlerError::WrongChannel) }
                })
            }),
    )
    .expect("a server");
    let client = server.connect("10").await.expect("in");
    let loaded = client.subscribe("posts/7").await.expect("subscribed");
    assert_eq!(loaded[0].as_json(), r#"{"type":"posts","id":7}"#);
    let subscribe = |channel: &str| json!({"type": "logux/subscribe", "channel": channel});
    client.expect_denied(subscribe("secrets/7")).await;
    client.expect_undo("wrongChannel", subscribe("posts/x")).await;
    assert!(client.subscribe("open").await.expect("subscribed").is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_handler_may_decide_and_load() {
    let server = TestServer::start(Server::builder().channel("files/:name", |channel| {
        channel.access_and_load(|context| async move {
            match context.param("name") {
                "mine" => Ok(vec![
                    action(r#"{"type":"file","n":1}"#)?,
                    action(r#"{"type":"file","n":2}"#)?,
                ]),
                "yours" => Err(HandlerError::Denied),
                _ => Err(HandlerError::NotFound),
            }
        })
    }))
    .expect("a server");
    let client = server.connect("10").await.expect("in");
    assert_eq!(client.subscribe("files/mine").await.expect("subscribed").len(), 2);
    for (name, reason) in [("yours", "denied"), ("none", "notFound")] {
        client
            .expect_undo(
                reason,
                json!({"type": "logux/subscribe", "channel": format!("files/{name}")}),
            )
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_loaded_may_have_meta_of_its_own() {
    let server = TestServer::start(Server::builder().channel("notes", |channel| {
        channel.access(|_| async { Ok(true) }).load(|_| async {
            let time = Some(WallTime::from_millis(1_600_000_000_000));
            Ok(vec![(action(r#"{"type":"note"}"#)?, Draft { time, ..Draft::reason("notes") })])
        })
    }))
    .expect("a server");
    let client = server.connect("10").await.expect("in");
    let mut actions = client.client().actions();
    client.subscribe("notes").await.expect("subscribed");
    assert_eq!(actions.next().await.expect("a note").meta.time.as_millis(), 1_600_000_000_000);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_it_loads_is_not_subscribed() {
    let (release, loads) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (held, reached) = (release.clone(), loads.clone());
    let server = TestServer::start(Server::builder().channel("slow", move |channel| {
        channel.access(move |_| {
            let (held, reached) = (held.clone(), reached.clone());
            async move {
                reached.notify_one();
                held.notified().await;
                Ok(true)
            }
        })
    }))
    .expect("a server");
    let client = server.connect("10").await.expect("in");
    let leaving = async {
        loads.notified().await;
        client.unsubscribe("slow").await.expect("processed");
        release.notify_one();
    };
    let (subscribed, ()) = tokio::join!(client.subscribe("slow"), leaving);
    subscribed.expect("answered all the same");
    let told = server.handle().send(action(r#"{"type":"news"}"#).expect("an action"), "slow");
    assert!(client.received(told).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_client_is_greeted() {
    let server = TestServer::start(Server::builder().send_on_connect(|client| async move {
        let lang = client.cookie("lang").unwrap_or_default();
        let headers = client.headers.as_ref().map_or("null".to_owned(), ToString::to_string);
        action(&format!(
            r#"{{"type":"welcome","user":"{}","since":{},"lang":"{lang}","says":{headers}}}"#,
            client.user_id().unwrap_or_default(),
            client.since
        ))
    }))
    .expect("a server");
    let client = server
        .client("10")
        .cookie("lang", "fr")
        .headers(json!({"os": "x"}))
        .connect()
        .await
        .expect("in");
    let mut actions = client.client().actions();
    client.disconnect().await;
    client.reconnect().await.expect("in again");
    let greeting = actions.next().await.expect("a greeting").action;
    let expected = r#"{"type":"welcome","user":"10","since":"#;
    assert!(greeting.as_json().starts_with(expected), "{}", greeting.as_json());
    assert!(
        greeting.as_json().ends_with(r#""lang":"fr","says":{"os":"x"}}"#),
        "{}",
        greeting.as_json()
    );
}
