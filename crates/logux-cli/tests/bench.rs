//! `logux bench` with a server in this process: the correctness of its reports, not the speed.

use std::process::{Command, Output};

use logux_server::{RunningServer, Server};
use serde_json::Value;

async fn server() -> RunningServer {
    Server::builder()
        // A test connects many clients with a wrong token.
        .config(|settings| settings.max_wrong_logins = None)
        .auth(|who| async move { Ok(who.token.as_deref() != Some("wrong")) })
        .action_type("bench/note", |kind| {
            kind.access(|_| async { Ok(true) }).resend(|_| async { Ok("bench") })
        })
        .action_type("bench/denied", |kind| kind.own())
        .channel("bench", |channel| channel.access(|_| async { Ok(true) }))
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server")
}

/// Runs `logux bench` with the URL of the server.
async fn bench(server: &RunningServer, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logux"));
    command
        .env_remove("LOGUX_TOKEN")
        .arg("bench")
        .args(flags)
        .arg(format!("ws://{}", server.address()));
    tokio::task::spawn_blocking(move || command.output().expect("the program runs"))
        .await
        .expect("a finished task")
}

const SHORT: [&str; 7] = ["--json", "--warm-up", "0.1", "--seconds", "0.2", "--runs", "2"];

async fn report(flags: &[&str]) -> Value {
    let server = server().await;
    let output = bench(&server, flags).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn assert_complete(report: &Value) {
    assert_eq!((&report["lost"], &report["duplicates"]), (&0.into(), &0.into()), "{report}");
    for run in report["runs"].as_array().expect("runs") {
        assert!(run["count"].as_u64() > Some(0), "{report}");
        let latency = &run["latency"];
        assert!(latency["p50Us"].as_u64() <= latency["p99Us"].as_u64(), "{report}");
        assert!(latency["p99Us"].as_u64() <= latency["maxUs"].as_u64(), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fan_out_at_full_load_is_complete() {
    let flags = ["fan-out", "--subscribers", "20", "--publishers", "3", "--window", "8"];
    let report = report(&[&flags[..], &SHORT].concat()).await;
    assert_complete(&report);
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["load"]["window"], 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn fan_out_does_not_exceed_its_rate() {
    let flags = ["fan-out", "--subscribers", "10", "--rate", "1000"];
    let report = report(&[&flags[..], &SHORT].concat()).await;
    assert_complete(&report);
    let count: u64 = report["runs"]
        .as_array()
        .expect("runs")
        .iter()
        .filter_map(|run| run["count"].as_u64())
        .sum();
    // 400 in 0.4 s, and late deliveries of the warm-up on a busy machine.
    assert!(count <= 600, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn round_trips_are_complete() {
    assert_complete(&report(&[&["round-trip", "--clients", "5"][..], &SHORT].concat()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn connects_are_complete() {
    assert_complete(&report(&[&["connects", "--clients", "5"][..], &SHORT].concat()).await);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_stay_open() {
    let pid = std::process::id().to_string();
    let report =
        report(&["idle", "--json", "--clients", "200", "--settle", "0", "--pid", &pid]).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&0.into(), &0.into()), "{report}");
    assert!(report["bytesAfter"].as_u64() >= report["bytesBefore"].as_u64(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn report_is_a_table_by_default() {
    let server = server().await;
    let flags =
        ["round-trip", "--clients", "2", "--warm-up", "0", "--seconds", "0.1", "--runs", "1"];
    let output = bench(&server, &flags).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("actions/s") && text.contains("0 lost"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_server_are_reported() {
    let server = server().await;
    let cases: [(&[&str], &str); 5] = [
        (&["connects", "--token", "wrong"], "wrong-credentials"),
        (&["fan-out", "--channel", "unknown"], "the server has no channel `unknown`: start the"),
        (&["round-trip", "--type", "unknown"], "the server has no action type `unknown`: start"),
        (&["round-trip", "--type", "bench/denied"], "the server denied `bench/denied` to the"),
        (&["idle"], "--pid is required"),
    ];
    for (flags, expected) in cases {
        let output = bench(&server, flags).await;
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && message.contains(expected), "{flags:?}: {message}");
    }
}
