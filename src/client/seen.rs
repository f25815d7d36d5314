//! Own actions are later than those that their author has seen.

use crate::{
    action::{ActionId, Stamp, logux::is_logux},
    now::WallTime,
    store::Entry,
};

/// Times that lie further ahead are the mistake of another clock: they are left to themselves.
const MAX_AHEAD_MS: i64 = 60_000;

/// The latest action that the application has seen, its own among them.
///
/// The clocks of two devices are never corrected quite: the way of a message takes as long as it takes. An answer within these milliseconds would come before
/// what it answers, and a change before what it changes, and be lost. So the clock of a client is a hybrid one (Kulkarni et al., Logical Physical
/// Clocks, 2014), but for the ids, which say what the device's own clock says.
#[derive(Debug, Default)]
pub(super) struct Seen(Option<Stamp>);

impl Seen {
    /// An action is in the log.
    pub(super) fn note(&mut self, Entry { action, meta }: &Entry) {
        // What Logux itself says is no part of anybody's state.
        if !is_logux(action.kind()) && self.0.as_ref().is_none_or(|latest| latest.time() <= meta.time) {
            self.0 = self.0.take().max(Some(meta.stamp()));
        }
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

    fn seen(kind: &str, ms: i64) -> Seen {
        let mut seen = Seen::default();
        seen.note(&entry(kind, "1 20:b:c 0", ms));
        seen
    }

    #[test]
    fn what_was_seen_comes_before() {
        let id: ActionId = "1000 10:a:b 0".parse().unwrap();
        let time = |seen: &Seen| seen.time_of(&id).as_millis();
        assert_eq!(time(&Seen::default()), 1_000);
        assert_eq!(time(&seen("note", 999)), 1_000);
        assert_eq!(time(&seen("note", 1_000)), 1_001);
        assert_eq!(time(&seen("note", 1_007)), 1_008);
        assert_eq!(time(&seen("note", 1_000 + MAX_AHEAD_MS + 1)), 1_000, "another clock's mistake");
        assert_eq!(time(&seen("logux/processed", 1_007)), 1_000);
        assert!(seen("logux/processed", 1_007).is_empty() && !seen("note", 1_007).is_empty());
    }

    #[test]
    fn own_actions_keep_their_order_and_do_not_run_ahead() {
        // One action of somebody whose clock is as far ahead as may be, then three a millisecond.
        let mut seen = seen("note", 1_000 + MAX_AHEAD_MS);
        let mut last = None;
        for n in 0..3_000 {
            let id = format!("{} 10:a:b {}", 1_000 + n / 3, n % 3);
            let time = seen.time_of(&id.parse().unwrap()).as_millis();
            let own = entry("note", &id, time);
            assert!(last < Some(own.meta.stamp()), "{id}");
            last = Some(own.meta.stamp());
            seen.note(&own);
        }
        assert_eq!(last.unwrap().time().as_millis(), 2_000 + MAX_AHEAD_MS);
    }
}
