//! The user whose data a store has, and another user of the same device.

use logux::{
    Action, MemoryStore, NodeId, Store,
    client::{IdentityError, Input, Output, Secret, Status, Subscription, identify},
    crdt::Crdt,
    replay::TimelineSet,
    sync::{Disconnect, State},
};
use serde_json::{Value, json};

use crate::device::{Desk, Device, Notes, desk, id_at, notes, processed, refusal, set};

trait User {
    fn note(&self) -> Value;
    fn subscribe(&mut self) -> logux::ActionId;
}

impl User for Desk {
    fn note(&self) -> Value {
        self.client.log().observer().timeline::<Notes>("notes/1").unwrap().state().to_json()
    }

    fn subscribe(&mut self) -> logux::ActionId {
        let now = self.now();
        let id = self.client.subscribe_kept(now, &Subscription::to("notes/1")).unwrap().unwrap();
        self.commit(now);
        id
    }
}

/// Returns the field `since` after an answer of the server at this time.
fn since_ms(ms: i64) -> Value {
    let id = id_at(ms, "server:x");
    json!({"id": id.to_string(), "time": id.time().as_millis()})
}

/// Returns the same for a client that has then received everything up to a number of the server.
fn since_added(ms: i64, added: u64) -> Value {
    let mut since = since_ms(ms);
    since["added"] = added.into();
    since
}

fn subscription(since: &Value) -> Value {
    json!([{"type": "logux/subscribe", "channel": "notes/1", "since": since}])
}

