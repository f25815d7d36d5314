//! The reducer of an application, as one of the engine.

use core::{cell::RefCell, fmt};
use std::{collections::BTreeMap, rc::Rc};

use logux::{
    Action, Stamp,
    replay::{Malformed, Reducer},
};
use serde_json::Value;

use crate::application::{Application, Fault, FaultKind};

/// The number of results that are remembered. When there are more, all are forgotten.
const MAX_REMEMBERED: usize = 50_000;

/// The state after each state and action.
type Results = BTreeMap<(Rc<str>, Rc<str>), State>;

/// The reducer of an application. Its results are remembered: that it is pure is tested at the
/// first call for each state and action, and the call is what takes most of the time.
#[derive(Clone)]
pub(crate) struct JsonReducer {
    application: Rc<dyn Application>,
    results: Rc<RefCell<Results>>,
    /// The first fault since it was taken.
    fault: Rc<RefCell<Option<Fault>>>,
}

/// The state of a reducer.
#[derive(Clone)]
pub(crate) enum State {
    Json(Rc<str>),
    /// There is none. Further actions change nothing.
    Fault(Rc<Fault>),
}

impl JsonReducer {
    pub(crate) fn new(application: Rc<dyn Application>) -> Self {
        Self { application, results: Rc::default(), fault: Rc::default() }
    }

    pub(crate) fn application(&self) -> &dyn Application {
        &*self.application
    }

    /// Returns the first fault since the last call.
    pub(crate) fn take_fault(&self) -> Option<Fault> {
        self.fault.borrow_mut().take()
    }

    /// Makes an action of a user who sees a state.
    pub(crate) fn make(&self, state: &State, choice: u64) -> Option<Action> {
        let State::Json(state) = state else { return None };
        Action::new(self.application.make(state, choice)?).ok()
    }

    fn result(&self, state: &Rc<str>, action: &Rc<str>) -> State {
        let key = (state.clone(), action.clone());
        if let Some(known) = self.results.borrow().get(&key) {
            return known.clone();
        }
        let result = State::from(self.application.reduce(state, action));
        let mut results = self.results.borrow_mut();
        if results.len() >= MAX_REMEMBERED {
            results.clear();
        }
        results.insert(key, result.clone());
        result
    }
}

impl Reducer for JsonReducer {
    type Action = Rc<str>;
    type State = State;

    fn read(&self, action: &Action) -> Result<Option<Rc<str>>, Malformed> {
        Ok(Some(action.as_json().into()))
    }

    fn initial(&self) -> State {
        State::from(self.application.initial())
    }

    fn apply(&self, state: &mut State, action: &Rc<str>, _: &Stamp) {
        let State::Json(json) = state else { return };
        *state = self.result(json, action);
        if let State::Fault(fault) = state {
            self.fault.borrow_mut().get_or_insert_with(|| (**fault).clone());
        }
    }
}

impl State {
    /// Returns `true` if there is no state for this reason.
    pub(crate) fn has_fault(&self, kind: FaultKind) -> bool {
        matches!(self, Self::Fault(fault) if fault.kind == kind)
    }
}

impl From<Result<Rc<str>, Fault>> for State {
    fn from(result: Result<Rc<str>, Fault>) -> Self {
        result.map_or_else(|fault| Self::Fault(Rc::new(fault)), Self::Json)
    }
}

/// Equal are states with the same value. The order of keys makes no difference.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(own), Self::Json(other)) => own == other || value(own) == value(other),
            (Self::Fault(own), Self::Fault(other)) => own == other,
            _ => false,
        }
    }
}

fn value(json: &str) -> Option<Value> {
    serde_json::from_str(json).ok()
}

/// As it is in a story: `Ada has …`.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(json) => f.write_str(json),
            Self::Fault(fault) => write!(f, "no state: {}", fault.text),
        }
    }
}
