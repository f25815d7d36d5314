//! The builder of a server, and the start of its parts.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, atomic::AtomicU64},
};

use hyper::{Method, http::Extensions};
use logux::{
    NodeId,
    replay::Reducer,
    server::{FateKeys, Hub, PresenceRule, Queues, RetentionPolicy, SettlementRule},
    store::{MemoryStore, Store},
};
use logux_net::{FrameLimits, drive::Clock};
use tokio::{
    runtime,
    sync::{mpsc, watch},
};

use crate::{
    backend::Backend,
    connection::{
        auth::{Admission, AuthOutcome, Authenticator, Login, check_version},
        login_throttle::{LoginLimits, LoginThrottle},
        rate_limit::RateLimits,
        receive_budget::{FREE_BYTES, ReceiveBudget},
        registry::ConnectionRegistry,
        replacements::Replacements,
        shared::ConnectionShared,
    },
    error::{BuildError, HandlerError},
    handlers::{
        action_type::{ActionType, ActionTypeBuilder},
        channel::{Channel, ChannelBuilder, InitialActions},
        deletions::Deletions,
        handler::handler,
        on_connect::{self, ConnectContext, OnConnect},
        pattern::NamePattern,
        projection::{self, Projection},
        registry::{HandlerRegistry, MakeSnapshot},
    },
    http::{
        connection::HttpContext,
        connection_limit::ConnectionLimit,
        control_endpoint::ControlEndpoint,
        origins::OriginCheck,
        routes::{self, BoundRoutes, HttpRequest, HttpResponse, Routes},
    },
    hub::{
        application::{EntryObserver, record_earlier},
        driver::{HubDriver, HubEnd},
        executor::HandlerExecutor,
        handle::{Handle, WeakHandle},
        log_status::LogState,
        outage::Outage,
        outbox::OutboxLimits,
    },
    lifecycle::Lifecycle,
    server::config::Config,
    telemetry::{Telemetry, event::Event, inspector::Inspector, metrics::Metrics},
};

/// The capacity of the queue of commands to the hub.
const MAX_COMMANDS: usize = 4_096;

/// A Logux server: the start of its [`Builder`].
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Creates the builder of a server without shared state.
    pub fn builder() -> Builder {
        Self::builder_with(())
    }

    /// Creates the builder of a server whose handlers share `state`.
    pub fn builder_with<S: Send + Sync + 'static>(state: S) -> Builder<S> {
        Builder {
            application: HandlerRegistry::new(state),
            authenticator: None,
            backend: None,
            on_connect: None,
            observers: Vec::new(),
            background: Vec::new(),
            extensions: Extensions::new(),
            routes: Routes::default(),
            store: MemoryStore::new(),
            config: Config::default(),
            first_error: None,
        }
    }
}

/// Describes a server: its authentication, handlers, store and configuration. The first mistake is
/// returned as an error when the server starts.
pub struct Builder<S = (), St = MemoryStore> {
    application: HandlerRegistry<S>,
    authenticator: Option<Authenticator>,
    backend: Option<Backend>,
    on_connect: Option<OnConnect<S>>,
    observers: Vec<Box<dyn EntryObserver>>,
    background: Vec<BackgroundTask>,
    extensions: Extensions,
    routes: Routes<S>,
    store: St,
    pub(crate) config: Config,
    first_error: Option<BuildError>,
}

/// Creates the future of a task that runs beside the server.
type BackgroundTask =
    Box<dyn FnOnce(WeakHandle) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

