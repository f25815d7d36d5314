//! The trait of all transports.

use core::future::Future;

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
}

/// The limits of one connection, the same for every transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// The largest frame accepted from the peer, in bytes. Default: 1 MiB. Outgoing frames are not
    /// limited.
    pub max_frame: usize,
    /// The number of buffered bytes from which `poll_ready` is pending. Default: 64 KiB. One more
    /// frame of any size may exceed it, so that every frame can be sent.
    pub write_buffer: usize,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self { max_frame: 1 << 20, write_buffer: 64 << 10 }
    }
}
