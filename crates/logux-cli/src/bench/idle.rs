//! The scenario `idle`: the server's memory for each idle connection.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use serde::Serialize;

use super::{
    args::TargetArgs,
    client::{Client, ClientEvent, EventHandler},
    client_pool::ClientPool,
    error::BenchError,
    process::Process,
    report::thousands,
};

/// Measure the server's memory for each idle connection
///
/// Requires Linux, and --pid with the process of the server. Start the server for this measurement:
/// memory that earlier connections have used and freed would not be counted.
#[derive(Args, Clone, Debug)]
pub(super) struct IdleArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Number of connections to measure
    #[arg(long, value_name = "NUMBER", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// Number of connections before the measurement
    ///
    /// They make the server allocate the memory that does not depend on the number of connections.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    before: u32,
    /// Seconds between the last connection and reading the memory
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    settle: u64,
}

/// The result, as it is printed with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct IdleReport<'a> {
    scenario: &'static str,
    url: &'a str,
    clients: u32,
    bytes_before: u64,
    bytes_after: u64,
    bytes_each: f64,
    lost: u64,
    duplicates: u64,
}

/// Runs the scenario.
pub(super) fn run(args: &IdleArgs) -> Result<ExitCode, BenchError> {
    let server = Process::Pid(args.target.pid.ok_or(BenchError::MissingPid)?);
    server.resident_memory()?;
    let mut pool = ClientPool::new(&args.target)?;
    let mut scenario = IdleScenario::default();
    pool.connect_all(args.before as usize, &mut scenario, |scenario| scenario.connected)?;
    scenario.settle(&mut pool, args.settle)?;
    let bytes_before = server.resident_memory()?;
    pool.connect_all(args.clients as usize, &mut scenario, |scenario| scenario.connected)?;
    scenario.settle(&mut pool, args.settle)?;
    let bytes_after = server.resident_memory()?;
    let report = IdleReport {
        scenario: "idle",
        url: &args.target.url,
        clients: args.clients,
        bytes_before,
        bytes_after,
        bytes_each: bytes_after.saturating_sub(bytes_before) as f64 / f64::from(args.clients),
        lost: scenario.lost,
        duplicates: (scenario.connected as u64)
            .saturating_sub(u64::from(args.before) + u64::from(args.clients)),
    };
    report.print(args.target.json)?;
    Ok(if report.lost == 0 && report.duplicates == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl IdleReport<'_> {
    fn print(&self, json: bool) -> Result<(), BenchError> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        let kib = |bytes: u64| thousands(bytes as f64 / 1024.0);
        println!("{} idle connections to {}\n", self.clients, self.url);
        println!("{:>12} KiB before", kib(self.bytes_before));
        println!("{:>12} KiB after", kib(self.bytes_after));
        println!("{:>12.2} KiB per connection", self.bytes_each / 1024.0);
        println!("\n{} lost", self.lost);
        Ok(())
    }
}

#[derive(Default)]
struct IdleScenario {
    connected: usize,
    lost: u64,
}

impl IdleScenario {
    /// Answers pings for some seconds.
    fn settle(&mut self, pool: &mut ClientPool, seconds: u64) -> Result<(), BenchError> {
        let end = Instant::now() + Duration::from_secs(seconds);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            pool.poll(left, self)?;
        }
        Ok(())
    }
}

impl EventHandler for IdleScenario {
    fn on_event(
        &mut self,
        _: usize,
        _: &mut Client,
        event: ClientEvent<'_>,
        _: u64,
    ) -> Result<(), BenchError> {
        match event {
            ClientEvent::Connected => self.connected += 1,
            ClientEvent::Actions(_) => {}
            ClientEvent::Closed(_) => self.lost += 1,
        }
        Ok(())
    }
}
