//! The bounded queue of outputs from the hub to one connection. A client that reads too slowly
//! loses its connection, so it does not cost memory.

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

/// An output of the hub to one connection.
#[derive(Debug)]
pub(crate) enum OutboxItem {
    /// The client has joined: send the actions that it missed.
    Joined { added: u64, missed: Vec<Arc<Entry>> },
    /// Confirm a batch.
    Persisted(BatchToken),
    /// Send an action.
    Deliver(Delivery),
    /// Send the kept actions of a channel.
    Replay { added: u64, entries: Vec<Arc<Entry>> },
    /// Send a `debug` message.
    Debug(String),
    /// Send the error `wrong-credentials`, and close the connection.
    Reject,
}

/// One action for one client.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// The added number up to which the client then has received everything.
    pub(crate) added: u64,
    pub(crate) entry: Arc<Entry>,
    /// Whether the hub waits for the client's confirmation.
    pub(crate) confirm: bool,
}

/// The bounds of an outbox: the largest number of items, and their approximate size in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutboxLimits {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

/// A bounded queue from the hub to one connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// Whether the outbox has changed since [`changed`](Self::changed) last returned.
    has_changed: AtomicBool,
    waker: AtomicWaker,
    limits: OutboxLimits,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<OutboxItem>,
    bytes: usize,
    close: Option<CloseReason>,
    /// The number of items and bytes when a limit was exceeded.
    overflow: Option<(usize, usize)>,
}

impl Outbox {
    pub(crate) fn new(limits: OutboxLimits) -> Self {
        Self {
            queue: Mutex::default(),
            has_changed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            limits,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A poisoned lock is consistent: no change of the queue can panic halfway.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves all items to the queue. If that exceeds a limit, drops the queue and closes the
    /// connection as a slow reader.
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
        // A single item may be larger than the limit, so that a large state can be loaded.
        if too_many || queue.bytes > self.limits.bytes && queue.items.len() > 1 {
            let overflow = Some((queue.items.len(), queue.bytes));
            *queue = Queue { close: Some(CloseReason::SlowReader), overflow, ..Queue::default() };
        }
        drop(queue);
        self.wake();
    }

    /// Closes the connection after all queued items.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.queue().close.get_or_insert(reason);
        self.wake();
    }

    /// Drops the queued items and closes the connection at once.
    pub(crate) fn abort(&self) {
        *self.queue() = Queue { close: Some(CloseReason::SlowReader), ..Queue::default() };
        self.wake();
    }

    /// Returns the number of items and bytes that exceeded a limit, if one was exceeded.
    pub(crate) fn overflow(&self) -> Option<(usize, usize)> {
        self.queue().overflow
    }

    fn wake(&self) {
        self.has_changed.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Waits until items are pushed or the connection is to be closed. Only one task may wait: that
    /// of the connection.
    pub(crate) async fn changed(&self) {
        poll_fn(|context| {
            let has_changed = || self.has_changed.swap(false, Ordering::Acquire);
            if has_changed() {
                return Poll::Ready(());
            }
            self.waker.register(context.waker());
            // The change may have happened before the waker was registered.
            if has_changed() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Waits until the connection is to be closed and the queue is empty.
    pub(crate) async fn closed(&self) -> CloseReason {
        loop {
            if let Some(reason) = self.close_reason() {
                return reason;
            }
            self.changed().await;
        }
    }

    /// Takes the next items, at most `limit`.
    pub(crate) fn take(&self, limit: usize) -> VecDeque<OutboxItem> {
        let mut queue = self.queue();
        if queue.items.len() <= limit {
            // Takes the allocation too: an idle connection needs no memory for it.
            queue.bytes = 0;
            return std::mem::take(&mut queue.items);
        }
        let taken: VecDeque<_> = queue.items.drain(..limit).collect();
        queue.bytes -= taken.iter().map(OutboxItem::bytes).sum::<usize>();
        taken
    }

    /// Returns the number of queued items and their approximate size in bytes.
    pub(crate) fn level(&self) -> (usize, usize) {
        let queue = self.queue();
        (queue.items.len(), queue.bytes)
    }

    /// Returns why the connection is to be closed, if it is and the queue is empty.
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        let queue = self.queue();
        queue.close.clone().filter(|_| queue.items.is_empty())
    }
}

impl OutboxItem {
    /// Returns the approximate size on the wire.
    fn bytes(&self) -> usize {
        let entry_bytes = |entry: &Entry| entry.action.as_json().len() + 64;
        match self {
            Self::Joined { missed: entries, .. } | Self::Replay { entries, .. } => {
                entries.iter().map(|entry| entry_bytes(entry)).sum()
            }
            Self::Persisted(_) | Self::Reject => 32,
            Self::Deliver(delivery) => entry_bytes(&delivery.entry),
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
    fn exceeding_a_limit_closes_the_connection() {
        for limits in
            [OutboxLimits { items: 2, bytes: 1000 }, OutboxLimits { items: 100, bytes: 20 }]
        {
            let outbox = Outbox::new(limits);
            outbox.push(&mut [item(), item()].into());
            assert!(outbox.close_reason().is_none());
            outbox.push(&mut [item()].into());
            assert!(outbox.take(9).is_empty());
            assert_eq!(outbox.close_reason(), Some(CloseReason::SlowReader));
            assert_eq!(outbox.overflow(), Some((3, 30)));
        }
    }

    #[test]
    fn queued_items_precede_the_close() {
        let outbox = Outbox::new(OutboxLimits { items: 9, bytes: 99 });
        outbox.push(&mut [item()].into());
        outbox.close(CloseReason::Shutdown);
        assert!(outbox.close_reason().is_none());
        assert_eq!(outbox.take(9).len(), 1);
        assert_eq!(outbox.close_reason(), Some(CloseReason::Shutdown));
    }
}
