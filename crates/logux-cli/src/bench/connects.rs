//! The scenario `connects`: clients that connect, log in and disconnect in a loop.

use std::{mem, process::ExitCode, time::Duration};

use clap::Args;

use super::{
    args::{TargetArgs, TimingArgs},
    client::{Client, ClientEvent, EventHandler},
    client_pool::ClientPool,
    error::BenchError,
    report::{BenchReport, Meter},
    samples::LatencySamples,
};

/// Measure connects per second
///
/// Clients connect, log in and disconnect in a loop. The latency is the time from the start of the
/// TCP connection to the `connected` message.
#[derive(Args, Clone, Debug)]
pub(super) struct ConnectsArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    timing: TimingArgs,
    /// Number of concurrent clients
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
}

/// The time-out of one poll, so that a run ends in time.
const POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// Runs the scenario.
pub(super) fn run(args: &ConnectsArgs) -> Result<ExitCode, BenchError> {
    let mut pool = ClientPool::new(&args.target)?;
    let mut scenario = ConnectsScenario::default();
    for _ in 0..args.clients {
        pool.add_client()?;
        scenario.connected.push(false);
    }
    let warm_up = Meter::start(None);
    while warm_up.elapsed() < args.timing.warm_up() {
        scenario.step(&mut pool)?;
    }
    let mut runs = Vec::new();
    for _ in 0..args.timing.runs {
        scenario.latencies.take();
        let meter = Meter::start(args.target.pid);
        while meter.elapsed() < args.timing.run() {
            scenario.step(&mut pool)?;
        }
        runs.push(meter.finish(scenario.latencies.len() as u64, &mut scenario.latencies));
    }
    let load = serde_json::json!({"clients": args.clients});
    let report = BenchReport::new("connects", &args.target.url, load, "connects", runs);
    BenchReport { lost: scenario.lost, duplicates: scenario.duplicates, ..report }
        .print(args.target.json)
}

#[derive(Default)]
struct ConnectsScenario {
    /// For each client, whether it has connected and is now disconnecting.
    connected: Vec<bool>,
    /// The indexes of closed clients.
    closed: Vec<usize>,
    latencies: LatencySamples,
    /// The number of connections that were closed before the client had connected.
    lost: u64,
    duplicates: u64,
}

impl ConnectsScenario {
    fn step(&mut self, pool: &mut ClientPool) -> Result<(), BenchError> {
        pool.poll(POLL_TIMEOUT, self)?;
        pool.ensure_responsive()?;
        for index in mem::take(&mut self.closed) {
            pool.replace_client(index)?;
        }
        Ok(())
    }
}

impl EventHandler for ConnectsScenario {
    fn on_event(
        &mut self,
        index: usize,
        client: &mut Client,
        event: ClientEvent<'_>,
        now: u64,
    ) -> Result<(), BenchError> {
        match event {
            ClientEvent::Connected if mem::replace(&mut self.connected[index], true) => {
                self.duplicates += 1;
            }
            ClientEvent::Connected => {
                self.latencies.add(now - client.started_at);
                client.close();
            }
            ClientEvent::Actions(_) => {}
            ClientEvent::Closed(_) => {
                if !mem::take(&mut self.connected[index]) {
                    self.lost += 1;
                }
                self.closed.push(index);
            }
        }
        Ok(())
    }
}
