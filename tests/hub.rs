//! The life of an action in a hub, with the application played by the test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{collections::VecDeque, ops::ControlFlow};

use logux::{
    Action, Entry, MemoryStore, Meta, NodeId, Now,
    action::Subprotocol,
    log::Draft,
    server::{
        About, Addition, Answer, Ask, Config, Hub, Input, Output, Queues, Recipients, Report, SessionId, Undoing,
    },
    store::{Query, Store},
    testing::batch,
};

/// A hub with what it wanted done since the last look.
struct World<S = MemoryStore> {
    hub: Hub<S>,
    asks: VecDeque<Ask>,
    /// `SESSION <- ACTION`, in order.
    delivered: Vec<String>,
    kept: Vec<SessionId>,
    /// What happened, in order.
    reports: Vec<String>,
    other: Vec<String>,
}

const NOW: Now = Now::from_millis(1_564_508_138_460, 0);

fn config() -> Config {
    Config { debug: true, max_queue: 3, ..Config::new(NodeId::new("server:uuid").unwrap()) }
}

fn entry(id: &str, json: &str) -> Entry {
    Entry::new(Action::new(json).unwrap(), Meta::new(id.parse().unwrap()))
}

fn said(report: &Report) -> String {
    let of = |entry: &Entry| format!("{} {}", entry.action.kind(), entry.meta.id);
    match report {
        Report::Added(entry) => format!("added {}, kept: {}", of(entry), entry.meta.added.is_some()),
        Report::Useless(entry) => format!("useless {}", of(entry)),
        Report::Sent(entry, clients) => format!("sent {} to {clients}", entry.action.kind()),
        Report::Processed(entry) => format!("processed {}", of(entry)),
        Report::Undone { entry, reason } => format!("undone {}: {reason}", of(entry)),
        Report::Duplicate(id) => format!("again {id}"),
        Report::Subscribed { id, node, channel } => format!("{node} in {channel} by action: {}", id.is_some()),
        Report::Unsubscribed { node, channel } => format!("{node} left {channel}"),
        other => format!("{other:?}"),
    }
}

impl World {
    fn new() -> Self {
        Self::over(MemoryStore::new())
    }
}

impl<S: Store> World<S> {
    fn over(store: S) -> Self {
        Self::with(config(), store)
    }

    fn with(config: Config, store: S) -> Self {
        let hub = Hub::new(config, store).unwrap();
        let mut world = Self {
            hub,
            asks: VecDeque::new(),
            delivered: Vec::new(),
            kept: Vec::new(),
            reports: Vec::new(),
            other: Vec::new(),
        };
        world.settle();
        world
    }

    fn handle(&mut self, input: Input) {
        self.hub.handle(NOW, input).unwrap();
        assert!(self.hub.poll_output().is_none(), "nothing comes out before the commit");
        self.settle();
    }

