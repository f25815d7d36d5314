//! The handle of a running server: sends commands to the hub.

use std::{pin::pin, sync::Arc, time::Duration};

use hyper::http::Extensions;
use logux::{
    Action, ActionId, Entry, MonoTime, NodeId, WallTime,
    action::DocumentKey,
    log::Draft,
    server::{
        AddAction, Author, DocumentSnapshot, HandlerResponse, Input, LogPage, LogQuery, Recipients,
        RequestId, SessionId, SettlementRequest, UndoRequest,
    },
};
use logux_net::drive::Clock;
use smallvec::SmallVec;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    claims::KnownClaims,
    connection_info::ConnectionInfo,
    hub::{
        application::AuthorConnection,
        log_status::{LogState, LogStatus},
        outbox::Outbox,
        recipients::IntoRecipients,
    },
    telemetry::{
        Telemetry,
        inspector::clients::{ChannelPresence, ClientList},
        metrics::stats::StatsSnapshot,
    },
};

/// The time that the hub may take to reply with its statistics or its clients.
const STATS_TIMEOUT: Duration = Duration::from_secs(2);

/// The responses to one request of the hub, in order.
pub(crate) type HandlerResponses = Vec<HandlerResponse>;

/// Inputs of a connection for the hub.
pub(crate) type Inputs = SmallVec<[Input; 1]>;

/// A command to the hub's thread.
#[derive(Debug)]
pub(crate) enum HubCommand {
    /// A client was accepted: an [`Input::Join`], its outbox and its connection info.
    Join(Input, Arc<Outbox>, Arc<ConnectionInfo>),
    /// An input for the hub.
    Input(Input),
    /// Inputs for the hub that are committed together; mostly one.
    Inputs(Inputs),
    /// The application's responses to one request, in order.
    Respond(RequestId, HandlerResponses),
    /// The application's responses to a subscription, of which one may be a page of a state. Reply
    /// when they are in the outbox of the client.
    Page(RequestId, HandlerResponses, oneshot::Sender<PageResult>),
    /// Reply at once.
    Ping(oneshot::Sender<()>),
    /// Stop, even if actions are in progress.
    Stop,
    /// Reply with the connected clients.
    Clients(oneshot::Sender<ClientList>),
    /// Reply with who shows itself in each of these channels, with at most so many states in each.
    Presence(Vec<Arc<str>>, usize, oneshot::Sender<Vec<ChannelPresence>>),
    /// Reply with a value of the application.
    Value(String, oneshot::Sender<Result<Option<String>, String>>),
    /// Reply with the subscribers of a channel.
    Subscribers(Arc<str>, oneshot::Sender<Vec<Subscriber>>),
    /// Reply with the statistics.
    Stats(oneshot::Sender<StatsSnapshot>),
    /// Reply with the entry of an action.
    Entry(ActionId, oneshot::Sender<Result<Option<Entry>, String>>),
    /// Reply with a page of the log.
    LogPage(Box<LogQuery>, oneshot::Sender<Result<LogPage, String>>),
    /// Remove a document from the log, and reply when it is gone.
    Purge(DocumentKey, oneshot::Sender<()>),
    /// Add an action of the application, and reply when it is completed.
    Add(Box<AddAction>, oneshot::Sender<Result<(), String>>),
}

/// A client that is subscribed to a channel.
pub(crate) type Subscriber = (Author, AuthorConnection);

/// What a page of a channel's state led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageResult {
    /// It was sent.
    Sent,
    /// It was sent, and there are more actions that the log has kept.
    SentWithMore,
    /// The state is not needed any more: the client has left or has unsubscribed.
    NotNeeded,
}

/// The handle of a running server: adds actions of the application's own. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    node: NodeId,
    commands: mpsc::Sender<HubCommand>,
    /// What other parts of the server find by its type.
    extensions: Arc<Extensions>,
    clock: Clock,
    telemetry: Telemetry,
    log_status: LogStatus,
    known_claims: Arc<KnownClaims>,
}

/// The error of an action of the application that was not processed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// The action was undone, with this reason.
    #[error("the action was undone: {0}")]
    Undone(String),
    /// The server has stopped.
    #[error("the server has stopped")]
    Stopped,
    /// The server's log could not be written, so the action is not in it. Try again later.
    #[error("the server's log cannot be written now")]
    Unavailable,
}

/// The log of the server could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadLogError {
    /// The store failed, with this error.
    #[error("the server's log cannot be read: {0}")]
    Store(String),
    /// The server has stopped.
    #[error("the server has stopped")]
    Stopped,
}

/// A handle that does not keep the server running, for tasks in the background.
#[derive(Clone, Debug)]
pub(crate) struct WeakHandle {
    node: NodeId,
    commands: mpsc::WeakSender<HubCommand>,
    extensions: Arc<Extensions>,
    clock: Clock,
    telemetry: Telemetry,
    log_status: LogStatus,
    known_claims: Arc<KnownClaims>,
}

