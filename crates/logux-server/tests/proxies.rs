//! Reverse proxies: clients are identified by the address that a trusted proxy reports, and never
//! by a header that a client could forge.

mod wire;

use std::net::SocketAddr;

use logux_net::WebSocketConnector;
use logux_server::{Config, RunningServer, Server};
use wire::{Socket, authenticate, connect, connect_with, http, next, send, upgrade_status};

async fn server(change: impl FnOnce(&mut Config)) -> RunningServer {
    Server::builder()
        .config(change)
        .auth(|login| async move { Ok(login.token.as_deref() == Some("good")) })
        .action_type("where", |action| {
            action.access(|_| async { Ok(true) }).process(|context| async move {
                let remote =
                    context.remote().map(|remote| remote.ip().to_string()).unwrap_or_default();
                Err(logux_server::HandlerError::undo(remote))
            })
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port")
}

fn behind_proxy(config: &mut Config) {
    config.proxies = "127.0.0.0/8, 10.0.0.0/8".parse().expect("networks");
}

async fn connect_from(address: SocketAddr, forwarded: &str) -> Socket {
    let connector = WebSocketConnector::new(&format!("ws://{address}")).expect("an address");
    connect_with(connector.header("x-forwarded-for", forwarded).expect("a header")).await
}

async fn remote(address: SocketAddr, forwarded: &str) -> String {
    let mut socket = connect_from(address, forwarded).await;
    authenticate(&mut socket, "10:client:tab").await;
    send(&mut socket, r#"["sync",1,{"type":"where"},{"id":1,"time":1}]"#).await;
    let undo = wire::next_with(&mut socket, "logux/undo").await;
    let from = undo.find(r#""reason":""#).expect("a reason") + 10;
    undo[from..].split('"').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn handlers_receive_the_address_that_the_proxy_reports() {
    let proxied = server(behind_proxy).await;
    assert_eq!(remote(proxied.address(), "203.0.113.7").await, "203.0.113.7");
    assert_eq!(remote(proxied.address(), "6.6.6.6, 203.0.113.7, 10.1.1.1").await, "203.0.113.7");
    let direct = server(|_| {}).await;
    assert_eq!(
        remote(direct.address(), "203.0.113.7").await,
        "127.0.0.1",
        "no proxy is trusted by default"
    );
}

#[tokio::test]
async fn wrong_credentials_count_for_the_client_and_not_for_the_proxy() {
    let server = server(behind_proxy).await;
    let answer = async |forwarded: &str, token: &str| {
        let mut socket = connect_from(server.address(), forwarded).await;
        send(&mut socket, &format!(r#"["connect",5,"10:a:b",0,{{"token":"{token}"}}]"#)).await;
        next(&mut socket).await.expect("an answer")
    };
    for guess in 0..3 {
        // A client can forge the first addresses.
        answer(&format!("9.9.9.{guess}, 203.0.113.7"), "bad").await;
    }
    let start = std::time::Instant::now();
    assert!(answer("203.0.113.7", "good").await.starts_with(r#"["connected""#));
    assert!(start.elapsed().as_millis() > 900, "the client with wrong credentials waits");
    assert!(
        answer("203.0.113.8", "good").await.starts_with(r#"["connected""#),
        "other clients of the proxy are not blocked"
    );
}

#[tokio::test]
async fn connections_count_for_the_client_and_not_for_the_proxy() {
    let server = server(|config| {
        behind_proxy(config);
        config.max_connections_per_address = Some(1);
    })
    .await;
    let mut first = connect_from(server.address(), "203.0.113.7").await;
    authenticate(&mut first, "10:a:b").await;
    assert_eq!(upgrade_status(server.address(), "x-forwarded-for: 203.0.113.7\r\n").await, 503);
    assert_eq!(upgrade_status(server.address(), "x-forwarded-for: 203.0.113.8\r\n").await, 101);
    assert_eq!(http(server.address(), "GET", "/health", "").await.0, 200);
    drop(first);
    let free_connection = async {
        while upgrade_status(server.address(), "x-forwarded-for: 203.0.113.7\r\n").await != 101 {}
    };
    tokio::time::timeout(wire::TIMEOUT, free_connection).await.expect("a free connection");
    let _ = connect(server.address()).await;
}
