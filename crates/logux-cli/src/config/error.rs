//! Configuration errors. Each message is one line.

use std::{io, net::IpAddr, path::PathBuf};

use clap::error::{ContextKind, ContextValue};
use logux_server::BuildError;

use super::{collector_url::CollectorUrlError, rules::RuleError};

/// The configuration is not valid.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("environment variable {name}: {error}")]
    Variable { name: String, error: SettingError },
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: FileError },
    #[error(
        "no client could log in: set LOGUX_SECRET or --secret-file to the secret that signs the \
         tokens of your users, --jwt-key or --jwks to their public keys, or use --dev to accept \
         every client on this machine"
    )]
    MissingSecret,
    #[error(
        "the secret of tokens has {length} bytes: expected at least {min}, because shorter ones \
         can be guessed; `openssl rand -base64 32` makes one"
    )]
    ShortSecret { length: usize, min: usize },
    #[error(
        "the control secret has {length} bytes: expected at least {min}, because shorter ones can \
         be guessed, and who has it can send any action; `openssl rand -base64 32` makes one, and \
         --env development accepts it"
    )]
    ShortControlSecret { length: usize, min: usize },
    #[error("--{0} and --{0}-file are both set: remove one of them")]
    TwoSecrets(&'static str),
    #[error("the file of --{0}-file is empty")]
    EmptySecretFile(&'static str),
    #[error("--dev accepts every client, so it listens on loopback addresses only, not on {0}")]
    DevNotLoopback(IpAddr),
    #[error(
        "there is nothing to serve: set at least one --collection, such as --collection tasks, or \
         one --document, such as --document notes, or the --backend of your application, or --relay"
    )]
    NothingToServe,
    #[error("invalid {what} name {name:?}: expected letters, digits, `-` and `_`")]
    InvalidName { what: &'static str, name: String },
    #[error("{0} is a name of --collection and of --document: choose one, or two names")]
    CollectionAndDocument(String),
    #[error("--document-schema of {0}: expected a kind of documents, set --document {0} too")]
    SchemaWithoutDocument(String),
    #[error("--document-schema: expected one schema of {0}, got two")]
    TwoSchemas(String),
    #[error("--cert and --key must be set together: one of them is missing")]
    IncompleteTls,
    #[error(
        "--backend requires LOGUX_CONTROL_SECRET or --control-secret-file, the secret that it \
         shares with this server"
    )]
    MissingControlSecret,
    #[error(transparent)]
    CollectorUrl(#[from] CollectorUrlError),
    #[error(transparent)]
    Backend(#[from] BuildError),
    #[error("{}", one_line(.0))]
    Flags(#[from] clap::Error),
}

/// A configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error(transparent)]
    Dotenv(#[from] dotenvy::Error),
    #[error("line {line}: {message}")]
    Toml { line: usize, message: String },
    #[error("line {line}: {error}")]
    Setting { line: usize, error: SettingError },
}

/// A setting of a variable or file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingError {
    #[error(
        "unknown setting `{name}`{}; see `logux serve --help`",
        similar.as_ref().map(|similar| format!(", did you mean `{similar}`?")).unwrap_or_default()
    )]
    Unknown { name: String, similar: Option<String> },
    #[error(transparent)]
    Rule(#[from] Box<RuleError>),
    #[error("{}", one_line(.0))]
    Value(#[from] clap::Error),
}

/// Returns the message of a clap error without the usage that follows it, and with the nearest
/// valid name in place of a longer hint.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    let message = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    match similar(error) {
        Some(similar) => format!("{message}, did you mean `{similar}`?"),
        None => message,
    }
}

/// Returns the valid name or value that is nearest to the invalid one.
pub(crate) fn similar(error: &clap::Error) -> Option<String> {
    let kinds =
        [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    kinds.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(similar) => Some(similar.clone()),
        // The best one is the last.
        ContextValue::Strings(similar) => similar.last().cloned(),
        _ => None,
    })
}
