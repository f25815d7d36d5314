//! The hub handles the work of a client in small steps, so that the others do not wait for it. The
//! tests count what each step reads and writes in the store, and the actions that it sends.

use std::{cell::Cell, collections::VecDeque, rc::Rc, time::Duration};

use logux::{
    Entry, NodeId,
    action::Subprotocol,
    crdt::Map,
    server::{
        Config, DocumentKinds, HandlerRequest, HandlerResponse, Hub, Input, LogQuery, Output,
        Recipients, Retention, RetentionPolicy, SessionId, SettlementRequest, SettlementRule,
        SnapshotBuilder,
    },
    sync::RefusedAction,
    testing::batch,
    time::Now,
    wire::ExceededLimit,
};

use crate::{
    counted_store::CountedStore,
    world::{A, NOW, config, entry},
};

/// The most work of one step. A store in a file needs a few milliseconds for it.
const MAX_WORK: usize = 1_000;

/// A hub that is driven in steps, and an application that accepts everything.
struct Steps {
    hub: Hub<CountedStore>,
    now: Now,
    work: Rc<Cell<usize>>,
    /// The work of the largest step.
    largest: usize,
    inputs: VecDeque<Input>,
    /// The requests that wait because the application does not respond.
    waiting: Option<Vec<HandlerRequest>>,
    /// The number of the last action that was sent.
    added: u64,
    /// The sent actions.
    sent: Vec<String>,
    /// The connections of the confirmed batches, each with the number of actions sent before.
    persisted: Vec<(SessionId, usize)>,
    /// The requested snapshots.
    due: Vec<SettlementRequest>,
}

/// The rule of documents of the kind `notes`.
const RULE: SettlementRule =
    SettlementRule { open_actions: 2_000, horizon: Duration::from_hours(24) };

impl Steps {
    fn new() -> Self {
        let retention = RetentionPolicy::by(|action, _| {
            (action.kind() == "kept").then(|| Retention::forever("all"))
        });
        let mut documents = DocumentKinds::default();
        documents.insert("notes", RULE);
        let config = Config {
            debug: false,
            max_queue: 100_000,
            max_queue_bytes: usize::MAX,
            max_pending_bytes: usize::MAX,
            retention,
            documents,
            ..config()
        };
        let store = CountedStore::default();
        let work = store.work.clone();
        Self {
            hub: Hub::new(config, store).unwrap(),
            now: NOW,
            work,
            largest: 0,
            inputs: VecDeque::new(),
            waiting: None,
            added: 0,
            sent: Vec::new(),
            persisted: Vec::new(),
            due: Vec::new(),
        }
    }

    /// Handles an input and everything that follows from it.
    fn handle(&mut self, input: Input) {
        self.inputs.push_back(input);
        loop {
            let is_busy = self.hub.is_busy();
            let Some(input) = self.inputs.pop_front().or(is_busy.then_some(Input::Continue)) else {
                break;
            };
            let (before, sent) = (self.work.get(), self.sent.len());
            self.hub.handle(self.now, input).unwrap();
            self.hub.commit().unwrap();
            while let Some(output) = self.hub.poll_output() {
                self.perform(output);
            }
            let work = self.work.get() - before + self.sent.len() - sent;
            self.largest = self.largest.max(work);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Request(request) => match &mut self.waiting {
                Some(waiting) => waiting.push(request),
                None => self.accept(&request),
            },
            Output::Replayed { request, has_more } => {
                let next =
                    if has_more { HandlerResponse::Replay } else { HandlerResponse::Processed };
                self.inputs.push_back(Input::Respond(request, next));
            }
            Output::Deliver { added, entry, .. } => {
                self.added = added;
                self.sent.push(entry.action.as_json().to_owned());
            }
            Output::Replay { entries, .. } => {
                self.sent.extend(entries.iter().map(|entry| entry.action.as_json().to_owned()));
            }
            Output::Missed { session, entries, has_more, .. } => {
                self.sent.extend(entries.iter().map(|entry| entry.action.as_json().to_owned()));
                self.inputs.extend(has_more.then_some(Input::CatchUp(session)));
            }
            Output::SettlementDue(request) => self.due.push(request),
            Output::Persisted(session, _) => self.persisted.push((session, self.sent.len())),
            _ => {}
        }
    }

