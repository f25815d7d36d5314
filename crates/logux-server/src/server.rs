//! A server from its description to its end.

use std::{
    future::Future,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicU64},
    time::Duration,
};

use logux::{
    NodeId,
    server::{Config as HubConfig, Hub, Input},
    store::{MemoryStore, Store},
    sync::{self, Subprotocols},
};
use logux_net::drive::Clock;
use tokio::{
    net::TcpListener,
    runtime,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    ActionType, Backend, BuildError, Channel, Handle, HandlerError, Login, NewActionType, NewChannel,
    application::Application,
    attempts::Attempts,
    auth::{Admission, Authenticator},
    connection::Shared,
    control::Control,
    handle::Command,
    http::Http,
    hub_thread::HubThread,
    outbox::OutboxLimits,
    room::Room,
    tls,
};

/// How many commands may wait for the hub.
const COMMANDS: usize = 4_096;
/// How long a client may take to shake hands for TLS.
const TLS_HANDSHAKE: Duration = Duration::from_secs(15);
/// How long what is in progress may take when the server stops.
const FINISH: Duration = Duration::from_secs(30);
/// How long connections may take to end then.
const LAST_WORDS: Duration = Duration::from_secs(5);

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
            application: Application::new(state),
            authenticator: None,
            backend: None,
            store: MemoryStore::new(),
            settings: Settings::default(),
            first_error: None,
        }
    }
}

/// Everything about a server that is not a handler, with its defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The part of the node id behind `server:`. Random unless given.
    pub id: Option<String>,
    /// The application's protocol version.
    pub subprotocol: u32,
    /// The oldest version of clients that may connect.
    pub min_subprotocol: u32,
    /// The versions of clients of protocols 3 and 4 that may connect, as an npm SemVer range such as `^1.0.0`.
    pub supports: Option<String>,
    /// Tell clients that this is development, and why their actions are refused.
    pub development: bool,
    /// Certificate chain and key, PEM files. With them the server speaks TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The largest message of a client, in bytes. 1 MiB.
    pub max_message_bytes: usize,
    /// How many messages may wait for one client to read them. 10,000.
    pub max_outbox_messages: usize,
    /// How many bytes may wait for one client to read them. 8 MiB.
    pub max_outbox_bytes: usize,
    /// How many connections there may be. 100,000.
    pub max_connections: usize,
    /// How many connections there may be from one address; as many as in all unless given. Behind a proxy all have its address.
    pub max_connections_per_address: Option<usize>,
    /// How many wrong logins from one address (64 bits of it with IPv6) within 3 s there may be before all logins from there are refused
    /// for a while. 3; `None` for any number, for a server behind a proxy.
    pub max_wrong_logins: Option<usize>,
    /// The origins of web pages that may connect, such as `https://example.com`. All unless given.
    pub allowed_origins: Option<Vec<String>>,
    /// How many milliseconds the time of a client's action may lie ahead of the server's clock. Others are undone with the reason `wrongTime`,
    /// since they would win over everybody else's changes. 300,000.
    pub max_ahead_ms: u64,
    /// Milliseconds of silence after which a client is asked whether it is there. 20,000.
    pub ping_ms: u64,
    /// Milliseconds that a client may take to say who it is, and to answer. 70,000.
    pub timeout_ms: u64,
    /// How many actions and answers to remember, so that an action that comes again is not done again. 10,000.
    pub remembered: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            id: None,
            subprotocol: 0,
            min_subprotocol: 0,
            supports: None,
            development: false,
            tls: None,
            max_message_bytes: 1024 * 1024,
            max_outbox_messages: 10_000,
            max_outbox_bytes: 8 * 1024 * 1024,
            max_connections: 100_000,
            max_connections_per_address: None,
            max_wrong_logins: Some(3),
            allowed_origins: None,
            max_ahead_ms: 300_000,
            ping_ms: 20_000,
            timeout_ms: 70_000,
            remembered: 10_000,
        }
    }
}

/// The description of a server. Mistakes in it are reported by [`listen`](Self::listen), the first one made.
pub struct Builder<S = (), St = MemoryStore> {
    application: Application<S>,
    authenticator: Option<Authenticator>,
    backend: Option<Backend>,
    store: St,
    settings: Settings,
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

