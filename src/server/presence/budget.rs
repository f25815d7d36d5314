//! How much presence each connection is sent.

use core::time::Duration;

use crate::{
    server::{Rate, SessionId, SessionMap, TokenBucket},
    time::MonoTime,
};

/// The time between two actions to one connection: 5 in a second.
pub(super) const BATCH_INTERVAL: Duration = Duration::from_millis(200);

/// The bytes of states that a connection is sent in a second.
const BYTES_PER_SECOND: u32 = 16 * 1024;

/// The size of one action, in bytes. Its last state may exceed it.
pub(super) const BATCH_BYTES: usize = BYTES_PER_SECOND as usize / 5;

/// What connections were sent lately. One that has not confirmed the last action is sent no other,
/// so that a slow reader receives fewer states, and its edits are not delayed.
#[derive(Debug, Default)]
pub(super) struct Budgets(SessionMap<Budget>);

#[derive(Debug, Default)]
struct Budget {
    /// The last action is not confirmed.
    is_in_flight: bool,
    bytes: TokenBucket,
    /// When the next action may be sent.
    ready_at: MonoTime,
}

impl Budgets {
    /// Returns `true` if a connection may be sent an action.
    pub(super) fn is_ready(&self, now: MonoTime, session: SessionId) -> bool {
        self.0.get(&session).is_none_or(|budget| !budget.is_in_flight && budget.ready_at <= now)
    }

    /// An action of this size is sent to a connection.
    pub(super) fn sent(&mut self, now: MonoTime, session: SessionId, bytes: usize) {
        let budget = self.0.entry(session).or_default();
        budget.is_in_flight = true;
        let available = Rate::new(BYTES_PER_SECOND, Duration::from_secs(1))
            .map_or(now, |rate| budget.bytes.acquire(rate, now, bytes as u64));
        budget.ready_at = now.after(BATCH_INTERVAL).max(available);
    }

    pub(super) fn acknowledged(&mut self, session: SessionId) {
        if let Some(budget) = self.0.get_mut(&session) {
            budget.is_in_flight = false;
        }
    }

    pub(super) fn remove(&mut self, session: SessionId) {
        self.0.swap_remove(&session);
    }
}
