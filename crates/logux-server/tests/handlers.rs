//! What handlers see and do, through the client of this project over an in-process pair of sockets.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use logux::{Action, Json, sync::State};
use logux_client::{Client, SyncError};
use logux_net::WebSocketConnector;
use logux_server::{AddError, BuildError, HandlerError, RunningServer, Server};
use tokio::{sync::Notify, time::timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

const PATIENCE: Duration = Duration::from_secs(20);

/// What handlers have seen, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().expect("no panic").push(text.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

fn action(json: &str) -> Action {
    Action::new(json).expect("an action")
}

fn client(server: &RunningServer, user: &str) -> Client {
    let connector =
        WebSocketConnector::new(&format!("ws://{}", server.address())).expect("an address");
    let headers = Json::new(r#"{"lang":"fr"}"#).expect("an object");
    Client::builder(user).expect("a user").subprotocol(7).headers(headers).start(connector)
}

async fn reason(client: &Client, json: &str) -> String {
    match timeout(PATIENCE, client.sync(action(json))).await.expect("an answer") {
        Err(SyncError::Undone(undo)) => undo.reason,
        other => format!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_knows_the_author() {
    let server = Server::builder_with(Seen::default())
        .auth(|_| async { Ok(true) })
        .action_type("who", |on| {
            on.access(|context| async move {
                let text = format!(
                    "{:?} {} {:?} {:?} {} {}",
                    context.user_id(),
                    context.client_id(),
                    context.subprotocol().map(ToString::to_string),
                    context.headers().map(ToString::to_string),
                    context.is_server(),
                    context.action().as_json(),
                );
                context
                    .send_back(Action::typed("seen", &serde_json::json!({ "text": text }))?)
                    .await;
                Ok(true)
            })
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let client = client(&server, "10:phone:tab");
    let mut actions = client.actions();
    client.sync(action(r#"{"type":"who"}"#)).await.expect("processed");
    let seen = actions.next().await.expect("an answer").action;
    assert_eq!(
        seen.str_field("text").expect("text"),
        r#"Some("10") 10:phone Some("7") Some("{\"lang\":\"fr\"}") false {"type":"who"}"#
    );
}

/// What `access` has found, for the handlers behind it.
#[derive(Clone)]
struct Found(&'static str);

#[tokio::test(flavor = "multi_thread")]
async fn a_context_knows_the_request_and_what_earlier_handlers_found() {
    let seen = Seen::default();
    let server = Server::builder_with(seen.clone())
        .auth(|login| async move { Ok(login.cookie("token").as_deref() == Some("a b")) })
        .action_type("try", |on| {
            on.access(|context| async move {
                assert!(context.set(Found("in access")).is_none());
                Ok(true)
            })
            .process(|context| async move {
                let found = context.get::<Found>().map(|found| found.0);
                let agent = context
                    .http_headers()
                    .get("user-agent")
                    .and_then(|agent| agent.to_str().ok())
                    .map(str::to_owned);
                let local = context.remote().is_some_and(|remote| remote.ip().is_loopback());
                context
                    .state()
                    .note(format!("{found:?} {:?} {agent:?} {local}", context.cookie("lang")));
                Ok(())
            })
            .finally(|context| async move {
                assert!(context.get::<String>().is_none());
                assert!(context.get::<Found>().is_some());
                context.state().note("finally");
                Ok(())
            })
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let mut request =
        format!("ws://{}", server.address()).into_client_request().expect("an address");
    request.headers_mut().insert("cookie", "lang=fr; token=a%20b".parse().expect("a value"));
    request.headers_mut().insert("user-agent", "test".parse().expect("a value"));
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("a connection");
    socket.send(r#"["connect",5,"10:a:b",0]"#.into()).await.expect("room");
    socket.send(r#"["sync",1,{"type":"try"},{"id":1,"time":1}]"#.into()).await.expect("room");
    while !timeout(PATIENCE, socket.next())
        .await
        .expect("in time")
        .expect("open")
        .expect("a frame")
        .to_string()
        .contains("processed")
    {}
    assert_eq!(seen.all(), [r#"Some("in access") Some("fr") Some("test") true"#, "finally"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_handler_is_called_once_whatever_happened() {
    let seen = Seen::default();
    let server = Server::builder_with(seen.clone())
        .auth(|_| async { Ok(true) })
        .action_type("try", |on| {
            on.access(|context| async move { Ok(context.action().field("deny").is_none()) })
                .process(|context| async move {
                    match context.action().str_field("do").as_deref() {
                        Some("fail") => Err(HandlerError::failed("asked to")),
                        Some("panic") => panic!("asked to"),
                        Some("undo") => Err(HandlerError::undo("full")),
                        Some("parse") => context.parse::<Vec<u8>>().map(drop).map_err(Into::into),
                        _ => Ok(()),
                    }
                })
                .finally(|context| async move {
                    context.state().note(context.action().as_json());
                    Ok(())
                })
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let client = client(&server, "10");
    let cases = [
        (r#"{"type":"try"}"#, "Ok(())"),
        (r#"{"type":"try","deny":1}"#, "denied"),
        (r#"{"type":"try","do":"fail"}"#, "error"),
        (r#"{"type":"try","do":"undo"}"#, "full"),
        (r#"{"type":"try","do":"parse"}"#, "error"),
    ];
    for (json, expected) in cases {
        assert_eq!(reason(&client, json).await, expected, "{json}");
    }
    assert_eq!(seen.all(), cases.map(|(json, _)| json));
    assert_eq!(reason(&client, r#"{"type":"try","do":"panic"}"#).await, "error");
    assert_eq!(
        reason(&client, r#"{"type":"try"}"#).await,
        "Ok(())",
        "a panic costs only its action"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn others_and_own_actions() {
    let seen = Seen::default();
    let server = Server::builder_with(seen.clone())
        .auth(|_| async { Ok(true) })
        .action_type("own", |on| {
            on.own().resend(|_| async { Ok(vec!["rest/of/it"]) }).process(|context| async move {
                context.state().note(format!("own {}", context.is_server()));
                Ok(())
            })
        })
        .action_type("own/fails", |on| on.own().process(|_| async { Err(HandlerError::NotFound) }))
        .other_type(|on| {
            on.access(|context| async move { Ok(context.action().kind() == "whatever") })
        })
        .other_channel(|on| {
            on.access(|_| async { Ok(true) }).unsubscribe(|context| async move {
                context.state().note(format!(
                    "left {}",
                    context.action().str_field("channel").unwrap_or_default()
                ));
                Ok(())
            })
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let client = client(&server, "10");
    let mut actions = client.actions();
    client.subscribe("rest/of/it").await.expect("subscribed");
    assert_eq!(reason(&client, r#"{"type":"own"}"#).await, "denied");
    assert_eq!(reason(&client, r#"{"type":"whatever"}"#).await, "Ok(())");
    assert_eq!(reason(&client, r#"{"type":"else"}"#).await, "denied");
    server.handle().process(action(r#"{"type":"own","n":1}"#)).await.expect("processed");
    while actions.next().await.expect("the action").action.kind() != "own" {}
    let failed = server.handle().process(action(r#"{"type":"own/fails"}"#)).await;
    assert_eq!(failed, Err(AddError::Undone("notFound".into())));
    assert_eq!(
        reason(&client, r#"{"type":"logux/unsubscribe","channel":"rest/of/it"}"#).await,
        "Ok(())"
    );
    while seen.all().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(seen.all(), ["own true", "left rest/of/it"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_what_is_in_progress() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let notes = (begun.clone(), go_on.clone());
    let server = Server::builder_with(Seen::default())
        .auth(|_| async { Ok(true) })
        .action_type("slow", move |on| {
            on.access(|_| async { Ok(true) }).process(move |_| {
                let (begun, go_on) = notes.clone();
                async move {
                    begun.notify_one();
                    go_on.notified().await;
                    Ok(())
                }
            })
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let client = client(&server, "10");
    let doing = tokio::spawn({
        let client = client.clone();
        async move { client.sync(action(r#"{"type":"slow"}"#)).await }
    });
    begun.notified().await;
    let stopping = tokio::spawn(server.shutdown());
    go_on.notify_one();
    assert_eq!(timeout(PATIENCE, doing).await.expect("in time").expect("no panic"), Ok(()));
    timeout(PATIENCE, stopping).await.expect("in time").expect("no panic").expect("no failure");
    assert!(timeout(PATIENCE, client.reached(State::Disconnected)).await.expect("in time"));
}

#[tokio::test]
async fn mistakes_are_told_at_the_start() {
    let listen = ([127, 0, 0, 1], 0).into();
    assert!(matches!(Server::builder().listen(listen).await, Err(BuildError::NoAuth)));
    let builder = || Server::builder().auth(|_| async { Ok(true) });
    let twice = builder().action_type("a", |on| on.own()).action_type("a", |on| on.own());
    assert!(
        matches!(twice.listen(listen).await, Err(BuildError::DuplicateType(name)) if name == "a")
    );
    let reserved = builder().action_type("logux/processed", |on| on.own());
    assert!(matches!(reserved.listen(listen).await, Err(BuildError::ReservedType(_))));
    let pattern = builder().channel("users/:", |on| on.access(|_| async { Ok(true) }));
    assert!(matches!(pattern.listen(listen).await, Err(BuildError::ChannelPattern { .. })));
    let range = builder().config(|config| config.supports = Some("what".into()));
    assert!(matches!(range.listen(listen).await, Err(BuildError::Supports { .. })));
}
