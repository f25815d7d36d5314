//! The way to a running server from anywhere.

use std::{sync::Arc, time::Duration};

use logux::{
    Action, ActionId, NodeId, WallTime,
    log::Draft,
    server::{Addition, Answer, Input, Job, Recipients, Undoing},
};
use logux_net::drive::Clock;
use smallvec::SmallVec;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    connection_info::Origin,
    hub::{outbox::Outbox, recipients::IntoRecipients},
    telemetry::{Watch, inspector::clients::Clients, metrics::levels::Levels},
};

/// How long the hub may take to say how much there is of everything.
const LEVELS: Duration = Duration::from_secs(2);

/// The answers to one request of the hub, in order.
pub(crate) type Answers = Vec<Answer>;

/// What a connection has for the hub.
pub(crate) type Inputs = SmallVec<[Input; 1]>;

/// What the hub's thread is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// A client was let in: an [`Input::Join`], where to put what is for it, and where it came from.
    Join(Input, Arc<Outbox>, Arc<Origin>),
    /// An input as it is.
    Input(Input),
    /// Inputs as they are, to be committed together; mostly one.
    Inputs(Inputs),
    /// What the application answers to one question, in order.
    Answers(Job, Answers),
    /// Say that you are there.
    Respond(oneshot::Sender<()>),
    /// End, whatever is in progress.
    Stop,
    /// Who is connected.
    Clients(oneshot::Sender<Clients>),
    /// How much there is of everything.
    Levels(oneshot::Sender<Levels>),
    /// An action of the application, and whom to tell when it is done.
    Add(Box<Addition>, oneshot::Sender<Result<(), String>>),
}

/// A running server, for actions of the application's own. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    clock: Clock,
    watch: Watch,
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
    pub(crate) const fn new(commands: mpsc::Sender<Command>, clock: Clock, watch: Watch) -> Self {
        Self { commands, clock, watch }
    }

    /// Where to note what happens.
    pub(crate) const fn watch(&self) -> &Watch {
        &self.watch
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
        let addition = Addition {
            action,
            draft: Draft { time, ..Draft::default() },
            to,
            process: false,
            ticket: None,
        };
        self.post(addition).await;
    }

    /// Does an action of the server's own as if a client had sent it, but without asking for access: it is resent and processed
    /// by the handlers of its type. Returns when it is done.
    ///
    /// # Errors
    /// [`AddError::Undone`] when a handler failed or there is none, [`AddError::Stopped`] when the server stopped before.
    pub async fn process(&self, action: Action) -> Result<(), AddError> {
        self.add(Addition {
            action,
            draft: Draft::default(),
            to: Recipients::default(),
            process: true,
            ticket: None,
        })
        .await
    }

    /// Adds an action behind all that was told before.
    pub(crate) async fn post(&self, addition: Addition) {
        self.tell(Command::Input(Input::Add(Box::new(addition)))).await;
    }

    /// Adds an action, and returns when it is done: sent, or processed if that is asked for.
    pub(crate) async fn add(&self, addition: Addition) -> Result<(), AddError> {
        let (reply, done) = oneshot::channel();
        self.tell(Command::Add(Box::new(addition), reply)).await;
        done.await.map_err(|_| AddError::Stopped)?.map_err(AddError::Undone)
    }

    /// Takes an action back, in progress or done: its author and the given recipients are told `logux/undo`.
    ///
    /// ```
    /// # use logux::{ActionId, server::{Recipients, Undoing}};
    /// # async fn refuse(server: &logux_server::Handle, id: ActionId) {
    /// server.undo(Undoing::new(id, "spam").to(Recipients::channel("posts"))).await;
    /// # }
    /// ```
    pub async fn undo(&self, undoing: Undoing) {
        self.tell(Command::Input(Input::Undo(Box::new(undoing)))).await;
    }

    /// Makes the server's log forget an action that it [keeps](crate::ActionType::keep), as if its reason had ceased. Nobody is told.
    pub async fn forget(&self, id: ActionId) {
        self.tell(Command::Input(Input::Forget(id))).await;
    }

    /// Subscribes a node to a channel without its asking; it is told by `logux/subscribed`. Nothing happens if it is not connected,
    /// or is subscribed already.
    pub async fn subscribe(&self, node: &NodeId, channel: impl Into<Arc<str>>) {
        self.tell(Command::Input(Input::Subscribe { node: node.clone(), channel: channel.into() }))
            .await;
    }

    /// Returns as soon as the server has seen to all it was told before: a sign of life, for a watchdog. `false` when it has stopped.
    pub async fn responds(&self) -> bool {
        let (reply, done) = oneshot::channel();
        self.tell(Command::Respond(reply)).await;
        done.await.is_ok()
    }

    /// Everything that the server counts, as text in the format of OpenMetrics, for a route of your own; see [`metrics`](crate::metrics).
    /// `None` when nothing is counted: see [`Settings::collect_metrics`](crate::Settings::collect_metrics).
    pub async fn metrics(&self) -> Option<String> {
        let metrics = self.watch.metrics()?;
        let (reply, levels) = oneshot::channel();
        let commands = self.commands.max_capacity() - self.commands.capacity();
        let levels = async {
            self.tell(Command::Levels(reply)).await;
            levels.await.ok().map(|levels| Levels { commands, ..levels })
        };
        // A hub that is too busy to say how much it has to do keeps nobody from seeing the rest.
        let levels = timeout(LEVELS, levels).await.ok().flatten();
        Some(metrics.text(levels.as_ref()))
    }

    /// Who is connected; `None` if the hub is too busy to tell.
    pub(crate) async fn clients(&self) -> Option<Clients> {
        let (reply, clients) = oneshot::channel();
        let clients = async {
            self.tell(Command::Clients(reply)).await;
            clients.await.ok()
        };
        timeout(LEVELS, clients).await.ok().flatten()
    }

    /// Answers a question, in one command, so that the answers have one commit.
    pub(crate) async fn answer(&self, job: Job, answers: Answers) {
        self.tell(Command::Answers(job, answers)).await;
    }

    /// Tells the hub something. Waits while it has too much to do; a stopped hub needs to be told nothing. Whether it will hear it.
    pub(crate) async fn tell(&self, command: Command) -> bool {
        self.commands.send(command).await.is_ok()
    }
}
