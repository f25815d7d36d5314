//! Reports, as a table and as JSON.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    cores,
    error::BenchError,
    process::Process,
    samples::{LatencySamples, LatencySummary, Spread},
};

/// The report of a scenario, as it is printed with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BenchReport<'a> {
    pub(super) scenario: &'static str,
    pub(super) url: &'a str,
    /// The parameters of the load, by name.
    pub(super) load: serde_json::Value,
    /// The name of what is counted.
    pub(super) unit: &'static str,
    pub(super) per_second: Spread,
    pub(super) runs: Vec<RunReport>,
    pub(super) lost: u64,
    pub(super) duplicates: u64,
    /// The round-trip time between two cores, in nanoseconds.
    pub(super) cores_apart_ns: Option<u128>,
}

/// The result of one run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunReport {
    pub(super) seconds: f64,
    pub(super) count: u64,
    pub(super) per_second: f64,
    pub(super) latency: Option<LatencySummary>,
    /// The CPU usage of the clients, in cores.
    pub(super) clients_cores: Option<f64>,
    /// The CPU usage of the server, in cores, if its process is known.
    pub(super) server_cores: Option<f64>,
}

/// Measures the duration and the CPU usage of a run.
pub(super) struct Meter {
    start: Instant,
    clients: CpuUsage,
    server: Option<CpuUsage>,
}

/// A process, and its CPU time at the start of the run.
struct CpuUsage(Process, Option<Duration>);

impl CpuUsage {
    fn start(process: Process) -> Self {
        Self(process, process.cpu_time().ok())
    }

    /// Returns the average number of cores that were used in `elapsed`.
    fn cores(&self, elapsed: Duration) -> Option<f64> {
        let used = self.0.cpu_time().ok()?.checked_sub(self.1?)?;
        Some(used.as_secs_f64() / elapsed.as_secs_f64())
    }
}

impl Meter {
    /// Starts the measurement. `server` is the process id of the server.
    pub(super) fn start(server: Option<u32>) -> Self {
        Self {
            start: Instant::now(),
            clients: CpuUsage::start(Process::Current),
            server: server.map(|pid| CpuUsage::start(Process::Pid(pid))),
        }
    }

    /// Returns the time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Ends the measurement of a run with `count` completed operations.
    pub(super) fn finish(self, count: u64, samples: &mut LatencySamples) -> RunReport {
        let elapsed = self.start.elapsed();
        let seconds = elapsed.as_secs_f64();
        RunReport {
            seconds,
            count,
            per_second: count as f64 / seconds,
            clients_cores: self.clients.cores(elapsed),
            server_cores: self.server.and_then(|server| server.cores(elapsed)),
            latency: samples.take(),
        }
    }
}

impl<'a> BenchReport<'a> {
    /// Creates the report of runs, and measures the latency between cores.
    pub(super) fn new(
        scenario: &'static str,
        url: &'a str,
        load: serde_json::Value,
        unit: &'static str,
        runs: Vec<RunReport>,
    ) -> Self {
        let per_second = Spread::of(runs.iter().map(|run| run.per_second));
        let cores_apart_ns = cores::round_trip_time().map(|time| time.as_nanos());
        Self { scenario, url, load, unit, per_second, runs, lost: 0, duplicates: 0, cores_apart_ns }
    }

    /// Prints the report. The exit code tells whether everything was delivered exactly once.
    pub(super) fn print(&self, json: bool) -> Result<ExitCode, BenchError> {
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
            let row = format!(
                "{run:>8}  {rate:>14}  {p50:>10}  {p99:>10}  {max:>10}  {clients:>13}  {server:>12}"
            );
            row.trim_end().to_owned() + "\n"
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
        out += &format!("\n{spread:.1} % between the slowest and the fastest run; ");
        out += &format!("{} lost, {} duplicates", self.lost, self.duplicates);
        if let Some(ns) = self.cores_apart_ns {
            out += &format!("; {ns} ns round trip between cores");
        }
        out.push('\n');
        out
    }
}

fn milliseconds(us: u32) -> String {
    format!("{:.2} ms", f64::from(us) / 1_000.0)
}

/// Formats a rounded number with digits in groups of three.
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

    fn report() -> BenchReport<'static> {
        let run = |per_second| RunReport {
            seconds: 1.0,
            count: per_second as u64,
            per_second,
            latency: Some(LatencySummary { p50_us: 1_500, p99_us: 20_000, max_us: 21_000 }),
            clients_cores: Some(0.5),
            server_cores: None,
        };
        let load = serde_json::json!({"subscribers": 3});
        BenchReport::new(
            "fan-out",
            "ws://a",
            load,
            "deliveries",
            vec![run(900_000.0), run(1_100_000.0)],
        )
    }

    #[test]
    fn table_has_each_run_and_the_median() {
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
        assert!(table.contains("0 lost, 0 duplicates"), "{table}");
    }

    #[test]
    fn json_has_all_values() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["perSecond"]["median"], 1_000_000.0);
        assert_eq!(json["runs"][0]["latency"]["p99Us"], 20_000);
        assert_eq!((&json["lost"], &json["duplicates"]), (&0.into(), &0.into()));
    }
}
