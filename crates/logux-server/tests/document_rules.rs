//! Documents with rules instead of code, in virtual time.

#[path = "support/documents.rs"]
mod documents;

use documents::{clients, set, shown, subscribe};
use logux::{
    Action,
    crdt::Document,
    server::{LogQuery, Retention},
};
use logux_server::{
    AccessRule, BuildError, DocumentKind, DocumentRules, MemoryDocuments, Server,
    testing::TestServer,
};
use serde_json::{Value, json};

fn start(
    rules: DocumentRules,
    configure: impl FnOnce(DocumentKind<(), Document>) -> DocumentKind<(), Document>,
) -> TestServer {
    let server = Server::builder().documents::<Document>("notes", MemoryDocuments::new(), |kind| {
        configure(kind.rules(rules).undoable())
    });
    TestServer::start(server).expect("a server")
}

/// Members read, editors edit, the owner does everything.
fn team() -> DocumentRules {
    let owner = || AccessRule::owner("/owner");
    let members = |roles: &[&str]| AccessRule::members_with("/members", roles.iter().copied());
    DocumentRules {
        read: Some(AccessRule::Any(vec![owner(), members(&[])])),
        edit: Some(AccessRule::Any(vec![owner(), members(&["editor"])])),
        ..DocumentRules::default()
    }
}

fn create(id: &str, fields: &[(&str, Value)]) -> Value {
    let set = |(path, value): &(&str, Value)| json!({"op": "set", "path": path, "value": value});
    let ops: Vec<_> = fields.iter().map(set).collect();
    json!({"type": "notes/create", "id": id, "ops": ops})
}

