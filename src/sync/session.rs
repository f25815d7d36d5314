//! The exchange of actions after the handshake, and keep-alive.

use std::{borrow::Cow, collections::VecDeque};

use smallvec::SmallVec;

use super::{BatchToken, Config, Disconnect, Output, Policy, Role, io::TimeoutKind};
use crate::{
    action::{Meta, NodeId, Subprotocol},
    store::Entry,
    time::{Deadline, MonoTime, WallTime},
    wire::{Message, Protocol, Sync, SyncWriter},
};

/// The estimated size of the meta of an action in a message, in bytes.
const META_BYTES: usize = 96;

/// The state of a connection after the handshake.
#[derive(Debug)]
pub(super) struct Session {
    peer: NodeId,
    peer_subprotocol: Subprotocol,
    own_subprotocol: Subprotocol,
    /// The time to which all times on this connection are relative.
    base: WallTime,
    /// Local minus remote clock, in milliseconds. Added to received times, subtracted from sent
    /// ones.
    time_fix: i64,
    /// The deadlines for the `synced` of each unconfirmed `sync` message.
    sending: VecDeque<Option<MonoTime>>,
    /// The received `sync` messages that are not confirmed.
    receiving: VecDeque<ReceivedBatch>,
    next_batch: u32,
    /// The number of the connection.
    opening: u32,
    /// Whether the entries that the peer had missed have been sent.
    caught_up: bool,
    ping: Ping,
    /// The highest own `added` number that has been sent.
    last_added: u64,
}

/// A received `sync` message.
#[derive(Debug)]
struct ReceivedBatch {
    number: u32,
    added: u64,
    persisted: bool,
}

/// The state of keep-alive.
#[derive(Debug, Clone, Copy)]
enum Ping {
    /// The time of the last message.
    Idle(MonoTime),
    /// `ping` was sent; the deadline for `pong`.
    Sent(Option<MonoTime>),
}

/// The peer, and the base and correction of its times.
pub(super) struct Peer {
    pub(super) node: NodeId,
    pub(super) protocol: Protocol,
    pub(super) subprotocol: Subprotocol,
    pub(super) base: WallTime,
    pub(super) time_fix: i64,
}

impl Session {
    pub(super) fn new(config: &Config, peer: Peer, opening: u32, now: MonoTime) -> Self {
        Self {
            own_subprotocol: config.subprotocol.in_protocol(peer.protocol),
            peer: peer.node,
            peer_subprotocol: peer.subprotocol,
            base: peer.base,
            time_fix: peer.time_fix,
            sending: VecDeque::new(),
            receiving: VecDeque::new(),
            next_batch: 0,
            opening,
            caught_up: false,
            ping: Ping::Idle(now),
            last_added: 0,
        }
    }

    pub(super) fn is_synchronized(&self) -> bool {
        self.caught_up && self.sending.is_empty()
    }

    pub(super) fn can_send(&self, config: &Config) -> bool {
        self.sending.len() < config.max_sending
    }

    pub(super) fn wants_frames(&self, config: &Config) -> bool {
        self.receiving.len() < config.max_receiving
    }

    /// Restarts the ping interval, unless a `ping` waits for its `pong`.
    pub(super) fn reset_idle_time(&mut self, now: MonoTime) {
        if let Ping::Idle(since) = &mut self.ping {
            *since = now;
        }
    }

    pub(super) fn next_deadline(&self, config: &Config) -> Option<Deadline<TimeoutKind>> {
        let ping = match self.ping {
            Ping::Idle(since) => config
                .ping_interval
                .map(|interval| Deadline { at: since.after(interval), kind: TimeoutKind::Ping }),
            Ping::Sent(until) => until.map(|at| Deadline { at, kind: TimeoutKind::Pong }),
        };
        let synced = self
            .sending
            .front()
            .copied()
            .flatten()
            .map(|at| Deadline { at, kind: TimeoutKind::Synced });
        match ping {
            Some(ping) => Some(ping.earlier(synced)),
            None => synced,
        }
    }

