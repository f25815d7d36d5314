//! The configuration of a timeline.

/// The configuration of a [`Timeline`](super::Timeline).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineConfig {
    /// The number of actions between saved states at the end of history; further back, it grows
    /// with the distance from the end. Choose a higher number if cloning a state is expensive. From
    /// 1 to 10,000. Default: 16. `saveStateEvery` of `@logux/redux`.
    pub save_every: usize,
    /// The largest number of actions between saved states, far back in history. Limits the cost of
    /// past states. At most 10,000. Default: 4,096.
    pub save_gap: usize,
    /// The number of latest actions, by arrival, that a log keeps for time travel even if they have
    /// no other reason; for that long, an action can be undone. `None`: no action is kept for this
    /// reason. Default: 1,000. `reasonlessHistory` of `@logux/redux`.
    pub history: Option<u64>,
    /// The number of added actions after which the log removes those beyond `history`. Default: 25.
    /// `cleanEvery` of `@logux/redux`.
    pub clean_every: u64,
    /// The largest number of actions that were removed from their log but can still be replayed. If
    /// there are more, the oldest part of history becomes fixed, and an action that belongs before
    /// its end is reported as [`MissedHistory`](super::TimelineWarning::MissedHistory). Default:
    /// 1,000.
    pub max_cleaned: usize,
    /// The browser tab whose state this is: actions with another `tab` in their meta are ignored.
    /// Default: none.
    pub tab: Option<String>,
}

impl Default for TimelineConfig {
    /// A state is saved every 16 actions, or every 4,096 far back; the last 1,000 actions are kept
    /// for time travel, as in `@logux/redux`.
    fn default() -> Self {
        Self {
            save_every: 16,
            save_gap: 4_096,
            history: Some(1_000),
            clean_every: 25,
            max_cleaned: 1_000,
            tab: None,
        }
    }
}

impl TimelineConfig {
    /// The highest value of [`save_gap`](Self::save_gap).
    pub const MAX_GAP: usize = 10_000;

    /// The reason for which actions are kept for time travel.
    pub(super) fn reason(&self) -> String {
        self.tab
            .as_ref()
            .map_or_else(|| String::from("timeTravel"), |tab| format!("timeTravelTab{tab}"))
    }
}
