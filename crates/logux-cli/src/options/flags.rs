//! The settings themselves, as clap's flags, in groups that `--help` shows under headings.
//!
//! A new setting is a field here and its meaning in `resolved`. The flag `--min-subprotocol` is the variable `LOGUX_MIN_SUBPROTOCOL` and the
//! key `min-subprotocol` of `logux.toml` too, without another word about it. What no source says is `None`.

use std::{fmt, net::IpAddr, path::PathBuf};

use clap::{Args, ValueEnum};

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
    /// Collection of records to serve; repeat it for several [env: LOGUX_COLLECTION, separated by commas]
    #[arg(long = "collection", alias = "collections", value_name = "NAME", value_delimiter = ',')]
    pub(super) collections: Option<Vec<String>>,
    /// File that keeps everything [default: logux.db] [env: LOGUX_DB]
    #[arg(long, value_name = "FILE")]
    pub(super) db: Option<PathBuf>,
    /// HTTP server that is the application: asked about logins, actions and subscriptions [env: LOGUX_BACKEND]
    #[arg(long, value_name = "URL")]
    pub(super) backend: Option<String>,
    /// Secret that the back end and this server show each other [env: LOGUX_CONTROL_SECRET]
    #[arg(long, value_name = "TEXT", value_parser = Secret::read)]
    pub(super) control_secret: Option<Secret>,
    /// Addresses and networks from which the back end may send actions [default: loopback] [env: LOGUX_CONTROL_MASK]
    #[arg(long, value_name = "NETWORKS")]
    pub(super) control_mask: Option<String>,
}

/// Where clients connect to.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Where it listens")]
pub(super) struct Listening {
    /// Address to listen on [default: 127.0.0.1] [env: LOGUX_HOST]
    #[arg(long, value_name = "IP")]
    pub(super) host: Option<IpAddr>,
    /// Port to listen on; 0 takes a free one [default: 31337] [env: LOGUX_PORT]
    #[arg(long, short, value_name = "PORT")]
    pub(super) port: Option<u16>,
    /// Certificate chain for TLS, a PEM file [env: LOGUX_CERT]
    #[arg(long, value_name = "FILE")]
    pub(super) cert: Option<PathBuf>,
    /// Key of the certificate, a PEM file [env: LOGUX_KEY]
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
}

/// Who may connect.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Who may connect")]
pub(super) struct Clients {
    /// Secret of the tokens that clients show: JWT, HS256, `sub` is the user id [env: LOGUX_SECRET]
    #[arg(long, value_name = "TEXT", value_parser = Secret::read)]
    pub(super) secret: Option<Secret>,
    /// Version of your application's own protocol [default: 0] [env: LOGUX_SUBPROTOCOL]
    #[arg(long, value_name = "NUMBER")]
    pub(super) subprotocol: Option<u32>,
    /// Oldest version of clients that may connect [default: 0] [env: LOGUX_MIN_SUBPROTOCOL]
    #[arg(long, value_name = "NUMBER")]
    pub(super) min_subprotocol: Option<u32>,
    /// Versions of clients of protocols 3 and 4 that may connect, such as ^1.0.0 [env: LOGUX_SUPPORTS]
    #[arg(long, value_name = "RANGE")]
    pub(super) supports: Option<String>,
    /// Origin of web pages that may connect, such as https://example.com; repeat it for several [default: all] [env: LOGUX_ORIGIN]
    #[arg(long = "origin", alias = "origins", value_name = "ORIGIN", value_delimiter = ',')]
    pub(super) origins: Option<Vec<String>>,
}

/// How much of anything there may be.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Bounds")]
pub(super) struct Bounds {
    /// Most connections at a time [default: 100000] [env: LOGUX_MAX_CONNECTIONS]
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_connections: Option<usize>,
    /// Most connections at a time from one address [default: as many] [env: LOGUX_MAX_CONNECTIONS_PER_ADDRESS]
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_connections_per_address: Option<usize>,
    /// Wrong logins from one address within 3 s before none counts; 0 for any number, as behind a proxy [default: 3] [env: LOGUX_MAX_WRONG_LOGINS]
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_wrong_logins: Option<usize>,
}

/// What it says about itself.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "What it says")]
pub(super) struct Telling {
    /// How log lines look [default: human] [env: LOGUX_LOGGER]
    #[arg(long, short, value_enum, value_name = "human|json", hide_possible_values = true)]
    pub(super) logger: Option<Logger>,
    /// Environment: in `development` clients are told why actions are refused [default: production] [env: LOGUX_ENV, NODE_ENV]
    #[arg(long, value_name = "NAME")]
    pub(super) env: Option<String>,
}
