//! The exchange of actions after the handshake, and keep-alive.

use core::time::Duration;
use std::{borrow::Cow, collections::VecDeque};

use smallvec::SmallVec;

use super::{
    BatchToken, Config, Disconnect, Output, Policy, RefusedAction, Role, io::TimeoutKind,
    receiving::Receiving,
};
use crate::{
    action::{ActionId, Meta, NodeId, Subprotocol},
    store::Entry,
    time::{Deadline, MonoTime, WallTime},
    wire::{CompactId, Message, Protocol, Sync, SyncWriter},
};

/// The estimated size of the meta of an action in a message, in bytes.
const META_BYTES: usize = 96;

/// A server's `added` number that is higher than all earlier ones by more than this is an error.
const MAX_ADDED_STEP: u64 = 1 << 40;

/// The state of a connection after the handshake.
#[derive(Debug)]
pub(super) struct Session {
    peer: NodeId,
    peer_subprotocol: Subprotocol,
    own_subprotocol: Subprotocol,
    protocol: Protocol,
    /// The time to which all times on this connection are relative.
    base: WallTime,
    /// Local minus remote clock, in milliseconds. Added to received times, subtracted from sent
    /// ones.
    time_fix: i64,
    /// The unconfirmed `sync` messages.
    sending: VecDeque<SentBatch>,
    /// Their size in bytes.
    sending_bytes: usize,
    /// The received `sync` messages that are not confirmed.
    receiving: Receiving,
    /// The time of the last `pong`, or since when there are unconfirmed messages.
    reassured_at: MonoTime,
    /// The number of the connection.
    opening: u32,
    /// Whether the entries that the peer had missed have been sent.
    caught_up: bool,
    ping: Ping,
    /// The highest own `added` number that has been sent.
    last_added: u64,
    /// The highest `added` number of the server that was received, also in earlier connections.
    /// `None` if the peer is a client.
    received: Option<u64>,
}

/// A sent `sync` message.
#[derive(Debug)]
struct SentBatch {
    added: u64,
    /// The deadline for its `synced`.
    until: Option<MonoTime>,
    bytes: usize,
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
    /// The highest `added` number that was received in earlier connections, if it is a server.
    pub(super) received: Option<u64>,
}

impl Session {
    pub(super) fn new(config: &Config, peer: Peer, opening: u32, now: MonoTime) -> Self {
        Self {
            own_subprotocol: config.subprotocol.in_protocol(peer.protocol),
            protocol: peer.protocol,
            peer: peer.node,
            peer_subprotocol: peer.subprotocol,
            base: peer.base,
            time_fix: peer.time_fix,
            sending: VecDeque::new(),
            sending_bytes: 0,
            receiving: Receiving::default(),
            reassured_at: now,
            opening,
            caught_up: false,
            ping: Ping::Idle(now),
            last_added: 0,
            received: peer.received,
        }
    }

    pub(super) fn is_synchronized(&self) -> bool {
        self.caught_up && self.sending.is_empty()
    }

    pub(super) fn can_send(&self, config: &Config) -> bool {
        self.sending.len() < config.max_sending && self.sending_bytes < config.max_sending_bytes
    }

    pub(super) fn wants_frames(&self, config: &Config) -> bool {
        self.receiving.wants_frames(config)
    }

    pub(super) const fn receiving(&self) -> usize {
        self.receiving.messages()
    }

    /// Restarts the ping interval, unless a `ping` waits for its `pong`.
    pub(super) fn reset_idle_time(&mut self, now: MonoTime) {
        if let Ping::Idle(since) = &mut self.ping {
            *since = now;
        }
    }

