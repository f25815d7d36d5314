//! Drives one connection: a transport, a sync node, and the outbox that the hub fills.

use std::{
    collections::VecDeque,
    future::Future,
    pin::pin,
    sync::{Arc, atomic::Ordering},
};

use futures_util::FutureExt as _;
use logux::{
    MonoTime, NodeId, Now,
    action::Subprotocol,
    server::{Input as HubInput, SessionId},
    sync::{Authentication, Disconnect, Input, Node, Output},
    wire::{DecodeError, ErrorMessage, ExceededLimit, Message},
};
use logux_net::{
    CloseReason, Frame, Transport,
    drive::{self, DeadlineTimer, FrameConnection},
};
use tokio::time::Instant;

use crate::{
    connection::{
        batch::Batch,
        large_frames::{LargeFrames, Progress},
        rate_limit::RateLimiter,
        shared::{ConnectionShared, Rejection},
    },
    connection_info::ConnectionInfo,
    handlers::on_connect::{self, JoinedClient},
    hub::{
        handle::{HubCommand, Inputs},
        outbox::{Outbox, OutboxItem},
        reader::Reader,
    },
    telemetry::event::{Event, Limit},
};

/// The largest number of frames that are handled before the outputs are performed.
const MAX_FRAMES: usize = 64;

/// The size of a message after which no other is read before the outputs are performed, in bytes.
const LARGE_MESSAGE: usize = 256;

/// The largest number of outbox items that are taken at a time: enough to fill a write, and not
/// more than one message may have.
const MAX_ITEMS: usize = 64;

/// The largest number of actions in one message of a replay.
const REPLAY_CHUNK: usize = 100;

/// Serves one connection until it ends.
pub(crate) async fn serve<T: Transport>(
    transport: T,
    shared: Arc<ConnectionShared>,
    info: ConnectionInfo,
) {
    let session = SessionId(shared.last_session.fetch_add(1, Ordering::Relaxed));
    shared.telemetry().record(&Event::Connected { session, remote: info.remote });
    let mut connection = Connection {
        node: Node::new(shared.node_config(), ()),
        outbox: Arc::new(Outbox::new(shared.outbox)),
        frame_connection: FrameConnection::new(transport),
        deadline_timer: DeadlineTimer::new(shared.clock),
        session,
        info: Arc::new(info),
        client: None,
        login_ends: None,
        traffic: Traffic::default(),
        now: shared.clock.now(),
        rate_limiter: shared.rate_limits.rate_limiter(),
        read_ahead: None,
        large_frames: LargeFrames::default(),
        to_confirm: VecDeque::new(),
        catch_up: CatchUp::default(),
        shared,
    };
    connection.shared.connections.add(session, &connection.outbox);
    let reason = connection.run().await;
    // Ends the loads that wait for the client.
    connection.outbox.close(reason.clone());
    connection.shared.connections.remove(session);
    connection.record_traffic();
    if connection.client.is_some() {
        connection.shared.handle.send_command(HubCommand::Input(HubInput::Leave(session))).await;
    }
    let node = connection.client.as_ref().map(|client| &client.node);
    let remote = connection.info.remote;
    if let Some((messages, bytes)) = connection.outbox.overflow() {
        connection.shared.telemetry().record(&Event::SlowReader { session, node, messages, bytes });
    }
    if let (Some(node), CloseReason::Replaced) = (node, &reason) {
        let now = connection.shared.clock.now().mono;
        connection.shared.replacements.record(now, node.client_id());
    }
    connection.shared.telemetry().record(&Event::Disconnected {
        session,
        remote,
        node,
        reason: &reason,
    });
    connection.frame_connection.close(reason).await;
}

struct Connection<T> {
    shared: Arc<ConnectionShared>,
    session: SessionId,
    node: Node,
    outbox: Arc<Outbox>,
    frame_connection: FrameConnection<T>,
    deadline_timer: DeadlineTimer,
    info: Arc<ConnectionInfo>,
    /// The client, if it is authenticated.
    client: Option<AuthenticatedClient>,
    /// The time at which its login ends.
    login_ends: Option<MonoTime>,
    traffic: Traffic,
    /// The current time, read once for all frames that are received together.
    now: Now,
    /// The rate limiter, if there are rates.
    rate_limiter: Option<Box<RateLimiter>>,
    /// A frame that was received while the login was decided.
    read_ahead: Option<Frame>,
    large_frames: LargeFrames,
    /// The added numbers for whose confirmation the hub waits, in ascending order.
    to_confirm: VecDeque<u64>,
    catch_up: CatchUp,
}

