//! The clients of a test.

use std::{future::Future, net::IpAddr};

use cookie::Cookie;
use hyper::header::{COOKIE, HeaderName, HeaderValue};
use logux::{
    Action, Json, NodeId,
    action::{
        ActionError,
        logux::{PROCESSED, Undo},
    },
    sync::State,
};
use logux_client::{Client, SyncError};
use logux_net::drive::Clock;
use serde::Serialize;

use crate::testing::{
    connector::{TestConnectionInfo, TestConnector, TestListener},
    server::settle,
};

/// Builds a client that is not connected yet.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it connects"]
pub struct TestClientBuilder {
    node: String,
    token: Option<String>,
    subprotocol: u32,
    headers: Option<Json>,
    info: TestConnectionInfo,
    clock: Clock,
    listener: TestListener,
}

/// The reason why a client could not connect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server refused it with this error of the protocol, such as `wrong-credentials`.
    #[error("the server refused the client: {0}")]
    Refused(String),
    /// The client's id is invalid.
    #[error("invalid client id: {0}")]
    Id(String),
}

/// The reason why an action was not processed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// The server has undone it.
    #[error("the server has undone the action: {}", .0.reason)]
    Undone(Box<Undo>),
    /// It was undone by the client before it was sent.
    #[error("the action was undone before it was sent to the server")]
    Dropped,
    /// The value is not an action.
    #[error("expected an action, a JSON object with a `type`: {0}")]
    Action(#[from] ActionError),
    /// The client has stopped.
    #[error("the client has stopped: {0}")]
    Stopped(String),
}

impl From<SyncError> for TestError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Undone(undo) => Self::Undone(undo),
            SyncError::Dropped => Self::Dropped,
            other => Self::Stopped(other.to_string()),
        }
    }
}

impl TestClientBuilder {
    pub(super) fn new(node: String, clock: Clock, listener: TestListener) -> Self {
        Self {
            node,
            token: None,
            subprotocol: 0,
            headers: None,
            info: TestConnectionInfo::default(),
            clock,
            listener,
        }
    }

    /// Sets the token for authentication.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the version of the application's subprotocol. Default: 0.
    pub const fn subprotocol(mut self, version: u32) -> Self {
        self.subprotocol = version;
        self
    }

    /// Sets the client's headers, a JSON object.
    ///
    /// # Panics
    /// If the value cannot be serialized to JSON.
    pub fn headers(mut self, headers: impl Serialize) -> Self {
        self.headers = Some(Json::from_value(&headers).expect("headers that serialize to JSON"));
        self
    }

    /// Adds a header to the HTTP request that opens its connection.
    ///
    /// # Panics
    /// If it is not a valid HTTP header.
    pub fn http_header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a name of an HTTP header");
        self.info.http_headers.append(name, value.parse().expect("a value of an HTTP header"));
        self
    }

    /// Sets the IP address that it connects from. Default: 127.0.0.1.
    pub const fn address(mut self, address: IpAddr) -> Self {
        self.info.address = address;
        self
    }

    /// Adds a cookie to that request.
    ///
    /// # Panics
    /// If it is not a valid cookie.
    pub fn cookie(self, name: &str, value: &str) -> Self {
        let cookie = Cookie::new(name, value).encoded().to_string();
        let value = HeaderValue::from_str(&cookie).expect("a cookie");
        self.http_header(COOKIE.as_str(), value.to_str().expect("a cookie in ASCII"))
    }

    /// Connects, and returns when both sides have synchronized.
    ///
    /// # Errors
    /// [`ConnectError`] if the server refuses the client, or its id is invalid.
    pub async fn connect(self) -> Result<TestClient, ConnectError> {
        let connector = TestConnector::new(self.listener, self.info);
        let mut builder =
            Client::builder(&self.node).map_err(|error| ConnectError::Id(error.to_string()))?;
        builder = builder.subprotocol(self.subprotocol).clock(self.clock);
        if let Some(token) = self.token {
            builder = builder.token(token);
        }
        if let Some(headers) = self.headers {
            builder = builder.headers(headers);
        }
        let reconnecting = connector.clone();
        let client = builder.start(move || reconnecting.clone().connect());
        let connected = TestClient { client, connector };
        tokio::select! {
            biased;
            reason = connected.client.ended() => Err(ConnectError::Refused(reason)),
            _ = connected.client.reached(State::Synchronized) => Ok(connected),
        }
    }
}

/// A client that is connected to a server under test. Dropping it disconnects it.
#[derive(Debug)]
pub struct TestClient {
    client: Client,
    connector: TestConnector,
}

impl TestClient {
    /// Returns its node id.
    pub const fn node_id(&self) -> &NodeId {
        self.client.node_id()
    }

    /// Returns the client of `logux-client`.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Sends an action and waits until the server has processed it. Returns the actions that were
    /// received from the server in the meantime, without `logux/processed`.
    ///
    /// # Errors
    /// [`TestError::Undone`] if the server undoes it.
    pub async fn process(&self, action: impl Serialize) -> Result<Vec<Action>, TestError> {
        let action = Action::new(Json::from_value(&action).map_err(ActionError::Write)?.as_str())?;
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
        let received = std::iter::from_fn(|| actions.try_next()).map(|entry| entry.action);
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

    /// Reconnects, and returns when both sides have synchronized.
    ///
    /// # Errors
    /// [`ConnectError`] if the server refuses the client now.
    pub async fn reconnect(&self) -> Result<(), ConnectError> {
        self.connector.restore();
        tokio::select! {
            biased;
            reason = self.client.ended() => Err(ConnectError::Refused(reason)),
            _ = self.client.reached(State::Synchronized) => Ok(()),
        }
    }
}
