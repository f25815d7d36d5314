//! Settings of `logux serve`, from flags, the environment, `.env` and `logux.toml`, in this order of precedence.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use clap::{Args, Parser, ValueEnum};
use logux_server::{Backend, BuildError};
use serde::Deserialize;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Logger {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// A text that does not show in logs.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// One source of settings. What it does not say is `None`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Layer {
    /// Address to listen on [default: 127.0.0.1] [env: LOGUX_HOST]
    #[arg(long, value_name = "IP")]
    host: Option<IpAddr>,
    /// Port to listen on; 0 takes a free one [default: 31337] [env: LOGUX_PORT]
    #[arg(long, short, value_name = "PORT")]
    port: Option<u16>,
    /// Collection of records to serve; repeat it for several [env: LOGUX_COLLECTION, separated by commas]
    #[arg(long = "collection", value_name = "NAME", value_delimiter = ',')]
    #[serde(rename = "collections", alias = "collection")]
    collections: Option<Vec<String>>,
    /// File that keeps everything [default: logux.db] [env: LOGUX_DB]
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Secret of the tokens that clients show: JWT, HS256, `sub` is the user id [env: LOGUX_SECRET]
    #[arg(long, value_name = "TEXT", value_parser = |text: &str| Ok::<_, String>(Secret::from(text)))]
    secret: Option<Secret>,
    /// Version of your application's own protocol [default: 0] [env: LOGUX_SUBPROTOCOL]
    #[arg(long, value_name = "NUMBER")]
    subprotocol: Option<u32>,
    /// Oldest version of clients that may connect [default: 0] [env: LOGUX_MIN_SUBPROTOCOL]
    #[arg(long, value_name = "NUMBER")]
    min_subprotocol: Option<u32>,
    /// Versions of clients of protocols 3 and 4 that may connect, such as ^1.0.0 [env: LOGUX_SUPPORTS]
    #[arg(long, value_name = "RANGE")]
    supports: Option<String>,
    /// Certificate chain for TLS, a PEM file [env: LOGUX_CERT]
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Key of the certificate, a PEM file [env: LOGUX_KEY]
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// How log lines look [default: human] [env: LOGUX_LOGGER]
    #[arg(long, short, value_enum, value_name = "human|json")]
    logger: Option<Logger>,
    /// Environment: in `development` clients are told why actions are refused [default: production] [env: LOGUX_ENV, NODE_ENV]
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// HTTP server that is the application: asked about logins, actions and subscriptions [env: LOGUX_BACKEND]
    #[arg(long, value_name = "URL")]
    backend: Option<String>,
    /// Secret that the back end and this server show each other [env: LOGUX_CONTROL_SECRET]
    #[arg(long, value_name = "TEXT", value_parser = |text: &str| Ok::<_, String>(Secret::from(text)))]
    control_secret: Option<Secret>,
    /// Addresses and networks from which the back end may send actions [default: loopback] [env: LOGUX_CONTROL_MASK]
    #[arg(long, value_name = "NETWORKS")]
    control_mask: Option<String>,
    /// Origin of web pages that may connect, such as https://example.com; repeat it for several [default: all] [env: LOGUX_ORIGIN]
    #[arg(long = "origin", value_name = "ORIGIN", value_delimiter = ',')]
    #[serde(rename = "origins", alias = "origin")]
    origins: Option<Vec<String>>,
    /// Most connections at a time [default: 100000] [env: LOGUX_MAX_CONNECTIONS]
    #[arg(long, value_name = "NUMBER")]
    max_connections: Option<usize>,
    /// Most connections at a time from one address [default: as many] [env: LOGUX_MAX_CONNECTIONS_PER_ADDRESS]
    #[arg(long, value_name = "NUMBER")]
    max_connections_per_address: Option<usize>,
    /// Wrong logins from one address within 3 s before none counts; 0 for any number, as behind a proxy [default: 3] [env: LOGUX_MAX_WRONG_LOGINS]
    #[arg(long, value_name = "NUMBER")]
    max_wrong_logins: Option<usize>,
}

