//! The bounded queue of outputs from the hub to one connection.
//!
//! What other clients cause counts against a limit: a client that reads too slowly loses its
//! connection, so it does not cost memory. What the client itself has requested does not count: the
//! sender of a load waits with [`Outbox::room`] until the client has read the previous part.

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
use tokio::sync::Notify;

/// The number of requested items at which their sender has to wait.
const ROOM_ITEMS: usize = 256;

/// The approximate size of a confirmation of a batch, in bytes.
const CONFIRMATION_BYTES: usize = 32;

/// The size of requested items at which their sender has to wait, in bytes.
const ROOM_BYTES: usize = 64 * 1024;

/// An output of the hub to one connection.
#[derive(Debug)]
pub(crate) enum OutboxItem {
    /// Send actions that the client missed. If there are more, the hub sends them when it is asked.
    Missed { added: u64, entries: Vec<Arc<Entry>>, has_more: bool },
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
    /// Whether the client itself has requested it, so that it does not count against the limits.
    pub(crate) is_requested: bool,
}

/// The bounds of the items that other clients cause: their largest number, and their approximate
/// size in bytes.
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
    /// Wakes the senders of requested items when there may be room for more, or never again.
    room: Notify,
    limits: OutboxLimits,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<OutboxItem>,
    /// The items that the client itself has requested.
    requested: Level,
    /// The other items, which the limits apply to.
    others: Level,
    /// The items that confirm batches of the client.
    confirmations: usize,
    /// Whether senders do not wait for room any more, because the server stops.
    is_stopping: bool,
    close: Option<CloseReason>,
    /// The number of items and bytes when a limit was exceeded.
    overflow: Option<(usize, usize)>,
}

/// A number of items and their approximate size in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    items: usize,
    bytes: usize,
}

impl Queue {
    fn level_of(&mut self, item: &OutboxItem) -> &mut Level {
        if item.is_requested() { &mut self.requested } else { &mut self.others }
    }

    const fn has_room(&self) -> bool {
        self.requested.items < ROOM_ITEMS && self.requested.bytes < ROOM_BYTES
    }
}

/// A client cannot be sent anything any more: its connection has ended, or the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReaderGone;

impl Outbox {
    pub(crate) fn new(limits: OutboxLimits) -> Self {
        Self {
            queue: Mutex::default(),
            has_changed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            room: Notify::new(),
            limits,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A poisoned lock is consistent: no change of the queue can panic halfway.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves all items to the queue. If those of other clients then exceed a limit, drops the queue
    /// and closes the connection as a slow reader. So it does with a client that goes on to request
    /// answers although it does not read the earlier ones.
    pub(crate) fn push(&self, items: &mut VecDeque<OutboxItem>) {
        let mut queue = self.queue();
        if queue.close.is_some() {
            return items.clear();
        }
        let unread = queue.requested;
        for item in &*items {
            let level = queue.level_of(item);
            level.items += 1;
            level.bytes += item.bytes();
            queue.confirmations += usize::from(matches!(item, OutboxItem::Persisted(_)));
        }
        if queue.items.is_empty() {
            std::mem::swap(&mut queue.items, items);
        } else {
            queue.items.append(items);
        }
        let others = queue.others;
        let too_many = others.items > self.limits.items;
        // A single item may be larger than the limit.
        let overflow = if too_many || others.bytes > self.limits.bytes && others.items > 1 {
            Some(others)
        } else if queue.requested.items > unread.items && self.has_too_many_answers(unread) {
            Some(queue.requested)
        } else {
            None
        };
        if let Some(Level { items, bytes }) = overflow {
            let overflow = Some((items, bytes));
            *queue = Queue { close: Some(CloseReason::SlowReader), overflow, ..Queue::default() };
        }
        let is_closed = queue.close.is_some();
        drop(queue);
        if is_closed {
            self.room.notify_waiters();
        }
        self.wake();
    }

    /// Whether a client has left so many answers unread that it may not request more. Only answers
    /// that no handler gives can be so many: those of handlers, and states, wait for
    /// [`room`](Self::room).
    fn has_too_many_answers(&self, unread: Level) -> bool {
        unread.items > self.limits.items.max(16 * ROOM_ITEMS)
            || unread.bytes > self.limits.bytes.max(16 * ROOM_BYTES)
    }

    /// Waits until the client has read so much of what it has requested that more can be sent to
    /// it. Returns at once if it has.
    ///
    /// # Errors
    /// If the connection is closed, or the server stops.
    pub(crate) async fn room(&self) -> Result<(), ReaderGone> {
        loop {
            let mut notified = std::pin::pin!(self.room.notified());
            // Before the check, so that no notification is lost.
            notified.as_mut().enable();
            {
                let queue = self.queue();
                if queue.close.is_some() || queue.is_stopping {
                    return Err(ReaderGone);
                }
                if queue.has_room() {
                    return Ok(());
                }
            }
            notified.await;
        }
    }

    /// Waits until the connection is closed or the server stops.
    pub(crate) async fn gone(&self) {
        loop {
            let mut notified = std::pin::pin!(self.room.notified());
            notified.as_mut().enable();
            {
                let queue = self.queue();
                if queue.close.is_some() || queue.is_stopping {
                    return;
                }
            }
            notified.await;
        }
    }

    /// Ends the waiting for room, now and later: the server stops.
    pub(crate) fn stop(&self) {
        self.queue().is_stopping = true;
        self.room.notify_waiters();
    }

    /// Closes the connection after all queued items.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.queue().close.get_or_insert(reason);
        self.room.notify_waiters();
        self.wake();
    }

    /// Drops the queued items and closes the connection at once.
    pub(crate) fn abort(&self) {
        *self.queue() = Queue { close: Some(CloseReason::SlowReader), ..Queue::default() };
        self.room.notify_waiters();
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
        let had_room = queue.has_room();
        let taken = if queue.items.len() <= limit {
            (queue.requested, queue.others, queue.confirmations) = Default::default();
            // Takes the allocation too: an idle connection needs no memory for it.
            std::mem::take(&mut queue.items)
        } else {
            let taken: VecDeque<_> = queue.items.drain(..limit).collect();
            for item in &taken {
                let level = queue.level_of(item);
                level.items -= 1;
                level.bytes -= item.bytes();
                queue.confirmations -= usize::from(matches!(item, OutboxItem::Persisted(_)));
            }
            taken
        };
        let has_more_room = !had_room && queue.has_room();
        drop(queue);
        if has_more_room {
            self.room.notify_waiters();
        }
        taken
    }

    /// Takes the confirmations of batches, for a connection that can send nothing else: the client
    /// has to confirm earlier messages first, and may be unable to before its own are confirmed.
    pub(crate) fn take_confirmations(&self) -> Vec<BatchToken> {
        let mut queue = self.queue();
        if std::mem::take(&mut queue.confirmations) == 0 {
            return Vec::new();
        }
        let mut taken = Vec::new();
        for item in std::mem::take(&mut queue.items) {
            match item {
                OutboxItem::Persisted(batch) => {
                    queue.requested.items -= 1;
                    queue.requested.bytes -= CONFIRMATION_BYTES;
                    taken.push(batch);
                }
                item => queue.items.push_back(item),
            }
        }
        taken
    }

    /// Returns the number of queued items and their approximate size in bytes.
    pub(crate) fn level(&self) -> (usize, usize) {
        let queue = self.queue();
        (queue.items.len(), queue.requested.bytes + queue.others.bytes)
    }

    /// Returns why the connection is to be closed, if it is and the queue is empty.
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        let queue = self.queue();
        queue.close.clone().filter(|_| queue.items.is_empty())
    }
}

