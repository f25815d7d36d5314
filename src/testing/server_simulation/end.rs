//! The server's end of one connection.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use super::{Broken, course::Course};
use crate::{
    action::{ActionId, NodeId, Subprotocol},
    server::{Input, SessionId},
    store::Entry,
    sync::{self, AuthToken, BatchToken, Node, State},
    time::Now,
};

/// How many kept actions go in one message.
const REPLAYED: usize = 100;

/// A node, and what the hub has for it.
#[derive(Debug)]
pub(super) struct End {
    pub(super) session: SessionId,
    pub(super) node: Node,
    /// The question to the application whether the client may come in: when it is answered, and whether the answer is an error.
    login: Option<(u64, bool, AuthToken)>,
    /// The client, when it was let in.
    member: Option<(NodeId, Subprotocol)>,
    /// Whether the hub knows it.
    pub(super) has_joined: bool,
    outbox: VecDeque<OutboxItem>,
    /// When what lies in the outbox is taken out.
    unpacks_at: Option<u64>,
    /// To be closed when the outbox is empty.
    is_replaced: bool,
    /// The numbers for whose confirmation the hub waits.
    to_confirm: VecDeque<u64>,
    /// Actions of other clients that it was sent since it has last left a channel.
    sent: BTreeSet<ActionId>,
}

/// Something for one connection to do.
#[derive(Debug)]
pub(super) enum OutboxItem {
    /// The client is in; send what it missed.
    Joined(u64, Vec<Arc<Entry>>),
    /// Confirm a batch.
    Persisted(BatchToken),
    /// Send an action; `true`: the hub waits for the confirmation.
    Deliver(u64, Arc<Entry>, bool),
    /// Send what was kept of a channel.
    Replay(u64, Vec<Arc<Entry>>),
}

/// What a connection wants.
#[derive(Debug)]
pub(super) enum Wish {
    /// Tell the hub.
    Tell(Input),
    /// Send a frame.
    Send(String),
    /// It is over.
    Close,
}

