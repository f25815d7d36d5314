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
    drive::{self, Alarm, Line},
};
use tokio::time::Instant;

use crate::{
    connection::{
        batch::Bundle,
        rate_limit::Pace,
        shared::{Refusal, Shared},
    },
    connection_info::Origin,
    handlers::on_connect::{self, Arrival},
    hub::{
        handle::{Command, Inputs},
        outbox::{Outbox, Parcel},
    },
    telemetry::event::{Event, Limit},
};

/// How many frames are taken at a time before others have their turn.
const FRAMES: usize = 64;

/// How many parcels are taken at a time: enough for one write to be worth it, not more than one message may carry.
const PARCELS: usize = 64;

/// How many kept actions go in one message.
const REPLAYED: usize = 100;

/// Serves one connection until it ends.
pub(crate) async fn serve<T: Transport>(transport: T, shared: Arc<Shared>, origin: Origin) {
    let session = SessionId(shared.last_session.fetch_add(1, Ordering::Relaxed));
    shared.watch().note(&Event::Connected { session, remote: origin.remote });
    let mut connection = Connection {
        node: Node::new(shared.node_config(), ()),
        outbox: Arc::new(Outbox::new(shared.outbox)),
        line: Line::new(transport),
        alarm: Alarm::new(shared.clock),
        session,
        origin: Arc::new(origin),
        member: None,
        traffic: Traffic::default(),
        now: shared.clock.now(),
        pace: shared.paces.pace(),
        to_confirm: VecDeque::new(),
        shared,
    };
    connection.shared.open.add(session, &connection.outbox);
    let reason = connection.run().await;
    connection.shared.open.remove(session);
    connection.tell_traffic();
    if connection.member.is_some() {
        connection.shared.handle.tell(Command::Input(HubInput::Leave(session))).await;
    }
    let node = connection.member.as_ref().map(|member| &member.node);
    if let Some((messages, bytes)) = connection.outbox.overflow() {
        connection.shared.watch().note(&Event::SlowReader { session, node, messages, bytes });
    }
    connection.shared.watch().note(&Event::Disconnected { session, node, reason: &reason });
    connection.line.close(reason).await;
}

struct Connection<T> {
    shared: Arc<Shared>,
    session: SessionId,
    node: Node,
    outbox: Arc<Outbox>,
    line: Line<T>,
    alarm: Alarm,
    origin: Arc<Origin>,
    /// The client, when it was let in.
    member: Option<Member>,
    traffic: Traffic,
    /// The time when it was last looked at: once for all that came together.
    now: Now,
    /// Where there are rates to keep to.
    pace: Option<Box<Pace>>,
    /// The numbers for whose confirmation the hub waits, lowest first.
    to_confirm: VecDeque<u64>,
}

/// Bytes of messages that were not told to those who watch.
#[derive(Default)]
struct Traffic {
    received: u64,
    sent: u64,
}

/// A client that was let in.
struct Member {
    node: NodeId,
    /// The application's protocol version it speaks.
    subprotocol: Subprotocol,
}

