//! A client whose connection can be cut, with assertions.

use core::time::Duration;

use logux::{Action, NodeId, Store, action::logux::PROCESSED, sync::State};
use serde::Serialize;

use crate::{
    Builder, Client,
    testing::{
        connector::TestConnector,
        error::{ConnectError, TestError},
    },
};

/// A client over a [`TestConnector`]. When it and all clones of its [`client`](Self::client) are
/// dropped, it disconnects.
///
/// The methods that have to know that nothing more happens, such as [`sent`](Self::sent), require a
/// paused clock (`start_paused`): time passes when no task is ready.
#[derive(Debug)]
pub struct TestClient {
    client: Client,
    connector: TestConnector,
}

impl TestClient {
    /// Starts a client, and does not wait for its connection. Set the builder's
    /// [`clock`](Builder::clock) to the server's. Must be called within a runtime.
    pub fn start<St>(builder: Builder<St>, connector: TestConnector) -> Self
    where
        St: Store + Send + 'static,
    {
        Self { client: builder.start(connector.clone()), connector }
    }

    /// Starts a client, and returns when both sides have synchronized. See [`start`](Self::start).
    ///
    /// # Errors
    /// [`ConnectError`] if the server refuses the client.
    pub async fn connect<St>(
        builder: Builder<St>,
        connector: TestConnector,
    ) -> Result<Self, ConnectError>
    where
        St: Store + Send + 'static,
    {
        let connecting = Self::start(builder, connector);
        connecting.connected().await?;
        Ok(connecting)
    }

    /// Returns its node id.
    pub fn node_id(&self) -> NodeId {
        self.client.node_id()
    }

    /// Returns the client of the application.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Returns its connector.
    pub const fn connector(&self) -> &TestConnector {
        &self.connector
    }

    /// Sends an action and waits until the server has processed it. Returns the actions that were
    /// received from the server in the meantime, without `logux/processed`.
    ///
    /// # Errors
    /// [`TestError::Undone`] if the server undoes it.
    pub async fn process(&self, action: impl Serialize) -> Result<Vec<Action>, TestError> {
        let action = Action::from_value(&action)?;
        let mut result = Ok(());
        let received = self.collect(async { result = self.client.sync(action).await }).await;
        result?;
        Ok(received)
    }

    /// Subscribes to a channel. Returns its actions.
    ///
    /// # Errors
    /// As for [`process`](Self::process). For a filter or `since`, process a whole
    /// `logux/subscribe`.
    pub async fn subscribe(&self, channel: &str) -> Result<Vec<Action>, TestError> {
        self.process(serde_json::json!({"type": "logux/subscribe", "channel": channel})).await
    }

    /// Unsubscribes from a channel.
    ///
    /// # Errors
    /// As for [`process`](Self::process).
    pub async fn unsubscribe(&self, channel: &str) -> Result<(), TestError> {
        self.process(serde_json::json!({"type": "logux/unsubscribe", "channel": channel}))
            .await
            .map(drop)
    }

    /// Returns the actions that are received from the server while a future runs, without
    /// `logux/processed`.
    pub async fn collect(&self, future: impl Future) -> Vec<Action> {
        let mut actions = self.client.actions();
        future.await;
        let received = core::iter::from_fn(|| actions.try_next()).map(|entry| entry.action);
        received.filter(|action| action.kind() != PROCESSED).collect()
    }

    /// Returns the actions that are received from the server while a future runs and afterwards,
    /// until no task is ready. Requires a paused clock (`start_paused`).
    pub async fn received(&self, future: impl Future) -> Vec<Action> {
        let settled = async {
            future.await;
            settle().await;
        };
        self.collect(settled).await
    }

    /// Returns the actions that the client sends to the server while a future runs and afterwards,
    /// until no task is ready, in the order of sending. What it sends again after a lost connection
    /// is included again, and what it encrypts is encrypted. Requires a paused clock
    /// (`start_paused`).
    pub async fn sent(&self, future: impl Future) -> Vec<Action> {
        let mut sent = self.connector.sent();
        future.await;
        settle().await;
        core::iter::from_fn(|| sent.try_recv().ok()).collect()
    }

    /// Asserts that the server denies the action.
    ///
    /// # Panics
    /// If the assertion fails.
    pub async fn expect_denied(&self, action: impl Serialize) {
        self.expect_undo("denied", action).await;
    }

    /// Asserts that the server undoes the action with this reason.
    ///
    /// # Panics
    /// If the assertion fails.
    pub async fn expect_undo(&self, reason: &str, action: impl Serialize) {
        match self.process(action).await {
            Err(TestError::Undone(undo)) if undo.reason == reason => {}
            Err(other) => panic!("expected an undo with the reason `{reason}`, but: {other}"),
            Ok(_) => {
                panic!("expected an undo with the reason `{reason}`, but the action was processed")
            }
        }
    }

    /// Cuts the connection, without a close message to either end. The client keeps its log, and
    /// its new actions wait.
    pub async fn disconnect(&self) {
        self.connector.cut();
        self.client.reached(State::Disconnected).await;
        settle().await;
    }

    /// Restores the connection, and returns when both sides have synchronized. The client waits as
    /// long as its [`Backoff`](crate::Backoff) says, which takes no time with a paused clock.
    ///
    /// # Errors
    /// [`ConnectError`] if the server refuses the client now.
    pub async fn reconnect(&self) -> Result<(), ConnectError> {
        self.connector.restore();
        self.connected().await
    }

    async fn connected(&self) -> Result<(), ConnectError> {
        tokio::select! {
            biased;
            reason = self.client.ended() => Err(ConnectError::Refused(reason)),
            _ = self.client.reached(State::Synchronized) => Ok(()),
        }
    }
}

/// Waits until no task is ready: a paused clock advances only then, so a millisecond passes after
/// all work.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
