//! A device with a shared document, and what its server sends.

use core::{ops::ControlFlow, time::Duration};

use logux::{
    Action, ActionId, Log, MemoryStore, NodeId, Now, Store, WallTime,
    action::logux::Undo,
    client::{Client, Config, Fate, Input, Output, UndoOutcome},
    crdt::{Crdt, Document, DocumentOp, Path, Shared, Text},
    log::{Draft, Observer},
    replay::{Reducer, Timeline, TimelineConfig, TimelineSet},
    store::Query,
    sync,
};
use serde_json::{Value, json};

/// The time when the connections of tests are opened, in milliseconds.
const BASE: i64 = 1_700_000_000_000;

pub(crate) type Notes = Shared<Document>;

/// A client whose documents open and close.
pub(crate) type Desk = Device<TimelineSet>;

pub(crate) fn notes() -> Notes {
    Shared::new("notes", "1")
}

/// Returns a document that is one text.
pub(crate) fn text_note() -> Shared<Text> {
    Shared::new("texts", "1")
}

/// Starts a client that has [`notes`] open.
pub(crate) fn desk(node: &str, store: MemoryStore) -> Desk {
    let mut desk = Device::observed(node, store, TimelineSet::default());
    desk.client.open(notes()).unwrap();
    desk
}

/// Starts a client that has [`text_note`] open.
pub(crate) fn text_desk(node: &str, store: MemoryStore) -> Desk {
    let mut desk = Device::observed(node, store, TimelineSet::default());
    desk.client.open(text_note()).unwrap();
    desk
}

/// Returns an edit that sets a field of the document.
pub(crate) fn set(field: &str, value: &str) -> Action {
    let value = logux::Json::from_value(value).unwrap();
    let op = DocumentOp::Set { path: Path::of(&[field]).unwrap(), value };
    notes().action(&[op]).unwrap()
}

/// A client whose clock advances by a second with each call.
pub(crate) struct Device<O = Timeline<Notes>> {
    pub(crate) client: Client<MemoryStore, O>,
    ms: u64,
    /// The last `added` number of the server.
    added: u64,
}

impl Device {
    pub(crate) fn new() -> Self {
        Self::start("10:phone:1", MemoryStore::new(), TimelineConfig::default(), notes())
    }

    /// Stops and starts with the same store, as a new node.
    pub(crate) fn restart(self) -> Self {
        let (ms, added) = (self.ms, self.added);
        let store = self.client.into_store();
        let new = Self::start("10:phone:2", store, TimelineConfig::default(), notes());
        Self { ms, added, ..new }
    }

    pub(crate) fn json(&self) -> Value {
        self.client.log().state().to_json()
    }
}

impl<R: Reducer> Device<Timeline<R>> {
    pub(crate) fn start(
        node: &str,
        store: MemoryStore,
        config: TimelineConfig,
        reducer: R,
    ) -> Self {
        let timeline = Timeline::read(reducer, config, &store).unwrap();
        Self::observed(node, store, timeline)
    }
}

impl<O: Observer> Device<O> {
    pub(crate) fn observed(node: &str, mut store: MemoryStore, observer: O) -> Self {
        let node = sync::Config::client(NodeId::new(node).unwrap());
        let config = Config { node: node.into(), token: None };
        // The clock is right, although it runs during the handshake.
        store.set_value("timeFix", Some("0")).unwrap();
        let client = Client::with_observer(config, store, observer).unwrap();
        Self { client, ms: 0, added: 0 }
    }

    /// Sets the last number of the server.
    pub(crate) fn with_added(self, added: u64) -> Self {
        Self { added, ..self }
    }

    /// Advances the clock by milliseconds.
    pub(crate) const fn advance(&mut self, ms: u64) {
        self.ms += ms;
    }

    /// Returns the time and the last number of the server, for a device that starts again.
    pub(crate) const fn counters(&self) -> (u64, u64) {
        (self.ms, self.added)
    }

    pub(crate) const fn set_counters(&mut self, (ms, added): (u64, u64)) {
        (self.ms, self.added) = (ms, added);
    }

    pub(crate) fn now(&mut self) -> Now {
        self.now_after(1_000)
    }

    /// Advances the clock by milliseconds, and returns the time.
    pub(crate) fn now_after(&mut self, ms: u64) -> Now {
        self.ms += ms;
        Now::from_millis(BASE + i64::try_from(self.ms).unwrap(), self.ms)
    }

    pub(crate) fn sync(&mut self, action: Action) -> ActionId {
        let now = self.now();
        let id = self.client.sync(now, action).unwrap();
        self.commit(now);
        id
    }

    pub(crate) fn commit(&mut self, now: Now) {
        while self.client.needs_commit() {
            self.client.commit(now).unwrap();
        }
    }

    pub(crate) fn undo(&mut self, id: &ActionId) -> UndoOutcome {
        let now = self.now();
        let outcome = self.client.undo(now, id, "mistake").unwrap();
        self.commit(now);
        outcome
    }

    /// Undoes an action that the server may have received, and returns the id of the undo.
    pub(crate) fn undo_sent(&mut self, id: &ActionId) -> ActionId {
        match self.undo(id) {
            UndoOutcome::Added(undo) => undo,
            UndoOutcome::Dropped(entry) => panic!("{} was dropped", entry.meta.id),
        }
    }

