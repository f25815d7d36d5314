//! The description of a server.

use std::{
    future::Future,
    sync::{Arc, Mutex, atomic::AtomicU64},
    time::Duration,
};

use hyper::Method;
use logux::{
    NodeId,
    log::LogError,
    replay::Reducer,
    server::{Hub, Keeps, Queues},
    store::{MemoryStore, Store},
};
use logux_net::drive::Clock;
use tokio::{
    runtime,
    sync::{mpsc, watch},
};

use crate::{
    backend::Backend,
    connection::{
        auth::{Admission, Authenticator, Login},
        login_throttle::Attempts,
        rate_limit::Paces,
        registry::Open,
        shared::Shared,
    },
    error::{BuildError, HandlerError},
    handlers::{
        action_type::{ActionType, NewActionType},
        channel::{Channel, Loaded, NewChannel},
        handler::handler,
        on_connect::{Connected, Greeting, shared},
        pattern::Names,
        projection::{Reduced, follow},
        registry::HandlerRegistry,
    },
    http::{
        connection::Http,
        connection_limit::Room,
        control::Control,
        routes::{self, Bound, HttpRequest, Reply, Routes},
    },
    hub::{
        application::Reduction,
        driver::{HubEnd, HubTask},
        executor::Asking,
        handle::Handle,
        outbox::OutboxLimits,
    },
    lifecycle::Stage,
    server::settings::Settings,
    telemetry::{Watch, inspector::Inspector, metrics::Metrics},
};

/// How many commands may wait for the hub.
const COMMANDS: usize = 4_096;

/// A Logux server.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Begins the description of a server without shared state.
    pub fn builder() -> Builder {
        Self::builder_with(())
    }

    /// Begins the description of a server whose handlers share `state`.
    pub fn builder_with<S: Send + Sync + 'static>(state: S) -> Builder<S> {
        Builder {
            application: HandlerRegistry::new(state),
            authenticator: None,
            backend: None,
            greeting: None,
            reductions: Vec::new(),
            routes: Routes::default(),
            store: MemoryStore::new(),
            settings: Settings::default(),
            first_error: None,
        }
    }
}

/// The description of a server. Mistakes in it are reported at the start, the first one made.
pub struct Builder<S = (), St = MemoryStore> {
    application: HandlerRegistry<S>,
    authenticator: Option<Authenticator>,
    backend: Option<Backend>,
    greeting: Option<Greeting<S>>,
    reductions: Vec<Box<dyn Reduction>>,
    routes: Routes<S>,
    store: St,
    pub(crate) settings: Settings,
    first_error: Option<BuildError>,
}

impl<S, St> std::fmt::Debug for Builder<S, St> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<S: Send + Sync + 'static, St: Store + Send + 'static> Builder<S, St> {
    /// Who gets in. Without it there is no server.
    #[must_use]
    pub fn auth<F>(mut self, auth: impl Fn(Login) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        self.authenticator = Some(Arc::new(move |login| {
            let decided = auth(login);
            Box::pin(async move { decided.await.map(Into::into) })
        }));
        self
    }

