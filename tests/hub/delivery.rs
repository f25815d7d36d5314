//! The recipients of actions.

use logux::{
    Action,
    log::Draft,
    server::{AddAction, HandlerResponse, Input, Recipients, UndoRequest},
};

use crate::world::{A, World, entry, processed, undone};

#[test]
fn each_recipient_receives_an_action_once_and_excluded_clients_do_not() {
    let mut world = World::new();
    for (session, node) in [(1, "10:one:x"), (2, "10:two:x"), (3, "20:three:x"), (4, "30:four:x")] {
        world.join(session, node);
        world.subscribe(session, &format!("1 {node} 0"), "room");
    }
    let to = Recipients {
        channels: vec!["room".into(), "room".into()],
        users: vec!["10".into()],
        clients: vec!["10:one".into(), "20:three".into()],
        nodes: vec!["10:one:x".into(), "10:two:x".into(), "20:three:other-tab".into()],
        exclude_clients: vec!["30:four".into(), "10:one".into()],
        only_filtered: false,
    };
    let action = Action::new(A).unwrap();
    world.handle(Input::Add(Box::new(AddAction {
        action,
        draft: Draft::default(),
        to,
        process: false,
        ticket: None,
    })));
    let mut delivered = world.delivered();
    delivered.sort();
    let expected = [2, 3].map(|session| format!("{session} <- {A}"));
    assert_eq!(delivered, expected, "also clients that are named are excluded");
}

/// The author needs the answer, whoever else receives it.
#[test]
fn an_excluded_author_receives_the_undo() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    let to = Recipients {
        clients: vec!["20:two".into()],
        exclude_clients: vec!["10:one".into()],
        ..Recipients::default()
    };
    world.receive(1, vec![entry("1 10:one:x 0", A), entry("1 10:one:x 1", A)]);
    let done = [
        HandlerResponse::Resend(to.clone()),
        HandlerResponse::Approved(None),
        HandlerResponse::Processed,
    ];
    world.respond(done.clone());
    world.respond(done.into_iter().take(2).chain([HandlerResponse::error()]));
    world.delivered();
    let undo = UndoRequest::new("1 10:one:x 0".parse().unwrap(), "spam").to(to);
    world.handle(Input::Undo(Box::new(undo)));
    let mut delivered = world.delivered();
    delivered.sort();
    assert_eq!(delivered, [1, 2].map(|session| undone(session, A, "1 10:one:x 0", "spam")));
}

#[test]
fn the_author_receives_its_own_action_only_if_named_by_client_or_node() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.subscribe(1, "1 10:one:x 0", "room");
    world.receive(1, vec![entry("1 10:one:x 1", A)]);
    let both = Recipients { users: vec!["10".into()], ..Recipients::channel("room") };
    world.respond([HandlerResponse::Resend(both), HandlerResponse::Approved(None)]);
    assert!(world.delivered().is_empty());
    world.requests.clear();
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.receive(1, vec![entry("1 10:one:x 1", A)]);
    world.respond([
        HandlerResponse::Resend(Recipients::client("10:one")),
        HandlerResponse::Approved(None),
    ]);
    assert_eq!(world.delivered(), [format!("1 <- {A}")]);
}

#[test]
fn a_filter_is_removed_by_the_unsubscribe_with_the_same_filter() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    let subscribe = r#"{"type":"logux/subscribe","channel":"room","filter":{"a":1}}"#;
    world.receive(1, vec![entry("1 10:one:x 0", subscribe)]);
    let filter: logux::server::Filter =
        std::sync::Arc::new(|action, _| action.field("a") == Some("1"));
    world.respond([HandlerResponse::Approved(Some(filter)), HandlerResponse::Processed]);
    world.delivered.clear();
    let send = |world: &mut World, json: &str| {
        let addition = AddAction {
            action: Action::new(json).unwrap(),
            draft: Draft::default(),
            to: Recipients::channel("room"),
            process: false,
            ticket: None,
        };
        world.handle(Input::Add(Box::new(addition)));
        world.delivered().len()
    };
    assert_eq!(send(&mut world, r#"{"type":"t","a":1}"#), 1);
    assert_eq!(send(&mut world, r#"{"type":"t","a":2}"#), 0);
    let unsubscribe = r#"{"type":"logux/unsubscribe","channel":"room"}"#;
    world.receive(1, vec![entry("1 10:one:x 1", unsubscribe)]);
    world.delivered.clear();
    assert_eq!(send(&mut world, r#"{"type":"t","a":1}"#), 1, "another filter is not removed");
    let unsubscribe = r#"{"type":"logux/unsubscribe","channel":"room","filter":{"a":1}}"#;
    world.receive(1, vec![entry("1 10:one:x 2", unsubscribe)]);
    assert_eq!(world.delivered(), [processed(1, "1 10:one:x 2")]);
    assert_eq!(send(&mut world, r#"{"type":"t","a":1}"#), 0);
    assert!(world.other.iter().any(|output| output.starts_with("Unsubscribed")));
}
