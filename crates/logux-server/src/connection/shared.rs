//! The state that all connections share, and the decision which clients may connect.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use logux::{
    server::SessionId,
    sync::{self, Authentication, Subprotocols},
    wire::ErrorMessage,
};
use logux_net::drive::Clock;
use tokio::time::timeout;

use crate::{
    connection::{
        auth::{Admission, AuthOutcome, Authenticator, Login, first_number, wrong_subprotocol},
        login_throttle::LoginThrottle,
        rate_limit::RateLimits,
        registry::ConnectionRegistry,
    },
    connection_info::ConnectionInfo,
    handlers::on_connect::BoundOnConnect,
    hub::{handle::Handle, outbox::OutboxLimits},
    telemetry::{
        Telemetry,
        event::{Event, Failure, Limit},
    },
};

/// The state that all connections share.
pub(crate) struct ConnectionShared {
    /// The configuration of new sync nodes. It changes when a back end names a new version of the
    /// application's own protocol.
    pub(crate) node_config: Mutex<Arc<sync::Config>>,
    pub(crate) admission: Admission,
    pub(crate) login_throttle: LoginThrottle,
    pub(crate) authenticator: Authenticator,
    pub(crate) on_connect: Option<BoundOnConnect>,
    pub(crate) auth_timeout: Duration,
    pub(crate) outbox: OutboxLimits,
    pub(crate) rate_limits: RateLimits,
    pub(crate) handle: Handle,
    pub(crate) clock: Clock,
    pub(crate) connections: ConnectionRegistry,
    pub(crate) last_session: AtomicU64,
}

impl ConnectionShared {
    pub(crate) fn telemetry(&self) -> &Telemetry {
        self.handle.telemetry()
    }

    pub(crate) fn node_config(&self) -> Arc<sync::Config> {
        // A poisoned lock is consistent: every change is one assignment.
        self.node_config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Decides whether a client may connect.
    ///
    /// # Errors
    /// The reason why it may not.
    pub(crate) async fn authenticate(
        &self,
        session: SessionId,
        info: &ConnectionInfo,
        request: &Authentication,
    ) -> Result<(), Rejection> {
        self.admission.check(request)?;
        let Some(remote) = info.remote else {
            return self.call_authenticator(session, info, request).await;
        };
        let is_blocked = || self.login_throttle.is_blocked(self.clock.now().mono, remote.ip());
        let mut result = Err(ErrorMessage::wrong_credentials().into());
        if !is_blocked() {
            result = self.call_authenticator(session, info, request).await;
        }
        // Checked again, because logins run concurrently: only the first ones of a burst may learn
        // whether their credentials are correct.
        if is_blocked() {
            let (node, address) = (Some(&request.node), Some(remote.ip()));
            self.telemetry().record(&Event::Limited { node, address, limit: Limit::WrongLogins });
            result = Err(ErrorMessage::wrong_credentials().into());
        }
        if matches!(&result, Err(Rejection::Refused(error)) if *error == ErrorMessage::wrong_credentials())
        {
            self.login_throttle.record_failure(self.clock.now().mono, remote.ip());
        }
        result
    }

    async fn call_authenticator(
        &self,
        session: SessionId,
        info: &ConnectionInfo,
        request: &Authentication,
    ) -> Result<(), Rejection> {
        let failed = |error: &dyn std::fmt::Display| {
            self.telemetry().record(&Event::Failed {
                what: Failure::Login { session, node: &request.node },
                error,
            });
            Err(Rejection::Failed)
        };
        let login = Login {
            node: request.node.clone(),
            token: request.secret.clone(),
            subprotocol: request.subprotocol.clone(),
            headers: request.headers.clone(),
            http_headers: info.http_headers.clone(),
            remote: info.remote,
        };
        let outcome = match timeout(self.auth_timeout, (self.authenticator)(login)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => return failed(&error.message()),
            Err(_) => return failed(&"timed out"),
        };
        match outcome {
            AuthOutcome::Accepted { subprotocol } => {
                if let Some(version) = subprotocol {
                    self.set_subprotocol(version);
                }
                Ok(())
            }
            AuthOutcome::Denied => Err(ErrorMessage::wrong_credentials().into()),
            AuthOutcome::WrongSubprotocol { supported } => {
                Err(wrong_subprotocol(&supported, &request.subprotocol).into())
            }
        }
    }

    /// Sets the version of the application's own protocol, for this client and later ones.
    fn set_subprotocol(&self, version: Arc<str>) {
        let mut config = self.node_config.lock().unwrap_or_else(PoisonError::into_inner);
        if config.subprotocol.semver.as_ref() != Some(&version) {
            let subprotocol =
                Subprotocols { number: first_number(&version), semver: Some(version) };
            *config = Arc::new(sync::Config { subprotocol, ..(**config).clone() });
        }
    }
}

/// Why a client may not connect.
pub(crate) enum Rejection {
    /// This error is sent to the client, which does not connect again by itself.
    Refused(ErrorMessage),
    /// The decision failed, and the client may connect again.
    Failed,
}

impl From<ErrorMessage> for Rejection {
    fn from(error: ErrorMessage) -> Self {
        Self::Refused(error)
    }
}
