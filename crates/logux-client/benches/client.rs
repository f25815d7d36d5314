//! Measurements of the client, for `benches/clients.mjs`, which runs them beside the same work of
//! `@logux/client`. Linux only.
//!
//! Each command prints the result as one line of JSON. `DURABILITY=normal` opens files so that a
//! commit does not wait for the disk:
//!
//! - `serve PORT` is the server of both clients: it answers each action, and prints nothing.
//! - `fill FILE DOCUMENTS` makes a file with 100,000 actions in a number of documents.
//! - `open FILE` opens a document of it, in a fresh process.
//! - `memory ACTIONS [FILE]` keeps actions that are not sent.
//! - `stored FILE` opens the file of `memory`, in a fresh process.
//! - `reconnect ACTIONS URL [FILE]` sends what was done offline.
//! - `single ACTIONS URL [FILE]` sends one action at a time.
//! - `kept ACTIONS [FILE]` adds one action at a time without a connection.
//! - `documents OPEN` edits one of the open documents.
//! - `idle SECONDS URL` does nothing, with 1,000 open documents.

use std::{env, error::Error, fs, hint::black_box, path::Path, time::Duration, time::Instant};

use logux::{
    Action, ActionId, Entry, Log, MemoryStore, Meta, NodeId, Store, WallTime,
    action::logux::Processed,
    crdt::{Map, MapOp, Shared},
    log::Draft,
    replay::{Timeline, TimelineSet},
    store::Synced,
    sync::{self, Node, State},
};
use logux_client::{Builder, Client};
use logux_net::{
    FrameLimits, WebSocketConnector,
    drive::{Clock, Event, FrameConnection},
    websocket::accept,
};
use logux_sqlite::{Database, Durability, SqliteStore};
use tokio::net::{TcpListener, TcpStream};

type Result<T> = core::result::Result<T, Box<dyn Error>>;

/// The number of actions in a filled file.
const STORED: usize = 100_000;

/// A port that no server listens on.
const NOWHERE: &str = "ws://127.0.0.1:1";

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    // As a small application: one thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match args[..] {
            ["serve", port] => serve(port.parse()?).await,
            ["fill", file, documents] => fill(Path::new(file), documents.parse()?),
            ["open", file] => open(Path::new(file)).await,
            ["memory", actions] => memory(builder(), actions.parse()?).await,
            ["memory", actions, file] => memory(stored_in(file)?, actions.parse()?).await,
            ["stored", file] => stored(file).await,
            ["reconnect", actions, url] => reconnect(builder(), actions.parse()?, url).await,
            ["reconnect", actions, url, file] => {
                reconnect(stored_in(file)?, actions.parse()?, url).await
            }
            ["single", actions, url] => single(builder(), actions.parse()?, url).await,
            ["single", actions, url, file] => single(stored_in(file)?, actions.parse()?, url).await,
            ["kept", actions] => kept(builder(), actions.parse()?).await,
            ["kept", actions, file] => kept(stored_in(file)?, actions.parse()?).await,
            ["documents", open] => documents(open.parse()?).await,
            ["idle", seconds, url] => idle(seconds.parse()?, url).await,
            _ => {
                println!("to be run by benches/clients.mjs");
                Ok(())
            }
        }
    })
}

fn builder() -> Builder {
    Client::builder("10").expect("a user").token("good")
}

/// Returns a builder with a file: as by default, or with `DURABILITY=normal`, without waiting for
/// the disk at each commit.
fn stored_in(file: impl AsRef<Path>) -> Result<Builder<SqliteStore>> {
    let durability = match env::var("DURABILITY").as_deref() {
        Ok("normal") => Durability::Normal,
        _ => Durability::Full,
    };
    Ok(builder().store(Database::open_with(file, durability)?.store())?)
}

fn change(number: usize) -> Action {
    let json = format!(r#"{{"type":"tasks/change","id":"{number}","fields":{{"title":"Tea"}}}}"#);
    Action::new(json).expect("an action")
}

fn print(name: &str, value: f64) {
    println!("{{\"{name}\":{value:.3}}}");
}

fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1_000.0
}

/// Returns a number of this process that the system counts, such as `VmRSS`, in KiB.
fn counted(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

async fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening");
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(answer(socket));
    }
}

