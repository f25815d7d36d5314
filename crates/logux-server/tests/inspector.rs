//! In development, the inspector shows connected clients, channels, and outcomes of actions, but
//! only to allowed addresses.

#[path = "support/raw.rs"]
mod raw;

use logux_server::{Config, HandlerError, RunningServer, Server};
use raw::{get, open, read, sync};

async fn server(config: impl FnOnce(&mut Config)) -> RunningServer {
    Server::builder()
        .config(|all| {
            all.development = true;
            config(all);
        })
        .auth(|login| async move { Ok(login.token.as_deref() == Some("right")) })
        .channel("rooms/:id", |on| on.access(|_| async { Ok(true) }))
        .action_type("say", |on| {
            on.access(|_| async { Ok(true) }).resend(|_| async { Ok("rooms/1") })
        })
        .action_type("broken", |on| on.access(|_| async { Err(HandlerError::failed("no disk")) }))
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server")
}

async fn changes(server: &RunningServer, after: u64) -> serde_json::Value {
    let (head, body) = get(server.address(), &format!("/inspector.json?after={after}"), "").await;
    assert!(head.starts_with("HTTP/1.1 200") && !body.contains("-secret"), "{head}\n{body}");
    serde_json::from_str(&body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_clients_channels_and_outcomes_of_actions() {
    let server = server(|_| {}).await;
    let mut reader = open(&server, "10:a:tab", "right").await;
    sync(&mut reader, 1, r#"{"type":"logux/subscribe","channel":"rooms/1"}"#).await;
    read(&mut reader, "logux/processed").await;
    let mut author = open(&server, "20:b:tab", "right").await;
    sync(&mut author, 1, r#"{"type":"say","text":"Hi"}"#).await;
    read(&mut author, "logux/processed").await;
    sync(&mut author, 2, r#"{"type":"broken"}"#).await;
    read(&mut author, "logux/undo").await;

    let state = changes(&server, 0).await;
    assert_eq!(state["connected"], 2);
    let client =
        |node: &str| state["clients"].as_array()?.iter().find(|client| client["node"] == node);
    assert_eq!(client("10:a:tab").expect("the client")["channels"], serde_json::json!(["rooms/1"]));
    let author_json = client("20:b:tab").expect("the client");
    assert!(author_json["remote"].as_str().is_some_and(|remote| remote.starts_with("127.0.0.1:")));
    assert_eq!(author_json["subprotocol"], "3");
    let action = |kind: &str| {
        let actions = state["actions"].as_array().expect("a list");
        actions.iter().find(|action| action["type"] == kind).expect("the action").clone()
    };
    let say = action("say");
    assert_eq!((&say["outcome"], &say["clients"]), (&"processed".into(), &1.into()));
    assert_eq!(say["action"], r#"{"type":"say","text":"Hi"}"#);
    assert!(say["took"].as_f64() > Some(0.0) && say["waited"].as_f64().is_some(), "{say}");
    let broken = action("broken");
    assert_eq!((&broken["outcome"], &broken["reason"]), (&"undone".into(), &"error".into()));
    assert_eq!(broken["errors"], serde_json::json!(["no disk"]));
    // Each action is linked with its answer.
    for (action, kind) in [(&say, "logux/processed"), (&broken, "logux/undo")] {
        let actions = state["actions"].as_array().expect("a list");
        let answer = actions.iter().find(|other| other["id"] == action["answer"]);
        let answer = answer.expect("the answer");
        assert_eq!((&answer["type"], &answer["answers"]), (&kind.into(), &action["id"]));
    }
    let has_event = |event: &str| {
        state["events"]
            .as_array()
            .is_some_and(|all| all.iter().any(|has_event| has_event["event"] == event))
    };
    assert!(has_event("authenticated") && has_event("subscribed") && !has_event("unauthenticated"));

    // The next request returns only changes.
    let change = state["change"].as_u64().expect("a number");
    assert_eq!(changes(&server, change).await["actions"], serde_json::json!([]));
    sync(&mut author, 3, r#"{"type":"say","text":"Again"}"#).await;
    read(&mut reader, "Again").await;
    let newer = changes(&server, change).await;
    let actions = newer["actions"].as_array().expect("a list");
    let answered = actions.iter().filter(|action| action["answers"].is_null());
    assert_eq!(answered.count(), 1, "{newer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_records_with_their_fields() {
    let server = Server::builder()
        .config(|config| config.development = true)
        .auth(|_| async { Ok(true) })
        .action_type(regex::Regex::new("^tasks/").expect("an expression"), |on| on.own())
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let record = |verb: &str, fields: serde_json::Value| {
        let kind = format!("tasks/{verb}");
        serde_json::json!({"type": kind, "id": "<1>", "fields": fields}).try_into().expect("JSON")
    };
    let created = record("created", serde_json::json!({"title": "<b>Tea</b>", "done": false}));
    server.handle().process(created).await.expect("processed");
    let state = changes(&server, 0).await;
    let change = state["change"].as_u64().expect("a number");
    let expected = serde_json::json!({"title": "\"<b>Tea</b>\"", "done": "false"});
    let shown = &state["records"][0];
    assert_eq!((&shown["collection"], &shown["id"]), (&"tasks".into(), &"<1>".into()));
    assert_eq!((&shown["fields"], &shown["is_deleted"]), (&expected, &false.into()));
    assert_eq!(shown["action"], state["actions"][0]["id"]);

    let changed = record("changed", serde_json::json!({"done": true}));
    server.handle().process(changed).await.expect("processed");
    let newer = changes(&server, change).await;
    assert_eq!(newer["records"][0]["fields"]["done"], "true");
    assert_eq!(newer["records"][0]["fields"]["title"], "\"<b>Tea</b>\"");
    let change = newer["change"].as_u64().expect("a number");
    assert_eq!(changes(&server, change).await["records"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_names_its_columns_and_writes_text_only() {
    let server = server(|_| {}).await;
    let (_, page) = get(server.address(), "/", "").await;
    for view in ["actions", "records", "documents", "clients", "channels", "events"] {
        let section = page.split(&format!("<section id=\"{view}\"")).nth(1).expect("a section");
        let head = section.split("<ol").next().expect("the part before the list");
        assert!(head.contains("class=\"head\"") && head.matches("<span").count() >= 3, "{view}");
    }
    // A link leads to a place below the bar that stays at the top.
    let (_, style) = get(server.address(), "/inspector.css", "").await;
    for target in ["section {", ".list > li {"] {
        let rules = style.split(target).skip(1).map(|rest| rest.split('}').next());
        assert!(
            rules.flatten().any(|rule| rule.contains("scroll-margin-top:")),
            "{target} is not hidden under the bar"
        );
    }
    // Content of clients is never parsed as HTML.
    for path in ["/inspector.js", "/inspector-documents.js"] {
        let (_, script) = get(server.address(), path, "").await;
        for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
        {
            assert!(!script.contains(forbidden), "{path}: {forbidden}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_needs_no_other_origin() {
    let server = server(|_| {}).await;
    let (head, page) = get(server.address(), "/", "").await;
    assert!(head.contains("text/html") && head.contains("default-src 'none'"), "{head}");
    assert!(page.contains("Logux inspector") && !page.contains("://"), "no other origins");
    let files = [
        ("/inspector.js", "text/javascript"),
        ("/inspector-documents.js", "text/javascript"),
        ("/inspector.css", "text/css"),
        ("/metrics", "openmetrics"),
    ];
    for (path, kind) in files {
        let (head, body) = get(server.address(), path, "").await;
        assert!(
            head.starts_with("HTTP/1.1 200") && head.contains(kind) && !body.is_empty(),
            "{path}: {head}"
        );
    }
}

async fn is_hidden(server: &RunningServer, headers: &str) -> bool {
    let (_, page) = get(server.address(), "/", headers).await;
    assert!(!page.is_empty(), "there is a page without the inspector");
    let mut hidden = !page.contains("inspector");
    for path in [
        "/inspector.json",
        "/inspector.js",
        "/inspector-documents.js",
        "/inspector/documents.json",
        "/metrics",
    ] {
        hidden &= get(server.address(), path, headers).await.0.starts_with("HTTP/1.1 404");
    }
    hidden
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_hidden_in_production_and_from_other_addresses_and_hosts() {
    let production = server(|config| config.development = false).await;
    assert!(is_hidden(&production, "").await);

    let other_network =
        server(|config| config.inspector_access = "10.0.0.0/8".parse().expect("a network")).await;
    assert!(is_hidden(&other_network, "").await);

    let development = server(|_| {}).await;
    assert!(!is_hidden(&development, "").await);
    assert!(!is_hidden(&development, "Host: localhost:1\r\n").await);
    assert!(
        is_hidden(&development, "Host: evil.example\r\n").await,
        "a page whose domain name points to this server"
    );
    assert!(
        is_hidden(&development, "X-Forwarded-For: 203.0.113.7\r\n").await,
        "the visitors of a proxy on this machine that was not named"
    );
}
