//! One client: a socket, how far it has come in, and what it owes the server.

use std::{
    io::{self, Read as _, Write as _},
    mem,
};

use mio::net::TcpStream;

use super::{
    frame::{self, Frame},
    message::{self, Message, push_number},
};
use crate::talk::Failed;

/// Any key will do, and this one's answer stands in RFC 6455.
pub(super) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// One connection.
pub(super) struct Client {
    pub(super) socket: TcpStream,
    phase: Phase,
    /// The `connect` message, until it is sent.
    greeting: Box<[u8]>,
    /// The beginning of a frame whose rest has not come.
    rest: Vec<u8>,
    outbox: Vec<u8>,
    /// When it began to connect, and when it was in, in microseconds of the crowd's clock.
    pub(super) began: u64,
    came_in: u64,
    /// How many actions it has sent.
    sent: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Upgrading,
    Greeting,
    Open,
    Leaving,
    Gone,
}

/// What a scenario gets to know.
pub(super) enum Heard<'a> {
    /// The client is in.
    In,
    /// A `sync` came, and was confirmed: the JSON of its actions and metas behind the number.
    Actions(&'a [u8]),
    /// The connection is over; the server may have said why.
    Gone(String),
}

/// What happens with what clients hear.
pub(super) trait Work {
    /// Takes it. `at` is the client's place in the crowd, `now` the crowd's clock when it was read.
    fn heard(
        &mut self,
        at: usize,
        client: &mut Client,
        heard: Heard<'_>,
        now: u64,
    ) -> Result<(), Failed>;
}

impl Client {
    /// A client whose socket is connecting.
    pub(super) fn new(socket: TcpStream, greeting: String, now: u64) -> Self {
        Self {
            socket,
            phase: Phase::Opening,
            greeting: greeting.into_bytes().into(),
            rest: Vec::new(),
            outbox: Vec::new(),
            began: now,
            came_in: 0,
            sent: 0,
        }
    }

    /// Sends an action with the next id of this client's own; `action` appends its JSON.
    pub(super) fn act(&mut self, now: u64, action: impl FnOnce(&mut Vec<u8>)) {
        self.sent += 1;
        let mut text = Vec::with_capacity(256);
        text.extend_from_slice(b"[\"sync\",");
        push_number(&mut text, self.sent);
        text.push(b',');
        action(&mut text);
        // Times count from the moment when the server has let the client in.
        let time = (now - self.came_in) / 1_000;
        text.extend_from_slice(b",{\"id\":[");
        push_number(&mut text, time);
        text.push(b',');
        push_number(&mut text, self.sent);
        text.extend_from_slice(b"],\"time\":");
        push_number(&mut text, time);
        text.extend_from_slice(b"}]");
        frame::push_text(&mut self.outbox, &text);
    }

    /// Says goodbye. The server closes.
    pub(super) fn leave(&mut self) {
        frame::push_close(&mut self.outbox);
        self.phase = Phase::Leaving;
    }

    /// Writes what waits, as far as it goes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() && self.phase != Phase::Opening {
            match self.socket.write(&self.outbox) {
                Ok(written) => drop(self.outbox.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The socket can be written to: the first time this means that it is connected, or never will be.
    pub(super) fn writable(&mut self, request: &[u8]) -> io::Result<()> {
        if self.phase == Phase::Opening {
            match self.socket.peer_addr() {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    return self.socket.take_error()?.map_or(Ok(()), Err);
                }
                Err(error) => return Err(error),
            }
            self.socket.set_nodelay(true)?;
            self.outbox.extend_from_slice(request);
            self.phase = Phase::Upgrading;
        }
        self.flush()
    }

    /// Reads all that is there. A read that does not fill the buffer is the last, unless the end of the stream may be behind it.
    pub(super) fn readable(
        &mut self,
        (at, now): (usize, u64),
        may_end: bool,
        buffer: &mut [u8],
        work: &mut impl Work,
    ) -> Result<(), Failed> {
        while self.phase != Phase::Gone {
            match self.socket.read(buffer) {
                Ok(0) => return self.gone(at, now, "the server has closed the connection", work),
                Ok(read) => {
                    self.take(at, now, &buffer[..read], work)?;
                    if read < buffer.len() && !may_end {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.gone(at, now, &error.to_string(), work),
            }
        }
        Ok(())
    }

    /// Tells, once, that the connection is over.
    pub(super) fn gone(
        &mut self,
        at: usize,
        now: u64,
        why: &str,
        work: &mut impl Work,
    ) -> Result<(), Failed> {
        if mem::replace(&mut self.phase, Phase::Gone) == Phase::Gone {
            return Ok(());
        }
        self.outbox.clear();
        work.heard(at, self, Heard::Gone(why.to_owned()), now)
    }

    fn take(
        &mut self,
        at: usize,
        now: u64,
        bytes: &[u8],
        work: &mut impl Work,
    ) -> Result<(), Failed> {
        let mut joined = mem::take(&mut self.rest);
        let bytes = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &joined
        };
        let mut done = 0;
        if self.phase == Phase::Upgrading {
            done = self.upgraded(bytes)?;
        }
        if self.phase != Phase::Upgrading {
            while let Some((frame, len)) = frame::parse(&bytes[done..])? {
                done += len;
                self.frame(at, now, &frame, work)?;
            }
        }
        if done < bytes.len() {
            self.rest = bytes[done..].to_vec();
        }
        Ok(())
    }

    /// Looks for the end of the HTTP head; its length, or 0 while it is not whole.
    fn upgraded(&mut self, bytes: &[u8]) -> Result<usize, Failed> {
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Ok(0) };
        let head = &bytes[..end];
        if !head.starts_with(b"HTTP/1.1 101") || memchr::memmem::find(head, ACCEPT).is_none() {
            let first = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
            return Err(format!(
                "no WebSocket: the server answers {:?}",
                String::from_utf8_lossy(first)
            )
            .into());
        }
        self.phase = Phase::Greeting;
        frame::push_text(&mut self.outbox, &mem::take(&mut self.greeting));
        Ok(end + 4)
    }

    fn frame(
        &mut self,
        at: usize,
        now: u64,
        frame: &Frame<'_>,
        work: &mut impl Work,
    ) -> Result<(), Failed> {
        let text = match *frame {
            Frame::Text(text) => text,
            Frame::Ping(payload) => {
                frame::push_pong(&mut self.outbox, payload);
                return Ok(());
            }
            Frame::Pong => return Ok(()),
            Frame::Close(_) if self.phase == Phase::Leaving => return Ok(()),
            Frame::Close(why) => {
                let why = format!("the server has said goodbye: {}", String::from_utf8_lossy(why));
                return self.gone(at, now, &why, work);
            }
        };
        match message::parse(text) {
            Message::Sync { added, actions } => {
                self.reply("synced", added);
                work.heard(at, self, Heard::Actions(actions), now)
            }
            Message::Connected => {
                self.phase = Phase::Open;
                self.came_in = now;
                work.heard(at, self, Heard::In, now)
            }
            Message::Ping => {
                self.reply("pong", self.sent);
                Ok(())
            }
            Message::Error => {
                Err(format!("the server says {}", String::from_utf8_lossy(text)).into())
            }
            Message::Synced | Message::Other => Ok(()),
        }
    }

    fn reply(&mut self, name: &str, number: u64) {
        let mut text = Vec::with_capacity(32);
        text.extend_from_slice(b"[\"");
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"\",");
        push_number(&mut text, number);
        text.push(b']');
        frame::push_text(&mut self.outbox, &text);
    }
}
