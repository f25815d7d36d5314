//! Who comes too late, and gets it all the same.

use logux::server::{Answer, Input, Recipients};

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
    let ask = world.asks.pop_front().unwrap();
    world.handle(Input::Answer(ask.job, Answer::Resend(Recipients::channel("room"))));
    world.handle(Input::Answer(ask.job, Answer::Approved(None)));
    assert_eq!(world.delivered(), [format!("3 <- {A}")]);

    let subscribe = |filter: &str| format!(r#"{{"type":"logux/subscribe","channel":"room","filter":{filter}}}"#);
    let subscribe = |world: &mut World, session, id, filter| {
        world.receive(session, vec![entry(id, &subscribe(filter))]);
        world.answer([Answer::Approved(None), Answer::Processed]);
        world.delivered()
    };
    let subscribed = |session, id| vec![format!("{session} <- {A}"), processed(session, id)];
    assert_eq!(subscribe(&mut world, 2, "1 20:two:x 0", "{}"), subscribed(2, "1 20:two:x 0"));
    let again = "1 20:two:x 1";
    assert_eq!(subscribe(&mut world, 2, again, r#"{"other":1}"#), [processed(2, again)], "it has it");

    world.handle(Input::Answer(ask.job, Answer::error()));
    let mut undos = world.delivered();
    undos.sort();
    assert_eq!(undos, [1, 2, 3].map(|session| undone(session, A, "1 10:one:x 0", "error")));
    let late = "1 10:one:x 1";
    assert_eq!(subscribe(&mut world, 1, late, "{}"), [processed(1, late)], "it is not in progress any more");
}