    /// Approves an action for the channel `room`, or sends the kept actions to a subscriber.
    fn accept(&mut self, request: &HandlerRequest) {
        let respond = |response| Input::Respond(request.id, response);
        if request.entry.action.kind() == "logux/subscribe" {
            self.inputs.push_back(respond(HandlerResponse::Approved(None)));
            self.inputs.push_back(respond(HandlerResponse::Replay));
        } else {
            let room = Recipients { channels: vec!["room".into()], ..Recipients::default() };
            self.inputs.push_back(respond(HandlerResponse::Resend(room)));
            self.inputs.push_back(respond(HandlerResponse::Approved(None)));
            self.inputs.push_back(respond(HandlerResponse::Processed));
        }
    }

    fn join(&mut self, session: u64, node: &str, since: u64) {
        let (node, subprotocol) = (NodeId::new(node).unwrap(), Subprotocol::Number(0));
        let session = SessionId(session);
        self.handle(Input::Join { session, node, subprotocol, headers: None, since });
    }

    fn receive(&mut self, session: u64, entries: Vec<Entry>) {
        self.handle(Input::Received { session: SessionId(session), batch: batch(), entries });
    }

    fn leave(&mut self, session: u64) {
        self.handle(Input::Leave(SessionId(session)));
    }

    /// Asserts that no step was too large.
    #[track_caller]
    fn check(&self) {
        let largest = self.largest;
        assert!(largest <= MAX_WORK, "the largest step has {largest} units of work");
    }
}

/// `count` actions of the client `10:one` with numbers from `first` on.
fn actions(first: usize, count: usize, json: impl Fn(usize) -> String) -> Vec<Entry> {
    (first..first + count).map(|n| entry(&format!("{n} 10:one:x 0"), &json(n))).collect()
}

