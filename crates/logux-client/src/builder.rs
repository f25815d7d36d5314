//! What a client is told at the start.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use logux::{
    Json, MemoryStore, NodeId,
    action::IdError,
    client::{Client as Machine, Config, Secret},
    log::Observer,
    replay::{Reducer, Timeline},
    sync,
};
use logux_net::{Backoff, Connector, Reconnecting, drive::Clock};
use tokio::sync::{broadcast, mpsc, watch};

use crate::{Client, Document, driver::Driver};

/// How many commands may wait for the client's task.
const COMMANDS: usize = 256;

/// The description of a client.
#[derive(Debug)]
pub struct Builder {
    node: sync::Config,
    token: Option<String>,
    backoff: Backoff,
    buffered: usize,
    clock: Option<Clock>,
}

impl Builder {
    /// For a user id, with a client id and a tab id made up; or for a whole node id `user:client:tab`.
    pub(crate) fn new(id: &str) -> Result<Self, IdError> {
        let node = if id.contains(':') {
            NodeId::new(id)?
        } else {
            // The keys of the standard library's hashers are random: enough to tell the devices of one user apart.
            let random = RandomState::new().hash_one(std::process::id());
            NodeId::new(format!("{id}:{:08x}:{:08x}", random >> 32, random & 0xFFFF_FFFF))?
        };
        Ok(Self {
            node: sync::Config::client(node),
            token: None,
            backoff: Backoff::default(),
            buffered: 1_024,
            clock: None,
        })
    }

    /// What proves to the server who the user is.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The version of the application's own protocol.
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: u32) -> Self {
        self.node.subprotocol.number = subprotocol;
        self
    }

    /// What the server gets to know about the client: a JSON object.
    #[must_use]
    pub fn headers(mut self, headers: Json) -> Self {
        self.node.headers = Some(headers);
        self
    }

    /// How long to wait before connecting again, and how often to try.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How many actions [`Actions`](crate::Actions) may be behind before it loses some. 1,024.
    #[must_use]
    pub fn buffered(mut self, actions: usize) -> Self {
        self.buffered = actions.max(1);
        self
    }

    /// Other settings of the connection: time-outs, limits.
    #[must_use]
    pub fn connection(mut self, change: impl FnOnce(&mut sync::Config)) -> Self {
        change(&mut self.node);
        self
    }

    /// The clock that it reads. The system's unless given; one of one's own is for tests in virtual time.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Starts the client, as a task of the current tokio runtime. It connects, and connects again, until it is dropped or the
    /// server refuses it.
    pub fn start<C: Connector + 'static>(self, connector: C) -> Client {
        self.start_observed(connector, (), Box::new(|()| {}))
    }

    /// Starts the client with a document: the state that a reducer makes of its log. What the user does shows at once, what others do finds its place
    /// in history, what the server refuses is taken back.
    ///
    /// ```no_run
    /// use logux::crdt::{Map, MapOp, Shared};
    /// use logux_client::Client;
    /// use logux_net::WebSocketConnector;
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let note = Shared::<Map>::new("note");
    /// let connector = WebSocketConnector::new("ws://127.0.0.1:31337")?;
    /// let mut document = Client::builder("10")?.token("secret").start_document(connector, note.clone());
    /// document.client().subscribe("notes/7").await?;
    ///
    /// let title = MapOp::Set { path: "/title".parse()?, value: std::sync::Arc::new("Shopping".into()) };
    /// document.edit(move |_, _| note.action(&title).ok()).await?;
    /// while document.changed().await {
    ///     println!("{:?}", document.state().get("/title"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_document<C, R>(self, connector: C, reducer: R) -> Document<R>
    where
        C: Connector + 'static,
        R: Reducer<Action: Send, State: Send + Sync> + Send + 'static,
    {
        let timeline = Timeline::new(reducer);
        let (sender, state) = watch::channel(timeline.state().clone());
        let look = move |timeline: &mut Timeline<R>| {
            if timeline.take_changed_since().is_some() {
                sender.send_replace(timeline.state().clone());
            }
        };
        Document::new(self.start_observed(connector, timeline, Box::new(look)), state)
    }

    fn start_observed<C: Connector + 'static, O: Observer + Send + 'static>(
        self,
        connector: C,
        observer: O,
        look: Box<dyn FnMut(&mut O) + Send>,
    ) -> Client {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (actions, _) = broadcast::channel(self.buffered);
        let (state_sender, state) = watch::channel(sync::State::Disconnected);
        let (end_sender, end) = watch::channel(None);
        let node = self.node.node.clone();
        let config =
            Config { node: Arc::new(self.node), token: self.token.map(Secret), time_fix: None };
        let machine = match Machine::with_observer(config, MemoryStore::new(), observer) {
            Ok(machine) => machine,
            Err(logux::log::LogError::Store(never)) => match never {},
            Err(other) => unreachable!("an empty log in memory can be opened: {other}"),
        };
        let driver = Driver::new(
            machine,
            look,
            receiver,
            actions.clone(),
            state_sender,
            self.clock.unwrap_or_else(Clock::start),
        );
        let connecting = Reconnecting::new(connector, self.backoff);
        tokio::spawn(async move {
            let _ = end_sender.send(Some(driver.run(connecting).await));
        });
        Client::new(node, commands, actions, state, end)
    }
}
