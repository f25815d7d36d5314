//! Answers that a client has not got: it has confirmation that its actions are safe, so it will not repeat them. The server sends again, or does again,
//! what was lost with the connection, and nothing that was not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{collections::VecDeque, time::Duration};

use logux::{
    Action, Entry, MemoryStore, Meta, NodeId, Now,
    action::Subprotocol,
    server::{Config, HandlerRequest, HandlerResponse, Hub, Input, Output, RequestKind, SessionId},
    testing::batch,
};

const NODE: &str = "10:phone:tab";
const SUBSCRIBE: &str = r#"{"type":"logux/subscribe","channel":"room"}"#;
const UNSUBSCRIBE: &str = r#"{"type":"logux/unsubscribe","channel":"room"}"#;

/// A hub and one client that comes and goes.
struct World {
    hub: Hub<MemoryStore>,
    now: i64,
    session: u64,
    requests: VecDeque<HandlerRequest>,
    /// What the current connection got: number, type, and the id of what it answers.
    got: Vec<(u64, String)>,
    /// Numbers whose confirmation the hub waits for.
    to_confirm: Vec<u64>,
}

fn config() -> Config {
    Config {
        remembered_for: Duration::from_secs(160),
        ..Config::new(NodeId::new("server:uuid").unwrap())
    }
}

impl World {
    fn new() -> Self {
        Self::over(MemoryStore::new())
    }

    fn over(store: MemoryStore) -> Self {
        let hub = Hub::new(config(), store).unwrap();
        let mut world = Self {
            hub,
            now: 1_000,
            session: 0,
            requests: VecDeque::new(),
            got: Vec::new(),
            to_confirm: Vec::new(),
        };
        world.settle();
        world
    }

    fn handle(&mut self, input: Input) {
        self.hub.handle(Now::from_millis(self.now, 0), input).unwrap();
        self.settle();
    }

    fn settle(&mut self) {
        self.hub.commit().unwrap();
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Request(request) => self.requests.push_back(request),
                Output::Deliver { session, added, entry, confirm } if session.0 == self.session => {
                    self.to_confirm.extend(confirm.then_some(added));
                    self.note(added, &entry);
                }
                Output::Joined { session, missed, .. } => {
                    self.session = session.0;
                    for entry in missed {
                        self.note(entry.meta.added.unwrap(), &entry);
                    }
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, added: u64, entry: &Entry) {
        let kind = entry.action.kind();
        let id = entry.action.str_field("id").map_or(String::new(), |id| format!(" {id}"));
        self.got.push((added, format!("{kind}{id}")));
    }

    fn join(&mut self, node: &str, since: u64) {
        self.got.clear();
        self.to_confirm.clear();
        self.session += 1;
        let (session, node) = (SessionId(self.session), NodeId::new(node).unwrap());
        self.handle(Input::Join {
            session,
            node,
            subprotocol: Subprotocol::Number(0),
            headers: None,
            since,
        });
    }

    fn leave(&mut self) {
        self.handle(Input::Leave(SessionId(self.session)));
    }

    fn receive(&mut self, id: &str, json: &str) {
        let entry = Entry::new(Action::new(json).unwrap(), Meta::new(id.parse().unwrap()));
        self.handle(Input::Received {
            session: SessionId(self.session),
            batch: batch(),
            entries: vec![entry],
        });
    }

    /// Answers the only question.
    fn answer(&mut self, answers: impl IntoIterator<Item = HandlerResponse>) {
        let request = self.requests.pop_front().expect("a question");
        assert!(self.requests.is_empty());
        for answer in answers {
            self.handle(Input::Respond(request.id, answer));
        }
    }

    fn load(&mut self) {
        let load =
            HandlerResponse::Action(Action::new(r#"{"type":"load"}"#).unwrap(), Box::default());
        self.answer([HandlerResponse::Approved(None), load, HandlerResponse::Processed]);
    }

    fn got(&self) -> Vec<&str> {
        self.got.iter().map(|(_, what)| &**what).collect()
    }

    fn last_number(&self) -> u64 {
        self.got.last().unwrap().0
    }
}

#[test]
fn a_subscription_whose_answer_was_lost_is_done_again() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.load();
    assert_eq!(world.got(), ["load", "logux/processed 1 10:phone:tab 0"]);
    world.leave();
    world.join(NODE, 0);
    assert_eq!(world.got(), [""; 0], "the answer comes when it is true");
    assert_eq!(world.requests[0].kind, RequestKind::Subscription);
    world.load();
    assert_eq!(world.got(), ["load", "logux/processed 1 10:phone:tab 0"]);
    assert_eq!(world.hub.stats().unwrap().subscriptions, 1);
}

#[test]
fn also_when_its_client_is_back_before_it_is_done() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.leave();
    world.join(NODE, 0);
    world.load();
    assert_eq!(world.requests.len(), 1, "what was done was for a connection that is gone");
    world.load();
    assert_eq!(world.got().last(), Some(&"logux/processed 1 10:phone:tab 0"));
    assert_eq!(world.hub.stats().unwrap().subscriptions, 1);
}

#[test]
fn also_after_a_restart() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.load();
    let mut world = World::over(world.hub.into_store());
    world.join(NODE, 0);
    world.load();
    assert_eq!(world.got(), ["load", "logux/processed 1 10:phone:tab 0"]);
}

