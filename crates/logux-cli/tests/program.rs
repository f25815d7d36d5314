//! The program as a user meets it: what it prints, what it returns, and that it works together.

mod process;

use std::{
    io::Read as _,
    process::{Command, Stdio},
};

use process::{Running, folder, logux, said};

#[test]
fn mistakes_are_one_line_and_an_exit_code() {
    let folder = folder();
    std::fs::write(folder.path().join("text.db"), "this is no database").expect("a file");
    std::fs::write(folder.path().join("bad.toml"), "port = \"x\"").expect("a file");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let tasks = ["serve", "--dev", "--collection", "tasks"];
    let cases: [(&[&str], &str); 9] = [
        (&["serve"], "nobody could log in"),
        (&["serve", "--nope"], "unexpected argument '--nope'"),
        (&["serve", "--port", "x"], "invalid value 'x'"),
        (&["serve", "--config", "bad.toml"], "bad.toml: line 1"),
        (&["serve", "--dev", "--collection", "tasks", "--db", "text.db"], "no SQLite database"),
        (
            &["serve", "--dev", "--collection", "tasks", "--cert", "no.pem", "--key", "no.pem"],
            "cannot use `no.pem` for TLS",
        ),
        (&["serve", "--dev", "--collection", "tasks", "--port", &port], "Address already in use"),
        (&["send", "http://127.0.0.1", "{}"], "expected \"type\""),
        (&["tail", "http://127.0.0.1", "--channel", "a"], "a URL begins with ws:// or wss://"),
    ];
    for (flags, expected) in cases {
        let output = logux(folder.path()).args(flags).output().expect("the program");
        let said = said(&output);
        assert!(!output.status.success() && said.contains(expected), "{flags:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{flags:?}: {said}");
    }
    let (_server, _) = Running::serve(folder.path(), &["--dev"]);
    let second =
        logux(folder.path()).args(tasks).args(["--port", "0"]).output().expect("the program");
    assert!(said(&second).contains("in use by another process"), "{}", said(&second));
}

#[test]
fn tail_shows_what_send_does() {
    let folder = folder();
    let (server, url) = Running::serve(folder.path(), &["--dev"]);
    let mut command = logux(folder.path());
    command.args(["tail", &url, "--channel", "tasks"]);
    let tail = Running::start(command);
    tail.line("subscribed to tasks");
    let send = |action: &str| {
        logux(folder.path()).args(["send", &url, action]).output().expect("the program")
    };

    let create = send(r#"{"type":"tasks/create","id":"1","fields":{"title":"Tea"}}"#);
    assert_eq!((create.status.code(), &*create.stdout), (Some(0), &b"processed\n"[..]));
    tail.line(r#"{"type":"tasks/created","id":"1","fields":{"title":"Tea"}}"#);
    let unknown = send(r#"{"type":"what"}"#);
    assert_eq!((unknown.status.code(), &*unknown.stdout), (Some(1), &b"undone: unknownType\n"[..]));
    let malformed = send(r#"{"type":"tasks/change","id":"1","fields":[]}"#);
    assert_eq!((malformed.status.code(), &*malformed.stdout), (Some(1), &b"undone: error\n"[..]));
    #[cfg(unix)]
    assert_eq!(server.stop(), Some(0));

    // What was done is there after a restart.
    let (_server, url) = Running::serve(folder.path(), &["--dev"]);
    let mut command = logux(folder.path());
    command.args(["tail", &url, "--channel", "tasks/1", "--meta"]);
    Running::start(command)
        .line(r#"[{"type":"tasks/changed","id":"1","fields":{"title":"Tea"}},{"id":""#);
}

#[test]
fn production_wants_a_token_and_says_so_in_json() {
    let folder = folder();
    let flags = ["--secret", "your-256-bit-secret", "--logger", "json"];
    let (_server, url) = Running::serve(folder.path(), &flags);
    // The token that jwt.io shows first: `sub` is 1234567890.
    let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
    let create = r#"{"type":"tasks/create","id":"1","fields":{}}"#;
    let send = |user: &str, token: &str| {
        let flags = ["send", &url, create, "--user", user, "--token", token];
        logux(folder.path()).args(flags).output().expect("the program")
    };
    assert_eq!(send("1234567890", token).status.code(), Some(0));
    for (user, token) in [("10", token), ("1234567890", "x"), ("1234567890", "")] {
        let refused = send(user, token);
        assert_eq!(refused.status.code(), Some(2));
        assert!(said(&refused).contains("wrong-credentials"), "{}", said(&refused));
    }
}

#[test]
fn tls_from_files() {
    let folder = folder();
    let made = Command::new("openssl")
        .current_dir(folder.path())
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out",
            "cert.pem", "-days", "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", said(&made));
    let (_server, url) =
        Running::serve(folder.path(), &["--dev", "--cert", "cert.pem", "--key", "key.pem"]);
    assert!(url.starts_with("wss://127.0.0.1:"), "{url}");
    let port = url.rsplit(':').next().expect("a port");
    let health = Command::new("curl")
        .current_dir(folder.path())
        .args(["-sS", "--cacert", "cert.pem", "--resolve", &format!("localhost:{port}:127.0.0.1")])
        .arg(format!("https://localhost:{port}/health"))
        .output()
        .expect("curl");
    assert_eq!(String::from_utf8_lossy(&health.stdout), "Logux Server: OK\n", "{}", said(&health));
    // A certificate that nobody vouches for is not accepted by our own client.
    let refused = logux(folder.path())
        .args(["send", "--wait", "3", &url, r#"{"type":"a"}"#])
        .output()
        .expect("the program");
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn help_names_every_command() {
    let folder = folder();
    let help = logux(folder.path()).arg("--help").output().expect("the program");
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    for command in ["serve", "tail", "send", "bench"] {
        assert!(text.contains(command), "{text}");
        let mut own = logux(folder.path())
            .args([command, "--help"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program");
        let mut text = String::new();
        own.stdout.take().expect("its output").read_to_string(&mut text).expect("text");
        assert!(text.contains("Usage:") && own.wait().expect("an end").success());
    }
}
