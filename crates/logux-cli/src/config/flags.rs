//! The settings as clap flags, in the groups that `--help` shows under headings.
//!
//! A new setting needs a field here and its use in `serve_config`. The flag `--min-subprotocol` is
//! also the variable `LOGUX_MIN_SUBPROTOCOL` and the key `min-subprotocol` of `logux.toml`. A
//! setting that no source contains is `None`.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt, fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    sync::Arc,
};

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use logux::server::{Rate, RateError};
use logux_schema::{Schema, SchemaError};
use logux_server::{AccessRules, AllowedOrigins, InspectorAccess, Pem, TrustedProxies};

use super::{documents::DocumentTable, rules::RuleSource};
use crate::jwt::{key_set::KeySetUrl, keys::KeyFile};

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text
    #[default]
    Human,
    /// One JSON object per line
    Json,
}

/// A string that its `Debug` form does not reveal.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretString(pub(crate) String);

impl FromStr for SecretString {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The version of the application's protocol, in its forms for the protocols of Logux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubprotocolVersion {
    pub(crate) number: u32,
    pub(crate) semver: Option<String>,
}

impl FromStr for SubprotocolVersion {
    type Err = String;

    /// Parses a number, or a SemVer version, whose major version is the number. The server checks
    /// the rest of it.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number) = text.parse() {
            return Ok(Self { number, semver: None });
        }
        let mut parts = text.split('.');
        let number = parts.next().and_then(|major| major.parse().ok());
        match (number, parts.count()) {
            (Some(number), 2..) => Ok(Self { number, semver: Some(text.to_owned()) }),
            _ => Err("expected a number such as 2, or a version such as 1.2.0".to_owned()),
        }
    }
}

/// A file whose content is a secret, without the line break at its end.
#[derive(Clone, Debug)]
pub(crate) struct SecretFile(pub(crate) SecretString);

impl FromStr for SecretFile {
    type Err = String;

    fn from_str(path: &str) -> Result<Self, String> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self(SecretString(text.trim_end_matches(['\r', '\n']).to_owned()))),
            Err(error) => Err(format!("cannot read the secret: {error}")),
        }
    }
}

/// The value of a flag cannot be parsed.
#[derive(Debug, thiserror::Error)]
enum ValueError {
    #[error("expected an octal number such as 660")]
    Mode,
    #[error("expected a number from 0 to 1, such as 0.05")]
    Ratio,
    #[error("expected a rate such as 100/s, 30/m or 1000/h, or none")]
    RateOrNone,
    #[error("expected a type and a rate, such as mail/send=5/m")]
    TypeRate,
    #[error(transparent)]
    Rate(#[from] RateError),
    #[error("expected a kind of documents and a file, such as notes=notes.schema.json")]
    DocumentSchema,
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

fn parse_mode(text: &str) -> Result<u32, ValueError> {
    let mode = u32::from_str_radix(text.trim_start_matches("0o"), 8);
    mode.ok().filter(|mode| *mode <= 0o777).ok_or(ValueError::Mode)
}

fn parse_ratio(text: &str) -> Result<f64, ValueError> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or(ValueError::Ratio)
}

/// A rate, or `None` for any rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaxRate(pub(crate) Option<Rate>);

fn parse_max_rate(text: &str) -> Result<MaxRate, ValueError> {
    match text {
        "none" => Ok(MaxRate(None)),
        rate => rate.parse().map(|rate| MaxRate(Some(rate))).map_err(|_| ValueError::RateOrNone),
    }
}

fn parse_type_rate(text: &str) -> Result<(String, Rate), ValueError> {
    let (kind, rate) = text.rsplit_once('=').ok_or(ValueError::TypeRate)?;
    Ok((kind.to_owned(), rate.parse()?))
}

fn parse_schema(text: &str) -> Result<(String, Arc<Schema>), ValueError> {
    let (kind, file) = text.split_once('=').ok_or(ValueError::DocumentSchema)?;
    Ok((kind.to_owned(), Arc::new(Schema::from_file(file)?)))
}

/// The settings that all sources can contain.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Flags {
    /// Accept every client without a token, on loopback addresses only
    ///
    /// Also enables --env development. Without collections, documents and a back end, the server
    /// has the page /demo, on which two people edit one document.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(super) dev: Option<bool>,
    #[command(flatten)]
    pub(super) application: ApplicationFlags,
    #[command(flatten)]
    pub(super) listen: ListenFlags,
    #[command(flatten)]
    pub(super) clients: ClientFlags,
    #[command(flatten)]
    pub(super) limits: LimitFlags,
    #[command(flatten)]
    pub(super) monitoring: MonitoringFlags,
}

