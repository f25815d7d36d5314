//! The settings themselves, as clap's flags, in groups that `--help` shows under headings.
//!
//! A new setting is a field here and its meaning in `resolved`. The flag `--min-subprotocol` is the variable `LOGUX_MIN_SUBPROTOCOL` and the
//! key `min-subprotocol` of `logux.toml` too, without another word about it. What no source says is `None`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use logux::server::{Rate, RateError};
use logux_server::{BuildError, InspectorAccess, Pem, TrustedProxies};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Logger {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// A text that does not show in logs.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl Secret {
    fn read(text: &str) -> Result<Self, std::convert::Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

fn octal(text: &str) -> Result<u32, String> {
    let mode =
        u32::from_str_radix(text.trim_start_matches("0o"), 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| "expected an octal number such as 660".to_owned())
}

fn type_rate(text: &str) -> Result<(String, Rate), String> {
    let (kind, rate) =
        text.rsplit_once('=').ok_or("expected a type and a rate, such as mail/send=5/m")?;
    Ok((kind.to_owned(), rate.parse().map_err(|error: RateError| error.to_string())?))
}

fn pem(text: &str) -> Result<Pem, std::convert::Infallible> {
    Ok(text.into())
}

fn proxies(text: &str) -> Result<TrustedProxies, String> {
    text.parse().map_err(|error: BuildError| error.to_string())
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "expected a number from 0 to 1, such as 0.05".to_owned())
}

fn audience(text: &str) -> Result<InspectorAccess, String> {
    text.parse().map_err(|error: BuildError| error.to_string())
}

/// All settings that any source may give.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Flags {
    #[command(flatten)]
    pub(super) application: Application,
    #[command(flatten)]
    pub(super) listening: Listening,
    #[command(flatten)]
    pub(super) clients: Clients,
    #[command(flatten)]
    pub(super) bounds: Bounds,
    #[command(flatten)]
    pub(super) telling: Telling,
}

/// What is served.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "What is served")]
pub(super) struct Application {
    /// Collection of records to serve; repeat it for several
    #[arg(long = "collection", alias = "collections", value_name = "NAME", value_delimiter = ',')]
    pub(super) collections: Option<Vec<String>>,
    /// File that keeps everything [default: logux.db]
    #[arg(long, value_name = "FILE")]
    pub(super) db: Option<PathBuf>,
    /// Keep encrypted actions and pass them on between the devices of a user, until one of them cleans them: this many for a user, 10000 unless said
    #[arg(long, value_name = "NUMBER", num_args = 0..=1, require_equals = true, default_missing_value = "10000")]
    pub(super) relay: Option<u64>,
    /// HTTP server that is the application: asked about logins, actions and subscriptions
    #[arg(long, value_name = "URL")]
    pub(super) backend: Option<String>,
    /// Secret that the back end and this server show each other
    #[arg(long, value_name = "TEXT", value_parser = Secret::read)]
    pub(super) control_secret: Option<Secret>,
    /// Addresses and networks from which the back end may send actions [default: loopback]
    #[arg(long, value_name = "NETWORKS")]
    pub(super) control_mask: Option<String>,
}

/// Where clients connect to.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Where it listens")]
pub(super) struct Listening {
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub(super) host: Option<IpAddr>,
    /// Port to listen on; 0 takes a free one [default: 31337]
    #[arg(long, short, value_name = "PORT")]
    pub(super) port: Option<u16>,
    /// Unix socket to listen on, in place of an address unless one is given too
    #[arg(long, value_name = "FILE")]
    pub(super) unix: Option<PathBuf>,
    /// Who may connect to the Unix socket, as for chmod [default: as umask says]
    #[arg(long, value_name = "MODE", value_parser = octal)]
    pub(super) unix_mode: Option<u32>,
    /// Certificate chain for TLS: a PEM file, or its text. A file may change meanwhile
    #[arg(long, value_name = "PEM", value_parser = pem)]
    pub(super) cert: Option<Pem>,
    /// Key of the certificate: a PEM file, or its text
    #[arg(long, value_name = "PEM", value_parser = pem)]
    pub(super) key: Option<Pem>,
    /// Milliseconds after which the files of the certificate are looked at again [default: 10000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) tls_reload_ms: Option<u64>,
    /// Proxies whose X-Forwarded-For is believed: addresses, networks, and `unix` for the Unix socket
    #[arg(long, value_name = "NETWORKS", value_parser = proxies)]
    pub(super) trust_proxy: Option<TrustedProxies>,
    /// Answer nothing but WebSocket: no pages, no /health, no actions from the back end
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) disable_http: Option<bool>,
    /// Milliseconds that what is in progress may take at the end [default: 30000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) finish_ms: Option<u64>,
    /// Milliseconds that clients may take then to read what waits for them [default: 5000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) leave_ms: Option<u64>,
}

