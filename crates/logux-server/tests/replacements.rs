//! Two programs with one node id replace each other's connections: after a few times, the new one
//! waits. In virtual time.

#[path = "support/capture.rs"]
mod capture;

use std::time::Duration;

use capture::capture;
use logux_server::{
    Server,
    testing::{TestClient, TestServer},
};
use tokio::time::Instant;

/// Connects with the node id of both programs. Returns the time that it took.
async fn connect(server: &TestServer) -> (TestClient, Duration) {
    let start = Instant::now();
    let client = server.client("10:twin:tab").connect().await.expect("connected");
    (client, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn the_second_of_a_burst_waits_longer_and_longer() {
    let captured = capture();
    let server = TestServer::start(Server::builder()).expect("a server");
    let mut waits = Vec::new();
    let mut previous = None;
    for _ in 0..7 {
        let (client, wait) = connect(&server).await;
        // It is dropped before it connects again, and after it was replaced.
        previous = Some(client);
        server.settle().await;
        waits.push(wait.as_secs());
    }
    assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4]);
    captured.wait("limited", &[("nodeId", "10:twin:tab"), ("limit", "replacements")]);
    let zombies = captured.all().iter().filter(|line| line["event"] == "zombie").count();
    assert_eq!(zombies, 6);

    let start = Instant::now();
    let other = server.client("10:other:tab").connect().await.expect("connected");
    assert!(start.elapsed() < Duration::from_millis(500), "another client of the user");
    // A minute without replacements ends the burst.
    tokio::time::sleep(Duration::from_secs(61)).await;
    let (_client, wait) = connect(&server).await;
    assert!(wait < Duration::from_millis(500), "{wait:?}");
    drop((previous, other));
}
