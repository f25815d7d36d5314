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
        connection::Http,
        listener::{Address, Door, Listener},
        metrics_endpoint::Endpoint,
        service::Entrance,
        tls::Certificate,
    },
    hub::{
        driver::{HubEnd, HubTask},
        handle::{Command, Handle},
    },
    lifecycle::{Patience, Stage},
    server::builder::{Builder, Started},
    telemetry::event::{Event, Failure},
};

/// A server that is running. `At` is where it listens: an address, several, or nowhere by itself.
///
/// Dropping it stops accepting, at once and without farewell; [`shutdown`](Self::shutdown) is the polite way.
#[derive(Debug)]
pub struct Running<At = SocketAddr> {
    at: At,
    node: NodeId,
    entrance: Entrance,
    accepting: Accepting,
    metrics: Option<Endpoint>,
    hub_end: HubEnd,
    stage: watch::Sender<Stage>,
    /// Together: `all_ended` tells when `alive` and its clones, one in each connection, are gone.
    alive: mpsc::Sender<()>,
    all_ended: mpsc::Receiver<()>,
    patience: Patience,
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
pub struct Broken(String);

impl<S: Send + Sync + 'static, St: Store + Send + 'static> Builder<S, St> {
    /// Starts the server on an address. It is ready when this returns. Port 0 takes a free one.
    ///
    /// # Errors
    /// [`BuildError`] for a mistake in the description, or an address that cannot be listened on.
    pub async fn listen(self, address: SocketAddr) -> Result<Running, BuildError> {
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
    ) -> Result<Running<Vec<Address>>, BuildError> {
        let reload = Duration::from_millis(self.settings.tls_reload_ms.max(1));
        let read = self.settings.tls.clone().map(Certificate::read).transpose()?;
        let scheme = if read.is_some() { "wss" } else { "ws" };
        let (subprotocol, min_subprotocol) =
            (self.settings.subprotocol, self.settings.min_subprotocol);
        let mut running = self.attach().await?;
        let watch = running.handle().watch().clone();
        let certificate = read.map(|read| read.keep_fresh(reload, watch.clone()));
        let door = Door { http: running.entrance.0.clone(), certificate };
        let mut addresses = Vec::new();
        for listener in listeners {
            let address = listener.address();
            let accepting = listener.accept(door.clone());
            let accepting = accepting
                .map_err(|source| BuildError::Listen { address: address.to_string(), source })?;
            running.accepting.0.push(accepting);
            let url = match &address {
                Address::Tcp(address) => format!("{scheme}://{address}"),
                #[cfg(unix)]
                unix @ Address::Unix(_) => unix.to_string(),
            };
            let (node, metrics) = (&running.node, running.metrics_address());
            watch.note(&Event::Listening {
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
    ) -> Result<Running<Vec<Address>>, BuildError> {
        self.listen_on([Listener::unix(path, None)?]).await
    }

    /// Starts the server without a socket of its own, as a part of another program: clients come by its
    /// [`entrance`](Running::entrance). [`Settings::tls`](crate::Settings::tls) is not used.
    ///
    /// # Errors
    /// [`BuildError`] for a mistake in the description.
    pub async fn attach(self) -> Result<Running<()>, BuildError> {
        let patience = Patience {
            finish: Duration::from_millis(self.settings.finish_ms),
            leave: Duration::from_millis(self.settings.leave_ms),
        };
        let metrics = self.settings.metrics_address;
        let Started { http, node, hub_end, stage, alive, all_ended } =
            self.start(Clock::start(), HubTask::spawn_thread)?;
        let metrics =
            metrics.map(|address| Endpoint::open(address, &http.shared.handle)).transpose()?;
        let entrance = Entrance(Arc::new(http));
        let accepting = Accepting::default();
        Ok(Running {
            at: (),
            node,
            entrance,
            accepting,
            metrics,
            hub_end,
            stage,
            alive,
            all_ended,
            patience,
        })
    }
}

impl Running<SocketAddr> {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.at
    }
}

impl Running<Vec<Address>> {
    /// Where it listens, in the order of its listeners.
    pub fn addresses(&self) -> &[Address] {
        &self.at
    }
}

impl<At> Running<At> {
    fn at<New>(self, at: New) -> Running<New> {
        let Self {
            at: _,
            node,
            entrance,
            accepting,
            metrics,
            hub_end,
            stage,
            alive,
            all_ended,
            patience,
        } = self;
        Running {
            at,
            node,
            entrance,
            accepting,
            metrics,
            hub_end,
            stage,
            alive,
            all_ended,
            patience,
        }
    }

    /// Where it serves metrics, if it does.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(Endpoint::address)
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
    pub const fn entrance(&self) -> &Entrance {
        &self.entrance
    }

    fn http(&self) -> &Http {
        &self.entrance.0
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

    /// Stops. From now on nobody new is let in, HTTP is answered with status 503, and actions of clients are not taken any more. What is
    /// in progress is finished, within [`Settings::finish_ms`](crate::Settings::finish_ms); what a handler has not finished by then is
    /// done after the next start, if the log is durable. Then clients are sent what waits for them and the reason `shutdown`,
    /// within [`Settings::leave_ms`](crate::Settings::leave_ms), and who has not read it by then is cut off.
    ///
    /// # Errors
    /// [`Broken`] if the log failed meanwhile.
    pub async fn shutdown(mut self) -> Result<(), Broken> {
        let watch = self.handle().watch().clone();
        watch.note(&Event::Stopping);
        self.stage.send_replace(Stage::Draining);
        self.handle().tell(Command::Input(Input::Drain)).await;
        let ended = timeout(self.patience.finish, &mut self.hub_end).await;
        if ended.is_err() {
            let error = "they are done after the next start, if the log is durable";
            watch.note(&Event::Failed { what: Failure::Stop, error: &error });
            self.handle().tell(Command::Stop).await;
            let _ = timeout(self.patience.leave, &mut self.hub_end).await;
        }
        self.accepting.close().await;
        self.stage.send_replace(Stage::Leaving);
        self.http().shared.open.close_all();
        if let Some(metrics) = self.metrics.take() {
            metrics.close().await;
        }
        let Self { entrance, alive, mut all_ended, patience, .. } = self;
        drop(alive);
        if timeout(patience.leave, all_ended.recv()).await.is_err() {
            let left = entrance.0.shared.open.cut_all();
            watch.note(&Event::Failed {
                what: Failure::Farewell,
                error: &format_args!("{left} were cut off"),
            });
        }
        match ended {
            Ok(Ok(Err(error))) => Err(Broken(error)),
            _ => Ok(()),
        }
    }
}