/// Who may connect.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Who may connect")]
pub(super) struct Clients {
    /// Secret of the tokens that clients show: JWT, HS256, `sub` is the user id
    #[arg(long, value_name = "TEXT", value_parser = Secret::read)]
    pub(super) secret: Option<Secret>,
    /// Version of your application's own protocol [default: 0]
    #[arg(long, value_name = "NUMBER")]
    pub(super) subprotocol: Option<u32>,
    /// Oldest version of clients that may connect [default: 0]
    #[arg(long, value_name = "NUMBER")]
    pub(super) min_subprotocol: Option<u32>,
    /// Versions of clients of protocols 3 and 4 that may connect, such as ^1.0.0
    #[arg(long, value_name = "RANGE")]
    pub(super) supports: Option<String>,
    /// Origin of web pages that may connect, such as https://example.com; repeat it for several [default: all]
    #[arg(long = "origin", alias = "origins", value_name = "ORIGIN", value_delimiter = ',')]
    pub(super) origins: Option<Vec<String>>,
}

/// How much of anything there may be.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Bounds")]
pub(super) struct Bounds {
    /// Most connections at a time [default: 100000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_connections: Option<usize>,
    /// Most connections at a time from one address [default: as many]
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_connections_per_address: Option<usize>,
    /// Wrong logins from one address within 3 s before none counts; 0 for any number [default: 3]
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_wrong_logins: Option<usize>,
    /// Most messages and actions from one connection, such as 100/s; what is beyond is read more slowly [default: any]
    #[arg(long, value_name = "RATE")]
    pub(super) max_rate: Option<Rate>,
    /// The same from all connections of one user [default: any]
    #[arg(long, value_name = "RATE")]
    pub(super) max_rate_per_user: Option<Rate>,
    /// Most actions of a type from one user, such as mail/send=5/m; what is beyond is undone; repeat it for several
    #[arg(long, value_name = "TYPE=RATE", value_delimiter = ',', value_parser = type_rate)]
    pub(super) max_rate_of: Option<Vec<(String, Rate)>>,
    /// Most channels that one client is subscribed to [default: 10000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_subscriptions: Option<usize>,
    /// Most actions of one client that wait to be processed before no more is read [default: 1000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_queue: Option<usize>,
    /// Largest message of a client [default: 1048576]
    #[arg(long, value_name = "BYTES")]
    pub(super) max_message_bytes: Option<usize>,
    /// Largest body of an HTTP request [default: 1048576]
    #[arg(long, value_name = "BYTES")]
    pub(super) max_body_bytes: Option<usize>,
    /// Most messages that wait for one client to read them; a slower reader is cut off [default: 10000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_outbox_messages: Option<usize>,
    /// Most bytes that wait for one client to read them [default: 8388608]
    #[arg(long, value_name = "BYTES")]
    pub(super) max_outbox_bytes: Option<usize>,
    /// Milliseconds that an action's time may lie in the future [default: 300000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_ahead_ms: Option<u64>,
    /// Actions and answers that are remembered, so that what comes again is not done again [default: 100000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) remembered: Option<u64>,
    /// Milliseconds of silence after which a client is asked whether it is there [default: 20000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) ping_ms: Option<u64>,
    /// Milliseconds that a client may take to log in, and to answer [default: 70000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) timeout_ms: Option<u64>,
}

/// What it says about itself.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "What it says")]
pub(super) struct Telling {
    /// Id of this server, in its node id behind `server:` [default: random]
    #[arg(long, value_name = "TEXT")]
    pub(super) id: Option<String>,
    /// How log lines look [default: human]
    #[arg(long, short, value_enum, value_name = "human|json", hide_possible_values = true)]
    pub(super) logger: Option<Logger>,
    /// Address to serve /metrics for Prometheus on, to whoever can reach it; 127.0.0.1:9464 if none is said [default: none]
    #[arg(long, value_name = "IP:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:9464")]
    pub(super) metrics: Option<SocketAddr>,
    /// OpenTelemetry collector that gets a trace of each action, over HTTP, such as http://127.0.0.1:4318 [default: none]
    #[arg(long, value_name = "URL")]
    pub(super) otlp: Option<String>,
    /// Part of the actions that are traced [default: 1]
    #[arg(long, value_name = "NUMBER", value_parser = ratio)]
    pub(super) otlp_ratio: Option<f64>,
    /// Addresses and networks that may see the inspector at / in development [default: loopback]
    #[arg(long, value_name = "NETWORKS", value_parser = audience)]
    pub(super) inspect_from: Option<InspectorAccess>,
    /// Environment: in `development` clients are told why actions are refused [default: production]
    #[arg(long, value_name = "NAME")]
    pub(super) env: Option<String>,
}
