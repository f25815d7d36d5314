//! The description of a client of a test.

use std::net::IpAddr;

use cookie::Cookie;
use hyper::header::{COOKIE, HeaderName, HeaderValue};
use logux::Json;
use logux_client::{
    Client,
    testing::{ConnectError, TestClient, TestConnector},
};
use logux_net::drive::Clock;
use serde::Serialize;

use crate::testing::listener::{TestConnectionInfo, TestListener};

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

    /// Returns a connector with its address, HTTP headers and cookies, for a client that you build
    /// yourself: with a store, encryption, or a token that changes. Its clock has to be the
    /// [server's](crate::testing::TestServer::clock).
    ///
    /// ```
    /// use logux_client::{Client, Encryption};
    /// use logux_server::{Server, testing::{TestClient, TestServer}};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = TestServer::start(Server::builder().relay(1_000))?;
    /// let connector = server.client("10").cookie("session", "secret").connector();
    /// let builder = Client::builder("10:phone:1")?.clock(server.clock());
    /// let builder = builder.encryption(Encryption::from_secret("secret"));
    /// let client = TestClient::connect(builder, connector).await?;
    /// # Ok(()) }
    /// ```
    pub fn connector(&self) -> TestConnector {
        let (listener, info) = (self.listener.clone(), self.info.clone());
        TestConnector::new(move || listener.accept(&info))
    }

    /// Connects, and returns when both sides have synchronized.
    ///
    /// # Errors
    /// [`ConnectError`] if the server refuses the client, or its id is invalid.
    pub async fn connect(self) -> Result<TestClient, ConnectError> {
        let connector = self.connector();
        let mut builder =
            Client::builder(&self.node).map_err(|error| ConnectError::Id(error.to_string()))?;
        builder = builder.subprotocol(self.subprotocol).clock(self.clock);
        if let Some(token) = self.token {
            builder = builder.token(token);
        }
        if let Some(headers) = self.headers {
            builder = builder.headers(headers);
        }
        TestClient::connect(builder, connector).await
    }
}
