//! The configuration of `logux serve`, from flags, environment variables, `.env` and `logux.toml`,
//! in this order of precedence.
//!
//! `flags` defines the settings, `collector_url`, `rules`, `collections` and `documents` are types
//! of some of them, `sources` reads them, and `serve_config` is the validated result.

pub(crate) mod collections;
pub(crate) mod collector_url;
pub(crate) mod documents;
pub(crate) mod error;
pub(crate) mod flags;
pub(crate) mod rules;
pub(crate) mod serve_config;
pub(crate) mod sources;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use collector_url::CollectorUrl;
use error::ConfigError;
use flags::Flags;
use serve_config::ServeConfig;
use sources::Environment;

/// Run a Logux server
///
/// Serves collections of records (--collection) and documents (--document) from a SQLite file, an
/// application behind an HTTP back end (--backend), encrypted actions between the devices of a user
/// (--relay), or several of them. Clients log in with a token (--secret) or by the back end; --dev
/// accepts every client on this machine.
#[derive(Args)]
#[command(after_long_help = "\
Configuration:
  Each option can also be set in the environment, in .env, and in logux.toml.
  Options override environment variables, which override .env, which overrides
  logux.toml. For example, these have the same meaning:

    --dev   --min-subprotocol 2            option
    LOGUX_DEV=1   LOGUX_MIN_SUBPROTOCOL=2  environment or .env
    dev = true   min-subprotocol = 2       logux.toml, on lines of their own

  Options that can be repeated are lists: separated by commas in variables, and
  arrays in logux.toml. NODE_ENV sets --env, LOGUX_CONFIG sets --config, and
  OTEL_EXPORTER_OTLP_ENDPOINT sets --otlp.

  Rules of access to records and documents are in logux.toml only. Here,
  everyone reads tasks, and users create, change and delete only those whose
  field userId is their own id:

    [collections.tasks]
    owner = \"userId\"
    read = \"everyone\"

  A rule is \"everyone\" (the default), \"nobody\", \"creator\" (of a document),
  { owner = \"FIELD\" }, { members = \"FIELD\" }, { members = \"FIELD\", role = \"ROLE\" },
  { claim = \"NAME\", is = VALUE }, or a list of these. FIELD and NAME are names or
  JSON pointers such as /team/members. For kinds of documents:

    [documents.notes]
    read = [\"creator\", { members = \"/members\" }]
    edit = [\"creator\", { members = \"/members\", role = \"editor\" }]
    comments = [\"/comments\"]
    max_bytes = 1000000
    schema = \"notes.schema.json\"

  The file of a schema is relative to logux.toml.

  --explain USER CHANNEL prints what the rules say.

Examples:
  See in a browser what Logux does:
    logux serve --dev

  Serve a collection to clients on this machine:
    logux serve --dev --collection tasks

  Serve it in production, with tokens and TLS:
    LOGUX_SECRET=… logux serve --collection tasks --host 0.0.0.0 --cert cert.pem --key key.pem")]
struct CommandLine {
    /// Configuration file [default: logux.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print what a user may do in a channel and which rules say so, and start no server
    ///
    /// CHANNEL is that of a record, a document or a collection, such as notes/7. The rules are
    /// those of logux.toml; the records and documents those of the database, which a running server
    /// may use. Each line has an operation, whether it is allowed, and the rule.
    #[arg(long, num_args = 2, value_names = ["USER", "CHANNEL"])]
    explain: Option<Vec<String>>,
    /// Claims of the user's login for --explain, a JSON object [default: {}]
    #[arg(long, value_name = "JSON", requires = "explain")]
    claims: Option<String>,
    #[command(flatten)]
    flags: Flags,
}

/// The arguments of `--explain`.
#[derive(Clone, Debug)]
pub(crate) struct ExplainArgs {
    pub(crate) user: String,
    pub(crate) channel: String,
    /// JSON.
    pub(crate) claims: Option<String>,
}

/// The command line of `logux serve`. It is kept as clap's matches until the other sources are
/// read, because it overrides them.
#[derive(Clone, Debug)]
pub(crate) struct ServeArgs(ArgMatches);

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(matches.clone()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = matches.clone();
        Ok(())
    }
}

impl Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        CommandLine::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        CommandLine::augment_args_for_update(command)
    }
}

impl ServeArgs {
    /// Returns the arguments of `--explain`. `None` without it.
    pub(crate) fn explain(&self) -> Result<Option<ExplainArgs>, ConfigError> {
        let CommandLine { explain, claims, .. } = CommandLine::from_arg_matches(&self.0)?;
        let Some([user, channel]) = explain.and_then(|both| <[String; 2]>::try_from(both).ok())
        else {
            return Ok(None);
        };
        Ok(Some(ExplainArgs { user, channel, claims }))
    }

    /// Combines the settings of all sources.
    pub(crate) fn resolve(self, environment: &Environment) -> Result<ServeConfig, ConfigError> {
        let CommandLine { config, .. } = CommandLine::from_arg_matches(&self.0)?;
        let variables = environment.all_variables()?;
        let config = config.or_else(|| variables.get("LOGUX_CONFIG").map(PathBuf::from));
        let mut flags = Flags::default();
        flags.read_file(config.as_deref(), &environment.folder)?;
        flags.read_variables(&variables)?;
        flags.update_from_arg_matches(&self.0)?;
        flags.monitoring.env = flags.monitoring.env.or_else(|| variables.get("NODE_ENV").cloned());
        // Like the SDK of OpenTelemetry, this reads variables of the process only, not `.env`.
        let collector =
            CollectorUrl::resolve(flags.monitoring.otlp.as_deref(), &environment.variables)?;
        flags.resolve(collector)
    }
}

/// Returns the database file of `logux serve`: `flag`, or the setting of the other sources.
pub(crate) fn database_path(
    flag: Option<PathBuf>,
    environment: &Environment,
) -> Result<PathBuf, ConfigError> {
    if let Some(flag) = flag {
        return Ok(flag);
    }
    let variables = environment.all_variables()?;
    let config = variables.get("LOGUX_CONFIG").map(PathBuf::from);
    let mut flags = Flags::default();
    flags.read_file(config.as_deref(), &environment.folder)?;
    flags.read_variables(&variables)?;
    Ok(flags.database_path())
}