/// The progress of sending the actions that the client missed.
#[derive(Default)]
struct CatchUp {
    /// The added number of the last page, while there are more. No other message may have a higher
    /// one, because the client would confirm actions that it has not received.
    covered: Option<u64>,
    /// Whether to request the next page when the last one is written.
    wants_page: bool,
}

impl CatchUp {
    /// Returns the added number of a message.
    fn limit(&self, added: u64) -> u64 {
        self.covered.map_or(added, |covered| covered.min(added))
    }
}

/// The sizes of messages in bytes since the last event about them.
#[derive(Default)]
struct Traffic {
    received: u64,
    sent: u64,
}

/// A client that was accepted.
struct AuthenticatedClient {
    node: NodeId,
    /// The version of the application's own protocol that the client uses.
    subprotocol: Subprotocol,
}

impl<T: Transport> Connection<T> {
    async fn run(&mut self) -> CloseReason {
        self.node.handle(self.now, Input::Opened);
        loop {
            if let Err(reason) = self.perform_outputs().await {
                return reason;
            }
            if self.frame_connection.is_idle() && self.drain_outbox() {
                continue;
            }
            if self.catch_up.wants_page && self.frame_connection.is_idle() && self.node.can_send() {
                self.catch_up.wants_page = false;
                let next_page = HubCommand::Input(HubInput::CatchUp(self.session));
                self.shared.handle.send_command(next_page).await;
            }
            match self.outbox.close_reason() {
                Some(CloseReason::SlowReader) => return CloseReason::SlowReader,
                Some(reason) if self.frame_connection.is_idle() => return reason,
                _ => {}
            }
            if self.login_ends.is_some_and(|end| self.now.mono >= end) {
                return CloseReason::LoginEnded;
            }
            if let Some(frame) = self.read_ahead.take() {
                self.admit(frame);
                continue;
            }
            self.record_traffic();
            let now = self.now.mono;
            if let Some(frame) =
                self.rate_limiter.as_mut().and_then(|rate_limiter| rate_limiter.take_due(now))
            {
                self.handle(&frame);
                continue;
            }
            let deadline = self.node.next_deadline().map(|deadline| deadline.at);
            let rate_deadline =
                self.rate_limiter.as_ref().and_then(|rate_limiter| rate_limiter.next_deadline(now));
            let next_check = self.large_frames.next_check();
            let deadline = [deadline, rate_deadline, next_check, self.login_ends];
            let deadline = deadline.into_iter().flatten().min();
            let wants_frames = self.has_receive_capacity()
                && self.rate_limiter.as_ref().is_none_or(|rate_limiter| rate_limiter.may_read(now));
            let event = tokio::select! {
                event = self.frame_connection.event(wants_frames) => Some(event),
                permit = self.large_frames.acquired() => {
                    self.large_frames.start(permit, now);
                    self.frame_connection.admit();
                    None
                }
                () = self.outbox.changed() => None,
                () = self.deadline_timer.until(deadline) => {
                    self.node.handle(self.shared.clock.now(), Input::Wake);
                    None
                }
            };
            self.now = self.shared.clock.now();
            let partial_bytes = self.frame_connection.partial_bytes();
            match self.large_frames.check(&self.shared, self.now.mono, partial_bytes) {
                Progress::None => {}
                Progress::More => self.node.handle(self.now, Input::PartialFrame),
                Progress::TooSlow => return CloseReason::Timeout,
            }
            if let Some(reason) = event.and_then(|event| self.read(event)) {
                // Frames that were received before the end still count.
                return self.perform_outputs().await.err().unwrap_or(reason);
            }
        }
    }

