//! Former states of documents: they can be looked at, compared and restored, also after their edits
//! were settled.

#[path = "support/documents.rs"]
mod documents;

use std::time::Duration;

use documents::{create, set};
use logux::{
    Action,
    action::{DocumentOperation, Moment},
    crdt::{Document, DocumentOp},
    server::SettlementRule,
};
use logux_client::{SyncError, testing::TestClient};
use logux_server::{Documents, HandlerError, MemoryDocuments, Server, testing::TestServer};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3_600);

/// Serves notes that are settled often. Everybody but `guest` edits, `nobody` does nothing.
fn start() -> (TestServer, Documents) {
    let server = Server::builder().documents::<Document>("notes", MemoryDocuments::new(), |kind| {
        kind.access(|request| async move {
            Ok(match request.user_id() {
                Some("nobody") => false,
                Some("guest") => request.operation() == DocumentOperation::Read,
                _ => true,
            })
        })
        .undoable()
        .settlement(SettlementRule { open_actions: 4, ..SettlementRule::default() })
        .keep_history_for(10 * HOUR)
    });
    let server = TestServer::start(server).expect("a server");
    let notes = server.handle().documents("notes").expect("notes");
    (server, notes)
}

async fn act(client: &TestClient, action: Value) -> Vec<Action> {
    let reply = client.process(action).await.expect("processed");
    // Snapshots are made in the background.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    reply
}

async fn value_at(notes: &Documents, moment: Moment) -> Value {
    notes.json_at("1", moment).await.expect("a state").1
}

