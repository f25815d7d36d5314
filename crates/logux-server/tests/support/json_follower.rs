//! A client that knows only the JSON of a document, as an application of `@logux/client` does.

#![allow(dead_code, reason = "each test program uses some of it")]

use logux::{Action, Entry, crdt::JsonChange};
use logux_client::{Actions, testing::TestClient};
use logux_server::testing::TestServer;
use serde_json::{Value, json};

pub(crate) fn subscribe_json(id: &str) -> Value {
    let channel = format!("notes/{id}");
    json!({"type": "logux/subscribe", "channel": channel, "filter": {"format": "json"}})
}

pub(crate) fn change(id: &str, changes: impl Into<Value>) -> Value {
    json!({"type": "notes/change", "id": id, "changes": changes.into()})
}

pub(crate) struct Follower {
    pub(crate) client: TestClient,
    actions: Actions,
    /// What it shows. `None` without a state.
    pub(crate) json: Option<Value>,
    /// What it has received last.
    pub(crate) received: Vec<Value>,
    /// All that it has received.
    pub(crate) entries: Vec<Entry>,
}

impl Follower {
    /// Connects a client of a user, and subscribes it to the JSON of a document.
    pub(crate) async fn open(server: &TestServer, user: &str, id: &str) -> Self {
        Self::subscribed(server.connect(user).await.expect("connected"), id).await
    }

    pub(crate) async fn subscribed(client: TestClient, id: &str) -> Self {
        let actions = client.client().actions();
        client.process(subscribe_json(id)).await.expect("subscribed");
        let (received, entries) = (Vec::new(), Vec::new());
        let mut follower = Self { client, actions, json: None, received, entries };
        follower.received = follower.read();
        // The answer to the subscription.
        follower.received.pop();
        follower
    }

    /// Applies what was received since the last call, and returns it.
    pub(crate) fn read(&mut self) -> Vec<Value> {
        let mut received = Vec::new();
        while let Some(entry) = self.actions.try_next() {
            self.apply(&entry.action);
            received.push(entry.action.parse().expect("JSON"));
            self.entries.push(entry);
        }
        received
    }

    fn apply(&mut self, action: &Action) {
        let fields: Value = action.parse().expect("JSON");
        match action.kind() {
            "notes/state" => self.json = Some(fields["value"].clone()),
            "notes/changed" => {
                let changes: Vec<JsonChange> =
                    serde_json::from_value(fields["changes"].clone()).expect("changes");
                if let Some(json) = &mut self.json {
                    changes.iter().for_each(|change| change.apply_to(json));
                }
            }
            "notes/delete" => self.json = None,
            kind => assert!(
                ["notes/access", "logux/processed", "logux/undo"].contains(&kind),
                "{kind} is not for a client that knows only JSON"
            ),
        }
    }

    /// Returns `true` if a subscription was refused for a reason, and none has succeeded since.
    pub(crate) fn is_refused(&self, reason: &str) -> bool {
        let is_answer = |entry: &&Entry| {
            let is_undo = entry.action.kind() == "logux/undo";
            is_undo && entry.action.field("action").is_some_and(|undone| undone.contains("filter"))
                || entry.action.kind() == "notes/access"
        };
        let last = self.entries.iter().rev().find(is_answer);
        last.and_then(|entry| entry.action.str_field("reason")).as_deref() == Some(reason)
    }

    /// Shows a value before the server has received it.
    pub(crate) fn show(&mut self, path: &str, value: Value) {
        let change = JsonChange { path: path.parse().expect("a path"), value: Some(value) };
        change.apply_to(self.json.as_mut().expect("a state"));
    }

    /// Makes a change, and returns its id when it is processed.
    pub(crate) async fn change(&self, id: &str, changes: impl Into<Value>) -> String {
        let action = Action::try_from(change(id, changes)).expect("an action");
        let sent = self.client.client().sync(action).kept().await.expect("added");
        let id = sent.id().to_string();
        sent.await.expect("processed");
        id
    }
}
