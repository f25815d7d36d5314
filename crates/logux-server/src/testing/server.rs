//! A server without sockets.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use logux::{NodeId, WallTime, store::Store};
use logux_client::testing::{ConnectError, START, TestClient, settle};
use logux_net::drive::Clock;
use tokio::task::AbortHandle;

use crate::{
    error::BuildError,
    http::connection::HttpContext,
    hub::handle::Handle,
    server::builder::Builder,
    testing::{client::TestClientBuilder, listener::TestListener},
};

/// A server under test: your handlers, and the whole real server without sockets. Dropping it stops
/// it.
#[derive(Debug)]
pub struct TestServer {
    node: NodeId,
    listener: TestListener,
    clock: Clock,
    hub: AbortHandle,
    /// The number of clients that were created for each user.
    clients: Mutex<HashMap<String, u32>>,
}

impl TestServer {
    /// Starts a server from a builder. Without authentication, all clients are accepted. Must be
    /// called within a runtime.
    ///
    /// # Errors
    /// [`BuildError`] if the builder's configuration is invalid.
    pub fn start<S: Send + Sync + 'static, St: Store + Send + 'static>(
        builder: Builder<S, St>,
    ) -> Result<Self, BuildError> {
        let clock = Clock::starting_at(START);
        let mut hub = None;
        let started = builder.or_accept_all().start(clock, |task| {
            let (hub_future, end) = task.into_future();
            hub = Some(tokio::spawn(hub_future).abort_handle());
            Ok(end)
        })?;
        let HttpContext { shared, limits, .. } = started.http;
        let hub = hub.ok_or_else(|| BuildError::Store("the hub's task was not started".into()))?;
        Ok(Self {
            node: started.node,
            listener: TestListener { shared, limits },
            clock,
            hub,
            clients: Mutex::default(),
        })
    }

    /// Returns the builder of a client, for example to set its [`token`](TestClientBuilder::token),
    /// headers and cookies. The first client of user `10` has the node id `10:1:1`, the second
    /// `10:2:1`; pass a whole node id for another.
    pub fn client(&self, id: &str) -> TestClientBuilder {
        let node = if id.contains(':') {
            id.to_owned()
        } else {
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            let number = clients.entry(id.to_owned()).or_default();
            *number += 1;
            format!("{id}:{number}:1")
        };
        TestClientBuilder::new(node, self.clock, self.listener.clone())
    }

    /// Connects a client of a user.
    ///
    /// # Errors
    /// [`ConnectError`] if the server refuses the client, or its id is invalid.
    pub async fn connect(&self, id: &str) -> Result<TestClient, ConnectError> {
        self.client(id).connect().await
    }

    /// Asserts that the server refuses the client's credentials.
    ///
    /// # Panics
    /// If it accepts the client, or refuses it for another reason.
    pub async fn expect_wrong_credentials(&self, client: TestClientBuilder) {
        match client.connect().await {
            Err(ConnectError::Refused(kind)) if kind == "wrong-credentials" => {}
            Err(other) => panic!("expected wrong-credentials, but: {other}"),
            Ok(client) => {
                panic!("expected wrong-credentials, but {} was accepted", client.node_id())
            }
        }
    }

    /// Returns the server's handle, for example to add its own actions.
    pub fn handle(&self) -> &Handle {
        &self.listener.shared.handle
    }

    /// Returns its node id.
    pub const fn node_id(&self) -> &NodeId {
        &self.node
    }

    /// Returns its clock, for clients that you build yourself: [`TestClientBuilder::connector`].
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Returns the current time of the server's clock.
    pub fn now(&self) -> WallTime {
        self.clock.now().wall
    }

    /// Waits until no task is ready: all tasks wait for time to pass.
    pub async fn settle(&self) {
        settle().await;
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.hub.abort();
    }
}
