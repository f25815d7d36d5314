//! The configuration of a client.

use std::{sync::Arc, time::Duration};

use logux::{
    Action, Entry, Json, MemoryStore, NodeId,
    action::{IdError, logux::Undo},
    client::{
        Backoff, BurstLimits, Client as ClientMachine, Config, IdentityError, Secret, identify,
    },
    crdt::DocumentSchema,
    replay::{NamedReducer, TimelineSet},
    store::Store,
    sync,
};
use logux_net::{Connector, drive::Clock};

use crate::{
    Client, DocumentHandle, Encryption, SyncError,
    driver::{Commands, Driver},
    open_error::OpenError,
    schemas::Schemas,
    shared::{Reports, Shared},
    task,
    token_source::TokenSource,
};

/// A builder of a client.
#[derive(Debug)]
pub struct Builder<St = MemoryStore> {
    node: sync::Config,
    token: Option<String>,
    token_source: Option<TokenSource>,
    backoff: Backoff,
    buffered: usize,
    clock: Option<Clock>,
    store: St,
    /// Whether the client id is random, and replaced by the one of the store.
    has_random_client: bool,
    encryption: Option<Encryption>,
    /// The time within which edits form one step, and the number of steps.
    undo_grouping: (Duration, usize),
    bursts: BurstLimits,
    /// Whether the client waits for `resume`.
    is_paused: bool,
    schemas: Schemas,
}

impl Builder {
    /// `id` is a user id, which gets a random client id and tab id, or a whole node id
    /// `user:client:tab`.
    pub(crate) fn new(id: &str) -> Result<Self, IdError> {
        let (node, has_random_client) = random_node(id)?;
        Ok(Self {
            node: sync::Config::client(node),
            token: None,
            token_source: None,
            backoff: Backoff::default(),
            buffered: 1_024,
            clock: None,
            store: MemoryStore::new(),
            has_random_client,
            encryption: None,
            undo_grouping: (Duration::from_millis(500), 100),
            bursts: BurstLimits::default(),
            is_paused: false,
            schemas: Schemas::default(),
        })
    }
}

/// Returns the node of a user id, with a random client id and tab id, or of a whole node id, and
/// whether they are random.
pub(crate) fn random_node(id: &str) -> Result<(NodeId, bool), IdError> {
    if id.contains(':') {
        return Ok((NodeId::new(id)?, false));
    }
    let (client, tab): (u32, u32) = rand::random();
    Ok((NodeId::new(format!("{id}:{client:08x}:{tab:08x}"))?, true))
}

