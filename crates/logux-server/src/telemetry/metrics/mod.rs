#![doc = include_str!("../../docs/metrics.md")]
// `Metrics` hears of every event and counts it. Whatever would cost something for each delivery is counted once for each action or
// round instead; lengths of queues are looked up when somebody asks.

mod actions;
mod backend;
mod connections;
pub(crate) mod stats;

use std::fmt;

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::telemetry::{event::Event, metrics::stats::StatsSnapshot};

/// The content type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All numbers of a server.
pub(crate) struct Metrics {
    registry: Registry,
    connections: connections::Connections,
    actions: actions::Actions,
    backend: backend::Backend,
    stats: stats::Gauges,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Nothing has happened yet. `types` are those action types that have numbers of their own from the beginning.
    pub(crate) fn new(types: impl IntoIterator<Item = String>) -> Self {
        let mut registry = Registry::with_prefix("logux");
        let registering = &mut registry;
        let build = Family::<Labels<1>, Gauge>::default();
        registering.register("build", "Version of the server", build.clone());
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        Self {
            connections: connections::Connections::register(registering),
            actions: actions::Actions::register(registering, types),
            backend: backend::Backend::register(registering),
            stats: stats::Gauges::register(registering),
            registry,
        }
    }

    /// Counts what happened.
    pub(crate) fn record(&self, event: &Event<'_>) {
        match event {
            Event::Hub(report) => self.actions.record(report),
            Event::Requested(entry) => self.actions.requested(entry),
            Event::Round { commands, took } => self.actions.round(*commands, *took),
            Event::BackendAsked { .. } | Event::BackendDown { .. } | Event::BackendBack => {
                self.backend.record(event)
            }
            _ => self.connections.record(event),
        }
    }

    /// Everything as text, with the levels of this moment where they could be found out.
    pub(crate) fn text(&self, stats: Option<&StatsSnapshot>) -> String {
        if let Some(stats) = stats {
            self.stats.set(stats);
        }
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Labels whose values are known beforehand.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Counters that differ in one label.
type ByLabel = Family<Labels<1>, Counter>;

/// How long something took, in seconds: from 100 µs to 30 s.
fn seconds() -> Histogram {
    Histogram::new([
        0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
    ])
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;

    fn backend_request() -> Event<'static> {
        Event::BackendAsked { command: "auth", outcome: "denied", took: Duration::from_millis(30) }
    }

    #[test]
    fn every_number_is_documented_and_the_other_way_round() {
        let metrics = Metrics::new(["say".to_owned()]);
        metrics.record(&backend_request());
        let text = metrics.text(Some(&StatsSnapshot::default()));
        let mut counted = BTreeSet::new();
        for line in text.lines() {
            if let Some((name, kind)) =
                line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
            {
                counted.insert(format!("{name}{}", if kind == "counter" { "_total" } else { "" }));
            }
        }
        let documented = include_str!("../../docs/metrics.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `"));
        let documented = documented.filter_map(|line| Some(line.split_once('`')?.0.to_owned()));
        assert_eq!(counted, documented.collect());
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn latency_and_failures_of_the_back_end_by_command() {
        let metrics = Metrics::new([]);
        metrics.record(&backend_request());
        metrics.record(&Event::BackendAsked {
            command: "action",
            outcome: "timedOut",
            took: Duration::from_secs(2),
        });
        metrics.record(&Event::BackendDown { pause: Duration::from_millis(1) });
        let text = metrics.text(None);
        for line in [
            r#"logux_backend_commands_total{command="auth",outcome="denied"} 1"#,
            r#"logux_backend_commands_total{command="action",outcome="timedOut"} 1"#,
            r#"logux_backend_command_seconds_bucket{le="0.025",command="auth"} 0"#,
            r#"logux_backend_command_seconds_bucket{le="0.05",command="auth"} 1"#,
            r#"logux_backend_command_seconds_sum{command="action"} 2.0"#,
            "logux_backend_down 1",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line} in {text}");
        }
        metrics.record(&Event::BackendBack);
        assert!(metrics.text(None).contains("\nlogux_backend_down 0\n"));
    }
}
