//! A pair of connected transports in one process.

use core::{
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_core::Stream;
use futures_sink::Sink;

use crate::{CloseReason, Frame, FrameLimits, NetError, Transport};

/// The bytes that a frame counts in addition to its text, so that empty frames fill the buffer too.
const FRAME_OVERHEAD: usize = 32;

/// Creates two connected transports without a network, for tests and for nodes in one process.
///
/// They behave like a socket: a frame is sent by a flush, and each direction buffers
/// [`FrameLimits::write_buffer`] bytes before the writer has to wait. Frames are shared, not
/// copied.
///
/// ```
/// # use futures_util::{SinkExt, StreamExt};
/// # tokio_test(async {
/// let (mut client, mut server) = logux_net::pair(logux_net::FrameLimits::default());
/// client.send(r#"["ping",1]"#.into()).await?;
/// assert_eq!(server.next().await.expect("a frame")?, r#"["ping",1]"#);
/// # Ok(()) });
/// # fn tokio_test(test: impl Future<Output = Result<(), logux_net::NetError>>) {
/// #     tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(test).expect("no error");
/// # }
/// ```
pub fn pair(limits: FrameLimits) -> (PairTransport, PairTransport) {
    let (left_to_right, right_to_left) =
        (Arc::new(Mutex::new(Queue::default())), Arc::new(Mutex::new(Queue::default())));
    let end = |outgoing: &SharedQueue, incoming: &SharedQueue| PairTransport {
        limits,
        outgoing: outgoing.clone(),
        incoming: incoming.clone(),
        unflushed: VecDeque::new(),
        unflushed_cost: 0,
        closing: false,
        ended: false,
        close_reason: CloseReason::Done,
        received_close: None,
    };
    (end(&left_to_right, &right_to_left), end(&right_to_left, &left_to_right))
}

/// One end of a [`pair()`].
pub struct PairTransport {
    limits: FrameLimits,
    outgoing: SharedQueue,
    incoming: SharedQueue,
    unflushed: VecDeque<Frame>,
    unflushed_cost: usize,
    closing: bool,
    ended: bool,
    close_reason: CloseReason,
    received_close: Option<CloseReason>,
}

type SharedQueue = Arc<Mutex<Queue>>;

/// One direction of a pair.
#[derive(Default)]
struct Queue {
    frames: VecDeque<Frame>,
    cost: usize,
    /// Set when the writer has closed or is dropped; the reason only if it has closed.
    finished: Option<Option<CloseReason>>,
    /// Whether the reader is dropped.
    reader_dropped: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

fn cost(frame: &Frame) -> usize {
    frame.len() + FRAME_OVERHEAD
}

/// No statement that could panic leaves the queue inconsistent, so a poisoned lock is safe to use.
fn lock(queue: &SharedQueue) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl PairTransport {
    /// Moves frames to the peer while the limit allows. Pending while some are left.
    fn poll_transfer(&mut self, cx: &Context<'_>) -> Poll<Result<(), NetError>> {
        if self.unflushed.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut queue = lock(&self.outgoing);
        if queue.reader_dropped {
            return Poll::Ready(Err(NetError::Closed));
        }
        while queue.cost < self.limits.write_buffer {
            let Some(frame) = self.unflushed.pop_front() else { break };
            self.unflushed_cost -= cost(&frame);
            queue.cost += cost(&frame);
            queue.frames.push_back(frame);
        }
        wake(&mut queue.reader);
        if self.unflushed.is_empty() {
            return Poll::Ready(Ok(()));
        }
        queue.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Stream for PairTransport {
    type Item = Result<Frame, NetError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let mut queue = lock(&this.incoming);
        if let Some(frame) = queue.frames.pop_front() {
            queue.cost -= cost(&frame);
            wake(&mut queue.writer);
            if frame.len() <= this.limits.max_frame {
                return Poll::Ready(Some(Ok(frame)));
            }
            drop(queue);
            this.ended = true;
            let error = NetError::FrameTooLarge { limit: this.limits.max_frame };
            this.close_reason = error.close_reason();
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(reason) = queue.finished.clone() {
            this.ended = true;
            this.received_close = reason;
            return Poll::Ready(None);
        }
        queue.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Sink<Frame> for PairTransport {
    type Error = NetError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        let this = self.get_mut();
        if this.unflushed_cost >= this.limits.write_buffer
            && let Poll::Ready(Err(error)) = this.poll_transfer(cx)
        {
            return Poll::Ready(Err(error));
        }
        if this.unflushed_cost < this.limits.write_buffer {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn start_send(self: Pin<&mut Self>, frame: Frame) -> Result<(), NetError> {
        let this = self.get_mut();
        if this.closing || lock(&this.outgoing).reader_dropped {
            return Err(NetError::Closed);
        }
        this.unflushed_cost += cost(&frame);
        this.unflushed.push_back(frame);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        self.get_mut().poll_transfer(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        let this = self.get_mut();
        this.closing = true;
        core::task::ready!(this.poll_transfer(cx))?;
        let mut queue = lock(&this.outgoing);
        queue.finished.get_or_insert_with(|| Some(this.close_reason.clone()));
        wake(&mut queue.reader);
        Poll::Ready(Ok(()))
    }
}

impl Transport for PairTransport {
    fn set_close_reason(&mut self, reason: CloseReason) {
        self.close_reason = reason;
    }

    fn received_close(&self) -> Option<&CloseReason> {
        self.received_close.as_ref()
    }

    fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
    }
}

impl Drop for PairTransport {
    fn drop(&mut self) {
        let mut outgoing = lock(&self.outgoing);
        outgoing.finished.get_or_insert(None);
        wake(&mut outgoing.reader);
        drop(outgoing);
        let mut incoming = lock(&self.incoming);
        incoming.reader_dropped = true;
        incoming.frames.clear();
        incoming.cost = 0;
        wake(&mut incoming.writer);
    }
}

impl fmt::Debug for PairTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairTransport")
            .field("unflushed", &self.unflushed.len())
            .finish_non_exhaustive()
    }
}
