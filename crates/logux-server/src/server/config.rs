//! The configuration of a server.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use logux::{
    Json, NodeId,
    server::{Config as HubConfig, Rate},
    sync::{self, Subprotocols},
};

use crate::{
    error::BuildError,
    http::{
        inspector_access::InspectorAccess, origins::AllowedOrigins, tls::Tls,
        trusted_proxies::TrustedProxies,
    },
    random_id::random_id,
};

/// The configuration of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The part of the node id after `server:`. Default: a random id.
    pub id: Option<String>,
    /// The version of the application's own protocol. Default: 0.
    pub subprotocol: u32,
    /// The same version for clients with protocols 3 and 4, which know it as SemVer, such as
    /// `1.2.0`. Default: `N.0.0`, where `N` is `subprotocol`.
    pub subprotocol_semver: Option<String>,
    /// The oldest version of clients that may connect. Default: 0.
    pub min_subprotocol: u32,
    /// The versions of clients with protocols 3 and 4 that may connect, as an npm SemVer range such
    /// as `^1.0.0`. Default: those whose major version is at least `min_subprotocol`.
    pub supports: Option<String>,
    /// Development mode: clients receive the reasons why their actions are refused, log lines
    /// contain actions, and the inspector is served at `/`: clients, actions, records and
    /// documents. Default: `false`.
    pub development: bool,
    /// The addresses that may use the inspector. Default: loopback addresses.
    pub inspector_access: InspectorAccess,
    /// Collect [`metrics`](crate::metrics) for [`Handle::metrics`](crate::Handle::metrics). Implied
    /// by `development` and by `metrics_address`. Default: `false`.
    pub collect_metrics: bool,
    /// A separate address that serves `/metrics` for Prometheus to everybody who can connect to it.
    /// Default: none.
    pub metrics_address: Option<SocketAddr>,
    /// The certificate chain and the private key. If set, the server uses TLS, except on Unix
    /// sockets. Default: none.
    pub tls: Option<Tls>,
    /// How often the files of the certificate and the key are checked for changes. New connections
    /// use the new certificate; if it is invalid, an error is reported and the old one stays in
    /// use. Default: 10 s.
    pub tls_reload_interval: Duration,
    /// Accept only WebSocket connections: no routes, no `/health`, no inspector, and no actions
    /// from a back end. Other HTTP requests receive status 426. Default: `false`.
    pub disable_http: bool,
    /// The proxies whose `X-Forwarded-For` header is trusted, for remote addresses and for all
    /// limits per address. Default: none.
    pub proxies: TrustedProxies,
    /// The largest message of a client, in bytes. Official clients send all that they did offline
    /// in one message. A larger message closes the connection. Default: 64 MiB.
    pub max_message_bytes: usize,
    /// The largest action of a client, in bytes. Larger ones are undone with the reason `tooLarge`;
    /// the other actions of the message are accepted. Default: 8 MiB.
    pub max_action_bytes: usize,
    /// The largest message of a client before it is authenticated, in bytes. Default: 16 KiB.
    pub max_login_bytes: usize,
    /// The memory for messages of more than 64 KiB while they are received and stored, of all
    /// clients together, in bytes. Clients whose messages need more wait until others are stored.
    /// A quarter of it is for messages of at most 1 MiB. Default: 256 MiB.
    pub max_receiving_bytes: usize,
    /// The largest body of an HTTP request, in bytes. Default: 1 MiB.
    pub max_body_bytes: usize,
    /// The largest number of messages of other clients and of the application that are queued for
    /// one client. A client that exceeds it, because it reads too slowly, is disconnected. What the
    /// client has requested itself does not count: answers, and the states of channels, are sent at
    /// its pace. Default: 10,000.
    pub max_outbox_messages: usize,
    /// The largest size of these messages, in bytes. A client that exceeds it with more than one
    /// message is disconnected. Default: 8 MiB.
    pub max_outbox_bytes: usize,
    /// The largest number of connections. Default: 100,000.
    pub max_connections: usize,
    /// The largest number of connections from one address. All connections through a proxy that is
    /// not trusted have the proxy's address. Default: `max_connections`.
    pub max_connections_per_address: Option<usize>,
    /// The largest number of subscriptions that one client may request, each with its filter.
    /// Further subscriptions are undone with the reason `subscriptionLimit`. Those that the server
    /// makes itself, for the records of a loaded collection, do not count. Default: 10,000.
    pub max_subscriptions: usize,
    /// The largest `filter` of a subscription, as JSON, in bytes. Subscriptions with larger ones
    /// are undone with the reason `filterTooLarge`. Default: 16 KiB.
    pub max_filter_bytes: usize,
    /// The largest size of all filters of one client, in bytes. Further subscriptions are undone
    /// with the reason `subscriptionLimit`. Default: 1 MiB.
    pub max_client_filter_bytes: usize,
    /// The largest number of actions of one client that wait for the application. Then the server
    /// stops reading from the client until some are processed. The last message may exceed it.
    /// Default: 1,000.
    pub max_queue: usize,
    /// The memory of the actions of one user, of all its clients, that wait for the application, in
    /// bytes. Each action counts its JSON and 512 bytes. Then the server stops reading from the
    /// clients of the user. Default: 16 MiB.
    pub max_queue_bytes: usize,
    /// The same for the actions of all users, in bytes. Then the server stops reading from all
    /// clients. Default: 256 MiB.
    pub max_pending_bytes: usize,
    /// The rate of messages and actions of one connection. A message costs one token, and each of
    /// its actions after the first another one.
    ///
    /// Reads from a connection that exceeds the rate are throttled; no message is lost. After a
    /// message far above the rate, keep-alives are still handled, but the next actions wait until
    /// the tokens are available; a client that continues to send much more is disconnected by its
    /// timeout. `None` is any rate. Default: 10,000 per second.
    pub max_rate: Option<Rate>,
    /// The rate of messages and actions of all connections of one user together, as for `max_rate`.
    /// Default: 50,000 per second.
    pub max_rate_per_user: Option<Rate>,
    /// The rates of action types, for one user, or for one client without a user. Use it for
    /// actions that are expensive or dangerous, such as sending mail. Further actions are undone
    /// with the reason `rateLimit` and `retryAfterMs`, the milliseconds until an action is accepted
    /// again. Default: none.
    pub max_rates_of_types: HashMap<String, Rate>,
    /// The number of logins with wrong credentials of one user from one address after which further
    /// checks wait: 1 s, and twice as long with each further wrong login, up to 10 s. A correct
    /// login is delayed, but never refused; of many waiting logins from one address, some are
    /// closed without an error, so that their clients try again. Wrong logins are forgotten within
    /// a minute, one after the other. With IPv6, addresses with the same first 64 bits count as
    /// one. `None` is any number. Default: 3.
    pub max_wrong_logins: Option<u32>,
    /// The number of logins with wrong credentials from one address, of all users, after which
    /// further checks wait in the same way. Clients on a Unix socket without an address are not
    /// counted here. `None` is any number. Default: 100.
    pub max_wrong_logins_per_address: Option<u32>,
    /// The time by which a connection outlives its login, for clocks that differ. See
    /// [`AuthOutcome::Accepted`](crate::AuthOutcome::Accepted). Default: 3 s.
    pub login_leeway: Duration,
    /// The origins of web pages that may connect, such as `https://example.com`. Programs that are
    /// not pages in a browser send no origin and are not affected. Default: all, but if the back
    /// end authenticates clients, pages whose browsers send cookies only if they have the host of
    /// this server.
    pub allowed_origins: Option<AllowedOrigins>,
    /// The largest time by which a client's action may be ahead of the server's clock. Other
    /// actions are undone with the reason `wrongTime`, since they would win over the changes of all
    /// other clients. Default: 5 minutes.
    pub max_ahead: Duration,
    /// The silence of a client after which it receives a `ping`. Default: 20 s.
    pub ping_interval: Duration,
    /// The time for the application to decide about a login, and for a client to answer a message.
    /// Default: 70 s.
    pub timeout: Duration,
    /// The time for a client to send `connect`. Default: 15 s, and not more than `timeout`.
    pub login_timeout: Duration,
    /// The number of the latest entries of the log whose ids and answers are remembered: such an
    /// action is not processed again, and its answer is sent again. Temporarily, entries of up to
    /// 64 more actions are remembered. Default: 10,000.
    pub remembered_entries: u64,
    /// The size of these actions and answers, in bytes, at which the oldest are forgotten, and
    /// those of one user at a quarter of it. Default: 64 MiB.
    pub remembered_bytes: usize,
    /// The longest time for which they are remembered. Default: a week.
    pub remembered_for: Duration,
    /// The time for which connections stay open while the server's log cannot be written, because
    /// its file is locked, for example. What clients send waits. After that, connections are closed
    /// and new ones receive status 503, until the log can be written again. Default: 30 s.
    pub store_timeout: Duration,
    /// The time for actions in progress to complete when the server shuts down. Default: 30 s.
    pub drain_timeout: Duration,
    /// The time for clients to read their queued messages after that. Default: 5 s.
    pub disconnect_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            id: None,
            subprotocol: 0,
            subprotocol_semver: None,
            min_subprotocol: 0,
            supports: None,
            development: false,
            inspector_access: InspectorAccess::default(),
            collect_metrics: false,
            metrics_address: None,
            tls: None,
            tls_reload_interval: Duration::from_secs(10),
            disable_http: false,
            proxies: TrustedProxies::default(),
            max_message_bytes: 64 * 1024 * 1024,
            max_action_bytes: 8 * 1024 * 1024,
            max_login_bytes: 16 * 1024,
            max_receiving_bytes: 256 * 1024 * 1024,
            max_body_bytes: 1024 * 1024,
            max_outbox_messages: 10_000,
            max_outbox_bytes: 8 * 1024 * 1024,
            max_connections: 100_000,
            max_connections_per_address: None,
            max_subscriptions: 10_000,
            max_filter_bytes: 16 * 1024,
            max_client_filter_bytes: 1024 * 1024,
            max_queue: 1_000,
            max_queue_bytes: 16 * 1024 * 1024,
            max_pending_bytes: 256 * 1024 * 1024,
            max_rate: Rate::new(10_000, Duration::from_secs(1)),
            max_rate_per_user: Rate::new(50_000, Duration::from_secs(1)),
            max_rates_of_types: HashMap::new(),
            max_wrong_logins: Some(3),
            max_wrong_logins_per_address: Some(100),
            login_leeway: Duration::from_secs(3),
            allowed_origins: None,
            max_ahead: Duration::from_mins(5),
            ping_interval: Duration::from_secs(20),
            timeout: Duration::from_secs(70),
            login_timeout: Duration::from_secs(15),
            remembered_entries: 10_000,
            remembered_bytes: 64 * 1024 * 1024,
            remembered_for: Duration::from_hours(7 * 24),
            store_timeout: Duration::from_secs(30),
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
        config.remembered_bytes = self.remembered_bytes;
        config.remembered_for = self.remembered_for;
        config.max_ahead = self.max_ahead;
        config.max_queue = self.max_queue;
        config.max_queue_bytes = self.max_queue_bytes;
        config.max_pending_bytes = self.max_pending_bytes;
        config.max_subscriptions = self.max_subscriptions;
        config.max_filter_bytes = self.max_filter_bytes;
        config.max_client_filter_bytes = self.max_client_filter_bytes;
        config.rates.clone_from(&self.max_rates_of_types);
        config
    }

    pub(crate) fn node_config(&self, node: NodeId) -> sync::Config {
        let mut config = sync::Config::server(node);
        let semver = self.subprotocol_semver.as_deref().map(Into::into);
        config.subprotocol = Subprotocols { number: self.subprotocol, semver };
        config.ping_interval = Some(self.ping_interval);
        config.timeout = Some(self.timeout);
        config.connect_timeout = Some(self.login_timeout.min(self.timeout));
        config.limits.message_bytes = self.max_message_bytes;
        config.limits.action_bytes = self.max_action_bytes;
        config.max_connect_bytes = self.max_login_bytes;
        config.headers = self
            .development
            .then(|| Json::from_value(&serde_json::json!({"env": "development"})).ok())
            .flatten();
        config
    }
}
