//! What a server costs: memory for each idle connection, time for an action to many subscribers.
//!
//!     cargo run --release -p logux-server --example load -- idle 5000
//!     cargo run --release -p logux-server --example load -- fan-out 1000 200
//!
//! The clients run in a process of their own, so that the numbers are the server's alone.

use std::{
    env, fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::{SinkExt as _, StreamExt as _};
use logux::Action;
use logux_net::{Connector as _, Frame, WebSocketConnector, WebSocketTransport, websocket::ClientIo};
use logux_server::Server;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

type Failed = Box<dyn std::error::Error>;
type Socket = WebSocketTransport<ClientIo>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failed> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["idle", connections] => idle(connections.parse()?).await,
        ["fan-out", subscribers, actions] => fan_out(subscribers.parse()?, actions.parse()?).await,
        ["clients", url, connections, channel] => clients(url, connections.parse()?, channel).await,
        _ => Err("expected: idle CONNECTIONS, or fan-out SUBSCRIBERS ACTIONS".into()),
    }
}

async fn server() -> Result<logux_server::Running, Failed> {
    let server = Server::builder()
        .auth(|_| async { Ok(true) })
        .channel("room", |channel| channel.access(|_| async { Ok(true) }))
        .listen(([127, 0, 0, 1], 0).into())
        .await?;
    Ok(server)
}

/// The clients' process: says `ready` when all are in, and for each line it gets answers when all have got that many actions.
struct Clients {
    process: tokio::process::Child,
    output: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Clients {
    async fn start(server: &logux_server::Running, connections: usize, channel: &str) -> Result<Self, Failed> {
        let mut command = Command::new(env::current_exe()?);
        let url = format!("ws://{}", server.address());
        command.args(["clients", &url, &connections.to_string(), channel]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = tokio::process::Command::from(command).kill_on_drop(true).spawn()?;
        let output = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        let mut clients = Self { process, output };
        clients.line().await?;
        Ok(clients)
    }

    async fn line(&mut self) -> Result<(), Failed> {
        self.output.next_line().await?.map(drop).ok_or_else(|| "the clients' process has ended".into())
    }

    /// Waits until every client has got this many actions more.
    async fn have_got(&mut self, actions: usize) -> Result<(), Failed> {
        let input = self.process.stdin.as_mut().ok_or("no input")?;
        input.write_all(format!("{actions}\n").as_bytes()).await?;
        self.line().await
    }
}

async fn idle(connections: usize) -> Result<(), Failed> {
    let server = server().await?;
    // Once before, so that what is allocated once is not counted for each.
    drop(Clients::start(&server, 50, "").await?);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = resident_kib()?;
    let clients = Clients::start(&server, connections, "").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = resident_kib()?;
    let each = (after - before) as f64 / connections as f64;
    println!("{connections} idle connections: {before} KiB before, {after} KiB with them, {each:.2} KiB each");
    drop(clients);
    Ok(())
}

async fn fan_out(subscribers: usize, actions: usize) -> Result<(), Failed> {
    let server = server().await?;
    let mut clients = Clients::start(&server, subscribers, "room").await?;
    let action = Action::new(r#"{"type":"note","text":"as long as a short line of text in a chat usually is"}"#)?;
    for round in 1..=5 {
        let start = Instant::now();
        for _ in 0..actions {
            server.handle().send(action.clone(), "room").await;
        }
        clients.have_got(actions).await?;
        let took = start.elapsed();
        let deliveries = (subscribers * actions) as f64 / took.as_secs_f64();
        println!(
            "round {round}: {actions} actions to {subscribers} subscribers in {took:.0?}, {deliveries:.0} deliveries/s"
        );
    }
    Ok(())
}

async fn clients(url: &str, connections: usize, channel: &str) -> Result<(), Failed> {
    let connector = WebSocketConnector::new(url)?;
    let mut sockets = Vec::with_capacity(connections);
    for n in 0..connections {
        let mut socket = connector.connect().await?;
        socket.send(Frame::from(format!(r#"["connect",5,"{n}:client:tab",0]"#))).await?;
        until(&mut socket, "\"connected\"", 1).await?;
        if !channel.is_empty() {
            let subscribe =
                format!(r#"["sync",1,{{"type":"logux/subscribe","channel":"{channel}"}},{{"id":1,"time":1}}]"#);
            socket.send(Frame::from(subscribe)).await?;
            until(&mut socket, "logux/processed", 1).await?;
        }
        sockets.push(socket);
    }
    println!("ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let actions = line.parse()?;
        let waiting = sockets.iter_mut().map(|socket| until(socket, "\"note\"", actions));
        futures_util::future::try_join_all(waiting).await?;
        println!("got");
    }
    Ok(())
}

/// Reads until the text was seen this many times, and confirms what comes.
async fn until(socket: &mut Socket, text: &str, times: usize) -> Result<(), Failed> {
    let mut seen = 0;
    while seen < times {
        let frame = socket.next().await.ok_or("the server has closed")??;
        seen += frame.as_str().matches(text).count();
        if let Some(rest) = frame.as_str().strip_prefix(r#"["sync","#) {
            let added = rest.split([',', ']']).next().unwrap_or("0");
            socket.feed(Frame::from(format!(r#"["synced",{added}]"#))).await?;
            if seen == times || seen % 32 == 0 {
                socket.flush().await?;
            }
        }
    }
    socket.flush().await?;
    Ok(())
}

/// The memory of this process that is in use, in KiB.
fn resident_kib() -> Result<u64, Failed> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