/// What the server serves.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Application")]
pub(super) struct ApplicationFlags {
    /// Collection of records to serve; can be repeated
    ///
    /// Clients create, change, delete and subscribe to its records as sync maps.
    #[arg(long = "collection", alias = "collections", value_name = "NAME", value_delimiter = ',')]
    pub(super) collections: Option<Vec<String>>,
    /// Kind of documents to serve; can be repeated
    ///
    /// Clients create and edit its documents together, with texts, lists and trees, undo their own
    /// edits, and see each other: the channel of a document is NAME/ID. Applications of
    /// @logux/client follow its JSON, with the filter {"format":"json"}, and change it with
    /// NAME/change.
    #[arg(long = "document", alias = "documents", value_name = "NAME", value_delimiter = ',')]
    pub(super) documents: Option<Vec<String>>,
    /// JSON Schema of a kind of documents; can be repeated
    ///
    /// An edit that would make a document invalid is undone with the reason `schema`, and the path
    /// of the field. FILE is read at the start.
    #[arg(long = "document-schema", alias = "document-schemas", value_name = "NAME=FILE", value_parser = parse_schema)]
    pub(super) schemas: Option<Vec<(String, Arc<Schema>)>>,
    /// Rules of collections, which only `logux.toml` can have.
    #[arg(skip)]
    pub(super) rules: BTreeMap<String, AccessRules>,
    /// Tables of kinds of documents, which only `logux.toml` can have.
    #[arg(skip)]
    pub(super) document_tables: BTreeMap<String, DocumentTable>,
    /// Where these are.
    #[arg(skip)]
    pub(super) rule_source: RuleSource,
    /// SQLite file for the log with the documents, and the records [default: logux.db]
    #[arg(long, value_name = "FILE")]
    pub(super) db: Option<PathBuf>,
    /// URL of an HTTP back end that handles logins, actions and subscriptions
    ///
    /// Requires --control-secret.
    #[arg(long, value_name = "URL")]
    pub(super) backend: Option<String>,
    /// Secret that the back end and this server send to each other
    ///
    /// `logux documents` sends it, too: with a secret, or in development, the documents of
    /// --document are served over HTTP at /documents.
    ///
    /// At least 32 bytes, except in development. Other users of this machine can see it in the list
    /// of processes: set LOGUX_CONTROL_SECRET or --control-secret-file instead.
    #[arg(long, value_name = "SECRET")]
    pub(super) control_secret: Option<SecretString>,
    /// File with the secret of --control-secret
    #[arg(long, value_name = "FILE")]
    pub(super) control_secret_file: Option<SecretFile>,
    /// Addresses and networks from which the secret is accepted [default: loopback]
    #[arg(long, value_name = "NETWORKS")]
    pub(super) control_mask: Option<String>,
    /// Relay encrypted actions between the devices of a user
    ///
    /// The server stores the actions of clients with `encryptActions` until a device of the user
    /// cleans them, at most NUMBER for each user. Without a value, NUMBER is 10000.
    #[arg(long, value_name = "NUMBER", num_args = 0..=1, require_equals = true, default_missing_value = "10000")]
    pub(super) relay: Option<u64>,
}

