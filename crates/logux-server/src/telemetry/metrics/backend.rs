//! Metrics of the back end.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::telemetry::{
    event::Event,
    metrics::{Labels, seconds_histogram},
};

pub(super) struct BackendMetrics {
    commands: Family<Labels<2>, Counter>,
    seconds: Family<Labels<1>, Histogram>,
    down: Gauge,
}

impl BackendMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let new = Self {
            commands: Family::default(),
            seconds: Family::new_with_constructor(seconds_histogram),
            down: Gauge::default(),
        };
        let commands = "Commands that the back end has completed or failed, by command and outcome";
        registry.register("backend_commands", commands, new.commands.clone());
        let seconds =
            "Time from a command to its last response, with waiting and retries, by command";
        registry.register("backend_command_seconds", seconds, new.seconds.clone());
        registry.register(
            "backend_down",
            "1 while the back end is considered down",
            new.down.clone(),
        );
        new
    }

    pub(super) fn record(&self, event: &Event<'_>) {
        match event {
            Event::BackendAsked { command, outcome, took } => {
                self.commands.get_or_create(&[("command", *command), ("outcome", *outcome)]).inc();
                self.seconds.get_or_create(&[("command", *command)]).observe(took.as_secs_f64());
            }
            Event::BackendDown { .. } => {
                self.down.set(1);
            }
            Event::BackendBack => {
                self.down.set(0);
            }
            _ => {}
        }
    }
}
