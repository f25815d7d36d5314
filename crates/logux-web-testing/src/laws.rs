//! The laws of a reducer, in the order in which they are tested.

use std::rc::Rc;

use logux::{
    Action, ActionId,
    store::Entry,
    testing::{BrokenLaw, Laws},
};
use proptest::prelude::*;

use crate::{
    application::{Application, FaultKind},
    reducer::{JsonReducer, State},
    request::{Answer, LawsRequest},
};

/// The largest choice, which is a number of JavaScript.
pub(crate) const MAX_CHOICE: u64 = (1 << 53) - 1;

/// Tests the laws.
///
/// # Errors
/// The story of the first broken one.
pub(crate) fn check(
    request: &LawsRequest,
    application: Rc<dyn Application>,
) -> Result<Answer, String> {
    if let Err(fault) = application.initial() {
        return Err(format!(
            "{}\n\n  At the start, there is no state: {}\n",
            fault.kind.law(),
            fault.text
        ));
    }
    let reducer = JsonReducer::new(application);
    let making = reducer.clone();
    let make = move |state: &State, choice: &u64, _: &ActionId| -> Option<Action> {
        making.make(state, *choice)
    };
    let laws = Laws::with(&reducer, 0..=MAX_CHOICE, make)
        .cases(request.histories)
        .users(request.users)
        .turns(request.turns)
        .seed(request.seed);
    check_all(&laws, &reducer, request).map_err(|broken| broken.to_string())?;
    Ok(Answer::default())
}

fn check_all(
    laws: &Laws<
        &JsonReducer,
        impl Strategy<Value = u64>,
        impl Fn(&State, &u64, &ActionId) -> Option<Action>,
    >,
    reducer: &JsonReducer,
    request: &LawsRequest,
) -> Result<(), BrokenLaw> {
    for kind in FaultKind::ALL {
        laws.try_always(kind.law(), |state| !state.has_fault(kind))?;
    }
    laws.try_converges()?;
    laws.try_undo_is_inverse()?;
    if request.commutes {
        laws.try_commutes()?;
    }
    let application = reducer.application();
    for (index, law) in request.always.iter().enumerate() {
        laws.try_always(law, |state| match state {
            State::Json(json) => application.always_holds(index, json),
            State::Fault(_) => true,
        })?;
    }
    for (index, law) in request.ends.iter().enumerate() {
        laws.try_ends_well(law, |entries, state| match state {
            State::Json(json) => application.ends_well(index, json, &json_of(entries)),
            State::Fault(_) => true,
        })?;
    }
    Ok(())
}

/// Returns the JSON array of actions.
pub(crate) fn json_of(entries: &[Entry]) -> String {
    let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_json()).collect();
    format!("[{}]", actions.join(","))
}