    fn settle(&mut self) {
        self.hub.commit().unwrap();
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Ask(ask) => self.asks.push_back(ask),
                Output::Deliver { session, entry, .. } => {
                    self.delivered.push(format!("{} <- {}", session.0, entry.action.as_json()));
                }
                Output::Joined { session, missed, .. } => {
                    for entry in missed {
                        self.delivered.push(format!("{} <- {}", session.0, entry.action.as_json()));
                    }
                }
                Output::Kept(session, _) => self.kept.push(session),
                Output::Report(report) => self.reports.push(said(&report)),
                other => self.other.push(format!("{other:?}")),
            }
        }
    }

    fn join(&mut self, session: u64, node: &str) {
        self.join_since(session, node, 0);
    }

    fn join_since(&mut self, session: u64, node: &str, since: u64) {
        let node = NodeId::new(node).unwrap();
        let subprotocol = Subprotocol::Number(0);
        self.handle(Input::Join { session: SessionId(session), node, subprotocol, headers: None, since });
    }

    fn receive(&mut self, session: u64, entries: Vec<Entry>) {
        self.handle(Input::Received { session: SessionId(session), batch: batch(), entries });
    }

    fn answer(&mut self, answers: impl IntoIterator<Item = Answer>) {
        let ask = self.asks.pop_front().expect("a question");
        for answer in answers {
            self.handle(Input::Answer(ask.job, answer));
        }
    }

    fn subscribe(&mut self, session: u64, id: &str, channel: &str) {
        self.receive(session, vec![entry(id, &format!(r#"{{"type":"logux/subscribe","channel":"{channel}"}}"#))]);
        self.answer([Answer::Approved(None), Answer::Processed]);
        self.delivered.clear();
    }

    fn delivered(&mut self) -> Vec<String> {
        std::mem::take(&mut self.delivered)
    }
}

fn processed(session: u64, id: &str) -> String {
    format!(r#"{session} <- {{"type":"logux/processed","id":"{id}"}}"#)
}

fn undone(session: u64, action: &str, id: &str, reason: &str) -> String {
    format!(r#"{session} <- {{"type":"logux/undo","action":{action},"id":"{id}","reason":"{reason}"}}"#)
}

const A: &str = r#"{"type":"a"}"#;

#[test]
fn others_get_it_before_its_author_is_told() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    world.subscribe(2, "1 20:two:x 0", "room");
    world.receive(1, vec![entry("1 10:one:x 0", A)]);
    assert_eq!(world.kept.last(), Some(&SessionId(1)));
    world.answer([Answer::Resend(Recipients::channel("room")), Answer::Approved(None), Answer::Processed]);
    assert_eq!(world.delivered(), [format!("2 <- {A}"), processed(1, "1 10:one:x 0")]);
}

#[test]
fn an_action_that_comes_again_is_answered_but_not_done_again() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.receive(1, vec![entry("1 10:one:x 0", A), entry("1 10:one:x 0", A)]);
    assert_eq!(world.asks.len(), 1);
    world.receive(1, vec![entry("1 10:one:x 0", A)]);
    world.answer([Answer::Approved(None), Answer::Processed]);
    let answers = [(); 3].map(|()| processed(1, "1 10:one:x 0"));
    assert_eq!(world.delivered(), answers, "it came three times, so it is answered three times");
    world.receive(1, vec![entry("1 10:one:x 0", A)]);
    assert_eq!(world.delivered(), [processed(1, "1 10:one:x 0")]);
    assert!(world.asks.is_empty());

    // Also at another connection, and after a restart; there the answer comes already with what was missed.
    world.join_since(2, "10:one:x", 2);
    world.receive(2, vec![entry("1 10:one:x 0", A)]);
    assert_eq!(world.delivered(), [processed(2, "1 10:one:x 0")]);
}

#[test]
fn what_was_not_answered_before_a_restart_is_done_after_it() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    let subscribe = r#"{"type":"logux/subscribe","channel":"room"}"#;
    world.receive(1, vec![entry("1 10:one:x 0", A), entry("1 10:one:x 1", subscribe), entry("1 10:one:x 2", A)]);
    world.answer([Answer::Approved(None), Answer::Processed]);
    let store = world.hub.into_store();

    let mut world = World::over(store);
    assert_eq!(world.asks.len(), 1, "the subscription waits for its client, the action does not");
    assert_eq!(world.asks[0].entry.meta.id.to_string(), "1 10:one:x 2");
    world.answer([Answer::Approved(None), Answer::Processed]);
    world.join(7, "10:one:x");
    assert_eq!(world.delivered(), [processed(7, "1 10:one:x 0"), processed(7, "1 10:one:x 2")]);
    assert_eq!(world.asks[0].about, About::Subscription);
    world.answer([Answer::Approved(None), Answer::Processed]);
    assert_eq!(world.delivered(), [processed(7, "1 10:one:x 1")]);
}

#[test]
fn only_missed_answers_come_at_a_new_connection() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.receive(1, vec![entry("1 10:one:x 0", A)]);
    world.handle(Input::Leave(SessionId(1)));
    world.answer([Answer::Approved(None), Answer::Processed]);
    assert!(world.delivered().is_empty());
    world.join_since(2, "10:one:x", 0);
    assert_eq!(world.delivered(), [processed(2, "1 10:one:x 0")]);
    world.join_since(3, "10:one:x", 2);
    assert!(world.delivered().is_empty());
}

#[test]
fn a_failure_takes_what_waits_behind_it_along() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    world.subscribe(2, "1 20:two:x 0", "room");
    let ids = ["1 10:one:x 0", "1 10:one:x 1"];
    world.receive(1, ids.map(|id| entry(id, A)).into());
    world.answer([Answer::Resend(Recipients::channel("room")), Answer::Approved(None), Answer::error()]);
    let undo = |session| undone(session, A, ids[0], "error");
    let mut delivered = world.delivered();
    delivered[1..3].sort();
    assert_eq!(delivered, [format!("2 <- {A}"), undo(1), undo(2), undone(1, A, ids[1], "error")]);
    assert!(world.asks.is_empty());
    world.receive(1, vec![entry("1 10:one:x 2", A)]);
    assert_eq!(world.asks.len(), 1, "what comes later has its chance");
}

