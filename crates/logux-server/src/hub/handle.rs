//! The way to a running server from anywhere.

use std::{sync::Arc, time::Duration};

use logux::{
    Action, ActionId, NodeId, WallTime,
    log::Draft,
    server::{AddAction, HandlerResponse, Input, Recipients, RequestId, UndoRequest},
};
use logux_net::drive::Clock;
use smallvec::SmallVec;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    connection_info::ConnectionInfo,
    hub::{outbox::Outbox, recipients::IntoRecipients},
    telemetry::{Telemetry, inspector::clients::ClientList, metrics::stats::StatsSnapshot},
};

/// How long the hub may take to say how much there is of everything.
const LEVELS: Duration = Duration::from_secs(2);

/// The answers to one request of the hub, in order.
pub(crate) type HandlerResponses = Vec<HandlerResponse>;

/// What a connection has for the hub.
pub(crate) type Inputs = SmallVec<[Input; 1]>;

/// What the hub's thread is told.
#[derive(Debug)]
pub(crate) enum HubCommand {
    /// A client was let in: an [`Input::Join`], where to put what is for it, and where it came from.
    Join(Input, Arc<Outbox>, Arc<ConnectionInfo>),
    /// An input as it is.
    Input(Input),
    /// Inputs as they are, to be committed together; mostly one.
    Inputs(Inputs),
    /// What the application answers to one question, in order.
    Respond(RequestId, HandlerResponses),
    /// Say that you are there.
    Ping(oneshot::Sender<()>),
    /// End, whatever is in progress.
    Stop,
    /// Who is connected.
    Clients(oneshot::Sender<ClientList>),
    /// How much there is of everything.
    Stats(oneshot::Sender<StatsSnapshot>),
    /// An action of the application, and whom to tell when it is done.
    Add(Box<AddAction>, oneshot::Sender<Result<(), String>>),
}

/// A running server, for actions of the application's own. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<HubCommand>,
    clock: Clock,
    telemetry: Telemetry,
}

/// An action of the application was not processed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// It was undone, for this reason.
    #[error("the action was undone: {0}")]
    Undone(String),
    /// The server has stopped.
    #[error("the server has stopped")]
    Stopped,
}

impl Handle {
    pub(crate) const fn new(
        commands: mpsc::Sender<HubCommand>,
        clock: Clock,
        telemetry: Telemetry,
    ) -> Self {
        Self { commands, clock, telemetry }
    }

    /// Where to note what happens.
    pub(crate) const fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// The time by the server's clock.
    pub(crate) fn now(&self) -> WallTime {
        self.clock.now().wall
    }

    /// Sends an action to clients: to a channel by its name, to several by a list, or to
    /// [`Recipients`](logux::server::Recipients). Nobody is asked about it.
    pub async fn send(&self, action: Action, to: impl IntoRecipients) {
        self.send_at(action, None, to).await;
    }

    /// As [`send`](Self::send), with a creation time of its own.
    pub async fn send_at(&self, action: Action, time: Option<WallTime>, to: impl IntoRecipients) {
        let to = to.into_recipients();
        let addition = AddAction {
            action,
            draft: Draft { time, ..Draft::default() },
            to,
            process: false,
            ticket: None,
        };
        self.enqueue(addition).await;
    }

    /// Does an action of the server's own as if a client had sent it, but without asking for access: it is resent and processed
    /// by the handlers of its type. Returns when it is done.
    ///
    /// # Errors
    /// [`AddError::Undone`] when a handler failed or there is none, [`AddError::Stopped`] when the server stopped before.
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

    /// Adds an action behind all that was told before.
    pub(crate) async fn enqueue(&self, addition: AddAction) {
        self.send_command(HubCommand::Input(Input::Add(Box::new(addition)))).await;
    }

    /// Adds an action, and returns when it is done: sent, or processed if that is asked for.
    pub(crate) async fn add(&self, addition: AddAction) -> Result<(), AddError> {
        let (reply, done) = oneshot::channel();
        self.send_command(HubCommand::Add(Box::new(addition), reply)).await;
        done.await.map_err(|_| AddError::Stopped)?.map_err(AddError::Undone)
    }

    /// Takes an action back, in progress or done: its author and the given recipients are told `logux/undo`.
    ///
    /// ```
    /// # use logux::{ActionId, server::{Recipients, UndoRequest}};
    /// # async fn refuse(server: &logux_server::Handle, id: ActionId) {
    /// server.undo(UndoRequest::new(id, "spam").to(Recipients::channel("posts"))).await;
    /// # }
    /// ```
    pub async fn undo(&self, undoing: UndoRequest) {
        self.send_command(HubCommand::Input(Input::Undo(Box::new(undoing)))).await;
    }

    /// Makes the server's log forget an action that it [keeps](crate::ActionType::keep), as if its reason had ceased. Nobody is told.
    pub async fn forget(&self, id: ActionId) {
        self.send_command(HubCommand::Input(Input::Forget(id))).await;
    }

    /// Subscribes a node to a channel without its asking; it is told by `logux/subscribed`. Nothing happens if it is not connected,
    /// or is subscribed already.
    pub async fn subscribe(&self, node: &NodeId, channel: impl Into<Arc<str>>) {
        self.send_command(HubCommand::Input(Input::Subscribe {
            node: node.clone(),
            channel: channel.into(),
        }))
        .await;
    }

    /// Returns as soon as the server has seen to all it was told before: a sign of life, for a watchdog. `false` when it has stopped.
    pub async fn responds(&self) -> bool {
        let (reply, done) = oneshot::channel();
        self.send_command(HubCommand::Ping(reply)).await;
        done.await.is_ok()
    }

    /// Everything that the server counts, as text in the format of OpenMetrics, for a route of your own; see [`metrics`](crate::metrics).
    /// `None` when nothing is counted: see [`Config::collect_metrics`](crate::Config::collect_metrics).
    pub async fn metrics(&self) -> Option<String> {
        let metrics = self.telemetry.metrics()?;
        let (reply, stats) = oneshot::channel();
        let commands = self.commands.max_capacity() - self.commands.capacity();
        let stats = async {
            self.send_command(HubCommand::Stats(reply)).await;
            stats.await.ok().map(|stats| StatsSnapshot { commands, ..stats })
        };
        // A hub that is too busy to say how much it has to do keeps nobody from seeing the rest.
        let stats = timeout(LEVELS, stats).await.ok().flatten();
        Some(metrics.text(stats.as_ref()))
    }

    /// Who is connected; `None` if the hub is too busy to tell.
    pub(crate) async fn clients(&self) -> Option<ClientList> {
        let (reply, clients) = oneshot::channel();
        let clients = async {
            self.send_command(HubCommand::Clients(reply)).await;
            clients.await.ok()
        };
        timeout(LEVELS, clients).await.ok().flatten()
    }

    /// Answers a question, in one command, so that the answers have one commit.
    pub(crate) async fn answer(&self, request_id: RequestId, answers: HandlerResponses) {
        self.send_command(HubCommand::Respond(request_id, answers)).await;
    }

    /// Tells the hub something. Waits while it has too much to do; a stopped hub needs to be told nothing. Whether it will hear it.
    pub(crate) async fn send_command(&self, command: HubCommand) -> bool {
        self.commands.send(command).await.is_ok()
    }
}
