//! A client that a test speaks through.

use std::future::Future;

use cookie::Cookie;
use hyper::{
    HeaderMap,
    header::{COOKIE, HeaderName, HeaderValue},
};
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
    connector::{TestConnector, TestListener},
    server::settle,
};

/// A client that is not connected yet.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it connects"]
pub struct TestClientBuilder {
    node: String,
    token: Option<String>,
    subprotocol: u32,
    headers: Option<Json>,
    http_headers: HeaderMap,
    clock: Clock,
    listener: TestListener,
}

/// The server did not let a client in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// It refused it, with this error of the protocol, such as `wrong-credentials`.
    #[error("the server refused the client: {0}")]
    Refused(String),
    /// The client's id cannot be used.
    #[error("the client's id cannot be used: {0}")]
    Id(String),
}

/// What a client did had no success.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// The server took it back.
    #[error("the server has undone the action: {}", .0.reason)]
    Undone(Box<Undo>),
    /// What was given is no action.
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
            http_headers: HeaderMap::new(),
            clock,
            listener,
        }
    }

    /// What proves who the user is.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The version of the application's protocol that it speaks. 0.
    pub const fn subprotocol(mut self, version: u32) -> Self {
        self.subprotocol = version;
        self
    }

    /// What it says about itself: a JSON object.
    ///
    /// # Panics
    /// If the value cannot be written as JSON.
    pub fn headers(mut self, headers: impl Serialize) -> Self {
        self.headers = Some(Json::from_value(&headers).expect("headers are JSON"));
        self
    }

    /// A header of the HTTP request that opens its connection.
    ///
    /// # Panics
    /// If HTTP does not allow such a header.
    pub fn http_header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a name of an HTTP header");
        self.http_headers.append(name, value.parse().expect("a value of an HTTP header"));
        self
    }

    /// A cookie of that request.
    ///
    /// # Panics
    /// If HTTP does not allow such a cookie.
    pub fn cookie(self, name: &str, value: &str) -> Self {
        let cookie = Cookie::new(name, value).encoded().to_string();
        let value = HeaderValue::from_str(&cookie).expect("a cookie");
        self.http_header(COOKIE.as_str(), value.to_str().expect("a cookie in ASCII"))
    }

    /// Connects, and returns when everything that waited on both sides was exchanged.
    ///
    /// # Errors
    /// [`ConnectError`] when the server does not let it in.
    pub async fn connect(self) -> Result<TestClient, ConnectError> {
        let connector = TestConnector::new(self.listener, self.http_headers);
        let mut builder =
            Client::builder(&self.node).map_err(|error| ConnectError::Id(error.to_string()))?;
        builder = builder.subprotocol(self.subprotocol).clock(self.clock);
        if let Some(token) = self.token {
            builder = builder.token(token);
        }
        if let Some(headers) = self.headers {
            builder = builder.headers(headers);
        }
        let plug = connector.clone();
        let client = builder.start(move || plug.clone().connect());
        let connected = TestClient { client, connector };
        tokio::select! {
            biased;
            why = connected.client.ended() => Err(ConnectError::Refused(why)),
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
    /// Its node id.
    pub const fn node_id(&self) -> &NodeId {
        self.client.node_id()
    }

    /// The client itself.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Does an action and waits until the server has processed it. Returns what came from the server meanwhile, without `logux/processed`.
    ///
    /// # Errors
    /// [`TestError::Undone`] when the server took it back.
    pub async fn process(&self, action: impl Serialize) -> Result<Vec<Action>, TestError> {
        let action = Action::new(Json::from_value(&action).map_err(ActionError::Write)?.as_str())?;
        let mut done = Ok(());
        let came = self.collect(async { done = self.client.sync(action).await }).await;
        done?;
        Ok(came)
    }

    /// Subscribes to a channel. Returns what is in it.
    ///
    /// # Errors
    /// As [`process`](Self::process). For a filter or `since`, do the whole `logux/subscribe`.
    pub async fn subscribe(&self, channel: &str) -> Result<Vec<Action>, TestError> {
        self.process(serde_json::json!({"type": "logux/subscribe", "channel": channel})).await
    }

    /// Leaves a channel.
    ///
    /// # Errors
    /// As [`process`](Self::process).
    pub async fn unsubscribe(&self, channel: &str) -> Result<(), TestError> {
        self.process(serde_json::json!({"type": "logux/unsubscribe", "channel": channel}))
            .await
            .map(drop)
    }

    /// What comes from the server while something is done, without `logux/processed`.
    pub async fn collect(&self, what: impl Future) -> Vec<Action> {
        let mut actions = self.client.actions();
        what.await;
        let came = std::iter::from_fn(|| actions.try_next()).map(|entry| entry.action);
        came.filter(|action| action.kind() != PROCESSED).collect()
    }

    /// What comes from the server while something is done and after it, until nobody has anything to do. Needs a clock that stands still meanwhile
    /// (`start_paused`).
    pub async fn received(&self, what: impl Future) -> Vec<Action> {
        let settled = async {
            what.await;
            settle().await;
        };
        self.collect(settled).await
    }

    /// Passes if the server denies the action.
    ///
    /// # Panics
    /// If it does not.
    pub async fn expect_denied(&self, action: impl Serialize) {
        self.expect_undo("denied", action).await;
    }

    /// Passes if the server takes the action back for this reason.
    ///
    /// # Panics
    /// If it does not.
    pub async fn expect_undo(&self, reason: &str, action: impl Serialize) {
        match self.process(action).await {
            Err(TestError::Undone(undo)) if undo.reason == reason => {}
            Err(other) => panic!("expected an undo with the reason `{reason}`, but: {other}"),
            Ok(_) => {
                panic!("expected an undo with the reason `{reason}`, but the action was processed")
            }
        }
    }

    /// Cuts the connection: neither end is told why. The client keeps its log, and what it does meanwhile waits.
    pub async fn disconnect(&self) {
        self.connector.cut();
        self.client.reached(State::Disconnected).await;
        settle().await;
    }

    /// Connects it again, and returns when everything that waited on both sides was exchanged.
    ///
    /// # Errors
    /// [`ConnectError`] when the server does not let it in any more.
    pub async fn reconnect(&self) -> Result<(), ConnectError> {
        self.connector.mend();
        tokio::select! {
            biased;
            why = self.client.ended() => Err(ConnectError::Refused(why)),
            _ = self.client.reached(State::Synchronized) => Ok(()),
        }
    }
}