#[test]
fn a_client_that_has_the_answer_asks_by_itself() {
    // It has told so in `connect`.
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.load();
    let last = world.last_number();
    world.leave();
    world.join(NODE, last);
    assert!(world.requests.is_empty());
    assert_eq!(world.got(), [""; 0]);

    // Or by a confirmation.
    world.receive("2 10:phone:tab 0", SUBSCRIBE);
    world.load();
    let added = world.to_confirm[0];
    world.handle(Input::Acknowledged { session: SessionId(world.session), added: added - 1 });
    world.handle(Input::Acknowledged { session: SessionId(world.session), added });
    world.leave();
    world.join(NODE, 0);
    assert!(world.requests.is_empty());
    assert_eq!(
        world.hub.into_store().len(),
        1,
        "nothing is kept for it but the last answer, which tells how late it was"
    );
}

#[test]
fn what_it_has_unsubscribed_from_meanwhile_is_not_done_again() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.load();
    world.receive("2 10:phone:tab 0", UNSUBSCRIBE);
    world.leave();
    world.join(NODE, 0);
    assert!(world.requests.is_empty());
    assert_eq!(
        world.got(),
        ["logux/processed 1 10:phone:tab 0", "logux/processed 2 10:phone:tab 0"]
    );
}

#[test]
fn nor_after_a_restart() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.receive("2 10:phone:tab 0", UNSUBSCRIBE);
    let mut world = World::over(world.hub.into_store());
    world.join(NODE, 0);
    world.load();
    assert_eq!(
        world.got(),
        ["logux/processed 2 10:phone:tab 0", "logux/processed 1 10:phone:tab 0"]
    );
    assert_eq!(world.hub.stats().unwrap().subscriptions, 0);
}

#[test]
fn an_end_that_comes_again_ends_nothing_that_came_later() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", UNSUBSCRIBE);
    world.receive("2 10:phone:tab 0", SUBSCRIBE);
    world.receive("1 10:phone:tab 0", UNSUBSCRIBE);
    world.load();
    world.receive("1 10:phone:tab 0", UNSUBSCRIBE);
    assert_eq!(world.hub.stats().unwrap().subscriptions, 1);
}

#[test]
fn another_tab_of_the_client_does_not_want_it_unless_it_has_sent_it() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.load();
    world.join("10:phone:other", 0);
    assert!(world.requests.is_empty());
    assert_eq!(world.got(), [""; 0]);

    // Tabs that share a connection: one sends for the other.
    world.receive("2 10:phone:tab 0", SUBSCRIBE);
    world.load();
    world.join("10:phone:other", 0);
    world.load();
    assert_eq!(world.got(), ["load", "logux/processed 2 10:phone:tab 0"]);
}

#[test]
fn a_subscription_that_is_done_when_another_tab_is_there_is_for_nobody() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.join("10:phone:other", 0);
    world.load();
    assert!(world.to_confirm.is_empty(), "nobody is told");
    assert_eq!(world.hub.stats().unwrap().parked, 0);
    assert_eq!(world.hub.into_store().len(), 0, "nothing is kept for it");
}

#[test]
fn a_refusal_of_a_subscription_that_was_lost_is_sent_again() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.answer([HandlerResponse::Denied]);
    world.join(NODE, 0);
    assert_eq!(world.got(), ["logux/undo 1 10:phone:tab 0"]);
    assert!(world.requests.is_empty());
}

#[test]
fn what_an_action_sent_back_is_sent_again_with_its_answer() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", r#"{"type":"a"}"#);
    world.load();
    let all = ["load", "logux/processed 1 10:phone:tab 0"];
    assert_eq!(world.got(), all);
    let first = world.got[0].0;
    world.join(NODE, 0);
    assert_eq!(world.got(), all);
    world.join(NODE, first);
    assert_eq!(world.got(), all[1..]);
}

#[test]
fn a_client_that_knows_numbers_of_another_log_misses_nothing() {
    let mut world = World::new();
    world.join(NODE, 500);
    world.receive("1 10:phone:tab 0", r#"{"type":"a"}"#);
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    let told = world.last_number();
    assert!(told > 500, "numbers go on from what the client knows");
    world.join(NODE, 500);
    assert_eq!(world.got(), ["logux/processed 1 10:phone:tab 0"]);
    world.join(NODE, told);
    assert_eq!(world.got(), [""; 0]);
}

#[test]
fn what_is_older_than_the_memory_is_forgotten() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", r#"{"type":"a"}"#);
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.now += 100_000;
    world.receive("2 10:phone:tab 0", r#"{"type":"a"}"#);
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.receive("3 10:phone:tab 0", SUBSCRIBE);
    world.leave();
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.now += 100_000;
    world.join(NODE, 0);
    assert_eq!(world.got(), ["logux/processed 2 10:phone:tab 0"]);
    assert_eq!(world.requests.len(), 1, "the subscription still waits");

    world.leave();
    world.answer([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.now += 200_000;
    world.join(NODE, 0);
    assert!(world.requests.is_empty(), "now it does not");
    assert_eq!(world.got(), ["logux/undo 3 10:phone:tab 0"]);
}
