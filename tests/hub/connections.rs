//! Connecting and disconnecting, and the subscriptions of connections.

use logux::{
    Action, MemoryStore,
    log::Draft,
    server::{AddAction, Config, HandlerResponse, Input, Queues, Recipients, SessionId},
};

use crate::world::{A, World, config, entry, processed, undone};

#[test]
fn a_new_connection_of_a_client_replaces_the_old_one() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.subscribe(1, "1 10:one:x 0", "room");
    world.join(2, "10:one:y");
    assert!(world.other.iter().any(|output| output == "Replaced(SessionId(1))"));
    assert_eq!(world.hub.connected(), 1);
    world.handle(Input::Leave(SessionId(1)));
    assert_eq!(world.hub.connected(), 1, "the end of the old connection does not end the new one");
}

#[test]
fn an_interrupted_subscription_continues_in_the_next_connection() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    let subscribe = r#"{"type":"logux/subscribe","channel":"room"}"#;
    world.receive(1, vec![entry("1 10:one:x 0", subscribe)]);
    world.handle(Input::Leave(SessionId(1)));
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert!(world.delivered().is_empty());
    world.join(2, "10:one:x");
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert_eq!(world.delivered(), [processed(2, "1 10:one:x 0")]);

    // But not for another tab, because the subscriber does not return.
    world.receive(2, vec![entry("2 10:one:x 0", subscribe)]);
    world.handle(Input::Leave(SessionId(2)));
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.join(3, "10:one:other");
    assert!(world.requests.is_empty());
}

#[test]
fn at_most_1000_subscriptions_wait_for_a_disconnected_client() {
    let mut world = World::with(Config { max_queue: 2_000, ..config() }, MemoryStore::new());
    let subscribe = r#"{"type":"logux/subscribe","channel":"room"}"#;
    world.join(1, "10:one:x");
    world.receive(1, (0..1_001).map(|n| entry(&format!("{n} 10:one:x 0"), subscribe)).collect());
    world.handle(Input::Leave(SessionId(1)));
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Postponed]);
    assert!(world.requests.is_empty(), "the application is not asked for a client that has left");
    assert_eq!(world.hub.stats().unwrap().parked, 1_000);
    world.join(2, "10:one:x");
    assert_eq!(
        world.delivered(),
        [undone(2, subscribe, "0 10:one:x 0", "error")],
        "the one that has waited longest is given up"
    );
    assert_eq!((world.requests.len(), world.hub.stats().unwrap().waiting), (1, 999));
}

#[test]
fn a_subscription_that_is_cancelled_while_it_loads_has_no_effect() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    let action = |kind: &str| format!(r#"{{"type":"logux/{kind}","channel":"room"}}"#);
    world.receive(1, vec![entry("1 10:one:x 0", &action("subscribe"))]);
    world.receive(1, vec![entry("1 10:one:x 1", &action("unsubscribe"))]);
    assert_eq!(world.delivered(), [processed(1, "1 10:one:x 1")]);
    let load = HandlerResponse::Action(Action::new(A).unwrap(), Box::default());
    world.respond([HandlerResponse::Approved(None), load, HandlerResponse::Processed]);
    assert_eq!(
        world.delivered(),
        [processed(1, "1 10:one:x 0")],
        "nothing is loaded, but the subscription is answered"
    );
    let action = Action::new(A).unwrap();
    let to = Recipients::channel("room");
    world.handle(Input::Add(Box::new(AddAction {
        action,
        draft: Draft::default(),
        to,
        process: false,
        ticket: None,
    })));
    assert!(world.delivered().is_empty());
}

#[test]
fn the_failure_of_a_cancelled_subscription_does_not_end_a_later_one() {
    let queues = Queues::by(|action| action.field("queue").unwrap_or_default().into());
    let mut world = World::with(Config { queues, ..config() }, MemoryStore::new());
    world.join(1, "10:one:x");
    let subscribe =
        |queue| format!(r#"{{"type":"logux/subscribe","channel":"room","queue":{queue}}}"#);
    world.receive(1, vec![entry("1 10:one:x 0", &subscribe(1))]);
    let cancelled = world.requests.pop_front().unwrap();
    let unsubscribe = r#"{"type":"logux/unsubscribe","channel":"room"}"#;
    world
        .receive(1, vec![entry("1 10:one:x 1", unsubscribe), entry("1 10:one:x 2", &subscribe(2))]);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.handle(Input::Respond(cancelled.id, HandlerResponse::Approved(None)));
    world.handle(Input::Respond(cancelled.id, HandlerResponse::error()));
    assert_eq!(world.hub.stats().unwrap().subscriptions, 1);
}
