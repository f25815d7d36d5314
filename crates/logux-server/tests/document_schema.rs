//! Documents with a schema: what would violate it is refused with the path, by the server and, if
//! it has the schema too, before that by the client.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use logux::{
    Action, ActionId,
    client::UndoOutcome,
    crdt::{CheckedChange, Crdt as _, Document, DocumentSchema, SchemaViolation},
    server::{LogQuery, Retention},
};
use logux_client::{Client, PendingAction, SyncError, testing::TestClient};
use logux_schema::Schema;
use logux_server::{Builder, MemoryDocuments, Server, testing::TestServer};
use serde_json::{Value, json};

fn schema() -> Schema {
    let schema = json!({
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 5},
            "likes": {"type": "integer", "maximum": 2},
            "tasks": {"items": {"required": ["text"]}, "maxItems": 2},
        },
        "required": ["title"],
        "additionalProperties": false,
    });
    Schema::new(&schema).expect("a schema")
}

/// A schema that is not in force yet.
#[derive(Clone)]
struct Later(Arc<(Schema, AtomicBool)>);

impl DocumentSchema for Later {
    fn check(&self, change: &CheckedChange<'_>) -> Result<(), SchemaViolation> {
        if self.0.1.load(Relaxed) { self.0.0.check(change) } else { Ok(()) }
    }
}

fn notes(schema: impl DocumentSchema + 'static) -> Builder {
    Server::builder().documents::<Document>("notes", MemoryDocuments::new(), |kind| {
        kind.access(|_| async { Ok(true) }).undoable().schema(schema)
    })
}

fn set(path: &str, value: impl Into<Value>) -> Value {
    json!({"op": "set", "path": path, "value": value.into()})
}

fn edit(ops: impl Into<Value>) -> Value {
    json!({"type": "notes/edit", "id": "1", "ops": ops.into()})
}

fn create(ops: impl Into<Value>) -> Value {
    json!({"type": "notes/create", "id": "1", "ops": ops.into()})
}

/// Returns the reason of a refusal, with the path and the error.
fn refusal(result: Result<(), SyncError>) -> (String, String, String) {
    let Err(SyncError::Undone(undo)) = result else { panic!("expected an undo, got {result:?}") };
    let key = |name: &str| {
        let extra = undo.extra.iter().find(|(key, _)| key == name);
        extra.and_then(|(_, value)| value.parse::<String>().ok()).unwrap_or_default()
    };
    (undo.reason.clone(), key("path"), key("error"))
}

async fn refused(client: &TestClient, action: Value) -> (String, String) {
    let action = Action::try_from(action).expect("an action");
    let (reason, path, error) = refusal(client.client().sync(action).await);
    assert_eq!(reason, "schema");
    (path, error)
}

async fn sent(client: &TestClient, action: Value) -> ActionId {
    let action = Action::try_from(action).expect("an action");
    let action = client.client().sync(action).kept().await.expect("added");
    let id = action.id().clone();
    action.await.expect("processed");
    id
}

async fn undo(client: &TestClient, id: &ActionId) -> PendingAction {
    let undone = client.client().undo(id, "mistake").await.expect("a running client");
    let UndoOutcome::Added(undo) = undone else { panic!("{undone:?}") };
    undo
}

async fn shown(server: &TestServer) -> Value {
    let notes = server.handle().documents("notes").expect("notes");
    notes.json("1").await.expect("readable").expect("a document")
}

