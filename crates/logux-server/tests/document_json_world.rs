//! Whatever editors do, and whenever connections end, who follows the JSON of a document ends with
//! what it shows.

#[path = "support/documents.rs"]
mod documents;
#[path = "support/json_follower.rs"]
mod json_follower;

use std::time::Duration;

use documents::{create, set, shown};
use json_follower::{Follower, change, subscribe_json};
use logux::{Action, ActionId, crdt::Document, server::SettlementRule};
use logux_client::testing::TestClient;
use logux_server::{MemoryDocuments, Server, testing::TestServer};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

#[derive(Clone, Debug)]
enum Step {
    /// An edit by operations.
    Edit(&'static str, Value),
    /// A change by a client that does not follow the document.
    Change(Value),
    /// A change by a follower.
    FollowerChanges(usize, Value),
    Undo,
    /// The connection of a follower ends, or is restored.
    Cut(usize),
    Join,
    Delete,
    Wait(u64),
}

fn path() -> impl Strategy<Value = &'static str> + Clone {
    select(vec!["/a", "/a/b", "/a/0", "/b", "/b/c", "/b/0"])
}

fn value() -> impl Strategy<Value = Value> + Clone {
    select(vec![json!(1), json!("word"), json!([1, "x"]), json!({"b": {"c": 2}}), Value::Null])
}

fn op() -> impl Strategy<Value = Value> {
    let at = || 0..3_usize;
    let op = prop_oneof![
        3 => value().prop_map(|value| json!({"op": "set", "value": value})),
        1 => Just(json!({"op": "delete"})),
        2 => (1..4_i64).prop_map(|by| json!({"op": "increment", "by": by})),
        3 => (at(), value()).prop_map(|(at, v)| json!({"op": "insert", "at": at, "values": [v]})),
        1 => at().prop_map(|at| json!({"op": "remove", "at": at})),
        1 => (at(), at()).prop_map(|(from, to)| json!({"op": "move", "from": from, "to": to})),
        1 => Just(json!({"op": "add", "element": "x"})),
        3 => at().prop_map(|at| json!({"op": "insertText", "at": at, "text": "ab"})),
        1 => at().prop_map(|at| json!({"op": "removeText", "at": at, "count": 1})),
    ];
    (path(), op).prop_map(|(path, mut op)| {
        op["path"] = path.into();
        op
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (path(), value()).prop_map(|(path, value)| Step::Edit(path, value)),
        3 => op().prop_map(Step::Change),
        4 => (0..3_usize, op()).prop_map(|(who, op)| Step::FollowerChanges(who, op)),
        1 => Just(Step::Undo),
        1 => (0..3_usize).prop_map(Step::Cut),
        1 => Just(Step::Join),
        1 => Just(Step::Delete),
        3 => (0..130_u64).prop_map(Step::Wait),
    ]
}

struct World {
    server: TestServer,
    editor: TestClient,
    followers: Vec<(Follower, bool)>,
    last_edit: Option<ActionId>,
}

impl World {
    async fn start() -> Self {
        let rule = SettlementRule { open_actions: 8, ..SettlementRule::default() };
        let storage = MemoryDocuments::new();
        let server = Server::builder().documents::<Document>("notes", storage, |kind| {
            kind.access(|_| async { Ok(true) }).settlement(rule).undoable()
        });
        let server = TestServer::start(server).expect("a server");
        let editor = server.connect("ada").await.expect("connected");
        editor.process(create("7")).await.expect("created");
        let followers = Vec::new();
        let mut world = Self { server, editor, followers, last_edit: None };
        world.join().await;
        world
    }

    async fn join(&mut self) {
        if self.followers.len() < 4 {
            let user = format!("user{}", self.followers.len());
            self.followers.push((Follower::open(&self.server, &user, "7").await, true));
        }
    }

    async fn go(&mut self, step: Step) {
        match step {
            Step::Edit(path, value) => {
                let action = Action::try_from(set("7", path, value)).expect("an action");
                let sent = self.editor.client().sync(action).kept().await.expect("added");
                self.last_edit = Some(sent.id().clone());
            }
            Step::Change(op) => self.send(&self.editor, json!([op])).await,
            Step::FollowerChanges(who, op) => {
                if let Some((follower, _)) = self.followers.get(who) {
                    self.send(&follower.client, json!([op])).await;
                }
            }
            // It may be settled already.
            Step::Undo => {
                if let Some(id) = self.last_edit.take() {
                    let _ = self.editor.client().undo(&id, "undo").await;
                }
            }
            Step::Cut(who) => {
                let Some((follower, is_connected)) = self.followers.get_mut(who) else { return };
                if std::mem::replace(is_connected, !*is_connected) {
                    follower.client.disconnect().await;
                } else {
                    follower.client.reconnect().await.expect("connected");
                }
            }
            Step::Join => self.join().await,
            Step::Delete => {
                self.editor
                    .process(json!({"type": "notes/delete", "id": "7"}))
                    .await
                    .expect("deleted");
                tokio::time::sleep(Duration::from_millis(10)).await;
                self.editor.process(create("7")).await.expect("taken back");
            }
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
    }

    /// Sends a change, which may be refused, without waiting for the answer.
    async fn send(&self, client: &TestClient, changes: Value) {
        let action = Action::try_from(change("7", changes)).expect("an action");
        drop(client.client().sync(action).kept().await.expect("added"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(
            std::env::var("LOGUX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100)
        )
    })]

    #[test]
    fn followers_end_with_what_the_document_shows(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let result: Result<(), TestCaseError> = runtime.block_on(async {
            let mut world = World::start().await;
            for step in steps {
                world.go(step).await;
            }
            for (follower, is_connected) in &mut world.followers {
                if !*is_connected {
                    follower.client.reconnect().await.expect("connected");
                }
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            let expected = shown(&world.server, "7").await;
            for (index, (follower, _)) in world.followers.iter_mut().enumerate() {
                follower.read();
                if follower.is_refused("deleted") {
                    // It has come back while the document was deleted.
                    follower.client.process(subscribe_json("7")).await.expect("subscribed");
                    follower.read();
                }
                let last = &follower.entries[follower.entries.len().saturating_sub(10)..];
                let last: Vec<_> = last.iter().map(|entry| entry.action.as_json()).collect();
                prop_assert_eq!(&follower.json, &expected, "follower {}: {:#?}", index, last);
            }
            Ok(())
        });
        result?;
    }
}
