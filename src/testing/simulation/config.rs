//! The configuration of a simulated world, and what is counted in it.

use core::{ops::RangeInclusive, time::Duration};

use crate::replay::TimelineConfig;

/// The world to simulate.
#[derive(Clone, Debug)]
pub struct Config {
    /// The seed of all random choices.
    pub seed: u64,
    /// The number of clients.
    pub clients: usize,
    /// The transit time of a frame.
    pub latency: RangeInclusive<Duration>,
    /// The time until a client connects again.
    pub reconnect_delay: RangeInclusive<Duration>,
    /// The largest initial error of the clients' clocks.
    pub clock_error: Duration,
    /// The largest drift of the clients' clocks, in parts per million.
    pub drift_ppm: u64,
    /// The configuration of the timelines.
    pub timeline: TimelineConfig,
    /// Whether logs remove actions that are obsolete by the reducer. Otherwise, all actions are
    /// kept, and [`Simulation::settle`](super::Simulation::settle) checks that each node has all of
    /// them.
    pub compact: bool,
    /// Whether events are recorded for [`Simulation::trace`](super::Simulation::trace), which takes
    /// time.
    pub trace: bool,
}

impl Default for Config {
    /// 2 clients, a latency of 5 to 200 ms, clocks that are wrong by up to an hour and drift by up
    /// to 100 ppm.
    fn default() -> Self {
        Self {
            seed: 0,
            clients: 2,
            latency: Duration::from_millis(5)..=Duration::from_millis(200),
            reconnect_delay: Duration::from_millis(50)..=Duration::from_secs(2),
            clock_error: Duration::from_secs(3_600),
            drift_ppm: 100,
            timeline: TimelineConfig { history: Some(1_000_000), ..TimelineConfig::default() },
            compact: false,
            trace: false,
        }
    }
}

/// The numbers of events in a simulated world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Actions that the clients added.
    pub actions: usize,
    /// Actions and undos that were undone before they were sent.
    pub dropped: usize,
    /// Frames that were sent.
    pub frames: usize,
    /// Frames that were lost with their connection.
    pub lost: usize,
    /// Connections that were cut.
    pub cuts: usize,
    /// Crashes of nodes.
    pub crashes: usize,
    /// The virtual time that has passed.
    pub elapsed: Duration,
}