    /// Handles all frames that are already received, so that they are answered in one write.
    /// Returns the reason if the connection has ended.
    fn read(&mut self, mut event: drive::Event) -> Option<CloseReason> {
        for remaining in (0..MAX_FRAMES).rev() {
            // The outputs of a message with many actions acquire tokens before the next is read.
            let has_many_actions =
                matches!(&event, drive::Event::Frame(frame) if frame.len() > LARGE_MESSAGE);
            match event {
                drive::Event::Frame(frame) => self.admit(frame),
                drive::Event::Announced(frame) => {
                    let user =
                        self.client.as_ref().map_or("", |client| client.node.user_or_client());
                    if !self.large_frames.announced(&self.shared, user, frame) {
                        break;
                    }
                    self.frame_connection.admit();
                }
                drive::Event::Flushed => {}
                drive::Event::Ended(reason) => {
                    if reason == CloseReason::TooLarge {
                        self.refuse_large_frame();
                    }
                    return Some(reason);
                }
            }
            if remaining == 0 || has_many_actions || !self.may_read_more() {
                break;
            }
            event = self.frame_connection.event(true).now_or_never()?;
        }
        None
    }

    /// Whether another frame may be read before the outputs are performed.
    fn may_read_more(&self) -> bool {
        // The authentication changes the limits of frames.
        self.client.is_some()
            && self.node.wants_frames()
            && self
                .rate_limiter
                .as_ref()
                .is_none_or(|rate_limiter| rate_limiter.may_read(self.now.mono))
    }

    /// Tells a client why its connection is closed: nothing of the frame was read, so no action of
    /// it can be undone.
    fn refuse_large_frame(&mut self) {
        let limits = &self.shared.frame_limits;
        let limit = match self.client {
            Some(_) => limits.max_frame,
            None => self.shared.node_config().max_connect_bytes.min(limits.max_frame),
        };
        let error = DecodeError::LimitExceeded(ExceededLimit::MessageBytes(limit));
        self.frame_connection.push(Message::Error(error.reply()).encode().into());
        let node = self.client.as_ref().map(|client| &client.node);
        let (session, remote) = (self.session, self.info.remote);
        let event = Event::ClientError { session, remote, node, error: &error };
        self.shared.telemetry().record(&event);
    }

    /// Handles a received frame, or gives it to the rate limiter to wait.
    fn admit(&mut self, frame: Frame) {
        self.traffic.received += frame.as_str().len() as u64;
        let admitted = match &mut self.rate_limiter {
            Some(rate_limiter) => rate_limiter.admit(self.now.mono, frame),
            None => Some(frame),
        };
        if let Some(frame) = admitted {
            self.handle(&frame);
        }
    }

    fn handle(&mut self, frame: &Frame) {
        let messages = self.node.receiving();
        self.node.handle(self.now, Input::Frame(frame.as_str()));
        self.large_frames.received(self.node.receiving().saturating_sub(messages));
        self.acquire(1);
    }

    /// Acquires tokens for messages and actions, if there is a rate limiter.
    fn acquire(&mut self, tokens: u64) {
        let Some(rate_limiter) = &mut self.rate_limiter else { return };
        let node = self.client.as_ref().map(|client| &client.node);
        let now = self.now.mono;
        if rate_limiter.acquire(
            &self.shared.rate_limits,
            node.and_then(NodeId::user_id),
            now,
            tokens,
        ) {
            let address = self.info.remote.map(|remote| remote.ip());
            self.shared.telemetry().record(&Event::Limited { node, address, limit: Limit::Rate });
        }
    }

    /// Performs the outputs of the node. `Err` if the connection has to be closed.
    async fn perform_outputs(&mut self) -> Result<(), CloseReason> {
        let mut inputs = Inputs::new();
        let result = self.perform_node_outputs(&mut inputs).await;
        // In one command, so that the hub commits them together.
        if !inputs.is_empty() {
            self.shared.handle.send_command(HubCommand::Inputs(inputs)).await;
        }
        result
    }

