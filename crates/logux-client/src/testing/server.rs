//! A server in the same process that answers each action by itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use logux::{
    Action, ActionId, Entry, NodeId, WallTime, action::IdError, sync::Authentication,
    wire::ErrorMessage,
};
use logux_net::{FrameLimits, drive::Clock, pair};
use serde::Serialize;

use crate::{
    Builder, Client,
    testing::{
        client::TestClient, connection::serve, connector::TestConnector, error::ConnectError,
        rules::Refusal, state::ServerState,
    },
};

/// The initial time of a test's clock: 2024-01-01, 00:00 UTC.
pub const START: WallTime = WallTime::from_millis(1_704_067_200_000);

/// A server in the same process, for tests of an application's code. It accepts all clients and
/// answers each action with `logux/processed`, unless it is told otherwise. Clones are the same
/// server.
///
/// Its connections have the real protocol, over in-memory pairs. It keeps all that it receives
/// until the last clone and the last connection are dropped. To test the handlers of a server, use
/// `logux_server::testing`, whose clients are the same.
///
/// ```
/// use logux_client::{Client, SyncError, testing::FakeServer};
/// use serde_json::json;
///
/// /// The code under test.
/// async fn rename(client: &Client, name: &str) -> Result<(), String> {
///     let action = json!({"type": "users/rename", "name": name}).to_string();
///     match client.sync(logux::Action::new(action).map_err(|error| error.to_string())?).await {
///         Err(SyncError::Undone(undo)) => Err(undo.reason),
///         result => result.map_err(|error| error.to_string()),
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // In a test: #[tokio::test(start_paused = true)]
/// let server = FakeServer::start();
/// let client = server.connect("10").await?;
/// let sent = client.sent(rename(client.client(), "Ada")).await;
/// let expected = json!({"type": "users/rename", "name": "Ada"});
/// assert_eq!(sent[0].parse::<serde_json::Value>()?, expected);
///
/// server.undo_next("nameTaken");
/// assert_eq!(rename(client.client(), "Bob").await, Err("nameTaken".into()));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FakeServer {
    state: Arc<ServerState>,
    /// The number of clients that were created for each user.
    clients: Arc<Mutex<HashMap<String, u32>>>,
}

impl FakeServer {
    /// Starts a server. Its clock begins at [`START`] and advances with tokio's, so it stands still
    /// while a task is ready if tokio's is paused.
    ///
    /// # Panics
    /// Never: its node id is valid.
    pub fn start() -> Self {
        let node = NodeId::new("server:fake").expect("a node id");
        let state = Arc::new(ServerState::new(node, Clock::starting_at(START)));
        Self { state, clients: Arc::default() }
    }

    /// Returns its clock, for [`Builder::clock`].
    pub fn clock(&self) -> Clock {
        self.state.clock
    }

    /// Returns the connector of a new client.
    pub fn connector(&self) -> TestConnector {
        let state = self.state.clone();
        TestConnector::new(move || {
            let (client, server) = pair(FrameLimits::default());
            tokio::spawn(serve(state.clone(), server));
            Ok(client)
        })
    }

    /// Returns the builder of a client with the server's clock, to set a store, a token or
    /// encryption, and to pass to [`TestClient::connect`] or [`TestClient::start`]. The first
    /// client of user `10` has the node id `10:1:1`, the second `10:2:1`; pass a whole node id for
    /// another.
    ///
    /// ```
    /// use logux_client::{Encryption, testing::{FakeServer, TestClient}};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = FakeServer::start();
    /// let builder = server.client("10")?.encryption(Encryption::from_secret("secret"));
    /// let client = TestClient::connect(builder, server.connector()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`IdError`] if the id is empty or contains a space.
    pub fn client(&self, id: &str) -> Result<Builder, IdError> {
        let builder = if id.contains(':') {
            Client::builder(id)
        } else {
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            let number = clients.entry(id.to_owned()).or_default();
            *number += 1;
            Client::builder(&format!("{id}:{number}:1"))
        };
        Ok(builder?.clock(self.clock()))
    }

    /// Connects a client of a user.
    ///
    /// # Errors
    /// [`ConnectError`] if the server refuses the client, or its id is invalid.
    pub async fn connect(&self, id: &str) -> Result<TestClient, ConnectError> {
        let builder = self.client(id).map_err(|error| ConnectError::Id(error.to_string()))?;
        TestClient::connect(builder, self.connector()).await
    }

    /// Sets the decision about logins, in place of the former one. Connections that are open stay
    /// open.
    ///
    /// ```
    /// use logux::wire::ErrorMessage;
    /// use logux_client::testing::{ConnectError, FakeServer};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = FakeServer::start();
    /// server.auth(|login| match login.secret.as_deref() {
    ///     Some("good") => Ok(()),
    ///     _ => Err(ErrorMessage::wrong_credentials()),
    /// });
    /// let refused = server.connect("10").await.expect_err("no token");
    /// assert_eq!(refused, ConnectError::Refused("wrong-credentials".into()));
    /// # Ok(()) }
    /// ```
    pub fn auth(
        &self,
        auth: impl Fn(&Authentication) -> Result<(), ErrorMessage> + Send + Sync + 'static,
    ) {
        self.state.lock().rules.auth = Some(Arc::new(auth));
    }

    /// Undoes the next action or subscription that is processed. Several calls undo as many.
    pub fn undo_next(&self, reason: &str) {
        self.state.lock().rules.undo_next(Refusal::new(reason));
    }

