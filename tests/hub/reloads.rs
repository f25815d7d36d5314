//! Pages that are reloaded: new nodes of a known client, which connect without a log.

use logux::{
    Action, MemoryStore,
    server::{
        Config, HandlerResponse, Input, LogQuery, Recipients, Retention, RetentionPolicy,
        SessionId, UndoRequest,
    },
    store::Store,
};

use crate::world::{A, World, config, entry, processed, undone};

const DONE: [HandlerResponse; 2] = [HandlerResponse::Approved(None), HandlerResponse::Processed];

/// A world whose client has received the answers to two actions, and confirmed the first.
fn with_one_confirmed() -> World {
    let mut world = World::new();
    world.join(1, "10:one:a");
    world.receive(1, vec![entry("1 10:one:a 0", A)]);
    world.respond(DONE);
    let added = world.hub.stats().unwrap().added;
    world.handle(Input::Acknowledged { session: SessionId(1), added });
    world.receive(1, vec![entry("1 10:one:a 1", A)]);
    world.respond([HandlerResponse::Denied]);
    world.delivered();
    world
}

#[test]
fn a_new_node_receives_only_what_no_node_of_its_client_has_confirmed() {
    let mut world = with_one_confirmed();
    world.join(2, "10:one:b");
    assert_eq!(world.delivered(), [undone(2, A, "1 10:one:a 1", "denied")]);
    world.handle(Input::Leave(SessionId(2)));
    world.join(3, "10:one:c");
    assert_eq!(
        world.delivered(),
        [undone(3, A, "1 10:one:a 1", "denied")],
        "the second node did not confirm it"
    );
    let added = world.hub.stats().unwrap().added;
    world.handle(Input::Acknowledged { session: SessionId(3), added });
    world.join(4, "10:one:d");
    assert!(world.delivered().is_empty());
    world.join(5, "10:two:a");
    assert!(world.delivered().is_empty(), "another client");
}

#[test]
fn a_node_that_states_what_it_has_is_believed() {
    let mut world = with_one_confirmed();
    let added = world.hub.stats().unwrap().added;
    world.handle(Input::Acknowledged { session: SessionId(1), added });
    world.join_since(2, "10:one:b", 1);
    assert_eq!(
        world.delivered(),
        [processed(2, "1 10:one:a 0"), undone(2, A, "1 10:one:a 1", "denied")],
        "it keeps its log, and did not receive what another tab has confirmed"
    );
}

#[test]
fn an_action_that_is_sent_back_is_not_sent_to_a_reloaded_page() {
    let mut world = World::new();
    world.join(1, "10:one:a");
    world.receive(1, vec![entry("1 10:one:a 0", A)]);
    let sent_back = r#"{"type":"counter/add","by":1}"#;
    world.respond([
        HandlerResponse::Approved(None),
        HandlerResponse::Action(Action::new(sent_back).unwrap(), Box::default()),
        HandlerResponse::Processed,
    ]);
    world.delivered();
    world.join(2, "10:one:b");
    let answers = [format!("2 <- {sent_back}"), processed(2, "1 10:one:a 0")];
    assert_eq!(world.delivered(), answers, "no node has confirmed it");
    let added = world.hub.stats().unwrap().added;
    world.handle(Input::Acknowledged { session: SessionId(2), added });
    world.join(3, "10:one:c");
    assert!(world.delivered().is_empty());
}

#[test]
fn confirmations_survive_a_restart() {
    for drains in [true, false] {
        let mut world = with_one_confirmed();
        let added = world.hub.stats().unwrap().added;
        world.handle(Input::Acknowledged { session: SessionId(1), added });
        if drains {
            world.handle(Input::Drain);
        }
        let mut world = World::over(world.hub.into_store());
        world.join(2, "10:one:b");
        // Without other writes, the last confirmation is not worth a commit.
        let lost = [undone(2, A, "1 10:one:a 1", "denied")];
        assert_eq!(world.delivered(), if drains { &[][..] } else { &lost });
    }
}

#[test]
fn confirmations_are_forgotten_with_the_entries_of_their_client() {
    let config = || Config { remembered_entries: 10, max_queue: 100, ..config() };
    let mut world = World::with(config(), MemoryStore::new());
    for client in 0..200 {
        world.join(client, &format!("10:{client}:a"));
        world.receive(client, vec![entry(&format!("1 10:{client}:a 0"), A)]);
        world.respond(DONE);
        // A client can confirm what it has not received.
        world.handle(Input::Acknowledged { session: SessionId(client), added: u64::MAX });
        world.handle(Input::Leave(SessionId(client)));
    }
    let store = world.hub.into_store();
    let mut names = Vec::new();
    let visit = &mut |name: &str, _: &str| {
        names.push(name.to_owned());
        core::ops::ControlFlow::Continue(())
    };
    store.walk_values("confirmed/", visit).unwrap();
    // Entries are forgotten each time that 64 actions were added.
    assert!(names.len() < 100, "{names:?}");
}

