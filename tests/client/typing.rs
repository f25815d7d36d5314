//! Two users type in one text, whatever happens to their devices: the server receives no action in
//! two forms, and all show the same text at the end.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use logux::{
    Action, ActionId, NodeId, Now,
    client::{Client, Config, Input, Output},
    crdt::{Shared, Text, Unit},
    replay::{Timeline, TimelineSet},
    store::{Entry, Store},
    sync::{self, Node, State},
    testing::CrashStore,
};
use proptest::{prelude::*, sample::Index};
use serde_json::json;

use crate::device::{processed, refusal};

const NOTE: &str = "texts/1";

fn note() -> Shared<Text> {
    Shared::new("texts", "1")
}

/// What a user does, and what happens to a device.
#[derive(Clone, Debug)]
enum Event {
    /// Replaces this number of characters at a place by a letter.
    Key(Index, usize),
    Undo,
    Redo,
    CloseStep,
    /// Another own action.
    Other,
    Disconnect,
    Connect,
    /// Loses what is not committed, and starts again.
    Crash,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        16 => (any::<Index>(), 0..2_usize).prop_map(|(at, removed)| Event::Key(at, removed)),
        2 => Just(Event::Undo),
        1 => Just(Event::Redo),
        1 => Just(Event::CloseStep),
        1 => Just(Event::Other),
        2 => Just(Event::Disconnect),
        3 => Just(Event::Connect),
        1 => Just(Event::Crash),
    ]
}

type Machine = Client<CrashStore, TimelineSet>;

/// A device, and the server's end of its connection.
struct Device {
    name: &'static str,
    starts: u32,
    /// `None` only during a crash.
    client: Option<Machine>,
    server_end: Option<Node>,
    /// What the server has for the device. The `added` number is the position and 1.
    outgoing: Vec<Entry>,
    /// The number of entries of these that were sent in this connection.
    sent: usize,
}

impl Device {
    fn new(name: &'static str) -> Self {
        let mut device =
            Self { name, starts: 0, client: None, server_end: None, outgoing: Vec::new(), sent: 0 };
        device.start(CrashStore::new());
        device
    }

    fn start(&mut self, mut store: CrashStore) {
        self.starts += 1;
        // The clock is right.
        store.set_value("timeFix", Some("0")).unwrap();
        let node = NodeId::new(format!("{}:{}", self.name, self.starts)).unwrap();
        let config = Config { node: sync::Config::client(node).into(), token: None };
        let mut client = Client::with_observer(config, store, TimelineSet::default()).unwrap();
        client.open(note()).unwrap();
        self.client = Some(client);
        self.server_end = None;
    }

    fn client(&mut self) -> &mut Machine {
        self.client.as_mut().unwrap()
    }

    fn timeline(&self) -> &Timeline<Shared<Text>> {
        self.client.as_ref().unwrap().log().observer().timeline(NOTE).unwrap()
    }

    fn owns(&self, id: &ActionId) -> bool {
        id.node().client_id() == self.name
    }
}

/// Two devices, and a server that answers each action once.
struct World {
    ms: u64,
    devices: [Device; 2],
    /// All actions that were received, in the form that was received first.
    received: BTreeMap<ActionId, Action>,
    /// The text of what was accepted.
    accepted: Timeline<Shared<Text>>,
    answers: i64,
}

impl World {
    fn new() -> Self {
        Self {
            ms: 0,
            devices: [Device::new("10:phone"), Device::new("20:desk")],
            received: BTreeMap::new(),
            accepted: Timeline::new(note()),
            answers: 0,
        }
    }

    fn now(&self) -> Now {
        Now::from_millis(1_700_000_000_000 + i64::try_from(self.ms).unwrap(), self.ms)
    }

    /// Lets time pass, and wakes the clients when they ask for it.
    fn wait(&mut self, ms: u64) {
        let end = self.ms + ms;
        loop {
            let deadlines = self.devices.iter().enumerate().filter_map(|(index, device)| {
                Some((device.client.as_ref()?.next_deadline()?.at.as_millis(), index))
            });
            let Some((at, index)) = deadlines.min().filter(|(at, _)| *at <= end) else { break };
            self.ms = self.ms.max(at);
            self.handle(index, Input::Wake);
            self.run();
        }
        self.ms = end;
    }

    fn handle(&mut self, index: usize, input: Input<'_>) {
        let now = self.now();
        self.devices[index].client().handle(now, input).unwrap();
    }

    /// Exchanges messages until there are no more.
    fn run(&mut self) {
        while (0..2).any(|index| self.exchange(index)) {}
        for device in &self.devices {
            device.timeline().assert_invariants();
        }
    }

