//! Random plans of events and failures, and their reduction.

use core::{fmt::Debug, time::Duration};

use proptest::{
    collection::vec,
    prelude::*,
    sample::Index,
    test_runner::{Config as ProptestConfig, TestError, TestRunner},
};

use super::{Config, Simulation, Unsettled};
use crate::{
    action::{Action, ActionId},
    replay::Reducer,
    testing::smallest,
};

/// One event of a simulated world. `I` describes an action to be made.
#[derive(Clone, Debug)]
pub enum Event<I> {
    /// A client adds an action.
    Act(usize, I),
    /// A client undoes one of the actions or undos that it has.
    Undo(usize, Index),
    /// Time passes.
    Wait(Duration),
    /// A connection is cut; the client connects again.
    Cut(usize),
    /// A connection is cut; the client cannot connect until [`Heal`](Self::Heal).
    Partition(usize),
    /// A client can connect again.
    Heal(usize),
    /// The clock of a client jumps by this number of milliseconds, unless all of its jumps would
    /// then be more than 200 s: a clock that is set by minutes is corrected anew, which may change
    /// the order of earlier actions on that client.
    Jump(usize, i64),
    /// A client crashes and starts again.
    Crash(usize),
    /// The server crashes and starts again.
    CrashServer,
}

/// The largest sum of the jumps of one clock, in milliseconds.
const MAX_JUMPS: i64 = 200_000;

/// A sequence of events, and the seed of the random choices.
#[derive(Clone, Debug)]
pub struct Plan<I> {
    /// The seed of the random choices.
    pub seed: u64,
    /// The events, in order.
    pub events: Vec<Event<I>>,
}

impl<I: Debug + Clone + 'static> Plan<I> {
    /// Returns a strategy of plans with at most `events` events. With [`Config::compact`], no
    /// action is undone, because the logs may have removed it already.
    pub fn strategy(
        config: &Config,
        events: usize,
        intents: impl Strategy<Value = I> + Clone + 'static,
    ) -> impl Strategy<Value = Self> {
        let client = 0..config.clients;
        let undo_weight = if config.compact { 0 } else { 3 };
        let wait = |ms| Event::Wait(Duration::from_millis(ms));
        let event = prop_oneof![
            12 => (client.clone(), intents).prop_map(|(client, intent)| Event::Act(client, intent)),
            undo_weight => (client.clone(), any::<Index>()).prop_map(|(client, index)| Event::Undo(client, index)),
            6 => (0..400_u64).prop_map(wait),
            1 => (1_000..100_000_u64).prop_map(wait),
            3 => client.clone().prop_map(Event::Cut),
            1 => client.clone().prop_map(Event::Partition),
            1 => client.clone().prop_map(Event::Heal),
            1 => (client.clone(), -100_000..100_000_i64).prop_map(|(client, ms)| Event::Jump(client, ms)),
            1 => client.prop_map(Event::Crash),
            1 => Just(Event::CrashServer),
        ];
        (any::<u64>(), vec(event, 1..=events)).prop_map(|(seed, events)| Self { seed, events })
    }

    /// Executes the plan, and then [settles](Simulation::settle) the simulation. `view` and `make`
    /// are those of [`assert_survives`].
    ///
    /// # Errors
    /// [`Unsettled`], if the nodes do not agree at the end.
    pub fn run<R: Reducer<State: Debug> + Clone>(
        &self,
        config: &Config,
        reducer: R,
        view: fn(&R::State) -> String,
        make: impl Fn(&R::State, &I, &ActionId) -> Option<Action>,
    ) -> (Simulation<R>, Result<(), Unsettled>) {
        let mut sim =
            Simulation::new(Config { seed: self.seed, ..config.clone() }, reducer).viewed(view);
        let mut added: Vec<ActionId> = Vec::new();
        let mut jumped = std::collections::BTreeMap::new();
        for event in &self.events {
            match event {
                Event::Act(client, intent) => {
                    added.extend(sim.act(*client, |state, id| make(state, intent, id)))
                }
                Event::Undo(client, index) => {
                    let known: Vec<&ActionId> =
                        added.iter().filter(|id| sim.has(*client, id)).collect();
                    if !known.is_empty() {
                        let id = (*index.get(&known)).clone();
                        match sim.undo(*client, &id) {
                            Some(undo) => added.push(undo),
                            None => added.retain(|added| *added != id),
                        }
                    }
                }
                Event::Wait(duration) => sim.run_for(*duration),
                Event::Cut(client) => sim.cut(*client),
                Event::Partition(client) => sim.partition(*client),
                Event::Heal(client) => sim.heal(*client),
                Event::Jump(client, ms) => {
                    let sum: &mut i64 = jumped.entry(*client).or_default();
                    if (*sum + *ms).abs() <= MAX_JUMPS {
                        *sum += *ms;
                        sim.jump(*client, *ms);
                    }
                }
                Event::Crash(client) => sim.crash(*client),
                Event::CrashServer => sim.crash_server(),
            }
        }
        let result = sim.settle();
        (sim, result)
    }
}

/// Asserts, for `cases` random plans of at most `events` events, that all nodes have the same state
/// and that each node has every action exactly once, despite failures of the network, the clocks
/// and the nodes.
///
/// `view` returns the part of a state to compare: states may contain times, which differ between
/// nodes because each node has its own clock. `make` makes an action from a value of `intents`, the
/// state of the client, and the id that the action will have; `None` if no action makes sense in
/// that state.
///
/// # Panics
/// With the trace of the smallest failing plan.
pub fn assert_survives<R, I>(
    config: &Config,
    (cases, events): (u32, usize),
    reducer: &R,
    view: fn(&R::State) -> String,
    intents: impl Strategy<Value = I> + Clone + 'static,
    make: impl Fn(&R::State, &I, &ActionId) -> Option<Action>,
) where
    R: Reducer<State: Debug> + Clone,
    I: Debug + Clone + 'static,
{
    let proptest_config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2_048,
        ..ProptestConfig::default()
    };
    let plans = Plan::strategy(config, events, intents);
    let result = TestRunner::new(proptest_config).run(&plans, |plan| {
        let (_, result) = plan.run(config, reducer.clone(), view, &make);
        result.map_err(|error| TestCaseError::fail(error.to_string()))
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(_, plan)) => {
            let with = |events: &[Event<I>]| Plan { seed: plan.seed, events: events.to_vec() };
            let fails = |events: &[Event<I>]| {
                with(events).run(config, reducer.clone(), view, &make).1.is_err()
            };
            let plan = with(&smallest(plan.events.clone(), fails));
            let (sim, result) =
                plan.run(&Config { trace: true, ..config.clone() }, reducer.clone(), view, &make);
            let problem = result
                .map_or_else(|error| error.to_string(), |()| "a second run did not fail".into());
            panic!(
                "At the end: {problem}\n\n{}\n\nSeed {}, events {:?}",
                sim.trace().join("\n"),
                plan.seed,
                plan.events
            );
        }
        Err(other) => panic!("{other}"),
    }
}
