//! The memory for large messages while they are received and stored, of all connections.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use logux_net::AnnouncedFrame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Messages of at most this size are received without a permit, in bytes.
pub(crate) const FREE_BYTES: usize = 64 * 1024;

/// The largest message that takes its permit from the smaller part of the budget, in bytes. So
/// ordinary messages do not wait for long backlogs.
const MEDIUM_BYTES: usize = 1024 * 1024;

/// The medium messages of one user at the same time, in bytes.
const MEDIUM_BYTES_PER_USER: usize = 8 * MEDIUM_BYTES;

/// The unit of the permits, in bytes.
const UNIT: usize = 1024;

/// The slowest progress of a large message while others wait for the budget, in bytes per second.
const MIN_SPEED: usize = 32 * 1024;

/// The memory for large messages. A connection acquires the size of a message before it reads the
/// message, and keeps the permit until the message is confirmed. Others wait, without reading.
///
/// A user has a share of the budget: all of its clients together have one message of the largest
/// size at a time. Permits are acquired from the user's share first, and medium ones before large
/// ones, so connections cannot block each other.
#[derive(Debug)]
pub(crate) struct ReceiveBudget {
    all: Share,
    /// The largest message, in bytes.
    max_message: usize,
    users: Mutex<HashMap<Arc<str>, Weak<Share>>>,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct Share {
    medium: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// The permission to receive a large message.
#[derive(Debug)]
pub(crate) struct ReceivePermit {
    bytes: usize,
    _of_user: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
    /// Keeps the share of the user.
    _share: Arc<Share>,
}

impl Share {
    fn new(medium: usize, large: usize) -> Self {
        Self {
            medium: Arc::new(Semaphore::new(units(medium))),
            large: Arc::new(Semaphore::new(units(large))),
        }
    }

    async fn acquire(&self, bytes: usize) -> OwnedSemaphorePermit {
        let semaphore = if bytes > MEDIUM_BYTES { &self.large } else { &self.medium };
        let units = u32::try_from(units(bytes)).unwrap_or(u32::MAX);
        semaphore.clone().acquire_many_owned(units).await.expect("the semaphore is never closed")
    }
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT).min(Semaphore::MAX_PERMITS)
}

/// Counts a connection that waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ReceiveBudget {
    /// Creates a budget of `bytes` bytes for messages of at most `max_message` bytes. One message
    /// of that size is always possible.
    pub(crate) fn new(bytes: usize, max_message: usize) -> Self {
        let medium = (bytes / 4).max(MEDIUM_BYTES);
        let large = bytes.saturating_sub(medium).max(max_message);
        Self {
            all: Share::new(medium, large),
            max_message,
            users: Mutex::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Waits until there is memory for a message of a user.
    pub(crate) async fn acquire(&self, user: Arc<str>, frame: AnnouncedFrame) -> ReceivePermit {
        let bytes = self.reserved(frame);
        let share = self.share(user);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        let of_user = share.acquire(bytes).await;
        let of_all = self.all.acquire(bytes).await;
        drop(waiting);
        ReceivePermit { bytes, _of_user: of_user, _of_all: of_all, _share: share }
    }

    /// Returns the number of bytes to reserve. The size of a fragmented message is not known, so
    /// the largest of its kind is reserved.
    fn reserved(&self, frame: AnnouncedFrame) -> usize {
        match frame.bytes {
            bytes if !frame.may_grow => bytes,
            bytes if bytes <= MEDIUM_BYTES => MEDIUM_BYTES.min(self.max_message),
            _ => self.max_message,
        }
    }

    /// Whether connections wait for permits.
    pub(crate) fn is_contended(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    fn share(&self, user: Arc<str>) -> Arc<Share> {
        // A poisoned lock is consistent: every change is one call.
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = users.get(&user).and_then(Weak::upgrade) {
            return share;
        }
        users.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Share::new(MEDIUM_BYTES_PER_USER, self.max_message));
        users.insert(user, Arc::downgrade(&share));
        share
    }
}

impl ReceivePermit {
    /// Whether the permit is for a frame of this size.
    pub(crate) const fn covers(&self, frame: AnnouncedFrame) -> bool {
        frame.bytes <= self.bytes
    }

    /// Returns the longest time in which the message has to be received while others wait.
    pub(crate) fn max_duration(&self, timeout: Duration) -> Duration {
        timeout + Duration::from_secs((self.bytes / MIN_SPEED) as u64)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn frame(bytes: usize) -> AnnouncedFrame {
        AnnouncedFrame { bytes, may_grow: false }
    }

    fn acquire(budget: &ReceiveBudget, user: &str, frame: AnnouncedFrame) -> Option<ReceivePermit> {
        budget.acquire(user.into(), frame).now_or_never()
    }

    #[test]
    fn a_user_cannot_take_the_memory_of_others() {
        let budget = ReceiveBudget::new(256 * MIB, 64 * MIB);
        let first = acquire(&budget, "10", frame(40 * MIB));
        assert!(first.is_some() && acquire(&budget, "10", frame(40 * MIB)).is_none());
        assert!(acquire(&budget, "20", frame(64 * MIB)).is_some());
        assert!(acquire(&budget, "10", frame(MIB)).is_some(), "small messages have their own part");
        drop(first);
        assert!(acquire(&budget, "10", frame(40 * MIB)).is_some());
    }

    #[test]
    fn the_whole_is_bounded_and_others_wait() {
        let budget = ReceiveBudget::new(256 * MIB, 64 * MIB);
        let mut permits: Vec<_> = (0..3)
            .map(|user: u32| acquire(&budget, &user.to_string(), frame(64 * MIB)).expect("memory"))
            .collect();
        let mut waiting = Box::pin(budget.acquire("9".into(), frame(2 * MIB)));
        assert!((&mut waiting).now_or_never().is_none() && budget.is_contended());
        permits.pop();
        assert!(waiting.now_or_never().is_some() && !budget.is_contended());
        assert_eq!(budget.users.lock().expect("a lock").len(), 4);
        drop(permits);
        drop(acquire(&budget, "8", frame(MIB)));
        drop(acquire(&budget, "7", frame(MIB)));
        assert_eq!(budget.users.lock().expect("a lock").len(), 1, "idle users need no memory");
    }

    #[test]
    fn a_fragmented_message_reserves_what_it_may_need() {
        let budget = ReceiveBudget::new(0, 64 * MIB);
        let growing = |bytes| AnnouncedFrame { bytes, may_grow: true };
        let medium = acquire(&budget, "10", growing(100_000)).expect("memory");
        assert!(medium.covers(growing(MIB)) && !medium.covers(growing(MIB + 1)));
        let large = acquire(&budget, "10", growing(2 * MIB)).expect("memory");
        assert!(large.covers(frame(64 * MIB)));
        assert!(acquire(&budget, "20", frame(2 * MIB)).is_none());
    }
}
