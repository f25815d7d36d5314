//! What two nodes that let each other in owe each other.

use std::{borrow::Cow, collections::VecDeque};

use smallvec::SmallVec;

use super::{BatchToken, Config, Disconnect, Output, Policy, Role, io::TimeoutKind};
use crate::{
    action::{Meta, NodeId, Subprotocol},
    store::Entry,
    time::{Deadline, MonoTime, WallTime},
    wire::{Message, Protocol, Sync, SyncWriter},
};

/// About how many bytes the id and the time of an action take in a message.
const HEAD: usize = 96;

/// The exchange between two nodes that let each other in.
#[derive(Debug)]
pub(super) struct Session {
    peer: NodeId,
    peer_subprotocol: Subprotocol,
    own_subprotocol: Subprotocol,
    /// All times on this connection are relative to it.
    base: WallTime,
    /// Local minus remote clock, milliseconds; added to what comes, taken from what goes.
    time_fix: i64,
    /// Sent `sync` messages without their `synced`, by when that must come.
    sending: VecDeque<Option<MonoTime>>,
    /// Received `sync` messages: number of the batch, its `added`, whether it is kept.
    receiving: VecDeque<(u32, u64, bool)>,
    next_batch: u32,
    /// Which opening of the connection this is.
    opening: u32,
    /// Whether what the other end had missed was sent.
    caught_up: bool,
    ping: Ping,
    /// The highest own `added` number that was sent or told.
    last_added: u64,
}

/// Whether the other end is being asked if it is there.
#[derive(Debug, Clone, Copy)]
enum Ping {
    /// Nobody has said anything since.
    Silent(MonoTime),
    /// It was asked, and has to answer by then.
    Asked(Option<MonoTime>),
}

/// Who is at the other end and how times are to be read.
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
            ping: Ping::Silent(now),
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

    /// Something was said, so there is no need to ask for a while.
    pub(super) fn heard(&mut self, now: MonoTime) {
        if let Ping::Silent(since) = &mut self.ping {
            *since = now;
        }
    }

    pub(super) fn next_deadline(&self, config: &Config) -> Option<Deadline<TimeoutKind>> {
        let ping = match self.ping {
            Ping::Silent(since) => config
                .ping_interval
                .map(|interval| Deadline { at: since.after(interval), why: TimeoutKind::Ping }),
            Ping::Asked(until) => until.map(|at| Deadline { at, why: TimeoutKind::Pong }),
        };
        let synced = self
            .sending
            .front()
            .copied()
            .flatten()
            .map(|at| Deadline { at, why: TimeoutKind::Synced });
        match ping {
            Some(ping) => Some(ping.earlier(synced)),
            None => synced,
        }
    }

    /// A deadline is reached: asks, or gives up.
    pub(super) fn wake(
        &mut self,
        config: &Config,
        now: MonoTime,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Disconnect> {
        match self.next_deadline(config) {
            Some(Deadline { at, why: TimeoutKind::Ping }) if at <= now => {
                out.push_back(Output::Send(Message::Ping { added: self.last_added }.encode()));
                self.ping = Ping::Asked(config.timeout.map(|timeout| now.after(timeout)));
                Ok(())
            }
            Some(Deadline { at, why }) if at <= now => Err(Disconnect::Timeout(why)),
            _ => Ok(()),
        }
    }

    /// Sends own entries, in messages of a bounded number of actions.
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
            let reached =
                chunk.last().and_then(|entry| entry.meta.added).filter(|_| !last).unwrap_or(added);
            let room =
                chunk.iter().map(|entry| entry.action.as_json().len() + HEAD).sum::<usize>() + HEAD;
            let mut writer = SyncWriter::new(reached, self.base, &config.node, self.time_fix, room);
            for entry in &chunk {
                writer.entry(
                    &entry.action,
                    &entry.meta,
                    self.told_subprotocol(config, &entry.meta),
                );
            }
            out.push_back(Output::Send(writer.finish()));
            self.sending.push_back(config.timeout.map(|timeout| now.after(timeout)));
            self.heard(now);
        }
        self.last_added = self.last_added.max(added);
    }

    /// A client leaves out what the server knows from `connect`; a server always says it, as in the reference.
    fn told_subprotocol<'m>(&self, config: &Config, meta: &'m Meta) -> Option<&'m Subprotocol> {
        meta.subprotocol
            .as_ref()
            .filter(|own| config.role == Role::Server || **own != self.own_subprotocol)
    }

    /// Takes a message of the other end that is only possible now.
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
                if matches!(self.ping, Ping::Asked(_)) {
                    self.ping = Ping::Silent(now);
                }
                self.received_up_to(added, out);
            }
            Message::Connect(_) => return Err(Disconnect::OutOfOrder("connect")),
            Message::Connected(_) => return Err(Disconnect::OutOfOrder("connected")),
            Message::Error(_) | Message::Debug { .. } | Message::Headers { .. } => {}
        }
        Ok(())
    }

    /// The other end's number counts only when nothing of it is still to be kept.
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
        self.receiving.push_back((batch.number, sync.added, false));
        out.push_back(Output::Received { batch, added: sync.added, entries });
        Ok(())
    }

    /// Confirms a batch, and those behind it that were kept before it: `synced` goes out in the order of `sync`, since the other
    /// end takes a number for all before it.
    pub(super) fn kept(&mut self, batch: &BatchToken, out: &mut VecDeque<Output>) {
        if batch.opening != self.opening {
            return;
        }
        if let Some(waiting) =
            self.receiving.iter_mut().find(|(number, ..)| *number == batch.number)
        {
            waiting.2 = true;
        }
        while let Some((_, added, true)) = self.receiving.front().copied() {
            self.receiving.pop_front();
            out.push_back(Output::ReceivedUpTo(added));
            out.push_back(Output::Send(Message::Synced { added }.encode()));
        }
    }
}
