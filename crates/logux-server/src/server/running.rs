//! A server from its start to its end.

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

/// A server that is running. `At` is where it listens: an address, several, or nowhere by itself.
///
/// Dropping it stops accepting, at once and without farewell; [`shutdown`](Self::shutdown) is the polite way.
#[derive(Debug)]
pub struct RunningServer<At = SocketAddr> {
    at: At,
    node: NodeId,
    http_service: HttpService,
    accepting: Accepting,
    metrics: Option<MetricsEndpoint>,
    hub_end: HubEnd,
    lifecycle: watch::Sender<Lifecycle>,
    /// Together: `all_ended` tells when `alive` and its clones, one in each connection, are gone.
    alive: mpsc::Sender<()>,
    all_ended: mpsc::Receiver<()>,
    timeouts: ShutdownTimeouts,
}

/// The tasks that accept connections; dropping them ends them.
#[derive(Debug, Default)]
struct Accepting(Vec<JoinHandle<()>>);

impl Accepting {
    /// Accepts nothing more, and returns when the addresses are free.
    async fn close(&mut self) {
        for mut task in self.0.drain(..) {
            task.abort();
            let _ = (&mut task).await;
        }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// The server's log failed, so the server had to stop: what it could not keep, it did not confirm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server had to stop: {0}")]
pub struct ServerError(String);

impl<S: Send + Sync + 'static, St: Store + Send + 'static> Builder<S, St> {
    /// Starts the server on an address. It is ready when this returns. Port 0 takes a free one.
    ///
    /// # Errors
    /// [`BuildError`] for a mistake in the description, or an address that cannot be listened on.
    pub async fn listen(self, address: SocketAddr) -> Result<RunningServer, BuildError> {
        let running = self.listen_on([Listener::tcp(address)?]).await?;
        let found = running
            .at
            .iter()
            .find_map(|at| if let Address::Tcp(at) = at { Some(*at) } else { None });
        Ok(running.at(found.unwrap_or(address)))
    }

    /// Starts the server on sockets that listen already, any number of them. It is ready when this returns.
    ///
    /// # Errors
    /// [`BuildError`] for a mistake in the description, or a socket that cannot be used.
    pub async fn listen_on(
        self,
        listeners: impl IntoIterator<Item = Listener>,
    ) -> Result<RunningServer<Vec<Address>>, BuildError> {
        let reload = self.config.tls_reload_interval.max(Duration::from_millis(1));
        let read = self.config.tls.clone().map(Certificate::read).transpose()?;
        let scheme = if read.is_some() { "wss" } else { "ws" };
        let (subprotocol, min_subprotocol) = (self.config.subprotocol, self.config.min_subprotocol);
        let mut running = self.attach().await?;
        let telemetry = running.handle().telemetry().clone();
        let certificate = read.map(|read| read.keep_fresh(reload, telemetry.clone()));
        let context = ListenerContext { http: running.http_service.0.clone(), certificate };
        let mut addresses = Vec::new();
        for listener in listeners {
            let address = listener.address();
            let accepting = listener.accept(context.clone());
            let accepting = accepting
                .map_err(|source| BuildError::Listen { address: address.to_string(), source })?;
            running.accepting.0.push(accepting);
            let url = match &address {
                Address::Tcp(address) => format!("{scheme}://{address}"),
                #[cfg(unix)]
                unix @ Address::Unix(_) => unix.to_string(),
            };
            let (node, metrics) = (&running.node, running.metrics_address());
            telemetry.record(&Event::Listening {
                url: &url,
                metrics,
                node,
                subprotocol,
                min_subprotocol,
            });
            addresses.push(address);
        }
        Ok(running.at(addresses))
    }

    /// Starts the server on a Unix socket: see [`Listener::unix`].
    ///
    /// # Errors
    /// [`BuildError`] for a mistake in the description, or a path that cannot be listened on.
    #[cfg(unix)]
    pub async fn listen_unix(
        self,
        path: impl AsRef<std::path::Path>,
    ) -> Result<RunningServer<Vec<Address>>, BuildError> {
        self.listen_on([Listener::unix(path, None)?]).await
    }

    /// Starts the server without a socket of its own, as a part of another program: clients come by its
    /// [`http_service`](RunningServer::http_service). [`Config::tls`](crate::Config::tls) is not used.
    ///
    /// # Errors
    /// [`BuildError`] for a mistake in the description.
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
        let accepting = Accepting::default();
        Ok(RunningServer {
            at: (),
            node,
            http_service,
            accepting,
            metrics,
            hub_end,
            lifecycle,
            alive,
            all_ended,
            timeouts,
        })
    }
}

impl RunningServer<SocketAddr> {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.at
    }
}

