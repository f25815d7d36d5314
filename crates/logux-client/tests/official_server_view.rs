//! What the official `@logux/server` sees of a client: its actions with their ids and times, its
//! subscriptions, its tokens, its encrypted actions, and its lists of records.
#![cfg(feature = "sqlite")]

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use logux::{
    Action,
    client::{Subscription, UndoOutcome},
    log::Draft,
    sync::State,
};
use logux_client::{Builder, Client, SyncError};
use logux_net::WebSocketConnector;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

const TIMEOUT: Duration = Duration::from_secs(20);

/// The server of `tests/interop/reference/recorder.js`, and what it prints.
struct Recorder {
    process: Child,
    port: u16,
    seen: mpsc::UnboundedReceiver<Value>,
}

impl Recorder {
    fn start() -> Self {
        let interop: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop");
        let installed = Command::new(interop.join("install")).status().expect("a shell");
        assert!(installed.success(), "the npm packages are installed");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("its address").port();
        drop(free);
        let mut process = Command::new("node")
            .arg(interop.join("reference/recorder.js"))
            .env("PORT", port.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node.js");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let mut lines_of_server = lines.by_ref().map_while(Result::ok);
        assert!(lines_of_server.any(|line| line.starts_with("listening")), "it has started");
        let (sender, seen) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let seen = lines.map_while(Result::ok);
            let seen = seen.filter_map(|line| serde_json::from_str(&line).ok());
            seen.map(|seen: Value| sender.send(seen)).take_while(Result::is_ok).for_each(drop);
        });
        Self { process, port, seen }
    }

    fn connector(&self) -> WebSocketConnector {
        WebSocketConnector::new(&format!("ws://127.0.0.1:{}", self.port)).expect("an address")
    }

    fn client(&self) -> Client {
        builder().token("good").start(self.connector())
    }

    /// Returns the next thing that the server sees and that has this key.
    async fn see(&mut self, key: &str) -> Value {
        loop {
            let seen = timeout(TIMEOUT, self.seen.recv()).await.expect("in time").expect("a line");
            if seen.get(key).is_some() {
                return seen;
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn builder() -> Builder {
    Client::builder("10").expect("a user")
}

fn note(text: &str) -> Action {
    Action::try_from(json!({"type": "note", "text": text})).expect("an action")
}

async fn disconnected(client: &Client) {
    client.pause().expect("a running client");
    assert!(timeout(TIMEOUT, client.reached(State::Disconnected)).await.expect("in time"));
}

async fn synchronized(client: &Client) {
    client.resume().expect("a running client");
    assert!(timeout(TIMEOUT, client.reached(State::Synchronized)).await.expect("in time"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_offline_arrives_once_with_its_ids() {
    let mut server = Recorder::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("app.db");
    let open = || builder().token("good").file(&file).expect("a file");
    let client = open().paused().start(server.connector());
    let [milk, mistake] = ["milk", "mistake"].map(|text| client.sync(note(text)));
    let (milk, mistake) = (milk.id().clone(), mistake.id().clone());
    client.add(note("local"), Draft::reason("drafts")).await.expect("kept");
    assert!(matches!(client.undo(&mistake, "typo").await, Ok(UndoOutcome::Dropped(_))));
    client.close().await;

    let client = open().paused().start(server.connector());
    let bread = client.sync(note("bread"));
    let bread_id = bread.id().clone();
    client.resume().expect("a running client");
    timeout(TIMEOUT, bread).await.expect("in time").expect("processed");
    for (id, text) in [(&milk, "milk"), (&bread_id, "bread")] {
        let seen = server.see("note").await;
        assert_eq!((&seen["id"], &seen["note"]), (&json!(id.to_string()), &json!(text)));
        let off = seen["time"].as_i64().expect("a time") - id.time().as_millis();
        assert!(off.abs() < 1_000, "its time is {off} ms off");
    }
    assert_eq!(client.flush(TIMEOUT).await, 0);
    client.close().await;

    // Another start has nothing to send.
    let client = open().start(server.connector());
    timeout(TIMEOUT, client.sync(note("tea"))).await.expect("in time").expect("processed");
    assert_eq!(server.see("note").await["note"], "tea");
    let failing = Action::try_from(json!({"type": "note", "text": "jam", "fail": true}));
    let failed = client.sync(failing.expect("an action")).await.expect_err("an error");
    assert!(matches!(failed, SyncError::Undone(undo) if undo.reason == "error"));
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_counted_compared_by_value_and_resumed() {
    let mut server = Recorder::start();
    let client = server.client();
    let filtered = |json: Value| {
        let filter = logux::Json::from_value(&json).expect("a filter");
        Subscription { filter: Some(filter), ..Subscription::to("notes") }
    };
    let subscribe = |it: &Subscription| client.sync(it.subscribe().expect("an action"));
    let unsubscribe = |it: &Subscription| client.sync(it.unsubscribe().expect("an action"));
    let one = filtered(json!({"a": 1, "b": 2}));
    for again in [&one, &one] {
        timeout(TIMEOUT, subscribe(again)).await.expect("in time").expect("subscribed");
    }
    assert_eq!(server.see("subscribed").await["since"], Value::Null);
    timeout(TIMEOUT, unsubscribe(&one)).await.expect("in time").expect("unsubscribed");

    // What is taken back without a connection leaves no trace.
    disconnected(&client).await;
    let two = filtered(json!({"c": 3}));
    let _ = (subscribe(&two), unsubscribe(&two));
    synchronized(&client).await;
    let resumed = loop {
        // The two requests above may both have reached the server.
        let seen = server.see("subscribed").await;
        if seen["since"] != Value::Null {
            break seen;
        }
        assert_eq!(seen["filter"], json!({"a": 1, "b": 2}), "two of one subscription");
    };
    assert_eq!(resumed["filter"], json!({"a": 1, "b": 2}));

    // Equal by value: the server does not get it back after the next connection.
    let other_order = filtered(json!({"b": 2, "a": 1}));
    timeout(TIMEOUT, unsubscribe(&other_order)).await.expect("in time").expect("unsubscribed");
    disconnected(&client).await;
    synchronized(&client).await;
    timeout(TIMEOUT, client.sync(note("last"))).await.expect("in time").expect("processed");
    let mut after = Vec::new();
    while after.last().is_none_or(|seen: &Value| seen["note"] != "last") {
        after.push(timeout(TIMEOUT, server.seen.recv()).await.expect("in time").expect("a line"));
    }
    assert!(after.iter().any(|seen| seen.get("unsubscribed").is_some()), "{after:?}");
    assert!(!after.iter().any(|seen| seen.get("subscribed").is_some()), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_has_expired_is_no_end() {
    let mut server = Recorder::start();
    let has_expired = AtomicBool::new(true);
    let token = move || {
        let token = if has_expired.swap(false, Ordering::SeqCst) { "old" } else { "good" };
        async move { token.to_owned() }
    };
    let client = builder().token_by(token).start(server.connector());
    timeout(TIMEOUT, client.sync(note("tea"))).await.expect("in time").expect("processed");
    assert_eq!(server.see("login").await["token"], "old");
    assert_eq!(server.see("login").await["token"], "good");

    // Another user of the device takes nothing of the former one along.
    disconnected(&client).await;
    let kept = client.sync(note("of user 10"));
    let unsent = client.change_user("20", Some("good".into())).await.expect("another user");
    assert_eq!(unsent.iter().map(|it| &it.meta.id).collect::<Vec<_>>(), [kept.id()]);
    client.resume().expect("a running client");
    timeout(TIMEOUT, client.sync(note("of user 20"))).await.expect("in time").expect("processed");
    assert_eq!(server.see("note").await["note"], "tea");
    assert_eq!(server.see("note").await["note"], "of user 20");
    assert_eq!(client.node_id().user_or_client(), "20");
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_actions_reach_the_other_device_of_the_user() {
    let mut server = Recorder::start();
    let device =
        || builder().token("good").encryption("a secret of the user 10").start(server.connector());
    let (one, two) = (device(), device());
    let mut received = two.actions();
    synchronized(&two).await;
    timeout(TIMEOUT, one.sync(note("private"))).await.expect("in time").expect("processed");
    let action = loop {
        let entry = timeout(TIMEOUT, received.next()).await.expect("in time").expect("an action");
        if entry.action.kind() == "note" {
            break entry.action;
        }
    };
    assert_eq!(action.str_field("text").as_deref(), Some("private"));
    let seen = server.see("encrypted").await;
    let keys = seen["keys"].as_str().expect("a string");
    assert!(keys == "d,iv,type" || keys == "d,iv,type,z", "{keys}");
    for client in [one, two] {
        client.close().await;
    }
    while let Ok(seen) = server.seen.try_recv() {
        assert!(!seen.to_string().contains("private"), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_records_follow_their_filter() {
    let server = Recorder::start();
    let (one, two) = (server.client(), server.client());
    let open = json!({"done": false});
    let here = one.records::<Value>("tasks", &open).await.expect("open");
    here.loaded().await.expect("loaded");
    let tea = json!({"title": "Tea", "done": false});
    timeout(TIMEOUT, here.create("1", &tea)).await.expect("in time").expect("processed");

    let mut there = two.records::<Value>("tasks", &open).await.expect("open");
    let mut here = here;
    let ids = |list: &[Value]| -> Vec<String> {
        list.iter().map(|task| task["id"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let loaded = timeout(TIMEOUT, there.until(|list| ids(list) == ["1"])).await;
    assert_eq!(loaded.expect("in time").expect("running")[0]["title"], "Tea");
    drop(there.create("2", &json!({"title": "Milk", "done": false})));
    let both = timeout(TIMEOUT, here.until(|list| ids(list) == ["1", "2"]));
    both.await.expect("in time").expect("running");

    // Each leaves the list of the other one, whoever has made it.
    for (mine, theirs, id) in [(&here, &mut there.clone(), "1"), (&there, &mut here.clone(), "2")] {
        let done = mine.change(id, &json!({"done": true}));
        timeout(TIMEOUT, done).await.expect("in time").expect("processed");
        let left = theirs.until(|list| !ids(list).contains(&id.to_owned()));
        timeout(TIMEOUT, left).await.expect("in time").expect("running");
    }
    let one_record = two.record::<Value>("tasks", "1").await.expect("open");
    assert_eq!(one_record.get().expect("readable").expect("a record")["done"], true);
}
