//! The handle of a running client.
//!
//! This file has the actions and what they edit; `connection.rs` the connection and the status,
//! `log.rs` what the log has, `user.rs` the user and the token.

mod connection;
mod log;
mod user;

pub use user::ChangeUserError;

use std::sync::Arc;

use logux::{
    Action, ActionId, NodeId,
    action::logux::Subscribe,
    client::{Subscription, UndoOutcome},
    crdt::{Crdt, Shared as SharedDocument, SyncMaps},
    log::Draft,
    replay::NamedReducer,
};
use tokio::sync::oneshot;

use crate::{
    Actions, Builder, DocumentHandle, EncryptionFailures, PendingAction, Presence, RecordHandle,
    RecordList, ServerMessages, SyncError,
    driver::{Commands, Edit, Make, StepChange, StepResult},
    events::Events,
    opening::OpeningOf,
    pending_action::ended,
    record_list::filter_of,
    shared::{Dropped, Shared},
};

/// A handle of a running client. Cheap to clone; the client stops when the last clone is dropped.
///
/// What a method adds or opens is there when it returns, in the log and in the states of documents;
/// a future that is dropped changes nothing. Methods take a lock, which the client's task holds
/// while it commits, so they may take as long as a write to the disk. A closure that is passed to
/// one must not call another one of the same client.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    _lease: Arc<Lease>,
}

/// Ends the client when its last handle is dropped.
#[derive(Debug)]
struct Lease(Arc<Shared>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.dropped(Dropped::Client);
    }
}