/// The time after which a task in the background notices that the server has ended.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

impl WeakHandle {
    /// Waits for a future. `None` if the server has ended, at once or up to a minute before.
    pub(crate) async fn wait_for<T>(&self, future: impl Future<Output = T>) -> Option<(Handle, T)> {
        let mut future = pin!(future);
        loop {
            let waited = timeout(CHECK_INTERVAL, &mut future).await;
            let handle = self.upgrade()?;
            if let Ok(result) = waited {
                return Some((handle, result));
            }
        }
    }

    /// Returns the handle. `None` if the server has ended.
    pub(crate) fn upgrade(&self) -> Option<Handle> {
        let commands = self.commands.upgrade().filter(|commands| !commands.is_closed())?;
        let Self { node, commands: _, extensions, clock, telemetry, log_status, known_claims } =
            self.clone();
        Some(Handle { node, commands, extensions, clock, telemetry, log_status, known_claims })
    }
}

impl Handle {
    /// Returns a handle that does not keep the server running.
    pub(crate) fn downgrade(&self) -> WeakHandle {
        let Self { node, commands, extensions, clock, telemetry, log_status, known_claims } =
            self.clone();
        let commands = commands.downgrade();
        WeakHandle { node, commands, extensions, clock, telemetry, log_status, known_claims }
    }

    pub(crate) fn new(
        node: NodeId,
        commands: mpsc::Sender<HubCommand>,
        extensions: Extensions,
        clock: Clock,
        telemetry: Telemetry,
    ) -> Self {
        let (log_status, known_claims) = (LogStatus::default(), Arc::default());
        let extensions = Arc::new(extensions);
        Self { node, commands, extensions, clock, telemetry, log_status, known_claims }
    }

    /// Returns the node id of the server.
    pub(crate) const fn node(&self) -> &NodeId {
        &self.node
    }

    pub(crate) fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    pub(crate) const fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Returns the claims of the latest logins.
    pub(crate) fn known_claims(&self) -> &KnownClaims {
        &self.known_claims
    }

    pub(crate) const fn log_status(&self) -> &LogStatus {
        &self.log_status
    }

    /// Returns the time of the server's clock.
    pub(crate) fn now(&self) -> WallTime {
        self.clock.now().wall
    }

    /// Returns the time of the server's clock that is not set.
    pub(crate) fn mono_now(&self) -> MonoTime {
        self.clock.now().mono
    }

    /// Sends an action to clients: to a channel by its name, to several by a list, or to
    /// [`Recipients`](logux::server::Recipients). No handler is called for it.
    ///
    /// While the server's log cannot be written, up to 1,024 actions wait and further ones are
    /// lost, as are those of the round that failed. [`process`](Self::process) reports that.
    pub async fn send(&self, action: Action, to: impl IntoRecipients) {
        self.send_at(action, None, to).await;
    }

    /// Like [`send`](Self::send), with a creation time. `None` is the current time.
    pub async fn send_at(&self, action: Action, time: Option<WallTime>, to: impl IntoRecipients) {
        let to = to.into_recipients();
        self.enqueue(AddAction {
            action,
            draft: Draft { time, ..Draft::default() },
            to,
            process: false,
            ticket: None,
        })
        .await;
    }

    /// Adds an action as if a client had sent it, but without a check of access: the handlers of
    /// its type resend and process it. Returns when it is processed.
    ///
    /// # Errors
    /// [`AddError::Undone`] if a handler failed or there is none, [`AddError::Stopped`] if the
    /// server stopped before, [`AddError::Unavailable`] if its log could not be written.
    pub async fn process(&self, action: Action) -> Result<(), AddError> {
        self.add(AddAction {
            action,
            draft: Draft::default(),
            to: Recipients::default(),
            process: true,
            ticket: None,
        })
        .await
    }

    /// Adds an action after all earlier commands, without waiting for its result.
    pub(crate) async fn enqueue(&self, add_action: AddAction) {
        self.send_command(HubCommand::Input(Input::Add(Box::new(add_action)))).await;
    }

    /// Adds an action, and returns when it is sent, or processed if `process` is set.
    pub(crate) async fn add(&self, add_action: AddAction) -> Result<(), AddError> {
        let (reply, result) = oneshot::channel();
        let restarts = self.log_status.restarts();
        self.send_command(HubCommand::Add(Box::new(add_action), reply)).await;
        let dropped = |_| {
            let is_closed = self.log_status.state() == LogState::Closed;
            if is_closed || self.log_status.restarts() != restarts {
                AddError::Unavailable
            } else {
                AddError::Stopped
            }
        };
        result.await.map_err(dropped)?.map_err(AddError::Undone)
    }

