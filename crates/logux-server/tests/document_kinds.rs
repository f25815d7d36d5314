//! Kinds of documents: access, the check of operations, settlement in virtual time.

#[path = "support/documents.rs"]
mod documents;

use std::time::Duration;

use documents::{create, kinds, subscribe};
use logux::{
    Action,
    action::{DocumentAccess, DocumentOperation},
    client::UndoOutcome,
    crdt::{Document, Map},
    server::{LogQuery, Retention, SettlementRule},
};
use logux_client::SyncError;
use logux_server::{BuildError, Builder, MemoryDocuments, Server, SyncMap, testing::TestServer};
use logux_sqlite::Database;
use serde_json::{Value, json};

const RULE: SettlementRule = SettlementRule { open_actions: 10, horizon: Duration::from_hours(24) };

fn notes() -> Builder {
    Server::builder().documents::<Map>("notes", MemoryDocuments::new(), |kind| {
        kind.access(|request| async move {
            let is_owner = request.user_id() == Some(&**request.id());
            Ok(is_owner || request.operation() == DocumentOperation::Read)
        })
        .undoable()
        .settlement(RULE)
    })
}

fn edit(key: &str, value: &Value) -> Value {
    let op = json!({"op": "set", "path": format!("/{key}"), "value": value});
    json!({"type": "notes/edit", "id": "ada", "ops": [op]})
}

#[tokio::test(start_paused = true)]
async fn access_is_decided_by_the_id_and_the_operation() {
    let server = TestServer::start(notes()).expect("a server");
    let ada = server.client("ada").connect().await.expect("connected");
    let bob = server.client("bob").connect().await.expect("connected");
    ada.process(create("ada")).await.expect("created");
    ada.process(edit("title", &json!("Tea"))).await.expect("processed");
    bob.expect_denied(edit("title", &json!("Coffee"))).await;
    let state = bob.subscribe("notes/ada").await.expect("subscribed");
    assert_eq!(kinds(&state), ["notes/create", "notes/edit", "notes/access"]);
    let access = DocumentAccess::from_action(&state[2]).expect("what bob may do");
    assert_eq!(access.operations, [DocumentOperation::Read].into_iter().collect());
}

#[tokio::test(start_paused = true)]
async fn edits_of_a_wrong_shape_are_undone() {
    let server = TestServer::start(notes()).expect("a server");
    let ada = server.client("ada").connect().await.expect("connected");
    for action in [
        json!({"type": "notes/edit", "ops": []}),
        json!({"type": "notes/edit", "id": "", "ops": []}),
        json!({"type": "notes/edit", "id": 7, "ops": []}),
        json!({"type": "notes/edit", "id": "ada", "ops": {"op": "set"}}),
        json!({"type": "notes/edit", "id": "ada", "ops": [{"op": "explode"}]}),
        json!({"type": "notes/create", "id": "ada", "ops": [{"op": "set", "path": "title"}]}),
    ] {
        ada.expect_undo("wrongFormat", action).await;
    }
    ada.expect_denied(json!({"type": "notes/snapshot", "id": "ada", "state": {}})).await;
    ada.expect_undo("notFound", subscribe("ada")).await;
}

#[tokio::test(start_paused = true)]
async fn a_long_edited_document_is_settled_again_and_again() {
    let server = TestServer::start(notes()).expect("a server");
    let ada = server.client("ada").connect().await.expect("connected");
    ada.process(create("ada")).await.expect("created");
    for n in 0..100 {
        ada.process(edit("count", &json!(n))).await.expect("processed");
    }
    let query = LogQuery::kept_for(&Retention::forever("notes/ada")).limit(1_000);
    // The last snapshot may still be in progress.
    let mut kept = usize::MAX;
    while kept > 2 * 10 + 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let page = server.handle().log_page(query.clone()).await.expect("a page");
        kept = page.entries.len();
    }
    let bob = server.client("bob").connect().await.expect("connected");
    let state = bob.subscribe("notes/ada").await.expect("subscribed");
    let snapshots = kinds(&state).into_iter().filter(|kind| *kind == "notes/snapshot").count();
    assert_eq!(snapshots, 1, "{state:?}");
}

/// What another device of the user did meanwhile was settled.
#[tokio::test(start_paused = true)]
async fn a_device_that_was_away_too_long_gets_its_edit_back() {
    let horizon = Duration::from_secs(60);
    let server = Server::builder().documents::<Map>("notes", MemoryDocuments::new(), |kind| {
        kind.access(|_| async { Ok(true) })
            .undoable()
            .settlement(SettlementRule { horizon, ..RULE })
    });
    let server = TestServer::start(server).expect("a server");
    let laptop = server.client("ada:laptop:1").connect().await.expect("connected");
    let phone = server.client("ada:phone:1").connect().await.expect("connected");
    let action = |json| Action::try_from(json).expect("an action");
    laptop.process(create("ada")).await.expect("created");
    let title =
        laptop.client().sync(action(edit("title", &json!("Tea")))).kept().await.expect("added");
    let title_id = title.id().clone();
    assert_eq!(title.await, Ok(()));

    laptop.disconnect().await;
    let draft = action(edit("title", &json!("Tea at five")));
    let pending = laptop.client().sync(draft.clone()).kept().await.expect("added");
    tokio::time::sleep(2 * horizon).await;
    for n in 0..30 {
        phone.process(edit("count", &json!(n))).await.expect("processed");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let undone = laptop.client().undo(&title_id, "mistake").await.expect("a running client");
    let UndoOutcome::Added(undo) = undone else { panic!("{undone:?}") };
    laptop.reconnect().await.expect("connected");
    let Err(SyncError::Undone(refused)) = pending.await else { panic!("too old") };
    assert_eq!((&*refused.reason, &refused.action), ("tooOld", &Some(draft.clone())));
    let Err(SyncError::Undone(refused)) = undo.await else { panic!("settled") };
    assert_eq!(refused.reason, "notFound", "without a document, the client has forgotten its type");

    // The user offers the draft again.
    laptop.client().sync(draft).await.expect("processed");
}

#[tokio::test(start_paused = true)]
async fn a_name_is_a_collection_or_a_kind_of_documents() {
    fn collection() -> impl SyncMap {
        Database::open_in_memory().expect("a database").records().collection("notes")
    }
    let documents = |server: Builder| {
        server.documents::<Document>("notes", MemoryDocuments::new(), |kind| {
            kind.access(|_| async { Ok(true) })
        })
    };
    let records =
        |server: Builder| server.sync_map("notes", collection(), |_, _| async { Ok(true) });
    for server in [
        documents(records(Server::builder())),
        records(documents(Server::builder())),
        documents(documents(Server::builder())),
    ] {
        let error = TestServer::start(server).map(drop).expect_err("not both");
        assert!(matches!(&error, BuildError::DuplicateKind(name) if name == "notes"), "{error}");
    }
}
