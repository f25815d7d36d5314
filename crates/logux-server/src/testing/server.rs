//! A server without sockets.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use logux::{NodeId, WallTime, store::Store};
use logux_net::drive::Clock;
use tokio::task::AbortHandle;

use crate::{
    error::BuildError,
    http::connection::HttpContext,
    hub::handle::Handle,
    server::builder::Builder,
    testing::{
        client::{ConnectError, TestClient, TestClientBuilder},
        connector::TestListener,
    },
};

/// When the clock of a test begins: 2024-01-01, 00:00 UTC.
pub const START: WallTime = WallTime::from_millis(1_704_067_200_000);

/// A server under test: your handlers, and all of the real server behind its sockets. Dropping it ends it.
#[derive(Debug)]
pub struct TestServer {
    node: NodeId,
    listener: TestListener,
    clock: Clock,
    hub: AbortHandle,
    /// How many clients each user has had.
    clients: Mutex<HashMap<String, u32>>,
}

impl TestServer {
    /// Starts a server as it was described. Everyone is let in if nothing was said about that. Has to be called in a runtime.
    ///
    /// # Errors
    /// [`BuildError`] for a mistake in the description.
    pub fn start<S: Send + Sync + 'static, St: Store + Send + 'static>(
        builder: Builder<S, St>,
    ) -> Result<Self, BuildError> {
        let clock = Clock::starting_at(START);
        let mut hub = None;
        let started = builder.or_let_all_in().start(clock, |task| {
            let (running, end) = task.into_future();
            hub = Some(tokio::spawn(running).abort_handle());
            Ok(end)
        })?;
        let HttpContext { shared, limits, .. } = started.http;
        let hub = hub.ok_or_else(|| BuildError::Store("its task was not started".into()))?;
        Ok(Self {
            node: started.node,
            listener: TestListener { shared, limits },
            clock,
            hub,
            clients: Mutex::default(),
        })
    }

    /// A client of a user, not connected yet: with [`token`](TestClientBuilder::token), headers and cookies, if the server wants to see them.
    /// The first client of user `10` is the node `10:1:1`, the second `10:2:1`; for another give the whole id.
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
    /// [`ConnectError`] when the server does not let it in.
    pub async fn connect(&self, id: &str) -> Result<TestClient, ConnectError> {
        self.client(id).connect().await
    }

    /// Passes if the server refuses the client because of what it shows.
    ///
    /// # Panics
    /// If it lets it in, or refuses it for another reason.
    pub async fn expect_wrong_credentials(&self, client: TestClientBuilder) {
        match client.connect().await {
            Err(ConnectError::Refused(kind)) if kind == "wrong-credentials" => {}
            Err(other) => panic!("expected wrong-credentials, but: {other}"),
            Ok(client) => panic!("expected wrong-credentials, but {} was let in", client.node_id()),
        }
    }

    /// The way to the server from anywhere, for actions of its own.
    pub fn handle(&self) -> &Handle {
        &self.listener.shared.handle
    }

    /// Its node id.
    pub const fn node_id(&self) -> &NodeId {
        &self.node
    }

    /// The time by the server's clock.
    pub fn now(&self) -> WallTime {
        self.clock.now().wall
    }

    /// Waits until nobody has anything to do but to wait for time to pass.
    pub async fn settle(&self) {
        settle().await;
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.hub.abort();
    }
}

/// With a clock that stands still while there is something to do, a millisecond passes when all is done.
pub(super) async fn settle() {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
}
