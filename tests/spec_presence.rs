//! Runs `spec/vectors/presence.json` against the hub.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use logux::{
    Action, Entry, MemoryStore, Meta, NodeId, Now,
    action::Subprotocol,
    server::{Config, HandlerResponse, Hub, Input, Output, PresenceRule, RequestKind, SessionId},
    testing::batch,
};
use serde_json::{Value, json};

struct Server {
    hub: Hub<MemoryStore>,
    now: Now,
    nodes: Vec<String>,
    actions: i64,
    /// The states that each node was sent.
    sent: BTreeMap<String, serde_json::Map<String, Value>>,
    /// The reasons of undos.
    undone: Vec<String>,
}

impl Server {
    fn new() -> Self {
        let config = Config {
            presence: PresenceRule::new(|channel| channel.starts_with("notes/")),
            ..Config::new(NodeId::new("server:x").unwrap())
        };
        Self {
            hub: Hub::new(config, MemoryStore::new()).unwrap(),
            now: Now::from_millis(1_000_000, 0),
            nodes: Vec::new(),
            actions: 0,
            sent: BTreeMap::new(),
            undone: Vec::new(),
        }
    }

    fn session(&self, node: &str) -> SessionId {
        SessionId(self.nodes.iter().position(|own| own == node).unwrap() as u64)
    }

    fn handle(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.hub.handle(self.now, input).unwrap();
            self.hub.commit().unwrap();
            while let Some(output) = self.hub.poll_output() {
                match output {
                    Output::Request(request) if request.kind == RequestKind::Subscription => {
                        for response in
                            [HandlerResponse::Processed, HandlerResponse::Approved(None)]
                        {
                            inputs.push(Input::Respond(request.id, response));
                        }
                    }
                    Output::Deliver { session, added, entry, .. } => {
                        self.receive(session, &entry.action);
                        inputs.push(Input::Acknowledged { session, added });
                    }
                    _ => {}
                }
            }
        }
    }

    fn receive(&mut self, session: SessionId, action: &Action) {
        let action: Value = serde_json::from_str(action.as_json()).unwrap();
        match action["type"].as_str().unwrap() {
            "presence/changed" => {
                assert_eq!(action["channel"], "notes/7");
                let node = self.nodes[session.0 as usize].clone();
                let states = action["states"].as_object().unwrap().clone();
                self.sent.entry(node).or_default().extend(states);
            }
            "logux/undo" => self.undone.push(action["reason"].as_str().unwrap().to_owned()),
            _ => {}
        }
    }

    /// Sends an action with the id of a node over the connection of another one, or its own.
    fn send(&mut self, node: &str, of: &str, action: &Value) {
        self.actions += 1;
        let id = format!("{} {of} 0", self.actions).parse().unwrap();
        let entry = Entry::new(Action::new(action.to_string()).unwrap(), Meta::new(id));
        let session = self.session(node);
        self.handle(Input::Received { session, batch: batch(), entries: vec![entry] });
    }

    /// Lets the time pass, and does what is due.
    fn pass(&mut self, at: u64) {
        let end = Now::from_millis(1_000_000 + at as i64, at);
        while let Some(due) = self.hub.next_deadline().filter(|due| *due <= end.mono) {
            let ms = due.as_millis().max(self.now.mono.as_millis());
            self.now = Now::from_millis(1_000_000 + ms as i64, ms);
            self.handle(Input::Continue);
        }
        self.now = end;
    }

    fn step(&mut self, step: &Value) {
        self.pass(step["at"].as_u64().unwrap());
        for node in step["join"].as_array().into_iter().flatten() {
            let name = node.as_str().unwrap().to_owned();
            self.nodes.push(name.clone());
            self.handle(Input::Join {
                session: self.session(&name),
                node: NodeId::new(&*name).unwrap(),
                subprotocol: Subprotocol::Number(0),
                headers: None,
                since: 0,
            });
            self.send(&name, &name, &json!({"type": "logux/subscribe", "channel": "notes/7"}));
        }
        for node in step["leave"].as_array().into_iter().flatten() {
            self.handle(Input::Leave(self.session(node.as_str().unwrap())));
        }
        if let Some(set) = step.get("set") {
            let node = set["node"].as_str().unwrap();
            let channel = set["channel"].as_str().unwrap_or("notes/7");
            let mut action = json!({"type": "presence/set", "channel": channel});
            if let Some(state) = set.get("state") {
                action["state"] = state.clone();
            } else if let Some(bytes) = set["bytes"].as_u64() {
                action["state"] = "a".repeat(bytes as usize - 2).into();
            } else if let Some(nested) = set["nested"].as_u64() {
                action["state"] = (1..nested).fold(json!([]), |inner, _| json!([inner]));
            }
            self.send(node, set["of"].as_str().unwrap_or(node), &action);
        }
        self.pass(step["at"].as_u64().unwrap());
    }
}

#[test]
fn exchanges_of_the_specification() {
    let text = include_str!("../spec/vectors/presence.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    for exchange in vectors["exchanges"].as_array().unwrap() {
        let mut server = Server::new();
        for step in exchange["steps"].as_array().unwrap() {
            server.step(step);
            let (sent, undone) =
                (std::mem::take(&mut server.sent), std::mem::take(&mut server.undone));
            let expected = step.get("sent").cloned().unwrap_or_else(|| json!({}));
            assert_eq!(json!(sent), expected, "{}: {step}", exchange["name"]);
            let reasons: Vec<&str> = step["reason"].as_str().into_iter().collect();
            assert_eq!(undone, reasons, "{}: {step}", exchange["name"]);
        }
    }
}
