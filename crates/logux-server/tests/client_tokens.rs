//! Clients whose tokens expire, over real sockets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use logux::sync::State;
use logux_client::Client;
use logux_net::WebSocketConnector;
use logux_server::{RunningServer, Server};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(20);

/// Starts a server that accepts the token `new`.
async fn server() -> RunningServer {
    Server::builder()
        .auth(|login| async move { Ok(login.token.as_deref() == Some("new")) })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server")
}

/// Starts a client that has these tokens one after the other, and the last one from then on.
/// Returns how many it was asked for.
fn client(server: &RunningServer, tokens: &'static [&'static str]) -> (Client, Arc<AtomicUsize>) {
    let url = format!("ws://{}", server.address());
    let connector = WebSocketConnector::new(&url).expect("a URL");
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let builder = Client::builder("10").expect("a user").token_by(move || {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        let token = tokens[number.min(tokens.len() - 1)].to_owned();
        async move { token }
    });
    (builder.start(connector), asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_has_expired_is_asked_for_again() {
    let server = server().await;
    let (client, asked) = client(&server, &["old", "new"]);
    assert!(timeout(TIMEOUT, client.reached(State::Synchronized)).await.expect("in time"));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_refused_twice_stops() {
    let server = server().await;
    let (client, asked) = client(&server, &["old"]);
    let reason = timeout(TIMEOUT, client.ended()).await.expect("in time");
    assert_eq!((reason.as_str(), asked.load(Ordering::Relaxed)), ("wrong-credentials", 2));
}
