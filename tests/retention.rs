//! The actions that stay in the server's log, and the clients that receive them.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use std::time::Duration;

use logux::{
    Action, Entry, MemoryStore, Meta, NodeId, Now,
    action::Subprotocol,
    log::Draft,
    server::{
        AddAction, Config, HandlerResponse, Hub, Input, LogQuery, Output, Recipients, Retention,
        RetentionPolicy, SessionId, UndoRequest,
    },
    store::Store,
    testing::batch,
};

/// A hub whose application approves and processes all actions, and resends them to the channel
/// `room` and the user `10`.
struct World<S = MemoryStore> {
    hub: Hub<S>,
    now: i64,
    sent: u32,
    /// The received actions: `SESSION <- n` if it was delivered, `SESSION <= n` if it was replayed,
    /// `SESSION joins n` if it was missed.
    received: Vec<String>,
    recorded: Vec<String>,
    /// Whether the application responds with an error instead of processed.
    fails: bool,
}

const START: i64 = 1_000_000;

/// Returns the `n` of an action, or `undo n` for its undo.
fn n(entry: &Entry) -> String {
    let undone = entry.action.str_field("reason").map(|_| "undo ".to_owned()).unwrap_or_default();
    let inner = entry.action.field("action").map(|inner| Action::new(inner).unwrap());
    let action = inner.as_ref().unwrap_or(&entry.action);
    undone + action.field("n").unwrap_or("?")
}

impl World {
    fn new(policy: impl Fn(&Action) -> Option<Retention> + Send + Sync + 'static) -> Self {
        Self::over(policy, MemoryStore::new())
    }
}

