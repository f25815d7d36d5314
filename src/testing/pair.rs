//! For tests by example: time that goes when you say so, logs that share it, and two nodes that are connected.
//!
//! The `TestTime`, `TestLog` and `TestPair` of `@logux/core`.
//!
//! ```
//! use logux::{Action, log::Draft, testing::{TestPair, TestTime}};
//!
//! let mut time = TestTime::default();
//! let mut pair = TestPair::new(&mut time);
//! pair.connect();
//! pair.left.add(&mut time, Action::new(r#"{"type":"a"}"#)?, Draft::reason("test"));
//! pair.exchange(&time);
//! assert_eq!(pair.right.actions(), [r#"{"type":"a"}"#]);
//! assert!(pair.sent_by_left.iter().any(|frame| frame.starts_with(r#"["sync",1,"#)));
//! # Ok::<(), logux::action::ActionError>(())
//! ```

use core::ops::ControlFlow;
use std::collections::VecDeque;

use crate::{
    action::{Action, ActionId, NameList, NodeId},
    log::{Draft, Log, Observer},
    store::{Entry, MemoryStore, Query, Store},
    sync::{Config, Input, Node, Output, State},
    time::Now,
};

/// Time that goes by one millisecond each time somebody looks at it, so that every action of a test has its own; starting with 1, as in the reference.
#[derive(Clone, Debug, Default)]
pub struct TestTime {
    ms: u64,
    nodes: u32,
}

impl TestTime {
    /// The time, one millisecond later than before.
    pub fn tick(&mut self) -> Now {
        self.ms += 1;
        self.now()
    }

    /// The time as it was last looked at.
    pub fn now(&self) -> Now {
        Now::from_millis(i64::try_from(self.ms).unwrap_or(i64::MAX), self.ms)
    }

    /// Lets milliseconds pass.
    pub fn pass(&mut self, ms: u64) {
        self.ms += ms;
    }

    /// A log of a new node: `test1`, `test2`, …
    pub fn next_log(&mut self) -> TestLog {
        self.next_log_with_observer(())
    }

    /// A log of a new node, observed: by a [`Timeline`](crate::replay::Timeline), say.
    ///
    /// # Panics
    /// Never: an empty store in memory does not fail.
    pub fn next_log_with_observer<O: Observer>(&mut self, observer: O) -> TestLog<O> {
        self.nodes += 1;
        let node = NodeId::new(format!("test{}", self.nodes)).expect("a node id");
        TestLog {
            log: Log::with_observer(node, MemoryStore::new(), observer)
                .expect("memory does not fail"),
        }
    }
}

/// A log in memory for tests: nothing in it can fail.
#[derive(Debug)]
pub struct TestLog<O = ()> {
    /// The log itself.
    pub log: Log<MemoryStore, O>,
}

impl<O: Observer> TestLog<O> {
    /// Adds an action at the next millisecond. `None`: its id was there already.
    ///
    /// # Panics
    /// Never: memory does not fail.
    pub fn add(&mut self, time: &mut TestTime, action: Action, draft: Draft) -> Option<Entry> {
        self.log.add(time.tick().wall, action, draft).expect("memory does not fail")
    }

    /// The entries that are kept, in their order.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let Ok(()) = self.log.store().walk(&Query::created().oldest_first(), &mut |entry| {
            entries.push(entry.clone());
            ControlFlow::Continue(())
        });
        entries
    }

    /// The JSON of the actions that are kept, in their order.
    pub fn actions(&self) -> Vec<String> {
        self.entries().iter().map(|entry| entry.action.as_json().to_owned()).collect()
    }

    /// The reasons for which an action is kept; none if it is not.
    ///
    /// # Panics
    /// Never: memory does not fail.
    pub fn reasons(&self, id: &ActionId) -> NameList {
        self.log
            .by_id(id)
            .expect("memory does not fail")
            .map(|entry| entry.meta.reasons)
            .unwrap_or_default()
    }
}

