//! How a server stops: what is in progress is finished, everybody is told, and it does not take for ever.

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
use wire::{PATIENCE, connect, farewell, http, login, next_with, send, upgrade_status};

/// A server whose action `slow` begins, says so, and waits until it may end.
async fn server(change: impl FnOnce(&mut Config)) -> (RunningServer, Arc<Notify>, Arc<Notify>) {
    let (began, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let notes = (began.clone(), end.clone());
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
                let (began, end) = notes.clone();
                async move {
                    began.notify_one();
                    end.notified().await;
                    Ok(())
                }
            })
        })
        .channel("room", |channel| channel.access(|_| async { Ok(true) }))
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port");
    (server, began, end)
}

const SLOW: &str = r#"["sync",1,{"type":"slow"},{"id":1,"time":1}]"#;

/// Waits until HTTP says that the server stops.
async fn until_it_drains(address: SocketAddr) {
    let drains = async { while http(address, "GET", "/health", "").await.0 != 503 {} };
    timeout(PATIENCE, drains).await.expect("it drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_progress_is_finished_and_the_client_told_before_it_goes() {
    let (server, began, end) = server(|_| {}).await;
    let address = server.address();
    let mut client = login(address, "10:client:tab").await;
    send(&mut client, SLOW).await;
    began.notified().await;
    let stopped = tokio::spawn(server.shutdown());
    until_it_drains(address).await;
    assert_eq!(upgrade_status(address, "").await, 503, "nobody new is let in");
    send(&mut client, r#"["sync",2,{"type":"slow"},{"id":2,"time":2}]"#).await;
    end.notify_one();
    next_with(&mut client, "logux/processed").await;
    assert_eq!(farewell(&mut client).await, Some(CloseReason::Shutdown));
    timeout(PATIENCE, stopped).await.expect("in time").expect("no panic").expect("not broken");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_connected_is_told_whether_it_was_let_in_or_not() {
    let (server, _, _) = server(|_| {}).await;
    let mut silent = connect(server.address()).await;
    let mut undecided = connect(server.address()).await;
    send(&mut undecided, r#"["connect",5,"undecided:a:b",0]"#).await;
    let mut member = login(server.address(), "10:client:tab").await;
    let idle_http = TcpStream::connect(server.address()).await.expect("a connection");
    let began = Instant::now();
    server.shutdown().await.expect("not broken");
    assert!(began.elapsed() < Duration::from_secs(4), "nobody had to be waited for");
    for socket in [&mut silent, &mut undecided, &mut member] {
        assert_eq!(farewell(socket).await, Some(CloseReason::Shutdown));
    }
    drop(idle_http);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_never_ends_is_not_waited_for_longer_than_allowed() {
    let (server, began, _end) =
        server(|config| config.drain_timeout = Duration::from_millis(50)).await;
    let mut client = login(server.address(), "10:client:tab").await;
    send(&mut client, SLOW).await;
    began.notified().await;
    timeout(PATIENCE, server.shutdown()).await.expect("in time").expect("not broken");
    assert_eq!(farewell(&mut client).await, Some(CloseReason::Shutdown));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_its_farewell_is_cut_off() {
    let (server, _, _) =
        server(|config| config.disconnect_timeout = Duration::from_millis(50)).await;
    let mut deaf = login(server.address(), "10:client:tab").await;
    deaf.send(r#"["sync",1,{"type":"logux/subscribe","channel":"room"},{"id":1,"time":1}]"#.into())
        .await
        .expect("room");
    next_with(&mut deaf, "logux/processed").await;
    // More than the sockets hold between the two, less than the bound of the queue.
    let big = Action::new(format!(r#"{{"type":"big","a":"{}"}}"#, "x".repeat(1_000_000)))
        .expect("an action");
    for _ in 0..7 {
        server.handle().send(big.clone(), "room").await;
    }
    timeout(PATIENCE, server.shutdown()).await.expect("in time").expect("not broken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_progress_gets_its_answer() {
    let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let notes = (asked.clone(), go_on.clone());
    let server = Server::builder()
        .auth(|_| async { Ok(true) })
        .http(hyper::Method::GET, "/report", move |_| {
            let (asked, go_on) = notes.clone();
            async move {
                asked.notify_one();
                go_on.notified().await;
                Ok("done")
            }
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port");
    let address = server.address();
    let answer = tokio::spawn(async move { http(address, "GET", "/report", "").await });
    asked.notified().await;
    let mut keeps_alive = TcpStream::connect(address).await.expect("a connection");
    keeps_alive.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("room");
    let stopped = tokio::spawn(server.shutdown());
    until_gone(address).await;
    go_on.notify_one();
    assert_eq!(answer.await.expect("no panic"), (200, "done".to_owned()));
    timeout(PATIENCE, stopped).await.expect("in time").expect("no panic").expect("not broken");
}

async fn until_gone(address: SocketAddr) {
    let gone = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, gone).await.expect("nobody accepts any more");
}
