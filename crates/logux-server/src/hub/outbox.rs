//! What waits to be sent to one client, with a bound: a slow reader costs its connection, not the server.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use futures_util::task::AtomicWaker;
use logux::{Entry, sync::BatchToken};
use logux_net::CloseReason;

/// Something for one connection to do.
#[derive(Debug)]
pub(crate) enum OutboxItem {
    /// The client is in; send what it missed.
    Joined { added: u64, missed: Vec<Arc<Entry>> },
    /// Confirm a batch.
    Persisted(BatchToken),
    /// Send an action.
    Deliver(Delivery),
    /// Send what was kept of a channel.
    Replay { added: u64, entries: Vec<Arc<Entry>> },
    /// Show the developer a text.
    Debug(String),
}

/// One action for one client.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// The number up to which the client has everything then.
    pub(crate) added: u64,
    pub(crate) entry: Arc<Entry>,
    /// Whether the hub waits for the confirmation.
    pub(crate) confirm: bool,
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutboxLimits {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

/// A bounded queue from the hub to one connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// Whether something has come since the connection was told last.
    is_filled: AtomicBool,
    waker: AtomicWaker,
    limits: OutboxLimits,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<OutboxItem>,
    bytes: usize,
    close: Option<CloseReason>,
    /// How many parcels and bytes there were when it was too much.
    overflow: Option<(usize, usize)>,
}

impl Outbox {
    pub(crate) fn new(limits: OutboxLimits) -> Self {
        Self {
            queue: Mutex::default(),
            is_filled: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            limits,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A panic of another holder leaves the queue whole: every change is one call.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds parcels, and leaves none. Beyond the bound the queue is dropped and the connection is to be closed.
    pub(crate) fn push(&self, items: &mut VecDeque<OutboxItem>) {
        let mut queue = self.queue();
        if queue.close.is_some() {
            return items.clear();
        }
        queue.bytes += items.iter().map(OutboxItem::bytes).sum::<usize>();
        if queue.items.is_empty() {
            std::mem::swap(&mut queue.items, items);
        } else {
            queue.items.append(items);
        }
        let too_many = queue.items.len() > self.limits.items;
        // One load larger than the bound has to be possible when nothing else waits.
        if too_many || queue.bytes > self.limits.bytes && queue.items.len() > 1 {
            let overflow = Some((queue.items.len(), queue.bytes));
            *queue = Queue { close: Some(CloseReason::SlowReader), overflow, ..Queue::default() };
        }
        drop(queue);
        self.wake();
    }

    /// The connection is to be closed, as soon as it has done what waits.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.queue().close.get_or_insert(reason);
        self.wake();
    }

    /// The connection is to be closed at once, whatever waits.
    pub(crate) fn cut(&self) {
        *self.queue() = Queue { close: Some(CloseReason::SlowReader), ..Queue::default() };
        self.wake();
    }

    /// How many parcels and bytes waited when the bound was passed, if it was.
    pub(crate) fn overflow(&self) -> Option<(usize, usize)> {
        self.queue().overflow
    }

    fn wake(&self) {
        self.is_filled.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Waits until there is something to [`take`](Self::take). Only one task may wait: that of the connection.
    pub(crate) async fn filled(&self) {
        poll_fn(|context| {
            let is_filled = || self.is_filled.swap(false, Ordering::Acquire);
            if is_filled() {
                return Poll::Ready(());
            }
            self.waker.register(context.waker());
            // It may have come between the two.
            if is_filled() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Waits until the connection is to be closed, and nothing waits.
    pub(crate) async fn closed(&self) -> CloseReason {
        loop {
            if let Some(reason) = self.closing() {
                return reason;
            }
            self.filled().await;
        }
    }

    /// The next parcels, at most so many.
    pub(crate) fn take(&self, most: usize) -> VecDeque<OutboxItem> {
        let mut queue = self.queue();
        if queue.items.len() <= most {
            // With the room that they take: an idle connection needs none.
            queue.bytes = 0;
            return std::mem::take(&mut queue.items);
        }
        let taken: VecDeque<_> = queue.items.drain(..most).collect();
        queue.bytes -= taken.iter().map(OutboxItem::bytes).sum::<usize>();
        taken
    }

    /// How many parcels wait, and about how many bytes.
    pub(crate) fn level(&self) -> (usize, usize) {
        let queue = self.queue();
        (queue.items.len(), queue.bytes)
    }

    /// Why the connection is to be closed, if it is, once nothing waits.
    pub(crate) fn closing(&self) -> Option<CloseReason> {
        let queue = self.queue();
        queue.close.clone().filter(|_| queue.items.is_empty())
    }
}

impl OutboxItem {
    /// About what it will take on the wire.
    fn bytes(&self) -> usize {
        let of = |entry: &Entry| entry.action.as_json().len() + 64;
        match self {
            Self::Joined { missed: entries, .. } | Self::Replay { entries, .. } => {
                entries.iter().map(|entry| of(entry)).sum()
            }
            Self::Persisted(_) => 32,
            Self::Deliver(delivery) => of(&delivery.entry),
            Self::Debug(text) => text.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> OutboxItem {
        OutboxItem::Debug("x".repeat(10))
    }

    #[test]
    fn closes_beyond_the_bound() {
        for limits in
            [OutboxLimits { items: 2, bytes: 1000 }, OutboxLimits { items: 100, bytes: 20 }]
        {
            let outbox = Outbox::new(limits);
            outbox.push(&mut [item(), item()].into());
            assert!(outbox.closing().is_none());
            outbox.push(&mut [item()].into());
            assert!(outbox.take(9).is_empty());
            assert_eq!(outbox.closing(), Some(CloseReason::SlowReader));
            assert_eq!(outbox.overflow(), Some((3, 30)));
        }
    }

    #[test]
    fn closes_after_what_waits() {
        let outbox = Outbox::new(OutboxLimits { items: 9, bytes: 99 });
        outbox.push(&mut [item()].into());
        outbox.close(CloseReason::Shutdown);
        assert!(outbox.closing().is_none());
        assert_eq!(outbox.take(9).len(), 1);
        assert_eq!(outbox.closing(), Some(CloseReason::Shutdown));
    }
}
