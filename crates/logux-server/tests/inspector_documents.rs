//! In development, the inspector shows the documents of a server: lists, states, people, versions,
//! actions, and former states with their differences to now.

#[path = "support/raw.rs"]
mod raw;

use logux::{Action, crdt::Document};
use logux_server::{Config, MemoryDocuments, RunningServer, Server};
use raw::{get, open, read, sync};
use serde_json::{Value, json};

async fn server(config: impl FnOnce(&mut Config)) -> RunningServer {
    let builder = Server::builder().config(|all| {
        all.development = true;
        config(all);
    });
    let with_kind = |builder: logux_server::Builder, kind: &str| {
        builder.documents::<Document>(kind, MemoryDocuments::new(), |kind| {
            // Who sees the inspector needs no permission of a user.
            kind.access(|request| async move { Ok(request.user_id() == Some("10")) }).undoable()
        })
    };
    with_kind(with_kind(builder, "notes"), "plans")
        .auth(|_| async { Ok(true) })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server")
}

/// Asks what the page asks. Returns the status and the answer.
async fn ask(server: &RunningServer, query: &str) -> (u16, Value) {
    let path = format!("/inspector/documents.json?{query}");
    let (head, body) = get(server.address(), &path, "").await;
    assert!(!body.contains("-secret"), "no secrets of clients: {body}");
    (head[9..12].parse().expect("a status"), serde_json::from_str(&body).expect("JSON"))
}

async fn answer(server: &RunningServer, query: &str) -> Value {
    let (status, answer) = ask(server, query).await;
    assert_eq!(status, 200, "{query}: {answer}");
    answer
}

async fn process(server: &RunningServer, action: Value) {
    let action = Action::new(action.to_string()).expect("an action");
    server.handle().process(action).await.expect("processed");
}

async fn create(server: &RunningServer, id: &str, value: Value) {
    let documents = server.handle().documents("notes").expect("the kind");
    documents.import(id, &json!({ "value": value }), Some("ada")).await.expect("created");
}

fn set(path: &str, value: impl Into<Value>) -> Value {
    let ops = json!([{"op": "set", "path": path, "value": value.into()}]);
    json!({"type": "notes/edit", "id": "7", "ops": ops})
}

