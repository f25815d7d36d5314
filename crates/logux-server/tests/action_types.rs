//! What the application may say about action types.

use std::sync::{Arc, Mutex};

use logux::{
    Action,
    server::{Recipients, UndoRequest},
};
use logux_server::{HandlerError, Server, testing::TestServer};
use regex::Regex;
use serde_json::json;
use tokio::sync::Notify;

/// What handlers have seen, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().expect("no panic").push(text.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

/// A handler that takes its time.
async fn notified(held: Arc<Notify>) -> Result<(), HandlerError> {
    held.notified().await;
    Ok(())
}

fn kinds(actions: &[Action]) -> Vec<&str> {
    actions.iter().map(Action::kind).collect()
}

#[tokio::test(start_paused = true)]
async fn names_count_before_expressions_and_these_before_the_rest() {
    let seen = Seen::default();
    let server = TestServer::start(
        Server::builder_with(seen.clone())
            .action_type(Regex::new("^posts/").expect("an expression"), |on| {
                on.access(|context| async move {
                    context.state().note("expression");
                    Ok(true)
                })
            })
            .action_type("posts/add", |on| {
                on.access(|context| async move {
                    context.state().note("name");
                    Ok(true)
                })
            })
            .other_type(|on| {
                on.access(|context| async move {
                    context.state().note("rest");
                    if context.action().kind() == "what" {
                        Err(HandlerError::UnknownType)
                    } else {
                        Ok(true)
                    }
                })
            }),
    )
    .expect("a server");
    let client = server.connect("10").await.expect("in");
    for kind in ["posts/add", "posts/remove", "my/posts/add"] {
        client.process(json!({ "type": kind })).await.expect("processed");
    }
    client.expect_undo("unknownType", json!({"type": "what"})).await;
    assert_eq!(seen.take(), ["name", "expression", "rest", "rest"]);
}

#[derive(serde::Deserialize)]
struct Rename {
    user: String,
    name: String,
}

#[tokio::test(start_paused = true)]
async fn typed_handlers_get_the_action_read() {
    let seen = Seen::default();
    let server = TestServer::start(
        Server::builder_with(seen.clone())
            .channel("users/:id", |channel| channel.access(|_| async { Ok(true) }))
            .action_type("user/rename", |on| {
                on.typed::<Rename>()
                    .access(|context, rename| async move {
                        Ok(context.user_id() == Some(&*rename.user))
                    })
                    .resend(|_, rename| async move { Ok(format!("users/{}", rename.user)) })
                    .process(|context, rename| async move {
                        context.state().note(rename.name.clone());
                        Ok(())
                    })
                    .finally(|context| async move {
                        context.state().note("finally");
                        Ok(())
                    })
            }),
    )
    .expect("a server");
    let [author, other] =
        [server.connect("10").await.expect("in"), server.connect("20").await.expect("in")];
    other.subscribe("users/10").await.expect("subscribed");
    let rename = json!({"type": "user/rename", "user": "10", "name": "Ada"});
    let received = other.received(author.process(rename.clone())).await;
    assert_eq!(kinds(&received), ["user/rename"]);
    other.expect_denied(rename).await;
    author.expect_undo("wrongFormat", json!({"type": "user/rename", "user": 10})).await;
    assert_eq!(seen.take(), ["Ada", "finally", "finally", "finally"]);
}

#[tokio::test(start_paused = true)]
async fn one_handler_may_decide_and_do() {
    let seen = Seen::default();
    let server = TestServer::start(Server::builder_with(seen.clone()).action_type("pay", |on| {
        on.access_and_process(|context| async move {
            if context.user_id() == Some("guest") {
                return Err(HandlerError::Denied);
            }
            context.state().note(format!("paid by {}", context.node_id()));
            Ok(())
        })
    }))
    .expect("a server");
    let [user, guest] =
        [server.connect("10").await.expect("in"), server.connect("guest").await.expect("in")];
    user.process(json!({"type": "pay"})).await.expect("processed");
    guest.expect_denied(json!({"type": "pay"})).await;
    server
        .handle()
        .process(Action::new(r#"{"type":"pay"}"#).expect("an action"))
        .await
        .expect("processed");
    assert_eq!(
        seen.take(),
        ["paid by 10:1:1".to_owned(), format!("paid by {}", server.node_id())],
        "each once"
    );
}

#[tokio::test(start_paused = true)]
async fn finally_is_called_once_whatever_happens() {
    let seen = Seen::default();
    let server = TestServer::start(Server::builder_with(seen.clone()).action_type("try", |on| {
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
            context.state().note("finally");
            panic!("on purpose, too")
        })
    }))
    .expect("a server");
    let client = server.connect("10").await.expect("in");
    client.process(json!({"type": "try"})).await.expect("processed");
    for (fail, reason) in [("access", "denied"), ("process", "error"), ("panic", "error")] {
        client.expect_undo(reason, json!({"type": "try", "fail": fail})).await;
    }
    assert_eq!(seen.take(), ["finally"; 4]);
}

