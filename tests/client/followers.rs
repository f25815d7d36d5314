//! Several tabs, of which one leads, whatever happens to them.

use std::collections::{BTreeSet, VecDeque};

use logux::{
    Action, ActionId, Entry, Meta, NodeId, Now,
    action::logux::{PROCESSED, Processed, SUBSCRIBE, UNDO, UNSUBSCRIBE, Undo},
    client::{Client, Config, Fate, FollowerInput, FollowerOutput, Input, Output, Subscription},
    crdt::{Crdt, SyncMaps},
    replay::{Timeline, TimelineSet},
    store::{JournalStore, Query, StoreChange},
    sync::{self, Node},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::device::{Notes, notes, set};

const NOTE: &str = "notes/1";
const START: i64 = 1_700_000_000_000;

type Machine = Client<JournalStore, TimelineSet>;

/// A server with one document, which refuses edits of the field `refused`.
struct Server {
    node: Option<Node>,
    /// Everything that it has sent or received, by its number minus 1.
    entries: Vec<Entry>,
    known: BTreeSet<ActionId>,
}

impl Server {
    fn number(&self) -> u64 {
        self.entries.len() as u64
    }

    fn frame(&mut self, now: Now, frame: &str) -> Vec<String> {
        let Some(mut node) = self.node.take() else { return Vec::new() };
        node.handle(now, sync::Input::Frame(frame));
        let mut frames = Vec::new();
        while let Some(output) = node.poll_output() {
            match output {
                sync::Output::Send(frame) => frames.push(frame),
                sync::Output::Authenticate(asked) => {
                    node.handle(now, sync::Input::Allow(asked.token));
                }
                sync::Output::Connected { since, .. } => {
                    let since = usize::try_from(since.unwrap_or_default()).unwrap();
                    node.send(
                        now.mono,
                        self.number(),
                        &self.entries[since.min(self.entries.len())..],
                    );
                }
                sync::Output::Received { batch, entries, .. } => {
                    for entry in entries {
                        self.receive(now, &mut node, entry);
                    }
                    node.handle(now, sync::Input::Persisted(batch));
                }
                _ => {}
            }
        }
        self.node = Some(node);
        frames
    }

    fn receive(&mut self, now: Now, node: &mut Node, entry: Entry) {
        let id = entry.meta.id.clone();
        if !self.known.insert(id.clone()) {
            // The answer may be lost with the tab that led.
            let id = id.to_string();
            let is_answer = |it: &&Entry| {
                it.meta.id.node().is_server()
                    && it.action.str_field("id").is_some_and(|it| it == id)
            };
            let answer = self.entries.iter().find(is_answer).cloned();
            node.send(now.mono, self.number(), answer.as_ref());
            return;
        }
        let answer = match entry.action.as_json().contains("refused") {
            true => Undo::of(&id, "denied", None).to_action().unwrap(),
            false => Processed { id: id.to_string() }.to_action().unwrap(),
        };
        let mut sent = Vec::new();
        if entry.action.kind() == SUBSCRIBE {
            let is_edit = |it: &&Entry| it.action.kind() != PROCESSED;
            sent.extend(self.entries.iter().filter(is_edit).cloned());
        } else if answer.kind() == PROCESSED && entry.action.kind().starts_with("notes/")
            || entry.action.kind() == UNDO
        {
            self.entries.push(entry);
        }
        let id =
            ActionId::new(now.wall, NodeId::new("server:x").unwrap(), self.entries.len() as u32);
        let answer = Entry::new(answer, Meta::new(id.clone()).with_time(id.time()));
        self.entries.push(answer.clone());
        sent.push(answer);
        node.send(now.mono, self.number(), &sent);
    }

    fn json(&self) -> Value {
        let mut timeline: Timeline<Notes> = Timeline::new(notes());
        timeline.extend(&self.entries);
        timeline.state().to_json()
    }
}

struct Tab {
    client: Machine,
    /// The frames on their way to the leader, and from it.
    up: VecDeque<String>,
    down: VecDeque<String>,
    is_connected: bool,
    /// The own edits, without those that an undo has dropped.
    made: BTreeSet<ActionId>,
}

struct Browser {
    ms: u64,
    server: Server,
    /// The frames on their way to the server, and from it.
    up: VecDeque<String>,
    down: VecDeque<String>,
    is_online: bool,
    database: Vec<StoreChange>,
    /// The tabs. The first one leads.
    tabs: Vec<(NodeId, Tab)>,
    last_tab: usize,
    /// What was promised to be kept.
    kept: BTreeSet<ActionId>,
}

fn machine(node: &NodeId, store: JournalStore) -> Machine {
    let config = sync::Config::client(node.clone());
    let config = Config { node: config.into(), token: None };
    let client = Client::with_observer(config, store, TimelineSet::default()).unwrap();
    client.with_undo_grouping(core::time::Duration::from_millis(300), 100)
}

fn open(client: &mut Machine, now: Now) {
    client.open(notes()).unwrap();
    client.subscribe_kept(now, &Subscription::to(NOTE)).unwrap().unwrap();
}

impl Browser {
    fn new() -> Self {
        let server = Server { node: None, entries: Vec::new(), known: BTreeSet::new() };
        let mut browser = Self {
            ms: 0,
            server,
            up: VecDeque::new(),
            down: VecDeque::new(),
            is_online: false,
            database: Vec::new(),
            tabs: Vec::new(),
            last_tab: 0,
            kept: BTreeSet::new(),
        };
        browser.open_tab();
        browser.open_tab();
        browser
    }

    fn now(&mut self) -> Now {
        self.ms += 10;
        Now::from_millis(START + i64::try_from(self.ms).unwrap(), self.ms)
    }

    fn open_tab(&mut self) {
        if self.tabs.len() == 4 {
            return;
        }
        self.last_tab += 1;
        let node = NodeId::new(format!("10:phone:t{}", self.last_tab)).unwrap();
        let mut client = machine(&node, JournalStore::default());
        if !self.tabs.is_empty() {
            client = client.following();
        }
        let now = self.now();
        open(&mut client, now);
        let (up, down) = (VecDeque::new(), VecDeque::new());
        let tab = Tab { client, up, down, is_connected: false, made: BTreeSet::new() };
        self.tabs.push((node, tab));
        self.turn(self.tabs.len() - 1);
        self.connect_tabs();
    }

    /// Connects the followers to the leader.
    fn connect_tabs(&mut self) {
        for index in 1..self.tabs.len() {
            if self.tabs[index].1.is_connected {
                continue;
            }
            let now = self.now();
            let node = self.tabs[index].0.clone();
            self.tabs[0].1.client.handle_follower(now, &node, FollowerInput::Opened).unwrap();
            let tab = &mut self.tabs[index].1;
            tab.is_connected = true;
            tab.client.handle(now, Input::Opened).unwrap();
            self.turn(0);
            self.turn(index);
        }
    }

    /// Commits, and carries out the outputs.
    fn turn(&mut self, index: usize) {
        let now = self.now();
        loop {
            while let Some(output) = self.tabs[index].1.client.poll_output() {
                match output {
                    Output::Send(frame) if index == 0 => self.up.push_back(frame),
                    Output::Send(frame) => self.tabs[index].1.up.push_back(frame),
                    Output::Follower(node, FollowerOutput::Send(frame)) => {
                        let tab = self.tabs.iter_mut().find(|(tab, _)| *tab == node);
                        tab.unwrap().1.down.push_back(frame);
                    }
                    Output::Fate(id, Fate::Confirmed) if index > 0 => self.keeps(index, id),
                    Output::Fate(id, Fate::Kept | Fate::Sent) if index == 0 => {
                        self.keeps(index, id);
                    }
                    Output::Fate(id, Fate::Dropped) => {
                        self.tabs[index].1.made.remove(&id);
                    }
                    Output::Disconnect(reason) => panic!("tab {index}: {reason}"),
                    Output::Ignored(ignored) => panic!("tab {index}: {ignored}"),
                    Output::Follower(node, FollowerOutput::Disconnect(reason)) => {
                        panic!("{node:?}: {reason}")
                    }
                    _ => {}
                }
            }
            let client = &mut self.tabs[index].1.client;
            if !client.needs_commit() {
                break;
            }
            client.commit(now).unwrap();
            let changes = client.take_changes();
            if index == 0 {
                self.database.extend(changes);
            }
        }
    }

    /// The device has promised to keep an action. Subscriptions end with the tab.
    fn keeps(&mut self, index: usize, id: ActionId) {
        let entry = self.tabs[index].1.client.log().by_id(&id).unwrap();
        if entry.is_some_and(|entry| entry.action.kind() != SUBSCRIBE) {
            self.kept.insert(id);
        }
    }

    fn edit(&mut self, index: usize, field: &'static str) {
        let index = index % self.tabs.len();
        let now = self.now();
        let value = self.ms.to_string();
        let client = &mut self.tabs[index].1.client;
        // Half of the edits grow until others have edited, or some time has passed.
        let edit = set(field, &value);
        let id = match field {
            "b" | "c" => client.edit_in_burst(now, &NOTE.into(), edit).unwrap(),
            _ => client.edit(now, &NOTE.into(), edit).unwrap(),
        };
        self.tabs[index].1.made.insert(id);
        self.turn(index);
    }

    fn undo(&mut self, index: usize) {
        let index = index % self.tabs.len();
        let now = self.now();
        self.tabs[index].1.client.undo_step(now, &NOTE.into()).unwrap();
        self.turn(index);
    }

    fn online(&mut self, is_online: bool) {
        if self.is_online == is_online {
            return;
        }
        self.is_online = is_online;
        self.up.clear();
        self.down.clear();
        let now = self.now();
        let input = if is_online { Input::Opened } else { Input::Closed };
        if is_online {
            let config = sync::Config::server(NodeId::new("server:x").unwrap());
            let mut node = Node::new(config.into(), ());
            node.handle(now, sync::Input::Opened);
            self.server.node = Some(node);
        }
        self.tabs[0].1.client.handle(now, input).unwrap();
        self.turn(0);
    }

    /// The leading tab is killed, and the next one leads.
    fn kill_leader(&mut self) {
        if self.tabs.len() == 1 {
            return;
        }
        let is_online = self.is_online;
        self.is_online = false;
        self.tabs.remove(0);
        let (node, mut former) = self.tabs.remove(0);
        for (_, tab) in &mut self.tabs {
            tab.up.clear();
            tab.down.clear();
        }
        let now = self.now();
        let store = JournalStore::restore(self.database.clone());
        let mut client = machine(&node, store);
        open(&mut client, now);
        client.take_over(now, &former.client).unwrap();
        former.client = client;
        former.up.clear();
        former.down.clear();
        self.tabs.insert(0, (node, former));
        self.turn(0);
        for index in 1..self.tabs.len() {
            let now = self.now();
            self.tabs[index].1.is_connected = false;
            self.tabs[index].1.client.handle(now, Input::Closed).unwrap();
            self.turn(index);
        }
        self.connect_tabs();
        self.online(is_online);
    }

    fn close_follower(&mut self) {
        if self.tabs.len() > 1 {
            let (node, _) = self.tabs.pop().unwrap();
            let now = self.now();
            self.tabs[0].1.client.handle_follower(now, &node, FollowerInput::Closed).unwrap();
            self.turn(0);
        }
    }

    /// Delivers one frame. Returns `false` if none is on its way on this line.
    fn deliver(&mut self, line: usize) -> bool {
        let now = self.now();
        let lines = 2 * self.tabs.len();
        match line % lines {
            0 => {
                let Some(frame) = self.up.pop_front() else { return false };
                let frames = self.server.frame(now, &frame);
                self.down.extend(frames);
            }
            1 => {
                let Some(frame) = self.down.pop_front() else { return false };
                self.tabs[0].1.client.handle(now, Input::Frame(&frame)).unwrap();
                self.turn(0);
            }
            line => {
                let (index, is_up) = (line / 2, line % 2 == 0);
                let (node, tab) = &mut self.tabs[index];
                if is_up {
                    let Some(frame) = tab.up.pop_front() else { return false };
                    let node = node.clone();
                    let leader = &mut self.tabs[0].1.client;
                    leader.handle_follower(now, &node, FollowerInput::Frame(&frame)).unwrap();
                    self.turn(0);
                } else {
                    let Some(frame) = tab.down.pop_front() else { return false };
                    tab.client.handle(now, Input::Frame(&frame)).unwrap();
                    self.turn(index);
                }
            }
        }
        true
    }

    fn settle(&mut self) {
        self.online(true);
        self.ms += 3_000;
        for index in 0..self.tabs.len() {
            let now = self.now();
            self.tabs[index].1.client.handle(now, Input::Wake).unwrap();
            self.turn(index);
        }
        while (0..2 * self.tabs.len()).any(|line| self.deliver(line)) {}
    }

    fn json(&self, index: usize) -> Value {
        let timelines = self.tabs[index].1.client.log().observer();
        timelines.timeline::<Notes>(NOTE).unwrap().state().to_json()
    }

    /// Returns the number of own actions without an answer.
    fn unanswered(&self, index: usize) -> usize {
        let log = self.tabs[index].1.client.log();
        let entries = log.store().memory();
        let mut count = 0;
        logux::Store::walk(entries, &Query::added(), &mut |entry| {
            count += usize::from(entry.meta.reasons.iter().any(|reason| **reason == *"syncing"));
            core::ops::ControlFlow::Continue(())
        })
        .unwrap();
        count
    }

    fn check(&mut self) {
        self.settle();
        let expected = self.server.json();
        for index in 0..self.tabs.len() {
            assert_eq!(self.json(index), expected, "tab {index} of {}", self.tabs.len());
            assert_eq!(self.unanswered(index), 0, "tab {index} of {}", self.tabs.len());
        }
        for id in self.tabs.iter().flat_map(|(_, tab)| &tab.made) {
            assert!(self.server.known.contains(id), "{id} was made, and is lost");
        }
        for id in &self.kept {
            assert!(self.server.known.contains(id), "{id} was kept, and is lost");
        }
        let restored = JournalStore::restore(self.database.clone());
        let mut again = machine(&self.tabs[0].0, restored);
        again.open(notes()).unwrap();
        let state = again.log().observer().timeline::<Notes>(NOTE).unwrap().state().to_json();
        assert_eq!(state, expected, "the database");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Edit(usize, &'static str),
    Undo(usize),
    Online(bool),
    KillLeader,
    OpenTab,
    CloseFollower,
    Deliver(usize),
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    let field = prop::sample::select(vec!["a", "b", "c", "refused"]);
    prop_oneof![
        6 => (0..4_usize, field).prop_map(|(tab, field)| Step::Edit(tab, field)),
        2 => (0..4_usize).prop_map(Step::Undo),
        2 => any::<bool>().prop_map(Step::Online),
        1 => Just(Step::KillLeader),
        1 => Just(Step::OpenTab),
        1 => Just(Step::CloseFollower),
        12 => (0..8_usize).prop_map(Step::Deliver),
        1 => Just(Step::Settle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(
            std::env::var("LOGUX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
        )
    })]

    #[test]
    fn tabs_agree_whatever_happens_to_them(steps in prop::collection::vec(step(), 1..60)) {
        let mut browser = Browser::new();
        for step in steps {
            match step {
                Step::Edit(tab, field) => browser.edit(tab, field),
                Step::Undo(tab) => browser.undo(tab),
                Step::Online(is_online) => browser.online(is_online),
                Step::KillLeader => browser.kill_leader(),
                Step::OpenTab => browser.open_tab(),
                Step::CloseFollower => browser.close_follower(),
                Step::Deliver(line) => drop(browser.deliver(line)),
                Step::Settle => browser.settle(),
            }
        }
        browser.check();
    }
}

#[test]
fn tabs_see_each_other_without_a_connection() {
    let mut browser = Browser::new();
    browser.edit(1, "a");
    browser.edit(0, "b");
    while (0..4).any(|line| line != 0 && browser.deliver(line)) {}
    let shown = browser.json(0);
    assert_eq!(shown, browser.json(1));
    assert_eq!(shown, json!({"a": shown["a"], "b": shown["b"]}));
    browser.check();
}

#[test]
fn a_tab_that_leads_after_another_one_undoes_its_own_edits() {
    let mut browser = Browser::new();
    browser.edit(1, "a");
    browser.settle();
    browser.kill_leader();
    browser.settle();
    browser.undo(0);
    browser.check();
    assert_eq!(browser.server.json(), json!({}));
}

#[test]
fn an_answer_that_is_lost_with_the_leader_comes_again() {
    let mut browser = Browser::new();
    browser.open_tab();
    browser.settle();
    browser.edit(2, "a");
    // Everything is delivered but the last frame that the leader sends the third tab.
    while (0..5).any(|line| browser.deliver(line)) {}
    while browser.tabs[2].1.down.len() > 1 {
        browser.deliver(5);
    }
    assert_eq!(browser.tabs[2].1.client.unconfirmed(), 0);
    assert_eq!(browser.unanswered(2), 1);
    browser.kill_leader();
    browser.check();
}

#[test]
fn a_new_tab_receives_what_is_being_typed_when_it_is_complete() {
    let mut browser = Browser::new();
    browser.settle();
    browser.edit(0, "b");
    browser.open_tab();
    while (2..6).any(|line| browser.deliver(line)) {}
    browser.edit(0, "c");
    browser.check();
    let shown = browser.json(2);
    assert_eq!(shown, json!({"b": shown["b"], "c": shown["c"]}));
}

#[test]
fn what_was_typed_without_a_connection_is_shown_by_the_other_tabs_when_it_ends() {
    let mut browser = Browser::new();
    while (2..4).any(|line| browser.deliver(line)) {}
    browser.edit(0, "b");
    browser.ms += 3_000;
    let now = browser.now();
    browser.tabs[0].1.client.handle(now, Input::Wake).unwrap();
    browser.turn(0);
    while (2..4).any(|line| browser.deliver(line)) {}
    assert_eq!(browser.json(1), browser.json(0));
    assert_ne!(browser.json(1), json!({}));
}

#[test]
fn a_tab_that_lists_many_records_is_sent_the_log_of_them_once() {
    let [leader, tab] = ["10:phone:t1", "10:phone:t2"].map(|id| NodeId::new(id).unwrap());
    let mut client = machine(&leader, JournalStore::default());
    client.open(SyncMaps::new("tasks")).unwrap();
    let now = Now::from_millis(START, 0);
    for id in 0..10 {
        let create = json!({"type": "tasks/created", "id": id.to_string(), "fields": {"a": 1}});
        client.sync(now, Action::try_from(create).unwrap()).unwrap();
    }
    client.handle_follower(now, &tab, FollowerInput::Opened).unwrap();
    let mut sent = |frame: Value| {
        let frame = frame.to_string();
        client.handle_follower(now, &tab, FollowerInput::Frame(&frame)).unwrap();
        while client.needs_commit() {
            client.commit(now).unwrap();
        }
        let mut created = 0;
        while let Some(output) = client.poll_output() {
            if let Output::Follower(_, FollowerOutput::Send(frame)) = output {
                created += frame.matches("tasks/created").count();
            }
        }
        created
    };
    sent(json!(["connect", 5, tab.as_str(), 0, {"subprotocol": 0}]));
    let subscribe = |number: u64, kind: &str, id: u64| {
        let action = json!({"type": kind, "channel": format!("tasks/{id}")});
        json!(["sync", number, action, {"id": [number, tab.as_str(), 0], "time": number}])
    };
    let counts: Vec<_> = (1..4).map(|id| sent(subscribe(id, SUBSCRIBE, id))).collect();
    // Beside the log of all, that of each record, which its channel finds.
    assert_eq!(counts, [10 + 1, 1, 1]);
    // A tab that has left all of them may have missed changes.
    (1..4).for_each(|id| assert_eq!(sent(subscribe(id + 3, UNSUBSCRIBE, id)), 0));
    assert_eq!(sent(subscribe(7, SUBSCRIBE, 1)), 10 + 1);
}
