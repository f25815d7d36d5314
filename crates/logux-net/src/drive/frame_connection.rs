//! A transport with a queue of outgoing frames.

use core::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};
use std::collections::VecDeque;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;

use crate::{AnnouncedFrame, CloseReason, Frame, FrameLimits, NetError, Transport};

/// The time limit for the peer to read the last frames before the connection is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A transport that reads and writes independently, for a task that owns both directions.
#[derive(Debug)]
pub struct FrameConnection<T> {
    transport: T,
    unsent: VecDeque<Frame>,
    /// Whether the transport holds frames that are not flushed.
    unflushed: bool,
}

/// An event of a connection.
#[derive(Debug)]
pub enum Event {
    /// A frame was received.
    Frame(Frame),
    /// A large frame is announced. It is received after [`FrameConnection::admit`].
    Announced(AnnouncedFrame),
    /// All pushed frames were sent.
    Flushed,
    /// The connection has ended; the reason is what to send to the peer.
    Ended(CloseReason),
}

impl<T: Transport> FrameConnection<T> {
    /// Creates a connection over a transport.
    pub const fn new(transport: T) -> Self {
        Self { transport, unsent: VecDeque::new(), unflushed: false }
    }

    /// Queues a frame. Frames pushed before the next [`event`](Self::event) are sent in one write.
    pub fn push(&mut self, frame: Frame) {
        self.unsent.push_back(frame);
    }

    /// Returns `true` if all pushed frames were sent. A caller that produces more than a slow peer
    /// should buffer waits for this.
    pub fn is_idle(&self) -> bool {
        !self.unflushed && self.unsent.is_empty()
    }

    /// Replaces the limits of the frames that are not received yet.
    pub fn set_limits(&mut self, limits: FrameLimits) {
        self.transport.set_limits(limits);
    }

    /// Permits the announced frame to be received.
    pub fn admit(&mut self) {
        self.transport.admit();
    }

    /// Returns the number of received bytes of a frame that is not complete. 0 if there is none.
    pub fn partial_bytes(&self) -> usize {
        self.transport.partial_bytes()
    }

    /// Writes and reads until the next event. Frames are read only if `wants_frames` is set.
    ///
    /// Cancel safe: an event that was not returned is returned by the next call.
    pub async fn event(&mut self, wants_frames: bool) -> Event {
        poll_fn(|context| self.poll(context, wants_frames)).await
    }

    fn poll(&mut self, context: &mut Context<'_>, wants_frames: bool) -> Poll<Event> {
        if !self.is_idle()
            && let Poll::Ready(written) = self.poll_write(context)
        {
            return Poll::Ready(
                written
                    .map_or_else(|error| Event::Ended(error.close_reason()), |()| Event::Flushed),
            );
        }
        if !wants_frames {
            return Poll::Pending;
        }
        match self.transport.poll_next_unpin(context) {
            Poll::Pending => match self.transport.announced() {
                Some(announced) => Poll::Ready(Event::Announced(announced)),
                None => Poll::Pending,
            },
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Event::Frame(frame)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Event::Ended(error.close_reason())),
            Poll::Ready(None) => Poll::Ready(Event::Ended(CloseReason::Done)),
        }
    }

    /// All queued frames are buffered before the flush, so that they are sent in one write.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        while !self.unsent.is_empty() {
            match self.transport.poll_ready_unpin(context)? {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => {}
            }
            if let Some(frame) = self.unsent.pop_front() {
                self.unflushed = true;
                self.transport.start_send_unpin(frame)?;
            }
        }
        match self.transport.poll_flush_unpin(context)? {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                self.unflushed = false;
                // Many connections are idle: free the capacity that a burst needed.
                self.unsent.shrink_to(4);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Sends the queued frames and the close message, within 2 s. For [`CloseReason::SlowReader`]
    /// it sends neither and drops the connection.
    pub async fn close(mut self, reason: CloseReason) {
        if reason == CloseReason::SlowReader {
            return;
        }
        self.transport.set_close_reason(reason);
        let closing = async {
            poll_fn(|context| self.poll_write(context)).await?;
            self.transport.close().await?;
            // Closing a socket with unread data may discard the last frames that were sent.
            while self.transport.next().await.is_some_and(|frame| frame.is_ok()) {}
            poll_fn(|context| self.transport.poll_discard(context)).await;
            Ok::<_, NetError>(())
        };
        let _ = timeout(CLOSE_TIMEOUT, closing).await;
    }
}
