//! One end of one connection: its state machine and the handshake.

use core::mem;
use std::{collections::VecDeque, sync::Arc};

use super::{
    AuthToken, Authentication, BatchToken, Config, Disconnect, Input, Output, Policy, Role, State,
    TimeoutKind,
    io::time_fix,
    session::{Peer, Session},
};
use crate::{
    action::{NodeId, Subprotocol},
    excerpt::name_excerpt,
    json::Json,
    store::Entry,
    time::{Deadline, MonoTime, Now, WallTime},
    wire::{Connect, Connected, ErrorMessage, Message, MessageLimits, Protocol, decode},
};

/// One end of one connection.
///
/// # Calling
/// Pass every event to [`handle`](Self::handle) and actions to [`send`](Self::send). After any
/// number of these calls, call [`poll_output`](Self::poll_output) until it returns `None`. Call
/// [`handle`](Self::handle) with [`Input::Wake`] at [`next_deadline`](Self::next_deadline). While
/// [`wants_frames`](Self::wants_frames) is `false`, read no frames; while
/// [`can_send`](Self::can_send) is `false`, send no actions. Then the memory that a peer can occupy
/// is bounded by [`Config`].
///
/// After [`Input::Closed`], a node can be used for the next connection.
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
    /// The values for `connect`. Only a client has them.
    connect_params: Option<Box<ConnectParams>>,
    local_headers: Option<Json>,
    remote_headers: Option<Json>,
    /// The state of the last [`Output::State`].
    reported_state: State,
    /// The number of the current connection: responses to requests of earlier ones are ignored.
    opening: u32,
    out: VecDeque<Output>,
}

/// The state of the connection, with its data.
#[derive(Debug)]
enum Phase {
    Closed,
    /// A client has sent `connect`, or a server waits for it.
    Connecting {
        until: Option<MonoTime>,
        sent: WallTime,
        early: EarlyMessages,
    },
    /// The driver has to respond to the authentication request.
    Authenticating(Box<PendingPeer>),
    Open(Box<Session>),
}

/// The messages that are received before the end of the authentication.
#[derive(Debug, Default)]
struct EarlyMessages {
    messages: Vec<Message>,
    bytes: usize,
}

/// The peer during its authentication.
#[derive(Debug)]
struct PendingPeer {
    node: NodeId,
    protocol: Protocol,
    subprotocol: Subprotocol,
    handshake: Handshake,
    early: EarlyMessages,
}

/// The data of the received handshake message.
#[derive(Debug)]
enum Handshake {
    /// `connect`: the time of its arrival, and the last `added` number that the peer has received.
    Connect { received: WallTime, synced: u64 },
    /// `connected`: the base of times, and the correction of the clock.
    Connected { base: WallTime, time_fix: i64 },
}

#[derive(Default)]
struct ConnectParams {
    synced: u64,
    secret: Option<String>,
    time_fix: Option<i64>,
}

// The secret stays out of logs.
impl core::fmt::Debug for ConnectParams {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ConnectParams")
            .field("synced", &self.synced)
            .field("time_fix", &self.time_fix)
            .finish_non_exhaustive()
    }
}

impl<P: Policy> Node<P> {
    /// Creates a node that is not connected. `policy` filters the actions; `()` passes all of them.
    pub fn new(config: Arc<Config>, policy: P) -> Self {
        Self {
            local_headers: config.headers.clone(),
            config,
            policy,
            phase: Phase::Closed,
            connect_params: None,
            remote_headers: None,
            reported_state: State::Disconnected,
            opening: 0,
            out: VecDeque::new(),
        }
    }

    /// Sets the values that a client uses for the next connection: the last `added` number that it
    /// has received from the server, its credentials, and the correction of its clock in
    /// milliseconds, if it has been measured ([`Output::TimeFix`]).
    pub fn connect_with(&mut self, synced: u64, secret: Option<String>, time_fix: Option<i64>) {
        self.connect_params = Some(Box::new(ConnectParams { synced, secret, time_fix }));
    }

