//! Requests to a collector.

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

use super::Collector;

/// The last thing that went wrong: the exporter itself tells no more than that something did.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    fn note(&self, problem: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
    }

    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A client whose requests run where sockets can be waited for. Who asks is a thread of the SDK's outside of the runtime.
pub(super) struct Transport {
    client: Arc<dyn HttpClient>,
    runtime: Handle,
    trouble: Trouble,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

impl Transport {
    /// A client for this collector. Has to be called within a runtime.
    pub(super) fn new(
        collector: &Collector,
        patience: Duration,
        trouble: Trouble,
    ) -> std::io::Result<Self> {
        let client: Arc<dyn HttpClient> = if collector.is_https() {
            // The certificates of the system, so that those of one's own organisation count.
            let connector = HttpsConnectorBuilder::new()
                .with_native_roots()?
                .https_only()
                .enable_http1()
                .build();
            Arc::new(HyperClient::new(connector, patience, None))
        } else {
            Arc::new(HyperClient::new(HttpConnector::new(), patience, None))
        };
        Ok(Self { client, runtime: Handle::current(), trouble })
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { client.send_bytes(request).await }).await;
        let response = sent.map_err(HttpError::from).flatten();
        match &response {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => {
                self.trouble.note(format!("it answered with HTTP status {}", response.status()))
            }
            Err(error) if error.is::<Elapsed>() => {
                self.trouble.note("it was silent for too long".to_owned())
            }
            Err(error) => self.trouble.note(root_cause(&**error)),
        }
        response
    }
}

fn root_cause(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .last()
        .map_or_else(String::new, ToString::to_string)
}
