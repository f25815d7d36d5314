//! A store that cannot write for a while: nothing is confirmed, nothing is undone, and the server
//! is back by itself.

mod wire;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use logux::testing::{FailingStore, FailureSwitch, StoreFailure};
use logux_server::{
    AddError, Builder, Handle, HandlerError, Server,
    testing::{TestClient, TestServer},
};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use wire::{http, login, next_with, send, upgrade_status};

/// Counts the calls of the handler of `inc`.
type Calls = Arc<AtomicUsize>;

fn server() -> (Builder<Calls, FailingStore>, FailureSwitch, Calls) {
    let (store, switch) = FailingStore::new();
    let calls = Calls::default();
    let builder = Server::builder_with(calls.clone())
        .action_type("inc", |on| {
            on.access(|_| async { Ok(true) }).process(|context| async move {
                context.state().fetch_add(1, Ordering::SeqCst);
                Ok(())
            })
        })
        .store(store);
    (builder, switch, calls)
}

async fn inc(client: &TestClient) {
    client.process(json!({"type": "inc"})).await.expect("processed");
}

/// Lets the store fail while the client sends an action. Returns the number of connections that
/// the client needed for its answer.
async fn inc_during(failure: StoreFailure, duration: Duration) -> (usize, usize) {
    let (builder, switch, calls) = server();
    let server = TestServer::start(builder).expect("a server");
    let client = server.connect("10").await.expect("connected");
    inc(&client).await;
    switch.set(Some(failure));
    let start = Instant::now();
    let (mut reconnects, mut was_connected) = (0, true);
    let watch = async {
        loop {
            sleep(Duration::from_millis(100)).await;
            // In this loop, so that a server that does not come back is an error, not a hang.
            let limit = duration + Duration::from_secs(60);
            assert!(start.elapsed() < limit, "the server is back by itself");
            let is_connected = client.client().state() != logux::sync::State::Disconnected;
            reconnects += usize::from(was_connected && !is_connected);
            was_connected = is_connected;
            if start.elapsed() >= duration {
                switch.set(None);
            }
        }
    };
    tokio::select! {
        () = inc(&client) => {}
        () = watch => {}
    }
    assert!(start.elapsed() >= duration, "it is not confirmed before the store works");
    (reconnects, calls.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn an_action_waits_while_the_store_is_locked() {
    let (reconnects, calls) = inc_during(StoreFailure::Locked, Duration::from_secs(7)).await;
    assert_eq!((reconnects, calls), (0, 2), "the connection stays open");
}

#[tokio::test(start_paused = true)]
async fn connections_are_closed_after_a_while() {
    let (reconnects, calls) = inc_during(StoreFailure::Locked, Duration::from_secs(90)).await;
    assert!(reconnects > 0);
    assert_eq!(calls, 2);
}

#[tokio::test(start_paused = true)]
async fn an_action_is_sent_again_after_the_store_was_full() {
    let (reconnects, calls) = inc_during(StoreFailure::Full, Duration::from_secs(7)).await;
    assert!(reconnects > 0, "the hub has dropped what was not committed");
    assert!(calls > 2, "the handler is called again, as after a crash");
}

#[tokio::test(start_paused = true)]
async fn a_write_may_fail_in_the_middle_of_a_round() {
    let (reconnects, calls) = inc_during(StoreFailure::WriteFailed, Duration::from_secs(7)).await;
    assert!(reconnects > 0);
    assert_eq!(calls, 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_starts_while_its_store_is_full() {
    let (builder, switch, _) = server();
    switch.set(Some(StoreFailure::Full));
    let server = TestServer::start(builder).expect("a server");
    let connected = timeout(Duration::from_secs(20), server.connect("10")).await;
    assert!(connected.is_err(), "no client can connect");
    let result = add(server.handle()).await;
    assert_eq!(result, Err(AddError::Unavailable));
    switch.set(None);
    let client = server.connect("20").await.expect("connected");
    inc(&client).await;
}

/// Adds an action, and gives up while it waits.
async fn add(handle: &Handle) -> Result<(), AddError> {
    let action = logux::Action::new(r#"{"type":"inc"}"#).expect("an action");
    let result = timeout(Duration::from_secs(5), handle.process(action)).await;
    result.unwrap_or(Err(AddError::Unavailable))
}

#[tokio::test(start_paused = true)]
async fn handlers_are_called_again_while_their_database_is_unavailable() {
    let (_, _, calls) = server();
    let builder = Server::builder_with(calls.clone()).action_type("inc", |on| {
        on.access(|_| async { Ok(true) }).process(|context| async move {
            match context.state().fetch_add(1, Ordering::SeqCst) {
                0..5 => Err(HandlerError::unavailable("the database restarts")),
                _ => Ok(()),
            }
        })
    });
    let server = TestServer::start(builder).expect("a server");
    let client = server.connect("10").await.expect("connected");
    inc(&client).await;
    assert_eq!(calls.load(Ordering::SeqCst), 6);
}

/// Waits for a status, so that one that does not come is an error, not a hang.
async fn answers(expected: u16, status: impl AsyncFn() -> u16) {
    let wait = async {
        while status().await != expected {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let result = timeout(Duration::from_secs(20), wait).await;
    assert!(result.is_ok(), "the server did not answer {expected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_upgrades_show_the_outage() {
    let (builder, switch, _) = server();
    let server = builder
        .auth(|_| async { Ok(true) })
        .config(|config| config.store_timeout = Duration::from_millis(300))
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let address = server.address();
    assert_eq!(http(address, "GET", "/health", "").await.0, 200);
    let mut client = login(address, "10:client:tab").await;
    switch.set(Some(StoreFailure::Locked));
    send(&mut client, r#"["sync",1,{"type":"inc"},{"id":1,"time":1}]"#).await;
    answers(503, async || http(address, "GET", "/health", "").await.0).await;
    answers(503, async || upgrade_status(address, "").await).await;
    switch.set(None);
    answers(200, async || http(address, "GET", "/health", "").await.0).await;
    let mut client = login(address, "10:client:tab").await;
    send(&mut client, r#"["sync",1,{"type":"inc"},{"id":1,"time":1}]"#).await;
    next_with(&mut client, "logux/processed").await;
    server.shutdown().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_ends_the_server() {
    let (builder, switch, _) = server();
    let mut server = builder
        .auth(|_| async { Ok(true) })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let mut client = login(server.address(), "10:client:tab").await;
    switch.set(Some(StoreFailure::Damaged));
    send(&mut client, r#"["sync",1,{"type":"inc"},{"id":1,"time":1}]"#).await;
    assert!(server.broken().await.to_string().contains("damaged"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stops_while_its_store_is_locked() {
    let (builder, switch, _) = server();
    let server = builder
        .auth(|_| async { Ok(true) })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let mut client = login(server.address(), "10:client:tab").await;
    switch.set(Some(StoreFailure::Locked));
    send(&mut client, r#"["sync",1,{"type":"inc"},{"id":1,"time":1}]"#).await;
    timeout(Duration::from_secs(20), server.shutdown()).await.expect("in time").expect("stopped");
}