/// Two logs with a node each, `left` a client and `right` a server, and everything that they have said to each other.
#[derive(Debug)]
pub struct TestPair {
    /// The client's log.
    pub left: TestLog,
    /// The server's log.
    pub right: TestLog,
    /// The frames of the client so far.
    pub sent_by_left: Vec<String>,
    /// The frames of the server so far.
    pub sent_by_right: Vec<String>,
    left_node: Node,
    right_node: Node,
    /// The last numbers that were given to the other's node.
    given: [u64; 2],
    time: Now,
}

impl TestPair {
    /// Two nodes that are not connected.
    pub fn new(time: &mut TestTime) -> Self {
        let (left, right) = (time.next_log(), time.next_log());
        let node = |config: Config| Node::new(config.into(), ());
        Self {
            left_node: node(Config::client(left.log.node_id().clone())),
            right_node: node(Config::server(right.log.node_id().clone())),
            left,
            right,
            sent_by_left: Vec::new(),
            sent_by_right: Vec::new(),
            given: [0; 2],
            time: time.now(),
        }
    }

    /// Connects the two, and lets each get what it has missed.
    pub fn connect(&mut self) {
        self.right_node.handle(self.time, Input::Opened);
        self.left_node.connect_with(0, None, None);
        self.left_node.handle(self.time, Input::Opened);
        self.deliver();
    }

    /// Cuts the connection; nothing is on its way.
    pub fn disconnect(&mut self) {
        self.left_node.handle(self.time, Input::Closed);
        self.right_node.handle(self.time, Input::Closed);
        self.deliver();
    }

    /// Sends what is new in both logs, and lets it arrive.
    pub fn exchange(&mut self, time: &TestTime) {
        self.time = time.now();
        self.send_news(0);
        self.send_news(1);
        self.deliver();
    }

    /// How far the two ends are.
    pub fn states(&self) -> (State, State) {
        (self.left_node.state(), self.right_node.state())
    }

    fn send_news(&mut self, side: usize) {
        let (log, node) = if side == 0 {
            (&self.left, &mut self.left_node)
        } else {
            (&self.right, &mut self.right_node)
        };
        if matches!(node.state(), State::Disconnected | State::Connecting) {
            return;
        }
        let mut news = log.entries();
        let own = log.log.node_id();
        news.retain(|entry| {
            entry.meta.added > Some(self.given[side]) && entry.meta.id.node() == own
        });
        news.sort_by_key(|entry| entry.meta.added);
        let Ok(last) = log.log.store().last_added();
        self.given[side] = last;
        node.send(self.time.mono, last, &news);
    }

    /// Does what the nodes want until they want nothing more.
    fn deliver(&mut self) {
        let mut frames: VecDeque<(usize, String)> = VecDeque::new();
        loop {
            for side in [0, 1] {
                while let Some(output) = self.node(side).poll_output() {
                    self.carry_out(side, output, &mut frames);
                }
            }
            let Some((to, frame)) = frames.pop_front() else { return };
            let now = self.time;
            self.node(to).handle(now, Input::Frame(&frame));
        }
    }

    fn node(&mut self, side: usize) -> &mut Node {
        if side == 0 { &mut self.left_node } else { &mut self.right_node }
    }

    fn carry_out(&mut self, side: usize, output: Output, frames: &mut VecDeque<(usize, String)>) {
        let now = self.time;
        match output {
            Output::Send(frame) => {
                let sent = if side == 0 { &mut self.sent_by_left } else { &mut self.sent_by_right };
                sent.push(frame.clone());
                frames.push_back((1 - side, frame));
            }
            Output::Authenticate(who) => self.node(side).handle(now, Input::Allow(who.token)),
            Output::Connected { .. } => {
                // What was given before the cut may be lost: all of it is sent again, and known by its ids.
                self.given[side] = 0;
                self.send_news(side);
            }
            Output::Received { batch, entries, .. } => {
                let log = if side == 0 { &mut self.left } else { &mut self.right };
                for entry in entries {
                    let draft = Draft::of(entry.meta.id, entry.meta.time).and_reason("test");
                    let _ = log.log.add(now.wall, entry.action, draft);
                }
                self.node(side).handle(now, Input::Persisted(batch));
            }
            _ => {}
        }
    }
}