/// The listening sockets and their lifetime.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Network")]
pub(super) struct ListenFlags {
    /// IP address to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub(super) host: Option<IpAddr>,
    /// Port to listen on; 0 selects a free port [default: 31337]
    #[arg(long, short, value_name = "PORT")]
    pub(super) port: Option<u16>,
    /// Unix socket to listen on
    ///
    /// The server then listens on an IP address only if --host or --port is set too.
    #[arg(long, value_name = "FILE")]
    pub(super) unix: Option<PathBuf>,
    /// File mode of the Unix socket, such as 660 [default: from the umask]
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    pub(super) unix_mode: Option<u32>,
    /// TLS certificate chain: a PEM file, or PEM text
    ///
    /// The server reads the file again when it changes, see --tls-reload-ms.
    #[arg(long, value_name = "PEM")]
    pub(super) cert: Option<Pem>,
    /// Private key of the certificate: a PEM file, or PEM text
    ///
    /// Other users of this machine can see PEM text in the list of processes: use a file.
    #[arg(long, value_name = "PEM")]
    pub(super) key: Option<Pem>,
    /// Milliseconds between checks for a changed certificate [default: 10000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) tls_reload_ms: Option<u64>,
    /// Proxies whose X-Forwarded-For header is trusted
    ///
    /// Addresses and networks, separated by commas, and `unix` for the Unix socket.
    #[arg(long, value_name = "NETWORKS")]
    pub(super) trust_proxy: Option<TrustedProxies>,
    /// Accept WebSocket connections only
    ///
    /// Disables HTTP pages, /health, and actions from the back end.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(super) disable_http: Option<bool>,
    /// Milliseconds to finish actions in progress at shutdown [default: 30000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) finish_ms: Option<u64>,
    /// Milliseconds for clients to read queued messages at shutdown [default: 5000]
    ///
    /// Starts after the actions in progress are finished, see --finish-ms.
    #[arg(long, value_name = "NUMBER")]
    pub(super) leave_ms: Option<u64>,
}

/// The clients that may connect.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Access")]
pub(super) struct ClientFlags {
    /// Secret of the tokens of clients: JSON Web Tokens with HS256
    ///
    /// At least 32 bytes, except in development. Other users of this machine can see it in the list
    /// of processes: set LOGUX_SECRET or --secret-file instead. `logux token` prints a token.
    #[arg(long, value_name = "SECRET")]
    pub(super) secret: Option<SecretString>,
    /// File with the secret of --secret
    #[arg(long, value_name = "FILE")]
    pub(super) secret_file: Option<SecretFile>,
    /// Public key of the tokens of clients, a PEM file; can be repeated
    ///
    /// For RS256, ES256 and EdDSA.
    #[arg(long = "jwt-key", alias = "jwt-keys", value_name = "FILE", value_delimiter = ',')]
    pub(super) jwt_keys: Option<Vec<KeyFile>>,
    /// URL of a JSON Web Key Set with the public keys of the tokens
    ///
    /// For RS256, ES256 and EdDSA. It is fetched every 10 minutes, and when a token has an unknown
    /// `kid`.
    #[arg(long, value_name = "URL")]
    pub(super) jwks: Option<KeySetUrl>,
    /// Issuer (`iss`) that tokens must have [default: any]
    #[arg(long, value_name = "TEXT")]
    pub(super) jwt_issuer: Option<String>,
    /// Audience (`aud`) that tokens must have; can be repeated [default: any]
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    pub(super) jwt_audience: Option<Vec<String>>,
    /// Claim of a token that is the user id [default: sub]
    #[arg(long, value_name = "NAME")]
    pub(super) jwt_user: Option<String>,
    /// Version of your application's protocol: a number, or SemVer such as 1.2.0 [default: 0]
    #[arg(long, value_name = "VERSION")]
    pub(super) subprotocol: Option<SubprotocolVersion>,
    /// Oldest version of your application's protocol that may connect [default: 0]
    #[arg(long, value_name = "NUMBER")]
    pub(super) min_subprotocol: Option<u32>,
    /// Versions that may connect with Logux protocols 3 and 4, such as ^1.0.0
    #[arg(long, value_name = "RANGE")]
    pub(super) supports: Option<String>,
    /// Origin of web pages that may connect; can be repeated [default: all]
    ///
    /// For example https://example.com, https://*.example.com, or http://localhost:* for any port.
    /// With --dev, the default is the pages of this machine. With --backend and without --secret,
    /// pages whose browsers send cookies must by default have the host of this server.
    #[arg(long = "origin", alias = "origins", value_name = "ORIGIN", value_delimiter = ',')]
    pub(super) origins: Option<Vec<AllowedOrigins>>,
}

