//! The load of scenarios whose clients send by themselves, and the measurement of its deliveries.

use std::time::{Duration, Instant};

use super::{
    args::TimingArgs,
    client::{Client, ClientEvent, EventHandler},
    client_pool::ClientPool,
    error::BenchError,
    report::{Meter, RunReport},
    samples::LatencySamples,
};

/// The time-out of one poll, so that a run ends in time.
pub(super) const POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// A scenario whose clients send by themselves. Their connections stay open: the end of one ends
/// the run.
pub(super) trait Load: Sized {
    /// The server has accepted the client at `index` in the pool, at `now` by the pool's clock.
    fn on_connected(&mut self, index: usize, client: &mut Client, now: u64);
    /// The client at `index` has received actions: their JSON and that of their metas.
    fn on_actions(&mut self, index: usize, actions: &[u8], now: u64) -> Result<(), BenchError>;
    /// Sends what is due.
    fn send_due(&mut self, pool: &mut ClientPool) -> Result<(), BenchError>;
    /// Returns the number of deliveries so far.
    fn delivered(&self) -> u64;
    /// Returns the latencies of the deliveries.
    fn latencies(&mut self) -> &mut LatencySamples;

    /// Sends for the time of the warm-up.
    fn warm_up(&mut self, pool: &mut ClientPool, timing: TimingArgs) -> Result<(), BenchError> {
        let start = Instant::now();
        while start.elapsed() < timing.warm_up() {
            self.send_and_poll(pool)?;
        }
        Ok(())
    }

    /// Runs the measured runs. `server` is the process id of the server.
    fn measure(
        &mut self,
        pool: &mut ClientPool,
        timing: TimingArgs,
        server: Option<u32>,
    ) -> Result<Vec<RunReport>, BenchError> {
        let mut runs = Vec::new();
        for _ in 0..timing.runs {
            self.latencies().take();
            let (meter, before) = (Meter::start(server), self.delivered());
            while meter.elapsed() < timing.run() {
                self.send_and_poll(pool)?;
            }
            let delivered = self.delivered() - before;
            runs.push(meter.finish(delivered, self.latencies()));
        }
        Ok(runs)
    }

    fn send_and_poll(&mut self, pool: &mut ClientPool) -> Result<(), BenchError> {
        self.send_due(pool)?;
        pool.poll(POLL_TIMEOUT, self)?;
        pool.ensure_responsive()
    }

    /// Waits until everything is delivered. Returns the number of lost deliveries.
    fn wait_for_deliveries(
        &mut self,
        pool: &mut ClientPool,
        expected: u64,
    ) -> Result<u64, BenchError> {
        while self.delivered() < expected && !pool.is_unresponsive() {
            pool.poll(POLL_TIMEOUT, self)?;
        }
        Ok(expected - self.delivered())
    }
}

impl<L: Load> EventHandler for L {
    fn on_event(
        &mut self,
        index: usize,
        client: &mut Client,
        event: ClientEvent<'_>,
        now: u64,
    ) -> Result<(), BenchError> {
        match event {
            ClientEvent::Connected => {
                self.on_connected(index, client, now);
                Ok(())
            }
            ClientEvent::Actions(actions) => self.on_actions(index, actions, now),
            ClientEvent::Closed(reason) => Err(BenchError::Disconnected(reason)),
        }
    }
}

/// A steady rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    start: Instant,
    interval: Duration,
}

impl Pace {
    /// Begins now.
    pub(super) fn start(interval: Duration) -> Self {
        Self { start: Instant::now(), interval }
    }

    /// Returns the time of the beginning.
    pub(super) const fn started(&self) -> Instant {
        self.start
    }

    /// Returns how many times something was due so far. In nanoseconds, like the ticker: in
    /// microseconds, what is due at a tick could have to wait for the next tick.
    pub(super) fn due(&self) -> u64 {
        let due = self.start.elapsed().as_nanos() / self.interval.as_nanos().max(1);
        u64::try_from(due).unwrap_or(u64::MAX)
    }

    /// Returns when something is due for the time `n`, counted from 0, by the clock of the pool.
    /// Latencies are measured from then, so that a delay of the clients is not hidden.
    pub(super) fn due_at(&self, n: u64, pool: &ClientPool) -> u64 {
        let after = (u128::from(n) + 1) * self.interval.as_nanos() / 1_000;
        pool.micros(self.start) + u64::try_from(after).unwrap_or(u64::MAX)
    }
}
