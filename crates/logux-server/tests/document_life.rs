//! The life of a document: it is created, edited, deleted, taken back and purged; what is not valid
//! for it is refused; limits.

#[path = "support/documents.rs"]
mod documents;

use std::{sync::Arc, time::Duration};

use documents::{clients, create, kinds, set, shown, subscribe};
use logux::{
    Action,
    action::DocumentOperation,
    client::UndoOutcome,
    crdt::{Document, Text},
    server::{CatalogQuery, LogQuery, SettlementRule},
};
use logux_server::{
    Builder, DocumentKind, DocumentLimits, MemoryDocuments, Server, testing::TestServer,
};
use serde_json::{Value, json};

const DAY: Duration = Duration::from_secs(86_400);

/// Serves notes: everyone reads and creates; the creator does the rest, members edit, and `guest`
/// comments.
fn notes(configure: impl FnOnce(Kind) -> Kind) -> Builder {
    Server::builder().documents::<Document>("notes", MemoryDocuments::new(), |kind| {
        configure(
            kind.access(|request| async move {
                use DocumentOperation::{Comment, Create, Edit, Read};
                let user = request.user_id().unwrap_or_default().to_owned();
                if request.creator() == Some(&user) {
                    return Ok(true);
                }
                let members = request.state().await?.get(&"/members".parse()?);
                let is_member = members.is_some_and(|members| members.get(&user).is_some());
                Ok(match request.operation() {
                    Read | Create => true,
                    Edit => is_member,
                    Comment => user == "guest",
                    _ => false,
                })
            })
            .managed_at(["/members".parse().expect("a path")])
            .comments_at(["/comments".parse().expect("a path")])
            .undoable(),
        )
    })
}

type Kind = DocumentKind<(), Document>;

fn delete(id: &str) -> Value {
    json!({"type": "notes/delete", "id": id})
}

#[tokio::test(start_paused = true)]
async fn a_document_exists_from_its_creation_to_its_deletion() {
    let server = TestServer::start(notes(|kind| kind)).expect("a server");
    let [ada, bob] = clients(&server, ["ada", "bob"]).await;
    ada.expect_undo("notFound", set("1", "/title", "Tea")).await;
    ada.expect_undo("notFound", delete("1")).await;
    ada.expect_undo("notFound", subscribe("1")).await;

    ada.process(create("1")).await.expect("created");
    ada.process(set("1", "/title", "Tea")).await.expect("processed");
    let state = bob.subscribe("notes/1").await.expect("subscribed");
    assert_eq!(kinds(&state), ["notes/create", "notes/edit", "notes/access"]);
    bob.expect_denied(delete("1")).await;

    let received = bob.received(ada.process(delete("1"))).await;
    assert_eq!(kinds(&received), ["notes/delete"]);
    ada.expect_undo("deleted", set("1", "/title", "Coffee")).await;
    ada.expect_undo("deleted", subscribe("1")).await;
    assert_eq!(shown(&server, "1").await, None);
    // A repeated deletion changes nothing.
    ada.process(delete("1")).await.expect("processed");

    // Only who may delete it takes the deletion back, with what it had.
    tokio::time::advance(Duration::from_secs(1)).await;
    bob.expect_denied(create("1")).await;
    let received = bob.received(ada.process(create("1"))).await;
    assert_eq!(kinds(&received), ["notes/create"]);
    assert_eq!(shown(&server, "1").await, Some(json!({"title": "Tea"})));
}

#[tokio::test(start_paused = true)]
async fn a_client_may_create_a_document_and_subscribe_at_once() {
    let server = TestServer::start(notes(|kind| kind)).expect("a server");
    let [ada] = clients(&server, ["ada"]).await;
    let action = |json: Value| Action::try_from(json).expect("an action");
    let created = ada.client().sync(action(create("1")));
    let subscribed = ada.client().sync(action(subscribe("1")));
    created.await.expect("created");
    subscribed.await.expect("subscribed after the creation");
}

