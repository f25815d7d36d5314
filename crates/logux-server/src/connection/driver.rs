//! One client's connection: a socket, a node, and what the hub has for it.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, atomic::Ordering},
};

use futures_util::FutureExt as _;
use logux::{
    NodeId, Now,
    action::Subprotocol,
    server::{Input as HubInput, SessionId},
    sync::{Authentication, Disconnect, Input, Node, Output},
};
use logux_net::{
    CloseReason, Frame, Transport,
    drive::{self, DeadlineTimer, FrameConnection},
};
use tokio::time::Instant;

use crate::{
    connection::{
        batch::Batch,
        rate_limit::RateLimiter,
        shared::{ConnectionShared, Rejection},
    },
    connection_info::ConnectionInfo,
    handlers::on_connect::{self, JoinedClient},
    hub::{
        handle::{HubCommand, Inputs},
        outbox::{Outbox, OutboxItem},
    },
    telemetry::event::{Event, Limit},
};

/// How many frames are taken at a time before others have their turn.
const FRAMES: usize = 64;

/// How many parcels are taken at a time: enough for one write to be worth it, not more than one message may carry.
const ITEMS: usize = 64;

/// How many kept actions go in one message.
const REPLAYED: usize = 100;

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
        traffic: Traffic::default(),
        now: shared.clock.now(),
        rate_limiter: shared.rate_limits.rate_limiter(),
        to_confirm: VecDeque::new(),
        shared,
    };
    connection.shared.open.add(session, &connection.outbox);
    let reason = connection.run().await;
    connection.shared.open.remove(session);
    connection.record_traffic();
    if connection.client.is_some() {
        connection.shared.handle.send_command(HubCommand::Input(HubInput::Leave(session))).await;
    }
    let node = connection.client.as_ref().map(|client| &client.node);
    if let Some((messages, bytes)) = connection.outbox.overflow() {
        connection.shared.telemetry().record(&Event::SlowReader { session, node, messages, bytes });
    }
    connection.shared.telemetry().record(&Event::Disconnected { session, node, reason: &reason });
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
    /// The client, when it was let in.
    client: Option<AuthenticatedClient>,
    traffic: Traffic,
    /// The time when it was last looked at: once for all that came together.
    now: Now,
    /// Where there are rates to keep to.
    rate_limiter: Option<Box<RateLimiter>>,
    /// The numbers for whose confirmation the hub waits, lowest first.
    to_confirm: VecDeque<u64>,
}

/// Bytes of messages that were not told to those who telemetry.
#[derive(Default)]
struct Traffic {
    received: u64,
    sent: u64,
}

