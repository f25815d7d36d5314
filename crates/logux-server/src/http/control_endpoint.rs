//! Control requests: actions that the back end sends of its own accord, with `POST /`.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::{StatusCode, body::Body};
use ipnet::IpNet;
use logux::{
    backend::{ControlCommand, ControlRequest},
    server::AddAction,
};
use subtle::ConstantTimeEq as _;
use tokio::time::timeout;

use crate::{
    backend::Backend,
    connection::shared::ConnectionShared,
    http::secret_throttle::SecretThrottle,
    hub::handle::AddError,
    networks::contain,
    telemetry::event::{Event, Limit},
};

/// The time limit for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// The endpoint for control requests, with the conditions to accept them.
pub(crate) struct ControlEndpoint {
    secret: Arc<str>,
    mask: Vec<IpNet>,
    max_bytes: usize,
    secret_throttle: SecretThrottle,
    /// Returns whether actions of a type have handlers in this server. Others are sent without
    /// processing, because the back end has processed them.
    has_handlers: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

/// A status and its body. The texts are the reference's.
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
            secret_throttle: SecretThrottle::default(),
            has_handlers: Box::new(has_handlers),
        }
    }

    /// Responds to a control request with a status and a body. `remote` is `None` if a trusted
    /// proxy has not told the address; then the mask cannot be checked, and the request is refused.
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
        if remote.is_none_or(|address| !contain(&self.mask, address)) {
            shared.handle.telemetry().record(&Event::WrongControlIp { address: remote });
            return Err((
                StatusCode::FORBIDDEN,
                "IP address is not in LOGUX_CONTROL_MASK/controlMask",
            ));
        }
        let body = timeout(BODY_TIMEOUT, Limited::new(body, self.max_bytes).collect())
            .await
            .map_err(|_| (StatusCode::REQUEST_TIMEOUT, "Too slow"))?
            .map_err(|_| (StatusCode::PAYLOAD_TOO_LARGE, "Too long"))?
            .to_bytes();
        let bad_request = |error: logux::backend::ControlError| {
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
        let request = ControlRequest::from_json(&body).map_err(bad_request)?;
        self.check_secret(shared, &request, remote)?;
        for command in request.commands().map_err(bad_request)? {
            let (action, meta) = match command {
                ControlCommand::Action(added) => *added,
                ControlCommand::Unsubscribe { clients, channel } => {
                    shared.handle.unsubscribe(clients, channel).await;
                    continue;
                }
                ControlCommand::Disconnect { clients, is_final } => {
                    shared.handle.disconnect(clients, is_final).await;
                    continue;
                }
                _ => return Err((StatusCode::BAD_REQUEST, "Wrong command")),
            };
            let process = (self.has_handlers)(action.kind());
            let addition =
                AddAction { action, draft: meta.draft, to: meta.to, process, ticket: None };
            match shared.handle.add(addition).await {
                Err(AddError::Stopped) => {
                    return Err((StatusCode::SERVICE_UNAVAILABLE, "The server is stopping"));
                }
                Err(AddError::Unavailable) => {
                    return Err((StatusCode::SERVICE_UNAVAILABLE, "The log cannot be written now"));
                }
                Ok(()) | Err(AddError::Undone(_)) => {}
            }
        }
        Ok(())
    }

    fn check_secret(
        &self,
        shared: &ConnectionShared,
        request: &ControlRequest,
        remote: Option<IpAddr>,
    ) -> Result<(), ControlResponse> {
        let now = shared.clock.now().mono;
        if self.secret_throttle.is_blocked(now, remote) {
            shared.handle.telemetry().record(&Event::Limited {
                node: None,
                address: remote,
                limit: Limit::WrongSecrets,
            });
            return Err((StatusCode::TOO_MANY_REQUESTS, "Too many wrong secret attempts"));
        }
        if request.secret.as_bytes().ct_eq(self.secret.as_bytes()).into() {
            return Ok(());
        }
        self.secret_throttle.record_failure(now, remote);
        shared.handle.telemetry().record(&Event::WrongControlSecret { address: remote });
        Err((StatusCode::FORBIDDEN, "Wrong secret"))
    }
}
