//! Own actions are later than those that their author has seen.

use crate::{
    action::{ActionId, NodeId, Stamp, logux::is_logux},
    store::Entry,
    time::WallTime,
};

/// Times that lie further ahead are the mistake of another clock: they are left to themselves.
const MAX_AHEAD_MS: i64 = 60_000;

/// The latest action that the application has seen, its own among them.
///
/// The clocks of two devices are never corrected quite: the way of a message takes as long as it takes. An answer within these milliseconds would come before
/// what it answers, and a change before what it changes, and be lost. So the clock of a client is a hybrid one (Kulkarni et al., Logical Physical
/// Clocks, 2014), but for the ids, which say what the device's own clock says.
#[derive(Debug, Default)]
pub(super) struct HybridClock(Option<Stamp>);

impl HybridClock {
    /// An action is in the log of the node `own`.
    pub(super) fn note(&mut self, now: WallTime, own: &NodeId, Entry { action, meta }: &Entry) {
        let is_mistake =
            |time: WallTime, id: &ActionId| time.since(now) > MAX_AHEAD_MS && id.node() != own;
        // What Logux itself says is no part of anybody's state.
        if is_logux(action.kind()) || is_mistake(meta.time, &meta.id) {
            return;
        }
        // One that was found at the start may be a mistake, since nobody knew the time then.
        let latest = self.0.take().filter(|latest| !is_mistake(latest.time(), latest.id()));
        self.0 = latest.max(Some(meta.stamp()));
    }

    /// Whether no action of the application was noted.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The time of an action that is made now: as late as it has to be to come behind the latest, and no later, since many may be made within a millisecond.
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
        hybrid_clock.note(WallTime::MAX, &own(), &entry(kind, "1 20:b:c 0", ms));
        hybrid_clock
    }

    fn own() -> NodeId {
        NodeId::new("10:a:b").unwrap()
    }

    #[test]
    fn what_was_seen_comes_before() {
        let id: ActionId = "1000 10:a:b 0".parse().unwrap();
        let time = |hybrid_clock: &HybridClock| hybrid_clock.time_of(&id).as_millis();
        assert_eq!(time(&HybridClock::default()), 1_000);
        assert_eq!(time(&hybrid_clock("note", 999)), 1_000);
        assert_eq!(time(&hybrid_clock("note", 1_000)), 1_001);
        assert_eq!(time(&hybrid_clock("note", 1_007)), 1_008);
        assert_eq!(
            time(&hybrid_clock("note", 1_000 + MAX_AHEAD_MS + 1)),
            1_000,
            "another clock's mistake"
        );
        assert_eq!(time(&hybrid_clock("logux/processed", 1_007)), 1_000);
        assert!(
            hybrid_clock("logux/processed", 1_007).is_empty()
                && !hybrid_clock("note", 1_007).is_empty()
        );
    }

    #[test]
    fn own_actions_keep_their_order_and_do_not_run_ahead() {
        // One action of somebody whose clock is as far ahead as may be, then three a millisecond.
        let (mut hybrid_clock, node) = (hybrid_clock("note", 1_000 + MAX_AHEAD_MS), own());
        let mut last = None;
        for n in 0..3_000 {
            let id = format!("{} 10:a:b {}", 1_000 + n / 3, n % 3);
            let time = hybrid_clock.time_of(&id.parse().unwrap()).as_millis();
            let own = entry("note", &id, time);
            assert!(last < Some(own.meta.stamp()), "{id}");
            last = Some(own.meta.stamp());
            hybrid_clock.note(WallTime::from_millis(1_000 + n / 3), &node, &own);
        }
        assert_eq!(last.unwrap().time().as_millis(), 2_000 + MAX_AHEAD_MS);
    }

    #[test]
    fn a_mistake_hides_nothing_that_is_none() {
        let id: ActionId = "1000 10:a:b 0".parse().unwrap();
        let now = WallTime::from_millis(1_000);
        let far = entry("note", "1 30:d:e 0", 2_000 + MAX_AHEAD_MS);
        let near = entry("note", "1 20:b:c 0", 1_007);
        let mut hybrid_clock = HybridClock::default();
        for entry in [&near, &far] {
            hybrid_clock.note(now, &own(), entry);
            assert_eq!(hybrid_clock.time_of(&id).as_millis(), 1_008);
        }
        // The same when it was there before anybody knew the time.
        let mut found = HybridClock::default();
        found.note(WallTime::MAX, &own(), &far);
        assert_eq!(found.time_of(&id).as_millis(), 1_000);
        found.note(now, &own(), &near);
        assert_eq!(found.time_of(&id).as_millis(), 1_008);
    }
}
