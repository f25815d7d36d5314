//! The fake server of `logux_client::testing` answers as the real one does.

use logux::{
    Action, Json,
    client::UndoOutcome,
    crdt::{Crdt as _, Map, MapOp},
    server::Retention,
};
use logux_client::testing::{FakeServer, TestClient, settle};
use logux_server::{MemoryDocuments, Server, testing::TestServer};
use logux_sqlite::Database;
use serde_json::{Value, json};

/// A server that either is, with documents `notes`, records `tasks`, and a channel `room` that
/// keeps what is said in it.
enum Either {
    Real(TestServer),
    Fake(FakeServer),
}

impl Either {
    fn both() -> [Self; 2] {
        let database = Database::open_in_memory().expect("a database");
        let tasks = database.records().collection("tasks");
        let real = Server::builder()
            .store(database.store())
            .sync_map("tasks", tasks.clone(), |_, _| async { Ok(true) })
            .sync_map_filter("tasks", tasks, |_, _| async { Ok(true) })
            .documents::<Map>("notes", MemoryDocuments::new(), |kind| {
                kind.access(|_| async { Ok(true) }).created_by_edits().undoable()
            })
            .channel("room", |channel| channel.access(|_| async { Ok(true) }).replay())
            .action_type("say", |on| {
                let on = on.access(|_| async { Ok(true) }).resend(|_| async { Ok("room") });
                on.keep(Retention::forever("said"))
            });
        let fake = FakeServer::start();
        fake.documents("notes");
        fake.records("tasks");
        fake.resend("say", |_| ["room"]);
        fake.keep_actions();
        [Self::Real(TestServer::start(real).expect("a server")), Self::Fake(fake)]
    }

    async fn connect(&self, user: &str) -> TestClient {
        let connected = match self {
            Self::Real(server) => server.connect(user).await,
            Self::Fake(server) => server.connect(user).await,
        };
        connected.expect("connected")
    }
}

fn say(text: &str) -> Value {
    json!({"type": "say", "text": text})
}

fn texts(actions: &[Action]) -> Vec<String> {
    actions.iter().filter_map(|action| action.str_field("text").map(Into::into)).collect()
}

fn title(title: &str) -> Vec<MapOp> {
    let path = "/title".parse().expect("a path");
    vec![MapOp::Set { path, value: Json::from_value(title).expect("JSON") }]
}

#[tokio::test(start_paused = true)]
async fn channels_are_alike() {
    let mut seen = Vec::new();
    for server in Either::both() {
        let (ada, bob) = (server.connect("ada").await, server.connect("bob").await);
        let mut steps = Vec::new();
        for client in [&ada, &bob] {
            steps.push(texts(&client.subscribe("room").await.expect("subscribed")));
        }
        let for_bob = async { drop(bob.process(say("b")).await.expect("processed")) };
        steps.push(texts(&ada.received(for_bob).await));
        steps.push(texts(&bob.received(ada.process(say("a"))).await));
        // Only what is said while a subscriber is away arrives later.
        bob.disconnect().await;
        ada.process(say("c")).await.expect("processed");
        let later = bob.received(async { bob.reconnect().await.expect("reconnected") }).await;
        steps.push(texts(&later));
        bob.unsubscribe("room").await.expect("unsubscribed");
        steps.push(texts(&bob.received(ada.process(say("d"))).await));
        // A new subscription has everything, also what its user has said.
        steps.push(texts(&bob.subscribe("room").await.expect("subscribed")));
        steps
            .push(texts(&server.connect("eve").await.subscribe("room").await.expect("subscribed")));
        let unknown = json!({"type": "logux/undo", "id": "1 ada:1:1 0", "reason": "mistake"});
        ada.expect_undo("notFound", unknown).await;
        seen.push(steps);
    }
    assert_eq!(seen[0], seen[1], "the real server and the fake one");
    assert_eq!(seen[0].last().map(Vec::len), Some(4));
}

#[tokio::test(start_paused = true)]
async fn documents_and_records_are_alike() {
    let mut seen = Vec::new();
    for server in Either::both() {
        let (ada, bob) = (server.connect("ada").await, server.connect("bob").await);
        let mut states = Vec::new();
        let here = ada.client().document::<Map>("notes", "7").await.expect("open");
        let there = bob.client().document::<Map>("notes", "7").await.expect("open");
        there.loaded().await.expect("loaded");
        here.operate(&title("Tea")).await.expect("processed");
        states.push(there.state().to_json());
        // Edits of two devices without a connection.
        for (client, note, text) in [(&ada, &here, "Milk"), (&bob, &there, "Juice")] {
            client.disconnect().await;
            let note = note.clone();
            drop(tokio::spawn(async move { note.operate(&title(text)).await }));
            settle().await;
        }
        for client in [&bob, &ada] {
            client.reconnect().await.expect("reconnected");
        }
        settle().await;
        states.extend([&here, &there].map(|note| note.state().to_json()));
        let last = here.history().await.expect("a history").pop().expect("an edit");
        let undone = bob.client().undo(last.id(), "mistake").await.expect("undone");
        assert!(matches!(undone, UndoOutcome::Added(_)));
        settle().await;
        let carl = server.connect("carl").await;
        let late = carl.client().document::<Map>("notes", "7").await.expect("open");
        late.loaded().await.expect("loaded");
        states.extend([&here, &there, &late].map(|note| note.state().to_json()));

        let create = json!({"type": "tasks/create", "id": "1", "fields": {"text": "Tea"}});
        ada.process(create).await.expect("processed");
        for client in [&ada, &bob] {
            let tasks = client.client().record::<Value>("tasks", "1").await.expect("open");
            tasks.loaded().await.expect("loaded");
            states.push(json!(tasks.get().expect("readable")));
            let change = json!({"type": "tasks/change", "id": "1", "fields": {"text": "Milk"}});
            client.process(change).await.expect("processed");
            states.push(json!(tasks.get().expect("readable")));
        }

        // A list with a filter, whose records change and leave.
        let mut open = bob.client().records::<Value>("tasks", json!({"text": "Milk"})).await;
        let open = open.as_mut().expect("open");
        open.loaded().await.expect("loaded");
        states.push(json!(open.list()));
        let changes = [
            json!({"type": "tasks/create", "id": "2", "fields": {"text": "Milk"}}),
            json!({"type": "tasks/create", "id": "3", "fields": {"text": "Juice"}}),
            json!({"type": "tasks/change", "id": "1", "fields": {"text": "Tea"}}),
            json!({"type": "tasks/change", "id": "3", "fields": {"text": "Milk"}}),
            json!({"type": "tasks/delete", "id": "2"}),
        ];
        for change in changes {
            ada.process(change).await.expect("processed");
            settle().await;
            states.push(json!(open.list()));
        }
        seen.push(states);
    }
    assert_eq!(seen[0], seen[1], "the real server and the fake one");
    assert_eq!(seen[0].last(), Some(&json!([{"id": "3", "text": "Milk"}])));
}
