//! Metrics of documents.

use std::sync::Arc;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::telemetry::{event::Event, metrics::seconds_histogram};

/// The kind of documents, of which an application has few.
type Kind = [(&'static str, Arc<str>); 1];

pub(super) struct DocumentMetrics {
    open: Family<Kind, Gauge>,
    snapshots: Family<Kind, Counter>,
    settlement_seconds: Family<Kind, Histogram>,
    history_bytes: Family<Kind, Counter>,
}

impl DocumentMetrics {
    pub(super) fn register(
        registry: &mut Registry,
        kinds: impl IntoIterator<Item = Arc<str>>,
    ) -> Self {
        let new = Self {
            open: Family::default(),
            snapshots: Family::default(),
            settlement_seconds: Family::new_with_constructor(seconds_histogram),
            history_bytes: Family::default(),
        };
        // All begin at 0, so that their first increase is visible.
        for kind in kinds {
            let kind = [("kind", kind)];
            drop(new.open.get_or_create(&kind));
            drop(new.snapshots.get_or_create(&kind));
            drop(new.settlement_seconds.get_or_create(&kind));
            drop(new.history_bytes.get_or_create(&kind));
        }
        registry.register("documents_open", "Documents in memory, by kind", new.open.clone());
        let snapshots = "Snapshots that were made to settle documents, by kind";
        registry.register("document_snapshots", snapshots, new.snapshots.clone());
        let seconds = "Time to settle a document, by kind";
        registry.register("document_settlement_seconds", seconds, new.settlement_seconds.clone());
        let bytes = "Bytes of actions and snapshots that were added to the history, by kind";
        registry.register("document_history_bytes", bytes, new.history_bytes.clone());
        new
    }

    pub(super) fn record(&self, event: &Event<'_>) {
        let label = |kind: &Arc<str>| [("kind", kind.clone())];
        let number = |count: &usize| i64::try_from(*count).unwrap_or(i64::MAX);
        match event {
            Event::DocumentsOpened { kind, count } => {
                self.open.get_or_create(&label(kind)).inc_by(number(count));
            }
            Event::DocumentsClosed { kind, count } => {
                self.open.get_or_create(&label(kind)).dec_by(number(count));
            }
            Event::Settled { kind, is_snapshot, archived, took } => {
                let kind = label(kind);
                self.snapshots.get_or_create(&kind).inc_by(u64::from(*is_snapshot));
                self.settlement_seconds.get_or_create(&kind).observe(took.as_secs_f64());
                self.history_bytes.get_or_create(&kind).inc_by(*archived);
            }
            _ => {}
        }
    }
}
