//! The life of an action: requests to the application, approval, answers, undo.

use logux::{
    Action, MemoryStore,
    log::Draft,
    server::{
        AddAction, Config, HandlerResponse, Input, Queues, Recipients, RequestKind, SessionId,
        UndoRequest,
    },
};

use crate::world::{A, World, config, entry, processed, undone};

#[test]
fn recipients_receive_an_action_before_its_author_receives_the_answer() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    world.subscribe(2, "1 20:two:x 0", "room");
    world.receive(1, vec![entry("1 10:one:x 0", A)]);
    assert_eq!(world.persisted.last(), Some(&SessionId(1)));
    world.respond([
        HandlerResponse::Resend(Recipients::channel("room")),
        HandlerResponse::Approved(None),
        HandlerResponse::Processed,
    ]);
    assert_eq!(world.delivered(), [format!("2 <- {A}"), processed(1, "1 10:one:x 0")]);
}

#[test]
fn a_failure_undoes_the_actions_that_wait_after_it() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    world.subscribe(2, "1 20:two:x 0", "room");
    let ids = ["1 10:one:x 0", "1 10:one:x 1"];
    world.receive(1, ids.map(|id| entry(id, A)).into());
    world.respond([
        HandlerResponse::Resend(Recipients::channel("room")),
        HandlerResponse::Approved(None),
        HandlerResponse::error(),
    ]);
    let undo = |session| undone(session, A, ids[0], "error");
    let mut delivered = world.delivered();
    delivered[1..3].sort();
    assert_eq!(delivered, [format!("2 <- {A}"), undo(1), undo(2), undone(1, A, ids[1], "error")]);
    assert!(world.requests.is_empty());
    world.receive(1, vec![entry("1 10:one:x 2", A)]);
    assert_eq!(world.requests.len(), 1, "an action that is received later is not undone");
}

#[test]
fn each_refusal_has_its_reason() {
    let cases = [
        (HandlerResponse::Denied, "denied"),
        (HandlerResponse::UnknownType, "unknownType"),
        (HandlerResponse::WrongChannel, "wrongChannel"),
        (HandlerResponse::not_found(), "notFound"),
        (HandlerResponse::Processed, "error"),
    ];
    for (n, (response, reason)) in cases.into_iter().enumerate() {
        let mut world = World::new();
        world.join(1, "10:one:x");
        let id = format!("{n} 10:one:x 0");
        world.receive(1, vec![entry(&id, A)]);
        world.respond([response]);
        assert_eq!(world.delivered(), [undone(1, A, &id, reason)]);
    }
}

#[test]
fn actions_of_the_application_are_processed_on_demand_and_report_their_end() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.subscribe(1, "1 10:one:x 0", "room");
    let addition = |ticket| {
        let action = Action::new(A).unwrap();
        let to = Recipients::default();
        Input::Add(Box::new(AddAction {
            action,
            draft: Draft::default(),
            to,
            process: true,
            ticket: Some(ticket),
        }))
    };
    world.handle(addition(5));
    assert_eq!(world.requests[0].kind, RequestKind::OwnAction);
    world.respond([
        HandlerResponse::Resend(Recipients::channel("room")),
        HandlerResponse::Approved(None),
        HandlerResponse::Processed,
    ]);
    assert_eq!(world.delivered(), [format!("1 <- {A}")]);
    world.handle(addition(6));
    world.respond([HandlerResponse::UnknownType]);
    assert_eq!(world.other, ["Done(5, Ok(()))", "Done(6, Err(\"unknownType\"))"]);
}

#[test]
fn queues_of_one_client_run_concurrently() {
    let by_type = Queues::by(|action| action.kind().into());
    let mut world = World::with(Config { queues: by_type, ..config() }, MemoryStore::new());
    world.join(1, "10:one:x");
    let b = r#"{"type":"b"}"#;
    let ids = ["1 10:one:x 0", "1 10:one:x 1", "1 10:one:x 2"];
    world.receive(1, vec![entry(ids[0], A), entry(ids[1], A), entry(ids[2], b)]);
    let requested = |world: &World| {
        world.requests.iter().map(|request| request.entry.meta.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        requested(&world),
        [ids[0], ids[2]],
        "the second action of a queue waits for the first, the other queue does not"
    );
    world.respond([HandlerResponse::error()]);
    assert_eq!(world.delivered(), [undone(1, A, ids[0], "error"), undone(1, A, ids[1], "error")]);
    assert_eq!(requested(&world), [ids[2]], "a failure undoes only its own queue");
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert_eq!(world.delivered(), [processed(1, ids[2])]);
}

#[test]
fn the_application_undoes_waiting_running_and_processed_actions() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    world.subscribe(2, "1 20:two:x 0", "room");
    let ids = [0, 1, 2].map(|n| format!("1 10:one:x {n}"));
    world.receive(1, ids.iter().map(|id| entry(id, A)).collect());
    world.respond([
        HandlerResponse::Resend(Recipients::channel("room")),
        HandlerResponse::Approved(None),
        HandlerResponse::Processed,
    ]);
    world.delivered();
    let undo = |world: &mut World, id: &str| {
        let request = UndoRequest::new(id.parse().unwrap(), "spam").to(Recipients::channel("room"));
        world.handle(Input::Undo(Box::new(request)));
    };

    undo(&mut world, &ids[2]);
    assert_eq!(
        world.delivered(),
        [undone(1, A, &ids[2], "spam")],
        "a waiting action has no other recipients yet"
    );
    undo(&mut world, &ids[0]);
    let mut delivered = world.delivered();
    delivered.sort();
    let undos = [1, 2].map(|session| undone(session, A, &ids[0], "spam"));
    assert_eq!(delivered, undos, "a processed action");
    undo(&mut world, &ids[1]);
    assert_eq!(world.delivered(), [undone(1, A, &ids[1], "spam")], "a running action");
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert!(world.delivered().is_empty(), "later responses of its handler have no effect");

    for id in &ids {
        world.receive(1, vec![entry(id, A)]);
        assert_eq!(world.delivered(), [undone(1, A, id, "spam")], "a retry returns the undo");
    }
}

#[test]
fn debug_messages_are_sent_to_the_author_in_development_only() {
    for debug in [true, false] {
        let mut world = World::with(Config { debug, ..config() }, MemoryStore::new());
        world.join(1, "10:one:x");
        world.join(2, "20:two:x");
        world.receive(1, vec![entry("1 10:one:x 0", A)]);
        world.respond([HandlerResponse::Debug("no such table".into()), HandlerResponse::error()]);
        let message = [r#"Debug(SessionId(1), "no such table")"#];
        assert_eq!(world.other, if debug { &message[..] } else { &[] });
    }
}

#[test]
fn drain_finishes_the_actions_in_progress() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.receive(1, vec![entry("1 10:one:x 0", A), entry("1 10:one:x 1", A)]);
    world.handle(Input::Drain);
    world.receive(1, vec![entry("1 10:one:x 2", A)]);
    assert_eq!(world.persisted.len(), 1, "no new actions are confirmed");
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert!(!world.other.iter().any(|output| output == "Drained"));
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert!(world.other.iter().any(|output| output == "Drained"));
}
