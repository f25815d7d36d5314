//! What is tested: a reducer, what makes its actions, and laws of its own.

use std::rc::Rc;

/// A reducer of JSON states, with what belongs to its test.
pub trait Application {
    /// Returns the state before the first action.
    ///
    /// # Errors
    /// [`Fault`], if the reducer has none.
    fn initial(&self) -> Result<Rc<str>, Fault>;

    /// Returns the state after an action.
    ///
    /// # Errors
    /// [`Fault`], if the reducer does what no reducer may do.
    fn reduce(&self, state: &str, action: &str) -> Result<Rc<str>, Fault>;

    /// Makes an action of a user who sees a state. `choice`, up to 2^53 - 1, decides which one:
    /// half of it should give a simpler one. `None`: none makes sense in this state.
    fn make(&self, state: &str, choice: u64) -> Option<String>;

    /// Returns `true` if the law with this index about every state holds.
    fn always_holds(&self, law: usize, state: &str) -> bool;

    /// Returns `true` if the law with this index about the final state holds. `actions` is the JSON
    /// array of the actions in effect, in order.
    fn ends_well(&self, law: usize, state: &str, actions: &str) -> bool;
}

/// What a reducer did that no reducer may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The rule that it has broken.
    pub kind: FaultKind,
    /// What happened.
    pub text: Rc<str>,
}

/// The rules of reducers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It throws no errors.
    Throws,
    /// It leaves its arguments as they are.
    Mutates,
    /// It depends on nothing but its arguments.
    Varies,
    /// Its states are JSON.
    NotJson,
}

impl FaultKind {
    /// All rules.
    pub const ALL: [Self; 4] = [Self::Throws, Self::Mutates, Self::Varies, Self::NotJson];

    /// Returns the first line of the story about a broken rule.
    pub const fn law(self) -> &'static str {
        match self {
            Self::Throws => "The reducer throws an error.",
            Self::Mutates => "The reducer changes the state or the action that it is given.",
            Self::Varies => "The reducer gives two states for one state and one action.",
            Self::NotJson => "The reducer gives a state that is not JSON.",
        }
    }
}
