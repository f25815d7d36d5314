//! Who has written which part of a text, now and at former moments, also after the edits were
//! settled.

#[path = "support/documents.rs"]
mod documents;

use std::time::Duration;

use documents::{clients, set};
use logux::{
    WallTime,
    action::{DocumentOperation, Moment},
    crdt::{Document, Text},
    server::SettlementRule,
};
use logux_client::testing::TestClient;
use logux_server::{
    Documents, HandlerError, MemoryDocuments, Server,
    testing::{START, TestServer},
};
use serde_json::{Value, json};

const NOW: Moment = Moment::Position(u64::MAX);

fn start() -> (TestServer, Documents) {
    let server = Server::builder()
        .documents::<Document>("notes", MemoryDocuments::new(), |kind| {
            kind.access(|request| async move {
                Ok(match request.user_id() {
                    Some("guest") => false,
                    Some("reader") => request.operation() == DocumentOperation::Read,
                    _ => true,
                })
            })
            .undoable()
            .settlement(SettlementRule { open_actions: 4, ..SettlementRule::default() })
        })
        .documents::<Text>("poems", MemoryDocuments::new(), |kind| {
            kind.access(|_| async { Ok(true) }).created_by_edits()
        });
    let server = TestServer::start(server).expect("a server");
    let notes = server.handle().documents("notes").expect("notes");
    (server, notes)
}

async fn act(client: &TestClient, action: Value) {
    client.process(action).await.expect("processed");
    // Snapshots are made in the background.
    tokio::time::sleep(Duration::from_millis(100)).await;
}

fn insert(path: &str, text: &str) -> Value {
    json!({"op": "insertText", "path": path, "first": 0, "text": text})
}

fn edit(ops: &Value) -> Value {
    json!({"type": "notes/edit", "id": "1", "ops": ops})
}

/// Returns the parts of a text with their users.
async fn authors(notes: &Documents, moment: Moment, path: &str) -> Vec<(String, Option<String>)> {
    let path = path.parse().expect("a path");
    let parts = notes.authors("1", moment, &path).await.expect("a text");
    parts.into_iter().map(|part| (part.text, part.user.map(|user| user.to_string()))).collect()
}

fn by(parts: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
    parts.iter().map(|(text, user)| ((*text).to_owned(), Some((*user).to_owned()))).collect()
}

#[tokio::test(start_paused = true)]
async fn each_part_of_a_text_has_its_author_at_each_moment() {
    let (server, notes) = start();
    let [ada, bob] = clients(&server, ["ada", "bob"]).await;
    let first = json!([insert("/body", "Buy milk…\n")]);
    act(&ada, json!({"type": "notes/create", "id": "1", "ops": first})).await;
    notes.name_version("1", "draft").await.expect("named");
    tokio::time::sleep(Duration::from_secs(120)).await;
    let mut oat = insert("/body", "oat ");
    (oat["after"], oat["before"]) = ("@ada:1:1 3".into(), "@ada:1:1 4".into());
    act(&bob, edit(&json!([oat]))).await;
    let both = by(&[("Buy ", "ada"), ("oat ", "bob"), ("milk…\n", "ada")]);
    assert_eq!(authors(&notes, NOW, "/body").await, both);
    let with_both = notes.history("1", None, 1).await.expect("a page").entries[0].position;
    act(
        &ada,
        edit(&json!([{"op": "removeText", "path": "/body", "elements": [["@bob:1:1 0", 4]]}])),
    )
    .await;
    let alone = by(&[("Buy milk…\n", "ada")]);
    for n in 0..30 {
        assert_eq!(authors(&notes, NOW, "/body").await, alone, "after {n} edits");
        assert_eq!(authors(&notes, Moment::Version("draft".into()), "/body").await, alone);
        assert_eq!(authors(&notes, Moment::Position(with_both), "/body").await, both);
        act(&bob, set("1", "/n", n)).await;
    }

    let path = "/body".parse().expect("a path");
    let parts = notes.authors("1", Moment::Position(with_both), &path).await.expect("a text");
    assert_eq!(parts[1].node, bob.node_id());
    let minute = |time: WallTime| time.as_millis() / 60_000;
    assert_eq!(parts[0].time.map(minute), Some(minute(START)));
    assert_eq!(parts[1].time.map(minute), Some(minute(START) + 2));
    let json = serde_json::to_value(&parts[1]).expect("JSON");
    let time = parts[1].time.expect("a time").as_millis();
    assert_eq!(json, json!({"text": "oat ", "node": "bob:1:1", "user": "bob", "time": time}));

    // What a restore brings back is written by the server.
    notes.restore("1", &Moment::Position(with_both)).await.expect("restored");
    let parts = notes.authors("1", NOW, &path).await.expect("a text");
    let restored = parts.iter().find(|part| part.text == "oat ").expect("the part");
    assert!(restored.user.is_none() && restored.node.is_server(), "{restored:?}");
}