/// Serve collections of records to Logux clients, kept in one file, or an application that speaks HTTP
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    layer: Layer,
    /// Development: let everyone in without a token, on this machine only
    #[arg(long)]
    dev: bool,
    /// File with settings; logux.toml is read if it is there [env: LOGUX_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What `logux serve` is to do, from all sources.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) address: SocketAddr,
    pub(crate) collections: Vec<String>,
    pub(crate) db: PathBuf,
    pub(crate) login: LoginBy,
    pub(crate) subprotocol: u32,
    pub(crate) min_subprotocol: u32,
    pub(crate) supports: Option<String>,
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) logger: Logger,
    pub(crate) development: bool,
    pub(crate) backend: Option<Backend>,
    pub(crate) origins: Option<Vec<String>>,
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_connections_per_address: Option<usize>,
    pub(crate) max_wrong_logins: Option<usize>,
}

/// Who gets in.
#[derive(Clone, Debug)]
pub(crate) enum LoginBy {
    /// Whoever asks.
    Nothing,
    /// Whoever has a token that is signed with this secret.
    Token(Secret),
    /// Whoever the back end lets in.
    Backend,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OptionsError {
    #[error("environment variable {name}: {problem}")]
    Variable { name: String, problem: String },
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    #[error(
        "nobody could log in: set --secret (or LOGUX_SECRET) to the secret of your users' tokens, or use --dev to let everyone \
         in on this machine"
    )]
    NoSecret,
    #[error("--dev lets everyone in, so it listens on loopback addresses only, not on {0}")]
    DevOnNetwork(IpAddr),
    #[error(
        "there is nothing to serve: name at least one --collection, such as --collection tasks, or the --backend that is your \
         application"
    )]
    NoCollections,
    #[error("collection name {0:?} cannot be used: expected letters, digits, `-` and `_`")]
    BadCollection(String),
    #[error("--cert and --key belong together: one of them is missing")]
    HalfTls,
    #[error(
        "--backend needs --control-secret (or LOGUX_CONTROL_SECRET), the secret that it and this server show each other"
    )]
    NoControlSecret,
    #[error(transparent)]
    Backend(#[from] BuildError),
}

/// Everything outside of the flags that has a say.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) folder: PathBuf,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { variables, folder: PathBuf::from(".") }
    }
}

impl ServeArgs {
    /// Puts all sources together.
    pub(crate) fn resolve(self, around: &Surroundings) -> Result<Options, OptionsError> {
        let mut variables = dotenv(&around.folder.join(".env"))?;
        variables.extend(around.variables.clone());
        let config = self.config.or_else(|| variables.get("LOGUX_CONFIG").map(PathBuf::from));
        let file = file_layer(config.as_deref(), &around.folder)?;
        let node_env = variables.get("NODE_ENV").cloned();
        let environment = environment_layer(&variables)?;
        let mut layer = self.layer.or(environment).or(file);
        layer.env = layer.env.or(node_env);
        layer.options(self.dev)
    }
}

impl Layer {
    /// What this layer does not say, the other does.
    fn or(self, other: Self) -> Self {
        Self {
            host: self.host.or(other.host),
            port: self.port.or(other.port),
            collections: self.collections.or(other.collections),
            db: self.db.or(other.db),
            secret: self.secret.or(other.secret),
            subprotocol: self.subprotocol.or(other.subprotocol),
            min_subprotocol: self.min_subprotocol.or(other.min_subprotocol),
            supports: self.supports.or(other.supports),
            cert: self.cert.or(other.cert),
            key: self.key.or(other.key),
            logger: self.logger.or(other.logger),
            env: self.env.or(other.env),
            backend: self.backend.or(other.backend),
            control_secret: self.control_secret.or(other.control_secret),
            control_mask: self.control_mask.or(other.control_mask),
            origins: self.origins.or(other.origins),
            max_connections: self.max_connections.or(other.max_connections),
            max_connections_per_address: self.max_connections_per_address.or(other.max_connections_per_address),
            max_wrong_logins: self.max_wrong_logins.or(other.max_wrong_logins),
        }
    }

