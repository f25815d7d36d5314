//! Random worlds of clients with the reducer, and a server: connections are cut, clocks are wrong,
//! devices crash.

use core::cell::Cell;
use std::rc::Rc;

use logux::{
    ActionId,
    testing::{
        simulation::{Config, Event, Plan, Simulation},
        smallest,
    },
};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::{Config as RunnerConfig, RngAlgorithm, TestRng, TestRunner},
};

use crate::{
    application::Application,
    laws::{MAX_CHOICE, json_of},
    reducer::{JsonReducer, State},
    request::{Answer, WorldsRequest},
};

/// Runs the worlds, until one is wrong.
///
/// # Errors
/// If there is no world at all.
pub(crate) fn check(
    request: &WorldsRequest,
    application: Rc<dyn Application>,
) -> Result<Answer, String> {
    let worlds = Worlds {
        config: Config { clients: request.clients.clamp(1, 16), ..Config::default() },
        reducer: JsonReducer::new(application),
        ends: &request.ends,
    };
    let mut answer = Answer::default();
    for seed in request.seed..request.seed.saturating_add(request.worlds.into()) {
        let plan = worlds.plan(seed, request.events.max(1))?;
        let World { sim, made, problem } = worlds.run(&plan, false);
        if problem.is_some() {
            let story = Some(worlds.story(&plan));
            return Ok(Answer { story, seed: Some(seed), ..Answer::default() });
        }
        let counts = sim.counts();
        answer.actions += made;
        answer.undone += made.saturating_sub(sim.actions_in_effect().len());
        answer.cuts += counts.cuts;
        answer.lost += counts.lost;
        answer.crashes += counts.crashes;
        answer.ms += u64::try_from(counts.elapsed.as_millis()).unwrap_or(u64::MAX);
    }
    Ok(answer)
}

struct Worlds<'a> {
    config: Config,
    reducer: JsonReducer,
    ends: &'a [String],
}

/// A world after all events.
struct World {
    sim: Simulation<JsonReducer>,
    /// The number of actions that the application made.
    made: usize,
    /// What is wrong.
    problem: Option<String>,
}

impl Worlds<'_> {
    /// Returns the plan of a seed.
    fn plan(&self, seed: u64, events: usize) -> Result<Plan<u64>, String> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = RunnerConfig { failure_persistence: None, ..RunnerConfig::default() };
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config, random);
        let plans = Plan::strategy(&self.config, events, 0..=MAX_CHOICE);
        plans.new_tree(&mut runner).map(|tree| tree.current()).map_err(|error| error.to_string())
    }

    /// Runs a plan.
    fn run(&self, plan: &Plan<u64>, trace: bool) -> World {
        self.reducer.take_fault();
        let made = Cell::new(0);
        let make = |state: &State, choice: &u64, _: &ActionId| {
            let action = self.reducer.make(state, *choice);
            made.set(made.get() + usize::from(action.is_some()));
            action
        };
        let config = Config { trace, ..self.config.clone() };
        let (sim, result) = plan.run(&config, self.reducer.clone(), shown, make);
        let fault = self.reducer.take_fault();
        let fault = fault.map(|fault| format!("{}\n\n  {}", fault.kind.law(), fault.text));
        let problem = fault
            .or_else(|| result.err().map(|error| format!("The devices differ.\n\n  {error}")))
            .or_else(|| self.broken_end(&sim));
        World { sim, made: made.get(), problem }
    }

    /// Returns the law of the application that the end breaks.
    fn broken_end(&self, sim: &Simulation<JsonReducer>) -> Option<String> {
        let State::Json(state) = sim.server_state() else { return None };
        let actions = json_of(&sim.actions_in_effect());
        let application = self.reducer.application();
        let mut laws = self.ends.iter().enumerate();
        let (_, law) = laws.find(|(index, _)| !application.ends_well(*index, state, &actions))?;
        Some(format!("{law}\n\n  All devices have {state}\n  The actions are {actions}"))
    }

    /// Returns what is wrong with the smallest part of a plan, and its events.
    fn story(&self, plan: &Plan<u64>) -> String {
        let with = |events: &[Event<u64>]| Plan { seed: plan.seed, events: events.to_vec() };
        let is_wrong = |events: &[Event<u64>]| self.run(&with(events), false).problem.is_some();
        let plan = with(&smallest(plan.events.clone(), is_wrong));
        let World { sim, problem, .. } = self.run(&plan, true);
        let problem = problem.unwrap_or_else(|| "It was right the second time.".to_owned());
        format!("{problem}\n\n{}\n", sim.trace().join("\n"))
    }
}

/// Returns a state in a form that is equal for equal states.
fn shown(state: &State) -> String {
    match state {
        State::Json(json) => serde_json::from_str::<serde_json::Value>(json)
            .map_or_else(|_| json.to_string(), |value| value.to_string()),
        State::Fault(fault) => fault.text.to_string(),
    }
}
