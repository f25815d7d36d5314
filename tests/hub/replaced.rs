//! The application replaces the action of a client, before others receive it.

use logux::{
    Action, MemoryStore,
    action::logux::UNDO,
    server::{
        Config, DocumentKinds, HandlerResponse, LogQuery, Recipients, Retention, SettlementRule,
    },
    store::Entry,
};

use crate::world::{World, config, entry, processed, undone};

const CHANGE: &str = r#"{"type":"notes/change","id":"7","changes":[]}"#;
const EDIT: &str = r#"{"type":"notes/edit","id":"7","ops":[]}"#;
const AUTHOR: &str = "10:author:x";

fn document_config() -> Config {
    let mut documents = DocumentKinds::default();
    assert!(documents.insert("notes", SettlementRule::default()));
    Config { documents, ..config() }
}

/// A hub with the author of changes, and another client; both have the document open.
fn world() -> World {
    let mut world = World::with(document_config(), MemoryStore::new());
    for (session, node) in [(1, AUTHOR), (2, "20:other:x")] {
        world.join(session, node);
        world.subscribe(session, &format!("1 {node} 0"), "notes/7");
    }
    world
}

fn replace() -> HandlerResponse {
    HandlerResponse::Replace(Action::new(EDIT).unwrap())
}

fn accept() -> [HandlerResponse; 3] {
    let resend = HandlerResponse::Resend(Recipients::channel("notes/7"));
    [replace(), resend, HandlerResponse::Approved(None)]
}

fn kept(world: &World) -> Vec<Entry> {
    world.hub.page(&LogQuery::kept_for(&Retention::forever("notes/7"))).unwrap().entries
}

#[test]
fn recipients_and_the_log_have_the_other_action_with_the_same_id() {
    let mut world = world();
    world.receive(1, vec![entry("2 10:author:x 0", CHANGE)]);
    world.respond(accept().into_iter().chain([HandlerResponse::Processed]));
    // The client of the author does not have it either.
    let expected =
        [format!("1 <- {EDIT}"), format!("2 <- {EDIT}"), processed(1, "2 10:author:x 0")];
    assert_eq!(world.delivered(), expected);
    let kept = kept(&world);
    let [Entry { action, meta }] = &kept[..] else { panic!("expected one, got {kept:?}") };
    assert_eq!((action.as_json(), &*meta.id.to_string()), (EDIT, "2 10:author:x 0"));
    assert!(world.events.contains(&"processed notes/edit 2 10:author:x 0".to_owned()));

    world.receive(1, vec![entry("2 10:author:x 0", CHANGE)]);
    assert!(world.requests.is_empty(), "it is not processed again");
    assert_eq!(world.delivered(), [processed(1, "2 10:author:x 0")]);
}

#[test]
fn a_client_undoes_what_has_replaced_its_action() {
    let mut world = world();
    world.receive(1, vec![entry("2 10:author:x 0", CHANGE)]);
    world.respond(accept().into_iter().chain([HandlerResponse::Processed]));
    world.delivered();
    let undo = format!(r#"{{"type":"{UNDO}","id":"2 10:author:x 0","reason":"undo"}}"#);
    world.receive(1, vec![entry("3 10:author:x 0", &undo)]);
    world.respond([HandlerResponse::AcceptUndo]);
    assert_eq!(world.delivered(), [format!("2 <- {undo}"), processed(1, "3 10:author:x 0")]);
}

#[test]
fn a_failure_undoes_the_other_action_for_its_recipients() {
    let mut world = world();
    world.receive(1, vec![entry("2 10:author:x 0", CHANGE)]);
    world.respond(accept().into_iter().chain([HandlerResponse::error()]));
    let undo = undone(1, EDIT, "2 10:author:x 0", "error");
    let for_other = undo.replacen("1 <-", "2 <-", 1);
    let expected = [format!("1 <- {EDIT}"), format!("2 <- {EDIT}"), undo, for_other];
    assert_eq!(world.delivered(), expected);
}

#[test]
fn an_action_that_was_approved_is_not_replaced_any_more() {
    let mut world = world();
    world.receive(1, vec![entry("2 10:author:x 0", CHANGE)]);
    world.respond([HandlerResponse::Approved(None), replace(), HandlerResponse::Processed]);
    assert_eq!(world.delivered(), [processed(1, "2 10:author:x 0")]);
    assert_eq!(kept(&world), [], "a change is not kept");
}

/// The application is asked about the other action, which it has approved before.
#[test]
fn after_a_crash_the_other_action_is_processed() {
    let mut world = world();
    world.receive(1, vec![entry("2 10:author:x 0", CHANGE)]);
    world.respond(accept());
    let store = world.hub.into_store();
    let world = World::with(document_config(), store);
    let requests: Vec<_> =
        world.requests.iter().map(|request| request.entry.action.as_json()).collect();
    assert_eq!(requests, [EDIT]);
}

/// A client creates a document and changes it without waiting for an answer.
#[test]
fn changes_wait_for_other_actions_of_the_document() {
    let mut world = world();
    let create = r#"{"type":"notes/create","id":"7"}"#;
    world.receive(1, vec![entry("2 10:author:x 0", create), entry("3 10:author:x 0", CHANGE)]);
    assert_eq!(world.requests.len(), 1);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert_eq!(world.requests.len(), 1);
    assert_eq!(world.requests[0].entry.action.as_json(), CHANGE);
}

#[test]
fn the_memory_of_waiting_actions_counts_what_waits() {
    let mut config = document_config();
    config.max_queue_bytes = 600;
    let mut world = World::with(config, MemoryStore::new());
    world.join(1, AUTHOR);
    for time in 2..20 {
        world.receive(1, vec![entry(&format!("{time} {AUTHOR} 0"), CHANGE)]);
        let large =
            format!(r#"{{"type":"notes/edit","id":"7","ops":[],"x":"{}"}}"#, "x".repeat(2_000));
        let replace = HandlerResponse::Replace(Action::new(large).unwrap());
        world.respond([replace, HandlerResponse::Approved(None), HandlerResponse::Processed]);
    }
    assert!(world.requests.is_empty());
    let is_added = |event: &&String| event.starts_with("added notes/change");
    assert_eq!(world.events.iter().filter(is_added).count(), 18, "none was held");
}
