//! A custom transport: two nodes with `std::net` and threads, one JSON message per line, without an
//! async runtime.
//!
//!     cargo run --example your_transport

use std::{
    error::Error,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    ops::ControlFlow,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use logux::{
    Action, Log, MemoryStore, NodeId, Now, Store,
    log::Draft,
    store::Query,
    sync::{Config, Input, Node, Output, State},
};

type BoxError = Box<dyn Error + Send + Sync>;

/// One node of the connection: a log and a sync node. The sync node does no I/O, so it works with
/// any transport.
struct Peer {
    log: Log<MemoryStore>,
    node: Node,
    started: Instant,
    /// The number of entries after which the node is done.
    goal: usize,
}

impl Peer {
    fn new(config: Config, action: &str, goal: usize) -> Result<Self, BoxError> {
        let mut peer = Self {
            log: Log::new(config.node.clone(), MemoryStore::new())?,
            node: Node::new(config.into(), ()),
            started: Instant::now(),
            goal,
        };
        let now = peer.now();
        peer.log.add(now.wall, Action::new(action)?, Draft::reason("example"))?;
        Ok(peer)
    }

    fn now(&self) -> Now {
        let wall =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        Now::from_millis(
            wall.try_into().unwrap_or(0),
            self.started.elapsed().as_millis().try_into().unwrap_or(0),
        )
    }

    /// Synchronizes until the log has `goal` entries.
    fn run(mut self, mut stream: TcpStream) -> Result<Log<MemoryStore>, BoxError> {
        let reader = BufReader::new(stream.try_clone()?);
        let (lines, incoming) = mpsc::sync_channel(16);
        // A thread reads lines, because `std` cannot wait for a line with a deadline.
        thread::spawn(move || {
            reader.lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        self.node.handle(self.now(), Input::Opened);
        loop {
            while let Some(output) = self.node.poll_output() {
                if self.execute(output, &mut stream)?.is_break() {
                    return Ok(self.log);
                }
            }
            if self.node.state() == State::Synchronized && self.log.store().len() == self.goal {
                return Ok(self.log);
            }
            let timeout = self
                .node
                .next_deadline()
                .map_or(Duration::from_secs(1), |deadline| deadline.at.since(self.now().mono));
            match incoming.recv_timeout(timeout) {
                Ok(line) => self.node.handle(self.now(), Input::Frame(&line)),
                Err(RecvTimeoutError::Timeout) => self.node.handle(self.now(), Input::Wake),
                Err(RecvTimeoutError::Disconnected) => return Ok(self.log),
            }
        }
    }

    /// Executes one output of the sync node.
    fn execute(
        &mut self,
        output: Output,
        stream: &mut TcpStream,
    ) -> Result<ControlFlow<()>, BoxError> {
        match output {
            Output::Send(frame) => writeln!(stream, "{frame}")?,
            Output::Authenticate(request) => {
                self.node.handle(self.now(), Input::Allow(request.token))
            }
            Output::Connected { since, .. } => {
                let missed = self
                    .log
                    .store()
                    .page(&Query::added().oldest_first().after_added(since.unwrap_or(0)), 100)?
                    .entries;
                let added = self.log.last_added()?;
                self.node.send(self.now().mono, added, &missed);
            }
            Output::Received { batch, entries, .. } => {
                for entry in entries {
                    let draft = Draft::of(entry.meta.id, entry.meta.time).and_reason("example");
                    self.log.add(self.now().wall, entry.action, draft)?;
                }
                self.log.commit()?;
                self.node.handle(self.now(), Input::Persisted(batch));
            }
            Output::Disconnect(reason) => {
                eprintln!("closed: {reason}");
                return Ok(ControlFlow::Break(()));
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn main() -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || -> Result<_, BoxError> {
        let (stream, _) = listener.accept()?;
        Peer::new(
            Config::server(NodeId::new("server:1")?),
            r#"{"type":"hello","from":"server"}"#,
            2,
        )?
        .run(stream)
    });
    let client = Peer::new(
        Config::client(NodeId::new("10:laptop:1")?),
        r#"{"type":"hello","from":"client"}"#,
        2,
    )?;
    let client = client.run(TcpStream::connect(address)?)?;
    let server = server.join().map_err(|_| "the thread of the server has panicked")??;
    for (name, log) in [("client", client), ("server", server)] {
        println!("The {name} has:");
        for entry in log.store().page(&Query::created().oldest_first(), 100)?.entries {
            println!("  {} {}", entry.meta.id, entry.action.as_json());
        }
    }
    Ok(())
}
