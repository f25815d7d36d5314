//! Tests of handlers, with the client of `logux-client` over sockets.

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

const TIMEOUT: Duration = Duration::from_secs(20);

/// The calls of handlers, in order.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn record(&self, text: impl Into<String>) {
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
    match timeout(TIMEOUT, client.sync(action(json))).await.expect("an answer") {
        Err(SyncError::Undone(undo)) => undo.reason,
        other => format!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_has_the_author() {
    let server = Server::builder_with(Calls::default())
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
    let answer = actions.next().await.expect("an answer").action;
    assert_eq!(
        answer.str_field("text").expect("text"),
        r#"Some("10") 10:phone Some("7") Some("{\"lang\":\"fr\"}") false {"type":"who"}"#
    );
}

/// A value that `access` passes to the handlers after it.
#[derive(Clone)]
struct Found(&'static str);

#[tokio::test(flavor = "multi_thread")]
async fn a_context_has_the_request_and_values_of_earlier_handlers() {
    let calls = Calls::default();
    let server = Server::builder_with(calls.clone())
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
                    .record(format!("{found:?} {:?} {agent:?} {local}", context.cookie("lang")));
                Ok(())
            })
            .finally(|context| async move {
                assert!(context.get::<String>().is_none());
                assert!(context.get::<Found>().is_some());
                context.state().record("finally");
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
    socket.send(r#"["connect",5,"10:a:b",0]"#.into()).await.expect("sent");
    socket.send(r#"["sync",1,{"type":"try"},{"id":1,"time":1}]"#.into()).await.expect("sent");
    while !timeout(TIMEOUT, socket.next())
        .await
        .expect("in time")
        .expect("open")
        .expect("a frame")
        .to_string()
        .contains("processed")
    {}
    assert_eq!(calls.all(), [r#"Some("in access") Some("fr") Some("test") true"#, "finally"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn finally_is_called_once_after_every_outcome() {
    let calls = Calls::default();
    let server = Server::builder_with(calls.clone())
        .auth(|_| async { Ok(true) })
        .action_type("try", |on| {
            on.access(|context| async move { Ok(context.action().field("deny").is_none()) })
                .process(|context| async move {
                    match context.action().str_field("do").as_deref() {
                        Some("fail") => Err(HandlerError::failed("on purpose")),
                        Some("panic") => panic!("on purpose"),
                        Some("undo") => Err(HandlerError::undo("full")),
                        Some("parse") => context.parse::<Vec<u8>>().map(drop).map_err(Into::into),
                        _ => Ok(()),
                    }
                })
                .finally(|context| async move {
                    context.state().record(context.action().as_json());
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
    assert_eq!(calls.all(), cases.map(|(json, _)| json));
    assert_eq!(reason(&client, r#"{"type":"try","do":"panic"}"#).await, "error");
    assert_eq!(
        reason(&client, r#"{"type":"try"}"#).await,
        "Ok(())",
        "a panic affects only its action"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fallback_handlers_and_own_actions() {
    let calls = Calls::default();
    let server = Server::builder_with(calls.clone())
        .auth(|_| async { Ok(true) })
        .action_type("own", |on| {
            on.own().resend(|_| async { Ok(vec!["rest/of/it"]) }).process(|context| async move {
                context.state().record(format!("own {}", context.is_server()));
                Ok(())
            })
        })
        .action_type("own/fails", |on| on.own().process(|_| async { Err(HandlerError::NotFound) }))
        .other_type(|on| {
            on.access(|context| async move { Ok(context.action().kind() == "whatever") })
        })
        .other_channel(|on| {
            on.access(|_| async { Ok(true) }).unsubscribe(|context| async move {
                context.state().record(format!(
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
    while calls.all().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(calls.all(), ["own true", "left rest/of/it"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_completes_actions_in_progress() {
    let (started, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let notifies = (started.clone(), finish.clone());
    let server = Server::builder_with(Calls::default())
        .auth(|_| async { Ok(true) })
        .action_type("slow", move |on| {
            on.access(|_| async { Ok(true) }).process(move |_| {
                let (started, finish) = notifies.clone();
                async move {
                    started.notify_one();
                    finish.notified().await;
                    Ok(())
                }
            })
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let client = client(&server, "10");
    let processing = tokio::spawn({
        let client = client.clone();
        async move { client.sync(action(r#"{"type":"slow"}"#)).await }
    });
    started.notified().await;
    let stopping = tokio::spawn(server.shutdown());
    finish.notify_one();
    assert_eq!(timeout(TIMEOUT, processing).await.expect("in time").expect("no panic"), Ok(()));
    timeout(TIMEOUT, stopping)
        .await
        .expect("in time")
        .expect("no panic")
        .expect("a clean shutdown");
    assert!(timeout(TIMEOUT, client.reached(State::Disconnected)).await.expect("in time"));
}

#[tokio::test]
async fn invalid_configurations_are_errors_at_the_start() {
    let listen = ([127, 0, 0, 1], 0).into();
    assert!(matches!(Server::builder().listen(listen).await, Err(BuildError::NoAuth)));
    let builder = || Server::builder().auth(|_| async { Ok(true) });
    let duplicate = builder().action_type("a", |on| on.own()).action_type("a", |on| on.own());
    assert!(
        matches!(duplicate.listen(listen).await, Err(BuildError::DuplicateType(name)) if name == "a")
    );
    let reserved = builder().action_type("logux/processed", |on| on.own());
    assert!(matches!(reserved.listen(listen).await, Err(BuildError::ReservedType(_))));
    let pattern = builder().channel("users/:", |on| on.access(|_| async { Ok(true) }));
    assert!(matches!(pattern.listen(listen).await, Err(BuildError::ChannelPattern { .. })));
    let range = builder().config(|config| config.supports = Some("what".into()));
    assert!(matches!(range.listen(listen).await, Err(BuildError::Supports { .. })));
}
