//! The state that all connections share, and the decision which clients may connect.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use logux::{
    MonoTime, NodeId, Now, WallTime,
    server::{Input, SessionId},
    sync::{self, Authentication, Subprotocols},
    wire::ErrorMessage,
};
use logux_net::{FrameLimits, drive::Clock};
use tokio::time::{sleep, timeout};

use crate::{
    connection::{
        auth::{Admission, AuthOutcome, Authenticator, Login, first_number, wrong_subprotocol},
        login_throttle::{LoginAttempt, LoginThrottle, TooManyWaiting},
        rate_limit::RateLimits,
        receive_budget::ReceiveBudget,
        registry::ConnectionRegistry,
        replacements::Replacements,
    },
    connection_info::ConnectionInfo,
    handlers::on_connect::BoundOnConnect,
    hub::{
        handle::{Handle, HubCommand, Inputs},
        outbox::OutboxLimits,
    },
    telemetry::{
        Telemetry,
        event::{Event, Failure, Limit},
    },
};

/// The time for which the end of a login is watched.
const MAX_LOGIN: Duration = Duration::from_hours(365 * 24);

/// The state that all connections share.
pub(crate) struct ConnectionShared {
    /// The configuration of new sync nodes. It changes when a back end names a new version of the
    /// application's own protocol.
    pub(crate) node_config: Mutex<Arc<sync::Config>>,
    pub(crate) admission: Admission,
    pub(crate) login_throttle: LoginThrottle,
    pub(crate) replacements: Replacements,
    pub(crate) authenticator: Authenticator,
    pub(crate) on_connect: Option<BoundOnConnect>,
    pub(crate) auth_timeout: Duration,
    /// The time by which a connection outlives its login.
    pub(crate) login_leeway: Duration,
    pub(crate) outbox: OutboxLimits,
    pub(crate) rate_limits: RateLimits,
    pub(crate) receive_budget: ReceiveBudget,
    /// The limits of the frames of clients that are authenticated.
    pub(crate) frame_limits: FrameLimits,
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

    /// Returns how long a client that was accepted has to wait, because it has replaced its own
    /// connections in a burst.
    pub(crate) fn pause_after_replacements(&self, node: &NodeId) -> Option<Duration> {
        let pause = self.replacements.pause(self.clock.now().mono, node.client_id())?;
        let limit = Limit::Replacements;
        self.telemetry().record(&Event::Limited { node: Some(node), address: None, limit });
        Some(pause)
    }

    /// Decides whether a client may connect. Returns the end of its login, if it has one, after the
    /// claims are stored in its connection info.
    ///
    /// # Errors
    /// The reason why it may not.
    pub(crate) async fn authenticate(
        &self,
        session: SessionId,
        info: &ConnectionInfo,
        request: &Authentication,
    ) -> Result<Option<MonoTime>, Rejection> {
        self.admission.check(request)?;
        let address = info.remote.map(|remote| remote.ip());
        let mut attempt = self.login_throttle.attempt(address, request.node.user_id());
        self.wait(&mut attempt, &request.node, address).await?;
        let result = self.call_authenticator(session, info, request).await;
        if let Err(Rejection::Failed) = result {
            return result;
        }
        self.wait(&mut attempt, &request.node, address).await?;
        match &result {
            Ok(_) => attempt.succeeded(),
            Err(Rejection::Refused { error, .. })
                if *error == ErrorMessage::wrong_credentials() =>
            {
                attempt.failed(self.clock.now().mono);
            }
            Err(_) => {}
        }
        result
    }

    /// Waits as long as a login has to because of wrong ones.
    async fn wait(
        &self,
        attempt: &mut LoginAttempt<'_>,
        node: &NodeId,
        address: Option<IpAddr>,
    ) -> Result<(), Rejection> {
        loop {
            let permit = attempt.wait(self.clock.now().mono);
            if !matches!(permit, Ok(None)) {
                let limit = Limit::WrongLogins;
                self.telemetry().record(&Event::Limited { node: Some(node), address, limit });
            }
            match permit {
                Ok(None) => return Ok(()),
                Ok(Some(permit)) => sleep(permit.delay).await,
                Err(TooManyWaiting) => return Err(Rejection::Failed),
            }
        }
    }

    async fn call_authenticator(
        &self,
        session: SessionId,
        info: &ConnectionInfo,
        request: &Authentication,
    ) -> Result<Option<MonoTime>, Rejection> {
        let failed = |error: &dyn std::fmt::Display, rejection| {
            self.telemetry().record(&Event::Failed {
                what: Failure::Login { session, node: &request.node },
                error,
            });
            Err(rejection)
        };
        let wrong_credentials = || ErrorMessage::wrong_credentials().into();
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
            // As in the reference: most handlers fail because they cannot decode a token. Otherwise
            // such tokens would not count as wrong ones.
            Ok(Err(error)) => return failed(&error.message(), wrong_credentials()),
            Err(_) => return failed(&"timed out", Rejection::Failed),
        };
        match outcome {
            AuthOutcome::Accepted { until, subprotocol, claims } => {
                let end = until.map(|until| self.end_of_login(until)).transpose()?.flatten();
                let claims = info.claims.get_or_init(|| claims.unwrap_or_default());
                self.handle.known_claims().record(&request.node, claims);
                if let Some(version) = subprotocol {
                    self.set_subprotocol(version).await;
                }
                Ok(end)
            }
            AuthOutcome::Denied { why } => {
                Err(Rejection::Refused { error: ErrorMessage::wrong_credentials(), why })
            }
            AuthOutcome::Unavailable { why } => failed(&why, Rejection::Failed),
            AuthOutcome::WrongSubprotocol { supported } => {
                Err(wrong_subprotocol(&supported, &request.subprotocol).into())
            }
        }
    }

    /// Returns the time at which the connection of a login is closed. `None` if the login is longer
    /// than connections are.
    fn end_of_login(&self, until: WallTime) -> Result<Option<MonoTime>, Rejection> {
        let Now { wall, mono } = self.clock.now();
        let remaining = u64::try_from(until.since(wall)).map(Duration::from_millis);
        let remaining = match remaining {
            Ok(remaining) => remaining.saturating_add(self.login_leeway),
            Err(_) => {
                let past = Duration::from_millis(wall.since(until).unsigned_abs());
                self.login_leeway.saturating_sub(past)
            }
        };
        if remaining.is_zero() {
            return Err(ErrorMessage::wrong_credentials().into());
        }
        Ok((remaining < MAX_LOGIN).then(|| mono.after(remaining)))
    }

    /// Sets the version of the application's own protocol, for this client and later ones.
    async fn set_subprotocol(&self, version: Arc<str>) {
        let number = first_number(&version);
        {
            let mut config = self.node_config.lock().unwrap_or_else(PoisonError::into_inner);
            if config.subprotocol.semver.as_ref() == Some(&version) {
                return;
            }
            let subprotocol = Subprotocols { number, semver: Some(version) };
            *config = Arc::new(sync::Config { subprotocol, ..(**config).clone() });
        }
        // The actions of the server have this version too.
        let input = Inputs::from_iter([Input::Subprotocol(number)]);
        self.handle.send_command(HubCommand::Inputs(input)).await;
    }
}

/// Why a client may not connect.
pub(crate) enum Rejection {
    /// This error is sent to the client, which does not connect again by itself.
    Refused {
        error: ErrorMessage,
        /// The cause, for the log.
        why: Option<String>,
    },
    /// The decision failed, and the client may connect again.
    Failed,
}

impl From<ErrorMessage> for Rejection {
    fn from(error: ErrorMessage) -> Self {
        Self::Refused { error, why: None }
    }
}
