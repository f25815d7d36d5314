//! The hybrid clock of a log, which orders own actions after the actions that the log has seen.

use std::time::Duration;

use crate::{
    action::{ActionId, NodeId, Stamp, logux::is_logux},
    store::Entry,
    time::WallTime,
};

/// The latest action that the log has seen, including own actions.
///
/// The clocks of two nodes differ, and the correction of a device's clock is inexact, because the
/// time that a message takes varies. An answer could therefore be ordered before the action that it
/// answers, and a change before the value that it changes, and would have no effect. So the times
/// of own actions come from a hybrid clock (Kulkarni et al., Logical Physical Clocks, 2014). The
/// times in ids are those of the node's own clock.
#[derive(Debug, Default)]
pub(super) struct HybridClock {
    latest: Option<Stamp>,
    /// Whether the time of `latest` is from this clock. Those are never too far ahead.
    is_own: bool,
    /// Times of other nodes that are further ahead, in milliseconds, are errors of another clock;
    /// they are ignored.
    pub(super) max_ahead_ms: Option<i64>,
    /// Whether the entries that the store had at the start are included.
    pub(super) has_read_store: bool,
}

impl HybridClock {
    pub(super) fn with_max_ahead(max_ahead: Duration) -> Self {
        let ms = i64::try_from(max_ahead.as_millis()).unwrap_or(i64::MAX);
        Self { max_ahead_ms: Some(ms), ..Self::default() }
    }

    fn is_too_far_ahead(&self, ahead_ms: i64) -> bool {
        self.max_ahead_ms.is_some_and(|max_ahead_ms| ahead_ms > max_ahead_ms)
    }

    /// Records an action that was added to the log. `is_own`: its time is from this clock; that of
    /// a received action is not, whichever node id it has. Actions of Logux itself do not change
    /// the state of the application, so they are not recorded.
    pub(super) fn record(&mut self, now: WallTime, is_own: bool, Entry { action, meta }: &Entry) {
        let is_ignored =
            |time: WallTime, is_own: bool| !is_own && self.is_too_far_ahead(time.since(now));
        if is_logux(action.kind()) || is_ignored(meta.time, is_own) {
            return;
        }
        // An action that was found at the start was not checked, because the time was not known.
        let was_ignored =
            self.latest.as_ref().is_some_and(|latest| is_ignored(latest.time(), self.is_own));
        let stamp = meta.stamp();
        if was_ignored || self.latest.as_ref().is_none_or(|latest| *latest < stamp) {
            (self.latest, self.is_own) = (Some(stamp), is_own);
        }
    }

    /// Forgets the recorded actions.
    pub(super) fn forget(&mut self) {
        (self.latest, self.has_read_store) = (None, true);
    }

    /// Records an entry that the store of the node `own` had at the start. The current time is not
    /// known, so none is ignored for being too far ahead.
    ///
    /// Returns `true` if it is an action of the application: earlier entries have no influence.
    pub(super) fn record_found(&mut self, own: &NodeId, Entry { action, meta }: &Entry) -> bool {
        if is_logux(action.kind()) {
            return false;
        }
        let stamp = meta.stamp();
        if self.latest.as_ref().is_none_or(|latest| *latest < stamp) {
            (self.latest, self.is_own) = (Some(stamp), meta.id.node() == own);
        }
        true
    }

