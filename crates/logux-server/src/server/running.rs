//! A running server: its start and its shutdown.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use logux::{NodeId, server::Input, store::Store};
use logux_net::drive::Clock;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    error::BuildError,
    http::{
        connection::HttpContext,
        listener::{Address, Listener, ListenerContext},
        metrics_endpoint::MetricsEndpoint,
        service::HttpService,
        tls::Certificate,
    },
    hub::{
        driver::{HubDriver, HubEnd},
        handle::{Handle, HubCommand},
    },
    lifecycle::{Lifecycle, ShutdownTimeouts},
    server::builder::{Builder, ServerParts},
    telemetry::event::{Event, Failure},
};

/// A running server. `A` is what it listens on: one address, several, or `()` for none.
///
/// Dropping it stops accepting connections, without waiting for anything. Use
/// [`shutdown`](Self::shutdown) to complete actions and notify clients.
#[derive(Debug)]
pub struct RunningServer<A = SocketAddr> {
    address: A,
    parts: Parts,
}

/// A running server without what it listens on.
#[derive(Debug)]
struct Parts {
    node: NodeId,
    http_service: HttpService,
    accept_tasks: AcceptTasks,
    metrics: Option<MetricsEndpoint>,
    hub_end: HubEnd,
    lifecycle: watch::Sender<Lifecycle>,
    /// Each connection has a clone of `alive`; when all are dropped, `all_ended` returns.
    alive: mpsc::Sender<()>,
    all_ended: mpsc::Receiver<()>,
    timeouts: ShutdownTimeouts,
}

/// The tasks that accept connections. They are aborted on drop.
#[derive(Debug, Default)]
struct AcceptTasks(Vec<JoinHandle<()>>);

impl AcceptTasks {
    /// Stops accepting, and returns when the addresses are free.
    async fn close(&mut self) {
        for mut task in self.0.drain(..) {
            task.abort();
            let _ = (&mut task).await;
        }
    }
}

impl Drop for AcceptTasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// The error of a server that cannot continue, because its log failed. Actions that could not be
/// kept were not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server failed: {0}")]
pub struct ServerError(String);

impl<S: Send + Sync + 'static, St: Store + Send + 'static> Builder<S, St> {
    /// Starts the server on an address. It is ready when this returns. Port 0 chooses a free port.
    ///
    /// # Errors
    /// [`BuildError`] if the description is invalid or the address cannot be listened on.
    pub async fn listen(self, address: SocketAddr) -> Result<RunningServer, BuildError> {
        let running = self.listen_on([Listener::tcp(address)?]).await?;
        let bound = running.address.iter().find_map(|address| match address {
            Address::Tcp(address) => Some(*address),
            #[cfg(unix)]
            Address::Unix(_) => None,
        });
        Ok(running.with_address(bound.unwrap_or(address)))
    }

    /// Starts the server on any number of listeners. It is ready when this returns.
    ///
    /// # Errors
    /// [`BuildError`] if the description is invalid or a listener cannot be used.
    pub async fn listen_on(
        self,
        listeners: impl IntoIterator<Item = Listener>,
    ) -> Result<RunningServer<Vec<Address>>, BuildError> {
        let reload_interval = self.config.tls_reload_interval.max(Duration::from_millis(1));
        let certificate = self.config.tls.clone().map(Certificate::read).transpose()?;
        let scheme = if certificate.is_some() { "wss" } else { "ws" };
        let (subprotocol, min_subprotocol) = (self.config.subprotocol, self.config.min_subprotocol);
        let mut running = self.attach().await?;
        let telemetry = running.handle().telemetry().clone();
        let certificate =
            certificate.map(|read| read.watch_files(reload_interval, telemetry.clone()));
        let context = ListenerContext { http: running.parts.http_service.0.clone(), certificate };
        let mut addresses = Vec::new();
        for listener in listeners {
            let address = listener.address();
            let accept_task = listener
                .accept(context.clone())
                .map_err(|source| BuildError::Listen { address: address.to_string(), source })?;
            running.parts.accept_tasks.0.push(accept_task);
            let url = match &address {
                Address::Tcp(address) => format!("{scheme}://{address}"),
                #[cfg(unix)]
                unix @ Address::Unix(_) => unix.to_string(),
            };
            let (node, metrics) = (&running.parts.node, running.metrics_address());
            telemetry.record(&Event::Listening {
                url: &url,
                metrics,
                node,
                subprotocol,
                min_subprotocol,
            });
            addresses.push(address);
        }
        Ok(running.with_address(addresses))
    }

    /// Starts the server on a Unix socket: see [`Listener::unix`].
    ///
    /// # Errors
    /// [`BuildError`] if the description is invalid or the path cannot be listened on.
    #[cfg(unix)]
    pub async fn listen_unix(
        self,
        path: impl AsRef<std::path::Path>,
    ) -> Result<RunningServer<Vec<Address>>, BuildError> {
        self.listen_on([Listener::unix(path, None)?]).await
    }

