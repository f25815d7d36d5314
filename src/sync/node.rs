//! One end of a connection, from the opening to the end.

use core::mem;
use std::{collections::VecDeque, sync::Arc};

use super::{
    AuthToken, Authentication, BatchToken, Config, Disconnect, Input, Output, Policy, Role, State,
    TimeoutKind,
    io::time_fix,
    session::{Peer, Session},
};
use crate::{
    action::NodeId,
    json::Json,
    store::Entry,
    time::{Deadline, MonoTime, Now, WallTime},
    wire::{Connect, Connected, ErrorMessage, Message, Protocol, decode},
};

/// One end of one connection.
///
/// # Calling
/// Give every event to [`handle`](Self::handle), actions to [`send`](Self::send), and after any number of such calls drain
/// [`poll_output`](Self::poll_output). Call [`handle`](Self::handle) with [`Input::Wake`] at [`next_deadline`](Self::next_deadline).
/// While [`wants_frames`](Self::wants_frames) is `false`, read no frames; while [`can_send`](Self::can_send) is `false`, send no
/// actions: so neither end can make the other hold more than [`Config`] says.
///
/// A node lives as long as its owner likes: after [`Input::Closed`] it can be opened again.
///
/// ```
/// use logux::{NodeId, Now, sync::{Config, Input, Node, Output}};
///
/// let mut node = Node::new(Config::client(NodeId::new("10:client:tab")?).into(), ());
/// node.connect_with(0, Some("token".into()), None);
/// node.handle(Now::from_millis(1_564_508_138_460, 0), Input::Opened);
/// let Some(Output::State(_)) = node.poll_output() else { panic!("connecting") };
/// let Some(Output::Send(frame)) = node.poll_output() else { panic!("a frame to send") };
/// assert_eq!(frame, r#"["connect",5,"10:client:tab",0,{"token":"token","subprotocol":0}]"#);
/// # Ok::<(), logux::action::IdError>(())
/// ```
#[derive(Debug)]
pub struct Node<P = ()> {
    config: Arc<Config>,
    policy: P,
    phase: Phase,
    /// What to say in `connect`; only a client has it.
    greeting: Option<Box<Greeting>>,
    local_headers: Option<Json>,
    remote_headers: Option<Json>,
    told: State,
    /// How many times the connection was opened: answers to questions of an earlier one do not count.
    opening: u32,
    out: VecDeque<Output>,
}

/// How far the connection is, with what matters only there.
#[derive(Debug)]
enum Phase {
    Closed,
    /// A client has sent `connect`, or a server waits for it.
    Greeting {
        until: Option<MonoTime>,
        sent: WallTime,
        waiting: Waiting,
    },
    /// The owner thinks about it.
    Authenticating(Box<Candidate>),
    Open(Box<Session>),
}

/// What the other end sent too early.
#[derive(Debug, Default)]
struct Waiting {
    messages: Vec<Message>,
    bytes: usize,
}

/// Who wants in, and what it sent meanwhile.
#[derive(Debug)]
struct Candidate {
    node: NodeId,
    protocol: Protocol,
    subprotocol: crate::action::Subprotocol,
    hello: Hello,
    waiting: Waiting,
}

#[derive(Debug)]
enum Hello {
    /// `connect`: when it came, and what it has got.
    Connect { received: WallTime, synced: u64 },
    /// `connected`: the base of times, and the correction of the clock.
    Connected { base: WallTime, time_fix: i64 },
}

#[derive(Default)]
struct Greeting {
    synced: u64,
    secret: Option<String>,
    time_fix: Option<i64>,
}

impl core::fmt::Debug for Greeting {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Greeting")
            .field("synced", &self.synced)
            .field("time_fix", &self.time_fix)
            .finish_non_exhaustive()
    }
}

impl<P: Policy> Node<P> {
    /// A node that is not connected. `policy` decides what may pass; `()` lets everything pass.
    pub fn new(config: Arc<Config>, policy: P) -> Self {
        Self {
            local_headers: config.headers.clone(),
            config,
            policy,
            phase: Phase::Closed,
            greeting: None,
            remote_headers: None,
            told: State::Disconnected,
            opening: 0,
            out: VecDeque::new(),
        }
    }

