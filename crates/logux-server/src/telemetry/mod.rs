//! Telemetry: every event of a server is recorded here once, and passed on to all sinks.
//!
//! Read [`event`], then [`log`] (events as log lines) and [`log_throttle`] (limits on the lines of
//! strangers), [`metrics`] (events as numbers), [`traces`] (the life of an action as spans) and
//! [`inspector`] (the latest events, for developers).

pub(crate) mod event;
pub(crate) mod inspector;
mod log;
mod log_throttle;
pub mod metrics;
pub mod traces;

use std::sync::Arc;

use logux_net::drive::Clock;
use tokio::runtime;

use crate::telemetry::{
    event::Event, inspector::Inspector, log_throttle::LogThrottle, metrics::Metrics, traces::Traces,
};

/// Passes events on to the log, traces, metrics and the inspector. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telemetry(Arc<Sinks>);

#[derive(Debug, Default)]
struct Sinks {
    /// Whether log lines may show the content of actions.
    development: bool,
    /// `None` writes all lines.
    log_throttle: Option<LogThrottle>,
    metrics: Option<Metrics>,
    inspector: Option<Inspector>,
    traces: Traces,
}

impl Telemetry {
    /// Must be called within a runtime.
    pub(crate) fn new(
        clock: Clock,
        metrics: Option<Metrics>,
        inspector: Option<Inspector>,
    ) -> Self {
        Self(Arc::new(Sinks {
            development: inspector.is_some(),
            log_throttle: Some(LogThrottle::new(clock, runtime::Handle::current())),
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
        let log_throttle = self.0.log_throttle.as_ref();
        if matches!(event, Event::Stopping) {
            log_throttle.inspect(|throttle| throttle.flush());
        }
        if log_throttle.is_none_or(|throttle| throttle.admits(event)) {
            log::write(event, self.0.development);
        }
        self.0.traces.record(event);
        if let Some(metrics) = &self.0.metrics {
            metrics.record(event);
        }
        if let Some(inspector) = &self.0.inspector {
            inspector.record(event);
        }
    }
}
