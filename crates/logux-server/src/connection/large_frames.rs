//! The large frames of one connection: their permits, and their progress.

use std::{collections::VecDeque, future::Future, pin::Pin, sync::Arc, time::Duration};

use logux::MonoTime;
use logux_net::AnnouncedFrame;

use crate::connection::{receive_budget::ReceivePermit, shared::ConnectionShared};

/// How often the progress of an incomplete frame is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The large frames of a connection, which need a permit of the
/// [`ReceiveBudget`](crate::connection::receive_budget::ReceiveBudget).
#[derive(Default)]
pub(crate) struct LargeFrames {
    /// The permit that the announced frame waits for.
    acquiring: Option<Pin<Box<dyn Future<Output = Box<ReceivePermit>> + Send>>>,
    /// The permit of the frame that is received, and the time since which it is received.
    receiving: Option<(Box<ReceivePermit>, MonoTime)>,
    /// The permits of the received `sync` messages that are not confirmed, oldest first.
    unconfirmed: VecDeque<Option<Box<ReceivePermit>>>,
    /// The received bytes of the frame at the last check, and the time of the next check.
    checked_bytes: usize,
    next_check: Option<MonoTime>,
}

/// The progress of an incomplete frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is no incomplete frame, or nothing has changed.
    None,
    /// More was received, or the frame waits for its permit.
    More,
    /// The frame takes too long, and other connections wait for its memory.
    TooSlow,
}

impl LargeFrames {
    /// Handles an announced frame of a user. Returns `true` if it may be received now, `false` if
    /// it has to wait for [`acquired`](Self::acquired).
    pub(crate) fn announced(
        &mut self,
        shared: &Arc<ConnectionShared>,
        user: &str,
        frame: AnnouncedFrame,
    ) -> bool {
        if self.receiving.as_ref().is_some_and(|(permit, _)| permit.covers(frame)) {
            return true;
        }
        if self.acquiring.is_none() {
            let (shared, user) = (shared.clone(), user.into());
            self.acquiring = Some(Box::pin(async move {
                Box::new(shared.receive_budget.acquire(user, frame).await)
            }));
        }
        false
    }

    /// Waits until the announced frame may be received. Never returns if there is none. Cancel
    /// safe.
    pub(crate) async fn acquired(&mut self) -> Box<ReceivePermit> {
        match &mut self.acquiring {
            Some(acquiring) => acquiring.await,
            None => std::future::pending().await,
        }
    }

    /// Records that the announced frame has its permit.
    pub(crate) fn start(&mut self, permit: Box<ReceivePermit>, now: MonoTime) {
        self.acquiring = None;
        self.receiving = Some((permit, now));
    }

    pub(crate) const fn is_waiting(&self) -> bool {
        self.acquiring.is_some()
    }

    /// Records that a frame was received completely: it has brought `messages` messages that have
    /// to be confirmed, one or none.
    pub(crate) fn received(&mut self, messages: usize) {
        let mut permit = self.receiving.take().map(|(permit, _)| permit);
        for _ in 0..messages {
            self.unconfirmed.push_back(permit.take());
        }
    }

    /// Releases the permits of all but the last `unconfirmed` messages.
    pub(crate) fn confirmed(&mut self, unconfirmed: usize) {
        while self.unconfirmed.len() > unconfirmed {
            self.unconfirmed.pop_front();
        }
        if self.unconfirmed.is_empty() {
            self.unconfirmed = VecDeque::new();
        }
    }

    /// Returns the time of the next [`check`](Self::check).
    pub(crate) const fn next_check(&self) -> Option<MonoTime> {
        self.next_check
    }

    /// Checks the progress of the frame of which `received` bytes were received.
    pub(crate) fn check(
        &mut self,
        shared: &ConnectionShared,
        now: MonoTime,
        received: usize,
    ) -> Progress {
        if received == 0 && !self.is_waiting() {
            self.next_check = None;
            return Progress::None;
        }
        if self.next_check.is_some_and(|at| now < at) {
            return Progress::None;
        }
        let is_first = self.next_check.replace(now.after(CHECK_INTERVAL)).is_none();
        let has_grown = std::mem::replace(&mut self.checked_bytes, received) != received;
        let is_too_slow = self.receiving.as_ref().is_some_and(|(permit, since)| {
            since.after(permit.max_duration(shared.auth_timeout)) < now
        });
        if is_too_slow && shared.receive_budget.is_contended() {
            return Progress::TooSlow;
        }
        if !is_first && (has_grown || self.is_waiting()) { Progress::More } else { Progress::None }
    }
}