    /// Undoes an action that is in progress or processed. Its author and the given recipients
    /// receive `logux/undo`. Clients cannot undo this undo.
    ///
    /// ```
    /// # use logux::{ActionId, server::{Recipients, UndoRequest}};
    /// # async fn refuse(server: &logux_server::Handle, id: ActionId) {
    /// server.undo(UndoRequest::new(id, "spam").to(Recipients::channel("posts"))).await;
    /// # }
    /// ```
    pub async fn undo(&self, request: UndoRequest) {
        self.send_command(HubCommand::Input(Input::Undo(Box::new(request)))).await;
    }

    /// Removes the reason for which the server's log [keeps](crate::ActionType::keep) an action and
    /// its undos by clients. No client is notified.
    pub async fn forget(&self, id: ActionId) {
        self.send_command(HubCommand::Input(Input::Forget(id))).await;
    }

    /// Passes a snapshot of a document to the hub, or that there is none.
    pub(crate) async fn settle(
        &self,
        request: SettlementRequest,
        snapshot: Option<DocumentSnapshot>,
    ) {
        let input = Input::Settle(request, snapshot.map(Box::new));
        self.send_command(HubCommand::Input(input)).await;
    }

    /// Removes a document from the log. Returns `false` if the server has stopped, or its log
    /// cannot be written, before everything is removed.
    pub(crate) async fn purge(&self, key: DocumentKey) -> bool {
        let (reply, purged) = oneshot::channel();
        self.send_command(HubCommand::Purge(key, reply)).await;
        purged.await.is_ok()
    }

    /// Subscribes a node to a channel on behalf of the server. The node receives
    /// `logux/subscribed`. Has no effect if it is not connected or already subscribed.
    pub async fn subscribe(&self, node: &NodeId, channel: impl Into<Arc<str>>) {
        self.send_command(HubCommand::Input(Input::Subscribe {
            node: node.clone(),
            channel: channel.into(),
        }))
        .await;
    }

    /// Returns an action with its meta from the server's log, if the log still has it. O(log n).
    ///
    /// # Errors
    /// [`ReadLogError`] if the store fails, or the server has stopped.
    pub async fn log_entry(&self, id: &ActionId) -> Result<Option<Entry>, ReadLogError> {
        self.read_log(|reply| HubCommand::Entry(id.clone(), reply)).await
    }

    /// Returns a page of the server's log, for example the latest actions of a channel that the log
    /// [keeps](crate::ActionType::keep). It contains everything that was committed when it is read;
    /// also the action for which the handler was called, unless only kept actions are selected.
    ///
    /// A page is read on the hub's thread, which does nothing else meanwhile. It is therefore
    /// bounded: see [`LogQuery`].
    ///
    /// ```
    /// use logux::server::{LogQuery, Retention};
    /// use logux_server::Server;
    /// use serde_json::json;
    ///
    /// let server = Server::builder()
    ///     .action_type("orders/add", |action| {
    ///         action.access(|_| async { Ok(true) }).keep(Retention::forever("orders"))
    ///     })
    ///     .channel("orders/latest", |channel| {
    ///         channel.access(|_| async { Ok(true) }).load(|context| async move {
    ///             let orders = LogQuery::kept_for(&Retention::forever("orders"));
    ///             let page = context.server().log_page(orders.newest_first().limit(10)).await?;
    ///             let actions: Vec<_> = page.entries.into_iter().map(|entry| entry.action).collect();
    ///             Ok(json!({"type": "orders/latest", "orders": actions}))
    ///         })
    ///     });
    /// ```
    ///
    /// # Errors
    /// As [`log_entry`](Self::log_entry).
    pub async fn log_page(&self, query: LogQuery) -> Result<LogPage, ReadLogError> {
        self.read_log(|reply| HubCommand::LogPage(Box::new(query), reply)).await
    }

    /// Returns a small value that the server keeps in its log.
    pub(crate) async fn value(&self, name: &str) -> Result<Option<String>, ReadLogError> {
        self.read_log(|reply| HubCommand::Value(name.to_owned(), reply)).await
    }

    /// Keeps a small value in the log. Returns `false` if the server has stopped, or was restarted
    /// since because its log could not be written.
    pub(crate) async fn set_value(&self, name: String, value: String) -> bool {
        self.send_command(HubCommand::Input(Input::SetValue(name, value))).await
    }

