//! The metrics of a server, and who can read them.

#[path = "support/raw.rs"]
mod raw;

use futures_util::SinkExt as _;
use logux_server::{Config, HandlerError, RunningServer, Server};
use raw::{get, open, read, sync};

async fn server(config: impl FnOnce(&mut Config)) -> RunningServer {
    Server::builder()
        .config(config)
        .auth(|login| async move { Ok(login.token.as_deref() == Some("right")) })
        .channel("rooms/:id", |on| on.access(|_| async { Ok(true) }))
        .action_type("say", |on| {
            on.access(|_| async { Ok(true) }).resend(|_| async { Ok("rooms/1") })
        })
        .action_type("late", |on| on.access(|_| async { Err(HandlerError::undo("tooLate")) }))
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server")
}

/// Returns the value of a metric by its name with labels.
fn value(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_has_metrics() {
    let server = server(|config| config.metrics_address = Some(([127, 0, 0, 1], 0).into())).await;
    let address = server.metrics_address().expect("an address");

    let mut wrong = open(&server, "10:a:tab", "wrong").await;
    read(&mut wrong, "wrong-credentials").await;
    let mut reader = open(&server, "10:a:tab", "right").await;
    sync(&mut reader, 1, r#"{"type":"logux/subscribe","channel":"rooms/1"}"#).await;
    read(&mut reader, "logux/processed").await;
    let mut author = open(&server, "20:b:tab", "right").await;
    sync(&mut author, 1, r#"{"type":"say"}"#).await;
    read(&mut author, "logux/processed").await;
    read(&mut reader, r#"{"type":"say"}"#).await;
    for (sequence, action) in
        [(2, r#"{"type":"late"}"#), (3, r#"{"type":"made-up"}"#), (4, r#"{"type":"forged"}"#)]
    {
        sync(&mut author, sequence, action).await;
        read(&mut author, "logux/undo").await;
    }
    // The client reconnects, and confirms what it has received.
    reader.send(r#"["ping",1]"#.into()).await.expect("sent");
    read(&mut reader, "pong").await;
    drop(author);
    let mut reconnected = open(&server, "20:b:other", "right").await;
    reconnected.send(r#"["ping",1]"#.into()).await.expect("sent");
    read(&mut reconnected, "pong").await;

    // The end of the author's connection and the bookkeeping of a written message come later
    // than what the clients read.
    let is_idle = |text: &str| {
        ["logux_hub_commands_waiting", "logux_outbox_messages"]
            .iter()
            .all(|name| value(text, name) == Some(0.0))
    };
    let (head, text) = loop {
        let (head, text) = get(address, "/metrics", "").await;
        if is_idle(&text) {
            break (head, text);
        }
    };
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains(logux_server::metrics::CONTENT_TYPE),
        "{head}"
    );
    for (name, expected) in [
        ("logux_connections_total", 4.0),
        (r#"logux_logins_total{outcome="welcome"}"#, 3.0),
        (r#"logux_logins_total{outcome="wrongCredentials"}"#, 1.0),
        ("logux_clients", 2.0),
        ("logux_channels", 1.0),
        ("logux_subscriptions", 1.0),
        (r#"logux_actions_total{type="say",outcome="processed"}"#, 1.0),
        (r#"logux_actions_total{type="logux/subscribe",outcome="processed"}"#, 1.0),
        (r#"logux_actions_total{type="late",outcome="undone"}"#, 1.0),
        (r#"logux_actions_total{type="other",outcome="unknownType"}"#, 2.0),
        (r#"logux_action_seconds_count{type="say"}"#, 1.0),
        ("logux_action_wait_seconds_count", 5.0),
        ("logux_action_receivers_count", 1.0),
        ("logux_action_receivers_sum", 1.0),
        ("logux_deliveries_total", 6.0),
        ("logux_actions_running", 0.0),
        ("logux_actions_waiting", 0.0),
        ("logux_hub_commands_waiting", 0.0),
        ("logux_outbox_messages", 0.0),
    ] {
        assert_eq!(value(&text, name), Some(expected), "{name} in {text}");
    }
    for name in
        ["logux_received_bytes_total", "logux_sent_bytes_total", "logux_hub_round_seconds_count"]
    {
        assert!(value(&text, name).is_some_and(|value| value > 5.0), "{name} in {text}");
    }
    assert!(!text.contains("made-up") && !text.contains("-secret"), "{text}");
    assert!(get(address, "/", "").await.0.starts_with("HTTP/1.1 404"));

    server.shutdown().await.expect("a clean shutdown");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "it stops with the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_for_exactly_once_has_metrics() {
    let server = server(|config| config.collect_metrics = true).await;
    let mut socket = open(&server, "10:a:tab", "right").await;
    sync(&mut socket, 1, r#"{"type":"logux/subscribe","channel":"rooms/1"}"#).await;
    read(&mut socket, "logux/processed").await;
    let text = server.handle().metrics().await.expect("metrics");
    assert_eq!(value(&text, "logux_subscriptions_unconfirmed"), Some(1.0), "{text}");
    assert_eq!(value(&text, "logux_remembered_entries"), Some(2.0), "{text}");
    // The client confirms its subscription.
    socket.send(r#"["synced",2]"#.into()).await.expect("sent");
    sync(&mut socket, 2, r#"{"type":"say"}"#).await;
    read(&mut socket, "logux/processed").await;
    let text = server.handle().metrics().await.expect("metrics");
    assert_eq!(value(&text, "logux_subscriptions_unconfirmed"), Some(0.0), "{text}");
    let message = "the action, its answer, and the last answer to a subscription";
    assert_eq!(value(&text, "logux_remembered_entries"), Some(3.0), "{message}: {text}");
    let bytes =
        r#"{"type":"say"}"#.len() + 2 * r#"{"type":"logux/processed","id":"2 10:a:tab 0"}"#.len();
    let remembered = value(&text, "logux_remembered_bytes").expect("a number");
    // The ids contain the time of the connection.
    assert!(remembered >= bytes as f64 && remembered < bytes as f64 + 40.0, "{remembered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_metrics_by_default() {
    let server = server(|_| {}).await;
    assert!(server.metrics_address().is_none() && server.handle().metrics().await.is_none());
    assert!(get(server.address(), "/metrics", "").await.0.starts_with("HTTP/1.1 404"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_can_read_the_metrics() {
    let server = server(|config| config.collect_metrics = true).await;
    let text = server.handle().metrics().await.expect("metrics");
    assert_eq!(value(&text, "logux_clients"), Some(0.0), "{text}");
    assert!(get(server.address(), "/metrics", "").await.0.starts_with("HTTP/1.1 404"));
}
