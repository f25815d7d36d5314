//! Actions and undos for clients that subscribe after they were sent.

use logux::server::{HandlerResponse, Input, Recipients, SessionId};

use crate::world::{A, World, entry, processed, undone};

/// Such an action was resent before the client subscribed, and may change the database after the
/// client's load.
#[test]
fn a_new_subscriber_receives_actions_in_progress() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    world.join(3, "30:three:x");
    world.subscribe(3, "1 30:three:x 0", "room");
    world.receive(1, vec![entry("1 10:one:x 0", A)]);
    let request = world.requests.pop_front().unwrap();
    world.handle(Input::Respond(request.id, HandlerResponse::Resend(Recipients::channel("room"))));
    world.handle(Input::Respond(request.id, HandlerResponse::Approved(None)));
    assert_eq!(world.delivered(), [format!("3 <- {A}")]);

    let subscribe = |filter: &str| {
        format!(r#"{{"type":"logux/subscribe","channel":"room","filter":{filter}}}"#)
    };
    let subscribe = |world: &mut World, session, id, filter| {
        world.receive(session, vec![entry(id, &subscribe(filter))]);
        world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
        world.delivered()
    };
    let subscribed = |session, id| vec![format!("{session} <- {A}"), processed(session, id)];
    assert_eq!(subscribe(&mut world, 2, "1 20:two:x 0", "{}"), subscribed(2, "1 20:two:x 0"));
    let second = "1 20:two:x 1";
    assert_eq!(
        subscribe(&mut world, 2, second, r#"{"other":1}"#),
        [processed(2, second)],
        "it has the action already"
    );

    world.handle(Input::Respond(request.id, HandlerResponse::error()));
    let mut undos = world.delivered();
    undos.sort();
    assert_eq!(undos, [1, 2, 3].map(|session| undone(session, A, "1 10:one:x 0", "error")));
    let late = "1 10:one:x 1";
    assert_eq!(
        subscribe(&mut world, 1, late, "{}"),
        [processed(1, late)],
        "the action is not in progress any more"
    );
}

/// Such a client has the action, and would show it forever.
#[test]
fn a_client_that_is_disconnected_during_an_undo_receives_it_when_it_returns() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    world.join(3, "10:three:x");
    world.subscribe(2, "1 20:two:x 0", "room");
    world.receive(1, vec![entry("1 10:one:x 0", A)]);
    let request = world.requests.pop_front().unwrap();
    let mut to = Recipients::channel("room");
    to.extend(Recipients::user("10"));
    world.handle(Input::Respond(request.id, HandlerResponse::Resend(to)));
    world.handle(Input::Respond(request.id, HandlerResponse::Approved(None)));
    let last_added = world.hub.stats().unwrap().added;
    world.handle(Input::Leave(SessionId(2)));
    world.handle(Input::Leave(SessionId(3)));
    world.handle(Input::Respond(request.id, HandlerResponse::error()));
    world.delivered();

    let undo = r#"<- {"type":"logux/undo","id":"1 10:one:x 0","reason":"error"}"#;
    let undo_with_action =
        r#"<- {"type":"logux/undo","action":{"type":"a"},"id":"1 10:one:x 0","reason":"error"}"#;
    world.join_since(4, "10:three:x", last_added);
    let expected = [format!("4 {undo_with_action}")];
    assert_eq!(world.delivered(), expected, "its user was a recipient");
    let subscribe = r#"{"type":"logux/subscribe","channel":"room"}"#;
    let mut come_back = |session, node: &str, is_new: bool, action: &str| {
        // The last number that a client has does not show which channels it was subscribed to.
        let since = if is_new { 0 } else { world.hub.stats().unwrap().added };
        world.join_since(session, node, since);
        let id = format!("{session} {node} 0");
        world.receive(session, vec![entry(&id, action)]);
        world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
        let mut delivered = world.delivered();
        assert_eq!(delivered.pop(), Some(processed(session, &id)));
        delivered
    };
    assert_eq!(come_back(5, "20:two:x", false, subscribe), [format!("5 {undo}")]);
    assert_eq!(
        come_back(6, "30:new:x", true, subscribe),
        [""; 0],
        "a new client has no actions to undo"
    );
    let later = r#"{"type":"logux/subscribe","channel":"room","since":{"id":"1564508138461 server:uuid 0","time":1564508138461}}"#;
    assert_eq!(
        come_back(7, "20:two:x", false, later),
        [""; 0],
        "a client that was subscribed after the undo has received it"
    );
}
