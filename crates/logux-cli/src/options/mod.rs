//! Settings of `logux serve`, from flags, the environment, `.env` and `logux.toml`, in this order of precedence.
//!
//! `flags` has the settings, `sources` where they come from, `resolved` what they come to.

mod error;
mod flags;
mod resolved;
mod sources;

pub(crate) use error::{OptionsError, one_line};
pub(crate) use flags::{Logger, Secret};
pub(crate) use resolved::{LoginBy, Options, Places, Traces};
pub(crate) use sources::Surroundings;

use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::otlp::Collector;
use flags::Flags;

#[derive(Args)]
#[command(
    about = "Serve collections of records to Logux clients, kept in one file, or an application that speaks HTTP",
    after_help = "Each setting may also be a variable or a key of the file: --min-subprotocol 2 is LOGUX_MIN_SUBPROTOCOL=2, in the \
        environment or in .env, and min-subprotocol = 2 in logux.toml. What is repeated is a list there: separated by commas, or a list \
        of TOML. NODE_ENV is --env too, LOGUX_CONFIG is --config, and of OpenTelemetry's own variables OTEL_EXPORTER_OTLP_ENDPOINT is --otlp."
)]
struct CommandLine {
    /// Development: let everyone in without a token, on this machine only
    #[arg(long)]
    dev: bool,
    /// File with settings [default: logux.toml if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

/// The command line of `logux serve`. It stays as clap has matched it until the other sources are read, so that it can be put above them.
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
    /// Puts all sources together.
    pub(crate) fn resolve(self, around: &Surroundings) -> Result<Options, OptionsError> {
        let CommandLine { dev, config, flags: _ } = CommandLine::from_arg_matches(&self.0)?;
        let variables = around.all_variables()?;
        let config = config.or_else(|| variables.get("LOGUX_CONFIG").map(PathBuf::from));
        let mut flags = Flags::default();
        flags.read_file(config.as_deref(), &around.folder)?;
        flags.read_variables(&variables)?;
        flags.update_from_arg_matches(&self.0)?;
        flags.telling.env = flags.telling.env.or_else(|| variables.get("NODE_ENV").cloned());
        // As everything else of OpenTelemetry's, these are variables of the process, not lines of `.env`.
        let collector = Collector::choose(flags.telling.otlp.as_deref(), &around.variables)?;
        flags.resolve(dev, collector)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use logux_server::Tls;

    use std::time::Duration;

    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn resolve(
        flags: &[&str],
        variables: &[(&str, &str)],
        files: &[(&str, &str)],
    ) -> Result<Options, OptionsError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
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
        assert_eq!(options.port(), Some(1));
        let options = resolve(&[], &[("LOGUX_PORT", "2")], &files).unwrap();
        assert_eq!((options.port(), options.db.to_str()), (Some(2), Some("env.db")));
        let options = resolve(&[], &[], &files).unwrap();
        assert_eq!((options.port(), options.settings.min_subprotocol), (Some(3), 7));
        assert!(!options.settings.development && !format!("{options:?}").contains("\"s\""));
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
        assert_eq!(
            options.places.tcp.map(|address| address.to_string()).as_deref(),
            Some("[::1]:31337")
        );
        let settings = &options.settings;
        assert_eq!(
            (settings.subprotocol, settings.min_subprotocol, options.logger),
            (5, 4, Logger::Json)
        );
        assert_eq!(settings.tls, Some(Tls::new("cert.pem", "key.pem")));
        assert_eq!(options.collections, ["tasks", "notes"]);
        assert!(options.settings.development);
        let options = resolve(&["--env", "staging"], &variables, &[]).unwrap();
        assert!(!options.settings.development);
    }

    #[test]
    fn a_unix_socket_takes_the_place_of_an_address_unless_one_is_given() {
        let tasks =
            ["--dev", "--collection", "tasks", "--unix", "logux.sock", "--unix-mode", "660"];
        let only = resolve(&tasks, &[], &[]).unwrap().places;
        assert_eq!((only.tcp, only.unix), (None, Some(("logux.sock".into(), Some(0o660)))));
        let both = resolve(&tasks, &[("LOGUX_PORT", "1")], &[]).unwrap();
        assert_eq!(both.port(), Some(1));
    }

    #[test]
    fn a_switch_may_be_a_variable_or_in_the_file() {
        let disabled = |flags: &[&str], variables: &[(&str, &str)], files: &[(&str, &str)]| {
            let flags: Vec<_> =
                ["--dev", "--collection", "tasks"].iter().chain(flags).copied().collect();
            resolve(&flags, variables, files).unwrap().settings.disable_http
        };
        let file = [("logux.toml", "disable-http = true")];
        assert!(!disabled(&[], &[], &[]) && disabled(&["--disable-http"], &[], &[]));
        assert!(disabled(&[], &[("LOGUX_DISABLE_HTTP", "true")], &[]) && disabled(&[], &[], &file));
        assert!(!disabled(&["--disable-http=false"], &[], &file));
    }

    #[test]
    fn every_bound_of_the_server_can_be_set() {
        let file = "max-rate = \"5/s\"\nmax-rate-of = [\"a=1/s\", \"b/c=2/m\"]\nping-ms = 1\nid = \"one\"\nmax-wrong-logins = 0";
        let variables = [
            ("LOGUX_MAX_SUBSCRIPTIONS", "7"),
            ("LOGUX_MAX_RATE_PER_USER", "9/h"),
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
        ];
        let options = resolve(&flags, &variables, &[("logux.toml", file)]).unwrap().settings;
        assert_eq!(options.max_rate, "5/s".parse().ok());
        assert_eq!(options.max_rate_per_user, "9/h".parse().ok());
        let rates = [("a", "1/s"), ("b/c", "2/m")]
            .map(|(kind, rate)| (kind.to_owned(), rate.parse().unwrap()));
        assert_eq!(options.max_rates_of_types, rates.into());
        let ms = Duration::from_millis;
        assert_eq!((options.ping_interval, options.timeout, options.max_queue), (ms(1), ms(2), 3));
        assert_eq!(
            (options.max_message_bytes, options.max_subscriptions, options.remembered_entries),
            (4, 7, 8)
        );
        assert_eq!((options.id.as_deref(), options.max_wrong_logins), (Some("one"), None));
    }

    #[test]
    fn mistakes_are_named_in_one_line() {
        let tasks = ["--collection", "tasks"];
        type Pairs = &'static [(&'static str, &'static str)];
        let cases: [(&[&str], Pairs, Pairs, &str); 12] = [
            (&tasks, &[("LOGUX_MAX_RATE", "fast")], &[], "expected a rate such as 100/s"),
            (&tasks, &[("LOGUX_UNIX_MODE", "999")], &[], "expected an octal number"),
            (
                &tasks,
                &[],
                &[("logux.toml", "trust-proxy = \"10.0.0.0/33\"")],
                "cannot read `10.0.0.0/33` as an address",
            ),
            (&tasks, &[], &[], "nobody could log in"),
            (&["--dev"], &[], &[], "nothing to serve"),
            (&["--dev", "--collection", "a/b"], &[], &[], "collection name \"a/b\""),
            (
                &["--dev", "--collection", "a", "--host", "0.0.0.0"],
                &[],
                &[],
                "loopback addresses only",
            ),
            (&tasks, &[("LOGUX_PORT", "x")], &[], "LOGUX_PORT: invalid value 'x'"),
            (&tasks, &[("LOGUX_PROT", "1")], &[], "LOGUX_PROT: there is no setting `prot`"),
            (&tasks, &[], &[("logux.toml", "\nprot = 1")], "line 2: there is no field `prot`"),
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
