//! Connections that come and go, and their subscriptions.

use logux::{
    Action, MemoryStore,
    log::Draft,
    server::{AddAction, Config, HandlerResponse, Input, Queues, Recipients, SessionId},
};

use crate::world::{A, World, config, entry, processed, undone};

#[test]
fn the_same_client_again_replaces_its_connection() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.subscribe(1, "1 10:one:x 0", "room");
    world.join(2, "10:one:y");
    assert!(world.other.iter().any(|output| output == "Replaced(SessionId(1))"));
    assert_eq!(world.hub.connected(), 1);
    world.handle(Input::Leave(SessionId(1)));
    assert_eq!(
        world.hub.connected(),
        1,
        "the end of the old connection is not the end of the new one"
    );
}

#[test]
fn a_subscription_cut_short_goes_on_at_the_next_connection() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    let subscribe = r#"{"type":"logux/subscribe","channel":"room"}"#;
    world.receive(1, vec![entry("1 10:one:x 0", subscribe)]);
    world.handle(Input::Leave(SessionId(1)));
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert!(world.delivered().is_empty());
    world.join(2, "10:one:x");
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert_eq!(world.delivered(), [processed(2, "1 10:one:x 0")]);

    // But not for another tab: the one that wanted it is gone.
    world.receive(2, vec![entry("2 10:one:x 0", subscribe)]);
    world.handle(Input::Leave(SessionId(2)));
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.join(3, "10:one:other");
    assert!(world.requests.is_empty());
}

#[test]
fn clients_that_never_come_back_are_given_up() {
    let mut world = World::new();
    let subscribe = r#"{"type":"logux/subscribe","channel":"room"}"#;
    for n in 0..1_001 {
        world.join(n, &format!("{n}:one:x"));
        world.receive(n, vec![entry(&format!("1 {n}:one:x 0"), subscribe)]);
        world.handle(Input::Leave(SessionId(n)));
        world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    }
    world.join(5_000, "0:one:x");
    assert!(world.requests.is_empty(), "the one that waited longest");
    assert_eq!(
        world.delivered(),
        [undone(5_000, subscribe, "1 0:one:x 0", "error")],
        "but it is told"
    );
    world.join(5_001, "1:one:x");
    assert_eq!(world.requests.len(), 1);
    assert_eq!(
        world.hub.into_store().len(),
        1_000 + 2,
        "the others wait, and what the one was told is remembered"
    );
}

#[test]
fn a_subscription_that_is_cancelled_while_it_loads_has_no_effect() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    let of = |what: &str| format!(r#"{{"type":"logux/{what}","channel":"room"}}"#);
    world.receive(1, vec![entry("1 10:one:x 0", &of("subscribe"))]);
    world.receive(1, vec![entry("1 10:one:x 1", &of("unsubscribe"))]);
    assert_eq!(world.delivered(), [processed(1, "1 10:one:x 1")]);
    let load = HandlerResponse::Action(Action::new(A).unwrap(), Box::default());
    world.answer([HandlerResponse::Approved(None), load, HandlerResponse::Processed]);
    assert_eq!(
        world.delivered(),
        [processed(1, "1 10:one:x 0")],
        "nothing is loaded, and nobody waits for ever"
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
fn a_subscription_that_was_cancelled_and_fails_takes_no_later_one_along() {
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
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.handle(Input::Respond(cancelled.id, HandlerResponse::Approved(None)));
    world.handle(Input::Respond(cancelled.id, HandlerResponse::error()));
    assert_eq!(world.hub.stats().unwrap().subscriptions, 1);
}
