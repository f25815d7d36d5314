//! The events and statistics of a hub.

use logux::{
    Action,
    log::Draft,
    server::{AddAction, HandlerResponse, Input, Recipients, SessionId},
};

use crate::world::{A, World, entry, processed};

#[test]
fn events_are_reported_in_order() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.subscribe(1, "1 10:one:x 0", "room");
    let subscribed = [
        "added logux/subscribe 1 10:one:x 0, stored: true",
        "10:one:x in room by action: true",
        "processed logux/subscribe 1 10:one:x 0",
        "sent logux/processed to 1",
    ];
    assert_eq!(std::mem::take(&mut world.events), subscribed);

    world.join(2, "20:two:x");
    world.receive(2, vec![entry("2 20:two:x 0", A), entry("2 20:two:x 0", A)]);
    world.respond([
        HandlerResponse::Resend(Recipients::channel("room")),
        HandlerResponse::Approved(None),
        HandlerResponse::Denied,
    ]);
    let undone = [
        "added a 2 20:two:x 0, stored: true",
        "duplicate 2 20:two:x 0",
        "sent a to 1",
        "undone a 2 20:two:x 0: denied",
        "sent logux/undo to 2",
    ];
    assert_eq!(std::mem::take(&mut world.events), undone);

    let (action, to) = (Action::new(A).unwrap(), Recipients::default());
    let useless = AddAction { action, draft: Draft::default(), to, process: false, ticket: None };
    world.handle(Input::Add(Box::new(useless)));
    world.handle(Input::Leave(SessionId(1)));
    let last = world.events.split_off(world.events.len() - 2);
    assert!(world.events[0].starts_with("added a ") && world.events[0].ends_with("stored: false"));
    assert!(last[0].starts_with("sent a to 0") && last[1] == "10:one:x left room", "{last:?}");
    assert!(world.events[1].starts_with("useless a "));
}

#[test]
fn stats_and_clients_describe_the_state() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    world.subscribe(1, "1 10:one:x 0", "room");
    world.subscribe(2, "1 20:two:x 0", "room");
    world.receive(
        2,
        vec![entry("2 20:two:x 0", A), entry("2 20:two:x 1", A), entry("2 20:two:x 2", A)],
    );
    let stats = world.hub.stats().unwrap();
    assert_eq!((stats.clients, stats.channels, stats.subscriptions), (2, 1, 2));
    assert_eq!((stats.running, stats.waiting, stats.parked, stats.unconfirmed), (1, 2, 0, 2));
    assert!(stats.added >= 5);
    let clients = world
        .hub
        .clients()
        .map(|client| (client.node.as_str(), client.channels().count(), client.waiting));
    let mut clients: Vec<_> = clients.collect();
    clients.sort_unstable();
    assert_eq!(clients, [("10:one:x", 1, 0), ("20:two:x", 1, 2)]);
    world.handle(Input::Leave(SessionId(1)));
    world.handle(Input::Leave(SessionId(2)));
    let stats = world.hub.stats().unwrap();
    assert_eq!((stats.clients, stats.channels, stats.subscriptions, stats.running), (0, 0, 0, 1));
}

#[test]
fn remembered_entries_are_counted_across_a_restart() {
    let remembered = |world: &World| {
        world.hub.stats().map(|stats| (stats.remembered, stats.remembered_bytes)).unwrap()
    };
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.subscribe(1, "1 10:one:x 0", "room");
    assert_eq!(remembered(&world).0, 2, "the subscription and its answer until it is confirmed");
    world.handle(Input::Acknowledged { session: SessionId(1), added: 100 });
    let (answers, bytes) = remembered(&world);
    assert_eq!(answers, 1, "the last answer to a subscription stays, with its time");

    world.receive(1, vec![entry("2 10:one:x 0", A), entry("3 10:one:x 0", A)]);
    let loaded = HandlerResponse::Action(Action::new(A).unwrap(), Box::default());
    world.respond([HandlerResponse::Approved(None), loaded, HandlerResponse::Processed]);
    let answer = processed(1, "2 10:one:x 0").len() - "1 <- ".len();
    let expected = (1 + 4, bytes + 3 * A.len() + answer);
    assert_eq!(remembered(&world), expected, "two actions, one for the client, one answer");
    let mut world = World::over(world.hub.into_store());
    assert_eq!(remembered(&world), expected);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert_eq!(remembered(&world).0, 6);
}
