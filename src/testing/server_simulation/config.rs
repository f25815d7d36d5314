//! The configuration of a world, and its counters.

use core::{ops::RangeInclusive, time::Duration};

use crate::sync;

/// The world to simulate.
#[derive(Clone, Debug)]
pub struct Config {
    /// The seed of all random choices.
    pub seed: u64,
    /// The number of devices.
    pub devices: usize,
    /// The number of users that the devices belong to.
    pub users: usize,
    /// Whether the application stores the ids of processed actions in its transactions, and
    /// ignores an action that it has processed.
    pub inbox: bool,
    /// The transit time of a frame.
    pub latency: RangeInclusive<Duration>,
    /// The time until a device connects again.
    pub reconnect_delay: RangeInclusive<Duration>,
    /// The time until an end of a connection detects that it was cut.
    pub detection_delay: RangeInclusive<Duration>,
    /// The time that the server is down after a crash.
    pub restart_delay: RangeInclusive<Duration>,
    /// The duration of a login and of each step of a handler. One in three steps takes no time.
    pub handler_delay: RangeInclusive<Duration>,
    /// The time after which a login ends and the server closes its connection.
    pub login_duration: RangeInclusive<Duration>,
    /// The time after which the token of a device is refused, and the device gets a new one.
    pub token_duration: RangeInclusive<Duration>,
    /// The time that inputs and outputs of the hub wait in a queue.
    pub round_delay: RangeInclusive<Duration>,
    /// The duration of a commit of the server's log.
    pub commit_delay: RangeInclusive<Duration>,
    /// One in this number of handler steps hangs until the server crashes. 0: none.
    pub hangs_once_in: u64,
    /// One in this number of logins and of handlers without changes so far fails. 0: none.
    pub errors_once_in: u64,
    /// The largest initial error of the devices' clocks.
    pub clock_error: Duration,
    /// The largest drift of the devices' clocks, in parts per million.
    pub drift_ppm: u64,
    /// The largest error of the server's clock after a restart; the clock may go backwards. If it
    /// is not zero, each start of the server has its own node id.
    pub server_clock_error: Duration,
    /// Whether the server's store fails for a while now and then: it is locked, full, or cannot
    /// write. Then handlers may be called again while an earlier call still runs, so the
    /// application needs an inbox.
    pub store_failures: bool,
    /// Whether the stores of devices fail for a while now and then. Then the device is started
    /// again with what is durable, or commits later and is not connected meanwhile.
    pub device_store_failures: bool,
    /// The largest message that the server and the devices accept, in bytes. Senders divide by
    /// size alone what is larger, such as the backlog of a device. `None`: the limits of the
    /// engine, and messages of few actions.
    pub message_bytes: Option<usize>,
    /// Whether events are recorded for [`World::trace`](super::World::trace), which takes time.
    pub trace: bool,
}

impl Default for Config {
    /// 3 devices of 2 users, an inbox, a latency of up to 100 ms, handlers of up to 600 ms, logins
    /// of up to two minutes, tokens of up to a minute. One in 60 handler steps hangs, and one in 20
    /// fails. The stores of the server and the devices fail now and then.
    fn default() -> Self {
        let between = |low, high| {
            RangeInclusive::new(Duration::from_millis(low), Duration::from_millis(high))
        };
        Self {
            seed: 0,
            devices: 3,
            users: 2,
            inbox: true,
            latency: between(1, 100),
            reconnect_delay: between(1, 1_000),
            detection_delay: between(0, 500),
            restart_delay: between(1, 500),
            handler_delay: between(0, 200),
            login_duration: between(2_000, 120_000),
            token_duration: between(500, 60_000),
            round_delay: between(0, 5),
            commit_delay: between(0, 20),
            hangs_once_in: 60,
            errors_once_in: 20,
            clock_error: Duration::from_secs(3_600),
            drift_ppm: 100,
            server_clock_error: Duration::ZERO,
            store_failures: true,
            device_store_failures: true,
            message_bytes: None,
            trace: false,
        }
    }
}

impl Config {
    /// Sets the limits of messages of a node.
    pub(super) const fn limit_messages(&self, node: &mut sync::Config) {
        if let Some(bytes) = self.message_bytes {
            node.limits.message_bytes = bytes;
            node.max_receiving_bytes = bytes;
            node.bytes_per_batch = bytes / 4;
            node.actions_per_sync = 1_000;
            node.bytes_per_sync = bytes;
        }
    }
}

/// The numbers of events in a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Actions that users added.
    pub actions: usize,
    /// Edits that became parts of actions that were not sent yet.
    pub extensions: usize,
    /// Actions and undos that were undone before they were sent.
    pub dropped: usize,
    /// Frames that were sent.
    pub frames: usize,
    /// Frames that were lost with their connection.
    pub lost: usize,
    /// Connections that were cut.
    pub cuts: usize,
    /// Tokens that were refused.
    pub refused_tokens: usize,
    /// Failures of the stores of devices.
    pub device_store_failures: usize,
    /// Logins that ended.
    pub logins_ended: usize,
    /// Crashes of devices.
    pub crashes: usize,
    /// Devices that started again without their logs.
    pub reloads: usize,
    /// Crashes of the server.
    pub server_crashes: usize,
    /// Handlers that hung.
    pub hangs: usize,
    /// The virtual time that has passed.
    pub elapsed: Duration,
}
