//! Documents that are settled by snapshots, which the application makes in the background.

use std::{collections::HashMap, time::Duration};

use logux::{
    Action, Entry, MemoryStore, Meta, NodeId, Now,
    action::{DocumentKey, Subprotocol, logux::UNDO},
    crdt::{Crdt as _, Map, Shared},
    replay::Timeline,
    server::{
        Config, DocumentKinds, HandlerRequest, HandlerResponse, Hub, Input, LogQuery, Output,
        Recipients, RequestKind, Retention, SessionId, SettlementRequest, SettlementRule,
        SnapshotBuilder, UndoRequest,
    },
    testing::batch,
};
use serde_json::{Value, json};

use crate::world::{NOW, config};

const RULE: SettlementRule =
    SettlementRule { open_actions: 2, horizon: Duration::from_secs(1_000) };

/// A hub with an application that accepts everything, and clients with a replica of a document.
struct Server {
    hub: Hub<MemoryStore>,
    now: Now,
    replicas: HashMap<SessionId, Timeline<Shared<Map>>>,
    /// The received actions as `SESSION <- ACTION`.
    received: Vec<String>,
    /// The requested snapshots.
    due: Vec<SettlementRequest>,
    /// The requests that wait, if the application does not respond now.
    waiting: Option<Vec<HandlerRequest>>,
}

fn key() -> DocumentKey {
    DocumentKey::new("notes", "7")
}

fn document_config() -> Config {
    let mut documents = DocumentKinds::default();
    assert!(documents.insert("notes", RULE));
    // Answers are forgotten after a few, so that only the documents remember.
    Config { documents, remembered_entries: 0, max_queue: 100, ..config() }
}

fn edit(key: &str, value: i32) -> String {
    let op = json!({"op": "set", "path": format!("/{key}"), "value": value});
    json!({"type": "notes/edit", "id": "7", "ops": [op]}).to_string()
}

fn undo(id: &str, action: Option<&str>) -> String {
    let action: Option<Value> = action.map(|json| serde_json::from_str(json).unwrap());
    json!({"type": UNDO, "id": id, "reason": "undo", "action": action}).to_string()
}

impl Server {
    fn new() -> Self {
        Self::over(MemoryStore::new())
    }

    fn over(store: MemoryStore) -> Self {
        let hub = Hub::new(document_config(), store).unwrap();
        let mut server = Self {
            hub,
            now: NOW,
            replicas: HashMap::new(),
            received: Vec::new(),
            due: Vec::new(),
            waiting: None,
        };
        server.settle_outputs();
        server
    }

    fn handle(&mut self, input: Input) {
        self.hub.handle(self.now, input).unwrap();
        self.settle_outputs();
        while self.hub.is_busy() {
            self.hub.handle(self.now, Input::Continue).unwrap();
            self.settle_outputs();
        }
    }

