//! Logins in virtual time: wrong ones slow down their user and address, and never refuse a correct
//! one; a login that ends closes its connection.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use logux_server::{
    AuthOutcome, Server,
    testing::{START, TestClient, TestClientBuilder, TestServer},
};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

/// A server that accepts the token `good`, and the number of its checks.
fn server() -> (TestServer, Arc<AtomicUsize>) {
    let checks = Arc::new(AtomicUsize::new(0));
    let counted = checks.clone();
    let builder = Server::builder().auth(move |login| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move { Ok(login.token.as_deref() == Some("good")) }
    });
    (TestServer::start(builder).expect("a server"), checks)
}

fn office() -> IpAddr {
    Ipv4Addr::new(10, 0, 0, 1).into()
}

/// Connects, and returns the time that it took.
async fn took(client: TestClientBuilder) -> (TestClient, Duration) {
    let start = Instant::now();
    let client = client.connect().await.expect("connected");
    (client, start.elapsed())
}

const MOMENT: Duration = Duration::from_millis(500);

#[tokio::test(start_paused = true)]
async fn outdated_tabs_do_not_refuse_the_good_logins_of_their_address() {
    let (server, _) = server();
    for _ in 0..3 {
        server.expect_wrong_credentials(server.client("old").token("bad").address(office())).await;
    }
    for n in 0..10 {
        let good = server.client(&format!("good{n}")).token("good").address(office());
        assert!(took(good).await.1 < MOMENT, "another user does not wait");
    }
    let (_client, waited) = took(server.client("old").token("good").address(office())).await;
    assert!(waited >= Duration::from_secs(1), "the same user waits: {waited:?}");
    let (_client, waited) = took(server.client("old").token("good").address(office())).await;
    assert!(waited < MOMENT, "a correct login ends the waiting");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_wrong_logins_delay_an_address_and_no_other() {
    let (server, checks) = server();
    for n in 0..100 {
        let user = format!("old{n}");
        server.expect_wrong_credentials(server.client(&user).token("bad").address(office())).await;
    }
    let before = checks.load(Ordering::Relaxed);
    let good = tokio::spawn(took(server.client("good").token("good").address(office())));
    sleep(MOMENT).await;
    assert_eq!(checks.load(Ordering::Relaxed), before, "the check itself waits");
    let (_client, waited) = good.await.expect("connected");
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
    let elsewhere = server.client("good").token("good").address(Ipv4Addr::new(10, 0, 0, 2).into());
    assert!(took(elsewhere).await.1 < MOMENT);
}

#[tokio::test(start_paused = true)]
async fn connections_that_may_not_wait_are_closed_without_an_error() {
    let (server, _) = server();
    for _ in 0..3 {
        server.expect_wrong_credentials(server.client("10").token("bad").address(office())).await;
    }
    let guesses: Vec<_> = (0..30)
        .map(|_| tokio::spawn(server.client("10").token("bad").address(office()).connect()))
        .collect();
    sleep(Duration::from_secs(1)).await;
    // The good login finds all places taken, and its client tries again.
    let good = server.client("10").token("good").address(office()).connect();
    let client = timeout(Duration::from_mins(10), good).await.expect("in time").expect("accepted");
    drop((client, guesses));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_does_not_wait() {
    let (server, checks) = server();
    for _ in 0..3 {
        server.expect_wrong_credentials(server.client("10").token("bad").address(office())).await;
    }
    let before = checks.load(Ordering::Relaxed);
    for _ in 0..40 {
        let guess = server.client("10").token("bad").address(office()).connect();
        assert!(timeout(Duration::from_millis(10), guess).await.is_err(), "it waits");
    }
    server.settle().await;
    assert_eq!(checks.load(Ordering::Relaxed), before);
    let (_client, waited) = took(server.client("10").token("good").address(office())).await;
    assert!(waited < Duration::from_millis(1_500), "a place is free: {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_login_that_ends_closes_its_connection_and_the_client_logs_in_again() {
    let logins = Arc::new(AtomicUsize::new(0));
    let counted = logins.clone();
    let hour = 3_600_000;
    let builder = Server::builder()
        .auth(move |_| {
            let hours = counted.fetch_add(1, Ordering::Relaxed) as i64 + 1;
            async move { Ok(AuthOutcome::accepted_until(START.shifted(hours * hour))) }
        })
        .action_type("work", |on| on.access(|_| async { Ok(true) }));
    let server = TestServer::start(builder).expect("a server");
    let client = server.connect("10").await.expect("connected");
    let count = || logins.load(Ordering::Relaxed);
    sleep(Duration::from_secs(3_602)).await;
    assert_eq!(count(), 1, "the leeway is 3 s");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(count(), 2, "the client has connected again");
    client.process(json!({"type": "work"})).await.expect("processed");
    sleep(Duration::from_secs(3_600)).await;
    assert_eq!(count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_has_ended_is_refused() {
    let builder = Server::builder().auth(|login| async move {
        let past = if login.user_id() == Some("10") { 2_000 } else { 4_000 };
        Ok(AuthOutcome::accepted_until(START.shifted(-past)))
    });
    let server = TestServer::start(builder).expect("a server");
    server.expect_wrong_credentials(server.client("20")).await;
    server.connect("10").await.expect("within the leeway");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_refuses_and_counts_and_one_that_cannot_decide_does_not() {
    let checks = Arc::new(AtomicUsize::new(0));
    let counted = checks.clone();
    let builder = Server::builder().auth(move |login| {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            match login.token.as_deref() {
                Some("down") if number < 5 => Ok(AuthOutcome::unavailable("no database")),
                Some("down") => Ok(true.into()),
                token => Ok((token.unwrap_or_default().parse::<u32>()? == 1).into()),
            }
        }
    });
    let server = TestServer::start(builder).expect("a server");
    let (_client, waited) = took(server.client("10").token("down")).await;
    assert!(waited > Duration::from_secs(1), "the client has tried again after {waited:?}");
    for _ in 0..3 {
        server.expect_wrong_credentials(server.client("10").token("not a number")).await;
    }
    let (_client, waited) = took(server.client("10").token("1")).await;
    assert!(waited >= Duration::from_secs(1), "failures count as wrong logins: {waited:?}");
}