/// Answers each action of a client at once.
async fn answer(socket: TcpStream) {
    let Ok((transport, _)) = accept(socket, FrameLimits::default()).await else { return };
    let mut connection = FrameConnection::new(transport);
    let clock = Clock::start();
    let server = NodeId::new("server:bench").expect("a node id");
    let mut node = Node::new(sync::Config::server(server.clone()).into(), ());
    node.handle(clock.now(), sync::Input::Opened);
    let mut added = 0;
    loop {
        while let Some(output) = node.poll_output() {
            match output {
                sync::Output::Send(frame) => connection.push(frame.into()),
                sync::Output::Authenticate(request) => {
                    node.handle(clock.now(), sync::Input::Allow(request.token));
                }
                sync::Output::Connected { .. } => node.send(clock.now().mono, 0, []),
                sync::Output::Received { batch, entries, .. } => {
                    let now = clock.now();
                    let answers: Vec<Entry> = entries
                        .into_iter()
                        .map(|entry| {
                            added += 1;
                            let id = ActionId::new(now.wall, server.clone(), added);
                            let answer = Processed { id: entry.meta.id.to_string() }.to_action();
                            Entry::new(answer.expect("an action"), Meta::new(id))
                        })
                        .collect();
                    node.handle(now, sync::Input::Persisted(batch));
                    node.send(now.mono, added.into(), &answers);
                }
                sync::Output::Disconnect(_) => return,
                _ => {}
            }
        }
        match connection.event(node.wants_frames()).await {
            Event::Frame(frame) => node.handle(clock.now(), sync::Input::Frame(frame.as_str())),
            Event::Announced(_) => connection.admit(),
            Event::Flushed => {}
            Event::Ended(_) => return,
        }
    }
}

fn note(id: usize) -> Shared<Map> {
    Shared::new("notes", id.to_string())
}

fn set(number: usize) -> MapOp {
    let path = format!("/field{}", number % 100).parse().expect("a path");
    MapOp::Set { path, value: logux::Json::from(serde_json::Value::from(number)) }
}

/// Makes a file with actions of another device in a number of documents. If it is more than one,
/// each begins with a snapshot of 1,000 earlier edits.
fn fill(file: &Path, documents: usize) -> Result<()> {
    let database = Database::open(file)?;
    let node = NodeId::new("10:phone:1")?;
    let mut log = Log::with_observer(node, database.store(), TimelineSet::default())?;
    let time = |n: usize| WallTime::from_millis(1_700_000_000_000 + n as i64);
    for id in 0..documents {
        log.open(note(id))?;
    }
    if documents > 1 {
        let snapshot = snapshot(time(0))?;
        for id in 0..documents {
            let json = snapshot.action.as_json().replace(r#""id":"0""#, &format!(r#""id":"{id}""#));
            let own = ActionId::new(time(0), NodeId::new("server:x")?, u32::try_from(id)?);
            log.add(time(0), Action::new(json)?, Draft::of(own, time(0)))?;
        }
    }
    for number in 0..STORED {
        let action = note(number % documents).action(&[set(number / documents)])?;
        let at = time(1_000 + number);
        let id = ActionId::new(at, NodeId::new("10:laptop:1")?, 0);
        log.add(at, action, Draft::of(id, at))?;
    }
    // The device has been connected.
    let sent = log.last_added()?;
    log.set_synced(Synced { received: sent, sent })?;
    log.commit()?;
    let mut stored = 0;
    log.walk(&logux::store::Query::added(), |_| {
        stored += 1;
        core::ops::ControlFlow::Continue(())
    })?;
    print("stored", f64::from(stored));
    Ok(())
}

/// Returns a snapshot of the document 0 with 1,000 edits.
fn snapshot(time: WallTime) -> Result<Entry> {
    let node = NodeId::new("server:x")?;
    let shared = note(0).settled_by(node.clone());
    let mut log = Log::with_observer(node, MemoryStore::new(), Timeline::new(shared.clone()))?;
    for number in 0..1_000 {
        let at = time.shifted(-2_000 + number);
        let id = ActionId::new(at, NodeId::new("10:laptop:1")?, 0);
        log.add(at, shared.action(&[set(usize::try_from(number)?)])?, Draft::of(id, at))?;
    }
    Ok(log.fold(time, Duration::ZERO)?)
}

async fn open(file: &Path) -> Result<()> {
    let start = Instant::now();
    let client = stored_in(file)?.paused().start(WebSocketConnector::new(NOWHERE)?);
    let document = client.document::<Map>("notes", "0").await?;
    let field = document.state().get("/field7").cloned();
    let opened = ms(start);
    assert!(black_box(field).is_some(), "the document shows its fields");
    print("ms", opened);
    Ok(())
}

async fn memory<St: Store + Send + 'static>(builder: Builder<St>, actions: usize) -> Result<()> {
    let client = builder.paused().start(WebSocketConnector::new(NOWHERE)?);
    client.sync(change(0)).kept().await?;
    let before = counted("VmRSS");
    add(&client, actions).await?;
    print("kib", counted("VmRSS") - before);
    client.close().await;
    Ok(())
}

