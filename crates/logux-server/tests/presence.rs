//! Presence between real clients, in virtual time.

use std::time::Duration;

use logux::{Json, NodeId, client::PresenceEvent, crdt::Document};
use logux_client::Presence;
use logux_server::{
    MemoryDocuments, Server,
    testing::{TestClient, TestServer},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

fn server() -> TestServer {
    TestServer::start(
        Server::builder()
            .channel("boards/:id", |channel| channel.access(|_| async { Ok(true) }).presence())
            .channel("plain", |channel| channel.access(|_| async { Ok(true) }))
            .documents::<Document>("notes", MemoryDocuments::new(), |kind| {
                kind.access(|request| async move { Ok(request.user_id() != Some("guest")) })
                    .created_by_edits()
            }),
    )
    .expect("a server")
}

/// A client in a channel, and who else is there.
async fn enter(server: &TestServer, user: &str, channel: &str) -> (TestClient, Presence) {
    let client = server.connect(user).await.expect("connected");
    client.subscribe(channel).await.expect("subscribed");
    let presence = client.client().presence(channel);
    (client, presence)
}

/// Waits until others are there with these states.
async fn until(presence: &mut Presence, wanted: &[(&NodeId, Value)]) {
    let wanted: Vec<(NodeId, Json)> =
        wanted.iter().map(|(node, state)| ((*node).clone(), state.clone().into())).collect();
    let shown = async {
        while presence.others().expect("running") != wanted {
            assert_eq!(presence.changed().await, Some(PresenceEvent::Changed));
        }
    };
    timeout(Duration::from_secs(60), shown).await.expect("the states of others");
}

#[tokio::test(start_paused = true)]
async fn people_in_a_channel_see_each_other() {
    let server = server();
    let (ada, at_ada) = enter(&server, "ada", "boards/1").await;
    let (_bob, mut at_bob) = enter(&server, "bob", "boards/1").await;
    at_ada.set(json!({"name": "Ada"})).expect("running");
    let node = ada.node_id();
    until(&mut at_bob, &[(&node, json!({"name": "Ada"}))]).await;
    let (_eve, mut at_eve) = enter(&server, "eve", "boards/1").await;
    until(&mut at_eve, &[(&node, json!({"name": "Ada"}))]).await;
    assert_eq!(at_ada.others().expect("running"), [], "nobody sees oneself");

    let start = Instant::now();
    ada.disconnect().await;
    until(&mut at_bob, &[]).await;
    assert!(start.elapsed() < Duration::from_secs(1), "who is disconnected is gone at once");
    ada.reconnect().await.expect("reconnected");
    until(&mut at_bob, &[(&node, json!({"name": "Ada"}))]).await;
    at_ada.leave().expect("running");
    until(&mut at_bob, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn of_many_moves_the_latest_arrives() {
    let server = server();
    let (ada, at_ada) = enter(&server, "ada", "notes/7").await;
    let (_bob, mut at_bob) = enter(&server, "bob", "notes/7").await;
    for at in 0..100 {
        at_ada.set(json!({"at": at})).expect("running");
        sleep(Duration::from_millis(20)).await;
    }
    let node = ada.node_id();
    until(&mut at_bob, &[(&node, json!({"at": 99}))]).await;
    // It is repeated, so it does not end.
    sleep(Duration::from_secs(300)).await;
    assert_eq!(at_bob.others().expect("running").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_document_has_presence_and_an_end() {
    let server = server();
    let [ada, bob] = [
        server.connect("ada").await.expect("connected"),
        server.connect("bob").await.expect("connected"),
    ];
    let at_ada = ada.client().document::<Document>("notes", "7").await.expect("open");
    let at_bob = bob.client().document::<Document>("notes", "7").await.expect("open");
    let mut at_bob = at_bob.presence();
    at_ada.presence().set(json!({"name": "Ada"})).expect("running");
    let node = ada.node_id();
    until(&mut at_bob, &[(&node, json!({"name": "Ada"}))]).await;
    drop(at_ada);
    until(&mut at_bob, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn only_those_who_may_read_show_themselves() {
    let server = server();
    let guest = server.connect("guest").await.expect("connected");
    guest.subscribe("notes/7").await.expect_err("the guest may not read it");
    let set = |channel: &str| json!({"type": "presence/set", "channel": channel, "state": 1});
    guest.expect_denied(set("notes/7")).await;
    let (ada, mut at_ada) = enter(&server, "ada", "plain").await;
    ada.expect_undo("unknownType", set("plain")).await;
    at_ada.set(json!(1)).expect("running");
    assert_eq!(at_ada.changed().await, Some(PresenceEvent::Refused("unknownType".into())));
}