#[tokio::test(start_paused = true)]
async fn an_owner_invites_members_with_roles() {
    let server = start(team(), |kind| kind);
    let [ada, bob] = clients(&server, ["ada", "bob"]).await;
    ada.process(create("1", &[("/owner", json!("ada"))])).await.expect("created");
    bob.expect_denied(subscribe("1")).await;
    bob.expect_denied(set("1", "/members", json!({"bob": "editor"}))).await;
    bob.expect_denied(set("1", "/owner", "bob")).await;
    ada.process(set("1", "/members", json!({"bob": "reader"}))).await.expect("invited");
    let state = bob.subscribe("notes/1").await.expect("a reader");
    let access = state.last().expect("what it may do").as_json();
    assert_eq!(access, r#"{"type":"notes/access","id":"1","operations":["read"]}"#);
    bob.expect_denied(set("1", "/title", "Tea")).await;

    let told = async |role: Value| {
        let received = bob.received(async {
            ada.process(set("1", "/members/bob", role)).await.expect("changed");
            server.settle().await;
        });
        let received: Vec<Action> = received.await;
        received.into_iter().find(|action| action.kind() != "notes/edit").expect("told")
    };
    let editor = told(json!("editor")).await;
    assert!(editor.as_json().contains(r#"["read","edit","comment"]"#), "{editor:?}");
    bob.process(set("1", "/title", "Tea")).await.expect("an editor");
    bob.expect_denied(set("1", "/members/carl", "editor")).await;
    bob.expect_denied(set("1", "", json!({}))).await;
    bob.expect_denied(json!({"type": "notes/delete", "id": "1"})).await;
    let revoked = told(json!(null)).await;
    assert_eq!(revoked.str_field("reason").as_deref(), Some("revoked"));
    bob.expect_denied(set("1", "/title", "Milk")).await;
    // The owner passes the document on. Its creator still manages it.
    ada.process(set("1", "/owner", "bob")).await.expect("passed on");
    bob.process(set("1", "/title", "Milk")).await.expect("the owner");
    ada.expect_denied(set("1", "/title", "Mine")).await;
    ada.process(set("1", "/owner", "ada")).await.expect("the creator manages it");
}

#[tokio::test(start_paused = true)]
async fn a_document_is_created_for_oneself() {
    let server = start(team(), |kind| kind.created_by_edits());
    let [ada, bob] = clients(&server, ["ada", "bob"]).await;
    ada.expect_denied(create("1", &[("/owner", json!("bob"))])).await;
    ada.expect_denied(create("1", &[("/owner", json!(1))])).await;
    let members = json!({"bob": "editor"});
    ada.process(create("1", &[("/owner", json!("ada")), ("/members", members)]))
        .await
        .expect("the creator sets everything");
    bob.process(set("1", "/title", "Tea")).await.expect("an editor");
    // A second creation is an edit.
    bob.expect_denied(create("1", &[("/owner", json!("bob"))])).await;
    // An edit that creates has the same rules.
    bob.expect_denied(set("2", "/owner", "ada")).await;
    assert_eq!(shown(&server, "2").await, None);
    bob.process(set("2", "/owner", "bob")).await.expect("created");
    ada.expect_denied(set("2", "/title", "Spam")).await;
    // A document that does not exist is nobody's.
    ada.expect_denied(subscribe("3")).await;
}

#[tokio::test(start_paused = true)]
async fn rules_about_the_new_document_decide_about_its_creation() {
    let server = start(DocumentRules::owner("/owner"), |kind| kind);
    let [ada, bob] = clients(&server, ["ada", "bob"]).await;
    ada.expect_denied(create("1", &[])).await;
    ada.process(create("1", &[("/owner", json!("ada"))])).await.expect("created");
    ada.process(set("1", "/title", "Tea")).await.expect("edited");
    bob.expect_denied(set("1", "/title", "Spam")).await;
    bob.expect_denied(subscribe("1")).await;
}

#[tokio::test(start_paused = true)]
async fn without_rules_everyone_does_everything() {
    let server = start(DocumentRules::default(), |kind| kind);
    let [ada, bob] = clients(&server, ["ada", "bob"]).await;
    ada.process(create("1", &[])).await.expect("created");
    bob.process(set("1", "/title", "Tea")).await.expect("edited");
    bob.process(json!({"type": "notes/delete", "id": "1"})).await.expect("deleted");
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_cannot_be_used_keeps_the_server_from_starting() {
    let rules = DocumentRules { edit: Some(AccessRule::owner("/a~")), ..DocumentRules::default() };
    let server = Server::builder()
        .documents::<Document>("notes", MemoryDocuments::new(), |kind| kind.rules(rules));
    let Err(error) = TestServer::start(server) else { panic!("it has started") };
    assert!(matches!(&error, BuildError::AccessRule { row: "edit", .. }), "{error}");
}

async fn log_len(server: &TestServer) -> usize {
    let query = LogQuery::kept_for(&Retention::forever("notes/1")).limit(1_000);
    server.handle().log_page(query).await.expect("a page").entries.len()
}

/// Random actions of users without the right change neither the document nor the log.
/// `LOGUX_FORBIDDEN` sets their number.
#[tokio::test(start_paused = true)]
async fn what_rules_forbid_changes_nothing() {
    let count = std::env::var("LOGUX_FORBIDDEN").ok().and_then(|count| count.parse().ok());
    let count: u64 = count.unwrap_or(300);
    let server = start(team(), |kind| kind.comments_at(["/comments".parse().expect("a path")]));
    let [ada, reader, stranger] = clients(&server, ["ada", "reader", "stranger"]).await;
    let members = json!({"reader": "reader", "editor": "editor"});
    ada.process(create("1", &[("/owner", json!("ada")), ("/members", members)]))
        .await
        .expect("created");
    ada.process(set("1", "/title", "Tea")).await.expect("edited");
    let (before, log) = (shown(&server, "1").await, log_len(&server).await);
    let mut seed = 7_u64;
    let mut random = |bound: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(seed >> 33).expect("31 bits") % bound
    };
    let paths =
        ["", "/owner", "/members", "/members/reader", "/title", "/comments/1", "/new", "/a~1"];
    for _ in 0..count {
        let client = [&reader, &stranger][random(2)];
        let user = client.node_id().user_id().expect("a user").to_owned();
        let values = [json!(user), json!({ (&*user): "editor" }), json!("editor"), json!(null)];
        let op = |random: &mut dyn FnMut(usize) -> usize| {
            let path = paths[random(paths.len())];
            match random(3) {
                0 => json!({"op": "delete", "path": path}),
                _ => json!({"op": "set", "path": path, "value": values[random(values.len())]}),
            }
        };
        let ops: Vec<_> = (0..=random(3)).map(|_| op(&mut random)).collect();
        let kind = ["create", "edit", "edit", "delete"][random(4)];
        let action = json!({"type": format!("notes/{kind}"), "id": "1", "ops": ops});
        client.process(action).await.expect_err("undone");
    }
    assert_eq!(shown(&server, "1").await, before);
    assert_eq!(log_len(&server).await, log);
}

/// A copy is a creation with the content of the other document.
#[tokio::test(start_paused = true)]
async fn a_copy_needs_what_its_creation_would_need() {
    let server = start(team(), |kind| kind);
    let [ada, bob] = clients(&server, ["ada", "bob"]).await;
    let members = ("/members", json!({"bob": "editor"}));
    ada.process(create("1", &[("/owner", json!("ada")), members])).await.expect("created");
    bob.subscribe("notes/1").await.expect("a member");
    let copy = |to: &str| json!({"type": "notes/copy", "id": "1", "to": to});
    // The copy would be one of Ada's.
    bob.expect_denied(copy("2")).await;
    assert_eq!(shown(&server, "2").await, None);
    ada.process(copy("2")).await.expect("copied");

    let nobody = DocumentRules { create: Some(AccessRule::Nobody), ..DocumentRules::default() };
    let server = start(nobody, |kind| kind);
    let notes = server.handle().documents("notes").expect("notes");
    notes.import("1", &json!({"value": {"title": "Tea"}}), None).await.expect("imported");
    let [ada] = clients(&server, ["ada"]).await;
    ada.expect_denied(copy("2")).await;
}
