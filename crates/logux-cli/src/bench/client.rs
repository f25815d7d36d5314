//! A client: its socket, the state of its connection, and the messages that it sends.

use std::{
    io::{self, Read as _, Write as _},
    mem,
};

use logux_net::{
    CloseReason,
    websocket::codec::{
        ServerFrame, decode_server_frame, encode_client_close, encode_client_pong,
        encode_client_text,
    },
};
use mio::net::TcpStream;

use super::{
    error::BenchError,
    message::{ServerMessage, parse_message, push_number},
};

/// The key and its answer in the example of RFC 6455, section 1.3. Any key is valid.
pub(super) const WEBSOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const WEBSOCKET_ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A connection.
pub(super) struct Client {
    pub(super) socket: TcpStream,
    phase: Phase,
    /// The `connect` message, until it is sent.
    connect_message: Box<[u8]>,
    /// The start of a frame that was not received completely.
    partial_frame: Vec<u8>,
    outbox: Vec<u8>,
    /// The start of the connection, in microseconds of the pool's clock.
    pub(super) started_at: u64,
    /// The time of the `connected` message, in microseconds of the pool's clock.
    connected_at: u64,
    /// The number of actions sent.
    sent: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The TCP connection is being established.
    Opening,
    /// Waiting for the response to the HTTP upgrade.
    Upgrading,
    /// Waiting for `connected`.
    LoggingIn,
    Connected,
    /// Waiting for the server to close the connection.
    Closing,
    Closed,
}

/// What happened on a connection.
pub(super) enum ClientEvent<'a> {
    /// The server accepted the client.
    Connected,
    /// A `sync` message was received and confirmed: the JSON of its actions and metas.
    Actions(&'a [u8]),
    /// The connection was closed, with the reason.
    Closed(String),
}

/// Handles the events of all clients.
pub(super) trait EventHandler {
    /// Handles an event of the client at `index` in the pool. `now` is the time when the data was
    /// read, in microseconds of the pool's clock.
    fn on_event(
        &mut self,
        index: usize,
        client: &mut Client,
        event: ClientEvent<'_>,
        now: u64,
    ) -> Result<(), BenchError>;
}

impl Client {
    /// Creates a client from a connecting socket.
    pub(super) fn new(socket: TcpStream, connect_message: String, now: u64) -> Self {
        Self {
            socket,
            phase: Phase::Opening,
            connect_message: connect_message.into_bytes().into(),
            partial_frame: Vec::new(),
            outbox: Vec::new(),
            started_at: now,
            connected_at: 0,
            sent: 0,
        }
    }

    /// Queues an action with the next id of this client. `push_action` appends its JSON.
    pub(super) fn send_action(&mut self, now: u64, push_action: impl FnOnce(&mut Vec<u8>)) {
        self.sent += 1;
        let mut text = Vec::with_capacity(256);
        text.extend_from_slice(b"[\"sync\",");
        push_number(&mut text, self.sent);
        text.push(b',');
        push_action(&mut text);
        // Times in messages are relative to the `connected` message.
        let time = (now - self.connected_at) / 1_000;
        text.extend_from_slice(b",{\"id\":[");
        push_number(&mut text, time);
        text.push(b',');
        push_number(&mut text, self.sent);
        text.extend_from_slice(b"],\"time\":");
        push_number(&mut text, time);
        text.extend_from_slice(b"}]");
        encode_client_text(&text, &mut self.outbox);
    }

    /// Queues a close frame. The server then closes the connection.
    pub(super) fn close(&mut self) {
        encode_client_close(&CloseReason::Done, &mut self.outbox);
        self.phase = Phase::Closing;
    }

    /// Writes queued bytes until the socket would block.
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