    /// What a client says in `connect` at the next opening: the last `added` number it has from the server, its secret, and the
    /// correction of its clock if one was found before ([`Output::TimeFix`]).
    pub fn connect_with(&mut self, synced: u64, secret: Option<String>, time_fix: Option<i64>) {
        self.greeting = Some(Box::new(Greeting { synced, secret, time_fix }));
    }

    /// How far the connection is.
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Closed => State::Disconnected,
            Phase::Greeting { .. } | Phase::Authenticating(_) => State::Connecting,
            Phase::Open(session) if session.is_synchronized() => State::Synchronized,
            Phase::Open(_) => State::Sending,
        }
    }

    /// What the other end says about itself, if it has said anything.
    pub const fn remote_headers(&self) -> Option<&Json> {
        self.remote_headers.as_ref()
    }

    /// Whether frames may be read from the connection now.
    pub fn wants_frames(&self) -> bool {
        match &self.phase {
            Phase::Open(session) => session.wants_frames(&self.config),
            _ => true,
        }
    }

    /// Whether actions may be sent now.
    pub fn can_send(&self) -> bool {
        matches!(&self.phase, Phase::Open(session) if session.can_send(&self.config))
    }

    /// When to say [`Input::Wake`] at the latest, and why.
    pub fn next_deadline(&self) -> Option<Deadline<TimeoutKind>> {
        match &self.phase {
            Phase::Greeting { until, .. } => {
                until.map(|at| Deadline { at, why: TimeoutKind::Connect })
            }
            Phase::Open(session) => session.next_deadline(&self.config),
            Phase::Closed | Phase::Authenticating(_) => None,
        }
    }

    /// What has to be done; call until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.out.pop_front();
        if output.is_none() {
            let state = self.state();
            if mem::replace(&mut self.told, state) != state {
                return Some(Output::State(state));
            }
            // Thousands of idle connections should not keep the room that one busy moment needed.
            self.out.shrink_to(4);
        }
        output
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        let done = match input {
            Input::Opened => self.opened(now),
            Input::Frame(text) => self.frame(now, text),
            Input::Closed => {
                self.phase = Phase::Closed;
                self.remote_headers = None;
                Ok(())
            }
            Input::Wake => self.wake(now.mono),
            Input::Allow(AuthToken(opening)) if opening == self.opening => self.allow(now),
            Input::Refuse(AuthToken(opening), error) if opening == self.opening => {
                self.refuse(error)
            }
            Input::Allow(_) | Input::Refuse(..) => Ok(()),
            Input::Persisted(batch) => self.kept(&batch),
            Input::SetHeaders(headers) => {
                if !matches!(self.phase, Phase::Closed) {
                    self.say(&Message::Headers { headers: headers.clone() });
                }
                self.local_headers = Some(headers);
                Ok(())
            }
            Input::Debug(text) => {
                self.say(&Message::Debug { text: text.to_owned() });
                Ok(())
            }
        };
        if let Err(reason) = done {
            self.out.push_back(Output::Disconnect(reason));
            self.phase = Phase::Closed;
        }
    }

    /// Sends own entries, oldest first. `added` is the owner's last number up to which all that is for the other end has been
    /// sent with this call. The first call after [`Output::Connected`] carries what the other end has missed, maybe nothing.
    ///
    /// Does nothing while the two are not connected: then the owner sends them after the next [`Output::Connected`].
    pub fn send<'a>(
        &mut self,
        now: MonoTime,
        added: u64,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) {
        if let Phase::Open(session) = &mut self.phase {
            session.send(&self.config, now, added, entries, &mut self.policy, &mut self.out);
        }
    }

    fn say(&mut self, message: &Message) {
        self.out.push_back(Output::Send(message.encode()));
    }

    fn opened(&mut self, now: Now) -> Result<(), Disconnect> {
        self.opening = self.opening.wrapping_add(1);
        let until = self.config.timeout.map(|timeout| now.mono.after(timeout));
        self.phase = Phase::Greeting { until, sent: now.wall, waiting: Waiting::default() };
        if self.config.role == Role::Client {
            let changed = self.changed_state();
            self.out.extend(changed);
            self.tell_headers();
            let greeting = self.greeting.get_or_insert_default();
            let connect = Message::Connect(Connect {
                protocol: Protocol::NEWEST.number(),
                node: self.config.node.clone(),
                synced: greeting.synced,
                token: greeting.secret.clone(),
                subprotocol: Some(self.config.subprotocol.in_protocol(Protocol::NEWEST)),
            });
            self.say(&connect);
        }
        Ok(())
    }

    fn changed_state(&mut self) -> Option<Output> {
        let state = self.state();
        (mem::replace(&mut self.told, state) != state).then_some(Output::State(state))
    }

    fn tell_headers(&mut self) {
        if let Some(headers) = self.local_headers.clone() {
            self.say(&Message::Headers { headers });
        }
    }

    fn wake(&mut self, now: MonoTime) -> Result<(), Disconnect> {
        match &mut self.phase {
            Phase::Greeting { until: Some(until), .. } if *until <= now => {
                Err(Disconnect::Timeout(TimeoutKind::Connect))
            }
            Phase::Open(session) => session.wake(&self.config, now, &mut self.out),
            _ => Ok(()),
        }
    }

    fn frame(&mut self, now: Now, text: &str) -> Result<(), Disconnect> {
        if matches!(self.phase, Phase::Closed) {
            return Ok(());
        }
        if let Phase::Open(session) = &mut self.phase {
            session.heard(now.mono);
        }
        let message = match decode(text, &self.config.limits) {
            Ok(message) => message,
            Err(error) => {
                self.say(&Message::Error(error.reply()));
                return Err(Disconnect::Decode(error));
            }
        };
        match (message, &mut self.phase) {
            (Message::Error(error), _) => {
                self.out.push_back(Output::PeerError(error.clone()));
                Err(Disconnect::PeerError(error))
            }
            (Message::Debug { text }, _) => {
                self.out.push_back(Output::Debug(text));
                Ok(())
            }
            (Message::Headers { headers }, _) => {
                self.remote_headers = Some(headers.clone());
                self.out.push_back(Output::Headers(headers));
                Ok(())
            }
            (message, Phase::Open(session)) => session
                .message(now.mono, message, &mut self.policy, &mut self.out)
                .inspect_err(|error| {
                    if let Disconnect::OutOfOrder(_) | Disconnect::TimeOutOfRange = error {
                        self.out
                            .push_back(Output::Send(Message::Error(wrong_format(error)).encode()));
                    }
                }),
            (Message::Connect(connect), Phase::Greeting { .. })
                if self.config.role == Role::Server =>
            {
                self.connect(now, connect)
            }
            (Message::Connected(connected), Phase::Greeting { .. })
                if self.config.role == Role::Client =>
            {
                self.connected(now, connected)
            }
            (Message::Connect(_) | Message::Connected(_), _) => {
                let error = Disconnect::OutOfOrder("connect");
                self.say(&Message::Error(wrong_format(&error)));
                Err(error)
            }
            (message, Phase::Greeting { waiting, .. }) => {
                waiting.push(&self.config, message, text.len())
            }
            (message, Phase::Authenticating(candidate)) => {
                candidate.waiting.push(&self.config, message, text.len())
            }
            (_, Phase::Closed) => Ok(()),
        }
    }

    fn check_protocol(&mut self, used: u32) -> Result<Protocol, Disconnect> {
        let spoken =
            Protocol::spoken_with(used).filter(|protocol| *protocol >= self.config.min_protocol);
        if spoken.is_none() {
            let supported = self.config.min_protocol.number();
            self.say(&Message::Error(ErrorMessage::wrong_protocol(supported, used)));
        }
        spoken.ok_or(Disconnect::WrongProtocol(used))
    }

    fn connect(&mut self, now: Now, connect: Connect) -> Result<(), Disconnect> {
        let protocol = self.check_protocol(connect.protocol)?;
        let hello = Hello::Connect { received: now.wall, synced: connect.synced };
        self.ask(connect.node, protocol, connect.subprotocol, connect.token, hello);
        Ok(())
    }

    fn connected(&mut self, now: Now, connected: Connected) -> Result<(), Disconnect> {
        let protocol = self.check_protocol(connected.protocol)?;
        let Phase::Greeting { sent, .. } = self.phase else { return Ok(()) };
        let greeting = self.greeting.get_or_insert_default();
        let time_fix = match greeting.time_fix {
            Some(known) => known,
            None => {
                let found = time_fix(sent, now.wall, connected.received, connected.sent);
                greeting.time_fix = Some(found);
                self.out.push_back(Output::TimeFix(found));
                found
            }
        };
        let base =
            WallTime::checked_from_millis(connected.sent).ok_or(Disconnect::TimeOutOfRange)?;
        let hello = Hello::Connected { base, time_fix };
        self.ask(connected.node, protocol, connected.subprotocol, connected.token, hello);
        Ok(())
    }

    fn ask(
        &mut self,
        node: NodeId,
        protocol: Protocol,
        subprotocol: Option<crate::action::Subprotocol>,
        secret: Option<String>,
        hello: Hello,
    ) {
        let waiting = match &mut self.phase {
            Phase::Greeting { waiting, .. } => mem::take(waiting),
            _ => Waiting::default(),
        };
        let subprotocol = subprotocol.unwrap_or_else(|| protocol.missing_subprotocol());
        self.out.push_back(Output::Authenticate(Authentication {
            token: AuthToken(self.opening),
            node: node.clone(),
            secret,
            protocol,
            subprotocol: subprotocol.clone(),
            headers: self.remote_headers.clone(),
        }));
        self.phase = Phase::Authenticating(Box::new(Candidate {
            node,
            protocol,
            subprotocol,
            hello,
            waiting,
        }));
    }

    /// Other settings, for all that is said from now on.
    pub fn set_config(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    fn allow(&mut self, now: Now) -> Result<(), Disconnect> {
        // An answer may come when the connection is gone already.
        let Phase::Authenticating(candidate) = mem::replace(&mut self.phase, Phase::Closed) else {
            return Ok(());
        };
        let Candidate { node, protocol, subprotocol, hello, waiting } = *candidate;
        let (base, time_fix, since) = match hello {
            Hello::Connected { base, time_fix } => (base, time_fix, None),
            Hello::Connect { received, synced } => {
                self.tell_headers();
                let connected = Message::Connected(Connected {
                    protocol: protocol.number(),
                    node: self.config.node.clone(),
                    received: received.as_millis(),
                    sent: now.wall.as_millis(),
                    token: None,
                    subprotocol: Some(self.config.subprotocol.in_protocol(protocol)),
                });
                self.say(&connected);
                (now.wall, 0, Some(synced))
            }
        };
        let peer = Peer { node: node.clone(), protocol, subprotocol, base, time_fix };
        let mut session = Session::new(&self.config, peer, self.opening, now.mono);
        self.out.push_back(Output::Connected { peer: node, since });
        let mut early = Ok(());
        for message in waiting.messages {
            early = early
                .and_then(|()| session.message(now.mono, message, &mut self.policy, &mut self.out));
        }
        self.phase = Phase::Open(Box::new(session));
        early
    }

    fn refuse(&mut self, error: ErrorMessage) -> Result<(), Disconnect> {
        if !matches!(self.phase, Phase::Authenticating(_)) {
            return Ok(());
        }
        let kind = error.kind.clone();
        self.say(&Message::Error(error));
        Err(Disconnect::Refused(kind))
    }

    fn kept(&mut self, batch: &BatchToken) -> Result<(), Disconnect> {
        if let Phase::Open(session) = &mut self.phase {
            session.kept(batch, &mut self.out);
        }
        Ok(())
    }
}

fn wrong_format(error: &Disconnect) -> ErrorMessage {
    ErrorMessage::wrong_format(&error.to_string())
}

impl Waiting {
    fn push(&mut self, config: &Config, message: Message, bytes: usize) -> Result<(), Disconnect> {
        self.bytes += bytes;
        if self.messages.len() == config.max_waiting || self.bytes > config.max_waiting_bytes {
            return Err(Disconnect::TooMuchWaiting);
        }
        self.messages.push(message);
        Ok(())
    }
}
