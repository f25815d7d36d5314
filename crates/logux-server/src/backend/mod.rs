//! The application as an HTTP server, which is asked about logins, actions and subscriptions in the
//! Logux back-end protocol (`spec/backend.md`).
//!
//! Read [`Backend`] and [`BackendClient`], then `calls` (the queue of commands), `exchange` (one
//! request with its retries), `unexpected` (responses that are not of the protocol) and `breaker`
//! (the circuit breaker).

mod breaker;
mod calls;
mod exchange;
mod unexpected;

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
    Action,
    backend::{ActionCommand, AuthCommand, BackendReply},
    log::Draft,
    server::{AddAction, FateKeys, HandlerResponse, Recipients, RequestKind},
};
use logux_net::drive::Clock;
use tokio::sync::mpsc;

use crate::{
    connection::auth::{AuthOutcome, Login},
    connection_info::cookies,
    error::{BuildError, HandlerError},
    handlers::{
        channel::{PAGE_ACTIONS, PAGE_BYTES},
        context::Context,
    },
    networks::read_networks,
    random_id::random_id,
    telemetry::Telemetry,
};

use calls::Calls;
use exchange::ExchangeError;

/// An HTTP server as the application: it decides about everything that has no handler in this
/// server.
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
    /// The largest number of concurrent requests. When it is reached, commands are queued and share
    /// requests. Default: 64.
    pub max_requests: usize,
    /// The largest number of commands in one request. Set it to 1 for a back end that accepts only
    /// one. Default: 16.
    pub max_commands: usize,
    /// The time without a response after which a request fails. Default: 30 seconds.
    pub timeout: Duration,
    /// The largest number of retries of a login or a subscription without a response. An action
    /// that may have reached the back end is not retried. Actions and subscriptions that did not
    /// reach it, or that it refused with status 503, wait until it takes them. Default: 2.
    pub retries: u32,
    /// The number of consecutive failures after which the back end is considered down. Default: 5.
    pub max_failures: u32,
    /// The time after which a back end that is considered down is tried again. Until it is back,
    /// actions and subscriptions wait. Default: 3 seconds.
    pub reset_timeout: Duration,
    /// Whether to use HTTP/2 without TLS. With TLS, both ends negotiate the version. Default:
    /// `false`.
    pub http2: bool,
    /// The largest size of one response to a command, in bytes. Default: 8 MiB.
    pub max_answer_bytes: usize,
    /// The rule that names what an action depends on, as [`fate_key`](crate::ActionType::fate_key)
    /// does for a type with handlers in this server. Default: a failure undoes all actions that the
    /// client did after it.
    pub fate_keys: FateKeys,
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
    /// Writes the scheme, host and port, without the path, which may be secret.
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
    /// Creates a back end from its URL and the secret that it shares with this server.
    ///
    /// # Errors
    /// [`BuildError::Backend`] if the URL is not an `http` or `https` URL, or the secret is empty.
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
            fate_keys: FateKeys::default(),
        };
        backend.control_mask("127.0.0.0/8, ::1")
    }

    /// Sets the addresses and networks, separated by commas, from which the back end may send
    /// control requests. Default: the loopback addresses.
    ///
    /// # Errors
    /// [`BuildError::Mask`] if an item is neither an address nor a network.
    pub fn control_mask(mut self, mask: &str) -> Result<Self, BuildError> {
        self.mask = read_networks(mask.split(',').map(str::trim).filter(|text| !text.is_empty()))?;
        Ok(self)
    }

    /// Changes its configuration.
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

    /// Starts the client of the back end. Must be called within a runtime.
    pub(crate) fn connect(
        &self,
        clock: Clock,
        telemetry: &Telemetry,
    ) -> Result<BackendClient, BuildError> {
        let calls = calls::start(self, clock, telemetry)?;
        Ok(BackendClient { calls, id_prefix: random_id().into(), last_auth: Arc::default() })
    }
}

/// The client of a back end. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BackendClient {
    calls: Calls,
    /// The prefix of login ids, unique for each start of each server.
    id_prefix: Arc<str>,
    last_auth: Arc<AtomicU64>,
}

