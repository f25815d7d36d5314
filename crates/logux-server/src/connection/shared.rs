//! What all connections share, and what they all ask first: who gets in.

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

/// What all connections share.
pub(crate) struct ConnectionShared {
    /// The settings of new connections. A back end may tell its version of the application's protocol any time.
    pub(crate) node: Mutex<Arc<sync::Config>>,
    pub(crate) admission: Admission,
    pub(crate) login_throttle: LoginThrottle,
    pub(crate) authenticator: Authenticator,
    pub(crate) greet: Option<BoundOnConnect>,
    pub(crate) auth_timeout: Duration,
    pub(crate) outbox: OutboxLimits,
    pub(crate) rate_limits: RateLimits,
    pub(crate) handle: Handle,
    pub(crate) clock: Clock,
    pub(crate) open: ConnectionRegistry,
    pub(crate) last_session: AtomicU64,
}

impl ConnectionShared {
    pub(crate) fn telemetry(&self) -> &Telemetry {
        self.handle.telemetry()
    }

    pub(crate) fn node_config(&self) -> Arc<sync::Config> {
        // Every change is one assignment: a panic of another holder leaves the value whole.
        self.node.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a client may come in, and why not.
    pub(crate) async fn decide(
        &self,
        session: SessionId,
        info: &ConnectionInfo,
        who: &Authentication,
    ) -> Result<(), Rejection> {
        self.admission.check(who)?;
        let Some(remote) = info.remote else {
            return self.ask_application(session, info, who).await;
        };
        let is_blocked = || self.login_throttle.is_blocked(self.clock.now().mono, remote.ip());
        let mut decided = Err(ErrorMessage::wrong_credentials().into());
        if !is_blocked() {
            decided = self.ask_application(session, info, who).await;
        }
        // Asked again, since guesses may be made side by side: none of a burst may learn more than the first few.
        if is_blocked() {
            let (node, address) = (Some(&who.node), Some(remote.ip()));
            self.telemetry().record(&Event::Limited { node, address, limit: Limit::WrongLogins });
            decided = Err(ErrorMessage::wrong_credentials().into());
        }
        if matches!(&decided, Err(Rejection::EventLog(error)) if *error == ErrorMessage::wrong_credentials())
        {
            self.login_throttle.record_failure(self.clock.now().mono, remote.ip());
        }
        decided
    }

    async fn ask_application(
        &self,
        session: SessionId,
        info: &ConnectionInfo,
        who: &Authentication,
    ) -> Result<(), Rejection> {
        let failed = |error: &dyn std::fmt::Display| {
            self.telemetry().record(&Event::Failed {
                what: Failure::Login { session, node: &who.node },
                error,
            });
            Err(Rejection::Failed)
        };
        let login = Login {
            node: who.node.clone(),
            token: who.secret.clone(),
            subprotocol: who.subprotocol.clone(),
            headers: who.headers.clone(),
            http_headers: info.http_headers.clone(),
            remote: info.remote,
        };
        let verdict = match timeout(self.auth_timeout, (self.authenticator)(login)).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(error)) => return failed(&error.in_words()),
            Err(_) => return failed(&"it took too long"),
        };
        match verdict {
            AuthOutcome::Accepted { subprotocol } => {
                if let Some(version) = subprotocol {
                    self.set_subprotocol(version);
                }
                Ok(())
            }
            AuthOutcome::Denied => Err(ErrorMessage::wrong_credentials().into()),
            AuthOutcome::WrongSubprotocol { supported } => {
                Err(wrong_subprotocol(&supported, &who.subprotocol).into())
            }
        }
    }

    /// The application has told its version: this and later clients get to know it.
    fn set_subprotocol(&self, version: Arc<str>) {
        let mut config = self.node.lock().unwrap_or_else(PoisonError::into_inner);
        if config.subprotocol.semver.as_ref() != Some(&version) {
            let subprotocol =
                Subprotocols { number: first_number(&version), semver: Some(version) };
            *config = Arc::new(sync::Config { subprotocol, ..(**config).clone() });
        }
    }
}

/// Why a client may not come in.
pub(crate) enum Rejection {
    /// For this reason, which it is told. It will not try again by itself.
    EventLog(ErrorMessage),
    /// Nobody can say: it may try again.
    Failed,
}

impl From<ErrorMessage> for Rejection {
    fn from(error: ErrorMessage) -> Self {
        Self::EventLog(error)
    }
}
