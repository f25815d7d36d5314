//! What becomes of an action: asked about, approved, done, refused, undone.

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
fn others_get_it_before_its_author_is_told() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    world.subscribe(2, "1 20:two:x 0", "room");
    world.receive(1, vec![entry("1 10:one:x 0", A)]);
    assert_eq!(world.kept.last(), Some(&SessionId(1)));
    world.answer([
        HandlerResponse::Resend(Recipients::channel("room")),
        HandlerResponse::Approved(None),
        HandlerResponse::Processed,
    ]);
    assert_eq!(world.delivered(), [format!("2 <- {A}"), processed(1, "1 10:one:x 0")]);
}

#[test]
fn a_failure_takes_what_waits_behind_it_along() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    world.subscribe(2, "1 20:two:x 0", "room");
    let ids = ["1 10:one:x 0", "1 10:one:x 1"];
    world.receive(1, ids.map(|id| entry(id, A)).into());
    world.answer([
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
    assert_eq!(world.requests.len(), 1, "what comes later has its chance");
}

#[test]
fn every_refusal_has_its_reason() {
    let cases = [
        (HandlerResponse::Denied, "denied"),
        (HandlerResponse::UnknownType, "unknownType"),
        (HandlerResponse::WrongChannel, "wrongChannel"),
        (HandlerResponse::not_found(), "notFound"),
        (HandlerResponse::Processed, "error"),
    ];
    for (n, (answer, reason)) in cases.into_iter().enumerate() {
        let mut world = World::new();
        world.join(1, "10:one:x");
        let id = format!("{n} 10:one:x 0");
        world.receive(1, vec![entry(&id, A)]);
        world.answer([answer]);
        assert_eq!(world.delivered(), [undone(1, A, &id, reason)]);
    }
}

#[test]
fn own_actions_are_processed_on_demand_and_reported() {
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
    world.answer([
        HandlerResponse::Resend(Recipients::channel("room")),
        HandlerResponse::Approved(None),
        HandlerResponse::Processed,
    ]);
    assert_eq!(world.delivered(), [format!("1 <- {A}")]);
    world.handle(addition(6));
    world.answer([HandlerResponse::UnknownType]);
    assert_eq!(world.other, ["Done(5, Ok(()))", "Done(6, Err(\"unknownType\"))"]);
}

#[test]
fn queues_of_one_client_run_side_by_side() {
    let by_type = Queues::by(|action| action.kind().into());
    let mut world = World::with(Config { queues: by_type, ..config() }, MemoryStore::new());
    world.join(1, "10:one:x");
    let b = r#"{"type":"b"}"#;
    let ids = ["1 10:one:x 0", "1 10:one:x 1", "1 10:one:x 2"];
    world.receive(1, vec![entry(ids[0], A), entry(ids[1], A), entry(ids[2], b)]);
    let asked = |world: &World| {
        world.requests.iter().map(|request| request.entry.meta.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        asked(&world),
        [ids[0], ids[2]],
        "the second of a queue waits for the first, the other queue does not"
    );
    world.answer([HandlerResponse::error()]);
    assert_eq!(world.delivered(), [undone(1, A, ids[0], "error"), undone(1, A, ids[1], "error")]);
    assert_eq!(asked(&world), [ids[2]], "a failure takes only its own queue along");
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert_eq!(world.delivered(), [processed(1, ids[2])]);
}

#[test]
fn the_application_undoes_what_is_done_and_what_is_not() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    world.subscribe(2, "1 20:two:x 0", "room");
    let ids = [0, 1, 2].map(|n| format!("1 10:one:x {n}"));
    world.receive(1, ids.iter().map(|id| entry(id, A)).collect());
    world.answer([
        HandlerResponse::Resend(Recipients::channel("room")),
        HandlerResponse::Approved(None),
        HandlerResponse::Processed,
    ]);
    world.delivered();
    let undo = |world: &mut World, id: &str| {
        let undoing = UndoRequest::new(id.parse().unwrap(), "spam").to(Recipients::channel("room"));
        world.handle(Input::Undo(Box::new(undoing)));
    };

    undo(&mut world, &ids[2]);
    assert_eq!(
        world.delivered(),
        [undone(1, A, &ids[2], "spam")],
        "nobody else has got what still waits"
    );
    undo(&mut world, &ids[0]);
    let mut delivered = world.delivered();
    delivered.sort();
    assert_eq!(delivered, [1, 2].map(|session| undone(session, A, &ids[0], "spam")), "it was done");
    undo(&mut world, &ids[1]);
    assert_eq!(world.delivered(), [undone(1, A, &ids[1], "spam")], "it is in progress");
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert!(world.delivered().is_empty(), "what its handler says then counts no more");

    for id in &ids {
        world.receive(1, vec![entry(id, A)]);
        assert_eq!(
            world.delivered(),
            [undone(1, A, id, "spam")],
            "and so they are answered when they come again"
        );
    }
}

#[test]
fn why_it_failed_is_shown_to_its_author_in_development_only() {
    for debug in [true, false] {
        let mut world = World::with(Config { debug, ..config() }, MemoryStore::new());
        world.join(1, "10:one:x");
        world.join(2, "20:two:x");
        world.receive(1, vec![entry("1 10:one:x 0", A)]);
        world.answer([HandlerResponse::Debug("no such table".into()), HandlerResponse::error()]);
        let shown = [r#"Debug(SessionId(1), "no such table")"#];
        assert_eq!(world.other, if debug { &shown[..] } else { &[] });
    }
}

#[test]
fn a_stop_finishes_what_is_in_progress() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.receive(1, vec![entry("1 10:one:x 0", A), entry("1 10:one:x 1", A)]);
    world.handle(Input::Drain);
    world.receive(1, vec![entry("1 10:one:x 2", A)]);
    assert_eq!(world.kept.len(), 1, "nothing new is confirmed");
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert!(!world.other.iter().any(|output| output == "Drained"));
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert!(world.other.iter().any(|output| output == "Drained"));
}
