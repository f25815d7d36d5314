//! Clients that try to occupy the memory of the server. An innocent client acts meanwhile, and its
//! latency is measured.

mod wire;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, SinkExt as _};
use logux_net::{Frame, websocket::codec};
use logux_server::{Config, RunningServer, Server};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};
use wire::{Socket, TIMEOUT, UPGRADE, login, next, next_with, send};

/// A server with actions `echo`, `secret`, which is denied, and `slow`, which are processed when
/// the semaphore has permits.
async fn server(change: impl FnOnce(&mut Config)) -> (RunningServer, Arc<Semaphore>) {
    let finish = Arc::new(Semaphore::new(0));
    let finished = finish.clone();
    let server = Server::builder()
        .config(|config| {
            config.collect_metrics = true;
            change(config);
        })
        .auth(|_| async { Ok(true) })
        .action_type("echo", |action| action.access(|_| async { Ok(true) }))
        .action_type("secret", |action| action.access(|_| async { Ok(false) }))
        .action_type("slow", move |action| {
            action.access(|_| async { Ok(true) }).process(move |_| {
                let finished = finished.clone();
                async move {
                    finished.acquire().await.expect("an open semaphore").forget();
                    Ok(())
                }
            })
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port");
    (server, finish)
}

/// A well-behaved client.
struct Innocent {
    socket: Socket,
    sent: u32,
    slowest: Duration,
}

impl Innocent {
    async fn new(server: &RunningServer) -> Self {
        let socket = login(server.address(), "innocent:client:tab").await;
        Self { socket, sent: 0, slowest: Duration::ZERO }
    }

    /// Sends actions, one after the other, and waits until each is processed.
    async fn act(&mut self, times: u32) {
        for _ in 0..times {
            self.sent += 1;
            let (n, start) = (self.sent, Instant::now());
            let frame = format!(r#"["sync",{n},{{"type":"echo"}},{{"id":{n},"time":{n}}}]"#);
            send(&mut self.socket, &frame).await;
            next_with(&mut self.socket, "logux/processed").await;
            self.slowest = self.slowest.max(start.elapsed());
        }
    }

    /// Reports the latency. A stall of seconds is a failure, also on a busy machine.
    fn finish(&self, attack: &str) {
        println!("{attack}: the slowest of {} actions took {:?}", self.sent, self.slowest);
        assert!(self.slowest < Duration::from_secs(5), "{attack}: {:?}", self.slowest);
    }
}

fn action(kind: &str, number: u32, bytes: usize) -> String {
    let text = "x".repeat(bytes);
    format!(r#"["sync",{number},{{"type":"{kind}","b":"{text}"}},{{"id":{number},"time":1}}]"#)
}

async fn metric(server: &RunningServer, name: &str) -> usize {
    let text = server.handle().metrics().await.expect("metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_actions_of_a_user_are_bounded_for_all_its_clients_together() {
    let (server, finish) = server(|_| {}).await;
    let mut innocent = Innocent::new(&server).await;
    let attack = |n: usize| {
        let address = server.address();
        async move {
            let mut socket = login(address, &format!("evil:client{n}:tab")).await;
            for number in 1..=3 {
                // The server may not read it, so the socket's buffer may be full.
                let frame = Frame::from(action("slow", number, 900_000));
                let _ = timeout(Duration::from_millis(500), socket.send(frame)).await;
            }
            socket
        }
    };
    let attacks = futures_util::future::join_all((0..20).map(attack));
    let (mut sockets, ()) = tokio::join!(attacks, innocent.act(50));
    let mut confirmed = 0;
    for socket in &mut sockets {
        while let Some(Some(frame)) = next(socket).now_or_never() {
            confirmed += usize::from(frame.starts_with(r#"["synced""#));
        }
    }
    innocent.act(20).await;
    innocent.finish("waiting actions");
    assert!(confirmed > 5, "{confirmed} actions are accepted");
    let pending = metric(&server, "logux_pending_bytes").await;
    assert!(pending < 18_000_000, "{pending} bytes wait");
    finish.add_permits(1_000);
    for socket in &mut sockets {
        next_with(socket, "logux/processed").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_actions_are_not_kept() {
    let (server, _) = server(|_| {}).await;
    let mut innocent = Innocent::new(&server).await;
    let attack = async {
        let mut socket = login(server.address(), "evil:client:tab").await;
        for number in 1..=50 {
            send(&mut socket, &action("secret", number, 900_000)).await;
            next_with(&mut socket, "logux/undo").await;
            send(&mut socket, &format!(r#"["synced",{number}]"#)).await;
        }
    };
    tokio::join!(attack, innocent.act(50));
    innocent.finish("refused actions");
    let remembered = metric(&server, "logux_remembered_bytes").await;
    assert!(remembered < 50_000, "{remembered} bytes are remembered");
}

/// Opens a WebSocket, logs in, and sends the first half of a message of `bytes` bytes.
async fn half_of_a_message(server: &RunningServer, user: usize, bytes: usize) -> TcpStream {
    let mut socket = TcpStream::connect(server.address()).await.expect("a connection");
    let mut out = format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n").into_bytes();
    let connect = format!(r#"["connect",5,"{user}:evil:tab",0]"#);
    codec::encode_client_text(connect.as_bytes(), &mut out);
    socket.write_all(&out).await.expect("sent");
    let mut received = Vec::new();
    while !received.windows(11).any(|part| part == b"[\"connected") {
        let mut buffer = [0; 1_024];
        let read = timeout(TIMEOUT, socket.read(&mut buffer)).await.expect("in time");
        let read = read.expect("an answer");
        assert_ne!(read, 0, "the connection was closed");
        received.extend_from_slice(&buffer[..read]);
    }
    out.clear();
    codec::encode_client_text(action("echo", 1, bytes).as_bytes(), &mut out);
    let half = out.len() / 2;
    let _ = timeout(Duration::from_millis(200), socket.write_all(&out[..half])).await;
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_wait_for_memory_without_being_read() {
    let (server, _) = server(|config| {
        config.max_message_bytes = 4_000_000;
        config.max_receiving_bytes = 8_000_000;
    })
    .await;
    let mut innocent = Innocent::new(&server).await;
    let attackers = futures_util::future::join_all(
        (0..10).map(|user| half_of_a_message(&server, user, 3_000_000)),
    );
    let (attackers, ()) = tokio::join!(attackers, innocent.act(50));
    let mut large = login(server.address(), "20:client:tab").await;
    let sending = async {
        large.send(Frame::from(action("echo", 1, 3_000_000))).await.expect("sent");
        next_with(&mut large, "logux/processed").await;
    };
    let mut sending = Box::pin(sending);
    innocent.act(20).await;
    assert!(sending.as_mut().now_or_never().is_none(), "there is no memory for it");
    drop(attackers);
    timeout(TIMEOUT, sending).await.expect("processed when there is memory");
    innocent.finish("announced messages");
}
