//! Limits of clients: authorship, times, rates, subscriptions, queues.

use std::ops::ControlFlow;

use logux::{
    Action, Entry, MemoryStore, Meta, Now,
    server::{Config, HandlerResponse, Input, SessionId},
    store::{Query, Store as _},
    testing::batch,
};

use crate::world::{A, NOW, World, config, entry, processed, undone};

#[test]
fn actions_of_other_clients_and_foreign_meta_are_denied() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    let mut with_meta = entry("2 10:one:x 0", A);
    with_meta.meta.extra.set("users", logux::Json::new(r#"["20"]"#).unwrap());
    world.receive(1, vec![entry("1 20:two:x 0", A), with_meta, entry("3 10:one:y 0", A)]);
    assert_eq!(
        world.delivered(),
        [undone(1, A, "1 20:two:x 0", "denied"), undone(1, A, "2 10:one:x 0", "denied")],
        "only the sender receives the undo"
    );
    assert_eq!(world.requests.len(), 1, "actions of another tab of the client are accepted");
}

#[test]
fn actions_too_far_in_the_future_are_undone() {
    let mut world = World::new();
    world.join(1, "10:phone:tab");
    let ahead = |ms: i64| {
        Action::new(r#"{"type":"a"}"#).map(|action| {
            let id = format!("{} 10:phone:tab 0", NOW.wall.as_millis() + ms);
            (id.clone(), Entry::new(action, Meta::new(id.parse().unwrap())))
        })
    };
    let limit = i64::try_from(config().max_ahead.as_millis()).unwrap();
    let (_, allowed) = ahead(limit).unwrap();
    world.receive(1, vec![allowed]);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.delivered();

    let (id, refused) = ahead(limit + 1).unwrap();
    world.receive(1, vec![refused.clone()]);
    assert!(world.requests.is_empty(), "the application is not asked");
    assert_eq!(world.delivered(), [undone(1, r#"{"type":"a"}"#, &id, "wrongTime")]);
    // The action and its answer are remembered, in case the answer is lost.
    world.receive(1, vec![refused.clone()]);
    assert_eq!(world.delivered(), [undone(1, r#"{"type":"a"}"#, &id, "wrongTime")]);
    let store = world.hub.into_store();
    let mut undo_time = None;
    store
        .walk(&Query::added(), &mut |entry| {
            if entry.action.kind() == "logux/undo" {
                undo_time = Some(entry.meta.time);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(undo_time > Some(refused.meta.time), "the undo is later than the action");
}

#[test]
fn an_action_above_the_rate_is_undone_with_the_time_until_the_next_is_allowed() {
    let rates = [("a".to_owned(), "2/m".parse().unwrap())].into();
    let mut world = World::with(Config { rates, ..config() }, MemoryStore::new());
    world.join(1, "10:phone:x");
    world.join(2, "10:laptop:x");
    world.join(3, "20:phone:x");
    world.receive(1, vec![entry("1 10:phone:x 0", A)]);
    world.receive(2, vec![entry("1 10:laptop:x 0", A)]);
    assert_eq!(world.requests.len(), 2);
    let too_many = entry("2 10:phone:x 0", A);
    let refusal = undone(1, A, "2 10:phone:x 0", "rateLimit");
    let refusal = format!("{},\"retryAfterMs\":30000}}", &refusal[..refusal.len() - 1]);
    world.receive(1, vec![too_many.clone()]);
    assert_eq!(world.delivered(), [&*refusal], "the clients of a user share a bucket");
    world.receive(1, vec![too_many]);
    assert_eq!(
        world.delivered(),
        [&*refusal],
        "a retry returns the same answer, and takes no token"
    );
    world.receive(1, vec![entry("3 10:phone:x 0", r#"{"type":"b"}"#)]);
    world.receive(3, vec![entry("1 20:phone:x 0", A)]);
    assert_eq!(
        (world.delivered().len(), world.requests.len()),
        (0, 3),
        "other types and users are not limited; one action waits in its queue"
    );
    let later = Now::from_millis(NOW.wall.as_millis(), 30_000);
    let next = Input::Received {
        session: SessionId(2),
        batch: batch(),
        entries: vec![entry("4 10:laptop:x 0", A)],
    };
    world.hub.handle(later, next).unwrap();
    world.settle();
    assert!(world.delivered().is_empty(), "the next action is allowed");
}

#[test]
fn a_subscription_above_the_limit_is_undone() {
    let mut world = World::with(Config { max_subscriptions: 1, ..config() }, MemoryStore::new());
    world.join(1, "10:one:x");
    world.subscribe(1, "1 10:one:x 0", "first");
    let second = r#"{"type":"logux/subscribe","channel":"second"}"#;
    world.receive(1, vec![entry("2 10:one:x 0", second)]);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert_eq!(world.delivered(), [undone(1, second, "2 10:one:x 0", "subscriptionLimit")]);
    world.receive(
        1,
        vec![entry("3 10:one:x 0", r#"{"type":"logux/unsubscribe","channel":"first"}"#)],
    );
    world.receive(1, vec![entry("4 10:one:x 0", second)]);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert_eq!(world.delivered().pop(), Some(processed(1, "4 10:one:x 0")));
}

#[test]
fn a_full_queue_delays_confirmations() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    for n in 0..8 {
        world.receive(1, vec![entry(&format!("{n} 10:one:x 0"), A)]);
    }
    assert_eq!(world.persisted.len(), 4, "one is running, three wait, the others are held");
    for n in 0..8 {
        world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
        assert_eq!(world.delivered(), [processed(1, &format!("{n} 10:one:x 0"))]);
    }
    assert_eq!(world.persisted.len(), 8);
}

#[test]
fn a_large_message_is_handled_in_slices() {
    let mut world = World::with(Config { max_queue: 10_000, ..config() }, MemoryStore::new());
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    let many: Vec<_> = (0..500).map(|n| entry(&format!("{n} 10:one:x 0"), A)).collect();
    let received =
        |session, entries| Input::Received { session: SessionId(session), batch: batch(), entries };
    world.hub.handle(NOW, received(1, many)).unwrap();
    assert!(world.hub.is_busy(), "one input does not handle all actions");
    world.hub.handle(NOW, received(2, vec![entry("1 20:two:x 0", A)])).unwrap();
    world.settle();
    assert_eq!(world.persisted, [SessionId(2)], "others do not wait for the whole message");
    let mut slices = 0;
    while world.hub.is_busy() {
        world.hub.handle(NOW, Input::Continue).unwrap();
        world.settle();
        slices += 1;
    }
    assert!(slices > 4, "{slices} slices");
    assert_eq!(world.persisted, [SessionId(2), SessionId(1)], "it is confirmed once");
    assert_eq!(world.hub.stats().unwrap().waiting, 499);
}

#[test]
fn each_filter_counts_as_a_subscription_and_its_size_is_limited() {
    let limits = Config {
        max_subscriptions: 3,
        max_filter_bytes: 40,
        max_client_filter_bytes: 60,
        ..config()
    };
    let mut world = World::with(limits, MemoryStore::new());
    world.join(1, "10:one:x");
    let mut number = 0;
    let mut outcome = |world: &mut World, kind: &str, filter: &str| {
        number += 1;
        let action =
            format!(r#"{{"type":"logux/{kind}","channel":"room","filter":{{"n":"{filter}"}}}}"#);
        world.receive(1, vec![entry(&format!("{number} 10:one:x 0"), &action)]);
        if !world.requests.is_empty() {
            world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
        }
        let answer = world.delivered().pop().unwrap();
        let reason = answer.rsplit(r#""reason":""#).next().unwrap().trim_end_matches("\"}");
        if answer.contains("logux/processed") { "processed".to_owned() } else { reason.to_owned() }
    };
    let long = "x".repeat(50);
    assert_eq!(outcome(&mut world, "subscribe", &long), "filterTooLarge");
    assert_eq!(outcome(&mut world, "subscribe", "1"), "processed");
    assert_eq!(outcome(&mut world, "subscribe", "1"), "processed", "the same one again");
    assert_eq!(outcome(&mut world, "subscribe", "2"), "processed");
    assert_eq!(outcome(&mut world, "subscribe", "3"), "processed");
    assert_eq!(outcome(&mut world, "subscribe", "4"), "subscriptionLimit");
    assert_eq!(outcome(&mut world, "unsubscribe", "1"), "processed");
    assert_eq!(outcome(&mut world, "subscribe", &"y".repeat(30)), "processed");
    assert_eq!(outcome(&mut world, "unsubscribe", "2"), "processed");
    assert_eq!(outcome(&mut world, "subscribe", &"z".repeat(30)), "subscriptionLimit");
    assert_eq!(outcome(&mut world, "subscribe", "5"), "processed", "a small one is accepted");
}
