//! What was found, for people and for programs.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    cores,
    process::Process,
    samples::{Latency, Samples, Spread},
};
use crate::talk::Failed;

/// All of one scenario.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    pub(super) scenario: &'static str,
    pub(super) url: &'a str,
    /// What the load was, by name.
    pub(super) load: serde_json::Value,
    /// What is counted.
    pub(super) unit: &'static str,
    pub(super) per_second: Spread,
    pub(super) runs: Vec<Run>,
    pub(super) lost: u64,
    pub(super) duplicates: u64,
    /// How long a word takes from one core to another and back, in nanoseconds.
    pub(super) cores_apart_ns: Option<u128>,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run {
    pub(super) seconds: f64,
    pub(super) count: u64,
    pub(super) per_second: f64,
    pub(super) latency: Option<Latency>,
    /// How many cores the clients took, and the server if its process is known.
    pub(super) clients_cores: Option<f64>,
    pub(super) server_cores: Option<f64>,
}

/// Measures one run while it lasts.
pub(super) struct Meter {
    start: Instant,
    clients: Usage,
    server: Option<Usage>,
}

/// What a process had taken at the start.
struct Usage(Process, Option<Duration>);

impl Usage {
    fn begin(process: Process) -> Self {
        Self(process, process.cpu().ok())
    }

    fn cores(&self, over: Duration) -> Option<f64> {
        let taken = self.0.cpu().ok()?.checked_sub(self.1?)?;
        Some(taken.as_secs_f64() / over.as_secs_f64())
    }
}

impl Meter {
    /// Begins.
    pub(super) fn start(server: Option<u32>) -> Self {
        Self {
            start: Instant::now(),
            clients: Usage::begin(Process::Own),
            server: server.map(|pid| Usage::begin(Process::Other(pid))),
        }
    }

    /// How long it has been.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The run, in which so much was done.
    pub(super) fn finish(self, count: u64, samples: &mut Samples) -> Run {
        let took = self.start.elapsed();
        let seconds = took.as_secs_f64();
        Run {
            seconds,
            count,
            per_second: count as f64 / seconds,
            clients_cores: self.clients.cores(took),
            server_cores: self.server.and_then(|server| server.cores(took)),
            latency: samples.take(),
        }
    }
}

impl<'a> Report<'a> {
    /// A report of runs.
    pub(super) fn new(
        scenario: &'static str,
        url: &'a str,
        load: serde_json::Value,
        unit: &'static str,
        runs: Vec<Run>,
    ) -> Self {
        let per_second = Spread::of(runs.iter().map(|run| run.per_second));
        let cores_apart_ns = cores::round_trip().map(|took| took.as_nanos());
        Self { scenario, url, load, unit, per_second, runs, lost: 0, duplicates: 0, cores_apart_ns }
    }

    /// Prints it. The exit code tells whether everything came, once.
    pub(super) fn print(&self, json: bool) -> Result<ExitCode, Failed> {
        if json {
            println!("{}", serde_json::to_string(self)?);
        } else {
            print!("{}", self.table());
        }
        Ok(if self.lost == 0 && self.duplicates == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn table(&self) -> String {
        let load: Vec<String> = self
            .load
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        let mut out = format!("{} of {}: {}\n\n", self.scenario, self.url, load.join(", "));
        let row = |cells: [&str; 7]| {
            let [run, rate, p50, p99, max, clients, server] = cells;
            format!(
                "{run:>8}  {rate:>14}  {p50:>10}  {p99:>10}  {max:>10}  {clients:>13}  {server:>12}\n"
            )
        };
        let rate = format!("{}/s", self.unit);
        out += &row(["run", &rate, "p50", "p99", "max", "clients, cores", "server, cores"]);
        for (n, run) in self.runs.iter().enumerate() {
            let latency = run
                .latency
                .map(|l| [l.p50_us, l.p99_us, l.max_us].map(milliseconds))
                .unwrap_or_default();
            let [p50, p99, max] = latency;
            let cores =
                |cores: Option<f64>| cores.map(|cores| format!("{cores:.2}")).unwrap_or_default();
            let (clients, server) = (cores(run.clients_cores), cores(run.server_cores));
            out += &row([
                &(n + 1).to_string(),
                &thousands(run.per_second),
                &p50,
                &p99,
                &max,
                &clients,
                &server,
            ]);
        }
        let Spread { median, min, max } = self.per_second;
        out += &row(["median", &thousands(median), "", "", "", "", ""]);
        let spread = if median > 0.0 { (max - min) / median * 100.0 } else { 0.0 };
        out += &format!("\n{spread:.1} % between the slowest and the fastest run, ");
        out += &format!("{} lost, {} came twice", self.lost, self.duplicates);
        if let Some(ns) = self.cores_apart_ns {
            out += &format!("; the cores are {ns} ns apart");
        }
        out.push('\n');
        out
    }
}

fn milliseconds(us: u32) -> String {
    format!("{:.2} ms", f64::from(us) / 1_000.0)
}

/// A whole number, in groups of three digits.
pub(super) fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report<'static> {
        let run = |per_second| Run {
            seconds: 1.0,
            count: per_second as u64,
            per_second,
            latency: Some(Latency { p50_us: 1_500, p99_us: 20_000, max_us: 21_000 }),
            clients_cores: Some(0.5),
            server_cores: None,
        };
        let load = serde_json::json!({"subscribers": 3});
        Report::new("fan-out", "ws://a", load, "deliveries", vec![run(900_000.0), run(1_100_000.0)])
    }

    #[test]
    fn a_table_has_each_run_and_the_middle() {
        let table = report().table();
        for part in [
            "fan-out of ws://a: subscribers 3",
            "900,000",
            "1.50 ms",
            "20.00 ms",
            "1,000,000",
            "20.0 % between",
        ] {
            assert!(table.contains(part), "{part} in\n{table}");
        }
        assert!(table.contains("0 lost, 0 came twice"), "{table}");
    }

    #[test]
    fn json_has_the_same() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["perSecond"]["median"], 1_000_000.0);
        assert_eq!(json["runs"][0]["latency"]["p99Us"], 20_000);
        assert_eq!((&json["lost"], &json["duplicates"]), (&0.into(), &0.into()));
    }
}
