//! An action is done once and answered once, whatever is lost.

use logux::{
    MemoryStore,
    server::{Config, HandlerResponse, Input, RequestKind, Retention, RetentionPolicy, SessionId},
};

use crate::world::{A, World, config, entry, processed};

#[test]
fn an_action_that_comes_again_is_answered_but_not_done_again() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.receive(1, vec![entry("1 10:one:x 0", A), entry("1 10:one:x 0", A)]);
    assert_eq!(world.requests.len(), 1);
    world.receive(1, vec![entry("1 10:one:x 0", A)]);
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    let answers = [(); 3].map(|()| processed(1, "1 10:one:x 0"));
    assert_eq!(world.delivered(), answers, "it came three times, so it is answered three times");
    world.receive(1, vec![entry("1 10:one:x 0", A)]);
    assert_eq!(world.delivered(), [processed(1, "1 10:one:x 0")]);
    assert!(world.requests.is_empty());

    // Also at another connection, and after a restart; there the answer comes already with what was missed.
    world.join_since(2, "10:one:x", 2);
    world.receive(2, vec![entry("1 10:one:x 0", A)]);
    assert_eq!(world.delivered(), [processed(2, "1 10:one:x 0")]);
}

#[test]
fn what_was_not_answered_before_a_restart_is_done_after_it() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    let subscribe = r#"{"type":"logux/subscribe","channel":"room"}"#;
    world.receive(
        1,
        vec![entry("1 10:one:x 0", A), entry("1 10:one:x 1", subscribe), entry("1 10:one:x 2", A)],
    );
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    let store = world.hub.into_store();

    let mut world = World::over(store);
    assert_eq!(
        world.requests.len(),
        1,
        "the subscription waits for its client, the action does not"
    );
    assert_eq!(world.requests[0].entry.meta.id.to_string(), "1 10:one:x 2");
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.join(7, "10:one:x");
    assert_eq!(world.delivered(), [processed(7, "1 10:one:x 0"), processed(7, "1 10:one:x 2")]);
    assert_eq!(world.requests[0].kind, RequestKind::Subscription);
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert_eq!(world.delivered(), [processed(7, "1 10:one:x 1")]);
}

/// What is kept is added anew when it is approved, so it lies behind what came after it. Whatever it may have changed already may not be undone because
/// of another.
#[test]
fn what_had_begun_before_a_restart_is_done_first_after_it() {
    let kept = || Config {
        retention: RetentionPolicy::by(|_, _| Some(Retention::forever("all"))),
        ..config()
    };
    let mut world = World::with(kept(), MemoryStore::new());
    world.join(1, "10:one:x");
    world.receive(1, vec![entry("1 10:one:x 0", A), entry("1 10:one:x 1", A)]);
    world.answer([HandlerResponse::Approved(None)]);
    let world = World::with(kept(), world.hub.into_store());
    assert_eq!(world.requests[0].entry.meta.id.to_string(), "1 10:one:x 0");
}

#[test]
fn only_missed_answers_come_at_a_new_connection() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.receive(1, vec![entry("1 10:one:x 0", A)]);
    world.handle(Input::Leave(SessionId(1)));
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert!(world.delivered().is_empty());
    world.join_since(2, "10:one:x", 0);
    assert_eq!(world.delivered(), [processed(2, "1 10:one:x 0")]);
    world.join_since(3, "10:one:x", 2);
    assert!(world.delivered().is_empty());
}
