//! The log lines that clients cause before they are authenticated are limited, and counted.

#[path = "support/capture.rs"]
mod capture;

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use capture::{Captured, Line, capture};
use logux_server::{AuthOutcome, Server, testing::TestServer};
use tokio::time::sleep;

/// A period, and the time in which its end is reported.
const MINUTE: Duration = Duration::from_millis(60_010);

fn server() -> TestServer {
    let builder = Server::builder()
        .config(|config| {
            config.max_wrong_logins = None;
            config.max_wrong_logins_per_address = None;
        })
        .auth(|login| async move {
            Ok(match login.token.as_deref() {
                Some("good") => true.into(),
                _ => AuthOutcome::denied("the token has expired"),
            })
        });
    TestServer::start(builder).expect("a server")
}

fn stranger() -> IpAddr {
    Ipv4Addr::new(10, 0, 0, 1).into()
}

fn lines(captured: &Captured, event: &str) -> Vec<Line> {
    captured.all().into_iter().filter(|line| line["event"] == event).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stranger_fills_no_log() {
    let captured = capture();
    let server = server();
    for n in 0..300 {
        let client = server.client(&format!("stranger{n}")).token("bad").address(stranger());
        server.expect_wrong_credentials(client).await;
    }
    let other = Ipv4Addr::new(10, 0, 0, 2).into();
    server.expect_wrong_credentials(server.client("other").token("bad").address(other)).await;
    let good = server.client("good").token("good").address(stranger()).connect().await;
    drop(good.expect("a connected client"));

    let refused = lines(&captured, "unauthenticated");
    assert_eq!(refused.len(), 11, "10 of the stranger, and the one of the other address");
    assert_eq!(refused[0]["error"], "the token has expired");
    assert_eq!((&*refused[9]["ipAddress"], &*refused[10]["ipAddress"]), ("10.0.0.1", "10.0.0.2"));
    assert_eq!(lines(&captured, "connect").len(), 101);
    assert!(lines(&captured, "disconnect").len() <= 102);
    assert_eq!(lines(&captured, "authenticated").len(), 1, "logged-in clients are all reported");
    assert_eq!(lines(&captured, "suppressed").len(), 0, "the minute has not ended");

    sleep(MINUTE).await;
    let line = captured.wait("suppressed", &[("of", "unauthenticated"), ("level", "WARN")]);
    assert_eq!((&*line["lines"], &*line["ipAddress"]), ("290", "10.0.0.1"));
    let line = captured.wait("suppressed", &[("of", "connect"), ("level", "INFO")]);
    assert_eq!(line["lines"], "201");

    // The next minute starts with lines again, and a quiet one ends without any.
    let client = server.client("stranger").token("bad").address(stranger());
    server.expect_wrong_credentials(client).await;
    assert_eq!(lines(&captured, "unauthenticated").len(), 12);
    let before = captured.all().len();
    sleep(3 * MINUTE).await;
    assert_eq!(captured.all().len(), before);
}
