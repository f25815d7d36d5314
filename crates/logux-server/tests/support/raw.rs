//! WebSocket clients and HTTP requests without a Logux client.

#![allow(dead_code, reason = "each test uses a part")]

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use logux_server::RunningServer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest as _},
};

const TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a connection with secrets in every place that can have one, and logs in.
pub(crate) async fn open(server: &RunningServer, node: &str, token: &str) -> Socket {
    let mut request =
        format!("ws://{}", server.address()).into_client_request().expect("an address");
    request.headers_mut().insert("cookie", "session=cookie-secret".parse().expect("a value"));
    request.headers_mut().insert("authorization", "Bearer header-secret".parse().expect("a value"));
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("a connection");
    socket.send(r#"["headers",{"key":"client-secret"}]"#.into()).await.expect("sent");
    let connect = format!(r#"["connect",5,"{node}",0,{{"token":"{token}","subprotocol":3}}]"#);
    socket.send(connect.into()).await.expect("sent");
    socket
}

/// Reads until a message contains a string.
pub(crate) async fn read(socket: &mut Socket, part: &str) {
    loop {
        let message = timeout(TIMEOUT, socket.next())
            .await
            .expect("an answer")
            .expect("a message")
            .expect("a message");
        if matches!(&message, Message::Text(text) if text.contains(part)) {
            return;
        }
    }
}

pub(crate) async fn sync(socket: &mut Socket, sequence: u32, action: &str) {
    let message = format!(r#"["sync",{sequence},{action},{{"id":{sequence},"time":{sequence}}}]"#);
    socket.send(message.into()).await.expect("sent");
}

/// Sends a `GET` request in HTTP/1.1. Returns the status line with the headers, and the body.
pub(crate) async fn get(address: SocketAddr, path: &str, headers: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let host =
        if headers.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    let request = format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut response = String::new();
    timeout(TIMEOUT, stream.read_to_string(&mut response))
        .await
        .expect("a response")
        .expect("text");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}
