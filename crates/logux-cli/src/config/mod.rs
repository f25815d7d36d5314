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

  --explain USER CHANNEL prints what the rules say.

Examples:
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;
    use logux_server::{AccessRule, AccessRules, AllowedOrigins, Tls};

    use super::{flags::LogFormat, serve_config::AuthMethod, *};

    #[derive(clap::Parser)]
    struct TestCli {
        #[command(flatten)]
        serve: ServeArgs,
    }

    const SECRET: &str = "0123456789-0123456789-0123456789-";

    fn resolve(
        flags: &[&str],
        variables: &[(&str, &str)],
        files: &[(&str, &str)],
    ) -> Result<ServeConfig, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let environment = Environment { variables, folder: folder.path().to_owned() };
        let cli = TestCli::try_parse_from(["logux"].iter().chain(flags)).unwrap();
        cli.serve.resolve(&environment)
    }

    #[test]
    fn flags_override_variables_override_dotenv_override_the_file() {
        let files = [
            (".env", "LOGUX_PORT=3\nLOGUX_DB=\"env.db\"\n# comment\nOTHER=1\n"),
            (
                "logux.toml",
                "port = 4\nsecret = \"0123456789-0123456789-0123456789-\"\ncollections = [\"tasks\"]\nmin-subprotocol = 7\ndb = \"toml.db\"",
            ),
        ];
        let config = resolve(&["--port", "1"], &[("LOGUX_PORT", "2")], &files).unwrap();
        assert_eq!(config.port(), Some(1));
        let config = resolve(&[], &[("LOGUX_PORT", "2")], &files).unwrap();
        assert_eq!((config.port(), config.db.to_str()), (Some(2), Some("env.db")));
        let config = resolve(&[], &[], &files).unwrap();
        assert_eq!((config.port(), config.server.min_subprotocol), (Some(3), 7));
        assert!(!config.server.development && !format!("{config:?}").contains("0123456789"));
    }

    #[test]
    fn a_subprotocol_is_a_number_or_semver() {
        let subprotocol = |text: &str| {
            let variables = [("LOGUX_SUBPROTOCOL", text), ("LOGUX_SECRET", SECRET)];
            resolve(&["--collection", "tasks"], &variables, &[])
                .map(|config| (config.server.subprotocol, config.server.subprotocol_semver))
                .map_err(|error| error.to_string())
        };
        assert_eq!(subprotocol("7"), Ok((7, None)));
        assert_eq!(subprotocol("1.2.0"), Ok((1, Some("1.2.0".into()))));
        for wrong in ["one", "1.2", "-1", ""] {
            assert!(subprotocol(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn variables_of_the_reference_server_are_accepted() {
        let variables = [
            ("LOGUX_HOST", "::1"),
            ("LOGUX_SUBPROTOCOL", "5"),
            ("LOGUX_MIN_SUBPROTOCOL", "4"),
            ("LOGUX_SUPPORTS", "^1.0.0"),
            ("LOGUX_KEY", "key.pem"),
            ("LOGUX_CERT", "cert.pem"),
            ("LOGUX_LOGGER", "json"),
            ("LOGUX_COLLECTION", "tasks,notes"),
            ("LOGUX_SECRET", SECRET),
            ("NODE_ENV", "development"),
        ];
        let config = resolve(&[], &variables, &[]).unwrap();
        assert_eq!(
            config.listen.tcp.map(|address| address.to_string()).as_deref(),
            Some("[::1]:31337")
        );
        let settings = &config.server;
        assert_eq!(
            (settings.subprotocol, settings.min_subprotocol, config.log_format),
            (5, 4, LogFormat::Json)
        );
        assert_eq!(settings.tls, Some(Tls::new("cert.pem", "key.pem")));
        let names: Vec<_> = config.collections.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["tasks", "notes"]);
        assert!(config.server.development);
        let config = resolve(&["--env", "staging"], &variables, &[]).unwrap();
        assert!(!config.server.development);
    }

    #[test]
    fn rules_of_collections_are_read_from_the_file() {
        let file = "collection = [\"notes\"]\n[collections.tasks]\nowner = \"userId\"\nread = \"everyone\"\n\
            [collections.news]\ncreate = \"nobody\"\nchange = { owner = \"author\" }";
        let config = resolve(&["--dev"], &[], &[("logux.toml", file)]).unwrap();
        let everyone = AccessRules::default;
        let tasks = AccessRules { read: AccessRule::Everyone, ..AccessRules::owner("userId") };
        let change = AccessRule::Owner { field: "author".into() };
        let news = AccessRules { create: AccessRule::Nobody, change, ..everyone() };
        let expected = [("notes", everyone()), ("news", news), ("tasks", tasks)];
        let expected = expected.map(|(name, rules)| (name.to_owned(), rules));
        assert_eq!(config.collections, expected);
        let listed = resolve(&["--dev", "--collection", "tasks"], &[], &[("logux.toml", file)]);
        let names = listed.unwrap().collections.into_iter().map(|(name, _)| name);
        assert_eq!(names.collect::<Vec<_>>(), ["tasks", "news"], "each collection once");
    }

    #[test]
    fn secrets_are_read_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let path = file("secret", &format!("{SECRET}\n"));
        let tasks = ["--collection", "tasks", "--secret-file", &path];
        let AuthMethod::Token(tokens) = resolve(&tasks, &[], &[]).unwrap().auth else {
            panic!("clients log in with tokens")
        };
        assert_eq!(tokens.secret.as_deref(), Some(SECRET), "without the line break");
        assert!(!format!("{tokens:?}").contains(SECRET));
        let both = resolve(&tasks, &[("LOGUX_SECRET", SECRET)], &[]).unwrap_err().to_string();
        assert!(both.contains("both set"), "{both}");
        let empty = file("empty", "\n");
        let empty = resolve(&["--collection", "a", "--secret-file", &empty], &[], &[]);
        assert!(empty.unwrap_err().to_string().contains("is empty"));
        let control = ["--backend", "http://127.0.0.1:1", "--control-secret-file", &path];
        assert!(resolve(&control, &[], &[]).unwrap().backend.is_some());
        let weak = ["--backend", "http://127.0.0.1:1", "--control-secret", "short"];
        let error = resolve(&weak, &[], &[]).unwrap_err().to_string();
        assert!(error.contains("control secret has 5 bytes: expected at least 32"), "{error}");
        let weak = [&weak[..], &["--env", "development"]].concat();
        assert!(resolve(&weak, &[], &[]).is_ok(), "in development");
        let short = resolve(
            &["--collection", "tasks", "--secret", "short", "--env", "development"],
            &[],
            &[],
        );
        assert!(short.is_ok(), "in development");
    }

    #[test]
    fn only_pages_of_this_machine_may_connect_in_development() {
        let origins = |flags: &[&str]| {
            let config = resolve(&[&["--collection", "tasks"], flags].concat(), &[], &[]).unwrap();
            config.server.allowed_origins
        };
        assert_eq!(origins(&["--dev"]), Some(AllowedOrigins::this_machine()));
        let own = origins(&["--dev", "--origin", "https://a.com, b.com", "--origin=c.com"]);
        assert_eq!(own, "https://a.com, b.com, c.com".parse().ok());
        assert_eq!(origins(&["--secret", SECRET]), None);
    }

    #[test]
    fn unix_socket_replaces_the_default_address() {
        let tasks =
            ["--dev", "--collection", "tasks", "--unix", "logux.sock", "--unix-mode", "660"];
        let only = resolve(&tasks, &[], &[]).unwrap().listen;
        assert_eq!((only.tcp, only.unix), (None, Some(("logux.sock".into(), Some(0o660)))));
        let both = resolve(&tasks, &[("LOGUX_PORT", "1")], &[]).unwrap();
        assert_eq!(both.port(), Some(1));
    }

    #[test]
    fn boolean_settings_can_be_set_by_all_sources() {
        let disabled = |flags: &[&str], variables: &[(&str, &str)], files: &[(&str, &str)]| {
            let flags: Vec<_> =
                ["--dev", "--collection", "tasks"].iter().chain(flags).copied().collect();
            resolve(&flags, variables, files).unwrap().server.disable_http
        };
        let file = [("logux.toml", "disable-http = true")];
        assert!(!disabled(&[], &[], &[]) && disabled(&["--disable-http"], &[], &[]));
        assert!(disabled(&[], &[("LOGUX_DISABLE_HTTP", "true")], &[]) && disabled(&[], &[], &file));
        assert!(!disabled(&["--disable-http=false"], &[], &file));
    }

    #[test]
    fn development_can_be_set_by_all_sources() {
        let file = [("logux.toml", "dev = true\ncollection = \"tasks\"")];
        let is_dev = |flags: &[&str], variables: &[(&str, &str)], files: &[(&str, &str)]| {
            let config = resolve(flags, variables, files).unwrap();
            assert_eq!(config.server.development, matches!(config.auth, AuthMethod::Disabled));
            config.server.development
        };
        let variables = |value| [("LOGUX_DEV", value), ("LOGUX_COLLECTION", "tasks")];
        for value in ["1", "true", "yes", "on"] {
            assert!(is_dev(&[], &variables(value), &[]), "{value}");
        }
        let secret = ["--secret", "at least as long as the output of SHA-256"];
        assert!(is_dev(&[], &[], &file) && !is_dev(&secret, &[("LOGUX_DEV", "0")], &file));
        assert!(!is_dev(&[&secret[..], &["--dev=false"]].concat(), &variables("1"), &[]));
        let error = resolve(&["--host", "0.0.0.0"], &variables("1"), &[]).unwrap_err();
        assert!(error.to_string().contains("loopback addresses only"), "{error}");
    }

    #[test]
    fn limits_can_be_set_by_all_sources() {
        let file = "max-rate = \"5/s\"\nremembered-bytes = 9\nmax-rate-of = [\"a=1/s\", \"b/c=2/m\"]\nping-ms = 1\nid = \"one\"\nmax-wrong-logins = 0";
        let variables = [
            ("LOGUX_MAX_SUBSCRIPTIONS", "7"),
            ("LOGUX_MAX_RATE_PER_USER", "none"),
            ("LOGUX_MAX_ACTION_BYTES", "10"),
            ("LOGUX_REMEMBERED", "8"),
        ];
        let flags = [
            "--dev",
            "--collection",
            "tasks",
            "--timeout-ms",
            "2",
            "--max-queue=3",
            "--max-message-bytes=4",
            "--max-login-bytes=11",
            "--max-receiving-bytes=12",
            "--max-queue-bytes=13",
            "--max-pending-bytes=14",
            "--login-timeout-ms=15",
        ];
        let server = resolve(&flags, &variables, &[("logux.toml", file)]).unwrap().server;
        assert_eq!(server.max_rate, "5/s".parse().ok());
        assert_eq!(server.max_rate_per_user, None);
        assert_eq!(
            [
                server.remembered_bytes,
                server.max_action_bytes,
                server.max_login_bytes,
                server.max_receiving_bytes,
                server.max_queue_bytes,
                server.max_pending_bytes,
            ],
            [9, 10, 11, 12, 13, 14]
        );
        assert_eq!(server.login_timeout, Duration::from_millis(15));
        let rates = [("a", "1/s"), ("b/c", "2/m")]
            .map(|(kind, rate)| (kind.to_owned(), rate.parse().unwrap()));
        assert_eq!(server.max_rates_of_types, rates.into());
        let ms = Duration::from_millis;
        assert_eq!((server.ping_interval, server.timeout, server.max_queue), (ms(1), ms(2), 3));
        assert_eq!(
            (server.max_message_bytes, server.max_subscriptions, server.remembered_entries),
            (4, 7, 8)
        );
        assert_eq!((server.id.as_deref(), server.max_wrong_logins), (Some("one"), None));
    }

    #[test]
    fn errors_are_one_line() {
        let tasks = ["--collection", "tasks"];
        type Pairs = &'static [(&'static str, &'static str)];
        let cases: [(&[&str], Pairs, Pairs, &str); 30] = [
            (
                &["--dev"],
                &[],
                &[("logux.toml", "\ndocument-schema = \"notes=missing.json\"")],
                "line 2: invalid value 'notes=missing.json'",
            ),
            (
                &["--dev"],
                &[],
                &[("logux.toml", "[collections.tasks]\nowner = \"a\"\nread = \"creator\"")],
                "line 3: collections.tasks.read: expected a rule without \"creator\"",
            ),
            (
                &["--dev"],
                &[],
                &[("logux.toml", "document-schema = \"notes\"")],
                "expected a kind of documents and a file, such as notes=notes.schema.json",
            ),
            (
                &["--dev", "--document-schema", "notes=tests/notes.schema.json"],
                &[],
                &[],
                "--document-schema of notes: expected a kind of documents, set --document notes too",
            ),
            (
                &["--dev"],
                &[],
                &[("logux.toml", "[documents.notes]\n\nedit = { owner = \"/a~\" }")],
                "line 3: documents.notes.edit: expected the name of a field",
            ),
            (
                &["--dev"],
                &[],
                &[("logux.toml", "[documents.notes]\nmax_bytes = -1")],
                "line 2: documents.notes.max_bytes: expected a whole number above 0, got -1",
            ),
            (
                &["--dev"],
                &[],
                &[("logux.toml", "[documents.notes]\ncomments = \"/comments\"")],
                "documents.notes.comments: expected a list of paths such as [\"/comments\"], got",
            ),
            (
                &["--dev"],
                &[],
                &[("logux.toml", "[documents.notes]\nmaxbytes = 1")],
                "documents.notes: unknown rule `maxbytes`; expected owner, read, create, edit",
            ),
            (
                &["--dev"],
                &[],
                &[("logux.toml", "[documents.notes]\ncreated_by_edits = \"no\"")],
                "documents.notes.created_by_edits: expected true or false, got \"no\"",
            ),
            (
                &["--dev"],
                &[],
                &[("logux.toml", "\n[collections.tasks]\nread = \"owner\"")],
                "line 3: collections.tasks.read: expected \"everyone\", \"nobody\", \"creator\", { owner = ",
            ),
            (
                &["--dev"],
                &[],
                &[("logux.toml", "[collections.tasks]\nreed = \"everyone\"")],
                "collections.tasks: unknown rule `reed`",
            ),
            (
                &["--dev"],
                &[],
                &[("logux.toml", "[collections.tasks]\nowner = 1")],
                "collections.tasks.owner: expected the field",
            ),
            (
                &["--dev"],
                &[],
                &[("logux.toml", "[collections.\"a/b\"]")],
                "invalid collection name \"a/b\"",
            ),
            (&tasks, &[("LOGUX_SECRET", "s")], &[], "has 1 bytes: expected at least 32"),
            (&tasks, &[("LOGUX_SECRET_FILE", "missing")], &[], "cannot read the secret"),
            (
                &tasks,
                &[("LOGUX_ORIGIN", "https://example.com/page")],
                &[],
                "LOGUX_ORIGIN: invalid value 'https://example.com/page'",
            ),
            (&tasks, &[("LOGUX_JWKS", "example.com")], &[], "expected a URL such as"),
            (&tasks, &[("LOGUX_JWT_KEY", "missing.pem")], &[], "missing.pem: No such file"),
            (&tasks, &[("LOGUX_MAX_RATE", "fast")], &[], "LOGUX_MAX_RATE: invalid value 'fast'"),
            (&tasks, &[("LOGUX_UNIX_MODE", "999")], &[], "expected an octal number"),
            (
                &tasks,
                &[],
                &[("logux.toml", "trust-proxy = \"10.0.0.0/33\"")],
                "line 1: invalid value '10.0.0.0/33'",
            ),
            (&tasks, &[], &[], "no client could log in"),
            (&["--dev"], &[], &[], "there is nothing to serve"),
            (&["--dev", "--collection", "a/b"], &[], &[], "invalid collection name \"a/b\""),
            (
                &["--dev", "--collection", "a", "--host", "0.0.0.0"],
                &[],
                &[],
                "loopback addresses only",
            ),
            (&tasks, &[("LOGUX_PORT", "x")], &[], "LOGUX_PORT: invalid value 'x'"),
            (
                &tasks,
                &[("LOGUX_PROT", "1")],
                &[],
                "LOGUX_PROT: unknown setting `prot`, did you mean `port`?",
            ),
            (
                &tasks,
                &[],
                &[("logux.toml", "\nprot = 1")],
                "line 2: unknown setting `prot`, did you mean `port`?",
            ),
            (&["--config", "missing.toml"], &[], &[], "missing.toml: No such file"),
            (
                &["--dev", "--collection", "a"],
                &[("LOGUX_CERT", "c")],
                &[],
                "one of them is missing",
            ),
        ];
        for (flags, variables, files, expected) in cases {
            let error = resolve(flags, variables, files).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{error}");
        }
    }
}
