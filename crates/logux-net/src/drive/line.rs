//! A transport and what waits to go into it.

use core::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};
use std::collections::VecDeque;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;

use crate::{CloseReason, Frame, NetError, Transport};

/// How long a peer may take to read the last frames before a connection is dropped.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A transport whose reading and writing do not wait for each other, for a task that owns both.
#[derive(Debug)]
pub struct Line<T> {
    transport: T,
    unsent: VecDeque<Frame>,
    /// Whether something is in the transport that was not flushed.
    dirty: bool,
}

/// What happened on a line.
#[derive(Debug)]
pub enum Event {
    /// A frame came.
    Frame(Frame),
    /// Everything that was pushed has left.
    Flushed,
    /// The connection is over, and this is what the peer should be told about it.
    Ended(CloseReason),
}

impl<T: Transport> Line<T> {
    /// A line over a new connection.
    pub const fn new(transport: T) -> Self {
        Self { transport, unsent: VecDeque::new(), dirty: false }
    }

    /// Gives a frame to be sent. Frames that were pushed before the next [`event`](Self::event) leave together, in one write.
    pub fn push(&mut self, frame: Frame) {
        self.unsent.push_back(frame);
    }

    /// Whether everything that was pushed has left. A caller with more to send than a slow peer should cost waits for this.
    pub fn is_idle(&self) -> bool {
        !self.dirty && self.unsent.is_empty()
    }

    /// Writes and reads, and waits until one of them gets somewhere. Frames are read only if the caller wants them.
    ///
    /// Cancel safe: what was not told yet is told by the next call.
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
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Event::Frame(frame)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Event::Ended(error.close_reason())),
            Poll::Ready(None) => Poll::Ready(Event::Ended(CloseReason::Done)),
        }
    }

    /// All that waits goes in first, so that it leaves in one write.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        while !self.unsent.is_empty() {
            match self.transport.poll_ready_unpin(context)? {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => {}
            }
            if let Some(frame) = self.unsent.pop_front() {
                self.dirty = true;
                self.transport.start_send_unpin(frame)?;
            }
        }
        match self.transport.poll_flush_unpin(context)? {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                self.dirty = false;
                // Thousands of idle connections should not keep the room that one busy moment needed.
                self.unsent.shrink_to(4);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Sends what waits and says goodbye, within 2 s. A peer that does not read gets neither.
    pub async fn close(mut self, reason: CloseReason) {
        if reason == CloseReason::SlowReader {
            return;
        }
        self.transport.set_close_reason(reason);
        let farewell = async {
            poll_fn(|context| self.poll_write(context)).await?;
            self.transport.close().await?;
            // Closing a socket with something unread in it may destroy what was sent last.
            while self.transport.next().await.is_some_and(|frame| frame.is_ok()) {}
            Ok::<_, NetError>(())
        };
        let _ = timeout(LAST_WORDS, farewell).await;
    }
}