    async fn read_log<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, String>>) -> HubCommand,
    ) -> Result<T, ReadLogError> {
        let (reply, result) = oneshot::channel();
        self.send_command(command(reply)).await;
        result.await.map_err(|_| ReadLogError::Stopped)?.map_err(ReadLogError::Store)
    }

    /// Ends the subscriptions of clients to a channel, and those that the server itself has made to
    /// channels below it, such as the records of a list. The clients receive `logux/undo` of them,
    /// with the reason `revoked`. A client subscribes again when it connects again, so the handlers
    /// of the channel must deny access from now on.
    ///
    /// ```
    /// # use logux::server::Recipients;
    /// # async fn remove_member(server: &logux_server::Handle) {
    /// server.unsubscribe(Recipients::user("10"), "projects/7").await;
    /// # }
    /// ```
    pub async fn unsubscribe(&self, clients: Recipients, channel: impl Into<Arc<str>>) {
        let channel = channel.into();
        self.send_command(HubCommand::Input(Input::Unsubscribe { clients, channel })).await;
    }

    /// Closes the connections of clients, after the actions that they were sent. The clients
    /// connect again, and [`auth`](crate::Builder::auth) decides about them. With `is_final`, they
    /// receive the error `wrong-credentials` first, and do not connect again by themselves.
    pub async fn disconnect(&self, clients: Recipients, is_final: bool) {
        self.send_command(HubCommand::Input(Input::Disconnect { clients, is_final })).await;
    }

    /// Waits until the hub has handled all earlier commands. Returns `false` if the server has
    /// stopped. A watchdog can use it to check that the server responds.
    pub async fn responds(&self) -> bool {
        let (reply, received) = oneshot::channel();
        self.send_command(HubCommand::Ping(reply)).await;
        received.await.is_ok()
    }

    /// Returns all [`metrics`](crate::metrics) in the OpenMetrics text format, for an HTTP route of
    /// the application. `None` if they are not collected: see
    /// [`Config::collect_metrics`](crate::Config::collect_metrics).
    pub async fn metrics(&self) -> Option<String> {
        let metrics = self.telemetry.metrics()?;
        let (reply, stats) = oneshot::channel();
        let commands = self.commands.max_capacity() - self.commands.capacity();
        let stats = async {
            self.send_command(HubCommand::Stats(reply)).await;
            stats.await.ok().map(|stats| StatsSnapshot { commands, ..stats })
        };
        // If the hub is too busy to reply, the other metrics are still returned.
        let stats = timeout(STATS_TIMEOUT, stats).await.ok().flatten();
        Some(metrics.text(stats.as_ref()))
    }

    /// Returns the subscribers of a channel. None if the server has stopped.
    pub(crate) async fn subscribers(&self, channel: Arc<str>) -> Vec<Subscriber> {
        let (reply, subscribers) = oneshot::channel();
        self.send_command(HubCommand::Subscribers(channel, reply)).await;
        subscribers.await.unwrap_or_default()
    }

    /// Returns the connected clients. `None` if the hub is too busy to reply.
    pub(crate) async fn clients(&self) -> Option<ClientList> {
        let (reply, clients) = oneshot::channel();
        let clients = async {
            self.send_command(HubCommand::Clients(reply)).await;
            clients.await.ok()
        };
        timeout(STATS_TIMEOUT, clients).await.ok().flatten()
    }

    /// Returns who shows itself in channels, with at most `limit` states of each. Empty if the hub
    /// is too busy to reply.
    pub(crate) async fn presence(
        &self,
        channels: Vec<Arc<str>>,
        limit: usize,
    ) -> Vec<ChannelPresence> {
        let (reply, presence) = oneshot::channel();
        let presence = async {
            self.send_command(HubCommand::Presence(channels, limit, reply)).await;
            presence.await.ok()
        };
        timeout(STATS_TIMEOUT, presence).await.ok().flatten().unwrap_or_default()
    }

    /// Responds to a request, in one command, so that the responses share one commit.
    pub(crate) async fn respond(&self, request_id: RequestId, responses: HandlerResponses) {
        self.send_command(HubCommand::Respond(request_id, responses)).await;
    }

    /// Sends actions to a connection that has requested them. Returns `false` if the server has
    /// stopped.
    pub(crate) async fn send_to_session(
        &self,
        session: SessionId,
        actions: Vec<(Action, Draft)>,
    ) -> bool {
        let input = |item| Input::Send(session, Box::new(item));
        let inputs = HubCommand::Inputs(actions.into_iter().map(input).collect());
        self.send_command(inputs).await && self.responds().await
    }

    /// Responds to a subscription, and returns when the responses are in the outbox of its client.
    pub(crate) async fn send_page(
        &self,
        request_id: RequestId,
        responses: HandlerResponses,
    ) -> PageResult {
        let (reply, result) = oneshot::channel();
        self.send_command(HubCommand::Page(request_id, responses, reply)).await;
        result.await.unwrap_or(PageResult::NotNeeded)
    }

    /// Sends a command to the hub. Waits while its queue is full. Returns `false` if the hub has
    /// stopped.
    pub(crate) async fn send_command(&self, command: HubCommand) -> bool {
        self.commands.send(command).await.is_ok()
    }
}