impl<S, St> std::fmt::Debug for Builder<S, St> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl<S: Send + Sync + 'static, St: Store + Send + 'static> Builder<S, St> {
    /// Sets the function that decides which clients may connect, with `true`, `false`, or an
    /// [`AuthOutcome`]. A server without it, and without a [`backend`](Self::backend), does not
    /// start.
    ///
    /// An error counts as wrong credentials, so that `?` can be used to decode a token; its text is
    /// written to the log. For a failure of the application itself, return
    /// [`AuthOutcome::unavailable`].
    #[must_use]
    pub fn auth<F, A>(mut self, auth: impl Fn(Login) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<A, HandlerError>> + Send + 'static,
        A: Into<AuthOutcome>,
    {
        self.authenticator = Some(Arc::new(move |login| {
            let future = auth(login);
            Box::pin(async move { future.await.map(Into::into) })
        }));
        self
    }

    /// Sets an HTTP server that handles all actions and subscriptions without handlers, and logins
    /// if [`auth`](Self::auth) is not set. It may send actions to `POST /`.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Sets the function that returns the actions for a client that has connected, such as those
    /// that it missed: none, one, or several.
    ///
    /// ```
    /// # use logux_server::Server;
    /// # use serde_json::json;
    /// let server = Server::builder().send_on_connect(|client| async move {
    ///     println!("{:?} has received the log up to {}", client.user_id(), client.since);
    ///     Ok(json!({"type": "welcome", "user": client.user_id()}))
    /// });
    /// ```
    #[must_use]
    pub fn send_on_connect<F, L>(
        mut self,
        on_connect: impl Fn(ConnectContext<S>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<L, HandlerError>> + Send + 'static,
        L: TryInto<InitialActions, Error: Into<HandlerError>>,
    {
        self.on_connect = Some(Arc::new(move |client| {
            let future = on_connect(client);
            Box::pin(async move { future.await?.try_into().map_err(Into::into) })
        }));
        self
    }

    /// Adds a projection: a state that a reducer computes from the actions that the server's log
    /// keeps, for handlers to read (event sourcing). With a durable store, it is computed again
    /// after a restart.
    ///
    /// ```
    /// use logux::{Action, replay::untyped_reducer, server::Retention};
    /// use logux_server::Server;
    ///
    /// let count = untyped_reducer(0, |count: &mut u64, action: &Action| {
    ///     *count += u64::from(action.kind() == "counter/inc");
    /// });
    /// let (server, count) = Server::builder().projection(count);
    /// let server = server
    ///     .action_type("counter/inc", |action| {
    ///         action
    ///             .access(|_| async { Ok(true) })
    ///             .resend(|_| async { Ok("counter") })
    ///             .keep(Retention::forever("counter"))
    ///     })
    ///     .channel("counter", |channel| {
    ///         channel.access(|_| async { Ok(true) }).load(move |_| {
    ///             let action = format!(r#"{{"type":"counter/set","value":{}}}"#, count.get());
    ///             async move { Ok(Action::new(action)?) }
    ///         })
    ///     });
    /// ```
    pub fn projection<R>(mut self, reducer: R) -> (Self, Projection<R::State>)
    where
        R: Reducer<Action: Send, State: Send + Sync> + Send + 'static,
    {
        let (observer, projection) = projection::create(reducer);
        self.observers.push(observer);
        (self, projection)
    }

    /// Registers handlers for an action type, or for all types that match a regular expression. A
    /// name takes precedence over expressions, and of these the first that matches is used.
    #[must_use]
    pub fn action_type<A: Into<ActionType<S>>>(
        mut self,
        names: impl Into<NamePattern>,
        handlers: impl FnOnce(ActionTypeBuilder<S>) -> A,
    ) -> Self {
        let result =
            self.application.add_type(names.into(), handlers(ActionTypeBuilder::new()).into());
        self.record(result)
    }

    /// Registers handlers for the channels whose names match a pattern such as `users/:id`, or a
    /// regular expression. The first that matches is used.
    #[must_use]
    pub fn channel(
        mut self,
        names: impl Into<NamePattern>,
        handlers: impl FnOnce(ChannelBuilder<S>) -> Channel<S>,
    ) -> Self {
        let result = self.application.add_channel(names.into(), handlers(ChannelBuilder::new()));
        self.record(result)
    }

    /// Returns the deletions of a collection, which its channels share.
    pub(crate) fn deletions(&mut self, plural: &str) -> Arc<Deletions> {
        if self.application.document_kinds.rule(plural).is_some() {
            self.first_error.get_or_insert(BuildError::DuplicateKind(plural.to_owned()));
        }
        self.application.deletions(plural)
    }

    /// Adds a task that begins with the server. It ends itself when the server has ended.
    pub(crate) fn background<F>(
        mut self,
        task: impl FnOnce(WeakHandle) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.background.push(Box::new(|handle| Box::pin(task(handle))));
        self
    }

    /// Returns what the parts of the running server find by its type.
    pub(crate) fn extensions(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// Returns the state that all handlers share.
    pub(crate) const fn state(&self) -> &Arc<S> {
        &self.application.state
    }

    /// Adds an observer of the entries that the log keeps.
    pub(crate) fn observer(mut self, observer: Box<dyn EntryObserver>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Adds a kind of documents.
    pub(crate) fn add_documents(
        mut self,
        kind: &str,
        rule: SettlementRule,
        make_snapshot: MakeSnapshot,
    ) -> Self {
        let result = self.application.add_documents(kind, rule, make_snapshot);
        self.record(result)
    }

    /// Registers handlers for the channels `PLURAL/ID` of the records of a collection.
    pub(crate) fn record_channel(
        mut self,
        plural: &str,
        handlers: impl FnOnce(ChannelBuilder<S>) -> Channel<S>,
    ) -> Self {
        let handlers = handlers(ChannelBuilder::new());
        let result = self.application.add_record_channel(plural, handlers);
        self.record(result)
    }

    /// Registers handlers for all other action types. Without them, such actions are undone with
    /// the reason `unknownType`.
    #[must_use]
    pub fn other_type<A: Into<ActionType<S>>>(
        mut self,
        handlers: impl FnOnce(ActionTypeBuilder<S>) -> A,
    ) -> Self {
        let result = self.application.set_other_type(handlers(ActionTypeBuilder::new()).into());
        self.record(result)
    }

    /// Registers handlers for all other channels. Without them, subscriptions are undone with the
    /// reason `wrongChannel`.
    #[must_use]
    pub fn other_channel(mut self, handlers: impl FnOnce(ChannelBuilder<S>) -> Channel<S>) -> Self {
        let result = self.application.set_other_channel(handlers(ChannelBuilder::new()));
        self.record(result)
    }

    /// Registers a handler for HTTP requests with a method and exactly this path, on the same port.
    /// It takes precedence over the server's own responses at `/` and `/health`. If it fails or
    /// panics, the response has status 500.
    ///
    /// ```
    /// # use logux::Action;
    /// # use logux_server::{Method, Server};
    /// let server = Server::builder().http(Method::POST, "/news", |request| async move {
    ///     request.server().send(Action::new(r#"{"type":"news"}"#)?, "news").await;
    ///     Ok("sent")
    /// });
    /// ```
    #[must_use]
    pub fn http<F, R>(
        mut self,
        method: Method,
        path: &str,
        handler: impl Fn(HttpRequest<S>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<R, HandlerError>> + Send + 'static,
        R: Into<HttpResponse>,
    {
        let result = self.routes.add(method, path, routes::handler(handler));
        self.record(result)
    }

    /// Registers a handler for all other HTTP requests, including those to `/` and `/health`.
    #[must_use]
    pub fn other_http<F, R>(
        mut self,
        handler: impl Fn(HttpRequest<S>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<R, HandlerError>> + Send + 'static,
        R: Into<HttpResponse>,
    {
        let result = self.routes.set_other(routes::handler(handler));
        self.record(result)
    }

    /// Registers a handler for all requests to a path and below it.
    pub(crate) fn http_below<F, R>(
        mut self,
        path: &'static str,
        handler: impl Fn(HttpRequest<S>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<R, HandlerError>> + Send + 'static,
        R: Into<HttpResponse>,
    {
        let result = self.routes.add_below(path, routes::handler(handler));
        self.record(result)
    }

    /// Changes the configuration.
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Sets the store of the server's log, which also contains the actions of clients and their
    /// answers. Default: in memory.
    ///
    /// While the store fails with [transient](Store::is_transient) errors, the server confirms
    /// nothing and waits: see [`Config::store_timeout`]. After a commit that failed, everything
    /// since the previous one is dropped, all connections are closed, and handlers are called again
    /// for actions without an answer, even if an earlier call still runs: see
    /// [`exactly_once`](crate::exactly_once).
    #[must_use]
    pub fn store<New: Store + Send + 'static>(self, store: New) -> Builder<S, New> {
        let Self {
            application,
            authenticator,
            backend,
            on_connect,
            observers,
            background,
            extensions,
            routes,
            config,
            first_error,
            store: _,
        } = self;
        Builder {
            application,
            authenticator,
            backend,
            on_connect,
            observers,
            background,
            extensions,
            routes,
            store,
            config,
            first_error,
        }
    }

    /// Remembers the first error.
    pub(crate) fn record(mut self, result: Result<(), BuildError>) -> Self {
        if let Err(error) = result {
            self.first_error.get_or_insert(error);
        }
        self
    }

    /// Creates the configured telemetry.
    fn telemetry(&self, clock: Clock) -> Telemetry {
        let Config { development, collect_metrics, metrics_address, .. } = &self.config;
        let has_metrics = *development || *collect_metrics || metrics_address.is_some();
        let kinds = self.application.document_kinds.names().cloned();
        let metrics = has_metrics.then(|| Metrics::new(self.application.type_names(), kinds));
        Telemetry::new(clock, metrics, development.then(|| Inspector::new(clock)))
    }

    /// Accepts all clients if there is no authentication.
    #[cfg(feature = "testing")]
    pub(crate) fn or_accept_all(self) -> Self {
        if self.authenticator.is_some() || self.backend.is_some() {
            self
        } else {
            self.auth(|_| async { Ok(true) })
        }
    }

    /// Starts everything but the listeners. `spawn` starts the hub.
    pub(crate) fn start(
        mut self,
        clock: Clock,
        spawn: impl FnOnce(HubDriver<HandlerRegistry<S>, St>) -> Result<HubEnd, BuildError>,
    ) -> Result<ServerParts, BuildError> {
        if let Some(error) = self.first_error {
            return Err(error);
        }
        let telemetry = self.telemetry(clock);
        let client =
            self.backend.as_ref().map(|backend| backend.connect(clock, &telemetry)).transpose()?;
        let backend_authenticator = client.clone().map(|client| -> Authenticator {
            Arc::new(move |login| {
                let client = client.clone();
                Box::pin(async move { client.login(&login).await })
            })
        });
        let protects_cookies = self.authenticator.is_none();
        let authenticator =
            self.authenticator.or(backend_authenticator).ok_or(BuildError::NoAuth)?;
        if let Some(backend) = &self.backend {
            self.application.fallback_fate_keys = backend.fate_keys.clone();
        }
        self.application.fallback = client.map(|client| {
            handler(move |context| {
                let client = client.clone();
                async move { client.act(&context).await }
            })
        });
        let application = Arc::new(self.application);
        let config = self.config;
        let admission = Admission::new(config.min_subprotocol, config.supports.clone())?;
        check_version(config.subprotocol_semver.as_deref())?;
        let node = config.node()?;

        let (commands, receiver) = mpsc::channel(MAX_COMMANDS);
        let handle = Handle::new(node.clone(), commands, self.extensions, clock, telemetry);
        let mut hub_config = config.hub_config(node.clone());
        let registry = application.clone();
        hub_config.queues = Queues::by(move |action| registry.queue(action));
        let registry = application.clone();
        hub_config.fate_keys = FateKeys::by(move |action| registry.fate_key(action));
        let registry = application.clone();
        hub_config.retention =
            RetentionPolicy::by(move |action, meta| registry.retention(action, meta));
        hub_config.documents = application.document_kinds.clone();
        let registry = application.clone();
        hub_config.presence = PresenceRule::new(move |channel| registry.has_presence(channel));
        let mut observers = self.observers;
        let mut hub = Hub::unread(hub_config, self.store);
        let opened = hub.restart().and_then(|()| record_earlier(&hub, &mut observers));
        // A store that cannot be written now does not keep the server from starting.
        let outage = match opened {
            Ok(()) => None,
            Err(error) if Hub::<St>::is_transient(&error) => {
                handle.telemetry().record(&Event::StoreUnavailable { error: &error });
                handle.log_status().set(LogState::Closed);
                Some(Outage::at_start(clock.now().mono))
            }
            Err(error) => return Err(BuildError::Store(error.to_string())),
        };
        let hub_end = spawn(HubDriver {
            hub,
            application: application.clone(),
            handle: handle.clone(),
            commands: receiver,
            clock,
            executor: HandlerExecutor::new(runtime::Handle::current()),
            runtime: runtime::Handle::current(),
            observers,
            is_recorded: outage.is_none(),
            store_timeout: config.store_timeout,
            outage,
            last_outage: None,
        })?;

        for task in self.background {
            tokio::spawn(task(handle.downgrade()));
        }
        let shared = Arc::new(ConnectionShared {
            node_config: Mutex::new(Arc::new(config.node_config(node.clone()))),
            admission,
            login_throttle: LoginThrottle::new(LoginLimits {
                of_user: config.max_wrong_logins,
                of_address: config.max_wrong_logins_per_address,
            }),
            replacements: Replacements::default(),
            authenticator,
            on_connect: self.on_connect.map(|on_connect| {
                on_connect::bind(on_connect, application.state.clone(), handle.clone())
            }),
            auth_timeout: config.timeout,
            login_leeway: config.login_leeway,
            outbox: OutboxLimits {
                items: config.max_outbox_messages,
                bytes: config.max_outbox_bytes,
            },
            rate_limits: RateLimits::new(config.max_rate, config.max_rate_per_user),
            receive_budget: ReceiveBudget::new(
                config.max_receiving_bytes,
                config.max_message_bytes,
            ),
            frame_limits: FrameLimits {
                max_frame: config.max_message_bytes,
                announce_from: FREE_BYTES,
                ..FrameLimits::default()
            },
            handle,
            clock,
            connections: ConnectionRegistry::default(),
            last_session: AtomicU64::new(1),
        });
        let (alive, all_ended) = mpsc::channel(1);
        let (lifecycle, lifecycles) = watch::channel(Lifecycle::Serving);
        let routes = BoundRoutes {
            routes: self.routes,
            max_body_bytes: config.max_body_bytes,
            state: application.state.clone(),
            handle: shared.handle.clone(),
        };
        let control = self.backend.as_ref().map(|backend| {
            Arc::new(ControlEndpoint::new(backend, config.max_body_bytes, move |kind| {
                application.has_handlers(kind)
            }))
        });
        let http = HttpContext {
            shared,
            limits: FrameLimits {
                max_frame: config.max_login_bytes.min(config.max_message_bytes),
                ..FrameLimits::default()
            },
            origins: OriginCheck { allowed: config.allowed_origins, protects_cookies },
            control,
            routes: (!config.disable_http).then(|| Arc::new(routes) as _),
            proxies: config.proxies,
            inspector_access: config.inspector_access,
            connection_limit: ConnectionLimit::new(
                config.max_connections,
                config.max_connections_per_address,
            ),
            lifecycle: lifecycles,
            alive: alive.downgrade(),
        };
        Ok(ServerParts { http, node, hub_end, lifecycle, alive, all_ended })
    }
}

/// The started parts of a server: everything but the listeners.
pub(crate) struct ServerParts {
    pub(crate) http: HttpContext,
    pub(crate) node: NodeId,
    pub(crate) hub_end: HubEnd,
    pub(crate) lifecycle: watch::Sender<Lifecycle>,
    pub(crate) alive: mpsc::Sender<()>,
    pub(crate) all_ended: mpsc::Receiver<()>,
}