    /// Performs the outputs of the node, and collects the inputs for the hub.
    async fn perform_node_outputs(&mut self, inputs: &mut Inputs) -> Result<(), CloseReason> {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send(text) => {
                    self.traffic.sent += text.len() as u64;
                    self.frame_connection.push(Frame::from(text));
                }
                Output::Authenticate(request) => self.authenticate(request).await?,
                Output::Connected { peer, since } => {
                    let (join, on_connect) = self.join(peer, since.unwrap_or_default());
                    if !self.shared.handle.send_command(join).await {
                        return Err(CloseReason::Shutdown);
                    }
                    on_connect.map(tokio::spawn);
                }
                Output::Received { batch, entries, refused, .. } => {
                    let actions = (entries.len() + refused.len()) as u64;
                    self.acquire(actions.saturating_sub(u64::from(!batch.continues())));
                    self.shared.telemetry().record(&Event::Received(&entries));
                    let session = self.session;
                    // Before the batch, which confirms them.
                    if !refused.is_empty() {
                        inputs.push(HubInput::Refused { session, actions: refused });
                    }
                    inputs.push(HubInput::Received { session, batch, entries });
                }
                Output::SentUpTo(added) => inputs.extend(self.confirmed(added)),
                Output::Headers(headers) if self.client.is_some() => {
                    inputs.push(HubInput::Headers(self.session, headers));
                }
                Output::Disconnect(reason) => {
                    // A refusal was already recorded as `Unauthenticated`.
                    if !matches!(reason, Disconnect::Refused(_)) {
                        let node = self.client.as_ref().map(|client| &client.node);
                        let (session, remote) = (self.session, self.info.remote);
                        let event = Event::ClientError { session, remote, node, error: &reason };
                        self.shared.telemetry().record(&event);
                    }
                    return Err(close_reason(&reason));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Handles a confirmation of the client. Returns the input for the hub, if the hub waits for
    /// it.
    fn confirmed(&mut self, added: u64) -> Option<HubInput> {
        let confirmed = self.to_confirm.iter().take_while(|number| **number <= added).count();
        self.to_confirm.drain(..confirmed);
        (confirmed > 0).then_some(HubInput::Acknowledged { session: self.session, added })
    }

    /// Records the traffic since the last call: once per iteration of the loop, not per message.
    fn record_traffic(&mut self) {
        let Traffic { received, sent } = std::mem::take(&mut self.traffic);
        if received + sent > 0 {
            self.shared.telemetry().record(&Event::Traffic { received, sent });
        }
    }

    /// Returns the command that adds the client to the hub, and the future that then sends its
    /// initial actions.
    fn join(
        &self,
        node: NodeId,
        since: u64,
    ) -> (HubCommand, Option<impl Future<Output = ()> + Send + 'static>) {
        let client = self.client.as_ref();
        let subprotocol =
            client.map_or(Subprotocol::Number(0), |client| client.subprotocol.clone());
        let headers = self.node.remote_headers().cloned();
        let on_connect = self.shared.on_connect.clone().map(|on_connect| {
            let (node, subprotocol, headers) = (node.clone(), subprotocol.clone(), headers.clone());
            let client = JoinedClient {
                session: self.session,
                node,
                since,
                subprotocol,
                headers,
                info: self.info.clone(),
            };
            let reader = Reader::new(Some(self.outbox.clone()));
            on_connect::send_initial_actions(on_connect, client, reader, self.shared.handle.clone())
        });
        if since > 0 {
            self.shared.telemetry().record(&Event::Reconnected);
        }
        let input = HubInput::Join { session: self.session, node, subprotocol, headers, since };
        (HubCommand::Join(input, self.outbox.clone(), self.info.clone()), on_connect)
    }

    /// Whether the client's next frame can be received before its earlier actions are processed.
    fn has_receive_capacity(&self) -> bool {
        self.node.wants_frames() && !self.large_frames.is_waiting()
    }

    /// Sends the next items of the outbox. Returns `false` if there are none, or the node cannot
    /// send before the client has confirmed earlier messages.
    ///
    /// A client may send many actions before it confirms the answers to the first of them. Its
    /// confirmations are received after these actions, so nothing waits for them while the actions
    /// wait: the handlers of the actions may wait until their answers are sent.
    fn drain_outbox(&mut self) -> bool {
        if self.client.is_some() && !self.node.can_send() && self.has_receive_capacity() {
            let confirmations = self.outbox.take_confirmations();
            let has_confirmations = !confirmations.is_empty();
            for batch in confirmations {
                self.node.handle(self.now, Input::Persisted(batch));
            }
            return has_confirmations;
        }
        let now = self.now;
        let items = self.outbox.take(MAX_ITEMS);
        let has_items = !items.is_empty();
        let mut batch = Batch::default();
        for item in items {
            match item {
                OutboxItem::Deliver(delivery) => {
                    if let Some(full) = batch.add(delivery) {
                        self.send(&full);
                    }
                }
                OutboxItem::Missed { added, entries, has_more } => {
                    self.send(&std::mem::take(&mut batch));
                    self.catch_up.covered = has_more.then_some(added);
                    self.catch_up.wants_page = has_more;
                    self.to_confirm.extend((!entries.is_empty()).then_some(added));
                    self.node.send(now.mono, added, entries.iter().map(|entry| &**entry));
                }
                OutboxItem::Replay { added, entries } => {
                    self.send(&std::mem::take(&mut batch));
                    let added = self.catch_up.limit(added);
                    for chunk in entries.chunks(REPLAY_CHUNK) {
                        self.node.send(now.mono, added, chunk.iter().map(|entry| &**entry));
                    }
                }
                OutboxItem::Persisted(batch) => {
                    self.node.handle(now, Input::Persisted(batch));
                    self.large_frames.confirmed(self.node.receiving());
                }
                OutboxItem::Debug(text) => self.node.handle(now, Input::Debug(&text)),
                OutboxItem::Reject => {
                    self.send(&std::mem::take(&mut batch));
                    self.node.handle(now, Input::Reject(ErrorMessage::wrong_credentials()));
                }
            }
        }
        self.send(&batch);
        has_items
    }

    /// Sends a batch in one message, unless it is empty.
    fn send(&mut self, batch: &Batch) {
        if let Some(added) = batch.added() {
            self.to_confirm.extend(batch.unconfirmed());
            self.node.send(self.now.mono, self.catch_up.limit(added), batch.entries());
        }
    }

    /// Decides about a login. `Err` if the connection has to be closed.
    async fn authenticate(&mut self, request: Authentication) -> Result<(), CloseReason> {
        let (session, remote) = (self.session, self.info.remote);
        let start = Instant::now();
        let result = self.decide(&request).await?;
        if result.is_ok()
            && let Some(pause) = self.shared.pause_after_replacements(&request.node)
        {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                reason = self.outbox.closed() => return Err(reason),
            }
        }
        let (now, took) = (self.shared.clock.now(), start.elapsed());
        let (node, subprotocol) = (request.node, request.subprotocol);
        let refused = |reason: &str, error: Option<&str>| {
            self.shared.telemetry().record(&Event::Unauthenticated {
                session,
                remote,
                node: &node,
                reason,
                error,
                took,
            });
        };
        match result {
            Ok(end) => {
                self.login_ends = end;
                self.shared.telemetry().record(&Event::Authenticated {
                    session,
                    remote,
                    node: &node,
                    subprotocol: &subprotocol,
                    took,
                });
                self.client = Some(AuthenticatedClient { node, subprotocol });
                self.node.set_config(self.shared.node_config());
                self.frame_connection.set_limits(self.shared.frame_limits);
                self.node.handle(now, Input::Allow(request.token));
            }
            Err(Rejection::Refused { error, why }) => {
                refused(&error.kind, why.as_deref());
                self.node.handle(now, Input::Refuse(request.token, error));
            }
            Err(Rejection::Failed) => {
                refused("error", None);
                return Err(CloseReason::Done);
            }
        }
        Ok(())
    }

    /// Waits for the decision about a login. `Err` if the connection has ended before.
    async fn decide(
        &mut self,
        request: &Authentication,
    ) -> Result<Result<Option<MonoTime>, Rejection>, CloseReason> {
        let (shared, info) = (self.shared.clone(), self.info.clone());
        let mut decision = pin!(shared.authenticate(self.session, &info, request));
        loop {
            // One frame is read ahead, to notice the end of the connection: a client that has left
            // must not wait among those that may still connect.
            tokio::select! {
                result = &mut decision => return Ok(result),
                reason = self.outbox.closed() => return Err(reason),
                event = self.frame_connection.event(self.read_ahead.is_none()) => match event {
                    drive::Event::Frame(frame) => self.read_ahead = Some(frame),
                    drive::Event::Flushed => {}
                    // Frames are not announced before the login: their limit is low.
                    drive::Event::Announced(_) => return Err(CloseReason::TooLarge),
                    drive::Event::Ended(reason) => return Err(reason),
                }
            }
        }
    }
}

fn close_reason(reason: &Disconnect) -> CloseReason {
    match reason {
        Disconnect::Timeout(_) => CloseReason::Timeout,
        Disconnect::Refused(_) | Disconnect::WrongProtocol(_) | Disconnect::TooMuchWaiting => {
            CloseReason::Refused
        }
        Disconnect::PeerError(_) => CloseReason::Done,
        _ => CloseReason::WrongFormat,
    }
}