#[tokio::test(start_paused = true)]
async fn who_gets_an_action_does_not_wait_until_it_is_processed() {
    let (release, left) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (held, finally) = (release.clone(), left.clone());
    let builder = Server::builder()
        .channel("posts", |channel| channel.access(|_| async { Ok(true) }))
        .action_type("slow", move |on| {
            on.access(|_| async { Ok(true) })
                .resend(|_| async { Ok("posts") })
                .process(move |_| notified(held.clone()))
        })
        .action_type("left", move |on| {
            on.access(|_| async { Ok(true) })
                .resend(|_| async { Ok("posts") })
                .finally(move |_| notified(finally.clone()))
        });
    let server = TestServer::start(builder).expect("a server");
    let (author, reader) =
        (server.connect("10").await.expect("in"), server.connect("20").await.expect("in"));
    reader.subscribe("posts").await.expect("subscribed");
    for (kind, release) in [("slow", release), ("left", left)] {
        let released = async {
            let came = reader.received(async {}).await;
            release.notify_one();
            came
        };
        let (processed, came) = tokio::join!(author.process(json!({ "type": kind })), released);
        processed.expect("processed");
        assert_eq!(kinds(&came), [kind]);
    }
}

#[tokio::test(start_paused = true)]
async fn queues_run_side_by_side_and_each_in_order() {
    let release = Arc::new(Notify::new());
    let (seen, held) = (Seen::default(), release.clone());
    let server = TestServer::start(
        Server::builder_with(seen.clone())
            .action_type("slow", move |on| {
                on.access(|_| async { Ok(true) }).process(move |context| {
                    let held = held.clone();
                    async move {
                        held.notified().await;
                        context.state().note("slow");
                        Ok(())
                    }
                })
            })
            .action_type("quick", |on| {
                on.access(|context| async move {
                    context.state().note("quick");
                    Ok(true)
                })
                .queue("quick")
            })
            .action_type("same", |on| {
                on.access(|context| async move {
                    context.state().note("same");
                    Ok(true)
                })
            }),
    )
    .expect("a server");
    let client = server.connect("10").await.expect("in");
    let slow = client.process(json!({"type": "slow"}));
    let same = client.process(json!({"type": "same"}));
    let quick = async {
        client.process(json!({"type": "quick"})).await.expect("processed");
        server.settle().await;
        assert_eq!(seen.take(), ["quick"], "what is in the slow one's queue waits");
        release.notify_one();
    };
    let (slow, same, ()) = tokio::join!(slow, same, quick);
    slow.and(same).expect("processed");
    assert_eq!(seen.take(), ["slow", "same"]);
}

#[tokio::test(start_paused = true)]
async fn the_application_takes_back_what_was_done_long_ago() {
    let server = TestServer::start(
        Server::builder()
            .channel("posts", |channel| channel.access(|_| async { Ok(true) }))
            .action_type("posts/add", |on| {
                on.access(|_| async { Ok(true) }).resend(|_| async { Ok("posts") })
            }),
    )
    .expect("a server");
    let [author, reader] =
        [server.connect("1").await.expect("in"), server.connect("2").await.expect("in")];
    reader.subscribe("posts").await.expect("subscribed");
    let mut posts = reader.client().actions();
    author.process(json!({"type": "posts/add"})).await.expect("processed");
    let id = posts.next().await.expect("a post").meta.id;
    let undo = UndoRequest::new(id.clone(), "spam")
        .with("by", logux::Json::new("\"moderator\"").expect("JSON"))
        .to(Recipients::channel("posts"));
    let (of_reader, of_author) =
        tokio::join!(reader.received(server.handle().undo(undo)), author.received(async {}));
    let expected = format!(
        r#"{{"type":"logux/undo","action":{{"type":"posts/add"}},"id":"{id}","reason":"spam","by":"moderator"}}"#
    );
    assert_eq!([of_reader[0].as_json(), of_author[0].as_json()], [&*expected; 2]);
}
