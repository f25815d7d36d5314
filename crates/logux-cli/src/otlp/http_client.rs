//! The HTTP client that sends requests to the collector.

use std::{
    error::Error,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, hyper::HyperClient};
use tokio::{runtime::Handle, time::error::Elapsed};

use crate::config::collector_url::CollectorUrl;

/// The last error of a request. The exporter itself reports only that it failed.
#[derive(Clone, Debug, Default)]
pub(super) struct LastError(Arc<Mutex<Option<String>>>);

impl LastError {
    fn set(&self, error: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A client that runs its requests on the tokio runtime. The SDK calls it from a thread of its own,
/// outside the runtime.
pub(super) struct OtlpHttpClient {
    client: Arc<dyn HttpClient>,
    runtime: Handle,
    last_error: LastError,
}

impl fmt::Debug for OtlpHttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpHttpClient").finish_non_exhaustive()
    }
}

impl OtlpHttpClient {
    /// Creates a client for a collector. Must be called within a runtime.
    pub(super) fn new(
        collector: &CollectorUrl,
        timeout: Duration,
        last_error: LastError,
    ) -> std::io::Result<Self> {
        let client: Arc<dyn HttpClient> = if collector.is_https() {
            // The system's root certificates, so that those of an organization are trusted.
            let connector = HttpsConnectorBuilder::new()
                .with_native_roots()?
                .https_only()
                .enable_http1()
                .build();
            Arc::new(HyperClient::new(connector, timeout, None))
        } else {
            Arc::new(HyperClient::new(HttpConnector::new(), timeout, None))
        };
        Ok(Self { client, runtime: Handle::current(), last_error })
    }
}

#[async_trait]
impl HttpClient for OtlpHttpClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let result = self.runtime.spawn(async move { client.send_bytes(request).await }).await;
        let response = result.map_err(HttpError::from).flatten();
        match &response {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => {
                self.last_error.set(format!("it responded with HTTP status {}", response.status()))
            }
            Err(error) if error.is::<Elapsed>() => {
                self.last_error.set("it did not respond in time".to_owned())
            }
            Err(error) => self.last_error.set(root_cause(&**error)),
        }
        response
    }
}

fn root_cause(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .last()
        .map_or_else(String::new, ToString::to_string)
}