    /// Commits, and passes messages. Returns `true` if there were some.
    fn exchange(&mut self, index: usize) -> bool {
        let (now, mut has_changed) = (self.now(), false);
        let device = &mut self.devices[index];
        let client = device.client.as_mut().unwrap();
        while client.needs_commit() {
            client.commit(now).unwrap();
            has_changed = true;
        }
        let mut to_server = VecDeque::new();
        while let Some(output) = client.poll_output() {
            if let Output::Send(frame) = output {
                to_server.push_back(frame);
            }
        }
        let Some(mut node) = device.server_end.take() else { return has_changed };
        for frame in to_server {
            node.handle(now, sync::Input::Frame(&frame));
            has_changed = true;
        }
        let (mut to_client, mut entries) = (Vec::new(), Vec::new());
        loop {
            while let Some(output) = node.poll_output() {
                match output {
                    sync::Output::Send(frame) => to_client.push(frame),
                    sync::Output::Authenticate(request) => {
                        node.handle(now, sync::Input::Allow(request.token));
                    }
                    sync::Output::Connected { since, .. } => {
                        self.devices[index].sent = usize::try_from(since.unwrap_or(0)).unwrap();
                        node.send(now.mono, since.unwrap_or(0), []);
                    }
                    sync::Output::Received { batch, entries: new, .. } => {
                        entries.extend(new);
                        node.handle(now, sync::Input::Persisted(batch));
                    }
                    _ => {}
                }
            }
            let device = &mut self.devices[index];
            let is_open = matches!(node.state(), State::Sending | State::Synchronized);
            let all = device.outgoing.len();
            if !is_open || device.sent >= all {
                break;
            }
            node.send(now.mono, all as u64, &device.outgoing[device.sent..]);
            device.sent = all;
        }
        self.devices[index].server_end = Some(node);
        for frame in to_client {
            self.handle(index, Input::Frame(&frame));
            has_changed = true;
        }
        for entry in entries {
            self.receive(index, entry);
        }
        has_changed
    }

    /// Answers an action, and sends it to the other device, if it is new.
    fn receive(&mut self, author: usize, entry: Entry) {
        let id = entry.meta.id.clone();
        if let Some(known) = self.received.get(&id) {
            assert_eq!(*known, entry.action, "{id} was sent in two forms");
            return;
        }
        assert!(self.devices[author].owns(&id));
        self.received.insert(id.clone(), entry.action.clone());
        // Some are refused, and what follows from them.
        let state = self.accepted.state();
        let is_accepted = id.time().as_millis() % 16 != 0
            && note().admit(state, &entry.action, &entry.meta.stamp()).is_ok();
        let answer = match is_accepted {
            true => processed(&id),
            false => refusal(&id, "denied"),
        };
        self.answers += 1;
        let time = self.now().wall;
        let answer_id = format!("{} server:x {}", time.as_millis(), self.answers).parse().unwrap();
        let answer =
            Entry::new(Action::new(answer.to_string()).unwrap(), logux::Meta::new(answer_id));
        self.devices[author].outgoing.push(answer);
        if is_accepted {
            self.accepted.add(&entry);
            self.devices[1 - author].outgoing.push(entry);
        }
    }

    fn connect(&mut self, index: usize) {
        self.disconnect(index);
        let config = Arc::new(sync::Config::server(NodeId::new("server:x").unwrap()));
        self.devices[index].server_end = Some(Node::new(config, ()));
        let now = self.now();
        self.devices[index].server_end.as_mut().unwrap().handle(now, sync::Input::Opened);
        self.handle(index, Input::Opened);
        self.run();
    }

    fn disconnect(&mut self, index: usize) {
        if self.devices[index].server_end.take().is_some() {
            self.handle(index, Input::Closed);
            // The frames that were not sent are lost.
            self.exchange(index);
        }
    }

    fn happen(&mut self, index: usize, event: &Event) {
        let (now, timeline) = (self.now(), NOTE.into());
        let device = &mut self.devices[index];
        match event {
            Event::Key(at, removed) => {
                let id = device.client().next_id(now.wall);
                let text = device.timeline().state();
                let len = text.len(Unit::Scalars);
                let start = at.index(len + 1);
                let range = start..(start + removed).min(len);
                let ops = text.replace_ops(range, "a", Unit::Scalars, &id).unwrap();
                let action = note().action(&ops).unwrap();
                device.client().edit_in_burst(now, &timeline, action).unwrap();
            }
            Event::Undo => drop(device.client().undo_step(now, &timeline).unwrap()),
            Event::Redo => drop(device.client().redo_step(now, &timeline).unwrap()),
            Event::CloseStep => device.client().close_step(now, &timeline).unwrap(),
            Event::Other => {
                let action = Action::new(json!({"type": "other"}).to_string()).unwrap();
                drop(device.client().sync(now, action).unwrap());
            }
            Event::Connect => return self.connect(index),
            Event::Disconnect => self.disconnect(index),
            Event::Crash => {
                let store = device.client.take().unwrap().into_store().crash();
                device.start(store);
            }
        }
        self.devices[index].timeline().assert_invariants();
    }
}

fn cases() -> u32 {
    std::env::var("LOGUX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn all_show_the_same_text_whatever_happens(
        events in prop::collection::vec((0..2_usize, 0..700_u64, any::<bool>(), event()), 1..80)
    ) {
        let mut world = World::new();
        (0..2).for_each(|index| world.connect(index));
        for (index, ms, is_run, event) in &events {
            world.wait(*ms);
            world.happen(*index, event);
            if *is_run {
                world.run();
            }
        }
        world.wait(3_000);
        (0..2).for_each(|index| world.connect(index));
        world.run();
        let text = world.accepted.state().to_string();
        for device in &mut world.devices {
            prop_assert_eq!(device.client().unconfirmed(), 0);
            prop_assert_eq!(device.timeline().state().to_string(), text.clone());
        }
    }
}