impl End {
    pub(super) fn new(config: Arc<sync::Config>, now: Now, session: SessionId) -> Self {
        let mut node = Node::new(config, ());
        node.handle(now, sync::Input::Opened);
        Self {
            session,
            node,
            login: None,
            member: None,
            has_joined: false,
            outbox: VecDeque::new(),
            unpacks_at: None,
            is_replaced: false,
            to_confirm: VecDeque::new(),
            sent: BTreeSet::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.outbox.is_empty() && self.login.is_none() && self.node.state() == State::Synchronized
    }

    pub(super) fn next_moment(&self) -> Option<u64> {
        let deadline = self.node.next_deadline().map(|deadline| deadline.at.as_millis());
        let login = self.login.as_ref().map(|(at, ..)| *at);
        let unpacks_at = self.unpacks_at.filter(|_| self.has_room());
        [deadline, login, unpacks_at].into_iter().flatten().min()
    }

    /// As in the server, what comes may wait for the other end to confirm what it was sent.
    fn has_room(&self) -> bool {
        self.member.is_none() || self.node.can_send()
    }

    /// The hub has something for it.
    pub(super) fn put(&mut self, course: &mut Course, parcel: OutboxItem) {
        if let OutboxItem::Deliver(_, entry, _) = &parcel
            && !entry.meta.id.node().is_server()
            && !self.sent.insert(entry.meta.id.clone())
        {
            course.note(Broken::SentTwice(self.session.0, entry.meta.id.clone()));
        }
        self.outbox.push_back(parcel);
        self.unpack_soon(course);
    }

    /// The same client has another connection now.
    pub(super) fn replace(&mut self, course: &mut Course) {
        self.is_replaced = true;
        self.unpack_soon(course);
    }

    /// Its client has left a channel: what it is sent when it comes back it may have got before.
    pub(super) fn forget_sent(&mut self, node: &NodeId) {
        if self.member.as_ref().is_some_and(|(member, _)| member == node) {
            self.sent.clear();
        }
    }

    fn unpack_soon(&mut self, course: &mut Course) {
        let at = course.after(course.config.round_ms);
        self.unpacks_at.get_or_insert(at);
    }

    /// Does what is due.
    pub(super) fn wake(&mut self, course: &mut Course) -> Vec<Wish> {
        let (now, moment) = (course.now(), course.ms());
        if self.node.next_deadline().is_some_and(|deadline| deadline.at.as_millis() <= moment) {
            self.node.handle(now, sync::Input::Wake);
        }
        if let Some((_, fails, token)) = self.login.take_if(|(at, ..)| *at <= moment) {
            if fails {
                course.tell(|| format!("the login at connection {} fails", self.session.0));
                return vec![Wish::Close];
            }
            self.node.handle(now, sync::Input::Allow(token));
        }
        let mut wishes = self.follow(course);
        if self.unpacks_at.is_some_and(|at| at <= moment) {
            while self.has_room()
                && let Some(parcel) = self.outbox.pop_front()
            {
                self.unpack(now, parcel);
            }
            if self.outbox.is_empty() {
                self.unpacks_at = None;
            }
            wishes.extend(self.follow(course));
            if self.is_replaced && self.outbox.is_empty() {
                wishes.push(Wish::Close);
            }
        }
        wishes
    }

    fn unpack(&mut self, now: Now, parcel: OutboxItem) {
        match parcel {
            OutboxItem::Joined(added, missed) => {
                self.node.send(now.mono, added, missed.iter().map(|entry| &**entry))
            }
            OutboxItem::Persisted(batch) => self.node.handle(now, sync::Input::Persisted(batch)),
            OutboxItem::Deliver(added, entry, confirm) => {
                self.to_confirm.extend(confirm.then_some(added));
                self.node.send(now.mono, added, [&*entry]);
            }
            OutboxItem::Replay(added, entries) => {
                for some in entries.chunks(REPLAYED) {
                    self.node.send(now.mono, added, some.iter().map(|entry| &**entry));
                }
            }
        }
    }

    /// A frame has come.
    pub(super) fn frame(&mut self, course: &mut Course, frame: &str) -> Vec<Wish> {
        self.node.handle(course.now(), sync::Input::Frame(frame));
        self.follow(course)
    }

    fn follow(&mut self, course: &mut Course) -> Vec<Wish> {
        let (mut wishes, session) = (Vec::new(), self.session);
        while let Some(output) = self.node.poll_output() {
            match output {
                sync::Output::Send(frame) => wishes.push(Wish::Send(frame)),
                sync::Output::Authenticate(who) => {
                    let fails = course.fails(course.config.errors_once_in);
                    self.login = Some((course.after(course.config.handler_ms), fails, who.token));
                    self.member = Some((who.node, who.subprotocol));
                }
                sync::Output::Connected { since, .. } => {
                    let Some((node, subprotocol)) = self.member.clone() else { continue };
                    let (headers, since) = (None, since.unwrap_or_default());
                    self.has_joined = true;
                    wishes.push(Wish::Tell(Input::Join {
                        session,
                        node,
                        subprotocol,
                        headers,
                        since,
                    }));
                }
                sync::Output::Received { batch, entries, .. } => {
                    wishes.push(Wish::Tell(Input::Received { session, batch, entries }));
                }
                sync::Output::SentUpTo(added) => {
                    let known =
                        self.to_confirm.iter().take_while(|number| **number <= added).count();
                    if known > 0 {
                        self.to_confirm.drain(..known);
                        wishes.push(Wish::Tell(Input::Acknowledged { session, added }));
                    }
                }
                sync::Output::Disconnect(reason) => {
                    course.tell(|| format!("the server ends connection {}: {reason}", session.0));
                    wishes.push(Wish::Close);
                }
                _ => {}
            }
        }
        wishes
    }
}