    pub(crate) fn handle(&mut self, input: Input<'_>) {
        let now = self.now();
        self.client.handle(now, input).unwrap();
        self.commit(now);
    }

    /// Connects, and returns the JSON of the actions that the client sends.
    pub(crate) fn connect(&mut self) -> Vec<Value> {
        while self.client.poll_output().is_some() {}
        self.handle(Input::Closed);
        self.handle(Input::Opened);
        self.handle(Input::Frame(&format!(r#"["connected",5,"server:x",[{BASE},{BASE}]]"#)));
        self.sent()
    }

    pub(crate) fn disconnect(&mut self) {
        self.handle(Input::Closed);
    }

    /// Takes all outputs, and returns the JSON of the actions that were sent.
    pub(crate) fn sent(&mut self) -> Vec<Value> {
        let mut actions = Vec::new();
        while let Some(output) = self.client.poll_output() {
            let Output::Send(frame) = output else { continue };
            let frame: Vec<Value> = serde_json::from_str(&frame).unwrap();
            if frame[0] == "sync" {
                actions.extend(frame.into_iter().skip(2).step_by(2));
            }
        }
        actions
    }

    /// Receives an action from the server, with this time and node id, and returns the outputs.
    pub(crate) fn outputs(&mut self, time: i64, node: &str, action: &Value) -> Vec<Output> {
        self.added += 1;
        let meta = json!({"id": [time, node, 0], "time": time});
        let frame = json!(["sync", self.added, action, meta]).to_string();
        while self.client.poll_output().is_some() {}
        self.handle(Input::Frame(&frame));
        std::iter::from_fn(|| self.client.poll_output()).collect()
    }

    /// Receives an action as [`outputs`](Self::outputs), and returns the answers that the client
    /// reports.
    pub(crate) fn receive(&mut self, time: i64, node: &str, action: &Value) -> Vec<Answer> {
        let outputs = self.outputs(time, node, action).into_iter();
        let answers = outputs.filter_map(|output| match output {
            Output::Fate(id, Fate::Processed) => Some(Answer::Processed(id)),
            Output::Fate(id, Fate::Undone(undo)) => Some(Answer::Undone(id, *undo)),
            _ => None,
        });
        answers.collect()
    }

    /// Returns the actions of the log, in the order of creation, with their reasons.
    pub(crate) fn log(&self) -> Vec<(ActionId, Vec<String>)> {
        let mut entries = Vec::new();
        let query = Query::created().oldest_first();
        let walked = self.client.log().store().walk(&query, &mut |entry| {
            let reasons = entry.meta.reasons.iter().map(ToString::to_string).collect();
            entries.push((entry.meta.id.clone(), reasons));
            ControlFlow::Continue(())
        });
        walked.unwrap();
        entries
    }

    /// Returns the ids of the actions of the log, in the order of creation.
    pub(crate) fn ids(&self) -> Vec<ActionId> {
        self.log().into_iter().map(|(id, _)| id).collect()
    }
}

/// What a client reports about an own action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Processed(ActionId),
    Undone(ActionId, Undo),
}

impl Answer {
    /// Returns the id and the reason of an undone action.
    pub(crate) fn undone(&self) -> (&ActionId, &str) {
        match self {
            Self::Undone(id, undo) => (id, &undo.reason),
            Self::Processed(id) => panic!("{id} was processed"),
        }
    }
}

/// Returns the server's refusal of an action.
pub(crate) fn refusal(id: &ActionId, reason: &str) -> Value {
    json!({"type": "logux/undo", "id": id.to_string(), "reason": reason})
}

/// Returns the server's confirmation of an action.
pub(crate) fn processed(id: &ActionId) -> Value {
    json!({"type": "logux/processed", "id": id.to_string()})
}

/// Another node that has the document: the server, or the device of another user.
pub(crate) struct Replica(Log<MemoryStore, Timeline<Notes>>);

impl Replica {
    pub(crate) fn new(node: &str) -> Self {
        let node = NodeId::new(node).unwrap();
        Self(Log::with_observer(node, MemoryStore::new(), Timeline::new(notes())).unwrap())
    }

    pub(crate) fn receive(&mut self, id: &ActionId, action: &Value) {
        let action = Action::new(action.to_string()).unwrap();
        self.0.add(id.time(), action, Draft::of(id.clone(), id.time())).unwrap();
    }

    /// Makes a snapshot of all actions at a time. Actions that are older than the horizon and not
    /// part of it are rejected.
    pub(crate) fn fold(&mut self, time: i64, horizon: Duration) -> Value {
        let entry = self.0.fold(WallTime::from_millis(BASE + time), horizon).unwrap();
        serde_json::from_str(entry.action.as_json()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        self.0.state().to_json()
    }
}

/// Returns the JSON of an action.
pub(crate) fn json_of(action: &Action) -> Value {
    serde_json::from_str(action.as_json()).unwrap()
}

/// Returns the id of an action of a node at a time.
pub(crate) fn id_at(time: i64, node: &str) -> ActionId {
    ActionId::new(WallTime::from_millis(BASE + time), NodeId::new(node).unwrap(), 0)
}
