//! The events of a server reach every `tracing` subscriber, with stable names and fields, and
//! without secrets.

#[path = "support/capture.rs"]
mod capture;
#[path = "support/raw.rs"]
mod raw;

use std::time::Duration;

use capture::{Captured, capture};
use futures_util::SinkExt as _;
use logux::{Action, server::Retention};
use logux_server::{HandlerError, RunningServer, Server};
use raw::{open, read, sync};

async fn server(development: bool) -> RunningServer {
    Server::builder()
        .config(|config| config.development = development)
        .auth(|login| async move {
            match login.token.as_deref() {
                Some("right") => Ok(true),
                Some("breaks") => Err(HandlerError::failed("no database")),
                _ => Ok(false),
            }
        })
        .channel("rooms/:id", |on| on.access(|_| async { Ok(true) }))
        .action_type("say", |on| {
            on.access(|_| async { Ok(true) }).resend(|_| async { Ok("rooms/1") })
        })
        .action_type("forbidden", |on| on.access(|_| async { Ok(false) }))
        .action_type("broken", |on| on.access(|_| async { Err(HandlerError::failed("no disk")) }))
        .action_type("own", |on| on.access(|_| async { Err(HandlerError::undo("tooLate")) }))
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server")
}

/// Returns the names of the events about an action, in order.
fn events_of(captured: &Captured, kind: &str) -> Vec<String> {
    let lines = captured.all();
    let id = &lines
        .iter()
        .find(|line| line.get("type").is_some_and(|found| found == kind))
        .expect("the action")["actionId"];
    lines
        .iter()
        .filter(|line| line.get("actionId") == Some(id))
        .map(|line| line["event"].clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_and_actions_from_start_to_end() {
    let captured = capture();
    let server = server(false).await;
    let id = server.node_id().as_str().to_owned();
    let listen = captured.wait("listen", &[("nodeId", &id), ("environment", "production")]);
    assert_eq!(listen["listen"], format!("ws://{}", server.address()));
    assert_eq!(listen["healthCheck"], format!("http://{}/health", server.address()));
    assert_eq!((&*listen["level"], &*listen["message"]), ("INFO", "Logux server is listening"));

    let mut socket = open(&server, "10:events:tab", "right").await;
    let node = ("nodeId", "10:events:tab");
    let authenticated = captured.wait("authenticated", &[node, ("subprotocol", "3")]);
    let connection = ("connectionId", &*authenticated["connectionId"]);
    captured.wait("connect", &[connection, ("ipAddress", "127.0.0.1")]);

    sync(&mut socket, 1, r#"{"type":"logux/subscribe","channel":"rooms/1"}"#).await;
    captured.wait("subscribed", &[node, ("channel", "rooms/1")]);
    sync(&mut socket, 2, r#"{"type":"say","text":"Bearer action-secret"}"#).await;
    assert!(
        !captured.wait("add", &[("type", "say")]).contains_key("action"),
        "production shows no actions"
    );
    captured.wait("processed", &[("type", "say")]);
    assert_eq!(events_of(&captured, "say"), ["add", "send", "processed"]);

    sync(&mut socket, 3, r#"{"type":"forbidden"}"#).await;
    captured.wait("denied", &[("type", "forbidden"), ("level", "WARN")]);
    sync(&mut socket, 4, r#"{"type":"unheard"}"#).await;
    captured.wait("unknownType", &[("type", "unheard"), ("level", "WARN")]);
    sync(&mut socket, 5, r#"{"type":"logux/subscribe","channel":"nowhere"}"#).await;
    captured.wait("wrongChannel", &[("channel", "nowhere")]);
    sync(&mut socket, 6, r#"{"type":"broken"}"#).await;
    let broken = captured.wait("undone", &[("type", "broken"), ("reason", "error")]);
    captured.wait(
        "error",
        &[("actionId", &broken["actionId"]), ("error", "no disk"), ("level", "ERROR")],
    );
    sync(&mut socket, 7, r#"{"type":"own"}"#).await;
    captured.wait("undone", &[("type", "own"), ("reason", "tooLate")]);
    sync(&mut socket, 7, r#"{"type":"own"}"#).await;
    captured.wait("duplicate", &[]);

    let no_channels: [&str; 0] = [];
    server
        .handle()
        .send(
            Action::new(r#"{"type":"lost"}"#).expect("an action"),
            no_channels.map(str::to_owned).to_vec(),
        )
        .await;
    captured.wait("useless", &[("type", "lost")]);
    captured.wait("addClean", &[("type", "lost")]);

    let mut reconnected = open(&server, "10:events:other", "right").await;
    captured.wait("authenticated", &[("nodeId", "10:events:other")]);
    captured.wait("zombie", &[node]);
    captured.wait("unsubscribed", &[node, ("channel", "rooms/1")]);
    reconnected.close(None).await.expect("a close message");
    captured.wait("disconnect", &[("nodeId", "10:events:other")]);
    server.shutdown().await.expect("a clean shutdown");
    captured.wait("destroy", &[]);
    assert_no_secrets(&captured);
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_without_reasons_are_cleaned() {
    let captured = capture();
    let server = Server::builder()
        .config(|config| config.remembered_for = Duration::from_millis(16))
        .auth(|_| async { Ok(true) })
        .action_type("note", |on| on.access(|_| async { Ok(true) }))
        .action_type("stays", |on| {
            on.access(|_| async { Ok(true) }).keep(Retention::forever("stays"))
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let mut socket = open(&server, "10:clean:tab", "right").await;
    sync(&mut socket, 1, r#"{"type":"stays"}"#).await;
    sync(&mut socket, 2, r#"{"type":"note"}"#).await;
    let noted = captured.wait("processed", &[("type", "note")])["actionId"].clone();
    // Old actions are forgotten when a new one arrives.
    for sequence in 3..6 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        sync(&mut socket, sequence, r#"{"type":"later"}"#).await;
        read(&mut socket, "unknownType").await;
    }
    captured.wait("clean", &[("actionId", &noted), ("type", "note"), ("level", "DEBUG")]);
    assert_eq!(events_of(&captured, "note"), ["add", "send", "processed", "clean"]);
    // A kept action is moved in the log when it is approved, which is not reported as cleaning.
    assert_eq!(events_of(&captured, "stays"), ["add", "send", "processed"]);
    let answers = captured.all().into_iter().filter(|line| {
        line["event"] == "clean"
            && line["type"].starts_with("logux/")
            && line["type"] != "logux/subscribe"
    });
    assert_eq!(answers.count(), 0, "answers are not reported as actions");
    server.shutdown().await.expect("a clean shutdown");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_clients_and_failures() {
    let captured = capture();
    let server = server(true).await;
    let mut socket = open(&server, "10:wrong:tab", "token-secret").await;
    read(&mut socket, "wrong-credentials").await;
    captured
        .wait("unauthenticated", &[("nodeId", "10:wrong:tab"), ("reason", "wrong-credentials")]);
    let _socket = open(&server, "10:breaks:tab", "breaks").await;
    captured
        .wait("unauthenticated", &[("nodeId", "10:breaks:tab"), ("reason", "wrong-credentials")]);
    captured.wait("error", &[("nodeId", "10:breaks:tab"), ("error", "no database")]);

    let mut socket = open(&server, "10:garbage:tab", "right").await;
    captured.wait("authenticated", &[("nodeId", "10:garbage:tab")]);
    sync(&mut socket, 1, r#"{"type":"say","text":"Bearer action-secret"}"#).await;
    captured.wait("add", &[("action", r#"{"type":"say","text":"[SECRET]"}"#)]);
    socket.send(r#"["sync","#.into()).await.expect("sent");
    captured.wait("clientError", &[("nodeId", "10:garbage:tab")]);
    captured.wait("disconnect", &[("nodeId", "10:garbage:tab"), ("reason", "wrong-format")]);
    assert_no_secrets(&captured);
}

fn assert_no_secrets(captured: &Captured) {
    let all = format!("{:?}", captured.all());
    assert!(!all.contains("-secret"), "{all}");
}
