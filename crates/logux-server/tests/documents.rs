//! Two people edit one document through a real server, over real sockets.

use std::{sync::Arc, time::Duration};

use logux::{
    Action,
    crdt::{Crdt, List, ListError, ListOp, Shared},
};
use logux_client::{Client, DocumentHandle, SyncError};
use logux_net::WebSocketConnector;
use logux_server::{RunningServer, Server};
use serde_json::json;
use tokio::{sync::Notify, time::timeout};

const PATIENCE: Duration = Duration::from_secs(20);

type Tasks = DocumentHandle<Shared<List>>;

/// A server that refuses what begins with a bang, when it is told to.
async fn server(refuse: Arc<Notify>) -> RunningServer {
    Server::builder_with(refuse)
        .auth(|_| async { Ok(true) })
        .channel("tasks", |on| on.access(|_| async { Ok(true) }))
        .action_type("tasks", |on| {
            on.access(|context| async move {
                let allowed = !context.action().as_json().contains("\"!");
                if !allowed {
                    context.state().notified().await;
                }
                Ok(allowed)
            })
            .resend(|_| async { Ok("tasks") })
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server")
}

async fn tasks(server: &RunningServer, user: &str) -> Tasks {
    let connector =
        WebSocketConnector::new(&format!("ws://{}", server.address())).expect("an address");
    let tasks =
        Client::builder(user).expect("a user").start_document(connector, Shared::new("tasks"));
    tasks.client().subscribe("tasks").await.expect("everybody may");
    tasks
}

async fn edit(
    tasks: &Tasks,
    make: impl FnOnce(&List, &logux::ActionId) -> Result<ListOp, ListError> + Send + 'static,
) -> Result<(), SyncError> {
    let edit = tasks.edit(move |list, id| -> Option<Action> {
        Shared::<List>::new("tasks").action(&make(list, id).expect("an index that is there")).ok()
    });
    timeout(PATIENCE, edit).await.expect("an answer")
}

async fn see(tasks: &mut Tasks, wanted: serde_json::Value) {
    let seen = timeout(PATIENCE, tasks.until(|list| list.to_json() == wanted)).await;
    assert!(seen.is_ok(), "{wanted} is not seen, but {:?}", tasks.state());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_edit_one_list() {
    let server = server(Arc::default()).await;
    let (mut ada, mut grace) = (tasks(&server, "ada").await, tasks(&server, "grace").await);
    edit(&ada, |list, id| list.push(json!("milk"), id)).await.expect("done");
    see(&mut grace, json!(["milk"])).await;

    // Both at once.
    let (one, other) = tokio::join!(
        edit(&ada, |list, id| list.push(json!("bread"), id)),
        edit(&grace, |list, _| list.set(0, json!("oat milk")))
    );
    assert!(one.is_ok() && other.is_ok());
    see(&mut ada, json!(["oat milk", "bread"])).await;
    see(&mut grace, json!(["oat milk", "bread"])).await;

    edit(&grace, |list, id| list.shift(1, 0, id)).await.expect("done");
    see(&mut ada, json!(["bread", "oat milk"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_taken_back() {
    let refuse = Arc::new(Notify::new());
    let server = server(refuse.clone()).await;
    let mut ada = tasks(&server, "ada").await;
    edit(&ada, |list, id| list.push(json!("milk"), id)).await.expect("done");
    let mut watching = ada.clone();
    let (refused, ()) = tokio::join!(edit(&ada, |list, _| list.set(0, json!("!"))), async {
        // It shows at once, and goes back to what was agreed upon.
        see(&mut watching, json!(["!"])).await;
        refuse.notify_one();
    });
    assert!(matches!(refused, Err(SyncError::Undone(undo)) if undo.reason == "denied"));
    see(&mut ada, json!(["milk"])).await;
}
