//! Tests of the shutdown: actions in progress are completed, clients are notified, and the duration
//! is limited.

mod wire;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::SinkExt as _;
use logux::Action;
use logux_net::CloseReason;
use logux_server::{Config, RunningServer, Server};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Notify, time::timeout};
use wire::{TIMEOUT, close_reason, connect, http, login, next_with, send, upgrade_status};

/// Starts a server whose action `slow` notifies the first value when it starts, and waits for the
/// second.
async fn server(change: impl FnOnce(&mut Config)) -> (RunningServer, Arc<Notify>, Arc<Notify>) {
    let (started, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let notifies = (started.clone(), end.clone());
    let server = Server::builder()
        .config(change)
        .auth(|login| async move {
            if login.user_id() == Some("undecided") {
                std::future::pending::<()>().await;
            }
            Ok(true)
        })
        .action_type("slow", move |action| {
            action.access(|_| async { Ok(true) }).process(move |_| {
                let (started, end) = notifies.clone();
                async move {
                    started.notify_one();
                    end.notified().await;
                    Ok(())
                }
            })
        })
        .channel("room", |channel| channel.access(|_| async { Ok(true) }))
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port");
    (server, started, end)
}

const SLOW_ACTION: &str = r#"["sync",1,{"type":"slow"},{"id":1,"time":1}]"#;

/// Waits until HTTP reports that the server stops.
async fn wait_until_draining(address: SocketAddr) {
    let draining = async { while http(address, "GET", "/health", "").await.0 != 503 {} };
    timeout(TIMEOUT, draining).await.expect("the server stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_in_progress_are_completed_and_their_clients_notified() {
    let (server, started, end) = server(|_| {}).await;
    let address = server.address();
    let mut client = login(address, "10:client:tab").await;
    send(&mut client, SLOW_ACTION).await;
    started.notified().await;
    let stopped = tokio::spawn(server.shutdown());
    wait_until_draining(address).await;
    assert_eq!(upgrade_status(address, "").await, 503, "new clients are refused");
    send(&mut client, r#"["sync",2,{"type":"slow"},{"id":2,"time":2}]"#).await;
    end.notify_one();
    next_with(&mut client, "logux/processed").await;
    assert_eq!(close_reason(&mut client).await, Some(CloseReason::Shutdown));
    timeout(TIMEOUT, stopped).await.expect("in time").expect("no panic").expect("a clean shutdown");
    assert!(TcpStream::connect(address).await.is_err(), "the server does not listen any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_connected_clients_are_notified_before_and_after_authentication() {
    let (server, _, _) = server(|_| {}).await;
    let mut silent = connect(server.address()).await;
    let mut undecided = connect(server.address()).await;
    send(&mut undecided, r#"["connect",5,"undecided:a:b",0]"#).await;
    let mut member = login(server.address(), "10:client:tab").await;
    let idle_http = TcpStream::connect(server.address()).await.expect("a connection");
    let started = Instant::now();
    server.shutdown().await.expect("a clean shutdown");
    assert!(started.elapsed() < Duration::from_secs(4), "no client delays the shutdown");
    for socket in [&mut silent, &mut undecided, &mut member] {
        assert_eq!(close_reason(socket).await, Some(CloseReason::Shutdown));
    }
    drop(idle_http);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_never_ends_delays_the_shutdown_for_the_drain_timeout() {
    let (server, started, _end) =
        server(|config| config.drain_timeout = Duration::from_millis(50)).await;
    let mut client = login(server.address(), "10:client:tab").await;
    send(&mut client, SLOW_ACTION).await;
    started.notified().await;
    timeout(TIMEOUT, server.shutdown()).await.expect("in time").expect("a clean shutdown");
    assert_eq!(close_reason(&mut client).await, Some(CloseReason::Shutdown));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_the_close_message_is_disconnected() {
    let (server, _, _) =
        server(|config| config.disconnect_timeout = Duration::from_millis(50)).await;
    let mut slow = login(server.address(), "10:client:tab").await;
    slow.send(r#"["sync",1,{"type":"logux/subscribe","channel":"room"},{"id":1,"time":1}]"#.into())
        .await
        .expect("sent");
    next_with(&mut slow, "logux/processed").await;
    // More than the buffers of the sockets, less than the limit of the outbox.
    let big = Action::new(format!(r#"{{"type":"big","a":"{}"}}"#, "x".repeat(1_000_000)))
        .expect("an action");
    for _ in 0..7 {
        server.handle().send(big.clone(), "room").await;
    }
    timeout(TIMEOUT, server.shutdown()).await.expect("in time").expect("a clean shutdown");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_request_in_progress_is_answered() {
    let (started, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let notifies = (started.clone(), finish.clone());
    let server = Server::builder()
        .auth(|_| async { Ok(true) })
        .http(hyper::Method::GET, "/report", move |_| {
            let (started, finish) = notifies.clone();
            async move {
                started.notify_one();
                finish.notified().await;
                Ok("done")
            }
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port");
    let address = server.address();
    let answer = tokio::spawn(async move { http(address, "GET", "/report", "").await });
    started.notified().await;
    let mut keep_alive = TcpStream::connect(address).await.expect("a connection");
    keep_alive.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let stopped = tokio::spawn(server.shutdown());
    wait_until_closed(address).await;
    finish.notify_one();
    assert_eq!(answer.await.expect("no panic"), (200, "done".to_owned()));
    timeout(TIMEOUT, stopped).await.expect("in time").expect("no panic").expect("a clean shutdown");
}

async fn wait_until_closed(address: SocketAddr) {
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(TIMEOUT, closed).await.expect("a closed listener");
}
