//! What waits for a collector: so much and no more, whatever the collector does.

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

use super::transport::Trouble;

/// How many spans wait at most. What is beyond is lost.
pub(super) const MAX_WAITING: usize = 8_192;

/// How many spans wait, and how many were lost.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: AtomicUsize,
    lost: AtomicU64,
}

/// Takes spans that have ended, as long as there is room. Nobody waits for room.
#[derive(Debug)]
pub(super) struct Bounded {
    batches: BatchSpanProcessor,
    backlog: Arc<Backlog>,
}

impl Bounded {
    pub(super) const fn new(batches: BatchSpanProcessor, backlog: Arc<Backlog>) -> Self {
        Self { batches, backlog }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        // The queue behind this would lose what is beyond its bound without telling us.
        if self.backlog.waiting.fetch_add(1, Relaxed) < MAX_WAITING {
            self.batches.on_end(span);
        } else {
            self.backlog.waiting.fetch_sub(1, Relaxed);
            self.backlog.lost.fetch_add(1, Relaxed);
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

/// Sends batches, and tells once when a collector begins to be in trouble and once when it is over.
#[derive(Debug)]
pub(super) struct Telling<E> {
    exporter: E,
    backlog: Arc<Backlog>,
    trouble: Trouble,
    collector: String,
    /// How many were lost when that was looked at last.
    known: AtomicU64,
    is_troubled: AtomicBool,
}

impl<E> Telling<E> {
    pub(super) const fn new(
        exporter: E,
        backlog: Arc<Backlog>,
        trouble: Trouble,
        collector: String,
    ) -> Self {
        let (known, is_troubled) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { exporter, backlog, trouble, collector, known, is_troubled }
    }

    /// Batches are sent one after the other, so nobody else looks meanwhile.
    fn tell(&self, problem: Option<String>) {
        let lost = self.backlog.lost.load(Relaxed);
        let loses = self.known.swap(lost, Relaxed) != lost;
        let problem = problem.or_else(|| loses.then(|| "it takes spans too slowly".to_owned()));
        let is_troubled = self.is_troubled.load(Relaxed);
        match problem {
            Some(error) if !is_troubled => {
                self.is_troubled.store(true, Relaxed);
                let collector = &self.collector;
                tracing::warn!(
                    event = "otlpDown",
                    collector,
                    error,
                    "Collector does not take traces: they are lost"
                );
            }
            None if is_troubled && self.backlog.waiting.load(Relaxed) < MAX_WAITING / 2 => {
                self.is_troubled.store(false, Relaxed);
                let collector = &self.collector;
                tracing::info!(event = "otlpBack", collector, lost, "Collector takes traces again");
            }
            _ => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for Telling<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.backlog.waiting.fetch_sub(spans, Relaxed);
        let sent = self.exporter.export(batch).await;
        let trouble = self.trouble.take();
        match &sent {
            // An attempt that failed and was repeated is no trouble.
            Ok(()) => self.tell(None),
            Err(error) => {
                self.backlog.lost.fetch_add(spans.try_into().unwrap_or(u64::MAX), Relaxed);
                self.tell(Some(trouble.unwrap_or_else(|| error.to_string())));
            }
        }
        sent
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

    /// A collector that takes nothing as long as it is held.
    #[derive(Debug)]
    struct Held(Arc<Mutex<usize>>);

    impl SpanExporter for Held {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            *self.0.lock().unwrap() += batch.len();
            Ok(())
        }
    }

    #[test]
    fn what_a_slow_collector_has_no_time_for_is_lost_and_not_kept() {
        const SPANS: usize = 3 * MAX_WAITING;
        let (taken, backlog) = (Arc::new(Mutex::new(0)), Arc::new(Backlog::default()));
        let exporter =
            Telling::new(Held(taken.clone()), backlog.clone(), Trouble::default(), String::new());
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(
            opentelemetry_sdk::trace::BatchConfigBuilder::default()
                .with_max_queue_size(MAX_WAITING)
                .build(),
        );
        let processor = Bounded::new(batches.build(), backlog.clone());
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("test");
        let held = taken.lock().unwrap();
        (0..SPANS).for_each(|_| drop(tracer.start("span")));
        assert!(backlog.waiting.load(Relaxed) <= MAX_WAITING);
        let lost = usize::try_from(backlog.lost.load(Relaxed)).unwrap();
        assert!(lost >= MAX_WAITING, "{lost}");
        drop(held);
        provider.shutdown().unwrap();
        assert_eq!((*taken.lock().unwrap() + lost, backlog.waiting.load(Relaxed)), (SPANS, 0));
    }
}
