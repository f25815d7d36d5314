//! JSON lines: one frame per line, over any byte stream.

use core::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use futures_core::Stream;
use futures_sink::Sink;
use memchr::{memchr, memchr2};
use tokio::{
    io::{AsyncRead, AsyncWrite, Join, Stdin, Stdout, join, stdin, stdout},
    net::TcpStream,
};

use crate::{
    CloseReason, Frame, FrameLimits, NetError, Transport,
    bytes_io::{WriteQueue, Writing, poll_fill, take},
};

/// A transport that sends frames as lines over a pipe, a Unix socket, TCP, or any other byte
/// stream.
///
/// A line ends with `\n`; a `\r` before it is not part of the frame. In JSON an unescaped line
/// break can only be white space between tokens, so line breaks in outgoing frames are replaced by
/// spaces.
///
/// Closing shuts down the writing direction. Reasons are not sent, so `received_close` is always
/// `None`. When the peer's direction ends, this end can still write, as programs in a pipeline do.
/// A last line without a line break is [`NetError::Truncated`].
pub struct JsonLinesTransport<IO> {
    io: IO,
    limits: FrameLimits,
    inbox: BytesMut,
    /// The number of bytes at the start of the inbox without a line break.
    searched: usize,
    write_queue: WriteQueue,
    ended: bool,
    writing: Writing,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> JsonLinesTransport<IO> {
    /// Creates a transport over `io`.
    pub fn new(io: IO, limits: FrameLimits) -> Self {
        Self {
            io,
            limits,
            inbox: BytesMut::new(),
            searched: 0,
            write_queue: WriteQueue::default(),
            ended: false,
            writing: Writing::Open,
        }
    }

    /// Returns the underlying byte stream.
    pub const fn get_ref(&self) -> &IO {
        &self.io
    }

    /// Removes the next complete line from the inbox.
    fn line(&mut self) -> Result<Option<Frame>, NetError> {
        let too_large = NetError::FrameTooLarge { limit: self.limits.max_frame };
        let Some(at) = memchr(b'\n', &self.inbox[self.searched..]) else {
            self.searched = self.inbox.len();
            let text = self.inbox.len() - usize::from(self.inbox.ends_with(b"\r"));
            return if text > self.limits.max_frame { Err(too_large) } else { Ok(None) };
        };
        let mut line = take(&mut self.inbox, self.searched + at + 1);
        self.searched = 0;
        line.truncate(line.len() - 1);
        if line.ends_with(b"\r") {
            line.truncate(line.len() - 1);
        }
        if line.len() > self.limits.max_frame {
            return Err(too_large);
        }
        Frame::try_from(line.freeze()).map(Some).map_err(|_| NetError::NotUtf8)
    }

    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, NetError>> {
        loop {
            if let Some(frame) = self.line()? {
                return Poll::Ready(Ok(Some(frame)));
            }
            if ready!(poll_fill(&mut self.io, &mut self.inbox, cx))? == 0 {
                return Poll::Ready(if self.inbox.is_empty() {
                    Ok(None)
                } else {
                    Err(NetError::Truncated)
                });
            }
        }
    }
}

/// Creates a transport over standard input and output, for a program that runs as a child process.
///
/// The runtime reads standard input in a thread that cannot be stopped: end the process with
/// `std::process::exit` or `Runtime::shutdown_background` if the input may be silent forever.
pub fn stdio(limits: FrameLimits) -> JsonLinesTransport<Join<Stdin, Stdout>> {
    JsonLinesTransport::new(join(stdin(), stdout()), limits)
}

/// Connects over TCP to `host:port`.
///
/// # Errors
///
/// [`NetError::Io`] if the connection fails.
pub async fn connect_tcp(
    address: &str,
    limits: FrameLimits,
) -> Result<JsonLinesTransport<TcpStream>, NetError> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(JsonLinesTransport::new(socket, limits))
}

/// Connects to a Unix socket.
///
/// # Errors
///
/// [`NetError::Io`] if the connection fails.
#[cfg(unix)]
pub async fn connect_unix(
    path: impl AsRef<std::path::Path> + Send,
    limits: FrameLimits,
) -> Result<JsonLinesTransport<tokio::net::UnixStream>, NetError> {
    Ok(JsonLinesTransport::new(tokio::net::UnixStream::connect(path).await?, limits))
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Stream for JsonLinesTransport<IO> {
    type Item = Result<Frame, NetError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let item = ready!(this.poll_line(cx)).transpose();
        if !matches!(item, Some(Ok(_))) {
            this.ended = true;
            this.inbox = BytesMut::new();
        }
        Poll::Ready(item)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Sink<Frame> for JsonLinesTransport<IO> {
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
        let breaks = memchr2(b'\n', b'\r', frame.as_ref()).is_some();
        let text = if breaks { frame.replace(['\n', '\r'], " ").into() } else { frame };
        this.write_queue.share(text.into_bytes());
        this.write_queue.copy(b"\n");
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        let this = self.get_mut();
        this.write_queue.poll_flush(&mut this.io, cx).map_err(NetError::Io)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        let this = self.get_mut();
        if this.writing != Writing::Closed {
            this.writing = Writing::Closing;
            ready!(this.write_queue.poll_flush(&mut this.io, cx))?;
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            this.writing = Writing::Closed;
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Transport for JsonLinesTransport<IO> {
    fn set_close_reason(&mut self, _: CloseReason) {}

    fn received_close(&self) -> Option<&CloseReason> {
        None
    }

    fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
    }
}

impl<IO> fmt::Debug for JsonLinesTransport<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLinesTransport")
            .field("ended", &self.ended)
            .field("writing", &self.writing)
            .field("waiting", &self.write_queue.len())
            .finish_non_exhaustive()
    }
}