    fn settle_outputs(&mut self) {
        self.hub.commit().unwrap();
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Deliver { session, entry, .. } => self.receive(session, &entry),
                Output::Replay { session, entries, .. }
                | Output::Missed { session, entries, .. } => {
                    entries.iter().for_each(|entry| self.receive(session, entry));
                }
                Output::SettlementDue(request) => self.due.push(request),
                Output::Request(request) => match &mut self.waiting {
                    Some(waiting) => waiting.push(request),
                    None => self.respond(request),
                },
                _ => {}
            }
        }
    }

    fn receive(&mut self, session: SessionId, entry: &Entry) {
        self.received.push(format!("{} <- {}", session.0, entry.action.as_json()));
        let shared = Shared::new("notes", "7");
        self.replicas.entry(session).or_insert_with(|| Timeline::new(shared)).add(entry);
    }

    fn respond(&mut self, request: HandlerRequest) {
        use HandlerResponse::{AcceptUndo, Approved, Processed, Replay, Resend};
        let responses = match (request.kind, request.target) {
            (RequestKind::Subscription, _) => vec![Approved(None), Replay, Replay, Processed],
            (_, Some(Ok(_))) => vec![AcceptUndo],
            (_, Some(Err(refusal))) => vec![HandlerResponse::undo(refusal.reason())],
            _ => vec![Resend(Recipients::channel("notes/7")), Approved(None), Processed],
        };
        for response in responses {
            self.hub.handle(self.now, Input::Respond(request.id, response)).unwrap();
        }
        self.settle_outputs();
    }

    /// Connects a client, and subscribes it to the document.
    fn join(&mut self, session: u64, node: &str) {
        self.handle(Input::Join {
            session: SessionId(session),
            node: NodeId::new(node).unwrap(),
            subprotocol: Subprotocol::Number(0),
            headers: None,
            since: 0,
        });
        let time = self.now.wall.as_millis() + i64::try_from(session).unwrap();
        let subscribe = r#"{"type":"logux/subscribe","channel":"notes/7"}"#;
        self.act(session, &format!("{time} {node} 0"), subscribe);
    }

    /// Receives an action of a client. Returns what it answers.
    fn act(&mut self, session: u64, id: &str, action: &str) -> Option<String> {
        let entry = Entry::new(Action::new(action).unwrap(), Meta::new(id.parse().unwrap()));
        self.receive(SessionId(session), &entry);
        self.received.clear();
        let entries = vec![entry];
        self.handle(Input::Received { session: SessionId(session), batch: batch(), entries });
        let answers = [format!("\"id\":\"{id}\""), format!("{session} <- ")];
        let received = self.received.iter();
        let mut answer = received.filter(|text| answers.iter().all(|part| text.contains(part)));
        let answer: Value = serde_json::from_str(answer.next()?.split_once("<- ")?.1).unwrap();
        let is_undone = answer["type"] == UNDO;
        Some(answer[if is_undone { "reason" } else { "type" }].as_str()?.to_owned())
    }

    /// Makes the requested snapshot, without passing it to the hub.
    fn build(&mut self) -> Input {
        let request = self.due.pop().expect("a snapshot is due");
        assert_eq!(request.key, key());
        let mut builder = SnapshotBuilder::<Map>::new(key(), RULE);
        let mut next = Some(builder.query().limit(3));
        while let Some(query) = next {
            let page = self.hub.page(&query).unwrap();
            page.entries.iter().for_each(|entry| builder.add(entry));
            next = page.next;
        }
        Input::Settle(request, builder.build(self.now.wall).unwrap().map(Box::new))
    }

    fn settle(&mut self) {
        let input = self.build();
        assert!(matches!(input, Input::Settle(_, Some(_))), "there is something to settle");
        self.handle(input);
    }

    /// Returns the kept actions of the document: their types and ids.
    fn kept(&self) -> Vec<(String, String)> {
        let kept = LogQuery::kept_for(&Retention::forever("notes/7"));
        let entries = self.hub.page(&kept).unwrap().entries;
        let text = |entry: Entry| (entry.action.kind().to_owned(), entry.meta.id.to_string());
        entries.into_iter().map(text).collect()
    }

    /// Asserts that all clients, and a client that connects now, have a state.
    fn assert_state(&mut self, expected: &Value) {
        let newcomer = 100 + u64::try_from(self.replicas.len()).unwrap();
        self.join(newcomer, &format!("n{newcomer}:n{newcomer}:x"));
        for (session, replica) in &self.replicas {
            assert_eq!(&replica.state().to_json(), expected, "client {}", session.0);
        }
    }
}

/// Creates a server on which Ada, the client 1, has set the fields a, b, c and d.
fn server_with_four_edits() -> Server {
    let mut server = Server::new();
    server.join(1, "ada:1:x");
    server.join(2, "bob:2:x");
    for (index, name) in (1..).zip(["a", "b", "c", "d"]) {
        assert_eq!(server.due, [], "{index} actions stay open");
        let answer = server.act(1, &id(index), &edit(name, index));
        assert_eq!(answer.as_deref(), Some("logux/processed"));
    }
    server
}

/// Returns the id of an action of Ada.
fn id(index: i32) -> String {
    format!("{} ada:1:x 0", NOW.wall.as_millis() + 10 + i64::from(index))
}

const SET_A: &str = r#"{"type":"notes/edit","id":"7","ops":[{"op":"set","path":"/a","value":1}]}"#;

