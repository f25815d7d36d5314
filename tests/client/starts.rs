//! What the start of a client costs.

use logux::{
    Action, NodeId, Now,
    client::{Client, Config, Input},
    log::Draft,
    sync,
};

use crate::counted_store::CountedStore;

const NOW: Now = Now::from_millis(1_564_508_138_460, 0);

fn start(store: CountedStore) -> Client<CountedStore> {
    let node = sync::Config::client(NodeId::new("10:phone:1").unwrap());
    Client::new(Config { node: node.into(), token: None }, store).unwrap()
}

/// Entries that the server does not wait for are not read: those of others, and confirmed ones.
#[test]
fn a_start_and_a_connection_read_what_is_unconfirmed() {
    let mut client = start(CountedStore::default());
    let note = || Action::new(r#"{"type":"note"}"#).unwrap();
    for _ in 0..5_000 {
        client.add(NOW, note(), Draft::reason("kept")).unwrap();
    }
    let time = NOW.wall.as_millis();
    let connected = format!(r#"["connected",5,"server:x",[{time},{time}]]"#);
    for input in [Input::Opened, Input::Frame(&connected), Input::Frame(r#"["ping",9]"#)] {
        client.handle(NOW, input).unwrap();
    }
    client.handle(NOW, Input::Closed).unwrap();
    client.sync(NOW, note()).unwrap();

    let store = client.into_store();
    let work = store.work.clone();
    work.set(0);
    let mut client = start(store);
    assert_eq!(client.unconfirmed(), 1);
    for input in [Input::Opened, Input::Frame(&connected)] {
        client.handle(NOW, input).unwrap();
    }
    // The log reads 1,000 entries for their ids.
    assert!(work.get() < 1_100, "{} of 5,001 entries were read", work.get());
}