    /// Returns the state of the connection.
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Closed => State::Disconnected,
            Phase::Connecting { .. } | Phase::Authenticating(_) => State::Connecting,
            Phase::Open(session) if session.is_synchronized() => State::Synchronized,
            Phase::Open(_) => State::Sending,
        }
    }

    /// Returns the peer's headers, a JSON object, if the peer has sent them.
    pub const fn remote_headers(&self) -> Option<&Json> {
        self.remote_headers.as_ref()
    }

    /// Returns `true` if frames may be read from the connection now.
    pub fn wants_frames(&self) -> bool {
        match &self.phase {
            Phase::Open(session) => session.wants_frames(&self.config),
            _ => true,
        }
    }

    /// Returns the number of received `sync` messages that are not confirmed.
    pub fn receiving(&self) -> usize {
        match &self.phase {
            Phase::Open(session) => session.receiving(),
            _ => 0,
        }
    }

    /// Returns `true` if actions may be sent now.
    pub fn can_send(&self) -> bool {
        matches!(&self.phase, Phase::Open(session) if session.can_send(&self.config))
    }

    /// Returns the latest time of the next [`Input::Wake`], and its kind.
    pub fn next_deadline(&self) -> Option<Deadline<TimeoutKind>> {
        match &self.phase {
            Phase::Connecting { until, .. } => {
                until.map(|at| Deadline { at, kind: TimeoutKind::Connect })
            }
            Phase::Open(session) => session.next_deadline(&self.config),
            Phase::Closed | Phase::Authenticating(_) => None,
        }
    }

    /// Returns the next output. To be called until it returns `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.out.pop_front();
        if output.is_none() {
            if let Some(state) = self.changed_state() {
                return Some(state);
            }
            // Thousands of idle connections must not keep the capacity of a busy time.
            self.out.shrink_to(4);
        }
        output
    }

    /// Handles an input.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        let result = match input {
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
            Input::Reject(error) => self.reject(error),
            Input::Persisted(batch) => {
                self.persisted(now.mono, &batch);
                Ok(())
            }
            Input::PartialFrame => {
                if let Phase::Open(session) = &mut self.phase {
                    session.partial_frame(&self.config, now.mono, &mut self.out);
                }
                Ok(())
            }
            Input::SetHeaders(headers) => {
                if !matches!(self.phase, Phase::Closed) {
                    self.send_message(&Message::Headers { headers: headers.clone() });
                }
                self.local_headers = Some(headers);
                Ok(())
            }
            Input::Debug(text) => {
                self.send_message(&Message::Debug { text: text.to_owned() });
                Ok(())
            }
        };
        if let Err(reason) = result {
            if let Disconnect::OutOfOrder(_)
            | Disconnect::TimeOutOfRange
            | Disconnect::UnsentConfirmed(_)
            | Disconnect::NumberOutOfRange(_) = reason
            {
                let error = ErrorMessage::wrong_format(&reason.to_string());
                self.send_message(&Message::Error(error));
            }
            self.out.push_back(Output::Disconnect(reason));
            self.phase = Phase::Closed;
        }
    }

    /// Sends entries to the peer, oldest first. `added` is the last `added` number of this node's
    /// log that this call covers: after it, all entries for the peer up to `added` have been sent.
    /// The first call after [`Output::Connected`] has the entries that the peer has missed, and is
    /// needed even if there are none.
    ///
    /// Does nothing if the node is not connected: the driver sends the entries after the next
    /// [`Output::Connected`].
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

    /// Returns the highest `added` number of the messages that this node has sent, for entries that
    /// say nothing about others: those that no log has. 0 if the node is not connected.
    pub fn sent_added(&self) -> u64 {
        match &self.phase {
            Phase::Open(session) => session.sent_added(),
            _ => 0,
        }
    }

    fn send_message(&mut self, message: &Message) {
        self.out.push_back(Output::Send(message.encode()));
    }

    fn opened(&mut self, now: Now) -> Result<(), Disconnect> {
        self.opening = self.opening.wrapping_add(1);
        let until = self.config.connect_timeout.map(|timeout| now.mono.after(timeout));
        self.phase = Phase::Connecting { until, sent: now.wall, early: EarlyMessages::default() };
        if self.config.role == Role::Client {
            let changed = self.changed_state();
            self.out.extend(changed);
            self.send_headers();
            let params = self.connect_params.get_or_insert_default();
            let connect = Message::Connect(Connect {
                protocol: Protocol::NEWEST.number(),
                node: self.config.node.clone(),
                synced: params.synced,
                token: params.secret.clone(),
                subprotocol: Some(self.config.subprotocol.in_protocol(Protocol::NEWEST)),
            });
            self.send_message(&connect);
        }
        Ok(())
    }

    /// Returns [`Output::State`] if the state has changed since the last one.
    fn changed_state(&mut self) -> Option<Output> {
        let state = self.state();
        (mem::replace(&mut self.reported_state, state) != state).then_some(Output::State(state))
    }

    fn send_headers(&mut self) {
        if let Some(headers) = self.local_headers.clone() {
            self.send_message(&Message::Headers { headers });
        }
    }

    fn wake(&mut self, now: MonoTime) -> Result<(), Disconnect> {
        match &mut self.phase {
            Phase::Connecting { until: Some(until), .. } if *until <= now => {
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
            session.reset_idle_time(now.mono);
        }
        let message = match decode(text, &self.limits()) {
            Ok(message) => message,
            Err(error) => {
                self.send_message(&Message::Error(error.reply()));
                return Err(Disconnect::Decode(error));
            }
        };
        match (message, &mut self.phase) {
            (Message::Error(mut error), _) => {
                // It is reported, and compared with kinds that are short.
                error.kind = name_excerpt(&error.kind).into_owned();
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
            (message, Phase::Open(session)) => session.message(
                now.mono,
                message,
                text.len(),
                &self.config,
                &mut self.policy,
                &mut self.out,
            ),
            (Message::Connect(connect), Phase::Connecting { .. })
                if self.config.role == Role::Server =>
            {
                self.connect(now, connect)
            }
            (Message::Connected(connected), Phase::Connecting { .. })
                if self.config.role == Role::Client =>
            {
                self.connected(now, connected)
            }
            (Message::Connect(_), _) => Err(Disconnect::OutOfOrder("connect")),
            (Message::Connected(_), _) => Err(Disconnect::OutOfOrder("connected")),
            (message, Phase::Connecting { early, .. }) => {
                early.push(&self.config, message, text.len())
            }
            (message, Phase::Authenticating(peer)) => {
                peer.early.push(&self.config, message, text.len())
            }
            (_, Phase::Closed) => Ok(()),
        }
    }

    /// Returns the bounds of a frame that is received now.
    fn limits(&self) -> MessageLimits {
        let limits = self.config.limits;
        match self.phase {
            Phase::Open(_) => limits,
            _ => MessageLimits {
                message_bytes: limits.message_bytes.min(self.config.max_connect_bytes),
                ..limits
            },
        }
    }

    fn check_protocol(&mut self, used: u32) -> Result<Protocol, Disconnect> {
        let negotiated =
            Protocol::negotiate(used).filter(|protocol| *protocol >= self.config.min_protocol);
        if negotiated.is_none() {
            let supported = self.config.min_protocol.number();
            self.send_message(&Message::Error(ErrorMessage::wrong_protocol(supported, used)));
        }
        negotiated.ok_or(Disconnect::WrongProtocol(used))
    }

    fn connect(&mut self, now: Now, connect: Connect) -> Result<(), Disconnect> {
        let protocol = self.check_protocol(connect.protocol)?;
        let handshake = Handshake::Connect { received: now.wall, synced: connect.synced };
        self.authenticate(connect.node, protocol, connect.subprotocol, connect.token, handshake);
        Ok(())
    }

    fn connected(&mut self, now: Now, connected: Connected) -> Result<(), Disconnect> {
        let protocol = self.check_protocol(connected.protocol)?;
        let Phase::Connecting { sent, .. } = self.phase else { return Ok(()) };
        let [Some(_), Some(base)] =
            [connected.received, connected.sent].map(WallTime::checked_from_millis)
        else {
            return Err(Disconnect::TimeOutOfRange);
        };
        let measured = time_fix(sent, now.wall, connected.received, connected.sent);
        let params = self.connect_params.get_or_insert_default();
        let time_fix = match params.time_fix {
            Some(known) if is_plausible(known, measured) => known,
            _ => {
                params.time_fix = Some(measured);
                self.out.push_back(Output::TimeFix(measured));
                measured
            }
        };
        let handshake = Handshake::Connected { base, time_fix };
        let Connected { node, subprotocol, token, .. } = connected;
        self.authenticate(node, protocol, subprotocol, token, handshake);
        Ok(())
    }

    /// Requests the authentication of the peer from the driver.
    fn authenticate(
        &mut self,
        node: NodeId,
        protocol: Protocol,
        subprotocol: Option<Subprotocol>,
        secret: Option<String>,
        handshake: Handshake,
    ) {
        let early = match &mut self.phase {
            Phase::Connecting { early, .. } => mem::take(early),
            _ => EarlyMessages::default(),
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
        self.phase = Phase::Authenticating(Box::new(PendingPeer {
            node,
            protocol,
            subprotocol,
            handshake,
            early,
        }));
    }

    /// Replaces the configuration, for all later messages.
    pub fn set_config(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    fn allow(&mut self, now: Now) -> Result<(), Disconnect> {
        // The connection may be closed before the response.
        let Phase::Authenticating(pending) = mem::replace(&mut self.phase, Phase::Closed) else {
            return Ok(());
        };
        let PendingPeer { node, protocol, subprotocol, handshake, early } = *pending;
        let (base, time_fix, since) = match handshake {
            Handshake::Connected { base, time_fix } => (base, time_fix, None),
            Handshake::Connect { received, synced } => {
                self.send_headers();
                let connected = Message::Connected(Connected {
                    protocol: protocol.number(),
                    node: self.config.node.clone(),
                    received: received.as_millis(),
                    sent: now.wall.as_millis(),
                    token: None,
                    subprotocol: Some(self.config.subprotocol.in_protocol(protocol)),
                });
                self.send_message(&connected);
                (now.wall, 0, Some(synced))
            }
        };
        let received = self.connect_params.as_ref().map(|params| params.synced);
        let peer = Peer { node: node.clone(), protocol, subprotocol, base, time_fix, received };
        let mut session = Session::new(&self.config, peer, self.opening, now.mono);
        self.out.push_back(Output::Connected { peer: node, since });
        let mut result = Ok(());
        let (config, policy, out) = (&self.config, &mut self.policy, &mut self.out);
        for message in early.messages {
            // Their size is bounded already.
            result =
                result.and_then(|()| session.message(now.mono, message, 0, config, policy, out));
        }
        self.phase = Phase::Open(Box::new(session));
        result
    }

    fn refuse(&mut self, error: ErrorMessage) -> Result<(), Disconnect> {
        if !matches!(self.phase, Phase::Authenticating(_)) {
            return Ok(());
        }
        self.reject(error)
    }

    fn reject(&mut self, error: ErrorMessage) -> Result<(), Disconnect> {
        if matches!(self.phase, Phase::Closed) {
            return Ok(());
        }
        let kind = error.kind.clone();
        self.send_message(&Message::Error(error));
        Err(Disconnect::Refused(kind))
    }

    fn persisted(&mut self, now: MonoTime, batch: &BatchToken) {
        if let Phase::Open(session) = &mut self.phase {
            session.persisted(&self.config, now, batch, &mut self.out);
        }
    }
}

/// Whether a known correction of the clock can still be used, given the one that was measured now,
/// both in milliseconds. It is used as long as possible, because another one would change the order
/// of earlier actions.
///
/// A clock that was set forward since would date actions so far ahead that servers refuse them; one
/// that is more than a day off was measured by a wrong clock, here or at the server.
const fn is_plausible(known: i64, measured: i64) -> bool {
    const MAX_AHEAD: i64 = 4 * 60 * 1_000;
    const MAX_BEHIND: i64 = 24 * 60 * 60 * 1_000;
    let ahead = measured.saturating_sub(known);
    -MAX_BEHIND <= ahead && ahead <= MAX_AHEAD
}

impl EarlyMessages {
    fn push(&mut self, config: &Config, message: Message, bytes: usize) -> Result<(), Disconnect> {
        self.bytes += bytes;
        if self.messages.len() == config.max_waiting || self.bytes > config.max_waiting_bytes {
            return Err(Disconnect::TooMuchWaiting);
        }
        self.messages.push(message);
        Ok(())
    }
}
