//! Plans of what goes wrong, made up and shrunk.

use core::fmt::Debug;

use proptest::{
    collection::vec,
    prelude::*,
    sample::Index,
    test_runner::{Config as ProptestConfig, TestError, TestRunner},
};

use super::{Config, Simulation, Unsettled};
use crate::{
    action::{Action, ActionId, logux::Undo},
    replay::Reducer,
    testing::laws::smallest,
};

/// One thing that happens in a simulated world. `I` is what a user wants to do.
#[derive(Clone, Debug)]
pub enum Event<I> {
    /// A client does an action.
    Act(usize, I),
    /// A client takes back one of the actions that it knows.
    Undo(usize, Index),
    /// Time passes, in milliseconds.
    Wait(u64),
    /// A connection is cut; the client comes back.
    Cut(usize),
    /// A connection is cut, and the client cannot come back.
    Part(usize),
    /// It can again.
    Heal(usize),
    /// A client's clock jumps by milliseconds.
    Jump(usize, i64),
    /// A client crashes and starts again.
    Crash(usize),
    /// The server crashes and starts again.
    CrashServer,
}

/// What happens in a world, in order, and the seed for what is left to chance.
#[derive(Clone, Debug)]
pub struct Plan<I> {
    /// The seed.
    pub seed: u64,
    /// What happens.
    pub events: Vec<Event<I>>,
}

impl<I: Debug + Clone + 'static> Plan<I> {
    /// Plans of up to so many events for the clients of a world. Where logs are compacted, nothing is taken back: it might be forgotten already.
    pub fn strategy(
        config: &Config,
        events: usize,
        intents: impl Strategy<Value = I> + Clone + 'static,
    ) -> impl Strategy<Value = Self> {
        let client = 0..config.clients;
        let undo_weight = u32::from(!config.compact);
        let event = prop_oneof![
            12 => (client.clone(), intents).prop_map(|(client, intent)| Event::Act(client, intent)),
            undo_weight => (client.clone(), any::<Index>()).prop_map(|(client, index)| Event::Undo(client, index)),
            6 => (0..400_u64).prop_map(Event::Wait),
            1 => (1_000..100_000_u64).prop_map(Event::Wait),
            3 => client.clone().prop_map(Event::Cut),
            1 => client.clone().prop_map(Event::Part),
            1 => client.clone().prop_map(Event::Heal),
            1 => (client.clone(), -100_000..100_000_i64).prop_map(|(client, ms)| Event::Jump(client, ms)),
            1 => client.prop_map(Event::Crash),
            1 => Just(Event::CrashServer),
        ];
        (any::<u64>(), vec(event, 1..=events)).prop_map(|(seed, events)| Self { seed, events })
    }

    /// Lets a plan happen, and everything come to rest.
    ///
    /// # Errors
    /// [`Unsettled`] says what is wrong in the end.
    pub fn run<R: Reducer<State: Debug> + Clone>(
        &self,
        config: &Config,
        reducer: R,
        view: fn(&R::State) -> String,
        make: impl Fn(&R::State, &I, &ActionId) -> Option<Action>,
    ) -> (Simulation<R>, Result<(), Unsettled>) {
        let mut sim =
            Simulation::new(Config { seed: self.seed, ..config.clone() }, reducer).viewed(view);
        let mut done: Vec<ActionId> = Vec::new();
        for event in &self.events {
            match event {
                Event::Act(client, intent) => {
                    done.extend(sim.act(*client, |state, id| make(state, intent, id)))
                }
                Event::Undo(client, index) => {
                    let known: Vec<&ActionId> =
                        done.iter().filter(|id| sim.has(*client, id)).collect();
                    if !known.is_empty() {
                        let id = index.get(&known).to_string();
                        let undo =
                            Undo { id, reason: "undo".into(), action: None, extra: Vec::new() };
                        done.extend(sim.act(*client, |_, _| undo.to_action().ok()));
                    }
                }
                Event::Wait(ms) => sim.run_for(*ms),
                Event::Cut(client) => sim.cut(*client),
                Event::Part(client) => sim.part(*client),
                Event::Heal(client) => sim.heal(*client),
                Event::Jump(client, ms) => sim.jump(*client, *ms),
                Event::Crash(client) => sim.crash(*client),
                Event::CrashServer => sim.crash_server(),
            }
        }
        let end = sim.settle();
        (sim, end)
    }
}

/// Asserts, for so many plans of up to so many events, that a reducer's state is the same everywhere, and every action everywhere once, whatever happens to the network, the clocks and the nodes.
///
/// `view` is what can be seen of a state: states may also remember times, which each node has by its own clock.
///
/// # Panics
/// With the trace of the smallest plan for which it is not so.
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
    let ran = TestRunner::new(proptest_config).run(&plans, |plan| {
        let (_, end) = plan.run(config, reducer.clone(), view, &make);
        end.map_err(|error| TestCaseError::fail(error.to_string()))
    });
    match ran {
        Ok(()) => {}
        Err(TestError::Fail(_, plan)) => {
            let with = |events: &[Event<I>]| Plan { seed: plan.seed, events: events.to_vec() };
            let fails = |events: &[Event<I>]| {
                with(events).run(config, reducer.clone(), view, &make).1.is_err()
            };
            let plan = with(&smallest(plan.events.clone(), fails));
            let (sim, end) =
                plan.run(&Config { trace: true, ..config.clone() }, reducer.clone(), view, &make);
            let end = end
                .map_or_else(|error| error.to_string(), |()| "it went well the second time".into());
            panic!(
                "In the end {end}\n\n{}\n\nSeed {}, events {:?}",
                sim.trace().join("\n"),
                plan.seed,
                plan.events
            );
        }
        Err(other) => panic!("{other}"),
    }
}
