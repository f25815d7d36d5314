//! HTTP on the port of the WebSocket: the application's own routes, and a server without HTTP.

mod wire;

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
};

use hyper::{Method, Response, StatusCode};
use logux::Action;
use logux_server::{BuildError, Config, HandlerError, RunningServer, Server};
use serde_json::json;
use wire::{http, login, next_with, send, upgrade_status};

async fn server(change: impl FnOnce(&mut Config)) -> RunningServer {
    Server::builder_with(AtomicU32::new(0))
        .config(change)
        .auth(|_| async { Ok(true) })
        .channel("news", |channel| channel.access(|_| async { Ok(true) }))
        .http(Method::POST, "/news", |request| async move {
            let count = request.state().fetch_add(1, Ordering::SeqCst) + 1;
            let text: String = request.json()?;
            let action = Action::new(json!({"type": "news", "text": text}).to_string())?;
            request.server().send(action, "news").await;
            Ok((StatusCode::CREATED, count.to_string()))
        })
        .http(Method::GET, "/who", |request| async move {
            let cookie = request.cookie("session").unwrap_or_default();
            let from = request.remote().map(|remote| remote.ip().to_string());
            Ok(json!({"query": request.uri().query(), "cookie": cookie, "from": from}))
        })
        .http(Method::GET, "/health", |_| async { Ok(Response::new("custom".to_owned())) })
        .http(Method::GET, "/panic", |request| async move { Ok([""][request.body().len() + 1]) })
        .http(Method::GET, "/fails", |_| async {
            Err::<(), _>(HandlerError::failed("a secret of the database"))
        })
        .http(Method::GET, "/denied", |_| async { Err::<(), _>(HandlerError::Denied) })
        .http(Method::GET, "/missing", |_| async { Err::<(), _>(HandlerError::NotFound) })
        .http(Method::GET, "/wrong", |_| async { Err::<(), _>(HandlerError::undo("no such day")) })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port")
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    http(address, "GET", path, "").await
}

#[tokio::test]
async fn a_route_receives_the_request_the_state_and_the_server() {
    let server = server(|_| {}).await;
    let address = server.address();
    let mut reader = login(address, "10:client:tab").await;
    send(
        &mut reader,
        r#"["sync",1,{"type":"logux/subscribe","channel":"news"},{"id":1,"time":1}]"#,
    )
    .await;
    next_with(&mut reader, "logux/processed").await;
    assert_eq!(http(address, "POST", "/news", "\r\n\r\n\"hello\"").await, (201, "1".into()));
    next_with(&mut reader, r#"{"text":"hello","type":"news"}"#).await;
    let (status, body) = http(address, "GET", "/who?a=1", "cookie: session=x%20y\r\n").await;
    assert_eq!((status, &*body), (200, r#"{"cookie":"x y","from":"127.0.0.1","query":"a=1"}"#));
    assert_eq!(
        get(address, "/health").await,
        (200, "custom".into()),
        "the application's routes have precedence"
    );
    assert_eq!(http(address, "HEAD", "/who", "").await, (200, String::new()));
}

#[tokio::test]
async fn failures_have_statuses_and_show_no_secrets() {
    let server = server(|_| {}).await;
    let address = server.address();
    assert_eq!(get(address, "/panic").await, (500, "Internal error\n".into()));
    assert_eq!(get(address, "/fails").await, (500, "Internal error\n".into()));
    assert_eq!(get(address, "/denied").await.0, 403);
    assert_eq!(get(address, "/missing").await.0, 404);
    assert_eq!(get(address, "/wrong").await, (400, "no such day".into()));
    assert_eq!(get(address, "/nothing").await.0, 404);
    assert_eq!(get(address, "//").await.0, 404);
    assert_eq!(http(address, "PUT", "/news", "").await.0, 404, "the method is compared too");
    assert_eq!(upgrade_status(address, "").await, 101, "the server still works");
}

#[tokio::test]
async fn the_size_of_a_body_is_limited() {
    let server = server(|config| config.max_body_bytes = 10).await;
    let address = server.address();
    assert_eq!(http(address, "POST", "/news", "\r\n\r\n\"12345678\"").await.0, 201);
    assert_eq!(http(address, "POST", "/news", "\r\n\r\n\"123456789\"").await.0, 413);
    let chunked = "transfer-encoding: chunked\r\n\r\nc\r\n\"1234567890\"\r\n0\r\n\r\n";
    let mut socket = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let request = format!("POST /news HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{chunked}");
    tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut socket, &mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn pages_of_the_server_can_only_be_read() {
    let server = Server::builder().auth(|_| async { Ok(true) }).config(|config| {
        config.metrics_address = Some(([127, 0, 0, 1], 0).into());
    });
    let server = server.listen(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    for path in ["/health", "/"] {
        assert_eq!(get(server.address(), path).await.0, 200, "{path}");
        assert_eq!(http(server.address(), "HEAD", path, "").await, (200, String::new()), "{path}");
        for method in ["POST", "PUT", "DELETE"] {
            assert_eq!(http(server.address(), method, path, "").await.0, 405, "{method} {path}");
        }
    }
    assert_eq!(http(server.address(), "POST", "/other", "").await.0, 404);
    let metrics = server.metrics_address().expect("an address");
    assert_eq!(http(metrics, "HEAD", "/metrics", "").await, (200, String::new()));
}

#[tokio::test]
async fn without_http_only_websocket_is_served() {
    let server = server(|config| config.disable_http = true).await;
    let address = server.address();
    for path in ["/", "/health", "/who"] {
        assert_eq!(get(address, path).await.0, 426, "{path}");
    }
    assert_eq!(upgrade_status(address, "").await, 101);
}

#[tokio::test]
async fn all_other_requests_can_have_a_handler() {
    let server = Server::builder()
        .auth(|_| async { Ok(true) })
        .other_http(|request| async move {
            Ok(format!("{} {}", request.method(), request.uri().path()))
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port");
    assert_eq!(
        http(server.address(), "PATCH", "/any/thing", "").await,
        (200, "PATCH /any/thing".into())
    );
    assert_eq!(get(server.address(), "/").await, (200, "GET /".into()));
}

#[tokio::test]
async fn a_duplicate_or_invalid_route_is_an_error() {
    let builder = || {
        Server::builder().auth(|_| async { Ok(true) }).http(Method::GET, "/a", |_| async { Ok(()) })
    };
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let twice = builder().http(Method::GET, "/a", |_| async { Ok(()) }).listen(address).await;
    assert!(matches!(twice, Err(BuildError::Route { .. })));
    let invalid = builder().http(Method::GET, "a", |_| async { Ok(()) }).listen(address).await;
    assert!(matches!(invalid, Err(BuildError::Route { .. })));
    assert!(builder().http(Method::POST, "/a", |_| async { Ok(()) }).listen(address).await.is_ok());
}
