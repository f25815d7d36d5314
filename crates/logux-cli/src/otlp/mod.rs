//! Traces of actions, exported to an OpenTelemetry collector over HTTP.
//!
//! `http_client` sends the requests, `backlog` limits the spans that are queued and logs when the
//! collector fails and recovers, `open_spans` counts the spans that have not ended.

mod backlog;
mod http_client;
mod open_spans;

use std::{io, sync::Arc, time::Duration};

use logux_server::traces::TARGET;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, ResourceDetector as _, SdkProvidedResourceDetector},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use tokio::time::timeout;
use tracing::{Level, Subscriber};
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use crate::config::serve_config::OtlpConfig;
use backlog::{Backlog, BoundedProcessor, LoggingExporter, MAX_QUEUED_SPANS};
use http_client::{LastError, OtlpHttpClient};
use open_spans::OpenSpans;

/// The time-out for the export of the remaining spans at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);
/// The time-out for open spans to end at shutdown.
const OPEN_SPANS_TIMEOUT: Duration = Duration::from_millis(200);
/// The time-out of a request to the collector.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The exporter could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OtlpError {
    #[error("cannot read the root certificates of the system: {0}")]
    RootCertificates(io::Error),
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
}

/// The export of spans to a collector: in batches, from a thread of the SDK.
#[derive(Debug)]
pub(crate) struct OtlpPipeline {
    provider: SdkTracerProvider,
    open_spans: OpenSpans,
}

impl OtlpPipeline {
    /// Starts to export the spans that [`layer`](Self::layer) records. `server_id` is the
    /// configured id of the server.
    pub(crate) fn start(config: &OtlpConfig, server_id: Option<&str>) -> Result<Self, OtlpError> {
        let last_error = LastError::default();
        let client = OtlpHttpClient::new(&config.collector, REQUEST_TIMEOUT, last_error.clone())
            .map_err(OtlpError::RootCertificates)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(config.collector.url())
            .with_timeout(REQUEST_TIMEOUT)
            .build()?;
        let backlog = Arc::new(Backlog::default());
        let collector = config.collector.to_string();
        let exporter = LoggingExporter::new(exporter, backlog.clone(), last_error, collector);
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(
            BatchConfigBuilder::default().with_max_queue_size(MAX_QUEUED_SPANS).build(),
        );
        let mut provider = SdkTracerProvider::builder()
            .with_span_processor(BoundedProcessor::new(batches.build(), backlog))
            .with_resource(resource(server_id));
        if let Some(ratio) = config.ratio {
            provider = provider
                .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))));
        }
        Ok(Self { provider: provider.build(), open_spans: OpenSpans::default() })
    }

    /// Returns the layer that records the spans of actions, and no other spans.
    pub(crate) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("logux"))
            // Source locations and threads of the server do not describe an action.
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .and_then(self.open_spans.clone())
            .with_filter(Targets::new().with_target(TARGET, Level::DEBUG))
    }

    /// Exports the remaining spans, within a bounded time.
    pub(crate) async fn shutdown(self) {
        // The span of a handler ends shortly after its response was sent.
        let _ = timeout(OPEN_SPANS_TIMEOUT, self.open_spans.all_ended()).await;
        let provider = self.provider;
        let result =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT))
                .await;
        if let Ok(Err(error)) = result {
            tracing::debug!(%error, "The last spans were not sent");
        }
    }
}

/// Returns the resource that the spans describe: the service `logux`, unless the environment
/// variables of OpenTelemetry set another name.
fn resource(server_id: Option<&str>) -> Resource {
    const NAME: &str = "service.name";
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let instance = server_id.map(|id| KeyValue::new("service.instance.id", id.to_owned()));
    let detected =
        SdkProvidedResourceDetector.detect().get(&NAME.into()).map(|name| name.to_string());
    let name = detected
        .filter(|name| !name.starts_with("unknown_service"))
        .unwrap_or_else(|| "logux".to_owned());
    Resource::builder_empty()
        .with_attributes([version].into_iter().chain(instance))
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_service_name(name)
        .build()
}
