//! What all parts of a world share: its time, its chance, and the account of what happened.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, Config, Counts};
use crate::{
    action::{Action, ActionId},
    testing::simulation::clock::{Chance, Clock},
    time::Now,
};

/// The course of a world's events.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) config: Config,
    pub(super) chance: Chance,
    pub(super) counts: Counts,
    pub(super) server_clock: Clock,
    /// Nothing fails any more.
    pub(super) is_calm: bool,
    /// How many times the server was started.
    pub(super) life: usize,
    /// In which of the server's lives each action was done last.
    pub(super) done_in: BTreeMap<ActionId, usize>,
    /// What the devices were answered: whether it was done.
    pub(super) answers: BTreeMap<ActionId, bool>,
    /// What the author of each action has to be sent besides the answer, and what each client was sent.
    pub(super) sent_back: BTreeMap<ActionId, Vec<Action>>,
    pub(super) got: BTreeSet<(String, String)>,
    /// The first promise that was broken.
    pub(super) broken: Option<Broken>,
    pub(super) trace: Vec<String>,
}

impl Course {
    pub(super) fn new(config: Config) -> Self {
        Self {
            chance: Chance::new(config.seed),
            config,
            counts: Counts::default(),
            server_clock: Clock::default(),
            is_calm: false,
            life: 0,
            done_in: BTreeMap::new(),
            answers: BTreeMap::new(),
            sent_back: BTreeMap::new(),
            got: BTreeSet::new(),
            broken: None,
            trace: Vec::new(),
        }
    }

    pub(super) const fn ms(&self) -> u64 {
        self.counts.ms
    }

    /// The time by the server's clock.
    pub(super) fn now(&self) -> Now {
        self.server_clock.now(self.counts.ms)
    }

    /// The time after a while that chance decides.
    pub(super) fn after(&mut self, (from, to): (u64, u64)) -> u64 {
        self.counts.ms + self.chance.between(from, to)
    }

    /// A number around 0.
    pub(super) fn around(&mut self, most: i64) -> i64 {
        let most = most.unsigned_abs();
        let number = self.chance.between(0, 2 * most);
        i64::try_from(number).unwrap_or(0) - i64::try_from(most).unwrap_or(0)
    }

    /// Whether something fails that does so once in `times`.
    pub(super) fn fails(&mut self, times: u64) -> bool {
        !self.is_calm && self.chance.once_in(times)
    }

    pub(super) fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.config.trace {
            self.trace.push(format!("{:>7} ms  {}", self.counts.ms, what()));
        }
    }

    /// A promise is broken.
    pub(super) fn note(&mut self, broken: Broken) {
        self.tell(|| format!("HERE {broken}"));
        self.broken.get_or_insert(broken);
    }

    /// The application is asked about an action.
    pub(super) fn note_asked(&mut self, id: &ActionId) {
        if self.answers.contains_key(id) {
            self.note(Broken::AskedAgain(id.clone()));
        }
    }

    /// The application has done an action.
    pub(super) fn note_done(&mut self, id: &ActionId) {
        if self.done_in.insert(id.clone(), self.life) == Some(self.life) {
            self.note(Broken::AskedTwice(id.clone()));
        }
        if self.answers.get(id) == Some(&false) {
            self.note(Broken::DoneAndUndone(id.clone()));
        }
    }

    /// A device has got the answer to an action of its user.
    pub(super) fn note_answer(&mut self, id: &ActionId, is_done: bool, times: usize) {
        if self.answers.insert(id.clone(), is_done).is_some_and(|earlier| earlier != is_done) {
            self.note(Broken::TwoAnswers(id.clone()));
        }
        match (is_done, times) {
            (true, 0) => self.note(Broken::NotDone(id.clone())),
            (false, 1..) => self.note(Broken::DoneAndUndone(id.clone())),
            _ => {}
        }
    }
}