    /// Handles a writable socket. The first time, the connection was established or has failed.
    pub(super) fn on_writable(&mut self, upgrade_request: &[u8]) -> io::Result<()> {
        if self.phase == Phase::Opening {
            match self.socket.peer_addr() {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    return self.socket.take_error()?.map_or(Ok(()), Err);
                }
                Err(error) => return Err(error),
            }
            self.socket.set_nodelay(true)?;
            self.outbox.extend_from_slice(upgrade_request);
            self.phase = Phase::Upgrading;
        }
        self.flush()
    }

    /// Reads until the socket would block. A read that does not fill the buffer is the last one,
    /// unless the end of the stream may follow (`may_end`).
    pub(super) fn on_readable(
        &mut self,
        (index, now): (usize, u64),
        may_end: bool,
        buffer: &mut [u8],
        handler: &mut impl EventHandler,
    ) -> Result<(), BenchError> {
        while self.phase != Phase::Closed {
            match self.socket.read(buffer) {
                Ok(0) => {
                    let reason = "the server closed the connection";
                    return self.on_closed(index, now, reason, handler);
                }
                Ok(read) => {
                    self.on_bytes(index, now, &buffer[..read], handler)?;
                    if read < buffer.len() && !may_end {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.on_closed(index, now, &error.to_string(), handler),
            }
        }
        Ok(())
    }

    /// Reports, once, that the connection was closed.
    pub(super) fn on_closed(
        &mut self,
        index: usize,
        now: u64,
        reason: &str,
        handler: &mut impl EventHandler,
    ) -> Result<(), BenchError> {
        if mem::replace(&mut self.phase, Phase::Closed) == Phase::Closed {
            return Ok(());
        }
        self.outbox.clear();
        handler.on_event(index, self, ClientEvent::Closed(reason.to_owned()), now)
    }

    fn on_bytes(
        &mut self,
        index: usize,
        now: u64,
        bytes: &[u8],
        handler: &mut impl EventHandler,
    ) -> Result<(), BenchError> {
        let mut joined = mem::take(&mut self.partial_frame);
        let bytes = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &joined
        };
        let mut read = 0;
        if self.phase == Phase::Upgrading {
            read = self.read_upgrade_response(bytes)?;
        }
        if self.phase != Phase::Upgrading {
            while let Some((frame, len)) = decode_server_frame(&bytes[read..])? {
                read += len;
                self.on_frame(index, now, &frame, handler)?;
            }
        }
        if read < bytes.len() {
            self.partial_frame = bytes[read..].to_vec();
        }
        Ok(())
    }

    /// Returns the length of the HTTP response, or 0 if it is incomplete.
    fn read_upgrade_response(&mut self, bytes: &[u8]) -> Result<usize, BenchError> {
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Ok(0) };
        let head = &bytes[..end];
        let is_accepted = memchr::memmem::find(head, WEBSOCKET_ACCEPT).is_some();
        if !head.starts_with(b"HTTP/1.1 101") || !is_accepted {
            let status = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
            return Err(BenchError::Upgrade(String::from_utf8_lossy(status).into_owned()));
        }
        self.phase = Phase::LoggingIn;
        encode_client_text(&mem::take(&mut self.connect_message), &mut self.outbox);
        Ok(end + 4)
    }

    fn on_frame(
        &mut self,
        index: usize,
        now: u64,
        frame: &ServerFrame<'_>,
        handler: &mut impl EventHandler,
    ) -> Result<(), BenchError> {
        match frame {
            ServerFrame::Message(text) => self.on_message(index, now, text, handler),
            ServerFrame::Ping(payload) => {
                encode_client_pong(payload, &mut self.outbox);
                Ok(())
            }
            ServerFrame::Pong => Ok(()),
            ServerFrame::Close(_) if self.phase == Phase::Closing => Ok(()),
            ServerFrame::Close(reason) => {
                let reason = format!("the server sent a close frame: {}", reason.text());
                self.on_closed(index, now, &reason, handler)
            }
        }
    }

    fn on_message(
        &mut self,
        index: usize,
        now: u64,
        text: &[u8],
        handler: &mut impl EventHandler,
    ) -> Result<(), BenchError> {
        match parse_message(text) {
            ServerMessage::Sync { added, actions } => {
                self.send_number("synced", added);
                handler.on_event(index, self, ClientEvent::Actions(actions), now)
            }
            ServerMessage::Connected => {
                self.phase = Phase::Connected;
                self.connected_at = now;
                handler.on_event(index, self, ClientEvent::Connected, now)
            }
            ServerMessage::Ping => {
                self.send_number("pong", self.sent);
                Ok(())
            }
            ServerMessage::Error => {
                Err(BenchError::Rejected(String::from_utf8_lossy(text).into_owned()))
            }
            ServerMessage::Synced | ServerMessage::Other => Ok(()),
        }
    }

    fn send_number(&mut self, name: &str, number: u64) {
        let mut text = Vec::with_capacity(32);
        text.extend_from_slice(b"[\"");
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"\",");
        push_number(&mut text, number);
        text.push(b']');
        encode_client_text(&text, &mut self.outbox);
    }
}
