//! A page for tests: a client and its database.

#![allow(dead_code, reason = "each test uses a part")]

use logux::Now;
use logux_web::{Start, Turn, WebClient};
use serde_json::{Value, json};

/// A client and its database, which is written as JavaScript does.
pub(crate) struct Page {
    pub(crate) client: WebClient,
    pub(crate) database: Vec<Value>,
    ms: i64,
}

impl Page {
    pub(crate) fn load(node: &str, database: Vec<Value>) -> Self {
        let start = json!({"node": node, "saved": database}).to_string();
        let start = Start::read(&start).expect("a start");
        Self { client: WebClient::start(start).expect("a client"), database, ms: 0 }
    }

    pub(crate) fn call(&mut self, call: &Value) -> Turn {
        self.ms += 1_000;
        let now = Now::from_millis(1_700_000_000_000 + self.ms, self.ms.unsigned_abs());
        let turn = self.client.call(now, &call.to_string());
        assert_eq!(turn.error, None, "{call}");
        let changes = turn.changes.iter().map(|change| serde_json::to_value(change).expect("JSON"));
        self.database.extend(changes);
        turn
    }

    /// Calls for a value.
    pub(crate) fn ask(&mut self, call: &Value) -> Value {
        self.call(call).value.map_or(Value::Null, |value| value.to_value())
    }

    pub(crate) fn get(&mut self, path: &str) -> Value {
        self.ask(&json!({"get": {"channel": "notes/7", "path": path}}))
    }
}

pub(crate) fn open() -> Value {
    json!({"open": {"kind": "notes", "id": "7"}})
}

pub(crate) fn edit(ops: &Value) -> Value {
    json!({"edit": {"channel": "notes/7", "ops": ops}})
}
