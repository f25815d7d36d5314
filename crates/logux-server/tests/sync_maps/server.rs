//! Servers of this binary, and their clients.

use std::time::Duration;

use logux::{Action, WallTime, sync::State};
use logux_client::{Actions, Client, SyncError};
use logux_net::WebSocketConnector;
use logux_server::{Builder, RunningServer, Server};
use tokio::time::timeout;

pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

pub(super) fn builder() -> Builder {
    Server::builder().auth(|_| async { Ok(true) })
}

pub(super) async fn start(builder: Builder) -> RunningServer {
    builder.listen(([127, 0, 0, 1], 0).into()).await.expect("a server")
}

/// A client with its received actions.
pub(super) struct Device {
    pub(super) client: Client,
    pub(super) actions: Actions,
}

impl Device {
    pub(super) async fn new(server: &RunningServer, user: &str) -> Self {
        let connector =
            WebSocketConnector::new(&format!("ws://{}", server.address())).expect("an address");
        let client = Client::builder(user).expect("a user").start(connector);
        let actions = client.actions();
        assert!(timeout(TIMEOUT, client.reached(State::Synchronized)).await.expect("a connection"));
        Self { client, actions }
    }

    /// Sends an action. Returns `processed`, or the reason of the undo.
    pub(super) async fn sync(&self, json: &str) -> String {
        let action = Action::new(json).expect("an action");
        match timeout(TIMEOUT, self.client.sync(action)).await.expect("an answer") {
            Ok(()) => "processed".to_owned(),
            Err(SyncError::Undone(undo)) => undo.reason,
            Err(other) => format!("{other:?}"),
        }
    }

    /// Sends an action, and asserts that it is processed.
    pub(super) async fn process(&self, json: &str) {
        assert_eq!(self.sync(json).await, "processed", "{json}");
    }

    /// Returns the next action and its time.
    pub(super) async fn next(&mut self) -> (String, WallTime) {
        loop {
            let entry = timeout(TIMEOUT, self.actions.next())
                .await
                .expect("an action")
                .expect("a connection");
            if !entry.action.kind().starts_with("logux/") {
                return (entry.action.as_json().to_owned(), entry.meta.time);
            }
        }
    }

    pub(super) async fn expect_action(&mut self, json: &str) {
        assert_eq!(self.next().await.0, json);
    }
}
