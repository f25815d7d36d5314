//! What stays in the server's log, and who is given it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use logux::{
    Action, Entry, MemoryStore, Meta, NodeId, Now,
    action::Subprotocol,
    log::Draft,
    server::{
        AddAction, Config, HandlerResponse, Hub, Input, Output, Recipients, Retention,
        RetentionPolicy, SessionId, UndoRequest,
    },
    store::Store,
    testing::batch,
};

/// A hub whose application approves and processes everything, and resends it to the channel `room`.
struct World<S = MemoryStore> {
    hub: Hub<S>,
    now: i64,
    sent: u32,
    /// `SESSION <- n`, for what was sent as it happened, and `SESSION <= n` for what was replayed.
    seen: Vec<String>,
    recorded: Vec<String>,
    /// What the application says instead of processed.
    fails: bool,
}

const START: i64 = 1_000_000;

fn n(entry: &Entry) -> String {
    let undone = entry.action.str_field("reason").map(|_| "undo ".to_owned()).unwrap_or_default();
    let inner = entry.action.field("action").map(|inner| Action::new(inner).unwrap());
    let action = inner.as_ref().unwrap_or(&entry.action);
    undone + action.field("n").unwrap_or("?")
}

impl World {
    fn new(keep: impl Fn(&Action) -> Option<Retention> + Send + Sync + 'static) -> Self {
        Self::over(keep, MemoryStore::new())
    }
}

impl<S: Store> World<S> {
    fn over(keep: impl Fn(&Action) -> Option<Retention> + Send + Sync + 'static, store: S) -> Self {
        let config = Config {
            retention: RetentionPolicy::by(move |action, _| keep(action)),
            ..Config::new(NodeId::new("server:x").unwrap())
        };
        let hub = Hub::new(config, store).unwrap();
        let mut world =
            Self { hub, now: START, sent: 0, seen: Vec::new(), recorded: Vec::new(), fails: false };
        world.join(1, "10:author:x");
        world
    }

    fn handle(&mut self, input: Input) {
        self.hub.handle(Now::from_millis(self.now, 0), input).unwrap();
        self.settle();
    }

    fn settle(&mut self) {
        self.hub.commit().unwrap();
        while let Some(output) = self.hub.poll_output() {
            let answers = match output {
                Output::Request(request) if request.entry.action.kind() == "logux/subscribe" => {
                    vec![
                        (request.id, HandlerResponse::Approved(None)),
                        (request.id, HandlerResponse::Replay),
                        (request.id, HandlerResponse::Processed),
                    ]
                }
                Output::Request(request) => {
                    let last = if self.fails {
                        HandlerResponse::error()
                    } else {
                        HandlerResponse::Processed
                    };
                    let resend = HandlerResponse::Resend(Recipients {
                        users: vec!["10".into()],
                        ..Recipients::channel("room")
                    });
                    vec![
                        (request.id, resend),
                        (request.id, HandlerResponse::Approved(None)),
                        (request.id, last),
                    ]
                }
                Output::Deliver { session, entry, .. }
                    if entry.action.kind() != "logux/processed" =>
                {
                    self.seen.push(format!("{} <- {}", session.0, n(&entry)));
                    Vec::new()
                }
                Output::Replay { session, entries, .. } => {
                    self.seen.extend(
                        entries.iter().map(|entry| format!("{} <= {}", session.0, n(entry))),
                    );
                    Vec::new()
                }
                Output::Joined { session, missed, .. } => {
                    let kept = missed.iter().filter(|entry| entry.action.kind() == "say");
                    self.seen.extend(kept.map(|entry| format!("{} joins {}", session.0, n(entry))));
                    Vec::new()
                }
                Output::Recorded(entry) => {
                    self.recorded.push(n(&entry));
                    Vec::new()
                }
                _ => Vec::new(),
            };
            for (job, answer) in answers {
                self.hub
                    .handle(Now::from_millis(self.now, 0), Input::Respond(job, answer))
                    .unwrap();
            }
            self.hub.commit().unwrap();
        }
    }

    fn join(&mut self, session: u64, node: &str) {
        let node = NodeId::new(node).unwrap();
        let subprotocol = Subprotocol::Number(0);
        self.handle(Input::Join {
            session: SessionId(session),
            node,
            subprotocol,
            headers: None,
            since: 0,
        });
    }

    fn receive(&mut self, session: u64, node: &str, time: i64, json: &str) -> String {
        self.sent += 1;
        let id = format!("{time} {node} {}", self.sent);
        let entry = Entry::new(Action::new(json).unwrap(), Meta::new(id.parse().unwrap()));
        self.handle(Input::Received {
            session: SessionId(session),
            batch: batch(),
            entries: vec![entry],
        });
        id
    }