    /// An HTTP server is asked about everything that has no handlers here: actions, subscriptions, and logins unless there is
    /// [`auth`](Self::auth). It may send actions to `POST /`.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// What each client is told when it has connected, such as what it missed: nothing, one action, or several.
    ///
    /// ```
    /// # use logux::Action;
    /// # use logux_server::Server;
    /// let server = Server::builder().send_on_connect(|client| async move {
    ///     println!("{:?} is back, behind action {}", client.user_id(), client.since);
    ///     Ok(Action::new(r#"{"type":"welcome"}"#)?)
    /// });
    /// ```
    #[must_use]
    pub fn send_on_connect<F, L>(
        mut self,
        greeting: impl Fn(Connected<S>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<L, HandlerError>> + Send + 'static,
        L: Into<Loaded>,
    {
        self.greeting = Some(Arc::new(move |client| {
            let running = greeting(client);
            Box::pin(async move { running.await.map(Into::into) })
        }));
        self
    }

    /// Makes a state of what the server's log keeps, for handlers to read: event sourcing. It holds after a restart, if the store is durable.
    ///
    /// ```
    /// use logux::{Action, replay::raw, server::Keep};
    /// use logux_server::Server;
    ///
    /// let count = raw(0, |count: &mut u64, action: &Action| *count += u64::from(action.kind() == "counter/inc"));
    /// let (server, count) = Server::builder().reduce(count);
    /// let server = server
    ///     .action_type("counter/inc", |action| {
    ///         action.access(|_| async { Ok(true) }).resend(|_| async { Ok("counter") }).keep(Keep::forever("counter"))
    ///     })
    ///     .channel("counter", |channel| {
    ///         channel.access(|_| async { Ok(true) }).load(move |_| {
    ///             let value = count.get();
    ///             async move { Ok(Action::new(format!(r#"{{"type":"counter/set","value":{value}}}"#))?) }
    ///         })
    ///     });
    /// ```
    pub fn reduce<R>(mut self, reducer: R) -> (Self, Reduced<R::State>)
    where
        R: Reducer<Action: Send, State: Send + Sync> + Send + 'static,
    {
        let (reduction, state) = follow(reducer);
        self.reductions.push(reduction);
        (self, state)
    }

    /// What to do with actions of a type, or of all types that a regular expression matches. A name counts before expressions, of these the first.
    #[must_use]
    pub fn action_type<A: Into<ActionType<S>>>(
        mut self,
        names: impl Into<Names>,
        handlers: impl FnOnce(NewActionType<S>) -> A,
    ) -> Self {
        let added = self.application.add_type(names.into(), handlers(NewActionType::new()).into());
        self.note(added)
    }

    /// What to do with subscriptions to channels whose names have a form such as `users/:id`, or match a regular expression. The first that
    /// fits counts.
    #[must_use]
    pub fn channel(
        mut self,
        names: impl Into<Names>,
        handlers: impl FnOnce(NewChannel<S>) -> Channel<S>,
    ) -> Self {
        let added = self.application.add_channel(names.into(), handlers(NewChannel::new()));
        self.note(added)
    }

    /// What to do with actions of all other types. Without it they are undone with the reason `unknownType`.
    #[must_use]
    pub fn other_type<A: Into<ActionType<S>>>(
        mut self,
        handlers: impl FnOnce(NewActionType<S>) -> A,
    ) -> Self {
        let added = self.application.set_other_type(handlers(NewActionType::new()).into());
        self.note(added)
    }

    /// What to do with subscriptions to all other channels. Without it they are undone with the reason `wrongChannel`.
    #[must_use]
    pub fn other_channel(mut self, handlers: impl FnOnce(NewChannel<S>) -> Channel<S>) -> Self {
        let added = self.application.set_other_channel(handlers(NewChannel::new()));
        self.note(added)
    }

    /// What to answer to HTTP requests of a method and exactly this path, on the same port. It counts before what the server answers
    /// itself at `/` and `/health`. A handler that fails or panics is status 500.
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
        R: Into<Reply>,
    {
        let added = self.routes.add(method, path, routes::handler(handler));
        self.note(added)
    }

    /// What to answer to all other HTTP requests, those to `/` and `/health` too.
    #[must_use]
    pub fn other_http<F, R>(
        mut self,
        handler: impl Fn(HttpRequest<S>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<R, HandlerError>> + Send + 'static,
        R: Into<Reply>,
    {
        let added = self.routes.set_other(routes::handler(handler));
        self.note(added)
    }

    /// Changes settings.
    #[must_use]
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Where the server's log is kept, with what clients asked for and were answered. In memory unless given.
    #[must_use]
    pub fn store<New: Store + Send + 'static>(self, store: New) -> Builder<S, New> {
        let Self {
            application,
            authenticator,
            backend,
            greeting,
            reductions,
            routes,
            settings,
            first_error,
            store: _,
        } = self;
        Builder {
            application,
            authenticator,
            backend,
            greeting,
            reductions,
            routes,
            store,
            settings,
            first_error,
        }
    }

    fn note(mut self, done: Result<(), BuildError>) -> Self {
        if let Err(error) = done {
            self.first_error.get_or_insert(error);
        }
        self
    }

    /// Those who keep an eye on the server.
    fn watch(&self) -> Watch {
        let Settings { development, collect_metrics, metrics_address, .. } = &self.settings;
        let counts = *development || *collect_metrics || metrics_address.is_some();
        let metrics = counts.then(|| Metrics::new(self.application.type_names()));
        Watch::new(metrics, development.then(Inspector::new))
    }

    /// Lets everyone in if nothing was said about that.
    #[cfg(feature = "testing")]
    pub(crate) fn or_let_all_in(self) -> Self {
        if self.authenticator.is_some() || self.backend.is_some() {
            self
        } else {
            self.auth(|_| async { Ok(true) })
        }
    }

    /// Starts everything behind the sockets. `spawn` runs the hub.
    pub(crate) fn start(
        mut self,
        clock: Clock,
        spawn: impl FnOnce(HubTask<HandlerRegistry<S>, St>) -> Result<HubEnd, BuildError>,
    ) -> Result<Started, BuildError> {
        if let Some(error) = self.first_error {
            return Err(error);
        }
        let watch = self.watch();
        let client =
            self.backend.as_ref().map(|backend| backend.connect(clock, &watch)).transpose()?;
        let asks_backend = client.clone().map(|client| -> Authenticator {
            Arc::new(move |login| {
                let client = client.clone();
                Box::pin(async move { client.login(&login).await })
            })
        });
        let authenticator = self.authenticator.or(asks_backend).ok_or(BuildError::NoAuth)?;
        self.application.fallback = client.map(|client| {
            handler(move |context| {
                let client = client.clone();
                async move { client.act(&context).await }
            })
        });
        let application = Arc::new(self.application);
        let settings = self.settings;
        let admission = Admission::new(settings.min_subprotocol, settings.supports.clone())?;
        let node = settings.node()?;

        let (commands, receiver) = mpsc::channel(COMMANDS);
        let handle = Handle::new(commands, clock, watch);
        let mut hub_config = settings.hub_config(node.clone());
        let names_queue = application.clone();
        hub_config.queues = Queues::by(move |action| names_queue.queue(action));
        let names_reasons = application.clone();
        hub_config.keeps = Keeps::by(move |action, meta| names_reasons.keep(action, meta));
        let broken = |error: LogError<St::Error>| BuildError::Store(error.to_string());
        let hub = Hub::new(hub_config, self.store).map_err(broken)?;
        let mut reductions = self.reductions;
        hub.recorded(|entry| reductions.iter_mut().for_each(|reduction| reduction.record(entry)))
            .map_err(broken)?;
        let hub_end = spawn(HubTask {
            hub,
            application: application.clone(),
            handle: handle.clone(),
            commands: receiver,
            clock,
            asking: Asking::new(runtime::Handle::current()),
            runtime: runtime::Handle::current(),
            reductions,
        })?;

        let shared = Arc::new(Shared {
            node: Mutex::new(Arc::new(settings.node_config(node.clone()))),
            admission,
            attempts: Attempts::new(settings.max_wrong_logins),
            authenticator,
            greet: self
                .greeting
                .map(|greeting| shared(greeting, application.state.clone(), handle.clone())),
            auth_timeout: Duration::from_millis(settings.timeout_ms),
            outbox: OutboxLimits {
                parcels: settings.max_outbox_messages,
                bytes: settings.max_outbox_bytes,
            },
            paces: Paces::new(settings.max_rate, settings.max_rate_per_user),
            handle,
            clock,
            open: Open::default(),
            last_session: AtomicU64::new(1),
        });
        let (alive, all_ended) = mpsc::channel(1);
        let (stage, stages) = watch::channel(Stage::Serving);
        let routes = Bound {
            routes: self.routes,
            max_body_bytes: settings.max_body_bytes,
            state: application.state.clone(),
            handle: shared.handle.clone(),
        };
        let control = self.backend.as_ref().map(|backend| {
            Arc::new(Control::new(backend, settings.max_body_bytes, move |kind| {
                application.has_handlers(kind)
            }))
        });
        let http = Http {
            shared,
            limits: logux_net::Limits {
                max_frame: settings.max_message_bytes,
                ..logux_net::Limits::default()
            },
            origins: settings.allowed_origins.map(Into::into),
            control,
            pages: (!settings.disable_http).then(|| Arc::new(routes) as _),
            proxies: settings.proxies,
            inspector_audience: settings.inspector_audience,
            room: Room::new(settings.max_connections, settings.max_connections_per_address),
            stage: stages,
            alive: alive.downgrade(),
        };
        Ok(Started { http, node, hub_end, stage, alive, all_ended })
    }
}

/// Everything behind the sockets, running.
pub(crate) struct Started {
    pub(crate) http: Http,
    pub(crate) node: NodeId,
    pub(crate) hub_end: HubEnd,
    pub(crate) stage: watch::Sender<Stage>,
    pub(crate) alive: mpsc::Sender<()>,
    pub(crate) all_ended: mpsc::Receiver<()>,
}
