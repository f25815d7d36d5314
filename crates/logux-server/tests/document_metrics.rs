//! The metrics of documents and of presence, in virtual time.

#[path = "support/documents.rs"]
mod documents;

use std::time::Duration;

use documents::{clients, create, set, subscribe};
use logux::{crdt::Document, server::SettlementRule};
use logux_server::{DocumentLimits, MemoryDocuments, Server, testing::TestServer};
use serde_json::json;

fn start() -> TestServer {
    let builder = Server::builder().config(|config| config.collect_metrics = true);
    let builder = builder.documents::<Document>("notes", MemoryDocuments::new(), |kind| {
        kind.access(|request| async move { Ok(request.user_id() != Some("guest")) })
            .limits(DocumentLimits { max_bytes: 4_000, ..DocumentLimits::default() })
            .settlement(SettlementRule { open_actions: 4, ..SettlementRule::default() })
    });
    TestServer::start(builder).expect("a server")
}

/// Returns the value of a metric by its name with labels.
async fn value(server: &TestServer, name: &str) -> f64 {
    let text = server.handle().metrics().await.expect("metrics");
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let found = found.unwrap_or_else(|| panic!("{name} in {text}"));
    found.parse().expect("a number")
}

#[tokio::test(start_paused = true)]
async fn open_documents_and_settlements_are_counted() {
    let server = start();
    let open = r#"logux_documents_open{kind="notes"}"#;
    let snapshots = r#"logux_document_snapshots_total{kind="notes"}"#;
    let history = r#"logux_document_history_bytes_total{kind="notes"}"#;
    for name in [open, snapshots, history] {
        assert_eq!(value(&server, name).await, 0.0, "{name} begins at zero");
    }
    let ada = server.connect("ada").await.expect("connected");
    for id in ["1", "2"] {
        ada.process(create(id)).await.expect("processed");
    }
    assert_eq!(value(&server, open).await, 2.0);
    for number in 0..20 {
        ada.process(set("1", "/count", number)).await.expect("processed");
        // Snapshots are made in the background.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let made = value(&server, snapshots).await;
    assert!((2.0..=5.0).contains(&made), "{made} snapshots of 21 actions, 4 to 8 of them open");
    let settled = r#"logux_document_settlement_seconds_count{kind="notes"}"#;
    assert!(value(&server, settled).await >= made);
    let edit = set("1", "/count", 10).to_string().len() as f64;
    let bytes = value(&server, history).await;
    assert!(bytes > 10.0 * edit, "{bytes} bytes of the settled edits");
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert_eq!(value(&server, open).await, 0.0, "nobody uses them");
}

#[tokio::test(start_paused = true)]
async fn refused_changes_of_documents_are_counted_by_reason() {
    let server = start();
    let [ada, guest] = clients(&server, ["ada", "guest"]).await;
    ada.process(create("1")).await.expect("processed");
    guest.expect_denied(set("1", "/title", "Tea")).await;
    ada.expect_undo("documentTooLarge", set("1", "/title", "x".repeat(4_000))).await;
    ada.process(json!({"type": "notes/delete", "id": "1"})).await.expect("processed");
    ada.expect_undo("deleted", set("1", "/title", "Tea")).await;
    for outcome in ["denied", "documentTooLarge", "deleted"] {
        let name = format!(r#"logux_actions_total{{type="notes/edit",outcome="{outcome}"}}"#);
        assert_eq!(value(&server, &name).await, 1.0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn presence_is_counted() {
    let server = start();
    let [ada, bob] = clients(&server, ["ada", "bob"]).await;
    ada.process(create("1")).await.expect("processed");
    for client in [&ada, &bob] {
        client.process(subscribe("1")).await.expect("processed");
    }
    let at_ada = ada.client().presence("notes/1");
    let at_bob = bob.client().presence("notes/1");
    at_bob.set(json!({"name": "Bob"})).expect("running");
    // Ada moves 20 times in each of ten seconds, and is sent 5 times.
    for number in 0..200 {
        at_ada.set(json!({"name": "Ada", "at": number})).expect("running");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(value(&server, "logux_present").await, 2.0);
    let batches = value(&server, "logux_presence_batches_total").await;
    assert!((10.0..=55.0).contains(&batches), "{batches} batches in 10 seconds");
    // Without a client that waits itself, all but the latest state of a moment are replaced.
    let before = value(&server, "logux_presence_replaced_total").await;
    for number in 0..5 {
        let state = json!({"name": "Ada", "at": -number});
        let action = json!({"type": "presence/set", "channel": "notes/1", "state": state});
        ada.process(action).await.expect("processed");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let replaced = value(&server, "logux_presence_replaced_total").await;
    assert!(replaced >= before + 3.0, "{replaced} after {before}");
    assert_eq!(value(&server, "logux_presence_replaced_total").await, replaced, "counted once");
    at_ada.leave().expect("running");
    bob.disconnect().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(value(&server, "logux_present").await, 0.0);
}
