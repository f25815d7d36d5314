//! Two users edit one document through a real server, over real sockets.

use std::{sync::Arc, time::Duration};

use logux::{
    Action, ActionId,
    action::DocumentOperation,
    action::logux::Undo,
    crdt::{Crdt, List, ListError, ListOp, Shared},
    server::{LogQuery, Retention, SettlementRule},
};
use logux_client::{Client, DocumentHandle, SyncError};
use logux_net::WebSocketConnector;
use logux_server::{Builder, MemoryDocuments, RunningServer, Server};
use logux_sqlite::Database;
use serde_json::json;
use tokio::{sync::Notify, time::timeout};

const TIMEOUT: Duration = Duration::from_secs(20);

type Tasks = DocumentHandle<Shared<List>>;

fn shared() -> Shared<List> {
    Shared::new("lists", "1")
}

/// Builds a server that refuses actions with a value that begins with `!`, after a notification.
/// The latest two edits of a list stay open.
fn lists(refuse: Arc<Notify>) -> Builder<Arc<Notify>> {
    Server::builder_with(refuse).auth(|_| async { Ok(true) }).documents::<List>(
        "lists",
        MemoryDocuments::new(),
        |kind| {
            kind.access(|request| async move {
                let is_refused = request.context().action().as_json().contains("\"!");
                if is_refused && request.operation() == DocumentOperation::Edit {
                    request.context().state().notified().await;
                }
                Ok(!is_refused)
            })
            .created_by_edits()
            .undoable()
            .settlement(SettlementRule { open_actions: 2, ..SettlementRule::default() })
        },
    )
}

async fn server(refuse: Arc<Notify>) -> RunningServer {
    lists(refuse).listen(([127, 0, 0, 1], 0).into()).await.expect("a server")
}

async fn tasks(server: &RunningServer, user: &str) -> Tasks {
    let connector =
        WebSocketConnector::new(&format!("ws://{}", server.address())).expect("an address");
    let client = Client::builder(user).expect("a user").start(connector);
    let tasks = client.document::<List>("lists", "1").await.expect("open");
    tasks.client().subscribe("lists/1").await.expect("subscribed");
    tasks
}

async fn edit(
    tasks: &Tasks,
    operation: impl FnOnce(&List, &ActionId) -> Result<ListOp, ListError> + Send + 'static,
) -> Result<(), SyncError> {
    let edit = tasks.edit(move |list, id| -> Option<Action> {
        shared().action(&[operation(list, id).expect("a valid index")]).ok()
    });
    timeout(TIMEOUT, edit).await.expect("an answer")
}