impl OutboxItem {
    /// Returns `true` if the client itself has requested it.
    const fn is_requested(&self) -> bool {
        match self {
            Self::Missed { .. } | Self::Replay { .. } | Self::Persisted(_) => true,
            Self::Deliver(delivery) => delivery.is_requested,
            Self::Debug(_) | Self::Reject => false,
        }
    }

    /// Returns the approximate size on the wire.
    fn bytes(&self) -> usize {
        let entry_bytes = |entry: &Entry| entry.action.as_json().len() + 64;
        match self {
            Self::Missed { entries, .. } | Self::Replay { entries, .. } => {
                entries.iter().map(|entry| entry_bytes(entry)).sum()
            }
            Self::Persisted(_) | Self::Reject => CONFIRMATION_BYTES,
            Self::Deliver(delivery) => entry_bytes(&delivery.entry),
            Self::Debug(text) => text.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use logux::testing::batch;

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
    fn requested_items_do_not_count_until_they_are_far_too_many() {
        let outbox = Outbox::new(OutboxLimits { items: 2, bytes: 20 });
        let answers = |count| (0..count).map(|_| OutboxItem::Persisted(batch())).collect();
        for _ in 0..16 {
            outbox.push(&mut answers(ROOM_ITEMS));
        }
        outbox.push(&mut answers(1));
        assert!(outbox.close_reason().is_none());
        assert!(outbox.room().now_or_never().is_none(), "senders of states wait");
        outbox.push(&mut answers(1));
        assert_eq!(outbox.close_reason(), Some(CloseReason::SlowReader));
        assert_eq!(outbox.room().now_or_never(), Some(Err(ReaderGone)));
    }

    #[test]
    fn confirmations_can_be_taken_alone() {
        let outbox = Outbox::new(OutboxLimits { items: 9, bytes: 999 });
        outbox.push(&mut [item(), OutboxItem::Persisted(batch()), item()].into());
        assert_eq!(outbox.take_confirmations().len(), 1);
        assert_eq!((outbox.take_confirmations().len(), outbox.level()), (0, (2, 20)));
        assert_eq!(outbox.take(9).len(), 2);
        assert_eq!(outbox.level(), (0, 0));
    }

    #[test]
    fn there_is_room_again_when_the_connection_has_taken_items() {
        let outbox = Outbox::new(OutboxLimits { items: 2, bytes: 20 });
        outbox.push(&mut (0..ROOM_ITEMS).map(|_| OutboxItem::Persisted(batch())).collect());
        let mut room = std::pin::pin!(outbox.room());
        assert!(room.as_mut().now_or_never().is_none());
        assert_eq!(outbox.take(10).len(), 10);
        assert_eq!(room.now_or_never(), Some(Ok(())));
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
