//! The hybrid clock of a client, which orders own actions after the actions that their author has
//! seen.

use crate::{
    action::{ActionId, NodeId, Stamp, logux::is_logux},
    store::Entry,
    time::WallTime,
};

/// Times that are further ahead, in milliseconds, are errors of another clock; they are ignored.
const MAX_AHEAD_MS: i64 = 60_000;

/// The latest action that the application has seen, including its own actions.
///
/// The correction of a device's clock is inexact, because the time that a message takes varies. An
/// answer could therefore be ordered before the action that it answers, and a change before the
/// value that it changes, and would have no effect. So the times of a client's actions come from a
/// hybrid clock (Kulkarni et al., Logical Physical Clocks, 2014). The times in ids are those of the
/// device's own clock.
#[derive(Debug, Default)]
pub(super) struct HybridClock(Option<Stamp>);

impl HybridClock {
    /// Records an action that was added to the log of the node `own`.
    pub(super) fn record(&mut self, now: WallTime, own: &NodeId, Entry { action, meta }: &Entry) {
        let is_too_far_ahead =
            |time: WallTime, id: &ActionId| time.since(now) > MAX_AHEAD_MS && id.node() != own;
        // Actions of Logux itself do not change the state of the application.
        if is_logux(action.kind()) || is_too_far_ahead(meta.time, &meta.id) {
            return;
        }
        // An action that was found at the start was not checked, because the time was not known.
        let latest = self.0.take().filter(|latest| !is_too_far_ahead(latest.time(), latest.id()));
        self.0 = latest.max(Some(meta.stamp()));
    }

    /// Returns `true` if no action of the application was recorded.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the time of a new action: the earliest time that orders it after the latest recorded
    /// action. It is not later than necessary, because many actions may be created within a
    /// millisecond.
    pub(super) fn time_of(&self, id: &ActionId) -> WallTime {
        let Some(latest) = &self.0 else { return id.time() };
        let ahead = latest.time().since(id.time());
        let is_own = latest.id().node() == id.node();
        if ahead < 0 || ahead > MAX_AHEAD_MS && !is_own {
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

    fn hybrid_clock(kind: &str, ms: i64) -> HybridClock {
        let mut hybrid_clock = HybridClock::default();
        hybrid_clock.record(WallTime::MAX, &own(), &entry(kind, "1 20:b:c 0", ms));
        hybrid_clock
    }

    fn own() -> NodeId {
        NodeId::new("10:a:b").unwrap()
    }

    #[test]
    fn own_actions_are_ordered_after_seen_ones() {
        let id: ActionId = "1000 10:a:b 0".parse().unwrap();
        let time = |hybrid_clock: &HybridClock| hybrid_clock.time_of(&id).as_millis();
        assert_eq!(time(&HybridClock::default()), 1_000);
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
            hybrid_clock("logux/processed", 1_007).is_empty()
                && !hybrid_clock("note", 1_007).is_empty()
        );
    }

    #[test]
    fn own_actions_keep_their_order_and_do_not_run_ahead() {
        // One action of another node whose time is as far ahead as is accepted, then three own
        // actions in each millisecond.
        let (mut hybrid_clock, node) = (hybrid_clock("note", 1_000 + MAX_AHEAD_MS), own());
        let mut last = None;
        for n in 0..3_000 {
            let id = format!("{} 10:a:b {}", 1_000 + n / 3, n % 3);
            let time = hybrid_clock.time_of(&id.parse().unwrap()).as_millis();
            let own = entry("note", &id, time);
            assert!(last < Some(own.meta.stamp()), "{id}");
            last = Some(own.meta.stamp());
            hybrid_clock.record(WallTime::from_millis(1_000 + n / 3), &node, &own);
        }
        assert_eq!(last.unwrap().time().as_millis(), 2_000 + MAX_AHEAD_MS);
    }

    #[test]
    fn times_far_ahead_do_not_hide_other_actions() {
        let id: ActionId = "1000 10:a:b 0".parse().unwrap();
        let now = WallTime::from_millis(1_000);
        let far = entry("note", "1 30:d:e 0", 2_000 + MAX_AHEAD_MS);
        let near = entry("note", "1 20:b:c 0", 1_007);
        let mut hybrid_clock = HybridClock::default();
        for entry in [&near, &far] {
            hybrid_clock.record(now, &own(), entry);
            assert_eq!(hybrid_clock.time_of(&id).as_millis(), 1_008);
        }
        // The same for an action that was recorded before the time was known.
        let mut found = HybridClock::default();
        found.record(WallTime::MAX, &own(), &far);
        assert_eq!(found.time_of(&id).as_millis(), 1_000);
        found.record(now, &own(), &near);
        assert_eq!(found.time_of(&id).as_millis(), 1_008);
    }
}