    fn options(self, dev: bool) -> Result<Options, OptionsError> {
        let host = self.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        if dev && !host.is_loopback() {
            return Err(OptionsError::DevOnNetwork(host));
        }
        let login = match self.secret.filter(|secret| !secret.0.is_empty()) {
            _ if dev => LoginBy::Nothing,
            Some(secret) => LoginBy::Token(secret),
            None if self.backend.is_some() => LoginBy::Backend,
            None => return Err(OptionsError::NoSecret),
        };
        let backend = match self.backend {
            None => None,
            Some(url) => {
                let secret = self.control_secret.filter(|secret| !secret.0.is_empty());
                let Secret(secret) = secret.ok_or(OptionsError::NoControlSecret)?;
                let backend = Backend::new(&url, secret)?;
                Some(match self.control_mask {
                    Some(mask) => backend.control_mask(&mask)?,
                    None => backend,
                })
            }
        };
        let collections = self.collections.unwrap_or_default();
        if collections.is_empty() && backend.is_none() {
            return Err(OptionsError::NoCollections);
        }
        let usable = |name: &String| {
            !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
                && name != "logux"
        };
        if let Some(bad) = collections.iter().find(|name| !usable(name)) {
            return Err(OptionsError::BadCollection(bad.clone()));
        }
        let tls = match (self.cert, self.key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(OptionsError::HalfTls),
        };
        Ok(Options {
            address: SocketAddr::new(host, self.port.unwrap_or(31337)),
            collections,
            db: self.db.unwrap_or_else(|| PathBuf::from("logux.db")),
            login,
            subprotocol: self.subprotocol.unwrap_or_default(),
            min_subprotocol: self.min_subprotocol.unwrap_or_default(),
            supports: self.supports,
            tls,
            logger: self.logger.unwrap_or_default(),
            backend,
            origins: self.origins,
            max_connections: self.max_connections,
            max_connections_per_address: self.max_connections_per_address,
            max_wrong_logins: self.max_wrong_logins,
            development: dev || self.env.as_deref() == Some("development"),
        })
    }
}

fn dotenv(path: &Path) -> Result<BTreeMap<String, String>, OptionsError> {
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let wrong = |error: dotenvy::Error| OptionsError::File { path: path.to_owned(), problem: error.to_string() };
    dotenvy::from_path_iter(path).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)
}

/// The layer of the `LOGUX_*` variables, read as the flags of the same names. One that no flag corresponds to is an error, since it is
/// most likely a mistake in writing.
fn environment_layer(variables: &BTreeMap<String, String>) -> Result<Layer, OptionsError> {
    #[derive(Parser)]
    struct AsFlags {
        #[command(flatten)]
        layer: Layer,
    }
    let mut layer = Layer::default();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix("LOGUX_") else { continue };
        if OTHER_VARIABLES.contains(&rest) {
            continue;
        }
        let (cert, key) = ("--cert=x", "--key=x");
        let flag = format!("--{}={value}", rest.to_ascii_lowercase().replace('_', "-"));
        // Each is parsed alone, so that an error can name its variable; the two of TLS would miss each other.
        let partner = match rest {
            "CERT" => Some(key),
            "KEY" => Some(cert),
            _ => None,
        };
        let parsed = AsFlags::try_parse_from(["logux", flag.as_str()].into_iter().chain(partner));
        let mut found =
            parsed.map_err(|error| OptionsError::Variable { name: name.clone(), problem: first_line(&error) })?.layer;
        match partner {
            Some(partner) if partner == key => found.key = None,
            Some(_) => found.cert = None,
            None => {}
        }
        layer = layer.or(found);
    }
    Ok(layer)
}

/// Variables of other commands.
const OTHER_VARIABLES: [&str; 2] = ["CONFIG", "TOKEN"];

/// What clap has to say about a setting of the environment.
fn first_line(error: &clap::Error) -> String {
    match error.kind() {
        clap::error::ErrorKind::UnknownArgument => "there is no setting of this name".to_owned(),
        _ => one_line(error),
    }
}

