//! The application is an HTTP server: it is asked about logins, actions and subscriptions in the Logux back-end protocol (`spec/backend.md`).

mod breaker;
mod calls;
mod exchange;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::Uri;
use ipnet::IpNet;
use logux::{
    backend::{ActionCommand, AuthCommand, BackendReply},
    server::{AddAction, HandlerResponse, Recipients, RequestKind},
};
use logux_net::drive::Clock;
use tokio::sync::mpsc;

use crate::{
    connection::auth::{AuthOutcome, Login},
    connection_info::cookies,
    error::{BuildError, HandlerError},
    handlers::context::Context,
    networks::read_networks,
    random_id::random_id,
    telemetry::Telemetry,
};

use calls::Calls;
use exchange::ExchangeError;

/// An HTTP server that is the application: everything that has no handler here is asked there.
///
/// ```
/// # use logux_server::Backend;
/// let backend = Backend::new("http://localhost:8000/logux", "a secret of both")?.control_mask("10.0.0.0/8, ::1")?;
/// # Ok::<(), logux_server::BuildError>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Backend {
    url: Uri,
    secret: Arc<str>,
    mask: Vec<IpNet>,
    /// How many requests may be under way. Beyond it, commands wait and go several in one request. 64.
    pub max_requests: usize,
    /// How many commands may go in one request then. 16; 1 for a back end that takes only one.
    pub max_commands: usize,
    /// Milliseconds of silence after which a request has failed. 30,000.
    pub timeout: Duration,
    /// How often what can be repeated is repeated: what did not reach the back end, and logins and subscriptions that were not answered. 2.
    pub retries: u32,
    /// After how many failures in a row the back end is taken for down. 5.
    pub max_failures: u32,
    /// Milliseconds after which a back end that was taken for down is tried again; until then actions are undone at once with
    /// the reason `backendUnavailable`. 3,000.
    pub reset_timeout: Duration,
    /// Speak HTTP/2 without TLS (with TLS the two ends agree on it by themselves). `false`.
    pub http2: bool,
    /// How many bytes one answer may have. 8 MiB.
    pub max_answer_bytes: usize,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("url", &self.to_string())
            .field("mask", &self.mask)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Backend {
    /// Its address, without the path and what may be secret in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}",
            self.url.scheme_str().unwrap_or_default(),
            self.url.host().unwrap_or_default()
        )?;
        self.url.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Backend {
    /// The back end at a URL, and the secret that it and this server show each other.
    ///
    /// # Errors
    /// [`BuildError::Backend`] when the URL is none of `http` or `https`, or the secret is empty.
    pub fn new(url: &str, secret: impl Into<Arc<str>>) -> Result<Self, BuildError> {
        let wrong = |why: &str| BuildError::Backend { url: url.to_owned(), why: why.to_owned() };
        let parsed: Uri =
            url.parse().map_err(|error: hyper::http::uri::InvalidUri| wrong(&error.to_string()))?;
        if !matches!(parsed.scheme_str(), Some("http" | "https"))
            || parsed.host().is_none_or(str::is_empty)
        {
            return Err(wrong("expected a URL such as http://localhost:8000/logux"));
        }
        let secret = secret.into();
        if secret.is_empty() {
            return Err(wrong("the secret is empty"));
        }
        let backend = Self {
            url: parsed,
            secret,
            mask: Vec::new(),
            max_requests: 64,
            max_commands: 16,
            timeout: Duration::from_secs(30),
            retries: 2,
            max_failures: 5,
            reset_timeout: Duration::from_secs(3),
            http2: false,
            max_answer_bytes: 8 * 1024 * 1024,
        };
        backend.control_mask("127.0.0.0/8, ::1")
    }

    /// From where the back end may send actions: addresses and networks, separated by commas. The loopback addresses unless given.
    ///
    /// # Errors
    /// [`BuildError::Mask`] when one is neither.
    pub fn control_mask(mut self, mask: &str) -> Result<Self, BuildError> {
        self.mask = read_networks(mask.split(',').map(str::trim).filter(|text| !text.is_empty()))?;
        Ok(self)
    }

    /// Changes how it is asked.
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn secret(&self) -> &Arc<str> {
        &self.secret
    }

    pub(crate) fn mask(&self) -> &[IpNet] {
        &self.mask
    }

    /// Begins to ask. Has to be called within a runtime.
    pub(crate) fn connect(
        &self,
        clock: Clock,
        telemetry: &Telemetry,
    ) -> Result<BackendClient, BuildError> {
        let calls = calls::start(self, clock, telemetry)?;
        Ok(BackendClient { calls, start: random_id().into(), last_auth: Arc::default() })
    }
}

