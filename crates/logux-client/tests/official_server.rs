//! The client with the official `@logux/server`, in a separate process.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use logux::{Action, action::logux::Undo, sync::State};
use logux_client::{Actions, Client, SyncError};
use logux_net::WebSocketConnector;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(20);

/// The official server with the counter of `tests/interop/README.md`.
struct OfficialServer {
    process: Child,
    port: u16,
}

fn interop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("its address").port()
}

impl OfficialServer {
    fn start(port: u16) -> Self {
        let installed = Command::new(interop().join("install")).status().expect("a shell");
        assert!(installed.success(), "the npm packages are installed");
        let mut process = Command::new("node")
            .arg(interop().join("reference/server.js"))
            .env("PORT", port.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node.js");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let ready = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.to_lowercase().contains("listening"));
        assert!(ready, "the official server has started");
        // The output is read so that the server does not block.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { process, port }
    }

    fn client(&self, user: &str) -> Client {
        let connector =
            WebSocketConnector::new(&format!("ws://127.0.0.1:{}", self.port)).expect("an address");
        Client::builder(user).expect("a user").token("good").subprotocol(3).start(connector)
    }
}

impl Drop for OfficialServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn action(json: &str) -> Action {
    Action::new(json).expect("an action")
}

async fn next_of(actions: &mut Actions, kind: &str) -> Action {
    let wait = async {
        loop {
            let entry = actions.next().await.expect("an action");
            if entry.action.kind() == kind {
                return entry.action;
            }
        }
    };
    timeout(TIMEOUT, wait).await.unwrap_or_else(|_| panic!("no action of type {kind}"))
}

async fn undone(client: &Client, json: &str) -> Box<Undo> {
    match timeout(TIMEOUT, client.sync(action(json))).await.expect("an answer") {
        Err(SyncError::Undone(undo)) => undo,
        other => panic!("{json} should be undone: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn adds_and_receives_actions() {
    let server = OfficialServer::start(free_port());
    let (one, two) = (server.client("10"), server.client("20"));
    let (mut actions_of_one, mut actions_of_two) = (one.actions(), two.actions());
    for client in [&one, &two] {
        timeout(TIMEOUT, client.subscribe("counter"))
            .await
            .expect("an answer")
            .expect("subscribed");
    }
    assert_eq!(next_of(&mut actions_of_one, "counter/set").await.field("value"), Some("0"));
    assert_eq!(next_of(&mut actions_of_two, "counter/set").await.field("value"), Some("0"));

    timeout(TIMEOUT, one.sync(action(r#"{"type":"counter/inc","n":9007199254740993}"#)))
        .await
        .expect("an answer")
        .expect("processed");
    let resent = next_of(&mut actions_of_two, "counter/inc").await;
    assert!(resent.field("n").is_some());

    let undo = undone(&one, r#"{"type":"counter/inc","fail":true}"#).await;
    assert_eq!(undo.reason, "error");
    assert_eq!(undo.action.expect("the action").field("fail"), Some("true"));
    assert_eq!(undone(&one, r#"{"type":"secret/do"}"#).await.reason, "denied");
    assert_eq!(undone(&one, r#"{"type":"what"}"#).await.reason, "unknownType");
    assert_eq!(
        undone(&one, r#"{"type":"logux/subscribe","channel":"what"}"#).await.reason,
        "wrongChannel"
    );
    assert_eq!(
        undone(&one, r#"{"type":"logux/subscribe","channel":"users/find/1"}"#).await.reason,
        "notFound"
    );
    assert!(timeout(TIMEOUT, one.reached(State::Synchronized)).await.expect("in time"));
}

#[tokio::test(flavor = "multi_thread")]
async fn reconnects_after_a_restart_and_sends_offline_actions() {
    let port = free_port();
    let server = OfficialServer::start(port);
    let client = server.client("10");
    timeout(TIMEOUT, client.subscribe("counter")).await.expect("an answer").expect("subscribed");
    let mut actions = client.actions();
    drop(server);
    assert!(timeout(TIMEOUT, client.reached(State::Disconnected)).await.expect("in time"));
    let offline = tokio::spawn({
        let client = client.clone();
        async move { client.sync(action(r#"{"type":"counter/inc"}"#)).await }
    });
    let server = OfficialServer::start(port);
    timeout(TIMEOUT, offline).await.expect("in time").expect("no panic").expect("processed");
    // The client has subscribed again, so it receives actions of others.
    next_of(&mut actions, "counter/set").await;
    let other = server.client("20");
    timeout(TIMEOUT, other.sync(action(r#"{"type":"counter/inc"}"#)))
        .await
        .expect("in time")
        .expect("processed");
    next_of(&mut actions, "counter/inc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_when_refused() {
    let server = OfficialServer::start(free_port());
    let connector =
        WebSocketConnector::new(&format!("ws://127.0.0.1:{}", server.port)).expect("an address");
    let client = Client::builder("10")
        .expect("a user")
        .token("wrong")
        .subprotocol(3)
        .start(connector.clone());
    assert_eq!(timeout(TIMEOUT, client.ended()).await.expect("in time"), "wrong-credentials");
    let stopped = client.sync(action(r#"{"type":"counter/inc"}"#)).await;
    assert_eq!(stopped, Err(SyncError::Stopped("wrong-credentials".into())));
    let old = Client::builder("10").expect("a user").token("good").subprotocol(1).start(connector);
    assert_eq!(timeout(TIMEOUT, old.ended()).await.expect("in time"), "wrong-subprotocol");
}