#[tokio::test(start_paused = true)]
async fn each_state_can_be_looked_at() {
    let (server, notes) = start();
    let ada = server.connect("ada").await.expect("connected");
    act(&ada, create("1")).await;
    let (mut states, mut times) = (Vec::new(), Vec::new());
    for n in 0..40 {
        act(&ada, set("1", &format!("/{}", n % 7), n)).await;
        if n == 25 {
            notes.name_version("1", "draft").await.expect("named");
        }
        states.push(notes.json("1").await.expect("readable").expect("a document"));
        times.push(server.now());
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    let page = notes.history("1", None, 200).await.expect("a page");
    assert_eq!(page.entries.len(), 41, "{page:?}");
    assert_eq!(page.before, None);
    assert!(page.entries.iter().all(|entry| entry.user.as_deref() == Some("ada")));
    assert_eq!(page.entries.last().map(|entry| &*entry.kind), Some("notes/create"));
    let positions: Vec<_> = page.entries.iter().rev().skip(1).map(|entry| entry.position).collect();
    for (n, position) in positions.iter().enumerate() {
        assert_eq!(value_at(&notes, Moment::Position(*position)).await, states[n], "edit {n}");
        assert_eq!(value_at(&notes, Moment::Time(times[n])).await, states[n], "time {n}");
    }
    assert_eq!(value_at(&notes, Moment::Version("draft".into())).await, states[25]);
    let before = notes.json_at("1", Moment::Time(times[0].shifted(-1_000_000))).await;
    assert!(matches!(before, Err(HandlerError::NotFound)), "{before:?}");

    // Page by page.
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page = notes.history("1", before, 7).await.expect("a page");
        found.extend(page.entries);
        before = page.before;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(found, page.entries);
}

#[tokio::test(start_paused = true)]
async fn an_undo_is_part_of_the_history() {
    let (server, notes) = start();
    let ada = server.connect("ada").await.expect("connected");
    act(&ada, create("1")).await;
    let edit = Action::try_from(set("1", "/title", "Tea")).expect("an action");
    let edit = ada.client().sync(edit).kept().await.expect("added");
    let id = edit.id().clone();
    edit.await.expect("processed");
    let with = notes.history("1", None, 1).await.expect("a page").entries[0].position;
    ada.client().undo(&id, "mistake").await.expect("undone");
    server.settle().await;
    for n in 0..30 {
        act(&ada, set("1", "/n", n)).await;
    }
    assert_eq!(value_at(&notes, Moment::Position(with)).await, json!({"title": "Tea"}));
    assert_eq!(value_at(&notes, Moment::Position(u64::MAX)).await, json!({"n": 29}));
    let page = notes.history("1", None, 200).await.expect("a page");
    let undo = page.entries.iter().find(|entry| &*entry.kind == "logux/undo").expect("the undo");
    assert_eq!(undo.undoes, Some(id));
    assert_eq!(value_at(&notes, Moment::Position(undo.position)).await, json!({}));
}

#[tokio::test(start_paused = true)]
async fn a_former_state_is_restored_by_one_edit() {
    let (server, notes) = start();
    let [ada, bob] =
        [server.connect("ada").await, server.connect("bob").await].map(|c| c.expect("connected"));
    act(
        &ada,
        json!({"type": "notes/create", "id": "1", "ops": [
            {"op": "insertText", "path": "/text", "first": 0, "text": "Hello world"},
            {"op": "set", "path": "/title", "value": "Greeting"},
        ]}),
    )
    .await;
    ada.process(json!({"type": "notes/version", "id": "1", "name": "first"})).await.expect("named");
    ada.expect_undo("nameTaken", json!({"type": "notes/version", "id": "1", "name": "first"}))
        .await;
    act(
        &bob,
        json!({"type": "notes/edit", "id": "1", "ops": [
            {"op": "removeText", "path": "/text", "elements": [["@ada:1:1 0", 6]]},
            {"op": "delete", "path": "/title"},
        ]}),
    )
    .await;
    for n in 0..30 {
        act(&bob, set("1", "/n", n)).await;
    }
    let changes = notes.changes("1", Moment::Version("first".into()), Moment::Position(u64::MAX));
    let expected = json!([
        {"path": "/n", "after": 29},
        {"path": "/text", "delta": [{"delete": 6}]},
        {"path": "/title", "before": "Greeting"},
    ]);
    assert_eq!(changes.await.expect("changes"), expected);

    bob.subscribe("notes/1").await.expect("subscribed");
    let restore = json!({"type": "notes/restore", "id": "1", "version": "first"});
    let received = bob.received(act(&ada, restore.clone())).await;
    let edits = received.iter().filter(|action| action.kind() == "notes/edit");
    assert_eq!(edits.count(), 1, "{received:?}");
    let shown = json!({"text": "Hello world", "title": "Greeting"});
    assert_eq!(notes.json("1").await.expect("readable"), Some(shown));

    let guest = server.connect("guest").await.expect("connected");
    act(&ada, set("1", "/n", 1)).await;
    guest.expect_denied(restore).await;
    guest.expect_denied(json!({"type": "notes/version", "id": "1", "name": "mine"})).await;
    ada.expect_undo("notFound", json!({"type": "notes/restore", "id": "1", "version": "none"}))
        .await;
    ada.expect_undo("wrongFormat", json!({"type": "notes/restore", "id": "1"})).await;
}

#[tokio::test(start_paused = true)]
async fn clients_read_the_history_that_they_may_read() {
    let (server, _) = start();
    let [ada, guest, nobody] = ["ada", "guest", "nobody"].map(|user| server.connect(user));
    let (ada, guest, nobody) = (
        ada.await.expect("connected"),
        guest.await.expect("connected"),
        nobody.await.expect("connected"),
    );
    act(&ada, create("1")).await;
    act(&ada, set("1", "/title", "Tea")).await;
    act(&ada, set("1", "/title", "Coffee")).await;
    let request = json!({"type": "notes/readHistory", "id": "1", "limit": 2});
    let reply = guest.process(request.clone()).await.expect("processed");
    let history: Value = serde_json::from_str(reply[0].as_json()).expect("JSON");
    assert_eq!(history["type"], "notes/history");
    assert_eq!(history["entries"].as_array().expect("entries").len(), 2);
    let position = history["before"].as_u64().expect("more");
    let request_state = json!({"type": "notes/readState", "id": "1", "position": position});
    let reply = guest.process(request_state.clone()).await.expect("processed");
    let state: Value = serde_json::from_str(reply[0].as_json()).expect("JSON");
    assert_eq!(
        (&state["type"], &state["value"]),
        (&json!("notes/state"), &json!({"title": "Tea"}))
    );
    nobody.expect_denied(request).await;
    nobody.expect_denied(request_state).await;

    let reply = guest.process(json!({"type": "notes/list"})).await.expect("processed");
    let list: Value = serde_json::from_str(reply[0].as_json()).expect("JSON");
    assert_eq!(list["documents"][0]["id"], "1");
    assert_eq!(list["documents"][0]["creator"], "ada");
    let reply = nobody.process(json!({"type": "notes/list"})).await.expect("processed");
    assert!(reply[0].as_json().contains(r#""documents":[]"#), "{reply:?}");
    ada.expect_undo("wrongFormat", json!({"type": "notes/list", "after": "?"})).await;
}

#[tokio::test(start_paused = true)]
async fn documents_are_copied_exported_and_imported() {
    let (server, notes) = start();
    let ada = server.connect("ada").await.expect("connected");
    act(
        &ada,
        json!({"type": "notes/create", "id": "1", "ops": [
            {"op": "insertText", "path": "/text", "first": 0, "text": "Hello"},
            {"op": "insert", "path": "/tasks", "first": 5, "values": ["a", {"b": 1}]},
            {"op": "increment", "path": "/likes", "by": 3},
            {"op": "add", "path": "/tags", "element": "new"},
        ]}),
    )
    .await;
    let shown = notes.json("1").await.expect("readable").expect("a document");
    ada.process(json!({"type": "notes/copy", "id": "1", "to": "2"})).await.expect("copied");
    ada.expect_undo("exists", json!({"type": "notes/copy", "id": "1", "to": "2"})).await;
    assert_eq!(notes.json("2").await.expect("readable"), Some(shown.clone()));
    let copy = notes.find("2").await.expect("readable").expect("a copy");
    assert_eq!(copy.creator.as_deref(), Some("ada"));

    let exported = notes.export("1").await.expect("exported");
    assert_eq!(exported["value"], shown);
    notes.import("3", &exported, Some("bob")).await.expect("imported");
    assert_eq!(notes.json("3").await.expect("readable"), Some(shown));
    // The text of an import is a text.
    let insert = json!({"op": "insertText", "path": "/text", "first": 0, "text": "!"});
    act(&ada, json!({"type": "notes/edit", "id": "3", "ops": [insert]})).await;
    let text = notes.json("3").await.expect("readable").expect("a document")["text"].clone();
    assert_eq!(text, "!Hello");
    notes.import("4", &json!({"value": {"a": [1, 2]}}), None).await.expect("imported");
    assert_eq!(notes.json("4").await.expect("readable"), Some(json!({"a": [1, 2]})));
    let again = notes.import("4", &exported, None).await;
    assert!(matches!(again, Err(HandlerError::Undo { reason, .. }) if reason == "exists"));
}

#[tokio::test(start_paused = true)]
async fn old_history_is_forgotten_but_not_that_of_named_versions() {
    let (server, notes) = start();
    let ada = server.connect("ada").await.expect("connected");
    for id in ["1", "2"] {
        act(&ada, create(id)).await;
        for n in 0..40 {
            act(&ada, set(id, "/n", n)).await;
        }
    }
    notes.name_version("2", "keep").await.expect("named");
    let old = notes.history("1", None, 1).await.expect("a page").entries[0].position;
    tokio::time::sleep(11 * HOUR).await;
    for id in ["1", "2"] {
        for n in 100..140 {
            act(&ada, set(id, "/n", n)).await;
        }
    }
    let forgotten = notes.json_at("1", Moment::Position(old - 100)).await;
    assert!(
        matches!(&forgotten, Err(HandlerError::Undo { reason, .. }) if reason == "forgotten"),
        "{forgotten:?}"
    );
    assert!(notes.history("1", None, 200).await.expect("a page").entries.len() < 80);
    let (_, kept) = notes.json_at("2", Moment::Version("keep".into())).await.expect("a state");
    assert_eq!(kept, json!({"n": 39}));
    assert_eq!(value_at(&notes, Moment::Position(u64::MAX)).await, json!({"n": 139}));
}

#[tokio::test(start_paused = true)]
async fn the_client_of_this_project_reads_and_restores() {
    let (server, _) = start();
    let ada = server.connect("ada").await.expect("connected");
    let note = ada.client().document::<Document>("notes", "1").await.expect("open");
    note.create(&[]).await.expect("created");
    let title = |value: &str| DocumentOp::Set {
        path: "/title".parse().expect("a path"),
        value: json!(value).into(),
    };
    note.operate(&[title("Tea")]).await.expect("processed");
    note.name_version("draft").await.expect("named");
    tokio::time::sleep(Duration::from_secs(1)).await;
    note.operate(&[title("Coffee")]).await.expect("processed");

    let history = note.server_history(None, 2).await.expect("a page");
    assert_eq!(
        history.entries.iter().map(|entry| &*entry.kind).collect::<Vec<_>>(),
        ["notes/edit"; 2]
    );
    assert_eq!(&*history.versions[0].name, "draft");
    let rest = note.server_history(history.before, 2).await.expect("a page");
    assert_eq!(&*rest.entries[0].kind, "notes/create");
    let draft = Moment::Version("draft".into());
    let state = note.server_state(&draft).await.expect("a state");
    assert_eq!(state.value.as_str(), r#"{"title":"Tea"}"#);
    note.restore(&draft).await.expect("restored");
    let mut shown = note.clone();
    let is_tea =
        |note: &Document| note.get(&"/title".parse().expect("a path")) == Some(json!("Tea"));
    tokio::time::timeout(HOUR, shown.until(is_tea)).await.expect("in time").expect("a state");
    let unknown = note.server_state(&Moment::Version("none".into())).await;
    assert!(matches!(unknown, Err(SyncError::Undone(undo)) if undo.reason == "notFound"));
}
