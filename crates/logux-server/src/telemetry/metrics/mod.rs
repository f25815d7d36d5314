#![doc = include_str!("../../docs/metrics.md")]
// `Metrics` counts every event. To keep deliveries cheap, values that would cost something for each
// of them are counted once for each action or round; lengths of queues are read when the metrics
// are requested.

mod actions;
mod backend;
mod connections;
mod documents;
pub(crate) mod stats;
mod store;

use std::{fmt, sync::Arc};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::telemetry::{event::Event, metrics::stats::StatsSnapshot};

/// The content type of the metrics: OpenMetrics text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of a server.
pub(crate) struct Metrics {
    registry: Registry,
    connections: connections::ConnectionMetrics,
    actions: actions::ActionMetrics,
    backend: backend::BackendMetrics,
    documents: documents::DocumentMetrics,
    stats: stats::Gauges,
    store: store::StoreMetrics,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Creates metrics without recorded events. `types` are the action types with metrics of their
    /// own from the start, and `kinds` those of documents.
    pub(crate) fn new(
        types: impl IntoIterator<Item = String>,
        kinds: impl IntoIterator<Item = Arc<str>>,
    ) -> Self {
        let mut registry = Registry::with_prefix("logux");
        let registry_mut = &mut registry;
        let build = Family::<Labels<1>, Gauge>::default();
        registry_mut.register("build", "Version of the server", build.clone());
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        Self {
            connections: connections::ConnectionMetrics::register(registry_mut),
            actions: actions::ActionMetrics::register(registry_mut, types),
            backend: backend::BackendMetrics::register(registry_mut),
            documents: documents::DocumentMetrics::register(registry_mut, kinds),
            stats: stats::Gauges::register(registry_mut),
            store: store::StoreMetrics::register(registry_mut),
            registry,
        }
    }

    /// Counts an event.
    pub(crate) fn record(&self, event: &Event<'_>) {
        match event {
            Event::Hub(hub_event) => self.actions.record(hub_event),
            Event::Requested(entry) => self.actions.requested(entry),
            Event::Round { commands, took } => self.actions.round(*commands, *took),
            Event::BackendAsked { .. } | Event::BackendDown { .. } | Event::BackendBack => {
                self.backend.record(event)
            }
            Event::DocumentsOpened { .. }
            | Event::DocumentsClosed { .. }
            | Event::Settled { .. } => self.documents.record(event),
            Event::StoreUnavailable { .. } | Event::StoreAvailable { .. } => {
                self.store.record(event)
            }
            _ => self.connections.record(event),
        }
    }

    /// Returns all metrics as OpenMetrics text, with current gauges if `stats` is given.
    pub(crate) fn text(&self, stats: Option<&StatsSnapshot>) -> String {
        if let Some(stats) = stats {
            self.stats.set(stats);
        }
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Labels with values that are known at compile time.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Counters with one label.
type ByLabel = Family<Labels<1>, Counter>;

/// Returns a histogram of durations in seconds, from 100 µs to 30 s.
fn seconds_histogram() -> Histogram {
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
    fn the_documentation_lists_exactly_the_metrics() {
        let metrics = Metrics::new(["say".to_owned()], ["notes".into()]);
        metrics.record(&backend_request());
        let text = metrics.text(Some(&StatsSnapshot::default()));
        let mut registered = BTreeSet::new();
        for line in text.lines() {
            if let Some((name, kind)) =
                line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
            {
                registered
                    .insert(format!("{name}{}", if kind == "counter" { "_total" } else { "" }));
            }
        }
        let documented = include_str!("../../docs/metrics.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `"));
        let documented = documented.filter_map(|line| Some(line.split_once('`')?.0.to_owned()));
        assert_eq!(registered, documented.collect());
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_back_end_has_latency_and_failures_by_command() {
        let metrics = Metrics::new([], []);
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