    /// The author does the n-th action, at a time.
    fn act(&mut self, n: u32, time: i64) -> String {
        self.receive(1, "10:author:x", time, &format!(r#"{{"type":"say","n":{n}}}"#))
    }

    /// Somebody else subscribes; what it is given.
    fn subscribe(&mut self, session: u64, since: Option<&str>) -> Vec<String> {
        let node = format!("20:c{session}:x");
        self.join(session, &node);
        let since =
            since.map(|id| format!(r#","since":{{"id":"{id}","time":0}}"#)).unwrap_or_default();
        self.seen.clear();
        let json = format!(r#"{{"type":"logux/subscribe","channel":"room"{since}}}"#);
        self.receive(session, &node, self.now, &json);
        std::mem::take(&mut self.seen)
    }

    fn kept(&self) -> Vec<String> {
        let mut kept = Vec::new();
        self.hub.recorded(|entry| kept.push(n(entry))).unwrap();
        kept
    }
}

#[test]
fn a_subscriber_gets_what_was_kept_and_then_what_it_has_missed() {
    let mut world = World::new(|_| Some(Retention::forever("talk")));
    let ids = [1, 2, 3].map(|n| world.act(n, START - i64::from(10 * n)));
    assert_eq!(
        world.subscribe(2, None),
        ["2 <= 1", "2 <= 2", "2 <= 3"],
        "in the order in which they were approved"
    );
    assert_eq!(
        world.subscribe(3, Some(&ids[1])),
        ["3 <= 3"],
        "though it is older than the last it has got"
    );
    assert!(world.subscribe(4, Some(&ids[2])).is_empty());
    assert_eq!(world.recorded, ["1", "2", "3"]);
}

/// It was made offline, long before it came.
#[test]
fn what_came_late_is_new_to_who_was_there_before_it_came() {
    let mut world = World::new(|_| Some(Retention::forever("talk")));
    world.act(1, START);
    world.now = START + 10_000;
    world.act(2, START - 50_000);
    let since = format!("{} server:x 0", START + 5_000);
    assert_eq!(
        world.subscribe(2, Some(&since)),
        ["2 <= 2"],
        "the answer that it knows is forgotten here"
    );
}

#[test]
fn nothing_is_kept_unless_told() {
    let mut world =
        World::new(|action| (action.field("n") == Some("2")).then(|| Retention::forever("talk")));
    for n in [1, 2, 3] {
        world.act(n, START);
    }
    assert_eq!(world.subscribe(2, None), ["2 <= 2"]);
}

#[test]
fn who_comes_back_is_not_given_what_it_did_itself() {
    let mut world = World::new(|_| Some(Retention::forever("talk")));
    let first = world.act(1, START);
    world.receive(1, "10:author:x", START, r#"{"type":"say","n":2}"#);
    world.seen.clear();
    let since = format!(
        r#"{{"type":"logux/subscribe","channel":"room","since":{{"id":"{first}","time":0}}}}"#
    );
    world.receive(1, "10:author:x", START, &since);
    assert!(world.seen.is_empty());
    world.receive(1, "10:author:x", START, r#"{"type":"logux/subscribe","channel":"room"}"#);
    assert_eq!(world.seen, ["1 <= 1", "1 <= 2"], "unless it begins anew");
}

#[test]
fn refused_and_undone_actions_are_not_kept_but_their_undo_is() {
    let mut world = World::new(|_| Some(Retention::forever("talk")));
    let first = world.act(1, START);
    world.fails = true;
    world.act(2, START);
    world.fails = false;
    assert_eq!(
        (world.recorded.clone(), world.kept()),
        (vec!["1".into()], vec!["1".into(), "undo 2".into()])
    );
    world.handle(Input::Undo(Box::new(UndoRequest::new(first.parse().unwrap(), "spam"))));
    assert_eq!(
        world.subscribe(2, Some(&first)),
        ["2 <= undo 2", "2 <= undo 1"],
        "who has got it has to take it back"
    );
    assert_eq!(world.recorded, ["1", "undo 1"]);
}

#[test]
fn bounds_of_count_age_and_the_latest_hold() {
    let mut world = World::new(|_| Some(Retention::last("talk", 8)));
    for n in 1..=30 {
        world.act(n, START);
        assert!(world.kept().len() <= 10, "a quarter more at most");
    }
    let kept = world.kept();
    assert!(kept.len() >= 8 && kept.last().unwrap() == "30", "{kept:?}");

    let mut world = World::new(|_| Some(Retention::latest("cursor")));
    world.act(1, START + 1);
    world.act(2, START + 3);
    world.act(3, START + 2);
    assert_eq!(world.kept(), ["2"], "the latest by its time, not by its arrival");

    let mut world =
        World::new(|_| Some(Retention::for_duration("news", Duration::from_millis(1_600))));
    world.act(1, START);
    world.now = START + 1_000;
    world.act(2, START + 1_000);
    world.now = START + 1_701;
    world.handle(Input::Leave(SessionId(99)));
    assert_eq!(world.kept(), ["2"], "whatever happens then makes it forget");
}

#[test]
fn the_latest_that_fails_leaves_the_one_before_it() {
    let keep = |_: &Action| Some(Retention::latest("cursor"));
    let mut world = World::new(keep);
    world.act(1, START);
    world.fails = true;
    world.act(2, START + 20);
    world.fails = false;
    assert_eq!(
        world.subscribe(2, None),
        ["2 <= 1", "2 <= undo 2"],
        "who has got it has to take it back"
    );
    let mut world = World::over(keep, world.hub.into_store());
    assert_eq!(world.kept(), ["1", "undo 2"], "states are made of the one before it");
    world.act(3, START + 10);
    assert_eq!(world.kept(), ["undo 2", "3"], "an undo is no later action");
    let id = world.act(4, START + 30);
    assert_eq!(world.kept(), ["4"]);
    world.handle(Input::Undo(Box::new(UndoRequest::new(id.parse().unwrap(), "spam"))));
    assert_eq!(world.kept(), ["undo 4"], "it was done: the one before it is forgotten");
    let (action, to) =
        (Action::new(r#"{"type":"say","n":5}"#).unwrap(), Recipients::channel("room"));
    world.now = START + 100;
    world.handle(Input::Add(Box::new(AddAction {
        action,
        draft: Draft::default(),
        to,
        process: false,
        ticket: None,
    })));
    assert_eq!(world.kept(), ["5"], "the application's own take the place of others, too");
}

#[test]
fn what_was_kept_outlives_a_restart_and_so_does_its_bound() {
    let keep = |_: &Action| Some(Retention::for_duration("news", Duration::from_millis(1_600)));
    let mut world = World::new(keep);
    world.act(1, START);
    let store = world.hub.into_store();
    let mut world = World::over(keep, store);
    assert_eq!(world.kept(), ["1"]);
    assert_eq!(world.subscribe(2, None), ["2 <= 1"]);
    world.now = START + 2_000;
    world.handle(Input::Leave(SessionId(99)));
    assert!(world.kept().is_empty());
}

#[test]
fn actions_of_the_application_are_kept_too() {
    let mut world = World::new(|_| Some(Retention::forever("talk")));
    let action = || Action::new(r#"{"type":"say","n":7}"#).unwrap();
    for process in [false, true] {
        let (draft, to) = (Draft::default(), Recipients::channel("room"));
        world.handle(Input::Add(Box::new(AddAction {
            action: action(),
            draft,
            to,
            process,
            ticket: None,
        })));
    }
    assert_eq!(world.subscribe(2, None), ["2 <= 7", "2 <= 7"]);
    assert_eq!(world.recorded, ["7", "7"]);
}

#[test]
fn a_kept_action_that_comes_again_after_its_answer_is_forgotten_is_not_done_again() {
    let mut world = World::new(|_| Some(Retention::forever("talk")));
    let id = world.act(1, START);
    world.now = START
        + i64::try_from(Config::new(NodeId::new("server:x").unwrap()).remembered_for.as_millis())
            .unwrap()
            * 2;
    world.handle(Input::Leave(SessionId(99)));
    world.recorded.clear();
    let entry =
        Entry::new(Action::new(r#"{"type":"say","n":1}"#).unwrap(), Meta::new(id.parse().unwrap()));
    world.handle(Input::Received { session: SessionId(1), batch: batch(), entries: vec![entry] });
    assert!(world.recorded.is_empty());
    assert_eq!(world.kept(), ["1"]);
}

#[test]
fn clients_of_a_user_are_given_what_was_kept_for_it_until_it_is_forgotten() {
    let mut world = World::new(|_| Some(Retention::forever("talk")));
    let ids = [1, 2, 3].map(|n| world.act(n, START));
    world.seen.clear();
    world.join(2, "10:other:x");
    assert_eq!(world.seen, ["2 joins 1", "2 joins 2", "2 joins 3"]);
    world.handle(Input::Forget(ids[1].parse().unwrap()));
    world.seen.clear();
    world.join(3, "10:third:x");
    world.join(4, "20:stranger:x");
    world.join(5, "10:author:y");
    assert_eq!(
        world.seen,
        ["3 joins 1", "3 joins 3"],
        "its author has it, and others have nothing to do with it"
    );
    assert_eq!(world.kept(), ["1", "3"]);
}
