//! An action that is received repeatedly is processed and answered once, whatever is lost.

use logux::{
    MemoryStore,
    server::{Config, HandlerResponse, Input, RequestKind, Retention, RetentionPolicy, SessionId},
};

use crate::world::{A, World, config, entry, processed};

#[test]
fn an_action_that_is_received_again_is_answered_but_not_processed_again() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.receive(1, vec![entry("1 10:one:x 0", A), entry("1 10:one:x 0", A)]);
    assert_eq!(world.requests.len(), 1);
    world.receive(1, vec![entry("1 10:one:x 0", A)]);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert_eq!(
        world.delivered(),
        [processed(1, "1 10:one:x 0")],
        "received three times before the answer, answered once"
    );
    world.receive(1, vec![entry("1 10:one:x 0", A)]);
    assert_eq!(world.delivered(), [processed(1, "1 10:one:x 0")]);
    assert!(world.requests.is_empty());

    // Also in another connection.
    world.join_since(2, "10:one:x", 2);
    world.receive(2, vec![entry("1 10:one:x 0", A)]);
    assert_eq!(world.delivered(), [processed(2, "1 10:one:x 0")]);
}

#[test]
fn unanswered_actions_are_processed_after_a_restart() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    let subscribe = r#"{"type":"logux/subscribe","channel":"room"}"#;
    world.receive(
        1,
        vec![entry("1 10:one:x 0", A), entry("1 10:one:x 1", subscribe), entry("1 10:one:x 2", A)],
    );
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    let store = world.hub.into_store();

    let mut world = World::over(store);
    assert_eq!(
        world.requests.len(),
        1,
        "the subscription waits for its client, the action does not"
    );
    assert_eq!(world.requests[0].entry.meta.id.to_string(), "1 10:one:x 2");
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.join(7, "10:one:x");
    assert_eq!(world.delivered(), [processed(7, "1 10:one:x 0"), processed(7, "1 10:one:x 2")]);
    assert_eq!(world.requests[0].kind, RequestKind::Subscription);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert_eq!(world.delivered(), [processed(7, "1 10:one:x 1")]);
}

/// An action with a retention is added again when it is approved, and so has a position after later
/// actions. It must not be undone because of one of them, as it may have taken effect already.
#[test]
fn approved_actions_are_processed_first_after_a_restart() {
    let retain_all = || Config {
        retention: RetentionPolicy::by(|_, _| Some(Retention::forever("all"))),
        ..config()
    };
    let mut world = World::with(retain_all(), MemoryStore::new());
    world.join(1, "10:one:x");
    world.receive(1, vec![entry("1 10:one:x 0", A), entry("1 10:one:x 1", A)]);
    world.respond([HandlerResponse::Approved(None)]);
    let world = World::with(retain_all(), world.hub.into_store());
    assert_eq!(world.requests[0].entry.meta.id.to_string(), "1 10:one:x 0");
}

#[test]
fn a_new_connection_receives_only_the_missed_answers() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.receive(1, vec![entry("1 10:one:x 0", A)]);
    world.handle(Input::Leave(SessionId(1)));
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert!(world.delivered().is_empty());
    world.join_since(2, "10:one:x", 0);
    assert_eq!(world.delivered(), [processed(2, "1 10:one:x 0")]);
    world.join_since(3, "10:one:x", 2);
    assert!(world.delivered().is_empty());
}
