//! Clients whose access ends, in virtual time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use logux::{Action, server::Recipients, sync::State};
use logux_server::{Server, testing::TestServer};
use serde_json::json;
use tokio::time::{sleep, timeout};

#[tokio::test(start_paused = true)]
async fn a_removed_member_receives_nothing_any_more() {
    let is_member = Arc::new(AtomicBool::new(true));
    let membership = is_member.clone();
    let builder = Server::builder().channel("project", move |channel| {
        channel.access(move |_| {
            let allowed = membership.load(Ordering::Relaxed);
            async move { Ok(allowed) }
        })
    });
    let server = TestServer::start(builder).expect("a server");
    let member = server.connect("10").await.expect("connected");
    member.subscribe("project").await.expect("subscribed");
    is_member.store(false, Ordering::Relaxed);
    let received = member
        .received(async {
            server.handle().unsubscribe(Recipients::user("10"), "project").await;
            let action = Action::new(r#"{"type":"news"}"#).expect("an action");
            server.handle().send(action, "project").await;
        })
        .await;
    let received: Vec<_> = received.iter().map(|action| action.as_json().to_owned()).collect();
    assert!(received.len() == 1 && received[0].contains(r#""reason":"revoked""#), "{received:?}");
    member.disconnect().await;
    member.reconnect().await.expect("connected");
    member.expect_denied(json!({"type": "logux/subscribe", "channel": "project"})).await;
}

#[tokio::test(start_paused = true)]
async fn a_disconnected_client_logs_in_again_unless_it_is_final() {
    let logins = Arc::new(AtomicUsize::new(0));
    let counted = logins.clone();
    let builder = Server::builder().auth(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok(true) }
    });
    let server = TestServer::start(builder).expect("a server");
    let [ten, twenty] = [server.connect("10").await, server.connect("20").await]
        .map(|client| client.expect("connected"));
    server.handle().disconnect(Recipients::user("10"), false).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(logins.load(Ordering::Relaxed), 3, "only user 10 has logged in again");
    assert_eq!(ten.client().state(), State::Synchronized);
    server.handle().disconnect(Recipients::user("20"), true).await;
    let reason = timeout(Duration::from_mins(1), twenty.client().ended()).await.expect("it ends");
    assert_eq!(reason, "wrong-credentials");
    assert_eq!(logins.load(Ordering::Relaxed), 3);
}
