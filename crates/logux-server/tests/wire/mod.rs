//! Logux messages and HTTP requests written by hand, for tests about sockets.
#![allow(dead_code, reason = "each test file uses a part")]

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use logux_net::{
    CloseReason, Connector as _, Frame, Transport as _, WebSocketConnector, WebSocketTransport,
    websocket::ClientIo,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

pub(crate) type Socket = WebSocketTransport<ClientIo>;

/// The time limit of each step; no step takes this long unless it fails.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// The head of a request for a WebSocket, without its empty line.
pub(crate) const UPGRADE: &str = "host: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n";

pub(crate) async fn connect(address: SocketAddr) -> Socket {
    connect_with(WebSocketConnector::new(&format!("ws://{address}")).expect("an address")).await
}

pub(crate) async fn connect_with(connector: WebSocketConnector) -> Socket {
    timeout(TIMEOUT, connector.connect()).await.expect("in time").expect("a connection")
}

pub(crate) async fn send(socket: &mut Socket, text: &str) {
    socket.send(Frame::from(text.to_owned())).await.expect("sent");
}

/// Connects, and authenticates with the token `good`.
pub(crate) async fn login(address: SocketAddr, node: &str) -> Socket {
    let mut socket = connect(address).await;
    authenticate(&mut socket, node).await;
    socket
}

/// Authenticates with the token `good`.
pub(crate) async fn authenticate(socket: &mut Socket, node: &str) {
    send(socket, &format!(r#"["connect",5,"{node}",0,{{"token":"good"}}]"#)).await;
    let answer = next(socket).await.expect("an answer");
    assert!(answer.starts_with(r#"["connected""#), "{answer}");
}

/// Returns the next frame; `None` if the server has closed the connection.
pub(crate) async fn next(socket: &mut Socket) -> Option<String> {
    let frame = timeout(TIMEOUT, socket.next()).await.expect("a frame or the end");
    frame.and_then(Result::ok).map(|frame| frame.as_str().to_owned())
}

/// Returns the next frame that contains a string.
pub(crate) async fn next_with(socket: &mut Socket, text: &str) -> String {
    loop {
        let frame =
            next(socket).await.unwrap_or_else(|| panic!("the connection was closed before {text}"));
        if frame.contains(text) {
            return frame;
        }
    }
}

/// Reads until the end. Returns the reason with which the server has closed the connection.
pub(crate) async fn close_reason(socket: &mut Socket) -> Option<CloseReason> {
    while next(socket).await.is_some() {}
    socket.received_close().cloned()
}

/// Sends a request with headers and a body in `rest`. Reads the whole response; the connection is
/// closed after it.
pub(crate) async fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    rest: &str,
) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    http_on(&mut socket, method, path, rest).await
}

pub(crate) async fn http_on(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    method: &str,
    path: &str,
    rest: &str,
) -> (u16, String) {
    let (headers, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
    let length =
        if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{length}{headers}\r\n\r\n{body}"
    );
    io.write_all(request.replace("\r\n\r\n\r\n", "\r\n\r\n").as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let _ = timeout(TIMEOUT, io.read_to_end(&mut answer)).await.expect("in time");
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) =
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

/// Returns the status of the response to a request for a WebSocket.
pub(crate) async fn upgrade_status(address: SocketAddr, headers: &str) -> u16 {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    let head = format!("GET / HTTP/1.1\r\n{UPGRADE}{headers}\r\n");
    socket.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = [0; 12];
    timeout(TIMEOUT, socket.read_exact(&mut answer)).await.expect("in time").expect("an answer");
    std::str::from_utf8(&answer[9..]).ok().and_then(|status| status.parse().ok()).expect("a status")
}