#[tokio::test(start_paused = true)]
async fn an_action_needs_access_to_each_of_its_paths() {
    let server = TestServer::start(notes(|kind| kind)).expect("a server");
    let [ada, bob, guest] = clients(&server, ["ada", "bob", "guest"]).await;
    ada.process(create("1")).await.expect("created");
    bob.expect_denied(set("1", "/title", "Tea")).await;
    bob.expect_denied(set("1", "/members/bob", true)).await;
    ada.process(set("1", "/members/bob", true)).await.expect("invited");
    bob.process(set("1", "/title", "Tea")).await.expect("a member");
    bob.expect_denied(set("1", "/members/guest", true)).await;
    bob.expect_denied(json!({"type": "notes/edit", "id": "1", "ops": [
        {"op": "set", "path": "/title", "value": "Coffee"},
        {"op": "delete", "path": "/members/ada"},
    ]}))
    .await;
    guest.process(set("1", "/comments/1", "Nice")).await.expect("a comment");
    guest.expect_denied(set("1", "/title", "Milk")).await;
    bob.expect_denied(set("1", "/comments/1", "Bad")).await;
    let expected = json!({"title": "Tea", "members": {"bob": true}, "comments": {"1": "Nice"}});
    assert_eq!(shown(&server, "1").await, Some(expected));
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_undone_only_by_who_may_still_make_it() {
    let server = TestServer::start(notes(|kind| kind)).expect("a server");
    let [ada, bob] = clients(&server, ["ada", "bob"]).await;
    ada.process(create("1")).await.expect("created");
    ada.process(set("1", "/members/bob", true)).await.expect("invited");
    let edit = Action::try_from(set("1", "/title", "Tea")).expect("an action");
    let edit = bob.client().sync(edit).kept().await.expect("added");
    let id = edit.id().clone();
    edit.await.expect("processed");
    tokio::time::advance(Duration::from_secs(1)).await;
    ada.process(set("1", "/members", json!({}))).await.expect("removed");
    let undone = bob.client().undo(&id, "mistake").await.expect("a running client");
    let UndoOutcome::Added(undo) = undone else { panic!("{undone:?}") };
    undo.await.expect_err("denied");
    assert_eq!(shown(&server, "1").await, Some(json!({"title": "Tea", "members": {}})));
}

/// What a client undoes counts for what is accepted later.
#[tokio::test(start_paused = true)]
async fn an_undo_changes_the_state_that_decides() {
    let server = TestServer::start(notes(|kind| kind)).expect("a server");
    let [ada, bob] = clients(&server, ["ada", "bob"]).await;
    ada.process(create("1")).await.expect("created");
    let invitation = Action::try_from(set("1", "/members/bob", true)).expect("an action");
    let invitation = ada.client().sync(invitation).kept().await.expect("added");
    let id = invitation.id().clone();
    invitation.await.expect("processed");
    bob.process(set("1", "/title", "Tea")).await.expect("a member");
    let undone = ada.client().undo(&id, "mistake").await.expect("a running client");
    let UndoOutcome::Added(undo) = undone else { panic!("{undone:?}") };
    undo.await.expect("undone");
    bob.expect_denied(set("1", "/title", "Coffee")).await;
}

#[tokio::test(start_paused = true)]
async fn elements_have_new_names_and_refer_to_existing_ones() {
    let server = Server::builder().documents::<Text>("texts", MemoryDocuments::new(), |kind| {
        kind.access(|_| async { Ok(true) }).created_by_edits()
    });
    let server = TestServer::start(server).expect("a server");
    let [ada] = clients(&server, ["ada"]).await;
    let insert = |first: u32, after: Value| {
        let op = json!({"op": "insert", "first": first, "text": "ab", "after": after});
        json!({"type": "texts/edit", "id": "1", "ops": [op]})
    };
    let first = |mut action: Value| {
        action["ops"][0].as_object_mut().expect("an operation").remove("after");
        action
    };
    ada.process(first(insert(0, json!(null)))).await.expect("processed");
    ada.process(insert(2, json!(1))).await.expect("processed");
    ada.expect_undo("wrongFormat", insert(2, json!(1))).await;
    ada.expect_undo("wrongFormat", insert(4, json!(9))).await;
    ada.expect_undo("wrongFormat", insert(4, json!("@bob:1:1 0"))).await;
    ada.process(insert(4, json!(3))).await.expect("processed");
}

#[tokio::test(start_paused = true)]
async fn limits_are_told_and_leave_the_rest() {
    let limits = DocumentLimits {
        max_bytes: 2_000,
        max_documents_per_user: Some(2),
        max_bytes_per_user: Some(3_000),
    };
    let server = TestServer::start(notes(|kind| kind.limits(limits))).expect("a server");
    let [ada, bob] = clients(&server, ["ada", "bob"]).await;
    ada.process(create("1")).await.expect("created");
    let large = "x".repeat(1_500);
    ada.process(set("1", "/a", &*large)).await.expect("processed");
    ada.expect_undo("documentTooLarge", set("1", "/b", &*large)).await;
    ada.process(set("1", "/a", "small")).await.expect("what makes it smaller");

    ada.process(create("2")).await.expect("created");
    ada.expect_undo("documentLimit", create("3")).await;
    ada.process(delete("2")).await.expect("deleted");
    ada.process(create("3")).await.expect("as many as before");
    bob.process(create("4")).await.expect("another user");

    ada.process(set("3", "/a", &*large)).await.expect("processed");
    // The sizes are some seconds old.
    tokio::time::sleep(Duration::from_secs(5)).await;
    ada.expect_undo("userBytesLimit", set("3", "/b", "more")).await;
    ada.process(delete("1")).await.expect("deleted");
    tokio::time::sleep(Duration::from_secs(5)).await;
    ada.process(set("3", "/b", "more")).await.expect("processed");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_document_is_purged_after_its_time() {
    let keep = |kind: Kind| kind.keep_deleted_for(2 * DAY);
    let server = TestServer::start(notes(keep)).expect("a server");
    let [ada] = clients(&server, ["ada"]).await;
    ada.process(create("1")).await.expect("created");
    ada.process(set("1", "/title", "Tea")).await.expect("processed");
    ada.process(delete("1")).await.expect("deleted");
    tokio::time::sleep(DAY).await;
    ada.process(create("1")).await.expect("taken back");
    assert_eq!(shown(&server, "1").await, Some(json!({"title": "Tea"})));
    ada.process(delete("1")).await.expect("deleted");
    tokio::time::sleep(3 * DAY).await;
    let notes = server.handle().documents("notes").expect("notes");
    assert_eq!(notes.find("1").await.expect("readable"), None);
    assert_eq!(log_with(&server, "Tea").await, Vec::<String>::new());
    // Devices may still have it.
    ada.expect_undo("purged", create("1")).await;
    assert_eq!(shown(&server, "1").await, None);
}

/// Returns the entries of the log that contain a text.
async fn log_with(server: &TestServer, text: &str) -> Vec<String> {
    let mut next = Some(LogQuery::all().limit(1_000));
    let mut found = Vec::new();
    while let Some(query) = next {
        let page = server.handle().log_page(query).await.expect("a page");
        let entries = page.entries.into_iter().map(|entry| entry.action.as_json().to_owned());
        found.extend(entries.filter(|json| json.contains(text)));
        next = page.next;
    }
    found
}

#[tokio::test(start_paused = true)]
async fn a_purge_leaves_nothing_and_tells_the_subscribers() {
    let settle = |kind: Kind| {
        kind.settlement(SettlementRule { open_actions: 4, ..SettlementRule::default() })
    };
    let server = TestServer::start(notes(settle)).expect("a server");
    let [ada, bob] = clients(&server, ["ada", "bob"]).await;
    for id in ["1", "2"] {
        ada.process(create(id)).await.expect("created");
        for n in 0..30 {
            let text = format!("secret{id} {n}");
            ada.process(set(id, "/title", text)).await.expect("processed");
        }
    }
    bob.expect_denied(set("1", "/title", "secret1 of bob")).await;
    bob.subscribe("notes/1").await.expect("subscribed");
    let notes = server.handle().documents("notes").expect("notes");
    let received = bob.received(async {
        assert!(notes.purge("1").await.expect("purged"));
    });
    assert_eq!(kinds(&received.await), ["notes/delete"]);
    assert_eq!(log_with(&server, "secret1").await, Vec::<String>::new());
    assert_eq!(notes.find("1").await.expect("readable"), None);
    assert!(!notes.purge("1").await.expect("nothing to purge"));
    ada.expect_undo("notFound", set("1", "/title", "Tea")).await;

    assert_eq!(shown(&server, "2").await, Some(json!({"title": "secret2 29"})));
    let listed = notes.list(&CatalogQuery::new(10)).await.expect("a page").entries;
    assert_eq!(listed.iter().map(|entry| &*entry.id).collect::<Vec<_>>(), ["2"]);
}

/// The catalog and the log belong together, whoever has them.
#[tokio::test(start_paused = true)]
async fn a_restarted_server_has_the_documents() {
    let storage = Arc::new(MemoryDocuments::new());
    let file = tempfile::NamedTempFile::new().expect("a file");
    for round in 0..3 {
        let database = logux_sqlite::Database::open(file.path()).expect("a database");
        let server = Server::builder().store(database.store()).documents::<Document>(
            "notes",
            storage.clone(),
            |kind| kind.access(|_| async { Ok(true) }),
        );
        let server = TestServer::start(server).expect("a server");
        // The clock of a test begins again, and ids with it.
        let [ada] = clients(&server, [&*format!("ada{round}")]).await;
        ada.process(create("1")).await.expect("created once, then edited");
        ada.process(set("1", &format!("/round{round}"), round)).await.expect("processed");
        let state = shown(&server, "1").await.expect("a document");
        assert_eq!(state.as_object().expect("fields").len(), round + 1);
        drop(ada);
        drop(server);
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn rights_that_change_act_on_open_connections() {
    let server = Server::builder().documents::<Document>("notes", MemoryDocuments::new(), |kind| {
        kind.access(|request| async move {
            let user = request.user_id().unwrap_or_default().to_owned();
            if request.creator().is_none_or(|creator| creator == user) {
                return Ok(true);
            }
            let role = request.state().await?.get(&format!("/members/{user}").parse()?);
            Ok(match request.operation() {
                DocumentOperation::Read => role.is_some_and(|role| role != json!(null)),
                DocumentOperation::Edit => role == Some(json!("editor")),
                _ => false,
            })
        })
        .managed_at(["/members".parse().expect("a path")])
        .undoable()
    });
    let server = TestServer::start(server).expect("a server");
    let [ada, bob] = clients(&server, ["ada", "bob"]).await;
    ada.process(create("1")).await.expect("created");
    bob.expect_denied(subscribe("1")).await;
    ada.process(set("1", "/members/bob", "reader")).await.expect("invited");
    bob.subscribe("notes/1").await.expect("subscribed");

    let change = async |role: Value| {
        let received = bob.received(async {
            ada.process(set("1", "/members/bob", role)).await.expect("changed");
            server.settle().await;
        });
        received.await.into_iter().find(|action| action.kind() != "notes/edit").expect("told")
    };
    let editor = change(json!("editor")).await;
    assert_eq!(
        editor.as_json(),
        r#"{"type":"notes/access","id":"1","operations":["read","edit"]}"#
    );
    bob.process(set("1", "/title", "Tea")).await.expect("an editor");
    let revoked = change(json!(null)).await;
    assert_eq!(revoked.kind(), "logux/undo", "{revoked:?}");
    assert_eq!(revoked.str_field("reason").as_deref(), Some("revoked"));
    let received = bob.received(ada.process(set("1", "/title", "Coffee"))).await;
    assert_eq!(kinds(&received), [""; 0]);
    bob.expect_denied(set("1", "/title", "Milk")).await;
}
