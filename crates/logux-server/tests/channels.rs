//! Tests of channels, with the testing kit.

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
async fn the_groups_of_an_expression_are_parameters() {
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
    let client = server.connect("10").await.expect("connected");
    let loaded = client.subscribe("posts/7").await.expect("subscribed");
    assert_eq!(loaded[0].as_json(), r#"{"type":"posts","id":7}"#);
    let subscribe = |channel: &str| json!({"type": "logux/subscribe", "channel": channel});
    client.expect_denied(subscribe("secrets/7")).await;
    client.expect_undo("wrongChannel", subscribe("posts/x")).await;
    assert!(client.subscribe("open").await.expect("subscribed").is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_handler_can_decide_and_load() {
    let server = TestServer::start(Server::builder().channel("files/:name", |channel| {
        channel.access_and_load(|context| async move {
            match context.param("name") {
                "own" => Ok(vec![
                    action(r#"{"type":"file","n":1}"#)?,
                    action(r#"{"type":"file","n":2}"#)?,
                ]),
                "other" => Err(HandlerError::Denied),
                _ => Err(HandlerError::NotFound),
            }
        })
    }))
    .expect("a server");
    let client = server.connect("10").await.expect("connected");
    assert_eq!(client.subscribe("files/own").await.expect("subscribed").len(), 2);
    for (name, reason) in [("other", "denied"), ("none", "notFound")] {
        client
            .expect_undo(
                reason,
                json!({"type": "logux/subscribe", "channel": format!("files/{name}")}),
            )
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn loaded_actions_can_have_their_own_meta() {
    let server = TestServer::start(Server::builder().channel("notes", |channel| {
        channel.access(|_| async { Ok(true) }).load(|_| async {
            let time = Some(WallTime::from_millis(1_600_000_000_000));
            Ok(vec![(action(r#"{"type":"note"}"#)?, Draft { time, ..Draft::reason("notes") })])
        })
    }))
    .expect("a server");
    let client = server.connect("10").await.expect("connected");
    let mut actions = client.client().actions();
    client.subscribe("notes").await.expect("subscribed");
    assert_eq!(actions.next().await.expect("a note").meta.time.as_millis(), 1_600_000_000_000);
}

#[tokio::test(start_paused = true)]
async fn an_unsubscription_during_the_load_ends_the_subscription() {
    let (release, access_called) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (released, called) = (release.clone(), access_called.clone());
    let server = TestServer::start(Server::builder().channel("slow", move |channel| {
        channel.access(move |_| {
            let (released, called) = (released.clone(), called.clone());
            async move {
                called.notify_one();
                released.notified().await;
                Ok(true)
            }
        })
    }))
    .expect("a server");
    let client = server.connect("10").await.expect("connected");
    let unsubscribe = async {
        access_called.notified().await;
        client.unsubscribe("slow").await.expect("processed");
        release.notify_one();
    };
    let (subscribed, ()) = tokio::join!(client.subscribe("slow"), unsubscribe);
    subscribed.expect("the subscription is answered");
    let sent = server.handle().send(action(r#"{"type":"news"}"#).expect("an action"), "slow");
    assert!(client.received(sent).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_client_receives_the_actions_of_send_on_connect() {
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
        .expect("connected");
    let mut actions = client.client().actions();
    client.disconnect().await;
    client.reconnect().await.expect("reconnected");
    let received = actions.next().await.expect("an action").action;
    let expected = r#"{"type":"welcome","user":"10","since":"#;
    assert!(received.as_json().starts_with(expected), "{}", received.as_json());
    assert!(
        received.as_json().ends_with(r#""lang":"fr","says":{"os":"x"}}"#),
        "{}",
        received.as_json()
    );
}

#[tokio::test(start_paused = true)]
async fn values_can_be_loaded() {
    let time = WallTime::from_millis(1_700_000_000_000);
    let server = TestServer::start(
        Server::builder()
            .channel("one", |channel| {
                channel.access(|_| async { Ok(true) }).load(|_| async { Ok(json!({"type": "a"})) })
            })
            .channel("list", |channel| {
                channel
                    .access(|_| async { Ok(true) })
                    .load(|_| async { Ok(json!([{"type": "a"}, {"type": "\"b\""}])) })
            })
            .channel("times", move |channel| {
                channel
                    .access(|_| async { Ok(true) })
                    .load(move |_| async move { Ok(vec![(json!({"type": "a"}), time)]) })
            })
            .channel("none", |channel| {
                channel.access(|_| async { Ok(true) }).load(|_| async { Ok(json!(null)) })
            })
            .channel("invalid", |channel| {
                channel.access_and_load(|_| async { Ok(json!({"kind": "a"})) })
            }),
    )
    .expect("a server");
    let client = server.connect("10").await.expect("connected");
    for (channel, expected) in
        [("one", &["a"][..]), ("list", &["a", "\"b\""]), ("times", &["a"]), ("none", &[])]
    {
        let loaded = client.subscribe(channel).await.expect("subscribed");
        assert_eq!(loaded.iter().map(Action::kind).collect::<Vec<_>>(), expected, "{channel}");
    }
    // A value that is not an action is an error of the handler.
    client.expect_undo("error", json!({"type": "logux/subscribe", "channel": "invalid"})).await;
}
