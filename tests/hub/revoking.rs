//! The end of subscriptions and connections by the application.

use logux::{
    Action,
    log::Draft,
    server::{AddAction, HandlerResponse, Input, Recipients, SessionId, UndoRequest},
};

use crate::world::{A, World, entry, undone};

const SUBSCRIBE: &str = r#"{"type":"logux/subscribe","channel":"room"}"#;

/// A world with a subscriber of the channel `room`.
fn subscribed() -> World {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.subscribe(1, "1 10:one:x 0", "room");
    world
}

fn revoked() -> Vec<String> {
    vec![undone(1, SUBSCRIBE, "1 10:one:x 0", "revoked")]
}

fn unsubscribe(clients: Recipients) -> Input {
    Input::Unsubscribe { clients, channel: "room".into() }
}

fn add(json: &str, draft: Draft, to: Recipients) -> Input {
    let action = Action::new(json).unwrap();
    Input::Add(Box::new(AddAction { action, draft, to, process: false, ticket: None }))
}

/// Asserts that the client receives nothing from the channel any more.
fn assert_ended(world: &mut World) {
    world.delivered.clear();
    world.handle(add(A, Draft::default(), Recipients::channel("room")));
    assert_eq!(world.delivered(), Vec::<String>::new());
    assert!(
        world.other.iter().any(|output| output.starts_with("Unsubscribed")),
        "{:?}",
        world.other
    );
}

#[test]
fn the_application_ends_a_subscription_of_a_user_a_client_or_all() {
    for clients in
        [Recipients::user("10"), Recipients::client("10:one"), Recipients::channel("room")]
    {
        let mut world = subscribed();
        world.join(2, "20:two:x");
        world.subscribe(2, "1 20:two:x 0", "other");
        world.handle(unsubscribe(clients));
        assert_eq!(world.delivered(), revoked());
        assert_ended(&mut world);
        world.handle(add(A, Draft::default(), Recipients::channel("other")));
        assert_eq!(world.delivered(), [format!("2 <- {A}")], "other subscriptions stay");
    }
}

#[test]
fn a_subscription_that_is_not_answered_yet_ends_too() {
    for is_approved in [false, true] {
        let mut world = World::new();
        world.join(1, "10:one:x");
        world.receive(1, vec![entry("1 10:one:x 0", SUBSCRIBE)]);
        let request = world.requests[0].id;
        if is_approved {
            world.handle(Input::Respond(request, HandlerResponse::Approved(None)));
        }
        world.handle(unsubscribe(Recipients::user("10")));
        assert_eq!(world.delivered(), revoked());
        for response in [HandlerResponse::Approved(None), HandlerResponse::Processed] {
            world.handle(Input::Respond(request, response));
        }
        world.handle(add(A, Draft::default(), Recipients::channel("room")));
        assert_eq!(world.delivered(), Vec::<String>::new());
    }
}

#[test]
fn all_filters_end_and_the_subscription_of_the_application() {
    let mut world = subscribed();
    let filtered = r#"{"type":"logux/subscribe","channel":"room","filter":{"a":1}}"#;
    world.receive(1, vec![entry("2 10:one:x 0", filtered)]);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.delivered.clear();
    world.handle(unsubscribe(Recipients::user("10")));
    assert_eq!(world.delivered().len(), 2);
    assert_ended(&mut world);
    let node = "10:one:x".parse().unwrap();
    world.handle(Input::Subscribe { node, channel: "room".into() });
    world.handle(unsubscribe(Recipients::user("10")));
    assert_ended(&mut world);
}

#[test]
fn the_undo_of_a_confirmed_subscription_has_its_action() {
    let mut world = subscribed();
    world.handle(Input::Acknowledged { session: SessionId(1), added: 1_000 });
    world.handle(unsubscribe(Recipients::user("10")));
    assert_eq!(world.delivered(), revoked());
}

#[test]
fn the_records_of_a_list_end_with_the_list() {
    let mut world = subscribed();
    world.subscribe(1, "2 10:one:x 0", "room/own");
    let node: logux::NodeId = "10:one:x".parse().unwrap();
    for channel in ["room/1", "room/2", "roommates"] {
        world.handle(Input::Subscribe { node: node.clone(), channel: channel.into() });
    }
    world.delivered.clear();
    world.handle(unsubscribe(Recipients::user("10")));
    assert_eq!(world.delivered(), revoked());
    for (channel, count) in [("room/1", 0), ("room/2", 0), ("room/own", 1), ("roommates", 1)] {
        world.handle(add(A, Draft::default(), Recipients::channel(channel)));
        assert_eq!(world.delivered().len(), count, "{channel}");
    }
}

#[test]
fn an_undo_of_a_subscription_ends_it() {
    let id = "1 10:one:x 0";
    let mut world = subscribed();
    world.handle(Input::Undo(Box::new(UndoRequest::new(id.parse().unwrap(), "revoked"))));
    assert_eq!(world.delivered(), revoked());
    assert_ended(&mut world);

    let mut world = subscribed();
    let undo = format!(r#"{{"type":"logux/undo","id":"{id}","reason":"revoked"}}"#);
    world.handle(add(&undo, Draft::default(), Recipients::client("10:one")));
    assert_eq!(world.delivered(), revoked(), "once, with the action");
    assert_ended(&mut world);
}

#[test]
fn an_unsubscription_that_the_application_adds_takes_effect() {
    let of_client = Draft { id: "5 10:one:x 0".parse().ok(), ..Draft::default() };
    for (kind, draft, to) in [
        ("logux/unsubscribe", Draft::default(), Recipients::client("10:one")),
        ("logux/unsubscribed", Draft::default(), Recipients::user("10")),
        ("logux/unsubscribe", of_client, Recipients::default()),
    ] {
        let mut world = subscribed();
        world.handle(add(&format!(r#"{{"type":"{kind}","channel":"room"}}"#), draft, to));
        assert_eq!(world.delivered()[..1], revoked());
        assert_ended(&mut world);
    }
}

#[test]
fn a_revoked_subscription_is_not_processed_again_when_the_client_reconnects() {
    let mut world = subscribed();
    // The client has not confirmed the answer.
    world.handle(unsubscribe(Recipients::user("10")));
    world.join(2, "10:one:x");
    assert!(world.requests.is_empty());
    assert!(
        world.delivered().iter().any(|sent| sent.contains("revoked")),
        "the undo is remembered"
    );
}

#[test]
fn the_application_disconnects_clients() {
    let mut world = World::new();
    for (session, node) in [(1, "10:one:x"), (2, "10:two:x"), (3, "20:three:x")] {
        world.join(session, node);
    }
    world.other.clear();
    world.handle(Input::Disconnect { clients: Recipients::user("10"), is_final: true });
    assert_eq!(
        world.other,
        [1, 2].map(|n| format!("Disconnect {{ session: SessionId({n}), is_final: true }}"))
    );
}
