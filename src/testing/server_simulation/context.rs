//! What all parts of a world share: time, random choices, counters, and detected violations.

use core::{ops::RangeInclusive, time::Duration};
use std::collections::{BTreeMap, BTreeSet};

use super::{Config, Counts, Violation};
use crate::{
    action::{Action, ActionId},
    server::{FateKey, QueueName},
    testing::simulation::clock::{Clock, Random},
    time::Now,
};

/// The context in which the parts of a world run.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) config: Config,
    pub(super) random: Random,
    pub(super) counts: Counts,
    /// The virtual time since the start, in milliseconds.
    pub(super) now_ms: u64,
    pub(super) server_clock: Clock,
    /// Whether handlers and logins no longer fail.
    pub(super) failures_ended: bool,
    /// The number of starts of the server and restarts of its hub.
    pub(super) server_starts: usize,
    /// The start of the server in which each action was processed last.
    pub(super) processed_in: BTreeMap<ActionId, usize>,
    /// The answers that devices received: `true` for `logux/processed`, `false` for `logux/undo`.
    pub(super) answers: BTreeMap<ActionId, bool>,
    /// The actions that the author of each processed action must receive besides the answer.
    pub(super) sent_back: BTreeMap<ActionId, Vec<Action>>,
    /// The client id and the JSON of each action of the server that a device received.
    pub(super) received: BTreeSet<(String, String)>,
    /// The number up to which the nodes of each client have confirmed to the running server that
    /// they received everything. After a crash, a server may have forgotten it.
    pub(super) confirmed: BTreeMap<String, u64>,
    /// The actions of devices that lost their logs before the server confirmed them.
    pub(super) abandoned: BTreeSet<ActionId>,
    /// The actions and subscriptions whose handlers refused them or failed.
    pub(super) failed: BTreeSet<ActionId>,
    /// The actions and undos that devices have dropped, because they were never sent.
    pub(super) dropped: BTreeSet<ActionId>,
    /// The queues and fate keys of the actions that users added.
    pub(super) fates: BTreeMap<ActionId, (QueueName, FateKey)>,
    /// The first violation.
    pub(super) violation: Option<Violation>,
    pub(super) trace: Vec<String>,
}

impl Context {
    pub(super) fn new(config: Config) -> Self {
        Self {
            random: Random::new(config.seed),
            config,
            counts: Counts::default(),
            now_ms: 0,
            server_clock: Clock::default(),
            failures_ended: false,
            server_starts: 0,
            processed_in: BTreeMap::new(),
            answers: BTreeMap::new(),
            sent_back: BTreeMap::new(),
            received: BTreeSet::new(),
            confirmed: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            failed: BTreeSet::new(),
            dropped: BTreeSet::new(),
            fates: BTreeMap::new(),
            violation: None,
            trace: Vec::new(),
        }
    }

    /// Returns the time by the server's clock.
    pub(super) fn now(&self) -> Now {
        self.server_clock.now(self.now_ms)
    }

    /// Returns the time after a random delay from a range of the configuration, in milliseconds.
    pub(super) fn after(
        &mut self,
        range: impl FnOnce(&Config) -> &RangeInclusive<Duration>,
    ) -> u64 {
        self.now_ms + self.random.within(range(&self.config))
    }

    /// Returns `true` for a failure with a probability of 1 in `n`.
    pub(super) fn fails(&mut self, n: u64) -> bool {
        !self.failures_ended && self.random.one_in(n)
    }

    /// Records an event in the trace.
    pub(super) fn record(&mut self, event: impl FnOnce() -> String) {
        if self.config.trace {
            self.trace.push(format!("{:>7} ms  {}", self.now_ms, event()));
        }
    }

    /// Records a violation.
    pub(super) fn report(&mut self, violation: Violation) {
        self.record(|| format!("VIOLATION: {violation}"));
        self.violation.get_or_insert(violation);
    }

    /// Checks a request to the application about an action.
    pub(super) fn check_request(&mut self, id: &ActionId) {
        if self.answers.contains_key(id) {
            self.report(Violation::RequestAfterAnswer(id.clone()));
        }
    }

    /// Checks an action that the application has processed, after a request in this start of the
    /// server.
    pub(super) fn check_processed(&mut self, id: &ActionId, server_start: usize) {
        if self.processed_in.insert(id.clone(), server_start) == Some(server_start) {
            self.report(Violation::ProcessedAgain(id.clone()));
        }
        if self.answers.get(id) == Some(&false) {
            self.report(Violation::ProcessedAndUndone(id.clone()));
        }
    }

    /// Checks an answer that a device has received to its own action. `times` is the number of
    /// times that the action was processed.
    pub(super) fn check_answer(&mut self, id: &ActionId, is_processed: bool, times: usize) {
        let previous = self.answers.insert(id.clone(), is_processed);
        if previous.is_some_and(|previous| previous != is_processed) {
            self.report(Violation::ConflictingAnswers(id.clone()));
        }
        match (is_processed, times) {
            (true, 0) => self.report(Violation::NotProcessed(id.clone())),
            (false, 1..) => self.report(Violation::ProcessedAndUndone(id.clone())),
            _ => {}
        }
    }

    /// Checks an action that was undone with the reason `error`: its handler failed, or that of
    /// another action with its fate key in the same queue of the client.
    pub(super) fn check_fate(&mut self, id: &ActionId) {
        let fate = self.fates.get(id).filter(|(_, key)| *key != FateKey::none());
        let shares_fate = |other: &ActionId| {
            other.node().client_id() == id.node().client_id()
                && fate.is_some()
                && self.fates.get(other) == fate
        };
        if !self.failed.contains(id) && !self.failed.iter().any(shares_fate) {
            self.report(Violation::UndoneByAnother(id.clone()));
        }
    }
}
