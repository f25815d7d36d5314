//! Random histories of a few users, and the smallest one that breaks a law.

use core::fmt::Debug;

use proptest::{
    collection::vec,
    prelude::*,
    sample::Index,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::{
    action::{Action, ActionId},
    replay::Reducer,
    testing::{laws::BrokenLaw, story::Story},
};

/// The number and size of the histories to test.
pub(super) struct Histories {
    pub(super) cases: u32,
    pub(super) users: usize,
    pub(super) turns: usize,
    pub(super) seed: Option<u64>,
}

/// What a few users do. `I` describes an action to be made.
#[derive(Clone, Debug)]
pub(super) struct History<I> {
    /// The errors of the clocks of the users, in milliseconds.
    pub(super) skews: Vec<i64>,
    turns: Vec<Turn<I>>,
}

#[derive(Clone, Debug)]
struct Turn<I> {
    user: usize,
    /// The time since the previous turn, in milliseconds.
    delay_ms: i64,
    event: TurnEvent<I>,
}

#[derive(Clone, Debug)]
enum TurnEvent<I> {
    /// The user adds an action.
    Add(I),
    /// The user receives all actions that other users have; the latest first, if `true`.
    Receive(bool),
    /// The user undoes one of the actions that they have.
    Undo(Index),
}

impl Default for Histories {
    fn default() -> Self {
        Self { cases: Config::default().cases, users: 2, turns: 12, seed: None }
    }
}

impl Histories {
    /// Tests random histories. `violation` returns the story of a history that breaks the law.
    ///
    /// # Errors
    /// The story of the smallest one.
    pub(super) fn check<I: Clone + Debug>(
        &self,
        intents: &impl Strategy<Value = I>,
        with_undo: bool,
        violation: impl Fn(&History<I>) -> Option<String>,
    ) -> Result<(), BrokenLaw> {
        let ran = self.runner().run(&self.strategy(intents, with_undo), |history| {
            violation(&history).map_or(Ok(()), |story| Err(TestCaseError::fail(story)))
        });
        match ran {
            Ok(()) => Ok(()),
            Err(TestError::Fail(story, history)) => {
                let simplest = history.simplest(|history| violation(history).is_some());
                let told = violation(&simplest).unwrap_or_else(|| {
                    format!("{story}\nThe same history did not break the law a second time.")
                });
                Err(BrokenLaw::new(told))
            }
            Err(error) => Err(BrokenLaw::new(error.to_string())),
        }
    }

    fn runner(&self) -> TestRunner {
        let config = Config {
            cases: self.cases,
            failure_persistence: None,
            max_shrink_iters: 4_096,
            // The other algorithm takes an eighth of the time of a test without optimizations.
            rng_algorithm: RngAlgorithm::XorShift,
            ..Config::default()
        };
        match self.seed {
            None => TestRunner::new(config),
            Some(seed) => {
                // Similar seeds of this algorithm give similar numbers.
                let mut bytes = [0; 16];
                ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
                let rng = TestRng::from_seed(config.rng_algorithm, &bytes);
                TestRunner::new_with_rng(config, rng)
            }
        }
    }

    fn strategy<I: Clone + Debug>(
        &self,
        intents: &impl Strategy<Value = I>,
        with_undo: bool,
    ) -> impl Strategy<Value = History<I>> {
        let event = prop_oneof![
            6 => intents.prop_map(TurnEvent::Add),
            2 => any::<bool>().prop_map(TurnEvent::Receive),
            u32::from(with_undo) => any::<Index>().prop_map(TurnEvent::Undo),
        ];
        let turn = (0..self.users, 0..3_i64, event).prop_map(|(user, delay_ms, event)| Turn {
            user,
            delay_ms,
            event,
        });
        (vec(-5..5_i64, self.users), vec(turn, 1..=self.turns))
            .prop_map(|(skews, turns)| History { skews, turns })
    }
}

impl<I> History<I> {
    /// Lets the users of a story do what is in the history. In the end, they receive everything.
    pub(super) fn tell<R: Reducer>(
        &self,
        story: &mut Story<'_, R>,
        make: impl Fn(&R::State, &I, &ActionId) -> Option<Action>,
    ) {
        let mut now = 1;
        for turn in &self.turns {
            now += turn.delay_ms;
            match &turn.event {
                TurnEvent::Add(intent) => {
                    story.act(turn.user, now, |state, id| make(state, intent, id))
                }
                TurnEvent::Receive(reversed) => story.receive(turn.user, *reversed),
                TurnEvent::Undo(index) => story.undo(turn.user, now, *index),
            }
        }
        (0..self.skews.len()).for_each(|user| story.receive(user, user.is_multiple_of(2)));
    }
}

impl<I: Clone> History<I> {
    /// Returns the part of the history that is still broken, with as many right clocks and as few
    /// pauses as possible.
    fn simplest(self, is_broken: impl Fn(&Self) -> bool) -> Self {
        let of = |turns: &[Turn<I>]| Self { skews: self.skews.clone(), turns: turns.into() };
        let mut simplest = of(&smallest(self.turns.clone(), |turns| is_broken(&of(turns))));
        let simplify = |simplest: &mut Self, change: &dyn Fn(&mut Self)| {
            let mut simpler = simplest.clone();
            change(&mut simpler);
            if is_broken(&simpler) {
                *simplest = simpler;
            }
        };
        for user in 0..simplest.skews.len() {
            simplify(&mut simplest, &|history| history.skews[user] = 0);
        }
        for turn in 0..simplest.turns.len() {
            simplify(&mut simplest, &|history| history.turns[turn].delay_ms = 0);
        }
        simplest
    }
}

/// Returns the smallest part of these events that is found to be `broken` as they are: removes
/// events one by one, and repeats from the start after each removal. O(n²) calls. The shrinking of
/// proptest tries each removal only once.
pub fn smallest<T: Clone>(mut events: Vec<T>, is_broken: impl Fn(&[T]) -> bool) -> Vec<T> {
    let mut at = 0;
    while at < events.len() {
        let mut fewer = events.clone();
        fewer.remove(at);
        if is_broken(&fewer) {
            events = fewer;
            at = 0;
        } else {
            at += 1;
        }
    }
    events
}
