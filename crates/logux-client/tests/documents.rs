//! Documents without a connection.

use logux::{
    client::SubscriptionState::Loading,
    crdt::{Crdt, Map, MapOp},
};
use logux_client::Client;
use logux_net::PairTransport;
use serde_json::json;

/// A network that is never there.
async fn no_network() -> Result<PairTransport, logux_net::NetError> {
    std::future::pending().await
}

#[tokio::test]
async fn the_state_of_the_device_is_there_while_the_subscription_is_loading() {
    let client = Client::builder("10").expect("a user").start(no_network);
    let mut note = client.document::<Map>("notes", "7").await.expect("open");
    assert_eq!(note.subscription(), Some(Loading));
    let title = MapOp::Set { path: "/title".parse().expect("a path"), value: json!("Tea").into() };
    let written = tokio::spawn({
        let note = note.clone();
        async move { note.operate(&[title]).await }
    });
    let state = note.until(|note| note.get("/title").is_some()).await.expect("a state");
    assert_eq!((state.to_json(), note.subscription()), (json!({"title": "Tea"}), Some(Loading)));
    written.abort();
}