#[tokio::test(start_paused = true)]
async fn what_violates_the_schema_is_undone_with_the_path_and_what_was_expected() {
    let server = TestServer::start(notes(schema())).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    let none = refused(&ada, create(json!([]))).await;
    assert_eq!(none, (String::new(), r#""title" is a required property"#.to_owned()));
    ada.expect_undo("notFound", edit(json!([set("/title", "Tea")]))).await;

    sent(&ada, create(json!([set("/title", "Tea")]))).await;
    let wrong = refused(&ada, edit(json!([set("/likes", 1), set("/title", 7)]))).await;
    assert_eq!(wrong, ("/title".to_owned(), r#"7 is not of type "string""#.to_owned()));
    let (_, error) = refused(&ada, edit(json!([set("/title", "x".repeat(100_000))]))).await;
    assert!(error.len() <= SchemaViolation::MAX_ERROR, "{error}");
    assert_eq!(refused(&ada, edit(json!([set("/titel", "Tea")]))).await.0, "/titel");
    // All operations of an action are one change.
    let both = [set("/title", 7), set("/title", "Cup")];
    sent(&ada, edit(json!(both))).await;
    assert_eq!(shown(&server).await, json!({"title": "Cup"}));
}

#[tokio::test(start_paused = true)]
async fn an_undo_is_checked_as_an_edit() {
    let server = TestServer::start(notes(schema())).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    sent(&ada, create(json!([set("/title", "Tea"), set("/likes", 2)]))).await;
    let like = |by: i64| edit(json!([{"op": "increment", "path": "/likes", "by": by}]));
    let less = sent(&ada, like(-1)).await;
    let more = sent(&ada, like(1)).await;
    let (reason, path, error) = refusal(undo(&ada, &less).await.await);
    let expected = ("schema", "/likes", "3 is greater than the maximum of 2");
    assert_eq!((&*reason, &*path, &*error), expected);
    assert_eq!(shown(&server).await["likes"], 2);
    let undo_of_more = undo(&ada, &more).await;
    let redo = undo_of_more.id().clone();
    undo_of_more.await.expect("undone");
    undo(&ada, &less).await.await.expect("undone");
    assert_eq!(shown(&server).await["likes"], 2);
    // So is a redo.
    assert_eq!(refusal(undo(&ada, &redo).await.await).0, "schema");
    assert_eq!(shown(&server).await["likes"], 2);
}

#[tokio::test(start_paused = true)]
async fn edits_that_are_valid_alone_are_refused_together() {
    let server = TestServer::start(notes(schema())).expect("a server");
    let [ada, bob] = ["ada", "bob"].map(|user| server.connect(user));
    let (ada, bob) = (ada.await.expect("connected"), bob.await.expect("connected"));
    sent(&ada, create(json!([set("/title", "Tea")]))).await;
    let like = || edit(json!([{"op": "increment", "path": "/likes", "by": 1}]));
    let likes = [&ada, &bob, &ada]
        .map(|client| client.client().sync(Action::try_from(like()).expect("an action")));
    let mut refused = 0;
    for like in likes {
        refused += usize::from(like.await.is_err());
    }
    assert_eq!((refused, shown(&server).await), (1, json!({"title": "Tea", "likes": 2})));
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_older_than_the_schema_can_be_edited() {
    let later = Later(Arc::new((schema(), AtomicBool::new(false))));
    let server = TestServer::start(notes(later.clone())).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    sent(&ada, create(json!([set("/old", 1), set("/likes", 5)]))).await;
    later.0.1.store(true, Relaxed);
    sent(&ada, edit(json!([set("/old", 2)]))).await;
    let title = sent(&ada, edit(json!([set("/title", "Tea")]))).await;
    sent(&ada, edit(json!([{"op": "increment", "path": "/likes", "by": -1}]))).await;
    let worse = edit(json!([{"op": "increment", "path": "/likes", "by": 1}]));
    assert_eq!(refused(&ada, worse).await.0, "/likes");
    assert_eq!(refused(&ada, edit(json!([set("/older", 1)]))).await.0, "/older");
    // What is right does not become wrong again.
    let (reason, path, _) = refusal(undo(&ada, &title).await.await);
    assert_eq!((&*reason, &*path), ("schema", ""));
    assert_eq!(shown(&server).await, json!({"old": 2, "likes": 4, "title": "Tea"}));
}

/// Returns the number of entries that the log has for the document.
async fn log_size(server: &TestServer) -> usize {
    let query = LogQuery::kept_for(&Retention::forever("notes/1")).limit(10_000);
    server.handle().log_page(query).await.expect("readable").entries.len()
}

#[tokio::test(start_paused = true)]
async fn what_the_schema_forbids_changes_nothing() {
    let server = TestServer::start(notes(schema())).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    sent(&ada, create(json!([set("/title", "Tea")]))).await;
    let (state, size) = (shown(&server).await, log_size(&server).await);
    let forbidden = |seed: usize| {
        let wrong = [
            set("/title", seed),
            set("/title", "too long"),
            set("/likes", "many"),
            set("/likes", 3 + seed),
            set("/tasks", json!([{"text": ""}, {}])),
            set("/tasks", json!([{"text": 1}, {"text": 2}, {"text": 3}])),
            set(&format!("/field{seed}"), 1),
            set("", json!([])),
            json!({"op": "delete", "path": "/title"}),
            json!({"op": "add", "path": "/title", "element": "a"}),
            json!({"op": "increment", "path": "/likes", "by": 3 + seed}),
            json!({"op": "insert", "path": "/tasks", "first": 0, "values": [{}]}),
        ];
        let allowed = set("/likes", seed % 3);
        let wrong = wrong[seed % wrong.len()].clone();
        // Some actions have operations that are allowed, too.
        if seed.is_multiple_of(2) { vec![wrong] } else { vec![allowed, wrong] }
    };
    for first in (0..240).step_by(20) {
        let actions: Vec<PendingAction> = (first..first + 20)
            .map(|seed| Action::try_from(edit(json!(forbidden(seed)))).expect("an action"))
            .map(|action| ada.client().sync(action))
            .collect();
        for action in actions {
            assert_eq!(refusal(action.await).0, "schema");
        }
    }
    assert_eq!((shown(&server).await, log_size(&server).await), (state, size));
}

#[tokio::test(start_paused = true)]
async fn a_client_with_the_schema_does_not_make_the_edit() {
    let later = Later(Arc::new((schema(), AtomicBool::new(false))));
    let server = TestServer::start(notes(later)).expect("a server");
    let connector = server.client("ada").connector();
    let client = Client::builder("ada").expect("a user").clock(server.clock());
    let client = client.schema("notes", schema()).paused().start(connector);
    let note = client.document::<Document>("notes", "1").await.expect("open");
    // Without a connection, too.
    let (reason, path, _) = refusal(note.create(&[]).await);
    assert_eq!((&*reason, &*path), ("schema", ""));
    let title = |value: Value| note.state().set_op(&"/title".parse().expect("a path"), value);
    drop(note.create(&[title(json!("Tea"))]));
    let (reason, path, error) = refusal(note.operate(&[title(json!(7))]).await);
    assert_eq!((&*reason, &*path, &*error), ("schema", "/title", r#"7 is not of type "string""#));
    let path = "/title".parse().expect("a path");
    let typed = |text: &str| note.replace_text(&path, 0..0, text, logux::crdt::Unit::Utf16);
    assert_eq!(refusal(typed("Coffee").expect("in range").await).1, "/title");
    let typed = typed("Cup").expect("in range");
    assert_eq!(note.state().to_json(), json!({"title": "Cup"}));
    client.resume().expect("a running client");
    assert_eq!(typed.await, Ok(()));
    assert_eq!(client.flush(std::time::Duration::from_secs(10)).await, 0);
    assert_eq!(shown(&server).await, json!({"title": "Cup"}));
    assert!(note.refused_edits().expect("a running client").is_empty());
}