impl<S: Store> World<S> {
    fn over(
        policy: impl Fn(&Action) -> Option<Retention> + Send + Sync + 'static,
        store: S,
    ) -> Self {
        let config = Config {
            retention: RetentionPolicy::by(move |action, _| policy(action)),
            ..Config::new(NodeId::new("server:x").unwrap())
        };
        let hub = Hub::new(config, store).unwrap();
        let (received, recorded) = (Vec::new(), Vec::new());
        let mut world = Self { hub, now: START, sent: 0, received, recorded, fails: false };
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
            let responses = match output {
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
                    self.received.push(format!("{} <- {}", session.0, n(&entry)));
                    Vec::new()
                }
                Output::Replay { session, entries, .. } => {
                    self.received.extend(
                        entries.iter().map(|entry| format!("{} <= {}", session.0, n(entry))),
                    );
                    Vec::new()
                }
                Output::Missed { session, entries: missed, .. } => {
                    let missed = missed.iter().filter(|entry| entry.action.kind() == "say");
                    let missed = missed.map(|entry| format!("{} joins {}", session.0, n(entry)));
                    self.received.extend(missed);
                    Vec::new()
                }
                Output::Recorded { entry, .. } => {
                    self.recorded.push(n(&entry));
                    Vec::new()
                }
                _ => Vec::new(),
            };
            for (id, response) in responses {
                self.hub
                    .handle(Now::from_millis(self.now, 0), Input::Respond(id, response))
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

    /// Sends the action `n` of the author, with this time.
    fn act(&mut self, n: u32, time: i64) -> String {
        self.receive(1, "10:author:x", time, &format!(r#"{{"type":"say","n":{n}}}"#))
    }

    /// Subscribes another client, and returns the actions that it receives.
    fn subscribe(&mut self, session: u64, since: Option<&str>) -> Vec<String> {
        let node = format!("20:c{session}:x");
        self.join(session, &node);
        let since =
            since.map(|id| format!(r#","since":{{"id":"{id}","time":0}}"#)).unwrap_or_default();
        self.received.clear();
        let json = format!(r#"{{"type":"logux/subscribe","channel":"room"{since}}}"#);
        self.receive(session, &node, self.now, &json);
        std::mem::take(&mut self.received)
    }

    fn kept(&self) -> Vec<String> {
        let mut kept = Vec::new();
        self.hub.recorded(|entry| kept.push(n(entry))).unwrap();
        kept
    }
}

#[test]
fn a_subscriber_receives_the_kept_actions_or_those_since_its_last_one() {
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
        "although it was created before the last received one"
    );
    assert!(world.subscribe(4, Some(&ids[2])).is_empty());
    assert_eq!(world.recorded, ["1", "2", "3"]);
}

/// Such an action was created offline, long before it was received.
#[test]
fn an_action_that_is_received_late_is_new_for_a_client_that_was_subscribed_before() {
    let mut world = World::new(|_| Some(Retention::forever("talk")));
    world.act(1, START);
    world.now = START + 10_000;
    world.act(2, START - 50_000);
    let since = format!("{} server:x 0", START + 5_000);
    assert_eq!(
        world.subscribe(2, Some(&since)),
        ["2 <= 2"],
        "the log does not have the entry of `since`, so its time is used"
    );
}

#[test]
fn only_actions_with_a_retention_are_kept() {
    let mut world =
        World::new(|action| (action.field("n") == Some("2")).then(|| Retention::forever("talk")));
    for n in [1, 2, 3] {
        world.act(n, START);
    }
    assert_eq!(world.subscribe(2, None), ["2 <= 2"]);
}

#[test]
fn a_returning_subscriber_does_not_receive_its_own_actions() {
    let mut world = World::new(|_| Some(Retention::forever("talk")));
    let first = world.act(1, START);
    world.receive(1, "10:author:x", START, r#"{"type":"say","n":2}"#);
    world.received.clear();
    let since = format!(
        r#"{{"type":"logux/subscribe","channel":"room","since":{{"id":"{first}","time":0}}}}"#
    );
    world.receive(1, "10:author:x", START, &since);
    assert!(world.received.is_empty());
    world.receive(1, "10:author:x", START, r#"{"type":"logux/subscribe","channel":"room"}"#);
    assert_eq!(world.received, ["1 <= 1", "1 <= 2"], "unless it subscribes without `since`");
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
        "the undos are for clients that have received the actions"
    );
    assert_eq!(world.recorded, ["1", "undo 1"]);
}

#[test]
fn retention_is_bounded_by_count_latest_or_age() {
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
    assert_eq!(world.kept(), ["2"], "any later input removes expired actions");
}

#[test]
fn the_previous_action_stays_if_the_latest_fails() {
    let policy = |_: &Action| Some(Retention::latest("cursor"));
    let mut world = World::new(policy);
    world.act(1, START);
    world.fails = true;
    world.act(2, START + 20);
    world.fails = false;
    assert_eq!(
        world.subscribe(2, None),
        ["2 <= 1", "2 <= undo 2"],
        "the undo is for clients that have received the action"
    );
    let mut world = World::over(policy, world.hub.into_store());
    assert_eq!(world.kept(), ["1", "undo 2"], "states are computed from the previous action");
    world.act(3, START + 10);
    assert_eq!(world.kept(), ["undo 2", "3"], "an undo does not supersede an action");
    let id = world.act(4, START + 30);
    assert_eq!(world.kept(), ["4"]);
    world.handle(Input::Undo(Box::new(UndoRequest::new(id.parse().unwrap(), "spam"))));
    assert_eq!(world.kept(), ["undo 4"], "it was processed, so the previous action was removed");
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
    assert_eq!(world.kept(), ["5"], "an action of the application supersedes others too");
}

#[test]
fn kept_actions_and_their_bounds_survive_a_restart() {
    let policy = |_: &Action| Some(Retention::for_duration("news", Duration::from_millis(1_600)));
    let mut world = World::new(policy);
    world.act(1, START);
    let store = world.hub.into_store();
    let mut world = World::over(policy, store);
    assert_eq!(world.kept(), ["1"]);
    assert_eq!(world.subscribe(2, None), ["2 <= 1"]);
    world.now = START + 2_000;
    world.handle(Input::Leave(SessionId(99)));
    assert!(world.kept().is_empty());
}

#[test]
fn actions_of_the_application_are_kept() {
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
fn a_kept_action_whose_answer_is_forgotten_is_not_processed_again() {
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
fn clients_of_a_user_receive_the_kept_actions_for_it_until_they_are_forgotten() {
    let mut world = World::new(|_| Some(Retention::forever("talk")));
    let ids = [1, 2, 3].map(|n| world.act(n, START));
    world.received.clear();
    world.join(2, "10:other:x");
    assert_eq!(world.received, ["2 joins 1", "2 joins 2", "2 joins 3"]);
    world.handle(Input::Forget(ids[1].parse().unwrap()));
    world.received.clear();
    world.join(3, "10:third:x");
    world.join(4, "20:stranger:x");
    world.join(5, "10:author:y");
    assert_eq!(
        world.received,
        ["3 joins 1", "3 joins 3"],
        "the author has them, other users do not receive them"
    );
    assert_eq!(world.kept(), ["1", "3"]);
}

#[test]
fn the_log_is_read_in_pages() {
    let policy = |action: &Action| {
        action.field("n").map(|n| match n.len() {
            1 => Retention::forever("short"),
            _ => Retention::forever("long"),
        })
    };
    let mut world = World::new(policy);
    let ids: Vec<_> = (1..=12).map(|n| world.act(n, START)).collect();
    // An action that was sent and then failed is replaced by its undo.
    world.fails = true;
    world.act(13, START);
    let read = |first: LogQuery| {
        let (mut pages, mut next) = (Vec::new(), Some(first));
        while let Some(query) = next {
            let page = world.hub.page(&query).unwrap();
            pages.push(page.entries.iter().map(n).collect::<Vec<_>>().join(" "));
            next = page.next;
        }
        pages
    };
    assert_eq!(
        read(LogQuery::channel("room").limit(5)),
        ["1 2 3 4 5", "6 7 8 9 10", "11 12 undo 13"],
        "oldest first, by arrival"
    );
    assert_eq!(
        read(LogQuery::user("10").newest_first().limit(8)),
        ["undo 13 12 11 10 9 8 7 6", "5 4 3 2 1"]
    );
    assert_eq!(read(LogQuery::kept_for(&Retention::forever("long"))), ["10 11 12 undo 13"]);
    assert_eq!(read(LogQuery::channel("other")), [""]);
    assert!(read(LogQuery::all()).concat().contains("12 ?"), "with the answers");

    let entry = world.hub.entry(&ids[4].parse().unwrap()).unwrap().unwrap();
    assert_eq!(n(&entry), "5");
    let after = entry.meta.added.unwrap();
    assert_eq!(read(LogQuery::channel("room").after(after)), ["6 7 8 9 10 11 12 undo 13"]);
    assert!(world.hub.entry(&"1 unknown:a:b 0".parse().unwrap()).unwrap().is_none());
}

#[test]
fn a_page_of_the_log_is_bounded() {
    let mut world =
        World::new(|action| (action.kind() == "kept").then(|| Retention::forever("kept")));
    // 600 entries with their answers, none of which is kept.
    for n in 0..600 {
        world.act(n, START);
    }
    let text = "x".repeat(600_000);
    for n in 0..3 {
        let json = format!(r#"{{"type":"kept","n":{n},"text":"{text}"}}"#);
        world.receive(1, "10:author:x", START, &json);
    }
    let visited = world.hub.page(&LogQuery::all().limit(10_000)).unwrap();
    assert_eq!(visited.entries.len(), 1_000);
    let sizes = |mut query: LogQuery| {
        let mut sizes = Vec::new();
        loop {
            let page = world.hub.page(&query).unwrap();
            sizes.push(page.entries.len());
            match page.next {
                Some(next) => query = next,
                None => return sizes,
            }
        }
    };
    assert_eq!(sizes(LogQuery::channel("room")), [2, 1], "a page ends after 1 MiB");
}
