//! Metrics of the store of the server's log.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use crate::telemetry::event::Event;

pub(super) struct StoreMetrics {
    outages: Counter,
    available: Gauge,
}

impl StoreMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let new = Self { outages: Counter::default(), available: Gauge::default() };
        new.available.set(1);
        registry.register(
            "log_outages",
            "Times that the log could not be written for a while",
            new.outages.clone(),
        );
        registry.register(
            "log_available",
            "0 while the log cannot be written",
            new.available.clone(),
        );
        new
    }

    pub(super) fn record(&self, event: &Event<'_>) {
        match event {
            Event::StoreUnavailable { .. } => {
                self.outages.inc();
                self.available.set(0);
            }
            Event::StoreAvailable { .. } => {
                self.available.set(1);
            }
            _ => {}
        }
    }
}
