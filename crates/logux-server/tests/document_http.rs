//! The documents of a server over HTTP: who may use it, and what it answers.

use std::net::SocketAddr;

use logux::crdt::Document;
use logux_server::{ControlAccess, MemoryDocuments, RunningServer, Server};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const SECRET: &str = "a long secret of the operators";

async fn start(development: bool, access: ControlAccess) -> RunningServer {
    Server::builder()
        .config(|config| config.development = development)
        .auth(|_| async { Ok(true) })
        .documents::<Document>("notes", MemoryDocuments::new(), |kind| {
            // The people who run the server need no permission of a user.
            kind.access(|_| async { Ok(false) })
        })
        .documents_http(access)
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port")
}

/// Sends a request. Returns the status and the body.
async fn http_with(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String) {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut socket = TcpStream::connect(server).await.expect("a connection");
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head[9..12].parse().expect("a status"), body.to_owned())
}

async fn http(server: SocketAddr, method: &str, path: &str) -> (u16, String) {
    http_with(server, method, path, &[], "").await
}

/// Sends a request with the secret.
async fn call(server: SocketAddr, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let secret = format!("Bearer {SECRET}");
    let headers = [("Authorization", &*secret)];
    let (status, text) = http_with(server, method, path, &headers, &body).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

async fn get(server: SocketAddr, path: &str) -> (u16, Value) {
    call(server, "GET", path, &Value::Null).await
}

fn ids(list: &Value) -> Vec<&str> {
    let list = list["documents"].as_array().into_iter().flatten();
    list.filter_map(|entry| entry["id"].as_str()).collect()
}

#[tokio::test]
async fn documents_are_listed_exported_imported_and_removed() {
    let server = start(false, ControlAccess::new(SECRET)).await;
    let at = server.address();
    assert_eq!(get(at, "/documents").await, (200, json!({"kinds": ["notes"]})));
    let value = json!({"value": {"title": "Tea", "tags": ["a"]}});
    for id in ["1", "a%2Fb", "%C3%A4"] {
        let path = format!("/documents/notes/{id}?creator=ada");
        assert_eq!(call(at, "PUT", &path, &value).await.0, 201);
    }
    let (status, again) = call(at, "PUT", "/documents/notes/1", &value).await;
    assert_eq!((status, &again["error"]), (409, &json!("exists")));
    let (_, list) = get(at, "/documents/notes?limit=2").await;
    let after = list["after"].as_str().expect("a next page").replace('/', "%2F");
    let (_, rest) = get(at, &format!("/documents/notes?limit=2&after={after}")).await;
    let all = [ids(&list), ids(&rest)].concat();
    assert_eq!(all, ["ä", "a/b", "1"]);
    assert_eq!(ids(&get(at, "/documents/notes?creator=bob").await.1), Vec::<&str>::new());

    let (status, exported) = get(at, "/documents/notes/a%2Fb").await;
    assert_eq!(
        (status, &exported["creator"], &exported["id"]),
        (200, &json!("ada"), &json!("a/b"))
    );
    assert_eq!(exported["value"], value["value"]);
    assert_eq!(call(at, "PUT", "/documents/notes/2", &exported).await.0, 201);
    let (_, state) = get(at, "/documents/notes/2/state").await;
    assert_eq!(state, value);
    assert_eq!(call(at, "POST", "/documents/notes/2/copy?to=3", &Value::Null).await.0, 201);
    assert_eq!(get(at, "/documents/notes/3").await.1["creator"], "ada");

    assert_eq!(call(at, "DELETE", "/documents/notes/1", &Value::Null).await.0, 200);
    let (status, gone) = get(at, "/documents/notes/1").await;
    assert_eq!((status, &gone["error"]), (410, &json!("deleted")));
    assert_eq!(ids(&get(at, "/documents/notes?deleted=true").await.1), ["1"]);
    let purged = call(at, "DELETE", "/documents?creator=ada&purge=true", &Value::Null).await;
    assert_eq!(purged, (200, json!({"purged": 5})));
    assert_eq!(get(at, "/documents/notes/1").await.0, 404);
    assert_eq!(call(at, "DELETE", "/documents/notes/1?purge", &Value::Null).await.0, 404);
    let (status, gone) = call(at, "PUT", "/documents/notes/1", &value).await;
    assert_eq!((status, &gone["error"]), (410, &json!("purged")), "devices may still have it");
    assert_eq!(call(at, "PUT", "/documents/notes/4", &value).await.0, 201);
    assert_eq!(call(at, "DELETE", "/documents/notes/4?purge", &Value::Null).await.0, 200);
}

#[tokio::test]
async fn former_states_are_looked_at_named_and_restored() {
    let server = start(false, ControlAccess::new(SECRET)).await;
    let at = server.address();
    let none = Value::Null;
    call(at, "PUT", "/documents/notes/1", &json!({"value": {"title": "Tea"}})).await;
    assert_eq!(call(at, "POST", "/documents/notes/1/versions?name=draft", &none).await.0, 201);
    let (status, taken) = call(at, "POST", "/documents/notes/1/versions?name=draft", &none).await;
    assert_eq!((status, &taken["error"]), (409, &json!("nameTaken")));
    let ops = json!([{"op": "set", "path": "/title", "value": "Coffee"}]);
    let edit = json!({"type": "notes/edit", "id": "1", "ops": ops});
    let edit = logux::Action::new(edit.to_string()).expect("an action");
    server.handle().process(edit).await.expect("processed");

    let (_, draft) = get(at, "/documents/notes/1/state?version=draft").await;
    assert_eq!(draft["value"], json!({"title": "Tea"}));
    let (_, changes) = get(at, "/documents/notes/1/changes?from=version:draft").await;
    assert_eq!(changes["changes"][0]["path"], "/title", "{changes}");
    let (_, history) = get(at, "/documents/notes/1/history?limit=1").await;
    assert_eq!(history["entries"][0]["type"], "notes/edit");
    assert_eq!(history["versions"][0]["name"], "draft");
    let older = format!("/documents/notes/1/history?before={}", history["before"]);
    assert_eq!(get(at, &older).await.1["entries"][0]["type"], "notes/create");
    let restore = "/documents/notes/1/restore?version=draft";
    assert_eq!(call(at, "POST", restore, &none).await, (200, json!({})));
    assert_eq!(get(at, "/documents/notes/1/state").await.1["value"], json!({"title": "Tea"}));
    assert_eq!(get(at, "/documents/notes/1/state?version=none").await.0, 404);
    let name = "/documents/notes/1/versions?name=draft";
    assert_eq!(call(at, "DELETE", name, &none).await, (200, json!({})));
    assert_eq!(call(at, "DELETE", name, &none).await.0, 404);
    assert_eq!(get(at, "/documents/notes/1/history").await.1["versions"], json!([]));
}

#[tokio::test]
async fn texts_have_authors_at_each_moment() {
    let server = start(false, ControlAccess::new(SECRET)).await;
    let at = server.address();
    let ops = json!([{"op": "insertText", "path": "/body", "first": 0, "text": "Buy milk"}]);
    assert_eq!(call(at, "PUT", "/documents/notes/1", &json!({ "ops": ops })).await.0, 201);
    call(at, "POST", "/documents/notes/1/versions?name=draft", &Value::Null).await;
    let ops = json!([{"op": "insertText", "path": "/body", "first": 8, "text": "!"}]);
    let edit = json!({"type": "notes/edit", "id": "1", "ops": ops});
    let edit = logux::Action::new(edit.to_string()).expect("an action");
    server.handle().process(edit).await.expect("processed");
    let text = |answer: &Value| -> String {
        let authors = answer["authors"].as_array().expect("a list");
        authors.iter().filter_map(|part| part["text"].as_str()).collect()
    };
    let (status, now) = get(at, "/documents/notes/1/authors?path=/body").await;
    assert_eq!((status, &now["path"]), (200, &json!("/body")));
    assert_eq!(text(&now).len(), "Buy milk!".len());
    let part = &now["authors"][0];
    assert!(part["node"].as_str().is_some_and(|node| node.starts_with("server:")), "{part}");
    assert!(part["time"].is_u64() && part.get("user").is_none(), "{part}");
    let (_, draft) = get(at, "/documents/notes/1/authors?path=/body&version=draft").await;
    assert_eq!(text(&draft), "Buy milk");
}

#[tokio::test]
async fn wrong_requests_are_answered_with_what_is_expected() {
    let server = start(false, ControlAccess::new(SECRET)).await;
    let at = server.address();
    let none = Value::Null;
    for (method, path, status, reason) in [
        ("GET", "/documents/none", 404, "unknownKind"),
        ("GET", "/documents/notes/1/authors?path=/body", 404, "notFound"),
        ("GET", "/documents/notes/1/authors?path=body", 400, "wrongFormat"),
        ("DELETE", "/documents/notes/1/versions?name=a", 404, "notFound"),
        ("DELETE", "/documents/notes/1/versions", 400, "wrongFormat"),
        ("DELETE", "/documents/notes/1/state", 405, "wrongMethod"),
        ("GET", "/documents/notes/1", 404, "notFound"),
        ("GET", "/documents/notes/1/history", 404, "notFound"),
        ("GET", "/documents/notes/1/other", 404, "notFound"),
        ("GET", "/documents/notes/a/b/c", 404, "notFound"),
        ("GET", "/documents/notes/%FF", 400, "wrongFormat"),
        ("GET", "/documents/notes//state", 400, "wrongFormat"),
        ("GET", "/documents/notes?limit=x", 400, "wrongFormat"),
        ("GET", "/documents/notes?after=x", 400, "wrongFormat"),
        ("GET", "/documents/notes/1/state?at=1&position=2", 400, "wrongFormat"),
        ("GET", "/documents/notes/1/changes?from=draft", 400, "wrongFormat"),
        ("POST", "/documents/notes/1/restore", 400, "wrongFormat"),
        ("POST", "/documents/notes/1/copy?to=2", 404, "notFound"),
        ("POST", "/documents/notes/1/versions?name=a", 404, "notFound"),
        ("PUT", "/documents/notes/1", 400, "wrongFormat"),
        ("DELETE", "/documents/notes/1", 404, "notFound"),
        ("DELETE", "/documents", 400, "wrongFormat"),
        ("PATCH", "/documents/notes/1", 405, "wrongMethod"),
        ("POST", "/documents", 405, "wrongMethod"),
    ] {
        let (found, answer) = call(at, method, path, &none).await;
        assert_eq!((found, &answer["error"]), (status, &json!(reason)), "{method} {path}");
        assert!(answer["message"].is_string());
    }
    let unfit = json!({"ops": [{"op": "nothing"}]});
    let (status, answer) = call(at, "PUT", "/documents/notes/1", &unfit).await;
    assert_eq!((status, &answer["error"]), (400, &json!("wrongFormat")));
}

#[tokio::test]
async fn only_the_secret_or_development_gives_access() {
    let server = start(false, ControlAccess::new(SECRET)).await;
    let at = server.address();
    let (status, text) = http(at, "GET", "/documents").await;
    assert_eq!(status, 401, "{text}");
    for wrong in ["Bearer wrong", "Basic abc", "Bearer wrong", "Bearer other"] {
        let sent = http_with(at, "GET", "/documents", &[("Authorization", wrong)], "").await;
        assert_eq!(sent.0, 401);
    }
    assert_eq!(get(at, "/documents").await.0, 429, "three wrong secrets block the address");

    let far = ControlAccess::new(SECRET).mask("10.0.0.0/8").expect("a mask");
    let server = start(false, far).await;
    assert_eq!(get(server.address(), "/documents").await.0, 403);

    let server = start(false, ControlAccess::development()).await;
    assert_eq!(http(server.address(), "GET", "/documents").await.0, 401);
    assert_eq!(get(server.address(), "/documents").await.0, 401, "there is no secret");

    let server = start(true, ControlAccess::development()).await;
    let at = server.address();
    assert_eq!(http(at, "GET", "/documents").await.0, 200);
    for (name, value) in [
        ("Origin", "http://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("X-Forwarded-For", "10.0.0.1"),
    ] {
        let headers = [(name, value)];
        let copy = "/documents/notes/1/copy?to=2";
        assert_eq!(http_with(at, "POST", copy, &headers, "").await.0, 401, "{name}");
    }
}