#[tokio::test(start_paused = true)]
async fn texts_are_found_in_items_and_in_other_types() {
    let (server, notes) = start();
    let ada = server.connect("ada").await.expect("connected");
    let insert_item = json!({"op": "insert", "path": "/tasks", "first": 0, "values": [{}]});
    let ops = json!([insert_item, {
        "op": "insertText", "path": "/tasks/@ada:1:1 0/title", "first": 1, "text": "Tea",
    }]);
    act(&ada, json!({"type": "notes/create", "id": "1", "ops": ops})).await;
    assert_eq!(authors(&notes, NOW, "/tasks/@ada:1:1 0/title").await, by(&[("Tea", "ada")]));

    let ops = json!([{"op": "insert", "first": 0, "text": "Roses"}]);
    act(&ada, json!({"type": "poems/edit", "id": "1", "ops": ops})).await;
    let poems = server.handle().documents("poems").expect("poems");
    assert_eq!(authors(&poems, NOW, "").await, by(&[("Roses", "ada")]));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_text_has_no_authors() {
    let (server, notes) = start();
    let ada = server.connect("ada").await.expect("connected");
    act(&ada, json!({"type": "notes/create", "id": "1", "ops": []})).await;
    act(&ada, set("1", "/title", "Tea")).await;
    for path in ["/title", "/missing", ""] {
        let path = path.parse().expect("a path");
        let error = notes.authors("1", NOW, &path).await.expect_err("no text");
        assert!(
            matches!(&error, HandlerError::Undo { reason, .. } if reason == "noText"),
            "{error:?}"
        );
    }
    let path = "/title".parse().expect("a path");
    let missing = notes.authors("2", NOW, &path).await;
    assert!(matches!(missing, Err(HandlerError::NotFound)), "{missing:?}");
}

#[tokio::test(start_paused = true)]
async fn a_named_version_is_removed() {
    let (server, notes) = start();
    let ada = server.connect("ada").await.expect("connected");
    act(&ada, json!({"type": "notes/create", "id": "1", "ops": []})).await;
    notes.name_version("1", "draft").await.expect("named");
    assert!(!notes.remove_version("1", "final").await.expect("looked up"));
    assert!(notes.remove_version("1", "draft").await.expect("removed"));
    assert!(!notes.remove_version("1", "draft").await.expect("looked up"));
    assert_eq!(notes.versions("1").await.expect("versions"), []);
    let state = notes.json_at("1", Moment::Version("draft".into())).await;
    assert!(matches!(state, Err(HandlerError::NotFound)), "{state:?}");
    act(&ada, set("1", "/title", "Tea")).await;
    notes.name_version("1", "draft").await.expect("the name is free again");
    let (_, value) = notes.json_at("1", Moment::Version("draft".into())).await.expect("a state");
    assert_eq!(value, json!({"title": "Tea"}));
}

#[tokio::test(start_paused = true)]
async fn clients_ask_for_authors_and_remove_versions() {
    let (server, notes) = start();
    let [ada, bob] = clients(&server, ["ada", "bob"]).await;
    let first = json!([insert("/body", "Buy milk")]);
    act(&ada, json!({"type": "notes/create", "id": "1", "ops": first})).await;
    act(&ada, json!({"type": "notes/version", "id": "1", "name": "draft"})).await;
    let mut more = insert("/body", "!");
    more["after"] = "@ada:1:1 7".into();
    act(&bob, edit(&json!([more]))).await;
    let note = bob.client().document::<Document>("notes", "1").await.expect("opened");
    let path = "/body".parse().expect("a path");
    let now = note.server_authors(&path, None).await.expect("a text");
    let shown: Vec<_> = now.iter().map(|part| (&*part.text, part.user.as_deref())).collect();
    assert_eq!(shown, [("Buy milk", Some("ada")), ("!", Some("bob"))]);
    assert_eq!(now, notes.authors("1", NOW, &path).await.expect("a text"));
    let draft = Moment::Version("draft".into());
    let then = note.server_authors(&path, Some(&draft)).await.expect("a text");
    assert_eq!(then, now[..1]);
    let request = |path: &str| json!({"type": "notes/readAuthors", "id": "1", "path": path});
    bob.expect_undo("noText", request("/title")).await;
    bob.expect_undo("wrongFormat", request("body")).await;
    let mut two_moments = request("/body");
    (two_moments["at"], two_moments["position"]) = (1.into(), 1.into());
    bob.expect_undo("wrongFormat", two_moments).await;

    note.remove_version("draft").await.expect("removed");
    assert_eq!(notes.versions("1").await.expect("versions"), []);
    let remove = json!({"type": "notes/removeVersion", "id": "1", "name": "draft"});
    bob.expect_undo("notFound", &remove).await;
    act(&ada, json!({"type": "notes/version", "id": "1", "name": "draft"})).await;
    let [reader, guest] = clients(&server, ["reader", "guest"]).await;
    reader.expect_denied(&remove).await;
    assert_eq!(notes.versions("1").await.expect("versions").len(), 1);
    guest.expect_denied(request("/body")).await;
    reader.process(request("/body")).await.expect("who reads may ask");
}
