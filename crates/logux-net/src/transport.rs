//! The trait of all transports.

use core::{
    future::Future,
    task::{Context, Poll},
};

use futures_core::Stream;
use futures_sink::Sink;
use futures_util::{SinkExt, StreamExt};

use crate::{CloseReason, Frame, NetError};

/// One end of a connection: a stream of received frames, a sink of outgoing frames, and a close
/// message with a reason.
///
/// # Calling contract
///
/// One task drives both directions and polls reading and flushing in any order. The directions are
/// independent: frames are received while the peer does not read, and frames are sent while the
/// caller does not read.
///
/// - **Reading.** [`Stream`] returns complete frames in order. It is cancel safe: dropping a
///   `next()` future loses no frame. `None` is the end: the peer has closed, or the connection is
///   lost; [`received_close`](Self::received_close) tells which. After an error the stream returns
///   `None`.
/// - **Writing.** `poll_ready` waits for capacity, `start_send` only buffers the frame, and
///   `poll_flush` passes all buffered frames to the operating system, in one write if possible.
///   `poll_ready` is pending while [`FrameLimits::write_buffer`] bytes are buffered: a peer that
///   does not read costs at most this memory and one frame.
/// - **Large frames.** A transport that knows the size of a frame before its content, as WebSocket
///   does, announces frames of more than [`FrameLimits::announce_from`] bytes: the stream is
///   pending, [`announced`](Self::announced) returns the size, and nothing is read until
///   [`admit`](Self::admit). So the caller can reserve the memory first.
/// - **Closing.** `poll_close` sends the buffered frames and the reason, and ends the writing
///   direction. It is ready when the operating system has accepted the data, which does not mean
///   that the peer has read it; see [`close_with`](Self::close_with). After that, `start_send`
///   fails with [`NetError::Closed`].
/// - **Dropping** a transport ends the connection without a reason.
///
/// No method has a time limit: a peer may be silent or stop reading forever. Set a time limit for
/// each wait.
///
/// The suite in `logux_net::testing` (feature `testing`) checks this contract for any transport.
pub trait Transport:
    Stream<Item = Result<Frame, NetError>> + Sink<Frame, Error = NetError> + Send + Unpin
{
    /// Sets the reason to send when this end closes. Default: [`CloseReason::Done`], or after a
    /// read error [`NetError::close_reason`].
    fn set_close_reason(&mut self, reason: CloseReason);

    /// Returns the reason that the peer sent, once the stream has ended. `None` while the
    /// connection is open, after it was lost, and on transports that do not carry reasons.
    fn received_close(&self) -> Option<&CloseReason>;

    /// Replaces the limits, for all frames that are not received yet. A server accepts larger
    /// frames after the authentication.
    fn set_limits(&mut self, limits: FrameLimits);

    /// Returns the frame whose content waits for [`admit`](Self::admit), if there is one. Default:
    /// none, for transports that do not know the size in advance.
    fn announced(&self) -> Option<AnnouncedFrame> {
        None
    }

    /// Permits the announced frame to be received. Then poll the stream again.
    fn admit(&mut self) {}

    /// Returns the number of received bytes of a frame that is not complete. 0 if there is none, or
    /// the transport does not know.
    fn partial_bytes(&self) -> usize {
        0
    }

    /// Reads and drops all that the peer still sends after an error, until its end. A socket that
    /// is closed with unread data may discard the last frames that were sent. Default: ready.
    fn poll_discard(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// Closes the connection and waits until the peer has closed too, discarding received frames.
    ///
    /// Closing a socket with unread data may discard the last frames that were sent, so this is the
    /// way to ensure that the peer receives the frames and the reason. The peer may never answer:
    /// set a time limit.
    ///
    /// # Errors
    ///
    /// Errors of writing; a read error counts as the end.
    fn close_with(
        &mut self,
        reason: CloseReason,
    ) -> impl Future<Output = Result<(), NetError>> + Send
    where
        Self: Sized,
    {
        async move {
            self.set_close_reason(reason);
            self.close().await?;
            while let Some(Ok(_)) = self.next().await {}
            Ok(())
        }
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn set_close_reason(&mut self, reason: CloseReason) {
        (**self).set_close_reason(reason);
    }

    fn received_close(&self) -> Option<&CloseReason> {
        (**self).received_close()
    }

    fn set_limits(&mut self, limits: FrameLimits) {
        (**self).set_limits(limits);
    }

    fn announced(&self) -> Option<AnnouncedFrame> {
        (**self).announced()
    }

    fn admit(&mut self) {
        (**self).admit();
    }

    fn partial_bytes(&self) -> usize {
        (**self).partial_bytes()
    }

    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        (**self).poll_discard(context)
    }
}

/// The size of a large frame, which the peer has announced before its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnouncedFrame {
    /// The size of the frame, in bytes. If it is fragmented, the size of its parts so far, with the
    /// next one.
    pub bytes: usize,
    /// Whether more parts of unknown size may follow.
    pub may_grow: bool,
}

/// The limits of one connection, the same for every transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// The largest frame accepted from the peer, in bytes. Default: 64 MiB. Outgoing frames are not
    /// limited.
    pub max_frame: usize,
    /// Frames of more bytes are [announced](Transport::announced) before they are received.
    /// Default: none.
    pub announce_from: usize,
    /// The number of buffered bytes from which `poll_ready` is pending. Default: 64 KiB. One more
    /// frame of any size may exceed it, so that every frame can be sent.
    pub write_buffer: usize,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self { max_frame: 64 << 20, announce_from: usize::MAX, write_buffer: 64 << 10 }
    }
}