#[test]
fn the_older_half_is_settled_and_removed() {
    let mut server = server_with_four_edits();
    server.settle();
    let kinds: Vec<_> = server.kept().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["notes/edit", "notes/edit", "notes/snapshot"]);
    server.assert_state(&json!({"a": 1, "b": 2, "c": 3, "d": 4}));
    assert_eq!(
        server.replicas[&SessionId(2)].coverage().last_id(&NodeId::new("ada:1:x").unwrap()),
        Some(id(2).parse().unwrap())
    );
}

#[test]
fn what_is_settled_cannot_be_undone_and_what_is_open_can() {
    let mut server = server_with_four_edits();
    server.settle();
    let refused = server.act(1, &id(20), &undo(&id(1), Some(SET_A)));
    assert_eq!(refused.as_deref(), Some("settled"));
    let refused = server.act(1, &id(21), &undo("9 ada:1:x 3", None));
    assert_eq!(refused.as_deref(), Some("notFound"));
    let accepted = server.act(1, &id(22), &undo(&id(3), None));
    assert_eq!(accepted.as_deref(), Some("logux/processed"));
    server.assert_state(&json!({"a": 1, "b": 2, "d": 4}));
}

#[test]
fn an_undo_while_the_snapshot_is_made_keeps_its_effect() {
    let mut server = server_with_four_edits();
    let settle = server.build();
    assert_eq!(server.act(1, &id(20), &undo(&id(1), None)).as_deref(), Some("logux/processed"));
    server.handle(settle);
    assert_eq!(server.kept().len(), 5, "the snapshot is not added");
    server.assert_state(&json!({"b": 2, "c": 3, "d": 4}));
    // It is made again. The undo is one of the latest two, so nothing of Ada is settled.
    let nothing = server.build();
    assert!(matches!(nothing, Input::Settle(_, None)));
    server.handle(nothing);
    for (index, name) in (30..).zip(["e", "f", "g"]) {
        server.act(1, &id(index), &edit(name, index));
    }
    server.settle();
    let text = |(kind, id): (String, String)| (kind, id);
    let kept: Vec<_> = server.kept().into_iter().map(text).collect();
    assert_eq!(kept.len(), 3, "{kept:?}");
    server.assert_state(&json!({"b": 2, "c": 3, "d": 4, "e": 30, "f": 31, "g": 32}));
}

#[test]
fn an_undo_by_the_application_settles_with_its_action() {
    let mut server = server_with_four_edits();
    server.handle(Input::Undo(Box::new(
        UndoRequest::new(id(2).parse().unwrap(), "spam").to(Recipients::channel("notes/7")),
    )));
    server.assert_state(&json!({"a": 1, "c": 3, "d": 4}));
    // It arrived last: the snapshot includes `a` and `c`.
    server.settle();
    server.assert_state(&json!({"a": 1, "c": 3, "d": 4}));
    for (index, name) in (30..).zip(["e", "f", "g", "h"]) {
        server.act(1, &id(index), &edit(name, index));
    }
    server.settle();
    assert_eq!(server.kept().len(), 3, "{:?}", server.kept());
    server.assert_state(&json!({"a": 1, "c": 3, "d": 4, "e": 30, "f": 31, "g": 32, "h": 33}));
}

#[test]
fn an_undo_of_a_last_action_by_the_application_settles_too() {
    let mut server = server_with_four_edits();
    server.handle(Input::Undo(Box::new(
        UndoRequest::new(id(4).parse().unwrap(), "spam").to(Recipients::channel("notes/7")),
    )));
    server.settle();
    for (index, name) in (30..).zip(["e", "f", "g", "h"]) {
        let id = format!("{} bob:2:x 0", NOW.wall.as_millis() + index);
        server.act(2, &id, &edit(name, 1));
    }
    server.settle();
    assert_eq!(server.kept().len(), 3, "{:?}", server.kept());
    server.assert_state(&json!({"a": 1, "b": 2, "c": 3, "e": 1, "f": 1, "g": 1, "h": 1}));
}

#[test]
fn a_settled_action_that_arrives_again_is_answered_and_has_no_effect() {
    let mut server = server_with_four_edits();
    server.settle();
    // The inbox has forgotten all of them.
    server.hub.restart().unwrap();
    server.join(3, "ada:1:x");
    let before = server.kept();
    let answer = server.act(3, &id(1), &edit("a", 100));
    assert_eq!(answer.as_deref(), Some("logux/processed"));
    assert_eq!(server.kept(), before);
}