/// The limits of connections, actions and memory.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitFlags {
    /// Maximum number of connections [default: 100000]
    ///
    /// At most the limit of open files of the process, less 128.
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_connections: Option<usize>,
    /// Maximum number of connections from one IP address [default: half of all]
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_connections_per_address: Option<usize>,
    /// Failed logins of a user from one IP address before its logins wait [default: 3]
    ///
    /// They wait 1 s, and twice as long with each further one, up to 10 s. 0 disables the limit.
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_wrong_logins: Option<u32>,
    /// Failed logins from one IP address before its logins wait [default: 100]
    ///
    /// 0 disables the limit.
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_wrong_logins_per_address: Option<u32>,
    /// Milliseconds by which a connection outlives its login [default: 3000]
    ///
    /// Logins end with their tokens (`exp`), or when the back end says so. The connection is then
    /// closed, and the client connects again with a new token.
    #[arg(long, value_name = "NUMBER")]
    pub(super) login_leeway_ms: Option<u64>,
    /// Rate of messages and actions of one connection, such as 100/s, or none [default: 10000/s]
    ///
    /// The server reads more slowly from connections that exceed the rate.
    #[arg(long, value_name = "RATE", value_parser = parse_max_rate)]
    pub(super) max_rate: Option<MaxRate>,
    /// Rate of messages and actions of all connections of one user, or none [default: 50000/s]
    #[arg(long, value_name = "RATE", value_parser = parse_max_rate)]
    pub(super) max_rate_per_user: Option<MaxRate>,
    /// Rate of actions of a type from one user, such as mail/send=5/m; can be repeated
    ///
    /// Actions that exceed the rate are undone.
    #[arg(long, value_name = "TYPE=RATE", value_delimiter = ',', value_parser = parse_type_rate)]
    pub(super) max_rate_of: Option<Vec<(String, Rate)>>,
    /// Maximum number of subscriptions of one client [default: 10000]
    ///
    /// Each filter of a channel is a subscription. Further ones are undone.
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_subscriptions: Option<usize>,
    /// Maximum size of the filter of a subscription [default: 16384]
    #[arg(long, value_name = "BYTES")]
    pub(super) max_filter_bytes: Option<usize>,
    /// Maximum size of all filters of one client [default: 1048576]
    #[arg(long, value_name = "BYTES")]
    pub(super) max_client_filter_bytes: Option<usize>,
    /// Maximum number of queued actions of one client [default: 1000]
    ///
    /// The server stops reading from a client with more actions that wait to be processed.
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_queue: Option<usize>,
    /// Maximum memory of the queued actions of one user [default: 16777216]
    ///
    /// The server stops reading from the clients of a user with more.
    #[arg(long, value_name = "BYTES")]
    pub(super) max_queue_bytes: Option<usize>,
    /// Maximum memory of the queued actions of all users [default: 268435456]
    #[arg(long, value_name = "BYTES")]
    pub(super) max_pending_bytes: Option<usize>,
    /// Maximum size of a message from a client [default: 67108864]
    ///
    /// Clients send all that they did offline in one message.
    #[arg(long, value_name = "BYTES")]
    pub(super) max_message_bytes: Option<usize>,
    /// Maximum size of an action from a client [default: 8388608]
    ///
    /// Larger actions are undone with the reason `tooLarge`.
    #[arg(long, value_name = "BYTES")]
    pub(super) max_action_bytes: Option<usize>,
    /// Maximum size of a message before the client is logged in [default: 16384]
    #[arg(long, value_name = "BYTES")]
    pub(super) max_login_bytes: Option<usize>,
    /// Maximum memory of large messages while they are received [default: 268435456]
    ///
    /// Clients whose messages need more wait until those of others are stored.
    #[arg(long, value_name = "BYTES")]
    pub(super) max_receiving_bytes: Option<usize>,
    /// Maximum size of the body of an HTTP request [default: 1048576]
    #[arg(long, value_name = "BYTES")]
    pub(super) max_body_bytes: Option<usize>,
    /// Maximum number of messages queued for one client [default: 10000]
    ///
    /// The server disconnects clients that read more slowly.
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_outbox_messages: Option<usize>,
    /// Maximum size of the messages queued for one client [default: 8388608]
    #[arg(long, value_name = "BYTES")]
    pub(super) max_outbox_bytes: Option<usize>,
    /// Milliseconds that the time of an action may be in the future [default: 300000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_ahead_ms: Option<u64>,
    /// Number of log entries remembered to detect repeated actions [default: 100000]
    ///
    /// An action that is sent again while it is remembered is not processed again.
    #[arg(long, value_name = "NUMBER")]
    pub(super) remembered: Option<u64>,
    /// Maximum size of the remembered log entries [default: 67108864]
    ///
    /// The actions of one user are forgotten at a quarter of it.
    #[arg(long, value_name = "BYTES")]
    pub(super) remembered_bytes: Option<usize>,
    /// Milliseconds that connections stay open while the log cannot be written [default: 30000]
    ///
    /// After that, new connections are refused too, until the log can be written again.
    #[arg(long, value_name = "NUMBER")]
    pub(super) store_timeout_ms: Option<u64>,
    /// Milliseconds for which deletions of records are remembered [default: 7776000000]
    ///
    /// Devices that were offline for longer may not learn of a deletion.
    #[arg(long, value_name = "NUMBER")]
    pub(super) remembered_deletions_ms: Option<u64>,
    /// Maximum number of fields of a record [default: 10000]
    ///
    /// Writes beyond it are undone with the reason `tooLarge`.
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_record_fields: Option<u64>,
    /// Maximum size of the keys and values of a record [default: 8388608]
    #[arg(long, value_name = "BYTES")]
    pub(super) max_record_bytes: Option<u64>,
    /// Milliseconds without messages before a client is pinged [default: 20000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) ping_ms: Option<u64>,
    /// Milliseconds for a client to respond [default: 70000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) timeout_ms: Option<u64>,
    /// Milliseconds for a client to log in [default: 15000]
    #[arg(long, value_name = "NUMBER")]
    pub(super) login_timeout_ms: Option<u64>,
}