/// What clap has to say, without the usage and the hints behind it.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    said.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn file_layer(given: Option<&Path>, folder: &Path) -> Result<Layer, OptionsError> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => folder.join("logux.toml"),
    };
    if given.is_none() && !path.exists() {
        return Ok(Layer::default());
    }
    let wrong = |problem: String| OptionsError::File { path: path.clone(), problem };
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    toml::from_str(&text).map_err(|error| {
        // In one line: where, and what.
        let at = error.span().map(|span| text[..span.start].matches('\n').count() + 1).unwrap_or(1);
        wrong(format!("line {at}: {}", error.message().replace('\n', ", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn resolve(flags: &[&str], variables: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Options, OptionsError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let around = Surroundings { variables, folder: folder.path().to_owned() };
        let program = Program::try_parse_from(["logux"].iter().chain(flags)).unwrap();
        program.serve.resolve(&around)
    }

    #[test]
    fn flags_win_over_variables_over_dotenv_over_the_file() {
        let files = [
            (".env", "LOGUX_PORT=3\nLOGUX_DB=\"env.db\"\n# comment\nOTHER=1\n"),
            (
                "logux.toml",
                "port = 4\nsecret = \"s\"\ncollections = [\"tasks\"]\nmin-subprotocol = 7\ndb = \"toml.db\"",
            ),
        ];
        let options = resolve(&["--port", "1"], &[("LOGUX_PORT", "2")], &files).unwrap();
        assert_eq!(options.address.port(), 1);
        let options = resolve(&[], &[("LOGUX_PORT", "2")], &files).unwrap();
        assert_eq!((options.address.port(), options.db.to_str()), (2, Some("env.db")));
        let options = resolve(&[], &[], &files).unwrap();
        assert_eq!((options.address.port(), options.min_subprotocol), (3, 7));
        assert!(!options.development && !format!("{options:?}").contains("\"s\""));
    }

    #[test]
    fn names_of_the_reference() {
        let variables = [
            ("LOGUX_HOST", "::1"),
            ("LOGUX_SUBPROTOCOL", "5"),
            ("LOGUX_MIN_SUBPROTOCOL", "4"),
            ("LOGUX_SUPPORTS", "^1.0.0"),
            ("LOGUX_KEY", "key.pem"),
            ("LOGUX_CERT", "cert.pem"),
            ("LOGUX_LOGGER", "json"),
            ("LOGUX_COLLECTION", "tasks,notes"),
            ("LOGUX_SECRET", "s"),
            ("NODE_ENV", "development"),
        ];
        let options = resolve(&[], &variables, &[]).unwrap();
        assert_eq!(options.address.to_string(), "[::1]:31337");
        assert_eq!((options.subprotocol, options.min_subprotocol, options.logger), (5, 4, Logger::Json));
        assert_eq!(options.tls, Some(("cert.pem".into(), "key.pem".into())));
        assert_eq!(options.collections, ["tasks", "notes"]);
        assert!(options.development);
        let options = resolve(&["--env", "staging"], &variables, &[]).unwrap();
        assert!(!options.development);
    }

    #[test]
    fn mistakes_are_named_in_one_line() {
        let tasks = ["--collection", "tasks"];
        type Pairs = &'static [(&'static str, &'static str)];
        let cases: [(&[&str], Pairs, Pairs, &str); 9] = [
            (&tasks, &[], &[], "nobody could log in"),
            (&["--dev"], &[], &[], "nothing to serve"),
            (&["--dev", "--collection", "a/b"], &[], &[], "collection name \"a/b\""),
            (&["--dev", "--collection", "a", "--host", "0.0.0.0"], &[], &[], "loopback addresses only"),
            (&tasks, &[("LOGUX_PORT", "x")], &[], "LOGUX_PORT: invalid value 'x'"),
            (&tasks, &[("LOGUX_PROT", "1")], &[], "LOGUX_PROT: there is no setting of this name"),
            (&tasks, &[], &[("logux.toml", "\nprot = 1")], "line 2: unknown field `prot`"),
            (&["--config", "missing.toml"], &[], &[], "missing.toml: No such file"),
            (&["--dev", "--collection", "a"], &[("LOGUX_CERT", "c")], &[], "one of them is missing"),
        ];
        for (flags, variables, files, expected) in cases {
            let error = resolve(flags, variables, files).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{error}");
        }
    }
}
