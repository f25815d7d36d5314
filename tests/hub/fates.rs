//! Which actions of a client a failure undoes: those that wait after it with the same fate key.

use logux::server::Input;
use logux::{
    MemoryStore,
    server::{Config, FateKey, FateKeys, HandlerResponse, SessionId, UndoRequest},
};

use crate::world::{A, World, config, entry, processed, undone};

const SUBSCRIBE: &str = r#"{"type":"logux/subscribe","channel":"room"}"#;
const DONE: [HandlerResponse; 2] = [HandlerResponse::Approved(None), HandlerResponse::Processed];

/// An edit of a record.
fn edit(record: &str) -> String {
    format!(r#"{{"type":"edit","id":"{record}"}}"#)
}

/// Actions with an `id` share the fate of the record with this id; `"alone"` shares none.
fn by_record() -> Config {
    let fate_keys = FateKeys::by(|action| match action.str_field("id").as_deref() {
        Some("alone") => FateKey::none(),
        Some(id) => FateKey::from(id),
        None => FateKey::default(),
    });
    Config { fate_keys, max_queue: 100, ..config() }
}

fn id(n: usize) -> String {
    format!("1 10:one:x {n}")
}

fn requested(world: &World) -> Vec<String> {
    world.requests.iter().map(|request| request.entry.meta.id.to_string()).collect()
}

#[test]
fn a_failure_undoes_only_later_actions_with_the_same_fate_key() {
    let mut world = World::with(by_record(), MemoryStore::new());
    world.join(1, "10:one:x");
    let records = ["b", "a", "b", "a", "alone", "b"];
    let actions: Vec<String> = records.iter().map(|record| edit(record)).collect();
    let mut entries: Vec<_> =
        actions.iter().enumerate().map(|(n, action)| entry(&id(n), action)).collect();
    entries.push(entry(&id(6), A));
    world.receive(1, entries);
    world.respond(DONE);
    world.respond([HandlerResponse::Denied]);
    assert_eq!(
        world.delivered(),
        [
            processed(1, &id(0)),
            undone(1, &actions[1], &id(1), "denied"),
            undone(1, &actions[3], &id(3), "error"),
        ],
    );
    for n in [2, 4, 5, 6] {
        assert_eq!(requested(&world), [id(n)], "the order stays");
        world.respond(DONE);
        assert_eq!(world.delivered(), [processed(1, &id(n))]);
    }
}

#[test]
fn an_action_that_fails_alone_undoes_no_other() {
    let mut world = World::with(by_record(), MemoryStore::new());
    world.join(1, "10:one:x");
    world.receive(1, (0..3).map(|n| entry(&id(n), &edit("alone"))).collect());
    world.respond([HandlerResponse::error()]);
    world.respond([HandlerResponse::error()]);
    world.respond(DONE);
    assert_eq!(
        world.delivered(),
        [
            undone(1, &edit("alone"), &id(0), "error"),
            undone(1, &edit("alone"), &id(1), "error"),
            processed(1, &id(2)),
        ]
    );
}

#[test]
fn an_undo_by_the_application_undoes_later_actions_with_the_same_fate_key() {
    let mut world = World::with(by_record(), MemoryStore::new());
    world.join(1, "10:one:x");
    let records = ["a", "b", "a"];
    world.receive(1, (0..3).map(|n| entry(&id(n), &edit(records[n]))).collect());
    world.handle(Input::Undo(Box::new(UndoRequest::new(id(0).parse().unwrap(), "spam"))));
    assert_eq!(
        world.delivered(),
        [undone(1, &edit("a"), &id(0), "spam"), undone(1, &edit("a"), &id(2), "error")]
    );
}

#[test]
fn a_subscription_keeps_its_position_and_survives_the_failure_before_it() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.receive(1, vec![entry(&id(0), A), entry(&id(1), SUBSCRIBE), entry(&id(2), A)]);
    world.respond([HandlerResponse::Denied]);
    assert_eq!(
        world.delivered(),
        [undone(1, A, &id(0), "denied"), undone(1, A, &id(2), "error")],
        "without a rule, all actions of a queue share their fate"
    );
    assert_eq!(requested(&world), [id(1)]);
    world.respond(DONE);
    assert_eq!(world.delivered(), [processed(1, &id(1))]);
    assert_eq!(world.hub.stats().unwrap().subscriptions, 1);
}

#[test]
fn a_refused_subscription_undoes_no_action() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.receive(1, vec![entry(&id(0), SUBSCRIBE), entry(&id(1), A)]);
    world.respond([HandlerResponse::WrongChannel]);
    world.respond(DONE);
    assert_eq!(
        world.delivered(),
        [undone(1, SUBSCRIBE, &id(0), "wrongChannel"), processed(1, &id(1))]
    );
}

#[test]
fn a_restart_keeps_fates_and_order() {
    let mut world = World::with(by_record(), MemoryStore::new());
    world.join(1, "10:one:x");
    let records = ["a", "b", "a"];
    world.receive(1, (0..3).map(|n| entry(&id(n), &edit(records[n]))).collect());
    world.receive(1, vec![entry(&id(3), SUBSCRIBE)]);
    let mut world = World::with(by_record(), world.hub.into_store());
    assert_eq!(requested(&world), [id(0)]);
    world.join(2, "10:one:x");
    world.respond([HandlerResponse::Denied]);
    world.respond(DONE);
    world.respond(DONE);
    assert_eq!(
        world.delivered(),
        [
            undone(2, &edit("a"), &id(0), "denied"),
            undone(2, &edit("a"), &id(2), "error"),
            processed(2, &id(1)),
            processed(2, &id(3)),
        ]
    );
    assert_eq!(world.hub.stats().unwrap().waiting, 0);
}

/// A subscription that waits behind a failing action while its client reconnects.
#[test]
fn a_parked_subscription_survives_a_failure() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.receive(1, vec![entry(&id(0), A), entry(&id(1), SUBSCRIBE), entry(&id(2), A)]);
    world.handle(Input::Leave(SessionId(1)));
    world.join(2, "10:one:x");
    world.respond([HandlerResponse::error()]);
    // The connection of the subscription has ended before it started: it starts in the next one.
    world.respond(DONE);
    assert!(world.requests.is_empty());
    assert_eq!(world.hub.stats().unwrap().subscriptions, 1);
    assert_eq!(
        world.delivered(),
        [undone(2, A, &id(0), "error"), undone(2, A, &id(2), "error"), processed(2, &id(1)),]
    );
}
