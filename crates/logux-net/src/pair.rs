//! Two ends in one process.

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

use crate::{CloseReason, Frame, Limits, NetError, Transport};

/// What a frame costs beside its text, so that empty frames fill the buffer too.
const FRAME_COST: usize = 32;

/// Two connected transports without a network, for tests and for nodes that live in one process.
///
/// It behaves as a socket would: a frame is on its way only after a flush, and each direction holds
/// [`Limits::write_buffer`] bytes before the writer has to wait. Frames are shared, not copied.
///
/// ```
/// # use futures_util::{SinkExt, StreamExt};
/// # tokio_test(async {
/// let (mut client, mut server) = logux_net::pair(logux_net::Limits::default());
/// client.send(r#"["ping",1]"#.into()).await?;
/// assert_eq!(server.next().await.expect("a frame")?, r#"["ping",1]"#);
/// # Ok(()) });
/// # fn tokio_test(test: impl Future<Output = Result<(), logux_net::NetError>>) {
/// #     tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(test).expect("no error");
/// # }
/// ```
pub fn pair(limits: Limits) -> (PairTransport, PairTransport) {
    let (there, back) =
        (Arc::new(Mutex::new(Lane::default())), Arc::new(Mutex::new(Lane::default())));
    let end = |outgoing: &Shared, incoming: &Shared| PairTransport {
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
    (end(&there, &back), end(&back, &there))
}

/// One end of a [`pair`].
pub struct PairTransport {
    limits: Limits,
    outgoing: Shared,
    incoming: Shared,
    unflushed: VecDeque<Frame>,
    unflushed_cost: usize,
    closing: bool,
    ended: bool,
    close_reason: CloseReason,
    received_close: Option<CloseReason>,
}

type Shared = Arc<Mutex<Lane>>;

/// One direction.
#[derive(Default)]
struct Lane {
    frames: VecDeque<Frame>,
    cost: usize,
    /// No more frames will come: `Some` with the reason if the writer said goodbye.
    finished: Option<Option<CloseReason>>,
    /// Nobody will read any more.
    abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

fn cost(frame: &Frame) -> usize {
    frame.len() + FRAME_COST
}

/// A lane is whole between any two statements that could panic, so a poisoned lock is as good as any.
fn lock(lane: &Shared) -> MutexGuard<'_, Lane> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl PairTransport {
    /// Puts on its way what fits. Pending while something is left.
    fn poll_move(&mut self, cx: &Context<'_>) -> Poll<Result<(), NetError>> {
        if self.unflushed.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut lane = lock(&self.outgoing);
        if lane.abandoned {
            return Poll::Ready(Err(NetError::Closed));
        }
        while lane.cost < self.limits.write_buffer {
            let Some(frame) = self.unflushed.pop_front() else { break };
            self.unflushed_cost -= cost(&frame);
            lane.cost += cost(&frame);
            lane.frames.push_back(frame);
        }
        wake(&mut lane.reader);
        if self.unflushed.is_empty() {
            return Poll::Ready(Ok(()));
        }
        lane.writer = Some(cx.waker().clone());
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
        let mut lane = lock(&this.incoming);
        if let Some(frame) = lane.frames.pop_front() {
            lane.cost -= cost(&frame);
            wake(&mut lane.writer);
            if frame.len() <= this.limits.max_frame {
                return Poll::Ready(Some(Ok(frame)));
            }
            drop(lane);
            this.ended = true;
            let error = NetError::FrameTooLarge { limit: this.limits.max_frame };
            this.close_reason = error.close_reason();
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(reason) = lane.finished.clone() {
            this.ended = true;
            this.received_close = reason;
            return Poll::Ready(None);
        }
        lane.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Sink<Frame> for PairTransport {
    type Error = NetError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        let this = self.get_mut();
        if this.unflushed_cost >= this.limits.write_buffer
            && let Poll::Ready(Err(error)) = this.poll_move(cx)
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
        if this.closing || lock(&this.outgoing).abandoned {
            return Err(NetError::Closed);
        }
        this.unflushed_cost += cost(&frame);
        this.unflushed.push_back(frame);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        self.get_mut().poll_move(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        let this = self.get_mut();
        this.closing = true;
        core::task::ready!(this.poll_move(cx))?;
        let mut lane = lock(&this.outgoing);
        lane.finished.get_or_insert_with(|| Some(this.close_reason.clone()));
        wake(&mut lane.reader);
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
}

impl Drop for PairTransport {
    fn drop(&mut self) {
        let mut outgoing = lock(&self.outgoing);
        outgoing.finished.get_or_insert(None);
        wake(&mut outgoing.reader);
        drop(outgoing);
        let mut incoming = lock(&self.incoming);
        incoming.abandoned = true;
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
