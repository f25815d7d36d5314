//! The program from the command line: its output and its exit codes.

mod process;

use std::{
    io::Read as _,
    process::{Command, Stdio},
};

use process::{RunningProgram, folder, logux, stderr};

#[test]
fn errors_are_one_line_and_an_exit_code() {
    let folder = folder();
    std::fs::write(folder.path().join("text.db"), "not a database").expect("a file");
    std::fs::write(folder.path().join("bad.toml"), "port = \"x\"").expect("a file");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("a local address").port().to_string();
    let tasks = ["serve", "--dev", "--collection", "tasks"];
    std::fs::write(folder.path().join("bad.json"), r#"{"type":"objekt"}"#).expect("a file");
    let cases: [(&[&str], &str); 16] = [
        (
            &["serve", "--dev", "--document", "notes", "--document-schema", "notes=bad.json"],
            "bad.json: invalid JSON Schema at \"/type\": \"objekt\" is not",
        ),
        (&["serve"], "no client could log in"),
        (&["serve", "--nope"], "unexpected argument '--nope' found; see `logux serve --help`"),
        (
            &["serve", "--dev", "--colection", "tasks"],
            "'--colection' found, did you mean `--collection`?; see `logux serve --help`",
        ),
        (&["serve", "--logger", "jsn"], "did you mean `json`?"),
        (&["sevre"], "'sevre', did you mean `serve`?; see `logux --help`"),
        (&["tail", "ws://127.0.0.1", "--chanel", "a"], "`--channel`?; see `logux tail --help`"),
        (&["bench", "idle", "--client", "1"], "`--clients`?; see `logux bench idle --help`"),
        (&["send", "wss://127.0.0.1", r#"{"type":"a"}"#, "--ca", "bad.toml"], "--ca bad.toml:"),
        (&["serve", "--port", "x"], "invalid value 'x'"),
        (&["serve", "--config", "bad.toml"], "bad.toml: line 1"),
        (&["serve", "--dev", "--collection", "tasks", "--db", "text.db"], "text.db"),
        (
            &["serve", "--dev", "--collection", "tasks", "--cert", "no.pem", "--key", "no.pem"],
            "no.pem",
        ),
        (&["serve", "--dev", "--collection", "tasks", "--port", &port], "Address already in use"),
        (&["send", "http://127.0.0.1", "{}"], "type"),
        (&["tail", "http://127.0.0.1", "--channel", "a"], "ws://"),
    ];
    for (flags, expected) in cases {
        let output = logux(folder.path()).args(flags).output().expect("the program runs");
        let message = stderr(&output);
        assert!(!output.status.success() && message.contains(expected), "{flags:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{flags:?}: {message}");
    }
    let (_server, _) = RunningProgram::serve(folder.path(), &["--dev"]);
    let second =
        logux(folder.path()).args(tasks).args(["--port", "0"]).output().expect("the program runs");
    assert!(stderr(&second).contains("logux.db"), "{}", stderr(&second));
}

#[test]
fn tail_prints_the_actions_of_send() {
    let folder = folder();
    let (server, url) = RunningProgram::serve(folder.path(), &["--dev"]);
    let mut command = logux(folder.path());
    command.args(["tail", &url, "--channel", "tasks"]);
    let tail = RunningProgram::start(command);
    tail.line("subscribed to tasks");
    let send = |action: &str| {
        logux(folder.path()).args(["send", &url, action]).output().expect("the program runs")
    };

    let create = send(r#"{"type":"tasks/create","id":"1","fields":{"title":"Tea"}}"#);
    assert_eq!((create.status.code(), &*create.stdout), (Some(0), &b"processed\n"[..]));
    tail.line(r#"{"type":"tasks/created","id":"1","fields":{"title":"Tea"}}"#);
    let unknown = send(r#"{"type":"what"}"#);
    assert_eq!((unknown.status.code(), &*unknown.stdout), (Some(1), &b"undone: unknownType\n"[..]));
    let malformed = send(r#"{"type":"tasks/change","id":"1","fields":[]}"#);
    assert_eq!((malformed.status.code(), &*malformed.stdout), (Some(1), &b"undone: error\n"[..]));
    assert!(stderr(&malformed).contains("the server says: "), "{}", stderr(&malformed));
    #[cfg(unix)]
    assert_eq!(server.stop(), Some(0));

    // Records are kept over a restart.
    let (_server, url) = RunningProgram::serve(folder.path(), &["--dev"]);
    let mut command = logux(folder.path());
    command.args(["tail", &url, "--channel", "tasks/1", "--meta"]);
    RunningProgram::start(command)
        .line(r#"[{"type":"tasks/changed","id":"1","fields":{"title":"Tea"}},{"id":""#);
}

#[test]
fn what_a_schema_forbids_is_undone_with_the_path() {
    let folder = folder();
    let schema = r#"{"properties":{"title":{"type":"string"}},"required":["title"]}"#;
    std::fs::write(folder.path().join("notes.schema.json"), schema).expect("a file");
    let flags = ["--dev", "--document", "notes", "--document-schema", "notes=notes.schema.json"];
    let (_server, url) = RunningProgram::serve(folder.path(), &flags);
    let set = |value: &str| {
        let op = format!(r#"{{"op":"set","path":"/title","value":{value}}}"#);
        let action = format!(r#"{{"type":"notes/edit","id":"1","ops":[{op}]}}"#);
        logux(folder.path()).args(["send", &url, &action]).output().expect("the program runs")
    };
    let output = set("7");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "undone: schema\n");
    assert!(stderr(&output).contains("/title: 7 is not of type \"string\""), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&set("\"Tea\"").stdout), "processed\n");
}

#[test]
fn clients_without_a_valid_token_are_refused() {
    let folder = folder();
    let secret = "a secret of at least 32 bytes, only for this test";
    std::fs::write(folder.path().join("secret"), format!("{secret}\n")).expect("written");
    let flags = ["--secret-file", "secret", "--logger", "json"];
    let (_server, url) = RunningProgram::serve(folder.path(), &flags);
    let token = |flags: &[&str]| {
        let printed = logux(folder.path()).args(["token", "10"]).args(flags).output();
        let printed = printed.expect("the program runs");
        assert!(printed.status.success(), "{}", stderr(&printed));
        String::from_utf8_lossy(&printed.stdout).trim().to_owned()
    };
    let good = token(&["--secret-file", "secret"]);
    let create = r#"{"type":"tasks/create","id":"1","fields":{}}"#;
    let send = |user: &str, token: &str| {
        let flags = ["send", &url, create, "--user", user, "--token", token];
        logux(folder.path()).args(flags).output().expect("the program runs")
    };
    assert_eq!(send("10", &good).status.code(), Some(0));
    let forged = token(&["--secret", "another secret of at least 32 bytes"]);
    for (user, token) in [("20", &*good), ("10", &forged), ("10", "x"), ("10", "")] {
        let refused = send(user, token);
        assert_eq!(refused.status.code(), Some(2));
        assert!(stderr(&refused).contains("wrong-credentials"), "{}", stderr(&refused));
    }
    let short = logux(folder.path())
        .args(["serve", "--collection", "a", "--secret", "short"])
        .output()
        .expect("the program runs");
    assert!(
        !short.status.success() && stderr(&short).contains("openssl rand"),
        "{}",
        stderr(&short)
    );
}

#[test]
fn certificate_and_key_can_be_files() {
    let folder = folder();
    let generated = Command::new("openssl")
        .current_dir(folder.path())
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out",
            "cert.pem", "-days", "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .output()
        .expect("openssl");
    assert!(generated.status.success(), "{}", stderr(&generated));
    let (server, url) =
        RunningProgram::serve(folder.path(), &["--dev", "--cert", "cert.pem", "--key", "key.pem"]);
    assert!(url.starts_with("wss://127.0.0.1:"), "{url}");
    let port = url.rsplit(':').next().expect("a free port");
    let health = Command::new("curl")
        .current_dir(folder.path())
        .args(["-sS", "--cacert", "cert.pem", "--resolve", &format!("localhost:{port}:127.0.0.1")])
        .arg(format!("https://localhost:{port}/health"))
        .output()
        .expect("curl");
    assert_eq!(
        String::from_utf8_lossy(&health.stdout),
        "Logux Server: OK\n",
        "{}",
        stderr(&health)
    );
    let create = r#"{"type":"tasks/create","id":"1","fields":{}}"#;
    let send = |url: &str, flags: &[&str]| {
        let mut command = logux(folder.path());
        command.args(["send", url, create]).args(flags).output().expect("the program runs")
    };
    let by_name = format!("wss://localhost:{port}");
    // The client does not accept a certificate that signs itself, unless it is told to.
    let refused = send(&by_name, &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("is not trusted; set --ca"), "{}", stderr(&refused));
    let accepted = send(&by_name, &["--ca", "cert.pem"]);
    assert_eq!(accepted.status.code(), Some(0), "{}", stderr(&accepted));
    let other_name = send(&url, &["--ca", "cert.pem"]);
    assert_eq!(other_name.status.code(), Some(2));
    assert!(stderr(&other_name).contains("is for another name"), "{}", stderr(&other_name));
    let plain = send(&url.replace("wss", "ws"), &[]);
    assert_eq!(plain.status.code(), Some(2), "{}", stderr(&plain));
    drop(server);
}

#[test]
fn a_server_that_cannot_be_reached_is_an_error_at_once() {
    let folder = folder();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}", free.local_addr().expect("a local address"));
    drop(free);
    let action = r#"{"type":"tasks/create","id":"1","fields":{}}"#;
    let cases: [(&str, &str); 3] = [
        (&url, "connection refused; is the server running?"),
        (&url.replace("ws:", "wss:"), "connection refused"),
        ("ws://name.invalid", "cannot connect to ws://name.invalid: "),
    ];
    for (url, expected) in cases {
        let send = ["send", url, action, "--insecure"];
        for flags in [&send[..], &["tail", url, "--channel", "tasks", "--insecure"]] {
            let output = logux(folder.path()).args(flags).output().expect("the program runs");
            assert_eq!(output.status.code(), Some(2), "{flags:?}");
            assert!(stderr(&output).contains(expected), "{flags:?}: {}", stderr(&output));
        }
    }
}

#[test]
fn connections_to_other_hosts_are_encrypted() {
    let folder = folder();
    let output =
        logux(folder.path()).args(["tail", "ws://name.invalid", "--channel", "tasks"]).output();
    let output = output.expect("the program runs");
    let expected = "ws://name.invalid is not encrypted: use wss://, or allow it with --insecure";
    assert!(!output.status.success() && stderr(&output).contains(expected), "{}", stderr(&output));
}

#[test]
fn retry_waits_for_the_server_and_connects_again() {
    let folder = folder();
    let (server, url) = RunningProgram::serve(folder.path(), &["--dev"]);
    let port = url.rsplit(':').next().expect("a port").to_owned();
    let tail = |flags: &[&str]| {
        let mut command = logux(folder.path());
        command.args(["tail", &url, "--channel", "tasks"]).args(flags);
        RunningProgram::start(command)
    };
    let (mut once, again) = (tail(&[]), tail(&["--retry"]));
    once.line("subscribed to tasks");
    again.line("subscribed to tasks");
    drop(server);
    once.line("was lost; use --retry");
    assert_eq!(once.process.wait().expect("an exit status").code(), Some(2));
    again.line("connection refused; is the server running?; trying again");
    let mut command = logux(folder.path());
    command.args(["serve", "--dev", "--collection", "tasks", "--port", &port]);
    let server = RunningProgram::start(command);
    server.line("listening");
    let create = r#"{"type":"tasks/create","id":"1","fields":{"title":"Tea"}}"#;
    let sent = logux(folder.path()).args(["send", &url, create, "--retry"]).output();
    assert_eq!(sent.expect("the program runs").status.code(), Some(0));
    // As it happens, or loaded when the subscription is made again.
    again.line(r#""id":"1""#);
}

#[test]
fn the_banner_says_what_is_served() {
    let folder = folder();
    let flags = ["--dev", "--collection", "notes", "--relay", "--max-connections", "1234"];
    let (server, url) = RunningProgram::serve(folder.path(), &flags);
    for (name, value) in [
        ("Environment", "development"),
        ("Collections", "tasks, notes"),
        ("Relay", "up to 10,000"),
        ("Database", "logux.db"),
        ("Access", "every client on this machine, as any user"),
        ("Limits", "1,234 connections"),
        ("Health", "/health"),
        ("Inspector", "http://127.0.0.1:"),
    ] {
        let line = server.line(name);
        assert!(line.contains(value), "{line}");
    }
    server.line(&format!("logux tail {url} --channel tasks"));
    server.line(&format!("logux send {url} '"));

    let json = ["--secret", "a secret for tests that is long enough", "--logger", "json"];
    let other = process::folder();
    let (server, _) = RunningProgram::serve(other.path(), &json);
    let line = server.line(r#""event":"serve""#);
    let line: serde_json::Value = serde_json::from_str(&line).expect("one JSON object");
    assert_eq!((&line["collections"], &line["db"]), (&"tasks".into(), &"logux.db".into()));
    assert!(line["access"].as_str().is_some_and(|access| access.contains("token")), "{line}");
    assert!(line["limits"].as_str().is_some_and(|limits| limits.contains("connections")));
}

#[test]
fn help_lists_all_commands() {
    let folder = folder();
    let help = logux(folder.path()).arg("--help").output().expect("the program runs");
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    for command in ["serve", "tail", "send", "bench"] {
        assert!(text.contains(command), "{text}");
        let mut own = logux(folder.path())
            .args([command, "--help"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut text = String::new();
        own.stdout.take().expect("its output").read_to_string(&mut text).expect("text");
        assert!(text.contains("Usage:") && own.wait().expect("an exit status").success());
    }
}

#[test]
fn rules_are_explained_while_the_server_runs() {
    let folder = folder();
    let rules = "[documents.notes]\nread = [\"creator\", { members = \"/members\" }]\n\
        edit = [\"creator\", { claim = \"role\", is = \"staff\" }]\n\
        [collections.tasks]\nowner = \"userId\"\n";
    std::fs::write(folder.path().join("logux.toml"), rules).expect("a file");
    let explain = |arguments: &[&str]| {
        let arguments = ["serve", "--dev", "--explain"].iter().chain(arguments);
        logux(folder.path()).args(arguments).output().expect("the program")
    };
    let missing = explain(&["bob", "notes/7"]);
    assert!(String::from_utf8_lossy(&missing.stdout).contains("it does not exist"), "{missing:?}");

    let (_server, url) = RunningProgram::serve(folder.path(), &["--dev"]);
    let send = |action: &str| {
        let arguments = ["send", "--user", "ada", &url, action];
        let sent = logux(folder.path()).args(arguments).output().expect("the program");
        assert!(sent.status.success(), "{sent:?}");
    };
    let op = r#"{"op":"set","path":"/members","value":{"bob":"reader"}}"#;
    send(&format!(r#"{{"type":"notes/create","id":"7","ops":[{op}]}}"#));
    send(r#"{"type":"tasks/create","id":"1","fields":{"userId":"ada"}}"#);

    let lines = |arguments: &[&str]| {
        let explained = explain(arguments);
        assert!(explained.status.success(), "{explained:?}");
        String::from_utf8(explained.stdout).expect("text")
    };
    let bob = lines(&["bob", "notes/7"]);
    let members =
        "read     allowed  logux.toml:2 documents.notes.read: { members = \"/members\" }\n";
    assert!(bob.starts_with("bob in notes/7: created by ada\n") && bob.contains(members), "{bob}");
    assert!(bob.contains("edit     denied   logux.toml:3 documents.notes.edit: ["), "{bob}");
    assert!(bob.contains("delete   denied   default of logux.toml:1 documents.notes"), "{bob}");
    let staff = lines(&["bob", "notes/7", "--claims", r#"{"role":"staff"}"#]);
    assert!(staff.contains("edit     allowed  logux.toml:3"), "{staff}");
    let task = lines(&["ada", "tasks/1"]);
    let change = "change   allowed  logux.toml:5 collections.tasks.owner: { owner = \"userId\" }";
    assert!(task.contains(change), "{task}");

    for (arguments, expected) in [
        (&["bob", "news/1"][..], "expected NAME/ID with one of these names: tasks, notes"),
        (&["bob", "notes/7", "--claims", "[1]"], "--claims: expected a JSON object"),
    ] {
        let failed = explain(arguments);
        assert!(!failed.status.success() && stderr(&failed).contains(expected), "{failed:?}");
    }
}
