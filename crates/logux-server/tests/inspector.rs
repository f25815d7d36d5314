//! In development, those who may see who is connected, which channels there are, and what became of each action. Nobody else does.

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

async fn news(server: &RunningServer, after: u64) -> serde_json::Value {
    let (head, body) = get(server.address(), &format!("/inspector.json?after={after}"), "").await;
    assert!(head.starts_with("HTTP/1.1 200") && !body.contains("-secret"), "{head}\n{body}");
    serde_json::from_str(&body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_channels_and_actions_with_their_outcome() {
    let server = server(|_| {}).await;
    let mut reader = open(&server, "10:a:tab", "right").await;
    sync(&mut reader, 1, r#"{"type":"logux/subscribe","channel":"rooms/1"}"#).await;
    read(&mut reader, "logux/processed").await;
    let mut author = open(&server, "20:b:tab", "right").await;
    sync(&mut author, 1, r#"{"type":"say","text":"Hi"}"#).await;
    read(&mut author, "logux/processed").await;
    sync(&mut author, 2, r#"{"type":"broken"}"#).await;
    read(&mut author, "logux/undo").await;

    let seen = news(&server, 0).await;
    assert_eq!(seen["connected"], 2);
    let client =
        |node: &str| seen["clients"].as_array()?.iter().find(|client| client["node"] == node);
    assert_eq!(
        client("10:a:tab").expect("it is there")["channels"],
        serde_json::json!(["rooms/1"])
    );
    let author_seen = client("20:b:tab").expect("it is there");
    assert!(author_seen["remote"].as_str().is_some_and(|remote| remote.starts_with("127.0.0.1:")));
    assert_eq!(author_seen["subprotocol"], "3");
    let action = |kind: &str| {
        let actions = seen["actions"].as_array().expect("a list");
        actions.iter().find(|action| action["type"] == kind).expect("it came").clone()
    };
    let said = action("say");
    assert_eq!((&said["outcome"], &said["clients"]), (&"processed".into(), &1.into()));
    assert_eq!(said["action"], r#"{"type":"say","text":"Hi"}"#);
    assert!(said["took"].as_f64() > Some(0.0) && said["waited"].as_f64().is_some(), "{said}");
    let broken = action("broken");
    assert_eq!((&broken["outcome"], &broken["reason"]), (&"undone".into(), &"error".into()));
    assert_eq!(broken["errors"], serde_json::json!(["no disk"]));
    let told = |event: &str| {
        seen["events"].as_array().is_some_and(|all| all.iter().any(|told| told["event"] == event))
    };
    assert!(told("authenticated") && told("subscribed") && !told("unauthenticated"));

    // Only what is new the next time.
    let change = seen["change"].as_u64().expect("a number");
    assert_eq!(news(&server, change).await["actions"], serde_json::json!([]));
    sync(&mut author, 3, r#"{"type":"say","text":"Again"}"#).await;
    read(&mut reader, "Again").await;
    let newer = news(&server, change).await;
    assert_eq!(newer["actions"].as_array().map(Vec::len), Some(1), "{newer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_brings_everything_along() {
    let server = server(|_| {}).await;
    let (head, page) = get(server.address(), "/", "").await;
    assert!(head.contains("text/html") && head.contains("default-src 'none'"), "{head}");
    assert!(page.contains("Logux inspector") && !page.contains("://"), "nothing from elsewhere");
    let files = [
        ("/inspector.js", "text/javascript"),
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
    assert!(!page.is_empty(), "there is a plain page");
    let mut hidden = !page.contains("inspector");
    for path in ["/inspector.json", "/inspector.js", "/metrics"] {
        hidden &= get(server.address(), path, headers).await.0.starts_with("HTTP/1.1 404");
    }
    hidden
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_sees_it() {
    let production = server(|config| config.development = false).await;
    assert!(is_hidden(&production, "").await);

    let elsewhere =
        server(|config| config.inspector_audience = "10.0.0.0/8".parse().expect("a network")).await;
    assert!(is_hidden(&elsewhere, "").await);

    let development = server(|_| {}).await;
    assert!(!is_hidden(&development, "").await);
    assert!(!is_hidden(&development, "Host: localhost:1\r\n").await);
    assert!(
        is_hidden(&development, "Host: evil.example\r\n").await,
        "a page that lets its name point here"
    );
}
