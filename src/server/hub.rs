//! The middle of a server: every connected client, every channel, every action in progress.

use std::{collections::VecDeque, sync::Arc};

use super::{
    About, Addition, Answer, Ask, Author, Filter, Input, Job, Output, Recipients, Report, SessionId,
    channels::Channels,
    inbox::{Inbox, Known},
    jobs::{Jobs, Task},
    sessions::Sessions,
};
use crate::{
    action::{
        Action, ActionError, ActionId, Json, NodeId, Subprotocol,
        logux::{self, Processed, Subscribed, Undo},
    },
    log::{Draft, Log, LogError},
    now::{Now, WallTime},
    store::{Entry, Store},
    sync::BatchToken,
};

/// Settings of a [`Hub`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's node id, such as `server:px3-J3oc`.
    pub node: NodeId,
    /// The application's protocol version, for actions of its own.
    pub subprotocol: u32,
    /// Tell clients in `debug` messages why actions were refused.
    pub debug: bool,
    /// How many actions and answers to remember, so that an action that comes again is not done again.
    pub remembered: u64,
    /// How many actions of one client may wait for the application before no more is read from it.
    pub max_queue: usize,
    /// How many channels one client may be subscribed to.
    pub max_subscriptions: usize,
}

impl Config {
    /// The settings of a server in production: 10,000 entries remembered, 1,000 actions waiting, 10,000 channels.
    pub const fn new(node: NodeId) -> Self {
        Self { node, subprotocol: 0, debug: false, remembered: 10_000, max_queue: 1_000, max_subscriptions: 10_000 }
    }
}

/// Routes actions between clients, and asks the application about each.
///
/// # Calling
/// Give inputs to [`handle`](Self::handle), any number of them; then call [`commit`](Self::commit), which makes everything durable in
/// one step of the store; only then drain [`poll_output`](Self::poll_output), which gives out nothing that is not committed. So a
/// confirmation never leaves before what it confirms is safe, and a busy server pays for one commit per round, not per action.
///
/// # Life of an action of a client
/// Received → checked to be the client's own → kept in the inbox → confirmed → waits for the client's earlier ones → the application is
/// asked ([`Output::Ask`]) → approved: sent to the recipients → processed: the author is told `logux/processed`. Whatever goes wrong,
/// the author, and the recipients if they got it, are told `logux/undo`; and as in the reference, what the client has sent
/// behind it and still waits is undone too, with the reason `error`, since it may build on it.
#[derive(Debug)]
pub struct Hub<S> {
    config: Config,
    log: Log<S>,
    sessions: Sessions,
    channels: Channels,
    jobs: Jobs,
    inbox: Inbox,
    draining: bool,
    /// Outputs that wait for the commit, and those behind it.
    pending: VecDeque<Output>,
    ready: VecDeque<Output>,
}

impl<S: Store> Hub<S> {
    /// A hub over a store. Actions that were not answered before the last stop are asked about again.
    ///
    /// # Errors
    /// When the store fails.
    pub fn new(config: Config, store: S) -> Result<Self, LogError<S::Error>> {
        let log = Log::new(config.node.clone(), store)?;
        let mut hub = Self {
            inbox: Inbox::new(config.remembered),
            config,
            log,
            sessions: Sessions::default(),
            channels: Channels::default(),
            jobs: Jobs::default(),
            draining: false,
            pending: VecDeque::new(),
            ready: VecDeque::new(),
        };
        for entry in hub.inbox.unanswered(&hub.log)? {
            let task = Task::of_client(entry, None);
            if task.about == About::Subscription {
                hub.jobs.park(task);
            } else {
                hub.enqueue(task);
            }
        }
        Ok(hub)
    }

    /// Gives the store back.
    pub fn into_store(self) -> S {
        self.log.into_store()
    }

    /// How many clients are connected.
    pub fn connected(&self) -> usize {
        self.sessions.len()
    }

