//! What a client says about its documents when a server decides about their existence and rights.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use logux::{
    Action, Json,
    action::{AccessList, DocumentAccess, DocumentKey, DocumentOperation},
    crdt::{Crdt as _, Map, MapOp, Shared},
    server::Recipients,
};
use logux_client::{Client, DocumentHandle, DocumentStatus, SyncError, testing::TestClient};
use logux_server::{Builder, Context, HandlerError, Server, testing::TestServer};
use serde_json::json;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(20);
const CHANNEL: &str = "notes/7";

type Note = DocumentHandle<Shared<Map>>;

/// What the server knows of its only document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Missing,
    Existing(AccessList),
    Deleted,
}

#[derive(Clone)]
struct Documents(Arc<Mutex<State>>);

impl Documents {
    fn get(&self) -> State {
        *self.0.lock().expect("a lock")
    }

    fn set(&self, state: State) {
        *self.0.lock().expect("a lock") = state;
    }

    /// Decides about an operation.
    fn decide(&self, operation: DocumentOperation) -> Result<bool, HandlerError> {
        match self.get() {
            State::Missing => Err(HandlerError::NotFound),
            State::Deleted => Err(HandlerError::undo("deleted")),
            State::Existing(access) => Ok(access.allows(operation)),
        }
    }
}

fn all() -> AccessList {
    DocumentOperation::ALL.into_iter().collect()
}

fn read_only() -> AccessList {
    [DocumentOperation::Read].into_iter().collect()
}

fn access(operations: AccessList) -> Action {
    let key = DocumentKey::new("notes", "7");
    DocumentAccess { key, operations }.to_action().expect("an action")
}

fn server(documents: &Documents) -> Builder {
    let [load, create, edit, delete] = [(); 4].map(|()| documents.clone());
    let to_others = |_: Context| async { Ok(CHANNEL) };
    Server::builder()
        .channel(CHANNEL, move |channel| {
            channel.access_and_load(move |_| {
                let loaded =
                    load.decide(DocumentOperation::Read).and_then(|may| match load.get() {
                        State::Existing(operations) if may => Ok(vec![access(operations)]),
                        _ => Err(HandlerError::Denied),
                    });
                async move { loaded }
            })
        })
        .action_type("notes/create", move |on| {
            on.access_and_process(move |context| {
                let may = context.user_id() != Some("guest");
                if may {
                    create.set(State::Existing(all()));
                }
                async move { if may { Ok(()) } else { Err(HandlerError::Denied) } }
            })
            .resend(to_others)
        })
        .action_type("notes/edit", move |on| {
            on.access(move |_| {
                let may = edit.decide(DocumentOperation::Edit);
                async move { may }
            })
            .resend(to_others)
        })
        .action_type("notes/delete", move |on| {
            on.access_and_process(move |_| {
                let may = delete.decide(DocumentOperation::Delete);
                if let Ok(true) = may {
                    delete.set(State::Deleted);
                }
                async move { if may? { Ok(()) } else { Err(HandlerError::Denied) } }
            })
            .resend(to_others)
        })
}

fn start(state: State) -> (TestServer, Documents) {
    let documents = Documents(Arc::new(Mutex::new(state)));
    (TestServer::start(server(&documents)).expect("a server"), documents)
}

async fn open(client: &TestClient) -> Note {
    client.client().document("notes", "7").await.expect("open")
}

fn title(value: &str) -> Vec<MapOp> {
    let value = Json::from_value(value).expect("a string");
    vec![MapOp::Set { path: "/title".parse().expect("a path"), value }]
}

async fn reach(note: &mut Note, status: DocumentStatus) {
    let reached = async {
        while note.status() != status {
            assert!(note.changed().await, "the client has stopped");
        }
    };
    let reached = timeout(TIMEOUT, reached).await;
    reached.unwrap_or_else(|_| panic!("expected {status}, got {}", note.status()));
}

fn undone(result: Result<(), SyncError>) -> String {
    match result {
        Err(SyncError::Undone(undo)) => undo.reason,
        other => panic!("expected an undone action, got {other:?}"),
    }
}

/// The first lines of an application.
#[tokio::test(start_paused = true)]
async fn a_missing_document_is_created() {
    let (server, _) = start(State::Missing);
    let ada = server.connect("ada").await.expect("connected");
    let mut note = open(&ada).await;
    assert_eq!(note.status(), DocumentStatus::Loading);
    note.loaded().await.expect("there is none");
    assert_eq!(note.status(), DocumentStatus::Missing);
    assert!(note.may(DocumentOperation::Create) && !note.may(DocumentOperation::Edit));

    // The server would say the same.
    let sent = ada.sent(async { undone(note.operate(&title("Tea")).await) }).await;
    assert_eq!((sent.len(), note.state().to_json()), (0, json!({})));

    note.create(&title("Tea")).await.expect("processed");
    reach(&mut note, DocumentStatus::Ready).await;
    assert_eq!(note.access(), Some(all()));
    note.operate(&title("Milk")).await.expect("processed");
    assert_eq!(note.state().to_json(), json!({"title": "Milk"}));

    // Others see what has become of it.
    let bob = server.connect("bob").await.expect("connected");
    let mut theirs = open(&bob).await;
    theirs.loaded().await.expect("loaded");
    assert_eq!(theirs.status(), DocumentStatus::Ready);
    note.delete().await.expect("processed");
    assert_eq!(note.status(), DocumentStatus::Deleted);
    reach(&mut theirs, DocumentStatus::Deleted).await;
    assert_eq!(undone(theirs.operate(&title("Coffee")).await), "deleted");
    note.create(&[]).await.expect("processed");
    reach(&mut theirs, DocumentStatus::Ready).await;
}

