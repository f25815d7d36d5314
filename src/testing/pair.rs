//! Virtual time, logs that share it, and two connected nodes, for example-based tests.
//!
//! They correspond to `TestTime`, `TestLog` and `TestPair` of `@logux/core`.
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

use core::{ops::ControlFlow, time::Duration};
use std::collections::VecDeque;

use crate::{
    action::{Action, ActionId, NameList, NodeId},
    log::{Draft, Log, Observer},
    store::{Entry, MemoryStore, Query, Store},
    sync::{Config, Input, Node, Output, State},
    time::{Now, as_millis},
};

/// Virtual time that advances by one millisecond with each [`tick`](Self::tick), so that every
/// action of a test has its own time. The first tick gives 1, as in the reference.
#[derive(Clone, Debug, Default)]
pub struct TestTime {
    ms: u64,
    nodes: u32,
}

impl TestTime {
    /// Advances the time by one millisecond, and returns it.
    pub fn tick(&mut self) -> Now {
        self.ms += 1;
        self.now()
    }

    /// Returns the time without advancing it.
    pub fn now(&self) -> Now {
        Now::from_millis(i64::try_from(self.ms).unwrap_or(i64::MAX), self.ms)
    }

    /// Advances the time by whole milliseconds.
    pub fn advance(&mut self, duration: Duration) {
        self.ms = self.ms.saturating_add(as_millis(duration));
    }

    /// Returns a log of a new node: `test1`, `test2`, …
    pub fn next_log(&mut self) -> TestLog {
        self.next_log_with_observer(())
    }

    /// Returns a log of a new node with an observer, such as a
    /// [`Timeline`](crate::replay::Timeline).
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

/// A log in memory, whose methods do not fail.
#[derive(Debug)]
pub struct TestLog<O = ()> {
    /// The log itself.
    pub log: Log<MemoryStore, O>,
}

impl<O: Observer> TestLog<O> {
    /// Adds an action at the next millisecond. Returns `None` if the log has its id already.
    ///
    /// # Panics
    /// Never: a store in memory does not fail.
    pub fn add(&mut self, time: &mut TestTime, action: Action, draft: Draft) -> Option<Entry> {
        self.log.add(time.tick().wall, action, draft).expect("memory does not fail")
    }

    /// Returns the entries of the log, in order. O(n).
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let Ok(()) = self.log.store().walk(&Query::created().oldest_first(), &mut |entry| {
            entries.push(entry.clone());
            ControlFlow::Continue(())
        });
        entries
    }

    /// Returns the JSON of the actions of the log, in order. O(n).
    pub fn actions(&self) -> Vec<String> {
        self.entries().iter().map(|entry| entry.action.as_json().to_owned()).collect()
    }

    /// Returns the reasons of an action. Empty if the log does not have it.
    ///
    /// # Panics
    /// Never: a store in memory does not fail.
    pub fn reasons(&self, id: &ActionId) -> NameList {
        self.log
            .by_id(id)
            .expect("memory does not fail")
            .map(|entry| entry.meta.reasons)
            .unwrap_or_default()
    }
}

/// Two logs, each with a sync node: the client `left` and the server `right`. All frames between
/// them are recorded.
#[derive(Debug)]
pub struct TestPair {
    /// The client's log.
    pub left: TestLog,
    /// The server's log.
    pub right: TestLog,
    /// All frames that the client has sent.
    pub sent_by_left: Vec<String>,
    /// All frames that the server has sent.
    pub sent_by_right: Vec<String>,
    left_node: Node,
    right_node: Node,
    /// The added number up to which each side has sent its entries.
    sent_up_to: [u64; 2],
    time: Now,
}

impl TestPair {
    /// Returns two nodes that are not connected.
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
            sent_up_to: [0; 2],
            time: time.now(),
        }
    }

    /// Connects the nodes, and delivers the entries that each of them lacks.
    pub fn connect(&mut self) {
        self.right_node.handle(self.time, Input::Opened);
        self.left_node.connect_with(0, None, None);
        self.left_node.handle(self.time, Input::Opened);
        self.deliver();
    }

    /// Closes the connection. No frame is in transit at that time.
    pub fn disconnect(&mut self) {
        self.left_node.handle(self.time, Input::Closed);
        self.right_node.handle(self.time, Input::Closed);
        self.deliver();
    }

    /// Sends the new entries of both logs, and delivers them.
    pub fn exchange(&mut self, time: &TestTime) {
        self.time = time.now();
        self.send_new(0);
        self.send_new(1);
        self.deliver();
    }

    /// Returns the connection states of the client and of the server.
    pub fn states(&self) -> (State, State) {
        (self.left_node.state(), self.right_node.state())
    }

    fn send_new(&mut self, side: usize) {
        let (log, node) = if side == 0 {
            (&self.left, &mut self.left_node)
        } else {
            (&self.right, &mut self.right_node)
        };
        if matches!(node.state(), State::Disconnected | State::Connecting) {
            return;
        }
        let mut new = log.entries();
        let own = log.log.node_id();
        new.retain(|entry| {
            entry.meta.added > Some(self.sent_up_to[side]) && entry.meta.id.node() == own
        });
        new.sort_by_key(|entry| entry.meta.added);
        let Ok(last) = log.log.store().last_added();
        self.sent_up_to[side] = last;
        node.send(self.time.mono, last, &new);
    }

    /// Executes the outputs of the nodes and delivers their frames, until there are none.
    fn deliver(&mut self) {
        let mut frames: VecDeque<(usize, String)> = VecDeque::new();
        loop {
            for side in [0, 1] {
                while let Some(output) = self.node(side).poll_output() {
                    self.execute(side, output, &mut frames);
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

    fn execute(&mut self, side: usize, output: Output, frames: &mut VecDeque<(usize, String)>) {
        let now = self.time;
        match output {
            Output::Send(frame) => {
                let sent = if side == 0 { &mut self.sent_by_left } else { &mut self.sent_by_right };
                sent.push(frame.clone());
                frames.push_back((1 - side, frame));
            }
            Output::Authenticate(request) => {
                self.node(side).handle(now, Input::Allow(request.token))
            }
            Output::Connected { .. } => {
                // Frames may have been lost with the last connection, so all entries are sent
                // again. The other log recognizes them by their ids.
                self.sent_up_to[side] = 0;
                self.send_new(side);
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
