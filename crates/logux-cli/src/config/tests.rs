//! How the sources of the configuration are combined, and what is refused.

use std::{sync::Arc, time::Duration};

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
    let variables =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let environment = Environment { variables, folder: folder.path().to_owned() };
    let cli = TestCli::try_parse_from(["logux"].iter().chain(flags)).unwrap();
    cli.serve.resolve(&environment)
}

#[test]
fn development_without_more_serves_the_demo() {
    let kinds = |flags: &[&str], files| {
        let config = resolve(flags, &[], files).unwrap();
        (config.document_kinds(), config.demo)
    };
    assert_eq!(kinds(&["--dev"], &[]), ("demo".to_owned(), true));
    let rules = [("logux.toml", "[collections.tasks]\nread = \"everyone\"")];
    assert_eq!(kinds(&["--dev"], &rules), (String::new(), false));
    assert_eq!(kinds(&["--dev", "--relay"], &[]), (String::new(), false));
    assert_eq!(kinds(&["--dev", "--document", "notes"], &[]), ("notes".to_owned(), false));
    let both = ["--dev", "--document", "notes,demo"];
    assert_eq!(kinds(&both, &[]), ("demo, notes".to_owned(), true));
    assert!(!kinds(&["--secret", SECRET, "--document", "demo"], &[]).1);
    assert!(!kinds(&["--dev", "--disable-http", "--document", "demo"], &[]).1);
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
fn schemas_of_the_file_are_beside_it_and_overridden_by_flags() {
    let file = "[documents.notes]\nschema = \"notes.json\"\n[documents.plans]\nread = \"everyone\"";
    let files = [("logux.toml", file), ("notes.json", r#"{"required":["a"]}"#)];
    let is_of_table = |flags: &[&str]| {
        let config = resolve(flags, &[], &files).unwrap();
        assert_eq!(config.schemas.len(), 1, "plans have none");
        let (kind, table) = &config.documents[0];
        Arc::ptr_eq(&config.schemas[kind], table.schema.as_ref().unwrap())
    };
    assert!(is_of_table(&["--dev"]));
    let flag = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(flag.path(), r#"{"required":["b"]}"#).unwrap();
    let flag = format!("notes={}", flag.path().display());
    assert!(!is_of_table(&["--dev", "--document-schema", &flag]));
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
    let short =
        resolve(&["--collection", "tasks", "--secret", "short", "--env", "development"], &[], &[]);
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
    let tasks = ["--dev", "--collection", "tasks", "--unix", "logux.sock", "--unix-mode", "660"];
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
    let rates =
        [("a", "1/s"), ("b/c", "2/m")].map(|(kind, rate)| (kind.to_owned(), rate.parse().unwrap()));
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
    let cases: [(&[&str], Pairs, Pairs, &str); 34] = [
        (
            &["--dev"],
            &[],
            &[("logux.toml", "[documents.notes]\n\nschema = 1")],
            "line 3: documents.notes.schema: expected the path of a JSON Schema such as",
        ),
        (
            &["--dev"],
            &[],
            &[("logux.toml", "[documents.notes]\nschema = \"missing.json\"")],
            "missing.json: No such file",
        ),
        (
            &["--dev"],
            &[],
            &[
                ("logux.toml", "[documents.notes]\nschema = \"bad.json\""),
                ("bad.json", r#"{"type":"strin"}"#),
            ],
            "line 2: documents.notes.schema: ",
        ),
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
        (&["--secret", SECRET], &[], &[], "there is nothing to serve"),
        (&["--dev", "--disable-http"], &[], &[], "there is nothing to serve"),
        (&["--dev", "--collection", "a/b"], &[], &[], "invalid collection name \"a/b\""),
        (&["--dev", "--collection", "a", "--host", "0.0.0.0"], &[], &[], "loopback addresses only"),
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
        (&["--dev", "--collection", "a"], &[("LOGUX_CERT", "c")], &[], "one of them is missing"),
    ];
    for (flags, variables, files, expected) in cases {
        let error = resolve(flags, variables, files).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
}
