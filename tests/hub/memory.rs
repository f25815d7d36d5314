//! Bounds of the memory of waiting and remembered actions.

use logux::{
    Entry, MemoryStore,
    server::{Config, HandlerResponse, Input, SessionId},
    sync::RefusedAction,
    wire::ExceededLimit,
};

use crate::world::{A, NOW, World, config, entry, processed, undone};

/// A batch of `count` actions of `size` bytes, with ids from `first` on.
fn actions(client: &str, first: usize, count: usize, size: usize) -> Vec<Entry> {
    let json = format!(r#"{{"type":"a","b":"{}"}}"#, "x".repeat(size));
    (first..first + count).map(|n| entry(&format!("{n} {client}:x 0"), &json)).collect()
}

#[test]
fn the_waiting_actions_of_a_user_are_bounded_in_bytes() {
    let config = Config { max_queue_bytes: 10_000, ..config() };
    let mut world = World::with(config, MemoryStore::new());
    for (session, client) in [(1, "10:phone"), (2, "10:laptop"), (3, "20:phone")] {
        world.join(session, &format!("{client}:x"));
    }
    world.receive(1, actions("10:phone", 0, 2, 9_000));
    assert_eq!(world.persisted, [SessionId(1)], "a batch is received completely");
    world.receive(1, actions("10:phone", 2, 1, 10));
    world.receive(2, actions("10:laptop", 0, 1, 10));
    world.receive(3, actions("20:phone", 0, 1, 10));
    assert_eq!(world.persisted, [SessionId(1), SessionId(3)], "all clients of the user wait");
    assert_eq!(world.hub.stats().unwrap().held, 2);
    for _ in 0..5 {
        world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    }
    assert_eq!(world.persisted.len(), 4);
    assert_eq!(world.hub.stats().unwrap().held, 0);
    assert_eq!(world.hub.stats().unwrap().pending_bytes, 0);
}

#[test]
fn the_waiting_actions_of_all_users_are_bounded_in_bytes() {
    let config = Config { max_pending_bytes: 10_000, ..config() };
    let mut world = World::with(config, MemoryStore::new());
    let clients: Vec<String> = (0..40).map(|n| format!("{n}:phone")).collect();
    for (session, client) in (0..).zip(&clients) {
        world.join(session, &format!("{client}:x"));
        world.receive(session, actions(client, 0, 2, 6_000));
    }
    assert_eq!(world.persisted.len(), 1);
    for _ in 0..80 {
        world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    }
    assert_eq!(world.persisted.len(), 40, "all of them are received in the end");
}

#[test]
fn a_refused_action_is_remembered_without_its_content() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    let large = actions("10:one", 1, 1, 100_000);
    world.receive(1, large.clone());
    world.respond([HandlerResponse::Denied]);
    let undo = world.delivered();
    assert!(undo[0].len() > 100_000, "the author receives the whole action in its undo");
    let stats = world.hub.stats().unwrap();
    assert_eq!(stats.remembered, 2);
    assert!(stats.remembered_bytes < 200, "{} bytes are remembered", stats.remembered_bytes);
    world.receive(1, large);
    let id = "1 10:one:x 0";
    assert_eq!(world.delivered(), [undone(1, A, id, "denied")], "the answer has its type");
    world.join_since(2, "10:one:y", 1);
    assert_eq!(world.delivered(), [undone(2, A, id, "denied")], "a lost answer is sent again");
}

#[test]
fn an_action_above_a_limit_is_undone_once_by_its_id() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    for _ in 0..2 {
        world.handle(Input::Refused {
            session: SessionId(1),
            actions: vec![RefusedAction {
                id: Some("1 10:one:x 0".parse().unwrap()),
                kind: "big".into(),
                time: NOW.wall,
                limit: ExceededLimit::ActionBytes(10),
            }],
        });
        let big = r#"{"type":"big"}"#;
        assert_eq!(world.delivered(), [undone(1, big, "1 10:one:x 0", "tooLarge")]);
    }
    assert!(world.requests.is_empty());
    assert_eq!(world.hub.stats().unwrap().remembered, 2, "the action and its answer");
}

#[test]
fn the_remembered_actions_are_bounded_in_bytes() {
    let config = Config { remembered_bytes: 400_000, ..config() };
    let mut world = World::with(config, MemoryStore::new());
    world.join(1, "10:one:x");
    world.join(2, "20:one:x");
    world.receive(2, actions("20:one", 1, 1, 10_000));
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    for n in 1..=50 {
        world.receive(1, actions("10:one", n, 1, 10_000));
        world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
        let bytes = world.hub.stats().unwrap().remembered_bytes;
        assert!(bytes < 140_000, "{bytes} bytes are remembered after {n} actions");
    }
    world.delivered();
    world.receive(2, actions("20:one", 1, 1, 10_000));
    assert_eq!(
        world.delivered(),
        [processed(2, "1 20:one:x 0")],
        "the actions of another user are still remembered"
    );
    for user in 100..200 {
        let client = format!("{user}:one");
        world.join(user, &format!("{client}:x"));
        world.receive(user, actions(&client, 1, 1, 10_000));
        world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    }
    let bytes = world.hub.stats().unwrap().remembered_bytes;
    assert!(bytes < 420_000, "{bytes} bytes of many users are remembered");
}
