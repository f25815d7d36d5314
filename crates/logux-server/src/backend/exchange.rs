//! One request to a back end, its response, and retries.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use logux::backend::{BackendAnswer, BackendError, BackendReply, ResponseReader, request};
use logux_net::drive::Clock;
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::{
    backend::{Backend, breaker::Breaker, calls::Call, unexpected::ResponseSummary},
    error::BuildError,
    telemetry::{Telemetry, event::Event, traces::traceparent},
};

/// The delay before the first retry; it doubles before each further one.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(100);

/// The largest delay before a retry.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(3);

/// The largest time to wait for the beginning of the body of a refusal.
const MAX_SUMMARY_TIME: Duration = Duration::from_secs(1);

/// The reason why a back end did not respond.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("the back end cannot be reached: {0}")]
    Unreachable(String),
    #[error("the connection to the back end failed: {0}")]
    ConnectionLost(String),
    #[error("the back end did not respond in time")]
    TimedOut,
    #[error("the back end did not accept the request: {response}")]
    Status { status: StatusCode, response: String },
    #[error("invalid response from the back end: {error} ({response})")]
    Wrong { error: BackendError, response: String },
    #[error(
        "incomplete response from the back end: expected `approved` and `processed`, or a refusal"
    )]
    Incomplete,
    #[error("the back end is down")]
    Down,
}

impl ExchangeError {
    /// Returns its name in log lines and metrics.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::ConnectionLost(_) => "broken",
            Self::TimedOut => "timedOut",
            Self::Status { .. } => "status",
            Self::Wrong { .. } => "wrong",
            Self::Incomplete => "incomplete",
            Self::Down => "down",
        }
    }

    /// Returns whether the back end itself has failed, not only this command.
    fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::ConnectionLost(_) | Self::TimedOut => true,
            Self::Status { status, .. } => status.is_server_error(),
            Self::Wrong { .. } | Self::Incomplete | Self::Down => false,
        }
    }

    /// Returns whether the back end has certainly not taken the commands.
    fn is_unavailable(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Down => true,
            Self::Status { status, .. } => *status == StatusCode::SERVICE_UNAVAILABLE,
            _ => false,
        }
    }

    /// Returns whether to send the command again, after `retries` of at most `max_retries`.
    fn allows_retry(&self, call: &Call, retries: u32, max_retries: u32) -> bool {
        if call.waits_for_backend && self.is_unavailable() {
            return !call.was_answered;
        }
        let can_repeat = call.is_idempotent || self.is_unavailable();
        self.is_outage() && !call.was_answered && can_repeat && retries < max_retries
    }
}

pub(super) struct Exchange {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    secret: Arc<str>,
    timeout: Duration,
    retries: u32,
    max_answer_bytes: usize,
    breaker: Arc<Breaker>,
    clock: Clock,
    telemetry: Telemetry,
}