impl Client {
    /// Returns a builder for a user id, or for a whole node id `user:client:tab`.
    ///
    /// # Errors
    /// [`IdError`](logux::action::IdError) if the id is empty or contains a space.
    pub fn builder(id: &str) -> Result<Builder, logux::action::IdError> {
        Builder::new(id)
    }

    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { _lease: Arc::new(Lease(shared.clone())), shared }
    }

    /// Returns the node id, which changes with the user.
    pub fn node_id(&self) -> NodeId {
        self.shared.reports.node.borrow().clone()
    }

    /// Returns the error of a client that has stopped.
    pub(crate) fn stopped(&self) -> SyncError {
        self.shared.stopped()
    }

    /// Tells the driver that a handle of a document was dropped.
    pub(crate) fn release(&self, name: &Arc<str>, subscription: Option<&Subscription>) {
        self.shared.dropped(Dropped::Handle(name.clone(), subscription.cloned()));
    }

    pub(crate) fn command<T>(
        &self,
        command: impl FnOnce(&mut dyn Commands) -> T,
    ) -> Result<T, SyncError> {
        self.shared.command(command)
    }

    /// Calls the driver, and waits until what it has changed is kept.
    async fn change<T>(
        &self,
        change: impl FnOnce(&mut dyn Commands) -> Option<T>,
    ) -> Result<T, SyncError> {
        let (changed, kept) = self.command(|driver| (change(driver), driver.when_kept()))?;
        kept.await.unwrap_or_else(|_| Err(ended()))?;
        changed.ok_or_else(|| self.shared.stopped())
    }

    /// Adds an own action: it is in the log and in the states of documents at once, and is sent as
    /// soon as there is a connection. The result has the id, and waits as a future until the server
    /// has processed the action. Dropping it does not undo the action.
    ///
    /// ```no_run
    /// use logux::Action;
    /// # use logux_client::{Client, SyncError};
    ///
    /// # async fn run(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let pending = client.sync(Action::new(r#"{"type":"counter/inc"}"#)?);
    /// println!("{}", pending.id());
    /// match pending.await {
    ///     Ok(()) => println!("processed"),
    ///     Err(SyncError::Undone(undo)) => println!("refused: {}", undo.reason),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn sync(&self, action: Action) -> PendingAction {
        self.sync_with(action, Draft::default())
    }

    /// Adds an own action as [`sync`](Self::sync) does, with the reasons, the indexes and the extra
    /// keys of a draft, and its id and time if it has them. The id must be new: an action with a
    /// known id is not added again.
    pub fn sync_with(&self, action: Action, draft: Draft) -> PendingAction {
        let id = draft.id.clone();
        self.pending(id, |driver| driver.sync(action, draft))
    }

    /// Edits a timeline.
    pub(crate) fn edit(&self, edit: Edit<'_>, make: &mut Make<'_>) -> PendingAction {
        self.pending(None, |driver| driver.edit(edit, make))
    }

    fn pending(
        &self,
        id: Option<ActionId>,
        add: impl FnOnce(&mut dyn Commands) -> PendingAction,
    ) -> PendingAction {
        self.command(add).unwrap_or_else(|error| {
            PendingAction::decided(id.unwrap_or_else(|| self.unused_id()), Err(error))
        })
    }

    /// Returns an id for the result of what is not an action: no action has it.
    pub(crate) fn unused_id(&self) -> ActionId {
        ActionId::new(logux::WallTime::default(), self.node_id(), 0)
    }

    /// Undoes an action of this or another client, with a reason such as `mistake`. To redo it,
    /// undo the undo.
    ///
    /// An own action that was never sent, because there was no connection since, is dropped:
    /// nothing is sent, and its [`sync`](Self::sync) returns [`SyncError::Dropped`]. To redo it,
    /// add it again. Otherwise a `logux/undo` is added, which changes the state at once, and the
    /// server decides whether it has an effect on others. If the server refuses the undo, for
    /// example because the action is `settled`, the action has its effect again.
    ///
    /// ```no_run
    /// use logux::{Action, client::UndoOutcome};
    /// # use logux_client::{Client, SyncError};
    ///
    /// # async fn run(client: Client, action: Action) -> Result<(), SyncError> {
    /// let added = client.sync(action.clone());
    /// let id = added.id().clone();
    /// match client.undo(&id, "mistake").await? {
    ///     // Redo: the server has never seen the action.
    ///     UndoOutcome::Dropped(entry) => client.sync(entry.action).await?,
    ///     UndoOutcome::Added(undo) => {
    ///         let undo_id = undo.id().clone();
    ///         undo.await?;
    ///         // Redo: the undo of the undo.
    ///         client.undo(&undo_id, "redo").await?;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has stopped.
    pub async fn undo(
        &self,
        id: &ActionId,
        reason: &str,
    ) -> Result<UndoOutcome<PendingAction>, SyncError> {
        self.change(|driver| driver.undo(id, reason)).await
    }

    pub(crate) async fn step(
        &self,
        timeline: &Arc<str>,
        change: StepChange,
    ) -> Result<StepResult, SyncError> {
        self.change(|driver| driver.step(timeline, change)).await
    }

    /// Subscribes to a channel, and again after each reconnect. As a future, the result waits until
    /// the server has sent the existing data of the channel. For a filter, see
    /// [`Subscription::subscribe`] and [`sync`](Self::sync).
    ///
    /// Subscriptions are counted: each needs its own [`unsubscribe`](Self::unsubscribe).
    pub fn subscribe(&self, channel: &str) -> PendingAction {
        self.subscription(Subscribe { channel: channel.to_owned(), since: None }.to_action())
    }

    /// Ends a subscription to a channel, when all that have subscribed to it have ended theirs. As
    /// a future, the result waits until the server has processed it.
    pub fn unsubscribe(&self, channel: &str) -> PendingAction {
        self.subscription(Subscription::to(channel).unsubscribe())
    }

    fn subscription(&self, action: Result<Action, logux::action::ActionError>) -> PendingAction {
        match action {
            Ok(action) => self.sync(action),
            Err(error) => {
                let error = SyncError::Stopped(error.to_string());
                PendingAction::decided(self.unused_id(), Err(error))
            }
        }
    }

    /// Opens the document `id` of a kind, such as `notes`, and subscribes to it. Returns when its
    /// state in the log of this device is there; what the server has arrives later:
    /// [`DocumentHandle::changed`].
    ///
    /// ```no_run
    /// use logux::crdt::{Map, MapOp};
    /// use logux_client::Client;
    /// use logux_net::WebSocketConnector;
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let connector = WebSocketConnector::new("ws://127.0.0.1:31337")?;
    /// let client = Client::builder("10")?.token("secret").start(connector);
    /// let mut note = client.document::<Map>("notes", "7").await?;
    ///
    /// let title = MapOp::Set { path: "/title".parse()?, value: logux::Json::from_value("Shopping")? };
    /// note.operate(&[title]).await?;
    /// while note.changed().await {
    ///     println!("{:?}", note.state().get("/title"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has stopped, [`SyncError::OtherType`] if the document
    /// is open with another type.
    pub async fn document<C>(
        &self,
        kind: &str,
        id: &str,
    ) -> Result<DocumentHandle<SharedDocument<C>>, SyncError>
    where
        C: Crdt<Op: Send> + Send + Sync + 'static,
    {
        let document = SharedDocument::<C>::new(kind, id);
        let subscription = Subscription::to(&**document.key().channel());
        let check = self.shared.schemas.check(&document);
        let handle = self.open_and_subscribe(document, Some(subscription)).await?;
        Ok(handle.with_check(check))
    }

    /// Opens the records of a kind, such as `tasks`, that match a filter, as a live list, and
    /// subscribes to them. The filter is a JSON object, such as `json!({"projectId": "1"})`: a
    /// record matches if it has an equal field for each of the filter; `json!({})` is for all. `T`
    /// is what a record is read into, with its `id`: a type that derives `Deserialize`, or
    /// [`serde_json::Value`].
    ///
    /// Returns when the records in the log of this device are there; what the server has arrives
    /// later: [`RecordList::loaded`]. All lists of a kind share one state, and each filter is one
    /// subscription.
    ///
    /// ```no_run
    /// use serde::{Deserialize, Serialize};
    /// use serde_json::json;
    /// # use logux_client::{Client, SyncError};
    ///
    /// #[derive(Deserialize, Serialize)]
    /// struct Task {
    ///     id: String,
    ///     title: String,
    ///     done: bool,
    /// }
    ///
    /// # async fn run(client: Client) -> Result<(), SyncError> {
    /// let mut open = client.records::<Task>("tasks", json!({"done": false})).await?;
    /// open.create("7", &json!({"title": "Tea", "done": false}));
    /// while open.changed().await {
    ///     for task in open.list() {
    ///         println!("{}", task.title);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`document`](Self::document), and [`SyncError::Filter`] if the filter is not a JSON
    /// object.
    pub async fn records<T>(
        &self,
        plural: &str,
        filter: impl serde::Serialize,
    ) -> Result<RecordList<T>, SyncError> {
        let filter = filter_of(&filter)?;
        let text = logux::Json::new(filter.to_json()).ok();
        let subscription = Subscription { channel: plural.to_owned(), filter: text };
        let handle = self.open_and_subscribe(SyncMaps::new(plural), Some(subscription)).await?;
        Ok(RecordList::new(handle, filter))
    }

    /// Opens one record of a kind, such as `tasks`, and subscribes to it. See
    /// [`records`](Self::records) for `T`.
    ///
    /// # Errors
    /// As [`document`](Self::document).
    pub async fn record<T>(&self, plural: &str, id: &str) -> Result<RecordHandle<T>, SyncError> {
        let subscription = Subscription::to(format!("{plural}/{id}"));
        let handle = self.open_and_subscribe(SyncMaps::new(plural), Some(subscription)).await?;
        Ok(RecordHandle::new(handle, id))
    }

    /// Opens what a reducer computes from the log, without a subscription.
    ///
    /// # Errors
    /// As [`document`](Self::document).
    pub async fn open<R>(&self, reducer: R) -> Result<DocumentHandle<R>, SyncError>
    where
        R: NamedReducer<Action: Send, State: Send + Sync> + Send + 'static,
    {
        self.open_and_subscribe(reducer, None).await
    }

    /// Opens a document or records, and subscribes to them.
    async fn open_and_subscribe<R>(
        &self,
        reducer: R,
        subscription: Option<Subscription>,
    ) -> Result<DocumentHandle<R>, SyncError>
    where
        R: NamedReducer<Action: Send, State: Send + Sync> + Send + 'static,
    {
        let (name, kind) = (reducer.name().clone(), reducer.kind().cloned());
        let (reply, mut shown) = oneshot::channel();
        let needed = subscription.clone();
        let opening = Box::new(OpeningOf { reducer, subscription, reply });
        self.command(|driver| driver.open(opening))?;
        // The driver has replied. A wait could be given up, and the document would stay open.
        match shown.try_recv() {
            Ok(Some(receivers)) => {
                Ok(DocumentHandle::new(self.clone(), name, kind, needed, receivers))
            }
            Ok(None) => Err(SyncError::OtherType(name.to_string())),
            Err(_) => Err(self.shared.stopped()),
        }
    }

    /// Returns who is in a channel that this client is subscribed to. For a document, see
    /// [`DocumentHandle::presence`].
    pub fn presence(&self, channel: impl Into<Arc<str>>) -> Presence {
        let events = Events::new(&self.shared.reports.presence, &self.shared.reports.end);
        Presence::new(self.clone(), channel.into(), events)
    }

    /// Returns the actions that are received from now on, in the order of arrival.
    pub fn actions(&self) -> Actions {
        Actions(Events::new(&self.shared.reports.actions, &self.shared.reports.end))
    }

    /// Returns the messages for people that are received from now on. Keeps the latest 64 that are
    /// not read yet.
    pub fn server_messages(&self) -> ServerMessages {
        ServerMessages(Events::new(&self.shared.reports.server_messages, &self.shared.reports.end))
    }

    /// Returns the actions that are not encrypted or not decrypted from now on, such as those that
    /// another secret was used for. Keeps the latest 64 that are not read yet. A failure is also a
    /// warning in the log.
    pub fn encryption_failures(&self) -> EncryptionFailures {
        let reports = &self.shared.reports;
        EncryptionFailures(Events::new(&reports.encryption_failures, &reports.end))
    }
}