    /// Makes everything so far durable and its outputs available.
    ///
    /// # Errors
    /// When the store fails: then nothing of it may be told to anybody, and the server has to stop.
    pub fn commit(&mut self) -> Result<(), LogError<S::Error>> {
        self.log.commit()?;
        self.ready.append(&mut self.pending);
        Ok(())
    }

    /// What has to be done; call until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.ready.pop_front()
    }

    /// Takes what happened.
    ///
    /// # Errors
    /// When the store fails: the server has to stop then, clients will send again what was not confirmed.
    pub fn handle(&mut self, now: Now, input: Input) -> Result<(), LogError<S::Error>> {
        let now = now.wall;
        match input {
            Input::Join { session, node, subprotocol, headers, since } => {
                self.join(session, node, subprotocol, headers, since)?;
            }
            Input::Leave(session) => self.leave(session),
            Input::Headers(session, headers) => {
                if let Some(session) = self.sessions.get_mut(session) {
                    session.headers = Some(headers);
                }
            }
            Input::Received { session, batch, entries } => self.received(now, session, batch, entries)?,
            Input::Answer(job, answer) => self.answer(now, job, answer)?,
            Input::Add(addition) => self.add(now, *addition)?,
            Input::Subscribe { node, channel } => self.subscribe_node(now, &node, channel)?,
            Input::Drain => self.draining = true,
        }
        if self.draining && self.jobs.is_idle() {
            self.pending.push_back(Output::Drained);
        }
        Ok(())
    }

    fn join(
        &mut self,
        id: SessionId,
        node: NodeId,
        subprotocol: Subprotocol,
        headers: Option<Json>,
        since: u64,
    ) -> Result<(), LogError<S::Error>> {
        if let Some(zombie) = self.sessions.of_client(node.client_id()) {
            self.leave(zombie);
            self.pending.push_back(Output::Replaced(zombie));
        }
        let missed = self.inbox.missed(&self.log, node.client_id(), since)?;
        let added = self.log.last_added()?;
        self.sessions.insert(id, node.clone(), subprotocol, headers);
        self.pending.push_back(Output::Joined { session: id, added, missed });
        for mut task in self.jobs.unpark(node.client_id()) {
            if *task.entry.meta.id.node() == node {
                task.session = Some(id);
                self.enqueue(task);
            } else {
                // The tab that wanted it is gone for good.
                self.inbox.forget(&mut self.log, &task.entry.meta.id)?;
            }
        }
        Ok(())
    }

    fn leave(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(id) else { return };
        for channel in session.channels {
            self.channels.leave(&channel, id);
            self.pending.push_back(Output::Report(Report::Unsubscribed {
                node: session.node.clone(),
                channel: channel.clone(),
            }));
            self.pending.push_back(Output::Unsubscribed { node: session.node.clone(), channel });
        }
    }

    // Actions of clients

    fn received(
        &mut self,
        now: WallTime,
        id: SessionId,
        batch: BatchToken,
        entries: Vec<Entry>,
    ) -> Result<(), LogError<S::Error>> {
        if self.draining {
            return Ok(());
        }
        let max_queue = self.config.max_queue;
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        if !session.held.is_empty() || self.jobs.waiting(session.node.client_id()) >= max_queue {
            session.held.push_back((batch, entries));
            return Ok(());
        }
        for entry in entries {
            self.receive(now, id, entry)?;
        }
        self.pending.push_back(Output::Kept(id, batch));
        Ok(())
    }

    fn receive(&mut self, now: WallTime, id: SessionId, entry: Entry) -> Result<(), LogError<S::Error>> {
        let Some(session) = self.sessions.get(id) else { return Ok(()) };
        let action_id = &entry.meta.id;
        if action_id.node().client_id() != session.node.client_id() || !entry.meta.extra.is_empty() {
            return self.refuse_forged(now, id, &entry);
        }
        if self.jobs.knows(action_id) {
            self.pending.push_back(Output::Report(Report::Duplicate(action_id.clone())));
            return Ok(());
        }
        if entry.action.kind() == logux::UNSUBSCRIBE {
            return self.unsubscribe(now, id, &entry);
        }
        match self.inbox.known(&self.log, action_id)? {
            Known::Answered(answer) => {
                self.pending.push_back(Output::Report(Report::Duplicate(action_id.clone())));
                let added = self.log.last_added()?;
                self.pending.push_back(Output::Deliver { session: id, added, entry: Arc::new(answer) });
                return Ok(());
            }
            Known::Waiting => {
                self.pending.push_back(Output::Report(Report::Duplicate(action_id.clone())));
                return Ok(());
            }
            Known::New => {}
        }
        let kind = entry.action.kind().to_owned();
        self.pending.push_back(Output::Report(Report::Added { id: action_id.clone(), kind }));
        let kept = self.inbox.keep(&mut self.log, now, entry)?;
        self.enqueue(Task::of_client(kept, Some(id)));
        Ok(())
    }

    /// An action that is not the client's own, or says more than a client may: only the one who sent it is told.
    fn refuse_forged(&mut self, now: WallTime, id: SessionId, entry: &Entry) -> Result<(), LogError<S::Error>> {
        let action_id = entry.meta.id.clone();
        self.debug(Some(id), || format!("Action \"{action_id}\" was denied"));
        self.report_undone(&action_id, "denied");
        let undo = undo_of(entry, "denied", Vec::new());
        self.send_to_session(now, id, undo)
    }

    fn enqueue(&mut self, task: Task) {
        if let Some((job, task)) = self.jobs.push(task) {
            let ask = ask(&self.sessions, job, task);
            self.pending.push_back(Output::Ask(ask));
        }
    }

    fn start_next(&mut self, now: WallTime, node: &NodeId) -> Result<(), LogError<S::Error>> {
        if let Some((job, task)) = self.jobs.next(node) {
            let ask = ask(&self.sessions, job, task);
            self.pending.push_back(Output::Ask(ask));
        }
        // The queue has room again: take what was held back.
        while self.jobs.waiting(node.client_id()) < self.config.max_queue {
            let Some(id) = self.sessions.of_client(node.client_id()) else { break };
            let Some((batch, entries)) = self.sessions.get_mut(id).and_then(|session| session.held.pop_front()) else {
                break;
            };
            for entry in entries {
                self.receive(now, id, entry)?;
            }
            self.pending.push_back(Output::Kept(id, batch));
        }
        Ok(())
    }

    // Answers of the application

    fn answer(&mut self, now: WallTime, job: Job, answer: Answer) -> Result<(), LogError<S::Error>> {
        let Some(task) = self.jobs.running(job) else { return Ok(()) };
        match answer {
            Answer::Resend(recipients) => {
                task.recipients.extend(recipients);
                Ok(())
            }
            Answer::Approved(filter) => self.approved(now, job, filter),
            Answer::Action(action, time) => {
                let client = task.entry.meta.id.node().client_id().to_owned();
                let draft = Draft { time, ..self.own_draft() };
                let Some(entry) = self.log.add(now, action, draft)? else { return Ok(()) };
                self.deliver(Arc::new(entry), &Recipients::client(client), None)
            }
            Answer::Processed => self.processed(now, job),
            Answer::Denied => {
                self.debug_author(job, |task| format!("Action \"{}\" was denied", task.entry.meta.id));
                self.undone(now, job, "denied", Vec::new())
            }
            Answer::UnknownType => {
                self.debug_author(job, |task| format!("Action with unknown type {}", task.entry.action.kind()));
                self.undone(now, job, "unknownType", Vec::new())
            }
            Answer::WrongChannel => {
                self.debug_author(job, |task| {
                    format!("Wrong channel name {}", task.entry.action.field("channel").unwrap_or("undefined"))
                });
                self.undone(now, job, "wrongChannel", Vec::new())
            }
            Answer::Undo { reason, extra } => self.undone(now, job, &reason, extra),
        }
    }

    fn approved(&mut self, now: WallTime, job: Job, filter: Option<Filter>) -> Result<(), LogError<S::Error>> {
        let Some(task) = self.jobs.running(job) else { return Ok(()) };
        if core::mem::replace(&mut task.approved, true) {
            return Ok(());
        }
        let (entry, recipients, about) = (task.entry.clone(), task.recipients.clone(), task.about);
        if about != About::Subscription {
            let author = (about == About::Action).then(|| entry.meta.id.node().clone());
            return self.deliver(entry, &recipients, author.as_ref());
        }
        if let (Some(id), Some(channel)) = (task.session, entry.action.text_field("channel")) {
            let channel: Arc<str> = channel.into();
            if let Some(session) = self.sessions.get_mut(id) {
                if session.channels.len() >= self.config.max_subscriptions && !session.channels.contains(&channel) {
                    return self.undone(now, job, "error", Vec::new());
                }
                session.channels.insert(channel.clone());
                self.channels.subscribe(&channel, id, filter_key(&entry.action), filter);
                let node = entry.meta.id.node().clone();
                self.pending.push_back(Output::Report(Report::Subscribed { node, channel }));
            }
        }
        Ok(())
    }

    fn processed(&mut self, now: WallTime, job: Job) -> Result<(), LogError<S::Error>> {
        if let Some(task) = self.jobs.running(job)
            && !task.approved
        {
            // Processed without a word about access: that is for the application to say, and it has not.
            return self.undone(now, job, "error", Vec::new());
        }
        let Some(task) = self.jobs.finish(job) else { return Ok(()) };
        let id = task.entry.meta.id.clone();
        if task.about == About::Subscription && task.session.is_none_or(|session| self.sessions.get(session).is_none())
        {
            self.jobs.park(Task { approved: false, session: None, recipients: Recipients::default(), ..task });
        } else {
            self.pending.push_back(Output::Report(Report::Processed(id.clone())));
            let answer = Processed { id: id.to_string() }.to_action();
            self.conclude(now, &task, answer, &Recipients::default())?;
            if let Some(ticket) = task.ticket {
                self.pending.push_back(Output::Done(ticket, Ok(())));
            }
        }
        self.start_next(now, id.node())
    }

    /// Takes an action back, and what the client has sent behind it.
    fn undone(
        &mut self,
        now: WallTime,
        job: Job,
        reason: &str,
        extra: Vec<(String, Json)>,
    ) -> Result<(), LogError<S::Error>> {
        let Some(task) = self.jobs.finish(job) else { return Ok(()) };
        let node = task.entry.meta.id.node().clone();
        let behind = if task.about == About::OwnAction { Vec::new() } else { self.jobs.drain_waiting(&node) };
        self.undo_task(now, &task, reason, extra)?;
        for task in behind {
            self.undo_task(now, &task, "error", Vec::new())?;
        }
        self.start_next(now, &node)
    }

    fn undo_task(
        &mut self,
        now: WallTime,
        task: &Task,
        reason: &str,
        extra: Vec<(String, Json)>,
    ) -> Result<(), LogError<S::Error>> {
        self.report_undone(&task.entry.meta.id, reason);
        if let (About::Subscription, Some(id), Some(channel)) =
            (task.about, task.session, task.entry.action.text_field("channel"))
            && task.approved
        {
            self.unsubscribe_session(id, &channel, &filter_key(&task.entry.action));
        }
        let recipients = if task.approved { task.recipients.clone() } else { Recipients::default() };
        let undo = undo_of(&task.entry, reason, extra);
        self.conclude(now, task, undo, &recipients)?;
        if let Some(ticket) = task.ticket {
            self.pending.push_back(Output::Done(ticket, Err(reason.to_owned())));
        }
        Ok(())
    }

    /// Tells the author, and the recipients if they have to know, how an action ended.
    fn conclude(
        &mut self,
        now: WallTime,
        task: &Task,
        answer: Result<Action, ActionError>,
        recipients: &Recipients,
    ) -> Result<(), LogError<S::Error>> {
        // A text and a checked action can always be written as JSON.
        let Ok(answer) = answer else { return Ok(()) };
        let id = &task.entry.meta.id;
        let entry = if task.kept && task.about == About::Action {
            self.inbox.answer(&mut self.log, now, id, answer)?
        } else {
            if task.kept {
                self.inbox.forget(&mut self.log, id)?;
            }
            self.log.add(now, answer, self.own_draft())?
        };
        let Some(entry) = entry else { return Ok(()) };
        let mut recipients = recipients.clone();
        if task.about != About::OwnAction {
            recipients.clients.push(id.node().client_id().into());
        }
        self.deliver(Arc::new(entry), &recipients, None)
    }

    // Channels

    fn unsubscribe(&mut self, now: WallTime, id: SessionId, entry: &Entry) -> Result<(), LogError<S::Error>> {
        let Some(channel) = entry.action.text_field("channel") else {
            self.debug(Some(id), || "Wrong channel name undefined".to_owned());
            self.report_undone(&entry.meta.id, "wrongChannel");
            return self.send_to_session(now, id, undo_of(entry, "wrongChannel", Vec::new()));
        };
        self.unsubscribe_session(id, &channel, &filter_key(&entry.action));
        self.pending.push_back(Output::Report(Report::Processed(entry.meta.id.clone())));
        self.send_to_session(now, id, Processed { id: entry.meta.id.to_string() }.to_action())
    }

    fn unsubscribe_session(&mut self, id: SessionId, channel: &str, filter: &str) {
        if self.channels.unsubscribe(channel, id, filter)
            && let Some(session) = self.sessions.get_mut(id)
            && let Some(channel) = session.channels.take(channel)
        {
            let node = session.node.clone();
            self.pending
                .push_back(Output::Report(Report::Unsubscribed { node: node.clone(), channel: channel.clone() }));
            self.pending.push_back(Output::Unsubscribed { node, channel });
        }
    }

    fn subscribe_node(&mut self, now: WallTime, node: &NodeId, channel: Arc<str>) -> Result<(), LogError<S::Error>> {
        let Some(id) = self.sessions.of_node(node) else { return Ok(()) };
        if self.channels.is_subscribed(&channel, id) {
            return Ok(());
        }
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        if session.channels.len() >= self.config.max_subscriptions {
            return Ok(());
        }
        session.channels.insert(channel.clone());
        self.channels.subscribe(&channel, id, NO_FILTER.into(), None);
        self.send_to_session(now, id, Subscribed { channel: (*channel).to_owned() }.to_action())
    }

    // Sending

    fn add(&mut self, now: WallTime, addition: Addition) -> Result<(), LogError<S::Error>> {
        let Addition { action, time, to, process, ticket } = addition;
        let draft = Draft { time, ..self.own_draft() };
        let Some(entry) = self.log.add(now, action, draft)? else { return Ok(()) };
        let entry = Arc::new(entry);
        if process {
            let task = Task {
                about: About::OwnAction,
                entry,
                recipients: to,
                approved: false,
                session: None,
                ticket,
                kept: false,
            };
            let (job, task) = self.jobs.start_alone(task);
            let ask = ask(&self.sessions, job, task);
            self.pending.push_back(Output::Ask(ask));
            return Ok(());
        }
        self.deliver(entry, &to, None)?;
        if let Some(ticket) = ticket {
            self.pending.push_back(Output::Done(ticket, Ok(())));
        }
        Ok(())
    }

    fn own_draft(&self) -> Draft {
        Draft { subprotocol: Some(Subprotocol::Number(self.config.subprotocol)), ..Draft::default() }
    }

    fn send_to_session(
        &mut self,
        now: WallTime,
        id: SessionId,
        action: Result<Action, ActionError>,
    ) -> Result<(), LogError<S::Error>> {
        let Ok(action) = action else { return Ok(()) };
        if let Some(entry) = self.log.add(now, action, self.own_draft())? {
            let added = self.log.last_added()?;
            self.pending.push_back(Output::Deliver { session: id, added, entry: Arc::new(entry) });
        }
        Ok(())
    }

    /// Sends an action to everyone it is for, once. The author's own client gets it only where it is named by client or node.
    fn deliver(
        &mut self,
        entry: Arc<Entry>,
        to: &Recipients,
        author: Option<&NodeId>,
    ) -> Result<(), LogError<S::Error>> {
        let added = self.log.last_added()?;
        self.sessions.begin_delivery();
        let (sessions, channels, pending) = (&mut self.sessions, &self.channels, &mut self.pending);
        let mut send = |sessions: &mut Sessions, id: SessionId| {
            if sessions.reach(id) {
                pending.push_back(Output::Deliver { session: id, added, entry: entry.clone() });
            }
        };
        for node in &to.nodes {
            if let Some(id) = NodeId::new(node.clone()).ok().and_then(|node| sessions.of_node(&node)) {
                send(sessions, id);
            }
        }
        for client in &to.clients {
            if let Some(id) = sessions.of_client(client) {
                send(sessions, id);
            }
        }
        // From here on the author and the excluded count as reached.
        let author = author.map(NodeId::client_id);
        for client in to.exclude_clients.iter().map(|client| &**client).chain(author) {
            if let Some(id) = sessions.of_client(client) {
                sessions.reach(id);
            }
        }
        for user in &to.users {
            for id in sessions.of_user(user).to_vec() {
                send(sessions, id);
            }
        }
        for channel in &to.channels {
            for id in channels.receivers(channel, &entry) {
                send(sessions, id);
            }
        }
        Ok(())
    }

    fn report_undone(&mut self, id: &ActionId, reason: &str) {
        self.pending.push_back(Output::Report(Report::Undone { id: id.clone(), reason: reason.to_owned() }));
    }

    fn debug(&mut self, session: Option<SessionId>, text: impl FnOnce() -> String) {
        if let (true, Some(session)) = (self.config.debug, session) {
            self.pending.push_back(Output::Debug(session, text()));
        }
    }

    fn debug_author(&mut self, job: Job, text: impl FnOnce(&Task) -> String) {
        let Some(task) = self.jobs.running(job) else { return };
        let (client, text) = (task.entry.meta.id.node().clone(), text(task));
        let session = self.sessions.of_client(client.client_id());
        self.debug(session, || text);
    }
}