async fn wait_for_state(tasks: &mut Tasks, expected: serde_json::Value) {
    let reached = timeout(TIMEOUT, tasks.until(|list| list.to_json() == expected)).await;
    assert!(reached.is_ok(), "expected {expected}, found {:?}", tasks.state());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_edit_one_list() {
    let server = server(Arc::default()).await;
    let (mut ada, mut grace) = (tasks(&server, "ada").await, tasks(&server, "grace").await);
    edit(&ada, |list, id| list.push_op(json!("milk"), id)).await.expect("processed");
    wait_for_state(&mut grace, json!(["milk"])).await;

    // Concurrent edits.
    let (one, other) = tokio::join!(
        edit(&ada, |list, id| list.push_op(json!("bread"), id)),
        edit(&grace, |list, id| list.set_op(0, json!("oat milk"), id))
    );
    assert!(one.is_ok() && other.is_ok());
    wait_for_state(&mut ada, json!(["oat milk", "bread"])).await;
    wait_for_state(&mut grace, json!(["oat milk", "bread"])).await;

    edit(&grace, |list, id| list.move_op(1, 0, id)).await.expect("processed");
    wait_for_state(&mut ada, json!(["bread", "oat milk"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_edit_is_undone() {
    let refuse = Arc::new(Notify::new());
    let server = server(refuse.clone()).await;
    let mut ada = tasks(&server, "ada").await;
    edit(&ada, |list, id| list.push_op(json!("milk"), id)).await.expect("processed");
    let mut observer = ada.clone();
    let (refused, ()) =
        tokio::join!(edit(&ada, |list, id| list.set_op(0, json!("!"), id)), async {
            // The edit is visible immediately, until the server undoes it.
            wait_for_state(&mut observer, json!(["!"])).await;
            refuse.notify_one();
        });
    assert!(matches!(refused, Err(SyncError::Undone(undo)) if undo.reason == "denied"));
    wait_for_state(&mut ada, json!(["milk"])).await;
}

/// Returns the undo of an action.
fn undo(id: &ActionId) -> Action {
    let text = format!(r#"{{"type":"logux/undo","id":"{id}","reason":"undo"}}"#);
    Action::new(text).expect("an action")
}

/// Returns the id of the next action of another client, or of the server, with a type and with an
/// id in `id`.
async fn next_id(actions: &mut logux_client::Actions, kind: &str, id: &str) -> ActionId {
    loop {
        let entry = timeout(TIMEOUT, actions.next()).await.expect("in time").expect("an action");
        if entry.action.kind() == kind && entry.action.str_field("id").as_deref() == Some(id) {
            return entry.meta.id;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_are_undone_and_redone_until_a_snapshot_settles_them() {
    let server = server(Arc::default()).await;
    let (mut ada, mut grace) = (tasks(&server, "ada").await, tasks(&server, "grace").await);
    let mut received = grace.client().actions();
    edit(&ada, |list, id| list.push_op(json!("milk"), id)).await.expect("processed");
    let milk = next_id(&mut received, "lists/edit", "1").await;
    edit(&ada, |list, id| list.push_op(json!("bread"), id)).await.expect("processed");
    let bread = next_id(&mut received, "lists/edit", "1").await;

    let denied = grace.client().sync(undo(&bread)).await;
    assert!(matches!(denied, Err(SyncError::Undone(undo)) if undo.reason == "denied"));
    wait_for_state(&mut grace, json!(["milk", "bread"])).await;
    ada.client().sync(undo(&bread)).await.expect("processed");
    let undone = next_id(&mut received, "logux/undo", &bread.to_string()).await;
    wait_for_state(&mut grace, json!(["milk"])).await;
    wait_for_state(&mut ada, json!(["milk"])).await;
    let mut late = tasks(&server, "linus").await;
    wait_for_state(&mut late, json!(["milk"])).await;
    ada.client().sync(undo(&undone)).await.expect("processed");
    for replica in [&mut ada, &mut grace, &mut late] {
        wait_for_state(replica, json!(["milk", "bread"])).await;
    }

    // With the undo and the redo, the document has four actions, so that the older two are settled.
    next_id(&mut received, "lists/snapshot", "1").await;
    let settled = Undo {
        id: milk.to_string(),
        reason: "undo".into(),
        action: Some(shared().action(&[]).expect("an action")),
        extra: Vec::new(),
    };
    let refused = ada.client().sync(settled.to_action().expect("an action")).await;
    assert!(matches!(refused, Err(SyncError::Undone(undo)) if undo.reason == "settled"));
    for replica in [&mut ada, &mut grace, &mut late] {
        wait_for_state(replica, json!(["milk", "bread"])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_the_same_after_a_restart_of_the_server_and_for_newcomers() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("server.db");
    let start = || async {
        let database = Database::open(&path).expect("a database");
        let server = lists(Arc::default()).store(database.store());
        server.listen(([127, 0, 0, 1], 0).into()).await.expect("a server")
    };
    let server = start().await;
    let (ada, grace) = (tasks(&server, "ada").await, tasks(&server, "grace").await);
    let mut received = grace.client().actions();
    let mut last = None;
    for name in ["a", "b", "c", "d", "e"] {
        edit(&ada, move |list, id| list.push_op(json!(name), id)).await.expect("processed");
        last = Some(next_id(&mut received, "lists/edit", "1").await);
    }
    ada.client().sync(undo(&last.expect("an edit"))).await.expect("processed");
    let expected = json!(["a", "b", "c", "d"]);
    assert_eq!(ada.state().to_json(), expected);
    // Everybody leaves.
    drop((ada, grace));
    server.shutdown().await.expect("stopped");
    let server = start().await;
    let mut newcomer = tasks(&server, "linus").await;
    wait_for_state(&mut newcomer, expected.clone()).await;
    // A client that has the document already receives each further edit once.
    edit(&newcomer, |list, id| list.push_op(json!("f"), id)).await.expect("processed");
    let mut other = tasks(&server, "ken").await;
    wait_for_state(&mut other, json!(["a", "b", "c", "d", "f"])).await;
    let query = LogQuery::kept_for(&Retention::forever("lists/1"));
    let kept = server.handle().log_page(query).await.expect("a page").entries;
    assert!(kept.iter().any(|entry| entry.action.kind() == "lists/snapshot"), "{kept:?}");
    assert!(kept.len() <= 5, "{kept:?}");
    server.shutdown().await.expect("stopped");
}
