//! The application is asked before the commit, and responds within the same round.

use logux::{
    Entry, MemoryStore,
    server::{HandlerResponse, Hub, Input, Output, Recipients, SessionId},
    store::Store,
    testing::{CrashStore, FailingStore, StoreFailure, batch},
};

use super::world::{NOW, World, config, entry};

fn backlog(count: usize) -> Vec<Entry> {
    let entry = |number| entry(&format!("1 10:a:x {number}"), r#"{"type":"note"}"#);
    (0..count).map(entry).collect()
}

fn received(entries: Vec<Entry>) -> Input {
    Input::Received { session: SessionId(1), batch: batch(), entries }
}

/// Responds to all requests of a round, and returns the actions that the application was asked
/// about.
fn respond_to_all<S: Store>(world: &mut World<S>) -> Vec<String> {
    let mut asked = Vec::new();
    while let Some(request) = world.hub.poll_request() {
        asked.push(request.entry.meta.id.to_string());
        for response in [HandlerResponse::Approved(None), HandlerResponse::Processed] {
            world.hub.handle(NOW, Input::Respond(request.id, response)).unwrap();
        }
    }
    asked
}

#[test]
fn the_backlog_of_a_client_shares_one_commit() {
    let mut world = World::new();
    world.join(1, "10:a:x");
    world.hub.handle(NOW, received(backlog(3))).unwrap();
    let asked = respond_to_all(&mut world);
    assert_eq!(asked, ["1 10:a:x 0", "1 10:a:x 1", "1 10:a:x 2"], "in order");
    assert!(world.hub.poll_output().is_none(), "nothing is confirmed before the commit");
    world.settle();
    assert!(world.requests.is_empty(), "no request is returned twice");
    assert_eq!((world.persisted.len(), world.delivered.len()), (1, 3));
}

#[test]
fn requests_that_are_not_polled_before_the_commit_are_outputs_after_it() {
    let mut world = World::new();
    world.join(1, "10:a:x");
    world.hub.handle(NOW, received(backlog(1))).unwrap();
    world.hub.commit().unwrap();
    assert!(world.hub.poll_request().is_none());
    let is_request = |output: &Output| matches!(output, Output::Request(_));
    assert_eq!(std::iter::from_fn(|| world.hub.poll_output()).filter(is_request).count(), 1);
}

#[test]
fn a_crash_before_the_commit_forgets_the_round() {
    let mut world = World::over(CrashStore::new());
    world.join(1, "10:a:x");
    world.hub.handle(NOW, received(backlog(2))).unwrap();
    assert_eq!(respond_to_all(&mut world).len(), 2);
    let mut world = World::with(config(), world.hub.into_store().crash());
    assert!(world.requests.is_empty(), "the actions were not confirmed, so the client has them");
    world.join(1, "10:a:x");
    world.hub.handle(NOW, received(backlog(2))).unwrap();
    assert_eq!(respond_to_all(&mut world).len(), 2, "the application is asked again");
}

#[test]
fn recipients_receive_the_actions_after_the_commit() {
    let mut world = World::over(MemoryStore::new());
    world.join(1, "10:a:x");
    world.join(2, "20:b:y");
    world.hub.handle(NOW, received(backlog(1))).unwrap();
    let request = world.hub.poll_request().expect("a request");
    let resend = HandlerResponse::Resend(Recipients::client("20:b"));
    for response in [resend, HandlerResponse::Approved(None), HandlerResponse::Processed] {
        world.hub.handle(NOW, Input::Respond(request.id, response)).unwrap();
    }
    assert!(world.hub.poll_output().is_none());
    world.settle();
    assert!(world.delivered.iter().any(|delivered| delivered.starts_with("2 <- ")));
}

#[test]
fn after_a_failure_the_next_actions_of_the_client_wait_for_the_commit() {
    let mut world = World::new();
    world.join(1, "10:a:x");
    world.hub.handle(NOW, received(backlog(1))).unwrap();
    let request = world.hub.poll_request().expect("a request");
    world.hub.handle(NOW, Input::Respond(request.id, HandlerResponse::Denied)).unwrap();
    let later = backlog(2).split_off(1);
    world.hub.handle(NOW, received(later)).unwrap();
    assert!(world.hub.poll_request().is_none(), "after a crash, it may fail with the first one");
    world.settle();
    assert_eq!(world.requests.len(), 1);
}

#[test]
fn a_locked_store_changes_nothing() {
    let (store, switch) = FailingStore::new();
    let mut world = World::over(store);
    world.join(1, "10:a:x");
    switch.set(Some(StoreFailure::Locked));
    let error = world.hub.begin().expect_err("locked");
    assert!(Hub::<FailingStore>::is_transient(&error));
    switch.set(None);
    world.receive(1, backlog(1));
    assert_eq!(world.requests.len(), 1);
}

#[test]
fn after_a_failed_commit_a_hub_starts_again_from_its_store() {
    let (store, switch) = FailingStore::new();
    let mut world = World::over(store);
    world.join(1, "10:a:x");
    world.receive(1, backlog(1));
    let old = world.requests.pop_front().expect("a request");
    switch.set(Some(StoreFailure::Full));
    world.hub.handle(NOW, received(backlog(2))).unwrap();
    let error = world.hub.commit().expect_err("full");
    assert!(Hub::<FailingStore>::is_transient(&error));
    assert!(world.hub.restart().is_err(), "the store is still full");
    switch.set(None);
    world.hub.restart().unwrap();
    world.settle();
    assert_eq!(world.hub.connected(), 0, "all clients have to connect again");
    let request = world.requests.pop_front().expect("the committed action has no answer");
    assert_eq!(
        (request.entry.meta.id.to_string().as_str(), world.requests.len()),
        ("1 10:a:x 0", 0)
    );
    assert_ne!(request.id, old.id);

    world.join(1, "10:a:x");
    world.handle(Input::Respond(old.id, HandlerResponse::Denied));
    assert!(world.delivered.is_empty(), "late responses to earlier requests are ignored");
    world.receive(1, backlog(2));
    assert_eq!(world.persisted.len(), 2, "what was not confirmed is received again");
}

#[test]
fn damage_does_not_pass() {
    let (store, switch) = FailingStore::new();
    let mut world = World::over(store);
    world.join(1, "10:a:x");
    switch.set(Some(StoreFailure::Damaged));
    let error = world.hub.handle(NOW, received(backlog(1))).expect_err("damaged");
    assert!(!Hub::<FailingStore>::is_transient(&error));
}