/// Adds actions without waiting for their answers.
async fn add(client: &Client, actions: usize) -> Result<()> {
    for number in 0..actions {
        let action = client.sync(change(number));
        // The client commits what was added together.
        if number % 1_000 == 999 || number + 1 == actions {
            action.kept().await?;
        }
    }
    Ok(())
}

async fn stored(file: &str) -> Result<()> {
    let before = counted("VmRSS");
    let start = Instant::now();
    let client = stored_in(file)?.paused().start(WebSocketConnector::new(NOWHERE)?);
    client.add(change(0), Draft::reason("kept")).await?;
    let opened = ms(start);
    println!(
        "{{\"kib\":{:.0},\"ms\":{opened:.3},\"unconfirmed\":{}}}",
        counted("VmRSS") - before,
        client.unconfirmed()
    );
    client.close().await;
    Ok(())
}

async fn reconnect<St: Store + Send + 'static>(
    builder: Builder<St>,
    actions: usize,
    url: &str,
) -> Result<()> {
    let client = builder.paused().start(WebSocketConnector::new(url)?);
    add(&client, actions).await?;
    let last = client.sync(change(actions)).kept().await?;
    let start = Instant::now();
    client.resume()?;
    last.await?;
    print("ms", ms(start));
    client.close().await;
    Ok(())
}

async fn single<St: Store + Send + 'static>(
    builder: Builder<St>,
    actions: usize,
    url: &str,
) -> Result<()> {
    let client = builder.start(WebSocketConnector::new(url)?);
    client.reached(State::Synchronized).await;
    client.sync(change(0)).await?;
    let start = Instant::now();
    for number in 0..actions {
        client.sync(change(number)).await?;
    }
    print("us", ms(start) * 1_000.0 / actions as f64);
    client.close().await;
    Ok(())
}

async fn kept<St: Store + Send + 'static>(builder: Builder<St>, actions: usize) -> Result<()> {
    let client = builder.paused().start(WebSocketConnector::new(NOWHERE)?);
    client.sync(change(0)).kept().await?;
    let start = Instant::now();
    for number in 0..actions {
        client.sync(change(number)).kept().await?;
    }
    print("us", ms(start) * 1_000.0 / actions as f64);
    client.close().await;
    Ok(())
}

async fn documents(open: usize) -> Result<()> {
    let client = builder().paused().start(WebSocketConnector::new(NOWHERE)?);
    let mut handles = Vec::new();
    for id in 0..open {
        handles.push(client.document::<Map>("notes", &id.to_string()).await?);
    }
    let edit = async |number| handles[open / 2].operate(&[set(number)]).kept().await;
    edit(0).await?;
    let mut times = Vec::new();
    for number in 0..5_000 {
        let start = Instant::now();
        edit(number).await?;
        times.push(ms(start) * 1_000.0);
    }
    times.sort_by(f64::total_cmp);
    print("us", times[times.len() / 2]);
    Ok(())
}

async fn idle(seconds: u64, url: &str) -> Result<()> {
    let client = builder().start(WebSocketConnector::new(url)?);
    let mut handles = Vec::new();
    for id in 0..1_000 {
        handles.push(client.document::<Map>("notes", &id.to_string()).await?);
    }
    for document in &handles {
        document.loaded().await?;
    }
    client.flush(Duration::from_secs(10)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let cpu = || -> Option<f64> {
        let stat = fs::read_to_string("/proc/self/schedstat").ok()?;
        stat.split_whitespace().next()?.parse::<f64>().ok()
    };
    let (cpu_before, switches) = (cpu(), counted("voluntary_ctxt_switches"));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let used = cpu().unwrap_or_default() - cpu_before.unwrap_or_default();
    println!(
        "{{\"us\":{:.0},\"wakes\":{}}}",
        used / 1_000.0,
        counted("voluntary_ctxt_switches") - switches
    );
    Ok(())
}
