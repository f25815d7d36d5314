//! Tests of action types, with the testing kit.

use std::sync::{Arc, Mutex};

use logux::{
    Action,
    server::{Recipients, UndoRequest},
};
use logux_server::{HandlerError, Server, testing::TestServer};
use regex::Regex;
use serde_json::json;
use tokio::sync::Notify;

/// The calls of handlers, in order.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn record(&self, text: impl Into<String>) {
        self.0.lock().expect("no panic").push(text.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

/// A handler that waits for a notification.
async fn notified(notify: Arc<Notify>) -> Result<(), HandlerError> {
    notify.notified().await;
    Ok(())
}

fn kinds(actions: &[Action]) -> Vec<&str> {
    actions.iter().map(Action::kind).collect()
}

#[tokio::test(start_paused = true)]
async fn names_have_precedence_over_expressions_and_these_over_the_fallback() {
    let calls = Calls::default();
    let server = TestServer::start(
        Server::builder_with(calls.clone())
            .action_type(Regex::new("^posts/").expect("an expression"), |on| {
                on.access(|context| async move {
                    context.state().record("expression");
                    Ok(true)
                })
            })
            .action_type("posts/add", |on| {
                on.access(|context| async move {
                    context.state().record("name");
                    Ok(true)
                })
            })
            .other_type(|on| {
                on.access(|context| async move {
                    context.state().record("fallback");
                    if context.action().kind() == "what" {
                        Err(HandlerError::UnknownType)
                    } else {
                        Ok(true)
                    }
                })
            }),
    )
    .expect("a server");
    let client = server.connect("10").await.expect("connected");
    for kind in ["posts/add", "posts/remove", "my/posts/add"] {
        client.process(json!({ "type": kind })).await.expect("processed");
    }
    client.expect_undo("unknownType", json!({"type": "what"})).await;
    assert_eq!(calls.take(), ["name", "expression", "fallback", "fallback"]);
}

#[derive(serde::Deserialize)]
struct Rename {
    user: String,
    name: String,
}

#[tokio::test(start_paused = true)]
async fn typed_handlers_receive_the_deserialized_action() {
    let calls = Calls::default();
    let server = TestServer::start(
        Server::builder_with(calls.clone())
            .channel("users/:id", |channel| channel.access(|_| async { Ok(true) }))
            .action_type("user/rename", |on| {
                on.typed::<Rename>()
                    .access(|context, rename| async move {
                        Ok(context.user_id() == Some(&*rename.user))
                    })
                    .resend(|_, rename| async move { Ok(format!("users/{}", rename.user)) })
                    .process(|context, rename| async move {
                        context.state().record(rename.name.clone());
                        Ok(())
                    })
                    .finally(|context| async move {
                        context.state().record("finally");
                        Ok(())
                    })
            }),
    )
    .expect("a server");
    let [author, other] = [
        server.connect("10").await.expect("connected"),
        server.connect("20").await.expect("connected"),
    ];
    other.subscribe("users/10").await.expect("subscribed");
    let rename = json!({"type": "user/rename", "user": "10", "name": "Ada"});
    let received = other.received(author.process(rename.clone())).await;
    assert_eq!(kinds(&received), ["user/rename"]);
    other.expect_denied(rename).await;
    author.expect_undo("wrongFormat", json!({"type": "user/rename", "user": 10})).await;
    assert_eq!(calls.take(), ["Ada", "finally", "finally", "finally"]);
}

#[tokio::test(start_paused = true)]
async fn one_handler_can_decide_and_process() {
    let calls = Calls::default();
    let server = TestServer::start(Server::builder_with(calls.clone()).action_type("pay", |on| {
        on.access_and_process(|context| async move {
            if context.user_id() == Some("guest") {
                return Err(HandlerError::Denied);
            }
            context.state().record(format!("paid by {}", context.node_id()));
            Ok(())
        })
    }))
    .expect("a server");
    let [user, guest] = [
        server.connect("10").await.expect("connected"),
        server.connect("guest").await.expect("connected"),
    ];
    user.process(json!({"type": "pay"})).await.expect("processed");
    guest.expect_denied(json!({"type": "pay"})).await;
    server
        .handle()
        .process(Action::new(r#"{"type":"pay"}"#).expect("an action"))
        .await
        .expect("processed");
    assert_eq!(
        calls.take(),
        ["paid by 10:1:1".to_owned(), format!("paid by {}", server.node_id())],
        "each action is processed once"
    );
}

#[tokio::test(start_paused = true)]
async fn finally_is_called_once_after_every_outcome() {
    let calls = Calls::default();
    let server = TestServer::start(Server::builder_with(calls.clone()).action_type("try", |on| {
        on.access(|context| async move {
            match context.action().field("fail") {
                Some("\"access\"") => Ok(false),
                Some("\"panic\"") => panic!("on purpose"),
                _ => Ok(true),
            }
        })
        .process(|context| async move {
            let fails = context.action().field("fail") == Some("\"process\"");
            if fails { Err(HandlerError::failed("on purpose")) } else { Ok(()) }
        })
        .finally(|context| async move {
            context.state().record("finally");
            panic!("on purpose, too")
        })
    }))
    .expect("a server");
    let client = server.connect("10").await.expect("connected");
    client.process(json!({"type": "try"})).await.expect("processed");
    for (fail, reason) in [("access", "denied"), ("process", "error"), ("panic", "error")] {
        client.expect_undo(reason, json!({"type": "try", "fail": fail})).await;
    }
    assert_eq!(calls.take(), ["finally"; 4]);
}

#[tokio::test(start_paused = true)]
async fn an_action_is_resent_before_it_is_processed() {
    let (release, release_finally) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (notify, finally) = (release.clone(), release_finally.clone());
    let builder = Server::builder()
        .channel("posts", |channel| channel.access(|_| async { Ok(true) }))
        .action_type("slow", move |on| {
            on.access(|_| async { Ok(true) })
                .resend(|_| async { Ok("posts") })
                .process(move |_| notified(notify.clone()))
        })
        .action_type("slow/finally", move |on| {
            on.access(|_| async { Ok(true) })
                .resend(|_| async { Ok("posts") })
                .finally(move |_| notified(finally.clone()))
        });
    let server = TestServer::start(builder).expect("a server");
    let (author, reader) = (
        server.connect("10").await.expect("connected"),
        server.connect("20").await.expect("connected"),
    );
    reader.subscribe("posts").await.expect("subscribed");
    for (kind, release) in [("slow", release), ("slow/finally", release_finally)] {
        let released = async {
            let received = reader.received(async {}).await;
            release.notify_one();
            received
        };
        let (processed, received) = tokio::join!(author.process(json!({ "type": kind })), released);
        processed.expect("processed");
        assert_eq!(kinds(&received), [kind]);
    }
}

#[tokio::test(start_paused = true)]
async fn queues_run_concurrently_and_each_in_order() {
    let release = Arc::new(Notify::new());
    let (calls, notify) = (Calls::default(), release.clone());
    let server = TestServer::start(
        Server::builder_with(calls.clone())
            .action_type("slow", move |on| {
                on.access(|_| async { Ok(true) }).process(move |context| {
                    let notify = notify.clone();
                    async move {
                        notify.notified().await;
                        context.state().record("slow");
                        Ok(())
                    }
                })
            })
            .action_type("fast", |on| {
                on.access(|context| async move {
                    context.state().record("fast");
                    Ok(true)
                })
                .queue("fast")
            })
            .action_type("same", |on| {
                on.access(|context| async move {
                    context.state().record("same");
                    Ok(true)
                })
            }),
    )
    .expect("a server");
    let client = server.connect("10").await.expect("connected");
    let slow = client.process(json!({"type": "slow"}));
    let same = client.process(json!({"type": "same"}));
    let fast = async {
        client.process(json!({"type": "fast"})).await.expect("processed");
        server.settle().await;
        assert_eq!(calls.take(), ["fast"], "actions in the queue of the slow one wait");
        release.notify_one();
    };
    let (slow, same, ()) = tokio::join!(slow, same, fast);
    slow.and(same).expect("processed");
    assert_eq!(calls.take(), ["slow", "same"]);
}

#[tokio::test(start_paused = true)]
async fn the_application_undoes_an_old_action() {
    let server = TestServer::start(
        Server::builder()
            .channel("posts", |channel| channel.access(|_| async { Ok(true) }))
            .action_type("posts/add", |on| {
                on.access(|_| async { Ok(true) }).resend(|_| async { Ok("posts") })
            }),
    )
    .expect("a server");
    let [author, reader] = [
        server.connect("1").await.expect("connected"),
        server.connect("2").await.expect("connected"),
    ];
    reader.subscribe("posts").await.expect("subscribed");
    let mut posts = reader.client().actions();
    author.process(json!({"type": "posts/add"})).await.expect("processed");
    let id = posts.next().await.expect("a post").meta.id;
    let undo = UndoRequest::new(id.clone(), "spam")
        .with("by", logux::Json::new("\"moderator\"").expect("JSON"))
        .to(Recipients::channel("posts"));
    let (reader_undo, author_undo) =
        tokio::join!(reader.received(server.handle().undo(undo)), author.received(async {}));
    let expected = format!(
        r#"{{"type":"logux/undo","action":{{"type":"posts/add"}},"id":"{id}","reason":"spam","by":"moderator"}}"#
    );
    assert_eq!([reader_undo[0].as_json(), author_undo[0].as_json()], [&*expected; 2]);
}
