//! Traces of actions, sent to an OpenTelemetry collector over HTTP.
//!
//! `collector` says where it is, `transport` carries requests there, `backlog` bounds what waits for it and tells of its troubles once,
//! `open` knows what has not ended yet.

mod backlog;
mod collector;
mod open;
mod transport;

pub(crate) use collector::{Collector, CollectorError};

use std::{sync::Arc, time::Duration};

use logux_server::traces::TARGET;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, ResourceDetector as _, SdkProvidedResourceDetector},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use tokio::time::timeout;
use tracing::{Level, Subscriber};
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use crate::{options::Traces, talk::Failed};
use backlog::{Backlog, Bounded, MAX_WAITING, Telling};
use open::Open;
use transport::{Transport, Trouble};

/// How long the last spans may take at the end.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long spans may take to end once everything else has.
const LAST_STEPS: Duration = Duration::from_millis(200);
/// How long the collector may take for a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Spans on their way to a collector. They leave in batches, from a thread of their own.
#[derive(Debug)]
pub(crate) struct Otlp {
    provider: SdkTracerProvider,
    open: Open,
}

impl Otlp {
    /// Begins to send what its layer sees. `id` is that of the server, if it was given one.
    pub(crate) fn start(traces: &Traces, id: Option<&str>) -> Result<Self, Failed> {
        let trouble = Trouble::default();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Transport::new(&traces.collector, PATIENCE, trouble.clone())?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(traces.collector.url())
            .with_timeout(PATIENCE)
            .build()?;
        let backlog = Arc::new(Backlog::default());
        let exporter =
            Telling::new(exporter, backlog.clone(), trouble, traces.collector.to_string());
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(
            BatchConfigBuilder::default().with_max_queue_size(MAX_WAITING).build(),
        );
        let mut provider = SdkTracerProvider::builder()
            .with_span_processor(Bounded::new(batches.build(), backlog))
            .with_resource(resource(id));
        if let Some(ratio) = traces.ratio {
            provider = provider
                .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))));
        }
        Ok(Self { provider: provider.build(), open: Open::default() })
    }

    /// What a subscriber has to have. It sees the spans of actions and nothing else.
    pub(crate) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("logux"))
            // Places in our code and threads mean nothing to who reads about actions.
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .and_then(self.open.clone())
            .with_filter(Targets::new().with_target(TARGET, Level::DEBUG))
    }

    /// Sends what waits, within a bounded time.
    pub(crate) async fn finish(self) {
        // A handler that has given its last answer has still a step to go.
        let _ = timeout(LAST_STEPS, self.open.all_ended()).await;
        let provider = self.provider;
        let finished =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FAREWELL)).await;
        if let Ok(Err(error)) = finished {
            tracing::debug!(%error, "last spans were not sent");
        }
    }
}

/// What the spans are about: the service `logux` unless the variables of OpenTelemetry say something else.
fn resource(id: Option<&str>) -> Resource {
    const NAME: &str = "service.name";
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let id = id.map(|id| KeyValue::new("service.instance.id", id.to_owned()));
    let named = SdkProvidedResourceDetector.detect().get(&NAME.into()).map(|name| name.to_string());
    let name = named
        .filter(|name| !name.starts_with("unknown_service"))
        .unwrap_or_else(|| "logux".to_owned());
    Resource::builder_empty()
        .with_attributes([version].into_iter().chain(id))
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_service_name(name)
        .build()
}
