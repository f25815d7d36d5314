//! What world to simulate, and how much has happened in it.

/// What world to simulate.
#[derive(Clone, Debug)]
pub struct Config {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// How many devices there are.
    pub devices: usize,
    /// How many users they belong to.
    pub users: usize,
    /// Whether the application keeps the ids of actions in its own transactions, and so does none again.
    pub inbox: bool,
    /// How long a frame takes, from and to, in milliseconds.
    pub latency_ms: (u64, u64),
    /// After how long a device connects again, from and to, in milliseconds.
    pub reconnect_ms: (u64, u64),
    /// How long an end of a connection that was cut may not know of it, from and to, in milliseconds.
    pub unaware_ms: (u64, u64),
    /// How long the server is down after a crash, from and to, in milliseconds.
    pub restart_ms: (u64, u64),
    /// How long each step of a handler takes, from and to, in milliseconds.
    pub handler_ms: (u64, u64),
    /// How long something waits inside of the server for its turn, from and to, in milliseconds.
    pub round_ms: (u64, u64),
    /// How long a commit of the server's log takes, from and to, in milliseconds.
    pub commit_ms: (u64, u64),
    /// A step of a handler hangs once in so many times, until the server crashes. 0: never.
    pub hangs_once_in: u64,
    /// A login, or a handler that has changed nothing yet, fails once in so many times. 0: never.
    pub errors_once_in: u64,
    /// By how much the clocks of the devices are wrong at most, in milliseconds.
    pub clock_error_ms: i64,
    /// How much faster or slower they go at most, in millionths.
    pub drift_ppm: i64,
    /// By how much the server's clock is wrong at most after a restart, in milliseconds: it may have stepped back. Each start has a node id of its own then.
    pub server_clock_error_ms: i64,
    /// Write down what happens. Costs time.
    pub trace: bool,
}

impl Default for Config {
    /// 3 devices of 2 users, an inbox, up to 100 ms of latency, handlers of up to 600 ms; one step in 60 hangs, one in 20 fails.
    fn default() -> Self {
        Self {
            seed: 0,
            devices: 3,
            users: 2,
            inbox: true,
            latency_ms: (1, 100),
            reconnect_ms: (1, 1_000),
            unaware_ms: (0, 500),
            restart_ms: (1, 500),
            handler_ms: (0, 200),
            round_ms: (0, 5),
            commit_ms: (0, 20),
            hangs_once_in: 60,
            errors_once_in: 20,
            clock_error_ms: 3_600_000,
            drift_ppm: 100,
            server_clock_error_ms: 0,
            trace: false,
        }
    }
}

/// What has happened in a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Actions that were done by users.
    pub actions: usize,
    /// Frames that were sent.
    pub frames: usize,
    /// Frames that were lost.
    pub lost: usize,
    /// Connections that were cut.
    pub cuts: usize,
    /// Devices that crashed.
    pub crashes: usize,
    /// How many times the server crashed.
    pub server_crashes: usize,
    /// Handlers that hung.
    pub hangs: usize,
    /// Virtual milliseconds that have passed.
    pub ms: u64,
}
