//! Own actions are later than those that their author has seen.

use crate::{
    action::{ActionId, logux::is_logux},
    now::WallTime,
    store::Entry,
};

/// Times that lie further ahead are the mistake of another clock: they are left to themselves.
const MAX_AHEAD_MS: i64 = 60_000;

/// The time of the latest action that the application has seen, its own among them.
///
/// The clocks of two devices are never corrected quite: the way of a message takes as long as it takes. An answer within these milliseconds would come before
/// what it answers, and a change before what it changes, and be lost. So the clock of a client is a hybrid one (Kulkarni et al., Logical Physical
/// Clocks, 2014), but for the ids, which say what the device's own clock says.
#[derive(Debug, Default)]
pub(super) struct Seen(Option<WallTime>);

impl Seen {
    /// An action is in the log.
    pub(super) fn note(&mut self, entry: &Entry) {
        // What Logux itself says is no part of anybody's state.
        if !is_logux(entry.action.kind()) {
            self.0 = self.0.max(Some(entry.meta.time));
        }
    }

    /// The time of an action that is made now.
    pub(super) fn time_of(&self, id: &ActionId) -> WallTime {
        match self.0 {
            // Not the same time: within it the sequence number counts, and this id may have a lower one.
            Some(seen) if (0..=MAX_AHEAD_MS).contains(&seen.since(id.time())) => seen.shifted(1),
            _ => id.time(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Action, Meta};

    fn seen(kind: &str, ms: i64) -> Seen {
        let mut seen = Seen::default();
        let action = Action::new(format!(r#"{{"type":"{kind}"}}"#)).unwrap();
        let meta = Meta::new("1 20:b:c 0".parse().unwrap()).with_time(WallTime::from_millis(ms));
        seen.note(&Entry::new(action, meta));
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
    }
}