#[test]
fn a_start_receives_only_what_is_new() {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    let first = desk.subscribe();
    let sent = json!([{"type": "logux/subscribe", "channel": "notes/1"}]);
    assert_eq!(json!(desk.connect()), sent);
    desk.receive(5, "server:x", &processed(&first));
    let since = since_ms(5);
    assert_eq!(desk.client.log().value(r#"since {} "notes/1""#).unwrap(), Some(since.to_string()));
    let edit = json!({"type": "notes/edit", "id": "1", "ops": []});
    desk.receive(6, "11:desk:1", &edit);

    // The client is killed, and receives other channels first when it is back.
    let mut desk = self::desk("10:phone:2", desk.client.into_store()).with_added(2);
    desk.connect();
    desk.receive(7, "server:x", &json!({"type": "other"}));
    let again = desk.subscribe();
    assert_eq!(json!(desk.sent()), subscription(&since_added(5, 2)));
    desk.receive(9, "server:x", &processed(&again));
    // The next connection of the same start asks from what was received in this one.
    assert_eq!(json!(desk.connect()), subscription(&since_added(9, 4)));
    desk.receive(10, "server:x", &json!({"type": "other"}));
    assert_eq!(json!(desk.connect()), subscription(&since_added(9, 4)), "it had no answer");
}

#[test]
fn a_document_that_is_closed_is_as_it_was_then() {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    let id = desk.subscribe();
    desk.connect();
    desk.receive(5, "server:x", &processed(&id));
    desk.receive(6, "11:desk:1", &json!({"type": "notes/edit", "id": "1", "ops": []}));
    desk.sync(Subscription::to("notes/1").unsubscribe().unwrap());
    desk.receive(7, "server:x", &json!({"type": "other"}));
    desk.sent();
    desk.subscribe();
    assert_eq!(json!(desk.sent()), subscription(&since_added(5, 2)));
}

#[test]
fn a_subscription_that_the_server_has_ended_has_no_number() {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    let id = desk.subscribe();
    desk.connect();
    desk.receive(5, "server:x", &processed(&id));
    desk.receive(6, "server:x", &refusal(&id, "revoked"));
    desk.sent();
    desk.subscribe();
    assert_eq!(json!(desk.sent()), subscription(&since_ms(5)));
}

/// The answer to the first request says nothing about what the second one has to bring.
#[test]
fn a_number_is_known_only_when_all_requests_are_answered() {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    let first = desk.sync(Subscription::to("notes/1").subscribe().unwrap());
    desk.connect();
    let kept = desk.subscribe();
    desk.receive(5, "server:x", &processed(&first));
    assert_eq!(desk.client.log().value(r#"since {} "notes/1""#).unwrap(), None);
    desk.receive(6, "server:x", &processed(&kept));
    let since = desk.client.log().value(r#"since {} "notes/1""#).unwrap().unwrap();
    assert_eq!(since, since_ms(6).to_string());
}

#[test]
fn what_the_log_does_not_keep_is_requested_as_a_whole() {
    let subscribe = || Action::new(r#"{"type":"logux/subscribe","channel":"notes/1"}"#).unwrap();
    let mut desk = desk("10:phone:1", MemoryStore::new());
    let id = desk.sync(subscribe());
    desk.connect();
    desk.receive(5, "server:x", &processed(&id));
    assert_eq!(desk.client.log().value(r#"since {} "notes/1""#).unwrap(), None);

    // A timeline that leaves no longer keeps what the application receives.
    let kept = desk.subscribe();
    desk.receive(6, "server:x", &processed(&kept));
    desk.sync(Subscription::to("notes/1").unsubscribe().unwrap());
    let again = desk.sync(subscribe());
    desk.receive(7, "server:x", &processed(&again));
    let since = desk.client.log().value(r#"since {} "notes/1""#).unwrap().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&since).unwrap(), since_added(6, 2));
}

#[test]
fn another_user_of_the_device_finds_nothing() {
    let mut store = MemoryStore::new();
    let node = NodeId::new("10:phone:1").unwrap();
    assert_eq!(identify(&mut store, &node, true).unwrap(), Ok(node));
    let mut desk = desk("10:phone:1", store);
    desk.client.resume(logux::Now::from_millis(0, 0));
    let title = desk.sync(set("title", "secret"));
    desk.connect();
    desk.handle(Input::Frame(r#"["synced",1]"#));
    desk.receive(1, "server:x", &processed(&title));
    desk.subscribe();
    let unconfirmed = desk.sync(set("title", "unsaved"));

    let now = desk.now();
    let node = NodeId::new("11:phone:2").unwrap();
    let token = Some(Secret("token".into()));
    let left = desk.client.change_user(now, &node, token).unwrap();
    desk.commit(now);
    assert_eq!(left.iter().map(|entry| &entry.meta.id).collect::<Vec<_>>(), [&unconfirmed]);
    assert_eq!((desk.note(), desk.client.unconfirmed()), (json!({}), 0));
    assert_eq!(desk.ids(), []);
    let outputs: Vec<_> = std::iter::from_fn(|| desk.client.poll_output()).collect();
    assert!(outputs.iter().any(|it| matches!(it, Output::Disconnect(Disconnect::Paused))));
    assert!(outputs.iter().any(|it| matches!(it, Output::State(State::Disconnected))));
    let of_former_user = |it: &Output| matches!(it, Output::Fate(..) | Output::Subscription(..));
    assert!(!outputs.iter().any(of_former_user), "{outputs:?}");

    desk.handle(Input::Closed);
    let is_connect = |output| matches!(output, Output::Connect);
    assert!(std::iter::from_fn(|| desk.client.poll_output()).any(is_connect), "at once");
    desk.handle(Input::Opened);
    let Some(Output::Send(connect)) = std::iter::from_fn(|| desk.client.poll_output())
        .find(|output| matches!(output, Output::Send(_)))
    else {
        panic!("the client sends `connect`")
    };
    assert!(connect.contains(r#""11:phone:2",0"#) && connect.contains("token"), "{connect}");

    // The actions of the former user may become those of the new one.
    let id = desk.sync(left[0].action.clone());
    assert_eq!((id.node().as_str(), desk.note()), ("11:phone:2", json!({"title": "unsaved"})));
    let mut store = desk.client.into_store();
    let other = identify(&mut store, &NodeId::new("10:phone:3").unwrap(), true).unwrap();
    assert_eq!(other, Err(IdentityError::OtherUser("11".into())));
    let own = identify(&mut store, &NodeId::new("11:random:4").unwrap(), true).unwrap();
    assert_eq!(own.unwrap().as_str(), "11:phone:4");
}

#[test]
fn a_user_who_logs_out_leaves_nothing() {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    let id = desk.sync(set("title", "unsaved"));
    let now = desk.now();
    let left = desk.client.clean(now).unwrap();
    assert_eq!(left.iter().map(|entry| &entry.meta.id).collect::<Vec<_>>(), [&id]);
    assert_eq!((desk.note(), desk.client.status()), (json!({}), Status::Disconnected));
    let store = desk.client.into_store();
    assert_eq!((store.value("userId").unwrap(), store.last_added().unwrap()), (None, 0));
}

/// The document is open on neither side of a restart, or was closed before the answer.
#[test]
fn what_the_server_refuses_while_its_document_is_closed_does_not_come_back() {
    for is_restarted in [false, true] {
        let mut desk = desk("10:phone:1", MemoryStore::new());
        let kept = desk.sync(set("kept", "yes"));
        let refused = desk.sync(set("title", "refused"));
        let mut desk = if is_restarted {
            Device::observed("10:phone:2", desk.client.into_store(), TimelineSet::default())
        } else {
            desk.client.close("notes/1");
            desk
        };
        desk.connect();
        desk.receive(1, "server:x", &processed(&kept));
        desk.receive(2, "server:x", &refusal(&refused, "denied"));
        desk.client.open(notes()).unwrap();
        assert_eq!(desk.note(), json!({"kept": "yes"}), "restarted: {is_restarted}");
        assert_eq!(desk.ids(), [kept]);
    }
}
