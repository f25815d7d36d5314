//! Answers that were lost with a connection. The client does not repeat its actions, because they
//! were confirmed. The server sends the lost answers again, or processes the subscriptions again,
//! but only if the answers were lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

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

/// A hub with one client that reconnects.
struct World {
    hub: Hub<MemoryStore>,
    now: i64,
    session: u64,
    requests: VecDeque<HandlerRequest>,
    /// The actions that the current connection received: the `added` number, the type, and the id
    /// of the answered action.
    received: Vec<(u64, String)>,
    /// The numbers whose confirmation the hub requires.
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
            received: Vec::new(),
            to_confirm: Vec::new(),
        };
        world.settle();
        world
    }

    fn handle(&mut self, input: Input) {
        self.hub.handle(Now::from_millis(self.now, 0), input).unwrap();
        self.settle();
        while self.hub.is_busy() {
            self.hub.handle(Now::from_millis(self.now, 0), Input::Continue).unwrap();
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.hub.commit().unwrap();
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Request(request) => self.requests.push_back(request),
                Output::Deliver { session, added, entry, confirm, .. }
                    if session.0 == self.session =>
                {
                    self.to_confirm.extend(confirm.then_some(added));
                    self.record(added, &entry);
                }
                Output::Missed { session, entries: missed, .. } => {
                    self.session = session.0;
                    for entry in missed {
                        self.record(entry.meta.added.unwrap(), &entry);
                    }
                }
                _ => {}
            }
        }
    }

    fn record(&mut self, added: u64, entry: &Entry) {
        let kind = entry.action.kind();
        let id = entry.action.str_field("id").map_or(String::new(), |id| format!(" {id}"));
        self.received.push((added, format!("{kind}{id}")));
    }

    fn join(&mut self, node: &str, since: u64) {
        self.received.clear();
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

    /// Responds to the only request.
    fn respond(&mut self, responses: impl IntoIterator<Item = HandlerResponse>) {
        let request = self.requests.pop_front().expect("there is a request");
        assert!(self.requests.is_empty());
        for response in responses {
            self.handle(Input::Respond(request.id, response));
        }
    }

    /// Approves the only request, sends an action to the author, and processes the request.
    fn load(&mut self) {
        let load =
            HandlerResponse::Action(Action::new(r#"{"type":"load"}"#).unwrap(), Box::default());
        self.respond([HandlerResponse::Approved(None), load, HandlerResponse::Processed]);
    }

    fn received(&self) -> Vec<&str> {
        self.received.iter().map(|(_, action)| &**action).collect()
    }

    fn last_number(&self) -> u64 {
        self.received.last().unwrap().0
    }
}

#[test]
fn a_subscription_whose_answer_was_lost_is_processed_again() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.load();
    assert_eq!(world.received(), ["load", "logux/processed 1 10:phone:tab 0"]);
    world.leave();
    world.join(NODE, 0);
    assert_eq!(world.received(), [""; 0], "the answer is sent when the client is subscribed again");
    assert_eq!(world.requests[0].kind, RequestKind::Subscription);
    world.load();
    assert_eq!(world.received(), ["load", "logux/processed 1 10:phone:tab 0"]);
    assert_eq!(world.hub.stats().unwrap().subscriptions, 1);
}

#[test]
fn a_subscription_whose_client_reconnects_before_it_is_processed_is_processed_again() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.leave();
    world.join(NODE, 0);
    world.load();
    assert_eq!(world.requests.len(), 1, "it was processed for a closed connection");
    world.load();
    assert_eq!(world.received().last(), Some(&"logux/processed 1 10:phone:tab 0"));
    assert_eq!(world.hub.stats().unwrap().subscriptions, 1);
}

#[test]
fn a_subscription_whose_answer_was_lost_is_processed_again_after_a_restart() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.load();
    let mut world = World::over(world.hub.into_store());
    world.join(NODE, 0);
    world.load();
    assert_eq!(world.received(), ["load", "logux/processed 1 10:phone:tab 0"]);
}

#[test]
fn a_subscription_whose_answer_was_received_is_not_processed_again() {
    // The number in `connect` states it.
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.load();
    let last = world.last_number();
    world.leave();
    world.join(NODE, last);
    assert!(world.requests.is_empty());
    assert_eq!(world.received(), [""; 0]);

    // Or a confirmation states it.
    world.receive("2 10:phone:tab 0", SUBSCRIBE);
    world.load();
    let added = world.to_confirm[0];
    world.handle(Input::Acknowledged { session: SessionId(world.session), added: added - 1 });
    world.handle(Input::Acknowledged { session: SessionId(world.session), added });
    world.leave();
    world.join(NODE, 0);
    assert!(world.requests.is_empty());
    assert_eq!(world.hub.into_store().len(), 1, "only the last answer is kept, for its time");
}