/// `count` subscriptions to channels of their own, or their ends.
fn subscriptions(kind: &str, first: usize, count: usize) -> Vec<Entry> {
    actions(first, count, |n| {
        format!(r#"{{"type":"logux/{kind}","channel":"records/{}"}}"#, n % 10_000)
    })
}

#[test]
fn thousands_of_subscriptions_end_in_small_steps() {
    let mut steps = Steps::new();
    steps.join(1, "10:one:x", 0);
    steps.receive(1, subscriptions("subscribe", 0, 5_000));
    assert_eq!(steps.hub.stats().unwrap().unconfirmed, 5_000);
    let before = steps.work.get();
    steps.receive(1, subscriptions("unsubscribe", 10_000, 8_000));
    assert_eq!(steps.hub.stats().unwrap().unconfirmed, 0);
    assert_eq!(steps.hub.stats().unwrap().subscriptions, 0);
    let work = (steps.work.get() - before) / 8_000;
    assert!(work < 20, "{work} units of work for each");
    steps.check();
}

#[test]
fn thousands_of_answers_are_confirmed_in_small_steps() {
    let mut steps = Steps::new();
    steps.join(1, "10:one:x", 0);
    steps.receive(1, subscriptions("subscribe", 0, 5_000));
    steps.handle(Input::Acknowledged { session: SessionId(1), added: steps.added });
    assert_eq!(steps.hub.stats().unwrap().unconfirmed, 0);
    steps.check();
}

#[test]
fn a_client_with_thousands_of_unconfirmed_subscriptions_leaves_in_small_steps() {
    for returns_at_once in [false, true] {
        let mut steps = Steps::new();
        steps.join(1, "10:one:x", 0);
        steps.receive(1, subscriptions("subscribe", 0, 5_000));
        steps.sent.clear();
        if returns_at_once {
            // Both steps precede the rest of the work.
            steps.inputs.push_back(Input::Leave(SessionId(1)));
        } else {
            steps.leave(1);
            assert_eq!(steps.hub.stats().unwrap().parked, 1_000, "the last ones wait");
        }
        steps.join(2, "10:one:x", 0);
        let count = |kind| steps.sent.iter().filter(|action| action.contains(kind)).count();
        assert_eq!(count("logux/undo"), 4_000, "the client learns that the others have ended");
        assert_eq!(count("logux/processed"), 1_000, "lost answers of ended ones are not sent");
        let stats = steps.hub.stats().unwrap();
        assert_eq!((stats.parked, stats.unconfirmed), (0, 1_000));
        steps.check();
    }
}

#[test]
fn a_client_with_thousands_of_waiting_subscriptions_leaves_in_small_steps() {
    let mut steps = Steps::new();
    steps.join(1, "10:one:x", 0);
    steps.waiting = Some(Vec::new());
    steps.receive(1, subscriptions("subscribe", 0, 5_000));
    assert_eq!(steps.hub.stats().unwrap().waiting, 4_999);
    steps.leave(1);
    let request = steps.waiting.take().unwrap().remove(0);
    steps.accept(&request);
    steps.handle(Input::Continue);
    let stats = steps.hub.stats().unwrap();
    assert_eq!((stats.running, stats.waiting, stats.parked), (0, 0, 1_000));
    steps.check();
}

#[test]
fn thousands_of_refused_actions_are_answered_in_small_steps_before_their_message_is_confirmed() {
    let mut steps = Steps::new();
    steps.join(1, "10:one:x", 0);
    let refused = |n: usize| RefusedAction {
        id: Some(format!("{n} 10:one:x 0").parse().unwrap()),
        kind: "deep".into(),
        time: NOW.wall,
        limit: ExceededLimit::ActionBytes(10),
    };
    let actions = (0..5_000).map(refused).collect();
    steps.inputs.push_back(Input::Refused { session: SessionId(1), actions });
    steps.receive(1, vec![entry("6000 10:one:x 0", A)]);
    assert_eq!(steps.persisted, [(SessionId(1), 5_000)]);
    assert_eq!(steps.sent.len(), 5_001);
    steps.check();
}

#[test]
fn thousands_of_kept_and_missed_actions_are_read_in_small_steps() {
    let mut steps = Steps::new();
    steps.join(1, "10:one:x", 0);
    steps.receive(1, actions(0, 3_000, |_| r#"{"type":"kept"}"#.to_owned()));
    steps.leave(1);
    steps.join(2, "20:two:x", 0);
    steps.sent.clear();
    let subscription = r#"{"type":"logux/subscribe","channel":"room"}"#;
    steps.receive(2, vec![entry("1 20:two:x 0", subscription)]);
    assert_eq!(steps.sent.len(), 3_001, "the kept actions and the answer");
    steps.sent.clear();
    steps.join(3, "10:one:x", 1);
    assert_eq!(steps.sent.len(), 3_000, "the answers");
    steps.check();
}

#[test]
fn thousands_of_actions_that_share_a_fate_are_undone_in_small_steps() {
    let mut steps = Steps::new();
    steps.join(1, "10:one:x", 0);
    steps.waiting = Some(Vec::new());
    steps.receive(1, actions(0, 5_000, |_| A.to_owned()));
    let request = steps.waiting.take().unwrap().remove(0);
    steps.handle(Input::Respond(request.id, HandlerResponse::Denied));
    assert_eq!(steps.sent.len(), 5_000);
    steps.check();
}

#[test]
fn a_document_of_thousands_of_actions_is_settled_in_small_steps() {
    let mut steps = Steps::new();
    steps.join(1, "10:one:x", 0);
    let set = |n| {
        format!(
            r#"{{"type":"notes/edit","id":"7","ops":[{{"op":"set","path":"/a","value":{n}}}]}}"#
        )
    };
    steps.receive(1, actions(1, 4_000, set));
    let request = steps.due.pop().expect("a snapshot is due");
    let mut builder = SnapshotBuilder::<Map>::new(request.key.clone(), RULE);
    let mut next = Some(builder.query());
    while let Some(query) = next {
        let page = steps.hub.page(&query).unwrap();
        page.entries.iter().for_each(|entry| builder.add(entry));
        next = page.next;
    }
    let snapshot = builder.build(NOW.wall).unwrap().map(Box::new);
    steps.handle(Input::Settle(request, snapshot));
    let kept = LogQuery::kept_for(&Retention::forever("notes/7")).limit(1_000);
    let (mut rows, mut next) = (0, Some(kept));
    while let Some(query) = next {
        let page = steps.hub.page(&query).unwrap();
        rows += page.entries.len();
        next = page.next;
    }
    assert_eq!(rows, 2_001, "the open actions and the snapshot");
    steps.check();
}
