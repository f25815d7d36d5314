//! The subscriptions of a client across reconnections and restarts.

use logux::{
    Action, ActionId, MemoryStore, NodeId, Now,
    client::{Client, Config, Input, Output, SubscriptionState},
    store::Store,
    sync,
};

const NOW: Now = Now::from_millis(1_564_508_138_460, 0);

fn start(node: &str, store: MemoryStore) -> Client<MemoryStore> {
    let node = sync::Config::client(NodeId::new(node).unwrap());
    Client::new(Config { node: node.into(), token: None }, store).unwrap()
}

fn sync(client: &mut Client<MemoryStore>, json: &str) -> ActionId {
    let id = client.sync(NOW, Action::new(json).unwrap()).unwrap();
    commit(client);
    id
}

fn commit(client: &mut Client<MemoryStore>) {
    while client.needs_commit() {
        client.commit(NOW).unwrap();
    }
}

const SUBSCRIBE: &str = r#"{"type":"logux/subscribe","channel":"room"}"#;
const UNSUBSCRIBE: &str = r#"{"type":"logux/unsubscribe","channel":"room"}"#;

/// Connects, and returns the `sync` messages that the client sends.
fn connect(client: &mut Client<MemoryStore>) -> Vec<String> {
    let connected = format!(r#"["connected",5,"server:x",[{0},{0}]]"#, NOW.wall.as_millis());
    while client.poll_output().is_some() {}
    for input in [Input::Closed, Input::Opened, Input::Frame(&connected)] {
        client.handle(NOW, input).unwrap();
        commit(client);
    }
    let sent = std::iter::from_fn(|| client.poll_output());
    let sync = sent.filter_map(|output| match output {
        Output::Send(frame) if frame.starts_with(r#"["sync""#) => Some(frame),
        _ => None,
    });
    sync.collect()
}

/// Receives `logux/processed` for these actions.
fn processed(client: &mut Client<MemoryStore>, ids: &[&ActionId]) {
    for (n, id) in ids.iter().enumerate() {
        let answer = format!(
            r#"["sync",1,{{"type":"logux/processed","id":"{id}"}},{{"id":[{n},"server:x",0],"time":1}}]"#
        );
        client.handle(NOW, Input::Frame(&answer)).unwrap();
        commit(client);
    }
}

#[test]
fn a_client_subscribes_again_unless_it_has_unsubscribed() {
    let mut client = start("10:phone:1", MemoryStore::new());
    connect(&mut client);
    let subscribed = sync(&mut client, SUBSCRIBE);
    processed(&mut client, &[&subscribed]);
    let again = connect(&mut client);
    assert!(again.len() == 1 && again[0].contains("since"), "{again:?}");

    let mut client = start("10:phone:1", MemoryStore::new());
    connect(&mut client);
    let subscribed = sync(&mut client, SUBSCRIBE);
    processed(&mut client, &[&subscribed]);
    let unsubscribed = sync(&mut client, UNSUBSCRIBE);
    let again = connect(&mut client);
    assert!(again.len() == 1 && again[0].contains("unsubscribe"), "{again:?}");
    processed(&mut client, &[&unsubscribed]);
    assert_eq!(connect(&mut client), [""; 0]);
}

/// The server answers the unsubscription at once, but the subscription after loading.
#[test]
fn a_client_that_unsubscribed_early_does_not_subscribe_again() {
    let mut client = start("10:phone:1", MemoryStore::new());
    connect(&mut client);
    let (subscribed, unsubscribed) = (sync(&mut client, SUBSCRIBE), sync(&mut client, UNSUBSCRIBE));
    processed(&mut client, &[&unsubscribed, &subscribed]);
    assert_eq!(connect(&mut client), [""; 0]);
}

#[test]
fn a_subscription_that_was_never_sent_is_taken_back_without_a_trace() {
    let mut client = start("10:phone:1", MemoryStore::new());
    sync(&mut client, SUBSCRIBE);
    sync(&mut client, UNSUBSCRIBE);
    assert_eq!((client.log().store().len(), client.unconfirmed()), (0, 0));
    assert_eq!(client.subscriptions().count(), 0);
    assert_eq!(connect(&mut client), [""; 0]);
}

#[test]
fn subscriptions_are_equal_by_value() {
    let mut client = start("10:phone:1", MemoryStore::new());
    connect(&mut client);
    let subscribed = sync(
        &mut client,
        r#"{"type":"logux/subscribe","channel":"tasks","filter":{"a":1,"b":{"c":2,"d":3}}}"#,
    );
    processed(&mut client, &[&subscribed]);
    let unsubscribed = sync(
        &mut client,
        r#"{"filter":{"b":{"d":3,"c":2.0},"a":1},"channel":"\u0074asks","type":"logux/unsubscribe"}"#,
    );
    processed(&mut client, &[&unsubscribed]);
    assert_eq!(connect(&mut client), [""; 0]);
}

/// Takes the changes of subscriptions.
fn changes(client: &mut Client<MemoryStore>) -> Vec<SubscriptionState> {
    let outputs = std::iter::from_fn(|| client.poll_output());
    let changes = outputs.filter_map(|output| match output {
        Output::Subscription(subscription, state) => {
            assert_eq!(subscription.channel, "room");
            Some(state)
        }
        _ => None,
    });
    changes.collect()
}

/// Two parts of an application want one channel: it ends when both have left, also after a
/// connection in between.
#[test]
fn subscriptions_are_counted_across_connections() {
    let mut client = start("10:phone:1", MemoryStore::new());
    connect(&mut client);
    let ids = [sync(&mut client, SUBSCRIBE), sync(&mut client, SUBSCRIBE)];
    processed(&mut client, &[&ids[0], &ids[1]]);
    let again = connect(&mut client);
    assert_eq!(again.len(), 1, "one request for both: {again:?}");
    sync(&mut client, UNSUBSCRIBE);
    let again = connect(&mut client);
    assert!(again.iter().all(|frame| !frame.contains("unsubscribe")), "{again:?}");
    sync(&mut client, UNSUBSCRIBE);
    let left = connect(&mut client);
    assert!(left.iter().any(|frame| frame.contains("unsubscribe")), "{left:?}");
}

/// Receives `logux/undo` of an action.
fn undone(client: &mut Client<MemoryStore>, id: &ActionId, reason: &str) {
    let answer = format!(
        r#"["sync",1,{{"type":"logux/undo","id":"{id}","reason":"{reason}"}},{{"id":[7,"server:x",0],"time":1}}]"#
    );
    client.handle(NOW, Input::Frame(&answer)).unwrap();
    commit(client);
}

#[test]
fn the_application_learns_what_becomes_of_a_subscription() {
    use SubscriptionState::{Ended, Loading, Refused, Subscribed};
    let mut client = start("10:phone:1", MemoryStore::new());
    connect(&mut client);
    let subscribed = sync(&mut client, SUBSCRIBE);
    assert_eq!(changes(&mut client), [Loading]);
    processed(&mut client, &[&subscribed]);
    assert_eq!(changes(&mut client), [Subscribed]);
    undone(&mut client, &subscribed, "revoked");
    assert_eq!(changes(&mut client), [Ended("revoked".into())]);
    assert_eq!(connect(&mut client), [""; 0], "it is not requested again");

    let refused = sync(&mut client, SUBSCRIBE);
    undone(&mut client, &refused, "denied");
    assert_eq!(changes(&mut client), [Loading, Refused("denied".into())]);
    assert_eq!(connect(&mut client), [""; 0]);
}

#[test]
fn a_subscription_that_is_refused_after_a_connection_is_told() {
    let mut client = start("10:phone:1", MemoryStore::new());
    connect(&mut client);
    let subscribed = sync(&mut client, SUBSCRIBE);
    processed(&mut client, &[&subscribed]);
    connect(&mut client);
    let again = client.next_id(NOW.wall);
    let again = ActionId::new(again.time(), again.node().clone(), again.sequence() - 1);
    assert_ne!(again, subscribed);
    undone(&mut client, &again, "denied");
    assert_eq!(changes(&mut client), [SubscriptionState::Refused("denied".into())]);
    assert_eq!(client.subscriptions().count(), 0);
}

#[test]
fn unanswered_actions_survive_a_restart_but_subscriptions_do_not() {
    let mut client = start("10:phone:1", MemoryStore::new());
    sync(&mut client, SUBSCRIBE);
    let unanswered = sync(&mut client, r#"{"type":"a"}"#);
    sync(&mut client, UNSUBSCRIBE);
    let client = start("10:phone:2", client.into_store());
    assert_eq!(client.log().store().len(), 1);
    assert!(client.log().store().by_id(&unanswered).unwrap().is_some());
}

/// The server has received the request, but the connection ends before its answer.
#[test]
fn a_request_without_an_answer_is_made_again() {
    let mut client = start("10:phone:1", MemoryStore::new());
    connect(&mut client);
    sync(&mut client, SUBSCRIBE);
    client.handle(NOW, Input::Frame(r#"["synced",1]"#)).unwrap();
    commit(&mut client);
    let again = connect(&mut client);
    assert!(again.len() == 1 && again[0].contains("subscribe"), "{again:?}");
}