/// A client of user 10 that shows itself in the note 7.
async fn visitor(server: &RunningServer) -> raw::Socket {
    let mut visitor = open(server, "10:a:tab", "right").await;
    sync(&mut visitor, 1, r#"{"type":"logux/subscribe","channel":"notes/7"}"#).await;
    read(&mut visitor, "logux/processed").await;
    let set = r#"{"type":"presence/set","channel":"notes/7","state":{"name":"<b>Ada</b>"}}"#;
    sync(&mut visitor, 2, set).await;
    read(&mut visitor, "presence/changed").await;
    visitor
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_listed_in_pages_with_who_is_present() {
    let server = server(|_| {}).await;
    for id in ["6", "7", "a/b"] {
        create(&server, id, json!({"title": "Tea"})).await;
    }
    let _visitor = visitor(&server).await;
    let first = answer(&server, "limit=2").await;
    assert_eq!((&first["kinds"], &first["kind"]), (&json!(["notes", "plans"]), &json!("notes")));
    let ids = |list: &Value| -> Vec<Value> {
        let all = list["documents"].as_array().expect("a list");
        all.iter().map(|entry| entry["id"].clone()).collect()
    };
    assert_eq!(ids(&first), ["a/b", "7"], "newest change first");
    let note = &first["documents"][1];
    assert_eq!((&note["creator"], &note["present"]), (&json!("ada"), &json!(1)), "{note}");
    assert!(note["changedAt"].is_u64() && note["bytes"].is_u64() && note["actions"].is_u64());
    let after = first["after"].as_str().expect("a next page").replace('/', "%2F");
    let second = answer(&server, &format!("kind=notes&limit=2&after={after}")).await;
    assert_eq!((ids(&second), &second["after"]), (vec![json!("6")], &Value::Null));
    assert_eq!(answer(&server, "kind=plans").await["documents"], json!([]));
    server.handle().documents("notes").expect("the kind").delete("6").await.expect("deleted");
    assert_eq!(ids(&answer(&server, "kind=notes&deleted=true").await), [json!("6")]);
    // The overview counts who is present, too.
    let (_, overview) = get(server.address(), "/inspector.json?after=0", "").await;
    let overview: Value = serde_json::from_str(&overview).expect("JSON");
    assert_eq!(overview["present"], json!({"notes/7": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_has_a_state_people_versions_and_actions() {
    let server = server(|_| {}).await;
    create(&server, "7", json!({"title": "Tea"})).await;
    let notes = server.handle().documents("notes").expect("the kind");
    notes.name_version("7", "draft").await.expect("named");
    let mut visitor = visitor(&server).await;
    sync(&mut visitor, 3, &set("/title", "<i>Coffee</i>").to_string()).await;
    read(&mut visitor, "logux/processed").await;

    let note = answer(&server, "kind=notes&id=7").await;
    assert_eq!(note["value"], json!({"title": "<i>Coffee</i>"}));
    assert_eq!(note["valueBytes"], note["value"].to_string().len());
    let people = json!([{
        "node": "10:a:tab", "user": "10", "state": r#"{"name":"<b>Ada</b>"}"#,
    }]);
    assert_eq!((&note["people"], &note["present"]), (&people, &json!(1)));
    assert_eq!(note["subscribers"], 1);
    let draft = &note["versions"][0];
    assert_eq!(draft["name"], "draft");
    let [edit, create] = &note["actions"]["entries"].as_array().expect("a list")[..] else {
        panic!("two actions: {note}")
    };
    assert_eq!((&edit["type"], &edit["user"]), (&json!("notes/edit"), &json!("10")));
    assert_eq!((&edit["position"], &edit["operations"]), (&note["position"], &json!(1)));
    let op = json!({"op": "set", "path": "/title", "rest": r#"{"value":"<i>Coffee</i>"}"#});
    assert_eq!(edit["ops"], json!([op]));
    assert_eq!((&create["type"], &create["user"]), (&json!("notes/create"), &Value::Null));
    assert_eq!(create["position"], draft["position"]);

    // A former state, and the differences to now.
    let then = answer(&server, &format!("kind=notes&id=7&position={}", draft["position"])).await;
    assert_eq!(then["value"], json!({"title": "Tea"}));
    let change = json!({"path": "/title", "before": "Tea", "after": "<i>Coffee</i>"});
    assert_eq!(then["changes"], json!([change]));

    // What the page knows is not sent again.
    let known = format!("kind=notes&id=7&known={}", note["position"]);
    let same = answer(&server, &known).await;
    assert_eq!((same.get("value"), same.get("actions")), (None, None), "{same}");
    assert_eq!(same["people"], people);
    process(&server, set("/title", "Milk")).await;
    let newer = answer(&server, &known).await;
    assert_eq!(newer["value"], json!({"title": "Milk"}));
    let undo = json!({"type": "logux/undo", "id": edit["id"], "reason": "user", "action": {}});
    sync(&mut visitor, 4, &undo.to_string()).await;
    read(&mut visitor, "logux/processed").await;
    let undone = answer(&server, "kind=notes&id=7").await;
    assert_eq!(undone["actions"]["entries"][0]["undoes"], edit["id"], "{undone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_actions_are_in_pages() {
    let server = server(|_| {}).await;
    create(&server, "7", json!({})).await;
    for number in 0..35 {
        process(&server, set("/count", number)).await;
    }
    let note = answer(&server, "kind=notes&id=7").await;
    let first = note["actions"]["entries"].as_array().expect("a list");
    assert_eq!((first.len(), &first[29]["position"]), (30, &note["actions"]["before"]));
    let before = format!("kind=notes&id=7&before={}", note["actions"]["before"]);
    let rest = answer(&server, &before).await;
    let entries = rest["entries"].as_array().expect("a list");
    assert_eq!((entries.len(), &rest["before"]), (6, &Value::Null), "{rest}");
    assert_eq!(entries[5]["type"], "notes/create");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_receives_is_bounded() {
    let server = server(|_| {}).await;
    let ops: Vec<_> = (0..50)
        .map(|n| json!({"op": "set", "path": format!("/{n}"), "value": "x".repeat(30_000)}))
        .collect();
    process(&server, json!({"type": "notes/create", "id": "7", "ops": ops})).await;
    let note = answer(&server, "kind=notes&id=7").await;
    assert_eq!(note.get("value"), None, "the state is too large");
    assert!(note["valueBytes"].as_u64() > Some(1_500_000), "{}", note["valueBytes"]);
    let create = &note["actions"]["entries"][0];
    assert_eq!(
        (&create["operations"], create["ops"].as_array().map(Vec::len)),
        (&json!(50), Some(20))
    );
    assert!(create.to_string().len() < 12_000, "{create}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_has_a_reason() {
    let server = server(|_| {}).await;
    create(&server, "7", json!({"title": "Tea"})).await;
    for (query, status, reason) in [
        ("kind=notes&id=8", 404, "notFound"),
        ("kind=posts", 404, "notFound"),
        ("kind=notes&id=7&position=x", 400, "wrongFormat"),
        ("kind=notes&id=7&position=0", 410, "forgotten"),
        ("kind=notes&after=x", 400, "wrongFormat"),
        ("kind=notes&limit=-1", 400, "wrongFormat"),
    ] {
        let (found, answer) = ask(&server, query).await;
        assert_eq!((found, &answer["error"]), (status, &json!(reason)), "{query}: {answer}");
    }
    let notes = server.handle().documents("notes").expect("the kind");
    notes.delete("7").await.expect("deleted");
    let deleted = answer(&server, "kind=notes&id=7").await;
    assert!(deleted["document"]["deletedAt"].is_u64() && deleted.get("value").is_none());
    assert_eq!(deleted["actions"]["entries"][0]["type"], "notes/create");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_documents_says_so() {
    let server = Server::builder()
        .config(|config| config.development = true)
        .auth(|_| async { Ok(true) })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    assert_eq!(answer(&server, "").await, json!({"kinds": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_hidden_in_production_and_from_other_addresses_and_hosts() {
    let is_hidden = async |server: &RunningServer, headers: &str| {
        create(server, "7", json!({"title": "Tea"})).await;
        let path = "/inspector/documents.json?kind=notes&id=7";
        let (head, body) = get(server.address(), path, headers).await;
        head.starts_with("HTTP/1.1 404") && !body.contains("Tea")
    };
    assert!(!is_hidden(&server(|_| {}).await, "").await);
    assert!(is_hidden(&server(|config| config.development = false).await, "").await);
    let other = |config: &mut Config| {
        config.inspector_access = "10.0.0.0/8".parse().expect("a network");
    };
    assert!(is_hidden(&server(other).await, "").await);
    assert!(is_hidden(&server(|_| {}).await, "Host: evil.example\r\n").await);
}
