//! The states of clients in channels: who may set them, who receives them, and that they leave no
//! trace.

use std::time::Duration;

use logux::{
    MemoryStore, Now,
    server::{Config, HandlerResponse, Input, PresenceRule, Rate, SessionId},
};

use crate::world::{NOW, World, config, entry, processed, undone};

const IN: &str = r#"{"type":"presence/set","channel":"notes/7","state":{"name":"Ada"}}"#;
const OUT: &str =
    r#"{"type":"presence/changed","channel":"notes/7","states":{"10:one:x":{"name":"Ada"}}}"#;
const LEFT: &str = r#"{"type":"presence/changed","channel":"notes/7","states":{"10:one:x":null}}"#;

fn world() -> World {
    let presence = PresenceRule::new(|channel| channel.starts_with("notes/"));
    World::with(Config { presence, ..config() }, MemoryStore::new())
}

/// Two clients in a channel with presence.
fn room() -> World {
    let mut world = world();
    for (session, node) in [(1, "10:one:x"), (2, "20:two:x")] {
        world.join(session, node);
        world.subscribe(session, &format!("{session} {node} 0"), "notes/7");
    }
    world.delivered();
    world.events.clear();
    world
}

/// Lets the time come at which the hub has something to send.
fn wait(world: &mut World) {
    let due = world.hub.next_deadline().expect("the hub has something to send");
    world.hub.handle(Now { mono: due, ..NOW }, Input::Continue).unwrap();
    world.settle();
}

fn confirm(world: &mut World, session: u64) {
    world.handle(Input::Acknowledged { session: SessionId(session), added: 0 });
}

#[test]
fn subscribers_receive_the_states_of_others_and_of_those_who_leave() {
    let mut world = room();
    world.receive(1, vec![entry("5 10:one:x 0", IN)]);
    assert!(world.requests.is_empty(), "the application is not asked");
    assert_eq!(world.persisted, [SessionId(1), SessionId(2), SessionId(1)], "it is confirmed");
    let sent = |session: u64, json: &str| format!("{session} <- {json}");
    assert_eq!(
        world.delivered(),
        [processed(1, "5 10:one:x 0"), sent(1, OUT), sent(2, OUT)],
        "it is answered, and sent to all"
    );
    world.join(3, "30:three:x");
    world.subscribe(3, "1 30:three:x 0", "notes/7");
    wait(&mut world);
    assert!(world.delivered().contains(&sent(3, OUT)), "a newcomer receives it");
    for session in [2, 3] {
        confirm(&mut world, session);
    }
    world.handle(Input::Leave(SessionId(1)));
    wait(&mut world);
    let mut delivered = world.delivered();
    delivered.sort();
    assert_eq!(delivered, [sent(2, LEFT), sent(3, LEFT)]);
    assert_eq!(world.hub.next_deadline(), None, "the hub has nothing to do");
}

#[test]
fn an_end_of_a_subscription_is_an_end_of_presence() {
    for revoked in [true, false] {
        let mut world = room();
        world.receive(1, vec![entry("5 10:one:x 0", IN)]);
        [1, 2].into_iter().for_each(|session| confirm(&mut world, session));
        world.delivered();
        if revoked {
            let clients = logux::server::Recipients::client("10:one");
            world.handle(Input::Unsubscribe { clients, channel: "notes/7".into() });
        } else {
            let unsubscribe = r#"{"type":"logux/unsubscribe","channel":"notes/7"}"#;
            world.receive(1, vec![entry("6 10:one:x 0", unsubscribe)]);
        }
        world.delivered();
        wait(&mut world);
        assert_eq!(world.delivered(), [format!("2 <- {LEFT}")]);
        world.receive(1, vec![entry("7 10:one:x 0", IN)]);
        assert_eq!(
            world.delivered(),
            [undone(1, IN, "7 10:one:x 0", "denied")],
            "only subscribers may set a state"
        );
    }
}

#[test]
fn presence_leaves_no_trace() {
    let mut world = room();
    for number in 0..20 {
        world.receive(1, vec![entry(&format!("{number} 10:one:x 1"), IN)]);
    }
    world.receive(2, vec![entry("5 20:two:x 0", &IN.replace("Ada", "Bob"))]);
    assert!(world.events.iter().all(|event| !event.contains("presence/set")));
    let mut kept = Vec::new();
    let store = world.hub.into_store();
    let query = logux::store::Query::added();
    logux::store::Store::walk(&store, &query, &mut |entry| {
        kept.push(entry.action.kind().to_owned());
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert!(kept.iter().all(|kind| !kind.starts_with("presence/")), "{kept:?}");
}

#[test]
fn wrong_states_are_undone() {
    let mut world = room();
    for (number, json, reason) in [
        (1, r#"{"type":"presence/set","channel":"notes/7"}"#.to_owned(), "error"),
        (2, IN.replace("notes/7", "notes/8"), "denied"),
        (3, IN.replace("Ada", &"a".repeat(2_100)), "tooLarge"),
        (
            4,
            IN.replace("{\"name\":\"Ada\"}", &format!("{}{}", "[".repeat(200), "]".repeat(200))),
            "tooDeep",
        ),
    ] {
        let id = format!("{number} 10:one:x 1");
        world.receive(1, vec![entry(&id, &json)]);
        let delivered = world.delivered();
        assert_eq!(delivered.len(), 1);
        assert!(delivered[0].contains(&format!("\"reason\":\"{reason}\"")), "{delivered:?}");
    }
    // Another client cannot set the state of this one.
    world.receive(2, vec![entry("9 10:one:x 0", IN)]);
    assert_eq!(world.delivered(), [undone(2, IN, "9 10:one:x 0", "denied")]);
}

#[test]
fn a_channel_without_presence_is_the_applications() {
    let mut world = room();
    world.receive(1, vec![entry("5 10:one:x 0", &IN.replace("notes/7", "users/7"))]);
    assert_eq!(world.requests.len(), 1);
    world.respond([HandlerResponse::UnknownType]);
    assert!(world.delivered()[0].contains("unknownType"));
}

#[test]
fn the_rate_of_states_can_be_limited() {
    let rate = Rate::new(2, Duration::from_secs(1)).unwrap();
    let presence = PresenceRule::new(|_| true);
    let rates = [("presence/set".to_owned(), rate)].into_iter().collect();
    let mut world = World::with(Config { presence, rates, ..config() }, MemoryStore::new());
    world.join(1, "10:one:x");
    world.subscribe(1, "1 10:one:x 0", "notes/7");
    world.delivered();
    for number in 0..3 {
        world.receive(1, vec![entry(&format!("{number} 10:one:x 1"), IN)]);
    }
    assert!(world.delivered().iter().any(|sent| sent.contains("rateLimit")));
}
