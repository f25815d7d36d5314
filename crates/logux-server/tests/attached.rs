//! A server without a socket of its own, inside another program.
#![cfg(feature = "axum")]

mod wire;

use std::net::SocketAddr;

use axum::{Router, routing::get};
use logux_net::{CloseReason, WebSocketConnector, websocket};
use logux_server::{RunningServer, Server};
use tokio::net::TcpListener;
use wire::{authenticate, close_reason, connect_with, http, next_with, send};

async fn logux() -> RunningServer<()> {
    Server::builder()
        .config(|config| config.max_connections = 1)
        .auth(|login| async move {
            Ok(login.token.as_deref() == Some("good") && login.remote.is_some())
        })
        .action_type("inc", |action| action.access(|_| async { Ok(true) }))
        .attach()
        .await
        .expect("a server")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_axum_application_serves_logux_on_its_own_path() {
    let logux = logux().await;
    let app = Router::new()
        .route("/", get(|| async { "application" }))
        .route("/live", logux.http_service().route());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    let serving = tokio::spawn(async move {
        axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
    });
    let connector =
        || WebSocketConnector::new(&format!("ws://{address}/live")).expect("an address");
    let mut client = connect_with(connector()).await;
    authenticate(&mut client, "10:client:tab").await;
    send(&mut client, r#"["sync",1,{"type":"inc"},{"id":1,"time":1}]"#).await;
    next_with(&mut client, "logux/processed").await;

    assert_eq!(http(address, "GET", "/", "").await, (200, "application".into()));
    assert_eq!(http(address, "GET", "/live", "").await.0, 503, "connection limits apply here too");
    logux.shutdown().await.expect("a clean shutdown");
    assert_eq!(close_reason(&mut client).await, Some(CloseReason::Shutdown));
    assert_eq!(http(address, "GET", "/live", "").await.0, 503, "the Logux server has stopped");
    assert_eq!(http(address, "GET", "/", "").await.0, 200, "the application has not stopped");
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_an_upgrade_is_refused() {
    let logux = logux().await;
    let request = hyper::Request::new(http_body_util::Empty::new());
    let peer = Some(SocketAddr::from(([127, 0, 0, 1], 1)));
    assert_eq!(logux.http_service().upgrade(request, peer).await.status(), 426);
}

#[tokio::test]
async fn any_byte_stream_can_be_a_connection() {
    let logux = logux().await;
    let (client_side, server_side) = tokio::io::duplex(64 * 1024);
    let http_service = logux.http_service().clone();
    let peer = Some(SocketAddr::from(([127, 0, 0, 1], 1)));
    tokio::spawn(async move { http_service.serve(server_side, peer).await });
    let connector = WebSocketConnector::new("ws://localhost/").expect("an address");
    let mut client: websocket::WebSocketTransport<_> =
        connector.upgrade(client_side).await.expect("a connection");
    use futures_util::{SinkExt as _, StreamExt as _};
    client
        .send(r#"["connect",5,"10:client:tab",0,{"token":"good"}]"#.to_owned().into())
        .await
        .expect("sent");
    let answer = client.next().await.expect("an answer").expect("a frame");
    assert!(answer.as_str().starts_with(r#"["connected""#));
}
