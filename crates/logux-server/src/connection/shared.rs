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
        auth::{Admission, Authenticator, Login, Verdict, first_number, wrong_subprotocol},
        login_throttle::Attempts,
        rate_limit::Paces,
        registry::Open,
    },
    connection_info::Origin,
    handlers::on_connect::Greet,
    hub::{handle::Handle, outbox::OutboxLimits},
    telemetry::{
        Watch,
        event::{Event, Failure, Limit},
    },
};

/// What all connections share.
pub(crate) struct Shared {
    /// The settings of new connections. A back end may tell its version of the application's protocol any time.
    pub(crate) node: Mutex<Arc<sync::Config>>,
    pub(crate) admission: Admission,
    pub(crate) attempts: Attempts,
    pub(crate) authenticator: Authenticator,
    pub(crate) greet: Option<Greet>,
    pub(crate) auth_timeout: Duration,
    pub(crate) outbox: OutboxLimits,
    pub(crate) paces: Paces,
    pub(crate) handle: Handle,
    pub(crate) clock: Clock,
    pub(crate) open: Open,
    pub(crate) last_session: AtomicU64,
}

impl Shared {
    pub(crate) fn watch(&self) -> &Watch {
        self.handle.watch()
    }

    pub(crate) fn node_config(&self) -> Arc<sync::Config> {
        // Every change is one assignment: a panic of another holder leaves the value whole.
        self.node.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a client may come in, and why not.
    pub(crate) async fn decide(
        &self,
        session: SessionId,
        origin: &Origin,
        who: &Authentication,
    ) -> Result<(), Refusal> {
        self.admission.check(who)?;
        let Some(remote) = origin.remote else {
            return self.ask_application(session, origin, who).await;
        };
        let are_used_up = || self.attempts.are_used_up(self.clock.now().mono, remote.ip());
        let mut decided = Err(ErrorMessage::wrong_credentials().into());
        if !are_used_up() {
            decided = self.ask_application(session, origin, who).await;
        }
        // Asked again, since guesses may be made side by side: none of a burst may learn more than the first few.
        if are_used_up() {
            let (node, address) = (Some(&who.node), Some(remote.ip()));
            self.watch().note(&Event::Limited { node, address, limit: Limit::WrongLogins });
            decided = Err(ErrorMessage::wrong_credentials().into());
        }
        if matches!(&decided, Err(Refusal::Told(error)) if *error == ErrorMessage::wrong_credentials())
        {
            self.attempts.note(self.clock.now().mono, remote.ip());
        }
        decided
    }

    async fn ask_application(
        &self,
        session: SessionId,
        origin: &Origin,
        who: &Authentication,
    ) -> Result<(), Refusal> {
        let failed = |error: &dyn std::fmt::Display| {
            self.watch()
                .note(&Event::Failed { what: Failure::Login { session, node: &who.node }, error });
            Err(Refusal::Failed)
        };
        let login = Login {
            node: who.node.clone(),
            token: who.secret.clone(),
            subprotocol: who.subprotocol.clone(),
            headers: who.headers.clone(),
            http_headers: origin.http_headers.clone(),
            remote: origin.remote,
        };
        let verdict = match timeout(self.auth_timeout, (self.authenticator)(login)).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(error)) => return failed(&error.in_words()),
            Err(_) => return failed(&"it took too long"),
        };
        match verdict {
            Verdict::Welcome { subprotocol } => {
                if let Some(version) = subprotocol {
                    self.set_subprotocol(version);
                }
                Ok(())
            }
            Verdict::Denied => Err(ErrorMessage::wrong_credentials().into()),
            Verdict::WrongSubprotocol { supported } => {
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
pub(crate) enum Refusal {
    /// For this reason, which it is told. It will not try again by itself.
    Told(ErrorMessage),
    /// Nobody can say: it may try again.
    Failed,
}

impl From<ErrorMessage> for Refusal {
    fn from(error: ErrorMessage) -> Self {
        Self::Told(error)
    }
}
