//! Logux over WebSocket (RFC 6455), compatible with the JavaScript packages.
//!
//! [`WebSocketTransport`] is the connection; [`accept`] and [`from_upgraded`] create the server's
//! end, [`WebSocketConnector`] the client's. Text and binary messages are accepted if they are
//! UTF-8, fragmented or not; pings are answered. No extensions are supported.
//!
//! The handshake is tungstenite's. The data path is implemented here to save memory: tungstenite
//! allocates its read buffer up front and frees neither buffer after a burst, while an idle
//! connection of this module holds no buffer, and a frame to many receivers is held once.

mod client;
pub mod codec;
mod server;
mod tls;

pub use client::{ClientIo, WebSocketConnector};
pub use server::{accept, from_upgraded};

use core::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::protocol::Role;

use self::codec::{Decoder, Incoming};
use crate::{
    AnnouncedFrame, CloseReason, Frame, FrameLimits, NetError, Transport,
    bytes_io::{WriteQueue, Writing, poll_fill},
};

/// One end of a WebSocket connection over any byte stream.
pub struct WebSocketTransport<IO> {
    io: IO,
    role: Role,
    limits: FrameLimits,
    inbox: BytesMut,
    decoder: Decoder,
    write_queue: WriteQueue,
    /// The latest unanswered ping; older ones need no answer.
    ping: Option<Bytes>,
    /// Whether the outbox holds a pong or a close frame that was added by reading, so that reading
    /// has to flush it.
    replying: bool,
    reading: Reading,
    writing: Writing,
    close_reason: CloseReason,
}

#[derive(Debug, PartialEq, Eq)]
enum Reading {
    Open,
    /// The stream has ended, with the peer's reason if it sent a close frame.
    Ended(Option<CloseReason>),
}

impl<IO: AsyncRead + AsyncWrite + Unpin> WebSocketTransport<IO> {
    /// `early` are the bytes received after the HTTP head.
    fn new(io: IO, role: Role, limits: FrameLimits, early: BytesMut) -> Self {
        Self {
            io,
            role,
            limits,
            inbox: early,
            decoder: Decoder::new(role, limits),
            write_queue: WriteQueue::default(),
            ping: None,
            replying: false,
            reading: Reading::Open,
            writing: Writing::Open,
            close_reason: CloseReason::Done,
        }
    }

    /// Returns the underlying stream, for example for the address of the peer.
    pub const fn get_ref(&self) -> &IO {
        &self.io
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Incoming>, NetError>> {
        loop {
            if let Some(incoming) = self.decoder.decode(&mut self.inbox)? {
                return Poll::Ready(Ok(Some(incoming)));
            }
            if self.decoder.announced().is_some() {
                // `admit` continues.
                return Poll::Pending;
            }
            if ready!(poll_fill(&mut self.io, &mut self.inbox, cx))? == 0 {
                let whole = self.inbox.is_empty() && self.decoder.is_between_messages();
                return Poll::Ready(if whole { Ok(None) } else { Err(NetError::Truncated) });
            }
        }
    }

    /// Writes without waiting, the answer to a ping first if the limit allows. An error is returned
    /// by the caller's next flush.
    fn reply(&mut self, cx: &mut Context<'_>) {
        if let Some(ping) = self.ping.take_if(|_| self.write_queue.len() < self.limits.write_buffer)
        {
            codec::encode_pong(self.role, ping, &mut self.write_queue);
        }
        self.replying = self.write_queue.poll_flush(&mut self.io, cx).is_pending();
    }

    fn poll_write_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        ready!(self.write_queue.poll_flush(&mut self.io, cx))?;
        if self.writing == Writing::Open
            && let Some(ping) = self.ping.take()
        {
            codec::encode_pong(self.role, ping, &mut self.write_queue);
            ready!(self.write_queue.poll_flush(&mut self.io, cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn queue_close(&mut self, reason: &CloseReason) {
        if self.writing == Writing::Open {
            self.ping = None;
            codec::encode_close(self.role, reason, &mut self.write_queue);
            self.writing = Writing::Closing;
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Stream for WebSocketTransport<IO> {
    type Item = Result<Frame, NetError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.replying {
            this.reply(cx);
        }
        while this.reading == Reading::Open {
            match ready!(this.poll_incoming(cx)) {
                Ok(Some(Incoming::Frame(frame))) => return Poll::Ready(Some(Ok(frame))),
                Ok(Some(Incoming::Ping(payload))) => {
                    if this.writing == Writing::Open {
                        this.ping = Some(payload);
                        this.reply(cx);
                    }
                }
                Ok(Some(Incoming::Close(reason))) => {
                    this.queue_close(&reason);
                    this.reply(cx);
                    this.inbox = BytesMut::new();
                    this.reading = Reading::Ended(Some(reason));
                }
                Ok(None) => this.reading = Reading::Ended(None),
                Err(error) => {
                    this.inbox = BytesMut::new();
                    this.close_reason = error.close_reason();
                    this.reading = Reading::Ended(None);
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Sink<Frame> for WebSocketTransport<IO> {
    type Error = NetError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        let this = self.get_mut();
        this.write_queue
            .poll_capacity(&mut this.io, this.limits.write_buffer, cx)
            .map_err(NetError::Io)
    }

    fn start_send(self: Pin<&mut Self>, frame: Frame) -> Result<(), NetError> {
        let this = self.get_mut();
        if this.writing != Writing::Open {
            return Err(NetError::Closed);
        }
        codec::encode_frame(this.role, frame, &mut this.write_queue);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        self.get_mut().poll_write_all(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        let this = self.get_mut();
        let reason = this.close_reason.clone();
        this.queue_close(&reason);
        if this.writing == Writing::Closing {
            ready!(this.poll_write_all(cx))?;
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            this.writing = Writing::Closed;
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Transport for WebSocketTransport<IO> {
    fn set_close_reason(&mut self, reason: CloseReason) {
        self.close_reason = reason;
    }

    fn received_close(&self) -> Option<&CloseReason> {
        match &self.reading {
            Reading::Open => None,
            Reading::Ended(reason) => reason.as_ref(),
        }
    }

    fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
        self.decoder.set_limits(limits);
    }

    fn announced(&self) -> Option<AnnouncedFrame> {
        self.decoder.announced()
    }

    fn admit(&mut self) {
        self.decoder.admit(&mut self.inbox);
    }

    fn partial_bytes(&self) -> usize {
        self.decoder.partial_bytes(self.inbox.len())
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Reading::Ended(Some(_)) = self.reading {
            // The peer sends nothing after its close frame.
            return Poll::Ready(());
        }
        loop {
            self.inbox.clear();
            match ready!(poll_fill(&mut self.io, &mut self.inbox, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }
}

impl<IO> fmt::Debug for WebSocketTransport<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketTransport")
            .field("role", &self.role)
            .field("reading", &self.reading)
            .field("writing", &self.writing)
            .field("waiting", &self.write_queue.len())
            .finish_non_exhaustive()
    }
}
