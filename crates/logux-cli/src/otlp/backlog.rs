//! The queue of spans for the collector: bounded, even when the collector is slow or fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};

use super::http_client::LastError;

/// The largest number of queued spans. Spans beyond it are dropped.
pub(super) const MAX_QUEUED_SPANS: usize = 8_192;

/// The number of queued spans, and of spans that were dropped.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queued: AtomicUsize,
    dropped: AtomicU64,
}

/// Queues ended spans, and drops them when [`MAX_QUEUED_SPANS`] are queued. Never blocks.
#[derive(Debug)]
pub(super) struct BoundedProcessor {
    batches: BatchSpanProcessor,
    backlog: Arc<Backlog>,
}

impl BoundedProcessor {
    pub(super) const fn new(batches: BatchSpanProcessor, backlog: Arc<Backlog>) -> Self {
        Self { batches, backlog }
    }
}

impl SpanProcessor for BoundedProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        // The queue of the SDK would drop spans beyond its limit without reporting it.
        if self.backlog.queued.fetch_add(1, Relaxed) < MAX_QUEUED_SPANS {
            self.batches.on_end(span);
        } else {
            self.backlog.queued.fetch_sub(1, Relaxed);
            self.backlog.dropped.fetch_add(1, Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Exports batches, and logs once when the collector begins to fail and once when it has recovered.
#[derive(Debug)]
pub(super) struct LoggingExporter<E> {
    exporter: E,
    backlog: Arc<Backlog>,
    last_error: LastError,
    collector: String,
    /// The number of dropped spans at the last check.
    reported_drops: AtomicU64,
    is_failing: AtomicBool,
}

impl<E> LoggingExporter<E> {
    pub(super) const fn new(
        exporter: E,
        backlog: Arc<Backlog>,
        last_error: LastError,
        collector: String,
    ) -> Self {
        let (reported_drops, is_failing) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { exporter, backlog, last_error, collector, reported_drops, is_failing }
    }

    /// Batches are exported one after the other, so there are no concurrent calls.
    fn log_transition(&self, error: Option<String>) {
        let dropped = self.backlog.dropped.load(Relaxed);
        let has_drops = self.reported_drops.swap(dropped, Relaxed) != dropped;
        let error = error.or_else(|| has_drops.then(|| "it receives spans too slowly".to_owned()));
        let is_failing = self.is_failing.load(Relaxed);
        match error {
            Some(error) if !is_failing => {
                self.is_failing.store(true, Relaxed);
                let collector = &self.collector;
                tracing::warn!(
                    event = "otlpDown",
                    collector,
                    error,
                    "Collector does not accept traces: they are dropped"
                );
            }
            None if is_failing && self.backlog.queued.load(Relaxed) < MAX_QUEUED_SPANS / 2 => {
                self.is_failing.store(false, Relaxed);
                let collector = &self.collector;
                tracing::info!(
                    event = "otlpBack",
                    collector,
                    lost = dropped,
                    "Collector accepts traces again"
                );
            }
            _ => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for LoggingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.backlog.queued.fetch_sub(spans, Relaxed);
        let result = self.exporter.export(batch).await;
        let last_error = self.last_error.take();
        match &result {
            // A failed attempt that was retried successfully is not a failure.
            Ok(()) => self.log_transition(None),
            Err(error) => {
                self.backlog.dropped.fetch_add(spans.try_into().unwrap_or(u64::MAX), Relaxed);
                self.log_transition(Some(last_error.unwrap_or_else(|| error.to_string())));
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    /// Blocks while the test holds the lock, and counts the exported spans.
    #[derive(Debug)]
    struct BlockingExporter(Arc<Mutex<usize>>);

    impl SpanExporter for BlockingExporter {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            *self.0.lock().unwrap() += batch.len();
            Ok(())
        }
    }

    #[test]
    fn spans_beyond_the_limit_are_dropped() {
        const SPANS: usize = 3 * MAX_QUEUED_SPANS;
        let (exported, backlog) = (Arc::new(Mutex::new(0)), Arc::new(Backlog::default()));
        let exporter = LoggingExporter::new(
            BlockingExporter(exported.clone()),
            backlog.clone(),
            LastError::default(),
            String::new(),
        );
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(
            opentelemetry_sdk::trace::BatchConfigBuilder::default()
                .with_max_queue_size(MAX_QUEUED_SPANS)
                .build(),
        );
        let processor = BoundedProcessor::new(batches.build(), backlog.clone());
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("test");
        let guard = exported.lock().unwrap();
        (0..SPANS).for_each(|_| drop(tracer.start("span")));
        assert!(backlog.queued.load(Relaxed) <= MAX_QUEUED_SPANS);
        let dropped = usize::try_from(backlog.dropped.load(Relaxed)).unwrap();
        assert!(dropped >= MAX_QUEUED_SPANS, "{dropped}");
        drop(guard);
        provider.shutdown().unwrap();
        assert_eq!((*exported.lock().unwrap() + dropped, backlog.queued.load(Relaxed)), (SPANS, 0));
    }
}