    /// What to do with actions of a type.
    #[must_use]
    pub fn action_type(
        mut self,
        name: impl Into<String>,
        handlers: impl FnOnce(NewActionType<S>) -> ActionType<S>,
    ) -> Self {
        let added = self.application.add_type(name.into(), handlers(NewActionType::new()));
        self.note(added)
    }

    /// What to do with subscriptions to channels whose names have a form such as `users/:id`. The first that fits counts.
    #[must_use]
    pub fn channel(mut self, pattern: &str, handlers: impl FnOnce(NewChannel<S>) -> Channel<S>) -> Self {
        let added = self.application.add_channel(pattern, handlers(NewChannel::new()));
        self.note(added)
    }

    /// What to do with actions of all other types. Without it they are undone with the reason `unknownType`.
    #[must_use]
    pub fn other_type(mut self, handlers: impl FnOnce(NewActionType<S>) -> ActionType<S>) -> Self {
        let added = self.application.set_other_type(handlers(NewActionType::new()));
        self.note(added)
    }

    /// What to do with subscriptions to all other channels. Without it they are undone with the reason `wrongChannel`.
    #[must_use]
    pub fn other_channel(mut self, handlers: impl FnOnce(NewChannel<S>) -> Channel<S>) -> Self {
        let added = self.application.set_other_channel(handlers(NewChannel::new()));
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
        let Self { application, authenticator, backend, settings, first_error, store: _ } = self;
        Builder { application, authenticator, backend, store, settings, first_error }
    }

    fn note(mut self, done: Result<(), BuildError>) -> Self {
        if let Err(error) = done {
            self.first_error.get_or_insert(error);
        }
        self
    }

    /// Starts the server on an address. It is ready when this returns. Port 0 takes a free one.
    ///
    /// # Errors
    /// [`BuildError`] for a mistake in the description, or an address that cannot be listened on.
    pub async fn listen(mut self, address: SocketAddr) -> Result<Running, BuildError> {
        if let Some(error) = self.first_error {
            return Err(error);
        }
        let clock = Clock::start();
        let client = self.backend.as_ref().map(|backend| backend.connect(clock)).transpose()?;
        let asks_backend = client.clone().map(|client| -> Authenticator {
            Arc::new(move |login| {
                let client = client.clone();
                Box::pin(async move { client.login(&login).await })
            })
        });
        let authenticator = self.authenticator.or(asks_backend).ok_or(BuildError::NoAuth)?;
        self.application.backend = client;
        let application = Arc::new(self.application);
        let settings = self.settings;
        let admission = Admission::new(settings.min_subprotocol, settings.supports.clone())?;
        let tls = settings.tls.as_ref().map(|(cert, key)| tls::acceptor(cert, key)).transpose()?;
        let node = settings.node()?;
        let listener = listen(address)?;

        let (commands, receiver) = mpsc::channel(COMMANDS);
        let handle = Handle::new(commands);
        let mut hub_config = HubConfig::new(node.clone());
        hub_config.subprotocol = settings.subprotocol;
        hub_config.debug = settings.development;
        hub_config.remembered = settings.remembered;
        hub_config.max_ahead_ms = settings.max_ahead_ms;
        let hub = Hub::new(hub_config, self.store).map_err(|error| BuildError::Store(error.to_string()))?;
        let hub_thread = HubThread {
            hub,
            application: application.clone(),
            handle: handle.clone(),
            commands: receiver,
            clock,
            runtime: runtime::Handle::current(),
        };
        let (ended, hub_end) = oneshot::channel();
        std::thread::Builder::new()
            .name("logux-hub".into())
            .spawn(move || {
                let _ = ended.send(hub_thread.run().map_err(|error| error.to_string()));
            })
            .map_err(|error| BuildError::Store(error.to_string()))?;

        let shared = Arc::new(Shared {
            node: Mutex::new(Arc::new(settings.node_config(node.clone()))),
            admission,
            attempts: Attempts::new(settings.max_wrong_logins),
            authenticator,
            auth_timeout: Duration::from_millis(settings.timeout_ms),
            outbox: OutboxLimits { parcels: settings.max_outbox_messages, bytes: settings.max_outbox_bytes },
            handle: handle.clone(),
            clock,
            last_session: AtomicU64::new(1),
        });
        let address = listener.local_addr().unwrap_or(address);
        let (alive, all_ended) = mpsc::channel(1);
        let limits = logux_net::Limits { max_frame: settings.max_message_bytes, ..logux_net::Limits::default() };
        let origins = settings.allowed_origins.map(Into::into);
        let control = self.backend.as_ref().map(|backend| {
            Arc::new(Control::new(backend, settings.max_message_bytes, move |kind| application.has_handlers(kind)))
        });
        let http = Http { shared, limits, origins, control, alive, place: None };
        let room = Room::new(settings.max_connections, settings.max_connections_per_address);
        let accepting = tokio::spawn(accept(listener, http, tls, room));
        Ok(Running { address, node, handle, accepting, hub_end, all_ended })
    }
}

