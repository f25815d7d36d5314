//! What hostile clients try against a real server over real sockets, and that the others do not notice.

use std::{io, net::SocketAddr, process::Stdio, sync::Arc, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use logux::Action;
use logux_net::{
    Connector as _, Frame, NetError, WebSocketConnector, WebSocketTransport, websocket::ClientIo,
};
use logux_server::{Config, RunningServer, Server};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

type Socket = WebSocketTransport<ClientIo>;

/// Nothing in these tests takes this long unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

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
        .expect("room");
    let answer = next(&mut socket).await.expect("an answer");
    assert!(answer.starts_with(r#"["connected""#), "{answer}");
    socket
}

/// The next frame; `None` when the server has closed.
async fn next(socket: &mut Socket) -> Option<String> {
    let frame = timeout(PATIENCE, socket.next()).await.expect("the server does something");
    frame.and_then(Result::ok).map(|frame| frame.as_str().to_owned())
}

/// A client that behaves gets its action done: the server is well.
async fn assert_well(address: SocketAddr) {
    let mut socket = login(address, "well:client:tab").await;
    socket.send(r#"["sync",1,{"type":"echo"},{"id":1,"time":1}]"#.into()).await.expect("room");
    let mut frames = String::new();
    while !frames.contains("logux/processed") {
        frames += &next(&mut socket).await.expect("an answer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_costs_its_sender_the_connection() {
    let server = server(|_| {}).await;
    let deep = format!(
        r#"["sync",1,{{"type":"echo","a":{}1{}}},{{"id":1,"time":1}}]"#,
        "[".repeat(600),
        "]".repeat(600)
    );
    let nonsense = [
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
    for text in nonsense {
        for logged_in in [false, true] {
            let mut socket = if logged_in {
                login(server.address(), "10:evil:tab").await
            } else {
                connect(server.address()).await
            };
            socket.send(text.into()).await.expect("room");
            let reply = next(&mut socket).await.unwrap_or_default();
            assert!(reply.starts_with(r#"["error","#), "{text}: {reply}");
            assert_eq!(next(&mut socket).await, None, "{text}");
        }
    }
    assert_well(server.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_websocket_change_nothing() {
    let server = server(|_| {}).await;
    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.address()
    );
    // An unmasked frame, a reserved bit, a control frame in pieces, a length beyond any memory, text that is no UTF-8.
    let frames: [&[u8]; 5] = [
        b"\x81\x02hi",
        b"\xF1\x80\0\0\0\0",
        b"\x09\x80\0\0\0\0",
        b"\x81\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0",
        b"\x81\x82\0\0\0\0\xFF\xFE",
    ];
    for frame in frames {
        let mut socket = TcpStream::connect(server.address()).await.expect("a connection");
        socket.write_all(upgrade.as_bytes()).await.expect("room");
        socket.write_all(frame).await.expect("room");
        let mut answer = Vec::new();
        let _ =
            timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("the server closes");
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{frame:?}");
    }
    for junk in [
        &b"\x16\x03\x01\x02\0"[..],
        b"GET",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    ] {
        let mut socket = TcpStream::connect(server.address()).await.expect("a connection");
        socket.write_all(junk).await.expect("room");
    }
    assert_well(server.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_is_not_buffered() {
    let server = server(|config| config.max_message_bytes = 10_000).await;
    let mut socket = login(server.address(), "10:evil:tab").await;
    let big = format!(r#"["sync",1,{{"type":"{}"}},{{"id":1,"time":1}}]"#, "x".repeat(20_000));
    let _ = socket.send(Frame::from(big)).await;
    assert_eq!(next(&mut socket).await, None);
    assert_well(server.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_sockets_are_closed_in_time() {
    let server = server(|config| {
        (config.timeout, config.ping_interval) =
            (Duration::from_millis(300), Duration::from_millis(100))
    })
    .await;
    // One never says who it is, the other falls silent.
    let mut stranger = connect(server.address()).await;
    assert_eq!(next(&mut stranger).await, None);
    let mut silent = login(server.address(), "10:silent:tab").await;
    assert_eq!(next(&mut silent).await.as_deref(), Some(r#"["ping",0]"#));
    assert_eq!(next(&mut silent).await, None);
    assert_well(server.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_costs_its_own_connection() {
    let server = server(|config| config.max_outbox_bytes = 256 * 1024).await;
    let mut slow = login(server.address(), "10:slow:tab").await;
    slow.send(r#"["sync",1,{"type":"logux/subscribe","channel":"room"},{"id":1,"time":1}]"#.into())
        .await
        .expect("room");
    while !next(&mut slow).await.expect("an answer").contains("logux/processed") {}
    let mut quick = login(server.address(), "20:quick:tab").await;
    quick
        .send(r#"["sync",1,{"type":"logux/subscribe","channel":"room"},{"id":1,"time":1}]"#.into())
        .await
        .expect("room");
    while !next(&mut quick).await.expect("an answer").contains("logux/processed") {}

    // More than the sockets' buffers and the outbox hold. The slow one reads nothing of it.
    let action = Action::new(format!(r#"{{"type":"big","a":"{}"}}"#, "x".repeat(100_000)))
        .expect("an action");
    let (sent, mut got) = (400, 0);
    for _ in 0..sent {
        server.handle().send(action.clone(), "room").await;
        while got < sent
            && next(&mut quick)
                .await
                .expect("frames")
                .matches("\"big\"")
                .inspect(|_| got += 1)
                .count()
                == 0
        {}
    }
    assert_eq!(got, sent, "the quick one has missed nothing");
    let mut frames = 0;
    loop {
        match timeout(PATIENCE, slow.next()).await.expect("the server has closed") {
            Some(Ok(_)) => frames += 1,
            Some(Err(NetError::Truncated | NetError::Io(_))) | None => break,
            Some(Err(error)) => panic!("{error}"),
        }
    }
    assert!(frames < sent, "the slow one was cut off after {frames}");
    assert_well(server.address()).await;
}

/// Opens connections that never say who they are, in a process of its own: one process may not open enough files for both ends.
const FLOOD: &str = "LOGUX_TEST_FLOOD";

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_who_never_log_in() {
    if let Ok(address) = std::env::var(FLOOD) {
        return flood(address.parse().expect("an address")).await;
    }
    let server = server(|_| {}).await;
    let mut child = tokio::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "ten_thousand_who_never_log_in", "--nocapture"])
        .env(FLOOD, server.address().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("this program again");
    let mut output = child.stdout.take().expect("its output");
    let mut said = String::new();
    while !said.contains("flooded") {
        let mut buffer = [0; 4096];
        let read = timeout(Duration::from_secs(120), output.read(&mut buffer))
            .await
            .expect("in time")
            .expect("output");
        assert_ne!(read, 0, "the flood failed: {said}");
        said += &String::from_utf8_lossy(&buffer[..read]);
    }
    assert_well(server.address()).await;
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
        sockets.push(open().await.expect("one more connection"));
    }
    println!("flooded");
    // Until the parent has seen enough and closes our input.
    let _ = tokio::io::stdin().read_u8().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessed_tokens_shut_the_door_for_a_while() {
    let server = server(|config| config.max_wrong_logins = Some(3)).await;
    let address = server.address();
    let stays = login(address, "stays:client:tab").await;
    let answer = async |token: &str| {
        let mut socket = connect(address).await;
        socket
            .send(format!(r#"["connect",5,"10:a:b",0,{{"token":"{token}"}}]"#).into())
            .await
            .expect("room");
        next(&mut socket).await.expect("an answer")
    };
    for _ in 0..3 {
        assert_eq!(answer("bad").await, r#"["error","wrong-credentials"]"#);
    }
    assert_eq!(
        answer("good").await,
        r#"["error","wrong-credentials"]"#,
        "the right one is not told from the wrong ones"
    );
    drop(stays);
    // They cease to count; each try meanwhile counts again, so wait longer than that.
    let again = async {
        loop {
            tokio::time::sleep(Duration::from_millis(3_100)).await;
            if answer("good").await.starts_with(r#"["connected""#) {
                return;
            }
        }
    };
    timeout(PATIENCE, again).await.expect("let in again");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_made_side_by_side_count_together() {
    let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let notes = (asked.clone(), go_on.clone());
    let server = Server::builder()
        .auth(move |login| {
            let (asked, go_on) = notes.clone();
            async move {
                let is_right = login.token.as_deref() == Some("good");
                if is_right {
                    asked.notify_one();
                    go_on.notified().await;
                }
                Ok(is_right)
            }
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port");
    let guess = async |token: &str| {
        let mut socket = connect(server.address()).await;
        socket
            .send(format!(r#"["connect",5,"10:a:b",0,{{"token":"{token}"}}]"#).into())
            .await
            .expect("room");
        socket
    };
    let mut right = guess("good").await;
    timeout(PATIENCE, asked.notified()).await.expect("asked");
    for _ in 0..3 {
        assert_eq!(
            next(&mut guess("bad").await).await.expect("an answer"),
            r#"["error","wrong-credentials"]"#
        );
    }
    go_on.notify_one();
    assert_eq!(next(&mut right).await.expect("an answer"), r#"["error","wrong-credentials"]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_do_not_connect() {
    let server =
        server(|config| config.allowed_origins = Some(vec!["https://example.com".into()])).await;
    let status = async |origin: &str| {
        let mut socket = TcpStream::connect(server.address()).await.expect("a connection");
        let head = format!(
            "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n{origin}\r\n"
        );
        socket.write_all(head.as_bytes()).await.expect("room");
        let mut answer = [0; 12];
        timeout(PATIENCE, socket.read_exact(&mut answer))
            .await
            .expect("in time")
            .expect("an answer");
        String::from_utf8_lossy(&answer[9..]).into_owned()
    };
    assert_eq!(status("origin: https://example.com\r\n").await, "101");
    assert_eq!(status("origin: https://evil.example\r\n").await, "403");
    assert_eq!(status("").await, "101", "programs send none");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_no_more_connections_than_allowed() {
    let server = server(|config| config.max_connections_per_address = Some(1)).await;
    let first = login(server.address(), "first:client:tab").await;
    let mut second = TcpStream::connect(server.address()).await.expect("a connection");
    let ended = timeout(PATIENCE, second.read(&mut [0; 1])).await.expect("in time");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    drop(first);
    let room_again = async {
        loop {
            let connector =
                WebSocketConnector::new(&format!("ws://{}", server.address())).expect("an address");
            if connector.connect().await.is_ok() {
                return;
            }
        }
    };
    timeout(PATIENCE, room_again).await.expect("room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_with_a_goodbye_counts() {
    let server = server(|_| {}).await;
    let mut listener = login(server.address(), "ear:client:tab").await;
    listener
        .send(r#"["sync",1,{"type":"logux/subscribe","channel":"room"},{"id":1,"time":1}]"#.into())
        .await
        .expect("room");
    while !next(&mut listener).await.expect("an answer").contains("logux/processed") {}
    for number in 0..20 {
        let mut hasty = login(server.address(), &format!("hasty:{number}:tab")).await;
        // Both leave in one write.
        hasty.feed(r#"["sync",1,{"type":"echo"},{"id":1,"time":1}]"#.into()).await.expect("room");
        hasty.close().await.expect("a goodbye");
        while !next(&mut listener).await.expect("an action").contains("echo") {}
    }
}