#[test]
fn an_action_from_before_the_horizon_is_too_old() {
    let mut server = server_with_four_edits();
    let (mono, wall) = (server.now.mono, server.now.wall);
    server.now = Now { mono, wall: wall.shifted(2_000_000) };
    // The open actions are from before the horizon, and stay valid.
    server.settle();
    let late = |offset: i64| format!("{} bob:2:x 0", NOW.wall.as_millis() + offset);
    assert_eq!(server.act(2, &late(-1), &edit("x", 1)).as_deref(), Some("tooOld"));
    server.assert_state(&json!({"a": 1, "b": 2, "c": 3, "d": 4}));
    let answer = server.act(2, &late(1_999_000), &edit("x", 1));
    assert_eq!(answer.as_deref(), Some("logux/processed"));
    let undo_of_open =
        server.act(1, &format!("{} ada:1:y 0", NOW.wall.as_millis() - 5), &undo(&id(4), None));
    assert_eq!(undo_of_open.as_deref(), Some("tooOld"));
    server.assert_state(&json!({"a": 1, "b": 2, "c": 3, "d": 4, "x": 1}));
}

#[test]
fn an_unanswered_action_does_not_become_too_old() {
    for is_answered_before in [false, true] {
        test_of_unanswered(is_answered_before);
    }
}

/// An action is answered before or after the snapshot that does not know of it.
fn test_of_unanswered(is_answered_before: bool) {
    let mut server = server_with_four_edits();
    let (mono, wall) = (server.now.mono, server.now.wall);
    // The horizon of the snapshot would be later than what the application is deciding about.
    server.waiting = Some(Vec::new());
    let late = format!("{} bob:2:x 0", wall.as_millis() + 5);
    assert_eq!(server.act(2, &late, &edit("x", 1)), None);
    let mut waiting = server.waiting.take().unwrap();
    server.now = Now { mono, wall: wall.shifted(2_000_000) };
    for (index, name) in (30..).zip(["e", "f"]) {
        let id = format!("{} ada:1:x 0", wall.as_millis() + 1_999_000 + i64::from(index));
        server.act(1, &id, &edit(name, index));
    }
    let settle = server.build();
    if is_answered_before {
        waiting.drain(..).for_each(|request| server.respond(request));
    }
    server.handle(settle);
    let kinds = server.kept();
    assert!(kinds.iter().all(|(kind, _)| kind == "notes/edit"), "no snapshot is added: {kinds:?}");
    waiting.into_iter().for_each(|request| server.respond(request));
    if server.due.is_empty() {
        let id = format!("{} ada:1:x 0", wall.as_millis() + 1_999_100);
        server.act(1, &id, &edit("f", 31));
    }
    server.settle();
    let all = json!({"a": 1, "b": 2, "c": 3, "d": 4, "e": 30, "f": 31, "x": 1});
    server.assert_state(&all);
}

#[test]
fn clients_make_no_snapshots() {
    let mut server = server_with_four_edits();
    let Input::Settle(_, Some(snapshot)) = server.build() else { panic!("a snapshot") };
    let forged = snapshot.action.as_json().to_owned();
    assert_eq!(server.act(1, &id(20), &forged).as_deref(), Some("denied"));
    assert_eq!(server.kept().len(), 4);
}

#[test]
fn a_snapshot_is_requested_again_after_a_restart() {
    let mut server = server_with_four_edits();
    let settle = server.build();
    // The count of open actions is saved from time to time only, so that it starts again.
    server.hub.restart().unwrap();
    server.replicas.clear();
    server.handle(settle);
    assert_eq!(server.kept().len(), 4, "what was requested before the restart has no effect");
    server.join(1, "ada:1:y");
    for (index, name) in (1..).zip(["e", "f", "g", "h"]) {
        let id = format!("{} ada:1:y 0", NOW.wall.as_millis() + 50 + i64::from(index));
        server.act(1, &id, &edit(name, index));
    }
    server.settle();
    assert_eq!(server.kept().len(), 3, "{:?}", server.kept());
    let all = json!({"a": 1, "b": 2, "c": 3, "d": 4, "e": 1, "f": 2, "g": 3, "h": 4});
    server.assert_state(&all);
    assert_eq!(server.due, []);
}