#[test]
fn a_subscription_that_was_ended_is_not_processed_again() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.load();
    world.receive("2 10:phone:tab 0", UNSUBSCRIBE);
    world.leave();
    world.join(NODE, 0);
    assert!(world.requests.is_empty());
    assert_eq!(
        world.received(),
        ["logux/processed 1 10:phone:tab 0", "logux/processed 2 10:phone:tab 0"]
    );
}

#[test]
fn a_subscription_that_was_ended_has_no_effect_after_a_restart() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.receive("2 10:phone:tab 0", UNSUBSCRIBE);
    let mut world = World::over(world.hub.into_store());
    world.join(NODE, 0);
    world.load();
    assert_eq!(
        world.received(),
        ["logux/processed 2 10:phone:tab 0", "logux/processed 1 10:phone:tab 0"]
    );
    assert_eq!(world.hub.stats().unwrap().subscriptions, 0);
}

#[test]
fn a_repeated_unsubscribe_does_not_end_a_later_subscription() {
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
fn a_lost_subscription_is_not_processed_for_another_tab_unless_that_tab_sent_it() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.load();
    world.join("10:phone:other", 0);
    assert!(world.requests.is_empty());
    assert_eq!(world.received(), [""; 0]);

    // Tabs that share a connection: one sends the actions of the other.
    world.receive("2 10:phone:tab 0", SUBSCRIBE);
    world.load();
    world.join("10:phone:other", 0);
    world.load();
    assert_eq!(world.received(), ["load", "logux/processed 2 10:phone:tab 0"]);
}

#[test]
fn a_subscription_that_is_processed_while_another_tab_is_connected_is_dropped() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.join("10:phone:other", 0);
    world.load();
    assert!(world.to_confirm.is_empty(), "no answer is sent");
    assert_eq!(world.hub.stats().unwrap().parked, 0);
    assert_eq!(world.hub.into_store().len(), 0, "nothing is kept");
}

#[test]
fn a_lost_refusal_of_a_subscription_is_sent_again() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", SUBSCRIBE);
    world.respond([HandlerResponse::Denied]);
    world.join(NODE, 0);
    assert_eq!(world.received(), ["logux/undo 1 10:phone:tab 0"]);
    assert!(world.requests.is_empty());
}

#[test]
fn actions_that_were_sent_to_the_author_are_sent_again_with_the_answer() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", r#"{"type":"a"}"#);
    world.load();
    let all = ["load", "logux/processed 1 10:phone:tab 0"];
    assert_eq!(world.received(), all);
    let first = world.received[0].0;
    world.join(NODE, 0);
    assert_eq!(world.received(), all);
    world.join(NODE, first);
    assert_eq!(world.received(), all[1..]);
}

#[test]
fn a_client_with_numbers_of_another_log_misses_nothing() {
    let mut world = World::new();
    world.join(NODE, 500);
    world.receive("1 10:phone:tab 0", r#"{"type":"a"}"#);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    let last = world.last_number();
    assert!(last > 500, "numbers continue after those of the client");
    world.join(NODE, 500);
    assert_eq!(world.received(), ["logux/processed 1 10:phone:tab 0"]);
    world.join(NODE, last);
    assert_eq!(world.received(), [""; 0]);
}

#[test]
fn expired_answers_and_subscriptions_are_forgotten() {
    let mut world = World::new();
    world.join(NODE, 0);
    world.receive("1 10:phone:tab 0", r#"{"type":"a"}"#);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.now += 100_000;
    world.receive("2 10:phone:tab 0", r#"{"type":"a"}"#);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.receive("3 10:phone:tab 0", SUBSCRIBE);
    world.leave();
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.now += 100_000;
    world.join(NODE, 0);
    assert_eq!(world.received(), ["logux/processed 2 10:phone:tab 0"]);
    assert_eq!(world.requests.len(), 1, "the subscription still waits");

    world.leave();
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    world.now += 200_000;
    world.join(NODE, 0);
    assert!(world.requests.is_empty(), "the subscription has expired");
    assert_eq!(world.received(), ["logux/undo 3 10:phone:tab 0"]);
}