#[test]
fn every_refusal_has_its_reason() {
    let cases = [
        (Answer::Denied, "denied"),
        (Answer::UnknownType, "unknownType"),
        (Answer::WrongChannel, "wrongChannel"),
        (Answer::not_found(), "notFound"),
        (Answer::Processed, "error"),
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
fn who_does_something_too_often_is_told_when_there_is_room_again() {
    let rates = [("a".to_owned(), "2/m".parse().unwrap())].into();
    let mut world = World::with(Config { rates, ..config() }, MemoryStore::new());
    world.join(1, "10:phone:x");
    world.join(2, "10:laptop:x");
    world.join(3, "20:phone:x");
    world.receive(1, vec![entry("1 10:phone:x 0", A)]);
    world.receive(2, vec![entry("1 10:laptop:x 0", A)]);
    assert_eq!(world.asks.len(), 2);
    let too_many = entry("2 10:phone:x 0", A);
    let refusal = undone(1, A, "2 10:phone:x 0", "rateLimit");
    let refusal = format!("{},\"retryAfterMs\":30000}}", &refusal[..refusal.len() - 1]);
    world.receive(1, vec![too_many.clone()]);
    assert_eq!(world.delivered(), [&*refusal], "a user's clients share a bucket");
    world.receive(1, vec![too_many]);
    assert_eq!(world.delivered(), [&*refusal], "what comes again is answered as before, and costs nothing");
    world.receive(1, vec![entry("3 10:phone:x 0", r#"{"type":"b"}"#)]);
    world.receive(3, vec![entry("1 20:phone:x 0", A)]);
    assert_eq!((world.delivered().len(), world.asks.len()), (0, 3), "other types and users have room, in their queues");
    let later = Now::from_millis(NOW.wall.as_millis(), 30_000);
    let again = Input::Received { session: SessionId(2), batch: batch(), entries: vec![entry("4 10:laptop:x 0", A)] };
    world.hub.handle(later, again).unwrap();
    world.settle();
    assert!(world.delivered().is_empty(), "there is room again");
}

#[test]
fn a_client_has_no_more_subscriptions_than_allowed() {
    let mut world = World::with(Config { max_subscriptions: 1, ..config() }, MemoryStore::new());
    world.join(1, "10:one:x");
    world.subscribe(1, "1 10:one:x 0", "first");
    let second = r#"{"type":"logux/subscribe","channel":"second"}"#;
    world.receive(1, vec![entry("2 10:one:x 0", second)]);
    world.answer([Answer::Approved(None), Answer::Processed]);
    assert_eq!(world.delivered(), [undone(1, second, "2 10:one:x 0", "subscriptionLimit")]);
    world.receive(1, vec![entry("3 10:one:x 0", r#"{"type":"logux/unsubscribe","channel":"first"}"#)]);
    world.receive(1, vec![entry("4 10:one:x 0", second)]);
    world.answer([Answer::Approved(None), Answer::Processed]);
    assert_eq!(world.delivered().pop(), Some(processed(1, "4 10:one:x 0")));
}

#[test]
fn a_time_in_the_future_wins_nothing() {
    let mut world = World::new();
    world.join(1, "10:phone:tab");
    let ahead = |ms: i64| {
        Action::new(r#"{"type":"a"}"#).map(|action| {
            let id = format!("{} 10:phone:tab 0", NOW.wall.as_millis() + ms);
            (id.clone(), Entry::new(action, Meta::new(id.parse().unwrap())))
        })
    };
    let limit = i64::try_from(config().max_ahead_ms).unwrap();
    let (_, allowed) = ahead(limit).unwrap();
    world.receive(1, vec![allowed]);
    world.answer([Answer::Approved(None), Answer::Processed]);
    world.delivered();

    let (id, refused) = ahead(limit + 1).unwrap();
    world.receive(1, vec![refused.clone()]);
    assert!(world.asks.is_empty(), "the application is not asked");
    assert_eq!(world.delivered(), [undone(1, r#"{"type":"a"}"#, &id, "wrongTime")]);
    // The answer was lost with the connection: it is remembered, and so is the action.
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
    assert!(undo_time > Some(refused.meta.time), "the undo is later than what it undoes");
}

#[test]
fn nobody_acts_as_somebody_else() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    let mut with_meta = entry("2 10:one:x 0", A);
    with_meta.meta.extra.set("users", logux::Json::new(r#"["20"]"#).unwrap());
    world.receive(1, vec![entry("1 20:two:x 0", A), with_meta, entry("3 10:one:y 0", A)]);
    assert_eq!(
        world.delivered(),
        [undone(1, A, "1 20:two:x 0", "denied"), undone(1, A, "2 10:one:x 0", "denied")],
        "only the one who sent it is told"
    );
    assert_eq!(world.asks.len(), 1, "another tab of the same client is no stranger");
}

#[test]
fn everyone_gets_it_once_and_the_excluded_do_not() {
    let mut world = World::new();
    for (session, node) in [(1, "10:one:x"), (2, "10:two:x"), (3, "20:three:x"), (4, "30:four:x")] {
        world.join(session, node);
        world.subscribe(session, &format!("1 {node} 0"), "room");
    }
    let to = Recipients {
        channels: vec!["room".into(), "room".into()],
        users: vec!["10".into()],
        clients: vec!["10:one".into()],
        nodes: vec!["10:one:x".into(), "20:three:other-tab".into()],
        exclude_clients: vec!["30:four".into(), "10:one".into()],
    };
    let action = Action::new(A).unwrap();
    world.handle(Input::Add(Box::new(Addition { action, draft: Draft::default(), to, process: false, ticket: None })));
    let mut delivered = world.delivered();
    delivered.sort();
    assert_eq!(delivered, [1, 2, 3].map(|session| format!("{session} <- {A}")));
}

#[test]
fn the_author_hears_of_its_own_action_only_by_name() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.subscribe(1, "1 10:one:x 0", "room");
    world.receive(1, vec![entry("1 10:one:x 1", A)]);
    let both = Recipients { users: vec!["10".into()], ..Recipients::channel("room") };
    world.answer([Answer::Resend(both), Answer::Approved(None)]);
    assert!(world.delivered().is_empty());
    world.asks.clear();
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.receive(1, vec![entry("1 10:one:x 1", A)]);
    world.answer([Answer::Resend(Recipients::client("10:one")), Answer::Approved(None)]);
    assert_eq!(world.delivered(), [format!("1 <- {A}")]);
}

#[test]
fn filters_decide_and_are_taken_away_one_by_one() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    let subscribe = r#"{"type":"logux/subscribe","channel":"room","filter":{"a":1}}"#;
    world.receive(1, vec![entry("1 10:one:x 0", subscribe)]);
    let filter: logux::server::Filter = std::sync::Arc::new(|action, _| action.field("a") == Some("1"));
    world.answer([Answer::Approved(Some(filter)), Answer::Processed]);
    world.delivered.clear();
    let send = |world: &mut World, json: &str| {
        let addition = Addition {
            action: Action::new(json).unwrap(),
            draft: Draft::default(),
            to: Recipients::channel("room"),
            process: false,
            ticket: None,
        };
        world.handle(Input::Add(Box::new(addition)));
        world.delivered().len()
    };
    assert_eq!(send(&mut world, r#"{"type":"t","a":1}"#), 1);
    assert_eq!(send(&mut world, r#"{"type":"t","a":2}"#), 0);
    let unsubscribe = r#"{"type":"logux/unsubscribe","channel":"room"}"#;
    world.receive(1, vec![entry("1 10:one:x 1", unsubscribe)]);
    world.delivered.clear();
    assert_eq!(send(&mut world, r#"{"type":"t","a":1}"#), 1, "another filter was not taken away");
    let unsubscribe = r#"{"type":"logux/unsubscribe","channel":"room","filter":{"a":1}}"#;
    world.receive(1, vec![entry("1 10:one:x 2", unsubscribe)]);
    assert_eq!(world.delivered(), [processed(1, "1 10:one:x 2")]);
    assert_eq!(send(&mut world, r#"{"type":"t","a":1}"#), 0);
    assert!(world.other.iter().any(|output| output.starts_with("Unsubscribed")));
}

#[test]
fn the_same_client_again_replaces_its_connection() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.subscribe(1, "1 10:one:x 0", "room");
    world.join(2, "10:one:y");
    assert!(world.other.iter().any(|output| output == "Replaced(SessionId(1))"));
    assert_eq!(world.hub.connected(), 1);
    world.handle(Input::Leave(SessionId(1)));
    assert_eq!(world.hub.connected(), 1, "the end of the old connection is not the end of the new one");
}

#[test]
fn a_subscription_cut_short_goes_on_at_the_next_connection() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    let subscribe = r#"{"type":"logux/subscribe","channel":"room"}"#;
    world.receive(1, vec![entry("1 10:one:x 0", subscribe)]);
    world.handle(Input::Leave(SessionId(1)));
    world.answer([Answer::Approved(None), Answer::Processed]);
    assert!(world.delivered().is_empty());
    world.join(2, "10:one:x");
    world.answer([Answer::Approved(None), Answer::Processed]);
    assert_eq!(world.delivered(), [processed(2, "1 10:one:x 0")]);

    // But not for another tab: the one that wanted it is gone.
    world.receive(2, vec![entry("2 10:one:x 0", subscribe)]);
    world.handle(Input::Leave(SessionId(2)));
    world.answer([Answer::Approved(None), Answer::Processed]);
    world.join(3, "10:one:other");
    assert!(world.asks.is_empty());
}

#[test]
fn clients_that_never_come_back_are_given_up() {
    let mut world = World::new();
    let subscribe = r#"{"type":"logux/subscribe","channel":"room"}"#;
    for n in 0..1_001 {
        world.join(n, &format!("{n}:one:x"));
        world.receive(n, vec![entry(&format!("1 {n}:one:x 0"), subscribe)]);
        world.handle(Input::Leave(SessionId(n)));
        world.answer([Answer::Approved(None), Answer::Processed]);
    }
    world.join(5_000, "0:one:x");
    assert!(world.asks.is_empty(), "the one that waited longest");
    assert_eq!(world.delivered(), [undone(5_000, subscribe, "1 0:one:x 0", "error")], "but it is told");
    world.join(5_001, "1:one:x");
    assert_eq!(world.asks.len(), 1);
    assert_eq!(world.hub.into_store().len(), 1_000 + 2, "the others wait, and what the one was told is remembered");
}

#[test]
fn a_full_queue_holds_confirmations_back() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    for n in 0..8 {
        world.receive(1, vec![entry(&format!("{n} 10:one:x 0"), A)]);
    }
    assert_eq!(world.kept.len(), 4, "one is asked about, three wait, the rest is held");
    for n in 0..8 {
        world.answer([Answer::Approved(None), Answer::Processed]);
        assert_eq!(world.delivered(), [processed(1, &format!("{n} 10:one:x 0"))]);
    }
    assert_eq!(world.kept.len(), 8);
}

#[test]
fn own_actions_are_processed_on_demand_and_reported() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.subscribe(1, "1 10:one:x 0", "room");
    let addition = |ticket| {
        let action = Action::new(A).unwrap();
        let to = Recipients::default();
        Input::Add(Box::new(Addition { action, draft: Draft::default(), to, process: true, ticket: Some(ticket) }))
    };
    world.handle(addition(5));
    assert_eq!(world.asks[0].about, About::OwnAction);
    world.answer([Answer::Resend(Recipients::channel("room")), Answer::Approved(None), Answer::Processed]);
    assert_eq!(world.delivered(), [format!("1 <- {A}")]);
    world.handle(addition(6));
    world.answer([Answer::UnknownType]);
    assert_eq!(world.other, ["Done(5, Ok(()))", "Done(6, Err(\"unknownType\"))"]);
}

#[test]
fn what_happens_is_reported_in_order() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.subscribe(1, "1 10:one:x 0", "room");
    let subscribed = [
        "added logux/subscribe 1 10:one:x 0, kept: true",
        "10:one:x in room by action: true",
        "processed logux/subscribe 1 10:one:x 0",
        "sent logux/processed to 1",
    ];
    assert_eq!(std::mem::take(&mut world.reports), subscribed);

    world.join(2, "20:two:x");
    world.receive(2, vec![entry("2 20:two:x 0", A), entry("2 20:two:x 0", A)]);
    world.answer([Answer::Resend(Recipients::channel("room")), Answer::Approved(None), Answer::Denied]);
    let undone = [
        "added a 2 20:two:x 0, kept: true",
        "again 2 20:two:x 0",
        "sent a to 1",
        "undone a 2 20:two:x 0: denied",
        // Once for each time that the action came.
        "sent logux/undo to 1",
        "sent logux/undo to 2",
    ];
    assert_eq!(std::mem::take(&mut world.reports), undone);

    let (action, to) = (Action::new(A).unwrap(), Recipients::default());
    let useless = Addition { action, draft: Draft::default(), to, process: false, ticket: None };
    world.handle(Input::Add(Box::new(useless)));
    world.handle(Input::Leave(SessionId(1)));
    let last = world.reports.split_off(world.reports.len() - 2);
    assert!(world.reports[0].starts_with("added a ") && world.reports[0].ends_with("kept: false"));
    assert!(last[0].starts_with("sent a to 0") && last[1] == "10:one:x left room", "{last:?}");
    assert!(world.reports[1].starts_with("useless a "));
}

#[test]
fn everything_can_be_counted() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.join(2, "20:two:x");
    world.subscribe(1, "1 10:one:x 0", "room");
    world.subscribe(2, "1 20:two:x 0", "room");
    world.receive(2, vec![entry("2 20:two:x 0", A), entry("2 20:two:x 1", A), entry("2 20:two:x 2", A)]);
    let census = world.hub.census().unwrap();
    assert_eq!((census.clients, census.channels, census.subscriptions), (2, 1, 2));
    assert_eq!((census.running, census.waiting, census.parked, census.unconfirmed), (1, 2, 0, 2));
    assert!(census.added >= 5);
    let clients = world.hub.clients().map(|client| (client.node.as_str(), client.channels().count(), client.waiting));
    let mut clients: Vec<_> = clients.collect();
    clients.sort_unstable();
    assert_eq!(clients, [("10:one:x", 1, 0), ("20:two:x", 1, 2)]);
    world.handle(Input::Leave(SessionId(1)));
    world.handle(Input::Leave(SessionId(2)));
    let census = world.hub.census().unwrap();
    assert_eq!((census.clients, census.channels, census.subscriptions, census.running), (0, 0, 0, 1));
}

#[test]
fn what_is_remembered_is_counted_across_a_restart() {
    let held = |world: &World| world.hub.census().map(|census| (census.remembered, census.remembered_bytes)).unwrap();
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.subscribe(1, "1 10:one:x 0", "room");
    assert_eq!(held(&world).0, 2, "until the client knows");
    world.handle(Input::Acknowledged { session: SessionId(1), added: 100 });
    assert_eq!(held(&world), (0, 0));

    world.receive(1, vec![entry("2 10:one:x 0", A), entry("3 10:one:x 0", A)]);
    let loaded = Answer::Action(Action::new(A).unwrap(), Box::default());
    world.answer([Answer::Approved(None), loaded, Answer::Processed]);
    let answer = processed(1, "2 10:one:x 0").len() - "1 <- ".len();
    assert_eq!(held(&world), (4, 3 * A.len() + answer), "two actions, one more for the client, one answer");
    let mut world = World::over(world.hub.into_store());
    assert_eq!(held(&world), (4, 3 * A.len() + answer));
    world.answer([Answer::Approved(None), Answer::Processed]);
    assert_eq!(held(&world).0, 5);
}

#[test]
fn a_stop_finishes_what_is_in_progress() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    world.receive(1, vec![entry("1 10:one:x 0", A), entry("1 10:one:x 1", A)]);
    world.handle(Input::Drain);
    world.receive(1, vec![entry("1 10:one:x 2", A)]);
    assert_eq!(world.kept.len(), 1, "nothing new is confirmed");
    world.answer([Answer::Approved(None), Answer::Processed]);
    assert!(!world.other.iter().any(|output| output == "Drained"));
    world.answer([Answer::Approved(None), Answer::Processed]);
    assert!(world.other.iter().any(|output| output == "Drained"));
}

#[test]
fn queues_of_one_client_run_side_by_side() {
    let by_type = Queues::by(|action| action.kind().into());
    let mut world = World::with(Config { queues: by_type, ..config() }, MemoryStore::new());
    world.join(1, "10:one:x");
    let b = r#"{"type":"b"}"#;
    let ids = ["1 10:one:x 0", "1 10:one:x 1", "1 10:one:x 2"];
    world.receive(1, vec![entry(ids[0], A), entry(ids[1], A), entry(ids[2], b)]);
    let asked = |world: &World| world.asks.iter().map(|ask| ask.entry.meta.id.to_string()).collect::<Vec<_>>();
    assert_eq!(asked(&world), [ids[0], ids[2]], "the second of a queue waits for the first, the other queue does not");
    world.answer([Answer::error()]);
    assert_eq!(world.delivered(), [undone(1, A, ids[0], "error"), undone(1, A, ids[1], "error")]);
    assert_eq!(asked(&world), [ids[2]], "a failure takes only its own queue along");
    world.answer([Answer::Approved(None), Answer::Processed]);
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
    world.answer([Answer::Resend(Recipients::channel("room")), Answer::Approved(None), Answer::Processed]);
    world.delivered();
    let undo = |world: &mut World, id: &str| {
        let undoing = Undoing::new(id.parse().unwrap(), "spam").to(Recipients::channel("room"));
        world.handle(Input::Undo(Box::new(undoing)));
    };

    undo(&mut world, &ids[2]);
    assert_eq!(world.delivered(), [undone(1, A, &ids[2], "spam")], "nobody else has got what still waits");
    undo(&mut world, &ids[0]);
    let mut delivered = world.delivered();
    delivered.sort();
    assert_eq!(delivered, [1, 2].map(|session| undone(session, A, &ids[0], "spam")), "it was done");
    undo(&mut world, &ids[1]);
    assert_eq!(world.delivered(), [undone(1, A, &ids[1], "spam")], "it is in progress");
    world.answer([Answer::Approved(None), Answer::Processed]);
    assert!(world.delivered().is_empty(), "what its handler says then counts no more");

    for id in &ids {
        world.receive(1, vec![entry(id, A)]);
        assert_eq!(world.delivered(), [undone(1, A, id, "spam")], "and so they are answered when they come again");
    }
}

#[test]
fn a_subscription_that_is_cancelled_while_it_loads_has_no_effect() {
    let mut world = World::new();
    world.join(1, "10:one:x");
    let of = |what: &str| format!(r#"{{"type":"logux/{what}","channel":"room"}}"#);
    world.receive(1, vec![entry("1 10:one:x 0", &of("subscribe"))]);
    world.receive(1, vec![entry("1 10:one:x 1", &of("unsubscribe"))]);
    assert_eq!(world.delivered(), [processed(1, "1 10:one:x 1")]);
    let load = Answer::Action(Action::new(A).unwrap(), Box::default());
    world.answer([Answer::Approved(None), load, Answer::Processed]);
    assert_eq!(world.delivered(), [processed(1, "1 10:one:x 0")], "nothing is loaded, and nobody waits for ever");
    let action = Action::new(A).unwrap();
    let to = Recipients::channel("room");
    world.handle(Input::Add(Box::new(Addition { action, draft: Draft::default(), to, process: false, ticket: None })));
    assert!(world.delivered().is_empty());
}

#[test]
fn why_it_failed_is_shown_to_its_author_in_development_only() {
    for debug in [true, false] {
        let mut world = World::with(Config { debug, ..config() }, MemoryStore::new());
        world.join(1, "10:one:x");
        world.join(2, "20:two:x");
        world.receive(1, vec![entry("1 10:one:x 0", A)]);
        world.answer([Answer::Debug("no such table".into()), Answer::error()]);
        let shown = [r#"Debug(SessionId(1), "no such table")"#];
        assert_eq!(world.other, if debug { &shown[..] } else { &[] });
    }
}
