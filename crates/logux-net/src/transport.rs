//! The one trait that every connection is seen through.

use core::future::Future;

use futures_core::Stream;
use futures_sink::Sink;
use futures_util::{SinkExt, StreamExt};

use crate::{CloseReason, Frame, NetError};

/// One end of a connection: a stream of frames in, a sink of frames out, and a goodbye with a reason.
///
/// # The calling contract
///
/// One task drives both directions; it polls reading and flushing as it likes, and neither waits for the other: while the
/// peer does not read, frames still come in, and while the caller does not read, frames still leave.
///
/// - **Reading.** [`Stream`] gives whole frames in order. Taking the next one is cancel safe: a dropped `next()` loses nothing.
///   `None` is the end: the peer has closed or is gone, and [`received_close`](Self::received_close) tells which. After
///   an error comes `None`.
/// - **Writing.** `poll_ready` asks for room, `start_send` only puts the frame into the buffer, `poll_flush` hands
///   everything that waits to the system, in one write where it fits. `poll_ready` is pending while
///   [`Limits::write_buffer`] bytes wait: a peer that does not read costs that much and one frame, no more.
/// - **Closing.** `poll_close` sends what waits, then the reason, and ends the writing direction. It is done when the
///   system has it all; that the peer reads it is another matter, see [`close_with`](Self::close_with). Then
///   `start_send` fails with [`NetError::Closed`].
/// - **Dropping** a transport ends the connection without a reason.
///
/// Nothing here has a time limit: a peer may stay silent or stop reading for ever. Put a limit around what you wait for.
///
/// The suite in `logux_net::testing` (feature `testing`) checks all of this for a transport of your own.
pub trait Transport:
    Stream<Item = Result<Frame, NetError>> + Sink<Frame, Error = NetError> + Send + Unpin
{
    /// Sets what the peer is told when this end closes. Without a call it is [`CloseReason::Done`], or after an error from
    /// reading what [`NetError::close_reason`] says.
    fn set_close_reason(&mut self, reason: CloseReason);

    /// What the peer said when it closed, once the stream has ended. `None` while it is open, after a connection that broke
    /// off, and on transports that carry no reasons.
    fn received_close(&self) -> Option<&CloseReason>;

    /// Says goodbye and waits until the peer has closed too, throwing away what still comes in.
    ///
    /// Closing a socket with unread data in it may destroy what was sent last, so this is the way to be sure that
    /// the peer sees the reason and the frames before it. A peer may never answer: put a time limit around it.
    ///
    /// # Errors
    ///
    /// Those of writing; an error in what still comes in counts as the end.
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

/// How much one connection may hold. The same for every transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest frame that is accepted from the peer, in bytes. 1 MiB by default. What this end sends is not limited.
    pub max_frame: usize,
    /// How many bytes may wait to be written before `poll_ready` is pending. 64 KiB by default. One more frame of any
    /// size may be added on top, so that every frame can be sent.
    pub write_buffer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_frame: 1 << 20, write_buffer: 64 << 10 }
    }
}
