//! A subscriber with a filter receives only what its filter accepts, whenever it is sent.

use std::sync::Arc;

use logux::{
    Action, MemoryStore,
    log::Draft,
    server::{
        AddAction, Config, Filter, HandlerResponse, Input, Output, Queues, Recipients, RequestId,
        Retention, RetentionPolicy, SessionId,
    },
};

use crate::world::{A, NOW, World, config, entry, processed};

const B: &str = r#"{"type":"b"}"#;
const SUBSCRIBE: &str = r#"{"type":"logux/subscribe","channel":"room","filter":{"type":"b"}}"#;

fn only_b() -> HandlerResponse {
    let filter: Filter = Arc::new(|action, _| {
        action.kind() == "b" || action.field("action").is_some_and(|inner| inner.contains("\"b\""))
    });
    HandlerResponse::Approved(Some(filter))
}

/// A hub with one connected client, whose actions of different types are in different queues.
fn world(retention: RetentionPolicy) -> World {
    let queues = Queues::by(|action| action.kind().to_owned().into());
    let mut world = World::with(Config { queues, retention, ..config() }, MemoryStore::new());
    world.join(1, "10:one:x");
    world
}

/// Sends the actions A and B to the channel `room`, and returns the requests to process them.
fn send_both(world: &mut World) -> Vec<RequestId> {
    let mut requests = Vec::new();
    for (id, action) in [("1 10:one:x 0", A), ("1 10:one:x 1", B)] {
        world.receive(1, vec![entry(id, action)]);
        let request = world.requests.pop_front().expect("a request");
        let recipients = Recipients::channel("room");
        world.handle(Input::Respond(request.id, HandlerResponse::Resend(recipients)));
        world.handle(Input::Respond(request.id, HandlerResponse::Approved(None)));
        requests.push(request.id);
    }
    world.delivered();
    requests
}

#[test]
fn a_new_subscriber_receives_the_actions_in_progress_that_its_filter_accepts() {
    let mut world = world(RetentionPolicy::default());
    send_both(&mut world);
    world.join(2, "20:two:x");
    world.receive(2, vec![entry("2 20:two:x 0", SUBSCRIBE)]);
    world.respond([only_b(), HandlerResponse::Processed]);
    assert_eq!(world.delivered(), [format!("2 <- {B}"), processed(2, "2 20:two:x 0")]);
}

#[test]
fn a_replay_has_only_actions_that_the_filter_accepts() {
    let mut world = world(RetentionPolicy::by(|_, _| Some(Retention::forever("all"))));
    for (id, action) in [("1 10:one:x 0", A), ("1 10:one:x 1", B)] {
        world.receive(1, vec![entry(id, action)]);
        let recipients = Recipients::channel("room");
        world.respond([
            HandlerResponse::Resend(recipients),
            HandlerResponse::Approved(None),
            HandlerResponse::Processed,
        ]);
    }
    world.join(2, "20:two:x");
    world.receive(2, vec![entry("2 20:two:x 0", SUBSCRIBE)]);
    let request = world.requests.pop_front().expect("a request");
    world.hub.handle(NOW, Input::Respond(request.id, only_b())).unwrap();
    world.hub.handle(NOW, Input::Respond(request.id, HandlerResponse::Replay)).unwrap();
    world.hub.commit().unwrap();
    let outputs = std::iter::from_fn(|| world.hub.poll_output());
    let replayed: Vec<_> = outputs
        .filter_map(|output| match output {
            Output::Replay { entries, .. } => Some(entries),
            _ => None,
        })
        .flatten()
        .map(|entry| entry.action.as_json().to_owned())
        .collect();
    assert_eq!(replayed, [B]);
}

#[test]
fn a_returning_subscriber_receives_the_missed_undos_that_its_filter_accepts() {
    let mut world = world(RetentionPolicy::default());
    world.join(2, "20:two:x");
    world.receive(2, vec![entry("2 20:two:x 0", SUBSCRIBE)]);
    world.respond([only_b(), HandlerResponse::Processed]);
    let requests = send_both(&mut world);
    world.handle(Input::Leave(SessionId(2)));
    for request in requests {
        world.handle(Input::Respond(request, HandlerResponse::error()));
    }
    world.delivered();
    let added = world.hub.stats().unwrap().added;
    world.join_since(3, "20:two:x", added);
    world.receive(3, vec![entry("3 20:two:x 0", SUBSCRIBE)]);
    world.respond([only_b(), HandlerResponse::Processed]);
    let undo = r#"3 <- {"type":"logux/undo","id":"1 10:one:x 1","reason":"error"}"#;
    assert_eq!(world.delivered(), [undo.to_owned(), processed(3, "3 20:two:x 0")]);
}

/// A form of the channel's actions for some subscribers, which others do not know.
#[test]
fn an_action_for_filters_is_sent_to_subscribers_with_a_filter_only() {
    let mut world = World::new();
    for (session, node) in [(1, "10:one:x"), (2, "20:two:x"), (3, "30:three:x")] {
        world.join(session, node);
    }
    world.subscribe(1, "1 10:one:x 0", "room");
    world.receive(2, vec![entry("1 20:two:x 0", SUBSCRIBE)]);
    world.respond([only_b(), HandlerResponse::Processed]);
    let node = "30:three:x".parse().unwrap();
    world.handle(Input::Subscribe { node, channel: "room".into() });
    world.delivered();
    for action in [A, B] {
        world.handle(Input::Add(Box::new(AddAction {
            action: Action::new(action).unwrap(),
            draft: Draft::default(),
            to: Recipients { only_filtered: true, ..Recipients::channel("room") },
            process: false,
            ticket: None,
        })));
    }
    assert_eq!(world.delivered(), [format!("2 <- {B}")]);
}
