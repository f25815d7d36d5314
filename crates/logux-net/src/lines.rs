//! JSON lines: one frame a line, over any stream of bytes.

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
    CloseReason, Frame, Limits, NetError, Transport,
    bytes_io::{Outbox, Writing, poll_fill, take},
};

/// Frames as lines over a pipe, a Unix socket, TCP, or any other stream.
///
/// A line ends with `\n`; a `\r` before it is not part of the frame. Inside of JSON a raw line break can only be white space
/// between tokens, so it leaves as a space: an action that its author has written in several lines keeps its meaning.
///
/// Closing ends the stream of bytes. The reason is not carried, so `received_close` is always `None`. The end of the
/// peer's direction is not the end of ours: one may still write to a peer that has nothing more to say, as programs in a
/// pipe do. A last line without an end is [`NetError::Truncated`].
pub struct LinesTransport<IO> {
    io: IO,
    limits: Limits,
    inbox: BytesMut,
    /// This much of the inbox holds no line end.
    searched: usize,
    outbox: Outbox,
    ended: bool,
    writing: Writing,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> LinesTransport<IO> {
    /// Speaks lines over `io`.
    pub fn new(io: IO, limits: Limits) -> Self {
        Self {
            io,
            limits,
            inbox: BytesMut::new(),
            searched: 0,
            outbox: Outbox::default(),
            ended: false,
            writing: Writing::Open,
        }
    }

    /// The stream of bytes below.
    pub const fn get_ref(&self) -> &IO {
        &self.io
    }

    /// The next whole line in the inbox.
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

/// Speaks lines over standard input and output: what a program does that was started to be talked to.
///
/// The runtime reads standard input in a thread of its own that cannot be stopped: end the process with
/// `std::process::exit` or `Runtime::shutdown_background` if input may be silent for ever.
pub fn stdio(limits: Limits) -> LinesTransport<Join<Stdin, Stdout>> {
    LinesTransport::new(join(stdin(), stdout()), limits)
}

/// Connects over TCP, to `host:port`.
///
/// # Errors
///
/// [`NetError::Io`] if nobody answers there.
pub async fn tcp(address: &str, limits: Limits) -> Result<LinesTransport<TcpStream>, NetError> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(LinesTransport::new(socket, limits))
}

/// Connects to a Unix socket.
///
/// # Errors
///
/// [`NetError::Io`] if nobody answers there.
#[cfg(unix)]
pub async fn unix(
    path: impl AsRef<std::path::Path> + Send,
    limits: Limits,
) -> Result<LinesTransport<tokio::net::UnixStream>, NetError> {
    Ok(LinesTransport::new(tokio::net::UnixStream::connect(path).await?, limits))
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Stream for LinesTransport<IO> {
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

impl<IO: AsyncRead + AsyncWrite + Unpin> Sink<Frame> for LinesTransport<IO> {
    type Error = NetError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        let this = self.get_mut();
        this.outbox.poll_room(&mut this.io, this.limits.write_buffer, cx).map_err(NetError::Io)
    }

    fn start_send(self: Pin<&mut Self>, frame: Frame) -> Result<(), NetError> {
        let this = self.get_mut();
        if this.writing != Writing::Open {
            return Err(NetError::Closed);
        }
        let breaks = memchr2(b'\n', b'\r', frame.as_ref()).is_some();
        let text = if breaks { frame.replace(['\n', '\r'], " ").into() } else { frame };
        this.outbox.share(text.into_bytes());
        this.outbox.copy(b"\n");
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        let this = self.get_mut();
        this.outbox.poll_flush(&mut this.io, cx).map_err(NetError::Io)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        let this = self.get_mut();
        if this.writing != Writing::Closed {
            this.writing = Writing::Closing;
            ready!(this.outbox.poll_flush(&mut this.io, cx))?;
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            this.writing = Writing::Closed;
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Transport for LinesTransport<IO> {
    fn set_close_reason(&mut self, _: CloseReason) {}

    fn received_close(&self) -> Option<&CloseReason> {
        None
    }
}

impl<IO> fmt::Debug for LinesTransport<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinesTransport")
            .field("ended", &self.ended)
            .field("writing", &self.writing)
            .field("waiting", &self.outbox.len())
            .finish_non_exhaustive()
    }
}
