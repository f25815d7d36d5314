//! Actions that the back end sends on its own account: `POST /`.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::{StatusCode, body::Body};
use ipnet::IpNet;
use logux::{backend::ControlRequest, server::AddAction};
use subtle::ConstantTimeEq as _;
use tokio::time::timeout;

use crate::{
    backend::Backend,
    connection::shared::ConnectionShared,
    hub::handle::AddError,
    networks::contain,
    telemetry::event::{Event, Limit},
};

/// How long the back end may take to send its request.
const BODY: Duration = Duration::from_secs(15);

/// Who may send actions, and what the application does with them.
pub(crate) struct ControlEndpoint {
    secret: Arc<str>,
    mask: Vec<IpNet>,
    max_bytes: usize,
    /// Whether actions of a type have handlers here. Others are sent as they are: the back end has done them.
    has_handlers: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

/// A status and what to say about it. The texts are the reference's.
type ControlResponse = (StatusCode, &'static str);

impl ControlEndpoint {
    pub(crate) fn new(
        backend: &Backend,
        max_bytes: usize,
        has_handlers: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            secret: backend.secret().clone(),
            mask: backend.mask().to_vec(),
            max_bytes,
            has_handlers: Box::new(has_handlers),
        }
    }

    /// Answers a request: the status, and what to say about it.
    pub(crate) async fn respond<B>(
        &self,
        shared: &ConnectionShared,
        body: B,
        remote: Option<IpAddr>,
    ) -> ControlResponse
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self.add(shared, body, remote).await {
            Ok(()) => (StatusCode::OK, ""),
            Err(refusal) => refusal,
        }
    }

    async fn add<B>(
        &self,
        shared: &ConnectionShared,
        body: B,
        remote: Option<IpAddr>,
    ) -> Result<(), ControlResponse>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let remote = remote.map(|address| address.to_canonical());
        if remote.is_some_and(|address| !contain(&self.mask, address)) {
            shared.handle.telemetry().record(&Event::WrongControlIp { address: remote });
            return Err((
                StatusCode::FORBIDDEN,
                "IP address is not in LOGUX_CONTROL_MASK/controlMask",
            ));
        }
        let body = timeout(BODY, Limited::new(body, self.max_bytes).collect())
            .await
            .map_err(|_| (StatusCode::REQUEST_TIMEOUT, "Too slow"))?
            .map_err(|_| (StatusCode::PAYLOAD_TOO_LARGE, "Too long"))?
            .to_bytes();
        let wrong = |error: logux::backend::ControlError| {
            let text = match error {
                logux::backend::ControlError::Format => "Wrong format",
                logux::backend::ControlError::Version => {
                    "Back-end protocol version is not supported"
                }
                logux::backend::ControlError::Command => "Wrong command",
                _ => "Wrong body",
            };
            (StatusCode::BAD_REQUEST, text)
        };
        let request = ControlRequest::from_json(&body).map_err(wrong)?;
        self.check(shared, &request, remote)?;
        for (action, meta) in request.actions().map_err(wrong)? {
            let process = (self.has_handlers)(action.kind());
            let addition =
                AddAction { action, draft: meta.draft, to: meta.to, process, ticket: None };
            if shared.handle.add(addition).await == Err(AddError::Stopped) {
                return Err((StatusCode::SERVICE_UNAVAILABLE, "The server is stopping"));
            }
        }
        Ok(())
    }

    fn check(
        &self,
        shared: &ConnectionShared,
        request: &ControlRequest,
        remote: Option<IpAddr>,
    ) -> Result<(), ControlResponse> {
        let now = || shared.clock.now().mono;
        if remote.is_some_and(|address| shared.login_throttle.is_blocked(now(), address)) {
            shared.handle.telemetry().record(&Event::Limited {
                node: None,
                address: remote,
                limit: Limit::WrongLogins,
            });
            return Err((StatusCode::TOO_MANY_REQUESTS, "Too many wrong secret attempts"));
        }
        if request.secret.as_bytes().ct_eq(self.secret.as_bytes()).into() {
            return Ok(());
        }
        if let Some(address) = remote {
            shared.login_throttle.record_failure(now(), address);
        }
        shared.handle.telemetry().record(&Event::WrongControlSecret { address: remote });
        Err((StatusCode::FORBIDDEN, "Wrong secret"))
    }
}