impl Exchange {
    pub(super) fn new(
        backend: &Backend,
        breaker: Arc<Breaker>,
        clock: Clock,
        telemetry: Telemetry,
    ) -> Result<Self, BuildError> {
        let wrong = |why: String| BuildError::Backend { url: backend.url.to_string(), why };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(error.to_string()))?;
        // Use the system's certificates, so that those of private authorities are accepted. Load
        // none without TLS.
        let config = match backend.url.scheme_str() {
            Some("https") => {
                config.with_native_roots().map_err(|error| wrong(error.to_string()))?
            }
            _ => config.with_root_certificates(RootCertStore::empty()),
        };
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(backend.timeout));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config.with_no_client_auth())
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .http2_only(backend.http2)
            .build(connector);
        Ok(Self {
            client,
            url: backend.url.clone(),
            secret: backend.secret.clone(),
            timeout: backend.timeout,
            retries: backend.retries,
            max_answer_bytes: backend.max_answer_bytes,
            breaker,
            telemetry,
            clock,
        })
    }

    /// Sends requests until every call has its last response or has failed. While the back end is
    /// down, calls that may wait for it are kept.
    pub(super) async fn execute(&self, mut calls: Vec<Call>) {
        let mut delay = FIRST_RETRY_DELAY;
        let mut retries = 0;
        loop {
            while let Err(pause) = self.breaker.try_acquire(self.clock.now().mono) {
                let (waiting, failed) = calls.into_iter().partition(|call| call.waits_for_backend);
                self.fail(failed, &ExchangeError::Down).await;
                calls = waiting;
                calls.retain(|call| !call.replies.is_closed());
                if calls.is_empty() {
                    return;
                }
                self.breaker.wait(pause).await;
            }
            let failure = match self.request(&mut calls).await {
                Ok(()) => ExchangeError::Incomplete,
                Err(failure) => failure,
            };
            if failure.is_outage() {
                self.breaker.failed(self.clock.now().mono);
            } else {
                self.breaker.succeeded();
            }
            let should_retry = |call: &Call| failure.allows_retry(call, retries, self.retries);
            let (retried, failed) = calls.into_iter().partition(should_retry);
            self.fail(failed, &failure).await;
            calls = retried;
            if calls.is_empty() {
                return;
            }
            self.telemetry.record(&Event::BackendRepeated { error: &failure });
            sleep(delay).await;
            (retries, delay) = (retries.saturating_add(1), (delay * 2).min(MAX_RETRY_DELAY));
        }
    }

    /// Sends one request. Removes the calls that have received their last response.
    async fn request(&self, calls: &mut Vec<Call>) -> Result<(), ExchangeError> {
        let body = request(&self.secret, calls.iter().map(|call| &call.command));
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // The commands in one request may belong to several traces; the header can name only one of
        // them.
        if let Some(parent) = calls.iter().find_map(|call| traceparent(&call.span)) {
            request.headers_mut().insert("traceparent", parent);
        }
        let response = timeout(self.timeout, self.client.request(request))
            .await
            .map_err(|_| ExchangeError::TimedOut)?;
        let response = response.map_err(|error| match error.is_connect() {
            true => ExchangeError::Unreachable(root_cause(&error)),
            false => ExchangeError::ConnectionLost(root_cause(&error)),
        })?;
        let status = response.status();
        let mut summary = ResponseSummary::new(status, response.headers());
        let mut body = response.into_body();
        if status.is_success() {
            return self.read(body, summary, calls).await;
        }
        let start = async {
            while !summary.is_full()
                && let Some(Ok(frame)) = body.frame().await
            {
                summary.push(frame.data_ref().map_or(&[], |bytes| bytes));
            }
        };
        let _ = timeout(self.timeout.min(MAX_SUMMARY_TIME), start).await;
        Err(ExchangeError::Status { status, response: summary.describe(&self.secret) })
    }

    async fn read(
        &self,
        mut body: Incoming,
        mut summary: ResponseSummary,
        calls: &mut Vec<Call>,
    ) -> Result<(), ExchangeError> {
        let wrong = |error, summary: &ResponseSummary| ExchangeError::Wrong {
            error,
            response: summary.describe(&self.secret),
        };
        let mut responses = ResponseReader::new(self.max_answer_bytes);
        while !calls.is_empty() {
            let Some(frame) =
                timeout(self.timeout, body.frame()).await.map_err(|_| ExchangeError::TimedOut)?
            else {
                return responses.finish().map_err(|error| wrong(error, &summary));
            };
            let frame = frame.map_err(|error| ExchangeError::ConnectionLost(root_cause(&error)))?;
            let bytes = frame.data_ref().map_or(&[][..], |bytes| bytes);
            summary.push(bytes);
            responses.push(bytes);
            while let Some(answer) = responses.next() {
                let answer = answer.map_err(|error| wrong(error, &summary))?;
                self.route(answer, calls).await;
            }
        }
        // Read the rest of the body, for a limited time, so that the connection can be reused.
        let _ = timeout(self.timeout, async {
            while body.frame().await.is_some_and(|frame| frame.is_ok()) {}
        })
        .await;
        Ok(())
    }

    /// Passes a response to its call. An error without a known id concerns all calls.
    async fn route(&self, answer: BackendAnswer, calls: &mut Vec<Call>) {
        let BackendAnswer { id, reply } = answer;
        let position = id.and_then(|id| calls.iter().position(|call| call.id == id));
        match (position, reply) {
            (Some(position), reply) => {
                let call = &mut calls[position];
                call.was_answered = true;
                let outcome = outcome(&reply);
                let is_awaited = call.replies.send(Ok(reply)).await.is_ok();
                if outcome.is_some() || !is_awaited {
                    self.record(&calls.swap_remove(position), outcome.unwrap_or("abandoned"));
                }
            }
            (None, BackendReply::Error { details }) => {
                for call in calls.drain(..) {
                    self.record(&call, "error");
                    let _ = call
                        .replies
                        .send(Ok(BackendReply::Error { details: details.clone() }))
                        .await;
                }
            }
            (None, reply) => {
                tracing::debug!(?reply, "the back end responded to an unknown command")
            }
        }
    }

    async fn fail(&self, calls: Vec<Call>, failure: &ExchangeError) {
        for call in calls {
            self.record(&call, failure.as_str());
            let _ = call.replies.send(Err(failure.clone())).await;
        }
    }

    fn record(&self, call: &Call, outcome: &'static str) {
        self.telemetry.record(&Event::BackendAsked {
            command: call.name,
            outcome,
            took: call.started.elapsed(),
        });
    }
}

/// Returns the name of a last response in log lines and metrics; `None` if more responses may
/// follow.
fn outcome(reply: &BackendReply) -> Option<&'static str> {
    match reply {
        BackendReply::Resend(_) | BackendReply::Approved | BackendReply::Action(_) => None,
        BackendReply::Authenticated { .. } => Some("authenticated"),
        BackendReply::Denied => Some("denied"),
        BackendReply::WrongSubprotocol { .. } => Some("wrongSubprotocol"),
        BackendReply::Forbidden => Some("forbidden"),
        BackendReply::Processed => Some("processed"),
        BackendReply::UnknownAction => Some("unknownAction"),
        BackendReply::UnknownChannel => Some("unknownChannel"),
        _ => Some("error"),
    }
}

/// Returns the innermost source of an error, because hyper's own messages are too general.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