impl Settings {
    fn node(&self) -> Result<NodeId, BuildError> {
        let id = self.id.clone().unwrap_or_else(random_id);
        NodeId::new(format!("server:{id}")).map_err(|error| BuildError::Store(error.to_string()))
    }

    fn node_config(&self, node: NodeId) -> sync::Config {
        let mut config = sync::Config::server(node);
        config.subprotocol = Subprotocols { number: self.subprotocol, semver: None };
        config.ping_ms = Some(self.ping_ms);
        config.timeout_ms = Some(self.timeout_ms);
        config.limits.message_bytes = self.max_message_bytes;
        config.headers = self
            .development
            .then(|| logux::Json::from_value(&serde_json::json!({"env": "development"})).ok())
            .flatten();
        config
    }
}

/// Eight characters that no other server is likely to have.
pub(crate) fn random_id() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    // The standard library's keys are random for each process, which is all that telling servers apart needs.
    format!("{:08x}", RandomState::new().hash_one(std::process::id()) >> 32)
}

fn listen(address: SocketAddr) -> Result<TcpListener, BuildError> {
    let bind = || {
        let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(4_096)
    };
    bind().map_err(|source| BuildError::Listen { address, source })
}

async fn accept(listener: TcpListener, http: Http, tls: Option<TlsAcceptor>, room: Room) {
    loop {
        let (socket, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: those in use will come back.
                tracing::error!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = room.enter(remote.ip()) else {
            tracing::warn!(%remote, "connection refused: there are too many");
            continue;
        };
        let _ = socket.set_nodelay(true);
        let mut http = http.clone();
        http.place = Some(Arc::new(place));
        let tls = tls.clone();
        tokio::spawn(async move {
            match tls {
                None => http.serve(socket, Some(remote)).await,
                Some(tls) => match timeout(TLS_HANDSHAKE, tls.accept(socket)).await {
                    Ok(Ok(socket)) => http.serve(socket, Some(remote)).await,
                    _ => tracing::debug!(%remote, "TLS handshake failed"),
                },
            }
        });
    }
}

/// A server that is running. Dropping it stops accepting, at once and without farewell; [`shutdown`](Self::shutdown) is the polite way.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    node: NodeId,
    handle: Handle,
    accepting: JoinHandle<()>,
    hub_end: oneshot::Receiver<Result<(), String>>,
    all_ended: mpsc::Receiver<()>,
}

/// The server's log failed, so the server had to stop: what it could not keep, it did not confirm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server had to stop: {0}")]
pub struct Broken(String);

impl Running {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its node id.
    pub const fn node_id(&self) -> &NodeId {
        &self.node
    }

    /// The way to it from anywhere.
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits until the server has to stop.
    ///
    /// # Errors
    /// [`Broken`], always: a server does not stop by itself for any other reason.
    pub async fn broken(&mut self) -> Broken {
        match (&mut self.hub_end).await {
            Ok(Err(error)) => Broken(error),
            Ok(Ok(())) | Err(_) => Broken("its thread has ended".into()),
        }
    }

    /// Stops: accepts nothing new, finishes what is in progress within 30 s, then closes the connections. What a handler has not
    /// finished by then is done after the next start, if the log is durable.
    ///
    /// # Errors
    /// [`Broken`] if the log failed meanwhile.
    pub async fn shutdown(mut self) -> Result<(), Broken> {
        self.accepting.abort();
        self.handle.tell(Command::Input(Input::Drain)).await;
        let ended = timeout(FINISH, &mut self.hub_end).await;
        let _ = timeout(LAST_WORDS, self.all_ended.recv()).await;
        match ended {
            Ok(Ok(Err(error))) => Err(Broken(error)),
            Ok(_) => Ok(()),
            Err(_) => {
                tracing::warn!("some actions were not finished in time");
                Ok(())
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
