//! `logux documents`, against a running server.

mod process;

use std::{path::Path, process::Output};

use process::{RunningProgram, folder, logux, stderr};
use serde_json::Value;

/// Runs `logux documents` against a server.
fn documents(folder: &Path, server: &str, arguments: &[&str]) -> Output {
    let mut command = logux(folder);
    command.args(["documents", "--server", server, "--secret-file", "control"]).args(arguments);
    command.output().expect("the program")
}

#[track_caller]
fn stdout(output: Output) -> String {
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn people_look_after_the_documents_of_a_server() {
    let folder = folder();
    let path = folder.path();
    for (name, text) in [
        ("secret", "0123456789abcdef0123456789abcdef"),
        ("control", "fedcba9876543210fedcba9876543210\n"),
        ("wrong", "other"),
        ("tea.json", r#"{"value":{"title":"Tea","tags":["a"]}}"#),
        (
            "text.json",
            r#"{"ops":[{"op":"insertText","path":"/body","first":0,"text":"Buy\nmilk"}]}"#,
        ),
        ("coffee.json", r#"{"value":{"title":"Coffee"}}"#),
    ] {
        std::fs::write(path.join(name), text).expect("written");
    }
    let flags =
        ["--document", "notes", "--secret-file", "secret", "--control-secret-file", "control"];
    let (_server, url) = RunningProgram::serve(path, &flags);
    let url = url.replace("ws", "http");
    let run = |arguments: &[&str]| documents(path, &url, arguments);
    let text = |arguments: &[&str]| stdout(run(arguments));

    assert_eq!(text(&["list"]), "notes\n");
    let import = ["import", "notes", "a/b", "tea.json", "--creator", "ada"];
    assert_eq!(text(&import), "created notes/a/b\n");
    assert_eq!(
        stderr(&run(&import)).split(':').nth(1).map(str::trim),
        Some("there is a document with this id, or a deleted one that is not purged yet (exists)")
    );
    let list = text(&["list", "notes"]);
    let lines: Vec<_> = list.lines().collect();
    assert!(lines[0].starts_with("CREATOR  BYTES  ACTIONS  CREATED"), "{list}");
    assert!(lines.len() == 2 && lines[1].starts_with("ada ") && lines[1].ends_with(" a/b"));
    let json: Value = serde_json::from_str(&text(&["list", "notes", "--json"])).expect("JSON");
    assert_eq!(json[0]["id"], "a/b");
    let shown: Value = serde_json::from_str(&text(&["show", "notes", "a/b"])).expect("JSON");
    assert_eq!(shown, serde_json::json!({"title": "Tea", "tags": ["a"]}));

    assert_eq!(text(&["name", "notes", "a/b", "draft"]), "named draft\n");
    let history = text(&["history", "notes", "a/b"]);
    assert!(history.contains("notes/create") && history.contains("draft"), "{history}");
    assert_eq!(text(&["diff", "notes", "a/b", "version:draft"]), "");
    let restored = text(&["restore", "notes", "a/b", "--version", "draft"]);
    assert_eq!(restored, "restored notes/a/b\n");
    assert!(stderr(&run(&["restore", "notes", "a/b"])).contains("--version, --at, --position"));

    let authors = ["show", "notes", "text", "--authors", "/body"];
    assert_eq!(
        text(&["import", "notes", "text", "text.json", "--creator", "ada"]),
        "created notes/text\n"
    );
    let table = text(&authors);
    let mut lines = table.lines();
    assert_eq!(lines.next().map(|head| head.split_whitespace().count()), Some(3), "{table}");
    let line = lines.next().expect("a part");
    assert!(line.starts_with("server:") && line.ends_with(r#""Buy\nmilk""#), "{table}");
    assert!(stderr(&run(&["show", "notes", "a/b", "--authors", "/title"])).contains("(noText)"));
    let json = text(&[&authors[..], &["--position", "18446744073709551615", "--json"]].concat());
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["authors"][0]["text"], "Buy\nmilk");

    let unname = ["unname", "notes", "a/b", "draft"];
    assert_eq!(text(&unname), "removed the name draft\n");
    assert!(stderr(&run(&unname)).contains("(notFound)"));

    assert_eq!(text(&["export", "notes", "a/b", "copy.json"]), "");
    assert_eq!(text(&["import", "notes", "2", "copy.json"]), "created notes/2\n");
    assert_eq!(text(&["copy", "notes", "2", "3"]), "created notes/3\n");
    assert_eq!(text(&["import", "notes", "4", "coffee.json"]), "created notes/4\n");
    assert_eq!(text(&["delete", "notes", "4"]), "deleted notes/4\n");
    assert!(text(&["list", "notes", "--deleted"]).contains("(deleted)"));
    assert!(stderr(&run(&["show", "notes", "4"])).contains("(deleted)"));
    assert!(stderr(&run(&["purge", "notes", "4"])).contains("--yes"));
    let purged = text(&["purge", "notes", "4", "--yes"]);
    assert!(purged.starts_with("purged 1\nWhat stays:"), "{purged}");
    assert!(text(&["purge", "--creator", "ada", "--yes"]).starts_with("purged 4\n"));
    assert_eq!(text(&["list", "notes"]).lines().count(), 1);

    let mut command = logux(path);
    command.args(["documents", "list", "--server", &url, "--secret-file", "wrong"]);
    let output = command.output().expect("the program");
    assert!(stderr(&output).contains("(wrongSecret)") && output.status.code() == Some(1));
    let output = documents(path, "http://127.0.0.1:9", &["list"]);
    assert!(stderr(&output).contains("cannot reach http://127.0.0.1:9"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(2));
    let output = documents(path, "http://example.com", &["list"]);
    assert!(stderr(&output).contains("not encrypted"), "{}", stderr(&output));
}

#[test]
fn without_a_secret_only_development_serves_documents_over_http() {
    let folder = folder();
    std::fs::write(folder.path().join("secret"), "0123456789abcdef0123456789abcdef")
        .expect("written");
    let flags = ["--document", "notes", "--secret-file", "secret"];
    let (_server, url) = RunningProgram::serve(folder.path(), &flags);
    let list = |url: &str| {
        let url = url.replace("ws", "http");
        let mut command = logux(folder.path());
        command.args(["documents", "list", "--server", &url]).output().expect("the program")
    };
    assert!(stderr(&list(&url)).contains("has no documents over HTTP"), "{}", stderr(&list(&url)));
    let (_server, url) =
        RunningProgram::serve(folder.path(), &["--document", "notes", "--dev", "--db", "dev.db"]);
    assert_eq!(stdout(list(&url)), "notes\n");
}