    /// Starts the server without listeners, as a part of another HTTP server, which gives it
    /// connections or requests through its [`http_service`](RunningServer::http_service).
    /// [`Config::tls`](crate::Config::tls) is not used.
    ///
    /// # Errors
    /// [`BuildError`] if the description is invalid.
    pub async fn attach(self) -> Result<RunningServer<()>, BuildError> {
        let timeouts = ShutdownTimeouts {
            drain: self.config.drain_timeout,
            disconnect: self.config.disconnect_timeout,
        };
        let metrics = self.config.metrics_address;
        let ServerParts { http, node, hub_end, lifecycle, alive, all_ended } =
            self.start(Clock::start(), HubDriver::spawn_thread)?;
        let metrics = metrics
            .map(|address| MetricsEndpoint::open(address, &http.shared.handle))
            .transpose()?;
        let http_service = HttpService(Arc::new(http));
        let accept_tasks = AcceptTasks::default();
        let parts = Parts {
            node,
            http_service,
            accept_tasks,
            metrics,
            hub_end,
            lifecycle,
            alive,
            all_ended,
            timeouts,
        };
        Ok(RunningServer { address: (), parts })
    }
}

impl RunningServer<SocketAddr> {
    /// Returns the address that the server listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl RunningServer<Vec<Address>> {
    /// Returns the addresses that the server listens on, in the order of its listeners.
    pub fn addresses(&self) -> &[Address] {
        &self.address
    }
}

impl<A> RunningServer<A> {
    fn with_address<New>(self, address: New) -> RunningServer<New> {
        RunningServer { address, parts: self.parts }
    }

    /// Returns the [separate address](crate::Config::metrics_address) that serves metrics, if there
    /// is one.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.parts.metrics.as_ref().map(MetricsEndpoint::address)
    }

    /// Returns the server's node id.
    pub const fn node_id(&self) -> &NodeId {
        &self.parts.node
    }

    /// Returns the handle, to add actions of the application's own from anywhere.
    pub fn handle(&self) -> &Handle {
        &self.http().shared.handle
    }

    /// Returns the service for connections and requests that another HTTP server accepts.
    pub const fn http_service(&self) -> &HttpService {
        &self.parts.http_service
    }

    fn http(&self) -> &HttpContext {
        &self.parts.http_service.0
    }

    /// Waits until the server fails, and returns the error. A server does not stop by itself for
    /// any other reason.
    pub async fn broken(&mut self) -> ServerError {
        match (&mut self.parts.hub_end).await {
            Ok(Err(error)) => ServerError(error),
            Ok(Ok(())) | Err(_) => ServerError("the thread of the hub has ended".into()),
        }
    }

    /// Shuts the server down.
    ///
    /// First, new connections are refused, HTTP requests receive status 503, and actions of clients
    /// are no longer accepted. Actions in progress have
    /// [`Config::drain_timeout`](crate::Config::drain_timeout) to complete; with a durable store,
    /// the others are processed after the next start. Then clients have
    /// [`Config::disconnect_timeout`](crate::Config::disconnect_timeout) to read their queued
    /// messages and the close reason `shutdown`, before their connections are closed.
    ///
    /// # Errors
    /// [`ServerError`] if the log failed in the meantime.
    pub async fn shutdown(mut self) -> Result<(), ServerError> {
        let telemetry = self.handle().telemetry().clone();
        telemetry.record(&Event::Stopping);
        self.parts.lifecycle.send_replace(Lifecycle::Draining);
        self.handle().send_command(HubCommand::Input(Input::Drain)).await;
        let ended = timeout(self.parts.timeouts.drain, &mut self.parts.hub_end).await;
        if ended.is_err() {
            let error = "they are processed after the next start, if the log is durable";
            telemetry.record(&Event::Failed { what: Failure::Stop, error: &error });
            self.handle().send_command(HubCommand::Stop).await;
            let _ = timeout(self.parts.timeouts.disconnect, &mut self.parts.hub_end).await;
        }
        self.parts.accept_tasks.close().await;
        self.parts.lifecycle.send_replace(Lifecycle::Disconnecting);
        self.http().shared.connections.close_all();
        if let Some(metrics) = self.parts.metrics.take() {
            metrics.close().await;
        }
        let Parts { http_service, alive, mut all_ended, timeouts, .. } = self.parts;
        drop(alive);
        if timeout(timeouts.disconnect, all_ended.recv()).await.is_err() {
            let aborted = http_service.0.shared.connections.abort_all();
            telemetry.record(&Event::Failed {
                what: Failure::Disconnect,
                error: &format_args!("{aborted} were closed with unread messages"),
            });
        }
        match ended {
            Ok(Ok(Err(error))) => Err(ServerError(error)),
            _ => Ok(()),
        }
    }
}