    /// As [`undo_next`](Self::undo_next), with the further keys of `extra` in the `logux/undo`.
    ///
    /// # Panics
    /// If `extra` is not a JSON object.
    pub fn undo_next_with(&self, reason: &str, extra: impl Serialize) {
        let refusal = Refusal::with_extra(reason, &extra);
        self.state.lock().rules.undo_next(refusal);
    }

    /// Undoes this action, each time when it is processed. The order of its keys does not matter.
    ///
    /// # Panics
    /// If the value is not an action, a JSON object with a `type`.
    pub fn undo_action(&self, action: impl Serialize, reason: &str) {
        let action = action_of(&action);
        self.state.lock().rules.undo_action(&action, Refusal::new(reason));
    }

    /// As [`undo_action`](Self::undo_action), with the further keys of `extra` in the `logux/undo`.
    ///
    /// # Panics
    /// If the value is not an action, a JSON object with a `type`, or `extra` is not a JSON object.
    pub fn undo_action_with(&self, action: impl Serialize, reason: &str, extra: impl Serialize) {
        let action = action_of(&action);
        let refusal = Refusal::with_extra(reason, &extra);
        self.state.lock().rules.undo_action(&action, refusal);
    }

    /// Answers no action until the future is ready, then those that were received meanwhile, in
    /// order. They are confirmed at once.
    pub async fn freeze_processing<T>(&self, future: impl Future<Output = T>) -> T {
        let frozen = self.state.freeze();
        let result = future.await;
        drop(frozen);
        result
    }

    /// Sets the actions that each new subscriber of a channel receives, in place of former ones.
    ///
    /// # Panics
    /// If one of the values is not an action, a JSON object with a `type`.
    pub fn on_channel<A: Serialize>(&self, channel: &str, actions: impl IntoIterator<Item = A>) {
        let actions = actions.into_iter().map(|action| action_of(&action)).collect();
        self.state.lock().rules.responses.insert(channel.to_owned(), actions);
    }

    /// Sets the channels of the actions of a type: their other subscribers receive them, also those
    /// with a filter. By default, no other client receives an action.
    ///
    /// ```
    /// use logux_client::testing::FakeServer;
    /// use serde_json::json;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = FakeServer::start();
    /// server.resend("posts/add", |_| ["posts"]);
    /// let [author, reader] = [server.connect("10").await?, server.connect("20").await?];
    /// reader.subscribe("posts").await?;
    /// let received = reader.received(author.process(json!({"type": "posts/add"}))).await;
    /// assert_eq!(received[0].as_json(), r#"{"type":"posts/add"}"#);
    /// # Ok(()) }
    /// ```
    pub fn resend<C, N>(&self, kind: &str, channels: impl Fn(&Action) -> C + Send + Sync + 'static)
    where
        C: IntoIterator<Item = N>,
        N: Into<String>,
    {
        let channels =
            move |action: &Action| channels(action).into_iter().map(Into::into).collect();
        self.state.lock().rules.resend(kind, Arc::new(channels));
    }

    /// Keeps the actions that [`resend`](Self::resend) has channels for, from now on: a later
    /// subscriber receives those of its channel, and their undos.
    pub fn keep_actions(&self) {
        self.state.lock().rules.keeps_all = true;
    }

    /// Keeps and resends the actions of the documents of a kind, such as `notes`:
    /// [`Client::document`].
    pub fn documents(&self, kind: &str) {
        self.state.lock().rules.documents(kind);
    }

    /// Keeps and resends the changes of the records of a kind, such as `tasks`:
    /// [`Client::records`]. Each subscriber receives all of them, and its list filters them.
    pub fn records(&self, plural: &str) {
        self.state.lock().rules.records(plural);
    }

    /// Sends an action of the server to all connected clients, and returns its id.
    ///
    /// # Panics
    /// If the value is not an action, a JSON object with a `type`.
    pub fn send_all(&self, action: impl Serialize) -> ActionId {
        self.state.send(&self.state.node, action_of(&action), true)
    }

    /// Sends an action of another user, as if one of the user's devices had added it: to the
    /// subscribers of its channels, or to all connected clients if its type has no channels.
    /// Returns its id.
    ///
    /// # Panics
    /// If the value is not an action, or the user id is invalid.
    pub fn send_as(&self, user: &str, action: impl Serialize) -> ActionId {
        let node = NodeId::new(format!("{user}:other:1")).expect("a user id");
        self.state.send(&node, action_of(&action), false)
    }

    /// Returns the actions that were received from clients, each once, in the order of arrival.
    /// Includes subscriptions and refused actions.
    pub fn received(&self) -> Vec<Entry> {
        self.state.lock().received.clone()
    }

    /// Waits until the received actions fulfil a condition, and returns them. Needs no paused
    /// clock.
    pub async fn received_when(&self, wanted: impl Fn(&[Entry]) -> bool) -> Vec<Entry> {
        let mut changes = self.state.received();
        loop {
            changes.borrow_and_update();
            let received = self.received();
            if wanted(&received) {
                return received;
            }
            // The sender lives as long as `self`.
            let _ = changes.changed().await;
        }
    }

    /// Returns the nodes that are subscribed to a channel, with or without a filter.
    pub fn subscribers(&self, channel: &str) -> Vec<NodeId> {
        self.state.subscribers(channel)
    }
}

fn action_of(value: &impl Serialize) -> Action {
    match Action::from_value(value) {
        Ok(action) => action,
        Err(error) => panic!("expected an action, a JSON object with a `type`: {error}"),
    }
}