    /// Returns the time of a new action: the earliest time that orders it after the latest recorded
    /// action. It is not later than necessary, because many actions may be created within a
    /// millisecond.
    pub(super) fn time_of(&self, id: &ActionId) -> WallTime {
        let Some(latest) = &self.latest else { return id.time() };
        let ahead = latest.time().since(id.time());
        if ahead < 0 || !self.is_own && self.is_too_far_ahead(ahead) {
            id.time()
        } else if Stamp::new(latest.time(), id.clone()) > *latest {
            latest.time()
        } else {
            latest.time().shifted(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Action, Meta};

    fn entry(kind: &str, id: &str, ms: i64) -> Entry {
        let action = Action::new(format!(r#"{{"type":"{kind}"}}"#)).unwrap();
        Entry::new(action, Meta::new(id.parse().unwrap()).with_time(WallTime::from_millis(ms)))
    }

    const MAX_AHEAD_MS: i64 = 60_000;

    fn empty() -> HybridClock {
        HybridClock::with_max_ahead(Duration::from_secs(60))
    }

    fn hybrid_clock(kind: &str, ms: i64) -> HybridClock {
        let mut hybrid_clock = empty();
        hybrid_clock.record_found(&own(), &entry(kind, "1 20:b:c 0", ms));
        hybrid_clock
    }

    fn own() -> NodeId {
        NodeId::new("10:a:b").unwrap()
    }

    #[test]
    fn own_actions_are_ordered_after_seen_ones() {
        let id: ActionId = "1000 10:a:b 0".parse().unwrap();
        let time = |hybrid_clock: &HybridClock| hybrid_clock.time_of(&id).as_millis();
        assert_eq!(time(&empty()), 1_000);
        assert_eq!(time(&hybrid_clock("note", 999)), 1_000);
        assert_eq!(time(&hybrid_clock("note", 1_000)), 1_001);
        assert_eq!(time(&hybrid_clock("note", 1_007)), 1_008);
        assert_eq!(
            time(&hybrid_clock("note", 1_000 + MAX_AHEAD_MS + 1)),
            1_000,
            "the other clock is wrong"
        );
        assert_eq!(time(&hybrid_clock("logux/processed", 1_007)), 1_000);
        assert!(
            hybrid_clock("logux/processed", 1_007).latest.is_none()
                && hybrid_clock("note", 1_007).latest.is_some()
        );
    }

    #[test]
    fn without_a_bound_own_actions_are_always_later() {
        let mut hybrid_clock = HybridClock::default();
        let far = entry("note", "1 20:b:c 0", 3_600_000);
        hybrid_clock.record(WallTime::from_millis(5), false, &far);
        let id: ActionId = "1000 10:a:b 0".parse().unwrap();
        assert_eq!(hybrid_clock.time_of(&id).as_millis(), 3_600_001);
    }

    #[test]
    fn own_actions_keep_their_order_and_do_not_run_ahead() {
        // One action of another node whose time is as far ahead as is accepted, then three own
        // actions in each millisecond.
        let mut hybrid_clock = hybrid_clock("note", 1_000 + MAX_AHEAD_MS);
        let mut last = None;
        for n in 0..3_000 {
            let id = format!("{} 10:a:b {}", 1_000 + n / 3, n % 3);
            let time = hybrid_clock.time_of(&id.parse().unwrap()).as_millis();
            let own = entry("note", &id, time);
            assert!(last < Some(own.meta.stamp()), "{id}");
            last = Some(own.meta.stamp());
            hybrid_clock.record(WallTime::from_millis(1_000 + n / 3), true, &own);
        }
        assert_eq!(last.unwrap().time().as_millis(), 2_000 + MAX_AHEAD_MS);
    }

    #[test]
    fn times_far_ahead_do_not_hide_other_actions() {
        let id: ActionId = "1000 10:a:b 0".parse().unwrap();
        let now = WallTime::from_millis(1_000);
        // One claims to be of the node itself.
        let far = ["1 30:d:e 0", "1 10:a:b 0"].map(|id| entry("note", id, 2_000 + MAX_AHEAD_MS));
        let near = entry("note", "1 20:b:c 0", 1_007);
        let mut hybrid_clock = empty();
        for entry in [&near, &far[0], &far[1]] {
            hybrid_clock.record(now, false, entry);
            assert_eq!(hybrid_clock.time_of(&id).as_millis(), 1_008);
        }
        // The same for an action that was recorded before the time was known.
        let mut found = empty();
        found.record_found(&own(), &far[0]);
        assert_eq!(found.time_of(&id).as_millis(), 1_000);
        found.record(now, false, &near);
        assert_eq!(found.time_of(&id).as_millis(), 1_008);
    }
}