impl BackendClient {
    /// Asks the back end to authenticate a client.
    pub(crate) async fn login(&self, login: &Login) -> Result<AuthOutcome, HandlerError> {
        let id: Arc<str> =
            format!("{}-{}", self.id_prefix, self.last_auth.fetch_add(1, Ordering::Relaxed)).into();
        let command = AuthCommand {
            auth_id: &id,
            user_id: login.user_id(),
            token: login.token.as_deref(),
            subprotocol: Some(&login.subprotocol),
            cookie: cookies(&login.http_headers),
            headers: login.headers.as_ref(),
            origin: login.origin(),
        }
        .to_command()?;
        let mut replies = self.calls.send_login(id, command).await;
        let reply = match replies.recv().await.unwrap_or(Err(ExchangeError::Incomplete)) {
            Ok(reply) => reply,
            Err(failure) => return Ok(AuthOutcome::unavailable(failure.to_string())),
        };
        match reply {
            BackendReply::Authenticated { subprotocol, expires } => {
                Ok(AuthOutcome::Accepted { until: expires, subprotocol, claims: None })
            }
            BackendReply::Denied => Ok(false.into()),
            BackendReply::WrongSubprotocol { supported } => {
                Ok(AuthOutcome::WrongSubprotocol { supported })
            }
            BackendReply::Error { details } => {
                Err(HandlerError::failed(format!("the back end failed: {details}")))
            }
            _ => Err(HandlerError::failed("unexpected response of the back end to a login")),
        }
    }

    /// Asks the back end about an action or a subscription, passes its responses on, and returns
    /// the last one.
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
        let mut replies = self.calls.send_action(id, command, is_subscription).await;
        let (mut is_approved, mut page) = (false, Page::default());
        loop {
            let received = replies.try_recv();
            if page.is_full() || !matches!(received, Ok(Ok(BackendReply::Action(_)))) {
                page.send(context).await?;
            }
            let received = match received {
                Ok(received) => received,
                Err(_) => replies.recv().await.unwrap_or(Err(ExchangeError::Incomplete)),
            };
            let reply = match received {
                Ok(reply) => reply,
                Err(failure) => return Err(failure.into()),
            };
            match reply {
                BackendReply::Resend(_) if is_subscription => {
                    return Err(HandlerError::failed("unexpected `resend` for a subscription"));
                }
                BackendReply::Resend(_) if is_approved => {
                    return Err(HandlerError::failed("unexpected `resend` after `approved`"));
                }
                BackendReply::Resend(to) => {
                    context.respond(vec![HandlerResponse::Resend(to)]).await
                }
                BackendReply::Approved => {
                    is_approved = true;
                    context.respond(vec![HandlerResponse::Approved(None)]).await;
                }
                BackendReply::Forbidden => return Ok(HandlerResponse::Denied),
                BackendReply::Action(added) => {
                    let (action, meta) = *added;
                    let to = meta.to;
                    if to == Recipients::default() {
                        page.push(action, meta.draft);
                        continue;
                    }
                    let action =
                        AddAction { action, draft: meta.draft, to, process: false, ticket: None };
                    context.server().enqueue(action).await;
                }
                BackendReply::Processed if !is_approved => {
                    return Err(HandlerError::failed("unexpected `processed` before `approved`"));
                }
                BackendReply::Processed => return Ok(HandlerResponse::Processed),
                BackendReply::UnknownAction => return Ok(HandlerResponse::UnknownType),
                BackendReply::UnknownChannel => return Ok(HandlerResponse::WrongChannel),
                BackendReply::Error { details } => {
                    return Err(HandlerError::failed(format!("the back end failed: {details}")));
                }
                _ => {
                    return Err(HandlerError::failed(
                        "the back end responded to an action as to a login",
                    ));
                }
            }
        }
    }
}

/// Actions of a back end for the author alone, which are sent together.
#[derive(Default)]
struct Page {
    actions: Vec<(Action, Draft)>,
    bytes: usize,
}

impl Page {
    fn push(&mut self, action: Action, draft: Draft) {
        self.bytes += action.as_json().len();
        self.actions.push((action, draft));
    }

    const fn is_full(&self) -> bool {
        self.bytes >= PAGE_BYTES || self.actions.len() >= PAGE_ACTIONS
    }

    /// Sends the actions at the pace of the author's client. While it does not read, the rest of
    /// the back end's response is not read either.
    async fn send<S>(&mut self, context: &Context<S>) -> Result<(), HandlerError> {
        let Self { actions, .. } = std::mem::take(self);
        if actions.is_empty() {
            return Ok(());
        }
        if context.request_kind() == RequestKind::Subscription {
            return context.send_page(actions).await;
        }
        for (action, draft) in actions {
            context.send_back_with(action, draft).await;
        }
        Ok(())
    }
}

/// The receiver of a call's responses, or the reason why there are none.
type Replies = mpsc::Receiver<Result<BackendReply, ExchangeError>>;