impl<T: Transport> Connection<T> {
    async fn run(&mut self) -> CloseReason {
        self.node.handle(self.now, Input::Opened);
        loop {
            if let Err(reason) = self.carry_out().await {
                return reason;
            }
            if self.line.is_idle() && self.unpack() {
                continue;
            }
            match self.outbox.closing() {
                Some(CloseReason::SlowReader) => return CloseReason::SlowReader,
                Some(reason) if self.line.is_idle() => return reason,
                _ => {}
            }
            self.tell_traffic();
            let now = self.now.mono;
            if let Some(frame) = self.pace.as_mut().and_then(|pace| pace.due(now)) {
                self.handle(&frame);
                continue;
            }
            let deadline = self.node.next_deadline().map(|deadline| deadline.at);
            let pause = self.pace.as_ref().and_then(|pace| pace.wakes_at(now));
            let deadline = [deadline, pause].into_iter().flatten().min();
            let wants_frames = self.node.wants_frames()
                && self.pace.as_ref().is_none_or(|pace| pace.may_read(now));
            let event = tokio::select! {
                event = self.line.event(wants_frames) => Some(event),
                () = self.outbox.filled() => None,
                () = self.alarm.until(deadline) => {
                    self.node.handle(self.shared.clock.now(), Input::Wake);
                    None
                }
            };
            self.now = self.shared.clock.now();
            if let Some(reason) = event.and_then(|event| self.read(event)) {
                // What has come with the goodbye counts.
                return self.carry_out().await.err().unwrap_or(reason);
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
            if left == 0 || self.pace.is_some() || !self.node.wants_frames() {
                break;
            }
            event = self.line.event(true).now_or_never()?;
        }
        None
    }

    /// Takes a frame from the line.
    fn admit(&mut self, frame: Frame) {
        self.traffic.received += frame.as_str().len() as u64;
        let admitted = match &mut self.pace {
            Some(pace) => pace.admit(self.now.mono, frame),
            None => Some(frame),
        };
        if let Some(frame) = admitted {
            self.handle(&frame);
        }
    }

    fn handle(&mut self, frame: &Frame) {
        self.node.handle(self.now, Input::Frame(frame.as_str()));
        self.pay(1);
    }

    /// Pays for messages and actions, where there are rates to keep to.
    fn pay(&mut self, tokens: u64) {
        let Some(pace) = &mut self.pace else { return };
        let node = self.member.as_ref().map(|member| &member.node);
        let now = self.now.mono;
        if pace.spend(&self.shared.paces, node.and_then(NodeId::user_id), now, tokens) {
            let address = self.origin.remote.map(|remote| remote.ip());
            self.shared.watch().note(&Event::Limited { node, address, limit: Limit::Rate });
        }
    }

    /// Does what the node wants.
    async fn carry_out(&mut self) -> Result<(), CloseReason> {
        let mut inputs = Inputs::new();
        let carried_out = self.carry_out_here(&mut inputs).await;
        // Together, so that the hub commits them together.
        if !inputs.is_empty() {
            self.shared.handle.tell(Command::Inputs(inputs)).await;
        }
        carried_out
    }

    /// Does what the node wants, but for what the hub has to be told.
    async fn carry_out_here(&mut self, inputs: &mut Inputs) -> Result<(), CloseReason> {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send(text) => {
                    self.traffic.sent += text.len() as u64;
                    self.line.push(Frame::from(text));
                }
                Output::Authenticate(who) => self.authenticate(who).await?,
                Output::Connected { peer, since } => {
                    let (join, greeting) = self.join(peer, since.unwrap_or_default());
                    if !self.shared.handle.tell(join).await {
                        return Err(CloseReason::Shutdown);
                    }
                    greeting.map(tokio::spawn);
                }
                Output::Received { batch, entries, .. } => {
                    self.pay(entries.len().saturating_sub(1) as u64);
                    self.shared.watch().note(&Event::Received(&entries));
                    inputs.push(HubInput::Received { session: self.session, batch, entries });
                }
                Output::SentUpTo(added) => inputs.extend(self.confirmed(added)),
                Output::Headers(headers) if self.member.is_some() => {
                    inputs.push(HubInput::Headers(self.session, headers));
                }
                Output::Disconnect(reason) => {
                    // Who was not let in was noted then.
                    if !matches!(reason, Disconnect::Refused(_)) {
                        let node = self.member.as_ref().map(|member| &member.node);
                        let event =
                            Event::ClientError { session: self.session, node, error: &reason };
                        self.shared.watch().note(&event);
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
    fn tell_traffic(&mut self) {
        let Traffic { received, sent } = std::mem::take(&mut self.traffic);
        if received + sent > 0 {
            self.shared.watch().note(&Event::Traffic { received, sent });
        }
    }

    /// What makes the client a member, and what tells it something then.
    fn join(
        &self,
        node: NodeId,
        since: u64,
    ) -> (Command, Option<impl Future<Output = ()> + Send + 'static>) {
        let member = self.member.as_ref();
        let subprotocol =
            member.map_or(Subprotocol::Number(0), |member| member.subprotocol.clone());
        let headers = self.node.remote_headers().cloned();
        let greeting = self.shared.greet.clone().map(|greet| {
            let (node, subprotocol, headers) = (node.clone(), subprotocol.clone(), headers.clone());
            let arrival =
                Arrival { node, since, subprotocol, headers, origin: self.origin.clone() };
            on_connect::greet(greet, arrival, self.shared.handle.clone())
        });
        if since > 0 {
            self.shared.watch().note(&Event::Reconnected);
        }
        let input = HubInput::Join { session: self.session, node, subprotocol, headers, since };
        (Command::Join(input, self.outbox.clone(), self.origin.clone()), greeting)
    }

    /// Takes what the hub has for this client; `false` if that is nothing.
    fn unpack(&mut self) -> bool {
        if self.member.is_some() && !self.node.can_send() {
            return false;
        }
        let now = self.now;
        let parcels = self.outbox.take(PARCELS);
        let any = !parcels.is_empty();
        let mut bundle = Bundle::default();
        for parcel in parcels {
            match parcel {
                Parcel::Deliver(delivery) => {
                    if let Some(full) = bundle.add(delivery) {
                        self.send(&full);
                    }
                }
                Parcel::Joined { added, missed } => {
                    self.send(&std::mem::take(&mut bundle));
                    self.node.send(now.mono, added, missed.iter().map(|entry| &**entry));
                }
                Parcel::Replay { added, entries } => {
                    self.send(&std::mem::take(&mut bundle));
                    for some in entries.chunks(REPLAYED) {
                        self.node.send(now.mono, added, some.iter().map(|entry| &**entry));
                    }
                }
                Parcel::Kept(batch) => self.node.handle(now, Input::Kept(batch)),
                Parcel::Debug(text) => self.node.handle(now, Input::Debug(&text)),
            }
        }
        self.send(&bundle);
        any
    }

    /// Sends what was bundled, in one message.
    fn send(&mut self, bundle: &Bundle) {
        if let Some(added) = bundle.added() {
            self.to_confirm.extend(bundle.to_confirm());
            self.node.send(self.now.mono, added, bundle.entries());
        }
    }

    async fn authenticate(&mut self, who: Authentication) -> Result<(), CloseReason> {
        let (session, asked) = (self.session, Instant::now());
        let decided = tokio::select! {
            decided = self.shared.decide(session, &self.origin, &who) => decided,
            reason = self.outbox.closed() => return Err(reason),
        };
        let (now, took) = (self.shared.clock.now(), asked.elapsed());
        let (node, subprotocol) = (who.node, who.subprotocol);
        let refused = |reason: &str| {
            self.shared.watch().note(&Event::Unauthenticated {
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
                self.shared.watch().note(&event);
                self.member = Some(Member { node, subprotocol });
                self.node.set_config(self.shared.node_config());
                self.node.handle(now, Input::Allow(who.token));
            }
            Err(Refusal::Told(error)) => {
                refused(&error.kind);
                self.node.handle(now, Input::Refuse(who.token, error));
            }
            Err(Refusal::Failed) => {
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