/// How subscriptions without a filter are told from those with one.
const NO_FILTER: &str = "{}";

fn filter_key(action: &Action) -> Arc<str> {
    action.field("filter").unwrap_or(NO_FILTER).into()
}

fn undo_of(entry: &Entry, reason: &str, extra: Vec<(String, Json)>) -> Result<Action, ActionError> {
    let id = entry.meta.id.to_string();
    Undo { id, reason: reason.to_owned(), action: Some(entry.action.clone()), extra }.to_action()
}

fn ask(sessions: &Sessions, job: Job, task: &Task) -> Ask {
    let node = task.entry.meta.id.node();
    let session = sessions.of_client(node.client_id()).and_then(|id| sessions.get(id));
    let author = Author {
        node: node.clone(),
        subprotocol: task.entry.meta.subprotocol.clone().or_else(|| session.map(|session| session.subprotocol.clone())),
        headers: session.and_then(|session| session.headers.clone()),
    };
    Ask { job, about: task.about, entry: task.entry.clone(), author }
}

impl Task {
    fn of_client(entry: Entry, session: Option<SessionId>) -> Self {
        let about = if entry.action.kind() == logux::SUBSCRIBE { About::Subscription } else { About::Action };
        Self {
            about,
            entry: Arc::new(entry),
            recipients: Recipients::default(),
            approved: false,
            session,
            ticket: None,
            kept: true,
        }
    }
}