impl RunningServer<Vec<Address>> {
    /// Where it listens, in the order of its listeners.
    pub fn addresses(&self) -> &[Address] {
        &self.at
    }
}

impl<At> RunningServer<At> {
    fn at<New>(self, at: New) -> RunningServer<New> {
        let Self {
            at: _,
            node,
            http_service,
            accepting,
            metrics,
            hub_end,
            lifecycle,
            alive,
            all_ended,
            timeouts,
        } = self;
        RunningServer {
            at,
            node,
            http_service,
            accepting,
            metrics,
            hub_end,
            lifecycle,
            alive,
            all_ended,
            timeouts,
        }
    }

    /// Where it serves metrics, if it does.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(MetricsEndpoint::address)
    }

    /// Its node id.
    pub const fn node_id(&self) -> &NodeId {
        &self.node
    }

    /// The way to it from anywhere, for actions of your own.
    pub fn handle(&self) -> &Handle {
        &self.http().shared.handle
    }

    /// The way in for clients whose connections somebody else accepts.
    pub const fn http_service(&self) -> &HttpService {
        &self.http_service
    }

    fn http(&self) -> &HttpContext {
        &self.http_service.0
    }

    /// Waits until the server has to stop.
    ///
    /// # Errors
    /// [`ServerError`], always: a server does not stop by itself for any other reason.
    pub async fn broken(&mut self) -> ServerError {
        match (&mut self.hub_end).await {
            Ok(Err(error)) => ServerError(error),
            Ok(Ok(())) | Err(_) => ServerError("its thread has ended".into()),
        }
    }

    /// Stops. From now on nobody new is let in, HTTP is answered with status 503, and actions of clients are not taken any more. What is
    /// in progress is finished, within [`Config::drain_timeout`](crate::Config::drain_timeout); what a handler has not finished by then is
    /// done after the next start, if the log is durable. Then clients are sent what waits for them and the reason `shutdown`,
    /// within [`Config::disconnect_timeout`](crate::Config::disconnect_timeout), and who has not read it by then is cut off.
    ///
    /// # Errors
    /// [`ServerError`] if the log failed meanwhile.
    pub async fn shutdown(mut self) -> Result<(), ServerError> {
        let telemetry = self.handle().telemetry().clone();
        telemetry.record(&Event::Stopping);
        self.lifecycle.send_replace(Lifecycle::Draining);
        self.handle().send_command(HubCommand::Input(Input::Drain)).await;
        let ended = timeout(self.timeouts.drain, &mut self.hub_end).await;
        if ended.is_err() {
            let error = "they are done after the next start, if the log is durable";
            telemetry.record(&Event::Failed { what: Failure::Stop, error: &error });
            self.handle().send_command(HubCommand::Stop).await;
            let _ = timeout(self.timeouts.disconnect, &mut self.hub_end).await;
        }
        self.accepting.close().await;
        self.lifecycle.send_replace(Lifecycle::Disconnecting);
        self.http().shared.open.close_all();
        if let Some(metrics) = self.metrics.take() {
            metrics.close().await;
        }
        let Self { http_service, alive, mut all_ended, timeouts, .. } = self;
        drop(alive);
        if timeout(timeouts.disconnect, all_ended.recv()).await.is_err() {
            let left = http_service.0.shared.open.cut_all();
            telemetry.record(&Event::Failed {
                what: Failure::Disconnect,
                error: &format_args!("{left} were cut off"),
            });
        }
        match ended {
            Ok(Ok(Err(error))) => Err(ServerError(error)),
            _ => Ok(()),
        }
    }
}