impl<St: Store + Send + 'static> Builder<St> {
    /// Sets the store of the log and of all that the client has to remember. Default: in memory.
    ///
    /// A new client over the same store continues where the former one stopped: its unsent actions
    /// are sent, with their ids and times, and [documents](Client::document) are there before the
    /// network. The client id is kept in the store, unless the builder has a whole node id. The
    /// tab id is a new one for each start, so that ids of actions stay unique if the clock goes
    /// back.
    ///
    /// If the store fails later, the client ends: [`Client::ended`] returns the error. Everything
    /// that was committed until then is still there for the next client.
    ///
    /// # Errors
    /// [`OpenError::OtherUser`] if the store has the data of another user, [`OpenError::Store`] if
    /// it fails.
    pub fn store<New: Store + Send + 'static>(
        mut self,
        mut store: New,
    ) -> Result<Builder<New>, OpenError<New::Error>> {
        let node = &self.node.node;
        match identify(&mut store, node, self.has_random_client).map_err(OpenError::Store)? {
            Ok(node) => self.node.node = node,
            Err(IdentityError::OtherUser(found)) => {
                let expected = node.user_or_client().to_owned();
                return Err(OpenError::OtherUser { expected, found });
            }
            Err(IdentityError::ClientId(error)) => return Err(error.into()),
        }
        let Self {
            node,
            token,
            token_source,
            backoff,
            buffered,
            clock,
            encryption,
            has_random_client,
            undo_grouping,
            bursts,
            is_paused,
            schemas,
            store: _,
        } = self;
        Ok(Builder {
            node,
            token,
            token_source,
            backoff,
            buffered,
            clock,
            encryption,
            has_random_client,
            undo_grouping,
            bursts,
            is_paused,
            schemas,
            store,
        })
    }

    /// Keeps everything in a SQLite file, which is created if it does not exist. See
    /// [`store`](Self::store).
    ///
    /// ```no_run
    /// use logux_client::Client;
    /// use logux_net::WebSocketConnector;
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let connector = WebSocketConnector::new("ws://127.0.0.1:31337")?;
    /// let client = Client::builder("10")?.token("secret").file("app.db")?.start(connector);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`store`](Self::store), with the errors of opening a
    /// [`Database`](logux_sqlite::Database): the file is open in another process, damaged, of
    /// another application or of a newer version, or cannot be created.
    #[cfg(feature = "sqlite")]
    pub fn file(
        self,
        path: impl AsRef<std::path::Path>,
    ) -> Result<Builder<logux_sqlite::SqliteStore>, OpenError<logux_sqlite::SqliteError>> {
        let database = logux_sqlite::Database::open(path).map_err(OpenError::Store)?;
        self.store(database.store())
    }

    /// Sets the token with which the server authenticates the user. Default: none.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets a function that is asked for the token before each connection, for tokens that expire.
    /// If the server refuses a token, it is asked again; the client ends when the server refuses
    /// the next one too, without a connection in between. Commands are handled while it waits.
    ///
    /// ```no_run
    /// use logux_client::Client;
    /// use logux_net::WebSocketConnector;
    ///
    /// # async fn fetch_token() -> String { String::new() }
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let connector = WebSocketConnector::new("ws://127.0.0.1:31337")?;
    /// let client = Client::builder("10")?.token_by(|| fetch_token()).start(connector);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn token_by<F>(mut self, source: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = String> + Send + 'static,
    {
        self.token_source = Some(TokenSource(Arc::new(move || Box::pin(source()))));
        self
    }

    /// Sets the version of the application's protocol. Default: 0.
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: u32) -> Self {
        self.node.subprotocol.number = subprotocol;
        self
    }

    /// Sets the headers that are sent to the server, a JSON object. Default: none.
    #[must_use]
    pub fn headers(mut self, headers: Json) -> Self {
        self.node.headers = Some(headers);
        self
    }

    /// Sets the delays between connection attempts and their number. Defaults to
    /// [`Backoff::default`].
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets the number of actions by which [`Actions`](crate::Actions) may lag before it misses
    /// some. Default: 1,024.
    #[must_use]
    pub fn buffered(mut self, actions: usize) -> Self {
        self.buffered = actions.max(1);
        self
    }

    /// Encrypts the actions that the client sends, and decrypts those that it receives, as
    /// `encryptActions` of `@logux/client` does. A string is a secret that all devices of the user
    /// have; [`Encryption`] has more options. Default: no encryption.
    ///
    /// The server relays the actions between the devices of a user (`logux serve --relay`,
    /// `Builder::relay` of `logux-server`), but cannot read them. So it cannot check, store or
    /// settle what they change: the types of actions of documents and records that the server
    /// keeps have to be [plain](Encryption::plain). A change of a document or record to which the
    /// client is subscribed is refused with
    /// [`SyncError::NotEncrypted`](crate::SyncError::NotEncrypted) otherwise.
    ///
    /// An action that cannot be decrypted is among
    /// [`Client::encryption_failures`](crate::Client::encryption_failures), and the exchange goes
    /// on.
    ///
    /// ```no_run
    /// use logux::crdt::{Document, Shared};
    /// use logux_client::{Client, Encryption};
    /// use logux_net::WebSocketConnector;
    ///
    /// # async fn run(secret: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// let connector = WebSocketConnector::new("ws://127.0.0.1:31337")?;
    /// let encryption = Encryption::from_secret(secret).plain(["profile/rename"]);
    /// let client = Client::builder("10")?.encryption(encryption);
    /// let diary = client.start_document(connector, Shared::<Document>::new("diaries", "1")).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn encryption(mut self, encryption: impl Into<Encryption>) -> Self {
        self.encryption = Some(encryption.into());
        self
    }

    /// Sets how edits form steps of [`DocumentHandle::undo`]: those that follow each other within
    /// this time are one step, and this number of steps is kept for each document. Default: 500 ms
    /// and 100 steps.
    #[must_use]
    pub const fn undo_grouping(mut self, within: Duration, max_steps: usize) -> Self {
        self.undo_grouping = (within, max_steps);
        self
    }

    /// Sets when a burst of typing ends: the edits of a burst are one action, which is sent at its
    /// end ([`DocumentHandle::operate_in_burst`]). [`BurstLimits::NONE`] sends each edit at once.
    /// Default: after 500 ms without an edit, 2 s after the first one, and before the action has
    /// more than 1,024 bytes.
    #[must_use]
    pub const fn bursts(mut self, limits: BurstLimits) -> Self {
        self.bursts = limits;
        self
    }

    /// Sets the schema of the documents of a kind. An edit, or a creation, that adds a violation of
    /// it is not made, also without a connection: its result is [`SyncError::Undone`] with the
    /// reason `schema` and the keys `path` and `error`. The crate `logux-schema` has JSON Schema.
    /// Default: no schema.
    ///
    /// This is for the documents that [`Client::document`] opens. An undo, and an edit that
    /// together with one of another user violates the schema, is refused by the server, if that has
    /// the schema too.
    ///
    /// ```no_run
    /// use logux::crdt::Document;
    /// use logux_client::{Client, SyncError};
    /// use logux_net::WebSocketConnector;
    /// use logux_schema::Schema;
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let connector = WebSocketConnector::new("ws://127.0.0.1:31337")?;
    /// let schema = Schema::from_file("notes.schema.json")?;
    /// let client = Client::builder("10")?.schema("notes", schema).start(connector);
    /// let note = client.document::<Document>("notes", "7").await?;
    /// let title = note.state().set_op(&"/title".parse()?, serde_json::json!(7));
    /// if let Err(SyncError::Undone(undo)) = note.operate(&[title]).await {
    ///     println!("{}: {:?}", undo.reason, undo.extra);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn schema(
        mut self,
        kind: impl Into<String>,
        schema: impl DocumentSchema + 'static,
    ) -> Self {
        self.schemas.0.insert(kind.into(), Arc::new(schema));
        self
    }

    /// Starts without a connection: [`Client::resume`] connects.
    #[must_use]
    pub const fn paused(mut self) -> Self {
        self.is_paused = true;
        self
    }

    /// Changes other values of the connection's configuration, such as time-outs and limits.
    #[must_use]
    pub fn connection(mut self, change: impl FnOnce(&mut sync::Config)) -> Self {
        change(&mut self.node);
        self
    }

    /// Sets the clock. Defaults to the system's clock; tests in virtual time use another one.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Starts the client as a task of the current tokio runtime. It connects and reconnects until
    /// all its handles are dropped or the server refuses it. If the runtime ends before, so does
    /// the client; what was added until then is kept.
    ///
    /// [`Client::document`] and [`Client::records`] open what it edits.
    pub fn start<C: Connector + 'static>(self, connector: C) -> Client {
        let (client, task) = self.prepare(connector);
        task.map(tokio::spawn);
        client
    }

    /// Starts the client with what a reducer computes from the log, open before the first
    /// connection and without a subscription. For what a server sends without a subscription and
    /// once, as a relay of encrypted actions does: nothing that is received keeps what no open
    /// document needs.
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has stopped.
    pub async fn start_document<C, R>(
        self,
        connector: C,
        reducer: R,
    ) -> Result<DocumentHandle<R>, SyncError>
    where
        C: Connector + 'static,
        R: NamedReducer<Action: Send, State: Send + Sync> + Send + 'static,
    {
        let (client, task) = self.prepare(connector);
        // Before the task begins, so before anything is received.
        let opened = client.open(reducer).await;
        task.map(tokio::spawn);
        opened
    }

    /// Sends one action, and returns the first action that the server answers with: its own or
    /// `logux/processed`. Then ends the client. For what happens before a user has a client, such
    /// as to sign up, with the user id `anonymous`.
    ///
    /// It connects until it succeeds, or as often as [`backoff`](Self::backoff) allows; the caller
    /// may set a time limit, such as with `tokio::time::timeout`.
    ///
    /// # Errors
    /// [`SyncError::Undone`] if the server undoes the action, [`SyncError::Stopped`] if it refuses
    /// the client.
    pub async fn request<C: Connector + 'static>(
        self,
        connector: C,
        action: Action,
    ) -> Result<Entry, SyncError> {
        let client = self.start(connector);
        let mut actions = client.actions();
        let pending = client.sync(action.clone());
        tokio::select! {
            // The server's own action comes before the answer.
            biased;
            Some(entry) = actions.next() => match Undo::from_action(&entry.action) {
                Some(mut undo) => {
                    undo.action.get_or_insert(action);
                    Err(SyncError::Undone(Box::new(undo)))
                }
                None => Ok(entry),
            },
            Err(error) = pending => Err(error),
            reason = client.ended() => Err(SyncError::Stopped(reason)),
        }
    }

    /// Creates the client, and its task if it can begin.
    fn prepare<C: Connector + 'static>(
        self,
        connector: C,
    ) -> (Client, Option<impl Future<Output = ()> + Send + 'static>) {
        let clock = self.clock.unwrap_or_else(Clock::start);
        let reports = Reports::new(self.node.node.clone(), self.buffered);
        let config = Config { node: Arc::new(self.node), token: self.token.map(Secret) };
        let machine = ClientMachine::with_observer(config, self.store, TimelineSet::default())
            .and_then(|machine| match &self.encryption {
                Some(encryption) => machine.with_encryption(encryption.config()),
                None => Ok(machine),
            });
        let mut machine = match machine {
            Ok(machine) => machine,
            Err(error) => {
                // The client has ended before it began: all its methods return this error.
                let shared = Arc::new(Shared::new(None, reports, self.schemas));
                shared.end(error.to_string());
                return (Client::new(shared), None);
            }
        };
        let (within, max_steps) = self.undo_grouping;
        machine = machine
            .with_undo_grouping(within, max_steps)
            .with_bursts(self.bursts)
            .with_backoff(self.backoff);
        if self.token_source.is_some() {
            machine = machine.with_token_renewal();
        }
        let mut driver =
            Driver::new(machine, clock, reports.clone(), self.encryption, self.token_source);
        if !self.is_paused {
            driver.resume();
        }
        let shared = Arc::new(Shared::new(Some(Box::new(driver)), reports, self.schemas));
        let client = Client::new(shared.clone());
        (client, Some(task::run(shared, connector, clock)))
    }
}