/// A client that was let in.
struct AuthenticatedClient {
    node: NodeId,
    /// The application's protocol version it speaks.
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
            match self.outbox.closing() {
                Some(CloseReason::SlowReader) => return CloseReason::SlowReader,
                Some(reason) if self.frame_connection.is_idle() => return reason,
                _ => {}
            }
            self.record_traffic();
            let now = self.now.mono;
            if let Some(frame) =
                self.rate_limiter.as_mut().and_then(|rate_limiter| rate_limiter.due(now))
            {
                self.handle(&frame);
                continue;
            }
            let deadline = self.node.next_deadline().map(|deadline| deadline.at);
            let pause =
                self.rate_limiter.as_ref().and_then(|rate_limiter| rate_limiter.wakes_at(now));
            let deadline = [deadline, pause].into_iter().flatten().min();
            let wants_frames = self.node.wants_frames()
                && self.rate_limiter.as_ref().is_none_or(|rate_limiter| rate_limiter.may_read(now));
            let event = tokio::select! {
                event = self.frame_connection.event(wants_frames) => Some(event),
                () = self.outbox.filled() => None,
                () = self.deadline_timer.until(deadline) => {
                    self.node.handle(self.shared.clock.now(), Input::Wake);
                    None
                }
            };
            self.now = self.shared.clock.now();
            if let Some(reason) = event.and_then(|event| self.read(event)) {
                // What has come with the goodbye counts.
                return self.perform_outputs().await.err().unwrap_or(reason);
            }
        }
    }

    /// Takes what has come, all of it, so that one write answers it. Returns why the connection is over, if it is.
    fn read(&mut self, mut event: drive::Event) -> Option<CloseReason> {
        for left in (0..FRAMES).rev() {
            match event {
                drive::Event::Frame(frame) => self.admit(frame),
                drive::Event::Flushed => {}
                drive::Event::Ended(reason) => return Some(reason),
            }
            // Where there are rates to keep to, each frame has to be paid before the next is read.
            if left == 0 || self.rate_limiter.is_some() || !self.node.wants_frames() {
                break;
            }
            event = self.frame_connection.event(true).now_or_never()?;
        }
        None
    }

    /// Takes a frame from the line.
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
        self.node.handle(self.now, Input::Frame(frame.as_str()));
        self.acquire(1);
    }

    /// Pays for messages and actions, where there are rates to keep to.
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

    /// Does what the node wants.
    async fn perform_outputs(&mut self) -> Result<(), CloseReason> {
        let mut inputs = Inputs::new();
        let carried_out = self.perform_node_outputs(&mut inputs).await;
        // Together, so that the hub commits them together.
        if !inputs.is_empty() {
            self.shared.handle.send_command(HubCommand::Inputs(inputs)).await;
        }
        carried_out
    }

    /// Does what the node wants, but for what the hub has to be told.
    async fn perform_node_outputs(&mut self, inputs: &mut Inputs) -> Result<(), CloseReason> {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send(text) => {
                    self.traffic.sent += text.len() as u64;
                    self.frame_connection.push(Frame::from(text));
                }
                Output::Authenticate(who) => self.authenticate(who).await?,
                Output::Connected { peer, since } => {
                    let (join, on_connect) = self.join(peer, since.unwrap_or_default());
                    if !self.shared.handle.send_command(join).await {
                        return Err(CloseReason::Shutdown);
                    }
                    on_connect.map(tokio::spawn);
                }
                Output::Received { batch, entries, .. } => {
                    self.acquire(entries.len().saturating_sub(1) as u64);
                    self.shared.telemetry().record(&Event::Received(&entries));
                    inputs.push(HubInput::Received { session: self.session, batch, entries });
                }
                Output::SentUpTo(added) => inputs.extend(self.confirmed(added)),
                Output::Headers(headers) if self.client.is_some() => {
                    inputs.push(HubInput::Headers(self.session, headers));
                }
                Output::Disconnect(reason) => {
                    // Who was not let in was noted then.
                    if !matches!(reason, Disconnect::Refused(_)) {
                        let node = self.client.as_ref().map(|client| &client.node);
                        let event =
                            Event::ClientError { session: self.session, node, error: &reason };
                        self.shared.telemetry().record(&event);
                    }
                    return Err(close_reason(&reason));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The client has confirmed something; what the hub is told, if it waits for that.
    fn confirmed(&mut self, added: u64) -> Option<HubInput> {
        let known = self.to_confirm.iter().take_while(|number| **number <= added).count();
        self.to_confirm.drain(..known);
        (known > 0).then_some(HubInput::Acknowledged { session: self.session, added })
    }

    /// Once for each time that the connection has something to do, not for each message.
    fn record_traffic(&mut self) {
        let Traffic { received, sent } = std::mem::take(&mut self.traffic);
        if received + sent > 0 {
            self.shared.telemetry().record(&Event::Traffic { received, sent });
        }
    }

    /// What makes the client a member, and what tells it something then.
    fn join(
        &self,
        node: NodeId,
        since: u64,
    ) -> (HubCommand, Option<impl Future<Output = ()> + Send + 'static>) {
        let client = self.client.as_ref();
        let subprotocol =
            client.map_or(Subprotocol::Number(0), |client| client.subprotocol.clone());
        let headers = self.node.remote_headers().cloned();
        let on_connect = self.shared.greet.clone().map(|greet| {
            let (node, subprotocol, headers) = (node.clone(), subprotocol.clone(), headers.clone());
            let arrival =
                JoinedClient { node, since, subprotocol, headers, info: self.info.clone() };
            on_connect::greet(greet, arrival, self.shared.handle.clone())
        });
        if since > 0 {
            self.shared.telemetry().record(&Event::Reconnected);
        }
        let input = HubInput::Join { session: self.session, node, subprotocol, headers, since };
        (HubCommand::Join(input, self.outbox.clone(), self.info.clone()), on_connect)
    }

    /// Takes what the hub has for this client; `false` if that is nothing.
    fn drain_outbox(&mut self) -> bool {
        if self.client.is_some() && !self.node.can_send() {
            return false;
        }
        let now = self.now;
        let items = self.outbox.take(ITEMS);
        let any = !items.is_empty();
        let mut batch = Batch::default();
        for item in items {
            match item {
                OutboxItem::Deliver(delivery) => {
                    if let Some(full) = batch.add(delivery) {
                        self.send(&full);
                    }
                }
                OutboxItem::Joined { added, missed } => {
                    self.send(&std::mem::take(&mut batch));
                    self.node.send(now.mono, added, missed.iter().map(|entry| &**entry));
                }
                OutboxItem::Replay { added, entries } => {
                    self.send(&std::mem::take(&mut batch));
                    for some in entries.chunks(REPLAYED) {
                        self.node.send(now.mono, added, some.iter().map(|entry| &**entry));
                    }
                }
                OutboxItem::Persisted(batch) => self.node.handle(now, Input::Persisted(batch)),
                OutboxItem::Debug(text) => self.node.handle(now, Input::Debug(&text)),
            }
        }
        self.send(&batch);
        any
    }

    /// Sends what was bundled, in one message.
    fn send(&mut self, batch: &Batch) {
        if let Some(added) = batch.added() {
            self.to_confirm.extend(batch.unconfirmed());
            self.node.send(self.now.mono, added, batch.entries());
        }
    }

    async fn authenticate(&mut self, who: Authentication) -> Result<(), CloseReason> {
        let (session, asked) = (self.session, Instant::now());
        let decided = tokio::select! {
            decided = self.shared.decide(session, &self.info, &who) => decided,
            reason = self.outbox.closed() => return Err(reason),
        };
        let (now, took) = (self.shared.clock.now(), asked.elapsed());
        let (node, subprotocol) = (who.node, who.subprotocol);
        let refused = |reason: &str| {
            self.shared.telemetry().record(&Event::Unauthenticated {
                session,
                node: &node,
                reason,
                took,
            });
        };
        match decided {
            Ok(()) => {
                let event =
                    Event::Authenticated { session, node: &node, subprotocol: &subprotocol, took };
                self.shared.telemetry().record(&event);
                self.client = Some(AuthenticatedClient { node, subprotocol });
                self.node.set_config(self.shared.node_config());
                self.node.handle(now, Input::Allow(who.token));
            }
            Err(Rejection::EventLog(error)) => {
                refused(&error.kind);
                self.node.handle(now, Input::Refuse(who.token, error));
            }
            Err(Rejection::Failed) => {
                refused("error");
                return Err(CloseReason::Done);
            }
        }
        Ok(())
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
