//! The frames that a client receives.

use std::sync::Arc;

use crate::{
    action::{Action, NodeId},
    client::{Client, Config, Fate, Input, Output},
    crdt::{Crdt as _, Document, Shared},
    replay::TimelineSet,
    store::MemoryStore,
    sync,
    time::Now,
};

type Device = Client<MemoryStore, TimelineSet>;

const DOCUMENT: &str = "notes/1";

/// Lets a client with an open document receive the lines of a string as frames, with a handshake
/// before them and without, and adds an own action after each. Checks that the client keeps these
/// actions until they are answered, and that another start with its store finds the same.
///
/// # Panics
/// If an own action is lost, or if a start differs.
pub fn server_frames(text: &str) {
    for handshake in [Some(r#"["connected",5,"server:x",[1,1]]"#), None] {
        receive(handshake.into_iter().chain(text.lines()));
    }
}

fn receive<'a>(frames: impl Iterator<Item = &'a str>) {
    let mut client = start(MemoryStore::new());
    let mut waiting = Vec::new();
    for (number, frame) in frames.enumerate() {
        let ms = u64::try_from(number).unwrap_or(u64::MAX);
        let now = Now::from_millis(i64::try_from(ms).unwrap_or(i64::MAX), ms);
        let inputs = if client.state() == sync::State::Disconnected {
            vec![Input::Closed, Input::Opened, Input::Frame(frame)]
        } else {
            vec![Input::Frame(frame)]
        };
        for input in inputs {
            client.handle(now, input).expect("a store in memory");
        }
        let note = Action::new(r#"{"type":"note"}"#).expect("an action");
        waiting.push(client.sync(now, note).expect("a store in memory"));
        while client.needs_commit() {
            client.commit(now).expect("a store in memory");
        }
        while let Some(output) = client.poll_output() {
            if let Output::Fate(id, Fate::Processed | Fate::Undone(_)) = output {
                waiting.retain(|own| *own != id);
            }
        }
    }
    for id in &waiting {
        assert!(client.log().by_id(id).expect("a store in memory").is_some(), "{id} is lost");
    }
    let again = start(client.log().store().clone());
    assert_eq!(client.unconfirmed(), again.unconfirmed());
    assert_eq!(state(&client), state(&again));
}

/// Starts a client, and opens the document.
fn start(store: MemoryStore) -> Device {
    let node = NodeId::new("10:phone:1").expect("a node id");
    let config = Config { node: sync::Config::client(node).into(), token: None };
    let mut client =
        Client::with_observer(config, store, TimelineSet::default()).expect("a store in memory");
    let (entries, last_added) =
        client.log().entries_of(&Arc::from(DOCUMENT)).expect("a store in memory");
    let note = Shared::<Document>::new("notes", "1");
    client.observer_mut().insert(note, &entries, last_added);
    client
}

fn state(client: &Device) -> serde_json::Value {
    let timeline = client.log().observer().timeline::<Shared<Document>>(DOCUMENT);
    timeline.expect("the open document").state().to_json()
}
