//! What an application does with the connection, the user and the log of its client, in virtual
//! time.

use core::ops::ControlFlow;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use logux::{
    Action, Json,
    crdt::{Crdt as _, Map, MapOp},
    log::Draft,
    store::{Criteria, Query},
    sync::State,
};
use logux_client::testing::TestConnector;
use logux_client::{
    Backoff, ChangeUserError, Client, DeviceEvent, Encryption, Status, StatusChanges, SyncError,
};
use logux_net::{Connector, NetError, PairTransport};
use logux_server::{MemoryDocuments, Server, testing::TestServer};
use serde_json::json;
use tokio::time::{Instant, timeout};

const TIMEOUT: Duration = Duration::from_secs(600);

/// A server with notes of which each user sees only own ones, and that is down at times.
struct World {
    server: TestServer,
    is_up: Arc<AtomicBool>,
}

fn world() -> World {
    let server = Server::builder()
        .auth(|login| async move { Ok(login.token.as_deref() == Some("token")) })
        .documents::<Map>("notes", MemoryDocuments::new(), |kind| {
            kind.access(|request| async move { Ok(request.user_id() == Some(&**request.id())) })
                .created_by_edits()
        })
        .action_type("counter/inc", |on| on.access(|_| async { Ok(true) }))
        .action_type("forbidden", |on| on.access(|_| async { Ok(false) }))
        .action_type("users/signUp", |on| {
            on.access(|_| async { Ok(true) }).process(|context| async move {
                context.send_back(action(r#"{"type":"users/signedUp","id":"10"}"#)).await;
                Ok(())
            })
        });
    let server = TestServer::start(server).expect("a server");
    World { server, is_up: Arc::new(AtomicBool::new(true)) }
}

impl World {
    fn set_up(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Relaxed);
    }

    fn connector(&self) -> WorldConnector {
        // The user is that of the builder.
        let connector = self.server.client("any").connector();
        WorldConnector { connector, is_up: self.is_up.clone() }
    }

    fn builder(&self, user: &str) -> logux_client::Builder {
        let builder = Client::builder(user).expect("a user").token("token");
        builder.clock(self.server.clock())
    }

    fn start(&self, user: &str) -> Client {
        self.builder(user).start(self.connector())
    }
}

/// A connector that fails while the server is down.
struct WorldConnector {
    connector: TestConnector,
    is_up: Arc<AtomicBool>,
}

impl Connector for WorldConnector {
    type Transport = PairTransport;

    async fn connect(&self) -> Result<PairTransport, NetError> {
        if self.is_up.load(Ordering::Relaxed) {
            self.connector.connect().await
        } else {
            Err(NetError::from(std::io::Error::other("the server is down")))
        }
    }
}

fn action(json: &str) -> Action {
    Action::new(json).expect("an action")
}

fn inc() -> Action {
    action(r#"{"type":"counter/inc"}"#)
}

fn title(value: &str) -> [MapOp; 1] {
    let value = Json::from_value(value).expect("a string");
    [MapOp::Set { path: "/title".parse().expect("a path"), value }]
}

async fn connected(client: &Client) {
    assert!(timeout(TIMEOUT, client.reached(State::Synchronized)).await.expect("in time"));
}

/// Waits until this is the status, and returns the ones before.
async fn until(changes: &mut StatusChanges, status: Status) -> Vec<Status> {
    let mut before = Vec::new();
    loop {
        let next = timeout(TIMEOUT, changes.next()).await.expect("in time").expect("running");
        if next == status {
            return before;
        }
        before.push(next);
    }
}

#[tokio::test(start_paused = true)]
async fn the_user_sees_what_is_not_saved() {
    let world = world();
    world.set_up(false);
    let client = world.start("10");
    let mut changes = client.status_changes();
    assert_eq!((client.status(), client.last_error()), (Status::Disconnected, None));
    let pending = client.sync(inc());
    assert_eq!(
        (client.unconfirmed(), client.fate(pending.id())),
        (1, Ok(Some(logux::client::Fate::Kept)))
    );
    until(&mut changes, Status::Wait).await;
    assert_eq!(client.flush(Duration::from_secs(30)).await, 1);
    assert!(client.last_error().expect("an error").contains("the server is down"));

    world.set_up(true);
    assert_eq!(client.flush(Duration::from_secs(30)).await, 0);
    assert_eq!(pending.await, Ok(()));
    until(&mut changes, Status::SynchronizedAfterWait).await;
    until(&mut changes, Status::Synchronized).await;
    assert_eq!((client.status(), client.last_error()), (Status::Synchronized, None));

    for _ in 0..2 {
        let refused = client.sync(action(r#"{"type":"forbidden"}"#)).await;
        assert!(matches!(refused, Err(SyncError::Undone(_))));
        assert_eq!(until(&mut changes, Status::Denied).await.len(), 1, "sending");
    }
    let mut closing = changes;
    client.close().await;
    until(&mut closing, Status::Disconnected).await;
    assert_eq!(closing.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_paused_client_stays_offline() {
    let world = world();
    let client = world.builder("10").paused().start(world.connector());
    tokio::time::sleep(TIMEOUT).await;
    assert_eq!(client.state(), State::Disconnected);
    client.resume().expect("running");
    connected(&client).await;

    client.pause().expect("running");
    assert!(client.reached(State::Disconnected).await);
    let pending = client.sync(inc());
    tokio::time::sleep(TIMEOUT).await;
    assert_eq!((client.state(), client.unconfirmed()), (State::Disconnected, 1));
    // A pause that is taken back at once ends the connection, but no attempt waits.
    client.resume().expect("running");
    client.pause().expect("running");
    client.resume().expect("running");
    assert_eq!(pending.await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_online_again_does_not_wait() {
    let world = world();
    world.set_up(false);
    let hour = Duration::from_secs(3_600);
    let backoff = Backoff { min_delay: hour, max_delay: hour, attempts: None };
    let client = world.builder("10").backoff(backoff).start(world.connector());
    while client.last_error().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.set_up(true);
    let before = Instant::now();
    client.device_event(DeviceEvent::Online).expect("running");
    connected(&client).await;
    client.device_event(DeviceEvent::Asleep).expect("running");
    assert!(client.reached(State::Disconnected).await);
    client.device_event(DeviceEvent::Visible).expect("running");
    connected(&client).await;
    assert!(before.elapsed() < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn what_a_refused_user_does_is_kept() {
    let world = world();
    let client = world.builder("10").token("expired").start(world.connector());
    let before = client.sync(inc());
    assert_eq!(before.await, Err(SyncError::Stopped("wrong-credentials".into())));
    assert_eq!(client.ended().await, "wrong-credentials");
    assert_eq!(client.status(), Status::WrongCredentials);
    let during = client.sync(inc()).kept().await.expect("kept");
    let id = during.id().clone();
    assert_eq!(during.await, Err(SyncError::Stopped("wrong-credentials".into())));
    assert_eq!(client.unconfirmed_actions().expect("open").len(), 2);
    assert_eq!(client.unconfirmed_actions().expect("open")[1].meta.id, id);

    client.set_token("token").expect("running");
    connected(&client).await;
    assert_eq!(client.flush(TIMEOUT).await, 0);
    assert_eq!(client.sync(inc()).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn attempts_end_with_the_last_error() {
    let world = world();
    world.set_up(false);
    let backoff = Backoff { attempts: Some(3), ..Backoff::default() };
    let client = world.builder("10").backoff(backoff).start(world.connector());
    assert!(client.ended().await.contains("the server is down"));
    world.set_up(true);
    client.resume().expect("running");
    connected(&client).await;
}

#[tokio::test(start_paused = true)]
async fn another_user_gets_an_empty_device() {
    let world = world();
    let client = world.start("10");
    let mut note = client.document::<Map>("notes", "10").await.expect("open");
    note.loaded().await.expect("loaded");
    note.operate(&title("Ada's")).await.expect("processed");
    client.pause().expect("running");
    assert!(client.reached(State::Disconnected).await);
    let unsaved = note.operate(&title("unsaved"));
    let foreign = client.document::<Map>("notes", "20").await.expect("open");

    let invalid = client.change_user("a b", None).await;
    assert!(matches!(invalid, Err(ChangeUserError::UserId(_))));
    assert_eq!(note.state().to_json(), json!({"title": "unsaved"}));
    let left = client.change_user("20", Some("token".into())).await.expect("changed");
    assert_eq!(left.iter().map(|entry| &entry.meta.id).collect::<Vec<_>>(), [unsaved.id()]);
    assert_eq!(unsaved.await, Err(SyncError::UserChanged));
    assert_eq!(client.node_id().user_id(), Some("20"));
    assert_eq!((note.state().to_json(), client.unconfirmed()), (json!({}), 0));

    client.resume().expect("running");
    assert!(matches!(note.loaded().await, Err(SyncError::NotSubscribed { .. })));
    foreign.loaded().await.expect("it is the user's own now");
    foreign.operate(&title("Bob's")).await.expect("processed");
    assert_eq!(foreign.state().to_json(), json!({"title": "Bob's"}));

    // While it is connected, it connects again as the next user.
    client.change_user("10", Some("token".into())).await.expect("changed");
    let state = timeout(TIMEOUT, note.until(|note| note.get("/title").is_some())).await;
    assert_eq!(state.expect("in time").expect("running").to_json(), json!({"title": "Ada's"}));
    client.change_user("30", Some("wrong".into())).await.expect("changed");
    assert_eq!(client.ended().await, "wrong-credentials");
    client.change_user("10", Some("token".into())).await.expect("changed");
    connected(&client).await;
}

#[tokio::test(start_paused = true)]
async fn an_encrypted_client_keeps_its_user() {
    let world = world();
    let client =
        world.builder("10").encryption(Encryption::from_secret("x")).start(world.connector());
    assert_eq!(client.change_user("20", None).await, Err(ChangeUserError::Encrypted));
}

#[tokio::test(start_paused = true)]
async fn one_request_needs_no_user() {
    let world = world();
    let sign_up = action(r#"{"type":"users/signUp"}"#);
    let answer = world.builder("anonymous").request(world.connector(), sign_up).await;
    assert_eq!(answer.expect("an answer").action.kind(), "users/signedUp");
    let answer = world.builder("anonymous").request(world.connector(), inc()).await;
    assert_eq!(answer.expect("an answer").action.kind(), "logux/processed");
    let forbidden = action(r#"{"type":"forbidden"}"#);
    let refused = world.builder("anonymous").request(world.connector(), forbidden.clone()).await;
    let Err(SyncError::Undone(undo)) = refused else { panic!("it is denied") };
    assert_eq!((undo.reason.as_str(), undo.action), ("denied", Some(forbidden)));
    let refused = world.builder("anonymous").token("x").request(world.connector(), inc()).await;
    assert_eq!(refused.err(), Some(SyncError::Stopped("wrong-credentials".into())));
}

#[tokio::test(start_paused = true)]
async fn the_log_has_local_actions() {
    let world = world();
    let client = world.start("10");
    let theme = |name: &str| action(&json!({"type": "theme", "name": name}).to_string());
    let draft = || Draft::default().keep_last("theme");
    client.add(theme("light"), draft()).await.expect("running").expect("new");
    let dark = client.add(theme("dark"), draft()).await.expect("running").expect("new");
    assert_eq!(client.sync(inc()).await, Ok(()));
    let themes = || {
        let mut ids = Vec::new();
        client
            .walk(&Query::created().oldest_first(), |entry| {
                if entry.action.kind() == "theme" {
                    ids.push(entry.meta.id.clone());
                }
                ControlFlow::Continue(())
            })
            .expect("running");
        ids
    };
    assert_eq!(themes(), [dark.meta.id]);
    client.remove_reason("theme", &Criteria::default()).await.expect("running");
    assert_eq!(themes(), []);
    // An action that the server has not answered cannot be forgotten.
    client.pause().expect("running");
    assert!(client.reached(State::Disconnected).await);
    let waiting = client.sync(inc());
    client.remove_reason("syncing", &Criteria::default()).await.expect("running");
    client.resume().expect("running");
    assert_eq!(waiting.await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_result_changes_nothing() {
    let world = world();
    let client = world.start("10");
    connected(&client).await;
    drop(client.sync(inc()));
    let note = client.document::<Map>("notes", "10").await.expect("open");
    drop(note.operate(&title("Tea")));
    assert_eq!(note.state().to_json(), json!({"title": "Tea"}), "at once");
    assert_eq!(client.flush(TIMEOUT).await, 0);
}
