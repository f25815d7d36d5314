//! How much a timeline remembers.

/// Settings of a [`Timeline`](super::Timeline).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineConfig {
    /// After how many actions at the end of history a state is saved. Further back the distance grows with the distance from the end.
    /// `saveStateEvery` of `@logux/redux`. Give a higher number when a clone of the state is costly.
    pub save_every: usize,
    /// The distance between saved states far back, which bounds the work for a state of the past. At most 10,000.
    pub save_gap: usize,
    /// How many of the latest actions (by arrival) a log keeps for time travel, without a reason of their own: so long can an action be taken
    /// back. `None`: no action is kept for that reason. `reasonlessHistory` of `@logux/redux`.
    pub history: Option<u64>,
    /// After how many actions to forget those beyond `history`. `cleanEvery` of `@logux/redux`.
    pub clean_every: u64,
    /// How many actions that their log has forgotten may be remembered for replay. Beyond, the oldest part of history becomes fixed,
    /// and what belongs before its end is [`MissedHistory`](super::TimelineWarning::MissedHistory).
    pub max_cleaned: usize,
    /// The browser tab whose state this is: actions with another `tab` in their meta are left out.
    pub tab: Option<String>,
}

impl Default for TimelineConfig {
    /// A state saved every 16 actions, 4,096 far back; the last 1,000 actions held for time travel, as in `@logux/redux`.
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
    /// The highest [`save_gap`](Self::save_gap).
    pub const MAX_GAP: usize = 10_000;

    /// The reason for which actions are kept for time travel.
    pub(super) fn reason(&self) -> String {
        self.tab
            .as_ref()
            .map_or_else(|| String::from("timeTravel"), |tab| format!("timeTravelTab{tab}"))
    }
}
