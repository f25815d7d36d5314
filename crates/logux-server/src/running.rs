//! A server from its start to its end.

use std::{net::SocketAddr, time::Duration};

use logux::{NodeId, server::Input};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    Handle,
    handle::Command,
    watch::{Event, Failure},
};

/// How long what is in progress may take when the server stops.
const FINISH: Duration = Duration::from_secs(30);
/// How long connections may take to end then.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A server that is running. Dropping it stops accepting, at once and without farewell; [`shutdown`](Self::shutdown) is the polite way.
#[derive(Debug)]
pub struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) node: NodeId,
    pub(crate) handle: Handle,
    pub(crate) accepting: JoinHandle<()>,
    pub(crate) hub_end: oneshot::Receiver<Result<(), String>>,
    pub(crate) all_ended: mpsc::Receiver<()>,
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
        let watch = self.handle.watch().clone();
        watch.note(&Event::Stopping);
        self.handle.tell(Command::Input(Input::Drain)).await;
        let ended = timeout(FINISH, &mut self.hub_end).await;
        let _ = timeout(LAST_WORDS, self.all_ended.recv()).await;
        match ended {
            Ok(Ok(Err(error))) => Err(Broken(error)),
            Ok(_) => Ok(()),
            Err(_) => {
                let error = "they are done after the next start, if the log is durable";
                watch.note(&Event::Failed { what: Failure::Stop, error: &error });
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
