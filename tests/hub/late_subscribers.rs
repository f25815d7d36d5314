//! Actions and undos for clients that subscribe after they were sent.

use logux::{
    MemoryStore,
    server::{
        Config, HandlerResponse, Input, LogQuery, Recipients, Retention, RetentionPolicy, SessionId,
    },
};

use crate::world::{A, World, config, entry, processed, undone};

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

/// Returns a world that keeps all actions.
fn keeping(config: Config, store: MemoryStore) -> World {
    let retention = RetentionPolicy::by(|_, _| Some(Retention::forever("room")));
    World::with(Config { retention, ..config }, store)
}

/// Lets a client send an action that is kept.
fn send(world: &mut World, session: u64, id: &str) {
    world.receive(session, vec![entry(id, A)]);
    let to = Recipients::channel("room");
    world.respond([
        HandlerResponse::Resend(to),
        HandlerResponse::Approved(None),
        HandlerResponse::Processed,
    ]);
    world.other.clear();
    world.delivered();
}

/// Subscribes with a position, and returns whether the kept actions with these ids are sent.
fn replayed(world: &mut World, session: u64, id: &str, since: &str, ids: &[&str]) -> Vec<bool> {
    let subscribe = format!(r#"{{"type":"logux/subscribe","channel":"room","since":{{{since}}}}}"#);
    world.receive(session, vec![entry(id, &subscribe)]);
    let request = world.requests.pop_front().unwrap().id;
    world.handle(Input::Respond(request, HandlerResponse::Approved(None)));
    world.other.clear();
    world.handle(Input::Respond(request, HandlerResponse::Replay));
    let sent = world.other.concat();
    world.handle(Input::Respond(request, HandlerResponse::Processed));
    ids.iter().map(|id| sent.contains(id)).collect()
}

#[test]
fn a_subscriber_that_names_a_number_receives_what_follows_it() {
    let mut world = keeping(config(), MemoryStore::new());
    world.join(1, "10:one:a");
    world.join(2, "20:two:a");
    let actions = ["1 10:one:a 0", "2 10:one:a 0", "3 10:one:a 0"];
    send(&mut world, 1, actions[0]);
    world.subscribe(2, "1 20:two:a 0", "room");
    let last = LogQuery::all().newest_first().limit(1);
    let answer = world.hub.page(&last).unwrap().entries[0].meta.id.clone();
    assert!(answer.node().is_server());
    send(&mut world, 1, actions[1]);
    let added = world.hub.stats().unwrap().added;
    world.handle(Input::Leave(SessionId(2)));
    send(&mut world, 1, actions[2]);

    let position = |id: &str| format!(r#""id":"{id}","time":0,"added":{added}"#);
    let mut come_back = |session, node: &str, since: &str| {
        world.join_since(session, node, added);
        replayed(&mut world, session, &format!("{session} {node} 0"), since, &actions)
    };
    let known = position(&answer.to_string());
    assert_eq!(come_back(3, "20:two:b", &known), [false, false, true]);
    let of_another_log = position(&format!("{} server:other 0", answer.time().as_millis()));
    let by_time = come_back(4, "20:two:c", &of_another_log);
    assert!(by_time[1] && by_time[2], "what the time allows: {by_time:?}");
    let all = come_back(5, "20:two:d", &position("0 server:uuid 0"));
    assert_eq!(all, [true; 3], "an answer before the first start of this log");
}

/// The log was restored from a backup: the numbers after it are given again.
#[test]
fn a_number_after_a_backup_is_not_believed() {
    let mut world = keeping(config(), MemoryStore::new());
    world.join(1, "10:one:a");
    world.join(2, "20:two:a");
    send(&mut world, 1, "1 10:one:a 0");
    world.subscribe(2, "1 20:two:a 0", "room");
    let last = LogQuery::all().newest_first().limit(1);
    let answer = world.hub.page(&last).unwrap().entries[0].meta.id.clone();
    let backup = world.hub.into_store();
    // The actions that follow are lost with the database.
    let lost = 1_000;

    let node = "server:second".parse().unwrap();
    let mut world = keeping(Config { node, ..config() }, backup);
    world.join(1, "10:one:a");
    let actions = ["2 10:one:a 0", "3 10:one:a 0"];
    for id in actions {
        send(&mut world, 1, id);
    }
    let since = format!(r#""id":"{answer}","time":0,"added":{lost}"#);
    world.join_since(3, "20:two:b", world.hub.stats().unwrap().added);
    assert_eq!(replayed(&mut world, 3, "9 20:two:b 0", &since, &actions), [true, true]);
}
