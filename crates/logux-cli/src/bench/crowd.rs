//! All clients, in one loop of one thread.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mio::{Events, Interest, Poll, Token, Waker, net::TcpStream};

use super::{
    args::Target,
    client::{Client, KEY, Work},
};
use crate::talk::Failed;

/// How much is read at once.
const READ: usize = 64 * 1024;
/// How many events are taken at once.
const EVENTS: usize = 1_024;
/// How many clients come in side by side.
const AT_ONCE: usize = 50;
/// How long a server may say nothing to anybody before it is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Stands for the waker.
const WAKER: Token = Token(usize::MAX);

/// Clients of one server.
pub(super) struct Crowd {
    poll: Poll,
    events: Events,
    buffer: Box<[u8]>,
    clients: Vec<Client>,
    entrance: Entrance,
    start: Instant,
    /// When something was heard last, by the crowd's clock.
    heard: u64,
}

/// How to come in.
struct Entrance {
    address: SocketAddr,
    request: Vec<u8>,
    /// The user of all, if they have one.
    user: Option<String>,
    /// Behind the node id in each `connect`.
    options: String,
    /// Tells these clients from those of other runs.
    tag: String,
    last: u64,
}

impl Crowd {
    /// Nobody yet.
    pub(super) fn new(target: &Target) -> Result<Self, Failed> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ].into(),
            clients: Vec::new(),
            entrance: Entrance::new(target)?,
            start: Instant::now(),
            heard: 0,
        })
    }

    /// Microseconds since the crowd was made.
    pub(super) fn now(&self) -> u64 {
        micros(self.start)
    }

    /// A moment by its clock.
    pub(super) fn micros(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
    }

    /// Lets another thread end the wait of a [`turn`](Self::turn).
    pub(super) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKER)
    }

    /// Begins to connect one more client; tells its place.
    pub(super) fn enter(&mut self) -> Result<usize, Failed> {
        let at = self.clients.len();
        let client = self.connect(at)?;
        self.clients.push(client);
        Ok(at)
    }

    /// Begins to connect another client in place of one that is gone.
    pub(super) fn enter_again(&mut self, at: usize) -> Result<(), Failed> {
        self.clients[at] = self.connect(at)?;
        Ok(())
    }

    fn connect(&mut self, at: usize) -> Result<Client, Failed> {
        let mut socket = TcpStream::connect(self.entrance.address)?;
        self.poll.registry().register(
            &mut socket,
            Token(at),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        Ok(Client::new(socket, self.entrance.greeting(), self.now()))
    }

    /// Connects this many clients more. `inside` tells how many clients are in.
    pub(super) fn gather<W: Work>(
        &mut self,
        count: usize,
        work: &mut W,
        inside: impl Fn(&W) -> usize,
    ) -> Result<(), Failed> {
        let whole = self.clients.len() + count;
        while inside(work) < whole {
            while self.clients.len() < whole.min(inside(work) + AT_ONCE) {
                self.enter()?;
            }
            self.turn(PATIENCE, work)?;
            self.must_talk()?;
        }
        Ok(())
    }

    /// The client at a place.
    pub(super) fn client(&mut self, at: usize) -> &mut Client {
        &mut self.clients[at]
    }

    /// Waits until something happens, at most this long, and takes it.
    pub(super) fn turn(&mut self, wait: Duration, work: &mut impl Work) -> Result<(), Failed> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in self.events.iter().filter(|event| event.token() != WAKER) {
            let Token(at) = event.token();
            let client = &mut self.clients[at];
            let now = micros(self.start);
            let written =
                if event.is_writable() { client.writable(&self.entrance.request) } else { Ok(()) };
            if event.is_readable() {
                self.heard = now;
                client.readable((at, now), event.is_read_closed(), &mut self.buffer, work)?;
            }
            if let Err(error) = written.and_then(|()| client.flush()) {
                client.gone(at, now, &error.to_string(), work)?;
            }
        }
        Ok(())
    }

    /// Whether nobody has heard anything for a while.
    pub(super) fn is_silent(&self) -> bool {
        Duration::from_micros(self.now() - self.heard) > PATIENCE
    }

    /// An error if nobody has heard anything for a while.
    pub(super) fn must_talk(&self) -> Result<(), Failed> {
        match self.is_silent() {
            true => Err(format!("the server has said nothing for {} s", PATIENCE.as_secs()).into()),
            false => Ok(()),
        }
    }
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

impl Entrance {
    fn new(target: &Target) -> Result<Self, Failed> {
        let (address, host, path) = target.resolve()?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        let mut options = serde_json::json!({ "subprotocol": target.subprotocol });
        if let Some(token) = target.token() {
            options["token"] = token.into();
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        Ok(Self {
            address,
            request: request.into_bytes(),
            user: target.user.clone(),
            options: options.to_string(),
            tag: format!("{since:x}"),
            last: 0,
        })
    }

    /// The `connect` of a new client.
    fn greeting(&mut self) -> String {
        self.last += 1;
        let (n, tag, options) = (self.last, &self.tag, &self.options);
        let user = self.user.clone().unwrap_or_else(|| format!("bench{n}"));
        let node = serde_json::Value::from(format!("{user}:{tag}-{n}:0"));
        format!("[\"connect\",5,{node},0,{options}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_a_name_of_its_own() {
        let target = Target {
            url: "ws://127.0.0.1:1/bench".into(),
            user: Some("10".into()),
            token: None,
            subprotocol: 2,
            pid: None,
            json: false,
        };
        let mut entrance = Entrance::new(&target).expect("an entrance");
        assert!(entrance.request.starts_with(b"GET /bench HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"));
        let (first, second) = (entrance.greeting(), entrance.greeting());
        assert!(first != second && first.starts_with("[\"connect\",5,\"10:"), "{first}");
        assert!(first.contains("-1:0\",0,{") && first.contains("\"subprotocol\":2"), "{first}");
    }
}
