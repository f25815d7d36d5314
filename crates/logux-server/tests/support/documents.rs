//! Clients of a server with the documents `notes`, and their actions.

#![allow(dead_code, reason = "each test program uses some of it")]

use logux::Action;
use logux_client::testing::TestClient;
use logux_server::testing::TestServer;
use serde_json::{Value, json};

/// Returns the action that creates a document without content.
pub(crate) fn create(id: &str) -> Value {
    json!({"type": "notes/create", "id": id, "ops": []})
}

/// Returns the edit that sets a value.
pub(crate) fn set(id: &str, path: &str, value: impl Into<Value>) -> Value {
    let op = json!({"op": "set", "path": path, "value": value.into()});
    json!({"type": "notes/edit", "id": id, "ops": [op]})
}

pub(crate) fn subscribe(id: &str) -> Value {
    json!({"type": "logux/subscribe", "channel": format!("notes/{id}")})
}

/// Returns the types of actions.
pub(crate) fn kinds(actions: &[Action]) -> Vec<&str> {
    actions.iter().map(Action::kind).collect()
}

/// Connects a client of each user.
pub(crate) async fn clients<const N: usize>(
    server: &TestServer,
    users: [&str; N],
) -> [TestClient; N] {
    let mut clients = Vec::new();
    for user in users {
        clients.push(server.connect(user).await.expect("connected"));
    }
    clients.try_into().expect("as many clients")
}

/// Returns what a document shows. `None` if it does not exist.
pub(crate) async fn shown(server: &TestServer, id: &str) -> Option<Value> {
    let notes = server.handle().documents("notes").expect("notes");
    notes.json(id).await.expect("readable")
}
