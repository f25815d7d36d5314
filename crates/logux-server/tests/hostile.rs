//! Attacks of hostile clients over real sockets; other clients must not be affected.

use std::{io, net::SocketAddr, process::Stdio, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use logux::Action;
use logux_net::{
    Connector as _, Frame, NetError, WebSocketConnector, WebSocketTransport, websocket::ClientIo,
};
use logux_server::{Config, RunningServer, Server};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

type Socket = WebSocketTransport<ClientIo>;

/// The time limit of each step; no step takes this long unless it fails.
const TIMEOUT: Duration = Duration::from_secs(20);

async fn server(change: impl FnOnce(&mut Config)) -> RunningServer {
    Server::builder()
        .config(change)
        .auth(|login| async move { Ok(login.token.as_deref() == Some("good")) })
        .action_type("echo", |action| {
            action
                .access(|_| async { Ok(true) })
                .resend(|_| async { Ok("room") })
                .process(|_| async { Ok(()) })
        })
        .channel("room", |channel| channel.access(|_| async { Ok(true) }))
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port")
}

async fn connect(address: SocketAddr) -> Socket {
    let connector = WebSocketConnector::new(&format!("ws://{address}")).expect("an address");
    connector.connect().await.expect("a connection")
}

async fn login(address: SocketAddr, node: &str) -> Socket {
    let mut socket = connect(address).await;
    socket
        .send(Frame::from(format!(r#"["connect",5,"{node}",0,{{"token":"good"}}]"#)))
        .await
        .expect("sent");
    let answer = next(&mut socket).await.expect("an answer");
    assert!(answer.starts_with(r#"["connected""#), "{answer}");
    socket
}

/// Returns the next frame; `None` if the server has closed the connection.
async fn next(socket: &mut Socket) -> Option<String> {
    let frame = timeout(TIMEOUT, socket.next()).await.expect("a frame or the end");
    frame.and_then(Result::ok).map(|frame| frame.as_str().to_owned())
}

/// Asserts that the server processes the action of a well-behaved client.
async fn assert_server_works(address: SocketAddr) {
    let mut socket = login(address, "good:client:tab").await;
    socket.send(r#"["sync",1,{"type":"echo"},{"id":1,"time":1}]"#.into()).await.expect("sent");
    let mut frames = String::new();
    while !frames.contains("logux/processed") {
        frames += &next(&mut socket).await.expect("an answer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_message_closes_its_connection() {
    let server = server(|_| {}).await;
    let deep = format!(r#"["headers",{{"a":{}1{}}}]"#, "[".repeat(600), "]".repeat(600));
    let invalid = [
        "",
        "{",
        "null",
        "[]",
        "[null]",
        r#"["sync"]"#,
        r#"["sync",1,null,null]"#,
        r#"["sync",1,{"type":"echo"}]"#,
        r#"["sync",1,{"type":"echo"},{"id":[1,2,3],"time":1}]"#,
        r#"["sync",1,{"type":"echo"},{"id":1,"time":1e99}]"#,
        r#"["sync",-1,{"type":"echo"},{"id":1,"time":1}]"#,
        r#"["connect",5,"two parts",0]"#,
        r#"["connect",5,{},0]"#,
        r#"["connected",5,"server:x",[0,0]]"#,
        r#"["headers",[]]"#,
        r#"["__proto__",1]"#,
        &deep,
    ];
    for text in invalid {
        for logged_in in [false, true] {
            let mut socket = if logged_in {
                login(server.address(), "10:evil:tab").await
            } else {
                connect(server.address()).await
            };
            socket.send(text.into()).await.expect("sent");
            let reply = next(&mut socket).await.unwrap_or_default();
            assert!(reply.starts_with(r#"["error","#), "{text}: {reply}");
            assert_eq!(next(&mut socket).await, None, "{text}");
        }
    }
    assert_server_works(server.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_websocket_frames_and_http_are_handled() {
    let server = server(|_| {}).await;
    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.address()
    );
    // An unmasked frame, a reserved bit, a fragmented control frame, a length that exceeds all
    // memory, text that is not UTF-8.
    let frames: [&[u8]; 5] = [
        b"\x81\x02hi",
        b"\xF1\x80\0\0\0\0",
        b"\x09\x80\0\0\0\0",
        b"\x81\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0",
        b"\x81\x82\0\0\0\0\xFF\xFE",
    ];
    for frame in frames {
        let mut socket = TcpStream::connect(server.address()).await.expect("a connection");
        socket.write_all(upgrade.as_bytes()).await.expect("sent");
        socket.write_all(frame).await.expect("sent");
        let mut answer = Vec::new();
        let _ = timeout(TIMEOUT, socket.read_to_end(&mut answer)).await.expect("the server closes");
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{frame:?}");
    }
    for junk in [
        &b"\x16\x03\x01\x02\0"[..],
        b"GET",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    ] {
        let mut socket = TcpStream::connect(server.address()).await.expect("a connection");
        socket.write_all(junk).await.expect("sent");
    }
    assert_server_works(server.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_is_not_buffered() {
    let server = server(|config| config.max_message_bytes = 10_000).await;
    let mut socket = login(server.address(), "10:evil:tab").await;
    let big = format!(r#"["sync",1,{{"type":"{}"}},{{"id":1,"time":1}}]"#, "x".repeat(20_000));
    let _ = socket.send(Frame::from(big)).await;
    assert_eq!(
        next(&mut socket).await.as_deref(),
        Some(r#"["error","wrong-format","the message is larger than 10000 bytes"]"#)
    );
    assert_eq!(next(&mut socket).await, None);
    assert_server_works(server.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_sockets_are_closed_in_time() {
    let server = server(|config| {
        (config.timeout, config.ping_interval) =
            (Duration::from_millis(300), Duration::from_millis(100))
    })
    .await;
    // One client never authenticates, the other stops sending.
    let mut unauthenticated = connect(server.address()).await;
    assert_eq!(next(&mut unauthenticated).await, None);
    let mut silent = login(server.address(), "10:silent:tab").await;
    assert_eq!(next(&mut silent).await.as_deref(), Some(r#"["ping",0]"#));
    assert_eq!(next(&mut silent).await, None);
    assert_server_works(server.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_loses_only_its_own_connection() {
    let server = server(|config| config.max_outbox_bytes = 256 * 1024).await;
    let mut slow = login(server.address(), "10:slow:tab").await;
    slow.send(r#"["sync",1,{"type":"logux/subscribe","channel":"room"},{"id":1,"time":1}]"#.into())
        .await
        .expect("sent");
    while !next(&mut slow).await.expect("an answer").contains("logux/processed") {}
    let mut fast = login(server.address(), "20:fast:tab").await;
    fast.send(r#"["sync",1,{"type":"logux/subscribe","channel":"room"},{"id":1,"time":1}]"#.into())
        .await
        .expect("sent");
    while !next(&mut fast).await.expect("an answer").contains("logux/processed") {}

    // More than the sockets' buffers and the outbox hold. The slow client reads none of it.
    let action = Action::new(format!(r#"{{"type":"big","a":"{}"}}"#, "x".repeat(100_000)))
        .expect("an action");
    let (sent, mut received) = (400, 0);
    for _ in 0..sent {
        server.handle().send(action.clone(), "room").await;
        // The fast client confirms what it reads, as every client does.
        loop {
            let frame = next(&mut fast).await.expect("frames");
            let count = frame.matches("\"big\"").count();
            if count > 0 {
                received += count;
                let added = frame.split(',').nth(1).expect("a number").to_owned();
                fast.send(format!(r#"["synced",{added}]"#).into()).await.expect("sent");
                break;
            }
        }
    }
    assert_eq!(received, sent, "the fast client has received everything");
    let mut frames = 0;
    loop {
        match timeout(TIMEOUT, slow.next()).await.expect("the server has closed the connection") {
            Some(Ok(_)) => frames += 1,
            Some(Err(NetError::Truncated | NetError::Io(_))) | None => break,
            Some(Err(error)) => panic!("{error}"),
        }
    }
    assert!(frames < sent, "the slow client was disconnected after {frames} frames");
    assert_server_works(server.address()).await;
}

/// Its value is an address. Then this program opens unauthenticated connections to it: one process
/// may not be allowed to open enough files for both ends.
const FLOOD: &str = "LOGUX_TEST_FLOOD";

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_unauthenticated_connections() {
    if let Ok(address) = std::env::var(FLOOD) {
        return flood(address.parse().expect("an address")).await;
    }
    let server = server(|_| {}).await;
    let mut child = tokio::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "ten_thousand_unauthenticated_connections", "--nocapture"])
        .env(FLOOD, server.address().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("this program again");
    let mut output = child.stdout.take().expect("its output");
    let mut printed = String::new();
    while !printed.contains("flooded") {
        let mut buffer = [0; 4096];
        let read = timeout(Duration::from_secs(120), output.read(&mut buffer))
            .await
            .expect("in time")
            .expect("output");
        assert_ne!(read, 0, "the flood failed: {printed}");
        printed += &String::from_utf8_lossy(&buffer[..read]);
    }
    assert_server_works(server.address()).await;
    drop(child);
}

async fn flood(address: SocketAddr) {
    const CONNECTIONS: usize = 10_000;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let open = async || -> io::Result<TcpStream> {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(request.as_bytes()).await?;
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await?;
        assert_eq!(&answer, b"HTTP/1.1 101");
        Ok(socket)
    };
    let mut sockets = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        sockets.push(open().await.expect("another connection"));
    }
    println!("flooded");
    // Wait until the parent closes the input.
    let _ = tokio::io::stdin().read_u8().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_are_refused() {
    let server = server(|config| config.allowed_origins = "https://example.com".parse().ok()).await;
    let status = async |origin: &str| {
        let mut socket = TcpStream::connect(server.address()).await.expect("a connection");
        let head = format!(
            "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n{origin}\r\n"
        );
        socket.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = [0; 12];
        timeout(TIMEOUT, socket.read_exact(&mut answer))
            .await
            .expect("in time")
            .expect("an answer");
        String::from_utf8_lossy(&answer[9..]).into_owned()
    };
    assert_eq!(status("origin: https://example.com\r\n").await, "101");
    assert_eq!(status("origin: https://evil.example\r\n").await, "403");
    assert_eq!(status("").await, "101", "other programs send no origin");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connections_of_one_address_are_limited() {
    let server = server(|config| config.max_connections_per_address = Some(1)).await;
    let first = login(server.address(), "first:client:tab").await;
    let mut second = TcpStream::connect(server.address()).await.expect("a connection");
    let ended = timeout(TIMEOUT, second.read(&mut [0; 1])).await.expect("in time");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    drop(first);
    let free_connection = async {
        loop {
            let connector =
                WebSocketConnector::new(&format!("ws://{}", server.address())).expect("an address");
            if connector.connect().await.is_ok() {
                return;
            }
        }
    };
    timeout(TIMEOUT, free_connection).await.expect("a free connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_before_a_close_message_are_processed() {
    let server = server(|_| {}).await;
    let mut listener = login(server.address(), "listener:client:tab").await;
    listener
        .send(r#"["sync",1,{"type":"logux/subscribe","channel":"room"},{"id":1,"time":1}]"#.into())
        .await
        .expect("sent");
    while !next(&mut listener).await.expect("an answer").contains("logux/processed") {}
    for number in 0..20 {
        let mut client = login(server.address(), &format!("client:{number}:tab")).await;
        // The action and the close message are in one write.
        client.feed(r#"["sync",1,{"type":"echo"},{"id":1,"time":1}]"#.into()).await.expect("sent");
        client.close().await.expect("a close message");
        while !next(&mut listener).await.expect("an action").contains("echo") {}
    }
}