#[tokio::test(start_paused = true)]
async fn a_document_is_created_and_deleted_without_a_connection() {
    let (server, documents) = start(State::Missing);
    let ada = server.connect("ada").await.expect("connected");
    ada.disconnect().await;
    let mut note = open(&ada).await;
    let created = note.create(&title("Tea"));
    drop(note.operate(&title("Milk")));
    assert_eq!(note.status(), DocumentStatus::Loading);
    ada.reconnect().await.expect("connected");
    created.await.expect("processed");
    reach(&mut note, DocumentStatus::Ready).await;

    ada.disconnect().await;
    let deleted = note.delete();
    assert_eq!(note.status(), DocumentStatus::Deleted);
    documents.set(State::Existing(read_only()));
    ada.reconnect().await.expect("connected");
    assert_eq!(undone(deleted.await), "denied");
    reach(&mut note, DocumentStatus::ReadOnly).await;
}

#[tokio::test(start_paused = true)]
async fn rights_change_while_a_document_is_open() {
    let (server, documents) = start(State::Existing(all()));
    let ada = server.connect("ada").await.expect("connected");
    let mut note = open(&ada).await;
    note.loaded().await.expect("loaded");
    note.operate(&title("Tea")).await.expect("processed");

    documents.set(State::Existing(read_only()));
    server.handle().send(access(read_only()), Recipients::user("ada")).await;
    reach(&mut note, DocumentStatus::ReadOnly).await;
    note.loaded().await.expect("it can be read");
    assert_eq!(undone(note.operate(&title("Milk")).await), "denied");
    assert_eq!(note.state().to_json(), json!({"title": "Tea"}));
    assert!(note.refused_edits().expect("a store").is_empty(), "it was never in the document");

    // Without a connection, the rights may have changed again.
    ada.disconnect().await;
    assert_eq!(note.status(), DocumentStatus::ReadOnly);
    let kept = note.operate(&title("Milk"));
    assert_eq!(note.state().to_json(), json!({"title": "Milk"}));
    documents.set(State::Existing(all()));
    ada.reconnect().await.expect("connected");
    kept.await.expect("processed");
    reach(&mut note, DocumentStatus::Ready).await;

    server.handle().unsubscribe(Recipients::user("ada"), CHANNEL).await;
    reach(&mut note, DocumentStatus::Forbidden).await;
    let refused = note.loaded().await;
    assert!(matches!(refused, Err(SyncError::NotSubscribed { reason, .. }) if reason == "revoked"));
    assert!(!note.may(DocumentOperation::Read));
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_not_for_the_user_is_forbidden() {
    let (server, documents) = start(State::Existing(AccessList::NONE));
    let ada = server.connect("ada").await.expect("connected");
    let note = open(&ada).await;
    let refused = note.loaded().await;
    assert!(matches!(refused, Err(SyncError::NotSubscribed { reason, .. }) if reason == "denied"));
    assert_eq!(note.status(), DocumentStatus::Forbidden);
    // To open it again asks again.
    documents.set(State::Deleted);
    let again = open(&ada).await;
    assert_eq!(note.status(), DocumentStatus::Loading);
    assert!(again.loaded().await.is_err());
    assert_eq!(note.status(), DocumentStatus::Deleted);
}

/// Starts a client with a file.
async fn with_file(server: &TestServer, file: &Path) -> TestClient {
    let builder = Client::builder("ada").expect("a user").clock(server.clock());
    let builder = builder.file(file).expect("a file");
    let client = TestClient::start(builder, server.client("ada").connector());
    client.reconnect().await.expect("connected");
    client
}

#[tokio::test(start_paused = true)]
async fn refused_edits_are_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ada.db");
    let (server, documents) = start(State::Existing(all()));
    let ada = with_file(&server, &file).await;
    let note = open(&ada).await;
    note.loaded().await.expect("loaded");
    note.operate(&title("Tea")).await.expect("processed");
    ada.disconnect().await;
    let milk = note.operate(&title("Milk")).kept().await.expect("kept").id().clone();
    drop(note);
    ada.client().clone().close().await;

    // Nobody waits for the answer in the next start.
    documents.set(State::Existing(read_only()));
    let ada = with_file(&server, &file).await;
    let mut note = open(&ada).await;
    let refused = async {
        while note.refused_edits().expect("a store").is_empty() {
            assert!(note.changed().await);
        }
    };
    timeout(TIMEOUT, refused).await.expect("in time");
    assert_eq!(note.state().to_json(), json!({"title": "Tea"}));
    drop(note);
    ada.client().clone().close().await;

    let ada = with_file(&server, &file).await;
    let note = open(&ada).await;
    let refused = note.refused_edits().expect("a store");
    let [edit] = &*refused else { panic!("expected one edit, got {refused:?}") };
    assert_eq!((&edit.id, &*edit.reason), (&milk, "denied"));
    assert_eq!(
        edit.action,
        Shared::<Map>::new("notes", "7").action(&title("Milk")).expect("an action")
    );
    note.forget_refused_edit(&milk).expect("a running client");
    drop(note);
    ada.client().clone().close().await;

    let ada = with_file(&server, &file).await;
    assert!(open(&ada).await.refused_edits().expect("a store").is_empty());
}