    pub(super) fn next_deadline(&self, config: &Config) -> Option<Deadline<TimeoutKind>> {
        let receiving = reassure_interval(config)
            .filter(|_| !self.receiving.is_empty())
            .map(|interval| self.reassured_at.after(interval))
            .map(|at| Deadline { at, kind: TimeoutKind::Receiving });
        if !self.wants_frames(config) {
            // The peer's messages are not read, so it is not silent.
            return receiving;
        }
        let ping = match self.ping {
            Ping::Idle(since) => config
                .ping_interval
                .map(|interval| Deadline { at: since.after(interval), kind: TimeoutKind::Ping }),
            Ping::Sent(until) => until.map(|at| Deadline { at, kind: TimeoutKind::Pong }),
        };
        let synced = self
            .sending
            .front()
            .and_then(|sent| sent.until)
            .map(|at| Deadline { at, kind: TimeoutKind::Synced });
        let others = [synced, receiving].into_iter().flatten();
        ping.into_iter().chain(others).reduce(|first, second| first.earlier(Some(second)))
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
            Some(Deadline { at, kind: TimeoutKind::Receiving }) if at <= now => {
                self.reassure(now, out);
                Ok(())
            }
            Some(Deadline { at, kind }) if at <= now => Err(Disconnect::Timeout(kind)),
            _ => Ok(()),
        }
    }

    /// Handles a part of a frame: the peer is not silent, and its answers are behind the frame.
    pub(super) fn partial_frame(
        &mut self,
        config: &Config,
        now: MonoTime,
        out: &mut VecDeque<Output>,
    ) {
        self.postpone_timeouts(config, now);
        if reassure_interval(config)
            .is_some_and(|interval| self.reassured_at.after(interval) <= now)
        {
            self.reassure(now, out);
        }
    }

    /// Sends `pong` although there was no `ping`: the peer waits for `synced` and would time out. A
    /// node of the reference ends a time-out with it.
    fn reassure(&mut self, now: MonoTime, out: &mut VecDeque<Output>) {
        out.push_back(Output::Send(Message::Pong { added: self.last_added }.encode()));
        self.reassured_at = now;
    }

    /// Restarts all time-outs.
    fn postpone_timeouts(&mut self, config: &Config, now: MonoTime) {
        let until = config.timeout.map(|timeout| now.after(timeout));
        self.ping = match self.ping {
            Ping::Idle(_) => Ping::Idle(now),
            Ping::Sent(_) => Ping::Sent(until),
        };
        self.sending.iter_mut().for_each(|sent| sent.until = until);
    }

    /// Sends entries in `sync` messages of at most [`Config::actions_per_sync`] actions and
    /// [`Config::bytes_per_sync`] bytes.
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
            let mut capacity = META_BYTES;
            while let Some(entry) = passing.next_if(|entry| {
                let is_within = chunk.len() < config.actions_per_sync
                    && capacity + sent_bytes(entry) <= config.bytes_per_sync;
                is_within || chunk.is_empty()
            }) {
                capacity += sent_bytes(&entry);
                chunk.push(entry);
            }
            let is_last = passing.peek().is_none();
            let chunk_added = chunk.last().and_then(|entry| entry.meta.added);
            // Actions that are sent later than others may have lower numbers.
            let last_added = match chunk_added {
                Some(chunk_added) if !is_last => chunk_added.max(self.last_added).min(added),
                _ => added,
            };
            let mut writer =
                SyncWriter::new(last_added, self.base, &config.node, self.time_fix, capacity);
            for entry in &chunk {
                writer.entry(
                    &entry.action,
                    &entry.meta,
                    self.sent_subprotocol(config, &entry.meta).as_ref(),
                );
            }
            let text = writer.finish();
            let until = config.timeout.map(|timeout| now.after(timeout));
            self.sending_bytes += text.len();
            self.sending.push_back(SentBatch { added: last_added, until, bytes: text.len() });
            out.push_back(Output::Send(text));
            self.reset_idle_time(now);
        }
        self.last_added = self.last_added.max(added);
    }

    pub(super) const fn sent_added(&self) -> u64 {
        self.last_added
    }

    /// Returns the subprotocol to send with an action, in the form of the protocol version. As in
    /// the reference, a client omits the one that the server knows from `connect`, and a server
    /// always sends it.
    fn sent_subprotocol(&self, config: &Config, meta: &Meta) -> Option<Subprotocol> {
        let version = config.subprotocol.convert(meta.subprotocol.as_ref(), self.protocol);
        match config.role {
            Role::Server if meta.id.node().is_server() => {
                Some(version.unwrap_or_else(|| self.own_subprotocol.clone()))
            }
            Role::Server => version,
            Role::Client => version.filter(|version| *version != self.own_subprotocol),
        }
    }

    /// Handles a message of `bytes` bytes that is allowed only after the handshake.
    pub(super) fn message<P: Policy>(
        &mut self,
        now: MonoTime,
        message: Message,
        bytes: usize,
        config: &Config,
        policy: &mut P,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Disconnect> {
        match message {
            Message::Sync(sync) => {
                self.check_added(sync.added)?;
                if self.receiving.is_empty() {
                    self.reassured_at = now;
                }
                self.receive(config, sync, bytes, policy, out)?;
            }
            Message::Synced { added } => self.synced(added, out)?,
            Message::Ping { added } => {
                self.check_added(added)?;
                self.received_up_to(added, out);
                out.push_back(Output::Send(Message::Pong { added: self.last_added }.encode()));
            }
            Message::Pong { added } => {
                self.check_added(added)?;
                match self.ping {
                    Ping::Sent(_) => self.ping = Ping::Idle(now),
                    // The peer receives or stores what was sent, which takes long.
                    Ping::Idle(_) => self.postpone_timeouts(config, now),
                }
                self.received_up_to(added, out);
            }
            Message::Connect(_) => return Err(Disconnect::OutOfOrder("connect")),
            Message::Connected(_) => return Err(Disconnect::OutOfOrder("connected")),
            Message::Error(_) | Message::Debug { .. } | Message::Headers { .. } => {}
        }
        Ok(())
    }

    /// Handles the confirmation of all `sync` messages up to a number.
    fn synced(&mut self, added: u64, out: &mut VecDeque<Output>) -> Result<(), Disconnect> {
        if added > self.last_added {
            return Err(Disconnect::UnsentConfirmed(added));
        }
        // Several messages may have one number. Each of them has its own confirmation.
        while let Some(sent) = self.sending.pop_front_if(|sent| sent.added <= added) {
            self.sending_bytes -= sent.bytes;
            if sent.added == added {
                break;
            }
        }
        out.push_back(Output::SentUpTo(added));
        Ok(())
    }

    /// Checks an `added` number of the peer: after one that is too high, a client would never
    /// receive what it misses.
    fn check_added(&mut self, added: u64) -> Result<(), Disconnect> {
        let Some(received) = &mut self.received else { return Ok(()) };
        if added > received.saturating_add(MAX_ADDED_STEP) {
            return Err(Disconnect::NumberOutOfRange(added));
        }
        *received = added.max(*received);
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
        config: &Config,
        sync: Sync,
        bytes: usize,
        policy: &mut P,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Disconnect> {
        let mut entries = Vec::with_capacity(sync.entries.len());
        for entry in sync.entries {
            let mut meta =
                Meta::new(self.expand(entry.id)?).with_time(self.received_time(entry.time)?);
            meta.subprotocol =
                Some(entry.subprotocol.unwrap_or_else(|| self.peer_subprotocol.clone()));
            meta.extra = entry.extra;
            entries.extend(policy.incoming(Entry::new(entry.action, meta)));
        }
        let mut refused = Vec::with_capacity(sync.refused.len());
        for entry in sync.refused {
            let id = entry.id.map(|id| self.expand(id)).transpose()?;
            let time = self.received_time(entry.time)?;
            refused.push(RefusedAction { id, kind: entry.kind, time, limit: entry.limit });
        }
        self.receiving.add(config, sync.added, bytes, entries, refused);
        self.deliver(out);
        Ok(())
    }

    fn expand(&self, id: CompactId) -> Result<ActionId, Disconnect> {
        id.expand(self.base, &self.peer).ok_or(Disconnect::TimeOutOfRange)
    }

    /// Returns the corrected time of a received action.
    fn received_time(&self, time: i64) -> Result<WallTime, Disconnect> {
        time.checked_add(self.base.as_millis())
            .and_then(|ms| ms.checked_add(self.time_fix))
            .and_then(WallTime::checked_from_millis)
            .ok_or(Disconnect::TimeOutOfRange)
    }

    fn deliver(&mut self, out: &mut VecDeque<Output>) {
        out.extend(core::iter::from_fn(|| self.receiving.deliver(self.opening)));
    }

    /// Marks a batch as durable, and confirms all messages up to the first one that is not.
    pub(super) fn persisted(
        &mut self,
        config: &Config,
        now: MonoTime,
        batch: &BatchToken,
        out: &mut VecDeque<Output>,
    ) {
        if batch.opening != self.opening {
            return;
        }
        let wanted_frames = self.wants_frames(config);
        self.receiving.persisted(batch);
        while let Some(added) = self.receiving.next_confirmed() {
            out.push_back(Output::ReceivedUpTo(added));
            out.push_back(Output::Send(Message::Synced { added }.encode()));
        }
        self.deliver(out);
        if !wanted_frames && self.wants_frames(config) {
            // What the peer has sent meanwhile is read only now.
            self.postpone_timeouts(config, now);
        }
    }
}

/// Returns the estimated size of an action in a message, in bytes.
fn sent_bytes(entry: &Entry) -> usize {
    entry.action.as_json().len() + entry.meta.id.node().as_str().len() + META_BYTES
}

/// The time after which the peer receives another `pong` while it waits for `synced`.
fn reassure_interval(config: &Config) -> Option<Duration> {
    config.ping_interval.map(|interval| interval / 4)
}
