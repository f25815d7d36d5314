//! A hub whose clients and application are played by a test.

use std::collections::VecDeque;

use logux::{
    Action, Entry, MemoryStore, Meta, NodeId, Now,
    action::Subprotocol,
    server::{Config, HandlerRequest, HandlerResponse, Hub, HubEvent, Input, Output, SessionId},
    store::Store,
    testing::batch,
};

/// A hub with its outputs, by kind.
pub(crate) struct World<S = MemoryStore> {
    pub(crate) hub: Hub<S>,
    /// The requests that the test has not responded to.
    pub(crate) requests: VecDeque<HandlerRequest>,
    /// The delivered actions as `SESSION <- ACTION`, in order.
    pub(crate) delivered: Vec<String>,
    /// The connections of the confirmed batches.
    pub(crate) persisted: Vec<SessionId>,
    /// The events as strings, in order.
    pub(crate) events: Vec<String>,
    /// All other outputs, in their `Debug` form.
    pub(crate) other: Vec<String>,
}

pub(crate) const NOW: Now = Now::from_millis(1_564_508_138_460, 0);

pub(crate) fn config() -> Config {
    Config { debug: true, max_queue: 3, ..Config::new(NodeId::new("server:uuid").unwrap()) }
}

pub(crate) fn entry(id: &str, json: &str) -> Entry {
    Entry::new(Action::new(json).unwrap(), Meta::new(id.parse().unwrap()))
}

fn event_text(event: &HubEvent) -> String {
    let name = |entry: &Entry| format!("{} {}", entry.action.kind(), entry.meta.id);
    match event {
        HubEvent::Added(entry) => {
            format!("added {}, stored: {}", name(entry), entry.meta.added.is_some())
        }
        HubEvent::Useless(entry) => format!("useless {}", name(entry)),
        HubEvent::Sent(entry, clients) => format!("sent {} to {clients}", entry.action.kind()),
        HubEvent::Processed(entry) => format!("processed {}", name(entry)),
        HubEvent::Undone { entry, reason } => format!("undone {}: {reason}", name(entry)),
        HubEvent::Duplicate(id) => format!("duplicate {id}"),
        HubEvent::Subscribed { id, node, channel } => {
            format!("{node} in {channel} by action: {}", id.is_some())
        }
        HubEvent::Unsubscribed { node, channel } => format!("{node} left {channel}"),
        other => format!("{other:?}"),
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::over(MemoryStore::new())
    }
}

impl<S: Store> World<S> {
    pub(crate) fn over(store: S) -> Self {
        Self::with(config(), store)
    }

    pub(crate) fn with(config: Config, store: S) -> Self {
        let hub = Hub::new(config, store).unwrap();
        let mut world = Self {
            hub,
            requests: VecDeque::new(),
            delivered: Vec::new(),
            persisted: Vec::new(),
            events: Vec::new(),
            other: Vec::new(),
        };
        world.settle();
        world
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.hub.handle(NOW, input).unwrap();
        assert!(self.hub.poll_output().is_none(), "there are no outputs before the commit");
        self.settle();
        while self.hub.is_busy() {
            self.hub.handle(NOW, Input::Continue).unwrap();
            self.settle();
        }
    }

    pub(crate) fn settle(&mut self) {
        self.hub.commit().unwrap();
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Request(request) => self.requests.push_back(request),
                Output::Deliver { session, entry, .. } => {
                    self.delivered.push(format!("{} <- {}", session.0, entry.action.as_json()));
                }
                Output::Missed { session, entries: missed, .. } => {
                    for entry in missed {
                        self.delivered.push(format!("{} <- {}", session.0, entry.action.as_json()));
                    }
                }
                Output::Persisted(session, _) => self.persisted.push(session),
                Output::Event(event) => self.events.push(event_text(&event)),
                other => self.other.push(format!("{other:?}")),
            }
        }
    }

    pub(crate) fn join(&mut self, session: u64, node: &str) {
        self.join_since(session, node, 0);
    }

    pub(crate) fn join_since(&mut self, session: u64, node: &str, since: u64) {
        let node = NodeId::new(node).unwrap();
        let subprotocol = Subprotocol::Number(0);
        self.handle(Input::Join {
            session: SessionId(session),
            node,
            subprotocol,
            headers: None,
            since,
        });
    }

    pub(crate) fn receive(&mut self, session: u64, entries: Vec<Entry>) {
        self.handle(Input::Received { session: SessionId(session), batch: batch(), entries });
    }

    /// Responds to the first request.
    pub(crate) fn respond(&mut self, responses: impl IntoIterator<Item = HandlerResponse>) {
        let request = self.requests.pop_front().expect("there is a request");
        for response in responses {
            self.handle(Input::Respond(request.id, response));
        }
    }

    pub(crate) fn subscribe(&mut self, session: u64, id: &str, channel: &str) {
        self.receive(
            session,
            vec![entry(id, &format!(r#"{{"type":"logux/subscribe","channel":"{channel}"}}"#))],
        );
        self.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
        self.delivered.clear();
    }

    /// Takes the actions that were delivered since the last call.
    pub(crate) fn delivered(&mut self) -> Vec<String> {
        std::mem::take(&mut self.delivered)
    }
}

pub(crate) fn processed(session: u64, id: &str) -> String {
    format!(r#"{session} <- {{"type":"logux/processed","id":"{id}"}}"#)
}

pub(crate) fn undone(session: u64, action: &str, id: &str, reason: &str) -> String {
    format!(
        r#"{session} <- {{"type":"logux/undo","action":{action},"id":"{id}","reason":"{reason}"}}"#
    )
}

pub(crate) const A: &str = r#"{"type":"a"}"#;
