//! Rules that decide by the claims of the login, in virtual time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use logux::{action::DocumentOperation, crdt::Document};
use logux_server::{
    AccessRule, AuthOutcome, Builder, Claims, DocumentRules, MemoryDocuments, Server,
    testing::{TestClient, TestServer},
};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::sleep};

/// Accepts a client with the claims that are its token.
fn with_claims<St: logux::store::Store + Send + 'static>(
    server: Builder<(), St>,
) -> Builder<(), St> {
    server.auth(|login| async move {
        let claims: Value = serde_json::from_str(login.token.as_deref().unwrap_or("{}"))?;
        Ok(AuthOutcome::from(true).with_claims(Claims::try_from(claims)?))
    })
}

async fn connect(server: &TestServer, node: &str, claims: &Value) -> TestClient {
    let client = server.client(node).token(claims.to_string());
    client.connect().await.expect("connected")
}

fn set(title: &str) -> Value {
    let op = json!({"op": "set", "path": "/title", "value": title});
    json!({"type": "notes/edit", "id": "1", "ops": [op]})
}

/// Staff edits notes, and everyone comments.
fn rules() -> DocumentRules {
    DocumentRules {
        edit: Some(AccessRule::claim("role", ["staff"])),
        comment: Some(AccessRule::Everyone),
        ..DocumentRules::default()
    }
}

#[tokio::test(start_paused = true)]
async fn claims_of_the_login_decide() {
    let builder =
        Server::builder()
            .documents::<Document>("notes", MemoryDocuments::new(), |kind| kind.rules(rules()));
    let server = TestServer::start(with_claims(builder)).expect("a server");
    let staff = connect(&server, "ada", &json!({"role": ["staff", "x"]})).await;
    let guest = connect(&server, "bob", &json!({"role": "guest"})).await;
    guest.process(json!({"type": "notes/create", "id": "1", "ops": []})).await.expect("created");
    staff.process(set("Tea")).await.expect("staff");
    guest.expect_denied(set("Coffee")).await;
}

/// The claims of an author who has left are those of its last login.
#[tokio::test(start_paused = true)]
async fn an_action_is_decided_after_its_author_has_left() {
    let (release, decided) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (released, deciding) = (release.clone(), decided.clone());
    let builder = Server::builder().action_type("do", move |action| {
        let (released, decided) = (released.clone(), deciding);
        action.access(move |context| {
            let (released, decided) = (released.clone(), decided.clone());
            async move {
                released.notified().await;
                assert_eq!(context.claims()?.get("role"), Some(&json!("staff")));
                decided.notify_one();
                Ok(true)
            }
        })
    });
    let server = TestServer::start(with_claims(builder)).expect("a server");
    let ada = connect(&server, "ada", &json!({"role": "staff"})).await;
    let action = logux::Action::try_from(json!({"type": "do"})).expect("an action");
    let sent = ada.client().sync(action);
    server.settle().await;
    ada.disconnect().await;
    server.settle().await;
    release.notify_one();
    tokio::time::timeout(Duration::from_secs(60), decided.notified()).await.expect("decided");
    drop(sent);
}

/// After a restart of the server, the claims of an author are known when it connects again. Until
/// then its edit waits, and does not hold up others.
#[tokio::test(start_paused = true)]
async fn an_edit_waits_for_the_claims_of_its_author() {
    let (file, storage) = (tempfile::NamedTempFile::new().expect("a file"), MemoryDocuments::new());
    let (storage, is_first) = (Arc::new(storage), Arc::new(AtomicBool::new(true)));
    let start = || {
        let database = logux_sqlite::Database::open(file.path()).expect("a database");
        let builder = Server::builder().store(database.store());
        // The first server receives the edit, but does not decide about it.
        let is_first = is_first.load(Ordering::Relaxed);
        let builder = builder.documents::<Document>("notes", storage.clone(), |kind| {
            if !is_first {
                return kind.rules(rules());
            }
            kind.access(|request| async move {
                if request.operation() == DocumentOperation::Edit {
                    std::future::pending::<()>().await;
                }
                Ok(true)
            })
        });
        TestServer::start(with_claims(builder)).expect("a server")
    };
    let server = start();
    let staff = json!({"role": "staff"});
    let bob = connect(&server, "bob:1:1", &staff).await;
    bob.process(json!({"type": "notes/create", "id": "1", "ops": []})).await.expect("created");
    let ada = connect(&server, "ada:1:1", &staff).await;
    let action = |json: Value| logux::Action::try_from(json).expect("an action");
    let _edit = ada.client().sync(action(set("Tea")));
    sleep(Duration::from_secs(1)).await;
    drop((ada, bob));
    drop(server);
    tokio::task::yield_now().await;
    sleep(Duration::from_secs(1)).await;

    is_first.store(false, Ordering::Relaxed);
    let server = start();
    let title = async || {
        let notes = server.handle().documents("notes").expect("notes");
        notes.json("1").await.expect("readable").expect("a note")["title"].clone()
    };
    sleep(Duration::from_hours(1)).await;
    assert_eq!(title().await, Value::Null, "the edit waits");
    let carl = connect(&server, "carl:1:1", &staff).await;
    carl.process(set("Coffee")).await.expect("others do not wait");
    assert_eq!(title().await, json!("Coffee"));
    // The time of a test begins again: the waiting edit is the older one, and its author has lost
    // the role.
    let ada = connect(&server, "ada:2:1", &json!({"role": "guest"})).await;
    sleep(Duration::from_secs(60)).await;
    ada.expect_denied(set("Milk")).await;
    assert_eq!(title().await, json!("Coffee"));
}
