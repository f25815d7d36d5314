//! Who comes too late, and gets it all the same.

use logux::server::{HandlerResponse, Input, Recipients, SessionId};

use crate::world::{A, World, entry, processed, undone};

/// It was resent before somebody subscribed, and is in the database only after the subscriber's load.
#[test]
fn who_subscribes_while_an_action_is_done_gets_it() {
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
        world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
        world.delivered()
    };
    let subscribed = |session, id| vec![format!("{session} <- {A}"), processed(session, id)];
    assert_eq!(subscribe(&mut world, 2, "1 20:two:x 0", "{}"), subscribed(2, "1 20:two:x 0"));
    let again = "1 20:two:x 1";
    assert_eq!(
        subscribe(&mut world, 2, again, r#"{"other":1}"#),
        [processed(2, again)],
        "it has it"
    );

    world.handle(Input::Respond(request.id, HandlerResponse::error()));
    let mut undos = world.delivered();
    undos.sort();
    assert_eq!(undos, [1, 2, 3].map(|session| undone(session, A, "1 10:one:x 0", "error")));
    let late = "1 10:one:x 1";
    assert_eq!(
        subscribe(&mut world, 1, late, "{}"),
        [processed(1, late)],
        "it is not in progress any more"
    );
}

/// It has got the action, and would show it for ever.
#[test]
fn who_is_away_when_an_action_is_undone_is_told_when_it_comes_back() {
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
    let got = world.hub.stats().unwrap().added;
    world.handle(Input::Leave(SessionId(2)));
    world.handle(Input::Leave(SessionId(3)));
    world.handle(Input::Respond(request.id, HandlerResponse::error()));
    world.delivered();

    let undo = r#"<- {"type":"logux/undo","id":"1 10:one:x 0","reason":"error"}"#;
    let whole =
        r#"<- {"type":"logux/undo","action":{"type":"a"},"id":"1 10:one:x 0","reason":"error"}"#;
    world.join_since(4, "10:three:x", got);
    assert_eq!(world.delivered(), [format!("4 {whole}")], "its user has got it");
    let subscribe = r#"{"type":"logux/subscribe","channel":"room"}"#;
    let mut come_back = |session, node: &str, is_new: bool, action: &str| {
        // What number it has got says nothing about what it was subscribed to.
        let since = if is_new { 0 } else { world.hub.stats().unwrap().added };
        world.join_since(session, node, since);
        let id = format!("{session} {node} 0");
        world.receive(session, vec![entry(&id, action)]);
        world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
        let mut delivered = world.delivered();
        assert_eq!(delivered.pop(), Some(processed(session, &id)));
        delivered
    };
    assert_eq!(come_back(5, "20:two:x", false, subscribe), [format!("5 {undo}")]);
    assert_eq!(
        come_back(6, "30:new:x", true, subscribe),
        [""; 0],
        "who has got nothing has nothing to undo"
    );
    let later = r#"{"type":"logux/subscribe","channel":"room","since":{"id":"1564508138461 server:uuid 0","time":1564508138461}}"#;
    assert_eq!(come_back(7, "20:two:x", false, later), [""; 0], "nor who was subscribed after it");
}
