//! A device that starts again over what it has kept.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use logux::{
    Action, MemoryStore, NodeId, Now,
    client::{Client, Config},
    store::Store,
    sync,
};

const NOW: Now = Now::from_millis(1_564_508_138_460, 0);

fn start(node: &str, store: MemoryStore) -> Client<MemoryStore> {
    let node = sync::Config::client(NodeId::new(node).unwrap());
    Client::new(Config { node: node.into(), token: None, time_fix: None }, store).unwrap()
}

#[test]
fn what_it_did_waits_and_what_it_was_subscribed_to_does_not() {
    let mut client = start("10:phone:1", MemoryStore::new());
    let sync = |client: &mut Client<_>, json: &str| client.sync(NOW, Action::new(json).unwrap()).unwrap();
    sync(&mut client, r#"{"type":"logux/subscribe","channel":"room"}"#);
    let done = sync(&mut client, r#"{"type":"a"}"#);
    sync(&mut client, r#"{"type":"logux/unsubscribe","channel":"other"}"#);
    let client = start("10:phone:2", client.into_store());
    assert_eq!(client.log().store().len(), 1);
    assert!(client.log().store().by_id(&done).unwrap().is_some());
}
