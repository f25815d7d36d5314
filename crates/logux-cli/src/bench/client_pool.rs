//! All clients, in one event loop on one thread.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mio::{Events, Interest, Poll, Token, Waker, net::TcpStream};

use super::{
    args::TargetArgs,
    client::{Client, EventHandler, WEBSOCKET_KEY},
    error::BenchError,
};

/// The size of the read buffer, in bytes.
const READ_BUFFER: usize = 64 * 1024;
/// The largest number of events of one poll.
const MAX_EVENTS: usize = 1_024;
/// The largest number of clients that connect at the same time.
const MAX_CONNECTING: usize = 50;
/// The time without received data after which the server is considered unresponsive.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// The token of the waker.
const WAKER: Token = Token(usize::MAX);

/// Clients of one server.
pub(super) struct ClientPool {
    poll: Poll,
    events: Events,
    buffer: Box<[u8]>,
    clients: Vec<Client>,
    handshake: Handshake,
    start: Instant,
    /// The time when data was last received, by the pool's clock.
    last_received: u64,
}

/// The messages with which clients connect.
struct Handshake {
    address: SocketAddr,
    upgrade_request: Vec<u8>,
    /// The user id of all clients. `None` for a different one for each client.
    user: Option<String>,
    /// The options of the `connect` messages, as JSON.
    options: String,
    /// A part of the client ids that distinguishes them from those of other runs.
    run_id: String,
    /// The number of `connect` messages so far.
    count: u64,
}

impl ClientPool {
    /// Creates a pool without clients.
    pub(super) fn new(target: &TargetArgs) -> Result<Self, BenchError> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(MAX_EVENTS),
            buffer: vec![0; READ_BUFFER].into(),
            clients: Vec::new(),
            handshake: Handshake::new(target)?,
            start: Instant::now(),
            last_received: 0,
        })
    }

    /// Returns the time by the pool's clock: microseconds since the pool was created.
    pub(super) fn now(&self) -> u64 {
        micros_since(self.start)
    }

    /// Converts an instant to the pool's clock.
    pub(super) fn micros(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
    }

    /// Returns a waker with which another thread can interrupt [`poll`](Self::poll).
    pub(super) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKER)
    }

    /// Starts to connect another client.
    pub(super) fn add_client(&mut self) -> Result<(), BenchError> {
        let client = self.connect(self.clients.len())?;
        self.clients.push(client);
        Ok(())
    }

    /// Starts to connect a new client in place of a closed one.
    pub(super) fn replace_client(&mut self, index: usize) -> Result<(), BenchError> {
        self.clients[index] = self.connect(index)?;
        Ok(())
    }

    fn connect(&mut self, index: usize) -> Result<Client, BenchError> {
        let mut socket = TcpStream::connect(self.handshake.address)?;
        self.poll.registry().register(
            &mut socket,
            Token(index),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        Ok(Client::new(socket, self.handshake.connect_message(), self.now()))
    }

    /// Connects `count` clients. `connected` returns how many clients of the pool are connected.
    pub(super) fn connect_all<H: EventHandler>(
        &mut self,
        count: usize,
        handler: &mut H,
        connected: impl Fn(&H) -> usize,
    ) -> Result<(), BenchError> {
        let total = self.clients.len() + count;
        while connected(handler) < total {
            while self.clients.len() < total.min(connected(handler) + MAX_CONNECTING) {
                self.add_client()?;
            }
            self.poll(RESPONSE_TIMEOUT, handler)?;
            self.ensure_responsive()?;
        }
        Ok(())
    }

    /// Returns the client at `index`.
    pub(super) fn client(&mut self, index: usize) -> &mut Client {
        &mut self.clients[index]
    }

    /// Waits for events, at most for `timeout`, and handles them.
    pub(super) fn poll(
        &mut self,
        timeout: Duration,
        handler: &mut impl EventHandler,
    ) -> Result<(), BenchError> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in self.events.iter().filter(|event| event.token() != WAKER) {
            let Token(index) = event.token();
            let client = &mut self.clients[index];
            let now = micros_since(self.start);
            let written = if event.is_writable() {
                client.on_writable(&self.handshake.upgrade_request)
            } else {
                Ok(())
            };
            if event.is_readable() {
                self.last_received = now;
                let may_end = event.is_read_closed();
                client.on_readable((index, now), may_end, &mut self.buffer, handler)?;
            }
            if let Err(error) = written.and_then(|()| client.flush()) {
                client.on_closed(index, now, &error.to_string(), handler)?;
            }
        }
        Ok(())
    }

    /// Whether no client has received data for [`RESPONSE_TIMEOUT`].
    pub(super) fn is_unresponsive(&self) -> bool {
        Duration::from_micros(self.now() - self.last_received) > RESPONSE_TIMEOUT
    }

    /// Returns an error if the server [is unresponsive](Self::is_unresponsive).
    pub(super) fn ensure_responsive(&self) -> Result<(), BenchError> {
        match self.is_unresponsive() {
            true => Err(BenchError::Unresponsive(RESPONSE_TIMEOUT)),
            false => Ok(()),
        }
    }
}

/// Returns a number that distinguishes this run from others: the microseconds since 1970.
pub(super) fn run_number() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn micros_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

impl Handshake {
    fn new(target: &TargetArgs) -> Result<Self, BenchError> {
        let (address, host, path) = target.resolve()?;
        let upgrade_request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {WEBSOCKET_KEY}\r\n\r\n"
        );
        let mut options = serde_json::json!({ "subprotocol": target.subprotocol });
        if let Some(token) = target.token() {
            options["token"] = token.into();
        }
        Ok(Self {
            address,
            upgrade_request: upgrade_request.into_bytes(),
            user: target.user.clone(),
            options: options.to_string(),
            run_id: format!("{:x}", run_number()),
            count: 0,
        })
    }

    /// Returns the `connect` message of the next client.
    fn connect_message(&mut self) -> String {
        self.count += 1;
        let (n, run_id, options) = (self.count, &self.run_id, &self.options);
        let user = self.user.clone().unwrap_or_else(|| format!("bench{n}"));
        let node = serde_json::Value::from(format!("{user}:{run_id}-{n}:0"));
        format!("[\"connect\",5,{node},0,{options}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_are_different() {
        let target = TargetArgs {
            url: "ws://127.0.0.1:1/bench".into(),
            user: Some("10".into()),
            token: None,
            subprotocol: 2,
            pid: None,
            json: false,
        };
        let mut handshake = Handshake::new(&target).expect("a handshake");
        let request = &handshake.upgrade_request;
        assert!(request.starts_with(b"GET /bench HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"));
        let (first, second) = (handshake.connect_message(), handshake.connect_message());
        assert!(first != second && first.starts_with("[\"connect\",5,\"10:"), "{first}");
        assert!(first.contains("-1:0\",0,{") && first.contains("\"subprotocol\":2"), "{first}");
    }
}