/// The way to a back end. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BackendClient {
    calls: Calls,
    /// Tells ids of logins from those of other servers and other starts.
    start: Arc<str>,
    last_auth: Arc<AtomicU64>,
}

impl BackendClient {
    /// Asks whether a client may come in.
    pub(crate) async fn login(&self, login: &Login) -> Result<AuthOutcome, HandlerError> {
        let id: Arc<str> =
            format!("{}-{}", self.start, self.last_auth.fetch_add(1, Ordering::Relaxed)).into();
        let command = AuthCommand {
            auth_id: &id,
            user_id: login.user_id(),
            token: login.token.as_deref(),
            subprotocol: Some(&login.subprotocol),
            cookie: cookies(&login.http_headers),
            headers: login.headers.as_ref(),
        }
        .to_command()?;
        let mut replies = self.calls.send("auth", id, command, true).await;
        match replies.recv().await.unwrap_or(Err(ExchangeError::Incomplete))? {
            BackendReply::Authenticated { subprotocol } => {
                Ok(AuthOutcome::Accepted { subprotocol })
            }
            BackendReply::Denied => Ok(AuthOutcome::Denied),
            BackendReply::WrongSubprotocol { supported } => {
                Ok(AuthOutcome::WrongSubprotocol { supported })
            }
            BackendReply::Error { details } => {
                Err(HandlerError::failed(format!("the back end failed: {details}")))
            }
            _ => Err(HandlerError::failed("the back end answered a login with something else")),
        }
    }

    /// Asks about an action or a subscription, passes on what is answered, and gives the last answer.
    pub(crate) async fn act<S>(
        &self,
        context: &Context<S>,
    ) -> Result<HandlerResponse, HandlerError> {
        let id: Arc<str> = context.meta().id.to_string().into();
        let command = ActionCommand {
            entry: context.entry(),
            subprotocol: context.subprotocol(),
            headers: context.headers(),
        }
        .to_command()?;
        let is_subscription = context.request_kind() == RequestKind::Subscription;
        let mut replies = self.calls.send("action", id, command, is_subscription).await;
        let mut is_approved = false;
        loop {
            let reply = match replies.recv().await.unwrap_or(Err(ExchangeError::Incomplete)) {
                Ok(reply) => reply,
                Err(ExchangeError::Down) => return Ok(unavailable()),
                Err(failure) => return Err(failure.into()),
            };
            match reply {
                BackendReply::Resend(_) if is_subscription => {
                    return Err(HandlerError::failed("`resend` about a subscription"));
                }
                BackendReply::Resend(_) if is_approved => {
                    return Err(HandlerError::failed("`resend` came after `approved`"));
                }
                BackendReply::Resend(to) => context.answer(vec![HandlerResponse::Resend(to)]).await,
                BackendReply::Approved => {
                    is_approved = true;
                    context.answer(vec![HandlerResponse::Approved(None)]).await;
                }
                BackendReply::Forbidden => return Ok(HandlerResponse::Denied),
                BackendReply::Action(added) => {
                    let (action, meta) = *added;
                    let to = match meta.to {
                        nobody if nobody == Recipients::default() => {
                            Recipients::client(context.client_id())
                        }
                        to => to,
                    };
                    context
                        .server()
                        .enqueue(AddAction {
                            action,
                            draft: meta.draft,
                            to,
                            process: false,
                            ticket: None,
                        })
                        .await;
                }
                BackendReply::Processed if !is_approved => {
                    return Err(HandlerError::failed("`processed` came before `approved`"));
                }
                BackendReply::Processed => return Ok(HandlerResponse::Processed),
                BackendReply::UnknownAction => return Ok(HandlerResponse::UnknownType),
                BackendReply::UnknownChannel => return Ok(HandlerResponse::WrongChannel),
                BackendReply::Error { details } => {
                    return Err(HandlerError::failed(format!("the back end failed: {details}")));
                }
                _ => {
                    return Err(HandlerError::failed(
                        "the back end answered an action with an answer to a login",
                    ));
                }
            }
        }
    }
}

/// What the author is told while the back end is taken for down.
fn unavailable() -> HandlerResponse {
    HandlerResponse::Undo { reason: "backendUnavailable".into(), extra: Vec::new() }
}

/// The other end of a call: replies, or why there are none.
type Replies = mpsc::Receiver<Result<BackendReply, ExchangeError>>;
