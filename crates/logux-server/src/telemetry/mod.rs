//! Telemetry: every event of a server is recorded here once, and passed on to all sinks.
//!
//! Read [`event`], then [`log`] (events as log lines), [`metrics`] (events as numbers), [`traces`]
//! (the life of an action as spans) and [`inspector`] (the latest events, for developers).

pub(crate) mod event;
pub(crate) mod inspector;
mod log;
pub mod metrics;
pub mod traces;

use std::sync::Arc;

use crate::telemetry::{event::Event, inspector::Inspector, metrics::Metrics, traces::Traces};

/// Passes events on to the log, traces, metrics and the inspector. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telemetry(Arc<Sinks>);

#[derive(Debug, Default)]
struct Sinks {
    /// Whether log lines may show the content of actions.
    development: bool,
    metrics: Option<Metrics>,
    inspector: Option<Inspector>,
    traces: Traces,
}

impl Telemetry {
    pub(crate) fn new(metrics: Option<Metrics>, inspector: Option<Inspector>) -> Self {
        Self(Arc::new(Sinks {
            development: inspector.is_some(),
            metrics,
            inspector,
            traces: Traces::default(),
        }))
    }

    pub(crate) fn inspector(&self) -> Option<&Inspector> {
        self.0.inspector.as_ref()
    }

    pub(crate) fn traces(&self) -> &Traces {
        &self.0.traces
    }

    pub(crate) fn metrics(&self) -> Option<&Metrics> {
        self.0.metrics.as_ref()
    }

    /// Returns whether a sink uses events about actions that are removed from the log.
    pub(crate) fn records_cleaned(&self) -> bool {
        self.0.inspector.is_some() || log::records_cleaned()
    }

    /// Records an event.
    pub(crate) fn record(&self, event: &Event<'_>) {
        log::write(event, self.0.development);
        self.0.traces.record(event);
        if let Some(metrics) = &self.0.metrics {
            metrics.record(event);
        }
        if let Some(inspector) = &self.0.inspector {
            inspector.record(event);
        }
    }
}