    /// Handles a deadline that is reached: sends `ping`, or returns the time-out.
    pub(super) fn wake(
        &mut self,
        config: &Config,
        now: MonoTime,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Disconnect> {
        match self.next_deadline(config) {
            Some(Deadline { at, kind: TimeoutKind::Ping }) if at <= now => {
                out.push_back(Output::Send(Message::Ping { added: self.last_added }.encode()));
                self.ping = Ping::Sent(config.timeout.map(|timeout| now.after(timeout)));
                Ok(())
            }
            Some(Deadline { at, kind }) if at <= now => Err(Disconnect::Timeout(kind)),
            _ => Ok(()),
        }
    }

    /// Sends entries in `sync` messages of at most [`Config::actions_per_sync`] actions.
    pub(super) fn send<'a, P: Policy>(
        &mut self,
        config: &Config,
        now: MonoTime,
        added: u64,
        entries: impl IntoIterator<Item = &'a Entry>,
        policy: &mut P,
        out: &mut VecDeque<Output>,
    ) {
        self.caught_up = true;
        let entries = entries.into_iter();
        let (at_least, _) = entries.size_hint();
        let mut passing = entries.filter_map(|entry| policy.outgoing(entry)).peekable();
        while passing.peek().is_some() {
            let mut chunk = SmallVec::<[Cow<'a, Entry>; 1]>::with_capacity(
                at_least.min(config.actions_per_sync),
            );
            chunk.extend(passing.by_ref().take(config.actions_per_sync));
            let last = passing.peek().is_none();
            let last_added =
                chunk.last().and_then(|entry| entry.meta.added).filter(|_| !last).unwrap_or(added);
            let entry_bytes = chunk.iter().map(|entry| entry.action.as_json().len() + META_BYTES);
            let capacity = entry_bytes.sum::<usize>() + META_BYTES;
            let mut writer =
                SyncWriter::new(last_added, self.base, &config.node, self.time_fix, capacity);
            for entry in &chunk {
                writer.entry(
                    &entry.action,
                    &entry.meta,
                    self.sent_subprotocol(config, &entry.meta),
                );
            }
            out.push_back(Output::Send(writer.finish()));
            self.sending.push_back(config.timeout.map(|timeout| now.after(timeout)));
            self.reset_idle_time(now);
        }
        self.last_added = self.last_added.max(added);
    }

    /// Returns the subprotocol to send with an action. As in the reference, a client omits the one
    /// that the server knows from `connect`, and a server always sends it.
    fn sent_subprotocol<'m>(&self, config: &Config, meta: &'m Meta) -> Option<&'m Subprotocol> {
        meta.subprotocol
            .as_ref()
            .filter(|own| config.role == Role::Server || **own != self.own_subprotocol)
    }

    /// Handles a message that is allowed only after the handshake.
    pub(super) fn message<P: Policy>(
        &mut self,
        now: MonoTime,
        message: Message,
        policy: &mut P,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Disconnect> {
        match message {
            Message::Sync(sync) => self.receive(sync, policy, out)?,
            Message::Synced { added } => {
                self.sending.pop_front();
                out.push_back(Output::SentUpTo(added));
            }
            Message::Ping { added } => {
                self.received_up_to(added, out);
                out.push_back(Output::Send(Message::Pong { added: self.last_added }.encode()));
            }
            Message::Pong { added } => {
                if matches!(self.ping, Ping::Sent(_)) {
                    self.ping = Ping::Idle(now);
                }
                self.received_up_to(added, out);
            }
            Message::Connect(_) => return Err(Disconnect::OutOfOrder("connect")),
            Message::Connected(_) => return Err(Disconnect::OutOfOrder("connected")),
            Message::Error(_) | Message::Debug { .. } | Message::Headers { .. } => {}
        }
        Ok(())
    }

    /// Handles the `added` number of a `ping` or `pong`. It is ignored while received actions are
    /// not durable.
    fn received_up_to(&self, added: u64, out: &mut VecDeque<Output>) {
        if self.receiving.is_empty() {
            out.push_back(Output::ReceivedUpTo(added));
        }
    }

    fn receive<P: Policy>(
        &mut self,
        sync: Sync,
        policy: &mut P,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Disconnect> {
        let mut entries = Vec::with_capacity(sync.entries.len());
        for entry in sync.entries {
            let id = entry.id.expand(self.base, &self.peer).ok_or(Disconnect::TimeOutOfRange)?;
            let time = entry
                .time
                .checked_add(self.base.as_millis())
                .and_then(|ms| ms.checked_add(self.time_fix))
                .and_then(WallTime::checked_from_millis)
                .ok_or(Disconnect::TimeOutOfRange)?;
            let mut meta = Meta::new(id).with_time(time);
            meta.subprotocol =
                Some(entry.subprotocol.unwrap_or_else(|| self.peer_subprotocol.clone()));
            meta.extra = entry.extra;
            entries.extend(policy.incoming(Entry::new(entry.action, meta)));
        }
        let batch = BatchToken { opening: self.opening, number: self.next_batch };
        self.next_batch = self.next_batch.wrapping_add(1);
        let (number, added) = (batch.number, sync.added);
        self.receiving.push_back(ReceivedBatch { number, added, persisted: false });
        out.push_back(Output::Received { batch, added: sync.added, entries });
        Ok(())
    }

    /// Marks a batch as durable, and confirms all batches up to the first one that is not. `synced`
    /// is sent in the order of `sync`, because the peer takes a number as the confirmation of all
    /// earlier ones too.
    pub(super) fn persisted(&mut self, batch: &BatchToken, out: &mut VecDeque<Output>) {
        if batch.opening != self.opening {
            return;
        }
        if let Some(received) = self.receiving.iter_mut().find(|one| one.number == batch.number) {
            received.persisted = true;
        }
        while let Some(&ReceivedBatch { added, persisted: true, .. }) = self.receiving.front() {
            self.receiving.pop_front();
            out.push_back(Output::ReceivedUpTo(added));
            out.push_back(Output::Send(Message::Synced { added }.encode()));
        }
    }
}