/// Logs, metrics and traces.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Monitoring")]
pub(super) struct MonitoringFlags {
    /// Id of this server, the part of its node id after `server:` [default: random]
    #[arg(long, value_name = "ID")]
    pub(super) id: Option<String>,
    /// Format of log lines [default: human]
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    pub(super) logger: Option<LogFormat>,
    /// Serve Prometheus metrics on /metrics at this address
    ///
    /// Every client that can reach the address can read the metrics. Without a value, the address
    /// is 127.0.0.1:9464.
    #[arg(long, value_name = "IP:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:9464")]
    pub(super) metrics: Option<SocketAddr>,
    /// OpenTelemetry collector for traces of actions, such as http://127.0.0.1:4318
    ///
    /// Traces are sent over HTTP. An empty value disables them.
    #[arg(long, value_name = "URL")]
    pub(super) otlp: Option<String>,
    /// Fraction of the actions that are traced, from 0 to 1 [default: 1]
    #[arg(long, value_name = "RATIO", value_parser = parse_ratio)]
    pub(super) otlp_ratio: Option<f64>,
    /// Addresses and networks that may open the inspector [default: loopback]
    ///
    /// The inspector is a page at / that the server has in development.
    #[arg(long, value_name = "NETWORKS")]
    pub(super) inspect_from: Option<InspectorAccess>,
    /// Name of the environment [default: production]
    ///
    /// In `development`, clients receive the reason why an action was refused, log lines contain
    /// the content of actions, and the inspector is enabled.
    #[arg(long, value_name = "NAME")]
    pub(super) env: Option<String>,
}