/// A new device computes its state from them.
#[test]
fn kept_actions_of_a_user_are_sent_to_every_new_node() {
    let retention = RetentionPolicy::by(|_, _| Some(Retention::forever("all")));
    let mut world = World::with(Config { retention, ..config() }, MemoryStore::new());
    world.join(1, "10:one:a");
    world.join(2, "10:two:a");
    world.receive(1, vec![entry("1 10:one:a 0", A)]);
    world.respond([
        HandlerResponse::Resend(Recipients::user("10")),
        HandlerResponse::Approved(None),
        HandlerResponse::Processed,
    ]);
    assert_eq!(world.delivered(), [format!("2 <- {A}"), processed(1, "1 10:one:a 0")]);
    let added = world.hub.stats().unwrap().added;
    world.handle(Input::Acknowledged { session: SessionId(2), added });
    world.join(3, "10:two:b");
    assert_eq!(world.delivered(), [format!("3 <- {A}")]);
}

/// The previous page had sent the action, but it was approved while no page was connected.
#[test]
fn a_reloaded_page_receives_its_own_action_that_was_kept_meanwhile() {
    let retention = RetentionPolicy::by(|_, _| Some(Retention::forever("all")));
    let queues = logux::server::Queues::by(|action| action.kind().into());
    let mut world = World::with(Config { retention, queues, ..config() }, MemoryStore::new());
    world.join(1, "10:one:a");
    world.receive(1, vec![entry("1 10:one:a 0", A)]);
    let action = world.requests.pop_front().unwrap().id;
    world.join(2, "10:one:b");
    world.subscribe(2, "2 10:one:b 0", "room");
    let added = world.hub.stats().unwrap().added;
    let last = LogQuery::all().newest_first().limit(1);
    let since = world.hub.page(&last).unwrap().entries[0].meta.id.clone();
    world.handle(Input::Leave(SessionId(2)));
    world.handle(Input::Respond(action, HandlerResponse::Resend(Recipients::channel("room"))));
    for response in DONE {
        world.handle(Input::Respond(action, response));
    }
    world.join_since(3, "10:one:b", added);
    let subscribe = format!(
        r#"{{"type":"logux/subscribe","channel":"room","since":{{"id":"{since}","time":0}}}}"#
    );
    world.receive(3, vec![entry("3 10:one:b 0", &subscribe)]);
    let request = world.requests.pop_front().unwrap().id;
    world.handle(Input::Respond(request, HandlerResponse::Approved(None)));
    world.other.clear();
    world.handle(Input::Respond(request, HandlerResponse::Replay));
    assert!(world.other.concat().contains("1 10:one:a 0"), "{:?}", world.other);
}

/// The reloaded page loads its channels before its last action of the previous page is processed.
#[test]
fn a_reloaded_page_receives_its_own_actions_in_progress() {
    let queues = logux::server::Queues::by(|action| action.kind().into());
    for approved_first in [true, false] {
        let mut world =
            World::with(Config { queues: queues.clone(), ..config() }, MemoryStore::new());
        world.join(1, "10:one:a");
        world.receive(1, vec![entry("1 10:one:a 0", A)]);
        let request = world.requests.pop_front().unwrap();
        let approve = |world: &mut World| {
            let to = Recipients::channel("room");
            world.handle(Input::Respond(request.id, HandlerResponse::Resend(to)));
            world.handle(Input::Respond(request.id, HandlerResponse::Approved(None)));
        };
        if approved_first {
            approve(&mut world);
        }
        world.join(2, "10:one:b");
        let subscribe = r#"{"type":"logux/subscribe","channel":"room"}"#;
        world.receive(2, vec![entry("2 10:one:b 0", subscribe)]);
        world.respond(DONE);
        if !approved_first {
            approve(&mut world);
        }
        let mut delivered = world.delivered();
        delivered.sort();
        assert_eq!(delivered, [format!("2 <- {A}"), processed(2, "2 10:one:b 0")]);
        world.receive(2, vec![entry("3 10:one:b 0", r#"{"type":"b"}"#)]);
        world.respond([
            HandlerResponse::Resend(Recipients::channel("room")),
            HandlerResponse::Approved(None),
        ]);
        assert!(world.delivered().is_empty(), "it has its own action");
    }
}

#[test]
fn a_new_node_receives_no_undos_of_actions_from_before_its_connection() {
    let mut world = World::new();
    world.join(1, "20:two:a");
    world.receive(1, vec![entry("1 20:two:a 0", A)]);
    world.respond([
        HandlerResponse::Resend(Recipients {
            channels: vec!["a".into(), "b".into()],
            ..Recipients::default()
        }),
        HandlerResponse::Approved(None),
        HandlerResponse::Processed,
    ]);
    let undo = UndoRequest::new("1 20:two:a 0".parse().unwrap(), "spam");
    let to = Recipients { channels: vec!["a".into(), "b".into()], ..Recipients::default() };
    world.handle(Input::Undo(Box::new(undo.to(to))));
    world.delivered();
    world.join(2, "10:one:a");
    for (n, channel) in ["a", "b"].into_iter().enumerate() {
        let id = format!("{n} 10:one:a 0");
        let subscribe = format!(r#"{{"type":"logux/subscribe","channel":"{channel}"}}"#);
        world.receive(2, vec![entry(&id, &subscribe)]);
        world.respond(DONE);
        assert_eq!(world.delivered(), [processed(2, &id)], "{channel}");
    }
}
