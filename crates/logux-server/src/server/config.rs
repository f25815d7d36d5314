//! Everything about a server that is not a handler.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use logux::{
    Json, NodeId,
    server::{Config as HubConfig, Rate},
    sync::{self, Subprotocols},
};

use crate::{
    error::BuildError,
    http::{inspector_access::InspectorAccess, tls::Tls, trusted_proxies::TrustedProxies},
    random_id::random_id,
};

/// Everything about a server that is not a handler, with its defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The part of the node id behind `server:`. Random unless given.
    pub id: Option<String>,
    /// The application's protocol version.
    pub subprotocol: u32,
    /// The oldest version of clients that may connect.
    pub min_subprotocol: u32,
    /// The versions of clients of protocols 3 and 4 that may connect, as an npm SemVer range such as `^1.0.0`.
    pub supports: Option<String>,
    /// Tell clients that this is development, and why their actions are refused; show what is in actions in log lines, and the inspector at
    /// `/` to its audience.
    pub development: bool,
    /// Who may see the inspector in development. Loopback addresses unless given.
    pub inspector_audience: InspectorAccess,
    /// Count what happens, for [`Handle::metrics`](crate::Handle::metrics). Implied by `development` and by `metrics_address`.
    pub collect_metrics: bool,
    /// Where to serve `/metrics` for Prometheus: an address of its own. Nowhere unless given, since who can reach it may read it.
    pub metrics_address: Option<SocketAddr>,
    /// Certificate chain and key. With them the server speaks TLS, but on Unix sockets.
    pub tls: Option<Tls>,
    /// After how many milliseconds the files of certificate and key are looked at again. New connections get what is new in them; what
    /// cannot be used is reported, and the old one stays. 10,000.
    pub tls_reload_interval: Duration,
    /// Answer nothing but WebSocket: no routes, no pages, no `/health`, and no actions from a back end. HTTP gets status 426.
    pub disable_http: bool,
    /// The proxies in front of the server whose `X-Forwarded-For` is believed, for remote addresses and everything that is counted by
    /// address. None unless given.
    pub proxies: TrustedProxies,
    /// The largest message of a client, in bytes. 1 MiB.
    pub max_message_bytes: usize,
    /// The largest body of an HTTP request, in bytes. 1 MiB.
    pub max_body_bytes: usize,
    /// How many messages may wait for one client to read them. 10,000.
    pub max_outbox_messages: usize,
    /// How many bytes may wait for one client to read them. 8 MiB.
    pub max_outbox_bytes: usize,
    /// How many connections there may be. 100,000.
    pub max_connections: usize,
    /// How many connections there may be from one address; as many as in all unless given. Behind a proxy all have its address.
    pub max_connections_per_address: Option<usize>,
    /// How many channels one client may be subscribed to. What is beyond is undone with the reason `subscriptionLimit`. 10,000.
    pub max_subscriptions: usize,
    /// How many actions of one client may wait for the application before no more is read from it. 1,000.
    pub max_queue: usize,
    /// How many messages and actions one connection may send. What is beyond is read more slowly: nothing is lost. A message costs one, each
    /// action in it after the first one more. After a batch that is far beyond the rate signs of life are still heard, but the
    /// next batch waits until the first is paid for; who sends much more for longer than the time-out is cut off by it. Any rate unless given.
    pub max_rate: Option<Rate>,
    /// The same for all connections of one user together. Any rate unless given.
    pub max_rate_per_user: Option<Rate>,
    /// How often one user, or one client without a user, may do actions of a type. What is beyond is undone with the reason `rateLimit`, and with
    /// `retryAfterMs`: after how many milliseconds there is room again. For what is dear or dangerous, such as sending mail.
    pub max_rates_of_types: HashMap<String, Rate>,
    /// How many wrong logins from one address (64 bits of it with IPv6) within 3 s there may be before all logins from there are refused
    /// for a while. 3; `None` for any number, for a server behind a proxy.
    pub max_wrong_logins: Option<usize>,
    /// The origins of web pages that may connect, such as `https://example.com`. All unless given.
    pub allowed_origins: Option<Vec<String>>,
    /// How many milliseconds the time of a client's action may lie ahead of the server's clock. Others are undone with the reason `wrongTime`,
    /// since they would win over everybody else's changes. 300,000.
    pub max_ahead: Duration,
    /// Milliseconds of silence after which a client is asked whether it is there. 20,000.
    pub ping_interval: Duration,
    /// Milliseconds that a client may take to say who it is, and to answer. 70,000.
    pub timeout: Duration,
    /// How many actions and answers to remember, so that an action that comes again is not done again, and an answer that was lost is sent
    /// again: so many of the latest entries of the log, and those of up to 64 actions more. 10,000.
    pub remembered_entries: u64,
    /// For how many milliseconds to remember them at most. 604,800,000: a week.
    pub remembered_for: Duration,
    /// How many milliseconds what is in progress may take when the server stops. 30,000.
    pub drain_timeout: Duration,
    /// How many milliseconds clients may take then to read what waits for them. 5,000.
    pub disconnect_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            id: None,
            subprotocol: 0,
            min_subprotocol: 0,
            supports: None,
            development: false,
            inspector_audience: InspectorAccess::default(),
            collect_metrics: false,
            metrics_address: None,
            tls: None,
            tls_reload_interval: Duration::from_secs(10),
            disable_http: false,
            proxies: TrustedProxies::default(),
            max_message_bytes: 1024 * 1024,
            max_body_bytes: 1024 * 1024,
            max_outbox_messages: 10_000,
            max_outbox_bytes: 8 * 1024 * 1024,
            max_connections: 100_000,
            max_connections_per_address: None,
            max_subscriptions: 10_000,
            max_queue: 1_000,
            max_rate: None,
            max_rate_per_user: None,
            max_rates_of_types: HashMap::new(),
            max_wrong_logins: Some(3),
            allowed_origins: None,
            max_ahead: Duration::from_mins(5),
            ping_interval: Duration::from_secs(20),
            timeout: Duration::from_secs(70),
            remembered_entries: 10_000,
            remembered_for: Duration::from_hours(7 * 24),
            drain_timeout: Duration::from_secs(30),
            disconnect_timeout: Duration::from_secs(5),
        }
    }
}

impl Config {
    pub(crate) fn node(&self) -> Result<NodeId, BuildError> {
        let id = self.id.clone().unwrap_or_else(random_id);
        NodeId::new(format!("server:{id}")).map_err(|error| BuildError::Store(error.to_string()))
    }

    pub(crate) fn hub_config(&self, node: NodeId) -> HubConfig {
        let mut config = HubConfig::new(node);
        config.subprotocol = self.subprotocol;
        config.debug = self.development;
        config.remembered_entries = self.remembered_entries;
        config.remembered_for = self.remembered_for;
        config.max_ahead = self.max_ahead;
        config.max_queue = self.max_queue;
        config.max_subscriptions = self.max_subscriptions;
        config.rates.clone_from(&self.max_rates_of_types);
        config
    }

    pub(crate) fn node_config(&self, node: NodeId) -> sync::Config {
        let mut config = sync::Config::server(node);
        config.subprotocol = Subprotocols { number: self.subprotocol, semver: None };
        config.ping_interval = Some(self.ping_interval);
        config.timeout = Some(self.timeout);
        config.limits.message_bytes = self.max_message_bytes;
        config.headers = self
            .development
            .then(|| Json::from_value(&serde_json::json!({"env": "development"})).ok())
            .flatten();
        config
    }
}
